/* rc_test.c: objects, counts, draining by hand, and errors. */
#include "rc_tools.h"

#include <errno.h>
#include <sys/mman.h>

/* ---- Draining in small steps ----------------------------------------------------------------- */

/* Each drain of n spends n while there is work, and the sum is known. */
static void check_drains(rc_object* o, size_t step, size_t units) {
  rt_task* t = rt_current();
  rc_dec(o);
  size_t left = units - (units < DEC_UNITS ? units : DEC_UNITS);
  for (; left >= step; left -= step) {
    assert_true(rc_pending() > 0);
    assert_int_equal(rc_drain(step), step);
  }
  assert_int_equal(rc_drain(step), left);
  assert_int_equal(rc_drain(step), 0);
  assert_nothing_left(t);
}

static void test_partial_drains(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  assert_int_equal(rc_drain(0), 0);
  assert_int_equal(rc_drain(SIZE_MAX), 0);
  check_drains(list_of(1000), 1, 3000);
  check_drains(list_of(1000), 7, 3000);
  check_drains(tree_of(1000), 1, 3000);
  check_drains(array_of(1000), 1, 3001);
  check_drains(words_array(0), 1, 1);
  check_drains(words_array(1), 1, 2);
  check_drains(words_array(31), 1, 32);
  check_drains(words_array(32), 1, 33);
  check_drains(words_array(33), 1, 34);
  check_drains(words_array(100), 1, 101);
  check_drains(words_array(1000000), 1000, 1000001);
  check_drains(array_of(100000), 999, 300001);
  check_drains(rc_bytes(0, 1000000), 1, 1);
  end(t);
}

/* A huge array gives up a child at a time, in order, and its length survives. */
static void test_array_in_steps(void** state) {
  (void)state;
  enum { N = 100000 };
  rt_task* t = begin(NULL);
  rc_object* child = leaf(7);
  rc_object* a = words_array(N);
  for (size_t i = 0; i < N; i++) rc_inc(child), rc_set(a, i, rc_from(child));
  assert_int_equal(child->count, N + 1);
  rc_dec(a);
  for (int left = N + 1 - DEC_UNITS; left > 1; left--) {
    assert_int_equal(child->count, left);
    assert_int_equal(rc_pending(), 1);
    assert_int_equal(rc_drain(1), 1);
  }
  assert_int_equal(rc_drain(1), 1);
  assert_int_equal(rc_pending(), 0);
  assert_true(rc_is_unique(child));
  assert_int_equal(rc_to_int(rc_get(child, 0)), 7);
  rc_dec(child);
  assert_nothing_left(t);
  end(t);
}

/* Units of a random structure are the fields and blocks of the objects that die, whoever frees
** them. */
static void test_units_add_up(void** state) {
  (void)state;
  enum { OBJECTS = 20000 };
  rt_task* t = begin(NULL);
  rc_object** all = libc_array(OBJECTS, sizeof *all);
  uint64_t units = 0, spent = 0, drained = 0;
  for (size_t i = 0; i < OBJECTS; i++) {
    size_t n = rnd(rnd(50) == 0 ? 2000 : 8);
    all[i] = rnd(2) ? rc_alloc(0, n) : rc_array(0, n, RC_NIL);
    for (size_t k = 0; k < n; k++) {
      rc_object* child = i > 0 && rnd(2) ? all[rnd(i)] : NULL;
      if (child != NULL) rc_inc(child);
      rc_init(all[i], k, child != NULL ? rc_from(child) : RC_NIL);
    }
    units += n + 1;
  }
  for (size_t i = OBJECTS; i-- > 0;) {
    uint64_t before = counters().units;
    rc_dec(all[i]);
    spent += counters().units - before;
    if (rnd(4) == 0) drained += rc_drain(rnd(100));
  }
  free(all);
  drained += rc_drain(SIZE_MAX);
  assert_int_equal(spent + drained, units);
  assert_int_equal(counters().units, units);
  assert_nothing_left(t);
  end(t);
}

/* ---- Counts, words, lengths, errors ---------------------------------------------------------- */

