/* cases.c: one small misuse of the allocator for each name; run.sh tells what must be said about
** it. Where the library reports and goes on, results are checked here, and the heap must still
** work afterwards. */
#include "alloc/mimalloc.h"
#include "runtime/runtime.h"
#include "tests/tools.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void expect(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "expected: %s\n", what);
  exit(1);
}

static char* get(size_t size) {
  char* p = mi_malloc(size);
  expect(p != NULL, "memory");
  return memset(p, 7, size < 1000 ? size : 1000);
}

static void* call_free(void* p) {
  mi_free(p);
  return NULL;
}

static void in_thread(void* (*f)(void*), void* arg) {
  pthread_t t;
  expect(pthread_create(&t, NULL, f, arg) == 0 && pthread_join(t, NULL) == 0, "a thread");
}

enum { LARGE = 100000, HUGE = 20 << 20 };

/* ---- Double free ----------------------------------------------------------------------------- */

static void free_twice(size_t size) {
  char* p = get(size);
  mi_free(p);
  mi_free(p);
}
static void double_free(void) { free_twice(100); }
static void double_free_large(void) { free_twice(LARGE); }
static void double_free_huge(void) { free_twice(HUGE); }

static void double_free_later(void) {
  char *p = get(100), *q = get(100), *r = get(100);
  mi_free(q);
  mi_free(p);
  mi_free(r);
  mi_free(get(3000));
  mi_free(p);
}

static void double_free_by_thread(void) {
  char* p = get(100);
  mi_free(p);
  in_thread(call_free, p);
}

static void double_free_after_thread(void) {
  char* p = get(100);
  in_thread(call_free, p);
  mi_free(p);
}

static void* free_both_times(void* p) {
  mi_free(p);
  mi_free(p);
  return NULL;
}
static void double_free_in_thread(void) { in_thread(free_both_times, get(100)); }

/* All blocks of the first page, which is full and has no other user, and then one of them again. */
enum { PAGE_BLOCKS = 3000 };
static char* page_blocks[PAGE_BLOCKS];
static void* free_page_and_again(void* arg) {
  uintptr_t page = (uintptr_t)page_blocks[0] >> 16;
  for (int i = 0; i < PAGE_BLOCKS; i++)
    if ((uintptr_t)page_blocks[i] >> 16 == page) mi_free(page_blocks[i]);
  mi_free(page_blocks[0]);
  return arg;
}
static void double_free_full_page(void) {
  for (int i = 0; i < PAGE_BLOCKS; i++) page_blocks[i] = get(64);
  in_thread(free_page_and_again, NULL);
}

/* ---- Free of what is no block ---------------------------------------------------------------- */

static void free_interior(void) { mi_free(get(100) + 16); }
static void free_interior_large(void) { mi_free(get(LARGE) + 70000); }
static void free_interior_huge(void) { mi_free(get(HUGE) + 16); }
static void free_interior_far(void) { mi_free(get(2 * (size_t)HUGE) + (36 << 20)); }

static void free_stack(void) {
  char local[64] = "a local variable";
  mi_free(local);
  expect(strcmp(local, "a local variable") == 0, "nothing is written to");
}

static void free_static(void) {
  static char text[64] = "a static variable";
  mi_free(text);
  expect(strcmp(text, "a static variable") == 0, "nothing is written to");
}

static void free_mapped(void) {
  char* p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(p != MAP_FAILED, "a mapping");
  mi_free(p + 4096);
  p[4096] = 1;
}

static void free_number(void) { mi_free((void*)8); }

/* The last bytes of the first chunk (32 MiB), behind the last block of the page there. */
static void free_chunk_tail(void) {
  uintptr_t chunk = (uintptr_t)get(2048) >> 25;
  while ((uintptr_t)get(2048) >> 25 == chunk) {}
  mi_free((void*)(((chunk + 1) << 25) - 8));
}

/* What a program finds that reads a pointer from freed memory. */
static void free_of_freed_memory(void) { mi_free((void*)(uintptr_t)0xdfdfdfdfdfdfdfdf); }

