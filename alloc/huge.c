/* huge.c: blocks above LARGE_BLOCK_MAX: each is a mapping of its own, of page records and one block,
** which is unmapped when the block is freed. */
#include "alloc/internal.h"

/* The page is complete, but for what page_new_single adds: visitors find no block alive. */
static void huge_link(page_t* page) {
  chunk_t* c = page->chunk;
  arena_t* arena = c->arena;
  c->huge_page = page;
  pthread_mutex_lock(&arenas_lock);
  c->huge_next = arena->huge;
  if (c->huge_next != NULL) c->huge_next->huge_prev = c;
  arena->huge = c;
  pthread_mutex_unlock(&arenas_lock);
}

static void huge_unlink(chunk_t* c) {
  arena_t* arena = c->arena;
  pthread_mutex_lock(&arenas_lock);
  if (c->huge_prev != NULL)
    c->huge_prev->huge_next = c->huge_next;
  else
    arena->huge = c->huge_next;
  if (c->huge_next != NULL) c->huge_next->huge_prev = c->huge_prev;
  pthread_mutex_unlock(&arenas_lock);
}

/* The block starts at the first address after the records that is aligned; the table entry of
** the chunk that it starts in leads to the records at the start of the mapping. The rest of the
** mapping has no entry: pointers there are foreign. */
page_t* huge_alloc(arena_t* arena, size_t size, size_t align) {
  if (align < SLICE) align = SLICE;
  size_t lead = align; /* records, then padding */
  size_t total = (size + lead + SLICE - 1) & ~(size_t)(SLICE - 1);
  if (total < size) return NULL;
  chunk_t* c = chunk_record();
  if (c == NULL) return NULL;
  pthread_mutex_lock(&arenas_lock);
  char* base = space_take(arena, total, align > CHUNK ? align : CHUNK);
  pthread_mutex_unlock(&arenas_lock);
  if (arena->region != NULL) total = (total + CHUNK - 1) & ~(size_t)(CHUNK - 1);
  page_t* records = base != NULL ? page_records_new(base) : NULL;
  if (records == NULL) {
    if (base != NULL) space_give(arena, base, total);
    chunk_record_free(c);
    return NULL;
  }
  *c = (chunk_t){.base = base, .records = records, .size = total, .arena = arena};
  arena_count_mapped(arena, total);
  char* start = base + lead;
  table_set(start, c->records);
  page_t* page = &c->records[((uintptr_t)start >> SLICE_SHIFT) % CHUNK_SLICES];
  page_set_figure(&page->slices, 1);
  page->chunk = c;
  page->start = start;
  page->span = (size + SLICE - 1) & ~(size_t)(SLICE - 1);
  huge_link(page);
  return page;
}

void huge_visit(arena_t* arena, void (*visit)(page_t*, void*), void* arg) {
  pthread_mutex_lock(&arenas_lock);
  for (chunk_t* c = arena->huge; c != NULL; c = c->huge_next) visit(c->huge_page, arg);
  pthread_mutex_unlock(&arenas_lock);
}

page_t* huge_around(arena_t* arena, const void* p) {
  page_t* found = NULL;
  pthread_mutex_lock(&arenas_lock);
  for (chunk_t* c = arena->huge; c != NULL && found == NULL; c = c->huge_next)
    if ((size_t)((const char*)p - c->huge_page->start) < c->huge_page->span) found = c->huge_page;
  pthread_mutex_unlock(&arenas_lock);
  return found;
}

void huge_free(page_t* page) {
  chunk_t* c = page->chunk;
  arena_t* arena = c->arena;
  huge_unlink(c);
  table_set(page->start, NULL);
  atomic_fetch_sub_explicit(&arena->mapped, c->size, memory_order_relaxed);
  space_give(arena, c->base, c->size);
  page_records_end(c->records);
  chunk_record_free(c);
}
