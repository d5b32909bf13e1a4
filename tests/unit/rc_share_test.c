/* rc_share_test.c: objects that several threads have: counts at their ends, publishing in place and as a copy, in
** steps, and undone; where shared garbage goes, and what is handed on without being shared. */
#include "rc_tools.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STICKY_BOTH = INT32_MIN / 4 * 3, LARGE = MANY / 10 };

static uint64_t units(void) { return counters().units; }

/* ---- Counts at their ends ------------------------------------------------------------------------ */

static void check_count(int32_t count, int32_t after_inc, int32_t after_dec) {
  rc_object* o = leaf(5);
  o->count = count;
  rc_inc(o);
  assert_int_equal(o->count, after_inc);
  o->count = count;
  rc_dec(o);
  assert_int_equal(o->count, after_dec);
  o->count = 1;
  rc_dec(o);
}

static void test_ends_of_counts(void** state) {
  (void)state;
  check_count(2, 3, 1);
  check_count(INT32_MAX - 1, INT32_MAX, INT32_MAX - 2);
  check_count(INT32_MAX, RC_OVERFLOWED, INT32_MAX - 1);
  check_count(-2, -3, -1);
  check_count(RC_STICKY + 1, RC_STICKY, RC_STICKY + 2);
  check_count(RC_STICKY, RC_STICKY - 1, RC_STICKY);
  check_count(STICKY_BOTH + 1, STICKY_BOTH, STICKY_BOTH + 1);
  check_count(STICKY_BOTH, STICKY_BOTH, STICKY_BOTH);
  check_count(RC_IMMORTAL, RC_IMMORTAL, RC_IMMORTAL);
  check_count(RC_OVERFLOWED + 1, RC_OVERFLOWED + 1, RC_OVERFLOWED + 1);
  check_count(RC_OVERFLOWED, RC_OVERFLOWED, RC_OVERFLOWED);
}

static void check_shared_as(int32_t count, int32_t as) {
  rc_object* o = leaf(5);
  o->count = count;
  assert_ptr_equal(rc_share(o), o);
  assert_int_equal(o->count, as);
  assert_true(rc_is_shared(o));
  assert_false(rc_is_unique(o));
  o->count = -1;
  rc_dec(o);
}

static void test_local_counts_become_shared(void** state) {
  (void)state;
  check_shared_as(1, -1);
  check_shared_as(7, -7);
  check_shared_as(INT32_MAX, -INT32_MAX);
  check_shared_as(RC_OVERFLOWED, RC_IMMORTAL);
}

/* What has overflowed is the task's still: it is copied, and its weak reference ends with the task. */
static void test_overflowed_in_a_task(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  rc_object* o = leaf(42);
  rc_object* w = rc_weak(o);
  o->count = RC_OVERFLOWED;
  assert_false(rc_is_shared(o));
  assert_ptr_equal(rc_weak(o), w);
  assert_ptr_equal(rc_upgrade(w), o);
  rc_object* copy = made_shared(node(rc_from(o), RC_NIL));
  assert_ptr_not_equal(rc_to(rc_get(copy, 0)), o);
  end(t);
  assert_int_equal(rc_to_int(rc_get(rc_to(rc_get(copy, 0)), 0)), 42);
  rc_dec(copy);
}

/* ---- Immortal -------------------------------------------------------------------------------------- */

static void check_immortal(rc_object* o) {
  assert_int_equal(rc_count(o), RC_IMMORTAL);
  for (int i = 0; i < 10; i++) rc_inc(o);
  for (int i = 0; i < 100; i++) rc_dec(o);
  assert_int_equal(rc_count(o), RC_IMMORTAL);
}

