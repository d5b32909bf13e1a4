-- The module rc against Lua's own tables.
local function random_value()
  local kinds = { math.random(100), -math.random(1 << 62), math.random(), "s" .. math.random(100), true, false,
    math.maxinteger, math.mininteger, "" }
  return kinds[math.random(#kinds)]
end

-- maps
local map, model = rc.map(), {}
for _ = 1, 200000 do
  local key = math.random(4) == 1 and "k" .. math.random(3000) or math.random(3000)
  if math.random(10) == 1 then key = key == "" and 1 or math.random(3000) + 0.5 end
  local value = math.random(3) == 1 and nil or random_value()
  map[key] = value
  model[key] = value
  assert(map[key] == value and math.type(map[key]) == math.type(value))
end
local function same()
  local n = 0
  for k, v in pairs(model) do
    n = n + 1
    assert(map[k] == v)
  end
  assert(#map == n)
  for k, v in pairs(map) do
    n = n - 1
    assert(model[k] == v)
  end
  assert(n == 0)
end
same()
for k in pairs(map) do -- removal while walking
  if type(k) == "string" then map[k] = nil model[k] = nil end
end
same()
assert(map[1.0] == map[1] and map[nil] == nil and map[{} and "none"] == nil)
assert(map[0 / 0] == nil and map[print] == nil and map[{}] == nil and map[coroutine.running()] == nil)
assert(not pcall(function() map[nil] = 1 end) and not pcall(function() map[0 / 0] = 1 end))
for _, bad in ipairs { {}, print, coroutine.create(print), io.stdout } do
  local ok, message = pcall(function() map.x = bad end)
  assert(not ok and message:find("cannot be held"), message)
  assert(not pcall(function() map[bad] = 1 end))
end

-- vectors
local vector, array = rc.vector(), {}
for _ = 1, 200000 do
  local r = math.random(10)
  if r <= 5 then
    local v = random_value()
    vector:push(v)
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
assert(vector[0] == nil and vector[-1] == nil and vector[#vector + 1] == nil and vector.no == nil)
assert(not pcall(function() vector[#vector + 2] = 1 end) and not pcall(function() vector[0] = 1 end))
vector[1.0] = "at 1.0"
assert(vector[1] == "at 1.0" and vector[1.0] == "at 1.0" and vector[1.5] == nil and vector["1"] == nil)
assert(not pcall(function() vector[1.5] = 1 end) and not pcall(function() vector["1"] = 1 end))
vector[#vector + 1] = "last"
assert(vector:pop() == "last")

-- lists
local list, stack = rc.list(), {}
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

-- keys that share a chain, and a userdata where a method expects nothing
do
  local chain <close> = rc.map()
  for i = 0, 999 do chain[i << 40] = i end
  for i = 0, 999 do assert(chain[i << 40] == i) end
  local one <close> = rc.list()
  one:push("text")
  one:push(map)
  assert(one:pop(io.stdout) == map and one:pop(io.stdout) == "text")
  one:push("text")
  assert(select(2, pairs(one)(io.stdout, io.stdout)) == "text")
end

-- references: one object, several places
local inner = rc.vector()
inner:push("shared")
map.inner = inner
list:push(inner)
assert(map.inner == inner and list:pop() == inner and map.inner ~= rc.vector())
inner[1] = "changed"
assert(map.inner[1] == "changed")
map[inner] = "by identity"
assert(map[map.inner] == "by identity")
rc.drop(inner)
assert(not pcall(function() return inner[1] end) and map.inner[1] == "changed")
rc.drop(inner)
local gone, alsogone = rc.list(), rc.list()
rc.drop(gone) rc.drop(alsogone)
assert(gone ~= alsogone and gone == gone and map[gone] == nil and not pcall(function() map[gone] = 1 end))
assert(not pcall(rc.drop, {}) and not pcall(rc.drain, -1))
for k, v in pairs(rc.vector()) do error("empty") end

-- death: everything comes back, in steps
rc.drop(map) rc.drop(vector) rc.drop(list)
inner, map, vector, list = nil, nil, nil, nil
collectgarbage()
rc.drain()
local c = rc.counters()
assert(rc.pending() == 0 and c.objects == 0, c.objects)
local long <close> = rc.list()
for i = 1, 300000 do long:push(i) end
rc.drop(long)
assert(rc.pending() > 0)
assert(rc.drain(10) == 10)
local other = rc.list()
repeat other:push(1) until rc.pending() == 0
c = rc.counters()
assert(c.dec_units_max <= 33 and c.refill_units_max <= 512)
assert(c.objects == #other + 1)
print("rc as expected")
