/* json.c: statistics as JSON. The text is made twice: to measure it, and to write it. */
#include "alloc/internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "alloc/mimalloc-stats.h"

typedef struct text {
  char* at; /* the buffer, of `room` bytes */
  size_t room, length;
} text_t;

static __attribute__((format(printf, 2, 3))) void add(text_t* t, const char* format, ...) {
  size_t left = t->length < t->room ? t->room - t->length : 0;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(left > 0 ? t->at + t->length : NULL, left, format, args);
  va_end(args);
  if (n > 0) t->length += (size_t)n;
}

static void add_count(text_t* t, const mi_stat_count_t* s) {
  add(t, "\"total\": %lld, \"peak\": %lld, \"current\": %lld", (long long)s->total,
      (long long)s->peak, (long long)s->current);
}

static size_t page_bytes(size_t bin) {
  size_t size = mi_stats_get_bin_size(bin);
  return size == 0 ? 0 : size <= SMALL_BLOCK_MAX ? SLICE : MEDIUM_SLICES * SLICE;
}

static void add_bins(text_t* t, const char* name, const mi_stat_count_t* bins, const char* end) {
  add(t, "  \"%s\": [\n", name);
  for (size_t i = 0; i <= MI_BIN_HUGE; i++) {
    add(t, "    { ");
    add_count(t, &bins[i]);
    add(t, ", \"block_size\": %zu, \"page_size\": %zu }%s\n", mi_stats_get_bin_size(i),
        page_bytes(i), i < MI_BIN_HUGE ? "," : "");
  }
  add(t, "  ]%s\n", end);
}

typedef struct process {
  size_t elapsed, user, system, rss, rss_peak, commit, commit_peak, faults;
} process_t;

static process_t process_now(void) {
  process_t p;
  mi_process_info(&p.elapsed, &p.user, &p.system, &p.rss, &p.rss_peak, &p.commit, &p.commit_peak,
                  &p.faults);
  return p;
}

static void add_process(text_t* t, const process_t* p) {
  add(t, "  \"process\": {\n    \"elapsed_msecs\": %zu,\n    \"user_msecs\": %zu,\n", p->elapsed,
      p->user);
  add(t, "    \"system_msecs\": %zu,\n    \"page_faults\": %zu,\n", p->system, p->faults);
  add(t, "    \"rss_current\": %zu,\n    \"rss_peak\": %zu,\n", p->rss, p->rss_peak);
  add(t, "    \"commit_current\": %zu,\n    \"commit_peak\": %zu\n  },\n", p->commit,
      p->commit_peak);
}

static void write_json(text_t* t, const mi_stats_t* s, const process_t* p) {
  add(t, "{\n  \"stat_version\": %d,\n  \"mimalloc_version\": %d,\n", MI_STAT_VERSION,
      MI_MALLOC_VERSION);
  add_process(t, p);
#define MI_STAT_COUNT(name)      \
  add(t, "  \"" #name "\": { "); \
  add_count(t, &s->name);        \
  add(t, " },\n");
#define MI_STAT_COUNTER(name) add(t, "  \"" #name "\": %lld,\n", (long long)s->name.total);
  MI_STAT_FIELDS()
#undef MI_STAT_COUNT
#undef MI_STAT_COUNTER
  add_bins(t, "malloc_bins", s->malloc_bins, ",");
  add_bins(t, "page_bins", s->page_bins, "");
  add(t, "}\n");
}

/* A new block, if buf is NULL. */
static char* as_json(const mi_stats_t* stats, size_t room, char* buf) {
  process_t process = process_now();
  text_t measured = {NULL, 0, 0};
  write_json(&measured, stats, &process);
  mi_heap_t* heap = buf == NULL ? task_default_heap() : NULL;
  if (buf == NULL) room = measured.length + 1;
  if (heap != NULL) buf = heap_alloc(heap, room, false);
  if (buf == NULL) return NULL;
  text_t written = {buf, room, 0};
  write_json(&written, stats, &process);
  if (measured.length < room) return buf;
  errno = ERANGE;
  return NULL;
}

char* mi_stats_as_json(mi_stats_t* stats, size_t buf_size, char* buf) {
  if (buf == NULL) task_charge(1);
  if (stats != NULL && stats->size == sizeof *stats && stats->version == MI_STAT_VERSION)
    return as_json(stats, buf_size, buf);
  errno = EINVAL;
  return NULL;
}

char* mi_stats_get_json(size_t buf_size, char* buf) {
  mi_stats_t_decl(stats);
  if (buf == NULL) task_charge(1);
  return mi_stats_get(&stats) ? as_json(&stats, buf_size, buf) : NULL;
}

char* mi_heap_stats_get_json(mi_heap_t* heap, size_t buf_size, char* buf) {
  mi_stats_t_decl(stats);
  if (buf == NULL) task_charge(1);
  return mi_heap_stats_get(heap, &stats) ? as_json(&stats, buf_size, buf) : NULL;
}

char* mi_subproc_stats_get_json(mi_subproc_id_t id, size_t buf_size, char* buf) {
  mi_stats_t_decl(stats);
  if (buf == NULL) task_charge(1);
  return mi_subproc_stats_get(id, &stats) ? as_json(&stats, buf_size, buf) : NULL;
}
