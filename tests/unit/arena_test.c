/* arena_test.c: arenas of the program. What is checked is what an outsider sees: where blocks lie, how
** many fit, what their bytes are, and what happened to memory that is none of the arena's. */
#include "alloc/mimalloc-stats.h"
#include "alloc/mimalloc.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const size_t KiB = 1024, MiB = 1024 * 1024;
enum { MANY = 300000 };
static unsigned char* block[MANY];

static uint32_t seed = 1;
static uint32_t random_below(uint32_t n) {
  seed = seed * 1664525 + 1013904223;
  return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

typedef struct area {
  mi_arena_id_t id;
  unsigned char* start;
  size_t size;
} area_t;

static area_t area_of(mi_arena_id_t id) {
  area_t a = {.id = id};
  a.start = mi_arena_area(id, &a.size);
  assert_non_null(a.start);
  return a;
}

static area_t reserved(size_t size, bool exclusive) {
  mi_arena_id_t id;
  assert_int_equal(mi_reserve_os_memory_ex(size, false, false, exclusive, &id), 0);
  assert_true(id > 0);
  return area_of(id);
}

/* Wholly, or not at all. */
static bool inside(area_t a, const void* p, size_t size) {
  const unsigned char* q = p;
  bool in = q >= a.start && q < a.start + a.size;
  if (in) assert_true(q + size <= a.start + a.size);
  if (!in) assert_true(q + size <= a.start || q >= a.start + a.size);
  assert_int_equal(mi_arena_contains(a.id, p), in);
  return in;
}

/* Allocates until there is no more; each block lies in the area. */
static int fill(area_t a, mi_heap_t* heap, size_t size) {
  for (int n = 0; n < MANY; n++) {
    errno = 0;
    block[n] = mi_heap_malloc(heap, size);
    if (block[n] == NULL) {
      assert_int_equal(errno, ENOMEM);
      return n;
    }
    assert_true(inside(a, block[n], size));
    memset(block[n], n & 255, size);
  }
  fail_msg("more than %d blocks of %zu bytes", MANY, size);
  return 0;
}

static void free_all(int n, size_t size) {
  for (int i = n - 1; i > 0; i--) {
    int k = (int)random_below((uint32_t)i + 1);
    unsigned char* p = block[i];
    block[i] = block[k];
    block[k] = p;
  }
  for (int i = 0; i < n; i++) {
    for (size_t k = 1; k < size; k += size / 16 + 1) assert_int_equal(block[i][k], block[i][0]);
    mi_free(block[i]);
  }
}

/* ---- A heap of a fixed size ------------------------------------------------------------------ */

static void as_many_again(size_t area_size, size_t size) {
  area_t a = reserved(area_size, true);
  mi_heap_t* heap = mi_heap_new_in_arena(a.id);
  assert_non_null(heap);
  int n = fill(a, heap, size);
  assert_true((size_t)n * size <= a.size && (size_t)(n + 1) * size > a.size / 3);
  unsigned char* other = mi_malloc(size);
  assert_non_null(other);
  assert_false(inside(a, other, size));
  mi_free(other);
  free_all(n, size);
  assert_int_equal(fill(a, heap, size), n);
  free_all(n, size);
  mi_heap_delete(heap);
  heap = mi_heap_new_in_arena(a.id);
  assert_int_equal(fill(a, heap, size), n);
  free_all(n, size);
  mi_heap_delete(heap);
}

static void a_heap_of_a_fixed_size(void** state) {
  (void)state;
  as_many_again(2 * MiB, 16);
  as_many_again(5 * MiB, 1000);
  as_many_again(33 * MiB, 8000);
  as_many_again(40 * MiB, 40000);
  as_many_again(40 * MiB, 100 * KiB);
  as_many_again(100 * MiB, 1 * MiB);
  as_many_again(100 * MiB, 20 * MiB);
  as_many_again(100 * MiB, 98 * MiB);
}

/* What is left of other sizes gives way when memory is short. */
static void sizes_in_turn(void** state) {
  (void)state;
  area_t a = reserved(8 * MiB, true);
  mi_heap_t* heap = mi_heap_new_in_arena(a.id);
  mi_heap_t* beside = mi_heap_new_in_arena(a.id);
  int first = 0;
  for (int round = 0; round < 3; round++)
    for (size_t size = 32; size <= 32 * KiB; size *= 8) {
      int n = fill(a, heap, size);
      free_all(n, size);
      if (size == 32 && round == 0) first = n;
      if (size == 32) assert_int_equal(n, first);
      mi_free(mi_heap_malloc(beside, size));
    }
  mi_heap_delete(beside);
  mi_heap_delete(heap);
}

static void the_least_arena(void** state) {
  (void)state;
  area_t a = reserved(1, true);
  assert_int_equal(a.size, mi_arena_min_size());
  assert_int_equal((uintptr_t)a.start % mi_arena_min_alignment(), 0);
  mi_heap_t* heap = mi_heap_new_in_arena(a.id);
  assert_null(mi_heap_malloc(heap, 100 * KiB));
  int n = fill(a, heap, 512);
  assert_in_range(n, 60, 128);
  free_all(n, 512);
  mi_heap_destroy(heap);
}

static void destroyed_or_not(void** state) {
  (void)state;
  area_t a = reserved(4 * MiB, true);
  mi_heap_t* heap = mi_heap_new_ex(0, true, a.id);
  int n = fill(a, heap, 2000);
  mi_heap_destroy(heap);
  heap = mi_heap_new_in_arena(a.id);
  assert_int_equal(fill(a, heap, 2000), n);
  mi_heap_destroy(heap); /* as delete: the blocks stay */
  heap = mi_heap_new_ex(0, true, a.id);
  assert_null(mi_heap_malloc(heap, 2000));
  free_all(n, 2000);
  assert_int_equal(fill(a, heap, 2000), n);
  mi_heap_destroy(heap);
}

/* Beyond the distance of places, too. */
static void alignments(mi_heap_t* heap, size_t most) {
  for (size_t align = 16; align <= most; align *= 2)
    for (size_t size = 100; size <= 20 * MiB; size *= 200) {
      unsigned char* p = mi_heap_malloc_aligned(heap, size, align);
      assert_non_null(p);
      assert_int_equal((uintptr_t)p % align, 0);
      memset(p, 1, size);
      mi_free(p);
    }
}

static void aligned_blocks(void** state) {
  (void)state;
  area_t a = reserved(1024 * MiB, true);
  mi_heap_t* heap = mi_heap_new_in_arena(a.id);
  alignments(heap, 256 * MiB);
  mi_heap_delete(heap);
  rt_config config = {.repeatable_addresses = true};
  rt_task* task = rt_task_new(&config);
  assert_int_equal(rt_enter(task), 0);
  alignments(mi_heap_get_default(), 1024 * MiB);
  rt_leave();
  assert_int_equal(rt_task_end(task), 0);
}

/* ---- Exclusive and shared -------------------------------------------------------------------- */

/* What a deleted heap leaves has free blocks that nobody else may have. */
static void nobody_else_is_served(void** state) {
  (void)state;
  area_t a = reserved(8 * MiB, true);
  mi_heap_t* heap = mi_heap_new_in_arena(a.id);
  static void* kept[100];
  for (int i = 0; i < 100; i++)
    for (int k = 0; k < 200; k++) {
      void* p = mi_heap_malloc(heap, 256);
      assert_true(inside(a, p, 256));
      if (k == 0)
        kept[i] = p;
      else
        mi_free(p);
    }
  mi_heap_delete(heap);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 50000; i++) {
      block[i] = mi_malloc(i % 50 == 0 ? 20000 : 256);
      assert_false(inside(a, block[i], 256));
    }
    for (int i = 0; i < 50000; i++) mi_free(block[i]);
    void* huge = mi_malloc(17 * MiB);
    assert_false(inside(a, huge, 17 * MiB));
    mi_free(huge);
    mi_collect(true);
  }
  for (int i = 0; i < 100; i++) mi_free(kept[i]);
}

