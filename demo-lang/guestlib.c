/* guestlib.c: Lua's libraries for a guest whose limits hold and whose runs repeat.
**
** Most functions are Lua's own. Ours are those that catch errors (a guest that must stop is
** thrown again), those that make coroutines (their instructions are paid for), and those whose
** result depends on an address or a clock. Left out is what could undo that: C modules, and of
** `debug` all but traceback and getinfo.
**
** A light C function is hashed by its address in the program, so each function becomes a
** closure, which is hashed by its address in the task's region. */
#include "demo-lang/guest.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Wrapping -------------------------------------------------------------------------------- */

/* Lua's function that the running one replaces (it has no upvalues of its own); called as plain
** C it is in our place, so errors name it as usual. */
static int call_original(lua_State* L) { return lua_tocfunction(L, lua_upvalueindex(1))(L); }

/* library.name becomes `f`, which has the original as its upvalue. */
static void wrap(lua_State* L, const char* library, const char* name, lua_CFunction f) {
  lua_getglobal(L, library);
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

static bool is_light(lua_State* L, int index) {
  if (!lua_iscfunction(L, index)) return false;
  if (lua_getupvalue(L, index, 1) == NULL) return true;
  lua_pop(L, 1);
  return false;
}

/* Replaces the light function at the top by its closure, always the same one: `closures` is at
** index 1. */
static void push_closure(lua_State* L) {
  lua_pushvalue(L, -1);
  if (lua_rawget(L, 1) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_CFunction f = lua_tocfunction(L, -1);
    lua_pushnil(L);
    lua_pushcclosure(L, f, 1);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
  }
  lua_remove(L, -2);
}

/* Makes closures of all light functions in the table at the top and in those that it holds.
** `seen` is at index 2. The depth is that of the libraries. */
static void close_functions(lua_State* L) {
  luaL_checkstack(L, 10, NULL);
  int table = lua_gettop(L);
  lua_pushvalue(L, table);
  lua_pushboolean(L, true);
  lua_rawset(L, 2);
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    if (is_light(L, -1)) {
      push_closure(L);
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, table);
      continue;
    }
    if (lua_istable(L, -1)) {
      lua_pushvalue(L, -1);
      bool seen = lua_rawget(L, 2) != LUA_TNIL;
      lua_pop(L, 1);
      if (!seen) close_functions(L);
    }
    lua_pop(L, 1);
  }
}

/* ---- Text: addresses as offsets -------------------------------------------------------------- */

static void push_offset(lua_State* L, const void* p) {
  char text[24];
  snprintf(text, sizeof text, "0x%08llx", (unsigned long long)rt_offset(guest_of(L)->task, p));
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
  if (luaL_getmetafield(L, index, "__name") != LUA_TSTRING)
    lua_pushstring(L, luaL_typename(L, index));
  lua_pushliteral(L, ": ");
  push_offset(L, lua_topointer(L, index));
  lua_concat(L, 3);
  return lua_tostring(L, -1);
}

static int base_tostring(lua_State* L) {
  luaL_checkany(L, 1);
  guest_tostring(L, 1);
  return 1;
}

static int base_print(lua_State* L) {
  int n = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    size_t length;
    guest_tostring(L, i);
    const char* s = lua_tolstring(L, -1, &length);
    if (i > 1) lua_writestring("\t", 1);
    lua_writestring(s, length);
    lua_pop(L, 1);
  }
  lua_writeline();
  return 0;
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

/* The conversion character of the next specification in s, which may be "" if it is cut off;
** NULL: no more. */
static const char* next_conversion(const char* s) {
  while ((s = strchr(s, '%')) != NULL) {
    s++;
    if (*s != '%') return s + strspn(s, "-+ #0123456789.");
    s++;
  }
  return NULL;
}

/* %s takes the same - and width as %p; what else stands there is left to Lua, which refuses it. */
static bool is_pointer(const char* conversion) {
  if (*conversion != 'p') return false;
  while (strchr("-0123456789", *--conversion) != NULL) continue;
  return *conversion == '%';
}

/* %s of what shows an address, and %p, get their text here; %p becomes %s. */
static int string_format(lua_State* L) {
  int arg = 1, top = lua_gettop(L);
  bool pointers = false;
  const char* format = luaL_checkstring(L, 1);
  for (const char* c = format; (c = next_conversion(c)) != NULL;) {
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
  if (pointers) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    const char* from = format;
    for (const char* c = format; (c = next_conversion(c)) != NULL;) {
      if (!is_pointer(c)) continue;
      luaL_addlstring(&b, from, (size_t)(c - from));
      luaL_addchar(&b, 's');
      from = c + 1;
    }
    luaL_addstring(&b, from);
    luaL_pushresult(&b);
    lua_replace(L, 1);
  }
  return call_original(L);
}

