#!/bin/bash
# Reports by slua and by a program of one's own: all formats are valid and have the same figures; what repeats does;
# ticks do not change; errors are told.
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/.." || exit 1
source tests/tools.sh
shown=$dir/out
all_of() { echo --report="$1".{json,trace.json,html,txt}; }
check() { python3 tests/report.py "$@" >"$dir/out" 2>&1; }

echo 'local t = {} for i = 1, 1e9 do t[i % 50000] = {} end' >"$dir/endless.lua"
busy=("$build/slua" --memory 12M tests/demo/report.lua)
full=("$build/slua" --memory 9M tests/demo/report.lua)
endless=("$build/slua" --memory 64M --heartbeats 700 "$dir/endless.lua")

for name in busy full endless; do
  declare -n command=$name
  for run in 1 2; do
    "${command[0]}" "${command[@]:1:${#command[@]}-2}" --ticks $(all_of "$dir/$name$run") "${command[-1]}" 2>"$dir/$name$run.err"
    echo $? >>"$dir/$name$run.err"
    check "$dir/$name$run"
    verdict $? "$name: formats, run $run"
  done
  "${command[0]}" "${command[@]:1:${#command[@]}-2}" --ticks "${command[-1]}" 2>"$dir/$name.err"
  echo $? >>"$dir/$name.err"
  cat "$dir/$name"{1,2}.err | diff - <(cat "$dir/$name.err" "$dir/$name.err") >"$dir/out"
  verdict $? "$name: the same ticks and messages without a report"
  check --same "$dir/$name"{1,2}.json
  verdict $? "$name: what repeats"
done
setarch -R env "MORE=$(printf '%9000s' x)" "$build/slua" --memory 12M --ticks --report="$dir/moved.json" tests/demo/report.lua 2>/dev/null &&
  check --same "$dir"/{busy1,moved}.json
verdict $? 'what repeats, with other addresses'
"${busy[@]:0:3}" --pauses --report="$dir/seen.txt" "${busy[-1]}" 2>"$dir/seen"
diff "$dir"/seen{,.txt} >"$dir/out"
verdict $? '--pauses prints the text'
"$build/slua" --report="$dir/empty.json" --report="$dir/empty.html" --report="$dir/empty.txt" \
  --report="$dir/empty.trace.json" -e '' && check "$dir/empty"
verdict $? 'a script that does nothing'

refuses() { # NAME CODE MESSAGE ARGS...: code and first line of the message
  "$build/slua" "${@:4}" >"$dir/seen" 2>&1
  local code=$?
  [ $code = "$2" ] && [ "$(head -n 1 "$dir/seen")" = "$3" ]
  verdict $? "$1: exit $code" "$dir/seen"
}
for format in json trace.json html txt; do
  ln -s /dev/full "$dir/full.$format"
  refuses "no room for .$format" 1 "slua: cannot write $dir/full.$format: No space left on device" \
    --report="$dir/full.$format" -e ''
done
refuses 'no such directory' 1 'slua: cannot write /nowhere/x.json: No such file or directory' --report=/nowhere/x.json -e ''
refuses 'the script has its own exit code' 7 "slua: cannot write $dir/full.json: No space left on device" \
  --report="$dir/full.json" -e 'os.exit(7)'
refuses 'no such format' 1 "slua: not the name of a report: 'x.svg'" --report=x.svg -e ''

cat >"$dir/own.c" <<'END_OF_PROGRAM'
#include <stdio.h>
#include <stdlib.h>
#include "rc/rc.h"
#include "runtime/runtime.h"
/* A scope in each round, some in others, some that run out or are left by their ends alone; and a child. */
static rt_scope scope[20];
static void begin(int depth, const char* name, uint64_t ticks) {
  rt_scope_begin(&scope[depth], &(rt_limits){.name = name, .ticks = ticks, .depth = (uint64_t)depth});
}
static int scopes(int round) {
  rt_task* child = rt_task_new_child(&(rt_config){.name = "ch\xC3\xADld \xFF<&\"\\\n", .ticks = 100, .bytes = 4096});
  if (child == NULL) return 1;
  begin(0, round % 2 ? "a name that is longer than its place" : NULL, 0);
  rt_tick((uint64_t)round * 100);
  for (int i = 1; i < round % 20; i++) begin(i, "inner", 50), rt_tick(i % 3 == 0 ? 60 : 1);
  if (rt_enter(child) != 0) return 1;
  rt_tick(30 + (uint64_t)round * 2);
  rt_leave();
  if (round % 3 == 0) rt_scope_end(&scope[0]);
  rt_task_join(child, NULL);
  if (round % 3 != 0) rt_scope_end(&scope[0]);
  return 0;
}
/* More beats pass than there is room for. NAME MEASURED RECORD */
int main(int argc, char** argv) {
  static const char* const suffixes[] = {"json", "trace.json", "html", "txt"};
  rt_config config = {.record = (size_t)atoi(argv[argc - 1]), .record_units = 200, .measure_pauses = argv[2][0] == '1'};
  rt_task* t = rt_task_new(&config);
  if (t == NULL || rt_enter(t) != 0) return 1;
  for (int round = 0; round < 40; round++) {
    rc_object* list = NULL;
    for (int i = 0; i < 5000; i++) {
      rc_object* o = rc_alloc(0, 2);
      if (o == NULL) return 1;
      rc_init(o, 0, rc_int(i));
      rc_init(o, 1, list != NULL ? rc_from(list) : RC_NIL);
      list = o;
    }
    if (round % 7 == 3) rt_tick(300000);
    rc_dec(list);
    if (scopes(round) != 0) return 1;
  }
  begin(0, "goes on", 1000000);
  rt_tick(100);
  begin(1, "goes on, too", 0);
  rt_task* running[20];
  for (int i = 0; i < 20; i++) running[i] = rt_task_new_child(&(rt_config){.name = "runs", .ticks = 10});
  if (rt_task_join(running[7], NULL) != 0) return 1;
  rt_leave();
  for (int i = 0; i < 4; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", argv[1], suffixes[i]);
    if (rt_report_file(t, path) != 0) return 1;
  }
  for (int i = 0; i < 20; i++)
    if (i != 7 && rt_task_end(running[i]) != 0) return 1;
  return rt_task_end(t);
}
END_OF_PROGRAM
gcc -std=c11 -Wall -Werror -I. "$dir/own.c" "$build/libsluice.a" -pthread -o "$dir/own" >"$dir/out" 2>&1
verdict $? 'a program of its own'
for record in 1 50000 1000000; do
  "$dir/own" "$dir/timed" 1 $record && check "$dir/timed"
  verdict $? "formats with times, in $record bytes"
  "$dir/own" "$dir/own1" 0 $record && "$dir/own" "$dir/own2" 0 $record && check "$dir/own1" &&
    check --same "$dir"/{own1,timed}.json
  verdict $? "formats without times, in $record bytes"
  cmp "$dir"/own{1,2}.html >"$dir/out" && cmp "$dir"/own{1,2}.trace.json >"$dir/out" && cmp "$dir"/own{1,2}.txt >"$dir/out"
  verdict $? 'without times all is the same in each run'
done
finish
