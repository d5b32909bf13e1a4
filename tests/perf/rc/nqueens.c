/* nqueens.c: all placements of N queens, lists that share their tails; prints how many. After
** Koka's. */
#include "emit.h"

enum { HEAD, TAIL };

/* Borrows the placement. */
static bool safe(int64_t queen, int64_t diagonal, rc_word placed) {
  for (; rc_is_object(placed); placed = field(rc_to(placed), TAIL), diagonal++) {
    int64_t q = rc_to_int(field(rc_to(placed), HEAD));
    if (queen == q || queen == q + diagonal || queen == q - diagonal) return false;
  }
  return true;
}

/* Takes both. */
static rc_word append_safe(int64_t queen, rc_word placed, rc_word found) {
  for (; queen > 0; queen--)
    if (safe(queen, 1, placed))
      found = pair(NULL, 0, pair(NULL, 0, rc_int(queen), share(placed)), found);
  rc_dec_word(placed);
  return found;
}

static rc_word extend(int64_t n, rc_word found, rc_word all) {
  while (rc_is_object(all)) {
    rc_object* o = rc_to(all);
    rc_word placed = field(o, HEAD), rest = field(o, TAIL);
    drop(take(o, placed, rest));
    found = append_safe(n, placed, found);
    all = rest;
  }
  return found;
}

static rc_word solutions(int64_t n, int64_t queen) {
  if (queen == 0) return pair(NULL, 0, RC_NIL, RC_NIL);
  return extend(n, RC_NIL, solutions(n, queen - 1));
}

int main(int argc, char** argv) {
  int64_t n = argc > 1 ? atoll(argv[1]) : 13, count = 0;
  rc_word all = solutions(n, n);
  for (rc_word w = all; rc_is_object(w); w = field(rc_to(w), TAIL)) count++;
  rc_dec_word(all);
  return finish(count);
}
