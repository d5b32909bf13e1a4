-- 400 keys of one chain: the hash multiplies a key's word by this, and folds its halves.
local factor, inverse = 0x9E3779B97F4A7C15, 1
for _ = 1, 6 do inverse = inverse * (2 - factor * inverse) end
local map, count = rc.map(), 0
for half = 1, math.maxinteger do
  for top = 0, 7 do
    local word = (half << 32 | half & 0xFFFFF | top << 20) * inverse
    if word & 7 == 3 then -- a number, as the words of rc hold it
      map[word >> 3 | (word < 0 and ~((1 << 61) - 1) or 0)] = true
      count = count + 1
      break
    end
  end
  if count == 400 then break end
end
print(#map)
