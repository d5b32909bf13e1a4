/* rc_account_test.c: what a task of runtime/ holds ends with it: references to shared objects, by count and against a
** model, and what may be finalized before. */
#include "rc_tools.h"

/* ---- Whose references are given up -------------------------------------------------------------- */

static int finalized;
static void note_finalized(rc_object* o) {
  (void)o;
  finalized++;
}
static const rc_type noted = {.name = "noted", .words = 1, .finalize = note_finalized};

static rc_object* noted_new(void) {
  rc_object* o = rc_typed(0, &noted);
  require(o != NULL, "no memory for an object");
  return o;
}

/* Shared objects that died since. */
static int finalized_now(void) {
  finalized = 0;
  rc_drain(SIZE_MAX);
  while (rc_poll(100) > 0) continue;
  return finalized;
}

static rc_object* inc(rc_object* o) {
  rc_inc(o);
  return o;
}

/* In an object, in one that waits, on a stack that was left; and a weak reference, which is shared, too. */
static void test_held_anywhere(void** state) {
  (void)state;
  rc_object* o = made_shared(noted_new());
  rt_task* t = begin(NULL);
  node(rc_from(inc(o)), rc_from(inc(o)));
  rc_dec(node(rc_from(inc(o)), rc_from(list_of(100))));
  assert_true(rc_pending() > 0);
  rc_object* w = rc_weak(inc(o));
  for (int i = 0; i < 5; i++) assert_ptr_equal(rc_upgrade(w), o);
  assert_int_equal(rc_count(w), -2);
  end(t);
  assert_int_equal(rc_count(o), -1);
  w = rc_weak(o);
  assert_int_equal(rc_count(w), -2);
  assert_int_equal(finalized_now(), 0);
  rc_dec(o);
  assert_null(rc_upgrade(w));
  rc_dec(w);
  assert_int_equal(finalized_now(), 1);
}

/* The task's reference is the last: who ends it frees nothing, but leaves it to all. */
static void test_last_reference(void** state) {
  (void)state;
  enum { N = 1000 };
  rc_object* list = made_shared(list_of(N));
  rt_task* t = begin(NULL);
  list = rc_adopt(list);
  rt_leave();
  uint64_t before = counters().units;
  assert_int_equal(rt_task_end(t), 0);
  assert_int_equal(counters().units, before);
  assert_int_equal(rc_drain(SIZE_MAX), 3 * N);
}

/* Without rc_adopt a reference stays, but is not mistaken for one of those that the task made. */
static void test_crossing(void** state) {
  (void)state;
  rc_object *o = made_shared(noted_new()), *p = made_shared(noted_new());
  rt_task* t = begin(NULL);
  rc_dec(inc(o));
  rc_dec(o); /* not adopted */
  rc_inc(p);
  p = rc_share(p); /* the reference that came in, or the one made here */
  end(t);
  assert_int_equal(rc_count(p), -2);
  assert_int_equal(finalized_now(), 1);
  t = begin(NULL);
  rc_adopt(p);
  end(t);
  assert_int_equal(rc_count(p), -1);
  t = begin(NULL);
  rc_object* copy = rc_share(node(rc_from(rc_adopt(p)), RC_NIL)); /* which holds it on */
  end(t);
  assert_int_equal(finalized_now(), 0);
  rc_dec(copy);
  assert_int_equal(finalized_now(), 1);
}

/* The account has no note of late changes alone: so many other objects were counted since. */
static void settle_all(void) {
  static rc_object* others[1000];
  for (int i = 0; i < 1000; i++) rc_inc(others[i] = made_shared(leaf(i)));
  for (int i = 0; i < 1000; i++) rc_dec(others[i]), rc_dec(others[i]);
}

static void test_no_debt(void** state) {
  (void)state;
  rc_object* o = made_shared(noted_new());
  rc_inc(o);
  rt_task* t = begin(NULL);
  rc_inc(o);
  settle_all();
  rc_dec(o), rc_dec(o); /* one of them was not adopted */
  settle_all();
  rc_inc(o);
  settle_all();
  end(t);
  assert_int_equal(rc_count(o), -1);
  rc_dec(o);
  assert_int_equal(finalized_now(), 1);
}

/* What shared objects and tables hold is not the task's, though it dies in the task. */
static void check_not_the_tasks(bool within) {
  rc_object* o = made_shared(noted_new());
  rc_object* holder = made_shared(node(rc_from(inc(o)), RC_NIL));
  rt_task* t = begin(NULL);
  rc_inc(o);
  rc_object* w = rc_weak(holder);
  rc_adopt(holder);
  rc_dec(within ? node(rc_from(holder), RC_NIL) : holder);
  assert_null(rc_upgrade(w));
  assert_int_equal(rc_count(w), -1);
  rc_inc(w);
  rc_drain(SIZE_MAX);
  end(t);
  assert_int_equal(rc_count(o), -1);
  rc_dec(o);
  assert_int_equal(finalized_now(), 1);
}

