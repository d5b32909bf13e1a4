/* cfrac: factors a number by the continued fraction method.

   Morrison and Brillhart, "A method of factoring and the factorization of F7", Mathematics of
   Computation 29 (1975). The convergents A/B of sqrt(kN) satisfy

       A[i-1]^2 = (-1)^i Q[i]  (mod N)   with   0 < Q[i] < 2 sqrt(kN).

   The Q that split over a base of small primes are collected until there are more of them than
   primes; then some product of them is a square, X^2 = Y^2 (mod N), and gcd(X - Y, N) divides N.
   At least half of the squares give a proper divisor if N is odd, composite and not a power of a
   prime. The multiplier k is Knuth and Schroeppel's choice, and a Q that the first primes have
   hardly reduced is given up early (Pomerance). About exp(sqrt(2 ln N ln ln N)) operations.

   As a test of allocators it is the classic one: each operation makes its result with malloc, and
   nearly all results are freed within a few operations. Nothing depends on clock or chance. */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void* get(size_t size) {
  void* p = malloc(size);
  if (!p) {
    fputs("cfrac: out of memory\n", stderr);
    exit(1);
  }
  return p;
}

static void* get_zero(size_t count, size_t size) {
  return memset(get(count * size), 0, count * size);
}

/* ---- Natural numbers

   A num is never changed once an operation has returned it. Operations borrow their arguments and
   return a new num, which the caller frees; put() is how a variable gets its next value.
   d[0] is the least digit and d[n-1] is not 0, so zero has n == 0 and equal numbers are equal. */

typedef struct num {
  uint32_t n;
  uint32_t d[];
} num;

static num* num_new(size_t digits) {
  num* a = get(sizeof(num) + digits * sizeof(uint32_t));
  a->n = (uint32_t)digits;
  return a;
}

static num* trim(num* a) {
  while (a->n > 0 && a->d[a->n - 1] == 0) a->n--;
  return a;
}

static num* num_of(uint32_t value) {
  num* a = num_new(1);
  a->d[0] = value;
  return trim(a);
}

static num* num_copy(const num* a) {
  num* c = num_new(a->n);
  memcpy(c->d, a->d, a->n * sizeof(uint32_t));
  return c;
}

static void put(num** variable, num* value) {
  free(*variable);
  *variable = value;
}

static bool is_word(const num* a, uint32_t value) { return a->n == 1 && a->d[0] == value; }

static size_t bits(const num* a) {
  return a->n == 0 ? 0 : 32 * (size_t)a->n - (size_t)__builtin_clz(a->d[a->n - 1]);
}

static bool bit(const num* a, size_t i) { return a->d[i / 32] >> i % 32 & 1; }

static int compare(const num* a, const num* b) {
  if (a->n != b->n) return a->n < b->n ? -1 : 1;
  for (size_t i = a->n; i-- > 0;)
    if (a->d[i] != b->d[i]) return a->d[i] < b->d[i] ? -1 : 1;
  return 0;
}

static num* add(const num* a, const num* b) {
  if (a->n < b->n) return add(b, a);
  num* c = num_new((size_t)a->n + 1);
  uint64_t carry = 0;
  for (size_t i = 0; i < a->n; i++) {
    carry += (uint64_t)a->d[i] + (i < b->n ? b->d[i] : 0);
    c->d[i] = (uint32_t)carry;
    carry >>= 32;
  }
  c->d[a->n] = (uint32_t)carry;
  return trim(c);
}

/* a - b, where a >= b. */
static num* sub(const num* a, const num* b) {
  num* c = num_new(a->n);
  uint64_t borrow = 0;
  for (size_t i = 0; i < a->n; i++) {
    uint64_t x = (uint64_t)a->d[i] - (i < b->n ? b->d[i] : 0) - borrow;
    c->d[i] = (uint32_t)x;
    borrow = x >> 63;
  }
  return trim(c);
}

static num* mul(const num* a, const num* b) {
  num* c = num_new((size_t)a->n + b->n);
  memset(c->d, 0, c->n * sizeof(uint32_t));
  for (size_t i = 0; i < a->n; i++) {
    uint64_t carry = 0;
    for (size_t j = 0; j < b->n; j++) {
      carry += (uint64_t)a->d[i] * b->d[j] + c->d[i + j];
      c->d[i + j] = (uint32_t)carry;
      carry >>= 32;
    }
    c->d[i + b->n] = (uint32_t)carry;
  }
  return trim(c);
}

