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
#include "demo-lang/guest.h"

#include <string.h>

#include "rc/rc.h"

/* ---- Objects ------------------------------------------------------------------------------------
**
** A container is {what it holds, number of elements}: the place that stays while it grows.
**   list     first node or nil; a node is {value, next}
**   vector   array of words, of which the first `count` are in use
**   map      array of chains, its length a power of 2; an entry is {key, value, next}
** A word that is an integer encodes in its low two bits: 0 nil, 1 a number in the rest, 2 a
** boolean. */
enum { TAG_LIST, TAG_VECTOR, TAG_MAP, TAG_PART, TAG_STRING, TAG_INTEGER, TAG_FLOAT };
enum { HELD, COUNT };      /* fields of a container */
enum { VALUE, NEXT, KEY }; /* of a node, and of an entry */
#define FALSE_WORD rc_int(2)
#define TRUE_WORD rc_int(6)
static const size_t FIRST_SIZE = 8;

static const char* const type_names[] = {"rc.list", "rc.vector", "rc.map"};

static rc_object* object_try(int kind, uint8_t tag, size_t n) {
  switch (kind) {
    case RC_ARRAY:
      return rc_array(tag, n, RC_NIL);
    case RC_BYTES:
      return rc_bytes(tag, n);
    default:
      break;
  }
  rc_object* o = rc_alloc(tag, n);
  for (size_t i = 0; o != NULL && i < n; i++) rc_init(o, i, RC_NIL);
  return o;
}

/* A new object, its fields nil. Lua's garbage may hold what is missing. On failure gives up
** `owned` and throws. */
static rc_object* object_new(lua_State* L, int kind, uint8_t tag, size_t n, rc_word owned) {
  rc_object* o = object_try(kind, tag, n);
  if (o == NULL) {
    lua_gc(L, LUA_GCCOLLECT);
    o = object_try(kind, tag, n);
  }
  if (o == NULL) {
    rc_dec_word(owned);
    guest_no_memory(L);
  }
  return o;
}

static size_t count_of(rc_object* o) { return (size_t)rc_to_int(rc_get(o, COUNT)); }
static void set_count(rc_object* o, size_t n) { rc_set(o, COUNT, rc_int((int64_t)n)); }

/* The reference that a field held, moved out. */
static rc_word take(rc_object* o, size_t i) {
  rc_word w = rc_get(o, i);
  rc_words(o)[i] = RC_NIL;
  return w;
}

/* ---- Handles --------------------------------------------------------------------------------- */

typedef struct handle {
  rc_object* object; /* owned; NULL: dropped */
} handle;

/* Pushes an empty handle. It is there before its object is made, so that nothing is lost if it
** cannot be. */
static handle* push_handle(lua_State* L, const char* metatable) {
  handle* h = lua_newuserdatauv(L, sizeof *h, 0);
  h->object = NULL;
  luaL_setmetatable(L, metatable);
  return h;
}

static handle* test_handle(lua_State* L, int index) {
  for (int tag = TAG_LIST; tag <= TAG_MAP; tag++) {
    handle* h = luaL_testudata(L, index, type_names[tag]);
    if (h != NULL) return h;
  }
  return NULL;
}

static rc_object* check_object(lua_State* L, int index, int tag) {
  handle* h = luaL_checkudata(L, index, type_names[tag]);
  luaL_argcheck(L, h->object != NULL, index, "was dropped");
  return h->object;
}

static int handle_gc(lua_State* L) {
  handle* h = lua_touserdata(L, 1);
  rc_object* o = h->object;
  h->object = NULL;
  if (o != NULL) rc_dec(o);
  return 0;
}

static int handle_eq(lua_State* L) {
  handle *a = test_handle(L, 1), *b = test_handle(L, 2);
  lua_pushboolean(L, a != NULL && b != NULL && a->object == b->object);
  return 1;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static rc_word bytes_word(lua_State* L, uint8_t tag, const void* data, size_t n, rc_word owned) {
  rc_object* o = object_new(L, RC_BYTES, tag, n, owned);
  if (n > 0) memcpy(rc_data(o), data, n);
  return rc_from(o);
}

static rc_word integer_word(lua_State* L, lua_Integer i, rc_word owned) {
  if (i >= -((lua_Integer)1 << 60) && i < (lua_Integer)1 << 60) return rc_int(i * 4 + 1);
  return bytes_word(L, TAG_INTEGER, &i, sizeof i, owned);
}

/* The value at index as an owned word. Throws for what cannot be held; then `owned` is given up. */
static rc_word to_word(lua_State* L, int index, rc_word owned) {
  switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
      return RC_NIL;
    case LUA_TBOOLEAN:
      return lua_toboolean(L, index) ? TRUE_WORD : FALSE_WORD;
    case LUA_TNUMBER: {
      if (lua_isinteger(L, index)) return integer_word(L, lua_tointeger(L, index), owned);
      lua_Number x = lua_tonumber(L, index);
      return bytes_word(L, TAG_FLOAT, &x, sizeof x, owned);
    }
    case LUA_TSTRING: {
      size_t n;
      const char* s = lua_tolstring(L, index, &n);
      return bytes_word(L, TAG_STRING, s, n, owned);
    }
    default:
      break;
  }
  handle* h = test_handle(L, index);
  if (h == NULL || h->object == NULL) {
    rc_dec_word(owned);
    luaL_error(L, "%s cannot be held outside of Lua's collector",
               h != NULL ? "what was dropped" : luaL_typename(L, index));
  }
  rc_inc(h->object);
  return rc_from(h->object);
}

