/* heap_deferred_test.c: the callbacks of a heap are called at the refills of that heap, at the beats of
** its task, and with force: as often as the callback of all tasks sees a refill while a call for that
** heap is under way, a beat, or force. Ticks and beats are those of a model. */
#include "alloc/mimalloc.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { HEAPS = 3, CALLS = 400000, SLOTS = 4096 };

static uint64_t seed = 88172645463325252u;
static size_t rnd(size_t n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (size_t)(seed >> 11) % n;
}

/* ---- The model --------------------------------------------------------------------------------- */

static mi_heap_t* heaps[HEAPS];
static unsigned registered[HEAPS]; /* callbacks */
static int current;                /* the heap that a call under way allocates from */
static uint64_t ticks, last_beat;
static uint64_t expected[HEAPS], refills[HEAPS], forced;

static void charge(size_t size) { ticks += 1 + size / 1024; }

/* Called in front of the heaps' own, whose calls it predicts. */
static void for_all(bool force, unsigned long long beat, void* arg) {
  (void)arg;
  bool all = force || beat != last_beat;
  if (force) forced++;
  if (!all) refills[current]++;
  assert_int_equal(beat, ticks / 1000);
  last_beat = beat;
  for (int i = 0; i < HEAPS; i++)
    if (all || i == current) expected[i] += registered[i];
}

static uint64_t seen[HEAPS];
static void for_heap(mi_heap_t* heap, bool force, unsigned long long beat, void* arg) {
  int i = (int)((uint64_t*)arg - seen);
  static bool inside;
  assert_false(inside);
  inside = true;
  assert_ptr_equal(heap, heaps[i]);
  assert_int_equal(beat, last_beat);
  assert_true(!force || forced > 0);
  seen[i]++;
  void* p[20]; /* neither charged nor a reason for another call */
  for (int k = 0; k < 20; k++) p[k] = mi_heap_malloc(heap, 3000);
  for (int k = 0; k < 20; k++) mi_free(p[k]);
  inside = false;
}

static void check(void) {
  for (int i = 0; i < HEAPS; i++) assert_int_equal(seen[i], expected[i]);
  assert_int_equal(mi_ticks(), ticks);
}

/* ---- Random calls ------------------------------------------------------------------------------ */

static void allocate(void** slot) {
  size_t size = rnd(50) == 0 ? rnd(200000) : rnd(600);
  current = (int)rnd(HEAPS);
  mi_free(*slot);
  charge(size);
  *slot = mi_heap_malloc(heaps[current], size);
  assert_non_null(*slot);
}

static void change_callbacks(void) {
  int i = (int)rnd(HEAPS);
  if (rnd(3) == 0) {
    mi_heap_register_deferred_free(heaps[i], NULL, NULL);
    registered[i] = 0;
  } else if (registered[i] < 4) {
    mi_heap_register_deferred_free(heaps[i], for_heap, &seen[i]);
    registered[i]++;
  }
}

static void end_heap(bool destroy) {
  int i = 1 + (int)rnd(HEAPS - 1);
  if (destroy)
    mi_heap_destroy(heaps[i]);
  else
    mi_heap_delete(heaps[i]);
  heaps[i] = mi_heap_new();
  registered[i] = 0;
}

static void test_model(void** state) {
  (void)state;
  static void* slots[SLOTS];
  heaps[0] = mi_heap_get_backing();
  for (int i = 1; i < HEAPS; i++) heaps[i] = mi_heap_new();
  ticks = mi_ticks();
  last_beat = mi_heartbeat();
  mi_register_deferred_free(for_all, NULL);
  for (int n = 0; n < CALLS; n++) {
    allocate(&slots[rnd(SLOTS)]);
    check();
    if (rnd(1000) == 0) change_callbacks();
    if (rnd(20000) == 0) mi_collect(true), check();
    if (rnd(20000) == 0) mi_heap_collect(heaps[rnd(HEAPS)], true), check();
    if (rnd(20000) == 0) end_heap(false);
  }
  for (int i = 0; i < SLOTS; i++) mi_free(slots[i]);
  end_heap(true);
  mi_collect(true);
  check();
  for (int i = 0; i < HEAPS; i++) assert_true(refills[i] > 1000 && seen[i] > 1000);
  assert_true(forced > 10);
  mi_register_deferred_free(NULL, NULL);
  for (int i = 0; i < HEAPS; i++) mi_heap_register_deferred_free(heaps[i], NULL, NULL);
}

/* ---- Limits ------------------------------------------------------------------------------------ */

static char said[1000];
static void keep(const char* text, void* arg) {
  (void)arg;
  strncat(said, text, sizeof said - strlen(said) - 1);
}

static unsigned count, count_other;
static void counting(mi_heap_t* heap, bool force, unsigned long long beat, void* arg) {
  (void)heap, (void)force, (void)beat;
  ++*(unsigned*)arg;
}
static void removing(mi_heap_t* heap, bool force, unsigned long long beat, void* arg) {
  counting(heap, force, beat, arg);
  mi_heap_register_deferred_free(heap, NULL, NULL);
}

static void test_limits(void** state) {
  (void)state;
  mi_heap_t* heap = mi_heap_new();
  said[0] = '\0';
  mi_register_output(keep, NULL);
  for (int i = 0; i < 5; i++) mi_heap_register_deferred_free(heap, counting, &count);
  mi_register_output(NULL, NULL);
  assert_non_null(strstr(said, "has 4 deferred-free callbacks, one more is refused\n"));
  mi_collect(true);
  assert_int_equal(count, 4);
  mi_heap_register_deferred_free(heap, NULL, NULL);
  mi_heap_register_deferred_free(heap, removing, &count);
  mi_heap_register_deferred_free(heap, counting, &count);
  mi_collect(true);
  assert_int_equal(count, 5);
  mi_collect(true);
  assert_int_equal(count, 5);
  mi_heap_delete(heap);
}

/* Another thread may not register, and its calls are none of this heap's business. */
static void* other_thread(void* arg) {
  mi_heap_register_deferred_free(arg, counting, &count_other);
  for (int i = 0; i < 5000; i++) mi_free(mi_malloc(rnd(5000)));
  mi_collect(true);
  return NULL;
}

static void test_threads(void** state) {
  (void)state;
  mi_heap_t* heap = mi_heap_new();
  count = 0;
  mi_heap_register_deferred_free(heap, counting, &count);
  mi_option_disable(mi_option_abort_on_error);
  said[0] = '\0';
  mi_register_output(keep, NULL);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, other_thread, heap), 0);
  pthread_join(thread, NULL);
  mi_register_output(NULL, NULL);
  assert_non_null(strstr(said, "is not one of the calling task"));
  assert_int_equal(count, 0);
  mi_collect(true);
  assert_int_equal(count, 1);
  assert_int_equal(count_other, 0);
  mi_heap_delete(heap);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_model),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_threads),
  };
  return cmocka_run_group_tests_name("heap_deferred", tests, NULL, NULL);
}
