#!/bin/bash
# Checks remote.pml: as it is it must hold in every configuration, in the whole state space; each
# mutant must fail. One line for each: name, states, what must be, verdict. $1 at a time (2), each
# with up to 1.5 GB.
here=$(cd "$(dirname "$0")" && pwd)
jobs=${1:-2}

for tool in spin gcc; do
  command -v $tool >/dev/null && continue
  echo "model: $tool is not installed"
  echo "0 passed, 1 failed"
  exit 1
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# What is searched for: `states` is assertions, leaks and dead ends; `cycles` is assertions, leaks
# and runs that never end.
check() { # holds|fails states|cycles NAME FLAGS...
  local want=$1 what=$2 name=$3 verdict=FAILED
  local optimize=-O0 pan=-DSAFETY option= errors states
  shift 3
  [ "$want" = holds ] && optimize=-O1 # gcc takes longer than the short searches
  [ "$what" = cycles ] && pan=-DNP option=-l
  mkdir "$dir/$name" && cd "$dir/$name" || return
  {
    spin -a "$@" "$here/remote.pml" &&
      gcc $optimize -w $pan -DCOLLAPSE -DMEMLIM=1500 -o pan pan.c &&
      timeout 300 ./pan $option -m100000
  } >out 2>&1
  errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' out)
  states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' out)
  if [ "$want" = fails ]; then
    [ "${errors:-0}" -ge 1 ] && verdict=ok
  elif [ "$errors" = 0 ] && ! grep -qE 'not completed|too small|MEMLIM bound' out; then
    verdict=ok # and the search did not give up
  fi
  printf '%-36s %10s states  %s: %s\n' "${name//_/ }" "${states:--}" "$want" $verdict
  [ $verdict = ok ] || grep -E 'pan:|rror|reached' out | head -n 5 | sed 's/^/    /'
}
export -f check
export here dir

reuse="-DLIVES1=2 -DLIVES2=2 -DNEWS2=1 -DGRANTS2=2 -DBLOCKS=1"
move="-DMOVES1=1 -DHEAPS=3"
stranger="-DHEAPS=1 -DLIVES1=2 -DLIVES2=1 -DNEWS1=1"
configurations() {
  echo "holds states reuse_of_slots_and_heaps $reuse"
  echo "holds states two_pages -DPAGES=2 -DBLOCKS=1 -DNEWS1=2"
  echo "holds states heap_deleted $move"
  echo "holds states heap_deleted,_two_pages $move -DPAGES=2 -DBLOCKS=1 -DNEWS1=2 -DGRANTS2=0"
  echo "holds states three_blocks -DBLOCKS=3 -DGRANTS1=3 -DGRANTS2=0"
  echo "holds states two_pages_of_two_blocks -DPAGES=2 -DNEWS1=2 -DGRANTS1=3 -DGRANTS2=0 -DLIVES2=0"
  echo "holds states single_blocks $move -DSINGLE -DPAGES=2 -DNEWS1=2"
  echo "holds states single_blocks,_reuse $move -DSINGLE -DNEWS1=2 -DNEWS2=1 -DLIVES2=2"
  echo "holds states basic"
  echo "holds cycles basic,_every_run_ends"
  echo "holds cycles heap_deleted,_every_run_ends $move -DBLOCKS=1"
  echo "holds cycles single_blocks,_every_run_ends -DSINGLE -DNEWS1=2"
  echo "fails states M1_released_though_LISTED -DM1"
  echo "fails states M2_purge_ends_unseen_by_orphan -DM2"
  echo "fails cycles M3_bit_taken_before_a_look -DM3"
  echo "fails states M4_bit_taken_without_a_look_after -DM4"
  echo "fails states M5_bit_put_back_without_a_look -DM5"
  echo "fails cycles M6_orphan's_heap_looked_at -DM6"
  echo "fails states M7_FULL_page_given_up -DM7"
  echo "fails states M8_hold_given_up_without_compare -DM8"
  echo "fails states M9_taker_overlooks_orphan -DM9"
  echo "fails states M10_orphan_not_asked_again -DM10 $stranger"
  echo "fails states M11_taker_overlooks_purge -DM11"
  echo "fails states M12_closed_list_not_forwarded -DM12 $move"
  echo "fails states M13_purge_in_a_second_change -DM13 $reuse"
  echo "fails states M14_last_freer_does_not_take_bit -DM14"
  echo "fails states M15_made_full_with_frees_unseen -DM15"
  echo "fails states M16_detach_overlooks_empty_page -DM16"
  echo "fails states M17_FULL_page_without_heap -DM17"
  echo "fails states M18_abandoned_without_a_look_after -DM18"
  echo "fails states M19_closed_before_pages_leave -DM19"
  echo "fails states M20_life_not_compared -DM20 $stranger"
  echo "fails states M21_heap_not_asked_again -DM21 $stranger"
}

configurations | xargs -d '\n' -P "$jobs" -I{} bash -c 'check $1' _ {} | tee "$dir/all"
total=$(configurations | wc -l)
passed=$(grep -c ' ok$' "$dir/all")
echo "$passed passed, $((total - passed)) failed"
[ "$passed" = "$total" ]
