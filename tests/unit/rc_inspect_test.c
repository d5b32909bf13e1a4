/* rc_inspect_test.c: snapshots and leak reports, compared with the test's own picture of random graphs. An
** object's tag is its name, so that pictures need no addresses. */
#include "rc_tools.h"

#include <errno.h>

enum { OBJECTS = 250, REFS_MAX = 40, GRAPHS = 40, TEXT_MAX = 1 << 20 };

typedef enum { A_FIELDS, AN_ARRAY, SOME_BYTES, A_TYPED, A_TRACED } shape;

/* What the test knows of the object with that tag; refs are tags, -1 none. */
static struct picture {
  rc_object* o;
  shape shape;
  size_t n; /* fields, words, or bytes */
  int refs[REFS_MAX];
  int held, outside; /* references from objects, and the test's own */
  int distance;      /* from the nearest that the test refers to; -1: in a cycle */
} pictures[OBJECTS + 1];

/* The traced type's references are here, by the number in its data; and it survives death. */
static rc_word traced_words[OBJECTS + 1][REFS_MAX];
static size_t trace(rc_object* o, size_t* cursor, rc_word* out, size_t max) {
  int tag = *(int*)(void*)rc_data(o);
  size_t n = 0;
  for (; n < max && *cursor < pictures[tag].n; n++) out[n] = traced_words[tag][(*cursor)++];
  return n;
}
static const rc_type typed = {"a \"typed\" one", 5, 11, NULL, NULL};
static const rc_type traced = {"traced", 0, sizeof(int), trace, NULL};

/* ---- Random graphs --------------------------------------------------------------------------------- */

static void make(int tag) {
  struct picture* p = &pictures[tag];
  *p = (struct picture){.shape = (shape)rnd(5), .outside = 1};
  p->n = rnd(p->shape == A_FIELDS ? 9 : REFS_MAX);
  if (p->shape == SOME_BYTES) p->n = rnd(4) ? rnd(300) : rnd(300000);
  if (p->shape == A_TYPED) p->n = typed.words;
  for (int i = 0; i < REFS_MAX; i++) p->refs[i] = -1, traced_words[tag][i] = RC_NIL;
  uint8_t t = (uint8_t)tag;
  p->o = p->shape == A_FIELDS     ? rc_alloc(t, p->n)
         : p->shape == AN_ARRAY   ? rc_array(t, p->n, RC_NIL)
         : p->shape == SOME_BYTES ? rc_bytes(t, p->n)
                                  : rc_typed(t, p->shape == A_TYPED ? &typed : &traced);
  require(p->o != NULL, "no memory");
  for (size_t i = 0; p->shape == A_FIELDS && i < p->n; i++) rc_init(p->o, i, RC_NIL);
  if (p->shape == A_TRACED) memcpy(rc_data(p->o), &tag, sizeof tag);
}

static void set(struct picture* p, size_t i, int to) {
  rc_word w = to >= 0 ? rc_from(pictures[to].o) : rc_int(5);
  if (p->refs[i] >= 0) pictures[p->refs[i]].held--;
  if (to >= 0) pictures[to].held++;
  p->refs[i] = to;
  rc_inc_word(w);
  if (p->shape != A_TRACED) {
    rc_set(p->o, i, w);
    return;
  }
  rc_word old = traced_words[p - pictures][i];
  traced_words[p - pictures][i] = w;
  rc_dec_word(old);
}

/* What only dead objects refer to is gone for whoever looks; so is what was dropped. */
static void make_garbage(void) {
  rc_word child = rc_from(leaf(1));
  for (int i = 0; i < 3; i++) {
    rc_object* a = words_array(100);
    rc_set(a, 99, child);
    child = rc_from(a);
  }
  rc_dec_word(child);
}

static void measure(void) {
  for (int t = 1; t <= OBJECTS; t++) pictures[t].distance = pictures[t].outside > 0 ? 0 : -1;
  for (int d = 0, more = 1; more; d++) {
    more = 0;
    for (int t = 1; t <= OBJECTS; t++)
      for (size_t i = 0; pictures[t].distance == d && i < REFS_MAX; i++) {
        int to = pictures[t].refs[i];
        if (to >= 0 && pictures[to].distance < 0) pictures[to].distance = d + 1, more = 1;
      }
  }
}

