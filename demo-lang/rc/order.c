/* rc/order.c: the order of values, and hashes that agree with it.
**
** nil, false, true, numbers, texts, lists, vectors, maps. Numbers go by value, whether they are
** Lua's integers, floats or big ones; NaN is below all others and equal to itself. Texts go by
** their bytes, strings or ropes. Lists and vectors go by their elements from the first on, maps by
** their number of keys, then by keys and values in the order of `entries`.
**
** What is looked at is paid for: a step for an element or 32 bytes that are compared, 8 that are
** hashed. Recursion is once a level, DEPTH at most. */
#include <math.h>

#include "demo-lang/rc/value.h"

enum { STEPS_OF_ELEMENT = 1, STEPS_OF_LEVEL = 4, BYTES_OF_LIMB = 8 };

static void enter(purse* p, int depth) {
  if (depth >= DEPTH) luaL_error(p->L, "values nest too deeply (more than %d levels)", DEPTH);
  pay(p, STEPS_OF_LEVEL);
}

static int order_of(bool less, bool more) { return (int)more - (int)less; }
#define ORDER(a, b) order_of((a) < (b), (a) > (b))

/* ---- Numbers --------------------------------------------------------------------------------- */

static bool is_number(const value* v) {
  return v->kind == INTEGER || v->kind == FLOAT || v->kind == BIG;
}

/* Of one that is no float; false: it does not fit. */
static bool int64_of(const value* v, int64_t* i) {
  if (v->kind == BIG) return rc_big_to_int64(v->word, i);
  *i = v->integer;
  return true;
}

static void pay_number(purse* p, const value* v) {
  if (v->kind == BIG) pay(p, rc_big_bits(v->word) / (8 * BYTES_OF_STEP));
}

size_t float_limbs(lua_Number x, uint64_t limbs[FLOAT_LIMBS]) {
  enum { DIGITS = 53, BITS = 64 };
  int exponent;
  uint64_t digits = (uint64_t)ldexp(frexp(fabs(x), &exponent), DIGITS);
  unsigned shift = (unsigned)(exponent - DIGITS);
  for (size_t i = 0; i < FLOAT_LIMBS; i++) limbs[i] = 0;
  limbs[shift / BITS] = digits << shift % BITS;
  if (shift % BITS != 0) limbs[shift / BITS + 1] = digits >> (BITS - shift % BITS);
  size_t n = shift / BITS + 2;
  return limbs[n - 1] == 0 ? n - 1 : n;
}

static int compare_integers(purse* p, const value* a, const value* b) {
  int64_t i, j;
  bool a_fits = int64_of(a, &i), b_fits = int64_of(b, &j);
  if (a_fits && b_fits) return ORDER(i, j);
  if (a_fits) return -rc_big_sign(b->word);
  if (b_fits) return rc_big_sign(a->word);
  pay_number(p, a);
  return rc_big_compare(a->word, b->word);
}

/* An integer beyond 64 bits with a float. */
static int compare_big_float(rc_word big, lua_Number x) {
  uint64_t limbs[FLOAT_LIMBS], small;
  size_t n, m;
  int sign = rc_big_sign(big);
  if (fabs(x) < 0x1p63 || (x > 0) != (sign > 0)) return sign;
  if (isinf(x)) return -sign;
  const uint64_t* digits = rc_big_limbs(big, &n, &small);
  m = float_limbs(x, limbs);
  if (n != m) return n < m ? -sign : sign;
  while (n > 0 && digits[n - 1] == limbs[n - 1]) n--;
  return n == 0 ? 0 : digits[n - 1] < limbs[n - 1] ? -sign : sign;
}

static int compare_int_float(const value* a, lua_Number x) {
  int64_t i;
  if (isnan(x)) return 1;
  if (!int64_of(a, &i)) return compare_big_float(a->word, x);
  if (x >= 0x1p63) return -1;
  if (x < -0x1p63) return 1;
  int64_t whole = (int64_t)floor(x);
  return i != whole ? ORDER(i, whole) : -(floor(x) < x);
}

