/* runtime.c: tasks with limits, on the allocator's tasks.
**
** An rt_task adds to an allocator task (which has the clock, the heaps and the byte count): the
** limits (scope.c), its parent (child.c), and the binding to a thread. */
#include "runtime/internal.h"

#include "rc/rc.h"
#include "runtime/record.h"

_Static_assert(offsetof(tls_t, countdown) == offsetof(rt_thread, countdown) &&
                   offsetof(tls_t, task) == offsetof(rt_thread, task) &&
                   offsetof(tls_t, exact) == offsetof(rt_thread, lists) &&
                   offsetof(mi_task_t, room) == 0 &&
                   offsetof(mi_task_t, watch) == 2 * sizeof(int64_t) &&
                   offsetof(mi_heap_t, list) == 0,
               "runtime.h tells what is inlined where things are");

static const size_t GRACE = 256 * KiB;
enum { PERIOD = 1000 }; /* not an option's: limits depend on the program alone */

static pthread_mutex_t unused_lock = PTHREAD_MUTEX_INITIALIZER;
static rt_task* unused;

__attribute__((constructor)) static void load(void) { fork_guard(&unused_lock); }

/* ---- Life ------------------------------------------------------------------------------------ */

static rt_task* record_new(void) {
  pthread_mutex_lock(&unused_lock);
  rt_task* t = unused;
  if (t != NULL) unused = t->next;
  pthread_mutex_unlock(&unused_lock);
  if (t == NULL) t = record_alloc(sizeof *t, _Alignof(rt_task));
  if (t != NULL) memset(t, 0, sizeof *t);
  return t;
}

static void record_free(rt_task* t) {
  pthread_mutex_lock(&unused_lock);
  t->next = unused;
  unused = t;
  pthread_mutex_unlock(&unused_lock);
}

/* The parts that can fail, in order; on failure those before are undone by the caller through
** `t`. */
static bool build(rt_task* t, const rt_config* config) {
  arena_t* arena = config->repeatable_addresses ? arena_new() : &arena_main;
  if (arena == NULL) return false;
  uint64_t period = config->heartbeat_period;
  t->task = task_new(arena, period != 0 ? period : PERIOD, false);
  if (t->task == NULL) {
    if (arena != &arena_main) arena_delete(arena);
    return false;
  }
  t->task->exact = heap_new(t->task, t->task->arena);
  if (t->task->exact == NULL || !recorder_begin(t->task, config)) return false;
  return !config->compact || nursery_open(t->task, t->task->exact);
}

static void unbuild(rt_task* t) {
  if (t->task != NULL) {
    arena_t* arena = t->task->arena;
    recorder_end(t->task);
    task_delete(t->task, false);
    if (arena != &arena_main) arena_delete(arena);
  }
  if (t->log != NULL) log_end(t);
  record_free(t);
}

static void set_pace_of_beats(rt_task* t) {
  task_resume(t);
  (void)rc_set_pacing(&(rc_pacing){2, 256, RC_DEBT_AUTO, RC_ON_BEATS});
  task_suspend(t);
}

rt_task* rt_task_new(const rt_config* config) {
  static const rt_config none;
  if (config == NULL) config = &none;
  if (config->heartbeat_period > CLOCK_MAX) {
    errno = EINVAL;
    return NULL;
  }
  process_init();
  rt_task* t = record_new();
  if (t == NULL || !build(t, config)) {
    if (t != NULL) unbuild(t);
    errno = ENOMEM;
    return NULL;
  }
  t->grace = config->grace_bytes != 0 ? config->grace_bytes : GRACE;
  t->collects = config->collects;
  t->on_expiry = config->on_expiry;
  t->on_expiry_arg = config->on_expiry_arg;
  t->take_back = config->take_back;
  t->take_back_arg = config->take_back_arg;
  log_begin(t, config);
  t->task->on_beat = task_on_beat;
  t->task->on_alarm = task_on_alarm;
  t->task->on_refusal = task_on_refusal;
  scope_root(t, &(rt_limits){config->name, config->heartbeats, config->ticks, config->bytes,
                             config->depth});
  if (config->deterministic) set_pace_of_beats(t);
  return t;
}

void task_resume(rt_task* t) {
  t->before = tls.task;
  t->outer = task_current;
  t->depth_before = rt_depth_left;
  task_current = t;
  rt_depth_left = t->depth_left;
  task_bind(t->task);
}

void task_suspend(rt_task* t) {
  task_bind(t->before);
  task_current = t->outer;
  t->depth_left = rt_depth_left;
  rt_depth_left = t->depth_before;
}

/* Acquire and release: what the task's last thread did happens before what the next one does. */
int rt_enter(rt_task* t) {
  (void)task_self(); /* its end tells of a missing rt_leave */
  bool idle = false;
  if (!atomic_compare_exchange_strong_explicit(&t->entered, &idle, true, memory_order_acquire,
                                               memory_order_relaxed))
    return EBUSY;
  task_resume(t);
  return 0;
}

