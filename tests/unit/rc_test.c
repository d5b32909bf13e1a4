/* rc_test.c: death in bounded steps. Nothing here is timed: units of work and words of memory
** are counted, and compared with the bounds of rc/README.md, with sums that are known, and with
** a model that finds what lives by marking it. Each test runs in a task of its own, whose
** counters start at zero. */
#include "alloc/mimalloc.h"
#include "rc/rc.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The sizes that the plain build proves; the others find other things and are slower. */
#if defined(__SANITIZE_ADDRESS__)
enum { MANY = 500000, MODEL_STEPS = 30000 };
#elif defined(MI_DEBUG)
enum { MANY = 2000000, MODEL_STEPS = 60000 };
#else
enum { MANY = 10000000, MODEL_STEPS = 200000 };
#endif

enum { DEC_UNITS = 33, QUANTUM = 256, REFILL_UNITS = 512, REQUEST_UNITS = 8192, PAGE_WORDS = 8192 };

/* cmocka's assertions work in the main thread only, and cost much; a failure here ends the
** program. */
#define require(e, ...)                                                              \
  do {                                                                               \
    if (!(e)) fprintf(stderr, "failed: " __VA_ARGS__), fputc('\n', stderr), abort(); \
  } while (0)

static uint64_t seed = 88172645463325252u;
static size_t rnd(size_t n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (size_t)(seed >> 11) % n;
}

