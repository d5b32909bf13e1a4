/* load.c: what makes functions of source, which is text only, since bytecode can do anything (unless the guest
** may do that, too). All of it passes guest_loaded. A tick is 32 bytes of source, 1 piece of it that a function
** gave, or 1 file (work.h). */
#include "demo-lang/lib/base.h"
#include "demo-lang/lib/work.h"

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

/* What cannot be asked for its size, such as a terminal, is paid for as an empty file. Mode "b" is
** never given to Lua, but named in its message. */
int guest_load_file(lua_State* L, const char* name, const char* mode) {
  struct stat s;
  bool known = name != NULL && stat(name, &s) == 0 && s.st_size > 0;
  guest_tick(L, 1 + (known ? (uint64_t)s.st_size / WORK_SOURCE : 0));
  int status = luaL_loadfilex(L, name, allowed(L, mode));
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
