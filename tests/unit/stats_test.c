/* stats_test.c: statistics as data are what the test counted itself, by size class: of a heap, of
** subprocesses, of the process; after frees by others, ends of threads, moves of pages, and a reset. */
#include "alloc/mimalloc-stats.h"
#include "tests/tools.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SLOTS = 5000, LARGE_BYTES = 64 * 1024, PAGE_BYTES = 512 * 1024 };

/* ---- The account ------------------------------------------------------------------------------- */

typedef struct account {
  int64_t total[MI_BIN_HUGE + 1], live[MI_BIN_HUGE + 1], peak[MI_BIN_HUGE + 1];
  int64_t bytes, bytes_live; /* of large blocks, in steps of 64 KiB */
} account;

static struct slot {
  void* p;
  size_t size;
} slots[SLOTS];

static size_t bin_of(size_t size) {
  if (size > LARGE_BYTES) return MI_BIN_HUGE;
  size_t bin = 1, multiple = size <= 8 ? 8 : 16; /* blocks above a word are aligned to two */
  while (mi_stats_get_bin_size(bin) < size || mi_stats_get_bin_size(bin) % multiple != 0) bin++;
  return bin;
}

static int64_t large_bytes(size_t size) {
  return (int64_t)((size + LARGE_BYTES - 1) / LARGE_BYTES * LARGE_BYTES);
}

static void count_new(account* a, size_t size) {
  size_t bin = bin_of(size);
  a->total[bin]++;
  if (++a->live[bin] > a->peak[bin]) a->peak[bin] = a->live[bin];
  if (bin != MI_BIN_HUGE) return;
  a->bytes += large_bytes(size);
  a->bytes_live += large_bytes(size);
}

static void count_free(account* a, size_t size) {
  size_t bin = bin_of(size);
  a->live[bin]--;
  if (bin == MI_BIN_HUGE) a->bytes_live -= large_bytes(size);
}

/* As if what lives was all there ever was. */
static void count_anew(account* a) {
  memcpy(a->total, a->live, sizeof a->total);
  memcpy(a->peak, a->live, sizeof a->peak);
  a->bytes = a->bytes_live;
}

/* Of one heap; what is granted and not yet handed out counts: a page's blocks at most. */
static void check_peak(const mi_stat_count_t* c, int64_t peak, int64_t size) {
  int64_t most = peak + (size == 0 ? 0 : PAGE_BYTES / size);
  assert_in_range(c->peak, peak, most < c->total ? most : c->total);
}

static void check(const mi_stats_t* s, const account* a) {
  int64_t normal = 0, normal_live = 0, count = 0;
  for (size_t bin = 1; bin <= MI_BIN_HUGE; bin++) {
    const mi_stat_count_t* c = &s->malloc_bins[bin];
    int64_t size = (int64_t)mi_stats_get_bin_size(bin);
    assert_int_equal(c->total, a->total[bin]);
    assert_int_equal(c->current, a->live[bin]);
    assert_in_range(c->peak, c->current, c->total);
    if (bin == MI_BIN_HUGE) break;
    normal += c->total * size;
    normal_live += c->current * size;
    count += c->total;
  }
  assert_int_equal(s->malloc_normal.total, normal);
  assert_int_equal(s->malloc_normal.current, normal_live);
  assert_int_equal(s->malloc_normal_count.total, count);
  assert_int_equal(s->malloc_huge_count.total, a->total[MI_BIN_HUGE]);
  assert_int_equal(s->malloc_huge.total, a->bytes);
  assert_int_equal(s->malloc_huge.current, a->bytes_live);
}

static void check_heap(mi_heap_t* heap, const account* a) {
  mi_stats_t_decl(s);
  assert_true(mi_heap_stats_get(heap, &s));
  check(&s, a);
  for (size_t bin = 1; bin <= MI_BIN_HUGE; bin++)
    check_peak(&s.malloc_bins[bin], a->peak[bin], (int64_t)mi_stats_get_bin_size(bin));
}

static size_t random_size(void) {
  size_t kind = rnd(1000);
  return rnd(kind == 0 ? 20 << 20 : kind < 10 ? 300000 : kind < 200 ? 60000 : 500);
}

