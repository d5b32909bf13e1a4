/* rc.c: constructors, and the inlined functions' second part. Cost: as mi_malloc, and the stores that the
** caller asked for. */
#include "rc/internal.h"

_Static_assert(offsetof(tls_t, countdown) == offsetof(rc_thread, countdown) &&
                   offsetof(tls_t, task) == offsetof(rc_thread, task) &&
                   offsetof(tls_t, exact) == offsetof(rc_thread, lists) &&
                   offsetof(mi_task_t, room) == 0 &&
                   offsetof(mi_task_t, objects) == sizeof(int64_t) &&
                   offsetof(mi_heap_t, list) == 0,
               "rc.h tells what the inlined constructors look at");

rc_object* object_make(size_t bytes) {
  mi_heap_t* heap = task_exact_heap();
  if (unlikely(heap == NULL)) return NULL;
  pay_for_request(heap->task, bytes);
  if (unlikely(!task_reserve(heap->task, bytes))) return NULL;
  rc_object* o = heap_alloc_words(heap, bytes_to_words(bytes));
  if (CHECKED && o != NULL) check_made(o);
  if (likely(o != NULL))
    heap->task->objects++;
  else
    task_reserve_undo(heap->task, bytes);
  return o;
}

mi_heap_t* heap_of_thread(void) {
  mi_task_t* task = task_own();
  return task != NULL ? task_backing_of(task) : NULL;
}

void* hushed_alloc(size_t bytes) {
  mi_task_t* task = task_self();
  if (task == NULL) return NULL;
  int error = errno;
  bool hushed = task_hush(task);
  mi_heap_t* heap = heap_of_thread();
  void* p = heap != NULL ? heap_alloc(heap, bytes, true) : NULL;
  if (hushed) task_unhush(task);
  errno = error;
  return p;
}

void task_ends(mi_task_t* task, bool objects_stay) {
  if (state_of(task)->cycles != NULL) cycles_end(task, objects_stay);
  if (state_of(task)->account != NULL) account_end(task);
}

rc_object* object_make_shared(size_t bytes) {
  mi_heap_t* heap = heap_of_thread();
  rc_object* o = heap != NULL ? heap_alloc_words(heap, bytes_to_words(bytes)) : NULL;
  if (CHECKED && o != NULL) check_made(o);
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

static rc_object* with_fields(rc_object* o, uint8_t tag, size_t n) {
  if (likely(o != NULL)) rc_head(o, tag, n);
  return o;
}

static __attribute__((noinline)) rc_object* fields_new(uint8_t tag, size_t n) {
  return with_fields(object_new(bytes_of(WORD, n, WORD), n <= RC_FIELDS_MAX), tag, n);
}

/* The usual case: a block of the list, of an object that is charged one tick. */
rc_object* rc_alloc(uint8_t tag, size_t n) {
  enum { USUAL = 30 };
  if (unlikely(n > USUAL || tls.countdown <= 1)) return fields_new(tag, n);
  int64_t bytes = (int64_t)(WORD * (n + 1));
  block_t** list = &tls.exact->list[class_of_words(n + 1)];
  block_t* block = *list;
  if (unlikely(block == NULL || tls.task->room < bytes)) return fields_new(tag, n);
  *list = block->next;
  tls.countdown--;
  tls.task->room -= bytes;
  tls.task->objects++;
  return with_fields((rc_object*)(void*)block, tag, n);
}

rc_object* rc_alloc_charged(uint8_t tag, size_t n) {
  return with_fields(object_make(WORD * (n + 1)), tag, n);
}

rc_object* rc_alloc_at_limit(uint8_t tag, size_t n) {
  task_reserve_undo(tls.task, WORD * (n + 1));
  return rc_alloc_charged(tag, n);
}

rc_object* rc_alloc_at_beat(uint8_t tag, size_t n) {
  rc_beat();
  return rc_alloc_charged(tag, n);
}

void rc_beat(void) { task_charge_slow(0); }

static rc_object* long_new(uint8_t tag, uint8_t kind, size_t n, size_t item, bool valid) {
  rc_object* o = object_new(bytes_of(2 * WORD, n, item), valid);
  if (o == NULL) return NULL;
  *o = (rc_object){1, tag, kind, RC_LONG};
  ((uint64_t*)o)[1] = n;
  return o;
}

rc_object* rc_array(uint8_t tag, size_t n, rc_word fill) {
  rc_object* o = long_new(tag, RC_ARRAY, n, WORD, n <= UINT32_MAX && rc_is_int(fill));
  if (o == NULL) return NULL;
  rc_word* words = rc_words(o);
  for (size_t i = 0; i < n; i++) words[i] = fill;
  return o;
}

rc_object* rc_bytes(uint8_t tag, size_t n) {
  enum { SHIFT_MAX = 35 };
  return long_new(tag, RC_BYTES, n, 1, n >> SHIFT_MAX == 0);
}

rc_object* rc_typed(uint8_t tag, const rc_type* type) {
  rc_object* o = object_new(type_bytes(type), type->trace == NULL || type->words == 0);
  if (o == NULL) return NULL;
  *o = (rc_object){1, tag, RC_TYPED, RC_LONG};
  ((const rc_type**)(void*)o)[1] = type;
  for (size_t i = 0; i < type->words; i++) object_words(o)[i] = RC_NIL;
  memset(object_words(o) + type->words, 0, type_bytes(type) - WORD * (2 + (size_t)type->words));
  if (type->finalize != NULL) finalizable_enter(tls.task, o);
  return o;
}

rc_object* rc_closure(uint8_t tag, rc_function* code, size_t n) {
  rc_object* o = rc_alloc(tag, n < RC_FIELDS_MAX ? n + 1 : SIZE_MAX);
  if (o != NULL) rc_init(o, 0, rc_int((int64_t)(uintptr_t)code));
  return o;
}
