/* internal.h: the data structures of the allocator and what holds of them.
**
** Memory comes in CHUNKs (32 MiB, aligned), cut into SLICEs (64 KiB). A PAGE is a run of slices
** with blocks of one size class; its record (128 bytes) is the chunk's first slice's slot with
** the number of the page's first slice. The address of a record follows from a block's address
** by arithmetic and one look into a flat table of chunks (page_of). A page belongs to a HEAP, a
** heap to a TASK.
**
** Include order: policy.h, mimalloc.h, internal.h; the files, from the system upwards:
**   os.c options.c trace.c chunk.c arena.c huge.c reserve.c remote.c page.c heap.c subproc.c task.c
**   alloc.c forms.c theap.c visit.c stats.c json.c process.c unload.c checked.c secure.c override.c
**   operators.c
*/
#ifndef SLUICE_INTERNAL_H
#define SLUICE_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* ---- Chunk and arena ----------------------------------------------------------------------------
**
** A slice is free iff its bit in `busy` is clear; whoever sets the bit owns it. `dirty` tells
** that a free slice's memory may be resident and not zero, `lazy` that it was given back but may
** still not be zero; they are set before busy is cleared.
** Chunk records live forever and are reused. A chunk's address space is ours from its first byte
** on, for `size`; what lies behind that, up to CHUNK, is `busy`.
**
** An ARENA is where a heap gets its slices. There is the process's one, arena_main; regions, each of
** one task, aligned to REGION, placed from their start so that offsets repeat in every run; and
** those of the program, which are never deleted and hang behind arena_main by `next` in the order
** of their ids. All but arena_main have an AREA, from `start`, in whose PLACEs chunks come into
** being; who has marked a place as used owns what else is said of it. A heap of the process's arena
** gets slices of the program's arenas, too, unless they are exclusive: those have pages of heaps that
** were made in them, and pages without a heap. One lock, arenas_lock, is held while a chunk is added
** to any arena or taken away (huge_lock for huge blocks), which is rare: a fork then has one to hold,
** not one for each. */
#define REGION (4 * GiB)
enum { PLACE_USED = 1, PLACE_COMMITTED = 2, PLACE_DIRTY = 4 };

struct chunk {
  _Atomic uint64_t busy[BITMAP_WORDS];
  _Atomic uint64_t abandoned[BITMAP_WORDS];
  _Atomic uint64_t dirty[BITMAP_WORDS];
  _Atomic uint64_t lazy[BITMAP_WORDS];
  _Atomic uint32_t free_slices;
  atomic_bool huge_pages; /* were asked for, until some of its memory is given back */
  char* base;
  page_t* records;
  size_t size; /* of the mapping */
  arena_t* arena;
  _Atomic(chunk_t*) next; /* in the arena, ascending in age; records without memory: free list */
  page_t* huge_page;      /* of a huge block, and its neighbours in arena->huge */
  chunk_t *huge_next, *huge_prev;
};

struct arena {
  _Atomic(chunk_t*) chunks;
  _Atomic uint32_t busy_slices, dirty_slices;
  _Atomic uint32_t dirty_low;         /* the fewest since the last arena_decay */
  _Atomic(chunk_t*) purge_at;         /* NULL: the first */
  _Atomic size_t mapped, mapped_peak; /* bytes, for statistics */
  chunk_t* huge;                      /* those with one huge block; under huge_lock */
  _Atomic(arena_t*) next;             /* of the program's, by the lock; free list of regions */
  arena_t* all;                       /* all records of regions ever made; under records_lock */
  /* fixed from here to `place` */
  char* start; /* aligned to CHUNK; NULL: the process's arena */
  size_t size;
  int id; /* of the program's: from 1; 0 for others */
  bool exclusive;
  bool foreign;            /* memory that was given back may have any contents */
  bool pinned;             /* memory is never given back */
  bool lazy;               /* places are committed when they are taken, and decommitted */
  mi_commit_fun_t* commit; /* how, if not NULL */
  void* commit_arg;
  _Atomic uint8_t place[]; /* what holds of each; PLACE_USED changes under the lock */
};
extern arena_t arena_main;
static inline bool arena_is_region(const arena_t* a) { return a->start != NULL && a->id == 0; }
/* By madvise. */
static inline bool arena_may_purge(const arena_t* a) { return !a->pinned && a->commit == NULL; }
static inline chunk_t* first_chunk(arena_t* arena) {
  return atomic_load_explicit(&arena->chunks, memory_order_acquire);
}
static inline chunk_t* next_chunk(chunk_t* c) {
  return atomic_load_explicit(&c->next, memory_order_acquire);
}
/* The next of the program's; NULL: that was the last. */
static inline arena_t* arena_after(arena_t* arena) {
  return atomic_load_explicit(&arena->next, memory_order_acquire);
}

