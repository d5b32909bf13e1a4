/* mimalloc.h: the allocator's public interface.
**
** The names and meanings are those of mimalloc (Leijen, Zorn, de Moura: "Mimalloc: Free List
** Sharding in Action", 2019; header of the 2.4 line, and names of the 3.x line that fit): a program
** that keeps to what is below compiles and links unchanged. The implementation is Sluice's own. What
** mimalloc does not have, the exact heartbeat, stands in the last section.
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
#include <wchar.h>

#define MI_MALLOC_VERSION 240 /* the API line that is provided, major*100 + minor*10 */

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define mi_attr_malloc __attribute__((malloc, warn_unused_result))
#define mi_nodiscard __attribute__((warn_unused_result))
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
** over on success. NULL leaves p untouched and owned by the caller. p may be NULL. Above 16 MiB the
** memory is moved, not copied, where it can be. */
mi_nodiscard mi_attr_size(2) void* mi_realloc(void* p, size_t newsize);
/* As mi_realloc, but frees p when it returns NULL (unless p is no block: EINVAL). */
mi_nodiscard mi_attr_size(2) void* mi_reallocf(void* p, size_t newsize);
/* mi_realloc to count*newsize bytes; an overflow is a failure. */
mi_nodiscard mi_attr_size2(2, 3) void* mi_reallocn(void* p, size_t count, size_t size);
/* The same, and what lies beyond the old size is zero, if p's block came from a function that zeroes
** (and was resized by these two only). */
mi_nodiscard mi_attr_size(2) void* mi_rezalloc(void* p, size_t newsize);
mi_nodiscard mi_attr_size2(2, 3) void* mi_recalloc(void* p, size_t newcount, size_t size);
/* p, if its block has room for newsize bytes, else NULL and p is as before; mi__expand sets ENOMEM
** then. Charged like mi_realloc. */
mi_attr_size(2) void* mi_expand(void* p, size_t newsize);
void* mi__expand(void* p, size_t newsize);
/* Gives the block back; p may be NULL, and may come from any heap and thread. Fast for the
** owner, one compare-and-swap for others. Not charged. A pointer that is no block is reported, not
** freed: any outside of our memory (an address that no process can have crashes instead), those into a
** large block, and a second free of one; into small ones, and all double frees, in the debug build. */
void mi_free(void* p);
/* The same by a caller who knows more; debug builds report what is not so. mi_free_small: a block of
** mi_malloc_small. mi_cfree leaves alone what is no block of ours. */
void mi_free_small(void* p);
void mi_free_size(void* p, size_t size);
void mi_free_aligned(void* p, size_t alignment);
void mi_free_size_aligned(void* p, size_t size, size_t alignment);
void mi_cfree(void* p);
/* Bytes that p's owner may use, at least what was asked for; 0 for NULL. O(1). */
size_t mi_usable_size(const void* p);
size_t mi_malloc_size(const void* p);
size_t mi_malloc_usable_size(const void* p);
/* The size that a block for a request of `size` has. O(1). (Debug builds hold mi_usable_size down
** to what was asked for.) */
size_t mi_good_size(size_t size);
size_t mi_malloc_good_size(size_t size);

/* ---- Aligned: `alignment` is a power of two, else NULL and EINVAL. Free with mi_free. ---------
**
** The _at forms align the address at `offset`: (result + offset) is a multiple of alignment, which is
** at most 64 KiB then (else NULL and EINVAL), unless offset is a multiple of it too. */

mi_attr_malloc mi_attr_size(1)
    mi_attr_align(2) void* mi_malloc_aligned(size_t size, size_t alignment);
mi_attr_malloc mi_attr_size(1)
    mi_attr_align(2) void* mi_zalloc_aligned(size_t size, size_t alignment);
mi_attr_malloc mi_attr_size2(1, 2)
    mi_attr_align(3) void* mi_calloc_aligned(size_t count, size_t size, size_t alignment);
mi_nodiscard mi_attr_size(2)
    mi_attr_align(3) void* mi_realloc_aligned(void* p, size_t newsize, size_t alignment);
mi_nodiscard mi_attr_size(2)
    mi_attr_align(3) void* mi_rezalloc_aligned(void* p, size_t newsize, size_t alignment);
mi_nodiscard mi_attr_size2(2, 3)
    mi_attr_align(4) void* mi_recalloc_aligned(void* p, size_t newcount, size_t size,
                                               size_t alignment);
mi_attr_malloc mi_attr_size(1) void* mi_malloc_aligned_at(size_t size, size_t alignment,
                                                          size_t offset);
mi_attr_malloc mi_attr_size(1) void* mi_zalloc_aligned_at(size_t size, size_t alignment,
                                                          size_t offset);
mi_attr_malloc mi_attr_size2(1, 2) void* mi_calloc_aligned_at(size_t count, size_t size,
                                                              size_t alignment, size_t offset);
mi_nodiscard mi_attr_size(2) void* mi_realloc_aligned_at(void* p, size_t newsize, size_t alignment,
                                                         size_t offset);
