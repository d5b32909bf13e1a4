/* permit.c: takes away what the guest may not use, from the libraries when they are open. */
#include <string.h>

#include "demo-lang/guest.h"

typedef struct taken {
  unsigned unless; /* SLUA_MAY_* */
  const char* library;
  const char* names; /* with spaces between them */
} taken;

static const taken functions[] = {
    {SLUA_MAY_ANYTHING, LUA_LOADLIBNAME, "loadlib"},
    {SLUA_MAY_ANYTHING, LUA_OSLIBNAME, "execute"},
    {SLUA_MAY_ANYTHING, LUA_IOLIBNAME, "popen"},
    {SLUA_MAY_FILES, LUA_IOLIBNAME,
     "close flush input lines open output read stdin stderr tmpfile"},
    {SLUA_MAY_FILES, LUA_OSLIBNAME, "remove rename tmpname"},
    {SLUA_MAY_FILES, LUA_LOADLIBNAME, "path cpath searchpath config"},
    {SLUA_MAY_FILES, LUA_GNAME, "dofile loadfile"},
    {SLUA_MAY_ASK, LUA_OSLIBNAME, "time clock date getenv setlocale"},
    {SLUA_MAY_EXIT, LUA_OSLIBNAME, "exit"},
};

/* Removes the names from the table at the top. */
static void remove_fields(lua_State* L, const char* names) {
  for (size_t n; *names != '\0'; names += n + (names[n] == ' ')) {
    n = strcspn(names, " ");
    lua_pushlstring(L, names, n);
    lua_pushnil(L);
    lua_rawset(L, -3);
  }
}

/* Of a file, what prints: the guest has io.stdout, which may be a file of the host's, with what is
** in it already. */
static void permit_printing(lua_State* L) {
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_getfield(L, -1, "__index");
  remove_fields(L, "lines read seek");
  lua_pop(L, 2);
}

/* library := the table at the top: as a global and for require. */
static void replace_library(lua_State* L, const char* library) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, library);
  lua_pop(L, 1);
  lua_setglobal(L, library);
}

/* Of debug, only what tells. */
static void permit_debug(lua_State* L) {
  static const char* const told[] = {"traceback", "getinfo", NULL};
  lua_getglobal(L, LUA_DBLIBNAME);
  lua_createtable(L, 0, 2);
  for (const char* const* name = told; *name != NULL; name++) {
    lua_getfield(L, -2, *name);
    lua_setfield(L, -2, *name);
  }
  replace_library(L, LUA_DBLIBNAME);
}

/* Modules come from package.preload only. */
static void permit_preloaded(lua_State* L) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i > 1; i--) {
    lua_pushnil(L);
    lua_seti(L, -2, i);
  }
}

void guest_permit(lua_State* L) {
  if (guest_may(L, SLUA_MAY_ANYTHING)) return;
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    if (guest_may(L, functions[i].unless)) continue;
    lua_getglobal(L, functions[i].library);
    remove_fields(L, functions[i].names);
    lua_pop(L, 1);
  }
  if (!guest_may(L, SLUA_MAY_FILES)) {
    permit_printing(L);
    permit_preloaded(L);
  }
  if (guest_may(L, SLUA_MAY_TRACE)) permit_debug(L);
  lua_settop(L, 0);
}
