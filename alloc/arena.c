/* arena.c: where chunks come from: sets of them, from which a task's heaps get their slices.
**
** Slices are taken from the oldest chunk that has them. Cost: O(chunks) loads, then that of the
** chunk. Chunks of the process's arena are mapped one by one, stay mapped and are purged; a region
** is reserved as a whole and filled from its start. */
#include "alloc/internal.h"

pthread_mutex_t arenas_lock = PTHREAD_MUTEX_INITIALIZER;
arena_t arena_main;
static arena_t *arenas_unused, *arenas_all; /* under records_lock */

static chunk_t* first_chunk(arena_t* arena) {
  return atomic_load_explicit(&arena->chunks, memory_order_acquire);
}
static chunk_t* next_chunk(chunk_t* c) {
  return atomic_load_explicit(&c->next, memory_order_acquire);
}

/* ---- Address space --------------------------------------------------------------------------- */

/* The place for `count` chunks in the region, lowest first; under the lock. */
static char* region_find(arena_t* arena, uint32_t count) {
  for (uint32_t i = 0, run = 0; i < REGION_CHUNKS; i++) {
    run = arena->region_used[i / 64] >> (i % 64) & 1 ? 0 : run + 1;
    if (run < count) continue;
    for (uint32_t k = i + 1 - count; k <= i; k++)
      arena->region_used[k / 64] |= (uint64_t)1 << (k % 64);
    return arena->region + (size_t)(i + 1 - count) * CHUNK;
  }
  return NULL;
}

static void region_give(arena_t* arena, const char* p, uint32_t count) {
  uint32_t first = (uint32_t)((size_t)(p - arena->region) / CHUNK);
  pthread_mutex_lock(&arenas_lock);
  for (uint32_t k = first; k < first + count; k++)
    arena->region_used[k / 64] &= ~((uint64_t)1 << (k % 64));
  pthread_mutex_unlock(&arenas_lock);
}

static char* region_take(arena_t* arena, uint32_t count) {
  pthread_mutex_lock(&arenas_lock);
  char* p = region_find(arena, count);
  pthread_mutex_unlock(&arenas_lock);
  if (p == NULL || os_commit(p, (size_t)count * CHUNK)) return p;
  region_give(arena, p, count);
  return NULL;
}

char* space_take(arena_t* arena, size_t size, size_t align) {
  if (arena->region == NULL) return os_map(size, align);
  if (size > REGION || align > CHUNK) return NULL;
  return region_take(arena, (uint32_t)((size + CHUNK - 1) / CHUNK));
}

void space_give(arena_t* arena, char* p, size_t size) {
  if (arena->region == NULL)
    os_unmap(p, size);
  else if (os_decommit(p, size))
    region_give(arena, p, (uint32_t)(size / CHUNK));
}

void arena_count_mapped(arena_t* arena, size_t size) {
  size_t now = atomic_fetch_add_explicit(&arena->mapped, size, memory_order_relaxed) + size;
  size_t peak = atomic_load_explicit(&arena->mapped_peak, memory_order_relaxed);
  while (now > peak &&
         !atomic_compare_exchange_weak_explicit(&arena->mapped_peak, &peak, now,
                                                memory_order_relaxed, memory_order_relaxed)) {}
}

/* ---- Slices ---------------------------------------------------------------------------------- */

static chunk_t* new_chunk(arena_t* arena) {
  chunk_t* c = chunk_record();
  if (c == NULL) return NULL;
  char* base = space_take(arena, CHUNK, CHUNK);
  if (base == NULL || !chunk_init(c, arena, base)) {
    if (base != NULL) space_give(arena, base, CHUNK);
    chunk_record_free(c);
    return NULL;
  }
  arena_count_mapped(arena, CHUNK);
  return c;
}

static void discard(chunk_t* c) {
  table_set(c->base, NULL);
  atomic_fetch_sub_explicit(&c->arena->mapped, CHUNK, memory_order_relaxed);
  space_give(c->arena, c->base, CHUNK);
  page_records_end(c->records);
  chunk_record_free(c);
}

/* Behind the last chunk; `seen` is where the caller's search ended. Of threads that come there
** together one adds its chunk. Release: a thread that finds the chunk finds it complete. */
static bool grow(arena_t* arena, _Atomic(chunk_t*)* seen, bool dense) {
  chunk_t* c = new_chunk(arena);
  if (c == NULL && arena->region == NULL) {
    huge_purge();
    c = new_chunk(arena);
  }
  if (c != NULL && dense) os_want_huge_pages(c->base, CHUNK);
  pthread_mutex_lock(&arenas_lock);
  bool late = atomic_load_explicit(seen, memory_order_relaxed) != NULL;
  if (!late && c != NULL) atomic_store_explicit(seen, c, memory_order_release);
  pthread_mutex_unlock(&arenas_lock);
  if (late && c != NULL) discard(c);
  return late || c != NULL;
}

/* Where a few slices were not to be had, all chunks are full, so the next one will be. */
static bool grows_densely(arena_t* arena, uint32_t slices) {
  return slices <= MEDIUM_SLICES && first_chunk(arena) != NULL;
}

page_t* slices_alloc(arena_t* arena, uint32_t slices, bool* zero) {
  _Atomic(chunk_t*)* link = &arena->chunks;
  for (;;) {
    chunk_t* c = atomic_load_explicit(link, memory_order_acquire);
    if (c == NULL) {
      if (!grow(arena, link, grows_densely(arena, slices))) return NULL;
      continue;
    }
    if (atomic_load_explicit(&c->free_slices, memory_order_relaxed) >= slices) {
      page_t* page = chunk_take(c, slices, zero);
      if (page != NULL) return page;
    }
    link = &c->next;
  }
}

