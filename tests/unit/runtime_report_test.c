/* runtime_report_test.c: what a task records of its past, against models that keep all of it: which
** rows a series has, which pauses there were and how they are counted, what was held at beats. Then
** who may ask for a report, and what happens to it when the disk is full. Scopes and children are in
** runtime_spans_test.c; the texts themselves are read by tests/report.sh. */
#include <errno.h>
#include <pthread.h>

#include "runtime_series.h"

static void test_series(void** state) {
  (void)state;
  enum { ROWS = 400 };
  static row_t rows[ROWS], places[64];
  for (int round = 0; round < 300; round++) {
    uint64_t begin = rnd(2), beat = 0, step = (uint64_t)1 << (rnd(4) == 0 ? rnd(53) : rnd(4));
    series_t s = {(char*)places, sizeof *places, 0, 2 + (uint32_t)rnd(62), begin, keep_better};
    size_t n = rnd(ROWS);
    for (size_t i = 0; i < n; i++) {
      beat += rnd(step + 1);
      rows[i] = (row_t){beat, i, rnd(10)};
      series_add(&s, &rows[i]);
      if (rnd(20) == 0) check_series(&s, rows, i + 1, begin);
    }
    check_series(&s, rows, n, begin);
  }
}

/* ---- A program whose pauses are known -------------------------------------------------------------
**
** Each of its steps makes one pause at most, and beats come in rt_tick alone: so what a step did
** follows from the counters before and after it. */

enum { PERIOD = 200, STEPS = CHECKED ? 10000 : 30000, ROOTS = 12, UNITS_LEAST = 100 };

typedef struct past {
  rc_object* root[ROOTS];
  rt_pause before[RT_PAUSE_KINDS];
  uint64_t units_before;
  row_t heavy[STEPS]; /* worth: units; number: kind */
  size_t heavies;
  sample_t beat[STEPS];
  size_t beats;
  uint64_t count[RT_PAUSE_KINDS], units[RT_PAUSE_KINDS], most[RT_PAUSE_KINDS];
  histogram_t by_units[RT_PAUSE_KINDS];
} past_t;
static past_t past;

static void note_pause(rt_task* t, int kind, uint64_t units) {
  past.count[kind]++;
  past.units[kind] += units;
  if (units > past.most[kind]) past.most[kind] = units;
  unsigned bucket = 0;
  while (bucket < 63 && units >> bucket != 0) bucket++;
  past.by_units[kind][bucket]++;
  if (units >= UNITS_LEAST)
    past.heavy[past.heavies++] = (row_t){rt_ticks(t) / PERIOD, (uint64_t)kind, units};
}

static void step_ends(rt_task* t) {
  rt_pause now[RT_PAUSE_KINDS];
  rt_get_pauses(t, now);
  uint64_t units = counters().units, pauses = 0;
  for (int kind = 0; kind < RT_PAUSE_KINDS; kind++) {
    uint64_t more = now[kind].count - past.before[kind].count;
    if (more > 0) note_pause(t, kind, units - past.units_before);
    pauses += more;
  }
  require(pauses <= 1, "a step made %llu pauses", (unsigned long long)pauses);
  memcpy(past.before, now, sizeof now);
  past.units_before = units;
}

static sample_t sample_now(const rt_task* t) {
  rc_counters c = counters();
  uint64_t ticks = rt_ticks(t), bytes = rt_bytes(t), waiting = rc_pending();
  return (sample_t){.beat = ticks / PERIOD,
                    .tick = ticks,
                    .bytes = bytes,
                    .bytes_most = bytes,
                    .waiting = waiting,
                    .waiting_most = waiting,
                    .owed = c.debt,
                    .objects = c.objects};
}

static void reach_beat(rt_task* t, uint64_t beyond) {
  (void)rt_tick(PERIOD - rt_ticks(t) % PERIOD + beyond);
  past.beat[past.beats++] = sample_now(t);
}

static void drop(size_t i) {
  if (past.root[i] != NULL) rc_dec(past.root[i]);
  past.root[i] = NULL;
}

