/* rc_cycle_test.c: cycles of marked objects die, in slices, while the program goes on: shapes, weak references,
** finalizers, pace and limits. Random programs: rc_cycle_model_test.c. */
#include "rc_tools.h"

#include <pthread.h>

static rc_object* fresh(size_t n) {
  rc_object* o = rc_alloc(1, n);
  require(o != NULL, "no memory for an object");
  for (size_t i = 0; i < n; i++) rc_init(o, i, RC_NIL);
  rc_cyclic(o);
  return o;
}

/* From a's field to b, which both are borrowed. */
static void join(rc_object* a, size_t i, rc_object* b) {
  rc_inc(b);
  rc_replace(a, i, rc_from(b));
}

/* Field 0 leads to the next, field 1 to the one before. One owned reference, to the first. */
static rc_object* ring_of(size_t n, bool doubly) {
  rc_object *first = fresh(2), *last = first;
  rc_inc(last);
  for (size_t i = 1; i < n; i++) {
    rc_object* o = fresh(2);
    if (doubly) join(o, 1, last);
    join(last, 0, o);
    rc_dec(last);
    last = o;
  }
  if (doubly) join(first, 1, last);
  join(last, 0, first);
  rc_dec(last);
  return first;
}

/* ---- Shapes ------------------------------------------------------------------------------------ */

static void test_self_loop(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object* o = fresh(1);
  assert_true(rc_is_cyclic(o) && !rc_is_shared(o) && !rc_is_unique(o));
  join(o, 0, o);
  collect_all();
  assert_int_equal(counters().objects, 1);
  rc_dec(o);
  assert_int_equal(rc_candidates(), 1);
  collect_all();
  assert_int_equal(counters().objects, 0);
  o = fresh(1);
  assert_int_equal(rc_exchange(o, 0, rc_from(o)),
                   RC_NIL); /* the last reference goes in: no decrement */
  end_empty(t);
}

/* Without a cycle they die at once, and are no candidates. */
static void test_no_cycle(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object *a = fresh(2), *b = fresh(2);
  join(a, 0, b);
  join(a, 1, b);
  rc_dec(b);
  assert_int_equal(rc_candidates(), 1);
  rc_dec(a);
  assert_int_equal(rc_candidates(), 0);
  assert_nothing_left(t);
  end(t);
}

static void test_rings(void** state) {
  (void)state;
  enum { LONG_RING = MANY / 10 };
  for (int doubly = 0; doubly < 2; doubly++) {
    rt_task* t = begin(NULL);
    rc_object* ring = ring_of(LONG_RING, doubly);
    collect_all();
    assert_int_equal(counters().objects, LONG_RING);
    rc_dec(ring);
    assert_in_range(counters().dec_units_max, 0, DEC_UNITS);
    end_empty(t);
  }
}

static void test_clique(void** state) {
  (void)state;
  enum { N = 60 };
  rt_task* t = begin(NULL);
  rc_object* o[N];
  for (size_t i = 0; i < N; i++) o[i] = fresh(N);
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++) join(o[i], j, o[j]);
  for (size_t i = 1; i < N; i++) rc_dec(o[i]);
  collect_all();
  assert_int_equal(counters().objects, N);
  assert_int_equal(o[0]->count, -N - 1);
  rc_dec(o[0]);
  end_empty(t);
}

/* Trees of usual objects in a ring, and a ring in a tree. */
static void test_mixed(void** state) {
  (void)state;
  enum { N = 100, LENGTH = 1000 };
  rt_task* t = begin(NULL);
  rc_object* ring = ring_of(N, false);
  rc_object* o = ring;
  for (int i = 0; i < N; i++, o = rc_to(rc_get(o, 0))) rc_replace(o, 1, rc_from(list_of(LENGTH)));
  rc_object* inner = ring_of(N, true);
  rc_object* tree = node(rc_from(ring), rc_from(node(rc_from(inner), RC_NIL)));
  rc_inc(inner);
  collect_all();
  assert_int_equal(counters().objects, N + N * LENGTH + N + 2);
  rc_dec(tree);
  collect_all();
  assert_int_equal(counters().objects, N);
  rc_dec(inner);
  end_empty(t);
}

