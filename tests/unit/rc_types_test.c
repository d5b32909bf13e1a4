/* rc_types_test.c: types with traces and finalizers, closures, arrays of numbers, weak references, and the
** deterministic mode. */
#include <errno.h>
#include <pthread.h>

#include "rc_tools.h"

/* ---- Typed objects ----------------------------------------------------------------------------- */

static const rc_type record = {.name = "record", .words = 3, .bytes = 13};

static void test_record(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  uint64_t ticks = rt_ticks(t);
  rc_object* o = rc_typed(7, &record);
  assert_int_equal(rt_ticks(t) - ticks, 1);
  assert_int_equal(rt_bytes(t), 16 + 3 * 8 + 16);
  assert_true(rc_kind(o) == RC_TYPED && o->tag == 7 && rc_type_of(o) == &record);
  assert_int_equal(rc_length(o), 3);
  for (size_t i = 0; i < 3; i++) assert_int_equal(rc_get(o, i), RC_NIL);
  for (size_t i = 0; i < 13; i++) assert_int_equal(rc_data(o)[i], 0);
  memset(rc_data(o), 0xff, 13);
  rc_object* held[3];
  for (size_t i = 0; i < 3; i++) rc_init(o, i, rc_from(held[i] = list_of(100)));
  assert_ptr_equal(rc_to(rc_get(o, 2)), held[2]);
  errno = 0;
  assert_null(rc_make_unique(o));
  assert_int_equal(errno, EINVAL);
  rc_dec(o);
  end_drained(t);
}

/* A large one is released in steps, from the word where it stopped. */
static void test_many_words(void** state) {
  (void)state;
  static const rc_type large = {.name = "large", .words = 1000};
  rt_task* t = begin(NULL);
  rc_object* o = rc_typed(0, &large);
  for (size_t i = 0; i < 1000; i++) rc_init(o, i, rc_from(leaf((int64_t)i)));
  rc_dec(o);
  assert_int_equal(counters().dec_units_max, DEC_UNITS);
  assert_int_equal(rc_drain(SIZE_MAX), 1001 + 2 * 1000 - DEC_UNITS);
  assert_nothing_left(t);
  end(t);
}

/* Holds n objects in memory of its own, from an address in its bytes; `shown` counts what the trace gave. */
enum { HELD_MAX = 5000 };
typedef struct outside {
  size_t n;
  rc_word* words;
} outside;
static size_t shown, calls;

static outside* outside_of(rc_object* o) { return (outside*)(void*)rc_data(o); }

static size_t outside_trace(rc_object* o, size_t* cursor, rc_word* out, size_t max) {
  outside* x = outside_of(o);
  size_t n = 0;
  while (n < max && *cursor < x->n) out[n++] = x->words[(*cursor)++];
  shown += n;
  calls++;
  return n;
}
static const rc_type traced = {.name = "traced", .bytes = sizeof(outside), .trace = outside_trace};

static void test_trace(void** state) {
  (void)state;
  static rc_word words[HELD_MAX];
  static const size_t sizes[] = {0, 1, 31, 32, 33, 34, 64, HELD_MAX};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    rt_task* t = begin(NULL);
    rc_object* o = rc_typed(0, &traced);
    *outside_of(o) = (outside){sizes[s], words};
    for (size_t i = 0; i < sizes[s]; i++)
      words[i] = i % 3 == 0 ? rc_int(1) : rc_from(i % 3 == 1 ? leaf(1) : list_of(5));
    shown = calls = 0;
    rc_dec(o);
    assert_true(counters().dec_units_max <= DEC_UNITS);
    while (rc_pending() > 0) assert_true(rc_drain(7) <= 7);
    assert_int_equal(shown, sizes[s]);
    assert_nothing_left(t);
    end(t);
  }
}

static void test_wrong_type(void** state) {
  (void)state;
  static const rc_type both = {.name = "both", .words = 1, .trace = outside_trace};
  errno = 0;
  assert_null(rc_typed(0, &both));
  assert_int_equal(errno, EINVAL);
}

/* ---- Closures, numbers ------------------------------------------------------------------------- */

static int called;
static void code(void) { called++; }