/* The charge of a step is below 100 ticks. */
static void step(rt_task* t) {
  size_t i = rnd(ROOTS), kind = rnd(100);
  if (rt_ticks(t) % PERIOD > PERIOD - 100) {
    reach_beat(t, rnd(4) == 0 ? rnd(5 * PERIOD) : 0);
  } else if (kind < 92) {
    rc_object* o = past.root[i];
    past.root[i] = node(RC_NIL, o != NULL && rc_kind(o) == RC_FIELDS ? rc_from(o) : RC_NIL);
    if (o != NULL && rc_kind(o) != RC_FIELDS) rc_drain(0), step_ends(t), rc_dec(o);
  } else if (kind < 98) {
    drop(i);
    step_ends(t);
    past.root[i] = words_array(rnd(2) == 0 ? rnd(200) : rnd(9000));
  } else if (kind < 99) {
    drop(i);
  } else if (rnd(20) == 0) {
    mi_collect(true);
  }
  step_ends(t);
}

static rt_task* run_program(const rt_config* config) {
  memset(&past, 0, sizeof past);
  seed = 4711;
  rt_config with_period = *config;
  with_period.heartbeat_period = PERIOD;
  rt_task* t = begin(&with_period);
  past.beat[past.beats++] = sample_now(t);
  for (int i = 0; i < STEPS; i++) step(t);
  return t;
}

static void end_program(rt_task* t) {
  for (size_t i = 0; i < ROOTS; i++) drop(i);
  end_drained(t);
}

/* ---- What is recorded of it ------------------------------------------------------------------- */

static void check_heavy(const recorder_t* r) {
  static row_t kept[STEPS];
  series_t as_rows = {(char*)kept,   sizeof *kept,      r->heavy.rows,
                      r->heavy.most, r->heavy.interval, NULL};
  for (uint32_t i = 0; i < r->heavy.rows; i++) {
    const event_t* e = series_row(&r->heavy, i);
    assert_int_equal(e->beat, e->tick / PERIOD);
    kept[i] = (row_t){e->beat, e->kind, e->units};
  }
  check_series(&as_rows, past.heavy, past.heavies, 0);
  assert_int_equal(r->heavy_count, past.heavies);
}

/* The last beat of each interval, and the most of all. */
static void check_samples(const recorder_t* r) {
  uint64_t interval = r->samples.interval;
  uint32_t row = 0;
  for (size_t i = 0; i < past.beats; row++) {
    sample_t want = past.beat[i];
    for (i++; i < past.beats && past.beat[i].beat / interval == want.beat / interval; i++) {
      uint64_t bytes = want.bytes_most, waiting = want.waiting_most;
      want = past.beat[i];
      if (bytes > want.bytes) want.bytes_most = bytes;
      if (waiting > want.waiting) want.waiting_most = waiting;
    }
    assert_in_range(row, 0, r->samples.rows - 1);
    sample_t seen = *(const sample_t*)series_row(&r->samples, row);
    assert_true(seen.resident > 0 || !RESIDENT_TELLS);
    seen.resident = seen.at_ns = 0;
    assert_memory_equal(&seen, &want, sizeof want);
  }
  assert_int_equal(row, r->samples.rows);
}

static void check_counts(const rt_task* t, const recorder_t* r) {
  rt_pause pauses[RT_PAUSE_KINDS];
  rt_get_pauses(t, pauses);
  for (int kind = 0; kind < RT_PAUSE_KINDS; kind++) {
    assert_int_equal(pauses[kind].count, past.count[kind]);
    assert_int_equal(pauses[kind].units, past.most[kind]);
    assert_int_equal(r->units[kind], past.units[kind]);
    assert_memory_equal(r->by_units[kind], past.by_units[kind], sizeof(histogram_t));
    assert_true(past.count[kind] > 0);
  }
}

static uint64_t sum(const histogram_t h) {
  uint64_t all = 0;
  for (int i = 0; i < BUCKETS; i++) all += h[i];
  return all;
}

