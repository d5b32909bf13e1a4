/* mix.c: every function of malloc's family in 16 threads at once, four generations of them, with
** blocks that go from thread to thread, outlive their threads, and are freed by strangers and in
** forked children. Every byte of every block is checked whenever it changes hands. What it prints
** does not depend on the allocator or the schedule: how many blocks each function made. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#define check(e) ((e) ? (void)0 : fail(#e, __LINE__))
static _Noreturn void fail(const char* what, int line) {
  fprintf(stderr, "mix.c:%d: %s (errno %d)\n", line, what, errno);
  _exit(1);
}

enum { THREADS = 16, GENERATIONS = 4, STEPS = 6000, FORKS = 4, SLOTS = 4096, KEEP_ERRNO = 77 };

/* Whoever holds the item owns it and its block. */
typedef struct item {
  unsigned char* p;
  size_t size;
  uint64_t seed; /* of its bytes */
} item;
static _Atomic(item*) slots[SLOTS];

/* ---- What is random, and what blocks contain ------------------------------------------------- */

static uint64_t rnd(uint64_t* state, uint64_t n) { /* Steele, Lea and Flood's SplitMix */
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return (z ^ z >> 31) % n;
}

/* Mostly small, few of many megabytes. */
static size_t random_size(uint64_t* state) {
  uint64_t kind = rnd(state, 10000);
  size_t limit = kind < 1 ? 20 << 20 : kind < 10 ? 2 << 20 : kind < 1000 ? 64 << 10 : 1 << 10;
  return rnd(state, limit) + 1;
}

/* Never 0 or '\n', so that any block's bytes can be a string, and a line. */
static unsigned char byte_at(uint64_t seed, size_t i) {
  return (unsigned char)(11 + ((seed + i * 7 + (i >> 8)) & 127));
}

static void fill(unsigned char* p, size_t from, size_t to, uint64_t seed) {
  for (size_t i = from; i < to; i++) p[i] = byte_at(seed, i);
}

/* Without a branch for each byte: most of the time goes by here. */
static void look(const unsigned char* p, size_t size, uint64_t seed) {
  unsigned char wrong = 0;
  for (size_t i = 0; i < size; i++) wrong |= p[i] ^ byte_at(seed, i);
  check(wrong == 0);
}

static void aligned(const void* p, size_t align) { check((uintptr_t)p % align == 0); }

/* ---- The functions that make a block --------------------------------------------------------- */

typedef unsigned char* maker(size_t size, size_t align);

static unsigned char* by_malloc(size_t size, size_t align) {
  (void)align;
  return malloc(size);
}

static unsigned char* by_calloc(size_t size, size_t align) {
  unsigned char* p = calloc(align, size / align + 1);
  for (size_t i = 0; p != NULL && i < size; i++) check(p[i] == 0);
  return p;
}

static unsigned char* by_realloc(size_t size, size_t align) {
  unsigned char* p = realloc(NULL, align);
  check(p != NULL);
  fill(p, 0, align, 5);
  p = realloc(p, size);
  if (p != NULL) look(p, align < size ? align : size, 5);
  return p;
}

static unsigned char* by_reallocarray(size_t size, size_t align) {
  return reallocarray(NULL, size / align + 1, align);
}

static unsigned char* by_aligned_alloc(size_t size, size_t align) {
  unsigned char* p = aligned_alloc(align, (size + align - 1) / align * align);
  aligned(p, align);
  return p;
}

static unsigned char* by_memalign(size_t size, size_t align) {
  unsigned char* p = memalign(align, size);
  aligned(p, align);
  return p;
}

static unsigned char* by_posix_memalign(size_t size, size_t align) {
  void* p = NULL;
  check(posix_memalign(&p, align, size) == 0);
  aligned(p, align);
  return p;
}

static unsigned char* by_valloc(size_t size, size_t align) {
  (void)align;
  unsigned char* p = valloc(size);
  aligned(p, (size_t)sysconf(_SC_PAGESIZE));
  return p;
}

static unsigned char* by_pvalloc(size_t size, size_t align) {
  (void)align;
  unsigned char* p = pvalloc(size);
  aligned(p, (size_t)sysconf(_SC_PAGESIZE));
  check(malloc_usable_size(p) >= (size_t)sysconf(_SC_PAGESIZE));
  return p;
}

/* A string of size - 1 characters, to be freed. */
static char* text(size_t size) {
  char* s = malloc(size);
  check(s != NULL);
  fill((unsigned char*)s, 0, size - 1, 9);
  s[size - 1] = '\0';
  return s;
}

/* `copy` is that string again, in a block of its own. */
static unsigned char* copied(char* s, char* copy) {
  check(copy != NULL && strcmp(s, copy) == 0);
  free(s);
  return (unsigned char*)copy;
}

static unsigned char* by_strdup(size_t size, size_t align) {
  (void)align;
  char* s = text(size);
  return copied(s, strdup(s));
}

static unsigned char* by_strndup(size_t size, size_t align) {
  char *s = text(size + align), *copy = strndup(s, size - 1);
  s[size - 1] = '\0';
  return copied(s, copy);
}

