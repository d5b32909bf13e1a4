/* rc_run.h: what the operations of a program (rc_program.h) do, to the library and to the
** reference (rc_model.h); those on types, finalizers and weak references are in rc_run_types.h.
** Whoever includes this says in call_done what must hold. */
#ifndef RC_RUN_H
#define RC_RUN_H

#include "tests/unit/rc_model.h"

/* ---- A run ----------------------------------------------------------------------------------- */

typedef struct moment {
  uint64_t units, debt, pending, bytes, finals;
} moment;

typedef struct run {
  const program* p;
  bool eager; /* all that waits is drained at once: what the others are compared with */
  bool noise; /* other memory comes and goes */
  datum slots[SLOTS];
  uint32_t finalized; /* has had its finalizer; what rc_poll does then is not noted yet. 0: none */
  uint64_t polled, finalizers, cleared,
      back;      /* those that ran; weak references: cleared, or of what was dead */
  uint64_t seen; /* what the program can see, in one number */
  moment now;    /* after the last call */
} run;

/* To be defined. After each call of the library that allocates or frees, once the reference has
** done the same: the call asked for a block of `size` words, and had to spend `besides` units more
** than that costs; or it asked for none (0), and might spend so many. ANY: there is no bound. */
#define ANY ((uint64_t)1 << 62)
static void call_done(run* r, size_t size, uint64_t besides);
/* Something that the program sees. */
static void see(run* r, uint64_t what) { r->seen = mix(r->seen ^ what); }
/* After what must not be, which it says. */
static _Noreturn __attribute__((format(printf, 1, 2))) void stop(const char* format, ...);
#define check(e, ...)            \
  do {                           \
    if (!(e)) stop(__VA_ARGS__); \
  } while (0)

static rc_word word_of(datum v) {
  return is_object(v) ? rc_from(m.all[number_of(v)].o) : (rc_word)v;
}

enum { END = 200 }; /* of a byte string that is filled and looked at */

/* ---- Making and dropping --------------------------------------------------------------------- */

enum { TAG = 7 };

static datum integer(uint64_t x) { return rc_int((int64_t)(mix(x) >> 2)); }

/* The library made an object, from a block of `words` (0: that it had). */
static uint32_t made(run* r, rc_object* o, uint8_t kind, size_t n, size_t words, uint64_t besides) {
  check(o != NULL, "no memory for %zu words", words);
  uint32_t number = model_new(o, kind, n, integer(m.count), NULL);
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
  values_of(number)[i] = v;
  if (!is_traced(&m.all[number])) rc_init(m.all[number].o, i, word_of(v));
}

static datum shared(datum v) {
  model_inc(v);
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
  call_done(r, 0, ANY);
}

static void give_up(run* r, datum v) {
  if (!is_object(v)) return;
  rc_object* o = m.all[number_of(v)].o;
  model_dec(v);
  rc_dec(o);
  freed(r);
}

static void slot_set(run* r, unsigned slot, datum v) {
  datum old = r->slots[slot];
  r->slots[slot] = v;
  give_up(r, old);
}

/* Takes v. The values of a traced object are the reference's. */
static void store(run* r, uint32_t number, size_t i, datum v) {
  datum old = values_of(number)[i];
  values_of(number)[i] = v;
  rc_word w = word_of(v);
  model_dec(old);
  if (!is_traced(&m.all[number]))
    rc_set(m.all[number].o, i, w);
  else
    rc_dec_word(word_of(old));
  if (is_object(old)) freed(r);
}