static void make_graph(bool sparse) {
  for (int t = 1; t <= OBJECTS; t++) make(t);
  for (int t = 1; t <= OBJECTS; t++) {
    struct picture* p = &pictures[t];
    for (size_t i = 0; p->shape != SOME_BYTES && i < p->n; i++)
      if (rnd(sparse ? 9 : 3) == 0) set(p, i, 1 + (int)rnd(OBJECTS));
  }
  for (int t = 1; t <= OBJECTS; t++)
    if (pictures[t].held > 0 && rnd(20) > 0) rc_dec(pictures[t].o), pictures[t].outside = 0;
  make_garbage();
  measure();
}

static size_t bytes_of(const struct picture* p) {
  switch (p->shape) {
    case A_FIELDS:
      return 8 + 8 * p->n;
    case AN_ARRAY:
      return 16 + 8 * p->n;
    case SOME_BYTES:
      return 16 + p->n;
    case A_TYPED:
      return 16 + 8 * 5 + 16;
    default:
      return 16 + 8 + 8; /* its data, and a word of the library's */
  }
}

/* ---- Snapshots ----------------------------------------------------------------------------------- */

static char text[TEXT_MAX];

/* To memory of the test's own. */
static size_t written_by(int (*write)(FILE*)) {
  FILE* out = tmpfile();
  require(out != NULL, "no file");
  assert_int_equal(write(out), 0);
  rewind(out);
  size_t length = fread(text, 1, TEXT_MAX - 1, out);
  require(length < TEXT_MAX - 1, "too long");
  text[length] = 0;
  fclose(out);
  return length;
}

static void expect_line(char* line, unsigned long long id, int tag, const int* id_of) {
  static const char* const kinds[] = {"fields", "array", "bytes", "typed", "typed"};
  static const char* const types[] = {"null", "null", "null", "\"a \\u0022typed\\u0022 one\"",
                                      "\"traced\""};
  const struct picture* p = &pictures[tag];
  line += sprintf(line,
                  "{\"id\": %llu, \"kind\": \"%s\", \"type\": %s, \"tag\": %d, \"count\": %d, "
                  "\"bytes\": %zu, \"refs\": [",
                  id, kinds[p->shape], types[p->shape], tag, p->held + p->outside, bytes_of(p));
  const char* comma = "";
  for (int i = 0; i < REFS_MAX; i++)
    if (p->refs[i] >= 0) line += sprintf(line, "%s%d", comma, id_of[p->refs[i]]), comma = ", ";
  strcpy(line, "]}");
}

static int tag_in(const char* line) {
  const char* at = strstr(line, "\"tag\": ");
  require(at != NULL, "no tag in %s", line);
  return atoi(at + 7);
}

static void check_snapshot(void) {
  int id_of[OBJECTS + 1], n = 0;
  char line[4096];
  for (int t = 0; t <= OBJECTS; t++) id_of[t] = -1;
  for (const char* at = text; *at != 0; at = strchr(at, '\n') + 1) id_of[tag_in(at)] = n++;
  assert_int_equal(n, OBJECTS);
  n = 0;
  for (char *end, *at = text; *at != 0; at = end + 1) {
    end = strchr(at, '\n');
    *end = 0;
    expect_line(line, (unsigned long long)n, tag_in(at), id_of);
    assert_string_equal(at, line);
    n++;
  }
}

static void check_counts(void) {
  for (int t = 1; t <= OBJECTS; t++)
    assert_int_equal(pictures[t].o->count, pictures[t].held + pictures[t].outside);
}

/* ---- Leak reports ---------------------------------------------------------------------------------- */

/* "#ID (DESCRIPTION, tag TAG)", and what follows. */
static const char* read_node(const char* at, int* tag) {
  at = strstr(at, "tag ");
  require(at != NULL, "no node");
  *tag = atoi(at + 4);
  return strchr(at, ')') + 1;
}

