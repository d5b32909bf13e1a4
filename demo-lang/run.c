/* run.c: options, LUA_INIT and scripts, in lua5.4's order and with its messages. */
#include "demo-lang/run.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Calling and reporting ------------------------------------------------------------------- */

void run_report(lua_State* L) {
  const char* text = lua_tostring(L, -1);
  fprintf(stderr, "slua: %s\n", text != NULL ? text : "(error message not a string)");
  lua_pop(L, 1);
}

static int traceback(lua_State* L) {
  const char* message = lua_tostring(L, 1);
  if (message == NULL) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
    message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  luaL_traceback(L, L, message, 1);
  return 1;
}

static slua* interrupted; /* what a signal is for */

static void on_signal(int number) {
  (void)number;
  slua_interrupt(interrupted);
}

/* The first Ctrl-C is an error in the script; the next one, unless it was seen by then, ends the program. */
static void catch_signal(slua* s) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  interrupted = s;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
}

/* A light function is hashed by its address in the program, and debug.getinfo gives the guest
** each one that is on the stack: so the handler is a closure. */
bool run_function(lua_State* L, slua* s, int nargs, int nresults) {
  int function = lua_gettop(L) - nargs;
  lua_pushnil(L);
  lua_pushcclosure(L, traceback, 1);
  lua_insert(L, function);
  catch_signal(s);
  int status = lua_pcall(L, nargs, nresults, function);
  signal(SIGINT, SIG_DFL);
  guest_check(L);
  lua_remove(L, function);
  return status == LUA_OK;
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

/* What lua_load left is called without arguments. */
static bool run_loaded(lua_State* L, slua* s, int status) {
  if (guest_loaded(L, status) == LUA_OK && run_function(L, s, 0, 0)) return true;
  run_report(L);
  return false;
}

static bool run_code(lua_State* L, const command* c, const char* code, const char* name) {
  return run_loaded(L, c->state, luaL_loadbufferx(L, code, strlen(code), name, c->binary));
}

static bool run_file(lua_State* L, const command* c, const char* name) {
  return run_loaded(L, c->state, luaL_loadfilex(L, name, c->binary));
}

/* -l global=module, or -l module. */
static bool run_library(lua_State* L, const command* c, const char* text) {
  const char* module = strchr(text, '=');
  lua_getglobal(L, "require");
  lua_pushstring(L, module != NULL ? module + 1 : text);
  if (!run_function(L, c->state, 1, 1)) {
    run_report(L);
    return false;
  }
  if (module != NULL)
    lua_pushlstring(L, text, (size_t)(module - text));
  else
    lua_pushstring(L, text);
  lua_pushglobaltable(L);
  lua_insert(L, -3);
  lua_insert(L, -2);
  lua_settable(L, -3);
  lua_pop(L, 1);
  return true;
}

static bool run_init(lua_State* L, const command* c) {
  static const char* const names[] = {"=LUA_INIT_5_4", "=LUA_INIT"};
  for (int i = 0; i < 2; i++) {
    const char* init = getenv(names[i] + 1);
    if (init == NULL) continue;
    return init[0] == '@' ? run_file(L, c, init + 1) : run_code(L, c, init, names[i]);
  }
  return true;
}

/* -e, -l and -W, in their order. */
static bool run_options(lua_State* L, const command* c) {
  for (int i = 1; i < c->script; i++) {
    char option = c->argv[i][1];
    if (option == 'W') lua_warning(L, "@on", 0);
    if (option != 'e' && option != 'l') continue;
    const char* text = c->argv[i][2] != '\0' ? c->argv[i] + 2 : c->argv[++i];
    if (option == 'e' ? !run_code(L, c, text, "=(command line)") : !run_library(L, c, text))
      return false;
  }
  return true;
}

/* What the table arg has by now, from index 1. */
static int push_arguments(lua_State* L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE) return luaL_error(L, "'arg' is not a table");
  int n = (int)luaL_len(L, -1);
  luaL_checkstack(L, n + 3, "too many arguments to script");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, -i, i);
  lua_remove(L, -(n + 1));
  return n;
}

static bool run_script(lua_State* L, const command* c) {
  const char* name = c->argv[c->script];
  bool input = strcmp(name, "-") == 0 && strcmp(c->argv[c->script - 1], "--") != 0;
  int status = guest_loaded(L, luaL_loadfilex(L, input ? NULL : name, c->binary));
  if (status == LUA_OK && run_function(L, c->state, push_arguments(L), LUA_MULTRET)) return true;
  run_report(L);
  return false;
}

/* ---- All of it ------------------------------------------------------------------------------- */

/* The script is at 0, what stood before it at negative indices. The program is `slua`, whatever its path. */
static void set_arg(lua_State* L, const command* c) {
  int script = c->script < c->argc ? c->script : 0;
  lua_createtable(L, c->argc - script - 1, script + 1);
  for (int i = 0; i < c->argc; i++) {
    lua_pushstring(L, i == 0 ? "slua" : c->argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

static void print_version(void) {
  puts(LUA_COPYRIGHT);
  fflush(stdout);
}

static bool run_all(lua_State* L, const command* c) {
  if (c->version) print_version();
  if (c->init && !run_init(L, c)) return false;
  if (!run_options(L, c)) return false;
  bool script = c->script < c->argc;
  if (script && !run_script(L, c)) return false;
  if (c->interactive) {
    run_lines(L, c);
  } else if (!script && !c->code && !c->version) {
    if (!isatty(STDIN_FILENO)) return run_file(L, c, NULL);
    print_version();
    run_lines(L, c);
  }
  return true;
}

/* What a script leaves for the end is known of (must_close); there are no functions of a host's. */
int run_command(lua_State* L, void* arg) {
  command* c = arg;
  guest_of(L)->must_close = false;
  set_arg(L, c);
  lua_gc(L, LUA_GCGEN, 0, 0); /* as lua5.4 does */
  c->succeeded = run_all(L, c);
  return 0;
}
