/* shared.c: objects that several threads count, and where they wait when they are dead.
**
** The count is one atomic word, so a reference costs one read-modify-write. Who drops the last one frees eagerly
** as rc_dec does; what is left is pushed on one of a few stacks, from which the refills of all threads and
** rc_drain take. Who drains a stack claims it first and owns `pending` meanwhile; a claim that fails is no
** reason to wait, there are other stacks. So nobody waits for a thread that was preempted, and none keeps
** garbage that others could free. The model is tests/model/shared.pml. */
#include "rc/internal.h"

/* ---- Counts ---------------------------------------------------------------------------------- */

/* Relaxed: a new reference is made from one that its maker has, so the object lives and was seen. */
void rc_inc_slow(rc_object* o) {
  if (CHECKED && !check_lives(o, "rc_inc")) return;
  int32_t count = rc_count(o);
  if (count == 0) report_error(EAGAIN, "sluice: error: rc_inc of dead object %p", (void*)o);
  if (rc_is_cyclic(o))
    cyclic_inc(o);
  else if (count < 0 && count > STICKY_BOTH) {
    shared_inc(o);
    account(o, 1);
  }
}

void shared_inc(rc_object* o) {
  if (rc_count(o) > STICKY_BOTH) __atomic_fetch_sub(&o->count, 1, __ATOMIC_RELAXED);
}

/* Release: what this thread did with the object happens before its death; acquire: in the thread where it
** dies, after what all others did. */
bool shared_dec(rc_object* o) {
  if (rc_count(o) <= RC_STICKY) return false;
  return __atomic_fetch_add(&o->count, 1, __ATOMIC_ACQ_REL) == -1;
}

/* With an account's end a task gives up many at once. */
void shared_give_up(rc_object* o, int64_t n) {
  if (CHECKED && !check_lives(o, "rt_task_end")) return;
  int32_t count = rc_count(o);
  if (count <= RC_STICKY) return;
  if (CHECKED && n > -(int64_t)count) {
    report_error(
        EINVAL,
        "sluice: error: rt_task_end: the task holds %lld references to object %p, which has "
        "%d: rc_share was missing where one left it",
        (long long)n, (void*)o, -count);
    return;
  }
  sink_t to = {.task = task_here()};
  if (__atomic_fetch_add(&o->count, (int32_t)n, __ATOMIC_ACQ_REL) == -n) shared_ends(&to, o);
}

