/* internal.h: what the files of the allocator offer each other.
**
** Memory comes in CHUNKs (32 MiB, aligned), cut into SLICEs (64 KiB). A PAGE is a run of slices
** with blocks of one size class; its record (128 bytes) is the chunk's first slice's slot with
** the number of the page's first slice. The address of a record follows from a block's address
** by arithmetic and one look into a flat table of chunks (page_of). A page belongs to a HEAP, a
** heap to a TASK. The structures and what holds of them: page.h, heap.h.
**
** Include order: policy.h, mimalloc.h, page.h, heap.h, internal.h; the files, from the system upwards:
**   os.c options.c trace.c chunk.c arena.c region.c huge.c nest.c reserve.c remote.c page.c heap.c
**   subproc.c task.c alloc.c nursery.c forms.c theap.c visit.c stats.c json.c process.c unload.c
**   checked.c secure.c override.c operators.c
*/
#ifndef SLUICE_INTERNAL_H
#define SLUICE_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "alloc/heap.h"

/* ---- os.c: the operating system -------------------------------------------------------------- */

void* os_map(size_t size, size_t align); /* zero memory, or NULL and ENOMEM */
void* os_reserve(size_t size, size_t align);
/* Where memory is full, unless the user wants them nowhere, or everywhere; false: they were not asked for. */
bool os_want_huge_pages(void* p, size_t size);
void os_want_no_huge_pages(void* p, size_t size);
bool os_commit(void* p, size_t size);   /* of what was reserved */
void os_populate(void* p, size_t size); /* it will be written, all of it */
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

enum { OPTION_COUNT = mi_option_show_leaks + 1 };
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
void trace_say(void);                                      /* trace.c */
void trace_place(char* text, size_t size, const void* at); /* FILE+0xOFFSET (FUNCTION) */

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
page_t* chunk_take_start(chunk_t* c, bool* zero);     /* a region's start; NULL: it is taken */
uint32_t chunk_purge_some(chunk_t* c, uint32_t runs); /* how many runs there were, at most `runs` */
void chunk_purge(chunk_t* c); /* all, so that no memory of free slices is resident */
void chunk_give(page_t* page);
bool page_purge(page_t* page);
void chunk_no_huge_pages(chunk_t* c);
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
/* A region's first slice, behind the records. NULL: it is no region, or that is taken. */
page_t* start_alloc(arena_t* arena, bool* zero);
void slices_free(page_t* page); /* may purge others */
/* Address space for a huge block, at least *size bytes, whose first slice is zero (*zero: all);
** *arena is whose it is then. NULL: there is none. */
char* space_take(arena_t** arena, size_t* size, size_t align, bool* zero);
void space_give(arena_t* arena, char* p, size_t size);
void space_free_kept(void); /* what is kept for others is not missed where nothing is to be had */
/* What was taken from a region at p becomes larger, by zero memory: the new size, of whole places. 0: what
** lies behind it is taken, or there is no memory. */
size_t region_extend(arena_t* arena, const char* p, size_t size, size_t new_size);
void arena_count_mapped(arena_t* arena, size_t size);
void arena_count_unmapped(arena_t* arena, size_t size);
/* Now and then: purges a little of what is not needed. With the process's arena go the program's. */
void arena_decay(arena_t* arena);
void arena_purge(arena_t* arena); /* all that is free */
void arenas_purge(void);          /* the process's and the program's */
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

void arena_unmap(arena_t* arena);

/* ---- region.c -------------------------------------------------------------------------------- */

arena_t* arena_new(void); /* with a region of its own; NULL and ENOMEM */
void arena_delete(arena_t* arena);
void regions_decay(void); /* now and then: those that are kept too long */
void regions_purge(void); /* all that are kept */
void regions_unmap(void);

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
void huge_purge_part(page_t* page, char* from,
                     char* to); /* what its block does not need any more */
void huge_decay(void);          /* now and then: what is not needed */
void huge_free(page_t* page);
void huge_visit(arena_t* arena, void (*visit)(page_t*, void*), void* arg); /* under the lock */
page_t* huge_around(arena_t* arena, const void* p); /* whose block p points into; or NULL */

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
page_t* page_new_start(mi_heap_t* heap); /* the same for what start_alloc gives, if it does */
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

