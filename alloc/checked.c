/* checked.c: what the debug and the secure build know of each block, and check when it is taken and
** freed. Other builds call nothing here.
**
** Each block has a word in a table out of its reach (see RECORDS_BYTES), so that a wrong free is seen
** before anything happens, and links of free blocks are in no memory of the program:
**
**   state | adjust | size | next block of its list        a single block's size is in the second word
**
**   UNUSED  never handed out since the page, or this part of it, came into being
**   LIVE    with the program: `size` bytes were asked for, at `adjust` bytes behind the block's start
**   FREED   by the program, of that size; on a list, or held back by secure.c
**
** In memory, for a page with zones (padded; those of a region have none, for blocks lie there as in
** the plain build):
**
**   zone | adjust | the program's bytes | slack | zone of the next block
**          `------------ page_block_size ------'
**
** A zone has a pattern that depends on its address, since a block beside it was handed out. While a
** block is LIVE, what is not the program's has the pattern of the zone that it lies at; a FREED block
** is filled with FREED_FILL between its zones, unless the fill is switched off. Other threads free, so
** words of the table are atomic, each for itself: relaxed. */
#include "alloc/internal.h"

enum { UNUSED, LIVE, FREED, STATE = 3, ADJUST_SHIFT = 2, SIZE_SHIFT = 19, NEXT_SHIFT = 36 };
#define FIELD ((uint64_t)0x1ffff) /* of 17 bits */
#define FIXED (((uint64_t)1 << NEXT_SHIFT) - 1)
_Static_assert(CLASS_BLOCK_MAX <= 0x1ffff, "sizes and adjustments fit");
_Static_assert(MEDIUM_SLICES* SLICE / WORD < 1 << (64 - NEXT_SHIFT), "so do places in a page");

static uint64_t secret;
static bool fills;

/* ---- The table ------------------------------------------------------------------------------- */

static inline _Atomic uint64_t* words_of(const page_t* page) {
  uintptr_t records = (uintptr_t)page & ~(uintptr_t)(SLICE - 1);
  return (_Atomic uint64_t*)(records + SLICE + ((uintptr_t)page - records) * (SLICE / RECORD));
}
static inline uint64_t word_get(const _Atomic uint64_t* place) {
  return atomic_load_explicit(place, memory_order_relaxed);
}
static inline void word_set(_Atomic uint64_t* place, uint64_t word) {
  atomic_store_explicit(place, word, memory_order_relaxed);
}

static inline size_t index_of(const page_t* page, const void* p) {
  return page_block_index(page, (size_t)((const char*)p - page->start));
}
static inline _Atomic uint64_t* place_of(const page_t* page, const void* p) {
  return words_of(page) + index_of(page, p);
}
static inline char* block_at(const page_t* page, size_t index) {
  return page->start + index * page->stride;
}
static inline size_t adjust_of(uint64_t word) { return word >> ADJUST_SHIFT & FIELD; }
static inline size_t size_of(const page_t* page, uint64_t word) {
  return page->stride == 0 ? word_get(&words_of(page)[1]) : word >> SIZE_SHIFT & FIELD;
}
static inline void live_set(page_t* page, _Atomic uint64_t* place, size_t adjust, size_t size) {
  bool single = page->stride == 0;
  if (single) word_set(place + 1, size);
  word_set(place, LIVE | (uint64_t)adjust << ADJUST_SHIFT | (single ? 0 : size << SIZE_SHIFT));
}

/* The link is the next block's place in the page, in words, plus one. */
static inline block_t* next_in(const page_t* page, uint64_t word) {
  size_t link = word >> NEXT_SHIFT;
  return link == 0 ? NULL : (block_t*)(void*)(page->start + (link - 1) * WORD);
}
static inline uint64_t link_to(const page_t* page, const void* next) {
  if (next == NULL) return 0;
  return ((uint64_t)((const char*)next - page->start) / WORD + 1) << NEXT_SHIFT;
}

block_t* checked_next(const page_t* page, const block_t* block) {
  return next_in(page, word_get(place_of(page, block)));
}

void checked_link(page_t* page, block_t* block, const block_t* next) {
  _Atomic uint64_t* place = place_of(page, block);
  word_set(place, (word_get(place) & FIXED) | link_to(page, next));
}

void checked_page(page_t* page) {
  size_t count = page->stride == 0 ? 2 : page->reserved;
  for (size_t i = 0; i < count; i++) word_set(&words_of(page)[i], UNUSED);
}

/* The words go, too; zero is UNUSED. */
void checked_purged(page_t* page) {
  if (!os_purge((void*)words_of(page), SLICE)) checked_page(page);
}

