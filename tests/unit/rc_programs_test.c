/* rc_programs_test.c: the bounds of rc/README.md, and that exactly what is dead is freed, over
** thousands of random programs (rc_program.h), half of them in deterministic mode. Each call of the
** library is compared with a reference that frees at once (rc_model.h) and with the bounds
** (rc_bounds.h), by counting:
**
**   time        no call spends more units than it may; requests pay for all that they hand out, in
**               deterministic mode exactly what the ledger tells
**   space       what is held is at most what was held when the first object began to wait, and
**               (P + debt) / c, and Q if not in deterministic mode: the bounds of the README with
**               the L of that moment
**   promptness  while objects wait, no more than (L + c*Q + debt) / (c - 1) words are allocated
**   exactness   what is held is never less than what lives; and, when nothing waits, equal, as are
**               the units spent to what all deaths so far cost
**   contents    objects that live have the contents, the count and the block that they should have
**   last words  weak references and finalizers answer and run as rc_run_types.h tells
**   moments     in deterministic mode, whatever else is allocated: what a program sees is the same
**
** What a trace tells beyond the words of its object's block counts as P. The space bound is checked
** in logical words, in which it holds as well; for half of the programs these are the words of size
** classes. Programs run in a child process, so that one that crashes is made smaller like any that
** fails. With an argument the test prints and runs the program of that number; with two, it runs so
** many from there. */
#include "tests/unit/rc_contents.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#if defined(EMULATED)
enum { PROGRAMS = 500 };
#elif defined(__SANITIZE_ADDRESS__) || CHECKED
enum { PROGRAMS = 2000 };
#else
enum { PROGRAMS = 10000 };
#endif

/* ---- Resident memory ------------------------------------------------------------------------- */

static bool measures;
static char* chunks[64]; /* where objects were seen */
static uint32_t seen = 1;

static void note_chunk(const rc_object* o) {
  char* chunk = (char*)((uintptr_t)o & ~(uintptr_t)(CHUNK - 1));
  for (size_t i = 0; i < 64 && chunks[i] != chunk; i++)
    if (chunks[i] == NULL) chunks[i--] = chunk;
}

static uint64_t resident_bytes(void) {
  unsigned char pages[CHUNK / 4096];
  uint64_t bytes = 0;
  for (; seen < m.count; seen++) note_chunk(m.all[seen].o);
  for (size_t i = 0; i < 64 && chunks[i] != NULL; i++) {
    if (mincore(chunks[i], CHUNK, pages) != 0) continue;
    for (size_t k = 0; k < sizeof pages; k++) bytes += 4096 * (uint64_t)(pages[k] & 1);
  }
  return bytes;
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Memory that is no program's: some comes, some goes. */
enum { NOISE = 32 };
static void* noise[NOISE];

static void make_noise(void) {
  for (unsigned i = 0; i < 4; i++) {
    void** p = &noise[rnd(NOISE)];
    mi_free(*p);
    *p = rnd(4) != 0 ? mi_malloc(rnd(rnd(20) == 0 ? 300000 : 3000)) : NULL;
    size_t size = rnd(2000);
    void* exact = rt_alloc(size);
    rt_free_sized(exact, size);
  }
}

/* The first of two runs tells what it sees, the other is to see the same. */
static void check_seen(run* r, size_t i) {
  if (!r->noise) told->seen[i] = r->seen;
  check(told->seen[i] == r->seen, "deaths depend on other memory");
  if (r->noise) make_noise();
}

static void step(run* r, size_t i) {
  told->step = i;
  op_run[r->p->ops[i].code](r, &r->p->ops[i]);
  look_at_slots(r);
  check_seen(r, i);
  raise_to(&told->live_max, so_far.live_max);
  if (measures) raise_to(&told->resident_max, resident_bytes());
  if (!r->noise && so_far.words - so_far.checked > m.live_bytes / 2 + 2 * m.count + 1000)
    check_all(false);
}

static void drain_all(run* r) {
  rc_drain(SIZE_MAX);
  call_done(r, 0, ANY);
  check(r->now.pending == 0, "a full drain leaves %llu objects", (llu)r->now.pending);
}

/* Of the processor, some hundred times what one takes: a program that does not end fails, too. */
enum { SECONDS = 10 };

static void begin_program(const rc_pacing* pacing, bool own_thread) {
  setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = SECONDS}, NULL);
  task = own_thread ? NULL : begin(NULL);
  check(rc_set_pacing(pacing), "the pacing is refused");
  told->held_max = told->resident_max = told->live_max = 0;
  memset(&so_far, 0, sizeof so_far);
  type_count = 0;
  model_clear();
}

