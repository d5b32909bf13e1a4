/* shared.c: graphs that threads make, share, hand on, look through weak references at and drop, while others drop
** the last reference; some are made in tasks of runtime/, which end. Threads end while garbage waits, and the next
** ones free it. What must hold: whoever has a reference finds what was stored; a graph that was handed on
** without being shared is unique still; every finalizer runs once, though it may revive its object; at the end
** nothing lives. */
#include "rc/rc.h"
#include "runtime/runtime.h"
#include "tests/tools.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  THREADS = 4,
  LIVES_PER_UNIT = 10, /* threads that are started, for each unit of the amount */
  STEPS = 400,         /* of a life */
  SLOTS = 24,
  SMALL_GRAPH = 40,
  LARGE_GRAPH = 2000,
  FINALIZED_MAX = 1 << 22,
};

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "shared: %s\n", what);
  exit(1);
}

/* ---- Objects ----------------------------------------------------------------------------------- */

/* Nodes are {left, right, number, check}; an object with a finalizer has the words {number, check}. */
enum { LEFT, RIGHT, NUMBER, CHECK, FIELDS };
static _Atomic int64_t numbers, finalizable;
static _Atomic uint8_t finalized[FINALIZED_MAX];

/* Each owns the reference in it: shared objects, weak references to such, graphs of no thread. */
typedef _Atomic(rc_object*) slot_t;
static slot_t objects[SLOTS], weaks[SLOTS], boxes[SLOTS];

static rc_object* swap(slot_t* slots, rc_object* o, uint64_t* state) {
  return atomic_exchange_explicit(&slots[rnd_from(state, SLOTS)], o, memory_order_acq_rel);
}
static void drop(rc_object* o) {
  if (o != NULL) rc_dec(o);
}

static rc_word check_of(rc_word number) { return rc_int(rc_to_int(number) * 7919 + 3); }

static void look_at(rc_object* o) {
  size_t i = rc_kind(o) == RC_TYPED ? 0 : NUMBER;
  if (rc_get(o, i + 1) != check_of(rc_get(o, i))) fail("an object was overwritten");
}

/* Runs in any thread; now and then it revives the object. */
static void finalize(rc_object* o) {
  int64_t number = rc_to_int(rc_get(o, 0));
  look_at(o);
  if (atomic_fetch_add_explicit(&finalized[number], 1, memory_order_relaxed) != 0)
    fail("a finalizer ran twice");
  if (number % 5 != 0 || !rc_is_shared(o)) return;
  rc_inc(o);
  drop(atomic_exchange_explicit(&objects[number % SLOTS], o, memory_order_acq_rel));
}
static const rc_type finalized_type = {.name = "finalized", .words = 2, .finalize = finalize};

static rc_object* finalized_new(void) {
  rc_object* o = rc_typed(0, &finalized_type);
  int64_t number = atomic_fetch_add_explicit(&finalizable, 1, memory_order_relaxed);
  if (o == NULL) fail("no memory for an object");
  if (number >= FINALIZED_MAX) fail("more finalizers than can be counted");
  rc_set(o, 0, rc_int(number));
  rc_set(o, 1, check_of(rc_int(number)));
  return o;
}

static rc_object* node_new(rc_word left, rc_word right) {
  rc_object* o = rc_alloc(1, FIELDS);
  if (o == NULL) fail("no memory for a node");
  rc_word number = rc_int(atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed));
  rc_init(o, LEFT, left);
  rc_init(o, RIGHT, right);
  rc_init(o, NUMBER, number);
  rc_init(o, CHECK, check_of(number));
  return o;
}

static size_t random_size(uint64_t* state) {
  return 1 + rnd_from(state, rnd_from(state, 60) == 0 ? LARGE_GRAPH : SMALL_GRAPH);
}

/* A list whose nodes hold, on the left, an older one, something with a finalizer, or nothing. */
static rc_object* graph_new(uint64_t* state, bool plain) {
  rc_object *o = NULL, *older = NULL;
  for (size_t n = random_size(state); n > 0; n--) {
    rc_word left = RC_NIL;
    if (!plain && rnd_from(state, 10) == 0) {
      left = rc_from(finalized_new());
    } else if (older != NULL && rnd_from(state, 3) == 0) {
      rc_inc(older);
      left = rc_from(older);
    }
    o = node_new(left, o != NULL ? rc_from(o) : RC_NIL);
    if (older == NULL || rnd_from(state, 5) == 0) older = o;
  }
  return o;
}

