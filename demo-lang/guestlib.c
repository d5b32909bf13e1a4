/* guestlib.c: Lua's libraries for a guest whose limits hold and whose runs repeat.
**
** lib/ has ours, which pay for what they do. The others are Lua's own, of which a few functions are
** wrapped here: those whose result depends on an address (also guesttext.c) or a clock, those that
** the end of the script must know of, and those of which a single call can be long. permit.c takes
** away what the guest may not use.
**
** A light C function is hashed by its address in the program, so each function becomes a
** closure, which is hashed by its address in the task's region. */
#include "demo-lang/lib/work.h"

#include <string.h>

/* ---- Wrapping -------------------------------------------------------------------------------- */

/* Lua's function that the running one replaces (it has no upvalues of its own); called as plain
** C it is in our place, so errors name it as usual. */
int guest_call_original(lua_State* L) { return lua_tocfunction(L, lua_upvalueindex(1))(L); }

/* `f` has the original as its upvalue. */
void guest_wrap_field(lua_State* L, const char* name, lua_CFunction f) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, name);
}

void guest_wrap(lua_State* L, const char* library, const char* name, lua_CFunction f) {
  lua_getglobal(L, library);
  guest_wrap_field(L, name, f);
  lua_pop(L, 1);
}

static bool is_light(lua_State* L, int index) {
  if (!lua_iscfunction(L, index)) return false;
  if (lua_getupvalue(L, index, 1) == NULL) return true;
  lua_pop(L, 1);
  return false;
}

/* Pushes the closure of the light function f: the same one if the table has it already (`__gc` and `__close` of files
** are one function). */
static void push_closure(lua_State* L, int table, lua_CFunction f) {
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
    if (lua_tocfunction(L, -1) != f || lua_getupvalue(L, -1, 1) == NULL) continue;
    bool found = lua_isnil(L, -1);
    lua_pop(L, 1);
    if (!found) continue;
    lua_remove(L, -2);
    return;
  }
  lua_pushnil(L);
  lua_pushcclosure(L, f, 1);
}

/* In C, since the state keeps all memory that it ever had. */
typedef struct tables {
  size_t n;
  const void* at[64];
} tables;

static bool is_new(lua_State* L, tables* seen) {
  const void* table = lua_topointer(L, -1);
  for (size_t i = 0; i < seen->n; i++)
    if (seen->at[i] == table) return false;
  if (seen->n == sizeof seen->at / sizeof seen->at[0]) luaL_error(L, "too many tables");
  seen->at[seen->n++] = table;
  return true;
}

/* Makes closures of all light functions in the table at the top and in those that it holds. The depth is that of the
** libraries. */
static void close_functions(lua_State* L, tables* seen) {
  luaL_checkstack(L, 10, NULL);
  int table = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
    if (is_light(L, -1)) {
      lua_pushvalue(L, -2);
      push_closure(L, table, lua_tocfunction(L, -2));
      lua_rawset(L, table);
    } else if (lua_istable(L, -1) && is_new(L, seen)) {
      close_functions(L, seen);
    }
  }
}

/* ---- Instead of Lua's ------------------------------------------------------------------------- */

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
  if (guest_load_file(L, file, "bt") != LUA_OK)
    return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, file,
                      lua_tostring(L, -1));
  lua_insert(L, 2);
  return 2;
}

/* Without arguments: another one each time, the same in every run. Upvalues: the generator's state, where the
** original has it too, and the original. */
static int math_randomseed(lua_State* L) {
  if (lua_isnone(L, 1)) lua_pushinteger(L, guest_of(L)->seeds++);
  return lua_tocfunction(L, lua_upvalueindex(2))(L);
}

/* Before a walk along a stack: a tick for each level. */
static void pay_levels(lua_State* L, lua_State* of) {
  lua_Debug ar;
  for (int n = 32; lua_getstack(of, n, &ar); n *= 2) guest_tick(L, (uint64_t)n);
}

static int debug_traceback(lua_State* L) {
  enum { SHOWN = 22 }; /* levels, at most */
  guest_pay_names(L, SHOWN);
  pay_levels(L, lua_isthread(L, 1) ? lua_tothread(L, 1) : L);
  return guest_call_original(L);
}

static int debug_getinfo(lua_State* L) {
  lua_Integer level = lua_tointeger(L, lua_isthread(L, 1) ? 2 : 1);
  if (level > 0) guest_tick(L, 1 + (uint64_t)(level < LUAI_MAXSTACK ? level : LUAI_MAXSTACK) / 32);
  return guest_call_original(L);
}

