/* load.c: what makes functions of source, which is text only, since bytecode can do anything (unless
** the guest may do that, too). All of it passes guest_loaded. A tick is 32 bytes of source, 1 piece of it that a function gave, or 1
** file (work.h). */
#include "demo-lang/lib/base.h"
#include "demo-lang/lib/work.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- The parts of load ----------------------------------------------------------------------- */

static const char refusal[] = "attempt to load a binary chunk (mode is 't')";

static bool is_text(const char* mode) { return strchr(mode, 't') != NULL; }

/* What is left of a mode, for Lua. */
static const char* allowed(lua_State* L, const char* mode) {
  if (guest_may(L, SLUA_MAY_ANYTHING)) return mode;
  return is_text(mode) ? "t" : "";
}

/* The results of load: the function or message at the top, the first upvalue of the function being
** the value at `environment`, if that is not 0. */
static int loaded(lua_State* L, int status, int environment) {
  if (status != LUA_OK) {
    luaL_pushfail(L);
    lua_insert(L, -2);
    return 2;
  }
  if (environment != 0) {
    lua_pushvalue(L, environment);
    if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
  }
  return 1;
}

/* lua_Reader: the pieces are results of the function at index 1; the last one is kept at PIECE. */
enum { PIECE = 5 };

static const char* next_piece(lua_State* L, void* begun, size_t* size) {
  luaL_checkstack(L, 2, "too many nested functions");
  guest_tick(L, 1);
  lua_pushvalue(L, 1);
  lua_call(L, 0, 1);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    *size = 0;
    return NULL;
  }
  if (!lua_isstring(L, -1)) luaL_error(L, "reader function must return a string");
  lua_replace(L, PIECE);
  const char* piece = lua_tolstring(L, PIECE, size);
  work_pay(L, *size, WORK_SOURCE);
  if (!*(bool*)begun && *size > 0 && piece[0] == LUA_SIGNATURE[0] &&
      !guest_may(L, SLUA_MAY_ANYTHING)) {
    lua_pushstring(L, refusal);
    lua_error(L);
  }
  *(bool*)begun = true;
  return piece;
}

static int base_load(lua_State* L) {
  const char* mode = luaL_optstring(L, 3, "bt");
  int environment = lua_isnone(L, 4) ? 0 : 4;
  size_t length;
  const char* text = lua_tolstring(L, 1, &length);
  if (text != NULL) {
    const char* name = luaL_optstring(L, 2, text);
    guest_tick(L, 1 + length / WORK_SOURCE);
    if (length > 0 && text[0] == LUA_SIGNATURE[0]) mode = allowed(L, mode);
    int status = luaL_loadbufferx(L, text, length, name, mode);
    return loaded(L, guest_loaded(L, status), environment);
  }
  bool begun = false;
  const char* name = luaL_optstring(L, 2, "=(load)");
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, PIECE);
  int status = lua_load(L, next_piece, &begun, name, mode);
  return loaded(L, guest_loaded(L, status), environment);
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* A file that is read: a block, of which the first `from` bytes are passed over. */
typedef struct source {
  FILE* file;
  int error; /* of reading; 0: none */
  size_t from, length;
  char block[BUFSIZ];
} source;

/* Fills the block behind its first `kept` bytes. */
static void read_block(source* s, size_t kept) {
  s->from = 0;
  s->length = kept + fread(s->block + kept, 1, sizeof s->block - kept, s->file);
  if (ferror(s->file)) s->error = errno;
}

/* A first line that begins with # ("#!/usr/bin/slua") is an empty one, and none before bytecode. */
static void pass_first_line(source* s) {
  const char* end;
  while ((end = memchr(s->block, '\n', s->length)) == NULL && s->length > 0) read_block(s, 0);
  if (end == NULL) return;
  size_t rest = s->length - (size_t)(end - s->block);
  memmove(s->block, end, rest);
  read_block(s, rest);
  s->from = s->length > 1 && s->block[1] == LUA_SIGNATURE[0];
}

/* Up to where Lua begins: behind the mark of UTF-8, too. */
static void begin(source* s) {
  static const char mark[] = {'\xef', '\xbb', '\xbf'};
  read_block(s, 0);
  if (s->length >= sizeof mark && memcmp(s->block, mark, sizeof mark) == 0) s->from = sizeof mark;
  if (s->length > s->from && s->block[s->from] == '#') pass_first_line(s);
}

/* lua_Reader. */
static const char* next_block(lua_State* L, void* of, size_t* size) {
  source* s = of;
  (void)L;
  if (s->from == s->length) read_block(s, 0);
  const char* at = s->block + s->from;
  *size = s->length - s->from;
  s->from = s->length;
  return *size > 0 ? at : NULL;
}

static int cannot(lua_State* L, const char* what, const char* name, int error) {
  lua_pushfstring(L, "cannot %s %s: %s", what, name, strerror(error));
  return LUA_ERRFILE;
}

/* luaL_loadfilex, but that a limit, which leaves the parser by a longjmp, leaves no file open. */
static int load_file(lua_State* L, const char* name, const char* mode) {
  source s = {.file = guest_open_file(L, name)};
  if (s.file == NULL) return cannot(L, "open", name, errno);
  begin(&s);
  lua_pushfstring(L, "@%s", name);
  int status = lua_load(L, next_block, &s, lua_tostring(L, -1), mode);
  lua_remove(L, -2);
  guest_close_file(L, s.file);
  if (s.error == 0) return status;
  lua_pop(L, 1);
  return cannot(L, "read", name, s.error);
}

/* What cannot be asked for its size, such as a terminal, is paid for as an empty file. Mode "b" is
** never given to Lua, but named in its message. */
int guest_load_file(lua_State* L, const char* name, const char* mode) {
  struct stat s;
  bool known = name != NULL && stat(name, &s) == 0 && s.st_size > 0;
  guest_tick(L, 1 + (known ? (uint64_t)s.st_size / WORK_SOURCE : 0));
  int status = name == NULL ? luaL_loadfilex(L, name, allowed(L, mode)) /* standard input */
                            : load_file(L, name, allowed(L, mode));
  if (status == LUA_ERRSYNTAX && !is_text(mode) && strstr(lua_tostring(L, -1), "a text chunk")) {
    lua_pushfstring(L, "attempt to load a text chunk (mode is '%s')", mode);
    lua_replace(L, -2);
  }
  return guest_loaded(L, status);
}

static int base_loadfile(lua_State* L) {
  const char* name = luaL_optstring(L, 1, NULL);
  const char* mode = luaL_optstring(L, 2, "bt");
  int environment = lua_isnone(L, 3) ? 0 : 3;
  return loaded(L, guest_load_file(L, name, mode), environment);
}

static int results(lua_State* L, int status, lua_KContext skip) {
  (void)status;
  return lua_gettop(L) - (int)skip;
}

static int base_dofile(lua_State* L) {
  const char* name = luaL_optstring(L, 1, NULL);
  lua_settop(L, 1);
  if (guest_load_file(L, name, "bt") != LUA_OK) return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 1, results);
  return results(L, LUA_OK, 1);
}

const luaL_Reg base_load_functions[] = {
    {"dofile", base_dofile}, {"load", base_load}, {"loadfile", base_loadfile}, {NULL, NULL}};
