local t = {} for i = 1, 20000 do t[#t+1] = "line " .. i .. "\n" end
local s = table.concat(t) local n = 0 for w in s:gmatch("%d+") do n = n + #w end print(n, #s)
local r = "" for i = 1, 2000 do r = r .. "x" end print(#r)
