for i = 1, 3000000 do end
