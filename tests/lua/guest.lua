-- What an untrusted script cannot do, and what its text functions show.

-- bytecode, by whatever loads; argument 1 is a file of it, argument 2 its folder
local refused = "attempt to load a binary chunk (mode is 't')"
local bytecode = string.dump(function() end)
local function fails(message, f, ...)
  local r = table.pack(pcall(f, ...))
  local said = r[1] and r[2] == nil and r[3] or r[2]
  assert(said == message, said)
end
fails(refused, load, bytecode)
fails(refused, load, bytecode, "name", "bt")
fails(refused, load, coroutine.wrap(function() coroutine.yield(bytecode) end))
assert(load(bytecode, "name", "b") == nil and load(function() return nil end, "name", "b") == nil)
fails(refused, loadfile, arg[1])
fails(refused, loadfile, arg[1], "bt")
assert(loadfile(arg[1], "b") == nil)
fails(refused, dofile, arg[1])
package.path = arg[2] .. "/?.luac"
local ok, message = pcall(require, "code")
assert(not ok and message:find(refused, 1, true), message)

-- files of text
local name = os.tmpname()
local file = io.open(name, "w")
file:write("#!first line\nreturn coroutine.yield(...) or a")
file:close()
a = "global"
local co = coroutine.wrap(function() return dofile(name) end)
assert(co() == nil and co() == "global")
assert(coroutine.wrap(loadfile(name, nil, { coroutine = coroutine, a = "env" }))(1) == 1)
fails("attempt to load a text chunk (mode is 'b')", loadfile, name, "b")
package.path = name:gsub("[^/]*$", "?")
co = coroutine.wrap(function() return pcall(require, (name:match("[^/]*$"))) end)
ok, message = co()
assert(not ok and message:find("attempt to yield across a C-call boundary", 1, true), message)
os.remove(name)
ok, message = pcall(require, "nowhere")
assert(not ok and message == "module 'nowhere' not found:\n\tno field package.preload['nowhere']\n\tno file '" ..
  package.path:gsub("?", "nowhere") .. "'", message)
package.path = nil
ok, message = pcall(require, "nowhere")
assert(not ok and message:find("'package.path' must be a string", 1, true), message)

-- other programs, C modules, most of debug
assert(not os.execute and not io.popen and not package.loadlib and #package.searchers == 2)
assert(debug.traceback and debug.getinfo and not debug.getregistry and not debug.sethook)

-- the functions of the program that are on the stack: closures, which do not run again
local level = 0
while debug.getinfo(level) do
  local info = debug.getinfo(level, "fSu")
  if info.what == "C" then
    assert(level < 1 or info.nups > 0)
    if level > 0 then fails("the main function is running", info.func) end
  end
  level = level + 1
end
assert(level >= 3)

-- coroutines that are closed by one another: so many, and however deep each goes
local function deeper(n, f)
  if n == 0 then return f() end
  string.gsub("x", "x", function() deeper(n - 1, f) end)
end
for _, depth in ipairs { 0, 90 } do
  for _, case in ipairs { { depth == 0 and 180 or 5, true }, { 200, false }, { 5000, false } } do
    local last, why = nil, true
    for _ = 1, case[1] do
      local before = last
      last = coroutine.create(function()
        local x <close> = setmetatable({}, { __close = function()
          if not before then return end
          deeper(depth, function()
            local closed, wrong = pcall(coroutine.close, before)
            if not closed then why = wrong end
          end)
        end })
        coroutine.yield()
      end)
      coroutine.resume(last)
    end
    assert(coroutine.close(last))
    assert(case[2] == (why == true) and (why == true or why:find("C stack overflow")), why)
  end
end

-- text: offsets instead of addresses, wherever they are asked for
local low = "^0x%x%x%x%x%x%x%x%x$"
assert(string.format("%p", {}):match(low))
assert(string.format("a\0%p", {}):match("^a%z(.*)"):match(low))
assert(string.format("%%\0%p\0%s|\0", {}, print):match("^%%%z(0x%x+)%zfunction: 0x%x+|%z$"):match(low))
fails("bad argument #3 to 'string.format' (no value)", string.format, "%s %s", setmetatable({}, { __name = 5 }))
assert(tostring(setmetatable({}, { __name = 5 })):match("^table: (.*)"):match(low))

-- a request that no memory can serve is an ordinary error without a limit
file = io.tmpfile()
fails("not enough memory", file.read, file, 5000000000)
assert(xpcall(file.read, function(m) return m end, file, 5000000000) == false)
print("guest as expected")