static void test_sticky_counts(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object* o = leaf(42);
  o->count = INT32_MAX - 2;
  for (int i = 0; i < 10; i++) rc_inc(o);
  assert_true(o->count < 0);
  assert_false(rc_is_unique(o));
  for (int i = 0; i < 100; i++) rc_dec(o);
  for (int i = 0; i < 100; i++) rc_dec(array_of(10)), rc_dec(node(rc_from(o), rc_from(o)));
  rc_object* a = words_array(1000);
  for (size_t i = 0; i < 1000; i++) rc_set(a, i, rc_from(o));
  rc_dec(a);
  rc_drain(SIZE_MAX);
  assert_int_equal(counters().objects, 1);
  assert_int_equal(rt_bytes(t), 16);
  assert_int_equal(rc_to_int(rc_get(o, 0)), 42);
  end(t);
}

/* The largest count that is still counted. */
static void test_count_below_the_end(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object* o = leaf(1);
  o->count = INT32_MAX - 1;
  rc_inc(o);
  assert_int_equal(o->count, INT32_MAX);
  rc_dec(o);
  assert_int_equal(o->count, INT32_MAX - 1);
  o->count = 2;
  rc_dec(o);
  assert_true(rc_is_unique(o));
  rc_dec(o);
  assert_nothing_left(t);
  end(t);
}

static void test_integers(void** state) {
  (void)state;
  const int64_t most = ((int64_t)1 << 62) - 1, least = -((int64_t)1 << 62);
  const int64_t values[] = {0, 1, -1, 2, INT32_MAX, INT32_MIN, most, most - 1, least, least + 1};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    rc_word w = rc_int(values[i]);
    assert_true(rc_is_int(w) && !rc_is_object(w) && w != 0);
    assert_true(rc_to_int(w) == values[i]);
  }
  assert_true(rc_to_int(rc_int(most + 1)) == least);
  assert_true(rc_to_int(rc_int(INT64_MIN)) == 0);
  assert_true(RC_NIL == rc_int(0));
  rc_inc_word(RC_NIL);
  rc_dec_word(RC_NIL);
}

static void check_kind(rc_object* o, uint8_t tag, unsigned kind, size_t n, size_t bytes) {
  assert_non_null(o);
  assert_int_equal(o->count, 1);
  assert_int_equal(o->tag, tag);
  assert_int_equal(o->kind, kind);
  assert_int_equal(rc_length(o), n);
  assert_int_equal((uintptr_t)o % 8, 0);
  assert_int_equal(rt_bytes(rt_current()), bytes);
  assert_true(rc_to(rc_from(o)) == o && rc_is_object(rc_from(o)));
  if (kind == RC_BYTES) {
    assert_ptr_equal(rc_data(o), (char*)o + 16);
    memset(rc_data(o), 'x', n);
  } else {
    assert_ptr_equal(rc_words(o), (char*)o + (kind == RC_ARRAY ? 16 : 8));
    for (size_t i = 0; kind == RC_FIELDS && i < n; i++) rc_init(o, i, rc_int((int64_t)i));
    for (size_t i = 0; kind == RC_ARRAY && i < n; i++)
      assert_int_equal(rc_to_int(rc_get(o, i)), -5);
  }
  assert_int_equal(rc_length(o), n);
  rc_dec(o);
  rc_drain(SIZE_MAX);
  assert_int_equal(rt_bytes(rt_current()), 0);
}

/* Tags, lengths, sizes and charges for each kind, zero lengths and the largest included. */
static void test_kinds(void** state) {
  (void)state;
  static const size_t sizes[] = {
      0, 1, 2, 7, 8, 9, 127, 128, 1000, 8191, 8192, RC_FIELDS_MAX, RC_LONG, 100000};
  rt_task* t = begin(NULL);
  uint64_t ticks = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t n = sizes[i];
    uint8_t tag = (uint8_t)(200 + i);
    if (n <= RC_FIELDS_MAX) {
      check_kind(rc_alloc(tag, n), tag, RC_FIELDS, n, 8 + 8 * n);
      ticks += 1 + (8 + 8 * n) / 1024;
    }
    check_kind(rc_array(tag, n, rc_int(-5)), tag, RC_ARRAY, n, 16 + 8 * n);
    check_kind(rc_bytes(tag, n), tag, RC_BYTES, n, 16 + n);
    ticks += 1 + (16 + 8 * n) / 1024 + 1 + (16 + n) / 1024;
    assert_int_equal(rt_ticks(t), ticks);
  }
  assert_nothing_left(t);
  end(t);
}

