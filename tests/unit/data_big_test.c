/* data_big_test.c: big integers against schoolbook arithmetic with limbs of 32 bits. */
#include "data_tools.h"

/* ---- The model ------------------------------------------------------------------------------- */

enum { DIGITS = 1200 };
typedef struct number {
  bool negative;
  size_t n; /* without zeros on top */
  uint32_t d[DIGITS];
} number;

static void trim(number* x) {
  while (x->n > 0 && x->d[x->n - 1] == 0) x->n--;
  if (x->n == 0) x->negative = false;
}

static uint32_t digit(const number* x, size_t i) { return i < x->n ? x->d[i] : 0; }

static int model_compare_magnitudes(const number* x, const number* y) {
  for (size_t i = x->n > y->n ? x->n : y->n; i-- > 0;)
    if (digit(x, i) != digit(y, i)) return digit(x, i) < digit(y, i) ? -1 : 1;
  return 0;
}

static int model_compare(const number* x, const number* y) {
  if (x->negative != y->negative) return x->negative ? -1 : 1;
  return x->negative ? model_compare_magnitudes(y, x) : model_compare_magnitudes(x, y);
}

static void model_add(number* x, const number* y) {
  number r = {.n = (x->n > y->n ? x->n : y->n) + 1};
  bool same = x->negative == y->negative, swap = model_compare_magnitudes(x, y) < 0;
  const number *a = swap ? y : x, *b = swap ? x : y;
  int64_t carry = 0;
  for (size_t i = 0; i < r.n; i++) {
    carry += (int64_t)digit(a, i) + (same ? 1 : -1) * (int64_t)digit(b, i);
    r.d[i] = (uint32_t)carry;
    carry >>= 32;
  }
  r.negative = a->negative;
  trim(&r);
  *x = r;
}

static void model_multiply(number* x, const number* y) {
  number r = {.negative = x->negative != y->negative, .n = x->n + y->n};
  for (size_t i = 0; i < x->n; i++) {
    uint64_t carry = 0;
    for (size_t k = 0; k < y->n; k++) {
      carry += (uint64_t)x->d[i] * y->d[k] + r.d[i + k];
      r.d[i + k] = (uint32_t)carry;
      carry >>= 32;
    }
    r.d[i + y->n] = (uint32_t)carry;
  }
  trim(&r);
  *x = r;
}

static void model_double(number* x, uint32_t bit) {
  x->d[x->n++] = 0;
  for (size_t i = x->n; i-- > 1;) x->d[i] = x->d[i] << 1 | x->d[i - 1] >> 31;
  x->d[0] = x->d[0] << 1 | bit;
  trim(x);
}

/* A bit at a time; the quotient in *x, which was not negative, and the remainder in *r. */
static void model_divide(number* x, const number* y, number* r) {
  number q = {.n = x->n}, minus = *y;
  minus.negative = true;
  *r = (number){0};
  for (size_t i = 32 * x->n; i-- > 0;) {
    model_double(r, x->d[i / 32] >> i % 32 & 1);
    if (model_compare_magnitudes(r, y) < 0) continue;
    model_add(r, &minus);
    q.d[i / 32] |= 1u << i % 32;
  }
  trim(&q);
  *x = q;
}

/* ---- Between the two: hexadecimal ------------------------------------------------------------ */

static size_t hex_of(const number* x, char* text) {
  size_t n = x->n, at = 0;
  if (x->negative) text[at++] = '-';
  at += (size_t)sprintf(text + at, "%x", n > 0 ? x->d[n - 1] : 0);
  for (; n > 1; n--) at += (size_t)sprintf(text + at, "%08x", x->d[n - 2]);
  return at;
}

static rc_word big_of(const number* x) {
  char text[8 * DIGITS + 16];
  rc_word w = rc_big_parse(text, hex_of(x, text), 16);
  require(w != 0, "parse");
  return w;
}

/* Is w, which is given up, that number? */
static void expect(rc_word w, const number* x) {
  char text[8 * DIGITS + 16];
  require(w != 0, "a number");
  check_form(w);
  rc_word format = rc_big_format(w, 16);
  size_t n = hex_of(x, text);
  require(rc_length(rc_to(format)) == n && memcmp(rc_data(rc_to(format)), text, n) == 0,
          "%.*s is not %.*s", (int)rc_length(rc_to(format)), rc_data(rc_to(format)), (int)n, text);
  require(rc_big_sign(w) == (x->n == 0 ? 0 : x->negative ? -1 : 1), "sign");
  rc_dec_word(format);
  rc_dec_word(w);
}

/* Up to n digits; bits often come in rows, where carries run and quotients are estimated badly. */
static void random_number(number* x, size_t n) {
  *x = (number){.negative = rnd(2) == 0, .n = rnd(n + 1)};
  size_t kind = rnd(4);
  for (size_t i = 0; i < x->n; i++) {
    uint32_t all = rnd(2) ? UINT32_MAX : 0;
    x->d[i] = kind == 0 || rnd(8) == 0 ? (uint32_t)rnd((size_t)1 << 32) : all;
    if (kind == 1 && rnd(2)) x->d[i] = all << rnd(32);
  }
  trim(x);
}

