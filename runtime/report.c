/* report.c: takes a task's figures and writes a report of them. They are all taken before the first
** is written. */
#include "runtime/report.h"

#include "rc/internal.h"

/* ---- Figures --------------------------------------------------------------------------------- */

static void count_page(page_t* page, void* classes) {
  unsigned class = page_class(page);
  class_use_t* use = (class_use_t*)classes + class;
  uint64_t live = page_live(page);
  use->blocks += live;
  use->pages++;
  use->bytes += live * (class == CLASS_LARGE ? granted_bytes(page) : class_words(class) * WORD);
}

static void count_heap(mi_heap_t* heap, class_use_t classes[CLASS_COUNT]) {
  heap_ungrant_all(heap);
  for (page_t* p = heap->full; p != NULL; p = p->next) count_page(p, classes);
  for (unsigned c = 1; c < CLASS_COUNT; c++) {
    for (page_t* p = heap->queue[c].first; p != NULL; p = p->next) count_page(p, classes);
    classes[c].total += stat_get(&heap->stat[c].total);
  }
}

/* The thread has the task, and nothing else happens there meanwhile. */
static void figures_take(rt_task* t, figures_t* f) {
  mi_task_t* task = task_of(t);
  recorder_t* r = task->recorder;
  recorder_sample(task, task->measure ? os_now_ns() : 0);
  const sample_t* last = series_row(&r->samples, r->samples.rows - 1);
  *f = (figures_t){.r = r,
                   .measured = task->measure,
                   .ticks = last->tick,
                   .beats = last->beat,
                   .period = task->period,
                   .bytes = last->bytes,
                   .bytes_peak = task_bytes_peak(task),
                   .waiting = last->waiting,
                   .owed = last->owed,
                   .objects = last->objects,
                   .elapsed_ns = last->at_ns,
                   .expired = rt_expired(t)};
  for (uint32_t i = 0; i < r->samples.rows; i++) {
    const sample_t* s = series_row(&r->samples, i);
    if (s->waiting_most > f->waiting_peak) f->waiting_peak = s->waiting_most;
    if (s->resident > f->resident_peak) f->resident_peak = s->resident;
  }
  rt_get_pauses(t, f->pauses);
  for (mi_heap_t* h = task->heaps; h != NULL; h = h->next) count_heap(h, f->classes);
}

static bool is_worse(const figures_t* f, const event_t* a, const event_t* b) {
  return f->measured ? a->ns > b->ns : a->units > b->units;
}

unsigned worst_events(const figures_t* f, event_t worst[LONGEST]) {
  const recorder_t* r = f->r;
  unsigned n = 0;
  memcpy(worst, r->longest, sizeof r->longest);
  if (f->measured) return r->longest_count;
  for (uint32_t i = 0; i < r->heavy.rows; i++) {
    const event_t* e = series_row(&r->heavy, i);
    unsigned at = n;
    if (at == LONGEST && !is_worse(f, e, &worst[--at])) continue;
    if (n < LONGEST) n++;
    for (; at > 0 && is_worse(f, e, &worst[at - 1]); at--) worst[at] = worst[at - 1];
    worst[at] = *e;
  }
  return n;
}

bool histogram_range(const figures_t* f, unsigned* first, unsigned* last) {
  *first = BUCKETS;
  *last = 0;
  for (int kind = 0; kind < PAUSE_KINDS; kind++) {
    for (unsigned b = 0; b < BUCKETS; b++) {
      if (histogram_of(f, kind)[b] == 0) continue;
      if (b < *first) *first = b;
      if (b > *last) *last = b;
    }
  }
  return *first <= *last;
}

/* The integer part by halving; then ten bits more, since squaring doubles what is left. */
double log2_of(double x) {
  double log = 0, bit = 1;
  while (x >= 2) x /= 2, log++;
  for (int i = 0; i < 10; i++) {
    x *= x;
    bit /= 2;
    if (x >= 2) x /= 2, log += bit;
  }
  return log;
}

/* ---- Amounts --------------------------------------------------------------------------------- */

