/* forms_test.c: each form of allocation gives what its name says: enough room, the alignment, zeros,
** the old contents; fails as documented; and is charged once, from its arguments. */
#include "alloc/internal.h"
#include "runtime/runtime.h"
#include "tests/tools.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>
#include <cmocka.h>

static size_t random_size(void) {
  size_t kind = rnd(100);
  return rnd(kind == 0 ? 300000 : kind < 5 ? 70000 : kind < 20 ? 3000 : 300);
}

/* ---- Blocks: what is asked for, and what is known of one ------------------------------------- */

typedef struct request {
  size_t size, align, offset;
} request;

static request random_request(void) {
  request r = {random_size(), (size_t)1 << rnd(13), 0};
  r.offset = rnd(3) == 0 ? 0 : rnd(r.size + 100);
  return r;
}

/* Bytes [0, size) of p are its `fill`, and, if the block is `zero`, the rest is 0. */
typedef struct block_state {
  unsigned char* p;
  size_t size;
  unsigned char fill;
  bool zero;
} block_state;

static void assert_bytes(const unsigned char* p, size_t from, size_t to, unsigned char value) {
  for (size_t i = from; i < to; i++)
    if (p[i] != value) fail_msg("byte %zu of %zu is %d, not %d", i, to, p[i], value);
}

static void assert_aligned(const void* p, request r) {
  assert_int_equal(((uintptr_t)p + r.offset) % r.align, 0);
}

static void write_block(block_state* b, void* p, size_t size) {
  b->p = p;
  b->size = size;
  b->fill = (unsigned char)(1 + rnd(255));
  memset(p, b->fill, size);
}

/* ---- Aligned at an offset, zero-extending, moved: a random program --------------------------- */

enum { SLOTS = 500, STEPS = MI_DEBUG ? 20000 : 60000 };
static block_state slots[SLOTS];

static void make(block_state* b, mi_heap_t* heap) {
  request r = random_request();
  void* p;
  b->zero = rnd(2);
  if (rnd(2))
    p = b->zero ? mi_zalloc_aligned_at(r.size, r.align, r.offset)
                : mi_malloc_aligned_at(r.size, r.align, r.offset);
  else
    p = b->zero ? mi_heap_zalloc_aligned_at(heap, r.size, r.align, r.offset)
                : mi_heap_malloc_aligned_at(heap, r.size, r.align, r.offset);
  assert_non_null(p);
  assert_aligned(p, r);
  assert_true(mi_usable_size(p) >= r.size);
  if (b->zero) assert_bytes(p, 0, mi_usable_size(p), 0);
  write_block(b, p, r.size);
}

static void change(block_state* b, mi_heap_t* heap) {
  request r = random_request();
  void* p = NULL;
  switch (rnd(4) + (b->zero ? 4 : 0)) {
    case 0:
      p = mi_realloc(b->p, r.size), r.align = 1;
      break;
    case 1:
      p = mi_realloc_aligned_at(b->p, r.size, r.align, r.offset);
      break;
    case 2:
      p = mi_heap_realloc_aligned(heap, b->p, r.size, r.align), r.offset = 0;
      break;
    case 3:
      p = mi_heap_realloc_aligned_at(heap, b->p, r.size, r.align, r.offset);
      break;
    case 4:
      p = mi_rezalloc(b->p, r.size), r.align = 1;
      break;
    case 5:
      p = mi_recalloc(b->p, r.size, 1), r.align = 1;
      break;
    case 6:
      p = mi_rezalloc_aligned_at(b->p, r.size, r.align, r.offset);
      break;
    default:
      p = mi_heap_recalloc_aligned_at(heap, b->p, 1, r.size, r.align, r.offset);
  }
  assert_non_null(p);
  assert_aligned(p, r);
  size_t kept = b->size < r.size ? b->size : r.size;
  assert_bytes(p, 0, kept, b->fill);
  if (b->zero) assert_bytes(p, kept, mi_usable_size(p), 0);
  write_block(b, p, r.size);
}

static void* free_elsewhere(void* p) {
  mi_free(p);
  return NULL;
}

static void drop(block_state* b) {
  assert_bytes(b->p, 0, b->size, b->fill);
  if (rnd(100) == 0) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, free_elsewhere, b->p), 0);
    pthread_join(thread, NULL);
  } else if (rnd(2)) {
    mi_free_size(b->p, b->size);
  } else {
    mi_free(b->p);
  }
  b->p = NULL;
}