static void test_not_the_tasks(void** state) {
  (void)state;
  check_not_the_tasks(false);
  check_not_the_tasks(true);
}

static void test_shared_in_steps(void** state) {
  (void)state;
  rc_object* o = made_shared(leaf(1));
  rc_inc(o);
  rt_task* t = begin(NULL);
  assert_ptr_equal(rc_share_end(rc_share_begin(rc_adopt(o))), o);
  end(t);
  assert_int_equal(rc_count(o), -2);
  rc_dec(o), rc_dec(o);
}

/* All notes are freed: of objects, with more references than one, and of none. */
static void test_memory_of_the_account(void** state) {
  (void)state;
  enum { N = 10000 };
  static rc_object* o[N];
  for (int i = 0; i < N; i++) o[i] = made_shared(leaf(i));
  rt_task* t = begin(NULL);
  for (int i = 0; i < N; i++) rc_inc(inc(o[i]));
  for (int i = 0; i < N; i += 2) rc_dec(o[i]), rc_dec(o[i]);
  end(t);
  for (int i = 0; i < N; i++) {
    assert_int_equal(rc_count(o[i]), -1);
    rc_dec(o[i]);
  }
  rc_drain(SIZE_MAX);
  assert_true(nothing_lives());
}

static void test_immortal(void** state) {
  (void)state;
  rc_object* o = rc_immortal(leaf(1));
  rt_task* t = begin(NULL);
  node(rc_from(inc(o)), rc_from(rc_adopt(o)));
  end(t);
  assert_int_equal(rc_count(o), RC_IMMORTAL);
}

/* ---- Against a model ---------------------------------------------------------------------------------
**
** Tasks, and the thread's own as task 0, make references, keep them in objects of their own, let these die, hand
** references on, and end. */

enum { TASKS = 4, OBJECTS = 100, HOLDERS = 50 };
static struct {
  rt_task* t; /* NULL: the thread's own, or there is none now */
  rc_object* holders[HOLDERS];
  int held[HOLDERS];    /* the object in it */
  int loose[OBJECTS];   /* references in no object */
  int carried[OBJECTS]; /* and in objects */
} tasks[TASKS];
static rc_object* objects[OBJECTS]; /* NULL: dead */
static int channel[OBJECTS];        /* references of no task */
static int dead;

static int references(int i) {
  int n = channel[i];
  for (int t = 0; t < TASKS; t++) n += tasks[t].loose[i] + tasks[t].carried[i];
  return n;
}

/* All that waits in a task was drained. */
static void check_all(void) {
  dead += finalized_now();
  int expected = 0;
  for (int i = 0; i < OBJECTS; i++) {
    int n = objects[i] != NULL ? references(i) : 0;
    if (n > 0) assert_int_equal(rc_count(objects[i]), -n);
    if (n == 0 && objects[i] != NULL) objects[i] = NULL, expected++;
  }
  assert_int_equal(dead, expected);
  dead = 0;
}

static void task_acts(int t, int i) {
  rc_object* o = objects[i];
  int *loose = &tasks[t].loose[i], k = (int)rnd(HOLDERS);
  rc_object** holder = &tasks[t].holders[k];
  switch (rnd(6)) {
    case 0:
      if (*loose > 0) rc_inc(o), ++*loose;
      break;
    case 1:
      if (*loose > 0) rc_dec(o), --*loose;
      break;
    case 2:
      if (*loose == 0 || *holder != NULL) break;
      *holder = node(rc_from(o), RC_NIL);
      tasks[t].held[k] = i;
      --*loose, ++tasks[t].carried[i];
      break;
    case 3:
      if (*holder == NULL) break;
      rc_dec(*holder);
      *holder = NULL;
      --tasks[t].carried[tasks[t].held[k]];
      break;
    case 4:
      if (*loose == 0) break;
      assert_ptr_equal(rc_share(o), o);
      --*loose, ++channel[i];
      break;
    case 5:
      if (channel[i] == 0) break;
      assert_ptr_equal(rc_adopt(o), o);
      ++*loose, --channel[i];
      break;
  }
}

static void object_new(void) {
  int i = (int)rnd(OBJECTS);
  if (objects[i] != NULL) return;
  objects[i] = made_shared(noted_new());
  channel[i] = 1;
}

static void task_begins_or_ends(int t) {
  if (tasks[t].t == NULL) {
    tasks[t].t = rt_task_new(NULL);
    require(tasks[t].t != NULL, "no task");
    return;
  }
  assert_int_equal(rt_task_end(tasks[t].t), 0);
  memset(&tasks[t], 0, sizeof tasks[t]);
}