static void* libc_array(size_t n, size_t size) {
  void* p = calloc(n, size);
  require(p != NULL, "the test has no memory");
  return p;
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

static rt_task* begin(const rt_config* config) {
  rt_task* t = rt_task_new(config);
  require(t != NULL && rt_enter(t) == 0, "no task");
  return t;
}

static void end(rt_task* t) {
  rt_leave();
  assert_int_equal(rt_task_end(t), 0);
}

static rc_counters counters(void) {
  rc_counters k;
  rc_get_counters(&k);
  return k;
}

static void assert_nothing_left(const rt_task* t) {
  rc_counters k = counters();
  assert_int_equal(rc_pending(), 0);
  assert_int_equal(k.freed, k.allocated);
  assert_int_equal(rt_bytes(t), 0);
  assert_int_equal(k.debt, 0);
}

static void set_pace(uint32_t pace, uint64_t debt_limit) {
  rc_pacing pacing = {pace, QUANTUM, debt_limit};
  assert_true(rc_set_pacing(&pacing));
}

static char last_line[64];
static void keep_line(const char* text, void* arg) {
  (void)arg;
  snprintf(last_line, sizeof last_line, "%s", text);
}
static bool nothing_lives(void) {
  mi_collect(true);
  mi_stats_print_out(keep_line, NULL);
  return strcmp(last_line, "ok\n") == 0;
}

/* ---- Structures ------------------------------------------------------------------------------ */

static rc_object* node(rc_word a, rc_word b) {
  rc_object* o = rc_alloc(1, 2);
  require(o != NULL, "no memory for a node");
  rc_init(o, 0, a);
  rc_init(o, 1, b);
  return o;
}

static rc_object* leaf(int64_t i) {
  rc_object* o = rc_alloc(2, 1);
  require(o != NULL, "no memory for a leaf");
  rc_init(o, 0, rc_int(i));
  return o;
}

static rc_object* words_array(size_t n) {
  rc_object* o = rc_array(3, n, RC_NIL);
  require(o != NULL, "no memory for an array");
  return o;
}

static rc_object* list_of(size_t n) {
  rc_word list = RC_NIL;
  for (size_t i = 0; i < n; i++) list = rc_from(node(rc_int((int64_t)i), list));
  return rc_to(list);
}

static rc_object* array_of(size_t n) {
  rc_object* a = words_array(n);
  for (size_t i = 0; i < n; i++) rc_set(a, i, rc_from(leaf((int64_t)i)));
  return a;
}

/* Node i has the children 2i+1 and 2i+2. */
static rc_object* tree_of(size_t n) {
  rc_word* at = libc_array(2 * n + 2, sizeof *at);
  for (size_t i = 0; i < 2 * n + 2; i++) at[i] = RC_NIL;
  for (size_t i = n; i-- > 0;) at[i] = rc_from(node(at[2 * i + 1], at[2 * i + 2]));
  rc_object* root = rc_to(at[0]);
  free(at);
  return root;
}

static rc_object* shuffled_list_of(size_t n) {
  rc_object** at = libc_array(n, sizeof *at);
  for (size_t i = 0; i < n; i++) at[i] = node(rc_int((int64_t)i), RC_NIL);
  for (size_t i = n - 1; i > 0; i--) {
    size_t k = rnd(i + 1);
    rc_object* o = at[i];
    at[i] = at[k];
    at[k] = o;
  }
  for (size_t i = 0; i + 1 < n; i++) rc_words(at[i])[1] = rc_from(at[i + 1]);
  rc_object* first = at[0];
  free(at);
  return first;
}

/* ---- The time of a death --------------------------------------------------------------------- */

/* Drops the structure, whose objects have `units` fields and blocks in all, and allocates until
** it is gone. */
static void check_death(rc_object* (*build)(size_t), size_t n, uint64_t units) {
  rt_task* t = begin(NULL);
  rc_object* o = build(n);
  assert_int_equal(counters().units, 0);
  rc_dec(o);
  assert_int_equal(counters().dec_units_max, DEC_UNITS);
  assert_int_equal(counters().units, DEC_UNITS);
  assert_true(rc_pending() > 0);
  while (rc_pending() > 0) rc_dec(leaf(0)), units += 2;
  rc_counters k = counters();
  assert_int_equal(k.dec_units_max, DEC_UNITS);
  assert_in_range(k.refill_units_max, 1, REFILL_UNITS);
  assert_int_equal(k.request_units_max, 0);
  assert_int_equal(k.units, units); /* each field was looked at once, each block freed once */
  assert_nothing_left(t);
  end(t);
}

static void test_list_dies(void** state) {
  (void)state;
  check_death(list_of, MANY, (uint64_t)MANY * 3);
}

static void test_array_dies(void** state) {
  (void)state;
  check_death(array_of, MANY, (uint64_t)MANY * 3 + 1);
}

static void test_tree_dies(void** state) {
  (void)state;
  check_death(tree_of, MANY, (uint64_t)MANY * 3);
}

static void test_shuffled_list_dies(void** state) {
  (void)state;
  check_death(shuffled_list_of, MANY, (uint64_t)MANY * 3);
}

static void allocate_until_nothing_waits(void) {
  while (rc_pending() > 0) rc_dec(leaf(0));
}

static void test_large_request(void** state) {
  (void)state;
  enum { NODES = 1000000, WORDS = 300000 };
  rt_task* t = begin(NULL);
  rc_dec(list_of(NODES));
  rc_object* large = rc_bytes(0, 8 * WORDS - 16);
  assert_non_null(large);
  assert_int_equal(counters().request_units_max, REQUEST_UNITS);
  assert_int_equal(counters().debt, 2 * WORDS - REQUEST_UNITS); /* below L/4 */
  assert_true(rc_pending() > 0);
  rc_dec(large); /* a block without children: 1 unit */
  allocate_until_nothing_waits();
  assert_in_range(counters().refill_units_max, REFILL_UNITS + 1, 2 * REFILL_UNITS);
  assert_int_equal(counters().request_units_max, REQUEST_UNITS);
  assert_nothing_left(t);
  end(t);
}

/* A request that would exceed the limit pays all that is owed; one below it does not. */
static void test_debt_limit(void** state) {
  (void)state;
  enum { NODES = 300000, WORDS = 10000, LIMIT = 30000 };
  rt_task* t = begin(NULL);
  set_pace(2, LIMIT);
  rc_dec(list_of(NODES));
  uint64_t debt = 0, most = REQUEST_UNITS;
  while (rc_pending() > 0 && counters().debt >= debt) {
    debt = counters().debt;
    assert_true(debt <= LIMIT);
    rc_dec(words_array(WORDS - 2));
  }
  most += debt + (2 * WORDS - REQUEST_UNITS);
  assert_int_equal(counters().debt, 0);
  assert_int_equal(counters().request_units_max, most);
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
}

static void test_no_debt_allowed(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  set_pace(3, 0);
  rc_dec(list_of(100000));
  rc_object* o = rc_bytes(0, 80000 - 16);
  assert_int_equal(counters().request_units_max, 3 * 10000);
  assert_int_equal(counters().debt, 0);
  rc_dec(o);
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
}

/* ---- The C stack ----------------------------------------------------------------------------- */

static void* die_on_small_stack(void* arg) {
  (void)arg;
  rc_object* list = list_of(MANY);
  rc_object* tree = tree_of(MANY / 8);
  rc_object* arrays = leaf(0); /* nested arrays, the child first and last */
  for (int i = 0; i < MANY / 100; i++) {
    rc_object* a = words_array(3);
    rc_set(a, i % 2 ? 0 : 2, rc_from(arrays));
    arrays = a;
  }
  rc_dec(list);
  rc_dec(tree);
  rc_dec(arrays);
  for (int i = 0; i < MANY / 10; i++) rc_dec(leaf(i));
  while (rc_drain(100000) == 100000) {}
  rc_counters k = counters();
  require(k.allocated == k.freed && rc_pending() == 0, "not all died");
  require(k.dec_units_max == DEC_UNITS && k.refill_units_max <= REFILL_UNITS, "too many units");
  require(k.units == 3ull * MANY + 3 * (MANY / 8) + 4 * (MANY / 100) + 2 + 2 * (MANY / 10),
          "units");
  return NULL;
}

static void test_no_recursion(void** state) {
  (void)state;
  pthread_attr_t attr;
  pthread_t thread;
  assert_int_equal(pthread_attr_init(&attr), 0);
  assert_int_equal(pthread_attr_setstacksize(&attr, 64 * 1024), 0);
  assert_int_equal(pthread_create(&thread, &attr, die_on_small_stack, NULL), 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attr);
}

/* ---- Words in rounds: promptness and space --------------------------------------------------- */

/* 1 to 8 words, then four sizes to a doubling; above the largest class, what was asked for. */
static size_t rounded(size_t words) {
  if (words <= 8 || words > PAGE_WORDS) return words;
  size_t step = 2;
  while (8 * step < words) step *= 2;
  return (words + step - 1) / step * step;
}

/* How much the program must allocate until nothing waits, if all that it allocates dies as lists
** of `length` nodes, each with up to `fields` words. */
static void check_promptness(uint32_t pace, size_t length, size_t fields) {
  enum { NODES = 300000 };
  rt_task* t = begin(NULL);
  set_pace(pace, RC_DEBT_AUTO);
  size_t live_max = 3 * NODES, classes = fields <= 2 ? 2 : 14;
  uint64_t bound = (live_max + pace * (classes * PAGE_WORDS + QUANTUM)) / (pace - 1), words = 0;
  assert_true(length * (fields + 1) < live_max && fields <= 50);
  rc_dec(list_of(NODES));
  while (rc_pending() > 0) {
    rc_word list = RC_NIL;
    for (size_t i = 0; i < length && rc_pending() > 0; i++) {
      size_t n = 1 + rnd(fields);
      rc_object* o = rc_alloc(0, n);
      for (size_t k = 0; k < n; k++) rc_init(o, k, RC_NIL);
      rc_init(o, n - 1, list);
      list = rc_from(o);
      if (rc_pending() > 0) words += rounded(1 + n);
    }
    if (rc_pending() == 0) bound += 1; /* the last list dies when all is done */
    require(words <= bound, "pace %u, lists of %zu: %llu words allocated and garbage still waits",
            pace, length, (unsigned long long)words);
    if (rc_pending() > 0)
      rc_dec_word(list);
    else
      rc_dec_word(list), rc_drain(SIZE_MAX);
  }
  assert_true(words > live_max / (4 * pace)); /* it did wait */
  assert_in_range(counters().refill_units_max, 1, pace * QUANTUM);
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
}

static void test_promptness(void** state) {
  (void)state;
  for (uint32_t pace = 2; pace <= 4; pace++) {
    check_promptness(pace, 1, 2);
    check_promptness(pace, 1000, 2);
    check_promptness(pace, 1, 50);
    check_promptness(pace, 300, 50);
  }
}

/* What the bound says and what is held, sampled after each allocation. All in words rounded to
** classes; the program has objects of `small` and of `big` words only, or (big == 0) sizes that
** need no rounding. */
typedef struct space {
  rt_task* task;
  uint32_t pace;
  size_t small, big;
  size_t largest;        /* P */
  size_t granted;        /* Q */
  size_t live, live_max; /* now, and L */
  size_t peak;           /* since the last look */
  int64_t excess;        /* the most that c times what was held was above c times the bound */
} space;

static size_t held(const space* s) {
  rc_counters k = counters();
  size_t words = rt_bytes(s->task) / 8, objects = k.allocated - k.freed;
  if (s->big == 0) return words;
  size_t bigs = (words - objects * s->small) / (s->big - s->small);
  require(bigs * s->big + (objects - bigs) * s->small == words, "objects of two sizes only");
  return bigs * rounded(s->big) + (objects - bigs) * rounded(s->small);
}

static space space_begin(uint32_t pace, size_t small, size_t big, size_t largest, size_t classes) {
  space s = {.pace = pace, .small = small, .big = big, .largest = largest, .excess = INT64_MIN};
  s.task = begin(NULL);
  s.granted = classes * PAGE_WORDS + QUANTUM;
  set_pace(pace, RC_DEBT_AUTO);
  return s;
}

static void space_end(space* s) {
  if (s->excess > 0)
    print_message("pace %u: %lld words above the bound; L %zu\n", s->pace,
                  (long long)s->excess / s->pace, s->live_max);
  assert_true(s->excess <= 0);
  rc_drain(SIZE_MAX);
  assert_nothing_left(s->task);
  end(s->task);
}

/* An object of `words` was made. */
static void space_grow(space* s, size_t words) {
  s->live += rounded(words);
  if (s->live > s->live_max) s->live_max = s->live;
  size_t now = held(s);
  if (now > s->peak) s->peak = now;
  int64_t bound = (int64_t)(s->pace * (s->live_max + s->granted) + s->largest + counters().debt);
  int64_t excess = (int64_t)(s->pace * now) - bound;
  if (excess > s->excess) s->excess = excess;
}

/* Boehm's program: small objects die as a list, then others of `big` words are made, kept and
** dropped. */
static void boehm(uint32_t pace, size_t big) {
  enum { NODES = 50000, ROUNDS = 8 };
  space s = space_begin(pace, 3, big, big, big > PAGE_WORDS ? 1 : 2);
  size_t n = 3 * NODES / rounded(big), peak[ROUNDS];
  rc_object** kept = libc_array(n, sizeof *kept);
  for (int round = 0; round < ROUNDS; round++) {
    s.peak = 0;
    rc_word list = RC_NIL;
    for (int i = 0; i < NODES; i++) list = rc_from(node(RC_NIL, list)), space_grow(&s, 3);
    rc_dec_word(list);
    s.live -= 3 * NODES;
    for (size_t i = 0; i < n; i++) kept[i] = words_array(big - 2), space_grow(&s, big);
    for (size_t i = 0; i < n; i++) rc_dec(kept[i]);
    s.live -= n * rounded(big);
    peak[round] = s.peak;
  }
  free(kept);
  for (int round = 2; round < ROUNDS; round++)
    assert_true(peak[round] <= (peak[0] > peak[1] ? peak[0] : peak[1]) + s.largest);
  space_end(&s);
}

static void test_space_of_boehms_program(void** state) {
  (void)state;
  for (uint32_t pace = 1; pace <= 4; pace++) {
    boehm(pace, 1000);
    boehm(pace, 10000);
  }
}

/* Lists of all sizes in a few slots; a random one is replaced, the new one made first. */
static void lists_of_many_sizes(uint32_t pace) {
  enum { SLOTS = 40, CLASSES = 8, STEPS = 400, WORDS = 20000 };
  static const size_t sizes[CLASSES] = {2, 3, 5, 8, 16, 40, 128, 256};
  space s = space_begin(pace, 0, 0, 256, CLASSES);
  rc_word slots[SLOTS];
  size_t held_by[SLOTS] = {0};
  for (int i = 0; i < SLOTS; i++) slots[i] = RC_NIL;
  for (int step = 0; step < STEPS; step++) {
    size_t slot = rnd(SLOTS), words = sizes[rnd(CLASSES)], n = 1 + rnd(WORDS) / words;
    rc_word list = RC_NIL;
    for (size_t i = 0; i < n; i++) {
      rc_object* o = rc_alloc(0, words - 1);
      for (size_t k = 0; k + 2 < words; k++) rc_init(o, k, RC_NIL);
      rc_init(o, words - 2, list);
      list = rc_from(o);
      space_grow(&s, words);
    }
    rc_dec_word(slots[slot]);
    s.live -= held_by[slot];
    slots[slot] = list;
    held_by[slot] = n * words;
  }
  for (int i = 0; i < SLOTS; i++) rc_dec_word(slots[i]);
  space_end(&s);
}

static void test_space_of_many_sizes(void** state) {
  (void)state;
  for (uint32_t pace = 1; pace <= 4; pace++) lists_of_many_sizes(pace);
}

/* Arrays die one by one, each when what was allocated since has paid for most of the one before.
** P is one array, so what was paid for it must free it before the next one is begun. */
static void test_space_of_arrays_in_progress(void** state) {
  (void)state;
  enum { ARRAYS = 1000, WORDS = 640, QUANTUM_OBJECTS = QUANTUM / 2 };
  space s = space_begin(2, 0, 0, WORDS, 2);
  rc_object** arrays = libc_array(ARRAYS, sizeof *arrays);
  rc_object** kept = libc_array(ARRAYS * QUANTUM_OBJECTS, sizeof *kept);
  for (int i = 0; i < ARRAYS; i++) arrays[i] = words_array(WORDS - 2), space_grow(&s, WORDS);
  for (int i = 0; i < ARRAYS; i++) {
    rc_dec(arrays[i]);
    s.live -= WORDS;
    for (int k = 0; k < QUANTUM_OBJECTS; k++)
      kept[i * QUANTUM_OBJECTS + k] = leaf(k), space_grow(&s, 2);
  }
  for (int i = 0; i < ARRAYS * QUANTUM_OBJECTS; i++) rc_dec(kept[i]);
  free(arrays);
  free(kept);
  space_end(&s);
}

/* ---- A random program against a model that marks --------------------------------------------- */

/* A shadow of each object that may live: what its fields should hold, and, once marked, how many
** references there are to it. A field holds objects of lower rank only, so there are no cycles. */
typedef struct shadow shadow;
typedef struct field {
  shadow* to; /* NULL: the integer */
  int64_t i;
} field;
struct shadow {
  rc_object* o;
  shadow* next;
  field* fields;
  size_t n;
  uint64_t rank;
  int32_t refs;
  bool marked;
  uint8_t tag, kind;
};

enum { ROOTS = 48 };
static shadow* roots[ROOTS]; /* each owns a count */
static shadow* shadows;
static uint64_t last_rank;
static size_t reachable, reachable_bytes;

static size_t logical_bytes(const shadow* s) {
  return s->kind == RC_FIELDS ? 8 + 8 * s->n : 16 + s->n * (s->kind == RC_ARRAY ? 8 : 1);
}

static shadow* shadow_new(rc_object* o, uint8_t kind, uint8_t tag, size_t n) {
  require(o != NULL, "no memory for an object");
  shadow* s = libc_array(1, sizeof *s);
  *s = (shadow){.o = o, .next = shadows, .n = n, .rank = ++last_rank, .tag = tag, .kind = kind};
  s->fields = libc_array(n + 1, sizeof *s->fields);
  return shadows = s;
}

/* Some object that the program can reach, found as a program finds it, with a rank below; or
** NULL. */
static shadow* some_object(uint64_t below) {
  shadow* s = roots[rnd(ROOTS)];
  for (size_t depth = rnd(4); depth > 0 && s != NULL; depth--) {
    if (s->kind == RC_BYTES || s->n == 0) break;
    shadow* to = s->fields[rnd(s->n)].to;
    if (to != NULL) s = to;
  }
  return s != NULL && s->rank < below ? s : NULL;
}

/* A value for a field, and its owned word. */
static rc_word some_value(field* f, uint64_t below) {
  f->to = rnd(3) != 0 ? some_object(below) : NULL;
  f->i = (int64_t)rnd(1000000) - 500000;
  if (f->to == NULL) return rc_int(f->i);
  rc_inc(f->to->o);
  return rc_from(f->to->o);
}

/* Takes an owned reference. */
static void root_set(size_t slot, shadow* s) {
  shadow* old = roots[slot];
  roots[slot] = s;
  if (old != NULL) rc_dec(old->o);
}

static shadow* make_fields(size_t n) {
  uint8_t tag = (uint8_t)rnd(256);
  shadow* s = shadow_new(rc_alloc(tag, n), RC_FIELDS, tag, n);
  for (size_t i = 0; i < n; i++) rc_init(s->o, i, some_value(&s->fields[i], s->rank));
  return s;
}

static void change_field(shadow* s) {
  size_t i = rnd(s->n);
  rc_word w = some_value(&s->fields[i], s->rank);
  rc_set(s->o, i, w);
}

static shadow* make_array(size_t n) {
  uint8_t tag = (uint8_t)rnd(256);
  int64_t fill = (int64_t)rnd(100) - 50;
  shadow* s = shadow_new(rc_array(tag, n, rc_int(fill)), RC_ARRAY, tag, n);
  for (size_t i = 0; i < n; i++) s->fields[i].i = fill;
  for (size_t i = 0; n > 0 && i < 10; i++) change_field(s);
  return s;
}

static shadow* make_bytes(size_t n) {
  uint8_t tag = (uint8_t)rnd(256);
  shadow* s = shadow_new(rc_bytes(tag, n), RC_BYTES, tag, n);
  memset(rc_data(s->o), tag, n);
  return s;
}

/* A list in front of a root: the depth that random fields do not make. */
static void make_list(size_t slot, size_t n) {
  for (; n > 0; n--) {
    shadow* s = shadow_new(rc_alloc(9, 2), RC_FIELDS, 9, 2);
    s->fields[0] = (field){NULL, (int64_t)n};
    s->fields[1] = (field){roots[slot], 0};
    rc_init(s->o, 0, rc_int((int64_t)n));
    rc_init(s->o, 1, roots[slot] != NULL ? rc_from(roots[slot]->o) : rc_int(0));
    roots[slot] = s;
  }
}

static size_t some_size(size_t usual, size_t rare, size_t rarest) {
  size_t kind = rnd(100);
  return rnd(kind == 0 ? rarest : kind < 10 ? rare : usual);
}

static void model_step(void) {
  size_t slot = rnd(ROOTS), what = rnd(100);
  shadow* s = some_object(UINT64_MAX);
  if (what < 30) {
    root_set(slot, make_fields(some_size(7, 200, 3000)));
  } else if (what < 38) {
    root_set(slot, make_array(some_size(20, 500, 20000)));
  } else if (what < 42) {
    root_set(slot, make_bytes(some_size(100, 5000, 200000)));
  } else if (what < 44) {
    make_list(slot, rnd(300));
  } else if (what < 70) {
    if (s != NULL && s->kind != RC_BYTES && s->n > 0) change_field(s);
  } else if (what < 78) {
    if (s != NULL) rc_inc(s->o), root_set(slot, s);
  } else if (what < 92) {
    root_set(slot, NULL);
  } else {
    size_t units = rnd(60), spent = rc_drain(units);
    require(spent == units || (spent < units && rc_pending() == 0), "a drain of %zu spent %zu",
            units, spent);
  }
}

static void mark_one(shadow* s, shadow** work, size_t* count) {
  s->refs++;
  if (s->marked) return;
  s->marked = true;
  work[(*count)++] = s;
}

static void mark(void) {
  size_t all = 0, count = 0;
  reachable = reachable_bytes = 0;
  for (shadow* s = shadows; s != NULL; s = s->next) s->refs = 0, s->marked = false, all++;
  shadow** work = libc_array(all + 1, sizeof *work);
  for (int i = 0; i < ROOTS; i++)
    if (roots[i] != NULL) mark_one(roots[i], work, &count);
  while (count > 0) {
    shadow* s = work[--count];
    reachable++;
    reachable_bytes += logical_bytes(s);
    for (size_t i = 0; s->kind != RC_BYTES && i < s->n; i++)
      if (s->fields[i].to != NULL) mark_one(s->fields[i].to, work, &count);
  }
  free(work);
}

static void check_object(const shadow* s) {
  rc_object* o = s->o;
  require(o->count == s->refs, "count %d, references %d", (int)o->count, (int)s->refs);
  require(o->tag == s->tag && o->kind == s->kind && rc_length(o) == s->n, "header");
  require(rc_is_unique(o) == (s->refs == 1), "unique");
  if (s->kind == RC_BYTES) {
    for (size_t i = 0; i < s->n; i++) require((uint8_t)rc_data(o)[i] == s->tag, "byte %zu", i);
    return;
  }
  for (size_t i = 0; i < s->n; i++) {
    const field* f = &s->fields[i];
    rc_word w = rc_get(o, i);
    require(f->to != NULL ? w == rc_from(f->to->o) : rc_is_int(w) && rc_to_int(w) == f->i,
            "field %zu", i);
  }
}

/* Checks what is marked and forgets what is not. */
static void check_marked(void) {
  for (shadow** link = &shadows; *link != NULL;) {
    shadow* s = *link;
    if (s->marked) {
      check_object(s);
      link = &s->next;
    } else {
      *link = s->next;
      free(s->fields);
      free(s);
    }
  }
}

static void check_model(const rt_task* t) {
  mark();
  rc_counters k = counters();
  require(k.allocated - k.freed >= reachable && rt_bytes(t) >= reachable_bytes, "freed too early");
  require(k.dec_units_max <= DEC_UNITS, "a decrement of %llu units",
          (unsigned long long)k.dec_units_max);
  rc_drain(SIZE_MAX);
  k = counters();
  require(rc_pending() == 0, "a full drain leaves nothing");
  require(k.allocated - k.freed == reachable, "%llu objects, %zu reachable",
          (unsigned long long)(k.allocated - k.freed), reachable);
  require(rt_bytes(t) == reachable_bytes, "bytes");
  check_marked();
}

static void run_model(const rc_pacing* pacing) {
  rt_task* t = begin(NULL);
  if (pacing != NULL) assert_true(rc_set_pacing(pacing));
  for (int step = 1; step <= MODEL_STEPS; step++) {
    model_step();
    if (step % 1000 == 0) check_model(t);
  }
  for (size_t i = 0; i < ROOTS; i++) root_set(i, NULL);
  check_model(t);
  assert_nothing_left(t);
  end(t);
}

static void test_random_programs(void** state) {
  (void)state;
  static const rc_pacing pacings[] = {{1, 256, RC_DEBT_AUTO}, {4, 1, 0}, {8, 37, 1000}};
  run_model(NULL);
  for (int i = 0; i < 3; i++) run_model(&pacings[i]);
}

/* ---- Draining in small steps ----------------------------------------------------------------- */

/* Each drain of n spends n while there is work, and the sum is known. */
static void check_drains(rc_object* o, size_t step, size_t units) {
  rt_task* t = rt_current();
  rc_dec(o);
  size_t left = units - (units < DEC_UNITS ? units : DEC_UNITS);
  for (; left >= step; left -= step) {
    assert_true(rc_pending() > 0);
    assert_int_equal(rc_drain(step), step);
  }
  assert_int_equal(rc_drain(step), left);
  assert_int_equal(rc_drain(step), 0);
  assert_nothing_left(t);
}

static void test_partial_drains(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  assert_int_equal(rc_drain(0), 0);
  assert_int_equal(rc_drain(SIZE_MAX), 0);
  check_drains(list_of(1000), 1, 3000);
  check_drains(list_of(1000), 7, 3000);
  check_drains(tree_of(1000), 1, 3000);
  check_drains(array_of(1000), 1, 3001);
  check_drains(words_array(0), 1, 1);
  check_drains(words_array(1), 1, 2);
  check_drains(words_array(31), 1, 32);
  check_drains(words_array(32), 1, 33);
  check_drains(words_array(33), 1, 34);
  check_drains(words_array(100), 1, 101);
  check_drains(words_array(1000000), 1000, 1000001);
  check_drains(array_of(100000), 999, 300001);
  check_drains(rc_bytes(0, 1000000), 1, 1);
  end(t);
}

/* A huge array gives up a child at a time, in order, and its length survives. */
static void test_array_in_steps(void** state) {
  (void)state;
  enum { N = 100000 };
  rt_task* t = begin(NULL);
  rc_object* child = leaf(7);
  rc_object* a = words_array(N);
  for (size_t i = 0; i < N; i++) rc_inc(child), rc_set(a, i, rc_from(child));
  assert_int_equal(child->count, N + 1);
  rc_dec(a);
  for (int left = N + 1 - DEC_UNITS; left > 1; left--) {
    assert_int_equal(child->count, left);
    assert_int_equal(rc_pending(), 1);
    assert_int_equal(rc_drain(1), 1);
  }
  assert_int_equal(rc_drain(1), 1);
  assert_int_equal(rc_pending(), 0);
  assert_true(rc_is_unique(child));
  assert_int_equal(rc_to_int(rc_get(child, 0)), 7);
  rc_dec(child);
  assert_nothing_left(t);
  end(t);
}

/* Units of a random structure are the fields and blocks of the objects that die, whoever frees
** them. */
static void test_units_add_up(void** state) {
  (void)state;
  enum { OBJECTS = 20000 };
  rt_task* t = begin(NULL);
  rc_object** all = libc_array(OBJECTS, sizeof *all);
  uint64_t units = 0, spent = 0, drained = 0;
  for (size_t i = 0; i < OBJECTS; i++) {
    size_t n = rnd(rnd(50) == 0 ? 2000 : 8);
    all[i] = rnd(2) ? rc_alloc(0, n) : rc_array(0, n, RC_NIL);
    for (size_t k = 0; k < n; k++) {
      rc_object* child = i > 0 && rnd(2) ? all[rnd(i)] : NULL;
      if (child != NULL) rc_inc(child);
      rc_init(all[i], k, child != NULL ? rc_from(child) : RC_NIL);
    }
    units += n + 1;
  }
  for (size_t i = OBJECTS; i-- > 0;) {
    uint64_t before = counters().units;
    rc_dec(all[i]);
    spent += counters().units - before;
    if (rnd(4) == 0) drained += rc_drain(rnd(100));
  }
  free(all);
  drained += rc_drain(SIZE_MAX);
  assert_int_equal(spent + drained, units);
  assert_int_equal(counters().units, units);
  assert_nothing_left(t);
  end(t);
}

/* ---- Counts, words, lengths, errors ---------------------------------------------------------- */

static void test_sticky_counts(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object* o = leaf(42);
  o->count = INT32_MAX - 2;
  for (int i = 0; i < 10; i++) rc_inc(o);
  assert_true(o->count < 0);
  assert_false(rc_is_unique(o));
  for (int i = 0; i < 100; i++) rc_dec(o);
  for (int i = 0; i < 100; i++) rc_dec(array_of(10)), rc_dec(node(rc_from(o), rc_from(o)));
  rc_object* a = words_array(1000);
  for (size_t i = 0; i < 1000; i++) rc_set(a, i, rc_from(o));
  rc_dec(a);
  rc_drain(SIZE_MAX);
  assert_int_equal(counters().allocated - counters().freed, 1);
  assert_int_equal(rt_bytes(t), 16);
  assert_int_equal(rc_to_int(rc_get(o, 0)), 42);
  end(t);
}

/* The largest count that is still counted. */
static void test_count_below_the_end(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object* o = leaf(1);
  o->count = INT32_MAX - 1;
  rc_inc(o);
  assert_int_equal(o->count, INT32_MAX);
  rc_dec(o);
  assert_int_equal(o->count, INT32_MAX - 1);
  o->count = 2;
  rc_dec(o);
  assert_true(rc_is_unique(o));
  rc_dec(o);
  assert_nothing_left(t);
  end(t);
}

static void test_integers(void** state) {
  (void)state;
  const int64_t most = ((int64_t)1 << 62) - 1, least = -((int64_t)1 << 62);
  const int64_t values[] = {0, 1, -1, 2, INT32_MAX, INT32_MIN, most, most - 1, least, least + 1};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    rc_word w = rc_int(values[i]);
    assert_true(rc_is_int(w) && !rc_is_object(w) && w != 0);
    assert_true(rc_to_int(w) == values[i]);
  }
  assert_true(rc_to_int(rc_int(most + 1)) == least);
  assert_true(rc_to_int(rc_int(INT64_MIN)) == 0);
  assert_true(RC_NIL == rc_int(0));
  rc_inc_word(RC_NIL);
  rc_dec_word(RC_NIL);
}

