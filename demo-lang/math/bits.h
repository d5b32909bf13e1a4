/* bits.h: floats as integers, for functions whose every bit is decided by integers alone.
**
** A function is first computed to some 62 bits, with a bound of the error. Where that bound leaves open to which
** float the value is nearest, real.h decides with 240 bits (Ziv's strategy). So every result is the float that
** is nearest to the true value, which no processor, compiler or C library can see otherwise. */
#ifndef SLUICE_MATH_BITS_H
#define SLUICE_MATH_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

#define INFINITE ((uint64_t)0x7ff << 52) /* bits of infinity: below are numbers, above are NaNs */
#define TOP ((uint64_t)1 << 63)

static inline uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
static inline double of_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
static inline uint64_t magnitude(double x) { return bits_of(x) & ~TOP; }
static inline bool is_negative(double x) { return bits_of(x) >> 63; }
static inline double with_sign(double x, bool negative) {
  return of_bits(bits_of(x) | (negative ? TOP : 0));
}

/* What an operation without a result gives; which sign, is what the C library of x86 does. */
static inline double not_a_number(bool negative) {
  return with_sign(of_bits(INFINITE | (uint64_t)1 << 51), negative);
}
static inline bool is_nan(double x) { return magnitude(x) > INFINITE; }
static inline double quieted(double nan) { return of_bits(bits_of(nan) | (uint64_t)1 << 51); }

static inline uint64_t mul_high(uint64_t a, uint64_t b) { return (uint64_t)((u128)a * b >> 64); }
static inline u128 pair(uint64_t high, uint64_t low) { return (u128)high << 64 | low; }

/* The upper half of a * b. */
static inline u128 mul_high128(u128 a, u128 b) {
  uint64_t a1 = (uint64_t)(a >> 64), b1 = (uint64_t)(b >> 64);
  u128 ab = (u128)a1 * (uint64_t)b, ba = (u128)(uint64_t)a * b1;
  u128 middle = (ab & UINT64_MAX) + (uint64_t)ba;
  return (u128)a1 * b1 + (ab >> 64) + (ba >> 64) + (uint64_t)(middle >> 64);
}

static inline int leading_zeros128(u128 n) {
  uint64_t high = (uint64_t)(n >> 64);
  return high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)n);
}

/* The first 64 bits of a / b, which both have their top bit set; one of *exponent, if a >= b. */
static inline uint64_t quotient(uint64_t a, uint64_t b, int* exponent) {
  int more = a >= b;
  *exponent += more;
  return (uint64_t)((pair(a, 0) >> more) / b);
}

/* m / 2^64 * 2^exponent; m has its top bit set. */
typedef struct approx {
  uint64_t m;
  int exponent;
  bool negative;
} approx;

/* A float that is finite and not 0. */
static inline approx parts(double x) {
  uint64_t bits = magnitude(x), m = bits << 11;
  int exponent = (int)(bits >> 52);
  if (exponent == 0) {
    int zeros = __builtin_clzll(m);
    return (approx){m << zeros, -1021 - zeros, is_negative(x)};
  }
  return (approx){m | TOP, exponent - 1022, is_negative(x)};
}

/* Rounds what is known to `error` units of m's last bit; or false, if it may be either of two floats, or is
** no normal one. */
static inline bool settle(approx a, unsigned error, double* result) {
  enum { HALF = 1 << 10, UNITS = 2 * HALF - 1 };
  if ((unsigned)(a.m & UNITS) - (HALF - error) <= 2 * error) return false;
  if (a.exponent < -1020 || a.exponent > 1023) return false;
  uint64_t bits = ((uint64_t)(a.exponent + 1021) << 52) + (a.m >> 11) + (a.m >> 10 & 1);
  *result = of_bits(bits | (a.negative ? TOP : 0));
  return true;
}

#endif
