-- Tables as keys: the order of pairs depends on their addresses.
local order = {}
local keys = {}
for i = 1, 12 do keys[{}] = i end
for _, i in pairs(keys) do order[#order + 1] = i end
print(table.concat(order, " "))

local heap = {}
while true do
  for key, i in pairs(keys) do
    heap[i] = { key, heap[i % 5] }
    heap[key] = tostring(key) .. i
  end
  pcall(error, "nothing catches a limit")
end
