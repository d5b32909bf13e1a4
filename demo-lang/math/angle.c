/* angle.c: asin, acos and atan2: all are the angle of a point. */
#include "demo-lang/math/real.h"
#include "demo-lang/math/tables.h"

#include <math.h>

#define PI 0x1.921fb54442d18p+1
#define THREE_QUARTERS_PI 0x1.2d97c7f3321d2p+1

enum { POINT = 125 };
static const u128 FIXED_PI = (u128)0x6487ed5110b4611a << 64 | 0x62633145c06e0e69; /* 2^125 */

/* atan u for 0 < u < 2^-5: u - u * (u^2/3 - u^4/5 + ...). */
static inline u128 small_angle(approx u) {
  enum { SCALE = 74, SHIFT = SCALE - 64, LAST = 11 };
  int down = 2 * -u.exponent - SHIFT;
  uint64_t m = (uint64_t)(u.m >> 64), z = down < 64 ? mul_high(m, m) >> down : 0; /* u^2 * 2^74 */
  uint64_t sum = UINT64_MAX / LAST;
#pragma GCC unroll 4
  for (unsigned n = LAST - 2; n >= 3; n -= 2) sum = UINT64_MAX / n - (mul_high(sum, z) >> SHIFT);
  return u.m - ((u128)m * mul_high(sum, z) >> SHIFT);
}

/* The angle of a point above the x axis and right of the y axis, at most an eighth of a turn: with t = y/x and
** i/64 just below t, atan t = atan(i/64) + atan u, u = (t - i/64) / (1 + t * i/64). The first one is *whole /
** 2^125. */
static inline approx angle_below_diagonal(approx y, approx x, u128* whole) {
  enum { BITS = 6, ROOM = 16 };
  int d = x.exponent - y.exponent;
  uint64_t place =
      d > BITS ? 0 : ((uint64_t)(y.m >> 96) >> d << BITS) / ((uint64_t)(x.m >> 96) + 1);
  *whole = pair(ANGLE_TABLE[place][1], ANGLE_TABLE[place][0]);
  approx u;
  if (place == 0) {
    u = ratio(y, x);
  } else {
    u128 along = x.m >> ROOM, up = y.m >> ROOM;
    u128 over = (up << BITS) - (along * place << d), under = (along << (BITS + d)) + up * place;
    if (over == 0) return (approx){0, 0, false};
    u = ratio(normal(over, 0, false), normal(under, 0, false));
  }
  return (approx){small_angle(u), u.exponent, false};
}

/* Of a point above the x axis, on the left of the y axis if x is negative. The relative error is below 2^-70, if both
** have such of less than 2^-75. */
static approx angle_of(approx y, approx x) {
  bool steep = y.exponent > x.exponent || (y.exponent == x.exponent && y.m > x.m),
       left = x.negative;
  y.negative = x.negative = false;
  u128 whole;
  approx rest = steep ? angle_below_diagonal(x, y, &whole) : angle_below_diagonal(y, x, &whole);
  if (whole == 0 && !steep && !left) return normal(rest.m, rest.exponent, false);
  int down = 128 - POINT - rest.exponent;
  u128 angle = whole + (down < 128 ? rest.m >> down : 0);
  if (steep) angle = FIXED_PI / 2 - angle;
  if (left) angle = FIXED_PI - angle;
  return normal(angle, 128 - POINT, false);
}

/* The same for reals that are not negative, with the signs of the point. A tiny angle is less than y/x, which might
** be in the middle between two floats that are not normal. */
static double exact_angle(const real* y, const real* x, bool left, bool below, approx near) {
  enum { TINY = -120, LESS = -240 };
  near.negative = false;
  real angle = real_angle(y, x, near);
  if (near.exponent < TINY) {
    real less = real_scaled(angle, LESS);
    angle = real_sub(&angle, &less);
  }
  if (left) angle = real_sub(&REAL_PI, &angle);
  angle.negative = below;
  return real_round(&angle);
}

