#!/bin/bash
# cost.sh [BUILD]: instructions that programs take when their work is counted, as ratios to those
# when it is not. Both in repeatable states, so that nothing else differs.
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/cost" || exit 1
count() { valgrind --tool=callgrind --callgrind-out-file=/dev/null "$build/slua" "$@" 2>&1 >/dev/null | sed -n 's/.*Collected : //p'; }
for program in *.lua; do
  echo "${program%.lua} $(count --repeatable "$program") $(count --ticks "$program")"
done | awk '{ r = $3 / $2; printf "%-10s %7.1f M %7.1f M  %.3f\n", $1, $2 / 1e6, $3 / 1e6, r; sum += r }
  END { printf "mean %.3f\n", sum / NR }'
