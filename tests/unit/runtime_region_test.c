/* runtime_region_test.c: tasks with repeatable addresses, and what any task leaves behind. A random
** program, whose choices depend on its seed only, notes where its blocks lie; the same offsets must
** come up in each task, thread and build (the line "offsets:"; the runner compares). */
#include "rc_tools.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

/* Resident bytes that may stay; checked builds know something of each page. */
enum { KEPT = (CHECKED ? 6 : 2) << 20 };

static const uint64_t REGION = (uint64_t)4 << 30;
static const rt_config repeatable = {.repeatable_addresses = true};

/* ---- A program that notes addresses ---------------------------------------------------------- */

enum { SLOTS = 400, STEPS = 3000 };
typedef enum origin { NOWHERE, OF_MI, OF_HEAP, OF_RT, OF_RC } origin;
typedef struct slot {
  void* p;
  size_t size;
  origin from;
} slot;

typedef struct program {
  rt_task* task;
  mi_heap_t* heap;
  uint64_t seed, base, checksum;
  slot slots[SLOTS];
} program;

static size_t draw(program* g, size_t n) {
  g->seed ^= g->seed << 13;
  g->seed ^= g->seed >> 7;
  g->seed ^= g->seed << 17;
  return (size_t)(g->seed >> 11) % n;
}

static void slot_clear(slot* s) {
  if (s->from == OF_MI || s->from == OF_HEAP) mi_free(s->p);
  if (s->from == OF_RT) rt_free_sized(s->p, s->size);
  if (s->from == OF_RC) rc_dec(s->p);
  *s = (slot){0};
}

static size_t draw_size(program* g) {
  size_t kind = draw(g, 400);
  if (kind == 0) return 20000000 + draw(g, 6000000); /* beyond a chunk's half */
  if (kind < 10) return 65536 * (1 + draw(g, 20)) + draw(g, 2) * draw(g, 70000);
  if (kind < 40) return draw(g, 60000);
  return draw(g, 500);
}

static void* object(slot* older, size_t words) {
  rc_object* o = rc_alloc(0, words % 50 + 1);
  require(o != NULL, "no memory for an object");
  for (size_t i = 0; i <= words % 50; i++) rc_init(o, i, RC_NIL);
  if (older->from == OF_RC) rc_set(o, 0, rc_from(older->p)), *older = (slot){0};
  return o;
}

static void* make(program* g, origin from, size_t size) {
  switch (from) {
    case OF_MI:
      return draw(g, 4) == 0 ? mi_malloc_aligned(size, 128) : mi_malloc(size);
    case OF_HEAP:
      return mi_heap_malloc(g->heap, size);
    case OF_RT:
      return rt_alloc(size);
    default:
      return object(&g->slots[draw(g, SLOTS)], size / 8);
  }
}

/* The region starts at a multiple of 4 GiB, and rt_offset is the distance from there. */
static void note(program* g, const void* p) {
  uint64_t offset = rt_offset(g->task, p);
  require(offset > 0 && offset == (uintptr_t)p % REGION, "an offset is wrong");
  if (g->base == 0) g->base = (uintptr_t)p - offset;
  require(g->base == (uintptr_t)p - offset, "a block lies outside of the region");
  g->checksum = g->checksum * 31 + offset;
}

static void step(program* g) {
  slot* s = &g->slots[draw(g, SLOTS)];
  size_t size = draw_size(g);
  origin from = (origin)(1 + draw(g, 4));
  slot_clear(s);
  if (draw(g, 3) == 0) return;
  void* p = make(g, from, size);
  require(p != NULL, "no memory in a region");
  slot_clear(s); /* it may have been taken again */
  *s = (slot){p, size, from};
  note(g, p);
}

