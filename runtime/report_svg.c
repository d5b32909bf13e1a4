/* report_svg.c: the pictures of the page, as SVG. Colours and fonts are the page's. Coordinates are
** written with one decimal, by hand, since printf's comes from the locale. */
#include "runtime/report.h"

typedef unsigned long long ull;

enum { WIDTH = 720, LEFT = 78, RIGHT = 14, TOP = 12, BOTTOM = 40, INNER = WIDTH - LEFT - RIGHT };

/* ---- Parts ----------------------------------------------------------------------------------- */

static void put_at(FILE* out, const char* name, double x) {
  unsigned long tenths = x > 0 ? (unsigned long)(x * 10 + 0.5) : 0;
  fprintf(out, "%s%lu.%lu", name, tenths / 10, tenths % 10);
}
static void put_attribute(FILE* out, const char* name, double x) {
  fprintf(out, " %s=\"", name);
  put_at(out, "", x);
  fputc('"', out);
}

static void begin(FILE* out, const char* id, double height, const char* title) {
  fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n", WIDTH,
          (int)height, id, id);
  fprintf(out, "<title id=\"%s-t\">%s</title>\n<desc id=\"%s-d\">", id, title, id);
}

static void put_line(FILE* out, const char* class, double x1, double y1, double x2, double y2) {
  fprintf(out, "<line class=\"%s\"", class);
  put_attribute(out, "x1", x1);
  put_attribute(out, "y1", y1);
  put_attribute(out, "x2", x2);
  put_attribute(out, "y2", y2);
  fputs("/>\n", out);
}

/* `class` says where x is: "start", "middle" or "end" of the text. */
static void put_text(FILE* out, const char* class, double x, double y, const char* text) {
  fprintf(out, "<text class=\"%s\"", class);
  put_attribute(out, "x", x);
  put_attribute(out, "y", y);
  fputc('>', out);
  put_html(out, text);
  fputs("</text>\n", out);
}

/* A bar, with a text for who points at it; it is not closed. */
static void begin_bar(FILE* out, int colour, double x, double y, double width, double height) {
  fprintf(out, "<rect class=\"c%d\"", colour);
  put_attribute(out, "x", x);
  put_attribute(out, "y", y);
  put_attribute(out, "width", width);
  put_attribute(out, "height", height);
  fputs("><title>", out);
}
static void end_bar(FILE* out) { fputs("</title></rect>\n", out); }

/* ---- Something over ticks -------------------------------------------------------------------- */

typedef struct curve {
  const figures_t* f;
  double height, x_max, y_max;
  const char* (*amount)(char*, uint64_t);
  size_t now, most; /* where they are in a sample */
} curve_t;

static uint64_t figure_at(const curve_t* c, uint32_t i, size_t offset) {
  return *(const uint64_t*)(const void*)((const char*)series_row(&c->f->r->samples, i) + offset);
}
static double x_of(const curve_t* c, uint64_t tick) {
  return LEFT + (double)tick / c->x_max * INNER;
}
static double y_of(const curve_t* c, double value) {
  return TOP + (1 - value / c->y_max) * c->height;
}

/* Between two lines of the grid, of which there are a few: 1, 2 or 5 times a power of ten; or a
** power of 2. */
static double step_of(double max, int most, bool bytes) {
  double step = 1;
  for (int i = 0; max / step > most; i++) step *= bytes ? 2 : i % 3 == 1 ? 2.5 : 2;
  return step;
}

static void put_ticks(FILE* out, const curve_t* c) {
  char text[AMOUNT];
  double step = step_of(c->x_max, 8, false);
  for (double x = 0; x <= c->x_max; x += step)
    put_text(out, "middle", x_of(c, (uint64_t)x), TOP + c->height + 18,
             amount_short(text, (uint64_t)x));
  put_text(out, "middle", LEFT + INNER / 2.0, TOP + c->height + 36, "ticks");
}

static void put_grid(FILE* out, const curve_t* c) {
  char text[AMOUNT];
  double step = step_of(c->y_max, 5, c->amount == amount_bytes);
  for (double y = 0; y <= c->y_max; y += step) {
    put_line(out, "grid", LEFT, y_of(c, y), WIDTH - RIGHT, y_of(c, y));
    put_text(out, "end", LEFT - 8, y_of(c, y) + 4, c->amount(text, (uint64_t)y));
  }
  put_ticks(out, c);
}

