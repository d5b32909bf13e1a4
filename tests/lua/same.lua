-- Prints the same under any Lua 5.4: what slua replaces must behave as the original does.
math.randomseed(42)
local function show(...) print(select("#", ...), ...) end

-- sorting: random arrays of all kinds against a check of order and of content
local function sorted(t, less)
  for i = 2, #t do
    if less(t[i], t[i - 1]) then return false end
  end
  return true
end
local below = function(a, b) return a < b end
local makers = {
  function(n) return math.random(n) end,
  function() return math.random(3) end,
  function(_, i) return i end,
  function(n, i) return n - i end,
  function() return math.random() end,
  function() return "s" .. math.random(1000) end,
  function() return math.random(0) end,
  function(_, i) return i % 7 == 0 and math.huge or i % 11 == 0 and -math.huge or math.random(-9, 9) * 10.0 ^ math.random(-300, 300) end,
  function(_, i) return i % 90 == 0 and -0.0 or math.random(-2, 2) + 0.0 end,
  function() return ("\0"):rep(math.random(0, 9)) .. ("\xFF"):rep(math.random(0, 9)) .. ("a"):rep(math.random(0, 3)) end,
  function() return ("long"):rep(300) .. math.random(100) end,
  function(_, i) return i % 2 == 0 and i or i + 0.5 end,
}
for n = 0, 300 do
  for _, make in ipairs(makers) do
    local t, sum = {}, {}
    for i = 1, n do
      t[i] = make(n, i)
      sum[t[i]] = (sum[t[i]] or 0) + 1
    end
    for _, less in ipairs { below, function(a, b) return a > b end } do
      table.sort(t, less ~= below and less or nil)
      assert(#t == n and sorted(t, less))
      for i = 1, n do sum[t[i]] = sum[t[i]] - 1 end
      for _, v in pairs(sum) do assert(v == 0) end
      for i = 1, n do sum[t[i]] = sum[t[i]] + 1 end
    end
  end
end
local big = {}
for i = 1, 100000 do big[i] = math.random(1000000) end
table.sort(big)
assert(sorted(big, below))
show(pcall(table.sort, { 1, "a", 2 }))
show(pcall(table.sort, { 3, 2, 1 }, 5))
show(pcall(table.sort, 1))
show(pcall(table.sort, { 1, 2, 3 }, function() error("in compare", 0) end))
local proxy = setmetatable({}, { __index = big, __newindex = big, __len = function() return 10 end })
table.sort(proxy, function(a, b) return a > b end)
show(table.unpack(big, 1, 10))
local wrong = {}
for i = 1, 100 do wrong[i] = i end
print((pcall(table.sort, wrong, function() return true end)))

-- errors and what catches them
show(pcall(error))
show(pcall(error, nil))
show(pcall(error, "text", 0))
show(pcall(error, "text"))
show(pcall(function() error("here") end))
show(pcall(function(...) return ... end, 1, nil, 3, nil))
show(pcall(pcall))
show(pcall(pcall, error, "e"))
show(xpcall(function(a, b) return b, a end, print, 1, 2))
show(xpcall(error, function(m) return m .. "!" end, "e"))
show(xpcall(function() local x = nil; x() end, function(m) return (m:gsub("^.-:%d+: ", "")) end))
show(pcall(xpcall))
show(pcall(xpcall, print))
show(select(2, xpcall(error, debug.traceback, "tb")) ~= nil)
print((xpcall(error, function(m) error(m) end, "x")))
show(xpcall(error, function(m) return debug.getinfo(1, "n").name, debug.getinfo(2, "S").what, debug.getinfo(3, "n").name end))
show(xpcall(function() local x = nil; x() end, function(m) return debug.traceback(m) end))
show(xpcall(function() local x = nil; x() end, debug.traceback))
show(xpcall(function() error("text", 2) end, function(m) error(m, 2) end))
show(coroutine.wrap(function() return xpcall(function() coroutine.yield(1) error("after", 0) end, debug.traceback) end)())
show(pcall(string.rep))
show(pcall(string.rep, "x", -1))
show(pcall(setmetatable, 1, {}))
show(pcall(setmetatable, {}, 1))
show(pcall(setmetatable, setmetatable({}, { __metatable = "locked" }), {}))
show(getmetatable(setmetatable({}, { __metatable = "locked" })))
show(pcall(load, 5))
show(load("x ="))
show(load(function() error("reader", 0) end))
local parts = { "return ", "1", " + 1" }
show(load(function() return table.remove(parts, 1) end)())
show(load("return a", "c", "t", { a = "env" })())
show(load("return a", "c", "b"))
show(load("return ...", "c", nil, {})(1))
show(pcall(load))
show(pcall(function() load() end))
show(load(12))
show(loadfile("/nowhere/at/all"))
show(pcall(dofile, "/nowhere/at/all"))
show(pcall(loadfile, {}))
show(loadfile("/"))
do -- what precedes a chunk: a mark of UTF-8, a first line that is no Lua
  local name, code = os.tmpname(), string.dump(function() return "code" end)
  local line = "#" .. ("!"):rep(10000)
  for _, text in ipairs { "", "#", "#!", "#\n", "\n#\n", "#x\nreturn 1, error()", "\xef\xbb\xbfreturn 'mark'", "\xef\xbb", "\xef\xbb\xbf#x\n\nerror()",
    code, "#x\n" .. code, "\xef\xbb\xbf#\n" .. code, line, line .. "\n" .. code, line .. "\nx =", ("#"):rep(8191) .. "\n" .. code, ("#"):rep(8192) .. "\n" .. code,
    ("-"):rep(20000) .. "\nreturn 'long'", ("x = 1 "):rep(10000) .. "error('end')", "return '" .. ("y"):rep(9000) } do
    local f = io.open(name, "wb")
    f:write(text)
    f:close()
    local loaded, message = loadfile(name)
    local result = loaded and select(2, pcall(loaded)) or message
    show(type(result) == "string" and result:sub(-200):gsub(name, "name"))
  end
  os.remove(name)
end
show(pcall(ipairs))
show(pcall(pairs))
show(pcall(tostring))
show(pcall(next, {}, "no"))

-- coroutines
local function values(co)
  local out = {}
  while true do
    local r = table.pack(coroutine.resume(co, #out))
    out[#out + 1] = table.concat({ tostring(r[1]), tostring(r[2]), r.n }, "/")
    if coroutine.status(co) == "dead" then return table.concat(out, " ") end
  end
end
print(values(coroutine.create(function(a) for i = 1, 3 do a = a + coroutine.yield(i * 10 + a) end return a end)))
print(values(coroutine.create(function() error("inside", 0) end)))
print(values(coroutine.create(function() pcall(coroutine.yield, 1) error({}) end)):gsub("table: %S*/", "T/"))
show(coroutine.resume(coroutine.create(print), "a", "b"))
local co = coroutine.create(function() return pcall(function() coroutine.yield(1) error("late", 0) end) end)
show(coroutine.resume(co))
show(coroutine.resume(co))
show(coroutine.resume(co))
show(coroutine.close(co))
show(pcall(coroutine.resume, 1))
show(pcall(coroutine.create, 1))
show(pcall(coroutine.wrap(function() error("w") end)))
show(pcall(coroutine.wrap(function() error({ 1 }, 0) end)) == false)
local gen = coroutine.wrap(function() for i = 1, 2 do coroutine.yield(i) end end)
show(gen(), gen(), gen())
show(pcall(gen))
co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function(_, e) print("closed", e) end })
  coroutine.yield() end)
coroutine.resume(co)
show(coroutine.close(co), coroutine.status(co))
co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() error("in close", 0) end })
  coroutine.yield() end)
