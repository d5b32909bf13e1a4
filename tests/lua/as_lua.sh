#!/bin/bash
# as_lua.sh SLUA...: command lines that lua5.4 and each binary run: the same output, messages and exit code.
# Only the program's name differs, and what a wrong option is told after the first line.
binaries=()
for slua in "$@"; do binaries+=("$(realpath "$slua")"); done
source "$(dirname "$0")/../tools.sh"
cd "$dir" || exit 1
export ASAN_OPTIONS=detect_leaks=0 INPUTRC=/dev/null TERM=dumb
unset LUA_INIT LUA_INIT_5_4 LUA_PATH LUA_CPATH LUA_PATH_5_4 LUA_CPATH_5_4

# ---- Files that the command lines use

cat >show.lua <<'E1'
print(...)
local least, most = 0, 0
for i in pairs(arg) do least, most = math.min(least, i), math.max(most, i) end
for i = least, most do print(i, i == least and "program" or arg[i]) end
E1
echo 'local function f() error("wrong") end local function g() f() end g()' >wrong.lua
echo 'error(setmetatable({}, {__tostring = function() return "custom" end}))' >custom.lua
echo 'x = = 1' >syntax.lua
printf '#!/usr/bin/lua\nprint("a first line", ...)\nreturn 1, 2' >first.lua
echo 'return {value = 42, name = ...}' >mod.lua
mkdir -p sub && echo 'return "from sub"' >sub/deep.lua
echo 'print("init file") x = 5' >init.lua
lua5.4 -e 'io.open("code.luac", "wb"):write(string.dump(function(...) print("it ran", ...) end))'
printf '1 + 1\n=2\nx = 5\nfor i = 1, 2 do\nprint(i) end\nx.y.z\nerror {}\nreturn nil\nlocal function f()\nerror "deep" end\nf()\n' >lines
printf 'print("a piped script", ...)\nprint(#arg, arg[1])\nreturn 5' >script
echo 'print("unfinished"' >unfinished
interrupt='io.popen("kill -INT $PPID"):close()'

# ---- One command line: INPUT NAME=VALUE... -- ARGS...

run() { # PROGRAM OUT ARGS...
  local program=$1 out=$2
  shift 2
  env "${environment[@]}" timeout 60 "$program" "$@" <"$input" >"$out.out" 2>"$out.err"
  echo "exit $?" >>"$out.out"
  sed -i "s,^$program: ,lua: ,; /^usage: /,\$d; s/0x[0-9a-f]*/0x/g" "$out.err"
  sed -i 's/0x[0-9a-f]*/0x/g' "$out.out"
}
same() {
  input=$1 environment=()
  shift
  while [ "$1" != -- ]; do
    environment+=("$1")
    shift
  done
  shift
  run lua5.4 lua "$@"
  for slua in "${binaries[@]}"; do
    run "$slua" ours "$@"
    sed -i 's/^slua: /lua: /' ours.err
    diff lua.out ours.out >diff && diff lua.err ours.err >>diff
    verdict $? "$slua $*" diff
  done
}
none=/dev/null

# ---- The table

same $none -- -e 'print(1)'
same $none -- '-eprint(1)'
same $none -- -e 'print(1)' -e 'error("two")' -e 'print(3)'
same $none -- -e
same $none -- -e -v
same $none -- -l
same $none -- -x
same $none -- -ix
same $none -- -vi
same $none -- -Wx
same $none -- -Ex
same $none -- ---
same $none -- -v
same $none -- -v -e 'print(1)'
same $none -- -v show.lua
same $none -- -i -e 'x = 1'
same lines -- -i
same lines -- -i show.lua a
same $none -- -i wrong.lua
same unfinished -- -
same lines -- -e '_PROMPT = "p " _PROMPT2 = "pp "' -i
same lines -- -e '_PROMPT = setmetatable({}, {__tostring = function() return "t " end})' -i
same lines -- -e 'print = nil' -i
same script --
same script -- -
same script -- - a b
same script -- -- - a
same script -- -e 'print "before"' - a
same script -- -W -- nowhere.lua
same $none -- show.lua
same $none -- show.lua -e -x a
same $none -- -e 'print(arg[0], arg[1])' show.lua a b
same $none -- -W -E -l mod -e 'print(mod.value)' -- show.lua a b
same $none -- -- show.lua a
same $none -- --
same $none -- -e 'arg = nil' show.lua
same $none -- -e 'arg = {"other", n = 1}' show.lua a b c
same $none -- nowhere.lua
same $none -- .
same $none -- wrong.lua
same $none -- custom.lua
same $none -- syntax.lua
same $none -- first.lua a
same $none -- code.luac a
same $none -- -e 'error()'
same $none -- -e 'error(nil)'
same $none -- -e 'error {}'
same $none -- -e 'error("no position", 0)'
same $none -- -e 'error(setmetatable({}, {__tostring = function() return 5 end}))'
same $none -- -e 'local t = {} t.x.y = 1'
same $none -- -e 'local function f(n) if n == 0 then error("end") end f(n - 1) end f(30)'
same $none -- -e 'local function f() return f() + 1 end f()'
same $none -- -e 'string.rep(1, 2, 3, {})' -e 'string.rep()'
same $none -- -e 'coroutine.wrap(function() error("in a coroutine") end)()'
same $none -- -e 'print(pcall(error))' -e 'print(select("#", pcall(error)))'
same $none -- -e 'xpcall(error, print, "handled")'
same $none -- -e 'assert(false)' -e ''
same $none -- -e 'print(#debug.traceback())'
same $none -- -e 'for i = 1, 250 do load("return " .. ("("):rep(i) .. "1" .. (")"):rep(i)) end print(load(("("):rep(300)))'

