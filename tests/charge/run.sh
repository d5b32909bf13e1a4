#!/bin/bash
# run.sh BUILD: charged code does what it did before, pays what it should, and stops in time.
build=$(realpath "${1:-build}")
cd "$(dirname "$0")" || exit 1
source ../tools.sh
export ASAN_OPTIONS=detect_leaks=0

# ---- Reading and writing: the opcodes are luac's, and nothing that is damaged is believed

for script in *.lua cost/*.lua ../lua/*.lua; do
  luac5.4 -l -p "$script" | sed -n 's/^\t\([0-9]*\)\t\(\[[0-9-]*\]\)\t\([A-Z0-9]*\).*/\1 \2 \3/p' >"$dir/luac"
  "$build/bytecode" "$script" >"$dir/ours" 2>&1 && cmp -s "$dir/luac" "$dir/ours"
  verdict $? "$script: not the opcodes that luac lists"
done
"$build/bytecode" --check ../lua/order.lua >"$dir/ours" 2>&1
verdict $? "damaged bytecode" "$dir/ours"

# ---- The same results, messages and tracebacks as those of the original Lua

same() { # SEED COUNT NAME COMMAND...
  local seed=$1 count=$2 name=$3
  shift 3
  [ -e "$dir/lua-$seed-$count" ] || lua5.4 programs.lua "$seed" "$count" >"$dir/lua-$seed-$count" 2>&1
  timeout 300 "$@" programs.lua "$seed" "$count" 2>&1 | grep -v '^ticks ' >"$dir/ours"
  diff "$dir/lua-$seed-$count" "$dir/ours" >"$dir/diff"
  verdict $? "programs $seed, $name" "$dir/diff"
}
for seed in 2 4 6; do
  same $seed 300 'as loaded' "$build/slua"
  same $seed 300 'charged' "$build/slua" --ticks
done
same 2 300 'by the hook' "$build/slua" --ticks --count-hook
same 4 100 'checked' "$build/slua-asan" --ticks
for script in sizes loops; do
  lua5.4 $script.lua >"$dir/lua"
  for slua in slua slua-asan; do
    "$build/$slua" --ticks $script.lua 2>&1 | grep -v '^ticks ' | diff "$dir/lua" - >"$dir/diff"
    verdict $? "$slua: $script" "$dir/diff"
  done
done

# ---- Ticks: a loop of 4000 turns more costs 4000 more, with a call in it 8000; give or take ALLOWANCE

