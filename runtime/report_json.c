/* report_json.c: all figures for tools, and events for trace viewers. All are integers and fixed
** texts, but for the names of scopes. */
#include "runtime/report.h"

typedef unsigned long long ull;

/* ---- JSON ------------------------------------------------------------------------------------
**
** What is in "repeats" depends on the program alone; the rows of "measured" belong to those of
** "repeats" by their place, or have a tick of their own. */

static void put_limit(FILE* out, const char* name, uint64_t limit, const char* end) {
  fprintf(out, "\"%s\": ", name);
  if (limit == 0)
    fprintf(out, "null%s", end);
  else
    fprintf(out, "%llu%s", (ull)limit, end);
}

static void put_histogram(FILE* out, const char* name, const histogram_t h, const char* end) {
  unsigned last = BUCKETS;
  while (last > 0 && h[last - 1] == 0) last--;
  fprintf(out, "\"%s\": [", name);
  for (unsigned b = 0; b < last; b++) fprintf(out, "%s%llu", b > 0 ? ", " : "", (ull)h[b]);
  fprintf(out, "]%s", end);
}

static const char* comma_at(uint32_t i) { return i > 0 ? ",\n" : "\n"; }

static void put_causes(FILE* out, const figures_t* f, bool measured) {
  fputs("    \"causes\": [", out);
  for (int i = 0; i < PAUSE_KINDS; i++) {
    const rt_pause* p = &f->pauses[i];
    fprintf(out, "%s      {\"cause\": \"%s\", ", comma_at((uint32_t)i),
            rt_pause_name((rt_pause_kind)i));
    if (measured) {
      fprintf(out, "\"total_ns\": %llu, \"most_ns\": %llu, ", (ull)p->total_ns, (ull)p->ns);
      put_histogram(out, "by_log2_ns", f->r->by_ns[i], "}");
    } else {
      fprintf(out, "\"pauses\": %llu, \"units\": %llu, \"most_units\": %llu, ", (ull)p->count,
              (ull)f->r->units[i], (ull)p->units);
      put_histogram(out, "by_log2_units", f->r->by_units[i], "}");
    }
  }
  fputs("\n    ],\n", out);
}

static void put_samples(FILE* out, const series_t* s, bool measured) {
  fputs("    \"samples\": [", out);
  for (uint32_t i = 0; i < s->rows; i++) {
    const sample_t* row = series_row(s, i);
    fputs(comma_at(i), out);
    if (measured)
      fprintf(out, "      {\"at_ns\": %llu, \"resident_bytes\": %llu}", (ull)row->at_ns,
              (ull)row->resident);
    else
      fprintf(out,
              "      {\"tick\": %llu, \"bytes\": %llu, \"bytes_most\": %llu, \"waiting\": %llu, "
              "\"waiting_most\": %llu, \"owed_units\": %llu, \"objects\": %lld}",
              (ull)row->tick, (ull)row->bytes, (ull)row->bytes_most, (ull)row->waiting,
              (ull)row->waiting_most, (ull)row->owed, (long long)row->objects);
  }
  fputs("\n    ],\n", out);
}

static void put_event(FILE* out, const event_t* e, uint32_t i, bool measured) {
  fprintf(out, "%s      {\"tick\": %llu, \"cause\": \"%s\", \"units\": %llu", comma_at(i),
          (ull)e->tick, rt_pause_name((rt_pause_kind)e->kind), (ull)e->units);
  if (measured)
    fprintf(out, ", \"at_ns\": %llu, \"ns\": %llu, \"thread\": %u", (ull)e->at_ns, (ull)e->ns,
            e->thread);
  fputc('}', out);
}

static void put_events(FILE* out, const char* name, const series_t* s, bool measured) {
  fprintf(out, "    \"%s\": [", name);
  for (uint32_t i = 0; i < s->rows; i++) put_event(out, series_row(s, i), i, measured);
  fputs("\n    ]", out);
}

/* The name has no control characters. */
static void put_name_of(FILE* out, const span_t* s) {
  fputs("\"name\": \"", out);
  for (const char* c = s->name; *c != '\0'; c++) {
    if (*c == '"' || *c == '\\') fputc('\\', out);
    fputc(*c, out);
  }
  fputc('"', out);
}

static void put_amount(FILE* out, const char* name, uint64_t n) {
  fprintf(out, ", \"%s\": ", name);
  if (n == UINT64_MAX)
    fputs("null", out);
  else
    fprintf(out, "%llu", (ull)n);
}

static void put_span(FILE* out, const span_t* s, bool goes_on) {
  fprintf(out, "{\"kind\": \"%s\", \"number\": %llu, ", s->level > 0 ? "scope" : "child",
          (ull)s->number);
  put_name_of(out, s);
  fprintf(out, ", \"level\": %u, \"begin\": %llu, \"end\": %llu, \"goes_on\": %s", s->level,
          (ull)s->begin, (ull)s->tick, goes_on ? "true" : "false");
  put_amount(out, "used_ticks", s->used);
  put_amount(out, "limit_ticks", s->ticks);
  put_amount(out, "limit_bytes", s->bytes);
  put_amount(out, "limit_depth", s->depth);
  fprintf(out, ", \"ended_by\": \"%s\"}", rt_limit_name(s->ended_by));
}

