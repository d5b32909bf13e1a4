-- Keys with one hash: numbers of two limbs, the second of which undoes the first in the way in which rc hashes.
local function mix(h)
  h = (h ~ h >> 30) * 0xbf58476d1ce4e5b9
  h = (h ~ h >> 27) * 0x94d049bb133111eb
  return h ~ h >> 31
end
local factor, map = 0x9e3779b97f4a7c15, rc.draft(rc.map())
local function key(low)
  local high = 0x51ce - mix(4 * factor + low) * factor
  return rc.int(("%x%016x"):format(high, low), 16)
end
assert(rc.hash(key(1)) == rc.hash(key(2)) and key(1) ~= key(2))
for low = 1, 2000 do map[key(low)] = low end
print(#map)
