/* runtime_compact_test.c: tasks whose first blocks lie side by side: contents, figures and addresses
** against a model; how much is resident. */
#include "rc_tools.h"

#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>

#include <cmocka.h>

#include "runtime/runtime.h"
#include "tests/unit/runtime_copies.h"

/* ---- A random program: each block is filled with its slot's number --------------------------- */

enum { SLOTS = 600, STEPS = 40000 };
typedef struct program {
  rt_task* task;
  uint64_t seed, held, checksum;
  struct {
    unsigned char* p;
    size_t size;
  } slots[SLOTS];
} program;

static size_t draw(program* g, uint64_t n) { return (size_t)rnd_from(&g->seed, n); }

static size_t draw_size(program* g) {
  size_t kind = draw(g, 100);
  return kind < 80 ? draw(g, 130) : kind < 98 ? draw(g, 2000) : draw(g, 9000);
}

static void fill(program* g, size_t i, size_t from) {
  unsigned char* p = g->slots[i].p;
  assert_int_equal((uintptr_t)p % (g->slots[i].size > 8 ? 16 : 8), 0);
  for (size_t k = from; k < g->slots[i].size; k++) p[k] = (unsigned char)(i * 7 + k);
}
static void check(const program* g, size_t i, size_t size) {
  for (size_t k = 0; k < size; k++)
    if (g->slots[i].p[k] != (unsigned char)(i * 7 + k)) fail_msg("block %zu differs at %zu", i, k);
}

static void step(program* g) {
  size_t i = draw(g, SLOTS), size = draw_size(g), old = g->slots[i].size;
  if (g->slots[i].p == NULL) {
    g->slots[i].p = rt_alloc(size);
    old = 0;
  } else if (draw(g, 2) == 0) {
    check(g, i, old);
    rt_free_sized(g->slots[i].p, old);
    g->slots[i].p = NULL;
    g->slots[i].size = 0;
    g->held -= old;
    return;
  } else {
    g->slots[i].p = rt_realloc(g->slots[i].p, old, size);
    check(g, i, old < size ? old : size);
  }
  assert_non_null(g->slots[i].p);
  g->slots[i].size = size;
  fill(g, i, old < size ? old : size);
  g->held += size - old;
  g->checksum = (g->checksum ^ rt_offset(g->task, g->slots[i].p)) * 1099511628211u;
}

static void run(program* programs, int n, bool repeatable) {
  for (int k = 0; k < n; k++)
    programs[k] = (program){.task = compact(repeatable), .seed = 88172645463325252u};
  for (int round = 0; round < STEPS / 100; round++) {
    for (int k = 0; k < n; k++) {
      assert_int_equal(rt_enter(programs[k].task), 0);
      for (int i = 0; i < 100; i++) step(&programs[k]);
      assert_int_equal(rt_bytes(programs[k].task), programs[k].held);
      rt_leave();
    }
  }
  for (int k = 0; k < n; k++) {
    for (size_t i = 0; i < SLOTS; i++) check(&programs[k], i, programs[k].slots[i].size);
    assert_int_equal(rt_task_end(programs[k].task), 0);
  }
}

static void blocks_keep_their_contents(void** unused) {
  (void)unused;
  program* programs = calloc(3, sizeof *programs);
  run(programs, 3, false);
  run(programs, 3, true);
  assert_true(programs[0].checksum == programs[1].checksum);
  assert_true(programs[0].checksum == programs[2].checksum);
  printf("compact: %016llx\n", (unsigned long long)programs[0].checksum);
  free(programs);
  assert_true(nothing_lives());
}

/* ---- What is used again, and what is touched ------------------------------------------------- */

static void what_was_freed_comes_first(void** unused) {
  (void)unused;
  rt_task* t = compact(false);
  rt_enter(t);
  char* large = rt_alloc(4000);
  char* behind = rt_alloc(16);
  rt_free_sized(large, 4000);
  for (int i = 0; i < 80; i++) {
    char* p = rt_alloc(40);
    assert_true(p >= large && p + 40 <= large + 4096);
  }
  char* again = rt_alloc(4000);
  assert_true(again > behind);
  rt_leave();
  rt_task_end(t);
}

