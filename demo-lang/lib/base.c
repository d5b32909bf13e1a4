/* base.c: the guest's base library, with next.c and load.c. It shows no address (guesttext.c) and
** loads no bytecode.
**
** A tick is 32 values or calls looked at, 1 KiB of text, 256 bytes of a numeral, 1 KiB of a heap that
** is collected, 1 protected call or 1 error (work.h). */
#include "demo-lang/lib/base.h"
#include "demo-lang/lib/tables.h"
#include "demo-lang/lib/work.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

/* ---- Values ---------------------------------------------------------------------------------- */

/* The upvalues are the names of the types. */
static int base_type(lua_State* L) {
  int type = lua_type(L, 1);
  luaL_argcheck(L, type != LUA_TNONE, 1, "value expected");
  lua_pushvalue(L, lua_upvalueindex(1 + type));
  return 1;
}

static int base_tostring(lua_State* L) {
  luaL_checkany(L, 1);
  guest_tostring(L, 1);
  return 1;
}

static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return isalpha((unsigned char)c) ? toupper((unsigned char)c) - 'A' + 10 : INT_MAX;
}

/* The digits between spaces, of which there must be one, modulo 2^64; false: something else is
** there. */
static bool parse_digits(const char* s, const char* end, int base, lua_Integer* n) {
  static const char spaces[] = " \f\n\r\t\v";
  lua_Unsigned value = 0;
  s += strspn(s, spaces);
  bool minus = *s == '-';
  if (*s == '-' || *s == '+') s++;
  if (!isalnum((unsigned char)*s)) return false;
  for (; isalnum((unsigned char)*s); s++) {
    int digit = digit_of(*s);
    if (digit >= base) return false;
    value = value * (lua_Unsigned)base + (lua_Unsigned)digit;
  }
  *n = (lua_Integer)(minus ? 0U - value : value);
  return s + strspn(s, spaces) == end;
}

static bool push_number(lua_State* L) {
  size_t length;
  if (lua_isnoneornil(L, 2)) {
    if (lua_type(L, 1) == LUA_TNUMBER) return lua_settop(L, 1), true;
    luaL_checkany(L, 1);
    const char* s = lua_tolstring(L, 1, &length);
    return s != NULL && lua_stringtonumber(L, s) == length + 1;
  }
  lua_Integer base = luaL_checkinteger(L, 2), n;
  luaL_checktype(L, 1, LUA_TSTRING);
  const char* s = lua_tolstring(L, 1, &length);
  luaL_argcheck(L, 2 <= base && base <= 36, 2, "base out of range");
  work_pay(L, length, WORK_CHARS);
  if (!parse_digits(s, s + length, (int)base, &n)) return false;
  lua_pushinteger(L, n);
  return true;
}

static int base_tonumber(lua_State* L) {
  if (!push_number(L)) luaL_pushfail(L);
  return 1;
}

/* Pays for what hashing or comparing the string at index, if it is one, can cost. */
static void pay_string(lua_State* L, int index) {
  if (lua_type(L, index) == LUA_TSTRING) work_pay(L, lua_rawlen(L, index), WORK_BYTES);
}

static int base_rawequal(lua_State* L) {
  luaL_checkany(L, 1);
  luaL_checkany(L, 2);
  pay_string(L, 1);
  lua_pushboolean(L, lua_rawequal(L, 1, 2));
  return 1;
}

static int base_rawlen(lua_State* L) {
  luaL_argexpected(L, lua_istable(L, 1) || lua_type(L, 1) == LUA_TSTRING, 1, "table or string");
  lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
  return 1;
}

static int base_rawget(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  pay_string(L, 2);
  lua_rawget(L, 1);
  return 1;
}

static int base_rawset(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  pay_string(L, 2);
  lua_rawset(L, 1);
  return 1;
}

static int base_getmetatable(lua_State* L) {
  luaL_checkany(L, 1);
  if (!lua_getmetatable(L, 1)) {
    lua_pushnil(L);
    return 1;
  }
  luaL_getmetafield(L, 1, "__metatable");
  return 1;
}

/* Is the upvalue, "__gc", a field of the table? */
static bool has_finalizer(lua_State* L, int index) {
  lua_pushvalue(L, lua_upvalueindex(1));
  bool found = lua_rawget(L, index) != LUA_TNIL;
  lua_pop(L, 1);
  return found;
}

/* Lua looks for the table among all that it collects, from the newest on, and takes it to those with a
** finalizer. */
static void pay_finalizer(lua_State* L, const table* t) {
  if (t->marked & MARKED_FINALIZER) return;
  lua_newtable(L);
  meter m = meter_of(L, WORK_VALUES, false);
  for (const table* o = lua_topointer(L, -1); o != t && o != NULL; o = o->next) meter_step(&m);
  lua_pop(L, 1);
}

/* A finalizer must be known of when the script ends. */
static int base_setmetatable(lua_State* L) {
  int type = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  lua_settop(L, 2);
  guest* g = guest_of(L);
  bool may = type == LUA_TTABLE && (!g->can_look || may_have(lua_topointer(L, 2), TM_GC));
  if (may && (!g->must_close || g->can_look) && has_finalizer(L, 2)) {
    g->must_close = true;
    if (g->can_look) pay_finalizer(L, lua_topointer(L, 1));
  }
  lua_setmetatable(L, 1);
  return 1;
}