/* Neither takes what the other one freed, nor moves there to be resized. */
static void huge_blocks_stay_apart(void** state) {
  (void)state;
  enum { HUGE = 40 << 20, LARGER = 100 << 20 };
  area_t a = reserved(160 * MiB, true);
  mi_heap_t* heap = mi_heap_new_in_arena(a.id);
  for (int round = 0; round < 3; round++) {
    unsigned char *p = mi_heap_malloc(heap, HUGE), *q = mi_malloc(HUGE);
    assert_true(inside(a, p, HUGE));
    assert_false(inside(a, q, HUGE));
    p[0] = p[HUGE - 1] = q[0] = q[HUGE - 1] = 7;
    assert_null(mi_heap_realloc(heap, p, LARGER));
    p = mi_heap_realloc(heap, p, HUGE - MiB);
    assert_true(inside(a, p, HUGE - MiB));
    q = mi_realloc(q, LARGER);
    assert_false(inside(a, q, LARGER));
    assert_true(p[0] == 7 && q[0] == 7 && q[HUGE - 1] == 7);
    mi_free(q);
    mi_free(p);
    mi_collect(false);
  }
  int n = fill(a, heap, 17 * MiB);
  assert_int_equal(n, 5);
  free_all(n, 17 * MiB);
  void* p = mi_malloc(17 * MiB);
  assert_false(inside(a, p, 17 * MiB));
  mi_free(p);
  mi_heap_delete(heap);
}