mi_nodiscard mi_attr_size(2) void* mi_rezalloc_aligned_at(void* p, size_t newsize, size_t alignment,
                                                          size_t offset);
mi_nodiscard mi_attr_size2(2, 3) void* mi_recalloc_aligned_at(void* p, size_t newcount, size_t size,
                                                              size_t alignment, size_t offset);

/* ---- Strings: copies that the caller owns; NULL for NULL ---------------------------------------- */

mi_attr_malloc char* mi_strdup(const char* s);
/* At most n characters, and a terminator. */
mi_attr_malloc char* mi_strndup(const char* s, size_t n);
/* As realpath of POSIX: into resolved_name, or, if that is NULL, a new block. */
char* mi_realpath(const char* fname, char* resolved_name);
mi_attr_malloc wchar_t* mi_wcsdup(const wchar_t* s);
mi_attr_malloc unsigned char* mi_mbsdup(const unsigned char* s);
/* *buf is a copy of the environment variable, *size its length (size may be NULL); NULL and 0 if there
** is none. 0, EINVAL or ENOMEM. The wide form has no environment here: EINVAL. */
int mi_dupenv_s(char** buf, size_t* size, const char* name);
int mi_wdupenv_s(wchar_t** buf, size_t* size, const wchar_t* name);

/* ---- POSIX, glibc and BSD names: as there ------------------------------------------------------- */

int mi_posix_memalign(void** p, size_t alignment, size_t size);
mi_attr_malloc mi_attr_size(2) void* mi_memalign(size_t alignment, size_t size);
mi_attr_malloc mi_attr_size(2) void* mi_aligned_alloc(size_t alignment, size_t size);
mi_attr_malloc mi_attr_size(1) void* mi_valloc(size_t size);
mi_attr_malloc void* mi_pvalloc(size_t size);
mi_nodiscard mi_attr_size2(2, 3) void* mi_reallocarray(void* p, size_t count, size_t size);
/* ptrp is the address of a pointer, which is replaced if the result is 0; else an error number. */
int mi_reallocarr(void* ptrp, size_t count, size_t size);
mi_nodiscard void* mi_aligned_recalloc(void* p, size_t newcount, size_t size, size_t alignment);
mi_nodiscard void* mi_aligned_offset_recalloc(void* p, size_t newcount, size_t size,
                                              size_t alignment, size_t offset);

/* ---- With the usable size of the block in *block_size (which may be NULL) ----------------------- */

mi_attr_malloc mi_attr_size(1) void* mi_umalloc(size_t size, size_t* block_size);
mi_attr_malloc mi_attr_size(1) void* mi_umalloc_small(size_t size, size_t* block_size);
mi_attr_malloc mi_attr_size2(1, 2) void* mi_ucalloc(size_t count, size_t size, size_t* block_size);
mi_attr_malloc mi_attr_size(1) void* mi_uzalloc_small(size_t size, size_t* block_size);
mi_attr_malloc mi_attr_size(1)
    mi_attr_align(2) void* mi_umalloc_aligned(size_t size, size_t alignment, size_t* block_size);
mi_attr_malloc mi_attr_size(1)
    mi_attr_align(2) void* mi_uzalloc_aligned(size_t size, size_t alignment, size_t* block_size);
/* *block_size_pre is what p's block had. */
mi_nodiscard mi_attr_size(2) void* mi_urealloc(void* p, size_t newsize, size_t* block_size_pre,
                                               size_t* block_size_post);
void mi_ufree(void* p, size_t* block_size);

/* ---- operator new: without memory the new handler is called, until there is some or it throws or
** there is none; then std::bad_alloc is thrown (a program without the C++ library is aborted with
** a message), or, by the nothrow forms, NULL returned. Charged once. ------------------------------ */

mi_attr_malloc mi_attr_size(1) void* mi_new(size_t size);
mi_attr_malloc mi_attr_size2(1, 2) void* mi_new_n(size_t count, size_t size);
mi_attr_malloc mi_attr_size(1) void* mi_new_nothrow(size_t size);
mi_attr_malloc mi_attr_size(1) mi_attr_align(2) void* mi_new_aligned(size_t size, size_t alignment);
mi_attr_malloc mi_attr_size(1)
    mi_attr_align(2) void* mi_new_aligned_nothrow(size_t size, size_t alignment);
mi_nodiscard mi_attr_size(2) void* mi_new_realloc(void* p, size_t newsize);
mi_nodiscard mi_attr_size2(2, 3) void* mi_new_reallocn(void* p, size_t newcount, size_t size);

/* ---- Heaps ----------------------------------------------------------------------------------- */

