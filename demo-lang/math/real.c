/* real.c: arithmetic with 256 bits, and what is computed by it. Series, and Newton's iterations from a float that
** is near; no tables. */
#include "demo-lang/math/real.h"

#include <math.h>

const real REAL_ONE = {{0, 0, 0, TOP}, 1, false};
const real REAL_PI = {
    {0x020bbea63b139b22, 0x29024e088a67cc74, 0xc4c6628b80dc1cd1, 0xc90fdaa22168c234}, 2, false};
const real REAL_LN2 = {
    {0x8a0d175b8baafa2c, 0x40f343267298b62d, 0xc9e3b39803f2f6af, 0xb17217f7d1cf79ab}, 0, false};
const real REAL_LN10 = {
    {0x83c61e8201f02d73, 0xe28fecf9da5df90e, 0xea56d62b82d30a28, 0x935d8dddaaa8ac16}, 2, false};

/* ---- To and from floats ---------------------------------------------------------------------- */

real real_of_approx(approx a) {
  if (a.m == 0) return (real){{0}, 0, false};
  return (real){{0, 0, (uint64_t)a.m, (uint64_t)(a.m >> 64)}, a.exponent, a.negative};
}

real real_of(double x) {
  if (x == 0) return (real){{0}, 0, false};
  return real_of_approx(parts(x));
}

real real_of_integer(uint64_t n) {
  if (n == 0) return (real){{0}, 0, false};
  int zeros = __builtin_clzll(n);
  return (real){{0, 0, 0, n << zeros}, 64 - zeros, false};
}

double real_round(const real* a) {
  enum { NORMAL = -1021, DIGITS = 53, MOST = 1024 };
  if (real_is_zero(a)) return 0;
  bool normal = a->exponent >= NORMAL;
  int kept = normal ? DIGITS : DIGITS - (NORMAL - a->exponent);
  if (kept < 0) return with_sign(0, a->negative);
  if (a->exponent > MOST) return with_sign(of_bits(INFINITE), a->negative);
  int half = 63 - kept; /* of the top limb's bits: what is worth half a unit of the result */
  uint64_t m = a->limb[LIMBS - 1], bits = kept == 0 ? 0 : m >> (half + 1);
  uint64_t rest = (m & (((uint64_t)1 << half) - 1)) | a->limb[2] | a->limb[1] | a->limb[0];
  if ((m >> half & 1) != 0 && (rest != 0 || (bits & 1) != 0)) bits++;
  if (normal) bits += (uint64_t)(a->exponent - NORMAL) << 52;
  return with_sign(of_bits(bits), a->negative);
}

/* What is a float, or in the middle of two, has at most 54 bits, and the powers that are not keep away from these
** by more than an error: 192 bits tell. */
double real_rounded_power(real a) {
  uint64_t carry = a.limb[0] >> 63;
  a.limb[0] = 0;
  for (int i = 1; i < LIMBS; i++) {
    a.limb[i] += carry;
    carry &= a.limb[i] == 0;
  }
  if (carry != 0) {
    a.limb[LIMBS - 1] = TOP;
    a.exponent++;
  }
  return real_round(&a);
}

/* ---- Arithmetic ------------------------------------------------------------------------------ */

enum { WIDE = LIMBS + 1 }; /* with a limb for what a shift moves out */

/* Takes the leading zeros away and cuts off what is beyond 256 bits. */
static real normalized(uint64_t limb[WIDE], int exponent, bool negative) {
  for (int empty = 0; limb[LIMBS] == 0; empty++) {
    if (empty == WIDE) return (real){{0}, 0, false};
    for (int i = LIMBS; i > 0; i--) limb[i] = limb[i - 1];
    limb[0] = 0;
    exponent -= 64;
  }
  int zeros = __builtin_clzll(limb[LIMBS]);
  real r = {{0}, exponent - zeros, negative};
#pragma GCC unroll 4
  for (int i = 0; i < LIMBS; i++) r.limb[i] = (uint64_t)(pair(limb[i + 1], limb[i]) << zeros >> 64);
  return r;
}

