/* real.h: numbers of 256 bits, for the few values that lie so near to the middle between two floats that 64 bits do
** not tell to which side.
**
** Results of arithmetic are within 2^-252 of the true ones, relatively (a difference: of its operands), those
** of the functions within 2^-236, and powers within 2^-224. The nearest that a function of one float comes to a
** middle, but for what is exact there, is some 2^-118 (V. Lefevre and J.-M. Muller, "Worst cases for correct
** rounding of the elementary functions in double precision", 2001), and for the 2^118 powers that are neither 0
** nor infinite 2^-172 is to be expected. */
#ifndef SLUICE_MATH_REAL_H
#define SLUICE_MATH_REAL_H

#include "demo-lang/math/bits.h"

enum { LIMBS = 4 };

/* 0.limb[3]limb[2]limb[1]limb[0] * 2^exponent: limb[3] has its top bit set, or all of them are 0. */
typedef struct real {
  uint64_t limb[LIMBS];
  int exponent;
  bool negative;
} real;

extern const real REAL_ONE, REAL_PI, REAL_LN2, REAL_LN10;

real real_of(double x);
real real_of_integer(uint64_t n);
real real_of_approx(approx a);
double real_round(const real* a);  /* to the nearest; halfway to the even one */
double real_rounded_power(real a); /* the same; what is halfway, or a float, comes with an error */

static inline bool real_is_zero(const real* a) { return a->limb[LIMBS - 1] == 0; }
static inline real real_scaled(real a, int exponent) {
  a.exponent += exponent;
  return a;
}
static inline real real_negated(real a) {
  a.negative = !a.negative;
  return a;
}
static inline real real_absolute(real a) {
  a.negative = false;
  return a;
}

real real_add(const real* a, const real* b);
real real_sub(const real* a, const real* b);
real real_mul(const real* a, const real* b);
real real_div(const real* a, const real* b); /* b is not 0 */
real real_sqrt(const real* a);               /* a is not negative */

/* The work of what follows, in steps of up to 50 ns: whoever calls a function of floats in the midst of an
** instruction of Lua cannot be stopped there, and pays later. */
extern _Thread_local uint64_t real_work;

real real_exp(const real* x);                       /* |x| < 2000 */
real real_log(const real* x, approx near);          /* x > 0; near to the result, or 0 */
void real_sin_cos(const real* x, real* s, real* c); /* |x| < 1.6 */
real real_angle(const real* y, const real* x,
                approx near); /* that of the point x, y: atan2; y > 0, x >= 0 */

#endif
