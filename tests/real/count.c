/* count.c: counts what a program asks of malloc, over the C library's, by LD_PRELOAD: an account
** that owes nothing to ours. For each size, in words of 8 bytes (0 bytes are 1 word): allocations,
** frees and the most blocks at once, to the file COUNT_OUT at the end. A realloc is an allocation
** and the free of the old block. Every block has its size in front of it, so the aligned functions,
** which would need more than that, end the program. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORD = 8, HEADER = 16, COMMON_MAX = 8192 /* words; larger blocks are counted together */ };

static struct count { atomic_long allocated, freed, peak; } counts[COMMON_MAX + 2];

static void* (*next_malloc)(size_t);
static void (*next_free)(void*);

/* Called before the first thread is made: the program's loader allocates. */
static void find_next(void) {
  *(void**)&next_malloc = dlsym(RTLD_NEXT, "malloc");
  *(void**)&next_free = dlsym(RTLD_NEXT, "free");
}

static struct count* count_of(size_t size) {
  size_t words = size / WORD + (size % WORD != 0);
  return &counts[words == 0 ? 1 : words > COMMON_MAX ? COMMON_MAX + 1 : words];
}

static size_t* header_of(void* p) { return (size_t*)(void*)((char*)p - HEADER); }

static void count_alloc(size_t size) {
  struct count* c = count_of(size);
  long live = atomic_fetch_add(&c->allocated, 1) + 1 - atomic_load(&c->freed);
  if (live > atomic_load(&c->peak)) atomic_store(&c->peak, live);
}

void* malloc(size_t size) {
  if (next_malloc == NULL) find_next();
  size_t* header = size <= (size_t)-1 - HEADER ? next_malloc(size + HEADER) : NULL;
  if (header == NULL) return NULL;
  *header = size;
  count_alloc(size);
  return (char*)header + HEADER;
}

void free(void* p) {
  if (p == NULL) return;
  atomic_fetch_add(&count_of(*header_of(p))->freed, 1);
  next_free(header_of(p));
}

void* calloc(size_t n, size_t size) {
  size_t total;
  void* p = __builtin_mul_overflow(n, size, &total) ? NULL : malloc(total);
  return p != NULL ? memset(p, 0, total) : NULL;
}

void* realloc(void* p, size_t size) {
  if (p == NULL) return malloc(size);
  void* moved = size > 0 ? malloc(size) : NULL;
  if (size > 0 && moved == NULL) return NULL;
  if (moved != NULL) memcpy(moved, p, size < *header_of(p) ? size : *header_of(p));
  free(p);
  return moved;
}

static _Noreturn void refuse(const char* what) {
  fprintf(stderr, "count.c: %s is not counted\n", what);
  _exit(99);
}
int posix_memalign(void** p, size_t align, size_t size) {
  (void)p, (void)align, (void)size;
  refuse("posix_memalign");
}
void* aligned_alloc(size_t align, size_t size) {
  (void)align, (void)size;
  refuse("aligned_alloc");
}
void* memalign(size_t align, size_t size) {
  (void)align, (void)size;
  refuse("memalign");
}
size_t malloc_usable_size(void* p) {
  (void)p;
  refuse("malloc_usable_size");
}

static void write_row(int out, size_t words, struct count* c) {
  char line[100];
  int n = snprintf(line, sizeof line, "%zu %ld %ld %ld\n", words, c->allocated, c->freed, c->peak);
  if (write(out, line, (size_t)n) != n) _exit(99);
}

/* Without stdio's streams: they allocate. */
static void __attribute__((destructor)) report(void) {
  const char* name = getenv("COUNT_OUT");
  int out = name != NULL ? open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
  if (out < 0) return;
  for (size_t words = 1; words <= COMMON_MAX + 1; words++) {
    struct count* c = &counts[words];
    if (c->allocated > 0) write_row(out, words, c);
  }
  close(out);
}
