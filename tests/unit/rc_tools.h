/* rc_tools.h: what the tests of rc/ share: a task for each test, whose counters start at zero, and
** structures of known size. */
#ifndef RC_TOOLS_H
#define RC_TOOLS_H

#include "alloc/mimalloc.h"
#include "rc/rc.h"
#include "runtime/runtime.h"
#include "tests/tools.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "alloc/policy.h"

/* The sizes that the plain build proves; the others find other things and are slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MANY = 500000 };
#elif CHECKED
enum { MANY = 2000000 };
#else
enum { MANY = 10000000 };
#endif

enum { QUANTUM = 256, REFILL_UNITS = 512, PAGE_WORDS = 8192 };
#ifndef SLUICE_RC_INTERNAL_H /* who looks inside has its own */
enum { DEC_UNITS = 33, REQUEST_UNITS = 8192 };
#endif

/* cmocka's assertions work in the main thread only, and cost much; a failure here ends the
** program. */
#define require(e, ...)                                                              \
  do {                                                                               \
    if (!(e)) fprintf(stderr, "failed: " __VA_ARGS__), fputc('\n', stderr), abort(); \
  } while (0)

/* 1 to 8 words, then four sizes to a doubling; above the largest class, what was asked for. */
static inline size_t rounded(size_t words) {
  if (words <= 8 || words > PAGE_WORDS) return words;
  size_t step = 2;
  while (8 * step < words) step *= 2;
  return (words + step - 1) / step * step;
}

static inline void* libc_array(size_t n, size_t size) {
  void* p = calloc(n, size);
  require(p != NULL, "the test has no memory");
  return p;
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

static inline rt_task* begin(const rt_config* config) {
  rt_task* t = rt_task_new(config);
  require(t != NULL && rt_enter(t) == 0, "no task");
  return t;
}

static inline void end(rt_task* t) {
  rt_leave();
  assert_int_equal(rt_task_end(t), 0);
}

/* In a thread's own task, a new one. */
typedef struct job {
  void (*act)(const void*);
  const void* arg;
} job;
static inline void* job_run(void* arg) {
  const job* j = arg;
  j->act(j->arg);
  return NULL;
}
static inline void in_new_thread(void (*act)(const void*), const void* arg) {
  job j = {act, arg};
  pthread_t thread;
  require(pthread_create(&thread, NULL, job_run, &j) == 0, "no thread");
  require(pthread_join(thread, NULL) == 0, "no end of a thread");
}

static inline rc_counters counters(void) {
  rc_counters k;
  rc_get_counters(&k);
  return k;
}

static inline void assert_nothing_left(const rt_task* t) {
  rc_counters k = counters();
  assert_int_equal(rc_pending(), 0);
  assert_int_equal(k.objects, 0);
  assert_int_equal(rt_bytes(t), 0);
  assert_int_equal(k.debt, 0);
}

/* Ends a task whose objects have all been given up; none is in a cycle. */
static inline void end_drained(rt_task* t) {
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
}

static inline void set_pace(uint32_t pace, uint64_t debt_limit) {
  rc_pacing pacing = {pace, QUANTUM, debt_limit, false};
  assert_true(rc_set_pacing(&pacing));
}

/* No dead cycle is left, nor anything that waits; and then, nothing at all. */
static inline void collect_all(void) {
  rc_collect_cycles(SIZE_MAX);
  assert_int_equal(rc_candidates(), 0);
  assert_int_equal(rc_pending(), 0);
}

static inline void end_empty(rt_task* t) {
  collect_all();
  assert_nothing_left(t);
  end(t);
}

/* ---- Structures ------------------------------------------------------------------------------ */

static inline rc_object* node(rc_word a, rc_word b) {
  rc_object* o = rc_alloc(1, 2);
  require(o != NULL, "no memory for a node");
  rc_init(o, 0, a);
  rc_init(o, 1, b);
  return o;
}

static inline rc_object* leaf(int64_t i) {
  rc_object* o = rc_alloc(2, 1);
  require(o != NULL, "no memory for a leaf");
  rc_init(o, 0, rc_int(i));
  return o;
}

static inline rc_object* words_array(size_t n) {
  rc_object* o = rc_array(3, n, RC_NIL);
  require(o != NULL, "no memory for an array");
  return o;
}

static inline rc_object* list_of(size_t n) {
  rc_word list = RC_NIL;
  for (size_t i = 0; i < n; i++) list = rc_from(node(rc_int((int64_t)i), list));
  return rc_to(list);
}

static inline rc_object* array_of(size_t n) {
  rc_object* a = words_array(n);
  for (size_t i = 0; i < n; i++) rc_set(a, i, rc_from(leaf((int64_t)i)));
  return a;
}

/* Node i has the children 2i+1 and 2i+2. */
static inline rc_object* tree_of(size_t n) {
  rc_word* at = libc_array(2 * n + 2, sizeof *at);
  for (size_t i = 0; i < 2 * n + 2; i++) at[i] = RC_NIL;
  for (size_t i = n; i-- > 0;) at[i] = rc_from(node(at[2 * i + 1], at[2 * i + 2]));
  rc_object* root = rc_to(at[0]);
  free(at);
  return root;
}

static inline rc_object* shuffled_list_of(size_t n) {
  rc_object** at = libc_array(n, sizeof *at);
  for (size_t i = 0; i < n; i++) at[i] = node(rc_int((int64_t)i), RC_NIL);
  for (size_t i = n - 1; i > 0; i--) {
    size_t k = rnd(i + 1);
    rc_object* o = at[i];
    at[i] = at[k];
    at[k] = o;
  }
  for (size_t i = 0; i + 1 < n; i++) rc_words(at[i])[1] = rc_from(at[i + 1]);
  rc_object* first = at[0];
  free(at);
  return first;
}

static inline void allocate_until_nothing_waits(void) {
  while (rc_pending() > 0) rc_dec(leaf(0));
}

/* ---- Threads --------------------------------------------------------------------------------- */

static inline void on_thread(void* (*run)(void*), void* arg) {
  pthread_t thread;
  require(pthread_create(&thread, NULL, run, arg) == 0 && pthread_join(thread, NULL) == 0,
          "no thread");
}

static inline rc_object* made_shared(rc_object* o) {
  o = rc_share(o);
  require(o != NULL, "cannot share");
  return o;
}

#endif
