/* huge_pages_test.c: memory in huge pages, on a machine that may have none: this program's own mmap
** has as many as it says and gives ordinary ones, or asks the system. */
#include "alloc/mimalloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static const size_t MiB = 1024 * 1024, GiB = 1024 * 1024 * 1024;
static int gib_pages, gib_mapped, large_mapped, large_allowed, delay_ms, purges;

static bool counted(int flags, size_t size) {
  bool gib = (flags >> MAP_HUGE_SHIFT & 63) == 30;
  assert_int_equal(gib ? size : size % (2 * MiB), gib ? GiB : 0);
  if (gib ? gib_pages-- <= 0 : !large_allowed) return false;
  ++*(gib ? &gib_mapped : &large_mapped);
  return true;
}

void* mmap(void* p, size_t size, int prot, int flags, int fd, off_t offset) {
  if (flags & MAP_HUGETLB) {
    struct timespec t = {.tv_nsec = delay_ms * 1000000L};
    nanosleep(&t, NULL);
    if (!counted(flags, size)) {
      errno = ENOMEM;
      return MAP_FAILED;
    }
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  }
  return (void*)syscall(SYS_mmap, p, size, prot, flags, fd, offset);
}

static unsigned char *watched, *watched_end;
int madvise(void* p, size_t size, int advice) {
  if (advice == MADV_DONTNEED && (unsigned char*)p >= watched && (unsigned char*)p < watched_end)
    purges++;
  return (int)syscall(SYS_madvise, p, size, advice);
}

/* What is used and freed there is not given back. */
static void is_pinned_and_works(mi_arena_id_t id, size_t size) {
  size_t have;
  watched = mi_arena_area(id, &have);
  watched_end = watched + have;
  assert_int_equal(have, size);
  purges = 0;
  mi_heap_t* heap = mi_heap_new_ex(0, true, id);
  for (int round = 0; round < 2; round++) {
    for (size_t block = 16; block < 40 * MiB; block *= 4) {
      unsigned char* p = mi_heap_zalloc(heap, block);
      if (p == NULL) continue;
      assert_true(p >= watched && p + block <= watched_end);
      for (size_t i = 0; i < block; i++) assert_int_equal(p[i], 0);
      memset(p, 1, block);
      mi_free(p);
    }
    mi_heap_collect(heap, true);
  }
  mi_heap_destroy(heap);
  mi_collect(true);
  assert_int_equal(purges, 0);
}

static void as_many_as_asked_for(void** state) {
  (void)state;
  mi_arena_id_t id;
  gib_pages = 3;
  assert_int_equal(mi_reserve_huge_os_pages_at_ex(2, -1, 0, true, &id), 0);
  assert_int_equal(gib_mapped, 2);
  is_pinned_and_works(id, 2 * GiB);
}

static void fewer(void** state) {
  (void)state;
  mi_arena_id_t id;
  gib_pages = 1;
  assert_int_equal(mi_reserve_huge_os_pages_at_ex(2, 0, 0, true, &id), ENOMEM);
  is_pinned_and_works(id, GiB);
  gib_pages = 0;
  id = 7;
  assert_int_equal(mi_reserve_huge_os_pages_at_ex(2, 0, 0, true, &id), ENOMEM);
  assert_int_equal(id, 0);
  assert_int_equal(mi_reserve_huge_os_pages_at(1, -1, 0), ENOMEM);
  assert_int_equal(mi_reserve_huge_os_pages_interleave(1, 0, 0), ENOMEM);
  assert_int_equal(mi_reserve_huge_os_pages_at((size_t)1 << 40, -1, 0), ENOMEM);
  assert_int_equal(mi_reserve_huge_os_pages_at(0, -1, 0), 0);
  size_t got = 7;
  gib_pages = 2;
  assert_int_equal(mi_reserve_huge_os_pages(3, 0, &got), ENOMEM);
  assert_int_equal(got, 2);
}

static void too_slow(void** state) {
  (void)state;
  mi_arena_id_t id;
  gib_pages = 100;
  gib_mapped = 0;
  delay_ms = 20;
  assert_int_equal(mi_reserve_huge_os_pages_at_ex(50, -1, 100, true, &id), ETIMEDOUT);
  assert_true(gib_mapped > 0 && gib_mapped < 50);
  size_t size;
  assert_non_null(mi_arena_area(id, &size));
  assert_int_equal(size, (size_t)gib_mapped * GiB);
  delay_ms = 0;
}

/* Shared, one arena for each node, evenly. */
static void over_nodes(void** state) {
  (void)state;
  mi_arena_id_t before, after;
  assert_int_equal(mi_reserve_os_memory_ex(1, true, false, true, &before), 0);
  gib_pages = 5;
  assert_int_equal(mi_reserve_huge_os_pages_interleave(5, 3, 0), 0);
  assert_int_equal(mi_reserve_os_memory_ex(1, true, false, true, &after), 0);
  assert_int_equal(after, before + 4);
  for (int i = 1; i <= 3; i++) {
    size_t size;
    assert_non_null(mi_arena_area(before + i, &size));
    assert_int_equal(size, (i < 3 ? 2 : 1) * GiB);
  }
}

static void large_pages(void** state) {
  (void)state;
  mi_arena_id_t id;
  large_allowed = 1;
  assert_int_equal(mi_reserve_os_memory_ex(63 * MiB, false, true, true, &id), 0);
  assert_int_equal(large_mapped, 1);
  is_pinned_and_works(id, 64 * MiB);
  large_allowed = 0;
  assert_int_equal(mi_reserve_os_memory_ex(63 * MiB, true, true, true, &id), 0);
  size_t size;
  assert_non_null(mi_arena_area(id, &size));
  assert_int_equal(size, 63 * MiB);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(as_many_as_asked_for),
      cmocka_unit_test(fewer),
      cmocka_unit_test(too_slow),
      cmocka_unit_test(over_nodes),
      cmocka_unit_test(large_pages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
