-- Functions of floats, to their last bit: some 30,000 results as numbers that are hashed, and a few of them.
local hash = 0
local function take(x)
  hash = (hash ~ string.unpack("i8", string.pack("d", x))) * 1099511628211
  hash = hash ~ (hash >> 29)
end
local sin, cos, tan, exp, log = math.sin, math.cos, math.tan, math.exp, math.log
for i = 1, 3000 do
  local x = math.random() * i
  take(sin(x))
  take(cos(x))
  take(tan(x))
  take(exp(x / 8 - 90))
  take(log(x))
  take(log(x, 2))
  take(log(x, 10))
  take(math.asin(x / i))
  take(math.acos(x / i))
  take(math.atan(x, i - 1000))
  take(x ^ (1 / i))
  take((x * 1e10) % (i + 0.1))
  if i % 500 == 0 then print(("%a %a %a"):format(sin(x), exp(x / 100), x ^ 0.3), hash) end
end
print(hash)
