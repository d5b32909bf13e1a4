/* limbs.h: natural numbers as arrays of 64-bit limbs, the lowest first. No memory is taken here.
**
** Where one length is given for two numbers they have as many limbs each. A result may lie where an
** operand begins, but for products and where it is said. */
#ifndef SLUICE_RC_DATA_LIMBS_H
#define SLUICE_RC_DATA_LIMBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t limb;
enum { LIMB_BITS = 64 };

/* n without the zeros on top. */
size_t limbs_trim(const limb* a, size_t n);
/* Is one of the lowest bits set? There are more than so many. */
bool limbs_any(const limb* a, uint64_t bits);
/* Below 0, 0, above 0; both have no zeros on top. */
int limbs_compare(const limb* a, size_t n, const limb* b, size_t m);
/* r = a + b, of n >= m limbs; returns the carry. */
limb limbs_add(limb* r, const limb* a, size_t n, const limb* b, size_t m);
/* r = a - b, where a >= b and n >= m. */
void limbs_sub(limb* r, const limb* a, size_t n, const limb* b, size_t m);
/* r = a * by + plus; returns the limb on top. */
limb limbs_mul_limb(limb* r, const limb* a, size_t n, limb by, limb plus);
/* r = a / by; returns the remainder. */
limb limbs_div_limb(limb* r, const limb* a, size_t n, limb by);
/* r = a * 2^bits, for less than 64 and n >= 1; returns what went out on top. r may lie above a. */
limb limbs_shift_left(limb* r, const limb* a, size_t n, unsigned bits);
/* r = a / 2^bits, for less than 64. r may lie below a. */
void limbs_shift_right(limb* r, const limb* a, size_t n, unsigned bits);
/* r = a * b, of n + m limbs, where n >= m >= 1; `scratch` has limbs_scratch(m) limbs. */
void limbs_mul(limb* r, const limb* a, size_t n, const limb* b, size_t m, limb* scratch);
size_t limbs_scratch(size_t m);
/* q = u / v, of n - m limbs, and u the remainder, of m limbs. v has m >= 1 limbs, of which the
** highest has its top bit set; u has n > m, and its highest is below v's. q lies elsewhere. */
void limbs_div(limb* q, limb* u, size_t n, const limb* v, size_t m);

#endif
