/* huge.c: blocks above LARGE_BLOCK_MAX: each is a mapping of its own (or has places of an arena), of
** page records and one block.
**
** The mappings of freed blocks are kept for others, bounded in number and bytes: most of them
** without memory (what is saved is the system's work on mappings, for which all threads queue), a
** little as they are. The lock is held for work on lists only, never during a system call.
**
** A block that is resized keeps its memory: its mapping is extended or cut where it is, or else the
** system moves the memory to a larger one. In a region it grows only, where it is, if what lies behind
** it is free. Places of other arenas are the arena's again when the block is freed.
** A region's huge blocks are in huge pages: an interpreter's table is written from end to end. */
#include "alloc/internal.h"

pthread_mutex_t huge_lock = PTHREAD_MUTEX_INITIALIZER; /* guards arena->huge and the cache */

enum { CACHED = 16 };
static const size_t CACHED_MAX = 512 * MiB, CACHED_EACH = 128 * MiB, CACHED_DIRTY = 32 * MiB;
static struct cached {
  chunk_t* chunk; /* NULL: a free place */
  bool zero;
  uint64_t since; /* when it came, as `now` counts */
} cache[CACHED];
static size_t cached_bytes, cached_dirty;
static uint64_t now, last_decay;

/* ---- Mappings without a block ---------------------------------------------------------------- */

static void discard(chunk_t* c) {
  arena_count_unmapped(c->arena, c->size);
  if (c->huge_pages) os_want_no_huge_pages(c->base, c->size);
  space_give(c->arena, c->base, c->size);
  page_records_end(c->records);
  chunk_record_free(c);
}

/* Under the lock, as the next two. */
static chunk_t* remove_at(struct cached* at) {
  chunk_t* c = at->chunk;
  cached_bytes -= c->size;
  if (!at->zero) cached_dirty -= c->size;
  at->chunk = NULL;
  return c;
}

/* The smallest that has room; what is much too large would be missing elsewhere. */
static struct cached* find_fitting(size_t size, size_t align) {
  struct cached* best = NULL;
  for (struct cached* at = cache; at < cache + CACHED; at++) {
    chunk_t* c = at->chunk;
    if (c == NULL || c->size < size || c->size - size > size / 4) continue;
    if (((uintptr_t)c->base & (align - 1)) != 0) continue;
    if (best == NULL || c->size < best->chunk->size) best = at;
  }
  return best;
}

/* A free place, or that of the oldest. */
static struct cached* find_place(void) {
  struct cached* best = cache;
  for (struct cached* at = cache; at < cache + CACHED; at++) {
    if (at->chunk == NULL) return at;
    if (at->since < best->since) best = at;
  }
  return best;
}

static chunk_t* cache_take(size_t size, size_t align, bool* zero) {
  pthread_mutex_lock(&huge_lock);
  struct cached* at = find_fitting(size, align);
  if (at != NULL) *zero = at->zero;
  chunk_t* c = at != NULL ? remove_at(at) : NULL;
  pthread_mutex_unlock(&huge_lock);
  return c;
}

static struct cached* find_oldest(void) {
  struct cached* best = NULL;
  for (struct cached* at = cache; at < cache + CACHED; at++)
    if (at->chunk != NULL && (best == NULL || at->since < best->since)) best = at;
  return best;
}

/* Takes out one that came before `time`; NULL: there is none. */
static chunk_t* cache_remove_older(uint64_t time) {
  pthread_mutex_lock(&huge_lock);
  struct cached* at = find_oldest();
  chunk_t* c = at != NULL && at->since < time ? remove_at(at) : NULL;
  pthread_mutex_unlock(&huge_lock);
  return c;
}

/* Memory may stay if there is little of it. Counted at once, so that threads do not exceed it together. */
static bool may_stay_dirty(size_t size) {
  pthread_mutex_lock(&huge_lock);
  bool may = option_value(mi_option_purge_delay) < 0 || cached_dirty + size <= CACHED_DIRTY;
  if (may) cached_dirty += size;
  pthread_mutex_unlock(&huge_lock);
  return may;
}

/* False: it is too large, or its memory could not be given back. The oldest make room. */
static bool cache_put(chunk_t* c) {
  if (c->size > CACHED_EACH) return false;
  bool zero = !may_stay_dirty(c->size);
  if (zero && !os_purge(c->base, c->size)) return false;
  chunk_t* removed[CACHED];
  int n = 0;
  pthread_mutex_lock(&huge_lock);
  for (struct cached* at; (at = find_oldest()) != NULL && cached_bytes + c->size > CACHED_MAX;)
    removed[n++] = remove_at(at);
  struct cached* at = find_place();
  if (at->chunk != NULL) removed[n++] = remove_at(at);
  *at = (struct cached){c, zero, now++};
  cached_bytes += c->size;
  pthread_mutex_unlock(&huge_lock);
  while (n > 0) discard(removed[--n]);
  return true;
}

