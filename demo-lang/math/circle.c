/* circle.c: sine, cosine and tangent. */
#include "demo-lang/math/real.h"
#include "demo-lang/math/tables.h"

static inline u128 entry(const uint64_t e[2]) { return pair(e[1], e[0]); }

/* ---- Without whole turns --------------------------------------------------------------------- */

enum { FRACTION = 126, WHOLE = 2 }; /* bits behind the point, and before it */

/* Words of 2/pi from where a bit is worth two quarters of a turn in the product with a number that has this exponent:
** what is before adds multiples of four (M. Payne and R. Hanek, "Radian reduction for trigonometric functions",
** 1983). */
static inline void window(uint64_t* words, int count, int exponent) {
  unsigned bit = (unsigned)(TWO_OVER_PI_ZEROS - WHOLE - 64 + exponent);
  const uint64_t* from = TWO_OVER_PI + bit / 64;
  for (int i = 0; i < count; i++)
    words[i] = (uint64_t)(pair(from[i], from[i + 1]) << bit % 64 >> 64);
}

/* |x| in quarters of a turn, mod 4, * 2^126: off by two units; |x| > 2^-28. */
static inline u128 in_quarters(approx x) {
  uint64_t w[3], m = (uint64_t)(x.m >> 64);
  window(w, 3, x.exponent < 0 ? 0 : x.exponent);
  u128 middle = (u128)m * w[1] + mul_high(m, w[2]);
  u128 turned = pair(m * w[0], 0) + middle;
  return x.exponent < 0 ? turned >> -x.exponent : turned;
}

/* The same nearest multiple of a quarter, and with its sign the angle that is left. */
static real exact_angle(approx x, unsigned* quarters) {
  enum { WORDS = 7, WHOLE_AT = 64 - WHOLE };
  x.negative = false;
  real angle = real_of_approx(x);
  *quarters = 0;
  if (x.exponent < 0) return angle;
  uint64_t w[WORDS], product[WORDS], carry = 0;
  window(w, WORDS, x.exponent);
  for (int i = WORDS - 1; i >= 0; i--) {
    u128 p = (x.m >> 64) * w[i] + carry;
    product[i] = (uint64_t)p;
    carry = (uint64_t)(p >> 64);
  }
  uint64_t nearest = (product[0] + ((uint64_t)1 << (WHOLE_AT - 1))) >> WHOLE_AT;
  *quarters = (unsigned)nearest & 3;
  uint64_t first = product[0] - (nearest << WHOLE_AT);
  bool negative = first >> 63;
  angle = real_scaled(real_of_integer(negative ? 0 - first : first), -WHOLE_AT);
  angle.negative = negative;
  for (int i = 1; i < WORDS; i++) {
    real part = real_scaled(real_of_integer(product[i]), -WHOLE_AT - 64 * i);
    angle = real_add(&angle, &part);
  }
  angle = real_mul(&angle, &REAL_PI);
  return real_scaled(angle, -1);
}

/* ---- Sine and cosine ------------------------------------------------------------------------- */

#define INVERSE(n) ((uint64_t)(((u128)1 << 64) / (n)))
enum { SCALE = 76 };

/* z * (1/a - z * (1/b - z * (1/c - z/d))) for z = q / 2^76 < 2^-12: so much of 2^76, off by less than two units. */
static inline uint64_t series(uint64_t q, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  enum { SHIFT = SCALE - 64 };
  uint64_t sum = INVERSE(c) - (mul_high(q, INVERSE(d)) >> SHIFT);
  sum = INVERSE(b) - (mul_high(q, sum) >> SHIFT);
  return mul_high(q, INVERSE(a) - (mul_high(q, sum) >> SHIFT));
}

/* n * (1 - part / 2^76) */
static inline u128 less(u128 n, uint64_t part) {
  return n - ((u128)(uint64_t)(n >> 64) * part >> (SCALE - 64));
}

/* An angle without its sign and whole quarters: that of a place in the table, and b below pi/256. */
typedef struct reduced {
  u128 sine_b;   /* sin b * 2^128 / 2^exponent */
  uint64_t part; /* (1 - cos b) * 2^76 */
  int exponent;
  unsigned place, quarters;
  bool negative;
} reduced;

