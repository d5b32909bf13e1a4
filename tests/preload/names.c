/* names.c: what malloc and its relatives must do under their own names, whoever provides them: run.sh
** runs it with glibc's and with ours. Then 16 threads use all of them at once, and each other's blocks. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define check(e) ((e) ? (void)0 : fail(#e, __LINE__))
static _Noreturn void fail(const char* what, int line) {
  fprintf(stderr, "names.c:%d: %s (errno %d)\n", line, what, errno);
  exit(1);
}

/* Of ours, and perhaps of the C library (C23). */
extern int mi_version(void) __attribute__((weak));
extern void free_sized(void* p, size_t size) __attribute__((weak));
extern void free_aligned_sized(void* p, size_t alignment, size_t size) __attribute__((weak));

static volatile size_t huge = SIZE_MAX, half = SIZE_MAX / 2; /* the compiler must not see through */

static void fails_with_enomem(void* p) {
  check(p == NULL && errno == ENOMEM);
  errno = 0;
}

static int is_aligned(const void* p, size_t align) { return (uintptr_t)p % align == 0; }

static void plain(void) {
  void *a = malloc(0), *b = malloc(0), *volatile none = NULL;
  check(a != NULL && b != NULL && a != b);
  free(a), free(b), free(none);
  char* p = calloc(100, 7);
  for (int i = 0; i < 700; i++) check(p[i] == 0);
  strcpy(p, "kept");
  p = realloc(p, 100000);
  check(strcmp(p, "kept") == 0);
  check(malloc_usable_size(p) >= 100000 && malloc_usable_size(none) == 0);
  fails_with_enomem(realloc(p, huge - 100));
  fails_with_enomem(reallocarray(p, half, 3));
  check(strcmp(p, "kept") == 0);
  p = reallocarray(p, 3, 5);
  check(strcmp(p, "kept") == 0);
  check(realloc(p, 0) == NULL);
  fails_with_enomem(malloc(huge));
  fails_with_enomem(malloc(half + 1));
  fails_with_enomem(calloc(half, 3));
  p = realloc(none, 10);
  check(p != NULL);
  errno = 5;
  free(p);
  check(errno == 5);
}

static void aligned(void) {
  void* p = NULL;
  check(posix_memalign(&p, 3, 10) == EINVAL && posix_memalign(&p, 0, 10) == EINVAL && p == NULL);
  for (size_t align = 8; align <= 1 << 20; align *= 2)
    for (size_t size = 1; size < 300000; size = size * 3 + 1) {
      check(posix_memalign(&p, align, size) == 0 && is_aligned(p, align));
      memset(p, 1, size);
      free(p);
      p = memalign(align, size);
      check(is_aligned(p, align) && malloc_usable_size(p) >= size);
      p = realloc(p, size + 10);
      check(*(char*)p == *(char*)p);
      free(p);
    }
  p = aligned_alloc(64, 640);
  check(is_aligned(p, 64));
  if (free_aligned_sized != NULL)
    free_aligned_sized(p, 64, 640);
  else
    free(p);
  volatile size_t crooked = 48;
  p = memalign(crooked, 100);
  check(is_aligned(p, 64));
  free(p);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  p = valloc(10);
  check(is_aligned(p, page));
  free(p);
  p = pvalloc(page + 1);
  check(is_aligned(p, page) && malloc_usable_size(p) >= 2 * page);
  free(p);
  p = malloc(123);
  if (free_sized != NULL)
    free_sized(p, 123);
  else
    free(p);
}

/* The C library's own callers find ours, and the other way round. */
static void others(void) {
  char *s = strdup("text"), *t = NULL, *line = NULL;
  size_t room = 0;
  check(asprintf(&t, "%s %d", s, 5) == 6 && strcmp(t, "text 5") == 0);
  FILE* f = tmpfile();
  fputs("a line\n", f);
  rewind(f);
  check(getline(&line, &room, f) == 7);
  fclose(f);
  s = realloc(s, 1000), line = realloc(line, 1000);
  check(strcmp(s, "text") == 0 && strcmp(line, "a line\n") == 0);
  char* path = realpath("/usr/..", NULL);
  check(strcmp(path, "/") == 0);
  free(s), free(t), free(line), free(path);
}

