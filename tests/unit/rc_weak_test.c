/* rc_weak_test.c: weak references and finalizers of objects that are shared, or become so; and what ended threads
** leave of them. */
#include "rc_tools.h"

#include <errno.h>

enum { STICKY_BOTH = INT32_MIN / 4 * 3 };

/* ---- Weak references ------------------------------------------------------------------------------------ */

static void test_weak_and_target_are_shared_together(void** state) {
  (void)state;
  for (int from_target = 0; from_target < 2; from_target++) {
    rc_object *o = leaf(1), *w = rc_weak(o);
    made_shared(from_target ? o : w);
    assert_true(rc_is_shared(o) && rc_is_shared(w));
    assert_int_equal(rc_count(o), -1);
    assert_int_equal(rc_count(w), -2);
    assert_ptr_equal(rc_upgrade(w), o);
    assert_ptr_equal(rc_weak(o), w);
    rc_dec(w), rc_dec(o), rc_dec(o);
    assert_null(rc_upgrade(w));
    rc_dec(w);
  }
}

/* The graph does not hold it, and the last reference goes before it is looked at. */
static void test_target_dies_while_it_is_shared(void** state) {
  (void)state;
  rc_object *o = node(rc_from(leaf(1)), RC_NIL), *w = rc_weak(o);
  rc_object* a = words_array(100);
  rc_set(a, 0, rc_from(w));
  rc_sharing* s = rc_share_begin(a);
  while (!rc_is_shared(o)) assert_false(rc_share_step(s, 1));
  rc_dec(o);
  while (!rc_share_step(s, 1)) continue;
  assert_ptr_equal(rc_share_end(s), a);
  rc_drain(SIZE_MAX);
  assert_null(rc_upgrade(w));
  rc_dec(a);
  rc_drain(SIZE_MAX);
}

static void test_no_weak_reference_to_one(void** state) {
  (void)state;
  rc_object *o = leaf(1), *w = rc_weak(o);
  errno = 0;
  assert_null(rc_weak(w));
  assert_int_equal(errno, EINVAL);
  rc_dec(o), rc_dec(w);
}

/* While weak references are made, others are cleared by what the allocation drains. */
static void check_weak_amid_drains(void) {
  enum { N = 20000 };
  rc_object *a = words_array(N), *b = words_array(N), *w = words_array(N);
  for (size_t i = 0; i < N; i++) {
    rc_object* o = leaf(1);
    rc_dec(rc_weak(o));
    rc_set(a, i, rc_from(o));
    rc_set(b, i, rc_from(leaf((int64_t)i)));
  }
  rc_dec(a);
  for (size_t i = 0; i < N; i++) rc_set(w, i, rc_from(rc_weak(rc_to(rc_get(b, i)))));
  for (size_t i = 0; i < N; i++) {
    rc_object* o = rc_upgrade(rc_to(rc_get(w, i)));
    assert_ptr_equal(o, rc_to(rc_get(b, i)));
    rc_dec(o);
  }
  rc_dec(b);
  rc_drain(SIZE_MAX);
  for (size_t i = 0; i < N; i++) assert_null(rc_upgrade(rc_to(rc_get(w, i))));
  rc_dec(w);
  rc_drain(SIZE_MAX);
}

static void test_weak_amid_drains(void** state) {
  (void)state;
  check_weak_amid_drains();
  rt_task* t = begin(NULL);
  check_weak_amid_drains();
  assert_nothing_left(t);
  end(t);
}

/* Who finds an object unique makes it a shell without asking for weak references. */
static void test_shells_with_weak_references(void** state) {
  (void)state;
  for (int reuse = 0; reuse < 2; reuse++) {
    rc_object *o = leaf(1), *w = rc_weak(o);
    if (reuse) {
      o = rc_reuse(o, 2, 1);
      rc_init(o, 0, RC_NIL);
    } else {
      rc_free_known(o);
    }
    assert_null(rc_upgrade(w));
    rc_dec(w);
    if (reuse) rc_dec(o);
  }
  rc_drain(SIZE_MAX);
}

static void test_upgrade_at_the_ends(void** state) {
  (void)state;
  static const int32_t counts[][2] = {{-1, -2},
                                      {RC_STICKY, RC_STICKY - 1},
                                      {STICKY_BOTH + 1, STICKY_BOTH},
                                      {STICKY_BOTH, STICKY_BOTH},
                                      {RC_IMMORTAL, RC_IMMORTAL}};
  rc_object* o = made_shared(leaf(1));
  rc_object* w = rc_weak(o);
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    o->count = counts[i][0];
    assert_ptr_equal(rc_upgrade(w), o);
    assert_int_equal(o->count, counts[i][1]);
  }
  o->count = -1;
  rc_dec(o);
  assert_null(rc_upgrade(w));
  rc_dec(w);
}

/* ---- Finalizers ------------------------------------------------------------------------------------------- */

static size_t finalized;
static void count_finalized(rc_object* o) { (void)o, finalized++; }
static const rc_type counted_type = {.name = "counted", .words = 1, .finalize = count_finalized};

static void test_shared_finalizers(void** state) {
  (void)state;
  enum { N = 1000 };
  rc_object* a = words_array(N);
  for (size_t i = 0; i < N; i++) rc_set(a, i, rc_from(rc_typed(0, &counted_type)));
  rt_task* t = begin(NULL);
  rt_leave();
  a = made_shared(a);
  require(rt_enter(t) == 0, "cannot enter");
  rc_dec(a);
  rc_drain(SIZE_MAX);
  assert_int_equal(rc_poll(SIZE_MAX), 0); /* they are no task's of runtime/ */
  end(t);
  assert_int_equal(rc_poll(1), 1);
  assert_int_equal(rc_poll(SIZE_MAX), N - 1);
  assert_int_equal(rc_poll(SIZE_MAX), 0);
  assert_int_equal(finalized, N);
}

/* Two threads end: the second, which has begun before, leaves only what waits for its finalizer. */
static pthread_barrier_t barrier;
static void* leave_finalizer(void* arg) {
  (void)arg;
  rc_object* o = rc_typed(0, &counted_type);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  rc_dec(o);
  return NULL;
}
static void* leave_list(void* arg) {
  (void)arg;
  rc_dec(list_of(1000));
  return NULL;
}

static void test_ended_threads_with_finalizers(void** state) {
  (void)state;
  pthread_t thread;
  pthread_barrier_init(&barrier, NULL, 2);
  finalized = 0;
  require(pthread_create(&thread, NULL, leave_finalizer, NULL) == 0, "no thread");
  pthread_barrier_wait(&barrier);
  on_thread(leave_list, NULL);
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
  assert_int_equal(rc_drain(SIZE_MAX), 3 * 1000 - DEC_UNITS);
  assert_int_equal(rc_poll(SIZE_MAX), 1);
  assert_int_equal(finalized, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_weak_and_target_are_shared_together),
      cmocka_unit_test(test_target_dies_while_it_is_shared),
      cmocka_unit_test(test_no_weak_reference_to_one),
      cmocka_unit_test(test_weak_amid_drains),
      cmocka_unit_test(test_shells_with_weak_references),
      cmocka_unit_test(test_upgrade_at_the_ends),
      cmocka_unit_test(test_shared_finalizers),
      cmocka_unit_test(test_ended_threads_with_finalizers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
