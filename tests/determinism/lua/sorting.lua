-- Sorting arrays of all shapes, with comparisons that are valid and some that are not.
local seed = 7
local function random(n) seed = seed * 1103515245 + 12345 & 0x7fffffff return seed % n end
local compared = 0
for _, n in ipairs({0, 1, 2, 5, 50, 99, 100, 101, 500, 3000}) do
  local t = {}
  for i = 1, n do t[i] = {random(n // 3 + 1), i} end
  table.sort(t, function(a, b) compared = compared + 1 return a[1] < b[1] end)
  local sum = 0
  for i, v in ipairs(t) do sum = (sum * 31 + v[2]) % 1000003 end
  print(n, sum, compared)
end
for n = 3, 300, 7 do
  local t = {}
  for i = 1, n do t[i] = random(1000) end
  local ok, message = pcall(table.sort, t, function(a, b) return random(2) == 0 end)
  io.write(tostring(ok), " ", tostring(t[1]), " ", tostring(t[n]), "; ")
end
print()