/* From an owned object, along some path, to an owned one behind it. */
static rc_object* walk(rc_object* o, uint64_t* state) {
  for (;;) {
    look_at(o);
    if (rc_kind(o) == RC_TYPED || rnd_from(state, 8) == 0) return o;
    rc_word next = rc_get(o, rnd_from(state, 4) == 0 ? LEFT : RIGHT);
    if (rc_is_int(next)) return o;
    rc_inc_word(next);
    rc_dec(o);
    o = rc_to(next);
  }
}

/* ---- What a thread does --------------------------------------------------------------------------- */

static rc_object* share(rc_object* o, uint64_t* state) {
  if (rnd_from(state, 2) == 0) {
    o = rc_share(o);
  } else {
    rc_sharing* s = rc_share_begin(o);
    if (s == NULL) fail("no memory to share");
    while (!rc_share_step(s, 1 + rnd_from(state, 50))) drop(rc_bytes(0, 10));
    o = rc_share_end(s);
  }
  if (o == NULL || !rc_is_shared(o)) fail("an object was not shared");
  return o;
}

/* Sometimes a weak reference was made before, and is handed out first. */
static void publish(rc_object* o, uint64_t* state) {
  rc_object* w = rnd_from(state, 3) == 0 ? rc_weak(o) : NULL;
  if (w != NULL && rnd_from(state, 2) == 0) {
    if (rc_share(w) != w || !rc_is_shared(o)) fail("a weak reference was shared alone");
    drop(swap(weaks, w, state));
    w = NULL;
  }
  o = share(o, state);
  if (w != NULL) drop(swap(weaks, w, state));
  drop(swap(objects, o, state));
}

static void use_object(uint64_t* state) {
  rc_object* o = swap(objects, NULL, state);
  if (o == NULL) return;
  if (rnd_from(state, 2) == 0) {
    rc_inc(o);
    drop(swap(objects, o, state));
  }
  o = walk(o, state);
  rc_object* w = rnd_from(state, 2) == 0 ? rc_weak(o) : NULL;
  if (w != NULL) drop(swap(weaks, w, state));
  if (rnd_from(state, 2) == 0)
    drop(o);
  else
    drop(swap(objects, o, state));
}

static void use_weak(uint64_t* state) {
  rc_object* w = swap(weaks, NULL, state);
  if (w == NULL) return;
  rc_object* o = rc_upgrade(w);
  if (o != NULL && !rc_is_shared(o)) fail("a weak reference led to another thread's object");
  if (o != NULL) drop(walk(o, state));
  drop(swap(weaks, w, state));
}

/* What nobody has but the box: its nodes were counted plainly by whoever filled it. */
static void use_box(uint64_t* state) {
  rc_object* o = swap(boxes, graph_new(state, false), state);
  if (o == NULL) return;
  look_at(o);
  if (!rc_is_unique(o)) fail("a graph that was handed on is not unique");
  if (rnd_from(state, 2) == 0)
    publish(o, state);
  else
    drop(o);
}

static void set_pace(uint64_t* state) {
  rc_pacing pacing = {.pace = 1 + (uint32_t)rnd_from(state, 3),
                      .quantum = 256,
                      .debt_limit = RC_DEBT_AUTO,
                      .deterministic = rnd_from(state, 2) == 0};
  if (!rc_set_pacing(&pacing)) fail("the pace cannot be set");
}

/* What comes into a task and leaves it. */
static rc_object* take_in(slot_t* slots, uint64_t* state) {
  rc_object* o = swap(slots, NULL, state);
  return o != NULL ? rc_adopt(o) : NULL;
}
static void hand_out(slot_t* slots, rc_object* o, uint64_t* state) {
  rc_object* other = swap(slots, rc_share(o), state);
  if (other != NULL) rc_dec(rc_adopt(other));
}

