/* runtime_clock_test.c: the clock of a task and its limit, against the ticks that the test itself
** has counted: exact to the call, whatever is called, and wherever another task is entered. */
#include "rc_tools.h"

#include <errno.h>
#include <pthread.h>

static const uint64_t CLOCK_END = (uint64_t)1 << 62;
enum { PERIOD = 1000 }; /* the default */

static void run_thread(void* (*f)(void*), void* arg) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, f, arg), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- Random calls, and what they are charged ------------------------------------------------- */

enum { SLOTS = 500, KINDS = 17 };
typedef enum origin { NOWHERE, OF_MI, OF_RT, OF_RC } origin;
static struct slot {
  void* p;
  size_t size;
  origin from;
} slots[SLOTS];

static void slot_clear(struct slot* s) {
  if (s->from == OF_MI) mi_free(s->p);
  if (s->from == OF_RT) rt_free_sized(s->p, s->size);
  if (s->from == OF_RC) rc_dec(s->p);
  *s = (struct slot){0};
}

static void slot_set(struct slot* s, void* p, size_t size, origin from) {
  require(p != NULL, "a call that must not fail did");
  *s = (struct slot){p, size, from};
}

/* The program dies with its task. */
static void forget_slots(void) { memset(slots, 0, sizeof slots); }

static size_t random_size(void) {
  switch (rnd(40)) {
    case 0:
      return rnd(300000);
    case 1:
    case 2:
      return rnd(20000);
    case 3:
      return 1000 + rnd(50);
    default:
      return rnd(400);
  }
}

static uint64_t charge_of(size_t size) { return 1 + size / 1024; }

/* The next call is drawn first, so that its charge is known before it is made. */
typedef struct call {
  unsigned kind;
  size_t size;
  struct slot* slot;
  uint64_t charge;
} call;

static call draw_call(void) {
  call c = {(unsigned)rnd(KINDS), random_size(), &slots[rnd(SLOTS)], 0};
  size_t words = c.size / 8;
  switch (c.kind) {
    case 0: /* these charge nothing */
    case 1:
      break;
    case 2:
    case 3:
      c.charge = c.size %= 2000;
      break;
    case 4:
      c.charge = 1;
      break;
    case 5:
      c.charge = charge_of(8 + 8 * words);
      break;
    case 6:
      c.charge = charge_of(16 + 8 * words);
      break;
    case 7:
      c.charge = charge_of(16 + c.size);
      break;
    default:
      c.charge = charge_of(c.size);
  }
  return c;
}

static rc_object* object_of_words(size_t n) {
  rc_object* o = rc_alloc(0, n);
  for (size_t i = 0; o != NULL && i < n; i++) rc_init(o, i, RC_NIL);
  return o;
}

static void* quick_or_not(size_t size) {
  void* p = rt_alloc_quick(size);
  return p != NULL ? p : rt_alloc(size);
}

/* Calls whose result takes the place of what was in the slot. */
static void call_constructor(const call* c) {
  size_t size = c->size;
  slot_clear(c->slot);
  switch (c->kind) {
    case 5:
      slot_set(c->slot, object_of_words(size / 8), 0, OF_RC);
      break;
    case 6:
      slot_set(c->slot, rc_array(0, size / 8, RC_NIL), 0, OF_RC);
      break;
    case 7:
      slot_set(c->slot, rc_bytes(0, size), 0, OF_RC);
      break;
    case 8:
    case 9:
      slot_set(c->slot, quick_or_not(size), size, OF_RT);
      break;
    case 10:
      slot_set(c->slot, mi_calloc(1, size), size, OF_MI);
      break;
    case 11:
      slot_set(c->slot, mi_malloc_aligned(size, 256), size, OF_MI);
      break;
    case 12:
      slot_set(c->slot, mi_heap_zalloc(mi_heap_get_default(), size), size, OF_MI);
      break;
    default:
      slot_set(c->slot, mi_malloc(size), size, OF_MI);
  }
}