static void fill(mi_heap_t* heap, account* a) {
  for (int i = 0; i < SLOTS; i++) {
    if (slots[i].p != NULL) continue;
    slots[i].size = random_size();
    assert_non_null(slots[i].p = mi_heap_malloc(heap, slots[i].size));
    count_new(a, slots[i].size);
  }
}

static void free_some(account* a, size_t of) {
  for (int i = 0; i < SLOTS; i++) {
    if (slots[i].p == NULL || rnd(of) != 0) continue;
    mi_free(slots[i].p);
    slots[i].p = NULL;
    count_free(a, slots[i].size);
  }
}

static void* free_thread(void* arg) {
  free_some(arg, 3);
  return NULL;
}
static void free_remotely(account* a) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, free_thread, a), 0);
  pthread_join(thread, NULL);
}

/* ---- A heap's ---------------------------------------------------------------------------------- */

static void test_heap(void** state) {
  (void)state;
  static account a, none, first;
  fill(mi_heap_get_backing(), &first); /* totals that hide nothing */
  free_some(&first, 1);
  mi_heap_t* heap = mi_heap_new();
  for (int round = 0; round < 5; round++) {
    fill(heap, &a);
    check_heap(heap, &a);
    free_remotely(&a);
    check_heap(heap, &a);
    free_some(&a, 2);
    if (round == 2) mi_heap_collect(heap, true);
    check_heap(heap, &a);
    if (round == 3) mi_heap_stats_merge_to_subproc(heap), count_anew(&a);
  }
  mi_heap_t* other = mi_heap_new(); /* what lives goes with its pages */
  check_heap(other, &none);
  mi_stats_t_decl(before);
  assert_true(mi_heap_stats_get(mi_heap_get_backing(), &before));
  mi_heap_delete(heap);
  mi_stats_t_decl(after);
  assert_true(mi_heap_stats_get(mi_heap_get_backing(), &after));
  for (size_t bin = 1; bin <= MI_BIN_HUGE; bin++)
    assert_int_equal(after.malloc_bins[bin].total - before.malloc_bins[bin].total, a.live[bin]);
  mi_option_disable(mi_option_abort_on_error);
  mi_option_disable(mi_option_show_errors);
  assert_false(mi_heap_stats_get(heap, &after)); /* it has ended */
  assert_false(mi_heap_stats_get(NULL, &after));
  free_some(&a, 1);
  mi_heap_destroy(other);
}

static void churn(mi_heap_t* heap, size_t size, int times) {
  for (int i = 0; i < times; i++) mi_free(mi_heap_malloc(heap, size));
}

/* A peak is not the sum of what came one after the other; nor is what was before a reset. */
static void test_peaks(void** state) {
  (void)state;
  enum { SIZE = 64, MANY = 50000 };
  static void* many[MANY];
  mi_heap_t* heap = mi_heap_new();
  for (int i = 0; i < MANY; i++) assert_non_null(many[i] = mi_heap_malloc(heap, SIZE));
  for (int i = 0; i < MANY; i++) mi_free(many[i]);
  mi_stats_reset();
  churn(heap, SIZE, MANY);
  churn(heap, 1 << 20, 100);
  mi_stats_t_decl(s);
  assert_true(mi_heap_stats_get(heap, &s));
  assert_int_equal(s.malloc_huge.peak, 1 << 20);
  assert_int_equal(s.malloc_huge.total, 100 << 20);
  size_t bin = bin_of(SIZE);
  assert_int_equal(s.malloc_bins[bin].total, MANY);
  assert_in_range(s.malloc_bins[bin].peak, 1, PAGE_BYTES / SIZE);
  mi_heap_destroy(heap);
}

/* ---- Threads and subprocesses ------------------------------------------------------------------- */

typedef struct job {
  mi_subproc_id_t subproc;
  account* a;
  bool adopts;
} job;

/* Its first heap adopts what was left as it needs pages. */
static void* leave(void* arg) {
  job* j = arg;
  mi_subproc_add_current_thread(j->subproc);
  fill(mi_heap_get_default(), j->a);
  free_some(j->a, 3);
  if (j->adopts) mi_collect(true);
  return NULL;
}

