/* exchange.c: four threads allocate in every way there is and exchange the blocks through a pool,
** so that most are freed or reallocated by another thread than their own; threads end with blocks
** alive and new ones start, which adopt their pages. The pool has no lock: a slot is taken and
** filled by one atomic exchange. Each block is marked at both ends, and at the end all have come
** back. */
#include "tests/tools.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  THREADS = 4,
  LIVES_PER_UNIT = 40, /* threads that are started, for each unit of the amount */
  STEPS = 4000,        /* of a thread's life */
  SLOTS = 3000,
  DIRTY = 2000, /* bytes that are written in each block, so that reused memory is not zero */
  OWN = 300,    /* blocks that a heap has when it is destroyed */
};

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "exchange: %s\n", what);
  exit(1);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* A block and its mark in one word: the mark, in the upper 16 bits, tells its size and contents. 0
** is none. */
typedef uint64_t item;
enum { MARK_SHIFT = 48 };

static char* item_block(item it) { return (char*)(uintptr_t)(it & (((item)1 << MARK_SHIFT) - 1)); }
static unsigned item_mark(item it) { return (unsigned)(it >> MARK_SHIFT); }

static uint64_t mix(uint64_t x) {
  x = (x + 1) * 0x9e3779b97f4a7c15u;
  return x ^ x >> 32;
}

/* Mostly small; of the 65,536 marks some hundred stand for sizes up to 2 MiB and four for a huge
** block. */
static size_t size_of(unsigned mark) {
  uint64_t r = mix(mark) >> 8, n = r >> 20;
  if (mark < 4) return ((size_t)17 << 20) + n % 1000;
  if (r % 512 == 0) return 1 + n % (2 << 20);
  if (r % 64 == 0) return 1 + n % (64 << 10);
  if (r % 8 == 0) return 1 + n % (8 << 10);
  return 1 + n % 300;
}

typedef struct ends {
  uint64_t bytes;
  size_t n, size;
} ends;

static ends ends_of(unsigned mark) {
  size_t size = size_of(mark);
  return (ends){mix(mark), size < sizeof(uint64_t) ? size : sizeof(uint64_t), size};
}

static item marked(char* p, unsigned mark) {
  if (p == NULL) fail("no memory");
  ends e = ends_of(mark);
  memset(p, 0xA5, e.size < DIRTY ? e.size : DIRTY);
  memcpy(p, &e.bytes, e.n);
  if (e.size >= 2 * e.n) memcpy(p + e.size - e.n, &e.bytes, e.n);
  return (uintptr_t)p | (item)mark << MARK_SHIFT;
}

static void check(item it) {
  ends e = ends_of(item_mark(it));
  char* p = item_block(it);
  if (mi_usable_size(p) < e.size) fail("a block has become smaller");
  if (memcmp(p, &e.bytes, e.n) != 0) fail("the start of a block was overwritten");
  if (e.size >= 2 * e.n && memcmp(p + e.size - e.n, &e.bytes, e.n) != 0)
    fail("the end of a block was overwritten");
}

static void drop(item it) {
  if (it == 0) return;
  check(it);
  mi_free(item_block(it));
}

/* The middle of large ones is looked at in steps: all of it would be made resident. */
static char* check_zero(char* p, size_t size) {
  for (size_t i = 0; p != NULL && i < size; i += i < DIRTY ? 1 : 1 + size / 64)
    if (p[i] != 0) fail("fresh zero memory is not zero");
  return p;
}

static char* check_aligned(char* p, size_t align) {
  if ((uintptr_t)p % align != 0) fail("an aligned block is not");
  return p;
}

/* Any way to allocate; `heap` may be NULL. */
static item make(uint64_t* state, mi_heap_t* heap) {
  unsigned mark = (unsigned)rnd_from(state, 1 << 16);
  size_t size = size_of(mark), align = (size_t)1 << rnd_from(state, 13);
  switch (rnd_from(state, 8) + (heap != NULL ? 0 : 2)) {
    case 0:
      return marked(mi_heap_malloc(heap, size), mark);
    case 1:
      return marked(check_zero(mi_heap_zalloc(heap, size), size), mark);
    case 2:
      return marked(check_zero(mi_calloc(1, size), size), mark);
    case 3:
      return marked(check_zero(mi_zalloc(size), size), mark);
    case 4:
      return marked(check_aligned(mi_malloc_aligned(size, align), align), mark);
    case 5:
      return marked(check_aligned(check_zero(mi_zalloc_aligned(size, align), size), align), mark);
    default:
      return marked(mi_malloc(size), mark);
  }
}

