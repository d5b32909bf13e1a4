/* rc_cycle_model_test.c: random programs that make and drop cycles, mostly in slices of one unit, against a model
** that marks. RC_CYCLE_SEED=N runs the one that failed. */
#include "rc/cycle.h"
#include "rc_tools.h"

#include <signal.h>

enum { SLOTS = 12, FIELDS_MOST = 4 };
typedef struct shadow shadow;
struct shadow {
  rc_object* o;
  rc_object* weak; /* or NULL */
  shadow* next;
  shadow* to[FIELDS_MOST];
  size_t n;
  int32_t refs;
  bool marked, cyclic;
  bool finalizes, finalized;
  bool was_dead;     /* a finalizer has saved it: its weak reference may be gone */
  bool holds_cyclic; /* not cyclic, but what it reaches is */
};
static shadow *slots[SLOTS], *all; /* each slot owns a reference */

/* Of a slot, or what it leads to; or NULL. */
static shadow* some(void) {
  shadow* s = slots[rnd(SLOTS)];
  for (size_t depth = rnd(5); depth > 0 && s != NULL && s->n > 0; depth--) {
    shadow* to = s->to[rnd(s->n)];
    if (to != NULL) s = to;
  }
  return s;
}

static void slot_set(size_t i, shadow* s) {
  shadow* old = slots[i];
  slots[i] = s;
  if (old != NULL) rc_dec(old->o);
}

static void mark(shadow* s, shadow** work, size_t* count) {
  s->refs++;
  if (s->marked) return;
  s->marked = true;
  work[(*count)++] = s;
}

static size_t mark_all(void) {
  size_t count = 0, reachable = 0;
  for (shadow* s = all; s != NULL; s = s->next) s->marked = false, s->refs = 0, count++;
  shadow** work = libc_array(count + 1, sizeof *work);
  count = 0;
  for (int i = 0; i < SLOTS; i++)
    if (slots[i] != NULL) mark(slots[i], work, &count);
  for (; count > 0; reachable++) {
    shadow* s = work[--count];
    for (size_t i = 0; i < s->n; i++)
      if (s->to[i] != NULL) mark(s->to[i], work, &count);
  }
  free(work);
  return reachable;
}

/* Nobody could reach it, but through another that a finalizer has saved; it happens once, and may change that. */
static void finalize(rc_object* o) {
  shadow* s = *(shadow**)(void*)rc_data(o);
  mark_all();
  require(s->o == o && (!s->marked || s->was_dead), "finalized while it is reachable");
  require(!s->finalized, "finalized again");
  s->finalized = true;
  if (rnd(2) == 0) return;
  rc_inc(o);
  slot_set(rnd(SLOTS), s);
  for (shadow* m = all; m != NULL; m = m->next) m->was_dead |= !m->marked;
}
static const rc_type words_type = {.name = "words", .words = 3, .bytes = 8};
static const rc_type finalizing_type = {
    .name = "finalizing", .words = 3, .bytes = 8, .finalize = finalize};

/* A usual object holds what is there before it, and does not change; a cyclic one holds none that leads to
** cyclic ones: so none is on a cycle. */
static bool may_hold(const shadow* s, const shadow* to) { return !s->cyclic || !to->holds_cyclic; }

static void make(size_t slot) {
  shadow* s = libc_array(1, sizeof *s);
  size_t kind = rnd(4);
  s->n = kind == 0 ? 3 : rnd(FIELDS_MOST + 1);
  s->cyclic = rnd(5) != 0;
  s->finalizes = kind == 0 && rnd(3) == 0;
  s->o = kind == 0   ? rc_typed(0, s->finalizes ? &finalizing_type : &words_type)
         : kind == 1 ? rc_array(0, s->n, RC_NIL)
                     : rc_alloc(0, s->n);
  require(s->o != NULL, "no memory for an object");
  if (kind == 0) *(shadow**)(void*)rc_data(s->o) = s;
  bool early = rnd(2) == 0;
  if (s->cyclic && early) rc_cyclic(s->o);
  for (size_t i = 0; i < s->n; i++) {
    s->to[i] = rnd(2) != 0 ? some() : NULL;
    if (s->to[i] != NULL && !may_hold(s, s->to[i])) s->to[i] = NULL;
    if (s->to[i] != NULL && !s->cyclic && (s->to[i]->cyclic || s->to[i]->holds_cyclic))
      s->holds_cyclic = true;
    if (s->to[i] != NULL) rc_inc(s->to[i]->o);
    rc_init(s->o, i, s->to[i] != NULL ? rc_from(s->to[i]->o) : RC_NIL);
  }
  if (s->cyclic && !early) rc_cyclic(s->o);
  s->next = all;
  all = s;
  slot_set(slot, s);
}

/* A reference is copied, or moved from a slot, into a field; what was there goes, or into a slot. */
static void change(shadow* s) {
  if (s == NULL || s->n == 0 || !s->cyclic) return;
  size_t i = rnd(s->n), slot = rnd(SLOTS);
  shadow *to = NULL, *old = s->to[i];
  if (rnd(3) == 0) {
    to = slots[slot];
    if (to != NULL && !may_hold(s, to)) return;
    slots[slot] = NULL;
  } else if (rnd(4) != 0) {
    to = some();
    if (to != NULL && !may_hold(s, to)) return;
    if (to != NULL) rc_inc(to->o);
  }
  s->to[i] = to;
  rc_word w = rc_exchange(s->o, i, to != NULL ? rc_from(to->o) : RC_NIL);
  require(w == (old != NULL ? rc_from(old->o) : RC_NIL), "the old word");
  if (old != NULL && rnd(2) == 0)
    slot_set(rnd(SLOTS), old);
  else
    rc_dec_word(w);
}

