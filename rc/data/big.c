/* big.c: integers of any size: sums, products, quotients, digits. big.h tells how they are kept, bits.c
** has shifts and what works on bits, ratio.c quotients as doubles. */
#include "rc/data/big.h"

static const limb SMALL_MOST = ((limb)1 << 62) - 1;

/* ---- Objects --------------------------------------------------------------------------------- */

rc_object* number_new(size_t n) {
  if (n <= LIMBS_MOST) return rc_bytes(RC_TAG_BIG, (n + 1) * sizeof(limb));
  errno = EINVAL;
  return NULL;
}

void number_read(number_t* x, rc_word w) {
  int64_t i = rc_is_int(w) ? rc_to_int(w) : *big_head(rc_to(w));
  x->negative = i < 0;
  x->n = rc_is_int(w) ? i != 0 : magnitude_of(i);
  x->small = magnitude_of(i);
  x->limbs = rc_is_int(w) ? &x->small : big_limbs(rc_to(w));
}

/* Of a number as long as n limbs: is there neither too little room, nor much too much? */
static bool room_fits(size_t room, size_t n) { return room >= n && room <= n + n / 4 + 1; }

rc_object* number_room(rc_word* a, size_t n) {
  if (rc_is_int(*a) || !room_fits(big_room(rc_to(*a)), n)) return number_new(n);
  rc_object* o = rc_to(*a);
  return rc_is_unique(o) ? rc_make_unique(o) : number_new(big_room(o));
}

/* The same number in an object without much room; o, owned, if there is no memory. */
static rc_object* shrink(rc_object* o, size_t n) {
  if (big_room(o) <= 2 * n + 2) return o;
  rc_object* smaller = number_new(n);
  if (smaller == NULL) return o;
  memcpy(rc_data(smaller), rc_data(o), (n + 1) * sizeof(limb));
  rc_dec(o);
  return smaller;
}

rc_word number_of(rc_object* o, bool negative, size_t n) {
  n = limbs_trim(big_limbs(o), n);
  limb lowest = n > 0 ? big_limbs(o)[0] : 0;
  if (n <= 1 && lowest <= SMALL_MOST + negative) {
    rc_dec(o);
    return rc_int(negative ? -(int64_t)lowest : (int64_t)lowest);
  }
  *big_head(o) = negative ? -(int64_t)n : (int64_t)n;
  return rc_from(shrink(o, n));
}

bool number_put(rc_word* a, rc_object* o, bool negative, size_t n) {
  bool in_place = *a == rc_from(o);
  rc_word w = number_of(o, negative, n);
  if (in_place)
    *a = w;
  else
    slot_set(a, w);
  return true;
}

static bool int64_put(rc_word* a, int64_t i) {
  rc_word w = rc_big_from(i);
  if (w == 0) return false;
  slot_set(a, w);
  return true;
}

/* ---- From and to machine integers; comparing ------------------------------------------------- */

rc_word rc_big_from(int64_t i) {
  if (rc_to_int(rc_int(i)) == i) return rc_int(i);
  rc_object* o = number_new(1);
  if (o == NULL) return 0;
  big_limbs(o)[0] = magnitude_of(i);
  return number_of(o, i < 0, 1);
}

const uint64_t* rc_big_limbs(rc_word a, size_t* n, uint64_t* small) {
  number_t x;
  number_read(&x, a);
  *n = x.n;
  *small = x.small;
  return rc_is_int(a) ? small : x.limbs;
}

rc_word rc_big_from_limbs(const uint64_t* limbs, size_t n, bool negative) {
  rc_object* o = number_new(n);
  if (o == NULL) return 0;
  memcpy(big_limbs(o), limbs, n * sizeof(limb));
  return number_of(o, negative, n);
}

bool rc_big_to_int64(rc_word a, int64_t* i) {
  number_t x;
  number_read(&x, a);
  limb magnitude = x.n > 0 ? x.limbs[0] : 0;
  if (x.n > 1 || magnitude > (limb)INT64_MAX + x.negative) return false;
  *i = (int64_t)(x.negative ? -magnitude : magnitude);
  return true;
}

