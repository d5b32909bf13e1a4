/* defer.c: death in bounded steps.
**
** The last rc_dec releases eagerly for up to 33 units, with a local stack of dead objects; what
** is left goes to the task's stacks by size class. A refill that hands out n words while objects
** wait first spends pace*n units here, on the class that ran dry before the others, so that the
** very blocks it asks for come back, and no more than `quantum` words are handed out at a time.
** Each object of w words costs at most w units (its fields, and 1 for the block), so with pace c
** > 1 garbage is freed faster than memory is asked for. The bounds are in README.md. After
** Weizenbaum (1963) and Boehm (POPL 2004). */
#include "rc/internal.h"

/* ---- Dead objects ---------------------------------------------------------------------------- */

/* The header of a dead object as one word: n above, then the link, then 3 bits. */
static uint64_t dead_word(const rc_object* o) {
  uint64_t w;
  memcpy(&w, o, sizeof w);
  return w;
}

static rc_object* dead_next(uint64_t w) {
  return (rc_object*)(uintptr_t)(w & (((uint64_t)1 << 48) - 8));
}

static void dead_link(rc_object* o, unsigned bits, const rc_object* next) {
  uint64_t w = (uint64_t)o->n << 48 | (uintptr_t)next | bits;
  memcpy(o, &w, sizeof w);
}

static unsigned class_of(const rc_object* o, unsigned kind) {
  size_t words = bytes_to_words(object_bytes(o, kind));
  return words <= CLASS_BLOCK_MAX / WORD ? class_of_words(words) : CLASS_LARGE;
}

/* ---- Stacks ---------------------------------------------------------------------------------- */

static bool drain_hook(mi_task_t* task, mi_heap_t* heap, unsigned class, size_t words,
                       drain_mode mode);
static bool exit_hook(mi_task_t* task);

static void note_live(mi_task_t* task, rc_state* s) {
  if (s->live_max < task->bytes / WORD) s->live_max = task->bytes / WORD;
}

static void wait_begin(mi_task_t* task, rc_state* s) {
  note_live(task, s);
  task_set_drain(task, drain_hook);
  task->on_exit = exit_hook;
}

static void wait_end(mi_task_t* task, rc_state* s) {
  note_live(task, s);
  task_set_drain(task, NULL);
  s->counted.debt = 0;
}

static bool nothing_waits(const rc_state* s) { return s->waiting == 0 && s->current == NULL; }

static void dead_push(mi_task_t* task, rc_object* o, unsigned bits) {
  rc_state* s = state_of(task);
  unsigned class = class_of(o, bits & DEAD_KIND);
  if (unlikely(task->drain == NULL)) wait_begin(task, s);
  dead_link(o, bits, s->dead[class]);
  s->dead[class] = o;
  s->waiting |= (uint64_t)1 << class;
  s->pending++;
}

static unsigned dead_bits(uint64_t w) { return (unsigned)w & (DEAD_KIND | DEAD_PARTIAL); }

static rc_object* dead_pop(rc_state* s, unsigned class) {
  rc_object* o = s->dead[class];
  uint64_t w = dead_word(o);
  s->dead[class] = dead_next(w);
  if (s->dead[class] == NULL)
    s->waiting &= ~((uint64_t)1 << class);
  else
    __builtin_prefetch(s->dead[class]);
  s->pending--;
  return o;
}

/* The stacks are not empty, or the object comes from there: the hooks are set. */
static void current_set(mi_task_t* task, rc_object* o, unsigned bits) {
  rc_state* s = state_of(task);
  dead_link(o, bits, NULL);
  s->current = o;
  s->pending++;
}

static rc_object* current_take(rc_state* s) {
  rc_object* o = s->current;
  s->current = NULL;
  s->pending--;
  return o;
}

/* ---- Releasing one object -------------------------------------------------------------------- */

/* Where the children go that die with it: on the stacks, or on the eager path's own list. */
typedef struct sink {
  mi_task_t* task;
  rc_object* list;
  bool eager;
} sink_t;

static void child_dec(sink_t* to, rc_object* child) {
  if (child->count > 1) {
    child->count--;
  } else if (child->count == 1) {
    if (to->eager) {
      dead_link(child, child->kind, to->list);
      to->list = child;
    } else {
      dead_push(to->task, child, child->kind);
    }
  }
}

/* An object of another task stays counted there; what ended threads left was taken over. */
static __attribute__((noinline)) void object_free_any(mi_task_t* task, rc_object* o,
                                                      unsigned kind) {
  if (task->implicit || page_is_of(page_of(o), task)) task_unreserve(task, object_bytes(o, kind));
  mi_free(o);
}

