/* data_vec_test.c: vectors against arrays, with versions kept. */
#include "data_tools.h"

enum { VERSIONS = 10, LONGEST = 3000 };

typedef struct version {
  rc_word vec;
  size_t n;
  int64_t id[LONGEST];
} version;
static version versions[VERSIONS];

static void check_version(const version* v) {
  const rc_word* words;
  size_t at = 0;
  require(rc_vec_length(v->vec) == v->n, "length");
  require((v->vec == RC_NIL) == (v->n == 0), "empty is RC_NIL");
  for (size_t n; (words = rc_vec_chunk(v->vec, at, &n)) != NULL; at += n)
    for (size_t i = 0; i < n; i++) {
      require(id_of(words[i]) == v->id[at + i], "element %zu", at + i);
      require(rc_vec_get(v->vec, at + i) == words[i], "get and chunk");
    }
  require(at == v->n && rc_vec_get(v->vec, v->n) == 0, "an end");
}

static void drop(version* v) {
  rc_dec_word(v->vec);
  v->vec = RC_NIL;
  v->n = 0;
}

static void push(version* v) {
  v->id[v->n] = new_id();
  require(rc_vec_push(&v->vec, element(v->id[v->n++])), "push");
}

/* Some of n words, the first ones, are there afterwards. */
static void append(version* v, size_t n) {
  rc_word words[60] = {0};
  for (size_t i = 0; i < n; i++) words[i] = element(new_id());
  size_t done = rc_vec_append(&v->vec, words, n);
  require(done > 0 && done <= n && done <= 32, "append");
  for (size_t i = 0; i < n; i++) {
    if (i < done) v->id[v->n++] = id_of(words[i]);
    rc_dec_word(words[i]);
  }
}

static void pop(version* v) {
  rc_word w = rc_vec_pop(&v->vec);
  require((w != 0) == (v->n > 0), "pop");
  if (w != 0) expect_id(w, v->id[--v->n]);
}

static void set(version* v) {
  size_t i = rnd(v->n + 1);
  rc_word w = element(new_id());
  bool done = rc_vec_set(&v->vec, i, w);
  require(done == (i < v->n), "set");
  if (done)
    v->id[i] = id_of(w);
  else
    rc_dec_word(w);
}

static void slice(version* v, const version* from) {
  static int64_t id[LONGEST];
  size_t a = rnd(from->n + 3), b = rnd(from->n + 3);
  rc_word w = rc_vec_slice(from->vec, a, b);
  require(w != 0, "slice");
  if (b > from->n) b = from->n;
  size_t n = a < b ? b - a : 0;
  memcpy(id, from->id + (n > 0 ? a : 0), n * sizeof id[0]);
  drop(v);
  v->vec = w;
  v->n = n;
  memcpy(v->id, id, n * sizeof id[0]);
}

static void from_words(version* v) {
  static rc_word words[LONGEST];
  drop(v);
  v->n = rnd(rnd(2) ? 40 : LONGEST);
  for (size_t i = 0; i < v->n; i++) words[i] = element(v->id[i] = new_id());
  v->vec = rc_vec_from(words, v->n);
  require(v->vec != 0, "from words");
  for (size_t i = 0; i < v->n; i++) rc_dec_word(words[i]);
}

static void copy(version* v, const version* from) {
  if (v == from) return;
  drop(v);
  *v = *from;
  rc_inc_word(v->vec);
}

static void step(void) {
  version *v = &versions[rnd(VERSIONS)], *b = &versions[rnd(VERSIONS)];
  size_t what = rnd(22), n = rnd(rnd(10) == 0 ? 1500 : 60);
  if (rnd(4) == 0) leave_waiting(copy_of_word(v->vec));
  if (what < 7) {
    for (; n > 0 && v->n < LONGEST; n--) push(v);
  } else if (what < 12) {
    for (; n > 0; n--) pop(v);
  } else if (what < 16) {
    for (n = rnd(10); n > 0; n--) set(v);
  } else if (what >= 20) {
    if (v->n + 60 <= LONGEST) append(v, 1 + rnd(60));
  } else if (what == 16) {
    slice(v, b);
  } else if (what == 17) {
    from_words(v);
  } else {
    copy(v, b);
  }
  check_version(v);
}

static void test_random(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < VERSIONS; i++) versions[i].vec = RC_NIL;
  for (int i = 0; i < STEPS; i++) {
    step();
    if (i % 100 == 0)
      for (int k = 0; k < VERSIONS; k++) check_version(&versions[k]);
  }
  for (int i = 0; i < VERSIONS; i++) drop(&versions[i]);
  end_drained(t);
}

