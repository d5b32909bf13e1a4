/* stats.c: the statistics table, derived from heaps and pages; no allocation or free counts
** anything.
**
** total blocks granted (from heaps; what is granted and not handed out is taken back first)
** freed total less the blocks that pages still hold, found by walking the pages of the process
**        (those in another task's region may go at any time: there it is what their heaps know)
** peak the most that a heap's pages held at a refill, where what is granted counts as held: summed
**        over the heaps that are alive, or the largest of those that ended; but no more than total
** Other threads that run meanwhile make the figures approximate. */
#include "alloc/internal.h"

#include <stdio.h>
#include <sys/resource.h>

typedef struct row {
  uint64_t total, peak, live;
} row_t;

typedef struct output {
  mi_output_fun* fn;
  void* arg;
} output_t;

static void count_page(page_t* page, void* rows) {
  ((row_t*)rows)[page_class(page)].live += page_live(page);
}

static void count_own_pages(const mi_heap_t* heap, row_t* rows) {
  for (page_t* p = heap->full; p != NULL; p = p->next) count_page(p, rows);
  for (unsigned c = 1; c < CLASS_COUNT; c++)
    for (page_t* p = heap->queue[c].first; p != NULL; p = p->next) count_page(p, rows);
}

/* The one that has no task comes last. */
static void count_heap(mi_heap_t* heap, void* arg) {
  row_t* rows = arg;
  bool ended = heap->task == NULL, region = !ended && heap->task->arena != &arena_main;
  for (unsigned c = 1; c < CLASS_COUNT; c++) {
    uint64_t peak = stat_get(&heap->stat[c].peak);
    rows[c].total += stat_get(&heap->stat[c].total);
    rows[c].peak = !ended ? rows[c].peak + peak : peak > rows[c].peak ? peak : rows[c].peak;
    if (region && heap->task != tls.task) rows[c].live += stat_get(&heap->stat[c].current);
  }
  if (region && heap->task == tls.task) count_own_pages(heap, rows);
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
  if (row.peak > row.total) row.peak = row.total;
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
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  size_t bytes = atomic_load_explicit(&arena_main.mapped, memory_order_relaxed);
  print_amount(mapped, sizeof mapped, (double)bytes, 1024, "b");
  print_amount(rss, sizeof rss, (double)u.ru_maxrss * 1024, 1024, "b");
  snprintf(line, sizeof line, "process: mapped %s, peak resident %s, page faults %ld\n", mapped,
           rss, u.ru_minflt + u.ru_majflt);
  out.fn(line, out.arg);
}

void mi_stats_print_out(mi_output_fun* fn, void* arg) {
  output_t out = {fn != NULL ? fn : output_write, arg};
  row_t rows[CLASS_COUNT] = {{0}};
  mi_task_t* task = task_self();
  if (task != NULL)
    for (mi_heap_t* h = task->heaps; h != NULL; h = h->next) heap_ungrant_all(h);
  arena_visit(&arena_main, count_page, rows);
  heaps_visit(count_heap, rows);
  uint64_t live = 0;
  out.fn("heap stats:       peak      total      freed       unit      count\n", out.arg);
  for (unsigned c = 1; c < CLASS_COUNT; c++) {
    if (rows[c].total > 0) print_row(out, c, rows[c]);
    live += rows[c].live;
  }
  print_process(out);
  out.fn(live == 0 ? "ok\n" : "not all freed!\n", out.arg);
}

void mi_stats_print(void* unused) {
  (void)unused;
  mi_stats_print_out(NULL, NULL);
}
