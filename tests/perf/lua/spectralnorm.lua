-- Floating point in arrays: the largest singular value of an infinite matrix, cut to n rows.
local n = tonumber(arg[1]) or 400

local function entry(i, j)
  local k = i + j
  return 1 / ((k + 1) * k * 0.5 + i + 1)
end

local function multiply(v, to)
  for i = 0, n - 1 do
    local sum = 0
    for j = 0, n - 1 do sum = sum + entry(i, j) * v[j] end
    to[i] = sum
  end
end

local function multiply_transposed(v, to)
  for i = 0, n - 1 do
    local sum = 0
    for j = 0, n - 1 do sum = sum + entry(j, i) * v[j] end
    to[i] = sum
  end
end

local u, v, t = {}, {}, {}
for i = 0, n - 1 do u[i] = 1 end
for _ = 1, 10 do
  multiply(u, t)
  multiply_transposed(t, v)
  multiply(v, t)
  multiply_transposed(t, u)
end
local uv, vv = 0, 0
for i = 0, n - 1 do
  uv = uv + u[i] * v[i]
  vv = vv + v[i] * v[i]
end
print(string.format("%.9f", math.sqrt(uv / vv)))
