-- allocates: string.gsub with tables, functions and captures, string.gmatch and string.find on lines of a log.
local rounds = tonumber(arg[1]) or 90

local lines = {}
for i = 1, 400 do
  lines[i] = string.format("2024-%02d-%02d host%d: user=%s; path=/a/%d/b%%20c?x=%d&y=%d status %d", i % 12 + 1,
                           i % 28 + 1, i % 9, ("u"):rep(i % 5 + 1), i, i * 3, i * 7, 200 + i % 4 * 100)
end
local text = table.concat(lines, "\n")

local names = {host0 = "alpha", host1 = "beta", host2 = "gamma"}
local sum = 0
local function mix(s) sum = (sum * 31 + #s + s:byte(-1)) % 1000003 end

for round = 1, rounds do
  for line in text:gmatch("[^\n]+") do
    local year, month, day = line:match("^(%d+)-(%d+)-(%d+)")
    sum = (sum + year * 10000 + month * 100 + day + round) % 1000003
    for key, value in line:gmatch("(%w+)=([^&;%s]+)") do mix(key .. value) end
    mix((line:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)))
    if line:find("status [45]%d%d$") then mix(line:upper()) end
  end
  mix((text:gsub("host%d", names)))
  mix((text:gsub("(%w+)=(%w+)", "%2=%1")))
end
print(sum)