static void check_kind(rc_object* o, uint8_t tag, unsigned kind, size_t n, size_t bytes) {
  assert_non_null(o);
  assert_int_equal(o->count, 1);
  assert_int_equal(o->tag, tag);
  assert_int_equal(o->kind, kind);
  assert_int_equal(rc_length(o), n);
  assert_int_equal((uintptr_t)o % 8, 0);
  assert_int_equal(rt_bytes(rt_current()), bytes);
  assert_true(rc_to(rc_from(o)) == o && rc_is_object(rc_from(o)));
  if (kind == RC_BYTES) {
    assert_ptr_equal(rc_data(o), (char*)o + 16);
    memset(rc_data(o), 'x', n);
  } else {
    assert_ptr_equal(rc_words(o), (char*)o + (kind == RC_ARRAY ? 16 : 8));
    for (size_t i = 0; kind == RC_FIELDS && i < n; i++) rc_init(o, i, rc_int((int64_t)i));
    for (size_t i = 0; kind == RC_ARRAY && i < n; i++)
      assert_int_equal(rc_to_int(rc_get(o, i)), -5);
  }
  assert_int_equal(rc_length(o), n);
  rc_dec(o);
  rc_drain(SIZE_MAX);
  assert_int_equal(rt_bytes(rt_current()), 0);
}

