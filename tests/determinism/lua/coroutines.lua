-- Producers, filters and consumers; errors in and closing of coroutines.
local function producer(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end
local function filter(f, source) return coroutine.wrap(function() for v in source do if f(v) then coroutine.yield(v) end end end) end
local source = producer(3000)
for _, p in ipairs({2, 3, 5, 7, 11, 13}) do source = filter(function(v) return v % p ~= 0 end, source) end
local sum, count = 0, 0
for v in source do sum, count = sum + v, count + 1 end
print(sum, count)
local order = {}
for i = 1, 200 do
  local co = coroutine.create(function(a)
    local x <close> = setmetatable({}, {__close = function(_, e) order[#order + 1] = i .. tostring(e) end})
    a = coroutine.yield(a + 1)
    if i % 3 == 0 then error("error " .. i, 0) end
    coroutine.yield(a)
  end)
  coroutine.resume(co, i) coroutine.resume(co, i * 2)
  if i % 2 == 0 then coroutine.close(co) end
end
print(table.concat(order, " "))
print(select("#", coroutine.resume(coroutine.create(function(...) return ... end), table.unpack({}, 1, 200))))