void rt_leave(void) {
  rt_task* t = task_current;
  if (t == NULL) return;
  if (t->task->in_callback) {
    report_error(EPERM,
                 "sluice: error: rt_leave within a callback of the allocator: the task stays");
    return;
  }
  task_suspend(t);
  atomic_store_explicit(&t->entered, false, memory_order_release);
}

rt_task* rt_current(void) { return task_current; }
mi_task_t* task_of(const rt_task* t) { return t->task; }

/* By the option: what objects the task ends with, and why. */
static void show_leaks(rt_task* t) {
  if (!CHECKED || !option_value(mi_option_show_leaks) || rt_enter(t) != 0) return;
  rc_drain(SIZE_MAX);
  if (t->task->objects > 0) rc_report_leaks(stderr);
  rt_leave();
}

bool task_claim(rt_task* t) {
  bool idle = false;
  show_leaks(t);
  return atomic_load_explicit(&t->children, memory_order_acquire) == 0 &&
         atomic_compare_exchange_strong_explicit(&t->entered, &idle, true, memory_order_acquire,
                                                 memory_order_relaxed);
}

/* The parent may end from then on. */
void task_end_claimed(rt_task* t) {
  rt_task* parent = t->parent;
  unbuild(t);
  if (parent != NULL) atomic_fetch_sub_explicit(&parent->children, 1, memory_order_release);
}

int rt_task_end(rt_task* t) {
  if (!task_claim(t)) return EBUSY;
  task_end_claimed(t);
  return 0;
}

uint64_t rt_ticks(const rt_task* t) { return task_ticks(t->task); }
uint64_t rt_heartbeats(const rt_task* t) { return task_ticks(t->task) / t->task->period; }
uint64_t rt_bytes(const rt_task* t) { return task_bytes(t->task); }
uint64_t rt_bytes_peak(const rt_task* t) { return task_bytes_peak(t->task); }

/* ---- Memory of known size -------------------------------------------------------------------- */

static void* place(mi_heap_t* heap, size_t size) {
  void* p = nursery_alloc(heap->task, size);
  return p != NULL ? p : heap_alloc(heap, size, false);
}

static __attribute__((noinline)) void* exact_alloc(size_t size) {
  mi_heap_t* heap = task_exact_heap();
  if (heap == NULL || !task_reserve(heap->task, size)) return NULL;
  void* p = place(heap, size);
  if (p == NULL) task_reserve_undo(heap->task, size);
  return p;
}

/* A block off its class's list, if there is one, and room for it; else NULL. */
static inline void* listed_alloc(size_t size) {
  if (size > FAST_MAX) return NULL;
  block_t** list = &tls.exact->list[class_of_fast[size]];
  block_t* block = *list;
  if (block == NULL || tls.task->room < (int64_t)size) return NULL;
  tls.task->room -= (int64_t)size;
  *list = block->next;
  return block;
}

void* rt_alloc(size_t size) {
  task_charge(ticks_of(size));
  void* p = listed_alloc(size);
  return p != NULL ? p : exact_alloc(size);
}

/* A block of another task, which stays counted there; if it is to shrink and cannot be moved, in place. */
static void* move_here(void* p, size_t oldsize, size_t newsize) {
  void* q = exact_alloc(newsize);
  if (q == NULL) return newsize <= oldsize ? p : NULL;
  memcpy(q, p, oldsize < newsize ? oldsize : newsize);
  mi_free(p);
  return q;
}

/* The same for a block in the nursery; what is counted is the caller's. */
static void* nursery_realloc(mi_heap_t* heap, void* p, size_t oldsize, size_t newsize) {
  if (nursery_resize(heap->task, p, oldsize, newsize)) return p;
  void* q = place(heap, newsize);
  if (q == NULL) return NULL;
  memcpy(q, p, oldsize < newsize ? oldsize : newsize);
  nursery_free(heap->task, p, oldsize);
  return q;
}

/* Growth is counted before it happens. Shrinking that finds no memory stays in place. */
static __attribute__((noinline)) void* exact_realloc(void* p, size_t oldsize, size_t newsize) {
  mi_heap_t* heap = task_exact_heap();
  if (heap == NULL) return NULL;
  page_t* page = page_of(p);
  if (page != NULL && !page_is_of(page, heap->task)) return move_here(p, oldsize, newsize);
  if (newsize > oldsize && !task_reserve(heap->task, newsize - oldsize)) return NULL;
  void* q = nursery_has(heap->task, p) ? nursery_realloc(heap, p, oldsize, newsize)
                                       : heap_realloc(heap, p, newsize, 1, 0, false);
  if (q == NULL && newsize > oldsize) {
    task_reserve_undo(heap->task, newsize - oldsize);
    return NULL;
  }
  if (newsize < oldsize) task_unreserve(heap->task, oldsize - newsize);
  return q != NULL ? q : p;
}

/* Is it the calling task's, of blocks of a class, and not full? Then its blocks begin where they were handed
** out. */
static inline bool is_plain(const page_t* page) {
  return !CHECKED && page_owner(page) == (uintptr_t)tls.task;
}

