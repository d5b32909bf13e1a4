/* heartbeat_test.c: beats fall exactly where a ten-line model says, over millions of random
** calls of every function that allocates, whatever a second thread frees meanwhile. The checksum
** that is printed must be equal in every build: the runner compares. */
#include "alloc/policy.h"
#include "tests/tools.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The builds are compared after so many calls; the plain one goes on. */
enum { COMPARED = 2000000, PERIOD = 1000, SLOTS = 1 << 14 };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || CHECKED
enum { CALLS = COMPARED };
#else
enum { CALLS = 5 * COMPARED };
#endif

/* ---- The model ------------------------------------------------------------------------------- */

static uint64_t model_ticks, model_beat;
static bool model_beats; /* did the last charge reach a beat? */
static void model_charge(size_t size) {
  model_ticks += size > PTRDIFF_MAX ? 1 : 1 + size / 1024;
  uint64_t beat = model_ticks / PERIOD;
  model_beats = beat > model_beat;
  model_beat = beat;
}

/* ---- What the library does ------------------------------------------------------------------- */

/* cmocka's assertions work in the main thread only; elsewhere a failure ends the program. */
#define require(e, ...)                                                              \
  do {                                                                               \
    if (!(e)) fprintf(stderr, "failed: " __VA_ARGS__), fputc('\n', stderr), abort(); \
  } while (0)

static _Thread_local bool watched;
static uint64_t seen_beat, base_beat, checksum, compared;
static unsigned beats_in_call;

static void on_callback(bool force, unsigned long long heartbeat, void* arg) {
  (void)force;
  (void)arg;
  if (!watched) return;
  require(heartbeat - base_beat >= seen_beat, "beats go back");
  if (heartbeat - base_beat > seen_beat) beats_in_call++;
  seen_beat = heartbeat - base_beat;
  free(malloc(1));          /* libc's: callbacks may do as they like */
  mi_free(mi_malloc(3000)); /* and what they allocate is not charged */
}

/* ---- Random calls ---------------------------------------------------------------------------- */

static size_t random_size(void) {
  uint64_t kind = rnd(1000);
  if (kind == 0) return SIZE_MAX - rnd(100);
  if (kind == 1)
    return ((size_t)1 << 50) - rnd(1000) * 4096; /* no machine has it; charged in full */
  if (kind == 2) return rnd(3000000);
  if (kind < 20) return rnd(40000);
  if (kind < 100) return 1000 + rnd(50);
  return rnd(500);
}

static void* slots[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void* shared[4096]; /* for the other thread to free */
static unsigned shared_count;
static bool stop;

static void* other_thread(void* arg) {
  (void)arg;
  for (bool last = false; !last;) {
    void* mine[4096];
    pthread_mutex_lock(&lock);
    last = stop;
    unsigned n = shared_count;
    memcpy(mine, shared, n * sizeof mine[0]);
    shared_count = 0;
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < n; i++) mi_free(mine[i]);
    mi_free(mi_malloc(100));
  }
  return NULL;
}

/* Half of the blocks are freed by the other thread, if there is one. */
static void drop(void* p, bool share) {
  if (share && p != NULL) {
    pthread_mutex_lock(&lock);
    bool room = shared_count < 4096;
    if (room) shared[shared_count++] = p;
    pthread_mutex_unlock(&lock);
    if (room) return;
  }
  mi_free(p);
}

static size_t product(size_t n, size_t size) {
  return n != 0 && size > SIZE_MAX / n ? SIZE_MAX : n * size;
}

static void* or_old(void* p, void* old) { return p != NULL ? p : old; }

/* One call; the model is charged from the arguments before. The calls that do not take `old`
** leave it to the caller, who sees that the result is another block. A failing realloc gives
** `old` back. */
static void* random_call(void* old, mi_heap_t* heap, bool* took_old) {
  size_t size = random_size(), n = 1 + rnd(5), align = (size_t)1 << rnd(12);
  unsigned which = (unsigned)rnd(17);
  if (which == 12) align = 3;
  if (which == 2 || which == 13) size = rnd(1025);
  bool counts = which == 3 || which == 5 || which == 8 || which == 10 || which == 14;
  model_charge(counts ? product(n, size) : size);
  *took_old = which == 4 || which == 6 || which == 9 || which == 10 || which == 15;
  switch (which) {
    case 0:
      return mi_malloc(size);
    case 1:
      return mi_zalloc(size);
    case 2:
      return mi_malloc_small(size);
    case 3:
      return mi_calloc(n, size);
    case 4:
      return or_old(mi_realloc(old, size), old);
    case 5:
      return mi_mallocn(n, size);
    case 6:
      return mi_reallocf(old, size);
    case 7:
      return mi_malloc_aligned(size, align);
    case 8:
      return mi_calloc_aligned(n, size, align);
    case 9:
      return or_old(mi_realloc_aligned(old, size, align), old);
    case 10:
      return or_old(mi_reallocn(old, n, size), old);
    case 11:
      return mi_heap_malloc(heap, size);
    case 12:
      return mi_zalloc_aligned(size, align);
    case 13:
      return mi_zalloc_small(size);
    case 14:
      return mi_heap_calloc(heap, n, size);
    case 15:
      return or_old(mi_heap_realloc(heap, old, size), old);
    default:
      return mi_heap_zalloc(heap, size);
  }
}

