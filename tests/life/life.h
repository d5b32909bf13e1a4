/* life.h: what the programs here share. Each is built with the static libraries, and once more as a
** program that knows malloc only (PRELOADED), to be run under the preload libraries. */
#ifndef LIFE_H
#define LIFE_H

#include "tests/tools.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef PRELOADED
enum { LINKED = 0 };
#define mi_malloc malloc
#define mi_calloc calloc
#define mi_realloc realloc
#define mi_free free
#define nothing_lives() true /* nor can be said of a C library */
#else
enum { LINKED = 1 };
#endif

/* What may come and go: a chunk, and the free memory that is kept for the next. */
static const size_t ROOM = 40 << 20;

static inline _Noreturn void fail(const char* what) {
  fprintf(stderr, "failed: %s (errno %d)\n", what, errno);
  _exit(1);
}
static inline void require(bool holds, const char* what) {
  if (!holds) fail(what);
}

/* A block that begins with its size and is filled with that of it which fits a byte. */
static inline size_t* block_new(size_t size) {
  if (size < sizeof size) size = sizeof size;
  size_t* p = mi_malloc(size);
  require(p != NULL, "no memory");
  memset(p, (int)(size & 0xff), size);
  *p = size;
  return p;
}
static inline void block_free(size_t* p) {
  if (p == NULL) return;
  size_t size = *p;
  const unsigned char* bytes = (unsigned char*)p;
  for (size_t i = sizeof size; i < size; i++)
    if (bytes[i] != (size & 0xff)) fail("a block has changed");
  mi_free(p);
}
/* Most are small. */
static inline size_t any_size(uint64_t* state) {
  uint64_t kind = rnd_from(state, 1000);
  return rnd_from(state, kind == 0 ? 1 << 20 : kind < 5 ? 200000 : kind < 50 ? 60000 : 600);
}
static inline void use_blocks(uint64_t* state, int count) {
  size_t* kept[16] = {0};
  for (int i = 0; i < count; i++) {
    size_t** slot = &kept[rnd_from(state, 16)];
    block_free(*slot);
    *slot = block_new(any_size(state));
  }
  for (int i = 0; i < 16; i++) block_free(kept[i]);
}

static inline pthread_t start(void* (*run)(void*), void* arg) {
  pthread_t thread;
  require(pthread_create(&thread, NULL, run, arg) == 0, "no thread");
  return thread;
}

#endif