/* The path begins where the test's references are, goes along references that there are, and is no longer
** than it must be. */
static void check_path(const char* at) {
  int tag, length = 0, whole = strstr(at, "-> ...") == NULL;
  unsigned long long outside = 0;
  at = read_node(at, &tag);
  bool cycle = strncmp(at, ": in a cycle", 12) == 0;
  assert_true(cycle || sscanf(at, ": count %*d, %llu from outside", &outside) == 1);
  assert_int_equal(pictures[tag].outside, outside);
  for (size_t index; (at = strstr(at, " [")) != NULL; length++) {
    int to;
    assert_int_equal(sscanf(at, " [%zu]->", &index), 1);
    at = read_node(at, &to);
    const struct picture* p = &pictures[tag];
    if (whole) assert_int_equal(p->shape == A_TYPED || index < p->n, true);
    if (whole) assert_int_equal(p->refs[index], to);
    tag = to;
  }
  if (cycle)
    assert_int_equal(pictures[tag].distance, -1);
  else if (whole)
    assert_int_equal(pictures[tag].distance, length);
}

static void check_report(void) {
  unsigned long long objects, bytes, n, b, sum = 0, sum_bytes = 0, total = 0;
  for (int t = 1; t <= OBJECTS; t++) total += bytes_of(&pictures[t]);
  assert_int_equal(sscanf(text, "sluice: %llu objects are alive, %llu bytes", &objects, &bytes), 2);
  assert_int_equal(objects, OBJECTS);
  assert_int_equal(bytes, total);
  for (char *end, *at = strchr(text, '\n') + 1; *at != 0; at = end + 1) {
    end = strchr(at, '\n');
    *end = 0;
    if (at[2] == ' ') {
      check_path(at);
      continue;
    }
    assert_int_equal(sscanf(at, "  %llu objects", &n), 1);
    assert_int_equal(sscanf(strrchr(at, ')'), "), %llu bytes", &b), 1);
    sum += n;
    sum_bytes += b;
  }
  assert_int_equal(sum, OBJECTS);
  assert_int_equal(sum_bytes, total);
}

/* ---- Tests ------------------------------------------------------------------------------------------ */

static void unmake_graph(void) {
  for (int t = 1; t <= OBJECTS; t++) rc_inc(pictures[t].o);
  for (int t = 1; t <= OBJECTS; t++)
    for (size_t i = 0; i < REFS_MAX; i++)
      if (pictures[t].refs[i] >= 0) set(&pictures[t], i, -1);
  for (int t = 1; t <= OBJECTS; t++)
    for (int i = 0; i <= pictures[t].outside; i++) rc_dec(pictures[t].o);
  rc_drain(SIZE_MAX);
  assert_int_equal(counters().objects, 0);
}

/* Of a task of runtime/, or of the thread's own. */
static void in_graphs(int (*write)(FILE*), void (*check)(void)) {
  for (int i = 0; CHECKED && i < GRAPHS; i++) {
    rt_task* t = i % 4 ? begin(NULL) : NULL;
    make_graph(i % 2);
    (void)written_by(write);
    check();
    check_counts();
    unmake_graph();
    if (t != NULL) end(t);
  }
}

static void test_snapshot(void** state) {
  (void)state;
  in_graphs(rc_snapshot, check_snapshot);
}

static void test_leaks(void** state) {
  (void)state;
  in_graphs(rc_report_leaks, check_report);
}

/* Two runs of the same program, in tasks, and with other things in the thread's heap meanwhile; the secure
** build's order of blocks is random outside of regions. */
static void test_same_in_each_run(void** state) {
  (void)state;
  static char first[2][TEXT_MAX];
  rt_config region = {.repeatable_addresses = true};
  for (int run = 0; CHECKED && run < 3; run++) {
    rt_task* t = begin(MI_SECURE ? &region : NULL);
    seed = 4711;
    make_graph(true);
    for (int i = 0; i < 2; i++) {
      (void)written_by(i == 0 ? rc_snapshot : rc_report_leaks);
      if (run == 0) strcpy(first[i], text);
      assert_string_equal(text, first[i]);
    }
    rt_leave();
    assert_int_equal(rt_task_end(t), 0);
    for (int i = 0; i < 100; i++) assert_non_null(mi_malloc(100));
  }
}

