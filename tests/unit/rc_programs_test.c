/* rc_programs_test.c: the bounds of rc/README.md, and that exactly what is dead is freed, over
** thousands of random programs (rc_program.h). Each call of the library is compared with an eager
** reference and with the bounds, by counting:
**
**   time        no call spends more units than it may; requests pay for all that they hand out
**   space       what is held is at most what was held when the first object began to wait, and Q
**               and (P + debt) / c: the bound of the README with the L of that moment
**   promptness  while objects wait, no more than (L + c*Q + debt) / (c - 1) words are allocated
**   exactness   what is held is never less than what lives; and, when nothing waits, equal, as are
**               the units spent to what all deaths so far cost
**   contents    objects that live have the contents and the block that they should have
**
** The space bound is checked in logical words, in which it holds as well; for half of the programs
** these are the words of size classes. Programs run in a child process, so that one that crashes
** is made smaller like any that fails. With an argument the test prints and runs the program of
** that number; with two, it runs so many from there. */
#include "tests/unit/rc_run.h"

#include "alloc/internal.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#if defined(EMULATED)
enum { PROGRAMS = 500 };
#elif defined(__SANITIZE_ADDRESS__) || CHECKED
enum { PROGRAMS = 2000 };
#else
enum { PROGRAMS = 10000 };
#endif

/* ---- What a child tells ---------------------------------------------------------------------- */

typedef struct report {
  uint64_t number; /* of the program */
  size_t step;     /* its operation */
  char what[200];  /* why it failed */
  uint64_t calls, waits, debts, space_percent, prompt_percent;
  uint64_t held_max, resident_max, live_max; /* bytes, of the last program */
} report;
static report* told;

static void stop(const char* format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(told->what, sizeof told->what, format, args);
  va_end(args);
  _exit(1);
}
typedef unsigned long long llu;

static void raise_to(uint64_t* most, uint64_t n) {
  if (n > *most) *most = n;
}

/* ---- What the bounds are about --------------------------------------------------------------- */

static rt_task* task;
static struct {
  uint64_t live_max;       /* bytes, since the program began */
  uint64_t words, checked; /* allocated since then, and when all was looked at last */
  /* and since the first object began to wait: */
  moment start;
  uint64_t granted, largest, allocated; /* words: Q, P, and what was allocated */
} so_far;

static moment moment_now(void) {
  rc_counters k = counters();
  return (moment){k.units, k.debt, rc_pending(), rt_bytes(task)};
}

static const block_t* next_of(const block_t* b) {
  return CHECKED ? checked_next(page_of(b), b) : b->next;
}

static uint64_t granted_words(void) {
  uint64_t words = 0;
  for (unsigned c = 1; c < CLASS_LARGE; c++)
    for (const block_t* b = tls.task->exact->list[c]; b != NULL; b = next_of(b))
      words += class_words(c);
  return words;
}

/* ---- The bounds ------------------------------------------------------------------------------ */

static bool debt_is_auto(const run* r) { return r->p->pacing.debt_limit == RC_DEBT_AUTO; }

/* A request pays nothing if there was a block, and else for what is handed out. */
static void check_paid(const run* r, uint64_t words, uint64_t paid) {
  const rc_pacing* p = &r->p->pacing;
  uint64_t most = words > QUANTUM || words > p->quantum ? words : p->quantum;
  bool right = paid >= p->pace * words && paid <= p->pace * most;
  check(right || (paid == 0 && words <= PAGE_WORDS), "a request of %llu words paid %llu units",
        (llu)words, (llu)paid);
}

/* The automatic debt limit is a quarter of what lived at most, in words: not less than what was held
** when waiting began, and not more than the model has had. */
static void check_time(const run* r, const moment* is, uint64_t words, uint64_t besides) {
  const rc_pacing* p = &r->p->pacing;
  uint64_t units = is->units - r->now.units, price = p->pace * words;
  uint64_t quantum = p->pace * (words > p->quantum ? words : p->quantum);
  uint64_t limit = debt_is_auto(r) ? so_far.start.bytes / 32 : p->debt_limit;
  uint64_t most = besides;
  if (words > QUANTUM)
    most += r->now.debt + price > limit + REQUEST_UNITS ? UINT64_MAX / 2 : REQUEST_UNITS;
  else if (words > 0)
    most += quantum + (r->now.debt > 0 ? p->pace * p->quantum : 0);
  check(units <= most, "%llu units for %llu words, at most %llu", (llu)units, (llu)words,
        (llu)most);
  limit = debt_is_auto(r) ? so_far.live_max / 32 : p->debt_limit;
  check(is->debt <= limit, "a debt of %llu, at most %llu", (llu)is->debt, (llu)limit);
  if (words > 0 && r->now.pending > 0 && is->pending > 0)
    check_paid(r, words, units + is->debt - besides - r->now.debt);
}

