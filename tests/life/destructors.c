/* destructors.c: destructors of thread-local data allocate, free each other's blocks and set their data
** again, in several rounds, before and after the library's own in each: keys that are older and
** younger than its key, C11's, and those of C++ (local.cpp). */
#include "life.h"

#include <stdatomic.h>
#include <threads.h>

enum { THREADS = 2000, AT_ONCE = 4, ROUNDS = 3, KEYS = 3, WARM = 100 };
static pthread_key_t keys[KEYS];
static tss_t c11_key;
static _Atomic(size_t*) shared[64]; /* blocks of threads that have ended, too */

void touch_local(void); /* local.cpp */
void local_dies(void);

static void exchange(uint64_t* state) {
  block_free(atomic_exchange(&shared[rnd_from(state, 64)], block_new(any_size(state) % 5000)));
}

typedef struct data {
  uint64_t state;
  int rounds, key;
} data;

static data* data_new(int rounds, int key) {
  data* d = mi_malloc(sizeof *d);
  require(d != NULL, "no memory");
  *d = (data){(uint64_t)rounds << 32 | (uint64_t)key << 8 | 1, rounds, key};
  return d;
}

static void set(data* d) {
  int error = d->key < KEYS ? pthread_setspecific(keys[d->key], d) : tss_set(c11_key, d);
  require(error == 0, "data cannot be set");
}

static void die(void* arg) {
  data* d = arg;
  for (int i = 0; i < 20; i++) exchange(&d->state);
  if (d->rounds > 1) set(data_new(d->rounds - 1, d->key));
  mi_free(d);
}

void local_dies(void) {
  uint64_t state = 4711;
  for (int i = 0; i < 20; i++) exchange(&state);
}

/* Of a library's constructors none is earlier than this. */
__attribute__((constructor(101))) static void before_others(void) {
  require(pthread_key_create(&keys[0], die) == 0, "no key");
}

static void* live(void* arg) {
  touch_local();
  for (int key = 0; key <= KEYS; key++) set(data_new(1 + (*(int*)arg + key) % ROUNDS, key));
  return NULL;
}

static void run(int threads) {
  pthread_t thread[AT_ONCE];
  static int numbers[AT_ONCE];
  for (int i = 0; i < threads + AT_ONCE; i++) {
    if (i >= AT_ONCE) pthread_join(thread[i % AT_ONCE], NULL);
    numbers[i % AT_ONCE] = i;
    if (i < threads) thread[i % AT_ONCE] = start(live, &numbers[i % AT_ONCE]);
  }
}

int main(void) {
  for (int i = 1; i < KEYS; i++) require(pthread_key_create(&keys[i], die) == 0, "no key");
  require(tss_create(&c11_key, die) == thrd_success, "no key of C11");
  run(WARM);
  size_t before = mapped();
  run(THREADS);
  require(!MAPPED_TELLS || mapped() < before + ROOM, "threads leave memory behind");
  for (int i = 0; i < 64; i++) block_free(shared[i]);
  require(nothing_lives(), "not all freed");
  return 0;
}
