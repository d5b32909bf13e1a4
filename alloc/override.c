/* override.c: malloc's relatives for a whole program, by LD_PRELOAD. Only in the preload
** libraries, where the linker makes those names that need nothing of their own (malloc, free,
** calloc, ...) second names of the mi_ functions, which saves a jump; see the Makefile. Names
** and results are those of C11, POSIX and glibc. */
#include "alloc/internal.h"

#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* glibc: a size of 0 frees a block that is there. */
EXPORT void* realloc(void* p, size_t size) {
  if (p != NULL && size == 0) {
    mi_free(p);
    return NULL;
  }
  return mi_realloc(p, size);
}

EXPORT void* reallocarray(void* p, size_t count, size_t size) {
  size_t total;
  if (!__builtin_mul_overflow(count, size, &total)) return realloc(p, total);
  errno = ENOMEM;
  return NULL;
}

EXPORT int posix_memalign(void** out, size_t align, size_t size) {
  if (align < sizeof(void*) || (align & (align - 1)) != 0) return EINVAL;
  int saved = errno;
  void* p = mi_malloc_aligned(size, align);
  errno = saved;
  if (p == NULL) return ENOMEM;
  *out = p;
  return 0;
}

/* glibc: any number will do, and is rounded up to a power of two. */
static void* any_alignment(size_t align, size_t size) {
  size_t power = 1;
  while (power < align && power <= SIZE_MAX / 2) power *= 2;
  if (power >= align) return mi_malloc_aligned(size, power);
  errno = EINVAL;
  return NULL;
}

EXPORT void* aligned_alloc(size_t align, size_t size) { return any_alignment(align, size); }
EXPORT void* memalign(size_t align, size_t size);
EXPORT void* memalign(size_t align, size_t size) { return any_alignment(align, size); }
EXPORT void* valloc(size_t size) { return mi_malloc_aligned(size, (size_t)sysconf(_SC_PAGESIZE)); }
EXPORT void* pvalloc(size_t size);
EXPORT void* pvalloc(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (size > PTRDIFF_MAX - page) {
    errno = ENOMEM;
    return NULL;
  }
  return mi_malloc_aligned((size + page - 1) & ~(page - 1), page);
}
