/* last.c: what some objects need when their last reference goes: weak references are cleared, finalizers are
** queued. Both cost nothing to others: a bit of the kind, or the type, tells. */
#include "rc/internal.h"

/* ---- Weak references -----------------------------------------------------------------------------
**
** A cell is the weak reference to a target: an object, in a table by its target's address from its
** making to its target's death, when the address becomes NULL. The table owns a reference to it meanwhile, so it
** lives at least as long as it is found there. KIND_WEAK of a target is set iff it has a cell. No cell is a target, so
** the end of one does not lead to others.
**
** There is one table for the process, under a lock, for the objects of threads' own tasks and shared ones;
** and one in each task of runtime/ that needs it, in its memory, since its objects may end without dying. The cell
** of a shared target is shared, and that of a local one local, but while both are being shared.
**
** Nothing is allocated under the lock, or while a table is being changed: an allocation drains, and what dies
** then may have a cell. */
typedef struct cell {
  rc_object head;
  const rc_type* type;
  table_node node;
} cell;
static const rc_type cell_type = {.name = "weak reference", .bytes = sizeof(table_node)};

static pthread_mutex_t weak_lock = PTHREAD_MUTEX_INITIALIZER;
static rc_table process_table;

__attribute__((constructor)) static void load(void) { fork_guard(&weak_lock); }

/* For an object that the task has, or a shared one. NULL: no memory. */
static rc_table* table_of(mi_task_t* task, bool shared) {
  if (shared || task->implicit) return &process_table;
  rc_state* s = state_of(task);
  if (s->weak == NULL) s->weak = heap_alloc(task->exact, sizeof *s->weak, true);
  return s->weak;
}
static void lock_table(const rc_table* t) {
  if (t == &process_table) pthread_mutex_lock(&weak_lock);
}
static void unlock_table(const rc_table* t) {
  if (t == &process_table) pthread_mutex_unlock(&weak_lock);
}

static cell* cell_of(table_node* node) {
  return (cell*)(void*)((char*)node - offsetof(cell, node));
}

static bool has_cell(const rc_object* o) {
  return (__atomic_load_n(&o->kind, __ATOMIC_RELAXED) & KIND_WEAK) != 0;
}

/* With two references: the caller's and the table's. */
static cell* cell_new(rc_object* target, bool shared) {
  cell* c = (cell*)(void*)(shared ? object_make_shared(sizeof *c) : object_make(sizeof *c));
  if (c == NULL) return NULL;
  c->head = (rc_object){shared ? -2 : 2, 0, RC_TYPED, RC_LONG};
  c->type = &cell_type;
  c->node.key = target;
  return c;
}

bool is_weak(const rc_object* o) { return rc_kind(o) == RC_TYPED && typed_as(o) == &cell_type; }

/* With a reference for the caller, or NULL. */
static cell* cell_there(rc_table* t, const rc_object* o) {
  if (!has_cell(o)) return NULL;
  cell* c = cell_of(table_find(t, o));
  if (rc_is_shared(&c->head))
    shared_inc(&c->head);
  else
    rc_inc(&c->head);
  return c;
}

static cell* cell_find(rc_table* t, const rc_object* o, size_t* wanted) {
  lock_table(t);
  cell* c = cell_there(t, o);
  *wanted = table_wants(t);
  unlock_table(t);
  return c;
}

/* Another thread may have been faster, if the target is shared. */
static rc_object* cell_enter(rc_table* t, cell* c, rc_object* o, void* memory, size_t bytes) {
  lock_table(t);
  cell* other = cell_there(t, o);
  bool taken = other == NULL && table_add(t, &c->node, memory, bytes);
  if (other == NULL) __atomic_fetch_or(&o->kind, KIND_WEAK, __ATOMIC_RELAXED);
  unlock_table(t);
  if (!taken) mi_free(memory);
  if (other == NULL) return &c->head;
  object_block_free(&c->head);
  return &other->head;
}

