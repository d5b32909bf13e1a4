/* heap.c: heaps as wholes: birth, collection, and the three ways to end: its blocks move to
** another heap (delete), are freed unseen (destroy), or stay behind without an owner (the end of
** a thread). Each is O(pages). */
#include "alloc/internal.h"

mi_heap_t heap_none = {.delayed = DELAYED_CLOSED};

pthread_mutex_t heaps_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
mi_heap_t* heaps_all;
static mi_heap_t* heaps_unused;

static mi_heap_t* heap_record(void) {
  pthread_mutex_lock(&heaps_lock);
  mi_heap_t* heap = heaps_unused;
  if (heap != NULL) heaps_unused = heap->next;
  pthread_mutex_unlock(&heaps_lock);
  return heap != NULL ? heap : record_alloc(sizeof *heap, 64);
}

static void heap_begins(mi_heap_t* heap) {
  pthread_mutex_lock(&heaps_lock);
  if (!heap->known) {
    heap->known = true;
    heap->all = heaps_all;
    heaps_all = heap;
  }
  heap->alive = true;
  pthread_mutex_unlock(&heaps_lock);
}

/* The list of records only grows at its front, so it can be walked with the lock given up meanwhile. */
mi_heap_t* heap_after(mi_heap_t* heap, const subproc_t* s) {
  pthread_mutex_lock(&heaps_lock);
  heap = heap == NULL ? heaps_all : heap->all;
  while (heap != NULL && !(heap->alive && heap->task->subproc == s)) heap = heap->all;
  pthread_mutex_unlock(&heaps_lock);
  return heap;
}

/* Most heaps of small tasks use few classes. */
static void forget_classes(mi_heap_t* heap) {
  for (uint64_t left = heap->classes; left != 0; left &= left - 1) {
    unsigned c = (unsigned)__builtin_ctzll(left);
    heap->list[c] = NULL;
    memset(&heap->queue[c], 0, sizeof heap->queue[c]);
    memset(&heap->stat[c], 0, sizeof heap->stat[c]);
  }
  heap->classes = 0;
  if (heap->survey != NULL) memset(heap->survey, 0, CLASS_COUNT * sizeof *heap->survey);
}

/* Late threads may still look at `delayed` and `idle_bytes` of the record's last life. */
mi_heap_t* heap_new(mi_task_t* task, arena_t* arena) {
  mi_heap_t* heap = heap_record();
  if (heap == NULL) {
    errno = ENOMEM;
    return NULL;
  }
  forget_classes(heap);
  heap->full = heap->taken = NULL;
  heap->kept = 0;
  heap->look = 0;
  heap->by_grant = heap->adopts = false;
  heap->tag = 0;
  heap->deferred_count = 0;
  heap->task = task;
  heap->arena = arena;
  heap->next = task->heaps;
  task->heaps = heap;
  remote_open(heap);
  heap_begins(heap);
  return heap;
}

static void heap_unlink(mi_heap_t* heap) {
  mi_heap_t** link = &heap->task->heaps;
  while (*link != heap) link = &(*link)->next;
  *link = heap->next;
}