static void limits_are_exact(void** unused) {
  (void)unused;
  const rt_config config = {.compact = true, .bytes = 1000, .grace_bytes = 1, .collects = true};
  rt_task* t = rt_task_new(&config);
  rt_enter(t);
  char* p = rt_alloc(600);
  assert_non_null(p);
  assert_null(rt_alloc(401));
  assert_null(rt_realloc(p, 600, 1001));
  p = rt_realloc(p, 600, 1000);
  assert_non_null(p);
  assert_null(rt_alloc(1));
  p = rt_realloc(p, 1000, 10);
  assert_int_equal(rt_bytes(t), 10);
  rt_free_sized(p, 10);
  assert_int_equal(rt_bytes(t), 0);
  rt_leave();
  rt_task_end(t);
}

/* ---- Images ---------------------------------------------------------------------------------- */

/* `to` goes on where `from` is, in a task that has got a copy of its memory. */
static void copy_program(program* to, const program* from, bool repeatable) {
  rt_image image;
  assert_true(rt_get_image(from->task, &image));
  void* bytes = malloc(image.size);
  const char* start = image.start;
  image.start = memcpy(bytes, start, image.size);
  *to = *from;
  to->task = compact(repeatable);
  assert_int_equal(rt_enter(to->task), 0);
  char* copy = rt_put_image(&image);
  assert_non_null(copy);
  assert_null(rt_put_image(&image)); /* not twice */
  rt_leave();
  for (size_t i = 0; i < SLOTS; i++)
    if (to->slots[i].p != NULL)
      to->slots[i].p = (unsigned char*)copy + ((const char*)from->slots[i].p - start);
  free(bytes);
}

static void copies_go_on(void** unused) {
  (void)unused;
  enum { BEFORE = 50, AFTER = 20000, COPY = 1, COPIES = 3 };
  program* g = calloc(COPIES, sizeof *g);
  for (int repeatable = 0; repeatable < 2; repeatable++) {
    g[0] = (program){.task = compact(repeatable), .seed = 88172645463325252u};
    rt_enter(g[0].task);
    for (int i = 0; i < BEFORE; i++) step(&g[0]);
    rt_leave();
    for (int k = COPY; k < COPIES; k++) copy_program(&g[k], &g[0], repeatable);
    for (int i = 0; i < AFTER; i++)
      for (int k = 0; k < COPIES; k++) {
        rt_enter(g[k].task);
        step(&g[k]);
        rt_leave();
        assert_int_equal(rt_bytes(g[k].task), g[0].held);
        assert_int_equal(rt_ticks(g[k].task), rt_ticks(g[0].task));
        assert_int_equal(rt_bytes_peak(g[k].task), rt_bytes_peak(g[0].task));
        assert_true(g[k].checksum == g[0].checksum);
      }
    for (int k = 0; k < COPIES; k++) {
      for (size_t i = 0; i < SLOTS; i++) check(&g[k], i, g[k].slots[i].size);
      assert_int_equal(rt_task_end(g[k].task), 0);
    }
  }
  free(g);
  assert_true(nothing_lives());
}

/* Which addresses are the heap's does not depend on what the program writes into its first blocks. */
static void what_is_written_is_no_record(void** unused) {
  (void)unused;
  enum { SLICE_BYTES = 64 * 1024, START = 1 << 20, NEXT = 32 << 20 };
  rt_task* t = compact(true);
  rt_enter(t);
  char* last = NULL;
  for (int i = 0; i < 60; i++) last = memset(rt_alloc(1000), 0x5a + i, 1000);
  char* region = last - rt_offset(t, last);
  assert_true(mi_is_in_heap_region(last) && mi_heap_of(last) != NULL);
  for (size_t at = START; at < NEXT; at += SLICE_BYTES) {
    assert_false(mi_is_in_heap_region(region + at));
    assert_null(mi_heap_of(region + at));
  }
  rt_leave();
  assert_int_equal(rt_task_end(t), 0);
}

