/* slua.c: a standalone Lua whose scripts run as a task: the command line around slua.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/mimalloc.h"
#include "demo-lang/run.h"

enum { EXIT_OK = 0, EXIT_LUA = 1, EXIT_HEARTBEATS = 3, EXIT_MEMORY = 4 };

typedef struct options {
  slua_config config;
  bool stats, ticks, pauses, sandbox, no_environment;
  const char** reports; /* files of --report; ends in NULL */
  size_t report_count;
  command command;
} options;

static const char usage_text[] =
    "usage: slua [options] [script [args]]\n"
    "  --heartbeats N  stop at heartbeat N (1000 ticks each): exit code 3\n"
    "  --memory SIZE   let it have SIZE bytes (also 64K, 16M, 2G): exit code 4\n"
    "  --repeatable    do the same in every run, to the tick; so do the limits and --ticks\n"
    "  --sandbox       no files, clock, environment, exit; limits: 10000 heartbeats, 64M\n"
    "  --stats         print statistics at exit\n"
    "  --pauses        print how long it stood still, and why, at exit\n"
    "  --report=FILE   write what it did, by the name's end: .html, .json, .trace.json, .txt\n"
    "  --ticks         print the ticks used at exit\n"
    "  --count-hook    count by Lua's hook, as with a Lua that is not known: slower\n"
    "and those of lua5.4:\n"
    "  -e CODE         run CODE\n"
    "  -l [NAME=]MOD   require MOD as the global MOD, or NAME\n"
    "  -i              read lines from the terminal in the end\n"
    "  -v              print the version\n"
    "  -E              ignore the environment\n"
    "  -W              show warnings\n"
    "  --              no options behind this\n"
    "  -               run standard input, with args\n";

/* ---- The command line ------------------------------------------------------------------------ */

static _Noreturn void wrong_usage(const char* before, const char* argument, const char* behind) {
  fprintf(stderr, "slua: %s'%s'%s\n%s", before, argument, behind, usage_text);
  exit(EXIT_LUA);
}

/* A positive number, with a suffix out of `suffixes`, each 1024 times the one before. */
static uint64_t parse_number(const char* text, const char* suffixes, const char* fact) {
  char* end;
  errno = 0;
  unsigned long long n = strtoull(text, &end, 10);
  bool right = text[0] >= '0' && text[0] <= '9' && errno == 0 && n > 0;
  const char* suffix = *end != '\0' ? strchr(suffixes, *end) : NULL;
  unsigned shift = suffix != NULL ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
  if (suffix != NULL) end++;
  if (!right || *end != '\0' || n > UINT64_MAX >> shift) wrong_usage(fact, text, "");
  return (uint64_t)n << shift;
}

typedef enum own_option {
  HEARTBEATS,
  MEMORY,
  REPEATABLE,
  SANDBOX,
  STATS,
  PAUSES,
  REPORT,
  TICKS,
  COUNT_HOOK,
  HELP
} own_option;
static const struct {
  const char* name;
  own_option option;
  bool has_value;
} own_options[] = {
    {"heartbeats", HEARTBEATS, true},  {"memory", MEMORY, true},
    {"repeatable", REPEATABLE, false}, {"sandbox", SANDBOX, false},
    {"stats", STATS, false},           {"pauses", PAUSES, false},
    {"report", REPORT, true},          {"ticks", TICKS, false},
    {"count-hook", COUNT_HOOK, false}, {"help", HELP, false},
};

static void record(rt_config* config) {
  config->measure_pauses = true;
  config->record = 256 * 1024;
}

