/* runtime_limit_tools.h: what the tests of the byte limit share. Blocks of rt_* and objects count as
** many bytes as were asked for, blocks of mi_* as many as their size class has (above 64 KiB: whole
** slices of 64 KiB). A request is refused exactly if it does not fit in addition to what lives: first
** all dead objects are freed, and what was granted to a heap and not handed out is taken back. Most
** tasks here have `collects`, so that a refusal is all that happens. */
#ifndef RUNTIME_LIMIT_TOOLS_H
#define RUNTIME_LIMIT_TOOLS_H

#include "rc_tools.h"

#include <errno.h>

static const size_t KIB = 1024;
enum { SLOTS = 300 };

/* What a block of mi_malloc counts. */
static inline size_t granted(size_t size) {
  const size_t slice = 64 * KIB;
  if (size > slice) return (size + slice - 1) / slice * slice;
  size_t words = (size + 7) / 8;
  return 8 * rounded(words <= 1 ? 1 : (words + 1) / 2 * 2);
}

static inline rt_task* begin_limited(size_t bytes) {
  return begin(&(rt_config){.bytes = bytes, .collects = true});
}

static inline void expect_refused(const void* p) {
  assert_null(p);
  assert_int_equal(errno, ENOMEM);
  errno = 0;
}

static inline size_t random_size(size_t limit) {
  switch (rnd(10)) {
    case 0:
      return rnd(limit + limit / 8 + 2);
    case 1:
      return 0;
    case 2:
    case 3:
      return rnd(limit / 8 + 1);
    case 4:
    case 5:
      return rnd(150);
    default:
      return rnd(limit / 50 + 20);
  }
}

#endif
