/* rc_run_types.h: operations of a program (rc_program.h) on typed objects, weak references and
** finalizers.
**
** Guaranteed, and checked by each look at a weak reference: it answers its target if that lives
** (also if it is held by what awaits its finalizer), nothing if that is dead and not blurred
** (rc_model.h), and nothing for ever after it has answered so. Of finalizers: each runs once, with
** the last reference of its object, and not before it is due; in the order in which the objects
** were queued, which is the order of death where they are not blurred; and all are queued that are
** not blurred. */
#ifndef RC_RUN_TYPES_H
#define RC_RUN_TYPES_H

#include "tests/unit/rc_run.h"

/* ---- Types: one for each size and use -------------------------------------------------------- */

enum { TYPES = 512 };
static rc_type types[TYPES];
static size_t type_count;
static run* running; /* whose finalizers run */

static size_t trace(rc_object* o, size_t* cursor, rc_word* out, size_t max);
static void finalize(rc_object* o);

static const rc_type* type_of(size_t words, size_t bytes, bool traced, bool finalized) {
  rc_type t = {"random", (uint32_t)words, (uint32_t)bytes, traced ? trace : NULL,
               finalized ? finalize : NULL};
  for (size_t i = 0; i < type_count; i++)
    if (types[i].words == t.words && types[i].bytes == t.bytes && types[i].trace == t.trace &&
        types[i].finalize == t.finalize)
      return &types[i];
  require(type_count < TYPES, "too many types");
  types[type_count] = t;
  return &types[type_count++];
}

/* A record of `words`, or as many as it needs: at least `least` references and 8 bytes. */
static const rc_type* record_type(size_t words, size_t least, bool finalized, uint64_t x) {
  size_t head = 2 + finalized, rest = words > head + least + 1 ? words - head - least - 1 : 0;
  size_t raw = x % 4 == 0 ? 0 : x % 4 == 1 ? rest : rest / 3;
  return type_of(least + rest - raw, 8 * (1 + raw) - (raw > 0 ? x / 4 % 8 : 0), false, finalized);
}

/* The first bytes tell the number, the others are filled. */
static void name_bytes(uint32_t number) {
  const shadow* s = &m.all[number];
  char* bytes = rc_data(s->o);
  for (size_t i = 0; i < s->type->bytes && i < END; i++) check(bytes[i] == 0, "a byte is not 0");
  memcpy(bytes, &number, sizeof number);
  fill(bytes + sizeof number, s->type->bytes - sizeof number, (uint8_t)s->first);
}

static uint32_t number_in(rc_object* o) {
  uint32_t number;
  memcpy(&number, rc_data(o), sizeof number);
  check(number > 0 && number < m.count && m.all[number].o == o, "not an object of that type");
  return number;
}

/* All values are the reference's integers until they are stored. */
static uint32_t make_typed(run* r, const rc_type* type, size_t n) {
  rc_object* o = rc_typed(TAG, type);
  check(o != NULL, "no memory for a typed object");
  uint32_t number = model_new(o, RC_TYPED, n, RC_NIL, type);
  for (size_t i = 0; i < type->words; i++) check(rc_get(o, i) == RC_NIL, "word %zu is not nil", i);
  name_bytes(number);
  call_done(r, shadow_bytes(&m.all[number]) / 8, 0);
  return number;
}

static void run_record(run* r, const op* o) {
  const rc_type* type = record_type(o->k, 0, mix(o->n) % 2 == 0, mix(o->n) / 2 % 32);
  uint32_t number = make_typed(r, type, type->words);
  init_by(r, number, o->n);
  slot_set(r, o->a, object(number));
}

static void run_traced(run* r, const op* o) {
  const rc_type* type = type_of(0, 8 + mix(o->n) / 2 % 16, true, mix(o->n) % 2 == 0);
  uint32_t number = make_typed(r, type, o->k);
  init_by(r, number, o->n);
  slot_set(r, o->a, object(number));
}

static void run_chain(run* r, const op* o) {
  const rc_type* type = record_type(o->k, 1, true, 0);
  for (uint32_t i = 0; i < o->n; i++) {
    uint32_t number = make_typed(r, type, type->words);
    init(number, type->words - 1, r->slots[o->a]);
    for (size_t f = 0; f + 1 < type->words; f++) init(number, f, integer(f));
    r->slots[o->a] = object(number);
  }
}