/* a * w + v */
static num* mul_add_word(const num* a, uint32_t w, uint32_t v) {
  num* c = num_new((size_t)a->n + 1);
  uint64_t carry = v;
  for (size_t i = 0; i < a->n; i++) {
    carry += (uint64_t)a->d[i] * w;
    c->d[i] = (uint32_t)carry;
    carry >>= 32;
  }
  c->d[a->n] = (uint32_t)carry;
  return trim(c);
}

/* The quotient; the remainder goes to *rest unless rest is NULL. */
static num* div_word(const num* a, uint32_t w, uint32_t* rest) {
  num* q = num_new(a->n);
  uint64_t r = 0;
  for (size_t i = a->n; i-- > 0;) {
    r = r << 32 | a->d[i];
    q->d[i] = (uint32_t)(r / w);
    r %= w;
  }
  if (rest) *rest = (uint32_t)r;
  return trim(q);
}

/* Whether u[0..n] < v, where v has n digits. */
static bool is_less(const uint32_t* u, const num* v) {
  if (u[v->n] != 0) return false;
  for (size_t i = v->n; i-- > 0;)
    if (u[i] != v->d[i]) return u[i] < v->d[i];
  return false;
}

/* u[0..n] -= w * v, which is not more than u. */
static void sub_scaled(uint32_t* u, const num* v, uint32_t w) {
  uint64_t carry = 0;
  for (size_t i = 0; i <= v->n; i++) {
    carry += (uint64_t)w * (i < v->n ? v->d[i] : 0);
    uint32_t low = (uint32_t)carry;
    carry = (carry >> 32) + (u[i] < low);
    u[i] -= low;
  }
}

/* The quotient; the remainder becomes a new num in *rest unless rest is NULL. Digits are guessed
   from the leading ones, by a divisor whose top bit is set: never too large, so that a repetition
   or two make them exact. */
static num* divide(const num* a, const num* b, num** rest) {
  uint32_t scale = (uint32_t)1 << __builtin_clz(b->d[b->n - 1]);
  num *u = mul_add_word(a, scale, 0), *v = mul_add_word(b, scale, 0);
  size_t n = v->n, digits = a->n < n ? 0 : a->n + 1 - n;
  u->n = a->n + 1; /* a leading 0 if trimmed */
  num* q = num_new(digits);
  for (size_t j = digits; j-- > 0;) {
    q->d[j] = 0;
    while (!is_less(u->d + j, v)) {
      uint64_t top = (uint64_t)u->d[j + n] << 32 | u->d[j + n - 1];
      uint32_t guess = (uint32_t)(top / ((uint64_t)v->d[n - 1] + 1));
      if (guess == 0) guess = 1;
      sub_scaled(u->d + j, v, guess);
      q->d[j] += guess;
    }
  }
  if (rest) *rest = div_word(trim(u), scale, NULL);
  free(u);
  free(v);
  return trim(q);
}

static num* modulo(const num* a, const num* b) {
  num* r;
  free(divide(a, b, &r));
  return r;
}

static uint32_t modulo_word(const num* a, uint32_t w) {
  uint32_t r;
  free(div_word(a, w, &r));
  return r;
}

/* The number that s writes, or NULL if s is not a row of digits. */
static num* parse(const char* s) {
  if (*s == '\0' || s[strspn(s, "0123456789")] != '\0') return NULL;
  num* a = num_of(0);
  for (; *s != '\0'; s++) put(&a, mul_add_word(a, 10, (uint32_t)(*s - '0')));
  return a;
}

static void print(const num* a, const char* after) {
  size_t at = bits(a) / 3 + 2;
  char* s = get(at);
  s[--at] = '\0';
  num* left = num_copy(a);
  do {
    uint32_t digit;
    put(&left, div_word(left, 10, &digit));
    s[--at] = (char)('0' + digit);
  } while (left->n > 0);
  printf("%s%s", s + at, after);
  free(left);
  free(s);
}

/* ---- Number theory */

static num* mul_mod(const num* a, const num* b, const num* m) {
  num* product = mul(a, b);
  put(&product, modulo(product, m));
  return product;
}

static num* power_mod(const num* a, const num* e, const num* m) {
  num* x = num_of(1);
  for (size_t i = bits(e); i-- > 0;) {
    put(&x, mul_mod(x, x, m));
    if (bit(e, i)) put(&x, mul_mod(x, a, m));
  }
  return x;
}