# requiring
same $none -- -l mod -e 'print(mod.value, mod.name)'
same $none -- -lmod -e 'print(mod.value)'
same $none -- -l m=mod -e 'print(m.value, mod)'
same $none -- -l nowhere
same $none -- -l deep
same $none 'LUA_PATH=./sub/?.lua;;' -- -l deep -e 'print(deep, package.path)'
same $none 'LUA_PATH_5_4=./sub/?.lua' 'LUA_PATH=x' -- -l deep -e 'print(deep, package.path)'
same $none 'LUA_CPATH=./?.none;;' -- -e 'print(package.cpath)'
same $none 'LUA_PATH=./sub/?.lua' -- -E -e 'print(package.path)' -l deep
same $none -- -e 'print(require "mod", package.loaded.mod.name)'
same $none -- -e 'print(package.searchpath("mod", package.path), #package.searchers, package.config)'
same $none -- -e 'print(package.loadlib("./nowhere.so", "f"))'

# the environment
same $none 'LUA_INIT=print("init", arg[0] and arg[1]) x = 1' -- -e 'print(x)'
same $none 'LUA_INIT=print(1)' 'LUA_INIT_5_4=print(5.4)' -- -e 'print(2)'
same $none LUA_INIT=@init.lua -- -e 'print(x)'
same $none LUA_INIT=@nowhere.lua -- -e 'print(1)'
same $none 'LUA_INIT=error("init")' -- show.lua
same $none 'LUA_INIT=x =' -- show.lua
same $none 'LUA_INIT=print("init")' -- -E -e 'print(1)'
same $none A=b -- -e 'print(os.getenv("A"), os.getenv("NOT_THERE"))'

# warnings, and the end
same $none -- -W -e 'warn("shown", " in pieces")'
same $none -- -e 'warn("not shown") warn("@on") warn("shown") warn("@off") warn("not")'
same $none -- -W -e 'setmetatable({}, {__gc = function() error("in gc") end})'
same $none -- -e 'setmetatable({}, {__gc = function() print "gc" end})'
same $none -- -e 'local x <close> = setmetatable({}, {__close = function(_, e) print("close", e) end}) error("e")'
same $none -- -e 'io.write("no line end")'
same $none -- -e 'io.stderr:write("an error\n") io.stdout:close()'
same $none -- -e 'os.exit(7)'
same $none -- -e 'print(1) os.exit(true)'
same $none -- -e 'os.exit(false, true)'
same $none -- -e 'setmetatable({}, {__gc = function() print "gc" end}) os.exit(3, true)'
same $none -- -e 'setmetatable({}, {__gc = function() print "gc" end}) os.exit(3)'
same $none -- -e 'coroutine.wrap(function() os.exit(4, true) end)()'
# (the signal comes at an instruction that is another one each time)
same $none -- -e "local _, m = pcall(function() $interrupt while true do end end) error(m:match('interrupted!'), 0)"
same $none -- -e "print(pcall(function() $interrupt local x = 0 while true do x = x + #tostring(x) end end) and 1, 'on')"

# what only an unguarded state has
same $none -- -e 'debug.setmetatable({}, {__gc = function() print "gc" end})'
same $none -- -e 'local pipe = io.popen("sleep 0.1; echo waited for", "w")'
same $none -- -e 'debug.setmetatable(1, 2)'
same $none -- -e 'print(os.execute("exit 3"))' -e 'print(io.popen("echo hello"):read("a"))'
same $none -- -e 'print(load(string.dump(function() return 5 end))())'
same $none -- -e 'local n = 0 debug.sethook(function() n = n + 1 end, "l") local x = 1
x = 2 debug.sethook() print(n, (debug.gethook()))'
same $none -- -e 'debug.setmetatable(1, {__index = math}) print((2.5):floor(), debug.getregistry()[2] == _G)'
same $none -- -e 'local up = 5 local function f() return up end print(debug.getupvalue(f, 1), debug.setupvalue(f, 1, 6), f())'
same $none -- -e 'print(coroutine.isyieldable(), select(2, coroutine.running()), coroutine.isyieldable(coroutine.create(print)))'
same $none -- -e 'print(collectgarbage("incremental"), collectgarbage("generational"), collectgarbage("step"))'
same $none -- -e 'local names = {} for k, v in pairs(_G) do if k ~= "rc" and k ~= "beat" then names[#names + 1] = k end end table.sort(names) print(table.concat(names, " "))'
same $none -- -e 'for _, l in ipairs { "string", "table", "math", "io", "os", "debug", "utf8", "coroutine", "package" } do
local names = {} for k, v in pairs(_G[l]) do names[#names + 1] = k end table.sort(names) print(l, table.concat(names, " ")) end'
module() { # NAME CODE: a C module, if the package is installed
  if lua5.4 -l "$1" -e '' 2>/dev/null; then same $none -- -l "$1" -e "$2"; else echo "skipped: no C module $1"; fi
}
module lpeg 'local p = lpeg.Ct((lpeg.C(lpeg.R("az")^1) + 1)^0) print(table.unpack(p:match("ab 12 cd")))'
module cjson 'print(cjson.encode(cjson.decode("[1, 2.5, {\"a\": null}, \"text\"]")))'
module lfs 'print(lfs.attributes(".", "mode"), lfs.attributes("nowhere"))'

finish
