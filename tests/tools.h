/* tools.h: what tests of all kinds share: random numbers that are the same in every run, the
** question whether all was freed, and what the system says that this process has. */
#ifndef TOOLS_H
#define TOOLS_H

#include "alloc/mimalloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Below n, from a state of one's own that is not 0. */
static inline uint64_t rnd_from(uint64_t* state, uint64_t n) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return (*state >> 11) % n;
}

/* The same for one thread. */
static uint64_t seed = 88172645463325252u;
static inline size_t rnd(size_t n) { return (size_t)rnd_from(&seed, n); }

/* Callbacks that do nothing, or count the blocks of a visit. */
static inline void ignore_text(const char* text, void* arg) { (void)text, (void)arg; }
static inline void ignore_beat(bool force, unsigned long long beat, void* arg) {
  (void)force, (void)beat, (void)arg;
}
static inline bool count_block(const mi_heap_t* heap, const mi_heap_area_t* area, void* block,
                               size_t size, void* count) {
  (void)heap, (void)area, (void)size;
  *(size_t*)count += block != NULL;
  return true;
}

static inline void keep_line(const char* text, void* line) { snprintf(line, 64, "%.63s", text); }

/* The statistics' last line says so: no thread has a block, ended or not. */
static inline bool nothing_lives(void) {
  char last_line[64];
  mi_collect(true);
  mi_stats_print_out(keep_line, last_line);
  return strcmp(last_line, "ok\n") == 0;
}

/* The memory of a sanitizer, or of an emulator, hides ours. */
#if defined(__SANITIZE_THREAD__) || defined(EMULATED)
enum { RESIDENT_TELLS = 0, MAPPED_TELLS = 0 };
#elif defined(__SANITIZE_ADDRESS__)
enum { RESIDENT_TELLS = 1, MAPPED_TELLS = 0 };
#else
enum { RESIDENT_TELLS = 1, MAPPED_TELLS = 1 };
#endif

static inline size_t statm(int field) {
  size_t pages[2] = {0, 0};
  FILE* f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%zu %zu", &pages[0], &pages[1]) != 2)
    fputs("no /proc/self/statm\n", stderr), abort();
  fclose(f);
  return pages[field] * (size_t)sysconf(_SC_PAGESIZE);
}

/* Bytes of address space that are mapped, and bytes of memory in use. */
static inline size_t mapped(void) { return statm(0); }
static inline size_t resident(void) { return statm(1); }

#endif
