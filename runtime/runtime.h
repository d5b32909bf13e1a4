/* runtime.h: tasks, and limits that stop a program at the same point in every run.
**
** A task is one run of guest code. It has heaps, a count of the work it did (ticks, see mimalloc.h)
** and limits. It runs in one thread at a time, between rt_enter and rt_leave; whatever that thread
** allocates meanwhile (mi_*, rc_*, rt_*) belongs to the task and is charged to it.
**
** A limit that is reached is sticky: the task is marked, and from then rt_tick and rt_poll answer
** RT_EXPIRED until it ends. The mark is all: an interpreter polls at its safepoints and stops the
** guest there. Nothing is torn down behind the guest's back: allocation goes on from a small grace,
** counted from what is held then, so that the interpreter can unwind (the very request that went beyond the byte limit
** is served from it, if it fits), and frees always work.
**
** Every function concerns the task that the calling thread has entered unless it takes one, which is
** not NULL. Calling those without an entered task is fine: RT_OK, 0, or as mi_* does.
*/
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

typedef enum rt_status { RT_OK = 0, RT_EXPIRED = 1 } rt_status;

/* Which limit ended a task. */
typedef enum rt_limit { RT_NONE = 0, RT_HEARTBEATS, RT_MEMORY, RT_CANCELLED } rt_limit;

/* What a task may use; zero everywhere is a task without limits. */
typedef struct rt_config {
  uint64_t heartbeats; /* expire at this beat; 0: no limit */
  uint64_t
      heartbeat_period; /* ticks to a beat, at most 2^62; 0: 1000, whatever the environment says */
  uint64_t bytes;       /* logical bytes; 0: no limit */
  uint64_t grace_bytes; /* what may be allocated after expiry; 0: 256 KiB */
  bool collects; /* the interpreter has a collector of its own: a request beyond `bytes` is refused
                    and no more, so that it can collect and ask again, or give up: rt_expire */
  bool
      repeatable_addresses; /* all memory in a region of its own that starts at a multiple of 4 GiB,
                                so that the low 32 bits of every address are equal in every run;
                                at most 4 GiB, and some 16,000 such tasks live in a process */
  bool measure_pauses;      /* time what rt_get_pauses reports (two clock reads for each) */
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
** callback of the allocator (reported, and nothing happens). A thread leaves its tasks before it ends:
** one that it did not leave stays entered for good, and cannot be ended. */
void rt_leave(void);
/* The task that the calling thread has entered last, or NULL. Borrowed. */
rt_task* rt_current(void);
/* Ends a task that no thread has entered and frees all its memory without walking its objects; no finalizer
** is called (rc_finalize_all). The references to shared objects that it holds are given up (rc/rc.h): O(pages +
** such objects). Other threads must have stopped using its blocks. 0, or EBUSY. */
int rt_task_end(rt_task* task);
/* Any thread: the task expires (RT_CANCELLED) at its next rt_tick, rt_poll or beat. The task must
** not end meanwhile. */
void rt_cancel(rt_task* task);

/* ---- Work and limits ------------------------------------------------------------------------- */

/* Charges n ticks for work that does not allocate; charge before you do it. */
rt_status rt_tick(uint64_t n);
/* Has the task expired? For safepoints: no charge, a dozen instructions. */
rt_status rt_poll(void);
/* The limit that ended the task first, or RT_NONE. */
rt_limit rt_expired(const rt_task* task);
/* Marks the current task as expired for that reason (unless it is already) and opens the grace. */
void rt_expire(rt_limit why);
/* "heartbeat limit", "memory limit", ... ("unknown limit"): for messages; static storage. */
const char* rt_limit_name(rt_limit limit);

uint64_t rt_ticks(const rt_task* task);      /* charged so far */
uint64_t rt_heartbeats(const rt_task* task); /* number of its last beat */
uint64_t rt_bytes(const rt_task* task);      /* logical bytes held now, waiting dead included */
uint64_t rt_bytes_peak(const rt_task* task); /* the most so far, the grace included */

/* ---- Memory whose size is known at both ends: counted exactly -------------------------------- */

/* A block of `size` bytes, charged like mi_malloc and counted against the byte limit. When the
** limit is hit, everything that waits to be freed is drained; if that does not help the task
** expires (unless it `collects`); NULL and ENOMEM if the grace does not suffice either. */
void* rt_alloc(size_t size);
/* As realloc; `oldsize` is the size that the block was asked for. On NULL, p is as before.
** Shrinking never fails. */
void* rt_realloc(void* p, size_t oldsize, size_t newsize);
/* Frees a block of rt_alloc; `size` is what it was asked for. NULL with 0 is fine. Not charged. By
** the task that allocated it, else it stays counted there. */
void rt_free_sized(void* p, size_t size);
/* p as an offset in its task's region, equal in every run; only for tasks with repeatable_addresses
** and pointers into their memory, else 0. For printing addresses. */
uint64_t rt_offset(const rt_task* task, const void* p);

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

/* What is told of a task that was made with a record: pauses, and memory and waiting objects over time. The
** same program gives the same report in every run, but for what depends on the clock or the system. */
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
/* The same into a file, which is made anew, by what its name ends in: .txt, .html, .trace.json, other .json; EINVAL if
** in nothing of these. */
int rt_report_file(rt_task* task, const char* path);
/* Would it know the format? */
bool rt_report_knows(const char* path);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
