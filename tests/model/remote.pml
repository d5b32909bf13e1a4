/* remote.pml: frees by other threads and what becomes of a page, as in alloc/remote.c; run.sh checks it.
**
** One statement between semicolons, or one atomic block, has at most one access that another thread can
** see, and a loop whose new word follows from the old word alone is one step: a compare-and-swap that fails
** has no effect, and one that succeeds took the word that was there. Where more is read between the load
** and the swap (delayed_push, abandoned_release), each access is a step. Reads of the owner's own fields
** are free. A list of blocks is the set of blocks whose `loc` is REMOTE, plus the head in the word: only
** the head is compared, and a push only needs the head to be right.
**
** Spin's memory is sequentially consistent. What C11 must be asked for:
**   seq_cst          the word against the abandoned bit (store buffering): page_abandon sets the bit, then
**                    reads the word; the last freer changes the word, then takes the bit. The same for a
**                    bit that was put back. Both reads and both changes: four accesses.
**   release/acquire  page->heap, then the swap of the word or the exchange of heap->delayed that publishes
**                    it (read in the opposite order: word or CLOSED first, then page->heap);
**                    delayed_next, then the push; block->next, then the free; everything done to a page,
**                    then the swap that drops a hold, then the release.
**   relaxed          page->heap where only "is it mine?" is asked; heap->delayed where NULL ends the look.
**
** Every task has a bounded number of grants and of pages, so that every run is finite: a cycle would be a
** thread that waits for another. Bounds and roles come from run.sh with -D. */

#ifndef PAGES
#define PAGES 1
#endif
#ifndef BLOCKS /* of a page */
#define BLOCKS 2
#endif
#ifndef GRANTS1 /* by task 1, and how many pages it may ask for */
#define GRANTS1 3
#endif
#ifndef NEWS1
#define NEWS1 1
#endif
#ifndef GRANTS2
#define GRANTS2 1
#endif
#ifndef NEWS2
#define NEWS2 0
#endif
#define ALL (PAGES * BLOCKS)

/* ---- The word: {head, count, mode, holds} ------------------------------------------------------------- */

#define NORMAL 0
#define FULL 1
#define ABANDONED 2
#define ORPHAN 3
#define LISTED 256
#define PURGING 512
#define HOLDS (LISTED | PURGING)
#define HEAD(w) ((w) & 7)
#define COUNT(w) (((w) >> 3) & 7)
#define MODE(w) (((w) >> 6) & 3)
#define WITH(w, mode, head, count) (((w) & HOLDS) | (head) | ((count) << 3) | ((mode) << 6))

/* The count of FULL and ABANDONED is that of live blocks. In mutants it is that of freed ones. */
#ifdef M_FREED_COUNT
#define STARTS(freed) (freed)
#define FREED(w) COUNT(w)
#else
#define STARTS(freed) (used[p] - (freed))
#define FREED(w) (MODE(w) == NORMAL -> COUNT(w) : used[p] - COUNT(w))
#endif

/* ---- Pages, heaps, blocks ----------------------------------------------------------------------------- */

#define NIL 0 /* pages and heaps are counted from 1 where NIL is possible */
#define CLOSED 255
short word[PAGES];
byte heap[PAGES];     /* page->heap */
byte next[PAGES];     /* page->delayed_next */
byte delayed[3];      /* heap->delayed; index 0 is unused */
bit bit_set[PAGES];   /* in chunk->abandoned */
byte used[PAGES];     /* the owner's, as the next */
byte place[PAGES];    /* NOWHERE, or in the owner's QUEUE or FULL_LIST */
#define NOWHERE 0
#define QUEUE 1
#define FULL_LIST 2

/* For the assertions. */
byte capacity[PAGES];
byte owner[PAGES];    /* task, or 0 */
bit released[PAGES];
byte right[PAGES];    /* threads with the page in hand because of LISTED */
byte lists[PAGES];    /* delayed lists that the page is on */
byte purging[PAGES];  /* threads that purge it */
bit opened[3];
bit ended[4];         /* tasks that hold no block and get none */
byte busy;            /* threads within a free */