static void expect_failure(rc_object* o, int error) {
  assert_null(o);
  assert_int_equal(errno, error);
  errno = 0;
}

static void test_errors(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.bytes = 1 << 20});
  rc_object* o = leaf(1);
  errno = 0;
  expect_failure(rc_alloc(0, RC_FIELDS_MAX + 1), EINVAL);
  expect_failure(rc_alloc(0, SIZE_MAX), EINVAL);
  expect_failure(rc_array(0, 10, rc_from(o)), EINVAL);
  expect_failure(rc_array(0, 10, 0), EINVAL);
  expect_failure(rc_array(0, (size_t)1 << 32, RC_NIL), EINVAL);
  expect_failure(rc_array(0, SIZE_MAX, RC_NIL), EINVAL);
  expect_failure(rc_bytes(0, (size_t)1 << 35), EINVAL);
  expect_failure(rc_bytes(0, SIZE_MAX), EINVAL);
  uint64_t ticks = rt_ticks(t);
  expect_failure(rc_alloc(0, RC_FIELDS_MAX + 1), EINVAL); /* charged all the same */
  assert_int_equal(rt_ticks(t) - ticks, 1 + (8 + 8 * (RC_FIELDS_MAX + 1)) / 1024);
  expect_failure(rc_array(0, UINT32_MAX, RC_NIL),
                 ENOMEM); /* the task's limit, before memory is touched */
  expect_failure(rc_bytes(0, UINT32_MAX), ENOMEM);
  assert_int_equal(counters().objects, 1);
  assert_int_equal(rt_bytes(t), 16);
  rc_dec(o);
  assert_nothing_left(t);
  end(t);
}

/* ---- Ownership ------------------------------------------------------------------------------- */

/* Units are the fields and what dies with them; what does not fit waits. */
static void test_drop_reuse(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  uint64_t units = counters().units;
  rc_object* o = node(rc_int(1), rc_from(leaf(2)));
  rc_object* shell = rc_drop_reuse(o);
  assert_ptr_equal(shell, o);
  assert_int_equal(counters().units - units, 2 + 2);
  rc_free_known(shell);
  assert_int_equal(counters().units - units, 2 + 2 + 1);
  assert_nothing_left(t);

  o = node(rc_from(list_of(1000)), rc_int(0));
  shell = rc_drop_reuse(o);
  assert_ptr_equal(shell, o);
  assert_int_equal(counters().dec_units_max, DEC_UNITS);
  assert_true(rc_pending() > 0);
  rc_free_known(shell);
  rc_drain(SIZE_MAX);

  o = node(rc_int(1), rc_int(2));
  rc_inc(o);
  assert_null(rc_drop_reuse(o));
  assert_true(rc_is_unique(o) && rc_get(o, 1) == rc_int(2));
  rc_dec(o);
  static const size_t sizes[] = {0, 32, 33, 1000};
  for (int i = 0; i < 4; i++) {
    o = rc_alloc(0, sizes[i]);
    for (size_t k = 0; k < sizes[i]; k++) rc_init(o, k, rc_from(leaf(1)));
    shell = rc_drop_reuse(o);
    assert_ptr_equal(shell, sizes[i] <= 32 ? o : NULL);
    if (shell != NULL) rc_free_known(shell);
  }
  assert_int_equal(counters().dec_units_max, DEC_UNITS);
  end_drained(t);
}

/* The memory is that of the one before iff the number of fields is; the charge is that of rc_alloc. */
static void test_reuse(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  static const size_t sizes[] = {0, 1, 2, 9, 32, 200, RC_FIELDS_MAX};
  for (int i = 0; i < 7; i++)
    for (int k = 0; k < 7; k++) {
      rc_object* shell = rc_alloc(1, sizes[i]);
      uint64_t ticks = rt_ticks(t);
      rc_object* o = rc_reuse(shell, 7, sizes[k]);
      assert_int_equal(rt_ticks(t) - ticks, 1 + (8 + 8 * sizes[k]) / 1024);
      if (i == k) assert_ptr_equal(o, shell);
      assert_true(o->tag == 7 && rc_length(o) == sizes[k] && rc_is_unique(o));
      assert_int_equal(rt_bytes(t), 8 + 8 * sizes[k]);
      rc_free_known(o);
    }
  rc_object* o = rc_reuse(NULL, 3, 2);
  assert_true(o->tag == 3 && rc_length(o) == 2);
  rc_free_known(o);
  expect_failure(rc_reuse(rc_alloc(1, 2), 3, RC_FIELDS_MAX + 1), EINVAL); /* the shell is gone */
  assert_nothing_left(t);
  end(t);
}

