/* runtime_test.c: the life of tasks: expiry, cancellation, entering and leaving, and the record of
** pauses. The clock is runtime_clock_test.c's, limits of memory are runtime_limit_test.c's,
** repeatable addresses are runtime_region_test.c's. */
#include "rc_tools.h"

#include <errno.h>
#include <pthread.h>

enum { PERIOD = 1000 }; /* the default */

static uint64_t charge_of(size_t size) { return 1 + size / 1024; }

static void run_thread(void* (*f)(void*), void* arg) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, f, arg), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- Expiry ---------------------------------------------------------------------------------- */

static void test_expiry_is_sticky(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.heartbeats = 2, .bytes = 1000});
  rt_expire(RT_NONE);
  assert_int_equal(rt_poll(), RT_OK);
  assert_int_equal(rt_tick(5 * PERIOD), RT_EXPIRED);
  rt_cancel(t);
  rt_expire(RT_MEMORY);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(rt_poll(), RT_EXPIRED);
    assert_int_equal(rt_tick(PERIOD), RT_EXPIRED);
    rt_leave();
    assert_int_equal(rt_poll(), RT_OK); /* the thread's own task has not expired */
    assert_int_equal(rt_enter(t), 0);
    assert_int_equal(rt_expired(t), RT_HEARTBEATS); /* the first reason stays */
  }
  void* p = rt_alloc(500); /* the guest can be unwound */
  assert_non_null(p);
  rt_free_sized(p, 500);
  assert_int_equal(rt_ticks(t), 10 * PERIOD + 1);
  end(t);
  static const rt_limit reasons[] = {RT_HEARTBEATS, RT_MEMORY, RT_CANCELLED};
  for (int i = 0; i < 3; i++) {
    t = begin(NULL);
    rt_expire(reasons[i]);
    assert_int_equal(rt_expired(t), reasons[i]);
    assert_int_equal(rt_poll(), RT_EXPIRED);
    end(t);
  }
}

/* ---- Cancellation ---------------------------------------------------------------------------- */

static void* cancel(void* t) {
  rt_cancel(t);
  return NULL;
}

static void poll_once(void) { (void)rt_poll(); }
static void tick_nothing(void) { (void)rt_tick(0); }
static void tick_once(void) { (void)rt_tick(1); }
static void reach_beat(void) { mi_free(mi_malloc(PERIOD * 1024)); }

/* It acts at the next rt_poll, rt_tick or beat, and not before. */
static void test_cancel(void** state) {
  (void)state;
  static void (*const safepoints[])(void) = {poll_once, tick_nothing, tick_once, reach_beat};
  for (int i = 0; i < 8; i++) {
    rt_task* t = begin(NULL);
    if (i >= 4) rt_leave(); /* it is parked, or another thread's */
    run_thread(cancel, t);
    if (i >= 4) assert_int_equal(rt_enter(t), 0);
    mi_free(mi_malloc(100));
    assert_int_equal(rt_expired(t), RT_NONE);
    safepoints[i % 4]();
    assert_int_equal(rt_expired(t), RT_CANCELLED);
    assert_int_equal(rt_poll(), RT_EXPIRED);
    end(t);
  }
}

/* The guest runs until another thread has its way. */
static void test_cancel_while_running(void** state) {
  (void)state;
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    rt_task* t = begin(NULL);
    assert_int_equal(pthread_create(&thread, NULL, cancel, t), 0);
    uint64_t ticks = 0;
    while (rt_expired(t) == RT_NONE) {
      if (i % 2)
        (void)rt_tick(1);
      else
        mi_free(mi_malloc(8));
      ticks++;
    }
    assert_int_equal(rt_expired(t), RT_CANCELLED);
    assert_int_equal(rt_ticks(t), ticks);
    pthread_join(thread, NULL);
    end(t);
  }
}

/* ---- Entering and leaving -------------------------------------------------------------------- */

