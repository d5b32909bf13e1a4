-- table.sort of numbers, of strings, and with a comparator; a merge sort in Lua.
local n = tonumber(arg[1]) or 90000

local seed = 42
local function random()
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed // 65536
end

local function merge_sort(list, less)
  local from, to, size = list, {}, #list
  local width = 1
  while width < size do
    for low = 1, size, 2 * width do
      local middle, high = math.min(low + width, size + 1), math.min(low + 2 * width, size + 1)
      local i, j = low, middle
      for k = low, high - 1 do
        if i < middle and (j >= high or not less(from[j], from[i])) then
          to[k], i = from[i], i + 1
        else
          to[k], j = from[j], j + 1
        end
      end
    end
    from, to, width = to, from, width * 2
  end
  return from
end

local numbers, texts, records, list = {}, {}, {}, {}
for i = 1, n do
  numbers[i] = random()
  texts[i] = "k" .. random()
  records[i] = {key = random(), at = i}
  list[i] = random()
end
table.sort(numbers)
table.sort(texts)
table.sort(records, function(a, b)
  if a.key ~= b.key then return a.key < b.key end
  return a.at < b.at
end)
list = merge_sort(list, function(a, b) return a < b end)
local sum = 0
for i = 1, n do
  sum = (sum * 31 + numbers[i] + #texts[i] + texts[i]:byte(-1) + records[i].at + list[i]) % 1000003
end
print(sum)
