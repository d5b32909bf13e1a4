/* runtime_granted_test.c: the byte limit with blocks of mi_malloc, which count as they are granted, and
** with everything together. The line "fits:" must be equal in all builds: the runner compares. */
#include "runtime_limit_tools.h"

#include <pthread.h>

static void run_thread(void* (*f)(void*), void* arg) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, f, arg), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- Blocks of mi_malloc --------------------------------------------------------------------- */

/* Allocates until nothing fits, links the blocks; returns how many. */
static size_t fill(rt_task* t, size_t size, size_t limit, void*** list) {
  size_t n = 0;
  for (void** p; (p = mi_malloc(size)) != NULL; n++) {
    assert_in_range(rt_bytes(t), n * granted(size), limit);
    *p = *list;
    *list = p;
  }
  assert_int_equal(errno, ENOMEM);
  assert_true(rt_bytes(t) <= limit && rt_bytes_peak(t) <= limit);
  return n;
}

static void free_list(void** list) {
  for (void** next; list != NULL; list = next) {
    next = *list;
    mi_free(list);
  }
}

static void test_fits(void** state) {
  (void)state;
  static const size_t limits[] = {65536, 100000, 1000001, 5000000};
  static const size_t sizes[] = {8,    24,    64,    100,   600,   1000,  1024,   5000,
                                 8192, 20000, 40000, 65536, 65537, 70000, 131072, 200000};
  printf("fits:");
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
      rt_task* t = begin_limited(limits[i]);
      void** list = NULL;
      size_t n = fill(t, sizes[k], limits[i], &list);
      printf(" %zu", n);
      assert_int_equal(n, limits[i] / granted(sizes[k]));
      free_list(list);
      mi_collect(false);
      assert_int_equal(rt_bytes(t), 0);
      end(t);
    }
  printf("\n");
}

/* Of a list of blocks, what is to stay: every tenth. */
static void* free_most(void* arg) {
  void*** list = arg;
  void** kept = NULL;
  size_t i = 0;
  for (void **p = *list, **next; p != NULL; p = next, i++) {
    next = *p;
    if (i % 10 != 0) {
      mi_free(p);
    } else {
      *p = kept;
      kept = p;
    }
  }
  *list = kept;
  return NULL;
}

/* Each page keeps a few blocks of a tenth of the limit in all. The rest can be used again, for any
** size and whoever has freed it. */
static void check_reuse(bool by_thread) {
  enum { LIMIT = 4000000 };
  static const size_t sizes[] = {64, 16, 200, 3000, 30000, 100000};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    rt_task* t = begin_limited(LIMIT);
    void **kept = NULL, **again = NULL;
    size_t n = fill(t, 64, LIMIT, &kept), left = LIMIT - (n + 9) / 10 * 64;
    if (by_thread)
      run_thread(free_most, &kept);
    else
      free_most(&kept);
    assert_int_equal(fill(t, sizes[i], LIMIT, &again), left / granted(sizes[i]));
    free_list(again);
    again = NULL;
    void* p = rt_alloc(left);
    assert_non_null(p);
    expect_refused(rt_alloc(1));
    expect_refused(mi_malloc(sizes[i]));
    rt_free_sized(p, left);
    free_list(kept);
    mi_collect(false);
    assert_int_equal(rt_bytes(t), 0);
    end(t);
  }
}

static void test_freed_blocks_are_usable(void** state) {
  (void)state;
  check_reuse(false);
  check_reuse(true);
  assert_true(nothing_lives());
}

static void test_single_blocks(void** state) {
  (void)state;
  static const size_t limits[] = {65535, 65536, 65537, 100000, 131071, 131072, 1000001, 30000000};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    rt_task* t = begin_limited(limits[i]);
    for (int n = 0; n < 300; n++) {
      size_t size = 64 * KIB + 1 + rnd(limits[i] + 100000);
      errno = 0;
      void* p = n % 3 == 0   ? mi_malloc(size)
                : n % 3 == 1 ? mi_malloc_aligned(size, (size_t)1 << (16 + rnd(4)))
                             : mi_realloc(NULL, size);
      assert_true((p != NULL) == (granted(size) <= limits[i]));
      if (p == NULL) expect_refused(p);
      assert_int_equal(rt_bytes(t), p != NULL ? granted(size) : 0);
      mi_free(p);
      assert_int_equal(rt_bytes(t), 0);
    }
    assert_true(rt_bytes_peak(t) <= limits[i]);
    end(t);
  }
}

