#!/bin/bash
# No warning: the sources by each compiler that is here, in each build; the tests, too.
cd "$(dirname "$0")/.." || exit 1
source tests/tools.sh
shown=$dir/out
quiet() { # NAME COMMAND... SOURCES: without a word
  "${@:2}" >"$shown" 2>&1 || echo "exit status $?" >>"$shown"
  silent "$1"
}
strict=(-std=c11 -D_GNU_SOURCE -I. -I/usr/include/lua5.4 -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion
  -Wsign-conversion -O2)

for cc in gcc clang; do
  command -v $cc >/dev/null || { echo "skipped: no $cc" && continue; }
  each() { for source in "${@:2}"; do $cc "${strict[@]}" $1 "$source"; done; }
  quiet "$cc" each '-S -o /dev/null' {alloc,rc,rc/data,runtime,demo-lang,demo-lang/lib,demo-lang/math}/*.c
  quiet "$cc, debug build" each '-DMI_DEBUG=1 -S -o /dev/null' {alloc,rc,rc/data,runtime}/*.c
  quiet "$cc, secure build" each '-DMI_SECURE=1 -S -o /dev/null' {alloc,rc,rc/data,runtime}/*.c
  quiet "$cc, tests" each -fsyntax-only tests/*/*.c tests/perf/rc/*.c
  quiet "$cc, eager programs" each '-fsyntax-only -DEAGER' tests/perf/rc/*.c
done
finish
