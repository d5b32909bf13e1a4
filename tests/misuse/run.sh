#!/bin/bash
# Runs each misuse of cases.c and objects.c with the libraries, and wrong uses of slua and cfrac, and asserts all
# that they print on stderr, as a regular expression, and the exit status.
# Ends in "N passed, N failed".
build=${1:-build}
here=$(dirname "$0")
programs=$build/tests/misuse
passed=0 failed=0
ulimit -c 0

mkdir -p "$programs"
compile() { # SOURCE LIBRARY PROGRAM FLAGS...
  ${CC:-gcc} -std=c11 -D_GNU_SOURCE -I"$here/../.." -Wall -Wextra -Wpedantic -Wshadow -Wundef -O1 -g \
    "${@:4}" "$here/$1.c" "$build/lib$2.a" -pthread -o "$programs/$3" || exit 1
}
for library in sluice sluice-debug sluice-secure; do
  compile cases $library $library
  compile objects $library objects-$library
  compile objects $library objects-checked-$library -DRC_CHECKED
done
plain=$programs/sluice debug=$programs/sluice-debug secure=$programs/sluice-secure
ABORTED=134 CRASHED=139 RUNS=20

# Lines of who called, which are looked at below.
frame='sluice:   at '
# The command may begin with VAR=VALUE. Names are for the reader.
expect() { # NAME STATUS REGEX COMMAND...
  local name=$1 status=$2 regex=$3 said got
  shift 3
  { said=$(timeout 20 env "$@" 2>&1 >/dev/null </dev/null); got=$?; } 2>/dev/null
  said=$(grep -v "^$frame" <<<"$said")
  if [ $got = "$status" ] && [[ $said =~ ^($regex)$ ]]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  printf 'FAILED %s\n  expected status %s and: %s\n  status %s and: %s\n' \
    "$name" "$status" "$regex" $got "$said"
}

# Misuse that both builds report: the plain one goes on, the debug one aborts unless told not to.
# Where the debug build has words of its own, they are the second expression. The secure build says
# what the debug build says, and aborts, in each of RUNS runs, for its order is random.
reported() { # CASE REGEX [DEBUG-REGEX]
  expect "plain $1" 0 "$2" "$plain" "$1"
  debug_reported "$1" "${3:-$2}"
}
debug_reported() { # CASE REGEX
  expect "debug $1" $ABORTED "$2" "$debug" "$1"
  expect "debug $1, going on" 0 "$2" MIMALLOC_ABORT_ON_ERROR=0 "$debug" "$1"
  secure_stopped "$1" $ABORTED "$2"
}
secure_stopped() { # CASE STATUS REGEX
  local before=$failed run
  for ((run = 0; run < RUNS && failed == before; run++)); do
    expect "secure $1" "$2" "$3" "$secure" "$1"
    passed=$((passed - (failed == before)))
  done
  passed=$((passed + (failed == before)))
}
silent() { # CASE
  expect "plain $1" 0 '' "$plain" "$1"
  expect "debug $1" 0 '' "$debug" "$1"
  expect "secure $1" 0 '' "$secure" "$1"
}

n=$'\n'
error='sluice: error:'
p='0x[0-9a-f]+'
no_block="invalid pointer $p: it is no block of this allocator"
freed_twice="$error double free of block $p"
freed_or_none="($freed_twice[^:]*|$error free of $no_block)"
was_freed() { echo "$freed_twice \\($1 bytes when it was freed first\\)"; }
inside() { echo "$error free of invalid pointer $p: it points inside the block $p of $1 bytes"; }
overflow() { echo "$error buffer overflow: block $p of $1 bytes was written to at offset $2"; }
underflow() { echo "$error buffer underflow: block $p of $1 bytes was written to at offset $2"; }

# ---- Double free: the plain build finds it when nothing or all else of the page was freed