static void test_immortal(void** state) {
  (void)state;
  rc_object* child = leaf(3);
  rc_inc(child);
  rc_object* o = node(rc_from(child), rc_from(child));
  rc_object* with_shared = node(rc_from(made_shared(leaf(4))), RC_NIL);
  assert_ptr_equal(rc_immortal(o), o);
  assert_ptr_equal(rc_immortal(o), o);
  check_immortal(o);
  check_immortal(child);
  assert_ptr_equal(rc_immortal(with_shared), with_shared);
  check_immortal(rc_to(rc_get(with_shared, 0)));
}

static void test_immortal_in_a_task(void** state) {
  (void)state;
  rc_object* before = made_shared(node(rc_from(leaf(1)), RC_NIL));
  rt_task* t = begin(NULL);
  assert_ptr_equal(rc_immortal(before), before);
  rc_object* copy = rc_immortal(node(rc_from(leaf(2)), rc_from(before)));
  end(t);
  check_immortal(before);
  check_immortal(rc_to(rc_get(before, 0)));
  check_immortal(copy);
  check_immortal(rc_to(rc_get(copy, 0)));
  assert_ptr_equal(rc_to(rc_get(copy, 1)), before);
}

/* ---- In steps --------------------------------------------------------------------------------------- */

static size_t shared_in(rc_object* a) {
  size_t n = 0;
  for (size_t i = 0; i < rc_length(a); i++) n += rc_is_shared(rc_to(rc_get(a, i)));
  return n;
}

static void test_steps_are_bounded(void** state) {
  (void)state;
  enum { N = 3000, UNITS = 70 };
  rc_object* a = array_of(N);
  rc_sharing* s = rc_share_begin(a);
  size_t steps = 1;
  for (size_t n = 0; !rc_share_step(s, UNITS); steps++) {
    assert_true(shared_in(a) <= n + UNITS);
    n = shared_in(a);
    assert_true(steps < 3 * N);
  }
  assert_true(steps >= N / UNITS);
  assert_ptr_equal(rc_share_end(s), a);
  assert_int_equal(shared_in(a), N);
  rc_dec(a);
  rc_drain(SIZE_MAX);
}

static rc_object* share_in_steps(rc_object* o, size_t most) {
  rc_sharing* s = rc_share_begin(o);
  while (!rc_share_step(s, most)) continue;
  return rc_share_end(s);
}

/* ---- Graphs keep their shape ------------------------------------------------------------------------- */

/* Object i holds some of those before it. The caller has a reference to the last, and no other. */
static rc_object* dag_of(rc_object** all, size_t n) {
  for (size_t i = 0; i < n; i++) {
    size_t fields = i == n - 1 ? n - 1 : rnd(6);
    all[i] = rnd(2) ? rc_alloc((uint8_t)i, fields) : rc_array((uint8_t)i, fields, RC_NIL);
    for (size_t k = 0; k < fields; k++) {
      rc_object* child = i == n - 1 ? all[k] : i > 0 && rnd(3) ? all[rnd(i)] : NULL;
      if (child != NULL && i < n - 1) rc_inc(child);
      rc_init(all[i], k, child != NULL ? rc_from(child) : rc_int((int64_t)(i + k)));
    }
  }
  return all[n - 1];
}

static size_t index_of(rc_object** all, size_t n, rc_word w) {
  size_t i = 0;
  while (i < n && rc_from(all[i]) != w) i++;
  return i;
}

/* The copy of a DAG whose last object holds the others, in order. */
static void check_copy(rc_object** all, const int32_t* counts, size_t n, rc_object* copy) {
  for (size_t i = 0; i < n; i++) {
    rc_object* c = i == n - 1 ? copy : rc_to(rc_get(copy, i));
    assert_int_equal(rc_count(c), -counts[i]);
    assert_int_equal(c->tag, all[i]->tag);
    assert_int_equal(rc_kind(c), rc_kind(all[i]));
    assert_int_equal(rc_length(c), rc_length(all[i]));
    for (size_t k = 0; k < rc_length(c); k++) {
      size_t child = index_of(all, n, rc_get(all[i], k));
      rc_word expected = child < n ? rc_get(copy, child) : rc_get(all[i], k);
      assert_int_equal(rc_get(c, k), expected);
    }
  }
}

