/* runtime_scope_test.c: limits that nest, and budgets that are handed to children: random programs
** against the model of runtime_scope_model.h, step by step. Each runs with its children at once,
** later, in threads of their own and in any mixture, and must see the same; and once more as a
** replay of what the host decided. */
#include "runtime_scope_model.h"

#include <errno.h>

/* ---- A program and its task ------------------------------------------------------------------ */

enum { BLOCKS = 40, CHILDREN = 3, GENERATIONS = 3, DEPTH_MOST = 1000 };
typedef enum schedule { AT_ONCE, WHEN_JOINED, IN_THREADS, MIXED, SCHEDULES } schedule;

typedef struct program {
  rt_task* t;
  model m;
  uint64_t random;
  uint64_t seen; /* a digest of what it saw */
  rt_scope scope[LEVELS];
  struct {
    void* p;
    size_t size;
  } block[BLOCKS];
  struct child {
    struct program* program;
    model_gift gift;
    bool ran, in_thread;
    pthread_t thread;
  } child[CHILDREN];
  unsigned answered; /* of what the model says that the host is asked */
  int generation;
  schedule schedule;
  uint64_t name; /* the same in all runs */
  uint64_t schedule_random;
} program;

static uint64_t draw(program* p, uint64_t n) { return rnd_from(&p->random, n); }

/* ---- Logs of the last run, by the programs' names -------------------------------------------- */

enum { LOGS = 1000 };
static struct log {
  uint64_t name;
  rt_extension* entry;
  size_t count;
} logs[LOGS];
static unsigned log_count;
static bool replays;
static pthread_mutex_t logs_lock = PTHREAD_MUTEX_INITIALIZER;

static struct log* log_of(uint64_t name) {
  for (unsigned i = 0; i < log_count; i++)
    if (logs[i].name == name) return &logs[i];
  return NULL;
}

static void logs_clear(void) {
  for (unsigned i = 0; i < log_count; i++) free(logs[i].entry);
  log_count = 0;
}

/* The log is what the model tells. */
static void keep_log(const program* p) {
  size_t count;
  const rt_extension* e = rt_extensions(p->t, &count);
  require(count == p->m.logged, "%zu entries in the log, not %u", count, p->m.logged);
  for (size_t i = 0; i < count; i++)
    require(e[i].tick == p->m.log[i].tick && e[i].amount == p->m.log[i].amount &&
                e[i].scope == p->m.log[i].scope && e[i].limit == p->m.log[i].limit &&
                e[i].calls == p->m.log[i].calls,
            "entry %zu of the log is not what was decided", i);
  if (replays) return;
  pthread_mutex_lock(&logs_lock);
  require(log_count < LOGS, "too many programs");
  struct log* to = &logs[log_count++];
  *to = (struct log){p->name, libc_array(count + 1, sizeof *e), count};
  if (count > 0) memcpy(to->entry, e, count * sizeof *e);
  pthread_mutex_unlock(&logs_lock);
}

