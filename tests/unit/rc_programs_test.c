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
** Words are logical ones, for which the space bound holds as well; for half of the programs they
** are those of size classes. Programs run in a child process, whose end, whatever it is, leads to the
** smallest program that fails, too. With an argument: the program of that number; with two: so many
** from there. */
#include "tests/unit/rc_program.h"

#include "alloc/internal.h"

#include <sys/mman.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__) || CHECKED || defined(EMULATED)
enum { PROGRAMS = 1000 };
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

static _Noreturn __attribute__((format(printf, 1, 2))) void stop(const char* format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(told->what, sizeof told->what, format, args);
  va_end(args);
  _exit(1);
}
#define check(e, ...)            \
  do {                           \
    if (!(e)) stop(__VA_ARGS__); \
  } while (0)
typedef unsigned long long llu;

static void raise_to(uint64_t* most, uint64_t n) {
  if (n > *most) *most = n;
}

/* ---- A run: the program, the reference, and where the library is ----------------------------- */

typedef struct moment {
  uint64_t units, debt, pending, bytes;
} moment;

typedef struct run {
  const program* p;
  rt_task* task;
  bool eager;    /* all that waits is drained at once: what the others are compared with */
  bool measured; /* resident memory */
  datum slots[SLOTS];
  moment now;
  /* since the first object began to wait: */
  moment start;
  uint64_t granted, largest, allocated; /* words: Q, P, and what was allocated */
  uint64_t live_max;                    /* bytes, since the program began */
  uint64_t words, words_checked; /* allocated since it began, and when all was looked at last */
} run;

static model m;

