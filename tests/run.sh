#!/bin/bash
# Runs every test that is built below $1 and ends in "N passed, N failed". A part that crashes or ends
# without counting is one failure. The output of each part is in $1/log/.
build=${1:-build}
log=$build/log
mkdir -p "$log"
passed=0 failed=0 failures=()

note() { # PASSED FAILED NAME LOG
  passed=$((passed + $1)) failed=$((failed + $2))
  printf '%-44s %s\n' "$3" "$([ "$2" = 0 ] && echo "$1 ok" || echo "$1 ok, $2 FAILED")"
  [ "$2" = 0 ] && return
  tail -n 25 "$4" | sed 's/^/    /'
  failures+=("$3" "$4")
}

# Once more, at the end, where people look first.
repeat_failures() { # NAME LOG...
  for (( ; $# > 0; )); do
    echo "$1:"
    grep -a -A 6 -E 'FAILED|\[  ERROR|rror:|exit status' "$2" | head -n 30 | sed 's/^/    /'
    shift 2
  done
}

# A cmocka program; its own summary is on stderr.
unit() { # NAME COMMAND...
  local name=$1 out=$log/${1//\//-}.log ok=0 bad=0
  shift
  timeout 900 "$@" >"$out" 2>&1
  local status=$?
  ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$out" | tail -n 1)
  bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$out" | tail -n 1)
  : "${ok:=0}" "${bad:=0}"
  if [ $status != 0 ] && [ "$bad" = 0 ] || [ "$ok$bad" = 00 ]; then
    echo "exit status $status" >>"$out"
    bad=1
  fi
  note "$ok" "$bad" "$name" "$out"
}

# A command that passes by its exit status.
single() { # NAME COMMAND...
  local name=$1 out=$log/${1//\//-}.log
  shift
  if timeout 900 "$@" >"$out" 2>&1; then note 1 0 "$name" "$out"; else note 0 1 "$name" "$out"; fi
}

# A script that counts by itself: its last line is "N passed, N failed".
script() { # NAME COMMAND...
  local name=$1 out=$log/${1//\//-}.log
  shift
  timeout 900 "$@" >"$out" 2>&1
  local status=$? ok bad
  read -r ok bad < <(tail -n 1 "$out" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
  if [ -z "$ok" ] || { [ "$bad" = 0 ] && [ $status != 0 ]; }; then ok=${ok:-0} bad=1; fi
  note "$ok" "$bad" "$name" "$out"
}

for source in tests/unit/*.c; do
  name=$(basename "$source" .c)
  variants=(plain debug secure asan)
  grep -q pthread_create "$source" && variants+=(tsan)
  for variant in "${variants[@]}"; do unit "$variant/$name" "$build/tests/$variant/$name"; done
done

for source in tests/stress/*.c; do
  name=$(basename "$source" .c)
  single "plain/$name" "$build/tests/plain/$name" 100
  single "debug/$name" "$build/tests/debug/$name" 10
  single "secure/$name" "$build/tests/secure/$name" 10
  single "tsan/$name" "$build/tests/tsan/$name" 3
done

# What a program prints behind a word is the same in every build.
equal() { # NAME WORD PROGRAM
  single "$1" bash -c '[ $# -ge 4 ] && [ "$(sed -n "s/^$0: //p" "$@" | sort -u | wc -l)" = 1 ]' \
    "$2" "$log"/*-"$3".log
}
equal "beats equal in all builds" beats heartbeat_test
equal "as many blocks fit in all builds" fits runtime_limit_test
equal "addresses equal in all builds" offsets runtime_region_test

script lua tests/lua/run.sh "$build/slua" "$build/slua-asan"
script misuse tests/misuse/run.sh "$build"
script install tests/install.sh
script cxx tests/cxx/run.sh "$build"
script preload tests/preload/run.sh "$build"
script life tests/life/run.sh "$build"
script counts tests/real/count.py "$build"
script model tests/model/run.sh
script warnings tests/warnings.sh
script amalgamation tests/amalgamation.sh "$build"
script layers tests/layers.sh
script names tests/names.sh "$build"
script readme tests/readme.sh "$build"

repeat_failures "${failures[@]}"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
