/* chunk.c: chunks of address space and the slices in them.
**
** A run of slices is taken first fit, lowest address first, so that placement in a region
** repeats. A bit is set with one CAS per bitmap word; a run that another thread meets halfway is
** rolled back. Cost: O(1). */
#include "alloc/internal.h"

page_table_t page_table;

enum { PURGE_RUN = 16 }; /* slices that one call of the system gives back */

pthread_mutex_t records_lock = PTHREAD_MUTEX_INITIALIZER, table_lock = PTHREAD_MUTEX_INITIALIZER;
static chunk_t* chunks_unused; /* under records_lock, as the next */
static char *records_at, *records_end;

/* ---- Records that live forever --------------------------------------------------------------- */

enum { STEP = 256 * 1024, MANY = 16, GUARD = MI_SECURE ? SLICE : 0 };

/* With a guard at both ends. */
static char* map_guarded(size_t size, size_t guard) {
  char* p = os_map(size + 2 * guard, SLICE);
  if (p == NULL || guard == 0) return p;
  if (os_protect(p, guard) && os_protect(p + guard + size, guard)) return p + guard;
  os_unmap(p, size + 2 * guard);
  return NULL;
}

/* Each mapping begins with what is needed to unmap them all. */
typedef struct step {
  struct step* before;
  size_t size;
} step_t;
static step_t* last_step;
static unsigned steps;

/* Once there are many, in huge pages, if there is so much to be had. */
static char* map_step(size_t* size) {
  enum { HUGE_PAGE = 2 * 1024 * 1024 };
  bool many = ++steps > MANY && *size < HUGE_PAGE && !MI_SECURE;
  char* p = many ? os_map(HUGE_PAGE, HUGE_PAGE) : NULL;
  if (p == NULL) return map_guarded(*size, GUARD);
  *size = HUGE_PAGE;
  (void)os_want_huge_pages(p, HUGE_PAGE);
  return p;
}

static void* records_take(size_t size, size_t align) {
  uintptr_t at = ((uintptr_t)records_at + align - 1) & ~(uintptr_t)(align - 1);
  if (records_at == NULL || at + size > (uintptr_t)records_end) {
    size_t room = size + align;
    size_t step = room < STEP ? STEP : (room + SLICE - 1) & ~(size_t)(SLICE - 1);
    char* fresh = map_step(&step);
    if (fresh == NULL) return NULL;
    *(step_t*)(void*)fresh = (step_t){last_step, step};
    last_step = (step_t*)(void*)fresh;
    at = (uintptr_t)fresh + align;
    records_end = fresh + step;
  }
  records_at = (char*)at + size;
  return (void*)at;
}

void records_unmap(void) {
  for (step_t *step = last_step, *before; step != NULL; step = before) {
    before = step->before;
    os_unmap((char*)step - GUARD, step->size + 2 * (size_t)GUARD);
  }
}

void* record_alloc(size_t size, size_t align) {
  pthread_mutex_lock(&records_lock);
  void* p = records_take(size, align);
  pthread_mutex_unlock(&records_lock);
  return p;
}

chunk_t* chunk_record(void) {
  pthread_mutex_lock(&records_lock);
  chunk_t* c = chunks_unused;
  if (c != NULL)
    chunks_unused = atomic_load_explicit(&c->next, memory_order_relaxed);
  else
    c = records_take(sizeof *c, 64);
  pthread_mutex_unlock(&records_lock);
  return c;
}

void chunk_record_free(chunk_t* c) {
  pthread_mutex_lock(&records_lock);
  atomic_store_explicit(&c->next, chunks_unused, memory_order_relaxed);
  chunks_unused = c;
  pthread_mutex_unlock(&records_lock);
}

page_t* page_records_new(char* base) {
  return (page_t*)(void*)(CHECKED ? map_guarded(RECORDS_BYTES, SLICE) : base);
}
void page_records_end(page_t* records) {
  if (CHECKED) os_unmap((char*)records - SLICE, RECORDS_BYTES + 2 * (size_t)SLICE);
}

