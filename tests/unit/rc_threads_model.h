/* rc_threads_model.h: what the objects of a program in several threads are (rc_threads_test.c), whatever the library
** does: a model that marks.
**
** An object lives if a slot leads to it. Each has a *witness*, an object that nobody else holds, whose type's trace
** tells when it is released: so each death is known, and must not come while a slot leads to the object. What no slot
** leads to may live on for a while, and come back by a weak reference, or by its finalizer; when all is quiet, it is
** dead. */
#ifndef RC_THREADS_MODEL_H
#define RC_THREADS_MODEL_H

#include "tests/unit/rc_shrink.h"

#include <stdatomic.h>
#include <sys/mman.h>

/* ---- What a child tells ---------------------------------------------------------------------------- */

typedef struct report {
  uint64_t number; /* of the program */
  size_t step;
  char what[200];
  _Atomic uint64_t deaths, finalized, saved, back, cleared, shared, races, handed, ended;
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

/* ---- Objects --------------------------------------------------------------------------------------- */

/* An owner is a thread, or one of the last two: of what is shared, or was left by an ended thread. */
enum { THREADS = 3, SHARED, ORPHAN };
enum { SLOTS = 6, FIELDS_MOST = 3, NODES = 400 };

/* While threads race, all but the last two stay as they are. */
typedef struct shadow {
  rc_object *o, *weak; /* weak: or NULL */
  uint16_t to[FIELDS_MOST];
  uint8_t n, owner;
  bool cyclic, finalizes;
  bool holds_cyclic; /* not cyclic, but what it reaches may be */
  bool marked;
  bool was_dead; /* it came back: it may be queued for its finalizer */
  bool sure;     /* it did not since its weak reference was made, so that answers */
  bool gone;     /* it has answered that the object is gone */
  uint32_t refs;
  _Atomic bool dead;
  _Atomic uint32_t finalized;
} shadow;
static shadow nodes[NODES]; /* from 1 on */
static uint16_t node_count;
static uint16_t slots[THREADS][SLOTS]; /* each owns a reference, of its thread; 0: none */
static bool stale;                     /* what is marked */
static bool racing;
static __thread unsigned here;

static bool is_usable(const shadow* s) { return s->owner == here || s->owner == SHARED; }

static void mark_from(uint16_t number) {
  shadow* s = &nodes[number];
  s->refs++;
  if (number == 0 || s->marked) return;
  s->marked = true;
  for (size_t i = 0; i < s->n; i++) mark_from(s->to[i]);
}

static void mark_all(void) {
  if (!stale) return;
  for (shadow* s = nodes; s < nodes + node_count; s++) s->marked = false, s->refs = 0;
  for (size_t t = 0; t < THREADS; t++)
    for (size_t i = 0; i < SLOTS; i++) mark_from(slots[t][i]);
  stale = false;
}

static bool reaches(uint16_t from, uint16_t to, bool* seen) {
  if (from == to) return true;
  if (from == 0 || seen[from]) return false;
  seen[from] = true;
  for (size_t i = 0; i < nodes[from].n; i++)
    if (reaches(nodes[from].to[i], to, seen)) return true;
  return false;
}

static bool leads_to(uint16_t from, uint16_t to) {
  bool seen[NODES] = {false};
  return reaches(from, to, seen);
}

/* What number leads to, and is not shared. Returns how many; 0 if they are on a cycle and `cycles` is false. */
static size_t closure(uint16_t number, uint16_t* list, bool cycles) {
  size_t count = 0;
  bool seen[NODES] = {false};
  list[count++] = number;
  seen[number] = true;
  for (size_t at = 0; at < count; at++) {
    const shadow* s = &nodes[list[at]];
    for (size_t i = 0; i < s->n; i++) {
      uint16_t to = s->to[i];
      if (to == 0 || nodes[to].owner == SHARED) continue;
      if (!cycles && leads_to(to, list[at])) return 0;
      if (!seen[to]) list[count++] = to;
      seen[to] = true;
    }
  }
  return count;
}

/* What no slot leads to is about to be held by one: all of it may be waiting for its finalizer. */
static void save_begins(void) {
  for (shadow* s = nodes + 1; s < nodes + node_count; s++)
    if (!s->marked) s->was_dead = true, s->sure = false;
}

/* ---- Deaths ---------------------------------------------------------------------------------------- */

static uint16_t number_in(rc_object* o) {
  uint64_t number;
  memcpy(&number, rc_data(o), sizeof number);
  check(number > 0 && number < node_count, "an object without a number");
  return (uint16_t)number;
}

/* Sharing calls it, too: then the witness lives. */
static size_t witness(rc_object* o, size_t* cursor, rc_word* out, size_t max) {
  (void)cursor, (void)out, (void)max;
  if (rc_count(o) != 0) return 0;
  uint16_t number = number_in(o);
  check(!atomic_exchange(&nodes[number].dead, true), "object %u dies again", number);
  if (!racing) mark_all();
  check(racing || !nodes[number].marked, "object %u dies while a slot leads to it", number);
  atomic_fetch_add(&told->deaths, 1);
  return 0;
}
static const rc_type witness_type = {.name = "witness", .bytes = 8, .trace = witness};

static void finalize(rc_object* o);
static const rc_type plain_type = {.name = "plain", .words = FIELDS_MOST + 1, .bytes = 8};
static const rc_type final_type = {
    .name = "final", .words = FIELDS_MOST + 1, .bytes = 8, .finalize = finalize};

/* Takes the reference. */
static void slot_set(size_t i, uint16_t number) {
  uint16_t old = slots[here][i];
  slots[here][i] = number;
  if (!racing) stale = true;
  if (old != 0) rc_dec(nodes[old].o);
}

/* Half of them save their object, with what it leads to. */
static void finalize(rc_object* o) {
  uint16_t number = number_in(o), list[NODES];
  shadow* s = &nodes[number];
  mark_all();
  check(s->o == o && !s->dead && s->finalizes, "the finalizer of another object");
  check(is_usable(s) || s->owner == ORPHAN, "object %u is finalized in another thread", number);
  check(!s->marked || s->was_dead, "object %u is finalized while a slot leads to it", number);
  check(s->finalized++ == 0, "object %u is finalized again", number);
  told->finalized++;
  if (number % 2 == 0) return;
  save_begins();
  told->saved++;
  for (size_t n = closure(number, list, true); n > 0; n--)
    if (nodes[list[n - 1]].owner == ORPHAN) nodes[list[n - 1]].owner = (uint8_t)here;
  rc_inc(o);
  slot_set(number / 2 % SLOTS, number);
}

/* ---- When all is quiet ------------------------------------------------------------------------------ */

static void check_weak(shadow* s) {
  rc_object* o = s->weak != NULL ? rc_upgrade(s->weak) : NULL;
  check(o == NULL || (s->marked && o == s->o && !s->gone), "a weak reference to what is gone");
  check(o != NULL || s->weak == NULL || !s->marked || !s->sure, "a weak reference is cleared");
  if (o != NULL) rc_dec(o);
}

/* What is marked is there, with as many references as the model counts; and nothing else. */
static void check_node(shadow* s, unsigned number) {
  if (s->marked) {
    int32_t refs = (int32_t)s->refs, count = rc_count(s->o);
    check(!s->dead, "object %u is dead, and a slot leads to it", number);
    check(count == (s->cyclic || s->owner == SHARED ? -refs : refs), "object %u: %d of %d", number,
          count, refs);
    check(rc_is_cyclic(s->o) == s->cyclic, "object %u: cyclic or not", number);
    for (size_t i = 0; i < s->n; i++)
      check(rc_get(s->o, i) == (s->to[i] != 0 ? rc_from(nodes[s->to[i]].o) : RC_NIL),
            "object %u: field %zu", number, i);
  } else {
    check(s->dead, "object %u lives, and no slot leads to it", number);
    check(!s->finalizes || s->finalized == 1, "object %u died without its finalizer", number);
  }
  check_weak(s);
}

#endif
