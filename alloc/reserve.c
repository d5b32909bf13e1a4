/* reserve.c: arenas of the program: memory that it reserves, or has and gives us to manage.
**
** They stay until the process ends. An area begins at the first multiple of CHUNK in the memory,
** which a chunk must begin at (its records are found by that), and ends where the memory does. */
#include "alloc/internal.h"

enum { AREA_LEAST = 2 * SLICE, LARGE_SHIFT = 21, HUGE_SHIFT = 30 };
#define ADDRESS_END ((uintptr_t)1 << ADDRESS_BITS)

/* ---- Which is it? ---------------------------------------------------------------------------- */

arena_t* arena_of_id(int id) {
  for (arena_t* a = &arena_main; a != NULL; a = arena_after(a))
    if (a->id == id) return a;
  return NULL;
}

static bool contains(const arena_t* a, const void* p) {
  return (uintptr_t)p - (uintptr_t)a->start < a->size;
}

arena_t* arena_around(const void* p) {
  for (arena_t* a = arena_after(&arena_main); a != NULL; a = arena_after(a))
    if (contains(a, p)) return a;
  return NULL;
}

void* mi_arena_area(mi_arena_id_t arena_id, size_t* size) {
  arena_t* a = arena_of_id(arena_id);
  if (size != NULL) *size = a != NULL ? a->size : 0;
  return a != NULL ? a->start : NULL;
}

bool mi_arena_contains(mi_arena_id_t arena_id, const void* p) {
  arena_t* a = arena_of_id(arena_id);
  return a != NULL && contains(a, p);
}

size_t mi_arena_min_alignment(void) { return CHUNK; }
size_t mi_arena_min_size(void) { return AREA_LEAST; }

/* ---- Managed memory -------------------------------------------------------------------------- */

/* Brings the area to whole places: an end that has no room for a page is left out. */
static bool area_fit(arena_t* a, uintptr_t start, size_t size) {
  size_t skip = -start & (CHUNK - 1);
  if (start == 0 || size < skip || start >= ADDRESS_END || size > ADDRESS_END - start) return false;
  a->start = (char*)start + skip;
  a->size = (size - skip) & ~(size_t)(SLICE - 1);
  if (a->size % CHUNK < AREA_LEAST) a->size -= a->size % CHUNK;
  return a->size > 0;
}

static int add(const arena_t* a, bool committed, bool zero, mi_arena_id_t* arena_id) {
  int unused;
  int places = (committed ? PLACE_COMMITTED : 0) | (zero ? 0 : PLACE_DIRTY);
  return arena_add(a, (uint8_t)places, arena_id != NULL ? arena_id : &unused);
}

bool mi_manage_memory(void* start, size_t size, bool is_committed, bool is_pinned, bool is_zero,
                      int numa_node, bool exclusive, mi_commit_fun_t* commit_fun,
                      void* commit_fun_arg, mi_arena_id_t* arena_id) {
  (void)numa_node;
  process_init();
  if (arena_id != NULL) *arena_id = 0;
  arena_t a = {.exclusive = exclusive,
               .pinned = is_pinned,
               .foreign = true,
               .lazy = !is_committed,
               .commit = commit_fun,
               .commit_arg = commit_fun_arg};
  bool fits = area_fit(&a, (uintptr_t)start, size);
  int result = fits ? add(&a, is_committed, is_zero, arena_id) : EINVAL;
  if (result != 0) errno = result;
  if (result == EINVAL)
    warn(
        "sluice: warning: %zu bytes at %p cannot be managed: that needs %d bytes of no other arena "
        "from a multiple of %d on",
        size, start, AREA_LEAST, CHUNK);
  return result == 0;
}

bool mi_manage_os_memory_ex(void* start, size_t size, bool is_committed, bool is_large,
                            bool is_zero, int numa_node, bool exclusive, mi_arena_id_t* arena_id) {
  return mi_manage_memory(start, size, is_committed, is_large, is_zero, numa_node, exclusive, NULL,
                          NULL, arena_id);
}