static void free_moved_from(size_t size) {
  char* p = get(size);
  char* q = mi_realloc(p, 3 * size);
  expect(q != NULL && q != p && q[0] == 7, "the contents in another block");
  mi_free(p);
  mi_free(q);
}
static void free_moved(void) { free_moved_from(100); }
static void free_moved_large(void) { free_moved_from(LARGE); }

/* ---- Buffer overflow: 112 and 5120 are sizes of classes -------------------------------------- */

static void write_and_free(size_t size, size_t offset) {
  char* volatile p = get(size);
  p[offset] = 1;
  mi_free(p);
}
static void overflow_by_one(void) { write_and_free(100, 100); }
static void overflow_far(void) { write_and_free(5000, 5119); }
static void overflow_full_class(void) { write_and_free(112, 112); }
static void overflow_large(void) { write_and_free(LARGE, LARGE); }
static void overflow_huge(void) { write_and_free(HUGE, HUGE); }

static void overflow_medium(void) { write_and_free(30000, 30000); }
static void overflow_large_far(void) { write_and_free(LARGE, LARGE + 8000); }
static void overflow_huge_far(void) { write_and_free(HUGE, HUGE + 8000); }
static void zero_size_write(void) { write_and_free(0, 0); }

static void overflow_remote(void) {
  char* volatile p = get(100);
  p[100] = 1;
  in_thread(call_free, p);
}

/* All of the next block, too. */
static void overflow_neighbour(void) {
  char* volatile p = get(112);
  for (int i = 0; i < 100; i++) (void)get(112);
  memset(p, 'A', 112 + 128);
  mi_free(p);
}

static void write_before_and_free(size_t size, size_t distance) {
  char* volatile p = get(size);
  *(p - distance) = 1;
  mi_free(p);
}
static void underflow(void) { write_before_and_free(112, 1); }
static void underflow_near(void) { write_before_and_free(112, 16); }
static void underflow_medium(void) { write_before_and_free(30000, 1); }
static void underflow_large(void) { write_before_and_free(LARGE, 1); }
static void underflow_huge(void) { write_before_and_free(HUGE, 8); }

/* Overwrites all that follows the block, then wants more than there is behind it. */
static void overflow_realloc(void) {
  char* volatile p = get(112);
  memset(p, 'A', 112 + 16);
  (void)!mi_realloc(p, 100 << 20);
}

/* ---- Use of what was freed, or never was a block --------------------------------------------- */

/* A freed block is written to, and then used again. */
static void write_and_reuse(size_t offset) {
  char* volatile p = get(100);
  mi_free(p);
  p[offset] = 1;
  for (int i = 0; i < 10000; i++) (void)get(100);
}
static void write_after_free(void) { write_and_reuse(50); }
static void write_after_free_last(void) { write_and_reuse(99); }
/* Where nothing but the zones beside it is: found when it is used again, or its page goes. */
static void write_beside_and_reuse(size_t at) {
  char* volatile p = get(112);
  mi_free(p);
  p[at] = 1;
  for (int i = 0; i < 10000; i++) (void)get(112);
}
static void write_after_free_behind(void) { write_beside_and_reuse(112); }
static void write_after_free_before(void) { write_beside_and_reuse((size_t)-1); }
static void write_after_free_collected(void) {
  char* volatile p = get(112);
  mi_free(p);
  p[112] = 1;
  mi_collect(true);
}
static void write_after_free_link(void) {
  char* volatile p = get(100), * volatile q = get(100);
  mi_free(q);
  mi_free(p);
  memset(q, 0x41, 8);
  for (int i = 0; i < 10000; i++) (void)get(100);
}

static void write_after_free_medium(void) {
  char* volatile p = get(30000);
  mi_free(p);
  p[20000] = 1;
  for (int i = 0; i < 1000; i++) (void)get(30000);
}

static void write_after_free_remote(void) {
  char* volatile p = get(100);
  in_thread(call_free, p);
  p[50] = 1;
  for (int i = 0; i < 10000; i++) (void)get(100);
}

/* The program ends before the block is used again. */
static void write_after_free_at_end(void) {
  char* volatile p = get(100);
  mi_free(p);
  p[50] = 1;
  exit(0);
}

