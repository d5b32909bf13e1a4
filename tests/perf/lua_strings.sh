#!/bin/bash
# Prints how many instructions uses of the string library take with Lua's own and with the guest's, both in a state
# without limits, and their quotient; by callgrind. tests/perf/lua_strings.c has the uses.
build=${1:-build}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
program=$build/lua_strings
count() { # LIBRARY: the instructions of each use, a line each
  valgrind --tool=callgrind --toggle-collect=run --dump-after=run --callgrind-out-file="$dir/$1" "$program" "$1" \
    >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
  for ((i = 1; i <= $("$program" names | wc -l); i++)); do sed -n 's/^\(totals\|summary\): //p' "$dir/$1.$i" | head -n 1; done
}
paste -d '\t' <("$program" names) <(count lua) <(count slua) | awk -F '\t' '
  { printf "%-24s %11d %11d %5.2f\n", $1, $2, $3, $3 / $2; sum += log($3 / $2) }
  END { printf "geometric mean %39.2f\n", exp(sum / NR) }'
