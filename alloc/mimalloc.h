/* mimalloc.h: the allocator's public interface.
**
** The names and meanings are those of mimalloc (Leijen, Zorn, de Moura: "Mimalloc: Free List
** Sharding in Action", 2019; header of the 2.4 line), of which this has the part below: a program
** that keeps to it compiles and links unchanged. The implementation is Sluice's own. What mimalloc
** does not have, the exact heartbeat, stands in the last section.
**
** Words used below
**   block    the memory that one call returns, aligned to 16 bytes (8, if at most 8 were asked for)
**   heap     a set of pages from which one task allocates; any thread may free its blocks
**   task     who allocates: each thread has one implicitly; runtime/ makes more
**   refill   the moment at which a size class has no block at hand and fetches some
**   tick     the unit of work: each allocating call is charged 1, and 1 for each full KiB asked for
**   beat     every N ticks (mi_heartbeat_period)
**
** Every function may be called by any thread, except that a heap is used for allocation by its
** own task only. Sizes are in bytes. A NULL result of an allocation means ENOMEM in errno, and
** nothing that existed before was touched. Costs: "fast" is some 15 instructions without a loop.
*/
#ifndef SLUICE_MIMALLOC_H
#define SLUICE_MIMALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MI_MALLOC_VERSION 240 /* the API line that is provided, major*100 + minor*10 */

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define mi_attr_malloc __attribute__((malloc, warn_unused_result))
#define mi_attr_size(n) __attribute__((alloc_size(n)))
#define mi_attr_size2(n, m) __attribute__((alloc_size(n, m)))
#define mi_attr_align(n) __attribute__((alloc_align(n)))

#define MI_SMALL_WSIZE_MAX 128
#define MI_SMALL_SIZE_MAX (MI_SMALL_WSIZE_MAX * sizeof(void*))

typedef struct mi_heap_s mi_heap_t;

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* A block of at least `size` bytes, contents undefined; a size of 0 gives a unique block. Fast.
** The caller owns it until mi_free or mi_realloc. */
mi_attr_malloc mi_attr_size(1) void* mi_malloc(size_t size);
/* As mi_malloc for size <= MI_SMALL_SIZE_MAX, which the caller guarantees. Fast. */
mi_attr_malloc mi_attr_size(1) void* mi_malloc_small(size_t size);
/* As mi_malloc, all bytes zero (fresh memory of the system is not cleared again). */
mi_attr_malloc mi_attr_size(1) void* mi_zalloc(size_t size);
mi_attr_malloc mi_attr_size(1) void* mi_zalloc_small(size_t size);
/* count*size zero bytes; NULL and ENOMEM if the product overflows. */
mi_attr_malloc mi_attr_size2(1, 2) void* mi_calloc(size_t count, size_t size);
/* count*size bytes; NULL and ENOMEM if the product overflows. */
mi_attr_malloc mi_attr_size2(1, 2) void* mi_mallocn(size_t count, size_t size);
/* Gives p's contents (the smaller of both sizes) in a block of `newsize`, perhaps p itself; takes p
** over on success. NULL leaves p untouched and owned by the caller. p may be NULL. */
__attribute__((warn_unused_result)) mi_attr_size(2) void* mi_realloc(void* p, size_t newsize);
/* As mi_realloc, but frees p when it returns NULL. */
__attribute__((warn_unused_result)) mi_attr_size(2) void* mi_reallocf(void* p, size_t newsize);
/* mi_realloc to count*newsize bytes; an overflow is a failure. */
__attribute__((warn_unused_result))
mi_attr_size2(2, 3) void* mi_reallocn(void* p, size_t count, size_t size);
/* Gives the block back; p may be NULL, and may come from any heap and thread. Fast for the
** owner, one compare-and-swap for others. Not charged. A pointer that is no block is reported, not
** freed: any outside of our memory (but those that no process of this machine can have crash), and
** those into a large block; into small ones, and double frees, in the debug build. */
void mi_free(void* p);
/* Bytes that p's owner may use, at least what was asked for; 0 for NULL. O(1). */
size_t mi_usable_size(const void* p);
/* The size that a block for a request of `size` has. O(1). (Debug builds hold mi_usable_size down
** to what was asked for.) */
size_t mi_good_size(size_t size);

