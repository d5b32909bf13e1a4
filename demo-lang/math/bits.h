/* bits.h: floats as integers, for functions whose every bit is decided by integers alone.
**
** A function is first computed to 65 bits or more, with a bound of the error. Where that bound leaves open to which
** float the value is nearest, real.h decides with 256 bits (Ziv's strategy). So every result is the float that
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

/* The upper half of a * b, or up to two less. */
static inline u128 mul_high128(u128 a, u128 b) {
  uint64_t a1 = (uint64_t)(a >> 64), b1 = (uint64_t)(b >> 64);
  return (u128)a1 * b1 + mul_high(a1, (uint64_t)b) + mul_high((uint64_t)a, b1);
}
static inline u128 mul_high64(u128 a, uint64_t b) {
  return (u128)(uint64_t)(a >> 64) * b + mul_high((uint64_t)a, b);
}

static inline int leading_zeros128(u128 n) {
  uint64_t high = (uint64_t)(n >> 64);
  return high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)n);
}

/* m / 2^128 * 2^exponent; m has its top bit set. */
typedef struct approx {
  u128 m;
  int exponent;
  bool negative;
} approx;

/* The number m / 2^128 * 2^exponent, m not being 0. */
static inline approx normal(u128 m, int exponent, bool negative) {
  int zeros = leading_zeros128(m);
  return (approx){m << zeros, exponent - zeros, negative};
}

/* a / b: relative error below 2^-76. */
static inline approx ratio(approx a, approx b) {
  uint64_t high = (uint64_t)(b.m >> 64), low = (uint64_t)b.m;
  u128 over = a.m >> 1;
  uint64_t q = (uint64_t)(over / high), rest = (uint64_t)(over - (u128)q * high);
  /* The next 15 bits: (rest - q * low / 2^64) / high. */
  int64_t left = (int64_t)(rest >> 17) - (int64_t)(mul_high(q, low) >> 17);
  int64_t more = left * (1 << 15) / (int64_t)(high >> 17);
  return normal(pair(q, 0) + (u128)((i128)more * ((i128)1 << 49)), a.exponent - b.exponent + 1,
                a.negative != b.negative);
}

/* A float that is finite and not 0. */
static inline approx parts(double x) {
  uint64_t bits = magnitude(x), m = bits << 11;
  int exponent = (int)(bits >> 52);
  if (__builtin_expect(exponent == 0, false)) return normal(pair(m, 0), -1021, is_negative(x));
  return (approx){pair(m | TOP, 0), exponent - 1022, is_negative(x)};
}

/* For tests: no first step is sure, so that the second one decides everything. */
#ifndef MATH_UNSURE
#define MATH_UNSURE 0
#endif

/* Rounds what has a relative error below 2^-known; or false, if it may be either of two floats, or is near to
** the ends of their range. */
static inline bool settle(approx a, int known, double* result) {
  enum { REST = 11 }; /* a.m is 53 bits, 64 that decide, and these */
  uint64_t rest = (uint64_t)(a.m >> REST), error = (uint64_t)1 << (128 - REST - known);
  if (MATH_UNSURE || rest - (TOP - error) <= 2 * error || (unsigned)(a.exponent + 1020) > 2043)
    return false;
  uint64_t bits = ((uint64_t)(a.exponent + 1021) << 52) + (uint64_t)(a.m >> 75) + (rest >> 63);
  *result = of_bits(bits | (a.negative ? TOP : 0));
  return true;
}

#endif