static uint64_t on_expiry(rt_task* t, rt_limit limit, const char* scope, void* arg) {
  program* p = arg;
  require(!replays, "a replay asks the host");
  require(t == p->t && t != rt_current(), "asked for another task");
  require(p->answered < p->m.asks, "asked too often");
  require(limit == p->m.asked[p->answered].limit, "asked for another limit");
  require(scope == p->m.asked[p->answered].scope, "asked for another scope");
  if (rt_current() == NULL) mi_free(mi_malloc(100000)); /* the thread's own, uncharged here */
  return p->m.asked[p->answered++].amount;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static uint64_t shown(int64_t left) { return left == NO ? UINT64_MAX : (uint64_t)left; }

static void see(program* p, uint64_t what) { p->seen = (p->seen ^ what) * 0x9E3779B97F4A7C15u; }

static void check(program* p) {
  const model* m = &p->m;
  const model_scope* why = model_why(m);
  require(p->answered == (replays ? 0 : m->asks), "the host was not asked");
  require(rt_expired(p->t) == (why != NULL ? why->mark : RT_NONE), "expired by %d, not %d",
          rt_expired(p->t), why != NULL ? (int)why->mark : 0);
  require(rt_expired_scope(p->t) == (why != NULL ? why->name : NULL), "another scope ran out");
  require(rt_ticks(p->t) == (uint64_t)m->ticks, "the clock is at %lld, not %lld",
          (long long)rt_ticks(p->t), (long long)m->ticks);
  require(rt_bytes(p->t) == (uint64_t)m->held, "%zu bytes, not %zu", (size_t)rt_bytes(p->t),
          (size_t)m->held);
  require(rt_bytes_peak(p->t) == (uint64_t)m->peak, "the peak is %zu, not %zu",
          (size_t)rt_bytes_peak(p->t), (size_t)m->peak);
  require(rt_depth() == (uint64_t)m->depth, "the depth");
  for (int i = RT_HEARTBEATS; i <= RT_DEPTH; i++)
    require(rt_left((rt_limit)i) == shown(model_left(m, (rt_limit)i)), "%s: %llu left, not %llu",
            rt_limit_name((rt_limit)i), (unsigned long long)rt_left((rt_limit)i),
            (unsigned long long)shown(model_left(m, (rt_limit)i)));
  see(p, (uint64_t)m->ticks);
  see(p, rt_left(RT_HEARTBEATS));
  see(p, rt_left(RT_MEMORY));
}

static void check_status(const program* p, rt_status status) {
  require(status == (model_has_expired(&p->m) ? RT_EXPIRED : RT_OK), "the answer is %d", status);
}

static void step_tick(program* p) {
  uint64_t n = draw(p, 10) == 0 ? draw(p, 1000) : draw(p, 30);
  model_charge(&p->m, (int64_t)n);
  model_poll(&p->m);
  check_status(p, rt_tick(n));
}

static void step_poll(program* p) {
  model_poll(&p->m);
  check_status(p, rt_poll());
}

static void step_block(program* p) {
  unsigned i = (unsigned)draw(p, BLOCKS);
  if (p->block[i].p != NULL) {
    model_free(&p->m, (int64_t)p->block[i].size);
    rt_free_sized(p->block[i].p, p->block[i].size);
    p->block[i].p = NULL;
    return;
  }
  size_t size = (size_t)(draw(p, 8) == 0 ? draw(p, 20000) : draw(p, 500));
  bool fits = model_alloc(&p->m, (int64_t)size);
  void* block = draw(p, 2) ? rt_alloc(size) : rt_realloc(NULL, 0, size);
  require((block != NULL) == fits, "a request of %zu is %s", size, fits ? "refused" : "served");
  p->block[i].p = block;
  p->block[i].size = size;
}

static void step_begin(program* p) {
  static const char* const names[] = {"a", "b", "c", "d", "e"};
  if (p->m.inner == LEVELS - 1) return;
  rt_limits limits = {.name = names[draw(p, 5)]};
  if (draw(p, 2)) limits.ticks = 1 + draw(p, 400);
  if (draw(p, 4) == 0) limits.heartbeats = 1 + draw(p, 4);
  if (draw(p, 2)) limits.bytes = 1 + draw(p, 20000);
  if (draw(p, 3) == 0) limits.depth = 1 + draw(p, 10);
  model_begin(&p->m, &limits);
  rt_scope_begin(&p->scope[p->m.inner], &limits);
}

/* Inner ones are skipped now and then, as by a longjmp that leaves their frames behind. */
static void step_end(program* p) {
  if (p->m.inner == 0) return;
  int i = draw(p, 4) == 0 ? 1 + (int)draw(p, (uint64_t)p->m.inner) : p->m.inner;
  for (int skipped = i + 1; skipped <= p->m.inner; skipped++)
    memset(&p->scope[skipped], 0xA5, sizeof(rt_scope));
  model_end(&p->m, i);
  check_status(p, rt_scope_end(&p->scope[i]));
}

static void step_depth(program* p) {
  model* m = &p->m;
  uint64_t to = draw(p, (uint64_t)m->depth + 2), down = 1 + draw(p, 8);
  if (draw(p, 3) == 0) {
    int64_t by = (int64_t)to < m->depth ? m->depth - (int64_t)to : 0;
    m->depth -= by;
    model_spend(m, RT_DEPTH, -by);
    rt_ascend_to(to);
    return;
  }
  for (uint64_t i = 0; i < down; i++)
    require(rt_descend() == (model_descend(m) ? RT_OK : RT_TOO_DEEP), "depth %lld",
            (long long)m->depth);
  m->depth--;
  model_spend(m, RT_DEPTH, -1);
  rt_ascend();
}

static void step_expire(program* p) {
  static const rt_limit all[] = {RT_HEARTBEATS, RT_MEMORY, RT_DEPTH, RT_CANCELLED};
  rt_limit why = all[draw(p, draw(p, 8) == 0 ? 4 : 3)];
  if (draw(p, 6) != 0) return;
  model_expire(&p->m, why);
  check_status(p, rt_expire(why));
}

/* A replay lacks what the host does of itself, and comes to the same by its log. */
static void step_host_expires(program* p) {
  if (draw(p, 10) != 0) return;
  model_expire(&p->m, RT_DEPTH);
  if (!replays) (void)rt_expire(RT_DEPTH);
  step_poll(p);
}

static void step_cancel(program* p) {
  if (draw(p, 60) != 0) return;
  p->m.cancelled = true;
  if (!replays) rt_cancel(p->t);
}

static void run(program* p);

/* ---- Children -------------------------------------------------------------------------------- */

static void* run_thread(void* p) {
  run(p);
  return NULL;
}

static program* program_new(uint64_t name, int generation, schedule how) {
  program* p = libc_array(1, sizeof *p);
  p->name = name;
  p->random = name * 2 + 1;
  p->m.random = name * 6 + 5;
  p->schedule_random = (name + 77) * (uint64_t)(how + 1) * 2 + 1;
  p->generation = generation;
  p->schedule = how;
  return p;
}

/* The task of a program, and the same in its model. */
static void make_task(program* p, bool child) {
  rt_config config = {
      .name = "whole", .heartbeat_period = PERIOD, .grace_bytes = 1 + draw(p, 3000)};
  if (draw(p, 4)) config.ticks = 1 + draw(p, 4000);
  if (draw(p, 4) == 0) config.heartbeats = 1 + draw(p, 40);
  if (draw(p, 4)) config.bytes = 1 + draw(p, 60000);
  if (draw(p, 2)) config.depth = 1 + draw(p, 30);
  p->m.extends = draw(p, 3) != 0;
  config.on_expiry = p->m.extends ? on_expiry : NULL;
  config.on_expiry_arg = p;
  const struct log* log = replays ? log_of(p->name) : NULL;
  if (log != NULL) {
    config.replay = log->entry;
    config.replay_count = log->count;
  }
  p->m.grace = (int64_t)config.grace_bytes;
  p->m.inner = -1;
  model_begin(&p->m,
              &(rt_limits){"whole", config.heartbeats, config.ticks, config.bytes, config.depth});
  p->m.begun = p->m.scope[0].number = 0;
  p->t = child ? rt_task_new_child(&config) : rt_task_new(&config);
  require(p->t != NULL, "no task");
}

static struct child* free_child(program* p) {
  for (int i = 0; i < CHILDREN; i++)
    if (p->child[i].program == NULL) return &p->child[i];
  return NULL;
}

static void step_new_child(program* p) {
  struct child* c = free_child(p);
  uint64_t name = draw(p, UINT32_MAX), how;
  if (p->generation + 1 == GENERATIONS || c == NULL || draw(p, 3) != 0) return;
  *c = (struct child){.program = program_new(name, p->generation + 1, p->schedule)};
  make_task(c->program, true);
  model_new_child(&p->m, &c->program->m, &c->gift);
  how = p->schedule == MIXED ? rnd_from(&p->schedule_random, MIXED) : p->schedule;
  c->ran = how == AT_ONCE;
  c->in_thread = how == IN_THREADS;
  if (c->ran) run(c->program);
  if (c->in_thread)
    require(pthread_create(&c->thread, NULL, run_thread, c->program) == 0, "no thread");
}

static void join(program* p, struct child* c) {
  program* child = c->program;
  rt_outcome out;
  if (c->in_thread) require(pthread_join(c->thread, NULL) == 0, "no end of a thread");
  if (!c->ran && !c->in_thread) run(child);
  require(rt_task_join(child->t, &out) == 0, "a child cannot be joined");
  const model_scope* why = model_why(&child->m);
  require(out.ticks == (uint64_t)model_used(&child->m), "the child's ticks");
  require(out.bytes_peak == (uint64_t)child->m.peak, "the child's bytes");
  require(out.expired == (why != NULL ? why->mark : RT_NONE) &&
              out.scope == (why != NULL ? why->name : NULL),
          "the child's end");
  model_join(&p->m, &child->m, &c->gift);
  see(p, child->seen);
  free(child);
  c->program = NULL;
}

static void step_join(program* p) {
  struct child* c = &p->child[draw(p, CHILDREN)];
  if (c->program != NULL) join(p, c);
}

static void run(program* p) {
  static void (*const steps[])(program*) = {
      step_tick,   step_tick,         step_tick,   step_poll,      step_block,
      step_block,  step_block,        step_begin,  step_end,       step_depth,
      step_expire, step_host_expires, step_cancel, step_new_child, step_join};
  require(rt_enter(p->t) == 0, "a task cannot be entered");
  uint64_t count = draw(p, 300);
  for (uint64_t i = 0; i < count; i++) {
    p->m.asks = p->answered = 0;
    steps[draw(p, sizeof steps / sizeof steps[0])](p);
    check(p);
  }
  for (int i = 0; i < CHILDREN; i++)
    if (p->child[i].program != NULL) join(p, &p->child[i]);
  p->m.asks = p->answered = 0;
  check(p);
  keep_log(p);
  rt_leave();
}

/* ---- The tests ------------------------------------------------------------------------------- */

static uint64_t run_whole(uint64_t name, schedule how) {
  program* p = program_new(name, 0, how);
  make_task(p, false);
  run(p);
  assert_int_equal(rt_task_end(p->t), 0);
  uint64_t seen = p->seen;
  free(p);
  return seen;
}

static void test_programs(void** state) {
  (void)state;
  enum { PROGRAMS = CHECKED || MANY < 1000000 ? 300 : 1500 };
  for (uint64_t name = 1; name <= PROGRAMS; name++) {
    uint64_t seen = 0;
    for (int s = 0; s < SCHEDULES; s++) {
      logs_clear();
      uint64_t now = run_whole(name, (schedule)s);
      if (s > 0) assert_true(now == seen);
      seen = now;
    }
    replays = true;
    assert_true(run_whole(name, MIXED) == seen);
    replays = false;
  }
  logs_clear();
  assert_true(nothing_lives());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_programs),
  };
  return cmocka_run_group_tests_name("runtime scopes", tests, NULL, NULL);
}
