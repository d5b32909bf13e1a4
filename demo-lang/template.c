/* template.c: new states as copies of one that is kept.
**
** To open the libraries takes 250,000 instructions or more, and what comes of it is the same in all states that
** may do the same. In a compact task it lies in one piece: so of each kind of states one is kept as bytes, and
** the next ones are a memcpy. A word in it that points into the piece, or to the guest or its output, gets the
** copy's address instead.
**
** Which words these are is found by making two: a word is equal in both, or it leads to the same place from
** where each of them is. If there is any other there are no copies. So that this is not left to what padding
** happens to hold, these two keep their memory clear. Tables must not depend on addresses: the hash seed is the
** same in both and in all copies, and no table of the libraries has a key that is hashed by its address in the
** piece. In repeatable states the lower half of it, which Lua hashes, is the same anyway.
**
** The generator of math.random is not copied, but seeded anew, unless states are to repeat; in a child process, too. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "demo-lang/guest.h"

enum { WORD = sizeof(uintptr_t), WORDS = (1 << 16) / WORD, OTHERS = 16 };
enum {
  ALIGN = 64
}; /* a copy between places in lines of the cache that differ takes twice as long */

typedef uint16_t place; /* of a word in the piece */

struct template {
  rt_image image;   /* its bytes follow */
  const void* from; /* where they were, and */
  guest guest;      /* whose */
  size_t moved;     /* words that point into the piece, at */
  place at[WORDS];
  size_t others; /* words that point to the guest or its output */
  struct {
    place at;
    bool output;
  } other[OTHERS];
};

/* ---- Randomness ------------------------------------------------------------------------------ */

static pthread_once_t random_once = PTHREAD_ONCE_INIT;
static _Atomic uint64_t random_at;
static uint32_t hash_seed; /* of all copies */

/* If the system has none to give, the clock will do. */
static void get_random(uint64_t seed[2]) {
  if (getrandom(seed, 2 * sizeof *seed, GRND_NONBLOCK) == 2 * sizeof *seed) return;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  seed[0] = (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 32;
  seed[1] = (uint64_t)now.tv_nsec;
}

/* Another process goes on with numbers of its own; what is hashed stays. */
static void forked(void) {
  uint64_t seed[2];
  get_random(seed);
  random_at = seed[0];
}

static void begin_random(void) {
  uint64_t seed[2];
  get_random(seed);
  random_at = seed[0];
  hash_seed = (uint32_t)seed[1] | 1;
  if (pthread_atfork(NULL, NULL, forked) != 0)
    fputs("slua: warning: no memory to prepare for fork: child processes repeat random numbers\n",
          stderr);
}

/* SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). */
static uint64_t random_word(void) {
  const uint64_t STEP = 0x9e3779b97f4a7c15;
  uint64_t z = atomic_fetch_add_explicit(&random_at, STEP, memory_order_relaxed) + STEP;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void template_begin(guest* g) {
  pthread_once(&random_once, begin_random);
  if (!g->repeatable) g->hash_seed = hash_seed;
  rt_keep_clear();
}

/* ---- What differs ---------------------------------------------------------------------------- */

static bool add_other(template* t, size_t i, bool output) {
  if (t->others == OTHERS) return false;
  t->other[t->others].at = (place)i;
  t->other[t->others++].output = output;
  return true;
}

static bool is_random(const template* t, size_t i) {
  const guest* g = &t->guest;
  size_t at = (size_t)((const char*)g->random - (const char*)t->from) / WORD;
  return !g->repeatable && i - at < 4;
}

/* A word that is not the same in both. */
static bool explain(template* t, size_t i, uintptr_t a, uintptr_t b, const guest* of_a,
                    const guest* of_b, const void* from_b) {
  uintptr_t offset = a - (uintptr_t)t->from;
  if (offset <= t->image.size && b - (uintptr_t)from_b == offset) {
    t->at[t->moved++] = (place)i;
    return true;
  }
  if (a == (uintptr_t)of_a && b == (uintptr_t)of_b) return add_other(t, i, false);
  if (a == (uintptr_t)of_a->out && b == (uintptr_t)of_b->out) return add_other(t, i, true);
  return is_random(t, i);
}

static bool compare(template* t, const guest* a, const guest* b, const void* from_b) {
  const uintptr_t *words = t->image.start, *words_b = from_b;
  for (size_t i = 0; i < t->image.size / WORD; i++)
    if (words[i] != words_b[i] && !explain(t, i, words[i], words_b[i], a, b, from_b)) return false;
  return true;
}

static bool are_alike(const rt_image* a, const rt_image* b) {
  return a->size == b->size && a->size <= (size_t)WORDS * WORD && a->ticks == b->ticks &&
         a->bytes == b->bytes && a->bytes_peak == b->bytes_peak;
}

/* Nothing is on its way that the bytes do not have. */
static bool is_at_rest(const guest* g) {
  return g->random != NULL && g->running == g->L && g->refused.size == 0 && g->files == NULL &&
         g->pocket == 0 && g->unused == 0 && g->returned == 0;
}

template* template_new(const guest* a, const guest* b) {
  rt_image image, other;
  if (!rt_get_image(a->task, &image) || !rt_get_image(b->task, &other)) return NULL;
  if (!are_alike(&image, &other) || !is_at_rest(a)) return NULL;
  size_t head = (sizeof(template) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  template* t = aligned_alloc(ALIGN, (head + image.size + ALIGN - 1) & ~(size_t)(ALIGN - 1));
  if (t == NULL) return NULL;
  t->from = image.start;
  t->image = image;
  t->image.start = memcpy((char*)t + head, image.start, image.size);
  t->guest = *a;
  t->moved = t->others = 0;
  if (compare(t, a, b, other.start)) return t;
  free(t);
  return NULL;
}

/* ---- A copy ---------------------------------------------------------------------------------- */

static void* moved(const template* t, const void* p, void* to) {
  return p == NULL ? NULL : (char*)to + ((const char*)p - (const char*)t->from);
}

static void adjust(const template* t, const guest* g, uintptr_t* words) {
  uintptr_t by = (uintptr_t)words - (uintptr_t)t->from;
  for (size_t i = 0; i < t->moved; i++) words[t->at[i]] += by;
  for (size_t i = 0; i < t->others; i++)
    words[t->other[i].at] = t->other[i].output ? (uintptr_t)g->out : (uintptr_t)g;
}

/* All that the opening has set, but what the configuration tells, which is `g`'s own. */
static void take_over(const template* t, guest* g, void* to) {
  guest own = *g;
  *g = t->guest;
  g->task = own.task;
  g->out = own.out;
  g->limit = own.limit;
  g->collect_above = own.collect_above;
  g->L = g->running = moved(t, g->L, to);
  g->first_block = moved(t, g->first_block, to);
  g->random = moved(t, g->random, to);
}

/* Above `collect_above` bytes there would have been collections. */
bool template_copy(const template* t, guest* g) {
  if (t->image.bytes_peak >= g->collect_above) return false;
  void* to = rt_put_image(&t->image);
  if (to == NULL) return false;
  adjust(t, g, to);
  take_over(t, g, to);
  for (int i = 0; i < 4 && !g->repeatable; i++) g->random[i] = random_word();
  rt_watch(g->collect_above);
  return true;
}
