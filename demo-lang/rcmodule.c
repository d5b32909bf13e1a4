/* rcmodule.c: the Lua module "rc": counted lists, vectors and maps outside of Lua's collector.
**
**   rc.list()      l:push(v), l:pop(): at the front; #l; pairs(l)
**   rc.vector()    v[i], v[#v+1] = x, v:push(x), v:pop(); #v; pairs(v), ipairs(v)
**   rc.map()       m[k], m[k] = x (nil removes); #m; pairs(m) in an order that repeats
**   rc.drop(x)     gives up the reference now: what dies is freed in bounded steps
**   rc.pending(), rc.drain([units]), rc.counters()
**
** They hold nil, booleans, numbers, strings, and each other by reference (a cycle lives until
** the task ends). Lua sees a handle: a userdata that owns one count of the object. */
#include <string.h>

#include "demo-lang/rcvalue.h"

static const size_t FIRST_SIZE = 8; /* words, or chains */

/* ---- What all have --------------------------------------------------------------------------- */

static int handle_gc(lua_State* L) {
  handle_drop(lua_touserdata(L, 1));
  return 0;
}

static int handle_eq(lua_State* L) {
  const handle *a = handle_test(L, 1), *b = handle_test(L, 2);
  lua_pushboolean(L, a != NULL && b != NULL && a->object != NULL && a->object == b->object);
  return 1;
}

/* Keeps the first arguments, and makes slots for values behind them. */
static void fresh_slots(lua_State* L, int arguments, int slots) {
  lua_settop(L, arguments);
  lua_settop(L, arguments + slots);
}

static bool make_container(handle* h, uint8_t tag, uint64_t serial) {
  rc_object* o = object_new(RC_FIELDS, tag, CONTAINER);
  if (o == NULL) return false;
  object_set_count(o, 0);
  rc_init(o, SERIAL, rc_int((int64_t)serial));
  if (tag != TAG_LIST) {
    rc_object* held = object_new(RC_ARRAY, TAG_PART, FIRST_SIZE);
    if (held == NULL) {
      rc_dec(o);
      return false;
    }
    rc_init(o, HELD, rc_from(held));
  }
  h->object = o;
  return true;
}

static int container_new(lua_State* L, uint8_t tag) {
  handle* h = handle_push(L, handle_types[tag]);
  uint64_t serial = guest_of(L)->containers++;
  if (make_container(h, tag, serial)) return 1;
  guest_collect(L);
  if (!make_container(h, tag, serial)) guest_no_memory(L);
  return 1;
}

static int list_new(lua_State* L) { return container_new(L, TAG_LIST); }
static int vector_new(lua_State* L) { return container_new(L, TAG_VECTOR); }
static int map_new(lua_State* L) { return container_new(L, TAG_MAP); }

