/* runtime_budget_test.c: the corners of scopes, extension and depth that random programs
** (runtime_scope_test.c) do not come to: what is exact to the tick and to the byte, who may do what, and
** what is refused. */
#include "runtime_budget_tools.h"

/* ---- Ticks: the charge that reaches the limit tells, whatever is called -------------------------- */

static void* block;
static rc_object* object;
static void call_malloc(void) { mi_free(mi_malloc(1)); }
static void call_large(void) { mi_free(mi_malloc(5000)); }
static void call_rt(void) { rt_free_sized(rt_alloc(100), 100); }
static void call_realloc(void) { block = rt_realloc(block, 10, 10); }
static void call_fields(void) { rc_dec(node(RC_NIL, RC_NIL)); }
static void call_bytes(void) { rc_dec(rc_bytes(0, 3000)); }
static void call_reuse(void) { object = rc_reuse(rc_drop_reuse(object), 1, 2); }
static void call_tick(void) { mi_tick(1); }
static const struct {
  void (*call)(void);
  uint64_t ticks;
} calls[] = {{call_malloc, 1}, {call_large, 5}, {call_rt, 1},    {call_realloc, 1},
             {call_fields, 1}, {call_bytes, 3}, {call_reuse, 1}, {call_tick, 1}};

/* Until then nothing tells of it, in the task or in a scope in a scope. */
static void test_exact_to_the_tick(void** state) {
  (void)state;
  for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++)
    for (uint64_t limit = 1; limit <= 2200; limit += 1 + limit / 5) {
      rt_task* t = begin(&(rt_config){.name = "all", .ticks = 5000});
      block = rt_alloc(10);
      object = node(RC_NIL, RC_NIL);
      rt_scope outer, s;
      rt_scope_begin(&outer, &(rt_limits){.ticks = 4000});
      rt_scope_begin(&s, &(rt_limits){.name = "inner", .ticks = limit});
      uint64_t first = rt_ticks(t);
      while (rt_ticks(t) - first + calls[i].ticks < limit) {
        calls[i].call();
        assert_runs(t);
      }
      calls[i].call();
      if (call_reuse == calls[i].call) rc_init(object, 0, RC_NIL), rc_init(object, 1, RC_NIL);
      assert_expired(t, RT_HEARTBEATS, "inner");
      assert_true(rt_ticks(t) - first >= limit && rt_ticks(t) - first < limit + calls[i].ticks);
      for (int again = 0; again < 3; again++) { /* every call goes on to tell, and works */
        calls[again].call();
        assert_int_equal(rt_tick(0), RT_EXPIRED);
      }
      assert_int_equal(rt_scope_end(&s), RT_OK);
      assert_runs(t);
      assert_int_equal(rt_left(RT_HEARTBEATS), 4000 - (rt_ticks(t) - 2));
      end(t);
    }
}

/* Of several that one charge makes run out, the innermost is named until it ends. */
static void test_several_at_once(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.ticks = 1000});
  rt_scope a, b, c;
  rt_scope_begin(&a, &(rt_limits){.name = "a", .ticks = 200});
  rt_scope_begin(&b, &(rt_limits){.name = "b"});
  rt_scope_begin(&c, &(rt_limits){.ticks = 100});
  assert_int_equal(rt_tick(99), RT_OK);
  assert_int_equal(rt_tick(1), RT_EXPIRED);
  assert_expired(t, RT_HEARTBEATS, "scope");
  assert_int_equal(rt_tick(1000), RT_EXPIRED); /* while it unwinds, those around it run out */
  assert_expired(t, RT_HEARTBEATS, "scope");
  assert_int_equal(rt_scope_end(&c), RT_EXPIRED);
  assert_expired(t, RT_HEARTBEATS, "a");
  assert_int_equal(rt_scope_end(&b), RT_EXPIRED);
  assert_int_equal(rt_scope_end(&a), RT_EXPIRED);
  assert_expired(t, RT_HEARTBEATS, "task");
  end(t);
}

/* ---- Bytes ------------------------------------------------------------------------------------- */

