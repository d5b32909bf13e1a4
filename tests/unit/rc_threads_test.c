/* rc_threads_test.c: thousands of random programs in several threads: objects that threads share, hand on and
** drop, cycles that they make and leave, weak references, finalizers, threads that end. Each operation is one
** thread's, drawn with the program, and is checked against a model (rc_threads_model.h); but now and then all
** threads run at once, and what they did is looked at afterwards.
**
** Nothing that a slot leads to dies; when all is quiet, all else is dead, each object with a finalizer once
** after that; counts are exact then; a weak reference answers as long as a slot leads to its object, never
** again after it has not answered, and never what is dead.
**
** Programs run in a child process; one that fails is made smaller. With an argument the test prints and runs the
** program of that number; with two, it runs so many from there. */
#include "tests/unit/rc_threads_model.h"

#include <semaphore.h>

#if defined(__SANITIZE_THREAD__) || defined(EMULATED)
enum { PROGRAMS = 300 };
#elif defined(__SANITIZE_ADDRESS__) || CHECKED
enum { PROGRAMS = 1000 };
#else
enum { PROGRAMS = 10000 };
#endif

/* ---- Operations of a thread: {k} is the thread, {a} and {b} are its slots ---------------------------- */

/* What a slot has, or leads to. */
static uint16_t some(uint32_t a, uint32_t x) {
  uint16_t number = slots[here][a % SLOTS];
  for (size_t depth = x % 5; depth > 0 && nodes[number].n > 0; depth--, x /= 5) {
    uint16_t to = nodes[number].to[x / 5 % nodes[number].n];
    if (to != 0) number = to;
  }
  return number;
}

/* A usual object holds what is there before it, and does not change; a cyclic one holds none that leads to cyclic
** ones: so none is on a cycle. Of shared objects there are no cycles. */
static bool may_hold(uint16_t number, uint16_t to) {
  const shadow* s = &nodes[number];
  if (to == 0) return true;
  if (s->owner == SHARED) return nodes[to].owner == SHARED && !leads_to(to, number);
  return !s->cyclic || !nodes[to].holds_cyclic;
}

static rc_object* object_of(const shadow* s, uint32_t kind) {
  if (kind == 0) return rc_typed(0, s->finalizes ? &final_type : &plain_type);
  return kind == 1 ? rc_array(0, s->n + 1u, RC_NIL) : rc_alloc(0, s->n + 1u);
}

static void make(const op* o) {
  uint32_t x = o->n, kind = x % 4, early = x / 4 % 2;
  if (node_count == NODES) return;
  uint64_t number = node_count;
  shadow* s = &nodes[number];
  *s = (shadow){.owner = (uint8_t)here, .cyclic = x / 8 % 2 != 0};
  s->n = (uint8_t)(kind == 0 ? FIELDS_MOST : x / 16 % (FIELDS_MOST + 1));
  s->finalizes = kind == 0 && x / 64 % 4 != 0;
  rc_object* w = rc_typed(0, &witness_type);
  s->o = object_of(s, kind);
  check(w != NULL && s->o != NULL, "no memory");
  memcpy(rc_data(w), &number, sizeof number);
  if (kind == 0) memcpy(rc_data(s->o), &number, sizeof number);
  if (s->cyclic && early) rc_cyclic(s->o);
  node_count++;
  for (size_t i = 0; i < s->n; i++) {
    uint16_t to = some(o->b + (uint32_t)i, (uint32_t)mix(x + i));
    if (mix(x + i) >> 32 & 1 || !may_hold((uint16_t)number, to)) to = 0;
    s->to[i] = to;
    if (!s->cyclic && (nodes[to].cyclic || nodes[to].holds_cyclic)) s->holds_cyclic = true;
    if (to != 0) rc_inc(nodes[to].o);
    rc_init(s->o, i, to != 0 ? rc_from(nodes[to].o) : RC_NIL);
  }
  rc_init(s->o, s->n, rc_from(w));
  if (kind == 0)
    for (size_t i = s->n + 1u; i < rc_length(s->o); i++) rc_init(s->o, i, RC_NIL);
  if (s->cyclic && !early) rc_cyclic(s->o);
  slot_set(o->a, (uint16_t)number);
}

