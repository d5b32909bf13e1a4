/* data_big_bits_test.c: big integers as bits, and their quotients as doubles. */
#include <float.h>
#include <math.h>

#include "data_tools.h"

__extension__ typedef __int128 wide;

static rc_word big_of_wide(wide x) {
  rc_word low = rc_big_from((int64_t)(x & INT64_MAX)), w = rc_big_from((int64_t)(x >> 63));
  require(rc_big_shift(&w, 63) && rc_big_add(&w, low), "a number");
  rc_dec_word(low);
  return w;
}

/* Gives up w. */
static void expect_wide(rc_word w, wide x) {
  rc_word expected = big_of_wide(x);
  check_form(w);
  require(rc_big_compare(w, expected) == 0, "bits");
  rc_dec_word(expected);
  rc_dec_word(w);
}

/* Numbers near the powers of two where boxed integers, limbs and pairs of limbs end; each with each. */
static void test_ends(void** state) {
  (void)state;
  static const int powers[] = {0, 1, 61, 62, 63, 64, 65, 120};
  enum { N = sizeof powers / sizeof powers[0] * 2 * 5 };
  wide ends[N];
  rt_task* t = begin(NULL);
  for (int i = 0; i < N; i++) {
    wide power = (wide)1 << powers[i / 10];
    ends[i] = (i / 5 % 2 ? -power : power) + i % 5 - 2;
  }
  for (int i = 0; i < N; i++)
    for (int k = 0; k < N; k++) {
      rc_word a[4], b = big_of_wide(ends[k]);
      for (int n = 0; n < 4; n++) a[n] = big_of_wide(ends[i]);
      rc_word both = k == i ? a[0] : b; /* the same object, too */
      assert_true(rc_big_and(&a[0], both) && rc_big_or(&a[1], b) && rc_big_xor(&a[2], b));
      assert_true(rc_big_not(&a[3]));
      expect_wide(a[0], ends[i] & ends[k]);
      expect_wide(a[1], ends[i] | ends[k]);
      expect_wide(a[2], ends[i] ^ ends[k]);
      expect_wide(a[3], ~ends[i]);
      rc_dec_word(b);
    }
  end_drained(t);
}

static rc_word random_signed(void) {
  char text[400] = "-";
  size_t n = 1 + rnd(rnd(2) ? 40 : sizeof text - 2);
  for (size_t i = 1; i <= n; i++) text[i] = "0123456789abcdef"[rnd(16)];
  size_t row = rnd(n); /* equal bits: what is carried goes far */
  memset(text + 1 + row, rnd(2) ? '0' : 'f', rnd(n - row + 1));
  size_t sign = rnd(2);
  rc_word w = rc_big_parse(text + sign, n + 1 - sign, 16);
  require(w != 0, "a number");
  return w;
}

static int bit_of(rc_word w, size_t i) {
  rc_word shifted = copy_of_word(w);
  require(rc_big_shift(&shifted, -(int64_t)i) && rc_big_and(&shifted, rc_int(1)), "a bit");
  return (int)rc_to_int(shifted);
}

/* Some bits, those around the ends, and what holds of all of them together. */
static void test_long(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < STEPS / 5; i++) {
    rc_word a = random_signed(), b = random_signed(), both = copy_of_word(a), any = copy_of_word(a);
    rc_word differ = copy_of_word(a), sum = copy_of_word(a), none = copy_of_word(a);
    require(rc_big_and(&both, b) && rc_big_or(&any, b) && rc_big_xor(&differ, b), "bits");
    require(rc_big_add(&sum, b) && rc_big_not(&none) && rc_big_add(&none, a), "a sum");
    assert_true(none == rc_int(-1));
    uint64_t ends[] = {rc_big_bits(a), rc_big_bits(b), rnd(1700), rnd(64)};
    for (size_t k = 0; k < 8; k++) {
      size_t at = (size_t)ends[k / 2] + k % 2;
      int x = bit_of(a, at), y = bit_of(b, at);
      assert_true(bit_of(both, at) == (x & y) && bit_of(any, at) == (x | y));
      assert_true(bit_of(differ, at) == (x ^ y));
    }
    check_form(both), check_form(any), check_form(differ);
    require(rc_big_add(&any, both) && rc_big_compare(any, sum) == 0, "or and and");
    require(rc_big_shift(&both, 1) && rc_big_add(&differ, both), "a sum");
    assert_int_equal(rc_big_compare(differ, sum), 0);
    rc_word all[] = {a, b, both, any, differ, sum};
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) rc_dec_word(all[k]);
  }
  end_drained(t);
}

