/* ratio.c: quotients of integers of any size as doubles, rounded once, half to even. */
#include "rc/data/big.h"

enum {
  DIGITS = 53,
  LOWEST = -1074,
  LEAST_NORMAL = -1022,
  HIGHEST = 1023
}; /* exponents of 2 in a double */

static double double_of(uint64_t pattern) {
  double d;
  memcpy(&d, &pattern, sizeof d);
  return d;
}

/* (top + r) * 2^exponent, where top's highest bit is set. r is 0, or, with `more`, above 0 and too
** small to change the highest 62 bits of the sum. */
static double nearest(limb top, bool more, int64_t exponent, bool negative) {
  const uint64_t sign = (uint64_t)negative << 63, infinite = (uint64_t)0x7ff << (DIGITS - 1);
  int64_t first = exponent + LIMB_BITS - 1; /* its highest bit stands for 2^first */
  if (first > HIGHEST) return double_of(sign | infinite);
  int64_t last = first < LEAST_NORMAL ? LOWEST : first - DIGITS + 1;
  int64_t dropped = last - exponent; /* of top's bits: 11 or more */
  if (dropped > LIMB_BITS) return double_of(sign);
  limb half = (limb)1 << (dropped - 1), rest = top & (2 * half - 1);
  uint64_t digits = dropped < LIMB_BITS ? top >> dropped : 0;
  digits += rest > half || (rest == half && (more || digits % 2 == 1));
  /* The highest digit, where there are all, and a carry beyond it, are added to the exponent. */
  return double_of(sign | (((uint64_t)(last - LOWEST) << (DIGITS - 1)) + digits));
}

/* The highest 64 bits of a number that is not 0, the first of them set. */
static limb top_of(const number_t* x) {
  limb top = x->limbs[x->n - 1], below = x->n > 1 ? x->limbs[x->n - 2] : 0;
  unsigned bits = (unsigned)__builtin_clzll(top);
  return bits == 0 ? top : top << bits | below >> (LIMB_BITS - bits);
}

/* The quotient of *a and *b, both owned, as one of 63 bits or 62: at least nine more than it keeps. */
static bool quotient_of(rc_word* a, rc_word* b, int exponent, double* quotient) {
  enum { BITS = 62 };
  int64_t up = BITS + (int64_t)rc_big_bits(*b) - (int64_t)rc_big_bits(*a);
  rc_word rest;
  if (!rc_big_shift(up > 0 ? a : b, up > 0 ? up : -up) || !rc_big_divide(a, *b, &rest))
    return false;
  number_t x;
  number_read(&x, *a);
  int64_t below = (int64_t)rc_big_bits(*a) - LIMB_BITS;
  *quotient = nearest(top_of(&x), rest != RC_NIL, below - up + exponent, x.negative);
  rc_dec_word(rest);
  return true;
}

bool rc_big_quotient(rc_word a, rc_word b, int exponent, double* quotient) {
  if (b == RC_NIL) return fail(EDOM);
  if (a == RC_NIL) return *quotient = 0, true;
  rc_word u = word_copy(a), v = word_copy(b);
  bool done = quotient_of(&u, &v, exponent, quotient);
  rc_dec_word(u);
  rc_dec_word(v);
  return done;
}
