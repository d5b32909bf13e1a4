/* options.c: options, from the environment (MIMALLOC_<NAME>) or the program, and what is said to the
** user. Nothing here allocates, so it may run before the first allocation and in the middle of any;
** what a program registers may allocate, and is called without a lock. */
#include "alloc/internal.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

extern char** environ;

/* ---- The table -------------------------------------------------------------------------------- */

enum { SWITCH = 1, IN_KIB = 2, NO_EFFECT = 4 }; /* kinds of option */

#define ADDRESS_KIB ((long)1 << (ADDRESS_BITS - 10))

/* `value` is read by any thread; `is_set` tells that the environment or the program chose it. */
static struct option {
  const char* name;
  _Atomic long value;
  long min, max;
  int kind;
  atomic_bool is_set;
} table[OPTION_COUNT] = {
    [mi_option_show_errors] = {"SHOW_ERRORS", 1, 0, 1, SWITCH, false},
    [mi_option_show_stats] = {"SHOW_STATS", 0, 0, 1, SWITCH, false},
    [mi_option_verbose] = {"VERBOSE", 0, 0, 1, SWITCH, false},
    [mi_option_max_errors] = {"MAX_ERRORS", -1, -1, LONG_MAX, 0, false},
    [mi_option_max_warnings] = {"MAX_WARNINGS", -1, -1, LONG_MAX, 0, false},
    [mi_option_purge_delay] = {"PURGE_DELAY", 0, -1, LONG_MAX, 0, false},
    [mi_option_purge_decommits] = {"PURGE_DECOMMITS", 1, 0, 1, SWITCH, false},
    [mi_option_allow_thp] = {"ALLOW_THP", 1, 0, 2, SWITCH, false},
    [mi_option_heartbeat_period] = {"HEARTBEAT_PERIOD", 1000, 1, 1000000000000, 0, false},
    [mi_option_abort_on_error] = {"ABORT_ON_ERROR", CHECKED, 0, 1, SWITCH, false},
    [mi_option_secure_fill] = {"SECURE_FILL", 1, 0, 1, SWITCH | (MI_SECURE ? 0 : NO_EFFECT), false},
    [mi_option_show_leaks] = {"SHOW_LEAKS", 0, 0, 1, SWITCH | (CHECKED ? 0 : NO_EFFECT), false},
    [mi_option_visit_abandoned] = {"VISIT_ABANDONED", 0, 0, 1, SWITCH, false},
    [mi_option_reserve_os_memory] = {"RESERVE_OS_MEMORY", 0, 0, ADDRESS_KIB, IN_KIB, false},
    [mi_option_reserve_huge_os_pages] = {"RESERVE_HUGE_OS_PAGES", 0, 0, ADDRESS_KIB / MiB, 0,
                                         false},
    [mi_option_reserve_huge_os_pages_at] = {"RESERVE_HUGE_OS_PAGES_AT", -1, -1, INT_MAX, 0, false},
    [mi_option_allow_large_os_pages] = {"ALLOW_LARGE_OS_PAGES", 0, 0, 2, 0, false},
    [mi_option_disallow_os_alloc] = {"DISALLOW_OS_ALLOC", 0, 0, 1, SWITCH, false},
    [mi_option_disallow_arena_alloc] = {"DISALLOW_ARENA_ALLOC", 0, 0, 1, SWITCH, false},
#define WITHOUT_EFFECT(id, name, value, kind) \
  [mi_option_##id] = {name, value, LONG_MIN, LONG_MAX, (kind) | NO_EFFECT, false}
    WITHOUT_EFFECT(eager_commit, "EAGER_COMMIT", 1, 0),
    WITHOUT_EFFECT(arena_eager_commit, "ARENA_EAGER_COMMIT", 2, 0),
    WITHOUT_EFFECT(deprecated_segment_cache, "SEGMENT_CACHE", 0, 0),
    WITHOUT_EFFECT(deprecated_page_reset, "PAGE_RESET", 0, 0),
    WITHOUT_EFFECT(abandoned_page_purge, "ABANDONED_PAGE_PURGE", 0, SWITCH),
    WITHOUT_EFFECT(deprecated_segment_reset, "SEGMENT_RESET", 0, 0),
    WITHOUT_EFFECT(eager_commit_delay, "EAGER_COMMIT_DELAY", 1, 0),
    WITHOUT_EFFECT(use_numa_nodes, "USE_NUMA_NODES", 0, 0),
    WITHOUT_EFFECT(os_tag, "OS_TAG", 100, 0),
    WITHOUT_EFFECT(max_segment_reclaim, "MAX_SEGMENT_RECLAIM", 10, 0),
    WITHOUT_EFFECT(destroy_on_exit, "DESTROY_ON_EXIT", 0, SWITCH),
    WITHOUT_EFFECT(arena_reserve, "ARENA_RESERVE", 1024 * 1024, IN_KIB),
    WITHOUT_EFFECT(arena_purge_mult, "ARENA_PURGE_MULT", 10, 0),
    WITHOUT_EFFECT(purge_extend_delay, "PURGE_EXTEND_DELAY", 1, 0),
    WITHOUT_EFFECT(abandoned_reclaim_on_free, "ABANDONED_RECLAIM_ON_FREE", 1, SWITCH),
    WITHOUT_EFFECT(retry_on_oom, "RETRY_ON_OOM", 400, 0),
    WITHOUT_EFFECT(guarded_min, "GUARDED_MIN", 0, 0),
    WITHOUT_EFFECT(guarded_max, "GUARDED_MAX", 0, 0),
    WITHOUT_EFFECT(guarded_precise, "GUARDED_PRECISE", 0, SWITCH),
    WITHOUT_EFFECT(guarded_sample_rate, "GUARDED_SAMPLE_RATE", 1000, 0),
    WITHOUT_EFFECT(guarded_sample_seed, "GUARDED_SAMPLE_SEED", 0, 0),
    WITHOUT_EFFECT(target_segments_per_thread, "TARGET_SEGMENTS_PER_THREAD", 0, 0),
    WITHOUT_EFFECT(generic_collect, "GENERIC_COLLECT", 10000, 0),
};

long option_value(mi_option_t id) {
  return atomic_load_explicit(&table[id].value, memory_order_relaxed);
}

static bool is_option(mi_option_t id) {
  return (unsigned)id < OPTION_COUNT && table[id].name != NULL;
}

static bool store(struct option* o, long value) {
  if (value < o->min || value > o->max) return false;
  atomic_store_explicit(&o->value, value, memory_order_relaxed);
  atomic_store_explicit(&o->is_set, true, memory_order_relaxed);
  return true;
}

/* ---- What is said ----------------------------------------------------------------------------- */

pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the next two */
static struct {
  mi_output_fun* fn;
  void* arg;
} output;
static struct {
  mi_error_fun* fn;
  void* arg;
} on_error;

void mi_register_output(mi_output_fun* out, void* arg) {
  pthread_mutex_lock(&output_lock);
  output.fn = out;
  output.arg = arg;
  pthread_mutex_unlock(&output_lock);
}

void mi_register_error(mi_error_fun* fun, void* arg) {
  pthread_mutex_lock(&output_lock);
  on_error.fn = fun;
  on_error.arg = arg;
  pthread_mutex_unlock(&output_lock);
}

void output_write(const char* text, void* unused) {
  (void)unused;
  pthread_mutex_lock(&output_lock);
  mi_output_fun* fn = output.fn;
  void* arg = output.arg;
  pthread_mutex_unlock(&output_lock);
  if (fn != NULL)
    fn(text, arg);
  else
    os_write_error(text, strlen(text));
}

void call_error_fun(int code) {
  pthread_mutex_lock(&output_lock);
  mi_error_fun* fn = on_error.fn;
  void* arg = on_error.arg;
  pthread_mutex_unlock(&output_lock);
  if (fn != NULL) fn(code, arg);
}

static void say(const char* format, va_list args) {
  char line[512];
  int n = vsnprintf(line, sizeof line - 1, format, args);
  if (n < 0) return;
  size_t length = (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
  line[length] = '\n';
  line[length + 1] = '\0';
  output_write(line, NULL);
}

void message(const char* format, ...) {
  va_list args;
  va_start(args, format);
  say(format, args);
  va_end(args);
}

/* One message more of a kind of which there may be so many; -1: any number. */
static bool may_say(_Atomic long* said, mi_option_t most) {
  long limit = option_value(most);
  return limit < 0 || atomic_fetch_add_explicit(said, 1, memory_order_relaxed) < limit;
}

void warn(const char* format, ...) {
  static _Atomic long said;
  if (!may_say(&said, mi_option_max_warnings)) return;
  va_list args;
  va_start(args, format);
  say(format, args);
  va_end(args);
}

/* In the middle of an allocation, or under a lock, nothing that a program registered may be called.
** Texts are constants, and there are fewer than LATER_MAX in the library. Release and acquire: who sees
** a bit sees the place of its text written. */
enum { LATER_MAX = 8 };
static _Atomic(const char*) later[LATER_MAX]; /* texts that were due once */
_Atomic uint32_t warnings_due;                /* which of them are */

void warn_later(const char* text) {
  for (uint32_t i = 0; i < LATER_MAX; i++) {
    const char* seen = NULL;
    if (atomic_compare_exchange_strong_explicit(&later[i], &seen, text, memory_order_relaxed,
                                                memory_order_relaxed))
      atomic_fetch_or_explicit(&warnings_due, (uint32_t)1 << i, memory_order_release);
    if (seen == NULL || seen == text) return;
  }
}

void warnings_say(void) {
  uint32_t due = atomic_exchange_explicit(&warnings_due, 0, memory_order_acquire);
  for (uint32_t i = 0; i < LATER_MAX; i++)
    if (due >> i & 1) warn("%s", atomic_load_explicit(&later[i], memory_order_relaxed));
}

void report_error(int code, const char* format, ...) {
  static _Atomic long said;
  if (option_value(mi_option_show_errors) && may_say(&said, mi_option_max_errors)) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    trace_say();
  }
  call_error_fun(code);
  if (option_value(mi_option_abort_on_error)) abort();
}

void invariant_failed(const char* what, const char* file, int line) {
  message("sluice: error: invariant does not hold: %s (%s:%d); memory is corrupt, or a bug", what,
          file, line);
  abort();
}

/* ---- The environment -------------------------------------------------------------------------- */

/* Bytes, or what K, M, G or T says (B or iB may follow), as KiB, rounded up. */
static bool size_to_kib(const char* unit, long* value) {
  static const char units[] = "KMGT";
  const char* known = *unit != 0 ? strchr(units, *unit) : NULL;
  if (*value < 0 || *value > LONG_MAX / 1024) return false;
  if (known == NULL) *value = (*value + 1023) / 1024;
  for (; known != NULL && known > units; known--)
    if (__builtin_mul_overflow(*value, 1024, value)) return false;
  if (known != NULL) unit++;
  if (unit[0] == 'i' && unit[1] == 'B') unit++;
  return *unit == 0 || (unit[0] == 'B' && unit[1] == 0);
}

/* "yes", "on", "true" and their opposites are what mimalloc accepts for switches. */
static bool parse(const char* text, int kind, long* value) {
  static const char* const words[] = {"no", "off", "false", "yes", "on", "true"};
  for (int i = 0; (kind & SWITCH) && i < 6; i++)
    if (strcmp(text, words[i]) == 0) return *value = i >= 3, true;
  char* end;
  errno = 0;
  *value = strtol(text, &end, 10);
  if (end == text || errno != 0) return false;
  return kind & IN_KIB ? size_to_kib(end, value) : *end == 0;
}

static struct option* find(const char* name, size_t length) {
  for (int i = 0; i < OPTION_COUNT; i++)
    if (table[i].name != NULL && strlen(table[i].name) == length &&
        memcmp(table[i].name, name, length) == 0)
      return &table[i];
  return NULL;
}

static void read_option(const char* entry) {
  static const char prefix[] = "MIMALLOC_";
  if (strncmp(entry, prefix, sizeof prefix - 1) != 0) return;
  const char* name = entry + sizeof prefix - 1;
  const char* equals = strchr(name, '=');
  if (equals == NULL) return;
  struct option* o = find(name, (size_t)(equals - name));
  long value;
  if (o == NULL)
    warn("sluice: warning: option MIMALLOC_%.*s is unknown here and has no effect",
         (int)(equals - name), name);
  else if (o->kind & NO_EFFECT)
    warn("sluice: warning: option MIMALLOC_%s has no effect here", o->name);
  else if (!parse(equals + 1, o->kind, &value) || !store(o, value))
    warn("sluice: warning: MIMALLOC_%s=%s is not a number from %ld to %ld; %ld is used", o->name,
         equals + 1, o->min, o->max, (long)o->value);
}

void options_init(void) {
  int saved = errno;
  for (char** e = environ; e != NULL && *e != NULL; e++) read_option(*e);
  errno = saved;
}

/* ---- The program's side ----------------------------------------------------------------------- */

static void print_options(mi_output_fun* out, void* arg) {
  char line[100];
  for (int i = 0; i < OPTION_COUNT; i++) {
    if (table[i].name == NULL || (table[i].kind & NO_EFFECT)) continue;
    snprintf(line, sizeof line, "sluice: option %s: %ld\n", table[i].name,
             option_value((mi_option_t)i));
    out(line, arg);
  }
}

void options_print_at_start(void) {
  message("sluice: process init: version 0.1 (mimalloc API %d), debug level %d", MI_MALLOC_VERSION,
          MI_DEBUG);
  print_options(output_write, NULL);
}

void mi_options_print_out(mi_output_fun* out, void* arg) {
  process_init();
  print_options(out != NULL ? out : output_write, arg);
}

void mi_options_print(void) { mi_options_print_out(NULL, NULL); }

long mi_option_get(mi_option_t option) {
  process_init();
  return is_option(option) ? option_value(option) : 0;
}

long mi_option_get_clamp(mi_option_t option, long min, long max) {
  long value = mi_option_get(option);
  return value < min ? min : value > max ? max : value;
}

size_t mi_option_get_size(mi_option_t option) {
  long value = mi_option_get(option);
  size_t size = value > 0 ? (size_t)value : 0;
  return is_option(option) && (table[option].kind & IN_KIB) ? size * KiB : size;
}

bool mi_option_is_enabled(mi_option_t option) { return mi_option_get(option) != 0; }

void mi_option_set(mi_option_t option, long value) {
  process_init();
  if (is_option(option) && store(&table[option], value)) return;
  warn("sluice: warning: option %d cannot be set to %ld", (int)option, value);
}

void mi_option_set_default(mi_option_t option, long value) {
  process_init();
  if (is_option(option) && atomic_load_explicit(&table[option].is_set, memory_order_relaxed))
    return;
  mi_option_set(option, value);
}

void mi_option_set_enabled(mi_option_t option, bool enable) { mi_option_set(option, enable); }
void mi_option_set_enabled_default(mi_option_t option, bool enable) {
  mi_option_set_default(option, enable);
}
void mi_option_enable(mi_option_t option) { mi_option_set(option, 1); }
void mi_option_disable(mi_option_t option) { mi_option_set(option, 0); }
