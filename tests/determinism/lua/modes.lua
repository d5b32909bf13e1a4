-- The collector in its modes: what it has done at which time depends on the program.
local function work(n)
  local keep = {}
  for i = 1, n do
    keep[i % 97] = {i, {tostring(i)}, function() return i end}
    if i % (n // 8) == 0 then io.write(string.format("%.3f ", collectgarbage("count"))) end
  end
  print()
end
collectgarbage("incremental") work(20000)
collectgarbage("generational") work(20000)
collectgarbage("incremental", 120, 400) work(20000)
collectgarbage("stop") work(2000)
print(collectgarbage("step", 50), collectgarbage("isrunning"))
collectgarbage("restart") work(20000)
