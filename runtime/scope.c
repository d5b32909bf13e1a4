/* scope.c: limits that nest, what happens when one runs out, and who may move them.
**
** Between the moments at which something runs out nothing is looked at here: ticks are the
** allocator's countdown, which stops at the nearest limit as it does at a beat; bytes are its byte
** limit, the nearest one; and depth is a countdown of its own. So a limit costs nothing until it is
** reached, however deep scopes nest. */
#include "runtime/internal.h"

#include "runtime/record.h"

_Thread_local rt_task* task_current;
__thread int64_t rt_depth_left = NO_END;

int64_t end_after(int64_t from, uint64_t amount) {
  bool there_is_one = amount <= CLOCK_MAX && from <= (int64_t)(CLOCK_MAX - amount);
  return there_is_one ? from + (int64_t)amount : NO_END;
}

static int64_t ticks_now(const rt_task* t) { return (int64_t)task_ticks(t->task); }

static int64_t depth_now(const rt_task* t) {
  return t->scope->nearest[RT_DEPTH] - (t == task_current ? rt_depth_left : t->depth_left);
}

static void depth_set(rt_task* t, int64_t depth) {
  *(t == task_current ? &rt_depth_left : &t->depth_left) = t->scope->nearest[RT_DEPTH] - depth;
}

/* ---- Ends, and what the allocator is told of them -------------------------------------------- */

static void find_nearest(rt_scope* s) {
  for (int i = RT_HEARTBEATS; i <= RT_DEPTH; i++) {
    s->nearest[i] = s->end[i];
    if (s->outer != NULL && s->outer->nearest[i] < s->end[i]) s->nearest[i] = s->outer->nearest[i];
  }
}

static void set_byte_limit(rt_task* t, int64_t limit) { task_set_limit(t->task, (size_t)limit); }

/* The room that is left when so much is held that somebody is to look; all of it, after expiry. */
static void set_watch(rt_task* t) {
  uint64_t limit = (uint64_t)t->task->bytes_limit;
  t->task->watch = t->watch < limit ? (int64_t)(limit - t->watch) : 0;
  if (has_expired(t)) t->task->watch = INT64_MAX;
}

/* What internal.h tells of scopes; all of them are there. */
static void scopes_check(const rt_task* t) {
  if (!MI_DEBUG) return;
  int level = t->level;
  const rt_scope *watched = t->scope, *why = NULL;
  for (const rt_scope* s = t->scope; s != NULL; s = s->outer, level--) {
    mi_assert(s->task == t && s->level == level && s->serial <= t->serial);
    mi_assert(s->inner == NULL ? s == t->scope : s->inner->outer == s);
    for (int i = RT_HEARTBEATS; i <= RT_DEPTH; i++) {
      int64_t around = s->outer != NULL ? s->outer->nearest[i] : NO_END;
      mi_assert(s->nearest[i] == (s->end[i] < around ? s->end[i] : around));
    }
    if (s->expired == RT_NONE) continue;
    watched = s->outer;
    if (why == NULL) why = s;
  }
  mi_assert(level == -1 && t->watched == watched);
  mi_assert(t->watched_level == (watched != NULL ? watched->level : -1));
  mi_assert(t->why == (why != NULL ? why->expired : RT_NONE));
}

/* For what is watched now. */
static void settle(rt_task* t) {
  scopes_check(t);
  int64_t ticks = t->watched != NULL ? t->watched->nearest[RT_HEARTBEATS] : NO_END;
  task_set_alarm(t->task, ticks == NO_END ? ALARM_NONE : ticks > 0 ? (uint64_t)ticks : 0);
  if (!has_expired(t)) set_byte_limit(t, t->watched->nearest[RT_MEMORY]);
  set_watch(t);
}

void rt_watch(uint64_t bytes) {
  if (task_current == NULL) return;
  task_current->watch = bytes;
  set_watch(task_current);
}

void scopes_settle(rt_task* t) {
  int64_t depth = depth_now(t);
  for (rt_scope* s = &t->root; s != NULL; s = s->inner) find_nearest(s);
  settle(t);
  depth_set(t, depth);
}

static int64_t moved(int64_t end, int64_t by) {
  const int64_t last = CLOCK_MAX;
  if (end == NO_END) return NO_END;
  if (by >= 0) return end <= last - by ? end + by : last;
  return by > -last && end >= -last - by ? end + by : -last;
}

void scopes_shift(rt_task* t, rt_limit limit, uint64_t serial, int64_t by) {
  for (rt_scope* s = t->scope; s != NULL; s = s->outer)
    if (s->serial <= serial) s->end[limit] = moved(s->end[limit], by);
}

