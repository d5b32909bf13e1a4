/* pause.c: a structure of N objects dies while the program goes on to make a list as long. Prints
** how many calls were timed (the last rc_dec and each construction), and each that took a
** microsecond or more, in nanoseconds; "full" if it was a refill that spent all that it may on the
** dead, "away" if the kernel gave the processor to somebody else meanwhile. */
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "emit.h"

enum { SHOWN_NS = 1000, FULL_UNITS = 480 };

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- The structures -------------------------------------------------------------------------- */

static rc_word list(int64_t n) {
  rc_word first = RC_NIL;
  for (int64_t i = 0; i < n; i++) first = pair(NULL, 0, rc_int(i), first);
  return first;
}

/* drand48's step; equal in all languages. */
static uint64_t next_random(uint64_t* state) {
  *state = (*state * 0x5DEECE66D + 0xB) & (((uint64_t)1 << 48) - 1);
  return *state >> 16;
}

static rc_word shuffled(int64_t n) {
  rc_object** all = malloc((size_t)n * sizeof *all);
  uint64_t random = 1;
  if (all == NULL) made(NULL);
  for (int64_t i = 0; i < n; i++) all[i] = rc_to(pair(NULL, 0, rc_int(i), RC_NIL));
  rc_word first = RC_NIL;
  for (int64_t left = n; left > 0; left--) {
    uint64_t i = next_random(&random) % (uint64_t)left;
    rc_object* o = all[i];
    all[i] = all[left - 1];
    rc_set(o, 1, first);
    first = rc_from(o);
  }
  free(all);
  return first;
}

static rc_word tree(int64_t n) {
  if (n == 0) return RC_NIL;
  rc_word left = tree((n - 1) / 2);
  return pair(NULL, 0, left, tree(n - 1 - (n - 1) / 2));
}

static rc_word array(int64_t n) {
  rc_object* all = made(rc_array(0, (size_t)n, RC_NIL));
  for (int64_t i = 0; i < n; i++) rc_set(all, (size_t)i, pair(NULL, 0, rc_int(i), RC_NIL));
  return rc_from(all);
}

/* Rings of a thousand, which their first references keep. */
static rc_word ring(int64_t n) {
  rc_word first = RC_NIL, last = RC_NIL;
  for (int64_t i = 0; i < n; i++) {
    last = pair(NULL, 0, rc_int(i), last);
    rc_cyclic(rc_to(last));
    if (i == 0) first = share(last);
  }
  rc_exchange(rc_to(first), 1, share(last));
  rc_dec_word(first);
  return last;
}

static rc_word rings(int64_t n) {
  enum { RING = 1000 };
  rc_object* all = made(rc_array(0, (size_t)(n / RING), RC_NIL));
  for (int64_t i = 0; i < n / RING; i++) rc_set(all, (size_t)i, ring(RING));
  return rc_from(all);
}

static const struct {
  const char* name;
  rc_word (*build)(int64_t n);
} structures[] = {
    {"list", list}, {"shuffled", shuffled}, {"tree", tree}, {"array", array}, {"rings", rings}};

/* ---- The clock ------------------------------------------------------------------------------- */

typedef struct pause {
  uint64_t ns;
  bool full, away;
} pause_t;

typedef struct pauses {
  pause_t* list;
  uint64_t count, units;
  long switches;
} pauses;

static uint64_t units_now(void) {
  rc_counters c;
  rc_get_counters(&c);
  return c.units;
}

/* How often somebody else got the processor. */
static long switches_now(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

/* The room is there, and was written to, before the clock runs. */
static pauses pauses_new(uint64_t room) {
  pauses p = {malloc(room * sizeof(pause_t)), 0, units_now(), 0};
  if (p.list == NULL) made(NULL);
  memset(p.list, 1, room * sizeof(pause_t));
  p.switches = switches_now();
  return p;
}

static void note(pauses* p, uint64_t ns) {
  uint64_t units = units_now();
  if (ns >= SHOWN_NS) {
    long switches = switches_now();
    p->list[p->count++] = (pause_t){ns, units - p->units >= FULL_UNITS, switches > p->switches};
    p->switches = switches;
  }
  p->units = units;
}

static void print(const pauses* p, int64_t calls) {
  printf("%lld\n", (long long)calls);
  for (const pause_t* it = p->list; it < p->list + p->count; it++)
    printf("%llu%s%s\n", (unsigned long long)it->ns, it->full ? " full" : "",
           it->away ? " away" : "");
}

/* The structure's last reference goes, and life goes on. */
static rc_word measure(pauses* p, rc_word dies, int64_t n) {
  uint64_t start = now_ns();
  rc_dec_word(dies);
  note(p, now_ns() - start);
  rc_word next = RC_NIL;
  for (int64_t i = 0; i < n; i++) {
    start = now_ns();
    next = pair(NULL, 0, RC_NIL, next);
    note(p, now_ns() - start);
  }
  return next;
}

int main(int argc, char** argv) {
  int64_t n = argc > 2 ? atoll(argv[2]) : 10000000;
  for (size_t i = 0; argc > 1 && i < sizeof structures / sizeof *structures; i++) {
    if (strcmp(structures[i].name, argv[1]) != 0) continue;
    rc_word dies = structures[i].build(n);
    pauses p = pauses_new((uint64_t)n + 1);
    measure(&p, dies, n);
    print(&p, n + 1);
    return rc_pending() > 0; /* all was paid for by as many constructions */
  }
  fprintf(stderr, "usage: pause list|shuffled|tree|array|rings [OBJECTS]\n");
  return 2;
}
