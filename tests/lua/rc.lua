-- The module rc against Lua's own tables, and against what it says of its values.
local function fails(f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "no error")
  return message
end
local function random_value()
  local kinds = { math.random(100), -math.random(1 << 62), math.random(), "s" .. math.random(100), true, false,
    math.maxinteger, math.mininteger, "" }
  return kinds[math.random(#kinds)]
end

-- maps
local map, model = rc.draft(rc.map()), {}
for _ = 1, 200000 do
  local key = math.random(4) == 1 and "k" .. math.random(3000) or math.random(3000)
  if math.random(10) == 1 then key = key == "" and 1 or math.random(3000) + 0.5 end
  local value = math.random(3) == 1 and nil or random_value()
  map[key] = value
  model[key] = value
  assert(map[key] == value and math.type(map[key]) == math.type(value))
end
local function same(m)
  local n = 0
  for k, v in pairs(model) do
    n = n + 1
    assert(m[k] == v)
  end
  assert(#m == n)
  for k, v in pairs(m) do
    n = n - 1
    assert(model[k] == v)
  end
  assert(n == 0)
end
same(map)
same(rc.value(map))
same(rc.map(model))
assert(rc.map(model) == rc.value(map) and rc.hash(rc.map(model)) == rc.hash(rc.value(map)))
for k in pairs(map) do -- removal while walking: over what was there
  if type(k) == "string" then map[k] = nil model[k] = nil end
end
same(map)
assert(map[1.0] == map[1] and map[nil] == nil and map[{} and "none"] == nil)
assert(map[0 / 0] == nil and map[print] == nil and map[{}] == nil and map[coroutine.running()] == nil)
fails(function() map[nil] = 1 end)
fails(function() map[0 / 0] = 1 end)
for _, bad in ipairs { {}, print, coroutine.create(print), io.stdout, map } do
  local message = fails(function() map.x = bad end)
  assert(message:find("cannot be held"), message)
  fails(function() map[bad] = 1 end)
  fails(rc.hash, bad)
end

-- vectors
local vector, array = rc.draft(rc.vector()), {}
for _ = 1, 200000 do
  local r = math.random(10)
  if r <= 5 then
    local v = random_value()
    assert(vector:push(v) == vector)
    array[#array + 1] = v
  elseif r <= 8 and #array > 0 then
    local i, v = math.random(#array), random_value()
    vector[i] = v
    array[i] = v
  elseif r == 9 then
    assert(vector:pop() == array[#array])
    array[#array] = nil
  else
    local i = math.random(#array + 1)
    assert(vector[i] == array[i] and #vector == #array)
  end
end
for i, v in pairs(vector) do assert(array[i] == v) end
for i, v in ipairs(vector) do assert(array[i] == v) end
assert(vector:value() == rc.vector(array))
assert(vector[0] == nil and vector[-1] == nil and vector[#vector + 1] == nil and vector.no == nil)
fails(function() vector[#vector + 2] = 1 end)
fails(function() vector[0] = 1 end)
vector[1.0] = "at 1.0"
assert(vector[1] == "at 1.0" and vector[1.0] == "at 1.0" and vector[1.5] == nil and vector["1"] == nil)
fails(function() vector[1.5] = 1 end)
fails(function() vector["1"] = 1 end)
vector[#vector + 1] = "last"
assert(vector:pop() == "last")
local part = rc.vector { 1, 2, 3, 4, 5 }
for i = -7, 7 do for j = -7, 7 do
  local text = ("12345"):sub(i, j)
  local v = part:sub(i, j)
  assert(#v == #text)
  for k, x in pairs(v) do assert(x == tonumber(text:sub(k, k))) end
end end

-- lists
local list, stack = rc.draft(rc.list()), {}
assert(list:pop() == nil and #list == 0)
for _ = 1, 100000 do
  if math.random(5) > 2 then
    local v = random_value()
    list:push(v)
    stack[#stack + 1] = v
  else
    assert(list:pop() == stack[#stack])
    stack[#stack] = nil
  end
end
assert(#list == #stack)
for i, v in pairs(list) do assert(v == stack[#stack + 1 - i]) end
assert(rc.list { 1, 2, 3 } == rc.list():push(3):push(2):push(1) and rc.list { 1, 2, 3 }:pop() == 1)

-- a value stays what it is, a draft goes its own way, both ways, in any order
do
  local versions, texts, drafts = { rc.vector(), rc.list(), rc.map(), rc.rope() }, {}, {}
  for i, v in ipairs(versions) do texts[i] = tostring(v) end
  for round = 1, 3000 do
    local v = versions[math.random(#versions)]
    if math.random(3) == 1 then v = rc.draft(v) end
    local changes = { function() return rc.push(v, round) end, function() return rc.set(v, math.random(9), round % 256) end,
      function() return select(2, rc.pop(v)) end, function() return rc.sub(v, 2, -2) end }
    local ok, new = pcall(changes[math.random(#changes)])
    if ok and rc.type(v) == "draft" then
      assert(new == v)
      new = rc.value(new)
    end
    if ok then
      local i = math.random(5, 60)
      versions[i], texts[i] = new, tostring(new)
      for j = 5, i do
        versions[j] = versions[j] or new
        texts[j] = texts[j] or texts[i]
      end
    end
    if round % 100 == 0 then for i, old in ipairs(versions) do assert(tostring(old) == texts[i]) end end
  end
end

-- what is not there
assert(part.nothing == nil and fails(function() part[1] = 2 end):find("does not change"))
for _, f in ipairs { "push", "pop", "set", "sub", "draft", "value", "encode", "tointeger" } do
  fails(rc[f])
  fails(rc[f], {})
  fails(rc[f], io.stdout)
end
fails(rc.push, rc.map(), 1)
fails(rc.pop, rc.map())
fails(rc.draft, rc.int(1))
fails(rc.vector, 5)
fails(rc.vector, { {} })
fails(rc.map, { [{}] = 1 })
assert(rc.type(map) == "draft" and rc.type(part) == "vector" and rc.type {} == nil and rc.type(io.stdout) == nil)

-- references: dropped
local inner = rc.vector { "shared" }
map.inner = inner
assert(map.inner == inner and map.inner ~= rc.vector())
map[inner] = "by value"
assert(map[rc.vector { "shared" }] == "by value" and map[rc.list { "shared" }] == nil)
rc.drop(inner)
assert(fails(function() return inner[1] end):find("was dropped") and map.inner[1] == "shared")
rc.drop(inner)
local gone, alsogone = rc.list(), rc.list()
rc.drop(gone) rc.drop(alsogone)
assert(gone ~= alsogone and gone == gone and map[gone] == nil)
fails(function() map[gone] = 1 end)
fails(rc.drop, {})
fails(rc.drain, -1)
for k, v in pairs(rc.vector()) do error("empty") end
for k, v in pairs(rc.list()) do error("empty") end
for k, v in pairs(rc.map()) do error("empty") end
for k, v in pairs(rc.rope()) do error("empty") end
do
  local one <close> = rc.list { rc.value(map) }
  assert(pairs(one)(io.stdout, io.stdout) == 1)
end

-- death: everything comes back, in steps
local function nothing_left()
  collectgarbage()
  rc.drain()
  local c = rc.counters()
  assert(rc.pending() == 0 and c.objects == 0, c.objects)
end
map, vector, list, part, inner = nil, nil, nil, nil, nil
nothing_left()
do
  local long <close> = rc.draft(rc.list())
  for i = 1, 300000 do long:push(i) end
  rc.drop(long)
  assert(rc.pending() > 0)
  assert(rc.drain(10) == 10)
  local other <close> = rc.draft(rc.list())
  repeat other:push(1) until rc.pending() == 0
  local c = rc.counters()
  assert(c.dec_units_max <= 33 and c.refill_units_max <= 512)
  assert(c.objects == #other + 1)
end
nothing_left()

-- in place: a draft makes what is new, and copies each part that somebody else sees once
do
  local d <close> = rc.draft(rc.vector())
  for i = 1, 10000 do d:push(i) end
  local function objects() rc.drain() return rc.counters().objects end
  local before, units = objects(), rc.counters().units
  for i = 1, 10000 do d[i] = -i end
  assert(objects() == before and rc.counters().units == units) -- none was made, and none freed
  local v <close> = d:value()
  for i = 1, 10000 do d[i] = i end
  assert(objects() == 2 * before and v[7] == -7 and d[7] == 7) -- the tree of v, and that of d
  for i = 1, 10000 do d[i] = 0 end
  assert(objects() == 2 * before)
  rc.drop(v)
  assert(objects() == before)
  local w <close> = d:value()
  local x <close> = w:push(1) -- the way to the place: the head and the tail
  assert(objects() <= before + 2)
  rc.drop(x)
  local m <close> = rc.draft(rc.map())
  for i = 1, 1000 do m[i] = i end
  before, units = objects(), rc.counters().units
  for i = 1, 1000 do m[i] = -i end
  assert(objects() == before and rc.counters().units == units)
  local kept <close> = rc.value(m)
  m[5] = 0
  assert(objects() <= before + 6 and rc.value(m)[5] == 0 and kept[5] == -5)
end
nothing_left()
print("rc as expected")
