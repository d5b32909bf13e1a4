-- An order that a quicksort meets its worst case with, whatever it compares: a value is decided when it must be
-- (McIlroy, "A Killer Adversary for Quicksort", 1999).
for _, n in ipairs({50, 300, 1000}) do
  local t, value, solid, candidate, compared = {}, {}, 0, 0, 0
  for i = 1, n do t[i] = i end
  pcall(table.sort, t, function(a, b)
    compared = compared + 1
    if not value[a] and not value[b] then
      solid = solid + 1
      value[a == candidate and a or b] = solid
    end
    if not value[a] then candidate = a elseif not value[b] then candidate = b end
    return (value[a] or n + 1) < (value[b] or n + 1)
  end)
  print(n, compared, t[1], t[n // 2], t[n])
end