int rc_big_sign(rc_word a) {
  number_t x;
  number_read(&x, a);
  return x.negative ? -1 : x.n > 0;
}

uint64_t rc_big_bits(rc_word a) {
  number_t x;
  number_read(&x, a);
  return x.n > 0 ? x.n * LIMB_BITS - (size_t)__builtin_clzll(x.limbs[x.n - 1]) : 0;
}

int rc_big_compare(rc_word a, rc_word b) {
  number_t x, y;
  number_read(&x, a);
  number_read(&y, b);
  if (x.negative != y.negative) return x.negative ? -1 : 1;
  int order = limbs_compare(x.limbs, x.n, y.limbs, y.n);
  return x.negative ? -order : order;
}

uint64_t rc_big_hash(rc_word a) {
  number_t x;
  number_read(&x, a);
  uint64_t hash = 2 * x.n + x.negative;
  for (size_t i = 0; i < x.n; i++) hash = hash_mix(hash * 0x9e3779b97f4a7c15u + x.limbs[i]);
  return hash;
}

/* ---- Sums ------------------------------------------------------------------------------------ */

bool rc_big_negate(rc_word* a) {
  if (rc_is_int(*a)) return int64_put(a, -rc_to_int(*a));
  rc_object* o = slot_own(a);
  if (o == NULL) return false;
  int64_t head = *big_head(o);
  return number_put(a, o, head > 0, magnitude_of(head));
}

/* Can x + y be longer than both? Of the longest limb alone: so it can, or nearly. */
static bool may_carry(const number_t* x, const number_t* y, size_t n) {
  limb top = x->n == n ? x->limbs[n - 1] : 0, sum;
  return __builtin_add_overflow(top, y->n == n ? y->limbs[n - 1] : 0, &sum) || sum == (limb)-1;
}

/* a + y, where x is a; neither is 0. */
static bool add(rc_word* a, const number_t* x, const number_t* y) {
  bool swap = limbs_compare(x->limbs, x->n, y->limbs, y->n) < 0, same = x->negative == y->negative;
  const number_t *more = swap ? y : x, *less = swap ? x : y;
  bool negative = more->negative;
  size_t n = more->n, room = n + (same && may_carry(x, y, n));
  rc_object* o = number_room(a, room);
  if (o == NULL) return false;
  limb* r = big_limbs(o);
  if (!same) {
    limbs_sub(r, more->limbs, n, less->limbs, less->n);
  } else {
    limb carry = limbs_add(r, more->limbs, n, less->limbs, less->n);
    if (room > n) r[n] = carry;
  }
  return number_put(a, o, negative, room);
}

static bool add_signed(rc_word* a, rc_word b, bool negated) {
  number_t x, y;
  if (rc_is_int(*a) && rc_is_int(b))
    return int64_put(a, rc_to_int(*a) + (negated ? -rc_to_int(b) : rc_to_int(b)));
  number_read(&x, *a);
  number_read(&y, b);
  y.negative ^= negated;
  return y.n == 0 || add(a, &x, &y);
}

bool rc_big_add(rc_word* a, rc_word b) { return add_signed(a, b, false); }
bool rc_big_subtract(rc_word* a, rc_word b) { return add_signed(a, b, true); }

/* ---- Products -------------------------------------------------------------------------------- */

static bool multiply_limb(rc_word* a, const number_t* x, limb by, bool negative) {
  size_t n = x->n;
  rc_object* o = number_room(a, n + 1);
  if (o == NULL) return false;
  big_limbs(o)[n] = limbs_mul_limb(big_limbs(o), x->limbs, n, by, 0);
  return number_put(a, o, negative, n + 1);
}

