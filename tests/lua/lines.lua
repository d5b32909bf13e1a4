-- Uses too much memory in one call of C; argument 1 tells how.
local function build(n)
  local s
  s = string.rep("x", n)
  return s
end

build(100)

local how = {}
function how.caught()
  print(pcall(build, 30000000))
end
function how.handled()
  print(xpcall(build, function(m) return m .. "!" end, 30000000))
end
function how.coroutine()
  local co = coroutine.create(build)
  print(coroutine.resume(co, 30000000))
end
function how.wrapped()
  coroutine.wrap(string.rep)("x", 30000000)
end
function how.loaded()
  print(load(function() return build(30000000) end))
end
function how.direct()
  local s = "x"
  print(string.rep(s, 30000000))
end
function how.finalizer()
  setmetatable({}, { __gc = function() build(30000000) end })
  collectgarbage()
  print("after")
end
how[arg[1]]()
print("not reached")
