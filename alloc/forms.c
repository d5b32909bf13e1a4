/* forms.c: the many forms of allocation, but for mi_malloc and mi_free. Each charges its ticks once,
** from its arguments, and then calls what charges nothing. */
#include "alloc/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

/* An overflow asks for more than there can be. */
static size_t product(size_t count, size_t size) {
  size_t total;
  return __builtin_mul_overflow(count, size, &total) ? SIZE_MAX : total;
}

/* ---- What all have in common ----------------------------------------------------------------- */

/* Pages of a heap are its task's, so allocation by another thread would race. */
static __attribute__((noinline)) mi_heap_t* not_mine(const mi_heap_t* heap) {
  report_error(EPERM,
               "sluice: error: allocation from heap %p, which is another task's, or has ended",
               (const void*)heap);
  errno = EPERM;
  return NULL;
}

/* NULL stands for the thread's heap. That is read after the charge: the thread's first call, or a
** callback, may change it. */
static mi_heap_t* usable_heap(mi_heap_t* heap) {
  if (heap == NULL) return tls.heap;
  return likely(heap_is_mine(heap)) ? heap : not_mine(heap);
}

static bool is_alignment(size_t align, size_t offset) {
  bool right = align != 0 && (align & (align - 1)) == 0;
  if (right && (align <= SLICE || offset % align == 0)) return true;
  errno = EINVAL;
  return false;
}

static void* allocate(mi_heap_t* heap, size_t size, bool zero) {
  task_charge(ticks_of(size));
  heap = usable_heap(heap);
  return heap != NULL ? heap_alloc(heap, size, zero) : NULL;
}

static void* allocate_at(mi_heap_t* heap, size_t size, size_t align, size_t offset, bool zero) {
  task_charge(ticks_of(size));
  heap = usable_heap(heap);
  if (heap == NULL || !is_alignment(align, offset)) return NULL;
  return heap_alloc_aligned(heap, size, align, offset, zero);
}

static void* resize_at(mi_heap_t* heap, void* p, size_t size, size_t align, size_t offset,
                       bool zero) {
  task_charge(ticks_of(size));
  heap = usable_heap(heap);
  if (heap == NULL || !is_alignment(align, offset)) return NULL;
  return heap_realloc(heap, p, size, align, offset, zero);
}

static void* resize(mi_heap_t* heap, void* p, size_t size, bool zero) {
  return resize_at(heap, p, size, 1, 0, zero);
}

/* Frees p if there was no memory; a pointer that is no block was reported and stays. */
static void* resize_or_free(mi_heap_t* heap, void* p, size_t size) {
  void* q = resize(heap, p, size, false);
  if (q == NULL && errno != EINVAL) mi_free(p);
  return q;
}

/* ---- Plain ----------------------------------------------------------------------------------- */

void* mi_malloc_small(size_t size) { return mi_malloc(size); }
void* mi_mallocn(size_t count, size_t size) { return mi_malloc(product(count, size)); }
void* mi_zalloc(size_t size) { return allocate(NULL, size, true); }
void* mi_zalloc_small(size_t size) { return allocate(NULL, size, true); }
void* mi_calloc(size_t count, size_t size) { return allocate(NULL, product(count, size), true); }

void* mi_realloc(void* p, size_t newsize) { return resize(NULL, p, newsize, false); }
void* mi_reallocf(void* p, size_t newsize) { return resize_or_free(NULL, p, newsize); }
void* mi_reallocn(void* p, size_t count, size_t size) {
  return resize(NULL, p, product(count, size), false);
}
void* mi_rezalloc(void* p, size_t newsize) { return resize(NULL, p, newsize, true); }
void* mi_recalloc(void* p, size_t newcount, size_t size) {
  return resize(NULL, p, product(newcount, size), true);
}

void* mi_expand(void* p, size_t newsize) {
  task_charge(ticks_of(newsize));
  if (p == NULL) return NULL;
  page_t* page = page_checked(p, "expand");
  return page != NULL && newsize <= page_usable(page, p) ? p : NULL;
}
void* mi__expand(void* p, size_t newsize) {
  void* q = mi_expand(p, newsize);
  if (q == NULL) errno = ENOMEM;
  return q;
}

