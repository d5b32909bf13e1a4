-- Values of the rc module: their order, and that they die without a say in the ticks.
local m = rc.draft(rc.map())
for i = 1, 2000 do m[i * 7919 % 2003] = i m["key " .. i % 300] = i end
for i = 1, 2000, 3 do m[i] = nil end
local sum, count = 0, 0
for k, v in pairs(m) do sum, count = (sum * 31 + v) % 1000003, count + 1 end
print(sum, count, #m)
local v = rc.draft(rc.vector())
for i = 1, 5000 do v:push(i) if i % 3 == 0 then v:pop() end end
print(#v, v[1], v[#v])
for round = 1, 20 do
  local l = rc.draft(rc.list())
  for i = 1, 1000 do l:push(i) l:push("text " .. i) end
end