static void write_after_free_large(void) {
  char* volatile p = get(LARGE);
  mi_free(p);
  p[50000] = 1;
}
static void read_after_free_large(void) {
  char* volatile p = get(LARGE);
  mi_free(p);
  (void)*(volatile char*)(p + 50000);
}
static void read_after_free_huge(void) {
  char* volatile p = get(HUGE);
  mi_free(p);
  (void)*(volatile char*)(p + 50000);
}

/* What is read is nothing that was there. */
static void read_after_free(void) {
  char* volatile p = get(100);
  mi_free(p);
  expect(p[50] != 7, "the contents are gone");
}

/* A link to memory of the attacker's choice: no block may be served from there. */
static void forged_link(void) {
  static char target[256] __attribute__((aligned(64)));
  char* volatile p = get(100);
  mi_free(p);
  void* at = target + 16; /* no byte 0 in front, which is what a freed block is filled with */
  memcpy(p, &at, sizeof at);
  for (int i = 0; i < 10000; i++) {
    char* q = get(100);
    expect(q < target || q >= target + sizeof target, "no block in the forged place");
  }
}

/* What one freed block begins with is written to another: were it a link, blocks would be served
** twice. */
static void replayed_link(void) {
  static char* served[5000];
  char* volatile p = get(100), * volatile q = get(100), * volatile r = get(100);
  mi_free(p);
  mi_free(q);
  mi_free(r);
  memcpy(r, q, sizeof(void*));
  for (int i = 0; i < 5000; i++) {
    served[i] = mi_malloc(100);
    memcpy(served[i], &i, sizeof i);
  }
  for (int i = 0; i < 5000; i++) expect(memcmp(served[i], &i, sizeof i) == 0, "served once");
}

/* What was in a block is not in a later one. */
static void stale_data(void) {
  static const char secret[] = "a password that nobody should find";
  for (int i = 0; i < 100; i++) memcpy(get(100) + 20, secret, sizeof secret);
  char* p = get(100);
  memcpy(p + 20, secret, sizeof secret);
  mi_free(p);
  for (int i = 0; i < 10000; i++) {
    char* q = mi_malloc(100);
    expect(memcmp(q + 20, secret, sizeof secret) != 0, "no stale data");
  }
}

static void free_destroyed(void) {
  mi_heap_t* heap = mi_heap_new();
  char* volatile p = mi_heap_malloc(heap, 100);
  mi_heap_destroy(heap);
  mi_free(p);
}

static void sized_free_wrong(void) { mi_free_size(get(100), 200); }
static void sized_free_less(void) { mi_free_size(get(100), 50); }

static void close_stderr(void) {
  mi_free(get(100));
  fclose(stderr);
}

static void realloc_freed(void) {
  char* p = get(100);
  mi_free(p);
  (void)!mi_realloc(p, 200);
}

static void expect_refused(void* q) { expect(q == NULL && errno == EINVAL, "NULL and EINVAL"); }

static void realloc_invalid(void) {
  char local[64] = "";
  expect_refused(mi_realloc(local, 200));
}

static void realloc_aligned_invalid(void) {
  char local[64] = "";
  expect_refused(mi_realloc_aligned(local, 200, 64));
}

static void realloc_interior_large(void) {
  expect_refused(mi_realloc(get(2 * LARGE) + 16, 3 * LARGE / 2));
}

static void usable_invalid(void) {
  char local[64] = "";
  expect(mi_usable_size(local) == 0, "0");
}

static void usable_freed_large(void) {
  char* p = get(LARGE);
  mi_free(p);
  expect(mi_usable_size(p) == 0, "0");
}

/* ---- Arguments that cannot be: errno, and no message ----------------------------------------- */

static void expect_error(void* p, int error, const char* call) {
  expect(p == NULL && errno == error, call);
  errno = 0;
}

