/* page_size_test.c: systems whose pages are larger than 4 KiB, played by this program's own sysconf, mmap, munmap,
** mprotect and madvise: addresses that are not a page's are refused, and lengths are rounded up. */
#include "rc_tools.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "runtime/runtime.h"
#include "tests/unit/runtime_copies.h"

static size_t unit = 4096; /* the page's size */
static bool asked;

long sysconf(int name) {
  asked = true;
  if (name == _SC_PAGESIZE) return (long)unit;
  return ((long (*)(int))(uintptr_t)dlsym(RTLD_NEXT, "sysconf"))(name);
}

static size_t round_up(size_t size) { return (size + unit - 1) & ~(unit - 1); }

static long on_pages(long call, void* p, size_t size, int how) {
  if ((uintptr_t)p % unit == 0) return syscall(call, p, round_up(size), how);
  errno = EINVAL;
  return -1;
}

int munmap(void* p, size_t size) { return (int)on_pages(SYS_munmap, p, size, 0); }
int mprotect(void* p, size_t size, int prot) { return (int)on_pages(SYS_mprotect, p, size, prot); }
int madvise(void* p, size_t size, int advice) {
  return (int)on_pages(SYS_madvise, p, size, advice);
}

void* mmap(void* p, size_t size, int prot, int flags, int fd, off_t offset) {
  if (unit == 4096 || p != NULL) return (void*)syscall(SYS_mmap, p, size, prot, flags, fd, offset);
  size = round_up(size);
  char* from = (char*)syscall(SYS_mmap, p, size + unit, prot, flags, fd, offset);
  if (from == MAP_FAILED) return from;
  size_t before = -(uintptr_t)from & (unit - 1);
  if (before > 0) syscall(SYS_munmap, from, before);
  syscall(SYS_munmap, from + before + size, unit - before);
  return from + before;
}

/* ---- What is given back is nobody's --------------------------------------------------------------- */

static void copies_are_apart(void** unused) {
  (void)unused;
  enum { COPIES = 300 };
  static copied at[COPIES];
  uint64_t chance = 4711;
  rt_image images[IMAGES];
  for (int i = 0; i < IMAGES; i++) images[i] = make_image(pieces_of[i]);
  for (int k = 0; k < 20 * COPIES; k++) {
    copied* c = &at[rnd_from(&chance, COPIES)];
    if (c->task != NULL)
      end_copy(c);
    else
      *c = begin_copy(&images[rnd_from(&chance, IMAGES)], k);
    if (k % 100 == 0) mi_collect(true);
  }
  for (int i = 0; i < COPIES; i++)
    if (at[i].task != NULL) end_copy(&at[i]);
  for (int i = 0; i < IMAGES; i++) free((void*)(uintptr_t)images[i].start);
}

static void blocks_are_apart(void** unused) {
  (void)unused;
  enum { BLOCKS = 500 };
  static struct {
    unsigned char* p;
    size_t size;
  } at[BLOCKS];
  uint64_t chance = 4711;
  for (size_t k = 0; k < 20 * BLOCKS; k++) {
    size_t i = rnd_from(&chance, BLOCKS), size = at[i].size;
    for (size_t b = 0; b < size; b += 509) assert_int_equal(at[i].p[b], (unsigned char)i);
    mi_free(at[i].p);
    size = at[i].size = 1 + rnd_from(&chance, (size_t)1 << rnd_from(&chance, 19));
    at[i].p = memset(mi_malloc(size), (int)i, size);
    if (k % 500 == 0) mi_collect(true);
  }
  for (size_t i = 0; i < BLOCKS; i++) mi_free(at[i].p);
}

static int with_pages_of(size_t bytes) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_are_apart),
      cmocka_unit_test(blocks_are_apart),
  };
  unit = bytes;
  asked = false;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  return failed + !asked; /* the library knows it for good, so it must not have asked before */
}

int main(void) {
  static const size_t sizes[] = {16384, 65536};
  int failed = 0, status;
  for (size_t i = 0; i < 2; i++) {
    pid_t child = fork();
    if (child == 0) _exit(with_pages_of(sizes[i]));
    failed += child < 0 || waitpid(child, &status, 0) != child || status != 0;
  }
  return failed;
}
