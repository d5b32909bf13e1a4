-- allocates: a kernel's simulation in the manner of Richards: tasks with queues of packets and states.
local rounds = tonumber(arg[1]) or 30000

local Task = {}
Task.__index = Task
local tasks, waiting, handled, checksum = {}, 0, 0, 0

local function packet(kind, value) return {kind = kind, value = value, data = {value, value + 1, value + 2, 0}} end

local function add_task(name, priority, work)
  local task = {name = name, priority = priority, work = work, first = nil, last = nil, state = "idle"}
  tasks[name] = setmetatable(task, Task)
end

function Task:send(p)
  p.next = nil
  if self.last then self.last.next = p else self.first = p end
  self.last = p
  waiting = waiting + 1
  self.state = "ready"
end

function Task:take()
  local p = self.first
  self.first = p.next
  if not self.first then self.last, self.state = nil, "idle" end
  waiting = waiting - 1
  return p
end

local function best()
  local chosen
  for _, name in ipairs({"device", "handler", "worker", "source"}) do
    local task = tasks[name]
    if task.state == "ready" and (not chosen or task.priority > chosen.priority) then chosen = task end
  end
  return chosen
end

local produced = 0
add_task("source", 1, function(_, p)
  produced = produced + 1
  tasks.worker:send(packet("work", p.value + produced))
  if produced % 3 == 0 then tasks.device:send(packet("device", produced)) end
  if produced < rounds * 4 then tasks.source:send(packet("go", p.value + 1)) end
end)
add_task("worker", 2, function(_, p)
  for i = 1, #p.data do p.data[i] = p.data[i] * 3 % 101 + i end
  tasks.handler:send(packet("done", p.data[1] + p.data[4]))
end)
add_task("handler", 3, function(self, p)
  self.log = {previous = p.value % 5 ~= 0 and self.log or nil, value = p.value}
  local depth, entry = 0, self.log
  while entry do depth, entry = depth + entry.value, entry.previous end
  checksum = (checksum * 31 + depth) % 1000003
end)
add_task("device", 4, function(_, p) checksum = (checksum + p.value) % 1000003 end)

tasks.source:send(packet("go", 0))
while waiting > 0 do
  local task = best()
  task:work(task:take())
  handled = handled + 1
end
print(produced, handled, checksum)