static uint64_t run_in(rt_task* t, uint64_t start) {
  static _Thread_local program g;
  g = (program){.task = t, .seed = start, .heap = mi_heap_new()};
  require(g.heap != NULL, "no heap");
  for (int i = 0; i < STEPS; i++) {
    step(&g);
    if (i % 750 == 749) mi_collect(i % 1500 == 1499);
  }
  if (draw(&g, 2) == 0) mi_heap_delete(g.heap);
  return g.checksum;
}

/* In a task of its own, which ends full. */
static uint64_t run(uint64_t start) {
  rt_task* t = begin(&repeatable);
  uint64_t sum = run_in(t, start);
  rt_leave();
  require(rt_task_end(t) == 0, "a task could not be ended");
  return sum;
}

static void* run_in_thread(void* sum) {
  *(uint64_t*)sum = run(*(uint64_t*)sum);
  return NULL;
}

/* ---- Offsets repeat -------------------------------------------------------------------------- */

static void test_offsets_repeat(void** state) {
  (void)state;
  uint64_t first = run(1), other = run(2);
  assert_true(first != 0 && first != other);
  printf("offsets: %016llx %016llx\n", (unsigned long long)first, (unsigned long long)other);
  rt_task* between = begin(&repeatable); /* its region takes the place of the first one */
  assert_non_null(mi_malloc(100));
  assert_int_equal(run(1), first);
  assert_int_equal(run(2), other);
  end(between);
}

static uint64_t offset_of_first(size_t size) {
  rt_task* t = begin(&repeatable);
  uint64_t offset = rt_offset(t, rt_alloc(size));
  assert_int_not_equal(offset, 0);
  end(t);
  return offset;
}

/* The first block, too, lies where it does in a region that no task had before. */
static void test_offsets_of_first(void** state) {
  (void)state;
  static const size_t sizes[] = {20, 5000, 100000, 2000000, 20000000, 40000000};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    mi_collect(true);
    uint64_t fresh = offset_of_first(sizes[i]);
    offset_of_first(20);
    assert_int_equal(offset_of_first(sizes[i]), fresh);
    offset_of_first(2000000);
    assert_int_equal(offset_of_first(sizes[i]), fresh);
  }
}

/* In turn with another one, each in its region, and whatever the thread's own task does. */
static void test_offsets_side_by_side(void** state) {
  (void)state;
  enum { BLOCKS = 5000 };
  rt_task* t[2] = {rt_task_new(&repeatable), rt_task_new(&repeatable)};
  assert_true(t[0] != NULL && t[1] != NULL);
  for (int i = 0; i < BLOCKS; i++) {
    size_t size = rnd(rnd(50) == 0 ? 300000 : 1000);
    void* p[2];
    for (int k = 0; k < 2; k++) {
      assert_int_equal(rt_enter(t[k]), 0);
      p[k] = rnd(2) ? rt_alloc(size) : rt_realloc(NULL, 0, size);
      assert_non_null(p[k]);
      if (i % 3 == 0) rt_free_sized(p[k], size);
      rt_leave();
      mi_free(mi_malloc(rnd(3000)));
    }
    assert_true(p[0] != p[1]);
    assert_int_equal(rt_offset(t[0], p[0]), rt_offset(t[1], p[1]));
    assert_int_equal((uint32_t)(uintptr_t)p[0], (uint32_t)(uintptr_t)p[1]);
    assert_int_equal(rt_offset(t[0], p[1]), 0); /* not of its memory */
  }
  for (int k = 0; k < 2; k++) assert_int_equal(rt_task_end(t[k]), 0);
}