void* mi_heap_malloc(mi_heap_t* heap, size_t size) { return allocate(heap, size, false); }
void* mi_heap_malloc_small(mi_heap_t* heap, size_t size) { return allocate(heap, size, false); }
void* mi_heap_mallocn(mi_heap_t* heap, size_t count, size_t size) {
  return allocate(heap, product(count, size), false);
}
void* mi_heap_zalloc(mi_heap_t* heap, size_t size) { return allocate(heap, size, true); }
void* mi_heap_zalloc_small(mi_heap_t* heap, size_t size) { return allocate(heap, size, true); }
void* mi_heap_calloc(mi_heap_t* heap, size_t count, size_t size) {
  return allocate(heap, product(count, size), true);
}

void* mi_heap_realloc(mi_heap_t* heap, void* p, size_t newsize) {
  return resize(heap, p, newsize, false);
}
void* mi_heap_reallocf(mi_heap_t* heap, void* p, size_t newsize) {
  return resize_or_free(heap, p, newsize);
}
void* mi_heap_reallocn(mi_heap_t* heap, void* p, size_t count, size_t size) {
  return resize(heap, p, product(count, size), false);
}
void* mi_heap_rezalloc(mi_heap_t* heap, void* p, size_t newsize) {
  return resize(heap, p, newsize, true);
}
void* mi_heap_recalloc(mi_heap_t* heap, void* p, size_t newcount, size_t size) {
  return resize(heap, p, product(newcount, size), true);
}

/* ---- Aligned --------------------------------------------------------------------------------- */

void* mi_malloc_aligned(size_t size, size_t alignment) {
  return allocate_at(NULL, size, alignment, 0, false);
}
void* mi_malloc_aligned_at(size_t size, size_t alignment, size_t offset) {
  return allocate_at(NULL, size, alignment, offset, false);
}
void* mi_zalloc_aligned(size_t size, size_t alignment) {
  return allocate_at(NULL, size, alignment, 0, true);
}
void* mi_zalloc_aligned_at(size_t size, size_t alignment, size_t offset) {
  return allocate_at(NULL, size, alignment, offset, true);
}
void* mi_calloc_aligned(size_t count, size_t size, size_t alignment) {
  return allocate_at(NULL, product(count, size), alignment, 0, true);
}
void* mi_calloc_aligned_at(size_t count, size_t size, size_t alignment, size_t offset) {
  return allocate_at(NULL, product(count, size), alignment, offset, true);
}
void* mi_realloc_aligned(void* p, size_t newsize, size_t alignment) {
  return resize_at(NULL, p, newsize, alignment, 0, false);
}
void* mi_realloc_aligned_at(void* p, size_t newsize, size_t alignment, size_t offset) {
  return resize_at(NULL, p, newsize, alignment, offset, false);
}
void* mi_rezalloc_aligned(void* p, size_t newsize, size_t alignment) {
  return resize_at(NULL, p, newsize, alignment, 0, true);
}
void* mi_rezalloc_aligned_at(void* p, size_t newsize, size_t alignment, size_t offset) {
  return resize_at(NULL, p, newsize, alignment, offset, true);
}
void* mi_recalloc_aligned(void* p, size_t newcount, size_t size, size_t alignment) {
  return resize_at(NULL, p, product(newcount, size), alignment, 0, true);
}
void* mi_recalloc_aligned_at(void* p, size_t newcount, size_t size, size_t alignment,
                             size_t offset) {
  return resize_at(NULL, p, product(newcount, size), alignment, offset, true);
}

