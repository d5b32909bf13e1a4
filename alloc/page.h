/* page.h: blocks and pages: the record of a page, what holds of it, and how it is found.
**
** Who reads the allocator begins here; arenas, heaps and tasks are in heap.h, the functions in
** internal.h. */
#ifndef SLUICE_PAGE_H
#define SLUICE_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alloc/mimalloc.h"
#include "alloc/policy.h"

enum {
  WORD = 8,
  SLICE_SHIFT = 16,
  CHUNK_SHIFT = 25,
  SLICE = 1 << SLICE_SHIFT,
  CHUNK = 1 << CHUNK_SHIFT,
  CHUNK_SLICES = CHUNK / SLICE, /* slice 0 holds the page records */
  RECORD = 128,
  BITMAP_WORDS = CHUNK_SLICES / 64,

  CLASS_COUNT = 50, /* 0 is unused; 1..48 are sizes; 49 is a page with a single block */
  CLASS_LARGE = CLASS_COUNT - 1,
  SMALL_BLOCK_MAX = 8 * 1024,  /* in pages of one slice */
  CLASS_BLOCK_MAX = 64 * 1024, /* in pages of MEDIUM_SLICES */
  MEDIUM_SLICES = 8,
  LARGE_BLOCK_MAX =
      CHUNK / 2,       /* a page of its own within a chunk; beyond that: chunks of its own */
  FAST_MAX = 1023,     /* the largest request that is charged one tick */
  EXTEND_BYTES = 4096, /* a page's blocks come into being in steps of about that */
  EXTEND_SECURE = 16 * 1024,
  CHECKED_USUAL = 1024,
  DEFERRED_MAX = 8, /* callbacks of all tasks, and of one heap */
  HEAP_DEFERRED_MAX = 4,
};

typedef struct block {
  struct block* next;
} block_t;

typedef struct page page_t;
typedef struct chunk chunk_t;
typedef struct arena arena_t;
typedef struct mi_task mi_task_t;

/* ---- Size classes: 1 to 8 words, then four to a doubling ------------------------------------- */

static inline unsigned class_of_words(size_t words) {
  if (words <= 8) return (unsigned)words;
  size_t t = words - 1;
  unsigned b = 63u - (unsigned)__builtin_clzl(t);
  return 9 + (b - 3) * 4 + (unsigned)(t >> (b - 2) & 3);
}
static inline size_t class_words(unsigned class) {
  if (class <= 8) return class;
  unsigned k = class - 9;
  return (size_t)(5 + k % 4) << (k / 4 + 1);
}
/* For requests of bytes: blocks above one word are aligned to two. */
static inline unsigned class_of_bytes(size_t size) {
  size_t words = (size + WORD - 1) / WORD;
  return class_of_words(words <= 1 ? 1 : (words + 1) & ~(size_t)1);
}
extern uint8_t class_of_fast[FAST_MAX + 1]; /* class_of_bytes as a table */

/* ---- The word that other threads write ----------------------------------------------------------
**
** page->remote packs {list of blocks freed by others, their number, mode, holds}. Every change
** is one atomic operation on it.
**
**   NORMAL     the page is in its class's queue (or alone in its owner's hands): the owner finds
**              remote frees when it next looks at the page.
**   FULL       the owner granted every block and looks at the page no more. The first remote free
**              sets LISTED and pushes the page on its heap's delayed list, where the owner finds
**              it. FULL without LISTED is what the mimalloc paper calls DELAYED, with it DELAYING.
**   ABANDONED  the task ended with blocks alive; whoever clears the page's bit in
**              chunk->abandoned owns it: an adopter, who looks at it, or the thread that frees the
**              last block. (A huge block's page has no bit, and goes with its block. Pages with
**              a single block are not adopted.)
**   ORPHAN     its owner gave the page up, but a hold was on it: who drops the last hold
**              releases it.
**
** The number is that of the blocks in the list in mode NORMAL. In FULL and ABANDONED, where
** page->used does not change, it is that of the blocks still alive, so the free that brings it
** to 0 knows that it was the last.
**
** Holds keep a page's record from being released: LISTED, from the moment a freeing thread takes
** the right to push the page until it is taken off the list; PURGING, while the freer of the
** last block returns the memory (then the list is empty: its links are gone). After its change
** of the word a freeing thread touches the page only under a hold. (For a huge block's page that is
** ABANDONED, PURGING is the hold of who looks at it.) page->heap is not NULL
** whenever the mode is FULL. No thread waits for another; the model in tests/model/remote.pml
** checks all of this. */
typedef uint64_t remote_t;
#define REMOTE_MODE ((remote_t)3)
#define REMOTE_NORMAL ((remote_t)0)
#define REMOTE_FULL ((remote_t)1)
#define REMOTE_ABANDONED ((remote_t)2)
#define REMOTE_ORPHAN ((remote_t)3)
#define REMOTE_LISTED ((remote_t)1 << 62)
#define REMOTE_PURGING ((remote_t)1 << 63)
#define REMOTE_HOLDS (REMOTE_LISTED | REMOTE_PURGING)
#define REMOTE_ONE ((remote_t)1 << 48) /* the count: 14 bits */
#define REMOTE_COUNT ((remote_t)0x3fff << 48)
#define REMOTE_HEAD (REMOTE_ONE - 8)

