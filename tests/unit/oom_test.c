/* oom_test.c: the system refuses. This program has its own mmap, munmap, mremap, mprotect and
** madvise, which the library calls: the n-th call fails, or all from the n-th on, for every n that a
** scenario reaches. Nothing may crash or be lost, failures are NULL and ENOMEM, and all works
** again afterwards. */
#include "alloc/internal.h"
#include "rc/rc.h"
#include "runtime/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

static _Thread_local long calls, fail_first = -1,
                                 fail_last = -1; /* of this thread; others never fail */

static bool refused(void) {
  long n = calls++;
  if (n < fail_first || n > fail_last || fail_first < 0) return false;
  errno = ENOMEM;
  return true;
}

void* mmap(void* p, size_t size, int prot, int flags, int fd, off_t offset) {
  if (refused()) return MAP_FAILED;
  return (void*)syscall(SYS_mmap, p, size, prot, flags, fd, offset);
}
int munmap(void* p, size_t size) { return refused() ? -1 : (int)syscall(SYS_munmap, p, size); }
void* mremap(void* p, size_t size, size_t new_size, int flags, ...) {
  va_list args;
  va_start(args, flags);
  void* to = flags & MREMAP_FIXED ? va_arg(args, void*) : NULL;
  va_end(args);
  if (refused()) return MAP_FAILED;
  return (void*)syscall(SYS_mremap, p, size, new_size, flags, to);
}
int mprotect(void* p, size_t size, int prot) {
  return refused() ? -1 : (int)syscall(SYS_mprotect, p, size, prot);
}
int madvise(void* p, size_t size, int advice) {
  return refused() ? -1 : (int)syscall(SYS_madvise, p, size, advice);
}

enum { KEPT = 64 };
static unsigned char* kept[KEPT]; /* blocks from before, whose bytes must stay */

static void keep_some(void) {
  for (int i = 0; i < KEPT; i++) {
    kept[i] = mi_malloc(1000);
    assert_non_null(kept[i]);
    memset(kept[i], i, 1000);
  }
}
static void check_kept(void) {
  for (int i = 0; i < KEPT; i++)
    for (int k = 0; k < 1000; k++) assert_int_equal(kept[i][k], i);
}

static void use(void* p, size_t size) {
  if (p != NULL)
    memset(p, 0x5a, size);
  else
    assert_int_equal(errno, ENOMEM);
  errno = 0;
}

static void blocks_of_all_sizes(void) {
  static void* p[40];
  size_t size = 8;
  for (int i = 0; i < 40; i++, size = size < 30 * MiB ? size * 3 / 2 : 24) {
    p[i] = i % 3 == 0   ? mi_zalloc(size)
           : i % 3 == 1 ? mi_malloc(size)
                        : mi_malloc_aligned(size, 128 * KiB);
    use(p[i], size < 4096 ? size : 4096);
  }
  for (int i = 0; i < 40; i++) {
    void* q = mi_realloc(p[i], 3000);
    mi_free(q != NULL ? q : p[i]);
  }
  mi_collect(true);
}

/* Grows, where its memory need not be copied, and shrinks. */
static void a_huge_block(void) {
  static const size_t sizes[] = {18 * MiB, 60 * MiB, 61 * MiB, 20 * MiB, 17 * MiB, 100 * MiB};
  unsigned char* p = NULL;
  for (int i = 0; i < (CHECKED ? 0 : 6); i++) { /* checked builds fill all of it, and copy */
    unsigned char* q = mi_rezalloc(p, sizes[i]);
    if (q == NULL) continue;
    p = q;
    assert_int_equal(p[0], i == 0 ? 0 : p[1]);
    assert_int_equal(p[17 * MiB - 1], p[1]);
    p[0] = p[1] = p[17 * MiB - 1] = (unsigned char)i;
  }
  mi_free(p);
}

static void a_heap(void) {
  mi_heap_t* heap = mi_heap_new();
  if (heap == NULL) return;
  for (int i = 0; i < 20; i++) use(mi_heap_malloc(heap, 5000), 5000);
  mi_heap_destroy(heap);
}

