/* power.c: logarithms, exp and pow: all are made of logarithms to the base 2 and powers of 2. */
#include "demo-lang/math/real.h"
#include "demo-lang/math/tables.h"

#include <math.h>

static const u128 LOG2_E = (u128)0x5c551d94ae0bf85d << 64 | 0xdf43ff68348e9f44;  /* 2^126 */
static const u128 LN_2 = (u128)0xb17217f7d1cf79ab << 64 | 0xc9e3b39803f2f6af;    /* 2^128 */
static const u128 LOG10_2 = (u128)0x9a209a84fbcff798 << 64 | 0x8f8959ac0b7c9178; /* 2^129 */

static inline u128 entry(const uint64_t e[2]) { return pair(e[1], e[0]); }

static bool is_plain(double x) { return magnitude(x) - 1 < INFINITE - 1; } /* a number, and not 0 */

/* ---- Logarithms ------------------------------------------------------------------------------ */

/* (1/3 - r/4 + r^2/5 - ...) * 2^63 for t = r * 2^70, |r| < 2^-7: off by less than two units. */
static inline int64_t tail(int64_t t) {
  enum { LAST = 11 };
  int64_t sum = INT64_MAX / LAST;
#pragma GCC unroll 8
  for (int n = LAST - 1; n >= 3; n--) sum = INT64_MAX / n - (int64_t)((i128)t * sum >> 70);
  return sum;
}

/* log2 x: relative error below 2^-75; m is 0 if x is 1. With x = m * 2^k, m from 0.707 to 1.42, c near to 1/m from a
** table, and r = m * c - 1, which is exact, it is k - log2 c + log2(1 + r), and
** log(1 + r) = r * (1 - r * (1/2 - r * (1/3 - ...))). */
static inline approx log2_of(approx x) {
  enum { POINT = 116, R_POINT = 52 + LOG_UNITS };
  uint64_t m = (uint64_t)(x.m >> 64);
  unsigned place = (unsigned)(m >> 56) & (LOG_PLACES - 1);
  int k = x.exponent - 1 + (place >= LOG_HALVED);
  i128 sum = (i128)((u128)(i128)k << POINT) + (i128)entry(LOG_TABLE[place]);
  int64_t r = (int64_t)((m >> 11) * LOG_RECIPROCAL[place]) - ((int64_t)1 << R_POINT);
  if (r == 0) {
    if (sum == 0) return (approx){0, 0, false};
    return normal((u128)(sum < 0 ? -sum : sum), 128 - POINT, sum < 0);
  }
  int64_t t = r * (1 << (70 - R_POINT)),
          u = (int64_t)((i128)t * tail(t) >> 63);                   /* r/3 - r^2/4 + ... * 2^70 */
  i128 s = (i128)pair((uint64_t)r, 0) - ((i128)t * u >> 14);        /* r/2 - ur * 2^126 */
  u128 product = mul_high128((u128)(((i128)1 << 126) - s), LOG2_E); /* log2(1 + r) / r * 2^124 */
  bool negative = r < 0;
  uint64_t size = (uint64_t)(negative ? -r : r);
  int zeros = __builtin_clzll(size);
  u128 part = mul_high64(product, size << zeros); /* 2^(121 + zeros) */
  if (sum == 0) return normal(part, 7 - zeros, negative);
  i128 shifted = (i128)(part >> (121 - POINT + zeros));
  sum += negative ? -shifted : shifted;
  return normal((u128)(sum < 0 ? -sum : sum), 128 - POINT, sum < 0);
}

/* a * factor / 2^128 * 2^exponent; the factor has its top bit set. */
static inline approx times(approx a, u128 factor, int exponent) {
  u128 m = mul_high128(a.m, factor);
  bool zero = m >> 127 == 0;
  return (approx){zero ? m << 1 : m, a.exponent + exponent - zero, a.negative};
}

/* Of what is no positive float, and of 1. */
static double special_log(double x, bool sign_of_nan) {
  if (x == 1) return 0;
  if (x == 0) return of_bits(INFINITE | TOP);
  if (is_nan(x)) return quieted(x);
  return x < 0 ? not_a_number(sign_of_nan) : x;
}

static inline bool has_log(double x) { return bits_of(x) - 1 < INFINITE - 1 && x != 1; }

double __wrap_log(double x);
double __wrap_log(double x) {
  if (!has_log(x)) return special_log(x, true);
  approx a = times(log2_of(parts(x)), LN_2, 0);
  double result;
  if (settle(a, 74, &result)) return result;
  real r = real_of(x);
  r = real_log(&r, a);
  return real_round(&r);
}

/* To the base whose logarithm is given. */
static double exact_log(double x, approx near, const real* base) {
  real r = real_of(x);
  r = real_log(&r, times(near, LN_2, 0));
  r = real_div(&r, base);
  return real_round(&r);
}

double __wrap_log2(double x);
double __wrap_log2(double x) {
  if (!has_log(x)) return special_log(x, true);
  approx a = log2_of(parts(x));
  double result;
  return settle(a, 75, &result) ? result : exact_log(x, a, &REAL_LN2);
}

double __wrap_log10(double x);
double __wrap_log10(double x) {
  if (!has_log(x)) return special_log(x, false);
  approx a = log2_of(parts(x));
  double result;
  return settle(times(a, LOG10_2, -1), 74, &result) ? result : exact_log(x, a, &REAL_LN10);
}

/* ---- Powers ---------------------------------------------------------------------------------- */

enum { LARGE = 13 }; /* an exponent of 2^12 and more: the result is infinite, or 0 */

