/* stats.c: statistics, derived from heaps and pages; no allocation or free counts anything.
**
** total   blocks granted (from heaps; what is granted and not handed out is taken back first), or come
**         with a page from another heap
** freed   total less the blocks that pages still hold, found by a walk over the pages of the process
**         (those in another task's region may go at any time: there it is what their heaps know)
** peak    the most that a heap's pages held at a refill, where what is granted counts as held: summed
**         over the heaps that are alive, or the largest of those that ended; but no more than total
** A reset makes total what lives now. Other threads that run meanwhile make the figures approximate. */
#include "alloc/internal.h"

#include <stdio.h>
#include <sys/resource.h>

#include "alloc/mimalloc-stats.h"

/* ---- A survey of the process, under the heaps' lock ---------------------------------------------- */

/* Whose page it is, of heaps and of those that ended. */
static class_survey_t* survey_of(page_t* page) {
  mi_heap_t* heap = page_heap(page);
  if (heap == NULL || !heap->alive) return subproc_of(page_figure(&page->subproc))->survey;
  return heap->survey;
}

static void count_page(page_t* page, void* unused) {
  (void)unused;
  class_survey_t* survey = survey_of(page);
  if (survey == NULL) return;
  unsigned class = page_class(page);
  uint32_t live = page_live(page);
  survey[class].live += live;
  survey[class].pages++;
  if (class == CLASS_LARGE && live > 0)
    survey[CLASS_BYTES].live += (uint64_t)page_figure(&page->granted_slices) * SLICE;
}

/* A region's heap counts its pages itself: those in the region, and others that it took over. */
static void count_visited(page_t* page, void* unused) {
  mi_heap_t* heap = page_heap(page);
  if (heap == NULL || !heap->alive || !arena_is_region(heap->arena)) count_page(page, unused);
}

static void count_heap_pages(mi_heap_t* heap) {
  bool mine = heap->task == tls.task;
  for (page_t* p = mine ? heap->full : NULL; p != NULL; p = p->next) count_page(p, NULL);
  for (unsigned c = 0; c < CLASS_COUNT; c++) {
    if (!mine) heap->survey[c].live = stat_get(&heap->stat[c].current);
    for (page_t* p = mine ? heap->queue[c].first : NULL; p != NULL; p = p->next)
      count_page(p, NULL);
  }
}

static void forget(class_survey_t* survey) {
  for (unsigned c = 0; c < CLASS_COUNT; c++) survey[c].live = survey[c].pages = 0;
}

/* Without memory for it, what the heap itself knows has to do. */
static bool may_survey(mi_heap_t* heap) {
  if (heap->survey == NULL) heap->survey = record_alloc(CLASS_COUNT * sizeof *heap->survey, 64);
  return heap->survey != NULL;
}

/* Sets `live` and `pages` everywhere. */
static void survey(void) {
  for (unsigned i = 0; i < SUBPROC_MAX; i++)
    if (i == 0 || subprocs[i].users > 0) forget(subprocs[i].survey);
  for (mi_heap_t* h = heaps_all; h != NULL; h = h->all) {
    if (!h->alive || !may_survey(h)) continue;
    forget(h->survey);
    if (arena_is_region(h->arena)) count_heap_pages(h);
  }
  arenas_visit(count_visited, NULL);
}

/* ---- Rows: the sum over some heaps ---------------------------------------------------------------- */

/* Exactly one is not NULL; none: the whole process. */
typedef struct scope {
  const mi_heap_t* heap;
  const mi_task_t* task;
  const subproc_t* subproc; /* with its heaps, and those that ended */
  const subproc_t* ended;   /* those only */
} scope_t;

typedef struct row {
  uint64_t total, peak, live, pages;
} row_t;

typedef struct rows {
  row_t of[CLASS_COUNT];
  uint64_t abandoned; /* pages */
  uint64_t threads, threads_peak, threads_total;
} rows_t;

static bool has_heap(const scope_t* s, const mi_heap_t* heap) {
  if (s->heap != NULL) return heap == s->heap;
  if (s->task != NULL) return heap->task == s->task;
  if (s->subproc != NULL) return heap->task->subproc == s->subproc;
  return s->ended == NULL;
}

static bool has_ended(const scope_t* s, const subproc_t* subproc) {
  if (s->heap != NULL || s->task != NULL) return false;
  if (s->subproc != NULL) return subproc == s->subproc;
  return s->ended == NULL || subproc == s->ended;
}

static class_survey_t surveyed(const mi_heap_t* heap, unsigned class) {
  if (heap->survey != NULL) return heap->survey[class];
  return (class_survey_t){.live = stat_get(&heap->stat[class].current)};
}

