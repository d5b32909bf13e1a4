local i = 0 while i < 2000000 do i = i + 1 end print(i)