/* ---- Heights and places ---------------------------------------------------------------------- */

static rc_word vec_of_ids(size_t n) {
  rc_word v = RC_NIL;
  for (size_t i = 0; i < n; i++) assert_true(rc_vec_push(&v, rc_int((int64_t)i)));
  return v;
}

/* Each length until the tree is three high and a little further, growing and shrinking, with some that
** were made on the way kept: they still read what they read. */
static void test_growing(void** state) {
  (void)state;
  enum { N = 32 * 32 * 32 + 100, KEPT = 64 };
  rt_task* t = begin(NULL);
  rc_word v = RC_NIL, kept[KEPT];
  for (size_t i = 0; i < N; i++) {
    if (i % (N / KEPT + 1) == 0) kept[i / (N / KEPT + 1)] = copy_of_word(v);
    require(rc_vec_push(&v, rc_int((int64_t)i)), "push");
    require(
        rc_vec_get(v, i) == rc_int((int64_t)i) && rc_vec_get(v, i / 2) == rc_int((int64_t)i / 2),
        "get %zu", i);
  }
  for (size_t i = N; i-- > 0;) {
    require(rc_vec_pop(&v) == rc_int((int64_t)i) && rc_vec_length(v) == i, "pop %zu", i);
    require(i == 0 || rc_vec_get(v, i - 1) == rc_int((int64_t)i - 1), "the last of %zu", i);
  }
  assert_true(v == RC_NIL);
  for (size_t k = 0; k < KEPT; k++) {
    size_t n = k * (N / KEPT + 1);
    require(rc_vec_length(kept[k]) == n, "length %zu", n);
    for (size_t i = 0; i < n; i++) require(rc_vec_get(kept[k], i) == rc_int((int64_t)i), "kept");
    rc_dec_word(kept[k]);
  }
  end_drained(t);
}

/* Popped down to some length, a vector has as many nodes as one that never was longer. */
static void test_shrinking(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_word v = vec_of_ids(35000);
  while (rc_vec_length(v) > 0) {
    size_t n =
        rc_vec_length(v) - 1 - rnd(rnd(2) ? 40 : rc_vec_length(v) / 2 + 1) % rc_vec_length(v);
    while (rc_vec_length(v) > n) assert_true(rc_vec_pop(&v) != 0);
    uint64_t all = objects_alive();
    rc_word other = vec_of_ids(n);
    assert_int_equal(objects_alive(), 2 * all);
    rc_dec_word(other);
  }
  end_drained(t);
}

/* What nobody else sees is changed where it is; else a path is copied and no more. */
static void test_in_place(void** state) {
  (void)state;
  enum {
    N = 50000,
    PATH = 1 + 3 + 1
  }; /* the vector, nodes (there are above 32^2 leaves), a leaf */
  rt_task* t = begin(NULL);
  rc_word v = vec_of_ids(N), first = v;
  uint64_t alive = objects_alive(), bytes = rt_bytes(t), peak = rt_bytes_peak(t);
  for (size_t i = 0; i < N; i += 7) {
    rc_word was = rc_vec_get(v, i);
    size_t n;
    const rc_word* place = rc_vec_chunk(v, i, &n);
    assert_true(rc_vec_set(&v, i, rc_int(rc_to_int(was) + 1)));
    assert_ptr_equal(rc_vec_ref(&v, i), place);
  }
  assert_true(v == first && objects_alive() == alive);
  assert_int_equal(rt_bytes(t), bytes);
  assert_int_equal(rt_bytes_peak(t), peak);

  rc_word other = copy_of_word(v);
  assert_true(rc_vec_set(&v, 77, rc_int(-1)));
  assert_int_equal(objects_alive(), alive + PATH);
  assert_true(rc_vec_set(&v, 78, rc_int(-1)));
  assert_int_equal(objects_alive(), alive + PATH);
  assert_true(rc_vec_get(other, 77) == rc_int(78) && rc_vec_get(v, 77) == rc_int(-1));
  rc_dec_word(other);
  rc_dec_word(v);
  end_drained(t);
}

/* A vector in a vector is changed in place, too, through its place. */
static void test_nested(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_word v = RC_NIL;
  for (size_t i = 0; i < 100; i++) assert_true(rc_vec_push(&v, vec_of_ids(40)));
  uint64_t alive = objects_alive(), bytes = rt_bytes(t);
  for (size_t i = 0; i < 100; i++) assert_true(rc_vec_set(rc_vec_ref(&v, i), 3, rc_int(-1)));
  assert_true(objects_alive() == alive && rt_bytes(t) == bytes);
  for (size_t i = 0; i < 100; i++) assert_true(rc_vec_get(rc_vec_get(v, i), 3) == rc_int(-1));
  rc_dec_word(v);
  end_drained(t);
}

