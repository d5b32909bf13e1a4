/* oom_test.c: the system refuses. This program has its own mmap, munmap, mprotect, madvise, ..., which
** the library calls, and scenarios that call all of it. Of each scenario's system calls the n-th fails,
** or all from the n-th on, or two of them, for every n up to some hundred and a choice of those
** beyond. Nothing may crash or be lost, failures are NULL and ENOMEM, memory that is promised to be zero
** is, and all works again afterwards. What the library says meanwhile goes to a function that
** allocates. */
#include "oom_tools.h"
#include "runtime_copies.h"

/* Injections into each scenario; the plain build has the most. */
#if defined(__SANITIZE_THREAD__)
enum { SINGLES = 6, PAIRS = 4 };
#elif defined(__SANITIZE_ADDRESS__) || CHECKED
enum { SINGLES = 20, PAIRS = 12 };
#else
enum { SINGLES = 150, PAIRS = 100 };
#endif

/* ---- Blocks ------------------------------------------------------------------------------------- */

enum { KEPT = 64 };
static unsigned char* kept[KEPT]; /* blocks from before, whose bytes must stay */

static void keep_some(void) {
  for (int i = 0; i < KEPT; i++) {
    kept[i] = mi_malloc(1000);
    require(kept[i] != NULL);
    memset(kept[i], i, 1000);
  }
}
static void free_kept(void) {
  for (int i = 0; i < KEPT; i++) {
    for (int k = 0; k < 1000; k++) require(kept[i][k] == i);
    mi_free(kept[i]);
  }
}

/* It was just allocated, or not; written to in any case, so that memory which comes back is dirty. */
static void* used(void* p, size_t size, bool zero) {
  require(p != NULL || errno == ENOMEM);
  errno = 0;
  if (p == NULL) return NULL;
  for (size_t i = 0; zero && i < size; i++) require(((char*)p)[i] == 0);
  memset(p, 0x5a, size);
  return p;
}
static void* get(size_t size) { return used(mi_malloc(size), size, false); }
static void* get_zero(size_t size) { return used(mi_zalloc(size), size, true); }

/* ---- Scenarios ---------------------------------------------------------------------------------- */

static void blocks_of_all_sizes(void) {
  enum { COUNT = 30 };
  void* p[COUNT];
  size_t size = 8;
  for (int i = 0; i < COUNT; i++, size = size < 200 * KiB ? size * 3 / 2 : 24) {
    p[i] = i % 3 == 0   ? get_zero(size)
           : i % 3 == 1 ? get(size)
                        : used(mi_malloc_aligned(size, 128 * KiB), size, false);
  }
  for (int i = 0; i < COUNT; i++) {
    void* q = mi_realloc(p[i], 3000);
    mi_free(q != NULL ? q : p[i]);
  }
  mi_collect(true);
}

static void huge_blocks(void) {
  enum { HUGE = 17 << 20, DIRTY = 10000 };
  for (int round = 0; round < 2; round++) {
    void* p = used(mi_malloc(HUGE), DIRTY, false);
    void* q = used(mi_malloc_aligned(HUGE, 64 * MiB), DIRTY, false);
    void* r = used(mi_zalloc(HUGE), DIRTY, true);
    mi_free(p);
    mi_free(q);
    mi_free(r);
  }
}

/* Grows, where its memory need not be copied, and shrinks. */
static void resized_block(void) {
  static const size_t sizes[] = {18 * MiB, 60 * MiB, 61 * MiB, 20 * MiB, 17 * MiB, 100 * MiB};
  unsigned char* p = NULL;
  for (int i = 0; i < (CHECKED ? 0 : 6); i++) { /* checked builds fill all of it, and copy */
    unsigned char* q = mi_rezalloc(p, sizes[i]);
    require(q != NULL || errno == ENOMEM);
    if (q == NULL) continue;
    p = q;
    require(p[0] == (i == 0 ? 0 : p[1]) && p[17 * MiB - 1] == p[1]);
    p[0] = p[1] = p[17 * MiB - 1] = (unsigned char)i;
  }
  mi_free(p);
}

