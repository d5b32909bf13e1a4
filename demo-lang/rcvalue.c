/* rcvalue.c: handles, and the way of values into rc/ and back. */
#include "demo-lang/rcvalue.h"

#include <string.h>

#define FALSE_WORD rc_int(2)
#define TRUE_WORD rc_int(6)

rc_object* object_new(int kind, uint8_t tag, size_t n) {
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

void memory_try(lua_State* L, bool (*attempt)(lua_State* L)) {
  if (attempt(L)) return;
  guest_collect(L);
  if (!attempt(L)) guest_no_memory(L);
}

/* ---- Handles --------------------------------------------------------------------------------- */

const char* const handle_types[] = {"rc.list", "rc.vector", "rc.map"};

handle* handle_push(lua_State* L, const char* type) {
  handle* h = lua_newuserdatauv(L, sizeof *h, 0);
  h->object = NULL;
  luaL_setmetatable(L, type);
  return h;
}

handle* handle_test(lua_State* L, int index) {
  for (int tag = TAG_LIST; tag <= TAG_MAP; tag++) {
    handle* h = luaL_testudata(L, index, handle_types[tag]);
    if (h != NULL) return h;
  }
  return NULL;
}

handle* handle_check(lua_State* L, int index, int tag) {
  handle* h = luaL_checkudata(L, index, handle_types[tag]);
  luaL_argcheck(L, h->object != NULL, index, "was dropped");
  return h;
}

rc_object* handle_to_change(lua_State* L, int tag) {
  rc_object* o = handle_check(L, 1, tag)->object;
  luaL_argcheck(L, !rc_is_shared(o), 1, "is shared, and does not change");
  return o;
}

void handle_push_shared(lua_State* L, rc_object* o) {
  handle* h = handle_push(L, handle_types[o->tag]);
  rc_inc(o);
  h->object = o;
}

rc_object* handle_object(lua_State* L, const handle* h) {
  luaL_argcheck(L, h->object != NULL, 1, "was dropped");
  return h->object;
}

void handle_drop(handle* h) {
  rc_object* o = h->object;
  h->object = NULL;
  if (o != NULL) rc_dec(o);
}

/* ---- Into rc/ -------------------------------------------------------------------------------- */

static rc_word bytes_word(uint8_t tag, const void* data, size_t n) {
  rc_object* o = object_new(RC_BYTES, tag, n);
  if (o == NULL) return NO_WORD;
  if (n > 0) memcpy(rc_data(o), data, n);
  return rc_from(o);
}

static rc_word integer_word(lua_Integer i) {
  if (i >= -((lua_Integer)1 << 60) && i < (lua_Integer)1 << 60) return rc_int(i * 4 + 1);
  return bytes_word(TAG_INTEGER, &i, sizeof i);
}

bool value_can_be_held(lua_State* L, int index) {
  int type = lua_type(L, index);
  if (type == LUA_TNONE || type == LUA_TNIL || type == LUA_TBOOLEAN) return true;
  if (type == LUA_TNUMBER || type == LUA_TSTRING) return true;
  const handle* h = handle_test(L, index);
  return h != NULL && h->object != NULL;
}

void value_check(lua_State* L, int index) {
  if (value_can_be_held(L, index)) return;
  bool dropped = handle_test(L, index) != NULL;
  luaL_error(L, "%s cannot be held outside of Lua's collector",
             dropped ? "what was dropped" : luaL_typename(L, index));
}

rc_word value_word(lua_State* L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
      return RC_NIL;
    case LUA_TBOOLEAN:
      return lua_toboolean(L, index) ? TRUE_WORD : FALSE_WORD;
    case LUA_TNUMBER: {
      if (lua_isinteger(L, index)) return integer_word(lua_tointeger(L, index));
      lua_Number x = lua_tonumber(L, index);
      return bytes_word(TAG_FLOAT, &x, sizeof x);
    }
    case LUA_TSTRING: {
      size_t n;
      const char* s = lua_tolstring(L, index, &n);
      return bytes_word(TAG_STRING, s, n);
    }
    default: {
      const handle* h = lua_touserdata(L, index);
      rc_inc(h->object);
      return rc_from(h->object);
    }
  }
}

rc_word value_key(lua_State* L, int index) {
  int whole = false;
  lua_Integer i = 0;
  if (lua_type(L, index) == LUA_TNUMBER) i = lua_tointegerx(L, index, &whole);
  return whole ? integer_word(i) : value_word(L, index);
}

/* ---- Back to Lua ----------------------------------------------------------------------------- */

static void push_integer_word(lua_State* L, rc_word w) {
  int64_t i = rc_to_int(w);
  if (w == RC_NIL)
    lua_pushnil(L);
  else if ((i & 3) == 1)
    lua_pushinteger(L, i >> 2);
  else
    lua_pushboolean(L, w == TRUE_WORD);
}

/* A handle for the container: one without type is made, and filled when it is seen again. Lua makes
** nothing when it gets its type. */
static bool push_container(lua_State* L, int slot, rc_object* o) {
  handle* h = lua_touserdata(L, slot);
  if (h == NULL || h->object != NULL) {
    h = lua_newuserdatauv(L, sizeof *h, 0);
    h->object = NULL;
    lua_replace(L, slot);
    return false;
  }
  rc_inc(o);
  h->object = o;
  lua_pushvalue(L, slot);
  luaL_setmetatable(L, handle_types[o->tag]);
  lua_pop(L, 1);
  return true;
}

static bool is_container(rc_word w) { return rc_is_object(w) && rc_to(w)->tag <= TAG_MAP; }

bool word_push(lua_State* L, int slot, rc_word w) {
  if (is_container(w)) {
    const handle* h = lua_touserdata(L, slot);
    if (h != NULL && h->object == rc_to(w)) return true;
    if (push_container(L, slot, rc_to(w))) return true;
    guest_check(L);
    return false;
  }
  if (rc_is_int(w)) {
    push_integer_word(L, w);
  } else {
    rc_object* o = rc_to(w);
    lua_Integer i;
    lua_Number x;
    if (o->tag == TAG_STRING)
      lua_pushlstring(L, rc_data(o), rc_length(o));
    else if (o->tag == TAG_INTEGER)
      lua_pushinteger(L, (memcpy(&i, rc_data(o), sizeof i), i));
    else
      lua_pushnumber(L, (memcpy(&x, rc_data(o), sizeof x), x));
  }
  lua_replace(L, slot);
  return true;
}

static bool is_string(lua_State* L, int slot, rc_object* o) {
  size_t n;
  const char* s = lua_type(L, slot) == LUA_TSTRING ? lua_tolstring(L, slot, &n) : NULL;
  return s != NULL && n == rc_length(o) && memcmp(s, rc_data(o), n) == 0;
}

/* Of strings, an equal one is as good: so it does not matter whether it is the same object. */
bool word_offer(lua_State* L, int slot, rc_word w) {
  if (rc_is_int(w) || rc_to(w)->tag != TAG_STRING) return word_push(L, slot, w);
  if (is_string(L, slot, rc_to(w))) return true;
  word_push(L, slot, w);
  guest_check(L);
  return false;
}
