/* task.c: who allocates. Binding of tasks to threads, the charge of ticks, beats, and the
** callbacks.
**
** The clock is a countdown in thread-local storage that each allocating call lowers by its
** charge; at zero a beat is due, or the alarm of an upper layer. goal is that tick, so the ticks so far are goal
** - countdown, and nothing else needs to be counted. */
#include "alloc/internal.h"

#include <limits.h>

static const tls_t tls_none = {&heap_none, COUNTDOWN_NONE, NO_TASK, &heap_none};
_Thread_local tls_t tls = {&heap_none, COUNTDOWN_NONE, NO_TASK, &heap_none};
/* The same for what rc.h inlines into programs, which may be interposed together with all public functions. */
extern __attribute__((alias("tls"), visibility("default"),
                      tls_model("initial-exec"))) _Thread_local tls_t mi_thread_data;
uint8_t class_of_fast[FAST_MAX + 1];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key; /* its value is the thread's own task, while it is there */
enum { KEY_NONE, KEY_THERE, KEY_GONE };
static atomic_int exit_key_state;
pthread_mutex_t tasks_lock = PTHREAD_MUTEX_INITIALIZER; /* guards tasks_unused and registration */
static mi_task_t* tasks_unused;

/* The callbacks that are registered. A set never changes: registering makes another one and
** publishes it, so that a thread which walks one is not disturbed. */
typedef struct deferred {
  uint32_t count;
  struct {
    mi_deferred_free_fun* fn;
    void* arg;
  } at[DEFERRED_MAX];
} deferred_t;
_Atomic(deferred_t*) deferred; /* NULL: none */
_Atomic(drain_fun*) task_drain_orphans;
_Atomic(drain_fun*) task_drain_shared;

/* ---- Process and thread ---------------------------------------------------------------------- */

uint64_t process_start_ns;

/* Blocks that other destructors free or allocate afterwards start a new task, which ends the
** same way. While a task of runtime/ is entered, the thread's own waits for it to be left, by a
** later destructor perhaps. */
static void thread_exit(void* arg) {
  static _Thread_local int rounds;
  mi_task_t* task = arg;
  if (tls.task == task) {
    task->parked = tls.countdown;
    tls = tls_none;
    task_delete(task, true);
  } else if (++rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(exit_key, task);
  } else {
    warn(
        "sluice: warning: a thread ended within a task (rt_leave is missing); what it had "
        "before stays");
  }
}

void mi_thread_done(void) {
  mi_task_t* task = tls.task;
  if (task == NO_TASK || !task->implicit) return;
  if (exit_key_state == KEY_THERE) pthread_setspecific(exit_key, NULL);
  thread_exit(task);
}

/* Who ends from now on leaves all as it is, and nothing of this library is called. */
void threads_forget(void) {
  if (atomic_exchange(&exit_key_state, KEY_GONE) == KEY_THERE) pthread_key_delete(exit_key);
}

static void exit_hook_set(mi_task_t* task) {
  static atomic_flag said = ATOMIC_FLAG_INIT;
  if (exit_key_state == KEY_THERE && pthread_setspecific(exit_key, task) == 0) return;
  if (exit_key_state == KEY_GONE) return;
  if (!atomic_flag_test_and_set_explicit(&said, memory_order_relaxed))
    warn("sluice: warning: no thread key, or no memory for it; what threads leave stays theirs");
}

static void init(void) {
  process_start_ns = os_now_ns();
  options_init();
  reserve_at_start();
  for (unsigned size = 0; size <= FAST_MAX; size++)
    class_of_fast[size] = (uint8_t)class_of_bytes(size);
  if (CHECKED) checked_init();
  if (pthread_key_create(&exit_key, thread_exit) == 0) exit_key_state = KEY_THERE;
  if (option_value(mi_option_show_stats)) os_keep_stderr();
  if (option_value(mi_option_verbose)) options_print_at_start();
}

void process_init(void) { pthread_once(&once, init); }

/* ---- Records --------------------------------------------------------------------------------- */

void task_recycle(mi_task_t* task) {
  pthread_mutex_lock(&tasks_lock);
  task->next = tasks_unused;
  tasks_unused = task;
  pthread_mutex_unlock(&tasks_lock);
}

