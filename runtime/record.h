/* record.h: what a task keeps of its past for reports: histograms of its pauses, the worst of them,
** and samples of what it held.
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

/* By the logarithm: [0] of 0, [i] of 2^(i-1) up to 2^i - 1, the last one of all above, too. */
enum { BUCKETS = 42, LONGEST = 16 };
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
} recorder_t;

/* By the task's configuration; false: no memory. End it before the task ends. */
bool recorder_begin(mi_task_t* task, const rt_config* config);
void recorder_end(mi_task_t* task);
/* Samples now; the thread has the task. */
void recorder_sample(mi_task_t* task, uint64_t now_ns);

/* runtime.c */
mi_task_t* task_of(const rt_task* t);

#endif