/* ---- Quotients ------------------------------------------------------------------------------- */

/* (2^power * factor + more) / by * 2^exponent. */
static double quotient(int64_t factor, int power, int64_t more, rc_word by, int exponent) {
  double q = NAN;
  rc_word a = rc_big_from(factor), b = rc_big_from(more);
  require(rc_big_shift(&a, power) && rc_big_add(&a, b), "a number");
  assert_true(rc_big_quotient(a, by, exponent, &q));
  rc_dec_word(a);
  rc_dec_word(b);
  return q;
}

static void test_rounding(void** state) {
  (void)state;
  const double power = 0x1p53;
  rt_task* t = begin(NULL);
  assert_true(quotient(1, 53, 1, rc_int(1), 0) == power);
  assert_true(quotient(1, 53, 3, rc_int(1), 0) == power + 4);
  assert_true(quotient(1, 53, 3, rc_int(-1), 0) == -power - 4);
  assert_true(quotient(((int64_t)1 << 53) + 1, 500, 0, rc_int(1), -500) == power);
  assert_true(quotient(((int64_t)1 << 53) + 1, 500, 1, rc_int(1), -500) == power + 2);
  assert_true(quotient(((int64_t)1 << 53) + 1, 500, -1, rc_int(1), -500) == power);
  assert_true(quotient(((int64_t)1 << 54) - 1, 970, 0, rc_int(1), 0) == HUGE_VAL);
  assert_true(quotient(((int64_t)1 << 54) - 1, 970, -1, rc_int(1), 0) == DBL_MAX);
  assert_true(quotient(-1, 3000, 0, rc_int(7), 0) == -HUGE_VAL);
  assert_true(quotient(1, 0, 0, rc_int(1), -1074) == DBL_TRUE_MIN);
  assert_true(quotient(3, 0, 0, rc_int(2), -1075) == DBL_TRUE_MIN);
  assert_true(quotient(1, 0, 0, rc_int(2), -1074) == 0);
  assert_true(quotient(((int64_t)1 << 53) - 1, 0, 0, rc_int(1), -1075) == DBL_MIN);
  assert_true(quotient(1, 0, 0, rc_int(1), -5000) == 0);
  assert_true(signbit(quotient(-1, 0, 0, rc_int(1), -5000)) &&
              quotient(0, 0, 0, rc_int(-1), 0) == 0);
  double q;
  assert_true(!rc_big_quotient(rc_int(1), RC_NIL, 0, &q) && errno == EDOM);
  for (int i = 0; i < STEPS; i++) { /* what a division of doubles rounds once, too */
    int64_t x = (int64_t)(rnd((size_t)1 << 53) >> rnd(50)), y = (int64_t)rnd((size_t)1 << 53) + 1;
    if (i % 2) x = -x;
    assert_true(quotient(x, 0, 0, rc_int(y), 0) == (double)x / (double)y);
  }
  end_drained(t);
}

/* By what is long, too: a * b / b is a. */
static void test_long_quotients(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < STEPS / 5; i++) {
    rc_word b = random_signed(), a = copy_of_word(b);
    int64_t factor = (int64_t)rnd((size_t)1 << 53) - ((int64_t)1 << 52);
    int up = (int)rnd(900);
    double q = NAN;
    require(rc_big_multiply(&a, rc_int(factor)) && rc_big_shift(&a, up), "a product");
    bool done = rc_big_quotient(a, b, -up, &q);
    assert_true(b == RC_NIL ? !done : done && q == (double)factor);
    rc_dec_word(a);
    rc_dec_word(b);
  }
  end_drained(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ends),
      cmocka_unit_test(test_long),
      cmocka_unit_test(test_rounding),
      cmocka_unit_test(test_long_quotients),
  };
  return cmocka_run_group_tests_name("data: bits of big integers", tests, NULL, NULL);
}
