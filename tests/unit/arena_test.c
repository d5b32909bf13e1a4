/* arena_test.c: arenas of the program that it reserves: heaps of a fixed size, and who else is served. What is
** checked is what an outsider sees: where blocks lie, how many fit, what their bytes are. */
#include "runtime/runtime.h"
#include "tests/unit/arena_tools.h"

#include <stdio.h>

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
static struct range { uintptr_t start, end; } range[2000];
static size_t ranges;

static void note_mappings(void) {
  char line[500];
  FILE* f = fopen("/proc/self/maps", "r");
  assert_non_null(f);
  for (ranges = 0; fgets(line, sizeof line, f) != NULL && ranges < 2000; ranges++)
    range[ranges] =
        (struct range){strtoul(line, NULL, 16), strtoul(strchr(line, '-') + 1, NULL, 16)};
  fclose(f);
}

static bool was_mapped(const void* p) {
  for (size_t i = 0; i < ranges; i++)
    if ((uintptr_t)p - range[i].start < range[i].end - range[i].start) return true;
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

/* ---- The list ------------------------------------------------------------------------------- */

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
      cmocka_unit_test(a_heap_of_a_fixed_size),  cmocka_unit_test(sizes_in_turn),
      cmocka_unit_test(the_least_arena),         cmocka_unit_test(destroyed_or_not),
      cmocka_unit_test(aligned_blocks),          cmocka_unit_test(nobody_else_is_served),
      cmocka_unit_test(huge_blocks_stay_apart),  cmocka_unit_test(a_shared_arena_comes_first),
      cmocka_unit_test(the_system_is_not_asked), cmocka_unit_test(the_list),
  };
  return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
