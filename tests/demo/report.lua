-- Counted lists and vectors that live for a while, die, and make room for others: something to see in a report.
local keep = {}
for round = 1, 12 do
  local list, vector, garbage = rc.draft(rc.list()), rc.draft(rc.vector()), {}
  for i = 1, 30000 * (round % 4 + 1) do list:push(i) end
  for i = 1, 20000 do garbage[i] = {i} end
  rc.drop(keep[round % 3] or list)
  keep[round % 3] = list
  for i = 1, 20000 do vector[#vector + 1] = ("x"):rep(i % 50) end
  if round % 3 == 0 then rc.drop(vector) end
end
