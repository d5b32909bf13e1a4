-- Work that no instruction shows is paid for. Where it grows with the square of a text's length, so do the ticks; what a
-- single call or operation can cost is compared with what the same number of cheap ones does.
local function ticks(f, ...)
  local before = beat.ticks()
  f(...)
  return beat.ticks() - before
end
local function check(name, cost, least)
  if cost < least then print(("%s: %d ticks, expected %g at least"):format(name, cost, least)) end
end

-- A text of n parts is work for each pair of these, of which 256 at most are a step, and 64 steps a tick.
local n = 8000
local function load_parts(parts, text)
  local source = text(parts)
  assert(load(source))
  return ticks(load, source)
end
local function source(name, text)
  local beyond_linear = load_parts(n, text) - 4 * load_parts(n // 4, text)
  check(name, beyond_linear, 3 / 4 * n * n / 2 / 256 / 64)
end
source("and", function(n) return "local a return a" .. (" and a"):rep(n) end)
source("or", function(n) return "local a return a" .. (" or a"):rep(n) end)
source("comparisons", function(n) return "local a return a" .. (" or a == a"):rep(n) end)
source("elseif", function(n) return "local a if a then" .. (" elseif a then"):rep(n) .. " end" end)
source("break", function(n) return "while true do " .. ("break "):rep(n) .. "end" end)
source("goto out of blocks", function(n) return ("do "):rep(100) .. ("goto x "):rep(n) .. ("end "):rep(100) .. "::x::" end)
local names = {} -- kept, so they are no new texts
for i = 1, n do names[i] = "l" .. i end
source("labels", function(n) return "::" .. table.concat(names, ":: do end ::", 1, n) .. "::" end)

-- The same operation a thousand times without a loop, but for a turn, and what a loop of as many instructions costs.
local function code(head, operation) return assert(load(head .. " for _ = 1, 2 do " .. operation:rep(1000) .. " end")) end
local function operation(name, head, text, least)
  check(name, ticks(code(head, text)) - ticks(code(head, "x = a // b ")), 1000 * least)
end
operation("remainders of floats", "local a, b = 1e308, 1.1e-308", "x = a % b ", 0.5)
operation("math.fmod", "local a, b, f = 1e308, 1.1e-308, math.fmod", "f(a, b) ", 0.5)
operation("numbers as text", "local a, b = 1.5, 2.5", "x = a .. b ", 0.05)
operation("string.format", "local a, b, f = 1.5, 2.5, string.format", "f('%g', a) ", 0.25)
operation("addresses as text", "local a, b, f = 1, 1, tostring", "f(f) ", 0.25)
operation("lines", "local f, a, b = io.tmpfile():lines(), 1, 1", "f() ", 0.5)
for _, call in ipairs { "os.clock", "os.time", "os.getenv 'x'", "io.open '/' ", "io.read", "f:seek", "f:read", "f:flush" } do
  operation(call, "local f, a, b = io.tmpfile(), 1, 1 io.input(f)", call:find "'" and call .. " " or call .. "() ", 1)
end

local file = io.tmpfile()
local function written(n) return ticks(file.write, file, ("x"):rep(n)) end
check("1023 bytes are no KiB", -written(1023), -written(0))
check("1024 are", written(1024), written(0) + 1)

local a, b = ("x"):rep(100000), ("x"):rep(100000)
check("texts by order", ticks(function() return a < b end), #a // 16 // 64)
local call = ticks(function() end)
check("texts by order, one of them short", -ticks(function() return a < "x" end), -1 - call)
check("equal texts", ticks(function() return a == b end), #a // 16 // 64)

local locals = table.concat(names, ", ", 1, 190)
local closures = assert(load("local " .. locals .. " for _ = 1, 100 do local f = function() return " .. locals .. " end end"))
check("locals that are taken over", ticks(closures), 100 * 190 * 190 / 2 / 32 / 64)
