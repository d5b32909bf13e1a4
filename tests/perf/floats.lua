-- Nanoseconds of processor time that functions of floats take, in a loop; for lua5.4 and slua.
local N <const> = 2e6
local sin, tan, exp, log, atan, asin = math.sin, math.tan, math.exp, math.log, math.atan, math.asin
local loops = {
  { "nothing", function() local s = 0.0 for i = 1, N do s = s + i * 0.37 end end },
  { "sin", function() local s = 0.0 for i = 1, N do s = s + sin(i * 0.37) end end },
  { "tan", function() local s = 0.0 for i = 1, N do s = s + tan(i * 0.37) end end },
  { "exp", function() local s = 0.0 for i = 1, N do s = s + exp(i * 1e-6) end end },
  { "log", function() local s = 0.0 for i = 1, N do s = s + log(i * 0.37) end end },
  { "atan", function() local s = 0.0 for i = 1, N do s = s + atan(i * 1e-6) end end },
  { "asin", function() local s = 0.0 for i = 1, N do s = s + asin(i * 1e-7) end end },
  { "x ^ 0.7", function() local s = 0.0 for i = 1, N do s = s + i ^ 0.7 end end },
  { "x ^ 3", function() local s = 0.0 for i = 1, N do s = s + i ^ 3 end end },
  { "x % 2.5", function() local s = 0.0 for i = 1, N do s = s + i % 2.5 end end },
}
for _, loop in ipairs(loops) do
  local best = math.huge
  for _ = 1, 3 do
    local start = os.clock()
    loop[2]()
    best = math.min(best, (os.clock() - start) / N * 1e9)
  end
  print(loop[1], best // 1)
end
