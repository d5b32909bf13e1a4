/* repl.c: lines from the terminal, as lua5.4 reads and runs them; with the editing and the history of
** libreadline (or libedit) if one is installed. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo-lang/run.h"

/* ---- Lines ----------------------------------------------------------------------------------- */

static char* (*read_line)(const char* prompt); /* NULL: there is no such library */
static void (*add_history)(const char* line);

static void find_library(void) {
  static const char* const names[] = {"libreadline.so.8", "libreadline.so.7", "libedit.so.2", NULL};
  for (int i = 0; names[i] != NULL; i++) {
    void* library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) continue;
    *(void**)&read_line = dlsym(library, "readline");
    *(void**)&add_history = dlsym(library, "add_history");
    const char** name = dlsym(library, "rl_readline_name");
    if (name != NULL) *name = "lua"; /* for the user's .inputrc */
    if (read_line != NULL) return;
  }
}

static void remember(const char* line) {
  if (line[0] != '\0' && read_line != NULL && add_history != NULL) add_history(line);
}

/* Pushes a line, of any length, without its end; false: there is none. */
static bool push_plain_line(lua_State* L, const char* prompt) {
  char* line = NULL;
  size_t room = 0;
  fputs(prompt, stdout);
  fflush(stdout);
  ssize_t n = getline(&line, &room, stdin);
  if (n > 0 && line[n - 1] == '\n') n--;
  if (n >= 0) lua_pushlstring(L, line, (size_t)n);
  free(line);
  return n >= 0;
}

static bool push_edited_line(lua_State* L, const char* prompt) {
  char* line = read_line(prompt);
  if (line == NULL) return false;
  lua_pushstring(L, line);
  free(line);
  return true;
}

static bool push_line(lua_State* L, bool first) {
  const char* prompt = first ? "> " : ">> ";
  bool own = lua_getglobal(L, first ? "_PROMPT" : "_PROMPT2") != LUA_TNIL;
  if (own) prompt = luaL_tolstring(L, -1, NULL);
  int below = lua_gettop(L);
  bool there = read_line != NULL ? push_edited_line(L, prompt) : push_plain_line(L, prompt);
  for (int i = own ? 2 : 1; i > 0; i--, below--) lua_remove(L, below);
  if (there && first && lua_tostring(L, -1)[0] == '=') {
    lua_pushfstring(L, "return %s", lua_tostring(L, -1) + 1);
    lua_remove(L, -2);
  }
  return there;
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

static int load_text(lua_State* L, const char* text, const command* c) {
  return luaL_loadbufferx(L, text, strlen(text), "=stdin", c->binary);
}

/* Does the message at the top say that the chunk is not complete? */
static bool is_incomplete(lua_State* L, int status) {
  size_t n;
  const char* text = lua_tolstring(L, -1, &n);
  return status == LUA_ERRSYNTAX && n >= 5 && strcmp(text + n - 5, "<eof>") == 0;
}

/* The line at index 1 as an expression. */
static bool load_expression(lua_State* L, const command* c) {
  const char* line = lua_tostring(L, 1);
  int status = load_text(L, lua_pushfstring(L, "return %s", line), c);
  lua_remove(L, -2);
  if (status == LUA_OK)
    remember(line);
  else
    lua_pop(L, 1);
  return status == LUA_OK;
}

/* The line at index 1 and as many more as it takes. */
static int load_statement(lua_State* L, const command* c) {
  for (;;) {
    int status = load_text(L, lua_tostring(L, 1), c);
    if (!is_incomplete(L, status) || !push_line(L, false)) {
      remember(lua_tostring(L, 1));
      return status;
    }
    lua_remove(L, -2); /* the message */
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
}

/* A function or a message is alone on the stack, with the status. False: end of input. */
static bool load_lines(lua_State* L, const command* c, int* status) {
  lua_settop(L, 0);
  if (!push_line(L, true)) return false;
  *status = load_expression(L, c) ? LUA_OK : load_statement(L, c);
  lua_remove(L, 1);
  *status = guest_loaded(L, *status);
  return true;
}

static void report(lua_State* L) {
  const char* text = lua_tostring(L, -1);
  fprintf(stderr, "%s\n", text != NULL ? text : "(error message not a string)");
}

static void print_results(lua_State* L) {
  int n = lua_gettop(L);
  if (n == 0) return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, 1);
  int status = lua_pcall(L, n, 0, 0);
  guest_check(L);
  if (status == LUA_OK) return;
  lua_pushfstring(L, "error calling 'print' (%s)", lua_tostring(L, -1));
  report(L);
}

void run_lines(lua_State* L, const command* c) {
  int status;
  find_library();
  while (load_lines(L, c, &status)) {
    if (status == LUA_OK && run_function(L, c->state, 0, LUA_MULTRET))
      print_results(L);
    else
      report(L);
  }
  lua_settop(L, 0);
  putchar('\n');
  fflush(stdout);
}