static void figures(void) {
  enum { BLOCKS = 1000, SIZE = 1000 };
  static void* p[BLOCKS];
  struct mallinfo2 before = mallinfo2();
  for (int i = 0; i < BLOCKS; i++) p[i] = malloc(SIZE);
  struct mallinfo2 now = mallinfo2();
  check(now.uordblks + now.hblkhd >= before.uordblks + before.hblkhd + BLOCKS * SIZE);
  check(now.arena + now.hblkhd >= now.uordblks);
  for (int i = 0; i < BLOCKS; i++) free(p[i]);
  int trimmed = malloc_trim(0);
  check(trimmed == 0 || trimmed == 1);
  check(mallopt(M_TRIM_THRESHOLD, 100000) == 1);
  check(mi_version == NULL || mallopt(M_MXFAST, 64) == 0); /* means nothing in ours */
  char text[4096] = "";
  FILE* f = tmpfile();
  check(malloc_info(1, f) == EINVAL && malloc_info(0, f) == 0);
  rewind(f);
  check(fread(text, 1, sizeof text - 1, f) > 0);
  check(strncmp(text, "<malloc version=", 16) == 0 && strstr(text, "</malloc>") != NULL);
  fclose(f);
}

/* ---- All at once ------------------------------------------------------------------------------- */

enum { THREADS = 16, STEPS = 20000, SLOTS = 2000 };
typedef struct block {
  size_t size;
  unsigned char fill[];
} block;
static _Atomic(block*) slots[SLOTS];

static uint64_t rnd(uint64_t* state, uint64_t n) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return (*state >> 11) % n;
}

static void look(const block* b) {
  unsigned char fill = (unsigned char)b->size;
  if (b->size == 0) return;
  check(b->fill[0] == fill && b->fill[b->size / 2] == fill && b->fill[b->size - 1] == fill);
}

static block* fill(block* b, size_t size) {
  check(b != NULL);
  b->size = size;
  memset(b->fill, (unsigned char)size, size);
  return b;
}

static block* make(uint64_t* state, size_t size) {
  void* p = NULL;
  size_t bytes = sizeof(block) + size, align = (size_t)16 << rnd(state, 8);
  switch (rnd(state, 6)) {
    case 0:
      return fill(calloc(1, bytes), size);
    case 1:
      return fill(memalign(align, bytes), size);
    case 2:
      bytes = (bytes + align - 1) / align * align;
      return fill(aligned_alloc(align, bytes), bytes - sizeof(block));
    case 3:
      check(posix_memalign(&p, align, bytes) == 0);
      return fill(p, size);
    default:
      return fill(malloc(bytes), size);
  }
}

static block* change(block* b, size_t size) {
  look(b);
  size_t kept = b->size < size ? b->size : size;
  unsigned char before = (unsigned char)b->size;
  b = realloc(b, sizeof *b + size);
  check(b != NULL && (kept == 0 || b->fill[kept - 1] == before));
  return fill(b, size);
}

static void* live(void* arg) {
  uint64_t state = ((uintptr_t)arg + 1) * 0x9e3779b97f4a7c15u;
  for (int i = 0; i < STEPS; i++) {
    size_t size = rnd(&state, rnd(&state, 500) == 0 ? 400000 : 600);
    block* b = rnd(&state, 3) == 0 ? NULL : make(&state, size);
    b = atomic_exchange(&slots[rnd(&state, SLOTS)], b);
    if (b != NULL && rnd(&state, 3) == 0) b = change(b, rnd(&state, 2000));
    if (b != NULL) look(b);
    if (rnd(&state, 2) == 0 || b == NULL)
      free(b);
    else if (free_sized != NULL)
      free_sized(b, 0 + sizeof *b + b->size);
    else
      free(b);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  plain();
  aligned();
  others();
  figures();
  for (uintptr_t i = 0; i < THREADS; i++)
    check(pthread_create(&threads[i], NULL, live, (void*)i) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < SLOTS; i++) free(slots[i]);
  puts("all names as they should be");
  return 0;
}
