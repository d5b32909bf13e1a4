/* deriv.c: the N-th symbolic derivative of x^x, simplified; prints its leaves. After Lean's. */
#include "emit.h"

enum { VAL, VAR, ADD, MUL, POW, LN };

static uint8_t tag_of(rc_word e) { return rc_to(e)->tag; }
static rc_word part(rc_word e, size_t i) { return field(rc_to(e), i); }
static bool is(rc_word e, uint8_t tag) { return tag_of(e) == tag; }
static int64_t value_of(rc_word e) { return rc_to_int(part(e, 0)); }
static bool is_val(rc_word e, int64_t n) { return is(e, VAL) && value_of(e) == n; }
/* Is e a sum (product) whose first part is a constant? */
static bool has_val(rc_word e, uint8_t tag) { return is(e, tag) && is(part(e, 0), VAL); }

static rc_word single(rc_object* shell, uint8_t tag, rc_word a) {
  rc_object* o = renew(shell, tag, 1);
  store(o, 0, a);
  return rc_from(o);
}
static rc_word val(rc_object* shell, int64_t n) { return single(shell, VAL, rc_int(n)); }

/* A constant was matched and is not needed: its shell, if nobody else has it. */
static rc_object* take_val(rc_word e) { return take(rc_to(e), RC_NIL, RC_NIL); }
static void open(rc_word e, rc_word* a, rc_word* b) {
  *a = part(e, 0);
  *b = part(e, 1);
  drop(take(rc_to(e), *a, *b));
}

static int64_t power(int64_t a, int64_t n) {
  if (n == 0) return 1;
  if (n == 1) return a;
  int64_t b = power(a, n / 2);
  return b * b * (n % 2 == 0 ? 1 : a);
}

static rc_word only(rc_word keep, rc_word other) {
  rc_dec_word(other);
  return keep;
}

static rc_word two_vals(rc_word a, rc_word b, int64_t n) {
  rc_dec_word(b);
  return val(take_val(a), n);
}

static rc_word add(rc_word a, rc_word b);
static rc_word mul(rc_word a, rc_word b);

/* a joined with b = (Val n, g): the constants meet in front. */
static rc_word meet(uint8_t tag, rc_word a, rc_word b) {
  rc_word (*join)(rc_word, rc_word) = tag == ADD ? add : mul, n, g;
  open(b, &n, &g);
  if (!is(a, VAL)) return join(n, join(a, g));
  int64_t value = tag == ADD ? value_of(a) + value_of(n) : value_of(a) * value_of(n);
  return join(two_vals(a, n, value), g);
}

static rc_word add(rc_word a, rc_word b) {
  if (is(a, VAL) && is(b, VAL)) return two_vals(a, b, value_of(a) + value_of(b));
  if (is_val(a, 0)) return only(b, a);
  if (is_val(b, 0)) return only(a, b);
  if (is(b, VAL)) return add(b, a);
  if (has_val(b, ADD)) return meet(ADD, a, b);
  if (!is(a, ADD)) return pair(NULL, ADD, a, b);
  rc_word f, g;
  open(a, &f, &g);
  return add(f, add(g, b));
}

static rc_word mul(rc_word a, rc_word b) {
  if (is(a, VAL) && is(b, VAL)) return two_vals(a, b, value_of(a) * value_of(b));
  if (is_val(a, 0)) return only(a, b);
  if (is_val(b, 0)) return only(b, a);
  if (is_val(a, 1)) return only(b, a);
  if (is_val(b, 1)) return only(a, b);
  if (is(b, VAL)) return mul(b, a);
  if (has_val(b, MUL)) return meet(MUL, a, b);
  if (!is(a, MUL)) return pair(NULL, MUL, a, b);
  rc_word f, g;
  open(a, &f, &g);
  return mul(f, mul(g, b));
}

static rc_word pow_of(rc_word a, rc_word b) {
  if (is(a, VAL) && is(b, VAL)) return two_vals(a, b, power(value_of(a), value_of(b)));
  if (is_val(b, 0)) {
    rc_dec_word(a);
    return val(take_val(b), 1);
  }
  if (is_val(b, 1)) return only(a, b);
  if (is_val(a, 0)) return only(a, b);
  return pair(NULL, POW, a, b);
}

static rc_word ln_of(rc_word a) { return is_val(a, 1) ? val(take_val(a), 0) : single(NULL, LN, a); }

static rc_word derive(int64_t x, rc_word e);

static rc_word derive_pow(int64_t x, rc_word f, rc_word g) {
  rc_word power_of = pow_of(share(f), share(g)), df = derive(x, share(f));
  rc_word inner = mul(mul(share(g), df), pow_of(share(f), val(NULL, -1)));
  return mul(power_of, add(inner, mul(ln_of(f), derive(x, g))));
}

static rc_word derive_pair(int64_t x, uint8_t tag, rc_word e) {
  rc_word f, g;
  open(e, &f, &g);
  if (tag == POW) return derive_pow(x, f, g);
  if (tag == ADD) {
    rc_word df = derive(x, f);
    return add(df, derive(x, g));
  }
  rc_word left = mul(share(f), derive(x, share(g)));
  return add(left, mul(g, derive(x, f)));
}

static rc_word derive(int64_t x, rc_word e) {
  uint8_t tag = tag_of(e);
  if (tag == VAL) return val(take_val(e), 0);
  if (tag == VAR) {
    int64_t y = value_of(e);
    return val(take_val(e), x == y);
  }
  if (tag != LN) return derive_pair(x, tag, e);
  rc_word f = part(e, 0);
  drop(take(rc_to(e), f, RC_NIL));
  rc_word df = derive(x, share(f));
  return mul(df, pow_of(f, val(NULL, -1)));
}

/* Borrows. */
static int64_t size_of(rc_word e) {
  uint8_t tag = tag_of(e);
  if (tag == VAL || tag == VAR) return 1;
  return size_of(part(e, 0)) + (tag == LN ? 0 : size_of(part(e, 1)));
}

int main(int argc, char** argv) {
  enum { X };
  int64_t n = argc > 1 ? atoll(argv[1]) : 10, size = 0;
  rc_word x = single(NULL, VAR, rc_int(X)), e = pow_of(share(x), x);
  for (int64_t i = 0; i < n; i++) {
    e = derive(X, e);
    size = size_of(e);
  }
  rc_dec_word(e);
  return finish(size);
}