/* A new heap of the calling task, or NULL and ENOMEM. Owned by the caller until delete or
** destroy. */
mi_nodiscard mi_heap_t* mi_heap_new(void);
/* Ends the heap and moves its blocks to the task's first heap, where they live on; that one stays.
** O(pages). */
void mi_heap_delete(mi_heap_t* heap);
/* Ends the heap and frees all its blocks without looking at them. O(pages). No thread may use a
** block of it any more, nor be in the middle of freeing one. The task's first heap is only emptied
** of free pages: it ends with its task. */
void mi_heap_destroy(mi_heap_t* heap);
/* Returns free blocks and pages to where others can use them; with force also to the system, after
** calling the deferred-free callbacks with force. */
void mi_heap_collect(mi_heap_t* heap, bool force);
/* The heap from which mi_malloc allocates in this thread now. */
mi_heap_t* mi_heap_get_default(void);
/* Makes it another one of the calling task's; gives the one before, or NULL (reported) if the heap is
** not the task's. */
mi_heap_t* mi_heap_set_default(mi_heap_t* heap);
/* The task's first heap, which lives as long as the task. */
mi_heap_t* mi_heap_get_backing(void);

/* The forms above, from a given heap of the calling task (NULL: the default one). From another task's
** nothing is allocated: NULL and EPERM, and a message. The _realloc forms take a block of any heap. */
mi_attr_malloc mi_attr_size(2) void* mi_heap_malloc(mi_heap_t* heap, size_t size);
mi_attr_malloc mi_attr_size(2) void* mi_heap_malloc_small(mi_heap_t* heap, size_t size);
mi_attr_malloc mi_attr_size(2) void* mi_heap_zalloc(mi_heap_t* heap, size_t size);
mi_attr_malloc mi_attr_size(2) void* mi_heap_zalloc_small(mi_heap_t* heap, size_t size);
mi_attr_malloc mi_attr_size2(2, 3) void* mi_heap_calloc(mi_heap_t* heap, size_t count, size_t size);
mi_attr_malloc mi_attr_size2(2, 3) void* mi_heap_mallocn(mi_heap_t* heap, size_t count,
                                                         size_t size);
mi_nodiscard mi_attr_size(3) void* mi_heap_realloc(mi_heap_t* heap, void* p, size_t newsize);
mi_nodiscard mi_attr_size(3) void* mi_heap_reallocf(mi_heap_t* heap, void* p, size_t newsize);
mi_nodiscard mi_attr_size2(3, 4) void* mi_heap_reallocn(mi_heap_t* heap, void* p, size_t count,
                                                        size_t size);
mi_nodiscard mi_attr_size(3) void* mi_heap_rezalloc(mi_heap_t* heap, void* p, size_t newsize);
mi_nodiscard mi_attr_size2(3, 4) void* mi_heap_recalloc(mi_heap_t* heap, void* p, size_t newcount,
                                                        size_t size);

mi_attr_malloc mi_attr_size(2)
    mi_attr_align(3) void* mi_heap_malloc_aligned(mi_heap_t* heap, size_t size, size_t alignment);
mi_attr_malloc mi_attr_size(2) void* mi_heap_malloc_aligned_at(mi_heap_t* heap, size_t size,
                                                               size_t alignment, size_t offset);
mi_attr_malloc mi_attr_size(2)
    mi_attr_align(3) void* mi_heap_zalloc_aligned(mi_heap_t* heap, size_t size, size_t alignment);
mi_attr_malloc mi_attr_size(2) void* mi_heap_zalloc_aligned_at(mi_heap_t* heap, size_t size,
                                                               size_t alignment, size_t offset);
mi_attr_malloc mi_attr_size2(2, 3)
    mi_attr_align(4) void* mi_heap_calloc_aligned(mi_heap_t* heap, size_t count, size_t size,
                                                  size_t alignment);
mi_attr_malloc mi_attr_size2(2, 3) void* mi_heap_calloc_aligned_at(mi_heap_t* heap, size_t count,
                                                                   size_t size, size_t alignment,
                                                                   size_t offset);
mi_nodiscard mi_attr_size(3)
    mi_attr_align(4) void* mi_heap_realloc_aligned(mi_heap_t* heap, void* p, size_t newsize,
                                                   size_t alignment);
mi_nodiscard mi_attr_size(3) void* mi_heap_realloc_aligned_at(mi_heap_t* heap, void* p,
                                                              size_t newsize, size_t alignment,
                                                              size_t offset);
mi_nodiscard mi_attr_size(3)
    mi_attr_align(4) void* mi_heap_rezalloc_aligned(mi_heap_t* heap, void* p, size_t newsize,
                                                    size_t alignment);
mi_nodiscard mi_attr_size(3) void* mi_heap_rezalloc_aligned_at(mi_heap_t* heap, void* p,
                                                               size_t newsize, size_t alignment,
                                                               size_t offset);
mi_nodiscard mi_attr_size2(3, 4)
    mi_attr_align(5) void* mi_heap_recalloc_aligned(mi_heap_t* heap, void* p, size_t newcount,
                                                    size_t size, size_t alignment);
mi_nodiscard mi_attr_size2(3, 4) void* mi_heap_recalloc_aligned_at(mi_heap_t* heap, void* p,
                                                                   size_t newcount, size_t size,
                                                                   size_t alignment, size_t offset);

mi_attr_malloc char* mi_heap_strdup(mi_heap_t* heap, const char* s);
mi_attr_malloc char* mi_heap_strndup(mi_heap_t* heap, const char* s, size_t n);
char* mi_heap_realpath(mi_heap_t* heap, const char* fname, char* resolved_name);
mi_attr_malloc mi_attr_size(2) void* mi_heap_alloc_new(mi_heap_t* heap, size_t size);
mi_attr_malloc mi_attr_size2(2, 3) void* mi_heap_alloc_new_n(mi_heap_t* heap, size_t count,
                                                             size_t size);

