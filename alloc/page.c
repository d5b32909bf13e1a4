/* page.c: pages of equal blocks, the queues they wait in, and the grant of their blocks to a
** heap.
**
** A page is born empty and extended by about EXTEND_BYTES at a time, so memory that is never
** needed is never touched. A grant gives a whole list in O(1); only while dead objects wait is a
** list cut, which walks the blocks that are about to be used. */
#include "alloc/internal.h"

/* ---- Queues ---------------------------------------------------------------------------------- */

void queue_push(queue_t* q, page_t* page) {
  page->next = NULL;
  page->prev = q->last;
  if (q->last != NULL)
    q->last->next = page;
  else
    q->first = page;
  q->last = page;
}

void queue_remove(queue_t* q, page_t* page) {
  if (page->prev != NULL)
    page->prev->next = page->next;
  else
    q->first = page->next;
  if (page->next != NULL)
    page->next->prev = page->prev;
  else
    q->last = page->prev;
  if (q->look == page) q->look = page->next;
}

/* The flag in the owner word makes the owner's own frees take the slow path, which brings the
** page back. */
void full_push(mi_heap_t* heap, page_t* page) {
  page->prev = NULL;
  page->next = heap->full;
  if (page->next != NULL) page->next->prev = page;
  heap->full = page;
  page_set_owner(page, heap->task, PAGE_FULL);
}

void full_remove(mi_heap_t* heap, page_t* page) {
  mi_assert(page_is_full(page));
  if (page->prev != NULL)
    page->prev->next = page->next;
  else
    heap->full = page->next;
  if (page->next != NULL) page->next->prev = page->prev;
  page_set_owner(page, heap->task, 0);
}

static queue_t* queue_of(page_t* page) { return &page_heap(page)->queue[page_class(page)]; }

size_t single_tail(bool padded) { return padded ? ZONE + (MI_SECURE ? os_page_size() : 0) : 0; }

size_t page_block_size(const page_t* page) {
  if (page->stride != 0) return class_words(page_class(page)) * WORD;
  return page->span - single_tail(page->padded);
}

/* ---- Statistics and limits: at grants and when a page comes or goes -------------------------- */

size_t granted_bytes(const page_t* page) {
  return page->stride != 0 ? page_block_size(page)
                           : (size_t)page_figure(&page->granted_slices) * SLICE;
}

/* An empty page's bytes that exist: some, since it had a block. */
static size_t bytes_of(const page_t* page) { return (size_t)page->capacity * page->stride; }

static void keep(mi_heap_t* heap, page_t* page) {
  heap->kept += bytes_of(page);
  page->kept = true;
}

static void keep_no_more(mi_heap_t* heap, page_t* page) {
  if (!page->kept) return;
  heap->kept -= bytes_of(page);
  page->kept = false;
}

/* Brings the heap's figures up to the page's `used`. */
static void account(mi_heap_t* heap, page_t* page, uint32_t used) {
  class_stat_t* s = &heap->stat[page_class(page)];
  int64_t delta = (int64_t)used - page_figure(&page->accounted);
  page_set_figure(&page->accounted, used);
  uint64_t current = stat_get(&s->current) + (uint64_t)delta;
  stat_set(&s->current, current);
  if (current > stat_get(&s->peak)) stat_set(&s->peak, current);
  if (heap->by_grant) {
    task_note_peak(heap->task);
    heap->task->room -= delta * (int64_t)granted_bytes(page);
    heap->task->bytes_granted += delta * (int64_t)granted_bytes(page);
  }
}

static void count_total(class_stat_t* s, int64_t blocks) { stat_add(&s->total, (uint64_t)blocks); }

/* A page with a single block comes or goes. */
static void account_single(mi_heap_t* heap, const page_t* page, bool comes) {
  class_stat_t* s = &heap->stat[CLASS_BYTES];
  stat_add(&s->current, comes ? granted_bytes(page) : -granted_bytes(page));
  if (stat_get(&s->current) > stat_get(&s->peak)) stat_set(&s->peak, stat_get(&s->current));
}

void page_account(mi_heap_t* heap, page_t* page) { account(heap, page, page->used); }