/* A block is reallocated by the functions that it came from. */
static void call_realloc(const call* c) {
  struct slot* s = c->slot;
  if (s->from == OF_RC) slot_clear(s);
  if (s->from == OF_MI)
    slot_set(s, mi_realloc(s->p, c->size), c->size, OF_MI);
  else
    slot_set(s, rt_realloc(s->p, s->size, c->size), c->size, OF_RT);
}

/* Makes the call. What rt_tick answers is what rt_poll answers. */
static void make_call(const call* c) {
  switch (c->kind) {
    case 0:
      slot_clear(c->slot);
      break;
    case 1:
      if (c->size % 50 == 0)
        mi_collect(c->size % 100 == 0);
      else
        rc_drain(c->size);
      break;
    case 2:
      mi_tick(c->size);
      break;
    case 3: {
      rt_status status = rt_tick(c->size);
      assert_int_equal(status, rt_poll());
      break;
    }
    case 4:
      assert_null(c->size % 2 ? mi_malloc(SIZE_MAX - c->size) : rt_alloc(SIZE_MAX - c->size));
      break;
    case 15:
    case 16:
      call_realloc(c);
      break;
    default:
      call_constructor(c);
  }
}

static void clear_slots(void) {
  for (int i = 0; i < SLOTS; i++) slot_clear(&slots[i]);
  rc_drain(SIZE_MAX);
  mi_collect(true);
}

/* ---- The limit of heartbeats ----------------------------------------------------------------- */

/* Nothing tells of the limit before the call that reaches it, everything does from then on. */
static void check_limit(uint64_t period, uint64_t limit) {
  rt_task* t = begin(
      &(rt_config){.heartbeat_period = period, .heartbeats = limit, .grace_bytes = PTRDIFF_MAX});
  uint64_t ticks = 0;
  for (int left = 100; left > 0; left -= ticks / period >= limit) {
    bool before = ticks / period >= limit;
    assert_int_equal(rt_expired(t), before ? RT_HEARTBEATS : RT_NONE);
    call c = draw_call();
    ticks += c.charge;
    make_call(&c);
    bool after = ticks / period >= limit;
    assert_int_equal(rt_expired(t), after ? RT_HEARTBEATS : RT_NONE);
    assert_int_equal(rt_poll(), after ? RT_EXPIRED : RT_OK);
    assert_int_equal(rt_ticks(t), ticks);
    assert_int_equal(rt_heartbeats(t), ticks / period);
    assert_int_equal(mi_ticks(), ticks);
    assert_int_equal(mi_heartbeat(), ticks / period);
  }
  if (rnd(2) == 0) {
    clear_slots();
    assert_int_equal(rt_bytes(t), 0);
  }
  forget_slots();
  end(t);
}

static void test_heartbeat_limit(void** state) {
  (void)state;
  static const uint64_t periods[] = {1, 2, 7, 100, 1000, 4096, 12345};
  for (int round = 0; round < 30; round++)
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++)
      check_limit(periods[i], 1 + rnd(200000) / periods[i]);
}

/* The step that reaches the limit may be of any size, and the last tick counts. */
static void test_limit_to_the_tick(void** state) {
  (void)state;
  for (uint64_t n = 1; n <= 3; n++)
    for (uint64_t last = 1; last <= 2 * PERIOD; last += 333) {
      rt_task* t = begin(&(rt_config){.heartbeats = n + 2});
      assert_int_equal(rt_tick((n + 2) * PERIOD - last), RT_OK);
      if (last > 1) assert_int_equal(rt_tick(last - 1), RT_OK);
      assert_int_equal(rt_tick(0), RT_OK);
      assert_int_equal(rt_expired(t), RT_NONE);
      mi_free(mi_malloc(1));
      assert_int_equal(rt_expired(t), RT_HEARTBEATS);
      assert_int_equal(rt_tick(0), RT_EXPIRED);
      end(t);
    }
}

/* ---- Periods, and the end of the clock ------------------------------------------------------- */

