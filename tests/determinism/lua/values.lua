-- Values of the rc module: versions, hashes, bytes, the order of keys of all kinds, and the ticks of all that.
local versions, v = {}, rc.vector()
for i = 1, 3000 do
  v = v:push(i % 7 == 0 and rc.list { i, "text " .. i } or i)
  if i % 10 == 0 then versions[#versions + 1] = v end
  if i % 900 == 0 then versions = {} end
end
print(v:hash(), #v:encode(), #versions, v < versions[1])
local keys = rc.draft(rc.map())
for i = 1, 300 do
  keys[i * 0.5] = i
  keys[rc.int(3) ^ i] = i
  keys[rc.rope("key " .. i)] = i
  keys[rc.vector { i, rc.map { [i] = true } }] = i
end
local order = {}
for _, i in pairs(keys) do order[#order + 1] = i end
print(table.concat(order, " "), rc.hash(rc.value(keys)))
local sorted = {}
for k in pairs(keys) do sorted[#sorted + 1] = k end
table.sort(sorted, function(a, b) return rc.compare(a, b) < 0 end)
print(sorted[1], sorted[500], sorted[#sorted])
print(rc.decode(rc.encode(rc.value(keys))) == rc.value(keys), rc.value(keys))
local n, rope = rc.int(1), rc.rope()
for i = 1, 300 do
  n = n * i + i
  rope = rope .. tostring(n)
end
print(n, n % 1000003, #rope, rc.hash(rope))
