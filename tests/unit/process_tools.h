/* process_tools.h: what the system says that this process has. */
#ifndef PROCESS_TOOLS_H
#define PROCESS_TOOLS_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A sanitizer's own memory hides ours. */
#if defined(__SANITIZE_THREAD__)
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
