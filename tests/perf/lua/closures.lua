-- allocates: functions that are made at run time: counters, composition, map and fold over lists.
local n = tonumber(arg[1]) or 250000

local function counter(start)
  local value = start
  return function(step)
    value = value + step
    return value
  end
end

local function compose(f, g)
  return function(x) return f(g(x)) end
end

local function map(list, f)
  local result = {}
  for i = 1, #list do result[i] = f(list[i]) end
  return result
end

local function fold(list, start, f)
  for i = 1, #list do start = f(start, list[i]) end
  return start
end

local sum = 0
for i = 1, n do
  local count = counter(i)
  local add = function(x) return x + i end
  local double = function(x) return 2 * x end
  local both = compose(add, double)
  local list = map({1, 2, 3, 4}, compose(both, count))
  sum = (sum + fold(list, 0, function(a, b) return a * 3 + b end)) % 1000003
end
print(sum)
