/* data_map_test.c: maps against arrays indexed by the key, with versions kept, under hashes good and
** bad. */
#include "data_tools.h"

enum { VERSIONS = 8, KEYS = 600, NONE = -1 };

/* ---- Keys of several kinds, each the name of a small number ---------------------------------- */

static uint64_t hash_low(rc_word key, void* arg) { return (void)arg, (uint64_t)id_of(key) % 7; }
static uint64_t hash_high(rc_word key, void* arg) {
  return (void)arg, (uint64_t)id_of(key) % 20 << 59;
}
static uint64_t hash_same(rc_word key, void* arg) {
  return (void)arg, id_of(key) < 550 ? 5 : 5 ^ 1ull << 61;
}
static uint64_t hash_plain(rc_word key, void* arg) { return (void)arg, (uint64_t)id_of(key); }
static bool same_id(rc_word a, rc_word b, void* arg) {
  ++*(size_t*)arg;
  return id_of(a) == id_of(b);
}
static size_t compared;
static const rc_map_ops low = {hash_low, same_id, &compared},
                        high = {hash_high, same_id, &compared},
                        same = {hash_same, same_id, &compared},
                        plain = {hash_plain, same_id, &compared};

static rc_word string_key(int64_t id) {
  char text[32];
  int n = snprintf(text, sizeof text, "%lld, %lld", (long long)id * id, (long long)id);
  rc_word key = rc_rope_from(text, (size_t)n);
  require(key != 0, "a key");
  return key;
}

static int64_t string_id(rc_word key) {
  char text[32] = {0};
  for (size_t i = 0; i < rc_rope_length(key); i++) text[i] = (char)rc_rope_get(key, i);
  return strtoll(strchr(text, ',') + 1, NULL, 10);
}

/* Small ones and big ones, of both signs. */
static rc_word big_key(int64_t id) {
  rc_word key = rc_int(id % 2 == 0 ? id : -id);
  require(id % 3 != 0 || (rc_big_shift(&key, 100) && rc_big_add(&key, rc_int(id))), "a key");
  return key;
}

static int64_t big_id(rc_word key) {
  int64_t i = 0;
  rc_word above = copy_of_word(key);
  if (!rc_big_to_int64(key, &i))
    require(rc_big_shift(&above, -100) && rc_big_to_int64(above, &i), "a key");
  rc_dec_word(above);
  return i < 0 ? -i : i;
}

