/* checked.c: what the debug and the secure build know of each block (checked.h), and check when it is
** taken and freed. Other builds call nothing here.
**
** In memory, for a page with zones (padded; those of a region have none, for blocks lie there as in
** the plain build):
**
**   zone | adjust | the program's bytes | slack | zone of the next block
**          `------------ page_block_size ------'
**
** A zone has a pattern that depends on its address, since a block beside it was handed out. While a
** block is LIVE, what is not the program's has the pattern of the zone that it lies at; a FREED block
** is filled with FREED_FILL between its zones, unless the fill is switched off. */
#include "alloc/checked.h"

static uint64_t secret;
static bool fills;

/* ---- The table ------------------------------------------------------------------------------- */

static inline void live_set(page_t* page, _Atomic uint64_t* place, size_t adjust, size_t size) {
  bool single = page->stride == 0;
  if (single) word_set(place + 1, size);
  word_set(place, LIVE | (uint64_t)adjust << ADJUST_SHIFT | (single ? 0 : size << SIZE_SHIFT));
}

block_t* checked_next(const page_t* page, const block_t* block) {
  return next_in(block, word_get(place_of(page, block)));
}

void checked_link(page_t* page, block_t* block, const block_t* next) {
  _Atomic uint64_t* place = place_of(page, block);
  word_set(place, (word_get(place) & FIXED) | link_to(next));
}

/* Where there are zones, there is a word more, for the bytes behind the last block. */
void checked_page(page_t* page) {
  size_t count = page->stride == 0 ? 2 : page->reserved + (page->padded ? 1 : 0);
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
    word_set(&words_of(page)[at[i]], UNUSED | link_to(next));
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
  return (secret ^ (uintptr_t)zone) | 0x8080808080808080;
}

/* `end` is at a word; `from` may be anywhere: what lies in front of it in its word is shifted out, or stays.
** Other threads look at zones that are written again, to the same. */
static inline uint64_t* word_at(const char* at) {
  return (uint64_t*)((uintptr_t)at & ~(uintptr_t)(WORD - 1));
}
static inline unsigned bits_before(const char* at) { return (uintptr_t)at % WORD * 8; }

static inline void write_pattern(char* from, const char* end, uint64_t with) {
  uint64_t *w = word_at(from), keep = ((uint64_t)1 << bits_before(from)) - 1;
  if (keep != 0) *w = (*w & keep) | (with & ~keep), w++;
  for (; (const char*)w < end; w++) __atomic_store_n(w, with, __ATOMIC_RELAXED);
}
static inline bool has_pattern(const char* from, const char* end, uint64_t with) {
  const uint64_t* w = word_at(from);
  if ((const char*)w >= end) return true;
  uint64_t wrong = (__atomic_load_n(w, __ATOMIC_RELAXED) ^ with) >> bits_before(from);
  while ((const char*)++w < end) wrong |= __atomic_load_n(w, __ATOMIC_RELAXED) ^ with;
  return wrong == 0;
}

static inline uint64_t zone_difference(const char* zone) {
  const uint64_t* w = (const uint64_t*)(const void*)zone;
  uint64_t with = pattern(zone);
  return (__atomic_load_n(&w[0], __ATOMIC_RELAXED) ^ with) |
         (__atomic_load_n(&w[1], __ATOMIC_RELAXED) ^ with);
}

/* From word to word. In pairs of words, for speed; a call would cost the callers more. */
typedef uint64_t pair_t __attribute__((vector_size(2 * WORD), aligned(WORD), may_alias));
static const pair_t filled = {FREED_FILL * 0x0101010101010101u, FREED_FILL * 0x0101010101010101u};

static inline bool has_fill(const char* from, const char* end) {
  pair_t wrong = {0};
  for (; end - from >= 4 * WORD; from += 4 * WORD)
    wrong |= (*(const pair_t*)from ^ filled) | (*(const pair_t*)(from + 2 * WORD) ^ filled);
  if (end - from >= 2 * WORD) wrong |= *(const pair_t*)from ^ filled, from += 2 * WORD;
  uint64_t last = from < end ? *(const uint64_t*)(const void*)from ^ filled[0] : 0;
  return (wrong[0] | wrong[1] | last) == 0;
}
static inline void fill(char* from, const char* end) {
  for (; end - from >= 4 * WORD; from += 4 * WORD)
    *(pair_t*)from = *(pair_t*)(from + 2 * WORD) = filled;
  if (end - from >= 2 * WORD) *(pair_t*)from = filled, from += 2 * WORD;
  if (from < end) *(uint64_t*)(void*)from = filled[0];
}