/* What was mapped when it was last noted. */
static struct range { uintptr_t start, end; } mapped[2000];
static size_t ranges;

static void note_mappings(void) {
  char line[500];
  FILE* f = fopen("/proc/self/maps", "r");
  assert_non_null(f);
  for (ranges = 0; fgets(line, sizeof line, f) != NULL && ranges < 2000; ranges++)
    mapped[ranges] =
        (struct range){strtoul(line, NULL, 16), strtoul(strchr(line, '-') + 1, NULL, 16)};
  fclose(f);
}

static bool was_mapped(const void* p) {
  for (size_t i = 0; i < ranges; i++)
    if ((uintptr_t)p - mapped[i].start < mapped[i].end - mapped[i].start) return true;
  return false;
}

/* Until there is none, or (until_mapped) one for which the system was asked. */
static int allocate(area_t a, size_t size, int* in_area, bool until_mapped) {
  for (int n = 0;; n++) {
    block[n] = mi_malloc(size);
    if (block[n] == NULL) return n;
    if (inside(a, block[n], size)) ++*in_area;
    if (until_mapped && !was_mapped(block[n])) return n + 1;
  }
}

/* Of the memory that the process has, its own is used first, so that is given back before. */
static void a_shared_arena_comes_first(void** state) {
  (void)state;
  mi_collect(true);
  area_t a = reserved(64 * MiB, false);
  int in_area = 0;
  note_mappings();
  int n = allocate(a, MiB, &in_area, true);
  assert_true(in_area >= 56);
  for (int i = 0; i < n; i++) mi_free(block[i]);
  void* huge = mi_malloc(40 * MiB);
  assert_false(inside(a, huge, 40 * MiB)); /* both places have a chunk */
  mi_free(huge);
  mi_collect(true);
  area_t b = reserved(64 * MiB, false);
  huge = mi_malloc(40 * MiB);
  assert_true(inside(b, huge, 40 * MiB));
  void* beside = mi_malloc(40 * MiB);
  assert_false(inside(b, beside, 40 * MiB));
  mi_free(huge);
  mi_collect(false); /* what waits in the secure build */
  void* again = mi_malloc(60 * MiB);
  assert_true(inside(b, again, 60 * MiB));
  mi_free(beside);
  mi_free(again);
}