static void test_without_a_task(void** state) {
  (void)state;
  uint64_t ticks = mi_ticks();
  assert_null(rt_current());
  rt_leave();
  rt_expire(RT_MEMORY);
  assert_int_equal(rt_poll(), RT_OK);
  assert_int_equal(rt_tick(5 * PERIOD), RT_OK);
  ticks += 5 * PERIOD;
  char* p = rt_alloc(5000);
  assert_non_null(p);
  p[4999] = 7;
  p = rt_realloc(p, 5000, 9000);
  assert_non_null(p);
  assert_int_equal(p[4999], 7);
  rt_free_sized(p, 9000);
  rt_free_sized(NULL, 0);
  assert_int_equal(mi_ticks(), ticks + 5 + 9);
  assert_null(rt_current());
}

/* A stack of entered tasks, of which only the innermost runs. */
enum { TASKS = 6 };
static struct task {
  rt_task* t;
  uint64_t ticks, bytes;
  bool entered;
} tasks[TASKS];

static void check_tasks(const struct task* inner, uint64_t own_ticks) {
  assert_ptr_equal(rt_current(), inner != NULL ? inner->t : NULL);
  assert_int_equal(mi_ticks(), inner != NULL ? inner->ticks : own_ticks);
  for (int i = 0; i < TASKS; i++) {
    assert_int_equal(rt_ticks(tasks[i].t), tasks[i].ticks);
    assert_int_equal(rt_bytes(tasks[i].t), tasks[i].bytes);
  }
}

static void try_to_enter(struct task** stack, int* depth) {
  struct task* to = &tasks[rnd(TASKS)];
  assert_int_equal(rt_enter(to->t), to->entered ? EBUSY : 0);
  if (to->entered) return;
  to->entered = true;
  stack[(*depth)++] = to;
}

static void test_nesting(void** state) {
  (void)state;
  struct task* stack[TASKS] = {NULL};
  int depth = 0;
  uint64_t own_ticks = mi_ticks();
  for (int i = 0; i < TASKS; i++) tasks[i] = (struct task){.t = rt_task_new(NULL)};
  for (int step = 0; step < 30000; step++) {
    struct task* inner = depth > 0 ? stack[depth - 1] : NULL;
    size_t n = rnd(3000);
    switch (rnd(5)) {
      case 0:
        try_to_enter(stack, &depth);
        break;
      case 1:
        rt_leave();
        if (depth > 0) stack[--depth]->entered = false;
        break;
      case 2:
        assert_int_equal(rt_tick(n), RT_OK);
        *(inner != NULL ? &inner->ticks : &own_ticks) += n;
        break;
      case 3:
        if (inner != NULL) assert_int_equal(rt_task_end(inner->t), EBUSY);
        if (depth > 0) assert_int_equal(rt_task_end(stack[0]->t), EBUSY);
        break;
      default:
        if (inner == NULL) break;
        assert_non_null(rt_alloc(n));
        inner->ticks += charge_of(n);
        inner->bytes += n;
    }
    check_tasks(depth > 0 ? stack[depth - 1] : NULL, own_ticks);
  }
  while (depth-- > 0) rt_leave();
  for (int i = 0; i < TASKS; i++) assert_int_equal(rt_task_end(tasks[i].t), 0);
  assert_true(nothing_lives());
}

static void* expect_busy(void* t) {
  uint64_t ticks = mi_ticks();
  require(rt_enter(t) == EBUSY, "a task was entered by two threads");
  require(rt_task_end(t) == EBUSY, "a task was ended that another thread runs");
  require(rt_current() == NULL && mi_ticks() == ticks, "a refused rt_enter changed something");
  return NULL;
}

static void* charge_some(void* t) {
  require(rt_enter(t) == 0, "a task that nobody runs cannot be entered");
  require(rt_tick(1234) == RT_OK && rt_current() == t, "it does not run");
  void* p = rt_alloc(100);
  require(p != NULL, "no memory");
  memset(p, 1, 100);
  rt_leave();
  require(rt_current() == NULL && mi_ticks() == 0, "the thread was charged for its task");
  return NULL;
}