const char* amount_count(char text[AMOUNT], uint64_t n) {
  char* at = text + AMOUNT;
  *--at = '\0';
  for (int digits = 0; digits == 0 || n > 0; digits++, n /= 10) {
    if (digits > 0 && digits % 3 == 0) *--at = ',';
    *--at = (char)('0' + n % 10);
  }
  return at;
}

/* With one decimal, unless that is 0. Below one of the units it is the plain number. */
static const char* scaled(char text[AMOUNT], uint64_t n, double base, const char* const units[]) {
  double x = (double)n;
  unsigned u = 0;
  for (; x >= base - 0.05 && units[u + 1] != NULL; u++) x /= base;
  uint64_t tenths = (uint64_t)(x * 10 + 0.5);
  if (tenths % 10 == 0 || u == 0)
    snprintf(text, AMOUNT, "%llu %s", (unsigned long long)(tenths / 10), units[u]);
  else
    snprintf(text, AMOUNT, "%llu.%llu %s", (unsigned long long)(tenths / 10),
             (unsigned long long)(tenths % 10), units[u]);
  return text;
}

const char* amount_short(char text[AMOUNT], uint64_t n) {
  static const char* const units[] = {"", "k", "M", "G", "T", NULL};
  scaled(text, n, 1000, units);
  if (n < 1000) text[strlen(text) - 1] = '\0';
  return text;
}

const char* amount_bytes(char text[AMOUNT], uint64_t n) {
  static const char* const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", NULL};
  return scaled(text, n, 1024, units);
}

const char* amount_ns(char text[AMOUNT], uint64_t ns) {
  static const char* const units[] = {"ns", "us", "ms", "s", NULL};
  return scaled(text, ns, 1000, units);
}

const char* amount_time(char text[AMOUNT], uint64_t ns) {
  static const char* const units[] = {"ns", "\302\265s", "ms", "s", NULL};
  return scaled(text, ns, 1000, units);
}

/* ---- Formats --------------------------------------------------------------------------------- */

static const struct {
  const char* suffix;
  void (*write)(FILE*, const figures_t*);
} formats[] = {
    [RT_REPORT_TEXT] = {".txt", report_text},
    [RT_REPORT_HTML] = {".html", report_html},
    [RT_REPORT_JSON] = {".json", report_json},
    [RT_REPORT_TRACE] = {".trace.json", report_trace},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

/* Nothing that the stream allocates is charged, if malloc is ours. */
static int write_report(rt_task* t, FILE* out, unsigned format) {
  figures_t figures;
  mi_task_t* task = task_of(t);
  bool hushed = task_hush(task);
  figures_take(t, &figures);
  formats[format].write(out, &figures);
  int error = stream_error(out);
  if (hushed) task_unhush(task);
  return error;
}

int rt_report(rt_task* t, FILE* out, rt_report_format format) {
  bool entered = rt_current() == t;
  if (!entered && rt_enter(t) != 0) return EBUSY;
  bool possible = task_of(t)->recorder != NULL && (unsigned)format < FORMATS;
  int error = possible ? write_report(t, out, format) : EINVAL;
  if (!entered) rt_leave();
  return error;
}

/* The longest suffix that fits; FORMATS: none. */
static unsigned format_of(const char* path) {
  unsigned best = FORMATS;
  size_t length = strlen(path), most = 0;
  for (unsigned i = 0; i < FORMATS; i++) {
    size_t n = strlen(formats[i].suffix);
    if (n <= most || n > length || strcmp(path + length - n, formats[i].suffix) != 0) continue;
    best = i;
    most = n;
  }
  return best;
}

bool rt_report_knows(const char* path) { return format_of(path) < FORMATS; }

int rt_report_file(rt_task* t, const char* path) {
  unsigned format = format_of(path);
  if (format == FORMATS || task_of(t)->recorder == NULL) return EINVAL;
  bool hushed = rt_current() == t && task_hush(task_of(t));
  FILE* out = fopen(path, "w");
  int error = out != NULL ? rt_report(t, out, (rt_report_format)format) : errno;
  if (out != NULL && fclose(out) != 0 && error == 0) error = errno;
  if (hushed) task_unhush(task_of(t));
  return error;
}