static void test_against_a_model(void** state) {
  (void)state;
  enum { STEPS = MANY / 200 };
  for (int step = 0; step < STEPS; step++) {
    int t = (int)rnd(TASKS);
    object_new();
    if (t > 0 && rnd(50) == 0) task_begins_or_ends(t);
    if (t > 0 && tasks[t].t == NULL) continue;
    if (t > 0) require(rt_enter(tasks[t].t) == 0, "cannot enter");
    for (uint64_t n = rnd(60); n > 0; n--) {
      int i = (int)rnd(OBJECTS);
      if (objects[i] != NULL && references(i) > 0) task_acts(t, i);
    }
    rc_drain(SIZE_MAX);
    rt_leave();
    check_all();
  }
  for (int t = 1; t < TASKS; t++)
    if (tasks[t].t != NULL) task_begins_or_ends(t);
  for (int k = 0; k < HOLDERS; k++)
    if (tasks[0].holders[k] != NULL) rc_dec(tasks[0].holders[k]);
  for (int i = 0; i < OBJECTS; i++)
    for (int n = channel[i] + tasks[0].loose[i]; n > 0; n--) rc_dec(objects[i]);
  memset(&tasks[0], 0, sizeof tasks[0]);
  memset(channel, 0, sizeof channel);
  check_all();
  for (int i = 0; i < OBJECTS; i++) assert_null(objects[i]);
}

/* ---- Finalizers of a task that ends -------------------------------------------------------------------- */

static int order[10], ordered;
static void note_order(rc_object* o) { order[ordered++] = (int)rc_to_int(rc_get(o, 0)); }
static const rc_type ordered_type = {.name = "ordered", .words = 1, .finalize = note_order};

static rc_object* ordered_new(int i) {
  rc_object* o = rc_typed(0, &ordered_type);
  require(o != NULL, "no memory for an object");
  rc_set(o, 0, rc_int(i));
  return o;
}

/* Each is called once: what died before, what dies while it is queued, what lives on. */
static void test_finalize_all(void** state) {
  (void)state;
  static const int expected[] = {3, 5, 4, 2, 1, 0};
  ordered = 0;
  rt_task* t = begin(NULL);
  rc_object* o[6];
  for (int i = 0; i < 6; i++) o[i] = ordered_new(i);
  rc_cyclic(o[4]);
  rc_dec(o[3]);
  assert_int_equal(rc_finalize_all(), 5);
  assert_int_equal(rc_finalize_all(), 0);
  rc_dec(o[1]);
  assert_int_equal(rc_poll(10), 6);
  assert_memory_equal(order, expected, sizeof expected);
  rc_dec(o[0]), rc_dec(o[2]), rc_dec(o[4]), rc_dec(o[5]);
  assert_int_equal(rc_finalize_all(), 0);
  end_empty(t);
  assert_int_equal(ordered, 6);
}

static void test_finalizers_are_dropped(void** state) {
  (void)state;
  ordered = 0;
  rt_task* t = begin(NULL);
  ordered_new(1);
  rc_dec(ordered_new(2));
  end(t);
  rc_object* o = ordered_new(3);
  assert_int_equal(rc_finalize_all(), 0); /* the thread's own objects outlive it */
  while (rc_poll(10) > 0) continue;
  assert_int_equal(ordered, 0);
  rc_dec(o);
  assert_int_equal(rc_poll(10), 1);
}

/* In any order they leave the list of those that may never die. */
static void test_finalizable_list(void** state) {
  (void)state;
  enum { N = 500 };
  rc_object* o[N] = {0};
  size_t live = 0;
  rt_task* t = begin(NULL);
  for (int step = 0; step < 20 * N; step++) {
    rc_object** at = &o[rnd(N)];
    live += *at == NULL ? 1 : (size_t)-1;
    if (*at != NULL) {
      rc_dec(*at);
      assert_int_equal(rc_poll(2), 1);
    }
    *at = *at == NULL ? noted_new() : NULL;
  }
  assert_int_equal(rc_finalize_all(), live);
  assert_int_equal(rc_poll(SIZE_MAX), live);
  for (int i = 0; i < N; i++)
    if (o[i] != NULL) rc_dec(o[i]);
  end_empty(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_held_anywhere),
      cmocka_unit_test(test_last_reference),
      cmocka_unit_test(test_crossing),
      cmocka_unit_test(test_no_debt),
      cmocka_unit_test(test_not_the_tasks),
      cmocka_unit_test(test_shared_in_steps),
      cmocka_unit_test(test_memory_of_the_account),
      cmocka_unit_test(test_against_a_model),
      cmocka_unit_test(test_finalize_all),
      cmocka_unit_test(test_finalizable_list),
      cmocka_unit_test(test_immortal),
      cmocka_unit_test(test_finalizers_are_dropped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