/* ---- The library's --------------------------------------------------------------------------- */

/* One of them, at least, is 0, infinite or NaN. */
static double special_angle(double y, double x) {
  double angle;
  if (is_nan(x)) return quieted(x);
  if (is_nan(y)) return quieted(y);
  bool left = is_negative(x), far = magnitude(x) == INFINITE;
  if (magnitude(y) == INFINITE)
    angle = !far ? PI / 2 : left ? THREE_QUARTERS_PI : PI / 4;
  else if (y == 0 || far)
    angle = left ? PI : 0;
  else
    angle = PI / 2;
  return with_sign(angle, is_negative(y));
}

static bool is_plain(double x) { return magnitude(x) - 1 < INFINITE - 1; } /* a number, and not 0 */

double __wrap_atan2(double y, double x);
double __wrap_atan2(double y, double x) {
  if (!is_plain(x) || !is_plain(y)) return special_angle(y, x);
  approx a = parts(y), b = parts(x), angle = angle_of(a, b);
  bool left = b.negative, below = a.negative;
  angle.negative = below;
  double result;
  if (settle(angle, 70, &result)) return result;
  a.negative = b.negative = false;
  real ry = real_of_approx(a), rx = real_of_approx(b);
  return exact_angle(&ry, &rx, left, below, angle_of(a, b));
}

/* sqrt(1 - x^2) for |x| < 1: relative error below 2^-76. */
static approx other_side(approx x) {
  enum { NONE = -38 };
  if (x.exponent < NONE) return (approx){(u128)TOP << 64, 1, false};
  uint64_t part = (uint64_t)(x.m >> 64) >> -x.exponent; /* x * 2^64 */
  u128 square = 0 - (u128)part * part;
  int half = leading_zeros128(square) / 2;
  square <<= 2 * half;
  double near = sqrt((double)(uint64_t)(square >> 64)) * 0x1p32;
  uint64_t root = near < 0x1p64 ? (uint64_t)near : UINT64_MAX;
  /* The rest is a correction of some ten bits before the point, and behind it. */
  double more = (double)(i128)(square - (u128)root * root) / (2 * (double)root);
  return normal(pair(root, 0) + (u128)(i128)(more * 0x1p32) * ((u128)1 << 32), -half, false);
}

static real exact_other_side(approx x) {
  real r = real_of_approx(x), square = real_mul(&r, &r), rest = real_sub(&REAL_ONE, &square);
  return real_sqrt(&rest);
}

enum { TINY_SINE = 1023 - 27 }; /* exponent below which x is nearest to its asin */

double __wrap_asin(double x);
double __wrap_asin(double x) {
  if (magnitude(x) >> 52 < TINY_SINE) return x;
  if (is_nan(x)) return quieted(x);
  if (magnitude(x) >= bits_of(1))
    return magnitude(x) == bits_of(1) ? with_sign(PI / 2, x < 0) : not_a_number(false);
  approx y = parts(x), angle = angle_of(y, other_side(y));
  bool below = y.negative;
  double result;
  angle.negative = below;
  if (settle(angle, 70, &result)) return result;
  y.negative = false;
  real ry = real_of_approx(y), rx = exact_other_side(y);
  return exact_angle(&ry, &rx, false, below, angle);
}

double __wrap_acos(double x);
double __wrap_acos(double x) {
  if (is_nan(x)) return quieted(x);
  if (magnitude(x) >= bits_of(1))
    return magnitude(x) > bits_of(1) ? not_a_number(false) : x < 0 ? PI : 0;
  if (x == 0) return PI / 2;
  approx y = parts(x), other = other_side(y), angle = angle_of(other, y);
  double result;
  if (settle(angle, 70, &result)) return result;
  bool left = y.negative;
  y.negative = false;
  real rx = real_of_approx(y), ry = exact_other_side(y);
  return exact_angle(&ry, &rx, left, false, angle_of(other, y));
}