static void test_copies_keep_their_shape(void** state) {
  (void)state;
  enum { N = 700 };
  rc_object* all[N];
  int32_t counts[N];
  for (size_t most = 1; most < SIZE_MAX / 8; most *= 9) {
    rt_task* t = begin(NULL);
    rc_object* o = dag_of(all, N);
    for (int i = 0; i < N; i++) counts[i] = rc_count(all[i]);
    rc_inc(o);
    rc_object* copy = share_in_steps(o, most);
    assert_ptr_not_equal(copy, o);
    check_copy(all, counts, N, copy);
    for (int i = 0; i < N; i++) assert_int_equal(rc_count(all[i]), counts[i]);
    rc_dec(o);
    rc_drain(SIZE_MAX);
    assert_nothing_left(t);
    end(t);
    assert_int_equal(rc_count(copy), -1);
    rc_dec(copy);
    rc_drain(SIZE_MAX);
  }
}

static void test_in_place(void** state) {
  (void)state;
  enum { N = 3000 };
  static rc_object* all[N];
  static int32_t counts[N];
  rc_counters before = counters();
  rc_object* o = dag_of(all, N);
  for (int i = 0; i < N; i++) counts[i] = rc_count(all[i]);
  assert_ptr_equal(share_in_steps(o, 5), o);
  for (int i = 0; i < N; i++) assert_int_equal(rc_count(all[i]), -counts[i]);
  assert_int_equal(counters().objects, before.objects);
  rc_dec(o);
  rc_drain(SIZE_MAX);
}

static void test_outlives_its_task(void** state) {
  (void)state;
  rc_object* old = made_shared(leaf(1));
  rt_task* t = begin(&(rt_config){.repeatable_addresses = true});
  rc_inc(old);
  rc_object* o = made_shared(node(rc_from(tree_of(1000)), rc_from(old)));
  assert_ptr_equal(rc_share(o), o);
  end(t);
  assert_ptr_equal(rc_to(rc_get(o, 1)), old);
  assert_int_equal(rc_count(old), -2);
  uint64_t before = units();
  rc_dec(o);
  rc_drain(SIZE_MAX);
  assert_int_equal(units() - before, 3 + 3 * 1000);
  assert_int_equal(rc_count(old), -1);
  rc_dec(old);
}

/* ---- What cannot be copied, and no memory -------------------------------------------------------------- */

static void no_finalizer(rc_object* o) { (void)o; }

static size_t no_references(rc_object* o, size_t* cursor, rc_word* out, size_t max) {
  (void)o, (void)cursor, (void)out, (void)max;
  return 0;
}
static void test_what_cannot_be_copied(void** state) {
  (void)state;
  static const rc_type type = {.name = "with a finalizer", .words = 1, .finalize = no_finalizer};
  static const rc_type traced = {.name = "with a trace", .trace = no_references};
  rc_object* old = made_shared(leaf(1));
  rt_task* t = begin(NULL);
  for (int i = 0; i < 2; i++) {
    rc_object* bad = rc_typed(0, i == 0 ? &type : &traced);
    rc_object* list = node(rc_from(old), rc_from(node(RC_NIL, rc_from(bad))));
    rc_inc(old);
    errno = 0;
    assert_null(rc_share(list));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(rc_count(old), -2);
    assert_int_equal(rc_count(list), 1);
    assert_int_equal(rc_count(bad), 1);
    rc_dec(list);
    rc_drain(SIZE_MAX), rc_poll(SIZE_MAX), rc_drain(SIZE_MAX);
  }
  assert_nothing_left(t);
  end(t);
  rc_dec(old);
}