/* ---- Heap ---------------------------------------------------------------------------------------
**
** list[c] holds blocks of the first page of queue[c] that were granted and not handed out yet.
** Pages behind the first may have free blocks; full ones are on `full`.
**
** `delayed` packs {first page of a list, life, closed}. Records live forever and are reused, so a
** thread that is late may read one in its next life. It pushes with one compare-and-swap of the
** whole word, after it has seen that the page is this heap's in that life (and a life is over
** only when no page is the heap's any more), so a page on the list is the heap's, or an orphan
** that was. (22 bits of life: who sleeps between a load and its compare-and-swap while a record
** lives 4 million times may be fooled.) */
typedef uint64_t delayed_t;
#define DELAYED_CLOSED ((delayed_t)1)
#define DELAYED_PAGE (REMOTE_ONE - RECORD)
static inline page_t* delayed_first(delayed_t w) { return (page_t*)(uintptr_t)(w & DELAYED_PAGE); }
static inline delayed_t delayed_with(delayed_t w, page_t* first) {
  return (w & ~DELAYED_PAGE) | (uintptr_t)first;
}
/* The same life's, or the next one's, empty list. The lower 6 bits of a life are above `closed`. */
static inline delayed_t delayed_close(delayed_t w) {
  return delayed_with(w, NULL) | DELAYED_CLOSED;
}
static inline delayed_t delayed_reopen(delayed_t w) {
  delayed_t life = (w >> 1 & 63) | (w >> 48 << 6);
  life++;
  return (life & 63) << 1 | life >> 6 << 48;
}

typedef struct queue {
  page_t* first;
  page_t* last;
  page_t* look; /* where the search for emptied pages goes on; NULL: at the first */
} queue_t;

/* The first three are written by the owner, but for a reset of the peak, and read by any thread:
** relaxed, each figure for itself. total - base is at least what lives in the pages that are the
** heap's now: the blocks of a page that moves to another heap go with it, from total to total.
** Class 0, which has no blocks, counts the bytes of single blocks. */
typedef struct class_stat {
  _Atomic uint64_t total;   /* blocks granted, or come with their page */
  _Atomic uint64_t current; /* of these, not freed when last looked at */
  _Atomic uint64_t peak;
  uint64_t base; /* of total, at the last reset; under the heaps' lock, as the next two */
  uint64_t live; /* in pages, when the process was last surveyed */
  uint64_t pages;
} class_stat_t;
enum { CLASS_BYTES = 0 };
static inline uint64_t stat_get(const _Atomic uint64_t* figure) {
  return atomic_load_explicit(figure, memory_order_relaxed);
}
static inline void stat_set(_Atomic uint64_t* figure, uint64_t value) {
  atomic_store_explicit(figure, value, memory_order_relaxed);
}
static inline void stat_add(_Atomic uint64_t* figure, uint64_t n) { /* by its only writer */
  stat_set(figure, stat_get(figure) + n);
}
static inline void stat_add_shared(_Atomic uint64_t* figure, uint64_t n) {
  atomic_fetch_add_explicit(figure, n, memory_order_relaxed);
}

struct mi_heap_s {
  block_t* list[CLASS_COUNT];
  queue_t queue[CLASS_COUNT];
  page_t* full;
  page_t* taken;             /* off the delayed list, and not looked at yet */
  size_t kept;               /* bytes of empty pages in queues */
  unsigned look;             /* the class in which emptied pages were searched last, */
  bool look_again;           /* and some found */
  _Atomic delayed_t delayed; /* pages with remote frees */
  _Atomic size_t idle_bytes; /* emptied by others since the owner last looked, or before its life */
  mi_task_t* task;
  arena_t* arena;
  mi_heap_t* next; /* the task's heaps; free list of records */
  mi_heap_t* all;  /* all records ever made; under the heaps' lock, as the next two */
  bool known;      /* it is among them */
  bool alive;
  bool by_grant; /* its task's byte limit counts what is granted here */
  bool adopts;   /* what ended threads left, so it cannot end with its blocks */
  uint8_t tag;   /* it adopts pages of the same tag */
  class_stat_t stat[CLASS_COUNT];
  unsigned deferred_count; /* callbacks of this heap; its task's alone */
  struct {
    mi_heap_deferred_free_fun* fn;
    void* arg;
  } deferred[HEAP_DEFERRED_MAX];
};
/* A heap without blocks: what a thread has before its first allocation. */
extern mi_heap_t heap_none;