reported double_free "$freed_twice: nothing was freed there since" "$(was_freed 100)"
reported double_free_in_thread "$freed_twice: nothing was freed there since" "$(was_freed 100)"
debug_reported double_free_later "$(was_freed 100)"
debug_reported double_free_by_thread "$(was_freed 100)"
debug_reported double_free_after_thread "$(was_freed 100)"
reported double_free_full_page "$freed_twice: its page has no block in use" "$(was_freed 64)"
reported double_free_large "$error free of $no_block" "$freed_or_none"
reported double_free_huge "$error free of $no_block" "$freed_or_none"

# ---- Free of what is no block

for case in free_stack free_static free_mapped free_number; do
  reported $case "$error free of $no_block"
done
reported free_destroyed "$error free of $no_block"
debug_reported free_of_freed_memory "$error free of $no_block"
debug_reported free_chunk_tail "$error free of $no_block"
debug_reported free_interior "$(inside 100)"
reported free_interior_large "$error free of $no_block" "$(inside 100000)"
reported free_interior_huge "$error free of $no_block" "$(inside 20971520)"
reported free_interior_far "$error free of $no_block"
reported free_moved "$freed_twice: nothing was freed there since" "$(was_freed 100)"
reported free_moved_large "$error free of $no_block" "$freed_or_none"
sized() { echo "$error sized free of block $p of 100 bytes as one of $1"; }
debug_reported sized_free_wrong "$(sized 200)"
debug_reported sized_free_less "$(sized 50)"

# ---- Writes outside of blocks

debug_reported overflow_by_one "$(overflow 100 100)"
debug_reported overflow_far "$(overflow 5000 5119)"
debug_reported overflow_medium "$(overflow 30000 30000)"
debug_reported overflow_large "$(overflow 100000 100000)"
debug_reported overflow_huge "$(overflow 20971520 20971520)"
debug_reported overflow_full_class "$(overflow 112 112)"
debug_reported overflow_remote "$(overflow 100 100)"
debug_reported overflow_realloc "$(overflow 112 112)"
debug_reported zero_size_write "$(overflow 0 0)"
debug_reported underflow "$(underflow 112 -1)"
debug_reported underflow_near "$(underflow 112 -16)"
debug_reported underflow_medium "$(underflow 30000 -1)"
debug_reported underflow_large "$(underflow 100000 -1)"
debug_reported underflow_huge "$(underflow 20971520 -8)"
secure_stopped overflow_neighbour $ABORTED "$(overflow 112 112)"
for case in overflow_large_far overflow_huge_far; do
  secure_stopped $case $CRASHED ''
done

# ---- Use of freed memory

written() { echo "$error write after free: block $p of $1 bytes was written to at offset $2 after it was freed"; }
debug_reported write_after_free "$(written 100 50)"
debug_reported write_after_free_last "$(written 100 99)"
debug_reported write_after_free_link "$(written 100 0)"
debug_reported write_after_free_behind "$(written 112 112)"
debug_reported write_after_free_before "$(written 112 -1)"
debug_reported write_after_free_collected "$(written 112 112)"
debug_reported write_after_free_medium "$(written 30000 20000)"
debug_reported write_after_free_remote "$(written 100 50)"
debug_reported forged_link "$(written 100 0)"
secure_stopped write_after_free_at_end $ABORTED "$(written 100 50)"
for case in write_after_free_large read_after_free_large read_after_free_huge; do
  secure_stopped $case $CRASHED ''
done
for case in read_after_free replayed_link stale_data; do
  secure_stopped $case 0 ''
done
# ---- Use of what was freed, or never was a block

debug_reported realloc_freed "$error realloc of freed block $p \\(100 bytes when it was freed first\\)"
reported realloc_invalid "$error realloc of $no_block"
reported realloc_aligned_invalid "$error (realloc|usable size) of $no_block"
case=realloc_interior_large
expect "plain $case" 0 "$error realloc of $no_block" "$plain" $case
expect "debug $case" $ABORTED "$error (realloc|free) of invalid pointer $p: [^:]*" "$debug" $case
secure_stopped $case $ABORTED "$error (realloc|free) of invalid pointer $p: [^:]*"
reported usable_invalid "$error usable size of $no_block"
reported usable_freed_large "$error usable size of $no_block" \
  "$error usable size of (freed block $p [^:]*|$no_block)"

