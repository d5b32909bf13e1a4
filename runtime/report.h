/* report.h: the figures of a report, and who writes them: report.c takes them and chooses,
** report_text.c writes for terminals, report_json.c for tools, report_html.c and report_svg.c for
** people. No number is written through the locale, whose decimal comma would break what is for
** machines. */
#ifndef SLUICE_REPORT_H
#define SLUICE_REPORT_H

#include "runtime/record.h"

/* Of a size class: what lives, and what was ever handed out. */
typedef struct class_use {
  uint64_t blocks, bytes, pages, total;
} class_use_t;

typedef struct figures {
  const recorder_t* r;
  bool measured;
  uint64_t ticks, beats, period;
  uint64_t bytes, bytes_peak, waiting, waiting_peak, owed;
  int64_t objects;
  uint64_t elapsed_ns, resident_peak; /* 0: not known */
  rt_limit expired;
  rt_pause pauses[PAUSE_KINDS];
  class_use_t classes[CLASS_COUNT];
} figures_t;

void report_text(FILE* out, const figures_t* f);
void report_json(FILE* out, const figures_t* f);
void report_trace(FILE* out, const figures_t* f);
void report_html(FILE* out, const figures_t* f);

/* The i-th of spans_in(f->r), at the moment of the report. */
static inline span_t span_of(const figures_t* f, uint32_t i) {
  return span_at(f->r, i, f->ticks, f->elapsed_ns);
}

/* The pictures of the page. */
void picture_memory(FILE* out, const figures_t* f);
void picture_backlog(FILE* out, const figures_t* f);
void picture_pauses(FILE* out, const figures_t* f);
void picture_classes(FILE* out, const figures_t* f);
void picture_spans(FILE* out, const figures_t* f); /* if there are any */
void put_html(FILE* out, const char* text);        /* with < and & as they are written there */

/* The events that say most: the longest, or, if times are not measured, the heaviest, these first.
** How many. */
unsigned worst_events(const figures_t* f, event_t worst[LONGEST]);
/* Histograms by time, or, if that is not measured, by units. */
static inline const uint64_t* histogram_of(const figures_t* f, int kind) {
  return f->measured ? f->r->by_ns[kind] : f->r->by_units[kind];
}
/* First and last bucket that any cause has something in; false: there is none. */
bool histogram_range(const figures_t* f, unsigned* first, unsigned* last);
/* The least that is in the bucket. */
static inline uint64_t bucket_from(unsigned bucket) {
  return bucket == 0 ? 0 : (uint64_t)1 << (bucket - 1);
}
double log2_of(double x); /* of 1 or more */

/* Amounts as text for people. */
enum { AMOUNT = 32 };
const char* amount_count(char text[AMOUNT], uint64_t n); /* 1,234,567 */
const char* amount_short(char text[AMOUNT], uint64_t n); /* 1.2 M */
const char* amount_bytes(char text[AMOUNT], uint64_t n); /* 1.2 MiB */
const char* amount_ns(char text[AMOUNT], uint64_t ns);   /* 1.2 us */
const char* amount_time(char text[AMOUNT],
                        uint64_t ns); /* the same in UTF-8, with the Greek letter */

#endif