/* What is dead when a scope begins is not what the scope may hold more of. */
static void test_bytes_beside_the_dead(void** state) {
  (void)state;
  for (int dead = 0; dead < 2; dead++) {
    rt_task* t = begin(&(rt_config){.collects = true});
    void* before = rt_alloc(1000);
    rc_object* list = list_of(10000);
    if (dead) rc_dec(list);
    rt_scope s;
    rt_scope_begin(&s, &(rt_limits){.bytes = 500});
    if (!dead) rc_dec(list);
    rc_drain(SIZE_MAX);
    uint64_t more = dead ? 0 : 240000;
    assert_int_equal(rt_left(RT_MEMORY), 500 + more);
    assert_null(rt_alloc(501 + more));
    void* p = rt_alloc(500 + more);
    assert_non_null(p);
    assert_int_equal(rt_scope_end(&s), RT_OK);
    assert_int_equal(rt_left(RT_MEMORY), UINT64_MAX);
    rt_free_sized(p, 500 + more);
    rt_free_sized(before, 1000);
    assert_nothing_left(t);
    end(t);
  }
}

/* Blocks of mi_malloc count by what is granted, in scopes as in the task. */
static void test_granted_bytes(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.bytes = 10 << 20, .grace_bytes = 1 << 20});
  for (int i = 0; i < 3; i++) {
    rt_scope s;
    rt_scope_begin(&s, &(rt_limits){.name = "s", .bytes = 1 << 20});
    void* p = mi_malloc(900000);
    assert_non_null(p);
    assert_runs(t);
    void* q = mi_malloc(500000);
    assert_non_null(q); /* from the grace */
    assert_expired(t, RT_MEMORY, "s");
    assert_null(mi_malloc(1 << 20));
    mi_free(p);
    mi_free(q);
    assert_int_equal(rt_scope_end(&s), RT_OK);
    p = mi_malloc(5 << 20);
    assert_non_null(p);
    assert_runs(t);
    mi_free(p);
  }
  end(t);
}

/* The grace is one for all that expires until the task goes on, and then there is another. */
static void test_grace(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.grace_bytes = 100, .bytes = 1000});
  for (int i = 0; i < 3; i++) {
    rt_scope s;
    rt_scope_begin(&s, &(rt_limits){.name = "s", .bytes = 50});
    void* p = rt_alloc(120);
    assert_non_null(p);
    assert_expired(t, RT_MEMORY, "s");
    assert_null(rt_alloc(31));
    void* q = rt_alloc(30);
    assert_non_null(q);
    rt_expire(RT_CANCELLED);
    assert_null(rt_alloc(1));
    rt_free_sized(p, 120);
    rt_free_sized(q, 30);
    assert_int_equal(rt_scope_end(&s), RT_OK);
    assert_int_equal(rt_left(RT_MEMORY), 1000);
  }
  void* p = rt_alloc(1101);
  assert_null(p);
  assert_expired(t, RT_MEMORY, "task");
  end(t);
}

/* ---- Depth --------------------------------------------------------------------------------------- */

static void test_depth(void** state) {
  (void)state;
  uint64_t own = rt_depth();
  descend(3);
  rt_task* t = begin(&(rt_config){.depth = 1000000});
  assert_int_equal(rt_depth(), 0);
  descend(1000000);
  assert_int_equal(rt_descend(), RT_TOO_DEEP);
  assert_runs(t); /* it can be caught */
  rt_ascend_to(10);
  rt_ascend_to(20);
  assert_int_equal(rt_depth(), 10);
  rt_scope a, b;
  rt_scope_begin(&a, &(rt_limits){.name = "a", .depth = 5});
  descend(2);
  rt_scope_begin(&b, &(rt_limits){.depth = 10});
  descend(3);
  assert_int_equal(rt_descend(), RT_TOO_DEEP);
  assert_int_equal(rt_left(RT_DEPTH), 0);
  rt_leave();
  assert_int_equal(rt_depth(), own + 3);
  descend(1);
  assert_int_equal(rt_enter(t), 0);
  assert_int_equal(rt_depth(), 15);
  assert_int_equal(rt_expire(RT_DEPTH), RT_EXPIRED); /* a host that makes it final */
  assert_expired(t, RT_DEPTH, "a");
  assert_int_equal(rt_left(RT_DEPTH), 0);
  assert_int_equal(rt_scope_end(&a), RT_OK); /* with b */
  assert_int_equal(rt_depth(), 10);
  assert_int_equal(rt_left(RT_DEPTH), 999990);
  end(t);
  assert_int_equal(rt_depth(), own + 4);
  rt_ascend_to(own);
}

