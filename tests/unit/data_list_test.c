/* data_list_test.c: lists against arrays, with versions kept. */
#include "data_tools.h"

enum { VERSIONS = 12, LONGEST = 400 };

typedef struct version {
  rc_word list;
  size_t n;
  int64_t id[2 * LONGEST];
} version;
static version versions[VERSIONS];

static void check_version(const version* v) {
  rc_word at = v->list;
  require(rc_list_length(at) == v->n, "length");
  for (size_t i = 0; i < v->n; i++, at = rc_list_tail(at))
    require(id_of(rc_list_head(at)) == v->id[i], "element %zu", i);
  require(at == RC_NIL, "an end");
}

static void drop(version* v) {
  rc_dec_word(v->list);
  v->list = RC_NIL;
  v->n = 0;
}

static void cons(version* v) {
  memmove(v->id + 1, v->id, v->n++ * sizeof v->id[0]);
  v->id[0] = new_id();
  require(rc_list_cons(&v->list, element(v->id[0])), "cons");
}

static void pop(version* v) {
  rc_word w = rc_list_pop(&v->list);
  if (v->n == 0) {
    require(w == 0, "an element of nothing");
    return;
  }
  expect_id(w, v->id[0]);
  memmove(v->id, v->id + 1, --v->n * sizeof v->id[0]);
}

static void set(version* v) {
  size_t i = rnd(v->n + 2);
  rc_word* place = rc_list_ref(&v->list, i);
  require((place != NULL) == (i < v->n), "a place");
  if (place == NULL) return;
  expect_id(*place, v->id[i]);
  v->id[i] = new_id();
  *place = element(v->id[i]);
}

static void append(version* v, const version* b) {
  if (v->n + b->n > LONGEST) return;
  memmove(v->id + v->n, b->id, b->n * sizeof v->id[0]);
  v->n += b->n;
  require(rc_list_append(&v->list, copy_of_word(b->list)), "append");
}

static void reverse(version* v) {
  for (size_t i = 0; i < v->n / 2; i++) {
    int64_t id = v->id[i];
    v->id[i] = v->id[v->n - 1 - i];
    v->id[v->n - 1 - i] = id;
  }
  require(rc_list_reverse(&v->list), "reverse");
}

static void take(version* v, size_t n) {
  require(rc_list_take(&v->list, n), "take");
  if (n < v->n) v->n = n;
}

static void drop_some(version* v, size_t n) {
  rc_list_drop(&v->list, n);
  if (n > v->n) n = v->n;
  v->n -= n;
  memmove(v->id, v->id + n, v->n * sizeof v->id[0]);
}

/* By the last two digits, which many have in common. */
static int compare_digits(rc_word a, rc_word b, void* arg) {
  ++*(size_t*)arg;
  return (int)(id_of(a) % 100 - id_of(b) % 100);
}

static void sort(version* v) {
  size_t compared = 0, log = 1;
  for (size_t i = 1; i < v->n; i++) { /* by insertion, which is stable */
    int64_t id = v->id[i];
    size_t k = i;
    for (; k > 0 && v->id[k - 1] % 100 > id % 100; k--) v->id[k] = v->id[k - 1];
    v->id[k] = id;
  }
  require(rc_list_sort(&v->list, compare_digits, &compared), "sort");
  while ((size_t)1 << log < v->n) log++;
  require(compared <= v->n * log, "%zu comparisons", compared);
}

static void from_words(version* v) {
  rc_word words[100];
  drop(v);
  v->n = rnd(100);
  for (size_t i = 0; i < v->n; i++) words[i] = element(v->id[i] = new_id());
  v->list = rc_list_from(words, v->n);
  require(v->list != 0, "from words");
  for (size_t i = 0; i < v->n; i++) rc_dec_word(words[i]);
}

static void copy(version* v, const version* from) {
  if (v == from) return;
  drop(v);
  *v = *from;
  rc_inc_word(v->list);
}

static void step(void) {
  version *v = &versions[rnd(VERSIONS)], *b = &versions[rnd(VERSIONS)];
  size_t what = rnd(20), n = rnd(v->n + 10);
  if (rnd(4) == 0) leave_waiting(copy_of_word(v->list));
  if (what < 5) {
    for (size_t i = rnd(20); i > 0 && v->n < LONGEST; i--) cons(v);
  } else if (what < 7) {
    for (size_t i = rnd(20); i > 0; i--) pop(v);
  } else if (what < 9) {
    set(v);
  } else if (what < 11) {
    append(v, b);
  } else if (what < 13) {
    reverse(v);
  } else if (what == 13) {
    take(v, n);
  } else if (what == 14) {
    drop_some(v, n);
  } else if (what == 15) {
    sort(v);
  } else if (what == 16) {
    from_words(v);
  } else {
    copy(v, b);
  }
  check_version(v);
}

static void test_random(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < VERSIONS; i++) versions[i] = (version){.list = RC_NIL};
  for (int i = 0; i < STEPS; i++) {
    step();
    if (i % 100 == 0)
      for (int k = 0; k < VERSIONS; k++) check_version(&versions[k]);
  }
  for (int i = 0; i < VERSIONS; i++) drop(&versions[i]);
  end_drained(t);
}

/* ---- In place -------------------------------------------------------------------------------- */

static rc_word list_of_ids(size_t n) {
  rc_word list = RC_NIL;
  while (n-- > 0) assert_true(rc_list_cons(&list, rc_int((int64_t)n)));
  return list;
}

