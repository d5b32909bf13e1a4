-- loops.lua: numeric loops of lengths around those that are paid for at once, whose numbers are not literals: how
-- many turns, and which; those that are left early and begun again; whose bodies change or keep what they get.
local function run(from, to, step)
  local n, sum, last = 0, 0, nil
  for i = from, to, step do
    n, last = n + 1, i
    sum = (sum * 31 + i) % 1000003
    i = "changed"
  end
  print(from, to, step, n, sum, last)
end

local function again(n, length)
  local seen, functions = 0, {}
  for j = n, n + 2 do
    for i = j, j + length - 1 do
      seen = seen + 1
      if i == j + n then break end
      if i % 100 == 0 then functions[#functions + 1] = function() i = i + 1 return i end end
    end
  end
  for i, f in ipairs(functions) do seen = seen + f() + f() * i end
  print(n, length, seen)
end

for _, n in ipairs { 0, 1, 2, 3, 31, 32, 33, 62, 63, 125, 249, 250, 251, 252, 253, 500, 501, 502, 503, 504, 752, 753, 754, 1003, 2000 } do
  run(1, n, 1)
  run(n, 1, -1)
  run(-n, n, 3)
  run(math.maxinteger - n, math.maxinteger, 1)
  run(math.mininteger + n, math.mininteger, -1)
  run(1.0, n, 1)
  run(n, 0, -0.5)
  run(0, n / 10, 0.1)
  run(0, n, n / 700 + 1e-3)
  again(n, n)
  again(n, 2 * n + 1)
  again(n, 1000)
end
