/* rc.c: constructors. Cost: as mi_malloc, and the stores that the caller asked for. */
#include "rc/internal.h"

rc_object* object_make(size_t bytes) {
  mi_heap_t* heap = task_exact_heap();
  if (unlikely(heap == NULL || !task_reserve(heap->task, bytes))) return NULL;
  rc_object* o = heap_alloc_words(heap, bytes_to_words(bytes));
  if (unlikely(o == NULL)) {
    task_reserve_undo(heap->task, bytes);
    return NULL;
  }
  state_of(heap->task)->counted.allocated++;
  return o;
}

/* The charge comes first and whatever happens; then the byte limit; then memory. */
static rc_object* object_new(size_t bytes, bool valid) {
  task_charge(ticks_of(bytes));
  if (likely(valid)) return object_make(bytes);
  errno = EINVAL;
  return NULL;
}

/* What it would take; more than there can be if that overflows. */
static size_t bytes_of(size_t head, size_t n, size_t item) {
  size_t bytes;
  bool overflow = __builtin_mul_overflow(n, item, &bytes);
  return __builtin_add_overflow(bytes, head, &bytes) || overflow ? SIZE_MAX : bytes;
}

static __attribute__((noinline)) rc_object* fields_new(uint8_t tag, size_t n) {
  rc_object* o = object_new(bytes_of(WORD, n, WORD), n <= RC_FIELDS_MAX);
  if (likely(o != NULL)) *o = (rc_object){1, tag, RC_FIELDS, (uint16_t)n};
  return o;
}

/* The usual case: a block of the list, of an object that is charged one tick. */
rc_object* rc_alloc(uint8_t tag, size_t n) {
  enum { USUAL = 30 };
  mi_task_t* task = tls.task;
  if (CHECKED || unlikely(n > USUAL || task == NO_TASK || task->exact == NULL))
    return fields_new(tag, n);
  block_t** list = &task->exact->list[class_of_words(n + 1)];
  if (unlikely(*list == NULL || tls.countdown == 1)) return fields_new(tag, n);
  if (unlikely(task->room < (int64_t)(WORD * (n + 1)))) return fields_new(tag, n);
  rc_object* o = (rc_object*)(void*)*list;
  *list = (*list)->next;
  tls.countdown--;
  task->room -= (int64_t)(WORD * (n + 1));
  state_of(task)->counted.allocated++;
  *o = (rc_object){1, tag, RC_FIELDS, (uint16_t)n};
  return o;
}

static rc_object* long_new(uint8_t tag, uint8_t kind, size_t n, size_t item, bool valid) {
  rc_object* o = object_new(bytes_of(2 * WORD, n, item), valid && n <= UINT32_MAX);
  if (o == NULL) return NULL;
  *o = (rc_object){1, tag, kind, RC_LONG};
  ((uint64_t*)o)[1] = n;
  return o;
}

rc_object* rc_array(uint8_t tag, size_t n, rc_word fill) {
  rc_object* o = long_new(tag, RC_ARRAY, n, WORD, rc_is_int(fill));
  if (o == NULL) return NULL;
  rc_word* words = rc_words(o);
  for (size_t i = 0; i < n; i++) words[i] = fill;
  return o;
}

rc_object* rc_bytes(uint8_t tag, size_t n) { return long_new(tag, RC_BYTES, n, 1, true); }
