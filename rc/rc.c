/* rc.c: constructors. Cost: as mi_malloc, and the stores that the caller asked for. */
#include "rc/internal.h"

/* The charge comes first and whatever happens; then the byte limit; then memory. */
static rc_object* object_new(size_t bytes) {
  task_charge(ticks_of(bytes));
  mi_heap_t* heap = task_exact_heap();
  if (unlikely(heap == NULL || !task_reserve(heap->task, bytes))) return NULL;
  rc_object* o = heap_alloc_words(heap, bytes_to_words(bytes));
  if (unlikely(o == NULL)) {
    task_unreserve(heap->task, bytes);
    return NULL;
  }
  task_reserved(heap->task);
  state_of(heap->task)->counted.allocated++;
  return o;
}

rc_object* rc_alloc(uint8_t tag, size_t n) {
  if (unlikely(n > RC_FIELDS_MAX)) {
    errno = EINVAL;
    return NULL;
  }
  rc_object* o = object_new(WORD + n * WORD);
  if (likely(o != NULL)) *o = (rc_object){1, tag, RC_FIELDS, (uint16_t)n};
  return o;
}

static rc_object* long_new(uint8_t tag, uint8_t kind, size_t n, size_t item) {
  if (n > UINT32_MAX) {
    errno = EINVAL;
    return NULL;
  }
  rc_object* o = object_new(2 * WORD + n * item);
  if (o == NULL) return NULL;
  *o = (rc_object){1, tag, kind, RC_LONG};
  ((uint64_t*)o)[1] = n;
  return o;
}

rc_object* rc_array(uint8_t tag, size_t n, rc_word fill) {
  if (!rc_is_int(fill)) {
    errno = EINVAL;
    return NULL;
  }
  rc_object* o = long_new(tag, RC_ARRAY, n, WORD);
  if (o == NULL) return NULL;
  rc_word* words = rc_words(o);
  for (size_t i = 0; i < n; i++) words[i] = fill;
  return o;
}

rc_object* rc_bytes(uint8_t tag, size_t n) { return long_new(tag, RC_BYTES, n, 1); }