static void heap_record_free(mi_heap_t* heap) {
  heap_unlink(heap);
  task_heap_ends(heap);
  pthread_mutex_lock(&heaps_lock);
  subproc_add_ended(heap->task->subproc, heap->classes, heap->stat, heap->survey);
  heap->alive = false;
  heap->next = heaps_unused;
  heaps_unused = heap;
  pthread_mutex_unlock(&heaps_lock);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

void heap_ungrant_all(mi_heap_t* heap) {
  if (MI_SECURE) secure_flush(heap->task);
  for (uint64_t left = heap->classes; left != 0; left &= left - 1)
    heap_ungrant(heap, (unsigned)__builtin_ctzll(left));
}

/* Detaches the pages of a list and links those that are still ours in front of `rest`. */
static page_t* detach_list(page_t* page, page_t* rest) {
  for (page_t* next; page != NULL; page = next) {
    next = page->next;
    page_leaves_heap(page);
    if (!remote_detach(page)) continue;
    page->next = rest;
    rest = page;
  }
  return rest;
}

/* First no page leads here any more, then the delayed list is closed: a thread that finds it
** closed finds page->heap changed. Only then pages may go. */
void heap_end(mi_heap_t* heap, bool abandon) {
  heap_ungrant_all(heap);
  page_t* pages = detach_list(heap->full, NULL);
  for (uint64_t left = heap->classes; left != 0; left &= left - 1)
    pages = detach_list(heap->queue[__builtin_ctzll(left)].first, pages);
  remote_close(heap);
  for (page_t* next; pages != NULL; pages = next) {
    next = pages->next;
    if (abandon && pages->used > 0)
      page_abandon(pages, heap->task->subproc);
    else
      page_drop(pages);
  }
  heap_record_free(heap);
}

static void move_full(mi_heap_t* from, mi_heap_t* to) {
  while (from->full != NULL) {
    page_t* page = from->full;
    full_remove(from, page);
    page_move(page, to);
    full_push(to, page);
  }
}

static void move_queue(mi_heap_t* from, mi_heap_t* to, unsigned class) {
  while (from->queue[class].first != NULL) {
    page_t* page = from->queue[class].first;
    queue_remove(&from->queue[class], page);
    page_move(page, to);
    queue_push(&to->queue[class], page);
  }
}

bool heap_is_mine_checked(const mi_heap_t* heap) {
  if (heap != NULL && heap_is_mine(heap)) return true;
  report_error(EPERM, "sluice: error: heap %p is not one of the calling task, or has ended",
               (const void*)heap);
  return false;
}

/* A callback runs in the middle of a refill, which may be this heap's. */
static bool may_end(mi_heap_t* heap) {
  if (!heap_is_mine_checked(heap)) return false;
  if (!heap->task->in_callback) return true;
  report_error(EPERM, "sluice: error: heap %p cannot end within a callback of the allocator",
               (void*)heap);
  return false;
}

/* What is allocated by default goes to the first heap again. */
static void no_default(mi_heap_t* heap) {
  if (heap->task->heap == heap) tls.heap = heap->task->heap = heap->task->backing;
}

/* May `to` allocate where `from` did? */
static bool may_take_over(const mi_heap_t* to, const mi_heap_t* from) {
  return to->tag == from->tag && (to->arena == from->arena || !from->arena->exclusive);
}

/* Else the blocks have no heap until one like it adopts their pages. */
void mi_heap_delete(mi_heap_t* heap) {
  if (!may_end(heap)) return;
  mi_heap_t* to = task_backing_heap();
  if (heap == to) return;
  if (to == NULL) {
    warn("sluice: warning: heap %p stays: there is no memory for a heap to move its blocks to",
         (void*)heap);
    return;
  }
  no_default(heap);
  if (!may_take_over(to, heap)) {
    heap_end(heap, true);
    return;
  }
  heap_ungrant_all(heap);
  move_full(heap, to);
  for (unsigned c = 1; c < CLASS_COUNT; c++) move_queue(heap, to, c);
  remote_close(heap);
  heap_record_free(heap);
}

void mi_heap_destroy(mi_heap_t* heap) {
  if (!may_end(heap)) return;
  if (heap == heap->task->backing) {
    heap_collect(heap);
    return;
  }
  if (heap->adopts) {
    mi_heap_delete(heap);
    return;
  }
  no_default(heap);
  heap_end(heap, false);
}

mi_heap_t* mi_heap_new_ex(int heap_tag, bool allow_destroy, mi_arena_id_t arena_id) {
  mi_task_t* task = task_self();
  if (task == NULL) return NULL;
  arena_t* arena = arena_id == 0 ? task->arena : arena_of_id(arena_id);
  if (arena == NULL || heap_tag < 0 || heap_tag > UINT8_MAX) {
    errno = EINVAL;
    return NULL;
  }
  mi_heap_t* heap = heap_new(task, arena);
  if (heap == NULL) return NULL;
  heap->by_grant = !task->implicit;
  heap->adopts = !allow_destroy;
  heap->tag = (uint8_t)heap_tag;
  return heap;
}

mi_heap_t* mi_heap_new(void) { return mi_heap_new_ex(0, true, 0); }
mi_heap_t* mi_heap_new_in_arena(mi_arena_id_t arena_id) {
  return mi_heap_new_ex(0, false, arena_id);
}

mi_heap_t* mi_heap_get_default(void) { return task_default_heap(); }
mi_heap_t* mi_heap_get_backing(void) { return task_backing_heap(); }

mi_heap_t* mi_heap_set_default(mi_heap_t* heap) {
  mi_heap_t* before = task_default_heap();
  if (before == NULL || !heap_is_mine_checked(heap)) return NULL;
  tls.heap = heap->task->heap = heap;
  return before;
}

/* ---- Collection ------------------------------------------------------------------------------ */

/* Everything free in the page becomes known, so that `used` is exact; empty pages go. */
static void page_collect(mi_heap_t* heap, page_t* page) {
  block_t* keep = page->free;
  uint32_t kept = page->nfree;
  if (remote_collect(page)) {
    block_t* last = page->free;
    for (block_t* b; (b = block_next(page, last)) != NULL;) last = b;
    block_link(page, last, keep);
    page->nfree += kept;
  }
  page_check(page);
  page_account(heap, page);
  if (page->used == 0) page_leave(heap, page);
}

void heap_collect(mi_heap_t* heap) {
  heap_ungrant_all(heap);
  remote_take_delayed(heap, UINT32_MAX);
  for (unsigned c = 1; c < CLASS_COUNT; c++)
    for (page_t *page = heap->queue[c].first, *next; page != NULL; page = next) {
      next = page->next;
      page_collect(heap, page);
    }
}

void heap_collect_beside(mi_heap_t* heap) {
  for (mi_heap_t* h = heap->task->heaps; h != NULL; h = h->next)
    if (h->arena == heap->arena) heap_collect(h);
}

void mi_heap_collect(mi_heap_t* heap, bool force) {
  if (!heap_is_mine_checked(heap)) return;
  if (force) task_force(heap->task);
  heap_collect(heap);
  if (force) arena_purge(heap->arena);
}

/* What ended threads left behind is adopted only to be looked at: empty pages go. */
static void collect_abandoned(mi_heap_t* heap) {
  for (unsigned c = 1; c < CLASS_LARGE; c++)
    for (page_t* page; (page = heap_take_left(heap, c)) != NULL;) {
      page_adopt(heap, page);
    }
}

void mi_collect(bool force) {
  mi_task_t* task = task_self();
  if (task == NULL) return;
  if (force) task_force(task);
  if (force) (void)task_backing_heap(); /* which adopts */
  for (mi_heap_t* heap = task->heaps; heap != NULL; heap = heap->next) {
    if (force && heap_adopts(heap)) collect_abandoned(heap);
    heap_collect(heap);
  }
  if (force) arenas_purge();
  if (force && task->arena != &arena_main) arena_purge(task->arena);
  say_due();
}