/* Finalizers bring some back, each once. */
static void drop_all(run* r) {
  do {
    run_clear(r, NULL);
    drain_all(r);
    poll(r, SIZE_MAX);
  } while (r->polled > 0);
  drain_all(r);
}

static void end_program(run* r) {
  if (r->now.pending > 0) check_all(false);
  drain_all(r);
  look_at_slots(r);
  check_all(true);
  drop_all(r);
  check_all(true);
  rc_counters k = counters();
  check(k.objects == 0 && rt_bytes(task) == 0, "%llu bytes are left", (llu)rt_bytes(task));
}

static void end_task(void) {
  rt_leave();
  check(rt_task_end(task) == 0, "the task does not end");
}

static run begun(const program* p) {
  run r = {.p = p};
  for (size_t i = 0; i < SLOTS; i++) r.slots[i] = RC_NIL;
  r.now = moment_now();
  return r;
}

static void steps(run* r) {
  for (size_t i = 0; i < r->p->count; i++) step(r, i);
  told->step = r->p->count;
}

static void run_program(const program* p, bool eager) {
  begin_program(&p->pacing, false);
  run r = begun(p);
  r.eager = eager;
  steps(&r);
  end_program(&r);
  end_task();
  told->finalized += r.finalizers;
  told->cleared += r.cleared;
  told->back += r.back;
}

/* A second time, among other allocations, for what it sees. */
static void run_with_noise(const program* p, bool own_thread) {
  begin_program(&p->pacing, own_thread);
  memset(noise, 0, sizeof noise);
  for (size_t i = 0; i < 20; i++) make_noise(), rc_dec(rc_bytes(TAG, rnd(5000)));
  run r = begun(p);
  r.noise = true;
  steps(&r);
  drop_all(&r);
  for (size_t i = 0; i < NOISE; i++) mi_free(noise[i]);
  if (!own_thread) end_task();
}

static void act_with_noise(const void* p) { run_with_noise(p, true); }

static const char endless[] = "no end";

/* Is all well with what a child does? */
static bool succeeds(void (*act)(const void*), const void* arg) {
  strcpy(told->what, "a crash");
  int status = status_of_child(act, arg);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF) strcpy(told->what, endless);
  return status == 0;
}

/* Some are run twice, to see whether deaths depend on more than the program; half of those in a
** thread's own task. */
static void act_program(const void* arg) {
  const program* p = arg;
  run_program(p, false);
  if (!p->pacing.deterministic || told->number % 8 != 0) return;
  if (told->number % 16 == 0)
    in_new_thread(act_with_noise, p);
  else
    run_with_noise(p, false);
}

/* For the shrinker, which gives up when several of those that it tries have not ended. */
static bool program_fails(const program* p) {
  static int ended_not;
  if (ended_not > 2 || succeeds(act_program, p)) return false;
  bool ended = strcmp(told->what, endless) != 0;
  ended_not += !ended;
  return ended;
}

static void tell_failure(program* p) {
  printf("error: program %llu, operation %zu: %s\n", (llu)told->number, told->step, told->what);
  program_shrink(p, program_fails);
  if (program_fails(p)) printf("operation %zu of the smallest: %s\n", told->step, told->what);
  program_print(p);
}

typedef struct range {
  uint64_t first, count;
} range;

static void act_range(const void* arg) {
  const range* g = arg;
  for (uint64_t i = 0; i < g->count; i++) {
    told->number = g->first + i;
    program p = program_draw(told->number);
    act_program(&p);
    free(p.ops);
  }
}

static bool range_succeeds(uint64_t first, uint64_t count) {
  range g = {first, count};
  if (succeeds(act_range, &g)) return true;
  program p = program_draw(told->number);
  tell_failure(&p);
  free(p.ops);
  return false;
}