/* Times are what they are: they agree with each other. */
static void check_times(const rt_task* t, const recorder_t* r, bool measured) {
  rt_pause pauses[RT_PAUSE_KINDS];
  uint64_t most = 0;
  rt_get_pauses(t, pauses);
  for (int kind = 0; kind < RT_PAUSE_KINDS; kind++) {
    assert_int_equal(sum(r->by_ns[kind]), measured ? past.count[kind] : 0);
    assert_true(measured || pauses[kind].total_ns == 0);
    if (pauses[kind].ns > most) most = pauses[kind].ns;
    if (measured && pauses[kind].count > 0)
      assert_true(r->by_ns[kind][bucket_of(pauses[kind].ns)] > 0);
  }
  for (unsigned i = 0; i < r->longest_count; i++) {
    const event_t* e = &r->longest[i];
    assert_true(e->ns >= r->least_ns && (i == 0 || e->ns <= r->longest[i - 1].ns));
  }
  assert_true(r->longest_count <= LONGEST && r->longest_count <= r->long_count);
  assert_true(measured ? r->long_count > 0 && r->longest[0].ns == most : r->long_count == 0);
  uint64_t seen = 0;
  for (uint32_t i = 0; i < r->lengthy.rows; i++) {
    const event_t* e = series_row(&r->lengthy, i);
    assert_true(e->ns >= r->least_ns && e->thread > 0);
    if (e->ns == most) seen++;
  }
  assert_true(!measured || seen > 0);
}

static void check_room(const recorder_t* r, size_t bytes) {
  const char* end = (const char*)r + r->mapped;
  assert_int_equal(r->mapped, bytes);
  assert_true(r->samples.rows <= r->samples.most && r->lengthy.rows <= r->lengthy.most);
  assert_true(r->samples.at >= (const char*)(r + 1));
  assert_true(r->heavy.at >= r->samples.at + r->samples.most * sizeof(sample_t));
  assert_true(r->lengthy.at >= r->heavy.at + r->heavy.most * sizeof(event_t));
  assert_true(r->spans.at >= r->lengthy.at + r->lengthy.most * sizeof(event_t));
  assert_true(end >= r->spans.at + r->spans.most * sizeof(span_t));
}

static void test_program(void** state) {
  (void)state;
  static const size_t records[] = {1, 20000, 100000, 1 << 20};
  size_t unit = (size_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; i < 8; i++) {
    rt_task* t = run_program(&(rt_config){.record = records[i / 2],
                                          .record_units = UNITS_LEAST,
                                          .record_ns = 1,
                                          .measure_pauses = i % 2 == 1});
    const recorder_t* r = task_of(t)->recorder;
    check_heavy(r);
    check_samples(r);
    check_counts(t, r);
    check_times(t, r, i % 2 == 1);
    size_t wanted = records[i / 2] > 16384 ? records[i / 2] : 16384;
    check_room(r, (wanted + unit - 1) / unit * unit);
    assert_true(r->mapped > 20000 || r->samples.interval > 1);
    end_program(t);
  }
}

/* What is recorded does not change what is done. */
static void test_nothing_changes(void** state) {
  (void)state;
  uint64_t ticks[3], peak[3];
  rc_counters c[3];
  for (int i = 0; i < 3; i++) {
    rt_task* t = run_program(&(rt_config){.measure_pauses = i == 1, .record = i == 2 ? 16384 : 0});
    ticks[i] = rt_ticks(t);
    peak[i] = rt_bytes_peak(t);
    c[i] = counters();
    end_program(t);
    assert_int_equal(ticks[i], ticks[0]);
    assert_int_equal(peak[i], peak[0]);
    if (!MI_SECURE) assert_memory_equal(&c[i], &c[0], sizeof c[0]); /* which refills at random */
  }
}

/* ---- Pauses within pauses ---------------------------------------------------------------------- */

static void drop_one(bool force, unsigned long long beat, void* arg) {
  (void)force, (void)beat;
  if (*(rc_object**)arg != NULL) rc_dec(*(rc_object**)arg);
  *(rc_object**)arg = NULL;
}