/* ---- Subprocess ---------------------------------------------------------------------------------
**
** Tasks that adopt each other's pages and nobody else's. A record is in use until it was deleted and
** its last user is gone, a task or who looks at its pages; then what it has left is the main one's.
** No id is used twice (in 4 million lives), so that follows from the ids alone: an id that no record
** in use has means the main one, see subproc_of. All but the atomic fields is under the heaps' lock. */
enum { SUBPROC_MAX = 1024 };

typedef struct subproc {
  _Atomic uint32_t id;                     /* index + SUBPROC_MAX * life */
  _Atomic uint32_t abandoned[CLASS_COUNT]; /* pages with a bit; a hint, but never too few */
  uint32_t users;                          /* the program, until it deletes it, is one */
  bool deleted;
  uint64_t threads, threads_peak, threads_total;
  class_stat_t ended[CLASS_COUNT]; /* heaps that ended, and abandoned pages; totals by any thread */
} subproc_t;
extern subproc_t subprocs[SUBPROC_MAX]; /* the first is the main one */

static inline subproc_t* subproc_of(uint32_t id) {
  subproc_t* s = &subprocs[id % SUBPROC_MAX];
  return atomic_load_explicit(&s->id, memory_order_relaxed) == id ? s : &subprocs[0];
}

/* ---- Task ---------------------------------------------------------------------------------------
**
** The ticks charged so far are goal - countdown. goal is the tick of the next beat, a multiple of
** period; countdown is in the thread's `tls` while the task runs there and in `parked` else, as
** it is in a callback. */
enum { UPPER_BYTES = 768 };

typedef enum drain_mode { DRAIN_REFILL, DRAIN_ALL } drain_mode;
/* What rc/ registers: the refill of `class` wants `words`; spends work in proportion and answers
** whether work still waits (then the refill hands out no more than `quantum` words). */
typedef bool(drain_fun)(mi_task_t* task, mi_heap_t* heap, unsigned class, size_t words,
                        drain_mode mode);
typedef void(beat_fun)(mi_task_t* task, uint64_t beat);

enum task_hooks { HOOK_DRAIN = 1, HOOK_HEAPS = 2 };

typedef struct pause_record {
  uint64_t count, units, ns, total_ns;
} pause_record_t;
enum { PAUSE_RC_DEC, PAUSE_REFILL, PAUSE_BEAT, PAUSE_KINDS };

struct mi_task {
  _Alignas(64) mi_heap_t* heap; /* mi_malloc's; heap_none until used */
  mi_heap_t* backing;           /* the first that was so; ends with the task */
  mi_heap_t* exact;             /* where sizes are counted exactly (rc_*, rt_*); may be `heap` */
  mi_heap_t* heaps;
  arena_t* arena;     /* the process's or a region, for heaps that name no other */
  subproc_t* subproc; /* written under the heaps' lock */
  int64_t parked;
  uint64_t goal;
  uint64_t period;
  uint64_t age; /* of its arena's decay, see task.c */
  bool in_callback;
  bool measure;
  bool implicit;               /* a thread's own */
  size_t quantum;              /* words that a refill hands out while work waits */
  drain_fun* drain;            /* NULL while nothing waits; set by task_set_drain */
  unsigned hooks;              /* what a refill has to call: of enum task_hooks */
  bool (*on_exit)(mi_task_t*); /* the thread ended, the heaps are gone; true: took the record */
  beat_fun* on_beat;
  bool (*on_refusal)(mi_task_t*); /* the byte limit is hit; true: it was raised */
  uint64_t units;                 /* of draining, so far */
  size_t bytes;                   /* logical bytes held */
  size_t bytes_peak;
  size_t bytes_limit;
  pause_record_t pauses[PAUSE_KINDS];
  struct quarantine* quarantine; /* secure.c's; NULL in other builds, or with a region */
  mi_task_t* next;               /* free list of records */
  _Alignas(16) unsigned char upper[UPPER_BYTES]; /* rc/'s state; zero in a new task */
};

typedef struct tls {
  mi_heap_t* heap;
  int64_t countdown;
  mi_task_t* task; /* NO_TASK before the first allocation */
} tls_t;
extern _Thread_local tls_t tls;
#define NO_TASK ((mi_task_t*)(uintptr_t)PAGE_FLAGS) /* equals no page's owner */
#define COUNTDOWN_NONE ((int64_t)1) /* in a thread without a task: the first charge makes one */
#define COUNTDOWN_UNBOUND INT64_MAX /* in callbacks */
#define CLOCK_MAX ((uint64_t)1 << 62)

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