static moment moment_now(const run* r) {
  rc_counters k = counters();
  return (moment){k.units, k.debt, rc_pending(), rt_bytes(r->task)};
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

/* The call asked for `words` (0: it did not ask), and had to spend `besides`, or, if it did not
** ask, could. */
static void check_time(const run* r, const moment* is, uint64_t words, uint64_t besides) {
  const rc_pacing* p = &r->p->pacing;
  uint64_t units = is->units - r->now.units, price = p->pace * words;
  uint64_t quantum = p->pace * (words > p->quantum ? words : p->quantum);
  uint64_t limit = debt_is_auto(r) ? r->start.bytes / 32 : p->debt_limit;
  uint64_t most = besides;
  if (words > QUANTUM)
    most += r->now.debt + price > limit + REQUEST_UNITS ? UINT64_MAX / 2 : REQUEST_UNITS;
  else if (words > 0)
    most += quantum + (r->now.debt > 0 ? p->pace * p->quantum : 0);
  check(units <= most, "%llu units for %llu words, at most %llu", (llu)units, (llu)words,
        (llu)most);
  limit = debt_is_auto(r) ? r->live_max / 32 : p->debt_limit;
  check(is->debt <= limit, "a debt of %llu, at most %llu", (llu)is->debt, (llu)limit);
  if (words > 0 && r->now.pending > 0 && is->pending > 0)
    check_paid(r, words, units + is->debt - besides - r->now.debt);
}

static void check_space(const run* r, const moment* is) {
  uint64_t pace = r->p->pacing.pace, room = pace * r->granted + r->largest + is->debt;
  uint64_t more = is->bytes > r->start.bytes ? is->bytes - r->start.bytes : 0;
  check(pace * more <= 8 * room, "%llu bytes held, from %llu; Q %llu, P %llu, debt %llu",
        (llu)is->bytes, (llu)r->start.bytes, (llu)r->granted, (llu)r->largest, (llu)is->debt);
  if (room > 1000) raise_to(&told->space_percent, 100 * pace * more / (8 * room));
}

static void check_promptness(const run* r, const moment* is) {
  uint64_t pace = r->p->pacing.pace, words = (pace - 1) * r->allocated;
  uint64_t most = r->start.bytes / 8 + pace * r->granted + is->debt;
  check(words < most || words == 0, "%llu words allocated since %llu were held, still waiting",
        (llu)r->allocated, (llu)r->start.bytes / 8);
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

static void begin_to_wait(run* r, const moment* is) {
  r->start = *is;
  r->granted = granted_words();
  r->largest = m.largest;
  r->allocated = 0;
  told->waits++;
}

/* After each call of the library that allocates or frees, and of the model. */
static void call_done(run* r, size_t size, uint64_t besides) {
  uint64_t words = rounded(size);
  moment is = moment_now(r);
  raise_to(&r->live_max, m.live_bytes);
  check_time(r, &is, words, besides);
  check_exactness(&is);
  raise_to(&r->largest, m.largest);
  r->allocated += words;
  r->words += words;
  if (is.pending > 0) {
    if (r->now.pending == 0) begin_to_wait(r, &is);
    check_space(r, &is);
    check_promptness(r, &is);
  }
  r->now = is;
  m.largest = 0;
  told->calls++;
  told->debts += is.debt > 0;
  raise_to(&told->held_max, is.bytes);
}

/* ---- Resident memory ------------------------------------------------------------------------- */

static char* chunks[64]; /* where objects were seen */

static void note_chunk(const rc_object* o) {
  char* chunk = (char*)((uintptr_t)o & ~(uintptr_t)(CHUNK - 1));
  for (size_t i = 0; i < 64 && chunks[i] != chunk; i++)
    if (chunks[i] == NULL) chunks[i--] = chunk;
}

static uint64_t resident_bytes(void) {
  unsigned char pages[CHUNK / 4096];
  uint64_t bytes = 0;
  for (size_t i = 0; i < 64 && chunks[i] != NULL; i++) {
    if (mincore(chunks[i], CHUNK, pages) != 0) continue;
    for (size_t k = 0; k < sizeof pages; k++) bytes += 4096 * (uint64_t)(pages[k] & 1);
  }
  return bytes;
}

/* ---- Contents and blocks --------------------------------------------------------------------- */

static rc_word word_of(datum v) {
  return is_object(v) ? rc_from(m.all[number_of(v)].o) : (rc_word)v;
}

enum { END = 200 }; /* of a byte string that is filled and looked at */

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

/* Each object that lives has a block in use for itself; `alone`: and nobody else has. */
static void check_blocks(known* k, bool alone) {
  mi_heap_t* heap = tls.task->exact;
  if (heap == NULL) return;
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
  r->words_checked = r->words;
}

/* ---- Making and dropping --------------------------------------------------------------------- */

enum { TAG = 7 };

static datum integer(uint64_t x) { return rc_int((int64_t)(mix(x) >> 2)); }

/* The library made an object, from a block of `words` (0: that it had). */
static uint32_t made(run* r, rc_object* o, uint8_t kind, size_t n, size_t words, uint64_t besides) {
  check(o != NULL, "no memory for %zu words", words);
  if (r->measured) note_chunk(o);
  uint32_t number = model_new(&m, o, kind, n, integer(m.count));
  call_done(r, words, besides);
  return number;
}

static uint32_t make_array(run* r, size_t words) {
  size_t n = words < 2 ? 0 : words - 2;
  datum fill = integer(m.count);
  return made(r, rc_array(TAG, n, fill), RC_ARRAY, n, n + 2, 0);
}

/* All of whose fields are to be stored, of at least `least` fields. */
static uint32_t make(run* r, size_t words, size_t least) {
  size_t n = words < least + 1 ? least : words - 1;
  if (n > RC_FIELDS_MAX) return make_array(r, words);
  return made(r, rc_alloc(TAG, n), RC_FIELDS, n, n + 1, 0);
}

/* First store: takes v. */
static void init(uint32_t number, size_t i, datum v) {
  values_of(&m, number)[i] = v;
  rc_init(m.all[number].o, i, word_of(v));
}

static datum shared(datum v) {
  model_inc(&m, v);
  rc_inc_word(word_of(v));
  return v;
}

/* What a slot has, or an integer. */
static datum chosen(const run* r, uint64_t x) {
  uint64_t h = mix(x);
  return (h & 1) != 0 ? shared(r->slots[h / 2 % SLOTS]) : integer(x);
}

static void init_by(const run* r, uint32_t number, uint64_t x) {
  for (size_t i = 0; i < m.all[number].n; i++) init(number, i, chosen(r, x + i));
}

static void init_plain(uint32_t number) {
  for (size_t i = 0; i < m.all[number].n; i++) init(number, i, integer(number + i));
}

static void freed(run* r) {
  call_done(r, 0, DEC_UNITS);
  if (!r->eager) return;
  rc_drain(SIZE_MAX);
  call_done(r, 0, UINT64_MAX / 2);
}

static void give_up(run* r, datum v) {
  if (!is_object(v)) return;
  rc_object* o = m.all[number_of(v)].o;
  model_dec(&m, v);
  rc_dec(o);
  freed(r);
}

static void slot_set(run* r, unsigned slot, datum v) {
  datum old = r->slots[slot];
  r->slots[slot] = v;
  give_up(r, old);
}

static datum object(uint32_t number) { return 2 * (datum)number; }

/* Takes v. */
static void store(run* r, uint32_t number, size_t i, datum v) {
  datum old = values_of(&m, number)[i];
  values_of(&m, number)[i] = v;
  rc_word w = word_of(v);
  model_dec(&m, old);
  rc_set(m.all[number].o, i, w);
  if (is_object(old)) freed(r);
}

/* The shadow of what a slot has, if that is an object of such a kind with fields. */
static shadow* slot_object(const run* r, unsigned slot, bool any_kind) {
  datum v = r->slots[slot];
  shadow* s = is_object(v) ? &m.all[number_of(v)] : NULL;
  return s != NULL && (any_kind || (s->kind != RC_BYTES && s->n > 0)) ? s : NULL;
}

/* ---- Operations ------------------------------------------------------------------------------ */

static void run_fields(run* r, const op* o) {
  uint32_t number = make(r, o->k, 0);
  init_by(r, number, o->n);
  slot_set(r, o->a, object(number));
}

static void run_array(run* r, const op* o) {
  uint32_t number = make_array(r, o->k);
  for (size_t i = 0; m.all[number].n > 0 && i < 10; i++)
    store(r, number, mix(o->n + i) % m.all[number].n, chosen(r, o->n + i));
  slot_set(r, o->a, object(number));
}

static void run_bytes(run* r, const op* o) {
  size_t words = o->k < 3 ? 3 : o->k, n = 8 * (words - 2) - o->n % 8;
  uint32_t number = made(r, rc_bytes(TAG, n), RC_BYTES, n, words, 0);
  const shadow* s = &m.all[number];
  memset(rc_data(s->o), (uint8_t)s->first, n < END ? n : END);
  memset(rc_data(s->o) + (n < END ? 0 : n - END), (uint8_t)s->first, n < END ? n : END);
  slot_set(r, o->a, object(number));
}

static void run_list(run* r, const op* o) {
  for (uint32_t i = 0; i < o->n; i++) {
    uint32_t number = make(r, o->k, 1);
    init_plain(number);
    init(number, m.all[number].n - 1, r->slots[o->a]);
    r->slots[o->a] = object(number);
  }
}

static datum tree_of_nodes(run* r, uint32_t n, size_t words) {
  if (n == 0) return RC_NIL;
  datum left = tree_of_nodes(r, (n - 1) / 2, words);
  datum right = tree_of_nodes(r, n - 1 - (n - 1) / 2, words);
  uint32_t number = make(r, words, 2);
  init_plain(number);
  init(number, 0, left);
  init(number, 1, right);
  return object(number);
}

static void run_tree(run* r, const op* o) { slot_set(r, o->a, tree_of_nodes(r, o->n, o->k)); }

/* Takes the values. */
static void slot_set_array(run* r, unsigned slot, const datum* values, size_t n) {
  uint32_t number = make_array(r, rounded(n + 2));
  for (size_t i = 0; i < n; i++) init(number, i, values[i]);
  slot_set(r, slot, object(number));
}

static void run_row(run* r, const op* o) {
  datum* values = libc_array(o->n + 1, sizeof *values);
  for (uint32_t i = 0; i < o->n; i++) values[i] = object(make_array(r, o->k));
  slot_set_array(r, o->a, values, o->n);
  free(values);
}

static void run_dag(run* r, const op* o) {
  datum* values = libc_array(o->n + 1, sizeof *values);
  for (uint32_t i = 0; i < o->n; i++) {
    uint32_t number = make(r, o->k, 0);
    init_plain(number);
    for (size_t f = 0; i > 0 && f < m.all[number].n && f < 20; f++)
      init(number, f, shared(values[mix(i + f) % i]));
    values[i] = object(number);
  }
  slot_set_array(r, o->a, values, o->n);
  free(values);
}

static void run_churn(run* r, const op* o) {
  for (uint32_t i = 0; i < o->n; i++) {
    uint32_t number = make(r, o->k, 0);
    init_plain(number);
    give_up(r, object(number));
  }
}

static void run_share(run* r, const op* o) { slot_set(r, o->a, shared(r->slots[o->b])); }

static void run_walk(run* r, const op* o) {
  datum v = r->slots[o->b];
  for (uint32_t step = 0; step < 8 && is_object(v); step++) {
    const shadow* s = &m.all[number_of(v)];
    size_t i = shadow_values(s) > 0 ? mix(o->n + step) % s->n : 0;
    if (shadow_values(s) == 0 || !is_object(m.values[s->first + i])) break;
    v = m.values[s->first + i];
    check(rc_get(s->o, i) == word_of(v), "field %zu of %u", i, s->n);
  }
  slot_set(r, o->a, shared(v));
}

static void run_store(run* r, const op* o) {
  const shadow* s = slot_object(r, o->a, false);
  if (s == NULL) return;
  uint32_t number = number_of(r->slots[o->a]);
  datum v = r->slots[o->b];
  bool older = !is_object(v) || number_of(v) < number;
  store(r, number, o->n % s->n, older ? shared(v) : integer(o->n));
}

static void run_thin(run* r, const op* o) {
  const shadow* s = slot_object(r, o->a, false);
  if (s == NULL) return;
  uint32_t n = s->n, number = number_of(r->slots[o->a]);
  for (uint32_t i = 0; i < o->n && i < n; i++) store(r, number, mix(o->k + i) % n, integer(i));
}

static void run_drop(run* r, const op* o) { slot_set(r, o->a, RC_NIL); }

static void run_clear(run* r, const op* o) {
  (void)o;
  for (unsigned i = 0; i < SLOTS; i++) slot_set(r, i, RC_NIL);
}

static void run_drain(run* r, const op* o) {
  uint64_t before = r->now.units;
  size_t spent = rc_drain(o->n);
  call_done(r, 0, o->n);
  check(spent == r->now.units - before, "drained %zu units, told otherwise", spent);
  check(spent == o->n || r->now.pending == 0, "drained %zu units of %u", spent, o->n);
}

/* What the reference calls dead is still held, and the unit for its block not spent; and no more. */
static void shell_begins(uint64_t bytes) { m.live_bytes += bytes, m.units--; }
static void shell_ends(uint64_t bytes) { m.live_bytes -= bytes; }

static void run_reuse(run* r, const op* o) {
  const shadow* s = slot_object(r, o->a, true);
  size_t n = o->k - 1;
  if (s == NULL || s->kind != RC_FIELDS || n > RC_FIELDS_MAX) return;
  shadow old = *s;
  datum v = r->slots[o->a];
  r->slots[o->a] = RC_NIL;
  model_dec(&m, v);
  rc_object* shell = rc_drop_reuse(old.o);
  check(shell == NULL || (shell == old.o && old.refs == 1), "%u references are one", old.refs);
  if (shell != NULL) shell_begins(shadow_bytes(&old));
  freed(r);
  bool fits = shell != NULL && n == old.n, wasted = shell != NULL && (!fits || o->n % 8 == 0);
  if (shell != NULL) shell_ends(shadow_bytes(&old));
  if (wasted) m.units++;
  if (wasted && fits) {
    rc_free_known(shell);
    call_done(r, 0, 1);
    return;
  }
  rc_object* next = rc_reuse(shell, TAG, n);
  uint32_t number = made(r, next, RC_FIELDS, n, fits ? 0 : n + 1, wasted);
  init_by(r, number, o->n);
  r->slots[o->a] = object(number);
}

enum { COPIED_MAX = 5000 };

/* The references go from one shadow to the other, in reverse. */
static void turn_round(const rc_word* words, uint32_t from, uint32_t to) {
  size_t n = m.all[from].n;
  for (size_t i = 0; i < n; i++) {
    datum v = values_of(&m, from)[n - 1 - i];
    check(words[n - 1 - i] == word_of(v), "field %zu of %zu", n - 1 - i, n);
    init(to, i, v);
  }
}

static void run_move(run* r, const op* o) {
  rc_word words[COPIED_MAX];
  datum v = r->slots[o->a];
  shadow* s = slot_object(r, o->a, true);
  if (s == NULL || s->kind != RC_FIELDS || s->n > COPIED_MAX) return;
  size_t n = s->n;
  rc_object* shell = rc_is_unique(s->o) ? s->o : NULL;
  check(shell == NULL || s->refs == 1, "%u references are one", s->refs);
  for (size_t i = 0; i < n; i++) words[i] = rc_get(s->o, i);
  for (size_t i = 0; i < n && shell == NULL; i++) shared(m.values[s->first + i]);
  if (shell != NULL) s->refs = 0, m.live--, m.live_bytes -= shadow_bytes(s);
  rc_object* next = rc_reuse(shell, TAG, n);
  uint32_t number = made(r, next, RC_FIELDS, n, shell != NULL ? 0 : n + 1, 0);
  turn_round(words, number_of(v), number);
  r->slots[o->a] = object(number);
  if (shell == NULL) give_up(r, v);
}

/* The reference's copy of an object of which the library made one. */
static uint32_t copied(rc_object* o, datum v) {
  shadow old = m.all[number_of(v)];
  uint32_t number = model_new(&m, o, old.kind, old.n, RC_NIL);
  if (old.kind == RC_BYTES) m.all[number].first = old.first; /* which it was filled by */
  for (size_t i = 0; i < shadow_values(&old); i++) {
    values_of(&m, number)[i] = m.values[old.first + i];
    model_inc(&m, m.values[old.first + i]);
  }
  model_dec(&m, v);
  return number;
}

static void run_unique(run* r, const op* o) {
  datum v = r->slots[o->a];
  const shadow* s = slot_object(r, o->a, true);
  size_t words = s != NULL ? (shadow_bytes(s) + 7) / 8 : 0;
  if (s == NULL || words > COPIED_MAX) return;
  rc_object* unique = rc_make_unique(s->o);
  bool same = unique == s->o;
  check(unique != NULL && rc_is_unique(unique) && (!same || s->refs == 1), "not unique");
  if (!same) r->slots[o->a] = object(copied(unique, v));
  call_done(r, same ? 0 : words, words);
  s = slot_object(r, o->a, false);
  if (s != NULL) store(r, number_of(r->slots[o->a]), o->n % s->n, integer(o->n));
}

static void (*const op_run[OP_COUNT])(run*, const op*) = {
    [OP_FIELDS] = run_fields, [OP_ARRAY] = run_array, [OP_BYTES] = run_bytes,
    [OP_LIST] = run_list,     [OP_TREE] = run_tree,   [OP_ROW] = run_row,
    [OP_DAG] = run_dag,       [OP_CHURN] = run_churn, [OP_SHARE] = run_share,
    [OP_WALK] = run_walk,     [OP_STORE] = run_store, [OP_THIN] = run_thin,
    [OP_DROP] = run_drop,     [OP_CLEAR] = run_clear, [OP_DRAIN] = run_drain,
    [OP_REUSE] = run_reuse,   [OP_MOVE] = run_move,   [OP_UNIQUE] = run_unique,
};

/* ---- Running --------------------------------------------------------------------------------- */

static void step(run* r, size_t i) {
  told->step = i;
  op_run[r->p->ops[i].code](r, &r->p->ops[i]);
  raise_to(&told->live_max, r->live_max);
  if (r->measured) raise_to(&told->resident_max, resident_bytes());
  if (r->words - r->words_checked > m.live_bytes / 2 + 2 * m.count + 1000) check_all(r, false);
}

static void drain_all(run* r) {
  rc_drain(SIZE_MAX);
  call_done(r, 0, UINT64_MAX / 2);
  check(r->now.pending == 0, "a full drain leaves %llu objects", (llu)r->now.pending);
}

static void run_program(const program* p, bool eager, bool measured) {
  run r = {.p = p, .task = begin(NULL), .eager = eager, .measured = measured};
  check(rc_set_pacing(&p->pacing), "the pacing is refused");
  told->held_max = told->resident_max = told->live_max = 0;
  model_clear(&m);
  for (size_t i = 0; i < SLOTS; i++) r.slots[i] = RC_NIL;
  for (size_t i = 0; i < p->count; i++) step(&r, i);
  told->step = p->count;
  check_all(&r, false);
  drain_all(&r);
  check_all(&r, true);
  run_clear(&r, NULL);
  drain_all(&r);
  check(m.live == 0 && rt_bytes(r.task) == 0, "%llu bytes are left", (llu)rt_bytes(r.task));
  rt_leave();
  check(rt_task_end(r.task) == 0, "the task does not end");
}

/* Is all well with what a child does? */
static bool succeeds(void (*act)(const void*), const void* arg) {
  int status;
  fflush(NULL);
  strcpy(told->what, "a crash, or no end");
  pid_t child = fork();
  if (child == 0) {
    act(arg);
    exit(0);
  }
  require(child > 0 && waitpid(child, &status, 0) == child, "no child process");
  return status == 0;
}

/* Some hundred times what one takes, under an emulator: a program that does not end fails, too. */
enum { SECONDS = 100 };

static void act_program(const void* p) {
  alarm(SECONDS);
  run_program(p, false, false);
}

static bool program_fails(const program* p) { return !succeeds(act_program, p); }

static void tell_failure(program* p) {
  printf("program %llu, operation %zu: %s\n", (llu)told->number, told->step, told->what);
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
  assert_in_range(told->prompt_percent, 90, 100);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_programs),
  };
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  require(told != MAP_FAILED, "no shared memory");
  if (argc == 1) return cmocka_run_group_tests_name("rc programs", tests, NULL, NULL);
  program p = program_draw(strtoull(argv[1], NULL, 10));
  if (argc == 2) program_print(&p);
  return !range_succeeds(strtoull(argv[1], NULL, 10), argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
}