/* What stands in the way of an image: nothing, a block that is too large, others' blocks, the end of it. */
static void image_of(int what, bool there) {
  rt_task* t = compact(false);
  rt_image image;
  rt_enter(t);
  assert_non_null(rt_alloc(100));
  void* p = what == 1   ? rt_alloc(9000)
            : what == 2 ? mi_malloc(10)
            : what == 3 ? mi_heap_new()
                        : NULL;
  assert_true(p != NULL || what == 0 || what > 3);
  rc_object* o = what == 4 ? rc_alloc(0, 1) : NULL;
  if (o != NULL) rc_init(o, 0, RC_NIL);
  if (what == 5) rt_end_compact();
  assert_int_equal(rt_get_image(t, &image), there);
  if (what == 2) mi_free(p);
  if (o != NULL) rc_dec(o);
  rt_leave();
  assert_int_equal(rt_task_end(t), 0);
}

/* With such limits, or after such a beginning, a task gets no copy, and is as before. */
static void refuses(const rt_image* image, rt_config config, size_t allocated) {
  rt_task* t = rt_task_new(&config);
  assert_non_null(t);
  rt_enter(t);
  if (allocated > 0) assert_non_null(rt_alloc(allocated));
  uint64_t ticks = rt_ticks(t);
  assert_null(rt_put_image(image));
  assert_int_equal(rt_ticks(t), ticks);
  assert_int_equal(rt_bytes(t), allocated);
  assert_int_equal(rt_expired(t), RT_NONE);
  rt_leave();
  assert_int_equal(rt_task_end(t), 0);
}

static void images_are_whole(void** unused) {
  (void)unused;
  for (int what = 0; what < 6; what++) image_of(what, what == 0);
  rt_image image;
  rt_task *plain = rt_task_new(NULL), *t = compact(false);
  assert_false(rt_get_image(plain, &image));
  rt_enter(t);
  for (int i = 0; i < 50; i++) rt_free_sized(rt_alloc(500), 500), rt_alloc(100);
  rt_leave();
  assert_true(rt_get_image(t, &image));
  assert_true(image.ticks == 100 && image.bytes == 5000 && image.bytes_peak == 5400);
  refuses(&image, (rt_config){0}, 0);
  refuses(&image, (rt_config){.compact = true}, 8);
  refuses(&image, (rt_config){.compact = true, .ticks = 100}, 0);
  refuses(&image, (rt_config){.compact = true, .bytes = 5400}, 0);
  assert_null(rt_put_image(&image)); /* no task */
  assert_int_equal(rt_task_end(plain), 0);
  assert_int_equal(rt_task_end(t), 0);
}

/* ---- Copies that fill a nest ----------------------------------------------------------------- */

enum { COPIES_MOST = 2000 };
static copied copied_at[COPIES_MOST];

static void copies_are_apart(void** unused) {
  (void)unused;
  uint64_t chance = 4711;
  rt_image images[IMAGES];
  for (int i = 0; i < IMAGES; i++) images[i] = make_image(pieces_of[i]);
  for (int k = 0; k < 3 * COPIES_MOST; k++) {
    copied* c = &copied_at[rnd_from(&chance, COPIES_MOST)];
    if (c->task != NULL)
      end_copy(c);
    else
      *c = begin_copy(&images[rnd_from(&chance, IMAGES)], k);
    if (k % 1000 == 0) mi_collect(true); /* gives back what lies between them */
  }
  for (int i = 0; i < COPIES_MOST; i++)
    if (copied_at[i].task != NULL) end_copy(&copied_at[i]);
  for (int i = 0; i < IMAGES; i++) free((void*)(uintptr_t)images[i].start);
  assert_true(nothing_lives());
}

