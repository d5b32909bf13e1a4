/* huge_test.c: blocks above 16 MiB: their memory is reused and resized, by other threads and without
** a copy. This program has its own mremap, which the library calls: it counts, or refuses. */
#include "alloc/internal.h"
#include "tests/tools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <cmocka.h>

static atomic_int remaps;
static atomic_bool refuses;

void* mremap(void* p, size_t size, size_t new_size, int flags, ...) {
  va_list args;
  va_start(args, flags);
  void* to = flags & MREMAP_FIXED ? va_arg(args, void*) : NULL;
  va_end(args);
  remaps++;
  if (!refuses) return (void*)syscall(SYS_mremap, p, size, new_size, flags, to);
  errno = ENOMEM;
  return MAP_FAILED;
}

/* ---- Contents that tell their place ---------------------------------------------------------- */

enum { STEP = 32 * 1024 };

static void stamp(char* p, size_t from, size_t to, uint64_t key) {
  for (size_t i = from / STEP * STEP; i + 8 <= to; i += STEP) *(uint64_t*)(void*)(p + i) = key + i;
}

static void check_stamps(const char* p, size_t to, uint64_t key) {
  for (size_t i = 0; i + 8 <= to; i += STEP)
    if (*(const uint64_t*)(const void*)(p + i) != key + i) fail_msg("at %zu", i);
}

static void check_zero(const char* p, size_t from, size_t to) {
  for (size_t i = from; i < to; i += i + 64 < to ? 61 : 1)
    if (p[i] != 0) fail_msg("at %zu", i);
}

static long faults(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_minflt;
}

/* ---- Resizing -------------------------------------------------------------------------------- */

static char* resized(char* p, size_t size, size_t align, size_t offset) {
  char* q = mi_realloc_aligned_at(p, size, align, offset);
  assert_non_null(q);
  assert_true(((uintptr_t)q + offset) % align == 0);
  assert_true(mi_usable_size(q) >= size && mi_is_in_heap_region(q + size - 1));
  return q;
}

/* Another block lies behind it now and then, so that it cannot always grow where it is. */
static void grow_and_shrink(size_t align, size_t offset) {
  static const size_t MOST = 300 * MiB;
  size_t size = 17 * MiB;
  char *p = resized(NULL, size, align, offset), *behind = NULL;
  stamp(p, 0, size, align);
  while (size < MOST) {
    size_t next = size + 25 * MiB + rnd(MiB);
    if (rnd(2)) mi_free(behind), behind = mi_malloc(17 * MiB + rnd(30 * MiB));
    long before = faults();
    p = resized(p, next, align, offset);
    if (!CHECKED && RESIDENT_TELLS && !refuses) assert_true(faults() - before < 1000);
    check_stamps(p, size, align);
    stamp(p, size, next, align);
    size = next;
  }
  while (size > 9 * MiB) {
    size = size / 2 - rnd(MiB);
    p = resized(p, size, align, offset);
    check_stamps(p, size, align);
  }
  mi_free(behind);
  mi_free(p);
}

static void test_grow_and_shrink(void** state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    refuses = i == 1; /* then they are copied */
    remaps = 0;
    grow_and_shrink(16, 0);
    if (!CHECKED) assert_true(remaps >= 5);
    refuses = false;
    if (i == 0) grow_and_shrink(MiB, 0), grow_and_shrink(64 * MiB, 0), grow_and_shrink(4096, 24);
    mi_collect(true);
    assert_true(nothing_lives());
  }
}

/* A block that was made zero grows by zeros, whatever its mapping had before. */
static void test_zero(void** state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    char* p = mi_malloc(31 * MiB);
    assert_non_null(p);
    memset(p, 1, 31 * MiB);
    mi_free(p);
    p = mi_zalloc(26 * MiB);
    assert_non_null(p);
    check_zero(p, 0, mi_usable_size(p));
    memset(p, 1, 26 * MiB);
    size_t size = 27 * MiB + rnd(6 * MiB);
    p = mi_rezalloc(p, size);
    assert_non_null(p);
    check_zero(p, 26 * MiB, mi_usable_size(p));
    memset(p, 1, size);
    mi_free(mi_rezalloc(p, 70 * MiB));
  }
}