/* The limbs of a with one more below, `shift` bits to the right. */
static void shifted(uint64_t to[WIDE], const real* a, int shift) {
  uint64_t padded[2 * WIDE + 1] = {0};
  if (shift >= 64 * WIDE) shift = 64 * WIDE;
  memcpy(padded + 1, a->limb, sizeof a->limb);
  const uint64_t* from = padded + shift / 64;
#pragma GCC unroll 5
  for (int i = 0; i < WIDE; i++) to[i] = (uint64_t)(pair(from[i + 1], from[i]) >> shift % 64);
}

static bool is_less(const real* a, const real* b) { /* without signs */
  if (real_is_zero(a) || real_is_zero(b)) return !real_is_zero(b);
  if (a->exponent != b->exponent) return a->exponent < b->exponent;
  int i = LIMBS - 1;
  while (i > 0 && a->limb[i] == b->limb[i]) i--;
  return a->limb[i] < b->limb[i];
}

real real_add(const real* a, const real* b) {
  if (is_less(a, b)) {
    const real* less = a;
    a = b;
    b = less;
  }
  if (real_is_zero(b)) return *a;
  uint64_t sum[WIDE] = {0, a->limb[0], a->limb[1], a->limb[2], a->limb[3]}, other[WIDE], carry = 0;
  shifted(other, b, a->exponent - b->exponent);
  bool opposite = a->negative != b->negative;
  uint64_t flip = opposite ? UINT64_MAX : 0; /* a - b = a + ~b + 1 */
  carry = opposite;
#pragma GCC unroll 5
  for (int i = 0; i < WIDE; i++) {
    u128 s = (u128)sum[i] + (other[i] ^ flip) + carry;
    sum[i] = (uint64_t)s;
    carry = (uint64_t)(s >> 64);
  }
  if (opposite || carry == 0) return normalized(sum, a->exponent, a->negative);
  for (int i = 0; i < WIDE; i++) sum[i] = sum[i] >> 1 | (i + 1 < WIDE ? sum[i + 1] : carry) << 63;
  return normalized(sum, a->exponent + 1, a->negative);
}

real real_sub(const real* a, const real* b) {
  real minus = real_negated(*b);
  return real_add(a, &minus);
}

/* All limbs of a * b, a having WIDE of them. */
static inline void multiply(uint64_t product[WIDE + LIMBS], const uint64_t a[WIDE],
                            const uint64_t b[LIMBS]) {
  memset(product, 0, (WIDE + LIMBS) * sizeof *product);
#pragma GCC unroll 4
  for (int i = 0; i < LIMBS; i++) {
    uint64_t carry = 0;
#pragma GCC unroll 5
    for (int k = 0; k < WIDE; k++) {
      u128 p = (u128)b[i] * a[k] + product[i + k] + carry;
      product[i + k] = (uint64_t)p;
      carry = (uint64_t)(p >> 64);
    }
    product[i + WIDE] = carry;
  }
}

real real_mul(const real* a, const real* b) {
  const uint64_t wide[WIDE] = {a->limb[0], a->limb[1], a->limb[2], a->limb[3], 0};
  uint64_t product[WIDE + LIMBS];
  multiply(product, wide, b->limb);
  return normalized(product + LIMBS - 1, a->exponent + b->exponent, a->negative != b->negative);
}

/* The fraction alone, as a float. */
static double fraction(const real* a) { return (double)a->limb[LIMBS - 1] * 0x1p-64; }

/* r = 1/b by r += r * (1 - b * r), which doubles the digits, from 52 to 208; then a * r, once more corrected. */
real real_div(const real* a, const real* b) {
  real r = real_scaled(real_of(1 / fraction(b)), -b->exponent);
  r.negative = b->negative;
  for (int i = 0; i < 2; i++) {
    real br = real_mul(b, &r), e = real_sub(&REAL_ONE, &br), step = real_mul(&r, &e);
    r = real_add(&r, &step);
  }
  real q = real_mul(a, &r), bq = real_mul(b, &q), rest = real_sub(a, &bq),
       step = real_mul(&rest, &r);
  return real_add(&q, &step);
}

