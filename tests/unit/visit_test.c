/* visit_test.c: a heap's visitor meets exactly the blocks that a model says are alive, whoever freed
** the others; and any pointer can be asked whose it is. */
#include "alloc/mimalloc.h"
#include "tests/tools.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SLOTS = 20000 };
static struct slot {
  char* p;
  size_t size;
  unsigned met;
} slots[SLOTS];

static int by_address(const void* a, const void* b) {
  const struct slot *x = a, *y = b;
  return x->p < y->p ? -1 : x->p > y->p;
}

static size_t random_size(void) {
  size_t kind = rnd(1000);
  return rnd(kind == 0 ? 20 << 20 : kind < 5 ? 500000 : kind < 50 ? 60000 : 400);
}

static void fill(mi_heap_t* heap) {
  for (int i = 0; i < SLOTS; i++) {
    size_t size = random_size();
    if (rnd(20) == 0)
      slots[i].p = mi_heap_malloc_aligned_at(heap, size, 64, rnd(100));
    else
      slots[i].p = mi_heap_malloc(heap, size);
    assert_non_null(slots[i].p);
    slots[i].size = size;
  }
}

static void* free_some(void* arg) {
  (void)arg;
  for (int i = 0; i < SLOTS; i += 3) mi_free(slots[i].p), slots[i].p = NULL;
  return NULL;
}

/* ---- Visits ---------------------------------------------------------------------------------- */

typedef struct seen {
  size_t areas, blocks, used;
  size_t until; /* ends the visit after that many calls */
} seen;

/* The slot whose block begins in [block, block + size). */
static struct slot* slot_in(const char* block, size_t size) {
  size_t low = 0, high = SLOTS;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (slots[middle].p < block)
      low = middle + 1;
    else
      high = middle;
  }
  return low < SLOTS && slots[low].p < block + size ? &slots[low] : NULL;
}

static bool meet(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t block_size,
                 void* arg) {
  seen* s = arg;
  (void)heap;
  assert_true(block_size == area->block_size && area->full_block_size >= block_size);
  if (block == NULL) {
    s->areas++;
    s->used += area->used;
  } else {
    s->blocks++;
    assert_true((char*)block >= (char*)area->blocks);
    assert_true((char*)block + block_size <= (char*)area->blocks + area->reserved);
    struct slot* slot = slot_in(block, block_size);
    assert_non_null(slot);
    assert_true(slot->p + slot->size <= (char*)block + block_size);
    slot->met++;
  }
  return s->areas + s->blocks != s->until;
}

static size_t alive(void) {
  size_t n = 0;
  for (int i = 0; i < SLOTS; i++) n += slots[i].p != NULL;
  return n;
}

static void check_visit(mi_heap_t* heap) {
  seen s = {0}, areas = {0}, some = {.until = 5};
  qsort(slots, SLOTS, sizeof slots[0], by_address);
  for (int i = 0; i < SLOTS; i++) slots[i].met = 0;
  assert_true(mi_heap_visit_blocks(heap, true, meet, &s));
  for (int i = 0; i < SLOTS; i++) assert_int_equal(slots[i].met, slots[i].p != NULL);
  assert_int_equal(s.blocks, alive());
  assert_int_equal(s.used, alive());
  assert_true(mi_heap_visit_blocks(heap, false, meet, &areas));
  assert_int_equal(areas.blocks, 0);
  assert_int_equal(areas.areas, s.areas);
  if (s.areas + s.blocks >= 5) {
    assert_false(mi_heap_visit_blocks(heap, true, meet, &some));
    assert_int_equal(some.areas + some.blocks, 5);
  }
}

static void test_visit(void** state) {
  (void)state;
  mi_heap_t* heap = mi_heap_new();
  assert_non_null(heap);
  check_visit(heap); /* an empty one */
  fill(heap);
  check_visit(heap);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, free_some, NULL), 0);
  pthread_join(thread, NULL);
  check_visit(heap);
  for (int i = 0; i < SLOTS; i++)
    if (rnd(2)) mi_free(slots[i].p), slots[i].p = NULL;
  check_visit(heap);
  mi_heap_collect(heap, false);
  check_visit(heap);
  for (int i = 0; i < SLOTS; i++) mi_free(slots[i].p), slots[i].p = NULL;
  check_visit(heap);
  mi_heap_destroy(heap);
}

/* ---- Whose is it? ---------------------------------------------------------------------------- */

static void test_contains(void** state) {
  (void)state;
  mi_heap_t *heap = mi_heap_new(), *first = mi_heap_get_default();
  static const size_t sizes[] = {1, 100, 3000, 60000, 1000000, 50 << 20};
  int outside = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    char *p = mi_heap_malloc(heap, sizes[i]), *q = mi_malloc(sizes[i]);
    size_t inside = sizes[i] / 2 < 1000000 ? sizes[i] / 2 : 1000000;
    assert_true(mi_heap_contains_block(heap, p) && mi_heap_check_owned(heap, p));
    assert_true(mi_heap_contains(heap, p + inside) && mi_heap_of(p + inside) == heap);
    assert_true(inside == 0 || !mi_heap_contains_block(heap, p + inside));
    assert_false(mi_heap_contains_block(first, p) || mi_check_owned(p));
    assert_true(mi_check_owned(q) && mi_heap_of(q) == first);
    assert_true(mi_is_in_heap_region(p) && mi_any_heap_contains(q));
    mi_free(p);
    mi_free(q);
  }
  assert_false(mi_is_in_heap_region(&outside) || mi_any_heap_contains(NULL));
  assert_null(mi_heap_of(&outside));
  assert_null(mi_heap_of(NULL));
  assert_false(mi_heap_contains(heap, &outside) || mi_heap_contains(heap, NULL));
  assert_false(mi_check_owned(NULL) || mi_heap_contains(NULL, &outside));
  mi_heap_delete(heap);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_visit),
      cmocka_unit_test(test_contains),
  };
  return cmocka_run_group_tests_name("visit", tests, NULL, NULL);
}
