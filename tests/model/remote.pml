/* remote.pml: frees by other threads and what becomes of a page, as in alloc/remote.c and in the
** end and the deletion of a heap (alloc/heap.c). run.sh checks it; README.md says what it covers.
**
** A step has at most one access that another thread can see. A loop whose new word follows from
** the old word alone is one step: a compare-and-swap that fails has no effect, and one that
** succeeds took the word that was there. Where more is read between the load and the swap
** (delayed_push, abandoned_release), each access is a step. The owner's own fields are read and
** written for free. A list of blocks is the set of blocks whose `loc` is REMOTE, and the head in
** the word: only the head is compared, and a push needs only the head to be right.
**
** Spin's memory is sequentially consistent. What must be asked of C11 so that this is enough:
**   seq_cst          the word against the abandoned bit (store buffering): page_abandon sets the
**                    bit, then reads the word; the last freer changes the word, then takes the
**                    bit. The same for a bit that is put back.
**   release/acquire  page->heap, and the word or heap->delayed that is changed after it (who reads
**                    the word or HEAP_CLOSED first finds the page->heap that goes with it);
**                    delayed_next, and the push; block->next, and the free; what was done to a
**                    page, and the swap that drops a hold, and the release of the page.
**   relaxed          page->heap where only "is it mine?" is asked.
**
** Every task has a bounded number of lives (heaps), grants, pages and moves, so every run is
** finite: a cycle is a thread that waits for another. Each M<n> is a mistake that must be found. */

#ifndef PAGES
#define PAGES 1 /* slots; a released one is used again */
#endif
#ifndef BLOCKS
#define BLOCKS 2 /* of a page, at most 3, and at most 4 in all */
#endif
#ifdef SINGLE /* pages with one block: always full, no abandoned bit */
#undef BLOCKS
#define BLOCKS 1
#endif
#define ALL (PAGES * BLOCKS)

/* Of tasks 1 and 2. Task 3 only frees. */
#ifndef LIVES1
#define LIVES1 1
#endif
#ifndef LIVES2
#define LIVES2 1
#endif
#ifndef GRANTS1 /* blocks handed out */
#define GRANTS1 2
#endif
#ifndef GRANTS2
#define GRANTS2 1
#endif
#ifndef NEWS1 /* pages made */
#define NEWS1 1
#endif
#ifndef NEWS2
#define NEWS2 0
#endif
#ifndef MOVES1 /* times that its pages move to another heap and the first is deleted */
#define MOVES1 0
#endif
#ifndef HEAPS /* records, used again when their heap has ended */
#define HEAPS 2
#endif

/* ---- The word: {head, count, mode, holds} ---------------------------------------------------- */

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
#define FREED(p, w) (MODE(w) == NORMAL -> COUNT(w) : used[p] - COUNT(w))

/* ---- Pages, heaps, blocks -------------------------------------------------------------------- */

#define NIL 0 /* heaps, and pages on lists, are counted from 1 */
#define CLOSED 255
short word[PAGES];
byte heap[PAGES];      /* page->heap */
byte next[PAGES];      /* page->delayed_next */
byte delayed[HEAPS+1]; /* heap->delayed is this list, or CLOSED, */
byte life[HEAPS+1];    /* and this, in one word */
bit bit_set[PAGES];    /* in chunk->abandoned */
byte used[PAGES];      /* the owner's, as the next two */
byte owner[PAGES];     /* a task, or 0 */
byte place[PAGES];
#define NOWHERE 0
#define QUEUE 1
#define FULL_LIST 2
#define DETACHED 3

byte loc[ALL]; /* NONE, the task that has the block, FREE or REMOTE */
#define NONE 0
#define FREE 4
#define REMOTE 5
#define LIVE(i) (loc[i] >= 1 && loc[i] <= 3)

/* For the assertions. */
bit released[PAGES];
byte right[PAGES];   /* threads that have the page in hand because of LISTED */
byte lists[PAGES];   /* delayed lists that the page is on */
byte purging[PAGES]; /* threads that return its memory */
bit in_use[HEAPS+1]; /* heap records */
byte was_in[PAGES*(HEAPS+1)]; /* the record's life in which the page was in that heap, or 0 */

inline set_heap(to_heap) {
  heap[p] = to_heap;
  was_in[p * (HEAPS + 1) + to_heap] = life[to_heap]
}

