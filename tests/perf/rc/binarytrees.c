/* binarytrees.c: complete trees of depth 4 to N are made, counted and dropped. From the Benchmarks
** Game. */
#include "emit.h"

enum { LEFT, RIGHT, MIN_DEPTH = 4 };

static rc_word make(int depth) {
  if (depth == 0) return pair(NULL, 0, RC_NIL, RC_NIL);
  rc_word left = make(depth - 1);
  return pair(NULL, 0, left, make(depth - 1));
}

/* Borrows. */
static int64_t count(rc_word t) {
  rc_object* o = rc_to(t);
  if (rc_is_int(field(o, LEFT))) return 1;
  return 1 + count(field(o, LEFT)) + count(field(o, RIGHT));
}

static int64_t made_and_counted(int depth) {
  rc_word t = make(depth);
  int64_t n = count(t);
  rc_dec_word(t);
  return n;
}

int main(int argc, char** argv) {
  int n = argc > 1 ? atoi(argv[1]) : 21;
  int64_t sum = made_and_counted(n + 1);
  rc_word lasting = make(n);
  for (int depth = MIN_DEPTH; depth <= n; depth += 2)
    for (int64_t i = (int64_t)1 << (n - depth + MIN_DEPTH); i > 0; i--)
      sum += made_and_counted(depth);
  sum += count(lasting);
  rc_dec_word(lasting);
  return finish(sum);
}
