-- allocates: an expression parser out of parser combinators, which makes trees, and their evaluation.
local rounds = tonumber(arg[1]) or 170

-- A parser takes text and a position and gives a value and the next position; or nil.
local function pattern(p, convert)
  p = "^%s*(" .. p .. ")()"
  return function(text, at)
    local word, after = text:match(p, at)
    if word == nil then return nil end
    return convert and convert(word) or word, after
  end
end

local function choice(...)
  local parsers = {...}
  return function(text, at)
    for i = 1, #parsers do
      local value, after = parsers[i](text, at)
      if value ~= nil then return value, after end
    end
    return nil
  end
end

local function sequence(convert, ...)
  local parsers = {...}
  return function(text, at)
    local values = {}
    for i = 1, #parsers do
      local value, after = parsers[i](text, at)
      if value == nil then return nil end
      values[i], at = value, after
    end
    return convert(values), at
  end
end

local function many(parser)
  return function(text, at)
    local values = {}
    while true do
      local value, after = parser(text, at)
      if value == nil then return values, at end
      values[#values + 1], at = value, after
    end
  end
end

local function fold(values)
  local tree = values[1]
  for _, rest in ipairs(values[2]) do tree = {op = rest[1], left = tree, right = rest[2]} end
  return tree
end

local function pair(values) return {values[1], values[2]} end

local sum
local function lazy_sum(text, at) return sum(text, at) end
local number = pattern("%d+", function(word) return {op = "number", value = tonumber(word)} end)
local name = pattern("%a+", function(word) return {op = "name", name = word} end)
local inner = sequence(function(values) return values[2] end, pattern("%("), lazy_sum, pattern("%)"))
local factor = choice(number, name, inner)
local product = sequence(fold, factor, many(sequence(pair, pattern("[*%%]"), factor)))
sum = sequence(fold, product, many(sequence(pair, pattern("[+-]"), product)))

local function evaluate(tree, values)
  local op = tree.op
  if op == "number" then return tree.value end
  if op == "name" then return values[tree.name] end
  local left, right = evaluate(tree.left, values), evaluate(tree.right, values)
  if op == "+" then return left + right end
  if op == "-" then return left - right end
  if op == "*" then return left * right % 1000003 end
  return left % (right * right + 1)
end

local texts = {}
for i = 1, 60 do
  local parts = {"(x + " .. i .. ")"}
  for k = 1, 8 do
    parts[#parts + 1] = ({" + ", " * ", " - ", " % "})[(i + k) % 4 + 1]
    parts[#parts + 1] = k % 3 == 0 and "(y * (" .. k .. " + z))" or tostring(i * k)
  end
  texts[i] = table.concat(parts)
end
local result = 0
for round = 1, rounds do
  local values = {x = round, y = round * 7, z = 3}
  for i = 1, #texts do result = (result * 31 + evaluate(sum(texts[i], 1), values)) % 1000003 end
end
print(result)