/* ---- os.c: the operating system -------------------------------------------------------------- */

void* os_map(size_t size, size_t align); /* zero memory, or NULL and ENOMEM */
void* os_reserve(size_t size, size_t align);
/* Where memory is full, unless the user wants them nowhere, or everywhere; false: they were not asked for. */
bool os_want_huge_pages(void* p, size_t size);
void os_want_no_huge_pages(void* p, size_t size);
bool os_commit(void* p, size_t size);   /* of what was reserved */
bool os_decommit(void* p, size_t size); /* back to reserved; contents are lost */
bool os_protect(void* p, size_t size);  /* nobody reads or writes it; os_commit undoes that */
void os_unmap(void* p, size_t size);
/* A mapping gets larger where it is, or goes to another one of the new size, of which nothing is in
** use. If that fails, nobody knows whether the other one is still mapped: it is left alone. */
bool os_extend(void* p, size_t size, size_t new_size);
bool os_move(void* p, size_t size, void* to, size_t new_size);
/* In huge pages of 2^shift bytes, zero, on that NUMA node if it can be (-1: any); NULL: there are
** none. For a size of several pages, all or none. */
void* os_map_huge(void* at, size_t size, int shift, int node);
void* os_free_space(size_t size, size_t align); /* where nothing is mapped right now; or NULL */
int os_nodes(void);
bool os_purge(void* p, size_t size);        /* gives the memory back; reads as zero afterwards */
bool os_purge_lazily(void* p, size_t size); /* the system may take it; reads as zero or as it was */
size_t os_page_size(void);
bool os_random(void* to, size_t size);
uint64_t os_now_ns(void);
static inline uint64_t ns_since(uint64_t since) {
  uint64_t now = os_now_ns();
  return now > since ? now - since : 0;
}
/* The start of a file, as text; false: it cannot be read. */
bool os_read_file(const char* path, char* text, size_t room);
void os_write_error(const char* text, size_t length);
void os_keep_stderr(void); /* for what is written when the program has closed it */
void os_drop_stderr(void);

/* ---- options.c ------------------------------------------------------------------------------- */

enum { OPTION_COUNT = mi_option_secure_fill + 1 };
long option_value(mi_option_t id);
static inline bool may_ask_system(void) { return !option_value(mi_option_disallow_os_alloc); }
void options_init(void);
void options_print_at_start(void);
void output_write(const char* text, void* unused); /* to what was registered, or stderr */
void message(const char* format, ...) __attribute__((format(printf, 1, 2)));
void warn(const char* format, ...) __attribute__((format(printf, 1, 2))); /* up to MAX_WARNINGS */
/* For the middle of an allocation, which a program's output function could disturb by another: said,
** each text once, at the end of a refill or collection. */
void warn_later(const char* text);
extern _Atomic uint32_t warnings_due;
void warnings_say(void);
static inline void say_due(void) {
  if (unlikely(atomic_load_explicit(&warnings_due, memory_order_relaxed) != 0)) warnings_say();
}
/* A misuse that was found: one line "sluice: error: ...", in checked builds the calls that led there, then
** the program's error function, then abort if the build or option says so. */
void report_error(int code, const char* format, ...) __attribute__((format(printf, 2, 3)));
void call_error_fun(int code);
void trace_say(void); /* trace.c */

/* ---- chunk.c --------------------------------------------------------------------------------- */

/* Zero memory that is never freed; NULL: no memory. */
void* record_alloc(size_t size, size_t align);
void records_unmap(void);
chunk_t* chunk_record(void); /* NULL: no memory */
void chunk_record_free(chunk_t* c);
void table_set(const char* base, page_t* records); /* NULL: the chunk is not ours any more */
bool table_has(const char* base);
/* The first slice is zero; `zero`: the others, too. false: no memory for the records. */
bool chunk_init(chunk_t* c, arena_t* arena, char* base, size_t size, bool zero);
void chunk_undo(chunk_t* c); /* of which nobody has any slice, but for the records */
/* Page records of a chunk or a huge block: its first slice, or, in checked builds, a mapping apart. */
page_t* page_records_new(char* base);
void page_records_end(page_t* records);
page_t* chunk_take(chunk_t* c, uint32_t slices, bool* zero); /* NULL: no such run is free */
uint32_t chunk_purge_some(chunk_t* c, uint32_t runs); /* how many runs there were, at most `runs` */
void chunk_purge(chunk_t* c); /* all, so that no memory of free slices is resident */
void chunk_give(page_t* page);
bool page_purge(page_t* page);
void chunk_mark_abandoned(page_t* page);
bool chunk_take_abandoned(page_t* page); /* true: the caller owns the page now */
/* Pages that ended threads left: */
typedef struct wanted {
  const subproc_t* subproc;
  arena_t* arena; /* where heaps of that arena may be; NULL: anywhere */
  unsigned class; /* 0: any */
  int tag;        /* -1: any */
} wanted_t;
bool page_is_wanted(const page_t* page, const wanted_t* w); /* but for the arena */
page_t* chunk_adopt(chunk_t* c, const wanted_t* w);

