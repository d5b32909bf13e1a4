-- programs.lua SEED COUNT: makes random programs, runs them, and prints what they return or their
-- error. They have every kind of loop (nested, left early, started over), functions of every kind,
-- and operations that fail on values with and without names. All loops end.
local seed, count = tonumber(arg[1]), tonumber(arg[2])

local function random(n) -- 1..n
  seed = seed * 6364136223846793005 + 1442695040888963407
  return (seed >> 33) % n + 1
end

local function pick(...)
  return (select(random(select("#", ...)), ...))
end

local lines, names, depth, label, loops, functions

local function put(format, ...) lines[#lines + 1] = ("  "):rep(depth) .. format:format(...) end
local function new_name(kind)
  label = label + 1
  return kind .. label
end
local function name() return names[random(#names)] end

local function expression(level)
  level = level or 0
  if level > 2 then return pick(name(), name(), tostring(random(9)), "s") end
  local function sub() return expression(level + 1) end
  local kind = random(17)
  if kind == 1 then return ("(%s + %s)"):format(sub(), sub()) end
  if kind == 2 then return ("(%s %s %s)"):format(name(), pick("-", "*", "//", "%", "/", "&", "|", "~"), pick("3", "2", "7", name())) end
  if kind == 3 then return ("(%s and %s or %s)"):format(sub(), sub(), sub()) end
  if kind == 4 then return ("t[%s]"):format(sub()) end
  if kind == 5 then return ("t.%s"):format(pick("x", "y", "none", "t")) end
  if kind == 6 then return ("#%s"):format(pick("t", "s", name())) end
  if kind == 7 then return ("(%s .. %s)"):format(pick("s", name()), pick("s", "1")) end
  if kind == 8 then return ("(%s %s %s)"):format(sub(), pick("==", "~="), sub()) end
  if kind == 9 then return ("(%s %s %s)"):format(name(), pick("<", "<=", ">", ">="), pick(name(), "5", "2.5")) end
  if kind == 10 then return ("f(%s, %s)"):format(sub(), sub()) end
  if kind == 11 then return ("m:%s(%s)"):format(pick("get", "put", "none"), sub()) end
  if kind == 12 then return "m" .. pick(" + 1", ".field", "[1]", " < m", " .. 's'", "()") end
  if kind == 13 and #functions > 0 then return ("%s(%s)"):format(functions[random(#functions)], sub()) end
  if kind == 14 then return ("%s.%s.%s"):format(pick("t", "m", name()), pick("x", "t", "none"), pick("x", "y")) end
  return pick(name(), name(), tostring(random(20) - 10), tostring(random(20) / 4), "global")
end

local block

-- The head of a loop that is nested in `loops` others.
local function turns() return loops == 0 and pick(3, 31, 32, 33, 64, 65, 249, 251, 252, 600) or loops == 1 and random(20) or random(3) end

local function body(exits)
  local visible = #names
  depth, loops = depth + 1, loops + 1
  block()
  if exits and random(3) == 1 then put("if %s == %d then %s end", name(), random(9), exits) end
  depth, loops = depth - 1, loops - 1
  for i = #names, visible + 1, -1 do names[i] = nil end
end

local function numeric()
  local i, n = new_name("i"), turns()
  local head = pick("1, %d", "0, %d", "%d, 1, -1", "1.0, %d", "0, %d, 2", "1, %d / 1", "f(1, 0), %d", "t.n, %d", "1 + 0, %d",
    "-3, %d", "math.maxinteger - 5, math.maxinteger", "math.mininteger, math.mininteger + %d", "0.0, 3.0, 3 / %d",
    "math.mininteger, math.maxinteger, math.maxinteger // 2", "%d, 1", "first, %d", "s, %d", "true and 1 or 2, %d", "1, t.n or %d", "1, %d, step")
  put("for %s = " .. head .. " do", i, n)
  names[#names + 1] = i
  body("break")
  put("end")
end

local function condition()
  local w, c = new_name("w"), random(3)
  put("local %s = %d", w, turns())
  names[#names + 1] = w
  if c == 1 then
    put("while %s > 0 do %s = %s - 1", w, w, w)
    body("break")
    put("end")
  elseif c == 2 then
    put("repeat %s = %s - 1", w, w)
    body("break")
    put("until %s <= 0%s", w, pick("", " or global", " or not t"))
  else
    put("::%s:: do %s = %s - 1", "top" .. w, w, w)
    body()
    put("end")
    put("if %s > 0 then goto %s end", w, "top" .. w)
  end
end

local function generic()
  local k, v = new_name("k"), new_name("v")
  put("for %s, %s in %s do", k, v, pick("pairs({1, 2, 3})", "ipairs(t)", "next, {x = 1}", "iterate(%d)", "coroutine.wrap(produce)", "5", "m"):format(turns()))
  names[#names + 1], names[#names + 2] = k, v
  body("break")
  put("end")
end

local function closure()
  local g, p = new_name("g"), new_name("p")
  local outer_names, outer_loops, outer_functions = names, loops, functions
  put("local function %s(%s%s)", g, p, pick("", ", ...", ", second"))
  names = { p, "acc", name() }
  functions = {}
  depth, loops = depth + 1, 2
  if random(2) == 1 then put("if %s == 1 then return %s end", p, p) end
  block()
  put("return %s", pick(p, expression(), "..."):gsub("^%.%.%.$", p))
  depth, loops = depth - 1, outer_loops
  names, functions = outer_names, outer_functions
  put("end")
  functions[#functions + 1] = g
end

local function statement()
  local kind = random(14)
  if kind <= 2 and loops < 3 then return numeric() end
  if kind <= 4 and loops < 3 then return condition() end
  if kind == 5 and loops < 3 then return generic() end
  if kind == 6 and depth < 4 then return closure() end
  if kind == 7 then
    put("if %s then", expression())
    depth = depth + 1
    local visible = #names
    block()
    for i = #names, visible + 1, -1 do names[i] = nil end
    depth = depth - 1
    return put("end")
  end
  if kind == 8 then
    local x = new_name("x")
    put("local %s = %s", x, expression())
    names[#names + 1] = x
    return
  end
  if kind == 9 then
    local traced = random(4) == 1
    return put("note(%s(function(...) local a, b = ... %s end, %s1))", traced and "xpcall" or "pcall", pick(
    "return a.x.y", "return b.x", "return a + t", "for i = 1, 40 do b = b .. i end", "while a do a = a.next.next end",
    "local c <close> = m return c.x.y", "return #a", "for i = 1, {} do end", "for i = 1, 2, 0 do end", "for k in a do end",
    "t.none()", "t:none()", "none()", "a.b = 1", "return a < t", "return t < t", "return -s", "return t .. 'x'", "return 1.5 | 1",
    "repeat local z = a.b until z.c", "return ...", "return select('#', ...)", "return f(...)", "error('mine', 2)", "goto l ::l:: return b()"), traced and "debug.traceback, " or "")
  end
  if kind == 10 then return put("t[%s] = %s", pick("1", "acc", "'k'", name()), expression()) end
  if kind == 11 then return put("t.%s = %s", pick("x", "y"), expression()) end
  if kind == 12 then return put("do local c <close> = m acc = acc + 1 end") end
  if kind == 13 then return put("step = %s", pick("1", "2", "-1", "0.5", "1")) end
  local x = name()
  put("%s = %s", x:find("^[wp]") and "acc" or x, pick("acc + 1", expression(), "acc"))
end

function block()
  for _ = 1, random(3) do statement() end
  put("acc = (tonumber(acc) or 0) + 1")
end

local prelude = [[
local acc, n, s, first, step, f, produce = 1, 3, "text", 1, 1
local t = { 1, 2, 3, x = 4, y = 5.5, t = { x = 6 }, n = 7 }
local m = setmetatable({}, {
  __index = function(_, k) return k == "field" and 1 or k == "get" and f or nil end,
  __add = function(a, b) return tonumber(b) or 0 end, __lt = function() return true end,
  __call = function(self, ...) return nil end, __concat = function() return "joined" end,
  __close = function() acc = (tonumber(acc) or 0) + 2 end, __eq = function() return true end })
function f(a, b) if a == nil then return 1 end return tonumber(a) or b end
local function iterate(k) return function(_, i) if i < k then return i + 1, i end end, nil, 0 end
function produce() for i = 1, 5 do coroutine.yield(i, -i) end end
local function note(...) notes[#notes + 1] = table.concat({ tostring((...)), tostring((select(2, ...))) }, " ") end
]]

local function program()
  lines, names, depth, label, loops, functions = {}, { "acc", "n" }, 0, 0, 0, {}
  for _ = 1, 3 + random(5) do statement() end
  put("return acc, n, t.x, step")
  return table.concat(lines, "\n")
end

for i = 1, count do
  local text = prelude .. program()
  notes = {}
  if arg[3] == tostring(i) then print(text) end
  local code, message = load(text, "=program")
  if not code then error(message .. "\n" .. text) end
  local results = table.pack(pcall(code))
  for j = 1, results.n do results[j] = type(results[j]) == "table" and "table" or tostring(results[j]):gsub("0x%x+", "address") end
  print(i, table.concat(results, " "), #notes)
  for j = 1, math.min(#notes, 20) do print("", (notes[j]:gsub("0x%x+", "address"))) end
end