static void test_closure(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object* c = rc_closure(3, code, 2);
  assert_int_equal(rc_length(c), 3);
  rc_init(c, 1, rc_from(list_of(10)));
  rc_init(c, 2, RC_NIL);
  rc_code(c)();
  assert_int_equal(called, 1);
  rc_dec(c);
  rc_drain(SIZE_MAX);
  errno = 0;
  assert_null(rc_closure(3, code, RC_FIELDS_MAX));
  assert_int_equal(errno, EINVAL);
  assert_null(rc_closure(3, code, SIZE_MAX));
  assert_nothing_left(t);
  end(t);
}

static void test_numbers(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object* a = rc_double_array(0, 1000);
  assert_int_equal((uintptr_t)rc_doubles(a) % sizeof(double), 0);
  for (int i = 0; i < 1000; i++) rc_doubles(a)[i] = i / 3.0;
  rc_inc(a);
  rc_object* b = rc_make_unique(a);
  assert_true(a != b && memcmp(rc_doubles(a), rc_doubles(b), 8000) == 0);
  rc_dec(a);
  rc_dec(b);
  errno = 0;
  assert_null(rc_double_array(0, SIZE_MAX / 8 + 2));
  assert_int_equal(errno, EINVAL);
  assert_nothing_left(t);
  end(t);
}

/* ---- Finalizers -------------------------------------------------------------------------------- */

enum { ORDER_MAX = 1000 };
static int64_t order[ORDER_MAX];
static int finalized;
static rc_object* kept; /* what a finalizer has resurrected */

static void note_finalized(rc_object* o) { order[finalized++] = rc_to_int(rc_get(o, 0)); }
static void keep(rc_object* o) {
  note_finalized(o);
  rc_inc(o);
  kept = o;
}
static void drop_another(rc_object* o) {
  note_finalized(o);
  rc_set(o, 1, RC_NIL);
  assert_int_equal(rc_poll(10), 0); /* not from a finalizer */
}
static const rc_type plain = {.name = "plain", .words = 2, .bytes = 1, .finalize = note_finalized};
static const rc_type keeper = {.name = "keeper", .words = 2, .finalize = keep};
static const rc_type dropper = {.name = "dropper", .words = 2, .finalize = drop_another};

static rc_object* finalizable(const rc_type* type, int64_t number, rc_object* held) {
  rc_object* o = rc_typed(0, type);
  rc_init(o, 0, rc_int(number));
  rc_init(o, 1, held != NULL ? rc_from(held) : RC_NIL);
  return o;
}

/* In the order of death, once, and not before rc_poll; until then they hold what they held. */
static void test_order(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  finalized = 0;
  rc_object* o[100];
  for (int i = 0; i < 100; i++) o[i] = finalizable(&plain, i, leaf(i));
  for (int i = 0; i < 100; i++) rc_dec(o[i * 37 % 100]);
  rc_drain(SIZE_MAX);
  mi_collect(true);
  assert_int_equal(finalized, 0);
  assert_int_equal(rc_finalizers_pending(), 100);
  assert_int_equal(counters().objects, 200);
  assert_int_equal(rc_poll(0), 0);
  assert_int_equal(rc_poll(30), 30);
  assert_int_equal(rc_poll(SIZE_MAX), 70);
  for (int i = 0; i < 100; i++) assert_int_equal(order[i], i * 37 % 100);
  assert_int_equal(rc_poll(SIZE_MAX), 0);
  assert_nothing_left(t);
  end(t);
}

static void test_resurrection(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  finalized = 0;
  rc_dec(finalizable(&keeper, 5, list_of(10)));
  assert_int_equal(rc_poll(SIZE_MAX), 1);
  assert_int_equal(finalized, 1);
  assert_true(rc_is_unique(kept) && rc_length(rc_to(rc_get(kept, 1))) == 2);
  rc_dec(kept); /* without a finalizer now */
  assert_int_equal(rc_finalizers_pending(), 0);
  rc_drain(SIZE_MAX);
  assert_int_equal(finalized, 1);
  assert_nothing_left(t);
  end(t);
}

