-- Without a seed the numbers are drawn from one that is always the same; with one from that.
for i = 1, 20 do io.write(math.random(1000), " ") end
print(math.random(), math.random(0))
print(math.randomseed())
for i = 1, 5 do io.write(math.random(1 << 50), " ") end
math.randomseed(42)
print(math.random(100), math.random(100), math.random())
math.randomseed(42, 7)
print(math.random(100), math.random(100), math.random())