/* ---- The page table -------------------------------------------------------------------------- */

/* Writers are ordered by the lock: one may unmap an address that the system gives to the next. */
void table_set(const char* base, page_t* records) {
  intptr_t offset = records == NULL ? 0 : (intptr_t)((char*)records - (char*)page_table.none);
  pthread_mutex_lock(&table_lock);
  page_table.offset[(uintptr_t)base >> CHUNK_SHIFT] = offset;
  pthread_mutex_unlock(&table_lock);
}

bool table_has(const char* base) {
  pthread_mutex_lock(&table_lock);
  bool has = page_table.offset[(uintptr_t)base >> CHUNK_SHIFT] != 0;
  pthread_mutex_unlock(&table_lock);
  return has;
}

/* A chunk that ends early may have a block where the records of more slices would be: then its first record is
** in use. */
static bool is_record(const page_t* slot, size_t index) {
  const chunk_t* c = index < START_SLICES ? NULL : slot[-(ptrdiff_t)index].chunk;
  return c == NULL || index < c->size / SLICE;
}

page_t* page_of(const void* p) {
  if ((uintptr_t)p >> ADDRESS_BITS != 0) return NULL;
  page_t* slot = slot_of(p);
  if (!is_record(slot, ((uintptr_t)p >> SLICE_SHIFT) % CHUNK_SLICES)) return NULL;
  if (page_figure(&slot->slices) == 0) return NULL;
  return slot - page_behind(slot);
}

/* Makes the slots of a run one page's: the first has the record, the others lead to it. A record's
** chunk never changes and is written once, since late threads read it (abandoned_release). */
static page_t* page_claim(chunk_t* c, uint32_t first, uint32_t slices) {
  page_t* page = &c->records[first];
  page_set_figure(&page->slices, slices);
  page_set_behind(page, 0);
  if (page->chunk != c) page->chunk = c;
  page->start = c->base + (size_t)first * SLICE;
  page->span = (size_t)slices * SLICE;
  for (uint32_t i = 1; i < slices; i++) {
    mi_assert(page_owner(&page[i]) == 0);
    page_set_figure(&page[i].slices, slices);
    page_set_behind(&page[i], i);
  }
  return page;
}

/* A slot that is not a page's first has owner 0, for frees in the middle of a page; so a record
** is left with owner 0, whoever released it. */
static void page_unclaim(page_t* page) {
  uint32_t slices = page_figure(&page->slices);
  atomic_store_explicit(&page->owner, 0, memory_order_relaxed);
  for (uint32_t i = 0; i < slices; i++) page_set_figure(&page[i].slices, 0);
}

/* ---- Bitmaps --------------------------------------------------------------------------------- */

static uint64_t bits_in_word(uint32_t word, uint32_t first, uint32_t end) {
  uint32_t from = first > word * 64 ? first - word * 64 : 0;
  uint32_t to = end < (word + 1) * 64 ? end - word * 64 : 64;
  return (to - from == 64 ? ~(uint64_t)0 : (((uint64_t)1 << (to - from)) - 1)) << from;
}

/* Clears the bits [first, end); returns how many were set. */
static uint32_t bits_clear(_Atomic uint64_t* map, uint32_t first, uint32_t end,
                           memory_order order) {
  uint32_t count = 0;
  for (uint32_t w = first / 64; w * 64 < end; w++) {
    uint64_t bits = bits_in_word(w, first, end);
    count +=
        (uint32_t)__builtin_popcountll(atomic_fetch_and_explicit(&map[w], ~bits, order) & bits);
  }
  return count;
}

static uint32_t bits_set(_Atomic uint64_t* map, uint32_t first, uint32_t end) {
  uint32_t count = 0;
  for (uint32_t w = first / 64; w * 64 < end; w++) {
    uint64_t bits = bits_in_word(w, first, end);
    count += (uint32_t)__builtin_popcountll(
        ~atomic_fetch_or_explicit(&map[w], bits, memory_order_relaxed) & bits);
  }
  return count;
}

