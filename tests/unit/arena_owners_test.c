/* arena_owners_test.c: what threads, tasks and forks have and leave in arenas of the program, and that who
** looks for blocks finds them there. */
#include "alloc/mimalloc-stats.h"
#include "runtime/runtime.h"
#include "tests/unit/arena_tools.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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
  uint64_t r = (uintptr_t)arg;
  mi_heap_t* heap = mi_heap_new_in_arena(common.id);
  for (int i = 0; i < ROUNDS; i++) {
    size_t size = (size_t)16 << rnd_from(&r, rnd_from(&r, 4000) == 0 ? 20 : 10);
    unsigned char* p = i % 512 == 511 ? mi_malloc(size) : mi_heap_malloc(heap, size);
    if (p != NULL) {
      if (inside(common, p, size) != (i % 512 != 511)) abort();
      memset(p, (int)(size >> 4 & 255), size < 512 ? size : 512);
      memcpy(p, &size, sizeof size);
    }
    p = atomic_exchange_explicit(&slot[rnd_from(&r, SLOTS)], p, memory_order_acq_rel);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(adopted_in_the_arena_only),
      cmocka_unit_test(what_a_task_left_is_adopted),
      cmocka_unit_test(the_last_free_makes_room),
      cmocka_unit_test(a_huge_block_is_left),
      cmocka_unit_test(heaps_of_many_threads),
      cmocka_unit_test(a_child_has_the_arenas),
      cmocka_unit_test(a_task_with_a_heap_in_an_arena),
      cmocka_unit_test(statistics_know_them),
      cmocka_unit_test(statistics_of_a_task_know_them),
      cmocka_unit_test(what_is_left_is_visited),
  };
  return cmocka_run_group_tests_name("arena owners", tests, NULL, NULL);
}