static void put_points(FILE* out, const curve_t* c, size_t offset) {
  for (uint32_t i = 0; i < c->f->r->samples.rows; i++) {
    const sample_t* s = series_row(&c->f->r->samples, i);
    put_at(out, i > 0 ? " " : "", x_of(c, s->tick));
    put_at(out, ",", y_of(c, (double)figure_at(c, i, offset)));
  }
}

static void put_curves(FILE* out, const curve_t* c) {
  const series_t* s = &c->f->r->samples;
  const sample_t *first = series_row(s, 0), *last = series_row(s, s->rows - 1);
  fputs("<polygon class=\"most\" points=\"", out);
  put_at(out, "", x_of(c, first->tick));
  put_at(out, ",", y_of(c, 0));
  fputc(' ', out);
  put_points(out, c, c->most);
  put_at(out, " ", x_of(c, last->tick));
  put_at(out, ",", y_of(c, 0));
  fputs("\"/>\n<polyline class=\"now\" points=\"", out);
  put_points(out, c, c->now);
  fputs("\"/>\n", out);
}

static curve_t curve_of(const figures_t* f, const char* (*amount)(char*, uint64_t), size_t now,
                        size_t most, uint64_t y_max) {
  curve_t c = {f, 200, 1, 1, amount, now, most};
  if (f->ticks > 0) c.x_max = (double)f->ticks;
  if (y_max > 0) c.y_max = (double)y_max * 1.04;
  return c;
}

/* A limit that is far above what was held would press the curve down: it is told, not drawn. */
void picture_memory(FILE* out, const figures_t* f) {
  char text[AMOUNT], limit[AMOUNT + 20];
  uint64_t bytes = f->r->limit_bytes;
  bool near = bytes > 0 && bytes / 3 <= f->bytes_peak;
  curve_t c = curve_of(f, amount_bytes, offsetof(sample_t, bytes), offsetof(sample_t, bytes_most),
                       near && bytes > f->bytes_peak ? bytes : f->bytes_peak);
  begin(out, "memory", TOP + c.height + BOTTOM, "Memory over ticks");
  fprintf(out, "Bytes held by the task: at most %s, ", amount_bytes(text, f->bytes_peak));
  fprintf(out, "%s at the end.</desc>\n", amount_bytes(text, f->bytes));
  put_grid(out, &c);
  put_curves(out, &c);
  if (near)
    put_line(out, "limit", LEFT, y_of(&c, (double)bytes), WIDTH - RIGHT, y_of(&c, (double)bytes));
  if (bytes > 0) {
    snprintf(limit, sizeof limit, "limit %s%s", amount_bytes(text, bytes), near ? "" : ", above");
    put_text(out, "end limit", WIDTH - RIGHT, near ? y_of(&c, (double)bytes) + 14 : TOP + 4, limit);
  }
  fputs("</svg>\n", out);
}

void picture_backlog(FILE* out, const figures_t* f) {
  char text[AMOUNT];
  curve_t c = curve_of(f, amount_short, offsetof(sample_t, waiting),
                       offsetof(sample_t, waiting_most), f->waiting_peak);
  begin(out, "backlog", TOP + c.height + BOTTOM, "Dead objects that wait, over ticks");
  fprintf(out, "At most %s dead objects waited to be freed, ", amount_count(text, f->waiting_peak));
  fprintf(out, "%s at the end.</desc>\n", amount_count(text, f->waiting));
  put_grid(out, &c);
  put_curves(out, &c);
  fputs("</svg>\n", out);
}

/* ---- Scopes by level, and children in as many lanes as they need, over ticks -------------------- */

enum { LANE = 22, LANES = 8 };

typedef struct lanes {
  unsigned levels, children;
  uint64_t since[LANES]; /* the least tick that is taken in a lane of children */
} lanes_t;

/* From the last end to the first, each child goes to the first lane that is free until it ends; those that find none
** share the last. */
static unsigned lane_of(lanes_t* l, const span_t* s) {
  unsigned lane = 0;
  if (s->level > 0) return s->level - 1;
  while (lane + 1 < LANES && lane < l->children && l->since[lane] < s->tick) lane++;
  if (lane >= l->children) l->children = lane + 1;
  l->since[lane] = s->begin;
  return l->levels + lane;
}

static void put_allowance(FILE* out, uint64_t n, const char* (*amount)(char*, uint64_t),
                          const char* of) {
  char text[AMOUNT];
  if (n != UINT64_MAX) fprintf(out, ", of %s%s", amount(text, n), of);
}

