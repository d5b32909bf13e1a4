/* rc_time_test.c: no decrement and no refill spends more units than rc/README.md allows, whatever
** dies, and nothing recurses. Nothing here is timed: units are counted and compared with sums that
** are known. */
#include "rc_tools.h"

#include <pthread.h>

/* ---- The time of a death --------------------------------------------------------------------- */

/* Drops the structure, whose objects have `units` fields and blocks in all, and allocates until
** it is gone. */
static void check_death(rc_object* (*build)(size_t), size_t n, uint64_t units) {
  rt_task* t = begin(NULL);
  rc_object* o = build(n);
  assert_int_equal(counters().units, 0);
  rc_dec(o);
  assert_int_equal(counters().dec_units_max, DEC_UNITS);
  assert_int_equal(counters().units, DEC_UNITS);
  assert_true(rc_pending() > 0);
  while (rc_pending() > 0) rc_dec(leaf(0)), units += 2;
  rc_counters k = counters();
  assert_int_equal(k.dec_units_max, DEC_UNITS);
  assert_in_range(k.refill_units_max, 1, REFILL_UNITS);
  assert_int_equal(k.request_units_max, 0);
  assert_int_equal(k.units, units); /* each field was looked at once, each block freed once */
  assert_nothing_left(t);
  end(t);
}

static void test_list_dies(void** state) {
  (void)state;
  check_death(list_of, MANY, (uint64_t)MANY * 3);
}

static void test_array_dies(void** state) {
  (void)state;
  check_death(array_of, MANY, (uint64_t)MANY * 3 + 1);
}

static void test_tree_dies(void** state) {
  (void)state;
  check_death(tree_of, MANY, (uint64_t)MANY * 3);
}

static void test_shuffled_list_dies(void** state) {
  (void)state;
  check_death(shuffled_list_of, MANY, (uint64_t)MANY * 3);
}

/* ---- The C stack ----------------------------------------------------------------------------- */

static void* die_on_small_stack(void* arg) {
  (void)arg;
  rc_object* list = list_of(MANY);
  rc_object* tree = tree_of(MANY / 8);
  rc_object* arrays = leaf(0); /* nested arrays, the child first and last */
  for (int i = 0; i < MANY / 100; i++) {
    rc_object* a = words_array(3);
    rc_set(a, i % 2 ? 0 : 2, rc_from(arrays));
    arrays = a;
  }
  rc_dec(list);
  rc_dec(tree);
  rc_dec(arrays);
  for (int i = 0; i < MANY / 10; i++) rc_dec(leaf(i));
  while (rc_drain(100000) == 100000) {}
  rc_counters k = counters();
  require(k.objects == 0 && rc_pending() == 0, "not all died");
  require(k.dec_units_max == DEC_UNITS && k.refill_units_max <= REFILL_UNITS, "too many units");
  require(k.units == 3ull * MANY + 3 * (MANY / 8) + 4 * (MANY / 100) + 2 + 2 * (MANY / 10),
          "units");
  return NULL;
}

static void test_no_recursion(void** state) {
  (void)state;
  pthread_attr_t attr;
  pthread_t thread;
  assert_int_equal(pthread_attr_init(&attr), 0);
  assert_int_equal(pthread_attr_setstacksize(&attr, 128 * 1024), 0);
  assert_int_equal(pthread_create(&thread, &attr, die_on_small_stack, NULL), 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attr);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_list_dies),    cmocka_unit_test(test_array_dies),
      cmocka_unit_test(test_tree_dies),    cmocka_unit_test(test_shuffled_list_dies),
      cmocka_unit_test(test_no_recursion),
  };
  return cmocka_run_group_tests_name("rc time", tests, NULL, NULL);
}