static void check_space(const run* r, const moment* is) {
  uint64_t pace = r->p->pacing.pace, room = pace * so_far.granted + so_far.largest + is->debt;
  uint64_t more = is->bytes > so_far.start.bytes ? is->bytes - so_far.start.bytes : 0;
  check(pace * more <= 8 * room, "%llu bytes held, from %llu; Q %llu, P %llu, debt %llu",
        (llu)is->bytes, (llu)so_far.start.bytes, (llu)so_far.granted, (llu)so_far.largest,
        (llu)is->debt);
  if (room > 1000) raise_to(&told->space_percent, 100 * pace * more / (8 * room));
}

static void check_promptness(const run* r, const moment* is) {
  uint64_t pace = r->p->pacing.pace, words = (pace - 1) * so_far.allocated;
  uint64_t most = so_far.start.bytes / 8 + pace * so_far.granted + is->debt;
  check(words < most || words == 0, "%llu words allocated since %llu were held, still waiting",
        (llu)so_far.allocated, (llu)so_far.start.bytes / 8);
  if (most > 1000) raise_to(&told->prompt_percent, 100 * words / most);
}

static void check_exactness(const moment* is) {
  bool idle = is->pending == 0;
  check(idle ? is->bytes == m.live_bytes : is->bytes >= m.live_bytes,
        "%llu bytes held, %llu live, %llu objects wait", (llu)is->bytes, (llu)m.live_bytes,
        (llu)is->pending);
  check(idle ? is->units == m.units : is->units < m.units,
        "%llu units spent, %llu due, %llu objects wait", (llu)is->units, (llu)m.units,
        (llu)is->pending);
  check(!idle || is->debt == 0, "a debt of %llu although nothing waits", (llu)is->debt);
}

static void begin_to_wait(const moment* is) {
  so_far.start = *is;
  so_far.granted = granted_words();
  so_far.allocated = 0;
  told->waits++;
}

/* After each call of the library that allocates or frees, and of the model. */
static void call_done(run* r, size_t size, uint64_t besides) {
  uint64_t words = rounded(size);
  moment is = moment_now();
  raise_to(&so_far.live_max, m.live_bytes);
  check_time(r, &is, words, besides);
  check_exactness(&is);
  raise_to(&so_far.largest, m.largest);
  so_far.allocated += words;
  so_far.words += words;
  if (is.pending > 0) {
    if (r->now.pending == 0) begin_to_wait(&is);
    check_space(r, &is);
    check_promptness(r, &is);
  }
  if (is.pending == 0) so_far.largest = 0;
  r->now = is;
  m.largest = 0;
  told->calls++;
  told->debts += is.debt > 0;
  raise_to(&told->held_max, is.bytes);
}

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

/* ---- Contents and blocks --------------------------------------------------------------------- */

static void check_object(const shadow* s, bool idle) {
  rc_object* o = s->o;
  check(rc_length(o) == s->n, "an object of length %u has length %zu", s->n, rc_length(o));
  check(rc_is_unique(o) ? s->refs == 1 : !(idle && s->refs == 1), "%u references", s->refs);
  uint8_t byte = (uint8_t)s->first;
  for (size_t i = 0; s->kind == RC_BYTES && i < s->n; i++) {
    if (i == END && s->n > 2 * END) i = s->n - END;
    check((uint8_t)rc_data(o)[i] == byte, "byte %zu of %u", i, s->n);
  }
  const rc_word* words = s->kind != RC_BYTES ? rc_words(o) : NULL;
  for (size_t i = 0; i < shadow_values(s); i++)
    check(words[i] == word_of(m.values[s->first + i]), "field %zu of %u", i, s->n);
}

/* Objects that live, by their addresses. */
typedef struct known {
  uint32_t* at;
  size_t mask;
  uint64_t met, others;
} known;

static uint32_t* place_in(const known* k, const void* o) {
  size_t i = mix((uintptr_t)o) & k->mask;
  while (k->at[i] != 0 && m.all[k->at[i]].o != o) i = (i + 1) & k->mask;
  return &k->at[i];
}

static bool meet(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size,
                 void* arg) {
  known* k = arg;
  (void)heap, (void)area, (void)size;
  if (block == NULL) return true;
  bool is_known = *place_in(k, block) != 0;
  k->met += is_known;
  k->others += !is_known;
  return true;
}