/* An array, and a type with words. */
static void test_kinds(void** state) {
  (void)state;
  static const rc_type type = {.name = "pair", .words = 2, .bytes = 5};
  rt_task* t = begin(NULL);
  rc_object *a = rc_array(1, 70000, RC_NIL), *b = rc_typed(2, &type), *s = rc_bytes(3, 10);
  rc_cyclic(a);
  rc_cyclic(b);
  rc_cyclic(s); /* has no fields: stays as it is */
  assert_true(rc_is_cyclic(a) && rc_is_cyclic(b) && rc_is_unique(s));
  join(a, 69999, b);
  join(b, 1, a);
  rc_replace(b, 0, rc_from(s));
  rc_object* copy = rc_make_unique((rc_inc(a), a));
  assert_true(copy != a && rc_is_unique(copy));
  rc_dec(copy);
  rc_dec(a);
  rc_dec(b);
  end_empty(t);
}

/* The last reference to x goes when its ring was touched in this round, at y, and x may not be a member yet. */
static void test_dies_in_a_round(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (size_t units = 0; units < 40; units++) {
    rc_object *x = fresh(2), *y = fresh(2), *z = fresh(2);
    join(y, 1, z);
    join(z, 1, x);
    rc_replace(x, 1, rc_from(y));
    rc_dec(z);
    collect_all();
    rc_inc(y);
    rc_dec(y); /* the only candidate, it reaches x by z */
    rc_collect_cycles(units);
    rc_exchange(y, 0, RC_NIL);
    rc_dec(x);
    collect_all();
    assert_int_equal(counters().objects, 0);
  }
  end_empty(t);
}

/* ---- Weak references and finalizers ------------------------------------------------------------- */

/* A reference made from a weak one in any slice of a round keeps all alive, until it is decided: then there is
** none to any of them. */
static void test_weak(void** state) {
  (void)state;
  enum { N = 30 };
  rt_task* t = begin(NULL);
  size_t made = 0, slices = 0;
  for (bool decided = false; !decided; slices++) {
    rc_object* ring = ring_of(N, false);
    rc_object *w = rc_weak(ring), *second = rc_weak(rc_to(rc_get(ring, 0)));
    collect_all();
    rc_dec(ring);
    assert_in_range(rc_collect_cycles(slices), 0, slices);
    rc_object* o = rc_upgrade(second);
    decided = o == NULL;
    made += !decided;
    rc_object* first = rc_upgrade(w);
    assert_true((first != NULL) == !decided);
    if (first != NULL) rc_dec(first);
    collect_all();
    assert_int_equal(counters().objects, decided ? 2 : N + 2);
    if (o != NULL) rc_dec(o);
    collect_all();
    assert_null(rc_upgrade(w));
    rc_dec(w);
    rc_dec(second);
    assert_int_equal(counters().objects, 0);
  }
  assert_in_range(made, 3 * N, 5 * N);
  end_empty(t);
}

static int finalized[16], finalized_count;
static rc_object* saved;
static void note_final(rc_object* o) { finalized[finalized_count++ % 16] = o->tag; }
static void save(rc_object* o) {
  note_final(o);
  if (o->tag == 3) rc_inc(saved = o);
}
static const rc_type noting = {.name = "noting", .words = 2, .finalize = note_final};
static const rc_type saving = {.name = "saving", .words = 2, .finalize = save};

static rc_object* typed_ring(const rc_type* type, uint8_t n) {
  rc_object* o[16];
  for (uint8_t i = 0; i < n; i++) {
    o[i] = rc_typed(i, type);
    require(o[i] != NULL, "no memory");
    rc_cyclic(o[i]);
  }
  for (uint8_t i = 0; i < n; i++) join(o[i], 0, o[(i + 1) % n]);
  for (uint8_t i = 1; i < n; i++) rc_dec(o[i]);
  return o[0];
}

/* All of a dead ring, in the order of the ring, once. */
static void test_finalizers(void** state) {
  (void)state;
  enum { N = 5 };
  rt_task* t = begin(NULL);
  finalized_count = 0;
  rc_object* ring = typed_ring(&noting, N);
  rc_object* w = rc_weak(ring);
  rc_object* hanging = ring_of(10, true);
  rc_replace(ring, 1, rc_from(hanging)); /* lives until the finalizers ran */
  collect_all();
  rc_dec(ring);
  collect_all();
  assert_null(rc_upgrade(w));
  rc_dec(w);
  assert_int_equal(rc_finalizers_pending(), N);
  assert_int_equal(counters().objects, N + 10);
  assert_int_equal(rc_poll(SIZE_MAX), N);
  int first = finalized[0];
  for (int i = 0; i < N; i++) assert_int_equal(finalized[i], (first + i) % N);
  collect_all();
  assert_int_equal(finalized_count, N);
  end_empty(t);
}

