/* runtime_series.h: what a series must have, from all rows that were ever added. */
#ifndef RUNTIME_SERIES_H
#define RUNTIME_SERIES_H

#include "rc_tools.h"
#include "runtime/record.h"

typedef struct row {
  uint64_t beat, number, worth;
} row_t;

static inline void keep_better(void* row, const void* later) {
  if (((const row_t*)later)->worth > ((const row_t*)row)->worth)
    *(row_t*)row = *(const row_t*)later;
}

static inline bool is_new_group(const row_t* rows, size_t i, uint64_t interval) {
  return i == 0 || interval == 0 || rows[i].beat / interval != rows[i - 1].beat / interval;
}

static inline size_t groups(const row_t* rows, size_t n, uint64_t interval) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += is_new_group(rows, i, interval);
  return count;
}

/* The shortest interval with which all of them have a place; and the first best row of each group. */
static inline void check_series(const series_t* s, const row_t* rows, size_t n, uint64_t interval) {
  while (groups(rows, n, interval) > s->most) interval = interval == 0 ? 1 : 2 * interval;
  assert_int_equal(s->interval, interval);
  assert_int_equal(s->rows, groups(rows, n, interval));
  for (size_t i = 0, group = 0; i < n; group++) {
    const row_t* best = &rows[i++];
    for (; i < n && !is_new_group(rows, i, interval); i++)
      if (rows[i].worth > best->worth) best = &rows[i];
    const row_t* kept = series_row(s, (uint32_t)group);
    assert_memory_equal(kept, best, sizeof *best);
  }
}

#endif