/* One holds another, in a list: each is queued when the one before is gone. Some are dropped by finalizers. */
static void test_chain(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  finalized = 0;
  rc_object* o = NULL;
  for (int i = 0; i < 100; i++) o = finalizable(i % 2 ? &dropper : &plain, i, o);
  rc_dec(o);
  size_t ran = 0;
  for (size_t n; (n = rc_poll(1)) > 0; ran += n) rc_drain(SIZE_MAX);
  assert_int_equal(ran, 100);
  for (int i = 0; i < 100; i++) assert_int_equal(order[i], 99 - i);
  end_drained(t);
}

/* They are found where dead objects are released, too, and the queue survives its thread. */
static void* leave_finalizable(void* arg) {
  rc_object* a = rc_array(0, 500, RC_NIL);
  for (size_t i = 0; i < 500; i++) rc_set(a, i, rc_from(finalizable(&plain, (int64_t)i, NULL)));
  rc_dec(a);
  return arg;
}
static void test_ended_thread(void** state) {
  (void)state;
  finalized = 0;
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, leave_finalizable, NULL), 0);
  pthread_join(thread, NULL);
  rc_drain(SIZE_MAX);
  assert_int_equal(rc_finalizers_pending(), 500);
  while (rc_poll(SIZE_MAX) > 0) rc_drain(SIZE_MAX);
  assert_int_equal(finalized, 500);
  for (int i = 0; i < 500; i++) assert_int_equal(order[i], i);
  assert_true(nothing_lives());
}

/* ---- Weak references --------------------------------------------------------------------------- */

static void test_weak(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object* o = leaf(1);
  uint64_t ticks = rt_ticks(t);
  rc_object* w = rc_weak(o);
  rc_object* again = rc_weak(o);
  assert_int_equal(rt_ticks(t) - ticks, 2);
  assert_ptr_equal(w, again);
  assert_true(rc_is_unique(o));
  rc_dec(again);
  rc_object* u = rc_upgrade(w);
  assert_ptr_equal(u, o);
  assert_false(rc_is_unique(o));
  rc_dec(u);
  rc_dec(o);
  assert_null(rc_upgrade(w));
  rc_object* other = leaf(2); /* may be where o was */
  assert_null(rc_upgrade(w));
  rc_dec(other);
  rc_dec(w);
  o = leaf(1);
  rc_dec(rc_weak(o)); /* it goes with its target */
  rc_dec(o);
  end_drained(t);
}

/* Against a model: which of many targets live. In a task and in a thread's own. */
static void weak_model(void) {
  enum { SLOTS = 300, STEPS = 20000 };
  rc_object *target[SLOTS] = {NULL}, *weak[SLOTS] = {NULL};
  bool alive[SLOTS] = {false};
  for (int step = 0; step < STEPS; step++) {
    size_t i = rnd(SLOTS);
    switch (rnd(4)) {
      case 0: /* a new target, and no weak reference yet */
        if (target[i] != NULL || weak[i] != NULL) break;
        target[i] = rnd(2) ? list_of(5) : rnd(2) ? rc_bytes(0, 10) : words_array(20);
        alive[i] = true;
        break;
      case 1:
        if (target[i] == NULL || weak[i] != NULL) break;
        weak[i] = rc_weak(target[i]);
        break;
      case 2: /* the target dies, or the weak reference goes first */
        if (target[i] == NULL) break;
        rc_dec(target[i]);
        target[i] = NULL;
        alive[i] = false;
        break;
      default:
        if (weak[i] == NULL || (alive[i] && rnd(4) != 0)) break;
        rc_dec(weak[i]);
        weak[i] = NULL;
    }
    if (weak[i] == NULL) continue;
    rc_object* o = rc_upgrade(weak[i]);
    assert_ptr_equal(o, target[i]);
    if (o != NULL) rc_dec(o);
  }
  for (size_t i = 0; i < SLOTS; i++) {
    if (weak[i] != NULL) rc_dec(weak[i]);
    if (target[i] != NULL) rc_dec(target[i]);
  }
  rc_drain(SIZE_MAX);
}
static void test_weak_model(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  weak_model();
  assert_nothing_left(t);
  end(t);
  weak_model();
  assert_true(nothing_lives());
}