static void check_subproc(mi_subproc_id_t id, const account* a, int64_t threads) {
  mi_stats_t_decl(all);
  mi_stats_t_decl(ended);
  assert_true(mi_subproc_stats_get(id, &all) && mi_subproc_stats_get_exclusive(id, &ended));
  check(&all, a);
  check(&ended, a);
  assert_int_equal(all.threads.total, threads);
  assert_int_equal(all.threads.current, 0);
  assert_int_equal(all.threads.peak, threads > 0);
  assert_int_equal(all.pages_abandoned.current, all.pages.current);
  int64_t pages = 0;
  for (size_t bin = 1; bin <= MI_BIN_HUGE; bin++) pages += all.page_bins[bin].current;
  assert_int_equal(pages, all.pages.current);
}

static void in_thread(void* (*f)(void*), void* arg) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, f, arg), 0);
  pthread_join(thread, NULL);
}

static void test_subproc(void** state) {
  (void)state;
  static account a;
  mi_subproc_id_t s = mi_subproc_new();
  check_subproc(s, &a, 0);
  for (int i = 1; i <= 6; i++) {
    job j = {s, &a, i % 2 == 0};
    in_thread(leave, &j);
    check_subproc(s, &a, i);
    free_some(&a, 2);
    check_subproc(s, &a, i);
  }
  mi_stats_t_decl(before);
  mi_stats_t_decl(after);
  assert_true(mi_subproc_stats_get_exclusive(mi_subproc_main(), &before));
  mi_subproc_delete(s);
  assert_true(mi_subproc_stats_get_exclusive(mi_subproc_main(), &after));
  for (size_t bin = 1; bin <= MI_BIN_HUGE; bin++) {
    const mi_stat_count_t *x = &after.malloc_bins[bin], *y = &before.malloc_bins[bin];
    assert_int_equal(x->total - y->total, a.total[bin]);
    assert_int_equal(x->current - y->current, a.live[bin]);
  }
  free_some(&a, 1);
}

/* ---- The process, and reset --------------------------------------------------------------------- */

static void check_growth(const mi_stats_t* before, const account* a) {
  mi_stats_t_decl(now);
  assert_true(mi_stats_get(&now));
  for (size_t bin = 1; bin <= MI_BIN_HUGE; bin++) {
    const mi_stat_count_t *x = &now.malloc_bins[bin], *y = &before->malloc_bins[bin];
    assert_int_equal(x->total - y->total, a->total[bin]);
    assert_int_equal(x->current - y->current, a->live[bin]);
  }
}

static void test_reset(void** state) {
  (void)state;
  static account a;
  mi_stats_t_decl(before);
  assert_true(mi_stats_get(&before));
  fill(mi_heap_get_default(), &a);
  free_some(&a, 4);
  check_growth(&before, &a);
  for (int round = 0; round < 3; round++) { /* with blocks of ended threads, and freed by others */
    job j = {mi_subproc_main(), &a, false};
    in_thread(leave, &j);
    free_remotely(&a);
    mi_stats_reset();
    mi_stats_t_decl(now);
    assert_true(mi_stats_get(&now));
    for (size_t bin = 1; bin <= MI_BIN_HUGE; bin++) {
      assert_int_equal(now.malloc_bins[bin].total, now.malloc_bins[bin].current);
      assert_int_equal(now.malloc_bins[bin].peak, now.malloc_bins[bin].current);
      assert_int_equal(now.malloc_bins[bin].current - before.malloc_bins[bin].current, a.live[bin]);
    }
    count_anew(&a);
    memset(before.malloc_bins, 0, sizeof before.malloc_bins);
    for (size_t bin = 1; bin <= MI_BIN_HUGE; bin++)
      before.malloc_bins[bin].total = before.malloc_bins[bin].current =
          now.malloc_bins[bin].current - a.live[bin];
    fill(mi_heap_get_default(), &a);
    free_some(&a, 2);
    check_growth(&before, &a);
  }
  free_some(&a, 1);
  mi_collect(true);
  check_growth(&before, &a);
  mi_stats_merge();
  check_growth(&before, &a);
  assert_true(nothing_lives());
}

/* ---- Forms -------------------------------------------------------------------------------------- */

