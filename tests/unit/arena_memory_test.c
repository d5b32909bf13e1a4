/* arena_memory_test.c: memory that the program has and gives us to manage: with garbage in it, pinned, of a
** file, not committed, committed by the program; and what is refused. */
#include "tests/unit/arena_tools.h"

#include <sys/mman.h>
#include <unistd.h>

enum { GARBAGE = 0xa5, FENCE = 0x5a };

/* ---- Managed memory -------------------------------------------------------------------------- */

/* Blocks of many sizes are zero when they are new and when they are used again. */
static void check_zeroed(area_t a, mi_heap_t* heap) {
  static const size_t sizes[] = {16, 200, 5000, 60000, 300000, 3000000, 17000000, 34000000};
  for (int round = 0; round < 3; round++) {
    for (int i = 6; i < 8; i++) {
      unsigned char* huge = mi_heap_zalloc(heap, sizes[i]);
      if (huge == NULL) continue;
      assert_true(inside(a, huge, sizes[i]));
      check_bytes(huge, sizes[i], 0);
      memset(huge, GARBAGE, sizes[i]);
      mi_free(huge);
    }
    for (int i = 0; i < 200; i++) {
      size_t size = sizes[i % 6];
      block[i] = mi_heap_zalloc(heap, size);
      if (block[i] == NULL) continue;
      assert_true(inside(a, block[i], size));
      check_bytes(block[i], size, 0);
      memset(block[i], GARBAGE, size);
    }
    for (int i = 0; i < 200; i++) mi_free(block[i]);
    mi_heap_collect(heap, round > 0);
  }
}

static unsigned char* map(size_t size, int prot, int flags, int fd) {
  unsigned char* p = mmap(NULL, size, prot, flags, fd, 0);
  assert_true(p != MAP_FAILED);
  return p;
}