/* Tags, lengths, sizes and charges for each kind, zero lengths and the largest included. */
static void test_kinds(void** state) {
  (void)state;
  static const size_t sizes[] = {
      0, 1, 2, 7, 8, 9, 127, 128, 1000, 8191, 8192, RC_FIELDS_MAX, RC_LONG, 100000};
  rt_task* t = begin(NULL);
  uint64_t ticks = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t n = sizes[i];
    uint8_t tag = (uint8_t)(200 + i);
    if (n <= RC_FIELDS_MAX) {
      check_kind(rc_alloc(tag, n), tag, RC_FIELDS, n, 8 + 8 * n);
      ticks += 1 + (8 + 8 * n) / 1024;
    }
    check_kind(rc_array(tag, n, rc_int(-5)), tag, RC_ARRAY, n, 16 + 8 * n);
    check_kind(rc_bytes(tag, n), tag, RC_BYTES, n, 16 + n);
    ticks += 1 + (16 + 8 * n) / 1024 + 1 + (16 + n) / 1024;
    assert_int_equal(rt_ticks(t), ticks);
  }
  assert_nothing_left(t);
  end(t);
}

static void expect_failure(rc_object* o, int error) {
  assert_null(o);
  assert_int_equal(errno, error);
  errno = 0;
}

