/* resident_test.c: freed memory goes back to the system by itself, up to what is kept on purpose:
** what is resident, as the system says, before and after. Run apart from the other tests, so that
** nothing else is resident. */
#include "tests/tools.h"

#include "alloc/policy.h"
#include "runtime/runtime.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const size_t MIB = 1 << 20;

/* ---- Large blocks ---------------------------------------------------------------------------- */

enum { BLOCKS_MAX = 480 };
static char* blocks[BLOCKS_MAX];

static void fill(size_t count, size_t size) {
  for (size_t i = 0; i < count; i++) {
    blocks[i] = mi_malloc(size);
    assert_non_null(blocks[i]);
    memset(blocks[i], 1, size);
  }
}

static void* free_all(void* count) {
  for (size_t i = 0; i < *(size_t*)count; i++) mi_free(blocks[i]);
  return NULL;
}

/* Freed by their owner or by another thread, in the order of their making; nobody collects. */
static void check_large(size_t count, size_t size) {
  size_t before = resident();
  for (int by_thread = 0; by_thread < 2; by_thread++) {
    fill(count, size);
    assert_true(resident() > before + count * size / 10 * 9);
    if (by_thread) {
      pthread_t t;
      assert_int_equal(pthread_create(&t, NULL, free_all, &count), 0);
      assert_int_equal(pthread_join(t, NULL), 0);
    } else {
      free_all(&count);
    }
    assert_true(resident() < before + 64 * MIB);
  }
}

static void test_large_blocks(void** state) {
  (void)state;
  if (!RESIDENT_TELLS) skip();
  check_large(40, 12 * MIB);
  check_large(480, MIB);
  check_large(14, 34 * MIB);
}

/* ---- Bursts of mixed sizes ------------------------------------------------------------------- */

enum { BURST_MAX = 200000 };
static char* burst[BURST_MAX];
static size_t burst_count, burst_from;

/* Between 16 bytes and 4 MiB, each doubling as often as another; or all sizes up to 4 KiB. */
static size_t log_uniform(void) { return ((size_t)16 << rnd(18)) / 64 * (64 + rnd(64)); }
static size_t up_to_4k(void) { return 16 + rnd(4081); }

static void make_burst(size_t total, size_t (*draw)(void)) {
  burst_count = burst_from = 0;
  for (size_t sum = 0; sum < total && burst_count < BURST_MAX; burst_count++) {
    size_t size = draw();
    char* p = burst[burst_count] = mi_malloc(size);
    assert_non_null(p);
    memset(p, 1, size);
    sum += size;
  }
}

static void shuffle_burst(void) {
  for (size_t i = burst_count - 1; i > 0; i--) {
    size_t k = rnd(i + 1);
    char* other = burst[i];
    burst[i] = burst[k];
    burst[k] = other;
  }
}

/* Those before the end that were not freed yet. */
static void* free_up_to(void* end) {
  for (; burst_from < *(size_t*)end; burst_from++) mi_free(burst[burst_from]);
  return NULL;
}

static void free_burst(bool by_other) {
  pthread_t t;
  if (!by_other) {
    free_up_to(&burst_count);
    return;
  }
  assert_int_equal(pthread_create(&t, NULL, free_up_to, &burst_count), 0);
  assert_int_equal(pthread_join(t, NULL), 0);
}

static void allocate_on(int count) {
  for (int i = 0; i < count; i++) mi_free(mi_malloc(1 + rnd(1024)));
}

/* Below 5 % by itself, and 1 % when it is asked for. */
static void check_burst(bool shuffled, bool by_other) {
  static const size_t TOTAL = 1024 * MIB;
  mi_collect(true);
  size_t before = resident();
  make_burst(TOTAL, log_uniform);
  assert_true(resident() > before + TOTAL / 10 * 9);
  if (shuffled) shuffle_burst();
  free_burst(by_other);
  allocate_on(1000);
  assert_true(resident() < before + TOTAL / 20);
  mi_collect(true);
  assert_true(resident() < before + TOTAL / 100);
}

static void test_bursts(void** state) {
  (void)state;
  if (!RESIDENT_TELLS) skip();
  memset(burst, 1, sizeof burst); /* resident from now on */
  for (int i = 0; i < 4; i++) check_burst(i & 1, i & 2);
}

/* The owner frees the first part, in random order, which empties hardly a page; then it or another
** thread the rest. Pages of which both freed blocks are found while the owner allocates. */
static void check_fragmented(int percent, bool by_other, int more) {
  mi_collect(true);
  size_t before = resident();
  make_burst(315 * MIB, up_to_4k);
  shuffle_burst();
  size_t part = burst_count / 100 * (size_t)percent;
  free_up_to(&part);
  assert_true(resident() > before + 200 * MIB);
  free_burst(by_other);
  allocate_on(more);
  if (MI_SECURE) mi_collect(false); /* what waits there keeps pages */
  assert_true(resident() < before + 30 * MIB);
}

static void test_fragmented_bursts(void** state) {
  (void)state;
  if (!RESIDENT_TELLS) skip();
  memset(burst, 1, sizeof burst);
  check_fragmented(90, false, 0);
  check_fragmented(0, true, 1000);
  check_fragmented(90, true, 10000);
  check_fragmented(50, true, 10000);
}

/* ---- Huge pages ------------------------------------------------------------------------------ */

/* KiB in huge pages, as the system says; -1: it does not have them, or not for who asks. */
static long in_huge_pages(void) {
  char line[200];
  FILE* f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
  bool may = f != NULL && fgets(line, sizeof line, f) != NULL && strstr(line, "[madvise]") != NULL;
  if (f != NULL) fclose(f);
  if (!may || (f = fopen("/proc/self/smaps_rollup", "r")) == NULL) return -1;
  long kib = -1;
  while (fgets(line, sizeof line, f) != NULL) sscanf(line, "AnonHugePages: %ld", &kib);
  fclose(f);
  return kib;
}

