/* record.h: what a task keeps of its past for reports: histograms of its pauses, the worst of them,
** samples of what it held, and its scopes and children.
**
** A SERIES has rows in the order of time, in a fixed number of places. Its time is cut into
** intervals of so many beats; each has one row at most, which stands for all that were added in it.
** When the places are used up the intervals get twice as long, and rows that now share one are
** merged. So the whole run is covered, evenly, and which rows there are depends on what was added
** alone. (While an interval is 0 beats each row stands for itself.)
**
** What repeats in every run (ticks, units, counts, bytes held) and what does not (times,
** resident memory, threads) are never mixed: no time has a say in which of the former is kept. All
** is the task's thread's. */
#ifndef SLUICE_RECORD_H
#define SLUICE_RECORD_H

#include "alloc/internal.h"
#include "runtime/runtime.h"

/* Invariants: rows <= most, which is at least 2; beats ascend, and no two rows are of one interval. */
typedef struct series {
  char* at;
  size_t size; /* of a row, which begins with its beat */
  uint32_t rows, most;
  uint64_t interval;                           /* beats: 0, 1, 2, 4, ... */
  void (*merge)(void* row, const void* later); /* makes `row` stand for both */
} series_t;

void series_add(series_t* s, const void* row);
static inline const void* series_row(const series_t* s, uint32_t i) { return s->at + i * s->size; }

/* At the end of an interval, and the most that was seen at its beats. */
typedef struct sample {
  uint64_t beat, tick;
  uint64_t bytes, bytes_most;
  uint64_t waiting, waiting_most; /* dead objects */
  uint64_t owed;                  /* units */
  int64_t objects;
  uint64_t at_ns;    /* since the task began; 0: not measured */
  uint64_t resident; /* bytes, of the process, when the interval began; 0: not known */
} sample_t;

typedef struct event {
  uint64_t beat, tick; /* when it was over */
  uint64_t units;
  uint64_t at_ns, ns; /* since the start */
  uint32_t kind, thread;
} event_t;

/* A scope, or a child, which is over when it is joined. Of those that are over in an interval the longest is kept. */
enum { SPAN_NAME = 24 };
typedef struct span {
  uint64_t beat, tick; /* when it was over; and when it began: */
  uint64_t begin;
  uint64_t
      used; /* ticks; a child's are its own, and before it is joined it alone knows: UINT64_MAX */
  uint64_t ticks, bytes, depth; /* its limits; UINT64_MAX: none */
  uint64_t at_ns, ns;           /* since the start */
  uint64_t number;              /* of scopes as in rt_extension, of children in their own order */
  uint32_t level;               /* of scopes, from 1; 0: a child */
  rt_limit ended_by;
  char name[SPAN_NAME]; /* its beginning, in UTF-8, without control characters */
} span_t;

/* By the logarithm: [0] of 0, [i] of 2^(i-1) up to 2^i - 1, the last one of all above, too. */
enum { BUCKETS = 42, LONGEST = 16, OPEN_MOST = 16, RUNNING_MOST = 16 };
typedef uint64_t histogram_t[BUCKETS];
static inline unsigned bucket_of(uint64_t n) {
  unsigned bits = n == 0 ? 0 : 64u - (unsigned)__builtin_clzl(n);
  return bits < BUCKETS ? bits : BUCKETS - 1;
}

typedef struct recorder {
  size_t mapped;
  uint64_t start_ns;
  uint64_t limit_bytes, limit_beats; /* 0: none */
  uint64_t least_units, least_ns;    /* that make a pause an event */
  uint64_t heavy_count, long_count;  /* events that there were */
  uint64_t units[PAUSE_KINDS];       /* in all */
  histogram_t by_units[PAUSE_KINDS], by_ns[PAUSE_KINDS];
  series_t samples;
  series_t heavy;           /* events by units, */
  series_t lengthy;         /* and by their time, if that is measured */
  event_t longest[LONGEST]; /* the longest first */
  unsigned longest_count;
  series_t spans;
  uint64_t span_count; /* that there were */
  uint64_t children;   /* that began */
  span_t running
      [RUNNING_MOST]; /* those that were not joined, in their order; more of them are not shown before they are */
  unsigned running_count;
  span_t open[OPEN_MOST]; /* scopes that go on, by level; deeper ones are not recorded */
  unsigned open_count;
} recorder_t;

/* By the task's configuration; false: no memory. End it before the task ends. */
bool recorder_begin(mi_task_t* task, const rt_config* config);
void recorder_end(mi_task_t* task);
/* Samples now; the thread has the task. */
void recorder_sample(mi_task_t* task, uint64_t now_ns);

/* ---- spans.c: nothing is done for a task without a recorder ----------------------------------- */

void span_keep_longer(void* row, const void* later);
/* The innermost scope of the task has begun; a scope, by its level, has run out; it is over, and those in it. */
void span_begin(rt_task* t, const rt_limits* limits);
void span_mark(const rt_task* t, int level, rt_limit why);
void span_end(const rt_task* t, int level);
/* A child has begun; it is joined. */
void span_child(rt_task* parent, rt_task* child);
void span_join(const rt_task* parent, const rt_task* child, uint64_t used);
/* Those that are over in the order of their ends; then children and scopes that go on, as if they ended now. */
uint32_t spans_in(const recorder_t* r);
span_t span_at(const recorder_t* r, uint32_t i, uint64_t tick, uint64_t now_ns);

/* runtime.c */
mi_task_t* task_of(const rt_task* t);

#endif
