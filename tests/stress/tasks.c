/* tasks.c: tasks that are entered by several threads in turn, each with a list of counted objects
** that grows and is cut, and with blocks that any thread frees, whether the task runs elsewhere,
** is parked or is about to end. Tasks end emptied or full, and new ones begin. What must hold: the
** list keeps its contents; ticks, beats and limits are what the calls add up to; an emptied task
** holds 0 bytes; no block is lost or handed out twice, and none of an ended thread dies with a
** task. Meanwhile the statistics are printed. */
#include "rc/rc.h"
#include "runtime/runtime.h"
#include "tests/tools.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  THREADS = 4,
  LIVES_PER_UNIT = 60, /* threads that are started, for each unit of the amount */
  SLICES = 60,         /* that a thread runs in its life */
  STEPS = 200,         /* of a slice */
  JOBS = 10,
  SLOTS = 400,
  PERIOD = 700,
  NESTED = 2, /* tasks that a thread has entered at a time */
};

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "tasks: %s\n", what);
  exit(1);
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

typedef struct block {
  size_t size;
  uint64_t check;
} block;

/* A task and what the test knows of it. The thread that has set `taken` owns all but `slots` and
** `alive`, the blocks that are in slots or were taken from there and not freed yet: while there
** are any, the task does not end, so whoever has one may use `task`. */
typedef struct job {
  atomic_bool taken;
  rt_task* task;
  bool recorded;
  uint64_t limit; /* beats */
  uint64_t ticks;
  rc_object* list; /* nodes {next, number, bytes}, the highest number first; or NULL */
  int64_t length;
  atomic_bool cancelled;
  _Atomic int64_t alive;
  _Atomic(block*) slots[SLOTS];
} job;
static job jobs[JOBS];
static job outside; /* blocks of no task */

static bool job_take(job* j) {
  return !atomic_exchange_explicit(&j->taken, true, memory_order_acquire);
}
static void job_give(job* j) { atomic_store_explicit(&j->taken, false, memory_order_release); }

/* ---- Blocks ---------------------------------------------------------------------------------- */

static uint64_t check_of(const block* b, size_t size) {
  return ((uintptr_t)b ^ (uint64_t)size << 40) * 0x9e3779b97f4a7c15u;
}

static size_t random_size(uint64_t* state) {
  uint64_t r = rnd_from(state, 1000);
  if (r == 0) return sizeof(block) + rnd_from(state, 300000);
  return sizeof(block) + rnd_from(state, r < 40 ? 9000 : 300);
}

static void drop(job* j, block* b) {
  if (b == NULL) return;
  if (b->check != check_of(b, b->size)) fail("a block was overwritten");
  b->check = 0;
  mi_free(b);
  atomic_fetch_sub_explicit(&j->alive, 1, memory_order_release);
}

/* Allocates for the task that runs, or the thread's own, whose `ticks` count. */
static void put_block(job* j, uint64_t* ticks, uint64_t* state) {
  size_t size = random_size(state);
  block* b = mi_malloc(size);
  if (b == NULL) fail("no memory");
  *ticks += 1 + size / 1024;
  *b = (block){size, check_of(b, size)};
  atomic_fetch_add_explicit(&j->alive, 1, memory_order_relaxed);
  drop(j, atomic_exchange_explicit(&j->slots[rnd_from(state, SLOTS)], b, memory_order_acq_rel));
}

/* Another's block, most likely; sometimes its task is cancelled, which the block keeps from
** ending. */
static void steal_block(uint64_t* state) {
  uint64_t i = rnd_from(state, JOBS + 1);
  job* j = i < JOBS ? &jobs[i] : &outside;
  block* b =
      atomic_exchange_explicit(&j->slots[rnd_from(state, SLOTS)], NULL, memory_order_acq_rel);
  if (b != NULL && j != &outside && rnd_from(state, 20000) == 0) {
    atomic_store_explicit(&j->cancelled, true, memory_order_relaxed);
    rt_cancel(j->task);
  }
  drop(j, b);
}

/* The blocks that other threads hold now are theirs to free. */
static void drop_all_blocks(job* j) {
  for (int i = 0; i < SLOTS; i++)
    drop(j, atomic_exchange_explicit(&j->slots[i], NULL, memory_order_acq_rel));
  while (atomic_load_explicit(&j->alive, memory_order_acquire) != 0) sched_yield();
}

/* ---- The list of objects --------------------------------------------------------------------- */

