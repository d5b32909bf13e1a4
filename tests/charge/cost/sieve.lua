local n = 0
for r = 1, 10 do
  local p = {} for i = 2, 8192 do p[i] = true end
  for i = 2, 8192 do if p[i] then for k = i + i, 8192, i do p[k] = false end n = n + 1 end end
end print(n)
