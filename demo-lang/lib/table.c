/* table.c: the guest's library `table`.
**
** A tick is 32 elements (8 numbers to be made text), 1 comparison of a sort, 1 element that can be
** the work of a metamethod, or 1 such metamethod of a length (work.h). */
#include "demo-lang/lib/sort.h"
#include "demo-lang/lib/work.h"

#include <limits.h>

/* ---- What may stand for a table -------------------------------------------------------------- */

enum { READ = 1, WRITE = 2, LENGTH = 4 };
static const char* const fields[] = {"__index", "__newindex", "__len"}; /* by bit */

/* Which metamethods for `uses` the value has. */
static unsigned metamethods(lua_State* L, int arg, unsigned uses) {
  unsigned found = 0;
  if (!lua_getmetatable(L, arg)) return 0;
  for (unsigned i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    if ((uses & 1U << i) == 0) continue;
    lua_pushstring(L, fields[i]);
    if (lua_rawget(L, -2) != LUA_TNIL) found |= 1U << i;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return found;
}

/* A table, or else what has all metamethods for `uses`. True: its elements can be the work of one. */
static bool check_table(lua_State* L, int arg, unsigned uses) {
  unsigned found = metamethods(L, arg, uses);
  if (found != uses) luaL_checktype(L, arg, LUA_TTABLE);
  return found != 0;
}

/* The same for argument 1, with its length. */
static lua_Integer length_of(lua_State* L, unsigned uses, bool* calls) {
  *calls = check_table(L, 1, uses | LENGTH);
  if (!*calls) return (lua_Integer)lua_rawlen(L, 1);
  guest_tick(L, 1);
  return luaL_len(L, 1);
}

/* ---- Moving elements ------------------------------------------------------------------------- */

static int table_insert(lua_State* L) {
  bool calls;
  lua_Integer end = luaL_intop(+, length_of(L, READ | WRITE, &calls), 1), to = end;
  switch (lua_gettop(L)) {
    case 2:
      break;
    case 3: {
      to = luaL_checkinteger(L, 2);
      luaL_argcheck(L, (lua_Unsigned)to - 1U < (lua_Unsigned)end, 2, "position out of bounds");
      meter m = meter_of(L, WORK_VALUES, calls);
      for (lua_Integer i = end; i > to; i--) {
        meter_step(&m);
        lua_geti(L, 1, i - 1);
        lua_seti(L, 1, i);
      }
      break;
    }
    default:
      return luaL_error(L, "wrong number of arguments to 'insert'");
  }
  lua_seti(L, 1, to);
  return 0;
}

static int table_remove(lua_State* L) {
  bool calls;
  lua_Integer size = length_of(L, READ | WRITE, &calls), at = luaL_optinteger(L, 2, size);
  if (at != size)
    luaL_argcheck(L, (lua_Unsigned)at - 1U <= (lua_Unsigned)size, 1, "position out of bounds");
  meter m = meter_of(L, WORK_VALUES, calls);
  for (lua_geti(L, 1, at); at < size; at++) {
    meter_step(&m);
    lua_geti(L, 1, at + 1);
    lua_seti(L, 1, at);
  }
  lua_pushnil(L);
  lua_seti(L, 1, at);
  return 1;
}

static bool is_same(lua_State* L, int a, int b) {
  guest_tick(L, 1);
  return lua_compare(L, a, b, LUA_OPEQ);
}

/* Upwards, unless that would overwrite what is still to be read. */
static int table_move(lua_State* L) {
  lua_Integer from = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3),
              to = luaL_checkinteger(L, 4);
  int target = lua_isnoneornil(L, 5) ? 1 : 5;
  bool reads = check_table(L, 1, READ), writes = check_table(L, target, WRITE);
  if (last >= from) {
    luaL_argcheck(L, from > 0 || last < LUA_MAXINTEGER + from, 3, "too many elements to move");
    lua_Integer n = last - from + 1;
    luaL_argcheck(L, to <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
    bool upwards = to > last || to <= from || (target != 1 && !is_same(L, 1, target));
    meter m = meter_of(L, WORK_VALUES, reads || writes);
    for (lua_Integer i = 0; i < n; i++) {
      lua_Integer at = upwards ? i : n - 1 - i;
      meter_step(&m);
      lua_geti(L, 1, from + at);
      lua_seti(L, target, to + at);
    }
  }
  lua_pushvalue(L, target);
  return 1;
}

/* ---- Between a table and values, or text ----------------------------------------------------- */

static int table_pack(lua_State* L) {
  int n = lua_gettop(L);
  work_pay(L, (uint64_t)n, WORK_VALUES);
  lua_createtable(L, n, 1);
  lua_insert(L, 1);
  for (int i = n; i >= 1; i--) lua_rawseti(L, 1, i);
  lua_pushinteger(L, n);
  lua_setfield(L, 1, "n");
  return 1;
}

static int table_unpack(lua_State* L) {
  lua_Integer i = luaL_optinteger(L, 2, 1);
  bool calls = metamethods(L, 1, READ | LENGTH) != 0;
  if (calls) guest_tick(L, 1);
  lua_Integer last;
  if (!lua_isnoneornil(L, 3))
    last = luaL_checkinteger(L, 3);
  else
    last = !calls && lua_istable(L, 1) ? (lua_Integer)lua_rawlen(L, 1) : luaL_len(L, 1);
  if (i > last) return 0;
  lua_Unsigned n = (lua_Unsigned)last - (lua_Unsigned)i;
  if (n >= INT_MAX || !lua_checkstack(L, (int)++n))
    return luaL_error(L, "too many results to unpack");
  for (meter m = meter_of(L, WORK_VALUES, calls);; i++) {
    meter_step(&m);
    lua_geti(L, 1, i);
    if (i == last) return (int)n;
  }
}

/* A number costs more than a string to add. What is allocated for the text pays for its bytes. */
static void add_element(lua_State* L, luaL_Buffer* b, lua_Integer i, meter* m) {
  enum { NUMBER = 4 };
  meter_step(m);
  int type = lua_geti(L, 1, i);
  if (type == LUA_TNUMBER)
    for (int n = 1; n < NUMBER; n++) meter_step(m);
  else if (type != LUA_TSTRING)
    luaL_error(L, "invalid value (%s) at index %I in table for 'concat'", lua_typename(L, type),
               (LUAI_UACINT)i);
  luaL_addvalue(b);
}

static int table_concat(lua_State* L) {
  bool calls;
  size_t length;
  lua_Integer last = length_of(L, READ, &calls);
  const char* separator = luaL_optlstring(L, 2, "", &length);
  lua_Integer i = luaL_optinteger(L, 3, 1);
  last = luaL_optinteger(L, 4, last);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  if (i <= last) {
    meter m = meter_of(L, WORK_VALUES, calls);
    for (; i < last; i++) {
      add_element(L, &b, i, &m);
      luaL_addlstring(&b, separator, length);
    }
    add_element(L, &b, last, &m);
  }
  luaL_pushresult(&b);
  return 1;
}

/* ---- The library ----------------------------------------------------------------------------- */

static int table_sort(lua_State* L) {
  enum { SLOTS = 40 };
  bool calls;
  lua_Integer n = length_of(L, READ | WRITE, &calls);
  if (n < 2) return 0;
  luaL_argcheck(L, n < INT_MAX, 1, "array too big");
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  luaL_checkstack(L, SLOTS, "");
  if (calls || !lua_isnil(L, 2) || !sort_alike(L, (size_t)n)) sort_by_order(L, n);
  return 0;
}

int guest_open_table(lua_State* L) {
  static const luaL_Reg functions[] = {{"concat", table_concat}, {"insert", table_insert},
                                       {"move", table_move},     {"pack", table_pack},
                                       {"remove", table_remove}, {"sort", table_sort},
                                       {"unpack", table_unpack}, {NULL, NULL}};
  lua_createtable(L, 0, sizeof functions / sizeof functions[0] - 1);
  work_set_functions(L, functions);
  return 1;
}
