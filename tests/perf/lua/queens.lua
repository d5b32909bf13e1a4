-- Recursion over small arrays: all ways to place n queens.
local n = tonumber(arg[1]) or 12

local columns, up, down = {}, {}, {}
local found, checksum = 0, 0

local function place(row)
  if row > n then
    found = found + 1
    for i = 1, n do checksum = (checksum * 31 + columns[i]) % 1000003 end
    return
  end
  for c = 1, n do
    if not columns[-c] and not up[row + c] and not down[row - c] then
      columns[row], columns[-c], up[row + c], down[row - c] = c, true, true, true
      place(row + 1)
      columns[-c], up[row + c], down[row - c] = false, false, false
    end
  end
end

place(1)
print(found, checksum)
