/* slua.c: a standalone Lua whose scripts run as a task: the command line around guest.c. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc/mimalloc.h"
#include "demo-lang/guest.h"

enum { EXIT_OK = 0, EXIT_LUA = 1, EXIT_USAGE = 2, EXIT_HEARTBEATS = 3, EXIT_MEMORY = 4 };

typedef struct options {
  rt_config limits;
  bool stats, ticks, interactive;
  char** code; /* of -e, in order; `codes` of them */
  int codes;
  char** rest;          /* SCRIPT ARGS..., ends in NULL */
  bool started, failed; /* how far it came: the first chunk; a chunk had an error */
} options;

static const char usage_text[] =
    "usage: slua [options] [script [args]]\n"
    "  --heartbeats N  stop at heartbeat N (1000 ticks each): exit code 3\n"
    "  --memory SIZE   let it have SIZE bytes (also 64K, 16M, 2G): exit code 4\n"
    "  --stats         print statistics at exit\n"
    "  --pauses        print the longest pauses at exit\n"
    "  --ticks         print the ticks used at exit\n"
    "  -e CODE         run CODE\n"
    "  -i              read lines from the terminal after that\n"
    "A script of - is standard input. Other exit codes: 1 error in Lua, 2 wrong usage.\n";

/* ---- The command line ------------------------------------------------------------------------ */

static _Noreturn void wrong_usage(const char* fact, const char* argument) {
  fprintf(stderr, "slua: %s: '%s'\n%s", fact, argument, usage_text);
  exit(EXIT_USAGE);
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
  if (!right || *end != '\0' || n > UINT64_MAX >> shift) wrong_usage(fact, text);
  return (uint64_t)n << shift;
}

static void parse(options* o, int argc, char** argv) {
  enum { HEARTBEATS = 256, MEMORY, STATS, PAUSES, TICKS, HELP };
  static const struct option names[] = {{"heartbeats", required_argument, NULL, HEARTBEATS},
                                        {"memory", required_argument, NULL, MEMORY},
                                        {"stats", no_argument, NULL, STATS},
                                        {"pauses", no_argument, NULL, PAUSES},
                                        {"ticks", no_argument, NULL, TICKS},
                                        {"help", no_argument, NULL, HELP},
                                        {NULL, 0, NULL, 0}};
  for (int c; (c = getopt_long(argc, argv, "+e:i", names, NULL)) != -1;) {
    switch (c) {
      case HEARTBEATS:
        o->limits.heartbeats = parse_number(optarg, "", "not a number of heartbeats (1 or more)");
        break;
      case MEMORY:
        o->limits.bytes =
            parse_number(optarg, "KMG", "not a size in bytes (such as 65536, 64K, 16M, 2G)");
        break;
      case STATS:
        o->stats = true;
        break;
      case PAUSES:
        o->limits.measure_pauses = true;
        break;
      case TICKS:
        o->ticks = true;
        break;
      case 'e':
        o->code[o->codes++] = optarg;
        break;
      case 'i':
        o->interactive = true;
        break;
      case HELP:
        fputs(usage_text, stdout);
        exit(EXIT_OK);
      default:
        fputs(usage_text, stderr);
        exit(EXIT_USAGE);
    }
  }
  o->rest = argv + optind;
}

/* ---- Running --------------------------------------------------------------------------------- */

static int traceback(lua_State* L) {
  const char* message = lua_tostring(L, 1);
  if (message == NULL) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
    message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  luaL_traceback(L, L, message, 1);
  return 1;
}

/* A light function is hashed by its address in the program, and debug.getinfo gives the guest
** each one that is on the stack: so they are closures. */
static void push_closure(lua_State* L, lua_CFunction f, void* upvalue) {
  lua_pushlightuserdata(L, upvalue);
  lua_pushcclosure(L, f, 1);
}

static void say(lua_State* L) {
  const char* text = lua_tostring(L, -1);
  fprintf(stderr, "slua: %s\n", text != NULL ? text : "(error without a message)");
}

/* Calls the function below `nargs` arguments; false: an error, which was reported. */
static bool run(lua_State* L, int nargs, int nresults) {
  int function = lua_gettop(L) - nargs;
  push_closure(L, traceback, NULL);
  lua_insert(L, function);
  int status = lua_pcall(L, nargs, nresults, function);
  guest_check(L);
  if (status != LUA_OK) say(L);
  lua_remove(L, function);
  return status == LUA_OK;
}