static void test_saved_by_finalizer(void** state) {
  (void)state;
  enum { N = 5 };
  rt_task* t = begin(NULL);
  finalized_count = 0;
  rc_dec(typed_ring(&saving, N));
  collect_all();
  assert_int_equal(rc_poll(SIZE_MAX), N);
  collect_all();
  assert_int_equal(counters().objects, N);
  assert_int_equal(saved->tag, 3);
  rc_dec(saved);
  collect_all();
  assert_int_equal(finalized_count, N);
  end_empty(t);
}

/* Finalizers look at others of the dead ring, which have lost their weak references before, and some keep one and its
** new weak reference, which stays true. Whenever it is that they run. */
static rc_object *old_weak[2], *new_weak[2], *revived[2];
static bool found_dead;
static void look_around(rc_object* o) {
  rc_object* next = rc_to(rc_get(o, 0));
  for (int i = 0; i < 2 && found_dead; i++) assert_null(rc_upgrade(old_weak[i]));
  new_weak[o->tag] = rc_weak(next);
  rc_object* same = rc_upgrade(new_weak[o->tag]);
  assert_ptr_equal(same, next);
  if (o->tag == 0)
    rc_dec(same);
  else
    revived[o->tag] = same;
}
static const rc_type looking = {.name = "looking", .words = 1, .finalize = look_around};

/* Two that are finalized, and between them others that are not. */
static rc_object* looking_ring(void) {
  enum { N = 6 };
  rc_object* o[N];
  for (int i = 0; i < N; i++) {
    o[i] = i % 3 == 0 ? rc_typed((uint8_t)(i / 3), &looking) : fresh(1);
    if (i % 3 == 0) rc_cyclic(o[i]);
  }
  for (int i = 0; i < 2; i++) old_weak[i] = rc_weak(o[3 * i + 1]);
  for (int i = 0; i < N; i++) join(o[i], 0, o[(i + 1) % N]);
  for (int i = 1; i < N; i++) rc_dec(o[i]);
  return o[0];
}

static void check_polled_between(size_t units, bool early) {
  rc_dec(looking_ring());
  size_t polled = 0;
  found_dead = !early;
  if (early) {
    rc_collect_cycles(units);
    assert_in_range(rc_finalize_all(), 0, 2);
    polled = rc_poll(1);
  }
  for (; polled < 2; polled += rc_poll(1)) rc_collect_cycles(units);
  collect_all();
  for (int i = 0; i < 2; i++) rc_dec(old_weak[i]);
  assert_ptr_equal(rc_upgrade(new_weak[1]), revived[1]);
  rc_dec(revived[1]), rc_dec(revived[1]);
  collect_all();
  for (int i = 0; i < 2; i++) {
    assert_null(rc_upgrade(new_weak[i]));
    rc_dec(new_weak[i]);
  }
  assert_int_equal(counters().objects, 0);
}

static void test_finalizers_between_slices(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (size_t units = 1; units < 100; units++) {
    check_polled_between(units, false);
    check_polled_between(units, true);
  }
  end_empty(t);
}

/* A dead array still has a reference to a dead cycle when that is found, and is released at any time: then, too,
** there is no reference to the cycle while its finalizer is called. */
static void check_released_late(size_t before, size_t between) {
  enum { FIELDS = 60 };
  rc_object *m = fresh(1), *f = typed_ring(&noting, 1), *w = rc_weak(m), *array;
  array = rc_array(0, FIELDS, RC_NIL);
  rc_cyclic(array);
  rc_replace(f, 0, rc_from(m));
  join(array, FIELDS - 1, m);
  rc_replace(m, 0, rc_from(f));
  rc_inc(array);
  rc_dec(array); /* is a candidate, the third */
  finalized_count = 0;
  rc_collect_cycles(before);
  rc_dec(array);
  rc_collect_cycles(between);
  rc_drain(SIZE_MAX);
  rc_object* o = rc_upgrade(w);
  collect_all();
  rc_poll(SIZE_MAX);
  assert_int_equal(finalized_count, o == NULL);
  if (o != NULL) rc_dec(o);
  collect_all();
  rc_poll(SIZE_MAX);
  collect_all();
  assert_int_equal(finalized_count, 1);
  rc_dec(w);
  assert_int_equal(counters().objects, 0);
}

static void test_released_late(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (size_t before = 0; before < 90; before++)
    for (size_t between = 0; between < 40; between++) check_released_late(before, between);
  end_empty(t);
}

