/* hosts_test.c: what a host may do with slua.h besides the usual: threads that come at the same time, a slice
** without end, scripts that leave something open. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "demo-lang/slua.h"

static slua* state(slua_config config) {
  slua* s = slua_new(&config);
  assert_non_null(s);
  return s;
}
static slua_status run(slua* s, const char* text) { return slua_run(s, text, strlen(text), "=t"); }

enum { THREADS = 4 };
static void in_threads(void* (*f)(void*), void* arg) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, f, arg), 0);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* ---- Threads --------------------------------------------------------------------------------- */

/* What is found out about liblua once a process, several threads find out. To be the first test. */
static void* make_first(void* ticks) {
  slua* s = state((slua_config){.repeatable = true, .counted = true});
  assert_int_equal(run(s, "for i = 1, 1000 do local t = {i} end"), SLUA_OK);
  __atomic_add_fetch((uint64_t*)ticks, slua_ticks(s), __ATOMIC_RELAXED);
  slua_close(s);
  return NULL;
}
static void the_first_states_come_at_once(void** unused) {
  (void)unused;
  uint64_t all = 0, one = 0;
  in_threads(make_first, &all);
  make_first(&one);
  assert_int_equal(all, THREADS * one);
}

/* One of them runs the state, and the others are told so. */
static void* run_or_be_told(void* arg) {
  for (int i = 0; i < 500; i++) {
    slua_status status = run(arg, "return 1");
    assert_true(status == SLUA_OK || status == SLUA_BUSY || status == SLUA_ERROR);
  }
  return NULL;
}
static void a_state_is_run_by_one(void** unused) {
  (void)unused;
  slua* s = state((slua_config){0});
  in_threads(run_or_be_told, s);
  assert_int_equal(run(s, "return 1"), SLUA_OK);
  slua_close(s);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

static void a_slice_can_be_endless(void** unused) {
  (void)unused;
  static const uint64_t slices[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2};
  for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
    slua* s = state((slua_config){.counted = true});
    slua_set_slice(s, slices[i]);
    assert_int_equal(run(s, "for i = 1, 1e5 do end return beat.remaining()"), SLUA_OK);
    assert_int_equal(slua_result(s, 0).type, i < 2 ? SLUA_NIL : SLUA_INTEGER);
    slua_close(s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_states_come_at_once),
      cmocka_unit_test(a_state_is_run_by_one),
      cmocka_unit_test(a_slice_can_be_endless),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