static inline block_t* remote_head(remote_t w) { return (block_t*)(uintptr_t)(w & REMOTE_HEAD); }
static inline uint32_t remote_count(remote_t w) { return (uint32_t)(w >> 48) & 0x3fff; }

/* ---- Page ---------------------------------------------------------------------------------------
**
** A block is in exactly one place:
**   with the program, or on heap->list[class] of the page's heap (only blocks of the queue's
**   first page are there), or in the remote word: these are counted by `used`;
**   on `free` (nfree of them), or on `local_free`: so capacity == used + nfree + |local_free|.
** Blocks beyond `capacity` (up to `reserved`) do not exist yet: their memory was not touched.
**
** Blocks are accounted when they are granted to heap->list, so taking one from there writes
** nothing here. Freed ones go to local_free and not to the list that allocation pops, so that
** list runs empty after a bounded number of allocations: the refill.
**
** The last page of its class stays when it is empty (`kept`), up to KEPT_MAX bytes in a heap. An
** owned page is in its class's queue, or (owner flag FULL) on its heap's list of full pages; one
** with a single block is always FULL. Once a block was handed out at an address inside it
** (aligned with an offset), `inside` and the owner flag INSIDE say so for the page's life, and every
** free looks for the start of its block. (In checked builds so do frees of blocks without zones or
** above CHECKED_USUAL.) A slot that is not the first of a page has owner 0 and
** `behind`, the distance to the first; a slot of no page has slices 0.
**
** Who writes: the owner, except `remote` (any thread), `delayed_next` (the holder of LISTED).
** `owner` and `heap` are read by any thread. */
enum { PAGE_FULL = 1, PAGE_INSIDE = 2, PAGE_FLAGS = 63 }; /* tasks are aligned to 64 */

struct page {
  _Atomic uintptr_t owner; /* task and flags; 0 if abandoned, free, or not the first slot */
  block_t* local_free;
  uint32_t used;
  uint32_t capacity;
  block_t* free;
  uint32_t nfree;
  uint32_t reserved;
  _Atomic(mi_heap_t*) heap;
  char* start;     /* of the first block */
  uint32_t stride; /* from block to block; 0 if there is a single one */
  _Atomic uint8_t class;
  bool zero : 1; /* no block was freed yet, so memory behind a block's first word is zero */
  bool kept : 1; /* it is empty, and counted in heap->kept */
  bool padded;   /* blocks have zones around them */
  atomic_bool inside;
  /* the second cache line, written by others */
  _Atomic remote_t remote;
  page_t* delayed_next;
  page_t* next;
  page_t* prev;
  union {                       /* these are read by any thread, relaxed */
    _Atomic uint32_t accounted; /* used, when the heap's statistics last looked */
    _Atomic uint32_t subproc;   /* once it is abandoned: whose threads may adopt it */
  };
  _Atomic uint16_t behind;
  _Atomic uint8_t tag; /* of the heap that made it */
  _Atomic uint32_t slices;
  union {
    _Atomic uint32_t reciprocal;     /* of the stride, see page_index */
    _Atomic uint32_t granted_slices; /* a single block's, for byte limits and statistics */
  };
  size_t span; /* bytes from start to the end of the block area */
  chunk_t* chunk;
};
_Static_assert(sizeof(page_t) == RECORD, "a slot holds a record");
_Static_assert(offsetof(page_t, remote) == 64, "others write the second line only");
_Static_assert(CHUNK_SLICES* RECORD == SLICE, "the records fill the first slice");

