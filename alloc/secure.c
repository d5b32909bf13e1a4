/* secure.c: what the secure build adds to checked.c: random numbers, blocks that wait before they are
** used again, and guard pages.
**
** A freed block of its owner's goes to the quarantine of its class: a queue of RING_BYTES of blocks (8
** to RING_MOST of them), behind it a pool from which a random one leaves. So the shortest distance of a
** free and the next use is the queue's length, and what comes next cannot be foretold. A block that
** another thread frees goes to its page's remote list at once, as in other builds: a quarantine has
** blocks of pages of its own task only. Single blocks wait without memory, and without access.
**
** Random numbers are ChaCha's with 8 rounds (Bernstein), with a key from the kernel for each task, and
** another one after a fork; never an address. */
#include "alloc/internal.h"

enum { RING_BYTES = 256 * 1024, RING_LEAST = 8, RING_MOST = 4096, RING_SINGLE = 16, POOL = 32 };

typedef struct ring {
  block_t** slots;
  uint32_t length, at, held; /* `held`: in slots and pool */
  block_t* pool[POOL];
} ring_t;

/* Used by the thread that has the task. */
typedef struct quarantine {
  uint32_t key[8];
  uint32_t stream[16]; /* random words, of which the first `left` were not used yet */
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

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void quarter(uint32_t s[16], int a, int b, int c, int d) {
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 16);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 12);
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 8);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 7);
}

static void next_stream(quarantine_t* q) {
  static const uint32_t words[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  uint32_t begin[16], s[16];
  memcpy(begin, words, sizeof words);
  memcpy(begin + 4, q->key, sizeof q->key);
  memcpy(begin + 12, &q->counter, sizeof q->counter);
  memset(begin + 14, 0, 2 * sizeof *begin);
  memcpy(s, begin, sizeof s);
  for (int round = 0; round < 8; round += 2) {
    for (int i = 0; i < 4; i++) quarter(s, i, 4 + i, 8 + i, 12 + i);
    for (int i = 0; i < 4; i++) quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
  }
  for (int i = 0; i < 16; i++) q->stream[i] = s[i] + begin[i];
  q->counter++;
  q->left = 16;
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

/* A place in the pool. */
static inline uint32_t random_place(quarantine_t* q) {
  if (unlikely(q->bits < POOL)) q->bits = random_word(q) | (uint32_t)1 << 31;
  uint32_t place = q->bits % POOL;
  q->bits /= POOL;
  return place;
}

/* Uniform but for less than one in 2^17: `below` is a number of blocks in a page. */
uint32_t secure_random(mi_task_t* task, uint32_t below) {
  return (uint32_t)((uint64_t)random_word(task->quarantine) * below >> 32);
}

/* ---- Quarantine ------------------------------------------------------------------------------ */

static uint32_t ring_length(unsigned class) {
  if (class == CLASS_LARGE) return RING_SINGLE;
  size_t n = RING_BYTES / (class_words(class) * WORD);
  return (uint32_t)(n < RING_LEAST ? RING_LEAST : n > RING_MOST ? RING_MOST : n);
}

static quarantine_t* quarantine_new(void) {
  size_t slots = 0;
  for (unsigned c = 1; c < CLASS_COUNT; c++) slots += ring_length(c);
  quarantine_t* q = record_alloc(sizeof *q + slots * sizeof(block_t*), 64);
  if (q == NULL) return NULL;
  block_t** at = (block_t**)(void*)(q + 1);
  for (unsigned c = 1; c < CLASS_COUNT; at += q->ring[c++].length) {
    q->ring[c].slots = at;
    q->ring[c].length = ring_length(c);
  }
  return q;
}

bool secure_begin(mi_task_t* task) {
  if (task->arena != &arena_main) return true;
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

/* What a single block counts against its task's byte limit ends with its free, as in other builds. */
block_t* secure_swap(mi_task_t* task, page_t* page, block_t* block) {
  quarantine_t* q = task->quarantine;
  if (page->stride == 0) page_leaves_heap(page);
  ring_t* r = &q->ring[page_class(page)];
  block_t* old = r->slots[r->at];
  r->slots[r->at] = block;
  r->at = r->at + 1 == r->length ? 0 : r->at + 1;
  r->held++;
  if (old == NULL) return NULL;
  block_t** place = &r->pool[random_place(q)];
  block_t* out = *place;
  *place = old;
  if (out != NULL) r->held--;
  return out;
}

static void release(const mi_task_t* task, ring_t* r, block_t** place) {
  block_t* block = *place;
  if (block == NULL) return;
  page_t* page = page_of(block);
  *place = NULL;
  r->held--;
  checked_freed(page, block);
  free_block(task, page, block);
}

void secure_flush(mi_task_t* task) {
  quarantine_t* q = task->quarantine;
  for (unsigned c = 1; q != NULL && c < CLASS_COUNT; c++) {
    ring_t* r = &q->ring[c];
    for (uint32_t i = 0; i < POOL && r->held > 0; i++) release(task, r, &r->pool[i]);
    for (uint32_t i = 0; i < r->length && r->held > 0; i++) release(task, r, &r->slots[i]);
  }
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

void secure_guard(page_t* page) {
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
  if (!whole(page, os_purge) || !whole(page, os_protect)) no_guard();
}

bool secure_unprotect(page_t* page) {
  if (whole(page, os_commit)) return true;
  warn_later(
      "sluice: warning: mprotect failed; the addresses of a large block that was freed stay taken");
  return false;
}
