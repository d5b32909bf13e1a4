/* stats.c: the statistics table, derived from heaps and pages; no allocation or free counts
** anything.
**
** total blocks granted (from heaps; what is granted and not handed out is taken back first)
** freed total less the blocks that pages still hold, found by walking the pages of the process
** peak the most that a heap's pages held at a refill: summed over the heaps that are alive, the
**        largest of those that ended
** Other threads that run meanwhile make the figures approximate. */
#include "alloc/internal.h"

#include <stdio.h>
#include <sys/resource.h>

typedef struct table {
  uint64_t live[CLASS_COUNT];
  uint64_t live_large_bytes;
} table_t;

typedef struct output {
  mi_output_fun* fn;
  void* arg;
} output_t;

static void to_stderr(const char* text, void* arg) {
  (void)arg;
  os_write_error(text, strlen(text));
}

static uint32_t page_live(page_t* page) {
  remote_t w = atomic_load_explicit(&page->remote, memory_order_relaxed);
  remote_t mode = w & REMOTE_MODE;
  if (mode == REMOTE_ORPHAN) return 0;
  return mode == REMOTE_NORMAL ? page->used - remote_count(w) : remote_count(w);
}

static void count_page(page_t* page, void* arg) {
  table_t* t = arg;
  unsigned class = page_class(page);
  t->live[class] += page_live(page);
  if (class == CLASS_LARGE) t->live_large_bytes += page_live(page) * page->span;
}

static void count_region_heap(mi_heap_t* heap, table_t* t) {
  for (page_t* p = heap->full; p != NULL; p = p->next) count_page(p, t);
  for (unsigned c = 1; c < CLASS_COUNT; c++)
    for (page_t* p = heap->queue[c].first; p != NULL; p = p->next) count_page(p, t);
}

static void count_pages(table_t* t) {
  arena_visit(&arena_main, count_page, t);
  t->live[CLASS_LARGE] += atomic_load_explicit(&arena_main.huge_blocks, memory_order_relaxed);
  mi_heap_t* h = atomic_load_explicit(&heaps_all, memory_order_acquire);
  for (; h != NULL; h = h->all)
    if (h->alive && h->task->arena != &arena_main) count_region_heap(h, t);
}

static class_stat_t sum_of_heaps(unsigned class) {
  class_stat_t sum = heaps_ended[class];
  uint64_t peak = 0;
  mi_heap_t* h = atomic_load_explicit(&heaps_all, memory_order_acquire);
  for (; h != NULL; h = h->all)
    if (h->alive) {
      sum.total +=
          atomic_load_explicit((_Atomic uint64_t*)&h->stat[class].total, memory_order_relaxed);
      peak += h->stat[class].peak;
    }
  if (peak > sum.peak) sum.peak = peak;
  return sum;
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

static void print_row(output_t out, unsigned class, class_stat_t s, uint64_t live) {
  char peak[24], total[24], freed[24], size[24], count[24], line[200];
  double unit = class == CLASS_LARGE ? 1 : (double)(class_words(class) * WORD);
  const char* what = class == CLASS_LARGE ? "" : "b";
  double base = class == CLASS_LARGE ? 1000 : 1024;
  print_amount(peak, sizeof peak, (double)s.peak * unit, base, what);
  print_amount(total, sizeof total, (double)s.total * unit, base, what);
  print_amount(freed, sizeof freed, (double)(s.total - live) * unit, base, what);
  print_amount(size, sizeof size, unit, 1024, "b");
  print_amount(count, sizeof count, (double)s.total, 1000, "");
  snprintf(line, sizeof line, "%-7s %3u: %10s %10s %10s %10s %10s  %s\n",
           class == CLASS_LARGE ? "large" : "normal", class, peak, total, freed,
           class == CLASS_LARGE ? ">64 kb" : size, count, live == 0 ? "ok" : "not all freed!");
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
  output_t out = {fn != NULL ? fn : to_stderr, arg};
  table_t t = {0};
  mi_task_t* task = task_self();
  if (task != NULL)
    for (mi_heap_t* h = task->heaps; h != NULL; h = h->next) heap_ungrant_all(h);
  count_pages(&t);
  uint64_t live = 0;
  out.fn("heap stats:       peak      total      freed       unit      count\n", out.arg);
  for (unsigned c = 1; c < CLASS_COUNT; c++) {
    class_stat_t s = sum_of_heaps(c);
    if (s.total > 0) print_row(out, c, s, t.live[c]);
    live += t.live[c];
  }
  print_process(out);
  out.fn(live == 0 ? "ok\n" : "not all freed!\n", out.arg);
}

void mi_stats_print(void* unused) {
  (void)unused;
  mi_stats_print_out(NULL, NULL);
}