void* mi_heap_malloc_aligned(mi_heap_t* heap, size_t size, size_t alignment) {
  return allocate_at(heap, size, alignment, 0, false);
}
void* mi_heap_malloc_aligned_at(mi_heap_t* heap, size_t size, size_t alignment, size_t offset) {
  return allocate_at(heap, size, alignment, offset, false);
}
void* mi_heap_zalloc_aligned(mi_heap_t* heap, size_t size, size_t alignment) {
  return allocate_at(heap, size, alignment, 0, true);
}
void* mi_heap_zalloc_aligned_at(mi_heap_t* heap, size_t size, size_t alignment, size_t offset) {
  return allocate_at(heap, size, alignment, offset, true);
}
void* mi_heap_calloc_aligned(mi_heap_t* heap, size_t count, size_t size, size_t alignment) {
  return allocate_at(heap, product(count, size), alignment, 0, true);
}
void* mi_heap_calloc_aligned_at(mi_heap_t* heap, size_t count, size_t size, size_t alignment,
                                size_t offset) {
  return allocate_at(heap, product(count, size), alignment, offset, true);
}
void* mi_heap_realloc_aligned(mi_heap_t* heap, void* p, size_t newsize, size_t alignment) {
  return resize_at(heap, p, newsize, alignment, 0, false);
}
void* mi_heap_realloc_aligned_at(mi_heap_t* heap, void* p, size_t newsize, size_t alignment,
                                 size_t offset) {
  return resize_at(heap, p, newsize, alignment, offset, false);
}
void* mi_heap_rezalloc_aligned(mi_heap_t* heap, void* p, size_t newsize, size_t alignment) {
  return resize_at(heap, p, newsize, alignment, 0, true);
}
void* mi_heap_rezalloc_aligned_at(mi_heap_t* heap, void* p, size_t newsize, size_t alignment,
                                  size_t offset) {
  return resize_at(heap, p, newsize, alignment, offset, true);
}
void* mi_heap_recalloc_aligned(mi_heap_t* heap, void* p, size_t newcount, size_t size,
                               size_t alignment) {
  return resize_at(heap, p, product(newcount, size), alignment, 0, true);
}
void* mi_heap_recalloc_aligned_at(mi_heap_t* heap, void* p, size_t newcount, size_t size,
                                  size_t alignment, size_t offset) {
  return resize_at(heap, p, product(newcount, size), alignment, offset, true);
}

/* ---- Strings --------------------------------------------------------------------------------- */

static char* copy(mi_heap_t* heap, const void* from, size_t bytes, size_t terminator) {
  char* to = allocate(heap, bytes + terminator, false);
  if (to == NULL) return NULL;
  memcpy(to, from, bytes);
  memset(to + bytes, 0, terminator);
  return to;
}

char* mi_heap_strdup(mi_heap_t* heap, const char* s) {
  return s != NULL ? copy(heap, s, strlen(s), 1) : NULL;
}
char* mi_heap_strndup(mi_heap_t* heap, const char* s, size_t n) {
  return s != NULL ? copy(heap, s, strnlen(s, n), 1) : NULL;
}
char* mi_heap_realpath(mi_heap_t* heap, const char* fname, char* resolved_name) {
  char path[PATH_MAX];
  if (resolved_name != NULL) return realpath(fname, resolved_name);
  return realpath(fname, path) != NULL ? mi_heap_strdup(heap, path) : NULL;
}
char* mi_strdup(const char* s) { return mi_heap_strdup(NULL, s); }
char* mi_strndup(const char* s, size_t n) { return mi_heap_strndup(NULL, s, n); }
char* mi_realpath(const char* fname, char* resolved_name) {
  return mi_heap_realpath(NULL, fname, resolved_name);
}

wchar_t* mi_wcsdup(const wchar_t* s) {
  if (s == NULL) return NULL;
  return (wchar_t*)(void*)copy(NULL, s, wcslen(s) * sizeof *s, sizeof *s);
}
unsigned char* mi_mbsdup(const unsigned char* s) {
  return (unsigned char*)mi_strdup((const char*)s);
}

int mi_dupenv_s(char** buf, size_t* size, const char* name) {
  if (buf == NULL || name == NULL) return EINVAL;
  if (size != NULL) *size = 0;
  *buf = NULL;
  const char* value = getenv(name);
  if (value == NULL) return 0;
  *buf = mi_strdup(value);
  if (*buf == NULL) return ENOMEM;
  if (size != NULL) *size = strlen(value);
  return 0;
}

/* The environment has no wide characters here. */
int mi_wdupenv_s(wchar_t** buf, size_t* size, const wchar_t* name) {
  if (buf == NULL || name == NULL) return EINVAL;
  if (size != NULL) *size = 0;
  *buf = NULL;
  return EINVAL;
}

/* ---- POSIX and glibc ------------------------------------------------------------------------- */

