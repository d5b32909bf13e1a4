/* runtime.h: tasks, and limits that stop a program at the same point in every run.
**
** A task is one run of guest code. It has heaps, a count of the work it did (ticks, see mimalloc.h) and limits.
** It runs in one thread at a time, between rt_enter and rt_leave; whatever that thread allocates meanwhile
** (mi_*, rc_*, rt_*) belongs to the task and is charged to it. So a process with tasks has a malloc of its own,
** not this library's (libsluice-preload.so): what libc keeps, such as a FILE, would end with the task. A
** process that forks has in its child copies of the tasks that nobody, or the forking thread, had entered.
**
** Limits hold for the task as a whole and, nested in that, for scopes: parts of its run that the
** host bounds further. The charge that carries the ticks to a limit makes its scope run out, and so
** does the request for memory that would go beyond it. If the host does not extend it (on_expiry),
** the task has *expired*: from then rt_tick and rt_poll answer RT_EXPIRED until the scope that ran
** out ends. The mark is all: an interpreter polls at its safepoints and stops the guest there.
** Nothing is torn down behind the guest's back: allocation goes on from a small grace, counted from
** what is held then, so that the interpreter can unwind (the very request that went beyond the byte
** limit is served from it, if it fits), and frees always work. Where a run expires depends on the
** program alone.
**
** Every function concerns the task that the calling thread has entered unless it takes one, which
** is not NULL. Calling those without an entered task is fine: RT_OK, 0, or as mi_* does. One that takes a
** task is called by the thread that has entered it, or while nobody has; only rt_cancel, by any. Costs are
** O(1) where nothing is said. */
#ifndef SLUICE_RUNTIME_H
#define SLUICE_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct rt_task rt_task;

/* RT_TOO_DEEP is of rt_descend, and not of a task that has expired: a guest may catch it. */
typedef enum rt_status { RT_OK = 0, RT_EXPIRED = 1, RT_TOO_DEEP = 2 } rt_status;

/* What can run out, and how else a task ends. */
typedef enum rt_limit { RT_NONE = 0, RT_HEARTBEATS, RT_MEMORY, RT_DEPTH, RT_CANCELLED } rt_limit;

/* What a scope may use from its begin on; zero everywhere is a scope without limits of its own. */
typedef struct rt_limits {
  const char* name;    /* for reports; borrowed while the scope lasts. NULL: "scope" */
  uint64_t heartbeats; /* run out after so many times the ticks of a beat; 0: no limit */
  uint64_t ticks;      /* run out with the charge that makes them so many; 0: no limit */
  uint64_t bytes; /* logical bytes that may be held beside what is held at its begin; 0: no limit */
  uint64_t depth; /* of calls (rt_descend), below the one at its begin; 0: no limit */
} rt_limits;

/* What was decided about a task at that tick of its clock: a limit that was reached was extended by `amount` ticks
** or bytes; or, with an amount of 0, the scope was ended, by rt_expire or rt_cancel. The task is scope 0, others
** have the number in which they began. */
typedef struct rt_extension {
  uint64_t tick;
  uint64_t amount;
  uint64_t scope;
  rt_limit limit; /* if extended: RT_HEARTBEATS (also for `ticks`), or RT_MEMORY */
  uint64_t calls; /* of rt_tick, rt_poll, rt_scope_end, and rt_expire if it did something, so far */
} rt_extension;

/* Asked, within the call that reached a limit, before the task expires: by how many ticks or bytes
** the scope is extended (0: not at all). If that is not enough it is asked again, and for each
** scope that ran out, the innermost first. Meanwhile the thread has what it had before it entered
** the task, which stays entered. Must return (no longjmp). */
typedef uint64_t(rt_on_expiry)(rt_task* task, rt_limit limit, const char* scope, void* arg);

/* Asked first, within the call whose ticks reached a limit: how many were charged ahead of the work, and will
** not be used. So many later all limits of ticks come. It is the interpreter's, not the host's: it neither
** allocates nor charges, and is not logged, since it depends on the program alone. */
typedef uint64_t(rt_take_back)(void* arg);

