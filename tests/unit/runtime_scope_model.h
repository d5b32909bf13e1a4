/* runtime_scope_model.h: what limits mean, told in the plainest way: each scope has what it has
** left, and each event changes that of all scopes, one after the other. Random programs of
** runtime_scope_test.c are held against it. */
#ifndef RUNTIME_SCOPE_MODEL_H
#define RUNTIME_SCOPE_MODEL_H

#include "rc_tools.h"

#define NO INT64_MAX /* no limit */
enum { LEVELS = 8, ASKED = 64, EXTENSIONS = 512, PERIOD = 100 };

typedef struct model_scope {
  const char* name;
  int64_t left[RT_CANCELLED]; /* by kind of limit */
  int64_t depth;
  uint64_t number;
  rt_limit mark;
} model_scope;

typedef struct model {
  model_scope scope[LEVELS];
  int inner; /* index of the innermost */
  int64_t ticks, held, peak, depth, grace, grace_end, extended, children_ticks;
  uint64_t begun;
  bool cancelled;
  uint64_t calls;  /* that may be a safepoint */
  uint64_t random; /* decides what is extended */
  bool extends;
  /* What the host is to be asked by the next call, with its answers; and all that it decided. */
  struct {
    rt_limit limit;
    const char* scope;
    uint64_t amount;
  } asked[ASKED];
  unsigned asks;
  rt_extension log[EXTENSIONS];
  unsigned logged;
} model;

static bool model_has_expired(const model* m) {
  for (int i = 0; i <= m->inner; i++)
    if (m->scope[i].mark != RT_NONE) return true;
  return false;
}

/* Of the scopes around all that ran out, the innermost; -1: none. */
static int model_watched(const model* m) {
  for (int i = 0; i <= m->inner; i++)
    if (m->scope[i].mark != RT_NONE) return i - 1;
  return m->inner;
}

static const model_scope* model_why(const model* m) {
  for (int i = m->inner; i >= 0; i--)
    if (m->scope[i].mark != RT_NONE) return &m->scope[i];
  return NULL;
}

static int64_t model_least(const model* m, rt_limit limit) {
  int64_t least = NO;
  for (int i = 0; i <= m->inner; i++)
    if (m->scope[i].left[limit] < least) least = m->scope[i].left[limit];
  return least;
}

static int64_t model_left(const model* m, rt_limit limit) {
  int64_t left = model_least(m, limit);
  if (limit != RT_DEPTH && model_has_expired(m)) return 0;
  return left > 0 ? left : 0;
}

static void model_spend(model* m, rt_limit limit, int64_t n) {
  for (int i = 0; i <= m->inner; i++)
    if (m->scope[i].left[limit] != NO) m->scope[i].left[limit] -= n;
}

static void model_mark(model* m, int i, rt_limit why) {
  int64_t left = model_least(m, RT_MEMORY);
  if (!model_has_expired(m)) {
    m->grace_end = m->held + m->grace;
    if (why == RT_MEMORY && left > 0 && left != NO) m->grace_end += left;
  }
  m->scope[i].mark = why;
}

/* The host extends by an amount, or, without one, ends a scope. */
static void model_log(model* m, int i, uint64_t amount, rt_limit limit) {
  m->log[m->logged++] =
      (rt_extension){(uint64_t)m->ticks, amount, m->scope[i].number, limit, m->calls};
}

/* The host extends, or it does not. */
static bool model_extend(model* m, int i, rt_limit limit) {
  if (!m->extends) return false;
  uint64_t amount =
      rnd_from(&m->random, 3) == 0 ? 0 : 1 + rnd_from(&m->random, limit == RT_MEMORY ? 4000 : 300);
  if (m->logged > EXTENSIONS - 20 || m->asks == ASKED - 1) amount = 0;
  m->asked[m->asks].limit = limit;
  m->asked[m->asks].scope = m->scope[i].name;
  m->asked[m->asks++].amount = amount;
  if (amount == 0) return false;
  model_log(m, i, amount, limit);
  m->scope[i].left[limit] += (int64_t)amount;
  if (i == 0 && limit == RT_HEARTBEATS) m->extended += (int64_t)amount;
  return true;
}

/* Whoever has less than n left of it runs out, from the innermost on. */
static int model_short_of(const model* m, rt_limit limit, int64_t n) {
  for (int i = model_watched(m); i >= 0; i--)
    if (m->scope[i].left[limit] < n) return i;
  return -1;
}

static void model_stop(model* m, int i, rt_limit why) {
  model_log(m, i, 0, why);
  model_mark(m, i, why);
}

static void model_see_cancel(model* m) {
  if (m->cancelled && m->scope[0].mark == RT_NONE) model_stop(m, 0, RT_CANCELLED);
}

static void model_poll(model* m) {
  m->calls++;
  model_see_cancel(m);
}