static inline void object_free(mi_task_t* task, rc_object* o, unsigned kind) {
  page_t* page = slot_of(o);
  state_of(task)->counted.freed++;
  if (CHECKED || unlikely(page_owner(page) != (uintptr_t)task)) {
    object_free_any(task, o, kind);
    return;
  }
  task_unreserve(task, object_bytes(o, kind));
  page_free_local(page, (block_t*)(void*)o);
}

static rc_word* dead_words(rc_object* o) { return (rc_word*)o + (o->n != RC_LONG ? 1 : 2); }

/* Index of the first field that was not released yet. */
static size_t dead_first(rc_object* o, unsigned bits) {
  return bits & DEAD_PARTIAL ? dead_words(o)[0] : 0;
}

static size_t dead_fields(const rc_object* o, unsigned bits) {
  return (bits & DEAD_KIND) == RC_BYTES ? 0 : rc_length(o);
}

/* All of an object with a few fields: the usual case. And the fields alone. */
enum { SMALL = 8 };
static inline size_t fields_release(sink_t* to, rc_object* o) {
  rc_word* words = (rc_word*)o + 1;
  size_t n = o->n;
  for (size_t i = 0; i < n; i++)
    if (rc_is_object(words[i])) child_dec(to, rc_to(words[i]));
  return n;
}
static inline size_t small_release(sink_t* to, rc_object* o) {
  size_t n = fields_release(to, o);
  object_free(to->task, o, RC_FIELDS);
  return n + 1;
}

/* Spends at most `units` on a dead object that is on no stack. If they do not suffice it waits
** again, with the index of the next field in its first word: on a stack, or, when draining, as the
** one object in progress. Returns what was spent. */
static size_t object_release(sink_t* to, rc_object* o, unsigned bits, size_t units) {
  enum { AHEAD = 8 };
  if (likely(bits == RC_FIELDS && o->n <= SMALL && o->n < units)) return small_release(to, o);
  unsigned kind = bits & DEAD_KIND;
  size_t n = dead_fields(o, bits), first = dead_first(o, bits);
  rc_word* words = dead_words(o);
  size_t end = n - first > units ? first + units : n;
  for (size_t i = first; i < end; i++) {
    if (i + AHEAD < end) __builtin_prefetch((void*)words[i + AHEAD]);
    if (rc_is_object(words[i])) child_dec(to, rc_to(words[i]));
  }
  size_t spent = end - first;
  if (spent < units) {
    object_free(to->task, o, kind);
    return spent + 1;
  }
  if (end > 0) {
    words[0] = end;
    kind |= DEAD_PARTIAL;
  }
  if (to->eager)
    dead_push(to->task, o, kind);
  else
    current_set(to->task, o, kind);
  return spent;
}

/* ---- The eager path -------------------------------------------------------------------------- */

static void list_defer(mi_task_t* task, rc_object* o) {
  while (o != NULL) {
    uint64_t w = dead_word(o);
    rc_object* next = dead_next(w);
    dead_push(task, o, (unsigned)w & DEAD_KIND);
    o = next;
  }
}

/* Goes on with the list; `spent` were spent before. */
static __attribute__((noinline)) size_t release_list(sink_t* to, size_t spent) {
  while (to->list != NULL && spent < DEC_UNITS) {
    rc_object* o = to->list;
    uint64_t w = dead_word(o);
    to->list = dead_next(w);
    spent += object_release(to, o, (unsigned)w & DEAD_KIND, DEC_UNITS - spent);
  }
  list_defer(to->task, to->list);
  return spent;
}

static size_t release_eagerly(mi_task_t* task, rc_object* o) {
  sink_t to = {task, NULL, true};
  return release_list(&to, object_release(&to, o, o->kind, DEC_UNITS));
}

static size_t release_fields_eagerly(mi_task_t* task, rc_object* o) {
  sink_t to = {task, NULL, true};
  return release_list(&to, fields_release(&to, o));
}

static void count_units(mi_task_t* task, uint64_t* most, size_t units) {
  state_of(task)->counted.units += units;
  task->units += units;
  if (units > *most) *most = units;
}

static __attribute__((noinline)) void release_counted(mi_task_t* task, rc_object* o,
                                                      size_t (*release)(mi_task_t*, rc_object*)) {
  uint64_t since = unlikely(task->measure) ? os_now_ns() : 0;
  size_t units = release(task, o);
  count_units(task, &state_of(task)->counted.dec_units_max, units);
  if (unlikely(task->measure)) pause_record(task, PAUSE_RC_DEC, units, since);
}

/* NULL: no memory for a task's record; then what dies is leaked. */
static inline mi_task_t* task_here(void) {
  return likely(tls.task != NO_TASK) ? tls.task : task_self();
}