/* What a task is; zero everywhere is one without limits. */
typedef struct rt_config {
  const char* name;    /* as in rt_limits, as are the limits; NULL: "task" */
  uint64_t heartbeats; /* expire at this beat; 0: no limit */
  uint64_t ticks;
  uint64_t bytes; /* logical bytes; 0: no limit */
  uint64_t depth;
  uint64_t
      heartbeat_period; /* ticks to a beat, at most 2^62; 0: 1000, whatever the environment says */
  uint64_t grace_bytes; /* what may be allocated after expiry; 0: 256 KiB */
  rt_on_expiry* on_expiry; /* NULL: nothing is extended */
  void* on_expiry_arg;     /* borrowed */
  rt_take_back* take_back; /* NULL: nothing is charged ahead */
  void* take_back_arg;
  /* The log of another run of the same program (rt_extensions): this one is extended, or ended, at
  ** the same points, whoever calls rt_cancel and rt_expire or not; on_expiry is not called, and nothing else is
  ** extended. Borrowed until the task ends. NULL: no
  ** replay. */
  const rt_extension* replay;
  size_t replay_count;
  bool collects; /* the interpreter has a collector of its own: a request beyond `bytes` is refused
                    and no more, so that it can collect and ask again, or give up: rt_expire */
  bool
      repeatable_addresses; /* all memory in a region of its own that starts at a multiple of 4 GiB,
                                so that the low 32 bits of every address are equal in every run;
                                at most 4 GiB (8 GiB of address space to begin), and some 16,000 such tasks live in a process */
  bool
      compact; /* for a task that may stay small: the first blocks of rt_alloc, some 64 KiB, lie side by
                   side, whatever their sizes (and none is rt_alloc_quick's); all that rt_alloc gave is
                   freed by rt_free_sized, within the task */
  bool deterministic;  /* draining and finalizers on beats only (RC_ON_BEATS) */
  bool measure_pauses; /* time what rt_get_pauses reports (two clock reads for each) */
  size_t record; /* bytes for what rt_report tells, mapped apart and charged to nobody: 256 KiB are
                           plenty, 16 KiB the least; 0: no record */
  uint64_t record_units; /* a pause of so many units is recorded by itself; 0: 64 */
  uint64_t record_ns;    /* so is one of so many nanoseconds, if they are measured; 0: 10,000 */
} rt_config;

/* ---- Life ------------------------------------------------------------------------------------ */

/* A new task, entered by no thread, owned by the caller until rt_task_end. `config` is borrowed for
** the call; NULL means no limits. NULL and errno (ENOMEM, EINVAL) on failure. */
rt_task* rt_task_new(const rt_config* config);
/* Binds the task to the calling thread until rt_leave; a task entered before is suspended
** meanwhile. 0, or EBUSY if a thread, this one included, has entered it already. O(1). */
int rt_enter(rt_task* task);
/* Back to what the thread had before the last rt_enter; nothing, if that was none. Not within a
** callback of the allocator (reported, and nothing happens). A thread leaves its tasks before it
** ends: one that it did not leave stays entered for good, and cannot be ended. */
void rt_leave(void);
/* The task that the calling thread has entered last, or NULL. Borrowed. */
rt_task* rt_current(void);
/* Ends a task that no thread has entered and frees all its memory without walking its objects; no
** finalizer is called (rc_finalize_all). The references to shared objects that it holds are given up
** (rc/rc.h): O(pages + such objects). Other threads must have stopped using its blocks, and its
** children must have ended. 0, or EBUSY. A child's budget is not returned: rt_task_join. */
int rt_task_end(rt_task* task);
/* Any thread, or a signal handler: the task expires (RT_CANCELLED) at its next rt_tick, rt_poll, rt_scope_end
** or beat, whatever its scope, and for good. The task must not end meanwhile. Its children go on. */
void rt_cancel(rt_task* task);

/* ---- Work and limits ------------------------------------------------------------------------- */