/* Memory that was dirty and freed, by the thread and by mi_collect. */
static void zero_again(void) {
  enum { COUNT = 40, SIZE = 60000 };
  void* p[COUNT];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < COUNT; i++) p[i] = i % 2 ? get_zero(SIZE) : get_zero(4 * SIZE);
    for (int i = 0; i < COUNT; i++) mi_free(p[i]);
    if (round == 1) mi_collect(true);
  }
}

static void heaps(void) {
  enum { COUNT = 20 };
  void* p[COUNT];
  mi_heap_t *ends = mi_heap_new(), *moves = mi_heap_new();
  for (int i = 0; i < COUNT && ends != NULL; i++) used(mi_heap_malloc(ends, 5000), 5000, false);
  for (int i = 0; i < COUNT; i++)
    p[i] = moves != NULL ? used(mi_heap_malloc(moves, 5000), 5000, false) : NULL;
  if (ends != NULL) mi_heap_destroy(ends);
  if (moves != NULL) mi_heap_delete(moves);
  for (int i = 0; i < COUNT; i++) mi_free(p[i]);
}

static rc_object* list_of(int n) {
  rc_object* list = NULL;
  for (int i = 0; i < n; i++) {
    rc_object* o = rc_alloc(0, 1);
    if (o == NULL) break;
    rc_init(o, 0, list != NULL ? rc_from(list) : RC_NIL);
    list = o;
  }
  return list;
}

static void a_task(void) {
  rt_config config = {
      .repeatable_addresses = true, .bytes = 100 * MiB, .measure_pauses = true, .record = 50000};
  rt_task* task = rt_task_new(&config);
  if (task == NULL) {
    require(errno == ENOMEM);
    return;
  }
  require(rt_enter(task) == 0);
  void* huge = rt_alloc(40 * MiB);
  used(huge, 4096, false);
  void* more = rt_realloc(huge, 40 * MiB, 70 * MiB);
  if (more == NULL) rt_free_sized(huge, 40 * MiB);
  rt_free_sized(more, 70 * MiB);
  require(rt_bytes(task) == 0);
  void* again = used(mi_zalloc(40 * MiB), 4096, true);
  mi_free(again);
  void* large = rt_alloc(3 * MiB);
  used(large, 4096, false);
  rt_free_sized(large, 3 * MiB);
  rc_object* list = list_of(10000);
  if (list != NULL) rc_dec(list);
  rc_drain(SIZE_MAX);
  require(rt_bytes(task) == 0);
  rt_leave();
  require(rt_task_end(task) == 0);
}

/* Places are committed as they are taken, and decommitted. What the system refuses then is not
** lost: with its help all of it can be used again. (But in the secure build a block that cannot be made
** accessible again stays as it is.) */
static void arena(void) {
  mi_arena_id_t id = 7;
  int result = mi_reserve_os_memory_ex(64 * MiB, false, true, true, &id);
  require(result == 0 ? id > 0 : result == ENOMEM && id == 0);
  mi_heap_t* heap = result == 0 ? mi_heap_new_ex(0, true, id) : NULL;
  if (heap == NULL) return;
  used(mi_heap_malloc(heap, 5000), 5000, false);
  mi_free(used(mi_heap_malloc(heap, 17 * MiB), 17 * MiB, false));
  mi_heap_collect(heap, true);
  armed = false;
  mi_heap_collect(heap, true);
  void* huge = used(mi_heap_zalloc(heap, 17 * MiB), 17 * MiB, true);
  require(huge != NULL || MI_SECURE);
  armed = true;
  mi_free(huge);
  mi_heap_destroy(heap);
}

