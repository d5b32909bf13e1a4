/* runtime_limit_test.c: the byte limit of a task, with blocks of known size and objects, against what
** the test itself adds up. */
#include "runtime_limit_tools.h"

/* ---- Blocks whose size is known -------------------------------------------------------------- */

static struct slot {
  unsigned char* p;
  size_t size;
  unsigned char fill;
} slots[SLOTS];

/* Looks at all of a small block, and at a large one here and there. */
static void check(const struct slot* s, size_t size) {
  for (size_t i = 0; i < size; i += size < 4096 ? 1 : 61) assert_int_equal(s->p[i], s->fill);
  if (size > 0) assert_int_equal(s->p[size - 1], s->fill);
}

static void set(struct slot* s, unsigned char* p, size_t size) {
  size_t kept = size < s->size ? size : s->size;
  s->p = p;
  s->size = size;
  check(s, kept);
  if (kept == 0) s->fill = (unsigned char)(1 + rnd(255));
  memset(p + kept, s->fill, size - kept);
}

/* How often the quick cases were the case. */
static size_t quick, moved;

/* What is inlined is refused when more would be held than is watched, and then nothing has happened. */
static void* alloc_either(rt_task* t, size_t size, size_t held, size_t watched) {
  uint64_t ticks = rt_ticks(t);
  void* p = rt_alloc_quick(size);
  quick += p != NULL;
  if (p != NULL) assert_true(held + size <= watched && mi_usable_size(p) == mi_good_size(size));
  assert_int_equal(rt_bytes(t), p != NULL ? held + size : held);
  assert_int_equal(rt_ticks(t), p != NULL ? ticks + 1 : ticks);
  return p != NULL ? p : rt_alloc(size);
}

static void* realloc_either(rt_task* t, const struct slot* s, size_t size, size_t held,
                            size_t watched) {
  uint64_t ticks = rt_ticks(t);
  void* p = rt_realloc_quick(s->p, s->size, size);
  size_t now = p != NULL ? held - s->size + size : held;
  moved += p != NULL;
  if (p != NULL)
    assert_true(now > held && now <= watched && mi_usable_size(p) == mi_good_size(size));
  assert_int_equal(rt_bytes(t), now);
  assert_int_equal(rt_ticks(t), p != NULL ? ticks + 1 : ticks);
  return p != NULL ? p : rt_realloc(s->p, s->size, size);
}

/* As rt_alloc and rt_realloc; `held` is what the test says that the task holds. */
static void resize(rt_task* t, struct slot* s, size_t size, size_t* held, size_t limit,
                   size_t watched) {
  bool fits = size <= s->size || *held - s->size + size <= limit;
  unsigned char* p = rnd(2)         ? rt_realloc(s->p, s->size, size)
                     : s->p == NULL ? alloc_either(t, size, *held, watched)
                                    : realloc_either(t, s, size, *held, watched);
  if (fits) {
    assert_non_null(p);
    *held += size - s->size;
    set(s, p, size);
  } else {
    expect_refused(p);
    if (s->p != NULL) check(s, s->size);
  }
}

static void exact_blocks(size_t limit) {
  rt_task* t = begin_limited(limit);
  size_t held = 0, peak = 0, refused = 0, watched = SIZE_MAX;
  errno = 0;
  for (int i = 0; i < 20000; i++) {
    struct slot* s = &slots[rnd(SLOTS)];
    if (rnd(50) == 0) rt_watch(watched = rnd(4) > 0 ? rnd(limit + 1) : SIZE_MAX);
    size_t before = held, size = random_size(limit);
    if (rnd(3) > 0) {
      resize(t, s, size, &held, limit, watched);
      refused += size > s->size;
    } else if (s->p != NULL) {
      check(s, s->size);
      rt_free_sized(s->p, s->size);
      held -= s->size;
      *s = (struct slot){0};
    }
    if (held > peak) peak = held;
    assert_int_equal(rt_bytes(t), held);
    assert_int_equal(rt_is_watched(), held > watched);
    if (held > before) assert_int_equal(rt_bytes_peak(t), peak);
    assert_true(held <= limit);
  }
  assert_true(refused > 100);
  for (int i = 0; i < SLOTS; i++) {
    rt_free_sized(slots[i].p, slots[i].size);
    slots[i] = (struct slot){0};
  }
  assert_int_equal(rt_bytes(t), 0);
  assert_int_equal(rt_bytes_peak(t), peak);
  end(t);
}

