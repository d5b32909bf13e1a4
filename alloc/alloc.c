/* alloc.c: the calls that programs make. The fast paths stand first; each counts its
** instructions in alloc/README.md.
**
** A public function charges its ticks once, from its arguments, and then calls what charges
** nothing. */
#include "alloc/internal.h"

/* ---- Refill ---------------------------------------------------------------------------------- */

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
  if (!heap->by_grant || task->bytes_limit == SIZE_MAX) return limit;
  if (!task_make_room(task, size)) return 0;
  size_t room = (task->bytes_limit - task->bytes) / size;
  return room < limit ? room : limit;
}

static bool find_or_force(mi_heap_t* heap, unsigned class, size_t limit) {
  if (heap_find(heap, class, limit)) return true;
  task_force(heap->task);
  heap_collect(heap);
  return heap->list[class] != NULL || heap_find(heap, class, limit);
}

/* The list of the class is empty: this is the regular moment at which everything expensive
** happens. */
static block_t* refill(mi_heap_t* heap, unsigned class) {
  size_t words = class_words(class);
  size_t limit = grant_limit(heap, words * WORD, refill_limit(heap, class, words));
  if (heap->list[class] == NULL && limit > 0) {
    remote_take_delayed(heap);
    if (!find_or_force(heap, class, limit)) limit = 0;
  }
  block_t* block = heap->list[class];
  if (block == NULL || limit == 0) {
    errno = ENOMEM;
    return NULL;
  }
  heap->list[class] = block->next;
  return block;
}

static __attribute__((noinline)) block_t* refill_timed(mi_heap_t* heap, unsigned class) {
  if (heap == &heap_none && (heap = task_default_heap()) == NULL) return NULL;
  mi_task_t* task = heap->task;
  if (!task->measure) return refill(heap, class);
  uint64_t since = os_now_ns(), units = task->units;
  block_t* block = refill(heap, class);
  pause_record(task, PAUSE_REFILL, task->units - units, since);
  return block;
}

static inline block_t* take(mi_heap_t* heap, unsigned class) {
  block_t* block = heap->list[class];
  if (unlikely(block == NULL)) return refill_timed(heap, class);
  heap->list[class] = block->next;
  return block;
}

/* ---- Without charge -------------------------------------------------------------------------- */

static void* fail(void) {
  errno = ENOMEM;
  return NULL;
}

size_t page_block_size(const page_t* page) {
  if (page->stride != 0) return class_words(page_class(page)) * WORD;
  return page->span - (page->padded ? TRAILER : 0);
}

/* Memory that was never freed is still zero but for the link in the first word. */
static void block_zero(block_t* block, size_t size) {
  page_t* page = page_of(block);
  if (!MI_DEBUG && page->zero)
    block->next = NULL;
  else
    memset(block, 0, size);
}

static void* alloc_class(mi_heap_t* heap, unsigned class, size_t size, bool zero) {
  block_t* block = take(heap, class);
  if (block == NULL) return NULL;
  if (zero) block_zero(block, size);
  if (MI_DEBUG) debug_alloc(page_of(block), block, size, zero);
  return block;
}

static page_t* single_page(mi_heap_t* heap, size_t size, size_t align) {
  if (heap == &heap_none && (heap = task_default_heap()) == NULL) return NULL;
  refill_limit(heap, CLASS_LARGE, (size + WORD - 1) / WORD);
  remote_take_delayed(heap);
  if (grant_limit(heap, single_bytes(size), 1) == 0) return NULL;
  page_t* page = page_new_single(heap, size, align);
  if (page != NULL) return page;
  task_force(heap->task);
  heap_collect(heap);
  arena_purge(heap->task->arena);
  return page_new_single(heap, size, align);
}

static page_t* single_page_timed(mi_heap_t* heap, size_t size, size_t align) {
  mi_task_t* task = task_self();
  if (task == NULL || !task->measure) return single_page(heap, size, align);
  uint64_t since = os_now_ns(), units = task->units;
  page_t* page = single_page(heap, size, align);
  pause_record(task, PAUSE_REFILL, task->units - units, since);
  return page;
}

