-- allocates: LPeg: a grammar of JSON with captures that make tables, an expression that is folded, a substitution.
-- needs: lpeg
local rounds = tonumber(arg[1]) or 240
local lpeg = require "lpeg"
local P, R, S, V, C, Cc, Cf, Cg, Cs, Ct = lpeg.P, lpeg.R, lpeg.S, lpeg.V, lpeg.C, lpeg.Cc, lpeg.Cf, lpeg.Cg, lpeg.Cs, lpeg.Ct

local space = S(" \t\n") ^ 0
local function token(p) return p * space end
local function list(item) return (item * (token(",") * item) ^ 0) ^ -1 end

local unescapes = {n = "\n", t = "\t"}
local plain = C((1 - S('"\\')) ^ 1)
local escaped = P("\\") * (C(1) / function(c) return unescapes[c] or c end)
local text = token(P('"') * Cs((plain + escaped) ^ 0) * '"')
local number = token((P("-") ^ -1 * R("09") ^ 1 * (P(".") * R("09") ^ 1) ^ -1) / tonumber)
local word = token(P("true") * Cc(true) + P("false") * Cc(false))
local json = P {
  "value",
  value = V("object") + V("array") + text + number + word,
  object = token("{") * Cf(Ct("") * list(Cg(text * token(":") * V("value"))), rawset) * token("}"),
  array = token("[") * Ct(list(V("value"))) * token("]"),
}

local function fold(a, operator, b)
  if operator == "+" then return a + b end
  if operator == "-" then return a - b end
  return a * b % 10007
end
local sum = P {
  "sum",
  sum = Cf(V("product") * Cg(C(S("+-")) * V("product")) ^ 0, fold),
  product = Cf(V("factor") * Cg(C("*") * V("factor")) ^ 0, fold),
  factor = R("09") ^ 1 / tonumber + "(" * V("sum") * ")",
}

local longer = Cs((R("az") ^ 1 / "<%0>" + 1) ^ 0)

local records = {}
for i = 1, 200 do
  records[i] = ('{"id": %d, "name": "record \\"%d\\"", "price": %.2f, "tags": ["a", "b%d"], "open": %s}')
    :format(i, i, i / 4, i % 7, i % 3 == 0)
end
local source = "[" .. table.concat(records, ", ") .. "]"
local terms = {}
for i = 1, 300 do terms[i] = ("(%d+%d)*%d"):format(i, i * 3, i % 5 + 1) end
local expression = table.concat(terms, "-")

local checksum = 0
for _ = 1, rounds do
  local all = json:match(source)
  for _, record in ipairs(all) do checksum = (checksum * 31 + record.id + #record.name + #record.tags) % 1000003 end
  checksum = (checksum * 31 + sum:match(expression) + #longer:match(source)) % 1000003
end
print(#source, checksum)