/* Charges n ticks for work that does not allocate; charge before you do it. RT_EXPIRED: the task has
** expired, by this or before; stop the guest. */
rt_status rt_tick(uint64_t n);
/* Has the task expired? RT_EXPIRED, or RT_OK. For safepoints: no charge, a dozen instructions. */
rt_status rt_poll(void);
/* Why the task has expired, and the name of the scope that ran out: of several ones the innermost,
** until that ends. RT_NONE and NULL: it has not. */
rt_limit rt_expired(const rt_task* task);
const char* rt_expired_scope(const rt_task* task);
/* As if the nearest limit of that kind had been reached: on_expiry may extend it (ticks and bytes;
** then RT_OK), or the task expires (unless it has already): RT_EXPIRED. Without such a limit, and for
** RT_CANCELLED, the whole task does. Any other value does nothing. */
rt_status rt_expire(rt_limit why);
/* "heartbeat limit", "memory limit", ... ("unknown limit"): for messages; static storage. */
const char* rt_limit_name(rt_limit limit);
/* What is left: ticks (RT_HEARTBEATS), bytes, depth; 0 of ticks and bytes when the task has
** expired. UINT64_MAX: there is no limit. */
uint64_t rt_left(rt_limit limit);
/* What was decided so far, in order; borrowed, until the next decision or the end of the task. If there is no memory
** for an entry, nothing is extended; and what ended, but for the whole task, is not told. */
const rt_extension* rt_extensions(const rt_task* task, size_t* count);

/* A part of the run with limits of its own; those of the scopes around it, and of the task, hold as
** well. In the caller's frame, or wherever it stays until its end; the fields are the library's.
** O(1), no charge; with `bytes`, all that waits to be freed is freed first, so that the limit is
** exact. */
typedef struct rt_scope {
  struct rt_scope *outer, *inner;
  rt_task* task;
  const char* name;
  uint64_t serial;
  int level;
  rt_limit expired;
  int64_t depth;
  int64_t end[RT_CANCELLED], nearest[RT_CANCELLED];
} rt_scope;
/* `limits` is borrowed for the call. */
void rt_scope_begin(rt_scope* scope, const rt_limits* limits);
/* Ends it, and those within it that were not ended: so a frame that a longjmp goes to ends its
** scope, before anything is charged. The depth is again what it was at the begin. RT_EXPIRED if a
** scope around it has run out, too; whether this one has, rt_expired_scope tells before its end. To be called with
** the same task entered (reported if not, and nothing happens). */
rt_status rt_scope_end(rt_scope* scope);

/* Calls of the guest, counted: how deep they nest does not depend on the C stack. rt_descend tells
** RT_TOO_DEEP, and counts nothing, if one more is beyond the limit; that is no expiry: a guest may
** catch it, or the host makes it one (rt_expire). Each that was RT_OK is undone by rt_ascend, or by
** rt_ascend_to, for the depth that a longjmp goes to. */
static inline rt_status rt_descend(void);
static inline void rt_ascend(void);
uint64_t rt_depth(void);
void rt_ascend_to(uint64_t depth);

uint64_t rt_ticks(const rt_task* task);      /* charged so far */
uint64_t rt_heartbeats(const rt_task* task); /* number of its last beat */
uint64_t rt_bytes(const rt_task* task);      /* logical bytes held now, waiting dead included */
uint64_t rt_bytes_peak(const rt_task* task); /* the most so far, the grace included */

/* ---- Memory whose size is known at both ends: counted exactly -------------------------------- */

/* A block of `size` bytes, aligned as mi_malloc's, charged like it and counted against the byte limit. When the
** limit is hit, everything that waits to be freed is drained; if that does not help the task
** expires (unless it `collects`); NULL and ENOMEM if the grace does not suffice either. */
void* rt_alloc(size_t size);
/* The common case of rt_alloc, inlined: a block, or NULL, and then nothing has happened and rt_alloc is to
** be asked. */
static inline void* rt_alloc_quick(size_t size);
/* From more than `bytes` held on, and once the task has expired, rt_alloc_quick gives NULL and
** rt_is_watched true: so an interpreter that is to collect, or to stop, need not look after each
** allocation. (Only with a task entered.) A new task: UINT64_MAX. */
void rt_watch(uint64_t bytes);
static inline bool rt_is_watched(void);
/* rt_tick, if no beat comes and there is nothing to look at (rt_is_watched); false: nothing is charged,
** call rt_tick. A task that is cancelled notices it at the next beat. */
static inline bool rt_tick_quick(uint64_t n);
/* As realloc; `oldsize` is the size that the block was asked for. Charged as rt_alloc of `newsize`, of which 0 gives
** a block, too. On NULL, p is as before. Shrinking never fails. */
void* rt_realloc(void* p, size_t oldsize, size_t newsize);
/* Its common case, a small block that grows into one of the next class: the new block; or NULL, as from
** rt_alloc_quick, and then nothing has happened. */
void* rt_realloc_quick(void* p, size_t oldsize, size_t newsize);
/* Frees a block of rt_alloc; `size` is what it was asked for. NULL with 0 is fine. Not charged. By
** the task that allocated it, else it stays counted there. */
void rt_free_sized(void* p, size_t size);
/* p as an offset in its task's region, equal in every run; only for tasks with repeatable_addresses
** and pointers into their memory, else 0. For printing addresses. */
uint64_t rt_offset(const rt_task* task, const void* p);