/* The same, for a word's every byte, when something is wrong. */
static const char* first_wrong(const char* from, const char* end, uint64_t with) {
  while (from < end && (unsigned char)*from == (unsigned char)(with >> bits_before(from))) from++;
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
  const char* bad = fills ? first_wrong(block, block + have, filled[0]) : NULL;
  if (bad == NULL) bad = first_wrong(block - ZONE, block, pattern(block - ZONE));
  if (bad == NULL) bad = first_wrong(block + have, block + have + ZONE, pattern(block + have));
  report_error(EFAULT,
               "sluice: error: write after free: block %p of %zu bytes was written to at offset "
               "%td after it was freed",
               (const void*)user, size_of(page, word), bad - user);
}

/* A block that was freed is as it was left. */
static inline void check_freed(const page_t* page, char* block) {
  char* end = block + page->stride - (page->padded ? ZONE : 0);
  bool right = !fills || has_fill(block, end);
  if (page->padded) right = right && (zone_difference(block - ZONE) | zone_difference(end)) == 0;
  if (unlikely(!right)) report_freed(page, block);
}

void checked_freed(const page_t* page, block_t* block) {
  if (page->stride != 0) check_freed(page, (char*)block);
}

/* Of a block that is handed out for the first time. A zone that a neighbour has already may have been written
** to meanwhile, which is found when one of them is looked at: it stays as it is. */
static void write_zones(const page_t* page, const _Atomic uint64_t* place, char* block) {
  char *before = block - ZONE, *behind = block + page->stride - ZONE;
  bool is_first = place == words_of(page);
  if (is_first || (word_get(place - 1) & STATE) == UNUSED)
    write_pattern(before, block, pattern(before));
  if ((word_get(place + 1) & STATE) == UNUSED)
    write_pattern(behind, behind + ZONE, pattern(behind));
}

/* Cleared is what the program asked for, or the whole block where blocks have no size of their own. */
static __attribute__((noinline)) void* hand_out(page_t* page, _Atomic uint64_t* place, char* block,
                                                size_t size, bool zero) {
  bool was_freed = (word_get(place) & STATE) == FREED;
  bool is_zero = was_freed ? fills && FREED_FILL == 0 : page->zero;
  if (likely(was_freed)) check_freed(page, block);
  if (zero && !is_zero) memset(block, 0, page->padded ? size : page->stride);
  if (FRESH_FILL != 0 && !zero) memset(block, FRESH_FILL, size);
  word_set(place, LIVE | size << SIZE_SHIFT);
  if (!page->padded) return block;
  char* zone = block + page->stride - ZONE;
  if (!was_freed) write_zones(page, place, block);
  write_pattern(block + size, zone, pattern(zone));
  return block;
}

void* checked_alloc(block_t* block, size_t size, bool zero) {
  page_t* page = page_with(block);
  return hand_out(page, place_of(page, block), (char*)block, size, zero);
}

/* Between the program's bytes and the zone. What is of the program in the first word becomes zero. */
static inline void write_slack(char* from, const char* zone) {
  uint64_t *w = word_at(from), with = pattern(zone);
  unsigned before = bits_before(from);
  if (from == zone) return;
  *w = with >> before << before;
  while ((const char*)++w < zone) *w = with;
}

/* The usual case, which has no call: a block that was freed, and left alone. */
void* checked_take(mi_heap_t* heap, unsigned class, size_t size) {
  char* block = (char*)heap->list[class];
  if (unlikely(block == NULL)) return heap_alloc(heap, size, false);
  page_t* page = page_with(block);
  _Atomic uint64_t* place = words_of(page) + page_index(page, block);
  uint64_t word = word_get(place);
  char* zone = block + page->stride - ZONE;
  heap->list[class] = next_in(block, word);
  if (unlikely((word & STATE) != FREED || !page->padded || FRESH_FILL != 0))
    return hand_out(page, place, block, size, false);
  if (unlikely((zone_difference(block - ZONE) | zone_difference(zone)) != 0) ||
      (fills && unlikely(!has_fill(block, zone))))
    return hand_out(page, place, block, size, false);
  word_set(place, LIVE | size << SIZE_SHIFT);
  write_slack(block + size, zone);
  return block;
}

void checked_inside(page_t* page, char* block, size_t adjust, size_t size) {
  live_set(page, place_of(page, block), adjust, size);
  if (!page->padded) return;
  around_t a = around(page, block, adjust, size);
  bool single = page->stride == 0; /* else it has its zones */
  for (char* at = single ? a.front : block; at < a.user; at++)
    *(unsigned char*)at = (unsigned char)(a.before >> bits_before(at));
  write_pattern(a.user + size, single ? a.end : a.end - ZONE, a.behind);
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
  uint64_t freed = (word & FIXED) ^ LIVE ^ FREED;
  if (likely(own))
    word_set(place, freed);
  else
    return atomic_compare_exchange_strong_explicit(place, &word, freed, memory_order_relaxed,
                                                   memory_order_relaxed);
  return true;
}

