/* plain.c: programs of the allocator and of tasks: ticks, beats, limits, addresses. */
#include "tests/determinism/programs.h"

static void every_call(void) {
  volatile size_t most = SIZE_MAX;
  rt_task* t = begin(NULL);
  for (size_t size = 0; size < 100000; size = size * 3 + 1) {
    void* p[] = {mi_malloc(size),
                 mi_zalloc(size),
                 mi_calloc(3, size),
                 mi_malloc_aligned(size, 64),
                 mi_malloc_small(size % 1024),
                 mi_heap_malloc(mi_heap_get_default(), size),
                 mi_realloc(NULL, size),
                 mi_strdup("a string"),
                 mi_aligned_alloc(32, (size + 31) / 32 * 32),
                 rt_alloc(size)};
    show("made");
    for (size_t i = 0; i < sizeof p / sizeof p[0] - 1; i++) mi_free(p[i]);
    rt_free_sized(p[sizeof p / sizeof p[0] - 1], size);
  }
  require(mi_malloc(most) == NULL && mi_calloc(most, 2) == NULL, "a refusal");
  show("refused");
  end(t);
}

static unsigned long long step, last_beat;
/* All threads of the process call it; only this program's task counts. */
static void note_beat(bool force, unsigned long long beat, void* arg) {
  (void)force, (void)arg;
  if (rt_current() == NULL) return;
  if (beat != last_beat) printf("beat %llu in step %llu\n", beat, step);
  last_beat = beat;
}
static void beats(void) {
  rt_task* t = begin(&(rt_config){.heartbeat_period = 77});
  void* slots[100] = {NULL};
  mi_register_deferred_free(note_beat, NULL);
  for (step = 0; step < 4000; step++) {
    size_t i = rnd(100);
    mi_free(slots[i]);
    slots[i] = mi_malloc(1 + rnd(rnd(100) == 0 ? 100000 : 300));
  }
  mi_register_deferred_free(NULL, NULL);
  end(t);
}

static void random_sizes(void) {
  rt_task* t = begin(NULL);
  static void* slots[5000];
  for (int i = 0; i < 100000; i++) {
    size_t k = rnd(5000);
    mi_free(slots[k]);
    slots[k] = rnd(4) == 0 ? mi_zalloc(rnd(5000)) : mi_malloc(rnd(200));
    if (i % 10000 == 0) show("so far");
  }
  end(t);
}

static void growing(void) {
  rt_task* t = begin(NULL);
  char *p = NULL, *q = NULL;
  size_t exact = 0;
  for (size_t n = 1; n < 4 * 1000 * 1000; n += n / 7 + 1) {
    p = mi_realloc(p, n);
    q = rt_realloc(q, exact, n);
    require(p != NULL && q != NULL, "memory");
    exact = n;
    if (n % 3 == 0) show("grown");
  }
  mi_free(p);
  rt_free_sized(q, exact);
  end(t);
}

/* The step at which each limit of heartbeats stops the same work. */
static void stopped_by_beats(void) {
  for (uint64_t limit = 1; limit < 60; limit += 7) {
    rt_task* t = begin(&(rt_config){.heartbeats = limit, .heartbeat_period = 991});
    seed = 88172645463325252u;
    unsigned steps = 0;
    for (; rt_poll() == RT_OK; steps++) {
      mi_free(mi_malloc(rnd(3000)));
      if (rnd(50) == 0) rt_tick(rnd(20));
    }
    printf("step %u\n", steps);
    require(rt_tick(5) == RT_EXPIRED, "an end that lasts");
    end(t);
  }
}

static void stopped_by_bytes(void) {
  for (uint64_t limit = 5000; limit < 50 * 1000 * 1000; limit *= 5) {
    rt_task* t = begin(&(rt_config){.bytes = limit, .grace_bytes = 10000});
    unsigned steps = 0, graced = 0;
    for (; rt_poll() == RT_OK; steps++) require(rt_alloc(1 + rnd(2000)) != NULL, "memory");
    while (rt_alloc(100) != NULL) graced++;
    printf("step %u, %u blocks of grace\n", steps, graced);
    show_bytes();
    end(t);
  }
}