/* {target, its weak reference twice, a weak one to what is not held, one to the array itself}. */
static rc_object* array_with_weak(rc_object* target, rc_object* other) {
  rc_object* a = words_array(5);
  rc_inc(target);
  rc_set(a, 0, rc_from(target));
  for (size_t i = 1; i < 3; i++) rc_set(a, i, rc_from(rc_weak(target)));
  rc_set(a, 3, rc_from(rc_weak(other)));
  rc_set(a, 4, rc_from(rc_weak(a)));
  return a;
}

/* Each leads to its target's copy. The originals are what they were. */
static void check_weak_copies(bool immortal) {
  rt_task* t = begin(NULL);
  rc_object *target = leaf(5), *other = leaf(6), *a = array_with_weak(target, other);
  rc_object* w = rc_weak(target);
  rc_inc(a);
  rc_object* copy = immortal ? rc_immortal(a) : rc_share(a);
  require(copy != NULL && copy != a, "not copied");
  assert_ptr_equal(rc_upgrade(w), target);
  assert_int_equal(rc_count(w), 4);
  end(t);
  rc_object *its = rc_to(rc_get(copy, 0)), *its_weak = rc_to(rc_get(copy, 1));
  assert_int_equal(rc_get(copy, 2), rc_from(its_weak));
  assert_ptr_equal(rc_weak(its), its_weak);
  assert_int_equal(rc_count(its_weak), immortal ? RC_IMMORTAL : -4);
  assert_ptr_equal(rc_upgrade(its_weak), its);
  assert_ptr_equal(rc_upgrade(rc_to(rc_get(copy, 4))), copy);
  assert_null(rc_upgrade(rc_to(rc_get(copy, 3))));
  if (immortal) return;
  rc_dec(its), rc_dec(copy);
  assert_int_equal(rc_count(its), -1);
  rc_dec(copy);
  rc_drain(SIZE_MAX);
  assert_null(rc_upgrade(its_weak));
  assert_int_equal(rc_count(its_weak), -1);
  rc_dec(its_weak);
}

static size_t blocks_now(void) {
  size_t n = 0;
  rc_drain(SIZE_MAX);
  require(mi_heap_visit_blocks(mi_heap_get_default(), true, count_block, &n), "no visit");
  return n;
}

static void test_weak_copies(void** state) {
  (void)state;
  size_t before = blocks_now();
  check_weak_copies(false);
  assert_int_equal(blocks_now(), before);
  check_weak_copies(true);
}

static bool refuses;
void* mmap(void* p, size_t size, int prot, int flags, int fd, off_t offset) {
  if (!refuses) return (void*)syscall(SYS_mmap, p, size, prot, flags, fd, offset);
  errno = ENOMEM;
  return MAP_FAILED;
}

/* All memory that is left: blocks of the size of a part of the list of objects, and nodes. */
enum { PART_BYTES = 24 * 1024 };
typedef struct hoard {
  void* next;
} hoard;
static hoard *parts, *nodes;

static void hoard_all(void) {
  refuses = true;
  for (size_t size = PART_BYTES; size >= 512; size /= 2)
    for (hoard* p; (p = mi_malloc(size)) != NULL; parts = p) p->next = parts;
  for (rc_object* o; (o = rc_alloc(0, 2)) != NULL; nodes = (hoard*)(void*)rc_words(o))
    rc_words(o)[0] = (rc_word)nodes;
}

static void give_nodes(size_t n) {
  for (hoard* next; n > 0 && nodes != NULL; n--, nodes = next) {
    next = nodes->next;
    rc_free_known((rc_object*)(void*)((rc_word*)(void*)nodes - 1));
  }
}

static void give_parts(size_t n) {
  for (hoard* next; n > 0 && parts != NULL; n--, parts = next) {
    next = parts->next;
    mi_free(parts);
  }
}

static void hoard_end(void) {
  refuses = false;
  give_parts(SIZE_MAX);
  give_nodes(SIZE_MAX);
}

