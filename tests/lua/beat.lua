-- The module "beat": the clock, limits within a script, slices. With 1,000,000 heartbeats.
local function same(expected, ...)
  local seen = table.pack(...)
  for i = 1, seen.n do seen[i] = tostring(seen[i]) end
  local text = table.concat(seen, " ")
  if text ~= expected then error(("%s expected, %s seen"):format(expected, text), 2) end
end
local function forever() while true do end end
local function turns(n) for _ = 1, n do end end

-- the clock
local before = beat.ticks()
turns(10000)
assert(beat.ticks() - before >= 10)
assert(beat.remaining() - 1 == 1000000000 - beat.ticks()) -- the second call is a tick
beat.limit(100000, function()
  local left = beat.remaining()
  assert(left > 90000 and left <= 100000)
  beat.limit(1000, function() assert(beat.remaining() <= 1000) end)
  assert(beat.remaining() > 80000)
  beat.limit(1000000, function() assert(beat.remaining() < 100000) end)
end)

-- a limit ends what runs, and not more than that
for _, n in ipairs { 500, 5000, 50000 } do
  local start = beat.ticks()
  same("false limit", beat.limit(n, forever))
  local used = beat.ticks() - start
  assert(used >= n and used < n + 500, used)
end
same("true", beat.limit(100000, turns, 10))
same("true 1 nil 3 nil", beat.limit(100000, function(...) return ... end, 1, nil, 3, nil))
same("false wrong", pcall(beat.limit, 100000, error, "wrong"))
same("true false limit", beat.limit(1000000, function() return beat.limit(1000, forever) end))
same("false limit", beat.limit(1000, function() return beat.limit(1000000, forever) end))

-- whatever it does
local none = { __close = function() print "closed" end, __index = forever }
same("false limit", beat.limit(2000, pcall, forever))
same("false limit", beat.limit(2000, function() while true do pcall(forever) end end))
same("false limit", beat.limit(2000, function() local x <close> = setmetatable({}, none) forever() end))
same("false limit", beat.limit(2000, function() return setmetatable({}, none).x end))
same("false limit", beat.limit(2000, coroutine.wrap(forever)))
same("false limit", beat.limit(2000, function() return coroutine.resume(coroutine.create(forever)) end))
same("false limit", beat.limit(2000, function()
  for _ in coroutine.wrap(function() while true do coroutine.yield(coroutine.wrap(turns)(100)) end end) do end
  while true do coroutine.wrap(turns)(100) end
end))
-- where nothing can yield: it throws, until something can
local function caught() while true do pcall(forever) end end
same("false limit", beat.limit(2000, xpcall, error, forever))
same("false limit", beat.limit(2000, table.sort, { 3, 2, 1 }, caught))
same("false limit", beat.limit(2000, function() while true do pcall(table.sort, { 3, 2, 1 }, caught) end end))
same("false limit", beat.limit(2000, table.sort, { 3, 2, 1 }, function()
  while true do xpcall(forever, debug.traceback) xpcall(turns, debug.traceback, 1e9) end
end))
same("false limit", beat.limit(2000, string.gsub, "x", ".", function() return beat.limit(1000000, caught) end))
same("false limit", beat.limit(2000, string.gsub, "x", ".", coroutine.wrap(caught)))
same("false limit", beat.limit(2000, load, caught))
local outside = coroutine.create(function() turns(100000) return "on" end)
same("false limit", beat.limit(1000, coroutine.resume, outside))
same("true on", coroutine.resume(outside)) -- it was only stopped

-- yields pass through a limit
local w = coroutine.wrap(function(a)
  return beat.limit(10000, function(b)
    local c = coroutine.yield(b + 1)
    local d, e = coroutine.yield(c, c)
    return d, e
  end, a)
end)
same("2", w(1))
same("5 5", w(5))
turns(2000000) -- which does not count there
same("true 6 7", w(6, 7))
same("false attempt to yield from outside a coroutine", pcall(beat.limit, 1000, coroutine.yield))

-- slices: the same result in pieces of any size
local function work(n, ...)
  local sum = 0
  for i = 1, n do
    sum = sum + #tostring(i)
    if i % 500 == 0 then sum = sum + select("#", coroutine.yield(i, ...)) end
    if i % 700 == 0 then sum = sum + select(2, pcall(coroutine.wrap(function() for k = 1, 300 do if k == 200 then return k end end end))) end
  end
  return "sum", sum
end
local function in_slices(n)
  local co, over, yields = coroutine.create(work), 0, {}
  local r = table.pack(beat.slice(co, n, 3000, "x"))
  while r[1] ~= "end" do
    if r[1] == "over" then over = over + 1 else yields[#yields + 1] = table.concat(r, " ", 2, r.n) end
    assert(r[1] == "over" or r[1] == "yield", r[2])
    r = table.pack(beat.slice(co, n, "a", "b"))
  end
  return over, table.concat(yields, ",") .. " " .. table.concat(r, " ", 2)
end
local over, whole = in_slices(1000000)
assert(over == 0 and whole:match("^500 x,1000 x,.*,3000 x sum %d+$"), whole)
for _, n in ipairs { 33, 120, 333, 450 } do
  local pieces, result = in_slices(n)
  assert(pieces > 3 and result == whole, result)
end
-- within one another, and in a limit
same("true " .. whole, beat.limit(10000000, function() return select(2, in_slices(300)) end))
local outer, times = coroutine.create(function() return select(2, in_slices(2000)) end), 0
repeat
  local status, result = beat.slice(outer, 100)
  times = times + 1
until status ~= "over" or not result == whole
assert(times > 10 and coroutine.status(outer) == "dead")
same("error cannot resume dead coroutine", beat.slice(outer, 10))
same("error cannot resume non-suspended coroutine", beat.slice(coroutine.running(), 10))
same("error wrong", beat.slice(coroutine.create(function() error("wrong", 0) end), 1000))
-- where nothing can yield it is overdrawn
local sorts = coroutine.create(function() table.sort({ 3, 2, 1 }, function(a, b) turns(100000) return a < b end) return "sorted" end)
same("end sorted", beat.slice(sorts, 500))

-- a numeral in a string is paid for once, whoever reads it: a tick for 256 digits
do
  local digits = ("1"):rep(256 * 1000)
  for name, f in pairs { tonumber = tonumber, floor = math.floor, format = function(s) return ("%g"):format(s) end,
    pack = function(s) return ("d"):pack(s) end, plus = function(s) return s + 1 end,
    fmod = function(s) return math.fmod(1, s) end } do
    local before = beat.ticks()
    f(digits)
    local ticks = beat.ticks() - before
    assert(ticks >= 1000 and ticks < 1020, name .. " costs " .. ticks)
  end
end

-- arguments
same("false bad argument #1 to 'beat.limit' (must be positive)", pcall(beat.limit, 0, print))
same("false bad argument #1 to 'beat.slice' (thread expected, got nil)", pcall(beat.slice, nil, 5))
assert(not pcall(beat.limit, 10))

-- the example
local output = {}
local scheduler = loadfile(arg[0]:gsub("[^/]*$", "") .. "../../demo-lang/examples/scheduler.lua", "t",
  setmetatable({ print = function(...) output[#output + 1] = table.concat({ ... }, " ") end }, { __index = _G }))()
assert(output[1]:match("^faulty failed: .*attempt to index a nil value %(local 't'%)$"), output[1])
same("sleeper: 1 2 3 done fair: true turns: true left: 2", table.concat(output, " ", 2))
assert(#scheduler.ready == 2)
print("beat as expected")
