/* data_big_laws_test.c: big integers against the laws that hold of them, at the ends of limbs; where their
** memory is, and what they do without. */
#include "data_tools.h"

/* ---- Where a limb ends ----------------------------------------------------------------------- */

__extension__ typedef __int128 wide;

static wide wide_of(rc_word w) {
  rc_word format = rc_big_format(w, 16);
  const char* text = rc_data(rc_to(format));
  wide value = 0;
  for (size_t i = *text == '-'; i < rc_length(rc_to(format)); i++)
    value = value * 16 + (text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
  if (*text == '-') value = -value;
  check_form(w);
  rc_dec_word(format);
  rc_dec_word(w);
  return value;
}

/* Numbers near the ends of boxed integers and of int64_t, each with each. */
static void test_ends(void** state) {
  (void)state;
  enum { N = 31 };
  int64_t ends[N];
  rt_task* t = begin(NULL);
  for (int k = 0; k < 5; k++) {
    ends[6 * k] = INT64_MAX - k;
    ends[6 * k + 1] = INT64_MIN + k;
    ends[6 * k + 2] = ((int64_t)1 << 62) - 2 + k;
    ends[6 * k + 3] = -((int64_t)1 << 62) - 2 + k;
    ends[6 * k + 4] = k - 2;
    ends[6 * k + 5] = ((int64_t)1 << 32) - 2 + k;
  }
  ends[N - 1] = -((int64_t)1 << 31);
  for (int i = 0; i < N; i++)
    for (int k = 0; k < N; k++) {
      wide x = ends[i], y = ends[k];
      rc_word b = rc_big_from(ends[k]), a[5], rest = RC_NIL;
      for (int n = 0; n < 5; n++) a[n] = rc_big_from(ends[i]);
      assert_int_equal(rc_big_compare(a[0], b), (x > y) - (x < y));
      assert_true(rc_big_add(&a[0], b) && rc_big_subtract(&a[1], b) && rc_big_multiply(&a[2], b));
      assert_true(rc_big_negate(&a[3]));
      assert_int_equal(rc_big_divide(&a[4], b, &rest), y != 0);
      assert_true(wide_of(a[0]) == x + y && wide_of(a[1]) == x - y && wide_of(a[2]) == x * y);
      assert_true(wide_of(a[3]) == -x && wide_of(a[4]) == (y == 0 ? x : x / y));
      assert_true(wide_of(rest) == (y == 0 ? 0 : x % y));
      rc_dec_word(b);
    }
  for (int i = 0; i < N; i++) {
    int64_t value = 0;
    rc_word w = rc_big_from(ends[i]);
    assert_true(rc_big_to_int64(w, &value) && value == ends[i]);
    assert_true(wide_of(w) == ends[i]);
  }
  rc_word over = rc_big_from(INT64_MAX), under = rc_big_from(INT64_MIN);
  assert_true(rc_big_add(&over, rc_int(1)) && rc_big_subtract(&under, rc_int(1)));
  int64_t none;
  assert_false(rc_big_to_int64(over, &none) || rc_big_to_int64(under, &none));
  assert_true(rc_big_bits(over) == 64 && rc_big_bits(RC_NIL) == 0 && rc_big_bits(rc_int(-4)) == 3);
  rc_dec_word(over);
  rc_dec_word(under);
  end_drained(t);
}

/* ---- Laws, of larger numbers ----------------------------------------------------------------- */

static rc_word random_big(size_t limbs) {
  static char text[16 * 3000];
  size_t n = 16 * limbs;
  for (size_t i = 0; i < n; i++) text[i] = "0123456789abcdef"[rnd(16)];
  for (size_t row = rnd(3); row > 0 && n > 0; row--) {
    size_t from = rnd(n), length = rnd(n - from);
    memset(text + from, rnd(2) ? '0' : 'f', length);
  }
  rc_word w = rc_big_parse(text, n > 0 ? n : 1, 16);
  require(w != 0, "parse");
  return w;
}

static rc_word product(rc_word a, rc_word b) {
  rc_word p = copy_of_word(a);
  require(rc_big_multiply(&p, b), "multiply");
  return p;
}

/* Gives up both. */
static void expect_equal(rc_word a, rc_word b) {
  require(rc_big_compare(a, b) == 0 && rc_big_hash(a) == rc_big_hash(b), "a law");
  rc_dec_word(a);
  rc_dec_word(b);
}

static void check_division(rc_word a, rc_word b) {
  rc_word q = copy_of_word(a), r;
  require(rc_big_divide(&q, b, &r), "divide");
  require(rc_big_sign(r) >= 0 && rc_big_compare(r, b) < 0, "remainder");
  require(rc_big_multiply(&q, b) && rc_big_add(&q, r), "back");
  require(rc_big_compare(q, a) == 0, "quotient");
  rc_dec_word(q);
  rc_dec_word(r);
}

static void test_laws(void** state) {
  (void)state;
  static const size_t limbs[] = {39, 40, 41, 79, 80, 81, 97, 160, 200, 555, 1000, 2999};
  enum { SIZES = sizeof limbs / sizeof limbs[0] };
  rt_task* t = begin(NULL);
  for (int i = 0; i < STEPS / 50; i++) {
    rc_word a = random_big(limbs[rnd(SIZES)]), b = random_big(limbs[rnd(SIZES)]);
    rc_word c = random_big(1 + rnd(60)), sum = copy_of_word(a), difference = copy_of_word(a);
    require(rc_big_add(&sum, b) && rc_big_subtract(&difference, b), "sum");
    rc_word left = product(sum, difference), right = product(a, a), square = product(b, b);
    require(rc_big_subtract(&right, square), "subtract");
    expect_equal(left, right); /* (a + b)(a - b) = aa - bb */
    rc_dec_word(square);

    rc_word ac = product(a, c), bc = product(c, b);
    require(rc_big_add(&ac, bc), "add");
    expect_equal(product(sum, c), ac);
    rc_dec_word(bc);
    rc_dec_word(sum);
    rc_dec_word(difference);

    if (rc_big_sign(c) != 0) {
      check_division(a, c);
      rc_word whole = product(a, c), r;
      require(rc_big_divide(&whole, a, &r) && r == RC_NIL, "an exact quotient");
      expect_equal(whole, copy_of_word(c));
    }
    rc_dec_word(a);
    rc_dec_word(b);
    rc_dec_word(c);
  }
  end_drained(t);
}

static rc_word big_of_limbs(size_t choice, size_t n) {
  static const char* const ends[] = {"0000000000000000", "0000000000000001", "7fffffffffffffff",
                                     "8000000000000000", "fffffffffffffffe", "ffffffffffffffff"};
  char text[16 * 4 + 1] = "";
  for (size_t i = 0; i < n; i++, choice /= 6) strcat(text, ends[choice % 6]);
  return rc_big_parse(text, strlen(text), 16);
}

/* All numbers out of limbs by which quotients are estimated too large, by one or two. */
static void test_estimates(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (size_t i = 0; i < 6 * 6 * 6 * 6; i++) {
    rc_word a = big_of_limbs(i, 4);
    for (size_t k = 1; k < 6 * 6; k++) {
      rc_word b = big_of_limbs(k, 2);
      if (b != RC_NIL) check_division(a, b);
      rc_dec_word(b);
    }
    rc_dec_word(a);
  }
  end_drained(t);
}

/* ---- In place -------------------------------------------------------------------------------- */

/* A sum that grows takes new memory once a limb at most. */
static void test_in_place(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_word a = random_big(300), b = random_big(299), was = 0;
  uint64_t alive = objects_alive();
  int moves = 0;
  for (int i = 0; i < 1000; i++) {
    was = a;
    assert_true(i % 2 ? rc_big_add(&a, b) : rc_big_subtract(&a, rc_int(i)));
    moves += a != was;
  }
  assert_true(moves <= 2 && objects_alive() == alive);
  rc_word seen = copy_of_word(a);
  assert_true(rc_big_add(&a, b) && a != seen && objects_alive() == alive + 1);
  rc_dec_word(seen);
  rc_dec_word(a);
  rc_dec_word(b);
  end_drained(t);
}

static uint64_t ticks_of_a_program(bool shared) {
  rt_task* t = begin(NULL);
  rc_word a = RC_NIL, b = rc_int(3), seen = RC_NIL;
  seed = 42;
  for (int i = 0; i < 3000; i++) {
    if (shared) rc_dec_word(seen), seen = copy_of_word(a);
    size_t what = rnd(rc_big_bits(a) > 20000 ? 7 : 6);
    if (what < 2) require(rc_big_add(&a, b), "add");
    if (what == 2) require(rc_big_subtract(&a, b), "subtract");
    if (what == 3) require(rc_big_multiply(&a, b), "multiply");
    if (what == 4) require(rc_big_shift(&a, (int64_t)rnd(400) - 150), "shift");
    if (what == 5) require(rc_big_add(&b, a) && rc_big_shift(&b, -(int64_t)rnd(3000)), "shift");
    if (what == 6) require(rc_big_divide(&a, rc_int(12345), NULL), "divide");
    if (what == 6) require(rc_big_shift(&a, -15000), "shift");
    if (i % 9 == 0) require(rc_big_xor(&a, b) && rc_big_not(&a) && rc_big_or(&a, b), "bits");
    if (rc_big_bits(b) > 9000) require(rc_big_shift(&b, -8000), "shift");
  }
  uint64_t ticks = rt_ticks(t);
  rc_dec_word(a);
  rc_dec_word(b);
  rc_dec_word(seen);
  end_drained(t);
  return ticks;
}

static void test_charges(void** state) {
  (void)state;
  assert_int_equal(ticks_of_a_program(false), ticks_of_a_program(true));
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static rc_word tried, operand; /* the number, in an object of its own, and another one */

static void check_tried(rc_word w, void* arg) {
  (void)arg;
  require(rc_big_compare(w, tried) == 0, "changed");
}
static bool try_add(rc_word* w, void* arg) { return (void)arg, rc_big_add(w, operand); }
static bool try_subtract(rc_word* w, void* arg) { return (void)arg, rc_big_subtract(w, operand); }
static bool try_multiply(rc_word* w, void* arg) { return (void)arg, rc_big_multiply(w, operand); }
static bool try_square(rc_word* w, void* arg) { return (void)arg, rc_big_multiply(w, *w); }
static bool try_divide(rc_word* w, void* arg) {
  (void)arg;
  rc_word rest = RC_NIL;
  bool done = rc_big_divide(w, operand, &rest);
  require(done || rest == RC_NIL, "a remainder");
  rc_dec_word(rest);
  return done;
}
static bool try_negate(rc_word* w, void* arg) { return (void)arg, rc_big_negate(w); }
static bool try_left(rc_word* w, void* arg) { return (void)arg, rc_big_shift(w, 1000); }
static bool try_right(rc_word* w, void* arg) { return (void)arg, rc_big_shift(w, -3); }
static bool try_and(rc_word* w, void* arg) { return (void)arg, rc_big_and(w, operand); }
static bool try_or(rc_word* w, void* arg) { return (void)arg, rc_big_or(w, operand); }
static bool try_xor(rc_word* w, void* arg) { return (void)arg, rc_big_xor(w, operand); }
static bool try_not(rc_word* w, void* arg) { return (void)arg, rc_big_not(w); }
static bool try_quotient(rc_word* w, void* arg) {
  double quotient;
  (void)arg;
  return rc_big_quotient(*w, operand, 0, &quotient);
}
static bool try_format(rc_word* w, void* arg) {
  (void)arg;
  rc_word text = rc_big_format(*w, 10);
  if (text == 0) return false;
  rc_word same = rc_big_parse(rc_data(rc_to(text)), rc_length(rc_to(text)), 10);
  require(same != 0 || errno == ENOMEM, "parse");
  rc_dec_word(text);
  if (same == 0) return false;
  rc_dec_word(*w);
  *w = same;
  return true;
}

static void test_refusals(void** state) {
  (void)state;
  static bool (*const updates[])(rc_word*, void*) = {
      try_add,   try_subtract, try_multiply, try_square, try_divide, try_negate, try_left,
      try_right, try_format,   try_and,      try_or,     try_xor,    try_not,    try_quotient};
  static const size_t limbs[] = {1, 2, 10, 90};
  rt_task* t = begin_small();
  for (size_t u = 0; u < sizeof updates / sizeof updates[0]; u++)
    for (size_t i = 0; i < 16; i++) {
      int refused;
      rc_word w = random_big(limbs[i / 4]);
      operand = random_big(limbs[i % 4]);
      require(rc_big_shift(&w, 64) && rc_big_add(&w, rc_int(77)), "a number of two limbs");
      require(rc_big_shift(&operand, 2) && rc_big_add(&operand, rc_int(1)), "not 0");
      tried = copy_of_word(w);
      rc_dec_word(update_starving(w, updates[u], check_tried, NULL, &refused));
      if (updates[u] != try_divide || rc_big_compare(w, operand) >= 0)
        require(refused > 0, "refused");
      rc_dec_word(tried);
      rc_dec_word(w);
      rc_dec_word(operand);
    }
  end_drained(t);
}

/* What was an integer becomes an object, if there is memory for that. */
static void test_refused_small(void** state) {
  (void)state;
  static const struct {
    int64_t number, operand;
    bool (*update)(rc_word*, void*);
  } cases[] = {{((int64_t)1 << 62) - 1, 1, try_add},
               {-((int64_t)1 << 62), 1, try_subtract},
               {-((int64_t)1 << 62), 0, try_negate},
               {-((int64_t)1 << 62), -1, try_divide},
               {(int64_t)1 << 40, (int64_t)1 << 22, try_multiply},
               {(int64_t)1 << 40, (int64_t)1 << 40, try_multiply},
               {1, 0, try_left}};
  rt_task* t = begin_small();
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int refused;
    tried = rc_int(cases[i].number);
    operand = rc_int(cases[i].operand);
    rc_word w = update_starving(tried, cases[i].update, check_tried, NULL, &refused);
    assert_true(refused > 0 && rc_is_object(w));
    rc_dec_word(w);
  }
  end_drained(t);
}

/* A difference that is short, of long numbers, does not keep their memory; without memory for a shorter
** object it does, and is right. */
static void test_shrinking(void** state) {
  (void)state;
  rt_task* t = begin_small();
  rc_word power = rc_int(1);
  assert_true(rc_big_shift(&power, 200));
  for (int starving = 0; starving < 2; starving++) {
    rc_word a = random_big(300), b = copy_of_word(a);
    assert_true(rc_big_add(&a, power));
    size_t room = ROOM - rt_bytes(t) - 16;
    rc_object* ballast = rc_bytes(0, starving ? room : 0);
    assert_true(rc_big_subtract(&a, b));
    assert_true(rc_big_compare(a, power) == 0 && rc_big_hash(a) == rc_big_hash(power));
    assert_true(starving == (rc_length(rc_to(a)) > 300 * 8));
    rc_dec(ballast);
    assert_true(rc_big_add(&a, rc_int(1)) && rc_length(rc_to(a)) < 100);
    rc_dec_word(a);
    rc_dec_word(b);
  }
  rc_dec_word(power);
  end_drained(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ends),          cmocka_unit_test(test_laws),
      cmocka_unit_test(test_estimates),     cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_charges),       cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_refused_small), cmocka_unit_test(test_shrinking),
  };
  return cmocka_run_group_tests_name("data: laws of big integers", tests, NULL, NULL);
}
