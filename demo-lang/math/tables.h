/* tables.h: constants of the first steps. tests/math/tables.py computes them again. */
#ifndef SLUICE_MATH_TABLES_H
#define SLUICE_MATH_TABLES_H

#include <stdint.h>

enum {
  LOG_PLACES = 128,
  LOG_HALVED = 53,
  LOG_UNITS = 9,
  EXP_PLACES = 64,
  SINE_PLACES = 128,
  ANGLE_PLACES = 64
};

/* c = LOG_RECIPROCAL[i] / 2^9 is near to 1/m for 1 + i/128 <= m < 1 + (i + 1)/128: |m * c - 1| < 2^-7. c is 1 for the
** first i, and 1/2 for the last. From LOG_HALVED on, m is taken by half. */
extern const uint16_t LOG_RECIPROCAL[LOG_PLACES];

/* Numbers of 128 bits, the lower half first. */
extern const uint64_t LOG_TABLE[LOG_PLACES][2]; /* -log2(c) * 2^116, or -log2(2 * c); signed */
extern const uint64_t EXP_TABLE[EXP_PLACES][2]; /* 2^(i / 64) * 2^127 */
extern const uint64_t SINE_TABLE[SINE_PLACES + 1][2];   /* sin(i / 128 * pi/2) * 2^127 */
extern const uint64_t ANGLE_TABLE[ANGLE_PLACES + 1][2]; /* atan(i / 64) * 2^125 */

/* The bits of 2/pi behind the point, the upper word first, after two words of zeros. */
enum { TWO_OVER_PI_ZEROS = 128, TWO_OVER_PI_WORDS = 25 };
extern const uint64_t TWO_OVER_PI[TWO_OVER_PI_WORDS];

#endif
