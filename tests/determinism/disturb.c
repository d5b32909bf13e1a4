/* disturb.c: preloaded into a program that has Sluice inside, it changes what must have no say, as the
** environment asks: DISTURB_THREADS=n starts so many threads that allocate, and free each other's blocks in
** an order drawn anew; DISTURB_REGIONS=n reserves so many regions of address space of random size, before the
** program has any memory. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "alloc/mimalloc.h"

enum { SLOTS = 1024 };
static _Atomic(void*) slots[SLOTS];

static uint64_t next(uint64_t* random) {
  *random = *random * 6364136223846793005u + 1442695040888963407u;
  return *random >> 33;
}
static uint64_t draw(void) {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) perror("disturb");
  return random;
}

static void* work(void* arg) {
  uint64_t random = draw();
  for (;;) {
    size_t size = next(&random) % (next(&random) % 50 == 0 ? 100000 : 600);
    mi_free(atomic_exchange_explicit(&slots[next(&random) % SLOTS], mi_malloc(size),
                                     memory_order_acq_rel));
  }
  return arg;
}

static unsigned long asked(const char* name) {
  const char* text = getenv(name);
  return text != NULL ? strtoul(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void start(void) {
  uint64_t random = draw();
  for (unsigned long i = asked("DISTURB_REGIONS"); i > 0; i--) {
    void* p = mmap(NULL, (1 + next(&random) % (1u << 20)) << 12, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) perror("disturb");
  }
  pthread_t thread;
  for (unsigned long i = asked("DISTURB_THREADS"); i > 0; i--)
    if (pthread_create(&thread, NULL, work, NULL) != 0) perror("disturb");
}
