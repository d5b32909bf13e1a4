local P = {} P.__index = P
function P.new(x, y) return setmetatable({x=x, y=y}, P) end
function P:add(o) self.x = self.x + o.x self.y = self.y + o.y end
function P:norm() return self.x * self.x + self.y * self.y end
local a, b, s = P.new(0, 0), P.new(1, 2), 0
for i = 1, 200000 do a:add(b) s = s + a:norm() end print(s)
