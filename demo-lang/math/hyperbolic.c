/* hyperbolic.c: sinh, cosh and tanh, which Lua has for what was written for older versions only; so they have no faster
** first step. */
#include "demo-lang/math/real.h"

enum {
  TINY = 1023 - 27
}; /* exponent below which x is nearest to its sinh and tanh, and 1 to its cosh */

static bool is_tiny(double x) { return magnitude(x) >> 52 < TINY; }

static const double SINH_MOST = 711, TANH_MOST = 20; /* infinite beyond; 1 beyond */

/* e^|x| and e^-|x| */
static void both(double x, real* up, real* down) {
  real r = real_of(of_bits(magnitude(x)));
  *up = real_exp(&r);
  *down = real_div(&REAL_ONE, up);
}

double __wrap_sinh(double x);
double __wrap_sinh(double x) {
  if (is_tiny(x)) return x;
  if (is_nan(x)) return quieted(x);
  if (magnitude(x) > bits_of(SINH_MOST)) return with_sign(of_bits(INFINITE), x < 0);
  real up, down;
  both(x, &up, &down);
  real r = real_scaled(real_sub(&up, &down), -1);
  return with_sign(real_round(&r), x < 0);
}

double __wrap_cosh(double x);
double __wrap_cosh(double x) {
  if (is_tiny(x)) return 1;
  if (is_nan(x)) return quieted(x);
  if (magnitude(x) > bits_of(SINH_MOST)) return of_bits(INFINITE);
  real up, down;
  both(x, &up, &down);
  real r = real_scaled(real_add(&up, &down), -1);
  return real_round(&r);
}

double __wrap_tanh(double x);
double __wrap_tanh(double x) {
  if (is_tiny(x)) return x;
  if (is_nan(x)) return quieted(x);
  if (magnitude(x) > bits_of(TANH_MOST)) return with_sign(1, x < 0);
  real up, down;
  both(x, &up, &down);
  real over = real_sub(&up, &down), under = real_add(&up, &down), r = real_div(&over, &under);
  return with_sign(real_round(&r), x < 0);
}
