/* alloc.c: the calls that programs make. The fast paths stand first; each counts its
** instructions in alloc/README.md.
**
** A public function charges its ticks once, from its arguments, and then calls what charges
** nothing. */
#include "alloc/internal.h"

/* There is no memory; the program is told, and may do something for the next request. */
static void* fail(void) {
  say_due();
  call_error_fun(ENOMEM);
  errno = ENOMEM;
  return NULL;
}

/* ---- Refill ---------------------------------------------------------------------------------- */

/* Pages that others freed blocks of: so many are looked at, since each may have memory to give back. */
enum { DELAYED_A_REFILL = 64 };

/* Words to hand out while dead objects wait: whole blocks, up to the quantum. */
static size_t words_wanted(const mi_task_t* task, size_t words) {
  return words >= task->quantum ? words : task->quantum / words * words;
}

/* The callbacks, and draining; answers how many blocks may be handed out. */
static size_t refill_limit(mi_heap_t* heap, unsigned class, size_t words) {
  if (likely(!task_has_hooks(heap->task))) return SIZE_MAX;
  size_t wanted = words_wanted(heap->task, words);
  return task_on_refill(heap, class, wanted) ? wanted / words : SIZE_MAX;
}

/* A heap that is charged by grant is handed no more than its task's limit has room for. */
static size_t grant_limit(mi_heap_t* heap, size_t size, size_t limit) {
  mi_task_t* task = heap->task;
  if (!heap->by_grant || !task_is_limited(task)) return limit;
  if (!task_make_room(task, size)) return 0;
  size_t room = (size_t)task->room / size;
  return room < limit ? room : limit;
}

/* What is called with force may have allocated, so the room is looked at again. */
static bool find_or_force(mi_heap_t* heap, unsigned class, size_t size, size_t limit) {
  if (heap_find(heap, class, limit)) return true;
  task_force(heap->task);
  heap_collect_beside(heap);
  if (heap->list[class] != NULL) return true;
  limit = grant_limit(heap, size, limit);
  return limit > 0 && (heap->list[class] != NULL || heap_find(heap, class, limit));
}

static inline block_t* next_of(const block_t* block) {
  return CHECKED ? checked_next(page_of(block), block) : block->next;
}

/* The list of the class is empty: this is the regular moment at which everything expensive
** happens. */
static block_t* refill(mi_heap_t* heap, unsigned class) {
  size_t words = class_words(class), size = words * WORD;
  size_t limit = grant_limit(heap, size, refill_limit(heap, class, words));
  if (heap->list[class] == NULL && limit > 0) {
    remote_take_delayed(heap, DELAYED_A_REFILL);
    heap_release_emptied(heap);
    if (!find_or_force(heap, class, size, limit)) limit = 0;
  }
  block_t* block = heap->list[class];
  if (block == NULL || limit == 0) return fail();
  heap->list[class] = next_of(block);
  say_due();
  return block;
}

static __attribute__((noinline)) block_t* refill_timed(mi_heap_t* heap, unsigned class) {
  if (heap == &heap_none && (heap = task_default_heap()) == NULL) return fail();
  mi_task_t* task = heap->task;
  pause_t pause = pause_begin(task);
  block_t* block = refill(heap, class);
  pause_end(task, refill_kind(class_words(class)), pause);
  return block;
}

static inline block_t* take(mi_heap_t* heap, unsigned class) {
  block_t* block = heap->list[class];
  if (unlikely(block == NULL)) return refill_timed(heap, class);
  heap->list[class] = next_of(block);
  return block;
}

/* ---- Without charge -------------------------------------------------------------------------- */

/* All of the block, since a later mi_rezalloc counts on it. Memory that was never freed is still
** zero but for the link in the first word. */
static void block_zero(block_t* block) {
  page_t* page = page_of(block);
  if (page->zero)
    block->next = NULL;
  else
    memset(block, 0, page_block_size(page));
}

static void* alloc_class(mi_heap_t* heap, unsigned class, size_t size, bool zero) {
  if (CHECKED && heap->list[class] != NULL && !zero) return checked_take(heap, class, size);
  block_t* block = take(heap, class);
  if (block == NULL) return NULL;
  if (CHECKED) return checked_alloc(block, size, zero);
  if (zero) block_zero(block);
  return block;
}

static page_t* single_page(mi_heap_t* heap, size_t size, size_t align, size_t shift) {
  if (heap == &heap_none && (heap = task_default_heap()) == NULL) return NULL;
  refill_limit(heap, CLASS_LARGE, (size + WORD - 1) / WORD);
  remote_take_delayed(heap, DELAYED_A_REFILL);
  heap_release_emptied(heap);
  if (grant_limit(heap, single_bytes(size), 1) == 0) return NULL;
  page_t* page = page_new_single(heap, size, align, shift);
  if (page != NULL) return page;
  task_force(heap->task);
  heap_collect_beside(heap);
  arena_purge(heap->arena);
  if (grant_limit(heap, single_bytes(size), 1) == 0) return NULL;
  return page_new_single(heap, size, align, shift);
}