#define IS(p, i, what) (loc[(p) * BLOCKS + i] == (what))
#if BLOCKS == 1
#define NUMBER(p, what) (IS(p, 0, what))
#elif BLOCKS == 2
#define NUMBER(p, what) (IS(p, 0, what) + IS(p, 1, what))
#else
#define NUMBER(p, what) (IS(p, 0, what) + IS(p, 1, what) + IS(p, 2, what))
#endif
#define LIVE_IN(p) (NUMBER(p, 1) + NUMBER(p, 2) + NUMBER(p, 3))

inline set_all(from, to) {
  b = p * BLOCKS;
  do
  :: b < (p + 1) * BLOCKS ->
     if
     :: loc[b] == from -> loc[b] = to
     :: else
     fi;
     b++
  :: else -> break
  od;
  b = 0
}

/* Any block whose `loc` is what, and its page. */
#define HAS(t) (NUMBER(0, t) > 0 || (PAGES > 1 && NUMBER(PAGES - 1, t) > 0))
inline pick(what) {
  if
  :: loc[0] == what -> b = 0
#if ALL > 1
  :: loc[1] == what -> b = 1
#endif
#if ALL > 2
  :: loc[2] == what -> b = 2
#endif
#if ALL > 3
  :: loc[3] == what -> b = 3
#endif
  fi;
  p = b / BLOCKS
}

/* What holds of a page after every change of its word. */
inline check() {
  assert(!released[p]);
  assert(right[p] + lists[p] == ((word[p] & LISTED) != 0));
  assert(purging[p] == ((word[p] & PURGING) != 0));
  assert(MODE(word[p]) == ORPHAN || FREED(p, word[p]) == NUMBER(p, REMOTE));
  assert(MODE(word[p]) == ORPHAN || used[p] == LIVE_IN(p) + NUMBER(p, REMOTE));
  assert(MODE(word[p]) != ORPHAN || (LIVE_IN(p) == 0 && (word[p] & HOLDS) != 0));
  assert(MODE(word[p]) != FULL || heap[p] != NIL);
  /* a free that the owner of a full page is never told of */
  assert(MODE(word[p]) != FULL || NUMBER(p, REMOTE) == 0 || (word[p] & LISTED));
  /* nobody uses memory that is being returned */
  assert(!(word[p] & PURGING) || NUMBER(p, REMOTE) == BLOCKS)
}

/* ---- Releasing ------------------------------------------------------------------------------- */

inline release() {
  d_step {
    assert(!released[p] && LIVE_IN(p) == 0);
    assert((word[p] & HOLDS) == 0 && right[p] + lists[p] + purging[p] == 0);
    assert(!bit_set[p] && place[p] == NOWHERE);
    released[p] = 1;
    set_all(FREE, NONE);
    set_all(REMOTE, NONE);
    used[p] = 0
  }
}

#ifdef M1 /* a page is released though it is LISTED */
#define DROP_HOLDS PURGING
#else
#define DROP_HOLDS HOLDS
#endif

inline page_drop() {
  d_step {
    assert(!released[p]);
    owner[p] = 0;
    place[p] = NOWHERE;
    go = (word[p] & DROP_HOLDS) == 0;
    if
    :: !go -> word[p] = WITH(word[p], ORPHAN, 0, 0); check()
    :: else
    fi
  }
  if
  :: go -> release()
  :: else
  fi
}

/* After the memory was returned: gives up PURGING. */
inline hold_end() {
  d_step {
    go = MODE(word[p]) == ORPHAN && (word[p] & HOLDS) == PURGING;
    assert(!released[p] && (word[p] & PURGING) && NUMBER(p, REMOTE) == BLOCKS);
    word[p] = word[p] & ~PURGING;
    purging[p]--;
    if
    :: !go -> check()
    :: else
    fi
  }
#ifndef M2 /* the end of a purge does not look for the orphan */
  if
  :: go -> release()
  :: else
  fi
#endif
}