int mi_posix_memalign(void** p, size_t alignment, size_t size) {
  int saved = errno;
  if (p == NULL || alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) {
    task_charge(ticks_of(size));
    return EINVAL;
  }
  void* q = mi_malloc_aligned(size, alignment);
  errno = saved;
  if (q == NULL) return ENOMEM;
  *p = q;
  return 0;
}

/* glibc: any number will do, and is rounded up to a power of two. */
void* mi_memalign(size_t alignment, size_t size) {
  size_t power = 1;
  while (power < alignment && power <= SIZE_MAX / 2) power *= 2;
  return mi_malloc_aligned(size, power >= alignment ? power : 0);
}
void* mi_aligned_alloc(size_t alignment, size_t size) { return mi_memalign(alignment, size); }

void* mi_valloc(size_t size) { return mi_malloc_aligned(size, os_page_size()); }
void* mi_pvalloc(size_t size) {
  size_t page = os_page_size();
  size_t whole = size > PTRDIFF_MAX - page ? size : (size + page - 1) & ~(page - 1);
  task_charge(ticks_of(size));
  return heap_alloc_aligned(tls.heap, whole, page, 0, false);
}

void* mi_reallocarray(void* p, size_t count, size_t size) { return mi_reallocn(p, count, size); }

/* NetBSD: *ptrp is replaced if all went well; the result is an error number, errno stays. */
int mi_reallocarr(void* ptrp, size_t count, size_t size) {
  if (ptrp == NULL) return EINVAL;
  void** at = ptrp;
  int saved = errno;
  void* q = mi_reallocn(*at, count, size);
  int error = q != NULL ? 0 : errno;
  errno = saved;
  if (q != NULL) *at = q;
  return error;
}

void* mi_aligned_recalloc(void* p, size_t newcount, size_t size, size_t alignment) {
  return mi_recalloc_aligned(p, newcount, size, alignment);
}
void* mi_aligned_offset_recalloc(void* p, size_t newcount, size_t size, size_t alignment,
                                 size_t offset) {
  return mi_recalloc_aligned_at(p, newcount, size, alignment, offset);
}

/* ---- Free, by those who know more ------------------------------------------------------------ */

void mi_free_small(void* p) { mi_free(p); }

/* In a region blocks have no size of their own. */
static bool has_size(const void* p, size_t size) {
  page_t* page = page_of(p);
  return page == NULL || !page->padded || mi_usable_size(p) == size;
}

void mi_free_size(void* p, size_t size) {
  if (CHECKED && p != NULL && !has_size(p, size))
    report_error(EINVAL, "sluice: error: sized free of block %p of %zu bytes as one of %zu", p,
                 mi_usable_size(p), size);
  mi_free(p);
}
void mi_free_aligned(void* p, size_t alignment) {
  if (CHECKED && alignment != 0 && (uintptr_t)p % alignment != 0)
    report_error(EINVAL, "sluice: error: free of block %p, which is not aligned to %zu", p,
                 alignment);
  mi_free(p);
}
void mi_free_size_aligned(void* p, size_t size, size_t alignment) {
  if (CHECKED && alignment != 0 && (uintptr_t)p % alignment != 0)
    report_error(EINVAL, "sluice: error: free of block %p, which is not aligned to %zu", p,
                 alignment);
  mi_free_size(p, size);
}

/* Blocks of another allocator are left alone. */
void mi_cfree(void* p) {
  if (page_of(p) != NULL) mi_free(p);
}

/* ---- With the size of the block -------------------------------------------------------------- */

static void* with_size(void* p, size_t* block_size) {
  if (block_size != NULL) *block_size = mi_usable_size(p);
  return p;
}