/* The shadow of what a slot has, if that is an object of such a kind with fields. */
static shadow* slot_object(const run* r, unsigned slot, bool any_kind) {
  datum v = r->slots[slot];
  shadow* s = is_object(v) ? &m.all[number_of(v)] : NULL;
  return s != NULL && (any_kind || shadow_values(s) > 0) ? s : NULL;
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

static void fill(char* at, size_t n, uint8_t byte) {
  memset(at, byte, n < END ? n : END);
  memset(at + (n < END ? 0 : n - END), byte, n < END ? n : END);
}

static void slot_set_bytes(run* r, unsigned slot, rc_object* o, size_t n, size_t words) {
  uint32_t number = made(r, o, RC_BYTES, n, words, 0);
  fill(rc_data(o), n, (uint8_t)m.all[number].first);
  slot_set(r, slot, object(number));
}

static void run_bytes(run* r, const op* o) {
  size_t words = o->k < 3 ? 3 : o->k, n = 8 * (words - 2) - o->n % 8;
  slot_set_bytes(r, o->a, rc_bytes(TAG, n), n, words);
}

static void run_doubles(run* r, const op* o) {
  size_t n = o->k < 2 ? 0 : o->k - 2;
  slot_set_bytes(r, o->a, rc_double_array(TAG, n), 8 * n, n + 2);
}

static void code(void) {}

static void run_closure(run* r, const op* o) {
  size_t n = o->k < 2 ? 0 : o->k - 2;
  if (n + 1 > RC_FIELDS_MAX) return;
  uint32_t number = made(r, rc_closure(TAG, code, n), RC_FIELDS, n + 1, n + 2, 0);
  check(rc_code(m.all[number].o) == code, "another function");
  values_of(number)[0] = (datum)rc_words(m.all[number].o)[0];
  for (size_t i = 1; i <= n; i++) init(number, i, chosen(r, o->n + i));
  slot_set(r, o->a, object(number));
}

static void cell_push(run* r, unsigned slot, size_t words) {
  uint32_t number = make(r, words, 1);
  init_plain(number);
  init(number, m.all[number].n - 1, r->slots[slot]);
  r->slots[slot] = object(number);
}

static void run_list(run* r, const op* o) {
  for (uint32_t i = 0; i < o->n; i++) cell_push(r, o->a, o->k);
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
    check(is_traced(s) || rc_get(s->o, i) == word_of(v), "field %zu of %u", i, s->n);
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

static void run_trade(run* r, const op* o) {
  const shadow* s = slot_object(r, o->a, false);
  if (s == NULL) return;
  uint32_t n = s->n, number = number_of(r->slots[o->a]);
  for (uint32_t i = 0; i < o->n && i < n; i++) {
    store(r, number, i, integer(i));
    cell_push(r, o->b, o->k);
  }
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

/* What the reference calls dead is still held, and the unit for its block not spent. Until then. */
static void shell_begins(uint64_t bytes) { m.live_bytes += bytes, m.units--; }
static void shell_ends(uint64_t bytes) { m.live_bytes -= bytes; }

static void run_reuse(run* r, const op* o) {
  const shadow* s = slot_object(r, o->a, true);
  size_t n = o->k - 1;
  if (s == NULL || s->kind != RC_FIELDS || n > RC_FIELDS_MAX) return;
  shadow old = *s;
  datum v = r->slots[o->a];
  r->slots[o->a] = RC_NIL;
  model_dec(v);
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
    datum v = values_of(from)[n - 1 - i];
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
  if (shell != NULL) model_become_shell(number_of(v));
  rc_object* next = rc_reuse(shell, TAG, n);
  uint32_t number = made(r, next, RC_FIELDS, n, shell != NULL ? 0 : n + 1, 0);
  turn_round(words, number_of(v), number);
  r->slots[o->a] = object(number);
  if (shell == NULL) give_up(r, v);
}

/* The reference's copy of an object of which the library made one. */
static uint32_t copied(rc_object* o, datum v) {
  shadow old = m.all[number_of(v)];
  uint32_t number = model_new(o, old.kind, old.n, RC_NIL, NULL);
  if (old.kind == RC_BYTES) m.all[number].first = old.first; /* which it was filled by */
  for (size_t i = 0; i < shadow_values(&old); i++) {
    values_of(number)[i] = m.values[old.first + i];
    model_inc(m.values[old.first + i]);
  }
  model_dec(v);
  return number;
}

/* While memory for a copy is found, all that waits may be freed, and with it the other references
** to the original, which then dies, so that something waits again. Whether it did is not known; but
** the bounds hold from any moment on. */
static void run_unique(run* r, const op* o) {
  datum v = r->slots[o->a];
  const shadow* s = slot_object(r, o->a, true);
  size_t words = s != NULL ? (shadow_bytes(s) + 7) / 8 : 0;
  if (s == NULL || s->kind >= RC_TYPED || words > COPIED_MAX) return;
  rc_object* unique = rc_make_unique(s->o);
  bool same = unique == s->o;
  check(unique != NULL && rc_is_unique(unique) && (!same || s->refs == 1), "not unique");
  if (!same) r->slots[o->a] = object(copied(unique, v));
  if (!same) r->now.pending = 0;
  call_done(r, same ? 0 : words, words + (same ? 0 : DEC_UNITS));
  s = slot_object(r, o->a, false);
  if (s != NULL) store(r, number_of(r->slots[o->a]), o->n % s->n, integer(o->n));
}

#endif