static void test_exact_blocks(void** state) {
  (void)state;
  static const size_t limits[] = {1, 100, 1000, 10007, 100000, 1048577, 20000000};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) exact_blocks(limits[i]);
  assert_true(CHECKED ? quick == 0 && moved == 0 : quick > 300 && moved > 100);
  assert_true(nothing_lives());
}

/* Sizes that cannot be change nothing, with a limit and without one. */
/* What is watched is there again after a scope that ran out. */
static void test_watch_after_scope(void** state) {
  (void)state;
  rt_task* t = begin_limited(100000);
  void* p = rt_alloc(1000);
  rt_watch(5000);
  assert_non_null(rt_alloc(64));
  rt_scope s;
  rt_scope_begin(&s, &(rt_limits){.bytes = 2000});
  assert_true(CHECKED || rt_alloc_quick(64) != NULL);
  assert_false(rt_is_watched());
  rt_expire(RT_MEMORY);
  assert_true(rt_is_watched() && rt_alloc_quick(64) == NULL);
  rt_scope_end(&s);
  assert_false(rt_is_watched());
  assert_true(CHECKED || rt_alloc_quick(64) != NULL);
  p = rt_realloc(p, 1000, 4800);
  assert_true(rt_bytes(t) > 4800 && rt_bytes(t) <= 5000 && !rt_is_watched());
  assert_null(rt_alloc_quick(5001 - (size_t)rt_bytes(t)));
  p = rt_realloc(p, 4800, 5000);
  assert_true(rt_is_watched());
  end(t);
}

static void test_impossible_sizes(void** state) {
  (void)state;
  volatile size_t all = SIZE_MAX, most = PTRDIFF_MAX, petabyte = (size_t)1 << 50;
  for (size_t limit = 0; limit <= 1000; limit += 1000) {
    rt_task* t = begin(&(rt_config){.bytes = limit, .collects = limit != 0});
    char* p = rt_alloc(100);
    assert_non_null(p);
    memcpy(p, "as before", 10);
    for (size_t i = 0; i < 100; i += 33) {
      errno = 0;
      expect_refused(rt_alloc(all - i));
      expect_refused(rt_alloc(most + 1 - i));
      expect_refused(rt_realloc(p, 100, all - i));
      expect_refused(rt_realloc(p, 100, most + 1 - i));
      expect_refused(rt_realloc(NULL, 0, all - i));
      expect_refused(rt_alloc(petabyte));
      expect_refused(rt_realloc(p, 100, petabyte));
    }
    assert_string_equal(p, "as before");
    assert_int_equal(rt_bytes(t), 100);
    assert_int_equal(rt_expired(t), RT_NONE);
    assert_int_equal(rt_bytes_peak(t), 100);
    rt_free_sized(p, 100);
    assert_int_equal(rt_bytes(t), 0);
    end(t);
  }
}