/* Borrows w. */
static void push_word(lua_State* L, rc_word w) {
  if (rc_is_int(w)) {
    int64_t i = rc_to_int(w);
    if (w == RC_NIL)
      lua_pushnil(L);
    else if ((i & 3) == 1)
      lua_pushinteger(L, i >> 2);
    else
      lua_pushboolean(L, w == TRUE_WORD);
    return;
  }
  rc_object* o = rc_to(w);
  lua_Integer i;
  lua_Number x;
  switch (o->tag) {
    case TAG_STRING:
      lua_pushlstring(L, rc_data(o), rc_length(o));
      break;
    case TAG_INTEGER:
      lua_pushinteger(L, (memcpy(&i, rc_data(o), sizeof i), i));
      break;
    case TAG_FLOAT:
      lua_pushnumber(L, (memcpy(&x, rc_data(o), sizeof x), x));
      break;
    default:
      push_handle(L, type_names[o->tag])->object = o;
      rc_inc(o);
  }
}

static int container_new(lua_State* L, uint8_t tag) {
  handle* h = push_handle(L, type_names[tag]);
  h->object = object_new(L, RC_FIELDS, tag, 2, RC_NIL);
  set_count(h->object, 0);
  if (tag != TAG_LIST)
    rc_set(h->object, HELD, rc_from(object_new(L, RC_ARRAY, TAG_PART, FIRST_SIZE, RC_NIL)));
  return 1;
}

static int list_new(lua_State* L) { return container_new(L, TAG_LIST); }
static int vector_new(lua_State* L) { return container_new(L, TAG_VECTOR); }
static int map_new(lua_State* L) { return container_new(L, TAG_MAP); }