static rc_object* weak_new(rc_table* t, mi_heap_t* heap, rc_object* o, size_t wanted) {
  cell* c = cell_new(o, rc_is_shared(o));
  if (c == NULL) return NULL;
  void* memory = wanted > 0 ? heap_alloc(heap, wanted, true) : NULL;
  return cell_enter(t, c, o, memory, wanted);
}

/* All memory comes first: what refills drain takes the lock, and changes the table. */
static rc_object* weak_of(rc_object* o) {
  task_charge(ticks_of(sizeof(cell)));
  mi_heap_t* heap = task_exact_heap();
  rc_table* t = heap != NULL ? table_of(heap->task, rc_is_shared(o)) : NULL;
  if (t == &process_table) heap = heap_of_thread();
  if (t == NULL || heap == NULL || is_weak(o)) {
    errno = is_weak(o) ? EINVAL : ENOMEM;
    return NULL;
  }
  size_t wanted;
  cell* c = cell_find(t, o, &wanted);
  return c != NULL ? &c->head : weak_new(t, heap, o, wanted);
}

rc_object* rc_weak(rc_object* o) {
  if (CHECKED && !check_lives(o, "rc_weak")) {
    errno = EINVAL;
    return NULL;
  }
  if (rc_is_cyclic(o)) cyclic_touch(o);
  rc_object* w = weak_of(o);
  if (w != NULL && rc_is_shared(w)) account(w, 1);
  return w;
}

static bool is_cell(const rc_object* w, const char* what) {
  if (CHECKED && !check_lives(w, what)) return false;
  if (is_weak(w)) return true;
  report_error(EINVAL, "sluice: error: %s of object %p, which is no weak reference", what,
               (const void*)w);
  return false;
}

/* A dead cycle's objects have references until they are released. */
static bool inc_if_alive(rc_object* o) {
  if (rc_is_shared(o)) return shared_inc_if_alive(o);
  if (rc_is_cyclic(o) && cyclic_is_condemned(o)) return false;
  if (rc_count(o) != 0) rc_inc(o);
  return rc_count(o) != 0;
}

/* A local cell's target is the same task's; a shared one's may be dying elsewhere, but is not freed before the
** lock was taken. */
rc_object* rc_upgrade(rc_object* w) {
  cell* c = (cell*)(void*)w;
  if (unlikely(!is_cell(w, "rc_upgrade"))) return NULL;
  bool shared = rc_is_shared(w);
  if (shared) pthread_mutex_lock(&weak_lock);
  rc_object* o = (rc_object*)(uintptr_t)c->node.key;
  if (shared) {
    if (o != NULL && !inc_if_alive(o)) o = NULL;
    pthread_mutex_unlock(&weak_lock);
    if (o != NULL && rc_is_shared(o)) account(o, 1);
  } else if (o != NULL && !inc_if_alive(o)) {
    o = NULL;
  }
  return o;
}

static void weak_clear(sink_t* to, rc_object* o, bool shared) {
  rc_table* t = table_of(to->task, shared);
  lock_table(t);
  cell* c = cell_of(table_remove(t, o));
  c->node.key = NULL;
  __atomic_fetch_and(&o->kind, (uint8_t)~KIND_WEAK, __ATOMIC_RELAXED);
  unlock_table(t);
  if (rc_is_shared(&c->head))
    shared_child_gone(to, &c->head);
  else
    child_dec(to, &c->head);
}

void weak_end(sink_t* to, rc_object* o) {
  if (has_cell(o)) weak_clear(to, o, false);
}

bool weak_is_held(const rc_object* o) {
  return is_weak(o) && ((const cell*)(const void*)o)->node.key != NULL;
}

/* Under the lock: a shared target is freed after it only. */
rc_object* weak_partner(rc_object* o) {
  if (!has_cell(o) && !is_weak(o)) return NULL;
  pthread_mutex_lock(&weak_lock);
  rc_object* other = is_weak(o) ? (rc_object*)(uintptr_t)((cell*)(void*)o)->node.key
                                : &cell_of(table_find(&process_table, o))->head;
  if (other != NULL && rc_is_shared(other)) other = NULL;
  if (other != NULL) rc_inc(other);
  pthread_mutex_unlock(&weak_lock);
  return other;
}

