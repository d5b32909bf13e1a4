/* runtime_budget_tools.h: what the tests of budgets share. */
#ifndef RUNTIME_BUDGET_TOOLS_H
#define RUNTIME_BUDGET_TOOLS_H

#include "rc_tools.h"

#include <errno.h>

static inline void assert_expired(const rt_task* t, rt_limit limit, const char* scope) {
  assert_int_equal(rt_poll(), RT_EXPIRED);
  assert_int_equal(rt_expired(t), limit);
  assert_string_equal(rt_expired_scope(t), scope);
}

static inline void assert_runs(const rt_task* t) {
  assert_int_equal(rt_poll(), RT_OK);
  assert_int_equal(rt_expired(t), RT_NONE);
  assert_null(rt_expired_scope(t));
}

static inline void descend(unsigned n) {
  for (unsigned i = 0; i < n; i++) assert_int_equal(rt_descend(), RT_OK);
}

#endif