static void step(uint64_t call, bool share, mi_heap_t* heap) {
  void** slot = &slots[rnd(SLOTS)];
  void* old = *slot;
  uint64_t before = seed;
  beats_in_call = 0;
  bool took_old;
  void* p = random_call(old, heap, &took_old);
  uint64_t ticks = mi_ticks() - base_beat * PERIOD;
  require(ticks == model_ticks && beats_in_call == model_beats &&
              (!model_beats || seen_beat == model_beat),
          "call %llu (random state %llu): ticks %llu beat %llu, the model says %llu and %llu",
          (unsigned long long)call, (unsigned long long)before, (unsigned long long)ticks,
          (unsigned long long)seen_beat, (unsigned long long)model_ticks,
          (unsigned long long)model_beat);
  if (beats_in_call) checksum = (checksum * 31 + call) * 31 + seen_beat;
  bool half = rnd(2) != 0,
       keep = rnd(4) == 0; /* drawn always: the calls must not depend on `share` */
  if (!took_old) drop(old, share && half);
  *slot = p;
  if (p != NULL && !keep) {
    drop(p, share && half);
    *slot = NULL;
  }
}

/* A fresh thread has a clock that starts at 0 and is a whole number of beats ahead of the
** model's. */
static void* run(void* arg) {
  bool share = *(bool*)arg;
  pthread_t other;
  mi_register_deferred_free(NULL, NULL);
  mi_register_deferred_free(on_callback, NULL);
  seed = 88172645463325252u;
  model_ticks = model_beat = seen_beat = checksum = 0;
  mi_heap_t* heap = mi_heap_new();
  mi_tick(PERIOD - mi_ticks() % PERIOD);
  base_beat = mi_heartbeat();
  watched = true;
  stop = false;
  require(!share || pthread_create(&other, NULL, other_thread, NULL) == 0, "no thread");
  for (uint64_t i = 0; i < CALLS; i++) {
    step(i, share, heap);
    if (i + 1 == COMPARED) compared = checksum;
  }
  watched = false;
  if (share) {
    pthread_mutex_lock(&lock);
    stop = true;
    pthread_mutex_unlock(&lock);
    pthread_join(other, NULL);
  }
  for (int i = 0; i < SLOTS; i++) mi_free(slots[i]), slots[i] = NULL;
  for (unsigned i = 0; i < shared_count; i++) mi_free(shared[i]);
  shared_count = 0;
  mi_heap_delete(heap);
  return NULL;
}

static uint64_t run_thread(bool share) {
  pthread_t t;
  assert_int_equal(pthread_create(&t, NULL, run, &share), 0);
  pthread_join(t, NULL);
  return checksum;
}

static void test_beats(void** state) {
  (void)state;
  assert_int_equal(mi_heartbeat_period(), PERIOD);
  uint64_t alone = run_thread(false);
  uint64_t together = run_thread(true);
  printf("beats: %016llx\n", (unsigned long long)compared);
  assert_true(alone != 0 && compared != 0);
  assert_int_equal(alone, together);
}

static void test_nothing_else_charges(void** state) {
  (void)state;
  void* p = mi_malloc(100);
  uint64_t before = mi_ticks();
  mi_free(p);
  mi_free(NULL);
  mi_collect(true);
  assert_int_equal(mi_usable_size(NULL), 0);
  (void)mi_good_size(1000);
  mi_heap_t* heap = mi_heap_new();
  mi_heap_destroy(heap);
  assert_int_equal(mi_ticks(), before);
  mi_tick(12345);
  assert_int_equal(mi_ticks(), before + 12345);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_else_charges),
      cmocka_unit_test(test_beats),
  };
  return cmocka_run_group_tests_name("heartbeat", tests, NULL, NULL);
}
