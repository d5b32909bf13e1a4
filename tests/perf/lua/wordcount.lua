-- allocates: words of a text, counted in a table; keys that come and go.
local rounds = tonumber(arg[1]) or 110

local seed = 7
local function random(limit)
  seed = (seed * 16807) % 2147483647
  return seed % limit
end

local syllables = {"ka", "lo", "mi", "ren", "tu", "sha", "dor", "ve", "pin", "xa"}
local words = {}
for i = 1, 4000 do
  local word = ""
  for _ = 1, 1 + random(4) do word = word .. syllables[1 + random(#syllables)] end
  words[i] = word
end

local total, checksum = 0, 0
for round = 1, rounds do
  local line = {}
  for i = 1, 8000 do line[i] = words[1 + random(#words)] .. (i % 50 == 0 and round or "") end
  local text = table.concat(line, " ")
  local counts = {}
  for word in text:gmatch("%w+") do
    counts[word] = (counts[word] or 0) + 1
    total = total + 1
  end
  local order = {}
  for word in pairs(counts) do order[#order + 1] = word end
  table.sort(order, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return a < b
  end)
  for i = 1, 10 do checksum = (checksum * 31 + counts[order[i]] + #order[i]) % 1000003 end
  checksum = (checksum + #order) % 1000003
end
print(total, checksum)