typedef struct kind {
  const rc_map_ops* ops;
  rc_word (*key)(int64_t id);
  int64_t (*id)(rc_word key);
} kind;
static const kind kinds[] = {
    {&rc_map_integers, rc_int, id_of},
    {&rc_map_integers, big_key, big_id},
    {&rc_map_strings, string_key, string_id},
    {&plain, element, id_of},
    {&low, element, id_of},
    {&high, element, id_of},
    {&same, element, id_of},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* ---- A random program ------------------------------------------------------------------------ */

typedef struct version {
  rc_word map;
  size_t n;
  int64_t value[KEYS]; /* NONE, or what the key has */
} version;
static version versions[VERSIONS];
static const kind* now;

static rc_word get(rc_word map, int64_t id) {
  rc_word key = now->key(id), w = rc_map_get(map, now->ops, key);
  rc_dec_word(key);
  return w;
}

static void check_version(const version* v) {
  static bool seen[KEYS];
  rc_word key, value;
  size_t n = 0;
  memset(seen, 0, sizeof seen);
  require(rc_map_count(v->map) == v->n, "count");
  require((v->map == RC_NIL) == (v->n == 0), "empty is RC_NIL");
  for (rc_map_iter it = rc_map_begin(v->map); rc_map_next(&it, &key, &value); n++) {
    int64_t id = now->id(key);
    require(id >= 0 && id < KEYS && !seen[id] && v->value[id] == id_of(value), "iteration");
    seen[id] = true;
  }
  require(n == v->n, "an end");
  for (int64_t id = 0; id < KEYS; id++) {
    rc_word w = get(v->map, id);
    require(w == 0 ? v->value[id] == NONE : v->value[id] == id_of(w), "key %lld", (long long)id);
  }
}

static void drop(version* v) {
  rc_dec_word(v->map);
  v->map = RC_NIL;
  v->n = 0;
  for (size_t i = 0; i < KEYS; i++) v->value[i] = NONE;
}

static void put(version* v, int64_t id) {
  int64_t value = new_id();
  require(rc_map_put(&v->map, now->ops, now->key(id), element(value)), "put");
  v->n += v->value[id] == NONE;
  v->value[id] = value;
}

static void take_out(version* v, int64_t id) {
  rc_word key = now->key(id);
  require(rc_map_remove(&v->map, now->ops, key), "remove");
  rc_dec_word(key);
  v->n -= v->value[id] != NONE;
  v->value[id] = NONE;
}

static void change(version* v, int64_t id) {
  rc_word key = now->key(id);
  errno = 0;
  rc_word* place = rc_map_ref(&v->map, now->ops, key);
  rc_dec_word(key);
  require(place != NULL || errno == EINVAL, "errno");
  require((place != NULL) == (v->value[id] != NONE), "a place");
  if (place == NULL) return;
  expect_id(*place, v->value[id]);
  *place = element(v->value[id] = new_id());
}

static void copy(version* v, const version* from) {
  if (v == from) return;
  drop(v);
  *v = *from;
  rc_inc_word(v->map);
}

static void step(void) {
  version *v = &versions[rnd(VERSIONS)], *b = &versions[rnd(VERSIONS)];
  size_t what = rnd(20), n = rnd(rnd(10) == 0 ? KEYS : 20);
  int64_t from = (int64_t)rnd(KEYS), stride = 1 + (int64_t)rnd(40);
  if (rnd(4) == 0) leave_waiting(copy_of_word(v->map));
  for (size_t i = 0; i < n && what < 18; i++) {
    int64_t id = (from + (int64_t)i * stride) % KEYS;
    if (what < 8)
      put(v, id);
    else if (what < 15)
      take_out(v, id);
    else
      change(v, id);
  }
  if (what >= 18) copy(v, b);
  require(rc_map_count(v->map) == v->n, "count");
}

static void run(const kind* k) {
  rt_task* t = begin(NULL);
  now = k;
  for (int i = 0; i < VERSIONS; i++) drop(&versions[i]);
  for (int i = 0; i < STEPS / 2; i++) {
    step();
    if (i % 200 == 0)
      for (int n = 0; n < VERSIONS; n++) check_version(&versions[n]);
  }
  for (int i = 0; i < VERSIONS; i++) drop(&versions[i]);
  end_drained(t);
}

static void test_random(void** state) {
  (void)state;
  for (size_t i = 0; i < KINDS; i++) {
    for (int k = 0; k < VERSIONS; k++) versions[k].map = RC_NIL;
    run(&kinds[i]);
  }
}

/* ---- Order ----------------------------------------------------------------------------------- */

static rc_word map_of(const int64_t* id, size_t n) {
  rc_word m = RC_NIL;
  for (size_t i = 0; i < n; i++)
    require(rc_map_put(&m, now->ops, now->key(id[i]), rc_int(id[i])), "put");
  return m;
}

static void shuffle(int64_t* id, size_t n) {
  for (size_t i = n; i > 1; i--) {
    size_t k = rnd(i);
    int64_t other = id[i - 1];
    id[i - 1] = id[k];
    id[k] = other;
  }
}

static size_t nodes_of(rc_word m) {
  uint64_t alive = objects_alive();
  rc_dec_word(m);
  return alive - objects_alive();
}

static void remove_all_but(rc_word* m, const int64_t* id, int64_t n) {
  for (size_t i = 0; i < KEYS; i++) {
    rc_word key = now->key(id[i]);
    require(id[i] < n || rc_map_remove(m, now->ops, key), "remove");
    rc_dec_word(key);
  }
}

static void check_same_order(rc_word m, rc_word other) {
  rc_word key, value, key2, value2;
  rc_map_iter a = rc_map_begin(m), b = rc_map_begin(other);
  while (rc_map_next(&a, &key, &value)) {
    require(rc_map_next(&b, &key2, &value2), "an element");
    require(now->ops->equal(key, key2, &compared) && value == value2, "order");
  }
  require(!rc_map_next(&b, &key, &value), "an end");
}

/* The same keys, whatever came and went: the same order (but among equal hashes), and as many nodes. */
static void test_order(void** state) {
  (void)state;
  enum { N = 300, ROUNDS = 20 };
  static int64_t id[KEYS];
  rt_task* t = begin(NULL);
  for (size_t k = 0; k < KINDS; k++) {
    now = &kinds[k];
    for (int64_t i = 0; i < KEYS; i++) id[i] = i;
    rc_word expected = map_of(id, N);
    for (int round = 0; round < ROUNDS; round++) {
      shuffle(id, KEYS);
      rc_word m = map_of(id, KEYS);
      shuffle(id, KEYS);
      remove_all_but(&m, id, N);
      if (now->ops->hash != hash_low && now->ops->hash != hash_high && now->ops->hash != hash_same)
        check_same_order(expected, m);
      for (int64_t i = 0; i < KEYS; i++) id[i] = i;
      require(nodes_of(map_of(id, N)) == nodes_of(m), "nodes");
    }
    rc_dec_word(expected);
  }
  end_drained(t);
}

/* The order of integers is the same on every machine. */
static void test_order_is_fixed(void** state) {
  (void)state;
  static const int64_t expected[] = {0, 10, 1, 3, 4, 5, 6, 7, 8, 11, 2, 9};
  rt_task* t = begin(NULL);
  now = &kinds[0];
  rc_word m = RC_NIL, key, value;
  for (int64_t i = 0; i < 12; i++) assert_true(rc_map_put(&m, now->ops, rc_int(i), RC_NIL));
  rc_map_iter it = rc_map_begin(m);
  for (size_t i = 0; rc_map_next(&it, &key, &value); i++)
    assert_int_equal(rc_to_int(key), expected[i]);
  rc_dec_word(m);
  end_drained(t);
}

/* ---- In place -------------------------------------------------------------------------------- */

/* Values are replaced where they are; a copy shares all but a path. */
static void test_in_place(void** state) {
  (void)state;
  enum { N = 20000 };
  rt_task* t = begin(NULL);
  now = &kinds[0];
  rc_word m = RC_NIL;
  for (int64_t i = 0; i < N; i++) assert_true(rc_map_put(&m, now->ops, rc_int(i), rc_int(i)));
  rc_word first = m;
  uint64_t alive = objects_alive(), bytes = rt_bytes(t), peak = rt_bytes_peak(t);
  for (int64_t i = 0; i < N; i++) {
    rc_word* place = rc_map_ref(&m, now->ops, rc_int(i));
    assert_true(rc_map_put(&m, now->ops, rc_int(i), rc_int(-i)));
    assert_ptr_equal(rc_map_ref(&m, now->ops, rc_int(i)), place);
    assert_true(*place == rc_int(-i));
  }
  assert_true(m == first && objects_alive() == alive);
  assert_int_equal(rt_bytes(t), bytes);
  assert_int_equal(rt_bytes_peak(t), peak);
  for (int64_t i = N; i < 2 * N; i++) {
    assert_true(rc_map_put(&m, now->ops, rc_int(i), rc_int(i)));
    assert_true(m == first);
  }
  rc_word other = copy_of_word(m);
  alive = objects_alive();
  assert_true(rc_map_put(&m, now->ops, rc_int(5), rc_int(5)));
  assert_true(objects_alive() <= alive + 1 + 6);
  assert_true(rc_map_get(other, now->ops, rc_int(5)) == rc_int(-5));
  rc_dec_word(other);
  rc_dec_word(m);
  end_drained(t);
}

/* To change one of many takes a few comparisons; what is not there is not copied for. */
static void test_costs(void** state) {
  (void)state;
  rt_task* t = begin(NULL);
  now = &kinds[3];
  rc_word m = RC_NIL;
  for (int64_t i = 0; i < 10000; i++) assert_true(rc_map_put(&m, now->ops, rc_int(i), RC_NIL));
  compared = 0;
  for (int64_t i = 0; i < 10000; i++) (void)rc_map_get(m, now->ops, rc_int(3 * i));
  assert_true(compared <= 10000);
  rc_word other = copy_of_word(m);
  uint64_t ticks = rt_ticks(t), alive = objects_alive();
  assert_true(rc_map_remove(&m, now->ops, rc_int(123456)));
  assert_true(m == other && rt_ticks(t) == ticks && objects_alive() == alive);
  rc_dec_word(other);
  rc_dec_word(m);
  end(t);
}

static uint64_t ticks_of_a_program(bool shared) {
  rt_task* t = begin(NULL);
  rc_word m = RC_NIL, other = RC_NIL;
  now = &kinds[5];
  seed = 42;
  for (int i = 0; i < 20000; i++) {
    int64_t id = (int64_t)rnd(200);
    if (shared) rc_dec_word(other), other = copy_of_word(m);
    rc_word key = element(id);
    if (rnd(2))
      require(rc_map_put(&m, now->ops, copy_of_word(key), RC_NIL), "put");
    else
      require(rc_map_remove(&m, now->ops, key), "remove");
    rc_dec_word(key);
  }
  uint64_t ticks = rt_ticks(t);
  rc_dec_word(m);
  rc_dec_word(other);
  end_drained(t);
  return ticks;
}

static void test_charges(void** state) {
  (void)state;
  assert_int_equal(ticks_of_a_program(false), ticks_of_a_program(true));
}

/* ---- Refusals -------------------------------------------------------------------------------- */

enum { TRIED = 60 };
static int64_t tried; /* the key */
static bool there[KEYS];

static void check_there(rc_word m, void* arg) {
  (void)arg;
  size_t n = 0;
  for (int64_t id = 0; id < KEYS; id++) {
    rc_word w = get(m, id);
    require(there[id] ? w == rc_int(id) : w == 0, "key %lld", (long long)id);
    n += there[id];
  }
  require(rc_map_count(m) == n, "count");
}

static bool try_put(rc_word* w, void* key) {
  rc_word value = rc_int(-1);
  if (rc_map_put(w, now->ops, *(rc_word*)key, value)) return true;
  return false;
}
static bool try_remove(rc_word* w, void* key) { return rc_map_remove(w, now->ops, *(rc_word*)key); }

static void starve(rc_word m) {
  int refused;
  rc_word key = now->key(tried);
  rc_inc_word(key); /* for the put that succeeds */
  rc_dec_word(update_starving(m, try_put, check_there, &key, &refused));
  assert_true(refused > 0);
  rc_dec_word(update_starving(m, try_remove, check_there, &key, &refused));
  assert_true(refused > 0 || !there[tried] || rc_map_count(m) == 1);
  rc_dec_word(key);
}

static void test_refusals(void** state) {
  (void)state;
  rt_task* t = begin_small();
  for (size_t k = 2; k < KINDS; k++) {
    now = &kinds[k];
    for (int round = 0; round < 30; round++) {
      rc_word m = RC_NIL;
      size_t n = rnd(round < 10 ? 4 : TRIED);
      memset(there, 0, sizeof there);
      for (size_t i = 0; i < n; i++) {
        int64_t id = (int64_t)rnd(KEYS);
        require(rc_map_put(&m, now->ops, now->key(id), rc_int(id)), "put");
        there[id] = true;
      }
      tried = (int64_t)rnd(KEYS);
      for (int64_t id = 0; id < KEYS && round % 2 == 0; id++)
        if (there[id] && rnd(n) == 0) tried = id;
      starve(m);
      rc_dec_word(m);
    }
  }
  end_drained(t);
}

static void test_empty(void** state) {
  (void)state;
  rc_word m = RC_NIL, key, value;
  rc_map_iter it = rc_map_begin(m);
  assert_false(rc_map_next(&it, &key, &value));
  assert_true(rc_map_count(m) == 0 && rc_map_get(m, &rc_map_integers, RC_NIL) == 0);
  assert_true(rc_map_remove(&m, &rc_map_integers, RC_NIL) && m == RC_NIL);
  errno = 0;
  assert_true(rc_map_ref(&m, &rc_map_integers, RC_NIL) == NULL && errno == EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),         cmocka_unit_test(test_order),
      cmocka_unit_test(test_order_is_fixed), cmocka_unit_test(test_in_place),
      cmocka_unit_test(test_costs),          cmocka_unit_test(test_charges),
      cmocka_unit_test(test_refusals),       cmocka_unit_test(test_empty),
  };
  return cmocka_run_group_tests_name("data: maps", tests, NULL, NULL);
}