static bool has_no_objects(const rc_object* o) {
  const rc_word* words = (const rc_word*)o + 1;
  for (size_t i = 0; i < o->n; i++)
    if (rc_is_object(words[i])) return false;
  return true;
}

/* The usual case, which has no call: a leaf. */
void rc_dec_last(rc_object* o) {
  if (unlikely(o->count != 1)) return;
  mi_task_t* task = task_here();
  if (unlikely(task == NULL)) return;
  if (unlikely(task->measure) || o->kind != RC_FIELDS || o->n > SMALL || !has_no_objects(o)) {
    release_counted(task, o, release_eagerly);
    return;
  }
  count_units(task, &state_of(task)->counted.dec_units_max, (size_t)o->n + 1);
  object_free(task, o, RC_FIELDS);
}

/* ---- Ownership ------------------------------------------------------------------------------- */

rc_object* rc_drop_reuse(rc_object* o) {
  mi_task_t* task = o->count == 1 && o->n < DEC_UNITS ? task_here() : NULL;
  assert(o->kind == RC_FIELDS);
  if (task == NULL) {
    rc_dec(o);
    return NULL;
  }
  release_counted(task, o, release_fields_eagerly);
  return o;
}

void rc_free_known(rc_object* shell) {
  mi_task_t* task = task_here();
  assert(shell->count == 1 && shell->kind == RC_FIELDS);
  if (task == NULL) return;
  object_free(task, shell, RC_FIELDS);
  count_units(task, &state_of(task)->counted.dec_units_max, 1);
}

rc_object* rc_reuse(rc_object* shell, uint8_t tag, size_t n) {
  if (shell != NULL && shell->n != n) {
    rc_free_known(shell);
    shell = NULL;
  }
  mi_task_t* task = shell != NULL ? task_here() : NULL;
  if (task == NULL) return rc_alloc(tag, n);
  assert(shell->count == 1 && shell->kind == RC_FIELDS);
  task_charge(ticks_of(object_bytes(shell, RC_FIELDS)));
  *shell = (rc_object){1, tag, RC_FIELDS, (uint16_t)n};
  state_of(task)->counted.allocated++;
  state_of(task)->counted.freed++;
  return shell;
}

static rc_object* copy_of(rc_object* o, size_t bytes) {
  rc_object* copy = object_make(bytes);
  if (copy == NULL) return NULL;
  memcpy(copy, o, bytes);
  copy->count = 1;
  for (size_t i = 0; o->kind != RC_BYTES && i < rc_length(o); i++) rc_inc_word(rc_words(o)[i]);
  return copy;
}

rc_object* rc_make_unique(rc_object* o) {
  size_t bytes = object_bytes(o, o->kind);
  task_charge(ticks_of(bytes));
  if (o->count != 1 && rc_pending() > 0) rc_drain(bytes_to_words(bytes));
  if (o->count == 1) return o;
  rc_object* copy = copy_of(o, bytes);
  if (copy != NULL) rc_dec(o);
  return copy;
}

/* ---- What ended threads left ----------------------------------------------------------------- */

static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER;
static mi_task_t* orphans; /* tasks with waiting objects, linked by next; under the lock */

__attribute__((constructor)) static void load(void) { fork_guard(&orphans_lock); }

/* Not empty iff the hook is set by which other threads' refills come here. */
static void orphans_set(mi_task_t* first) {
  orphans = first;
  atomic_store_explicit(&task_drain_orphans, first != NULL ? drain_hook : NULL,
                        memory_order_relaxed);
}

static bool exit_hook(mi_task_t* task) {
  if (nothing_waits(state_of(task))) return false;
  pthread_mutex_lock(&orphans_lock);
  task->next = orphans;
  orphans_set(task);
  pthread_mutex_unlock(&orphans_lock);
  return true;
}

static mi_task_t* orphan_take(void) {
  pthread_mutex_lock(&orphans_lock);
  mi_task_t* task = orphans;
  if (task != NULL) orphans_set(task->next);
  pthread_mutex_unlock(&orphans_lock);
  return task;
}

/* Nothing of our own waits: takes over all that one ended task left, in O(classes). Only a thread's
** own task does: another one may end with its heaps, and its byte count is a limit. */
static void orphan_adopt(mi_task_t* task) {
  if (likely(!task_has_orphans(task))) return;
  mi_task_t* from = orphan_take();
  if (from == NULL) return;
  rc_state *s = state_of(task), *left = state_of(from);
  task->bytes += from->bytes;
  wait_begin(task, s);
  memcpy(s->dead, left->dead, sizeof s->dead);
  s->waiting = left->waiting;
  s->current = left->current;
  s->pending = left->pending;
  task_recycle(from);
}

/* ---- Draining -------------------------------------------------------------------------------- */

