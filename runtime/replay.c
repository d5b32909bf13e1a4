/* replay.c: what the host decided about a task while it ran: the log of it, and another run by that log.
**
** All else depends on the program alone. A point of the run is a tick, and how many of the calls that can find
** the task ended were made by then; beats, the only other place to find that, are at ticks of their own. In a
** replay each entry waits for its point, in order, and nobody is asked: the same program comes to the same end. */
#include "runtime/internal.h"

/* ---- The log ---------------------------------------------------------------------------------- */

void log_begin(rt_task* t, const rt_config* config) {
  t->log = t->first_log;
  t->log_room = FIRST_LOG;
  t->replay = config->replay;
  t->replay_left = config->replay != NULL ? config->replay_count : 0;
  if (t->replay_left > 0) atomic_init(&t->outside, OUTSIDE_REPLAY);
}

void log_end(rt_task* t) {
  if (t->log != t->first_log) mi_free(t->log);
}

/* Is there a place, beside the one for the end of the whole task? A larger log is in the thread's own heap:
** what the host asked for is not the task's. */
static bool log_reserve(rt_task* t) {
  if (t->log_count + 1 < t->log_room) return true;
  mi_task_t* own = task_own();
  mi_heap_t* heap = own != NULL ? task_backing_of(own) : NULL;
  size_t room = 8 * t->log_room;
  rt_extension* log = heap != NULL ? heap_alloc(heap, room * sizeof *log, false) : NULL;
  if (log == NULL) return false;
  memcpy(log, t->log, t->log_count * sizeof *log);
  log_end(t);
  t->log = log;
  t->log_room = room;
  return true;
}

static void log_add(rt_task* t, uint64_t amount, const rt_scope* s, rt_limit limit) {
  mi_assert(t->log_count < t->log_room);
  t->log[t->log_count++] = (rt_extension){task_ticks(t->task), amount, s->serial, limit, t->calls};
}

const rt_extension* rt_extensions(const rt_task* t, size_t* count) {
  *count = t->log_count;
  return t->log;
}

/* ---- Extension ------------------------------------------------------------------------------- */

static void replay_next(rt_task* t) {
  t->replay++;
  if (--t->replay_left == 0)
    atomic_fetch_and_explicit(&t->outside, ~OUTSIDE_REPLAY, memory_order_relaxed);
}

/* By how much the host, in what it had before, extends the scope; 0: not at all. A replay tells it,
** if it is at the very point. */
static uint64_t ask(rt_task* t, const rt_scope* s, rt_limit limit) {
  if (t->replay != NULL) {
    const rt_extension* e = t->replay;
    if (t->replay_left == 0 || e->tick != task_ticks(t->task) || e->limit != limit ||
        e->scope != s->serial)
      return 0;
    if (e->amount != 0) replay_next(t);
    return e->amount;
  }
  if (t->on_expiry == NULL || t->task->in_callback) return 0;
  task_suspend(t);
  uint64_t amount = t->on_expiry(t, limit, s->name, t->on_expiry_arg);
  task_resume(t);
  return amount;
}

/* What is not in the log cannot be repeated, and is not granted. */
bool scope_extend(rt_task* t, rt_scope* s, rt_limit limit) {
  if ((t->replay == NULL && t->on_expiry == NULL) || !log_reserve(t)) return false;
  uint64_t amount = ask(t, s, limit);
  if (amount == 0) return false;
  log_add(t, amount, s, limit);
  s->end[limit] = end_after(s->end[limit], amount);
  if (s == &t->root && limit == RT_HEARTBEATS) t->extended = end_after(t->extended, amount);
  scopes_settle(t);
  return true;
}

/* ---- Stops ----------------------------------------------------------------------------------- */

static const rt_extension* next_stop(const rt_task* t) {
  return t->replay_left > 0 && t->replay->amount == 0 ? t->replay : NULL;
}

/* A program that calls rt_expire itself does so in a replay, too. The end of the whole task is the last that is
** logged, and its place is there. */
void log_stop(rt_task* t, const rt_scope* s, rt_limit why) {
  const rt_extension* e = next_stop(t);
  if (e != NULL && e->tick == task_ticks(t->task) && e->calls == t->calls && e->limit == why &&
      e->scope == s->serial)
    replay_next(t);
  if (log_reserve(t) || s == &t->root) log_add(t, 0, s, why);
}

static rt_scope* scope_of_number(const rt_task* t, uint64_t serial) {
  rt_scope* s = t->scope;
  while (s != NULL && s->serial != serial) s = s->outer;
  return s;
}

static bool is_due(const rt_task* t, const rt_extension* e) {
  uint64_t tick = task_ticks(t->task);
  return tick > e->tick || (tick == e->tick && t->calls >= e->calls);
}

/* A call of rt_expire that this run does not have is counted all the same. */
void replay_stops(rt_task* t) {
  const rt_extension* e;
  while ((e = next_stop(t)) != NULL && is_due(t, e)) {
    rt_scope* s = scope_of_number(t, e->scope);
    replay_next(t);
    if (s != NULL) scope_stop(t, s, e->limit);
    if (e->limit != RT_CANCELLED) t->calls++;
  }
}
