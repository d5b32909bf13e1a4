/* runtime_beats_test.c: a task that is deterministic: what waits is freed on beats only, as much as
** was asked for since the last one pays for, and finalizers run when a beat has made them due. Random
** programs see the same, whatever else the allocator has to do; without that mode they do not. The line
** "moments:" must be equal in all builds: the runner compares. */
#include "rc_tools.h"

#include <stdatomic.h>

enum { KEPT = 60, BLOCKS = 200, PERIOD = 50, STEPS = 20000 };
typedef enum noise { QUIET, REFILLS, THREAD, NOISES } noise;

/* ---- What a program sees ------------------------------------------------------------------------- */

static rt_task* task;
static uint64_t seen;
static rc_object *kept[KEPT], *weak[KEPT];
static size_t finalized, revived;

static void see(uint64_t what) { seen = (seen ^ what) * 0x9E3779B97F4A7C15u; }
static uint64_t beat(void) { return rt_ticks(task) / PERIOD; }

/* Its object has a number, and lives on now and then. */
static void finalize(rc_object* o) {
  uint64_t number;
  memcpy(&number, rc_data(o), sizeof number);
  see(number);
  see(rt_ticks(task));
  finalized++;
  if (number % 7 != 0) return;
  rc_object* old = kept[number % KEPT];
  rc_inc(o);
  kept[number % KEPT] = o;
  revived++;
  if (old != NULL) rc_dec(old);
}

static const rc_type type = {.name = "numbered", .words = 2, .bytes = 8, .finalize = finalize};

/* ---- Noise: allocation and frees that no program is charged for ---------------------------------- */

static void* noise_block[50];
static uint64_t noise_random;

static void on_refill(mi_heap_t* heap, bool force, unsigned long long now, void* arg) {
  (void)heap, (void)force, (void)now, (void)arg;
  for (int i = 0; i < 5; i++) {
    void** p = &noise_block[rnd_from(&noise_random, 50)];
    mi_free(*p);
    *p = mi_malloc(rnd_from(&noise_random, 400));
  }
}

/* Blocks of the program that another thread frees, whenever it comes to that. */
static _Atomic(void*) handed[BLOCKS];
static atomic_bool over;

static void* free_handed(void* arg) {
  uint64_t random = 12345;
  (void)arg;
  while (!atomic_load(&over)) mi_free(atomic_exchange(&handed[rnd_from(&random, BLOCKS)], NULL));
  return NULL;
}

/* ---- The program, and what must hold of each step ------------------------------------------------- */

static uint64_t owed;    /* units, in the test's own book */
static size_t due;       /* finalizers */
static bool by_the_book; /* is it to be checked? */

/* Nothing is freed but on a beat, and then what is owed pays for, or all that waits. Then `words` are asked for. */
static void check_constructor(uint64_t before, size_t waited, uint64_t units, size_t words) {
  units = counters().units - units;
  if (beat() == before) {
    require(units == 0 && rc_pending() == waited, "freed between beats");
  } else {
    require(units == owed || (units < owed && rc_pending() == 0), "a beat paid %llu, not %llu",
            (unsigned long long)units, (unsigned long long)owed);
    owed = 0;
    due = rc_finalizers_pending();
  }
  if (rc_pending() > 0) owed += 2 * words;
  require(counters().debt == owed, "owes %llu, not %llu", (unsigned long long)counters().debt,
          (unsigned long long)owed);
}

static rc_object* make(uint64_t random, uint64_t number) {
  size_t waited = rc_pending(), words, n = rnd_from(&random, 6);
  uint64_t before = beat(), units = counters().units;
  rc_object* o;
  if (random % 3 == 0) {
    o = rc_typed(0, &type);
    words = 7; /* with two for the list of those that have a finalizer */
  } else if (random % 3 == 1) {
    o = rc_array(0, words = 20 * n, RC_NIL);
    words += 2;
  } else {
    o = rc_alloc(0, n);
    words = n + 1;
    for (size_t i = 0; i < n; i++) rc_init(o, i, RC_NIL);
  }
  require(o != NULL, "no memory");
  if (rc_kind(o) == RC_TYPED) memcpy(rc_data(o), &number, sizeof number);
  if (by_the_book) check_constructor(before, waited, units, words);
  return o;
}