static void test_errors(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.bytes = 1 << 20});
  rc_object* o = leaf(1);
  errno = 0;
  expect_failure(rc_alloc(0, RC_FIELDS_MAX + 1), EINVAL);
  expect_failure(rc_alloc(0, SIZE_MAX), EINVAL);
  expect_failure(rc_array(0, 10, rc_from(o)), EINVAL);
  expect_failure(rc_array(0, 10, 0), EINVAL);
  expect_failure(rc_array(0, (size_t)1 << 32, RC_NIL), EINVAL);
  expect_failure(rc_array(0, SIZE_MAX, RC_NIL), EINVAL);
  expect_failure(rc_bytes(0, (size_t)1 << 32), EINVAL);
  expect_failure(rc_bytes(0, SIZE_MAX), EINVAL);
  expect_failure(rc_array(0, UINT32_MAX, RC_NIL),
                 ENOMEM); /* the task's limit, before memory is touched */
  expect_failure(rc_bytes(0, UINT32_MAX), ENOMEM);
  assert_int_equal(counters().allocated, 1);
  assert_int_equal(rt_bytes(t), 16);
  rc_dec(o);
  assert_nothing_left(t);
  end(t);
}

static void test_pacing_errors(void** state) {
  (void)state;
  static const rc_pacing wrong[] = {
      {0, 256, 0}, {2, 0, 0}, {2, 257, 0}, {0, 0, 0}, {2, UINT32_MAX, 0}};
  rt_task* t = begin(NULL);
  for (int i = 0; i < 5; i++) {
    errno = 0;
    assert_false(rc_set_pacing(&wrong[i]));
    assert_int_equal(errno, EINVAL);
  }
  rc_dec(list_of(10000)); /* the defaults still hold */
  allocate_until_nothing_waits();
  assert_int_equal(counters().refill_units_max, REFILL_UNITS);
  set_pace(1, 0);
  set_pace(UINT32_MAX, RC_DEBT_AUTO);
  rc_dec(list_of(10000));
  while (rc_pending() > 0) rc_dec(leaf(0));
  assert_nothing_left(t);
  end(t);
}