static size_t some_digits(void) {
  static const size_t most[] = {1, 2, 3, 4, 5, 8, 20, 60, 200};
  return most[rnd(sizeof most / sizeof most[0])];
}

/* ---- Each operation on random numbers -------------------------------------------------------- */

/* Of operands that somebody else sees, or not; those seen stay as they were. */
typedef struct pair {
  number x, y;
  rc_word a, b, seen;
} pair;

static void pair_begin(pair* p) {
  random_number(&p->x, some_digits());
  random_number(&p->y, some_digits());
  p->a = big_of(&p->x);
  p->b = big_of(&p->y);
  p->seen = rnd(2) ? copy_of_word(p->a) : RC_NIL;
  if (rnd(2)) leave_waiting(copy_of_word(p->a));
}

static void pair_end(pair* p, const number* was_x, const number* was_y) {
  if (p->seen != RC_NIL) expect(p->seen, was_x);
  expect(p->b, was_y);
}

static void test_sums_and_products(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < STEPS; i++) {
    pair p;
    pair_begin(&p);
    number x = p.x, y = p.y, minus = p.y;
    if (y.n > 0) minus.negative = !y.negative;
    int order = rc_big_compare(p.a, p.b);
    require(order == model_compare(&x, &y), "order");
    require((rc_big_hash(p.a) == rc_big_hash(p.b)) == (order == 0), "hash");
    switch (rnd(4)) {
      case 0:
        model_add(&x, &y);
        require(rc_big_add(&p.a, p.b), "add");
        break;
      case 1:
        model_add(&x, &minus);
        require(rc_big_subtract(&p.a, p.b), "subtract");
        break;
      case 2:
        model_multiply(&x, &y);
        require(rc_big_multiply(&p.a, p.b), "multiply");
        break;
      default:
        if (x.n > 0) x.negative = !x.negative;
        require(rc_big_negate(&p.a), "negate");
    }
    expect(p.a, &x);
    pair_end(&p, &p.x, &y);
  }
  end_drained(t);
}

static void test_quotients(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < STEPS; i++) {
    pair p;
    pair_begin(&p);
    number q = p.x, r = {0};
    rc_word remainder = RC_NIL;
    bool wanted = rnd(4) != 0;
    errno = 0;
    bool done = rc_big_divide(&p.a, p.b, wanted ? &remainder : NULL);
    require(done == (p.y.n > 0) && (done || errno == EDOM), "by zero");
    if (done) {
      model_divide(&q, &p.y, &r);
      q.negative = p.x.negative != p.y.negative && q.n > 0;
      r.negative = p.x.negative && r.n > 0;
    }
    expect(p.a, &q);
    expect(remainder, wanted ? &r : &(number){0});
    pair_end(&p, &p.x, &p.y);
  }
  end_drained(t);
}

/* By powers of 2 in the model; down means toward minus infinity. */
static void test_shifts(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < STEPS / 2; i++) {
    pair p;
    number r, power = {.n = 20}, one = {.negative = true, .n = 1, .d = {1}};
    size_t by = rnd(rnd(2) ? 600 : 70);
    pair_begin(&p);
    number x = p.x;
    power.d[by / 32] = 1u << by % 32;
    trim(&power);
    bool left = rnd(2);
    if (left) {
      model_multiply(&x, &power);
    } else {
      bool negative = x.negative;
      x.negative = false;
      model_divide(&x, &power, &r);
      x.negative = negative && x.n > 0;
      if (negative && r.n > 0) model_add(&x, &one);
    }
    require(rc_big_shift(&p.a, left ? (int64_t)by : -(int64_t)by), "shift");
    expect(p.a, &x);
    pair_end(&p, &p.x, &p.y);
  }
  rc_word w = rc_int(5);
  assert_true(rc_big_shift(&w, INT64_MIN) && w == RC_NIL);
  assert_true(rc_big_shift(&w, INT64_MAX) && w == RC_NIL);
  w = rc_int(-5);
  assert_true(rc_big_shift(&w, INT64_MIN) && w == rc_int(-1));
  errno = 0;
  uint64_t ticks = rt_ticks(t);
  assert_true(!rc_big_shift(&w, INT64_MAX) && errno == EINVAL && w == rc_int(-1));
  assert_true(!rc_big_shift(&w, (int64_t)1 << 36) && rt_ticks(t) == ticks);
  end_drained(t);
}

