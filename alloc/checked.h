/* checked.h: the word that checked builds keep of each block, in a table out of its reach (see
** RECORDS_BYTES), so that a wrong free is seen before anything happens, and links of free blocks are in
** no memory of the program:
**
**   state | adjust | size | next block of its list        a single block's size is in the second word
**
**   UNUSED  never handed out since the page, or this part of it, came into being
**   LIVE    with the program: `size` bytes were asked for, at `adjust` bytes behind the block's start;
**           instead of the next block: its mark, who made it (enum maker) and what rc/ keeps there
**   FREED   by the program, of that size; on a list, or held back by secure.c
**
** Other threads free, so words are atomic, each for itself: relaxed. */
#ifndef SLUICE_CHECKED_H
#define SLUICE_CHECKED_H

#include "alloc/internal.h"

enum { UNUSED, LIVE, FREED, STATE = 3, ADJUST_SHIFT = 2, SIZE_SHIFT = 19, NEXT_SHIFT = 36 };
#define FIELD ((uint64_t)0x1ffff) /* of 17 bits */
#define FIXED (((uint64_t)1 << NEXT_SHIFT) - 1)
_Static_assert(CLASS_BLOCK_MAX <= 0x1ffff, "sizes and adjustments fit");
_Static_assert(CHUNK / WORD < 1 << (64 - NEXT_SHIFT), "so do places in a chunk");

static inline _Atomic uint64_t* words_of(const page_t* page) {
  uintptr_t records = (uintptr_t)page & ~(uintptr_t)(SLICE - 1);
  return (_Atomic uint64_t*)(records + SLICE + ((uintptr_t)page - records) * (SLICE / RECORD));
}
static inline uint64_t word_get(const _Atomic uint64_t* place) {
  return atomic_load_explicit(place, memory_order_relaxed);
}
static inline void word_set(_Atomic uint64_t* place, uint64_t word) {
  atomic_store_explicit(place, word, memory_order_relaxed);
}

static inline size_t index_of(const page_t* page, const void* p) {
  return page->stride == 0 ? 0 : page_index(page, p);
}
static inline _Atomic uint64_t* place_of(const page_t* page, const void* p) {
  return words_of(page) + index_of(page, p);
}
static inline char* block_at(const page_t* page, size_t index) {
  return page->start + index * page->stride;
}
static inline size_t adjust_of(uint64_t word) { return word >> ADJUST_SHIFT & FIELD; }
static inline size_t size_of(const page_t* page, uint64_t word) {
  return page->stride == 0 ? word_get(&words_of(page)[1]) : word >> SIZE_SHIFT & FIELD;
}

/* The link is the next block's place in the chunk, in words. None lies at the chunk's start. */
static inline block_t* next_in(const void* block, uint64_t word) {
  uintptr_t link = word >> NEXT_SHIFT, base = (uintptr_t)block & ~(uintptr_t)(CHUNK - 1);
  return link == 0 ? NULL : (block_t*)(base + link * WORD);
}
static inline uint64_t link_to(const void* next) {
  return ((uintptr_t)next & (CHUNK - 1)) / WORD << NEXT_SHIFT;
}

/* The page of a block. (Any pointer below 2^ADDRESS_BITS finds a record; a page's that has an owner, or
** one without.) */
static inline page_t* page_with(const void* block) {
  page_t* slot = slot_of(block);
  return slot - page_behind(slot);
}

/* page_free_local of a block that is in no list, where its word was found already. */
static inline void free_local_at(page_t* page, _Atomic uint64_t* place, block_t* block) {
  word_set(place, word_get(place) | link_to(page->local_free));
  page_was_freed(page, block);
}

#endif
