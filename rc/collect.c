/* collect.c: the rounds of cycle collection, in slices of any size. See cycle.c for what makes them right.
**
** Cost of a round: a member of w words is at most 2 w + 4 units. */
#include "rc/cycle.h"

/* ---- Phases: each does up to `units`, at least 1, on the first of its list; 0: the list is empty ---- */

typedef size_t(phase_fun)(rc_cycles* c, mi_task_t* task, size_t units);

/* Looks at fields of a member, and when all were moves it on. */
typedef void(edge_fun)(rc_cycles* c, rc_object* child);
static size_t scan(rc_cycles* c, enum place from, enum place to, edge_fun* edge, size_t units) {
  note* n = note_first(c, from);
  if (n == NULL) return 0;
  if (c->at != n) c->field = 0;
  c->at = n;
  rc_object* o = note_object(n);
  size_t fields = object_fields(o, rc_kind(o)), spent = 0;
  for (; c->field < fields && spent < units; spent++) {
    rc_word w = object_words(o)[c->field++];
    if (rc_is_object(w) && rc_is_cyclic(rc_to(w))) edge(c, rc_to(w));
  }
  if (spent == units) return spent;
  note_move(c, n, to);
  return spent + 1;
}

static note* member_new(rc_cycles* c, rc_object* o) {
  c->met += (o->kind & KIND_SAMPLE) != 0;
  cyclic_forget(o);
  note* n = note_new(c, o, NOTE_REACHED, KIND_MEMBER);
  if (n == NULL) c->failed = true;
  return n;
}

/* One that became a candidate in this round may have died in it, with members that were touched before. */
static note* member_of_candidate(rc_cycles* c, rc_object* o, bool root) {
  note* n = note_find(c, o);
  n->again = n->shadow == c->round;
  n->root = root || !n->again;
  o->kind ^= KIND_CANDIDATE | KIND_MEMBER;
  note_move(c, n, NOTE_REACHED);
  c->candidates--;
  return n;
}

static note* member_make(rc_cycles* c, rc_object* o, bool root) {
  bool candidate = (o->kind & KIND_CANDIDATE) != 0;
  note* n = candidate ? member_of_candidate(c, o, root) : member_new(c, o);
  if (n != NULL) n->shadow = (uint32_t)-o->count;
  c->members++;
  return n;
}

static void edge_reached(rc_cycles* c, rc_object* child) {
  note* n = (child->kind & KIND_MEMBER) != 0 ? note_find(c, child) : member_make(c, child, false);
  if (n != NULL) n->shadow--;
}

/* Candidates are in the order of the rounds in which they became such. */
static note* next_root(rc_cycles* c) {
  note* n = note_first(c, NOTE_ROOT);
  return n != NULL && (int32_t)(n->shadow - c->search) < 0 ? n : NULL;
}

static bool is_last_round(rc_cycles* c) { return c->failed || next_root(c) == NULL; }

static size_t gather(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)task;
  size_t spent = scan(c, NOTE_REACHED, NOTE_SCANNED, edge_reached, units);
  const note* n = spent == 0 && c->members < c->members_most ? next_root(c) : NULL;
  if (n == NULL) return spent;
  member_make(c, note_object(n), true);
  return 1;
}

static size_t sort(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)task;
  size_t spent = 0;
  for (note* n; spent < units && (n = note_first(c, NOTE_SCANNED)) != NULL; spent++)
    note_move(c, n, n->shadow != 0 ? NOTE_LIVE : NOTE_SUSPECT);
  return spent;
}

static void edge_lives(rc_cycles* c, rc_object* child) {
  note* n = (child->kind & KIND_MEMBER) != 0 ? note_find(c, child) : NULL;
  if (n != NULL && (n->place == NOTE_SUSPECT || n->place == NOTE_CONDEMNED))
    note_move(c, n, NOTE_LIVE);
}

static size_t spread(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)task;
  return scan(c, NOTE_LIVE, NOTE_LIVE_DONE, edge_lives, units);
}

/* All at once are dead when this begins, so all lose their weak references. */
static size_t condemn(rc_cycles* c, mi_task_t* task, size_t units) {
  sink_t to = {.task = task};
  size_t spent = 0;
  for (note* n; spent < units && (n = note_first(c, NOTE_SUSPECT)) != NULL; spent++) {
    weak_end(&to, note_object(n));
    if (n->touched)
      note_move(c, n, NOTE_LIVE);
    else
      note_move(c, n, finalizer_is_due(note_object(n)) ? NOTE_FINAL : NOTE_CONDEMNED);
  }
  return spent;
}