static void set_option(options* o, own_option option, const char* value) {
  switch (option) {
    case HEARTBEATS:
      o->config.limits.heartbeats =
          parse_number(value, "", "not a number of heartbeats (1 or more): ");
      break;
    case MEMORY:
      o->config.limits.bytes =
          parse_number(value, "KMG", "not a size in bytes (such as 65536, 64K, 16M, 2G): ");
      break;
    case REPEATABLE:
      o->config.repeatable = true;
      break;
    case SANDBOX:
      o->sandbox = true;
      break;
    case STATS:
      o->stats = true;
      break;
    case PAUSES:
      o->pauses = true;
      record(&o->config.limits);
      break;
    case REPORT:
      if (!rt_report_knows(value)) wrong_usage("not the name of a report: ", value, "");
      o->reports[o->report_count++] = value;
      record(&o->config.limits);
      break;
    case TICKS:
      o->ticks = true;
      break;
    case COUNT_HOOK:
      o->config.by_hook = true;
      break;
    case HELP:
      fputs(usage_text, stdout);
      exit(EXIT_OK);
  }
}

/* --name, --name value, --name=value; `next` is what stands behind. True: that was the value. */
static bool parse_own(options* o, const char* argument, const char* next) {
  const char* name = argument + 2;
  size_t n = strcspn(name, "=");
  for (size_t i = 0; i < sizeof own_options / sizeof own_options[0]; i++) {
    if (strlen(own_options[i].name) != n || memcmp(own_options[i].name, name, n) != 0) continue;
    if (name[n] == '=' && !own_options[i].has_value) break;
    const char* value = name[n] == '=' ? name + n + 1 : next;
    if (own_options[i].has_value && value == NULL) wrong_usage("", argument, " needs argument");
    set_option(o, own_options[i].option, value);
    return own_options[i].has_value && value == next;
  }
  wrong_usage("unrecognized option ", argument, "");
}

/* An option of lua5.4's, which ends the options if it is - or --. True: the next argument is its
** value. */
static bool parse_lua(options* o, const char* argument, const char* next) {
  command* c = &o->command;
  bool longer = argument[2] != '\0';
  switch (argument[1]) {
    case 'E':
      o->no_environment = true;
      break;
    case 'i':
      c->interactive = c->version = true;
      break;
    case 'v':
      c->version = true;
      break;
    case 'W':
      break;
    case 'e':
    case 'l':
      if (argument[1] == 'e') c->code = true;
      if (longer) return false;
      if (next == NULL || next[0] == '-') wrong_usage("", argument, " needs argument");
      return true;
    default:
      longer = true;
  }
  if (longer) wrong_usage("unrecognized option ", argument, "");
  return false;
}

/* Own options leave argv. */
static void parse(options* o, int argc, char** argv) {
  command* c = &o->command;
  c->argv = argv;
  int i = 1, kept = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
    const char* next = i + 1 < argc ? argv[i + 1] : NULL;
    if (argv[i][1] == '-' && argv[i][2] != '\0') {
      if (parse_own(o, argv[i], next)) i++;
      continue;
    }
    argv[kept++] = argv[i];
    if (argv[i][1] == '-') {
      i++;
      break;
    }
    if (parse_lua(o, argv[i], next)) argv[kept++] = argv[++i];
  }
  c->script = kept;
  while (i < argc) argv[kept++] = argv[i++];
  c->argc = kept;
}

/* What follows from the options. */
static void configure(options* o) {
  slua_config* c = &o->config;
  if (o->sandbox && c->limits.heartbeats == 0) c->limits.heartbeats = 10000;
  if (o->sandbox && c->limits.bytes == 0) c->limits.bytes = 64 << 20;
  if (o->ticks || c->limits.heartbeats != 0 || c->limits.bytes != 0) c->repeatable = true;
  c->counted = o->ticks || c->limits.heartbeats != 0;
  c->may = SLUA_MAY_FILES | SLUA_MAY_ASK | SLUA_MAY_EXIT | SLUA_MAY_TRACE;
  if (o->sandbox)
    c->may = 0;
  else if (!c->repeatable)
    c->may = SLUA_MAY_ANYTHING;
  c->no_environment = o->no_environment;
  o->command.init = !c->repeatable && !o->no_environment;
  o->command.binary = c->repeatable ? "t" : NULL;
}