static void test_periods(void** state) {
  (void)state;
  static const uint64_t periods[] = {0, 1, 7, 1000, (uint64_t)1 << 62};
  for (int i = 0; i < 5; i++) {
    uint64_t period = periods[i] != 0 ? periods[i] : PERIOD;
    rt_task* t = begin(&(rt_config){.heartbeat_period = periods[i], .heartbeats = 1});
    assert_int_equal(mi_heartbeat_period(), period);
    assert_int_equal(rt_tick(period - 1), RT_OK);
    assert_int_equal(rt_heartbeats(t), 0);
    assert_int_equal(rt_tick(1), RT_EXPIRED);
    assert_int_equal(rt_heartbeats(t), 1);
    end(t);
  }
  static const uint64_t too_long[] = {((uint64_t)1 << 62) + 1, (uint64_t)1 << 63, UINT64_MAX};
  for (int i = 0; i < 3; i++) {
    errno = 0;
    assert_null(rt_task_new(&(rt_config){.heartbeat_period = too_long[i]}));
    assert_int_equal(errno, EINVAL);
  }
}

/* However much is charged at once, the clock stops at 2^62 and every limit below is reached. */
static void test_end_of_the_clock(void** state) {
  (void)state;
  static const uint64_t steps[] = {UINT64_MAX, ((uint64_t)1 << 63) + 1, (uint64_t)1 << 63,
                                   ((uint64_t)1 << 62) + 1, (uint64_t)1 << 62};
  for (unsigned i = 0; i < 5; i++) {
    uint64_t last = CLOCK_END / PERIOD;
    rt_task* t = begin(&(rt_config){.heartbeats = last + i % 2});
    assert_int_equal(rt_tick(rnd(2000)), RT_OK);
    for (int again = 0; again < 3; again++) {
      assert_int_equal(rt_tick(steps[i]), i % 2 ? RT_OK : RT_EXPIRED);
      assert_true(rt_ticks(t) == CLOCK_END);
      assert_true(rt_heartbeats(t) == last);
    }
    end(t);
  }
}

/* Nor does anything else go on from there. */
static void test_clock_stays_at_its_end(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.heartbeats = CLOCK_END / PERIOD + 1});
  mi_tick(UINT64_MAX);
  for (int i = 0; i < 3 * PERIOD; i++) {
    mi_tick(rnd(3) == 0 ? UINT64_MAX >> rnd(64) : rnd(1000));
    mi_free(mi_malloc(rnd(3000)));
    assert_true(rt_ticks(t) == CLOCK_END && mi_ticks() == CLOCK_END);
    assert_true(rt_heartbeats(t) == CLOCK_END / PERIOD);
  }
  assert_int_equal(rt_expired(t), RT_NONE);
  end(t);
}

/* ---- Beats in unusual places ----------------------------------------------------------------- */

static _Thread_local unsigned callbacks;
static _Thread_local uint64_t last_beat;
static void count_callback(bool force, unsigned long long beat, void* arg) {
  (void)arg;
  if (force) return; /* a refusal comes after that, and is no beat */
  callbacks++;
  last_beat = beat;
}

static void expect_one_beat(uint64_t beat) {
  require(callbacks == 1, "%u callbacks in the call, not 1", callbacks);
  require(last_beat == beat, "beat %llu, not %llu", (unsigned long long)last_beat,
          (unsigned long long)beat);
  callbacks = 0;
}

