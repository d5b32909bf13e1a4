/* shared.pml: the life of one object that several threads count, and of its weak references, as in rc/shared.c,
** rc/last.c and rc/share.c. run.sh checks it; README.md says what it covers.
**
** A step has at most one access that another thread can see; what the lock guards alone is one step. Thread 1 has
** the object for itself, makes it shared, and hands references on. A count that is not shared is read and
** written in two steps, as it is by a plain increment.
**
** Spin's memory is sequentially consistent. What must be asked of C11 so that this is enough:
**   release/acquire  the last decrement, after all others, and after the bit that says that there is a weak reference.
**   relaxed          a new reference, from one that its maker has.
**
** Every thread has a bounded number of operations, so every run is finite. Each M<n> is a mistake that must be found. */

#ifndef INCS /* of each thread */
#define INCS 1
#endif
#ifndef WEAKS /* weak references that each makes, */
#define WEAKS 1
#endif
#ifndef UPGRADES /* and looks through */
#define UPGRADES 1
#endif
#ifndef GIVES /* references that each hands on */
#define GIVES 1
#endif
#ifndef FIRST /* references of thread 1 */
#define FIRST 2
#endif
#define THREADS 2
#define OTHER(t) (3 - (t))

/* Magnitudes of shared counts, as few as show the bands. */
#ifdef BANDS
#define STICKY -2
#define BOTH -4
#ifdef M6 /* an immortal object's count is the end of the range */
#define IMMORTAL -7
#else
#define IMMORTAL -6
#endif
#define LEAST -7
#else
#define STICKY -50
#define BOTH -80
#define IMMORTAL -90
#define LEAST -100
#endif

#ifndef FINALIZER
#define FINALIZER 0
#endif
#define CELLS 4
#define NIL 0 /* cells are counted from 1 */

short count;
bit has_cell;            /* KIND_WEAK */
bit finalized, queued;   /* queued: with a reference */
bit freed, immortal;
byte refs[THREADS + 1];
byte weak[THREADS + 1];  /* one at most, of the cell */

byte table;              /* the target's cell */
short cell_count[CELLS + 1];
bit key[CELLS + 1];      /* the target's address, or NULL */
bit cell_freed[CELLS + 1];
byte cells;              /* made so far */
bit locked;
bit published;

#define ALL_REFS (refs[1] + refs[2])

inline lock() { atomic { !locked -> locked = 1 } }

/* ---- The object's count ---------------------------------------------------------------------------- */

inline inc() {
  d_step { assert(!freed && refs[me] > 0); v = count }
  if
  :: v > 0 -> d_step { assert(!freed); count = v + 1; refs[me]++ }
  :: v < 0 && v > BOTH -> d_step { assert(!freed && count > LEAST); count--; refs[me]++ }
  :: v <= BOTH -> refs[me]++
  fi;
  v = 0
}

inline cell_dec(c) {
  d_step {
    assert(!cell_freed[c] && cell_count[c] > 0);
    cell_count[c]--;
    if
    :: cell_count[c] == 0 -> cell_freed[c] = 1
    :: else
    fi
  }
}

inline weak_clear() {
  if
  :: had_cell ->
     atomic {
       !locked ->
       c = table;
       assert(c != NIL && !cell_freed[c]);
       table = NIL;
       key[c] = 0;
       has_cell = 0
     }
     cell_dec(c);
     c = NIL
  :: else
  fi
}

inline ends() {
#ifdef M7 /* it waits for its finalizer before the weak reference is cleared */
  had_cell = has_cell;
  if
  :: FINALIZER && !finalized -> d_step { finalized = 1; count = (published -> -1 : 1); queued = 1 }
  :: else
  fi;
  weak_clear();
  go = !queued;
#else
#ifndef M10 /* the bit is read before the last decrement */
  had_cell = has_cell;
#endif
#ifndef M2 /* it is freed before its weak reference is cleared */
  weak_clear();
#endif
  go = 1;
  if
  :: FINALIZER && !finalized -> d_step { finalized = 1; count = (published -> -1 : 1); queued = 1; go = 0 }
  :: else
  fi;
#endif
  if
  :: go -> d_step { assert(!freed && ALL_REFS == 0 && !queued); freed = 1 }
  :: else
  fi;
#ifdef M2
  weak_clear();
#endif
  d_step { go = 0; had_cell = 0 }
}