/* A reference is copied, or moved from the slot, into a field; what was there goes, or into the slot. */
static void store(const op* o) {
  uint16_t number = some(o->a, o->n), to = some(o->b, o->n / 16);
  shadow* s = &nodes[number];
  bool move = o->n / 1024 % 3 == 0, keep = o->n / 4096 % 2 != 0;
  if (number == 0 || s->n == 0 || (!s->cyclic && s->owner != SHARED)) return;
  if (move) to = slots[here][o->b];
  if (!may_hold(number, to)) return;
  size_t i = o->n / 64 % s->n;
  uint16_t old = s->to[i];
  if (move)
    slots[here][o->b] = 0;
  else if (to != 0)
    rc_inc(nodes[to].o);
  s->to[i] = to;
  stale = true;
  rc_word w = rc_exchange(s->o, i, to != 0 ? rc_from(nodes[to].o) : RC_NIL);
  check(w == (old != 0 ? rc_from(nodes[old].o) : RC_NIL), "another word was there");
  if (keep && old != 0)
    slot_set(o->b, old);
  else
    rc_dec_word(w);
}

static void copy(const op* o) {
  uint16_t number = some(o->b, o->n);
  if (number != 0) rc_inc(nodes[number].o);
  slot_set(o->a, number);
}

static void drop(const op* o) { slot_set(o->a, 0); }

static void clear(const op* o) {
  (void)o;
  for (size_t i = 0; i < SLOTS; i++) slot_set(i, 0);
}

static void weaken(const op* o) {
  uint16_t number = some(o->a, o->n);
  shadow* s = &nodes[number];
  if (number == 0 || (s->weak != NULL && !s->gone)) return;
  if (s->weak != NULL) rc_dec(s->weak);
  s->weak = rc_weak(s->o);
  check(s->weak != NULL, "no weak reference");
  s->sure = true;
  s->gone = false;
}

/* One that has a weak reference which this thread may use; 0: there is none. */
static uint16_t with_weak(uint32_t x) {
  for (uint16_t i = 0; i < node_count; i++) {
    uint16_t number = (uint16_t)((x + i) % node_count);
    if (number != 0 && nodes[number].weak != NULL && is_usable(&nodes[number])) return number;
  }
  return 0;
}

static void upgrade(const op* o) {
  uint16_t number = with_weak(o->n);
  shadow* s = &nodes[number];
  if (number == 0) return;
  mark_all();
  rc_object* up = rc_upgrade(s->weak);
  check(up == NULL || (up == s->o && !s->dead), "a weak reference to what is dead");
  check(up == NULL || !s->gone, "a weak reference answers again");
  check(up != NULL || !s->marked || !s->sure, "a weak reference is cleared");
  s->gone = up == NULL;
  told->cleared += up == NULL;
  told->back += up != NULL && !s->marked;
  if (up == NULL) return;
  if (!s->marked) save_begins();
  slot_set(o->a, number);
}

static void share(const op* o) {
  uint16_t list[NODES], number = slots[here][o->a];
  if (number == 0 || nodes[number].owner == SHARED) return;
  size_t n = closure(number, list, false);
  if (n == 0) return;
  for (size_t i = 0; i < n; i++) {
    shadow* s = &nodes[list[i]];
    s->owner = SHARED;
    s->cyclic = s->holds_cyclic = false;
  }
  check(rc_share(nodes[number].o) == nodes[number].o, "it was copied");
  check(rc_is_shared(nodes[number].o), "it is not shared");
  told->shared++;
}

/* A shared reference goes into another thread's slot, which has such a one or none. */
static void give(const op* o) {
  uint16_t number = slots[here][o->a], *to = &slots[o->n % THREADS][o->b], old = *to;
  if (number == 0 || nodes[number].owner != SHARED) return;
  if (old != 0 && nodes[old].owner != SHARED) return;
  rc_inc(nodes[number].o);
  *to = number;
  stale = true;
  if (old != 0) rc_dec(nodes[old].o);
}

static size_t settle_once(void) {
  size_t units = rc_collect_cycles(SIZE_MAX);
  return units + rc_drain(SIZE_MAX);
}

/* What is not shared goes to another thread as it is, if no reference stays behind. */
static void hand(const op* o) {
  uint16_t list[NODES], number = slots[here][o->a], *to = &slots[o->n % THREADS][o->b];
  if (number == 0 || nodes[number].owner == SHARED || *to != 0) return;
  while (settle_once() > 0) continue;
  if (rc_finalizers_pending() > 0) return;
  check(rc_candidates() == 0 && rc_pending() == 0, "something waits");
  size_t n = closure(number, list, true);
  mark_all();
  int64_t outside = 0; /* references */
  for (size_t i = 0; i < n; i++) {
    const shadow* s = &nodes[list[i]];
    outside += s->refs;
    for (size_t k = 0; k < s->n; k++) outside -= s->to[k] != 0 && nodes[s->to[k]].owner != SHARED;
  }
  if (outside != 1) return;
  for (size_t i = 0; i < n; i++) nodes[list[i]].owner = (uint8_t)(o->n % THREADS);
  slots[here][o->a] = 0;
  *to = number;
  stale = true;
  told->handed++;
}

