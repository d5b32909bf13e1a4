/* data_rope_test.c: ropes against arrays of characters, with versions kept. */
#include "data_tools.h"

enum { VERSIONS = 10, LONGEST = 20000 };

typedef struct version {
  rc_word rope;
  size_t n;
  char text[LONGEST];
} version;
static version versions[VERSIONS];

/* The height, of a tree in balance: no side of a node is higher by more than 1, no leaf is empty. */
static int check_shape(rc_word r, size_t* leaves) {
  if (rc_to(r)->kind == RC_BYTES) {
    require(rc_length(rc_to(r)) > 0, "an empty leaf");
    ++*leaves;
    return 0;
  }
  int a = check_shape(rc_get(rc_to(r), 1), leaves), b = check_shape(rc_get(rc_to(r), 2), leaves);
  require(abs(a - b) <= 1, "out of balance: %d and %d", a, b);
  return 1 + (a > b ? a : b);
}

static void check_version(const version* v) {
  const char* bytes;
  size_t at = 0, leaves = 0;
  require(rc_rope_length(v->rope) == v->n, "length");
  require((v->rope == RC_NIL) == (v->n == 0), "empty is RC_NIL");
  for (size_t n; (bytes = rc_rope_chunk(v->rope, at, &n)) != NULL; at += n) {
    require(n > 0 && n <= v->n - at && memcmp(bytes, v->text + at, n) == 0, "at %zu", at);
    leaves++;
  }
  require(at == v->n, "an end");
  size_t i = rnd(v->n + 1);
  require(rc_rope_get(v->rope, i) == (i < v->n ? (unsigned char)v->text[i] : -1), "get");
  size_t counted = 0;
  if (v->n > 0) check_shape(v->rope, &counted);
  require(counted == leaves, "leaves");
}

static void drop(version* v) {
  rc_dec_word(v->rope);
  v->rope = RC_NIL;
  v->n = 0;
}

static size_t some_length(size_t most) {
  static const size_t upto[] = {4, 40, 600, 5000, 300, 10};
  size_t n = rnd(upto[rnd(6)]);
  return n < most ? n : most;
}

/* Few letters, so that many strings begin equally. */
static void fill(char* text, size_t n) {
  for (size_t i = 0; i < n; i++) text[i] = (char)(rnd(20) == 0 ? rnd(256) : 'a');
}

static void append_text(version* v) {
  size_t n = some_length(LONGEST - v->n);
  fill(v->text + v->n, n);
  rc_word end = rc_rope_from(v->text + v->n, n);
  require(end != 0 && rc_rope_append(&v->rope, end), "append");
  v->n += n;
}

static void append(version* v, const version* b) {
  if (v->n + b->n > LONGEST) return;
  memmove(v->text + v->n, b->text, b->n);
  v->n += b->n;
  require(rc_rope_append(&v->rope, copy_of_word(b->rope)), "append");
}

static void slice(version* v, const version* from) {
  size_t a = rnd(from->n + 2), b = rnd(from->n + 2);
  rc_word r = rc_rope_slice(from->rope, a, b);
  require(r != 0, "slice");
  if (b > from->n) b = from->n;
  size_t n = a < b ? b - a : 0;
  memmove(v->text, from->text + (n > 0 ? a : 0), n);
  rc_dec_word(v->rope);
  v->rope = r;
  v->n = n;
}

static void set(version* v) {
  size_t i = rnd(v->n + 1);
  char c = (char)rnd(256);
  require(rc_rope_set(&v->rope, i, c) == (i < v->n), "set");
  if (i < v->n) v->text[i] = c;
}

static void flatten(version* v) {
  require(rc_rope_flatten(&v->rope), "flatten");
  require(v->n == 0 || rc_to(v->rope)->kind == RC_BYTES, "flat");
}

/* A byte string that somebody else made is a rope; an empty one, too. */
static void adopt(version* v) {
  size_t n = some_length(LONGEST - v->n);
  rc_object* o = rc_bytes(9, n);
  require(o != NULL, "bytes");
  fill(rc_data(o), n);
  memcpy(v->text + v->n, rc_data(o), n);
  v->n += n;
  require(rc_rope_append(&v->rope, rc_from(o)), "append");
}

static int sign(int i) { return (i > 0) - (i < 0); }

static void compare(const version* a, const version* b) {
  size_t n = a->n < b->n ? a->n : b->n;
  int order = memcmp(a->text, b->text, n);
  if (order == 0) order = (a->n > b->n) - (a->n < b->n);
  require(sign(rc_rope_compare(a->rope, b->rope)) == sign(order), "order");
  rc_word same = rc_rope_from(a->text, a->n);
  require(rc_rope_compare(a->rope, same) == 0, "equal");
  require(rc_rope_hash(a->rope) == rc_rope_hash(same), "hash");
  require(order == 0 || rc_rope_hash(a->rope) != rc_rope_hash(b->rope), "hashes differ");
  rc_dec_word(same);
}

static void copy(version* v, const version* from) {
  if (v == from) return;
  drop(v);
  *v = *from;
  rc_inc_word(v->rope);
}

