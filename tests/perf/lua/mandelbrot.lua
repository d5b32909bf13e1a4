-- Floating point in local variables: how long points of the plane stay near.
local n = tonumber(arg[1]) or 600

local sum = 0
for row = 0, n - 1 do
  local ci = 2 * row / n - 1
  for column = 0, n - 1 do
    local cr, zr, zi, steps = 2 * column / n - 1.5, 0, 0, 0
    while steps < 50 do
      local rr, ii = zr * zr, zi * zi
      if rr + ii > 4 then break end
      zr, zi, steps = rr - ii + cr, 2 * zr * zi + ci, steps + 1
    end
    sum = sum + steps
  end
end
print(sum)
