-- allocates: an interpreter of a small Lisp with environments in tables, which runs recursive programs.
local n = tonumber(arg[1]) or 22

local function cons(head, tail) return {head, tail} end

local function read(tokens)
  local token = tokens()
  if token == "(" then
    local items, item = {}, read(tokens)
    while item ~= ")" do
      items[#items + 1] = item
      item = read(tokens)
    end
    return items
  end
  return tonumber(token) or token
end

local globals = {
  ["+"] = function(a, b) return a + b end,
  ["-"] = function(a, b) return a - b end,
  ["*"] = function(a, b) return a * b % 1000003 end,
  ["<"] = function(a, b) return a < b end,
  ["="] = function(a, b) return a == b end,
  cons = cons,
  head = function(a) return a[1] end,
  tail = function(a) return a[2] end,
  empty = function(a) return a == false end,
  none = false,
}
globals.__index = globals

local evaluate

local function make_function(names, body, scope)
  return function(...)
    local inner = setmetatable({}, scope)
    inner.__index = inner
    for i = 1, #names do inner[names[i]] = (select(i, ...)) end
    return evaluate(body, inner)
  end
end

local special = {
  ["if"] = function(form, scope)
    if evaluate(form[2], scope) then return evaluate(form[3], scope) end
    return evaluate(form[4], scope)
  end,
  define = function(form, scope) scope[form[2]] = evaluate(form[3], scope) end,
  lambda = function(form, scope) return make_function(form[2], form[3], scope) end,
}

function evaluate(form, scope)
  if type(form) == "string" then return scope[form] end
  if type(form) ~= "table" then return form end
  local handler = special[form[1]]
  if handler then return handler(form, scope) end
  local values = {}
  for i = 1, #form do values[i] = evaluate(form[i], scope) end
  return values[1](table.unpack(values, 2))
end

local program = [[
(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))))
(define range (lambda (a b) (if (< a b) (cons a (range (+ a 1) b)) none)))
(define fold (lambda (f start list) (if (empty list) start (fold f (f start (head list)) (tail list)))))
(define map (lambda (f list) (if (empty list) none (cons (f (head list)) (map f (tail list))))))
(define work (lambda (n) (fold + (fib n) (map (lambda (x) (* x (+ x n))) (range 0 20)))))
]]

local tokens = (program:gsub("[()]", " %0 ")):gmatch("%S+")
local scope = setmetatable({}, globals)
scope.__index = scope
for _ = 1, 5 do evaluate(read(tokens), scope) end
local sum = 0
for i = 1, n do sum = (sum + evaluate({"work", i}, scope)) % 1000003 end
print(sum)