/* ---- Scopes: who ends what ----------------------------------------------------------------------- */

static unsigned reports;
static void count_report(int error, void* arg) {
  (void)arg;
  reports += error == EPERM;
}

static void test_scopes_and_tasks(void** state) {
  (void)state;
  rt_scope none, s, inner, other_scopes[2];
  rt_limits limits = {.ticks = 1};
  bool aborts = mi_option_is_enabled(mi_option_abort_on_error);
  mi_option_disable(mi_option_abort_on_error);
  mi_option_disable(mi_option_show_errors);
  mi_register_error(count_report, NULL);
  rt_scope_begin(&none, &limits);
  assert_int_equal(rt_tick(5), RT_OK); /* no task: no limit */
  assert_int_equal(rt_left(RT_HEARTBEATS), UINT64_MAX);
  rt_task* t = begin(NULL);
  rt_scope_begin(&s, &limits);
  rt_task* other = begin(NULL);
  assert_int_equal(rt_scope_end(&none), RT_OK);
  assert_int_equal(reports, 0);
  assert_int_equal(rt_scope_end(&s), RT_OK); /* the other one's */
  assert_int_equal(reports, 1);
  assert_int_equal(rt_tick(5), RT_OK);
  end(other);
  rt_scope_begin(&inner, &limits);
  assert_int_equal(rt_tick(1), RT_EXPIRED);
  assert_int_equal(rt_scope_end(&s), RT_OK);
  assert_int_equal(rt_scope_end(&s), RT_OK); /* nothing */
  assert_int_equal(reports, 1);
  assert_int_equal(rt_scope_end(&inner), RT_OK); /* it has ended */
  assert_int_equal(reports, 2);
  assert_int_equal(rt_tick(5), RT_OK);
  rt_scope_begin(&s, &limits);
  rt_scope_begin(&inner, &limits);
  assert_int_equal(rt_scope_end(&s), RT_OK);
  rt_scope_begin(&other_scopes[0], &(rt_limits){.ticks = 100});
  rt_scope_begin(&other_scopes[1], &(rt_limits){.ticks = 10});
  assert_int_equal(rt_scope_end(&inner), RT_OK); /* there is another one at its level */
  assert_int_equal(reports, 3);
  assert_int_equal(rt_left(RT_HEARTBEATS), 10);
  assert_int_equal(rt_scope_end(&other_scopes[1]), RT_OK);
  assert_int_equal(rt_left(RT_HEARTBEATS), 100);
  assert_int_equal(rt_scope_end(&other_scopes[0]), RT_OK);
  assert_int_equal(reports, 3);
  end(t);
  mi_register_error(NULL, NULL);
  mi_option_set_enabled(mi_option_abort_on_error, aborts);
}

/* A task that is cancelled is so for good; what a scope expired by, by its end is over. */
static void test_cancel_within_scopes(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rt_scope s;
  rt_scope_begin(&s, &(rt_limits){.name = "s", .ticks = 10});
  assert_int_equal(rt_tick(10), RT_EXPIRED);
  rt_cancel(t);
  assert_expired(t, RT_HEARTBEATS, "s");
  assert_int_equal(rt_scope_end(&s), RT_EXPIRED);
  assert_expired(t, RT_CANCELLED, "task");
  rt_scope_begin(&s, &(rt_limits){.name = "s"});
  assert_int_equal(rt_scope_end(&s), RT_EXPIRED);
  assert_expired(t, RT_CANCELLED, "task");
  end(t);
}

/* ---- Extension ----------------------------------------------------------------------------------- */

typedef struct host {
  uint64_t amount;
  unsigned asked, most;
  rt_task* t;
} host;

