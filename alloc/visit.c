/* visit.c: questions about pointers and heaps: whose is it, what is alive there. They charge nothing
** and change nothing but that lists are sorted out. */
#include "alloc/internal.h"

/* ---- Whose is it? ---------------------------------------------------------------------------- */

/* The page that p points into. The table leads to a huge block's page from its start only. */
static page_t* page_around(const void* p) {
  page_t* page = page_of(p);
  arena_t* given = arena_around(p);
  if (page == NULL) page = huge_around(given != NULL ? given : &arena_main, p);
  if (page == NULL && tls.task != NO_TASK && tls.task->arena != &arena_main)
    page = huge_around(tls.task->arena, p);
  return page;
}

static mi_heap_t* heap_of(const void* p) {
  page_t* page = page_around(p);
  return page != NULL ? page_heap(page) : NULL;
}

/* Is p where a block begins, alive or not? */
static bool begins_block(const page_t* page, const void* p) {
  if (page->stride == 0) return p == page->start;
  size_t offset = (size_t)((const char*)p - page->start), index = page_index(page, p);
  return offset == index * page->stride && index < page->reserved;
}

bool mi_heap_contains_block(mi_heap_t* heap, const void* p) {
  page_t* page = page_of(p);
  return page != NULL && page_heap(page) == heap && begins_block(page, p);
}

bool mi_heap_check_owned(mi_heap_t* heap, const void* p) {
  return p != NULL && heap != NULL && heap_of(p) == heap;
}

bool mi_check_owned(const void* p) { return mi_heap_check_owned(mi_heap_get_default(), p); }
bool mi_is_in_heap_region(const void* p) { return page_around(p) != NULL || nests_have(p); }
mi_heap_t* mi_heap_of(const void* p) { return heap_of(p); }
bool mi_heap_contains(const mi_heap_t* heap, const void* p) {
  return heap != NULL && heap_of(p) == heap;
}
bool mi_any_heap_contains(const void* p) { return page_around(p) != NULL; }

/* ---- What is alive? -------------------------------------------------------------------------- */

enum { BLOCKS_MAX = SLICE / WORD };
_Static_assert(MEDIUM_SLICES* SLICE / SMALL_BLOCK_MAX <= BLOCKS_MAX, "small pages have the most");

static void mark_list(const page_t* page, const block_t* list, uint64_t* free_blocks) {
  for (; list != NULL; list = block_next(page, list)) {
    size_t index = page_index(page, list);
    free_blocks[index / 64] |= (uint64_t)1 << (index % 64);
  }
}

/* Nothing of the page is granted. What other threads free meanwhile may be visited or not. */
static bool visit_page_blocks(mi_heap_t* heap, page_t* page, const mi_heap_area_t* area,
                              mi_block_visit_fun* visitor, void* arg) {
  uint64_t free_blocks[BLOCKS_MAX / 64] = {0};
  if (page->stride == 0) return visitor(heap, area, page->start, area->block_size, arg);
  mark_list(page, page->free, free_blocks);
  mark_list(page, page->local_free, free_blocks);
  mark_list(page, remote_freed(page), free_blocks);
  for (uint32_t i = 0; i < page->capacity; i++) {
    if (free_blocks[i / 64] >> (i % 64) & 1) continue;
    char* block = page->start + (size_t)i * page->stride;
    if (!visitor(heap, area, block, area->block_size, arg)) return false;
  }
  return true;
}

bool visit_page(mi_heap_t* heap, page_t* page, const visit_t* v) {
  uint32_t live = page_live(page);
  mi_heap_area_t area = {
      .blocks = page->start,
      .reserved = page->span,
      .committed = page->stride != 0 ? (size_t)page->capacity * page->stride : page->span,
      .used = live,
      .block_size = page_block_size(page),
      .full_block_size = page->stride != 0 ? page->stride : page->span,
      .heap_tag = (int)page_tag(page),
  };
  if (!v->visitor(heap, &area, NULL, area.block_size, v->arg)) return false;
  return !v->blocks || live == 0 || visit_page_blocks(heap, page, &area, v->visitor, v->arg);
}

static bool visit_list(mi_heap_t* heap, page_t* page, const visit_t* v) {
  for (page_t* next; page != NULL; page = next) {
    next = page->next;
    if (!visit_page(heap, page, v)) return false;
  }
  return true;
}

bool mi_heap_visit_blocks(const mi_heap_t* visited, bool visit_blocks, mi_block_visit_fun* visitor,
                          void* arg) {
  mi_heap_t* heap = (mi_heap_t*)visited;
  visit_t v = {visitor, arg, visit_blocks};
  if (!heap_is_mine_checked(heap)) return false;
  heap_ungrant_all(heap);
  remote_take_delayed(heap, UINT32_MAX);
  for (unsigned c = 1; c < CLASS_COUNT; c++)
    if (!visit_list(heap, heap->queue[c].first, &v)) return false;
  return visit_list(heap, heap->full, &v);
}

/* Should the program move p elsewhere, so that its page becomes empty? Not from the page that blocks
** are taken from, nor a full one. */
bool mi_unsafe_heap_page_is_under_utilized(mi_heap_t* heap, void* p, size_t perc_threshold) {
  page_t* page = page_of(p);
  if (page == NULL || heap == NULL || page_heap(page) != heap || page->stride == 0) return false;
  if (page_is_full(page) || heap->queue[page_class(page)].first == page) return false;
  return (uint64_t)page->used * 100 < (uint64_t)page->reserved * perc_threshold;
}