static void shuffle(mi_task_t* task, uint16_t* at, uint32_t n) {
  for (uint32_t i = n; i > 1; i--) {
    uint32_t k = secure_random(task, i);
    uint16_t other = at[i - 1];
    at[i - 1] = at[k];
    at[k] = other;
  }
}

void checked_extend(page_t* page, uint32_t first, uint32_t n) {
  uint16_t at[EXTEND_SECURE / WORD];
  mi_task_t* task = page_heap(page)->task;
  at[0] = (uint16_t)first;
  for (uint32_t i = 1; i < n; i++) at[i] = (uint16_t)(first + i);
  if (MI_SECURE && page->padded && task->quarantine != NULL) shuffle(task, at, n);
  page->free = (block_t*)(void*)block_at(page, at[0]);
  for (uint32_t i = 0; i < n; i++) {
    const char* next = i + 1 < n ? block_at(page, at[i + 1]) : NULL;
    word_set(&words_of(page)[at[i]], UNUSED | link_to(page, next));
  }
}

/* ---- Patterns -------------------------------------------------------------------------------- */

void checked_init(void) {
  if (MI_SECURE && !os_random(&secret, sizeof secret))
    warn("sluice: warning: no random numbers from the system: zones have a known pattern");
  fills = MI_DEBUG || option_value(mi_option_secure_fill);
}

/* Of a zone. No byte of a secret pattern is below 0x80, so that no text and no zero that is written
** there goes unseen. */
static inline uint64_t pattern(const void* zone) {
  if (!MI_SECURE) return 0xDEDEDEDEDEDEDEDE;
  return ((secret ^ (uintptr_t)zone) * 0x9E3779B97F4A7C15) | 0x8080808080808080;
}

/* What of the word that `at` points into lies in front of it, as a mask. */
static inline uint64_t mask_before(const char* at) {
  return ((uint64_t)1 << ((uintptr_t)at % WORD * 8)) - 1;
}
static inline uint64_t* word_at(const char* at) {
  return (uint64_t*)((uintptr_t)at & ~(uintptr_t)(WORD - 1));
}

/* `end` is at a word; `from` may be anywhere, and the bytes in front of it stay. Other threads look
** at zones that are written again, to the same. */
static inline void write_pattern(char* from, const char* end, uint64_t with) {
  uint64_t keep = mask_before(from), *w = word_at(from);
  if (keep != 0) *w = (*w & keep) | (with & ~keep), w++;
  for (; (const char*)w < end; w++) __atomic_store_n(w, with, __ATOMIC_RELAXED);
}
static inline bool has_pattern(const char* from, const char* end, uint64_t with) {
  uint64_t keep = mask_before(from), *w = word_at(from), wrong = 0;
  if (keep != 0) wrong = (*w++ ^ with) & ~keep;
  for (; (const char*)w < end; w++) wrong |= __atomic_load_n(w, __ATOMIC_RELAXED) ^ with;
  return wrong == 0;
}
static inline bool has_fill(const char* from, size_t size) {
  const uint64_t fill = FREED_FILL * 0x0101010101010101u, *w = (const uint64_t*)(const void*)from;
  uint64_t wrong = 0;
  for (size_t i = 0; i < size / WORD; i++) wrong |= w[i] ^ fill;
  return wrong == 0;
}
/* The same, for a word's every byte, when something is wrong. */
static const char* first_wrong(const char* from, const char* end, uint64_t with) {
  while (from < end &&
         (unsigned char)*from == (unsigned char)(with >> ((uintptr_t)from % WORD * 8)))
    from++;
  return from < end ? from : NULL;
}

/* The bytes around a block that are not the program's: the zone in front, with what was left for an
** alignment, and slack and zone behind; a single block, which may start at any address, has them from
** a word's start, and up to the end of its system page. */
typedef struct around {
  char *front, *user, *end;
  uint64_t before, behind;
} around_t;

static inline around_t around(const page_t* page, char* block, size_t adjust, size_t size) {
  char* front = (char*)((uintptr_t)(block - ZONE) & ~(uintptr_t)(WORD - 1));
  around_t a = {.front = front, .user = block + adjust, .before = pattern(front)};
  if (likely(page->stride != 0)) {
    a.end = block + page->stride;
    a.behind = pattern(a.end - ZONE);
  } else {
    uintptr_t unit = os_page_size(), end = (uintptr_t)block + size + ZONE;
    a.end = (char*)((end + unit - 1) & ~(unit - 1));
    a.behind = a.before;
  }
  return a;
}

