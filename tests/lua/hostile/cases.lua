-- Attempts to get past the limit on heartbeats, by name: each works for ever where the limit does
-- not hold. `ready` says that what comes now is the attempt, and what came before its preparation.
-- refuse(f, ...) must be an error, and such a case ends.
local case, refused = {}, {}
local name = ...
local function ready() io.stderr:write("ready\n") end
local function refuse(f, ...)
  assert(not pcall(f, ...), "it was not refused")
  refused[#refused + 1] = true
end
local function spin() while true do end end
local function forever(f, ...) ready() while true do f(...) end end
local function many(n) return ("x"):rep(n) end
local function array(n) return { many(n):byte(1, -1) } end -- n numbers, for few ticks

-- ---- Loops

case["while"] = spin
case["repeat"] = function() repeat until false end
case["goto"] = function() ::again:: goto again end
case["goto, two labels"] = function() ::a:: goto b ::b:: goto a end
case["numeric for"] = function() for _ = 1, math.maxinteger do end end
case["numeric for, downwards"] = function() for _ = math.maxinteger, math.mininteger, -1 do end end
case["numeric for, floats"] = function() for _ = 1.0, 1e300, 0.5 do end end
case["numeric for, float that stands still"] = function() for _ = 1e17, math.huge do end end
case["numeric for, when functions of floats are owed for"] = function()
  local function f() end
  local x, y, n, _ = 1e300, 3e-300, (1 << 57) + 2, nil
  ready()
  for k = 1, 252 do
    for _ = 1, k do f() end
    _ = x % y _ = x % y _ = x % y _ = x % y _ = x % y _ = x % y _ = x % y _ = x % y
    _ = x % y _ = x % y _ = x % y _ = x % y _ = x % y _ = x % y _ = x % y _ = x % y
    beat.ticks()
    for i = 1, n do if i > 3 then break end end
  end
  spin()
end
case["nested for"] = function()
  for _ = 1, 1e6 do for _ = 1, 1e6 do for _ = 1, 1e6 do end end end
end
case["short loops in a long one"] = function() while true do for _ = 1, 3 do end end end
case["generic for, C iterator"] = function() for _ in type, nil do end end
case["generic for, rawlen"] = function() for _ in rawlen, "x" do end end
case["generic for, ipairs of a proxy"] = function()
  for _ in ipairs(setmetatable({}, { __index = function() return 1 end })) do end
end
case["generic for, ipairs with a C metamethod"] = function()
  for _ in ipairs(setmetatable({}, { __index = rawequal })) do end
end
case["recursion"] = function() local function f() return 1 + f() end forever(pcall, f) end
case["tail calls"] = function() local function f() return f() end f() end
case["tail calls of pcall"] = function() local function f() return pcall(f) end forever(f) end
case["doubly recursive"] = function() local function f(n) if n > 0 then f(n - 1) f(n - 1) end end f(60) end
case["method calls"] = function() local o = {} function o:m(n) if n > 0 then self:m(n - 1) self:m(n - 1) end end o:m(60) end
case["closures"] = function() while true do local f = function() return f end end end

-- ---- Coroutines

case["coroutine"] = function() coroutine.resume(coroutine.create(spin)) end
case["coroutine.wrap"] = function() pcall(coroutine.wrap(spin)) end
case["short coroutines"] = function() while true do coroutine.wrap(function() end)() end end
case["coroutines that only are made"] = function() while true do coroutine.create(spin) end end
case["coroutines by turns"] = function()
  local all = {}
  for i = 1, 100 do all[i] = coroutine.wrap(function() while true do coroutine.yield() end end) end
  ready()
  while true do for _, co in ipairs(all) do co() end end
end
case["coroutine as an iterator"] = function()
  for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end
end
case["coroutine of a C function"] = function() forever(function() coroutine.wrap(pcall)(type, 1) end) end
case["coroutine.wrap of coroutine.wrap"] = function()
  local function f() return pcall(coroutine.wrap(f)) end
  forever(f)
end
case["dead coroutines"] = function()
  local co = coroutine.create(type)
  forever(coroutine.resume, co)
end
case["coroutine.close"] = function()
  local co = coroutine.create(function()
    local x <close> = setmetatable({}, { __close = spin })
    coroutine.yield()
  end)
  coroutine.resume(co)
  ready()
  coroutine.close(co)
end
case["closing many"] = function()
  forever(function()
    local co = coroutine.create(coroutine.yield)
    coroutine.resume(co)
    coroutine.close(co)
  end)
end
case["many values through resume"] = function()
  local co = coroutine.wrap(function(...) while true do coroutine.yield(...) end end)
  local t = array(50000)
  ready()
  while true do co(table.unpack(t)) end
end
case["yield across pcall"] = function()
  local co = coroutine.wrap(function() while true do pcall(coroutine.yield) end end)
  forever(co)
end

-- ---- Errors and what catches them

case["pcall in a loop"] = function() while true do pcall(spin) end end
case["pcall of error"] = function() forever(pcall, error) end
case["pcall of pcall"] = function() forever(pcall, pcall, pcall, pcall, pcall, error) end
case["xpcall with a handler that spins"] = function() xpcall(error, spin) end
case["xpcall around a loop"] = function() xpcall(spin, function() return "caught" end) end
case["handler that fails"] = function() forever(xpcall, error, error) end
case["handler that fails in Lua"] = function() forever(xpcall, error, function() local t = nil; t() end) end
case["xpcall of xpcall"] = function() forever(xpcall, xpcall, xpcall, error, error) end
case["error with a __tostring that spins"] = function() error(setmetatable({}, { __tostring = spin })) end
case["bad arguments"] = function() forever(pcall, string.rep) end
case["error at a deep level"] = function()
  local function deep(n) if n == 0 then forever(pcall, error, "x", 190000) end return (deep(n - 1)) end
  deep(5000)
end
case["C stack overflow"] = function()
  local function f(s) return (s:gsub(".", f)) end
  forever(pcall, f, "x")
end
case["__close"] = function() local x <close> = setmetatable({}, { __close = spin }) end
case["__close in a loop"] = function()
  local closes = setmetatable({}, { __close = type })
  while true do local x <close> = closes end
end
case["__close after an error"] = function()
  forever(pcall, function() local x <close> = setmetatable({}, { __close = error }) error("x") end)
end
case["__close while the guest is stopped"] = function()
  local x <close> = setmetatable({}, { __close = function() spin() end })
  spin()
end
case["assert"] = function() forever(pcall, assert, false) end
case["errors, many globals"] = function()
  for i = 1, 9000 do _G["g" .. i] = i end
  forever(pcall, string.rep)
end
case["stack traces, many globals"] = function()
  for i = 1, 9000 do _G["g" .. i] = i end
  forever(debug.traceback)
end
case["stack traces of a deep stack"] = function()
  local function deep(n) if n == 0 then forever(debug.traceback) end return (deep(n - 1)) end
  deep(10000)
end
case["debug.getinfo of a deep stack"] = function()
  local function deep(n) if n == 0 then forever(debug.getinfo, 9999, "l") end return (deep(n - 1)) end
  deep(10000)
end

-- ---- Metamethods

local function tree(event, use)
  local value = setmetatable({}, {})
  local depth = 0
  getmetatable(value)[event] = function()
    if depth == 60 then return 1 end
    depth = depth + 1
    use(value) use(value)
    depth = depth - 1
    return 1
  end
  use(value)
end
case["tree of __index"] = function() tree("__index", function(v) return v.x end) end
case["tree of __newindex"] = function() tree("__newindex", function(v) v.x = 1 end) end
case["tree of __add"] = function() tree("__add", function(v) return v + v end) end
case["tree of __concat"] = function() tree("__concat", function(v) return v .. "x" end) end
case["tree of __lt"] = function() tree("__lt", function(v) return v < v end) end
case["tree of __len"] = function() tree("__len", function(v) return #v end) end
case["tree of __call"] = function() tree("__call", function(v) return v() end) end
case["tree of __unm"] = function() tree("__unm", function(v) return -v end) end
case["tree of __tostring"] = function() tree("__tostring", function(v) return pcall(tostring, v) end) end
case["tree of __pairs"] = function() tree("__pairs", function(v) return pairs(v) end) end
case["tree through table.unpack"] = function()
  tree("__index", function(v) return table.unpack(v, 1, 1) end)
end
case["tree of C functions"] = function()
  local bottom = { 1, 1 }
  for _ = 1, 60 do
    local below = bottom
    bottom = setmetatable({}, { __index = function(_, i) return (table.concat(below, "", 1, 2)):len() + i end })
  end
  ready()
  table.concat(bottom, "", 1, 2)
end
case["__index, many tables deep"] = function()
  local t = {}
  for _ = 1, 1900 do t = setmetatable({}, { __index = t }) end
  ready()
  while true do local _ = t.x end
end
case["C functions as metamethods"] = function()
  local t = setmetatable({}, { __index = rawequal, __add = rawequal, __call = rawequal })
  while true do local _ = t.x, t + 1, t(1) end
end
case["__gc that makes another"] = function()
  local function arm() setmetatable({}, { __gc = arm }) end
  arm()
  forever(collectgarbage)
end

-- ---- Tables

case["next on an array that was emptied"] = function()
  local t = array(500000)
  table.move({}, 1, #t, 1, t)
  forever(next, t)
end
case["pairs on an array that was emptied"] = function()
  local t = array(500000)
  table.move({}, 1, #t, 1, t)
  ready()
  while true do for _ in pairs(t) do end end
end
case["next before a hole"] = function()
  local t = array(500000)
  table.move({}, 1, #t - 2, 2, t)
  forever(next, t, 1)
end
local function emptied()
  local t = {}
  for i = 1, 1 << 15 do t[-i] = true end
  for i = 2, 1 << 15 do t[-i] = nil end
  return t
end
case["next on keys that were removed"] = function()
  local t = emptied()
  t[-1] = nil
  forever(next, t)
end
case["next from the last key"] = function() forever(next, emptied(), -1) end
case["next by turns, more tables than are remembered"] = function()
  local all = {}
  for i = 1, 20 do
    all[i] = {}
    for k = 1, 1000 do all[i][-k] = true end
  end
  ready()
  while true do for i = 1, 20 do next(all[i], -1) end end
end
case["== of long texts"] = function()
  local a, b = many(1000000), many(1000000)
  forever(function() return a == b end)
end
case["< of long texts"] = function()
  local a, b = many(1000000), many(1000000)
  forever(function() return a < b end)
end
case["a long text as a key"] = function()
  local t, key = { [many(1000000)] = 1 }, many(1000000)
  forever(function() return t[key] end)
end
case["many arguments"] = function()
  local function f(...) return ... end
  local function g(...) while true do f(...) end end
  forever(g, many(10000):byte(1, -1))
end
case["__call, many tables deep"] = function()
  local t = type
  for _ = 1, 1000 do t = setmetatable({}, { __call = t }) end
  forever(pcall, t)
end
case["colliding integers"] = function()
  local t = {}
  for i = 1, 1000 do t[i * 1023] = true end
  ready()
  while true do local _ = t[1023 * 5000] end
end
case["table.insert at the front"] = function() forever(table.insert, array(20000), 1, 0) end
case["table.remove from the front"] = function()
  local t = array(100000)
  ready()
  while true do table.remove(t, 1) t[#t + 1] = 0 end
end
case["table.move"] = function() forever(table.move, array(100000), 1, 100000, 2) end
case["table.move of nothing"] = function() table.move({}, 1, math.maxinteger - 1, 1, {}) end
case["table.move, C metamethods"] = function()
  table.move(setmetatable({}, { __index = rawequal }), 1, 1 << 40, 1, setmetatable({}, { __newindex = rawequal }))
end
case["table.concat"] = function() forever(table.concat, array(100000)) end
case["table.concat of nothing much"] = function()
  table.concat(setmetatable({}, { __index = function() return "" end }), "", 1, 1 << 50)
end
case["table.concat, long separators"] = function() forever(table.concat, array(1000), many(1000)) end
case["table.unpack"] = function() forever(table.unpack, array(100000)) end
case["table.unpack of a proxy"] = function()
  forever(table.unpack, setmetatable({}, { __index = rawequal }), 1, 100000)
end
case["table.pack"] = function() local t = array(100000) ready() while true do table.pack(table.unpack(t)) end end
case["select"] = function() local t = array(100000) ready() while true do select("#", table.unpack(t)) end end
case["select, one by one"] = function()
  local function f(...) for i = 1, select("#", ...) do local _ = select(i, ...) end end
  local t = array(10000)
  ready()
  while true do f(table.unpack(t)) end
end
case["sort"] = function() local t = array(30000) forever(table.sort, t) end
case["sort, order function that spins"] = function() table.sort({ 1, 2, 3 }, spin) end
case["sort, wrong order"] = function() forever(pcall, table.sort, array(5000), function() return true end) end
case["sort, C order function"] = function() forever(table.sort, array(5000), math.ult) end
case["sort, long texts"] = function()
  local t, s = {}, many(100000)
  for i = 1, 20 do t[i] = s .. i end
  forever(table.sort, t)
end
case["sort, no length"] = function()
  table.sort(setmetatable({}, { __len = function() return 1 << 30 end, __index = function(_, i) return i end,
    __newindex = type }))
end

-- ---- Texts and numbers

case["tonumber of a long numeral"] = function() forever(tonumber, (" "):rep(1000000) .. "1") end
case["tonumber, with a base"] = function() forever(tonumber, ("1"):rep(1000000), 36) end
case["select by a long numeral"] = function() forever(select, (" "):rep(1000000) .. "1") end
case["powers in the middle between floats"] = function()
  load("ready, x, y = ... ready() while true do " .. ("z = x ^ y "):rep(5000) .. " end")(ready, 208065.0 ^ 2, 1.5)
end
case["functions of floats to 256 bits"] = function() forever(math.sinh, 1.5) end
case["math by a long numeral"] = function() forever(math.floor, (" "):rep(1000000) .. "1") end
case["math.random by a long numeral"] = function() forever(math.random, (" "):rep(1000000) .. "1") end
case["os.date, a long format"] = function() forever(os.date, ("%c"):rep(10000)) end
case["tostring"] = function() forever(tostring, 0.1) end
case["utf8.len"] = function() forever(utf8.len, many(1000000)) end
case["utf8.offset"] = function() forever(utf8.offset, many(1000000), 999999) end
case["utf8.offset, backwards"] = function() forever(utf8.offset, ("\x80"):rep(1000000), 0, 900000) end
case["utf8.codepoint"] = function() forever(utf8.codepoint, many(100000), 1, -1) end
case["utf8.char"] = function() local t = array(100000) ready() while true do utf8.char(table.unpack(t)) end end
case["utf8.codes"] = function() ready() while true do for _ in utf8.codes(many(1000)) do end end end
case["utf8.codes, bytes that continue"] = function()
  local step, s = utf8.codes(""), ("\x80"):rep(1000000)
  forever(step, s, 0)
end
case["rawequal of long texts"] = function() forever(rawequal, many(1000000), many(1000000)) end
case["rawget by a long text"] = function()
  local t, key = { [many(1000000)] = true }, many(1000000)
  forever(rawget, t, key)
end
case["rawset by a long text"] = function()
  local t, key = { [many(1000000)] = true }, many(1000000)
  forever(rawset, t, key, true)
end
case["concatenation"] = function() local s = many(100000) while true do local _ = s .. s end end
case["concatenation that doubles"] = function() local s = "x" while true do s = s .. s end end
case["print"] = function() forever(print, many(100000)) end
case["warn"] = function() forever(warn, many(100000)) end

-- ---- Strings

case["string.rep of nothing"] = function() forever(string.rep, "", 1 << 50) end
case["string.rep"] = function() forever(string.rep, "x", 1000000) end
case["string.format"] = function() forever(string.format, "%99.99f", 1e300) end
case["string.find that backtracks"] = function() forever(string.find, many(3000), ".-.-.-.-b") end
case["string.find of classes"] = function() forever(string.match, many(100000), "[^%w]*[%w]*[%w]*y") end
case["string.find, anchors and captures"] = function() forever(string.find, many(30000), "^(((x+)+)+)y") end
case["string.find, %b"] = function() forever(string.find, ("("):rep(30000), "%b()") end
case["string.find, %f"] = function() forever(string.find, many(300000), "%f[y]") end
case["string.gsub"] = function() forever(string.gsub, many(100000), "x", "yy") end
case["string.gsub, a function that spins"] = function() many(9):gsub(".", spin) end
case["string.gmatch"] = function() ready() while true do for _ in many(10000):gmatch("()") do end end end
case["string.gmatch of nothing"] = function() ready() while true do for _ in (""):gmatch("") do end end end
case["string.pack"] = function() forever(string.pack, (" "):rep(1000000)) end
case["string.packsize"] = function() forever(string.packsize, ("i1"):rep(100000)) end
case["string.unpack"] = function() forever(string.unpack, ("b"):rep(100), many(1000)) end
case["string.reverse"] = function() forever(string.reverse, many(1000000)) end
case["string.byte"] = function() forever(string.byte, many(100000), 1, -1) end
case["string.upper"] = function() forever(string.upper, many(1000000)) end
case["remainders of floats"] = function()
  local f = load("local a, b = 1e308, 1.1e-308 while true do " .. ("x = a % b "):rep(1000) .. "end")
  ready()
  f()
end
case["string arithmetic"] = function()
  local s = (" "):rep(1000000) .. "1"
  forever(function() return s + 1 end)
end

-- ---- Loading

case["load, a reader that spins"] = function() load(spin) end
case["load, spaces without end"] = function() load(function() return " " end) end
case["load, a comment without end"] = function() local s = "--" .. many(1000) load(function() return s end) end
case["load of a long text"] = function() forever(load, ("x = 1 "):rep(20000)) end
case["load of what is wrong at its end"] = function() forever(load, ("x = 1 "):rep(20000) .. "=") end
case["load of a long condition"] = function() forever(load, "local a return a" .. (" and a"):rep(60000)) end
case["load of a long elseif"] = function() forever(load, "local a if a then" .. (" elseif a then"):rep(60000) .. " end") end
case["load of many jumps"] = function()
  forever(load, "while true do " .. ("if a then break end "):rep(30000) .. " end")
end
case["load of deep brackets"] = function() forever(load, "return " .. ("("):rep(150) .. "1" .. (")"):rep(150)) end
case["load of functions deep in others, full of locals"] = function()
  local deep = "local function f() local a" .. (", b"):rep(190) .. " "
  forever(load, deep:rep(150) .. ("x=x "):rep(2000) .. ("end "):rep(150))
end
case["load of functions full of upvalues"] = function()
  local names, uses = {}, {}
  for i = 1, 190 do names[i] = "v" .. i uses[i] = "v" .. i .. "=1 " end
  local head = "local " .. table.concat(names, ",") .. " "
  forever(load, head .. ("local function f() " .. table.concat(uses)):rep(20) .. ("x=x "):rep(2000) .. ("end "):rep(20))
end
case["load of a short text"] = function() forever(load, "return 1") end
case["loaded code"] = function() load("while true do end")() end
case["loaded code that loads"] = function()
  s = "return load(s)()"
  load(s)()
end
case["bytecode, as text"] = function()
  local code = "\27Lua" .. ("\0"):rep(100)
  refuse(function() assert(load(code)) end)
  refuse(function() assert(load(code, "c", "b")) end)
end
case["bytecode, in pieces"] = function()
  local pieces = { "\27", "Lua" }
  refuse(function() assert(load(function() return table.remove(pieces, 1) end, "c", "bt")) end)
end
case["require along a long path"] = function()
  package.path = ("/nowhere/?;"):rep(10000)
  forever(pcall, require, "x")
end
case["package.searchpath"] = function() forever(package.searchpath, "x", ("/nowhere/?;"):rep(10000)) end
case["what could undo the limits"] = function()
  for _, f in ipairs { "sethook", "getregistry", "setuservalue", "setlocal", "setupvalue", "getupvalue" } do
    refuse(debug[f])
  end
  refuse(os.execute)
  refuse(io.popen)
  refuse(package.loadlib)
end

-- ---- The collector

local function heap(n)
  local t = {}
  for i = 1, n do t[i] = {} end
  return t
end
case["collectgarbage"] = function() local t = heap(5000) forever(collectgarbage) return t end
case["collectgarbage, steps"] = function() local t = heap(5000) forever(collectgarbage, "step") return t end
case["collectgarbage, change of mode"] = function()
  local t = heap(5000)
  ready()
  while true do collectgarbage("incremental") collectgarbage("generational") end
  return t
end
case["collectgarbage, no pause"] = function()
  local t = heap(5000)
  collectgarbage("incremental", 1, 1000, 1)
  ready()
  while true do local _ = {} end
  return t
end
case["collectgarbage, tiny generations"] = function()
  local t = heap(5000)
  collectgarbage("generational", 1, 1)
  ready()
  while true do local _ = {} end
  return t
end
case["collectgarbage, restart"] = function()
  local t = heap(5000)
  ready()
  while true do collectgarbage("restart") local _ = {} end
  return t
end
case["collectgarbage, stop"] = function() collectgarbage("stop") while true do local _ = { {}, {} } end end
case["collectgarbage, count"] = function() forever(collectgarbage, "count") end
case["many finalizers"] = function()
  local mt = { __gc = type }
  while true do setmetatable({}, mt) end
end

-- ---- Counted structures

case["rc, a map that is walked"] = function()
  local m = rc.draft(rc.map())
  for i = 1, 1000 do m[i] = i end
  ready()
  while true do for _ in pairs(m) do end end
end
case["rc, made and dropped"] = function() ready() while true do rc.drop(rc.list()) end end
case["file:write of long texts"] = function()
  local f, text = io.tmpfile(), many(1000000)
  forever(function() f:write(text) f:seek("set") end)
end
case["io.write of long texts"] = function()
  local text = many(1000000)
  io.output(io.tmpfile())
  forever(function() io.write(text) io.output():seek("set") end)
end
case["collections at the memory limit"] = function()
  local keep, text = {}, many(800)
  local function left() return 32 * 1024 - collectgarbage("count") end
  ready()
  while left() > 500 do keep[#keep + 1] = array(3000) end
  while left() > 2 do keep[#keep + 1] = text .. #keep end
  while true do local _ = text .. left() end
end
case["rc, versions"] = function()
  local v = rc.vector(array(100))
  ready()
  while true do local _ = v:push(1) end
end
case["rc, a draft of many elements"] = function()
  local d = rc.vector(array(10000)):draft()
  ready()
  while true do
    local v = d:value()
    for i = 1, #d, 32 do d[i] = i end
  end
end
case["rc, of a large table"] = function() forever(rc.vector, array(100000)) end
case["rc, of an emptied table"] = function()
  local t = {}
  for i = 1, 40000 do t["k" .. i] = i end
  for i = 1, 40000 do t["k" .. i] = nil end
  forever(rc.map, t)
end
case["rc, parts of a vector"] = function() forever(rc.sub, rc.vector(array(100000)), 2, -2) end
case["rc, equal vectors"] = function()
  local a, b = rc.vector(array(100000)), rc.vector(array(100000))
  ready()
  while true do local _ = a == b end
end
case["rc, equal texts"] = function() forever(rc.compare, rc.rope(many(3000000)), many(3000000)) end
case["rc, a rope of 2^47 bytes"] = function()
  local long = rc.rope("x")
  for _ = 1, 47 do long = long .. long end
  forever(pcall, rc.hash, long)
end
case["rc, a rope of 2^47 bytes as a string"] = function()
  local long = rc.rope("x")
  for _ = 1, 47 do long = long .. long end
  ready()
  while true do pcall(tostring, long) pcall(rc.encode, long) end
end
case["rc, a rope as a string"] = function() forever(tostring, rc.rope(many(1000000))) end
case["rc, rope and string"] = function()
  local s = many(1000000)
  forever(function() return rc.rope("x") .. s end)
end
case["rc, the bytes of a rope"] = function()
  local r = rc.rope(many(1000))
  ready()
  while true do for _ in ipairs(r) do end for _ in pairs(r) do end end
end
local function doubled() -- 2^90 values for who looks at each
  local v = rc.list { 1 }
  for i = 1, 90 do v = i % 2 == 0 and rc.vector { v, v } or rc.map { v, v } end
  return v
end
case["rc, hash of what is held twice"] = function() forever(rc.hash, doubled()) end
case["rc, order of what is held twice"] = function() forever(rc.compare, doubled(), doubled()) end
case["rc, encoding of what is held twice"] = function() forever(pcall, rc.encode, doubled()) end
case["rc, text of what is held twice"] = function() forever(tostring, doubled()) end
case["rc, as a key"] = function()
  local m, key = rc.draft(rc.map()), rc.vector(array(10000))
  ready()
  while true do m[key] = 1 local _ = m[key] end
end
case["rc, keys of many bytes"] = function()
  local m, key = rc.map(), many(1000000)
  ready()
  while true do local _ = m[key] end
end
local function mix(h)
  h = (h ~ h >> 30) * 0xbf58476d1ce4e5b9
  h = (h ~ h >> 27) * 0x94d049bb133111eb
  return h ~ h >> 31
end
local function collides(low) -- the second limb undoes the first
  local factor = 0x9e3779b97f4a7c15
  return rc.int(("%x%016x"):format(0x51ce - mix(4 * factor + low) * factor, low), 16)
end
case["rc, keys with one hash"] = function()
  local m = rc.draft(rc.map())
  ready()
  for i = 1, math.huge do m[collides(i)] = i end
end
case["rc, a key with others' hash"] = function()
  local m = rc.draft(rc.map())
  for i = 1, 300 do m[collides(i)] = i end
  local v, key = rc.value(m), collides(0)
  ready()
  while true do local _ = v[key] end
end
case["rc, order of keys with one hash"] = function()
  local m = rc.draft(rc.map())
  for i = 1, 300 do m[collides(i)] = i end
  forever(rc.encode, rc.value(m))
end
case["rc, decoding"] = function() forever(rc.decode, rc.encode(rc.vector(array(100000)))) end
case["rc, decoding of junk"] = function() forever(pcall, rc.decode, "RC\1" .. many(1000000)) end
case["rc, products"] = function()
  local n = (rc.int(1) << 1000000) - 1
  ready()
  while true do local _ = n * n end
end
case["rc, small products"] = function()
  local n = (rc.int(1) << 2000) - 1
  ready()
  while true do local _ = n * n end
end
case["rc, one product"] = function()
  local n = (rc.int(1) << 40000000) - 1
  ready()
  forever(function() return n * n end)
end
case["rc, powers"] = function() forever(function() return rc.int(3) ^ 1000000 end) end
case["rc, quotients"] = function()
  local n, m = (rc.int(1) << 100000) - 1, (rc.int(1) << 50000) - 1
  ready()
  while true do local _, _ = n // m, n % m end
end
case["rc, quotients by a small one"] = function()
  local n = (rc.int(1) << 1000000) - 1
  ready()
  while true do local _ = n // 3 end
end
case["rc, sums"] = function()
  local n = (rc.int(1) << 1000000) - 1
  ready()
  while true do local _, _, _ = n + 1, n - n, -n end
end
case["rc, shifts"] = function()
  local n = (rc.int(1) << 1000000) - 1
  ready()
  while true do local _ = n << 1000000 >> 1999999 end
end
case["rc, bits"] = function()
  local n = (rc.int(1) << 1000000) - 1
  ready()
  while true do local _, _, _, _ = n & -n, n | -3, n ~ n, ~n end
end
case["rc, nearest floats"] = function()
  local n, m = (rc.int(1) << 1000000) - 1, (rc.int(1) << 500000) - 1
  ready()
  while true do local _, _ = n / m, m / 0.1 end
end
case["rc, digits"] = function() forever(rc.int, ("7"):rep(10000)) end
case["rc, integers as text"] = function() forever(tostring, rc.int(7) ^ 10000) end
case["rc, hashes of integers"] = function() forever(rc.hash, rc.int(1) << 10000000) end

-- ---- Keys that collide

local function collide(set, key)
  local t = {}
  ready()
  for i = 1, 100000 do set(t, key(i), true) end
  while true do local _ = t[key(0)] end
end
local function put(t, k, v) t[k] = v end
case["colliding integers, one by one"] = function() collide(put, function(i) return i * 131071 end) end
case["colliding integers, by rawset"] = function() collide(rawset, function(i) return i * 131071 end) end
case["keys that come and go beside an array"] = function()
  local t, names = array(1 << 18), {}
  for i = 1, 64 do names[i] = "k" .. i end
  ready()
  while true do
    for i = 1, 64, 2 do
      local a, b = names[i], names[i + 1]
      t[a], t[b] = 1, 1
      t[a], t[b] = nil, nil
    end
  end
end
case["colliding floats"] = function() collide(put, function(i) return 1.5 + i * 2.0 ^ -52 end) end
case["colliding integers when a table grows"] = function()
  local t = {}
  ready()
  for i = 1, (1 << 16) + 1 do t[i * ((1 << 17) - 1)] = true end
end
case["colliding texts"] = function()
  local pairs = { "1aaoca", "bbaAca", "Caabba", "Faacba", "eaaBba", "Cbabca", "caaBba", "Bbaaca", "Bbaaca", "baaAba", "faaCba", "baaAba", "Cbabca" }
  local function text(i)
    local s = ""
    for k = 1, 13 do
      local from = i >> k & 1
      s = pairs[k]:sub(from * 3 + 1, from * 3 + 3) .. s
    end
    return s
  end
  collide(put, text)
end

-- ---- The collector's work

case["weak keys in a bad order"] = function()
  local n, keys, weak = 20000, {}, setmetatable({}, { __mode = "k" })
  for i = 1, n do keys[i] = {} end
  for i = n, 2, -1 do
    local j = i * 7919 % i + 1
    keys[i], keys[j] = keys[j], keys[i]
  end
  for i = 1, n - 1 do weak[keys[i]] = keys[i + 1] end
  local first = keys[1]
  keys = nil
  forever(collectgarbage)
  return first
end
case["tables of weak keys in a bad order"] = function()
  local n, keys, all, mt = 5000, {}, {}, { __mode = "k" }
  for i = 1, n do keys[i] = {} end
  for i = 1, n do all[i] = setmetatable({}, mt) end
  for i = 1, n - 1 do all[i * 2477 % n + 1][keys[i]] = keys[i + 1] end
  local first = keys[1]
  keys = nil
  forever(collectgarbage)
  return first, all
end
case["finalizers for what is old"] = function()
  local old, mt = array(8000), { __gc = type }
  for i = 1, #old do old[i] = {} end
  local heap = array(100000)
  for i = 1, #heap do heap[i] = {} end
  ready()
  for i = 1, #old do setmetatable(old[i], mt) end
  spin()
end

-- ---- Others

case["long code, called from long code"] = function()
  local leaf = load("local x = 1 " .. ("x = 1 "):rep(2000))
  forever(load("local leaf = ... " .. ("leaf() "):rep(2000)), leaf)
end
case["long code in a loop"] = function()
  load("local t = {} for _ = 1, math.maxinteger do " .. ("t.x = 1 "):rep(5000) .. " end")()
end
case["long code before a return that is early"] = function()
  forever(load("if ... then local x = 1 " .. ("x = 1 "):rep(20000) .. " return end type()"), true)
end
case["names in a long function"] = function()
  local function asks() debug.getinfo(1, "n") end
  load("local asks, ready = ... " .. ("x = 1 "):rep(200000) .. "ready() while true do asks() end")(asks, ready)
end
case["results that pass many calls"] = function()
  local t = array(50000)
  local function through(n) if n == 0 then return table.unpack(t) end return nil, through(n - 1) end
  forever(through, 1000)
end
case["results that pass many calls of pcall"] = function()
  local t = array(50000)
  local function through(n) if n == 0 then return table.unpack(t) end return pcall(through, n - 1) end
  forever(through, 100)
end
case["arguments that pass many calls of C functions"] = function()
  local f = load("local f, x, unpack = ... x = " .. ("f(true, "):rep(100) .. "unpack(x)" .. (")"):rep(100))
  forever(f, assert, array(50000), table.unpack)
end
case["< of texts with zeros"] = function()
  local a = ("\0"):rep(1000000)
  local b = a .. "x"
  forever(function() return a < b end)
end
case["long texts as keys that differ late"] = function()
  local t = {}
  for i = 1, 20 do t[many(100000) .. i] = i end
  local key = many(100000) .. 1
  forever(function() return t[key] end)
end
case["long texts as names of methods"] = function()
  local t = { [many(100000)] = type }
  local f = load("local t = ... return t." .. many(100000) .. ", t:" .. many(100000) .. "()")
  forever(f, t)
end
case["__gc that spins"] = function() setmetatable({}, { __gc = spin }) collectgarbage() end
case["__gc that spins at the end"] = function() setmetatable({}, { __gc = spin }) end
case["numeric for, long numerals"] = function()
  local s = (" "):rep(1000000) .. "1"
  forever(pcall, function() for _ = 1, s do end end)
end
case["string.find, a long text in a longer one"] = function()
  forever(string.find, many(1000000), many(500000) .. "y", 1, true)
end

if name == nil then
  local names = {}
  for k in pairs(case) do names[#names + 1] = k end
  table.sort(names)
  print(table.concat(names, "\n"))
else
  case[name]()
  if #refused > 0 then print("refused") else print("it ended") end
end