bool mi_manage_os_memory(void* start, size_t size, bool is_committed, bool is_large, bool is_zero,
                         int numa_node) {
  return mi_manage_os_memory_ex(start, size, is_committed, is_large, is_zero, numa_node, false,
                                NULL);
}

/* ---- Reserved memory ------------------------------------------------------------------------- */

/* Takes the mapping over, and unmaps what is of no use of it. */
static int add_reserved(char* p, size_t size, bool committed, bool pinned, bool exclusive,
                        mi_arena_id_t* arena_id) {
  arena_t a = {.exclusive = exclusive, .pinned = pinned, .lazy = !committed};
  int result = area_fit(&a, (uintptr_t)p, size) ? add(&a, committed, true, arena_id) : EINVAL;
  size_t used = result == 0 ? a.size : 0;
  if (used < size) os_unmap(p + used, size - used);
  return result;
}

static void* map_large(size_t size) {
  void* at = os_free_space(size, CHUNK);
  return at != NULL ? os_map_huge(at, size, LARGE_SHIFT, -1) : NULL;
}

static int reserve(size_t size, bool commit, bool allow_large, bool exclusive,
                   mi_arena_id_t* arena_id) {
  if (size == 0) return EINVAL;
  if (size > ADDRESS_END / 2) return ENOMEM;
  if (size < AREA_LEAST) size = AREA_LEAST;
  size_t large = (size + ((size_t)1 << LARGE_SHIFT) - 1) >> LARGE_SHIFT << LARGE_SHIFT;
  void* p = allow_large ? map_large(large) : NULL;
  if (p != NULL) return add_reserved(p, large, true, true, exclusive, arena_id);
  size = (size + SLICE - 1) & ~(size_t)(SLICE - 1);
  p = commit ? os_map(size, CHUNK) : os_reserve(size, CHUNK);
  return p != NULL ? add_reserved(p, size, commit, false, exclusive, arena_id) : ENOMEM;
}

int mi_reserve_os_memory_ex(size_t size, bool commit, bool allow_large, bool exclusive,
                            mi_arena_id_t* arena_id) {
  process_init();
  if (arena_id != NULL) *arena_id = 0;
  return reserve(size, commit, allow_large, exclusive, arena_id);
}

int mi_reserve_os_memory(size_t size, bool commit, bool allow_large) {
  return mi_reserve_os_memory_ex(size, commit, allow_large, false, NULL);
}

/* ---- Huge pages of the system, each by itself: it may take long to find one -------------------- */

/* Has it taken too long, or will it, going on like that? */
static bool is_late(uint64_t since_ns, size_t done, size_t pages, size_t timeout_msecs) {
  uint64_t ms = ns_since(since_ns) / 1000000, limit = timeout_msecs;
  return limit != 0 && (ms > limit || ms * pages / done > limit + limit / 2);
}

static int map_huge_pages(char* at, size_t pages, int node, size_t timeout_msecs, size_t* done) {
  uint64_t since = os_now_ns();
  for (size_t i = 0; i < pages; i++) {
    if (i > 0 && is_late(since, i, pages, timeout_msecs)) return ETIMEDOUT;
    if (os_map_huge(at + i * GiB, GiB, HUGE_SHIFT, node) == NULL) return ENOMEM;
    *done = i + 1;
  }
  return 0;
}

static int reserve_huge(size_t pages, int node, size_t timeout_msecs, bool exclusive,
                        mi_arena_id_t* arena_id, size_t* done) {
  *done = 0;
  if (pages == 0) return 0;
  char* at = pages < ADDRESS_END / GiB ? os_free_space(pages * GiB, GiB) : NULL;
  if (at == NULL) return ENOMEM;
  int result = map_huge_pages(at, pages, node, timeout_msecs, done);
  if (*done == 0) return result;
  int added = add_reserved(at, *done * GiB, true, true, exclusive, arena_id);
  if (added != 0) *done = 0;
  return added != 0 ? added : result;
}

