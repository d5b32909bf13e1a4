/* power.h: logarithms to the base 2 and powers of 2, of which logarithms, exp and pow are made. */
#ifndef SLUICE_MATH_POWER_H
#define SLUICE_MATH_POWER_H

#include "demo-lang/math/bits.h"

/* m / 2^128 * 2^exponent, m with its top bit set; or m = 0. */
typedef struct logarithm {
  u128 m;
  int exponent;
  bool negative;
} logarithm;

logarithm log2_of(approx x); /* x > 0; relative error below 2^-73 */

/* log x, near enough for real_log. */
approx log_of(logarithm l);

/* 2^x for |x| = p / 2^128 * 2^exponent, whose exponent is at most 13. Off by less than three units, for what p is
** too small another 2^-64 of the power for each 2^-64 of x. */
approx power_of_2(u128 p, int exponent, bool negative);

#endif