static void list_push(job* j, size_t bytes) {
  rc_object* data = rc_bytes(2, bytes);
  rc_object* node = rc_alloc(1, 3);
  if (data == NULL || node == NULL) fail("no memory for an object");
  j->ticks += 2 + (16 + bytes) / 1024;
  memset(rc_data(data), (int)(j->length & 0xff), bytes);
  rc_init(node, 0, j->list != NULL ? rc_from(j->list) : RC_NIL);
  rc_init(node, 1, rc_int(j->length++));
  rc_init(node, 2, rc_from(data));
  j->list = node;
}

static void node_check(rc_object* node, int64_t number) {
  rc_object* data = rc_to(rc_get(node, 2));
  size_t n = rc_length(data);
  if (rc_to_int(rc_get(node, 1)) != number) fail("the list of objects has lost its order");
  if (n > 0 && (unsigned char)rc_data(data)[n - 1] != (number & 0xff))
    fail("an object was overwritten");
}

static void list_check(job* j) {
  int64_t number = j->length;
  rc_word w = j->list != NULL ? rc_from(j->list) : RC_NIL;
  for (; rc_is_object(w); w = rc_get(rc_to(w), 0)) node_check(rc_to(w), --number);
  if (number != 0) fail("the list of objects has lost some");
}

static void list_clear(job* j) {
  if (j->list != NULL) rc_dec(j->list);
  j->list = NULL;
  j->length = 0;
}

/* The older part survives: nodes are taken off the front while a second reference holds the rest,
** or, when everything goes, one decrement leaves all to the drain. */
static void list_cut(job* j, uint64_t* state) {
  if (rnd_from(state, 4) == 0) {
    list_check(j);
    list_clear(j);
  }
  for (int64_t n = j->length / 2; n > 0; n--) {
    rc_word rest = rc_get(j->list, 0);
    rc_inc_word(rest);
    rc_dec(j->list);
    j->list = rc_to(rest);
    j->length--;
  }
}

/* ---- The life of a task ---------------------------------------------------------------------- */

static void job_begin(job* j, uint64_t* state) {
  rt_config config = {.heartbeat_period = PERIOD,
                      .heartbeats = 1 + rnd_from(state, 60),
                      .grace_bytes = PTRDIFF_MAX, /* it goes on for a while */
                      .repeatable_addresses = rnd_from(state, 3) == 0,
                      .measure_pauses = rnd_from(state, 2) == 0,
                      .record = rnd_from(state, 2) == 0 ? 20000 : 0};
  j->recorded = config.record > 0;
  j->limit = config.heartbeats;
  j->ticks = 0;
  atomic_store_explicit(&j->cancelled, false, memory_order_relaxed);
  j->task = rt_task_new(&config);
  if (j->task == NULL) fail("no task");
}

/* Has it expired, and is that right? */
static bool job_expired(job* j) {
  rt_status status = rt_poll();
  bool reached = j->ticks / PERIOD >= j->limit;
  if (rt_ticks(j->task) != j->ticks) fail("ticks differ from what the calls add up to");
  if (rt_heartbeats(j->task) != j->ticks / PERIOD) fail("beats differ from ticks / period");
  switch (rt_expired(j->task)) {
    case RT_NONE:
      if (reached || status != RT_OK) fail("a limit was missed");
      return false;
    case RT_HEARTBEATS:
      if (!reached || status != RT_EXPIRED) fail("the beat limit was hit early");
      return true;
    case RT_CANCELLED:
      if (!atomic_load_explicit(&j->cancelled, memory_order_relaxed)) fail("nobody has cancelled");
      return true;
    default:
      fail("a limit that was not set");
  }
}

/* Within the task. Afterwards nothing of it is left. */
static void job_empty(job* j) {
  rc_counters counters;
  list_check(j);
  list_clear(j);
  rc_drain(SIZE_MAX);
  rc_get_counters(&counters);
  if (rc_pending() != 0 || counters.objects != 0) fail("dead objects were not freed");
  if (counters.dec_units_max > 33) fail("an rc_dec took more than 33 units");
  mi_collect(true);
  if (rt_bytes(j->task) != 0) fail("an emptied task still holds bytes");
}

/* While others free its blocks. */
static void job_report(job* j, uint64_t* state) {
  FILE* nowhere = fopen("/dev/null", "w");
  if (nowhere == NULL) fail("no /dev/null");
  int error = rt_report(j->task, nowhere, (rt_report_format)rnd_from(state, 4));
  if (error != (j->recorded ? 0 : EINVAL)) fail("a report went wrong");
  fclose(nowhere);
}