/* Charged whatever happens; a pending decrement is looked for before a copy is made. */
static void test_make_unique(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.bytes = 1 << 20, .collects = true});
  rc_object* o = rc_array(4, 1000, RC_NIL);
  rc_set(o, 5, rc_from(leaf(9)));
  uint64_t ticks = rt_ticks(t);
  assert_ptr_equal(rc_make_unique(o), o);
  assert_int_equal(rt_ticks(t) - ticks, 1 + 8016 / 1024);

  rc_inc(o);
  ticks = rt_ticks(t);
  rc_object* copy = rc_make_unique(o);
  assert_int_equal(rt_ticks(t) - ticks, 1 + 8016 / 1024);
  assert_true(copy != o && rc_is_unique(copy) && rc_is_unique(o));
  assert_true(copy->tag == 4 && copy->kind == RC_ARRAY && rc_length(copy) == 1000);
  assert_memory_equal(rc_words(copy), rc_words(o), 8000);
  assert_int_equal(rc_to(rc_get(o, 5))->count, 2);
  rc_dec(copy);
  assert_int_equal(rc_to(rc_get(o, 5))->count, 1);

  rc_object* list = list_of(500); /* whose end holds o, too */
  rc_object* last = node(rc_from(o), rc_from(list));
  rc_inc(o);
  rc_object* holder = rc_array(0, 600, RC_NIL);
  rc_set(holder, 599, rc_from(last));
  rc_dec(holder);
  assert_true(!rc_is_unique(o) && rc_pending() > 0);
  assert_ptr_equal(rc_make_unique(o), o);
  rc_drain(SIZE_MAX);

  rc_inc(o);
  rc_object* rest = rc_bytes(0, (1 << 20) - rt_bytes(t) - 16 - 8000);
  assert_non_null(rest);
  expect_failure(rc_make_unique(o), ENOMEM);
  assert_int_equal(o->count, 2);
  rc_dec(rest);
  rc_dec(o);
  rc_dec(o);

  o = rc_bytes(6, 100);
  memset(rc_data(o), 6, 100);
  rc_inc(o);
  copy = rc_make_unique(o);
  assert_true(copy != o && copy->kind == RC_BYTES);
  assert_memory_equal(rc_data(copy), rc_data(o), 100);
  rc_dec(copy);
  rc_dec(o);
  end_drained(t);
}

static void test_pacing_errors(void** state) {
  (void)state;
  static const rc_pacing wrong[] = {{0, 256, 0, false},
                                    {2, 0, 0, false},
                                    {2, 257, 0, false},
                                    {0, 0, 0, false},
                                    {2, UINT32_MAX, 0, false}};
  rt_task* t = begin(NULL);
  for (int i = 0; i < 5; i++) {
    errno = 0;
    assert_false(rc_set_pacing(&wrong[i]));
    assert_int_equal(errno, EINVAL);
  }
  rc_dec(list_of(10000)); /* the defaults still hold */
  allocate_until_nothing_waits();
  assert_int_equal(counters().refill_units_max, REFILL_UNITS);
  set_pace(1, 0);
  set_pace(UINT32_MAX, RC_DEBT_AUTO);
  rc_dec(list_of(10000));
  while (rc_pending() > 0) rc_dec(leaf(0));
  assert_nothing_left(t);
  end(t);
}

/* The quantum is cut into whole blocks, one at least. */
static void test_quantum(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  assert_true(rc_set_pacing(&(rc_pacing){3, 7, 0, false}));
  rc_dec(list_of(10000));
  while (rc_pending() > 0) rc_dec(leaf(0));
  assert_int_equal(counters().refill_units_max, 3 * 6);
  rc_dec(list_of(10000));
  for (int i = 0; i < 200; i++) rc_dec(words_array(98));
  assert_int_equal(counters().refill_units_max, 3 * rounded(100));
  end_drained(t);
}

/* ---- Pressure -------------------------------------------------------------------------------- */