static page_t* single_page_timed(mi_heap_t* heap, size_t size, size_t align, size_t shift) {
  mi_task_t* task = task_self();
  if (task == NULL) return single_page(heap, size, align, shift);
  pause_t pause = pause_begin(task);
  page_t* page = single_page(heap, size, align, shift);
  pause_end(task, PAUSE_REQUEST, pause);
  return page;
}

static void* alloc_single(mi_heap_t* heap, size_t size, size_t align, size_t shift, bool zero) {
  page_t* page = size > PTRDIFF_MAX ? NULL : single_page_timed(heap, size, align, shift);
  if (page == NULL) return fail();
  if (zero && !page->zero) memset(page->start, 0, page->padded ? size : page->span);
  if (CHECKED) checked_single(page, size, zero);
  say_due();
  return page->start;
}

void* heap_alloc(mi_heap_t* heap, size_t size, bool zero) {
  if (size <= CLASS_BLOCK_MAX) return alloc_class(heap, class_of_bytes(size), size, zero);
  return alloc_single(heap, size, 2 * WORD, 0, zero);
}

void* heap_alloc_words(mi_heap_t* heap, size_t words) {
  if (words <= CLASS_BLOCK_MAX / WORD)
    return alloc_class(heap, class_of_words(words), words * WORD, false);
  return alloc_single(heap, words * WORD, 2 * WORD, 0, false);
}

/* ---- Aligned --------------------------------------------------------------------------------- */

/* Some address inside a larger block, `shift` bytes behind an aligned one. */
static void* alloc_inside(mi_heap_t* heap, size_t size, size_t align, size_t shift, bool zero) {
  char* block = heap_alloc(heap, size + align, zero);
  if (block == NULL) return NULL;
  size_t adjust = (shift - (uintptr_t)block) & (align - 1);
  page_t* page = page_of(block);
  page_set_inside(page);
  if (CHECKED) checked_inside(page, block, adjust, size);
  return block + adjust;
}

/* Blocks of a class lie at multiples of its size from an address aligned to 64 KiB, and a size that
** is rounded to a multiple of the alignment falls in a class whose size is one too (four classes to a
** doubling are the multiples 5 to 8 of a power of two). Not so where zones lie between them. */
void* heap_alloc_aligned(mi_heap_t* heap, size_t size, size_t align, size_t offset, bool zero) {
  size_t shift = -offset & (align - 1);
  if (size > PTRDIFF_MAX) return fail();
  if (shift == 0 && (align <= WORD || (align == 2 * WORD && size > WORD)))
    return heap_alloc(heap, size, zero);
  bool inside = shift != 0 || heap_is_padded(heap);
  if (align > SLICE || size + (inside ? align : 0) > CLASS_BLOCK_MAX)
    return alloc_single(heap, size, align, shift, zero);
  if (inside) return alloc_inside(heap, size, align, shift, zero);
  size_t rounded = size == 0 ? align : (size + align - 1) & ~(align - 1);
  return alloc_class(heap, class_of_bytes(rounded), size, zero);
}

/* ---- Realloc --------------------------------------------------------------------------------- */

static bool is_inside(const page_t* page) {
  return atomic_load_explicit(&page->inside, memory_order_relaxed);
}

/* How far behind the start of its block p was handed out. */
static size_t adjustment(const page_t* page, const void* p) {
  if (page->stride == 0 || !is_inside(page)) return 0;
  return (size_t)((const char*)p - page->start) - page_index(page, p) * page->stride;
}

/* Where the block's link is written. A single block may start at any address; there the link comes
** into the word that it starts in, which is its page's, too. */
static block_t* block_of(const page_t* page, void* p) {
  uintptr_t start = (uintptr_t)p - adjustment(page, p);
  return (block_t*)(start & ~(uintptr_t)(WORD - 1));
}

/* The one place that validates a pointer. */
page_t* page_checked(const void* p, const char* what) {
  page_t* page = page_of(p);
  if (page == NULL || (!CHECKED && page->stride == 0 && p != page->start)) {
    report_error(EINVAL,
                 "sluice: error: %s of invalid pointer %p: it is no block of this allocator", what,
                 p);
    return NULL;
  }
  return !CHECKED || checked_is_block(page, p, what) ? page : NULL;
}

size_t page_usable(const page_t* page, const void* p) {
  if (page->padded) return checked_size(page, p);
  return page_block_size(page) - adjustment(page, p);
}