static void put_span(FILE* out, const curve_t* c, const span_t* s, unsigned lane) {
  char text[AMOUNT];
  double x = x_of(c, s->begin), width = x_of(c, s->tick) - x, y = TOP + lane * LANE + 2.0;
  if (width < 1) width = 1;
  if (x + width > WIDTH - RIGHT) x = WIDTH - RIGHT - width;
  begin_bar(out, s->ended_by != RT_NONE ? 4 : s->level > 0 ? 0 : 2, x, y, width, LANE - 4);
  put_html(out, s->name);
  fprintf(out, " (%s %llu): from tick %s ", s->level > 0 ? "scope" : "child", (ull)s->number,
          amount_count(text, s->begin));
  fprintf(out, "to %s, ", amount_count(text, s->tick));
  if (s->used != UINT64_MAX)
    fprintf(out, "%s ticks used", amount_count(text, s->used));
  else
    fputs("not joined", out);
  put_allowance(out, s->ticks, amount_count, "");
  put_allowance(out, s->bytes, amount_bytes, "");
  put_allowance(out, s->depth, amount_count, " calls");
  if (s->ended_by != RT_NONE) fprintf(out, "; ended by its %s", rt_limit_name(s->ended_by));
  end_bar(out);
  if (width > 8.0 * (double)strlen(s->name)) put_text(out, "start on", x + 5, y + 13, s->name);
}

static lanes_t lanes_of(const figures_t* f) {
  lanes_t l = {0, 0, {0}};
  for (uint32_t i = 0; i < spans_in(f->r); i++) {
    span_t s = span_of(f, i);
    if (s.level > l.levels) l.levels = s.level;
  }
  return l;
}

void picture_spans(FILE* out, const figures_t* f) {
  lanes_t all = lanes_of(f), l = all;
  for (uint32_t i = spans_in(f->r); i > 0; i--) {
    span_t s = span_of(f, i - 1);
    (void)lane_of(&all, &s);
  }
  curve_t c = curve_of(f, amount_short, 0, 0, 0);
  c.height = (all.levels + all.children) * LANE;
  begin(out, "scopes", TOP + c.height + BOTTOM, "Scopes and children over ticks");
  fputs("When they began and ended; the table has the longest.</desc>\n", out);
  for (unsigned level = 1; level <= l.levels; level++) {
    char name[20];
    snprintf(name, sizeof name, "level %u", level);
    put_text(out, "end", LEFT - 8, TOP + level * LANE - 7, name);
  }
  if (all.children > 0) put_text(out, "end", LEFT - 8, TOP + (l.levels + 1) * LANE - 7, "children");
  for (uint32_t i = spans_in(f->r); i > 0; i--) {
    span_t s = span_of(f, i - 1);
    put_span(out, &c, &s, lane_of(&l, &s));
  }
  put_ticks(out, &c);
  fputs("</svg>\n", out);
}

/* ---- Pauses: a row of bars for each cause, all of one scale ------------------------------------- */

enum { ROW = 60, BAR = 42 };

typedef struct scale {
  unsigned first, last;
  double width, log_most;
} scale_t;

static void put_bars(FILE* out, const figures_t* f, const scale_t* s, int kind, double bottom) {
  const char* (*amount)(char*, uint64_t) = f->measured ? amount_time : amount_count;
  for (unsigned b = s->first; b <= s->last; b++) {
    char from[AMOUNT], to[AMOUNT], count[AMOUNT];
    uint64_t n = histogram_of(f, kind)[b];
    if (n == 0) continue;
    double height = BAR * log2_of((double)n + 1) / s->log_most;
    begin_bar(out, kind, LEFT + (b - s->first) * s->width + 1, bottom - height, s->width - 2,
              height);
    fprintf(out, "%s pauses of %s", amount_count(count, n), amount(from, bucket_from(b)));
    if (b == BUCKETS - 1)
      fputs(" or more", out);
    else if (b > 0)
      fprintf(out, " up to %s", amount(to, 2 * bucket_from(b)));
    end_bar(out);
    put_text(out, "middle small", LEFT + (b - s->first + 0.5) * s->width, bottom - height - 3,
             amount_short(count, n));
  }
}

static void put_decades(FILE* out, const figures_t* f, const scale_t* s, double bottom) {
  uint64_t decade = 1;
  if (s->first == 0) put_text(out, "middle", LEFT + s->width / 2, bottom + 18, "0");
  for (unsigned b = 1; b <= s->last + 1; decade *= 10, b = bucket_of(decade)) {
    char text[AMOUNT];
    double x = LEFT + (log2_of((double)decade) + 1 - s->first) * s->width;
    if (b < s->first || x > WIDTH - RIGHT || x < LEFT) continue;
    put_line(out, "grid", x, TOP, x, bottom + 4);
    put_text(out, "middle", x, bottom + 18,
             f->measured ? amount_time(text, decade) : amount_short(text, decade));
  }
  put_text(out, "middle", LEFT + INNER / 2.0, bottom + 36, f->measured ? "length" : "units");
}

