/* report_html.c: the page: a summary in words, pictures, and tables. It loads nothing and runs
** no script. Numbers that were rounded stand in <data> elements with the exact value, and the name
** that it has in the JSON report. */
#include "runtime/report.h"

typedef unsigned long long ull;

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Report of a task</title>\n<style>\n"
    ":root { color-scheme: light dark; --paper: #fdfdfb; --card: #f3f3ef; --ink: #1d1f24; --soft: "
    "#686c76;\n"
    "  --rule: #dcdcd6; --c0: #2f6fb2; --c1: #d9860a; --c2: #1f8f6b; --c3: #a4569b; --c4: #c8442b; "
    "}\n"
    "@media (prefers-color-scheme: dark) { :root { --paper: #15171b; --card: #1e2127; --ink: "
    "#e4e5e8;\n"
    "  --soft: #9aa0ab; --rule: #343842; --c0: #6aa9ea; --c1: #f0ab44; --c2: #4fc49b; --c3: "
    "#cd86c5;\n"
    "  --c4: #f0806a; } }\n"
    "body { margin: 0 auto; max-width: 46rem; padding: 2.5rem 1.25rem 4rem; background: "
    "var(--paper);\n"
    "  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }\n"
    "h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.01em; }\n"
    "h2 { font-size: 1.1rem; margin: 0; }\n"
    "p { margin: .2rem 0 .9rem; }\n"
    "figure, section { margin: 2.6rem 0 0; }\n"
    "figcaption p, .soft, footer { color: var(--soft); font-size: .92rem; }\n"
    "dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;\n"
    "  margin: 1.6rem 0 0; }\n"
    "dl div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }\n"
    "dt { color: var(--soft); font-size: .85rem; }\n"
    "dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }\n"
    "svg { display: block; width: 100%; min-width: 36rem; height: auto; font: 12px system-ui, "
    "sans-serif; }\n"
    "svg text { fill: var(--soft); }\n"
    "svg .start { text-anchor: start; } svg .middle { text-anchor: middle; } svg .end { "
    "text-anchor: end; }\n"
    "svg .on { fill: var(--paper); } svg .name { fill: var(--ink); } svg .small { font-size: 10px; "
    "}\n"
    ".grid { stroke: var(--rule); } .axis { stroke: var(--soft); }\n"
    ".limit { stroke: var(--c4); stroke-dasharray: 6 4; } svg text.limit { fill: var(--c4); "
    "stroke: none; }\n"
    ".most { fill: var(--c0); opacity: .22; }\n"
    ".now { fill: none; stroke: var(--c0); stroke-width: 1.5; stroke-linejoin: round; }\n"
    ".c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: "
    "var(--c3); }\n"
    ".c4 { fill: var(--c4); }\n"
    "table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; "
    "font-size: .92rem; }\n"
    "th { color: var(--soft); font-weight: normal; border-bottom: 1px solid var(--rule); }\n"
    "th, td { padding: .25rem .45rem; text-align: right; white-space: nowrap; }\n"
    "th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; "
    "min-width: 7rem; }\n"
    "th:last-child, td:last-child { padding-right: 0; }\n"
    "td i { display: inline-block; width: .7rem; height: .7rem; border-radius: .15rem; "
    "margin-right: .5rem; }\n"
    "i.c0 { background: var(--c0); } i.c1 { background: var(--c1); } i.c2 { background: var(--c2); "
    "}\n"
    "i.c3 { background: var(--c3); } i.c4 { background: var(--c4); }\n"
    "summary { cursor: pointer; } .wide { overflow-x: auto; margin-top: .9rem; }\n"
    "</style>\n</head>\n<body>\n";

/* ---- Numbers --------------------------------------------------------------------------------- */

typedef const char* amount_fun(char*, uint64_t);

/* `name` is where the JSON has it. */
static void put(FILE* out, amount_fun* amount, const char* name, uint64_t value) {
  char text[AMOUNT];
  fprintf(out, "<data value=\"%llu\" data-name=\"%s\">%s</data>", (ull)value, name,
          amount(text, value));
}

/* The same in a cell; `name` has the row's index in its middle. */
static void put_cell(FILE* out, amount_fun* amount, const char* list, unsigned row,
                     const char* name, uint64_t value) {
  char path[100];
  snprintf(path, sizeof path, "%s.%u.%s", list, row, name);
  fputs("<td>", out);
  put(out, amount, path, value);
  fputs("</td>", out);
}