static void* alloc_single(mi_heap_t* heap, size_t size, size_t align, bool zero) {
  page_t* page = size > PTRDIFF_MAX ? NULL : single_page_timed(heap, size, align);
  if (page == NULL) return fail();
  if (zero && !page->zero) memset(page->start, 0, size);
  if (MI_DEBUG) debug_alloc(page, (block_t*)page->start, size, zero);
  return page->start;
}

void* heap_alloc(mi_heap_t* heap, size_t size, bool zero) {
  if (size <= CLASS_BLOCK_MAX) return alloc_class(heap, class_of_bytes(size), size, zero);
  return alloc_single(heap, size, SLICE, zero);
}

void* heap_alloc_words(mi_heap_t* heap, size_t words) {
  if (words <= CLASS_BLOCK_MAX / WORD)
    return alloc_class(heap, class_of_words(words), words * WORD, false);
  return alloc_single(heap, words * WORD, SLICE, false);
}

/* Blocks of a class lie at multiples of its size from an address aligned to 64 KiB (or, padded, of
** a stride that is a multiple of the same powers of two), and a size that is rounded to a multiple
** of the alignment falls in a class whose size is one too (four classes to a doubling are the
** multiples 5 to 8 of a power of two). */
void* heap_alloc_aligned(mi_heap_t* heap, size_t size, size_t align, bool zero) {
  if (size > PTRDIFF_MAX) return fail();
  if (align <= WORD || (align == 2 * WORD && size > WORD)) return heap_alloc(heap, size, zero);
  if (align > SLICE || size > CLASS_BLOCK_MAX) return alloc_single(heap, size, align, zero);
  size_t rounded = size == 0 ? align : (size + align - 1) & ~(align - 1);
  return alloc_class(heap, class_of_bytes(rounded), size, zero);
}

/* The one place that validates a pointer. NULL: it is no block, which was reported. */
static page_t* page_checked(const void* p, const char* what) {
  page_t* page = page_of(p);
  if (page == NULL || (page->stride == 0 && p != page->start && !page->padded)) {
    report_error("sluice: error: %s of invalid pointer %p: it is no block of this allocator", what,
                 p);
    return NULL;
  }
  return !page->padded || debug_check(page, p, what) ? page : NULL;
}

static size_t usable(const page_t* page, const void* p) {
  return page->padded ? debug_usable(page, p) : page_block_size(page);
}

/* As usable; for realloc, which needs a block. */
static bool size_to_move(const void* p, size_t* size) {
  page_t* page = page_checked(p, "realloc");
  if (page == NULL) {
    errno = EINVAL;
    return false;
  }
  *size = usable(page, p);
  return true;
}

/* In place if it fits and at least half of the block stays in use. */
void* heap_realloc(mi_heap_t* heap, void* p, size_t size) {
  size_t have;
  if (p == NULL) return heap_alloc(heap, size, false);
  if (!size_to_move(p, &have)) return NULL;
  if (size <= have && size >= have / 2 && !MI_DEBUG) return p;
  void* fresh = heap_alloc(heap, size, false);
  if (fresh == NULL) return NULL;
  memcpy(fresh, p, size < have ? size : have);
  mi_free(p);
  return fresh;
}

/* ---- Free ------------------------------------------------------------------------------------ */

static void free_block(page_t* page, block_t* block) {
  uintptr_t owner = page_owner(page);
  if ((owner & ~(uintptr_t)PAGE_FLAGS) != (uintptr_t)tls.task)
    remote_free(page, block);
  else if (owner & PAGE_FULL)
    page_free_full(page, block);
  else
    page_free_local(page, block);
}

static __attribute__((noinline)) void free_checked(void* p) {
  if (p == NULL) return;
  page_t* page = page_checked(p, "free");
  if (page == NULL) return;
  if (page->padded) debug_free(page, p);
  free_block(page, p);
}

/* Not an own page, or a full one. In a page of one slice and many blocks there is nothing that a
** check could find. */
static __attribute__((noinline)) void free_slow(page_t* slot, void* p) {
  if (likely(slot->slices == 1 && slot->stride != 0))
    free_block(slot, p);
  else
    free_checked(p);
}

void mi_free(void* p) {
  if (MI_DEBUG) {
    free_checked(p);
    return;
  }
  page_t* page = slot_of(p);
  if (likely(page_owner(page) == (uintptr_t)tls.task))
    page_free_local(page, p);
  else
    free_slow(page, p);
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
  block_t* block = heap->list[class];
  if (unlikely(MI_DEBUG || block == NULL)) return malloc_slow(heap, size);
  heap->list[class] = block->next;
  return block;
}