static size_t trace(rc_object* o, size_t* cursor, rc_word* out, size_t max) {
  const shadow* s = &m.all[number_in(o)];
  bool noted = running == NULL || running->finalized == 0; /* all that the library has done */
  check(!noted || s->refs == 0, "the trace of an object with %u references is called", s->refs);
  check(*cursor <= s->n, "from reference %zu of %u", *cursor, s->n);
  size_t n = 0;
  while (n < max && *cursor < s->n) out[n++] = word_of(m.values[s->first + (*cursor)++]);
  return n;
}

/* ---- Weak references ------------------------------------------------------------------------- */

static const shadow* cell_in(datum v) {
  const shadow* s = is_object(v) ? &m.all[number_of(v)] : NULL;
  return s != NULL && s->kind == CELL ? s : NULL;
}

/* Asks a weak reference, and checks the answer. */
static rc_object* look(run* r, const shadow* cell) {
  rc_object* o = rc_upgrade(cell->o);
  const shadow* s = &m.all[cell->other];
  bool is_there = cell->other != 0, lives = is_there && s->refs > 0 && !is_queued(s);
  check(o != NULL || !lives, "a weak reference to an object that lives is cleared");
  check(o == NULL || lives || (is_there && is_blurred(s)), "a weak reference to what is dead");
  check(o == NULL || o == s->o, "a weak reference to another object");
  if (o == NULL && is_there) r->cleared++, model_seen_dead(cell->other);
  r->back += o != NULL && !lives;
  see(r, o != NULL);
  return o;
}

/* The reference that is made and dropped is not the last one. */
static void look_only(run* r, datum v) {
  const shadow* cell = cell_in(v);
  rc_object* o = cell != NULL ? look(r, cell) : NULL;
  if (o != NULL) rc_dec(o);
}

/* A weak reference to v, which is borrowed. The library's table of them may grow meanwhile, by
** refills. */
static datum weak_to(run* r, datum v) {
  uint32_t target = number_of(v), cell = m.all[target].other;
  rc_object* w = rc_weak(m.all[target].o);
  if (m.all[target].kind == CELL) {
    check(w == NULL, "a weak reference to a weak reference");
    return RC_NIL;
  }
  check(w != NULL, "no memory for a weak reference");
  if (cell != 0) {
    check(w == m.all[cell].o, "two weak references to one object");
    m.all[cell].refs++;
    return object(cell);
  }
  cell = model_new(w, CELL, 0, RC_NIL, NULL);
  model_watch(cell, target);
  call_done(r, 4, r->p->pacing.deterministic ? 0 : ANY);
  return object(cell);
}

static void run_weak(run* r, const op* o) {
  if (is_object(r->slots[o->b])) slot_set(r, o->a, weak_to(r, r->slots[o->b]));
}

/* One of the values of v, often the last, which leads on in lists. */
static datum below(datum v, uint64_t x) {
  const shadow* s = is_object(v) ? &m.all[number_of(v)] : NULL;
  size_t n = s != NULL ? shadow_values(s) : 0;
  return n > 0 ? m.values[s->first + (x % 4 != 0 ? n - 1 : x / 4 % n)] : RC_NIL;
}

static void run_watch(run* r, const op* o) {
  datum *cells = libc_array(o->n + 1, sizeof *cells), v = r->slots[o->a];
  for (uint32_t i = 0; i < o->n; i++) {
    v = below(v, mix(o->n + i));
    cells[i] = is_object(v) ? weak_to(r, v) : RC_NIL;
    if (!is_object(v)) v = r->slots[o->a];
  }
  slot_set_array(r, o->b, cells, o->n);
  free(cells);
}

/* Of a slot, or of what it has. */
static datum part_of(const run* r, unsigned slot, size_t i) {
  const shadow* s = slot_object(r, slot, false);
  return s != NULL ? m.values[s->first + i % shadow_values(s)] : r->slots[slot];
}

static void run_upgrade(run* r, const op* o) {
  const shadow* cell = cell_in(part_of(r, o->b, o->n));
  if (cell == NULL) return;
  uint32_t target = cell->other;
  bool back = look(r, cell) != NULL;
  if (back) model_return(object(target));
  slot_set(r, o->a, back ? object(target) : RC_NIL);
}