/* The owner's free: `page` is the task's own and not full. (After the link was written:) */
static inline void page_was_freed(page_t* page, block_t* block) {
  page->local_free = block;
  if (unlikely(--page->used == 0)) page_retire(page);
}
static inline void page_free_local(page_t* page, block_t* block) {
  block_link(page, block, page->local_free);
  page_was_freed(page, block);
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
/* Of a heap's, or another one's, classes; under the lock. */
void subproc_add_ended(subproc_t* s, uint64_t classes, const class_stat_t* stat,
                       const class_survey_t* survey);
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
extern pthread_mutex_t tasks_lock, heaps_lock, arenas_lock, huge_lock, nests_lock, records_lock,
    table_lock, output_lock;
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
mi_task_t* task_own(void); /* the thread's, whatever task it has entered; NULL as task_self */
mi_heap_t* task_backing_of(mi_task_t* task); /* which the thread has; NULL: no memory */
void task_hide_exact(mi_task_t* task, bool hidden);
mi_task_t* task_new(arena_t* arena, uint64_t period, bool implicit);
void task_delete(mi_task_t* task, bool abandon); /* not bound to any thread */
void task_recycle(mi_task_t* task);              /* a record that on_exit kept */
void task_bind(mi_task_t* task); /* makes it the thread's; the one before is parked */
void task_charge_slow(uint64_t ticks);
/* on_alarm is called by the charge that carries the ticks to `tick`, or by the next one, if they are there. */
void task_set_alarm(mi_task_t* task, uint64_t tick);
extern _Atomic(struct deferred*) deferred; /* the callbacks that are registered */
/* Set by rc/ while work waits that ended threads left: for any thread's own task without a `drain`
** of its own. A hint, so relaxed. */
extern _Atomic(drain_fun*) task_drain_orphans;
/* The same while work waits that belongs to no task: for all tasks, beside their own. */
extern _Atomic(drain_fun*) task_drain_shared;
static inline bool task_has_orphans(const mi_task_t* task) {
  return atomic_load_explicit(&task_drain_orphans, memory_order_relaxed) != NULL && task->implicit;
}
static inline bool task_has_hooks(const mi_task_t* task) {
  return task->hooks != 0 || atomic_load_explicit(&deferred, memory_order_relaxed) != NULL ||
         task_has_orphans(task) ||
         atomic_load_explicit(&task_drain_shared, memory_order_relaxed) != NULL;
}
static inline void task_set_drain(mi_task_t* task, drain_fun* drain) {
  task->drain = drain;
  task->hooks = (task->hooks & HOOK_HEAPS) | (drain != NULL ? HOOK_DRAIN : 0);
}
void task_heap_ends(mi_heap_t* heap); /* its callbacks end with it */
bool task_on_refill(mi_heap_t* heap, unsigned class, size_t words);
/* For allocations in the midst of something: until task_unhush no callback runs, nor draining. False: so it is. */
bool task_hush(mi_task_t* task);
void task_unhush(mi_task_t* task);
void task_force(mi_task_t* task); /* out of memory, or collect: everything that can be freed */
/* Is there room for `bytes` below the limit? All that waits is drained, and what is free collected,
** before the answer is no. */
bool task_make_room(mi_task_t* task, size_t bytes);
void task_free_all(mi_task_t* task); /* does that */
bool task_reserve_slow(mi_task_t* task, size_t bytes);
uint64_t task_ticks(const mi_task_t* task);
/* Around what may take long: end gets what begin gave. */
pause_t pause_open(mi_task_t* task);
void pause_close(mi_task_t* task, int kind, pause_t pause);
static inline pause_t pause_begin(mi_task_t* task) {
  return unlikely(task->notes_pauses) ? pause_open(task) : (pause_t){0};
}
static inline void pause_end(mi_task_t* task, int kind, pause_t pause) {
  if (unlikely(task->notes_pauses)) pause_close(task, kind, pause);
}
static inline int refill_kind(size_t words) {
  return words <= QUANTUM_WORDS ? PAUSE_REFILL : PAUSE_REQUEST;
}

/* The charge of a call that asks for `size` bytes; sizes that cannot be are charged 1. */
static inline uint64_t ticks_of(size_t size) { return size > PTRDIFF_MAX ? 1 : 1 + size / KiB; }
static inline void task_charge(uint64_t ticks) {
  if (likely(tls.countdown > (int64_t)ticks && (int64_t)ticks > 0))
    tls.countdown -= (int64_t)ticks;
  else
    task_charge_slow(ticks);
}
/* Logical bytes: what is held, the most so far, and the limit. */
static inline size_t task_bytes(const mi_task_t* task) {
  int64_t held = task->bytes_limit - task->room;
  return held > 0 ? (size_t)held : 0;
}
static inline size_t task_bytes_peak(const mi_task_t* task) {
  int64_t least = task->room < task->room_least ? task->room : task->room_least;
  return (size_t)(task->bytes_limit - least);
}
static inline bool task_is_limited(const mi_task_t* task) {
  return task->bytes_limit != BYTES_UNLIMITED;
}
static inline void task_set_limit(mi_task_t* task, size_t limit) {
  int64_t most = limit < (size_t)BYTES_UNLIMITED ? (int64_t)limit : BYTES_UNLIMITED;
  task->room += most - task->bytes_limit;
  task->room_least += most - task->bytes_limit;
  task->bytes_limit = most;
}
static inline void task_note_peak(mi_task_t* task) {
  if (task->room < task->room_least) task->room_least = task->room;
}
/* Counts `bytes` against the task's limit; false: the limit is hit even after a full drain. */
static inline bool task_reserve(mi_task_t* task, size_t bytes) {
  if (unlikely(bytes > PTRDIFF_MAX || task->room < (int64_t)bytes))
    return task_reserve_slow(task, bytes);
  task->room -= (int64_t)bytes;
  return true;
}
/* There was no memory: nothing was held. */
static inline void task_reserve_undo(mi_task_t* task, size_t bytes) {
  task->room += (int64_t)bytes;
}
/* What another task allocated was counted there. */
static inline void task_unreserve(mi_task_t* task, size_t bytes) {
  size_t held = task_bytes(task);
  task_note_peak(task);
  task->room += (int64_t)(bytes < held ? bytes : held);
}

/* ---- nest.c ---------------------------------------------------------------------------------- */

enum { NEST_LEAST = 24 * 1024, NEST_MOST = 36 * 1024 }; /* what fills one */
typedef struct nest_group nest_group_t;
/* For at least *size bytes, of any contents; *size is what it has. *cold: it is to be touched first. NULL: no memory. */
char* nest_take(size_t* size, bool* cold, nest_group_t** group);
void nest_give(nest_group_t* group, const char* nest);
bool nests_have(const void* p); /* does it point into one that is in use? O(groups) */
void nests_purge(void);         /* no memory of free ones is resident */
void nests_decay(void);         /* now and then: what is not needed */
void nests_unmap(void);

/* ---- nursery.c: blocks of known size in a compact task ---------------------------------------- */

/* In the task's nest, or its first slice in the heap; false: no memory. */
bool nursery_open(mi_task_t* task, mi_heap_t* heap);
/* The task ends, and has no heap any more. */
void nursery_end(mi_task_t* task);
/* One from which no block was taken yet clears memory when it is allocated and when it is freed. */
void nursery_keep_clear(mi_task_t* task);
/* From now on nothing fits. */
void nursery_close(mi_task_t* task);
/* The bytes from task->nursery on in which all is that it needs; 0: there is none, or it is closed. */
size_t nursery_size(const mi_task_t* task);
/* One from which no block was taken yet is made equal to those bytes of another one, at `from`; false: it is
** not such. */
bool nursery_copy(mi_task_t* task, const void* from, size_t size);
/* A block aligned to two words; NULL: it does not fit, or there is no nursery. */
void* nursery_alloc(mi_task_t* task, size_t size);
static inline bool nest_has(const mi_task_t* task, const void* p) {
  return task->nest != NULL && (uintptr_t)p - (uintptr_t)task->nest < task->nest_size;
}
static inline bool nursery_has(const mi_task_t* task, const void* p) {
  return task->nursery != NULL &&
         ((uintptr_t)p - (uintptr_t)task->nursery < task->nursery_size || nest_has(task, p));
}
/* `size` is what the block was asked for. */
void nursery_free(mi_task_t* task, void* p, size_t size);
/* Is the block as good for the other size? Then it has that. */
bool nursery_resize(mi_task_t* task, void* p, size_t oldsize, size_t newsize);

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
/* A block of the class for a request of `size`, or NULL: no memory; and what makes one of a block that was
** taken off the list. What was freed before must not have been written to since. */
void* checked_take(mi_heap_t* heap, unsigned class, size_t size);
void* checked_alloc(block_t* block, size_t size, bool zero);
void checked_inside(page_t* page, char* block, size_t adjust, size_t size); /* of a block in use */
void checked_single(page_t* page, size_t size, bool zero);
/* Is p a block in use? false: misuse in a call of `what`, reported. */
bool checked_is_block(const page_t* page, const void* p, const char* what);
void checked_free(void* p);                                         /* mi_free */
void checked_resize(page_t* page, void* p, size_t size, bool zero); /* which fits */
size_t checked_size(const page_t* page, const void* p);             /* what was asked for */
/* Who made a live block: the lower bits of its mark, of which rc/ has the others. */
enum maker { BY_MALLOC, BY_NEW, BY_NEW_ARRAY, BY_RC, MAKER_MASK = 3, MARK_BITS = 28 };
/* What a pointer of any kind is: FOUND_NONE, no block; FOUND_INSIDE of one, in use or not; the start of one
** that is FOUND_FREED, or FOUND_LIVE. */
enum { FOUND_NONE, FOUND_INSIDE, FOUND_FREED, FOUND_LIVE };
typedef struct found {
  unsigned what;
  uint32_t mark;
  const void* block;
  size_t size; /* that was asked for */
} found_t;
found_t checked_find(const void* p);
void checked_mark(const void* p, uint32_t mark); /* a live block */
/* Of a block of malloc's; and: if it is not that maker's, that is reported, and then it is malloc's. For
** operators.c alone, which the one-file core lacks. */
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
