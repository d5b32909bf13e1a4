/* rc_ended_test.c: what an ended thread leaves goes to another one; and objects of other tasks. */
#include "rc_tools.h"

#include <pthread.h>

enum { LEFT_NODES = 20000, LEFT_UNITS = 3 * LEFT_NODES - DEC_UNITS };

static uint64_t units_by_threads; /* what ended threads have spent */

static void* leave_a_list(void* arg) {
  (void)arg;
  rc_dec(list_of(LEFT_NODES));
  units_by_threads += counters().units;
  return NULL;
}

static void run_thread(void* (*f)(void*)) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, f, NULL), 0);
  pthread_join(thread, NULL);
}

/* Runs in the main thread's own task, where nothing waits. Each thread but the first takes over what
** those before it left, and frees some of that while it makes its list. */
static void test_ended_threads(void** state) {
  (void)state;
  enum { THREADS = 10 };
  units_by_threads = 0;
  for (int i = 0; i < THREADS; i++) run_thread(leave_a_list);
  assert_int_equal(rc_pending(), 0);
  assert_int_equal(rc_drain(100), 100);
  assert_true(rc_pending() > 0);
  assert_int_equal(rc_drain(SIZE_MAX), THREADS * 3 * LEFT_NODES - 100 - units_by_threads);
  assert_int_equal(rc_pending(), 0);
  assert_true(nothing_lives());
}

/* A program that counts nothing itself drains it as it allocates. */
static void test_ended_thread_drained_by_allocation(void** state) {
  (void)state;
  run_thread(leave_a_list);
  uint64_t units = counters().units;
  for (int i = 0; counters().units - units < LEFT_UNITS; i++) {
    assert_true(i < LEFT_UNITS);
    void* p[100];
    for (int k = 0; k < 100; k++) p[k] = mi_malloc(16);
    for (int k = 0; k < 100; k++) mi_free(p[k]);
  }
  assert_int_equal(counters().units - units, LEFT_UNITS);
  assert_int_equal(rc_drain(SIZE_MAX), 0);
  assert_true(nothing_lives());
}

/* Nor does it wait for an allocation when memory must come back. */
static void test_ended_thread_and_collect(void** state) {
  (void)state;
  run_thread(leave_a_list);
  assert_true(nothing_lives());
}

/* A task may end with its heaps, and has a limit: it does not take over what threads left. */
static void test_ended_thread_and_task(void** state) {
  (void)state;
  run_thread(leave_a_list);
  rt_task* t = begin(&(rt_config){.bytes = 1 << 20});
  rc_dec(list_of(100));
  uint64_t bytes = rt_bytes(t);
  assert_int_equal(bytes, 24 * 100 - 24 * (DEC_UNITS / 3));
  assert_int_equal(rc_drain(SIZE_MAX), 3 * 100 - DEC_UNITS);
  assert_nothing_left(t);
  end(t);
  assert_int_equal(rc_drain(SIZE_MAX), LEFT_UNITS);
  assert_true(nothing_lives());
}

/* An object that another task made stays counted there. */
static void test_object_of_another_task(void** state) {
  (void)state;
  rt_task* a = begin(NULL);
  rc_object* o = rc_bytes(0, 2000000);
  rt_leave();
  rt_task* b = begin(&(rt_config){.bytes = 4000000});
  void* p = mi_malloc(1000000);
  uint64_t bytes = rt_bytes(b);
  rc_dec(o);
  rc_drain(SIZE_MAX);
  assert_int_equal(rt_bytes(b), bytes);
  mi_free(p);
  mi_collect(false);
  assert_int_equal(rt_bytes(b), 0);
  void* q = rt_alloc(100);
  assert_non_null(q);
  rt_free_sized(q, 100);
  end(b);
  assert_int_equal(rt_bytes(a), 2000016);
  assert_int_equal(rt_task_end(a), 0);
}

/* Whoever takes over what ended threads left pays for a large request as for its own garbage. */
static void* leave_much(void* arg) {
  (void)arg;
  rc_dec(list_of(1000000));
  return NULL;
}
static void* request_much(void* arg) {
  uint64_t* most = arg;
  void* p = mi_malloc(400000);
  *most = counters().request_units_max;
  mi_free(p);
  rc_drain(SIZE_MAX);
  return NULL;
}
static void test_large_request_takes_over(void** state) {
  (void)state;
  uint64_t most = 0;
  pthread_t thread;
  run_thread(leave_much);
  assert_int_equal(pthread_create(&thread, NULL, request_much, &most), 0);
  pthread_join(thread, NULL);
  assert_int_equal(most, REQUEST_UNITS);
  assert_true(nothing_lives());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ended_threads),
      cmocka_unit_test(test_ended_thread_drained_by_allocation),
      cmocka_unit_test(test_ended_thread_and_collect),
      cmocka_unit_test(test_ended_thread_and_task),
      cmocka_unit_test(test_object_of_another_task),
      cmocka_unit_test(test_large_request_takes_over),
  };
  return cmocka_run_group_tests_name("rc ended threads", tests, NULL, NULL);
}