/* Volatile, for the compiler knows that these sizes cannot be. */
static void impossible_sizes(void) {
  volatile size_t all = SIZE_MAX, half = SIZE_MAX / 2, most = PTRDIFF_MAX, huge = (size_t)1 << 62;
  mi_heap_t* heap = mi_heap_get_default();
  errno = 0;
  expect_error(mi_calloc(half, 3), ENOMEM, "mi_calloc(SIZE_MAX/2, 3) fails");
  expect_error(mi_mallocn(half, 3), ENOMEM, "mi_mallocn(SIZE_MAX/2, 3) fails");
  expect_error(mi_heap_calloc(heap, half, 3), ENOMEM, "mi_heap_calloc(SIZE_MAX/2, 3) fails");
  expect_error(mi_calloc_aligned(half, 3, 64), ENOMEM, "mi_calloc_aligned(SIZE_MAX/2, 3) fails");
  expect_error(mi_malloc(all), ENOMEM, "mi_malloc(SIZE_MAX) fails");
  expect_error(mi_zalloc(all - 4096), ENOMEM, "mi_zalloc(SIZE_MAX - 4096) fails");
  expect_error(mi_heap_malloc(heap, all), ENOMEM, "mi_heap_malloc(SIZE_MAX) fails");
  expect_error(mi_malloc(most), ENOMEM, "mi_malloc(PTRDIFF_MAX) fails");
  expect_error(mi_malloc_aligned(all - 8, 64), ENOMEM, "mi_malloc_aligned(SIZE_MAX - 8) fails");
  expect_error(mi_malloc_aligned(10, huge), ENOMEM, "an alignment of 2^62 fails");
}

static void impossible_realloc(void) {
  volatile size_t all = SIZE_MAX, half = SIZE_MAX / 2;
  char* p = get(100);
  memcpy(p, "as before", 10);
  errno = 0;
  expect_error(mi_realloc(p, all), ENOMEM, "mi_realloc(SIZE_MAX) fails");
  expect_error(mi_reallocn(p, half, 3), ENOMEM, "mi_reallocn(SIZE_MAX/2, 3) fails");
  mi_heap_t* heap = mi_heap_get_default();
  expect_error(mi_heap_realloc(heap, p, all), ENOMEM, "mi_heap_realloc(SIZE_MAX) fails");
  expect_error(mi_realloc_aligned(p, all, 64), ENOMEM, "mi_realloc_aligned(SIZE_MAX) fails");
  expect(strcmp(p, "as before") == 0, "the block is as before");
  expect_error(mi_reallocf(p, all), ENOMEM, "mi_reallocf(SIZE_MAX) fails, and frees");
}

static void impossible_alignments(void) {
  volatile size_t three = 3, none = 0;
  char* p = get(100);
  errno = 0;
  expect_error(mi_malloc_aligned(10, three), EINVAL, "alignment 3 is refused");
  expect_error(mi_malloc_aligned(10, none), EINVAL, "alignment 0 is refused");
  expect_error(mi_zalloc_aligned(10, three), EINVAL, "alignment 3 is refused");
  expect_error(mi_calloc_aligned(1, 10, three), EINVAL, "alignment 3 is refused");
  expect_error(mi_realloc_aligned(p, 10, none), EINVAL, "alignment 0 is refused");
  expect_error(mi_realloc_aligned(NULL, 10, three), EINVAL, "alignment 3 is refused");
  mi_free(p);
}

/* ---- Heaps and callbacks --------------------------------------------------------------------- */

static void* end_heap(void* heap) {
  mi_heap_collect(heap, true);
  mi_heap_delete(heap);
  mi_heap_destroy(heap);
  return NULL;
}

/* Ending the heap of another thread, or none, does nothing. */
static void heap_of_another(void) {
  mi_heap_t* heap = mi_heap_new();
  char* p = heap == NULL ? NULL : mi_heap_malloc(heap, 100);
  expect(p != NULL, "memory");
  strcpy(p, "as before");
  in_thread(end_heap, heap);
  end_heap(NULL);
  expect(strcmp(p, "as before") == 0 && mi_usable_size(p) >= 100, "the block is as before");
  mi_free(p);
  mi_heap_destroy(heap);
}

static void end_heap_twice(void) {
  mi_heap_t* heap = mi_heap_new();
  expect(heap != NULL, "memory");
  mi_heap_destroy(heap);
  mi_heap_delete(heap);
}

