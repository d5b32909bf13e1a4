/* objects.c: one small misuse of rc/ for each name; run.sh tells what must be said about it. Compiled with and
** without RC_CHECKED. Where the library reports and goes on, results are checked here. */
#include "alloc/mimalloc.h"
#include "rc/rc.h"
#include "runtime/runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "expected: %s\n", what);
  exit(1);
}

static rc_object* pair(rc_word a, rc_word b) {
  rc_object* o = rc_alloc(7, 2);
  expect(o != NULL, "memory");
  rc_init(o, 0, a);
  rc_init(o, 1, b);
  return o;
}

static rc_object* leaf(void) { return pair(rc_int(1), RC_NIL); }

/* More than one rc_dec frees. */
static rc_object* large(void) {
  rc_object* o = rc_array(8, 1000, RC_NIL);
  expect(o != NULL, "memory");
  return o;
}

/* ---- Dead objects ------------------------------------------------------------------------------ */

static __attribute__((noinline)) void first_killer(rc_object* o) { rc_dec(o); }

static __attribute__((noinline)) void first_dropper(rc_object* o) { (void)rc_drop_reuse(o); }

static void double_decrement(void) {
  rc_object* o = leaf();
  first_killer(o);
  rc_dec(o);
}
static void double_decrement_waiting(void) {
  rc_object* o = large();
  first_killer(o);
  rc_dec(o);
  rc_drain(SIZE_MAX);
}
static void double_decrement_dropped(void) {
  rc_object* o = large();
  first_dropper(o);
  rc_dec(o);
  rc_drain(SIZE_MAX);
}
static void double_decrement_child(void) {
  rc_object* child = leaf();
  rc_object* o = pair(rc_from(child), RC_NIL);
  first_killer(o);
  rc_dec(child);
}
static void double_decrement_drained(void) {
  rc_object *child = leaf(), *o = large();
  rc_set(o, 999, rc_from(child));
  first_killer(o);
  rc_drain(SIZE_MAX);
  rc_dec(child);
}
/* So many others died since that nobody knows where. */
static void double_decrement_late(void) {
  enum { OTHERS = 100000 };
  static rc_object* others[OTHERS];
  rc_object* o = leaf();
  for (int i = 0; i < OTHERS; i++) others[i] = leaf();
  first_killer(o);
  for (int i = 0; i < OTHERS; i++) rc_dec(others[i]);
  rc_dec(o);
}
static void double_decrement_shared(void) {
  rc_object* o = rc_share(leaf());
  expect(o != NULL, "memory");
  first_killer(o);
  rc_dec(o);
}
static void* kill_in_thread(void* o) {
  first_killer(o);
  return NULL;
}
static void double_decrement_after_thread(void) {
  pthread_t t;
  rc_object* o = rc_share(leaf());
  expect(o != NULL, "memory");
  expect(pthread_create(&t, NULL, kill_in_thread, o) == 0 && pthread_join(t, NULL) == 0,
         "a thread");
  rc_dec(o);
}
/* A reference leaves a task without rc_share, and is given up outside and with the task. */
static void given_up_with_task(void) {
  rc_object* o = rc_share(leaf());
  rt_task* t = rt_task_new(NULL);
  expect(o != NULL && t != NULL && rt_enter(t) == 0, "a task");
  rc_inc(o);
  rt_leave();
  rc_dec(o);
  expect(rt_task_end(t) == 0, "the task's end");
  rc_dec(o);
}
static void held_too_many(void) {
  rc_object* o = rc_share(leaf());
  rt_task* t = rt_task_new(NULL);
  expect(o != NULL && t != NULL && rt_enter(t) == 0, "a task");
  rc_inc(o);
  rc_inc(o);
  rt_leave();
  rc_dec(o);
  rc_dec(o);
  expect(rt_task_end(t) == 0, "the task's end");
}
static void increment_of_dead(void) {
  rc_object* o = leaf();
  first_killer(o);
  rc_inc(o);
}
static void increment_of_waiting(void) {
  rc_object* o = large();
  first_killer(o);
  rc_inc(o);
  rc_drain(SIZE_MAX);
}
/* One reference was given up too often: found when the other one's owner dies. */
static void dead_child(void) {
  rc_object* child = leaf();
  rc_object* o = pair(rc_from(child), RC_NIL);
  first_killer(child);
  rc_dec(o);
}
static void weak_of_dead(void) {
  rc_object* o = leaf();
  first_killer(o);
  expect(rc_weak(o) == NULL, "NULL");
}
static void upgrade_of_dead(void) {
  rc_object* o = leaf();
  rc_object* w = rc_weak(o);
  expect(w != NULL, "memory");
  first_killer(o);
  rc_dec(w);
  expect(rc_upgrade(w) == NULL, "NULL");
}
static void unique_of_dead(void) {
  rc_object* o = leaf();
  first_killer(o);
  expect(rc_make_unique(o) == NULL, "NULL");
}

