/* region.c: regions: 4 GiB of address space for one task, whose addresses repeat in every run. */
#include "alloc/internal.h"

static arena_t *arenas_unused, *arenas_all; /* records of regions; under records_lock */

/* ---- Mapped, and not ------------------------------------------------------------------------- */

static arena_t* arena_record(void) {
  pthread_mutex_lock(&records_lock);
  arena_t* arena = arenas_unused;
  if (arena != NULL) arenas_unused = arena_after(arena);
  pthread_mutex_unlock(&records_lock);
  size_t size = sizeof *arena + REGION_PLACES;
  if (arena != NULL || (arena = record_alloc(size, 64)) == NULL) return arena;
  pthread_mutex_lock(&records_lock);
  arena->all = arenas_all;
  arenas_all = arena;
  pthread_mutex_unlock(&records_lock);
  return arena;
}

static void region_unmap(arena_t* arena) {
  arena_unmap(arena);
  pthread_mutex_lock(&records_lock);
  atomic_store_explicit(&arena->next, arenas_unused, memory_order_relaxed);
  arenas_unused = arena;
  pthread_mutex_unlock(&records_lock);
}

static arena_t* region_map(void) {
  arena_t* arena = arena_record();
  if (arena == NULL) return NULL;
  *arena = (arena_t){.all = arena->all, .size = REGION, .lazy = true};
  for (size_t i = 0; i < REGION_PLACES; i++)
    atomic_store_explicit(&arena->place[i], i <= SECOND ? PLACE_USED : 0, memory_order_relaxed);
  arena->start = may_ask_system() ? os_reserve(REGION, REGION) : NULL;
  if (arena->start != NULL) return arena;
  region_unmap(arena);
  return NULL;
}

/* ---- Regions that are kept -------------------------------------------------------------------
**
** To map a region and touch its first pages, and to unmap it, takes longer than all else that a small task does. So
** one that ends with its first chunks and nothing else stays as it is for the next task: as many as a share of
** those in use, and some; and while they were in use less than a second ago, all, so that who ends many tasks together,
** and begins others, waits for neither. After that they go a few at a time, when a region begins or ends, or now and
** then while tasks run, those that ended first before the others. Tasks cannot tell: slices are taken first fit,
** whether they are dirty or not. */
enum { KEPT_LEAST = 32, KEPT_SHARE = 8, KEPT_SLICES = 24, UNMAPS = 2, UNMAPS_DECAY = 16 };
static const uint64_t KEPT_NS = 1000000000;
/* By `next` and `prev`; under records_lock, as the next two. */
static arena_t *kept_first, *kept_last;
static uint32_t kept, in_use;

static bool may_be_kept(arena_t* arena) {
  chunk_t *c = first_chunk(arena), *second = c != NULL ? next_chunk(c) : NULL;
  if (c == NULL || (second != NULL && next_chunk(second) != NULL)) return false;
  if (arena->huge != NULL || atomic_load(&arena->busy_slices) != 0) return false;
  for (size_t i = SECOND + 1; i < REGION_PLACES; i++)
    if (atomic_load_explicit(&arena->place[i], memory_order_relaxed) != 0) return false;
  return true;
}

/* The one that ended last, which begins again; or NULL. */
static arena_t* reuse(void) {
  pthread_mutex_lock(&records_lock);
  arena_t* arena = kept_first;
  in_use++;
  if (arena != NULL) {
    kept--;
    kept_first = arena_after(arena);
    *(kept_first != NULL ? &kept_first->prev : &kept_last) = NULL;
  }
  pthread_mutex_unlock(&records_lock);
  return arena;
}

static void keep(arena_t* arena) {
  arena->kept_ns = os_now_ns();
  arena->prev = NULL;
  pthread_mutex_lock(&records_lock);
  atomic_store_explicit(&arena->next, kept_first, memory_order_relaxed);
  *(kept_first != NULL ? &kept_first->prev : &kept_last) = arena;
  kept_first = arena;
  kept++;
  pthread_mutex_unlock(&records_lock);
}

static void count_end(void) {
  pthread_mutex_lock(&records_lock);
  in_use--;
  pthread_mutex_unlock(&records_lock);
}

static bool is_spare(const arena_t* arena, bool all) {
  if (arena == NULL || all) return arena != NULL;
  return kept > KEPT_LEAST + in_use / KEPT_SHARE && ns_since(arena->kept_ns) > KEPT_NS;
}

/* The one that ended first, if it is not to be kept any longer; or NULL. */
static arena_t* take_spare(bool all) {
  pthread_mutex_lock(&records_lock);
  arena_t* arena = is_spare(kept_last, all) ? kept_last : NULL;
  if (arena != NULL) {
    kept--;
    kept_last = arena->prev;
    if (kept_last != NULL)
      atomic_store_explicit(&kept_last->next, NULL, memory_order_relaxed);
    else
      kept_first = NULL;
  }
  pthread_mutex_unlock(&records_lock);
  return arena;
}

static void regions_drop(uint32_t most, bool all) {
  for (arena_t* a; most > 0 && (a = take_spare(all)) != NULL; most--) region_unmap(a);
}

void regions_decay(void) { regions_drop(UNMAPS_DECAY, false); }
void regions_purge(void) { regions_drop(UINT32_MAX, true); }

static arena_t* region_new(void) {
  arena_t* arena = region_map();
  if (arena != NULL || !may_ask_system()) return arena;
  space_free_kept();
  return region_map();
}

arena_t* arena_new(void) {
  regions_drop(UNMAPS, false);
  arena_t* arena = reuse();
  if (arena == NULL) arena = region_new();
  if (arena == NULL) {
    count_end();
    errno = ENOMEM;
    return NULL;
  }
  size_t mapped = atomic_load_explicit(&arena->mapped, memory_order_relaxed);
  atomic_store_explicit(&arena->mapped_peak, mapped, memory_order_relaxed);
  return arena;
}

void arena_delete(arena_t* arena) {
  count_end();
  if (!may_be_kept(arena)) {
    region_unmap(arena);
  } else {
    if (atomic_load_explicit(&arena->dirty_slices, memory_order_relaxed) > KEPT_SLICES)
      arena_purge(arena);
    keep(arena);
  }
  regions_drop(UNMAPS, false);
}

/* When the process is done with all memory. */
void regions_unmap(void) {
  for (arena_t* arena = arenas_all; arena != NULL; arena = arena->all)
    if (arena->start != NULL) arena_unmap(arena);
}