/* Of a copied graph: the node of a copied weak reference has the original's target as its key until weak_link. NULL: no
** memory. */
rc_object* weak_copy(const rc_object* w) {
  cell* c = (cell*)(void*)object_make_shared(sizeof *c);
  if (c == NULL) return NULL;
  *c = (cell){.type = &cell_type, .node.key = ((const cell*)(const void*)w)->node.key};
  return &c->head;
}

table_node* weak_node(rc_object* w) { return &((cell*)(void*)w)->node; }

/* Nobody knows the target, or NULL, until now; the table has a reference to the cell from now on. */
void weak_link(table_node* node, rc_object* target) {
  node->key = target;
  if (target == NULL) return;
  cell* c = cell_of(node);
  if (c->head.count != RC_IMMORTAL) c->head.count--;
  target->kind |= KIND_WEAK;
  pthread_mutex_lock(&weak_lock);
  size_t wanted = table_wants(&process_table);
  pthread_mutex_unlock(&weak_lock);
  void* memory = wanted > 0 ? hushed_alloc(wanted) : NULL;
  pthread_mutex_lock(&weak_lock);
  bool taken = table_add(&process_table, node, memory, wanted);
  pthread_mutex_unlock(&weak_lock);
  if (!taken) mi_free(memory);
}

/* ---- Finalizers -------------------------------------------------------------------------------- */

/* Of shared objects, for threads' own tasks. */
static pthread_mutex_t finals_lock = PTHREAD_MUTEX_INITIALIZER;
static struct queue_of_finals {
  rc_object *first, *last;
  _Atomic size_t number;
} shared_finals;

__attribute__((constructor)) static void load_finals(void) { fork_guard(&finals_lock); }

static rc_object* next_final(rc_object* o) { return (rc_object*)(uintptr_t)*object_tail(o); }

static void append(rc_object** first, rc_object** last, rc_object* from, rc_object* to) {
  *object_tail(to) = 0;
  if (*last != NULL)
    *object_tail(*last) = (uintptr_t)from;
  else
    *first = from;
  *last = to;
}

static rc_object* take_first(rc_object** first, rc_object** last) {
  rc_object* o = *first;
  *first = next_final(o);
  if (*first == NULL) *last = NULL;
  return o;
}

void finals_become_due(mi_task_t* task) {
  rc_state* s = state_of(task);
  s->finals_beat = task_ticks(task) / task->period;
  s->finals_due = s->finals;
}

static bool is_on_beats(const rc_state* s) { return s->pacing.deterministic == RC_ON_BEATS; }

/* Before anything happens to the queue: was there a beat since something did? */
static void finals_look(mi_task_t* task) {
  const rc_state* s = state_of(task);
  if (is_on_beats(s) && task_ticks(task) / task->period > s->finals_beat) finals_become_due(task);
}

/* Those of a task of runtime/ that were not queued are in a list, since they may never die. An object that another
** task made is in none. */
enum { OLDER, NEWER };
static rc_object* beside(rc_object* o, int side) {
  return (rc_object*)(uintptr_t)object_tail(o)[side];
}

void finalizable_enter(mi_task_t* task, rc_object* o) {
  rc_state* s = state_of(task);
  if (task->implicit) return;
  object_tail(o)[OLDER] = (uintptr_t)s->finalizable;
  if (s->finalizable != NULL) object_tail(s->finalizable)[NEWER] = (uintptr_t)o;
  s->finalizable = o;
}

static void finalizable_leave(rc_state* s, rc_object* o) {
  rc_object *older = beside(o, OLDER), *newer = beside(o, NEWER);
  if (newer == NULL && s->finalizable != o) return;
  if (older != NULL) object_tail(older)[NEWER] = (uintptr_t)newer;
  if (newer != NULL)
    object_tail(newer)[OLDER] = (uintptr_t)older;
  else
    s->finalizable = older;
}

