/* record.c: the recorder of a task: see record.h. Its memory is a mapping of its own, of the size
** that was asked for, so what it keeps is charged to nobody and moves nothing. Cost: a few counters
** for each pause, a row for each beat. */
#include "runtime/record.h"

#include <stdlib.h>

#include "rc/rc.h"

enum { RECORD_LEAST = 16 * 1024, UNITS_LEAST = 64, NS_LEAST = 10000 };

/* ---- Series ---------------------------------------------------------------------------------- */

static void* row_at(const series_t* s, uint32_t i) { return s->at + i * s->size; }
static uint64_t beat_of(const void* row) { return *(const uint64_t*)row; }

static bool share_interval(const series_t* s, const void* row, const void* other) {
  return s->interval != 0 && beat_of(row) / s->interval == beat_of(other) / s->interval;
}

/* Would it be merged with the last row? */
static bool is_covered(const series_t* s, const void* row) {
  return s->rows > 0 && share_interval(s, row_at(s, s->rows - 1), row);
}

static void put(series_t* s, const void* row) {
  if (is_covered(s, row))
    s->merge(row_at(s, s->rows - 1), row);
  else
    memmove(row_at(s, s->rows++), row, s->size);
}

/* Rows go down, and never past those that were not read yet. */
static void thin(series_t* s) {
  uint32_t rows = s->rows;
  s->interval = s->interval == 0 ? 1 : 2 * s->interval;
  s->rows = 0;
  for (uint32_t i = 0; i < rows; i++) put(s, row_at(s, i));
}

/* It ends, since at last all beats share one interval. */
void series_add(series_t* s, const void* row) {
  mi_assert(s->rows == 0 || beat_of(row_at(s, s->rows - 1)) <= beat_of(row));
  while (s->rows == s->most && !is_covered(s, row)) thin(s);
  put(s, row);
}

static void merge_samples(void* row, const void* later) {
  sample_t *a = row, b = *(const sample_t*)later;
  if (a->bytes_most > b.bytes_most) b.bytes_most = a->bytes_most;
  if (a->waiting_most > b.waiting_most) b.waiting_most = a->waiting_most;
  if (a->tick == b.tick) b.at_ns = a->at_ns; /* nothing was done since */
  if (a->resident > b.resident) b.resident = a->resident;
  *a = b;
}

static void keep_heavier(void* row, const void* later) {
  if (((const event_t*)later)->units > ((const event_t*)row)->units)
    *(event_t*)row = *(const event_t*)later;
}

static void keep_longer(void* row, const void* later) {
  if (((const event_t*)later)->ns > ((const event_t*)row)->ns)
    *(event_t*)row = *(const event_t*)later;
}

/* ---- Samples --------------------------------------------------------------------------------- */

/* Of the process; 0: the system does not tell. */
static uint64_t resident_bytes(void) {
  char text[100];
  const char* second =
      os_read_file("/proc/self/statm", text, sizeof text) ? strchr(text, ' ') : NULL;
  return second != NULL ? strtoull(second, NULL, 10) * os_page_size() : 0;
}

void recorder_sample(mi_task_t* task, uint64_t now_ns) {
  recorder_t* r = task->recorder;
  rc_counters counted;
  rc_get_counters(&counted);
  uint64_t bytes = task_bytes(task), waiting = rc_pending(), tick = task_ticks(task);
  sample_t row = {.beat = tick / task->period,
                  .tick = tick,
                  .bytes = bytes,
                  .bytes_most = bytes,
                  .waiting = waiting,
                  .waiting_most = waiting,
                  .owed = counted.debt,
                  .objects = counted.objects,
                  .at_ns = task->measure ? now_ns - r->start_ns : 0};
  if (!is_covered(&r->samples, &row)) row.resident = resident_bytes();
  series_add(&r->samples, &row);
}

/* ---- Pauses ---------------------------------------------------------------------------------- */

/* In the order in which they came. */
static uint32_t thread_number(void) {
  static _Atomic uint32_t threads;
  static _Thread_local uint32_t number;
  if (number == 0) number = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
  return number;
}