byte loc[ALL]; /* NONE, the task that has the block, FREE or REMOTE */
#define NONE 0
#define FREE 4
#define REMOTE 5
#define LIVE(i) (loc[i] >= 1 && loc[i] <= 3)
#define OF(p, i) ((p) * BLOCKS + (i))
#define COUNT1(p, what) (loc[OF(p, 0)] == (what))
#if BLOCKS == 1
#define NUMBER(p, what) COUNT1(p, what)
#define NEW_LOC(p, what) loc[OF(p, 0)] = what
#define MOVE_LOC(p, from, to) loc[OF(p, 0)] = (loc[OF(p, 0)] == from -> to : loc[OF(p, 0)])
#define LIVE_IN(p) LIVE(OF(p, 0))
#else
#define NUMBER(p, what) (COUNT1(p, what) + (loc[OF(p, 1)] == (what)))
#define NEW_LOC(p, what) loc[OF(p, 0)] = what; loc[OF(p, 1)] = (capacity[p] > 1 -> what : NONE)
#define MOVE_LOC(p, from, to)                                    \
  loc[OF(p, 0)] = (loc[OF(p, 0)] == from -> to : loc[OF(p, 0)]); \
  loc[OF(p, 1)] = (loc[OF(p, 1)] == from -> to : loc[OF(p, 1)])
#define LIVE_IN(p) (LIVE(OF(p, 0)) || LIVE(OF(p, 1)))
#endif
#if ALL == 1
#define HAS(t) (loc[0] == (t))
#define LIVE_ALL LIVE(0)
#elif ALL == 2
#define HAS(t) (loc[0] == (t) || loc[1] == (t))
#define LIVE_ALL (LIVE(0) || LIVE(1))
#else
#define HAS(t) (loc[0] == (t) || loc[1] == (t) || loc[2] == (t) || loc[3] == (t))
#define LIVE_ALL (LIVE(0) || LIVE(1) || LIVE(2) || LIVE(3))
#endif

/* Takes a block of which loc is `what`, any one. */
inline pick(what) {
  if
  :: loc[0] == what -> b = 0
#if ALL > 1
  :: loc[1] == what -> b = 1
#endif
#if ALL > 2
  :: loc[2] == what -> b = 2
  :: loc[3] == what -> b = 3
#endif
  fi;
  p = b / BLOCKS
}

/* What holds after every change of a page's word. */
inline check() {
  assert(!released[p]);
  assert(right[p] + lists[p] == ((word[p] & LISTED) != 0));
  assert(purging[p] == ((word[p] & PURGING) != 0));
  assert(MODE(word[p]) == ORPHAN || FREED(word[p]) == NUMBER(p, REMOTE));
  assert(MODE(word[p]) != FULL || heap[p] != NIL);
  assert(!(word[p] & PURGING) || MODE(word[p]) == ORPHAN || NUMBER(p, REMOTE) == capacity[p])
}

/* ---- Releasing ------------------------------------------------------------------------------------------ */

inline release() {
  atomic {
    assert(!released[p]);
    assert(!LIVE_IN(p));
    assert((word[p] & HOLDS) == 0 && right[p] + lists[p] + purging[p] == 0);
    assert(!bit_set[p] && place[p] == NOWHERE);
    released[p] = 1;
    NEW_LOC(p, NONE);
    owner[p] = 0;
    used[p] = 0;
    capacity[p] = 0
  }
}

#ifdef M2 /* released though LISTED */
#define DROP_HOLDS PURGING
#else
#define DROP_HOLDS HOLDS
#endif

inline page_drop() {
  atomic {
    assert(!released[p] && place[p] == NOWHERE);
    owner[p] = 0;
    if
    :: word[p] & DROP_HOLDS -> word[p] = WITH(word[p], ORPHAN, 0, 0); go = 0
    :: else -> go = 1
    fi
  }
  if
  :: go -> release()
  :: else
  fi
}

/* After madvise: gives up PURGING. */
inline hold_end() {
  atomic {
    assert(!released[p] && NUMBER(p, REMOTE) == capacity[p]);
    go = MODE(word[p]) == ORPHAN && (word[p] & HOLDS) == PURGING;
    word[p] = word[p] & ~PURGING;
    purging[p]--;
    check()
  }
  if
#ifndef M6 /* the end of a purge does not see the orphan */
  :: go -> release()
#endif
  :: else
  fi
}

