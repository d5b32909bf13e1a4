/* theap.c: names of mimalloc's 3.x line. There a heap is used by all threads, and each thread's part of
** it is a theap; here a heap is one task's, and its own theap. */
#include "alloc/internal.h"

mi_heap_t* mi_heap_main(void) { return mi_heap_get_backing(); }
mi_theap_t* mi_heap_theap(mi_heap_t* heap) { return heap_is_mine_checked(heap) ? heap : NULL; }
mi_theap_t* mi_theap_get_default(void) { return mi_heap_get_default(); }
mi_theap_t* mi_theap_set_default(mi_theap_t* theap) { return mi_heap_set_default(theap); }
void mi_theap_collect(mi_theap_t* theap, bool force) { mi_heap_collect(theap, force); }

void* mi_theap_malloc(mi_theap_t* theap, size_t size) { return mi_heap_malloc(theap, size); }
void* mi_theap_zalloc(mi_theap_t* theap, size_t size) { return mi_heap_zalloc(theap, size); }
void* mi_theap_calloc(mi_theap_t* theap, size_t count, size_t size) {
  return mi_heap_calloc(theap, count, size);
}
void* mi_theap_malloc_small(mi_theap_t* theap, size_t size) {
  return mi_heap_malloc_small(theap, size);
}
void* mi_theap_zalloc_small(mi_theap_t* theap, size_t size) {
  return mi_heap_zalloc_small(theap, size);
}
void* mi_theap_malloc_aligned(mi_theap_t* theap, size_t size, size_t alignment) {
  return mi_heap_malloc_aligned(theap, size, alignment);
}
void* mi_theap_realloc(mi_theap_t* theap, void* p, size_t newsize) {
  return mi_heap_realloc(theap, p, newsize);
}
bool mi_theap_visit_blocks(const mi_theap_t* theap, bool visit_blocks, mi_block_visit_fun* visitor,
                           void* arg) {
  return mi_heap_visit_blocks(theap, visit_blocks, visitor, arg);
}

/* ---- Without effect ---------------------------------------------------------------------------- */

/* Memory is the system's to place. */
void mi_heap_set_numa_affinity(mi_heap_t* heap, int numa_node) { (void)heap, (void)numa_node; }

/* There are no guard pages. */
void mi_heap_guarded_set_sample_rate(mi_heap_t* heap, size_t sample_rate, size_t seed) {
  (void)heap, (void)sample_rate, (void)seed;
}
void mi_heap_guarded_set_size_bound(mi_heap_t* heap, size_t min, size_t max) {
  (void)heap, (void)min, (void)max;
}
void mi_theap_guarded_set_sample_rate(mi_theap_t* theap, size_t sample_rate, size_t seed) {
  mi_heap_guarded_set_sample_rate(theap, sample_rate, seed);
}
void mi_theap_guarded_set_size_bound(mi_theap_t* theap, size_t min, size_t max) {
  mi_heap_guarded_set_size_bound(theap, min, max);
}
