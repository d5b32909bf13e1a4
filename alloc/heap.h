/* heap.h: where pages come from and whom they belong to: chunks and arenas, heaps, subprocesses, tasks. */
#ifndef SLUICE_HEAP_H
#define SLUICE_HEAP_H

#include "alloc/page.h"

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
/* A region begins with a small chunk: its first slice has the records of so many slices, and behind them the first
** block of a compact task, in the same page of the system. It is always at the first place, and the next chunk at the
** second one. */
enum { START_SLICES = 16, START_RECORDS = START_SLICES * RECORD };
enum { REGION_PLACES = REGION / CHUNK, SECOND = 1 }; /* the place of that */
enum { PLACE_USED = 1, PLACE_COMMITTED = 2, PLACE_DIRTY = 4 };

struct chunk {
  _Atomic uint64_t busy[BITMAP_WORDS];
  _Atomic uint64_t abandoned[BITMAP_WORDS];
  _Atomic uint64_t dirty[BITMAP_WORDS];
  _Atomic uint64_t lazy[BITMAP_WORDS];
  _Atomic uint32_t free_slices;
  atomic_bool huge_pages;     /* were asked for, until some of its memory is given back, or */
  _Atomic uint32_t nurseries; /* many were made here */
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
  arena_t* all;     /* all records of regions ever made; under records_lock, as the next two */
  arena_t* prev;    /* of a region that is kept */
  uint64_t kept_ns; /* since when */
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

/* Written by the owner, but for a reset of the peak, and read by any thread: relaxed, each figure for
** itself. total - base is at least what lives in the pages that are the heap's now: the blocks of a
** page that moves to another heap go with it, from total to total. Class 0, which has no blocks,
** counts the bytes of single blocks. */
typedef struct class_stat {
  _Atomic uint64_t total;   /* blocks granted, or come with their page */
  _Atomic uint64_t current; /* of these, not freed when last looked at */
  _Atomic uint64_t peak;
} class_stat_t;
/* Of each class, once somebody asks; under the heaps' lock. */
typedef struct class_survey {
  uint64_t base; /* of total, at the last reset */
  uint64_t live; /* in pages, when the process was last surveyed */
  uint64_t pages;
} class_survey_t;
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
  /* Bit c: list[c], queue[c] and stat[c] were used in this life; the others are 0. The owner's alone. */
  uint64_t classes;
  class_stat_t stat[CLASS_COUNT];
  class_survey_t* survey;  /* CLASS_COUNT; NULL: there was none yet, or no memory for it */
  unsigned deferred_count; /* callbacks of this heap; its task's alone */
  struct {
    mi_heap_deferred_free_fun* fn;
    void* arg;
  } deferred[HEAP_DEFERRED_MAX];
};
_Static_assert(CLASS_COUNT < 64, "a bit for each class");
#define ALL_CLASSES (((uint64_t)1 << CLASS_COUNT) - 1)
static inline void heap_uses(mi_heap_t* heap, unsigned class) {
  heap->classes |= (uint64_t)1 << class;
}
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
  class_survey_t survey[CLASS_COUNT]; /* of these */
} subproc_t;
extern subproc_t subprocs[SUBPROC_MAX]; /* the first is the main one */

static inline subproc_t* subproc_of(uint32_t id) {
  subproc_t* s = &subprocs[id % SUBPROC_MAX];
  return atomic_load_explicit(&s->id, memory_order_relaxed) == id ? s : &subprocs[0];
}

/* ---- Task ---------------------------------------------------------------------------------------
**
** The ticks charged so far are goal - countdown. countdown is in the thread's `tls` while the task runs there
** and in `parked` else, as it is in a callback; it is above 0, but while a charge is made. goal is the tick at
** which something is due: the next beat, at beat_at, a multiple of period; or the alarm, if that comes first (the
** next charge, if it is due already). */
enum { UPPER_BYTES = 784 };

typedef enum drain_mode { DRAIN_REFILL, DRAIN_BEAT, DRAIN_ALL } drain_mode;
/* What rc/ registers: the refill of `class` wants `words`; spends work in proportion and answers
** whether work still waits (then the refill hands out no more than `quantum` words). Called at each beat, too. */
typedef bool(drain_fun)(mi_task_t* task, mi_heap_t* heap, unsigned class, size_t words,
                        drain_mode mode);
typedef void(beat_fun)(mi_task_t* task, uint64_t beat);

enum task_hooks { HOOK_DRAIN = 1, HOOK_HEAPS = 2 };