/* The quantum is cut into whole blocks, one at least. */
static void test_quantum(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  assert_true(rc_set_pacing(&(rc_pacing){3, 7, 0}));
  rc_dec(list_of(10000));
  while (rc_pending() > 0) rc_dec(leaf(0));
  assert_int_equal(counters().refill_units_max, 3 * 6);
  rc_dec(list_of(10000));
  for (int i = 0; i < 200; i++) rc_dec(words_array(98));
  assert_int_equal(counters().refill_units_max, 3 * rounded(100));
  rc_drain(SIZE_MAX);
  assert_nothing_left(t);
  end(t);
}

/* ---- What an ended thread leaves ------------------------------------------------------------- */

enum { LEFT_NODES = 20000, LEFT_UNITS = 3 * LEFT_NODES - DEC_UNITS };

static void* leave_a_list(void* arg) {
  (void)arg;
  rc_dec(list_of(LEFT_NODES));
  return NULL;
}

static void run_thread(void* (*f)(void*)) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, f, NULL), 0);
  pthread_join(thread, NULL);
}

/* Runs in the main thread's own task: nothing of its own waits. */
static void test_ended_threads(void** state) {
  (void)state;
  enum { THREADS = 10 };
  for (int i = 0; i < THREADS; i++) run_thread(leave_a_list);
  assert_int_equal(rc_pending(), 0);
  assert_int_equal(rc_drain(100), 100);
  assert_true(rc_pending() > 0);
  assert_int_equal(rc_drain(SIZE_MAX), THREADS * LEFT_UNITS - 100);
  assert_int_equal(rc_pending(), 0);
  assert_true(nothing_lives());
}