static void visit_all(mi_heap_t* heap, known* k) {
  visit_t v = {meet, k, true};
  for (unsigned c = 1; c < CLASS_COUNT; c++)
    for (page_t* page = heap->queue[c].first; page != NULL; page = page->next)
      visit_page(heap, page, &v);
  for (page_t* page = heap->full; page != NULL; page = page->next) visit_page(heap, page, &v);
}

/* Each object that lives has a block in use to itself; `alone`: and nobody else has. (What is
** granted counts as used.) */
static void check_blocks(known* k, bool alone) {
  mi_heap_t* heap = tls.task->exact;
  if (heap == NULL) return;
  for (unsigned c = 1; c < CLASS_LARGE; c++)
    for (const block_t* b = heap->list[c]; b != NULL; b = next_of(b))
      check(*place_in(k, b) == 0, "the block of an object that lives is to be handed out");
  if (alone) heap_ungrant_all(heap);
  if (alone && MI_SECURE) secure_flush(tls.task);
  visit_all(heap, k);
  check(k->met == m.live, "of %llu objects that live %llu have a block", (llu)m.live, (llu)k->met);
  check(!alone || k->others == 0, "%llu blocks are in use by nobody", (llu)k->others);
}

static void check_all(run* r, bool alone) {
  known k = {.mask = 1};
  while (k.mask < 2 * m.live) k.mask = 2 * k.mask + 1;
  k.at = libc_array(k.mask + 1, sizeof *k.at);
  for (uint32_t i = 1; i < m.count; i++) {
    if (m.all[i].refs == 0) continue;
    uint32_t* place = place_in(&k, m.all[i].o);
    check(*place == 0, "two objects in one block");
    *place = i;
    check_object(&m.all[i], r->now.pending == 0);
  }
  check_blocks(&k, alone);
  free(k.at);
  so_far.checked = so_far.words;
}

/* ---- Running --------------------------------------------------------------------------------- */

static void step(run* r, size_t i) {
  told->step = i;
  op_run[r->p->ops[i].code](r, &r->p->ops[i]);
  raise_to(&told->live_max, so_far.live_max);
  if (measures) raise_to(&told->resident_max, resident_bytes());
  if (so_far.words - so_far.checked > m.live_bytes / 2 + 2 * m.count + 1000) check_all(r, false);
}

static void drain_all(run* r) {
  rc_drain(SIZE_MAX);
  call_done(r, 0, UINT64_MAX / 2);
  check(r->now.pending == 0, "a full drain leaves %llu objects", (llu)r->now.pending);
}

/* Of the processor, some hundred times what one takes: a program that does not end fails, too. */
enum { SECONDS = 10 };

static void begin_program(const rc_pacing* pacing) {
  setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = SECONDS}, NULL);
  task = begin(NULL);
  check(rc_set_pacing(pacing), "the pacing is refused");
  told->held_max = told->resident_max = told->live_max = 0;
  memset(&so_far, 0, sizeof so_far);
  model_clear();
}

static void end_program(run* r) {
  check_all(r, false);
  drain_all(r);
  check_all(r, true);
  run_clear(r, NULL);
  drain_all(r);
  check(m.live == 0 && rt_bytes(task) == 0, "%llu bytes are left", (llu)rt_bytes(task));
  rt_leave();
  check(rt_task_end(task) == 0, "the task does not end");
}

static void run_program(const program* p, bool eager) {
  run r = {.p = p, .eager = eager};
  begin_program(&p->pacing);
  for (size_t i = 0; i < SLOTS; i++) r.slots[i] = RC_NIL;
  for (size_t i = 0; i < p->count; i++) step(&r, i);
  told->step = p->count;
  end_program(&r);
}

static const char endless[] = "no end";

/* Is all well with what a child does? */
static bool succeeds(void (*act)(const void*), const void* arg) {
  int status;
  fflush(NULL);
  strcpy(told->what, "a crash");
  pid_t child = fork();
  if (child == 0) {
    act(arg);
    exit(0);
  }
  require(child > 0 && waitpid(child, &status, 0) == child, "no child process");
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF) strcpy(told->what, endless);
  return status == 0;
}

static void act_program(const void* p) { run_program(p, false); }

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
      "up to %llu %% of the bound on space were used, %llu %% of that on promptness\n",
      PROGRAMS, (llu)told->calls, (llu)told->waits, (llu)told->debts, (llu)told->space_percent,
      (llu)told->prompt_percent);
  assert_true(told->waits > 0 && told->debts > 0);
  assert_in_range(told->space_percent, 90, 100);
  assert_in_range(told->prompt_percent, 80, 100);
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