static int container_length(lua_State* L) {
  handle* h = handle_test(L, 1);
  luaL_argcheck(L, h != NULL && h->object != NULL, 1, "was dropped");
  lua_pushinteger(L, (lua_Integer)object_count(h->object));
  return 1;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static bool list_prepend(lua_State* L) {
  rc_object* list = handle_to_change(L, TAG_LIST);
  value_check(L, 2);
  rc_word value = value_word(L, 2);
  if (value == NO_WORD) return false;
  rc_object* node = object_new(RC_FIELDS, TAG_PART, 2);
  if (node == NULL) {
    rc_dec_word(value);
    return false;
  }
  rc_init(node, VALUE, value);
  rc_init(node, NEXT, object_take(list, HELD));
  rc_init(list, HELD, rc_from(node));
  object_set_count(list, object_count(list) + 1);
  return true;
}

static int list_push(lua_State* L) {
  memory_try(L, list_prepend);
  return 0;
}

static int list_pop(lua_State* L) {
  rc_object *list, *node;
  fresh_slots(L, 1, 1);
  do {
    list = handle_to_change(L, TAG_LIST);
    if (object_count(list) == 0) return 0;
    node = rc_to(rc_get(list, HELD));
  } while (!word_offer(L, 2, rc_get(node, VALUE)));
  rc_word next = rc_get(node, NEXT);
  rc_inc_word(next);
  rc_set(list, HELD, next);
  object_set_count(list, object_count(list) - 1);
  return 1;
}

/* Upvalues: a handle of the container, the number of steps, and a handle for the node or entry
** that comes next (which lives on if it is removed meanwhile). */
enum { STEP_OF = 1, STEP_NUMBER, STEP_AT };

static rc_word step_take(handle* at) {
  rc_object* o = at->object;
  at->object = NULL;
  return o == NULL ? RC_NIL : rc_from(o);
}
static void step_set(handle* at, rc_word next) {
  rc_inc_word(next);
  at->object = rc_is_object(next) ? rc_to(next) : NULL;
}

static void step_on(handle* at) {
  rc_word here = step_take(at);
  step_set(at, rc_get(rc_to(here), NEXT));
  rc_dec_word(here);
}

static int list_step(lua_State* L) {
  handle* at = lua_touserdata(L, lua_upvalueindex(STEP_AT));
  fresh_slots(L, 0, 2);
  do {
    if (at->object == NULL) return 0;
  } while (!word_offer(L, 2, rc_get(at->object, VALUE)));
  step_on(at);
  lua_pushinteger(L, lua_tointeger(L, lua_upvalueindex(STEP_NUMBER)) + 1);
  lua_copy(L, -1, lua_upvalueindex(STEP_NUMBER));
  lua_replace(L, 1);
  return 2;
}

/* Pushes a `step` at the start; the handle for what comes first, still empty, is returned. */
static handle* push_steps(lua_State* L, lua_CFunction step) {
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  handle* at = handle_push(L, "rc.step");
  lua_pushcclosure(L, step, 3);
  return at;
}

static int list_pairs(lua_State* L) {
  const handle* h = handle_check(L, 1, TAG_LIST);
  handle* at = push_steps(L, list_step);
  step_set(at, rc_get(handle_object(L, h), HELD));
  return 1;
}

/* ---- Vectors --------------------------------------------------------------------------------- */

/* Where there is room for one element more: the words move to an array of twice the size. NULL: no
** memory. */
static rc_object* vector_room(rc_object* vector) {
  rc_object* words = rc_to(rc_get(vector, HELD));
  size_t n = object_count(vector);
  if (n < rc_length(words)) return words;
  rc_object* wider = object_new(RC_ARRAY, TAG_PART, 2 * n);
  if (wider == NULL) return NULL;
  for (size_t i = 0; i < n; i++) rc_init(wider, i, object_take(words, i));
  rc_set(vector, HELD, rc_from(wider));
  return wider;
}

/* Stores the value at index as element i, which is there or the next one. */
static bool vector_store(lua_State* L, rc_object* vector, size_t i, int index) {
  value_check(L, index);
  rc_word value = value_word(L, index);
  if (value == NO_WORD) return false;
  bool appends = i == object_count(vector);
  rc_object* words = appends ? vector_room(vector) : rc_to(rc_get(vector, HELD));
  if (words == NULL) {
    rc_dec_word(value);
    return false;
  }
  rc_set(words, i, value);
  if (appends) object_set_count(vector, i + 1);
  return true;
}

static bool vector_append(lua_State* L) {
  rc_object* vector = handle_to_change(L, TAG_VECTOR);
  return vector_store(L, vector, object_count(vector), 2);
}

static int vector_push(lua_State* L) {
  memory_try(L, vector_append);
  return 0;
}

static int vector_pop(lua_State* L) {
  rc_object *vector, *words;
  size_t n;
  fresh_slots(L, 1, 1);
  do {
    vector = handle_to_change(L, TAG_VECTOR);
    n = object_count(vector);
    if (n == 0) return 0;
    words = rc_to(rc_get(vector, HELD));
  } while (!word_offer(L, 2, rc_get(words, n - 1)));
  rc_set(words, n - 1, RC_NIL);
  object_set_count(vector, n - 1);
  return 1;
}

/* Element i, or nil, into the slot. */
static int vector_get(lua_State* L, const handle* h, lua_Unsigned i, int slot) {
  rc_word w;
  do {
    rc_object* vector = handle_object(L, h);
    w = i < object_count(vector) ? rc_get(rc_to(rc_get(vector, HELD)), (size_t)i) : RC_NIL;
  } while (!word_push(L, slot, w));
  return 1;
}

/* The upvalue is the table of methods. */
static int vector_index(lua_State* L) {
  const handle* h = handle_check(L, 1, TAG_VECTOR);
  int whole;
  if (lua_type(L, 2) != LUA_TNUMBER) {
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
  }
  lua_Unsigned i = (lua_Unsigned)lua_tointegerx(L, 2, &whole) - 1;
  fresh_slots(L, 2, 1);
  return whole ? vector_get(L, h, i, 3) : 1;
}

static bool vector_assign(lua_State* L) {
  rc_object* vector = handle_to_change(L, TAG_VECTOR);
  luaL_checktype(L, 2, LUA_TNUMBER);
  lua_Unsigned i = (lua_Unsigned)luaL_checkinteger(L, 2) - 1;
  luaL_argcheck(L, i <= object_count(vector), 2, "index out of range");
  return vector_store(L, vector, (size_t)i, 3);
}

static int vector_newindex(lua_State* L) {
  memory_try(L, vector_assign);
  return 0;
}

static int vector_step(lua_State* L) {
  const handle* h = handle_check(L, 1, TAG_VECTOR);
  lua_Unsigned i = (lua_Unsigned)luaL_checkinteger(L, 2);
  if (i >= object_count(h->object)) return 0;
  fresh_slots(L, 2, 1);
  vector_get(L, h, i, 3);
  lua_pushinteger(L, (lua_Integer)i + 1);
  lua_replace(L, 2);
  return 2;
}

/* The upvalue is vector_step. */
static int vector_pairs(lua_State* L) {
  handle_check(L, 1, TAG_VECTOR);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

/* ---- Maps ------------------------------------------------------------------------------------ */

/* FNV-1a for bytes; the number of a container; the word of an integer. */
static uint64_t hash_bytes(const char* data, size_t n) {
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)data[i]) * 1099511628211u;
  return h;
}
static uint64_t hash_number(uint64_t x) {
  x *= 0x9E3779B97F4A7C15u;
  return x ^ x >> 32;
}
static uint64_t hash_word(rc_word w) {
  if (rc_is_int(w)) return hash_number(w);
  rc_object* o = rc_to(w);
  return o->kind == RC_BYTES ? hash_bytes(rc_data(o), rc_length(o))
                             : hash_number(rc_get(o, SERIAL));
}

