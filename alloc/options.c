/* options.c: options from the environment (MIMALLOC_<NAME>), and messages to the user. Nothing here
** allocates, so it may run before the first allocation and in the middle of any. */
#include "alloc/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

extern char** environ;

options_t options = {.heartbeat_period = 1000, .show_errors = 1, .abort_on_error = MI_DEBUG};

static const struct option {
  const char* name;
  long* value;
  long min, max;
} known[] = {
    {"HEARTBEAT_PERIOD", &options.heartbeat_period, 1, 1000000000000},
    {"SHOW_STATS", &options.show_stats, 0, 1},
    {"VERBOSE", &options.verbose, 0, 1},
    {"SHOW_ERRORS", &options.show_errors, 0, 1},
    {"ABORT_ON_ERROR", &options.abort_on_error, 0, 1},
};
enum { KNOWN = sizeof known / sizeof known[0] };

static void say(const char* format, va_list args) {
  char line[512];
  int n = vsnprintf(line, sizeof line - 1, format, args);
  if (n < 0) return;
  size_t length = (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
  line[length++] = '\n';
  os_write_error(line, length);
}

void message(const char* format, ...) {
  va_list args;
  va_start(args, format);
  say(format, args);
  va_end(args);
}

void report_error(const char* format, ...) {
  if (options.show_errors) {
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
  }
  if (options.abort_on_error) abort();
}

void invariant_failed(const char* what, const char* file, int line) {
  message("sluice: error: invariant does not hold: %s (%s:%d); memory is corrupt, or a bug", what,
          file, line);
  abort();
}

/* "yes", "on", "true" and their opposites are what mimalloc accepts for switches. */
static bool parse(const char* text, bool is_switch, long* value) {
  static const char* const words[] = {"no", "off", "false", "yes", "on", "true"};
  for (int i = 0; is_switch && i < 6; i++)
    if (strcmp(text, words[i]) == 0) return *value = i >= 3, true;
  char* end;
  errno = 0;
  *value = strtol(text, &end, 10);
  return *text != 0 && *end == 0 && errno == 0;
}

static const struct option* find(const char* name, size_t length) {
  for (int i = 0; i < KNOWN; i++)
    if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0)
      return &known[i];
  return NULL;
}

static void read_option(const char* entry) {
  static const char prefix[] = "MIMALLOC_";
  if (strncmp(entry, prefix, sizeof prefix - 1) != 0) return;
  const char* name = entry + sizeof prefix - 1;
  const char* equals = strchr(name, '=');
  if (equals == NULL) return;
  const struct option* option = find(name, (size_t)(equals - name));
  long value;
  if (option == NULL)
    message("sluice: warning: option MIMALLOC_%.*s is unknown here and has no effect",
            (int)(equals - name), name);
  else if (!parse(equals + 1, option->max == 1, &value) || value < option->min ||
           value > option->max)
    message("sluice: warning: MIMALLOC_%s=%s is not a number from %ld to %ld; %ld is used",
            option->name, equals + 1, option->min, option->max, *option->value);
  else
    *option->value = value;
}

void options_init(void) {
  int saved = errno;
  for (char** e = environ; e != NULL && *e != NULL; e++) read_option(*e);
  errno = saved;
}

void options_print(void) {
  message("sluice: process init: version 0.1 (mimalloc API %d), debug level %d", MI_MALLOC_VERSION,
          MI_DEBUG);
  for (int i = 0; i < KNOWN; i++) message("sluice: option %s: %ld", known[i].name, *known[i].value);
}