/* A reference is made from none, by a weak one: unless it is too late. (The count is local while the object is being
** shared, and its weak reference was first.) */
bool shared_inc_if_alive(rc_object* o) {
  int32_t count = rc_count(o);
  do {
    if (count == 0) return false;
    if (count <= STICKY_BOTH) return true;
  } while (!__atomic_compare_exchange_n(&o->count, &count, count < 0 ? count - 1 : count + 1, true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
  return true;
}

/* ---- Dead objects ---------------------------------------------------------------------------- */

/* `claimed` is 0, or, while a thread drains it, the number of forks until now and one: an older number was
** left by a thread that is not there in this process. Only who has claimed it reads and writes what `pending`
** heads; others look whether it is NULL.
**
** The hook is set, or about to be set by who pushed or left something last, or by who clears it, whenever a
** stack is not empty. All that change it do so by one read-modify-write: so who clears it sees, by acquire,
** what was pushed and left before any of the settings until then (they are one release sequence), and looks
** again. */
enum { STACKS = 16 };
typedef struct shared_stack {
  _Alignas(64) _Atomic(rc_object*) pushed;
  _Atomic(rc_object*) pending;
  _Atomic uint32_t claimed;
} shared_stack;
static shared_stack stacks[STACKS];

static unsigned stack_here(void) { return (unsigned)((uintptr_t)&tls >> 12) * 0x9e3779b1u >> 28; }
_Static_assert(STACKS == 1 << (32 - 28), "stack_here has a bit for each doubling");

static bool drain_hook(mi_task_t* task, mi_heap_t* heap, unsigned class, size_t words,
                       drain_mode mode);

static void hook_set(void) {
  (void)atomic_exchange_explicit(&task_drain_shared, drain_hook, memory_order_release);
}

/* Release: who takes the list sees what is in it. */
void shared_push(rc_object* first, rc_object* last) {
  shared_stack* s = &stacks[stack_here()];
  unsigned bits = dead_bits(dead_word(last));
  rc_object* head = atomic_load_explicit(&s->pushed, memory_order_relaxed);
  do dead_link(last, bits, head);
  while (!atomic_compare_exchange_weak_explicit(&s->pushed, &head, first, memory_order_release,
                                                memory_order_relaxed));
  hook_set();
}

static bool stack_claim(shared_stack* s) {
  uint32_t mine = atomic_load_explicit(&fork_count, memory_order_relaxed) + 1;
  uint32_t claim = atomic_load_explicit(&s->claimed, memory_order_relaxed);
  if (claim == mine || !atomic_compare_exchange_strong_explicit(
                           &s->claimed, &claim, mine, memory_order_acquire, memory_order_relaxed))
    return false;
  /* what a thread was at when the process forked is not whole */
  if (claim != 0) atomic_store_explicit(&s->pending, NULL, memory_order_relaxed);
  return true;
}

static bool stack_is_empty(shared_stack* s) {
  return atomic_load_explicit(&s->pushed, memory_order_relaxed) == NULL &&
         atomic_load_explicit(&s->pending, memory_order_relaxed) == NULL;
}

/* What is pushed is taken once: others could keep this thread here for good. */
static size_t stack_drain(shared_stack* s, mi_task_t* task, size_t units) {
  if (stack_is_empty(s) || !stack_claim(s)) return 0;
  sink_t to = {.task = task, .eager = true, .shared = true};
  to.list = atomic_load_explicit(&s->pending, memory_order_relaxed);
  size_t spent = 0;
  for (bool taken = false; spent < units;) {
    if (to.list == NULL && !taken) {
      to.list = atomic_exchange_explicit(&s->pushed, NULL, memory_order_acquire);
      taken = true;
    }
    if (to.list == NULL) break;
    rc_object* o = to.list;
    uint64_t w = dead_word(o);
    to.list = dead_next(w);
    spent += object_release(&to, o, dead_bits(w), units - spent);
  }
  atomic_store_explicit(&s->pending, to.list, memory_order_relaxed);
  atomic_store_explicit(&s->claimed, 0, memory_order_release);
  if (to.list != NULL) hook_set();
  return spent;
}

static bool all_empty(void) {
  unsigned i = 0;
  while (i < STACKS && stack_is_empty(&stacks[i])) i++;
  return i == STACKS;
}

/* What one thread holds in its hands it sets the hook for, if it leaves something. */
static void hook_clear(void) {
  if (!all_empty()) return;
  (void)atomic_exchange_explicit(&task_drain_shared, NULL, memory_order_acquire);
  if (!all_empty()) hook_set();
}

size_t shared_drain(mi_task_t* task, size_t units) {
  if (atomic_load_explicit(&task_drain_shared, memory_order_relaxed) == NULL) return 0;
  size_t spent = 0;
  unsigned first = stack_here();
  for (unsigned i = 0; i < STACKS && spent < units; i++)
    spent += stack_drain(&stacks[(first + i) % STACKS], task, units - spent);
  if (spent < units) hook_clear();
  return spent;
}

/* A refill pays as much again for shared garbage as for its task's own. */
static bool drain_hook(mi_task_t* task, mi_heap_t* heap, unsigned class, size_t words,
                       drain_mode mode) {
  (void)heap, (void)class;
  size_t price = (size_t)pace_of(task) * words;
  size_t most = mode == DRAIN_ALL ? SIZE_MAX : price < REQUEST_UNITS ? price : REQUEST_UNITS;
  size_t spent = shared_drain(task, most);
  task->units += spent;
  uint64_t* record = &state_of(task)->counted.shared_units_max;
  if (mode != DRAIN_ALL && spent > *record) *record = spent;
  return spent == most;
}