static void test_two_threads(void** state) {
  (void)state;
  uint64_t own_ticks = mi_ticks();
  rt_task *t = begin(NULL), *inner = begin(NULL);
  run_thread(expect_busy, inner);
  run_thread(expect_busy, t); /* suspended, but entered */
  rt_leave();
  rt_leave();
  for (uint64_t i = 1; i <= 5; i++) {
    run_thread(charge_some, t);
    assert_int_equal(rt_ticks(t), i * 1235);
    assert_int_equal(rt_bytes(t), i * 100);
  }
  assert_int_equal(rt_ticks(inner), 0);
  assert_int_equal(mi_ticks(), own_ticks);
  assert_int_equal(rt_task_end(inner), 0);
  assert_int_equal(rt_task_end(t), 0);
  assert_true(nothing_lives());
}

/* ---- Pauses, and names ----------------------------------------------------------------------- */

static void check_pause(const rt_pause* p, uint64_t most_units) {
  assert_true(p->count > 0);
  assert_true(p->units > 0 && p->units <= most_units);
  assert_true(p->ns <= p->total_ns && p->total_ns <= p->count * p->ns);
}

static void test_pauses(void** state) {
  (void)state;
  rt_pause pauses[RT_PAUSE_KINDS];
  for (int measure = 0; measure < 2; measure++) {
    rt_task* t = begin(&(rt_config){.measure_pauses = measure == 1});
    uint64_t ended = 1, ticks = 10000, beats;
    rc_object* list = list_of(10000);
    rc_inc(list);
    rc_dec(list); /* it lives on: no event */
    rc_dec(list);
    for (; rc_pending() > 0; ended++, ticks++) rc_dec(leaf(0));
    beats = ticks / PERIOD;
    assert_int_equal(rt_ticks(t), ticks);
    (void)rt_tick(7 * PERIOD); /* one event */
    beats++;
    rt_get_pauses(t, pauses);
    if (measure == 0) {
      static const rt_pause none[RT_PAUSE_KINDS];
      assert_memory_equal(pauses, none, sizeof none);
    } else {
      check_pause(&pauses[RT_PAUSE_RC_DEC], DEC_UNITS);
      check_pause(&pauses[RT_PAUSE_REFILL], REFILL_UNITS);
      assert_int_equal(pauses[RT_PAUSE_RC_DEC].count, ended);
      assert_int_equal(pauses[RT_PAUSE_RC_DEC].units, counters().dec_units_max);
      assert_int_equal(pauses[RT_PAUSE_REFILL].units, counters().refill_units_max);
      assert_int_equal(pauses[RT_PAUSE_BEAT].count, beats);
    }
    assert_nothing_left(t);
    end(t);
  }
}

static void test_names(void** state) {
  (void)state;
  assert_string_equal(rt_limit_name(RT_HEARTBEATS), "heartbeat limit");
  assert_string_equal(rt_limit_name(RT_MEMORY), "memory limit");
  assert_string_equal(rt_limit_name(RT_CANCELLED), "cancellation");
  assert_string_equal(rt_limit_name(RT_NONE), "no limit");
  assert_string_equal(rt_pause_name(RT_PAUSE_RC_DEC), "rc_dec");
  assert_string_equal(rt_pause_name(RT_PAUSE_REFILL), "refill");
  assert_string_equal(rt_pause_name(RT_PAUSE_BEAT), "beat");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_expiry_is_sticky),
      cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_cancel_while_running),
      cmocka_unit_test(test_without_a_task),
      cmocka_unit_test(test_nesting),
      cmocka_unit_test(test_two_threads),
      cmocka_unit_test(test_pauses),
      cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests_name("runtime", tests, NULL, NULL);
}