static void test_random_program(void** state) {
  (void)state;
  mi_heap_t* heap = mi_heap_new();
  assert_non_null(heap);
  for (int i = 0; i < STEPS; i++) {
    block_state* b = &slots[rnd(SLOTS)];
    if (b->p == NULL)
      make(b, heap);
    else if (rnd(2))
      change(b, heap);
    else
      drop(b);
  }
  mi_heap_delete(heap);
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].p != NULL) drop(&slots[i]);
  assert_true(nothing_lives());
}

/* Every stride there is, every offset in the largest page. */
static void test_block_index(void** state) {
  (void)state;
  for (unsigned class = 1; class < CLASS_LARGE; class ++)
    for (int padded = 0; padded < 2; padded++) {
      page_t page = {.padded = padded};
      page_set_stride(&page, class);
      size_t index = 0, left = page.stride;
      for (size_t offset = 0; offset < (size_t)MEDIUM_SLICES * SLICE; offset++, left--) {
        if (left == 0) index++, left = page.stride;
        if (page_index(&page, (char*)offset) != index)
          fail_msg("stride %u, offset %zu: %zu", page.stride, offset, index);
      }
    }
}

/* ---- The charge ------------------------------------------------------------------------------ */

static size_t arguments_product(size_t n, size_t size) {
  return n != 0 && size > SIZE_MAX / n ? SIZE_MAX : n * size;
}
static uint64_t charge_of(size_t size) { return size > PTRDIFF_MAX ? 1 : 1 + size / 1024; }

#define CHARGED(size, call)                                 \
  do {                                                      \
    uint64_t before = mi_ticks();                           \
    void* p = (call);                                       \
    assert_int_equal(mi_ticks() - before, charge_of(size)); \
    mi_free(p);                                             \
  } while (0)

static void charge_once(size_t size, size_t n, mi_heap_t* heap) {
  size_t all = arguments_product(n, size), bytes, other;
  void* other_p;
  CHARGED(size, mi_rezalloc(NULL, size));
  CHARGED(all, mi_recalloc(NULL, n, size));
  CHARGED(size, mi_malloc_aligned_at(size, 64, 8));
  CHARGED(size, mi_zalloc_aligned_at(size, 64, 8));
  CHARGED(all, mi_calloc_aligned_at(n, size, 64, 8));
  CHARGED(size, mi_realloc_aligned_at(NULL, size, 64, 8));
  CHARGED(size, mi_rezalloc_aligned(NULL, size, 64));
  CHARGED(size, mi_rezalloc_aligned_at(NULL, size, 64, 8));
  CHARGED(all, mi_recalloc_aligned(NULL, n, size, 64));
  CHARGED(all, mi_recalloc_aligned_at(NULL, n, size, 64, 8));
  CHARGED(all, mi_aligned_recalloc(NULL, n, size, 64));
  CHARGED(all, mi_aligned_offset_recalloc(NULL, n, size, 64, 8));
  CHARGED(size, mi_memalign(48, size));
  CHARGED(size, mi_aligned_alloc(64, size));
  CHARGED(size, mi_valloc(size));
  CHARGED(size, mi_pvalloc(size));
  CHARGED(size, (mi_posix_memalign(&other_p, 3, size), NULL));
  CHARGED(all, mi_reallocarray(NULL, n, size));
  CHARGED(size, mi_umalloc(size, &bytes));
  CHARGED(all, mi_ucalloc(n, size, &bytes));
  CHARGED(size, mi_umalloc_aligned(size, 64, &bytes));
  CHARGED(size, mi_uzalloc_aligned(size, 64, &bytes));
  CHARGED(size, mi_urealloc(NULL, size, &bytes, &other));
  CHARGED(size, mi_new_nothrow(size));
  CHARGED(size, mi_new_aligned_nothrow(size, 64));
  CHARGED(all, mi_heap_mallocn(heap, n, size));
  CHARGED(size, mi_heap_reallocf(heap, NULL, size));
  CHARGED(all, mi_heap_reallocn(heap, NULL, n, size));
  CHARGED(size, mi_heap_rezalloc(heap, NULL, size));
  CHARGED(all, mi_heap_recalloc(heap, NULL, n, size));
  CHARGED(size, mi_heap_malloc_aligned(heap, size, 64));
  CHARGED(size, mi_heap_malloc_aligned_at(heap, size, 64, 8));
  CHARGED(size, mi_heap_zalloc_aligned(heap, size, 64));
  CHARGED(size, mi_heap_zalloc_aligned_at(heap, size, 64, 8));
  CHARGED(all, mi_heap_calloc_aligned(heap, n, size, 64));
  CHARGED(all, mi_heap_calloc_aligned_at(heap, n, size, 64, 8));
  CHARGED(size, mi_heap_realloc_aligned(heap, NULL, size, 64));
  CHARGED(size, mi_heap_realloc_aligned_at(heap, NULL, size, 64, 8));
  CHARGED(size, mi_heap_rezalloc_aligned(heap, NULL, size, 64));
  CHARGED(size, mi_heap_rezalloc_aligned_at(heap, NULL, size, 64, 8));
  CHARGED(all, mi_heap_recalloc_aligned(heap, NULL, n, size, 64));
  CHARGED(all, mi_heap_recalloc_aligned_at(heap, NULL, n, size, 64, 8));
  if (all <= PTRDIFF_MAX) { /* without memory they throw */
    CHARGED(size, mi_new(size));
    CHARGED(all, mi_new_n(n, size));
    CHARGED(size, mi_new_aligned(size, 64));
    CHARGED(size, mi_new_realloc(NULL, size));
    CHARGED(all, mi_new_reallocn(NULL, n, size));
    CHARGED(size, mi_heap_alloc_new(heap, size));
    CHARGED(all, mi_heap_alloc_new_n(heap, n, size));
  }
}