/* The same for y = 1/sqrt(a), by y += y/2 * (1 - a * y * y). */
real real_sqrt(const real* a) {
  if (real_is_zero(a)) return *a;
  int half = a->exponent >= 0 ? (a->exponent + 1) / 2 : a->exponent / 2;
  real n = real_scaled(*a, -2 * half); /* 1/4 .. 1 */
  real y = real_of(1 / sqrt(n.exponent == 0 ? fraction(&n) : fraction(&n) / 2));
  for (int i = 0; i < 2; i++) {
    real ny = real_mul(&n, &y), nyy = real_mul(&ny, &y), e = real_sub(&REAL_ONE, &nyy),
         step = real_mul(&y, &e);
    step = real_scaled(step, -1);
    y = real_add(&y, &step);
  }
  real s = real_mul(&n, &y), ss = real_mul(&s, &s), rest = real_sub(&n, &ss),
       step = real_mul(&rest, &y);
  step = real_scaled(step, -1);
  return real_scaled(real_add(&s, &step), half);
}

/* ---- Series ---------------------------------------------------------------------------------- */

/* A number for series: limb[LIMBS] is whole, the others are behind the point. */
typedef struct fixed {
  uint64_t limb[WIDE];
} fixed;

/* |a| < 1 */
static fixed fixed_of(const real* a) {
  fixed f;
  shifted(f.limb, a, 64 - a->exponent);
  return f;
}

static void divide(fixed* a, uint64_t n) {
  uint64_t rest = 0;
  for (int i = LIMBS; i >= 0; i--) {
    u128 part = pair(rest, a->limb[i]);
    a->limb[i] = (uint64_t)(part / n);
    rest = (uint64_t)(part % n);
  }
}

/* sum = n + sum * z * factor, or n - sum * z * factor, which is positive. */
static inline void step(fixed* sum, const fixed* z, uint64_t factor, uint64_t n, bool minus) {
  uint64_t product[WIDE + LIMBS], carry = 0;
  multiply(product, sum->limb, z->limb);
  for (int i = 0; i < WIDE; i++) {
    u128 p = (u128)product[i + LIMBS] * factor + carry;
    sum->limb[i] = minus ? ~(uint64_t)p : (uint64_t)p;
    carry = (uint64_t)(p >> 64);
  }
  sum->limb[LIMBS] += n;
}

/* Series are kept multiplied by an integer, which spares a division in most steps. */
static inline void rescale(fixed* sum, uint64_t* scale, uint64_t factor) {
  if (*scale > UINT64_MAX / 2 / factor) {
    divide(sum, *scale);
    *scale = 1;
  }
  *scale *= factor;
}

/* The sum of z^n / factor(1)...factor(n) for n from 0 to `terms`; |z| < 2^-6. */
static inline real power_series(const real* z, unsigned terms, uint64_t factor(unsigned)) {
  fixed sum = {{0, 0, 0, 0, 1}}, fz = fixed_of(z);
  uint64_t scale = 1;
  for (unsigned n = terms; n > 0; n--) {
    rescale(&sum, &scale, factor(n));
    step(&sum, &fz, 1, scale, z->negative);
  }
  divide(&sum, scale);
  return normalized(sum.limb, 64, false);
}

/* The sum of z^n / (2n + 1); |z| < 2^-11. */
static real odd_series(const real* z) {
  enum { BITS = 250, LEAST = -BITS };
  if (real_is_zero(z) || z->exponent < LEAST) return REAL_ONE;
  unsigned terms = (unsigned)(BITS / -z->exponent) + 1;
  fixed sum = {{0, 0, 0, 0, 1}}, fz = fixed_of(z);
  uint64_t scale = 2 * terms + 1; /* the sum times this is 1 */
  for (unsigned n = terms; n > 0; n--) {
    uint64_t f = 2 * n - 1;
    if (scale > UINT64_MAX / 2 / f) {
      divide(&sum, scale);
      scale = 1;
    }
    step(&sum, &fz, f, scale, z->negative);
    scale *= f;
  }
  divide(&sum, scale);
  return normalized(sum.limb, 64, false);
}