/* ---- Pace and limits --------------------------------------------------------------------------- */

/* Field 0 leads to the object before. Without candidates but the last one, which is returned. */
static rc_object* quiet_ring_of(size_t n) {
  rc_object *first = fresh(2), *last = first;
  for (size_t i = 1; i < n; i++) {
    rc_object* o = node(rc_from(last), RC_NIL);
    rc_cyclic(o);
    last = o;
  }
  join(first, 0, last);
  return last;
}

/* What is found dead comes back before all is looked at: the search goes in rounds. */
static void test_rounds(void** state) {
  (void)state;
  enum { RINGS = 300, LENGTH = 100, MEMBERS = 4096 + LENGTH, MEMBER_UNITS = 2 * 3 + 4 };
  rt_task* t = begin(NULL);
  for (int i = 0; i < RINGS; i++) rc_dec(quiet_ring_of(LENGTH));
  size_t units = 0;
  while (counters().objects == RINGS * LENGTH) units += rc_collect_cycles(1);
  assert_in_range(units, MEMBERS, (size_t)MEMBER_UNITS * MEMBERS);
  end_empty(t);
}

/* Each ring is held by the next one, and the last by the program: all that rounds look at lives, much of it again and
** again. As they grow, that is not much more than one round would cost. */
static void test_rounds_in_vain(void** state) {
  (void)state;
  enum { RINGS = 600, LENGTH = 60, MEMBER_UNITS = 2 * 3 + 4 };
  rt_task* t = begin(NULL);
  rc_object* ring[RINGS];
  for (int i = 0; i < RINGS; i++) {
    ring[i] = quiet_ring_of(LENGTH);
    if (i > 0) join(ring[i], 1, ring[i - 1]);
  }
  collect_all();
  for (int i = 0; i < RINGS - 1; i++) rc_dec(ring[i]);
  assert_int_equal(rc_candidates(), RINGS - 1);
  assert_in_range(rc_collect_cycles(SIZE_MAX), RINGS * LENGTH,
                  7 * MEMBER_UNITS / 3 * RINGS * LENGTH);
  assert_int_equal(counters().objects, RINGS * LENGTH);
  rc_dec(ring[RINGS - 1]);
  end_empty(t);
}

/* Refills find them, with bounded work, and nobody asks for it. */
static void check_pace(bool deterministic) {
  rt_task* t = begin(NULL);
  rc_pacing pacing = {2, QUANTUM, RC_DEBT_AUTO, deterministic};
  assert_true(rc_set_pacing(&pacing));
  int64_t most = 0;
  rc_object* lives = ring_of(5000, true);
  for (int i = 0; i < MANY / 25; i++) {
    rc_dec(ring_of(3, i % 2 != 0));
    if (counters().objects > most) most = counters().objects;
  }
  assert_in_range(most, 5000, 300000 / 3);
  assert_in_range(counters().cycle_units_max, 1, 512);
  assert_in_range(counters().refill_units_max, 1, REFILL_UNITS);
  assert_in_range(counters().dec_units_max, 0, DEC_UNITS);
  rc_dec(lives);
  end_empty(t);
}

static void test_pace(void** state) {
  (void)state;
  check_pace(false);
  check_pace(true);
}

/* A few large cycles die, and then nothing more is dropped: they are found as the task grows. */
static void test_found_without_new_candidates(void** state) {
  (void)state;
  enum { RINGS = 5, LENGTH = 5000, MOST = 300000 };
  rt_task* t = begin(NULL);
  rc_object* rings[RINGS];
  for (int i = 0; i < RINGS; i++) rings[i] = ring_of(LENGTH, false);
  rc_collect_cycles(SIZE_MAX);
  for (int i = 0; i < RINGS; i++) rc_dec(rings[i]);
  assert_int_equal(rc_candidates(), RINGS);
  assert_int_equal(counters().objects, RINGS * LENGTH);
  rc_word list = RC_NIL;
  int64_t made = 0;
  for (; made < MOST && counters().objects > made; made++) list = rc_from(node(RC_NIL, list));
  assert_true(made < MOST);
  assert_in_range(counters().cycle_units_max, 1, 512);
  rc_dec_word(list);
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
}

/* Nothing is refused while cycles can be freed. */
static void test_limit(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.bytes = 1 << 20});
  for (int i = 0; i < MANY / 50000; i++) {
    rc_object* ring = ring_of(300, true);
    rc_object* o = rc_bytes(0, 900000);
    require(o != NULL, "refused at %d", i);
    rc_dec(ring);
    rc_dec(o);
    rc_object* dead = ring_of(5000, false);
    rc_dec(dead);
  }
  end_empty(t);
}

