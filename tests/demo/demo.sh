#!/bin/bash
# The whole idea on one screen. Fails if anything is not as expected.
build=$(cd "$1" && pwd) && cd "$(dirname "$0")" || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

verdict() { # EXPECTED SEEN
  local differs=""
  [ "$1" = "$2" ] || differs="   <- THIS DIFFERS" failures=$((failures + 1))
  printf '   expected: %s\n   seen:     %s%s\n' "$1" "$2" "$differs"
}

# ---- 1

nodes=10000000
echo "1. A list of 10 million counted nodes dies."
"$build/pause" $nodes >"$dir/pause"
awk 'BEGIN { printf "%20s %14s %12s %28s\n", "", "longest pause", "pauses in all", "units in the longest slice" }
     $1 == "at-once" || $1 == "deferred" {
       name = $1 == "at-once" ? "freed at once" : "freed by Sluice"
       printf "   %-17s %11.3f ms %10.1f ms %28d\n", name, $2 / 1e6, $3 / 1e6, $4 }' "$dir/pause"
verdict "10000000 and 10000000 nodes freed, no slice above 512 units" \
  "$(awk '$1 == "at-once" { a = $5 } $1 == "deferred" { d = $5; u = $4 }
     END { print a " and " d " nodes freed, " (u <= 512 ? "no slice above 512 units" : "a slice of " u " units") }' "$dir/pause")"

# ---- 2

stop_line() { sed -n 's/^slua: heartbeat limit of [0-9]* reached after \([0-9]* ticks\), at \(.*\)$/\2, \1/p' "$1"; }
endless() { # NAME COMMAND...
  local name=$1
  shift
  "$@" "$build/slua" --heartbeats 2000 endless.lua >"$dir/$name.out" 2>"$dir/$name.err"
  echo "exit code $?, $(stop_line "$dir/$name.err")" >>"$dir/$name.out"
}
echo "2. An endless Lua script is stopped at heartbeat 2000, three times, under changed conditions."
endless first env
unrandomised=(setarch -R)
"${unrandomised[@]}" true 2>/dev/null || unrandomised=(env)
endless second "${unrandomised[@]}" env PADDING="$(head -c 10000 /dev/zero | tr '\0' x)"
endless third env LD_PRELOAD="$build/noise.so"
what="no address randomisation, 10 KB more environment"
[ "${unrandomised[0]}" = env ] && what="10 KB more environment (setarch -R is not permitted here)"
printf '   %-60s %s\n' "as it is" "$(tail -n 1 "$dir/first.out" | cut -d' ' -f4-)" \
  "$what" "$(tail -n 1 "$dir/second.out" | cut -d' ' -f4-)" \
  "another thread: $(sed -n 's/^noise: //p' "$dir/third.err") allocated and freed" \
  "$(tail -n 1 "$dir/third.out" | cut -d' ' -f4-)"
verdict "exit code 3, the same line and tick, the same order of pairs" \
  "$(if cmp -s "$dir/first.out" "$dir/second.out" && cmp -s "$dir/first.out" "$dir/third.out" &&
    grep -q '^exit code 3, endless.lua:[0-9]*, [0-9]* ticks$' "$dir/first.out"; then
    echo "exit code 3, the same line and tick, the same order of pairs"
  else
    tail -qn 2 "$dir"/{first,second,third}.out | tr '\n' ';'
  fi)"

# ---- 3

number=175451865205073170563711388363274837927895
echo "3. cfrac factors a number of 42 digits; malloc is Sluice's debug build, which checks every block."
MIMALLOC_SHOW_STATS=1 LD_PRELOAD="$build/libsluice-debug-preload.so" "$build/cfrac" $number \
  >"$dir/cfrac" 2>"$dir/stats"
verdict "$number = 15578341997685 * 11262550612327420673602451867, all freed: ok" \
  "$(cat "$dir/cfrac"), all freed: $(tail -n 1 "$dir/stats")"
sed 's/^/   /' "$dir/stats"

if [ $failures = 0 ]; then echo "All three are as expected."; else echo "$failures of three differ."; fi
[ $failures = 0 ]
