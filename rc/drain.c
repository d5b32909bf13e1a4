/* drain.c: dead objects that wait, and how they are paid for.
**
** They are on the task's stacks by size class. A refill that hands out n words while objects
** wait first spends pace*n units here, on the class that ran dry before the others, so that the
** very blocks it asks for come back, and no more than `quantum` words are handed out at a time.
** Each object of w words costs at most w units (its fields, and 1 for the block), so with pace c
** > 1 garbage is freed faster than memory is asked for. The bounds are in README.md. After
** Weizenbaum (1963) and Boehm (POPL 2004). */
#include "rc/internal.h"

/* ---- Stacks ---------------------------------------------------------------------------------- */

static unsigned class_of(const rc_object* o, unsigned kind) {
  size_t words = bytes_to_words(object_bytes(o, kind));
  return words <= CLASS_BLOCK_MAX / WORD ? class_of_words(words) : CLASS_LARGE;
}

static bool drain_hook(mi_task_t* task, mi_heap_t* heap, unsigned class, size_t words,
                       drain_mode mode);
static bool exit_hook(mi_task_t* task);

/* Without what is counted by grants, which depends on more than the program. */
static void note_live(mi_task_t* task, rc_state* s) {
  size_t words = (task_bytes(task) - (size_t)task->bytes_granted) / WORD;
  if (s->live_max < words) s->live_max = words;
}

static void hook_set(mi_task_t* task, const rc_state* s, bool set) {
  size_t quantum = s->paced ? s->pacing.quantum : QUANTUM_WORDS;
  task->quantum = cycles_wait(s) && quantum > CYCLE_QUANTUM ? CYCLE_QUANTUM : quantum;
  task_set_drain(task, set ? drain_hook : NULL);
  task_hide_exact(task, set && s->pacing.deterministic != RC_AT_REFILLS);
}

static void wait_begin(mi_task_t* task, rc_state* s) {
  note_live(task, s);
  s->waits = true;
  hook_set(task, s, true);
  task->on_exit = exit_hook;
}

static void wait_end(mi_task_t* task, rc_state* s) {
  note_live(task, s);
  s->waits = false;
  cycles_drained(task);
  hook_set(task, s, cycles_wait(s));
  s->counted.debt = 0;
}

void task_keeps_waiting(mi_task_t* task) { task->on_exit = exit_hook; }

static bool nothing_waits(const rc_state* s) { return s->waiting == 0 && s->current == NULL; }

void drain_hook_update(mi_task_t* task) {
  const rc_state* s = state_of(task);
  hook_set(task, s, !nothing_waits(s) || cycles_wait(s));
}

void dead_push(mi_task_t* task, rc_object* o, unsigned bits) {
  rc_state* s = state_of(task);
  unsigned class = class_of(o, bits & DEAD_KIND);
  if (unlikely(!s->waits)) wait_begin(task, s);
  dead_link(o, bits, s->dead[class]);
  s->dead[class] = o;
  s->waiting |= (uint64_t)1 << class;
  s->newest = class;
  s->pending++;
}

static void stack_set(rc_state* s, unsigned class, rc_object* first) {
  s->dead[class] = first;
  if (first == NULL)
    s->waiting &= ~((uint64_t)1 << class);
  else
    s->waiting |= (uint64_t)1 << class;
}

static rc_object* dead_pop(rc_state* s, unsigned class) {
  rc_object* o = s->dead[class];
  stack_set(s, class, dead_next(dead_word(o)));
  s->pending--;
  return o;
}