/* What makes a program stand still: the last reference to an object goes; a refill, of blocks up to QUANTUM_WORDS
** or of larger ones; a beat; a drain of everything, by itself or in one of the others. Pauses nest, and the outermost
** is noted, as `forced` if there was one within. Units are those of draining. */
enum { PAUSE_RC_DEC, PAUSE_REFILL, PAUSE_REQUEST, PAUSE_BEAT, PAUSE_FORCED, PAUSE_KINDS };
enum { QUANTUM_WORDS = 256 };
typedef struct pause_record {
  uint64_t count, units, ns, total_ns;
} pause_record_t;
typedef struct pause {
  int kind;
  uint64_t units, since_ns, ns; /* times are 0 unless they are measured */
} pause_t;

struct mi_task {
  /* To the limit, in logical bytes: held are bytes_limit - room. (In a thread's own task it may be above the limit:
  ** objects of a page that was adopted were counted elsewhere, but are given back here.) */
  _Alignas(64) int64_t room;
  int64_t objects;       /* rc/: constructed here, and not freed here */
  int64_t watch;         /* runtime/: below that room what it inlines into programs gives up */
  int64_t room_least;    /* when last some were given back; the peak follows from it */
  int64_t bytes_limit;   /* BYTES_UNLIMITED: none */
  int64_t bytes_granted; /* of those that are held: what is counted by grants, not exactly */
  mi_heap_t* heap;       /* mi_malloc's; heap_none until used */
  mi_heap_t* backing;    /* the first that was so; ends with the task */
  mi_heap_t* exact;      /* where sizes are counted exactly (rc_*, rt_*); may be `heap` */
  mi_heap_t* heaps;
  arena_t* arena;     /* the process's or a region, for heaps that name no other */
  subproc_t* subproc; /* written under the heaps' lock */
  int64_t parked;
  uint64_t goal;
  uint64_t beat_at;
  uint64_t alarm; /* ALARM_NONE: none; set by task_set_alarm */
  uint64_t period;
  uint64_t age; /* of its arena's decay, see task.c */
  bool in_callback;
  bool notes_pauses;
  bool measure;                /* with their times */
  bool forced;                 /* in the pause that goes on everything was drained */
  unsigned pauses_open;        /* that have begun: each in the one before */
  bool implicit;               /* a thread's own */
  bool exact_hidden;           /* from inlined constructors: each is looked at */
  size_t quantum;              /* words that a refill hands out while work waits */
  drain_fun* drain;            /* NULL while nothing waits; set by task_set_drain */
  unsigned hooks;              /* what a refill has to call: of enum task_hooks */
  bool (*on_exit)(mi_task_t*); /* the thread ended, the heaps are gone; true: took the record */
  void (*on_delete)(mi_task_t*, bool abandon); /* first of all, when the task ends */
  void (*on_force)(mi_task_t*);                /* after a drain of all that waits */
  void (*on_look)(mi_task_t*);                 /* at each beat; may not allocate */
  beat_fun* on_beat;
  void (*on_alarm)(
      mi_task_t*); /* within the charge that reached it, after a beat; sets the next one */
  bool (*on_refusal)(mi_task_t*,
                     size_t); /* so many bytes are above the limit; true: it was raised */
  uint64_t units;             /* of draining, so far */
  pause_record_t pauses[PAUSE_KINDS];
  void (*on_pause)(mi_task_t*, const pause_t*); /* may not allocate; NULL: none */
  struct recorder* recorder;                    /* runtime/'s, for on_pause */
  struct quarantine* quarantine; /* secure.c's; NULL in other builds, or with a region */
  struct nursery* nursery;       /* of compact tasks: where blocks are cut from */
  size_t nursery_size;           /* of the memory that it begins */
  struct nursery* nest;          /* the first of them, if it lies in a nest: */
  size_t nest_size;
  struct nest_group* nest_group;                 /* whose nest */
  mi_task_t* next;                               /* free list of records */
  _Alignas(16) unsigned char upper[UPPER_BYTES]; /* rc/'s state; zero in a new task */
};

/* `exact` is that of the task, for rc_alloc as it is inlined into programs; heap_none in checked builds, so
** that they get to see every allocation. */
typedef struct tls {
  mi_heap_t* heap;
  int64_t countdown;
  mi_task_t* task; /* NO_TASK before the first allocation */
  mi_heap_t* exact;
} tls_t;
extern _Thread_local tls_t tls;
#define NO_TASK ((mi_task_t*)(uintptr_t)PAGE_FLAGS) /* equals no page's owner */
#define COUNTDOWN_NONE ((int64_t)1)     /* in a thread without a task: the first charge makes one */
#define COUNTDOWN_UNBOUND INT64_MAX     /* in callbacks */
#define BYTES_UNLIMITED (INT64_MAX / 2) /* so that room can be above */
#define CLOCK_MAX ((uint64_t)1 << 62)
#define ALARM_NONE UINT64_MAX

#endif
