/* remote.c: frees by other threads, and what becomes of a page whose owner is busy, idle or
** gone.
**
** The word page->remote and its modes are described in page.h; the model is in tests/model.
** Frees are one compare-and-swap; lists are taken whole by one exchange, so there is no pop and
** no ABA. What the frees of many threads bring is collected in O(1) per page. After "Mimalloc:
** Free List Sharding in Action" (2019); different from it, the delayed list holds pages and not
** blocks, nobody waits for a thread that is DELAYING, and the last free of a page can give its
** memory back. */
#include "alloc/internal.h"

/* Bytes of pages that others emptied since the owner last looked: above that the owner counts as
** idle, and who empties a page returns its memory to the system. With 1 MiB, a producer that
** shares a processor with its consumer, 2 MiB behind, was 2.5 times as slow: each turn gave up
** what the next one touched again. Many owners may keep IDLE_ALL together, and IDLE_LEAST each. */
static const size_t IDLE_MAX = 8 * MiB, IDLE_LEAST = MiB / 2, IDLE_ALL = 32 * MiB;
static _Atomic size_t idle_all; /* the sum over all heaps */

static bool seems_idle(mi_heap_t* heap, size_t span) {
  size_t own = atomic_load_explicit(&heap->idle_bytes, memory_order_relaxed) + span;
  bool idle = own > IDLE_MAX || (own > IDLE_LEAST &&
                                 atomic_load_explicit(&idle_all, memory_order_relaxed) > IDLE_ALL);
  return idle && option_value(mi_option_purge_delay) >= 0;
}

static void idle_count(mi_heap_t* heap, size_t span) {
  atomic_fetch_add_explicit(&idle_all, span, memory_order_relaxed);
  atomic_fetch_add_explicit(&heap->idle_bytes, span, memory_order_relaxed);
}

static void idle_forget(mi_heap_t* heap) {
  size_t bytes = atomic_exchange_explicit(&heap->idle_bytes, 0, memory_order_relaxed);
  if (bytes > 0) atomic_fetch_sub_explicit(&idle_all, bytes, memory_order_relaxed);
}

static remote_t with(remote_t word, remote_t mode, block_t* head, uint32_t count) {
  return (word & REMOTE_HOLDS) | mode | (uintptr_t)head | count * REMOTE_ONE;
}

/* Sequentially consistent because of abandoned pages (see chunk_mark_abandoned); elsewhere
** acquire and release would do, and cost the same on x86-64 and AArch64. */
static bool swap(page_t* page, remote_t* seen, remote_t word) {
  return atomic_compare_exchange_weak(&page->remote, seen, word);
}

/* Acquire: what is read of the page after seeing a mode was written before that mode was set. */
static remote_t look(page_t* page) {
  return atomic_load_explicit(&page->remote, memory_order_acquire);
}

/* ---- Releasing ------------------------------------------------------------------------------- */

/* One whose memory must stay is an orphan for good. */
static void page_release(page_t* page) {
  mi_assert((look(page) & REMOTE_HOLDS) == 0);
  if (CHECKED && !checked_release(page)) {
    atomic_store(&page->remote, REMOTE_ORPHAN);
    return;
  }
  if (page_is_huge(page))
    huge_free(page);
  else
    slices_free(page);
}

void page_drop(page_t* page) {
  remote_t w = look(page);
  while ((w & REMOTE_HOLDS) != 0)
    if (swap(page, &w, with(w, REMOTE_ORPHAN, NULL, 0))) return;
  page_release(page);
}

/* Gives up a hold on a page; the last one releases an orphan. */
static void hold_end(page_t* page, remote_t hold) {
  remote_t w = look(page);
  while (!swap(page, &w, w & ~hold)) {}
  if ((w & REMOTE_MODE) == REMOTE_ORPHAN && (w & REMOTE_HOLDS) == hold) page_release(page);
}

/* Releases an abandoned page without live blocks, unless somebody else took it. The slot may
** have been released and reused since: then a bit that was taken by mistake is put back, and
** looked at again. */
static void abandoned_release(page_t* page) {
  for (;;) {
    remote_t w = atomic_load(&page->remote);
    if ((w & REMOTE_MODE) != REMOTE_ABANDONED || remote_count(w) != 0) return;
    if (!chunk_take_abandoned(page)) return;
    w = atomic_load(&page->remote);
    if ((w & REMOTE_MODE) == REMOTE_ABANDONED && remote_count(w) == 0) {
      page_drop(page);
      return;
    }
    chunk_mark_abandoned(page);
  }
}