/* As many end together, most or all, the system has their memory; what is kept is for as many as the text says. */
static void copies_are_given_back(void** unused) {
  (void)unused;
  enum { KEPT = 16 << 20, EACH = 100 };
  if (CHECKED || !RESIDENT_TELLS) skip();
  rt_image image = make_image(30);
  for (int round = 0; round < 2; round++) {
    mi_collect(true);
    size_t before = statm(1);
    for (int i = 0; i < COPIES_MOST; i++) copied_at[i] = begin_copy(&image, 1);
    assert_true(statm(1) > before + COPIES_MOST * image.size);
    for (int i = 0; i < COPIES_MOST; i++)
      if (i % EACH != 0) end_copy(&copied_at[i]);
    assert_true(statm(1) < before + KEPT + COPIES_MOST / 64 * 8 * image.size);
    mi_collect(true);
    assert_true(statm(1) < before + COPIES_MOST / EACH * 2 * image.size + (4 << 20));
    for (int i = 0; i < COPIES_MOST; i += EACH) end_copy(&copied_at[i]);
  }
  free((void*)(uintptr_t)image.start);
}

/* Blocks of 16 classes, 16 KiB in all: a page for each would be 64 KiB. */
/* The same calls in any case; `what` is in bytes that are given up by freeing, or by shrinking in place or by moving. */
static void give_up_all(int what) {
  enum { BLOCKS = 90 };
  void* blocks[BLOCKS];
  for (size_t i = 0; i < BLOCKS; i++) memset(blocks[i] = rt_alloc(9 + i), what, 9 + i);
  for (size_t i = 0; i < BLOCKS; i += 3) rt_free_sized(blocks[i], 9 + i);
  for (size_t i = 1; i < BLOCKS; i++) {
    size_t size = i % 3 == 1 ? 8 + i : 2 * i;
    if (i % 3 != 0) blocks[i] = memset(rt_realloc(blocks[i], 9 + i, size), 0, size);
  }
}

static rt_task* gave_up(int what, bool clear, rt_image* image) {
  rt_task* t = compact(true);
  assert_int_equal(rt_enter(t), 0);
  if (clear) rt_keep_clear();
  give_up_all(what);
  assert_true(rt_get_image(t, image));
  rt_leave();
  return t;
}

static void what_is_given_up_is_cleared(void** unused) {
  (void)unused;
  for (int clear = 0; clear <= 1; clear++) {
    rt_image image[2];
    rt_task* tasks[] = {gave_up('a', clear, &image[0]), gave_up('b', clear, &image[1])};
    assert_int_equal(image[0].size, image[1].size);
    assert_int_equal(memcmp(image[0].start, image[1].start, image[0].size) == 0, clear);
    for (int i = 0; i < 2; i++) assert_int_equal(rt_task_end(tasks[i]), 0);
  }
  rt_keep_clear(); /* no task */
}

static void little_is_resident(void** unused) {
  (void)unused;
  enum { TASKS = 2000, BYTES = 16 * 1024 };
  if (CHECKED || !RESIDENT_TELLS) skip();
  static rt_task* tasks[TASKS];
  size_t before = statm(1);
  for (int i = 0; i < TASKS; i++) {
    tasks[i] = compact(false);
    rt_enter(tasks[i]);
    for (size_t size = 16, held = 0; held < BYTES; held += size, size = size % 256 + 16)
      memset(rt_alloc(size), 1, size);
    rt_leave();
  }
  size_t each = (statm(1) - before) / TASKS;
  if (each > BYTES + 14 * 1024) fail_msg("%zu bytes are resident for each task", each);
  for (int i = 0; i < TASKS; i++) rt_task_end(tasks[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_keep_their_contents), cmocka_unit_test(what_was_freed_comes_first),
      cmocka_unit_test(limits_are_exact),           cmocka_unit_test(copies_go_on),
      cmocka_unit_test(images_are_whole),           cmocka_unit_test(what_is_given_up_is_cleared),
      cmocka_unit_test(copies_are_apart),           cmocka_unit_test(copies_are_given_back),
      cmocka_unit_test(little_is_resident),         cmocka_unit_test(what_is_written_is_no_record),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
