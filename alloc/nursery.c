/* nursery.c: the first blocks of a task that may stay small: of all sizes, side by side.
**
** Pages of one size class cost a task at least a page of the system's memory for each class that it
** uses; a small interpreter uses sixteen for 30 KiB. So a compact task has one slice first, from
** which blocks of known size are cut one behind the other, touching no more memory than they need.
** Freed ones wait in a list for each class; before fresh memory is touched, the smallest larger one
** is cut up. As soon as a request does not fit it is closed: that and all later ones are served from pages, as
** in other tasks. (So a list of a page never has a block while the nursery is open, and what is
** inlined of an allocation, off such a list, is the same in all builds.)
**
** After the "segregated free lists with splitting" of textbook allocators. Bound: blocks are rounded
** to their class (by at most a quarter), and never merge; what is freed after the end is not used again: so at
** most one slice is lost. O(1), and by the task alone. */
#include "alloc/internal.h"

enum { UNIT = 16, LARGEST = 8 * 1024, CLASSES = 37, HUGE_PAGES_UP_TO = 4 };

/* At its start. Links are in units from there; 0: the end. Bit c of `some` is set iff free[c] is not 0. */
struct nursery {
  uint64_t some;
  uint32_t size; /* bytes from the start to its end */
  bool closed;
  bool clears;           /* all but headers and links that is not in use is zero */
  uint32_t fresh;        /* bytes from the start to what was never handed out */
  uint32_t cut, cut_end; /* what is left of the freed block that is cut up */
  uint16_t free[CLASSES];
};
_Static_assert(SLICE / UNIT <= UINT16_MAX, "links are 16 bits");
_Static_assert(SLICE >= LARGEST + sizeof(struct nursery), "all sizes fit");

static uint16_t* at(struct nursery* n, uint16_t unit) {
  return (uint16_t*)(void*)((char*)n + (size_t)unit * UNIT);
}

static unsigned class_for(size_t size) {
  mi_assert(size <= LARGEST);
  return size <= UNIT ? UNIT / WORD : class_of_bytes(size);
}

static void push(struct nursery* n, unsigned class, void* block) {
  *(uint16_t*)block = n->free[class];
  n->free[class] = (uint16_t)((size_t)((char*)block - (char*)n) / UNIT);
  n->some |= (uint64_t)1 << class;
}

static void* pop(struct nursery* n, unsigned class) {
  uint16_t* block = at(n, n->free[class]);
  n->free[class] = *block;
  if (*block == 0) n->some &= ~((uint64_t)1 << class);
  return block;
}

/* Into as few blocks as possible. */
static void push_rest(struct nursery* n, char* rest, size_t bytes) {
  while (bytes > 0) {
    unsigned class = class_for(bytes);
    while (class_words(class) * WORD > bytes || class_words(class) % 2 != 0) class --;
    push(n, class, rest);
    rest += class_words(class) * WORD;
    bytes -= class_words(class) * WORD;
  }
}

/* A block of that class is what smaller ones are cut from now. */
static void cut_up(struct nursery* n, unsigned class) {
  push_rest(n, (char*)n + n->cut, n->cut_end - n->cut);
  n->cut = (uint32_t)((char*)pop(n, class) - (char*)n);
  n->cut_end = n->cut + (uint32_t)(class_words(class) * WORD);
}

static void* take(struct nursery* n, uint32_t* from, size_t bytes) {
  void* block = (char*)n + *from;
  *from += (uint32_t)bytes;
  return block;
}

/* Many small tasks in a chunk must not be given memory that they do not touch. */
static void count(page_t* page) {
  chunk_t* c = page->chunk;
  if (atomic_fetch_add_explicit(&c->nurseries, 1, memory_order_relaxed) == HUGE_PAGES_UP_TO)
    chunk_no_huge_pages(c);
}

static const uint32_t FIRST = (sizeof(struct nursery) + UNIT - 1) & ~(uint32_t)(UNIT - 1);

static struct nursery* begin(mi_task_t* task, void* at, size_t size) {
  struct nursery* n = at;
  memset(n, 0, FIRST);
  n->fresh = FIRST;
  n->size = (uint32_t)size;
  task->nursery = n;
  task->nursery_size = size;
  return n;
}