/* The most that a refill pays while garbage waits and the task holds `share` percent of its limit. */
static uint64_t most_at(size_t share, uint32_t pace) {
  enum { LIMIT = 16 << 20, NODES = 200000 };
  rt_task* t = begin(&(rt_config){.bytes = LIMIT});
  set_pace(pace, RC_DEBT_AUTO);
  rc_object* list = list_of(NODES);
  rc_object* ballast = rc_bytes(0, LIMIT / 100 * share - 24 * NODES - 16);
  rc_dec(list);
  for (int i = 0; i < 200; i++) rc_dec(list_of(10));
  uint64_t most = counters().refill_units_max;
  rc_dec(ballast);
  end_drained(t);
  return most;
}

static void test_pressure(void** state) {
  (void)state;
  enum { WORDS = QUANTUM / 3 * 3 };
  assert_int_equal(most_at(70, 2), 2 * WORDS);
  assert_int_equal(most_at(80, 2), 4 * WORDS);
  assert_int_equal(most_at(95, 2), 8 * WORDS);
  assert_int_equal(most_at(80, 3), 6 * WORDS);
  assert_int_equal(most_at(95, 3), 8 * WORDS);
  assert_int_equal(most_at(95, 10), 10 * WORDS);
}

/* A request that does not fit lets all that waits go first. */
static void test_drain_at_the_limit(void** state) {
  (void)state;
  enum { NODES = 30000, LIMIT = 1 << 20 };
  rt_task* t = begin(&(rt_config){.bytes = LIMIT, .collects = true});
  rc_dec(list_of(NODES));
  assert_int_equal(counters().forced_units_max, 0);
  rc_object* o = rc_bytes(0, LIMIT - 1000);
  assert_non_null(o);
  assert_int_equal(rc_pending(), 0);
  rc_counters k = counters();
  assert_int_equal(k.forced_units_max + k.request_units_max + DEC_UNITS, 3 * NODES);
  rc_dec(o);
  assert_nothing_left(t);
  end(t);
}

/* ---- Huge arrays ----------------------------------------------------------------------------- */

static size_t resident_pages(const void* from, size_t bytes) {
  size_t unit = (size_t)sysconf(_SC_PAGESIZE), pages = bytes / unit, n = 0;
  uintptr_t start = ((uintptr_t)from + unit - 1) & ~(uintptr_t)(unit - 1);
  unsigned char* is = libc_array(pages, 1);
  assert_int_equal(mincore((void*)start, (pages - 1) * unit, is), 0);
  for (size_t i = 0; i < pages - 1; i++) n += is[i] & 1;
  free(is);
  return n;
}

/* The memory of what was released goes back before all is. */
static void test_huge_array_goes_in_parts(void** state) {
  (void)state;
  enum { WORDS = 4 << 20, PART = 512 * 1024 };
  if (CHECKED) skip();
  rt_task* t = begin(NULL);
  rc_object* a = words_array(WORDS);
  const rc_word* words = rc_words(a);
  size_t before = resident_pages(words, 8 * (size_t)WORDS);
  rc_dec(a);
  assert_int_equal(rc_drain(WORDS / 2), WORDS / 2);
  size_t unit = (size_t)sysconf(_SC_PAGESIZE), left = resident_pages(words, 8 * (size_t)WORDS);
  assert_true(before >= 8 * (size_t)WORDS / unit - 1);
  assert_in_range(left, before / 2 - 1, before / 2 + PART / unit + 1);
  end_drained(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_partial_drains),
      cmocka_unit_test(test_array_in_steps),
      cmocka_unit_test(test_pressure),
      cmocka_unit_test(test_drain_at_the_limit),
      cmocka_unit_test(test_huge_array_goes_in_parts),
      cmocka_unit_test(test_units_add_up),
      cmocka_unit_test(test_sticky_counts),
      cmocka_unit_test(test_count_below_the_end),
      cmocka_unit_test(test_integers),
      cmocka_unit_test(test_kinds),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_drop_reuse),
      cmocka_unit_test(test_reuse),
      cmocka_unit_test(test_make_unique),
      cmocka_unit_test(test_pacing_errors),
      cmocka_unit_test(test_quantum),
  };
  return cmocka_run_group_tests_name("rc", tests, NULL, NULL);
}
