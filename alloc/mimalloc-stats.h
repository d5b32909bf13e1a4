/* mimalloc-stats.h: statistics as data. The struct is that of mimalloc's header of the same name (2.4
** line), the functions are those of the 2.4 and 3.4 lines.
**
** alloc/README.md tells how the figures come about; those that are not named below are 0 here. Other
** threads that run meanwhile make figures approximate. */
#ifndef SLUICE_MIMALLOC_STATS_H
#define SLUICE_MIMALLOC_STATS_H

#include <string.h>

#include "mimalloc.h"

#define MI_STAT_VERSION 4 /* of the struct */

/* peak: the most at once; current: what there is now. Of pages, and of the bytes of address space, total
** is not kept: it is the peak (of pages: what there is now). */
typedef struct mi_stat_count_s {
  int64_t total;
  int64_t peak;
  int64_t current;
} mi_stat_count_t;

typedef struct mi_stat_counter_s {
  int64_t total;
} mi_stat_counter_t;

/* In the struct's order: MI_STAT_COUNT(name) and MI_STAT_COUNTER(name) are the caller's macros.
**   pages, pages_abandoned          sets of blocks of one size; those of ended threads
**   reserved, committed             bytes of address space (only with the figures of the process)
**   threads                         that allocated
**   malloc_normal, malloc_huge      bytes of blocks up to 64 KiB, and above, in steps of 64 KiB
**   malloc_normal_count, malloc_huge_count    their numbers */
#define MI_STAT_FIELDS()                  \
  MI_STAT_COUNT(pages)                    \
  MI_STAT_COUNT(reserved)                 \
  MI_STAT_COUNT(committed)                \
  MI_STAT_COUNTER(reset)                  \
  MI_STAT_COUNTER(purged)                 \
  MI_STAT_COUNT(page_committed)           \
  MI_STAT_COUNT(pages_abandoned)          \
  MI_STAT_COUNT(threads)                  \
  MI_STAT_COUNT(malloc_normal)            \
  MI_STAT_COUNT(malloc_huge)              \
  MI_STAT_COUNT(malloc_requested)         \
  MI_STAT_COUNTER(mmap_calls)             \
  MI_STAT_COUNTER(commit_calls)           \
  MI_STAT_COUNTER(reset_calls)            \
  MI_STAT_COUNTER(purge_calls)            \
  MI_STAT_COUNTER(arena_count)            \
  MI_STAT_COUNTER(malloc_normal_count)    \
  MI_STAT_COUNTER(malloc_huge_count)      \
  MI_STAT_COUNTER(malloc_guarded_count)   \
  MI_STAT_COUNTER(arena_rollback_count)   \
  MI_STAT_COUNTER(arena_purges)           \
  MI_STAT_COUNTER(pages_extended)         \
  MI_STAT_COUNTER(pages_retire)           \
  MI_STAT_COUNTER(page_searches)          \
  MI_STAT_COUNTER(page_searches_count)    \
  MI_STAT_COUNT(segments)                 \
  MI_STAT_COUNT(segments_abandoned)       \
  MI_STAT_COUNT(segments_cache)           \
  MI_STAT_COUNT(_segments_reserved)       \
  MI_STAT_COUNTER(pages_reclaim_on_alloc) \
  MI_STAT_COUNTER(pages_reclaim_on_free)  \
  MI_STAT_COUNTER(pages_reabandon_full)   \
  MI_STAT_COUNTER(pages_unabandon_busy_wait)

#define MI_BIN_HUGE (73U)

/* Bins: the table's numbers of size classes; MI_BIN_HUGE for blocks above 64 KiB. */
#define MI_STAT_COUNT(stat) mi_stat_count_t stat;
#define MI_STAT_COUNTER(stat) mi_stat_counter_t stat;
typedef struct mi_stats_s {
  size_t size; /* these two are set by the caller, and must be those of the library */
  size_t version;
  MI_STAT_FIELDS()
  mi_stat_count_t _stat_reserved[4];
  mi_stat_counter_t _stat_counter_reserved[4];
  mi_stat_count_t malloc_bins[MI_BIN_HUGE + 1]; /* blocks */
  mi_stat_count_t page_bins[MI_BIN_HUGE + 1];   /* their pages */
} mi_stats_t;
#undef MI_STAT_COUNT
#undef MI_STAT_COUNTER

/* Sets size and version; mi_stats_init sets all else to 0. */
static inline void mi_stats_header_init(mi_stats_t* stats) {
  stats->size = sizeof *stats;
  stats->version = MI_STAT_VERSION;
}
static inline void mi_stats_init(mi_stats_t* stats) {
  memset(stats, 0, sizeof *stats);
  mi_stats_header_init(stats);
}
#define mi_stats_t_decl(name) \
  mi_stats_t name;            \
  mi_stats_init(&name);

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Fills *stats with the figures of the process; false, and nothing is written: stats is NULL, or its
** size or version is another. O(pages). Not charged. */
bool mi_stats_get(mi_stats_t* stats);
/* Of a heap that is alive, by any thread (false, and a report, if it is none); of a subprocess; and what
** is left of its heaps that ended. */
bool mi_heap_stats_get(mi_heap_t* heap, mi_stats_t* stats);
bool mi_subproc_stats_get(mi_subproc_id_t subproc, mi_stats_t* stats);
bool mi_subproc_stats_get_exclusive(mi_subproc_id_t subproc, mi_stats_t* stats);

/* The same as JSON: an object with the struct's fields by name, bins as arrays of objects with total,
** peak, current, block_size and page_size, and what mi_process_info tells as `process`. Into buf, and
** returns that; NULL, ERANGE and the beginning of the text if buf_size is too small; or, if buf is NULL,
** into a new block, which the caller frees with mi_free (NULL and ENOMEM if there is no memory). A new
** block is charged 1 tick, whatever its size, which depends on the figures; else nothing is. */
char* mi_stats_get_json(size_t buf_size, char* buf);
char* mi_heap_stats_get_json(mi_heap_t* heap, size_t buf_size, char* buf);
char* mi_subproc_stats_get_json(mi_subproc_id_t subproc, size_t buf_size, char* buf);
/* Of figures at hand; NULL and EINVAL if stats is NULL, or its size or version is another. */
char* mi_stats_as_json(mi_stats_t* stats, size_t buf_size, char* buf);
/* Bytes of a block of that bin; 0 where they have no common size, and for what is no bin. */
size_t mi_stats_get_bin_size(size_t bin);

/* Tables as mi_stats_print_out writes, of a heap, of a subprocess, and of each of its heaps. */
void mi_heap_stats_print_out(mi_heap_t* heap, mi_output_fun* out, void* arg);
void mi_subproc_stats_print_out(mi_subproc_id_t subproc, mi_output_fun* out, void* arg);
void mi_subproc_heap_stats_print_out(mi_subproc_id_t subproc, mi_output_fun* out, void* arg);
/* What the heap has freed so far counts with the subprocess's heaps that ended; the heap's figures begin
** anew with what lives in it. */
void mi_heap_stats_merge_to_subproc(mi_heap_t* heap);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