void current_set(mi_task_t* task, rc_object* o, unsigned bits) {
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
  if (nothing_waits(state_of(task)) && state_of(task)->finals == 0) return false;
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
static bool orphan_adopt(mi_task_t* task) {
  if (likely(!task_has_orphans(task))) return false;
  mi_task_t* from = orphan_take();
  if (from == NULL) return false;
  rc_state *s = state_of(task), *left = state_of(from);
  task->room -= (int64_t)task_bytes(from);
  wait_begin(task, s);
  memcpy(s->dead, left->dead, sizeof s->dead);
  s->waiting = left->waiting;
  s->current = left->current;
  s->pending = left->pending;
  finals_adopt(s, left);
  task_recycle(from);
  return true;
}

/* One may have left finalizers alone. */
static void orphans_adopt(mi_task_t* task) {
  while (nothing_waits(state_of(task)) && orphan_adopt(task)) continue;
}

/* ---- Draining -------------------------------------------------------------------------------- */

/* What it costs to release an object on a stack. */
static size_t price_of(rc_object* o) {
  unsigned bits = dead_bits(dead_word(o));
  if (is_traced(o, bits)) return SIZE_MAX;
  return object_fields(o, bits & DEAD_KIND) - dead_first(o, bits) + 1;
}

/* The class that ran dry comes first: its blocks are what is asked for. Else the one with the object that was
** pushed last, so that what hangs on an object is released after it, while it is in the cache (of versions that
** share much, in half the time). But while an object is in progress, no other is begun that would not be
** finished now: units that are sunk in unfinished objects give no memory back, so there is one at most (P in
** the bounds). 0: the one in progress, or nothing waits. */
static inline unsigned next_class(rc_state* s, unsigned class, size_t units) {
  bool wanted = s->dead[class] != NULL;
  if (unlikely(s->current != NULL) && !(wanted && price_of(s->dead[class]) <= units)) return 0;
  if (wanted) return class;
  if (s->dead[s->newest] == NULL)
    s->newest = s->waiting == 0 ? 0 : (unsigned)__builtin_ctzll(s->waiting);
  return s->newest;
}

/* ---- A run: small objects of one class, one after the other --------------------------------------
**
** Of those that die with their parent the last one comes next, without being put on the stack: most objects go
** from hand to hand that way, and what was built from its parts is walked as it lies in memory. The first of
** the stack is at hand meanwhile. */

typedef struct run {
  mi_task_t* task;
  size_t class;
  rc_object* first;
  rc_object* next; /* before those, if not NULL */
  size_t units;    /* that are left; 0: the run has ended */
  size_t objects;  /* that were released, */
  size_t foreign;  /* and those of them whose blocks are another task's */
  size_t others;   /* units that went to other classes */
  bool wanted;     /* the class is what is asked for, so nothing comes before it */
  bool left;       /* for what was pushed on another stack, which comes first now */
} run_t;

static inline void run_push(run_t* r, rc_object* o) {
  dead_link(o, RC_FIELDS, r->first);
  r->first = o;
  state_of(r->task)->pending++;
}

/* NULL: the next one is not small, or there is none. */
static inline rc_object* run_pop(run_t* r) {
  rc_object* o = r->next;
  if (o != NULL) return o;
  uint64_t w = r->first != NULL ? dead_word(r->first) : DEAD_KIND;
  if (unlikely(dead_bits(w) != RC_FIELDS)) return NULL;
  o = r->first;
  r->first = dead_next(w);
  __builtin_prefetch(r->first);
  state_of(r->task)->pending--;
  return o;
}

/* Of a child that is no small object of the run's class. A leaf is freed at once, if `units` suffice: returns
** its units. 0: what is dead was pushed. */
static __attribute__((noinline)) size_t other_dec(mi_task_t* task, rc_object* child, size_t units) {
  sink_t to = {.task = task};
  size_t words = child->n + 1u;
  if (rc_count(child) != 1 || !is_small(child) || words > units ||
      !has_no_objects(child, words - 1)) {
    child_dec(&to, child);
    return 0;
  }
  if (CHECKED) check_dies(child);
  task->room += (int64_t)(WORD * small_free(task, child, words));
  task->objects--;
  return words;
}

static inline void run_other(run_t* r, rc_object* child) {
  rc_state* s = state_of(r->task);
  uint64_t pending = s->pending;
  s->dead[r->class] = r->first;
  size_t spent = other_dec(r->task, child, r->units);
  r->first = s->dead[r->class];
  r->others += spent;
  r->units -= spent;
  if (s->pending == pending || r->wanted) return;
  r->left = true;
  r->units = 0;
}

static inline void run_dec(run_t* r, rc_object* child) {
  if (CHECKED && !check_lives(child, "release by an object's death")) return;
  int32_t count = rc_count(child);
  if (count > 1) {
    child->count = count - 1;
  } else if (likely(count == 1 && rc_is_plain(child, r->class - 1))) {
    if (CHECKED) check_dies(child);
    if (r->next != NULL) run_push(r, r->next);
    r->next = child;
  } else {
    run_other(r, child);
  }
}

static inline void run_release(run_t* r, rc_object* o) {
  if (CHECKED) check_releases(o);
  r->next = NULL;
  r->units -= r->class;
  r->objects++;
  for (rc_word *w = (rc_word*)o + 1, *end = (rc_word*)o + r->class; w < end; w++)
    if (rc_is_object(*w)) run_dec(r, rc_to(*w));
  if (unlikely(small_free(r->task, o, r->class) == 0)) r->foreign++;
}

/* Of the class that comes next, until its stack is empty, the units do not suffice, or others come first. Returns the
** units that were spent. */
static size_t drain_run(mi_task_t* task, unsigned class, bool wanted, size_t units) {
  rc_state* s = state_of(task);
  run_t r = {task, class, s->dead[class], .units = units, .wanted = wanted};
  task_note_peak(task);
  for (rc_object* o; r.units >= class && (o = run_pop(&r)) != NULL;) run_release(&r, o);
  if (r.next != NULL) run_push(&r, r.next);
  if (!r.left) s->newest = class;
  stack_set(s, class, r.first);
  task->room += (int64_t)(WORD * class * (r.objects - r.foreign));
  task->objects -= (int64_t)r.objects;
  return class * r.objects + r.others;
}

static size_t drain_one(mi_task_t* task, unsigned class, size_t units) {
  rc_state* s = state_of(task);
  sink_t to = {.task = task};
  rc_object* o = class == 0 ? current_take(s) : dead_pop(s, class);
  return object_release(&to, o, dead_bits(dead_word(o)), units);
}

size_t drain_dead(mi_task_t* task, unsigned class, size_t units) {
  rc_state* s = state_of(task);
  size_t spent = 0;
  orphans_adopt(task);
  while (spent < units && !nothing_waits(s)) {
    unsigned next = next_class(s, class, units - spent);
    size_t run =
        next - 1u <= SMALL_FIELDS ? drain_run(task, next, next == class, units - spent) : 0;
    spent += run != 0 ? run : drain_one(task, next, units - spent);
    orphans_adopt(task);
  }
  if (nothing_waits(s)) wait_end(task, s);
  return spent;
}

/* Near the byte limit memory is worth more than time: c doubles when a quarter of it is left, and is 8 at least
** when a tenth is. (Not where moments must repeat: plain mi_ calls count against the limit, too.) */
uint32_t pace_of(mi_task_t* task) {
  const rc_state* s = state_of(task);
  uint32_t pace = s->paced ? s->pacing.pace : PACE;
  if (likely(!task_is_limited(task)) || s->pacing.deterministic != RC_AT_REFILLS) return pace;
  if (task->room < task->bytes_limit / 10) return pace > PACE_URGENT ? pace : PACE_URGENT;
  return task->room < task->bytes_limit / 4 && pace <= UINT32_MAX / 2 ? 2 * pace : pace;
}

uint64_t debt_limit(const rc_state* s) {
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

static void pay_for_cycles(mi_task_t* task, size_t words) {
  if (!cycles_wait(state_of(task))) return;
  cycles_pay(task, words);
  drain_hook_update(task);
}

static __attribute__((noinline)) void pay_at_once(mi_task_t* task, size_t words) {
  rc_state* s = state_of(task);
  size_t pay = pay_debt(s, SIZE_MAX, QUANTUM_UNITS);
  if (s->counted.debt > debt_limit(s)) pay += pay_debt(s, SIZE_MAX, SIZE_MAX);
  uint64_t* most =
      words <= QUANTUM_WORDS ? &s->counted.refill_units_max : &s->counted.request_units_max;
  unsigned class = words <= CLASS_BLOCK_MAX / WORD ? class_of_words(words) : CLASS_LARGE;
  count_units(task, most, drain_dead(task, class, pay));
  pay_for_cycles(task, words);
}

/* In deterministic mode, while objects wait: by the size that is asked for alone. */
void pay_for_request(mi_task_t* task, size_t bytes) {
  if (likely(!task->exact_hidden)) return;
  rc_state* s = state_of(task);
  size_t words = bytes_to_words(bytes);
  s->counted.debt += (uint64_t)pace_of(task) * words;
  if (s->pacing.deterministic == RC_ON_BEATS) return;
  pause_t pause = pause_begin(task);
  pay_at_once(task, words);
  pause_end(task, refill_kind(words), pause);
}

/* What was asked for since the last beat is paid for. */
static void pay_on_beat(mi_task_t* task) {
  rc_state* s = state_of(task);
  size_t units = pay_debt(s, SIZE_MAX, SIZE_MAX);
  count_units(task, &s->counted.beat_units_max, drain_dead(task, 0, units));
  pay_for_cycles(task, units / pace_of(task));
  finals_become_due(task);
}

/* What a refill pays for the task's own dead objects. */
static void pay_for_refill(mi_task_t* task, unsigned class, size_t words) {
  rc_state* s = state_of(task);
  size_t price = (size_t)pace_of(task) * words,
         quantum_price = (size_t)pace_of(task) * task->quantum;
  bool small = words <= QUANTUM_WORDS;
  size_t units =
      small ? price + pay_debt(s, quantum_price, SIZE_MAX) : pay_request(s, price, quantum_price);
  uint64_t* most = small ? &s->counted.refill_units_max : &s->counted.request_units_max;
  count_units(task, most, drain_dead(task, class, units));
}

static bool drain_hook(mi_task_t* task, mi_heap_t* heap, unsigned class, size_t words,
                       drain_mode mode) {
  rc_state* s = state_of(task);
  if (mode == DRAIN_ALL) {
    count_units(task, &s->counted.forced_units_max, drain_dead(task, 0, SIZE_MAX));
    return false;
  }
  if (mode == DRAIN_BEAT && s->pacing.deterministic == RC_ON_BEATS) pay_on_beat(task);
  if (mode == DRAIN_BEAT || s->pacing.deterministic != RC_AT_REFILLS) return false;
  orphans_adopt(task); /* before the debt limit is asked for */
  pay_for_refill(task, heap == task->exact ? class : 0, words);
  pay_for_cycles(task, words);
  return !nothing_waits(s) || cycles_wait(s);
}

size_t rc_drain(size_t units) {
  mi_task_t* task = task_self();
  if (task == NULL) return 0;
  size_t spent = drain_dead(task, 0, units);
  spent += shared_drain(task, units - spent);
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
  if (pacing->pace < 1 || pacing->quantum < 1 || pacing->quantum > QUANTUM_WORDS ||
      pacing->deterministic > RC_ON_BEATS) {
    errno = EINVAL;
    return false;
  }
  rc_state* s = state_of(task);
  s->paced = true;
  s->pacing = *pacing;
  drain_hook_update(task);
  return true;
}

void rc_get_counters(rc_counters* out) {
  mi_task_t* task = task_self();
  if (task == NULL)
    *out = (rc_counters){0};
  else
    *out = state_of(task)->counted;
  if (task == NULL) return;
  out->units = task->units;
  out->objects = task->objects;
}
