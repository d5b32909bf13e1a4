#!/bin/bash
# How processes, threads and libraries begin and end: each program here, linked with the static libraries in
# $1 and under its preload libraries. Ends in "N passed, N failed".
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/../.." || exit 1
out=$build/tests/life log=$build/tests/life/out
mkdir -p "$out"
source tests/tools.sh
shown=$log
ulimit -c 0
export MALLOC_ARENA_MAX=1 # the C library reserves 64 MiB for each of its own

flags=(-std=c11 -D_GNU_SOURCE -I. -Wall -Wextra -O1 -g -fno-builtin -pthread)
compile() { gcc "${flags[@]}" "$@" || exit 1; }
cd tests/life || exit 1
flags+=(-I../..)

# A variant: how it is linked (or preloaded), and what runs it.
libraries=(sluice sluice-debug sluice-secure)
variants=("${libraries[@]}" preload debug-preload secure-preload)
linked() { [[ $1 = sluice* ]]; }
each_variant() { # NAME STATUS ARGUMENT...: runs it, expects the exit status
  local variant got
  for variant in "${variants[@]}"; do
    run "$variant" "$1" "${@:3}" >"$log" 2>&1
    got=$?
    [ $got = "$2" ]
    verdict $? "$1 ${*:3}, $variant: exit status $got"
  done
}
run() { # VARIANT NAME ARGUMENT...
  local variant=$1 name=$2
  shift 2
  if linked "$variant"; then
    timeout 120 "$out/$variant-$name" "$@"
  else
    timeout 120 env LD_PRELOAD="$build/libsluice-$variant.so" "$out/preload-$name" "$@"
  fi
}
program() { # NAME SOURCE_OR_FLAG...: in all variants
  local name=$1
  shift
  for library in "${libraries[@]}"; do
    compile "$@" "$build/lib$library.a" -o "$out/$library-$name"
  done
  compile -DPRELOADED "$@" -o "$out/preload-$name"
}

# ---- Threads

g++ -std=c++11 -Wall -Wextra -O1 -g -c local.cpp -o "$out/local.o" || exit 1
program destructors destructors.c "$out/local.o" -lstdc++
each_variant destructors 0
program many_threads many_threads.c
each_variant many_threads 0
program small_stack small_stack.c
each_variant small_stack 0

# ---- The C library refuses what is asked of it at the start

no_key='sluice: warning: no thread key, or no memory for it; what threads leave stays theirs'
refused() { # WHAT WARNING: that line alone is said
  for library in "${libraries[@]}"; do
    compile -DREFUSE_"$1" refused.c "$build/lib$library.a" -o "$out/refused"
    timeout 120 "$out/refused" >"$log" 2>&1 && [ "$(cat "$log")" = "$2" ]
    verdict $? "refused $1, $library"
  done
}
refused KEY "$no_key"
refused VALUE "$no_key"
refused FORK 'sluice: warning: no memory to prepare for fork with threads'
refused EXIT ''

# ---- Before main, after main

compile -DPRELOADED -fPIC -shared -Wl,-init,early_init early_lib.c -o "$out/libearly-preload.so"
for library in "${libraries[@]}"; do
  # The program's functions serve its library, too.
  compile -fPIC -shared -Wl,-init,early_init early_lib.c -o "$out/libearly-$library.so"
  compile before_main.c "$out/libearly-$library.so" "$build/lib$library.a" -Wl,-E -o "$out/$library-before_main"
done
compile -DPRELOADED before_main.c "$out/libearly-preload.so" -o "$out/preload-before_main"
each_variant before_main 0

compile -DPRELOADED -fPIC -shared after_lib.c -o "$out/libafter-preload.so"
for library in "${libraries[@]}"; do
  compile -fPIC -shared after_lib.c -o "$out/libafter-$library.so"
  compile after_main.c "$out/libafter-$library.so" "$build/lib$library.a" -Wl,-E -o "$out/$library-after_main"