/* The first charge of a thread's life, which makes the thread's task, is counted as any other. */
static void* first_tick(void* arg) {
  (void)arg;
  mi_tick(2500);
  expect_one_beat(2);
  require(mi_ticks() == 2500, "ticks");
  return NULL;
}
static void* first_ticks(void* arg) {
  (void)arg;
  mi_tick(0);
  mi_tick(999);
  require(callbacks == 0 && mi_ticks() == 999, "an early beat");
  mi_tick(1);
  expect_one_beat(1);
  return NULL;
}
static void* first_blocks(void* arg) {
  (void)arg;
  for (uint64_t i = 1; i <= 2 * PERIOD; i++) {
    mi_free(mi_malloc(8));
    require(mi_ticks() == i && last_beat == i / PERIOD, "ticks or beats");
  }
  return NULL;
}
static void* first_failure(void* arg) {
  (void)arg;
  volatile size_t most = (size_t)1 << 50; /* no machine has it; charged in full */
  require(mi_malloc(most) == NULL, "a petabyte");
  require(last_beat == (1 + most / 1024) / PERIOD, "no beat");
  require(mi_ticks() == 1 + most / 1024, "ticks");
  return NULL;
}
static void* first_enter(void* arg) {
  (void)arg;
  rt_task* t = rt_task_new(NULL);
  require(t != NULL && rt_enter(t) == 0, "no task");
  mi_tick(2500);
  expect_one_beat(2);
  rt_leave();
  require(rt_ticks(t) == 2500 && mi_ticks() == 0, "ticks");
  require(rt_task_end(t) == 0, "a task could not be ended");
  mi_tick(1999);
  expect_one_beat(1);
  return NULL;
}

static void test_first_charges(void** state) {
  (void)state;
  mi_register_deferred_free(count_callback, NULL);
  run_thread(first_tick, NULL);
  run_thread(first_ticks, NULL);
  run_thread(first_blocks, NULL);
  run_thread(first_failure, NULL);
  run_thread(first_enter, NULL);
  mi_register_deferred_free(NULL, NULL);
}

static char *small, *large; /* of rt_alloc, 100 and 200,000 bytes */
static volatile size_t no_size = SIZE_MAX, half = SIZE_MAX / 2; /* the compiler would warn */

static void* fail_malloc(void) { return mi_malloc(no_size); }
static void* fail_calloc(void) { return mi_calloc(half, 3); }
static void* fail_realloc(void) { return mi_realloc(small, no_size); }
static void* fail_reallocn(void) { return mi_reallocn(small, half, 3); }
static void* fail_alignment(void) {
  volatile size_t three = 3;
  return mi_malloc_aligned(10, three);
}
static void* fail_rt_alloc(void) { return rt_alloc(no_size); }
static void* fail_rt_realloc(void) { return rt_realloc(small, 100, no_size); }
static void* in_place_realloc(void) { return mi_realloc(small, 100); }
static void* in_place_rt_realloc(void) { return rt_realloc(small, 100, 100); }
static void* in_place_aligned(void) { return mi_realloc_aligned(small, 100, 8); }

/* Calls that allocate nothing are charged, and beat. In debug builds every realloc moves. */
static void test_beats_of_calls_without_effect(void** state) {
  (void)state;
  static void* (*const failing[])(void) = {fail_malloc,    fail_calloc,    fail_realloc,
                                           fail_reallocn,  fail_alignment, fail_rt_alloc,
                                           fail_rt_realloc};
  static void* (*const in_place[])(void) = {in_place_realloc, in_place_rt_realloc,
                                            in_place_aligned};
  rt_task* t = begin(NULL);
  small = rt_alloc(100);
  uint64_t beats = 0;
  mi_register_deferred_free(count_callback, NULL);
  for (int i = 0; i < 10; i++) {
    mi_tick((beats + 1) * PERIOD - 1 - rt_ticks(t));
    callbacks = 0;
    if (i < 7)
      assert_null(failing[i]());
    else
      small = in_place[i - 7]();
    beats++;
    assert_int_equal(rt_ticks(t), beats * PERIOD);
    if (i < 7 || rt_heartbeats(t) != last_beat) expect_one_beat(beats);
    assert_int_equal(last_beat, beats);
  }
  mi_register_deferred_free(NULL, NULL);
  end(t);
}

