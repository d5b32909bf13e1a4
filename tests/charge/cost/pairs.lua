local t = {} for i = 1, 100 do t[i] = i t["k"..i] = i end local s = 0
for r = 1, 2000 do for k, v in pairs(t) do s = s + v end end print(s)
