/* internal.h: what the files of runtime/ share: a task's record.
**
** Include order: alloc/internal.h, runtime.h, this; the files: scope.c, replay.c, runtime.c, child.c. */
#ifndef SLUICE_RUNTIME_INTERNAL_H
#define SLUICE_RUNTIME_INTERNAL_H

#include "alloc/internal.h"
#include "runtime/runtime.h"

/* ---- Scopes and limits --------------------------------------------------------------------------
**
** The scopes of a task are a list from `root`, the task as a whole, at level 0, to the innermost
** one, `scope`. Each has its own `end` of a kind, in the units of the task: the tick at which it
** runs out, the most bytes that may be held, the greatest depth; NO_END: none. `nearest` is the
** least end of a scope and those around it. Ends move when a scope is extended, and when children
** take from a budget or give back, so `nearest` is made anew then.
**
** A scope that runs out is marked: `expired` tells by what. `watched` is the innermost scope that
** is not marked, nor within a marked one (NULL, level -1: there is none); so the task has expired
** iff that is not `scope`. The alarm of the allocator's task is at the nearest end of the watched
** one, and so is the byte limit, unless the task has expired: then it is where the grace ends that
** was opened by the first mark. What the host is told, `why` and `where`, is the innermost mark.
**
** A scope lives in its caller's frame, and a guest may be left by longjmp: so levels are kept here,
** and who ends a scope looks at none within it. */
#define NO_END INT64_MAX /* others: to CLOCK_MAX; below 0 where children took less than they used */

enum { OUTSIDE_CANCEL = 1, OUTSIDE_REPLAY = 2, FIRST_LOG = 2 };

/* `entered` is true from rt_enter to rt_leave, and then `before` is what the thread had. Other
** threads touch `entered`, `outside` and `children` only, and `parent` does not end before its
** children. */
struct rt_task {
  mi_task_t* task;
  mi_task_t* before;
  rt_task* outer; /* the rt_task that the thread had entered before */
  atomic_bool entered;
  atomic_uint outside; /* OUTSIDE_*: what safepoints and beats look for */
  rt_scope root;
  rt_scope* scope;
  rt_scope* watched;
  int level, watched_level;
  uint64_t serial; /* of the scope begun last */
  rt_limit why;
  const char* where;
  int64_t depth_left; /* rt_depth_left's, while it is parked; and, while it is entered, */
  int64_t depth_before;
  size_t grace;
  uint64_t watch; /* rt_watch's bytes */
  bool collects;
  rt_on_expiry* on_expiry;
  void* on_expiry_arg;
  rt_take_back* take_back;
  void* take_back_arg;
  uint64_t calls; /* of rt_tick, rt_poll, rt_scope_end, and rt_expire if it did something */
  rt_extension* log;
  size_t log_count, log_room; /* of log_room places one is kept for the end of the whole task */
  rt_extension first_log[FIRST_LOG];
  const rt_extension* replay; /* NULL: none; else the next entry, if there are any left */
  size_t replay_left;
  rt_task* parent;             /* NULL: none */
  uint64_t parent_serial;      /* the scopes up to this one have paid for the child: */
  int64_t taken[RT_CANCELLED]; /* so much of each; NO_END: nothing */
  int64_t extended;            /* ticks, of the task as a whole */
  int64_t children_ticks; /* what children were charged, or, before they are joined, have taken */
  atomic_uint children;
  struct {
    uint64_t number, tick, ns;
    int64_t ticks, bytes;
  } born;        /* as a child: for its parent's report */
  rt_task* next; /* free list of records */
};

extern _Thread_local rt_task* task_current;

static inline bool has_expired(const rt_task* t) { return t->level != t->watched_level; }

/* ---- scope.c --------------------------------------------------------------------------------- */

/* The task's first scope. */
void scope_root(rt_task* t, const rt_limits* limits);
/* Nothing is left of ticks, bytes, depth: 0; no end: NO_END. */
int64_t scope_left(const rt_task* t, rt_limit limit);
/* The ends of a kind of the scopes that began up to `serial` move. After ends were moved,
** scopes_settle is due. */
void scopes_shift(rt_task* t, rt_limit limit, uint64_t serial, int64_t by);
void scopes_settle(rt_task* t);
int64_t end_after(int64_t from, uint64_t amount); /* NO_END above CLOCK_MAX */
void scope_stop(rt_task* t, rt_scope* s, rt_limit why);
void task_on_alarm(mi_task_t* task);
void task_on_beat(mi_task_t* task, uint64_t beat);
bool task_on_refusal(mi_task_t* task, size_t bytes);

/* ---- replay.c -------------------------------------------------------------------------------- */

void log_begin(rt_task* t, const rt_config* config);
void log_end(rt_task* t);
/* The host, or the log, lets the scope go on: true. */
bool scope_extend(rt_task* t, rt_scope* s, rt_limit limit);
/* The scope is about to be stopped from outside. */
void log_stop(rt_task* t, const rt_scope* s, rt_limit why);
/* Those of the log that are due happen. */
void replay_stops(rt_task* t);

/* ---- runtime.c ------------------------------------------------------------------------------- */

/* The thread has what it had before it entered the task; and the task again. */
void task_suspend(rt_task* t);
void task_resume(rt_task* t);
/* No thread enters the task any more, and none has; false: one has, or there are children. */
bool task_claim(rt_task* t);
void task_end_claimed(rt_task* t);

#endif