void* mi_malloc_small(size_t size) { return mi_malloc(size); }

void* mi_heap_malloc(mi_heap_t* heap, size_t size) {
  task_charge(ticks_of(size));
  return heap_alloc(heap, size, false);
}

void* mi_heap_zalloc(mi_heap_t* heap, size_t size) {
  task_charge(ticks_of(size));
  return heap_alloc(heap, size, true);
}

/* The heap is read after the charge: the thread's first call, or a callback, may change it. */
void* mi_zalloc(size_t size) {
  task_charge(ticks_of(size));
  return heap_alloc(tls.heap, size, true);
}

void* mi_zalloc_small(size_t size) { return mi_zalloc(size); }

/* An overflow asks for more than there can be. */
static size_t product(size_t count, size_t size) {
  size_t total;
  return __builtin_mul_overflow(count, size, &total) ? SIZE_MAX : total;
}

void* mi_calloc(size_t count, size_t size) { return mi_zalloc(product(count, size)); }

void* mi_mallocn(size_t count, size_t size) { return mi_malloc(product(count, size)); }

void* mi_heap_calloc(mi_heap_t* heap, size_t count, size_t size) {
  return mi_heap_zalloc(heap, product(count, size));
}

void* mi_heap_realloc(mi_heap_t* heap, void* p, size_t newsize) {
  task_charge(ticks_of(newsize));
  return heap_realloc(heap, p, newsize);
}

void* mi_realloc(void* p, size_t newsize) {
  task_charge(ticks_of(newsize));
  return heap_realloc(tls.heap, p, newsize);
}

void* mi_reallocf(void* p, size_t newsize) {
  void* q = mi_realloc(p, newsize);
  if (q == NULL && errno == ENOMEM) mi_free(p);
  return q;
}

void* mi_reallocn(void* p, size_t count, size_t size) {
  return mi_realloc(p, product(count, size));
}

/* ---- Aligned --------------------------------------------------------------------------------- */

static bool is_alignment(size_t align) {
  if (align != 0 && (align & (align - 1)) == 0) return true;
  errno = EINVAL;
  return false;
}

static void* alloc_aligned(size_t size, size_t align, bool zero) {
  task_charge(ticks_of(size));
  return is_alignment(align) ? heap_alloc_aligned(tls.heap, size, align, zero) : NULL;
}

void* mi_malloc_aligned(size_t size, size_t alignment) {
  return alloc_aligned(size, alignment, false);
}

void* mi_zalloc_aligned(size_t size, size_t alignment) {
  return alloc_aligned(size, alignment, true);
}

void* mi_calloc_aligned(size_t count, size_t size, size_t alignment) {
  return alloc_aligned(product(count, size), alignment, true);
}

void* mi_realloc_aligned(void* p, size_t newsize, size_t alignment) {
  task_charge(ticks_of(newsize));
  if (!is_alignment(alignment)) return NULL;
  if (p == NULL) return heap_alloc_aligned(tls.heap, newsize, alignment, false);
  size_t have;
  if (!size_to_move(p, &have)) return NULL;
  bool fits = newsize <= have && newsize >= have / 2 && ((uintptr_t)p & (alignment - 1)) == 0;
  if (fits && !MI_DEBUG) return p;
  void* fresh = heap_alloc_aligned(tls.heap, newsize, alignment, false);
  if (fresh == NULL) return NULL;
  memcpy(fresh, p, newsize < have ? newsize : have);
  mi_free(p);
  return fresh;
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

size_t mi_usable_size(const void* p) {
  if (p == NULL) return 0;
  page_t* page = page_checked(p, "usable size");
  return page == NULL ? 0 : usable(page, p);
}

size_t mi_good_size(size_t size) {
  if (size <= CLASS_BLOCK_MAX) return class_words(class_of_bytes(size)) * WORD;
  return size > PTRDIFF_MAX ? size
                            : ((size + TRAILER + SLICE - 1) & ~(size_t)(SLICE - 1)) - TRAILER;
}

int mi_version(void) { return MI_MALLOC_VERSION; }