/* The aligned forms: `alignment` is a power of two, else NULL and EINVAL. Free with mi_free. */
mi_attr_malloc mi_attr_size(1)
    mi_attr_align(2) void* mi_malloc_aligned(size_t size, size_t alignment);
mi_attr_malloc mi_attr_size(1)
    mi_attr_align(2) void* mi_zalloc_aligned(size_t size, size_t alignment);
mi_attr_malloc mi_attr_size2(1, 2)
    mi_attr_align(3) void* mi_calloc_aligned(size_t count, size_t size, size_t alignment);
__attribute__((warn_unused_result)) mi_attr_size(2)
    mi_attr_align(3) void* mi_realloc_aligned(void* p, size_t newsize, size_t alignment);

/* ---- Heaps ----------------------------------------------------------------------------------- */

/* A new heap of the calling task, or NULL and ENOMEM. Owned by the caller until delete or
** destroy. */
__attribute__((warn_unused_result)) mi_heap_t* mi_heap_new(void);
/* Ends the heap and moves its blocks to the task's default heap, where they live on. O(pages). */
void mi_heap_delete(mi_heap_t* heap);
/* Ends the heap and frees all its blocks without looking at them. O(pages). No thread may use a
** block of it any more, nor be in the middle of freeing one. The default heap is only emptied of
** free pages: it ends with its task. */
void mi_heap_destroy(mi_heap_t* heap);
/* Returns free blocks and pages to where others can use them; with force also to the system, after
** calling the deferred-free callbacks with force. */
void mi_heap_collect(mi_heap_t* heap, bool force);
/* The heap from which mi_malloc allocates in this thread now. */
mi_heap_t* mi_heap_get_default(void);

mi_attr_malloc mi_attr_size(2) void* mi_heap_malloc(mi_heap_t* heap, size_t size);
mi_attr_malloc mi_attr_size(2) void* mi_heap_zalloc(mi_heap_t* heap, size_t size);
mi_attr_malloc mi_attr_size2(2, 3) void* mi_heap_calloc(mi_heap_t* heap, size_t count, size_t size);
__attribute__((warn_unused_result))
mi_attr_size(3) void* mi_heap_realloc(mi_heap_t* heap, void* p, size_t newsize);

/* ---- Process --------------------------------------------------------------------------------- */

/* mi_heap_collect for every heap of the calling task, and the pages that ended threads left. */
void mi_collect(bool force);
/* MI_MALLOC_VERSION. */
int mi_version(void);

/* Called with pieces of text; msg is borrowed for the call. */
typedef void(mi_output_fun)(const char* msg, void* arg);
/* Writes the statistics table to `out` (NULL: stderr), see alloc/README.md. Not charged. */
void mi_stats_print_out(mi_output_fun* out, void* arg);
/* The same to stderr; the argument is unused, as in mimalloc. */
void mi_stats_print(void* unused);

/* ---- Deferred free, and the heartbeat -------------------------------------------------------- */

/* Called when a free list has run empty (each refill), at each beat, and with `force` when memory
** must come back now (mi_collect(true), out of memory). `heartbeat` is the number of the calling
** task's last beat. It may allocate and free, is not charged for it and not re-entered, must
** return (no longjmp), and ends no heap of the task (reported, and nothing happens). */
typedef void(mi_deferred_free_fun)(bool force, unsigned long long heartbeat, void* arg);
/* Registers a callback for all tasks; `arg` is borrowed for good. Up to 8 may be registered; one
** more is refused with a warning. NULL removes them all. */
void mi_register_deferred_free(mi_deferred_free_fun* fn, void* arg);

/* Ticks that the calling task was charged, at most 2^62. Depends on the program's calls only: each public
** function that allocates charges 1 + size/1024 from its arguments, once (also when it fails; an
** overflow of the size charges 1); nothing else charges. */
uint64_t mi_ticks(void);
/* Number of the calling task's last beat: mi_ticks() / mi_heartbeat_period(). */
uint64_t mi_heartbeat(void);
/* Charges n ticks for work that does not allocate. */
void mi_tick(uint64_t n);
/* Ticks to a beat for the calling task; 1000, or what MIMALLOC_HEARTBEAT_PERIOD says. */
uint64_t mi_heartbeat_period(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
