-- Does not end: prints where it is when the limit comes.
local n, t = 0, {}
while true do
  n = n + 1
  t[n % 1000] = {n, tostring(n)}
  if n % 500 == 0 then
    local sum = 0
    for _, v in pairs(t) do sum = sum + v[1] end
    print(n, sum)
  end
end
