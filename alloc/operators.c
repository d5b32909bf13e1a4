/* operators.c: C++'s operator new and delete for a whole program, by LD_PRELOAD, under the names that the
** Itanium ABI gives them where size_t is unsigned long. The C++ library's own would call malloc and free:
** these save that, and checked builds tell blocks of new, of new[] and of malloc apart. */
#include "alloc/internal.h"

#define EXPORT __attribute__((visibility("default")))
#define NOTHROW const void* tag __attribute__((unused))

static inline void* made_by(unsigned maker, void* p) {
  if (CHECKED && p != NULL) checked_set_maker(p, maker);
  return p;
}
static inline void* deleted(unsigned maker, void* p) {
  if (CHECKED && p != NULL) checked_is_made_by(p, maker);
  return p;
}

#define NEW(name, parameters, maker, call) \
  EXPORT void* name parameters;            \
  EXPORT void* name parameters { return made_by(maker, call); }
#define DELETE(name, parameters, call) \
  EXPORT void name parameters;         \
  EXPORT void name parameters { call; }

NEW(_Znwm, (size_t n), BY_NEW, mi_new(n))
NEW(_Znam, (size_t n), BY_NEW_ARRAY, mi_new(n))
NEW(_ZnwmRKSt9nothrow_t, (size_t n, NOTHROW), BY_NEW, mi_new_nothrow(n))
NEW(_ZnamRKSt9nothrow_t, (size_t n, NOTHROW), BY_NEW_ARRAY, mi_new_nothrow(n))
NEW(_ZnwmSt11align_val_t, (size_t n, size_t align), BY_NEW, mi_new_aligned(n, align))
NEW(_ZnamSt11align_val_t, (size_t n, size_t align), BY_NEW_ARRAY, mi_new_aligned(n, align))
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, NOTHROW), BY_NEW,
    mi_new_aligned_nothrow(n, align))
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, NOTHROW), BY_NEW_ARRAY,
    mi_new_aligned_nothrow(n, align))

DELETE(_ZdlPv, (void* p), mi_free(deleted(BY_NEW, p)))
DELETE(_ZdaPv, (void* p), mi_free(deleted(BY_NEW_ARRAY, p)))
DELETE(_ZdlPvRKSt9nothrow_t, (void* p, NOTHROW), mi_free(deleted(BY_NEW, p)))
DELETE(_ZdaPvRKSt9nothrow_t, (void* p, NOTHROW), mi_free(deleted(BY_NEW_ARRAY, p)))
DELETE(_ZdlPvm, (void* p, size_t n), mi_free_size(deleted(BY_NEW, p), n))
DELETE(_ZdaPvm, (void* p, size_t n), mi_free_size(deleted(BY_NEW_ARRAY, p), n))
DELETE(_ZdlPvSt11align_val_t, (void* p, size_t align), mi_free_aligned(deleted(BY_NEW, p), align))
DELETE(_ZdaPvSt11align_val_t, (void* p, size_t align),
       mi_free_aligned(deleted(BY_NEW_ARRAY, p), align))
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void* p, size_t align, NOTHROW),
       mi_free_aligned(deleted(BY_NEW, p), align))
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void* p, size_t align, NOTHROW),
       mi_free_aligned(deleted(BY_NEW_ARRAY, p), align))
DELETE(_ZdlPvmSt11align_val_t, (void* p, size_t n, size_t align),
       mi_free_size_aligned(deleted(BY_NEW, p), n, align))
DELETE(_ZdaPvmSt11align_val_t, (void* p, size_t n, size_t align),
       mi_free_size_aligned(deleted(BY_NEW_ARRAY, p), n, align))
