/* report_text.c: pauses as a histogram for a terminal, in 80 columns. */
#include "runtime/report.h"

static const char letters[PAUSE_KINDS + 1] = "drqbf";

static uint64_t in_bucket(const figures_t* f, unsigned bucket) {
  uint64_t sum = 0;
  for (int kind = 0; kind < PAUSE_KINDS; kind++) sum += histogram_of(f, kind)[bucket];
  return sum;
}

/* A letter for each part of the bar's length that a cause has, one at least if it has any; always
** in the same order. */
static void write_bar(FILE* out, const figures_t* f, unsigned bucket, unsigned length) {
  uint64_t all = in_bucket(f, bucket), so_far = 0;
  unsigned written = 0;
  for (int kind = 0; kind < PAUSE_KINDS; kind++) {
    uint64_t n = histogram_of(f, kind)[bucket];
    if (n == 0) continue;
    so_far += n;
    unsigned to = (unsigned)((double)so_far / (double)all * length + 0.5);
    if (to <= written) to = written + 1;
    for (; written < to; written++) fputc(letters[kind], out);
  }
}

static void write_histogram(FILE* out, const figures_t* f) {
  enum { WIDTH = 38 }; /* and one letter for each cause that would have none */
  unsigned first, last;
  uint64_t most = 1;
  if (!histogram_range(f, &first, &last)) return;
  for (unsigned b = first; b <= last; b++)
    if (in_bucket(f, b) > most) most = in_bucket(f, b);
  fprintf(out, "\n%21s %13s  d rc_dec r refill q request b beat f forced\n",
          f->measured ? "length" : "units", "pauses");
  for (unsigned b = first; b <= last; b++) {
    char from[AMOUNT], to[AMOUNT], count[AMOUNT];
    const char* (*amount)(char*, uint64_t) = f->measured ? amount_ns : amount_short;
    uint64_t n = in_bucket(f, b);
    fprintf(out, "%9s", amount(from, bucket_from(b)));
    if (b == BUCKETS - 1)
      fprintf(out, " %-11s", "or more");
    else
      fprintf(out, " .. %8s", amount(to, b == 0 ? 1 : 2 * bucket_from(b)));
    fprintf(out, " %13s", amount_count(count, n));
    if (n > 0) {
      fputs("  ", out);
      write_bar(out, f, b, (unsigned)(WIDTH * log2_of((double)n + 1) / log2_of((double)most + 1)));
    }
    fputc('\n', out);
  }
  fputs("Bars: the logarithm of the count; their letters: the shares of the causes.\n", out);
}

static void write_causes(FILE* out, const figures_t* f) {
  fprintf(out, "%-8s %14s %12s %12s %12s %16s\n", "cause", "pauses", "longest", "in all",
          "most units", "units in all");
  for (int kind = 0; kind < PAUSE_KINDS; kind++) {
    char count[AMOUNT], ns[AMOUNT], all[AMOUNT], units[AMOUNT], total[AMOUNT];
    const rt_pause* p = &f->pauses[kind];
    fprintf(out, "%-8s %14s %12s %12s %12s %16s\n", rt_pause_name((rt_pause_kind)kind),
            amount_count(count, p->count), f->measured ? amount_ns(ns, p->ns) : "-",
            f->measured ? amount_ns(all, p->total_ns) : "-", amount_count(units, p->units),
            amount_count(total, f->r->units[kind]));
  }
}

static void write_worst(FILE* out, const figures_t* f) {
  enum { SHOWN = 5 };
  event_t worst[LONGEST];
  unsigned n = worst_events(f, worst);
  char count[AMOUNT], least[AMOUNT];
  if (n == 0) return;
  if (f->measured)
    fprintf(out, "\n%s took %s or more. The longest:\n", amount_count(count, f->r->long_count),
            amount_ns(least, f->r->least_ns));
  else
    fprintf(out, "\n%s spent %s units or more. The heaviest:\n",
            amount_count(count, f->r->heavy_count), amount_count(least, f->r->least_units));
  fprintf(out, "%-8s %14s %12s %12s\n", "cause", "at tick", "length", "units");
  for (unsigned i = 0; i < n && i < SHOWN; i++) {
    char tick[AMOUNT], ns[AMOUNT], units[AMOUNT];
    const event_t* e = &worst[i];
    fprintf(out, "%-8s %14s %12s %12s\n", rt_pause_name((rt_pause_kind)e->kind),
            amount_count(tick, e->tick), f->measured ? amount_ns(ns, e->ns) : "-",
            amount_count(units, e->units));
  }
}

void report_text(FILE* out, const figures_t* f) {
  write_causes(out, f);
  write_worst(out, f);
  write_histogram(out, f);
}
