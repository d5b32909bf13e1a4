-- Chunks that are made, loaded and run; and what is not loaded.
local total = 0
for i = 1, 200 do
  local f = load("local a = ... return a * " .. i .. " + " .. #tostring(i), "=made", "t", {})
  total = total + f(i)
end
print(total)
print(load("\27Lua"))
local parts = {"return ", "1 ", "+ ", "2"}
local at = 0
print(load(function() at = at + 1 return parts[at] end)())
print(pcall(load, function() error("in the reader") end))