static void too_many_callbacks(void) {
  for (int i = 0; i < 9; i++) mi_register_deferred_free(ignore_beat, NULL);
}

/* A callback that ends a heap, or leaves its task: nothing happens, and all goes on. It is called
** by the first refill, or by the first beat. */
static mi_heap_t* victim;
static void delete_victim(bool force, unsigned long long beat, void* arg) {
  (void)force, (void)beat, (void)arg;
  mi_heap_delete(victim);
}
static void destroy_victim(bool force, unsigned long long beat, void* arg) {
  (void)force, (void)beat, (void)arg;
  mi_heap_destroy(victim);
}
static void leave(bool force, unsigned long long beat, void* arg) {
  (void)force, (void)beat, (void)arg;
  rt_leave();
}

static void end_heap_in_callback(mi_deferred_free_fun* end, bool at_beat) {
  victim = mi_heap_new();
  char* p = victim == NULL ? NULL : mi_heap_malloc(victim, 100);
  expect(p != NULL, "memory");
  strcpy(p, "as before");
  mi_register_deferred_free(end, NULL);
  if (at_beat)
    mi_tick(mi_heartbeat_period());
  else
    expect(mi_heap_malloc(victim, 20000) != NULL, "memory of the heap that was to end");
  mi_register_deferred_free(NULL, NULL);
  expect(strcmp(p, "as before") == 0 && mi_usable_size(p) >= 100, "the block is as before");
  mi_heap_destroy(victim);
}
static void delete_in_refill(void) { end_heap_in_callback(delete_victim, false); }
static void delete_at_beat(void) { end_heap_in_callback(delete_victim, true); }
static void destroy_in_refill(void) { end_heap_in_callback(destroy_victim, false); }
static void destroy_at_beat(void) { end_heap_in_callback(destroy_victim, true); }

/* ---- Tasks ----------------------------------------------------------------------------------- */

static void leave_in_callback(bool at_beat) {
  rt_task* task = rt_task_new(NULL);
  expect(task != NULL && rt_enter(task) == 0, "a task");
  mi_register_deferred_free(leave, NULL);
  if (at_beat)
    mi_tick(mi_heartbeat_period());
  else
    mi_free(mi_malloc(100));
  mi_register_deferred_free(NULL, NULL);
  expect(rt_current() == task && rt_ticks(task) > 0, "the task stays");
  rt_leave();
  expect(rt_current() == NULL && rt_task_end(task) == 0, "the task ends");
}
static void leave_in_refill(void) { leave_in_callback(false); }
static void leave_at_beat(void) { leave_in_callback(true); }

static void* end_within_task(void* task) {
  char* p = get(100);
  expect(rt_enter(task) == 0, "a task");
  mi_free(get(100));
  return p;
}

/* The thread's own block can be freed, the task it has not left cannot be ended. */
static void thread_ends_within_task(void) {
  pthread_t t;
  void* p;
  rt_task* task = rt_task_new(NULL);
  expect(task != NULL, "a task");
  expect(pthread_create(&t, NULL, end_within_task, task) == 0, "a thread");
  expect(pthread_join(t, &p) == 0 && *(char*)p == 7, "the thread's block");
  mi_free(p);
  expect(rt_task_end(task) == EBUSY, "the task is still entered");
}

static void* only_within_task(void* task) {
  expect(rt_enter(task) == 0, "a task");
  mi_free(get(100));
  return NULL;
}

/* The thread has allocated nothing outside. */
static void thread_lives_within_task(void) {
  rt_task* task = rt_task_new(NULL);
  expect(task != NULL, "a task");
  in_thread(only_within_task, task);
}

/* ---- For the options ------------------------------------------------------------------------- */

static void nothing(void) {}
static void leak(void) { (void)get(100); }

