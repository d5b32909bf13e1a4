/* cycle.c: dead cycles are found by trial deletion, in slices between which the program goes on.
**
** After Bacon and Rajan, "Concurrent Cycle Collection in Reference Counted Systems" (ECOOP 2001), for one thread
** that is interrupted at any unit. A candidate is an object whose reference was dropped, or moved into
** another object, while others were left: a cycle that died has had one since it last was alive. A collection makes
** the candidates there are, and all cyclic objects that they reach, members. At the first visit `shadow` is the
** member's count; each reference that is found in a member's field lowers its shadow. Who touches a member
** meanwhile (counts a reference up or down, replaces one of its fields, or moves a reference to it out of a
** member's field) makes it live. So are, in the end, members with a shadow above 0, and what live members reach.
**
** The rest is dead, and stays so: the shadow of a member that nobody touched tells how many of its
** references are not in fields that were scanned; it is 0, its count has not changed, and none of those in
** fields was moved out. A member that has such a field and is not dead would have made it live. (One that died meanwhile may
** have the field until it is released: nobody reaches that, and the decrement comes.)
**
** Dead members have their fields released one by one, and so die as others do. Those with a finalizer are queued
** before, and are alive with all that they reach.
**
** Cost: each member is looked at up to 4 times, each of its fields up to 3 times; nothing recurses. */
#include "rc/internal.h"

/* Where a note is. The program's touch moves a member from the places between ROOTS and LIVE to LIVE; from CONDEMNED only
** until the first of them is killed. Each place is a list. A note's object has KIND_CANDIDATE or KIND_MEMBER set. */
enum place {
  ROOTS,     /* candidates, not members */
  REACHED,   /* not scanned yet */
  SCANNED,   /* what they hold was reached, too */
  SUSPECT,   /* all was scanned, and the shadow is 0 */
  LIVE,      /* what they hold is to be made live, too */
  LIVE_DONE, /* it was */
  CONDEMNED, /* dead, without weak references, and finalized */
  EMPTIED,   /* their fields were released */
  PLACES
};

typedef struct note {
  table_node node; /* key: the object */
  struct note *next, *prev;
  uint32_t shadow; /* a candidate: the round in which it became one */
  uint8_t place;
  bool root;  /* was a candidate when the round began */
  bool again; /* may have died since: a candidate when the round ends */
} note;

/* Each phase works on the first of a list until the list is empty, then the next one begins. */
enum phase { IDLE, GATHER, SORT, SPREAD, CONDEMN, SPARE, KILL, FORGET, PHASES };

struct rc_cycles {
  rc_table table;
  struct {
    note *first, *last;
  } list[PLACES];
  note* at;     /* whose fields are being looked at, or NULL */
  size_t field; /* the next one of it */
  size_t candidates, live;
  size_t threshold; /* candidates beyond which refills begin a round */
  uint64_t purse;   /* units that refills may spend */
  uint32_t round;
  uint8_t phase;
  bool failed; /* for lack of memory, or of time: its roots become candidates again */
};

enum { THRESHOLD_LEAST = 1000 };

static rc_object* object_of(const note* n) { return (rc_object*)(uintptr_t)n->node.key; }

/* ---- Notes ------------------------------------------------------------------------------------- */

static void list_append(rc_cycles* c, note* n, enum place place) {
  n->place = (uint8_t)place;
  n->next = NULL;
  n->prev = c->list[place].last;
  if (n->prev != NULL)
    n->prev->next = n;
  else
    c->list[place].first = n;
  c->list[place].last = n;
  c->candidates += place == ROOTS;
}

static void list_remove(rc_cycles* c, note* n) {
  if (n->prev != NULL)
    n->prev->next = n->next;
  else
    c->list[n->place].first = n->next;
  if (n->next != NULL)
    n->next->prev = n->prev;
  else
    c->list[n->place].last = n->prev;
  c->candidates -= n->place == ROOTS;
  if (c->at == n) c->at = NULL;
}

static void move(rc_cycles* c, note* n, enum place to) {
  list_remove(c, n);
  list_append(c, n, to);
}

static note* note_find(rc_cycles* c, const rc_object* o) {
  return (note*)(void*)table_find(&c->table, o);
}

/* Called in the midst of anything, so no callback may run. NULL: no memory. */
static note* note_new(rc_cycles* c, rc_object* o, enum place place, unsigned flag) {
  mi_task_t* task = tls.task;
  int error = errno;
  bool hushed = task_hush(task);
  mi_heap_t* heap = heap_of_thread();
  note* n = heap != NULL ? heap_alloc(heap, sizeof *n, true) : NULL;
  if (n != NULL) {
    n->node.key = o;
    table_add(&c->table, &n->node, heap);
    list_append(c, n, place);
    o->kind |= (uint8_t)flag;
  }
  if (hushed) task_unhush(task);
  errno = error;
  return n;
}

