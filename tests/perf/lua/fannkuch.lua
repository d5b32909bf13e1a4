-- Small arrays of integers: the most reversals that a permutation of 1..n needs to bring 1 to the front.
local n = tonumber(arg[1]) or 9

local function reversals(from, work)
  for i = 1, n do work[i] = from[i] end
  local count, first = 0, work[1]
  while first ~= 1 do
    local i, j = 1, first
    while i < j do
      work[i], work[j] = work[j], work[i]
      i, j = i + 1, j - 1
    end
    count, first = count + 1, work[1]
  end
  return count
end

local permutation, turns, work = {}, {}, {}
for i = 1, n do permutation[i], turns[i] = i, 0 end
local most, checksum, sign = 0, 0, 1
while true do
  local count = reversals(permutation, work)
  if count > most then most = count end
  checksum, sign = checksum + sign * count, -sign
  local i = 2
  while i <= n do -- Heap's order
    if turns[i] < i - 1 then
      local k = i % 2 == 1 and 1 or turns[i] + 1
      permutation[k], permutation[i] = permutation[i], permutation[k]
      turns[i] = turns[i] + 1
      break
    end
    turns[i] = 0
    i = i + 1
  end
  if i > n then break end
end
print(most, checksum)
