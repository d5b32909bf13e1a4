/* runtime_children_test.c: what a child may use is its parent's, and returns to it: to the tick and to the byte, also
** where random programs (runtime_scope_test.c) do not come to. */
#include "runtime_budget_tools.h"

static void spend(rt_task* t, uint64_t ticks) {
  assert_int_equal(rt_enter(t), 0);
  (void)rt_tick(ticks);
  rt_leave();
}

static void test_budgets(void** state) {
  (void)state;
  rt_outcome out;
  rt_task* t =
      begin(&(rt_config){.heartbeats = 10, .heartbeat_period = 100, .bytes = 5000, .depth = 50});
  descend(20);
  rt_task* a =
      rt_task_new_child(&(rt_config){.name = "a", .heartbeats = 2, .bytes = 1000, .depth = 100});
  assert_int_equal(rt_left(RT_HEARTBEATS), 800);
  assert_int_equal(rt_left(RT_MEMORY), 4000);
  assert_int_equal(rt_left(RT_DEPTH), 30);
  rt_task* b = rt_task_new_child(NULL); /* all that is left */
  assert_int_equal(rt_left(RT_HEARTBEATS), 0);
  assert_int_equal(rt_left(RT_MEMORY), 0);
  assert_runs(t); /* as long as it asks for nothing */
  rt_task* c = rt_task_new_child(&(rt_config){.ticks = 5});
  assert_int_equal(rt_task_end(t), EBUSY);
  rt_leave();
  assert_int_equal(rt_task_end(t), EBUSY);
  assert_int_equal(rt_task_join(a, &out), EPERM);
  assert_int_equal(rt_enter(a), 0);
  assert_int_equal(mi_heartbeat_period(), 100);
  assert_int_equal(rt_left(RT_HEARTBEATS), 200);
  assert_int_equal(rt_left(RT_DEPTH), 30);
  assert_int_equal(rt_tick(150), RT_OK);
  assert_null(rt_alloc(1000 + 256 * 1024 + 1)); /* with the grace */
  assert_expired(a, RT_HEARTBEATS, "a");        /* the charge comes first */
  rt_leave();
  spend(b, 300);
  spend(c, 1);
  assert_int_equal(rt_expired(b), RT_NONE);
  assert_int_equal(rt_expired(c), RT_HEARTBEATS); /* it was given nothing */
  assert_int_equal(rt_enter(t), 0);
  assert_int_equal(rt_enter(b), 0);
  assert_int_equal(rt_task_join(b, &out), EPERM);
  rt_leave();
  assert_int_equal(rt_task_join(a, &out), 0);
  assert_int_equal(out.expired, RT_HEARTBEATS);
  assert_string_equal(out.scope, "a");
  assert_int_equal(out.ticks, 150 + 257); /* above its budget by 207 */
  assert_int_equal(rt_left(RT_MEMORY), 1000);
  assert_int_equal(rt_task_join(b, NULL), 0);
  assert_int_equal(rt_left(RT_HEARTBEATS), 500 - 207);
  assert_int_equal(rt_task_join(c, &out), 0);
  assert_int_equal(rt_left(RT_HEARTBEATS), 500 - 207 - 1);
  assert_int_equal(rt_left(RT_MEMORY), 5000);
  assert_int_equal(rt_ticks(t), 0);
  end(t);
}