/* One that the task has: a reference in an object of its own, which lives, waits or is gone when the task ends;
** one in a variable alone; one that is handed out again. */
static void hold_one(uint64_t* state) {
  rc_object *o = take_in(objects, state), *w = take_in(weaks, state);
  if (w != NULL && rnd_from(state, 2) == 0) (void)rc_upgrade(w);
  if (o == NULL) return;
  o = walk(o, state);
  if (rnd_from(state, 2) == 0) hand_out(weaks, rc_weak(o), state);
  rc_inc(o);
  rc_object* holder = node_new(rc_from(o), RC_NIL);
  if (rnd_from(state, 3) == 0) drop(holder);
  if (rnd_from(state, 3) == 0) hand_out(objects, o, state);
}

static void end_task(rt_task* t) {
  if (t != NULL && rt_task_end(t) != 0) fail("a task could not be ended");
}

/* Sometimes one that another thread has left. */
static _Atomic(rt_task*) parked[SLOTS];
static rt_task* task_of(uint64_t* state) {
  rt_task* t =
      atomic_exchange_explicit(&parked[rnd_from(state, SLOTS)], NULL, memory_order_acq_rel);
  if (t != NULL) return t;
  return rt_task_new(&(rt_config){.measure_pauses = rnd_from(state, 2) == 0,
                                  .repeatable_addresses = rnd_from(state, 8) == 0});
}

/* Shares a copy out of a task, which holds some shared objects meanwhile. */
static void use_task(uint64_t* state) {
  rt_task* t = task_of(state);
  if (t == NULL || rt_enter(t) != 0) fail("no task");
  set_pace(state);
  for (uint64_t n = rnd_from(state, 40); n > 0; n--) hold_one(state);
  rc_object *held = take_in(objects, state), *o = graph_new(state, true);
  if (held != NULL) o = node_new(rc_from(held), rc_from(o));
  rc_object* w = rc_weak(o);
  rc_inc(o);
  rc_object* copy = share(o, state);
  if (copy == o || rc_upgrade(w) != o) fail("the original was not left alone");
  rc_dec(o), rc_dec(o);
  rc_drain(rnd_from(state, 4) == 0 ? SIZE_MAX : 100);
  rt_leave();
  if (rnd_from(state, 2) == 0)
    t = atomic_exchange_explicit(&parked[rnd_from(state, SLOTS)], t, memory_order_acq_rel);
  end_task(t);
  look_at(copy);
  drop(swap(objects, copy, state));
}

static void step(uint64_t* state) {
  switch (rnd_from(state, 10)) {
    case 0:
    case 1:
      publish(graph_new(state, false), state);
      break;
    case 2:
    case 3:
    case 4:
      use_object(state);
      break;
    case 5:
    case 6:
      use_weak(state);
      break;
    case 7:
      use_box(state);
      break;
    case 8:
      if (rnd_from(state, 5) == 0) use_task(state);
      break;
    default:
      rc_poll(rnd_from(state, 5));
      rc_drain(rnd_from(state, 100));
  }
}

static void* live(void* arg) {
  uint64_t state = ((uintptr_t)arg + 1) * 0x9e3779b97f4a7c15u;
  set_pace(&state);
  for (int i = 0; i < STEPS; i++) step(&state);
  return NULL;
}

/* ---- The end ---------------------------------------------------------------------------------------- */

static void clear(slot_t* slots) {
  for (int i = 0; i < SLOTS; i++)
    drop(atomic_exchange_explicit(&slots[i], NULL, memory_order_acq_rel));
}

/* Finalizers revive objects, which are in slots then. */
static void free_all(void) {
  for (int i = 0; i < SLOTS; i++) end_task(atomic_exchange(&parked[i], NULL));
  do {
    clear(objects), clear(weaks), clear(boxes);
    while (rc_drain(SIZE_MAX) > 0) continue;
  } while (rc_poll(SIZE_MAX) > 0);
}

int main(int argc, char** argv) {
  uintptr_t lives = (argc > 1 ? strtoul(argv[1], NULL, 10) : 100) * LIVES_PER_UNIT;
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < lives; i++) {
    if (i >= THREADS) pthread_join(threads[i % THREADS], NULL);
    if (pthread_create(&threads[i % THREADS], NULL, live, (void*)i) != 0) fail("no thread");
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  free_all();
  int64_t n = atomic_load_explicit(&finalizable, memory_order_relaxed);
  for (int64_t i = 0; i < n; i++)
    if (atomic_load_explicit(&finalized[i], memory_order_relaxed) != 1) fail("no finalizer ran");
  if (!nothing_lives()) fail("not all freed");
  return 0;
}