/* ---- Images: tasks that begin alike ----------------------------------------------------------
**
** What a compact task holds, if that is blocks of rt_alloc only, lies in one piece. Another task can begin with a
** copy of it, instead of the calls that made it, and is then what these would have made of it. */

/* `start` and `size` are the piece: the task's own, or where its bytes were copied to. */
typedef struct rt_image {
  const void* start;
  size_t size;
  uint64_t ticks, bytes, bytes_peak;
} rt_image;
/* The task's, borrowed until it allocates or frees. False: it is not compact, or has blocks elsewhere. */
bool rt_get_image(const rt_task* task, rt_image* image);
/* The entered task, which is compact and did nothing yet, gets a copy and is charged for what is in it, at
** once. Gives where the copy is: pointers from the one piece into itself, as the other addresses in it, are the
** caller's to adjust. NULL: it is not such a task, or does not have so many ticks or bytes left; then nothing
** has happened. (A memcpy of `size`.) */
void* rt_put_image(const rt_image* image);
/* The entered task, which is compact and did nothing yet, clears what it allocates and what it frees: so images
** of tasks that do the same differ in nothing but the addresses in them. */
void rt_keep_clear(void);
/* The entered task is not compact from now on. */
void rt_end_compact(void);

/* ---- Children --------------------------------------------------------------------------------
**
** A child is a task whose budget is taken out of its parent's when it is made. It runs in any
** thread, beside its parent or not; what it did not use is returned when it is joined. So what all
** of them may use together is what the parent may, and how much each one has does not depend on
** when it runs. */

/* A task as of rt_task_new, child of the calling thread's. Its limits of ticks and bytes are taken
** from what the parent has left, in all its scopes: less, if that is less; all that is left
** (rt_left), if there are none. Its depth is at most what is left of its parent's, which keeps it.
** A period of 0 is the parent's. Without a parent: as rt_task_new. To know exactly what is left of
** bytes, the parent frees all that waits. */
rt_task* rt_task_new_child(const rt_config* config);
/* How a child ended. */
typedef struct rt_outcome {
  rt_limit expired;    /* or RT_NONE */
  const char* scope;   /* the one that ran out; NULL */
  uint64_t ticks;      /* charged, with what its own children were charged */
  uint64_t bytes_peak; /* its own */
} rt_outcome;
/* rt_task_end for a child of the calling thread's task: returns all bytes to it, and the ticks that
** were not charged; ticks beyond its budget and its extensions are charged to the parent. *out is
** filled unless it is NULL. 0; EBUSY; or EPERM: another task is its parent. */
int rt_task_join(rt_task* child, rt_outcome* out);

/* ---- Pauses and reports ---------------------------------------------------------------------- */

/* What made the guest wait. One within another is part of that. */
typedef enum rt_pause_kind {
  RT_PAUSE_RC_DEC,  /* the last reference to an object went */
  RT_PAUSE_REFILL,  /* a request of up to 256 words found its free list empty, */
  RT_PAUSE_REQUEST, /* or a larger one */
  RT_PAUSE_BEAT,
  RT_PAUSE_FORCED, /* everything that waited was freed: for a request at the limit, or with no memory */
  RT_PAUSE_KINDS
} rt_pause_kind;
/* The most units, and the longest time in nanoseconds, that one event of a kind took; the time
** of all. */
typedef struct rt_pause {
  uint64_t count;
  uint64_t units;
  uint64_t ns;
  uint64_t total_ns;
} rt_pause;
/* Fills out[RT_PAUSE_KINDS]; zeros unless the task was made with measure_pauses, or with a record: then times
** are 0. */
void rt_get_pauses(const rt_task* task, rt_pause out[RT_PAUSE_KINDS]);
/* "rc_dec", "refill", "request", "beat", "forced"; else "unknown". Static storage. */
const char* rt_pause_name(rt_pause_kind kind);