/* ---- What is no object --------------------------------------------------------------------------- */

static void decrement_of_static(void) {
  static uint64_t words[3] = {1, 1, 1};
  rc_dec((rc_object*)(void*)words);
}
static void decrement_of_block(void) {
  uint64_t* p = mi_malloc(24);
  memcpy(p, (uint64_t[]){1, 1, 1}, 24);
  rc_dec((rc_object*)(void*)p);
}
static void decrement_inside(void) {
  rc_object* o = pair(1, RC_NIL);
  rc_dec((rc_object*)(void*)rc_words(o));
}
static void free_of_object(void) { mi_free(leaf()); }
static void upgrade_of_object(void) { expect(rc_upgrade(leaf()) == NULL, "NULL"); }

/* ---- Shells -------------------------------------------------------------------------------------- */

static void shell_freed_twice(void) {
  rc_object* shell = rc_drop_reuse(leaf());
  rc_free_known(shell);
  rc_free_known(shell);
}
static void shell_decremented(void) {
  rc_object* shell = rc_drop_reuse(leaf());
  rc_dec(shell);
}
static void shell_with_references(void) {
  rc_object* o = leaf();
  rc_inc(o);
  rc_free_known(o);
  expect(rc_count(o) == 2 && rc_get(o, 0) == rc_int(1), "the object is as before");
}
static void shell_of_array(void) { rc_free_known(large()); }
static void reuse_of_dead(void) {
  rc_object* o = leaf();
  first_killer(o);
  rc_object* volatile other = o; /* not inlined: the number of fields differs */
  rc_object* p = rc_reuse(other, 1, 3);
  expect(p != NULL && p != o && rc_count(p) == 1, "another object");
}
/* No misuse. */
static void reuse_with_other_size(void) {
  rc_object* o = rc_reuse(rc_drop_reuse(leaf()), 1, 3);
  for (size_t i = 0; i < 3; i++) rc_init(o, i, RC_NIL);
  o = rc_reuse(rc_drop_reuse(o), 1, 3);
  for (size_t i = 0; i < 3; i++) rc_init(o, i, RC_NIL);
  rc_inc(o);
  rc_dec(o);
  rc_dec(o);
}

/* ---- Damage -------------------------------------------------------------------------------------- */

static void damaged_header(void) {
  rc_object* o = leaf();
  o->n = 200;
  rc_dec(o);
}
static void unstored_field(void) {
  rc_object* o = rc_alloc(7, 3);
  expect(o != NULL, "memory");
  rc_init(o, 0, RC_NIL);
  rc_init(o, 2, RC_NIL);
  rc_words(o)[1] = 0;
  rc_dec(o);
}
static void untouched_field(void) {
  rc_object* o = rc_alloc(7, 3);
  expect(o != NULL, "memory");
  rc_init(o, 0, RC_NIL);
  rc_init(o, 2, RC_NIL);
  rc_dec(o);
}

/* ---- What only RC_CHECKED sees ------------------------------------------------------------------- */