static void churn(const op* o) {
  for (uint32_t i = o->n % 500; i > 0; i--) rc_dec(leaf(i));
}
static size_t units_of(const op* o) { return o->n / 64 % (1 + o->n % 60); }
static void drain(const op* o) { rc_drain(units_of(o)); }
static void collect(const op* o) { rc_collect_cycles(units_of(o)); }
static void poll(const op* o) { rc_poll(1 + o->n % 3); }

/* ---- Threads: the main one is the first --------------------------------------------------------------- */

typedef void act_fun(const void* arg);
static struct worker {
  pthread_t thread;
  sem_t go;
  act_fun* act; /* NULL: it ends */
  const void* arg;
} workers[THREADS];
static sem_t done;

static void* work(void* arg) {
  struct worker* w = arg;
  here = (unsigned)(w - workers);
  for (;;) {
    while (sem_wait(&w->go) != 0) continue;
    if (w->act == NULL) return NULL;
    w->act(w->arg);
    sem_post(&done);
  }
}

static void worker_begin(size_t t) {
  sem_init(&workers[t].go, 0, 0);
  check(pthread_create(&workers[t].thread, NULL, work, &workers[t]) == 0, "no thread");
}

static void worker_start(size_t t, act_fun* act, const void* arg) {
  workers[t].act = act;
  workers[t].arg = arg;
  sem_post(&workers[t].go);
}

static void worker_end(size_t t) {
  worker_start(t, NULL, NULL);
  pthread_join(workers[t].thread, NULL);
  sem_destroy(&workers[t].go);
}

static void wait_for_one(void) {
  while (sem_wait(&done) != 0) continue;
}

static void run_on(size_t t, act_fun* act, const void* arg) {
  if (t == 0) {
    act(arg);
    return;
  }
  worker_start(t, act, arg);
  wait_for_one();
}

static void run_on_each(act_fun* act, const void* arg) {
  for (size_t t = 0; t < THREADS; t++) run_on(t, act, arg);
}

static void run_at_once(act_fun* act, const void* arg) {
  for (size_t t = 1; t < THREADS; t++) worker_start(t, act, arg);
  act(arg);
  for (size_t t = 1; t < THREADS; t++) wait_for_one();
}

/* ---- Operations on all threads ---------------------------------------------------------------------- */

/* A thread of its own seed uses, copies and drops what it has, and what is shared. */
static void race_step(uint64_t* state) {
  size_t a = rnd_from(state, SLOTS), what = rnd_from(state, 8);
  uint32_t x = (uint32_t)rnd_from(state, 1 << 30);
  uint16_t number = what == 0 ? with_weak(x) : some((uint32_t)rnd_from(state, SLOTS), x);
  const shadow* s = &nodes[number];
  op o = {.n = x};
  if (what == 0 && number != 0) {
    rc_object* up = s->owner == SHARED ? rc_upgrade(s->weak) : NULL;
    if (up != NULL) slot_set(a, number);
  } else if (what == 1 && number != 0) {
    rc_object* w = rc_weak(s->o);
    if (w != NULL) rc_dec(w);
  } else if (what < 4) {
    if (number != 0) rc_inc(s->o);
    slot_set(a, number);
  } else if (what < 6) {
    slot_set(a, 0);
  } else if (what == 6) {
    churn(&o);
  } else {
    drain(&o);
  }
}

static void race_alone(const void* arg) {
  uint64_t state = mix(((const op*)arg)->n + here);
  for (size_t i = 10 + rnd_from(&state, 20); i > 0; i--) race_step(&state);
}

static void race(const op* o) {
  racing = true;
  run_at_once(race_alone, o);
  racing = false;
  stale = true;
  told->races++;
}

static bool progress;
static void settle(const void* arg) {
  (void)arg;
  if (settle_once() + rc_poll(SIZE_MAX) > 0) progress = true;
}

static void quiet(void) {
  do {
    progress = false;
    run_on_each(settle, NULL);
  } while (progress);
}