static void test_random_programs(void** state) {
  (void)state;
  assert_true(range_succeeds(1, PROGRAMS));
  print_message(
      "%d programs, %llu calls; objects began to wait %llu times; debt after %llu calls;\n"
      "%llu finalizers ran; weak references: %llu cleared, %llu gave back what was dead\n",
      PROGRAMS, (llu)told->calls, (llu)told->waits, (llu)told->debts, (llu)told->finalized,
      (llu)told->cleared, (llu)told->back);
  assert_true(told->waits > 0 && told->debts > 0 && told->back > 0 && told->finalized > 0);
  for (int mode = 0; mode < 2; mode++) {
    const percents* u = &told->used[mode];
    print_message(
        "%sup to %llu %% of the bound on space were used, %llu %% of that on promptness\n",
        mode ? "in deterministic mode, " : "", (llu)u->space, (llu)u->prompt);
    assert_in_range(u->space, 90, 100);
    assert_in_range(u->prompt, 80, 100);
  }
}

/* ---- A table: memory beside that of eager freeing -------------------------------------------- */

typedef struct shape {
  const char* name;
  size_t times, count;
  op ops[5];
} shape;

/* What is hard on pages, or on the bounds. */
static const shape shapes[] = {
    {"a list dies, then a tree grows",
     1,
     3,
     {{OP_LIST, 0, 0, 300000, 3}, {.code = OP_DROP}, {OP_TREE, 1, 0, 200000, 4}}},
    {"a shuffled list dies, then a tree grows",
     1,
     5,
     {{OP_ROW, 0, 0, 300000, 3},
      {OP_THIN, 0, 0, 900000, 1},
      {OP_LIST, 1, 0, 200000, 3},
      {.code = OP_CLEAR},
      {OP_TREE, 2, 0, 200000, 4}}},
    {"lists and rows of arrays in turn",
     4,
     4,
     {{OP_LIST, 0, 0, 300000, 3}, {.code = OP_DROP}, {OP_ROW, 0, 0, 900, 1000}, {.code = OP_DROP}}},
    {"large arrays die and are made in turn",
     1,
     2,
     {{OP_ROW, 0, 0, 100, 10000}, {OP_TRADE, 0, 1, 100, 10000}}},
    {"a row is thinned out, a list grows",
     3,
     3,
     {{OP_ROW, 0, 0, 100000, 8}, {OP_THIN, 0, 0, 150000, 1}, {OP_LIST, 1, 0, 150000, 6}}},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static program program_of(const shape* s) {
  program p = {{2, QUANTUM, RC_DEBT_AUTO, false}, s->count * s->times, libc_array(16, sizeof(op))};
  for (size_t i = 0; i < p.count; i++) p.ops[i] = s->ops[i % s->count];
  return p;
}

static void act_eagerly(const void* p) { measures = true, run_program(p, true); }
static void act_deferred(const void* p) { measures = true, run_program(p, false); }

typedef struct row {
  uint64_t live, held[2], resident[2];
} row;

static void row_add(row* r, program p) {
  for (int lazily = 0; lazily < 2; lazily++) {
    if (!succeeds(lazily ? act_deferred : act_eagerly, &p))
      fail_msg("error: operation %zu: %s", told->step, told->what);
    r->held[lazily] += told->held_max;
    r->resident[lazily] += told->resident_max;
  }
  r->live += told->live_max;
  free(p.ops);
}

static void row_print(const char* name, const row* r) {
  print_message("  %-40s %6llu  %6llu %6llu %4.2f  %6llu %6llu %4.2f\n", name, (llu)(r->live / KiB),
                (llu)(r->held[0] / KiB), (llu)(r->held[1] / KiB),
                (double)r->held[1] / (double)r->held[0], (llu)(r->resident[0] / KiB),
                (llu)(r->resident[1] / KiB), (double)r->resident[1] / (double)r->resident[0]);
}

static void test_table(void** state) {
  (void)state;
  if (!RESIDENT_TELLS) return;
  row all = {0};
  print_message("  %-40s %6s  %13s %4s  %13s %4s\n",
                "KiB at most, freed at once and deferred:", "live", "held", "", "resident", "");
  for (size_t i = 0; i < SHAPES; i++) {
    row r = {0};
    row_add(&r, program_of(&shapes[i]));
    row_print(shapes[i].name, &r);
  }
  for (uint64_t number = 100; number <= 2000; number += 100) row_add(&all, program_draw(number));
  row_print("twenty random programs, the sum", &all);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_programs),
      cmocka_unit_test(test_table),
  };
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  require(told != MAP_FAILED, "no shared memory");
  if (argc == 1) return cmocka_run_group_tests_name("rc programs", tests, NULL, NULL);
  program p = program_draw(strtoull(argv[1], NULL, 10));
  if (argc == 2) program_print(&p);
  return !range_succeeds(strtoull(argv[1], NULL, 10), argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
}