/* The page may be another by now, in the same slot. */
inline abandoned_release() {
  do
  :: w = word[p];
     if
#ifndef M3 /* the bit is taken whatever the word */
     :: MODE(w) != ABANDONED || COUNT(w) != 0 -> break
#endif
     :: else
     fi;
     d_step { go = bit_set[p]; bit_set[p] = 0 }
     if
     :: !go -> break
     :: else
     fi;
     d_step { w = word[p]; assert(!released[p] && MODE(w) == ABANDONED) }
     if
#ifdef M4 /* a taken bit is trusted: the word is not read again */
     :: 1 -> page_drop(); break
#else
     :: COUNT(w) == 0 -> page_drop(); break
#endif
     :: else -> d_step { assert(!bit_set[p] && !released[p]); bit_set[p] = 1 }
     fi
#ifdef M5 /* after a bit was put back the word is not read again */
     ; break
#endif
  od
}

/* ---- The delayed list ------------------------------------------------------------------------ */

#define PUSH 0
#define AGAIN 1
#define GIVE_UP 2
#define RELEASE 3
#define DONE 4

#ifdef M6 /* an orphan's page->heap is looked at */
#define GIVES_UP(w, h) (h == NIL && MODE(w) != FULL)
#elif defined(M7) /* a page without a heap is given up even if FULL */
#define GIVES_UP(w, h) (MODE(w) == ORPHAN || h == NIL)
#else
#define GIVES_UP(w, h) (MODE(w) == ORPHAN || (h == NIL && MODE(w) != FULL))
#endif

/* The caller has LISTED in hand. */
inline delayed_push() {
  do
  ::
     d_step { w = word[p]; assert(!released[p] && (w & LISTED) && right[p] == 1) }
     d_step {
       h = heap[p];
       step = (GIVES_UP(w, h) -> GIVE_UP : (h == NIL -> AGAIN : PUSH))
     }
     if
     :: step == GIVE_UP ->
        d_step {
          if
#ifdef M8 /* the hold is given up whatever the word is now */
          :: 1 ->
             w = word[p];
#else
          :: word[p] == w ->
#endif
             step = (MODE(w) == ORPHAN && (w & HOLDS) == LISTED -> RELEASE : DONE);
             word[p] = w & ~LISTED;
             right[p]--;
             if
             :: step == DONE -> check()
             :: else
             fi
#ifndef M8
          :: else -> step = AGAIN
#endif
          fi
        }
     :: step == PUSH ->
        d_step {
          d = delayed[h];
          l = life[h];
          /* else it waits for the owner */
          assert(d != CLOSED || heap[p] != h || MODE(word[p]) == ORPHAN);
          step = (d == CLOSED -> AGAIN : PUSH)
        }
#ifndef M21 /* whose page it is, is not asked again */
        if
        :: step == PUSH && heap[p] != h -> step = AGAIN
        :: else
        fi;
#endif
#ifndef M10 /* nor whether it is an orphan, whose page->heap means nothing */
        if
        :: step == PUSH && MODE(word[p]) == ORPHAN -> step = AGAIN
        :: else
        fi;
#endif
        if
        :: step == PUSH ->
           d_step {
             if
#ifdef M20 /* the life is not part of the word */
             :: delayed[h] == d ->
#else
             :: delayed[h] == d && life[h] == l ->
#endif
                /* no page is on the list of a stranger */
                assert(was_in[p * (HEAPS + 1) + h] == l && life[h] == l);
                next[p] = d;
                delayed[h] = p + 1;
                right[p]--;
                lists[p]++;
                step = DONE;
                check()
             :: else -> step = AGAIN
             fi
           }
        :: else
        fi
     :: else
     fi;
     atomic { w = 0; h = 0; d = 0; l = 0 }
     if
     :: step != AGAIN -> break
     :: else
     fi
  od;
  if
  :: step == RELEASE -> release()
  :: else
  fi;
  step = 0
}

/* The first page of the list `rest` is in hand. */
inline list_first() {
  d_step {
    p = rest - 1;
    rest = next[p];
    next[p] = NIL;
    assert(lists[p] == 1 && right[p] == 0);
    lists[p]--;
    right[p]++
  }
}

/* The blocks that others freed are the owner's. */
inline blocks_back() {
  used[p] = used[p] - NUMBER(p, REMOTE);
  set_all(REMOTE, FREE)
}

#ifdef M9 /* an orphan is handled as a page of the heap */
#define IS_ORPHAN(w) 0
#else
#define IS_ORPHAN(w) (MODE(w) == ORPHAN)
#endif
#ifdef M11 /* the owner takes back a page that is being purged */
#define IS_PURGED(w) 0
#else
#define IS_PURGED(w) (w & PURGING)
#endif

