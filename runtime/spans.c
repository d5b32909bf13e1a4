/* spans.c: when the scopes of a task ran, and its children, and what they were allowed: for reports.
**
** A scope's frame may be gone when it ends (a guest is left by longjmp), so what is known of it is noted when
** it begins, and the level alone tells which ones end. */
#include "runtime/internal.h"
#include "runtime/record.h"

/* ---- Names ----------------------------------------------------------------------------------- */

/* Bytes of the character in UTF-8; 0: it is none, or a control character. */
static unsigned char_bytes(const char* name) {
  static const uint32_t least[] = {0, ' ', 0x80, 0x800, 0x10000};
  const unsigned char* s = (const unsigned char*)name;
  unsigned n = s[0] < 0x80   ? 1
               : s[0] < 0xC0 ? 0
               : s[0] < 0xE0 ? 2
               : s[0] < 0xF0 ? 3
               : s[0] < 0xF8 ? 4
                             : 0;
  uint32_t code = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
  for (unsigned i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0;
    code = code << 6 | (s[i] & 0x3F);
  }
  bool is_one = code >= least[n] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  return is_one && code != 0x7F ? n : 0;
}

static void copy_name(char to[SPAN_NAME], const char* name) {
  size_t at = 0;
  while (*name != '\0') {
    unsigned n = char_bytes(name);
    if (at + (n > 0 ? n : 1) >= SPAN_NAME) break;
    if (n > 0)
      memcpy(to + at, name, n);
    else
      to[at] = '?';
    at += n > 0 ? n : 1;
    name += n > 0 ? n : 1;
  }
  to[at] = '\0';
}

/* ---- What is kept ----------------------------------------------------------------------------- */

void span_keep_longer(void* row, const void* later) {
  span_t* kept = row;
  const span_t* s = later;
  if (s->tick - s->begin > kept->tick - kept->begin) *kept = *s;
}

static uint64_t now_ns(const mi_task_t* task) {
  return task->measure ? os_now_ns() - task->recorder->start_ns : 0;
}

static span_t span_new(const mi_task_t* task, const char* name) {
  span_t s = {.begin = task_ticks(task), .at_ns = now_ns(task)};
  copy_name(s.name, name);
  return s;
}

/* Over at that moment. */
static span_t closed(const span_t* open, uint64_t tick, uint64_t ns) {
  span_t s = *open;
  s.tick = tick;
  s.ns = ns - s.at_ns;
  if (s.level > 0) s.used = tick - s.begin;
  return s;
}

static void add(const mi_task_t* task, const span_t* open) {
  span_t s = closed(open, task_ticks(task), now_ns(task));
  s.beat = s.tick / task->period;
  task->recorder->span_count++;
  series_add(&task->recorder->spans, &s);
}

/* ---- Scopes ---------------------------------------------------------------------------------- */

static uint64_t allowed(int64_t end, int64_t now) {
  return end == NO_END ? UINT64_MAX : end > now ? (uint64_t)(end - now) : 0;
}

void span_begin(rt_task* t, const rt_limits* limits) {
  recorder_t* r = t->task->recorder;
  const rt_scope* s = t->scope;
  if (r == NULL || t->level > OPEN_MOST) return;
  span_t span = span_new(t->task, s->name);
  span.number = s->serial;
  span.level = (uint32_t)t->level;
  span.ticks = allowed(s->end[RT_HEARTBEATS], (int64_t)span.begin);
  span.bytes = limits->bytes != 0 ? limits->bytes : UINT64_MAX;
  span.depth = limits->depth != 0 ? limits->depth : UINT64_MAX;
  r->open[t->level - 1] = span;
  r->open_count = (unsigned)t->level;
}

void span_mark(const rt_task* t, int level, rt_limit why) {
  recorder_t* r = t->task->recorder;
  if (r != NULL && level > 0 && (unsigned)level <= r->open_count) r->open[level - 1].ended_by = why;
}

void span_end(const rt_task* t, int level) {
  recorder_t* r = t->task->recorder;
  if (r == NULL) return;
  while (r->open_count >= (unsigned)level) add(t->task, &r->open[--r->open_count]);
}

/* ---- Children -------------------------------------------------------------------------------- */

static span_t span_of_child(const rt_task* child) {
  span_t span = {.begin = child->born.tick,
                 .used = UINT64_MAX,
                 .ticks = allowed(child->born.ticks, 0),
                 .bytes = allowed(child->born.bytes, 0),
                 .depth = allowed(child->root.end[RT_DEPTH], 0),
                 .at_ns = child->born.ns,
                 .number = child->born.number};
  copy_name(span.name, child->root.name);
  return span;
}

void span_child(rt_task* parent, rt_task* child) {
  recorder_t* r = parent->task->recorder;
  if (r == NULL) return;
  child->born.number = ++r->children;
  child->born.tick = task_ticks(parent->task);
  child->born.ns = now_ns(parent->task);
  child->born.ticks = child->root.end[RT_HEARTBEATS];
  child->born.bytes = child->root.end[RT_MEMORY];
  if (r->running_count < RUNNING_MOST) r->running[r->running_count++] = span_of_child(child);
}

static void forget_running(recorder_t* r, uint64_t number) {
  unsigned i = 0;
  while (i < r->running_count && r->running[i].number != number) i++;
  if (i == r->running_count) return;
  r->running_count--;
  memmove(&r->running[i], &r->running[i + 1], (r->running_count - i) * sizeof r->running[0]);
}

void span_join(const rt_task* parent, const rt_task* child, uint64_t used) {
  recorder_t* r = parent->task->recorder;
  if (r == NULL) return;
  span_t span = span_of_child(child);
  span.used = used;
  span.ended_by = child->why;
  forget_running(r, span.number);
  add(parent->task, &span);
}

/* ---- For reports ------------------------------------------------------------------------------ */

uint32_t spans_in(const recorder_t* r) { return r->spans.rows + r->running_count + r->open_count; }

span_t span_at(const recorder_t* r, uint32_t i, uint64_t tick, uint64_t now) {
  if (i < r->spans.rows) return *(const span_t*)series_row(&r->spans, i);
  i -= r->spans.rows;
  if (i < r->running_count) return closed(&r->running[i], tick, now);
  return closed(&r->open[r->open_count - 1 - (i - r->running_count)], tick, now);
}