/* Sets all of [first, end) or none: false if any was set. Acquire: with the release in
** slices_free, what the last owner wrote into the slices' records happened before. */
static bool bits_claim(_Atomic uint64_t* map, uint32_t first, uint32_t end) {
  for (uint32_t w = first / 64; w * 64 < end; w++) {
    uint64_t bits = bits_in_word(w, first, end);
    uint64_t seen = atomic_load_explicit(&map[w], memory_order_relaxed);
    do {
      if (seen & bits) {
        if (w > first / 64) bits_clear(map, first, w * 64, memory_order_release);
        return false;
      }
    } while (!atomic_compare_exchange_weak_explicit(&map[w], &seen, seen | bits,
                                                    memory_order_acquire, memory_order_relaxed));
  }
  return true;
}

/* The last set bit below `end`; 0 if there is none (bit 0 does not count). */
static uint32_t bits_last(_Atomic uint64_t* map, uint32_t end) {
  for (uint32_t w = (end + 63) / 64; w-- > 0;) {
    uint64_t word = atomic_load_explicit(&map[w], memory_order_relaxed) & bits_in_word(w, 0, end);
    if (word != 0) return w * 64 + 63 - (uint32_t)__builtin_clzll(word);
  }
  return 0;
}

static bool bit_is_set(_Atomic uint64_t* map, uint32_t i) {
  return atomic_load_explicit(&map[i / 64], memory_order_relaxed) >> (i % 64) & 1;
}

