#!/bin/bash
# Checks the models: each must hold as it is in every configuration, in the whole state space; each
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
check() { # MODEL holds|fails states|cycles NAME FLAGS...
  local model=$1 want=$2 what=$3 name=$1:_$4 verdict=FAILED
  local optimize=-O0 pan=-DSAFETY option= errors states
  shift 4
  [ "$want" = holds ] && optimize=-O1 # gcc takes longer than the short searches
  [ "$what" = cycles ] && pan=-DNP option=-l
  mkdir "$dir/$name" && cd "$dir/$name" || return
  {
    spin -a "$@" "$here/$model.pml" &&
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
  printf '%-44s %10s states  %s: %s\n' "${name//_/ }" "${states:--}" "$want" $verdict
  [ $verdict = ok ] || grep -E 'pan:|rror|reached' out | head -n 5 | sed 's/^/    /'
}
export -f check
export here dir

reuse="-DLIVES1=2 -DLIVES2=2 -DNEWS2=1 -DGRANTS2=2 -DBLOCKS=1"
move="-DMOVES1=1 -DHEAPS=3"
stranger="-DHEAPS=1 -DLIVES1=2 -DLIVES2=1 -DNEWS1=1"
forked="-DFORKED -DDRAINS=1"
configurations() {
  echo "remote holds states reuse_of_slots_and_heaps $reuse"
  echo "remote holds states two_pages -DPAGES=2 -DBLOCKS=1 -DNEWS1=2"
  echo "remote holds states heap_deleted $move"
  echo "remote holds states heap_deleted,_two_pages $move -DPAGES=2 -DBLOCKS=1 -DNEWS1=2 -DGRANTS2=0"
  echo "remote holds states three_blocks -DBLOCKS=3 -DGRANTS1=3 -DGRANTS2=0"
  echo "remote holds states two_pages_of_two_blocks -DPAGES=2 -DNEWS1=2 -DGRANTS1=3 -DGRANTS2=0 -DLIVES2=0"
  echo "remote holds states single_blocks $move -DSINGLE -DPAGES=2 -DNEWS1=2"
  echo "remote holds states single_blocks,_reuse $move -DSINGLE -DNEWS1=2 -DNEWS2=1 -DLIVES2=2"
  echo "remote holds states basic"
  echo "remote holds cycles basic,_every_run_ends"
  echo "remote holds cycles heap_deleted,_every_run_ends $move -DBLOCKS=1"
  echo "remote holds cycles single_blocks,_every_run_ends -DSINGLE -DNEWS1=2"
  echo "remote fails states M1_released_though_LISTED -DM1"
  echo "remote fails states M2_purge_ends_unseen_by_orphan -DM2"
  echo "remote fails cycles M3_bit_taken_before_a_look -DM3"
  echo "remote fails states M4_bit_taken_without_a_look_after -DM4"
  echo "remote fails states M5_bit_put_back_without_a_look -DM5"
  echo "remote fails cycles M6_orphan's_heap_looked_at -DM6"
  echo "remote fails states M7_FULL_page_given_up -DM7"
  echo "remote fails states M8_hold_given_up_without_compare -DM8"
  echo "remote fails states M9_taker_overlooks_orphan -DM9"
  echo "remote fails states M10_orphan_not_asked_again -DM10 $stranger"
  echo "remote fails states M11_taker_overlooks_purge -DM11"
  echo "remote fails states M12_closed_list_not_forwarded -DM12 $move"
  echo "remote fails states M13_purge_in_a_second_change -DM13 $reuse"
  echo "remote fails states M14_last_freer_does_not_take_bit -DM14"
  echo "remote fails states M15_made_full_with_frees_unseen -DM15"
  echo "remote fails states M16_detach_overlooks_empty_page -DM16"
  echo "remote fails states M17_FULL_page_without_heap -DM17"
  echo "remote fails states M18_abandoned_without_a_look_after -DM18"
  echo "remote fails states M19_closed_before_pages_leave -DM19"
  echo "remote fails states M20_life_not_compared -DM20 $stranger"
  echo "remote fails states M21_heap_not_asked_again -DM21 $stranger"
  echo "shared holds states basic"
  echo "shared holds states more_of_each -DWEAKS=2 -DINCS=0"
  echo "shared holds states handed_back_and_forth -DGIVES=2"
  echo "shared holds states finalizer -DFINALIZER=1"
  echo "shared holds states ends_of_counts -DBANDS"
  echo "shared holds cycles every_run_ends"
  echo "shared fails states M1_last_decrement_in_two_steps -DM1"
  echo "shared fails states M2_freed_before_weak_is_cleared -DM2"
  echo "shared fails states M3_upgrade_of_a_dead_one -DM3"
  echo "shared fails states M4_upgrade_without_the_lock -DM4"
  echo "shared fails states M5_weak_shared_without_target -DM5"
  echo "shared fails states M6_immortal_at_the_very_end -DM6 -DBANDS"
  echo "shared fails states M7_finalizer_before_weak_is_cleared -DM7 -DFINALIZER=1"
  echo "shared fails states M8_table_without_a_reference -DM8"
  echo "shared fails states M9_second_weak_reference -DM9"
  echo "shared fails states M10_bit_read_before_the_decrement -DM10"
  echo "stacks holds states basic"
  echo "stacks holds states larger_drains -DUNITS=2"
  echo "stacks holds states one_stack,_more_pushes -DSTACKS=1 -DPUSHES=2"
  echo "stacks holds states after_a_fork -DFORKED -DUNITS=2 -DDRAINS=1"
  echo "stacks holds cycles every_run_ends"
  echo "stacks fails states M1_hook_before_push -DM1"
  echo "stacks fails states M2_claim_of_who_is_gone -DM2 $forked"
  echo "stacks fails states M3_claim_in_two_steps -DM3"
  echo "stacks fails cycles M4_drainer_waits_for_another -DM4"
  echo "stacks fails states M5_list_of_who_is_gone -DM5 $forked"
  echo "stacks fails states M6_pending_read_before_claim -DM6"
  echo "stacks fails states M7_list_taken_in_two_steps -DM7 -DSTACKS=1"
  echo "stacks fails states M8_claim_given_up_early -DM8"
  echo "stacks fails states M9_rest_left_without_hook -DM9"
  echo "stacks fails states M10_claimed_is_taken_for_empty -DM10 -DSTACKS=1 -DUNITS=3"
  echo "stacks fails states M11_no_look_after_clearing -DM11"
}

configurations | xargs -d '\n' -P "$jobs" -I{} bash -c 'check $1' _ {} | tee "$dir/all"
total=$(configurations | wc -l)
passed=$(grep -c ' ok$' "$dir/all")
echo "$passed passed, $((total - passed)) failed"
[ "$passed" = "$total" ]
