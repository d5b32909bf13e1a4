-- Prints what depends on addresses, on the seed and on the collector; then does not end.
local keys, order = {}, {}
local things = { print, io.write, io.stdout, string.format, next, pairs({}), ipairs({}), coroutine.create(print),
  getmetatable("").__index, utf8.codes("x"), math.random, select, io.stdout.write }
for i, thing in ipairs(things) do keys[thing] = i end
for i = 1, 50 do keys[{}] = i keys["string " .. i] = i keys[function() return i end] = i keys[i + 0.5] = i end
for _, i in pairs(keys) do order[#order + 1] = i end
print(table.concat(order, " "))
local names = {}
for name, value in pairs(_G) do names[#names + 1] = name .. " " .. tostring(value) end
print(table.concat(names, "\n"))
for name in pairs(package.loaded) do io.write(name, " ") end
print(string.format("%p %p %s", {}, "text", io.stdout), math.random(1 << 40), math.randomseed())
local map = rc.draft(rc.map())
for i = 1, 30 do map[i] = i map["k" .. i] = i map[rc.list { i }] = i end
for _, i in pairs(map) do io.write(i, " ") end
local weak = setmetatable({}, { __mode = "k" })
for i = 1, 1000 do weak[{}] = i end
local left = 0
for _ in pairs(weak) do left = left + 1 end
print(left, collectgarbage("count"))
local finalized = 0
local n = 0
while true do
  n = n + 1
  local t = setmetatable({}, { __gc = function() finalized = finalized + 1 end })
  weak[t] = n
  table.sort({ 3, n % 5, 1, n % 3 })
  coroutine.wrap(function() coroutine.yield(pcall(error, t)) end)()
  if n % 1000 == 0 then print(n, finalized, (string.format("%s", t))) end
end
