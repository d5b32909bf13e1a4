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
  task_hide_exact(task, set && s->pacing.deterministic);
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

static void dead_push(mi_task_t* task, rc_object* o, unsigned bits) {
  rc_state* s = state_of(task);
  unsigned class = class_of(o, bits & DEAD_KIND);
  if (unlikely(!s->waits)) wait_begin(task, s);
  dead_link(o, bits, s->dead[class]);
  s->dead[class] = o;
  s->waiting |= (uint64_t)1 << class;
  s->pending++;
}

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

static void sink_take(sink_t* to, rc_object* o, unsigned bits) {
  if (CHECKED) check_dies(o);
  if (to->eager) {
    dead_link(o, bits, to->list);
    to->list = o;
  } else {
    dead_push(to->task, o, bits);
  }
}

static bool is_dead(const rc_object* o) {
  if (rc_count(o) != 0) return false;
  report_error(EAGAIN, "sluice: error: rc_dec of dead object %p", (const void*)o);
  return true;
}

static __attribute__((noinline)) void special_child_ends(sink_t* to, rc_object* child) {
  if (object_ends(to, child, false)) sink_take(to, child, rc_kind(child));
}

static __attribute__((noinline)) void shared_child_dec(sink_t* to, rc_object* child) {
  if (rc_is_cyclic(child)) {
    if (cyclic_dec(child)) special_child_ends(to, child);
    return;
  }
  if (is_dead(child) || !shared_dec(child)) return;
  if (child->kind > RC_BYTES && !object_ends(to, child, true)) return;
  if (to->shared) {
    sink_take(to, child, rc_kind(child));
  } else {
    if (CHECKED) check_dies(child);
    dead_link(child, rc_kind(child), NULL);
    shared_push(child, child);
  }
}

static inline void child_gone(sink_t* to, rc_object* child) {
  if (CHECKED && !check_lives(child, "release by an object's death")) return;
  int32_t count = rc_count(child);
  if (count > 1)
    child->count = count - 1;
  else if (unlikely(count < 1))
    shared_child_dec(to, child);
  else if (unlikely(child->kind > RC_BYTES))
    special_child_ends(to, child);
  else
    sink_take(to, child, child->kind);
}

void child_dec(sink_t* to, rc_object* child) { child_gone(to, child); }

/* An object of another task stays counted there; what ended threads left was taken over, what is shared is
** counted nowhere. */
static __attribute__((noinline)) void object_free_any(mi_task_t* task, rc_object* o,
                                                      unsigned kind) {
  if (task->implicit || page_is_of(page_of(o), task)) task_unreserve(task, object_bytes(o, kind));
  object_block_free(o);
}

static inline void object_free_here(mi_task_t* task, rc_object* o, unsigned kind) {
  page_t* page = slot_of(o);
  task->objects--;
  if (CHECKED || unlikely(page_owner(page) != (uintptr_t)task)) {
    object_free_any(task, o, kind);
    return;
  }
  task_note_peak(task);
  task->room += (int64_t)object_bytes(o, kind);
  page_free_local(page, (block_t*)(void*)o);
}

void object_free(mi_task_t* task, rc_object* o, unsigned kind) { object_free_here(task, o, kind); }

static inline void sink_free(sink_t* to, rc_object* o, unsigned kind) {
  if (likely(!to->shared))
    object_free_here(to->task, o, kind);
  else
    object_block_free(o);
}

/* Index of the first field that was not released yet. */
static size_t dead_first(rc_object* o, unsigned bits) {
  return bits & DEAD_PARTIAL ? object_words(o)[0] : 0;
}

static bool is_traced(const rc_object* o, unsigned bits) {
  return (bits & DEAD_KIND) == RC_TYPED && typed_as(o)->trace != NULL;
}

/* Waits again. */
static void release_later(sink_t* to, rc_object* o, unsigned bits) {
  if (to->eager)
    sink_take(to, o, bits);
  else
    current_set(to->task, o, bits);
}

/* All of an object with a few fields: the usual case. And the fields alone. */
enum { SMALL = 8 };
static inline size_t fields_release(sink_t* to, rc_object* o) {
  rc_word* words = (rc_word*)o + 1;
  size_t n = o->n;
  for (size_t i = n; i-- > 0;)
    if (rc_is_object(words[i])) child_gone(to, rc_to(words[i]));
  return n;
}
static inline size_t small_release(sink_t* to, rc_object* o) {
  size_t n = fields_release(to, o);
  sink_free(to, o, RC_FIELDS);
  return n + 1;
}

