/* subprocs.c: threads begin and end in subprocesses that are visited and deleted meanwhile, while others
** free what they left. Nothing is lost, and areas that are met are whole. */
#include "alloc/mimalloc.h"
#include "tests/tools.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRIVERS = 3, SUBPROCS = 4, SHARED = 2048, BLOCKS = 200 };

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "subprocs: %s\n", what);
  exit(1);
}

static _Atomic(void*) pool[SHARED];

typedef struct place {
  pthread_mutex_t lock;
  mi_subproc_id_t id;
} place;
static place places[SUBPROCS];
static _Atomic size_t changes;

typedef struct life {
  mi_subproc_id_t id;
  uint64_t seed;
} life;

/* Allocates; puts some blocks in the pool, in exchange for others, which it frees; keeps none. */
static void* live(void* arg) {
  life* l = arg;
  mi_subproc_add_current_thread(l->id);
  for (int i = 0; i < BLOCKS; i++) {
    bool large = rnd_from(&l->seed, 200) == 0;
    void* p = mi_malloc(8 + rnd_from(&l->seed, large ? 100000 : 2000));
    if (p == NULL) fail("no memory");
    mi_free(atomic_exchange(&pool[rnd_from(&l->seed, SHARED)], p));
  }
  if (mi_subproc_current() != l->id) fail("a thread in another subprocess");
  return NULL;
}

static bool look(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size,
                 void* arg) {
  size_t* looks = arg;
  if (heap != NULL || size < 8 || area->used > area->reserved / 8) fail("a wrong area");
  if (block != NULL) *looks += 1;
  return true;
}

/* The place is held while its subprocess is changed; a thread that is in it may still run. */
static void change(place* at) {
  mi_subproc_delete(at->id);
  at->id = mi_subproc_new();
  if (at->id == NULL) fail("no subprocess");
  changes++;
}

static uint64_t rounds;
static _Atomic size_t looked;
static void* drive(void* arg) {
  uint64_t state = (uintptr_t)arg;
  for (uint64_t i = 0; i < rounds; i++) {
    place* at = &places[rnd_from(&state, SUBPROCS)];
    size_t looks = 0;
    pthread_mutex_lock(&at->lock);
    life l = {at->id, state};
    pthread_t thread;
    if (pthread_create(&thread, NULL, live, &l) != 0) fail("no thread");
    if (rnd_from(&state, 4) == 0) mi_abandoned_visit_blocks(at->id, -1, true, look, &looks);
    if (rnd_from(&state, 4) == 0)
      mi_abandoned_visit_blocks(mi_subproc_main(), -1, true, look, &looks);
    pthread_join(thread, NULL);
    if (rnd_from(&state, 8) == 0 && at != places) change(at);
    pthread_mutex_unlock(&at->lock);
    looked += looks;
  }
  return NULL;
}

int main(int argc, char** argv) {
  rounds = argc > 1 ? strtoull(argv[1], NULL, 10) * 20 : 200;
  pthread_t threads[DRIVERS];
  mi_option_enable(mi_option_visit_abandoned);
  for (int i = 0; i < SUBPROCS; i++) {
    pthread_mutex_init(&places[i].lock, NULL);
    places[i].id = i == 0 ? mi_subproc_main() : mi_subproc_new();
  }
  for (uintptr_t i = 0; i < DRIVERS; i++)
    if (pthread_create(&threads[i], NULL, drive, (void*)(i + 1)) != 0) fail("no thread");
  for (int i = 0; i < DRIVERS; i++) pthread_join(threads[i], NULL);
  if (looked == 0) fail("nothing was visited");
  for (int i = 1; i < SUBPROCS; i++) mi_subproc_delete(places[i].id);
  for (int i = 0; i < SHARED; i++) mi_free(pool[i]);
  if (!nothing_lives()) fail("blocks were lost");
  printf("%zu subprocesses deleted, %zu blocks met\n", (size_t)changes, (size_t)looked);
  return 0;
}