/* What a request that the byte limit refuses is charged is its size, too. */
static void test_beats_of_refused_requests(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.bytes = 250000, .heartbeats = 10, .collects = true});
  large = rt_alloc(200000);
  uint64_t ticks = charge_of(200000);
  while (ticks / PERIOD < 10) {
    assert_int_equal(rt_expired(t), RT_NONE);
    size_t size = 70000 + rnd(2000000);
    switch (rnd(4)) {
      case 0:
        assert_null(rt_alloc(size));
        break;
      case 1:
        assert_null(rt_realloc(large, 200000, 200000 + size));
        size += 200000;
        break;
      case 2:
        assert_null(rc_bytes(0, size - 16));
        break;
      default:
        assert_null(mi_malloc(size));
    }
    ticks += charge_of(size);
    assert_int_equal(rt_ticks(t), ticks);
  }
  assert_int_equal(rt_expired(t), RT_HEARTBEATS);
  end(t);
}

/* ---- Tasks within callbacks ------------------------------------------------------------------ */

static rt_task *guest, *helper;
static uint64_t guest_ticks, helper_ticks, visits;
static bool in_visit;

/* The helper runs while the guest's refill or beat waits. Its own callbacks do nothing. */
static void visit_helper(bool force, unsigned long long beat, void* arg) {
  (void)force;
  (void)arg;
  if (in_visit) return;
  in_visit = true;
  visits++;
  require(mi_ticks() == guest_ticks && beat == guest_ticks / PERIOD, "the guest's clock");
  mi_free(mi_malloc(2000)); /* not charged */
  mi_tick(5000);
  require(rt_enter(guest) == EBUSY && rt_enter(helper) == 0, "rt_enter in a callback");
  size_t n = rnd(3000);
  mi_free(mi_malloc(n));
  (void)rt_tick(rnd(10) == 0 ? 700 : 1);
  helper_ticks = rt_ticks(helper);
  mi_tick(n);
  void* p = rt_alloc(n);
  rt_free_sized(p, n);
  helper_ticks += n + charge_of(n);
  require(mi_ticks() == helper_ticks && rt_ticks(guest) == guest_ticks, "the clocks are mixed up");
  rt_leave();
  require(rt_current() == guest && mi_ticks() == guest_ticks, "the guest was charged");
  in_visit = false;
}

static void test_task_within_callback(void** state) {
  (void)state;
  uint64_t own_ticks = mi_ticks();
  helper = rt_task_new(NULL);
  assert_non_null(helper);
  guest = begin(&(rt_config){.heartbeats = 200});
  guest_ticks = visits = 0;
  mi_register_deferred_free(visit_helper, NULL);
  while (guest_ticks / PERIOD < 200) {
    assert_int_equal(rt_expired(guest), RT_NONE);
    call c = draw_call();
    guest_ticks += c.charge;
    make_call(&c);
    assert_int_equal(rt_ticks(guest), guest_ticks);
    assert_int_equal(rt_ticks(helper), helper_ticks);
  }
  assert_int_equal(rt_expired(guest), RT_HEARTBEATS);
  assert_true(visits > 200);
  clear_slots();
  assert_int_equal(rt_bytes(guest), 0);
  mi_register_deferred_free(NULL, NULL);
  end(guest);
  assert_int_equal(rt_enter(helper), 0);
  mi_collect(false); /* what was granted and not handed out counts */
  assert_int_equal(rt_bytes(helper), 0);
  end(helper);
  assert_int_equal(mi_ticks(), own_ticks);
  assert_true(nothing_lives());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_heartbeat_limit),
      cmocka_unit_test(test_limit_to_the_tick),
      cmocka_unit_test(test_periods),
      cmocka_unit_test(test_end_of_the_clock),
      cmocka_unit_test(test_clock_stays_at_its_end),
      cmocka_unit_test(test_first_charges),
      cmocka_unit_test(test_beats_of_calls_without_effect),
      cmocka_unit_test(test_beats_of_refused_requests),
      cmocka_unit_test(test_task_within_callback),
  };
  return cmocka_run_group_tests_name("runtime clock", tests, NULL, NULL);
}