static void add_heap(rows_t* rows, const mi_heap_t* heap) {
  for (unsigned c = 0; c < CLASS_COUNT; c++) {
    row_t* row = &rows->of[c];
    class_survey_t survey = surveyed(heap, c);
    row->total += stat_get(&heap->stat[c].total) - survey.base;
    row->peak += stat_get(&heap->stat[c].peak);
    row->live += survey.live;
    row->pages += survey.pages;
  }
}

static void add_ended(rows_t* rows, const subproc_t* s, bool threads) {
  for (unsigned c = 0; c < CLASS_COUNT; c++) {
    const class_stat_t* stat = &s->ended[c];
    row_t* row = &rows->of[c];
    row->total += stat_get(&stat->total) - s->survey[c].base;
    if (stat_get(&stat->peak) > row->peak) row->peak = stat_get(&stat->peak);
    row->live += s->survey[c].live;
    row->pages += s->survey[c].pages;
    rows->abandoned += s->survey[c].pages;
  }
  if (!threads) return;
  rows->threads += s->threads;
  rows->threads_peak += s->threads_peak;
  rows->threads_total += s->threads_total;
}

/* Of what other threads changed meanwhile one figure may be older than another. */
static void settle(row_t* row) {
  if ((int64_t)(row->total - row->live) < 0) row->total = row->live;
  if (row->peak > row->total) row->peak = row->total;
  if (row->peak < row->live) row->peak = row->live;
}

static void ungrant_own(void) {
  mi_task_t* task = task_self();
  if (task == NULL) return;
  for (mi_heap_t* h = task->heaps; h != NULL; h = h->next) heap_ungrant_all(h);
}

static void collect_rows(rows_t* rows, scope_t scope) {
  memset(rows, 0, sizeof *rows);
  ungrant_own();
  pthread_mutex_lock(&heaps_lock);
  survey();
  for (const mi_heap_t* h = heaps_all; h != NULL; h = h->all)
    if (h->alive && has_heap(&scope, h)) add_heap(rows, h);
  for (unsigned i = 0; i < SUBPROC_MAX; i++)
    if ((i == 0 || subprocs[i].users > 0) && has_ended(&scope, &subprocs[i]))
      add_ended(rows, &subprocs[i], scope.ended == NULL);
  pthread_mutex_unlock(&heaps_lock);
  for (unsigned c = 0; c < CLASS_COUNT; c++) settle(&rows->of[c]);
}

/* ---- Reset ---------------------------------------------------------------------------------------- */

/* From now on total counts what lives and what will be granted, and the peak begins with what lives. */
static void begin_anew(class_stat_t* stat, class_survey_t* survey, bool heap) {
  for (unsigned c = 0; c < CLASS_COUNT && survey != NULL; c++) {
    survey[c].base = stat_get(&stat[c].total) - survey[c].live;
    stat_set(&stat[c].peak, heap ? stat_get(&stat[c].current) : survey[c].live);
  }
}

void mi_stats_reset(void) {
  ungrant_own();
  pthread_mutex_lock(&heaps_lock);
  survey();
  for (mi_heap_t* h = heaps_all; h != NULL; h = h->all)
    if (h->alive) begin_anew(h->stat, h->survey, true);
  for (unsigned i = 0; i < SUBPROC_MAX; i++) {
    begin_anew(subprocs[i].ended, subprocs[i].survey, false);
    subprocs[i].threads_total = subprocs[i].threads_peak = subprocs[i].threads;
  }
  pthread_mutex_unlock(&heaps_lock);
}

/* Under the lock. */
static bool is_alive(const mi_heap_t* heap) {
  for (const mi_heap_t* h = heaps_all; h != NULL; h = h->all)
    if (h == heap) return h->alive;
  return false;
}

static bool no_heap(const mi_heap_t* heap) {
  report_error(EINVAL, "sluice: error: there is no heap %p", (const void*)heap);
  return false;
}

void mi_heap_stats_merge_to_subproc(mi_heap_t* heap) {
  ungrant_own();
  pthread_mutex_lock(&heaps_lock);
  bool ok = is_alive(heap);
  if (ok) survey();
  if (ok && heap->survey != NULL) {
    subproc_add_ended(heap->task->subproc, ALL_CLASSES, heap->stat, heap->survey);
    for (unsigned c = 0; c < CLASS_COUNT; c++)
      stat_add_shared(&heap->task->subproc->ended[c].total, -heap->survey[c].live);
    begin_anew(heap->stat, heap->survey, true);
  }
  pthread_mutex_unlock(&heaps_lock);
  if (!ok) no_heap(heap);
}