static void test_charges(void** state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 1000, 1023, 1024, 5000, 100000, SIZE_MAX / 2, SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    charge_once(sizes[i], 1 + i % 3, mi_heap_get_default());
  char* s = mi_strdup("text");
  uint64_t before = mi_ticks();
  assert_ptr_equal(mi_expand(s, 5), s);
  assert_null(mi_expand(s, 100000));
  assert_null(mi_strdup(NULL));
  assert_null(mi_strndup(NULL, 5));
  assert_int_equal(mi_ticks() - before, 1 + charge_of(100000));
  mi_free(s);
  assert_true(nothing_lives());
}

/* ---- Strings, POSIX, sizes ------------------------------------------------------------------- */

static void test_strings(void** state) {
  (void)state;
  char* a = mi_strdup("heartbeat");
  char* b = mi_strndup("heartbeat", 5);
  char* c = mi_strndup("heart", 50);
  wchar_t* w = mi_wcsdup(L"wide");
  unsigned char* m = mi_mbsdup((const unsigned char*)"bytes");
  assert_string_equal(a, "heartbeat");
  assert_string_equal(b, "heart");
  assert_string_equal(c, "heart");
  assert_int_equal(wcscmp(w, L"wide"), 0);
  assert_string_equal((char*)m, "bytes");
  char given[4096];
  char* path = mi_realpath("/usr/../", NULL);
  assert_string_equal(path, "/");
  assert_ptr_equal(mi_realpath("/usr/../", given), given);
  assert_string_equal(given, "/");
  assert_null(mi_realpath("/nowhere/at/all", NULL));
  assert_int_equal(errno, ENOENT);
  setenv("SLUICE_TEST", "value", 1);
  char* value;
  size_t length;
  assert_int_equal(mi_dupenv_s(&value, &length, "SLUICE_TEST"), 0);
  assert_string_equal(value, "value");
  assert_int_equal(length, 5);
  mi_free(value);
  assert_int_equal(mi_dupenv_s(&value, &length, "SLUICE_NOT_THERE"), 0);
  assert_null(value);
  assert_int_equal(length, 0);
  assert_int_equal(mi_dupenv_s(NULL, NULL, "HOME"), EINVAL);
  wchar_t* wide;
  assert_int_equal(mi_wdupenv_s(&wide, &length, L"HOME"), EINVAL);
  mi_free(a), mi_free(b), mi_free(c), mi_free(w), mi_free(m), mi_free(path);
  assert_true(nothing_lives());
}