static bool same_key(rc_word a, rc_word b) {
  if (a == b) return true;
  if (rc_is_int(a) || rc_is_int(b)) return false;
  rc_object *x = rc_to(a), *y = rc_to(b);
  return x->kind == RC_BYTES && y->kind == RC_BYTES && x->tag == y->tag &&
         rc_length(x) == rc_length(y) && memcmp(rc_data(x), rc_data(y), rc_length(x)) == 0;
}

/* The chain of a key: the object and the field that hold its first entry. */
static size_t chain_of(const rc_object* table, rc_word key) {
  return hash_word(key) & (rc_length(table) - 1);
}

/* The entry with that key, or NULL; *holder and *field: where it is, or would be, linked. Each
** entry that has to be passed is 1 tick. */
static rc_object* map_find(lua_State* L, rc_object* map, rc_word key, rc_object** holder,
                           size_t* field) {
  *holder = rc_to(rc_get(map, HELD));
  *field = chain_of(*holder, key);
  while (rc_is_object(rc_get(*holder, *field))) {
    rc_object* entry = rc_to(rc_get(*holder, *field));
    if (same_key(rc_get(entry, KEY), key)) return entry;
    guest_tick(L, 1);
    *holder = entry;
    *field = NEXT;
  }
  return NULL;
}