static void model_charge(model* m, int64_t n) {
  int64_t beats = m->ticks / PERIOD;
  if (n == 0) return;
  m->ticks += n;
  model_spend(m, RT_HEARTBEATS, n);
  if (m->ticks / PERIOD > beats) model_see_cancel(m);
  for (int i; (i = model_short_of(m, RT_HEARTBEATS, 1)) >= 0;)
    if (!model_extend(m, i, RT_HEARTBEATS)) model_mark(m, i, RT_HEARTBEATS);
}

static bool model_alloc(model* m, int64_t n) {
  model_charge(m, 1 + n / 1024);
  for (int i; !model_has_expired(m) && (i = model_short_of(m, RT_MEMORY, n)) >= 0;)
    if (!model_extend(m, i, RT_MEMORY)) model_mark(m, i, RT_MEMORY);
  if (model_has_expired(m) && m->held + n > m->grace_end) return false;
  model_spend(m, RT_MEMORY, n);
  m->held += n;
  if (m->held > m->peak) m->peak = m->held;
  return true;
}

static void model_free(model* m, int64_t n) {
  m->held -= n;
  model_spend(m, RT_MEMORY, -n);
}

static void model_expire(model* m, rt_limit why) {
  int64_t least = why < RT_CANCELLED ? model_least(m, why) : NO;
  int i = m->inner;
  while (i > 0 && (least == NO || m->scope[i].left[why] > least)) i--;
  if (!model_has_expired(m)) {
    bool asks = least != NO && why != RT_DEPTH;
    m->calls++;
    if (!asks || !model_extend(m, i, why)) model_stop(m, i, why);
  }
}

static void model_begin(model* m, const rt_limits* l) {
  model_scope* s = &m->scope[++m->inner];
  int64_t ticks = l->ticks != 0 ? (int64_t)l->ticks : NO, beats = (int64_t)l->heartbeats * PERIOD;
  if (l->heartbeats != 0 && beats < ticks) ticks = beats;
  *s = (model_scope){.name = l->name, .depth = m->depth, .number = ++m->begun};
  s->left[RT_HEARTBEATS] = ticks;
  s->left[RT_MEMORY] = l->bytes != 0 ? (int64_t)l->bytes : NO;
  s->left[RT_DEPTH] = l->depth != 0 ? (int64_t)l->depth : NO;
}

/* Scopes from that one on end at once. */
static void model_end(model* m, int i) {
  model_spend(m, RT_DEPTH, m->scope[i].depth - m->depth);
  m->depth = m->scope[i].depth;
  m->inner = i - 1;
  model_poll(m);
}

static bool model_descend(model* m) {
  if (model_least(m, RT_DEPTH) <= 0) return false;
  m->depth++;
  model_spend(m, RT_DEPTH, 1);
  return true;
}

/* ---- Children -------------------------------------------------------------------------------- */

/* What a child was given of each kind (NO: nothing was taken for it), and by which scopes. */
typedef struct model_gift {
  int64_t taken[RT_CANCELLED];
  uint64_t from[LEVELS];
  int count;
} model_gift;

static void model_give(model* m, model* child, model_gift* gift, rt_limit limit) {
  int64_t left = model_left(m, limit);
  if (model_least(m, limit) == NO && !model_has_expired(m)) left = NO;
  if (left < child->scope[0].left[limit]) child->scope[0].left[limit] = left;
  gift->taken[limit] = left != NO ? child->scope[0].left[limit] : NO;
  if (left != NO) model_spend(m, limit, child->scope[0].left[limit]);
}

static void model_new_child(model* m, model* child, model_gift* gift) {
  int64_t depth = model_left(m, RT_DEPTH);
  gift->count = m->inner + 1;
  for (int i = 0; i < gift->count; i++) gift->from[i] = m->scope[i].number;
  model_give(m, child, gift, RT_HEARTBEATS);
  model_give(m, child, gift, RT_MEMORY);
  if (depth < child->scope[0].left[RT_DEPTH]) child->scope[0].left[RT_DEPTH] = depth;
  m->children_ticks += gift->taken[RT_HEARTBEATS] != NO ? gift->taken[RT_HEARTBEATS] : 0;
}

static void model_return(model* m, const model_gift* gift, rt_limit limit, int64_t amount) {
  if (gift->taken[limit] == NO) return;
  for (int i = 0; i < gift->count && i <= m->inner; i++) {
    int64_t* left = &m->scope[i].left[limit];
    if (m->scope[i].number != gift->from[i] || *left == NO) continue;
    *left += amount;
  }
}

static int64_t model_used(const model* m) { return m->ticks + m->children_ticks; }

static void model_join(model* m, const model* child, const model_gift* gift) {
  int64_t taken = gift->taken[RT_HEARTBEATS], used = model_used(child), back = 0;
  if (taken != NO && used < taken) back = taken - used;
  if (taken != NO && used > taken + child->extended) back = taken + child->extended - used;
  model_return(m, gift, RT_HEARTBEATS, back);
  model_return(m, gift, RT_MEMORY, gift->taken[RT_MEMORY]);
  m->children_ticks += used - (taken != NO ? taken : 0);
}

#endif