/* A second time nothing is left to forget. */
void page_leaves_heap(page_t* page) {
  mi_heap_t* heap = page_heap(page);
  if (page->stride == 0 && page_figure(&page->accounted) > 0) account_single(heap, page, false);
  account(heap, page, 0);
  keep_no_more(heap, page);
}

static void move_totals(page_t* page, mi_heap_t* from, mi_heap_t* to) {
  unsigned class = page_class(page);
  uint32_t live = page_live(page);
  count_total(&from->stat[class], -(int64_t)live);
  count_total(&to->stat[class], live);
  if (page->stride != 0) return;
  account_single(to, page, true);
  count_total(&from->stat[CLASS_BYTES], -(int64_t)granted_bytes(page));
  count_total(&to->stat[CLASS_BYTES], (int64_t)granted_bytes(page));
}

void page_move(page_t* page, mi_heap_t* to) {
  page_leaves_heap(page);
  heap_uses(to, page_class(page));
  if (page->stride == 0) heap_uses(to, CLASS_BYTES);
  move_totals(page, page_heap(page), to);
  page_account(to, page);
  atomic_store_explicit(&page->heap, to, memory_order_release);
}

void page_adopt(mi_heap_t* heap, page_t* page) {
  uint64_t live = remote_adopt(page, heap);
  unsigned class = page_class(page);
  heap_uses(heap, class);
  stat_add_shared(&heap->task->subproc->ended[class].total, -live);
  count_total(&heap->stat[class], (int64_t)live);
  page_account(heap, page);
  queue_push(&heap->queue[class], page);
}

/* ---- Birth ----------------------------------------------------------------------------------- */

static void page_init(page_t* page, mi_heap_t* heap, unsigned class, bool zero) {
  page->local_free = page->free = NULL;
  page->used = page->capacity = page->nfree = 0;
  page_set_figure(&page->accounted, 0);
  page->kept = false;
  page->zero = zero;
  page->padded = heap_is_padded(heap);
  atomic_store_explicit(&page->tag, heap->tag, memory_order_relaxed);
  atomic_store_explicit(&page->class, (uint8_t) class, memory_order_relaxed);
  atomic_store_explicit(&page->remote, REMOTE_NORMAL, memory_order_relaxed);
  atomic_store_explicit(&page->heap, heap, memory_order_relaxed);
  atomic_store_explicit(&page->inside, false, memory_order_relaxed);
  page_set_owner(page, heap->task, 0);
  heap_uses(heap, class);
}

void page_set_stride(page_t* page, unsigned class) {
  uint32_t words = (uint32_t)(class_words(class) + (page->padded ? ZONE / WORD : 0));
  page->stride = words * WORD;
  page_set_figure(&page->reciprocal, (((uint32_t)1 << RECIPROCAL_SHIFT) + words - 1) / words);
}

void page_set_inside(page_t* page) {
  atomic_store_explicit(&page->inside, true, memory_order_relaxed);
  page_set_owner(page, page_heap(page)->task, page_owner(page) & PAGE_FULL);
}

page_t* page_new(mi_heap_t* heap, unsigned class) {
  size_t size = class_words(class) * WORD;
  bool zero;
  page_t* page = slices_alloc(heap->arena, size <= SMALL_BLOCK_MAX ? 1 : MEDIUM_SLICES, &zero);
  if (page == NULL) return NULL;
  page_init(page, heap, class, zero);
  page_set_stride(page, class);
  if (page->padded) page->start += ZONE, page->span -= ZONE;
  page->reserved = (uint32_t)(page->span / page->stride);
  if (CHECKED) checked_page(page);
  if (CHECKED && (!page->padded || size > CHECKED_USUAL)) page_set_inside(page);
  queue_push(&heap->queue[class], page);
  return page;
}

