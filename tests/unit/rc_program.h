/* rc_program.h: programs on counted objects as data, so that a random one that fails can be run
** again, made smaller and read. What their operations do is in rc_run.h.
**
** A program is a pacing and an array of operations on slots, each of which owns a reference or
** nothing. An operation means something whatever came before, so any may be left out: thus a
** failing program shrinks (rc_shrink.h). Each program draws which
** operations and sizes it has at all, which makes more of them extreme than if each had everything
** (swarm testing; Groce et al. 2012). Objects hold older ones only: there are no cycles. */
#ifndef RC_PROGRAM_H
#define RC_PROGRAM_H

#include "tests/unit/rc_shrink.h"

/* ---- Programs -------------------------------------------------------------------------------- */

enum { SLOTS = 16 };

/* Sizes are the words of a block, headers included. In the text {a} and {b} are slots; {k} a size;
** {n} a number, or what choices are made from. */
enum op_code {
  OP_FIELDS,
  OP_ARRAY,
  OP_BYTES,
  OP_DOUBLES,
  OP_CLOSURE,
  OP_RECORD,
  OP_TRACED,
  OP_LIST,
  OP_TREE,
  OP_ROW,
  OP_DAG,
  OP_CHAIN,
  OP_WATCH,
  OP_TRADE,
  OP_CHURN,
  OP_SHARE,
  OP_WALK,
  OP_STORE,
  OP_THIN,
  OP_DROP,
  OP_CLEAR,
  OP_DRAIN,
  OP_REUSE,
  OP_MOVE,
  OP_UNIQUE,
  OP_WEAK,
  OP_UPGRADE,
  OP_LOOK,
  OP_POLL,
  OP_COUNT
};

static const char* const op_text[OP_COUNT] = {
    [OP_FIELDS] = "s{a} = object of {k} words; fields by {n}",
    [OP_ARRAY] = "s{a} = array of {k} words; some of them by {n}",
    [OP_BYTES] = "s{a} = bytes in {k} words, less {n} mod 8",
    [OP_DOUBLES] = "s{a} = numbers in {k} words",
    [OP_CLOSURE] = "s{a} = closure in {k} words; captured by {n}",
    [OP_RECORD] = "s{a} = record of {k} words; type and words by {n}",
    [OP_TRACED] = "s{a} = {k} references in memory of its own; type and references by {n}",
    [OP_LIST] = "s{a} = {n} cells of {k} words in front of s{a}",
    [OP_TREE] = "s{a} = tree of {n} nodes of {k} words",
    [OP_ROW] = "s{a} = array of {n} arrays of {k} words",
    [OP_DAG] = "s{a} = array of {n} objects of {k} words that hold each other",
    [OP_CHAIN] = "s{a} = {n} records of {k} words with finalizers in front of s{a}",
    [OP_WATCH] = "s{b} = array of {n} weak references to what s{a} leads to",
    [OP_TRADE] = "{n} of s{a}[] = integers; after each a cell of {k} words in front of s{b}",
    [OP_CHURN] = "{n} objects of {k} words, each dropped at once",
    [OP_SHARE] = "s{a} = s{b}",
    [OP_WALK] = "s{a} = what s{b} leads to by {n}",
    [OP_STORE] = "s{a}[{n}] = s{b}",
    [OP_THIN] = "{n} of s{a}[] = integers, by {k}",
    [OP_DROP] = "s{a} = nothing",
    [OP_CLEAR] = "all slots = nothing",
    [OP_DRAIN] = "drain {n} units",
    [OP_REUSE] = "s{a} = object of {k} words in the memory of s{a}; fields by {n}",
    [OP_MOVE] = "s{a} = the fields of s{a}, turned round, in its memory",
    [OP_UNIQUE] = "s{a} = unique s{a}; [{n}] = an integer",
    [OP_WEAK] = "s{a} = weak reference to s{b}",
    [OP_UPGRADE] = "s{a} = what the weak reference s{b}, or s{b}[{n}], refers to",
    [OP_LOOK] = "look at weak references in s{b}[], from {n}",
    [OP_POLL] = "run {n} finalizers",
};

static inline void program_print(const program* p) { program_print_as(p, op_text); }

/* ---- The generator --------------------------------------------------------------------------- */