/* ---- arena.c --------------------------------------------------------------------------------- */

page_t* slices_alloc(arena_t* arena, uint32_t slices, bool* zero); /* NULL: no memory */
void slices_free(page_t* page);                                    /* may purge others */
/* Address space for a huge block, at least *size bytes, whose first slice is zero (*zero: all);
** *arena is whose it is then. NULL: there is none. */
char* space_take(arena_t** arena, size_t* size, size_t align, bool* zero);
void space_give(arena_t* arena, char* p, size_t size);
void arena_count_mapped(arena_t* arena, size_t size);
void arena_count_unmapped(arena_t* arena, size_t size);
/* Now and then: purges a little of what is not needed. With the process's arena go the program's. */
void arena_decay(arena_t* arena);
void arena_purge(arena_t* arena); /* all that is free */
void arenas_purge(void);          /* the process's and the program's */
arena_t* arena_new(void);         /* with a region of its own; NULL and ENOMEM */
void arena_delete(arena_t* arena);
/* One for the program, with the area and properties of `like`, all places as given. 0; EINVAL: some
** of it is ours already; ENOMEM. */
int arena_add(const arena_t* like, uint8_t places, int* id);
void memory_unmap(void); /* all that there is; nobody uses any of it, or will */
/* Calls visit, which must not allocate, for each page of an arena, owned by anybody; pages may
** change meanwhile. */
void arena_visit(arena_t* arena, void (*visit)(page_t*, void*), void* arg);
void arenas_visit(void (*visit)(page_t*, void*), void* arg); /* the process's and the program's */
void wanted_visit(const wanted_t* w, void (*visit)(page_t*, void*),
                  void* arg);           /* huge blocks only */
page_t* arena_adopt(const wanted_t* w); /* NULL: none, or other threads interfere */

/* ---- reserve.c ------------------------------------------------------------------------------- */

void reserve_at_start(void);          /* what the options say */
arena_t* arena_of_id(int id);         /* 0: the process's; NULL: there is none */
arena_t* arena_around(const void* p); /* of the program's; or NULL */

/* ---- huge.c ---------------------------------------------------------------------------------- */

page_t* huge_alloc(arena_t* arena, size_t size, size_t align, bool* zero); /* NULL: no memory */
/* By its owner, who has it in no list: the block gets `size` bytes and keeps its alignment, in place
** or elsewhere; memory beyond huge_room is zero then. NULL: nothing has changed. */
page_t* huge_resize(page_t* page, size_t size, size_t align);
size_t huge_room(const page_t* page); /* bytes from its start that are mapped */
void huge_purge(void);                /* forgets all that is kept for reuse */
void huge_decay(void);                /* now and then: what is not needed */
void huge_free(page_t* page);
void huge_visit(arena_t* arena, void (*visit)(page_t*, void*), void* arg); /* under the lock */
page_t* huge_around(arena_t* arena, const void* p); /* whose block p points into; or NULL */
static inline bool page_is_huge(const page_t* page) { return page->span > LARGE_BLOCK_MAX; }

/* ---- remote.c -------------------------------------------------------------------------------- */

