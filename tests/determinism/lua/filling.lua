-- Fills its memory: the limit comes at the same request.
local t = {}
for i = 1, math.huge do
  t[i] = {i, tostring(i), function() return i end}
  if i % 1000 == 0 then print(i, collectgarbage("count")) end
end