/* Not even while the task holds all that it may, and the block has to move. */
static void test_shrinking_never_fails(void** state) {
  (void)state;
  enum { LIMIT = 3000000 };
  for (int round = 0; round < 50; round++) {
    rt_task* t = begin_limited(LIMIT);
    struct slot s = {0};
    size_t size = 1000000 + rnd(1000000), rest = LIMIT - size;
    void* full = rt_alloc(rest);
    set(&s, rt_alloc(size), size);
    while (size > 0) {
      expect_refused(rt_realloc(s.p, s.size, s.size + LIMIT - rt_bytes(t) + 1));
      check(&s, s.size);
      size = size > 100 ? size - 1 - rnd(size) : size - 1;
      void* p = rt_realloc(s.p, s.size, size);
      assert_non_null(p);
      set(&s, p, size);
      assert_int_equal(rt_bytes(t), rest + size);
    }
    rt_free_sized(s.p, 0);
    rt_free_sized(full, rest);
    assert_int_equal(rt_bytes(t), 0);
    end(t);
  }
}

/* It stays counted where it was allocated, and nothing goes below zero. */
static void test_block_of_another_task(void** state) {
  (void)state;
  rt_task* from = begin(NULL);
  void *p = rt_alloc(5000), *other = rt_alloc(600), *third = rt_alloc(700);
  rt_leave();
  rt_task* t = begin_limited(1000);
  rt_free_sized(p, 5000);
  assert_int_equal(rt_bytes(t), 0);
  p = rt_alloc(1000);
  assert_non_null(p);
  rt_free_sized(other, 600);
  assert_int_equal(rt_bytes(t), 1000);
  expect_refused(rt_alloc(1));
  expect_refused(rt_realloc(third, 700, 701));
  assert_ptr_equal(rt_realloc(third, 700, 500), third); /* which cannot come here */
  errno = 0;
  rt_free_sized(p, 1000);
  assert_int_equal(rt_bytes(t), 0);
  p = rt_realloc(third, 500, 400);
  assert_ptr_not_equal(p, third);
  assert_int_equal(rt_bytes(t), 400);
  rt_free_sized(p, 400);
  assert_int_equal(rt_bytes(from), 6300);
  end(t);
  assert_int_equal(rt_task_end(from), 0);
  assert_true(nothing_lives());
}

/* ---- Objects --------------------------------------------------------------------------------- */

enum { NODE_BYTES = 24 };

/* Other ways to get a block, by its logical size. */
static void* object_of_bytes(size_t size) { return rc_bytes(0, size - 16); }
static void* grown(size_t size) {
  void* small = rt_alloc(8);
  void* p = rt_realloc(small, 8, size);
  if (p == NULL) rt_free_sized(small, 8);
  return p;
}

/* Garbage of `n` nodes waits; what does not fit beside it fits once it is gone. */
static void check_drain(size_t n, size_t limit, void* (*alloc)(size_t), bool fits) {
  rt_task* t = begin_limited(limit);
  set_pace(1, 0);
  rc_object* live = list_of(100);
  rc_dec(list_of(n));
  assert_true(rc_pending() > 0);
  size_t size = limit - 100 * NODE_BYTES + (fits ? 0 : 1), waits = rt_bytes(t) - 100 * NODE_BYTES;
  assert_in_range(waits, 1, n * NODE_BYTES);
  errno = 0;
  void* p = alloc(size);
  if (fits)
    assert_non_null(p);
  else
    expect_refused(p);
  assert_int_equal(rc_pending(), 0);
  assert_int_equal(rt_bytes(t), 100 * NODE_BYTES + (fits ? size : 0));
  rc_dec(live);
  rc_drain(SIZE_MAX);
  assert_int_equal(rt_bytes(t), fits ? size : 0);
  end(t);
}

static void test_drain_before_refusal(void** state) {
  (void)state;
  static void* (*const allocs[])(size_t) = {rt_alloc, grown, object_of_bytes};
  for (int i = 0; i < 3; i++)
    for (size_t n = 100; n <= 100000; n *= 10) {
      check_drain(n, (n + 300) * NODE_BYTES, allocs[i], true);
      check_drain(n, (n + 300) * NODE_BYTES, allocs[i], false);
    }
}

