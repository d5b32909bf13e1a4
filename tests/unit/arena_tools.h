/* arena_tools.h: what the tests of the program's arenas share: areas, and blocks that fill them. */
#ifndef ARENA_TOOLS_H
#define ARENA_TOOLS_H

#include "alloc/mimalloc.h"
#include "alloc/policy.h"
#include "tests/tools.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { MANY = 300000 };
static unsigned char* block[MANY];

typedef struct area {
  mi_arena_id_t id;
  unsigned char* start;
  size_t size;
} area_t;

static inline area_t area_of(mi_arena_id_t id) {
  area_t a = {.id = id};
  a.start = mi_arena_area(id, &a.size);
  assert_non_null(a.start);
  return a;
}

static inline area_t reserved(size_t size, bool exclusive) {
  mi_arena_id_t id;
  assert_int_equal(mi_reserve_os_memory_ex(size, false, false, exclusive, &id), 0);
  assert_true(id > 0);
  return area_of(id);
}

/* Wholly, or not at all. */
static inline bool inside(area_t a, const void* p, size_t size) {
  const unsigned char* q = p;
  bool in = q >= a.start && q < a.start + a.size;
  if (in) assert_true(q + size <= a.start + a.size);
  if (!in) assert_true(q + size <= a.start || q >= a.start + a.size);
  assert_int_equal(mi_arena_contains(a.id, p), in);
  return in;
}

/* Allocates until there is no more; each block lies in the area. */
static inline int fill(area_t a, mi_heap_t* heap, size_t size) {
  for (int n = 0; n < MANY; n++) {
    errno = 0;
    block[n] = mi_heap_malloc(heap, size);
    if (block[n] == NULL) {
      assert_int_equal(errno, ENOMEM);
      return n;
    }
    assert_true(inside(a, block[n], size));
    memset(block[n], n & 255, size);
  }
  fail_msg("more than %d blocks of %zu bytes", MANY, size);
  return 0;
}

static inline void free_all(int n, size_t size) {
  for (int i = n - 1; i > 0; i--) {
    size_t k = rnd((size_t)i + 1);
    unsigned char* p = block[i];
    block[i] = block[k];
    block[k] = p;
  }
  for (int i = 0; i < n; i++) {
    for (size_t k = 1; k < size; k += size / 16 + 1) assert_int_equal(block[i][k], block[i][0]);
    mi_free(block[i]);
  }
}

static inline void check_bytes(const unsigned char* p, size_t size, int byte) {
  if (size == 0 || (p[0] == byte && memcmp(p, p + 1, size - 1) == 0)) return;
  for (size_t i = 0; i < size; i++)
    if (p[i] != byte) fail_msg("byte %zu of %zu is %d, not %d", i, size, p[i], byte);
}

/* Of what the library writes, by mi_register_output. */
static int lines;
static inline void count_lines(const char* text, void* arg) {
  (void)arg;
  lines += strchr(text, '\n') != NULL;
}

#endif
