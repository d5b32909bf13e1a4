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
    mi_tick(1);
    mi_free(p);
    return NULL;
  }
  return mi_realloc(p, size);
}

EXPORT void* reallocarray(void* p, size_t count, size_t size) {
  size_t total;
  if (!__builtin_mul_overflow(count, size, &total)) return realloc(p, total);
  return mi_reallocn(p, count, size);
}