/* ---- The delayed list ------------------------------------------------------------------------ */

static bool is_of(page_t* page, mi_heap_t* heap) {
  return atomic_load_explicit(&page->heap, memory_order_acquire) == heap &&
         (look(page) & REMOTE_MODE) != REMOTE_ORPHAN;
}

/* The caller holds LISTED. The page goes on its heap's list; if it has no heap now, its owner is
** about to look at it, or nobody needs to, and the hold ends. The mode is read before the heap:
** a page that is FULL has one. A closed list means that page->heap has changed: it is changed
** before the list is closed, and an orphan's is not looked at. The heap and the mode are read again
** behind the list: then the page was the heap's in the life that the compare-and-swap asks for. */
static void delayed_push(page_t* page) {
  for (;;) {
    remote_t w = look(page);
    remote_t mode = w & REMOTE_MODE;
    mi_heap_t* heap = atomic_load_explicit(&page->heap, memory_order_acquire);
    if (mode == REMOTE_ORPHAN || (heap == NULL && mode != REMOTE_FULL)) {
      if (!swap(page, &w, w & ~REMOTE_LISTED)) continue;
      if (mode == REMOTE_ORPHAN && (w & REMOTE_HOLDS) == REMOTE_LISTED) page_release(page);
      return;
    }
    if (heap == NULL) continue;
    delayed_t list = atomic_load_explicit(&heap->delayed, memory_order_acquire);
    if ((list & DELAYED_CLOSED) || !is_of(page, heap)) continue;
    page->delayed_next = delayed_first(list);
    if (atomic_compare_exchange_weak_explicit(&heap->delayed, &list, delayed_with(list, page),
                                              memory_order_release, memory_order_relaxed))
      return;
  }
}

/* The owner has a FULL page's whole word: `live` blocks are left, the others are in `list` (or,
** if none is left, in no list at all: their memory may have been purged). */
static void full_page_back(mi_heap_t* heap, page_t* page, block_t* list, uint32_t live) {
  full_remove(heap, page);
  if (live == 0) {
    page_leaves_heap(page);
    page_drop(page);
    return;
  }
  page->free = list;
  page->nfree = page->used - live;
  page->used = live;
  page->zero = false;
  queue_push(&heap->queue[page_class(page)], page);
}

static void delayed_handle(mi_heap_t* heap, page_t* page) {
  remote_t w = look(page);
  for (;;) {
    remote_t mode = w & REMOTE_MODE;
    if (mode == REMOTE_ORPHAN) {
      delayed_push(page);
      return;
    }
    mi_assert(page_heap(page) == heap);
    if (w & REMOTE_PURGING) {
      if (!swap(page, &w, with(w, REMOTE_ORPHAN, NULL, 0))) continue;
      full_remove(heap, page);
      page_leaves_heap(page);
      hold_end(page, REMOTE_LISTED);
      return;
    }
    remote_t next = mode == REMOTE_FULL ? REMOTE_NORMAL : w & ~REMOTE_LISTED;
    if (!swap(page, &w, next)) continue;
    if (mode == REMOTE_FULL) full_page_back(heap, page, remote_head(w), remote_count(w));
    return;
  }
}

/* Only the owner changes the life, so what it writes follows from what it reads. */
static page_t* delayed_all(mi_heap_t* heap) {
  delayed_t list = atomic_load_explicit(&heap->delayed, memory_order_relaxed);
  if (delayed_first(list) == NULL) return NULL;
  idle_forget(heap);
  list = atomic_exchange_explicit(&heap->delayed, delayed_with(list, NULL), memory_order_acquire);
  return delayed_first(list);
}

void remote_take_delayed(mi_heap_t* heap, uint32_t most) {
  for (; most > 0; most--) {
    if (heap->taken == NULL && (heap->taken = delayed_all(heap)) == NULL) return;
    page_t* page = heap->taken;
    heap->taken = page->delayed_next;
    delayed_handle(heap, page);
  }
}

