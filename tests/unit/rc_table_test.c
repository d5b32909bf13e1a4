/* rc_table_test.c: the hash table of nodes by address against a plain array of what is in it: with memory to grow,
** without, and with memory of the wrong size. */
#include "rc/internal.h"
#include "tests/tools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { NODES = 30000, STEPS = 300000 };

static table_node nodes[NODES];
static bool is_in[NODES];

/* As addresses are: rows of equal blocks, near each other and far apart. */
static void make_keys(void) {
  for (size_t i = 0; i < NODES; i++)
    nodes[i].key = (const void*)(i % 3 == 0 ? 0x7f0000000000 + 16 * i : 8 + 0x10018 * i);
}

static void add(rc_table* t, size_t i, unsigned memory_in_10) {
  size_t bytes = table_wants(t);
  bool right = rnd(10) < memory_in_10;
  void* memory = bytes > 0 && right ? mi_zalloc(bytes) : NULL;
  bool taken = table_add(t, &nodes[i], memory, bytes);
  assert_int_equal(taken, memory != NULL);
  if (!taken) mi_free(memory);
  is_in[i] = true;
}

static void check_all(rc_table* t, size_t number) {
  assert_int_equal(t->nodes, number);
  for (size_t i = 0; i < NODES; i++)
    assert_ptr_equal(table_find(t, nodes[i].key), is_in[i] ? &nodes[i] : NULL);
}

/* Of `live` nodes at most, so that the table grows and is emptied. */
static void check_random(size_t live, unsigned memory_in_10) {
  rc_table t = {0};
  size_t number = 0;
  memset(is_in, 0, sizeof is_in);
  for (size_t step = 0; step < STEPS; step++) {
    size_t i = rnd(live);
    assert_ptr_equal(table_find(&t, nodes[i].key), is_in[i] ? &nodes[i] : NULL);
    if (!is_in[i]) {
      add(&t, i, memory_in_10);
      number++;
    } else {
      assert_ptr_equal(table_remove(&t, nodes[i].key), &nodes[i]);
      is_in[i] = false;
      number--;
    }
  }
  check_all(&t, number);
  for (size_t i = 0; i < NODES; i++)
    if (is_in[i]) assert_ptr_equal(table_remove(&t, nodes[i].key), &nodes[i]);
  assert_int_equal(t.nodes, 0);
  assert_int_equal(table_wants(&t), 0);
  for (size_t i = 0; i < NODES; i++) assert_null(table_find(&t, nodes[i].key));
  assert_true(t.chains <= TABLE_FIRST);
  table_end(&t); /* a directory may be left that got no block */
  assert_true(nothing_lives());
}

static void test_against_an_array(void** state) {
  (void)state;
  make_keys();
  check_random(2, 10);
  check_random(64, 10);
  check_random(1000, 10);
  check_random(NODES, 10);
}

static void test_without_memory(void** state) {
  (void)state;
  make_keys();
  check_random(500, 0);
  check_random(2000, 5);
}

/* The table has grown meanwhile: what was wanted then is not taken. */
static void test_memory_of_another_size(void** state) {
  (void)state;
  make_keys();
  rc_table t = {0};
  void* memory = mi_zalloc(16);
  for (size_t i = 0; i < 1000; i++) assert_false(table_add(&t, &nodes[i], memory, 16));
  mi_free(memory);
  for (size_t i = 0; i < 1000; i++) assert_ptr_equal(table_remove(&t, nodes[i].key), &nodes[i]);
}

/* Blocks of all sizes, and those of one page: as many nodes as there are chains, and no chain gets long. */
static void check_chains(size_t stride) {
  rc_table t = {0};
  for (size_t i = 0; i < NODES; i++) nodes[i].key = (const void*)(0x7f0000000000 + stride * i);
  memset(is_in, 0, sizeof is_in);
  for (size_t i = 0; i < NODES; i++) add(&t, i, 10);
  assert_true(t.chains >= NODES);
  size_t longest = 0;
  for (size_t i = 0; i < TABLE_FIRST; i++) {
    size_t length = 0;
    for (table_node* n = t.first[i]; n != NULL; n = n->next) length++;
    if (length > longest) longest = length;
  }
  assert_true(longest <= 16);
  for (size_t i = 0; i < NODES; i++) table_remove(&t, nodes[i].key);
  assert_true(t.chains <= TABLE_FIRST);
}

static void test_chains_stay_short(void** state) {
  (void)state;
  for (size_t words = 2; words <= 1024; words += 7) check_chains(8 * words);
  check_chains(65536);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_an_array),
      cmocka_unit_test(test_without_memory),
      cmocka_unit_test(test_memory_of_another_size),
      cmocka_unit_test(test_chains_stay_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