/* What is reachable upgrades. What is not may. */
static void weaken(size_t slot) {
  shadow* s = some();
  if (s != NULL && s->weak == NULL) s->weak = rc_weak(s->o);
  if (all == NULL || rnd(3) != 0) return;
  for (s = all; s != NULL && (s->weak == NULL || rnd(4) != 0);) s = s->next;
  rc_object* o = s != NULL ? rc_upgrade(s->weak) : NULL;
  if (o == NULL) return;
  require(o == s->o, "an upgrade to another object");
  slot_set(slot, s);
}

static void random_step(void) {
  size_t what = rnd(100), slot = rnd(SLOTS);
  if (what < 15) {
    make(slot);
  } else if (what < 55) {
    change(some());
  } else if (what < 65) {
    shadow* s = some();
    if (s != NULL) rc_inc(s->o), slot_set(slot, s);
  } else if (what < 85) {
    slot_set(slot, NULL);
  } else if (what < 92) {
    weaken(slot);
  } else if (what < 98) {
    rc_drain(rnd(20));
  } else {
    rc_poll(rnd(3));
  }
}

/* At any time: what can be reached is as it was left. */
static void check_reachable(void) {
  mark_all();
  for (shadow* s = all; s != NULL; s = s->next) {
    if (!s->marked) continue;
    require(rc_is_cyclic(s->o) == s->cyclic && rc_length(s->o) == s->n, "header");
    require(abs(s->o->count) >= s->refs, "count %d of %d references", s->o->count, s->refs);
    for (size_t i = 0; i < s->n; i++)
      require(rc_get(s->o, i) == (s->to[i] != NULL ? rc_from(s->to[i]->o) : RC_NIL), "field %zu",
              i);
    rc_object* o = s->weak != NULL ? s->weak : NULL;
    require(o == NULL || rc_count(o) > 0, "the weak reference");
  }
}

/* After a full collection, what can be reached and nothing else, with exact counts. */
static void check_exactly(void) {
  do rc_collect_cycles(SIZE_MAX);
  while (rc_poll(SIZE_MAX) > 0);
  require(rc_candidates() == 0 && rc_pending() == 0, "a full collection leaves %zu, %zu",
          rc_candidates(), rc_pending());
  size_t reachable = mark_all(), weak = 0;
  for (shadow** link = &all; *link != NULL;) {
    shadow* s = *link;
    rc_object* up = s->weak != NULL ? rc_upgrade(s->weak) : NULL;
    require(s->weak == NULL || (up != NULL) == s->marked || (s->marked && s->was_dead),
            "what upgrades");
    if (up != NULL) rc_dec(up);
    if (s->marked) {
      if (s->weak != NULL && up == NULL) rc_dec(s->weak), s->weak = NULL;
      weak += s->weak != NULL;
      s->was_dead = false;
      require(s->o->count == (s->cyclic ? -s->refs : s->refs), "count %d, %d references",
              s->o->count, s->refs);
      link = &s->next;
    } else {
      require(!s->finalizes || s->finalized, "it was not finalized");
      if (s->weak != NULL) rc_dec(s->weak);
      *link = s->next;
      free(s);
    }
  }
  require((size_t)counters().objects == reachable + weak, "%lld objects, %zu reachable, %zu weak",
          (long long)counters().objects, reachable, weak);
}

/* Rounds that take few candidates, of which a search has many, and that meet the sample. */
static void set_rounds(size_t members, size_t sample) {
  rc_cycles* c = state_of(tls.task)->cycles;
  if (c == NULL) return;
  c->members_least = members;
  c->sample = sample;
}

static void random_program(uint64_t start, int steps) {
  seed = start;
  rt_task* t = begin(NULL);
  size_t members = rnd(3) == 0 ? ROUND_LEAST : 1 + rnd(20), sample = 1 + rnd(8);
  size_t slice = rnd(4), often = 1 + rnd(40), full = 20 + rnd(200);
  for (int step = 1; step <= steps; step++) {
    random_step();
    set_rounds(members, sample);
    for (size_t i = rnd(4); i > 0; i--)
      rc_collect_cycles(slice < 2 ? 1 : slice == 2 ? rnd(5) : rnd(50));
    if (rnd(often) == 0) check_reachable();
    if (rnd(full) == 0) check_exactly();
  }
  do { /* finalizers may save some, once */
    for (size_t i = 0; i < SLOTS; i++) slot_set(i, NULL);
    check_exactly();
  } while (all != NULL);
  end_empty(t);
}

static uint64_t running;
static void say_seed(int sig) {
  (void)sig;
  fprintf(stderr, "rc_cycle_test: the random program with seed %llu failed\n",
          (unsigned long long)running);
  _exit(1);
}

static void test_random_programs(void** state) {
  (void)state;
  const char* only = getenv("RC_CYCLE_SEED");
  const int programs = MANY / 10000;
  void (*before)(int) = signal(SIGABRT, say_seed);
  for (int i = 0; i < programs; i++) {
    running = only != NULL ? strtoull(only, NULL, 10) : (uint64_t)i * 0x9e3779b97f4a7c15u + 1;
    random_program(running, 2000);
  }
  signal(SIGABRT, before);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_programs)};
  return cmocka_run_group_tests_name("rc cycle model", tests, NULL, NULL);
}