static void check_own(const void* arg) {
  (void)arg;
  mark_all();
  for (uint16_t i = 1; i < node_count; i++)
    if (nodes[i].owner == here || (nodes[i].owner >= SHARED && here == 0)) check_node(&nodes[i], i);
}

static void check_all(const op* o) {
  (void)o;
  quiet();
  run_on_each(check_own, NULL);
}

/* What may lie on cycles goes before the thread ends, and nobody has its weak references; the rest may wait. */
static void leave(const void* arg) {
  (void)arg;
  do {
    for (size_t i = 0; i < SLOTS; i++) {
      const shadow* s = &nodes[slots[here][i]];
      if (s->cyclic || s->holds_cyclic) slot_set(i, 0);
    }
    while (settle_once() > 0) continue;
  } while (rc_poll(SIZE_MAX) > 0);
  for (shadow* s = nodes + 1; s < nodes + node_count; s++) {
    if (s->owner != here) continue;
    if (s->weak != NULL) rc_dec(s->weak);
    s->weak = NULL;
    if (!s->dead) s->owner = ORPHAN;
  }
  clear(NULL);
}

static void pace(const void* p) {
  check(rc_set_pacing(&((const program*)p)->pacing), "the pacing is refused");
}

static const program* current;
static void thread_ends(const op* o) {
  size_t t = 1 + o->n % (THREADS - 1);
  run_on(t, leave, NULL);
  worker_end(t);
  worker_begin(t);
  run_on(t, pace, current);
  told->ended++;
}

/* ---- Programs -------------------------------------------------------------------------------------- */

enum { OP_ALL = 15, OP_COUNT = 18, OPS_MAX = 250 };
static const struct {
  const char* text;
  void (*act)(const op*);
  uint8_t weight;
} operations[OP_COUNT] = {
    {"thread {k}: s{a} = new object by {n}, which may hold what s{b} leads to", make, 40},
    {"thread {k}: a field of s{a} or below = s{b} or below, by {n}", store, 30},
    {"thread {k}: s{a} = s{b} or below, by {n}", copy, 15},
    {"thread {k}: s{a} = nothing", drop, 20},
    {"thread {k}: all slots = nothing", clear, 3},
    {"thread {k}: weak reference to s{a} or below, by {n}", weaken, 12},
    {"thread {k}: s{a} = what the weak reference {n} refers to", upgrade, 12},
    {"thread {k}: share s{a}", share, 15},
    {"thread {k}: give s{a} to s{b} of thread {n} mod 3", give, 15},
    {"thread {k}: hand s{a} on to s{b} of thread {n} mod 3", hand, 5},
    {"thread {k}: {n} mod 500 objects, each dropped at once", churn, 4},
    {"thread {k}: drain units, by {n}", drain, 8},
    {"thread {k}: collect cycles, units by {n}", collect, 30},
    {"thread {k}: run 1 + {n} mod 3 finalizers", poll, 6},
    {"thread {k}: nothing", NULL, 0},
    {"all threads at once, by {n}", race, 4},
    {"all is quiet", check_all, 2},
    {"thread 1 + {n} mod 2 ends, and a new one begins", thread_ends, 1},
};

static program program_draw(uint64_t number) {
  uint64_t state = mix(number), weights[OP_COUNT], weight = 0;
  for (int i = 0; i < OP_COUNT; i++) {
    weights[i] = i == 0 || rnd_from(&state, 4) != 0 ? operations[i].weight : 0;
    weight += weights[i];
  }
  program p = {
      .pacing = {1 + (uint32_t)rnd_from(&state, 4), 1 + (uint32_t)rnd_from(&state, QUANTUM),
                 RC_DEBT_AUTO, rnd_from(&state, 3) == 0 ? RC_AT_REQUESTS : RC_AT_REFILLS},
      .count = 1 + rnd_from(&state, OPS_MAX),
      .ops = libc_array(OPS_MAX, sizeof(op))};
  uint32_t thread = 0;
  for (size_t i = 0; i < p.count; i++) {
    uint64_t at = rnd_from(&state, weight);
    uint8_t code = 0;
    while (at >= weights[code]) at -= weights[code++];
    if (rnd_from(&state, 12) == 0) thread = (uint32_t)rnd_from(&state, THREADS);
    p.ops[i] = (op){code, (uint8_t)rnd_from(&state, SLOTS), (uint8_t)rnd_from(&state, SLOTS),
                    (uint32_t)rnd_from(&state, 1 << 30), thread};
  }
  return p;
}

static bool is_of_all(const op* o) { return o->code >= OP_ALL; }