static void refused_to_a_collector(void) {
  rt_task* t = begin(&(rt_config){.bytes = 100000, .collects = true});
  void* slots[1000];
  unsigned n = 0;
  while ((slots[n] = rt_alloc(300)) != NULL) n++;
  printf("%u blocks\n", n);
  for (unsigned i = 0; i < n; i += 2) rt_free_sized(slots[i], 300);
  while (rt_alloc(17) != NULL) n++;
  printf("%u blocks\n", n);
  rt_expire(RT_MEMORY);
  show_bytes();
  end(t);
}

static void freed_by_others(void) {
  rt_task* t = begin(NULL);
  start_freers(mi_free);
  for (int i = 0; i < 60000; i++) {
    hand_over(mi_malloc(1 + rnd(i % 100 == 0 ? 70000 : 400)));
    if (i % 6000 == 0) show("so far");
  }
  stop_freers();
  end(t);
}

static void stopped_while_others_free(void) {
  rt_task* t = begin(&(rt_config){.heartbeats = 40});
  unsigned steps = 0;
  start_freers(mi_free);
  for (; rt_poll() == RT_OK; steps++) hand_over(mi_malloc(rnd(2500)));
  stop_freers();
  printf("step %u\n", steps);
  end(t);
}

/* The region's addresses are told, since Lua's order of keys comes from them. */
static void offsets(void) {
  rt_task* t = begin(&(rt_config){.repeatable_addresses = true});
  static struct {
    void* p;
    size_t size;
  } slots[3000];
  uint64_t sum = 0;
  for (int i = 0; i < 50000; i++) {
    size_t k = rnd(3000);
    rt_free_sized(slots[k].p, slots[k].size);
    slots[k].size = 1 + rnd(rnd(200) == 0 ? 50000 : 250);
    slots[k].p = rt_alloc(slots[k].size);
    sum = sum * 31 + rt_offset(t, slots[k].p);
    if (i % 5000 == 0) printf("%llx\n", (unsigned long long)rt_offset(t, slots[k].p));
  }
  printf("sum %llx\n", (unsigned long long)sum);
  show_bytes();
  end(t);
}

static void several_heaps(void) {
  rt_task* t = begin(NULL);
  for (int round = 0; round < 20; round++) {
    mi_heap_t* heap = mi_heap_new();
    for (int i = 0; i < 500; i++) require(mi_heap_malloc(heap, rnd(1000)) != NULL, "memory");
    if (round % 2 == 0)
      mi_heap_destroy(heap);
    else
      mi_heap_delete(heap);
    if (round % 5 == 0) mi_collect(round % 10 == 0);
    show("round");
  }
  end(t);
}

/* Two tasks that one thread runs in turns, and a third within. */
static void tasks_in_turns(void) {
  rt_task* a = rt_task_new(&(rt_config){.heartbeats = 3});
  rt_task* b = rt_task_new(&(rt_config){.bytes = 70000, .grace_bytes = 100000});
  require(a != NULL && b != NULL, "tasks");
  for (int i = 0; i < 60; i++) {
    rt_task* t = i % 3 == 0 ? b : a;
    require(rt_enter(t) == 0, "an idle task");
    for (int k = 0; k < 70; k++) (void)rt_alloc(rnd(100));
    if (i % 7 == 0) {
      rt_task* inner = begin(NULL);
      mi_free(mi_malloc(rnd(10000)));
      end(inner);
    }
    printf("%llu %llu %s\n", (unsigned long long)rt_ticks(t), (unsigned long long)rt_bytes(t),
           rt_limit_name(rt_expired(t)));
    rt_leave();
  }
  require(rt_task_end(a) == 0 && rt_task_end(b) == 0, "ends");
}

const program plain_programs[] = {{"every-call", every_call},
                                  {"beats", beats},
                                  {"random-sizes", random_sizes},
                                  {"growing", growing},
                                  {"stopped-by-beats", stopped_by_beats},
                                  {"stopped-by-bytes", stopped_by_bytes},
                                  {"refused-to-a-collector", refused_to_a_collector},
                                  {"freed-by-others", freed_by_others},
                                  {"stopped-while-others-free", stopped_while_others_free},
                                  {"offsets", offsets},
                                  {"several-heaps", several_heaps},
                                  {"tasks-in-turns", tasks_in_turns},
                                  {NULL, NULL}};
