/* sleeper.c: memory comes back without its owner. A thread fills pages and sleeps; three others
** free all its blocks; then the resident set has fallen, though the owner has not run since. It
** wakes up and fills again, and ends while the others free, or between their first and second
** half: then, too, everything comes back. Each block is marked at both ends with its number. */
#include "tests/tools.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A fill is several times what an owner may keep of the pages that others have emptied (8 MiB). */
enum { FREERS = 3, BLOCKS_MAX = 2 << 20, FILL_PER_UNIT = 640 << 10, FILL_MIN = 32 << 20 };
static const size_t sizes[] = {32, 64, 200, 1000, 5000, 8192, 30000, 65536, 100000, 700000};

static size_t size, count; /* of the blocks now, and how many make the fill */
static char* blocks[BLOCKS_MAX];

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "sleeper: %zu blocks of %zu bytes: %s\n", count, size, what);
  exit(1);
}

/* Touches all of each block, so that it is resident. */
static void fill(void) {
  for (size_t i = 0; i < count; i++) {
    char* p = mi_malloc(size);
    if (p == NULL) fail("no memory");
    memset(p, 1, size);
    memcpy(p, &i, sizeof i);
    memcpy(p + size - sizeof i, &i, sizeof i);
    blocks[i] = p;
  }
}

static void drop(size_t i) {
  char* p = blocks[i];
  if (memcmp(p, &i, sizeof i) != 0 || memcmp(p + size - sizeof i, &i, sizeof i) != 0)
    fail("a block does not have its number: handed out twice, or its page was released early");
  mi_free(p);
}

/* ---- The owner ------------------------------------------------------------------------------- */

/* It is `asleep` from the end of a fill until `wanted` fills are more than it has `done`. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int wanted, done;
static const int END = 1000;

static void* own(void* arg) {
  (void)arg;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (wanted == done) pthread_cond_wait(&changed, &lock);
    if (wanted == END) break;
    pthread_mutex_unlock(&lock);
    fill();
    pthread_mutex_lock(&lock);
    done++;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static void tell(int fills) {
  pthread_mutex_lock(&lock);
  wanted = fills;
  pthread_cond_broadcast(&changed);
  while (done != wanted && wanted != END) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static pthread_t owner_start(void) {
  pthread_t t;
  wanted = done = 0;
  if (pthread_create(&t, NULL, own, NULL) != 0) fail("no thread");
  return t;
}

/* ---- The others ------------------------------------------------------------------------------ */

/* They free every FREERS-th block each, so that all work on the same pages. */
typedef struct part {
  size_t first, from, to;
} part;
static part parts[FREERS];
static pthread_t freers[FREERS];

static void* free_part(void* arg) {
  part* p = arg;
  for (size_t i = p->from + p->first; i < p->to; i += FREERS) drop(i);
  return NULL;
}

static void free_begin(size_t from, size_t to) {
  for (size_t i = 0; i < FREERS; i++) {
    parts[i] = (part){i, from, to};
    if (pthread_create(&freers[i], NULL, free_part, &parts[i]) != 0) fail("no thread");
  }
}
static void free_end(void) {
  for (int i = 0; i < FREERS; i++) pthread_join(freers[i], NULL);
}
static void free_range(size_t from, size_t to) {
  free_begin(from, to);
  free_end();
}

/* ---- The scenes ------------------------------------------------------------------------------ */

static void expect_fallen(size_t empty, size_t full, const char* what) {
  size_t now = resident();
  if (!RESIDENT_TELLS) return;
  if (full < empty + count * size / 10 * 9) fail("the fill is not resident");
  if (now < empty + (full - empty) / 2) return;
  fprintf(stderr, "sleeper: resident before %zu, full %zu, now %zu\n", empty, full, now);
  fail(what);
}

/* The owner sleeps while all is freed, twice: the second fill begins with what it finds when it
** wakes up. Then it ends while the others free. */
static void sleeping_owner(void) {
  size_t empty = resident();
  pthread_t owner = owner_start();
  for (int fills = 1; fills <= 2; fills++) {
    tell(fills);
    size_t full = resident();
    free_range(0, count);
    expect_fallen(empty, full, "the owner sleeps, and its memory did not come back");
  }
  tell(3);
  free_begin(0, count);
  tell(END);
  free_end();
  pthread_join(owner, NULL);
}

/* The owner ends between two halves: of each page some blocks are freed before and some after.
** Pages whose blocks went to the process's free slices are given back by the collection. */
static void ending_owner(void) {
  size_t empty = resident();
  pthread_t owner = owner_start();
  tell(1);
  size_t full = resident();
  for (size_t i = 0; i < count; i += 2) drop(i);
  tell(END);
  pthread_join(owner, NULL);
  for (size_t i = 1; i < count; i += 2) drop(i);
  mi_collect(true);
  expect_fallen(empty, full, "the owner has ended, and its memory did not come back");
}

int main(int argc, char** argv) {
  size_t bytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 100) * FILL_PER_UNIT;
  if (bytes < FILL_MIN) bytes = FILL_MIN;
  memset(blocks, 1, sizeof blocks); /* resident from now on */
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size = sizes[i];
    count = bytes / size;
    if (count > BLOCKS_MAX) count = BLOCKS_MAX;
    sleeping_owner();
    if (!nothing_lives()) fail("not all freed");
    ending_owner();
    if (!nothing_lives()) fail("not all freed");
  }
  return 0;
}
