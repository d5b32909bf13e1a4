/* log.c: logarithms. */
#include "demo-lang/math/power.h"
#include "demo-lang/math/real.h"
#include "demo-lang/math/tables.h"

static const u128 LOG2_E = ((u128)0x5c551d94ae0bf85d << 64) | 0xdf43ff68348e9f44; /* 2^126 */
static const uint64_t LN_2 = 0xb17217f7d1cf79ac, LOG10_2 = 0x9a209a84fbcff799;    /* 2^64, 2^65 */

/* (1/3 - r/4 + r^2/5 - ...) * 2^63, for t = r * 2^70, |r| < 2^-7: off by less than 2^-65. */
static inline int64_t tail(int64_t t) {
  enum { LAST = 11 };
  int64_t sum = INT64_MAX / LAST;
#pragma GCC unroll 8
  for (int n = LAST - 1; n >= 3; n--) sum = INT64_MAX / n - (int64_t)((i128)t * sum >> 70);
  return sum;
}

/* x = m * 2^k with m from 0.707 to 1.42, c near to 1/m from a table, r = m * c - 1, which is exact:
** log2 x = k - log2 c + log2(1 + r), and log(1 + r) = r * (1 - r * (1/2 - r * (1/3 - ...))). */
logarithm log2_of(approx x) {
  enum { DIGITS = 53, POINT = 116, R_POINT = DIGITS - 1 + LOG_UNITS };
  unsigned place = (unsigned)(x.m >> 56) & (LOG_PLACES - 1);
  int k = x.exponent - 1 + (place >= LOG_HALVED);
  int64_t r = (int64_t)((x.m >> 11) * LOG_RECIPROCAL[place]) - ((int64_t)1 << R_POINT);
  i128 sum = (i128)((u128)(i128)k << POINT) + (i128)pair(LOG_TABLE[place][1], LOG_TABLE[place][0]);
  bool negative = r < 0;
  u128 small = 0;
  int zeros = 0;
  if (r != 0) {
    int64_t t = r * 512; /* r * 2^70 */
    int64_t u = (int64_t)((i128)t * tail(t) >> 63);
    i128 s = ((i128)r * ((i128)1 << 64)) - ((i128)t * u >> 14);       /* r * (1/2 - u) * 2^126 */
    u128 product = mul_high128((u128)(((i128)1 << 126) - s), LOG2_E); /* * 2^124 */
    uint64_t size = (uint64_t)(negative ? -r : r);
    zeros = __builtin_clzll(size);
    size <<= zeros;
    small = (u128)(uint64_t)(product >> 64) * size + mul_high((uint64_t)product, size);
  }
  /* Its absolute value is small / 2^124 * 2^(3 - zeros). */
  if (sum == 0) {
    if (small == 0) return (logarithm){0, 0, false};
    int leading = leading_zeros128(small);
    return (logarithm){small << leading, 7 - zeros - leading, negative};
  }
  i128 part = (i128)(small >> (5 + zeros));
  sum += negative ? -part : part;
  u128 size = (u128)(sum < 0 ? -sum : sum);
  int leading = leading_zeros128(size);
  return (logarithm){size << leading, 128 - POINT - leading, sum < 0};
}

static approx times(logarithm l, uint64_t factor, int exponent) {
  uint64_t m = mul_high((uint64_t)(l.m >> 64), factor);
  int zeros = l.m != 0 && m < TOP;
  return (approx){m << zeros, l.exponent + exponent - zeros, l.negative};
}

approx log_of(logarithm l) { return times(l, LN_2, 0); }

/* ---- The library's --------------------------------------------------------------------------- */

/* Of what is no positive float, and of 1. */
static bool is_special(double x, bool sign_of_nan, double* result) {
  if (bits_of(x) - 1 < INFINITE - 1 && x != 1) return false;
  if (x == 1)
    *result = 0;
  else if (x == 0)
    *result = of_bits(INFINITE | TOP);
  else if (is_nan(x))
    *result = quieted(x);
  else
    *result = x < 0 ? not_a_number(sign_of_nan) : x;
  return true;
}

double __wrap_log(double x);
double __wrap_log(double x) {
  double result;
  if (is_special(x, true, &result)) return result;
  approx a = log_of(log2_of(parts(x)));
  if (settle(a, 4, &result)) return result;
  real r = real_of(x);
  r = real_log(&r, a);
  return real_round(&r);
}

/* To the base whose logarithm is given. */
static double to_base(double x, approx near, const real* base) {
  real r = real_of(x);
  r = real_log(&r, near);
  r = real_div(&r, base);
  return real_round(&r);
}

double __wrap_log2(double x);
double __wrap_log2(double x) {
  double result;
  if (is_special(x, true, &result)) return result;
  logarithm l = log2_of(parts(x));
  if (settle((approx){(uint64_t)(l.m >> 64), l.exponent, l.negative}, 2, &result)) return result;
  return to_base(x, log_of(l), &REAL_LN2);
}

double __wrap_log10(double x);
double __wrap_log10(double x) {
  double result;
  if (is_special(x, false, &result)) return result;
  logarithm l = log2_of(parts(x));
  if (settle(times(l, LOG10_2, -1), 4, &result)) return result;
  return to_base(x, log_of(l), &REAL_LN10);
}
