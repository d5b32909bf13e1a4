-- allocates: coroutines as generators of permutations, as a chain of filters, and as short tasks.
local n = tonumber(arg[1]) or 8

local function permutations(list)
  local function generate(k)
    if k == 0 then coroutine.yield(list) end
    for i = 1, k do
      list[k], list[i] = list[i], list[k]
      generate(k - 1)
      list[k], list[i] = list[i], list[k]
    end
  end
  return coroutine.wrap(function() generate(#list) end)
end

local function numbers(to)
  return coroutine.wrap(function()
    for i = 2, to do coroutine.yield(i) end
  end)
end

local function without(divisor, source)
  return coroutine.wrap(function()
    for i in source do
      if i % divisor ~= 0 then coroutine.yield(i) end
    end
  end)
end

local checksum = 0
local list = {}
for i = 1, n do list[i] = i end
for _ = 1, 3 do
  for p in permutations(list) do checksum = (checksum * 31 + p[1] * 10 + p[n]) % 1000003 end
end

local source, primes = numbers(200 * n), 0
while true do
  local prime = source()
  if prime == nil then break end
  primes = primes + 1
  if primes <= 40 then source = without(prime, source) end
end

local done = 0
for i = 1, n * 100000 do
  local task = coroutine.create(function(a)
    local b = coroutine.yield(a + 1)
    return a + b
  end)
  local _, first = coroutine.resume(task, i)
  local _, second = coroutine.resume(task, first)
  done = (done + second) % 1000003
end
print(checksum, primes, done)