static void step(void) {
  version *v = &versions[rnd(VERSIONS)], *b = &versions[rnd(VERSIONS)];
  size_t what = rnd(20);
  if (rnd(4) == 0) leave_waiting(copy_of_word(v->rope));
  if (what < 6)
    append_text(v);
  else if (what < 9)
    append(v, b);
  else if (what < 13)
    slice(v, b);
  else if (what < 15)
    set(v);
  else if (what == 15)
    flatten(v);
  else if (what == 16)
    adopt(v);
  else if (what == 17)
    compare(v, b);
  else
    copy(v, b);
  check_version(v);
}

static void test_random(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < VERSIONS; i++) versions[i].rope = RC_NIL;
  for (int i = 0; i < STEPS; i++) {
    step();
    if (i % 100 == 0)
      for (int k = 0; k < VERSIONS; k++) check_version(&versions[k]);
  }
  for (int i = 0; i < VERSIONS; i++) drop(&versions[i]);
  end_drained(t);
}

/* ---- Large ones ------------------------------------------------------------------------------ */

/* Doubling makes a string longer than memory, whose parts are found at once. */
static void test_doubling(void** state) {
  (void)state;
  enum { TIMES = 38 };
  rt_task* t = begin(NULL);
  char text[300];
  fill(text, 300);
  rc_word r = rc_rope_from(text, 300);
  for (int i = 0; i < TIMES; i++) assert_true(rc_rope_append(&r, copy_of_word(r)));
  size_t n = (size_t)300 << TIMES;
  assert_true(rc_rope_length(r) == n && rt_bytes(t) < 10000);
  for (int i = 0; i < 1000; i++) {
    size_t at = rnd(n - 1000), length = rnd(1000);
    rc_word s = rc_rope_slice(r, at, at + length);
    assert_int_equal(rc_rope_length(s), length);
    for (size_t k = 0; k < length; k++)
      require(rc_rope_get(s, k) == (unsigned char)text[(at + k) % 300], "byte %zu", k);
    rc_dec_word(s);
  }
  errno = 0;
  assert_true(!rc_rope_flatten(&r) && errno == EINVAL && rc_rope_length(r) == n);
  rc_word tail = rc_rope_slice(r, n / 3, n - 5);
  assert_true(rc_rope_length(tail) == n - 5 - n / 3);
  assert_true(rc_rope_append(&tail, rc_rope_slice(r, 17, n / 2)));
  while ((n = rc_rope_length(r)) < (size_t)1 << 47) /* the limit of lengths */
    assert_true(rc_rope_append(&r, copy_of_word(r)));
  rc_inc_word(r);
  errno = 0;
  assert_true(!rc_rope_append(&r, r) && errno == EINVAL && rc_rope_length(r) == n);
  rc_dec_word(r);
  n = (size_t)300 << TIMES;
  size_t leaves = 0;
  rc_word middle = rc_rope_slice(tail, n / 2, n / 2 + 100000);
  check_shape(middle, &leaves);
  rc_dec_word(middle);
  rc_dec_word(tail);
  rc_dec_word(r);
  end_drained(t);
}

/* One byte after the other makes full leaves, before or behind. */
static void test_small_appends(void** state) {
  (void)state;
  enum { N = 20000 };
  rt_task* t = begin(NULL);
  for (int before = 0; before < 2; before++) {
    rc_word r = RC_NIL;
    size_t leaves = 0;
    for (size_t i = 0; i < N; i++) {
      char c = (char)i;
      rc_word byte = rc_rope_from(&c, 1);
      if (before) {
        assert_true(rc_rope_append(&byte, r));
        r = byte;
      } else {
        assert_true(rc_rope_append(&r, byte));
      }
    }
    check_shape(r, &leaves);
    assert_true(leaves <= N / RC_ROPE_LEAF + 2);
    for (size_t i = 0; i < N; i++)
      assert_int_equal(rc_rope_get(r, i), (unsigned char)(before ? N - 1 - i : i));
    rc_dec_word(r);
  }
  end_drained(t);
}

/* A byte is changed where it is, if nobody else sees it. */
static void test_in_place(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  static char text[100000];
  fill(text, sizeof text);
  rc_word r = rc_rope_from(text, sizeof text), first = r;
  uint64_t alive = objects_alive(), bytes = rt_bytes(t);
  for (size_t i = 0, n; i < sizeof text; i += 99) {
    const char* place = rc_rope_chunk(r, i, &n);
    assert_true(rc_rope_set(&r, i, 'x') && *place == 'x' && rc_rope_chunk(r, i, &n) == place);
  }
  assert_true(r == first && objects_alive() == alive && rt_bytes(t) == bytes);
  rc_word other = copy_of_word(r);
  assert_true(rc_rope_set(&r, 50000, 'y'));
  assert_true(objects_alive() > alive && objects_alive() <= alive + 10);
  assert_int_equal(rc_rope_get(other, 50000), (unsigned char)text[50000]);
  rc_dec_word(other);
  rc_dec_word(r);
  end_drained(t);
}