static void note_drop(rc_cycles* c, note* n) {
  object_of(n)->kind &= (uint8_t) ~(KIND_CANDIDATE | KIND_MEMBER);
  list_remove(c, n);
  table_remove(&c->table, n->node.key);
  mi_free(n);
}

/* ---- What the program does meanwhile ----------------------------------------------------------- */

static rc_cycles* cycles_here(void) {
  mi_task_t* task = task_here();
  return task != NULL ? state_of(task)->cycles : NULL;
}

/* Its notes are not in the task's memory: a limit that is hit must not keep them from being made. */
static rc_cycles* cycles_make(mi_task_t* task) {
  rc_state* s = state_of(task);
  if (s->cycles != NULL) return s->cycles;
  int error = errno;
  bool hushed = task_hush(task);
  mi_heap_t* heap = heap_of_thread();
  s->cycles = heap != NULL ? heap_alloc(heap, sizeof *s->cycles, true) : NULL;
  if (hushed) task_unhush(task);
  errno = error;
  if (s->cycles == NULL) return NULL;
  s->cycles->threshold = THRESHOLD_LEAST;
  task->on_delete = cycles_end;
  return s->cycles;
}

bool cycles_wait(const rc_state* s) {
  const rc_cycles* c = s->cycles;
  return c != NULL && (c->phase != IDLE || c->candidates > c->threshold);
}

static void candidate_add(rc_object* o) {
  mi_task_t* task = task_here();
  rc_cycles* c = task != NULL ? cycles_make(task) : NULL;
  note* n = c != NULL ? note_new(c, o, ROOTS, KIND_CANDIDATE) : NULL;
  if (n == NULL) return;
  n->shadow = c->round;
  if (c->phase == IDLE && c->candidates == c->threshold + 1) drain_hook_update(task);
}

/* `again`: it may be that it just died. */
static void member_touch(rc_object* o, bool again) {
  rc_cycles* c = cycles_here();
  note* n = c != NULL ? note_find(c, o) : NULL;
  if (n == NULL) return;
  n->again |= again;
  if ((n->place > ROOTS && n->place < LIVE) || (n->place == CONDEMNED && c->phase < KILL))
    move(c, n, LIVE);
}

void cyclic_touch(rc_object* o) {
  if ((o->kind & KIND_MEMBER) != 0) member_touch(o, false);
}

/* Members that it reaches may have been touched in this round: the next one is its own. */
static void candidate_defer(rc_object* o) {
  rc_cycles* c = cycles_here();
  note* n = c != NULL && c->phase == GATHER ? note_find(c, o) : NULL;
  if (n == NULL) return;
  n->shadow = c->round;
  move(c, n, ROOTS);
}

static void cyclic_may_die(rc_object* o) {
  if ((o->kind & KIND_MEMBER) != 0)
    member_touch(o, true);
  else if ((o->kind & KIND_CANDIDATE) != 0)
    candidate_defer(o);
  else
    candidate_add(o);
}

void cyclic_inc(rc_object* o) {
  if (o->count > RC_STICKY_BOTH) o->count--;
  cyclic_touch(o);
}

bool cyclic_dec(rc_object* o) {
  if (o->count <= RC_STICKY) return false;
  if (++o->count == 0) return true;
  cyclic_may_die(o);
  return false;
}

bool cyclic_is_condemned(const rc_object* o) {
  if ((o->kind & KIND_MEMBER) == 0) return false;
  rc_cycles* c = cycles_here();
  const note* n = c != NULL ? note_find(c, o) : NULL;
  if (n == NULL || c->phase < CONDEMN || c->phase > KILL) return false;
  return n->place == SUSPECT || n->place == CONDEMNED || n->place == EMPTIED;
}

void cyclic_forget(rc_object* o) {
  rc_cycles* c = (o->kind & (KIND_CANDIDATE | KIND_MEMBER)) != 0 ? cycles_here() : NULL;
  note* n = c != NULL ? note_find(c, o) : NULL;
  if (n != NULL) note_drop(c, n);
}

/* What it holds was counted off the shadows of members: nothing is decided by them. */
void cyclic_share(rc_object* o) {
  rc_cycles* c = (o->kind & KIND_MEMBER) != 0 ? cycles_here() : NULL;
  cyclic_forget(o);
  o->kind &= (uint8_t)~KIND_CYCLIC;
  if (c == NULL || c->phase >= KILL) return;
  c->failed = true;
  c->phase = FORGET;
}