void remote_free(page_t* page, block_t* block);
void free_again(const void* p);   /* reports that it heads the list of what was freed in its page */
uint32_t page_live(page_t* page); /* blocks in use, as far as is known */
block_t* remote_freed(page_t* page); /* those of others' frees that are not collected yet */
bool remote_collect(page_t* page);   /* takes what others freed into page->free, which is empty */
bool remote_set_full(page_t* page);
void remote_set_normal(page_t* page);
void remote_take_delayed(mi_heap_t* heap, uint32_t most); /* looks at so many of its pages */
bool remote_has_emptied(page_t* page); /* others freed all that was in use, and `used` is above 0 */
void remote_open(mi_heap_t* heap);     /* a record's next life begins */
void remote_close(mi_heap_t* heap);    /* pages on the delayed list go to where page->heap says */
bool remote_detach(page_t* page); /* page->heap becomes NULL; false: somebody else releases it */
void page_drop(page_t* page);     /* the owner gives up an empty page that is in no list */
void page_abandon(page_t* page, const subproc_t* s);
/* A page that ended threads left is the caller's: to adopt, to drop, or to put back after a look.
** NULL: there is none. */
page_t* remote_take(const wanted_t* w);
void remote_put_back(page_t* page);
uint32_t remote_adopt(page_t* page, mi_heap_t* heap); /* how many blocks live there */
/* The same for a huge block's page, from wanted_visit; false: it is not such a page, or somebody has it.
** It is dropped by page_drop and put back. */
bool remote_hold(page_t* page, const wanted_t* w);
void remote_hold_end(page_t* page);

/* ---- page.c ---------------------------------------------------------------------------------- */

page_t* page_new(mi_heap_t* heap, unsigned class);
page_t* page_new_single(mi_heap_t* heap, size_t size, size_t align, size_t shift);
page_t* page_resize_huge(page_t* page, size_t size, size_t align); /* as huge_resize */
size_t single_bytes(size_t size); /* what it counts against a byte limit */
bool page_grant(mi_heap_t* heap, page_t* page, size_t limit);
void page_retire(page_t* page);
void page_leave(mi_heap_t* heap, page_t* page); /* an empty page, out of its queue and the heap */
void heap_release_emptied(mi_heap_t* heap);     /* a little of the search, at each refill */
void page_unfull(page_t* page);
void page_free_full(page_t* page, block_t* block);
void page_to_full(mi_heap_t* heap, page_t* page);
void page_account(mi_heap_t* heap, page_t* page); /* brings statistics and limits up to `used` */
void page_leaves_heap(page_t* page);              /* statistics and limits forget it */
void page_adopt(mi_heap_t* heap, page_t* page);   /* after remote_take */
void page_move(page_t* page, mi_heap_t* to); /* which is in no list, from its heap to another */
size_t granted_bytes(const page_t* page);    /* what a block counts: the same in all builds */
bool heap_find(mi_heap_t* heap, unsigned class, size_t limit);
page_t* heap_take_left(const mi_heap_t* heap, unsigned class); /* to adopt it; NULL: none */
void heap_ungrant(mi_heap_t* heap, unsigned class);
void queue_push(queue_t* q, page_t* page);
void queue_remove(queue_t* q, page_t* page);
void full_push(mi_heap_t* heap, page_t* page);
void full_remove(mi_heap_t* heap, page_t* page);
size_t page_block_size(const page_t* page); /* that a program may use */
size_t single_tail(bool padded);            /* what lies behind a single block at least */
void page_set_stride(page_t* page, unsigned class);
void page_set_inside(page_t* page); /* by its owner */
void page_check(page_t* page);      /* debug builds: asserts the text above struct page */
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

/* A free block's link: in its first word, or out of line. */
block_t* checked_next(const page_t* page, const block_t* block);
void checked_link(page_t* page, block_t* block, const block_t* next);
static inline block_t* block_next(const page_t* page, const block_t* block) {
  return CHECKED ? checked_next(page, block) : block->next;
}
static inline void block_link(page_t* page, block_t* block, block_t* next) {
  if (CHECKED)
    checked_link(page, block, next);
  else
    block->next = next;
}

/* The owner's free: `page` is the task's own and not full. */
static inline void page_free_local(page_t* page, block_t* block) {
  block_link(page, block, page->local_free);
  page->local_free = block;
  if (unlikely(--page->used == 0)) page_retire(page);
}

/* Only in a thread's own task: others end with their blocks. */
static inline bool heap_adopts(const mi_heap_t* heap) {
  return heap->task->implicit && heap->adopts;
}
/* The calling task's, and for the program to use: not where a task of runtime/ counts exactly. */
static inline bool heap_is_mine(const mi_heap_t* heap) {
  return heap->task == tls.task && heap->alive &&
         (heap != heap->task->exact || heap->task->implicit);
}

/* ---- subproc.c ------------------------------------------------------------------------------- */

void subproc_enter(mi_task_t* task); /* the calling thread's, while the task lives */
void subproc_leave(mi_task_t* task);
void subproc_add_ended(subproc_t* s, const class_stat_t* stat); /* of a heap; under the lock */
subproc_t* subproc_use(mi_subproc_id_t id); /* it stays until the end of use; NULL, with a report */
void subproc_end_use(subproc_t* s);