/* An object whose memory is reused is gone, however that is done. */
static void test_weak_and_reuse(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int way = 0; way < 4; way++) {
    rc_object *o = leaf(1), *w = rc_weak(o), *next = NULL;
    if (way == 0) next = rc_reuse(o, 0, 1);
    if (way == 1) next = (rc_reuse)(o, 0, 1);
    if (way == 2) next = rc_reuse(rc_drop_reuse(o), 0, 1);
    if (way == 3) rc_free_known(o);
    assert_null(rc_upgrade(w));
    rc_dec(w);
    if (next == NULL) continue;
    rc_init(next, 0, RC_NIL);
    w = rc_weak(next);
    assert_ptr_equal(rc_upgrade(w), next);
    rc_dec(next);
    rc_dec(next);
    rc_dec(w);
  }
  end_drained(t);
}

static void test_weak_to_weak(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object *o = leaf(1), *w = rc_weak(o);
  errno = 0;
  assert_null(rc_weak(w));
  assert_int_equal(errno, EINVAL);
  rc_dec(o);
  rc_dec(w);
  assert_nothing_left(t);
  end(t);
}

/* The memory that a weak reference takes is paid for by draining, which clears others, even all: in a task, and
** in a thread's own, whose table has a lock. */
static void weak_while_draining(size_t dying, bool deterministic) {
  static rc_object* cells[1000];
  assert_true(rc_set_pacing(&(rc_pacing){8, QUANTUM, 0, deterministic}));
  enum { FIRST = 40 }; /* what rc_dec looks at has none */
  rc_object *before = words_array(FIRST + dying), *after[300];
  for (size_t i = 0; i < dying; i++) {
    rc_object* o = leaf(0);
    cells[i] = rc_weak(o);
    rc_set(before, FIRST + i, rc_from(o));
  }
  for (size_t i = 0; i < 300; i++) after[i] = rc_bytes(0, 100);
  rc_dec(before);
  for (size_t i = 0; i < 300; i++) {
    rc_object* w = rc_weak(after[i]);
    assert_ptr_equal(rc_upgrade(w), after[i]);
    rc_dec(after[i]);
    rc_dec(after[i]);
    assert_null(rc_upgrade(w));
    rc_dec(w);
  }
  rc_drain(SIZE_MAX);
  for (size_t i = 0; i < dying; i++) {
    assert_null(rc_upgrade(cells[i]));
    rc_dec(cells[i]);
  }
}
static void test_weak_while_draining(void** state) {
  (void)state;
  for (size_t dying = 60; dying <= 1000; dying += dying < 140 ? 1 : 47) {
    for (int deterministic = 0; deterministic < 2; deterministic++) {
      rt_task* t = begin(NULL);
      weak_while_draining(dying, deterministic);
      assert_nothing_left(t);
      end(t);
      weak_while_draining(dying, deterministic);
    }
  }
  assert_true(rc_set_pacing(&(rc_pacing){2, QUANTUM, RC_DEBT_AUTO, false}));
}

/* Children are cleared as soon as nothing refers to them, whoever held them, and before finalizers run. */
static void test_weak_children(void** state) {
  (void)state;
  enum { N = 2000 };
  static rc_object* weak[N];
  rt_task* t = begin(NULL);
  rc_object* a = rc_array(0, N, RC_NIL);
  for (size_t i = 0; i < N; i++) {
    rc_object* o = i % 2 ? finalizable(&plain, 0, NULL) : leaf(0);
    weak[i] = rc_weak(o);
    rc_set(a, i, rc_from(o));
  }
  rc_dec(a);
  rc_drain(SIZE_MAX);
  for (size_t i = 0; i < N; i++) assert_null(rc_upgrade(weak[i]));
  assert_int_equal(rc_finalizers_pending(), N / 2);
  finalized = 0;
  for (size_t n = 0; n < N / 2; finalized = 0) n += rc_poll(100);
  for (size_t i = 0; i < N; i++) rc_dec(weak[i]);
  end_drained(t);
}

static void test_no_memory(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.bytes = 1000, .grace_bytes = 1});
  rc_object* o = rc_bytes(0, 970);
  errno = 0;
  assert_null(rc_weak(o));
  assert_int_equal(errno, ENOMEM);
  assert_null(rc_typed(0, &(rc_type){.name = "large", .words = 100}));
  assert_null(rc_closure(0, code, 20));
  rc_dec(o);
  assert_nothing_left(t);
  end(t);
}

