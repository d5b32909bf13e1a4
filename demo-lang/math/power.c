/* power.c: exp and pow. */
#include "demo-lang/math/power.h"
#include "demo-lang/math/real.h"
#include "demo-lang/math/tables.h"

static const u128 LOG2_E = ((u128)0x5c551d94ae0bf85d << 64) | 0xdf43ff68348e9f44; /* 2^126 */

enum { OVER = 13 }; /* more bits than that in the exponent: the result is infinite, or 0 */

/* 2^x = 2^k * 2^(place / 64) * (1 + p(a)), a / 64 being what is left of the exponent. */
approx power_of_2(u128 p, int exponent, bool negative) {
  enum { PLACE_BITS = 6, FRACTION = 64, POINT = 70 };
  static const uint64_t SERIES[] = {
      0x6,          0xffe,          0x286122,         0x5761ff9e,
      0x9d955b7dd2, 0xe35846b82506, 0xf5fdeffc162c75, 0xb17217f7d1cf79ac};
  int shift = FRACTION - exponent;
  i128 x = shift < 128 ? (i128)(p >> shift) : 0;
  if (negative) x = -x;
  int k = (int)(x >> FRACTION);
  uint64_t fraction = (uint64_t)x, a = fraction << PLACE_BITS;
  uint64_t sum = SERIES[0];
  for (unsigned i = 1; i < sizeof SERIES / sizeof *SERIES; i++) sum = SERIES[i] + mul_high(sum, a);
  uint64_t base = EXP_TABLE[fraction >> (64 - PLACE_BITS)], more = mul_high(sum, a);
  return (approx){base + (uint64_t)((u128)base * more >> POINT), k + 1, false};
}

/* Beyond all floats, whatever the error; the result with the sign that is given. */
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
  if (x == 0) return 1;
  if (is_nan(x)) return quieted(x);
  approx a = parts(x);
  if (a.exponent + 2 > OVER) return x > 0 ? of_bits(INFINITE) : 0;
  u128 product = (u128)a.m * (uint64_t)(LOG2_E >> 64) + mul_high(a.m, (uint64_t)LOG2_E);
  approx power = power_of_2(product, a.exponent + 2, a.negative);
  double result;
  if (settle(power, 3, &result) || is_beyond(power.exponent, &result)) return result;
  real r = real_of(x);
  r = real_exp(&r);
  return real_round(&r);
}

/* ---- pow ------------------------------------------------------------------------------------- */

typedef enum parity { FRACTIONAL, ODD, EVEN } parity;

static parity parity_of(double y) {
  if (y == 0) return EVEN;
  approx a = parts(y);
  if (a.exponent > 64) return EVEN;
  if (a.exponent < 1) return FRACTIONAL;
  int unit = 64 - a.exponent; /* the bit that is worth 1 */
  if ((a.m & (((uint64_t)1 << unit) - 1)) != 0) return FRACTIONAL;
  return (a.m >> unit & 1) != 0 ? ODD : EVEN;
}

/* Of infinities, zeros and NaNs; but 1^y and x^0 are 1 for all. */
static double special_power(double x, double y) {
  if (is_nan(x)) return quieted(x);
  if (is_nan(y)) return quieted(y);
  bool large = magnitude(x) > bits_of(1), up = is_negative(y) != large;
  if (magnitude(y) == INFINITE) return magnitude(x) == bits_of(1) ? 1 : up ? of_bits(INFINITE) : 0;
  return with_sign(up ? of_bits(INFINITE) : 0, is_negative(x) && parity_of(y) == ODD);
}

static double exact_power(approx x, double y, approx near) {
  real r = real_of_approx(x), factor = real_of(y);
  r = real_log(&r, near);
  r = real_mul(&r, &factor);
  r = real_exp(&r);
  return real_rounded_power(r);
}

/* |x|^y for numbers other than 0. */
static double power_of(approx x, double y) {
  logarithm l = log2_of(x);
  if (l.m == 0) return 1;
  approx factor = parts(y);
  u128 product = (u128)(uint64_t)(l.m >> 64) * factor.m + mul_high((uint64_t)l.m, factor.m);
  int exponent = l.exponent + factor.exponent;
  bool negative = l.negative != factor.negative;
  if (exponent > OVER) return negative ? 0 : of_bits(INFINITE);
  approx power = power_of_2(product, exponent, negative);
  double result;
  if (settle(power, 4, &result) || is_beyond(power.exponent, &result)) return result;
  return exact_power(x, y, log_of(l));
}

static bool is_plain(double x) { return magnitude(x) - 1 < INFINITE - 1; } /* a number, and not 0 */

double __wrap_pow(double x, double y);
double __wrap_pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (!is_plain(x) || !is_plain(y)) return special_power(x, y);
  approx a = parts(x);
  if (!a.negative) return power_of(a, y);
  parity p = parity_of(y);
  if (p == FRACTIONAL) return not_a_number(true);
  a.negative = false;
  return with_sign(power_of(a, y), p == ODD);
}