/* ---- Reports --------------------------------------------------------------------------------- */

/* `error` tells why there is no state. */
static _Noreturn void cannot_start(const slua_config* c, int error) {
  enum { ENOUGH = 64 * 1024 };
  bool too_little = error == ENOMEM && c->limits.bytes != 0 && c->limits.bytes < ENOUGH;
  if (error == ENOTSUP)
    fprintf(
        stderr,
        "slua: this liblua keeps its hash seed where it was not expected; runs would not repeat\n");
  else if (too_little)
    fprintf(stderr,
            "slua: a memory limit of %llu bytes is below what Lua needs to start; give it 64K or "
            "more\n",
            (unsigned long long)c->limits.bytes);
  else
    fprintf(
        stderr, "slua: no memory to start%s\n",
        c->repeatable ? " (that its runs repeat takes 8 GiB of address space, see ulimit -v)" : "");
  exit(too_little ? EXIT_MEMORY : EXIT_LUA);
}

static int report_limit(slua_stop stop, const rt_config* limits) {
  bool memory = stop.limit == RT_MEMORY;
  fprintf(stderr, "slua: %s of %llu%s reached after %llu ticks, at %s\n", rt_limit_name(stop.limit),
          (unsigned long long)(memory ? limits->bytes : limits->heartbeats), memory ? " bytes" : "",
          (unsigned long long)stop.ticks, stop.where[0] != '\0' ? stop.where : "the end");
  return memory ? EXIT_MEMORY : EXIT_HEARTBEATS;
}

/* False: one could not be written, which was told. */
static bool write_reports(rt_task* task, const options* o) {
  bool ok = true;
  if (o->pauses) ok = rt_report(task, stderr, RT_REPORT_TEXT) == 0;
  for (const char** file = o->reports; *file != NULL; file++) {
    int error = rt_report_file(task, *file);
    if (error != 0) fprintf(stderr, "slua: cannot write %s: %s\n", *file, strerror(error));
    ok = ok && error == 0;
  }
  return ok;
}

static void report_use(const slua* s, const options* o) {
  const rt_task* task = slua_task(s);
  if (o->ticks) fprintf(stderr, "ticks %llu\n", (unsigned long long)slua_ticks(s));
  if (o->stats)
    fprintf(stderr, "task: %llu ticks, %llu heartbeats, %llu bytes at the end, %llu at most\n",
            (unsigned long long)slua_ticks(s), (unsigned long long)rt_heartbeats(task),
            (unsigned long long)rt_bytes(task), (unsigned long long)rt_bytes_peak(task));
}

int main(int argc, char** argv) {
  options o = {.config.limits.heartbeat_period = 1000, /* whatever the environment says */
               .reports = calloc((size_t)argc + 1, sizeof *o.reports)};
  if (o.reports == NULL) cannot_start(&o.config, ENOMEM);
  parse(&o, argc, argv);
  configure(&o);
  mi_option_set_default(mi_option_allow_thp, 2); /* a collector walks all of its heap */
  slua* s = slua_new(&o.config);
  if (s == NULL) cannot_start(&o.config, errno);
  o.command.state = s;
  slua_status end = slua_call(s, run_command, &o.command);
  if (end == SLUA_ERROR) fprintf(stderr, "slua: %s\n", slua_text(s, 0));
  end = slua_finish(s);
  int status = o.command.succeeded ? EXIT_OK : EXIT_LUA;
  if (end == SLUA_EXIT) status = slua_exit_status(s);
  fflush(stdout);
  if (end == SLUA_STOPPED) status = report_limit(slua_stop_of(s), &o.config.limits);
  report_use(s, &o);
  if (!write_reports(slua_task(s), &o) && status == EXIT_OK) status = EXIT_LUA;
  slua_close(s);
  free(o.reports);
  if (o.stats) mi_stats_print(NULL);
  return status;
}