/* ---- Functions ------------------------------------------------------------------------------- */

static uint64_t factor_of_exp(unsigned n) { return n; }
static uint64_t factor_of_sin(unsigned n) { return (uint64_t)(2 * n) * (2 * n + 1); }

_Thread_local uint64_t real_work = 0;
enum { WORK_OF_EXP = 24, WORK_OF_LOG = 24, WORK_OF_SIN_COS = 40, WORK_OF_ANGLE = 30 };

/* e^x = 2^k * (e^(r / 256))^256 */
real real_exp(const real* x) {
  enum { HALVINGS = 8, TERMS = 20 }; /* (0.35 / 256)^21 / 21! < 2^-264 */
  real_work += WORK_OF_EXP;
  double turns = real_round(x) * 1.4426950408889634;
  int k = (int)(turns + (turns < 0 ? -0.5 : 0.5));
  real whole = real_of(k), multiple = real_mul(&whole, &REAL_LN2), r = real_sub(x, &multiple);
  r = real_scaled(r, -HALVINGS);
  real power = power_series(&r, TERMS, factor_of_exp);
  for (int i = 0; i < HALVINGS; i++) power = real_mul(&power, &power);
  return real_scaled(power, k);
}

enum { NEAR_ZERO = -6 }; /* results below 2^-6 are computed with their own precision */

/* log x = y + log(x / e^y) = y + 2 atanh((x - e^y) / (x + e^y)) */
real real_log(const real* x, approx near) {
  real_work += WORK_OF_LOG;
  if (near.exponent < NEAR_ZERO) near.m = 0;
  real y = real_of_approx(near), e = near.m == 0 ? REAL_ONE : real_exp(&y);
  real above = real_sub(x, &e), below = real_add(x, &e), t = real_div(&above, &below);
  real z = real_mul(&t, &t), sum = odd_series(&z), rest = real_scaled(real_mul(&t, &sum), 1);
  return real_add(&y, &rest);
}

/* The sine of x / 16, and four times that of the double angle. */
void real_sin_cos(const real* x, real* s, real* c) {
  enum { HALVINGS = 4, TERMS = 18 }; /* 0.1^38 / 39! < 2^-270 */
  real_work += WORK_OF_SIN_COS;
  real part = real_scaled(*x, -HALVINGS), z = real_negated(real_mul(&part, &part));
  real sum = power_series(&z, TERMS, factor_of_sin);
  *s = real_mul(&part, &sum);
  real ss = real_mul(s, s), cc = real_sub(&REAL_ONE, &ss);
  *c = real_sqrt(&cc);
  for (int i = 0; i < HALVINGS; i++) {
    real sc = real_mul(s, c), twice = real_scaled(real_mul(s, s), 1);
    *s = real_scaled(sc, 1);
    *c = real_sub(&REAL_ONE, &twice);
  }
}

/* The point turned back by what is near to its angle has an angle t that is small: atan t = t - t^3 / 3 + .. */
real real_angle(const real* y, const real* x, approx near) {
  real_work += WORK_OF_ANGLE;
  if (near.exponent < NEAR_ZERO) near.m = 0;
  real angle = real_of_approx(near), across = *y, along = *x;
  if (near.m != 0) {
    real s, c;
    real_sin_cos(&angle, &s, &c);
    real yc = real_mul(y, &c), xs = real_mul(x, &s), xc = real_mul(x, &c), ys = real_mul(y, &s);
    across = real_sub(&yc, &xs);
    along = real_add(&xc, &ys);
  }
  real t = real_div(&across, &along), z = real_negated(real_mul(&t, &t));
  real sum = odd_series(&z), rest = real_mul(&t, &sum);
  return real_add(&angle, &rest);
}