/* The same for what lua_load left: a function or a message. */
static bool run_loaded(lua_State* L, int status, int nargs) {
  if (status == LUA_OK) return run(L, nargs, 0);
  say(L);
  return false;
}

static bool run_code(lua_State* L, const char* code) {
  int status = luaL_loadbufferx(L, code, strlen(code), "=(command line)", "t");
  return run_loaded(L, guest_loaded(L, status), 0);
}

static bool run_script(lua_State* L, char** rest) {
  bool input = rest[0] == NULL || strcmp(rest[0], "-") == 0;
  int status = guest_loaded(L, luaL_loadfilex(L, input ? NULL : rest[0], "t")), nargs = 0;
  if (status == LUA_OK && rest[0] != NULL) {
    for (; rest[nargs + 1] != NULL; nargs++) {
      luaL_checkstack(L, 1, "too many arguments");
      lua_pushstring(L, rest[nargs + 1]);
    }
  }
  return run_loaded(L, status, nargs);
}

/* Does the message at the top say that the chunk is not complete? */
static bool is_incomplete(lua_State* L) {
  size_t n;
  const char* text = lua_tolstring(L, -1, &n);
  return n >= 5 && strcmp(text + n - 5, "<eof>") == 0;
}

/* A chunk from standard input, as an expression if it is one: a function is left on the stack,
** or a message, with the status. False: end of input. */
static bool read_chunk(lua_State* L, int* status) {
  char line[4096];
  lua_pushliteral(L, "");
  for (const char* prompt = "> "; fputs(prompt, stdout), fflush(stdout), true; prompt = ">> ") {
    if (fgets(line, sizeof line, stdin) == NULL) return lua_gettop(L) > 1;
    lua_settop(L, 1);
    lua_pushstring(L, line);
    lua_concat(L, 2);
    const char* text = lua_tostring(L, 1);
    const char* expression = lua_pushfstring(L, "return %s", text);
    *status = luaL_loadbufferx(L, expression, strlen(expression), "=stdin", "t");
    if (*status == LUA_OK) break;
    lua_settop(L, 1);
    *status = luaL_loadbufferx(L, text, strlen(text), "=stdin", "t");
    if (*status != LUA_ERRSYNTAX || !is_incomplete(L)) break;
  }
  *status = guest_loaded(L, *status);
  return true;
}

static void interact(lua_State* L) {
  int status;
  while (lua_settop(L, 0), read_chunk(L, &status)) {
    lua_replace(L, 1);
    lua_settop(L, 1);
    if (status != LUA_OK) {
      say(L);
    } else if (run(L, 0, LUA_MULTRET) && lua_gettop(L) > 0) {
      lua_getglobal(L, "print");
      lua_insert(L, 1);
      run(L, lua_gettop(L) - 1, 0);
    }
  }
  putchar('\n');
}

/* As the standalone Lua's, without the options: --ticks must not change the ticks. */
static void set_arg(lua_State* L, char** rest) {
  lua_newtable(L);
  lua_pushliteral(L, "slua");
  lua_rawseti(L, -2, rest[0] != NULL ? -1 : 0);
  for (int i = 0; rest[i] != NULL; i++) {
    lua_pushstring(L, rest[i]);
    lua_rawseti(L, -2, i);
  }
  lua_setglobal(L, "arg");
}

static bool run_chunks(lua_State* L, const options* o) {
  for (int i = 0; i < o->codes; i++)
    if (!run_code(L, o->code[i])) return false;
  bool script = o->rest[0] != NULL, nothing = o->codes == 0 && !script && !o->interactive;
  if ((script || (nothing && !isatty(STDIN_FILENO))) && !run_script(L, o->rest)) return false;
  if (o->interactive || (nothing && isatty(STDIN_FILENO))) interact(L);
  return true;
}

/* All that the guest does. The guest can get hold of this function, but not run it again. */
static int run_all(lua_State* L) {
  options* o = lua_touserdata(L, lua_upvalueindex(1));
  if (o->started) return luaL_error(L, "the main function is running");
  o->started = true;
  o->failed = !run_chunks(L, o);
  return 0;
}