/* Where the records of each chunk of address space are, relative to `none`: chunks that are not
** ours have 0 and so find records that belong to nobody. An entry is written when a chunk is
** mapped, before any of its blocks exists, and when it is unmapped, after they have gone: so a
** plain load is right for whoever has a block (and one instruction less than an atomic one).
** Lives in zero pages of which few are touched. */
typedef struct page_table {
  intptr_t offset[(size_t)1 << (ADDRESS_BITS - CHUNK_SHIFT)];
  page_t none[CHUNK_SLICES];
} page_table_t;
extern page_table_t page_table;

/* In checked builds the records of a chunk, and behind them SLICE bytes for each slice with a word
** for each block of the page that starts there (checked.c), are a mapping of their own between
** guard pages. */
enum { RECORDS_BYTES = CHECKED ? SLICE + CHUNK : SLICE };

/* The record of the slot that p lies in; for a pointer below 2^ADDRESS_BITS always readable. */
static inline page_t* slot_of(const void* p) {
  uintptr_t a = (uintptr_t)p;
  size_t slot = (a >> (SLICE_SHIFT - 7)) & ((CHUNK_SLICES - 1) * (size_t)RECORD);
  return (page_t*)((char*)page_table.none + (page_table.offset[a >> CHUNK_SHIFT] + (intptr_t)slot));
}

/* ---- What is read and written of a record -------------------------------------------------------- */

static inline bool page_is_huge(const page_t* page) { return page->span > LARGE_BLOCK_MAX; }
static inline mi_heap_t* page_heap(page_t* page) {
  return atomic_load_explicit(&page->heap, memory_order_relaxed);
}
static inline unsigned page_class(const page_t* page) {
  return atomic_load_explicit(&page->class, memory_order_relaxed);
}
static inline unsigned page_tag(const page_t* page) {
  return atomic_load_explicit(&page->tag, memory_order_relaxed);
}
static inline uint32_t page_behind(const page_t* slot) {
  return atomic_load_explicit(&slot->behind, memory_order_relaxed);
}
static inline void page_set_behind(page_t* slot, uint32_t distance) {
  atomic_store_explicit(&slot->behind, (uint16_t)distance, memory_order_relaxed);
}
static inline uint32_t page_figure(const _Atomic uint32_t* figure) {
  return atomic_load_explicit(figure, memory_order_relaxed);
}
static inline void page_set_figure(_Atomic uint32_t* figure, uint32_t value) {
  atomic_store_explicit(figure, value, memory_order_relaxed);
}
/* Strides are whole words, and of w words r is 2^SHIFT / w rounded up. So k * r / 2^SHIFT is k / w, and too
** much by less than k * w / 2^SHIFT / w: rounded down they are equal while k * w is below 2^SHIFT. Strides
** have up to 2^14 words, offsets up to 2^16. */
enum { RECIPROCAL_SHIFT = 31 };
/* Which block p lies in, of a page with blocks of a class. */
static inline size_t page_index(const page_t* page, const void* p) {
  size_t offset = (size_t)((const char*)p - page->start);
  return (size_t)(offset / WORD * page_figure(&page->reciprocal) >> RECIPROCAL_SHIFT);
}
static inline uintptr_t page_owner(const page_t* page) {
  return atomic_load_explicit(&page->owner, memory_order_relaxed);
}
static inline void page_set_owner(page_t* page, const mi_task_t* task, uintptr_t full) {
  bool inside = atomic_load_explicit(&page->inside, memory_order_relaxed);
  uintptr_t word = (uintptr_t)task | full | (inside ? PAGE_INSIDE : 0);
  atomic_store_explicit(&page->owner, word, memory_order_relaxed);
}
static inline bool page_is_of(const page_t* page, const mi_task_t* task) {
  return (page_owner(page) & ~(uintptr_t)PAGE_FLAGS) == (uintptr_t)task;
}
static inline bool page_is_full(const page_t* page) { return (page_owner(page) & PAGE_FULL) != 0; }

#endif