mi_task_t* task_new(arena_t* arena, uint64_t period, bool implicit) {
  pthread_mutex_lock(&tasks_lock);
  mi_task_t* task = tasks_unused;
  if (task != NULL) tasks_unused = task->next;
  pthread_mutex_unlock(&tasks_lock);
  if (task == NULL) task = record_alloc(sizeof *task, 64);
  if (task == NULL) {
    errno = ENOMEM;
    return NULL;
  }
  memset(task, 0, sizeof *task);
  task->heap = &heap_none;
  task->arena = arena;
  task->period = task->goal = task->beat_at = period;
  task->alarm = ALARM_NONE;
  task->parked = (int64_t)period;
  task->bytes_limit = task->room = task->room_least = BYTES_UNLIMITED;
  task->quantum = QUANTUM_WORDS;
  task->implicit = implicit;
  if (MI_SECURE && !secure_begin(task)) {
    task_recycle(task);
    return NULL;
  }
  subproc_enter(task);
  return task;
}

/* The hook comes last: from then on the record is another thread's, which may recycle it. */
void task_delete(mi_task_t* task, bool abandon) {
  if (task->on_delete != NULL) task->on_delete(task, abandon);
  while (task->heaps != NULL) heap_end(task->heaps, abandon);
  nursery_end(task);
  if (MI_SECURE) secure_end(task);
  subproc_leave(task);
  bool kept = task->on_exit != NULL && abandon && task->on_exit(task);
  if (!kept) task_recycle(task);
}

/* What the thread was charged before it had a task (its first call) is the new task's. */
static void thread_task(void) {
  process_init();
  mi_task_t* task = task_new(&arena_main, (uint64_t)option_value(mi_option_heartbeat_period), true);
  if (task == NULL) return;
  int64_t charged = COUNTDOWN_NONE - tls.countdown;
  tls = (tls_t){&heap_none, task->parked - charged, task, &heap_none};
  exit_hook_set(task);
  if (tls.countdown <= 0) task_charge_slow(0);
}

mi_task_t* task_self(void) {
  if (unlikely(tls.task == NO_TASK)) thread_task();
  return tls.task == NO_TASK ? NULL : tls.task;
}

static mi_heap_t* exact_of(mi_task_t* task) {
  return CHECKED || task->exact_hidden || task->exact == NULL ? &heap_none : task->exact;
}

void task_hide_exact(mi_task_t* task, bool hidden) {
  task->exact_hidden = hidden;
  if (tls.task == task) tls.exact = exact_of(task);
}

mi_heap_t* task_backing_of(mi_task_t* task) {
  if (task->backing != NULL) return task->backing;
  mi_heap_t* heap = heap_new(task, task->arena);
  if (heap == NULL) return NULL;
  heap->by_grant = !task->implicit;
  heap->adopts = true;
  task->heap = task->backing = heap;
  if (task->exact == NULL) task->exact = heap;
  if (task == tls.task) {
    tls.heap = heap;
    tls.exact = exact_of(task);
  }
  return heap;
}

mi_heap_t* task_default_heap(void) {
  mi_task_t* task = task_self();
  if (task == NULL) return NULL;
  return task->heap != &heap_none ? task->heap : task_backing_of(task);
}

mi_task_t* task_own(void) {
  mi_task_t* task = task_self();
  if (task == NULL || task->implicit) return task;
  return exit_key_state == KEY_THERE ? pthread_getspecific(exit_key) : NULL;
}

mi_heap_t* task_backing_heap(void) {
  return task_default_heap() != NULL ? tls.task->backing : NULL;
}

mi_heap_t* task_exact_heap(void) {
  mi_task_t* task = task_self();
  if (task == NULL) return NULL;
  return task->exact != NULL ? task->exact : task_default_heap();
}

