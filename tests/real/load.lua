-- Strings, tables, closures, coroutines and trees; what it prints does not depend on addresses.
local function checksum(s)
  local h = 5381
  for i = 1, #s, 7 do h = (h * 33 + s:byte(i)) & 0xffffffff end
  return h
end

local function tree(depth)
  if depth == 0 then return {} end
  return {tree(depth - 1), tree(depth - 1)}
end
local function count(t) return t[1] and 1 + count(t[1]) + count(t[2]) or 1 end
local long = tree(16)
for depth = 4, 16, 2 do
  local sum = 0
  for _ = 1, 1 << (17 - depth) do sum = sum + count(tree(depth)) end
  print("trees", depth, sum)
end
print("long-lived tree", count(long))

local words = {}
for i = 1, 400000 do words[i] = ("%x"):format(i * 2654435761 & 0xffffff) end
table.sort(words)
local text = table.concat(words, " ")
print("text", #text, checksum(text))
local seen, kinds = {}, 0
for w in text:gmatch("%x%x") do
  if not seen[w] then kinds = kinds + 1 end
  seen[w] = (seen[w] or 0) + 1
end
print("pairs of digits", kinds, seen["ab"], checksum((text:gsub("a(%x)", "<%1>"))))

local grown = ""
for i = 1, 8000 do grown = grown .. i end
print("grown", #grown, checksum(grown))

local sum = 0
for i = 1, 30000 do
  local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return a * b end)
  sum = sum + co(i) + co(2)
end
print("coroutines", sum)

local adders = setmetatable({}, {__mode = "v"})
local kept = {}
for i = 1, 300000 do
  local f = function(x) i = i + x return i end
  adders[i] = f
  if i % 100 == 0 then kept[#kept + 1] = f end
end
collectgarbage()
local total, alive = 0, 0
for _, f in ipairs(kept) do total = total + f(1) end
for _ in pairs(adders) do alive = alive + 1 end
print("closures", total, alive)