void remote_open(mi_heap_t* heap) {
  delayed_t list = atomic_load_explicit(&heap->delayed, memory_order_relaxed);
  atomic_store_explicit(&heap->delayed, delayed_reopen(list), memory_order_release);
}

static void delayed_push_all(page_t* page) {
  for (page_t* next; page != NULL; page = next) {
    next = page->delayed_next;
    delayed_push(page);
  }
}

void remote_close(mi_heap_t* heap) {
  delayed_t list = atomic_load_explicit(&heap->delayed, memory_order_relaxed);
  list = atomic_exchange_explicit(&heap->delayed, delayed_close(list), memory_order_acq_rel);
  idle_forget(heap);
  delayed_push_all(delayed_first(list));
  delayed_push_all(heap->taken);
  heap->taken = NULL;
}

/* ---- Free by another thread ------------------------------------------------------------------ */

/* The word after one more free; *last: no block is alive then. Memory is returned by the last
** free of a full page whose owner seems idle: the decision is part of the same change of the
** word. */
static remote_t word_after(remote_t w, block_t* block, bool idle, bool* last) {
  remote_t mode = w & REMOTE_MODE;
  *last = false;
  if (mode == REMOTE_NORMAL) return with(w, mode, block, remote_count(w) + 1);
  uint32_t live = remote_count(w) - 1;
  *last = live == 0;
  if (mode == REMOTE_ABANDONED) return with(w, mode, block, live);
  if (*last && idle) return with(w, mode, NULL, 0) | REMOTE_LISTED | REMOTE_PURGING;
  return with(w, mode, block, live) | REMOTE_LISTED;
}

static bool word_is_freed(remote_t w) {
  remote_t mode = w & REMOTE_MODE;
  return mode == REMOTE_ORPHAN || (mode != REMOTE_NORMAL && remote_count(w) == 0);
}

void free_again(const void* p) {
  report_error(EAGAIN, "sluice: error: double free of block %p: nothing was freed there since", p);
}

/* All that is needed of the page is read before the change: afterwards it may be another's,
** unless a hold is ours. A heap's record can be read at any time. */
static __attribute__((noinline)) void remote_free_rare(page_t* page, block_t* block) {
  mi_heap_t* heap = atomic_load_explicit(&page->heap, memory_order_relaxed);
  size_t span = page->span;
  bool huge = page_is_huge(page);
  bool idle = heap != NULL && seems_idle(heap, span);
  remote_t w = look(page), next;
  bool last;
  do {
    if (word_is_freed(w)) {
      report_error(EAGAIN, "sluice: error: double free of block %p: its page has no block in use",
                   (void*)block);
      return;
    }
    if (remote_head(w) == block) {
      free_again(block);
      return;
    }
    block_link(page, block, remote_head(w));
    next = word_after(w, block, idle, &last);
  } while (!swap(page, &w, next));
  if (last && heap != NULL && !(next & REMOTE_PURGING)) idle_count(heap, span);
  if (next & ~w & REMOTE_LISTED) delayed_push(page);
  if (next & ~w & REMOTE_PURGING) {
    page_purge(page);
    hold_end(page, REMOTE_PURGING);
  } else if (last && (w & REMOTE_MODE) == REMOTE_ABANDONED) {
    if (huge)
      page_drop(page);
    else
      abandoned_release(page);
  }
}

/* The usual changes, after which there is nothing to do: the page is NORMAL, or it is FULL, on the
** delayed list, and this is not the last block. word_after gives the same. */
void remote_free(page_t* page, block_t* block) {
  remote_t w = look(page), next;
  do {
    next = (w & ~REMOTE_HEAD) | (uintptr_t)block;
    if (remote_head(w) == block) break;
    if ((w & REMOTE_MODE) == REMOTE_NORMAL)
      next += REMOTE_ONE;
    else if ((w & (REMOTE_MODE | REMOTE_LISTED)) == (REMOTE_FULL | REMOTE_LISTED) &&
             (w & REMOTE_COUNT) > REMOTE_ONE)
      next -= REMOTE_ONE;
    else
      break;
    block_link(page, block, remote_head(w));
    if (swap(page, &w, next)) return;
  } while (true);
  remote_free_rare(page, block);
}

