-- Arrays of arrays of floats: multiplication of matrices.
local n = tonumber(arg[1]) or 220

local function make(f)
  local m = {}
  for i = 1, n do
    local row = {}
    for j = 1, n do row[j] = f(i, j) end
    m[i] = row
  end
  return m
end

local function multiply(a, b)
  local columns = make(function(i, j) return b[j][i] end)
  return make(function(i, j)
    local row, column, sum = a[i], columns[j], 0.0
    for k = 1, n do sum = sum + row[k] * column[k] end
    return sum
  end)
end

local a = make(function(i, j) return (i - j) / n end)
local b = make(function(i, j) return (i + j) % 7 / n end)
local c = multiply(multiply(a, b), a)
local trace = 0
for i = 1, n do trace = trace + c[i][i] end
print(string.format("%.9f", trace))