static void test_outermost(void** state) {
  (void)state;
  rt_pause p[RT_PAUSE_KINDS];
  rt_task* t = begin(
      &(rt_config){.heartbeat_period = PERIOD, .record = 1, .bytes = 100000, .collects = true});
  rc_object* list = list_of(1000);
  mi_register_deferred_free(drop_one, &list);
  (void)rt_tick(PERIOD);
  mi_register_deferred_free(NULL, NULL);
  rt_get_pauses(t, p);
  assert_null(list);
  assert_int_equal(p[RT_PAUSE_RC_DEC].count, 0);
  assert_int_equal(p[RT_PAUSE_BEAT].units, DEC_UNITS);
  uint64_t waiting = rc_pending();
  assert_true(waiting > 0 && p[RT_PAUSE_FORCED].count == 0);
  assert_null(rt_alloc(200000)); /* all is freed before it is refused */
  rt_get_pauses(t, p);
  assert_int_equal(p[RT_PAUSE_FORCED].count, 1);
  assert_int_equal(p[RT_PAUSE_FORCED].units, counters().forced_units_max);
  assert_int_equal(rc_pending(), 0);
  list = list_of(1000);
  rc_dec(list);
  uint64_t refills = p[RT_PAUSE_REQUEST].count;
  assert_null(mi_malloc(90000)); /* by grant: within the refill */
  mi_free(mi_malloc(1));
  assert_non_null(rt_current());
  rt_get_pauses(t, p);
  assert_int_equal(p[RT_PAUSE_FORCED].count, 2);
  assert_int_equal(p[RT_PAUSE_REQUEST].count, refills);
  end(t);
}

static void expect_pause(const rt_task* t, rt_pause_kind kind, rt_pause count[RT_PAUSE_KINDS]) {
  count[kind].count++;
  rt_pause now[RT_PAUSE_KINDS];
  rt_get_pauses(t, now);
  for (int i = 0; i < RT_PAUSE_KINDS; i++) assert_int_equal(now[i].count, count[i].count);
}

static void test_kinds(void** state) {
  (void)state;
  rt_pause count[RT_PAUSE_KINDS] = {0};
  rt_task* t = begin(&(rt_config){.record = 1});
  rc_object* o = leaf(0);
  expect_pause(t, RT_PAUSE_REFILL, count);
  rc_dec(o);
  expect_pause(t, RT_PAUSE_RC_DEC, count);
  (void)rt_alloc(256 * 8);
  expect_pause(t, RT_PAUSE_REFILL, count);
  (void)rt_alloc(257 * 8);
  expect_pause(t, RT_PAUSE_REQUEST, count);
  (void)rt_alloc(200000);
  expect_pause(t, RT_PAUSE_REQUEST, count);
  (void)rt_tick(1000);
  expect_pause(t, RT_PAUSE_BEAT, count);
  mi_collect(true);
  expect_pause(t, RT_PAUSE_FORCED, count);
  end(t);
}

/* ---- Who may report, and where ------------------------------------------------------------------- */

static const rt_report_format all_formats[] = {RT_REPORT_TEXT, RT_REPORT_HTML, RT_REPORT_JSON,
                                               RT_REPORT_TRACE};

typedef struct text {
  char* at;
  size_t length;
} text_t;

static text_t report(rt_task* t, rt_report_format format) {
  text_t text = {NULL, 0};
  FILE* out = open_memstream(&text.at, &text.length);
  require(out != NULL, "no stream");
  assert_int_equal(rt_report(t, out, format), 0);
  assert_int_equal(fclose(out), 0);
  assert_true(text.length > 100);
  return text;
}

