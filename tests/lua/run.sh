#!/bin/bash
# run.sh SLUA...: each binary runs every case; what must repeat is compared between runs and binaries.
binaries=() noise=$(realpath "$(dirname "$1")")/noise.so
for slua in "$@"; do binaries+=("$(realpath "$slua")"); done
cd "$(dirname "$0")" || exit 1
source ../tools.sh
export ASAN_OPTIONS=detect_leaks=0

# Runs slua; checks its exit code, and that the whole of stderr (and of stdout, if given) matches.
expect() { # NAME CODE STDERR-REGEX [STDOUT] -- ARGS...
  local name=$1 code=$2 regex=$3 stdout=""
  shift 3
  [ "$1" = -- ] || { stdout=$1 && shift; }
  shift
  timeout 120 "$slua" "$@" >"$dir/out" 2>"$dir/err" </dev/null
  local seen=$?
  [ $seen = "$code" ] && [[ "$(cat "$dir/err")" =~ ^($regex)$ ]] && [ "$(cat "$dir/out")" = "$stdout" ]
  verdict $? "$name: exit $code expected, $seen seen, with:" "$dir/err" "$dir/out"
}
heartbeats='slua: heartbeat limit of 50 reached after (49[7-9]|5[0-9]{2})[0-9]{2} ticks, at \(command line\):1'
memory='slua: memory limit of [0-9]+ bytes reached after [0-9]+ ticks, at \(command line\):1'
trace=$'\nstack traceback:\n.*'
beats() { expect "$1" 3 "$heartbeats" "${3-}" -- --heartbeats 50 -e "$2"; }
bytes() { expect "$1" 4 "$memory" -- --memory 4M -e "$2"; }