/* Threads begin, end with blocks alive and objects dead, and begin again. */
enum { PASSED = 200 };
static void* passed[PASSED];
static void* begin_and_end(void* arg) {
  (void)arg;
  for (int i = 0; i < PASSED; i++) {
    mi_free(passed[i]);
    passed[i] = i % 2 ? get_zero((size_t)i * 20) : get(i % 10 == 0 ? 100000 : 500);
  }
  rc_object* list = list_of(100);
  if (list != NULL) rc_dec(list);
  return NULL;
}
static void run_thread(void* (*run)(void*)) {
  pthread_t thread;
  require(pthread_create(&thread, NULL, run, NULL) == 0);
  pthread_join(thread, NULL);
}
static void threads(void) {
  for (int i = 0; i < 3; i++) run_thread(begin_and_end);
  for (int i = 0; i < PASSED; i++) mi_free(passed[i]), passed[i] = NULL;
  rc_drain(SIZE_MAX);
}

/* More than an owner may keep is freed by another thread: memory goes back without the owner, who then
** allocates again. */
static void* owned[1200];
enum { OWNED = sizeof owned / sizeof owned[0] };
static void* free_owned(void* arg) {
  for (int i = 0; i < OWNED; i++) mi_free(owned[i]);
  return arg;
}
static void idle_owner(void) {
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < OWNED; i++) owned[i] = used(mi_zalloc(8000), 8000, true);
    run_thread(free_owned);
  }
}

static void look(void) {
  size_t elapsed, user, system, now, peak, mapped_now, mapped_most, faults, blocks = 0;
  void *p = get(100), *q = get(20 * MiB);
  mi_stats_print_out(ignore_text, NULL);
  mi_process_info(&elapsed, &user, &system, &now, &peak, &mapped_now, &mapped_most, &faults);
  require(elapsed < 1000000 && user < 1000000 && mapped_now <= mapped_most);
  mi_heap_t* heap = mi_heap_get_default();
  if (heap != NULL) require(mi_heap_visit_blocks(heap, true, count_block, &blocks));
  require(heap == NULL || blocks >= KEPT + (size_t)(p != NULL) + (size_t)(q != NULL));
  require(p == NULL || mi_is_in_heap_region(p));
  mi_free(p);
  mi_free(q);
}

static void callbacks(void) {
  for (int i = 0; i < 9; i++) mi_register_deferred_free(ignore_beat, NULL);
  void* p = get(100);
  mi_collect(true);
  mi_register_deferred_free(NULL, NULL);
  mi_free(p);
}

/* What lives stays as it is; a dead cycle that nobody knew of for lack of memory ends with its task. */
static rc_object* ring_of(int n) {
  rc_object *first = NULL, *o = NULL;
  for (int i = 0; i < n; i++) {
    rc_object* next = rc_alloc(7, 1);
    if (next == NULL) break;
    rc_init(next, 0, RC_NIL);
    rc_cyclic(next);
    if (o == NULL)
      first = next;
    else
      rc_replace(o, 0, rc_from(next));
    o = next;
  }
  if (o != NULL) rc_inc(first), rc_replace(o, 0, rc_from(first));
  return first;
}
/* Shared or not, it is taken apart in the end: nobody collects a shared one. */
static void shared_ring(void) {
  rc_object* ring = ring_of(3000);
  rc_object* shared = ring != NULL ? rc_share(ring) : NULL;
  require(ring == NULL || (shared != NULL ? rc_is_shared(ring) : rc_is_cyclic(ring)));
  armed = false;
  if (ring != NULL) rc_replace(ring, 0, RC_NIL), rc_dec(ring);
  rc_drain(SIZE_MAX);
  armed = true;
}
static void cycles(void) {
  shared_ring();
  rt_task* task = rt_task_new(&(rt_config){.bytes = 100 * MiB});
  if (task == NULL) return;
  require(rt_enter(task) == 0);
  rc_object* lives = ring_of(3000);
  for (int i = 0; i < 20; i++) {
    rc_object* dead = ring_of(3000);
    if (dead != NULL) rc_dec(dead);
    rc_collect_cycles(5000);
  }
  rc_collect_cycles(SIZE_MAX);
  rc_object* o = lives;
  while (o != NULL && (o = rc_to(rc_get(o, 0))) != lives) require(o->tag == 7 && o->n == 1);
  armed = false;
  if (lives != NULL) rc_dec(lives);
  rc_collect_cycles(SIZE_MAX);
  armed = true;
  rt_leave();
  require(rt_task_end(task) == 0);
}