/* 2^(p / 2^128 * 2^exponent), exponent <= LARGE: relative error below 2^-68, for p alone. The exponent is k, a place
** in the table, and a / 64: 2^k * 2^(place / 64) * (1 + a * (ln 2 / 64 + a * ...)). */
static inline approx power_of_2(u128 p, int exponent, bool negative) {
  enum { PLACE_BITS = 6, FRACTION = 64 + PLACE_BITS };
  /* (ln 2)^n / n! * 2^64 */
  static const uint64_t SERIES[] = {0x162c0223a5c8,     0xffe5fe2c4586,    0xa184897c363c4,
                                    0x5761ff9e299cc4,   0x276556df749cee5, 0xe35846b82505fc6,
                                    0x3d7f7bff058b1d51, 0xb17217f7d1cf79ac};
  int shift = 128 - FRACTION - exponent;
  i128 x = shift < 128 ? (i128)(p >> shift) : 0;
  if (negative) x = -x;
  uint64_t a = (uint64_t)x, sum = SERIES[0];
#pragma GCC unroll 8
  for (unsigned i = 1; i < sizeof SERIES / sizeof *SERIES; i++)
    sum = SERIES[i] + (mul_high(sum, a) >> PLACE_BITS);
  u128 base = entry(EXP_TABLE[(uint64_t)(x >> 64) & (EXP_PLACES - 1)]);
  u128 more = (u128)(uint64_t)(base >> 64) * mul_high(sum, a) >> PLACE_BITS;
  return (approx){base + more, (int)(x >> FRACTION) + 1, false};
}

/* Beyond all floats, whatever the error. */
static bool is_beyond(int exponent, double* result) {
  enum { MOST = 1026, LEAST = -1080 };
  if (exponent > MOST)
    *result = of_bits(INFINITE);
  else if (exponent < LEAST)
    *result = 0;
  else
    return false;
  return true;
}

double __wrap_exp(double x);
double __wrap_exp(double x) {
  if (!is_plain(x)) return x == 0 ? 1 : is_nan(x) ? quieted(x) : x > 0 ? x : 0;
  approx a = parts(x);
  if (a.exponent + 2 > LARGE) return x > 0 ? of_bits(INFINITE) : 0;
  approx power = power_of_2(mul_high64(LOG2_E, (uint64_t)(a.m >> 64)), a.exponent + 2, a.negative);
  double result;
  if (settle(power, 68, &result) || is_beyond(power.exponent, &result)) return result;
  real r = real_of(x);
  r = real_exp(&r);
  return real_round(&r);
}

typedef enum parity { FRACTIONAL, ODD, EVEN } parity;

static parity parity_of(double y) {
  if (!is_plain(y)) return EVEN;
  approx a = parts(y);
  if (a.exponent > 64) return EVEN;
  if (a.exponent < 1) return FRACTIONAL;
  int unit = 128 - a.exponent; /* the bit that is worth 1 */
  if ((a.m & (((u128)1 << unit) - 1)) != 0) return FRACTIONAL;
  return (a.m >> unit & 1) != 0 ? ODD : EVEN;
}

/* Of infinities, zeros and NaNs; but 1^y and x^0 are 1 for all. */
static double special_power(double x, double y) {
  if (is_nan(x)) return quieted(x);
  if (is_nan(y)) return quieted(y);
  if (magnitude(y) == INFINITE && magnitude(x) == bits_of(1)) return 1;
  bool up = is_negative(y) != (magnitude(x) > bits_of(1));
  return with_sign(up ? of_bits(INFINITE) : 0, is_negative(x) && parity_of(y) == ODD);
}

/* For y = 2, 3, 4 and so on, where x is short: all powers that lie in the middle between floats, but for those of
** squares, cubes and so on. */
static inline bool short_power(approx x, double y, double* result) {
  enum { MOST = 64, BITS = 128 };
  if (!(y >= 2 && y <= MOST) || y != (int)y) return false;
  uint64_t m = (uint64_t)(x.m >> 64);
  int n = (int)y, digits = 64 - __builtin_ctzll(m);
  if (digits * n > BITS) return false;
  m >>= 64 - digits;
  u128 power = m;
  for (int i = 1; i < n; i++) power *= m;
  real r = real_of_approx(normal(power, BITS + n * (x.exponent - digits), false));
  *result = real_round(&r);
  return true;
}

static double exact_power(approx x, double y, approx log2) {
  real r = real_of_approx(x), factor = real_of(y);
  r = real_log(&r, times(log2, LN_2, 0));
  r = real_mul(&r, &factor);
  r = real_exp(&r);
  return real_rounded_power(r);
}

/* x^y for numbers other than 0; x > 0. */
static inline double power_of(approx x, double y) {
  enum { MUCH = 7, KNOWN = 67, KNOWN_OF_MUCH = 65 };
  double result;
  if (short_power(x, y, &result)) return result;
  approx l = log2_of(x), factor = parts(y);
  if (l.m == 0) return 1;
  u128 product = mul_high64(l.m, (uint64_t)(factor.m >> 64));
  int exponent = l.exponent + factor.exponent;
  bool negative = l.negative != factor.negative;
  if (exponent > LARGE) return negative ? 0 : of_bits(INFINITE);
  approx power = power_of_2(product, exponent, negative);
  if (settle(power, exponent > MUCH ? KNOWN_OF_MUCH : KNOWN, &result)) return result;
  return is_beyond(power.exponent, &result) ? result : exact_power(x, y, l);
}

double __wrap_pow(double x, double y);
double __wrap_pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (!is_plain(x) || !is_plain(y)) return special_power(x, y);
  if (y == 0.5 && x > 0) return sqrt(x);
  approx a = parts(x);
  parity p = a.negative ? parity_of(y) : EVEN;
  if (p == FRACTIONAL) return not_a_number(true);
  a.negative = false;
  return with_sign(power_of(a, y), p == ODD);
}
