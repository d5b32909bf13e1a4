#!/bin/bash
# Prints how many instructions the fast paths of the static library take: mi_malloc and mi_free as they stand in
# slua, up to their return; by callgrind, on average over many and without the refills, the inlined rc_alloc of two
# fields, rc_inc, rc_dec that is not the last, and the death of that object. (The inlined ones without a return.)
build=${1:-build}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for name in mi_malloc mi_free; do
  objdump -d --no-show-raw-insn "$build/slua" | awk -v name="<$name>:" '$2 == name { counts = 1; next } counts { n++ } counts && /ret/ { exit }
    END { printf "%-12s %d\n", substr(name, 2, length(name) - 3), n }'
done
pairs=100000
valgrind --tool=callgrind --callgrind-out-file="$dir/out" "$build/rc_pair" $pairs >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
callgrind_annotate --threshold=100 "$dir/out" |
  awk -v pairs=$pairs 'match($0, /:(count_rc_[a-z]*|rc_dec_last)( |$)/) {
    name = substr($0, RSTART + 1, RLENGTH - 1)
    sub(" ", "", name)
    gsub(",", "", $1)
    sum[name] += $1
  }
  END {
    for (key in sum) {
      name = key
      n = sum[key] / pairs
      if (sub("count_", "", name)) n--
      printf "%-12s %.0f\n", name, n
    }
  }' | sort