/* An extension that cannot be logged is none; a child that cannot be made takes nothing. */
static uint64_t extend(rt_task* t, rt_limit limit, const char* scope, void* asked) {
  (void)t, (void)limit, (void)scope;
  ++*(uint64_t*)asked;
  return 100;
}
static void budgets(void) {
  enum { EXTENSIONS = 20000, CHILDREN = 40 };
  uint64_t asked = 0;
  size_t count;
  rt_task *children[CHILDREN],
      *t = rt_task_new(&(rt_config){
          .ticks = 100, .bytes = 100000, .on_expiry = extend, .on_expiry_arg = &asked});
  if (t == NULL) return;
  require(rt_enter(t) == 0);
  for (int i = 0; i < CHILDREN; i++) {
    uint64_t left = rt_left(RT_HEARTBEATS), bytes = rt_left(RT_MEMORY);
    children[i] = rt_task_new_child(&(rt_config){.ticks = 2, .bytes = 100});
    require(rt_left(RT_HEARTBEATS) == left - (children[i] != NULL ? 2 : 0));
    require(rt_left(RT_MEMORY) == bytes - (children[i] != NULL ? 100 : 0));
  }
  for (int i = 0; i < CHILDREN; i++)
    if (children[i] != NULL) require(rt_task_join(children[i], NULL) == 0);
  require(rt_left(RT_HEARTBEATS) == 100 && rt_left(RT_MEMORY) == 100000);
  while (rt_tick(100) == RT_OK && rt_ticks(t) < 100 * EXTENSIONS) continue;
  const rt_extension* log = rt_extensions(t, &count);
  require(count == asked && count == rt_ticks(t) / 100 - (rt_poll() == RT_EXPIRED));
  for (size_t i = 0; i < count; i++) require(log[i].tick == 100 * (i + 1) && log[i].amount == 100);
  rt_leave();
  require(rt_task_end(t) == 0);
}

/* Who cannot have a nest has the copy elsewhere. */
static void end_copied(rt_task* t, const char* last, int stamp) {
  if (t == NULL) return;
  for (int i = 0; i < PIECE; i++) require(last[i] == (char)stamp);
  require(rt_task_end(t) == 0);
}
static void copies(void) {
  enum { COPIES = 40 };
  armed = false;
  rt_image image = make_image(30);
  armed = true;
  rt_task* tasks[COPIES];
  char* last[COPIES];
  for (int i = 0; i < COPIES; i++) {
    tasks[i] = rt_task_new(&(rt_config){.compact = true});
    if (tasks[i] == NULL) continue;
    require(rt_enter(tasks[i]) == 0);
    char* copy = rt_put_image(&image);
    require(copy != NULL);
    last[i] = memset(copy + image.size - PIECE, i, PIECE);
    used(rt_alloc(8000), 8000, false);
    rt_leave();
  }
  for (int i = 1; i < COPIES; i += 2) end_copied(tasks[i], last[i], i);
  mi_collect(true);
  for (int i = 0; i < COPIES; i += 2) end_copied(tasks[i], last[i], i);
  armed = false;
  free((void*)(uintptr_t)image.start);
  armed = true;
}

