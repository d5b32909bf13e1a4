/* guesttext.c: what tostring and string.format give is Lua's, but an address is shown as its offset
** in the task's region, which is the same in every run. */
#include "demo-lang/guest.h"

#include <stdio.h>
#include <string.h>

static void push_offset(lua_State* L, const void* p) {
  char text[24];
  const guest* g = guest_of(L);
  if (g->repeatable)
    snprintf(text, sizeof text, "0x%08llx", (unsigned long long)rt_offset(g->task, p));
  else
    snprintf(text, sizeof text, "%p", p);
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
  push_offset(L, lua_topointer(L, index));
  lua_concat(L, 3);
  return lua_tostring(L, -1);
}

static int file_tostring(lua_State* L) {
  const luaL_Stream* file = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  if (file->closef == NULL) {
    lua_pushliteral(L, "file (closed)");
  } else {
    lua_pushliteral(L, "file (");
    push_offset(L, file);
    lua_pushliteral(L, ")");
    lua_concat(L, 3);
  }
  return 1;
}

/* The conversion character of the next specification in s, which may be `end` if it is cut off;
** NULL: no more. What is at `end` is a NUL. */
static const char* next_conversion(const char* s, const char* end) {
  while ((s = memchr(s, '%', (size_t)(end - s))) != NULL) {
    s++;
    if (*s != '%') return s + strspn(s, "-+ #0123456789.");
    s++;
  }
  return NULL;
}

/* %p with the flag and the width that Lua allows; what else stands there is left to Lua, which
** refuses it. */
static bool is_pointer(const char* conversion) {
  const char* c = conversion;
  if (*c != 'p') return false;
  while (c[-1] >= '0' && c[-1] <= '9') c--;
  if (*c == '0' || conversion - c > 2) return false;
  while (c[-1] == '-') c--;
  return c[-1] == '%';
}

/* Replaces the format at index 1 by one with %s for each %p. */
static void pointers_as_text(lua_State* L, const char* format, const char* end) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  const char* from = format;
  for (const char* c = format; (c = next_conversion(c, end)) != NULL;) {
    if (!is_pointer(c)) continue;
    luaL_addlstring(&b, from, (size_t)(c - from));
    luaL_addchar(&b, 's');
    from = c + 1;
  }
  luaL_addlstring(&b, from, (size_t)(end - from));
  luaL_pushresult(&b);
  lua_replace(L, 1);
}

/* %s of what shows an address, and %p, get their text here. */
static int string_format(lua_State* L) {
  int arg = 1, top = lua_gettop(L);
  bool pointers = false;
  size_t length;
  const char *format = luaL_checklstring(L, 1, &length), *end = format + length;
  for (const char* c = format; (c = next_conversion(c, end)) != NULL;) {
    if (++arg > top) break;
    if (*c == 's' && shows_address(L, arg)) {
      guest_tostring(L, arg);
      lua_replace(L, arg);
    } else if (is_pointer(c)) {
      pointers = true;
      const void* p = lua_topointer(L, arg);
      if (p != NULL)
        push_offset(L, p);
      else
        lua_pushliteral(L, "(null)");
      lua_replace(L, arg);
    }
  }
  if (pointers) pointers_as_text(L, format, end);
  return guest_call_original(L);
}

void guest_open_text(lua_State* L) {
  guest_wrap(L, LUA_STRLIBNAME, "format", string_format);
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_pushcfunction(L, file_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_settop(L, 0);
}