/* ---- Taken --------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void report_freed(const page_t* page, const char* block) {
  uint64_t word = word_get(place_of(page, block));
  size_t have = page_block_size(page);
  const char* user = block + adjust_of(word);
  const char* bad =
      fills ? first_wrong(block, block + have, FREED_FILL * 0x0101010101010101u) : NULL;
  if (bad == NULL) bad = first_wrong(block - ZONE, block, pattern(block - ZONE));
  if (bad == NULL) bad = first_wrong(block + have, block + have + ZONE, pattern(block + have));
  report_error(EFAULT,
               "sluice: error: write after free: block %p of %zu bytes was written to at offset "
               "%td after it was freed",
               (const void*)user, size_of(page, word), bad - user);
}

/* A block that was freed is as it was left. */
static inline void check_freed(const page_t* page, char* block) {
  size_t have = page->stride - (page->padded ? ZONE : 0);
  bool right = !fills || has_fill(block, have);
  if (page->padded)
    right = right && has_pattern(block - ZONE, block, pattern(block - ZONE)) &&
            has_pattern(block + have, block + have + ZONE, pattern(block + have));
  if (unlikely(!right)) report_freed(page, block);
}

void checked_freed(const page_t* page, block_t* block) {
  if (page->stride != 0) check_freed(page, (char*)block);
}

/* Cleared is what the program asked for, or the whole block where blocks have no size of their own. */
static inline void* hand_out(page_t* page, _Atomic uint64_t* place, char* block, size_t size,
                             bool zero) {
  bool was_freed = (word_get(place) & STATE) == FREED;
  bool is_zero = was_freed ? fills && FREED_FILL == 0 : page->zero;
  if (was_freed) check_freed(page, block);
  if (zero && !is_zero) memset(block, 0, page->padded ? size : page->stride);
  if (FRESH_FILL != 0 && !zero) memset(block, FRESH_FILL, size);
  live_set(page, place, 0, size);
  if (!page->padded) return block;
  around_t a = around(page, block, 0, size);
  if (!was_freed) write_pattern(a.front, block, a.before);
  write_pattern(block + size, was_freed ? a.end - ZONE : a.end, a.behind);
  return block;
}

/* Of the program's memory, a page always has a record. */
static inline page_t* page_with(const block_t* block) {
  page_t* slot = slot_of(block);
  return slot - page_figure(&slot->behind);
}

void* checked_take(mi_heap_t* heap, unsigned class, size_t size, bool zero) {
  block_t* block = heap->list[class];
  if (unlikely(block == NULL)) return NULL;
  page_t* page = page_with(block);
  _Atomic uint64_t* place = place_of(page, block);
  heap->list[class] = next_in(page, word_get(place));
  return hand_out(page, place, (char*)block, size, zero);
}

void* checked_alloc(block_t* block, size_t size, bool zero) {
  page_t* page = page_with(block);
  return hand_out(page, place_of(page, block), (char*)block, size, zero);
}

void checked_inside(page_t* page, char* block, size_t adjust, size_t size) {
  live_set(page, place_of(page, block), adjust, size);
  around_t a = around(page, block, adjust, size);
  for (char* at = a.front; page->padded && at < a.user; at++)
    *(unsigned char*)at = (unsigned char)(a.before >> ((uintptr_t)at % WORD * 8));
  if (page->padded) write_pattern(a.user + size, a.end, a.behind);
}

void checked_single(page_t* page, size_t size, bool zero) {
  if (FRESH_FILL != 0 && !zero) memset(page->start, FRESH_FILL, size);
  checked_inside(page, page->start, 0, size);
  if (MI_SECURE && page->padded) secure_guard(page);
}

/* ---- Freed --------------------------------------------------------------------------------------- */

size_t checked_size(const page_t* page, const void* p) {
  return size_of(page, word_get(place_of(page, p)));
}

static bool no_block(const void* p, const char* what) {
  report_error(EINVAL, "sluice: error: %s of invalid pointer %p: it is no block of this allocator",
               what, p);
  return false;
}

static bool freed_before(const void* p, size_t size, const char* what) {
  bool again = strcmp(what, "free") == 0;
  report_error(EAGAIN, "sluice: error: %s of %sblock %p (%zu bytes when it was freed first)",
               again ? "double free" : what, again ? "" : "freed ", p, size);
  return false;
}

/* Of a live block that p is, or NULL. */
static inline _Atomic uint64_t* live_place(const page_t* page, const void* p) {
  if ((const char*)p < page->start) return NULL;
  size_t index = index_of(page, p);
  if (index >= page->reserved) return NULL;
  _Atomic uint64_t* place = words_of(page) + index;
  uint64_t word = word_get(place);
  bool is_start = p == block_at(page, index) + adjust_of(word);
  return (word & STATE) == LIVE && is_start ? place : NULL;
}