/* For a type, or n of it. */
#define mi_malloc_tp(tp) ((tp*)mi_malloc(sizeof(tp)))
#define mi_zalloc_tp(tp) ((tp*)mi_zalloc(sizeof(tp)))
#define mi_calloc_tp(tp, n) ((tp*)mi_calloc(n, sizeof(tp)))
#define mi_mallocn_tp(tp, n) ((tp*)mi_mallocn(n, sizeof(tp)))
#define mi_reallocn_tp(p, tp, n) ((tp*)mi_reallocn(p, n, sizeof(tp)))
#define mi_recalloc_tp(p, tp, n) ((tp*)mi_recalloc(p, n, sizeof(tp)))
#define mi_heap_malloc_tp(hp, tp) ((tp*)mi_heap_malloc(hp, sizeof(tp)))
#define mi_heap_zalloc_tp(hp, tp) ((tp*)mi_heap_zalloc(hp, sizeof(tp)))
#define mi_heap_calloc_tp(hp, tp, n) ((tp*)mi_heap_calloc(hp, n, sizeof(tp)))
#define mi_heap_mallocn_tp(hp, tp, n) ((tp*)mi_heap_mallocn(hp, n, sizeof(tp)))
#define mi_heap_reallocn_tp(hp, p, tp, n) ((tp*)mi_heap_reallocn(hp, p, n, sizeof(tp)))
#define mi_heap_recalloc_tp(hp, p, tp, n) ((tp*)mi_heap_recalloc(hp, p, n, sizeof(tp)))

/* There are no guard pages, and memory is the system's to place: without effect. */
void mi_heap_guarded_set_sample_rate(mi_heap_t* heap, size_t sample_rate, size_t seed);
void mi_heap_guarded_set_size_bound(mi_heap_t* heap, size_t min, size_t max);
void mi_heap_set_numa_affinity(mi_heap_t* heap, int numa_node);

/* ---- Names of mimalloc's 3.x line. A heap is its own theap, so these are the mi_heap functions; the
** main heap is the calling task's first one. (What 3.x allows, allocation from one heap by several
** threads, is not possible here.) ---------------------------------------------------------------- */

typedef mi_heap_t mi_theap_t;
mi_nodiscard mi_heap_t* mi_heap_main(void);
/* NULL, and a report, if the heap is not the calling task's. */
mi_theap_t* mi_heap_theap(mi_heap_t* heap);
mi_theap_t* mi_theap_get_default(void);
mi_theap_t* mi_theap_set_default(mi_theap_t* theap);
void mi_theap_collect(mi_theap_t* theap, bool force);
mi_attr_malloc mi_attr_size(2) void* mi_theap_malloc(mi_theap_t* theap, size_t size);
mi_attr_malloc mi_attr_size(2) void* mi_theap_malloc_small(mi_theap_t* theap, size_t size);
mi_attr_malloc mi_attr_size(2) void* mi_theap_zalloc(mi_theap_t* theap, size_t size);
mi_attr_malloc mi_attr_size(2) void* mi_theap_zalloc_small(mi_theap_t* theap, size_t size);
mi_attr_malloc mi_attr_size2(2, 3) void* mi_theap_calloc(mi_theap_t* theap, size_t count,
                                                         size_t size);
mi_attr_malloc mi_attr_size(2)
    mi_attr_align(3) void* mi_theap_malloc_aligned(mi_theap_t* theap, size_t size,
                                                   size_t alignment);
mi_nodiscard mi_attr_size(3) void* mi_theap_realloc(mi_theap_t* theap, void* p, size_t newsize);
void mi_theap_guarded_set_sample_rate(mi_theap_t* theap, size_t sample_rate, size_t seed);
void mi_theap_guarded_set_size_bound(mi_theap_t* theap, size_t min, size_t max);
/* ---- Arenas: memory that heaps allocate from, set apart ------------------------------------------
**
** An arena has an AREA of address space, in which pages lie at 64 KiB, and huge blocks (above 16 MiB) at
** 32 MiB. Its memory serves all heaps before more is asked of the system; that of an exclusive one
** serves only heaps that were made in it. Arenas stay until the process ends. Each function may be called
** by any thread; where it takes an arena_id it may be NULL, and gets the new arena's id, or 0. */

typedef int mi_arena_id_t; /* from 1; 0: no one in particular */

/* Reserves `size` bytes (rounded up to 64 KiB, at least 128 KiB) of the system; memory for them is needed
** when they are used, and without `commit` they cannot be touched before. With allow_large in pages
** of 2 MiB, if the system has them; such memory is not given back. 0; EINVAL: the size is 0; ENOMEM. */
int mi_reserve_os_memory(size_t size, bool commit, bool allow_large);
int mi_reserve_os_memory_ex(size_t size, bool commit, bool allow_large, bool exclusive,
                            mi_arena_id_t* arena_id);