static num* gcd(const num* a, const num* b) {
  num *x = num_copy(a), *y = num_copy(b);
  while (y->n > 0) {
    num* r = modulo(x, y);
    put(&x, y);
    y = r;
  }
  free(y);
  return x;
}

static num* power(const num* a, unsigned e) {
  num* x = num_of(1);
  for (; e > 0; e--) put(&x, mul(x, a));
  return x;
}

/* The e-th root, rounded down: Newton's method from above, which falls until it is there. */
static num* root(const num* a, unsigned e) {
  num* x = num_of(1);
  for (size_t i = bits(a) / e + 1; i > 0; i--) put(&x, add(x, x));
  for (;;) {
    num *low = power(x, e - 1), *y = divide(a, low, NULL);
    put(&low, mul_add_word(x, e - 1, 0));
    put(&y, add(y, low));
    put(&y, div_word(y, e, NULL));
    free(low);
    if (compare(y, x) >= 0) {
      free(y);
      return x;
    }
    put(&x, y);
  }
}

static uint32_t next_prime(uint32_t p) {
  for (;;) {
    uint32_t d = 2;
    p++;
    while (d * d <= p && p % d != 0) d++;
    if (d * d > p) return p;
  }
}

/* Whether a is a square modulo the prime p, 0 included (Euler's criterion). */
static bool is_residue(uint32_t a, uint32_t p) {
  uint64_t x = 1, square = a % p;
  if (p == 2 || square == 0) return true;
  for (uint32_t e = (p - 1) / 2; e > 0; e >>= 1) {
    if (e & 1) x = x * square % p;
    square = square * square % p;
  }
  return x == 1;
}

/* Whether n, odd and above base, passes Miller and Rabin's test; less is n - 1 = odd * 2^twos. */
static bool passes(const num* n, const num* less, const num* odd, unsigned twos, uint32_t base) {
  num *b = num_of(base), *x = power_mod(b, odd, n);
  bool pass = is_word(x, 1) || compare(x, less) == 0;
  while (!pass && --twos > 0) {
    put(&x, mul_mod(x, x, n));
    pass = compare(x, less) == 0;
  }
  free(x);
  free(b);
  return pass;
}

/* For n >= 2. The first 13 primes as bases make a proof below 3.3e24 (Sorenson and Webster); the
   first 24 let no composite pass that is not made for it. */
static bool is_prime(const num* n) {
  uint32_t base = 2;
  if (!bit(n, 0)) return is_word(n, 2);
  num *one = num_of(1), *less = sub(n, one), *odd = num_copy(less);
  unsigned twos = 0;
  for (; !bit(odd, 0); twos++) put(&odd, div_word(odd, 2, NULL));
  bool pass = true;
  for (int i = 0; pass && i < 24 && !(n->n == 1 && n->d[0] <= base); i++) {
    pass = passes(n, less, odd, twos, base);
    base = next_prime(base);
  }
  free(odd);
  free(less);
  free(one);
  return pass;
}

/* x with x^e = n for some e >= 2, or NULL. */
static num* power_base(const num* n) {
  for (uint32_t e = 2; e <= bits(n); e = next_prime(e)) {
    num *x = root(n, e), *back = power(x, e);
    bool same = compare(back, n) == 0;
    free(back);
    if (same) return x;
    free(x);
  }
  return NULL;
}

/* ---- The continued fraction method */

enum {
  BASE_MIN = 16, /* primes of the base */
  BASE_MAX = 8000,
  SPARE = 12,        /* relations beyond the number of primes: that many chances at least */
  MULTIPLIERS = 100, /* k is below this: the best first, then all; short periods need a few */
};

/* a^2 = the product of f (mod N); an f is 0 for -1, or 1 + the index of a prime of the base, and
   may occur repeatedly. */
struct relation {
  num* a;
  size_t count;
  uint16_t f[];
};

/* An attempt with one multiplier: the expansion at step i, the base, and what was found. */
struct attempt {
  const num* n;
  num *kn, *g;       /* k * N and its root */
  num *p, *q;        /* P[i], Q[i] */
  num *a, *a_before; /* A[i-1], A[i-2] modulo N */
  bool odd;          /* i is odd */
  uint32_t* prime;   /* the base: primes modulo which kN is a square, increasing */
  size_t primes;
  size_t early;          /* once divided by that many primes ... */
  size_t early_bits;     /* ... what is left of Q must not be longer than this */
  uint16_t* f;           /* room for the factors of one Q */
  struct relation** all; /* `have` of them, room for `want` */
  size_t have, want;
};