/* What is told of a task that was made with a record: pauses, scopes and children, memory and waiting objects over
** time. The same program gives the same report in every run, but for what depends on the clock or the system. */
typedef enum rt_report_format {
  RT_REPORT_TEXT, /* a histogram of the pauses for a terminal, in 80 columns */
  RT_REPORT_HTML, /* a page that needs nothing else */
  RT_REPORT_JSON, /* all of it, for tools: "repeats" is equal in every run, "measured" is not */
  RT_REPORT_TRACE, /* Chrome's trace events, for Perfetto; one tick is shown as 1 us if times are not measured */
} rt_report_format;
/* Writes a report, and changes nothing that a program can see. The task is the one that the calling thread has
** entered last, or one that nobody has entered. 0; EBUSY: it is not; EINVAL: it has no record, or there is no such
** format; or the stream's error. */
int rt_report(rt_task* task, FILE* out, rt_report_format format);
/* The same into a file, which is made anew, by what its name ends in: .txt, .html, .trace.json, other .json;
** EINVAL if in nothing of these; or the error of opening and writing it. */
int rt_report_file(rt_task* task, const char* path);
/* Would it know the format? */
bool rt_report_knows(const char* path);

/* ---- What is inlined ------------------------------------------------------------------------- */

/* What the allocator keeps for a thread, as far as it is looked at here. */
typedef struct rt_thread {
  void* heap;
  int64_t countdown; /* ticks to the next beat */
  struct {
    int64_t room; /* bytes to the limit */
    int64_t objects;
    int64_t watch;
  } * task;
  void** lists; /* of free blocks, by class; all are empty in a thread without a task */
} rt_thread;
extern __thread rt_thread rt_this_thread __asm__("mi_thread_data")
    __attribute__((tls_model("initial-exec")));

/* Sizes from 9 to 512 bytes, whose class depends on the number of 16 bytes that they need. */
static inline void* rt_alloc_quick(size_t size) {
  enum { LEAST = 9, MOST = 512 };
  static const unsigned char list_of[] = {0,  2,  4,  6,  8,  9,  10, 11, 12, 13, 13,
                                          14, 14, 15, 15, 16, 16, 17, 17, 17, 17, 18,
                                          18, 18, 18, 19, 19, 19, 19, 20, 20, 20, 20};
  if (size - LEAST > MOST - LEAST || rt_this_thread.countdown <= 1) return NULL;
  void** list = &rt_this_thread.lists[list_of[(size + 15) / 16]];
  void** block = (void**)*list;
  if (__builtin_expect(block == NULL, 0)) return NULL;
  int64_t room = rt_this_thread.task->room - (int64_t)size;
  if (__builtin_expect(room < rt_this_thread.task->watch, 0)) return NULL;
  rt_this_thread.task->room = room;
  rt_this_thread.countdown--;
  *list = *block;
  return block;
}
static inline bool rt_is_watched(void) {
  return rt_this_thread.task->room < rt_this_thread.task->watch;
}
static inline bool rt_tick_quick(uint64_t n) {
  int64_t left = rt_this_thread.countdown; /* 1 where no task is */
  if (__builtin_expect(left <= 1 || n >= (uint64_t)left || rt_is_watched(), 0)) return false;
  rt_this_thread.countdown = left - (int64_t)n;
  return true;
}

/* ---- Depth, inlined -------------------------------------------------------------------------- */

extern __thread int64_t rt_depth_left __attribute__((tls_model("initial-exec")));

static inline rt_status rt_descend(void) {
  if (__builtin_expect(rt_depth_left <= 0, 0)) return RT_TOO_DEEP;
  rt_depth_left--;
  return RT_OK;
}
static inline void rt_ascend(void) { rt_depth_left++; }

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