static void test_offsets_in_threads(void** state) {
  (void)state;
  enum { THREADS = 3 };
  pthread_t threads[THREADS];
  uint64_t sums[THREADS], sum = run(3);
  for (int i = 0; i < THREADS; i++) {
    sums[i] = 3;
    assert_int_equal(pthread_create(&threads[i], NULL, run_in_thread, &sums[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(sums[i], sum);
  }
  assert_true(nothing_lives());
}

static void test_offset_of_strangers(void** state) {
  (void)state;
  char local = 0;
  rt_task *plain = rt_task_new(NULL), *t = begin(&repeatable);
  void* p = mi_malloc(100);
  assert_true(rt_offset(t, p) > 0);
  assert_int_equal(rt_offset(plain, p), 0);
  assert_int_equal(rt_offset(t, &local), 0);
  assert_int_equal(rt_offset(t, NULL), 0);
  rt_leave();
  void* q = mi_malloc(100);
  assert_int_equal(rt_offset(t, q), 0);
  assert_int_equal(rt_offset(plain, q), 0);
  mi_free(q);
  assert_int_equal(rt_task_end(plain), 0);
  assert_int_equal(rt_task_end(t), 0);
}

/* ---- The end of a region --------------------------------------------------------------------- */

/* 4 GiB and no more. Blocks of 100 MiB take four chunks of 32 MiB each. The debug build would fill
** them. */
static void test_region_is_full(void** state) {
  (void)state;
  if (MI_DEBUG) skip();
  enum { SIZE = 100 << 20, FIT = 32 };
  void* blocks[FIT + 1];
  rt_task* t = begin(&repeatable);
  for (int round = 0; round < 3; round++) {
    int n = 0;
    while (n <= FIT && (blocks[n] = rt_alloc(SIZE)) != NULL) n++;
    assert_in_range(n, FIT - 1, FIT);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(rt_bytes(t), (uint64_t)n * SIZE);
    for (int i = 0; i < n; i++) rt_free_sized(blocks[i], SIZE);
    assert_int_equal(rt_bytes(t), 0);
  }
  assert_non_null(mi_malloc(100));
  end(t);
}

/* ---- Huge blocks that grow ------------------------------------------------------------------- */

static void stamp(unsigned char* p, size_t from, size_t to) {
  for (size_t i = (from + 4095) / 4096 * 4096; i < to; i += 4096) p[i] = (unsigned char)(i >> 14);
}

static void check_stamps(const unsigned char* p, size_t to) {
  for (size_t i = 0; i < to; i += 4096) assert_int_equal(p[i], (unsigned char)(i >> 14));
}

static unsigned char* grown(unsigned char* p, size_t old, size_t size) {
  p = rt_realloc(p, old, size);
  assert_non_null(p);
  check_stamps(p, old);
  stamp(p, old, size);
  return p;
}

/* Where it is while the place behind is free, elsewhere once it is not: alike in all builds. What it
** leaves is given to others. */
static void test_huge_blocks_grow(void** state) {
  (void)state;
  const size_t mib = 1 << 20;
  rt_task* t = begin(&repeatable);
  unsigned char *p = grown(NULL, 0, 20 * mib), *start = p;
  assert_ptr_equal(p = grown(p, 20 * mib, 31 * mib), start);
  assert_ptr_equal(p = grown(p, 31 * mib, 90 * mib), start);
  unsigned char* behind = grown(NULL, 0, 17 * mib);
  assert_true(rt_offset(t, behind) == rt_offset(t, start) + 96 * mib);
  assert_ptr_equal(p = grown(p, 90 * mib, 95 * mib), start);
  assert_ptr_not_equal(p = grown(p, 95 * mib, 100 * mib), start);
  check_stamps(behind, 17 * mib);
  assert_ptr_equal(grown(NULL, 0, 60 * mib), start);
  assert_int_equal(rt_bytes(t), 177 * mib);
  rt_free_sized(p, 100 * mib);
  rt_free_sized(behind, 17 * mib);
  p = mi_rezalloc(mi_zalloc(17 * mib), 120 * mib);
  assert_non_null(p);
  for (size_t i = 0; i < 120 * mib; i += 512) assert_int_equal(p[i], 0);
  end(t);
}

/* ---- What is left ---------------------------------------------------------------------------- */

/* Tasks in turn, some of which end full, and the last lines of the statistics. */
static void check_nothing_is_left(const rt_config* config) {
  enum { TASKS = 100, WARM = 5 };
  size_t mapped_before = 0, resident_before = 0;
  for (int i = 0; i < TASKS + WARM; i++) {
    if (i == WARM) {
      assert_true(nothing_lives());
      mapped_before = mapped();
      resident_before = resident();
    }
    rt_task* t = begin(config);
    for (int k = 0; k < 300; k++) {
      size_t size = rnd(k % 50 == 0 ? 3000000 : 2000);
      char* p = k % 2 ? mi_malloc(size) : rt_alloc(size);
      assert_non_null(p);
      memset(p, 1, size);
    }
    if (i % 10 == 0) assert_non_null(mi_malloc(20 << 20)); /* a mapping of its own */
    rc_dec(list_of(3000));
    mi_heap_t* heap = mi_heap_new();
    assert_true(heap != NULL && mi_heap_malloc(heap, 100) != NULL);
    rt_leave();
    assert_int_equal(rt_task_end(t), 0);
  }
  assert_true(nothing_lives());
  if (MAPPED_TELLS) assert_int_equal(mapped(), mapped_before);
  if (RESIDENT_TELLS) assert_true(resident() < resident_before + KEPT);
}

static void test_tasks_leave_nothing(void** state) {
  (void)state;
  check_nothing_is_left(&repeatable);
  check_nothing_is_left(NULL);
}

/* Many at a time: none takes another one's place. All regions are kept for a second, and some longer, but none
** if that is asked for. */
static void test_many_regions(void** state) {
  (void)state;
  enum { TASKS = 40 };
  rt_task* t[TASKS];
  char* blocks[TASKS];
  size_t before = mapped();
  for (int i = 0; i < TASKS; i++) {
    t[i] = begin(&repeatable);
    blocks[i] = memset(rt_alloc(1000), i, 1000);
    assert_int_equal(rt_offset(t[i], blocks[i]), rt_offset(t[0], blocks[0]));
    rt_leave();
  }
  if (MAPPED_TELLS) assert_true(mapped() >= before + TASKS * REGION);
  for (int i = 0; i < TASKS; i++) {
    for (int k = 0; k < 1000; k++) assert_int_equal(blocks[i][k], i);
    assert_int_equal(rt_task_end(t[i]), 0);
  }
  sleep(2); /* long enough: those that are too many go, some with each that begins or ends */
  for (int i = 0; i < TASKS; i++) end(begin(&repeatable));
  if (MAPPED_TELLS) assert_true(mapped() < before + (TASKS - 5) * REGION);
  mi_collect(true);
  if (MAPPED_TELLS) assert_true(mapped() < before + REGION);
}

/* A region's free memory stays until it is asked for, or the task ends. (Some of what checked builds
** know of blocks, too.) */
static void test_collect_purges_the_region(void** state) {
  (void)state;
  enum { BLOCKS = 60000, SIZE = 1000 };
  if (!RESIDENT_TELLS) skip();
  void** blocks = libc_array(BLOCKS, sizeof *blocks);
  rt_task* t = begin(&repeatable);
  size_t before = resident();
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < BLOCKS; i++) blocks[i] = memset(mi_malloc(SIZE), 1, SIZE);
    assert_true(resident() > before + (size_t)BLOCKS * SIZE);
    for (int i = 0; i < BLOCKS; i++) mi_free(blocks[i]);
    mi_collect(true);
    assert_true(resident() < before + KEPT);
  }
  free(blocks);
  end(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_offsets_repeat),       cmocka_unit_test(test_offsets_of_first),
      cmocka_unit_test(test_offsets_side_by_side), cmocka_unit_test(test_offsets_in_threads),
      cmocka_unit_test(test_offset_of_strangers),  cmocka_unit_test(test_region_is_full),
      cmocka_unit_test(test_huge_blocks_grow),     cmocka_unit_test(test_tasks_leave_nothing),
      cmocka_unit_test(test_many_regions),         cmocka_unit_test(test_collect_purges_the_region),
  };
  return cmocka_run_group_tests_name("runtime region", tests, NULL, NULL);
}
