/* limbs.c: the arithmetic of natural numbers; see limbs.h. After Knuth, "The Art of Computer
** Programming", volume 2, 4.3.1, and Karatsuba and Ofman (1962). */
#include "rc/data/limbs.h"

#include <string.h>

typedef unsigned limb2 __attribute__((mode(TI))); /* of 128 bits */

size_t limbs_trim(const limb* a, size_t n) {
  while (n > 0 && a[n - 1] == 0) n--;
  return n;
}

bool limbs_any(const limb* a, uint64_t bits) {
  size_t whole = bits / LIMB_BITS;
  for (size_t i = 0; i < whole; i++)
    if (a[i] != 0) return true;
  return bits % LIMB_BITS != 0 && a[whole] << (LIMB_BITS - bits % LIMB_BITS) != 0;
}

int limbs_compare(const limb* a, size_t n, const limb* b, size_t m) {
  if (n != m) return n < m ? -1 : 1;
  while (n > 0 && a[n - 1] == b[n - 1]) n--;
  return n == 0 ? 0 : a[n - 1] < b[n - 1] ? -1 : 1;
}

limb limbs_add(limb* r, const limb* a, size_t n, const limb* b, size_t m) {
  limb carry = 0;
  for (size_t i = 0; i < m; i++) {
    limb2 sum = (limb2)a[i] + b[i] + carry;
    r[i] = (limb)sum;
    carry = (limb)(sum >> LIMB_BITS);
  }
  for (size_t i = m; i < n; i++) {
    r[i] = a[i] + carry;
    carry = r[i] < carry;
  }
  return carry;
}

void limbs_sub(limb* r, const limb* a, size_t n, const limb* b, size_t m) {
  limb borrow = 0;
  for (size_t i = 0; i < m; i++) {
    limb2 difference = (limb2)a[i] - b[i] - borrow;
    r[i] = (limb)difference;
    borrow = (limb)(difference >> LIMB_BITS) & 1;
  }
  for (size_t i = m; i < n; i++) {
    bool below = a[i] < borrow;
    r[i] = a[i] - borrow;
    borrow = below;
  }
}

limb limbs_mul_limb(limb* r, const limb* a, size_t n, limb by, limb plus) {
  for (size_t i = 0; i < n; i++) {
    limb2 product = (limb2)a[i] * by + plus;
    r[i] = (limb)product;
    plus = (limb)(product >> LIMB_BITS);
  }
  return plus;
}

limb limbs_div_limb(limb* r, const limb* a, size_t n, limb by) {
  limb rest = 0;
  for (size_t i = n; i-- > 0;) {
    limb2 part = (limb2)rest << LIMB_BITS | a[i];
    r[i] = (limb)(part / by);
    rest = (limb)(part % by);
  }
  return rest;
}

limb limbs_shift_left(limb* r, const limb* a, size_t n, unsigned bits) {
  limb out = (limb)((limb2)a[n - 1] << bits >> LIMB_BITS);
  for (size_t i = n; i-- > 0;) {
    limb below = i > 0 ? a[i - 1] : 0;
    r[i] = a[i] << bits | (limb)((limb2)below << bits >> LIMB_BITS);
  }
  return out;
}

void limbs_shift_right(limb* r, const limb* a, size_t n, unsigned bits) {
  for (size_t i = 0; i < n; i++) {
    limb above = i + 1 < n ? a[i + 1] : 0;
    r[i] = (limb)(((limb2)above << LIMB_BITS | a[i]) >> bits);
  }
}

/* ---- Products -------------------------------------------------------------------------------- */

enum { KARATSUBA = 40 }; /* limbs, from which on it is faster than the schoolbook's way */

/* r += a * by; returns the carry. */
static limb add_product(limb* r, const limb* a, size_t n, limb by) {
  limb carry = 0;
  for (size_t i = 0; i < n; i++) {
    limb2 sum = (limb2)a[i] * by + r[i] + carry;
    r[i] = (limb)sum;
    carry = (limb)(sum >> LIMB_BITS);
  }
  return carry;
}

static void mul_schoolbook(limb* r, const limb* a, size_t n, const limb* b, size_t m) {
  r[n] = limbs_mul_limb(r, a, n, b[0], 0);
  for (size_t i = 1; i < m; i++) r[n + i] = add_product(r + i, a, n, b[i]);
}

/* r += a, of n >= m limbs; what goes out on top is lost. */
static void add_to(limb* r, size_t n, const limb* a, size_t m) { limbs_add(r, r, n, a, m); }