static const struct scenario {
  const char* name;
  void (*run)(void);
} scenarios[] = {
    {"huge blocks", huge_blocks},
    {"a block that is resized", resized_block},
    {"blocks of all sizes", blocks_of_all_sizes},
    {"zero again", zero_again},
    {"heaps", heaps},
    {"an arena", arena},
    {"a task", a_task},
    {"cycles", cycles},
    {"budgets", budgets},
    {"copies", copies},
    {"threads", threads},
    {"idle owner", idle_owner},
    {"look", look},
    {"callbacks", callbacks},
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* ---- Injection ---------------------------------------------------------------------------------- */

static void everything_works(void) {
  void* p = mi_malloc(50 * MiB);
  require(p != NULL);
  mi_free(p);
  rt_task* task = rt_task_new(&(rt_config){.repeatable_addresses = true});
  require(task != NULL && rt_task_end(task) == 0);
}

static void inject(const struct scenario* s, struct refusals r) {
  char text[100];
  snprintf(text, sizeof text, "%s: %ld, %ld, %ld", s->name, r.first, r.second, r.from);
  what = text;
  keep_some();
  refusals = r;
  calls = 0;
  armed = true;
  s->run();
  armed = false;
  free_kept();
  everything_works();
  require(nothing_lives());
  what = "";
}

/* One of n, or any of more than there is time for. */
static long choice(long i, long most, long n) { return n <= most ? i : (long)rnd((size_t)n); }

static void say_with_allocation(const char* text, void* arg) {
  (void)arg;
  void *p = mi_malloc(strlen(text)), *q = mi_malloc(17 * MiB);
  mi_free(p);
  mi_free(q);
}

/* What is refused in the very first allocation is said when that is complete. */
static void* said[10];
static int said_count;
static void say_first(const char* text, void* arg) {
  (void)arg;
  if (strstr(text, "munmap failed") != NULL && said_count < 10) said[said_count++] = mi_malloc(90);
}

static void test_said_in_time(void** state) {
  (void)state;
  enum { COUNT = 2000 };
  int* p[COUNT];
  mi_register_output(say_first, NULL);
  unmaps_fail = true;
  for (int i = 0; i < COUNT; i++) {
    p[i] = mi_malloc(90);
    require(p[i] != NULL);
    *p[i] = i;
  }
  unmaps_fail = false;
  mi_register_output(NULL, NULL);
  assert_int_equal(said_count, 1);
  for (int i = 0; i < COUNT; i++) {
    assert_ptr_not_equal(p[i], said[0]);
    assert_int_equal(*p[i], i);
    mi_free(p[i]);
  }
  mi_free(said[0]);
  assert_true(nothing_lives());
}

static void test_refusals(void** state) {
  (void)state;
  long all = 0;
  mi_register_output(say_with_allocation, NULL);
  for (int i = 0; i < SCENARIOS; i++) {
    const struct scenario* s = &scenarios[i];
    inject(s, none);
    long reached = calls;
    all += reached;
    for (long k = 0; k < reached && k < SINGLES; k++) {
      long n = choice(k, SINGLES, reached);
      inject(s, (struct refusals){n, -1, LONG_MAX});
      inject(s, (struct refusals){n, n + 1, LONG_MAX});
      inject(s, (struct refusals){-1, -1, n});
    }
    for (long k = 0; k < PAIRS && reached > 1; k++)
      inject(s,
             (struct refusals){(long)rnd((size_t)reached), (long)rnd((size_t)reached), LONG_MAX});
  }
  mi_register_output(NULL, NULL);
  assert_true(all > 100);
}

/* Each message comes whole, in pieces, or not at all where stderr fails. */
static void test_stderr_fails(void** state) {
  (void)state;
  for (long n = -1; n < 60; n++) {
    written_length = 0;
    memset(written, 0, sizeof written);
    refusals = (struct refusals){n, -1, LONG_MAX};
    calls = 0;
    armed = true;
    errno = 1234;
    mi_options_print();
    mi_option_set((mi_option_t)1000, 1);
    armed = false;
    assert_int_equal(errno, 1234);
    assert_int_equal(strstr(written, "sluice: option SHOW_ERRORS: 1\n") != NULL, n < 0 || n > 4);
    assert_true(n >= 0 || strstr(written, "sluice: warning: option 1000 cannot be set to 1\n"));
  }
}

/* What frees ask of the system may fail; the caller's errno is not touched. The call `first`
** of each free fails, and for good all behind it. Returns in how many frees that happened. */
static long free_all(void* p[], const size_t sizes[], int count, long first, bool for_good) {
  long count_refused = 0;
  for (int i = 0; i < count; i++) {
    calls = 0;
    refusals = (struct refusals){first, -1, for_good ? first : LONG_MAX};
    armed = true;
    errno = 1234;
    if (rt_current() != NULL)
      rt_free_sized(p[i], sizes[i]);
    else
      mi_free(p[i]);
    armed = false;
    assert_int_equal(errno, 1234);
    count_refused += calls > first;
  }
  return count_refused;
}

/* Blocks of the process, or of the task's region; many, so that pages are given back. */
static long free_with_failures(long first, bool for_good) {
  enum { BLOCKS = 200 };
  static const size_t kinds[] = {100, 5000, 40000, 200000, 3 * MiB, 20 * MiB};
  void* p[BLOCKS];
  size_t sizes[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    sizes[i] = kinds[i % 30 == 0 ? 5 : i % 5];
    p[i] = rt_current() != NULL ? rt_alloc(sizes[i]) : mi_malloc(sizes[i]);
    assert_non_null(p[i]);
  }
  return free_all(p, sizes, BLOCKS, first, for_good);
}

static void test_free_keeps_errno(void** state) {
  (void)state;
  for (int in_task = 0; in_task < 2; in_task++)
    for (long first = 0; first < 2; first++) {
      rt_task* task = in_task ? rt_task_new(&(rt_config){.repeatable_addresses = true}) : NULL;
      assert_true(!in_task || (task != NULL && rt_enter(task) == 0));
      assert_true(free_with_failures(first, false) > 5);
      assert_true(free_with_failures(first, true) > 5);
      rt_leave();
      assert_true(!in_task || rt_task_end(task) == 0);
    }
}

/* A thread whose very first call finds no memory. */
static void* starving_thread(void* arg) {
  (void)arg;
  refusals = (struct refusals){-1, -1, 0};
  armed = true;
  void* p[64];
  for (int i = 0; i < 64; i++) p[i] = mi_malloc((size_t)1 << (i % 20));
  for (int i = 0; i < 64; i++) mi_free(p[i]);
  armed = false;
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

/* Tasks without blocks need records only, which are to be had as long as some small mapping is. */
static void test_small_mappings_do(void** state) {
  (void)state;
  enum { TASKS = 2000 };
  static rt_task* tasks[TASKS];
  map_most = MiB;
  for (int i = 0; i < TASKS; i++) assert_non_null(tasks[i] = rt_task_new(NULL));
  map_most = SIZE_MAX;
  for (int i = 0; i < TASKS; i++) assert_int_equal(rt_task_end(tasks[i]), 0);
}

/* The address space of a region that is kept is there for all: blocks of slices, and huge ones. */
static void region_makes_room(size_t block) {
  enum { BLOCKS = 20000 };
  static void* blocks[BLOCKS];
  int n = 0;
  mi_collect(true);
  rt_task* task = rt_task_new(&(rt_config){.compact = true, .repeatable_addresses = true});
  assert_non_null(task);
  assert_int_equal(rt_task_end(task), 0);
  for (map_waits = true; map_waits && n < BLOCKS; n++)
    assert_non_null(blocks[n] = mi_malloc(block));
  assert_false(map_waits);
  while (n > 0) mi_free(blocks[--n]);
}
static void test_regions_make_room(void** state) {
  (void)state;
  region_makes_room(64 * KiB);
  region_makes_room(40 * MiB);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_said_in_time),          cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_stderr_fails),          cmocka_unit_test(test_free_keeps_errno),
      cmocka_unit_test(test_thread_without_memory), cmocka_unit_test(test_small_mappings_do),
      cmocka_unit_test(test_regions_make_room),
  };
  return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
