/* child.c: tasks whose budget is taken out of another one's.
**
** What a child may use is taken from all scopes of its parent at once and, but for what it used,
** given back to those of them that last when it is joined. Both happen in the parent's own program,
** so no schedule changes what is left at any point of it. */
#include "runtime/internal.h"
#include "runtime/record.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* The child's limit of a kind is what was asked for (NO_END: all), or less; the parent's is so much
** nearer. */
static void take(rt_task* parent, rt_task* child, rt_limit limit) {
  int64_t* end = &child->root.end[limit];
  int64_t left = scope_left(parent, limit);
  *end = least(*end, left);
  child->taken[limit] = left != NO_END ? *end : NO_END;
  scopes_shift(parent, limit, UINT64_MAX, -*end);
}

static void give_back(rt_task* parent, const rt_task* child, rt_limit limit, int64_t amount) {
  if (child->taken[limit] != NO_END) scopes_shift(parent, limit, child->parent_serial, amount);
}

/* Of ticks, what the parent has not any more until the child is joined. */
static int64_t ticks_taken(const rt_task* child) {
  int64_t taken = child->taken[RT_HEARTBEATS];
  return taken != NO_END ? taken : 0;
}

rt_task* rt_task_new_child(const rt_config* config) {
  static const rt_config none;
  rt_task* parent = task_current;
  rt_config own = config != NULL ? *config : none;
  if (parent == NULL) return rt_task_new(&own);
  if (own.heartbeat_period == 0) own.heartbeat_period = parent->task->period;
  rt_task* child = rt_task_new(&own);
  if (child == NULL) return NULL;
  int64_t asked = child->root.end[RT_MEMORY], left = scope_left(parent, RT_MEMORY);
  if (left != NO_END && asked > left && !has_expired(parent)) task_free_all(parent->task);
  child->parent = parent;
  child->parent_serial = parent->serial;
  atomic_fetch_add_explicit(&parent->children, 1, memory_order_relaxed);
  take(parent, child, RT_HEARTBEATS);
  take(parent, child, RT_MEMORY);
  parent->children_ticks = end_after(parent->children_ticks, (uint64_t)ticks_taken(child));
  child->root.end[RT_DEPTH] = least(child->root.end[RT_DEPTH], scope_left(parent, RT_DEPTH));
  scopes_settle(parent);
  scopes_settle(child);
  span_child(parent, child);
  return child;
}

/* With what its children were charged, or have taken for good. */
static int64_t ticks_used(const rt_task* t) {
  return end_after(t->children_ticks, task_ticks(t->task));
}

/* What the parent gets back of what was taken. What the child was extended by had not been the
** parent's. */
static int64_t ticks_back(const rt_task* child, int64_t used) {
  int64_t over = used - child->taken[RT_HEARTBEATS];
  if (over <= 0) return -over;
  return over <= child->extended ? 0 : child->extended - over;
}

int rt_task_join(rt_task* child, rt_outcome* out) {
  rt_task* parent = child->parent;
  if (parent != NULL && parent != task_current) return EPERM;
  if (!task_claim(child)) return EBUSY;
  int64_t used = ticks_used(child);
  if (out != NULL)
    *out = (rt_outcome){child->why, child->where, (uint64_t)used, task_bytes_peak(child->task)};
  if (parent != NULL) {
    give_back(parent, child, RT_HEARTBEATS, ticks_back(child, used));
    give_back(parent, child, RT_MEMORY, child->taken[RT_MEMORY]);
    parent->children_ticks = end_after(parent->children_ticks - ticks_taken(child), (uint64_t)used);
    scopes_settle(parent);
    span_join(parent, child, (uint64_t)used);
  }
  task_end_claimed(child);
  return 0;
}
