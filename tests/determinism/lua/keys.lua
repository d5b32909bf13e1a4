-- The order of pairs over keys of all types, as tables grow, shrink and are refilled.
local function show(t)
  local line = {}
  for k, v in pairs(t) do line[#line + 1] = tostring(v) end
  print(table.concat(line, " "))
end
local t, n = {}, 0
local function add(k) n = n + 1 t[k] = n end
for i = 1, 40 do
  add({}) add(function() return i end) add("key " .. i) add(i * 1.5) add(coroutine.create(print)) add(i)
  if i % 10 == 0 then show(t) end
end
for k, v in pairs(t) do if v % 3 == 0 then t[k] = nil end end
show(t)
for i = 1, 60 do add({i}) end
show(t)
show({print, pairs, next, ipairs, [print] = 1, [pairs] = 2, [next] = 3, [string.format] = 4, [io.type] = 5, [io.stdout] = 6})
show({[{}] = 1, [{}] = 2, [{}] = 3, [true] = 4, [false] = 5, [1.5] = 6, [-1] = 7, [math.huge] = 8, [math.mininteger] = 9})
