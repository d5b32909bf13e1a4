/* runtime_replay_test.c: a task that another thread stops at some moment is stopped at the same one again by its log.
** (Random programs with all that a host may decide are replayed in runtime_scope_test.c.) */
#include "rc_tools.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct run {
  rt_task* task;
  _Atomic uint64_t turns; /* a step of the guest each, most of which nobody charges */
  uint64_t cancel_at;     /* 0: nobody cancels */
  uint64_t ticks;
} run_t;

static void* cancel(void* arg) {
  run_t* r = arg;
  while (atomic_load(&r->turns) < r->cancel_at) continue;
  rt_cancel(r->task);
  return NULL;
}

/* Its safepoints: polls, ticks, allocations that come to a beat, ends of scopes. */
static bool turn(uint64_t i) {
  if (i % 7 == 0) return rt_tick(i % 3) == RT_OK;
  if (i % 11 == 0) {
    rt_scope s;
    rt_scope_begin(&s, &(rt_limits){.ticks = 5});
    (void)rt_expire(RT_HEARTBEATS); /* the program's own */
    return rt_scope_end(&s) == RT_OK;
  }
  if (i % 5 != 0) return rt_poll() == RT_OK;
  rt_free_sized(rt_alloc(16), 16);
  return rt_expired(rt_current()) == RT_NONE;
}

static void run(run_t* r, const rt_extension* log, size_t count) {
  pthread_t thread;
  r->task = begin(&(rt_config){.heartbeat_period = 3, .replay = log, .replay_count = count});
  if (r->cancel_at > 0) assert_int_equal(pthread_create(&thread, NULL, cancel, r), 0);
  for (uint64_t i = 1; turn(i); i++) atomic_store(&r->turns, i);
  assert_int_equal(rt_expired(r->task), RT_CANCELLED);
  r->ticks = rt_ticks(r->task);
  if (r->cancel_at > 0) assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_cancelled_by_a_thread(void** state) {
  (void)state;
  for (uint64_t round = 1; round <= 60; round++) {
    run_t first = {.cancel_at = round * 17}, second = {0};
    size_t count, again;
    run(&first, NULL, 0);
    const rt_extension* log = rt_extensions(first.task, &count);
    rt_leave();
    run(&second, log, count);
    assert_true(second.turns == first.turns && second.ticks == first.ticks);
    const rt_extension* same = rt_extensions(second.task, &again);
    assert_int_equal(again, count);
    for (size_t i = 0; i < count; i++)
      assert_true(same[i].tick == log[i].tick && same[i].calls == log[i].calls &&
                  same[i].scope == log[i].scope && same[i].limit == log[i].limit &&
                  same[i].amount == 0 && log[i].amount == 0);
    assert_int_equal(log[count - 1].limit, RT_CANCELLED);
    end(second.task);
    assert_int_equal(rt_task_end(first.task), 0);
  }
}

/* A replay can be cancelled, too; and no memory is needed to log that. */
static void test_replay_is_cancelled(void** state) {
  (void)state;
  static const rt_extension late[] = {{1000000, 0, 0, RT_CANCELLED, 0}};
  rt_task* t = begin(&(rt_config){.replay = late, .replay_count = 1});
  size_t count;
  assert_int_equal(rt_tick(1), RT_OK);
  rt_cancel(t);
  assert_int_equal(rt_tick(1), RT_EXPIRED);
  const rt_extension* log = rt_extensions(t, &count);
  assert_int_equal(count, 1);
  assert_true(log->tick == 2 && log->amount == 0 && log->calls == 2 && log->limit == RT_CANCELLED);
  end(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cancelled_by_a_thread),
      cmocka_unit_test(test_replay_is_cancelled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