bool checked_is_block(const page_t* page, const void* p, const char* what) {
  if (likely(live_place(page, p) != NULL)) return true;
  if ((const char*)p < page->start || index_of(page, p) >= page->reserved) return no_block(p, what);
  uint64_t word = word_get(place_of(page, p));
  size_t size = size_of(page, word);
  const char* user = block_at(page, index_of(page, p)) + adjust_of(word);
  if ((word & STATE) == UNUSED) return no_block(p, what);
  if ((word & STATE) == FREED && p == user) return freed_before(p, size, what);
  report_error(EINVAL,
               "sluice: error: %s of invalid pointer %p: it points inside the %sblock %p of %zu "
               "bytes",
               what, p, (word & STATE) == FREED ? "freed " : "", (const void*)user, size);
  return false;
}

/* Each is reported once. */
static __attribute__((noinline)) void report_zones(const page_t* page, around_t a, size_t size) {
  const char* bad = first_wrong(a.user + size, a.end, a.behind);
  if (bad == NULL) bad = first_wrong(a.front, a.user, a.before);
  report_error(EFAULT,
               "sluice: error: buffer %s: block %p of %zu bytes was written to at offset %td",
               bad < a.user ? "underflow" : "overflow", (void*)a.user, size, bad - a.user);
  write_pattern(a.front, a.front + ZONE, a.before);
  write_pattern(page->stride != 0 ? a.end - ZONE : a.user + size, a.end, a.behind);
}

static inline void check_zones(const page_t* page, around_t a, size_t size) {
  bool right =
      has_pattern(a.user + size, a.end, a.behind) && has_pattern(a.front, a.front + ZONE, a.before);
  if (unlikely(a.user > a.front + ZONE))
    right = right && first_wrong(a.front, a.user, a.before) == NULL;
  if (unlikely(!right)) report_zones(page, a, size);
}

static inline void fill_freed(page_t* page, char* block, size_t size) {
  size_t have = page->stride - (page->padded ? ZONE : 0);
  if (MI_SECURE && page->stride == 0) {
    if (page->padded) secure_protect(page);
  } else if (fills) {
    memset(block, FREED_FILL, page->stride == 0 ? size : have);
  }
}

/* By one compare-and-swap if the page is another's, who may free the block, too. */
static inline bool to_freed(_Atomic uint64_t* place, uint64_t word, bool own) {
  if (likely(own))
    word_set(place, word ^ LIVE ^ FREED);
  else
    return atomic_compare_exchange_strong_explicit(place, &word, word ^ LIVE ^ FREED,
                                                   memory_order_relaxed, memory_order_relaxed);
  return true;
}

void checked_free(void* p) {
  page_t* page = page_of(p);
  _Atomic uint64_t* place = page != NULL ? live_place(page, p) : NULL;
  if (unlikely(place == NULL)) {
    if (p != NULL) (void)page_checked(p, "free");
    return;
  }
  uint64_t word = word_get(place);
  size_t size = size_of(page, word);
  char* block = (char*)p - adjust_of(word);
  bool own = page_is_of(page, tls.task);
  if (!to_freed(place, word, own)) {
    (void)freed_before(p, size, "free");
    return;
  }
  if (page->padded) check_zones(page, around(page, block, adjust_of(word), size), size);
  fill_freed(page, block, size);
  if (MI_SECURE && own && page->padded) {
    block = (char*)secure_swap(tls.task, page, (block_t*)(void*)block);
    if (block == NULL) return;
    page = page_with((block_t*)(void*)block);
  }
  free_block(tls.task, page, (block_t*)((uintptr_t)block & ~(uintptr_t)(WORD - 1)));
}

void checked_resize(page_t* page, void* p, size_t size, bool zero) {
  _Atomic uint64_t* place = place_of(page, p);
  uint64_t word = word_get(place);
  size_t old = size_of(page, word), adjust = adjust_of(word);
  char *user = p, *block = user - adjust;
  if (page->padded) check_zones(page, around(page, block, adjust, old), old);
  if (MI_SECURE && page->padded && page->stride == 0) secure_unprotect(page);
  if (size > old) memset(user + old, zero ? 0 : FRESH_FILL, size - old);
  live_set(page, place, adjust, size);
  around_t a = around(page, block, adjust, size);
  if (page->padded) write_pattern(user + size, a.end, a.behind);
  if (MI_SECURE && page->padded && page->stride == 0) secure_guard(page);
}

/* The page's memory goes: what was freed there is looked at for the last time. false: it must stay. */
bool checked_release(page_t* page) {
  if (page->stride == 0) return !MI_SECURE || !page->padded || secure_unprotect(page);
  for (size_t i = 0; i < page->capacity; i++)
    if ((word_get(&words_of(page)[i]) & STATE) == FREED) check_freed(page, block_at(page, i));
  return true;
}