static struct nursery* in_slice(mi_task_t* task, mi_heap_t* heap) {
  page_t* page = page_new_start(heap);
  if (page == NULL) page = page_new_single(heap, SLICE, UNIT, 0);
  if (page == NULL) return NULL;
  count(page);
  return begin(task, page->start, page->span);
}

bool nursery_open(mi_task_t* task, mi_heap_t* heap) {
  mi_assert(class_of_bytes(LARGEST) < CLASSES);
  return in_slice(task, heap) != NULL;
}

/* A nest is full: a slice comes next. What is freed in the nest from now on is not used again. */
static struct nursery* leave_nest(mi_task_t* task) {
  struct nursery* n = in_slice(task, task->exact);
  if (n != NULL) n->clears = task->nest->clears;
  return n;
}

void nursery_end(mi_task_t* task) {
  if (task->nest != NULL) nest_give(task->nest_group, (const char*)task->nest);
}

void nursery_keep_clear(mi_task_t* task) {
  if (nursery_size(task) == FIRST) task->nursery->clears = true;
}

void nursery_close(mi_task_t* task) {
  if (task->nursery != NULL) task->nursery->closed = true;
}

size_t nursery_size(const mi_task_t* task) {
  const struct nursery* n = task->nursery;
  return n != NULL && !n->closed ? n->fresh : 0;
}

/* Copies of what fills a nest get one instead of the slice, where nothing says that memory is a page's: a region,
** or checks. */
static void move_to_nest(mi_task_t* task, size_t size) {
  bool fills = size > NEST_LEAST && size <= NEST_MOST;
  char* nest = NULL;
  if (!CHECKED && task->arena == &arena_main && fills) nest = nest_take(&size, &task->nest_group);
  if (nest == NULL) return;
  page_free_full(page_of(task->nursery), NULL);
  task->nest = begin(task, nest, size);
  task->nest_size = size;
}

/* Links are relative, so they hold in the copy. */
bool nursery_copy(mi_task_t* task, const void* from, size_t size) {
  if (nursery_size(task) != FIRST) return false;
  move_to_nest(task, size);
  struct nursery* n = task->nursery;
  uint32_t room = n->size;
  if (size > room) return false;
  if (task->nest == NULL && page_of(n)->zero) os_populate(n, size);
  memcpy(n, from, size);
  mi_assert(n->fresh == size && !n->closed);
  n->size = room;
  n->clears = false;
  return true;
}

static void* find(struct nursery* n, unsigned class) {
  size_t bytes = class_words(class) * WORD;
  if (n->free[class] != 0) return pop(n, class);
  uint64_t larger = n->some >> class << class;
  if (bytes > n->cut_end - n->cut && larger != 0) cut_up(n, (unsigned)__builtin_ctzl(larger));
  if (bytes <= n->cut_end - n->cut) return take(n, &n->cut, bytes);
  n->closed = bytes > n->size - n->fresh;
  return n->closed ? NULL : take(n, &n->fresh, bytes);
}

void* nursery_alloc(mi_task_t* task, size_t size) {
  struct nursery* n = task->nursery;
  if (n == NULL || size > LARGEST || n->closed) return NULL;
  unsigned class = class_for(size);
  void* block = find(n, class);
  if (block == NULL && n == task->nest && (n = leave_nest(task)) != NULL) block = find(n, class);
  if (block != NULL && n->clears) memset(block, 0, class_words(class) * WORD);
  return block;
}

void nursery_free(mi_task_t* task, void* p, size_t size) {
  mi_assert(nursery_has(task, p) && size <= LARGEST);
  unsigned class = class_for(size);
  struct nursery* n = nest_has(task, p) ? task->nest : task->nursery;
  if (n->clears) memset(p, 0, class_words(class) * WORD);
  push(n, class, p);
}

bool nursery_resize(mi_task_t* task, void* p, size_t oldsize, size_t newsize) {
  if (newsize > LARGEST || class_for(oldsize) != class_for(newsize)) return false;
  if (task->nursery->clears && newsize < oldsize) memset((char*)p + newsize, 0, oldsize - newsize);
  return true;
}
