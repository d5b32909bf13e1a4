-- Operations of big integers, read from a file that bigs.py wrote, with what they must give.
local operators = {
  ["+"] = function(a, b) return a + b end, ["-"] = function(a, b) return a - b end,
  ["*"] = function(a, b) return a * b end, ["/"] = function(a, b) return a / b end,
  ["//"] = function(a, b) return a // b end, ["%"] = function(a, b) return a % b end,
  ["&"] = function(a, b) return a & b end, ["|"] = function(a, b) return a | b end,
  ["~"] = function(a, b) return a ~ b end, ["^"] = function(a, b) return a ^ b end,
  ["<<"] = function(a, b) return a << b end, [">>"] = function(a, b) return a >> b end,
  ["<"] = function(a, b) return a < b end, ["<="] = function(a, b) return a <= b end,
  ["=="] = function(a, b) return rc.compare(a, b) == 0 end,
  neg = function(a) return -a end, ["not"] = function(a) return ~a end,
  digits = rc.digits, parse = rc.int,
}
local made = {
  i = math.tointeger, b = rc.int, t = function(s) return s end,
  f = function(s) return s == "inf" and 1 / 0 or s == "-inf" and -1 / 0 or tonumber(s) end,
}

local function shown(x)
  if rc.type(x) == "int" then return "b" .. tostring(x) end
  if math.type(x) ~= "float" then return "t" .. tostring(x) end
  if x ~= x then return "fnan" end
  return x == made.f(("%a"):format(x)) and ("f%a"):format(x)
end

local count, wrong = 0, 0
for line in io.lines(...) do
  local name, a, b, expected = line:match "^(%S+) (%S+) (%S+) (%S+)$"
  local x, y = made[a:sub(1, 1)](a:sub(2)), made[b:sub(1, 1)](b:sub(2))
  local result = shown(operators[name](x, y))
  if expected:sub(1, 1) == "f" and expected ~= "fnan" then expected = shown(made.f(expected:sub(2))) end
  count = count + 1
  if result ~= expected and wrong < 10 then
    wrong = wrong + 1
    print(name, a, b, "gives", result, "not", expected)
  end
end
print(wrong == 0 and count > 0 and "bigs as expected" or "wrong")
