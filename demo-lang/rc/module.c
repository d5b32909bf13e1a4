/* rc/module.c: the Lua module "rc": values outside of Lua's collector, and drafts of them.
**
**   rc.list([t]), rc.vector([t]), rc.map([t]), rc.rope([text]), rc.int(number or text [, base])
**   rc.draft(v), rc.value(d)   a variable that holds v; the value that it holds
**   rc.push(x, v), rc.set(x, k, v), rc.sub(x, i [, j])   a draft, changed, or a new value
**   rc.pop(x)                  the element, and such a one
**   rc.compare(a, b), rc.hash(v), rc.encode(v), rc.decode(s), rc.type(x), rc.tointeger(n), rc.digits(n [, base])
**   rc.drop(x)                 gives up the reference now: what dies is freed in bounded steps
**   rc.pending(), rc.drain([units]), rc.counters()
**
** What takes a value first is a method, too, but for maps, whose fields are their keys.
** rc/value.h tells how handles work, rc/collection.c what collections do. */
#include "demo-lang/lib/work.h"
#include "demo-lang/rc/value.h"

/* ---- What all have --------------------------------------------------------------------------- */

static int compare_at(lua_State* L, bool equality) {
  value a, b;
  purse p = purse_new(L);
  value_check(L, 1, &a);
  value_check(L, 2, &b);
  return value_compare(&p, &a, &b, equality, 0);
}

static int compare(lua_State* L) {
  luaL_checkany(L, 2);
  int order = compare_at(L, false);
  lua_pushinteger(L, (order > 0) - (order < 0));
  return 1;
}

/* Drafts, and what was dropped, equal themselves only; Lua does not ask then. */
static int equal(lua_State* L) {
  value a, b;
  bool comparable = value_at(L, 1, &a) && value_at(L, 2, &b);
  lua_pushboolean(L, comparable && compare_at(L, true) == 0);
  return 1;
}

static int less(lua_State* L) {
  lua_pushboolean(L, compare_at(L, false) < 0);
  return 1;
}

static int less_or_equal(lua_State* L) {
  lua_pushboolean(L, compare_at(L, false) <= 0);
  return 1;
}

static int hash(lua_State* L) {
  value v;
  purse p = purse_new(L);
  luaL_checkany(L, 1);
  value_check(L, 1, &v);
  lua_pushinteger(L, (lua_Integer)value_hash(&p, &v, 0));
  return 1;
}

static int value_newindex(lua_State* L) {
  return luaL_error(L,
                    "a value does not change (rc.set makes another one, rc.draft one that does)");
}

static int new_handle(lua_State* L, handle* (*make)(lua_State* L, value_kind kind)) {
  handle* to = make(L, handle_check(L, 1, ANY_KIND)->kind);
  handle_set(to, word_copy(handle_check(L, 1, ANY_KIND)->word));
  return 1;
}

static int draft(lua_State* L) {
  handle_check(L, 1, IS_LIST | IS_VECTOR | IS_MAP | IS_ROPE);
  return new_handle(L, draft_push);
}

static int value_of_draft(lua_State* L) {
  lua_settop(L, 1);
  return handle_check(L, 1, ANY_KIND)->draft ? new_handle(L, handle_push) : 1;
}

static int drop(lua_State* L) {
  handle* h = handle_test(L, 1);
  luaL_argexpected(L, h != NULL, 1, "value or draft of rc");
  handle_set(h, 0);
  return 0;
}

static int type(lua_State* L) {
  static const char* const names[] = {"list", "vector", "map", "rope", "int"};
  const handle* h = handle_test(L, 1);
  luaL_checkany(L, 1);
  lua_pushstring(L, h == NULL ? NULL : h->draft ? "draft" : names[h->kind]);
  return 1;
}

/* ---- Of rc.h --------------------------------------------------------------------------------- */

static int pending(lua_State* L) {
  lua_pushinteger(L, (lua_Integer)rc_pending());
  return 1;
}

static int drain(lua_State* L) {
  lua_Integer units = luaL_optinteger(L, 1, LUA_MAXINTEGER);
  luaL_argcheck(L, units >= 0, 1, "units are not negative");
  lua_pushinteger(L, (lua_Integer)rc_drain((size_t)units));
  return 1;
}

static int counters(lua_State* L) {
  rc_counters c;
  rc_get_counters(&c);
  const struct {
    const char* name;
    uint64_t value;
  } fields[] = {{"units", c.units},
                {"dec_units_max", c.dec_units_max},
                {"refill_units_max", c.refill_units_max},
                {"request_units_max", c.request_units_max},
                {"debt", c.debt},
                {"objects", (uint64_t)c.objects}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    lua_pushinteger(L, (lua_Integer)fields[i].value);
    lua_setfield(L, -2, fields[i].name);
  }
  return 1;
}

/* ---- The module ------------------------------------------------------------------------------ */

static const luaL_Reg methods[] = {{"draft", draft},
                                   {"value", value_of_draft},
                                   {"hash", hash},
                                   {"compare", compare},
                                   {"encode", value_encode},
                                   {"drop", drop},
                                   {"tointeger", big_tointeger},
                                   {"digits", big_digits},
                                   {NULL, NULL}};

static void push_methods(lua_State* L) {
  lua_newtable(L);
  work_set_functions(L, methods);
  work_set_functions(L, collection_methods);
}

/* The metamethods that look at contents, for the metatable at the top, above the methods. */
static void set_readers(lua_State* L) {
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, collection_index, 1);
  lua_setfield(L, -2, "__index");
  collection_push_pairs(L);
  lua_setfield(L, -2, "__pairs");
}

void types_open(lua_State* L) {
  static const luaL_Reg values[] = {{"__eq", equal},
                                    {"__lt", less},
                                    {"__le", less_or_equal},
                                    {"__len", collection_length},
                                    {"__newindex", value_newindex},
                                    {"__tostring", value_tostring},
                                    {NULL, NULL}};
  static const luaL_Reg drafts[] = {
      {"__len", collection_length}, {"__newindex", collection_set}, {NULL, NULL}};
  static const luaL_Reg rope[] = {{"__concat", rope_concat}, {NULL, NULL}};
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  push_methods(L);
  for (int kind = LIST; kind <= KINDS; kind++) {
    handle_type(L, kind, kind < KINDS ? values : drafts);
    set_readers(L);
    if (kind == ROPE) work_set_functions(L, rope);
    if (kind == BIG) work_set_functions(L, big_operators);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

int luaopen_rc(lua_State* L) {
  static const luaL_Reg functions[] = {
      {"rope", rope_new},   {"int", big_new}, {"decode", value_decode}, {"type", type},
      {"pending", pending}, {"drain", drain}, {"counters", counters},   {NULL, NULL}};
  push_methods(L);
  work_set_functions(L, collection_functions);
  work_set_functions(L, functions);
  return 1;
}
