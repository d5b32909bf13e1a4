-- A package: Penlight.
package.path = "/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua;/usr/share/lua/5.3/?.lua;/usr/share/lua/5.3/?/init.lua"
local List, Map, Set, OrderedMap = require "pl.List", require "pl.Map", require "pl.Set", require "pl.OrderedMap"
local stringx, tablex, pretty, template = require "pl.stringx", require "pl.tablex", require "pl.pretty", require "pl.template"
local l = List.range(1, 100):map(function(x) return x * x % 37 end):filter(function(x) return x > 5 end)
print(l:sorted():slice(1, 20), #l, l:reduce("+"))
local s = Set(l:slice(1, 30)) * Set(List.range(1, 15))
print(s, Set.len(s))
local m = OrderedMap()
for i, w in ipairs(stringx.split("one two three four five six seven")) do m:set(w, i) end
print(m, tablex.size(m))
print(pretty.write({a = 1, b = {c = 2, d = {3, 4, 5}}, "x", "y"}))
print(template.substitute("# for i = 1, 5 do\n$(i) squared is $(i * i)\n# end\n"))
print(tablex.deepcompare({1, {2, 3}}, {1, {2, 3}}), stringx.center("text", 20, "*"))