/* By the type's own trace, which finds an object of its type, without references and tag. The cursor is in the
** tail meanwhile. */
static __attribute__((noinline)) size_t traced_release(sink_t* to, rc_object* o, unsigned bits,
                                                       size_t units) {
  enum { AT_ONCE = 32 };
  size_t cursor = bits & DEAD_PARTIAL ? *object_tail(o) : 0, spent = 0;
  *o = (rc_object){0, 0, RC_TYPED, RC_LONG};
  while (spent < units) {
    rc_word out[AT_ONCE];
    size_t most = units - spent < AT_ONCE ? units - spent : AT_ONCE;
    size_t n = typed_as(o)->trace(o, &cursor, out, most);
    for (size_t i = 0; i < n; i++)
      if (rc_is_object(out[i])) child_gone(to, rc_to(out[i]));
    spent += n;
    if (n < most) {
      sink_free(to, o, RC_TYPED);
      return spent + 1;
    }
  }
  *object_tail(o) = cursor;
  release_later(to, o, RC_TYPED | DEAD_PARTIAL);
  return spent;
}

/* The memory of a huge array goes back in parts as the fields in it are released, or it would at once in the end.
** Not the part with the index of the next field; checked builds keep what they look at. */
enum { PURGE_PART = 512 * 1024 };
static void purge_released(rc_object* o, size_t first, size_t end) {
  uintptr_t mask = ~(uintptr_t)(PURGE_PART - 1);
  uintptr_t from = (uintptr_t)(object_words(o) + first) & mask,
            to = (uintptr_t)(object_words(o) + end) & mask;
  if (likely(from == to) || CHECKED) return;
  page_t* page = page_of(o);
  char* kept = (char*)(object_words(o) + 1);
  if (page != NULL && page_is_huge(page))
    huge_purge_part(page, (char*)from > kept ? (char*)from : kept, (char*)to);
}

size_t object_release(sink_t* to, rc_object* o, unsigned bits, size_t units) {
  enum { AHEAD = 8 };
  if (CHECKED) check_releases(o);
  if (likely(bits == RC_FIELDS && o->n <= SMALL && o->n < units)) return small_release(to, o);
  if (unlikely(is_traced(o, bits))) return traced_release(to, o, bits, units);
  unsigned kind = bits & DEAD_KIND;
  size_t n = object_fields(o, kind), first = dead_first(o, bits);
  rc_word* words = object_words(o);
  size_t end = n - first > units ? first + units : n;
  for (size_t i = first; i < end; i++) {
    if (i + AHEAD < end) __builtin_prefetch((void*)words[i + AHEAD]);
    if (rc_is_object(words[i])) child_gone(to, rc_to(words[i]));
  }
  size_t spent = end - first;
  if (n > LARGE_BLOCK_MAX / WORD) purge_released(o, first, end);
  if (spent < units) {
    sink_free(to, o, kind);
    return spent + 1;
  }
  if (end > 0) {
    words[0] = end;
    kind |= DEAD_PARTIAL;
  }
  release_later(to, o, kind);
  return spent;
}

/* ---- The eager path -------------------------------------------------------------------------- */

/* What is left of the list goes where it is drained. */
static void list_defer(sink_t* to) {
  rc_object *first = to->list, *last = first;
  for (rc_object *next, *o = first; o != NULL; o = next) {
    uint64_t w = dead_word(o);
    next = dead_next(w);
    last = o;
    if (!to->shared) dead_push(to->task, o, dead_bits(w));
  }
  if (to->shared && first != NULL) shared_push(first, last);
}

/* Goes on with the list; `spent` were spent before. */
static __attribute__((noinline)) size_t release_list(sink_t* to, size_t spent) {
  while (to->list != NULL && spent < DEC_UNITS) {
    rc_object* o = to->list;
    uint64_t w = dead_word(o);
    to->list = dead_next(w);
    spent += object_release(to, o, dead_bits(w), DEC_UNITS - spent);
  }
  list_defer(to);
  return spent;
}

/* Of a reference to an object that has 1 at most, or is shared. */
static size_t last_release(sink_t* to, rc_object* o) {
  if (o->kind > RC_BYTES && !object_ends(to, o, to->shared)) return release_list(to, 0);
  if (CHECKED) check_dies(o);
  return release_list(to, object_release(to, o, rc_kind(o), DEC_UNITS));
}