/* Twice the chains, if there is memory for them; the entries move. */
static void map_grow(rc_object* map) {
  rc_object* old = rc_to(rc_get(map, HELD));
  rc_object* table = object_new(RC_ARRAY, TAG_PART, 2 * rc_length(old));
  if (table == NULL) return;
  for (size_t i = 0; i < rc_length(old); i++) {
    rc_word w = object_take(old, i);
    while (rc_is_object(w)) {
      rc_object* entry = rc_to(w);
      size_t chain = chain_of(table, rc_get(entry, KEY));
      w = object_take(entry, NEXT);
      rc_init(entry, NEXT, object_take(table, chain));
      rc_init(table, chain, rc_from(entry));
    }
  }
  rc_set(map, HELD, rc_from(table));
}

static bool map_get(lua_State* L) {
  const handle* h = handle_check(L, 1, TAG_MAP);
  rc_object *holder, *entry;
  size_t field;
  fresh_slots(L, 2, 1);
  do {
    rc_object* map = handle_object(L, h);
    rc_word key = value_key(L, 2);
    if (key == NO_WORD) return false;
    entry = map_find(L, map, key, &holder, &field);
    rc_dec_word(key);
  } while (!word_push(L, 3, entry != NULL ? rc_get(entry, VALUE) : RC_NIL));
  return true;
}

/* What cannot be a key is not there, as in Lua. */
static int map_index(lua_State* L) {
  if (value_can_be_held(L, 2)) {
    memory_try(L, map_get);
  } else {
    handle_check(L, 1, TAG_MAP);
    lua_pushnil(L);
  }
  return 1;
}

/* Takes the key over. */
static bool map_remove(lua_State* L, rc_object* map, rc_word key) {
  rc_object* holder;
  size_t field;
  rc_object* entry = map_find(L, map, key, &holder, &field);
  rc_dec_word(key);
  if (entry == NULL) return true;
  rc_word next = rc_get(entry, NEXT);
  rc_inc_word(next);
  rc_set(holder, field, next);
  object_set_count(map, object_count(map) - 1);
  return true;
}

/* Takes key and value over. */
static bool map_store(lua_State* L, rc_object* map, rc_word key, rc_word value) {
  rc_object* holder;
  size_t field;
  rc_object* entry = map_find(L, map, key, &holder, &field);
  if (entry != NULL) {
    rc_dec_word(key);
    rc_set(entry, VALUE, value);
    return true;
  }
  entry = object_new(RC_FIELDS, TAG_PART, 3);
  if (entry == NULL) {
    rc_dec_word(key);
    rc_dec_word(value);
    return false;
  }
  rc_init(entry, KEY, key);
  rc_init(entry, VALUE, value);
  if (object_count(map) >= rc_length(rc_to(rc_get(map, HELD)))) {
    map_grow(map);
    map_find(L, map, key, &holder, &field);
  }
  rc_set(holder, field, rc_from(entry));
  object_set_count(map, object_count(map) + 1);
  return true;
}

static bool map_assign(lua_State* L) {
  rc_object* map = handle_to_change(L, TAG_MAP);
  luaL_argcheck(L, !lua_isnil(L, 2), 2, "a key is nil");
  luaL_argcheck(L, lua_type(L, 2) != LUA_TNUMBER || lua_rawequal(L, 2, 2), 2, "a key is NaN");
  value_check(L, 2);
  value_check(L, 3);
  rc_word key = value_key(L, 2);
  if (key == NO_WORD) return false;
  if (lua_isnil(L, 3)) return map_remove(L, map, key);
  rc_word value = value_word(L, 3);
  if (value != NO_WORD) return map_store(L, map, key, value);
  rc_dec_word(key);
  return false;
}

