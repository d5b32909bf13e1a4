/* override.c: malloc's relatives for a whole program, by LD_PRELOAD. Only in the preload
** libraries, where the linker makes those names that need nothing of their own (malloc, free,
** calloc, ...) second names of the mi_ functions, which saves a jump; see the Makefile. Names
** and results are those of C11, C23, POSIX and glibc. */
#include "alloc/internal.h"

#include <malloc.h>
#include <stdio.h>

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

/* C23: the same as free by a caller who knows the size, and the alignment. */
EXPORT void free_sized(void* p, size_t size);
EXPORT void free_sized(void* p, size_t size) { mi_free_size(p, size); }
EXPORT void free_aligned_sized(void* p, size_t alignment, size_t size);
EXPORT void free_aligned_sized(void* p, size_t alignment, size_t size) {
  mi_free_size_aligned(p, size, alignment);
}

/* ---- glibc's settings and figures ------------------------------------------------------------ */
#ifdef __GLIBC__

/* 1: it has an effect; 0: it means nothing here, or the value is none. */
EXPORT int mallopt(int param, int value) {
  switch (param) {
    case M_CHECK_ACTION: /* bit 0: print misuse, bit 1: abort */
      mi_option_set_enabled(mi_option_show_errors, value & 1);
      mi_option_set_enabled(mi_option_abort_on_error, value & 2);
      return 1;
    case M_TRIM_THRESHOLD: /* -1: never by itself */
      mi_option_set(mi_option_purge_delay, value == -1 ? -1 : 0);
      return 1;
    default:
      return 0;
  }
}

static size_t dirty_slices(void) {
  size_t n = 0;
  for (arena_t* a = &arena_main; a != NULL; a = arena_after(a))
    n += atomic_load_explicit(&a->dirty_slices, memory_order_relaxed);
  return n;
}

/* 1: memory went back to the system. */
EXPORT int malloc_trim(size_t pad) {
  (void)pad;
  size_t before = dirty_slices();
  size_t mapped = atomic_load_explicit(&arena_main.mapped, memory_order_relaxed);
  mi_collect(true);
  return dirty_slices() < before ||
         atomic_load_explicit(&arena_main.mapped, memory_order_relaxed) < mapped;
}

typedef struct usage {
  size_t used, huge, huge_blocks;
} usage_t;

static void add_page(page_t* page, void* arg) {
  usage_t* u = arg;
  size_t bytes = page_live(page) * page_block_size(page);
  u->used += bytes;
  if (page->span > LARGE_BLOCK_MAX) u->huge += bytes, u->huge_blocks++;
}

/* arena: mapped but for huge blocks; hblks, hblkhd: those; uordblks: in use; fordblks: mapped and
** free; keepcost: of that, perhaps resident. */
EXPORT struct mallinfo2 mallinfo2(void) {
  usage_t u = {0};
  arenas_visit(add_page, &u);
  size_t mapped = atomic_load_explicit(&arena_main.mapped, memory_order_relaxed);
  return (struct mallinfo2){
      .arena = mapped > u.huge ? mapped - u.huge : 0,
      .hblks = u.huge_blocks,
      .hblkhd = u.huge,
      .uordblks = u.used,
      .fordblks = mapped > u.used ? mapped - u.used : 0,
      .keepcost = dirty_slices() * SLICE,
  };
}

EXPORT void malloc_stats(void) { mi_stats_print(NULL); }

EXPORT int malloc_info(int options, FILE* stream) {
  if (options != 0) return EINVAL; /* as glibc does; its manual says -1 */
  struct mallinfo2 m = mallinfo2();
  int n = fprintf(stream,
                  "<malloc version=\"sluice-1\">\n"
                  "<total type=\"used\" size=\"%zu\"/>\n"
                  "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
                  "<system type=\"current\" size=\"%zu\"/>\n"
                  "</malloc>\n",
                  m.uordblks, m.hblks, m.hblkhd, m.arena + m.hblkhd);
  return n < 0 ? -1 : 0;
}

#endif
