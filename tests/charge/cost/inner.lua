local s = 0 local n = 3 for i = 1, 300000 do for j = i, i + n do s = s + j end end print(s)