/* ---- The summary ----------------------------------------------------------------------------- */

static void put_run(FILE* out, const figures_t* f) {
  fputs("It ran for ", out);
  put(out, amount_count, "repeats.ticks", f->ticks);
  fputs(" ticks (", out);
  put(out, amount_count, "repeats.beats", f->beats);
  fputs(" beats of ", out);
  put(out, amount_count, "repeats.ticks_to_a_beat", f->period);
  fputc(')', out);
  if (f->measured) {
    fputs(" in ", out);
    put(out, amount_time, "measured.elapsed_ns", f->elapsed_ns);
  }
  if (f->expired != RT_NONE)
    fprintf(out, ", and was ended by its <strong>%s</strong>", rt_limit_name(f->expired));
  fputc('.', out);
  if (f->r->limit_beats > 0) {
    fputs(" It was allowed ", out);
    put(out, amount_count, "repeats.limit_beats", f->r->limit_beats);
    fputs(" beats.", out);
  }
}

static void put_memory(FILE* out, const figures_t* f) {
  fputs(" It held ", out);
  put(out, amount_bytes, "repeats.bytes_peak", f->bytes_peak);
  fputs(" at most", out);
  if (f->r->limit_bytes > 0) {
    fputs(", of ", out);
    put(out, amount_bytes, "repeats.limit_bytes", f->r->limit_bytes);
    fputs(" that it was allowed,", out);
  }
  fputs(" and ", out);
  put(out, amount_bytes, "repeats.bytes", f->bytes);
  fputs(" at the end.", out);
}

static void put_pauses(FILE* out, const figures_t* f) {
  char text[AMOUNT];
  uint64_t count = 0, ns = 0;
  event_t worst[LONGEST];
  for (int kind = 0; kind < PAUSE_KINDS; kind++)
    count += f->pauses[kind].count, ns += f->pauses[kind].total_ns;
  fprintf(out, " It stood still %s times", amount_count(text, count));
  if (f->measured) fprintf(out, ", for %s in all", amount_time(text, ns));
  if (worst_events(f, worst) > 0) {
    const event_t* e = &worst[0];
    fprintf(out, "; the worst, in <strong>%s</strong>, ", rt_pause_name((rt_pause_kind)e->kind));
    if (f->measured) {
      fputs("took ", out);
      put(out, amount_time, "measured.longest.0.ns", e->ns);
      fputs(" and ", out);
    }
    fprintf(out, "spent %s units on freeing", amount_count(text, e->units));
  }
  fputs(".</p>\n", out);
}

static void put_figure(FILE* out, const char* term, amount_fun* amount, const char* name,
                       uint64_t value) {
  fprintf(out, "<div><dt>%s</dt><dd>", term);
  put(out, amount, name, value);
  fputs("</dd></div>\n", out);
}

static void put_summary(FILE* out, const figures_t* f) {
  fputs("<h1>What the task did</h1>\n<p>", out);
  put_run(out, f);
  put_memory(out, f);
  put_pauses(out, f);
  fputs("<dl>\n", out);
  put_figure(out, "ticks", amount_short, "repeats.ticks", f->ticks);
  put_figure(out, "most memory", amount_bytes, "repeats.bytes_peak", f->bytes_peak);
  put_figure(out, "most waiting dead", amount_short, "repeats.waiting_peak", f->waiting_peak);
  if (f->r->longest_count > 0)
    put_figure(out, "longest pause", amount_time, "measured.longest.0.ns", f->r->longest[0].ns);
  fputs("</dl>\n", out);
}