void huge_purge_part(page_t* page, char* from, char* to) {
  uintptr_t unit = os_page_size(), first = ((uintptr_t)from + unit - 1) & ~(unit - 1);
  size_t size = (uintptr_t)to > first ? ((uintptr_t)to - first) & ~(unit - 1) : 0;
  bool may = arena_may_purge(page->chunk->arena) && option_value(mi_option_purge_delay) >= 0;
  if (size > 0 && may) os_purge((void*)first, size);
}

void huge_purge(void) {
  for (chunk_t* c; (c = cache_remove_older(UINT64_MAX)) != NULL;) discard(c);
}

/* Those that were here at the last call already. */
void huge_decay(void) {
  pthread_mutex_lock(&huge_lock);
  uint64_t time = last_decay;
  last_decay = now;
  pthread_mutex_unlock(&huge_lock);
  for (chunk_t* c; (c = cache_remove_older(time)) != NULL;) discard(c);
}

/* ---- Lists of blocks ------------------------------------------------------------------------- */

/* The page is complete, but for what page_new_single adds: visitors find no block alive. */
static void huge_link(page_t* page) {
  chunk_t* c = page->chunk;
  arena_t* arena = c->arena;
  c->huge_page = page;
  c->huge_prev = NULL;
  pthread_mutex_lock(&huge_lock);
  c->huge_next = arena->huge;
  if (c->huge_next != NULL) c->huge_next->huge_prev = c;
  arena->huge = c;
  pthread_mutex_unlock(&huge_lock);
}

static void huge_unlink(chunk_t* c) {
  arena_t* arena = c->arena;
  pthread_mutex_lock(&huge_lock);
  if (c->huge_prev != NULL)
    c->huge_prev->huge_next = c->huge_next;
  else
    arena->huge = c->huge_next;
  if (c->huge_next != NULL) c->huge_next->huge_prev = c->huge_prev;
  pthread_mutex_unlock(&huge_lock);
}

void huge_visit(arena_t* arena, void (*visit)(page_t*, void*), void* arg) {
  pthread_mutex_lock(&huge_lock);
  for (chunk_t* c = arena->huge; c != NULL; c = c->huge_next) visit(c->huge_page, arg);
  pthread_mutex_unlock(&huge_lock);
}

page_t* huge_around(arena_t* arena, const void* p) {
  page_t* found = NULL;
  pthread_mutex_lock(&huge_lock);
  for (chunk_t* c = arena->huge; c != NULL && found == NULL; c = c->huge_next)
    if ((size_t)((const char*)p - c->huge_page->start) < c->huge_page->span) found = c->huge_page;
  pthread_mutex_unlock(&huge_lock);
  return found;
}

/* ---- Birth and end --------------------------------------------------------------------------- */

static size_t to_slices(size_t size) { return (size + SLICE - 1) & ~(size_t)(SLICE - 1); }

static chunk_t* mapping_new(arena_t* arena, size_t size, size_t align, bool* zero) {
  chunk_t* c = chunk_record();
  if (c == NULL) return NULL;
  char* base = space_take(&arena, &size, align, zero);
  page_t* records = base != NULL ? page_records_new(base) : NULL;
  if (records == NULL) {
    if (base != NULL) space_give(arena, base, size);
    chunk_record_free(c);
    return NULL;
  }
  *c = (chunk_t){.base = base, .records = records, .size = size, .arena = arena};
  if (arena_is_region(arena)) c->huge_pages = os_want_huge_pages(base, size);
  arena_count_mapped(arena, size);
  return c;
}

/* Has the mapping (to) come from the system for itself? Only those are cached and resized: in a region
** placement depends on the task alone, and an arena of the program's has its own memory, no other. */
static bool is_mapping(const arena_t* arena) { return arena == &arena_main; }

static chunk_t* mapping(arena_t* arena, size_t size, size_t align, bool* zero) {
  if (!is_mapping(arena)) return mapping_new(arena, size, align, zero);
  chunk_t* c = cache_take(size, align, zero);
  if (c == NULL) c = mapping_new(arena, size, align, zero);
  if (c != NULL || !may_ask_system()) return c;
  space_free_kept();
  return mapping_new(arena, size, align, zero);
}