void task_bind(mi_task_t* task) {
  if (tls.task != NO_TASK && !tls.task->in_callback) tls.task->parked = tls.countdown;
  if (task == NO_TASK)
    tls = tls_none;
  else
    tls = (tls_t){task->heap, task->in_callback ? COUNTDOWN_UNBOUND : task->parked, task,
                  exact_of(task)};
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

/* What a callback allocates is not charged: the countdown is put away meanwhile. */
static void callback_enter(mi_task_t* task) {
  task->in_callback = true;
  task->parked = tls.countdown;
  tls.countdown = COUNTDOWN_UNBOUND;
}

static void callback_leave(mi_task_t* task) {
  tls.countdown = task->parked;
  task->in_callback = false;
}

bool task_hush(mi_task_t* task) {
  if (task->in_callback) return false;
  callback_enter(task);
  return true;
}

void task_unhush(mi_task_t* task) { callback_leave(task); }

uint64_t task_ticks(const mi_task_t* task) {
  bool running = task == tls.task && !task->in_callback;
  uint64_t ticks = task->goal - (uint64_t)(running ? tls.countdown : task->parked);
  return ticks < CLOCK_MAX ? ticks : CLOCK_MAX;
}

/* It may remove the heap's callbacks. */
static void call_heap_deferred(mi_heap_t* heap, bool force, uint64_t beat) {
  for (unsigned i = 0; i < heap->deferred_count; i++)
    heap->deferred[i].fn(heap, force, beat, heap->deferred[i].arg);
}

/* Those of all tasks, then the heap's, or, if it is NULL, those of all the task's heaps: none of them
** ends meanwhile (see may_end). */
static void call_deferred(mi_task_t* task, mi_heap_t* heap, bool force) {
  deferred_t* set = atomic_load_explicit(&deferred, memory_order_acquire);
  uint64_t beat = task_ticks(task) / task->period;
  for (uint32_t i = 0; set != NULL && i < set->count; i++)
    set->at[i].fn(force, beat, set->at[i].arg);
  if ((task->hooks & HOOK_HEAPS) == 0) return;
  if (heap != NULL)
    call_heap_deferred(heap, force, beat);
  else
    for (heap = task->heaps; heap != NULL; heap = heap->next) call_heap_deferred(heap, force, beat);
}

static void find_heap_hooks(mi_task_t* task) {
  task->hooks &= ~(unsigned)HOOK_HEAPS;
  for (const mi_heap_t* h = task->heaps; h != NULL; h = h->next)
    if (h->deferred_count > 0) task->hooks |= HOOK_HEAPS;
}

void task_heap_ends(mi_heap_t* heap) {
  if (heap->deferred_count > 0) find_heap_hooks(heap->task);
}

void mi_heap_register_deferred_free(mi_heap_t* heap, mi_heap_deferred_free_fun* fn, void* arg) {
  if (!heap_is_mine_checked(heap)) return;
  if (fn == NULL) {
    heap->deferred_count = 0;
  } else if (heap->deferred_count == HEAP_DEFERRED_MAX) {
    warn("sluice: warning: heap %p has %d deferred-free callbacks, one more is refused",
         (void*)heap, HEAP_DEFERRED_MAX);
    return;
  } else {
    heap->deferred[heap->deferred_count].fn = fn;
    heap->deferred[heap->deferred_count++].arg = arg;
  }
  find_heap_hooks(heap->task);
}

void mi_register_deferred_free(mi_deferred_free_fun* fn, void* arg) {
  pthread_mutex_lock(&tasks_lock);
  deferred_t* before = atomic_load_explicit(&deferred, memory_order_relaxed);
  uint32_t n = before != NULL ? before->count : 0;
  deferred_t* set = fn != NULL && n < DEFERRED_MAX ? record_alloc(sizeof *set, 64) : NULL;
  if (set != NULL) {
    if (before != NULL) *set = *before;
    set->at[n].fn = fn;
    set->at[n].arg = arg;
    set->count = n + 1;
  }
  if (set != NULL || fn == NULL) atomic_store_explicit(&deferred, set, memory_order_release);
  pthread_mutex_unlock(&tasks_lock);
  if (set != NULL || fn == NULL) return;
  if (n == DEFERRED_MAX)
    warn("sluice: warning: %d deferred-free callbacks are registered, one more is refused", n);
  else
    warn("sluice: warning: no memory to register a deferred-free callback");
}

static bool drain(mi_task_t* task, mi_heap_t* heap, unsigned class, size_t words, drain_mode mode) {
  drain_fun* fn = task->drain;
  if (fn == NULL && task->implicit)
    fn = atomic_load_explicit(&task_drain_orphans, memory_order_relaxed);
  bool waits = fn != NULL && fn(task, heap, class, words, mode);
  drain_fun* shared = atomic_load_explicit(&task_drain_shared, memory_order_relaxed);
  return (shared != NULL && shared(task, heap, class, words, mode)) || waits;
}

bool task_on_refill(mi_heap_t* heap, unsigned class, size_t words) {
  mi_task_t* task = heap->task;
  if (task->in_callback || task != tls.task) return false;
  callback_enter(task);
  call_deferred(task, heap, false);
  bool waits = drain(task, heap, class, words, DRAIN_REFILL);
  callback_leave(task);
  return waits;
}

void task_force(mi_task_t* task) {
  if (task->in_callback || task != tls.task) return;
  pause_t pause = pause_begin(task);
  callback_enter(task);
  call_deferred(task, NULL, true);
  drain(task, NULL, 0, 0, DRAIN_ALL);
  if (task->on_force != NULL) task->on_force(task);
  callback_leave(task);
  pause_end(task, PAUSE_FORCED, pause);
}

/* ---- Ticks and beats ------------------------------------------------------------------------- */

pause_t pause_open(mi_task_t* task) {
  task->pauses_open++;
  return (pause_t){.units = task->units, .since_ns = task->measure ? os_now_ns() : 0};
}

void pause_close(mi_task_t* task, int kind, pause_t p) {
  task->forced |= kind == PAUSE_FORCED;
  if (--task->pauses_open > 0) return;
  p.kind = task->forced ? PAUSE_FORCED : kind;
  p.units = task->units - p.units;
  p.ns = task->measure ? ns_since(p.since_ns) : 0;
  task->forced = false;
  pause_record_t* r = &task->pauses[p.kind];
  r->count++;
  if (p.units > r->units) r->units = p.units;
  if (p.ns > r->ns) r->ns = p.ns;
  r->total_ns += p.ns;
  if (task->on_pause != NULL) task->on_pause(task, &p);
}

/* Each DECAY ticks; a heartbeat's period may be anything. */
static void decay(mi_task_t* task) {
  enum { DECAY = 1 << 22 };
  uint64_t age = task_ticks(task) / DECAY;
  if (age == task->age) return;
  task->age = age;
  arena_decay(task->arena);
}

static void beat(mi_task_t* task) {
  pause_t pause = pause_begin(task);
  decay(task);
  if (task->on_look != NULL) task->on_look(task);
  callback_enter(task);
  call_deferred(task, NULL, false);
  if (task->drain != NULL) task->drain(task, NULL, 0, 0, DRAIN_BEAT);
  if (task->on_beat != NULL) task->on_beat(task, task_ticks(task) / task->period);
  callback_leave(task);
  pause_end(task, PAUSE_BEAT, pause);
}

/* Sets goal; gives the countdown to it. */
static int64_t wind(mi_task_t* task, uint64_t now) {
  task->goal = task->beat_at;
  if (task->alarm < task->goal) task->goal = task->alarm > now ? task->alarm : now + 1;
  return (int64_t)(task->goal - now);
}

void task_set_alarm(mi_task_t* task, uint64_t tick) {
  bool running = task == tls.task && !task->in_callback;
  uint64_t now = task->goal - (uint64_t)(running ? tls.countdown : task->parked);
  task->alarm = tick;
  *(running ? &tls.countdown : &task->parked) = wind(task, now);
}

/* A call that crosses several beats makes one, with the last number. The clock stops at CLOCK_MAX.
** What a thread is charged that has no memory for a task is owed. */
void task_charge_slow(uint64_t ticks) {
  mi_task_t* task = task_self();
  if (task != NULL && task->in_callback) return;
  uint64_t now = (task != NULL ? task->goal : COUNTDOWN_NONE) - (uint64_t)tls.countdown;
  uint64_t room = now < CLOCK_MAX ? CLOCK_MAX - now : 0;
  if (ticks > room) ticks = room;
  tls.countdown -= (int64_t)ticks;
  if (task == NULL || tls.countdown > 0) return;
  now += ticks;
  bool stopped = now > CLOCK_MAX; /* the fast path does not look at the end of the clock */
  if (stopped) now = CLOCK_MAX;
  bool beats = now >= task->beat_at, rings = now >= task->alarm;
  if (beats) task->beat_at = (now / task->period + 1) * task->period;
  tls.countdown = wind(task, now);
  if (beats && !stopped) beat(task);
  if (rings && !stopped) task->on_alarm(task);
}

uint64_t mi_ticks(void) {
  mi_task_t* task = task_self();
  return task == NULL ? 0 : task_ticks(task);
}

uint64_t mi_heartbeat_period(void) {
  mi_task_t* task = task_self();
  return task == NULL ? (uint64_t)option_value(mi_option_heartbeat_period) : task->period;
}

uint64_t mi_heartbeat(void) { return mi_ticks() / mi_heartbeat_period(); }

void mi_tick(uint64_t n) { task_charge(n); }

/* ---- Byte limit ------------------------------------------------------------------------------ */

static void collect_granted(mi_task_t* task) {
  for (mi_heap_t* h = task->heaps; h != NULL; h = h->next)
    if (h->by_grant) heap_collect(h);
}

static bool fits(const mi_task_t* task, size_t bytes) {
  return bytes <= PTRDIFF_MAX && (int64_t)bytes <= task->room;
}

void task_free_all(mi_task_t* task) {
  task_force(task);
  collect_granted(task);
}

bool task_make_room(mi_task_t* task, size_t bytes) {
  if (fits(task, bytes)) return true;
  task_free_all(task);
  while (!fits(task, bytes))
    if (task->on_refusal == NULL || !task->on_refusal(task, bytes)) return false;
  return true;
}

bool task_reserve_slow(mi_task_t* task, size_t bytes) {
  if (!task_make_room(task, bytes)) {
    errno = ENOMEM;
    return false;
  }
  task->room -= (int64_t)bytes;
  return true;
}