void put_html(FILE* out, const char* text) {
  for (; *text != '\0'; text++) {
    if (*text == '<')
      fputs("&lt;", out);
    else if (*text == '&')
      fputs("&amp;", out);
    else
      fputc(*text, out);
  }
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static void put_cause(FILE* out, unsigned kind) {
  fprintf(out, "<tr><td><i class=\"c%u\"></i>%s</td>", kind, rt_pause_name((rt_pause_kind)kind));
}

static void put_causes(FILE* out, const figures_t* f) {
  fprintf(out,
          "<div class=\"wide\">\n<table>\n<thead><tr><th>cause</th><th>pauses</th>%s<th>most "
          "units</th><th>units in "
          "all</th></tr></thead>\n<tbody>\n",
          f->measured ? "<th>longest</th><th>in all</th>" : "");
  for (unsigned i = 0; i < PAUSE_KINDS; i++) {
    const rt_pause* p = &f->pauses[i];
    put_cause(out, i);
    put_cell(out, amount_count, "repeats.causes", i, "pauses", p->count);
    if (f->measured) {
      put_cell(out, amount_time, "measured.causes", i, "most_ns", p->ns);
      put_cell(out, amount_time, "measured.causes", i, "total_ns", p->total_ns);
    }
    put_cell(out, amount_count, "repeats.causes", i, "most_units", p->units);
    put_cell(out, amount_count, "repeats.causes", i, "units", f->r->units[i]);
    fputs("</tr>\n", out);
  }
  fputs("</tbody>\n</table>\n</div>\n", out);
}

/* Without times these are no rows of the JSON, but sorted from some. */
static void put_worst(FILE* out, const figures_t* f) {
  enum { SHOWN = 10 };
  event_t worst[LONGEST];
  unsigned n = worst_events(f, worst);
  if (n == 0) return;
  fprintf(out, "<section>\n<h2>The %s</h2>\n<p class=\"soft\">of ",
          f->measured ? "longest" : "heaviest");
  if (f->measured) {
    put(out, amount_count, "measured.long_pauses", f->r->long_count);
    fputs(" that took ", out);
    put(out, amount_time, "measured.long_ns", f->r->least_ns);
  } else {
    put(out, amount_count, "repeats.heavy_pauses", f->r->heavy_count);
    fputs(" that spent ", out);
    put(out, amount_count, "repeats.heavy_units", f->r->least_units);
  }
  fprintf(out,
          "%s or more.</p>\n<div class=\"wide\">\n<table>\n<thead><tr><th>cause</th><th>at "
          "tick</th><th>units</th>%s</tr></thead>\n<tbody>\n",
          f->measured ? "" : " units", f->measured ? "<th>length</th>" : "");
  for (unsigned i = 0; i < n && i < SHOWN; i++) {
    char tick[AMOUNT], units[AMOUNT];
    const event_t* e = &worst[i];
    put_cause(out, e->kind);
    if (f->measured) {
      put_cell(out, amount_count, "measured.longest", i, "tick", e->tick);
      put_cell(out, amount_count, "measured.longest", i, "units", e->units);
      put_cell(out, amount_time, "measured.longest", i, "ns", e->ns);
    } else {
      fprintf(out, "<td>%s</td><td>%s</td>", amount_count(tick, e->tick),
              amount_count(units, e->units));
    }
    fputs("</tr>\n", out);
  }
  fputs("</tbody>\n</table>\n</div>\n</section>\n", out);
}

/* The longest, in the order of their ends: a scope comes after those within it. */
enum { SPANS_SHOWN = 20 };

static uint64_t shortest_shown(const figures_t* f) {
  uint64_t longest[SPANS_SHOWN] = {0};
  for (uint32_t i = 0; i < spans_in(f->r); i++) {
    span_t s = span_of(f, i);
    uint64_t length = s.tick - s.begin;
    int at = SPANS_SHOWN;
    while (at > 0 && longest[at - 1] < length) at--;
    if (at == SPANS_SHOWN) continue;
    memmove(&longest[at + 1], &longest[at], (size_t)(SPANS_SHOWN - 1 - at) * sizeof *longest);
    longest[at] = length;
  }
  return longest[SPANS_SHOWN - 1];
}

static void put_amount(FILE* out, amount_fun* amount, unsigned row, const char* name, uint64_t n) {
  if (n == UINT64_MAX)
    fputs("<td>&ndash;</td>", out);
  else
    put_cell(out, amount, "repeats.scopes", row, name, n);
}

/* Without the word "limit", which is understood. */
static void put_ending(FILE* out, rt_limit why) {
  const char* name = why != RT_NONE ? rt_limit_name(why) : "";
  const char* limit = strstr(name, " limit");
  fprintf(out, "<td>%.*s</td></tr>\n", (int)(limit != NULL ? limit - name : (long)strlen(name)),
          name);
}

static void put_spans(FILE* out, const figures_t* f) {
  uint64_t least = shortest_shown(f);
  unsigned shown = 0;
  fputs(
      "<div "
      "class=\"wide\">\n<table>\n<thead><tr><th>name</th><th>no.</th><th>begin</th><th>end</th>"
      "<th>used</th><th>of</th><th>bytes</th><th>calls</th><th>ended "
      "by</th></tr></thead>\n<tbody>\n",
      out);
  for (uint32_t i = 0; i < spans_in(f->r) && shown < SPANS_SHOWN; i++) {
    span_t s = span_of(f, i);
    if (s.tick - s.begin < least) continue;
    fprintf(out, "<tr><td><i class=\"c%u\"></i>", s.ended_by != RT_NONE ? 4 : s.level > 0 ? 0 : 2);
    put_html(out, s.name);
    fputs("</td>", out);
    put_cell(out, amount_count, "repeats.scopes", i, "number", s.number);
    put_cell(out, amount_count, "repeats.scopes", i, "begin", s.begin);
    if (i >= f->r->spans.rows)
      fputs("<td>goes on</td>", out);
    else
      put_cell(out, amount_count, "repeats.scopes", i, "end", s.tick);
    put_amount(out, amount_count, i, "used_ticks", s.used);
    put_amount(out, amount_count, i, "limit_ticks", s.ticks);
    put_amount(out, amount_bytes, i, "limit_bytes", s.bytes);
    put_amount(out, amount_count, i, "limit_depth", s.depth);
    put_ending(out, s.ended_by);
    shown++;
  }
  fputs("</tbody>\n</table>\n</div>\n", out);
}

static void put_samples(FILE* out, const figures_t* f) {
  const series_t* s = &f->r->samples;
  fputs(
      "<section>\n<details>\n<summary>The curves as a table</summary>\n<div "
      "class=\"wide\">\n<table>\n<thead><tr><th>tick</th>"
      "<th>bytes</th><th>most</th><th>waiting</th><th>most</th></tr></thead>\n<tbody>\n",
      out);
  for (uint32_t i = 0; i < s->rows; i++) {
    const sample_t* row = series_row(s, i);
    fputs("<tr>", out);
    const uint64_t cells[] = {row->tick, row->bytes, row->bytes_most, row->waiting,
                              row->waiting_most};
    for (unsigned k = 0; k < sizeof cells / sizeof cells[0]; k++) {
      char text[AMOUNT];
      fprintf(out, "<td>%s</td>", amount_count(text, cells[k]));
    }
    fputs("</tr>\n", out);
  }
  fputs("</tbody>\n</table>\n</div>\n</details>\n</section>\n", out);
}

/* ---- The page -------------------------------------------------------------------------------- */

static void put_picture(FILE* out, const figures_t* f, void (*picture)(FILE*, const figures_t*),
                        const char* title, const char* text) {
  fprintf(out, "<figure>\n<figcaption><h2>%s</h2><p>%s</p></figcaption>\n<div class=\"wide\">\n",
          title, text);
  picture(out, f);
  fputs("</div>\n</figure>\n", out);
}

static const char about_memory[] =
    "What the task held at its beats; the light area is the most between two points. What waits to "
    "be freed is part of it.";
static const char about_lengths[] =
    "How often each cause made the guest wait, and for how long (on the wall, so what else the "
    "machine did is in it). Both axes are logarithmic.";
static const char about_units[] =
    "How often each cause made the guest wait, and how many units it spent on freeing then. Both "
    "axes are logarithmic.";
static const char about_backlog[] =
    "Dead objects that were not freed yet. What only they hold is not counted: of a list that "
    "dies, one waits.";
static const char about_spans[] =
    "When the scopes of the task ran, an outer one above those within it, and its children, until "
    "they were joined. Those in "
    "red were ended by a limit.";
static const char about_all[] =
    "Ticks, units, counts and bytes are the same in every run of the same program";

void report_html(FILE* out, const figures_t* f) {
  fputs(head, out);
  put_summary(out, f);
  put_picture(out, f, picture_memory, "Memory", about_memory);
  put_picture(out, f, picture_pauses, "Pauses", f->measured ? about_lengths : about_units);
  put_causes(out, f);
  put_worst(out, f);
  if (spans_in(f->r) > 0) {
    put_picture(out, f, picture_spans, "Scopes and children", about_spans);
    put_spans(out, f);
  }
  put_picture(out, f, picture_backlog, "Waiting", about_backlog);
  put_picture(out, f, picture_classes, "Size classes", "Blocks in use at the end, by their size.");
  put_samples(out, f);
  fprintf(out, "<footer><p>%s%s.</p></footer>\n</body>\n</html>\n", about_all,
          f->measured ? "; times are of this one" : "");
}