/* Takes memory of the caller's over for good: [start, start + size), of which the part from the first
** multiple of mi_arena_min_alignment() on is used, in units of 64 KiB. It must be
** private and anonymous unless is_large says that it is never to be given back, decommitted or protected.
** Memory that is not committed is made accessible (mprotect) before it is used; memory that is not zero is
** cleared where zero is promised. false: errno is ENOMEM, or EINVAL with a warning (less than
** mi_arena_min_size() is left, or it is managed already), and the memory is the caller's, unchanged.
** numa_node is of no use here. */
bool mi_manage_os_memory(void* start, size_t size, bool is_committed, bool is_large, bool is_zero,
                         int numa_node);
bool mi_manage_os_memory_ex(void* start, size_t size, bool is_committed, bool is_large,
                            bool is_zero, int numa_node, bool exclusive, mi_arena_id_t* arena_id);
/* Commits (or decommits) pieces of managed memory, each of up to 32 MiB, for whoever calls an allocating
** function; false: it could not, and an allocation fails for that. *is_zero, false before, tells that
** what was committed is zero. It must not use the allocator. */
typedef bool(mi_commit_fun_t)(bool commit, void* start, size_t size, bool* is_zero, void* user_arg);
/* The same with such a function (NULL: mprotect); user_arg is borrowed for good. */
bool mi_manage_memory(void* start, size_t size, bool is_committed, bool is_pinned, bool is_zero,
                      int numa_node, bool exclusive, mi_commit_fun_t* commit_fun,
                      void* commit_fun_arg, mi_arena_id_t* arena_id);
/* What managed memory must be aligned to so that all of it is used, 32 MiB; and the least of that, 128 KiB. */
size_t mi_arena_min_alignment(void);
size_t mi_arena_min_size(void);

/* Reserves `pages` huge pages of 1 GiB: on one NUMA node (-1: any), or evenly over the first `numa_nodes`
** (0: all). Stops when timeout_msecs (0: none) are over, or would be by half as much again. 0; ENOMEM
** or ETIMEDOUT if there are fewer: those are an arena all the same. Never given back. */
int mi_reserve_huge_os_pages_interleave(size_t pages, size_t numa_nodes, size_t timeout_msecs);
int mi_reserve_huge_os_pages_at(size_t pages, int numa_node, size_t timeout_msecs);
int mi_reserve_huge_os_pages_at_ex(size_t pages, int numa_node, size_t timeout_msecs,
                                   bool exclusive, mi_arena_id_t* arena_id);
/* Over all nodes; *pages_reserved is how many there are (it may be NULL). */
int mi_reserve_huge_os_pages(size_t pages, double max_secs, size_t* pages_reserved);

/* The arena's area; NULL and 0 if there is no such arena. `size` may be NULL. */
void* mi_arena_area(mi_arena_id_t arena_id, size_t* size);
bool mi_arena_contains(mi_arena_id_t arena_id, const void* p);
/* One line for each arena, to where messages go; 0 is the process's own. */
void mi_arenas_print(void);
void mi_debug_show_arenas(void);

/* As mi_heap_new, with blocks from that arena alone (0: as if not said): without room there an allocation
** is NULL and ENOMEM, and what is freed makes room. NULL and EINVAL if there is no such arena. When
** the heap is deleted, or its thread ends, blocks in an exclusive arena belong to no heap until one in the
** arena adopts their pages. */
mi_nodiscard mi_heap_t* mi_heap_new_in_arena(mi_arena_id_t arena_id);
/* The same; with a tag, 0 to 255 (else NULL and EINVAL), pages are left to and taken over by heaps with
** that tag only. Without allow_destroy a heap takes over what threads left that ended, so
** mi_heap_destroy then does what mi_heap_delete does; mi_heap_new is (0, true, 0), mi_heap_new_in_arena
** (0, false, arena_id). */
mi_nodiscard mi_heap_t* mi_heap_new_ex(int heap_tag, bool allow_destroy, mi_arena_id_t arena_id);

/* ---- Questions: any pointer may be asked about -------------------------------------------------- */

/* The heap into whose pages p points, or NULL. O(1), and for what is no small or large block O(huge
** blocks). */
mi_heap_t* mi_heap_of(const void* p);
bool mi_heap_contains(const mi_heap_t* heap, const void* p);
bool mi_any_heap_contains(const void* p);
/* Or into the first blocks of a task that began as a copy (rt_put_image), which are no heap's: O(such tasks). */
bool mi_is_in_heap_region(const void* p);
bool mi_heap_check_owned(mi_heap_t* heap, const void* p);
/* Of the default heap. */
bool mi_check_owned(const void* p);
/* Does a block of the heap, alive or not, begin at p? */
bool mi_heap_contains_block(mi_heap_t* heap, const void* p);