/* A list whose objects are held twice, by it and by an array, so that counts are not all alike; in the thread's own
** task it has a weak reference, too. */
enum { UNDONE = 6000 };
static rc_object* list_held_twice(rc_object** all) {
  rc_object *list = list_of(UNDONE), *a = words_array(UNDONE), *o = list;
  for (size_t i = 0; i < UNDONE; i++, o = rc_to(rc_get(o, 1))) {
    all[i] = o;
    rc_inc(o);
    rc_set(a, i, rc_from(o));
  }
  return node(rc_from(list), rc_from(a));
}

static void check_as_it_was(rc_object** all, rc_counters before) {
  for (size_t i = 0; i < UNDONE; i++) assert_int_equal(rc_count(all[i]), 2);
  assert_int_equal(counters().objects, before.objects);
}

/* With room for ever more parts, until it succeeds. Returns how often it has failed. */
static size_t check_undo_in_place(bool immortal) {
  static rc_object* all[UNDONE];
  rc_object *o = list_held_twice(all), *w = rc_weak(all[UNDONE / 2]), *result = NULL;
  size_t failures = 0;
  rc_object* holder = node(rc_from(w), rc_from(o));
  hoard_all();
  rc_counters before = counters();
  while ((result = immortal ? rc_immortal(holder) : rc_share(holder)) == NULL) {
    assert_int_equal(errno, ENOMEM);
    check_as_it_was(all, before);
    assert_int_equal(rc_count(w), 2);
    failures++;
    give_parts(1);
  }
  hoard_end();
  assert_ptr_equal(result, holder);
  for (size_t i = 0; i < UNDONE; i++)
    assert_int_equal(rc_count(all[i]), immortal ? RC_IMMORTAL : -2);
  rc_dec(result);
  rc_drain(SIZE_MAX);
  return failures;
}

static void test_undo_in_place(void** state) {
  (void)state;
  assert_true(check_undo_in_place(false) > 2);
  assert_true(check_undo_in_place(true) > 2);
}

/* The same for copies, whose memory is the thread's own. */
static void test_undo_copies(void** state) {
  (void)state;
  static rc_object* all[UNDONE];
  rc_object *result = NULL, *old = made_shared(leaf(9));
  size_t failures = 0;
  rt_task* t = begin(NULL);
  rc_object* o = node(rc_from(old), rc_from(list_held_twice(all)));
  rc_counters before = counters();
  uint64_t bytes = rt_bytes(t);
  rt_leave();
  hoard_all();
  require(rt_enter(t) == 0, "cannot enter");
  while ((result = rc_share(o)) == NULL) {
    assert_int_equal(errno, ENOMEM);
    check_as_it_was(all, before);
    assert_int_equal(rt_bytes(t), bytes);
    assert_int_equal(rc_count(old), -1);
    assert_int_equal(rc_count(o), 1);
    failures++;
    rt_leave(); /* what is given back is the thread's own task's */
    give_nodes(UNDONE / 7), give_parts(1);
    require(rt_enter(t) == 0, "cannot enter");
  }
  assert_true(failures > 5);
  end_drained(t);
  hoard_end();
  assert_int_equal(rc_count(old), -1);
  rc_dec(result);
  rc_drain(SIZE_MAX);
}

/* ---- Where garbage goes -------------------------------------------------------------------------------------- */

static void* drop(void* o) {
  uint64_t before = units();
  rc_dec(o);
  require(units() - before <= DEC_UNITS, "the last reference costs too much");
  require(rc_pending() == 0, "shared garbage waits in a task");
  return NULL;
}

static void test_drop_is_bounded(void** state) {
  (void)state;
  rc_object* shapes[] = {list_of(LARGE), tree_of(LARGE), array_of(LARGE)};
  for (int i = 0; i < 3; i++) {
    rc_object* o = made_shared(shapes[i]);
    drop(o);
    assert_int_equal(rc_drain(SIZE_MAX), 3 * LARGE + (i == 2) - DEC_UNITS);
    assert_int_equal(rc_drain(SIZE_MAX), 0);
  }
}

