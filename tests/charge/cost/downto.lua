local s = 0 for r = 1, 20000 do for i = 50, 1, -1 do s = s + i end end print(s)