/* ---- Errors: what catches, throws again if the guest must stop ------------------------------- */

static int call_end(lua_State* L, int status, lua_KContext skip) {
  guest_check(L, status);
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)skip;
  lua_pushboolean(L, false);
  lua_pushvalue(L, -2);
  return 2;
}

static int base_pcall(lua_State* L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, true);
  lua_insert(L, 1);
  return call_end(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, call_end), 0);
}

/* Hooks are off in a message handler that a hook's error called, so the guest's is not called
** then. */
static int message_handler(lua_State* L) {
  lua_settop(L, 1);
  if (guest_stops(L)) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static int base_xpcall(lua_State* L) {
  enum { FUNCTION = 1, HANDLER = 2 };
  int nargs = lua_gettop(L) - 2;
  luaL_checktype(L, HANDLER, LUA_TFUNCTION);
  lua_pushvalue(L, HANDLER);
  lua_pushcclosure(L, message_handler, 1);
  lua_replace(L, HANDLER);
  lua_pushboolean(L, true);
  lua_pushvalue(L, FUNCTION);
  lua_rotate(L, 3, 2);
  return call_end(L, lua_pcallk(L, nargs, LUA_MULTRET, HANDLER, 2, call_end), 2);
}

/* load calls the guest's reader and catches its errors. */
static int base_load(lua_State* L) {
  int n = call_original(L);
  guest_check(L, LUA_OK);
  return n;
}

/* ---- Coroutines ------------------------------------------------------------------------------ */

static lua_State* check_coroutine(lua_State* L) {
  lua_State* co = lua_tothread(L, 1);
  luaL_argexpected(L, co != NULL, 1, "thread");
  return co;
}

/* Moves nargs values to co, runs it, and moves its results back; their number, or -1 and the
** error. */
static int resume(lua_State* L, lua_State* co, int nargs) {
  int count;
  if (!lua_checkstack(co, nargs)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, nargs);
  lua_State* before = guest_run_coroutine(L, co);
  int status = lua_resume(co, L, nargs, &count);
  guest_run_coroutine(L, before);
  guest_check(L, status);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, count + 1)) {
    lua_pop(co, count);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, count);
  return count;
}

/* Closes what is open in co, whose handlers may be the guest's. */
static int reset(lua_State* L, lua_State* co) {
  lua_State* before = guest_run_coroutine(L, co);
  int status = lua_resetthread(co);
  guest_run_coroutine(L, before);
  guest_check(L, status);
  return status;
}

static int co_create(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State* co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  guest_arm(co);
  return 1;
}

static int co_resume(lua_State* L) {
  lua_State* co = check_coroutine(L);
  int n = resume(L, co, lua_gettop(L) - 1);
  lua_pushboolean(L, n >= 0);
  if (n < 0) n = 1;
  lua_insert(L, -(n + 1));
  return n + 1;
}

/* An error passes through, with the caller's position, and closes the coroutine. */
static int wrapped(lua_State* L) {
  lua_State* co = lua_tothread(L, lua_upvalueindex(1));
  int n = resume(L, co, lua_gettop(L));
  if (n >= 0) return n;
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    status = reset(L, co);
    lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int co_wrap(lua_State* L) {
  co_create(L);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}

static int co_close(lua_State* L) {
  lua_State* co = check_coroutine(L);
  lua_Debug ar;
  bool active = co == L || (lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar));
  if (active) return luaL_error(L, "cannot close a %s coroutine", co == L ? "running" : "normal");
  if (reset(L, co) == LUA_OK) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushboolean(L, false);
  lua_xmove(co, L, 1);
  return 2;
}

/* ---- Iterators: their functions are closures ------------------------------------------------- */

static int three_results(lua_State* L, int status, lua_KContext k) {
  (void)L, (void)status, (void)k;
  return 3;
}

/* The upvalue is `next`. */
static int base_pairs(lua_State* L) {
  luaL_checkany(L, 1);
  if (luaL_getmetafield(L, 1, "__pairs") == LUA_TNIL) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushnil(L);
  } else {
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 3, 0, three_results);
  }
  return 3;
}

