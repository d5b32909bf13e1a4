/* noise: preloaded into a program that has Sluice inside, it starts a thread that allocates and
** frees there until the program ends, and then tells on stderr how much it did. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "alloc/mimalloc.h"

static atomic_long blocks;

static void* work(void* arg) {
  static void* slots[1024];
  unsigned long seed = 1;
  (void)arg;
  for (;;) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    void** slot = &slots[seed >> 54];
    mi_free(*slot);
    *slot = mi_malloc(1 + (seed >> 33) % 5000);
    atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
  }
  return NULL;
}

__attribute__((constructor)) static void start(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, work, NULL) != 0) perror("noise");
}

__attribute__((destructor)) static void report(void) {
  fprintf(stderr, "noise: %ld blocks\n", atomic_load(&blocks));
}