/* Allocation drains it as well, once something waits. */
static void test_ended_thread_drained_by_allocation(void** state) {
  (void)state;
  run_thread(leave_a_list);
  uint64_t units = counters().units;
  rc_dec(list_of(100));
  allocate_until_nothing_waits();
  assert_true(counters().units - units > LEFT_UNITS + 300);
  assert_int_equal(rc_drain(SIZE_MAX), 0);
  assert_true(nothing_lives());
}

/* A task may end with its heaps, and has a limit: it does not take over what threads left. */
static void test_ended_thread_and_task(void** state) {
  (void)state;
  run_thread(leave_a_list);
  rt_task* t = begin(&(rt_config){.bytes = 1 << 20});
  rc_dec(list_of(100));
  uint64_t bytes = rt_bytes(t);
  assert_int_equal(bytes, 24 * 100 - 24 * (DEC_UNITS / 3));
  assert_int_equal(rc_drain(SIZE_MAX), 3 * 100 - DEC_UNITS);
  assert_nothing_left(t);
  end(t);
  assert_int_equal(rc_drain(SIZE_MAX), LEFT_UNITS);
  assert_true(nothing_lives());
}

/* Threads end while others start and take over what they left. */
enum { MAKERS = 4, ENDINGS = 1500, SHORT_NODES = 100 };
static _Atomic uint64_t taken_over;
static _Atomic int makers_left;