int mi_reserve_huge_os_pages_at_ex(size_t pages, int numa_node, size_t timeout_msecs,
                                   bool exclusive, mi_arena_id_t* arena_id) {
  size_t done;
  process_init();
  if (arena_id != NULL) *arena_id = 0;
  return reserve_huge(pages, numa_node, timeout_msecs, exclusive, arena_id, &done);
}

int mi_reserve_huge_os_pages_at(size_t pages, int numa_node, size_t timeout_msecs) {
  return mi_reserve_huge_os_pages_at_ex(pages, numa_node, timeout_msecs, false, NULL);
}

/* Evenly over the nodes; the first ones get what is left. */
static int interleave(size_t pages, size_t nodes, size_t timeout_msecs, size_t* done) {
  *done = 0;
  if (nodes == 0) nodes = (size_t)os_nodes();
  size_t share = timeout_msecs > 0 ? timeout_msecs / nodes + 1 : 0;
  int result = 0;
  for (size_t i = 0; i < nodes && result == 0; i++) {
    size_t n;
    result = reserve_huge(pages / nodes + (i < pages % nodes), (int)i, share, false, NULL, &n);
    *done += n;
  }
  return result;
}

int mi_reserve_huge_os_pages_interleave(size_t pages, size_t numa_nodes, size_t timeout_msecs) {
  size_t done;
  process_init();
  return interleave(pages, numa_nodes, timeout_msecs, &done);
}

int mi_reserve_huge_os_pages(size_t pages, double max_secs, size_t* pages_reserved) {
  size_t done;
  process_init();
  size_t msecs = max_secs <= 0 ? 0 : max_secs < 1e9 ? (size_t)(max_secs * 1000) : 0;
  int result = interleave(pages, 0, msecs, &done);
  if (pages_reserved != NULL) *pages_reserved = done;
  return result;
}

void reserve_at_start(void) {
  size_t size = (size_t)option_value(mi_option_reserve_os_memory) * KiB, done;
  size_t pages = (size_t)option_value(mi_option_reserve_huge_os_pages);
  int node = (int)option_value(mi_option_reserve_huge_os_pages_at);
  bool large = option_value(mi_option_allow_large_os_pages) != 0;
  if (pages > 0 && (node >= 0 ? reserve_huge(pages, node, 0, false, NULL, &done)
                              : interleave(pages, 0, 0, &done)) != 0)
    warn("sluice: warning: of %zu huge pages that were to be reserved there are %zu", pages, done);
  if (size > 0 && reserve(size, true, large, false, NULL) != 0)
    warn("sluice: warning: %zu KiB that were to be reserved are not there", size / KiB);
}

/* ---- The list -------------------------------------------------------------------------------- */

static void count_page(page_t* page, void* count) {
  (void)page;
  ++*(size_t*)count;
}

static void print_arena(arena_t* a) {
  size_t slices = 0, used = 0;
  for (chunk_t* c = first_chunk(a); c != NULL; c = next_chunk(c)) {
    slices += c->size / SLICE - 1;
    used += c->size / SLICE - 1 - atomic_load_explicit(&c->free_slices, memory_order_relaxed);
  }
  size_t huge = 0;
  huge_visit(a, count_page, &huge);
  message(
      "sluice: arena %d: %zu KiB at %p%s%s; slices of %d KiB in use: %zu of %zu so far; huge "
      "blocks: %zu",
      a->id, a->size / KiB, (void*)a->start, a->exclusive ? ", exclusive" : "",
      a->pinned ? ", pinned" : "", SLICE / 1024, used, slices, huge);
}

void mi_arenas_print(void) {
  process_init();
  for (arena_t* a = &arena_main; a != NULL; a = arena_after(a)) print_arena(a);
}

void mi_debug_show_arenas(void) { mi_arenas_print(); }