/* Slices are aligned to 64 KiB; a larger alignment is reserved in full and the start moved up. A zone
** in front is what lies before the first aligned address behind it. */
static page_t* large_alloc(arena_t* arena, size_t size, size_t align, size_t zone, bool* zero) {
  size_t lead = zone != 0 ? align : align <= SLICE ? 0 : align - SLICE;
  if (align > LARGE_BLOCK_MAX || size + lead > LARGE_BLOCK_MAX)
    return huge_alloc(arena, size <= LARGE_BLOCK_MAX ? LARGE_BLOCK_MAX + 1 : size, align, zero);
  page_t* page = slices_alloc(arena, (uint32_t)((size + lead + SLICE - 1) / SLICE), zero);
  if (page == NULL || lead == 0) return page;
  char* start = (char*)(((uintptr_t)page->start + zone + align - 1) & ~(uintptr_t)(align - 1));
  page->span -= (size_t)(start - page->start);
  page->start = start;
  return page;
}

/* What a single block of that size counts against a byte limit. */
size_t single_bytes(size_t size) {
  return size == 0 ? SLICE : (size + SLICE - 1) & ~(size_t)(SLICE - 1);
}

static page_t* grant_single(mi_heap_t* heap, page_t* page, size_t size, bool zero) {
  page_init(page, heap, CLASS_LARGE, zero);
  page->stride = 0;
  page_set_figure(&page->granted_slices, (uint32_t)(single_bytes(size) / SLICE));
  page->used = page->capacity = page->reserved = 1;
  atomic_store_explicit(&page->remote, REMOTE_FULL | REMOTE_ONE, memory_order_relaxed);
  atomic_store_explicit(&page->inside, CHECKED, memory_order_relaxed);
  full_push(heap, page);
  heap_uses(heap, CLASS_BYTES);
  count_total(&heap->stat[CLASS_LARGE], 1);
  count_total(&heap->stat[CLASS_BYTES], (int64_t)granted_bytes(page));
  account_single(heap, page, true);
  account(heap, page, 1);
  return page;
}

/* A page of one block, which is granted at once. It starts `shift` bytes (below SLICE) behind an
** aligned address. */
page_t* page_new_single(mi_heap_t* heap, size_t size, size_t align, size_t shift) {
  bool zero;
  bool padded = heap_is_padded(heap);
  size_t room = size + shift + single_tail(padded), zone = padded ? ZONE : 0;
  if (align < zone) align = zone;
  page_t* page = large_alloc(heap->arena, room, align, zone, &zero);
  if (page == NULL) return NULL;
  page->start += shift;
  page->span -= shift;
  return grant_single(heap, page, size, zero);
}

page_t* page_new_start(mi_heap_t* heap) {
  bool zero;
  page_t* page = start_alloc(heap->arena, &zero);
  return page != NULL ? grant_single(heap, page, page->span, zero) : NULL;
}

/* The record may lie elsewhere afterwards. */
page_t* page_resize_huge(page_t* page, size_t size, size_t align) {
  mi_heap_t* heap = page_heap(page);
  mi_assert(page_is_huge(page) && page_is_of(page, tls.task));
  full_remove(heap, page);
  page_t* resized = huge_resize(page, size, align);
  if (resized != NULL) {
    page = resized;
    account(heap, page, 0);
    page_set_figure(&page->granted_slices, (uint32_t)(single_bytes(size) / SLICE));
    account(heap, page, 1);
  }
  full_push(heap, page);
  return resized;
}

/* ---- Grant ----------------------------------------------------------------------------------- */

static void link_up(page_t* page, char* at, uint32_t n) {
  page->free = (block_t*)(void*)at;
  for (uint32_t i = 1; i < n; i++, at += page->stride)
    ((block_t*)(void*)at)->next = (block_t*)(void*)(at + page->stride);
  ((block_t*)(void*)at)->next = NULL;
}

/* Makes about EXTEND_BYTES of blocks, at most `limit`, in ascending order. (The secure build takes
** more, for a choice.) */
static void page_extend(page_t* page, size_t limit) {
  uint32_t n = page->reserved - page->capacity;
  uint32_t step = (MI_SECURE && page->padded ? EXTEND_SECURE : EXTEND_BYTES) / page->stride;
  if (step == 0) step = 1;
  if (n > step) n = step;
  if (n > limit) n = (uint32_t)limit;
  page->nfree = n;
  page->capacity += n;
  if (CHECKED)
    checked_extend(page, page->capacity - n, n);
  else
    link_up(page, page->start + (size_t)(page->capacity - n) * page->stride, n);
}

