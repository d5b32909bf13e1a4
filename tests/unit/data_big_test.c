/* data_big_test.c: big integers against schoolbook arithmetic with limbs of 32 bits, and against the
** laws that hold of them. */
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

/* What fits is an integer; an object's highest limb is not 0 and its room is not much too large. */
static void check_form(rc_word w) {
  bool small = rc_big_bits(w) <= 62 || (rc_big_sign(w) < 0 && rc_big_bits(w) == 63);
  int64_t i;
  if (small && rc_big_bits(w) == 63) small = rc_big_to_int64(w, &i) && i == -((int64_t)1 << 62);
  require(rc_is_int(w) == small, "an integer, boxed or not");
  if (rc_is_int(w)) return;
  require(rc_to(w)->tag == RC_TAG_BIG, "tag");
  require(rc_length(rc_to(w)) <= 8 + 2 * (rc_big_bits(w) / 8 + 8) + 16, "room");
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
}

/* ---- In place -------------------------------------------------------------------------------- */

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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
}

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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
    if (rc_big_bits(b) > 9000) require(rc_big_shift(&b, -8000), "shift");
  }
  uint64_t ticks = rt_ticks(t);
  rc_dec_word(a);
  rc_dec_word(b);
  rc_dec_word(seen);
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
  static bool (*const updates[])(rc_word*, void*) = {try_add,    try_subtract, try_multiply,
                                                     try_square, try_divide,   try_negate,
                                                     try_left,   try_right,    try_format};
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
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
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sums_and_products),
      cmocka_unit_test(test_quotients),
      cmocka_unit_test(test_shifts),
      cmocka_unit_test(test_digits),
      cmocka_unit_test(test_wrong_digits),
      cmocka_unit_test(test_ends),
      cmocka_unit_test(test_laws),
      cmocka_unit_test(test_estimates),
      cmocka_unit_test(test_alias),
      cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_charges),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_refused_small),
      cmocka_unit_test(test_shrinking),
  };
  return cmocka_run_group_tests_name("data: big integers", tests, NULL, NULL);
}