static void job_end(job* j, bool emptied) {
  drop_all_blocks(j);
  if (rt_enter(j->task) != 0) fail("a parked task cannot be entered");
  (void)job_expired(j);
  if (emptied) job_empty(j);
  if (rt_task_end(j->task) != EBUSY) fail("a task ended while it was entered");
  rt_leave();
  if (rt_task_end(j->task) != 0) fail("a task could not be ended");
  j->list = NULL;
  j->length = 0;
}

static void step(job* j, uint64_t* state) {
  switch (rnd_from(state, 8)) {
    case 0:
    case 1:
    case 2:
      put_block(j, &j->ticks, state);
      break;
    case 3:
    case 4:
      steal_block(state);
      break;
    case 5:
    case 6:
      list_push(j, rnd_from(state, rnd_from(state, 50) == 0 ? 5000 : 100));
      break;
    default:
      if (rnd_from(state, 40) == 0) list_cut(j, state);
      rt_tick(1);
      j->ticks++;
  }
}

/* Runs some job for a while, if one is free; another may run within. */
static void slice(uint64_t* state, int depth) {
  job* j = &jobs[rnd_from(state, JOBS)];
  if (!job_take(j)) return;
  if (rt_enter(j->task) != 0) fail("a parked task cannot be entered");
  if (rt_enter(j->task) != EBUSY || rt_current() != j->task) fail("a task was entered twice");
  for (int i = 0; i < STEPS; i++) {
    step(j, state);
    if (depth < NESTED && rnd_from(state, 4 * STEPS) == 0) slice(state, depth + 1);
  }
  if (rnd_from(state, 200) == 0) mi_collect(true);
  bool expired = job_expired(j);
  rt_leave();
  if (rnd_from(state, 100) == 0) job_report(j, state);
  if (expired) {
    job_end(j, rnd_from(state, 2) == 0);
    job_begin(j, state);
  }
  job_give(j);
}

static void* live(void* arg) {
  uint64_t state = ((uintptr_t)arg + 1) * 0x9e3779b97f4a7c15u;
  uint64_t ticks = 0; /* of the thread's own task */
  for (int i = 0; i < SLICES; i++) {
    slice(&state, 1);
    for (int k = 0; k < STEPS / 10; k++) put_block(&outside, &ticks, &state);
  }
  if (mi_ticks() != ticks) fail("a thread was charged for a task's work, or the other way round");
  return NULL;
}

/* ---- The reporter ---------------------------------------------------------------------------- */

/* Prints the statistics now and then while tasks and regions come and go, by turns from within a
** task with a region of its own. The figures are approximate then, but each table is complete. */
static atomic_bool work_is_done;

static void count_line(const char* line, void* arg) {
  int* lines = arg;
  if (strncmp(line, "heap stats:", 11) == 0 && *lines != 0) fail("a table begins twice");
  if (line[0] == 0 || line[strlen(line) - 1] != '\n') fail("a table has a line without end");
  (*lines)++;
}

static void print_table(void) {
  int lines = 0;
  mi_stats_print_out(count_line, &lines);
  if (lines < 3) fail("a table is not complete");
}

static void* report(void* arg) {
  (void)arg;
  rt_task* own = rt_task_new(&(rt_config){.repeatable_addresses = true});
  if (own == NULL) fail("no task");
  while (!atomic_load_explicit(&work_is_done, memory_order_relaxed)) {
    print_table();
    if (rt_enter(own) != 0) fail("a parked task cannot be entered");
    void* p = mi_malloc(100);
    print_table();
    mi_free(p);
    rt_leave();
    nanosleep(&(struct timespec){0, 2000000}, NULL);
  }
  if (rt_task_end(own) != 0) fail("a task could not be ended");
  return NULL;
}

/* Threads end one by one while the others go on, and the next takes the place. */
int main(int argc, char** argv) {
  uintptr_t lives = (argc > 1 ? strtoul(argv[1], NULL, 10) : 100) * LIVES_PER_UNIT;
  uint64_t state = 88172645463325252u;
  pthread_t threads[THREADS], reporter;
  for (int i = 0; i < JOBS; i++) job_begin(&jobs[i], &state);
  if (pthread_create(&reporter, NULL, report, NULL) != 0) fail("no thread");
  for (uintptr_t i = 0; i < lives; i++) {
    if (i >= THREADS) pthread_join(threads[i % THREADS], NULL);
    if (pthread_create(&threads[i % THREADS], NULL, live, (void*)i) != 0) fail("no thread");
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  atomic_store_explicit(&work_is_done, true, memory_order_relaxed);
  pthread_join(reporter, NULL);
  for (int i = 0; i < JOBS; i++) job_end(&jobs[i], i % 2 == 0);
  drop_all_blocks(&outside);
  if (!nothing_lives()) fail("not all freed");
  return 0;
}
