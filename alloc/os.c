/* os.c: what is asked of the operating system, and nothing else. Each function says what it leaves
** behind when the system refuses. */
#include "alloc/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void* map(size_t size, int protection) {
  void* p = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

/* Maps size+align and cuts off what lies outside. The system places mappings next to each other,
** so a first try of the bare size hits the alignment more often than not once one is aligned. */
static void* map_aligned(size_t size, size_t align, int protection) {
  char* p = map(size, protection);
  if (p == NULL || ((uintptr_t)p & (align - 1)) == 0) return p;
  os_unmap(p, size);
  if (size + align < size) return NULL;
  p = map(size + align, protection);
  if (p == NULL) return NULL;
  char* start = (char*)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
  if (start > p) os_unmap(p, (size_t)(start - p));
  if (p + align > start) os_unmap(start + size, (size_t)(p + align - start));
  return start;
}

/* errno stays. */
static bool advise(void* p, size_t size, int advice) {
  int saved = errno;
  bool ok = madvise(p, size, advice) == 0;
  errno = saved;
  return ok;
}

/* Refusals (of a system without them) are as good. */
static void advise_huge_pages(void* p, size_t size) {
  long may = option_value(mi_option_allow_thp);
  if (may == 0) (void)advise(p, size, MADV_NOHUGEPAGE);
  if (may == 2) (void)advise(p, size, MADV_HUGEPAGE);
}

bool os_want_huge_pages(void* p, size_t size) {
  return option_value(mi_option_allow_thp) == 1 && advise(p, size, MADV_HUGEPAGE);
}

void os_want_no_huge_pages(void* p, size_t size) { (void)advise(p, size, MADV_NOHUGEPAGE); }

static void* map_advised(size_t size, size_t align, int protection) {
  void* p = map_aligned(size, align, protection);
  if (p == NULL)
    errno = ENOMEM;
  else
    advise_huge_pages(p, size);
  return p;
}

void* os_map(size_t size, size_t align) { return map_advised(size, align, PROT_READ | PROT_WRITE); }
void* os_reserve(size_t size, size_t align) { return map_advised(size, align, PROT_NONE); }

void* os_free_space(size_t size, size_t align) {
  void* p = map_aligned(size, align, PROT_NONE);
  if (p != NULL) os_unmap(p, size);
  return p;
}

/* A refusal is as good: the memory is on some node. */
static void prefer_node(void* p, size_t size, int node) {
  enum { PREFERRED = 1 }; /* MPOL_PREFERRED of linux/mempolicy.h */
  unsigned long mask = node >= 0 && node < 64 ? 1ul << node : 0;
  int saved = errno;
  if (mask != 0) (void)syscall(SYS_mbind, p, size, PREFERRED, &mask, 64ul, 0);
  errno = saved;
}

void* os_map_huge(void* at, size_t size, int shift, int node) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_HUGETLB | shift << 26;
  void* p = mmap(at, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (p == MAP_FAILED) return NULL;
  if (p == at) {
    prefer_node(p, size, node);
    return p;
  }
  os_unmap(p, size); /* a system that takes the address for a hint */
  return NULL;
}

/* The last number in a list such as "0-1,3", and one. */
int os_nodes(void) {
  char text[256];
  if (!os_read_file("/sys/devices/system/node/online", text, sizeof text)) return 1;
  char* last = text;
  for (char* at = text; *at != 0; at++)
    if (*at == '-' || *at == ',') last = at + 1;
  return atoi(last) + 1;
}

static bool protect(void* p, size_t size, int protection) {
  int saved = errno;
  bool ok = mprotect(p, size, protection) == 0;
  errno = saved;
  return ok;
}
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
/* A refusal (of a system before 5.14) is as good. */
void os_populate(void* p, size_t size) {
  uintptr_t from = (uintptr_t)p & ~(uintptr_t)(os_page_size() - 1);
  (void)advise((void*)from, (uintptr_t)p + size - from, MADV_POPULATE_WRITE);
}

bool os_protect(void* p, size_t size) { return protect(p, size, PROT_NONE); }
bool os_commit(void* p, size_t size) { return protect(p, size, PROT_READ | PROT_WRITE); }

/* If the protection stays, the memory is lost all the same: madvise comes first. */
bool os_decommit(void* p, size_t size) {
  int saved = errno;
  bool ok = os_purge(p, size) && os_protect(p, size);
  errno = saved;
  return ok;
}

/* A refusal leaves the range mapped, unused and, if the system does that much, without memory. errno
** stays. */
void os_unmap(void* p, size_t size) {
  int saved = errno;
  if (munmap(p, size) != 0) {
    os_purge(p, size);
    warn_later("sluice: warning: munmap failed (limit of mappings?); addresses stay taken");
  }
  errno = saved;
}

static bool remap(void* p, size_t size, size_t new_size, int flags, void* to) {
  int saved = errno;
  bool ok = mremap(p, size, new_size, flags, to) == to;
  errno = saved;
  return ok;
}

bool os_extend(void* p, size_t size, size_t new_size) { return remap(p, size, new_size, 0, p); }

/* A system that fails after it has unmapped `to` may have given it to another thread since, so it
** cannot be unmapped here. */
bool os_move(void* p, size_t size, void* to, size_t new_size) {
  return remap(p, size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

bool os_purge(void* p, size_t size) { return advise(p, size, MADV_DONTNEED); }
bool os_purge_lazily(void* p, size_t size) { return advise(p, size, MADV_FREE); }

size_t os_page_size(void) {
  static _Atomic size_t known;
  size_t size = atomic_load_explicit(&known, memory_order_relaxed);
  if (size == 0) {
    size = (size_t)sysconf(_SC_PAGESIZE);
    atomic_store_explicit(&known, size, memory_order_relaxed);
  }
  return size;
}

/* Waits, if need be, until the system has enough of it. */
bool os_random(void* to, size_t size) {
  int saved = errno;
  ssize_t n;
  do n = getrandom(to, size, 0);
  while (n < 0 && errno == EINTR);
  errno = saved;
  return n == (ssize_t)size;
}

/* 0 if there is no clock. */
uint64_t os_now_ns(void) {
  struct timespec t = {0};
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool os_read_file(const char* path, char* text, size_t room) {
  int saved = errno, fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, text, room - 1) : -1;
  if (fd >= 0) close(fd);
  if (n >= 0) text[n] = '\0';
  errno = saved;
  return n >= 0;
}

static int kept_stderr = -1;

void os_keep_stderr(void) {
  int saved = errno;
  kept_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
  errno = saved;
}

void os_drop_stderr(void) {
  if (kept_stderr >= 0) close(kept_stderr);
  kept_stderr = -1;
}

static ssize_t write_to(int file, const char* text, size_t length) {
  ssize_t n;
  do n = write(file, text, length);
  while (n < 0 && errno == EINTR);
  return n;
}

/* A program may have closed stderr by now, as ls and others do before they end. */
static ssize_t write_error(const char* text, size_t length) {
  ssize_t n = write_to(STDERR_FILENO, text, length);
  return n < 0 && errno == EBADF && kept_stderr >= 0 ? write_to(kept_stderr, text, length) : n;
}

void os_write_error(const char* text, size_t length) {
  int saved = errno;
  while (length > 0) {
    ssize_t n = write_error(text, length);
    if (n <= 0) break;
    text += n;
    length -= (size_t)n;
  }
  errno = saved;
}