static void get_of_dead(void) {
  rc_object* o = leaf();
  first_killer(o);
  expect(rc_get(o, 0) == RC_NIL, "RC_NIL");
}
static void set_of_dead(void) {
  rc_object* o = leaf();
  first_killer(o);
  rc_set(o, 0, RC_NIL);
}
static void get_beyond(void) { expect(rc_get(leaf(), 2) == RC_NIL, "RC_NIL"); }
static void set_beyond(void) { rc_set(leaf(), 2, RC_NIL); }
static void set_to_zero(void) { rc_set(leaf(), 0, 0); }
static void set_to_dead(void) {
  rc_object *o = leaf(), *child = leaf();
  first_killer(child);
  rc_set(o, 0, rc_from(child));
}
static void decrement_of_counted_static(void) {
  static uint64_t words[3] = {5, 1, 1};
  rc_dec((rc_object*)(void*)words);
  expect(words[0] == 5, "nothing is written to");
}
static void increment_inside(void) {
  rc_object* o = pair(5, RC_NIL);
  rc_inc((rc_object*)(void*)rc_words(o));
}

/* ---- Leaks ----------------------------------------------------------------------------------------- */

static void leak(void) {
  rc_object* o = large();
  rc_set(o, 17, rc_from(pair(rc_from(rc_bytes(9, 5)), RC_NIL)));
}
static void leak_in_task(void) {
  rt_task* t = rt_task_new(NULL);
  expect(t != NULL && rt_enter(t) == 0, "a task");
  leak();
  rt_leave();
  expect(rt_task_end(t) == 0, "the task ends");
}
static void no_leak(void) { rc_dec(leaf()); }

static const struct misuse {
  const char* name;
  void (*run)(void);
} all_cases[] = {
#define CASE(name) \
  { #name, name }
    CASE(double_decrement),
    CASE(double_decrement_waiting),
    CASE(double_decrement_dropped),
    CASE(double_decrement_child),
    CASE(double_decrement_drained),
    CASE(double_decrement_late),
    CASE(double_decrement_shared),
    CASE(given_up_with_task),
    CASE(held_too_many),
    CASE(double_decrement_after_thread),
    CASE(increment_of_dead),
    CASE(increment_of_waiting),
    CASE(dead_child),
    CASE(weak_of_dead),
    CASE(upgrade_of_dead),
    CASE(unique_of_dead),
    CASE(decrement_of_static),
    CASE(decrement_of_block),
    CASE(decrement_inside),
    CASE(free_of_object),
    CASE(upgrade_of_object),
    CASE(shell_freed_twice),
    CASE(shell_decremented),
    CASE(shell_with_references),
    CASE(shell_of_array),
    CASE(reuse_of_dead),
    CASE(reuse_with_other_size),
    CASE(damaged_header),
    CASE(unstored_field),
    CASE(untouched_field),
    CASE(get_of_dead),
    CASE(set_of_dead),
    CASE(get_beyond),
    CASE(set_beyond),
    CASE(set_to_zero),
    CASE(set_to_dead),
    CASE(decrement_of_counted_static),
    CASE(increment_inside),
    CASE(leak),
    CASE(leak_in_task),
    CASE(no_leak),
};

/* New objects live and die as ever. */
static void expect_objects_work(void) {
  for (int round = 0; round < 3; round++) {
    rc_word list = RC_NIL;
    for (int i = 0; i < 1000; i++) list = rc_from(pair(rc_from(leaf()), list));
    rc_dec_word(list);
    rc_drain(SIZE_MAX);
  }
  expect(rc_pending() == 0, "nothing waits");
}

int main(int argc, char** argv) {
  for (size_t i = 0; argc > 1 && i < sizeof all_cases / sizeof all_cases[0]; i++)
    if (strcmp(argv[1], all_cases[i].name) == 0) {
      all_cases[i].run();
      expect_objects_work();
      return 0;
    }
  fputs("objects: no such case\n", stderr);
  return 2;
}