/* The block starts at the first address after the records that is aligned; the table entry of
** the chunk that it starts in leads to the records at the start of the mapping. The rest of the
** mapping has no entry: pointers there are foreign. */
page_t* huge_alloc(arena_t* arena, size_t size, size_t align, bool* zero) {
  if (align < SLICE) align = SLICE;
  size_t lead = align; /* records, then padding */
  size_t total = to_slices(size + lead);
  if (total < size) return NULL;
  chunk_t* c = mapping(arena, total, align > CHUNK ? align : CHUNK, zero);
  if (c == NULL) return NULL;
  char* start = c->base + lead;
  table_set(start, c->records);
  page_t* page = &c->records[((uintptr_t)start >> SLICE_SHIFT) % CHUNK_SLICES];
  page_set_behind(page, 0);
  page_set_figure(&page->slices, 1);
  page->chunk = c;
  page->start = start;
  page->span = to_slices(size);
  huge_link(page);
  return page;
}

/* The records are left as of no page, since the mapping may get another block. In checked builds it
** does not: a use of the block after its free is a fault. */
void huge_free(page_t* page) {
  chunk_t* c = page->chunk;
  huge_unlink(c);
  table_set(page->start, NULL);
  atomic_store_explicit(&page->owner, 0, memory_order_relaxed);
  page_set_figure(&page->slices, 0);
  if (CHECKED || !is_mapping(c->arena) || !cache_put(c)) discard(c);
}

/* ---- Resizing -------------------------------------------------------------------------------- */

/* The memory goes to a mapping of the new size, at an address with the same distance to multiples of
** the alignment (so the record keeps its slot), and the records with it. */
static page_t* move(page_t* page, size_t size) {
  chunk_t* c = page->chunk;
  size_t align = (size_t)(page->start - c->base) & ~(size_t)(SLICE - 1);
  char *from = c->base, *to = os_map(size, align > CHUNK ? align : CHUNK);
  if (to == NULL) return NULL;
  table_set(page->start, NULL); /* the system may give the addresses to another thread at once */
  bool moved = os_move(from, c->size, to, size);
  if (moved) {
    page = (page_t*)(to + ((char*)page - from));
    page->start += to - from;
    c->base = to;
    c->records = (page_t*)to;
  }
  table_set(page->start, c->records);
  return moved ? page : NULL;
}

static bool extend_in_region(chunk_t* c, size_t* size) {
  *size = region_extend(c->arena, c->base, c->size, *size);
  if (*size != 0 && c->huge_pages) (void)os_want_huge_pages(c->base + c->size, *size - c->size);
  return *size != 0;
}

static page_t* extend(page_t* page, size_t size) {
  chunk_t* c = page->chunk;
  size_t before = c->size;
  if (arena_is_region(c->arena)) {
    if (!extend_in_region(c, &size)) return NULL;
  } else if (!os_extend(c->base, before, size) && (page = move(page, size)) == NULL) {
    return NULL;
  }
  c->size = size;
  arena_count_mapped(c->arena, size - before);
  return page;
}

static void cut(chunk_t* c, size_t size) {
  os_unmap(c->base + size, c->size - size);
  arena_count_unmapped(c->arena, c->size - size);
  c->size = size;
}

size_t huge_room(const page_t* page) {
  const chunk_t* c = page->chunk;
  return c->size - (size_t)(page->start - c->base);
}

/* In a region placement is the same in all builds; elsewhere the checked ones move what they resize. */
static bool keeps_memory(const page_t* page, size_t size) {
  const arena_t* arena = page->chunk->arena;
  return arena_is_region(arena) ? size >= page->span : !CHECKED && is_mapping(arena);
}

page_t* huge_resize(page_t* page, size_t size, size_t align) {
  chunk_t* c = page->chunk;
  size_t lead = (size_t)(page->start - c->base), shift = lead % SLICE;
  size_t total = to_slices(lead + size);
  bool aligned = align <= CHUNK || (lead - shift) % align == 0;
  if (!keeps_memory(page, size) || size <= LARGE_BLOCK_MAX || size > PTRDIFF_MAX || !aligned)
    return NULL;
  if (total > c->size && !may_ask_system()) return NULL;
  huge_unlink(c);
  page_t* resized = page;
  if (total > c->size)
    resized = extend(page, total);
  else if (size < page->span && total < c->size)
    cut(c, total);
  if (resized != NULL) (page = resized)->span = total - lead;
  huge_link(page);
  return resized;
}
