/* nearest.c: demo-lang/math against MPFR: for all special values, for random floats of all exponents, for those
** near to 1 and to multiples of pi/2, and for powers in the middle between two floats. usage: nearest ROUNDS
** [FUNCTION] */
#include <math.h>
#include <mpfr.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo-lang/math/bits.h"

typedef int mpfr_unary(mpfr_t, const mpfr_t, mpfr_rnd_t);
typedef int mpfr_binary(mpfr_t, const mpfr_t, const mpfr_t, mpfr_rnd_t);

static const struct function {
  const char* name;
  double (*one)(double);
  double (*two)(double, double);
  mpfr_unary* exact_one;
  mpfr_binary* exact_two;
} FUNCTIONS[] = {
    {"exp", exp, NULL, mpfr_exp, NULL},    {"log", log, NULL, mpfr_log, NULL},
    {"log2", log2, NULL, mpfr_log2, NULL}, {"log10", log10, NULL, mpfr_log10, NULL},
    {"sin", sin, NULL, mpfr_sin, NULL},    {"cos", cos, NULL, mpfr_cos, NULL},
    {"tan", tan, NULL, mpfr_tan, NULL},    {"asin", asin, NULL, mpfr_asin, NULL},
    {"acos", acos, NULL, mpfr_acos, NULL}, {"sinh", sinh, NULL, mpfr_sinh, NULL},
    {"cosh", cosh, NULL, mpfr_cosh, NULL}, {"tanh", tanh, NULL, mpfr_tanh, NULL},
    {"pow", NULL, pow, NULL, mpfr_pow},    {"atan2", NULL, atan2, NULL, mpfr_atan2},
    {"fmod", NULL, fmod, NULL, mpfr_fmod},
};
enum { COUNT = sizeof FUNCTIONS / sizeof *FUNCTIONS };

/* ---- Arguments ------------------------------------------------------------------------------- */

static const double SPECIAL[] = {
    0, 1, INFINITY, NAN, 0x1p-1074, 0x3p-1074, 0x1.fffffffffffffp-1023, 0x1p-1022,
    0x1.fffffffffffffp+1023, 0.5, 2, 3, 1.5, 10, 1000, 0x1.fffffffffffffp-1, 0x1.0000000000001p+0,
    0x1p-54, 0x1p-53, 0x1p-27, 0x1p-26, 0x1p-500, 0x1p+53, 0x1.fffffffffffffp+52,
    0x1.0000000000001p+53, 0x1p+63, 0x1p+64, 0x1p+500, 1023, 1024, 1074, 1075, 709.5, 710.5, 745.5,
    0x1.921fb54442d18p+0, 0x1.921fb54442d18p+1, 0x1.921fb54442d18p-1, 20, 19, 1.0 / 3,
    /* the nearest that floats come to multiples of pi/2: from the continued fractions of 2^(e + 1)/pi */
    0x1.6ac5b262ca1ffp+849, 0x1.6c6cbc45dc8dep+5, 0x1.b951f1572eba5p+23, 0x1.504cac51f1eafp+131,
    0x1.e009c53148be1p+991, 0x1.4c96c11134d36p+577, 0x1.cfe482285f8edp+860, 0x1.db41f3cb71d7bp+680,
    0x1.e7e44a78ac18cp+197, 0x1.c45cd11154dfdp+295};
enum { SPECIALS = sizeof SPECIAL / sizeof *SPECIAL };

static uint64_t state = 88172645463325252u;
static uint64_t draw(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state * 2685821657736338717u;
}
static double drawn_around(double x, int exponent) {
  return x + ldexp((double)(int64_t)draw(), exponent - 63);
}

static double any(void) {
  uint64_t bits = draw();
  switch (draw() % 8) {
    case 0:
      return of_bits(bits);
    case 1:
      return drawn_around(1, -(int)(draw() % 54));
    case 2:
      return drawn_around(0, 10 - (int)(draw() % 40));
    case 3:
      return drawn_around(0, 0);
    case 4:
      return (double)(int64_t)(bits % 2000) - 1000;
    case 5:
      return (double)(int64_t)(bits % 65536 - 32768) / 64;
    case 6:
      return (double)(int64_t)(bits % 4096) * 1.5707963267948966;
    default:
      return of_bits((bits & 0x800fffffffffffff) | (1017 + draw() % 12) << 52);
  }
}

/* x = n^m, y = k/m, and x^y = n^k has 54 bits, the last one being 1. */
static void draw_halfway(double* x, double* y) {
  static const int POWERS[][2] = {{2, 3}, {2, 5}, {4, 5}, {4, 6}, {4, 7}, {1, 2}, {1, 3}, {1, 5}};
  const int* p = POWERS[draw() % (sizeof POWERS / sizeof *POWERS)];
  double n = floor(exp2((53 + (double)(draw() >> 11) * 0x1p-53) / p[1]) + 0.5);
  n += fmod(n, 2) == 0;
  *x = 1;
  for (int i = 0; i < p[0]; i++) *x *= n;
  *y = (double)p[1] / p[0];
}

/* ---- Comparison ------------------------------------------------------------------------------ */

static mpfr_t a, b, r;
static unsigned long wrong;

static double truth(const struct function* f, double x, double y) {
  mpfr_set_d(a, x, MPFR_RNDN);
  mpfr_set_d(b, y, MPFR_RNDN);
  int inexact = f->one != NULL ? f->exact_one(r, a, MPFR_RNDN) : f->exact_two(r, a, b, MPFR_RNDN);
  mpfr_subnormalize(r, inexact, MPFR_RNDN);
  return mpfr_get_d(r, MPFR_RNDN);
}

static void check(const struct function* f, double x, double y) {
  double want = truth(f, x, y), seen = f->one != NULL ? f->one(x) : f->two(x, y);
  if (isnan(want) ? isnan(seen) : memcmp(&want, &seen, sizeof want) == 0) return;
  if (wrong++ < 5) printf("FAILED: %s(%a, %a): %a, and not %a\n", f->name, x, y, seen, want);
}

static void check_all(const struct function* f, long rounds) {
  for (int i = 0; i < 4 * SPECIALS * SPECIALS; i++) {
    double x = SPECIAL[i / 4 % SPECIALS], y = SPECIAL[i / 4 / SPECIALS];
    if (f->one != NULL && y != SPECIAL[0]) break;
    check(f, i % 2 == 0 ? x : -x, i % 4 < 2 ? y : -y);
  }
  for (long n = 0; n < rounds; n++) {
    double x = any(), y = any();
    if (f->two != NULL && n % 8 == 0) draw_halfway(&x, &y);
    check(f, x, y);
  }
}

int main(int argc, char** argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 1000;
  int passed = 0, failed = 0;
  mpfr_inits2(53, a, b, r, (mpfr_ptr)NULL);
  mpfr_set_emin(-1073);
  mpfr_set_emax(1024);
  for (int i = 0; i < COUNT; i++) {
    const struct function* f = &FUNCTIONS[i];
    if (argc > 2 && strcmp(argv[2], f->name) != 0) continue;
    wrong = 0;
    check_all(f, rounds);
    *(wrong == 0 ? &passed : &failed) += 1;
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
