local s = 0 for i = 1, 2000 do for x = 0, 1, 0.001 do s = s + x end end print(s)