static unsigned char* by_wcsdup(size_t size, size_t align) {
  (void)align;
  size_t n = size / sizeof(wchar_t) + 1;
  wchar_t* s = calloc(n, sizeof *s);
  check(s != NULL);
  wmemset(s, L'w', n - 1);
  wchar_t* copy = wcsdup(s);
  check(copy != NULL && wcscmp(s, copy) == 0);
  free(s);
  return (unsigned char*)copy;
}

static unsigned char* by_asprintf(size_t size, size_t align) {
  (void)align;
  char *s = text(size), *copy = NULL;
  check(asprintf(&copy, "%s", s) == (int)size - 1);
  return copied(s, copy);
}

static unsigned char* by_getline(size_t size, size_t align) {
  (void)align;
  char *s = text(size + 1), *line = NULL;
  size_t room = 0;
  s[size - 1] = '\n';
  FILE* f = fmemopen(s, size, "r");
  check(f != NULL && getline(&line, &room, f) == (ssize_t)size && room > size);
  fclose(f);
  s[size] = '\0';
  return copied(s, line);
}

static unsigned char* by_open_memstream(size_t size, size_t align) {
  (void)align;
  char *s = text(size), *copy = NULL;
  size_t written = 0;
  FILE* f = open_memstream(&copy, &written);
  check(f != NULL && fputs(s, f) >= 0 && fclose(f) == 0 && written == size - 1);
  return copied(s, copy);
}

static const struct {
  const char* name;
  maker* make;
} makers[] = {
    {"malloc", by_malloc},
    {"calloc", by_calloc},
    {"realloc", by_realloc},
    {"reallocarray", by_reallocarray},
    {"aligned_alloc", by_aligned_alloc},
    {"memalign", by_memalign},
    {"posix_memalign", by_posix_memalign},
    {"valloc", by_valloc},
    {"pvalloc", by_pvalloc},
    {"strdup", by_strdup},
    {"strndup", by_strndup},
    {"wcsdup", by_wcsdup},
    {"asprintf", by_asprintf},
    {"getline", by_getline},
    {"open_memstream", by_open_memstream},
};
enum { MAKERS = sizeof makers / sizeof *makers };
static atomic_long made[MAKERS];

static item* make(uint64_t* state) {
  size_t size = random_size(state), align = (size_t)8 << rnd(state, 12), which = rnd(state, MAKERS);
  item* it = malloc(sizeof *it);
  check(it != NULL);
  *it = (item){makers[which].make(size, align), size, rnd(state, 1000)};
  check(it->p != NULL && malloc_usable_size(it->p) >= size);
  if (rnd(state, 4) == 0) it->size = malloc_usable_size(it->p);
  fill(it->p, 0, it->size, it->seed);
  made[which]++;
  return it;
}

/* ---- What becomes of it ---------------------------------------------------------------------- */

static void resize(item* it, uint64_t* state) {
  size_t size = random_size(state), kept = size < it->size ? size : it->size;
  it->p = rnd(state, 2) == 0 ? realloc(it->p, size) : reallocarray(it->p, size, 1);
  check(it->p != NULL);
  look(it->p, kept, it->seed);
  fill(it->p, kept, size, it->seed);
  it->size = size;
}

static void end(item* it, uint64_t way) {
  look(it->p, it->size, it->seed);
  errno = KEEP_ERRNO;
  if (way == 0)
    check(realloc(it->p, 0) == NULL);
  else
    free(it->p);
  free(it);
  check(errno == KEEP_ERRNO);
}

static void end_all(void) {
  for (size_t i = 0; i < SLOTS; i++) {
    item* it = atomic_exchange(&slots[i], NULL);
    if (it != NULL) end(it, i % 2);
  }
}

/* The child owns a copy of what was in the slots; what threads held in hand is lost to it. */
static void fork_and_check(void) {
  pid_t child = fork();
  check(child >= 0);
  if (child == 0) {
    end_all();
    _exit(0);
  }
  int status;
  check(waitpid(child, &status, 0) == child && status == 0);
}

static void step(uint64_t* state) {
  item* it = make(state);
  uint64_t way = rnd(state, 8);
  it = atomic_exchange(&slots[rnd(state, SLOTS)], it);
  if (it == NULL) return;
  if (way >= 4) {
    look(it->p, it->size, it->seed);
    resize(it, state);
    it = atomic_exchange(&slots[rnd(state, SLOTS)], it);
  }
  if (it != NULL) end(it, way % 4);
}

static void* live(void* number) {
  for (uint64_t i = 0; i < STEPS; i++) {
    uint64_t state = (uintptr_t)number << 32 | i; /* so that all depends on these two only */
    step(&state);
    if ((uintptr_t)number % THREADS == 0 && i % (STEPS / FORKS) == 0) fork_and_check();
  }
  return NULL;
}

int main(void) {
  for (uintptr_t g = 0; g < GENERATIONS; g++) {
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
      check(pthread_create(&threads[i], NULL, live, (void*)(g * THREADS + i)) == 0);
    for (int i = 0; i < THREADS; i++) check(pthread_join(threads[i], NULL) == 0);
  }
  end_all();
  for (size_t i = 0; i < MAKERS; i++) printf("%s made %ld blocks\n", makers[i].name, made[i]);
  puts("all as they were left");
  return 0;
}
