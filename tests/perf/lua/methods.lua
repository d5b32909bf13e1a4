-- allocates: classes by metatables, with inheritance; small objects as values.
local n = tonumber(arg[1]) or 500000

local Vector = {}
Vector.__index = Vector
function Vector.new(x, y) return setmetatable({x = x, y = y}, Vector) end
function Vector.__add(a, b) return Vector.new(a.x + b.x, a.y + b.y) end
function Vector:scaled(f) return Vector.new(self.x * f, self.y * f) end
function Vector:norm() return self.x * self.x + self.y * self.y end

local Shape = {}
Shape.__index = Shape
function Shape:init(at) self.at = at return self end
function Shape:move(by) self.at = self.at + by end
function Shape:area() return 0 end
function Shape:score() return self:area() + self.at:norm() end

local function subclass(area)
  local class = setmetatable({area = area}, {__index = Shape})
  class.__index = class
  return class
end
local Square = subclass(function(self) return self.size * self.size end)
local Ring = subclass(function(self) return 3 * (self.size * self.size - 1) end)

local shapes = {}
for i = 1, 20 do
  local class = i % 2 == 0 and Square or Ring
  shapes[i] = setmetatable({size = i}, class):init(Vector.new(i, -i))
end
local total = 0
for i = 1, n do
  local shape = shapes[i % #shapes + 1]
  shape:move(Vector.new(1, 2):scaled(i % 3 - 1))
  total = (total + shape:score()) % 1000003
end
print(total)
