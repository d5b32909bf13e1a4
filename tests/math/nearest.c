/* nearest.c: results of the functions of demo-lang/math against those that MPFR rounds: on random floats of all exponents, on
** floats near to 1 and to multiples of pi/2, and on those whose results lie next to the middle between two floats.
** usage: nearest ROUNDS [FUNCTION] */
#include <math.h>
#include <mpfr.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int mpfr_unary(mpfr_t, const mpfr_t, mpfr_rnd_t);
typedef int mpfr_binary(mpfr_t, const mpfr_t, const mpfr_t, mpfr_rnd_t);

static const struct function {
  const char* name;
  double (*one)(double);
  double (*two)(double, double);
  mpfr_unary* exact_one;
  mpfr_binary* exact_two;
} FUNCTIONS[] = {
    {"exp", exp, NULL, mpfr_exp, NULL},       {"log", log, NULL, mpfr_log, NULL},
    {"log2", log2, NULL, mpfr_log2, NULL},    {"log10", log10, NULL, mpfr_log10, NULL},
    {"sin", sin, NULL, mpfr_sin, NULL},       {"cos", cos, NULL, mpfr_cos, NULL},
    {"tan", tan, NULL, mpfr_tan, NULL},       {"asin", asin, NULL, mpfr_asin, NULL},
    {"acos", acos, NULL, mpfr_acos, NULL},    {"sinh", sinh, NULL, mpfr_sinh, NULL},
    {"cosh", cosh, NULL, mpfr_cosh, NULL},    {"tanh", tanh, NULL, mpfr_tanh, NULL},
    {"pow", NULL, pow, NULL, mpfr_pow},       {"atan2", NULL, atan2, NULL, mpfr_atan2},
    {"fmod", NULL, fmod, NULL, mpfr_fmod},
};
enum { COUNT = sizeof FUNCTIONS / sizeof *FUNCTIONS };

static uint64_t state = 88172645463325252u;
static uint64_t draw(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state * 2685821657736338717u;
}
static double of_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static double any(void) {
  uint64_t r = draw();
  switch (draw() % 8) {
    case 0: return of_bits(r);                                         /* all */
    case 1: return 1 + ldexp((double)(int64_t)r, -64 - (int)(draw() % 53)); /* near to 1 */
    case 2: return (double)(int64_t)(r % 2000) - 1000;
    case 3: return ldexp((double)(int64_t)r, -63 + 10 - (int)(draw() % 40));
    case 4: return (double)(int64_t)(r % 65536 - 32768) / 64;
    case 5: return (double)(int64_t)(r % 4096) * 1.5707963267948966;
    case 6: return of_bits((r & 0x800fffffffffffff) | (uint64_t)(1023 + draw() % 12 - 6) << 52);
    default: return ldexp((double)(int64_t)r, -63);
  }
}

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
  if (wrong++ < 20) printf("FAILED: %s(%a, %a): %a, and not %a\n", f->name, x, y, seen, want);
}

int main(int argc, char** argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 1000;
  mpfr_inits2(53, a, b, r, (mpfr_ptr)NULL);
  mpfr_set_emin(-1073);
  mpfr_set_emax(1024);
  for (int i = 0; i < COUNT; i++) {
    const struct function* f = &FUNCTIONS[i];
    if (argc > 2 && strcmp(argv[2], f->name) != 0) continue;
    wrong = 0;
    for (long n = 0; n < rounds; n++) check(f, any(), any());
    if (wrong) printf("%s: %lu wrong of %ld\n", f->name, wrong, rounds);
  }
  return 0;
}
