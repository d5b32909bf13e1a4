/* bits.c: big integers as bits in two's complement, of which those beyond the highest limb are all
** those of the sign. */
#include "rc/data/big.h"

/* ---- Shifts ---------------------------------------------------------------------------------- */

static bool shift_left(rc_word* a, const number_t* x, uint64_t by) {
  size_t n = x->n, whole = by / LIMB_BITS, room = whole + n + 1;
  bool negative = x->negative;
  rc_object* o = number_room(a, room);
  if (o == NULL) return false;
  limb* r = big_limbs(o);
  r[whole + n] = limbs_shift_left(r + whole, x->limbs, n, (unsigned)(by % LIMB_BITS));
  memset(r, 0, whole * sizeof *r);
  return number_put(a, o, negative, room);
}

/* Rounded down: below zero the magnitude is rounded up. */
static bool shift_right(rc_word* a, const number_t* x, uint64_t by) {
  size_t whole = by / LIMB_BITS;
  bool negative = x->negative;
  if (whole >= x->n) return slot_set(a, rc_int(negative ? -1 : 0)), true;
  size_t n = x->n - whole;
  limb up = negative && limbs_any(x->limbs, by);
  rc_object* o = number_room(a, n + up);
  if (o == NULL) return false;
  limb* r = big_limbs(o);
  limbs_shift_right(r, x->limbs + whole, n, (unsigned)(by % LIMB_BITS));
  if (up) r[n] = limbs_add(r, r, n, &up, 1);
  return number_put(a, o, negative, n + up);
}

/* A boxed integer, if the result is one, too. */
static bool shift_small(rc_word* a, int64_t n) {
  int64_t i = rc_to_int(*a), shifted;
  if (n < 0)
    shifted = n > -LIMB_BITS ? i >> -n : i >> (LIMB_BITS - 1);
  else if (n >= LIMB_BITS - 1 || __builtin_mul_overflow(i, (int64_t)1 << n, &shifted))
    return false;
  if (rc_to_int(rc_int(shifted)) != shifted) return false;
  *a = rc_int(shifted);
  return true;
}

bool rc_big_shift(rc_word* a, int64_t n) {
  number_t x;
  if (rc_is_int(*a) && shift_small(a, n)) return true;
  number_read(&x, *a);
  if (x.n == 0 || n == 0) return true;
  return n > 0 ? shift_left(a, &x, (uint64_t)n) : shift_right(a, &x, magnitude_of(n));
}

/* ---- And, or, exclusive or ------------------------------------------------------------------- */

typedef enum operation { AND, OR, XOR } operation;

static inline limb combine(operation how, limb x, limb y) {
  return how == AND ? x & y : how == OR ? x | y : x ^ y;
}

/* With these, -n is ~n + 1, both ways. */
static limb sign_bits(const number_t* x) { return x->negative ? ~(limb)0 : 0; }

/* How many limbs the magnitude of the result has, but for a carry. An operand that rules what is above it
** (0 of "and", -1 of "or") has the last word where it ends. */
static size_t result_length(operation how, const number_t* x, const number_t* y) {
  if (how == XOR || x->negative == y->negative) {
    bool most = how == XOR || x->negative == (how == AND);
    return (x->n > y->n) == most ? x->n : y->n;
  }
  return x->negative == (how == OR) ? x->n : y->n;
}

static void combine_limbs(operation how, limb* r, size_t n, const number_t* x, const number_t* y) {
  limb sign_x = sign_bits(x), sign_y = sign_bits(y), sign = combine(how, sign_x, sign_y);
  limb carry_x = sign_x & 1, carry_y = sign_y & 1, carry = sign & 1;
  for (size_t i = 0; i < n; i++) {
    limb u = ((i < x->n ? x->limbs[i] : 0) ^ sign_x) + carry_x;
    limb v = ((i < y->n ? y->limbs[i] : 0) ^ sign_y) + carry_y;
    carry_x &= u == 0;
    carry_y &= v == 0;
    r[i] = (combine(how, u, v) ^ sign) + carry;
    carry &= r[i] == 0;
  }
}

static bool bitwise(rc_word* a, rc_word b, operation how) {
  number_t x, y;
  if (rc_is_int(*a) && rc_is_int(b)) {
    *a = rc_int((int64_t)combine(how, (limb)rc_to_int(*a), (limb)rc_to_int(b)));
    return true;
  }
  number_read(&x, *a);
  number_read(&y, b);
  bool negative = combine(how, x.negative, y.negative) & 1;
  size_t n = result_length(how, &x, &y) + negative;
  rc_object* o = number_room(a, n);
  if (o == NULL) return false;
  combine_limbs(how, big_limbs(o), n, &x, &y);
  return number_put(a, o, negative, n);
}

bool rc_big_and(rc_word* a, rc_word b) { return bitwise(a, b, AND); }
bool rc_big_or(rc_word* a, rc_word b) { return bitwise(a, b, OR); }
bool rc_big_xor(rc_word* a, rc_word b) { return bitwise(a, b, XOR); }
/* All bits, so those of the sign, too. */
bool rc_big_not(rc_word* a) { return bitwise(a, rc_int(-1), XOR); }