static void expect_text(int (*write)(FILE*), const char* expected) {
  (void)written_by(write);
  assert_string_equal(text, expected);
}

static void test_nothing(void** state) {
  (void)state;
  if (!CHECKED) return;
  rt_task* t = begin(NULL);
  expect_text(rc_snapshot, "");
  expect_text(rc_report_leaks, "sluice: 0 objects are alive, 0 bytes\n");
  rc_dec(words_array(1000));
  expect_text(rc_snapshot, "");
  end(t);
}

/* Weak references are objects; their table's reference is none of the program's. Shells are no objects. */
static void test_weak_and_shells(void** state) {
  (void)state;
  if (!CHECKED) return;
  rt_task* t = begin(NULL);
  rc_object *o = node(1, 1), *w = rc_weak(o), *shell = rc_drop_reuse(node(1, 1));
  require(w != NULL && shell != NULL, "no memory");
  (void)written_by(rc_snapshot);
  assert_non_null(strstr(text, "\"kind\": \"fields\", \"type\": null, \"tag\": 1, \"count\": 1"));
  assert_non_null(strstr(text, "\"type\": \"weak reference\", \"tag\": 0, \"count\": 2"));
  assert_null(strstr(text, "\"id\": 2"));
  (void)written_by(rc_report_leaks);
  assert_non_null(strstr(text, "(type weak reference, tag 0): count 2, 1 from outside"));
  rc_dec(w);
  (void)written_by(rc_report_leaks);
  assert_non_null(strstr(text, "(type weak reference, tag 0): kept with its target"));
  o = rc_reuse(shell, 9, 2);
  rc_init(o, 0, RC_NIL);
  rc_init(o, 1, RC_NIL);
  (void)written_by(rc_snapshot);
  assert_non_null(strstr(text, "\"tag\": 9"));
  end(t);
}

/* What a task shared is outside of it. */
static void test_outside(void** state) {
  (void)state;
  if (!CHECKED) return;
  rt_task* t = begin(NULL);
  rc_object* shared = rc_share(leaf(1));
  require(shared != NULL, "no memory");
  rc_inc(shared);
  rc_object* o = node(rc_from(shared), rc_from(shared));
  expect_text(rc_snapshot,
              "{\"id\": 0, \"kind\": \"fields\", \"type\": null, \"tag\": 1, \"count\": 1, "
              "\"bytes\": 24, \"refs\": [], \"outside\": 2}\n");
  rc_dec(o);
  end(t);
  expect_text(rc_snapshot, "");
}

/* Until it ran, what waits for its finalizer lives, and all that it holds. */
static void ignore(rc_object* o) { (void)o; }
static const rc_type finalized = {"finalized", 1, 0, NULL, ignore};
static void test_finalizers(void** state) {
  (void)state;
  if (!CHECKED) return;
  rt_task* t = begin(NULL);
  rc_object* o = rc_typed(5, &finalized);
  require(o != NULL, "no memory");
  rc_set(o, 0, rc_from(leaf(1)));
  rc_dec(o);
  assert_int_equal(rc_finalizers_pending(), 1);
  (void)written_by(rc_report_leaks);
  assert_non_null(strstr(text, "2 objects are alive"));
  assert_non_null(strstr(text, "(type finalized, tag 5): count 1, 1 from outside [0]-> "));
  assert_int_equal(rc_poll(1), 1);
  expect_text(rc_snapshot, "");
  end(t);
}

/* A path of any length is told by its ends. */
static void test_long_path(void** state) {
  (void)state;
  if (!CHECKED) return;
  rt_task* t = begin(NULL);
  rc_object* o = words_array(1);
  for (int i = 0; i < 5000; i++) {
    rc_object* next = node(RC_NIL, rc_from(o));
    o = next;
  }
  (void)written_by(rc_report_leaks);
  const char* at = strstr(text, "  1 objects (array, tag 3)");
  require(at != NULL && (at = strchr(at, '\n')) != NULL, "no group");
  int arrows = 0;
  for (const char* a = at; (a = strstr(a, "-> ")) != NULL; a++) arrows++;
  assert_int_equal(arrows, 13);
  assert_non_null(strstr(at, " -> ... [1]-> "));
  rc_dec(o);
  end(t);
}