void* rt_realloc_quick(void* p, size_t oldsize, size_t newsize) {
  page_t* page = slot_of(p);
  if (newsize > FAST_MAX || tls.countdown <= 1 || !is_plain(page) || newsize <= page->stride)
    return NULL;
  block_t** list = &tls.exact->list[class_of_fast[newsize]];
  block_t* block = *list;
  int64_t room = tls.task->room - (int64_t)(newsize - oldsize);
  if (block == NULL || room < tls.task->watch) return NULL;
  tls.task->room = room;
  tls.countdown--;
  *list = block->next;
  memcpy(block, p, page->stride);
  page_free_local(page, p);
  return block;
}

void* rt_realloc(void* p, size_t oldsize, size_t newsize) {
  if (p == NULL) return rt_alloc(newsize);
  void* q = rt_realloc_quick(p, oldsize, newsize);
  if (q != NULL) return q;
  task_charge(ticks_of(newsize));
  return exact_realloc(p, oldsize, newsize);
}

/* What another task allocated was counted there. */
static __attribute__((noinline)) void free_looking(void* p, size_t size) {
  if (p == NULL) return;
  mi_task_t* task = task_self();
  page_t* page = page_of(p);
  bool small = task != NULL && nursery_has(task, p);
  if (small || (task != NULL && page != NULL && page_is_of(page, task))) task_unreserve(task, size);
  if (small)
    nursery_free(task, p, size);
  else
    mi_free(p);
}

void rt_free_sized(void* p, size_t size) {
  page_t* page = slot_of(p);
  if (unlikely(!is_plain(page) || page->local_free == p)) {
    free_looking(p, size);
    return;
  }
  task_note_peak(tls.task);
  tls.task->room += (int64_t)size;
  page_free_local(page, p);
}

/* ---- Images ---------------------------------------------------------------------------------- */

/* One heap, and in it one page, which is the nursery's; or none, and there is a nest. */
static bool has_nursery_only(const mi_task_t* task) {
  const mi_heap_t* heap = task->heaps;
  const uint64_t single = (uint64_t)1 << CLASS_BYTES | (uint64_t)1 << CLASS_LARGE;
  if (heap == NULL || heap->next != NULL || task->objects != 0) return false;
  if ((heap->classes & ~single) != 0) return false;
  return task->nest != NULL ? heap->full == NULL : heap->full != NULL && heap->full->next == NULL;
}

bool rt_get_image(const rt_task* t, rt_image* image) {
  *image = (rt_image){.start = t->task->nursery,
                      .size = nursery_size(t->task),
                      .ticks = rt_ticks(t),
                      .bytes = rt_bytes(t),
                      .bytes_peak = rt_bytes_peak(t)};
  return image->size != 0 && has_nursery_only(t->task);
}

void* rt_put_image(const rt_image* image) {
  rt_task* t = task_current;
  if (t == NULL || rt_ticks(t) != 0 || rt_bytes_peak(t) != 0) return NULL;
  if (rt_left(RT_HEARTBEATS) <= image->ticks || rt_left(RT_MEMORY) <= image->bytes_peak)
    return NULL;
  if (!has_nursery_only(t->task) || !nursery_copy(t->task, image->start, image->size)) return NULL;
  (void)task_reserve(t->task, image->bytes_peak); /* there is room */
  task_unreserve(t->task, image->bytes_peak - image->bytes);
  (void)rt_tick(image->ticks);
  return t->task->nursery;
}

void rt_keep_clear(void) {
  if (task_current != NULL) nursery_keep_clear(task_current->task);
}

void rt_end_compact(void) {
  if (task_current != NULL) nursery_close(task_current->task);
}

uint64_t rt_offset(const rt_task* t, const void* p) {
  const char* region = t->task->arena->start;
  uintptr_t offset = (uintptr_t)p - (uintptr_t)region;
  return region != NULL && offset < REGION ? offset : 0;
}

/* ---- Pauses ---------------------------------------------------------------------------------- */

_Static_assert((int)RT_PAUSE_KINDS == (int)PAUSE_KINDS &&
                   (int)RT_PAUSE_RC_DEC == (int)PAUSE_RC_DEC &&
                   (int)RT_PAUSE_REFILL == (int)PAUSE_REFILL &&
                   (int)RT_PAUSE_REQUEST == (int)PAUSE_REQUEST &&
                   (int)RT_PAUSE_BEAT == (int)PAUSE_BEAT &&
                   (int)RT_PAUSE_FORCED == (int)PAUSE_FORCED,
               "the kinds are those of the allocator");

void rt_get_pauses(const rt_task* t, rt_pause out[RT_PAUSE_KINDS]) {
  for (int i = 0; i < RT_PAUSE_KINDS; i++) {
    const pause_record_t* r = &t->task->pauses[i];
    out[i] = (rt_pause){r->count, r->units, r->ns, r->total_ns};
  }
}

const char* rt_pause_name(rt_pause_kind kind) {
  static const char* const names[] = {"rc_dec", "refill", "request", "beat", "forced"};
  return (unsigned)kind < RT_PAUSE_KINDS ? names[kind] : "unknown";
}