enum { OPS_MAX = 400, SIZES = 4, LARGEST = 1000002 };

/* What the operations of one program have in common. */
typedef struct style {
  uint64_t state, words; /* random; what it allocates */
  uint64_t weights[OP_COUNT], weight;
  uint32_t sizes[SIZES];
  uint64_t slots, size_count;
} style;

/* Where all sizes are those of classes, words that are counted are words that are held. */
static inline style style_draw(uint64_t number, uint64_t words) {
  style s = {.state = mix(number), .words = words};
  uint64_t large = words / 4 < LARGEST ? words / 4 : LARGEST;
  bool fits = rnd_from(&s.state, 2) != 0;
  s.slots = 1 + rnd_from(&s.state, SLOTS);
  s.size_count = 1 + rnd_from(&s.state, SIZES);
  for (uint64_t i = 0; i < s.size_count; i++) {
    uint64_t kind = rnd_from(&s.state, 10);
    size_t size = skewed(&s.state, kind < 5 ? 8 : kind < 7 ? 512 : large);
    s.sizes[i] = (uint32_t)(fits ? rounded(size) : size);
  }
  for (int code = 0; code < OP_COUNT; code++) {
    s.weights[code] = rnd_from(&s.state, 2) != 0 ? 1 + rnd_from(&s.state, 10) : 0;
    s.weight += s.weights[code];
  }
  return s;
}

static inline uint8_t code_draw(style* s) {
  uint64_t at = s->weight > 0 ? rnd_from(&s->state, s->weight) : 0;
  for (uint8_t code = 0; code < OP_COUNT; code++) {
    if (at < s->weights[code]) return code;
    at -= s->weights[code];
  }
  return OP_LIST;
}

static inline bool op_repeats(uint8_t code) { return code >= OP_LIST && code <= OP_CHURN; }

static inline uint64_t op_words(const op* o) {
  if (op_repeats(o->code)) return (uint64_t)o->n * o->k;
  return o->code < OP_LIST || o->code == OP_REUSE ? o->k : 1;
}

static inline op op_draw(style* s) {
  op o = {.code = code_draw(s)};
  o.a = (uint8_t)rnd_from(&s->state, s->slots);
  o.b = (uint8_t)rnd_from(&s->state, s->slots);
  o.k = s->sizes[rnd_from(&s->state, s->size_count)];
  o.n = (uint32_t)rnd_from(&s->state, 1 << 30);
  if (op_repeats(o.code)) o.n = (uint32_t)skewed(&s->state, s->words / 6 / o.k + 1);
  if (o.code == OP_DRAIN || o.code == OP_THIN) o.n = (uint32_t)skewed(&s->state, 20000);
  if (o.code == OP_POLL) o.n = (uint32_t)skewed(&s->state, 1000);
  return o;
}

static inline rc_pacing pacing_draw(uint64_t* state) {
  rc_pacing p = {2, QUANTUM, RC_DEBT_AUTO, rnd_from(state, 2) != 0};
  if (rnd_from(state, 4) == 0) return p;
  p.pace = 1 + (uint32_t)rnd_from(state, 8);
  if (rnd_from(state, 3) != 0) p.quantum = (uint32_t)skewed(state, QUANTUM);
  uint64_t kind = rnd_from(state, 4);
  if (kind == 0) p.debt_limit = 0;
  if (kind == 1) p.debt_limit = skewed(state, 100000);
  if (kind == 2) p.debt_limit = (uint64_t)1 << 60;
  return p;
}

/* Most are small; some have the room that debt and huge arrays need. */
static inline uint64_t words_draw(uint64_t number) {
  uint64_t state = mix(~number);
  unsigned bits = number % 100 == 0 ? 23 : number % 20 == 0 ? 20 : number % 5 == 0 ? 17 : 15;
  return (uint64_t)1 << (bits - rnd_from(&state, 4));
}

static inline program program_draw(uint64_t number) {
  style s = style_draw(number, words_draw(number));
  program p = {.pacing = pacing_draw(&s.state), .ops = libc_array(OPS_MAX, sizeof(op))};
  uint64_t words = 0, most = skewed(&s.state, OPS_MAX);
  while (p.count < most && words <= s.words) {
    op o = op_draw(&s);
    words += op_words(&o);
    p.ops[p.count++] = o;
  }
  return p;
}

#endif
