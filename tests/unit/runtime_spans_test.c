/* runtime_spans_test.c: which scopes and children of a task its record shows, against a model that keeps them all. */
#include "runtime_series.h"

enum { PERIOD = 200 };

enum { NEST = OPEN_MOST + 4, RUNNING = RUNNING_MOST + 4, SPANS = 4000 };
static struct {
  row_t over[SPANS]; /* number: 1000 times that, plus by what it was ended; worth: ticks */
  size_t count;
  uint64_t begun;
  struct {
    rt_scope scope;
    uint64_t number, begin;
  } level[NEST];
  int inner;
  struct {
    rt_task* task;
    uint64_t number, begin;
    bool is_shown;
  } child[RUNNING]; /* in their order */
  size_t children, shown;
  uint64_t born;
} nest;

static void span_is_over(const rt_task* t, uint64_t number, uint64_t begin, rt_limit why) {
  nest.over[nest.count++] =
      (row_t){rt_ticks(t) / PERIOD, 1000 * number + (uint64_t)why, rt_ticks(t) - begin};
}

static void begin_scope(const rt_task* t) {
  if (nest.inner == NEST) return;
  nest.level[nest.inner].number = ++nest.begun;
  nest.level[nest.inner].begin = rt_ticks(t);
  rt_scope_begin(&nest.level[nest.inner++].scope,
                 &(rt_limits){.ticks = rnd(4) == 0 ? 1 + rnd(300) : 0});
}

/* The frames of inner ones may be gone. */
static void end_scopes(const rt_task* t, int level) {
  for (; nest.inner > level; nest.inner--) {
    rt_limit why = nest.level[nest.inner - 1].scope.expired;
    if (nest.inner <= OPEN_MOST)
      span_is_over(t, nest.level[nest.inner - 1].number, nest.level[nest.inner - 1].begin, why);
    if (nest.inner > level + 1) memset(&nest.level[nest.inner - 1].scope, 0xA5, sizeof(rt_scope));
  }
  (void)rt_scope_end(&nest.level[level].scope);
}

static void begin_child(const rt_task* t) {
  if (nest.children == RUNNING) return;
  rt_task* child = rt_task_new_child(&(rt_config){.ticks = 10});
  require(child != NULL && rt_enter(child) == 0, "no child");
  (void)rt_tick(rnd(20));
  rt_leave();
  bool is_shown = nest.shown < RUNNING_MOST;
  nest.shown += is_shown;
  nest.child[nest.children].task = child;
  nest.child[nest.children].number = ++nest.born;
  nest.child[nest.children].begin = rt_ticks(t);
  nest.child[nest.children++].is_shown = is_shown;
}

static void join_child(const rt_task* t, size_t i) {
  rt_outcome out;
  assert_int_equal(rt_task_join(nest.child[i].task, &out), 0);
  span_is_over(t, 1000000 + nest.child[i].number, nest.child[i].begin, out.expired);
  nest.shown -= nest.child[i].is_shown;
  nest.children--;
  memmove(&nest.child[i], &nest.child[i + 1], (nest.children - i) * sizeof nest.child[0]);
}

static void check_running(const recorder_t* r) {
  uint32_t at = r->spans.rows;
  for (size_t i = 0; i < nest.children; i++) {
    if (!nest.child[i].is_shown) continue;
    span_t s = span_at(r, at++, 1 << 30, 0);
    assert_true(s.number == nest.child[i].number && s.begin == nest.child[i].begin);
    assert_true(s.level == 0 && s.used == UINT64_MAX && s.ticks <= 10 && s.tick == 1 << 30);
  }
  assert_int_equal(at + r->open_count, spans_in(r));
}

static void check_spans(const recorder_t* r) {
  static row_t kept[SPANS];
  series_t as_rows = {(char*)kept,   sizeof *kept,      r->spans.rows,
                      r->spans.most, r->spans.interval, NULL};
  for (uint32_t i = 0; i < r->spans.rows; i++) {
    const span_t* s = series_row(&r->spans, i);
    uint64_t number = s->level > 0 ? s->number : 1000000 + s->number;
    kept[i] = (row_t){s->beat, 1000 * number + (uint64_t)s->ended_by, s->tick - s->begin};
  }
  check_series(&as_rows, nest.over, nest.count, 0);
  assert_int_equal(r->span_count, nest.count);
  assert_int_equal(r->open_count, nest.inner < OPEN_MOST ? nest.inner : OPEN_MOST);
  check_running(r);
  for (unsigned i = 0; i < r->open_count; i++) {
    span_t s = span_at(r, spans_in(r) - 1 - i, UINT64_MAX, 0);
    assert_true(s.number == nest.level[i].number && s.begin == nest.level[i].begin);
  }
}

static void test_spans(void** state) {
  (void)state;
  for (size_t record = 1; record <= MiB; record *= MiB) {
    memset(&nest, 0, sizeof nest);
    rt_task* t = begin(&(rt_config){.record = record, .heartbeat_period = PERIOD});
    while (nest.count < SPANS - NEST - RUNNING) {
      uint64_t what = rnd(13);
      if (what < 6)
        begin_scope(t);
      else if (what < 9 && nest.inner > 0)
        end_scopes(t, nest.inner - 1 - (int)(rnd(3) ? 0 : rnd((size_t)nest.inner)));
      else if (what == 9)
        begin_child(t);
      else if (what == 10 && nest.children > 0)
        join_child(t, rnd(nest.children));
      else
        (void)rt_tick(rnd(rnd(5) ? 20 : 500));
      if (rnd(50) == 0) check_spans(task_of(t)->recorder);
    }
    while (nest.children > 0) join_child(t, nest.children - 1);
    check_spans(task_of(t)->recorder);
    end(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_spans)};
  return cmocka_run_group_tests_name("runtime: scopes and children in records", tests, NULL, NULL);
}
