-- Closures, varargs, metamethods and goto.
local function compose(...) local fs = {...} return function(x) for i = #fs, 1, -1 do x = fs[i](x) end return x end end
local f = compose()
for i = 1, 100 do local g = f f = compose(function(x) return (x * 31 + i) % 10007 end, i % 5 == 0 and g or function(x) return x end) end
print(f(1))
local V = {}
V.__index = V
V.__add = function(a, b) return setmetatable({a[1] + b[1]}, V) end
V.__eq = function(a, b) return a[1] == b[1] end
V.__lt = function(a, b) return a[1] < b[1] end
V.__call = function(self, x) return self[1] + x end
V.__len = function(self) return self[1] end
V.__concat = function(a, b) return "V" .. tostring(a[1] or a) end
V.__close = function() end
local sum = setmetatable({0}, V)
for i = 1, 500 do sum = sum + setmetatable({i}, V) end
print(#sum, sum(1), sum < sum + sum, sum == sum, sum .. "x")
local i, found = 1, {}
::top::
if i <= 200 then
  for k = 2, i - 1 do if i % k == 0 then i = i + 1 goto top end end
  found[#found + 1] = i
  i = i + 1
  goto top
end
print(#found, found[#found], select("#", table.unpack(found)))
