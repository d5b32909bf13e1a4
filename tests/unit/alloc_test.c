/* alloc_test.c: the allocator's calls against a model that knows only what was asked for: each
** block keeps its bytes until it is freed, lies where it may, and all memory comes back. */
#include "alloc/internal.h"
#include "tests/tools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- Size classes ---------------------------------------------------------------------------- */

static void test_classes(void** state) {
  (void)state;
  for (size_t words = 1; words <= CLASS_BLOCK_MAX / WORD; words++) {
    unsigned c = class_of_words(words);
    assert_in_range(c, 1, CLASS_LARGE - 1);
    assert_true(class_words(c) >= words);
    assert_true(c == 1 || class_words(c - 1) < words);
    assert_true(words <= 8 || class_words(c) * 4 <= words * 5);
  }
  for (size_t size = 2 * WORD; size <= CLASS_BLOCK_MAX; size++)
    assert_int_equal(class_words(class_of_bytes(size)) % 2, 0);
}

/* ---- A random program against a model -------------------------------------------------------- */

#if defined(__SANITIZE_THREAD__)
enum { SLOTS = 3000, STEPS = 20000 }; /* it is slow, and this is one thread */
#else
enum { SLOTS = 3000, STEPS = 120000 };
#endif
static struct slot {
  unsigned char* p;
  size_t size;
  unsigned char fill;
} slots[SLOTS];

static size_t random_size(void) {
  switch (rnd(100)) {
    case 0:
      return rnd(4 * MiB);
    case 1:
      return 0;
    case 2:
    case 3:
    case 4:
      return rnd(100 * KiB);
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
      return rnd(10 * KiB);
    default:
      return rnd(600);
  }
}

static void fill(struct slot* s, size_t from) { memset(s->p + from, s->fill, s->size - from); }

static void check(const struct slot* s, size_t size) {
  for (size_t i = 0; i < size; i++) assert_int_equal(s->p[i], s->fill);
}

static void check_zero(const unsigned char* p, size_t size) {
  for (size_t i = 0; i < size; i++) assert_int_equal(p[i], 0);
}

static void make(struct slot* s, mi_heap_t* heap) {
  s->size = random_size();
  s->fill = (unsigned char)(1 + rnd(255));
  size_t align = (size_t)1 << rnd(14);
  bool zero = false;
  switch (rnd(8)) {
    case 0:
      s->p = mi_zalloc(s->size), zero = true;
      break;
    case 1:
      s->p = mi_calloc(s->size / 7, 7), s->size = s->size / 7 * 7, zero = true;
      break;
    case 2:
      s->p = mi_heap_malloc(heap, s->size);
      break;
    case 3:
      s->p = mi_heap_zalloc(heap, s->size), zero = true;
      break;
    case 4:
      s->p = mi_malloc_aligned(s->size, align);
      assert_int_equal((uintptr_t)s->p % align, 0);
      break;
    case 5:
      s->p = mi_zalloc_aligned(s->size, align), zero = true;
      assert_int_equal((uintptr_t)s->p % align, 0);
      break;
    default:
      s->p = mi_malloc(s->size);
  }
  assert_non_null(s->p);
  assert_true(mi_usable_size(s->p) >= s->size);
  assert_int_equal((uintptr_t)s->p % (s->size > WORD ? 16 : 8), 0);
  if (zero) check_zero(s->p, s->size);
  fill(s, 0);
}

static void change(struct slot* s, mi_heap_t* heap) {
  size_t old = s->size, size = random_size();
  unsigned char* p = rnd(2) ? mi_realloc(s->p, size) : mi_heap_realloc(heap, s->p, size);
  assert_non_null(p);
  s->p = p;
  s->size = size;
  check(s, old < size ? old : size);
  if (size > old) fill(s, old);
}

static void drop(struct slot* s) {
  check(s, s->size);
  mi_free(s->p);
  s->p = NULL;
}

static void test_random_program(void** state) {
  (void)state;
  mi_heap_t* heap = mi_heap_new();
  assert_non_null(heap);
  for (int i = 0; i < STEPS; i++) {
    struct slot* s = &slots[rnd(SLOTS)];
    if (s->p == NULL)
      make(s, heap);
    else if (rnd(4) == 0)
      change(s, heap);
    else
      drop(s);
    if (i % 20000 == 19999) mi_collect(i % 40000 == 39999);
  }
  mi_heap_delete(heap);
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].p != NULL) drop(&slots[i]);
  assert_true(nothing_lives());
}

/* ---- Corners --------------------------------------------------------------------------------- */

