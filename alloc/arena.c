/* arena.c: where chunks come from: sets of them, from which heaps get their slices.
**
** Slices are taken from the oldest chunk that has them. Cost: O(chunks) loads, then that of the
** chunk. The process's arena maps its chunks one by one and keeps them; the other arenas have an
** area of address space, cut in PLACEs for chunks, of which the lowest is taken first. A place with
** a chunk stays taken; those of a huge block are free again with it. */
#include "alloc/internal.h"

pthread_mutex_t arenas_lock = PTHREAD_MUTEX_INITIALIZER;
arena_t arena_main;

/* The next arena of the program's that serves the process's heaps. */
static arena_t* shared_after(arena_t* arena) {
  if (option_value(mi_option_disallow_arena_alloc)) return NULL;
  do arena = arena_after(arena);
  while (arena != NULL && arena->exclusive);
  return arena;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static size_t places_for(size_t size) { return (size + CHUNK - 1) / CHUNK; }
static char* place_start(const arena_t* a, size_t i) { return a->start + i * CHUNK; }
static size_t place_size(const arena_t* a, size_t i) {
  size_t rest = a->size - i * CHUNK;
  return rest < CHUNK ? rest : CHUNK;
}
static unsigned place_get(const arena_t* a, size_t i) {
  return atomic_load_explicit(&a->place[i], memory_order_relaxed);
}
static void place_set(arena_t* a, size_t i, unsigned what) {
  atomic_store_explicit(&a->place[i], (uint8_t)what, memory_order_relaxed);
}

/* First fit: where free places for `size` bytes begin, at an aligned address; or the number of all. */
static size_t places_find(const arena_t* a, size_t size, size_t align) {
  size_t n = places_for(a->size);
  for (size_t i = 0, first = 0; i < n; i++) {
    bool aligned = ((uintptr_t)place_start(a, first) & (align - 1)) == 0;
    if ((place_get(a, i) & PLACE_USED) || !aligned)
      first = i + 1;
    else if ((i - first) * CHUNK + place_size(a, i) >= size)
      return first;
  }
  return n;
}

static bool places_take(arena_t* a, size_t size, size_t align, size_t* first, size_t* end) {
  pthread_mutex_lock(&arenas_lock);
  *first = places_find(a, size, align);
  bool found = *first < places_for(a->size);
  *end = found ? *first + places_for(size) : *first;
  for (size_t i = *first; i < *end; i++) place_set(a, i, place_get(a, i) | PLACE_USED);
  pthread_mutex_unlock(&arenas_lock);
  return found;
}

static void places_free(arena_t* a, size_t first, size_t end) {
  pthread_mutex_lock(&arenas_lock);
  for (size_t i = first; i < end; i++) place_set(a, i, place_get(a, i) & ~(unsigned)PLACE_USED);
  pthread_mutex_unlock(&arenas_lock);
}

/* What follows is for places that the caller has taken. */
static bool place_commit(arena_t* a, size_t i) {
  unsigned what = place_get(a, i);
  bool zero = false;
  if (what & PLACE_COMMITTED) return true;
  if (a->commit == NULL) {
    if (!os_commit(place_start(a, i), place_size(a, i))) return false;
  } else {
    if (!a->commit(true, place_start(a, i), place_size(a, i), &zero, a->commit_arg)) return false;
    what = PLACE_USED | (zero ? 0 : PLACE_DIRTY);
  }
  place_set(a, i, what | PLACE_COMMITTED);
  return true;
}

/* Memory that cannot be given back stays, dirty (and what then is protected is committed again). */
static void place_give(arena_t* a, size_t i) {
  char* p = place_start(a, i);
  size_t size = place_size(a, i);
  bool given = false, zero = false;
  if (a->pinned)
    given = false;
  else if (a->commit != NULL)
    given = a->commit(false, p, size, &zero, a->commit_arg);
  else
    given = a->lazy ? os_decommit(p, size) : os_purge(p, size);
  bool committed = a->commit != NULL ? !given : a->pinned || !a->lazy;
  bool clean = given && !a->foreign;
  place_set(a, i, PLACE_USED | (committed ? PLACE_COMMITTED : 0) | (clean ? 0 : PLACE_DIRTY));
}

static bool places_commit(arena_t* a, size_t first, size_t end) {
  for (size_t i = first; i < end; i++)
    if (!place_commit(a, i)) return false;
  return true;
}

/* The memory is that of whole places. The first slice, for records, is zero in any case. */
static char* area_take(arena_t* a, size_t* size, size_t align, bool* zero) {
  size_t first, end;
  if (!places_take(a, *size, align, &first, &end)) return NULL;
  if (!places_commit(a, first, end)) {
    places_free(a, first, end);
    return NULL;
  }
  *zero = true;
  *size = 0;
  if (place_get(a, first) & PLACE_DIRTY) memset(place_start(a, first), 0, SLICE);
  for (size_t i = first; i < end; i++) {
    if (place_get(a, i) & PLACE_DIRTY) *zero = false;
    place_set(a, i, PLACE_USED | PLACE_COMMITTED);
    *size += place_size(a, i);
  }
  return place_start(a, first);
}

static bool places_take_next(arena_t* a, size_t first, size_t end) {
  pthread_mutex_lock(&arenas_lock);
  bool found = end <= places_for(a->size);
  for (size_t i = first; i < end && found; i++) found = (place_get(a, i) & PLACE_USED) == 0;
  for (size_t i = first; i < end && found; i++) place_set(a, i, place_get(a, i) | PLACE_USED);
  pthread_mutex_unlock(&arenas_lock);
  return found;
}

size_t region_extend(arena_t* a, const char* p, size_t size, size_t new_size) {
  size_t start = (size_t)(p - a->start) / CHUNK;
  size_t first = start + places_for(size), end = start + places_for(new_size);
  if (!places_take_next(a, first, end)) return 0;
  bool clean = places_commit(a, first, end);
  for (size_t i = first; i < end; i++) clean = clean && (place_get(a, i) & PLACE_DIRTY) == 0;
  if (!clean) places_free(a, first, end);
  return clean ? (end - start) * CHUNK : 0;
}

/* ---- Address space --------------------------------------------------------------------------- */

void space_free_kept(void) {
  huge_purge();
  regions_purge();
}

static char* space_of_system(size_t size, size_t align, bool* zero) {
  *zero = true;
  return may_ask_system() ? os_map(size, align) : NULL;
}

char* space_take(arena_t** from, size_t* size, size_t align, bool* zero) {
  if ((*from)->start != NULL) return area_take(*from, size, align, zero);
  for (arena_t* a = *from; (a = shared_after(a)) != NULL;) {
    char* p = area_take(a, size, align, zero);
    if (p != NULL) return *from = a, p;
  }
  return space_of_system(*size, align, zero);
}

void space_give(arena_t* a, char* p, size_t size) {
  if (a->start == NULL) {
    os_unmap(p, size);
    return;
  }
  size_t first = (size_t)(p - a->start) / CHUNK, end = first + places_for(size);
  for (size_t i = first; i < end; i++) place_give(a, i);
  if (!arena_is_region(a) || first > SECOND) places_free(a, first, end);
}

/* What an arena of the program's has is the process's. */
static arena_t* counted_in(arena_t* arena) { return arena_is_region(arena) ? arena : &arena_main; }

void arena_count_mapped(arena_t* arena, size_t size) {
  arena = counted_in(arena);
  size_t now = atomic_fetch_add_explicit(&arena->mapped, size, memory_order_relaxed) + size;
  size_t peak = atomic_load_explicit(&arena->mapped_peak, memory_order_relaxed);
  while (now > peak &&
         !atomic_compare_exchange_weak_explicit(&arena->mapped_peak, &peak, now,
                                                memory_order_relaxed, memory_order_relaxed)) {}
}

void arena_count_unmapped(arena_t* arena, size_t size) {
  atomic_fetch_sub_explicit(&counted_in(arena)->mapped, size, memory_order_relaxed);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

/* Beyond a region's start, which is small. */
static bool has_full_size_chunk(arena_t* arena) {
  chunk_t* first = first_chunk(arena);
  return first != NULL && (!arena_is_region(arena) || next_chunk(first) != NULL);
}

/* Where huge pages are asked for everywhere: a small program has its few pages at the start. */
static void keep_start_sparse(arena_t* arena, char* base, size_t size) {
  enum { START = 4 * MiB };
  bool small = !has_full_size_chunk(arena) && (size > START || arena_is_region(arena));
  if (small && option_value(mi_option_allow_thp) == 2 && arena_may_purge(arena))
    os_want_no_huge_pages(base, START);
}

/* The first two chunks of a region are at its first two places, whatever was allocated before them, and whether
** they were there when another task had the region or not. */
static char* own_place_take(arena_t* arena, size_t i, size_t* size, bool* zero) {
  char* base = place_start(arena, i);
  if (!place_commit(arena, i)) return NULL;
  *size = i == 0 ? START_SLICES * SLICE : CHUNK;
  *zero = (place_get(arena, i) & PLACE_DIRTY) == 0;
  if (!*zero) memset(base, 0, SLICE);
  return base;
}

/* In an area any place will do that has room for a page. */
static char* space_for_chunk(arena_t* arena, size_t* size, bool* zero) {
  *size = arena->start != NULL ? 2 * SLICE : CHUNK;
  if (arena->start == NULL) return space_of_system(*size, CHUNK, zero);
  chunk_t* first = first_chunk(arena);
  bool early = arena_is_region(arena) && (first == NULL || next_chunk(first) == NULL);
  if (early) return own_place_take(arena, first == NULL ? 0 : SECOND, size, zero);
  return area_take(arena, size, CHUNK, zero);
}

static chunk_t* new_chunk(arena_t* arena) {
  chunk_t* c = chunk_record();
  if (c == NULL) return NULL;
  bool zero;
  size_t size;
  char* base = space_for_chunk(arena, &size, &zero);
  if (base == NULL || !chunk_init(c, arena, base, size, zero)) {
    if (base != NULL) space_give(arena, base, size);
    chunk_record_free(c);
    return NULL;
  }
  arena_count_mapped(arena, size);
  keep_start_sparse(arena, base, size);
  return c;
}

static void discard(chunk_t* c) {
  chunk_undo(c);
  arena_count_unmapped(c->arena, c->size);
  space_give(c->arena, c->base, c->size);
  page_records_end(c->records);
  chunk_record_free(c);
}

/* Behind the last chunk; `seen` is where the caller's search ended. Of threads that come there
** together one adds its chunk. Release: a thread that finds the chunk finds it complete. */
static bool grow(arena_t* arena, _Atomic(chunk_t*)* seen, bool dense) {
  chunk_t* c = new_chunk(arena);
  if (c == NULL && arena == &arena_main && may_ask_system()) {
    space_free_kept();
    c = new_chunk(arena);
  }
  if (c != NULL && dense && arena_may_purge(arena))
    c->huge_pages = os_want_huge_pages(c->base, c->size);
  pthread_mutex_lock(&arenas_lock);
  bool late = atomic_load_explicit(seen, memory_order_relaxed) != NULL;
  if (!late && c != NULL) atomic_store_explicit(seen, c, memory_order_release);
  pthread_mutex_unlock(&arenas_lock);
  if (late && c != NULL) discard(c);
  return late || c != NULL;
}

/* Where a few slices were not to be had, all chunks are full, so the next one will be. */
static bool grows_densely(arena_t* arena, uint32_t slices) {
  return slices <= MEDIUM_SLICES && has_full_size_chunk(arena);
}

static page_t* take(arena_t* arena, uint32_t slices, bool may_grow, bool* zero) {
  _Atomic(chunk_t*)* link = &arena->chunks;
  for (;;) {
    chunk_t* c = atomic_load_explicit(link, memory_order_acquire);
    if (c == NULL) {
      if (!may_grow || !grow(arena, link, grows_densely(arena, slices))) return NULL;
      continue;
    }
    if (atomic_load_explicit(&c->free_slices, memory_order_relaxed) >= slices) {
      page_t* page = chunk_take(c, slices, zero);
      if (page != NULL) return page;
    }
    link = &c->next;
  }
}

/* More is asked of the system when what the process has, and then what the program gave, is used. */
page_t* slices_alloc(arena_t* arena, uint32_t slices, bool* zero) {
  if (arena != &arena_main || shared_after(arena) == NULL) return take(arena, slices, true, zero);
  page_t* page = take(arena, slices, false, zero);
  for (arena_t* a = arena; page == NULL && (a = shared_after(a)) != NULL;)
    page = take(a, slices, true, zero);
  return page != NULL ? page : take(arena, slices, true, zero);
}

page_t* start_alloc(arena_t* arena, bool* zero) {
  if (!arena_is_region(arena)) return NULL;
  if (first_chunk(arena) == NULL && !grow(arena, &arena->chunks, false)) return NULL;
  return chunk_take_start(first_chunk(arena), zero);
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
  uint32_t least = arena_is_region(arena) ? DIRTY_LEAST_REGION : DIRTY_LEAST;
  return least + atomic_load_explicit(&arena->busy_slices, memory_order_relaxed) / DIRTY_SHARE;
}

/* The cursor moves while other threads move it, too; that is as good. */
static void purge_some(arena_t* arena, uint32_t runs) {
  enum { CHUNKS_A_TIME = 16 };
  if (!arena_may_purge(arena) || option_value(mi_option_purge_delay) < 0) return;
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
static void decay(arena_t* arena) {
  uint32_t now = atomic_load_explicit(&arena->dirty_slices, memory_order_relaxed);
  uint32_t low = atomic_exchange_explicit(&arena->dirty_low, now, memory_order_relaxed);
  if (low > 0 && now > 0) purge_some(arena, low > SLICES_A_RUN ? 2 : 1);
}

void arena_decay(arena_t* arena) {
  decay(arena);
  regions_decay();
  if (arena != &arena_main) return;
  while ((arena = arena_after(arena)) != NULL) decay(arena);
  huge_decay();
  nests_decay();
}

void arena_purge(arena_t* arena) {
  if (!arena_may_purge(arena)) return;
  for (chunk_t* c = first_chunk(arena); c != NULL; c = next_chunk(c)) chunk_purge(c);
  if (arena == &arena_main) huge_purge();
}

void arenas_purge(void) {
  for (arena_t* a = &arena_main; a != NULL; a = arena_after(a)) arena_purge(a);
  nests_purge();
  regions_purge();
}

/* ---- The end -------------------------------------------------------------------------------- */

static void chunk_end(chunk_t* c, const char* start) {
  table_set(start, NULL);
  page_records_end(c->records);
  if (c->arena == &arena_main) os_unmap(c->base, c->size);
  chunk_record_free(c);
}

void arena_unmap(arena_t* arena) {
  for (chunk_t *c = first_chunk(arena), *next; c != NULL; c = next) {
    next = next_chunk(c);
    chunk_end(c, c->base);
  }
  for (chunk_t *c = arena->huge, *next; c != NULL; c = next) {
    next = c->huge_next;
    chunk_end(c, c->huge_page->start);
  }
  if (arena->start != NULL && !arena->foreign) os_unmap(arena->start, arena->size);
  arena->start = NULL;
}

/* What the program gave us to manage is left to it. */
void memory_unmap(void) {
  huge_purge();
  regions_unmap();
  for (arena_t* arena = &arena_main; arena != NULL; arena = arena_after(arena)) arena_unmap(arena);
  nests_unmap();
  records_unmap();
}

/* The area lies in another one, or a chunk of ours begins in it. */
static bool is_taken(const char* start, size_t size) {
  for (arena_t* a = arena_after(&arena_main); a != NULL; a = arena_after(a))
    if (start < a->start + a->size && a->start < start + size) return true;
  for (size_t i = 0; i < size; i += CHUNK)
    if (table_has(start + i)) return true;
  return false;
}

static arena_t* last_arena(void) {
  arena_t* last = &arena_main;
  for (arena_t* a; (a = arena_after(last)) != NULL;) last = a;
  return last;
}

/* Release: who finds the arena finds it complete. */
int arena_add(const arena_t* like, uint8_t places, int* id) {
  pthread_mutex_lock(&arenas_lock);
  int result = is_taken(like->start, like->size) ? EINVAL : 0;
  size_t n = places_for(like->size);
  arena_t* arena = result == 0 ? record_alloc(sizeof *arena + n, 64) : NULL;
  if (arena != NULL) {
    arena_t* last = last_arena();
    *arena = *like;
    arena->id = *id = last->id + 1;
    for (size_t i = 0; i < n; i++) place_set(arena, i, places);
    atomic_store_explicit(&last->next, arena, memory_order_release);
  } else if (result == 0) {
    result = ENOMEM;
  }
  pthread_mutex_unlock(&arenas_lock);
  return result;
}

/* ---- Walks ----------------------------------------------------------------------------------- */

void arena_visit(arena_t* arena, void (*visit)(page_t*, void*), void* arg) {
  for (chunk_t* c = first_chunk(arena); c != NULL; c = next_chunk(c))
    for (uint32_t i = 0; i < c->size / SLICE; i++)
      if (page_figure(&c->records[i].slices) != 0 && page_behind(&c->records[i]) == 0)
        visit(&c->records[i], arg);
  huge_visit(arena, visit, arg);
}

void arenas_visit(void (*visit)(page_t*, void*), void* arg) {
  for (arena_t* a = &arena_main; a != NULL; a = arena_after(a)) arena_visit(a, visit, arg);
}

static bool may_be_in(arena_t* a, const wanted_t* w) {
  return w->arena == NULL || w->arena == a || (w->arena == &arena_main && !a->exclusive);
}

void wanted_visit(const wanted_t* w, void (*visit)(page_t*, void*), void* arg) {
  for (arena_t* a = &arena_main; a != NULL; a = arena_after(a))
    if (may_be_in(a, w)) huge_visit(a, visit, arg);
}

static page_t* adopt_in(arena_t* arena, const wanted_t* w) {
  for (chunk_t* c = first_chunk(arena); c != NULL; c = next_chunk(c)) {
    page_t* page = chunk_adopt(c, w);
    if (page != NULL) return page;
  }
  return NULL;
}

page_t* arena_adopt(const wanted_t* w) {
  if (w->class != 0 && page_figure(&w->subproc->abandoned[w->class]) == 0) return NULL;
  page_t* page = NULL;
  for (arena_t* a = &arena_main; a != NULL && page == NULL; a = arena_after(a))
    if (may_be_in(a, w)) page = adopt_in(a, w);
  return page;
}