static int container_length(lua_State* L) {
  handle* h = test_handle(L, 1);
  luaL_argcheck(L, h != NULL && h->object != NULL, 1, "was dropped");
  lua_pushinteger(L, (lua_Integer)count_of(h->object));
  return 1;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static int list_push(lua_State* L) {
  rc_object* list = check_object(L, 1, TAG_LIST);
  rc_word value = to_word(L, 2, RC_NIL);
  rc_object* node = object_new(L, RC_FIELDS, TAG_PART, 2, value);
  rc_init(node, VALUE, value);
  rc_init(node, NEXT, take(list, HELD));
  rc_init(list, HELD, rc_from(node));
  set_count(list, count_of(list) + 1);
  return 0;
}

static int list_pop(lua_State* L) {
  rc_object* list = check_object(L, 1, TAG_LIST);
  if (count_of(list) == 0) return 0;
  rc_object* node = rc_to(rc_get(list, HELD));
  push_word(L, rc_get(node, VALUE));
  rc_word next = rc_get(node, NEXT);
  rc_inc_word(next);
  rc_set(list, HELD, next);
  set_count(list, count_of(list) - 1);
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

static int list_step(lua_State* L) {
  handle* at = lua_touserdata(L, lua_upvalueindex(STEP_AT));
  if (at->object == NULL) return 0;
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(STEP_NUMBER)) + 1;
  lua_pushinteger(L, i);
  lua_copy(L, -1, lua_upvalueindex(STEP_NUMBER));
  push_word(L, rc_get(at->object, VALUE));
  rc_word node = step_take(at);
  step_set(at, rc_get(rc_to(node), NEXT));
  rc_dec_word(node);
  return 2;
}

static int push_steps(lua_State* L, rc_word first, lua_CFunction step) {
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  step_set(push_handle(L, "rc.step"), first);
  lua_pushcclosure(L, step, 3);
  return 1;
}

static int list_pairs(lua_State* L) {
  return push_steps(L, rc_get(check_object(L, 1, TAG_LIST), HELD), list_step);
}

/* ---- Vectors --------------------------------------------------------------------------------- */

/* Room for one element more: the words move to an array of twice the size. */
static rc_object* vector_room(lua_State* L, rc_object* vector, rc_word owned) {
  rc_object* words = rc_to(rc_get(vector, HELD));
  size_t n = count_of(vector);
  if (n < rc_length(words)) return words;
  rc_object* wider = object_new(L, RC_ARRAY, TAG_PART, 2 * n, owned);
  for (size_t i = 0; i < n; i++) rc_init(wider, i, take(words, i));
  rc_set(vector, HELD, rc_from(wider));
  return wider;
}

static void vector_append(lua_State* L, rc_object* vector, int index) {
  rc_word value = to_word(L, index, RC_NIL);
  rc_object* words = vector_room(L, vector, value);
  size_t n = count_of(vector);
  rc_set(words, n, value);
  set_count(vector, n + 1);
}

static int vector_push(lua_State* L) {
  vector_append(L, check_object(L, 1, TAG_VECTOR), 2);
  return 0;
}

static int vector_pop(lua_State* L) {
  rc_object* vector = check_object(L, 1, TAG_VECTOR);
  size_t n = count_of(vector);
  if (n == 0) return 0;
  rc_object* words = rc_to(rc_get(vector, HELD));
  push_word(L, rc_get(words, n - 1));
  rc_set(words, n - 1, RC_NIL);
  set_count(vector, n - 1);
  return 1;
}

/* The upvalue is the table of methods. */
static int vector_index(lua_State* L) {
  rc_object* vector = check_object(L, 1, TAG_VECTOR);
  if (!lua_isinteger(L, 2)) {
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
  }
  lua_Unsigned i = (lua_Unsigned)lua_tointeger(L, 2) - 1;
  push_word(L, i < count_of(vector) ? rc_get(rc_to(rc_get(vector, HELD)), i) : RC_NIL);
  return 1;
}

static int vector_newindex(lua_State* L) {
  rc_object* vector = check_object(L, 1, TAG_VECTOR);
  lua_Unsigned i = (lua_Unsigned)luaL_checkinteger(L, 2) - 1;
  luaL_argcheck(L, i <= count_of(vector), 2, "index out of range");
  if (i == count_of(vector)) {
    vector_append(L, vector, 3);
  } else {
    rc_word value = to_word(L, 3, RC_NIL);
    rc_set(rc_to(rc_get(vector, HELD)), i, value);
  }
  return 0;
}

static int vector_step(lua_State* L) {
  rc_object* vector = check_object(L, 1, TAG_VECTOR);
  lua_Unsigned i = (lua_Unsigned)luaL_checkinteger(L, 2);
  if (i >= count_of(vector)) return 0;
  lua_pushinteger(L, (lua_Integer)i + 1);
  push_word(L, rc_get(rc_to(rc_get(vector, HELD)), i));
  return 2;
}

/* The upvalue is vector_step. */
static int vector_pairs(lua_State* L) {
  check_object(L, 1, TAG_VECTOR);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

/* ---- Maps ------------------------------------------------------------------------------------ */

/* FNV-1a for bytes; the low 32 bits of an address, which repeat; the word of an integer. */
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
                             : hash_number((uint32_t)(uintptr_t)o);
}

static bool same_key(rc_word a, rc_word b) {
  if (a == b) return true;
  if (rc_is_int(a) || rc_is_int(b)) return false;
  rc_object *x = rc_to(a), *y = rc_to(b);
  return x->kind == RC_BYTES && y->kind == RC_BYTES && x->tag == y->tag &&
         rc_length(x) == rc_length(y) && memcmp(rc_data(x), rc_data(y), rc_length(x)) == 0;
}

/* The key at index as an owned word; a float with an integer's value is that integer, as in Lua. */
static rc_word key_word(lua_State* L, int index) {
  int exact;
  lua_Integer i =
      lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &exact) : (exact = 0);
  if (exact) return integer_word(L, i, RC_NIL);
  if (lua_type(L, index) == LUA_TNUMBER)
    luaL_argcheck(L, lua_tonumber(L, index) == lua_tonumber(L, index), index, "a key is NaN");
  return to_word(L, index, RC_NIL);
}

/* The chain of a key: the object and the field that hold its first entry. */
static size_t chain_of(const rc_object* table, rc_word key) {
  return hash_word(key) & (rc_length(table) - 1);
}

/* The entry with that key, or NULL; *holder and *field: where it is, or would be, linked. */
static rc_object* map_find(rc_object* map, rc_word key, rc_object** holder, size_t* field) {
  *holder = rc_to(rc_get(map, HELD));
  *field = chain_of(*holder, key);
  while (rc_is_object(rc_get(*holder, *field))) {
    rc_object* entry = rc_to(rc_get(*holder, *field));
    if (same_key(rc_get(entry, KEY), key)) return entry;
    *holder = entry;
    *field = NEXT;
  }
  return NULL;
}

