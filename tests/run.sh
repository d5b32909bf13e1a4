#!/bin/bash
# Runs every test that is built below $1, as many at a time as there are processors, and ends in
# "N passed, N failed". The output of each is in $1/log/.
build=${1:-build}
export log=$build/log
list=$log/list
mkdir -p "$log" && : >"$log/results"

# ---- What there is: kind, name, command. The longest first.

{
  echo script model tests/model/run.sh
  for source in tests/stress/*.c; do
    name=$(basename "$source" .c)
    echo "single plain/$name $build/tests/plain/$name 100"
    echo "single debug/$name $build/tests/debug/$name 10"
    echo "single secure/$name $build/tests/secure/$name 10"
    echo "single tsan/$name $build/tests/tsan/$name 3"
  done
  for source in tests/unit/*.c; do
    name=$(basename "$source" .c)
    for variant in plain debug secure asan $(grep -q pthread_create "$source" && echo tsan); do
      echo "unit $variant/$name $build/tests/$variant/$name"
    done
  done
  for source in tests/lua/*_test.c; do
    name=$(basename "$source" .c)
    for variant in plain asan tsan; do echo "unit $variant/$name $build/tests/$variant/$name"; done
  done
  echo "script lua tests/lua/run.sh $build/slua $build/slua-asan"
  echo "script math tests/math/run.sh $build"
  echo "script hostile tests/lua/hostile/run.py $build/slua $build/slua-asan"
  for source in tests/lua/*.c; do
    name=$(basename "$source" .c)
    [[ $name = *_test ]] && continue
    echo "script plain/$name $build/tests/plain/$name 100000"
    echo "script asan/$name env ASAN_OPTIONS=detect_leaks=0 $build/tests/asan/$name 20000"
  done
  echo "script determinism tests/determinism/run.py --quick $build"
  echo "script as-lua tests/lua/as_lua.sh $build/slua $build/slua-asan"
  echo "script remedies tests/determinism/remedies.py $build"
  echo "script example tests/example/run.py $build"
  echo "script charge tests/charge/run.sh $build"
  for name in misuse cxx preload life; do echo "script $name tests/$name/run.sh $build"; done
  echo "script counts tests/real/count.py $build"
  for name in install warnings layers; do echo "script $name tests/$name.sh"; done
  for name in amalgamation dominators names readme report; do echo "script $name tests/$name.sh $build"; done
} >"$list"

# ---- Running one

# How many passed and failed, from the output: of a cmocka program; of a script that counts by itself, whose
# last line says so; of a command that passes by its exit status.
count_unit() { sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/ok=\1/p; s/^\[  FAILED  \] \([0-9]*\) test.*/bad=\1/p' "$1"; }
count_script() { tail -n 1 "$1" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/ok=\1 bad=\2/p'; }
count_single() { echo ok=1; }

note() { # PASSED FAILED NAME
  echo "$1 $2 $3" >>"$log/results"
  printf '%-44s %s\n' "$3" "$([ "$2" = 0 ] && echo "$1 ok" || echo "$1 ok, $2 FAILED")"
}

# One that ends badly, or without a count, has failed once.
run() { # KIND NAME COMMAND...
  local kind=$1 name=$2 out=$log/${2//\//-}.log ok=0 bad=0 status
  shift 2
  timeout 900 "$@" >"$out" 2>&1 </dev/null
  status=$?
  eval "$("count_$kind" "$out")"
  if [ $status != 0 ] && [ "$bad" = 0 ] || [ "$ok$bad" = 00 ]; then
    echo "exit status $status" >>"$out"
    bad=1
    [ "$kind" = single ] && ok=0
  fi
  note "$ok" "$bad" "$name"
}
export -f count_unit count_script count_single note run
xargs -P "$(nproc)" -L 1 bash -c 'run "$@"' run <"$list"

# ---- What must be equal in all builds: what a program prints behind a word

equal() { # NAME WORD PROGRAM
  local out=$log/$1.log
  sed -n "s/^$2: //p" "$log"/*-"$3".log >"$out"
  if [ "$(wc -l <"$out")" -ge 3 ] && [ "$(sort -u "$out" | wc -l)" = 1 ]; then note 1 0 "$1"; else note 0 1 "$1"; fi
}
equal beats-equal-in-all-builds beats heartbeat_test
equal as-many-blocks-fit-in-all-builds fits runtime_granted_test
equal deaths-equal-in-all-builds deaths rc_types_test
equal moments-equal-in-all-builds moments runtime_beats_test
equal addresses-equal-in-all-builds offsets runtime_region_test
equal compact-addresses-equal-in-all-builds compact runtime_compact_test

# ---- The end, where people look first

while read -r _ bad name; do
  [ "$bad" = 0 ] && continue
  printf '\n%s:\n' "$name"
  { grep -a -A 6 -E 'FAILED|\[  ERROR|rror:|exit status' "$log/${name//\//-}.log" || tail -n 20 "$log/${name//\//-}.log"; } |
    head -n 30 | sed 's/^/    /'
done <"$log/results"
awk '{ ok += $1; bad += $2 } END { print ok " passed, " bad " failed"; exit bad > 0 }' "$log/results"
