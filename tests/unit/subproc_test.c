/* subproc_test.c: pages that ended threads left are adopted by threads of the same subprocess and by no
** others; deleting a subprocess hands them to the main one, destroying it frees them; and they can be
** visited. The model is a list of what each subprocess has left. */
#include "alloc/mimalloc.h"
#include "tests/tools.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* cmocka's assertions work in the main thread only. */
#define require(e)                                                                         \
  do {                                                                                     \
    if (!(e)) fprintf(stderr, "failed in a thread: %s, line %d\n", #e, __LINE__), abort(); \
  } while (0)

/* Runs f in a thread of the subprocess, to its end. */
typedef struct run {
  mi_subproc_id_t subproc;
  void (*f)(void*);
  void* arg;
} run;
static void* run_thread(void* arg) {
  run* r = arg;
  mi_subproc_add_current_thread(r->subproc);
  require(mi_subproc_current() == r->subproc);
  r->f(r->arg);
  return NULL;
}
static void in_thread(mi_subproc_id_t subproc, void (*f)(void*), void* arg) {
  run r = {subproc, f, arg};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, run_thread, &r), 0);
  pthread_join(thread, NULL);
}

/* ---- Adoption ---------------------------------------------------------------------------------- */

enum { SUBPROCS = 5, LEFT_MAX = 4000, STEPS = 1500, SIZES = 3 };
static const size_t sizes[SIZES] = {48, 700, 20000};

static struct left { /* one of a page: the others are free */
  char* p;
  int size, owner; /* indexes */
} left[LEFT_MAX];
static unsigned left_count;
static mi_subproc_id_t subproc[SUBPROCS]; /* the first is the main one */

/* Blocks of a page lie within 64 KiB, or 512 KiB from a multiple of 64 KiB; so pages of two blocks in
** the same 64 KiB are the same. */
static uintptr_t slice(const char* p) { return (uintptr_t)p >> 16; }

/* Allocates enough for several pages, and frees all but one block in each 64 KiB. */
static void leave_pages(void* arg) {
  struct left* model = arg;
  enum { MOST = 7000 };
  static char* blocks[MOST];
  int n = (int)(300000 / sizes[model->size]);
  uintptr_t last = 0;
  for (int i = 0; i < n; i++) require((blocks[i] = mi_malloc(sizes[model->size])) != NULL);
  for (int i = 0; i < n; i++) {
    if (slice(blocks[i]) == last || left_count == LEFT_MAX) {
      mi_free(blocks[i]);
    } else {
      last = slice(blocks[i]);
      left[left_count++] = (struct left){blocks[i], model->size, model->owner};
    }
  }
}

/* The thread has no page of its own yet: it takes one that its subprocess has left if there is one.
** Blocks of 20,000 bytes share a page of 512 KiB with others, which may be full: not asked there. */
static void take_block(void* arg) {
  struct left* model = arg;
  char* p = mi_malloc(sizes[model->size]);
  require(p != NULL);
  bool expected = false, found = false;
  for (unsigned i = 0; i < left_count; i++) {
    bool same_page = slice(left[i].p) == slice(p);
    require(!same_page || left[i].owner == model->owner);
    found |= same_page;
    expected |= left[i].owner == model->owner && left[i].size == model->size;
  }
  require(found || !expected || model->size == 2);
  mi_free(p);
}

static void forget(unsigned i) {
  mi_free(left[i].p);
  left[i] = left[--left_count];
}

/* By index: what it left is the main one's now, or gone. */
static void end_subproc(int s, bool destroy) {
  if (destroy)
    mi_subproc_destroy(subproc[s]);
  else
    mi_subproc_delete(subproc[s]);
  for (unsigned i = 0; i < left_count; i++)
    if (left[i].owner == s) {
      if (destroy)
        left[i--] = left[--left_count];
      else
        left[i].owner = 0;
    }
  subproc[s] = mi_subproc_new();
  assert_non_null(subproc[s]);
}

