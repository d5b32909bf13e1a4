/* orphans.c: threads end with dead objects waiting while others start, drain, allocate, and take over
** what was left, again and again. The units that all threads have spent add up to what died, and no
** block is lost. */
#include "rc/rc.h"
#include "tests/tools.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAKERS = 4,
  TAKERS = 2,
  ENDINGS_PER_UNIT = 60, /* of each maker */
  NODES = 100,
  UNITS = 3 * NODES, /* two fields and a block for each node */
};

static uint64_t endings;
static _Atomic uint64_t done;
static _Atomic int makers_left = MAKERS;

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "orphans: %s\n", what);
  exit(1);
}

static void start(pthread_t* thread, void* (*f)(void*)) {
  if (pthread_create(thread, NULL, f, NULL) != 0) fail("no thread");
}

static uint64_t units(void) {
  rc_counters c;
  rc_get_counters(&c);
  return c.units;
}

static void* leave_a_list(void* arg) {
  (void)arg;
  rc_word list = RC_NIL;
  for (int i = 0; i < NODES; i++) {
    rc_object* o = rc_alloc(1, 2);
    if (o == NULL) fail("no memory");
    rc_init(o, 0, rc_int(i));
    rc_init(o, 1, list);
    list = rc_from(o);
  }
  rc_dec_word(list);
  done += units();
  return NULL;
}

static void* make_threads(void* arg) {
  (void)arg;
  for (uint64_t i = 0; i < endings; i++) {
    pthread_t thread;
    start(&thread, leave_a_list);
    pthread_join(thread, NULL);
  }
  makers_left--;
  return NULL;
}

static void* take_over(void* arg) {
  (void)arg;
  while (makers_left > 0) rc_drain(50);
  rc_drain(SIZE_MAX);
  done += units();
  return NULL;
}

int main(int argc, char** argv) {
  pthread_t threads[MAKERS + TAKERS];
  endings = (argc > 1 ? strtoull(argv[1], NULL, 10) : 100) * ENDINGS_PER_UNIT;
  for (int i = 0; i < MAKERS + TAKERS; i++)
    start(&threads[i], i < MAKERS ? make_threads : take_over);
  for (int i = 0; i < MAKERS + TAKERS; i++) pthread_join(threads[i], NULL);
  rc_drain(SIZE_MAX);
  done += units();
  if (done != MAKERS * endings * UNITS) fail("units were lost, or spent twice");
  if (!nothing_lives()) fail("not all freed");
  return 0;
}