/* False if x is so near to a multiple of a quarter turn that too few bits are left. */
static inline bool reduce(approx x, reduced* r) {
  enum { PLACE_BITS = 7, FEW = 45 };
  static const u128 HALF_PI = (u128)0xc90fdaa22168c234 << 64 | 0xc4c6628b80dc1cd1; /* 2^127 */
  u128 turned = in_quarters(x);
  r->quarters = (unsigned)((turned + ((u128)1 << (FRACTION - 1))) >> FRACTION) & 3;
  i128 rest = (i128)(turned << WHOLE);
  r->negative = rest < 0;
  u128 size = (u128)(r->negative ? -rest : rest), low = size << PLACE_BITS;
  r->place = (unsigned)(size >> (128 - PLACE_BITS));
  int zeros = 0;
  if (r->place == 0) {
    if (size >> (128 - FEW) == 0) return false;
    zeros = leading_zeros128(low);
    low <<= zeros;
  }
  r->exponent = 1 - PLACE_BITS - zeros;
  u128 b = mul_high128(low, HALF_PI);
  uint64_t high = (uint64_t)(b >> 64),
           q = zeros >= 32 ? 0 : mul_high(high, high) >> 2 * zeros; /* b^2 * 2^76 */
  r->sine_b = less(b, series(q, 6, 120, 5040, 362880));
  r->part = series(q, 2, 24, 720, 40320);
  return true;
}

/* Relative errors below 2^-70. */
static inline approx sine_of(const reduced* r) {
  if (r->place == 0) return normal(r->sine_b, r->exponent, false);
  u128 sine_a = entry(SINE_TABLE[r->place]), cosine_a = entry(SINE_TABLE[SINE_PLACES - r->place]);
  return normal(less(sine_a, r->part) + (mul_high128(cosine_a, r->sine_b) >> -r->exponent), 1,
                false);
}
static inline approx cosine_of(const reduced* r) {
  u128 cosine_a = entry(SINE_TABLE[SINE_PLACES - r->place]), cosine = less(cosine_a, r->part);
  if (r->place != 0) cosine -= mul_high128(entry(SINE_TABLE[r->place]), r->sine_b) >> -r->exponent;
  return normal(cosine, 1, false);
}

static void exact_sine_cosine(approx x, real* sine, real* cosine) {
  unsigned quarters;
  real angle = exact_angle(x, &quarters);
  real_sin_cos(&angle, sine, cosine);
  if ((quarters & 1) != 0) {
    real s = *sine;
    *sine = *cosine;
    *cosine = real_negated(s);
  }
  if ((quarters & 2) != 0) {
    *sine = real_negated(*sine);
    *cosine = real_negated(*cosine);
  }
}

/* ---- The library's --------------------------------------------------------------------------- */

enum {
  TINY = 1023 - 27,
  KNOWN = 70
}; /* below 2^-27 sine and tangent are nearest to x, and the cosine to 1 */

static inline bool is_tiny(double x) { return magnitude(x) >> 52 < TINY; }

/* Of NaN and infinity. */
static double of_none(double x) { return is_nan(x) ? quieted(x) : not_a_number(true); }

double __wrap_sin(double x);
double __wrap_sin(double x) {
  if (is_tiny(x)) return x;
  if (magnitude(x) >= INFINITE) return of_none(x);
  approx p = parts(x);
  reduced r;
  double result;
  if (reduce(p, &r)) {
    bool odd = r.quarters & 1;
    approx a = odd ? cosine_of(&r) : sine_of(&r);
    a.negative = p.negative ^ (r.quarters >> 1) ^ (!odd && r.negative);
    if (settle(a, KNOWN, &result)) return result;
  }
  real sine, cosine;
  exact_sine_cosine(p, &sine, &cosine);
  sine.negative ^= p.negative;
  return real_round(&sine);
}

double __wrap_cos(double x);
double __wrap_cos(double x) {
  if (is_tiny(x)) return 1;
  if (magnitude(x) >= INFINITE) return of_none(x);
  approx p = parts(x);
  reduced r;
  double result;
  if (reduce(p, &r)) {
    bool odd = r.quarters & 1;
    approx a = odd ? sine_of(&r) : cosine_of(&r);
    a.negative = (r.quarters >> 1) ^ (odd && !r.negative);
    if (settle(a, KNOWN, &result)) return result;
  }
  real sine, cosine;
  exact_sine_cosine(p, &sine, &cosine);
  return real_round(&cosine);
}

double __wrap_tan(double x);
double __wrap_tan(double x) {
  if (is_tiny(x)) return x;
  if (magnitude(x) >= INFINITE) return of_none(x);
  approx p = parts(x);
  reduced r;
  double result;
  if (reduce(p, &r)) {
    bool odd = r.quarters & 1;
    approx sine = sine_of(&r), cosine = cosine_of(&r),
           a = odd ? ratio(cosine, sine) : ratio(sine, cosine);
    a.negative = p.negative ^ odd ^ r.negative;
    if (settle(a, KNOWN - 2, &result)) return result;
  }
  real sine, cosine;
  exact_sine_cosine(p, &sine, &cosine);
  real tangent = real_div(&sine, &cosine);
  tangent.negative ^= p.negative;
  return real_round(&tangent);
}