/* Grows as the theory has it; of 0.26, 0.3 and 0.34, 0.3 was the fastest for 30 to 42 digits. */
static size_t base_size(const num* n) {
  double ln = (double)bits(n) * log(2) + 1;
  double size = exp(0.3 * sqrt(ln * log(ln)));
  return size < BASE_MIN ? BASE_MIN : size > BASE_MAX ? BASE_MAX : (size_t)size;
}

static void attempt_start(struct attempt* t, const num* n, uint32_t k) {
  num* kn = mul_add_word(n, k, 0);
  size_t primes = base_size(n), longest = bits(kn) / 2 + 2;
  *t = (struct attempt){
      .n = n,
      .kn = kn,
      .g = root(kn, 2),
      .p = num_of(0),
      .q = num_of(1),
      .a = num_of(1),
      .a_before = num_of(0),
      .prime = get(primes * sizeof *t->prime),
      .primes = primes,
      .early = primes / 8,
      .early_bits = longest < 40 ? longest : longest - longest / 4,
      .f = get((longest + 1) * sizeof *t->f),
      .all = get((primes + 1 + SPARE) * sizeof *t->all),
      .want = primes + 1 + SPARE,
  };
  for (uint32_t i = 0, p = 2; i < primes; p = next_prime(p))
    if (is_residue(modulo_word(kn, p), p)) t->prime[i++] = p;
}

static void attempt_end(struct attempt* t) {
  for (size_t i = 0; i < t->have; i++) {
    free(t->all[i]->a);
    free(t->all[i]);
  }
  void* rest[] = {t->kn, t->g, t->p, t->q, t->a, t->a_before, t->prime, t->f, t->all};
  for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) free(rest[i]);
}

/* From i to i + 1. */
static void expand(struct attempt* t) {
  num* part = add(t->g, t->p);
  put(&part, divide(part, t->q, NULL));
  num* a = mul(part, t->a);
  put(&a, add(a, t->a_before));
  put(&t->a_before, t->a);
  t->a = modulo(a, t->n);
  num* p = mul(part, t->q);
  put(&t->p, sub(p, t->p));
  num* q = mul(t->p, t->p);
  put(&q, sub(t->kn, q));
  put(&t->q, divide(q, t->q, NULL));
  t->odd = !t->odd;
  free(q);
  free(p);
  free(a);
  free(part);
}

/* Whether Q splits over the base; its factors go to t->f from *count on. */
static bool splits(struct attempt* t, size_t* count) {
  num* left = num_copy(t->q);
  for (size_t i = 0; i < t->primes && bits(left) > 1; i++) {
    if (i == t->early && bits(left) > t->early_bits) break;
    uint32_t rest;
    num* less = div_word(left, t->prime[i], &rest);
    for (; rest == 0; less = div_word(left, t->prime[i], &rest)) {
      t->f[(*count)++] = (uint16_t)(i + 1);
      put(&left, less);
    }
    free(less);
  }
  bool all = is_word(left, 1);
  free(left);
  return all;
}

/* Finds the relations wanted, or fewer if a period ends before (Q is 1). If kN is a square, there
   is nothing to expand: Q is 0 at once. */
static void collect(struct attempt* t) {
  do {
    expand(t);
    size_t count = 0;
    if (t->odd) t->f[count++] = 0;
    if (!splits(t, &count)) continue;
    struct relation* r = get(sizeof *r + count * sizeof *r->f);
    r->a = num_copy(t->a);
    r->count = count;
    memcpy(r->f, t->f, count * sizeof *r->f);
    t->all[t->have++] = r;
  } while (t->have < t->want && bits(t->q) > 1);
}

/* ---- Linear algebra modulo 2 */

/* X^2 = Y^2 (mod N) from the product of the relations in `chosen`; gcd(|X - Y|, N). */
static num* combine(const struct attempt* t, const uint64_t* chosen) {
  num *x = num_of(1), *y = num_of(1);
  uint32_t* exponent = get_zero(t->primes + 1, sizeof *exponent);
  for (size_t i = 0; i < t->have; i++) {
    if (!(chosen[i / 64] >> i % 64 & 1)) continue;
    const struct relation* r = t->all[i];
    put(&x, mul_mod(x, r->a, t->n));
    for (size_t j = 0; j < r->count; j++) exponent[r->f[j]]++;
  }
  for (size_t i = 0; i < t->primes; i++) {
    for (uint32_t e = exponent[i + 1] / 2; e > 0; e--) {
      put(&y, mul_add_word(y, t->prime[i], 0));
      put(&y, modulo(y, t->n));
    }
  }
  num* difference = compare(x, y) >= 0 ? sub(x, y) : sub(y, x);
  num* g = gcd(difference, t->n);
  free(difference);
  free(exponent);
  free(x);
  free(y);
  return g;
}