static void test_adoption(void** state) {
  (void)state;
  subproc[0] = mi_subproc_main();
  for (int s = 1; s < SUBPROCS; s++) assert_non_null(subproc[s] = mi_subproc_new());
  assert_ptr_equal(mi_subproc_current(), subproc[0]);
  for (int i = 0; i < STEPS; i++) {
    struct left model = {NULL, (int)rnd(SIZES), (int)rnd(SUBPROCS)};
    size_t what = rnd(100);
    if (what < 30)
      in_thread(subproc[model.owner], leave_pages, &model);
    else if (what < 90)
      in_thread(subproc[model.owner], take_block, &model);
    else if (what < 92)
      end_subproc(1 + (int)rnd(SUBPROCS - 1), what == 91);
    else
      for (int k = 0; k < 100 && left_count > 0; k++) forget((unsigned)rnd(left_count));
  }
  while (left_count > 0) forget(0);
  for (int s = 1; s < SUBPROCS; s++) mi_subproc_delete(subproc[s]);
  assert_true(nothing_lives());
}

/* ---- Visits ------------------------------------------------------------------------------------ */

enum { BLOCKS = 3000 };
static char* blocks[BLOCKS];
static unsigned met[BLOCKS];

/* Large ones, and one with a mapping of its own, too. */
static void leave_blocks(void* arg) {
  (void)arg;
  for (int i = 0; i < BLOCKS; i++) {
    size_t size = i == 0 ? 20 << 20 : i < 20 ? 200000 + rnd(1000000) : rnd(i < 100 ? 60000 : 300);
    require((blocks[i] = mi_malloc(size)) != NULL);
  }
  for (int i = 1; i < BLOCKS; i += 2) mi_free(blocks[i]), blocks[i] = NULL;
}

static unsigned calls, calls_until;
static bool meet(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size,
                 void* arg) {
  assert_ptr_equal(heap, arg);
  assert_int_equal(size, area->block_size);
  for (int i = 0; block != NULL && i < BLOCKS; i++)
    if (blocks[i] == block) met[i]++;
  return ++calls != calls_until;
}

static bool meet_and_free(const mi_heap_t* heap, const mi_heap_area_t* area, void* block,
                          size_t size, void* arg) {
  if (block != NULL) {
    for (int i = 0; i < BLOCKS; i++)
      if (blocks[i] == block) blocks[i] = NULL;
    mi_free(block);
  }
  return meet(heap, area, block, size, arg);
}

static void check_met(bool all) {
  for (int i = 0; i < BLOCKS; i++) assert_int_equal(met[i], all && blocks[i] != NULL);
  memset(met, 0, sizeof met);
}

static char said[500];
static void keep(const char* text, void* arg) {
  (void)arg;
  strncat(said, text, sizeof said - strlen(said) - 1);
}

static void visit_from_heap(void* arg) {
  (void)arg;
  mi_heap_t *first = mi_heap_get_backing(), *other = mi_heap_new();
  require(mi_heap_visit_abandoned_blocks(other, true, meet, other));
  for (int i = 0; i < BLOCKS; i++) require(met[i] == 0);
  require(mi_heap_visit_abandoned_blocks(first, true, meet, first));
}

static void test_visits(void** state) {
  (void)state;
  mi_subproc_id_t s = mi_subproc_new();
  in_thread(s, leave_blocks, NULL);
  said[0] = '\0';
  mi_register_output(keep, NULL);
  assert_false(mi_abandoned_visit_blocks(s, -1, true, meet, NULL));
  mi_register_output(NULL, NULL);
  assert_non_null(strstr(said, "VISIT_ABANDONED"));
  mi_option_enable(mi_option_visit_abandoned);
  for (int round = 0; round < 3; round++) { /* pages are as they were */
    assert_true(mi_abandoned_visit_blocks(s, -round % 2, true, meet, NULL));
    check_met(true);
  }
  assert_true(mi_abandoned_visit_blocks(s, 7, true, meet, NULL));
  assert_true(mi_abandoned_visit_blocks(s, 0, false, meet, NULL));
  assert_true(mi_abandoned_visit_blocks(mi_subproc_main(), -1, true, meet, NULL));
  check_met(false);
  in_thread(s, visit_from_heap, NULL);
  check_met(true);
  calls = 0, calls_until = 10;
  assert_false(mi_abandoned_visit_blocks(s, -1, true, meet, NULL));
  assert_int_equal(calls, 10);
  calls_until = 0;
  memset(met, 0, sizeof met);
  assert_true(mi_abandoned_visit_blocks(s, -1, true, meet_and_free, NULL));
  for (int i = 0; i < BLOCKS; i++) assert_null(blocks[i]);
  memset(met, 0, sizeof met);
  assert_true(nothing_lives());
  in_thread(s, leave_blocks, NULL);
  mi_subproc_delete(s);
  assert_true(mi_abandoned_visit_blocks(mi_subproc_main(), -1, true, meet, NULL));
  check_met(true);
  for (int i = 0; i < BLOCKS; i++) mi_free(blocks[i]);
  assert_true(nothing_lives());
  mi_option_disable(mi_option_visit_abandoned);
}

