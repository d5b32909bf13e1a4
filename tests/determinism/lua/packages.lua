-- Packages: JSON of two makers, MessagePack, binary heaps, Moses, inspect, argparse.
package.path = "/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua;/usr/share/lua/5.3/?.lua;/usr/share/lua/5.3/?/init.lua"
local dkjson, mp, heap, M, inspect = require "dkjson", require "MessagePack", require "binaryheap", require "moses", require "inspect"
local value = {name = "sluice", list = {}, nested = {a = {b = {c = true}}}, number = 1.25}
for i = 1, 100 do value.list[i] = {id = i, text = "text " .. i, flag = i % 2 == 0} end
local text = dkjson.encode(value)
print(#text, text:sub(1, 200), #dkjson.encode((dkjson.decode(text))))
local packed = mp.pack(value)
print(#packed, mp.unpack(packed).list[50].text)
local h, out = heap.minUnique(), {}
for i = 1, 200 do h:insert(i * 7919 % 1009, "v" .. i) end
for i = 1, 200 do out[i] = h:pop() end
print(table.concat(out, " "))
print(M.sum(M.map(M.range(1, 100), function(v) return v * v end)), table.concat(M.unique({1, 2, 2, 3, 1}), ","))
print(inspect({1, 2, {a = 1, ["a b"] = {print == print}}, x = {y = {z = {}}}}))
local parser = require "argparse"("tool", "A tool.")
parser:argument("input") parser:option("-o --output", "Where to.", "a.out") parser:flag("-v --verbose")
print(inspect(parser:parse({"file", "-v", "-o", "x"})), parser:get_usage())