done
compile -DPRELOADED after_main.c "$out/libafter-preload.so" -o "$out/preload-after_main"
each_variant after_main 0
export MIMALLOC_SHOW_STATS=1
each_variant after_main 0
for variant in "${variants[@]}"; do
  run "$variant" after_main 2>"$log.err" >"$log"
  [ "$(tr '\n' , <"$log")" = "later handler,handler,destructor,last destructor,library," ] &&
    [ "$(grep -c '^heap stats:' "$log.err")" = 1 ]
  verdict $? "after_main, $variant: all handlers, one table"
  linked "$variant" || continue
  [ "$(grep -c '^normal .*not all freed!$' "$log.err")" = 1 ] # the library's block
  verdict $? "after_main, $variant: the table comes last in the program"
done
unset MIMALLOC_SHOW_STATS

# The library is in a shared object that is there from the start, and ends before another that frees.
compile -fPIC -shared after_lib.c -o "$out/libafter-needed.so"
gcc -shared -Wl,--whole-archive "$build/libsluice-pic.a" -Wl,--no-whole-archive -Wl,--no-as-needed \
  "$out/libafter-needed.so" -o "$out/libneeded.so"
compile after_main.c "$out/libneeded.so" "$out/libafter-needed.so" -o "$out/needed"
timeout 120 "$out/needed" >"$log" 2>&1 && grep -q '^library$' "$log"
verdict $? 'after_main, with the library in a shared object'

# ---- The end of the process, and its children

program ends ends.c
for how in return pthread_exit exit done; do
  each_variant ends 5 $how
  MIMALLOC_SHOW_STATS=1 each_variant ends 5 $how
done
program children children.c
each_variant children 0

# ---- Plug-ins

compile -DPRELOADED plugin_host.c -ldl -o "$out/host"
plugin() { # NAME LIBRARY_OR_FLAG...
  compile -fPIC -shared plugin.c "${@:2}" -o "$out/plugin-$1.so"
  local how
  for how in rounds exit close; do
    host "$1" $how
  done
  host "$1" rounds MIMALLOC_SHOW_STATS=1
}
host() { # NAME HOW VAR=VALUE...
  timeout 120 env "${@:3}" "$out/host" "$out/plugin-$1.so" "$2" >"$log" 2>&1
  verdict $? "plug-in with $*"
}
plugin pic "$build/libsluice-pic.a"
plugin debug-pic "$build/libsluice-debug-pic.a"
for library in pic debug-pic secure-pic; do # all in it is its own, whatever the program has
  plugin $library-hidden "$build/libsluice-$library.a" -Wl,--exclude-libs,ALL
  for how in rounds exit close; do
    host $library-hidden $how LD_PRELOAD="$build/libsluice-preload.so"
  done
done
plugin nodelete "$build/libsluice-pic.a" -Wl,-z,nodelete
plugin shared -DTIDY=1 "$build/libsluice.so" -Wl,-rpath,"$build"
gcc "${flags[@]}" -fPIC -shared plugin.c "$build/libsluice.a" -o "$out/plugin-wrong.so" >"$log" 2>&1
[ $? != 0 ] && grep -q 'can not be used when making a shared object' "$log"
verdict $? "libsluice.a in a shared object: the linker says no"

# ---- Stack: no function needs much of it

for source in ../../{alloc,rc,runtime}/*.c; do
  for checks in MI_DEBUG=0 MI_DEBUG=1 MI_SECURE=1; do
    compile -O2 -D$checks -fstack-usage -c "$source" -o "$out/stack.o"
    cat "$out/stack.su"
  done
done >"$log"
awk -F '\t' '$2 > 6144' "$log" >"$log.large"
[ "$(wc -l <"$log")" -gt 500 ] && [ ! -s "$log.large" ]
verdict $? "stack of each function: $(cat "$log.large")"

finish