static void test_forms(void** state) {
  (void)state;
  mi_stats_t s;
  mi_stats_header_init(&s);
  s.version++;
  assert_false(mi_stats_get(&s) || mi_stats_get(NULL));
  assert_null(mi_stats_as_json(&s, 0, NULL));
  assert_int_equal(errno, EINVAL);
  mi_stats_init(&s);
  uint64_t ticks = mi_ticks();
  assert_true(mi_stats_get(&s));
  assert_int_equal(mi_ticks(), ticks);
  assert_true(s.reserved.current > 0 && s.reserved.peak >= s.reserved.current);
  assert_int_equal(s.size, sizeof s);

  char* text = mi_stats_as_json(&s, 0, NULL); /* a new block */
  assert_non_null(text);
  assert_int_equal(mi_ticks(), ticks + 1);
  size_t length = strlen(text);
  static char buf[100000];
  assert_ptr_equal(mi_stats_get_json(sizeof buf, buf), buf);
  assert_int_equal(mi_ticks(), ticks + 1);
  assert_true(buf[0] == '{' && strcmp(buf + strlen(buf) - 2, "}\n") == 0);
  memset(buf, 'x', sizeof buf);
  assert_null(mi_stats_as_json(&s, 100, buf));
  assert_int_equal(errno, ERANGE);
  assert_true(strlen(buf) == 99 && memcmp(buf, text, 50) == 0 && buf[100] == 'x');
  assert_null(mi_stats_as_json(&s, 0, buf));
  assert_true(length > 5000);
  mi_free(text);
  mi_free(mi_heap_stats_get_json(mi_heap_get_default(), 0, NULL));
  mi_free(mi_subproc_stats_get_json(mi_subproc_main(), 0, NULL));
  assert_int_equal(mi_ticks(), ticks + 3);
  assert_int_equal(mi_stats_get_bin_size(0), 0);
  assert_int_equal(mi_stats_get_bin_size(1), 8);
  assert_int_equal(mi_stats_get_bin_size(MI_BIN_HUGE), 0);
  assert_int_equal(mi_stats_get_bin_size(1000), 0);
}

static char said[20000];
static void keep(const char* text, void* arg) {
  assert_ptr_equal(arg, said);
  strncat(said, text, sizeof said - strlen(said) - 1);
}
static bool printed(const char* what) {
  bool found = strstr(said, what) != NULL;
  said[0] = '\0';
  return found;
}

static void test_tables(void** state) {
  (void)state;
  mi_heap_t* heap = mi_heap_new();
  void* p = NULL;
  for (int i = 0; i < 1000; i++) {
    mi_free(p);
    p = mi_heap_malloc(heap, 300);
  }
  mi_heap_stats_print_out(heap, keep, said);
  assert_true(printed("normal   17:") && strstr(said, "process:") == NULL);
  mi_thread_stats_print_out(keep, said);
  assert_true(printed("normal   17:"));
  mi_subproc_stats_print_out(mi_subproc_main(), keep, said);
  assert_true(printed("not all freed!\n"));
  mi_subproc_heap_stats_print_out(mi_subproc_main(), keep, said);
  assert_true(printed("heaps that ended\n"));
  mi_process_info_print_out(keep, said);
  assert_true(printed("process: elapsed "));
  mi_options_print_out(keep, said);
  assert_true(printed("sluice: option VERBOSE: 0\n"));
  mi_heap_destroy(heap);
}

static _Atomic(mi_heap_t*) busy;
static atomic_bool enough;

static void* keep_busy(void* unused) {
  (void)unused;
  mi_heap_t* heap = mi_heap_new();
  atomic_store(&busy, heap);
  for (size_t size = 8; !atomic_load(&enough); size = size % 40000 * 2) {
    void* p = mi_heap_malloc(heap, size);
    mi_free(p);
  }
  mi_heap_delete(heap);
  return NULL;
}

/* Of a heap that is another thread's, and begins to use further classes meanwhile. */
static void test_merge_of_others(void** state) {
  (void)state;
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, keep_busy, NULL), 0);
  while (atomic_load(&busy) == NULL) sched_yield();
  for (int i = 0; i < 100; i++) mi_heap_stats_merge_to_subproc(atomic_load(&busy));
  atomic_store(&enough, true);
  pthread_join(thread, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_heap),
      cmocka_unit_test(test_peaks),
      cmocka_unit_test(test_subproc),
      cmocka_unit_test(test_reset),
      cmocka_unit_test(test_forms),
      cmocka_unit_test(test_tables),
      cmocka_unit_test(test_merge_of_others),
  };
  return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