cases() {
  expect 'ends' 0 '' hello -- -e 'print "hello"'
  expect 'several -e' 0 '' $'1\n2' -- -e 'print(1)' -e 'print(2)'
  expect 'arguments' 0 '' $'a\tb\t2\tshow.lua' -- "$dir/show.lua" a b
  expect 'syntax error' 1 'slua: \(command line\):1: .* near <eof>' -- -e 'x ='
  expect 'error' 1 "slua: \(command line\):1: wrong$trace" -- -e 'error "wrong"'
  expect 'error in a table' 1 "slua: \(error object is a table value\)$trace" -- -e 'error {}'
  expect 'error with __tostring' 1 'slua: custom' -- -e 'error(setmetatable({}, {__tostring = function() return "custom" end}))'
  expect 'no script' 1 'slua: cannot open nowhere.lua: No such file or directory' -- nowhere.lua
  expect 'os.exit' 7 '' 'x' -- -e 'print "x" pcall(os.exit, 7) print "y"'
  expect 'os.exit(true)' 0 '' -- -e 'os.exit(true)'
  expect 'os.exit(false)' 1 '' -- -e 'coroutine.wrap(os.exit)(false)'
  expect 'finalizers at the end' 0 '' 'gc' -- -e 'setmetatable({}, {__gc = function() print "gc" end})'
  expect 'warnings' 0 'Lua warning: shown on' -- -e 'warn("@on") warn("shown", " on") warn("@off") warn("off")'

  beats 'loop' 'while true do end'
  beats 'pcall in a loop' 'while true do pcall(function() while true do end end) end'
  beats 'pcall around it' 'print(pcall(function() while true do end end))'
  beats 'message handler' 'xpcall(function() while true do end end, function() while true do end end)'
  beats 'handler of an error' 'xpcall(error, function() while true do end end)'
  beats 'coroutine' 'print(coroutine.resume(coroutine.create(function() while true do end end)))'
  beats 'short coroutines' 'while true do coroutine.wrap(function() local x = 1 end)() end'
  beats 'wrap' 'print(pcall(coroutine.wrap(function() while true do end end)))'
  beats '__close' 'local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end'
  beats 'coroutine.close' 'local loop = {__close = function() while true do end end} local co = coroutine.create(function() '`
    `'local x <close> = setmetatable({}, loop) coroutine.yield() end) coroutine.resume(co) print(coroutine.close(co))'
  beats 'load with a reader' 'print(load(function() while true do end end))'
  beats 'sort' 'local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() while true do end end)'
  beats 'metamethod' 'local t = setmetatable({}, {__index = function() while true do end end}) print(pcall(rawlen, t.x))'
  beats 'allocation in C' 'for i = 1, 1e9 do local s = ("x"):rep(1000) end'
  beats 'recursion' 'local function f() return pcall(f) end while true do f() end'
  beats 'gsub' '("x"):rep(1000):gsub(".", function() while true do end end)'
  beats 'pattern' 'string.find(("a"):rep(5000), ("a-"):rep(30) .. "b")'
  beats 'pattern, caught' 'while true do pcall(string.gsub, ("a"):rep(5000), ("(a*)"):rep(9) .. "%9b", "") end'
  beats 'rep' 'print(#("x"):rep(1 << 30))'

  bytes 'tables' 'local t = {} while true do t[#t + 1] = {} end'
  bytes 'caught' 'local t = {} while true do pcall(function() t[#t + 1] = {} end) end'
  bytes 'strings' 'local s = "x" while true do s = s .. s end'
  bytes 'one large string' 'print(pcall(string.rep, "x", 1 << 30))'
  bytes 'in coroutines' 'local t = {} while true do t[#t + 1] = coroutine.create(print) end'
  bytes 'counted lists' 'local l = rc.draft(rc.list()) while true do l:push("text") end'
  bytes 'counted vectors' 'local v = rc.draft(rc.vector()) while true do v:push(1) end'
  bytes 'counted ropes' 'local r = rc.draft(rc.rope()) while true do r:push("text") end'
  bytes 'versions' 'local all, v = {}, rc.vector() while true do v = v:push(1) all[#all + 1] = v end'
  bytes 'big integers' 'local n = rc.int(3) while true do n = n * n end'
  bytes 'counted, caught' 'local m = rc.draft(rc.map()) for i = 1, 1e9 do pcall(function() m[i] = i end) end'
  expect 'garbage is no use of memory' 0 '' 'ok' -- --memory 4M -e 'for i = 1, 1e5 do local t = {{}, {}} end print "ok"'
  expect 'large garbage neither' 0 '' 'ok' -- --memory 16M -e 'for i = 1, 300 do local s = ("x"):rep(5000000) end print "ok"'
  expect 'nor what leaves no room for one more' 0 '' 'ok' -- --memory 16M -e 'for i = 1, 100 do local s = ("x"):rep(7000000) end print "ok"'
  expect 'nor dead counted objects' 0 '' 'ok' -- --memory 4M -e 'for i = 1, 100 do
    local l = rc.draft(rc.list()) for j = 1, 10000 do l:push(j) end end print "ok"'
  expect 'less than Lua needs' 4 'slua: a memory limit of 1024 bytes is below what Lua needs to start; .*' -- --memory 1K -e ''
  expect 'a little less' 4 'slua: a memory limit of 20480 bytes is below what Lua needs to start; .*' -- --memory 20K -e ''
  expect 'enough' 0 '' -- --memory 64K -e ''
  expect 'ticks' 0 'ticks [1-9][0-9]*' -- --ticks -e ''
  expect 'pauses' 0 $'cause .*\nrc_dec +[0-9,]+ .* 33 +[0-9,]+\nrefill +.*\nrequest +.*\nbeat +.* 0 +0\nforced +0 .*' \
    -- --pauses -e 'local l = rc.draft(rc.list()) for i = 1, 1e5 do l:push(i) end rc.drop(l) for i = 1, 1e5 do local t = {} end'
  expect 'statistics' 0 $'task: [0-9]+ ticks, [0-9]+ heartbeats, [0-9]+ bytes at the end, [0-9]+ at most\nheap stats: .*\nok' \
    -- --stats -e 'local t = {} for i = 1, 1e5 do t[i] = {} end'

  example lua ../../demo-lang/README.md >"$dir/readme.lua"
  example_output lua ../../demo-lang/README.md >"$dir/readme"
  "$slua" --repeatable "$dir/readme.lua" >"$dir/out" 2>&1 && [ -s "$dir/readme" ] && diff "$dir/readme" "$dir/out" >"$dir/diff"
  verdict $? "the README's script" "$dir/out"

  [ "$(echo 'print(...)' | "$slua" --repeatable - a b)" = $'a\tb' ] && [ "$(echo 'print "in"' | "$slua" --ticks 2>/dev/null)" = in ]
  verdict $? 'script from standard input'

  for script in same numbers; do
    "$slua" $script.lua >"$dir/ours" 2>&1
    diff "$dir/$script" "$dir/ours" >"$dir/diff"
    verdict $? "$script.lua prints what the original Lua prints" "$dir/diff"
  done
  for script in rc rcvalues finalizers guest; do
    "$slua" --repeatable $script.lua "$dir/code.luac" "$dir" >"$dir/out" 2>&1 && [ "$(cat "$dir/out")" = "$script as expected" ]
    verdict $? "$script.lua" "$dir/out"
  done
}