/* The page may be another's by now, so each look is a step, and a bit that was taken by mistake goes back. */
inline abandoned_release() {
  do
  :: atomic {
       w = word[p];
       if
#ifdef M10 /* takes the bit without looking at the word, before and after */
       :: 0 -> break
#else
       :: MODE(w) != ABANDONED || COUNT(w) != STARTS(used[p]) -> break
#endif
       :: else
       fi
     }
     atomic {
       if
       :: !bit_set[p] -> break
       :: else -> bit_set[p] = 0
       fi
     }
     atomic {
       w = word[p];
       assert(!released[p]);
       assert(MODE(w) == ABANDONED);
       if
#ifdef M10
       :: 1 -> go = 1
#elif defined(M11) /* looks before, and not after */
       :: 1 -> go = 1
#else
       :: go = COUNT(w) == STARTS(used[p])
#endif
       fi
     }
     if
     :: go -> page_drop(); break
     :: else -> atomic { assert(!bit_set[p]); bit_set[p] = 1 }
     fi
  od;
  go = 0
}

/* ---- The delayed list -------------------------------------------------------------------------------------- */

/* The caller holds LISTED. */
inline delayed_push() {
  do
  ::
#ifdef M12 /* page->heap is read before the mode */
     h = heap[p];
     atomic { w = word[p]; assert(!released[p] && (w & LISTED)) }
     atomic {
#else
     atomic { w = word[p]; assert(!released[p] && (w & LISTED)) }
     atomic {
       h = heap[p];
#endif
       if
#ifdef M16 /* an orphan's page->heap is looked at */
       :: h == NIL && MODE(w) != FULL -> go = 1
#elif defined(M3) /* gives up whatever the mode */
       :: MODE(w) == ORPHAN || h == NIL -> go = 1
#else
       :: MODE(w) == ORPHAN || (h == NIL && MODE(w) != FULL) -> go = 1
#endif
       :: else -> go = 0; assert(h != NIL || MODE(word[p]) != FULL) /* else it waits for the owner */
       fi
     }
     if
     :: go ->
        atomic {
          if
#ifdef M3
          :: 1 -> w = word[p];
#else
          :: word[p] == w ->
#endif
             go = MODE(w) == ORPHAN && (w & HOLDS) == LISTED;
             word[p] = w & ~LISTED;
             right[p]--;
             check();
#ifdef M3
             assert(MODE(w) != FULL || FREED(w) == 0) /* a lost notification */
#endif
             h = NIL
#ifndef M3
          :: else -> h = CLOSED; go = 0
#endif
          fi
        }
        if
        :: h == CLOSED
        :: h == NIL && go -> release(); break
        :: else -> break
        fi
     :: !go && h == NIL
     :: else ->
        atomic {
          d = delayed[h];
          assert(d != CLOSED || heap[p] != h || MODE(word[p]) == ORPHAN) /* else it waits for the owner */
        }
        if
        :: d == CLOSED
        :: else ->
           atomic {
             next[p] = d;
             if
             :: delayed[h] == d ->
                delayed[h] = p + 1;
                right[p]--;
                lists[p]++;
                check();
                break
             :: else
             fi
           }
        fi
     fi
  od;
  h = 0; d = 0; w = 0; go = 0
}

/* One page of the list `rest` is in hand. */
inline list_first() {
  atomic {
    p = rest - 1;
    rest = next[p];
    assert(lists[p] == 1 && right[p] == 0);
    lists[p]--;
    right[p]++
  }
}

/* The blocks others freed are the owner's now. A purged page's list is lost, but then all blocks are free. */
inline blocks_back() {
  used[p] = used[p] - NUMBER(p, REMOTE);
  MOVE_LOC(p, REMOTE, FREE)
}

/* Steps 1 and 2 of C, the look at the word and at page->heap, are one with the swap: that a page is ours
** does not change but by us. */
inline delayed_handle() {
  atomic {
    w = word[p];
    if
#ifdef M5 /* no look whether the page is this heap's */
    :: MODE(w) == ORPHAN -> go = 1
#elif defined(M15) /* no look for orphans: page->heap may still lead here */
    :: heap[p] != mine -> go = 1
#else
    :: MODE(w) == ORPHAN || heap[p] != mine -> go = 1
#endif
    :: else ->
       go = 0;
       assert(owner[p] == me);
       right[p]--;
       if
       :: w & PURGING ->
          word[p] = WITH(w & ~LISTED, ORPHAN, 0, 0);
          place[p] = NOWHERE;
          owner[p] = 0
       :: else ->
          if
          :: MODE(w) == FULL ->
             assert(place[p] == FULL_LIST);
             word[p] = 0;
             place[p] = QUEUE;
             blocks_back()
          :: else -> word[p] = w & ~LISTED
          fi
       fi;
       check()
    fi
  }
  if
  :: go -> delayed_push()
  :: else
  fi
}

inline take_delayed() {
  atomic { rest = delayed[mine]; assert(rest != CLOSED); delayed[mine] = NIL }
  do
  :: rest != NIL -> list_first(); delayed_handle()
  :: else -> break
  od;
  w = 0
}

inline remote_close() {
  atomic { rest = delayed[mine]; delayed[mine] = CLOSED }
  do
  :: rest != NIL ->
     list_first();
#ifdef M13 /* ends the hold whosever page it is */
     atomic {
       w = word[p];
       word[p] = w & ~LISTED;
       right[p]--;
       check();
       assert(MODE(w) != FULL || FREED(w) == 0); /* a lost notification */
       go = MODE(w) == ORPHAN && (w & HOLDS) == LISTED
     }
     if
     :: go -> release()
     :: else
     fi
#else
     delayed_push()
#endif
  :: else -> break
  od
}

/* ---- Free by another thread ---------------------------------------------------------------------------------- */

inline remote_free() {
  busy++;
#ifdef M9 /* page->used is read between the load and the swap */
  do
  :: atomic { w = word[p]; h = used[p] }
     atomic {
       assert(loc[b] == me);
       if
       :: word[p] == w ->
#else
  {
    {
     atomic {
       assert(loc[b] == me);
       w = word[p];
       h = used[p];
       if
       :: 1 ->
#endif
          assert(MODE(w) != ORPHAN);
          loc[b] = REMOTE;
          if
          :: MODE(w) == NORMAL ->
             last = 0;
             go = 0;
             word[p] = WITH(w, NORMAL, b % BLOCKS + 1, COUNT(w) + 1)
          :: else ->
#ifdef M_FREED_COUNT
             last = COUNT(w) + 1 == h;
             word[p] = WITH(w, MODE(w), b % BLOCKS + 1, COUNT(w) + 1);
#else
             assert(COUNT(w) > 0);
             last = COUNT(w) == 1;
             word[p] = WITH(w, MODE(w), b % BLOCKS + 1, COUNT(w) - 1);
#endif
             go = 0;
             if
             :: MODE(w) == FULL ->
                if
                :: !(w & LISTED) -> word[p] = word[p] | LISTED; right[p]++; go = 1
                :: else
                fi;
#ifndef M8
                if
                :: last -> word[p] = WITH(word[p], FULL, 0, STARTS(used[p])) | PURGING; purging[p]++
                :: last = 0
                fi
#endif
             :: else
             fi
          fi;
          d = MODE(w);
          h = 0;
          check();
#ifdef M9
          break
       :: else
#endif
       fi
     }
#ifdef M9
  od;
#else
    }
  };
#endif
#ifdef M8 /* the purge begins with a second swap, from the word that the first one left */
  atomic { w = WITH(LISTED, FULL, b % BLOCKS + 1, STARTS(capacity[p])) }
#endif
  b = 0;
  if
  :: go ->
     byte mode = d;
     delayed_push();
     d = mode;
     mode = 0
  :: else
  fi;
#ifdef M8
  atomic {
    if
    :: last && d == FULL && word[p] == w -> word[p] = WITH(w, FULL, 0, COUNT(w)) | PURGING; purging[p]++; check()
    :: else -> last = 0
    fi
  }
#endif
  if
  :: last && d == FULL -> hold_end()
#ifdef SINGLE
  :: last && d == ABANDONED -> page_drop()
#else
  :: last && d == ABANDONED -> abandoned_release()
#endif
  :: else
  fi;
  atomic { w = 0; d = 0; last = 0; go = 0; p = 0; busy-- }
}
