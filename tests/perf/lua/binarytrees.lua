-- allocates: complete binary trees of tables, made, counted and dropped, beside one that lives on.
local depth = tonumber(arg[1]) or 16

local function make(d)
  if d == 0 then return {} end
  return {make(d - 1), make(d - 1)}
end

local function count(tree)
  if tree[1] == nil then return 1 end
  return 1 + count(tree[1]) + count(tree[2])
end

local long = make(depth)
local sum = 0
for d = 4, depth, 2 do
  for _ = 1, 1 << (depth - d + 2) do sum = sum + count(make(d)) end
end
print(sum, count(long))
