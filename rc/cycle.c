/* cycle.c: what the program tells the search for dead cycles, and why that is right. (collect.c searches.)
**
** Trial deletion, after Bacon and Rajan, "Concurrent Cycle Collection in Reference Counted Systems" (ECOOP
** 2001), here for one thread, in slices between which the program goes on.
**
** A candidate is an object that lost a reference, or to which one was moved into a field, and that has others. A
** round makes some of the candidates, and all cyclic objects that they reach, its members. A member's shadow
** is its count when it was reached; each reference to it that is found in a member's field lowers the shadow. A
** member is touched by the program if a reference to it is counted up or down, or moved out of a member's
** field, or if one of its own fields changes. Members that were touched, or whose shadow is not 0 when all are
** scanned, are live, and so is what live members reach. The rest, D, is dead:
** - of a member of D, all references that were counted are in fields of members as they were scanned: the shadow
**   says so, no count changed since, and none was moved out;
** - a member with such a field is in D, for if it lived it would have made this one live. Or it died since, and what
**   waits to be released nobody reaches.
** So no reference leads to D from outside, and none can be made, since rc_upgrade answers NULL from then on.
**
** No dead cycle is overlooked: with its last reference from outside one of its objects became a candidate, and
** some round makes that a member. If it became one before that round began, nothing of the cycle was touched in
** it. If it was later, that object is a candidate again when the round has ended.
**
** The objects of D lose their weak references; when all have, those with a finalizer are queued for it, which
** makes them live, with what they reach. Not before, since finalizers make new weak references, to objects of D
** too; who asks for one touches the object. Of the others the fields are released one by one, and so they die
** as all objects do. */
#include "rc/cycle.h"

/* ---- Notes ------------------------------------------------------------------------------------- */

note* note_find(rc_cycles* c, const rc_object* o) { return (note*)(void*)table_find(&c->table, o); }

/* Those that were in use come back from a round to the next. */
static note* note_make(rc_cycles* c) {
  note* n = c->spare;
  if (n == NULL) return hushed_alloc(sizeof *n);
  c->spare = n->next;
  c->spares--;
  *n = (note){0};
  return n;
}

static void note_end(rc_cycles* c, note* n) {
  if (c->spares == ROUND_LEAST) {
    mi_free(n);
    return;
  }
  n->next = c->spare;
  c->spare = n;
  c->spares++;
}

note* note_new(rc_cycles* c, rc_object* o, enum place place, unsigned flag) {
  note* n = note_make(c);
  if (n == NULL) return NULL;
  n->node.key = o;
  table_enter(&c->table, &n->node);
  note_link(c, n, place);
  c->candidates += place == NOTE_ROOT;
  o->kind |= (uint8_t)flag;
  return n;
}

/* It is in the table no longer. */
static void note_leave(rc_cycles* c, note* n) {
  note_object(n)->kind &= (uint8_t)~KIND_NOTED;
  c->candidates -= n->place == NOTE_ROOT;
  note_unlink(c, n);
  note_end(c, n);
}

void note_drop(rc_cycles* c, note* n) {
  table_remove(&c->table, n->node.key);
  note_leave(c, n);
}

/* ---- What the program does meanwhile ----------------------------------------------------------- */

static rc_cycles* cycles_here(void) {
  mi_task_t* task = task_here();
  return task != NULL ? state_of(task)->cycles : NULL;
}

bool cycles_wait(const rc_state* s) {
  const rc_cycles* c = s->cycles;
  return c != NULL && (c->phase != CYCLE_IDLE || c->due);
}

/* When there is a new candidate, and at each beat, for what the task holds grows without one. */
static void cycles_look(mi_task_t* task) {
  rc_cycles* c = state_of(task)->cycles;
  bool much = c->candidates > 0 && task_bytes(task) > c->bytes_most;
  if (c->due || (!much && c->candidates <= c->candidates_most)) return;
  c->due = true;
  drain_hook_update(task);
}

static void cycles_init(rc_cycles* c) {
  for (note* head = c->list; head < c->list + NOTE_PLACES; head++) head->next = head->prev = head;
  c->table.kept = c->members_least = ROUND_LEAST;
  c->sample = SAMPLE;
  c->candidates_most = CANDIDATES_LEAST;
  c->bytes_most = SIZE_MAX;
}