/* ---- The deterministic mode --------------------------------------------------------------------- */

/* What the program sees of deaths: after each allocation, how many finalizers wait and which weak references are
** cleared. It is the same whatever other memory is
** asked for and freed meanwhile. */
static uint64_t observe(bool noise) {
  enum { N = 3000 };
  static rc_object* weak[N];
  rt_task* t = begin(NULL);
  assert_true(rc_set_pacing(&(rc_pacing){2, QUANTUM, RC_DEBT_AUTO, true}));
  uint64_t seen = 0, moments = 0;
  rc_object* chain = NULL;
  for (size_t i = 0; i < N; i++) {
    chain = finalizable(&plain, (int64_t)i, chain);
    weak[i] = rc_weak(chain);
    rc_object* o = list_of(3);
    rc_set(o, 0, rc_from(list_of(4)));
    rc_dec(o);
  }
  rc_object* array = rc_array(0, 1000, RC_NIL);
  for (size_t i = 0; i < 1000; i++) rc_set(array, i, rc_from(list_of(9)));
  rc_dec(array);
  rc_dec(chain);
  size_t cleared = N;
  while (rc_pending() > 0 || cleared > 0) {
    void* p = noise ? mi_malloc(rnd(3000)) : NULL;
    finalized = 0;
    rc_poll(1);
    rc_dec(moments % 100 == 99 ? rc_array(0, 300, RC_NIL) : leaf(0));
    while (cleared > 0) {
      rc_object* o = rc_upgrade(weak[cleared - 1]);
      if (o != NULL) {
        rc_dec(o);
        break;
      }
      rc_dec(weak[--cleared]);
    }
    moments++;
    seen = seen * 31 + rc_pending() * 7 + cleared;
    mi_free(p);
  }
  assert_true(counters().refill_units_max <= REFILL_UNITS);
  while (rc_poll(1) > 0) finalized = 0;
  rc_drain(SIZE_MAX);
  mi_collect(false);
  assert_nothing_left(t);
  end(t);
  return seen + moments;
}
static void test_deterministic(void** state) {
  (void)state;
  uint64_t seen = observe(false);
  assert_int_equal(observe(true), seen);
  assert_int_equal(observe(true), seen);
  printf("deaths: %llu\n", (unsigned long long)seen);
}

/* Each request pays pace units a word, at most 512, and owes the rest. */
static void test_deterministic_price(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  assert_true(rc_set_pacing(&(rc_pacing){3, QUANTUM, 100000, true}));
  rc_dec(list_of(100000));
  uint64_t units = counters().units;
  rc_object* o = leaf(0);
  assert_int_equal(counters().units - units, 3 * 2);
  rc_dec(rc_alloc(0, 0));
  assert_int_equal(counters().units - units, 3 * 2 + 3 * 1 + 1);
  units = counters().units;
  rc_object* a = words_array(1000);
  assert_int_equal(counters().units - units, 512);
  assert_int_equal(counters().debt, 3 * 1002 - 512);
  rc_dec(o);
  units = counters().units;
  o = leaf(0);
  assert_int_equal(counters().units - units, 512);
  void* p = rt_alloc(16); /* only counted objects pay */
  assert_int_equal(counters().units - units, 512);
  rt_free_sized(p, 16);
  rc_dec(o);
  rc_dec(a);
  end_drained(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_record),
      cmocka_unit_test(test_many_words),
      cmocka_unit_test(test_trace),
      cmocka_unit_test(test_wrong_type),
      cmocka_unit_test(test_closure),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_resurrection),
      cmocka_unit_test(test_chain),
      cmocka_unit_test(test_ended_thread),
      cmocka_unit_test(test_weak),
      cmocka_unit_test(test_weak_model),
      cmocka_unit_test(test_weak_to_weak),
      cmocka_unit_test(test_weak_and_reuse),
      cmocka_unit_test(test_weak_while_draining),
      cmocka_unit_test(test_weak_children),
      cmocka_unit_test(test_no_memory),
      cmocka_unit_test(test_deterministic),
      cmocka_unit_test(test_deterministic_price),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