void* mi_umalloc(size_t size, size_t* block_size) { return with_size(mi_malloc(size), block_size); }
void* mi_umalloc_small(size_t size, size_t* block_size) { return mi_umalloc(size, block_size); }
void* mi_ucalloc(size_t count, size_t size, size_t* block_size) {
  return with_size(mi_calloc(count, size), block_size);
}
void* mi_uzalloc_small(size_t size, size_t* block_size) {
  return with_size(mi_zalloc(size), block_size);
}
void* mi_umalloc_aligned(size_t size, size_t alignment, size_t* block_size) {
  return with_size(mi_malloc_aligned(size, alignment), block_size);
}
void* mi_uzalloc_aligned(size_t size, size_t alignment, size_t* block_size) {
  return with_size(mi_zalloc_aligned(size, alignment), block_size);
}
void* mi_urealloc(void* p, size_t newsize, size_t* block_size_pre, size_t* block_size_post) {
  with_size(p, block_size_pre);
  return with_size(mi_realloc(p, newsize), block_size_post);
}
void mi_ufree(void* p, size_t* block_size) {
  with_size(p, block_size);
  mi_free(p);
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

size_t mi_usable_size(const void* p) {
  if (p == NULL) return 0;
  page_t* page = page_checked(p, "usable size");
  return page == NULL ? 0 : page_usable(page, p);
}
size_t mi_malloc_size(const void* p) { return mi_usable_size(p); }
size_t mi_malloc_usable_size(const void* p) { return mi_usable_size(p); }

size_t mi_good_size(size_t size) {
  if (size <= CLASS_BLOCK_MAX) return class_words(class_of_bytes(size)) * WORD;
  if (size > PTRDIFF_MAX) return size;
  return single_bytes(size);
}
size_t mi_malloc_good_size(size_t size) { return mi_good_size(size); }

int mi_version(void) { return MI_MALLOC_VERSION; }

/* ---- operator new ---------------------------------------------------------------------------- */

typedef void (*new_handler)(void);
/* The C++ library's std::get_new_handler and std::__throw_bad_alloc, in a program that has one. */
extern new_handler _ZSt15get_new_handlerv(void) __attribute__((weak));
extern _Noreturn void _ZSt17__throw_bad_allocv(void) __attribute__((weak));

/* As operator new asks: the handler makes room, throws or ends the program. False: there is none. */
static bool call_new_handler(void) {
  new_handler handler = _ZSt15get_new_handlerv != NULL ? _ZSt15get_new_handlerv() : NULL;
  if (handler != NULL) handler();
  return handler != NULL;
}

static _Noreturn void no_memory(size_t size) {
  if (_ZSt17__throw_bad_allocv != NULL) _ZSt17__throw_bad_allocv();
  message("sluice: error: no memory for %zu bytes in new, and nobody to tell", size);
  abort();
}

/* The first try failed, and was charged. */
static __attribute__((noinline)) void* new_again(mi_heap_t* heap, void* old, size_t size,
                                                 size_t align, bool throws) {
  while (errno == ENOMEM && call_new_handler()) {
    mi_heap_t* from = usable_heap(heap); /* the handler may have changed the default one */
    void* p = from != NULL ? heap_realloc(from, old, size, align, 0, false) : NULL;
    if (p != NULL) return p;
  }
  if (throws) no_memory(size);
  return NULL;
}

void* mi_new(size_t size) {
  void* p = mi_malloc(size);
  return likely(p != NULL) ? p : new_again(NULL, NULL, size, 1, true);
}
void* mi_new_n(size_t count, size_t size) { return mi_new(product(count, size)); }
void* mi_new_nothrow(size_t size) {
  void* p = mi_malloc(size);
  return likely(p != NULL) ? p : new_again(NULL, NULL, size, 1, false);
}
void* mi_new_aligned(size_t size, size_t alignment) {
  void* p = mi_malloc_aligned(size, alignment);
  return likely(p != NULL) ? p : new_again(NULL, NULL, size, alignment, true);
}
void* mi_new_aligned_nothrow(size_t size, size_t alignment) {
  void* p = mi_malloc_aligned(size, alignment);
  return likely(p != NULL) ? p : new_again(NULL, NULL, size, alignment, false);
}
void* mi_new_realloc(void* p, size_t newsize) {
  void* q = mi_realloc(p, newsize);
  return likely(q != NULL) ? q : new_again(NULL, p, newsize, 1, true);
}
void* mi_new_reallocn(void* p, size_t newcount, size_t size) {
  return mi_new_realloc(p, product(newcount, size));
}
void* mi_heap_alloc_new(mi_heap_t* heap, size_t size) {
  void* p = allocate(heap, size, false);
  return likely(p != NULL) ? p : new_again(heap, NULL, size, 1, true);
}
void* mi_heap_alloc_new_n(mi_heap_t* heap, size_t count, size_t size) {
  return mi_heap_alloc_new(heap, product(count, size));
}
