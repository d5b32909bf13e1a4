/* secure.c: what the secure build adds to checked.c: random numbers, blocks that wait before they are
** used again, and guard pages.
**
** A freed block of its owner's waits in its class's ring, until at least as many as ring_waits says were
** freed after it: it takes the oldest one's place, which takes that of a random one of the SPREAD oldest,
** which leaves. So what comes next cannot be foretold. A block that
** another thread frees goes to its page's remote list at once, as in other builds: a quarantine has
** blocks of pages of its own task only. Single blocks wait without memory, and without access.
**
** Random numbers are ChaCha's with 8 rounds (Bernstein), with a key from the kernel for each task, and
** another one after a fork; never an address. */
#include "alloc/checked.h"

enum { SPREAD = 32 };

/* Filled from the start; emptied only as a whole. */
typedef struct ring {
  block_t** slots;
  uint32_t length, at;
} ring_t;

/* Used by the thread that has the task. */
typedef struct quarantine {
  uint32_t key[8];
  uint32_t stream[64]; /* random words, of which the first `left` were not used yet */
  uint32_t left;
  uint32_t bits; /* a random word, less what was used of it, above a 1 */
  uint64_t counter;
  uint32_t forks; /* when the key was made */
  struct quarantine* next;
  ring_t ring[CLASS_COUNT];
} quarantine_t;

static pthread_mutex_t* const lock = &records_lock;
static quarantine_t* unused; /* under the lock */

/* ---- Random numbers -------------------------------------------------------------------------- */

/* LANES blocks of the stream at once, each a lane of 16 vectors. */
enum { LANES = 4, STREAM = 16 * LANES };
typedef uint32_t lanes_t __attribute__((vector_size(sizeof(uint32_t) * LANES)));

static inline lanes_t rotate(lanes_t x, int n) { return x << n | x >> (32 - n); }

static inline void quarter(lanes_t s[16], int a, int b, int c, int d) {
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 16);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 12);
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 8);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 7);
}