# Operations of big integers against Python's: all in the first binary, some thousands in the others.
bigs() {
  local lines=100000
  [ "$slua" = "${binaries[0]}" ] || lines=10000
  head -n $lines "$dir/bigs" >"$dir/some-bigs"
  expect 'bigs.lua' 0 '' 'bigs as expected' -- --repeatable bigs.lua "$dir/some-bigs"
}

# Where and how a script ends.
ends() {
  local close='local x <close> = setmetatable({}, {__close ='
  expect 'os.exit in a finalizer at the end' 5 '' -- -e 'setmetatable({}, {__gc = function() os.exit(5) end})'
  expect 'os.exit that closes' 6 '' $'close\tnil\ngc' -- -e "$close"' function(_, e) print("close", e) end}) '`
    `'setmetatable({}, {__gc = function() print "gc" end}) coroutine.wrap(function() pcall(os.exit, 6, true) end)()'
  expect 'os.exit that does not' 6 '' -- -e "$close print}) os.exit(6)"
  expect 'os.exit in what it closes' 7 '' -- -e "$close function() os.exit(7, true) end}) os.exit(6, true)"
  beats 'os.exit that closes for ever' "$close function() while true do end end}) os.exit(6, true)"
  beats 'C functions as __close do not run' "$close print}) while true do end"
  beats 'C function as a handler' 'xpcall(function() while true do end end, print)'
  expect 'keys in order' 0 '' 4000 -- keys.lua
  expect 'keys in order, charged' 0 '' 4000 -- --sandbox keys.lua
  expect 'colliding keys' 3 'slua: heartbeat limit of 100 reached after (997|998|999|1000)[0-9]{2} ticks, at collide.lua:[0-9]+' -- --heartbeats 100 collide.lua
  MIMALLOC_HEARTBEAT_PERIOD=7 beats 'the environment has no say' 'while true do end'
  expect 'bytecode as a script' 1 "slua: attempt to load a binary chunk \\(mode is 't'\\)" -- --repeatable "$dir/code.luac"
  expect 'bytecode in -e' 1 "slua: attempt to load a binary chunk \\(mode is 't'\\)" -- --repeatable -e $'\eLua'
  expect 'no memory, no limit' 1 'slua: not enough memory' 'false	not enough memory' \
    -- --repeatable -e 'local f = io.tmpfile() print(pcall(f.read, f, 5e9)) f:read(5e9)'
  expect 'an error of that name' 1 'slua: not enough memory' -- --memory 4M -e 'error("not enough memory", 0)'
  expect 'wrong __tostring' 1 "slua: \\(error object is a table value\\)$trace" \
    -- -e 'error(setmetatable({}, {__tostring = function() return 5 end}))'
  expect 'arg without a script' 0 '' $'slua\t-e\tnil' -- --repeatable -e 'print(arg[0], arg[1], arg[-1])'
  expect 'arg before the script' 0 '' $'slua\targ.lua\tx' -- "$dir/arg.lua" x
  for way in caught:4 handled:4 coroutine:4 wrapped:22 loaded:4 direct:29 finalizer:4; do
    expect "line of ${way%:*}" 4 "slua: memory limit of 20971520 bytes reached after [0-9]+ ticks, at lines.lua:${way#*:}" \
      -- --memory 20M lines.lua ${way%:*}
  done

  nan='local n = 0 / 0 print(n, -n, n .. "", -n .. "", ("%f %f %g %a %5.1f"):format(n, -n, -n, n, n), '`
    `'string.pack("d", n) == string.pack("d", -n), string.pack("f", n) == string.pack("f", -n), rc.encode(n) == rc.encode(-n))'
  expect 'the sign of a NaN' 0 '' $'nan\tnan\tnan\tnan\tnan nan nan nan   nan\ttrue\ttrue\ttrue' -- --repeatable -e "$nan"
  expect 'the sign of a NaN as in Lua' 0 '' $'true' -- -e 'print(tostring(0 / 0) ~= tostring(-(0 / 0)))'

  # What is asked for once is not there: in guarded states, in the sandbox
  expect 'no C modules' 1 "slua: module 'cjson' not found:.*" -- --repeatable -l cjson
  LUA_INIT='error()' LUA_PATH='x' expect 'no environment' 0 '' 'true' -- --repeatable -e 'print(#package.path > 10)'
  expect 'the sandbox has no' 0 '' '' -- --sandbox -e '
    for _, name in ipairs { "dofile", "loadfile", "debug", "io.open", "io.lines", "io.read", "io.popen", "io.tmpfile", "os.exit",
      "os.time", "os.clock", "os.date", "os.getenv", "os.remove", "os.execute", "package.path", "package.loadlib",
      "package.loaded.debug" } do
      local v = _G
      for part in name:gmatch("[^.]+") do v = v and v[part] end
      if v then print(name) end
    end'
  expect 'the sandbox has' 0 '' $'text\n42\tfalse\ttrue' -- --sandbox -e '
    io.write("text\n") package.preload.m = function() return 42 end print(require "m", pcall(require, "n"), io.stdout ~= nil)'
  expect 'the sandbox has limits' 3 'slua: heartbeat limit of 10000 reached .*' -- --sandbox -e 'while true do end'
  expect 'of both kinds' 4 'slua: memory limit of 67108864 bytes reached .*' -- --sandbox -e 'local s = "x" while true do s = s .. s end'
  expect 'which can be others' 3 'slua: heartbeat limit of 50 .*' -- --sandbox --heartbeats=50 -e 'while true do end'
  expect 'beat.lua' 0 '' 'beat as expected' -- --heartbeats 1000000 beat.lua
  expect 'beat needs a count' 1 'slua: \(command line\):1: instructions are not counted in this state'$'\nstack traceback:.*' -- -e 'beat.limit(10, print)'
  expect 'wrong number' 1 "slua: not a number of heartbeats \\(1 or more\\): '0'"$'\nusage: .*' -- --heartbeats 0
  expect 'wrong size' 1 "slua: not a size in bytes \\(such as 65536, 64K, 16M, 2G\\): '1X'"$'\nusage: .*' -- --memory 1X
  expect 'no number' 1 "slua: '--heartbeats' needs argument"$'\nusage: .*' -- --heartbeats
  expect 'unknown option' 1 "slua: unrecognized option '--unknown'"$'\nusage: .*' -- --unknown
  expect 'a value too many' 1 "slua: unrecognized option '--stats=1'"$'\nusage: .*' -- --stats=1

  "$slua" --memory 1000 -e '' 2>&-
  [ $? = 4 ]
  verdict $? 'exit code without stderr'
  [ "$(printf 'for i = 1, 2 do' | "$slua" -i 2>&1 >/dev/null)" = "stdin:1: 'end' expected near <eof>" ]
  verdict $? 'lines that end too soon'
  [ "$("$slua" --ticks "$dir/arg.lua" 2>&1 | tail -1)" = "$("$slua" --stats --ticks "$dir/arg.lua" 2>&1 | grep '^ticks')" ]
  verdict $? 'options do not change the ticks'
}

