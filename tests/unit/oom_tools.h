/* oom_tools.h: the system calls that the library uses, of which the test chooses some that fail. */
#ifndef OOM_TOOLS_H
#define OOM_TOOLS_H

#include "alloc/internal.h"
#include "rc/rc.h"
#include "runtime/runtime.h"
#include "tests/tools.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

/* Assertions of cmocka work in the main thread only. */
#define require(e)                                                                                \
  do {                                                                                            \
    if (!(e)) fprintf(stderr, "%s:%d: failed: %s (%s)\n", __FILE__, __LINE__, #e, what), abort(); \
  } while (0)
static const char* what = ""; /* is injected */

/* ---- System calls that fail --------------------------------------------------------------------- */

static struct refusals {
  long first, second, from; /* the numbers of calls that fail, from 0; `from`: and all behind it */
} refusals;
static const struct refusals none = {-1, -1, LONG_MAX};
static _Atomic long calls;
static atomic_bool armed;

/* Sets errno to what none of the library's functions promises. */
static bool refused(void) {
  if (!armed) return false;
  long n = calls++;
  bool fails = n == refusals.first || n == refusals.second || n >= refusals.from;
  if (fails) errno = EL2HLT;
  return fails;
}

static size_t map_most = SIZE_MAX;
static bool map_waits; /* nothing more is mapped before much is unmapped */
void* mmap(void* p, size_t size, int prot, int flags, int fd, off_t offset) {
  if (refused() || size > map_most || map_waits) return MAP_FAILED;
  return (void*)syscall(SYS_mmap, p, size, prot, flags, fd, offset);
}
static bool unmaps_fail;
int munmap(void* p, size_t size) {
  if (size >= GiB) map_waits = false;
  return refused() || unmaps_fail ? -1 : (int)syscall(SYS_munmap, p, size);
}
void* mremap(void* p, size_t size, size_t new_size, int flags, ...) {
  va_list args;
  va_start(args, flags);
  void* to = flags & MREMAP_FIXED ? va_arg(args, void*) : NULL;
  va_end(args);
  if (refused()) return MAP_FAILED;
  return (void*)syscall(SYS_mremap, p, size, new_size, flags, to);
}
int mprotect(void* p, size_t size, int prot) {
  return refused() ? -1 : (int)syscall(SYS_mprotect, p, size, prot);
}
int madvise(void* p, size_t size, int advice) {
  return refused() ? -1 : (int)syscall(SYS_madvise, p, size, advice);
}
int getrusage(int who, struct rusage* usage) {
  return refused() ? -1 : (int)syscall(SYS_getrusage, who, usage);
}
int clock_gettime(clockid_t id, struct timespec* time) {
  return refused() ? -1 : (int)syscall(SYS_clock_gettime, id, time);
}
int open(const char* path, int flags, ...) {
  return refused() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}
ssize_t read(int fd, void* to, size_t size) {
  return refused() ? -1 : syscall(SYS_read, fd, to, size);
}

/* What is written to stderr meanwhile comes here, in pieces. */
static char written[4096];
static size_t written_length;
static ssize_t keep_written(const char* text, size_t size) {
  if (size > 7) size = 7;
  if (written_length + size < sizeof written) memcpy(written + written_length, text, size);
  written_length += size;
  return (ssize_t)size;
}
ssize_t write(int fd, const void* from, size_t size) {
  if (refused()) return -1;
  return armed && fd == STDERR_FILENO ? keep_written(from, size)
                                      : syscall(SYS_write, fd, from, size);
}

#endif
