/* stacks.pml: where shared garbage waits, as in rc/shared.c. run.sh checks it; README.md says what it covers.
**
** A step has at most one access that another thread can see. A list is the set of its objects: only heads are
** compared, a push needs only the head to be right, and who takes a list takes all of it. A compare-and-swap that
** fails has no effect, so its loop is one step.
**
** Spin's memory is sequentially consistent. What must be asked of C11 so that this is enough:
**   release/acquire  the push, and the exchange that takes the list; `claimed` given up, and claimed: for `pending`
**                    and what it heads; the hook set, and cleared: for `pushed` and `pending`, which are read after it.
**   read-modify-writes of the hook alone, so that who clears it acquires from all settings before, not the last.
**
** Every thread has a bounded number of pushes and drains, and a drain a bounded number of steps, so every run is
** finite: a cycle is a thread that waits for another. Each M<n> is a mistake that must be found. */

#ifndef STACKS
#define STACKS 2
#endif
#ifndef UNITS /* that a drain spends: one for each object */
#define UNITS 1
#endif
#ifndef DRAINS /* of each of two threads */
#define DRAINS 2
#endif
#ifndef PUSHES /* of each of two threads */
#define PUSHES 1
#endif
#define OBJECTS (2 * PUSHES + 1) /* the last one is held by another, and pushed when that dies */

#define NOBODY 0
#define MINE 1
#define GONE 2 /* a thread that this process does not have: it was forked */

byte pushed[STACKS];
byte pending[STACKS];
byte claimed[STACKS];
bit hook;

bit freed[OBJECTS + 1];
byte broken; /* objects whose links nobody may follow */
byte running;

inline set_hook() { hook = 1 }

inline push(o, s) {
#ifdef M1 /* the hook is set before the push */
  set_hook();
  pushed[s] = pushed[s] | (1 << o)
#else
  pushed[s] = pushed[s] | (1 << o);
  set_hook()
#endif
}

proctype pusher(byte first, s) {
  byte n;
  do
  :: n < PUSHES -> push(first + n, s); n++
  :: else -> break
  od;
  n = 0;
  running--
}

/* Any object of the list. The first one's death makes garbage of the last one. */
inline free_one() {
  d_step {
    i = 0;
    do
    :: list & (1 << i) -> break
    :: else -> i++
    od;
    assert(!freed[i] && !(broken & (1 << i)));
    freed[i] = 1;
    list = list & ~(1 << i);
    if
    :: i == 0 -> list = list | (1 << (OBJECTS - 1))
    :: else
    fi;
    i = 0;
    spent++
  }
}

#ifdef FORKED
#ifdef M2 /* what a thread had claimed that is gone stays so */
#define MAY_CLAIM(c) (c == NOBODY)
#else
#define MAY_CLAIM(c) (c != MINE)
#endif
#else
#define MAY_CLAIM(c) (c == NOBODY)
#endif

inline claim() {
#ifdef M3 /* a look, then a store */
  go = MAY_CLAIM(claimed[s]);
  if
  :: go -> claimed[s] = MINE
  :: else
  fi
#elif defined(M4) /* a drainer waits for the one before */
  do
  :: d_step { MAY_CLAIM(claimed[s]) -> claimed[s] = MINE; go = 1 } break
  :: claimed[s] == MINE -> skip
  od
#else
  d_step {
    go = MAY_CLAIM(claimed[s]);
    was = claimed[s];
    if
    :: go -> claimed[s] = MINE
    :: else
    fi
  }
#ifndef M5 /* the list of who is gone is trusted */
  if
  :: go && was == GONE -> pending[s] = 0
  :: else
  fi;
  was = NOBODY
#endif
#endif
}

inline stack_drain() {
#ifdef M6 /* `pending` is read before the claim */
  list = pending[s];
  claim();
#else
  go = pushed[s] != 0;
  if
  :: !go -> go = pending[s] != 0
  :: else
  fi;
  if
  :: go -> claim()
  :: else
  fi;
  if
  :: go -> list = pending[s]
  :: else
  fi;
#endif
  do
  :: go && spent < units ->
     if
     :: list == 0 && !taken ->
        taken = 1;
#ifdef M7 /* the list is taken by a load and a store */
        list = pushed[s];
        pushed[s] = 0
#else
        d_step { list = pushed[s]; pushed[s] = 0 }
#endif
     :: else
     fi;
     if
     :: list == 0 -> break
     :: else -> free_one()
     fi
  :: else -> break
  od;
  if
  :: go ->
#ifdef M8 /* the claim is given up before the rest is back */
     claimed[s] = NOBODY;
     pending[s] = list;
#else
     pending[s] = list;
     claimed[s] = NOBODY;
#endif
#ifndef M9 /* who leaves something does not set the hook */
     if
     :: list != 0 -> set_hook()
     :: else
     fi
#endif
  :: else
  fi;
  d_step { list = 0; go = 0; taken = 0 }
}

inline all_empty() {
  do
  :: i < STACKS ->
     go = pushed[i] == 0;
     if
     :: go -> go = pending[i] == 0
     :: else
     fi;
#ifdef M10 /* a claimed stack is its drainer's affair */
     if
     :: !go -> go = claimed[i] != NOBODY
     :: else
     fi;
#endif
     if
     :: go -> i++
     :: else -> break
     fi
  :: else -> break
  od;
  atomic { go = i == STACKS; i = 0 }
}

inline hook_clear() {
  all_empty();
  if
  :: go ->
     hook = 0;
#ifndef M11 /* nor does it look again */
     all_empty();
     if
     :: !go -> set_hook()
     :: else
     fi
#endif
  :: else
  fi;
  go = 0
}

inline shared_drain(first) {
  do
  :: hook == 0 -> break
  :: else ->
     n = 0;
     do
     :: n < STACKS && spent < units -> s = (first + n) % STACKS; stack_drain(); n++
     :: else -> break
     od;
     if
     :: spent < units -> hook_clear()
     :: else
     fi;
     break
  od;
  atomic { n = 0; s = 0; spent = 0 }
}

proctype drainer(byte first) {
  byte drains, n, s, i, spent, units, list, was;
  bit go, taken;
  units = UNITS;
  do
  :: drains < DRAINS -> drains++; shared_drain(first)
  :: else -> break
  od;
  running--
}

/* At the end a last one drains, if the hook tells it to, and nothing is left. */
init {
  byte n, s, i, spent, units, list, was;
  bit go, taken;
  d_step {
#ifdef FORKED /* while a thread drained the first stack, and had pushed nothing else */
    claimed[0] = GONE;
    pending[0] = 1 << OBJECTS;
    broken = 1 << OBJECTS;
    hook = 1;
#endif
    running = 4
  }
  atomic {
    run pusher(0, 0);
    run pusher(PUSHES, STACKS - 1);
    run drainer(0);
    run drainer(STACKS - 1)
  }
  running == 0;
  units = 100;
  shared_drain(0);
  do
  :: i < OBJECTS -> assert(freed[i]); i++
  :: else -> break
  od;
  assert(hook == 0)
}
