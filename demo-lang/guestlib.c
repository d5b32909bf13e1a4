/* guestlib.c: Lua's libraries for a guest whose limits hold and whose runs repeat.
**
** Most functions are Lua's own. Ours are those that make, run and close coroutines (their
** instructions are paid for), those that load (text only), and those whose result depends on an
** address (also guesttext.c) or a clock. permit.c takes away what the guest may not use.
**
** A light C function is hashed by its address in the program, so each function becomes a
** closure, which is hashed by its address in the task's region. */
#include "demo-lang/guest.h"

#include <limits.h>
#include <string.h>

/* ---- Wrapping -------------------------------------------------------------------------------- */

/* Lua's function that the running one replaces (it has no upvalues of its own); called as plain
** C it is in our place, so errors name it as usual. */
int guest_call_original(lua_State* L) { return lua_tocfunction(L, lua_upvalueindex(1))(L); }

/* `f` has the original as its upvalue. */
void guest_wrap(lua_State* L, const char* library, const char* name, lua_CFunction f) {
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

/* ---- Loading: text only, since bytecode can do anything -------------------------------------- */

/* The mode at index, by default "bt", without its b. Lua's message names what is left. */
static void text_mode(lua_State* L, int index) {
  if (guest_may(L, SLUA_MAY_ANYTHING)) return;
  const char* mode = luaL_optstring(L, index, "bt");
  lua_pushstring(L, strchr(mode, 't') != NULL ? "t" : "");
  lua_replace(L, index);
}

/* What the original gives: a function, or nil and a message. */
static int load_original(lua_State* L) {
  int n = guest_call_original(L);
  if (n == 1) guest_loaded(L, LUA_OK);
  return n;
}

static int base_load(lua_State* L) {
  enum { MODE = 3 };
  const char* text = lua_tostring(L, 1);
  if (lua_isnone(L, 1) || (text != NULL && text[0] != LUA_SIGNATURE[0])) return load_original(L);
  if (lua_gettop(L) < MODE) lua_settop(L, MODE);
  text_mode(L, MODE);
  return load_original(L);
}

static int base_loadfile(lua_State* L) {
  enum { MODE = 2 };
  if (lua_gettop(L) < MODE) lua_settop(L, MODE);
  text_mode(L, MODE);
  return load_original(L);
}

static int all_results(lua_State* L, int status, lua_KContext skip) {
  (void)status;
  return lua_gettop(L) - (int)skip;
}

static int base_dofile(lua_State* L) {
  const char* name = luaL_optstring(L, 1, NULL);
  lua_settop(L, 1);
  const char* mode = guest_may(L, SLUA_MAY_ANYTHING) ? NULL : "t";
  if (guest_loaded(L, luaL_loadfilex(L, name, mode)) != LUA_OK) return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 1, all_results);
  return all_results(L, LUA_OK, 1);
}

/* The searcher for files of Lua. Upvalues: the table `package`, and package.searchpath. */
static int search_file(lua_State* L) {
  const char* name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "path");
  if (!lua_isstring(L, -1)) return luaL_error(L, "'package.path' must be a string");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1;
  lua_settop(L, 2);
  const char* file = lua_tostring(L, 2);
  if (guest_loaded(L, luaL_loadfilex(L, file, "t")) != LUA_OK)
    return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, file,
                      lua_tostring(L, -1));
  lua_insert(L, 2);
  return 2;
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
  guest_check(L);
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
    status = guest_reset_coroutine(L, co);
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
  if (guest_reset_coroutine(L, co) == LUA_OK) {
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
  int n = guest_call_original(L);
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

/* Without arguments: from the ticks, which repeat. Upvalues: the generator's state, where the
** original has it too, and the original. */
static int math_randomseed(lua_State* L) {
  if (lua_isnone(L, 1)) lua_pushinteger(L, (lua_Integer)rt_ticks(guest_of(L)->task));
  return lua_tocfunction(L, lua_upvalueindex(2))(L);
}

/* table.sort: quicksort, the middle of three as pivot, the shorter part first; up to 8 elements
** by insertion. Lua's draws the pivots of long arrays from the clock. A comparison is charged 1
** tick. */
static bool less(lua_State* L, int a, int b) {
  guest_tick(L, 1);
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
  return guest_call_original(L);
}

static int io_opens(lua_State* L) {
  guest_of(L)->must_close = true;
  return guest_call_original(L);
}

static int os_exit(lua_State* L) {
  int status = lua_isboolean(L, 1) ? !lua_toboolean(L, 1) : (int)luaL_optinteger(L, 1, 0);
  guest_exit(L, status, lua_toboolean(L, 2));
  return 0;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void set_globals(lua_State* L) {
  guest_wrap(L, LUA_GNAME, "load", base_load);
  guest_wrap(L, LUA_GNAME, "loadfile", base_loadfile);
  guest_wrap(L, LUA_GNAME, "dofile", base_dofile);
  guest_wrap(L, LUA_GNAME, "setmetatable", base_setmetatable);
}

/* Seeded from the ticks. */
static void set_random(lua_State* L) {
  lua_getglobal(L, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  lua_getupvalue(L, -1, 1);
  lua_insert(L, -2);
  lua_pushcclosure(L, math_randomseed, 2);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "randomseed");
  lua_call(L, 0, 0);
}

static void set_libraries(lua_State* L) {
  static const luaL_Reg coroutines[] = {{"create", co_create},
                                        {"resume", co_resume},
                                        {"wrap", co_wrap},
                                        {"close", co_close},
                                        {NULL, NULL}};
  static const char* const opens[] = {"open", "tmpfile", "lines", "input", "output"};
  lua_getglobal(L, LUA_COLIBNAME);
  luaL_setfuncs(L, coroutines, 0);
  for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++)
    guest_wrap(L, LUA_IOLIBNAME, opens[i], io_opens);
  guest_wrap(L, LUA_TABLIBNAME, "sort", table_sort);
  guest_wrap(L, LUA_OSLIBNAME, "exit", os_exit);
  if (guest_of(L)->repeatable) set_random(L);
  lua_settop(L, 0);
}

static void set_searchers(lua_State* L) {
  if (guest_may(L, SLUA_MAY_ANYTHING)) return;
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i > 2; i--) {
    lua_pushnil(L);
    lua_seti(L, -2, i);
  }
  lua_pushvalue(L, -2);
  lua_getfield(L, -1, "searchpath");
  lua_pushcclosure(L, search_file, 2);
  lua_seti(L, -2, 2);
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
  luaL_requiref(L, LUA_STRLIBNAME, guest_open_string, true); /* which luaL_openlibs keeps */
  luaL_openlibs(L);
  luaL_requiref(L, "rc", luaopen_rc, true);
  lua_settop(L, 0);
  set_globals(L);
  set_libraries(L);
  guest_open_text(L);
  set_searchers(L);
  guest_permit(L);
  lua_newtable(L); /* closures */
  lua_newtable(L); /* seen */
  set_iterators(L);
  if (!guest_of(L)->repeatable) return;
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  close_functions(L);
  lua_pushliteral(L, ""); /* strings share a metatable, which no table refers to */
  lua_getmetatable(L, -1);
  close_functions(L);
  lua_settop(L, 0);
}
