/* rc_model.h: what the objects of a program (rc_program.h) are, whatever the library does: a
** reference that frees at once.
**
** The library knows of a death at once if no dead object has held a reference to what dies; else
** when it has released that one, at the latest when nothing waits. Until then a weak reference may
** answer, and so bring back what it refers to; and a finalizer may not be queued yet. An object is
** *blurred* in that time. What is not blurred has the same count in the library as here. */
#ifndef RC_MODEL_H
#define RC_MODEL_H

#include "tests/unit/rc_program.h"

/* Objects have numbers from 1. A datum is an integer, as a word of the library, or twice the number
** of an object. Nothing is forgotten before the program ends. */
typedef uint64_t datum;
enum { CELL = 4 };                 /* the kind of a weak reference */
enum { NEVER, QUEUED, FINALIZED }; /* what became of the finalizer */
typedef struct shadow {
  rc_object* o;
  size_t first;        /* of its values */
  uint32_t n, refs;    /* values, or bytes; refs is 0: it is dead */
  const rc_type* type; /* of a typed one */
  uint32_t other;      /* the weak reference to it, or what a weak reference refers to; 0: none */
  uint32_t blurred;    /* the last period in which it was */
  uint32_t final;      /* its place in the queue, while it is there */
  uint8_t kind, state;
} shadow;

/* An object in the queue: the library has queued it between the times `due` and `by`. */
typedef struct final {
  uint32_t number; /* 0: no longer */
  uint64_t due, by;
} final;
#define UNKNOWN UINT64_MAX

typedef struct model {
  shadow* all;
  datum* values;
  uint32_t* dying;
  final* finals;
  size_t count, room, used, values_room, dying_room, final_count, final_room;
  size_t final_known;      /* of all before, `by` is known, or they have gone */
  uint64_t queued, unsure; /* in the queue, and those of them of which `by` is not known */
  uint64_t time, last_due; /* deaths so far; the latest due of those that were finalized */
  uint64_t live, live_bytes, cells;
  uint64_t units;   /* that all deaths so far cost */
  uint64_t largest; /* the most that one cost, since the last call */
  uint64_t outside; /* more than the words of the blocks, since something waits */
  uint32_t period;  /* ends when nothing waits */
} model;
static model m;

static inline void* grown(void* p, size_t* room, size_t need, size_t size) {
  if (need <= *room) return p;
  while (*room < need) *room = *room < 1024 ? 1024 : *room * 2;
  p = realloc(p, *room * size);
  require(p != NULL, "the test has no memory");
  return p;
}

static inline void model_clear(void) {
  m.used = m.final_count = m.final_known = 0;
  m.queued = m.unsure = m.time = m.last_due = m.cells = 0;
  m.count = m.period = 1;
  m.live = m.live_bytes = m.units = m.largest = m.outside = 0;
}

/* ---- Objects --------------------------------------------------------------------------------- */

static inline bool is_traced(const shadow* s) {
  return s->kind == RC_TYPED && s->type->trace != NULL;
}
static inline uint64_t shadow_bytes(const shadow* s) {
  if (s->kind == CELL) return 32;
  if (s->kind == RC_FIELDS) return 8 + 8 * (uint64_t)s->n;
  if (s->kind != RC_TYPED) return 16 + s->n * (s->kind == RC_ARRAY ? (uint64_t)8 : 1);
  uint64_t tail = s->type->finalize != NULL ? 2 : s->type->trace != NULL;
  return 16 + 8 * ((uint64_t)s->type->words + (s->type->bytes + 7) / 8 + tail);
}
static inline size_t shadow_values(const shadow* s) {
  return s->kind == RC_BYTES || s->kind == CELL ? 0 : s->n;
}
static inline datum* values_of(uint32_t number) { return &m.values[m.all[number].first]; }
static inline bool is_object(datum v) { return (v & 1) == 0; }
static inline uint32_t number_of(datum v) { return (uint32_t)(v / 2); }
static inline datum object(uint32_t number) { return 2 * (datum)number; }
static inline bool is_blurred(const shadow* s) { return s->blurred == m.period; }
static inline bool is_queued(const shadow* s) { return s->state == QUEUED; }

/* One reference; all values are `fill`. */
static inline uint32_t model_new(rc_object* o, uint8_t kind, size_t n, datum fill,
                                 const rc_type* type) {
  shadow s = {.o = o, .first = m.used, .n = (uint32_t)n, .refs = 1, .type = type, .kind = kind};
  m.all = grown(m.all, &m.room, m.count + 1, sizeof *m.all);
  m.values = grown(m.values, &m.values_room, m.used + shadow_values(&s), sizeof(datum));
  for (size_t i = 0; i < shadow_values(&s); i++) m.values[m.used++] = fill;
  m.all[m.count] = s;
  m.live++;
  m.live_bytes += shadow_bytes(&s);
  return (uint32_t)m.count++;
}

static inline void model_inc(datum v) {
  if (is_object(v)) m.all[number_of(v)].refs++;
}