# ---- Arguments that cannot be, heaps of others

no_heap="$error heap (0x[0-9a-f]+|\\(nil\\)) is not one of the calling task, or has ended"
expect "plain heap_of_another" 0 "($no_heap$n?){6}" "$plain" heap_of_another
expect "debug heap_of_another" $ABORTED "$no_heap" "$debug" heap_of_another
reported end_heap_twice "$no_heap"
for case in impossible_sizes impossible_realloc impossible_alignments; do
  silent $case
done
many='sluice: warning: 8 deferred-free callbacks are registered, one more is refused'
expect "plain too_many_callbacks" 0 "$many" "$plain" too_many_callbacks
expect "debug too_many_callbacks" 0 "$many" "$debug" too_many_callbacks

# ---- Callbacks and tasks

for case in delete_in_refill delete_at_beat destroy_in_refill destroy_at_beat; do
  reported $case "$error heap $p cannot end within a callback of the allocator"
done
for case in leave_in_refill leave_at_beat; do
  reported $case "$error rt_leave within a callback of the allocator: the task stays"
done
ended='sluice: warning: a thread ended within a task \(rt_leave is missing\); what it had before '
ended+='stays'
for program in "$plain" "$debug"; do
  for case in thread_ends_within_task thread_lives_within_task; do
    expect "$program $case" 0 "$ended" "$program" $case
  done
done

# ---- Options

warning='sluice: warning: MIMALLOC_'
option() { # SETTING REGEX: one line of warning, and the program goes on
  expect "plain $1" 0 "$2" "$1" "$plain" nothing
  expect "debug $1" 0 "$2" "$1" "$debug" nothing
}
period='is not a number from 1 to 1000000000000; 1000 is used'
option MIMALLOC_SHOW_STATS=maybe "${warning}SHOW_STATS=maybe is not a number from 0 to 1; 0 is used"
option MIMALLOC_SHOW_STATS= "${warning}SHOW_STATS= is not a number from 0 to 1; 0 is used"
option MIMALLOC_VERBOSE=2 "${warning}VERBOSE=2 is not a number from 0 to 1; 0 is used"
option MIMALLOC_SHOW_ERRORS=-1 "${warning}SHOW_ERRORS=-1 is not a number from 0 to 1; 1 is used"
for value in 0 -5 1000x 1e6 99999999999999999999 yes; do
  option MIMALLOC_HEARTBEAT_PERIOD=$value "${warning}HEARTBEAT_PERIOD=$value $period"
done
option MIMALLOC_EAGER_COMMIT=1 \
  'sluice: warning: option MIMALLOC_EAGER_COMMIT has no effect here'
option MIMALLOC_=1 'sluice: warning: option MIMALLOC_ is unknown here and has no effect'
option MIMALLOC_SHOW_STATS=no ''
for value in 3X -1 K 9999999999G 1KB2; do
  option MIMALLOC_RESERVE_OS_MEMORY=$value \
    "${warning}RESERVE_OS_MEMORY=$value is not a number from 0 to [0-9]+; 0 is used"
done
for value in 100 100K 64MiB 1G 2GB; do option MIMALLOC_RESERVE_OS_MEMORY=$value ''; done
expect "two bad options" 0 "$warning[^$n]*${n}sluice: warning: [^$n]*" \
  MIMALLOC_VERBOSE=maybe MIMALLOC_NOPE=1 "$plain" nothing

expect "few warnings" 0 "sluice: warning: option MIMALLOC_[AB] is unknown here and has no effect" \
  MIMALLOC_MAX_WARNINGS=1 MIMALLOC_A=1 MIMALLOC_B=1 "$plain" nothing
