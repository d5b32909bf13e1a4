-- Assignments put new keys into tables by keys.c, rawset by liblua's own function: two tables that get the same keys
-- must keep them in the same order, whatever is collected meanwhile.
local seed = 7
local function random(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed // 65536 % n + 1
end

local kinds = {
  function() return random(12) end,
  function() return random(300) end,
  function() return random(40) * 1000003 - 20000060 end,
  function() return random(1000) << 40 end,
  function() return random(30) + 0.0 end,
  function() return random(50) / 7 end,
  function() return "k" .. random(200) end,
  function() return ("a long text, longer than forty characters "):rep(2) .. random(20) end,
  function() return random(2) == 1 end,
  function() return {random(1000)} end,
  function() local n = random(1000) return function() return n end end,
  function() return coroutine.create(print) end,
  function() return ({print, next, type, pairs})[random(4)] end,
}

local all = {}
for i = 1, #kinds do all[i] = i end

local function same(a, b, what)
  local k, v, i, w
  repeat
    k, v = next(a, k)
    i, w = next(b, i)
    if k ~= i or v ~= w then error(what .. ": " .. tostring(k) .. " and " .. tostring(i)) end
  until k == nil
end

local known = {}
local function key(of)
  if #known > 0 and random(4) == 1 then return known[random(#known)] end
  local k = kinds[of[random(#of)]]()
  known[#known + 1] = k
  return k
end

local function value()
  local r = random(6)
  if r == 1 then return nil end
  return r < 4 and r or r == 4 and {r} or r == 5 and "v" .. random(100) or function() return r end
end

local function run(round, of, steps)
  known = {}
  local a, b = {}, {}
  if round % 3 == 0 then a, b = {1, 2, 3, x = 4}, {1, 2, 3, x = 4} end
  for i = 1, steps do
    local k, v = key(of), value()
    a[k] = v
    rawset(b, k, v)
    if random(40) == 1 then collectgarbage("step") end
    if random(20) == 1 then same(a, b, "round " .. round .. ", step " .. i) end
  end
  same(a, b, "round " .. round)
  assert(#a == #b)
end

-- Arrays with holes, which get the element behind their last one.
local function holes(n)
  local a, b = {table.unpack(all, 1, n)}, {table.unpack(all, 1, n)}
  for i = 1, random(n) do
    local k = random(n)
    a[k], b[k] = nil, nil
  end
  for k = n + 1, n + random(n) do
    a[k] = k
    rawset(b, k, k)
    same(a, b, "array of " .. n)
  end
end

-- What only an old table knows by its key must live.
local function keeps(made)
  local t = {}
  for i = 1, 8 do t["old" .. i] = i end
  collectgarbage() collectgarbage()
  for i = 1, 2000 do
    t[{i, {i}}] = i
    if i % 100 == 0 then collectgarbage("step") end
  end
  for k, i in pairs(t) do
    if type(k) == "table" then
      assert(k[1] == i and k[2][1] == i)
      made = made + 1
    end
  end
  return made
end

local some = {all, {1}, {2}, {1, 2, 7}, {7}, {3, 4, 5, 6}, {9, 10, 11, 12, 13}, {1, 6, 8}}
local made = 0
for _, mode in ipairs {"generational", "incremental"} do
  collectgarbage(mode)
  for round = 1, 48 do run(round, some[round % #some + 1], 10 + random(200)) end
  for round = 1, 3 do run(round, some[round], 3000) end
  for i = 1, 400 do holes(i % #all + 1) end
  made = keeps(made)
end
print(made)