/* The weak reference `number` to a living object; its second reference is that of the target. */
static inline void model_watch(uint32_t number, uint32_t target) {
  m.all[number].other = target;
  m.all[number].refs++;
  m.all[target].other = number;
  m.cells++;
}

/* ---- The queue of finalizers ----------------------------------------------------------------- */

static inline void final_add(uint32_t number) {
  shadow* s = &m.all[number];
  bool blurred = is_blurred(s);
  m.finals = grown(m.finals, &m.final_room, m.final_count + 1, sizeof *m.finals);
  m.finals[m.final_count] = (final){number, m.time, blurred ? UNKNOWN : m.time};
  s->final = (uint32_t)m.final_count++;
  s->refs = 1;
  s->state = QUEUED;
  m.queued++;
  m.unsure += blurred;
}

static inline void final_is_known(final* f) {
  if (f->number == 0 || f->by != UNKNOWN) return;
  f->by = m.time;
  m.unsure--;
}

/* All that should be in the queue is. */
static inline void finals_are_known(void) {
  for (; m.final_known < m.final_count; m.final_known++) final_is_known(&m.finals[m.final_known]);
}

static inline final final_remove(shadow* s) {
  final f = m.finals[s->final];
  m.finals[s->final].number = 0;
  m.queued--;
  m.unsure -= f.by == UNKNOWN;
  return f;
}

/* ---- Death and return ------------------------------------------------------------------------ */

static inline uint64_t shadow_units(const shadow* s) { return shadow_values(s) + 1; }

static inline void model_die(const shadow* s) {
  uint64_t units = shadow_units(s), words = shadow_bytes(s) / 8;
  m.live--;
  m.live_bytes -= shadow_bytes(s);
  m.units += units;
  if (units > m.largest) m.largest = units;
  if (is_traced(s) && units > words) m.outside += units - words;
}

static inline size_t dying_add(uint32_t number, size_t dying) {
  m.dying = grown(m.dying, &m.dying_room, dying + 1, sizeof *m.dying);
  m.dying[dying] = number;
  return dying + 1;
}

static inline size_t value_dec(datum v, size_t dying, bool by_dead) {
  if (!is_object(v)) return dying;
  shadow* s = &m.all[number_of(v)];
  if (by_dead) s->blurred = m.period;
  return --s->refs > 0 ? dying : dying_add(number_of(v), dying);
}

static inline bool awaits_finalizer(const shadow* s) {
  return s->kind == RC_TYPED && s->type->finalize != NULL && s->state == NEVER;
}

static inline void model_dec(datum v) {
  m.time++;
  for (size_t dying = value_dec(v, 0, false); dying > 0;) {
    uint32_t number = m.dying[--dying];
    const shadow* s = &m.all[number];
    if (s->kind != CELL && s->other != 0) dying = value_dec(object(s->other), dying, true);
    if (awaits_finalizer(s)) {
      final_add(number);
      continue;
    }
    model_die(s);
    for (size_t i = 0; i < shadow_values(s); i++)
      dying = value_dec(m.values[s->first + i], dying, true);
  }
}

/* A reference to what may be dead here, and is not in the library. */
static inline size_t value_back(datum v, size_t back) {
  if (!is_object(v)) return back;
  shadow* s = &m.all[number_of(v)];
  bool queued = is_queued(s);
  if (!queued && s->refs++ > 0) return back;
  if (queued) final_remove(s), s->state = NEVER;
  if (s->kind != CELL && s->other != 0) back = value_back(object(s->other), back);
  if (queued) return back;
  m.live++;
  m.live_bytes += shadow_bytes(s);
  m.units -= shadow_units(s);
  return dying_add(number_of(v), back);
}

static inline void model_return(datum v) {
  for (size_t back = value_back(v, 0); back > 0;) {
    const shadow* s = &m.all[m.dying[--back]];
    for (size_t i = 0; i < shadow_values(s); i++) back = value_back(m.values[s->first + i], back);
  }
}

static inline void model_forget_weak(shadow* s) {
  if (s->other != 0) m.all[s->other].other = 0;
  s->other = 0;
}

/* A unique object whose values were moved elsewhere; its weak reference is cleared at once. */
static inline void model_become_shell(uint32_t number) {
  shadow* s = &m.all[number];
  uint32_t cell = s->other;
  s->refs = 0;
  m.live--;
  m.live_bytes -= shadow_bytes(s);
  model_forget_weak(s);
  if (cell != 0) model_dec(object(cell));
}

/* The weak reference to an object was seen to be cleared: the library knows of the death. */
static inline void model_seen_dead(uint32_t number) {
  shadow* s = &m.all[number];
  if (is_queued(s)) final_is_known(&m.finals[s->final]);
  model_forget_weak(s);
  s->blurred = 0;
}

/* It is taken from the queue. False: another one was there before. */
static inline bool model_finalized(uint32_t number) {
  shadow* s = &m.all[number];
  final f = final_remove(s);
  s->state = FINALIZED;
  model_forget_weak(s);
  s->blurred = 0;
  bool in_order = m.last_due <= f.by;
  if (f.due > m.last_due) m.last_due = f.due;
  return in_order;
}

#endif
