/* counted.c: programs of counted objects. Those that can see a death run in the deterministic mode. */
#include "tests/determinism/programs.h"

static void observe_deaths(void) {
  require(rc_set_pacing(&(rc_pacing){2, 256, RC_DEBT_AUTO, true}), "the deterministic mode");
}

static rc_object* tree(unsigned depth) {
  rc_object* o = rc_alloc(0, 2);
  require(o != NULL, "memory");
  rc_init(o, 0, depth > 0 ? rc_from(tree(depth - 1)) : RC_NIL);
  rc_init(o, 1, depth > 0 ? rc_from(tree(depth - 1)) : RC_NIL);
  return o;
}
static void trees(void) {
  rt_task* t = begin(NULL);
  for (unsigned i = 0; i < 20; i++) {
    rc_dec(tree(5 + i % 8));
    if (i % 4 == 0) show("dropped");
  }
  rc_drain(SIZE_MAX);
  end(t);
}

/* What waits counts, until it is drained before a refusal: so the limit is met at the same object. */
static void limit_with_waiting_dead(void) {
  rt_task* t = begin(&(rt_config){.bytes = 60000, .grace_bytes = 50000});
  unsigned made = 0;
  for (rc_object* kept = NULL; rt_poll() == RT_OK; made++) {
    rc_object* o = rc_alloc(0, 1 + rnd(6));
    if (o == NULL) break;
    bool keeps = rnd(3) == 0 && kept != NULL;
    for (size_t i = 0; i < rc_length(o); i++)
      rc_init(o, i, i == 0 && kept != NULL ? rc_from(kept) : RC_NIL);
    kept = o;
    if (!keeps && rnd(1000) == 0) {
      rc_dec(kept);
      kept = NULL;
    }
  }
  printf("object %u\n", made);
  show_bytes();
  end(t);
}

static void finalize(rc_object* o) {
  static unsigned n;
  if (n++ % 50 == 0) printf("finalized %lld\n", (long long)rc_to_int(rc_get(o, 0)));
}
static const rc_type finalizable = {.name = "finalizable", .words = 2, .finalize = finalize};
static rc_object* with_finalizer(int64_t i, rc_word next) {
  rc_object* o = rc_typed(0, &finalizable);
  require(o != NULL, "memory");
  rc_init(o, 0, rc_int(i));
  rc_init(o, 1, next);
  return o;
}
static void finalizers(void) {
  rt_task* t = begin(NULL);
  observe_deaths();
  for (int round = 0; round < 10; round++) {
    rc_word chain = RC_NIL;
    for (int i = 0; i < 300; i++) chain = rc_from(with_finalizer(round * 1000 + i, chain));
    rc_dec_word(chain);
    for (int i = 0; i < 200; i++) {
      rc_dec(tree(2));
      printf("%zu ", rc_finalizers_pending());
      rc_poll(1);
    }
    show("round");
  }
  while (rc_poll(10) > 0) rc_drain(100);
  show_bytes();
  end(t);
}

static void weak_references(void) {
  rt_task* t = begin(NULL);
  observe_deaths();
  enum { N = 2000 };
  static rc_object* weak[N];
  rc_word chain = RC_NIL;
  for (int i = 0; i < N; i++) {
    rc_object* o = tree(1);
    rc_set(o, 0, chain);
    weak[i] = rc_weak(o);
    chain = rc_from(o);
  }
  rc_dec_word(chain);
  unsigned cleared = 0;
  for (unsigned steps = 0; cleared < N; steps++) {
    rc_dec(rc_array(0, rnd(60), RC_NIL));
    for (; cleared < N; cleared++) {
      rc_object* o = rc_upgrade(weak[N - 1 - cleared]);
      if (o == NULL) continue;
      rc_dec(o);
      break;
    }
    if (steps % 10 == 0) printf("%u cleared in step %u\n", cleared, steps);
  }
  show_bytes();
  end(t);
}

