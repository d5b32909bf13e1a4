/* remote.c: one thread allocates and another frees, 10 million blocks (at 100) of mixed sizes.
** Batches of blocks travel through a ring; the freeing thread keeps some back for long, so that
** full pages come back to their owner block by block as well as at once. Each block carries its
** number at both ends, by which a block that was handed out twice is found, and at the end every
** one has come back. */
#include "alloc/mimalloc.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  BLOCKS_PER_UNIT = 100000,
  BATCH = 250,
  RING = 64,      /* batches */
  KEEP = 65536,   /* blocks that are kept back, */
  KEEP_EACH = 16, /* every so many */
};
_Static_assert(BLOCKS_PER_UNIT % BATCH == 0, "whole batches");

static _Noreturn void fail(const char* what, uint64_t id) {
  fprintf(stderr, "remote: block %llu: %s\n", (unsigned long long)id, what);
  exit(1);
}

/* ---- Blocks: size and contents follow from the number ---------------------------------------- */

static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
  return x ^ x >> 29;
}

static size_t size_of(uint64_t id) {
  uint64_t r = mix(id + 1), n = r >> 20;
  if (r % 20000 == 0) return n % (1 << 20);
  if (r % 2000 == 0) return n % (100 << 10);
  if (r % 50 == 0) return n % (9 << 10);
  return n % (r % 8 == 0 ? 1000 : 130);
}

static size_t stamp_size(size_t size) { return size < sizeof(uint64_t) ? size : sizeof(uint64_t); }

static void stamp(char* p, uint64_t id) {
  size_t size = size_of(id), n = stamp_size(size);
  memcpy(p, &id, n);
  if (size >= 2 * n) memcpy(p + size - n, &id, n);
}

static void check_and_free(char* p, uint64_t id) {
  size_t size = size_of(id), n = stamp_size(size);
  if (memcmp(p, &id, n) != 0) fail("another's number at the start", id);
  if (size >= 2 * n && memcmp(p + size - n, &id, n) != 0) fail("another's number at the end", id);
  mi_free(p);
}

/* ---- The ring: one writer, one reader -------------------------------------------------------- */

/* Batches [taken, put) are in the ring; batch b has the blocks b*BATCH and following. */
static char* ring[RING][BATCH];
static _Atomic uint64_t put, taken;
static uint64_t batches;

static void* free_all(void* arg) {
  static struct kept {
    char* p;
    uint64_t id;
  } kept[KEEP];
  (void)arg;
  for (uint64_t b = 0; b < batches; b++) {
    while (atomic_load_explicit(&put, memory_order_acquire) == b) sched_yield();
    for (uint64_t i = 0; i < BATCH; i++) {
      uint64_t id = b * BATCH + (b % 2 ? i : BATCH - 1 - i);
      struct kept now = {ring[b % RING][id % BATCH], id};
      if (mix(id) % KEEP_EACH == 0) {
        struct kept* place = &kept[mix(id) / KEEP_EACH % KEEP];
        struct kept before = *place;
        *place = now;
        now = before;
      }
      if (now.p != NULL) check_and_free(now.p, now.id);
    }
    atomic_store_explicit(&taken, b + 1, memory_order_release);
  }
  for (int i = 0; i < KEEP; i++)
    if (kept[i].p != NULL) check_and_free(kept[i].p, kept[i].id);
  return NULL;
}

static void allocate_all(void) {
  for (uint64_t b = 0; b < batches; b++) {
    while (atomic_load_explicit(&taken, memory_order_acquire) + RING == b) sched_yield();
    for (uint64_t id = b * BATCH; id < (b + 1) * BATCH; id++) {
      char* p = mi_malloc(size_of(id));
      if (p == NULL) fail("no memory", id);
      stamp(p, id);
      ring[b % RING][id % BATCH] = p;
    }
    atomic_store_explicit(&put, b + 1, memory_order_release);
  }
}

/* ---- The table at the end -------------------------------------------------------------------- */

enum { TOTAL_COLUMN = 24, FREED_COLUMN = 35, COLUMN = 10 };
static bool rows_equal = true, ok;
static int rows;

/* Each call is a line: of a size class ("normal" or "large"), or else the last one decides. */
static void read_line(const char* line, void* arg) {
  (void)arg;
  ok = strcmp(line, "ok\n") == 0;
  if (strncmp(line, "normal", 6) != 0 && strncmp(line, "large", 5) != 0) return;
  rows++;
  bool equal = strlen(line) > FREED_COLUMN + COLUMN &&
               memcmp(line + TOTAL_COLUMN, line + FREED_COLUMN, COLUMN) == 0;
  if (equal && strstr(line, "  ok\n") != NULL) return;
  rows_equal = false;
  fprintf(stderr, "remote: not all freed: %s", line);
}

int main(int argc, char** argv) {
  batches = (argc > 1 ? strtoull(argv[1], NULL, 10) : 100) * (BLOCKS_PER_UNIT / BATCH);
  pthread_t thread;
  if (pthread_create(&thread, NULL, free_all, NULL) != 0) fail("no thread", 0);
  allocate_all();
  pthread_join(thread, NULL);
  mi_collect(true);
  mi_stats_print_out(read_line, NULL);
  if (!ok || !rows_equal || rows < 30) fail("the statistics do not end in ok", batches * BATCH);
  return 0;
}