/* What is not joined is not returned; who has expired has nothing to give; without a parent it is any task. */
static void test_other_ends(void** state) {
  (void)state;
  rt_outcome out;
  rt_task* t = begin(&(rt_config){.ticks = 1000, .bytes = 1000});
  rt_task* a = rt_task_new_child(&(rt_config){.ticks = 300, .bytes = 300});
  assert_int_equal(rt_task_end(a), 0);
  assert_int_equal(rt_left(RT_HEARTBEATS), 700);
  assert_int_equal(rt_left(RT_MEMORY), 700);
  a = rt_task_new_child(&(rt_config){.ticks = 300});
  assert_int_equal(rt_enter(a), 0);
  rt_task* b = rt_task_new_child(&(rt_config){.ticks = 100});
  rt_leave();
  assert_int_equal(rt_task_join(a, NULL), EBUSY);
  assert_int_equal(rt_task_end(b), 0);
  assert_int_equal(rt_task_join(a, &out), 0);
  assert_int_equal(out.ticks, 100); /* b had them */
  assert_int_equal(rt_left(RT_HEARTBEATS), 600);
  assert_int_equal(rt_tick(600), RT_EXPIRED);
  a = rt_task_new_child(&(rt_config){.ticks = 5});
  assert_int_equal(rt_enter(a), 0);
  assert_int_equal(rt_left(RT_HEARTBEATS), 0);
  assert_int_equal(rt_left(RT_MEMORY), 0);
  rt_leave();
  assert_int_equal(rt_task_join(a, NULL), 0);
  end(t);
  t = begin(NULL);
  a = rt_task_new_child(&(rt_config){.heartbeat_period = 7, .heartbeats = 2});
  spend(a, 15);
  assert_int_equal(rt_heartbeats(a), 2);
  assert_int_equal(rt_task_join(a, &out), 0);
  assert_int_equal(out.expired, RT_HEARTBEATS);
  end(t);
  a = rt_task_new_child(&(rt_config){.ticks = 5});
  spend(a, 4);
  assert_int_equal(rt_task_join(a, &out), 0);
  assert_int_equal(out.ticks, 4);
  assert_int_equal(out.expired, RT_NONE);
  assert_null(rt_task_new_child(&(rt_config){.heartbeat_period = UINT64_MAX}));
  assert_int_equal(errno, EINVAL);
}

/* A child's dead objects do not keep its parent from having its bytes back; the parent's are freed before it says
** how much is left. */
static void test_bytes_of_children(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.bytes = 300000});
  rc_dec(list_of(10000));
  rt_task* a = rt_task_new_child(&(rt_config){.bytes = 100000});
  assert_int_equal(rc_pending(), 0);
  assert_int_equal(rt_left(RT_MEMORY), 200000);
  assert_int_equal(rt_enter(a), 0);
  rc_dec(list_of(4000));
  assert_true(rc_pending() > 0);
  rt_leave();
  assert_int_equal(rt_task_join(a, NULL), 0);
  assert_int_equal(rt_left(RT_MEMORY), 300000);
  end(t);
}

/* Extended by what was not its parent's, a child gives none of it back, nor takes more. */
static void test_extended_child(void** state) {
  (void)state;
  static const uint64_t used[] = {50, 100, 150, 199, 200, 205}, back[] = {50, 0, 0, 0, 0, 0};
  static const rt_extension log[] = {{100, 100, 0, RT_HEARTBEATS, 0}};
  for (unsigned i = 0; i < 6; i++) {
    rt_task* t = begin(&(rt_config){.ticks = 1000});
    rt_task* a = rt_task_new_child(&(rt_config){.ticks = 100, .replay = log, .replay_count = 1});
    assert_int_equal(rt_enter(a), 0);
    for (uint64_t n = 0; n < used[i]; n++) (void)rt_tick(1);
    rt_leave();
    assert_int_equal(rt_expired(a), used[i] < 200 ? RT_NONE : RT_HEARTBEATS);
    assert_int_equal(rt_task_join(a, NULL), 0);
    assert_int_equal(rt_left(RT_HEARTBEATS), 900 + back[i] - (used[i] > 200 ? used[i] - 200 : 0));
    end(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_budgets),
      cmocka_unit_test(test_other_ends),
      cmocka_unit_test(test_bytes_of_children),
      cmocka_unit_test(test_extended_child),
  };
  return cmocka_run_group_tests_name("runtime: children", tests, NULL, NULL);
}