/* What is handed out and not what is ready to be; and classes that were in use once. */
static void test_size_classes(void** state) {
  (void)state;
  rt_task* t = begin(&(rt_config){.record = 1});
  for (int i = 0; i < 37; i++) (void)rt_alloc(48);
  for (int i = 0; i < 5; i++) rt_free_sized(rt_alloc(112), 112);
  (void)rt_alloc(200000);
  void* p = mi_malloc(80);
  text_t json = report(t, RT_REPORT_JSON);
  static const char* const wanted[] = {
      "{\"block_bytes\": 48, \"blocks\": 37, \"bytes\": 1776, \"pages\": 1, \"blocks_ever\": 37}",
      "{\"block_bytes\": 80, \"blocks\": 1, \"bytes\": 80, \"pages\": 1, \"blocks_ever\": 1}",
      "{\"block_bytes\": 112, \"blocks\": 0, ",
      "{\"block_bytes\": null, \"blocks\": 1, \"bytes\": 2",
  };
  for (int i = 0; i < 4; i++) assert_non_null(strstr(json.at, wanted[i]));
  free(json.at);
  mi_free(p);
  end(t);
}

/* A report is no event: the next one is the same, entered or not. */
static void test_repeated_reports(void** state) {
  (void)state;
  rt_task* t = run_program(&(rt_config){.record = 50000});
  (void)rt_tick(17);
  uint64_t ticks = rt_ticks(t), bytes = rt_bytes(t);
  for (int i = 0; i < 4; i++) {
    text_t first = report(t, all_formats[i]);
    rt_leave();
    text_t second = report(t, all_formats[i]);
    assert_int_equal(rt_enter(t), 0);
    assert_int_equal(first.length, second.length);
    if (all_formats[i] != RT_REPORT_JSON) assert_memory_equal(first.at, second.at, first.length);
    free(first.at);
    free(second.at);
  }
  assert_int_equal(rt_ticks(t), ticks);
  assert_int_equal(rt_bytes(t), bytes);
  end_program(t);
}

static void* report_elsewhere(void* t) {
  assert_int_equal(rt_report(t, stdout, RT_REPORT_TEXT), EBUSY);
  return NULL;
}

static void test_errors(void** state) {
  (void)state;
  FILE* full = fopen("/dev/full", "w");
  require(full != NULL, "no /dev/full");
  rt_task* t = begin(&(rt_config){.record = 1});
  for (int i = 0; i < 4; i++) {
    assert_int_equal(rt_report(t, full, all_formats[i]), ENOSPC);
    clearerr(full);
  }
  assert_int_equal(rt_report(t, stdout, (rt_report_format)4), EINVAL);
  assert_int_equal(rt_report(t, stdout, (rt_report_format)-1), EINVAL);
  assert_int_equal(rt_report_file(t, "/nowhere/x.json"), ENOENT);
  static const char* const unknown[] = {"",        "x",    "json",  "x.jso",
                                        "x.json.", "html", "x.svg", "x.JSON"};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
    assert_false(rt_report_knows(unknown[i]));
    assert_int_equal(rt_report_file(t, unknown[i]), EINVAL);
  }
  assert_true(rt_report_knows(".json") && rt_report_knows("a.trace.json") &&
              rt_report_knows("a.b.txt"));
  on_thread(report_elsewhere, t);
  rt_task* inner = begin(NULL);
  assert_int_equal(rt_report(t, stdout, RT_REPORT_TEXT), EBUSY); /* it is suspended */
  assert_int_equal(rt_report(inner, stdout, RT_REPORT_TEXT), EINVAL);
  assert_int_equal(rt_report_file(inner, "x.json"), EINVAL);
  end(inner);
  end(t);
  errno = 0;
  assert_null(rt_task_new(&(rt_config){.record = SIZE_MAX}));
  assert_int_equal(errno, ENOMEM);
  fclose(full);
}

/* The record goes with its task. */
static void test_no_leak(void** state) {
  (void)state;
  end(begin(&(rt_config){.record = MiB}));
  size_t before = mapped();
  for (int i = 0; i < 100; i++) end(begin(&(rt_config){.record = MiB}));
  if (MAPPED_TELLS) assert_in_range(mapped(), 0, before + 2 * MiB);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_series),
      cmocka_unit_test(test_program),
      cmocka_unit_test(test_nothing_changes),
      cmocka_unit_test(test_outermost),
      cmocka_unit_test(test_repeated_reports),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_kinds),
      cmocka_unit_test(test_size_classes),
      cmocka_unit_test(test_no_leak),
  };
  return cmocka_run_group_tests_name("runtime report", tests, NULL, NULL);
}
