/* guesttext.c: tostring as Lua's, but an address is shown as its offset in the task's region, which is
** the same in every run. */
#include "demo-lang/count/steps.h"

#include <stdio.h>

void guest_address(lua_State* L, const void* p, char text[GUEST_ADDRESS]) {
  const guest* g = guest_of(L);
  steps_take(STEPS / 4);
  if (g->repeatable)
    snprintf(text, GUEST_ADDRESS, "0x%08llx", (unsigned long long)rt_offset(g->task, p));
  else
    snprintf(text, GUEST_ADDRESS, "%p", p);
}

static void push_address(lua_State* L, const void* p) {
  char text[GUEST_ADDRESS];
  guest_address(L, p, text);
  lua_pushstring(L, text);
}

static bool shows_address(lua_State* L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TTABLE:
    case LUA_TFUNCTION:
    case LUA_TTHREAD:
    case LUA_TUSERDATA:
    case LUA_TLIGHTUSERDATA:
      break;
    default:
      return false;
  }
  if (luaL_getmetafield(L, index, "__tostring") == LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

const char* guest_tostring(lua_State* L, int index) {
  index = lua_absindex(L, index);
  if (!shows_address(L, index)) return luaL_tolstring(L, index, NULL);
  int name = luaL_getmetafield(L, index, "__name");
  if (name != LUA_TSTRING) {
    if (name != LUA_TNIL) lua_pop(L, 1);
    lua_pushstring(L, luaL_typename(L, index));
  }
  lua_pushliteral(L, ": ");
  push_address(L, lua_topointer(L, index));
  lua_concat(L, 3);
  return lua_tostring(L, -1);
}

static int file_tostring(lua_State* L) {
  const luaL_Stream* file = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  if (file->closef == NULL) {
    lua_pushliteral(L, "file (closed)");
  } else {
    lua_pushliteral(L, "file (");
    push_address(L, file);
    lua_pushliteral(L, ")");
    lua_concat(L, 3);
  }
  return 1;
}

void guest_open_text(lua_State* L) {
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_pushcfunction(L, file_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_settop(L, 0);
}