static void test_ended_thread_hands_on(void** state) {
  (void)state;
  on_thread(drop, made_shared(tree_of(100000)));
  assert_int_equal(rc_drain(1000), 1000);
  assert_int_equal(rc_drain(SIZE_MAX), 3 * 100000 - DEC_UNITS - 1000);
}

static pthread_barrier_t barrier;
static void* drop_and_park(void* o) {
  drop(o);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return NULL;
}

static void test_garbage_of_a_parked_thread(void** state) {
  (void)state;
  pthread_t thread;
  pthread_barrier_init(&barrier, NULL, 2);
  require(pthread_create(&thread, NULL, drop_and_park, made_shared(tree_of(100000))) == 0,
          "no thread");
  pthread_barrier_wait(&barrier);
  uint64_t before = units();
  rc_object* kept = list_of(60000); /* by refills, which pay 2 units a word */
  assert_true(units() - before >= 3 * 60000);
  rc_drain(SIZE_MAX);
  assert_int_equal(units() - before, 3 * 100000 - DEC_UNITS);
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
  rc_dec(kept);
  rc_drain(SIZE_MAX);
}

/* ---- Handing on what is not shared ----------------------------------------------------------------------------- */

static void* make_tree(void* result) {
  *(rc_object**)result = tree_of(10000);
  require(rc_pending() == 0, "something waits");
  return NULL;
}

static void* count_tree(void* root) {
  rc_object** at = libc_array(10000, sizeof *at);
  at[0] = root;
  for (size_t i = 0; i < 10000; i++) {
    require(rc_is_unique(at[i]), "a reference was made");
    for (size_t k = 0; k < 2; k++)
      if (2 * i + 1 + k < 10000) at[2 * i + 1 + k] = rc_to(rc_get(at[i], k));
  }
  free(at);
  uint64_t before = units();
  rc_dec(root);
  rc_drain(SIZE_MAX);
  require(units() - before == 3 * 10000, "not all freed");
  return NULL;
}

static void test_a_unique_graph_moves(void** state) {
  (void)state;
  rc_object* tree = NULL;
  on_thread(make_tree, &tree);
  on_thread(count_tree, tree);
  on_thread(make_tree, &tree);
  count_tree(tree);
}

/* Its pages are adopted here, so what was counted there is given back here, and no more than was held. */
static void test_adopted_pages(void** state) {
  (void)state;
  rc_object* tree = NULL;
  for (int i = 0; i < 20; i++) {
    on_thread(make_tree, &tree);
    rc_object* kept = list_of(3000); /* refills adopt */
    rc_dec(tree);
    rc_drain(SIZE_MAX);
    rc_dec(kept);
    rc_drain(SIZE_MAX);
    assert_int_equal(counters().debt, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ends_of_counts),
      cmocka_unit_test(test_local_counts_become_shared),
      cmocka_unit_test(test_overflowed_in_a_task),
      cmocka_unit_test(test_immortal),
      cmocka_unit_test(test_immortal_in_a_task),
      cmocka_unit_test(test_steps_are_bounded),
      cmocka_unit_test(test_copies_keep_their_shape),
      cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_outlives_its_task),
      cmocka_unit_test(test_what_cannot_be_copied),
      cmocka_unit_test(test_weak_copies),
      cmocka_unit_test(test_undo_in_place),
      cmocka_unit_test(test_undo_copies),
      cmocka_unit_test(test_drop_is_bounded),
      cmocka_unit_test(test_ended_thread_hands_on),
      cmocka_unit_test(test_garbage_of_a_parked_thread),
      cmocka_unit_test(test_a_unique_graph_moves),
      cmocka_unit_test(test_adopted_pages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