/* Heaps come and go; their blocks count until they are freed. */
static void test_heaps(void** state) {
  (void)state;
  enum { BLOCKS = 2000 };
  static void* blocks[BLOCKS];
  rt_task* t = begin(NULL);
  for (int round = 0; round < 20; round++) {
    mi_heap_t *moved = mi_heap_new(), *gone = mi_heap_new();
    assert_true(moved != NULL && gone != NULL);
    size_t bytes = 0;
    for (int i = 0; i < BLOCKS; i++) {
      size_t size = rnd(rnd(100) == 0 ? 200000 : 500);
      blocks[i] = mi_heap_malloc(moved, size);
      assert_true(blocks[i] != NULL && mi_heap_malloc(gone, size) != NULL);
      bytes += granted(size);
    }
    mi_collect(false);
    assert_int_equal(rt_bytes(t), 2 * bytes);
    mi_heap_delete(moved);
    assert_int_equal(rt_bytes(t), 2 * bytes);
    mi_heap_destroy(gone);
    assert_int_equal(rt_bytes(t), bytes);
    for (int i = 0; i < BLOCKS; i++) mi_free(blocks[i]);
    mi_collect(false);
    assert_int_equal(rt_bytes(t), 0);
  }
  end(t);
}

/* ---- All together ---------------------------------------------------------------------------- */

typedef enum origin { NOWHERE, OF_MI, OF_HEAP, OF_RT, OF_RC } origin;
static struct item {
  void* p;
  size_t size, counts;
  origin from;
} items[SLOTS];

static size_t item_free(struct item* x) {
  size_t counts = x->counts;
  if (x->from == OF_MI || x->from == OF_HEAP) mi_free(x->p);
  if (x->from == OF_RT) rt_free_sized(x->p, x->size);
  if (x->from == OF_RC) rc_dec(x->p);
  *x = (struct item){0};
  return counts;
}

static struct item item_of(origin from, size_t size, mi_heap_t* heap) {
  struct item x = {NULL, size, from == OF_RT ? size : granted(size), from};
  switch (from) {
    case OF_MI:
      x.p = mi_malloc(size);
      break;
    case OF_HEAP:
      x.p = mi_heap_zalloc(heap, size);
      break;
    case OF_RT:
      x.p = rt_alloc(size);
      break;
    default:
      x.counts = 16 + size;
      x.p = rc_bytes(0, size);
  }
  return x;
}

/* The new block is there before the old one is freed, unless it is the old one. */
static void item_realloc(struct item* x, size_t size, size_t* counted, size_t limit) {
  void* p = mi_realloc(x->p, size);
  if (p == NULL) {
    expect_refused(p);
    assert_true(*counted + granted(size) > limit);
  } else if (p != x->p) {
    assert_true(*counted + granted(size) <= limit);
    *counted += granted(size) - x->counts;
    *x = (struct item){p, size, granted(size), x->from};
  }
}

static void* free_some_items(void* arg) {
  size_t* freed = arg;
  for (int i = 0; i < SLOTS; i += 3)
    if (items[i].from == OF_MI || items[i].from == OF_HEAP) *freed += item_free(&items[i]);
  return NULL;
}

static void all_together(size_t limit) {
  rt_task* t = begin_limited(limit);
  mi_heap_t* heap = mi_heap_new();
  size_t counted = 0, refused = 0;
  assert_non_null(heap);
  for (int step = 0; step < 12000; step++) {
    struct item* x = &items[rnd(SLOTS)];
    size_t size = random_size(limit);
    if (step % 1000 == 0) {
      size_t freed = 0;
      run_thread(free_some_items, &freed);
      counted -= freed;
    } else if (x->from == OF_MI && rnd(2)) {
      item_realloc(x, size, &counted, limit);
    } else {
      counted -= item_free(x);
      if (rnd(3) == 0) continue;
      struct item fresh = item_of((origin)(1 + rnd(4)), size, heap);
      assert_true((fresh.p != NULL) == (counted + fresh.counts <= limit));
      refused += fresh.p == NULL;
      if (fresh.p != NULL) *x = fresh, counted += fresh.counts;
    }
    assert_in_range(rt_bytes(t), counted, limit);
    if (step % 100 != 0) continue;
    mi_collect(true);
    assert_int_equal(rt_bytes(t), counted);
  }
  assert_true(refused > 100);
  mi_heap_delete(heap);
  for (int i = 0; i < SLOTS; i++) item_free(&items[i]);
  mi_collect(true);
  assert_int_equal(rt_bytes(t), 0);
  assert_true(rt_bytes_peak(t) <= limit);
  end(t);
}

static void test_all_together(void** state) {
  (void)state;
  static const size_t limits[] = {3000, 100000, 1000001, 10000000};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) all_together(limits[i]);
  assert_true(nothing_lives());
}
int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fits),          cmocka_unit_test(test_freed_blocks_are_usable),
      cmocka_unit_test(test_single_blocks), cmocka_unit_test(test_heaps),
      cmocka_unit_test(test_all_together),
  };
  return cmocka_run_group_tests_name("what is granted", tests, NULL, NULL);
}