/* The host uses the thread as if the task had not been entered. */
static uint64_t extend(rt_task* t, rt_limit limit, const char* scope, void* arg) {
  host* h = arg;
  assert_ptr_equal(t, h->t);
  assert_null(rt_current());
  assert_int_equal(rt_enter(t), EBUSY);
  assert_int_equal(rt_depth(), 0);
  assert_string_equal(scope, limit == RT_MEMORY ? "task" : "s");
  uint64_t ticks = rt_ticks(t), bytes = rt_bytes(t);
  rt_task* other = begin(&(rt_config){.ticks = 3});
  assert_int_equal(rt_tick(3), RT_EXPIRED);
  end(other);
  mi_free(mi_malloc(5000));
  assert_int_equal(rt_ticks(t), ticks);
  assert_int_equal(rt_bytes(t), bytes);
  return h->asked++ < h->most ? h->amount : 0;
}

static void test_extension(void** state) {
  (void)state;
  host h = {.amount = 7, .most = 40};
  rt_task* t = h.t = begin(&(rt_config){.bytes = 1000, .on_expiry = extend, .on_expiry_arg = &h});
  rt_scope s;
  rt_scope_begin(&s, &(rt_limits){.name = "s", .ticks = 10});
  descend(1);
  assert_int_equal(rt_tick(9), RT_OK);
  assert_int_equal(h.asked, 0);
  assert_int_equal(rt_tick(30), RT_OK); /* 10 and 5 times 7 suffice for 39 */
  assert_int_equal(h.asked, 5);
  assert_int_equal(rt_left(RT_HEARTBEATS), 6);
  void* p = rt_alloc(1100); /* of 2 ticks */
  assert_non_null(p);
  assert_int_equal(h.asked, 5 + 15);
  assert_int_equal(rt_left(RT_MEMORY), 5);
  assert_int_equal(rt_expire(RT_MEMORY), RT_OK); /* asks, too */
  assert_int_equal(rt_left(RT_MEMORY), 12);
  assert_int_equal(rt_tick(200), RT_EXPIRED); /* asked in vain */
  assert_int_equal(h.asked, 41);
  assert_expired(t, RT_HEARTBEATS, "s");
  assert_int_equal(rt_tick(200), RT_EXPIRED);
  assert_int_equal(h.asked, 41);
  assert_int_equal(rt_scope_end(&s), RT_OK);
  assert_runs(t);
  size_t count;
  const rt_extension* log = rt_extensions(t, &count);
  assert_int_equal(count, 40);
  assert_int_equal(log[0].tick, 39);
  assert_int_equal(log[0].scope, 1);
  assert_int_equal(log[0].limit, RT_HEARTBEATS);
  assert_int_equal(log[19].tick, 41);
  assert_int_equal(log[19].amount, 7);
  assert_int_equal(log[19].scope, 0);
  assert_int_equal(log[19].limit, RT_MEMORY);
  end(t);
}

/* Ticks that were charged ahead are taken back at the limit, of scopes too, before the host is asked; they
** are in no log. */
static uint64_t take_back(void* ahead) {
  uint64_t n = *(uint64_t*)ahead;
  *(uint64_t*)ahead = 0;
  return n;
}

static void test_what_is_taken_back(void** state) {
  (void)state;
  uint64_t ahead = 7;
  size_t count;
  rt_scope s;
  rt_task* t = begin(&(rt_config){.ticks = 100, .take_back = take_back, .take_back_arg = &ahead});
  rt_scope_begin(&s, &(rt_limits){.name = "part", .ticks = 10});
  assert_int_equal(rt_tick(9), RT_OK);
  assert_int_equal(ahead, 7);
  assert_int_equal(rt_tick(1), RT_OK);
  assert_int_equal(ahead, 0);
  assert_int_equal(rt_left(RT_HEARTBEATS), 7);
  assert_int_equal(rt_tick(7), RT_EXPIRED);
  assert_expired(t, RT_HEARTBEATS, "part");
  assert_int_equal(rt_scope_end(&s), RT_OK);
  assert_int_equal(rt_left(RT_HEARTBEATS), 90);
  ahead = 5;
  assert_int_equal(rt_tick(94), RT_OK);
  assert_int_equal(rt_tick(1), RT_EXPIRED);
  for (const rt_extension* e = rt_extensions(t, &count); count > 0; count--, e++)
    assert_int_equal(e->amount, 0);
  end(t);
}

/* An amount without end, and requests that nothing suffices for. */
static uint64_t extend_for_good(rt_task* t, rt_limit limit, const char* scope, void* arg) {
  (void)t, (void)limit, (void)scope;
  ++*(unsigned*)arg;
  return UINT64_MAX;
}