int64_t scope_left(const rt_task* t, rt_limit limit) {
  int64_t now = limit == RT_DEPTH    ? depth_now(t)
                : limit == RT_MEMORY ? (int64_t)task_bytes(t->task)
                                     : ticks_now(t);
  int64_t end = t->scope->nearest[limit];
  if (has_expired(t) && limit != RT_DEPTH) return 0;
  return end == NO_END ? NO_END : end > now ? end - now : 0;
}

uint64_t rt_left(rt_limit limit) {
  rt_task* t = task_current;
  if (t == NULL || limit <= RT_NONE || limit >= RT_CANCELLED) return UINT64_MAX;
  int64_t left = scope_left(t, limit);
  return left == NO_END ? UINT64_MAX : (uint64_t)left;
}

/* ---- Expiry ---------------------------------------------------------------------------------- */

static void open_grace(rt_task* t, rt_limit why) {
  int64_t held = (int64_t)task_bytes(t->task), limit = t->watched->nearest[RT_MEMORY];
  bool whole = why == RT_MEMORY && limit != NO_END && limit > held;
  set_byte_limit(t, end_after(whole ? limit : held, t->grace));
}

/* s is watched, or around what is. */
static void mark(rt_task* t, rt_scope* s, rt_limit why) {
  if (!has_expired(t)) {
    open_grace(t, why);
    t->why = why;
    t->where = s->name;
  }
  s->expired = why;
  span_mark(t, s->level, why);
  t->watched = s->outer;
  t->watched_level = s->level - 1;
  settle(t);
}

/* The innermost of those watched that end there or before; NULL: none. */
static rt_scope* which_ends(const rt_task* t, rt_limit limit, int64_t at) {
  rt_scope* s = t->watched;
  while (s != NULL && s->end[limit] > at) s = s->outer;
  return s;
}

/* What was charged ahead, and is not used: all ends come so much later. */
static bool take_back(rt_task* t) {
  uint64_t n = t->take_back != NULL ? t->take_back(t->take_back_arg) : 0;
  if (n == 0) return false;
  scopes_shift(t, RT_HEARTBEATS, UINT64_MAX, (int64_t)n);
  if (t->root.end[RT_HEARTBEATS] != NO_END) t->extended = end_after(t->extended, n);
  scopes_settle(t);
  return true;
}

/* One charge may go beyond several ends. */
void task_on_alarm(mi_task_t* task) {
  rt_task* t = task_current;
  rt_scope* s;
  if (t == NULL || t->task != task) return;
  while ((s = which_ends(t, RT_HEARTBEATS, ticks_now(t))) != NULL)
    if (!take_back(t) && !scope_extend(t, s, RT_HEARTBEATS)) mark(t, s, RT_HEARTBEATS);
}

bool task_on_refusal(mi_task_t* task, size_t bytes) {
  rt_task* t = task_current;
  if (t == NULL || t->task != task || t->collects || task->in_callback || has_expired(t))
    return false;
  int64_t held = (int64_t)task_bytes(task);
  rt_scope* s = which_ends(t, RT_MEMORY, end_after(held, bytes) - 1);
  if (s == NULL) return false;
  if (bytes >= NO_END || !scope_extend(t, s, RT_MEMORY)) mark(t, s, RT_MEMORY);
  return true;
}

/* By what no limit of the program's tells. A task that is cancelled is so whatever has expired in it. */
void scope_stop(rt_task* t, rt_scope* s, rt_limit why) {
  if (s->expired != RT_NONE || (has_expired(t) && why != RT_CANCELLED)) return;
  log_stop(t, s, why);
  mark(t, s, why);
}

static __attribute__((noinline)) void look_outside(rt_task* t, unsigned outside) {
  if (outside & OUTSIDE_REPLAY) replay_stops(t);
  if (outside & OUTSIDE_CANCEL) scope_stop(t, &t->root, RT_CANCELLED);
}

static inline void look(rt_task* t) {
  unsigned outside = atomic_load_explicit(&t->outside, memory_order_relaxed);
  if (unlikely(outside != 0)) look_outside(t, outside);
}

void task_on_beat(mi_task_t* task, uint64_t beat) {
  rt_task* t = task_current;
  (void)beat;
  if (t != NULL && t->task == task) look(t);
}

void rt_cancel(rt_task* t) {
  atomic_fetch_or_explicit(&t->outside, OUTSIDE_CANCEL, memory_order_relaxed);
}

static inline rt_status status_of(rt_task* t) {
  look(t);
  return has_expired(t) ? RT_EXPIRED : RT_OK;
}

rt_status rt_poll(void) {
  if (task_current == NULL) return RT_OK;
  task_current->calls++;
  return status_of(task_current);
}

rt_status rt_tick(uint64_t n) {
  task_charge(n);
  return rt_poll();
}

/* The scope that has the nearest limit of that kind. */
static rt_scope* whose(const rt_task* t, rt_limit limit) {
  rt_scope* s = t->watched;
  int64_t nearest = limit < RT_CANCELLED ? s->nearest[limit] : NO_END;
  while (s->outer != NULL && (nearest == NO_END || s->end[limit] > nearest)) s = s->outer;
  return s;
}