/* Lists grow, are dropped and wait; the test knows what lives and not how much garbage is left. */
static void test_objects(void** state) {
  (void)state;
  enum { LIMIT = 200000, LISTS = 8 };
  rt_task* t = begin_limited(LIMIT);
  rc_word lists[LISTS];
  size_t bytes[LISTS] = {0}, live = 0, refused = 0;
  for (int i = 0; i < LISTS; i++) lists[i] = RC_NIL;
  for (int step = 0; step < 150000; step++) {
    size_t i = rnd(LISTS), fields = 1 + rnd(rnd(20) == 0 ? 300 : 5), size = 8 + 8 * fields;
    if (rnd(700) == 0) {
      rc_dec_word(lists[i]);
      lists[i] = RC_NIL;
      live -= bytes[i];
      bytes[i] = 0;
    }
    errno = 0;
    rc_object* o = rc_alloc(0, fields);
    assert_true((o != NULL) == (live + size <= LIMIT));
    if (o == NULL) {
      expect_refused(o);
      assert_int_equal(rt_bytes(t), live);
      assert_int_equal(rc_pending(), 0);
      refused++;
      continue;
    }
    for (size_t k = 1; k < fields; k++) rc_init(o, k, RC_NIL);
    rc_init(o, 0, lists[i]);
    lists[i] = rc_from(o);
    live += size;
    bytes[i] += size;
    assert_in_range(rt_bytes(t), live, LIMIT);
  }
  assert_true(refused > 1000);
  for (int i = 0; i < LISTS; i++) rc_dec_word(lists[i]);
  end_drained(t);
}

/* ---- Expiry and grace ------------------------------------------------------------------------ */

/* A task that collects expires when it says so. The grace is counted from what may be held, or, if
** that is not why, from what is. */
static void check_grace(const rt_config* config, rt_limit why, size_t grace) {
  rt_task* t = begin(config);
  size_t first = why == RT_MEMORY ? config->bytes : 0;
  void* p = rt_alloc(first);
  rt_expire(RT_NONE); /* is no reason */
  if (why == RT_MEMORY) expect_refused(rt_alloc(1));
  assert_int_equal(rt_expired(t), RT_NONE);
  rt_expire(why);
  rt_expire(RT_CANCELLED); /* a second time opens no second grace */
  size_t more = grace;
  expect_refused(rt_alloc(more + 1));
  void* q = rt_alloc(more);
  assert_non_null(q);
  expect_refused(rt_alloc(1));
  expect_refused(mi_malloc(1));
  assert_int_equal(rt_expired(t), why);
  rt_free_sized(p, first);
  rt_free_sized(q, more);
  assert_int_equal(rt_bytes(t), 0);
  end(t);
}

static void test_grace(void** state) {
  (void)state;
  static const rt_limit reasons[] = {RT_MEMORY, RT_HEARTBEATS, RT_CANCELLED};
  for (int i = 0; i < 3; i++) {
    check_grace(&(rt_config){.bytes = 10000, .grace_bytes = 5000, .collects = true}, reasons[i],
                5000);
    check_grace(&(rt_config){.bytes = 10000, .grace_bytes = 1, .collects = true}, reasons[i], 1);
    check_grace(&(rt_config){.bytes = 1000000, .collects = true}, reasons[i], 256 * KIB);
  }
}