static void test_posix(void** state) {
  (void)state;
  void* p = &p;
  errno = 0;
  assert_int_equal(mi_posix_memalign(&p, 3, 10), EINVAL);
  assert_int_equal(mi_posix_memalign(&p, 4, 10), EINVAL);
  assert_int_equal(mi_posix_memalign(&p, 64, SIZE_MAX - 4096), ENOMEM);
  assert_ptr_equal(p, &p);
  assert_int_equal(errno, 0);
  assert_int_equal(mi_posix_memalign(&p, 64, 10), 0);
  assert_int_equal((uintptr_t)p % 64, 0);
  mi_free_size_aligned(p, 10, 64);
  p = mi_memalign(48, 10);
  assert_int_equal((uintptr_t)p % 64, 0);
  mi_free_aligned(p, 64);
  p = mi_pvalloc(4097);
  assert_int_equal((uintptr_t)p % 4096, 0);
  assert_true(mi_usable_size(p) >= 8192);
  void* before = p;
  assert_int_equal(mi_reallocarr(&p, SIZE_MAX / 2, 3), ENOMEM);
  assert_ptr_equal(p, before);
  assert_int_equal(mi_reallocarr(&p, 1000, 30), 0);
  assert_true(mi_usable_size(p) >= 30000);
  mi_free(p);
  int outside;
  mi_cfree(&outside);
  mi_cfree(NULL);
  mi_cfree(mi_malloc(10));
  assert_true(nothing_lives());
}

static void test_sizes(void** state) {
  (void)state;
  size_t pre, post;
  void* p = mi_umalloc(100, &post);
  assert_int_equal(post, mi_usable_size(p));
  p = mi_urealloc(p, 1000, &pre, &post);
  assert_true(pre >= 100 && pre < 1000 && post >= 1000);
  mi_ufree(p, &pre);
  assert_int_equal(pre, post);
  p = mi_uzalloc_small(100, NULL);
  assert_bytes(p, 0, mi_malloc_size(p), 0);
  mi_ufree(p, NULL);
  assert_int_equal(mi_malloc_usable_size(NULL), 0);
  assert_int_equal(mi_malloc_good_size(100), mi_good_size(100));
}

/* ---- Heaps ----------------------------------------------------------------------------------- */

static void expect_refused(void* p) {
  assert_null(p);
  assert_int_equal(errno, EPERM);
  errno = 0;
}

static mi_heap_t* other_heap;
static mi_heap_t* made;
static pthread_barrier_t barrier;
static void* make_heap(void* arg) {
  made = mi_heap_new();
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return arg;
}

/* Never a race: nothing is allocated from another task's heap. */
static void test_heap_of_another_thread(void** state) {
  (void)state;
  pthread_t thread;
  void* p = mi_malloc(10);
  mi_option_disable(mi_option_show_errors);
  mi_option_disable(mi_option_abort_on_error);
  pthread_barrier_init(&barrier, NULL, 2);
  assert_int_equal(pthread_create(&thread, NULL, make_heap, NULL), 0);
  pthread_barrier_wait(&barrier);
  other_heap = made;
  expect_refused(mi_heap_malloc(other_heap, 10));
  expect_refused(mi_heap_calloc(other_heap, 10, 10));
  expect_refused(mi_heap_malloc_aligned(other_heap, 10, 64));
  expect_refused(mi_heap_realloc(other_heap, p, 100));
  expect_refused(mi_heap_reallocf(other_heap, mi_malloc(10), 100)); /* is freed */
  expect_refused(mi_heap_strdup(other_heap, "text"));
  assert_null(mi_heap_set_default(other_heap));
  mi_heap_delete(other_heap);
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
  mi_option_enable(mi_option_show_errors);
  mi_option_set_enabled(mi_option_abort_on_error, CHECKED);
  mi_free(p);
  assert_true(nothing_lives());
}

/* Where a task counts exactly, only rc_* and rt_* allocate, and nobody ends that heap. */
static void test_exact_heap_of_a_task(void** state) {
  (void)state;
  rt_task* t = rt_task_new(&(rt_config){.bytes = 100000});
  assert_int_equal(rt_enter(t), 0);
  void* p = rt_alloc(16);
  mi_heap_t* exact = mi_heap_of(p);
  mi_option_disable(mi_option_show_errors);
  mi_option_disable(mi_option_abort_on_error);
  expect_refused(mi_heap_malloc(exact, 10));
  assert_null(mi_heap_set_default(exact));
  mi_heap_delete(exact);
  mi_heap_destroy(exact);
  assert_ptr_equal(mi_heap_of(p), exact);
  mi_option_enable(mi_option_show_errors);
  mi_option_set_enabled(mi_option_abort_on_error, CHECKED);
  rt_leave();
  assert_int_equal(rt_task_end(t), 0);
  assert_true(nothing_lives());
}