/* Its notes are not in the task's memory: a limit that is hit must not keep them from being made. */
static rc_cycles* cycles_make(mi_task_t* task) {
  rc_state* s = state_of(task);
  if (s->cycles != NULL) return s->cycles;
  s->cycles = hushed_alloc(sizeof *s->cycles);
  if (s->cycles == NULL) return NULL;
  cycles_init(s->cycles);
  cycles_drained(task);
  task->on_delete = task_ends;
  task->on_force = cycles_force;
  task->on_look = cycles_look;
  return s->cycles;
}

static void candidate_add(rc_object* o) {
  mi_task_t* task = task_here();
  rc_cycles* c = task != NULL ? cycles_make(task) : NULL;
  cyclic_forget(o);
  note* n = c != NULL ? note_new(c, o, NOTE_ROOT, KIND_CANDIDATE) : NULL;
  if (n == NULL) return;
  n->shadow = c->round;
  cycles_look(task);
}

/* `again`: it may be that it just died. */
static void member_touch(rc_object* o, bool again) {
  rc_cycles* c = cycles_here();
  note* n = c != NULL ? note_find(c, o) : NULL;
  if (n == NULL) return;
  n->again |= again;
  if (c->phase == CYCLE_CONDEMN && n->place == NOTE_SUSPECT)
    n->touched = true;
  else if (n->place < NOTE_LIVE || (n->place == NOTE_CONDEMNED && c->phase < CYCLE_KILL))
    note_move(c, n, NOTE_LIVE);
}

void cyclic_touch(rc_object* o) {
  if ((o->kind & KIND_MEMBER) != 0) member_touch(o, false);
}

/* Members that it reaches may have been touched in this round: the next one is its own. */
static void candidate_defer(rc_object* o) {
  rc_cycles* c = cycles_here();
  note* n = c != NULL && c->phase == CYCLE_GATHER ? note_find(c, o) : NULL;
  if (n == NULL) return;
  n->shadow = c->round;
  note_move(c, n, NOTE_ROOT);
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
  if (o->count > STICKY_BOTH) o->count--;
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
  if (n == NULL || c->phase < CYCLE_CONDEMN || c->phase > CYCLE_KILL) return false;
  return n->place == NOTE_SUSPECT || n->place == NOTE_FINAL || n->place == NOTE_CONDEMNED ||
         n->place == NOTE_EMPTIED;
}

void cyclic_forget(rc_object* o) {
  rc_cycles* c = (o->kind & KIND_NOTED) != 0 ? cycles_here() : NULL;
  note* n = c != NULL ? (note*)(void*)table_remove(&c->table, o) : NULL;
  if (n != NULL) note_leave(c, n);
}

void cycles_give_up(const rc_state* s) {
  rc_cycles* c = s->cycles;
  if (c == NULL || c->phase == CYCLE_IDLE || c->phase >= CYCLE_KILL) return;
  c->failed = true;
  c->phase = CYCLE_FORGET;
}

/* What it holds was counted off the shadows of members: nothing is decided by them. */
void cyclic_share(rc_object* o) {
  bool member = (o->kind & KIND_MEMBER) != 0;
  cyclic_forget(o);
  o->kind &= (uint8_t)~KIND_CYCLIC;
  if (member) cycles_give_up(state_of(task_here()));
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

size_t rc_candidates(void) {
  const rc_cycles* c = cycles_here();
  return c != NULL ? c->candidates : 0;
}

static void list_end(note* n, const note* end, bool objects_stay) {
  for (note* next; n != end; n = next) {
    next = n->next;
    if (objects_stay) note_object(n)->kind &= (uint8_t)~KIND_NOTED;
    mi_free(n);
  }
}

/* Its objects may live on in another thread's hands, without a note. */
void cycles_end(mi_task_t* task, bool objects_stay) {
  rc_cycles* c = state_of(task)->cycles;
  for (note* head = c->list; head < c->list + NOTE_PLACES; head++)
    list_end(head->next, head, objects_stay);
  list_end(c->spare, NULL, false);
  table_end(&c->table);
  mi_free(c);
  state_of(task)->cycles = NULL;
  task->on_force = NULL;
  task->on_look = NULL;
}