/* The first run of n clear bits at or behind `from`; CHUNK_SLICES if there is none. */
static uint32_t bits_find(_Atomic uint64_t* map, uint32_t from, uint32_t n) {
  uint32_t run = 0;
  for (uint32_t i = from; i < CHUNK_SLICES;) {
    uint64_t word = atomic_load_explicit(&map[i / 64], memory_order_relaxed) >> (i % 64);
    if (word & 1) {
      run = 0;
      i += word == ~(uint64_t)0 ? 64 - i % 64 : (uint32_t)__builtin_ctzll(~word);
    } else {
      uint32_t left = 64 - i % 64;
      uint32_t clear = word == 0 ? left : (uint32_t)__builtin_ctzll(word);
      if (clear > left) clear = left;
      if (run + clear >= n) return i - run;
      run += clear;
      i += clear;
    }
  }
  return CHUNK_SLICES;
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

bool chunk_init(chunk_t* c, arena_t* arena, char* base, size_t size, bool zero) {
  uint32_t slices = (uint32_t)(size / SLICE);
  page_t* records = page_records_new(base);
  if (records == NULL) return false;
  bool start = arena_is_region(arena) && size < CHUNK;
  *c = (chunk_t){.base = base, .records = records, .size = size, .arena = arena};
  if (!start) bits_set(c->busy, 0, 1);
  bits_set(c->busy, slices, CHUNK_SLICES);
  uint32_t dirty = zero ? 0 : bits_set(c->dirty, 1, slices);
  atomic_fetch_add_explicit(&arena->dirty_slices, dirty, memory_order_relaxed);
  atomic_store_explicit(&c->free_slices, slices - !start, memory_order_relaxed);
  atomic_store_explicit(&c->nurseries, 0, memory_order_relaxed);
  table_set(base, c->records);
  return true;
}

void chunk_undo(chunk_t* c) {
  uint32_t dirty = bits_clear(c->dirty, 0, CHUNK_SLICES, memory_order_relaxed);
  atomic_fetch_sub_explicit(&c->arena->dirty_slices, dirty, memory_order_relaxed);
  table_set(c->base, NULL);
}

static void count_taken(arena_t* arena, uint32_t slices, uint32_t dirty) {
  atomic_fetch_add_explicit(&arena->busy_slices, slices, memory_order_relaxed);
  if (dirty == 0) return;
  uint32_t left =
      atomic_fetch_sub_explicit(&arena->dirty_slices, dirty, memory_order_relaxed) - dirty;
  if (left < atomic_load_explicit(&arena->dirty_low, memory_order_relaxed))
    atomic_store_explicit(&arena->dirty_low, left, memory_order_relaxed);
}

static page_t* claimed(chunk_t* c, uint32_t i, uint32_t slices, bool* zero) {
  atomic_fetch_sub_explicit(&c->free_slices, slices, memory_order_relaxed);
  uint32_t dirty = bits_clear(c->dirty, i, i + slices, memory_order_relaxed);
  *zero = bits_clear(c->lazy, i, i + slices, memory_order_relaxed) + dirty == 0;
  count_taken(c->arena, slices, dirty);
  return page_claim(c, i, slices);
}

page_t* chunk_take(chunk_t* c, uint32_t slices, bool* zero) {
  for (uint32_t i = 1; (i = bits_find(c->busy, i, slices)) < CHUNK_SLICES; i++)
    if (bits_claim(c->busy, i, i + slices)) return claimed(c, i, slices, zero);
  return NULL;
}

page_t* chunk_take_start(chunk_t* c, bool* zero) {
  if (!bits_claim(c->busy, 0, 1)) return NULL;
  page_t* page = claimed(c, 0, 1, zero);
  page->start += START_RECORDS;
  page->span -= START_RECORDS;
  return page;
}

static uint32_t page_first_slice(const page_t* page) {
  return (uint32_t)(page - page->chunk->records);
}

void chunk_give(page_t* page) {
  chunk_t* c = page->chunk;
  uint32_t first = page_first_slice(page), n = page_figure(&page->slices);
  page_unclaim(page);
  uint32_t dirty = bits_set(c->dirty, first, first + n);
  atomic_fetch_add_explicit(&c->arena->dirty_slices, dirty, memory_order_relaxed);
  atomic_fetch_sub_explicit(&c->arena->busy_slices, n, memory_order_relaxed);
  atomic_fetch_add_explicit(&c->free_slices, n, memory_order_relaxed);
  bits_clear(c->busy, first, first + n, memory_order_release);
}

/* ---- Giving back ----------------------------------------------------------------------------- */

/* After memory is given back: else the system may fill it again, once it finds the rest of a huge page
** in use. */
void chunk_no_huge_pages(chunk_t* c) {
  if (atomic_load_explicit(&c->huge_pages, memory_order_relaxed) &&
      atomic_exchange_explicit(&c->huge_pages, false, memory_order_relaxed))
    os_want_no_huge_pages(c->base, c->size);
}

/* A block that starts in the middle of a system page keeps that. */
bool page_purge(page_t* page) {
  chunk_no_huge_pages(page->chunk);
  size_t part = -(uintptr_t)page->start & (os_page_size() - 1);
  bool ok = arena_may_purge(page->chunk->arena) && os_purge(page->start + part, page->span - part);
  if (CHECKED && page->stride != 0) checked_purged(page);
  return ok;
}

/* Gives back the memory of slices that the caller holds; lazily if that is what the user wants and
** nobody insists: then it is not known to be zero. A refusal changes nothing. */
static void purge_slices(chunk_t* c, uint32_t first, uint32_t end, bool insist) {
  bool lazily = !insist && !option_value(mi_option_purge_decommits);
  chunk_no_huge_pages(c);
  char* start = c->base + (size_t)first * SLICE;
  size_t size = (size_t)(end - first) * SLICE;
  if (lazily ? !os_purge_lazily(start, size) : !os_purge(start, size)) return;
  if (CHECKED) os_purge((char*)c->records + SLICE + (size_t)first * SLICE, size);
  if (lazily || c->arena->foreign)
    bits_set(c->lazy, first, end);
  else
    bits_clear(c->lazy, first, end, memory_order_relaxed);
  uint32_t cleaned = bits_clear(c->dirty, first, end, memory_order_relaxed);
  atomic_fetch_sub_explicit(&c->arena->dirty_slices, cleaned, memory_order_relaxed);
}

/* The highest run of free slices in `map` below `end`, at most PURGE_RUN, is purged; it is held
** meanwhile. Returns where to go on; 0: there are no more. What lies high is used last. */
static uint32_t purge_run(chunk_t* c, _Atomic uint64_t* map, uint32_t end, bool insist) {
  uint32_t last, first;
  while ((last = bits_last(map, end)) > 0) {
    first = end = last + 1;
    while (end - first < PURGE_RUN && first > 1 && bit_is_set(map, first - 1) &&
           bits_claim(c->busy, first - 1, first))
      first--;
    if (first < end) {
      purge_slices(c, first, end, insist);
      bits_clear(c->busy, first, end, memory_order_release);
      return first;
    }
    end = last;
  }
  return 0;
}

uint32_t chunk_purge_some(chunk_t* c, uint32_t runs) {
  uint32_t done = 0;
  for (uint32_t end = CHUNK_SLICES; done < runs; done++)
    if ((end = purge_run(c, c->dirty, end, false)) == 0) break;
  return done;
}

void chunk_purge(chunk_t* c) {
  for (uint32_t end = CHUNK_SLICES; end > 0;) end = purge_run(c, c->dirty, end, true);
  for (uint32_t end = CHUNK_SLICES; end > 0;) end = purge_run(c, c->lazy, end, true);
}

/* ---- Abandoned pages ------------------------------------------------------------------------- */

static _Atomic uint32_t* abandoned_pages(subproc_t* s, const page_t* page) {
  return &s->abandoned[page_class(page)];
}

/* Sequentially consistent, here and in remote.c around it: the abandoning thread sets the bit
** and then reads the remote word, the last freer changes the word and then the bit; one must see
** the other. The page is counted again if its subprocess ended meanwhile: see subproc.c. */
void chunk_mark_abandoned(page_t* page) {
  uint32_t i = page_first_slice(page);
  subproc_t *s, *seen = NULL;
  while ((s = subproc_of(page_figure(&page->subproc))) != seen) {
    atomic_fetch_add_explicit(abandoned_pages(s, page), 1, memory_order_acq_rel);
    seen = s;
  }
  atomic_fetch_or(&page->chunk->abandoned[i / 64], (uint64_t)1 << (i % 64));
}

bool chunk_take_abandoned(page_t* page) {
  uint32_t i = page_first_slice(page);
  uint64_t bit = (uint64_t)1 << (i % 64);
  if ((atomic_fetch_and(&page->chunk->abandoned[i / 64], ~bit) & bit) == 0) return false;
  subproc_t* s = subproc_of(page_figure(&page->subproc));
  atomic_fetch_sub_explicit(abandoned_pages(s, page), 1, memory_order_relaxed);
  return true;
}

bool page_is_wanted(const page_t* page, const wanted_t* w) {
  return (w->class == 0 || page_class(page) == w->class) &&
         (w->tag == -1 || (int)page_tag(page) == w->tag) &&
         subproc_of(page_figure(&page->subproc)) == w->subproc;
}

/* The slot may be reused between the look at the page and the bit: the caller looks again. */
static page_t* adopt_in_word(chunk_t* c, uint32_t word, const wanted_t* w) {
  uint64_t bits = atomic_load_explicit(&c->abandoned[word], memory_order_acquire);
  for (; bits != 0; bits &= bits - 1) {
    page_t* page = &c->records[word * 64 + (uint32_t)__builtin_ctzll(bits)];
    if (page_is_wanted(page, w) && chunk_take_abandoned(page)) return page;
  }
  return NULL;
}

page_t* chunk_adopt(chunk_t* c, const wanted_t* w) {
  for (uint32_t word = 0; word < BITMAP_WORDS; word++) {
    page_t* page = adopt_in_word(c, word, w);
    if (page != NULL) return page;
  }
  return NULL;
}