static uint64_t ticks_of_a_program(bool shared) {
  rt_task* t = begin(NULL);
  rc_word r = RC_NIL, other = RC_NIL;
  seed = 42;
  for (int i = 0; i < 5000; i++) {
    char text[700];
    size_t n = 1 + rnd(700);
    if (shared) rc_dec_word(other), other = copy_of_word(r);
    fill(text, n);
    rc_word more = rc_rope_from(text, n), seen = shared ? copy_of_word(more) : RC_NIL;
    bool behind = rnd(2) == 0;
    require(behind ? rc_rope_append(&r, more) : rc_rope_append(&more, r), "append");
    if (!behind) r = more;
    require(rc_rope_set(&r, rnd(rc_rope_length(r)), 'x'), "set");
    rc_dec_word(seen);
  }
  uint64_t ticks = rt_ticks(t);
  rc_dec_word(r);
  rc_dec_word(other);
  end_drained(t);
  return ticks;
}

static void test_charges(void** state) {
  (void)state;
  assert_int_equal(ticks_of_a_program(false), ticks_of_a_program(true));
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static char tried[30000];
static size_t tried_length;

static void check_tried(rc_word r, void* arg) {
  size_t leaves = 0;
  (void)arg;
  require(rc_rope_length(r) == tried_length, "length");
  for (size_t i = 0, n; i < tried_length; i += n) {
    const char* bytes = rc_rope_chunk(r, i, &n);
    require(memcmp(bytes, tried + i, n) == 0, "at %zu", i);
  }
  check_shape(r, &leaves);
}

static bool try_append(rc_word* w, void* end) {
  rc_word copy = copy_of_word(*(rc_word*)end);
  if (rc_rope_append(w, copy)) return true;
  rc_dec_word(copy);
  return false;
}
static bool try_prepend(rc_word* w, void* front) {
  rc_word all = copy_of_word(*(rc_word*)front);
  if (rc_rope_append(&all, *w)) return *w = all, true;
  rc_dec_word(all);
  return false;
}
/* Both are seen by nobody else. */
static bool try_own(rc_word* w, void* end) {
  (void)end;
  rc_word a = rc_rope_from(tried, tried_length / 5), b = rc_rope_from(tried, tried_length);
  bool made = a != 0 && b != 0, done = made && rc_rope_append(&a, b);
  if (made && !done) check_tried(b, NULL);
  if (!done && b != 0) rc_dec_word(b);
  if (a != 0) rc_dec_word(a);
  return (void)w, done;
}
static bool try_slice(rc_word* w, void* end) {
  (void)end;
  rc_word r = rc_rope_slice(*w, tried_length / 7, tried_length - tried_length / 7);
  if (r == 0) return false;
  rc_dec_word(*w);
  *w = r;
  return true;
}
static bool try_set(rc_word* w, void* end) {
  return (void)end, rc_rope_set(w, tried_length / 2, 'z');
}
static bool try_flatten(rc_word* w, void* end) { return (void)end, rc_rope_flatten(w); }

static void test_refusals(void** state) {
  (void)state;
  static const size_t lengths[] = {100, 496, 497, 3000, 20000}, ends[] = {1, 400, 1000, 9000};
  static bool (*const updates[])(rc_word*, void*) = {try_append, try_prepend, try_own,
                                                     try_slice,  try_set,     try_flatten};
  rt_task* t = begin_small();
  fill(tried, sizeof tried);
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
    for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++)
      for (size_t u = 0; u < sizeof updates / sizeof updates[0]; u++) {
        int refused;
        if (u > 1 && k > 0) continue;
        tried_length = lengths[i];
        rc_word r = rc_rope_from(tried, tried_length), other = rc_rope_from(tried, ends[k]);
        rc_dec_word(update_starving(r, updates[u], check_tried, &other, &refused));
        assert_true(refused > 0 || (updates[u] == try_flatten && tried_length <= RC_ROPE_LEAF));
        rc_dec_word(r);
        rc_dec_word(other);
      }
  end_drained(t);
}

static void test_errors(void** state) {
  (void)state;
  rc_word r = RC_NIL;
  size_t n;
  assert_true(rc_rope_from(NULL, 0) == RC_NIL && rc_rope_length(r) == 0);
  assert_true(rc_rope_get(r, 0) == -1 && rc_rope_chunk(r, 0, &n) == NULL);
  assert_true(rc_rope_append(&r, RC_NIL) && rc_rope_flatten(&r) && r == RC_NIL);
  assert_true(rc_rope_compare(r, r) == 0 && rc_rope_slice(r, 0, 1) == RC_NIL);
  errno = 0;
  assert_true(!rc_rope_set(&r, 0, 'x') && errno == EINVAL);
  r = rc_from(rc_bytes(0, 0));
  assert_true(rc_rope_compare(r, RC_NIL) == 0 && rc_rope_hash(r) == rc_rope_hash(RC_NIL));
  assert_true(rc_rope_flatten(&r) && r == RC_NIL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),        cmocka_unit_test(test_doubling),
      cmocka_unit_test(test_small_appends), cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_charges),       cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests_name("data: ropes", tests, NULL, NULL);
}