static void run_look(run* r, const op* o) {
  for (uint32_t i = 0; i < 50; i++) look_only(r, part_of(r, o->b, o->n + i));
}

/* And at some of what they have. */
static void look_at_slots(run* r) {
  for (unsigned i = 0; i < 2 * SLOTS; i++) {
    look_only(r, r->slots[i % SLOTS]);
    look_only(r, part_of(r, i % SLOTS, mix(m.count + i)));
  }
}

/* ---- Finalizers ------------------------------------------------------------------------------ */

/* What rc_poll has done after the last finalizer. */
static bool finalizer_ends(run* r) {
  if (r->finalized == 0) return false;
  datum v = object(r->finalized);
  r->finalized = 0;
  model_dec(v);
  return true;
}

/* By the number: none or one of several things that a guest may do. */
static void guest_finalizer(run* r, uint32_t number) {
  uint64_t x = mix(number), slot = x / 8 % SLOTS;
  size_t n = shadow_values(&m.all[number]), i = n > 0 ? x / 128 % n : 0;
  switch (x % 8) {
    case 0:
      slot_set(r, (unsigned)slot, shared(object(number)));
      break;
    case 1:
      slot_set(r, (unsigned)slot, weak_to(r, object(number)));
      break;
    case 2:
      cell_push(r, (unsigned)slot, 3);
      break;
    case 3:
      if (n > 0) store(r, number, i, integer(x));
      break;
    case 4:
      if (n > 0) slot_set(r, (unsigned)slot, shared(values_of(number)[i]));
      break;
    case 5:
      check(rc_poll(1) == 0, "a finalizer within a finalizer");
      break;
    default:
      break;
  }
}

static void finalize(rc_object* o) {
  run* r = running;
  bool another = finalizer_ends(r);
  uint32_t number = number_in(o);
  const shadow* s = &m.all[number];
  check(is_queued(s), "a finalizer runs twice, or of an object with %u references", s->refs);
  check(rc_is_unique(o), "a finalizer's object has other references");
  check(model_finalized(number), "finalizers are not in the order of death");
  if (another) call_done(r, 0, DEC_UNITS);
  see(r, number);
  guest_finalizer(r, number);
  r->finalized = number;
  r->polled++;
  r->finalizers++;
}

static void poll(run* r, size_t n) {
  running = r;
  r->polled = 0;
  size_t ran = rc_poll(n);
  if (finalizer_ends(r)) call_done(r, 0, DEC_UNITS);
  running = NULL;
  check(ran == r->polled && ran <= n, "%zu finalizers ran, told otherwise", ran);
  check(ran == n || rc_finalizers_pending() == 0, "%zu finalizers ran of %zu", ran, n);
}

static void run_poll(run* r, const op* o) { poll(r, o->n); }

/* ---- All operations -------------------------------------------------------------------------- */

static void (*const op_run[OP_COUNT])(run*, const op*) = {
    [OP_FIELDS] = run_fields,   [OP_ARRAY] = run_array,     [OP_BYTES] = run_bytes,
    [OP_DOUBLES] = run_doubles, [OP_CLOSURE] = run_closure, [OP_RECORD] = run_record,
    [OP_TRACED] = run_traced,   [OP_LIST] = run_list,       [OP_TREE] = run_tree,
    [OP_ROW] = run_row,         [OP_DAG] = run_dag,         [OP_CHAIN] = run_chain,
    [OP_WATCH] = run_watch,     [OP_TRADE] = run_trade,     [OP_CHURN] = run_churn,
    [OP_SHARE] = run_share,     [OP_WALK] = run_walk,       [OP_STORE] = run_store,
    [OP_THIN] = run_thin,       [OP_DROP] = run_drop,       [OP_CLEAR] = run_clear,
    [OP_DRAIN] = run_drain,     [OP_REUSE] = run_reuse,     [OP_MOVE] = run_move,
    [OP_UNIQUE] = run_unique,   [OP_WEAK] = run_weak,       [OP_UPGRADE] = run_upgrade,
    [OP_LOOK] = run_look,       [OP_POLL] = run_poll,
};

#endif