/* How often an object is the only reference to itself depends on what still waits. */
static void uniqueness(void) {
  rt_task* t = begin(NULL);
  observe_deaths();
  rc_object* a = rc_array(0, 100, RC_NIL);
  unsigned copies = 0;
  for (int i = 0; i < 20000; i++) {
    if (rnd(7) == 0) {
      rc_object* holder = tree(3);
      rc_inc(a);
      rc_set(holder, 0, rc_from(a));
      rc_dec(holder);
    }
    if (!rc_is_unique(a)) copies++;
    a = rc_make_unique(a);
    require(a != NULL, "memory");
    rc_set(a, rnd(100), rc_int(i));
    if (i % 2000 == 0) printf("%u copies\n", copies);
  }
  rc_dec(a);
  show_bytes();
  end(t);
}

static void cycles(void) {
  rt_task* t = begin(NULL);
  observe_deaths();
  static rc_object* ring[50];
  for (int round = 0; round < 400; round++) {
    size_t n = 2 + rnd(48);
    for (size_t i = 0; i < n; i++) {
      ring[i] = with_finalizer((int64_t)(round * 100 + (int)i), RC_NIL);
      rc_cyclic(ring[i]);
    }
    for (size_t i = 0; i < n; i++) {
      rc_inc(ring[i]);
      rc_replace(ring[(i + 1) % n], 1, rc_from(ring[i]));
    }
    for (size_t i = 0; i < n; i++) rc_dec(ring[i]);
    rc_poll(20);
    if (round % 20 == 0)
      printf("%zu pending, %zu candidates\n", rc_finalizers_pending(), rc_candidates());
  }
  rc_collect_cycles(SIZE_MAX);
  while (rc_poll(100) > 0) rc_collect_cycles(SIZE_MAX);
  show_bytes();
  end(t);
}

static void big_numbers(void) {
  rt_task* t = begin(NULL);
  rc_word a = rc_big_from(1), b = rc_big_from(1);
  for (int i = 2; i < 400; i++) {
    rc_word n = rc_big_from(i), sum = a;
    require(rc_big_multiply(&b, n), "memory");
    rc_inc_word(sum);
    require(rc_big_add(&sum, b), "memory");
    rc_dec_word(a);
    a = sum;
    if (i % 50 == 0) printf("%llx\n", (unsigned long long)rc_big_hash(a)), show("so far");
  }
  rc_word text = rc_big_format(a, 10);
  printf("%.*s\n", (int)rc_length(rc_to(text)), rc_data(rc_to(text)));
  rc_dec_word(text), rc_dec_word(a), rc_dec_word(b);
  end(t);
}

static void maps(void) {
  rt_task* t = begin(NULL);
  rc_word m = RC_NIL, kept = RC_NIL;
  for (int i = 0; i < 20000; i++) {
    rc_word key = rc_int((int64_t)rnd(3000));
    if (rnd(3) > 0)
      require(rc_map_put(&m, &rc_map_integers, key, rc_int(i)), "memory");
    else
      require(rc_map_remove(&m, &rc_map_integers, key), "memory");
    if (i % 2500 != 0) continue;
    rc_dec_word(kept);
    rc_inc_word(kept = m);
    show("so far");
  }
  rc_map_iter it = rc_map_begin(m);
  for (rc_word k, v; rc_map_next(&it, &k, &v);)
    printf("%lld=%lld ", (long long)rc_to_int(k), (long long)rc_to_int(v));
  rc_dec_word(m), rc_dec_word(kept);
  end(t);
}

static void vectors(void) {
  rt_task* t = begin(NULL);
  rc_word v = RC_NIL, old = RC_NIL;
  for (int i = 0; i < 30000; i++) {
    size_t n = rc_vec_length(v);
    if (n == 0 || rnd(3) > 0)
      require(rc_vec_push(&v, rc_int(i)), "memory");
    else if (rnd(2) == 0)
      rc_dec_word(rc_vec_pop(&v));
    else
      require(rc_vec_set(&v, rnd(n), rc_int(-i)), "memory");
    if (i % 3000 != 0) continue;
    rc_dec_word(old);
    rc_inc_word(old = v);
    show("so far");
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < rc_vec_length(v); i++) sum = sum * 31 + rc_vec_get(v, i);
  printf("%llx\n", (unsigned long long)sum);
  rc_dec_word(v), rc_dec_word(old);
  end(t);
}