# The same output, line and tick as in the first run ever, whatever changed.
repeats() { # NAME COMMAND...
  local name=$1 file=$2
  shift 2
  for limit in 60 1500; do
    timeout 120 "$@" "$slua" --heartbeats $limit order.lua >"$dir/run" 2>&1
    grep -v '^noise: ' "$dir/run" >"$dir/seen-$limit"
    [ -e "$dir/first-$file-$limit" ] || cp "$dir/seen-$limit" "$dir/first-$file-$limit"
    cmp -s "$dir/first-$file-$limit" "$dir/seen-$limit" && grep -q 'heartbeat limit of' "$dir/seen-$limit"
    verdict $? "$name, limit $limit: not what the first run printed" "$dir/seen-$limit"
  done
}

echo 'local a, b = ... print(a, b, #arg, (arg[0]:gsub(".*/", "")))' >"$dir/show.lua"
echo 'print(arg[-1], (arg[0]:gsub(".*/", "")), arg[1])' >"$dir/arg.lua"
lua5.4 - "$dir/code.luac" <<<'io.open(arg[1], "wb"):write(string.dump(function() print "it ran" end))'
./bigs.py 100000 >"$dir/bigs"
for script in same numbers; do lua5.4 $script.lua >"$dir/$script" 2>&1; done
for slua in "${binaries[@]}"; do
  cases
  ends
  bigs
  repeats 'repeats' order env
  repeats 'repeats without randomised addresses' order setarch -R
  repeats 'repeats with a large environment' order env PADDING="$(head -c 50000 /dev/zero | tr '\0' x)"
  repeats 'repeats in an empty environment' order env -i
  case $slua in *asan) ;; *) repeats 'repeats beside another thread' order env LD_PRELOAD="$noise" ;; esac
done
finish
