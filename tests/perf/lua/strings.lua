-- allocates: strings that are made by the operator .. and taken apart by string.sub and string.byte.
local n = tonumber(arg[1]) or 1300000

local sum, text = 0, ""
for i = 1, n do
  local s = "key" .. i
  sum = (sum * 7 + s:byte(#s) + #s) % 1000003
  if i % 100 == 0 then text = #text < 2000 and text .. s or s:sub(2) end
end
for i = 1, n // 8 do
  local s = text:sub(i % #text + 1, i % #text + 20) .. text:sub(1, i % 60)
  sum = (sum * 7 + #s) % 1000003
end
print(sum, #text)
