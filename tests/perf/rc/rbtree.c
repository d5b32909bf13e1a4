/* rbtree.c: N inserts into a red-black map (Okasaki's), then a fold; every KEEP-th version is kept
** if KEEP > 0. After the benchmark of Lean and Koka ("Counting Immutable Beans", IFL 2019). */
#include "emit.h"

enum { RED, BLACK };
enum { LEFT, KEY, VALUE, RIGHT, FIELDS }; /* a leaf is RC_NIL */

static rc_word node(rc_object* shell, uint8_t colour, rc_word left, rc_word key, rc_word value,
                    rc_word right) {
  rc_object* o = renew(shell, colour, FIELDS);
  store(o, LEFT, left);
  store(o, KEY, key);
  store(o, VALUE, value);
  store(o, RIGHT, right);
  return rc_from(o);
}

static bool is_red(rc_word t) { return rc_is_object(t) && rc_to(t)->tag == RED; }

typedef struct parts {
  rc_object* shell;
  rc_word left, key, value, right;
} parts;

static inline parts open(rc_word t) {
  rc_object* o = rc_to(t);
  parts p = {NULL, field(o, LEFT), field(o, KEY), field(o, VALUE), field(o, RIGHT)};
  p.shell = take(o, p.left, p.right);
  return p;
}

/* A black node with p's fields, in its shell; l replaces its left child, which was red. */
static rc_word balance_left(parts p, rc_word l) {
  if (is_red(field(rc_to(l), LEFT))) {
    parts y = open(l), x = open(y.left);
    rc_word right = node(y.shell, BLACK, y.right, p.key, p.value, p.right);
    rc_word left = node(x.shell, BLACK, x.left, x.key, x.value, x.right);
    return node(p.shell, RED, left, y.key, y.value, right);
  }
  if (is_red(field(rc_to(l), RIGHT))) {
    parts x = open(l), y = open(x.right);
    rc_word left = node(x.shell, BLACK, x.left, x.key, x.value, y.left);
    rc_word right = node(y.shell, BLACK, y.right, p.key, p.value, p.right);
    return node(p.shell, RED, left, y.key, y.value, right);
  }
  return node(p.shell, BLACK, l, p.key, p.value, p.right);
}

static rc_word balance_right(parts p, rc_word r) {
  if (is_red(field(rc_to(r), LEFT))) {
    parts z = open(r), y = open(z.left);
    rc_word left = node(y.shell, BLACK, p.left, p.key, p.value, y.left);
    rc_word right = node(z.shell, BLACK, y.right, z.key, z.value, z.right);
    return node(p.shell, RED, left, y.key, y.value, right);
  }
  if (is_red(field(rc_to(r), RIGHT))) {
    parts y = open(r), z = open(y.right);
    rc_word left = node(y.shell, BLACK, p.left, p.key, p.value, y.left);
    rc_word right = node(z.shell, BLACK, z.left, z.key, z.value, z.right);
    return node(p.shell, RED, left, y.key, y.value, right);
  }
  return node(p.shell, BLACK, p.left, p.key, p.value, r);
}

static rc_word ins(rc_word t, rc_word key, rc_word value);

/* Into a node that others have, too: a copy. */
static rc_word ins_shared(rc_word t, rc_word key, rc_word value) {
  uint8_t colour = rc_to(t)->tag;
  parts p = open(t);
  if (rc_to_int(key) < rc_to_int(p.key)) {
    bool fix = colour == BLACK && is_red(p.left);
    rc_word l = ins(p.left, key, value);
    return fix ? balance_left(p, l) : node(NULL, colour, l, p.key, p.value, p.right);
  }
  if (rc_to_int(key) > rc_to_int(p.key)) {
    bool fix = colour == BLACK && is_red(p.right);
    rc_word r = ins(p.right, key, value);
    return fix ? balance_right(p, r) : node(NULL, colour, p.left, p.key, p.value, r);
  }
  return node(NULL, colour, p.left, key, value, p.right);
}

/* The same node, but for a field: what stays in a shell is not loaded and stored ("Perceus", reuse specialization). */
static inline rc_word remade(rc_object* o, size_t i, rc_word w) {
  rc_object* made_again = made(rc_reuse(o, o->tag, FIELDS));
  store(made_again, i, w);
  return rc_from(made_again);
}

static rc_word ins(rc_word t, rc_word key, rc_word value) {
  if (rc_is_int(t)) return node(NULL, RED, RC_NIL, key, value, RC_NIL);
  rc_object* o = rc_to(t);
  if (!rc_is_unique(o)) return ins_shared(t, key, value);
  if (rc_to_int(key) < rc_to_int(field(o, KEY))) {
    bool fix = o->tag == BLACK && is_red(field(o, LEFT));
    rc_word l = ins(field(o, LEFT), key, value);
    return fix ? balance_left(open(t), l) : remade(o, LEFT, l);
  }
  if (rc_to_int(key) > rc_to_int(field(o, KEY))) {
    bool fix = o->tag == BLACK && is_red(field(o, RIGHT));
    rc_word r = ins(field(o, RIGHT), key, value);
    return fix ? balance_right(open(t), r) : remade(o, RIGHT, r);
  }
  return remade(o, VALUE, value);
}

static rc_word insert(rc_word t, rc_word key, rc_word value) {
  if (!is_red(t)) return ins(t, key, value);
  parts p = open(ins(t, key, value));
  return node(p.shell, BLACK, p.left, p.key, p.value, p.right);
}

/* How many values are true. */
static int64_t fold(rc_word t) {
  if (rc_is_int(t)) return 0;
  rc_object* o = rc_to(t);
  return fold(field(o, LEFT)) + rc_to_int(field(o, VALUE)) + fold(field(o, RIGHT));
}

int main(int argc, char** argv) {
  int64_t n = argc > 1 ? atoll(argv[1]) : 4200000, keep = argc > 2 ? atoll(argv[2]) : 0;
  rc_word tree = RC_NIL, kept = RC_NIL;
  for (int64_t i = n; i > 0; i--) {
    tree = insert(tree, rc_int(i), rc_int(i % 10 == 0));
    if (keep > 0 && i % keep == 0) kept = pair(NULL, 0, share(tree), kept);
  }
  int64_t result = fold(tree);
  rc_dec_word(tree);
  rc_dec_word(kept);
  return finish(result);
}