/* A number that is its own operand. */
static void test_alias(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < STEPS / 4; i++) {
    number x, r;
    random_number(&x, some_digits());
    number sum = x, square = x, one = {.n = 1, .d = {1}};
    rc_word a = big_of(&x), rest = RC_NIL;
    size_t what = rnd(4);
    if (rnd(2)) leave_waiting(copy_of_word(a));
    model_add(&sum, &x);
    model_multiply(&square, &x);
    if (what == 0) require(rc_big_add(&a, a), "add");
    if (what == 1) require(rc_big_subtract(&a, a), "subtract");
    if (what == 2) require(rc_big_multiply(&a, a), "multiply");
    if (what == 3) require(rc_big_divide(&a, a, &rest) == (x.n > 0) && rest == RC_NIL, "divide");
    r = (number){0};
    expect(a, what == 0 ? &sum : what == 2 ? &square : what == 3 && x.n > 0 ? &one : &r);
  }
  end_drained(t);
}

/* ---- Digits ---------------------------------------------------------------------------------- */

/* The digits from the last to the first, by short division. */
static size_t model_format(number* x, unsigned base, char* end) {
  char* at = end;
  bool negative = x->negative;
  do {
    uint64_t rest = 0;
    for (size_t i = x->n; i-- > 0;) {
      rest = rest << 32 | x->d[i];
      x->d[i] = (uint32_t)(rest / base);
      rest %= base;
    }
    trim(x);
    *--at = "0123456789abcdefghijklmnopqrstuvwxyz"[rest];
  } while (x->n > 0);
  if (negative) *--at = '-';
  return (size_t)(end - at);
}

static void test_digits(void** state) {
  (void)state;
  enum { MOST = 34 * 200 };
  static char text[MOST];
  rt_task* t = begin(NULL);
  for (int i = 0; i < STEPS / 4; i++) {
    unsigned base = 2 + (unsigned)i % 35;
    number x, was;
    random_number(&x, some_digits());
    was = x;
    rc_word w = big_of(&x), format = rc_big_format(w, base);
    size_t n = model_format(&x, base, text + MOST);
    char* begins = text + MOST - n;
    require(format != 0 && rc_length(rc_to(format)) == n, "length");
    require(memcmp(rc_data(rc_to(format)), begins, n) == 0, "digits in base %u", base);
    for (size_t k = 0; k < n; k++) /* in either case */
      if (begins[k] >= 'a' && rnd(2)) begins[k] = (char)(begins[k] - 'a' + 'A');
    for (size_t zeros = rnd(100); zeros > 0 && begins[0] != '-' && begins > text; zeros--)
      *--begins = '0', n++;
    expect(rc_big_parse(begins, n, base), &was);
    rc_dec_word(format);
    rc_dec_word(w);
  }
  end_drained(t);
}

static void test_wrong_digits(void** state) {
  (void)state;
  static const struct {
    const char* text;
    unsigned base;
  } wrong[] = {{"", 10},  {"-", 10}, {"+", 10}, {"--1", 10}, {"1 ", 10},  {" 1", 10},
               {"2", 2},  {"a", 10}, {"g", 16}, {"1-", 10},  {"0x1", 16}, {"1.", 10},
               {"1", 1},  {"1", 0},  {"1", 37}, {"1_0", 10}, {"z", 35},   {"@", 36},
               {"[", 36}, {"`", 36}, {"{", 36}, {"/", 36},   {":", 36}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    errno = 0;
    assert_true(rc_big_parse(wrong[i].text, strlen(wrong[i].text), wrong[i].base) == 0);
    assert_int_equal(errno, EINVAL);
  }
  errno = 0;
  assert_true(rc_big_format(RC_NIL, 1) == 0 && errno == EINVAL);
  errno = 0;
  assert_true(rc_big_format(RC_NIL, 37) == 0 && errno == EINVAL);
  assert_true(rc_big_parse("+00012", 6, 10) == rc_int(12));
  assert_true(rc_big_parse("-0", 2, 10) == RC_NIL);
}

static void test_limbs(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  for (int i = 0; i < STEPS; i++) {
    number x;
    uint64_t limbs[DIGITS / 2 + 2] = {0}, small;
    random_number(&x, some_digits());
    for (size_t k = 0; k < x.n; k++) limbs[k / 2] |= (uint64_t)x.d[k] << k % 2 * 32;
    rc_word w = big_of(&x);
    size_t n;
    const uint64_t* seen = rc_big_limbs(w, &n, &small);
    require(n == (x.n + 1) / 2 && memcmp(seen, limbs, n * sizeof *seen) == 0, "limbs");
    rc_dec_word(w);
    expect(rc_big_from_limbs(limbs, n + rnd(3), x.negative), &x);
  }
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
  errno = 0;
  assert_true(rc_big_from_limbs(NULL, (size_t)1 << 29, false) == 0 && errno == EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sums_and_products),
      cmocka_unit_test(test_quotients),
      cmocka_unit_test(test_shifts),
      cmocka_unit_test(test_alias),
      cmocka_unit_test(test_digits),
      cmocka_unit_test(test_wrong_digits),
      cmocka_unit_test(test_limbs),
  };
  return cmocka_run_group_tests_name("data: big integers", tests, NULL, NULL);
}