/* Blocks have zones, and come in any order: not where addresses repeat, as in all builds. */
static inline bool task_is_padded(const mi_task_t* task) {
  return CHECKED && (task == NULL || task == NO_TASK || !arena_is_region(task->arena));
}
static inline bool heap_is_padded(const mi_heap_t* heap) {
  return task_is_padded(heap->task != NULL ? heap->task : tls.task);
}

/* ---- heap.c, task.c -------------------------------------------------------------------------- */

mi_heap_t* heap_new(mi_task_t* task, arena_t* arena);
/* Abandons its pages, or frees them with all blocks. */
void heap_end(mi_heap_t* heap, bool abandon);
void heap_collect(mi_heap_t* heap);
bool heap_is_mine_checked(const mi_heap_t* heap); /* false, with a report: NULL, or not mine */
void heap_collect_beside(mi_heap_t* heap);        /* its task's heaps that share the arena */
void heap_ungrant_all(mi_heap_t* heap);
extern mi_heap_t* heaps_all; /* all records, by their `all`; under the lock */
/* The next heap that is alive and the subprocess's, behind `heap` (NULL: the first). It may end at any
** time. */
mi_heap_t* heap_after(mi_heap_t* heap, const subproc_t* s);

/* All locks, in the order in which they may be taken. They are held around a fork, so that the child
** finds what they guard whole; fork_guard adds one of an upper layer, in front. */
extern pthread_mutex_t tasks_lock, heaps_lock, arenas_lock, huge_lock, records_lock, table_lock,
    output_lock;
void fork_guard(pthread_mutex_t* lock);
extern _Atomic uint32_t fork_count; /* of forks that led to this process */
void unload_prepare(void);          /* by the constructor */
void threads_forget(void);          /* no thread's end calls the library any more */
void process_init(void);
extern uint64_t process_start_ns;
mi_task_t* task_self(void);         /* the thread's; made if need be; NULL: no memory */
mi_heap_t* task_default_heap(void); /* the same for its default heap, */
mi_heap_t* task_backing_heap(void); /* and for its first one */
mi_heap_t* task_exact_heap(void);
mi_task_t* task_new(arena_t* arena, uint64_t period, bool implicit);
void task_delete(mi_task_t* task, bool abandon); /* not bound to any thread */
void task_recycle(mi_task_t* task);              /* a record that on_exit kept */
void task_bind(mi_task_t* task); /* makes it the thread's; the one before is parked */
void task_charge_slow(uint64_t ticks);
extern _Atomic(struct deferred*) deferred; /* the callbacks that are registered */
/* Set by rc/ while work waits that ended threads left: for any thread's own task without a `drain`
** of its own. A hint, so relaxed. */
extern _Atomic(drain_fun*) task_drain_orphans;
static inline bool task_has_orphans(const mi_task_t* task) {
  return atomic_load_explicit(&task_drain_orphans, memory_order_relaxed) != NULL && task->implicit;
}
static inline bool task_has_hooks(const mi_task_t* task) {
  return task->hooks != 0 || atomic_load_explicit(&deferred, memory_order_relaxed) != NULL ||
         task_has_orphans(task);
}
static inline void task_set_drain(mi_task_t* task, drain_fun* drain) {
  task->drain = drain;
  task->hooks = (task->hooks & HOOK_HEAPS) | (drain != NULL ? HOOK_DRAIN : 0);
}
void task_heap_ends(mi_heap_t* heap); /* its callbacks end with it */
bool task_on_refill(mi_heap_t* heap, unsigned class, size_t words);
void task_force(mi_task_t* task); /* out of memory, or collect: everything that can be freed */
/* Is there room for `bytes` below the limit? All that waits is drained, and what is free collected,
** before the answer is no. */
bool task_make_room(mi_task_t* task, size_t bytes);
bool task_reserve_slow(mi_task_t* task, size_t bytes);
uint64_t task_ticks(const mi_task_t* task);
void pause_record(mi_task_t* task, int kind, uint64_t units, uint64_t since_ns);