static inline unsigned maker_of(uint64_t word) {
  return (unsigned)(word >> NEXT_SHIFT) & MAKER_MASK;
}

static void mismatch(const void* p, size_t size, unsigned maker, const char* to) {
  static const char* const makers[] = {"malloc", "new", "new[]", "rc_alloc"};
  report_error(EINVAL, "sluice: error: mismatched %s: block %p of %zu bytes is from %s", to, p,
               size, makers[maker]);
}

void checked_set_maker(void* p, unsigned maker) {
  page_t* page = page_with(p);
  _Atomic uint64_t* place = place_of(page, p);
  word_set(place, word_get(place) | (uint64_t)maker << NEXT_SHIFT);
}

found_t checked_find(const void* p) {
  found_t f = {.what = FOUND_NONE};
  const page_t* page = page_of(p);
  if (page == NULL || (const char*)p < page->start || index_of(page, p) >= page->reserved) return f;
  uint64_t word = word_get(place_of(page, p));
  if ((word & STATE) == UNUSED) return f;
  f.block = block_at(page, index_of(page, p)) + adjust_of(word);
  f.size = size_of(page, word);
  f.mark = (word & STATE) == LIVE ? (uint32_t)(word >> NEXT_SHIFT) : 0;
  f.what = p != f.block ? FOUND_INSIDE : (word & STATE) == LIVE ? FOUND_LIVE : FOUND_FREED;
  return f;
}

/* Unless another thread has freed it meanwhile. */
void checked_mark(const void* p, uint32_t mark) {
  _Atomic uint64_t* place = place_of(page_with(p), p);
  uint64_t word = word_get(place);
  if ((word & STATE) == LIVE)
    atomic_compare_exchange_strong_explicit(place, &word,
                                            (word & FIXED) | (uint64_t)mark << NEXT_SHIFT,
                                            memory_order_relaxed, memory_order_relaxed);
}

/* What is no block is for the free to tell. */
void checked_is_made_by(void* p, unsigned maker) {
  page_t* page = page_of(p);
  _Atomic uint64_t* place = page != NULL ? live_place(page, p) : NULL;
  if (place == NULL) return;
  uint64_t word = word_get(place);
  if (maker_of(word) != maker)
    mismatch(p, size_of(page, word), maker_of(word), maker == BY_NEW ? "delete" : "delete[]");
  word_set(place, word & FIXED);
}

static __attribute__((noinline)) void free_any(void* p) {
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
  if (maker_of(word) != BY_MALLOC) mismatch(p, size, maker_of(word), "free");
  if (!to_freed(place, word, own)) {
    (void)freed_before(p, size, "free");
    return;
  }
  if (page->padded) check_zones(page, around(page, block, adjust_of(word), size), size);
  fill_freed(page, block, size);
  if (!MI_SECURE || !own || !page->padded) {
    free_block(tls.task, page, (block_t*)(void*)word_at(block));
    return;
  }
  if (page->stride == 0) page_leaves_heap(page);
  secure_hold(tls.task, page, (block_t*)(void*)block);
}

/* The usual case, which has no call either: a block of an own page that is not `inside`, at its start, with
** its zones whole. (A negative offset is more than any index times the stride.) */
void checked_free(void* p) {
  const uint64_t mask = STATE | FIELD << ADJUST_SHIFT | ~FIXED;
  char* block = p;
  mi_task_t* task = tls.task;
  if (unlikely((uintptr_t)p >> ADDRESS_BITS != 0)) goto other;
  page_t* page = page_with(p);
  if (unlikely((page_owner(page) & ~(uintptr_t)PAGE_FULL) != (uintptr_t)task)) goto other;
  size_t offset = (size_t)(block - page->start), index = page_index(page, block);
  if (unlikely(offset != index * page->stride)) goto other;
  _Atomic uint64_t* place = words_of(page) + index;
  uint64_t word = word_get(place);
  if (unlikely((word & mask) != LIVE)) goto other;
  char *zone = block + page->stride - ZONE, *end = block + (word >> SIZE_SHIFT);
  if (unlikely((zone_difference(block - ZONE) | zone_difference(zone)) != 0)) goto other;
  if (end != zone && unlikely(!has_pattern(end, zone, pattern(zone)))) goto other;
  word_set(place, word ^ LIVE ^ FREED);
  if (fills) fill(block, zone);
  if (MI_SECURE)
    secure_hold(task, page, p);
  else if (page_is_full(page))
    page_free_full(page, p);
  else
    free_local_at(page, place, p);
  return;
other:
  free_any(p);
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
