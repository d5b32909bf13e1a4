/* many_threads.c: 2,000 threads, 20 at a time, each with blocks of those before it. Neither what is mapped
** nor what is resident grows with their number. */
#include "life.h"

#include <stdatomic.h>

enum { THREADS = 2000, AT_ONCE = 20, WARM = 200, SHARED = 200 };
static _Atomic(size_t*) shared[SHARED];

static void* live(void* arg) {
  uint64_t state = *(uint64_t*)arg;
  for (int i = 0; i < 100; i++)
    block_free(
        atomic_exchange(&shared[rnd_from(&state, SHARED)], block_new(any_size(&state) % 100000)));
  return NULL;
}

int main(void) {
  static uint64_t states[THREADS];
  pthread_t thread[AT_ONCE];
  size_t was_mapped = 0, was_resident = 0;
  for (int i = 0; i < THREADS; i++) {
    if (i >= AT_ONCE) pthread_join(thread[i % AT_ONCE], NULL);
    if (i == WARM) was_mapped = mapped(), was_resident = resident();
    states[i] = (uint64_t)i + 1;
    thread[i % AT_ONCE] = start(live, &states[i]);
  }
  for (int i = 0; i < AT_ONCE; i++) pthread_join(thread[i], NULL);
  require(!MAPPED_TELLS || mapped() <= was_mapped + ROOM, "threads leave address space behind");
  require(!RESIDENT_TELLS || resident() <= was_resident + ROOM, "threads leave memory behind");
  for (int i = 0; i < SHARED; i++) block_free(shared[i]);
  require(nothing_lives(), "not all freed");
  return 0;
}