/* What it costs to release an object on a stack. */
static size_t price_of(rc_object* o) {
  unsigned bits = dead_bits(dead_word(o));
  return dead_fields(o, bits) - dead_first(o, bits) + 1;
}

/* The class that ran dry comes first: its blocks are what is asked for. But while an object is in
** progress, no other is begun that would not be finished now: units that are sunk in unfinished
** objects give no memory back, so there is one at most (P in the bounds). */
static rc_object* next_dead(rc_state* s, unsigned class, size_t units) {
  bool wanted = s->dead[class] != NULL;
  if (s->current != NULL && !(wanted && price_of(s->dead[class]) <= units)) return current_take(s);
  return dead_pop(s, wanted ? class : (unsigned)__builtin_ctzll(s->waiting));
}

/* Spends up to `units`, on `class` first (0: none). Returns what was spent; less only if nothing
** is left. */
static size_t drain(mi_task_t* task, unsigned class, size_t units) {
  rc_state* s = state_of(task);
  sink_t to = {task, NULL, false};
  size_t spent = 0;
  if (nothing_waits(s)) orphan_adopt(task);
  while (spent < units && !nothing_waits(s)) {
    rc_object* o = next_dead(s, class, units - spent);
    spent += object_release(&to, o, dead_bits(dead_word(o)), units - spent);
    if (nothing_waits(s)) orphan_adopt(task);
  }
  if (nothing_waits(s)) wait_end(task, s);
  return spent;
}

static uint32_t pace_of(const rc_state* s) { return s->paced ? s->pacing.pace : PACE; }

static uint64_t debt_limit(const rc_state* s) {
  bool automatic = !s->paced || s->pacing.debt_limit == RC_DEBT_AUTO;
  return automatic ? s->live_max / 4 : s->pacing.debt_limit;
}

/* Of what is owed a refill pays as much as a quantum costs, but for `most`. */
static size_t pay_debt(rc_state* s, size_t quantum_price, size_t most) {
  size_t part = quantum_price < most ? quantum_price : most;
  if (part > s->counted.debt) part = s->counted.debt;
  s->counted.debt -= part;
  return part;
}

/* What a request for more than a quantum pays now; the rest is owed. */
static size_t pay_request(rc_state* s, size_t price, size_t quantum_price) {
  size_t pay = price < REQUEST_UNITS ? price : REQUEST_UNITS;
  s->counted.debt += price - pay;
  if (s->counted.debt > debt_limit(s)) return pay + pay_debt(s, SIZE_MAX, SIZE_MAX);
  return pay + pay_debt(s, quantum_price, REQUEST_UNITS - pay);
}

static bool drain_hook(mi_task_t* task, mi_heap_t* heap, unsigned class, size_t words,
                       drain_mode mode) {
  rc_state* s = state_of(task);
  if (mode == DRAIN_ALL) {
    size_t spent = drain(task, 0, SIZE_MAX);
    s->counted.units += spent;
    task->units += spent;
    return false;
  }
  if (nothing_waits(s)) orphan_adopt(task); /* before the debt limit is asked for */
  size_t price = (size_t)pace_of(s) * words, quantum_price = (size_t)pace_of(s) * task->quantum;
  bool small = words <= QUANTUM_WORDS;
  size_t units =
      small ? price + pay_debt(s, quantum_price, SIZE_MAX) : pay_request(s, price, quantum_price);
  uint64_t* most = small ? &s->counted.refill_units_max : &s->counted.request_units_max;
  size_t spent = drain(task, heap == task->exact ? class : 0, units);
  count_units(task, most, spent);
  return !nothing_waits(s);
}

size_t rc_drain(size_t units) {
  mi_task_t* task = task_self();
  if (task == NULL) return 0;
  size_t spent = drain(task, 0, units);
  state_of(task)->counted.units += spent;
  task->units += spent;
  return spent;
}

size_t rc_pending(void) {
  mi_task_t* task = task_self();
  return task == NULL ? 0 : state_of(task)->pending;
}

/* ---- Settings -------------------------------------------------------------------------------- */

bool rc_set_pacing(const rc_pacing* pacing) {
  mi_task_t* task = task_self();
  if (task == NULL) return false;
  if (pacing->pace < 1 || pacing->quantum < 1 || pacing->quantum > QUANTUM_WORDS) {
    errno = EINVAL;
    return false;
  }
  rc_state* s = state_of(task);
  s->paced = true;
  s->pacing = *pacing;
  task->quantum = pacing->quantum;
  return true;
}

void rc_get_counters(rc_counters* out) {
  mi_task_t* task = task_self();
  if (task == NULL)
    *out = (rc_counters){0};
  else
    *out = state_of(task)->counted;
}