static void* leave_a_short_list(void* arg) {
  (void)arg;
  rc_dec(list_of(SHORT_NODES));
  return NULL;
}

static void* make_threads(void* arg) {
  for (int i = 0; i < ENDINGS; i++) {
    pthread_t thread;
    require(pthread_create(&thread, NULL, leave_a_short_list, arg) == 0, "no thread");
    pthread_join(thread, NULL);
  }
  makers_left--;
  return NULL;
}

static void* take_over(void* arg) {
  (void)arg;
  while (makers_left > 0) taken_over += rc_drain(50);
  taken_over += rc_drain(SIZE_MAX);
  return NULL;
}

static void run_makers(void) {
  pthread_t threads[MAKERS + 2];
  makers_left = MAKERS;
  for (int i = 0; i < MAKERS + 2; i++)
    require(pthread_create(&threads[i], NULL, i < MAKERS ? make_threads : take_over, NULL) == 0,
            "no thread");
  for (int i = 0; i < MAKERS + 2; i++) pthread_join(threads[i], NULL);
  uint64_t units = taken_over + rc_drain(SIZE_MAX);
  require(units == (uint64_t)MAKERS * ENDINGS * (3 * SHORT_NODES - DEC_UNITS), "%llu units",
          (unsigned long long)units);
  require(nothing_lives(), "blocks are left");
}

/* In a process of its own, so that a crash is one failure. */
static void test_threads_end_while_others_drain(void** state) {
  (void)state;
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    alarm(60);
    run_makers();
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_list_dies),
      cmocka_unit_test(test_array_dies),
      cmocka_unit_test(test_tree_dies),
      cmocka_unit_test(test_shuffled_list_dies),
      cmocka_unit_test(test_large_request),
      cmocka_unit_test(test_debt_limit),
      cmocka_unit_test(test_no_debt_allowed),
      cmocka_unit_test(test_no_recursion),
      cmocka_unit_test(test_promptness),
      cmocka_unit_test(test_space_of_boehms_program),
      cmocka_unit_test(test_space_of_many_sizes),
      cmocka_unit_test(test_space_of_arrays_in_progress),
      cmocka_unit_test(test_random_programs),
      cmocka_unit_test(test_partial_drains),
      cmocka_unit_test(test_array_in_steps),
      cmocka_unit_test(test_units_add_up),
      cmocka_unit_test(test_sticky_counts),
      cmocka_unit_test(test_count_below_the_end),
      cmocka_unit_test(test_integers),
      cmocka_unit_test(test_kinds),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_pacing_errors),
      cmocka_unit_test(test_quantum),
      cmocka_unit_test(test_ended_threads),
      cmocka_unit_test(test_ended_thread_drained_by_allocation),
      cmocka_unit_test(test_ended_thread_and_task),
      cmocka_unit_test(test_threads_end_while_others_drain),
  };
  return cmocka_run_group_tests_name("rc", tests, NULL, NULL);
}
