-- When and in which order finalizers run, and weak tables are cleared.
local log = {}
local function make(i) return setmetatable({i}, {__gc = function(o) log[#log + 1] = o[1] end}) end
local weak, keys = setmetatable({}, {__mode = "v"}), setmetatable({}, {__mode = "k"})
for i = 1, 3000 do
  local o = make(i)
  weak[i % 100] = o
  keys[o] = {i}
  local junk = {}
  for k = 1, i % 20 do junk[k] = {k, tostring(k)} end
  if i % 300 == 0 then
    print(#log, log[#log], collectgarbage("count"))
    local alive = 0
    for _ in pairs(keys) do alive = alive + 1 end
    print(alive)
  end
end
collectgarbage()
print(table.concat(log, " ", #log - 50))
local again
again = setmetatable({}, {__gc = function(o) print("resurrected") again = o end})
again = nil
collectgarbage() collectgarbage()
print(again)