/* ---- Arguments and iteration ----------------------------------------------------------------- */

static int base_select(lua_State* L) {
  int n = lua_gettop(L);
  work_pay(L, (uint64_t)n, WORK_VALUES);
  if (lua_type(L, 1) == LUA_TSTRING && lua_tostring(L, 1)[0] == '#') {
    lua_pushinteger(L, n - 1);
    return 1;
  }
  lua_Integer i = luaL_checkinteger(L, 1);
  if (i < 0)
    i = n + i;
  else if (i > n)
    i = n;
  luaL_argcheck(L, 1 <= i, 1, "index out of range");
  return n - (int)i;
}

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

/* ---- Errors ---------------------------------------------------------------------------------- */

static int throw(lua_State * L, lua_Integer level) {
  enum { DEEPEST = LUAI_MAXSTACK };
  lua_settop(L, 1);
  guest_tick(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING && level > 0) {
    work_pay(L, (uint64_t)(level < DEEPEST ? level : DEEPEST), WORK_VALUES);
    luaL_where(L, (int)level);
    lua_pushvalue(L, 1);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int base_error(lua_State* L) { return throw(L, (int)luaL_optinteger(L, 2, 1)); }

static int base_assert(lua_State* L) {
  if (lua_toboolean(L, 1)) {
    work_pay(L, (uint64_t)lua_gettop(L), WORK_VALUES);
    return lua_gettop(L);
  }
  luaL_checkany(L, 1);
  lua_remove(L, 1);
  lua_pushliteral(L, "assertion failed!");
  lua_settop(L, 1);
  return throw(L, 1);
}

/* The results, of which `skip` are not the function's; or false and the error. */
static int protected_results(lua_State* L, int status, lua_KContext skip) {
  if (status == LUA_OK || status == LUA_YIELD) {
    int results = lua_gettop(L) - (int)skip;
    work_pay(L, (uint64_t)results, WORK_VALUES);
    return results;
  }
  guest_pay_names(L, 1);
  lua_pushboolean(L, false);
  lua_pushvalue(L, -2);
  return 2;
}

static int base_pcall(lua_State* L) {
  luaL_checkany(L, 1);
  int nargs = lua_gettop(L) - 1;
  guest_tick(L, 1 + (uint64_t)nargs / WORK_VALUES);
  lua_pushboolean(L, true);
  lua_insert(L, 1);
  int status = lua_pcallk(L, nargs, LUA_MULTRET, 0, 0, protected_results);
  return protected_results(L, status, 0);
}

/* The stack becomes: function, handler, true, function, arguments. */
static int base_xpcall(lua_State* L) {
  int nargs = lua_gettop(L) - 2;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  guest_tick(L, 1 + (uint64_t)nargs / WORK_VALUES);
  lua_pushboolean(L, true);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  int status = lua_pcallk(L, nargs, LUA_MULTRET, 2, 2, protected_results);
  return protected_results(L, status, 2);
}

/* ---- Output ---------------------------------------------------------------------------------- */

static int base_print(lua_State* L) {
  FILE* out = guest_of(L)->out;
  int n = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    size_t length;
    guest_tostring(L, i);
    const char* s = lua_tolstring(L, -1, &length);
    guest_tick(L, 1 + length / WORK_BYTES);
    if (i > 1) putc('\t', out);
    fwrite(s, 1, length, out);
    lua_pop(L, 1);
  }
  putc('\n', out);
  fflush(out);
  return 0;
}

static int base_warn(lua_State* L) {
  int n = lua_gettop(L);
  luaL_checkstring(L, 1);
  for (int i = 2; i <= n; i++) luaL_checkstring(L, i);
  for (int i = 1; i <= n; i++) {
    guest_tick(L, 1 + lua_rawlen(L, i) / WORK_BYTES);
    lua_warning(L, lua_tostring(L, i), i < n);
  }
  return 0;
}

/* ---- The collector ------------------------------------------------------------------------------
**
** A collection that the guest asks for is paid for as a walk through the heap. Those that allocation
** starts are paid for by allocation, so the guest cannot have them start too often: of what it asks
** for, percentages below these have the effect of these, which is some 25 bytes walked for one
** allocated. */

enum { LEAST_PAUSE = 104, LEAST_MINOR = 4, LEAST_MAJOR = 8 };

static int at_least(int least, int percentage) { return percentage < least ? least : percentage; }
/* As Lua keeps a percentage: in a byte, divided by 4. */
static int kept(int percentage) { return (uint8_t)(percentage / 4) * 4; }

/* The upvalue is the pause that was asked for last, which is what the guest is shown, or nil. */
static int set_pause(lua_State* L, int pause) {
  int before = lua_gc(L, LUA_GCSETPAUSE, at_least(LEAST_PAUSE, kept(pause)));
  if (before == -1) return before;
  if (lua_isinteger(L, lua_upvalueindex(1))) before = (int)lua_tointeger(L, lua_upvalueindex(1));
  lua_pushinteger(L, kept(pause));
  lua_replace(L, lua_upvalueindex(1));
  return before;
}

static int push_result(lua_State* L, int result) {
  if (result == -1)
    luaL_pushfail(L);
  else
    lua_pushinteger(L, result);
  return 1;
}

static int push_boolean(lua_State* L, int result) {
  if (result == -1)
    luaL_pushfail(L);
  else
    lua_pushboolean(L, result);
  return 1;
}

static int push_mode(lua_State* L, int mode) {
  if (mode == -1)
    luaL_pushfail(L);
  else
    lua_pushstring(L, mode == LUA_GCINC ? "incremental" : "generational");
  return 1;
}

/* Parameters of 0 leave things as they are. */
static int set_generational(lua_State* L) {
  int minor = (int)luaL_optinteger(L, 2, 0), major = (int)luaL_optinteger(L, 3, 0);
  work_collection(L);
  if (minor != 0) minor = at_least(LEAST_MINOR, (uint8_t)minor);
  if (major != 0) major = at_least(LEAST_MAJOR, kept(major));
  return push_mode(L, lua_gc(L, LUA_GCGEN, minor, major));
}

static int set_incremental(lua_State* L) {
  int pause = (int)luaL_optinteger(L, 2, 0), multiplier = (int)luaL_optinteger(L, 3, 0),
      step = (int)luaL_optinteger(L, 4, 0);
  work_collection(L);
  int mode = lua_gc(L, LUA_GCINC, 0, multiplier, step);
  if (mode != -1 && pause != 0) set_pause(L, pause);
  return push_mode(L, mode);
}

static int base_collectgarbage(lua_State* L) {
  static const char* const names[] = {"stop",         "restart",     "collect",    "count",
                                      "step",         "setpause",    "setstepmul", "isrunning",
                                      "generational", "incremental", NULL};
  static const int whats[] = {LUA_GCSTOP, LUA_GCRESTART,  LUA_GCCOLLECT,    LUA_GCCOUNT,
                              LUA_GCSTEP, LUA_GCSETPAUSE, LUA_GCSETSTEPMUL, LUA_GCISRUNNING,
                              LUA_GCGEN,  LUA_GCINC};
  int what = whats[luaL_checkoption(L, 1, "collect", names)], n;
  switch (what) {
    case LUA_GCCOUNT:
      n = lua_gc(L, what);
      if (n == -1) return push_result(L, n);
      lua_pushnumber(L, (lua_Number)n + (lua_Number)lua_gc(L, LUA_GCCOUNTB) / 1024);
      return 1;
    case LUA_GCSTEP:
      n = (int)luaL_optinteger(L, 2, 0);
      work_collection(L);
      return push_boolean(L, lua_gc(L, what, n));
    case LUA_GCSETPAUSE:
      return push_result(L, set_pause(L, (int)luaL_optinteger(L, 2, 0)));
    case LUA_GCSETSTEPMUL:
      return push_result(L, lua_gc(L, what, (int)luaL_optinteger(L, 2, 0)));
    case LUA_GCISRUNNING:
      return push_boolean(L, lua_gc(L, what));
    case LUA_GCGEN:
      return set_generational(L);
    case LUA_GCINC:
      return set_incremental(L);
    default:
      if (what != LUA_GCSTOP) work_collection(L);
      return push_result(L, lua_gc(L, what));
  }
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void set_iterators(lua_State* L) {
  base_push_next(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "next");
  lua_pushcclosure(L, base_pairs, 1);
  lua_setfield(L, -2, "pairs");
  work_push_closure(L, ipairs_next);
  lua_pushcclosure(L, base_ipairs, 1);
  lua_setfield(L, -2, "ipairs");
}

static void set_with_names(lua_State* L) {
  for (int type = 0; type < LUA_NUMTYPES; type++) lua_pushstring(L, lua_typename(L, type));
  lua_pushcclosure(L, base_type, LUA_NUMTYPES);
  lua_setfield(L, -2, "type");
  lua_pushliteral(L, "__gc");
  lua_pushcclosure(L, base_setmetatable, 1);
  lua_setfield(L, -2, "setmetatable");
}

int guest_open_base(lua_State* L) {
  static const luaL_Reg functions[] = {
      {"assert", base_assert},     {"collectgarbage", base_collectgarbage},
      {"error", base_error},       {"getmetatable", base_getmetatable},
      {"pcall", base_pcall},       {"print", base_print},
      {"rawequal", base_rawequal}, {"rawget", base_rawget},
      {"rawlen", base_rawlen},     {"rawset", base_rawset},
      {"select", base_select},     {"tonumber", base_tonumber},
      {"tostring", base_tostring}, {"warn", base_warn},
      {"xpcall", base_xpcall},     {NULL, NULL}};
  lua_pushglobaltable(L);
  work_set_functions(L, functions);
  work_set_functions(L, base_load_functions);
  set_iterators(L);
  set_with_names(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, LUA_GNAME);
  lua_pushliteral(L, LUA_VERSION);
  lua_setfield(L, -2, "_VERSION");
  return 1;
}
