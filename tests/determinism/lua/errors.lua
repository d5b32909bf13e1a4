-- Messages and traces of errors of all kinds.
local cases = {
  function() local a; a.b = 1 end, function() local t = {} t.x.y = 1 end, function() return 1 + {} end, function() return #5 end,
  function() return {} < {} end, function() return 1 < "2" end, function() return ("x")() end, function() undefined() end,
  function() string.rep() end, function() ("x"):bad() end, function() error({code = 2}) end, function() error("plain", 0) end,
  function() error("level 2", 2) end, function() return 1 // 0 end, function() return 1 << {} end, function() return 2^53 | 0.5 end,
  function() for i = 1, 10, 0 do end end, function() for i = "a", 2 do end end, function() setmetatable(1, {}) end,
  function() return nil .. "x" end, function() local function f() return f() + 1 end return f() end,
  function() return table.concat({1, {}, 3}) end, function() return select(0) end, function() string.format("%d", 1.5) end,
  function() return table.unpack({}, 1, 1e8) end, function() return ("x"):rep(1e10) end, function() return load("x =")() end,
}
for i, f in ipairs(cases) do
  local ok, e = pcall(f)
  print(i, ok, type(e) == "table" and e.code or e)
end
print(xpcall(function() local x = nil; x() end, debug.traceback))
print(select(2, load("x = = 2", "=chunk")), select(2, load("for", "@file.lua")), select(2, load("x = 'unfinished", "text")))