static void next_stream(quarantine_t* q) {
  static const uint32_t words[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  lanes_t begin[16] = {0}, s[16];
  for (int i = 0; i < 4; i++) begin[i] += words[i];
  for (int i = 0; i < 8; i++) begin[4 + i] += q->key[i];
  for (int i = 0; i < LANES; i++, q->counter++) {
    begin[12][i] = (uint32_t)q->counter;
    begin[13][i] = (uint32_t)(q->counter >> 32);
  }
  memcpy(s, begin, sizeof s);
  for (int round = 0; round < 8; round += 2) {
    for (int i = 0; i < 4; i++) quarter(s, i, 4 + i, 8 + i, 12 + i);
    for (int i = 0; i < 4; i++) quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
  }
  for (int i = 0; i < 16; i++) s[i] += begin[i];
  memcpy(q->stream, s, sizeof s);
  q->left = STREAM;
}

static bool new_key(quarantine_t* q) {
  q->forks = atomic_load_explicit(&fork_count, memory_order_relaxed);
  q->left = 0;
  return os_random(q->key, sizeof q->key);
}

/* The child of a fork that gets no key goes on with its parent's. */
static uint32_t random_word(quarantine_t* q) {
  if (unlikely(q->left == 0)) {
    if (q->forks != atomic_load_explicit(&fork_count, memory_order_relaxed) && !new_key(q))
      warn_later("sluice: warning: no random numbers from the system after a fork");
    next_stream(q);
  }
  return q->stream[--q->left];
}

/* Uniform but for less than one in 2^17: `below` is a number of blocks in a page. */
uint32_t secure_random(mi_task_t* task, uint32_t below) {
  return (uint32_t)((uint64_t)random_word(task->quarantine) * below >> 32);
}

/* ---- Quarantine ------------------------------------------------------------------------------ */

/* Small blocks wait long. Others for a time that costs little: in memory, and in the processor's caches,
** which all that waits goes through. */
static uint32_t ring_waits(unsigned class) {
  enum { SMALL_WORDS = 8, SMALL_COUNT = 4096, BYTES = 64 * 1024, LEAST = 8, SINGLES = 16 };
  if (class == CLASS_LARGE) return SINGLES;
  if (class_words(class) <= SMALL_WORDS) return SMALL_COUNT;
  size_t n = BYTES / (class_words(class) * WORD);
  return (uint32_t)(n < LEAST ? LEAST : n);
}

static quarantine_t* quarantine_new(void) {
  size_t slots = 0;
  for (unsigned c = 1; c < CLASS_COUNT; c++) slots += ring_waits(c) + SPREAD;
  quarantine_t* q = record_alloc(sizeof *q + slots * sizeof(block_t*), 64);
  if (q == NULL) return NULL;
  block_t** at = (block_t**)(void*)(q + 1);
  for (unsigned c = 1; c < CLASS_COUNT; at += q->ring[c++].length) {
    q->ring[c].slots = at;
    q->ring[c].length = ring_waits(c) + SPREAD;
  }
  return q;
}

bool secure_begin(mi_task_t* task) {
  if (arena_is_region(task->arena)) return true;
  pthread_mutex_lock(lock);
  quarantine_t* q = unused;
  if (q != NULL) unused = q->next;
  pthread_mutex_unlock(lock);
  if (q == NULL) q = quarantine_new();
  task->quarantine = q;
  if (q != NULL && new_key(q)) return true;
  secure_end(task);
  errno = ENOMEM;
  return false;
}

void secure_end(mi_task_t* task) {
  quarantine_t* q = task->quarantine;
  if (q == NULL) return;
  secure_flush(task);
  task->quarantine = NULL;
  pthread_mutex_lock(lock);
  q->next = unused;
  unused = q;
  pthread_mutex_unlock(lock);
}

/* Keeps a block in the place of one that waited long enough, or NULL. */
static inline block_t* swap(ring_t* r, uint32_t step, block_t* block) {
  uint32_t length = r->length, at = r->at, place = at + step;
  if (place >= length) place -= length;
  block_t *old = r->slots[at], *out = r->slots[place];
  if (likely(old != NULL)) r->slots[place] = old;
  r->slots[at] = block;
  r->at = at + 1 < length ? at + 1 : 0;
  return old != NULL ? out : NULL;
}

static __attribute__((noinline)) void hold_with_bits(mi_task_t* task, page_t* page,
                                                     block_t* block) {
  quarantine_t* q = task->quarantine;
  q->bits = random_word(q) | (uint32_t)1 << 31;
  secure_hold(task, page, block);
}

/* A block that left goes to its page, which may be full, or of that block alone. */
void secure_hold(mi_task_t* task, page_t* page, block_t* block) {
  quarantine_t* q = task->quarantine;
  uint32_t bits = q->bits;
  if (unlikely(bits < SPREAD)) {
    hold_with_bits(task, page, block);
    return;
  }
  q->bits = bits / SPREAD;
  block_t* out = swap(&q->ring[page_class(page)], bits % SPREAD, block);
  if (unlikely(out == NULL)) return;
  page = page_with(out);
  if (likely(page_owner(page) == (uintptr_t)task))
    free_local_at(page, words_of(page) + page_index(page, out), out);
  else
    free_block(task, page, out);
}

static void empty(const mi_task_t* task, ring_t* r) {
  for (uint32_t i = 0; i < r->length && r->slots[i] != NULL; i++) {
    block_t* block = r->slots[i];
    page_t* page = page_with(block);
    r->slots[i] = NULL;
    checked_freed(page, block);
    free_block(task, page, block);
  }
  r->at = 0;
}

void secure_flush(mi_task_t* task) {
  quarantine_t* q = task->quarantine;
  for (unsigned c = 1; q != NULL && c < CLASS_COUNT; c++) empty(task, &q->ring[c]);
}

/* ---- Guard pages: of single blocks, whose pages are whole system pages ------------------------ */

static uintptr_t round_up(uintptr_t at) {
  uintptr_t unit = os_page_size();
  return (at + unit - 1) & ~(unit - 1);
}

static void no_guard(void) {
  warn_later(
      "sluice: warning: mprotect failed (limit of mappings?); large blocks lack guard pages");
}

/* Pinned memory has no guards. */
static bool may_protect(const page_t* page) { return arena_may_purge(page->chunk->arena); }

void secure_guard(page_t* page) {
  if (!may_protect(page)) return;
  uintptr_t end = (uintptr_t)page->start + page->span;
  uintptr_t from = round_up((uintptr_t)page->start + checked_size(page, page->start) + ZONE);
  if (!os_protect((void*)from, end - from)) no_guard();
}

/* The system page in which the block starts has nobody else's bytes. */
static bool whole(page_t* page, bool (*change)(void*, size_t)) {
  uintptr_t from = (uintptr_t)page->start & ~(uintptr_t)(os_page_size() - 1);
  return change((void*)from, (uintptr_t)page->start + page->span - from);
}

void secure_protect(page_t* page) {
  if (!may_protect(page)) {
    memset(page->start, 0, page->span);
    return;
  }
  if (!whole(page, os_purge) || !whole(page, os_protect)) no_guard();
}

bool secure_unprotect(page_t* page) {
  if (!may_protect(page) || whole(page, os_commit)) return true;
  warn_later(
      "sluice: warning: mprotect failed; the addresses of a large block that was freed stay taken");
  return false;
}