/* Takes at most `limit` blocks off page->free. */
static block_t* cut(page_t* page, size_t limit, uint32_t* taken) {
  block_t* list = page->free;
  block_t* last = list;
  if (limit >= page->nfree) {
    *taken = page->nfree;
    page->free = NULL;
  } else {
    for (size_t i = 1; i < limit; i++) last = block_next(page, last);
    *taken = (uint32_t)limit;
    page->free = block_next(page, last);
    block_link(page, last, NULL);
  }
  page->nfree -= *taken;
  return list;
}

/* The secure build extends a page now and then although there are freed blocks. */
static bool prefers_new(const page_t* page) {
  mi_task_t* task = page_heap((page_t*)page)->task;
  return MI_SECURE && page->padded && task->quarantine != NULL && page->capacity < page->reserved &&
         secure_random(task, 4) == 0;
}

/* Is there a free block? Looks where it costs least first; what was freed is used before what is
** new. */
static bool page_has_free(page_t* page, size_t limit) {
  if (page->free != NULL) return true;
  if (page->local_free != NULL && !prefers_new(page)) {
    page->free = page->local_free;
    page->nfree = page->capacity - page->used;
    page->local_free = NULL;
    page->zero = false;
    return true;
  }
  if (remote_collect(page)) return true;
  if (page->capacity == page->reserved) return false;
  page_extend(page, limit);
  return true;
}

/* Fills the heap's empty list from the first page of the queue. */
bool page_grant(mi_heap_t* heap, page_t* page, size_t limit) {
  unsigned class = page_class(page);
  mi_assert(heap->list[class] == NULL && heap->queue[class].first == page);
  keep_no_more(heap, page);
  if (!page_has_free(page, limit)) return false;
  uint32_t taken;
  heap->list[class] = cut(page, limit, &taken);
  page->used += taken;
  count_total(&heap->stat[class], taken);
  account(heap, page, page->used);
  page_check(page);
  return true;
}

/* Takes back what was granted and not handed out. Cost: the length of that list, bounded by a
** page's blocks. Everything that wants a page's exact `used` calls this first. */
void heap_ungrant(mi_heap_t* heap, unsigned class) {
  block_t* list = heap->list[class];
  if (list == NULL) return;
  page_t* page = heap->queue[class].first;
  uint32_t n = 1;
  block_t* last = list;
  for (block_t* b; (b = block_next(page, last)) != NULL; last = b) n++;
  block_link(page, last, page->free);
  page->free = list;
  page->nfree += n;
  page->used -= n;
  heap->list[class] = NULL;
  count_total(&heap->stat[class], -(int64_t)n);
  account(heap, page, page->used);
}

void page_to_full(mi_heap_t* heap, page_t* page) {
  if (!remote_set_full(page)) return;
  queue_remove(&heap->queue[page_class(page)], page);
  full_push(heap, page);
}

/* Pages in front of one with free blocks leave the queue as full, so each is looked at once; one
** that a free by another thread keeps from being full has a block now. */
static bool queue_grant(mi_heap_t* heap, unsigned class, size_t limit) {
  queue_t* q = &heap->queue[class];
  while (q->first != NULL) {
    if (page_grant(heap, q->first, limit)) return true;
    page_to_full(heap, q->first);
  }
  return false;
}

page_t* heap_take_left(const mi_heap_t* heap, unsigned class) {
  return remote_take(&(wanted_t){heap->task->subproc, heap->arena, class, heap->tag});
}

/* A page that an ended thread left. */
static bool adopt(mi_heap_t* heap, unsigned class) {
  page_t* page = heap_adopts(heap) ? heap_take_left(heap, class) : NULL;
  if (page == NULL) return false;
  page_adopt(heap, page);
  return true;
}