/* What comes before, protected too, since memory can lack. Returns run_all. */
static int prepare(lua_State* L) {
  options* o = lua_touserdata(L, 1);
  guest_open_libraries(L);
  set_arg(L, o->rest);
  lua_gc(L, LUA_GCGEN, 0, 0); /* as the original lua does */
  push_closure(L, run_all, o);
  return 1;
}

/* ---- Reports --------------------------------------------------------------------------------- */

static _Noreturn void cannot_start(const options* o, int error) {
  if (error == ENOTSUP)
    fprintf(
        stderr,
        "slua: this liblua keeps its hash seed where it was not expected; runs would not repeat\n");
  else if (o->limits.bytes != 0)
    fprintf(stderr,
            "slua: a memory limit of %llu bytes is below what Lua needs to start; give it 64K or "
            "more\n",
            (unsigned long long)o->limits.bytes);
  else
    fprintf(stderr, "slua: no memory to start\n");
  exit(o->limits.bytes != 0 && error == ENOMEM ? EXIT_MEMORY : EXIT_LUA);
}

static int report_limit(const guest* g, const options* o) {
  rt_limit limit = rt_expired(g->task);
  bool memory = limit == RT_MEMORY;
  fprintf(stderr, "slua: %s of %llu%s reached after %llu ticks, at %s\n", rt_limit_name(limit),
          (unsigned long long)(memory ? o->limits.bytes : o->limits.heartbeats),
          memory ? " bytes" : "", (unsigned long long)guest_ticks(g),
          g->where[0] != '\0' ? g->where : "the end");
  return memory ? EXIT_MEMORY : EXIT_HEARTBEATS;
}

static void report_use(const guest* g, const options* o) {
  if (o->ticks) fprintf(stderr, "ticks %llu\n", (unsigned long long)guest_ticks(g));
  if (o->limits.measure_pauses) {
    rt_pause pauses[RT_PAUSE_KINDS];
    rt_get_pauses(g->task, pauses);
    for (int i = 0; i < RT_PAUSE_KINDS; i++)
      fprintf(stderr, "pause %s units=%llu us=%llu\n", rt_pause_name((rt_pause_kind)i),
              (unsigned long long)pauses[i].units,
              (unsigned long long)((pauses[i].ns + 999) / 1000));
  }
  if (o->stats)
    fprintf(stderr, "task: %llu ticks, %llu heartbeats, %llu bytes at the end, %llu at most\n",
            (unsigned long long)guest_ticks(g), (unsigned long long)rt_heartbeats(g->task),
            (unsigned long long)rt_bytes(g->task), (unsigned long long)rt_bytes_peak(g->task));
}

int main(int argc, char** argv) {
  static char name[] = "slua";
  if (argc > 0) argv[0] = name;                      /* for getopt's messages */
  options o = {.limits = {.heartbeat_period = 1000}, /* whatever the environment says */
               .code = calloc((size_t)argc + 1, sizeof *o.code)};
  guest g;
  if (o.code == NULL) cannot_start(&o, ENOMEM);
  parse(&o, argc, argv);
  if (!guest_open(&g, &o.limits)) cannot_start(&o, errno);
  if ((o.ticks || o.stats) && !guest_count(&g)) cannot_start(&o, ENOMEM);
  lua_pushcfunction(g.L, prepare);
  lua_pushlightuserdata(g.L, &o);
  bool ok = guest_call(&g, 1, 1, 0);
  if (!ok && rt_expired(g.task) != RT_HEARTBEATS) cannot_start(&o, ENOMEM);
  ok = ok && guest_call(&g, 0, 0, 0);
  if (!ok && rt_expired(g.task) == RT_NONE && !g.exits) say(g.L);
  guest_finish(&g);
  int status = g.exits ? g.exit_status : ok && !o.failed ? EXIT_OK : EXIT_LUA;
  fflush(stdout);
  if (rt_expired(g.task) != RT_NONE) status = report_limit(&g, &o);
  report_use(&g, &o);
  guest_end(&g);
  free(o.code);
  if (o.stats) mi_stats_print(NULL);
  return status;
}