/* x is not shorter than y. */
static bool multiply(rc_word* a, const number_t* x, const number_t* y) {
  size_t n = x->n, m = y->n, needed = limbs_scratch(m);
  bool negative = x->negative != y->negative;
  rc_object* scratch = needed > 0 ? number_new(needed) : NULL;
  if (needed > 0 && scratch == NULL) return false;
  rc_object* o = number_new(n + m);
  if (o != NULL)
    limbs_mul(big_limbs(o), x->limbs, n, y->limbs, m, needed > 0 ? big_limbs(scratch) : NULL);
  if (scratch != NULL) rc_dec(scratch);
  return o != NULL && number_put(a, o, negative, n + m);
}

bool rc_big_multiply(rc_word* a, rc_word b) {
  number_t x, y;
  int64_t product;
  if (rc_is_int(*a) && rc_is_int(b) &&
      !__builtin_mul_overflow(rc_to_int(*a), rc_to_int(b), &product))
    return int64_put(a, product);
  number_read(&x, *a);
  number_read(&y, b);
  if (x.n == 0 || y.n == 0) return slot_set(a, RC_NIL), true;
  if (y.n == 1) return multiply_limb(a, &x, y.limbs[0], x.negative != y.negative);
  return x.n >= y.n ? multiply(a, &x, &y) : multiply(a, &y, &x);
}

/* ---- Quotients ------------------------------------------------------------------------------- */

/* Gives the caller the remainder, owned, if it wants that. */
static bool remainder_put(rc_word* remainder, rc_word w) {
  if (remainder != NULL)
    *remainder = w;
  else
    rc_dec_word(w);
  return true;
}

/* |a| < |b|: nothing is done. */
static bool divide_larger(rc_word* a, rc_word* remainder) {
  return remainder_put(remainder, slot_take(a));
}

/* By a boxed integer. */
static bool divide_small(rc_word* a, const number_t* x, const number_t* y, rc_word* remainder) {
  bool negative = x->negative, differ = negative != y->negative;
  size_t n = x->n;
  rc_object* o = number_room(a, n);
  if (o == NULL) return false;
  int64_t rest = (int64_t)limbs_div_limb(big_limbs(o), x->limbs, n, y->limbs[0]);
  number_put(a, o, differ, n);
  return remainder_put(remainder, rc_int(negative ? -rest : rest));
}

/* What a division works on: the quotient, and both numbers shifted so that the divisor's top bit is
** set. */
typedef struct division {
  rc_object *q, *u, *v;
} division_t;

static bool division_new(division_t* d, size_t n, size_t m) {
  *d = (division_t){number_new(n + 1 - m), NULL, NULL};
  if (d->q != NULL) d->u = number_new(n + 1);
  if (d->u != NULL) d->v = number_new(m);
  if (d->v != NULL) return true;
  if (d->u != NULL) rc_dec(d->u);
  if (d->q != NULL) rc_dec(d->q);
  return false;
}

static bool divide(rc_word* a, const number_t* x, const number_t* y, rc_word* remainder) {
  division_t d;
  size_t n = x->n, m = y->n;
  bool negative = x->negative, differ = negative != y->negative;
  if (!division_new(&d, n, m)) return false;
  unsigned bits = (unsigned)__builtin_clzll(y->limbs[m - 1]);
  limb *u = big_limbs(d.u), *v = big_limbs(d.v);
  u[n] = limbs_shift_left(u, x->limbs, n, bits);
  limbs_shift_left(v, y->limbs, m, bits);
  limbs_div(big_limbs(d.q), u, n + 1, v, m);
  limbs_shift_right(u, u, m, bits);
  rc_dec(d.v);
  number_put(a, d.q, differ, n + 1 - m);
  return remainder_put(remainder, number_of(d.u, negative, m));
}

bool rc_big_divide(rc_word* a, rc_word b, rc_word* remainder) {
  number_t x, y;
  if (b == RC_NIL) return fail(EDOM);
  if (rc_is_int(*a) && rc_is_int(b)) {
    int64_t i = rc_to_int(*a), by = rc_to_int(b);
    return int64_put(a, i / by) && remainder_put(remainder, rc_int(i % by));
  }
  number_read(&x, *a);
  number_read(&y, b);
  if (limbs_compare(x.limbs, x.n, y.limbs, y.n) < 0) return divide_larger(a, remainder);
  if (rc_is_int(b)) return divide_small(a, &x, &y, remainder);
  return divide(a, &x, &y, remainder);
}

