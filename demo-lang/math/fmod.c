/* fmod.c: the remainder, exact as everybody's, but for exponents that lie far apart in steps of 64 bits: at most
** 33, where the C library takes one for each bit. */
#include "demo-lang/math/bits.h"
#include "demo-lang/math/real.h"

/* r * 2^shift mod d for r < d, d having its top bit set. A step divides two words by one with the reciprocal of d
** (N. Moller and T. Granlund, "Improved division by invariant integers", 2011). */
static uint64_t shifted_mod(uint64_t r, unsigned shift, uint64_t d) {
  real_work += shift / 64;
  uint64_t reciprocal = (uint64_t)(pair(~d, UINT64_MAX) / d);
  while (shift > 0) {
    unsigned step = shift < 64 ? shift : 64;
    u128 n = (u128)r << step;
    shift -= step;
    u128 q = (u128)reciprocal * (uint64_t)(n >> 64) + n;
    uint64_t times = (uint64_t)(q >> 64) + 1;
    r = (uint64_t)n - times * d;
    if (r > (uint64_t)q) r += d;
    if (r >= d) r -= d;
  }
  return r;
}

/* x is m * 2^e, in units of the smallest float. */
static void split(uint64_t x, uint64_t* m, unsigned* e) {
  *e = (unsigned)(x >> 52);
  *m = x & (((uint64_t)1 << 52) - 1);
  if (*e != 0) {
    *m |= (uint64_t)1 << 52;
    --*e;
  }
}

static double joined(uint64_t m, unsigned e) {
  if (m == 0) return 0;
  unsigned zeros = (unsigned)__builtin_clzll(m) - 11;
  if (zeros > e) return of_bits(m << e);
  return of_bits((m << zeros) + ((uint64_t)(e - zeros) << 52));
}

double __wrap_fmod(double x, double y);
double __wrap_fmod(double x, double y) {
  uint64_t a = magnitude(x), b = magnitude(y);
  if (a > INFINITE) return quieted(x);
  if (b > INFINITE) return quieted(y);
  if (a == INFINITE || b == 0) return not_a_number(true);
  if (a < b) return x;
  enum { FREE = 11 }; /* bits above a float's 53 */
  uint64_t m, d;
  unsigned e, unit;
  split(a, &m, &e);
  split(b, &d, &unit);
  unsigned shift = e - unit;
  if (shift <= FREE) return with_sign(joined((m << shift) % d, unit), is_negative(x));
  int zeros = __builtin_clzll(d);
  uint64_t r = shifted_mod(m % d << zeros, shift, d << zeros) >> zeros;
  return with_sign(joined(r, unit), is_negative(x));
}