static void put_spans(FILE* out, const figures_t* f, bool measured) {
  fputs("    \"scopes\": [", out);
  for (uint32_t i = 0; i < spans_in(f->r); i++) {
    span_t s = span_of(f, i);
    fprintf(out, "%s      ", comma_at(i));
    if (measured)
      fprintf(out, "{\"at_ns\": %llu, \"ns\": %llu}", (ull)s.at_ns, (ull)s.ns);
    else
      put_span(out, &s, i >= f->r->spans.rows);
  }
  fputs("\n    ],\n", out);
}

static void put_classes(FILE* out, const figures_t* f) {
  fputs("    \"size_classes\": [", out);
  for (unsigned c = 1, i = 0; c < CLASS_COUNT; c++) {
    const class_use_t* use = &f->classes[c];
    if (use->total == 0 && use->pages == 0) continue;
    fputs(comma_at(i++), out);
    fputs("      {", out);
    put_limit(out, "block_bytes", c == CLASS_LARGE ? 0 : class_words(c) * WORD, ", ");
    fprintf(out, "\"blocks\": %llu, \"bytes\": %llu, \"pages\": %llu, \"blocks_ever\": %llu}",
            (ull)use->blocks, (ull)use->bytes, (ull)use->pages, (ull)use->total);
  }
  fputs("\n    ]\n", out);
}

static void put_repeats(FILE* out, const figures_t* f) {
  const recorder_t* r = f->r;
  fprintf(out, "    \"ticks\": %llu,\n    \"beats\": %llu,\n    \"ticks_to_a_beat\": %llu,\n    ",
          (ull)f->ticks, (ull)f->beats, (ull)f->period);
  put_limit(out, "limit_beats", r->limit_beats, ",\n    ");
  put_limit(out, "limit_bytes", r->limit_bytes, ",\n");
  fprintf(out, "    \"ended_by\": \"%s\",\n", rt_limit_name(f->expired));
  fprintf(out, "    \"bytes\": %llu,\n    \"bytes_peak\": %llu,\n", (ull)f->bytes,
          (ull)f->bytes_peak);
  fprintf(out, "    \"objects\": %lld,\n    \"waiting\": %llu,\n    \"waiting_peak\": %llu,\n",
          (long long)f->objects, (ull)f->waiting, (ull)f->waiting_peak);
  fprintf(out, "    \"owed_units\": %llu,\n", (ull)f->owed);
  put_causes(out, f, false);
  fprintf(out, "    \"beats_to_a_sample\": %llu,\n", (ull)r->samples.interval);
  put_samples(out, &r->samples, false);
  fprintf(out, "    \"heavy_units\": %llu,\n    \"heavy_pauses\": %llu,\n", (ull)r->least_units,
          (ull)r->heavy_count);
  fprintf(out, "    \"beats_to_a_heavy_pause\": %llu,\n", (ull)r->heavy.interval);
  put_events(out, "heavy", &r->heavy, false);
  fprintf(out, ",\n    \"scopes_ended\": %llu,\n    \"beats_to_a_scope\": %llu,\n",
          (ull)r->span_count, (ull)r->spans.interval);
  put_spans(out, f, false);
  put_classes(out, f);
}

static void put_measured(FILE* out, const figures_t* f) {
  const recorder_t* r = f->r;
  fprintf(out, "    \"times\": %s,\n    \"elapsed_ns\": %llu,\n    \"resident_peak\": %llu,\n",
          f->measured ? "true" : "false", (ull)f->elapsed_ns, (ull)f->resident_peak);
  put_causes(out, f, true);
  put_samples(out, &r->samples, true);
  put_spans(out, f, true);
  fprintf(out, "    \"long_ns\": %llu,\n    \"long_pauses\": %llu,\n", (ull)r->least_ns,
          (ull)r->long_count);
  fprintf(out, "    \"beats_to_a_long_pause\": %llu,\n", (ull)r->lengthy.interval);
  put_events(out, "long", &r->lengthy, true);
  fputs(",\n    \"longest\": [", out);
  for (uint32_t i = 0; i < r->longest_count; i++) put_event(out, &r->longest[i], i, true);
  fputs("\n    ]\n", out);
}

void report_json(FILE* out, const figures_t* f) {
  fputs("{\n  \"sluice_report\": 1,\n  \"repeats\": {\n", out);
  put_repeats(out, f);
  fputs("  },\n  \"measured\": {\n", out);
  put_measured(out, f);
  fputs("  }\n}\n", out);
}

/* ---- Trace events ----------------------------------------------------------------------------
**
** Times are microseconds there. Without times, pauses are moments, and one tick is a
** microsecond. */