/* Blocks are granted from the first page of the queue only, so a new page is made when the queue
** is empty. Few pages are adopted at a time: those that are full are of no use now. */
bool heap_find(mi_heap_t* heap, unsigned class, size_t limit) {
  enum { ADOPTED_MAX = 8 };
  for (int adopted = 0;; adopted++) {
    if (queue_grant(heap, class, limit)) return true;
    if (adopted == ADOPTED_MAX || !adopt(heap, class)) break;
  }
  page_t* page = page_new(heap, class);
  return page != NULL && page_grant(heap, page, limit);
}

/* ---- Free by the owner, beyond the fast path ------------------------------------------------- */

void page_leave(mi_heap_t* heap, page_t* page) {
  queue_remove(&heap->queue[page_class(page)], page);
  page_leaves_heap(page);
  page_drop(page);
}

static void release_kept(mi_heap_t* heap) {
  for (unsigned c = 1; c < CLASS_LARGE && heap->kept > 0; c++) {
    page_t* page = heap->queue[c].first;
    if (page != NULL && page->kept) page_leave(heap, page);
  }
}

/* All blocks are free (none is granted either: those count as used). The last page of its class
** stays, so that a program which frees and allocates one block in turn does not make a page each
** time; but what stays in all classes is little, since a thread that sleeps has it, too. */
void page_retire(page_t* page) {
  enum { KEPT_MAX = 1 << 20 };
  mi_heap_t* heap = page_heap(page);
  queue_t* q = queue_of(page);
  if (q->first != page || q->last != page) {
    page_leave(heap, page);
    return;
  }
  mi_assert(!page->kept);
  if (heap->kept + bytes_of(page) > KEPT_MAX) release_kept(heap);
  keep(heap, page);
}

/* At the next class that has a page, unless it is far. */
static void look_elsewhere(mi_heap_t* heap) {
  for (int i = 0; i < 8; i++) {
    heap->look = heap->look % (CLASS_LARGE - 1) + 1;
    if (heap->queue[heap->look].first != NULL) return;
  }
}

/* Pages that wait in queues are found empty here if others freed their last blocks. One class at a
** time, two pages, and on while it finds some. */
void heap_release_emptied(mi_heap_t* heap) {
  enum { LOOKS = 2, RELEASES = 64 };
  if (!heap->look_again) look_elsewhere(heap);
  queue_t* q = &heap->queue[heap->look];
  page_t* page = q->look != NULL ? q->look : q->first;
  int released = 0;
  for (int looks = 0; page != NULL && looks < LOOKS && released < RELEASES;) {
    page_t* next = page->next;
    if (remote_has_emptied(page))
      page_leave(heap, page), released++;
    else
      looks++;
    page = next;
  }
  q->look = page;
  heap->look_again = page != NULL && released > 0;
}

void page_unfull(page_t* page) {
  mi_heap_t* heap = page_heap(page);
  remote_set_normal(page);
  full_remove(heap, page);
  queue_push(&heap->queue[page_class(page)], page);
}

/* A single block's page has no other block that a remote free could have listed it for. */
void page_free_full(page_t* page, block_t* block) {
  if (page->stride != 0) {
    page_unfull(page);
    page_free_local(page, block);
    return;
  }
  full_remove(page_heap(page), page);
  page_leaves_heap(page);
  page_drop(page);
}

/* ---- The validator: the text above struct page, as assertions -------------------------------- */

static uint32_t list_check(const page_t* page, const block_t* list) {
  uint32_t n = 0;
  for (; list != NULL; list = block_next(page, list)) {
    size_t offset = (size_t)((const char*)list - page->start);
    mi_assert(offset < page->span && offset % page->stride == 0);
    mi_assert(++n <= page->capacity);
  }
  return n;
}

void page_check(page_t* page) {
  if (!MI_DEBUG || page->stride == 0) return;
  mi_assert(page->capacity <= page->reserved && page->used <= page->capacity);
  mi_assert((size_t)page->reserved * page->stride <= page->span);
  mi_assert(list_check(page, page->free) == page->nfree);
  mi_assert(page->capacity == page->used + page->nfree + list_check(page, page->local_free));
  mi_assert(page_is_of(page, page_heap(page)->task));
  mi_assert(page_of(page->start) == page);
}