/* ---- Giving memory back ----------------------------------------------------------------------
**
** Free slices whose memory may be resident stay so for the next that need slices: up to a share of
** those in use, so that a program whose memory comes and goes finds it resident, and a number
** besides. What a release adds above that, it purges, and two runs more: the cost is spread over the
** releases that caused it, and what is resident falls. Of what stays, the part that was not needed
** for long goes by and by (arena_decay).
**
** The chunks are gone through in turn, from the one where memory was found last. */
enum { DIRTY_SHARE = 8, DIRTY_LEAST = 384, DIRTY_LEAST_REGION = 64, SLICES_A_RUN = 16 };

static uint32_t dirty_max(arena_t* arena) {
  uint32_t least = arena->region == NULL ? DIRTY_LEAST : DIRTY_LEAST_REGION;
  return least + atomic_load_explicit(&arena->busy_slices, memory_order_relaxed) / DIRTY_SHARE;
}

/* The cursor moves while other threads move it, too; that is as good. */
static void purge_some(arena_t* arena, uint32_t runs) {
  enum { CHUNKS_A_TIME = 16 };
  if (option_value(mi_option_purge_delay) < 0) return;
  chunk_t* c = atomic_load_explicit(&arena->purge_at, memory_order_acquire);
  for (int i = 0; i < CHUNKS_A_TIME; i++) {
    if (c == NULL && (c = first_chunk(arena)) == NULL) return;
    uint32_t done = chunk_purge_some(c, runs);
    runs -= done;
    if (runs == 0) break;
    c = next_chunk(c);
  }
  atomic_store_explicit(&arena->purge_at, c, memory_order_release);
}

void slices_free(page_t* page) {
  arena_t* arena = page->chunk->arena;
  uint32_t n = page_figure(&page->slices);
  chunk_give(page);
  if (atomic_load_explicit(&arena->dirty_slices, memory_order_relaxed) > dirty_max(arena))
    purge_some(arena, 2 + n / SLICES_A_RUN);
}

/* The fewest dirty slices since the last call are those that nobody needed meanwhile. */
void arena_decay(arena_t* arena) {
  uint32_t now = atomic_load_explicit(&arena->dirty_slices, memory_order_relaxed);
  uint32_t low = atomic_exchange_explicit(&arena->dirty_low, now, memory_order_relaxed);
  if (low > 0 && now > 0) purge_some(arena, low > SLICES_A_RUN ? 2 : 1);
  if (arena->region == NULL) huge_decay();
}

void arena_purge(arena_t* arena) {
  for (chunk_t* c = first_chunk(arena); c != NULL; c = next_chunk(c)) chunk_purge(c);
  if (arena->region == NULL) huge_purge();
}

/* ---- Arenas with a region -------------------------------------------------------------------- */

static arena_t* arena_record(void) {
  pthread_mutex_lock(&records_lock);
  arena_t* arena = arenas_unused;
  if (arena != NULL) arenas_unused = arena->next;
  pthread_mutex_unlock(&records_lock);
  if (arena != NULL || (arena = record_alloc(sizeof *arena, 64)) == NULL) return arena;
  pthread_mutex_lock(&records_lock);
  arena->all = arenas_all;
  arenas_all = arena;
  pthread_mutex_unlock(&records_lock);
  return arena;
}

arena_t* arena_new(void) {
  arena_t* arena = arena_record();
  if (arena == NULL) return NULL;
  *arena = (arena_t){.all = arena->all};
  arena->region = os_reserve(REGION, REGION);
  if (arena->region != NULL) return arena;
  arena_delete(arena);
  errno = ENOMEM;
  return NULL;
}

static void chunk_end(chunk_t* c, const char* start) {
  table_set(start, NULL);
  page_records_end(c->records);
  if (c->arena->region == NULL) os_unmap(c->base, c->size);
  chunk_record_free(c);
}

static void unmap(arena_t* arena) {
  for (chunk_t *c = first_chunk(arena), *next; c != NULL; c = next) {
    next = next_chunk(c);
    chunk_end(c, c->base);
  }
  for (chunk_t *c = arena->huge, *next; c != NULL; c = next) {
    next = c->huge_next;
    chunk_end(c, c->huge_page->start);
  }
  if (arena->region != NULL) os_unmap(arena->region, REGION);
  arena->region = NULL;
}

void arena_delete(arena_t* arena) {
  unmap(arena);
  pthread_mutex_lock(&records_lock);
  arena->next = arenas_unused;
  arenas_unused = arena;
  pthread_mutex_unlock(&records_lock);
}

void memory_unmap(void) {
  huge_purge();
  for (arena_t* arena = arenas_all; arena != NULL; arena = arena->all)
    if (arena->region != NULL) unmap(arena);
  unmap(&arena_main);
  records_unmap();
}

void arena_visit(arena_t* arena, void (*visit)(page_t*, void*), void* arg) {
  for (chunk_t* c = first_chunk(arena); c != NULL; c = next_chunk(c))
    for (uint32_t i = 1; i < CHUNK_SLICES; i++)
      if (page_figure(&c->records[i].slices) != 0 && page_figure(&c->records[i].behind) == 0)
        visit(&c->records[i], arg);
  huge_visit(arena, visit, arg);
}

page_t* arena_adopt(const subproc_t* s, unsigned class) {
  if (class != 0 && page_figure(&s->abandoned[class]) == 0) return NULL;
  for (chunk_t* c = first_chunk(&arena_main); c != NULL; c = next_chunk(c)) {
    page_t* page = chunk_adopt(c, s, class);
    if (page != NULL) return page;
  }
  return NULL;
}