static void the_system_is_not_asked(void** state) {
  (void)state;
  area_t a = reserved(64 * MiB, false);
  mi_option_set(mi_option_disallow_os_alloc, 1);
  int in_area = 0;
  int n = allocate(a, MiB, &in_area, false);
  assert_true(in_area >= 56);
  assert_null(mi_malloc(20 * MiB));
  assert_int_equal(errno, ENOMEM);
  mi_option_set(mi_option_disallow_os_alloc, 0);
  void* p = mi_malloc(20 * MiB);
  assert_non_null(p);
  mi_free(p);
  for (int i = 0; i < n; i++) mi_free(block[i]);
  mi_option_set(mi_option_disallow_arena_alloc, 1);
  note_mappings();
  in_area = 0;
  n = allocate(a, MiB, &in_area, true);
  assert_int_equal(in_area, 0);
  p = mi_malloc(20 * MiB);
  assert_false(inside(a, p, 20 * MiB));
  mi_option_set(mi_option_disallow_arena_alloc, 0);
  mi_free(p);
  for (int i = 0; i < n; i++) mi_free(block[i]);
}

/* ---- Managed memory -------------------------------------------------------------------------- */

enum { GARBAGE = 0xa5, FENCE = 0x5a };

static void check_bytes(const unsigned char* p, size_t size, int byte) {
  if (size == 0 || (p[0] == byte && memcmp(p, p + 1, size - 1) == 0)) return;
  for (size_t i = 0; i < size; i++)
    if (p[i] != byte) fail_msg("byte %zu of %zu is %d, not %d", i, size, p[i], byte);
}

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