/* They are merged whenever somebody asks. */
void mi_stats_merge(void) {}

/* ---- The table ------------------------------------------------------------------------------------ */

typedef struct output {
  mi_output_fun* fn;
  void* arg;
} output_t;

static output_t output_to(mi_output_fun* fn, void* arg) {
  return (output_t){fn != NULL ? fn : output_write, arg};
}

static void print_amount(char* to, size_t room, double n, double base, const char* unit) {
  static const char* const prefix[] = {"", "k", "m", "g", "t"};
  int i = 0;
  while (n >= base && i < 4) n /= base, i++;
  if (i == 0)
    snprintf(to, room, "%.0f %s", n, unit);
  else
    snprintf(to, room, "%.1f %s%s", n, prefix[i], unit);
}

static void print_row(output_t out, unsigned class, row_t row) {
  char peak[24], total[24], freed[24], size[24], count[24], line[200];
  bool large = class == CLASS_LARGE; /* of no common size: they are counted only */
  double unit = large ? 1 : (double)(class_words(class) * WORD), base = large ? 1000 : 1024;
  const char* what = large ? "" : "b";
  print_amount(peak, sizeof peak, (double)row.peak * unit, base, what);
  print_amount(total, sizeof total, (double)row.total * unit, base, what);
  print_amount(freed, sizeof freed, (double)(row.total - row.live) * unit, base, what);
  print_amount(size, sizeof size, unit, 1024, "b");
  print_amount(count, sizeof count, (double)row.total, 1000, "");
  snprintf(line, sizeof line, "%-7s %3u: %10s %10s %10s %10s %10s  %s\n",
           large ? "large" : "normal", class, peak, total, freed, large ? ">64 kb" : size, count,
           row.live == 0 ? "ok" : "not all freed!");
  out.fn(line, out.arg);
}

static void print_process(output_t out) {
  char mapped[24], rss[24], line[200];
  struct rusage u = {0};
  getrusage(RUSAGE_SELF, &u);
  size_t bytes = atomic_load_explicit(&arena_main.mapped, memory_order_relaxed);
  print_amount(mapped, sizeof mapped, (double)bytes, 1024, "b");
  print_amount(rss, sizeof rss, (double)u.ru_maxrss * 1024, 1024, "b");
  snprintf(line, sizeof line, "process: mapped %s, peak resident %s, page faults %ld\n", mapped,
           rss, u.ru_minflt + u.ru_majflt);
  out.fn(line, out.arg);
}

static void print_table(output_t out, scope_t scope, bool process) {
  rows_t rows;
  uint64_t live = 0;
  collect_rows(&rows, scope);
  out.fn("heap stats:       peak      total      freed       unit      count\n", out.arg);
  for (unsigned c = 1; c < CLASS_COUNT; c++) {
    if (rows.of[c].total > 0) print_row(out, c, rows.of[c]);
    live += rows.of[c].live;
  }
  if (process) print_process(out);
  out.fn(live == 0 ? "ok\n" : "not all freed!\n", out.arg);
}

void mi_stats_print_out(mi_output_fun* fn, void* arg) {
  print_table(output_to(fn, arg), (scope_t){0}, true);
}

void mi_stats_print(void* unused) {
  (void)unused;
  mi_stats_print_out(NULL, NULL);
}

void mi_thread_stats_print_out(mi_output_fun* fn, void* arg) {
  mi_task_t* task = task_self();
  if (task != NULL) print_table(output_to(fn, arg), (scope_t){.task = task}, false);
}

void mi_heap_stats_print_out(mi_heap_t* heap, mi_output_fun* fn, void* arg) {
  pthread_mutex_lock(&heaps_lock);
  bool ok = is_alive(heap);
  pthread_mutex_unlock(&heaps_lock);
  if (ok)
    print_table(output_to(fn, arg), (scope_t){.heap = heap}, false);
  else
    no_heap(heap);
}

void mi_subproc_stats_print_out(mi_subproc_id_t id, mi_output_fun* fn, void* arg) {
  subproc_t* s = subproc_use(id);
  if (s == NULL) return;
  print_table(output_to(fn, arg), (scope_t){.subproc = s}, false);
  subproc_end_use(s);
}