/* realloc moves where the plain build moves: the offsets and what the limit allows are the same. */
static void test_realloc_is_seen_alike(void** state) {
  (void)state;
  rt_task* t = rt_task_new(&(rt_config){.repeatable_addresses = true});
  assert_int_equal(rt_enter(t), 0);
  void* p = rt_alloc(100);
  assert_ptr_equal(rt_realloc(p, 100, 110), p);
  rt_leave();
  assert_int_equal(rt_task_end(t), 0);
  t = rt_task_new(&(rt_config){.bytes = 200000});
  assert_int_equal(rt_enter(t), 0);
  p = mi_malloc(100000);
  memset(p, 7, 100000);
  assert_ptr_equal(mi_realloc(p, 110000), p);
  assert_bytes(p, 0, 100000, 7);
  assert_int_equal(rt_expired(t), RT_NONE);
  mi_free(p);
  rt_leave();
  assert_int_equal(rt_task_end(t), 0);
}

static void test_default_heap(void** state) {
  (void)state;
  mi_heap_t* first = mi_heap_get_default();
  assert_ptr_equal(first, mi_heap_get_backing());
  mi_heap_t* heap = mi_heap_new();
  assert_ptr_equal(mi_heap_set_default(heap), first);
  assert_ptr_equal(mi_heap_get_default(), heap);
  assert_ptr_equal(mi_heap_get_backing(), first);
  for (int i = 0; i < 1000; i++) assert_non_null(mi_malloc(100));
  mi_heap_destroy(heap); /* with all of these */
  assert_ptr_equal(mi_heap_get_default(), first);
  heap = mi_heap_new();
  mi_heap_set_default(heap);
  void* p = mi_malloc(100);
  mi_heap_delete(heap); /* p lives on */
  assert_ptr_equal(mi_heap_get_default(), first);
  memset(p, 1, 100);
  mi_free(p);
  assert_true(nothing_lives());
}

/* ---- Names of the 3.x line ----------------------------------------------------------------------- */

static void test_theap(void** state) {
  (void)state;
  mi_heap_t* heap = mi_heap_new();
  mi_theap_t *theap = mi_heap_theap(heap), *before = mi_theap_set_default(theap);
  assert_ptr_equal(theap, heap);
  assert_ptr_equal(mi_theap_get_default(), heap);
  assert_ptr_equal(before, mi_heap_main());
  uint64_t ticks = mi_ticks();
  char* p[] = {mi_theap_malloc(theap, 2048),       mi_theap_zalloc(theap, 1000),
               mi_theap_calloc(theap, 10, 10),     mi_theap_malloc_small(theap, 10),
               mi_theap_zalloc_small(theap, 10),   mi_theap_malloc_aligned(theap, 10, 4096),
               mi_theap_realloc(theap, NULL, 5000)};
  enum { ALL = sizeof p / sizeof p[0] };
  assert_int_equal(mi_ticks(), ticks + 3 + 5 + 5);
  for (int i = 0; i < ALL; i++) assert_ptr_equal(mi_heap_of(p[i]), heap);
  assert_true(p[1][999] == 0 && p[2][99] == 0 && p[4][9] == 0 && (uintptr_t)p[5] % 4096 == 0);
  size_t blocks = 0;
  assert_true(mi_theap_visit_blocks(theap, true, count_block, &blocks));
  assert_int_equal(blocks, ALL);
  mi_theap_guarded_set_sample_rate(theap, 1, 0);
  mi_theap_guarded_set_size_bound(theap, 0, 100);
  mi_heap_set_numa_affinity(heap, 0);
  for (int i = 0; i < ALL; i++) mi_free(p[i]);
  mi_theap_collect(theap, true);
  mi_theap_set_default(before);
  mi_heap_delete(heap);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_program),
      cmocka_unit_test(test_block_index),
      cmocka_unit_test(test_charges),
      cmocka_unit_test(test_strings),
      cmocka_unit_test(test_posix),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_heap_of_another_thread),
      cmocka_unit_test(test_exact_heap_of_a_task),
      cmocka_unit_test(test_realloc_is_seen_alike),
      cmocka_unit_test(test_default_heap),
      cmocka_unit_test(test_theap),
  };
  return cmocka_run_group_tests_name("forms", tests, NULL, NULL);
}