expect "errors can be silenced" 0 '' MIMALLOC_SHOW_ERRORS=0 "$plain" free_stack
expect "errors can be silenced, debug" $ABORTED '' MIMALLOC_SHOW_ERRORS=no "$debug" free_stack
expect "errors can abort" $ABORTED "$error free of $no_block" \
  MIMALLOC_ABORT_ON_ERROR=1 "$plain" free_stack

verbose() { # DEBUG-LEVEL; which options there are is asked in tests/names.sh
  echo "sluice: process init: version [0-9.]+ \\(mimalloc API [0-9]+\\), debug level $1"
  echo "(sluice: option [A-Z_]+: -?[0-9]+$n)+sluice: option HEARTBEAT_PERIOD: 50"
  echo "sluice: option ABORT_ON_ERROR: $1"
  [ "$1" = 0 ] || echo 'sluice: option SHOW_LEAKS: 0'
}
for set in VERBOSE=1 VERBOSE=yes; do
  expect "plain $set" 0 "$(verbose 0)" MIMALLOC_HEARTBEAT_PERIOD=50 MIMALLOC_$set "$plain" nothing
  expect "debug $set" 0 "$(verbose 1)" MIMALLOC_HEARTBEAT_PERIOD=50 MIMALLOC_$set "$debug" nothing
done

amount='[0-9.]+( [a-z]+)?'
row="(normal|large) +[0-9]+:( +$amount){3} +(>64 kb|$amount) +$amount"
table() { # LAST-LINE
  echo "heap stats: +peak +total +freed +unit +count"
  echo "($row +(ok|$1)$n)+process: mapped $amount, peak resident $amount, page faults [0-9]+"
  echo "$1"
}
expect "table, stderr closed" 0 "$(table ok)" MIMALLOC_SHOW_STATS=1 "$plain" close_stderr
for library in plain debug; do
  program=${!library}
  expect "$library table" 0 "$(table ok)" MIMALLOC_SHOW_STATS=1 "$program" nothing
  expect "$library table, leak" 0 "$(table 'not all freed!')" MIMALLOC_SHOW_STATS=on "$program" leak
done

# ---- Who called

# The lines that a report names, as addr2line knows them.
called_from() { # PROGRAM CASE
  { "$1" "$2" 2>&1 >"$programs/out" | sed -n "s/^$frame.*+\(0x[0-9a-f]*\).*/\1/p" |
    xargs addr2line -i -f -e "$1"; } 2>"$programs/err"
}
for library in sluice-debug sluice-secure; do
  for case in double_free free_interior sized_free_less overflow_large overflow_realloc; do
    expect "$library names the caller of $case" 0 '' \
      bash -c "grep -qx '$case' <<<'$(called_from "$programs/$library" $case)'"
  done
done

# ---- Objects: what is said of them does not depend on the order of blocks, so few runs tell