static size_t local_release(mi_task_t* task, rc_object* o) {
  sink_t to = {.task = task, .eager = true};
  return last_release(&to, o);
}

static size_t shared_release(mi_task_t* task, rc_object* o) {
  sink_t to = {.task = task, .eager = true, .shared = true};
  return last_release(&to, o);
}

static size_t fields_only(mi_task_t* task, rc_object* o) {
  sink_t to = {.task = task, .eager = true};
  return release_list(&to, fields_release(&to, o));
}

static void count_units(mi_task_t* task, uint64_t* most, size_t units) {
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

void fields_die(mi_task_t* task, rc_object* o) { release_counted(task, o, fields_only); }

static bool has_no_objects(const rc_object* o) {
  const rc_word* words = (const rc_word*)o + 1;
  rc_word all = 1;
  for (size_t i = 0; i < o->n; i++) all &= words[i];
  return all != 0;
}

static __attribute__((noinline)) void dec_last_slow(rc_object* o) {
  bool cyclic = rc_is_cyclic(o), shared = rc_count(o) < 0 && !cyclic;
  if (is_dead(o) || (cyclic && !cyclic_dec(o)) || (shared && !shared_dec(o))) return;
  mi_task_t* task = task_here();
  if (task != NULL) release_counted(task, o, shared ? shared_release : local_release);
}

/* Who made the shell from a unique object does not know of a weak reference. */
void shell_ends(mi_task_t* task, rc_object* shell) {
  sink_t to = {.task = task};
  if (unlikely(shell->kind != RC_FIELDS)) (void)object_ends(&to, shell, false);
}

bool is_shell(rc_object* o, const char* what) {
  if (CHECKED) return check_shell(o, what);
  if (rc_count(o) == 1 && rc_kind(o) == RC_FIELDS) return true;
  report_error(EINVAL, "sluice: error: %s of object %p, which is no shell", what, (void*)o);
  return false;
}

static __attribute__((noinline)) void free_known_slow(rc_object* shell, const void* caller) {
  if (!is_shell(shell, "rc_free_known")) return;
  if (CHECKED) check_at(caller);
  mi_task_t* task = task_here();
  if (task == NULL) return;
  shell_ends(task, shell);
  object_free(task, shell, RC_FIELDS);
  task->units++;
}

void rc_free_known(rc_object* shell) {
  mi_task_t* task = tls.task;
  page_t* page = slot_of(shell);
  if (CHECKED ||
      unlikely((dead_word(shell) & COUNT_AND_KIND) != 1 || page_owner(page) != (uintptr_t)task)) {
    free_known_slow(shell, __builtin_return_address(0));
    return;
  }
  task_note_peak(task);
  task->room += (int64_t)(WORD * ((size_t)shell->n + 1));
  task->units++;
  task->objects--;
  page_free_local(page, (block_t*)(void*)shell);
}

void dec_last_at(rc_object* o, const void* caller) {
  check_at(caller);
  dec_last_slow(o);
}

/* The usual case, which has no call: a leaf. An owned page tells that there is a task. */
void rc_dec_last(rc_object* o) {
  if (CHECKED) {
    if (check_lives(o, "rc_dec")) dec_last_at(o, __builtin_return_address(0));
    return;
  }
  mi_task_t* task = tls.task;
  page_t* page = slot_of(o);
  if (unlikely((dead_word(o) & COUNT_AND_KIND) != 1 || o->n > SMALL || !has_no_objects(o) ||
               page_owner(page) != (uintptr_t)task || task->measure)) {
    dec_last_slow(o);
    return;
  }
  size_t units = (size_t)o->n + 1;
  task_note_peak(task);
  task->room += (int64_t)(WORD * units);
  task->units += units;
  task->objects--;
  page_free_local(page, (block_t*)(void*)o);
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

/* The class that ran dry comes first: its blocks are what is asked for. But while an object is in
** progress, no other is begun that would not be finished now: units that are sunk in unfinished
** objects give no memory back, so there is one at most (P in the bounds). 0: the one in progress. */
static unsigned next_class(rc_state* s, unsigned class, size_t units) {
  bool wanted = s->dead[class] != NULL;
  if (s->current != NULL && !(wanted && price_of(s->dead[class]) <= units)) return 0;
  return wanted ? class : (unsigned)__builtin_ctzll(s->waiting);
}

/* Many alike, without a call: from a stack whose objects have the same few fields. Stops at one that has not, at
** one that the units do not suffice for, and when one of the wanted class is found. Within the loop the stack's
** top is here and not in the state. */
static size_t drain_alike(mi_task_t* task, unsigned class, unsigned wanted, size_t units) {
  rc_state* s = state_of(task);
  sink_t to = {.task = task};
  rc_object* top = s->dead[class];
  size_t n = class - 1, objects = 0, pushed = 0, most = units / class;
  task_note_peak(task);
  while (top != NULL && objects < most) {
    rc_object* o = top;
    uint64_t w = dead_word(o);
    if (unlikely(dead_bits(w) != RC_FIELDS || w >> 48 != n)) break;
    top = dead_next(w);
    __builtin_prefetch(top);
    objects++;
    for (size_t i = n; i > 0; i--) {
      rc_word word = ((rc_word*)o)[i];
      if (rc_is_int(word)) continue;
      rc_object* child = rc_to(word);
      if (rc_count(child) > 1) {
        child->count--;
      } else if (likely(rc_count(child) == 1 && child->kind == RC_FIELDS && child->n == n)) {
        dead_link(child, RC_FIELDS, top);
        top = child;
        pushed++;
      } else {
        s->dead[class] = top;
        child_gone(&to, child);
        top = s->dead[class];
        if (s->dead[wanted] != NULL && wanted != class) most = objects;
      }
    }
    page_t* page = slot_of(o);
    if (likely(!CHECKED && page_owner(page) == (uintptr_t)task)) {
      task->room += (int64_t)(WORD * class);
      page_free_local(page, (block_t*)(void*)o);
    } else {
      object_free_any(task, o, RC_FIELDS);
    }
  }
  s->dead[class] = top;
  if (top == NULL) s->waiting &= ~((uint64_t)1 << class);
  s->pending = s->pending + pushed - objects;
  task->objects -= (int64_t)objects;
  return objects * class;
}

size_t drain_dead(mi_task_t* task, unsigned class, size_t units) {
  enum { ALIKE = 8 }; /* up to that a class is one number of words */
  rc_state* s = state_of(task);
  sink_t to = {.task = task};
  size_t spent = 0;
  orphans_adopt(task);
  while (spent < units && !nothing_waits(s)) {
    unsigned next = next_class(s, class, units - spent);
    size_t now = !CHECKED && next - 1u < ALIKE ? drain_alike(task, next, class, units - spent) : 0;
    spent += now;
    if (now == 0) {
      rc_object* o = next == 0 ? current_take(s) : dead_pop(s, next);
      spent += object_release(&to, o, dead_bits(dead_word(o)), units - spent);
    }
    orphans_adopt(task);
  }
  if (nothing_waits(s)) wait_end(task, s);
  return spent;
}

/* Near the byte limit memory is worth more than time: c doubles when a quarter of it is left, and is 8 at least
** when a tenth is. (Not where moments must repeat: plain mi_ calls count against the limit, too.) */
uint32_t pace_of(const mi_task_t* task) {
  const rc_state* s = state_of_const(task);
  uint32_t pace = s->paced ? s->pacing.pace : PACE;
  if (likely(!task_is_limited(task)) || s->pacing.deterministic) return pace;
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

/* In deterministic mode, while objects wait: by the size that is asked for alone. */
static __attribute__((noinline)) void pay_at_once(mi_task_t* task, size_t bytes) {
  rc_state* s = state_of(task);
  size_t words = bytes_to_words(bytes);
  s->counted.debt += (uint64_t)pace_of(task) * words;
  size_t pay = pay_debt(s, SIZE_MAX, QUANTUM_UNITS);
  if (s->counted.debt > debt_limit(s)) pay += pay_debt(s, SIZE_MAX, SIZE_MAX);
  uint64_t* most =
      words <= QUANTUM_WORDS ? &s->counted.refill_units_max : &s->counted.request_units_max;
  unsigned class = words <= CLASS_BLOCK_MAX / WORD ? class_of_words(words) : CLASS_LARGE;
  count_units(task, most, drain_dead(task, class, pay));
  pay_for_cycles(task, words);
}

void pay_for_request(mi_task_t* task, size_t bytes) {
  if (likely(!task->exact_hidden)) return;
  uint64_t since = task->measure ? os_now_ns() : 0, units = task->units;
  pay_at_once(task, bytes);
  if (task->measure) pause_record(task, PAUSE_REFILL, task->units - units, since);
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
  if (s->pacing.deterministic) return false;
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
  if (pacing->pace < 1 || pacing->quantum < 1 || pacing->quantum > QUANTUM_WORDS) {
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