/* Memory with garbage, in the middle of what is not given away, at no nice address. */
static void garbage_within_a_fence(bool pinned) {
  size_t whole = 190 * MiB, lead = 3 * MiB + 4096, size = 180 * MiB + 12345;
  unsigned char* p = map(whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memset(p, FENCE, whole);
  memset(p + lead, GARBAGE, size);
  mi_arena_id_t id;
  assert_true(mi_manage_os_memory_ex(p + lead, size, true, pinned, false, -1, true, &id));
  area_t a = area_of(id);
  assert_true(a.start >= p + lead && a.start + a.size <= p + lead + size);
  assert_true(a.start < p + lead + 32 * MiB && a.size > size - 33 * MiB);
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  check_zeroed(a, heap);
  mi_heap_delete(heap);
  check_bytes(p, lead, FENCE);
  check_bytes(p + lead + size, whole - lead - size, FENCE);
  check_bytes(p + lead, (size_t)(a.start - p) - lead, GARBAGE);
  check_bytes(a.start + a.size, (size_t)(p + lead + size - a.start) - a.size, GARBAGE);
}

static size_t resident_in(const void* p, size_t size) {
  static unsigned char pages[100000];
  size_t n = 0;
  assert_int_equal(mincore((void*)p, size, pages), 0);
  for (size_t i = 0; i < size / 4096; i++) n += pages[i] & 1;
  return n * 4096;
}

static void garbage_is_cleared(void** state) {
  (void)state;
  garbage_within_a_fence(false);
  garbage_within_a_fence(true);
}

/* After all blocks are freed and collected. */
static size_t resident_at_the_end(bool pinned) {
  size_t size = 96 * MiB;
  unsigned char* p = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  mi_arena_id_t id;
  assert_true(mi_manage_os_memory_ex(p, size, true, pinned, true, -1, true, &id));
  area_t a = area_of(id);
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  int n = fill(a, heap, 500000);
  assert_true(n > 100);
  assert_true(resident_in(a.start, a.size) > (size_t)n * 500000);
  free_all(n, 500000);
  mi_heap_collect(heap, true);
  return resident_in(a.start, a.size);
}

static void pinned_memory_stays(void** state) {
  (void)state;
  assert_true(resident_at_the_end(true) > 50 * MiB);
  assert_true(resident_at_the_end(false) < 2 * MiB);
}

/* Purged, it would come back with what was in the file. */
static void memory_of_a_file(void** state) {
  (void)state;
  int fd = memfd_create("arena", 0);
  assert_int_equal(ftruncate(fd, 128 * 1024 * 1024), 0);
  for (int flags = MAP_SHARED; flags >= 0; flags = flags == MAP_SHARED ? MAP_PRIVATE : -1) {
    unsigned char* p = map(128 * MiB, PROT_READ | PROT_WRITE, flags, fd);
    memset(p, flags == MAP_SHARED ? GARBAGE : 0, 128 * MiB);
    mi_arena_id_t id;
    bool zero = flags == MAP_PRIVATE;
    assert_true(mi_manage_os_memory_ex(p, 128 * MiB, true, false, zero, -1, true, &id));
    mi_heap_t* heap = mi_heap_new_in_arena(id);
    check_zeroed(area_of(id), heap);
  }
  close(fd);
}

static void memory_that_is_not_committed(void** state) {
  (void)state;
  unsigned char* p = map(128 * MiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  mi_arena_id_t id;
  assert_true(mi_manage_os_memory_ex(p, 128 * MiB, false, false, true, -1, true, &id));
  check_zeroed(area_of(id), mi_heap_new_in_arena(id));
}

static struct committer {
  area_t area;
  unsigned char committed[8]; /* each 32 MiB of the area */
  int commits, decommits, allowed;
  bool lies_dirty;
} committer;

static bool commit(bool on, void* start, size_t size, bool* is_zero, void* arg) {
  struct committer* c = arg;
  size_t offset = (size_t)((unsigned char*)start - c->area.start), place = offset / (32 * MiB);
  if (c->allowed-- <= 0) return false;
  assert_true(offset % (32 * MiB) == 0 && size <= 32 * MiB && offset + size <= c->area.size);
  assert_int_equal(c->committed[place], !on);
  c->committed[place] = on;
  ++*(on ? &c->commits : &c->decommits);
  if (!on) return mprotect(start, size, PROT_NONE) == 0;
  if (mprotect(start, size, PROT_READ | PROT_WRITE) != 0) return false;
  memset(start, c->lies_dirty ? GARBAGE : 0, size);
  *is_zero = !c->lies_dirty;
  return true;
}

static void committed_by_the_program(void** state) {
  (void)state;
  for (int round = 0; round < 2; round++) {
    unsigned char* p = map(160 * MiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    size_t skip = -(uintptr_t)p % (32 * MiB);
    struct committer* c = &committer;
    *c = (struct committer){.allowed = 0, .lies_dirty = round == 1};
    assert_true(
        mi_manage_memory(p, 160 * MiB, false, false, true, -1, true, commit, c, &c->area.id));
    c->area = area_of(c->area.id);
    assert_ptr_equal(c->area.start, p + skip);
    mi_heap_t* heap = mi_heap_new_in_arena(c->area.id);
    assert_null(mi_heap_malloc(heap, 1000));
    assert_int_equal(errno, ENOMEM);
    c->allowed = 0; /* a huge block's memory that cannot be decommitted is used again */
    for (int i = 0; i < 3; i++) {
      c->allowed = 1;
      unsigned char* huge = mi_heap_zalloc(heap, 17 * MiB);
      assert_non_null(huge);
      c->allowed = 0;
      check_bytes(huge, 17 * MiB, 0);
      memset(huge, GARBAGE, 17 * MiB);
      mi_free(huge);
    }
    c->allowed = 1000;
    check_zeroed(c->area, heap);
    assert_true(c->commits > 0 && c->decommits > 0);
  }
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static void refuse(void* p, size_t size) {
  mi_arena_id_t id = 7;
  errno = 0;
  int before = lines;
  assert_false(mi_manage_os_memory_ex(p, size, true, false, false, -1, true, &id));
  assert_int_equal(errno, EINVAL);
  assert_int_equal(id, 0);
  assert_int_equal(lines, before + 1);
}

static void what_is_refused(void** state) {
  (void)state;
  mi_register_output(count_lines, NULL);
  unsigned char* p = map(80 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  unsigned char* q = p + (-(uintptr_t)p & (32 * MiB - 1));
  memset(p, GARBAGE, 80 * MiB);
  refuse(NULL, 64 * MiB);
  refuse(q, 0);
  refuse(q, 127 * KiB);
  refuse(q + 1, 32 * MiB + 127 * KiB - 1);
  refuse(q, SIZE_MAX);
  refuse((void*)(UINTPTR_MAX - 64 * MiB + 1), 64 * MiB);
  check_bytes(p, 80 * MiB, GARBAGE);
  mi_arena_id_t id;
  assert_true(mi_manage_os_memory_ex(q, 128 * KiB, true, false, false, -1, true, &id));
  refuse(q, 128 * KiB);
  refuse(q, 40 * MiB);
  area_t a = area_of(id);
  void* used = mi_malloc(5000);
  refuse((void*)((uintptr_t)used & -(32 * MiB)), 64 * MiB);
  mi_free(used);
  check_bytes(q + 128 * KiB, (size_t)(p + 80 * MiB - q) - 128 * KiB, GARBAGE);
  assert_int_equal(fill(a, mi_heap_new_in_arena(id), 60000), 0); /* such pages have 8 slices */
  mi_register_output(NULL, NULL);

  size_t size = 1;
  assert_null(mi_arena_area(100000, &size));
  assert_int_equal(size, 0);
  assert_null(mi_arena_area(-1, NULL));
  assert_false(mi_arena_contains(100000, p));
  assert_false(mi_arena_contains(0, p));
  assert_null(mi_heap_new_in_arena(100000));
  assert_int_equal(errno, EINVAL);
  errno = 0;
  assert_null(mi_heap_new_ex(256, true, 0));
  assert_int_equal(errno, EINVAL);
  assert_null(mi_heap_new_ex(-1, true, 0));
  assert_int_equal(mi_reserve_os_memory(0, true, false), EINVAL);
  id = 7;
  assert_int_equal(mi_reserve_os_memory_ex(SIZE_MAX, true, false, true, &id), ENOMEM);
  assert_int_equal(id, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(garbage_is_cleared),       cmocka_unit_test(pinned_memory_stays),
      cmocka_unit_test(memory_of_a_file),         cmocka_unit_test(memory_that_is_not_committed),
      cmocka_unit_test(committed_by_the_program), cmocka_unit_test(what_is_refused),
  };
  return cmocka_run_group_tests_name("arena memory", tests, NULL, NULL);
}