static int compare_numbers(purse* p, const value* a, const value* b) {
  if (a->kind != FLOAT && b->kind != FLOAT) return compare_integers(p, a, b);
  if (a->kind != FLOAT) return compare_int_float(a, b->number);
  if (b->kind != FLOAT) return -compare_int_float(b, a->number);
  if (isnan(a->number) || isnan(b->number)) return order_of(!isnan(b->number), !isnan(a->number));
  return ORDER(a->number, b->number);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static bool is_text(const value* v) { return v->kind == STRING || v->kind == ROPE; }

static int compare_texts(purse* p, const value* a, const value* b, bool equality) {
  size_t n, m;
  if (equality && text_length(a) != text_length(b)) return 1;
  if (a->kind == ROPE && b->kind == ROPE && a->word == b->word) return 0;
  for (size_t i = 0;; i += n < m ? n : m) {
    const char *s = text_chunk(a, i, &n), *t = text_chunk(b, i, &m);
    if (s == NULL || t == NULL) return (s != NULL) - (t != NULL);
    if (n > m) n = m;
    if (n > WINDOW) n = WINDOW;
    pay(p, n / BYTES_OF_STEP);
    int order = memcmp(s, t, n);
    if (order != 0) return order;
    m = n;
  }
}

/* ---- Collections ----------------------------------------------------------------------------- */

static int compare_words(purse* p, rc_word a, rc_word b, bool equality, int depth) {
  if (a == b) return 0;
  value v = value_of(a), w = value_of(b);
  return value_compare(p, &v, &w, equality, depth);
}

static int compare_lists(purse* p, rc_word a, rc_word b, bool equality, int depth) {
  if (equality && list_count(a) != list_count(b)) return 1;
  rc_word x = list_cells(a), y = list_cells(b);
  for (; x != y && x != RC_NIL && y != RC_NIL; x = rc_list_tail(x), y = rc_list_tail(y)) {
    pay(p, STEPS_OF_ELEMENT);
    int order = compare_words(p, rc_list_head(x), rc_list_head(y), equality, depth);
    if (order != 0) return order;
  }
  return x == y ? 0 : (x != RC_NIL) - (y != RC_NIL);
}

static int compare_vectors(purse* p, rc_word a, rc_word b, bool equality, int depth) {
  size_t n, m, least = rc_vec_length(a), length = rc_vec_length(b);
  if (equality && least != length) return 1;
  if (least > length) least = length;
  for (size_t i = 0; i < least; i += n) {
    const rc_word *x = rc_vec_chunk(a, i, &n), *y = rc_vec_chunk(b, i, &m);
    if (n > m) n = m;
    if (n > least - i) n = least - i;
    pay(p, n * STEPS_OF_ELEMENT);
    for (size_t k = 0; k < n && x != y; k++) {
      int order = compare_words(p, x[k], y[k], equality, depth);
      if (order != 0) return order;
    }
  }
  return ORDER(rc_vec_length(a), length);
}

static int compare_maps(purse* p, rc_word a, rc_word b, bool equality, int depth) {
  rc_word key, other_key, w, other;
  int order = ORDER(rc_map_count(a), rc_map_count(b));
  entries x = entries_of(a, depth), y = entries_of(b, depth);
  while (order == 0 && entries_next(p, &x, &key, &w) && entries_next(p, &y, &other_key, &other)) {
    pay(p, STEPS_OF_ELEMENT);
    order = compare_words(p, key, other_key, equality, depth);
    if (order == 0) order = compare_words(p, w, other, equality, depth);
  }
  return order;
}

static int rank_of(const value* v) {
  static const int ranks[] = {[NIL] = 0,  [BOOLEAN] = 1, [INTEGER] = 2, [FLOAT] = 2,  [BIG] = 2,
                              [ROPE] = 3, [STRING] = 3,  [LIST] = 4,    [VECTOR] = 5, [MAP] = 6};
  return ranks[v->kind];
}

int value_compare(purse* p, const value* a, const value* b, bool equality, int depth) {
  if (rank_of(a) != rank_of(b)) return ORDER(rank_of(a), rank_of(b));
  if (a->kind == NIL) return 0;
  if (a->kind == BOOLEAN) return ORDER(a->boolean, b->boolean);
  if (is_number(a)) return compare_numbers(p, a, b);
  if (is_text(a)) return compare_texts(p, a, b, equality);
  if (a->word == b->word) return 0;
  enter(p, depth);
  if (a->kind == LIST) return compare_lists(p, a->word, b->word, equality, depth + 1);
  if (a->kind == VECTOR) return compare_vectors(p, a->word, b->word, equality, depth + 1);
  return compare_maps(p, a->word, b->word, equality, depth + 1);
}

/* ---- Hashes ---------------------------------------------------------------------------------- */

/* A bijection that spreads each bit over all (Steele, Lea, Flood's SplitMix, OOPSLA 2014). */
static uint64_t mix(uint64_t h) {
  h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
  h = (h ^ h >> 27) * 0x94d049bb133111ebu;
  return h ^ h >> 31;
}
static uint64_t join(uint64_t h, uint64_t with) { return mix(h * 0x9e3779b97f4a7c15u + with); }

static uint64_t hash_limbs(const uint64_t* limbs, size_t n, bool negative) {
  uint64_t h = 2 * n + negative;
  for (size_t i = 0; i < n; i++) h = join(h, limbs[i]);
  return h;
}

static uint64_t hash_int64(int64_t i) {
  uint64_t magnitude = i < 0 ? -(uint64_t)i : (uint64_t)i;
  return hash_limbs(&magnitude, i != 0, i < 0);
}

static uint64_t hash_float(lua_Number x) {
  uint64_t limbs[FLOAT_LIMBS];
  if (isnan(x)) return mix(FLOAT);
  if (x >= -0x1p63 && x < 0x1p63 && x == floor(x)) return hash_int64((int64_t)x);
  if (isfinite(x) && x == floor(x)) return hash_limbs(limbs, float_limbs(x, limbs), x < 0);
  memcpy(limbs, &x, sizeof x);
  return mix(limbs[0]);
}

static uint64_t hash_big(purse* p, const value* v) {
  uint64_t small;
  size_t n;
  pay_number(p, v);
  const uint64_t* limbs = rc_big_limbs(v->word, &n, &small);
  return hash_limbs(limbs, n, rc_big_sign(v->word) < 0);
}

/* FNV-1a (Fowler, Noll, Vo), and spread. */
static uint64_t hash_text(purse* p, const value* v) {
  uint64_t h = 0xcbf29ce484222325u;
  const char* s;
  for (size_t i = 0, n; (s = text_chunk(v, i, &n)) != NULL; i += n) {
    if (n > WINDOW) n = WINDOW;
    pay(p, n / BYTES_LOOKED_AT);
    for (size_t k = 0; k < n; k++) h = (h ^ (unsigned char)s[k]) * 0x100000001b3u;
  }
  return mix(h);
}

static uint64_t hash_word(purse* p, rc_word w, int depth) {
  value v = value_of(w);
  pay(p, STEPS_OF_ELEMENT);
  return value_hash(p, &v, depth);
}

static uint64_t hash_list(purse* p, rc_word list, int depth) {
  uint64_t h = join(LIST, list_count(list));
  for (rc_word at = list_cells(list); at != RC_NIL; at = rc_list_tail(at))
    h = join(h, hash_word(p, rc_list_head(at), depth));
  return h;
}

static uint64_t hash_vector(purse* p, rc_word v, int depth) {
  uint64_t h = join(VECTOR, rc_vec_length(v));
  const rc_word* words;
  for (size_t i = 0, n; (words = rc_vec_chunk(v, i, &n)) != NULL; i += n)
    for (size_t k = 0; k < n; k++) h = join(h, hash_word(p, words[k], depth));
  return h;
}

/* A sum, so whatever the order. */
static uint64_t hash_map(purse* p, rc_word m, int depth) {
  uint64_t h = join(MAP, rc_map_count(m));
  rc_word key, w;
  for (rc_map_iter it = rc_map_begin(m); rc_map_next(&it, &key, &w);)
    h += join(hash_word(p, key, depth), hash_word(p, w, depth));
  return h;
}

uint64_t value_hash(purse* p, const value* v, int depth) {
  switch (v->kind) {
    case NIL:
      return mix(NIL);
    case BOOLEAN:
      return join(BOOLEAN, v->boolean);
    case INTEGER:
      return hash_int64(v->integer);
    case FLOAT:
      return hash_float(v->number);
    case BIG:
      return hash_big(p, v);
    case STRING:
    case ROPE:
      return hash_text(p, v);
    default:
      break;
  }
  enter(p, depth);
  if (v->kind == LIST) return hash_list(p, v->word, depth + 1);
  return v->kind == VECTOR ? hash_vector(p, v->word, depth + 1) : hash_map(p, v->word, depth + 1);
}

/* ---- Maps: keys, and entries in order -------------------------------------------------------- */

map_key map_key_of(lua_State* L, const value* key) {
  map_key k = {.purse = purse_new(L), .key = *key, .word = WORD_NOT_HELD};
  value_make_key(&k.key);
  k.hash = value_hash(&k.purse, &k.key, 0);
  return k;
}

static uint64_t key_hash(rc_word key, void* arg) {
  map_key* k = arg;
  return key == k->word ? k->hash : hash_word(&k->purse, key, 0);
}

/* Each key that is passed costs more than the bytes that are compared. */
static bool key_equal(rc_word a, rc_word b, void* arg) {
  enum { STEPS_OF_KEY = STEPS_OF_TICK / 2 };
  map_key* k = arg;
  value v = value_of(a);
  (void)b;
  if (k->passed++ > 0) pay(&k->purse, STEPS_OF_KEY);
  return value_compare(&k->purse, &v, &k->key, true, 0) == 0;
}

rc_map_ops map_ops(map_key* k) { return (rc_map_ops){key_hash, key_equal, k}; }

entries entries_of(rc_word map, int depth) {
  return (entries){.at = rc_map_begin(map), .depth = depth};
}

/* Keys with one hash lie in one node, at the last level, in the order in which they came. */
enum { LAST_LEVEL = RC_MAP_LEVELS - 1 };

static bool run_step(const entries* e, rc_map_iter* it, rc_word* key, rc_word* w) {
  return rc_map_next(it, key, w) && it->depth == LAST_LEVEL &&
         it->node[LAST_LEVEL] == e->run.node[LAST_LEVEL];
}

/* `at` has just given the first key of such a run; it goes behind it. */
static void run_begin(purse* p, entries* e) {
  rc_word key, w;
  rc_map_iter it = e->at;
  e->run = e->at;
  e->run.next[LAST_LEVEL]--;
  e->last = 0;
  for (e->left = 1; run_step(e, &it, &key, &w); e->left++) {
    pay(p, STEPS_OF_ELEMENT);
    e->at = it;
  }
}

/* The least key of the run that is above the last one. */
static bool run_next(purse* p, entries* e, rc_word* key, rc_word* w) {
  rc_map_iter it = e->run;
  rc_word k, x, least = 0;
  while (run_step(e, &it, &k, &x)) {
    pay(p, STEPS_OF_LEVEL);
    if (e->last != 0 && compare_words(p, k, e->last, false, e->depth) <= 0) continue;
    if (least != 0 && compare_words(p, k, least, false, e->depth) >= 0) continue;
    *key = least = k;
    *w = x;
  }
  e->last = least;
  e->left--;
  return true;
}

bool entries_next(purse* p, entries* e, rc_word* key, rc_word* w) {
  if (e->left > 0) return run_next(p, e, key, w);
  if (!rc_map_next(&e->at, key, w)) return false;
  if (e->at.depth < LAST_LEVEL) return true;
  run_begin(p, e);
  return run_next(p, e, key, w);
}
