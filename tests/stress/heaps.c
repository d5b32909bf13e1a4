/* heaps.c: heaps end while other threads free their blocks. One is deleted in the middle of that, with
** most of its pages full; the next is destroyed when the others have freed half of its blocks (they must
** not be in the middle of a free then). Each block is marked at both ends, and none is lost. */
#include "tests/tools.h"

#include <pthread.h>
#include <stdlib.h>

enum { FREERS = 3, COUNT = 6000, ROUNDS_PER_UNIT = 10 };

static uint64_t rounds;
static size_t* blocks[COUNT];
static pthread_barrier_t begins, ends;
static bool is_deleted; /* this round's heap; else destroyed */

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "heaps: %s\n", what);
  exit(1);
}

static size_t words_of(size_t i) { return 2 + i % 7 * (i % 100 == 0 ? 3000 : 10); }

static void fill(mi_heap_t* heap) {
  for (size_t i = 0; i < COUNT; i++) {
    size_t words = words_of(i), *p = mi_heap_malloc(heap, words * sizeof(size_t));
    if (p == NULL) fail("no memory");
    p[0] = p[words - 1] = i;
    blocks[i] = p;
  }
}

static void check(size_t i) {
  if (blocks[i][0] != i || blocks[i][words_of(i) - 1] != i) fail("a block is not what it was");
}

static void* free_them(void* arg) {
  for (uint64_t r = 0; r < rounds; r++) {
    pthread_barrier_wait(&begins);
    for (size_t i = (uintptr_t)arg; i < COUNT; i += FREERS)
      if (is_deleted || i % 2 == 0) check(i), mi_free(blocks[i]);
    pthread_barrier_wait(&ends);
  }
  return NULL;
}

/* Goes on to use the heap for a while, in which other threads list its full pages. */
static void delete_soon(mi_heap_t* heap) {
  for (size_t i = rnd(2000); i > 0; i--) mi_free(mi_heap_malloc(heap, 8 * rnd(80)));
  mi_heap_delete(heap);
}

static void destroy_half(mi_heap_t* heap) {
  for (size_t i = 1; i < COUNT; i += 2) check(i);
  mi_heap_destroy(heap);
}

int main(int argc, char** argv) {
  rounds = (argc > 1 ? strtoull(argv[1], NULL, 10) : 100) * ROUNDS_PER_UNIT;
  pthread_t threads[FREERS];
  pthread_barrier_init(&begins, NULL, FREERS + 1);
  pthread_barrier_init(&ends, NULL, FREERS + 1);
  for (uintptr_t i = 0; i < FREERS; i++)
    if (pthread_create(&threads[i], NULL, free_them, (void*)i) != 0) fail("no thread");
  for (uint64_t r = 0; r < rounds; r++) {
    mi_heap_t* heap = mi_heap_new();
    if (heap == NULL) fail("no heap");
    fill(heap);
    is_deleted = r % 2 == 0;
    pthread_barrier_wait(&begins);
    if (is_deleted) delete_soon(heap);
    pthread_barrier_wait(&ends);
    if (!is_deleted) destroy_half(heap);
  }
  for (int i = 0; i < FREERS; i++) pthread_join(threads[i], NULL);
  if (!nothing_lives()) fail("not all freed");
  return 0;
}
