-- Large arrays of booleans: primes by the sieve of Eratosthenes.
local limit = tonumber(arg[1]) or 6000000

local composite, count, last = {}, 0, 0
for i = 1, limit do composite[i] = false end
for i = 2, limit do
  if not composite[i] then
    count, last = count + 1, i
    for k = i * i, limit, i do composite[k] = true end
  end
end
print(count, last)