static void ropes(void) {
  rt_task* t = begin(NULL);
  rc_word r = RC_NIL;
  for (int i = 0; i < 4000; i++) {
    char word[32];
    int n = snprintf(word, sizeof word, "%x ", (unsigned)rnd(1 << 20));
    rc_word w = rc_rope_from(word, (size_t)n);
    require(w != 0 && rc_rope_append(&r, w), "memory");
    if (rnd(20) == 0) {
      rc_word part = rc_rope_slice(r, rnd(rc_rope_length(r)), rc_rope_length(r));
      rc_dec_word(r);
      r = part;
    }
    if (i % 500 == 0) printf("%llx\n", (unsigned long long)rc_rope_hash(r)), show("so far");
  }
  rc_dec_word(r);
  end(t);
}

/* Solutions of the queens' problem as lists that share their tails. */
static bool safe(rc_word queens, int64_t column) {
  int64_t distance = 1;
  for (; queens != RC_NIL; queens = rc_list_tail(queens), distance++) {
    int64_t q = rc_to_int(rc_list_head(queens)), between = q > column ? q - column : column - q;
    if (between == 0 || between == distance) return false;
  }
  return true;
}
static unsigned place(rc_word queens, int left, int n) {
  unsigned found = left == 0;
  for (int64_t column = 0; left > 0 && column < n; column++) {
    if (!safe(queens, column)) continue;
    rc_word more = queens;
    rc_inc_word(more);
    require(rc_list_cons(&more, rc_int(column)), "memory");
    found += place(more, left - 1, n);
    rc_dec_word(more);
  }
  return found;
}
static void queens(void) {
  rt_task* t = begin(NULL);
  for (int n = 1; n < 9; n++) printf("%d: %u\n", n, place(RC_NIL, n, n)), show("so far");
  end(t);
}

static void drop(void* o) { rc_dec(o); }
static void shared_with_others(void) {
  rt_task* t = begin(NULL);
  start_freers(drop);
  for (int i = 0; i < 300; i++) {
    rc_object* o = rc_share(tree(4));
    require(o != NULL, "memory");
    for (int k = 0; k < 5; k++) {
      rc_inc(o);
      hand_over(rc_share(o)); /* the task does not hold it any more */
    }
    rc_dec(o);
    if (i % 50 == 0) show("so far");
  }
  stop_freers();
  end(t);
}

static void reuse(void) {
  rt_task* t = begin(NULL);
  rc_word list = RC_NIL;
  for (int i = 0; i < 1000; i++) require(rc_list_cons(&list, rc_int(i)), "memory");
  for (int round = 0; round < 30; round++) {
    rc_word old = list, result = RC_NIL;
    if (round % 3 == 0) rc_inc_word(old);
    for (rc_word at = list; at != RC_NIL;) {
      rc_word head = rc_list_head(at), tail = rc_list_tail(at);
      rc_inc_word(tail);
      rc_object* o = rc_reuse(rc_drop_reuse(rc_to(at)), 0, 2);
      rc_init(o, 0, rc_int(rc_to_int(head) * 3 % 1001));
      rc_init(o, 1, result);
      result = rc_from(o);
      at = tail;
    }
    if (round % 3 == 0) rc_dec_word(old);
    list = result;
    show("mapped");
  }
  rc_dec_word(list);
  end(t);
}

const program counted_programs[] = {{"trees", trees},
                                    {"limit-with-waiting-dead", limit_with_waiting_dead},
                                    {"finalizers", finalizers},
                                    {"weak-references", weak_references},
                                    {"uniqueness", uniqueness},
                                    {"cycles", cycles},
                                    {"big-numbers", big_numbers},
                                    {"maps", maps},
                                    {"vectors", vectors},
                                    {"ropes", ropes},
                                    {"queens", queens},
                                    {"shared-with-others", shared_with_others},
                                    {"reuse", reuse},
                                    {NULL, NULL}};