static void link_or_drop(rc_object* o, uint64_t random) {
  rc_object* to = kept[rnd_from(&random, KEPT)];
  size_t n = to != NULL && rc_kind(to) != RC_BYTES ? rc_length(to) : 0;
  if (n == 0 || to == o)
    rc_dec(o);
  else
    rc_set(to, rnd_from(&random, n), rc_from(o));
}

static void poll(void) {
  size_t most = rnd(3) == 0 ? rnd(4) : SIZE_MAX, before = finalized, n = rc_poll(most);
  require(finalized - before == n, "rc_poll counts otherwise");
  if (!by_the_book) return;
  require(n == (most < due ? most : due), "%zu finalizers ran, %zu were due", n, due);
  due -= n;
}

static void look_at_weak(size_t i) {
  rc_object* o = weak[i] != NULL ? rc_upgrade(weak[i]) : NULL;
  see(o != NULL);
  if (o != NULL) {
    rc_dec(o);
  } else if (weak[i] != NULL) {
    rc_dec(weak[i]);
    weak[i] = NULL;
  }
}

/* To an object that has none yet. */
static void make_weak(size_t i) {
  size_t waited = rc_pending();
  uint64_t before = beat(), units = counters().units;
  if (weak[i] != NULL) return;
  weak[i] = rc_weak(kept[i]);
  if (by_the_book) check_constructor(before, waited, units, 4);
}

/* A tick may cross a beat as well. */
static void tick(uint64_t n) {
  uint64_t before = beat();
  (void)rt_tick(n);
  if (beat() == before) return;
  owed = 0;
  due = rc_finalizers_pending();
}

static void use_block(noise kind, size_t i) {
  uint64_t before = beat();
  void* p = mi_malloc(rnd(600));
  if (beat() != before) owed = 0, due = rc_finalizers_pending();
  if (kind != THREAD)
    mi_free(p);
  else
    mi_free(atomic_exchange(&handed[i], p));
}

static void step(noise kind, uint64_t number) {
  size_t i = rnd(KEPT);
  uint64_t random = rnd((size_t)1 << 40) + 1;
  switch (rnd(8)) {
    case 0:
      poll();
      break;
    case 1:
      look_at_weak(i);
      break;
    case 2:
      tick(rnd(4));
      break;
    case 3:
      use_block(kind, rnd(BLOCKS));
      break;
    default: {
      rc_object *old = kept[i], *o = make(random, number);
      kept[i] = o;
      if (random % 5 == 0) make_weak(i);
      if (old != NULL) link_or_drop(old, random);
    }
  }
  see(rc_pending());
  see(rc_finalizers_pending());
}

static uint64_t run(uint64_t name, noise kind, bool deterministic) {
  pthread_t thread;
  seed = noise_random = name * 2 + 1;
  seen = finalized = revived = owed = due = 0;
  by_the_book = deterministic;
  memset(kept, 0, sizeof kept);
  memset(weak, 0, sizeof weak);
  memset(noise_block, 0, sizeof noise_block);
  for (int i = 0; i < BLOCKS; i++) atomic_store(&handed[i], NULL);
  task = begin(&(rt_config){.heartbeat_period = PERIOD, .deterministic = deterministic});
  if (kind == REFILLS) mi_heap_register_deferred_free(mi_heap_get_default(), on_refill, NULL);
  atomic_store(&over, false);
  if (kind == THREAD) require(pthread_create(&thread, NULL, free_handed, NULL) == 0, "no thread");
  for (uint64_t i = 0; i < STEPS; i++) step(kind, i);
  atomic_store(&over, true);
  if (kind == THREAD) require(pthread_join(thread, NULL) == 0, "no end of a thread");
  see(rt_ticks(task));
  require(finalized > 500 && revived > 20, "only %zu finalizers ran", finalized);
  end(task);
  return seen;
}

static void test_moments(void** state) {
  (void)state;
  enum { PROGRAMS = 40 };
  uint64_t all = 0;
  bool heard = false;
  for (uint64_t name = 1; name <= PROGRAMS; name++) {
    uint64_t quiet = run(name, QUIET, true);
    for (int kind = 0; kind < NOISES; kind++) assert_true(run(name, (noise)kind, true) == quiet);
    heard |= run(name, QUIET, false) != run(name, REFILLS, false);
    all = all * 31 + quiet;
  }
  assert_true(heard);
  printf("moments: %016llx\n", (unsigned long long)all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_moments),
  };
  return cmocka_run_group_tests_name("runtime beats", tests, NULL, NULL);
}