/* r = |a - b|, of n >= m limbs; is a < b? */
static bool difference(limb* r, const limb* a, size_t n, const limb* b, size_t m) {
  bool negative = limbs_compare(a, limbs_trim(a, n), b, limbs_trim(b, m)) < 0;
  if (negative) {
    limbs_sub(r, b, m, a, limbs_trim(a, m));
    memset(r + m, 0, (n - m) * sizeof *r);
  } else {
    limbs_sub(r, a, n, b, m);
  }
  return negative;
}

/* a = a1 B + a0, b = b1 B + b0, and
**   a b = a1 b1 BB + (a1 b1 + a0 b0 - (a0 - a1)(b0 - b1)) B + a0 b0
** in three products of half the length. Of the scratch it takes four halves and a limb, or two and
** what the next level takes. */
static void mul_equal(limb* r, const limb* a, const limb* b, size_t n, limb* scratch) {
  if (n < KARATSUBA) {
    mul_schoolbook(r, a, n, b, n);
    return;
  }
  size_t low = (n + 1) / 2, high = n - low;
  limb *cross = scratch, *middle = scratch + 2 * low;
  bool negative =
      difference(r, a, low, a + low, high) != difference(r + low, b, low, b + low, high);
  mul_equal(cross, r, r + low, low, middle);
  mul_equal(r, a, b, low, middle);
  mul_equal(r + 2 * low, a + low, b + low, high, middle);
  middle[2 * low] = limbs_add(middle, r, 2 * low, r + 2 * low, 2 * high);
  if (negative)
    add_to(middle, 2 * low + 1, cross, 2 * low);
  else
    limbs_sub(middle, middle, 2 * low + 1, cross, 2 * low);
  add_to(r + low, 2 * n - low, middle, limbs_trim(middle, 2 * low + 1));
}

size_t limbs_scratch(size_t m) { return m < KARATSUBA ? 0 : 7 * m; }

/* a in parts as long as b; the last one filled up with zeros. */
void limbs_mul(limb* r, const limb* a, size_t n, const limb* b, size_t m, limb* scratch) {
  if (m < KARATSUBA) {
    mul_schoolbook(r, a, n, b, m);
    return;
  }
  limb *product = scratch, *last = scratch + 2 * m, *rest = scratch + 3 * m;
  memset(r, 0, (n + m) * sizeof *r);
  for (size_t i = 0; i < n; i += m) {
    const limb* part = a + i;
    if (n - i < m) {
      memcpy(last, part, (n - i) * sizeof *last);
      memset(last + n - i, 0, (m - (n - i)) * sizeof *last);
      part = last;
    }
    mul_equal(product, part, b, m, rest);
    add_to(r + i, n + m - i, product, limbs_trim(product, 2 * m));
  }
}

/* ---- Quotients: Knuth's algorithm D ---------------------------------------------------------- */

/* The quotient of u's top m + 1 limbs by v, at most 1 too large: an estimate from three limbs. */
static limb estimate(const limb* u, const limb* v, size_t m) {
  limb2 top = (limb2)u[m] << LIMB_BITS | u[m - 1];
  limb2 guess = u[m] >= v[m - 1] ? (limb)-1 : top / v[m - 1];
  limb2 rest = top - guess * v[m - 1];
  while (rest >> LIMB_BITS == 0 && guess * v[m - 2] > (rest << LIMB_BITS | u[m - 2])) {
    guess--;
    rest += v[m - 1];
  }
  return (limb)guess;
}

/* u -= v * by, of m + 1 limbs; did that go below zero? */
static bool subtract_product(limb* u, const limb* v, size_t m, limb by) {
  limb carry = 0;
  for (size_t i = 0; i < m; i++) {
    limb2 product = (limb2)v[i] * by + carry;
    carry = (limb)(product >> LIMB_BITS) + (u[i] < (limb)product);
    u[i] -= (limb)product;
  }
  bool below = u[m] < carry;
  u[m] -= carry;
  return below;
}

void limbs_div(limb* q, limb* u, size_t n, const limb* v, size_t m) {
  if (m == 1) {
    limb2 rest = u[n - 1];
    for (size_t i = n - 1; i-- > 0;) {
      rest = rest << LIMB_BITS | u[i];
      q[i] = (limb)(rest / v[0]);
      rest %= v[0];
    }
    u[0] = (limb)rest;
    return;
  }
  for (size_t i = n - m; i-- > 0;) {
    q[i] = estimate(u + i, v, m);
    if (subtract_product(u + i, v, m, q[i])) {
      q[i]--;
      u[i + m] += limbs_add(u + i, u + i, m, v, m);
    }
  }
}
