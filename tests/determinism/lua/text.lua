-- What shows addresses, and functions of text.
print({}, print, io.stdout, coroutine.create(print), function() end, setmetatable({}, {__name = "Named"}))
print(string.format("%p %p %p %5s %q", {}, "short", ("long"):rep(20), 12, "a\n\0b"))
print(tostring(print) == tostring(print), #tostring({}))
local words = {}
for w in ("the quick brown fox jumps over the lazy dog"):rep(20, " "):gmatch("%a+") do words[w] = (words[w] or 0) + 1 end
for w, n in pairs(words) do io.write(w, "=", n, " ") end
print()
local s = ("x"):rep(1000)
print(#s:gsub("x", "yy"), s:find("x-y"), (s .. "y"):find("x*y"), ("k=v, k2=v2"):gsub("(%w+)=(%w+)", "%2=%1"))
print(("%5.2f %g %x %5d %-5s|"):format(3.14159, 1e20, 255, 42, "ab"), 2^53, 1e15, 1e16, -0.0, 1/0, 0/0 ~= 0/0)
print(string.pack("<i4z", 100, "hello"):byte(1, -1))
for p, c in utf8.codes("héllo wörld") do io.write(p, ":", c, " ") end
print()