void cyclic_unshare(rc_object* o) {
  o->kind |= KIND_CYCLIC;
  cyclic_may_die(o);
}

void rc_cyclic(rc_object* o) {
  assert(rc_count(o) == 1);
  unsigned kind = rc_kind(o);
  if (rc_count(o) != 1 || kind == RC_BYTES) return;
  if (kind == RC_TYPED && typed_as(o)->trace != NULL) return;
  o->count = -1;
  o->kind |= KIND_CYCLIC;
}

/* The reference that is stored may have been the last from outside of a cycle. */
rc_word rc_exchange(rc_object* o, size_t i, rc_word w) {
  assert(i < rc_length(o) && w != 0);
  rc_word old = object_words(o)[i];
  object_words(o)[i] = w;
  if (!rc_is_cyclic(o)) return old;
  cyclic_touch(o);
  if (rc_is_object(old) && rc_is_cyclic(rc_to(old))) cyclic_touch(rc_to(old));
  if (rc_is_object(w) && rc_is_cyclic(rc_to(w))) cyclic_may_die(rc_to(w));
  return old;
}

/* ---- Phases: each does up to `units`, at least 1, on the first of its list; 0: the list is empty ---- */

typedef size_t(phase_fun)(rc_cycles* c, mi_task_t* task, size_t units);

/* Looks at fields of a member, and when all were moves it on. */
typedef void(edge_fun)(rc_cycles* c, rc_object* child);
static size_t scan(rc_cycles* c, enum place from, enum place to, edge_fun* edge, size_t units) {
  note* n = c->list[from].first;
  if (n == NULL) return 0;
  if (c->at != n) c->field = 0;
  c->at = n;
  rc_object* o = object_of(n);
  size_t fields = object_fields(o, rc_kind(o)), spent = 0;
  for (; c->field < fields && spent < units; spent++) {
    rc_word w = object_words(o)[c->field++];
    if (rc_is_object(w) && rc_is_cyclic(rc_to(w))) edge(c, rc_to(w));
  }
  if (spent == units) return spent;
  move(c, n, to);
  return spent + 1;
}

/* One that became a candidate in this round may have died in it, with members that were touched before. */
static note* member_make(rc_cycles* c, rc_object* o, bool root) {
  if ((o->kind & KIND_CANDIDATE) == 0) {
    note* n = note_new(c, o, REACHED, KIND_MEMBER);
    if (n == NULL) c->failed = true;
    if (n != NULL) n->shadow = (uint32_t)-o->count;
    return n;
  }
  note* n = note_find(c, o);
  n->again = n->shadow == c->round;
  n->root = root || !n->again;
  n->shadow = (uint32_t)-o->count;
  o->kind ^= KIND_CANDIDATE | KIND_MEMBER;
  move(c, n, REACHED);
  return n;
}

static void edge_reached(rc_cycles* c, rc_object* child) {
  note* n = (child->kind & KIND_MEMBER) != 0 ? note_find(c, child) : member_make(c, child, false);
  if (n != NULL) n->shadow--;
}

static size_t gather(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)task;
  size_t spent = scan(c, REACHED, SCANNED, edge_reached, units);
  const note* n = c->list[ROOTS].first;
  if (spent > 0 || n == NULL || n->shadow == c->round) return spent;
  member_make(c, object_of(n), true);
  return 1;
}

static size_t sort(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)task, (void)units;
  note* n = c->list[SCANNED].first;
  if (n == NULL) return 0;
  move(c, n, n->shadow != 0 ? LIVE : SUSPECT);
  return 1;
}

static void edge_lives(rc_cycles* c, rc_object* child) {
  note* n = (child->kind & KIND_MEMBER) != 0 ? note_find(c, child) : NULL;
  if (n != NULL && (n->place == SUSPECT || n->place == CONDEMNED)) move(c, n, LIVE);
}

static size_t spread(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)task;
  return scan(c, LIVE, LIVE_DONE, edge_lives, units);
}

/* All at once are dead when this begins. One that is queued for its finalizer becomes live. */
static size_t condemn(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)units;
  note* n = c->list[SUSPECT].first;
  if (n == NULL) return 0;
  sink_t to = {.task = task};
  if (object_ends(&to, object_of(n), false)) move(c, n, CONDEMNED);
  return 1;
}

