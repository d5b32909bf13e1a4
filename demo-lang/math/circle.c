/* circle.c: sine, cosine and tangent. */
#include "demo-lang/math/real.h"
#include "demo-lang/math/tables.h"

/* x is `quarters` quarters of a turn, mod 4, and the angle size / 2^128 * 2^exponent, at most an eighth of a turn. */
typedef struct reduced {
  u128 size;
  int exponent;
  unsigned quarters;
  bool negative;
} reduced;

enum { FRACTION = 126, WHOLE = 2 }; /* bits behind the point, and before it */

/* Words of 2/pi from where a bit is worth 2 quarters in the product with x: what is before adds multiples of 4. */
static void window(uint64_t* words, int count, int exponent) {
  unsigned bit = (unsigned)(TWO_OVER_PI_ZEROS - WHOLE + exponent - 64), from = bit / 64,
           shift = bit % 64;
  for (int i = 0; i < count; i++) {
    uint64_t high = TWO_OVER_PI[from + (unsigned)i], low = TWO_OVER_PI[from + (unsigned)i + 1];
    words[i] = shift == 0 ? high : high << shift | low >> (64 - shift);
  }
}

/* |x| >= 1/2 in quarters of a turn, mod 4, * 2^126: off by two units (M. Payne and R. Hanek, "Radian reduction
** for trigonometric functions", 1983). */
static u128 in_quarters(approx x) {
  uint64_t w[3];
  window(w, 3, x.exponent);
  u128 low = (u128)x.m * w[2], middle = (u128)x.m * w[1] + (uint64_t)(low >> 64);
  uint64_t high = x.m * w[0] + (uint64_t)(middle >> 64);
  return pair(high, (uint64_t)middle);
}

/* False if so near to a multiple of a quarter that too few bits are left. */
static bool reduce(approx x, reduced* a) {
  enum { MOST = 40 };
  static const u128 HALF_PI = ((u128)0xc90fdaa22168c234 << 64) | 0xc4c6628b80dc1cd1; /* 2^127 */
  if (x.exponent < 0) {
    *a = (reduced){pair(x.m, 0), x.exponent, 0, false};
    return true;
  }
  u128 turned = in_quarters(x);
  a->quarters = (unsigned)((turned + ((u128)1 << (FRACTION - 1))) >> FRACTION) & 3;
  i128 rest = (i128)(turned << WHOLE);
  a->negative = rest < 0;
  u128 size = (u128)(a->negative ? -rest : rest);
  if (size >> (128 - MOST) == 0) return false;
  int zeros = leading_zeros128(size);
  a->size = mul_high128(size << zeros, HALF_PI);
  int zero = (int)(~a->size >> 127);
  a->size <<= zero;
  a->exponent = 1 - zeros - zero;
  return true;
}

/* ---- Series ---------------------------------------------------------------------------------- */

#define PART(n) ((uint64_t)(((u128)1 << 64) / (n)))
#define F3 ((u128)6)
#define F7 (F3 * 4 * 5 * 6 * 7)
#define F11 (F7 * 8 * 9 * 10 * 11)
#define F15 (F11 * 12 * 13 * 14 * 15)
#define F19 (F15 * 16 * 17 * 18 * 19)
enum { TERMS = 9 };
static const uint64_t SINE[TERMS] = {PART(F19), PART(F15 * 16 * 17), PART(F15), PART(F11 * 12 * 13),
                                     PART(F11), PART(F7 * 72),       PART(F7),  PART(F3 * 20),
                                     PART(F3)};
static const uint64_t COSINE[TERMS] = {PART(F19 / 19), PART(F15 * 16), PART(F15 / 15),
                                       PART(F11 * 12), PART(F11 / 11), PART(F7 * 8),
                                       PART(F7 / 7),   PART(F3 * 4),   PART(2)};

static inline uint64_t sum_of(const uint64_t* series, uint64_t z) {
  uint64_t sum = series[0];
#pragma GCC unroll 8
  for (int i = 1; i < TERMS; i++) sum = series[i] - mul_high(sum, z);
  return sum;
}

/* a^2 * 2^64. */
static inline uint64_t square(const reduced* a) {
  uint64_t high = (uint64_t)(a->size >> 64);
  return a->exponent <= -32 ? 0 : mul_high(high, high) >> (-2 * a->exponent);
}

/* a - a * (a^2/3! - ...): off by less than four units. */
static approx sine(const reduced* a) {
  uint64_t z = square(a), less = mul_high(sum_of(SINE, z), z);
  u128 s = a->size - (u128)(uint64_t)(a->size >> 64) * less;
  int zero = (int)(~s >> 127);
  return (approx){(uint64_t)(s >> (64 - zero)), a->exponent - zero, false};
}