/* Gauss's elimination, a row at a time. A row is the parities of a relation's exponents and, behind
   them, the set of relations that were added to it; a row of even exponents is a square. The first
   proper divisor that a square gives, or NULL. */
static num* solve(const struct attempt* t) {
  size_t columns = t->primes + 1, parity = columns / 64 + 1, words = parity + t->have / 64 + 1;
  uint64_t** pivot = get_zero(columns, sizeof *pivot);
  num* found = NULL;
  for (size_t i = 0; !found && i < t->have; i++) {
    const struct relation* r = t->all[i];
    uint64_t* row = get_zero(words, sizeof *row);
    for (size_t j = 0; j < r->count; j++) row[r->f[j] / 64] ^= (uint64_t)1 << r->f[j] % 64;
    row[parity + i / 64] |= (uint64_t)1 << i % 64;
    size_t c = 0;
    for (; c < columns; c++) {
      if (!(row[c / 64] >> c % 64 & 1)) continue;
      if (!pivot[c]) break;
      for (size_t w = c / 64; w < words; w++) row[w] ^= pivot[c][w];
    }
    if (c < columns) {
      pivot[c] = row;
      continue;
    }
    num* g = combine(t, row + parity);
    free(row);
    if (is_word(g, 1) || compare(g, t->n) == 0)
      free(g);
    else
      found = g;
  }
  for (size_t c = 0; c < columns; c++) free(pivot[c]);
  free(pivot);
  return found;
}

/* ---- The choice of k */

/* The expected logarithm of what the first primes divide out of a Q, less what k adds to its size.
   A k that a square divides is never the best. */
static double merit(const num* n, uint32_t k) {
  uint32_t eighth = modulo_word(n, 8) * k % 8;
  double sum = (eighth == 1 ? 2 : eighth == 5 ? 1 : 0.5) * log(2) - log(k) / 2;
  for (uint32_t p = 3; p < 300; p = next_prime(p)) {
    uint32_t rest = modulo_word(n, p) * k % p;
    if (rest == 0)
      sum += log(p) / (p + 1);
    else if (is_residue(rest, p))
      sum += 2 * p * log(p) / ((double)p * p - 1);
  }
  return sum;
}

static num* attempt(const num* n, uint32_t k) {
  struct attempt t;
  attempt_start(&t, n, k);
  collect(&t);
  num* found = solve(&t);
  attempt_end(&t);
  return found;
}

/* A proper divisor of n, which is composite and not a power; NULL if no multiplier finds one. */
static num* divisor(const num* n) {
  uint32_t best = 1;
  for (uint32_t k = 2; k < MULTIPLIERS; k++)
    if (merit(n, k) > merit(n, best)) best = k;
  num* found = attempt(n, best);
  for (uint32_t k = 1; !found && k < MULTIPLIERS; k++) found = attempt(n, k);
  return found;
}

/* ---- The program */

static int factor(const num* n) {
  if (is_prime(n)) {
    print(n, " is prime\n");
    return 0;
  }
  num* p = power_base(n);
  if (!p) p = divisor(n);
  if (!p) {
    fputs("cfrac: no divisor found\n", stderr);
    return 1;
  }
  num* q = divide(n, p, NULL);
  bool ordered = compare(p, q) <= 0;
  print(n, " = ");
  print(ordered ? p : q, " * ");
  print(ordered ? q : p, "\n");
  free(q);
  free(p);
  return 0;
}

int main(int argc, char** argv) {
  static char output[256]; /* stdio would allocate one: all blocks are to be numbers */
  setvbuf(stdout, output, _IOFBF, sizeof output);
  num* n = argc == 2 ? parse(argv[1]) : NULL;
  if (!n || bits(n) < 2) {
    fputs("usage: cfrac N, a whole number of at least 2 in decimal digits\n", stderr);
    free(n);
    return 2;
  }
  int status = factor(n);
  free(n);
  return status;
}
