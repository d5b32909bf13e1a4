/* bench: what a malloc and a free cost, in one of five loops. The allocator is the one that the
   program finds at its start (LD_PRELOAD).

       bench NAME [ROUNDS]     prints the nanoseconds per pair of malloc and free

   A round is ROUND pairs of mixed sizes from 8 to 256 bytes. Each block is written to once, as a
   program would; sizes and order are the same in every run. A tenth of the rounds warm up. */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  ROUND = 1000,
  SLOTS = 16, /* rounds that the producer may be ahead of the consumer; a power of two */
  SPINS = 200 /* looks at the ring before the processor is given away */
};

static size_t size[ROUND];
static unsigned order[ROUND];      /* a permutation */
static size_t first_cpu, last_cpu; /* of those that the program may use; all fixed by prepare() */

static uint32_t next_random(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33);
}

static void prepare(void) {
  for (unsigned i = 0; i < ROUND; i++) {
    size[i] = 8 + next_random() % 249;
    order[i] = i;
  }
  for (unsigned i = ROUND - 1; i > 0; i--) {
    unsigned j = next_random() % (i + 1), other = order[i];
    order[i] = order[j];
    order[j] = other;
  }
  cpu_set_t may;
  if (sched_getaffinity(0, sizeof may, &may) != 0 || CPU_COUNT(&may) == 0) {
    fputs("bench: no processor set\n", stderr);
    exit(1);
  }
  while (!CPU_ISSET(first_cpu, &may)) first_cpu++;
  for (last_cpu = CPU_SETSIZE - 1; !CPU_ISSET(last_cpu, &may);) last_cpu--;
}

static void* allocate(size_t bytes) {
  uint64_t* p = malloc(bytes);
  if (!p) {
    fputs("bench: out of memory\n", stderr);
    exit(1);
  }
  *p = bytes;
  return p;
}

static void pair(long rounds) {
  while (rounds-- > 0)
    for (int i = 0; i < ROUND; i++) free(allocate(size[i]));
}

static void batch(long rounds) {
  static void* block[ROUND];
  while (rounds-- > 0) {
    for (int i = 0; i < ROUND; i++) block[i] = allocate(size[i]);
    for (int i = 0; i < ROUND; i++) free(block[i]);
  }
}

static void shuffle(long rounds) {
  static void* block[ROUND];
  while (rounds-- > 0) {
    for (int i = 0; i < ROUND; i++) block[i] = allocate(size[i]);
    for (int i = 0; i < ROUND; i++) free(block[order[i]]);
  }
}

/* A ring with one producer and one consumer. Rounds [taken, given) are the consumer's, the other
   slots the producer's; each counter has one writer, whose release hands the slots over. */
static struct {
  _Alignas(64) atomic_long given;
  _Alignas(64) atomic_long taken;
  _Alignas(64) void* block[SLOTS][ROUND];
} ring;

/* Until the counter has reached a value. */
static void await(atomic_long* counter, long value) {
  for (int i = 1; atomic_load_explicit(counter, memory_order_acquire) < value; i++)
    if (i % SPINS == 0) sched_yield();
}

static void* consume(void* argument) {
  long rounds = *(long*)argument;
  for (long r = 0; r < rounds; r++) {
    await(&ring.given, r + 1);
    for (int i = 0; i < ROUND; i++) free(ring.block[r % SLOTS][i]);
    atomic_store_explicit(&ring.taken, r + 1, memory_order_release);
  }
  return NULL;
}

static void pin(size_t cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) {
    fputs("bench: cannot choose a processor\n", stderr);
    exit(1);
  }
}

/* One thread allocates, another one frees. Left to the scheduler, a run has both on one processor
   or on two, which differ by a factor of three: hence two loops, with the threads pinned. */
static void hand_over(long rounds, size_t producer_cpu, size_t consumer_cpu) {
  pthread_t consumer;
  atomic_store(&ring.given, 0);
  atomic_store(&ring.taken, 0);
  pin(consumer_cpu); /* a new thread inherits it */
  if (pthread_create(&consumer, NULL, consume, &rounds) != 0) {
    fputs("bench: no thread\n", stderr);
    exit(1);
  }
  pin(producer_cpu);
  for (long r = 0; r < rounds; r++) {
    await(&ring.taken, r + 1 - SLOTS);
    for (int i = 0; i < ROUND; i++) ring.block[r % SLOTS][i] = allocate(size[i]);
    atomic_store_explicit(&ring.given, r + 1, memory_order_release);
  }
  pthread_join(consumer, NULL);
}

static void prodcons(long rounds) { hand_over(rounds, first_cpu, last_cpu); }

static void prodcons1(long rounds) { hand_over(rounds, first_cpu, first_cpu); }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static const struct {
  const char* name;
  void (*run)(long rounds);
  long rounds; /* for 0.05 to 0.1 s with a fast allocator */
} loops[] = {
    {"pair", pair, 12000},        {"batch", batch, 12000},        {"shuffle", shuffle, 12000},
    {"prodcons", prodcons, 2500}, {"prodcons1", prodcons1, 1500},
};

int main(int argc, char** argv) {
  for (size_t i = 0; (argc == 2 || argc == 3) && i < sizeof loops / sizeof *loops; i++) {
    if (strcmp(argv[1], loops[i].name) != 0) continue;
    long rounds = argc == 3 ? atol(argv[2]) : loops[i].rounds;
    if (rounds <= 0) break;
    prepare();
    loops[i].run(rounds / 10 + 1);
    double start = now();
    loops[i].run(rounds);
    printf("%.3f\n", (now() - start) / ((double)rounds * ROUND));
    return 0;
  }
  fputs("usage: bench pair|batch|shuffle|prodcons|prodcons1 [ROUNDS]\n", stderr);
  return 2;
}
