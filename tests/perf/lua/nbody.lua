-- Floating point in fields of tables: planets that attract each other.
local steps = tonumber(arg[1]) or 150000

local bodies = {}
for i = 1, 5 do
  local far = (i - 1) * 5
  bodies[i] = {x = far, y = 0, z = far * 0.02, vx = 0, vy = i == 1 and 0 or math.sqrt(40 / far), vz = 0,
               mass = i == 1 and 40 or 0.01 * i}
end

local function energy()
  local e = 0
  for i = 1, #bodies do
    local a = bodies[i]
    e = e + 0.5 * a.mass * (a.vx * a.vx + a.vy * a.vy + a.vz * a.vz)
    for j = i + 1, #bodies do
      local b = bodies[j]
      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
      e = e - a.mass * b.mass / math.sqrt(dx * dx + dy * dy + dz * dz)
    end
  end
  return e
end

local function attract(a, b, dt)
  local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
  local square = dx * dx + dy * dy + dz * dz
  local force = dt / (square * square ^ 0.5)
  local toward, away = b.mass * force, a.mass * force
  a.vx, a.vy, a.vz = a.vx - dx * toward, a.vy - dy * toward, a.vz - dz * toward
  b.vx, b.vy, b.vz = b.vx + dx * away, b.vy + dy * away, b.vz + dz * away
end

local function advance(dt)
  for i = 1, #bodies do
    local a = bodies[i]
    for j = i + 1, #bodies do attract(a, bodies[j], dt) end
  end
  for i = 1, #bodies do
    local a = bodies[i]
    a.x, a.y, a.z = a.x + dt * a.vx, a.y + dt * a.vy, a.z + dt * a.vz
  end
end

for _ = 1, steps do advance(0.001) end
print(string.format("%.9f", energy()))