static void final_append(mi_task_t* task, rc_object* o) {
  rc_state* s = state_of(task);
  finals_look(task);
  append(&s->final_first, &s->final_last, o, o);
  s->finals++;
  task_keeps_waiting(task);
}

static void final_queue(mi_task_t* task, rc_object* o, bool shared) {
  unsigned kind = __atomic_fetch_or(&o->kind, KIND_FINALIZED, __ATOMIC_RELAXED);
  if (shared) {
    __atomic_store_n(&o->count, -1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&finals_lock);
    append(&shared_finals.first, &shared_finals.last, o, o);
    atomic_fetch_add_explicit(&shared_finals.number, 1, memory_order_relaxed);
    pthread_mutex_unlock(&finals_lock);
  } else {
    o->count = (kind & KIND_CYCLIC) != 0 ? o->count - 1 : 1;
    if ((kind & KIND_CYCLIC) != 0) cyclic_touch(o);
    finalizable_leave(state_of(task), o);
    final_append(task, o);
  }
}

/* What is queued may be dead, on a cycle of which the weak references are being cleared. */
size_t rc_finalize_all(void) {
  mi_task_t* task = task_here();
  size_t n = 0;
  if (task != NULL) cycles_give_up(state_of(task));
  for (rc_object* o; task != NULL && (o = state_of(task)->finalizable) != NULL; n++) {
    finalizable_leave(state_of(task), o);
    __atomic_fetch_or(&o->kind, KIND_FINALIZED, __ATOMIC_RELAXED);
    rc_inc(o);
    final_append(task, o);
  }
  return n;
}

void finals_adopt(rc_state* s, rc_state* left) {
  if (left->finals == 0) return;
  append(&s->final_first, &s->final_last, left->final_first, left->final_last);
  s->finals += left->finals;
}

static rc_object* final_take(mi_task_t* task) {
  rc_state* s = state_of(task);
  finals_look(task);
  if (s->finals > 0 && (!is_on_beats(s) || s->finals_due > 0)) {
    s->finals--;
    if (s->finals_due > 0) s->finals_due--;
    return take_first(&s->final_first, &s->final_last);
  }
  if (!task->implicit || atomic_load_explicit(&shared_finals.number, memory_order_relaxed) == 0)
    return NULL;
  pthread_mutex_lock(&finals_lock);
  rc_object* o = NULL;
  if (shared_finals.first != NULL) {
    o = take_first(&shared_finals.first, &shared_finals.last);
    atomic_fetch_sub_explicit(&shared_finals.number, 1, memory_order_relaxed);
  }
  pthread_mutex_unlock(&finals_lock);
  return o;
}

size_t rc_poll(size_t most) {
  mi_task_t* task = task_here();
  if (task == NULL || state_of(task)->polling) return 0;
  rc_state* s = state_of(task);
  size_t n = 0;
  s->polling = true;
  for (rc_object* o; n < most && (o = final_take(task)) != NULL; n++) {
    typed_as(o)->finalize(o);
    rc_dec(o);
  }
  s->polling = false;
  return n;
}

size_t rc_finalizers_pending(void) {
  mi_task_t* task = task_here();
  return task == NULL ? 0 : state_of(task)->finals;
}

/* ---- Both -------------------------------------------------------------------------------------- */

bool finalizer_is_due(const rc_object* o) {
  return (o->kind & (KIND_MASK | KIND_FINALIZED)) == RC_TYPED && typed_as(o)->finalize != NULL;
}

bool object_ends(sink_t* to, rc_object* o, bool shared) {
  unsigned kind = o->kind;
  if ((kind & KIND_WEAK) != 0) weak_clear(to, o, shared);
  if (!finalizer_is_due(o)) {
    if (rc_count(o) == 0 && (kind & KIND_CYCLIC) != 0) cyclic_forget(o);
    return true;
  }
  final_queue(to->task, o, shared);
  return false;
}
