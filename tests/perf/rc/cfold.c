/* cfold.c: an expression of 2^N leaves is reassociated and its constants are folded. After Lean's
** const_fold. */
#include "emit.h"

enum { VAL, VAR, ADD, MUL };

static rc_word leaf(rc_object* shell, uint8_t tag, int64_t value) {
  rc_object* o = renew(shell, tag, 1);
  store(o, 0, rc_int(value));
  return rc_from(o);
}

static uint8_t tag_of(rc_word e) { return rc_to(e)->tag; }
static rc_word part(rc_word e, size_t i) { return field(rc_to(e), i); }
static int64_t value_of(rc_word e) { return rc_to_int(part(e, 0)); }

static rc_object* open(rc_word e, rc_word* a, rc_word* b) {
  *a = part(e, 0);
  *b = part(e, 1);
  return take(rc_to(e), *a, *b);
}

static rc_word make(int64_t depth, int64_t value) {
  if (depth == 0) return value == 0 ? leaf(NULL, VAR, 1) : leaf(NULL, VAL, value);
  rc_word left = make(depth - 1, value + 1);
  return pair(NULL, ADD, left, make(depth - 1, value == 0 ? 0 : value - 1));
}

/* `tag`: e1 and e2, with the chain of e1 to the right. */
static rc_word append(uint8_t tag, rc_word e1, rc_word e2) {
  if (tag_of(e1) != tag) return pair(NULL, tag, e1, e2);
  rc_word a, b;
  rc_object* shell = open(e1, &a, &b);
  return pair(shell, tag, a, append(tag, b, e2));
}

static rc_word reassociate(rc_word e) {
  uint8_t tag = tag_of(e);
  if (tag != ADD && tag != MUL) return e;
  rc_word a, b;
  drop(open(e, &a, &b));
  rc_word left = reassociate(a);
  return append(tag, left, reassociate(b));
}

static int64_t apply(uint8_t tag, int64_t a, int64_t b) { return tag == ADD ? a + b : a * b; }

/* `constant` and `e`, which has the same tag: its constant moves up if it has one. Takes both. */
static rc_word fold_into(rc_object* shell, uint8_t tag, rc_word constant, rc_word e) {
  bool first = tag_of(part(e, 0)) == VAL;
  if (!first && tag_of(part(e, 1)) != VAL) return pair(shell, tag, constant, e);
  rc_word a, b;
  drop(open(e, &a, &b));
  rc_word other = first ? a : b, rest = first ? b : a;
  int64_t value = apply(tag, value_of(constant), value_of(other));
  rc_object* old = take(rc_to(other), RC_NIL, RC_NIL);
  rc_dec_word(constant);
  return pair(shell, tag, leaf(old, VAL, value), rest);
}

static rc_word fold(rc_word e) {
  uint8_t tag = tag_of(e);
  if (tag != ADD && tag != MUL) return e;
  rc_word a, b;
  rc_object* shell = open(e, &a, &b);
  a = fold(a);
  b = fold(b);
  if (tag_of(a) != VAL) return pair(shell, tag, a, b);
  if (tag_of(b) == tag) return fold_into(shell, tag, a, b);
  if (tag_of(b) != VAL) return pair(shell, tag, a, b);
  int64_t value = apply(tag, value_of(a), value_of(b));
  drop(shell);
  rc_dec_word(b);
  return leaf(take(rc_to(a), RC_NIL, RC_NIL), VAL, value);
}

/* Borrows. A variable is 0. */
static int64_t eval(rc_word e) {
  uint8_t tag = tag_of(e);
  if (tag == VAL) return value_of(e);
  return tag == VAR ? 0 : apply(tag, eval(part(e, 0)), eval(part(e, 1)));
}

int main(int argc, char** argv) {
  rc_word e = make(argc > 1 ? atoll(argv[1]) : 20, 1);
  int64_t before = eval(e);
  rc_word folded = fold(reassociate(e));
  int64_t after = eval(folded);
  rc_dec_word(folded);
  printf("%lld ", (long long)before);
  return finish(after);
}