/* Blocks of one size that lie side by side. */
typedef struct mi_heap_area_s {
  void* blocks;           /* the first one */
  size_t reserved;        /* bytes */
  size_t committed;       /* bytes of those blocks that were in use so far */
  size_t used;            /* blocks alive */
  size_t block_size;      /* that a program may use */
  size_t full_block_size; /* from one to the next */
  int heap_tag;           /* of the heap that made it */
} mi_heap_area_t;
/* Called once for an area, with block NULL, then for each block alive; false ends the visit. It must not
** allocate or free in the heap. Everything is borrowed for the call. */
typedef bool(mi_block_visit_fun)(const mi_heap_t* heap, const mi_heap_area_t* area, void* block,
                                 size_t block_size, void* arg);
/* Visits the areas of a heap of the calling task, and their blocks if `visit_blocks`; false if the
** visitor ended it. A block aligned at an offset is visited by the start of the one that it lies in.
** O(pages), or O(blocks). */
bool mi_heap_visit_blocks(const mi_heap_t* heap, bool visit_blocks, mi_block_visit_fun* visitor,
                          void* arg);
bool mi_theap_visit_blocks(const mi_theap_t* theap, bool visit_blocks, mi_block_visit_fun* visitor,
                           void* arg);
/* Of the calling task's heap: are less than that percentage of the blocks of p's page in use, so that
** moving p elsewhere could free it? */
bool mi_unsafe_heap_page_is_under_utilized(mi_heap_t* heap, void* p, size_t perc_threshold);

/* ---- Subprocesses: threads that do not adopt each other's pages -----------------------------------
**
** What a thread has not freed when it ends stays, and threads that need a page of its size class adopt
** it. Only those of the same subprocess do: so the blocks of separate interpreters in one process do not
** mix (fresh pages may be of the same 32 MiB). Threads begin in the main one. At most 1,023 others. */

typedef void* mi_subproc_id_t;
mi_subproc_id_t mi_subproc_main(void);
/* The calling thread's. */
mi_subproc_id_t mi_subproc_current(void);
/* One without threads; NULL and ENOMEM if there are too many. The caller owns it until delete or
** destroy. O(subprocesses). */
mi_subproc_id_t mi_subproc_new(void);
/* What the calling thread has and gets belongs to that subprocess; what its earlier tasks left stays
** where it is. Not within a task of runtime/ (EPERM). */
void mi_subproc_add_current_thread(mi_subproc_id_t subproc);
/* Ends it, now or when its last thread has ended: what they left is the main one's then. O(size
** classes). The main one cannot end (EPERM); NULL is nobody. */
void mi_subproc_delete(mi_subproc_id_t subproc);
/* The same with all that its threads left, which is freed without a look at the blocks. EPERM, and
** nothing happens, while it has threads (or tasks of runtime/ that those made). No thread may use such
** a block any more, nor be in the middle of freeing one. */
void mi_subproc_destroy(mi_subproc_id_t subproc);
/* Calls visitor for each heap of the subprocess, those of tasks included, until it returns false: that
** is the result, true if none did. Another thread's heap may end at any time; it can be compared, and
** asked for its statistics. */
typedef bool(mi_heap_visit_fun)(mi_heap_t* heap, void* arg);
bool mi_subproc_visit_heaps(mi_subproc_id_t subproc, mi_heap_visit_fun* visitor, void* arg);
/* Visits what ended threads of the subprocess left, as mi_heap_visit_blocks does, with heap NULL. The
** option visit_abandoned must be set (else a warning, and false). heap_tag: of those heaps that left them; -1: all.
** Meanwhile nobody adopts those pages; blocks may be freed, by the visitor, too. What another thread
** visits at the same time is left out. */
bool mi_abandoned_visit_blocks(mi_subproc_id_t subproc, int heap_tag, bool visit_blocks,
                               mi_block_visit_fun* visitor, void* arg);
/* The same for what that heap of the calling thread adopts when it needs pages: its first one, those of
** mi_heap_new_in_arena and mi_heap_new_ex. Another one has nothing to visit: true. */
bool mi_heap_visit_abandoned_blocks(mi_heap_t* heap, bool visit_blocks, mi_block_visit_fun* visitor,
                                    void* arg);

/* ---- Process --------------------------------------------------------------------------------- */

/* mi_heap_collect for every heap of the calling task, and the pages that ended threads left. */
void mi_collect(bool force);
/* The same with force; the argument is of no use here. */
void mi_collect_reduce(size_t target_thread_owned);
/* MI_MALLOC_VERSION. */
int mi_version(void);

/* Called with pieces of text; msg is borrowed for the call. */
typedef void(mi_output_fun)(const char* msg, void* arg);
/* Where messages go from now on, instead of stderr (NULL: there again). `arg` is borrowed for good. The
** function may allocate; it may be called by any thread, by several at once. */
void mi_register_output(mi_output_fun* out, void* arg);
/* Called behind the message about a misuse, with EAGAIN (double free), EFAULT (memory was overwritten),
** EINVAL (no block) or EPERM (another task's), and when there is no memory, with ENOMEM. NULL: none. The
** same rules. */
typedef void(mi_error_fun)(int err, void* arg);
void mi_register_error(mi_error_fun* fun, void* arg);