static scale_t scale_of(const figures_t* f) {
  scale_t s = {0, 0, 0, 1};
  uint64_t most = 1;
  if (!histogram_range(f, &s.first, &s.last)) s.first = s.last = 0;
  for (int kind = 0; kind < PAUSE_KINDS; kind++)
    for (unsigned b = s.first; b <= s.last; b++)
      if (histogram_of(f, kind)[b] > most) most = histogram_of(f, kind)[b];
  s.width = (double)INNER / (s.last - s.first + 1);
  s.log_most = log2_of((double)most + 1);
  return s;
}

void picture_pauses(FILE* out, const figures_t* f) {
  scale_t s = scale_of(f);
  int rows = 0;
  for (int kind = 0; kind < PAUSE_KINDS; kind++) rows += f->pauses[kind].count > 0;
  double bottom = TOP + (rows > 0 ? rows : 1) * ROW;
  begin(out, "pauses", bottom + BOTTOM, "Pauses by length and cause");
  fputs(
      "How many pauses there were, for each cause and power of two; the table has the "
      "sums.</desc>\n",
      out);
  if (rows > 0)
    put_decades(out, f, &s, bottom);
  else
    put_text(out, "middle", WIDTH / 2.0, bottom, "there was none");
  double at = TOP;
  for (int kind = 0; kind < PAUSE_KINDS; kind++) {
    if (f->pauses[kind].count == 0) continue;
    at += ROW;
    put_text(out, "end name", LEFT - 8, at - 4, rt_pause_name((rt_pause_kind)kind));
    put_line(out, "axis", LEFT, at, WIDTH - RIGHT, at);
    put_bars(out, f, &s, kind, at);
  }
  fputs("</svg>\n", out);
}

/* ---- Size classes: blocks to the left, bytes to the right ---------------------------------------- */

enum { LINE = 20, HALF = INNER / 2, BAR_MOST = HALF - 90 };

static void put_class(FILE* out, const class_use_t* use, const class_use_t* most, const char* size,
                      double y) {
  char text[AMOUNT];
  double blocks = (double)use->blocks / (double)most->blocks * BAR_MOST,
         bytes = (double)use->bytes / (double)most->bytes * BAR_MOST;
  put_text(out, "end", LEFT - 8, y + 13, size);
  begin_bar(out, 0, LEFT, y + 3, blocks < 1 ? 1 : blocks, LINE - 6);
  fprintf(out, "%s blocks of %s", amount_count(text, use->blocks), size);
  end_bar(out);
  put_text(out, "start", LEFT + (blocks < 1 ? 1 : blocks) + 6, y + 13,
           amount_count(text, use->blocks));
  begin_bar(out, 2, LEFT + HALF, y + 3, bytes < 1 ? 1 : bytes, LINE - 6);
  fprintf(out, "%s bytes in blocks of %s", amount_count(text, use->bytes), size);
  end_bar(out);
  put_text(out, "start", LEFT + HALF + (bytes < 1 ? 1 : bytes) + 6, y + 13,
           amount_bytes(text, use->bytes));
}

void picture_classes(FILE* out, const figures_t* f) {
  class_use_t most = {1, 1, 0, 0};
  int rows = 0;
  for (unsigned c = 1; c < CLASS_COUNT; c++) {
    const class_use_t* use = &f->classes[c];
    if (use->blocks > 0) rows++;
    if (use->blocks > most.blocks) most.blocks = use->blocks;
    if (use->bytes > most.bytes) most.bytes = use->bytes;
  }
  begin(out, "classes", TOP + (rows + 1) * LINE + 8, "Size classes in use");
  fprintf(out, "Blocks and bytes in use at the end, in %d size classes.</desc>\n", rows);
  put_text(out, "start name", LEFT, TOP + 8, "blocks");
  put_text(out, "start name", LEFT + HALF, TOP + 8, "bytes");
  double y = TOP + LINE - 4;
  for (unsigned c = 1; c < CLASS_COUNT; c++) {
    char size[AMOUNT];
    const class_use_t* use = &f->classes[c];
    if (use->blocks == 0) continue;
    put_class(out, use, &most,
              c == CLASS_LARGE ? "larger" : amount_bytes(size, class_words(c) * WORD), y);
    y += LINE;
  }
  fputs("</svg>\n", out);
}