/* Blocks of all sizes until there are none; each begins with the address of the one before. */
static void* fill_memory(void) {
  void* last = NULL;
  mi_option_enable(mi_option_disallow_os_alloc);
  for (size_t size = 4 << 20; size >= 8; size -= size > 1024 ? size / 8 : 8)
    for (void** p; (p = mi_malloc(size)) != NULL; last = p) *p = last;
  return last;
}

static void free_memory(void* last) {
  for (void* before; last != NULL; last = before) {
    before = *(void**)last;
    mi_free(last);
  }
  mi_option_disable(mi_option_disallow_os_alloc);
}

static void test_no_memory(void** state) {
  (void)state;
  if (!CHECKED) return;
  rt_task* t = begin(NULL);
  make_graph(false);
  FILE* out = tmpfile();
  require(out != NULL, "no file");
  rt_leave();
  void* blocks = fill_memory();
  require(rt_enter(t) == 0, "no task");
  assert_int_equal(rc_snapshot(out), ENOMEM);
  assert_int_equal(rc_report_leaks(out), ENOMEM);
  assert_int_equal(ftell(out), 0);
  fclose(out);
  free_memory(blocks);
  (void)written_by(rc_snapshot);
  check_snapshot();
  (void)written_by(rc_report_leaks);
  check_report();
  check_counts();
  unmake_graph();
  end(t);
}

/* What the thread's own heap has, seen by the stream in the middle of a snapshot. */
static bool add_size(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size,
                     void* sum) {
  (void)heap, (void)area;
  if (block != NULL) *(size_t*)sum += size;
  return true;
}
static size_t held_by_thread(mi_heap_t* heap) {
  size_t sum = 0;
  require(mi_heap_visit_blocks(heap, true, add_size, &sum), "no visit");
  return sum;
}
static mi_heap_t* own_heap;
static size_t held_most;
static ssize_t look_at_heap(void* unused, const char* line, size_t size) {
  (void)unused, (void)line;
  size_t held = held_by_thread(own_heap);
  if (held > held_most) held_most = held;
  return (ssize_t)size;
}

static void test_bounded_memory(void** state) {
  (void)state;
  enum { NODES = 50000, OBJECT_BYTES = 24, PAGE_BYTES = 65536, FOR_A_PAGE = 40, SOME = 4096 };
  if (!CHECKED) return;
  own_heap = mi_heap_get_default();
  rc_object* o = list_of(NODES);
  FILE* out = fopencookie(NULL, "w", (cookie_io_functions_t){.write = look_at_heap});
  require(out != NULL && setvbuf(out, NULL, _IOFBF, 65536) == 0, "no stream");
  size_t before = held_by_thread(own_heap);
  assert_int_equal(rc_snapshot(out), 0);
  assert_true(held_most > before);
  assert_true(held_most - before < FOR_A_PAGE * (3 * NODES * OBJECT_BYTES / PAGE_BYTES) + SOME);
  assert_int_equal(held_by_thread(own_heap), before);
  fclose(out);
  rc_dec(o);
  rc_drain(SIZE_MAX);
}

static void test_errors(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  FILE* out = fopen("/dev/full", "w");
  require(out != NULL, "no /dev/full");
  rc_object* a = array_of(5000);
  assert_int_equal(rc_snapshot(out), CHECKED ? ENOSPC : ENOTSUP);
  clearerr(out);
  assert_int_equal(rc_report_leaks(out), CHECKED ? ENOSPC : ENOTSUP);
  fclose(out);
  rc_dec(a);
  end(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_snapshot),         cmocka_unit_test(test_leaks),
      cmocka_unit_test(test_same_in_each_run), cmocka_unit_test(test_nothing),
      cmocka_unit_test(test_weak_and_shells),  cmocka_unit_test(test_outside),
      cmocka_unit_test(test_finalizers),       cmocka_unit_test(test_long_path),
      cmocka_unit_test(test_no_memory),        cmocka_unit_test(test_bounded_memory),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests_name("rc inspect", tests, NULL, NULL);
}