/* ---- Digits ---------------------------------------------------------------------------------- */

/* As many digits as fit in a limb at once. */
typedef struct radix {
  limb base, power; /* base to the `digits` */
  unsigned digits;
} radix_t;

static bool radix_of(radix_t* x, unsigned base) {
  if (base < 2 || base > 36) return fail(EINVAL);
  *x = (radix_t){base, base, 1};
  for (limb next; !__builtin_mul_overflow(x->power, x->base, &next); x->digits++) x->power = next;
  return true;
}

static unsigned digit_of(char c) {
  if (c >= '0' && c <= '9') return (unsigned)(c - '0');
  if (c >= 'a' && c <= 'z') return (unsigned)(c - 'a') + 10;
  return c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A') + 10 : 36;
}

static bool are_digits(const char* text, size_t n, limb base) {
  for (size_t i = 0; i < n; i++)
    if (digit_of(text[i]) >= base) return false;
  return n > 0;
}

/* The number of that many digits. */
static limb limb_parse(const char* text, size_t n, limb base) {
  limb value = 0;
  for (size_t i = 0; i < n; i++) value = value * base + digit_of(text[i]);
  return value;
}

rc_word rc_big_parse(const char* text, size_t n, unsigned base) {
  radix_t by;
  if (!radix_of(&by, base)) return 0;
  bool negative = n > 0 && *text == '-';
  if (n > 0 && (*text == '-' || *text == '+')) text++, n--;
  if (!are_digits(text, n, base)) return fail(EINVAL);
  rc_object* o = number_new(n / by.digits + 1);
  if (o == NULL) return 0;
  size_t used = 0;
  for (size_t part = n % by.digits; n > 0; part = by.digits) {
    big_limbs(o)[used] =
        limbs_mul_limb(big_limbs(o), big_limbs(o), used, by.power, limb_parse(text, part, base));
    used++;
    text += part;
    n -= part;
  }
  return number_of(o, negative, used);
}

/* Writes the digits of the limbs, which are used up, before `end`; zeros may come first. */
static char* limbs_format(char* end, limb* limbs, size_t n, const radix_t* by) {
  static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  while ((n = limbs_trim(limbs, n)) > 0) {
    limb part = limbs_div_limb(limbs, limbs, n, by->power);
    for (unsigned i = 0; i < by->digits; i++, part /= by->base) *--end = digits[part % by->base];
  }
  return end;
}

/* A limb gives one part and less than an eighth more: the power is above 2^58. */
static size_t text_length(size_t n, const radix_t* by) { return (n + n / 8 + 1) * by->digits + 2; }

rc_word rc_big_format(rc_word a, unsigned base) {
  radix_t by;
  number_t x;
  if (!radix_of(&by, base)) return 0;
  number_read(&x, a);
  rc_object *limbs = number_new(x.n), *text = NULL, *exact = NULL;
  if (limbs != NULL) text = rc_bytes(RC_TAG_ROPE, text_length(x.n, &by));
  if (text != NULL) {
    memcpy(big_limbs(limbs), x.limbs, x.n * sizeof(limb));
    char *last = rc_data(text) + rc_length(text) - 1, *end = last + 1;
    char* first = limbs_format(end, big_limbs(limbs), x.n, &by);
    while (first < last && *first == '0') first++;
    if (first == end) *--first = '0';
    if (x.negative) *--first = '-';
    exact = rc_bytes(RC_TAG_ROPE, (size_t)(end - first));
    if (exact != NULL) memcpy(rc_data(exact), first, (size_t)(end - first));
  }
  if (text != NULL) rc_dec(text);
  if (limbs != NULL) rc_dec(limbs);
  return exact != NULL ? rc_from(exact) : 0;
}
