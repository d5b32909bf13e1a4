/* rc_space_test.c: the bounds of rc/README.md on memory and on how soon garbage is gone, in words
** counted by the test, over programs that are hard on them. */
#include "rc_tools.h"

/* ---- Words in rounds: promptness and space --------------------------------------------------- */

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
  size_t words = rt_bytes(s->task) / 8, objects = (size_t)k.objects;
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_promptness),
      cmocka_unit_test(test_space_of_boehms_program),
      cmocka_unit_test(test_space_of_many_sizes),
      cmocka_unit_test(test_space_of_arrays_in_progress),
  };
  return cmocka_run_group_tests_name("rc space", tests, NULL, NULL);
}