coroutine.resume(co)
show(coroutine.close(co))
show(pcall(coroutine.close, coroutine.running()))
co = coroutine.create(function() show(pcall(coroutine.close, co)) local c2 = co
  show(coroutine.resume(coroutine.create(function() return pcall(coroutine.close, c2) end))) end)
coroutine.resume(co)
show(coroutine.isyieldable(), coroutine.wrap(coroutine.isyieldable)())
show(pcall(coroutine.wrap(function() return xpcall(function() return coroutine.yield() end, print) end)))
-- yields across pairs, pcall, metamethods
local t = setmetatable({}, { __pairs = function(x) coroutine.yield("in pairs") return next, { k = 1 }, nil end,
  __index = function(_, k) return coroutine.yield(k) end, __lt = function() return coroutine.yield("lt") end })
co = coroutine.wrap(function() for k, v in pairs(t) do print(k, v) end local a = t.field return a, t < t end)
print(co(), co(), co("value"), co(true))

-- text
show(string.format("%5s|%-5s|%.2s|%5.1f|%d|%x|%q|%%|%c|%i|%g", "a", "b", "cde", 2.25, 7, 255, "q\n", 65, 3, 0.1))
show(string.format("%s %s %s", nil, true, 12.0))
show(string.format("%s", setmetatable({}, { __tostring = function() return "custom" end })))
show(pcall(string.format, "%s", setmetatable({}, { __tostring = function() return 1 end })))
show((string.format("%s", setmetatable({}, { __name = "Kind" })):gsub("0x%x+", "ADDRESS")))
show((string.format("%p", 1)))
show(string.format("%10p|%-10p|", nil, true))
show(#string.format("%p", {}) > 4)
show(string.format("%p", "short") == string.format("%p", "short"))
for _, f in ipairs { "%", "%y", "%d", "%10", "%.123d", "%05s", "%0", "%#p", "%.3p", "%123s", "%-+p", "%05p", "%123p", "%--5p|",
  "%5-p", "%\0d", "a\0%d", "a\0%s\0%%", "%s\0%", "%p%05p" } do
  print(f, pcall(string.format, f, 1, 2))
end
show(pcall(string.format, "%s %s", setmetatable({}, { __name = 5 })))
show((tostring(setmetatable({}, { __name = 5 })):gsub("0x%x+", "ADDRESS")))
local table1 = {}
show(tostring(table1) == string.format("%s", table1), tostring(table1):match("^table: 0x") ~= nil)
show(tostring(nil), tostring(1), tostring(1.5), tostring("s"), tostring(true))
show(tostring(print):match("^[a-z]*: ") , tostring(io.stdout):match("^file %(") , io.type(io.stdout))
print(1, nil, "x", 2.5, true)
print(setmetatable({}, { __tostring = function() return "in print" end }))

-- iterators
for i, v in ipairs { 1, 2, nil, 4 } do io.write(i, "=", v, " ") end
for i, v in ipairs(setmetatable({}, { __index = function(_, k) if k < 4 then return k * k end end })) do
  io.write(i, "=", v, " ")
end
for p, c in utf8.codes("aä€😀") do io.write(p, ":", c, " ") end
print(pcall(function() for _ in utf8.codes("\xff") do end end))
for k, v in pairs { 10, 20, 30 } do io.write(k, "=", v, " ") end
print(next({}), next({ 5 }), rawequal(pairs, pairs))
for word in ("one two"):gmatch("%a+") do io.write(word, ".") end
print()

-- numbers
math.randomseed(7)
local a, b = math.random(1000), math.random()
math.randomseed(7)
show(a == math.random(1000), b == math.random())
show(math.random(1000), math.random(5, 6) >= 5)
show(pcall(math.randomseed, {}))
show(pcall(math.randomseed, 1.5))
show(pcall(function() math.randomseed(1.5) end))
show(pcall(function() math.randomseed(1, "x") end))
show(select("#", math.randomseed(1, 2)))

-- files, require, warnings off by default
local name = os.tmpname()
local f <close> = assert(io.open(name, "w"))
f:write("line 1\nline 2\n")
show(io.type(f), f:seek("cur"))
f:close()
show(io.type(f), tostring(f))
for line in io.lines(name) do io.write(line, ",") end
print()
show(pcall(io.lines, "/nowhere/at/all"))
show(io.open("/nowhere/at/all"))
os.remove(name)
show(pcall(require, "no.such.module") == false)
package.preload.here = function(n) return { name = n } end
show(require("here").name, package.loaded.here == require("here"))
warn("not shown")
goto done
::done::
do
  local closed <close> = setmetatable({}, { __close = function() print("block ends") end })
end
setmetatable({}, { __gc = function() print("finalizer") end })
collectgarbage()
show(collectgarbage("isrunning"), collectgarbage("step"), collectgarbage("incremental"))