/* Takes the block and gives it back in another size, by whichever thread this is. */
static item resized(uint64_t* state, mi_heap_t* heap, item it) {
  check(it);
  ends old = ends_of(item_mark(it));
  unsigned mark = (unsigned)rnd_from(state, 1 << 16);
  size_t size = size_of(mark), kept = old.n < size ? old.n : size;
  char* p = item_block(it);
  p = heap != NULL ? mi_heap_realloc(heap, p, size) : mi_realloc(p, size);
  if (p != NULL && memcmp(p, &old.bytes, kept) != 0) fail("realloc has lost the contents");
  return marked(p, mark);
}

/* ---- The life of a thread -------------------------------------------------------------------- */

static _Atomic item pool[SLOTS];

/* Acquire and release: who takes a block sees it as the one who put it left it. */
static item put(uint64_t* state, item it) {
  return atomic_exchange_explicit(&pool[rnd_from(state, SLOTS)], it, memory_order_acq_rel);
}

/* A heap that ends with most of its blocks alive; nobody else has seen them. */
static void use_and_destroy(uint64_t* state) {
  item own[OWN] = {0};
  mi_heap_t* heap = mi_heap_new();
  if (heap == NULL) fail("no heap");
  for (int i = 0; i < 2 * OWN; i++) {
    item* it = &own[rnd_from(state, OWN)];
    unsigned mark = 4 + (unsigned)rnd_from(state, (1 << 16) - 4);
    drop(*it);
    *it = i % 5 == 0 ? 0 : marked(mi_heap_malloc(heap, size_of(mark)), mark);
  }
  for (int i = 0; i < OWN; i++)
    if (own[i] != 0) check(own[i]);
  mi_heap_destroy(heap);
}

static mi_heap_t* change_heap(mi_heap_t* heap) {
  if (heap == NULL) return mi_heap_new();
  mi_heap_delete(heap);
  return NULL;
}

/* Destructors run after the allocator's own, which has ended the thread's heaps: what they do goes
** to new ones. */
static pthread_key_t key;
static void at_exit(void* arg) {
  uint64_t state = *(uint64_t*)arg;
  mi_free(arg);
  for (int i = 0; i < 20; i++) drop(put(&state, make(&state, NULL)));
}

static void* live(void* arg) {
  uint64_t state = mix((uintptr_t)arg);
  mi_heap_t* heap = NULL;
  for (int i = 0; i < STEPS; i++) {
    item it = put(&state, rnd_from(&state, 8) == 0 ? 0 : make(&state, heap));
    if (it != 0 && rnd_from(&state, 4) == 0) it = put(&state, resized(&state, heap, it));
    drop(it);
    uint64_t event = rnd_from(&state, 3000);
    if (event < 10) heap = change_heap(heap);
    if (event == 10) use_and_destroy(&state);
    if (event == 11) mi_collect(rnd_from(&state, 2) == 0);
    if (event == 12 && heap != NULL) mi_heap_collect(heap, false);
  }
  uint64_t* kept = mi_malloc(sizeof *kept);
  if (kept == NULL) fail("no memory");
  *kept = state;
  pthread_setspecific(key, kept);
  return NULL;
}

/* Threads end one by one while the others go on, and the next takes the place. */
int main(int argc, char** argv) {
  uintptr_t lives = (argc > 1 ? strtoul(argv[1], NULL, 10) : 100) * LIVES_PER_UNIT;
  pthread_t threads[THREADS];
  if (pthread_key_create(&key, at_exit) != 0) fail("no thread key");
  for (uintptr_t i = 0; i < lives; i++) {
    if (i >= THREADS) pthread_join(threads[i % THREADS], NULL);
    if (pthread_create(&threads[i % THREADS], NULL, live, (void*)i) != 0) fail("no thread");
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < SLOTS; i++) drop(pool[i]);
  if (!nothing_lives()) fail("not all freed");
  return 0;
}