/* Blocks of all kinds go with the subprocess. */
static void test_destroy(void** state) {
  (void)state;
  mi_subproc_id_t s = mi_subproc_new();
  in_thread(s, leave_blocks, NULL);
  mi_subproc_destroy(s);
  assert_true(nothing_lives());
  assert_false(mi_is_in_heap_region(blocks[0]) || mi_is_in_heap_region(blocks[2]));
}

/* ---- Life and errors --------------------------------------------------------------------------- */

static int error_code;
static void note_error(int code, void* arg) {
  (void)arg;
  error_code = code;
}
#define refused(call, code) (error_code = 0, (call), error_code == (code))

static pthread_barrier_t barrier;
static void wait_twice(void* arg) {
  struct left* model = arg;
  leave_pages(model);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
}

static unsigned heaps_seen;
static bool count_heaps(mi_heap_t* heap, void* arg) {
  heaps_seen++;
  return heap != NULL && arg != NULL;
}

static void move_about(void* arg) {
  mi_subproc_id_t s = arg;
  mi_heap_t* heap = mi_heap_new();
  require(heap != NULL);
  mi_free(mi_malloc(1));
  heaps_seen = 0;
  require(mi_subproc_visit_heaps(s, count_heaps, &heaps_seen) && heaps_seen == 2);
  heaps_seen = 0;
  require(!mi_subproc_visit_heaps(s, count_heaps, NULL) && heaps_seen == 1);
  mi_subproc_add_current_thread(mi_subproc_main());
  heaps_seen = 0;
  require(mi_subproc_visit_heaps(s, count_heaps, &heaps_seen) && heaps_seen == 0);
  mi_thread_done();
  mi_free(mi_malloc(1));
  require(mi_subproc_current() == mi_subproc_main());
}

static void test_life(void** state) {
  (void)state;
  mi_option_disable(mi_option_abort_on_error);
  mi_option_disable(mi_option_show_errors);
  mi_register_error(note_error, NULL);
  mi_subproc_id_t s = subproc[1] = mi_subproc_new();
  struct left model = {NULL, 0, 1};
  run r = {s, wait_twice, &model};
  pthread_t thread;
  pthread_barrier_init(&barrier, NULL, 2);
  assert_int_equal(pthread_create(&thread, NULL, run_thread, &r), 0);
  pthread_barrier_wait(&barrier);
  assert_true(refused(mi_subproc_destroy(s), EPERM));
  assert_true(refused(mi_subproc_delete(s), 0)); /* it ends with its thread */
  assert_true(refused(mi_subproc_delete(s), EPERM));
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
  assert_true(refused(mi_subproc_delete(s), EINVAL));
  assert_true(refused(mi_subproc_add_current_thread(s), EINVAL));
  for (unsigned i = 0; i < left_count; i++) left[i].owner = 0;
  model.owner = 0;
  in_thread(mi_subproc_main(), take_block, &model);
  while (left_count > 0) forget(0);

  assert_true(refused(mi_subproc_delete(NULL), 0));
  assert_true(refused(mi_subproc_delete(&s), EINVAL));
  assert_true(refused(mi_subproc_delete(mi_subproc_main()), EPERM));
  assert_true(refused(mi_subproc_destroy(mi_subproc_main()), EPERM));
  s = mi_subproc_new();
  in_thread(s, move_about, s);
  mi_subproc_destroy(s);

  enum { MOST = 1023 };
  static mi_subproc_id_t many[MOST];
  for (int i = 0; i < MOST; i++) assert_non_null(many[i] = mi_subproc_new());
  errno = 0;
  assert_null(mi_subproc_new());
  assert_int_equal(errno, ENOMEM);
  for (int i = 0; i < MOST; i++) mi_subproc_delete(many[i]);
  mi_register_error(NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_life),
      cmocka_unit_test(test_adoption),
      cmocka_unit_test(test_visits),
      cmocka_unit_test(test_destroy),
  };
  return cmocka_run_group_tests_name("subproc", tests, NULL, NULL);
}
