-- Prints the same under any Lua 5.4: numbers of all sizes as text, also ties and neighbours of powers of ten.
math.randomseed(11)
local function show(...)
  local texts = {}
  for i, x in ipairs {...} do texts[i] = x .. " " .. tostring(-x) end
  print(table.concat(texts, " "))
end

for bits = 0, 63 do
  show(1 << bits, (1 << bits) - 1, math.random(0) >> bits, 1.0 * (1 << bits))
end
local function neighbours(x)
  local bits = string.unpack("i8", string.pack("d", x))
  for step = -2, 2 do show((string.unpack("d", string.pack("i8", bits + step)))) end
end
for exponent = -8, 18 do
  local power = 10.0 ^ exponent
  neighbours(power)
  neighbours(power * 9.9999999999999)
  neighbours(power * 9.99999999999995)
  for _ = 1, 50 do show(math.random() * power, math.random(1000) * power, math.random(10 ^ 14) / 10 * power) end
end
for _ = 1, 2000 do -- exactly half a unit of the last of 14 digits
  local digits = math.random(10 ^ 13, 10 ^ 14 - 1)
  show(digits + 0.5, (digits // 4 * 4 + 2) / 4 + 0.125)
end
for _ = 1, 2000 do
  local x = string.unpack("d", string.pack("i8", math.random(0)))
  if x == x then show(x) end
end
show(0.0, 1 / 0, 0.1, 1 / 3, 100.0, 1e15, 2 ^ 53, 3.14, 1e100, 5e-324, math.mininteger, math.maxinteger)
