#!/bin/bash
# build/sluice.c, the core as one file: compiles anywhere without a warning, defines the public names only,
# passes the unit tests that need no others, and is as fast as the library.
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/.." || exit 1
source tests/tools.sh
shown=$dir/out
quiet() { "$@" >"$dir/out" 2>&1 && [ ! -s "$dir/out" ]; }
strict=(-Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Wsign-conversion -Wmissing-prototypes)

mkdir -p "$dir/alone/"{alloc,rc/data,runtime}
for header in alloc/mimalloc.h alloc/mimalloc-stats.h rc/rc.h rc/data/data.h runtime/runtime.h; do
  cp $header "$dir/alone/$header"
done
cp "$build/sluice.c" "$dir/alone"

for cc in gcc clang; do
  command -v $cc >/dev/null || { echo "skipped: no $cc" && continue; }
  for checks in NO_CHECKS MI_DEBUG MI_SECURE; do
    name="$cc, $checks" o=$dir/$cc$checks.o
    (cd "$dir/alone" && quiet $cc -std=c11 "${strict[@]}" -D$checks=1 -I. -O2 -c sluice.c -o "$o")
    verdict $? "$name: compiles"
    nm -g --defined-only "$o" | awk '$3 !~ /^(mi|rc|rt)_/ {print $3}' >"$dir/out"
    [ ! -s "$dir/out" ]
    verdict $? "$name: no other names"
    for test in data_{big,big_bits,big_laws,list,map,rope,vec} process rc rc_inspect rc_time rc_types runtime{,_beats,_budget,_children,_clock,_limit,_region,_replay,_scope} visit; do
      source=tests/unit/${test}_test.c
      $cc -std=c11 -D_GNU_SOURCE -D$checks=1 -I. -O1 "$source" "$o" -lcmocka -pthread -o "$dir/test" \
        >"$dir/out" 2>&1 && "$dir/test" >"$dir/out" 2>&1
      verdict $? "$name: $test"
    done
  done
done

length() { objdump -d --no-show-raw-insn "$1" | awk "/<$2>:/,/ret/" | wc -l; }
for f in mi_malloc mi_free; do
  one=$(length "$dir/gccNO_CHECKS.o" $f) library=$(length "$build/slua" $f)
  echo "$f: $((one - 1)) instructions, in slua $((library - 1))" >"$dir/out"
  [ "$one" -gt 1 ] && [ "$one" -le "$library" ]
  verdict $? "$f is as short as in the library"
done
finish