rt_status rt_expire(rt_limit why) {
  rt_task* t = task_current;
  if (t == NULL) return RT_OK;
  if (why > RT_NONE && why <= RT_CANCELLED && !has_expired(t)) {
    t->calls++;
    rt_scope* s = whose(t, why);
    bool asks = (why == RT_HEARTBEATS || why == RT_MEMORY) && s->end[why] != NO_END;
    if (!asks || !scope_extend(t, s, why)) scope_stop(t, s, why);
  }
  return has_expired(t) ? RT_EXPIRED : RT_OK;
}

rt_limit rt_expired(const rt_task* t) { return t->why; }
const char* rt_expired_scope(const rt_task* t) { return t->where; }

const char* rt_limit_name(rt_limit limit) {
  static const char* const names[] = {"no limit", "heartbeat limit", "memory limit", "depth limit",
                                      "cancellation"};
  return (unsigned)limit <= RT_CANCELLED ? names[limit] : "unknown limit";
}

/* ---- Beginning and ending -------------------------------------------------------------------- */

static void set_ends(rt_task* t, rt_scope* s, const rt_limits* limits) {
  uint64_t ticks = limits->ticks, period = t->task->period, beats = limits->heartbeats;
  if (beats != 0 && beats <= CLOCK_MAX / period && (ticks == 0 || beats * period < ticks))
    ticks = beats * period;
  s->end[RT_HEARTBEATS] = ticks != 0 ? end_after(ticks_now(t), ticks) : NO_END;
  s->end[RT_MEMORY] =
      limits->bytes != 0 ? end_after((int64_t)task_bytes(t->task), limits->bytes) : NO_END;
  s->end[RT_DEPTH] = limits->depth != 0 ? end_after(s->depth, limits->depth) : NO_END;
}

void scope_root(rt_task* t, const rt_limits* limits) {
  t->root = (rt_scope){.task = t, .name = limits->name != NULL ? limits->name : "task"};
  t->scope = t->watched = &t->root;
  t->watch = UINT64_MAX;
  set_ends(t, &t->root, limits);
  find_nearest(&t->root);
  settle(t);
  depth_set(t, 0);
}

void rt_scope_begin(rt_scope* s, const rt_limits* limits) {
  rt_task* t = task_current;
  *s = (rt_scope){.task = t, .name = limits->name != NULL ? limits->name : "scope"};
  if (t == NULL) return;
  if (limits->bytes != 0 && !has_expired(t)) task_free_all(t->task);
  s->outer = t->scope;
  s->level = t->level + 1;
  s->serial = ++t->serial;
  s->depth = depth_now(t);
  set_ends(t, s, limits);
  find_nearest(s);
  t->scope->inner = s;
  t->scope = s;
  if (!has_expired(t)) {
    t->watched = s;
    t->watched_level = s->level;
  }
  t->level = s->level;
  settle(t);
  depth_set(t, s->depth);
  span_begin(t, limits);
}

/* The innermost mark that is left. */
static void find_why(rt_task* t) {
  const rt_scope* s = t->scope;
  while (has_expired(t) && s->expired == RT_NONE) s = s->outer;
  t->why = has_expired(t) ? s->expired : RT_NONE;
  t->where = has_expired(t) ? s->name : NULL;
}

/* Not if it was within one that has ended: what is around it is no scope then, or has another one within. */
static bool is_in(const rt_task* t, const rt_scope* s) {
  return s->level <= t->level && s->outer->task == t && s->outer->inner == s;
}

rt_status rt_scope_end(rt_scope* s) {
  rt_task* t = s->task;
  if (t == NULL) return rt_poll();
  if (t != task_current || !is_in(t, s)) {
    report_error(
        EPERM,
        "sluice: error: rt_scope_end of a scope that the current task is not in: nothing happens");
    return rt_poll();
  }
  span_end(t, s->level);
  s->task = NULL;
  t->scope = s->outer;
  t->scope->inner = NULL;
  t->level = s->level - 1;
  if (t->watched_level >= s->level) {
    t->watched = s->outer;
    t->watched_level = t->level;
  }
  find_why(t);
  settle(t);
  depth_set(t, s->depth);
  t->calls++;
  return status_of(t);
}

/* ---- Depth ----------------------------------------------------------------------------------- */

uint64_t rt_depth(void) {
  int64_t end = task_current != NULL ? task_current->scope->nearest[RT_DEPTH] : NO_END;
  return (uint64_t)(end - rt_depth_left);
}

void rt_ascend_to(uint64_t depth) {
  uint64_t now = rt_depth();
  if (depth < now) rt_depth_left += (int64_t)(now - depth);
}