static int map_newindex(lua_State* L) {
  memory_try(L, map_assign);
  return 0;
}

/* The next entry, or NULL at the end. STEP_NUMBER is the chain that comes next; each that is looked
** at is 1 tick. */
static rc_object* map_next(lua_State* L, handle* at) {
  const handle* of = lua_touserdata(L, lua_upvalueindex(STEP_OF));
  if (of->object == NULL) return NULL;
  rc_object* table = rc_to(rc_get(of->object, HELD));
  size_t chain = (size_t)lua_tointeger(L, lua_upvalueindex(STEP_NUMBER));
  for (; at->object == NULL && chain < rc_length(table); chain++) {
    guest_tick(L, 1);
    step_set(at, rc_get(table, chain));
  }
  lua_pushinteger(L, (lua_Integer)chain);
  lua_replace(L, lua_upvalueindex(STEP_NUMBER));
  return at->object;
}

static int map_step(lua_State* L) {
  handle* at = lua_touserdata(L, lua_upvalueindex(STEP_AT));
  rc_object* entry;
  fresh_slots(L, 0, 2);
  do {
    entry = map_next(L, at);
    if (entry == NULL) return 0;
  } while (!word_offer(L, 1, rc_get(entry, KEY)) || !word_offer(L, 2, rc_get(entry, VALUE)));
  step_on(at);
  return 2;
}

static int map_pairs(lua_State* L) {
  handle_check(L, 1, TAG_MAP);
  push_steps(L, map_step);
  return 1;
}

/* ---- The module ------------------------------------------------------------------------------ */

static int drop(lua_State* L) {
  handle* h = handle_test(L, 1);
  luaL_argexpected(L, h != NULL, 1, "rc.list, rc.vector or rc.map");
  handle_drop(h);
  return 0;
}

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

/* A metatable with what all have, and `methods` as __index unless the type has its own. */
static void new_type(lua_State* L, const char* name, const luaL_Reg* own) {
  static const luaL_Reg all[] = {{"__gc", handle_gc},
                                 {"__close", handle_gc},
                                 {"__eq", handle_eq},
                                 {"__len", container_length},
                                 {NULL, NULL}};
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, all, 0);
  luaL_setfuncs(L, own, 0);
  lua_pushliteral(L, "rc");
  lua_setfield(L, -2, "__metatable");
}

int luaopen_rc(lua_State* L) {
  static const luaL_Reg functions[] = {
      {"list", list_new},   {"vector", vector_new}, {"map", map_new},       {"drop", drop},
      {"pending", pending}, {"drain", drain},       {"counters", counters}, {NULL, NULL}};
  static const luaL_Reg list[] = {{"__pairs", list_pairs}, {NULL, NULL}};
  static const luaL_Reg list_methods[] = {{"push", list_push}, {"pop", list_pop}, {NULL, NULL}};
  static const luaL_Reg vector[] = {{"__newindex", vector_newindex}, {NULL, NULL}};
  static const luaL_Reg vector_methods[] = {
      {"push", vector_push}, {"pop", vector_pop}, {NULL, NULL}};
  static const luaL_Reg map[] = {
      {"__index", map_index}, {"__newindex", map_newindex}, {"__pairs", map_pairs}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  new_type(L, "rc.step", none);
  new_type(L, handle_types[TAG_MAP], map);
  new_type(L, handle_types[TAG_LIST], list);
  luaL_newlib(L, list_methods);
  lua_setfield(L, -2, "__index");
  new_type(L, handle_types[TAG_VECTOR], vector);
  luaL_newlib(L, vector_methods);
  lua_pushcclosure(L, vector_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushnil(L);
  lua_pushcclosure(L, vector_step, 1);
  lua_pushcclosure(L, vector_pairs, 1);
  lua_setfield(L, -2, "__pairs");
  lua_settop(L, 0);
  luaL_newlib(L, functions);
  return 1;
}