static const struct misuse {
  const char* name;
  void (*run)(void);
} all_cases[] = {
    {"double_free", double_free},
    {"double_free_large", double_free_large},
    {"double_free_huge", double_free_huge},
    {"double_free_later", double_free_later},
    {"double_free_by_thread", double_free_by_thread},
    {"double_free_after_thread", double_free_after_thread},
    {"double_free_in_thread", double_free_in_thread},
    {"double_free_full_page", double_free_full_page},
    {"free_interior", free_interior},
    {"free_interior_large", free_interior_large},
    {"free_interior_huge", free_interior_huge},
    {"free_interior_far", free_interior_far},
    {"free_stack", free_stack},
    {"free_static", free_static},
    {"free_mapped", free_mapped},
    {"free_number", free_number},
    {"free_chunk_tail", free_chunk_tail},
    {"free_of_freed_memory", free_of_freed_memory},
    {"free_moved", free_moved},
    {"free_moved_large", free_moved_large},
    {"overflow_by_one", overflow_by_one},
    {"overflow_far", overflow_far},
    {"overflow_full_class", overflow_full_class},
    {"overflow_large", overflow_large},
    {"overflow_huge", overflow_huge},
    {"underflow", underflow},
    {"overflow_medium", overflow_medium},
    {"overflow_large_far", overflow_large_far},
    {"overflow_huge_far", overflow_huge_far},
    {"overflow_remote", overflow_remote},
    {"overflow_neighbour", overflow_neighbour},
    {"zero_size_write", zero_size_write},
    {"underflow_near", underflow_near},
    {"underflow_medium", underflow_medium},
    {"underflow_large", underflow_large},
    {"underflow_huge", underflow_huge},
    {"write_after_free_behind", write_after_free_behind},
    {"write_after_free_before", write_after_free_before},
    {"write_after_free_collected", write_after_free_collected},
    {"write_after_free_medium", write_after_free_medium},
    {"write_after_free_remote", write_after_free_remote},
    {"write_after_free_at_end", write_after_free_at_end},
    {"write_after_free_large", write_after_free_large},
    {"read_after_free", read_after_free},
    {"read_after_free_large", read_after_free_large},
    {"read_after_free_huge", read_after_free_huge},
    {"forged_link", forged_link},
    {"replayed_link", replayed_link},
    {"stale_data", stale_data},
    {"free_destroyed", free_destroyed},
    {"sized_free_wrong", sized_free_wrong},
    {"sized_free_less", sized_free_less},
    {"overflow_realloc", overflow_realloc},
    {"close_stderr", close_stderr},
    {"write_after_free", write_after_free},
    {"write_after_free_last", write_after_free_last},
    {"write_after_free_link", write_after_free_link},
    {"realloc_freed", realloc_freed},
    {"realloc_invalid", realloc_invalid},
    {"realloc_aligned_invalid", realloc_aligned_invalid},
    {"realloc_interior_large", realloc_interior_large},
    {"usable_invalid", usable_invalid},
    {"usable_freed_large", usable_freed_large},
    {"impossible_sizes", impossible_sizes},
    {"impossible_realloc", impossible_realloc},
    {"impossible_alignments", impossible_alignments},
    {"heap_of_another", heap_of_another},
    {"end_heap_twice", end_heap_twice},
    {"too_many_callbacks", too_many_callbacks},
    {"delete_in_refill", delete_in_refill},
    {"delete_at_beat", delete_at_beat},
    {"destroy_in_refill", destroy_in_refill},
    {"destroy_at_beat", destroy_at_beat},
    {"leave_in_refill", leave_in_refill},
    {"leave_at_beat", leave_at_beat},
    {"thread_ends_within_task", thread_ends_within_task},
    {"thread_lives_within_task", thread_lives_within_task},
    {"nothing", nothing},
    {"leak", leak},
};

static void expect_heap_works(void) {
  static char* p[2000];
  for (int i = 0; i < 2000; i++) p[i] = get((size_t)(i % 700) * (i % 31 ? 1 : 300));
  for (int i = 0; i < 2000; i++) mi_free(p[i]);
  mi_collect(true);
}

int main(int argc, char** argv) {
  for (size_t i = 0; argc > 1 && i < sizeof all_cases / sizeof all_cases[0]; i++)
    if (strcmp(argv[1], all_cases[i].name) == 0) {
      all_cases[i].run();
      expect_heap_works();
      return 0;
    }
  fputs("cases: no such case\n", stderr);
  return 2;
}