/* It must not die while it is at work: a reference is held from the first field to the last. */
static size_t take_apart(rc_cycles* c, mi_task_t* task, size_t units) {
  note* n = c->list[CONDEMNED].first;
  if (n == NULL) return 0;
  rc_object* o = object_of(n);
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
  move(c, n, EMPTIED);
  child_dec(&to, o);
  return spent + 1;
}

static void forget_note(rc_cycles* c, note* n) {
  if (!n->again && !(n->root && c->failed)) {
    note_drop(c, n);
    return;
  }
  n->shadow = c->round;
  n->root = n->again = false;
  object_of(n)->kind ^= KIND_CANDIDATE | KIND_MEMBER;
  move(c, n, ROOTS);
}

static size_t forget(rc_cycles* c, mi_task_t* task, size_t units) {
  (void)task, (void)units;
  for (int place = ROOTS + 1; place < PLACES; place++) {
    note* n = c->list[place].first;
    if (n == NULL) continue;
    c->live += place != EMPTIED;
    forget_note(c, n);
    return 1;
  }
  return 0;
}

/* ---- Rounds ------------------------------------------------------------------------------------ */

static void round_begin(rc_cycles* c) {
  c->round++;
  c->live = 0;
  c->failed = false;
  c->phase = GATHER;
}

/* What it took is paid by as much garbage, or by candidates that are as many as what was looked at in vain. */
static void round_end(rc_cycles* c) {
  size_t threshold = 2 * c->live;
  if (c->failed && threshold < 2 * c->candidates) threshold = 2 * c->candidates;
  c->threshold = threshold < THRESHOLD_LEAST ? THRESHOLD_LEAST : threshold;
  c->phase = IDLE;
}

/* Spends up to `units`, in one round, which is begun if there are more candidates than `most`. */
static size_t cycles_step(rc_cycles* c, mi_task_t* task, size_t units, size_t most) {
  static phase_fun* const work[PHASES] = {
      [GATHER] = gather, [SORT] = sort,       [SPREAD] = spread, [CONDEMN] = condemn,
      [SPARE] = spread,  [KILL] = take_apart, [FORGET] = forget,
  };
  size_t spent = 0;
  while (spent < units && (c->phase != IDLE || c->candidates > most)) {
    if (c->phase == IDLE) round_begin(c);
    size_t n = work[c->phase](c, task, units - spent);
    spent += n;
    if (n > 0) continue;
    if (c->phase == FORGET) {
      round_end(c);
      break;
    }
    c->phase++;
  }
  return spent;
}

void cycles_pay(mi_task_t* task, size_t words) {
  rc_state* s = state_of(task);
  rc_cycles* c = s->cycles;
  if (!cycles_wait(s)) return;
  size_t price = CYCLE_PACE * words, most = price < REQUEST_UNITS ? price : REQUEST_UNITS;
  c->purse += price;
  if (most < QUANTUM_UNITS) most = QUANTUM_UNITS;
  if (most > c->purse) most = (size_t)c->purse;
  size_t spent = cycles_step(c, task, most, c->threshold);
  c->purse = cycles_wait(s) ? c->purse - spent : 0;
  task->units += spent;
  uint64_t* record = &s->counted.cycle_units_max;
  if (words <= CYCLE_QUANTUM && spent > *record) *record = spent;
}

/* A round is in progress, or can be begun; not after one that failed in the same call. */
static bool has_work(const rc_cycles* c, size_t spent) {
  if (c == NULL || c->phase != IDLE) return c != NULL;
  return c->candidates > 0 && !(c->failed && spent > 0);
}

/* What dies is drained, since it may hold what becomes a candidate. */
size_t cycles_collect(mi_task_t* task, size_t units) {
  size_t spent = 0;
  while (spent < units) {
    rc_cycles* c = state_of(task)->cycles;
    bool works = has_work(c, spent);
    size_t n = works ? cycles_step(c, task, units - spent, 0) : 0;
    if (spent + n < units) n += drain_dead(task, 0, units - spent - n);
    spent += n;
    if (!works && n == 0) break;
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

size_t rc_candidates(void) {
  const rc_cycles* c = cycles_here();
  return c != NULL ? c->candidates : 0;
}

/* Its objects may live on in another thread's hands, without a note. */
void cycles_end(mi_task_t* task, bool objects_stay) {
  rc_cycles* c = state_of(task)->cycles;
  for (int place = 0; place < PLACES; place++)
    for (note *next, *n = c->list[place].first; n != NULL; n = next) {
      next = n->next;
      if (objects_stay) object_of(n)->kind &= (uint8_t) ~(KIND_CANDIDATE | KIND_MEMBER);
      mi_free(n);
    }
  table_end(&c->table);
  mi_free(c);
  state_of(task)->cycles = NULL;
}
