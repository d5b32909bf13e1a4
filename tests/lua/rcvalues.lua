-- Values of the module rc: order, equality, hashes, encoding and text, against models in plain Lua.
local function fails(f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "no error")
  return message
end

-- ---- A model: {kind, ...}, its order by the words of the README, and the value that it stands for

local make, compare
local function model_of(depth)
  local r = math.random(depth > 0 and 15 or 11)
  if r == 1 then return { "nil" } end
  if r == 2 then return { "boolean", math.random(2) == 1 } end
  if r <= 5 then
    local small, edge = math.random(-3, 3), { math.mininteger, math.maxinteger, 1 << 53, 1 << 61, -1 << 60 }
    return { "number", ({ small, edge[math.random(#edge)] + math.random(0, 1), math.random(0) })[math.random(3)], "integer" }
  end
  if r == 6 then
    local x = { math.random(-3, 3) + 0.0, math.random(-3, 3) + 0.5, 0x1p53, 0x1p63, -0x1p63, 0x1p62, 1 / 0, -1 / 0, 0 / 0 }
    return { "number", x[math.random(#x)], "float" }
  end
  if r == 7 then return { "number", ({ math.random(-3, 3), math.random(0), math.maxinteger })[math.random(3)], "big" } end
  if r <= 11 then
    local s = ("ab\0\xff"):sub(1, math.random(0, 4)):rep(math.random(0, 3))
    return { "text", s, r == 11 and "rope" or "string" }
  end
  local m, kinds = { items = {} }, { "list", "vector", "map" }
  m[1] = kinds[math.random(3)]
  for i = 1, math.random(0, 3) do
    local key = m[1] == "map" and model_of(depth - 1) or i
    if m[1] == "map" then
      if key[1] == "nil" or key[2] ~= key[2] then key = { "number", i, "integer" } end
      local double = false
      for _, item in ipairs(m.items) do double = double or compare(item[1], key) == 0 end
      if double then goto continue end
    end
    local item = model_of(depth - 1)
    if m[1] == "map" then item = { key, item[1] == "nil" and { "boolean", false } or item } end
    m.items[#m.items + 1] = item
    ::continue::
  end
  return m
end

function make(m)
  if m[1] == "number" then return m[3] == "big" and rc.int(m[2]) or m[2] end
  if m[1] == "text" then return m[3] == "rope" and rc.rope(m[2]) or m[2] end
  if not m.items then return m[2] end
  local v = rc[m[1]]()
  if m[1] ~= "map" then
    for i = 1, #m.items do v = v:push(make(m.items[m[1] == "list" and #m.items + 1 - i or i])) end
    return v
  end
  local order = {}
  for i = 1, #m.items do table.insert(order, math.random(#order + 1), i) end
  for _, i in ipairs(order) do
    v = rc.set(v, make(m.items[i][1]), make(m.items[i][2]))
  end
  return v
end

local ranks = { ["nil"] = 0, boolean = 1, number = 2, text = 3, list = 4, vector = 5, map = 6 }
local function sign(a, b) return a < b and -1 or a > b and 1 or 0 end
local function flag(b) return b and 1 or 0 end

-- Of maps, whose entries have an order of rc's own, only if they are equal.
function compare(a, b)
  local x, y = a[2], b[2]
  if a[1] ~= b[1] then return sign(ranks[a[1]], ranks[b[1]]) end
  if a[1] == "nil" then return 0 end
  if a[1] == "boolean" then return sign(flag(x), flag(y)) end
  if a[1] == "number" then
    if x ~= x or y ~= y then return sign(flag(x == x), flag(y == y)) end
    return sign(x, y)
  end
  if a[1] == "text" then
    for i = 1, math.min(#x, #y) do if x:byte(i) ~= y:byte(i) then return sign(x:byte(i), y:byte(i)) end end
    return sign(#x, #y)
  end
  x, y = a.items, b.items
  if a[1] == "map" then
    if #x ~= #y then return sign(#x, #y) end
    for _, item in ipairs(x) do
      local found = false
      for _, other in ipairs(y) do
        found = found or compare(item[1], other[1]) == 0 and compare(item[2], other[2]) == 0
      end
      if not found then return nil end
    end
    return 0
  end
  for i = 1, math.min(#x, #y) do
    local order = compare(x[i], y[i])
    if order ~= 0 then return order end
  end
  return sign(#x, #y)
end

local models, values = {}, {}
for i = 1, 180 do
  models[i] = model_of(3)
  values[i] = make(models[i])
end
for i, a in ipairs(models) do
  local v = values[i]
  if a[1] == "nil" then goto continue end
  local again = make(a)
  assert(rc.compare(v, again) == 0 and rc.hash(v) == rc.hash(again))
  local text = rc.encode(v)
  local back = rc.decode(text)
  assert(rc.compare(v, back) == 0 and rc.encode(back) == text and text == rc.encode(again))
  assert(rc.type(back) == rc.type(v) and math.type(back) == math.type(v))
  if a.items then
    assert(v == again and v == back and v <= back and not (v < back) and tostring(v) == tostring(again))
    local shown = tostring(v) -- an expression for it, but for rounded floats and what Lua has no numeral for
    if not (#shown > 1000 or shown:find("nil") or shown:find("nan") or shown:find("e+", 1, true) or shown:find("-9223372036854775808", 1, true)) then
      assert(load("return " .. shown, "=shown", "t", { rc = rc, inf = 1 / 0 })() == v)
    end
  end
  for j, b in ipairs(models) do
    if b[1] == "nil" then goto next end
    local order, expected = rc.compare(v, values[j]), compare(a, b)
    assert(order == -rc.compare(values[j], v))
    if expected then assert(order == expected, ("%s %s"):format(v, values[j])) else assert(order ~= 0 or a.items) end
    if order == 0 then assert(rc.hash(v) == rc.hash(values[j])) end
    if a.items and b.items then
      assert((v == values[j]) == (order == 0) and (v < values[j]) == (order < 0) and (v <= values[j]) == (order <= 0))
    end
    ::next::
  end
  ::continue::
end
local sorted = {}
for _, v in pairs(values) do sorted[#sorted + 1] = v end
table.sort(sorted, function(a, b) return rc.compare(a, b) < 0 end)
for i = 1, #sorted - 1 do for j = i + 1, #sorted, 17 do assert(rc.compare(sorted[i], sorted[j]) <= 0) end end

-- as keys: a map of them all finds each by an equal one
do
  local map, count = rc.draft(rc.map()), 0
  for i, m in ipairs(models) do
    if m[1] ~= "nil" and m[2] == m[2] then
      if map[make(m)] == nil then count = count + 1 end
      map[values[i]] = i
    end
  end
  assert(#map == count)
  for i, m in ipairs(models) do
    if m[1] ~= "nil" and m[2] == m[2] then assert(rc.compare(values[map[make(m)]], values[i]) == 0) end
  end
end

-- numbers at the edges
local top = rc.int(math.maxinteger) + 1
assert(top == rc.int(0x1p63) and rc.compare(top, 0x1p63) == 0 and rc.hash(top) == rc.hash(0x1p63))
assert(top > math.maxinteger and top < 0x1.0000000000001p63 and top + 1 > 0x1p63 and top < math.huge and -top > -math.huge)
assert(rc.compare(top * 4 + 1, 0x1p65) == 1 and rc.compare(-top * 4 - 1, -0x1p65) == -1 and rc.compare(0 / 0, -top) == -1)
assert(rc.hash(1) == rc.hash(1.0) and rc.hash(rc.int(1)) == rc.hash(1) and rc.hash(0.0) == rc.hash(-0.0))
assert(rc.hash(rc.int(10) ^ 300) ~= rc.hash(1e300) and rc.hash(rc.int(1e300)) == rc.hash(1e300))
assert(rc.hash("text") == rc.hash(rc.rope("text")) and rc.map { text = 1 }[rc.rope("text")] == 1)

-- values that nest, to the limit of what looks at them and beyond
local deep, other = rc.vector { 1 }, rc.vector { 1 }
for _ = 1, 99 do deep, other = rc.vector { deep }, rc.vector { other } end
assert(deep == other and rc.hash(deep) == rc.hash(other) and rc.decode(deep:encode()) == deep)
deep, other = rc.list { deep }, rc.list { other }
for _, f in ipairs { rc.hash, rc.encode, function(v) return v == other end, function(v) return rc.map { [v] = 1 } end } do
  assert(fails(f, deep):find("nest too deeply"))
end
for _ = 1, 100000 do deep = rc.vector { deep } end
assert(#tostring(deep) == 1003 and deep == deep)
assert(#tostring(rc.list { ("x"):rep(5000) }) == 1003)
assert(tostring(rc.vector { "a\n\0\"\\" }) == 'rc.vector{"a\\n\\000\\"\\\\"}')

-- ---- What is no encoding

local bytes = rc.encode(rc.map { list = rc.list { 1, -300, 2.5, true, "text" }, [rc.int(2) ^ 100] = rc.rope("rope"), v = rc.vector() })
local function checked(s)
  local h = 0x811c9dc5
  for i = 1, #s do h = (h ~ s:byte(i)) * 0x01000193 & 0xffffffff end
  return s .. ("<I4"):pack(h)
end
local function coded(s) return checked("RC\1" .. s) end
assert(checked(bytes:sub(1, -5)) == bytes and rc.decode(coded "\3\5") == -3)
for i = 0, #bytes - 1 do
  fails(rc.decode, bytes:sub(1, i))
  fails(rc.decode, bytes .. "\0")
  for _ = 1, 5 do
    local changed = bytes:sub(1, i) .. string.char(math.random(0, 255)) .. bytes:sub(i + 2)
    if changed ~= bytes then fails(rc.decode, changed) end
    local ok, v = pcall(rc.decode, checked(changed:sub(1, -5)))
    if ok then assert(#rc.encode(v) == #bytes) end -- no longer than needed, though maps may be in another order
  end
end
for _, bad in ipairs { "", "\11", "\3", "\3\x80", "\3\x80\0", "\3" .. ("\xff"):rep(9) .. "\2", "\4\0\0\0", "\5\2a", "\5" .. ("\xff"):rep(9) .. "\1",
  "\7\1", "\7\2\0", "\7\4\1", "\8\2\0", "\9\xff\xff\xff\xff\x0f\0", "\10\1\0\0", "\10\2\3\2\0\3\2\0", "\10\1\4\0\0\0\0\0\0\xf0\x3f\0",
  "\10\1\4\0\0\0\0\0\0\xf8\x7f\0", "\10\1\3\2", "\0\0", ("\9\1"):rep(101) .. "\0", ("\9\1"):rep(1000000) } do
  fails(rc.decode, coded(bad))
end
assert(rc.decode(coded(("\9\1"):rep(99) .. "\9\0")))
fails(rc.decode, rc.rope(bytes))
for _ = 1, 6000 do
  local s = {}
  for i = 1, math.random(30) do s[i] = string.char(math.random(3) > 1 and math.random(0, 11) or math.random(0, 255)) end
  local ok, v = pcall(rc.decode, coded(table.concat(s)))
  if ok then assert(#rc.encode(v) == #s + 7) end
end

-- ---- Ropes against strings

local rope, text = rc.draft(rc.rope()), ""
for round = 1, 1500 do
  local r = math.random(10)
  if r <= 4 or #text > 30000 then
    local s = tostring(round):rep(math.random(0, 200))
    rope:push(s)
    text = text .. s
  elseif r <= 6 and #text > 0 then
    local i, byte = math.random(#text), math.random(0, 255)
    rope[i] = byte
    text = text:sub(1, i - 1) .. string.char(byte) .. text:sub(i + 1)
  elseif r <= 8 then
    local i, j = math.random(-#text - 1, #text + 1), math.random(-#text - 1, #text + 1)
    local part = rope:value():sub(i, j)
    assert(tostring(part) == text:sub(i, j) and part == rc.rope(text:sub(i, j)))
    if #part > 10000 then rope, text = part:draft(), text:sub(i, j) end
  else
    local front = math.random(2) == 1 and rc.rope(text):sub(1, 300) or 1.5
    rope = (front .. rope:value()):draft()
    text = (front == 1.5 and "1.5" or text:sub(1, 300)) .. text
    if #text > 40000 then rope, text = rope:value():sub(1, 20000):draft(), text:sub(1, 20000) end
  end
  assert(#rope == #text)
end
assert(tostring(rope:value()) == text)
for i, byte in ipairs(rope:value():sub(1, 1000)) do assert(byte == text:byte(i)) end
local parts, place = {}, 1
for i, part in pairs(rope) do
  assert(i == place)
  place = place + #part
  parts[#parts + 1] = part
end
assert(table.concat(parts) == text and rope[0] == nil and rope[#text + 1] == nil and rope[1.5] == nil)
for _, s in ipairs { "", "a", text, text .. "a", text:sub(1, -2) } do
  local r = rc.rope(s)
  assert(rc.compare(r, rope:value()) == (s < text and -1 or s > text and 1 or 0) and rc.hash(r) == rc.hash(s))
  assert((r < text) == (s < text) and (text <= r) == (text <= s))
end
fails(function() rope[#rope + 1] = 1 end)
fails(function() rope[1] = 256 end)
fails(function() return rope:value() .. {} end)
fails(function() return rope:value() .. rope end)
fails(rc.rope, {})
local long = rc.rope("x")
assert(fails(function() for _ = 1, 60 do long = long .. long end end):find("too long") and #long == 1 << 47)
assert(#long:sub(5, -5) == (1 << 47) - 8 and rc.rope():push(rc.int(5)) == rc.rope("5"))

-- ---- Big integers: against Lua's where these suffice, and against arithmetic with digits

local function random_int() return math.random(0) >> math.random(0, 63) end
for _ = 1, 6000 do
  local a, b = random_int(), random_int()
  if math.random(2) == 1 then a = -a end
  if math.random(2) == 1 then b = -b end
  local x, y = math.random(3) == 1 and a or rc.int(a), rc.int(b)
  assert((x < y) == (a < b) and (x <= y) == (a <= b) and rc.compare(x, b) == sign(a, b) and rc.tointeger(y) == b and tostring(y) == tostring(b))
  local half, other_half = a >> 33, b >> 33
  assert(rc.int(half) * other_half == rc.int(half * other_half) and rc.int(half) - other_half == rc.int(half - other_half))
  assert(half + rc.int(other_half) == rc.int(half + other_half) and -y == 0 - y and rc.int(a) == rc.int(tostring(a)))
  if b ~= 0 and not (a == math.mininteger and b == -1) then
    assert(x // y == rc.int(a // b) and x % y == rc.int(a % b))
  end
  local n = math.random(0, 62)
  assert(y >> n == rc.int(b // (1 << n)) and (y << n) >> n == y)
end

-- Decimal digits, the lowest first.
local function digits_of(s)
  local d = {}
  for i = #s, 1, -1 do d[#d + 1] = s:byte(i) - 48 end
  return d
end
local function text_of(d)
  while #d > 1 and d[#d] == 0 do d[#d] = nil end
  return table.concat(d):reverse()
end
local function carried(d)
  local carry = 0
  for i = 1, #d do
    carry = carry + d[i]
    d[i] = carry % 10
    carry = carry // 10
  end
  while carry > 0 do
    d[#d + 1] = carry % 10
    carry = carry // 10
  end
  return text_of(d)
end
local function sum(s, t)
  local a, b, d = digits_of(s), digits_of(t), {}
  for i = 1, math.max(#a, #b) do d[i] = (a[i] or 0) + (b[i] or 0) end
  return carried(d)
end
local function product(s, t)
  local a, b, d = digits_of(s), digits_of(t), {}
  for i = 1, #a + #b do d[i] = 0 end
  for i = 1, #a do for j = 1, #b do d[i + j - 1] = d[i + j - 1] + a[i] * b[j] end end
  return carried(d)
end
local function random_numeral(n)
  local d = { tostring(math.random(9)) }
  for i = 2, n do d[i] = tostring(math.random(0, 9)) end
  return table.concat(d)
end
for _ = 1, 150 do
  local s, t = random_numeral(math.random(150)), random_numeral(math.random(80))
  local a, b = rc.int(s), rc.int(t)
  assert(tostring(a) == s and tostring(a + b) == sum(s, t) and tostring(a * b) == product(s, t) and -(a * b) == a * -b)
  assert(a + b - b == a and a * b // b == a and a * b % b == rc.int(0) and rc.decode(rc.encode(-a)) == -a)
  for _, p in ipairs { a, -a } do for _, q in ipairs { b, -b } do
    local quotient, rest = p // q, p % q
    assert(quotient * q + rest == p and (rest == rc.int(0) or (rest < 0) == (q < 0)) and (q > 0 and rest < q or q < 0 and rest > q))
  end end
end
local power = rc.int(1)
for n = 0, 60 do
  assert(rc.int(-37) ^ n == power and tostring(rc.int(10) ^ n) == "1" .. ("0"):rep(n))
  power = power * -37
end
assert(rc.int("-zZ", 36) == rc.int(-1295) and rc.int("+0") == rc.int(0) and rc.int(5.0) == rc.int(5) and rc.int(-1e20) == -rc.int("1" .. ("0"):rep(20)))
assert(rc.int(0) ^ 0 == rc.int(1) and rc.int(1) ^ (1 << 62) == rc.int(1) and rc.int(-1) ^ ((1 << 62) + 1) == rc.int(-1))
assert(#tostring(2 ^ rc.int(300)) == 91 and 2 ^ (rc.int(1) << 20) == rc.int(1) << (1 << 20))
assert("n = " .. rc.int(5) == "n = 5" and rc.int(1) .. rc.int(2) == "12" and rc.tointeger(rc.int(1) << 63) == nil)
assert(rc.int(7) / 2 == 3.5 and math.type(rc.int(6) / 3) == "float" and 1 / rc.int(0) == 1 / 0 and rc.int(3):digits(2) == "11" and rc.digits(-255, 16) == "-ff")
assert(rc.tointeger(5) == 5 and rc.type(rc.int(5) .. rc.rope "!") == "rope" and rc.int(5) ~= 5)
for _, f in ipairs { function() return rc.int(1) // 0 end, function() return 1 % rc.int(0) end, function() return rc.int(1) + 0.5 end,
  function() return rc.int(1) + "1" end, function() return rc.int(2) ^ -1 end, function() return rc.int(2) ^ 0.5 end,
  function() return rc.int(3) ^ (1 << 40) end, function() return rc.int(1) << (1 << 50) end, function() return rc.int(2) ^ (rc.int(1) << 80) end,
  function() return rc.int(1) / "2" end, function() return {} / rc.int(1) end, function() return #rc.int(1) end,
  function() return rc.int(1) & 0.5 end, function() return "1" | rc.int(1) end, function() return rc.digits(rc.int(1), 37) end,
  function() return rc.digits("1") end, function() return rc.int(1) < {} end,
  function() return rc.int() end, function() return rc.int("") end, function() return rc.int("-") end, function() return rc.int("12 ") end,
  function() return rc.int("1", 1) end, function() return rc.int("1", 37) end, function() return rc.int("2", 2) end,
  function() return rc.int(0 / 0) end, function() return rc.int(1 / 0) end } do
  fails(f)
end

values, sorted, top, deep, other, rope, long, power, parts = nil, nil, nil, nil, nil, nil, nil, nil, nil
collectgarbage()
rc.drain()
assert(rc.counters().objects == 0, rc.counters().objects)
print("rcvalues as expected")