/* Bytes of mappings for which they are asked for. */
static size_t asked_for_huge_pages(void) {
  char line[500];
  size_t kib = 0, all = 0;
  FILE* f = fopen("/proc/self/smaps", "r");
  if (f == NULL) return 0;
  while (fgets(line, sizeof line, f) != NULL) {
    sscanf(line, "Size: %zu kB", &kib);
    if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " hg") != NULL) all += kib * 1024;
  }
  fclose(f);
  return all;
}

/* In chunks behind the first. They go back like other memory, and are asked for no more there. Comes
** first, since chunks stay what they are. */
static void test_huge_pages(void** state) {
  (void)state;
  if (!RESIDENT_TELLS || in_huge_pages() < 0) skip();
  memset(burst, 1, sizeof burst);
  size_t before = resident();
  make_burst(20 * MIB, up_to_4k);
  assert_int_equal(in_huge_pages(), 0);
  free_burst(false);
  make_burst(200 * MIB, up_to_4k);
  assert_true(in_huge_pages() > 40 * 1024);
  assert_true(resident() < before + 300 * MIB);
  size_t asked_for = asked_for_huge_pages();
  assert_true(asked_for > 100 * MIB);
  free_burst(false);
  assert_true(resident() < before + 40 * MIB);
  assert_true(asked_for_huge_pages() < asked_for / 2);
  mi_collect(true);
  assert_int_equal(asked_for_huge_pages(), 0);
}

static void fill_in_task(size_t mebibytes) {
  for (size_t i = 0; i < mebibytes; i++) {
    void* p = rt_alloc(MIB);
    assert_non_null(p);
    memset(p, 1, MIB);
  }
}

/* Where they are asked for everywhere, a small program has none: here one in a region of its own. What
** checked builds keep beside their chunks is not told apart here. */
static void test_huge_pages_everywhere(void** state) {
  (void)state;
  if (CHECKED || !RESIDENT_TELLS || in_huge_pages() < 0) skip();
  mi_option_set(mi_option_allow_thp, 2);
  rt_task* t = rt_task_new(&(rt_config){.repeatable_addresses = true});
  assert_non_null(t);
  assert_int_equal(rt_enter(t), 0);
  long before = in_huge_pages();
  fill_in_task(3);
  assert_int_equal(in_huge_pages(), before);
  fill_in_task(60);
  assert_true(in_huge_pages() > before + 40 * 1024);
  rt_leave();
  assert_int_equal(rt_task_end(t), 0);
  mi_option_set(mi_option_allow_thp, 1);
}

/* ---- Lazily ---------------------------------------------------------------------------------- */

/* What the system may have taken, or not, is not taken for zero. */
static void test_lazy_purge(void** state) {
  (void)state;
  mi_option_disable(mi_option_purge_decommits);
  for (int round = 0; round < 2; round++) {
    make_burst(100 * MIB, log_uniform);
    free_burst(round == 0);
    for (int i = 0; i < 300; i++) {
      size_t size = log_uniform();
      char* p = mi_zalloc(size);
      assert_non_null(p);
      for (size_t k = 0; k < size; k++)
        if (p[k] != 0) fail();
      memset(p, 1, size);
      mi_free(p);
    }
  }
  mi_option_enable(mi_option_purge_decommits);
  size_t before = resident();
  mi_collect(true);
  if (RESIDENT_TELLS && !MI_SECURE)
    assert_true(resident() + 30 * MIB <
                before); /* lazily is not gone (in the secure build large blocks are) */
}

/* ---- Many owners that sleep ------------------------------------------------------------------ */

enum { OWNERS = 30, SIZE = 1000, EACH = 8 * 1024 * 1024 / SIZE };
static char* owned[OWNERS][EACH];
static pthread_barrier_t filled, freed;

static void* fill_and_sleep(void* mine) {
  char** p = mine;
  for (int i = 0; i < EACH; i++) {
    p[i] = mi_malloc(SIZE);
    if (p[i] == NULL) abort();
    memset(p[i], 1, SIZE);
  }
  pthread_barrier_wait(&filled);
  pthread_barrier_wait(&freed);
  return NULL;
}

/* What each may keep for the moment when it wakes up is little once they are many. */
static void test_many_sleeping_owners(void** state) {
  (void)state;
  pthread_t threads[OWNERS];
  memset(owned, 1, sizeof owned); /* resident from now on */
  mi_collect(true);
  pthread_barrier_init(&filled, NULL, OWNERS + 1);
  pthread_barrier_init(&freed, NULL, OWNERS + 1);
  size_t before = resident();
  for (int i = 0; i < OWNERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, fill_and_sleep, owned[i]), 0);
  pthread_barrier_wait(&filled);
  if (RESIDENT_TELLS) assert_true(resident() > before + (size_t)OWNERS * EACH * SIZE);
  for (int i = 0; i < OWNERS; i++)
    for (int k = 0; k < EACH; k++) mi_free(owned[i][k]);
  size_t now = resident();
  pthread_barrier_wait(&freed);
  for (int i = 0; i < OWNERS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  if (RESIDENT_TELLS) assert_true(now < before + 80 * MIB);
  assert_true(nothing_lives());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_huge_pages),           cmocka_unit_test(test_huge_pages_everywhere),
      cmocka_unit_test(test_large_blocks),         cmocka_unit_test(test_bursts),
      cmocka_unit_test(test_fragmented_bursts),    cmocka_unit_test(test_lazy_purge),
      cmocka_unit_test(test_many_sleeping_owners),
  };
  return cmocka_run_group_tests_name("resident", tests, NULL, NULL);
}