static size_t resident(const void* p, size_t size) {
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
  assert_true(resident(a.start, a.size) > (size_t)n * 500000);
  free_all(n, 500000);
  mi_heap_collect(heap, true);
  return resident(a.start, a.size);
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

static int lines;
static void count_lines(const char* text, void* arg) {
  (void)arg;
  lines += strchr(text, '\n') != NULL;
}

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

/* ---- Threads --------------------------------------------------------------------------------- */

typedef struct leaver {
  area_t area;
  int tag, blocks;
} leaver_t;

/* Fills the arena with blocks, frees most and ends. */
static void* leave_some(void* arg) {
  leaver_t* l = arg;
  mi_heap_t* heap = mi_heap_new_ex(l->tag, false, l->area.id);
  int n = fill(l->area, heap, 128);
  for (int i = 0; i < n; i++)
    if (i % 100 != 0) mi_free(block[i]);
  l->blocks = n;
  return NULL;
}

static void run(void* (*fn)(void*), void* arg) {
  pthread_t t;
  assert_int_equal(pthread_create(&t, NULL, fn, arg), 0);
  assert_int_equal(pthread_join(t, NULL), 0);
}

static int fit_between(area_t a, mi_heap_t* heap, int n) {
  int more = 0;
  for (int i = 0; i < n; i++) {
    if (i % 100 == 0) continue;
    block[i] = mi_heap_malloc(heap, 128);
    if (block[i] == NULL) continue;
    assert_true(inside(a, block[i], 128));
    more++;
  }
  return more;
}

/* All pages are left with a block: only who adopts them can allocate. */
static void adopted_in_the_arena_only(void** state) {
  (void)state;
  leaver_t l = {.area = reserved(6 * MiB, true), .tag = 5};
  run(leave_some, &l);
  int n = l.blocks, left = (n + 99) / 100;
  static void* elsewhere[40000];
  for (int i = 0; i < 40000; i++) {
    elsewhere[i] = mi_malloc(128);
    assert_false(inside(l.area, elsewhere[i], 128));
  }
  mi_collect(true);
  for (int i = 0; i < 40000; i++) mi_free(elsewhere[i]);
  mi_heap_t* never = mi_heap_new_ex(5, true, l.area.id);
  assert_null(mi_heap_malloc(never, 128));
  mi_heap_t* other = mi_heap_new_ex(4, false, l.area.id);
  assert_null(mi_heap_malloc(other, 128));
  mi_heap_t* heap = mi_heap_new_ex(5, false, l.area.id);
  assert_int_equal(fit_between(l.area, heap, n), n - left);
  assert_null(mi_heap_malloc(heap, 128));
  for (int i = 0; i < n; i++) mi_free(block[i]);
  assert_int_equal(fill(l.area, other, 128), n); /* `heap` does not keep an empty page */
  free_all(n, 128);
  mi_heap_delete(heap);
  mi_heap_delete(other);
  mi_heap_destroy(never);
}

/* In checked builds its blocks have no zones, unlike those of who adopts them. */
static void what_a_task_left_is_adopted(void** state) {
  (void)state;
  area_t a = reserved(MiB, true);
  rt_task* task = rt_task_new(&(rt_config){.repeatable_addresses = true});
  assert_int_equal(rt_enter(task), 0);
  mi_heap_t* heap = mi_heap_new_in_arena(a.id);
  int n = fill(a, heap, 128);
  for (int i = 0; i < n; i++)
    if (i % 100 != 0) mi_free(block[i]);
  mi_heap_delete(heap);
  rt_leave();
  assert_int_equal(rt_task_end(task), 0);
  heap = mi_heap_new_in_arena(a.id);
  assert_int_equal(fit_between(a, heap, n), n - (n + 99) / 100);
  for (int i = 0; i < n; i += 2) mi_free(block[i]);
  for (int i = 0; i < n; i += 2) {
    block[i] = i % 4 ? mi_heap_zalloc(heap, 100) : mi_heap_malloc_aligned(heap, 60, 64);
    if (block[i] != NULL) assert_true(inside(a, block[i], 60));
  }
  for (int i = 0; i < n; i++) mi_free(block[i]);
  mi_heap_delete(heap);
}

static void the_last_free_makes_room(void** state) {
  (void)state;
  leaver_t l = {.area = reserved(6 * MiB, true)};
  run(leave_some, &l);
  for (int i = 0; i < l.blocks; i += 100) mi_free(block[i]);
  mi_heap_t* heap = mi_heap_new_ex(1, true, l.area.id);
  assert_int_equal(fill(l.area, heap, 128), l.blocks);
  mi_heap_destroy(heap);
}

static void* huge_and_end(void* arg) {
  leaver_t* l = arg;
  block[0] = mi_heap_malloc(mi_heap_new_in_arena(l->area.id), 20 * MiB);
  return NULL;
}

static void a_huge_block_is_left(void** state) {
  (void)state;
  leaver_t l = {.area = reserved(40 * MiB, true)};
  mi_heap_t* heap = mi_heap_new_in_arena(l.area.id);
  for (int round = 0; round < 5; round++) {
    run(huge_and_end, &l);
    assert_true(inside(l.area, block[0], 20 * MiB));
    assert_true(mi_is_in_heap_region(block[0] + 19 * MiB));
    assert_null(mi_heap_malloc(heap, 20 * MiB));
    mi_free(block[0]);
  }
  mi_heap_delete(heap);
}

/* Threads with heaps in one arena that free each other's blocks. */
enum { THREADS = 4, SLOTS = 64, ROUNDS = 8000 };
static _Atomic(unsigned char*) slot[SLOTS];
static area_t common;

static void* exchange(void* arg) {
  uint32_t r = (uint32_t)(uintptr_t)arg;
  mi_heap_t* heap = mi_heap_new_in_arena(common.id);
  for (int i = 0; i < ROUNDS; i++) {
    r = r * 1664525 + 1013904223;
    size_t size = 16u << (r >> 8) % (r >> 20 == 7 ? 20 : 10);
    unsigned char* p = i % 512 == 511 ? mi_malloc(size) : mi_heap_malloc(heap, size);
    if (p != NULL) {
      if (inside(common, p, size) != (i % 512 != 511)) abort();
      memset(p, (int)(size >> 4 & 255), size < 512 ? size : 512);
      memcpy(p, &size, sizeof size);
    }
    p = __atomic_exchange_n((unsigned char**)&slot[r >> 12 & (SLOTS - 1)], p, __ATOMIC_ACQ_REL);
    if (p == NULL) continue;
    memcpy(&size, p, sizeof size);
    for (size_t k = sizeof size; k < size && k < 512; k++)
      if (p[k] != (size >> 4 & 255)) abort();
    mi_free(p);
  }
  if ((uintptr_t)arg % 2 == 0) mi_heap_delete(heap);
  return NULL;
}

static void heaps_of_many_threads(void** state) {
  (void)state;
  common = reserved(40 * MiB, true);
  mi_heap_t* heap = mi_heap_new_ex(9, true, common.id);
  int n = fill(common, heap, 1000);
  free_all(n, 1000);
  mi_heap_destroy(heap);
  pthread_t t[THREADS];
  for (int round = 0; round < 3; round++) {
    for (uintptr_t i = 0; i < THREADS; i++)
      assert_int_equal(pthread_create(&t[i], NULL, exchange, (void*)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
  }
  for (int i = 0; i < SLOTS; i++) mi_free(slot[i]);
  heap = mi_heap_new_ex(9, true, common.id);
  assert_int_equal(fill(common, heap, 1000), n);
  mi_heap_destroy(heap);
}

static _Atomic bool stop;
static void* grow_and_shrink(void* arg) {
  mi_heap_t* heap = mi_heap_new_in_arena(*(mi_arena_id_t*)arg);
  while (!stop) {
    mi_free(mi_heap_malloc(heap, 20 * MiB));
    mi_heap_collect(heap, false); /* what waits in the secure build */
  }
  return NULL;
}

static void a_child_has_the_arenas(void** state) {
  (void)state;
  area_t a = reserved(100 * MiB, true);
  pthread_t t;
  stop = false;
  assert_int_equal(pthread_create(&t, NULL, grow_and_shrink, &a.id), 0);
  for (int i = 0; i < 20; i++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(30);
      unsigned char* p = mi_heap_malloc(mi_heap_new_in_arena(a.id), 20 * MiB);
      mi_arena_id_t id;
      bool ok = p >= a.start && p + 20 * MiB <= a.start + a.size;
      ok = ok && mi_reserve_os_memory_ex(40 * MiB, false, false, true, &id) == 0;
      mi_free(p);
      _exit(ok && mi_heap_malloc(mi_heap_new_in_arena(id), 1000) != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
  }
  stop = true;
  pthread_join(t, NULL);
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

/* Its end frees what it has in the arena; what a deleted heap left lives on. */
static void a_task_with_a_heap_in_an_arena(void** state) {
  (void)state;
  area_t a = reserved(8 * MiB, true);
  int first = 0;
  for (int round = 0; round < 4; round++) {
    rt_config config = {.repeatable_addresses = round % 2 == 1, .bytes = 6 * MiB, .grace_bytes = 1};
    rt_task* task = rt_task_new(&config);
    assert_non_null(task);
    assert_int_equal(rt_enter(task), 0);
    mi_heap_t* heap = mi_heap_new_in_arena(a.id);
    int n = fill(a, heap, 3000); /* the task's limit is below what the arena has */
    assert_true((size_t)n * 3000 < 6 * MiB + 64 * KiB);
    if (round == 0) first = n;
    assert_int_equal(n, first);
    mi_heap_t* deleted = mi_heap_new_in_arena(a.id);
    for (int i = 0; i < 500; i++) mi_free(block[i]);
    unsigned char* p = mi_heap_malloc(deleted, 50000);
    assert_true(inside(a, p, 50000));
    memset(p, 1, 50000);
    mi_heap_delete(deleted);
    rt_leave();
    assert_int_equal(rt_task_end(task), 0);
    check_bytes(p, 50000, 1);
    mi_free(p);
  }
  mi_heap_t* heap = mi_heap_new_in_arena(a.id);
  int n = fill(a, heap, 3000);
  assert_true((size_t)n * 3000 > 5 * MiB + 512 * KiB);
  free_all(n, 3000);
}

/* ---- Who looks for blocks finds them --------------------------------------------------------- */

enum { BLOCK = 5120, BLOCKS = 100 }; /* of a size class's size */

static mi_stats_t statistics(mi_heap_t* heap) {
  mi_stats_t s;
  mi_stats_init(&s);
  assert_true(heap != NULL ? mi_heap_stats_get(heap, &s) : mi_stats_get(&s));
  return s;
}

/* A heap in the arena has that many of the blocks, and so many bytes above 64 KiB: and the process
** more than before. */
static void check_statistics(mi_heap_t* heap, const mi_stats_t* before, int64_t n, int64_t large) {
  mi_stats_t all = statistics(NULL), own = statistics(heap);
  assert_int_equal(own.malloc_normal.current, n * BLOCK);
  assert_int_equal(own.malloc_huge.current, large);
  assert_int_equal(all.malloc_normal.current - before->malloc_normal.current, n * BLOCK);
  assert_int_equal(all.malloc_huge.current - before->malloc_huge.current, large);
}

static void statistics_know_them(void** state) {
  (void)state;
  area_t a = reserved(64 * MiB, true);
  mi_heap_t* heap = mi_heap_new_ex(0, true, a.id);
  mi_stats_t before = statistics(NULL);
  for (int i = 0; i < BLOCKS; i++) block[i] = mi_heap_malloc(heap, BLOCK);
  block[BLOCKS] = mi_heap_malloc(heap, 20 * MiB);
  check_statistics(heap, &before, BLOCKS, (int64_t)(20 * MiB));
  for (int i = 1; i <= BLOCKS; i++) mi_free(block[i]);
  check_statistics(heap, &before, 1, 0);
  mi_free(block[0]);
  check_statistics(heap, &before, 0, 0);
  mi_heap_destroy(heap);
}

/* Its first heap is in a region, which nobody else walks, and takes blocks over that lie elsewhere. */
static void statistics_of_a_task_know_them(void** state) {
  (void)state;
  area_t a = reserved(16 * MiB, false);
  rt_task* task = rt_task_new(&(rt_config){.repeatable_addresses = true});
  assert_int_equal(rt_enter(task), 0);
  mi_heap_t *first = mi_heap_get_backing(), *heap = mi_heap_new_ex(0, true, a.id);
  mi_stats_t before = statistics(NULL);
  for (int i = 0; i < BLOCKS; i++) block[i] = mi_heap_malloc(heap, BLOCK);
  assert_true(inside(a, block[0], BLOCK));
  check_statistics(heap, &before, BLOCKS, 0);
  mi_heap_delete(heap);
  check_statistics(first, &before, BLOCKS, 0);
  block[BLOCKS] = mi_heap_malloc(first, BLOCK);
  check_statistics(first, &before, BLOCKS + 1, 0);
  for (int i = 0; i <= BLOCKS; i++) mi_free(block[i]);
  check_statistics(first, &before, 0, 0);
  rt_leave();
  assert_int_equal(rt_task_end(task), 0);
}

static void* leave_blocks(void* arg) {
  leaver_t* l = arg;
  mi_heap_t* heap = mi_heap_new_ex(l->tag, false, l->area.id);
  for (int i = 0; i < l->blocks; i++)
    block[i] = mi_heap_malloc(heap, i == 0 ? 20 * MiB : i == 1 ? MiB : BLOCK);
  return NULL;
}

typedef struct met {
  area_t area;
  int blocks, other_tags;
} met_t;

static bool meet(const mi_heap_t* heap, const mi_heap_area_t* area, void* p, size_t size,
                 void* arg) {
  (void)heap, (void)size;
  met_t* m = arg;
  if (p == NULL || !inside(m->area, p, 1)) return true;
  m->blocks++;
  m->other_tags += area->heap_tag != 5;
  return true;
}

static int met_with_tag(area_t a, int tag) {
  met_t m = {.area = a};
  assert_true(mi_abandoned_visit_blocks(mi_subproc_main(), tag, true, meet, &m));
  assert_int_equal(m.other_tags, 0);
  return m.blocks;
}

static int met_by(area_t a, mi_heap_t* heap) {
  met_t m = {.area = a};
  assert_true(mi_heap_visit_abandoned_blocks(heap, true, meet, &m));
  return m.blocks;
}

static void what_is_left_is_visited(void** state) {
  (void)state;
  leaver_t l = {.area = reserved(64 * MiB, true), .tag = 5, .blocks = BLOCKS};
  area_t other = reserved(MiB, true);
  run(leave_blocks, &l);
  mi_option_enable(mi_option_visit_abandoned);
  assert_int_equal(met_with_tag(l.area, 5), BLOCKS);
  assert_int_equal(met_with_tag(l.area, -1), BLOCKS);
  assert_int_equal(met_with_tag(l.area, 0), 0);
  mi_heap_t* heaps[] = {mi_heap_new_ex(5, false, l.area.id), mi_heap_new_ex(5, true, l.area.id),
                        mi_heap_new_ex(4, false, l.area.id), mi_heap_new_ex(5, false, other.id)};
  for (int i = 0; i < 4; i++) assert_int_equal(met_by(l.area, heaps[i]), i == 0 ? BLOCKS : 0);
  assert_int_equal(met_by(l.area, mi_heap_get_backing()), 0);
  mi_collect(true); /* the first heap adopts those of a size class */
  assert_int_equal(met_with_tag(l.area, 5), 2);
  mi_option_disable(mi_option_visit_abandoned);
  for (int i = 0; i < BLOCKS; i++) mi_free(block[i]);
  for (int i = 0; i < 4; i++) mi_heap_delete(heaps[i]);
}

static void the_list(void** state) {
  (void)state;
  mi_arena_id_t last = 0;
  assert_int_equal(mi_reserve_os_memory_ex(MiB, true, false, false, &last), 0);
  lines = 0;
  mi_register_output(count_lines, NULL);
  mi_arenas_print();
  assert_int_equal(lines, last + 1);
  mi_debug_show_arenas();
  assert_int_equal(lines, 2 * (last + 1));
  mi_register_output(NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_heap_of_a_fixed_size),
      cmocka_unit_test(sizes_in_turn),
      cmocka_unit_test(the_least_arena),
      cmocka_unit_test(destroyed_or_not),
      cmocka_unit_test(aligned_blocks),
      cmocka_unit_test(nobody_else_is_served),
      cmocka_unit_test(huge_blocks_stay_apart),
      cmocka_unit_test(garbage_is_cleared),
      cmocka_unit_test(pinned_memory_stays),
      cmocka_unit_test(memory_of_a_file),
      cmocka_unit_test(memory_that_is_not_committed),
      cmocka_unit_test(committed_by_the_program),
      cmocka_unit_test(what_is_refused),
      cmocka_unit_test(adopted_in_the_arena_only),
      cmocka_unit_test(what_a_task_left_is_adopted),
      cmocka_unit_test(the_last_free_makes_room),
      cmocka_unit_test(a_huge_block_is_left),
      cmocka_unit_test(heaps_of_many_threads),
      cmocka_unit_test(a_child_has_the_arenas),
      cmocka_unit_test(a_task_with_a_heap_in_an_arena),
      cmocka_unit_test(a_shared_arena_comes_first),
      cmocka_unit_test(the_system_is_not_asked),
      cmocka_unit_test(statistics_know_them),
      cmocka_unit_test(statistics_of_a_task_know_them),
      cmocka_unit_test(what_is_left_is_visited),
      cmocka_unit_test(the_list),
  };
  if (getenv("ONLY") != NULL) cmocka_set_test_filter(getenv("ONLY"));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