/* The queue's reference makes an object live. */
static size_t queue(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)units;
  const note* n = note_first(c, NOTE_FINAL);
  if (n == NULL) return 0;
  sink_t to = {.task = task};
  (void)object_ends(&to, note_object(n), false);
  assert(n->place == NOTE_LIVE);
  return 1;
}

/* It must not die while it is at work: a reference is held from the first field to the last. */
static size_t take_apart(rc_cycles* c, mi_task_t* task, size_t units) {
  note* n = note_first(c, NOTE_CONDEMNED);
  if (n == NULL) return 0;
  rc_object* o = note_object(n);
  if (c->at != n) {
    c->at = n;
    c->field = 0;
    o->count--;
  }
  sink_t to = {.task = task};
  size_t fields = object_fields(o, rc_kind(o)), spent = 0;
  for (; c->field < fields && spent < units; spent++) {
    rc_word w = object_words(o)[c->field];
    object_words(o)[c->field++] = RC_NIL;
    if (rc_is_object(w)) child_dec(&to, rc_to(w));
  }
  if (spent == units) return spent;
  note_move(c, n, NOTE_EMPTIED);
  child_dec(&to, o);
  return spent + 1;
}

static void candidate_again(rc_cycles* c, note* n) {
  n->shadow = c->round;
  n->root = n->again = n->touched = false;
  note_object(n)->kind ^= KIND_CANDIDATE | KIND_MEMBER;
  note_move(c, n, NOTE_ROOT);
  c->candidates++;
}

static void sample_add(rc_cycles* c, note* n) {
  note_object(n)->kind ^= KIND_SAMPLE | KIND_MEMBER;
  note_move(c, n, NOTE_SAMPLE);
}

static void forget_member(rc_cycles* c, note* n) {
  if (n->again || (n->root && c->failed))
    candidate_again(c, n);
  else if (n->place != NOTE_EMPTIED && c->live % c->sample == 0)
    sample_add(c, n);
  else
    note_drop(c, n);
}

static void count_live(rc_cycles* c, const note* n) {
  if (n->place == NOTE_EMPTIED) return;
  c->live++;
  c->in_vain += object_fields(note_object(n), rc_kind(note_object(n)));
}

/* The sample goes with the last round. */
static size_t forget(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)task, (void)units;
  for (int place = NOTE_SAMPLE + 1; place < NOTE_PLACES; place++) {
    note* n = note_first(c, (enum place)place);
    if (n == NULL) continue;
    count_live(c, n);
    forget_member(c, n);
    return 1;
  }
  note* n = is_last_round(c) ? note_first(c, NOTE_SAMPLE) : NULL;
  if (n == NULL) return 0;
  note_drop(c, n);
  return 1;
}

/* ---- Rounds ------------------------------------------------------------------------------------ */

static void search_begin(rc_cycles* c) {
  c->searching = true;
  c->search = c->round;
  c->members_most = c->members_least;
  c->live = c->in_vain = 0;
}

static void round_begin(rc_cycles* c) {
  c->round++;
  if (!c->searching) search_begin(c);
  c->members = c->met = 0;
  c->due = c->failed = false;
  c->phase = CYCLE_GATHER;
}

/* When the last search's garbage is gone: the next one is due when the task holds more than now by as much as was
** looked at in vain. */
void cycles_drained(mi_task_t* task) {
  enum { LEAST = 1 << 20 };
  rc_cycles* c = state_of(task)->cycles;
  if (c != NULL && c->phase == CYCLE_IDLE && c->bytes_most == SIZE_MAX)
    c->bytes_most = task_bytes(task) + LEAST + WORD * c->in_vain;
}

/* Or when there are so many candidates that looking at all this again costs each of them little. */
static void search_end(rc_cycles* c, mi_task_t* task) {
  size_t most = 2 * c->live;
  if (c->failed && most < 2 * c->candidates) most = 2 * c->candidates;
  c->searching = false;
  c->candidates_most = most < CANDIDATES_LEAST ? CANDIDATES_LEAST : most;
  c->due = c->candidates > c->candidates_most;
  c->bytes_most = SIZE_MAX;
  if (state_of(task)->pending == 0) cycles_drained(task);
}

