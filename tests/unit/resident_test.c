/* resident_test.c: freed memory goes back to the system by itself, up to what is kept on purpose:
** what is resident, as the system says, before and after. Run apart from the other tests, so that
** nothing else is resident. */
#include "tests/tools.h"

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
      cmocka_unit_test(test_large_blocks),
      cmocka_unit_test(test_many_sleeping_owners),
  };
  return cmocka_run_group_tests_name("resident", tests, NULL, NULL);
}