static int ipairs_next(lua_State* L) {
  lua_Integer i = luaL_checkinteger(L, 2);
  i = luaL_intop(+, i, 1);
  lua_pushinteger(L, i);
  return lua_geti(L, 1, i) == LUA_TNIL ? 1 : 2;
}

/* The upvalue is `ipairs_next`. */
static int base_ipairs(lua_State* L) {
  luaL_checkany(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

/* utf8.codes returns one of two light functions; the table in upvalue 2 has the closures of
** those that were met. */
static int utf8_codes(lua_State* L) {
  int n = call_original(L);
  lua_pushvalue(L, -n);
  if (lua_rawget(L, lua_upvalueindex(2)) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushvalue(L, -n);
    lua_pushnil(L);
    lua_pushcclosure(L, lua_tocfunction(L, -2), 1);
    lua_remove(L, -2);
    lua_pushvalue(L, -(n + 1));
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(2));
  }
  lua_replace(L, -(n + 1));
  return n;
}

/* ---- No clock -------------------------------------------------------------------------------- */

/* Without arguments: from the ticks, which repeat. */
static int math_randomseed(lua_State* L) {
  if (lua_isnone(L, 1))
    lua_pushinteger(L, (lua_Integer)rt_ticks(guest_of(L)->task));
  else
    luaL_checknumber(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* table.sort: quicksort, the middle of three as pivot, the shorter part first; up to 8 elements
** by insertion. Lua's draws the pivots of long arrays from the clock. A comparison is charged 1
** tick. */
static bool less(lua_State* L, int a, int b) {
  if (rt_tick(1) != RT_OK) guest_stop(L);
  if (lua_isnil(L, 2)) return lua_compare(L, a, b, LUA_OPLT);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, a - 1);
  lua_pushvalue(L, b - 2);
  lua_call(L, 2, 1);
  bool result = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return result;
}

static void sort_by_insertion(lua_State* L, lua_Integer low, lua_Integer high) {
  for (lua_Integer i = low + 1; i <= high; i++) {
    lua_Integer to = i;
    lua_geti(L, 1, i);
    for (; to > low; to--) {
      lua_geti(L, 1, to - 1);
      if (!less(L, -2, -1)) break;
      lua_seti(L, 1, to);
    }
    if (to > low) lua_pop(L, 1);
    lua_seti(L, 1, to);
  }
}

/* Orders elements i < j. */
static void order(lua_State* L, lua_Integer i, lua_Integer j) {
  lua_geti(L, 1, i);
  lua_geti(L, 1, j);
  if (less(L, -1, -2)) {
    lua_seti(L, 1, i);
    lua_seti(L, 1, j);
  } else {
    lua_pop(L, 2);
  }
}

/* Hoare's partition: elements up to the result are not above the pivot, those behind are not
** below. A comparison that contradicts itself could run out of the range. */
static lua_Integer partition(lua_State* L, lua_Integer low, lua_Integer high) {
  lua_Integer middle = low + (high - low) / 2, i = low - 1, j = high + 1;
  order(L, low, middle);
  order(L, low, high);
  order(L, middle, high);
  lua_geti(L, 1, middle);
  for (;;) {
    for (lua_geti(L, 1, ++i); less(L, -1, -2); lua_geti(L, 1, ++i)) {
      if (i >= high) luaL_error(L, "invalid order function for sorting");
      lua_pop(L, 1);
    }
    for (lua_geti(L, 1, --j); less(L, -3, -1); lua_geti(L, 1, --j)) {
      if (j <= low) luaL_error(L, "invalid order function for sorting");
      lua_pop(L, 1);
    }
    if (i >= j) {
      lua_pop(L, 3);
      return j;
    }
    lua_seti(L, 1, i);
    lua_seti(L, 1, j);
  }
}

static void quicksort(lua_State* L, lua_Integer low, lua_Integer high) {
  enum { SHORT = 8 };
  while (high - low >= SHORT) {
    lua_Integer end = partition(L, low, high);
    if (end >= high) luaL_error(L, "invalid order function for sorting");
    if (end - low < high - end) {
      quicksort(L, low, end);
      low = end + 1;
    } else {
      quicksort(L, end + 1, high);
      high = end;
    }
  }
  sort_by_insertion(L, low, high);
}

static bool has_metafield(lua_State* L, const char* name) {
  if (luaL_getmetafield(L, 1, name) == LUA_TNIL) return false;
  lua_pop(L, 1);
  return true;
}

static int table_sort(lua_State* L) {
  if (!has_metafield(L, "__index") || !has_metafield(L, "__newindex") || !has_metafield(L, "__len"))
    luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n < INT_MAX, 1, "array too big");
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  luaL_checkstack(L, 10, NULL);
  if (n > 1) quicksort(L, 1, n);
  return 0;
}

/* ---- What must be known when the script ends ------------------------------------------------- */

static int base_setmetatable(lua_State* L) {
  if (lua_istable(L, 2)) {
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, 2) != LUA_TNIL) guest_of(L)->must_close = true;
    lua_pop(L, 1);
  }
  return call_original(L);
}