RUNS=2
objects() { # PREFIX: what `reported` and the others run
  plain=$programs/$1sluice debug=$programs/$1sluice-debug secure=$programs/$1sluice-secure
}
at='[^ ]+\+0x[0-9a-f]+( \([^)]*\))?'
dead() { echo "$error $1 of dead object $p \\($2\\), which died at $at"; }
pair='2 fields, tag 7'
array='array, tag 8'
no_object() { echo "$error $1 of invalid pointer $p: it $2"; }
asserted() { echo "[^$n]*: Assertion \`[^$n]*' failed\\."; }
# Once with each way of compiling the program.
object_misuse() { # CASE REGEX
  local prefix
  for prefix in objects- objects-checked-; do
    objects $prefix
    debug_reported "$1" "$2"
  done
}
object_misuse double_decrement "$(dead rc_dec "$pair")"
object_misuse double_decrement_waiting "$(dead rc_dec "$array")"
object_misuse double_decrement_dropped "$(dead rc_dec "$array")"
object_misuse double_decrement_child "$(dead rc_dec "$pair")"
object_misuse double_decrement_drained "$(dead rc_dec "$pair")"
object_misuse double_decrement_shared "$(dead rc_dec "$pair")"
object_misuse double_decrement_after_thread "$(dead rc_dec "$pair")"
object_misuse given_up_with_task "$(dead rc_dec "$pair")"
object_misuse held_too_many "$error rt_task_end: the task holds 2 references to object $p, which has 1: rc_share was missing where one left it"
forgotten=$(no_object rc_dec 'is (no object|a freed block of 24 bytes)')
object_misuse double_decrement_late "($forgotten|$(dead rc_dec "$pair"))"
object_misuse increment_of_dead "$(dead rc_inc "$pair")"
object_misuse increment_of_waiting "$(dead rc_inc "$array")"
object_misuse dead_child "$(dead "release by an object's death" "$pair")"
object_misuse weak_of_dead "$(dead rc_weak "$pair")"
object_misuse upgrade_of_dead "$(dead rc_upgrade 'typed, tag 0')"
object_misuse unique_of_dead "$(dead rc_make_unique "$pair")"
object_misuse decrement_of_static "$(no_object rc_dec 'is no object')"
object_misuse decrement_of_block "$(no_object rc_dec 'is a block of 24 bytes')"
object_misuse decrement_inside "$(no_object rc_dec "points inside the object $p of 24 bytes")"
object_misuse free_of_object "$error mismatched free: block $p of 24 bytes is from rc_alloc"
object_misuse upgrade_of_object "$error rc_upgrade of object $p, which is no weak reference"
object_misuse shell_freed_twice "$(dead rc_free_known "$pair")"
object_misuse shell_decremented "$(dead rc_dec "$pair")"
no_shell() { echo "$error rc_free_known of object $p \\($1\\), which is no shell"; }
object_misuse shell_with_references "$(no_shell "$pair, count 2")"
object_misuse shell_of_array "$(no_shell "$array, count 1")"
object_misuse reuse_of_dead "$(dead rc_reuse "$pair")"
object_misuse damaged_header \
  "$error rc_dec of object $p with a damaged header: kind 0 and length 200 do not fit its block of 24 bytes"
unstored="$error field 1 of object $p \\(3 fields, tag 7\\) was not stored before it died"
object_misuse unstored_field "$unstored"
object_misuse untouched_field "$unstored"

objects objects-checked-
debug_reported get_of_dead "$(dead rc_get "$pair")"
debug_reported set_of_dead "$(dead rc_set "$pair")"
debug_reported get_beyond "$error rc_get of field 2 of object $p, which has 2"
debug_reported set_beyond "$error rc_set of field 2 of object $p, which has 2"
debug_reported set_to_zero "$error rc_set of the word 0 into object $p"
debug_reported set_to_dead "$(dead rc_set "$pair")"
debug_reported decrement_of_counted_static "$(no_object rc_dec 'is no object')"
debug_reported increment_inside "$(no_object rc_inc "points inside the object $p of 24 bytes")"
silent reuse_with_other_size

# What the plain library finds of it, where that costs nothing.
for prefix in objects- objects-checked-; do
  objects $prefix
  silent reuse_with_other_size
  expect "plain double_decrement" 0 "$error rc_dec of dead object $p" "$plain" double_decrement
  expect "plain increment_of_dead" 0 "$error rc_inc of dead object $p" "$plain" increment_of_dead
  expect "plain dead_child" 0 "$error rc_dec of dead object $p" "$plain" dead_child
  expect "plain decrement_of_static" 0 "$error free of $no_block" "$plain" decrement_of_static
  for case in shell_freed_twice shell_with_references shell_of_array; do
    expect "plain $case" 0 "$error rc_free_known of object $p, which is no shell" "$plain" $case
  done
  expect "plain upgrade_of_object" 0 "$error rc_upgrade of object $p, which is no weak reference" "$plain" upgrade_of_object
  for case in get_beyond set_beyond set_to_zero; do
    expect "plain $case" $ABORTED "$(asserted)" "$plain" $case
  done
  expect "plain unstored_field" $CRASHED '' "$plain" unstored_field