/* The look at the word is one step with the swap: that a page is ours does not change but by us. An
** empty page that goes back to its queue may be dropped from there at once. */
inline delayed_handle() {
  d_step {
    w = word[p];
    go = 0;
    step = (IS_ORPHAN(w) -> PUSH : DONE);
    if
    :: step == PUSH
    :: else ->
       assert(owner[p] == me && heap[p] == mine);
       right[p]--;
       if
       :: IS_PURGED(w) ->
          word[p] = WITH(w & ~LISTED, ORPHAN, 0, 0);
          place[p] = NOWHERE;
          owner[p] = 0
       :: else ->
          if
          :: MODE(w) == FULL ->
             assert(place[p] == FULL_LIST);
             word[p] = WITH(w & ~LISTED, NORMAL, 0, 0);
             blocks_back();
             place[p] = QUEUE;
#ifdef SINGLE
             go = 1
#endif
          :: else -> word[p] = w & ~LISTED
          fi
       fi;
       check()
    fi;
    w = 0
  }
  if
  :: step == PUSH -> delayed_push()
#ifdef SINGLE
  :: go -> page_drop()
#endif
  :: else
  fi;
  step = 0
}

inline take_delayed() {
  d_step { rest = delayed[mine]; assert(rest != CLOSED); delayed[mine] = NIL }
  do
  :: rest != NIL -> list_first(); delayed_handle()
  :: else -> break
  od;
  p = 0
}

inline remote_close() {
  d_step { rest = delayed[mine]; assert(rest != CLOSED); delayed[mine] = CLOSED }
  do
  :: rest != NIL ->
     list_first();
#ifdef M12 /* the hold ends, whosever page it is */
     d_step {
       w = word[p];
       step = (MODE(w) == ORPHAN && (w & HOLDS) == LISTED -> RELEASE : DONE);
       word[p] = w & ~LISTED;
       right[p]--;
       if
       :: step == DONE -> check()
       :: else
       fi;
       w = 0
     }
     if
     :: step == RELEASE -> release()
     :: else
     fi;
     step = 0
#else
     delayed_push()
#endif
  :: else -> break
  od;
  p = 0
}

/* ---- Free by another thread ------------------------------------------------------------------ */

#define PURGE 1
#define LAST 2

/* Block b of page p. Whether the owner counts as idle is any answer. */
inline remote_free() {
  atomic {
    w = word[p];
    if
    :: MODE(w) == FULL && COUNT(w) == 1 -> todo = PURGE
    :: 1 -> todo = 0
    fi;
    d_step {
      assert(loc[b] == me && !released[p] && MODE(w) != ORPHAN);
      assert(MODE(w) == NORMAL || COUNT(w) > 0);
      go = 0;
      loc[b] = REMOTE;
      b = b % BLOCKS + 1;
      if
      :: MODE(w) == NORMAL -> word[p] = WITH(w, NORMAL, b, COUNT(w) + 1)
      :: MODE(w) == ABANDONED ->
         word[p] = WITH(w, ABANDONED, b, COUNT(w) - 1);
         if
         :: COUNT(w) == 1 -> todo = LAST
         :: else
         fi
      :: else ->
         word[p] = WITH(w, FULL, b, COUNT(w) - 1) | LISTED;
         go = (w & LISTED) == 0;
         right[p] = right[p] + go;
#ifndef M13 /* the purge begins with a second change of the word */
         if
         :: todo == PURGE -> word[p] = WITH(w, FULL, 0, 0) | HOLDS; purging[p]++
         :: else
         fi
#endif
      fi;
      check();
      b = 0;
      w = 0
    }
  }
  if
  :: go -> delayed_push()
  :: else
  fi;
#ifdef M13
  d_step {
    if
    :: todo == PURGE && MODE(word[p]) == FULL && COUNT(word[p]) == 0 ->
       word[p] = WITH(word[p], FULL, 0, 0) | PURGING;
       purging[p]++;
       check()
    :: else -> todo = (todo == PURGE -> 0 : todo)
    fi
  }
#endif
  if
  :: todo == PURGE -> hold_end()
#if defined(SINGLE) || defined(M14) /* M14: the last freer does not ask who has the bit */
  :: todo == LAST -> page_drop()
#else
  :: todo == LAST -> abandoned_release()
#endif
  :: else
  fi;
  atomic { w = 0; go = 0; todo = 0; p = 0 }
}