/* Who multiplies the double that is nearest to it by 1,000 and cuts what is behind the point, as Perfetto does, may
** lose a nanosecond, and then ends are not where they were: so a tenth of one is added there. */
static void put_ns(FILE* out, const char* name, uint64_t ns) {
  bool lost = (uint64_t)((double)ns / 1000 * 1000) != ns;
  fprintf(out, ", \"%s\": %llu.%03llu%s", name, (ull)(ns / 1000), (ull)(ns % 1000),
          lost ? "1" : "");
}

static void put_moment(FILE* out, const figures_t* f, uint64_t at_ns, uint64_t tick) {
  if (f->measured)
    put_ns(out, "ts", at_ns);
  else
    fprintf(out, ", \"ts\": %llu", (ull)tick);
}

static void trace_pause(FILE* out, const figures_t* f, const event_t* e) {
  fprintf(out, ",\n{\"ph\": \"%s\", \"cat\": \"pause\", \"name\": \"%s\", \"pid\": 1, \"tid\": %u",
          f->measured ? "X" : "i", rt_pause_name((rt_pause_kind)e->kind), e->thread);
  put_moment(out, f, e->at_ns, e->tick);
  if (f->measured)
    put_ns(out, "dur", e->ns);
  else
    fputs(", \"s\": \"t\"", out);
  fprintf(out, ", \"args\": {\"cause\": \"%s\", \"units\": %llu, \"tick\": %llu}}",
          rt_pause_name((rt_pause_kind)e->kind), (ull)e->units, (ull)e->tick);
}

static void trace_counter(FILE* out, const figures_t* f, const sample_t* s, const char* name,
                          const char* unit, uint64_t value) {
  fprintf(out, ",\n{\"ph\": \"C\", \"name\": \"%s\", \"pid\": 1", name);
  put_moment(out, f, s->at_ns, s->tick);
  fprintf(out, ", \"args\": {\"%s\": %llu}}", unit, (ull)value);
}

/* Scopes nest, so they are slices of a track of their own; children overlap, so each is one. If several begin at the
** same time the outer one comes first, which ended last. */
enum { SCOPES = 1000000 };

static void trace_scope(FILE* out, const figures_t* f, const span_t* s) {
  fprintf(out, ",\n{\"ph\": \"X\", \"cat\": \"scope\", ");
  put_name_of(out, s);
  fprintf(out, ", \"pid\": 1, \"tid\": %d", SCOPES);
  put_moment(out, f, s->at_ns, s->begin);
  if (f->measured)
    put_ns(out, "dur", s->ns);
  else
    fprintf(out, ", \"dur\": %llu", (ull)(s->tick - s->begin));
}

static void trace_moment(FILE* out, const figures_t* f, const span_t* s, char phase) {
  fprintf(out, ",\n{\"ph\": \"%c\", \"cat\": \"child\", \"id\": \"%llu\", ", phase, (ull)s->number);
  put_name_of(out, s);
  fprintf(out, ", \"pid\": 1, \"tid\": %d", SCOPES);
  if (phase == 'b')
    put_moment(out, f, s->at_ns, s->begin);
  else
    put_moment(out, f, s->at_ns + s->ns, s->tick);
}

static void trace_span(FILE* out, const figures_t* f, uint32_t i) {
  span_t s = span_of(f, i);
  if (s.level > 0)
    trace_scope(out, f, &s);
  else
    trace_moment(out, f, &s, 'b');
  fputs(", \"args\": ", out);
  put_span(out, &s, i >= f->r->spans.rows);
  fputc('}', out);
  if (s.level > 0) return;
  trace_moment(out, f, &s, 'e');
  fputc('}', out);
}

static void put_name(FILE* out, const char* what, unsigned thread, const char* name) {
  fprintf(
      out,
      "{\"ph\": \"M\", \"name\": \"%s\", \"pid\": 1, \"tid\": %u, \"args\": {\"name\": \"%s\"}}",
      what, thread, name);
}

void report_trace(FILE* out, const figures_t* f) {
  const series_t *samples = &f->r->samples, *events = f->measured ? &f->r->lengthy : &f->r->heavy;
  fprintf(out,
          "{\"displayTimeUnit\": \"ns\",\n\"otherData\": {\"time\": \"%s\", \"ticks\": %llu},\n",
          f->measured ? "since the task began" : "1 us is one tick", (ull)f->ticks);
  fputs("\"traceEvents\": [\n", out);
  put_name(out, "process_name", 0, "task");
  if (spans_in(f->r) > 0) {
    fputs(",\n", out);
    put_name(out, "thread_name", SCOPES, "scopes");
  }
  for (uint32_t i = spans_in(f->r); i > 0; i--) trace_span(out, f, i - 1);
  for (uint32_t i = 0; i < events->rows; i++) trace_pause(out, f, series_row(events, i));
  for (uint32_t i = 0; i < samples->rows; i++) {
    const sample_t* s = series_row(samples, i);
    trace_counter(out, f, s, "memory", "bytes", s->bytes);
    trace_counter(out, f, s, "waiting", "objects", s->waiting);
    trace_counter(out, f, s, "owed", "units", s->owed);
    if (f->measured) trace_counter(out, f, s, "tick", "ticks", s->tick);
  }
  fputs("\n]}\n", out);
}
