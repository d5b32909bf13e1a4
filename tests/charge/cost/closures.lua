local function counter() local n = 0 return function() n = n + 1 return n end end
local s = 0 for i = 1, 50000 do local c = counter() c() s = s + c() end print(s)