/* ---- The owner ------------------------------------------------------------------------------- */

#define MINE(P, where) (owner[P] == me && place[P] == where)

/* The page's first free block goes to any task. */
inline grant() {
  used[p]++;
  b = p * BLOCKS;
  do
  :: loc[b] == FREE -> break
  :: else -> b++
  od;
  if
  :: loc[b] = 1
  :: loc[b] = 2
  :: loc[b] = 3
  fi;
  check();
  b = 0
}

inline forget_heaps() {
  h = 0;
  do
  :: h <= HEAPS -> was_in[p * (HEAPS + 1) + h] = 0; h++
  :: else -> break
  od;
  h = 0
}

inline page_new() {
  released[p] = 0;
  word[p] = 0;
  forget_heaps();
  set_heap(mine);
  owner[p] = me;
  place[p] = QUEUE;
  set_all(NONE, FREE);
  news--;
#ifdef SINGLE
  word[p] = WITH(0, FULL, 0, 1);
  place[p] = FULL_LIST;
  grant()
#endif
}

/* An adopter has taken the bit. */
inline remote_adopt() {
  d_step { set_heap(mine) }
  d_step {
    owner[p] = me;
    place[p] = QUEUE;
    w = word[p];
    assert(!released[p] && MODE(w) == ABANDONED);
    word[p] = WITH(w, NORMAL, HEAD(w), used[p] - COUNT(w));
    check();
    w = 0
  }
}

#ifdef M15 /* what others freed is not looked for */
#define NONE_FREED(w) 1
#else
#define NONE_FREED(w) (HEAD(w) == 0)
#endif

/* A page of the queue gives a block, is collected, is made full, or goes if it is empty. */
#define QUEUE_STEPS(P)                                                                           \
  :: atomic { MINE(P, QUEUE) && grants > 0 && NUMBER(P, FREE) > 0 ->                             \
       grants--; p = P; grant(); p = 0                                                           \
     }                                                                                           \
  :: d_step {                                                                                    \
       MINE(P, QUEUE) && HEAD(word[P]) != 0 ->                                                   \
       p = P; word[p] = WITH(word[p], NORMAL, 0, 0); blocks_back(); check(); p = 0               \
     }                                                                                           \
  :: d_step {                                                                                    \
       MINE(P, QUEUE) && NUMBER(P, FREE) == 0 && NONE_FREED(word[P]) ->                          \
       p = P; word[p] = WITH(word[p], FULL, 0, used[p]); place[p] = FULL_LIST; check(); p = 0    \
     }                                                                                           \
  :: d_step { MINE(P, QUEUE) && used[P] == 0 -> p = P } page_drop(); atomic { p = 0; go = 0 }

/* The slot's abandoned page is adopted, or a new page is made in it. */
#define SLOT_STEPS(P)                                                                            \
  :: d_step { mine != NIL && bit_set[P] -> bit_set[P] = 0; p = P } remote_adopt(); p = 0         \
  :: atomic { mine != NIL && released[P] && news > 0 -> p = P; page_new(); p = 0 }

/* The task's own block b: one of a full page brings that back to its queue. */
inline free_local() {
  d_step {
#ifndef SINGLE
    if
    :: place[p] == FULL_LIST ->
       w = word[p];
       word[p] = WITH(w, NORMAL, HEAD(w), used[p] - COUNT(w));
       place[p] = QUEUE;
       check();
       w = 0
    :: else
    fi;
#endif
    used[p]--;
    loc[b] = FREE;
    b = 0
  }
#ifdef SINGLE
  page_drop();
#endif
  atomic { p = 0; go = 0 }
}

#ifdef M16 /* only a purge that has not ended is seen; the links are gone after it, too */
#define ALL_FREED(w) (w & PURGING)
#else
#define ALL_FREED(w) (COUNT(w) == 0)
#endif