done

objects objects-
root="#2 \\($array\\): count 1, 1 from outside"
leaks="sluice: 3 objects are alive, 8061 bytes
  1 objects \\($array\\), 8016 bytes
    $root
  1 objects \\($pair\\), 24 bytes
    $root \\[17\\]-> #1 \\($pair\\)
  1 objects \\(bytes, tag 9\\), 21 bytes
    $root \\[17\\]-> #1 \\($pair\\) \\[0\\]-> #0 \\(bytes, tag 9\\)"
for case in leak leak_in_task; do
  expect "debug $case is shown" 0 "$leaks" MIMALLOC_SHOW_LEAKS=1 "$debug" $case
  expect "secure $case is shown" 0 "sluice: 3 objects are alive, 8061 bytes$n.*" MIMALLOC_SHOW_LEAKS=1 "$secure" $case
  expect "debug $case" 0 '' "$debug" $case
done
expect "debug, no leak" 0 '' MIMALLOC_SHOW_LEAKS=1 "$debug" no_leak
expect "plain, leaks are not shown" 0 'sluice: warning: option MIMALLOC_SHOW_LEAKS has no effect here' \
  MIMALLOC_SHOW_LEAKS=1 "$plain" leak

# Where an object died is in the function that gave it up, also what it held.
for prefix in objects- objects-checked-; do
  objects $prefix
  for case in double_decrement{,_waiting,_dropped,_child,_drained,_shared,_after_thread}; do
    died=$("$debug" $case 2>&1 | sed -n 's/.*which died at .*+\(0x[0-9a-f]*\).*/\1/p')
    expect "$case names the first killer" 0 '' \
      bash -c "grep -qxE 'first_(killer|dropper)' <<<'$(addr2line -i -f -e "$debug" "$died" 2>&1)'"
    expect "$case names the caller" 0 '' \
      bash -c "grep -qx $case <<<'$(called_from "$debug" $case)'"
  done
done

# ---- slua and cfrac

echo 'return 1' >"$programs/script.lua"
script=$programs/script.lua
usage="usage: slua [^$n]*($n[^$n]+)*"
wrong() { # REGEX ARGUMENTS...
  local line=$1
  shift
  expect "slua $*" 1 "slua: $line$n$usage" "$build/slua" "$@" "$script"
}
wrong "unrecognized option '--nope'" --nope
wrong "unrecognized option '-x'" -x
for value in abc 0 -5 12x 5K 99999999999999999999; do
  wrong "not a number of heartbeats \\(1 or more\\): '$value'" --heartbeats $value
done
for value in abc 0 -5 12x 12KK K 99999999999999999999 99999999999G; do
  wrong "not a size in bytes \\([^$n]*\\): '$value'" --memory $value
done
expect "slua --memory, no size" 1 "slua: '--memory' needs argument$n$usage" \
  "$build/slua" --memory
expect "slua, the script itself" 0 '' "$build/slua" --memory 16M --heartbeats 1000 "$script"
too_small='is below what Lua needs to start; give it 64K or more'
expect "slua --memory 1K" 4 "slua: a memory limit of 1024 bytes $too_small" \
  "$build/slua" --memory 1K "$script"
expect "slua, no such file" 1 "slua: cannot open no/such/file\\.lua: No such file or directory" \
  "$build/slua" no/such/file.lua
expect "slua, a directory" 1 "slua: cannot read [^$n]*" "$build/slua" "$programs"

number='usage: cfrac N, a whole number of at least 2 in decimal digits'
expect "cfrac" 2 "$number" "$build/cfrac"
for value in '' 0 1 -7 12x x12 1.5 ' 12'; do
  expect "cfrac '$value'" 2 "$number" "$build/cfrac" "$value"
done
expect "cfrac 15 21" 2 "$number" "$build/cfrac" 15 21
expect "cfrac 15" 0 '' "$build/cfrac" 15

echo "$passed passed, $failed failed"
[ $failed = 0 ]