static void test_large_alignments(void** state) {
  (void)state;
  for (size_t align = 1; align <= 64 * MiB; align *= 2)
    for (size_t size = 1; size <= 40 * MiB; size = size * 7 + 3) {
      unsigned char* p = mi_malloc_aligned(size, align);
      assert_non_null(p);
      assert_int_equal((uintptr_t)p % align, 0);
      p[0] = p[size - 1] = 1;
      assert_true(mi_usable_size(p) >= size);
      unsigned char* q = mi_realloc_aligned(p, size + 100, align);
      assert_non_null(q);
      assert_int_equal((uintptr_t)q % align, 0);
      assert_int_equal(q[0], 1);
      assert_int_equal(q[size - 1], 1);
      mi_free(q);
    }
  assert_true(nothing_lives());
}

/* Blocks have every alignment that the size of their class has, wherever they lie in their page: so
** a request for an alignment is a request for a size. Not where zones lie between them. */
static void test_alignment_of_classes(void** state) {
  (void)state;
  if (CHECKED) skip();
  enum { BLOCKS = 100 };
  static void* p[BLOCKS];
  for (unsigned c = 1; c < CLASS_LARGE; c++) {
    size_t size = class_words(c) * WORD, align = size & -size;
    if (class_of_bytes(size) != c) continue; /* an odd number of words is for objects */
    uintptr_t bits = 0;
    for (int i = 0; i < BLOCKS; i++) bits |= (uintptr_t)(p[i] = mi_malloc(size));
    assert_int_equal(bits % align, 0);
    for (int i = 0; i < BLOCKS; i++) mi_free(p[i]);
  }
}

static void test_small_alignments(void** state) {
  (void)state;
  enum { BLOCKS = 12 };
  static void* p[BLOCKS];
  for (size_t align = 1; align <= SLICE; align *= 2)
    for (size_t size = 0; size <= CLASS_BLOCK_MAX; size += 1 + size / 8 + align / 64) {
      uintptr_t bits = 0;
      for (int i = 0; i < BLOCKS; i++) {
        p[i] = i % 2 ? mi_malloc_aligned(size, align) : mi_zalloc_aligned(size, align);
        assert_true(mi_usable_size(p[i]) >= size);
        bits |= (uintptr_t)p[i];
      }
      assert_int_equal(bits % align, 0);
      for (int i = 0; i < BLOCKS; i++) mi_free(p[i]);
    }
  assert_true(nothing_lives());
}

static void expect_failure(void* p, int error) {
  assert_null(p);
  assert_int_equal(errno, error);
  errno = 0;
}

static void test_impossible_sizes(void** state) {
  (void)state;
  volatile size_t half = SIZE_MAX / 2, most = PTRDIFF_MAX, all = SIZE_MAX;
  volatile size_t none = 0, odd = 3, crooked = 24;
  char* p = mi_malloc(10);
  assert_non_null(p);
  memcpy(p, "unchanged", 10);
  errno = 0;
  expect_failure(mi_calloc(half, 3), ENOMEM);
  expect_failure(mi_mallocn(half, 3), ENOMEM);
  expect_failure(mi_malloc(most + 1), ENOMEM);
  expect_failure(mi_malloc(all), ENOMEM);
  expect_failure(mi_zalloc(most), ENOMEM);
  expect_failure(mi_malloc_aligned(most, 4096), ENOMEM);
  expect_failure(mi_malloc_aligned(all - 8, 64), ENOMEM);
  expect_failure(mi_realloc(p, most + 1), ENOMEM);
  expect_failure(mi_reallocn(p, half, 3), ENOMEM);
  expect_failure(mi_malloc_aligned(10, crooked), EINVAL);
  expect_failure(mi_malloc_aligned(10, none), EINVAL);
  expect_failure(mi_realloc_aligned(p, 10, odd), EINVAL);
  assert_string_equal(p, "unchanged");
  assert_null(mi_reallocf(p, most + 1));
  mi_free(NULL);
  assert_int_equal(mi_usable_size(NULL), 0);
  assert_true(nothing_lives());
}

static void test_good_size(void** state) {
  (void)state;
  for (size_t size = 0; size < 300 * KiB; size += 1 + size / 50) {
    void* p = mi_malloc(size);
    if (!CHECKED) assert_int_equal(mi_good_size(size), mi_usable_size(p));
    assert_true(mi_good_size(size) >= size);
    mi_free(p);
  }
}