inline dec() {
#ifdef M10
  had_cell = has_cell;
#endif
  d_step { assert(!freed && refs[me] > 0); v = count }
  go = 0;
  if
  :: v > 1 -> d_step { assert(!freed); count = v - 1; refs[me]-- }
  :: v == 1 -> d_step { count = 0; refs[me]--; go = 1 }
  :: v < 0 && v <= STICKY -> refs[me]--
  :: v < 0 && v > STICKY ->
#ifdef M1 /* a load and a store */
     d_step { v = count; assert(!freed) }
     d_step { assert(!freed); count = v + 1; refs[me]--; go = v == -1 }
#else
     d_step { assert(!freed); go = count == -1; count++; refs[me]-- }
#endif
  fi;
  v = 0;
  if
  :: go -> ends()
  :: else
  fi
}

/* ---- Weak references --------------------------------------------------------------------------------- */

/* Takes one if there is a cell. */
#define FIND                                                             \
  if                                                                     \
  :: has_cell -> c = table; assert(!cell_freed[c]); cell_count[c]++      \
  :: else                                                                \
  fi

inline weak_make() {
  atomic { !locked -> assert(!freed); FIND }
  if
  :: c == NIL ->
     d_step { cells++; mine = cells; cell_count[mine] = 2; key[mine] = 1 }
     atomic {
       !locked ->
       assert(!freed);
#ifndef M9 /* another thread may have been faster */
       FIND;
#endif
       if
       :: c == NIL -> table = mine; has_cell = 1; c = mine
       :: else -> cell_count[mine] = 0; cell_freed[mine] = 1
       fi;
       mine = NIL
     }
#ifdef M8 /* the table has no reference of its own */
     cell_count[c]--;
#endif
  :: else
  fi;
  d_step {
    if
    :: weak[me] == NIL -> weak[me] = c; c = NIL
    :: else
    fi
  }
  if
  :: c != NIL -> cell_dec(c); c = NIL
  :: else
  fi
}

inline upgrade() {
#ifndef M4 /* without the lock */
  lock();
#endif
  d_step { assert(!cell_freed[weak[me]]); go = key[weak[me]] }
  do
  :: go ->
     d_step { assert(!freed); v = count }
     if
#ifndef M3 /* it is not asked whether it is too late */
     :: v == 0 -> go = 0
#endif
     :: v < 0 && v <= BOTH -> refs[me]++; go = 0
     :: else ->
        d_step {
          assert(!freed);
          if
          :: count == v ->
             count = (v < 0 || v == 0 -> v - 1 : v + 1);
             refs[me]++;
             go = 0
          :: else
          fi
        }
     fi
  :: else -> break
  od;
#ifndef M4
  locked = 0;
#endif
  v = 0
}

/* ---- Publishing ----------------------------------------------------------------------------------------- */

/* With its weak reference, whichever is asked for. Nobody sees it before the end, so it is one step. */
inline share() {
  d_step {
    published = 1;
#ifdef M5 /* a weak reference is shared without its target */
    if
    :: weak[me] == NIL -> count = -count
    :: else
    fi
#else
    count = -count
#endif
  }
}

proctype thread(byte me; byte incs; byte weaks; byte upgrades; byte gives) {
  byte c, mine;
  short v;
  bit go, had_cell;
end:
  do
  :: d_step { incs > 0 && refs[me] > 0 -> incs-- } inc()
  :: refs[me] > 0 -> dec()
  :: d_step { weaks > 0 && refs[me] > 0 -> weaks-- } weak_make()
  :: d_step { upgrades > 0 && weak[me] != NIL -> upgrades-- } upgrade()
  :: weak[me] != NIL -> d_step { c = weak[me]; weak[me] = NIL } cell_dec(c); c = NIL
  :: me == 1 && !published && refs[me] > 0 -> share()
  :: d_step { published && count < 0 && gives > 0 && refs[me] > 0 -> gives--; refs[me]--; refs[OTHER(me)]++ }
  :: d_step {
       published && gives > 0 && weak[me] != NIL && weak[OTHER(me)] == NIL ->
       gives--;
       weak[OTHER(me)] = weak[me];
       cell_count[weak[me]]++
     }
#ifdef BANDS
  :: d_step { published && !immortal && refs[me] > 0 -> immortal = 1; count = IMMORTAL }
#endif
#if FINALIZER
  :: d_step { queued && (me == 1 || published) -> assert(ALL_REFS == 0); queued = 0; refs[me]++ }
#endif
  od
}

/* At the end, whatever the run was, it is freed unless it may not be. */
init {
  d_step { count = FIRST; refs[1] = FIRST }
  atomic {
    run thread(1, INCS, WEAKS, UPGRADES, GIVES);
    run thread(2, INCS, WEAKS, UPGRADES, GIVES)
  }
  timeout;
  d_step {
    assert(ALL_REFS == 0 && !queued);
#ifndef BANDS
    assert(freed);
#endif
    assert(!(freed && immortal));
    assert(!freed || table == NIL);
    do
    :: cells > 0 -> assert(!freed || cell_freed[cells]); cells--
    :: else -> break
    od
  }
}