/* Writes the statistics table to `out` (NULL: where messages go), see alloc/README.md. Not charged. */
void mi_stats_print_out(mi_output_fun* out, void* arg);
/* The same to where messages go; the argument is unused, as in mimalloc. */
void mi_stats_print(void* unused);
/* Of the calling task's heaps only. */
void mi_thread_stats_print_out(mi_output_fun* out, void* arg);
/* All figures begin anew, as if the blocks that live now were all that was ever allocated: total and peak
** are what lives, nothing was freed. By any thread, for the process. O(pages). */
void mi_stats_reset(void);
/* Changes nothing: whoever asks for figures gets those of all threads. */
void mi_stats_merge(void);
/* Figures as data, and as JSON: mimalloc-stats.h. */

/* All happens by itself; these do it now. mi_thread_done is the end of a thread as far as its heaps go
** (what it allocates afterwards begins anew); not within a task of runtime/. mi_process_done collects, and
** prints the statistics if the option says so; allocation goes on to work. */
void mi_process_init(void);
void mi_process_done(void);
void mi_thread_init(void);
void mi_thread_done(void);
/* Changes nothing: idle threads hoard no more than others. */
void mi_thread_set_in_threadpool(void);
/* false: that is a matter of Windows. */
bool mi_is_redirected(void);
/* Milliseconds since the start and of the processor; bytes resident and mapped by the allocator, now and
** at most; major page faults. Each may be NULL. */
void mi_process_info(size_t* elapsed_msecs, size_t* user_msecs, size_t* system_msecs,
                     size_t* current_rss, size_t* peak_rss, size_t* current_commit,
                     size_t* peak_commit, size_t* page_faults);
/* As text, to where messages go, or to `out` (NULL: there, too). */
void mi_process_info_print(void);
void mi_process_info_print_out(mi_output_fun* out, void* arg);

/* ---- Options ------------------------------------------------------------------------------------
**
** mimalloc's names; alloc/README.md tells which have an effect here. The environment sets option X as
** MIMALLOC_X. Those that are read when something begins (a task, a message) hold from then on. */
typedef enum mi_option_e {
  mi_option_show_errors,
  mi_option_show_stats,
  mi_option_verbose,
  mi_option_eager_commit,
  mi_option_arena_eager_commit,
  mi_option_purge_decommits,
  mi_option_allow_large_os_pages,
  mi_option_reserve_huge_os_pages,
  mi_option_reserve_huge_os_pages_at,
  mi_option_reserve_os_memory,
  mi_option_deprecated_segment_cache,
  mi_option_deprecated_page_reset,
  mi_option_abandoned_page_purge,
  mi_option_deprecated_segment_reset,
  mi_option_eager_commit_delay,
  mi_option_purge_delay,
  mi_option_use_numa_nodes,
  mi_option_disallow_os_alloc,
  mi_option_os_tag,
  mi_option_max_errors,
  mi_option_max_warnings,
  mi_option_max_segment_reclaim,
  mi_option_destroy_on_exit,
  mi_option_arena_reserve,
  mi_option_arena_purge_mult,
  mi_option_purge_extend_delay,
  mi_option_abandoned_reclaim_on_free,
  mi_option_disallow_arena_alloc,
  mi_option_retry_on_oom,
  mi_option_visit_abandoned,
  mi_option_guarded_min,
  mi_option_guarded_max,
  mi_option_guarded_precise,
  mi_option_guarded_sample_rate,
  mi_option_guarded_sample_seed,
  mi_option_target_segments_per_thread,
  mi_option_generic_collect,
  mi_option_allow_thp,
  _mi_option_last,
  mi_option_heartbeat_period, /* Sluice's own */
  mi_option_abort_on_error,
  mi_option_secure_fill,
  mi_option_show_leaks,
  mi_option_large_os_pages = mi_option_allow_large_os_pages, /* names of old */
  mi_option_eager_region_commit = mi_option_arena_eager_commit,
  mi_option_reset_decommits = mi_option_purge_decommits,
  mi_option_reset_delay = mi_option_purge_delay,
  mi_option_abandoned_page_reset = mi_option_abandoned_page_purge,
  mi_option_limit_os_alloc = mi_option_disallow_os_alloc
} mi_option_t;

/* The value; 0 for what is no option. _clamp: within [min, max]; _size: in bytes, at least 0. */
long mi_option_get(mi_option_t option);
long mi_option_get_clamp(mi_option_t option, long min, long max);
size_t mi_option_get_size(mi_option_t option);
bool mi_option_is_enabled(mi_option_t option);
/* A value that the option cannot have gets a warning and changes nothing. The _default forms do nothing
** if the environment or the program has set the option. */
void mi_option_set(mi_option_t option, long value);
void mi_option_set_default(mi_option_t option, long value);
void mi_option_set_enabled(mi_option_t option, bool enable);
void mi_option_set_enabled_default(mi_option_t option, bool enable);
void mi_option_enable(mi_option_t option);
void mi_option_disable(mi_option_t option);
/* Prints those that have an effect, to where messages go, or to `out` (NULL: there, too). */
void mi_options_print(void);
void mi_options_print_out(mi_output_fun* out, void* arg);

/* ---- Deferred free, and the heartbeat -------------------------------------------------------- */