/* ---- For those who only look ------------------------------------------------------------------ */

/* Of another task's page, `used` is what its heap's statistics last saw. */
uint32_t page_live(page_t* page) {
  remote_t w = look(page);
  remote_t mode = w & REMOTE_MODE;
  if (mode == REMOTE_ORPHAN) return 0;
  if (mode != REMOTE_NORMAL) return remote_count(w);
  uint32_t used = page_is_of(page, tls.task) ? page->used : page_figure(&page->accounted);
  return used > remote_count(w) ? used - remote_count(w) : 0;
}

/* Others put more in front of it; the owner alone takes it away. */
block_t* remote_freed(page_t* page) { return remote_head(look(page)); }

/* ---- The owner's side ------------------------------------------------------------------------ */

bool remote_has_emptied(page_t* page) {
  return page->used > 0 && remote_count(look(page)) == page->used;
}

bool remote_collect(page_t* page) {
  remote_t w = look(page);
  if (remote_head(w) == NULL) return false;
  while (!swap(page, &w, with(w, REMOTE_NORMAL, NULL, 0))) {}
  page->free = remote_head(w);
  page->nfree = remote_count(w);
  page->used -= page->nfree;
  page->zero = false;
  return true;
}

bool remote_set_full(page_t* page) {
  remote_t w = look(page);
  do {
    if (remote_head(w) != NULL) return false;
  } while (!swap(page, &w, with(w, REMOTE_FULL, NULL, page->used)));
  return true;
}

void remote_set_normal(page_t* page) {
  remote_t w = look(page);
  while (!swap(page, &w, with(w, REMOTE_NORMAL, remote_head(w), page->used - remote_count(w)))) {}
}

/* A full page is made NORMAL first, since FULL promises a heap. One that is being purged, or
** whose blocks are all free, is an orphan at once. */
bool remote_detach(page_t* page) {
  remote_t w = look(page);
  while ((w & REMOTE_MODE) == REMOTE_FULL) {
    if (remote_count(w) == 0) {
      if (swap(page, &w, with(w, REMOTE_ORPHAN, NULL, 0))) return false;
    } else if (swap(page, &w,
                    with(w, REMOTE_NORMAL, remote_head(w), page->used - remote_count(w)))) {
      break;
    }
  }
  atomic_store_explicit(&page->heap, NULL, memory_order_release);
  return true;
}

/* After the change of the word a huge block's page may be gone; another stays at least until its bit
** is set, and its record can be read even then. */
void page_abandon(page_t* page, const subproc_t* s) {
  bool huge = page_is_huge(page);
  uint32_t used = page->used;
  atomic_store_explicit(&page->owner, 0, memory_order_relaxed);
  page_set_figure(&page->subproc, page_figure(&s->id));
  remote_t w = look(page);
  while (!swap(page, &w, with(w, REMOTE_ABANDONED, remote_head(w), used - remote_count(w)))) {}
  if (!huge)
    remote_put_back(page);
  else if (used == remote_count(w))
    page_drop(page);
}

void remote_put_back(page_t* page) {
  chunk_mark_abandoned(page);
  abandoned_release(page);
}

page_t* remote_take(const wanted_t* w) {
  page_t* page;
  while ((page = arena_adopt(w)) != NULL && !page_is_wanted(page, w)) remote_put_back(page);
  return page;
}

bool remote_hold(page_t* page, const wanted_t* wanted) {
  remote_t w = look(page);
  do {
    if ((w & REMOTE_MODE) != REMOTE_ABANDONED || (w & REMOTE_PURGING) || remote_count(w) == 0 ||
        !page_is_wanted(page, wanted))
      return false;
  } while (!swap(page, &w, w | REMOTE_PURGING));
  return true;
}

void remote_hold_end(page_t* page) { hold_end(page, REMOTE_PURGING); }

uint32_t remote_adopt(page_t* page, mi_heap_t* heap) {
  atomic_store_explicit(&page->heap, heap, memory_order_relaxed);
  page_set_figure(&page->accounted, 0);
  page_set_owner(page, heap->task, 0);
  remote_t w = look(page);
  while (!swap(page, &w, with(w, REMOTE_NORMAL, remote_head(w), page->used - remote_count(w)))) {}
  return remote_count(w);
}