static void keep_longest(recorder_t* r, const event_t* e) {
  unsigned i = r->longest_count;
  if (i == LONGEST && r->longest[--i].ns >= e->ns) return;
  if (r->longest_count < LONGEST) r->longest_count++;
  for (; i > 0 && r->longest[i - 1].ns < e->ns; i--) r->longest[i] = r->longest[i - 1];
  r->longest[i] = *e;
}

static void add_event(mi_task_t* task, const pause_t* p) {
  recorder_t* r = task->recorder;
  uint64_t tick = task_ticks(task);
  event_t e = {.beat = tick / task->period,
               .tick = tick,
               .units = p->units,
               .at_ns = task->measure ? p->since_ns - r->start_ns : 0,
               .ns = p->ns,
               .kind = (uint32_t)p->kind,
               .thread = thread_number()};
  if (p->units >= r->least_units) {
    r->heavy_count++;
    series_add(&r->heavy, &e);
  }
  if (!task->measure || p->ns < r->least_ns) return;
  r->long_count++;
  series_add(&r->lengthy, &e);
  keep_longest(r, &e);
}

static void on_pause(mi_task_t* task, const pause_t* p) {
  recorder_t* r = task->recorder;
  r->units[p->kind] += p->units;
  r->by_units[p->kind][bucket_of(p->units)]++;
  if (task->measure) r->by_ns[p->kind][bucket_of(p->ns)]++;
  if (p->units >= r->least_units || (task->measure && p->ns >= r->least_ns)) add_event(task, p);
  if (p->kind == PAUSE_BEAT) recorder_sample(task, p->since_ns + p->ns);
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* The places that `bytes` at *at have room for. */
static series_t series_in(char** at, size_t bytes, size_t size, void (*merge)(void*, const void*)) {
  size_t most = bytes / size < UINT32_MAX ? bytes / size : UINT32_MAX;
  series_t s = {.at = *at, .size = size, .most = (uint32_t)most, .merge = merge};
  *at += most * size;
  return s;
}

_Static_assert(sizeof(sample_t) % WORD == 0 && sizeof(event_t) % WORD == 0 &&
                   sizeof(span_t) % WORD == 0,
               "rows are aligned");
_Static_assert(RECORD_LEAST >= sizeof(recorder_t) + 16 * sizeof(span_t) &&
                   sizeof(span_t) >= sizeof(sample_t) && sizeof(sample_t) >= sizeof(event_t),
               "each series has two places at least");

/* Half of the room is for samples, an eighth for spans, and the rest for events. */
bool recorder_begin(mi_task_t* task, const rt_config* config) {
  task->measure = config->measure_pauses;
  task->notes_pauses = config->measure_pauses || config->record > 0;
  if (config->record == 0) return true;
  if (config->record > PTRDIFF_MAX) return false;
  size_t wanted = config->record > RECORD_LEAST ? config->record : RECORD_LEAST;
  size_t bytes = (wanted + os_page_size() - 1) & ~(os_page_size() - 1);
  recorder_t* r = os_map(bytes, os_page_size());
  if (r == NULL) return false;
  char* at = (char*)(r + 1);
  size_t room = bytes - sizeof *r;
  r->samples = series_in(&at, room / 2, sizeof(sample_t), merge_samples);
  r->samples.interval = 1; /* so that it makes no difference how often one looks */
  r->heavy = series_in(&at, room / 16 * 3, sizeof(event_t), keep_heavier);
  r->lengthy = series_in(&at, room / 16 * 3, sizeof(event_t), keep_longer);
  r->spans = series_in(&at, room / 8, sizeof(span_t), span_keep_longer);
  r->mapped = bytes;
  r->start_ns = task->measure ? os_now_ns() : 0;
  r->limit_bytes = config->bytes;
  r->limit_beats = config->heartbeats;
  r->least_units = config->record_units != 0 ? config->record_units : UNITS_LEAST;
  r->least_ns = config->record_ns != 0 ? config->record_ns : NS_LEAST;
  sample_t first = {.resident = resident_bytes()};
  series_add(&r->samples, &first);
  task->recorder = r;
  task->on_pause = on_pause;
  return true;
}

void recorder_end(mi_task_t* task) {
  recorder_t* r = task->recorder;
  task->notes_pauses = task->measure = false;
  task->on_pause = NULL;
  task->recorder = NULL;
  if (r != NULL) os_unmap(r, r->mapped);
}