/* Operations of one thread behind each other. */
static const op* row_end;
static void run_row(const void* first) {
  for (const op* o = first; o < row_end; o++) {
    told->step++;
    if (operations[o->code].act != NULL) operations[o->code].act(o);
  }
}

static void run_ops(const op* o, const op* end) {
  while (o < end) {
    if (is_of_all(o)) {
      told->step++;
      operations[o->code].act(o);
      o++;
      continue;
    }
    row_end = o;
    while (row_end < end && !is_of_all(row_end) && row_end->k == o->k) row_end++;
    run_on(o->k, run_row, o);
    o = row_end;
  }
}

static void let_go(const void* arg) {
  (void)arg;
  clear(NULL);
  for (shadow* s = nodes + 1; s < nodes + node_count; s++) {
    if (s->weak == NULL || (s->owner != here && !(s->owner == SHARED && here == 0))) continue;
    rc_dec(s->weak);
    s->weak = NULL;
  }
}

static bool any_slot(void) {
  for (size_t i = 0; i < THREADS * SLOTS; i++)
    if (slots[i / SLOTS][i % SLOTS] != 0) return true;
  return false;
}

static void run_program(const program* p) {
  alarm(20);
  told->step = 0;
  node_count = 1;
  current = p;
  run_on_each(pace, p);
  run_ops(p->ops, p->ops + p->count);
  check_all(NULL);
  do { /* finalizers save some, once */
    run_on_each(let_go, NULL);
    quiet();
  } while (any_slot());
  run_on_each(check_own, NULL);
}

static void threads_begin(void) {
  sem_init(&done, 0, 0);
  for (size_t t = 1; t < THREADS; t++) worker_begin(t);
}

static void threads_end(void) {
  for (size_t t = 1; t < THREADS; t++) worker_end(t);
  check(nothing_lives(), "blocks are left");
}

static void act_program(const void* p) {
  threads_begin();
  run_program(p);
  threads_end();
}

typedef struct range {
  uint64_t first, count;
} range;

static void act_range(const void* arg) {
  const range* g = arg;
  threads_begin();
  for (uint64_t i = 0; i < g->count; i++) {
    told->number = g->first + i;
    program p = program_draw(told->number);
    run_program(&p);
    free(p.ops);
  }
  threads_end();
}

static bool succeeds(void (*act)(const void*), const void* arg) {
  strcpy(told->what, "a crash");
  return status_of_child(act, arg) == 0;
}

/* What threads do at once may fail at times only. */
static bool program_fails(const program* p) {
  for (int i = 0; i < 3; i++)
    if (!succeeds(act_program, p)) return true;
  return false;
}

static bool range_succeeds(uint64_t first, uint64_t count) {
  range g = {first, count};
  const char* texts[OP_COUNT];
  for (int i = 0; i < OP_COUNT; i++) texts[i] = operations[i].text;
  if (succeeds(act_range, &g)) return true;
  printf("error: program %llu, operation %zu: %s\n", (unsigned long long)told->number, told->step,
         told->what);
  program p = program_draw(told->number);
  if (program_fails(&p)) program_shrink(&p, program_fails);
  if (program_fails(&p)) printf("operation %zu of the smallest: %s\n", told->step, told->what);
  program_print_as(&p, texts);
  free(p.ops);
  return false;
}

static void test_random_programs(void** state) {
  (void)state;
  assert_true(range_succeeds(1, PROGRAMS));
  print_message(
      "%d programs; %llu objects died, %llu finalizers ran and saved %llu; weak references: %llu "
      "cleared, %llu gave back what no slot led to;\n%llu graphs shared, %llu handed on; %llu "
      "times all "
      "threads at once; %llu threads ended\n",
      PROGRAMS, (unsigned long long)told->deaths, (unsigned long long)told->finalized,
      (unsigned long long)told->saved, (unsigned long long)told->cleared,
      (unsigned long long)told->back, (unsigned long long)told->shared,
      (unsigned long long)told->handed, (unsigned long long)told->races,
      (unsigned long long)told->ended);
  assert_true(told->saved > 0 && told->cleared > 0 && told->back > 0 && told->shared > 0 &&
              told->handed > 0 && told->races > 0 && told->ended > 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_programs)};
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  require(told != MAP_FAILED, "no shared memory");
  if (argc == 1) return cmocka_run_group_tests_name("rc threads", tests, NULL, NULL);
  uint64_t first = strtoull(argv[1], NULL, 10);
  return !range_succeeds(first, argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
}
