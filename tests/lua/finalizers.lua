-- Finalizers that change the structures of rc in the middle of everything done to them.
collectgarbage("incremental", 100, 400)
local ran, body = 0, nil
local function arm()
  setmetatable({}, { __gc = function()
    ran = ran + 1
    if body then body() end
    arm()
  end })
end
arm()
-- Runs f with that finalizer at least 300 times, whenever the collector happens to run it.
local function against(finalizer, f)
  local before = ran
  local round = 0
  while ran < before + 300 do
    round = round + 1
    body = finalizer
    for _ = 1, round % 5 do local g = {} end
    f(round)
    body = nil
  end
end

-- a container that comes out is the one that was there, or none
local function draft_of(make) return rc.draft(make()) end
local vector = draft_of(rc.vector)
local function clear()
  for i = 1, #vector do vector[i] = nil end
  local junk = draft_of(rc.vector)
  for i = 1, 50 do junk:push("\255\255\255\255\255\255\255\255") end
end
against(clear, function(round)
  vector[1] = nil
  local x = rc.list { round }
  vector[1] = x
  rc.drop(x)
  local y = vector[1]
  assert(y == nil or y:pop() == round)
end)
against(clear, function(round)
  while #vector > 0 do vector:pop() end
  local x = rc.list { round }
  vector:push(x)
  rc.drop(x)
  local y = vector:pop()
  assert(y == nil or y:pop() == round)
  for _, z in pairs(vector) do assert(z == nil) end
end)

-- no element comes out twice, or is lost
local list, taken = draft_of(rc.list), draft_of(rc.map) -- which does not make Lua's heap grow
local function take(v)
  if v == nil then return end
  if type(v) == "userdata" then v = v:pop() end
  v = v:match("%d+")
  assert(not taken[v], v)
  taken[v] = true
end
local pushed = 0
against(function() take(list:pop()) end, function()
  for _ = 1, 10 do
    pushed = pushed + 2
    local inner = rc.list { "inner " .. pushed - 1 }
    list:push(inner)
    list:push("string " .. pushed)
  end
  while #list > 5 do take(list:pop()) end
end)
while #list > 0 do take(list:pop()) end
for i = 1, pushed do assert(taken[tostring(i)], i) end

-- dropped, in the middle of what is done to it
for _, make in ipairs { rc.list, rc.vector, rc.map } do
  local current
  against(function() if current then rc.drop(current) current = nil end end, function(round)
    local x = draft_of(make)
    current = x
    local ok, message = pcall(function()
      if make == rc.map then
        for i = 1, 20 do x["key " .. i] = "value " .. round end
        for i = 1, 20 do assert(x["key " .. i] == "value " .. round) end
      else
        for i = 1, 20 do x:push("value " .. round) end
        for i = 1, 20 do assert(x:pop() == "value " .. round) end
      end
    end)
    assert(ok or message:find("was dropped"), message)
  end)
end

-- values that are dropped, and drafts that are changed, in the middle of all that is done with them
do
  local current, changed
  local words = { "one", 2, 3.5, rc.list { "in" } }
  local function value() return rc.vector { words[1], words[2], words[3], words[4], rc.int(3) ^ 90, rc.rope("rope"):push(("x"):rep(600)) } end
  local expected <const>, bytes <const>, text <const>, hash <const> = value(), value():encode(), tostring(value()), value():hash()
  local uses = {
    function(v) assert(v:encode() == bytes) end,
    function(v) assert(tostring(v) == text and v:hash() == hash and v == expected) end,
    function(v) for i, x in pairs(v) do assert(rc.compare(x, expected[i]) == 0) end end,
    function(v) assert(v:push(1):sub(1, -2) == expected and v:set(2, 2) == expected) end,
    function(v) local x, rest = v:pop() assert(x == expected[6] and rest == expected:sub(1, 5)) end,
    function(v) assert(rc.map { k = v }.k == expected and rc.vector { v }[1] == expected and rc.set(rc.map(), v, 1)[expected] == 1) end,
    function(v) local d = v:draft() d[1] = 5 d[1] = "one" assert(d:value() == expected) end,
    function(v) assert(rc.decode(bytes)[4]:pop() == "in" and v[4] == words[4] and #v == 6) end,
    function(v) assert(tostring(v[6] .. "!"):sub(-2) == "x!" and (v[5] + 1) // 3 == rc.int(3) ^ 89) end,
  }
  against(function()
    if current then rc.drop(current) current = nil end
    if changed then changed:push(1) changed:pop() end
  end, function(round)
    local v, d = value(), rc.draft(expected)
    changed = d
    current = round % 2 == 0 and v or nil
    local ok, message = pcall(uses[round % #uses + 1], v)
    assert(ok or current == nil and message:find("was dropped"), message)
    assert(d:value() == expected and d[6] == expected[6] and #d == 6)
  end)
end

-- keys and values of a map belong together, also when entries vanish and steps are taken meanwhile
local map, step = draft_of(rc.map), nil
against(function()
  for i = 1, 3 do map["k" .. i] = nil end
  if step then for _ = 1, 3 do step() end end
end, function(round)
  for i = 1, 6 do map["k" .. i] = "vk" .. i end
  map[rc.list()] = rc.list()
  step = pairs(map)
  for k, v in step do
    assert(type(k) == type(v) and (type(k) == "userdata" or v == "v" .. k))
    if type(k) == "userdata" then map[k] = nil end
  end
  step = nil
  assert(map.k6 == "vk6" and (map.k1 == nil or map.k1 == "vk1"))
end)
local inner = draft_of(rc.list)
for i = 1, 3 do inner:push(rc.list()) end
against(function() if step then for _ = 1, 5 do step() end end end, function()
  step = pairs(inner)
  for i, v in step do assert(#v == 0) end
  step = nil
end)

-- nothing is lost
body = nil
arm = function() end
vector, list, taken, map, inner, step = nil, nil, nil, nil, nil, nil
collectgarbage()
collectgarbage()
collectgarbage()
rc.drain()
local c = rc.counters()
assert(c.objects == 0, c.objects)
print("finalizers as expected")