/* A program's ticks do not tell what is shared. */
static uint64_t ticks_of_a_program(bool shared) {
  rt_task* t = begin(NULL);
  rc_word v = RC_NIL, other = RC_NIL;
  seed = 42;
  for (int i = 0; i < 20000; i++) {
    size_t what = rnd(5);
    if (shared) rc_dec_word(other), other = copy_of_word(v);
    if (what < 3)
      assert_true(rc_vec_push(&v, rc_int(i)));
    else if (what == 3)
      (void)rc_vec_pop(&v);
    else
      (void)rc_vec_set(&v, rnd(rc_vec_length(v) + 1), rc_int(i));
  }
  uint64_t ticks = rt_ticks(t);
  rc_dec_word(v);
  rc_dec_word(other);
  end_drained(t);
  return ticks;
}

static void test_charges(void** state) {
  (void)state;
  assert_int_equal(ticks_of_a_program(false), ticks_of_a_program(true));
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static void check_ids(rc_word v, void* n) {
  require(rc_vec_length(v) == *(size_t*)n, "length");
  for (size_t i = 0; i < *(size_t*)n; i++)
    require(rc_vec_get(v, i) == rc_int((int64_t)i), "element %zu", i);
}

static bool try_push(rc_word* w, void* n) { return (void)n, rc_vec_push(w, rc_int(1)); }
static bool try_pop(rc_word* w, void* n) {
  rc_word last = rc_vec_pop(w);
  require(last == 0 || last == rc_int((int64_t) * (size_t*)n - 1), "the last");
  return last != 0;
}
static bool try_set(rc_word* w, void* n) { return rc_vec_set(w, *(size_t*)n / 2, RC_NIL); }
static bool try_slice(rc_word* w, void* n) {
  rc_word s = rc_vec_slice(*w, 1, *(size_t*)n);
  if (s == 0) return false;
  rc_dec_word(*w);
  *w = s;
  return true;
}

static bool try_append(rc_word* w, void* n) {
  const rc_word words[2] = {*w, RC_NIL};
  return (void)n, rc_vec_append(w, words, 2) > 0;
}

static bool try_from(rc_word* w, void* n) {
  rc_word words[100] = {*w, *w};
  for (int i = 2; i < 100; i++) words[i] = RC_NIL;
  rc_word v = rc_vec_from(words, 100);
  if (v == 0) return false;
  rc_dec_word(*w);
  *w = v;
  return (void)n, true;
}

static void test_refusals(void** state) {
  (void)state;
  static const size_t sizes[] = {1,   3,    4,    5,    32,   33,   64,  65,
                                 500, 1024, 1056, 1057, 1088, 1089, 2000};
  static bool (*const updates[])(rc_word*, void*) = {try_push,  try_pop,  try_set,
                                                     try_slice, try_from, try_append};
  rt_task* t = begin_small();
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t n = sizes[i];
    rc_word v = vec_of_ids(n);
    for (size_t k = 0; k < sizeof updates / sizeof updates[0]; k++) {
      int refused;
      rc_word w = update_starving(v, updates[k], check_ids, &n, &refused);
      assert_true(refused >= (k == 3 && n == 1 ? 0 : 5));
      check_ids(v, &n);
      rc_dec_word(w);
    }
    rc_dec_word(v);
  }
  end_drained(t);
}

static void test_errors(void** state) {
  (void)state;
  rc_word v = RC_NIL;
  size_t n;
  errno = 0;
  assert_true(rc_vec_pop(&v) == 0 && errno == EINVAL);
  errno = 0;
  assert_true(!rc_vec_set(&v, 0, RC_NIL) && errno == EINVAL);
  assert_true(rc_vec_get(v, 0) == 0 && rc_vec_chunk(v, 0, &n) == NULL && rc_vec_length(v) == 0);
  assert_true(rc_vec_from(NULL, 0) == RC_NIL && rc_vec_slice(v, 0, 10) == RC_NIL);
  v = vec_of_ids(10);
  errno = 0;
  assert_true(rc_vec_ref(&v, 10) == NULL && errno == EINVAL);
  assert_true(rc_vec_slice(v, 5, 5) == RC_NIL && rc_vec_slice(v, 10, SIZE_MAX) == RC_NIL);
  rc_dec_word(v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shrinking), cmocka_unit_test(test_random),
      cmocka_unit_test(test_growing),   cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_nested),    cmocka_unit_test(test_charges),
      cmocka_unit_test(test_refusals),  cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests_name("data: vectors", tests, NULL, NULL);
}