static void test_huge_blocks_return(void** state) {
  (void)state;
  size_t before = atomic_load(&arena_main.mapped);
  for (int i = 0; i < 20; i++) {
    char* p = mi_zalloc(100 * MiB);
    assert_non_null(p);
    assert_int_equal(p[99 * MiB], 0);
    p[99 * MiB] = 1;
    mi_free(p);
  }
  mi_collect(true); /* freed blocks wait in the secure build, mappings in the others */
  assert_int_equal(atomic_load(&arena_main.mapped), before);
}

static void test_destroy_frees_unseen(void** state) {
  (void)state;
  for (int round = 0; round < 50; round++) {
    mi_heap_t* heap = mi_heap_new();
    for (int i = 0; i < 2000; i++) assert_non_null(mi_heap_malloc(heap, random_size()));
    mi_heap_destroy(heap);
  }
  assert_true(nothing_lives());
}

/* ---- Threads that end, and owners that sleep ------------------------------------------------- */

enum { MANY = 100000 };
static void* blocks[MANY];

static void* allocate_many(void* arg) {
  (void)arg;
  for (int i = 0; i < MANY; i++) {
    blocks[i] = mi_malloc(64);
    assert_non_null(blocks[i]);
    memset(blocks[i], 1, 64);
  }
  return NULL;
}

static void run_thread(void* (*f)(void*)) {
  pthread_t t;
  assert_int_equal(pthread_create(&t, NULL, f, NULL), 0);
  assert_int_equal(pthread_join(t, NULL), 0);
}

static void test_ended_thread(void** state) {
  (void)state;
  run_thread(allocate_many);
  for (int i = 0; i < MANY; i++) mi_free(blocks[i]);
  assert_true(nothing_lives());
}

/* Every second block of an ended thread stays; others adopt its pages and fill the gaps, so the
** same amount again needs few new pages. */
static void test_adoption(void** state) {
  (void)state;
  if (CHECKED || !RESIDENT_TELLS) skip();
  run_thread(allocate_many);
  for (int i = 0; i < MANY; i += 2) mi_free(blocks[i]);
  size_t before = resident();
  for (int i = 0; i < MANY; i += 2) blocks[i] = memset(mi_malloc(64), 2, 64);
  assert_true(resident() < before + MANY / 2 * 64 / 4);
  for (int i = 0; i < MANY; i++) mi_free(blocks[i]);
  assert_true(nothing_lives());
}

static void test_many_short_threads(void** state) {
  (void)state;
  size_t mapped = 0;
  for (int round = 0; round < 300; round++) {
    run_thread(allocate_many);
    for (int i = 0; i < MANY; i++) mi_free(blocks[i]);
    if (round == 20) mapped = atomic_load(&arena_main.mapped);
  }
  assert_int_equal(atomic_load(&arena_main.mapped), mapped);
}

static pthread_barrier_t barrier;

enum { WIDE = 640 };

static void* allocate_and_sleep(void* arg) {
  (void)arg;
  for (int i = 0; i < MANY; i++) memset(blocks[i] = mi_malloc(WIDE), 1, WIDE);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return NULL;
}

/* The owner never allocates again, yet what others free of its full pages goes back to the
** system, but for the 8 MiB that it would take back soon if it were awake. */
static void test_sleeping_owner(void** state) {
  (void)state;
  if (!RESIDENT_TELLS) skip();
  pthread_t t;
  mi_collect(true);
  pthread_barrier_init(&barrier, NULL, 2);
  size_t before = resident();
  assert_int_equal(pthread_create(&t, NULL, allocate_and_sleep, NULL), 0);
  pthread_barrier_wait(&barrier);
  size_t full = resident();
  assert_true(full > before + MANY * WIDE * 9 / 10);
  for (int i = 0; i < MANY; i++) mi_free(blocks[i]);
  assert_true(resident() < before + 14 * MiB);
  pthread_barrier_wait(&barrier);
  pthread_join(t, NULL);
  assert_true(nothing_lives());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_classes),
      cmocka_unit_test(test_random_program),
      cmocka_unit_test(test_large_alignments),
      cmocka_unit_test(test_alignment_of_classes),
      cmocka_unit_test(test_small_alignments),
      cmocka_unit_test(test_impossible_sizes),
      cmocka_unit_test(test_good_size),
      cmocka_unit_test(test_huge_blocks_return),
      cmocka_unit_test(test_destroy_frees_unseen),
      cmocka_unit_test(test_ended_thread),
      cmocka_unit_test(test_adoption),
      cmocka_unit_test(test_many_short_threads),
      cmocka_unit_test(test_sleeping_owner),
  };
  return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