/* A task that does not collect expires at the first request that does not fit, which is served from
** the grace if it fits there; garbage is no reason. */
static void check_expiry(void* (*alloc)(size_t), size_t size) {
  enum { LIMIT = 500000, GRACE = 100000 };
  rt_task* t = begin(&(rt_config){.bytes = LIMIT, .grace_bytes = GRACE});
  size_t counts = alloc == mi_malloc ? granted(size) : size, held = 0;
  for (int i = 0; held + counts <= LIMIT; i++) {
    if (i % 20 == 0 && LIMIT - held >= 100 * NODE_BYTES) rc_dec(list_of(100));
    assert_non_null(alloc(size));
    held += counts;
    assert_int_equal(rt_expired(t), RT_NONE);
    assert_int_equal(rt_poll(), RT_OK);
  }
  while (held + counts <= LIMIT + GRACE) {
    assert_non_null(alloc(size));
    held += counts;
    assert_int_equal(rt_expired(t), RT_MEMORY);
    assert_int_equal(rt_poll(), RT_EXPIRED);
    rt_watch(SIZE_MAX);
    assert_true(rt_is_watched() && rt_alloc_quick(16) == NULL);
  }
  errno = 0;
  expect_refused(alloc(size));
  assert_int_equal(rt_expired(t), RT_MEMORY);
  assert_int_equal(rc_pending(), 0);
  assert_int_equal(rt_bytes(t), held);
  end(t);
}

static void test_expiry(void** state) {
  (void)state;
  static void* (*const allocs[])(size_t) = {rt_alloc, mi_malloc, object_of_bytes, grown};
  static const size_t sizes[] = {16, 100, 1000, 30000, 70000, 300000, 2000000};
  for (int i = 0; i < 4; i++)
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) check_expiry(allocs[i], sizes[k]);
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

/* A cache that the host gives up when memory must come back, and only then. */
static void* cache;
static size_t cache_size;
static void give_up_cache(bool force, unsigned long long beat, void* arg) {
  (void)beat;
  (void)arg;
  if (!force || cache == NULL) return;
  rt_free_sized(cache, cache_size);
  cache = NULL;
}

static void test_force_before_refusal(void** state) {
  (void)state;
  enum { LIMIT = 500000 };
  static void* (*const allocs[])(size_t) = {rt_alloc, mi_malloc, object_of_bytes, grown};
  mi_register_deferred_free(give_up_cache, NULL);
  for (int i = 0; i < 4; i++) {
    rt_task* t = begin_limited(LIMIT);
    cache_size = 300000;
    cache = rt_alloc(cache_size);
    void* p = allocs[i](100000);
    assert_true(p != NULL && cache != NULL);
    p = allocs[i](200000);
    assert_true(p != NULL && cache == NULL);
    assert_true(rt_bytes(t) <= LIMIT);
    end(t);
  }
  mi_register_deferred_free(NULL, NULL);
}

/* While garbage waits, a callback's request does not end the guest. */
static void allocate_at_beat(bool force, unsigned long long beat, void* size) {
  (void)beat;
  if (force) return;
  void* p = rt_alloc(*(size_t*)size);
  if (p != NULL) rt_free_sized(p, *(size_t*)size);
}

static void test_callback_at_the_limit(void** state) {
  (void)state;
  enum { LIMIT = 1000000 };
  static size_t size = 5000;
  rt_task* t = begin(&(rt_config){.bytes = LIMIT});
  rt_alloc(LIMIT - 20000 * NODE_BYTES);
  rc_dec(list_of(20000));
  assert_true(rt_bytes(t) > LIMIT - size && rc_pending() > 0);
  mi_register_deferred_free(allocate_at_beat, &size);
  mi_tick(1000 - rt_ticks(t) % 1000);
  mi_register_deferred_free(NULL, NULL);
  assert_int_equal(rt_expired(t), RT_NONE);
  end(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exact_blocks),
      cmocka_unit_test(test_watch_after_scope),
      cmocka_unit_test(test_impossible_sizes),
      cmocka_unit_test(test_shrinking_never_fails),
      cmocka_unit_test(test_block_of_another_task),
      cmocka_unit_test(test_drain_before_refusal),
      cmocka_unit_test(test_objects),
      cmocka_unit_test(test_grace),
      cmocka_unit_test(test_expiry),
      cmocka_unit_test(test_force_before_refusal),
      cmocka_unit_test(test_callback_at_the_limit),
  };
  return cmocka_run_group_tests_name("runtime limit", tests, NULL, NULL);
}