/* 1 - (a^2/2! - ...): off by less than four units. */
static approx cosine(const reduced* a) {
  uint64_t z = square(a), less = mul_high(sum_of(COSINE, z), z);
  if (less == 0) return (approx){TOP, 1, false};
  return (approx){0 - less, 0, false};
}

/* ---- With 256 bits --------------------------------------------------------------------------- */

/* The angle of |x| without whole quarters, with its sign. */
static real exact_angle(approx x, unsigned* quarters) {
  enum { WORDS = 7 };
  x.negative = false;
  real angle = real_of_approx(x);
  if (x.exponent < 0) {
    *quarters = 0;
    return angle;
  }
  uint64_t w[WORDS], product[WORDS], carry = 0;
  window(w, WORDS, x.exponent);
  for (int i = WORDS - 1; i >= 0; i--) {
    u128 p = (u128)x.m * w[i] + carry;
    product[i] = (uint64_t)p;
    carry = (uint64_t)(p >> 64);
  }
  enum { WHOLE_AT = 64 - WHOLE };
  uint64_t nearest = (product[0] + ((uint64_t)1 << (WHOLE_AT - 1))) >> WHOLE_AT;
  *quarters = (unsigned)nearest & 3;
  int64_t first = (int64_t)(product[0] - (nearest << WHOLE_AT));
  angle = real_of((double)(first >> 32) * 0x1p32);
  real rest = real_of((double)(first & UINT32_MAX));
  angle = real_scaled(real_add(&angle, &rest), -WHOLE_AT);
  for (int i = 1; i < WORDS; i++) {
    real part = real_scaled(real_of_integer(product[i]), -WHOLE_AT - 64 * i);
    angle = real_add(&angle, &part);
  }
  angle = real_mul(&angle, &REAL_PI);
  return real_scaled(angle, -1);
}

/* Sine and cosine of |x|. */
static void exact_sin_cos(approx x, real* s, real* c) {
  unsigned quarters;
  real angle = exact_angle(x, &quarters);
  real_sin_cos(&angle, s, c);
  if ((quarters & 1) != 0) {
    real t = *s;
    *s = *c;
    *c = real_negated(t);
  }
  if ((quarters & 2) != 0) {
    *s = real_negated(*s);
    *c = real_negated(*c);
  }
}

/* ---- The library's --------------------------------------------------------------------------- */

enum { TINY = 1023 - 27 }; /* below 2^-27 sine and tangent are nearest to x, and the cosine to 1 */

static bool is_tiny(double x) { return magnitude(x) >> 52 < TINY; }

/* Of NaN and infinity. */
static double of_none(double x) { return is_nan(x) ? quieted(x) : not_a_number(true); }

double __wrap_sin(double x);
double __wrap_sin(double x) {
  if (is_tiny(x)) return x;
  if (magnitude(x) >= INFINITE) return of_none(x);
  approx p = parts(x);
  reduced a;
  double result;
  if (reduce(p, &a)) {
    bool swapped = a.quarters & 1;
    approx s = swapped ? cosine(&a) : sine(&a);
    s.negative = p.negative ^ (a.quarters >> 1) ^ (!swapped && a.negative);
    if (settle(s, 4, &result)) return result;
  }
  real s, c;
  exact_sin_cos(p, &s, &c);
  s.negative ^= p.negative;
  return real_round(&s);
}

double __wrap_cos(double x);
double __wrap_cos(double x) {
  if (is_tiny(x)) return 1;
  if (magnitude(x) >= INFINITE) return of_none(x);
  approx p = parts(x);
  reduced a;
  double result;
  if (reduce(p, &a)) {
    bool swapped = a.quarters & 1;
    approx c = swapped ? sine(&a) : cosine(&a);
    c.negative = (a.quarters >> 1) ^ (swapped && !a.negative);
    if (settle(c, 4, &result)) return result;
  }
  real s, c;
  exact_sin_cos(p, &s, &c);
  return real_round(&c);
}

double __wrap_tan(double x);
double __wrap_tan(double x) {
  if (is_tiny(x)) return x;
  if (magnitude(x) >= INFINITE) return of_none(x);
  approx p = parts(x);
  reduced a;
  double result;
  if (reduce(p, &a)) {
    bool swapped = a.quarters & 1;
    approx over = sine(&a), under = cosine(&a);
    if (swapped) {
      approx s = over;
      over = under;
      under = s;
    }
    int exponent = over.exponent - under.exponent;
    uint64_t m = quotient(over.m, under.m, &exponent);
    if (settle((approx){m, exponent, p.negative ^ swapped ^ a.negative}, 12, &result))
      return result;
  }
  real s, c;
  exact_sin_cos(p, &s, &c);
  real t = real_div(&s, &c);
  t.negative ^= p.negative;
  return real_round(&t);
}