/* The charge of a call that asks for `size` bytes; sizes that cannot be are charged 1. */
static inline uint64_t ticks_of(size_t size) { return size > PTRDIFF_MAX ? 1 : 1 + size / KiB; }
static inline void task_charge(uint64_t ticks) {
  if (likely(tls.countdown > (int64_t)ticks && (int64_t)ticks > 0))
    tls.countdown -= (int64_t)ticks;
  else
    task_charge_slow(ticks);
}
/* Counts `bytes` against the task's limit; false: the limit is hit even after a full drain. */
static inline bool task_reserve(mi_task_t* task, size_t bytes) {
  size_t held = task->bytes + bytes;
  if (unlikely(held > task->bytes_limit || held < bytes)) return task_reserve_slow(task, bytes);
  task->bytes = held;
  return true;
}
/* The memory was there, too. */
static inline void task_reserved(mi_task_t* task) {
  if (task->bytes > task->bytes_peak) task->bytes_peak = task->bytes;
}
/* What another task allocated was counted there. */
static inline void task_unreserve(mi_task_t* task, size_t bytes) {
  task->bytes -= bytes < task->bytes ? bytes : task->bytes;
}

/* ---- alloc.c --------------------------------------------------------------------------------- */

/* These charge nothing. */
void* heap_alloc(mi_heap_t* heap, size_t size, bool zero);
void* heap_alloc_words(mi_heap_t* heap, size_t words); /* aligned to one word */
/* (result + offset) is a multiple of align, a power of two; with an offset align is at most SLICE. */
void* heap_alloc_aligned(mi_heap_t* heap, size_t size, size_t align, size_t offset, bool zero);
/* With zero, all that lies beyond the old size is zero, if that was so of the old block. */
void* heap_realloc(mi_heap_t* heap, void* p, size_t size, size_t align, size_t offset, bool zero);
/* p's page, if p is a block; else NULL, reported as misuse by `what`. */
page_t* page_checked(const void* p, const char* what);
/* What the program may use behind p. */
size_t page_usable(const page_t* page, const void* p);
page_t* page_of(const void* p); /* NULL: p is not in a page of ours */
void free_block(const mi_task_t* self, page_t* page, block_t* block); /* by whoever that task is */

/* ---- visit.c --------------------------------------------------------------------------------- */

typedef struct visit {
  mi_block_visit_fun* visitor;
  void* arg;
  bool blocks;
} visit_t;
/* The page is the caller's, and nothing of it is granted. */
bool visit_page(mi_heap_t* heap, page_t* page, const visit_t* v);

/* ---- checked.c, secure.c: called in checked builds only --------------------------------------- */

void checked_init(void);
void checked_page(page_t* page);   /* it comes into being */
void checked_purged(page_t* page); /* its memory went away, and with it all blocks */
/* Makes page->free of n blocks, the first of which is `first`; in random order where that may be. */
void checked_extend(page_t* page, uint32_t first, uint32_t n);
bool checked_release(page_t* page); /* false: its memory must not be used again */
/* The heap's next block of the class for a request of `size`, or NULL if its list is empty; or a
** block that was taken from there. What was freed before must not have been written to since. */
void* checked_take(mi_heap_t* heap, unsigned class, size_t size);
void* checked_alloc(block_t* block, size_t size, bool zero);
void checked_inside(page_t* page, char* block, size_t adjust, size_t size); /* of a block in use */
void checked_single(page_t* page, size_t size, bool zero);
/* Is p a block in use? false: misuse in a call of `what`, reported. */
bool checked_is_block(const page_t* page, const void* p, const char* what);
void checked_free(void* p);                                         /* mi_free */
void checked_resize(page_t* page, void* p, size_t size, bool zero); /* which fits */
size_t checked_size(const page_t* page, const void* p);             /* what was asked for */
/* Of a block of malloc's; and: if it is not that maker's, that is reported, and then it is malloc's. For
** operators.c alone, which the one-file core lacks. */
enum maker { BY_MALLOC, BY_NEW, BY_NEW_ARRAY };
void checked_set_maker(void* p, unsigned maker) __attribute__((unused));
void checked_is_made_by(void* p, unsigned maker) __attribute__((unused));
void checked_freed(const page_t* page, block_t* block); /* it waited: still untouched? */

bool secure_begin(mi_task_t* task); /* false: no memory, or no random numbers */
void secure_end(mi_task_t* task);
/* Keeps a freed block of the task's own back, and frees one that waited long enough. */
void secure_hold(mi_task_t* task, page_t* page, block_t* block);
void secure_flush(mi_task_t* task); /* frees all that waits */
uint32_t secure_random(mi_task_t* task, uint32_t below);
void secure_guard(page_t* page);     /* a single block's, behind it */
void secure_protect(page_t* page);   /* a single block was freed: nobody reads or writes it */
bool secure_unprotect(page_t* page); /* before its slices are used again */

#endif