static void a_task(void) {
  rt_config config = {.repeatable_addresses = true, .bytes = 100 * MiB};
  rt_task* task = rt_task_new(&config);
  if (task == NULL) {
    assert_int_equal(errno, ENOMEM);
    return;
  }
  assert_int_equal(rt_enter(task), 0);
  void* huge = rt_alloc(40 * MiB);
  use(huge, 4096);
  rt_free_sized(huge, 40 * MiB);
  rc_object* list = NULL;
  for (int i = 0; i < 10000; i++) {
    rc_object* o = rc_alloc(0, 1);
    if (o == NULL) break;
    rc_init(o, 0, list != NULL ? rc_from(list) : RC_NIL);
    list = o;
  }
  if (list != NULL) rc_dec(list);
  rc_drain(SIZE_MAX);
  assert_int_equal(rt_bytes(task), 0);
  rt_leave();
  assert_int_equal(rt_task_end(task), 0);
}

static void scenario(void) {
  blocks_of_all_sizes();
  a_huge_block();
  a_heap();
  a_task();
}

static void fail_between(long first, long last) {
  calls = 0;
  fail_first = first;
  fail_last = last;
  scenario();
  fail_first = -1;
  check_kept();
}

static void everything_works(void) {
  void* p = mi_malloc(50 * MiB);
  assert_non_null(p);
  mi_free(p);
  rt_config config = {.repeatable_addresses = true};
  rt_task* task = rt_task_new(&config);
  assert_non_null(task);
  assert_int_equal(rt_task_end(task), 0);
}

static void test_every_call_fails(void** state) {
  (void)state;
  keep_some();
  calls = 0;
  scenario();
  long reached = calls;
  assert_true(reached > 20);
  for (long n = 0; n < reached; n++) {
    fail_between(n, n);
    fail_between(n, n + 1);
    fail_between(n, reached * 10);
    everything_works();
  }
}

/* What frees ask of the system may fail; the caller's errno is not touched. The calls from `first`
** to `last` of each free fail. Returns in how many frees that happened. */
static long free_all(void* p[], const size_t sizes[], int count, long first, long last) {
  long refusals = 0;
  for (int i = 0; i < count; i++) {
    calls = 0;
    fail_first = first;
    fail_last = last;
    errno = 1234;
    if (rt_current() != NULL)
      rt_free_sized(p[i], sizes[i]);
    else
      mi_free(p[i]);
    fail_first = -1;
    assert_int_equal(errno, 1234);
    refusals += calls > first;
  }
  return refusals;
}

/* Blocks of the process, or of the task's region; many, so that pages are given back. */
static long free_with_failures(long first, long last) {
  enum { BLOCKS = 200 };
  static const size_t kinds[] = {100, 5000, 40000, 200000, 3 * MiB, 20 * MiB};
  void* p[BLOCKS];
  size_t sizes[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    sizes[i] = kinds[i % 30 == 0 ? 5 : i % 5];
    p[i] = rt_current() != NULL ? rt_alloc(sizes[i]) : mi_malloc(sizes[i]);
    assert_non_null(p[i]);
  }
  return free_all(p, sizes, BLOCKS, first, last);
}

static void test_free_keeps_errno(void** state) {
  (void)state;
  for (int in_task = 0; in_task < 2; in_task++)
    for (long first = 0; first < 2; first++) {
      rt_task* task = in_task ? rt_task_new(&(rt_config){.repeatable_addresses = true}) : NULL;
      assert_true(!in_task || (task != NULL && rt_enter(task) == 0));
      assert_true(free_with_failures(first, first) > 5);
      assert_true(free_with_failures(first, 1000) > 5);
      rt_leave();
      assert_true(!in_task || rt_task_end(task) == 0);
    }
}

/* A thread whose very first call finds no memory. */
static void* starving_thread(void* arg) {
  (void)arg;
  fail_first = 0;
  fail_last = 1000000;
  void* p[64];
  for (int i = 0; i < 64; i++) p[i] = mi_malloc((size_t)1 << (i % 20));
  for (int i = 0; i < 64; i++) mi_free(p[i]);
  fail_first = -1;
  void* q = mi_malloc(100);
  assert_non_null(q);
  mi_free(q);
  return NULL;
}

static void test_thread_without_memory(void** state) {
  (void)state;
  pthread_t t;
  assert_int_equal(pthread_create(&t, NULL, starving_thread, NULL), 0);
  pthread_join(t, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_call_fails),
      cmocka_unit_test(test_free_keeps_errno),
      cmocka_unit_test(test_thread_without_memory),
  };
  return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
