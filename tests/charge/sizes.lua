-- Functions that come to the limits of the format, or go beyond them with the additions: many constants, long
-- jumps, many registers, upvalues, levels.
local function check(name, text, ...)
  local f, e = load(text, "=" .. name)
  print(name, table.unpack(f and {pcall(f, ...)} or {e}))
end
local t = {"local s = 0 local first = 1 local n = ..."}
for i = 1, 300 do t[#t+1] = "s = s + " .. i .. ".25" end
t[#t+1] = "for i = first, n do s = s + i end for i = first + 0.0, n do s = s + i end return s"
check("constants", table.concat(t, "\n"), 300)
t = {"local s, n = 0, ... for i = 1, n do"}
for i = 1, 45000 do t[#t+1] = "s = s + i" end
t[#t+1] = "end return s"
check("long for", table.concat(t, "\n"), 40)
t[1] = "local s, n, i = 0, ..., 1 while i <= n do i = i + 1" check("long while", table.concat(t, "\n"), 40)
t = {"local s, n, i = 0, ..., 1 while i <= n do i = i + 1"}
for i = 1, 70000 do t[#t+1] = "s = s + i" end
t[#t+1] = "end return s"
check("longer while", table.concat(t, "\n"), 40)
t = {"local a = {} for i = 1, 10 do "}
for i = 1, 160 do t[#t+1] = "local v" .. i .. " = i" end
for i = 1, 5 do t[#t+1] = "for j = 1, 2 do" end
t[#t+1] = "a[1] = v3 + v160" t[#t+1] = ("end "):rep(6) .. "return a[1]"
check("locals", table.concat(t, "\n"))
t = {"return f("} for i = 1, 240 do t[#t+1] = i .. "," end t[#t+1] = "1)"
check("registers", "local f = select local function g() " .. table.concat(t) .. " end for i = 1, 100 do g() end return g()")
t = {}
for j = 1, 2 do for i = 1, 127 do t[#t+1] = "local u" .. j .. "_" .. i .. " = " .. i end t[#t+1] = "local function h" .. j .. "()" end
t[#t+1] = "local s = 0 for i = 1, 50 do s = s + i end"
for j = 1, 2 do for i = 1, 127 do t[#t+1] = "s = s + u" .. j .. "_" .. i end end
t[#t+1] = "return s end return h2() end return h1()"
check("upvalues", table.concat(t, "\n"))
check("nested", ("return (function(...) "):rep(60) .. "for i = 1, 99 do end return 5" .. (" end)()"):rep(60))