/* Called when a free list has run empty (each refill), at each beat, and with `force` when memory
** must come back now (mi_collect(true), out of memory). `heartbeat` is the number of the calling
** task's last beat. It may allocate and free, is not charged for it and not re-entered, must
** return (no longjmp), and ends no heap of the task (reported, and nothing happens). */
typedef void(mi_deferred_free_fun)(bool force, unsigned long long heartbeat, void* arg);
/* Registers a callback for all tasks; `arg` is borrowed for good. Up to 8 may be registered; one
** more is refused with a warning. NULL removes them all. */
void mi_register_deferred_free(mi_deferred_free_fun* fn, void* arg);
/* The same for one heap of the calling task, behind the callbacks of all tasks: called at refills of that
** heap, at the beats of its task, and whenever those are called with `force`. Up to 4 may be registered;
** they end with the heap. NULL removes the heap's. (mimalloc has no such function.) */
typedef void(mi_heap_deferred_free_fun)(mi_heap_t* heap, bool force, unsigned long long heartbeat,
                                        void* arg);
void mi_heap_register_deferred_free(mi_heap_t* heap, mi_heap_deferred_free_fun* fn, void* arg);

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

/* ---- Allocators for the containers of C++ (11 and later) ------------------------------------------ */

#include <memory>

/* Allocates by mi_new. All are equal. */
template <class T>
struct mi_stl_allocator {
  typedef T value_type;
  typedef std::true_type is_always_equal;
  mi_stl_allocator() noexcept {}
  template <class U>
  mi_stl_allocator(const mi_stl_allocator<U>&) noexcept {}
  T* allocate(std::size_t n) { return static_cast<T*>(mi_new_aligned_n(n)); }
  void deallocate(T* p, std::size_t n) noexcept { mi_free_size(p, n * sizeof(T)); }

 private:
  static void* mi_new_aligned_n(std::size_t n) {
    if (alignof(T) <= 2 * sizeof(void*) || n > SIZE_MAX / sizeof(T)) return mi_new_n(n, sizeof(T));
    return mi_new_aligned(n * sizeof(T), alignof(T));
  }
};
template <class T, class U>
bool operator==(const mi_stl_allocator<T>&, const mi_stl_allocator<U>&) noexcept {
  return true;
}
template <class T, class U>
bool operator!=(const mi_stl_allocator<T>&, const mi_stl_allocator<U>&) noexcept {
  return false;
}

/* Allocates from a heap of the calling task: a given one, or a new one that ends with the last copy
** of the allocator (`destroy`: with all its blocks, which are not freed one by one; else they live on).
** Equal if the heap is the same. */
template <class T, bool destroy>
struct mi_heap_allocator_base {
  typedef T value_type;
  typedef std::true_type propagate_on_container_copy_assignment;
  typedef std::true_type propagate_on_container_move_assignment;
  typedef std::true_type propagate_on_container_swap;
  typedef std::false_type is_always_equal;
  std::shared_ptr<mi_heap_t> heap;

  mi_heap_allocator_base() : heap(mi_heap_new(), destroy ? mi_heap_destroy : mi_heap_delete) {}
  explicit mi_heap_allocator_base(mi_heap_t* given) : heap(given, [](mi_heap_t*) {}) {}
  template <class U>
  mi_heap_allocator_base(const mi_heap_allocator_base<U, destroy>& other) noexcept
      : heap(other.heap) {}
  T* allocate(std::size_t n) {
    return static_cast<T*>(mi_heap_alloc_new_n(heap.get(), n, sizeof(T)));
  }
  void deallocate(T* p, std::size_t) noexcept {
    if (!destroy) mi_free(p);
  }
  void collect(bool force) { mi_heap_collect(heap.get(), force); }
};
template <class T>
struct mi_heap_stl_allocator : mi_heap_allocator_base<T, false> {
  mi_heap_stl_allocator() {}
  explicit mi_heap_stl_allocator(mi_heap_t* given) : mi_heap_allocator_base<T, false>(given) {}
  template <class U>
  mi_heap_stl_allocator(const mi_heap_stl_allocator<U>& other) noexcept
      : mi_heap_allocator_base<T, false>(other) {}
};
template <class T>
struct mi_heap_destroy_stl_allocator : mi_heap_allocator_base<T, true> {
  mi_heap_destroy_stl_allocator() {}
  explicit mi_heap_destroy_stl_allocator(mi_heap_t* given)
      : mi_heap_allocator_base<T, true>(given) {}
  template <class U>
  mi_heap_destroy_stl_allocator(const mi_heap_destroy_stl_allocator<U>& other) noexcept
      : mi_heap_allocator_base<T, true>(other) {}
};
template <class T, class U, bool d>
bool operator==(const mi_heap_allocator_base<T, d>& a,
                const mi_heap_allocator_base<U, d>& b) noexcept {
  return a.heap == b.heap;
}
template <class T, class U, bool d>
bool operator!=(const mi_heap_allocator_base<T, d>& a,
                const mi_heap_allocator_base<U, d>& b) noexcept {
  return a.heap != b.heap;
}
#endif
#endif
