-- scheduler.lua: tasks that share the ticks fairly, whatever they do. It is preemptive and repeats to the
-- tick: a task is stopped between two instructions when its slice is used up, and goes on with the next.
--   slua --ticks scheduler.lua
local scheduler = { slice = 500, ready = {}, now = beat.ticks }

function scheduler.spawn(name, f, ...)
  table.insert(scheduler.ready, { name = name, co = coroutine.create(f), args = table.pack(...), wake = 0, used = 0 })
end

function scheduler.sleep(ticks) coroutine.yield(scheduler.now() + ticks) end

local function run(task)
  local start, args = scheduler.now(), task.args
  task.args = {}
  local status, value = beat.slice(task.co, scheduler.slice, table.unpack(args, 1, args.n))
  task.used = task.used + scheduler.now() - start
  task.wake = status == "yield" and value or 0
  if status == "error" then print(task.name .. " failed: " .. tostring(value)) end
  return status ~= "error" and status ~= "end"
end

-- Runs all tasks until none is left, or until they have used so many ticks.
function scheduler.run(ticks)
  local stop = scheduler.now() + ticks
  while #scheduler.ready > 0 and scheduler.now() < stop do
    local task = table.remove(scheduler.ready, 1)
    if task.wake > scheduler.now() or run(task) then table.insert(scheduler.ready, task) end
  end
end

-- ---- Four tasks: two that never yield, one that sleeps, one that fails

local turns, log = { 0, 0 }, {}
for i = 1, 2 do scheduler.spawn("loop " .. i, function() while true do turns[i] = turns[i] + 1 end end) end
scheduler.spawn("sleeper", function(n)
  for i = 1, n do
    log[#log + 1] = i
    scheduler.sleep(20000)
  end
  log[#log + 1] = "done"
end, 3)
scheduler.spawn("faulty", function() local t = nil; return t.field end)
scheduler.run(100000)

local a, b = scheduler.ready[1], scheduler.ready[2]
print("sleeper: " .. table.concat(log, " "))
print("fair: " .. tostring(math.abs(a.used - b.used) <= 2 * scheduler.slice), "turns: " ..
  tostring(math.abs(turns[1] - turns[2]) * 20 < turns[1]))
print("left: " .. #scheduler.ready)
return scheduler