/* The block is large enough, and not too large. Debug builds move it all the same, unless that could
** be seen: by another placement in a region, or by a limit that counts two blocks for a moment. */
static bool resize_in_place(mi_heap_t* heap, page_t* page, void* p, size_t size, bool zero) {
  size_t have = page_block_size(page) - adjustment(page, p);
  if (size > have || size < have / 2) return false;
  bool unlimited = heap->task == NULL || !task_is_limited(heap->task);
  if (MI_DEBUG && page->padded && unlimited) return false;
  if (CHECKED) checked_resize(page, p, size, zero);
  if (zero && !page->padded) memset((char*)p + size, 0, have - size);
  return true;
}

/* Where a limit counts two blocks for a moment, and in checked builds, blocks are copied. */
static bool may_keep_memory(const mi_heap_t* heap, page_t* page) {
  if (!page_is_huge(page) || page->padded || page_heap(page) != heap) return false;
  return heap->task == tls.task && (!heap->by_grant || !task_is_limited(heap->task));
}

/* A huge block's memory is not copied. What the mapping had beyond the block may not be zero. */
static void* resize_huge(mi_heap_t* heap, page_t* page, size_t size, size_t align, bool zero) {
  if (size > PTRDIFF_MAX || !may_keep_memory(heap, page)) return NULL;
  size_t had = page->span, room = huge_room(page);
  if (size > had) refill_limit(heap, CLASS_LARGE, (size + WORD - 1) / WORD);
  page = page_resize_huge(page, size, align);
  if (page == NULL) return NULL;
  if (CHECKED) checked_resize(page, page->start, size, zero);
  size_t from = size < had ? size : had, to = page->span < room ? page->span : room;
  if (zero && from < to) memset(page->start + from, 0, to - from);
  return page->start;
}

void* heap_realloc(mi_heap_t* heap, void* p, size_t size, size_t align, size_t offset, bool zero) {
  if (p == NULL) return heap_alloc_aligned(heap, size, align, offset, zero);
  page_t* page = page_checked(p, "realloc");
  if (page == NULL) {
    errno = EINVAL;
    return NULL;
  }
  bool aligned = (((uintptr_t)p + offset) & (align - 1)) == 0;
  if (aligned && resize_in_place(heap, page, p, size, zero)) return p;
  void* resized = aligned ? resize_huge(heap, page, size, align, zero) : NULL;
  if (resized != NULL) return resized;
  size_t have = page_usable(page, p);
  void* fresh = heap_alloc_aligned(heap, size, align, offset, zero);
  if (fresh == NULL) return NULL;
  memcpy(fresh, p, size < have ? size : have);
  mi_free(p);
  return fresh;
}

/* ---- Free ------------------------------------------------------------------------------------ */

void free_block(const mi_task_t* self, page_t* page, block_t* block) {
  if (!page_is_of(page, self))
    remote_free(page, block);
  else if (page_is_full(page))
    page_free_full(page, block);
  else
    page_free_local(page, block);
}

static __attribute__((noinline)) void free_checked(void* p) {
  if (p == NULL) return;
  page_t* page = page_checked(p, "free");
  if (page == NULL) return;
  free_block(tls.task, page, block_of(page, p));
}

/* Not an own page, or a full one, or one with addresses inside blocks. In a page of one slice and
** many blocks there is nothing that a check could find. */
static __attribute__((noinline)) void free_slow(page_t* slot, void* p) {
  if (likely(page_figure(&slot->slices) == 1 && slot->stride != 0 && !is_inside(slot)))
    free_block(tls.task, slot, p);
  else
    free_checked(p);
}

void mi_free(void* p) {
  if (CHECKED) {
    checked_free(p);
    return;
  }
  page_t* page = slot_of(p);
  if (unlikely(page_owner(page) != (uintptr_t)tls.task))
    free_slow(page, p);
  else if (unlikely(page->local_free == p))
    free_again(p);
  else
    page_free_local(page, p);
}

/* ---- Allocation ------------------------------------------------------------------------------ */

static __attribute__((noinline)) void* malloc_at_beat(size_t size) {
  task_charge_slow(0);
  return heap_alloc(tls.heap, size, false);
}

/* The table of classes may be empty still: then every request ends here. */
static __attribute__((noinline)) void* malloc_slow(mi_heap_t* heap, size_t size) {
  return heap_alloc(heap, size, false);
}

static __attribute__((noinline)) void* malloc_large(size_t size) {
  task_charge(ticks_of(size));
  return heap_alloc(tls.heap, size, false);
}

void* mi_malloc(size_t size) {
  if (unlikely(size > FAST_MAX)) return malloc_large(size);
  if (unlikely(--tls.countdown == 0)) return malloc_at_beat(size);
  mi_heap_t* heap = tls.heap;
  unsigned class = class_of_fast[size];
  if (CHECKED) return checked_take(heap, class, size);
  block_t* block = heap->list[class];
  if (unlikely(block == NULL)) return malloc_slow(heap, size);
  heap->list[class] = block->next;
  return block;
}