/* Cells that nobody else sees are the same ones afterwards; of a long list, without recursion. */
static void test_in_place(void** state) {
  (void)state;
  enum { N = 200000 };
  rt_task* t = begin(NULL);
  rc_word list = list_of_ids(N), first = list, last = list;
  while (rc_list_tail(last) != RC_NIL) last = rc_list_tail(last);
  uint64_t bytes = rt_bytes(t), peak = rt_bytes_peak(t);
  assert_true(rc_list_reverse(&list));
  assert_true(list == last);
  for (int64_t i = N; i-- > 0; last = rc_list_tail(last))
    assert_true(rc_list_head(last) == rc_int(i));
  size_t compared = 0;
  assert_true(rc_list_sort(&list, compare_digits, &compared));
  assert_true(rc_list_reverse(&list));
  assert_true(rc_list_take(&list, N));
  assert_true(rc_list_ref(&list, N - 1) != NULL);
  assert_int_equal(rt_bytes(t), bytes);
  assert_int_equal(rt_bytes_peak(t), peak);
  assert_true(rc_list_head(rc_list_tail(first)) != 0);

  rc_list_drop(&list, 1000); /* what is left is nobody else's at once */
  first = list;
  assert_true(rc_list_take(&list, N) && list == first && rc_list_length(list) == N - 1000);

  bytes = rt_bytes(t);
  rc_word other = copy_of_word(list);
  assert_true(rc_list_reverse(&list)); /* now all are copied */
  assert_int_equal(rt_bytes(t), 2 * bytes);
  rc_dec_word(other);
  rc_dec_word(list);
  end_drained(t);
}

/* What is shared behind a place that changes stays shared. */
static void test_sharing(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_word list = list_of_ids(100), other = copy_of_word(list);
  uint64_t alive = objects_alive();
  *rc_list_ref(&list, 9) = rc_int(-1);
  assert_int_equal(objects_alive(), alive + 10);
  assert_true(rc_list_append(&other, RC_NIL)); /* the last 90 are seen by the other one */
  assert_int_equal(objects_alive(), alive + 10 + 90);
  rc_dec_word(list);
  rc_dec_word(other);
  end_drained(t);
}

/* Ticks do not tell whether it was in place. */
static void test_charges(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int shared = 0; shared < 2; shared++) {
    rc_word list = list_of_ids(100), other = shared ? copy_of_word(list) : RC_NIL;
    uint64_t ticks = rt_ticks(t);
    assert_true(rc_list_reverse(&list));
    assert_int_equal(rt_ticks(t) - ticks, 100);
    assert_true(rc_list_ref(&list, 4) != NULL);
    assert_int_equal(rt_ticks(t) - ticks, 105);
    rc_dec_word(other);
    rc_dec_word(list);
  }
  end(t);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static void check_twenty(rc_word list, void* arg) {
  (void)arg;
  require(rc_list_length(list) == 20, "length");
  for (int64_t i = 0; i < 20; i++, list = rc_list_tail(list))
    require(rc_list_head(list) == rc_int(i), "element %lld", (long long)i);
}

static bool try_cons(rc_word* w, void* arg) { return (void)arg, rc_list_cons(w, rc_int(1)); }
static bool try_ref(rc_word* w, void* arg) { return (void)arg, rc_list_ref(w, 19) != NULL; }
static bool try_reverse(rc_word* w, void* arg) { return (void)arg, rc_list_reverse(w); }
static bool try_take(rc_word* w, void* arg) { return (void)arg, rc_list_take(w, 10); }
static bool try_sort(rc_word* w, void* arg) { return rc_list_sort(w, compare_digits, arg); }
static bool try_append(rc_word* w, void* arg) {
  (void)arg;
  rc_word rest = copy_of_word(*w);
  bool done = rc_list_append(w, rest);
  if (!done) rc_dec_word(rest);
  return done;
}
static bool try_from(rc_word* w, void* arg) {
  (void)arg;
  rc_word words[3] = {*w, *w, RC_NIL}, list = rc_list_from(words, 3);
  if (list == 0) return false;
  rc_dec_word(*w);
  *w = list;
  return true;
}

static void test_refusals(void** state) {
  (void)state;
  static const struct {
    bool (*update)(rc_word*, void*);
    int refused; /* at least */
  } cases[] = {{try_cons, 3},  {try_ref, 60},    {try_reverse, 60}, {try_take, 30},
               {try_sort, 60}, {try_append, 60}, {try_from, 9}};
  rt_task* t = begin_small();
  rc_word list = list_of_ids(20);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    size_t compared = 0;
    int refused;
    rc_word w = update_starving(list, cases[i].update, check_twenty, &compared, &refused);
    assert_true(refused >= cases[i].refused);
    check_twenty(list, NULL);
    rc_dec_word(w);
  }
  rc_dec_word(list);
  end_drained(t);
}

static void test_empty(void** state) {
  (void)state;
  rc_word list = RC_NIL;
  size_t compared = 0;
  assert_true(rc_list_reverse(&list) && rc_list_take(&list, 5) && rc_list_append(&list, RC_NIL));
  assert_true(rc_list_sort(&list, compare_digits, &compared));
  rc_list_drop(&list, 3);
  assert_true(list == RC_NIL && rc_list_length(list) == 0 && rc_list_from(NULL, 0) == RC_NIL);
  errno = 0;
  assert_true(rc_list_pop(&list) == 0 && errno == EINVAL);
  errno = 0;
  assert_true(rc_list_ref(&list, 0) == NULL && errno == EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),   cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_sharing),  cmocka_unit_test(test_charges),
      cmocka_unit_test(test_refusals), cmocka_unit_test(test_empty),
  };
  return cmocka_run_group_tests_name("data: lists", tests, NULL, NULL);
}