static int io_opens(lua_State* L) {
  guest_of(L)->must_close = true;
  return call_original(L);
}

static int os_exit(lua_State* L) {
  int status = lua_isboolean(L, 1) ? !lua_toboolean(L, 1) : (int)luaL_optinteger(L, 1, 0);
  guest_exit(L, status, lua_toboolean(L, 2));
  return 0;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void set_globals(lua_State* L) {
  static const luaL_Reg functions[] = {{"print", base_print},
                                       {"tostring", base_tostring},
                                       {"pcall", base_pcall},
                                       {"xpcall", base_xpcall},
                                       {NULL, NULL}};
  lua_pushglobaltable(L);
  luaL_setfuncs(L, functions, 0);
  wrap(L, LUA_GNAME, "load", base_load);
  wrap(L, LUA_GNAME, "setmetatable", base_setmetatable);
  lua_pop(L, 1);
}

static void set_libraries(lua_State* L) {
  static const luaL_Reg coroutines[] = {{"create", co_create},
                                        {"resume", co_resume},
                                        {"wrap", co_wrap},
                                        {"close", co_close},
                                        {NULL, NULL}};
  static const char* const opens[] = {"open", "popen", "tmpfile", "lines", "input", "output"};
  lua_getglobal(L, LUA_COLIBNAME);
  luaL_setfuncs(L, coroutines, 0);
  for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++)
    wrap(L, LUA_IOLIBNAME, opens[i], io_opens);
  wrap(L, LUA_STRLIBNAME, "format", string_format);
  wrap(L, LUA_MATHLIBNAME, "randomseed", math_randomseed);
  wrap(L, LUA_TABLIBNAME, "sort", table_sort);
  wrap(L, LUA_OSLIBNAME, "exit", os_exit);
  lua_getglobal(L, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  lua_call(L, 0, 0);
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_pushcfunction(L, file_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_settop(L, 0);
}

static void leave_out(lua_State* L) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_pushnil(L);
  lua_setfield(L, -2, "loadlib");
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i > 2; i--) {
    lua_pushnil(L);
    lua_seti(L, -2, i);
  }
  lua_getglobal(L, LUA_DBLIBNAME);
  lua_createtable(L, 0, 2);
  for (const char* const* name = (const char* const[]){"traceback", "getinfo", NULL}; *name != NULL;
       name++) {
    lua_getfield(L, -2, *name);
    lua_setfield(L, -2, *name);
  }
  lua_pushvalue(L, -1);
  lua_setglobal(L, LUA_DBLIBNAME);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, LUA_DBLIBNAME);
  lua_settop(L, 0);
}

/* Those that return functions need closures to return. */
static void set_iterators(lua_State* L) {
  lua_getglobal(L, "next");
  push_closure(L);
  lua_pushcclosure(L, base_pairs, 1);
  lua_setglobal(L, "pairs");
  lua_pushcfunction(L, ipairs_next);
  push_closure(L);
  lua_pushcclosure(L, base_ipairs, 1);
  lua_setglobal(L, "ipairs");
  lua_getglobal(L, LUA_UTF8LIBNAME);
  lua_getfield(L, -1, "codes");
  lua_newtable(L);
  lua_pushcclosure(L, utf8_codes, 2);
  lua_setfield(L, -2, "codes");
  lua_settop(L, 2);
}

void guest_open_libraries(lua_State* L) {
  luaL_openlibs(L);
  luaL_requiref(L, "rc", luaopen_rc, true);
  lua_settop(L, 0);
  set_globals(L);
  set_libraries(L);
  leave_out(L);
  lua_newtable(L); /* closures */
  lua_newtable(L); /* seen */
  set_iterators(L);
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  close_functions(L);
  lua_pushliteral(L, ""); /* strings share a metatable, which no table refers to */
  lua_getmetatable(L, -1);
  close_functions(L);
  lua_settop(L, 0);
}
