-- Catches what it can, and does not get past the limit.
local n = 0
local function again()
  n = n + 1
  pcall(function() local function f() n = n + 1 if n % 50 == 0 then error(n) end return f() end f() end)
  coroutine.wrap(function() xpcall(error, function() n = n + 1 end) end)()
  setmetatable({}, {__gc = function() n = n + 1 end})
  if n % 1000 < 50 then print(n) end
end
while true do pcall(again) end
