-- allocates: long strings out of many parts, by table.concat, string.rep and string.format.
local rounds = tonumber(arg[1]) or 50

local total, checksum = 0, 0
for round = 1, rounds do
  local parts = {}
  for i = 1, 20000 do
    parts[#parts + 1] = i % 5 == 0 and string.format("%d:%s;", i, "x") or tostring(i * round)
  end
  local text = table.concat(parts, ",")
  local lines = {}
  for i = 1, 2000 do lines[i] = text:sub(i * 10, i * 10 + 60) .. ("-"):rep(i % 40) end
  local page = table.concat(lines, "\n")
  total = total + #text + #page
  for i = 1, #page, 97 do checksum = (checksum * 31 + page:byte(i)) % 1000003 end
end
print(total, checksum)