/* Each place in the path may be a file to be looked for: a tick for 4 bytes. */
static int package_searchpath(lua_State* L) {
  if (lua_type(L, 2) == LUA_TSTRING) guest_tick(L, 1 + lua_rawlen(L, 2) / 4);
  return guest_call_original(L);
}

/* The locale is the process's, so it is only told: others are as if they were not there. */
static int os_setlocale(lua_State* L) {
  const char* wanted = luaL_optstring(L, 1, NULL);
  lua_settop(L, 2);
  lua_pushvalue(L, 1); /* which keeps what is wanted */
  lua_pushnil(L);
  lua_replace(L, 1);
  guest_call_original(L);
  if (wanted != NULL && strcmp(wanted, luaL_optstring(L, -1, "")) != 0) luaL_pushfail(L);
  return 1;
}

/* Lua's. A finalizer must be known of when the script ends. */
static int debug_setmetatable(lua_State* L) {
  luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
  guest_of(L)->must_close = true;
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

/* The end of the state waits for the other program's. */
static int io_popen(lua_State* L) {
  guest_of(L)->must_close = true;
  return guest_call_original(L);
}

static int os_exit(lua_State* L) {
  int status = lua_isboolean(L, 1) ? !lua_toboolean(L, 1) : (int)luaL_optinteger(L, 1, 0);
  guest_exit(L, status, lua_toboolean(L, 2));
  return 0;
}

/* ---- Opening --------------------------------------------------------------------------------- */

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

/* Lua's generator keeps its four words in an upvalue. */
static void find_random(lua_State* L) {
  lua_getglobal(L, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  bool there = lua_getupvalue(L, -1, 1) != NULL && lua_rawlen(L, -1) == 4 * sizeof(uint64_t);
  guest_of(L)->random = there ? lua_touserdata(L, -1) : NULL;
  lua_settop(L, 0);
}

static void set_wrappers(lua_State* L) {
  guest_open_files(L);
  if (!guest_may(L, SLUA_MAY_ANYTHING)) guest_wrap(L, LUA_OSLIBNAME, "setlocale", os_setlocale);
  guest_wrap(L, LUA_IOLIBNAME, "popen", io_popen);
  guest_wrap(L, LUA_OSLIBNAME, "exit", os_exit);
  if (guest_may(L, SLUA_MAY_TRACE)) {
    guest_wrap(L, LUA_DBLIBNAME, "setmetatable", debug_setmetatable);
    guest_wrap(L, LUA_DBLIBNAME, "traceback", debug_traceback);
    guest_wrap(L, LUA_DBLIBNAME, "getinfo", debug_getinfo);
  }
  guest_wrap(L, LUA_LOADLIBNAME, "searchpath", package_searchpath);
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
  lua_settop(L, 0);
}

/* The library package keeps them there, and a finalizer. */
bool guest_has_modules(lua_State* L) {
  bool has = lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE && lua_rawlen(L, -1) > 0;
  lua_pop(L, 1);
  return has;
}

void guest_open_libraries(lua_State* L) {
  static const luaL_Reg libraries[] = {{LUA_GNAME, guest_open_base},
                                       {LUA_LOADLIBNAME, luaopen_package},
                                       {LUA_COLIBNAME, guest_open_coroutine},
                                       {LUA_TABLIBNAME, guest_open_table},
                                       {LUA_IOLIBNAME, luaopen_io},
                                       {LUA_OSLIBNAME, luaopen_os},
                                       {LUA_STRLIBNAME, guest_open_string},
                                       {LUA_MATHLIBNAME, luaopen_math},
                                       {LUA_UTF8LIBNAME, guest_open_utf8},
                                       {LUA_DBLIBNAME, luaopen_debug},
                                       {"rc", luaopen_rc},
                                       {"beat", luaopen_beat},
                                       {NULL, NULL}};
  for (const luaL_Reg* l = libraries; l->func != NULL; l++) {
    if (l->func == luaopen_debug && !guest_may(L, SLUA_MAY_TRACE)) continue;
    luaL_requiref(L, l->name, l->func, true);
    lua_pop(L, 1);
  }
  find_random(L);
  set_wrappers(L);
  guest_open_text(L);
  set_searchers(L);
  guest_permit(L);
  if (!guest_of(L)->repeatable) return;
  tables seen = {0};
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  close_functions(L, &seen);
  lua_pushliteral(L, ""); /* strings share a metatable, which no table refers to */
  lua_getmetatable(L, -1);
  close_functions(L, &seen);
  lua_settop(L, 0);
}