/* Where less than half of the members were looked at before, a search looks at each twice; where it is more,
** rounds grow so that all of them look at no more than 4/3 of what the last does. */
static void round_end(rc_cycles* c, mi_task_t* task) {
  enum { GROWTH = 4 };
  c->phase = CYCLE_IDLE;
  if (2 * c->sample * c->met > c->members && c->members_most < GROWTH * c->members)
    c->members_most = GROWTH * c->members;
  c->due = !is_last_round(c);
  if (!c->due) search_end(c, task);
}

/* Spends up to `units` in one round; it is begun if it is due, or in any case if there are candidates. */
static size_t cycles_step(rc_cycles* c, mi_task_t* task, size_t units, bool any) {
  static phase_fun* const work[CYCLE_PHASES] = {
      [CYCLE_GATHER] = gather,   [CYCLE_SORT] = sort,     [CYCLE_SPREAD] = spread,
      [CYCLE_CONDEMN] = condemn, [CYCLE_QUEUE] = queue,   [CYCLE_SPARE] = spread,
      [CYCLE_KILL] = take_apart, [CYCLE_FORGET] = forget,
  };
  size_t spent = 0;
  if (c->phase == CYCLE_IDLE && !c->due && !(any && c->candidates > 0)) return 0;
  if (c->phase == CYCLE_IDLE) round_begin(c);
  while (spent < units && c->phase != CYCLE_IDLE) {
    size_t n = work[c->phase](c, task, units - spent);
    spent += n;
    if (n == 0 && c->phase == CYCLE_FORGET)
      round_end(c, task);
    else if (n == 0)
      c->phase++;
  }
  return spent;
}

/* What a refill may spend: as for the task's dead objects, large requests owe what is above REQUEST_UNITS. */
static size_t pay(const rc_state* s, size_t words) {
  rc_cycles* c = s->cycles;
  size_t price = CYCLE_PACE * words, most = price < REQUEST_UNITS ? price : REQUEST_UNITS;
  c->purse += price;
  if (words > QUANTUM_WORDS && c->purse > debt_limit(s)) return (size_t)c->purse;
  if (most < QUANTUM_UNITS) most = QUANTUM_UNITS;
  return most < c->purse ? most : (size_t)c->purse;
}

void cycles_pay(mi_task_t* task, size_t words) {
  rc_state* s = state_of(task);
  rc_cycles* c = s->cycles;
  size_t spent = cycles_step(c, task, pay(s, words), false);
  c->purse = cycles_wait(s) ? c->purse - spent : 0;
  task->units += spent;
  uint64_t* record = &s->counted.cycle_units_max;
  if (words <= CYCLE_QUANTUM && spent > *record) *record = spent;
}

/* A round is in progress, or can be begun; not after one that failed in the same call. */
static bool has_work(const rc_cycles* c, size_t spent) {
  if (c == NULL || c->phase != CYCLE_IDLE) return c != NULL;
  return c->candidates > 0 && !(c->failed && spent > 0);
}

/* What dies is drained, before the next round and since it may hold what becomes a candidate. */
size_t cycles_collect(mi_task_t* task, size_t units) {
  size_t spent = 0, on_cycles = 0;
  for (bool works = true; works && spent < units;) {
    const rc_cycles* before = state_of(task)->cycles;
    bool in_round = before != NULL && before->phase != CYCLE_IDLE;
    size_t n = in_round ? 0 : drain_dead(task, 0, units - spent);
    rc_cycles* c = state_of(task)->cycles;
    spent += n;
    works = spent < units && has_work(c, on_cycles);
    size_t on_round = works ? cycles_step(c, task, units - spent, true) : 0;
    spent += on_round;
    on_cycles += on_round;
    works = works || n > 0;
  }
  drain_hook_update(task);
  return spent;
}

size_t rc_collect_cycles(size_t units) {
  mi_task_t* task = task_self();
  if (task == NULL) return 0;
  size_t spent = cycles_collect(task, units);
  task->units += spent;
  return spent;
}

/* Nothing is kept but what is needed. */
void cycles_force(mi_task_t* task) {
  task->units += cycles_collect(task, SIZE_MAX);
  const rc_cycles* c = state_of(task)->cycles;
  if (c->phase == CYCLE_IDLE && c->candidates == 0) cycles_end(task, true);
}