static void test_extension_for_good(void** state) {
  (void)state;
  unsigned asked = 0;
  volatile size_t all = SIZE_MAX;
  rt_task* t = begin(&(rt_config){
      .bytes = 1000, .ticks = 10, .on_expiry = extend_for_good, .on_expiry_arg = &asked});
  assert_null(rt_alloc(all - 100));
  assert_int_equal(asked, 0);
  assert_expired(t, RT_MEMORY, "task");
  end(t);
  t = begin(&(rt_config){
      .bytes = 1000, .ticks = 10, .on_expiry = extend_for_good, .on_expiry_arg = &asked});
  assert_int_equal(rt_tick(1 << 20), RT_OK);
  assert_int_equal(asked, 1);
  void* p = rt_alloc(1 << 20);
  assert_non_null(p);
  assert_int_equal(asked, 2);
  assert_int_equal(rt_left(RT_HEARTBEATS), UINT64_MAX);
  assert_int_equal(rt_left(RT_MEMORY), UINT64_MAX);
  assert_runs(t);
  end(t);
}

/* Another program, or a log that ends: the limits hold. */
static void test_replay(void** state) {
  (void)state;
  static const struct {
    rt_extension log[3];
    size_t entries;
    uint64_t runs_to;
  } cases[] = {
      {{{10, 5, 0, RT_HEARTBEATS, 0}, {15, 5, 0, RT_HEARTBEATS, 0}, {16, 9, 0, RT_MEMORY, 0}},
       3,
       20},
      {{{10, 5, 0, RT_HEARTBEATS, 0}, {15, 5, 0, RT_HEARTBEATS, 0}}, 1, 15},
      {{{10, 5, 0, RT_HEARTBEATS, 0}}, 0, 10},
      {{{11, 5, 0, RT_HEARTBEATS, 0}}, 1, 10},
      {{{9, 5, 0, RT_HEARTBEATS, 0}, {10, 5, 0, RT_HEARTBEATS, 0}}, 2, 10},
      {{{10, 5, 0, RT_MEMORY, 0}}, 1, 10},
      {{{10, 5, 1, RT_HEARTBEATS, 0}}, 1, 10},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    rt_task* t =
        begin(&(rt_config){.ticks = 10, .replay = cases[i].log, .replay_count = cases[i].entries});
    while (rt_tick(1) == RT_OK) continue;
    assert_int_equal(rt_ticks(t), cases[i].runs_to);
    assert_expired(t, RT_HEARTBEATS, "task");
    size_t count;
    (void)rt_extensions(t, &count);
    assert_int_equal(count, (cases[i].runs_to - 10) / 5);
    end(t);
  }
}

/* A callback of the allocator is no place to ask in. */
static rt_status answer;
static void expire_within(bool force, unsigned long long beat, void* arg) {
  (void)force, (void)beat, (void)arg;
  if (rt_current() != NULL) answer = rt_expire(RT_HEARTBEATS);
}

static void test_expiry_within_a_callback(void** state) {
  (void)state;
  unsigned asked = 0;
  mi_register_deferred_free(expire_within, NULL);
  rt_task* t =
      begin(&(rt_config){.ticks = 100000, .on_expiry = extend_for_good, .on_expiry_arg = &asked});
  assert_int_equal(rt_tick(1000), RT_EXPIRED);
  assert_int_equal(answer, RT_EXPIRED);
  assert_int_equal(asked, 0);
  end(t);
  mi_register_deferred_free(NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exact_to_the_tick),
      cmocka_unit_test(test_several_at_once),
      cmocka_unit_test(test_bytes_beside_the_dead),
      cmocka_unit_test(test_granted_bytes),
      cmocka_unit_test(test_grace),
      cmocka_unit_test(test_depth),
      cmocka_unit_test(test_scopes_and_tasks),
      cmocka_unit_test(test_cancel_within_scopes),
      cmocka_unit_test(test_extension),
      cmocka_unit_test(test_extension_for_good),
      cmocka_unit_test(test_what_is_taken_back),
      cmocka_unit_test(test_replay),
      cmocka_unit_test(test_expiry_within_a_callback),
  };
  return cmocka_run_group_tests_name("runtime budgets", tests, NULL, NULL);
}