void mi_subproc_heap_stats_print_out(mi_subproc_id_t id, mi_output_fun* fn, void* arg) {
  subproc_t* s = subproc_use(id);
  if (s == NULL) return;
  output_t out = output_to(fn, arg);
  char line[64];
  for (mi_heap_t* heap = NULL; (heap = heap_after(heap, s)) != NULL;) {
    snprintf(line, sizeof line, "heap %p\n", (void*)heap);
    out.fn(line, out.arg);
    print_table(out, (scope_t){.heap = heap}, false);
  }
  out.fn("heaps that ended\n", out.arg);
  print_table(out, (scope_t){.ended = s}, false);
  subproc_end_use(s);
}

void mi_process_info_print_out(mi_output_fun* fn, void* arg) {
  output_t out = output_to(fn, arg);
  char line[100];
  size_t elapsed, user, system;
  mi_process_info(&elapsed, &user, &system, NULL, NULL, NULL, NULL, NULL);
  snprintf(line, sizeof line, "process: elapsed %zu ms, user %zu ms, system %zu ms\n", elapsed,
           user, system);
  out.fn(line, out.arg);
  print_process(out);
}

void mi_process_info_print(void) { mi_process_info_print_out(NULL, NULL); }

/* ---- As data -------------------------------------------------------------------------------------- */

static unsigned bin_of(unsigned class) { return class == CLASS_LARGE ? MI_BIN_HUGE : class; }

size_t mi_stats_get_bin_size(size_t bin) {
  return bin > 0 && bin < CLASS_LARGE ? class_words((unsigned)bin) * WORD : 0;
}

static mi_stat_count_t count_of(uint64_t total, uint64_t peak, uint64_t now) {
  return (mi_stat_count_t){(int64_t)total, (int64_t)peak, (int64_t)now};
}

static void add_count(mi_stat_count_t* to, const row_t* row, uint64_t unit) {
  to->total += (int64_t)(row->total * unit);
  to->peak += (int64_t)(row->peak * unit);
  to->current += (int64_t)(row->live * unit);
}

static void fill(mi_stats_t* stats, const rows_t* rows) {
  uint64_t pages = 0;
  for (unsigned c = 1; c < CLASS_COUNT; c++) {
    const row_t* row = &rows->of[c];
    add_count(&stats->malloc_bins[bin_of(c)], row, 1);
    stats->page_bins[bin_of(c)] = count_of(row->pages, row->pages, row->pages);
    pages += row->pages;
    if (c == CLASS_LARGE) break;
    add_count(&stats->malloc_normal, row, class_words(c) * WORD);
    stats->malloc_normal_count.total += (int64_t)row->total;
  }
  add_count(&stats->malloc_huge, &rows->of[CLASS_BYTES], 1);
  stats->malloc_huge_count.total = (int64_t)rows->of[CLASS_LARGE].total;
  stats->pages = count_of(pages, pages, pages);
  stats->pages_abandoned = count_of(rows->abandoned, rows->abandoned, rows->abandoned);
  stats->threads = count_of(rows->threads_total, rows->threads_peak, rows->threads);
}

static bool is_ours(const mi_stats_t* stats) {
  return stats != NULL && stats->size == sizeof *stats && stats->version == MI_STAT_VERSION;
}

static bool get(mi_stats_t* stats, scope_t scope) {
  if (!is_ours(stats)) return false;
  rows_t rows;
  collect_rows(&rows, scope);
  mi_stats_init(stats);
  fill(stats, &rows);
  return true;
}

bool mi_stats_get(mi_stats_t* stats) {
  if (!get(stats, (scope_t){0})) return false;
  size_t now, peak;
  mi_process_info(NULL, NULL, NULL, NULL, NULL, &now, &peak, NULL);
  stats->reserved = stats->committed = count_of(peak, peak, now);
  return true;
}

bool mi_heap_stats_get(mi_heap_t* heap, mi_stats_t* stats) {
  pthread_mutex_lock(&heaps_lock);
  bool ok = is_alive(heap);
  pthread_mutex_unlock(&heaps_lock);
  return ok ? get(stats, (scope_t){.heap = heap}) : no_heap(heap);
}

static bool get_subproc(mi_subproc_id_t id, mi_stats_t* stats, bool ended) {
  subproc_t* s = subproc_use(id);
  if (s == NULL) return false;
  bool ok = get(stats, ended ? (scope_t){.ended = s} : (scope_t){.subproc = s});
  subproc_end_use(s);
  return ok;
}

bool mi_subproc_stats_get(mi_subproc_id_t id, mi_stats_t* stats) {
  return get_subproc(id, stats, false);
}
bool mi_subproc_stats_get_exclusive(mi_subproc_id_t id, mi_stats_t* stats) {
  return get_subproc(id, stats, true);
}