ticks() { "$build/slua" --ticks -e "local n, f = $1, function(x) return x end $2" 2>&1 | sed -n 's/^ticks //p'; }
costs() { # TICKS ALLOWANCE CODE
  local more=$(($(ticks 8000 "$3") - $(ticks 4000 "$3")))
  [ $more -ge $(($1 - $2)) ] && [ $more -le $(($1 + $2)) ]
  verdict $? "4000 turns: $more ticks, not $1: $3"
}
costs 4000 0 'for i = 1, n do end'
costs 4000 0 'for i = n, 1, -1 do end'
costs 4000 0 'for i = -n, n, 2 do end'
costs 4000 1 'for x = 0.5, n do end'
costs 4000 1 'for x = 0, n / 10, 0.1 do end'
costs 4000 250 'for i = 1, math.maxinteger do if i == n then break end end'
costs 4000 250 'for i = math.mininteger, math.maxinteger do n = n - 1 if n == 0 then break end end'
costs 4000 250 'for i = 1.0, math.huge do if i == n then break end end'
costs 4000 32 'while n > 0 do n = n - 1 end'
costs 4000 32 'repeat n = n - 1 until n == 0'
costs 4000 32 '::top:: n = n - 1 if n > 0 then goto top end'
# The iterator's calls are the turns.
costs 4000 0 'for i in function(_, i) if i < n then return i + 1 end end, nil, 0 do end'
# Literals: up to 1,024 instructions come with what is around, where they count.
costs 4000 0 'for i = 1, n do for j = 1, 2 do end end'
costs 4000 0 'for i = 1, n do for j = 1, 500 do end for k = 500, 1, -1 do end end'
costs 8000 0 'for i = 1, n do for j = 1, 510 do end for k = 510, 1, -1 do end end'
costs 8000 0 'for i = 1, n do for j = 1, 1025 do end end'
costs 4104000 0 'for i = 1, n do for j = 1, 1026 do end end'
costs 4104000 0 'for i = 1, n do for j = 2050, -1, -2 do end end'
costs 4000 0 'for i = 1, n do for j = 1, 20 do for k = 1, 20 do end end end'
costs 8000 0 'for i = 1, n do for j = 1, 30 do for k = 1, 30 do end end end'
costs 128000 0 'for i = 1, n do for j = 1, 32 do for k = 1, 32 do end end end'
costs 4000 0 'for i = 1, n do for j = 1, 0 do for k = 1, 2000 do end end end'
costs 20000 0 'for i = 1, n do for j = 1, i < 0 and 2 or 5 do end end'
costs 604000 0 'local x = -50 for i = 1, n do for j = x or 1, 100 do end end'
costs 8000 0 'for i = 1, n do for j = 1.0, 2 do end end'
costs 4250 32 'for _ in next, {("x"):rep(n):byte(1, -1)} do end'
costs 12000 32 'local i = 0 while i < n do i = f(i) + 1 f() end'
costs 8000 0 'for i = n, 1, -1 do for j = n, n + 1 do end end'
costs 4000 0 'for i = 1, n do if i < 0 then break end end'
# Any call is a tick: of Lua, of C, of a metamethod, from C.
costs 8000 0 'for i = 1, n do f(i) end'
costs 8000 0 'for i = 1, n do rawlen("") end'
costs 8000 64 'local t = setmetatable({}, {__index = f}) for i = 1, n do local _ = t.x end'
costs 8000 64 'local t = setmetatable({}, {__index = rawlen}) for i = 1, n do local _ = t[1] end'
costs 8000 64 'local t = setmetatable({}, {__add = f}) for i = 1, n do local _ = t + 1, 1 + 1 end'
costs 8000 128 'local t = setmetatable({}, {__close = f}) for i = 1, n do local x <close> = t end'
costs 12000 0 'local function g(x) return f(x) end for i = 1, n do g(i) end'
costs 12000 0 'local function g(x) return (f(x)) end for i = 1, n do g(i) end'
costs 4400 0 'local function g(k) if k > 0 then g(k - 1) end end for i = 1, n // 20 do g(20) end'
costs 4000 0 'local function g(k) if k == 0 then return end return g(k - 1) end g(n)'
# Long code: 1 more for 1024 instructions.
long='local x, y = 1, {} local s = ("x = 1 "):rep(10240) local c = ("y.x = x "):rep(10240)'
leaf='"local x = 1 " .. s .. "return x"'
costs 48000 0 "$long local g = load($leaf) for i = 1, n do g() end"
costs 44000 0 "$long load('local n, x = ... for i = 1, n do ' .. s .. ' end')(n)"
costs 44000 100 "$long load('local n, x, y = ..., 1, {} while n > 0 do n = n - 1 ' .. c .. ' end')(n)"
costs 44000 100 "$long load('local n, x, y = ..., 1, {} for _ in function() n = n - 1 if n > 0 then return n end end do ' .. c .. ' end')(n)"
costs 44000 100 "$long load('local n, x, y = ..., 1, {} ::a:: if n > 0 then n = n - 1 ' .. c .. ' goto a end')(n)"
costs 12000 0 'local g = load("local x = 1 " .. ("x = 1 "):rep(1020) .. "return x") for i = 1, n do g() end'
costs 8000 0 'local g = load("local x = 1 " .. ("x = 1 "):rep(1019) .. "return x") for i = 1, n do g() end'
# Some instructions count more: x ^ y with what follows it 17, x % y 5, x .. y with its operands 19, `...` 1 for 8 values, nil for 32.
for count in '59 "x = x ^ y "' '199 "x = x % y "' '48 "y = [[a]] .. [[b]] "' '38 "do local " .. ("a, "):rep(191) .. "b = ... end "' \
  '118 "do local " .. ("a, "):rep(191) .. "b x = 1 x = 1 end "'; do
  many=${count%% *} code=${count#* }
  costs 8000 0 "local g = load('local x, y = 1, 2 ' .. ($code):rep($many)) for i = 1, n do g() end"
  costs 12000 0 "local g = load('local x, y = 1, 2 ' .. ($code):rep($((many + 10)))) for i = 1, n do g() end"
done
# The free turns of a function are no more than 1,024 instructions.
turns='for i = 1, n do g(30) end'
costs 8000 0 "local g = load('local m = ... while m > 0 do m = m - 1 ' .. ('m = m '):rep(20) .. ' end') $turns"
costs 136000 0 "local g = load('local m = ... while m > 0 do m = m - 1 ' .. ('local x = m '):rep(40) .. ' end') $turns"
costs 136000 0 "local g = load('local m = ... ::a:: m = m - 1 ' .. ('local x = m '):rep(190) .. ' if m > 0 then goto a end') $turns"
# Texts that are compared: 1 for each KiB, if they are, and a 64th.
texts='local a, b, c = ("x"):rep(10240), ("x"):rep(10240), ("x"):rep(10241) for i = 1, n do local _ ='
costs 44000 64 "$texts a == b end"
costs 44000 64 "$texts a ~= b end"
costs 4000 64 "$texts a == c end"
costs 44000 64 "$texts a < c end"
costs 44000 64 "$texts c >= a end"
costs 4000 0 "$texts #a < #c end"
costs 4000 0 "$texts a == 1 end"
# What is done within one instruction: 64 levels of metatables, 32 values.
costs 8000 64 'local t = {} for _ = 1, 63 do t = setmetatable({}, {__index = t}) end for i = 1, n do local _ = t.x end'
costs 40800 200 'local function g(...) for i = 1, n do f(...) end end g(("x"):rep(256):byte(1, -1))'
costs 30500 100 'local t = f for _ = 1, 64 do t = setmetatable({}, {__call = t}) end for i = 1, n do t() end'
# A resume is a tick, too.
costs 10000 32 'local co = coroutine.wrap(function() while true do coroutine.yield() end end) for i = 1, n // 2 do co() end'
same_ticks=$(for b in slua slua slua-asan; do "$build/$b" --ticks programs.lua 4 100 2>&1 | grep '^ticks'; done | sort -u | wc -l)
[ "$same_ticks" = 1 ]
verdict $? 'the same ticks in all runs and builds'

# ---- The limit comes at the tick at which it is due, whatever was granted ahead: print takes 3 before it writes

exact='local t, n = {("x"):rep(3000):byte(1, -1)}, 0
for _ = 1, 40 do for _ = 1, 100 do
  n = n + 1
  local k = n * 7919 % 100
  while k > 0 do k = k - 1 end
  if n % 3 == 0 then table.unpack(t, 1, n * 31 % 3000) elseif n % 3 == 1 then local _ = {{}, {}} else ("x"):rep(n * 101 % 9000) end
  print(beat.ticks())
end end'
"$build/slua" --repeatable --ticks -e "$exact" 2>&1 >"$dir/all" | grep -q '^ticks'
for beats in 21 22 23 24 25 26 27; do
  "$build/slua" --heartbeats $beats -e "$exact" >"$dir/ours" 2>"$dir/err"
  awk -v end=${beats}000 '$1 < end - PRINT' PRINT=3 "$dir/all" | cmp - "$dir/ours" >"$dir/diff" 2>&1
  verdict $? "not all that $beats beats are enough for" "$dir/diff"
done

# ---- Whatever does not end is stopped at the limit

stops() { # CODE: the ticks at the stop are shown
  local seen
  timeout 60 "$build/slua" --heartbeats 50 $hook -e "$1" >"$dir/out" 2>"$dir/err"
  seen=$?
  [ $seen = 3 ] && [[ "$(cat "$dir/err")" =~ after\ (50[0-9]{3})\ ticks ]]
  verdict $? "not stopped, exit $seen: $1" "$dir/err"
  printf '%s ticks: %s\n' "${BASH_REMATCH[1]}" "${1:0:100}"
}
for hook in "" --count-hook; do
  stops 'while true do end'
  stops 'repeat until false'
  stops '::top:: goto top'
  stops 'local x = 1 repeat local y = x local g = function() return y end until x == 2'
  stops 'for i = 1, 1e18 do end'
  stops 'for i = math.mininteger, math.maxinteger do end'
  stops 'for i = math.maxinteger, math.mininteger, -1 do end'
  stops 'for i = 1, math.maxinteger do for i = 1, math.maxinteger do break end end'
  stops 'for x = 1.0, math.huge do end'
  stops 'for x = 1e17, 2e17 do end'
  stops 'for x = -1.0, -math.huge, -1.0 do end'
  stops 'for x = -math.huge, 1.0 do end'
  stops 'for x = 1.0, 2.0, 1e-300 do end'
  stops 'for x = 1.0, -1e300, -0.5 do end'
  stops 'for _ in function() return 1 end do end'
  stops 'for _ in next, {1}, nil do for i = 1, 1e15 do end end'
  stops 'for i = 1, 1e15 do for j = 1, 1e15 do for k = 1, 1e15 do end end end'
  stops 'for i = 1, 1e15 do for j = 1, 2 do end end'
  stops 'local function f() return f() end f()'
  stops 'local function f(n) if n == 0 then return 0 end return f(n - 1) + f(n - 1) end f(100)'
  stops 'local function f(n) return n == 0 and 0 or f(n - 1) + f(n - 1) end f(100)'
  stops 'local function f(...) if ... == 0 then return 0 end return f(... - 1) + f(... - 1) end f(100)'
  stops 'local t = setmetatable({}, {__index = function(t, k) if k == 0 then return 0 end return t[k - 1] + t[k - 1] end}) print(t[150])'
  stops 'local t = setmetatable({}, {__index = function(t, k) for i = 1, 2 do if k ~= 0 then local x = t[k - 1] end end end}) print(t[150])'
  stops 'local m = {} m.__unm = function(a) return setmetatable({n = a.n - 1}, m) end
    m.__add = function(a, b) if a.n == 0 then return a end return -a + -a, -a + -a end
    while true do local _ = setmetatable({n = 20}, m) + setmetatable({n = 20}, m) end'
  stops 'local function leaf() for i = 1, 30 do end end while true do leaf() end'
  stops 'local function leaf() end while true do leaf() leaf() end'
  stops 'while true do pcall(function() for i = 1, 1e15 do end end) end'
  stops 'for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end'
  stops 'coroutine.wrap(function() for i = 1, 1e15 do end end)()'
  [ -n "$hook" ] || stops 'setmetatable({}, {__gc = function() for i = 1, 1e15 do end end}) while true do local t = {} end'
  stops 'load("while true do end")()'
  stops 'load(function() return "--" end)'
  stops 'local x <close> = setmetatable({}, {__close = function() for i = 1, 1e15 do end end})'
  stops 'table.sort({3, 2, 1, 4}, function(a, b) for i = 1, 1e15 do end end)'
done
finish
