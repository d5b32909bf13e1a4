/* rc_bounds.h: what holds after each call that a random program makes (rc_run.h), as
** rc_programs_test.c tells, and what a child process tells its parent of that. */
#ifndef RC_BOUNDS_H
#define RC_BOUNDS_H

#include "tests/unit/rc_run_types.h"

#include "alloc/internal.h"

/* ---- What a child tells ---------------------------------------------------------------------- */

/* Of the bounds on space and promptness: how much was used. */
typedef struct percents {
  uint64_t space, prompt;
} percents;

typedef struct report {
  uint64_t number; /* of the program */
  size_t step;     /* its operation */
  char what[200];  /* why it failed */
  uint64_t calls, waits, debts;
  percents used[2];                          /* in deterministic mode or not */
  uint64_t seen[OPS_MAX];                    /* after each operation, by the first of two runs */
  uint64_t back, cleared, finalized;         /* that weak references gave back what was dead */
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

static rt_task* task; /* NULL: the thread's own */
static struct {
  uint64_t live_max;       /* bytes, since the program began */
  uint64_t waited_max;     /* bytes that were held when something began to wait */
  uint64_t words, checked; /* allocated since then, and when all was looked at last */
  /* and since the first object began to wait: */
  moment start;
  uint64_t granted, largest, allocated; /* words: Q, P, and what was allocated */
} so_far;

static moment moment_now(void) {
  rc_counters k = counters();
  return (moment){k.units, k.debt, rc_pending(), task != NULL ? rt_bytes(task) : 0,
                  rc_finalizers_pending()};
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

/* The automatic debt limit is a quarter of what lived at most, in words: not less than what was
** held when waiting began, and not more than the reference has had. */
static uint64_t limit_least(const run* r) {
  return debt_is_auto(r) ? so_far.waited_max / 32 : r->p->pacing.debt_limit;
}
static uint64_t limit_most(const run* r) {
  return debt_is_auto(r) ? so_far.live_max / 32 : r->p->pacing.debt_limit;
}

static void check_time(const run* r, const moment* is, uint64_t words, uint64_t besides) {
  const rc_pacing* p = &r->p->pacing;
  uint64_t units = is->units - r->now.units, price = p->pace * words;
  uint64_t quantum = p->pace * (words > p->quantum ? words : p->quantum);
  uint64_t most = besides;
  if (words > QUANTUM)
    most += r->now.debt + price > limit_least(r) + REQUEST_UNITS ? ANY : REQUEST_UNITS;
  else if (words > 0)
    most += quantum + (r->now.debt > 0 ? p->pace * p->quantum : 0);
  check(units <= most, "%llu units for %llu words, at most %llu", (llu)units, (llu)words,
        (llu)most);
  check(is->debt <= limit_most(r), "a debt of %llu, at most %llu", (llu)is->debt,
        (llu)limit_most(r));
  if (words > 0 && besides != ANY && r->now.pending > 0 && is->pending > 0)
    check_paid(r, words, units + is->debt - besides - r->now.debt);
}

/* In deterministic mode the ledger is exact: of what it owes with those before a request pays 512
** units, or all beyond the limit. `size` is not rounded. Nothing else pays, but what `besides`
** tells. */
static void check_ledger(const run* r, const moment* is, uint64_t size, uint64_t besides) {
  uint64_t units = is->units - r->now.units, owed = r->now.debt, pay = 0;
  if (size > 0 && r->now.pending > 0) {
    owed += r->p->pacing.pace * size;
    pay = owed < REFILL_UNITS ? owed : REFILL_UNITS;
    uint64_t rest = owed - pay;
    if (rest > limit_most(r) || (rest > limit_least(r) && is->debt == 0)) pay = owed;
  }
  bool exact = size > 0 && is->pending > 0;
  check(exact ? units == pay + besides : units <= pay + besides,
        "a request of %llu words, %llu owed, spent %llu units", (llu)size, (llu)owed, (llu)units);
  check(is->debt == (is->pending > 0 ? owed - pay : 0), "a debt of %llu, %llu owed", (llu)is->debt,
        (llu)owed);
}

/* What is spent besides is bounded only, and may let what waits end, and other objects begin to
** wait. */
static void check_ledger_of_copy(const run* r, const moment* is, uint64_t size, uint64_t besides) {
  uint64_t units = is->units - r->now.units, owed = r->now.debt + r->p->pacing.pace * size;
  uint64_t most = owed > limit_least(r) + REFILL_UNITS ? owed : REFILL_UNITS;
  check(units <= most + besides, "a copy of %llu words, %llu owed, spent %llu units", (llu)size,
        (llu)owed, (llu)units);
  check(is->debt <= owed, "a debt of %llu, %llu owed", (llu)is->debt, (llu)owed);
}

static bool is_deterministic(const run* r) { return r->p->pacing.deterministic; }

/* What is granted does not count where requests pay and not refills. */
static uint64_t granted_counts(const run* r) { return is_deterministic(r) ? 0 : so_far.granted; }

static void check_space(const run* r, const moment* is) {
  uint64_t pace = r->p->pacing.pace;
  uint64_t room = pace * granted_counts(r) + so_far.largest + m.outside + is->debt;
  uint64_t more = is->bytes > so_far.start.bytes ? is->bytes - so_far.start.bytes : 0;
  check(pace * more <= 8 * room, "%llu bytes held, from %llu; Q %llu, P %llu, debt %llu",
        (llu)is->bytes, (llu)so_far.start.bytes, (llu)granted_counts(r), (llu)so_far.largest,
        (llu)is->debt);
  if (room > 1000) raise_to(&told->used[is_deterministic(r)].space, 100 * pace * more / (8 * room));
}

static void check_promptness(const run* r, const moment* is) {
  uint64_t pace = r->p->pacing.pace, words = (pace - 1) * so_far.allocated;
  uint64_t most = so_far.start.bytes / 8 + pace * granted_counts(r) + m.outside + is->debt;
  check(words < most || words == 0, "%llu words allocated since %llu were held, still waiting",
        (llu)so_far.allocated, (llu)so_far.start.bytes / 8);
  if (most > 1000) raise_to(&told->used[is_deterministic(r)].prompt, 100 * words / most);
}

/* What is not blurred is queued. If all is that should be, of all it is known. */
static void check_finals(const moment* is) {
  check(is->finals <= m.queued && is->finals >= m.queued - m.unsure,
        "%llu finalizers are queued, of %llu, %llu of them blurred", (llu)is->finals, (llu)m.queued,
        (llu)m.unsure);
  check(is->pending > 0 || is->finals == m.queued, "nothing waits; %llu finalizers queued of %llu",
        (llu)is->finals, (llu)m.queued);
  if (is->finals == m.queued) finals_are_known();
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
  raise_to(&so_far.waited_max, is->bytes);
  told->waits++;
}

static void check_moment(run* r, const moment* is, size_t size, uint64_t besides) {
  uint64_t words = rounded(size);
  raise_to(&so_far.live_max, m.live_bytes);
  if (is_deterministic(r) && size > 0 && besides > 1)
    check_ledger_of_copy(r, is, size, besides);
  else if (is_deterministic(r))
    check_ledger(r, is, size, besides);
  else
    check_time(r, is, words, besides);
  check_exactness(is);
  check_finals(is);
  raise_to(&so_far.largest, m.largest);
  so_far.allocated += is_deterministic(r) ? size : words;
  so_far.words += words;
  if (is->pending == 0) return;
  if (r->now.pending == 0) begin_to_wait(is);
  check_space(r, is);
  check_promptness(r, is);
}

enum { OFTEN = 1000003 };

/* After each call of the library that allocates or frees, and of the reference. Where there is
** noise, only what the program sees is of interest. */
static void call_done(run* r, size_t size, uint64_t besides) {
  moment is = moment_now();
  if (!r->noise) check_moment(r, &is, size, besides);
  if (is.pending == 0) {
    m.period++;
    finals_are_known();
    m.outside = so_far.largest = 0;
  }
  see(r, (is.pending * OFTEN + is.finals) * OFTEN + (is.units - r->now.units) * 3 + is.debt);
  r->now = is;
  m.largest = 0;
  told->calls++;
  told->debts += is.debt > 0;
  raise_to(&told->held_max, is.bytes);
}

#endif