/* A full page is made NORMAL first, since FULL promises a heap; one without live blocks is an
** orphan at once: it is LISTED, so somebody will release it. */
inline remote_detach() {
#ifndef M17 /* it is not */
  d_step {
    w = word[p];
    if
    :: MODE(w) == FULL && ALL_FREED(w) ->
       word[p] = WITH(w, ORPHAN, 0, 0);
       owner[p] = 0;
       place[p] = NOWHERE;
       check()
    :: MODE(w) == FULL && !ALL_FREED(w) ->
       word[p] = WITH(w, NORMAL, HEAD(w), used[p] - COUNT(w));
       check()
    :: else
    fi;
    w = 0
  }
#endif
  if
  :: owner[p] == me -> d_step { assert(MODE(word[p]) != FULL); heap[p] = NIL; place[p] = DETACHED }
  :: else
  fi
}

inline page_abandon() {
  d_step {
    owner[p] = 0;
    place[p] = NOWHERE;
    w = word[p];
    word[p] = WITH(w, ABANDONED, HEAD(w), used[p] - COUNT(w));
    check();
    go = used[p] == COUNT(w);
    w = 0
  }
#ifdef SINGLE
  if
  :: go -> page_drop()
  :: else
  fi
#else
  d_step { assert(!bit_set[p] && !released[p]); bit_set[p] = 1; go = 0 }
#ifndef M18 /* the word is not read again after the bit was set */
  abandoned_release()
#endif
#endif
}

inline heap_new(h) {
  h = 1;
  do
  :: in_use[h] -> h++
  :: else -> break
  od;
  assert(delayed[h] == CLOSED);
  in_use[h] = 1;
  life[h]++;
  delayed[h] = NIL
}

#define NEXT_PAGE                 \
  if                              \
  :: p + 1 < PAGES -> p++         \
  :: else -> p = 0; break         \
  fi

/* Every page is led away: to heap `to`, or nowhere. */
inline lead_away() {
  do
  :: if
     :: owner[p] == me && to != NIL -> d_step { set_heap(to) }
     :: owner[p] == me && to == NIL -> remote_detach()
     :: else
     fi;
     NEXT_PAGE
  od
}

/* The heap's end, or its deletion. */
inline heap_end() {
#ifdef M19 /* the list is closed while pages still lead to it */
  remote_close();
  lead_away();
#else
  lead_away();
  remote_close();
#endif
  do
  :: to == NIL ->
     if
     :: owner[p] == me && used[p] > 0 -> page_abandon()
     :: owner[p] == me && used[p] == 0 -> page_drop()
     :: else
     fi;
     NEXT_PAGE
  :: else -> break
  od;
  atomic {
    in_use[mine] = 0;
    was_in[mine] = 0;
#if PAGES > 1
    was_in[HEAPS + 1 + mine] = 0;
#endif
    mine = to;
    to = NIL;
    w = 0;
    go = 0
  }
}

proctype task(byte me; byte lives; byte grants; byte news; byte moves) {
  byte p, b, h, d, l, rest, mine, to, step, todo;
  short w;
  bit go;
end:
  do
  :: d_step { mine == NIL && lives > 0 -> lives--; heap_new(mine) }
#ifndef SINGLE
  QUEUE_STEPS(0)
#if PAGES > 1
  QUEUE_STEPS(1)
#endif
#endif
  SLOT_STEPS(0)
#if PAGES > 1
  SLOT_STEPS(1)
#endif
  :: mine != NIL && delayed[mine] != NIL -> take_delayed()
  :: atomic { HAS(me) -> pick(me) }
     if
     :: owner[p] == me -> free_local()
     :: else -> remote_free()
     fi
  :: mine != NIL -> heap_end()
#if MOVES1 > 0
  :: d_step { mine != NIL && moves > 0 -> moves--; heap_new(to) } heap_end()
#endif
  od
}

/* At the end, whatever the run was, nothing is left. */
init {
  byte i;
  d_step {
    do
    :: i < PAGES -> released[i] = 1; i++
    :: else -> break
    od;
    i = 1;
    do
    :: i <= HEAPS -> delayed[i] = CLOSED; i++
    :: else -> break
    od;
    i = 0
  }
  atomic {
    run task(1, LIVES1, GRANTS1, NEWS1, MOVES1);
    run task(2, LIVES2, GRANTS2, NEWS2, 0);
    run task(3, 0, 0, 0, 0)
  }
  timeout;
  d_step {
    do
    :: i < PAGES -> assert(released[i] && !bit_set[i]); i++
    :: else -> break
    od;
    i = 1;
    do
    :: i <= HEAPS -> assert(!in_use[i] && delayed[i] == CLOSED); i++
    :: else -> break
    od;
    i = 0
  }
}