/* So it is if there is one candidate only, which no refill looks at. */
static void test_limit_with_few_candidates(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.bytes = 1 << 20});
  rc_object* ring = ring_of(30000, false);
  collect_all();
  rc_object* o = rc_bytes(0, 700000);
  assert_null(o);
  rc_dec(ring);
  assert_int_equal(rc_candidates(), 1);
  o = rc_bytes(0, 700000);
  assert_non_null(o);
  rc_dec(o);
  end_empty(t);
}

/* A few large cycles are not left until there are many. */
static void test_large_cycles(void** state) {
  (void)state;
  enum { WORDS = 100000 };
  rt_task* t = begin(NULL);
  for (int i = 0; i < 300; i++) {
    rc_object* o = rc_array(0, WORDS, RC_NIL);
    rc_cyclic(o);
    join(o, 7, o);
    rc_dec(o);
    for (int k = 0; k < 10000; k++) rc_dec(leaf(k));
  }
  assert_in_range(rt_bytes_peak(t), 0, (size_t)16 * 8 * WORDS);
  end_empty(t);
}

/* A task ends, and a thread, in the midst of it. */
static void leave_in_progress(void) {
  rc_object* lives = ring_of(50, true);
  for (int i = 0; i < 50; i++) rc_dec(ring_of(100, i % 2 != 0));
  rc_collect_cycles(3000);
  rc_inc(lives);
  rc_dec(lives);
  rc_dec(list_of(1000));
}
static void* thread_leaves(void* arg) {
  (void)arg;
  leave_in_progress();
  return NULL;
}
static void test_ends(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  leave_in_progress();
  end(t);
  assert_true(nothing_lives());
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, thread_leaves, NULL), 0);
  pthread_join(thread, NULL);
}

/* A ring that becomes shared in the midst of it is not touched any more; others are found later. */
static void test_share(void** state) {
  (void)state;
  enum { N = 3000 }; /* so that the allocations of rc_share do not end the round */
  for (size_t units = 0; units < 25 * N; units += N / 3) {
    rc_object *ring = ring_of(N, true), *other = ring_of(N, true), *w = rc_weak(other);
    int64_t before = counters().objects;
    join(other, 0, rc_to(rc_get(ring, 0))); /* other reaches ring */
    rc_inc(ring);
    rc_dec(ring);
    rc_dec(other);
    rc_collect_cycles(units);
    ring = rc_share(ring);
    assert_true(rc_is_shared(ring) && !rc_is_cyclic(ring));
    rc_collect_cycles(SIZE_MAX);
    assert_int_equal(rc_candidates(), 0);
    assert_null(rc_upgrade(w));
    rc_dec(w);
    assert_true(counters().objects <= before - N);
    rc_object* o = ring;
    for (int i = 0; i < N; i++) {
      rc_object* next = rc_to(rc_get(o, 0));
      rc_inc(next); /* by hand: a shared cycle is not collected */
      rc_dec_word(rc_exchange(o, 0, RC_NIL));
      rc_dec_word(rc_exchange(o, 1, RC_NIL));
      rc_dec(o);
      o = next;
    }
    rc_dec(o);
  }
  rc_drain(SIZE_MAX);
  assert_true(nothing_lives());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_self_loop),
      cmocka_unit_test(test_no_cycle),
      cmocka_unit_test(test_rings),
      cmocka_unit_test(test_clique),
      cmocka_unit_test(test_mixed),
      cmocka_unit_test(test_kinds),
      cmocka_unit_test(test_dies_in_a_round),
      cmocka_unit_test(test_weak),
      cmocka_unit_test(test_finalizers),
      cmocka_unit_test(test_saved_by_finalizer),
      cmocka_unit_test(test_released_late),
      cmocka_unit_test(test_finalizers_between_slices),
      cmocka_unit_test(test_rounds),
      cmocka_unit_test(test_rounds_in_vain),
      cmocka_unit_test(test_pace),
      cmocka_unit_test(test_found_without_new_candidates),
      cmocka_unit_test(test_limit),
      cmocka_unit_test(test_limit_with_few_candidates),
      cmocka_unit_test(test_large_cycles),
      cmocka_unit_test(test_share),
      cmocka_unit_test(test_ends), /* leaves what an ended thread has given up */
  };
  return cmocka_run_group_tests_name("rc cycle", tests, NULL, NULL);
}