/* What a heap is charged by grants follows the size. */
static void test_accounts(void** state) {
  (void)state;
  mi_task_t* task = task_new(&arena_main, 1000, false);
  assert_non_null(task);
  mi_task_t* own = task_self();
  task_bind(task);
  char* p = NULL;
  static const size_t sizes[] = {20 * MiB, 90 * MiB + 1, 91 * MiB, 33 * MiB, 2000, 50 * MiB};
  for (int i = 0; i < 6; i++) {
    p = mi_realloc(p, sizes[i]);
    assert_non_null(p);
    if (!CHECKED && i != 4) assert_int_equal(task_bytes(task) / MiB, (sizes[i] + 65535) / MiB);
  }
  task_set_limit(task, task_bytes(task) + 60 * MiB);
  assert_null(mi_realloc(p, 61 * MiB)); /* two blocks do not fit, in any build */
  p = mi_realloc(p, 55 * MiB);
  assert_non_null(p);
  mi_free(p);
  task_bind(own);
  task_delete(task, false);
}

/* ---- Reuse ----------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 40, SLOTS = 3 };

static void* traffic(void* number) {
  uint64_t state = (uintptr_t)number + 1;
  char* p[SLOTS] = {NULL};
  size_t size[SLOTS] = {0};
  for (int i = 0; i < ROUNDS; i++) {
    int k = (int)rnd_from(&state, SLOTS);
    if (p[k] != NULL) check_stamps(p[k], size[k], (uintptr_t)p);
    bool resize = rnd_from(&state, 4) == 0;
    if (!resize) mi_free(p[k]), p[k] = NULL;
    size[k] = MiB + rnd_from(&state, 63 * MiB);
    char* q = mi_realloc(p[k], size[k]);
    if (q == NULL) abort();
    p[k] = q;
    stamp(q, 0, size[k], (uintptr_t)p);
  }
  for (int k = 0; k < SLOTS; k++) mi_free(p[k]);
  return NULL;
}

/* What is kept for reuse is bounded, whatever many threads freed; and none after a collection. */
static void test_traffic(void** state) {
  (void)state;
  pthread_t threads[THREADS];
  mi_collect(true);
  size_t was_mapped = mapped(), was_resident = resident();
  for (uintptr_t i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, traffic, (void*)i), 0);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  if (RESIDENT_TELLS) assert_true(resident() < was_resident + 80 * MiB);
  if (MAPPED_TELLS) assert_true(mapped() < was_mapped + 512 * MiB + 600 * MiB);
  mi_collect(true);
  if (MAPPED_TELLS)
    assert_true(mapped() < was_mapped + 600 * MiB); /* chunks, and threads' stacks */
  assert_true(nothing_lives());
}

/* The mapping of a freed block serves the next; but in checked builds, where a late use is a fault. */
static void test_reuse(void** state) {
  (void)state;
  if (!MAPPED_TELLS || CHECKED) skip();
  mi_collect(true);
  size_t before = mapped();
  mi_free(mi_malloc(100 * MiB));
  mi_free(mi_malloc(20 * MiB));
  size_t kept = mapped();
  assert_true(kept >= before + 120 * MiB);
  for (int i = 0; i < 20; i++) {
    char *p = mi_malloc(98 * MiB), *q = mi_malloc(20 * MiB);
    assert_true(p != NULL && q != NULL && mapped() <= kept);
    mi_free(p);
    mi_free(q);
  }
  mi_collect(true);
  assert_true(mapped() <= before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reuse),   cmocka_unit_test(test_grow_and_shrink),
      cmocka_unit_test(test_zero),    cmocka_unit_test(test_accounts),
      cmocka_unit_test(test_traffic),
  };
  return cmocka_run_group_tests_name("huge", tests, NULL, NULL);
}