/* Twice the chains; the entries move. */
static void map_grow(lua_State* L, rc_object* map, rc_word owned) {
  rc_object* old = rc_to(rc_get(map, HELD));
  rc_object* table = object_new(L, RC_ARRAY, TAG_PART, 2 * rc_length(old), owned);
  for (size_t i = 0; i < rc_length(old); i++) {
    rc_word w = take(old, i);
    while (rc_is_object(w)) {
      rc_object* entry = rc_to(w);
      size_t chain = chain_of(table, rc_get(entry, KEY));
      w = take(entry, NEXT);
      rc_init(entry, NEXT, take(table, chain));
      rc_init(table, chain, rc_from(entry));
    }
  }
  rc_set(map, HELD, rc_from(table));
}

static int map_index(lua_State* L) {
  rc_object* map = check_object(L, 1, TAG_MAP);
  rc_word key = key_word(L, 2);
  rc_object* holder;
  size_t field;
  rc_object* entry = key == RC_NIL ? NULL : map_find(map, key, &holder, &field);
  rc_dec_word(key);
  push_word(L, entry != NULL ? rc_get(entry, VALUE) : RC_NIL);
  return 1;
}

static void map_remove(rc_object* map, rc_word key) {
  rc_object* holder;
  size_t field;
  rc_object* entry = map_find(map, key, &holder, &field);
  if (entry == NULL) return;
  rc_word next = rc_get(entry, NEXT);
  rc_inc_word(next);
  rc_set(holder, field, next);
  set_count(map, count_of(map) - 1);
}

/* Takes the key over; the value is at index. */
static void map_store(lua_State* L, rc_object* map, rc_word key, int index) {
  rc_object* holder;
  size_t field;
  rc_object* entry = map_find(map, key, &holder, &field);
  if (entry != NULL) {
    rc_word value = to_word(L, index, key);
    rc_dec_word(key);
    rc_set(entry, VALUE, value);
    return;
  }
  entry = object_new(L, RC_FIELDS, TAG_PART, 3, key);
  rc_init(entry, KEY, key);
  rc_init(entry, VALUE, to_word(L, index, rc_from(entry)));
  if (count_of(map) >= rc_length(rc_to(rc_get(map, HELD)))) map_grow(L, map, rc_from(entry));
  map_find(map, key, &holder, &field);
  rc_set(holder, field, rc_from(entry));
  set_count(map, count_of(map) + 1);
}

static int map_newindex(lua_State* L) {
  rc_object* map = check_object(L, 1, TAG_MAP);
  luaL_argcheck(L, !lua_isnil(L, 2), 2, "a key is nil");
  rc_word key = key_word(L, 2);
  if (!lua_isnil(L, 3)) {
    map_store(L, map, key, 3);
    return 0;
  }
  map_remove(map, key);
  rc_dec_word(key);
  return 0;
}

/* STEP_NUMBER is the next chain. */
static int map_step(lua_State* L) {
  handle* at = lua_touserdata(L, lua_upvalueindex(STEP_AT));
  lua_Integer chain = lua_tointeger(L, lua_upvalueindex(STEP_NUMBER));
  handle* of = lua_touserdata(L, lua_upvalueindex(STEP_OF));
  if (of->object == NULL) return 0;
  rc_object* table = rc_to(rc_get(of->object, HELD));
  while (at->object == NULL) {
    if ((size_t)chain >= rc_length(table)) return 0;
    step_set(at, rc_get(table, (size_t)chain++));
  }
  lua_pushinteger(L, chain);
  lua_copy(L, -1, lua_upvalueindex(STEP_NUMBER));
  push_word(L, rc_get(at->object, KEY));
  push_word(L, rc_get(at->object, VALUE));
  rc_word entry = step_take(at);
  step_set(at, rc_get(rc_to(entry), NEXT));
  rc_dec_word(entry);
  return 2;
}

static int map_pairs(lua_State* L) {
  check_object(L, 1, TAG_MAP);
  return push_steps(L, RC_NIL, map_step);
}

/* ---- The module ------------------------------------------------------------------------------ */

static int drop(lua_State* L) {
  luaL_argexpected(L, test_handle(L, 1) != NULL, 1, "rc.list, rc.vector or rc.map");
  return handle_gc(L);
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
                {"allocated", c.allocated},
                {"freed", c.freed}};
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
  new_type(L, type_names[TAG_MAP], map);
  new_type(L, type_names[TAG_LIST], list);
  luaL_newlib(L, list_methods);
  lua_setfield(L, -2, "__index");
  new_type(L, type_names[TAG_VECTOR], vector);
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
