/* rc/value.c: handles, and the way of values into rc/ and back. */
#include "demo-lang/rc/value.h"

#include <string.h>

#include "demo-lang/lib/work.h"

void memory_try(lua_State* L, bool (*attempt)(lua_State* L)) {
  if (attempt(L)) return;
  guest_collect(L);
  if (!attempt(L)) guest_no_memory(L);
}

/* ---- Handles --------------------------------------------------------------------------------- */

/* A handle's metatable has the address of its kind's mark at index 1, which no script can make. */
enum { DRAFT = KINDS };
static const char marks[KINDS + 1];
static const char* const types[] = {"rc.list", "rc.vector", "rc.map",
                                    "rc.rope", "rc.int",    "rc.draft"};

static int handle_gc(lua_State* L) {
  handle* h = handle_test(L, 1);
  if (h != NULL) handle_set(h, 0);
  return 0;
}

void handle_type(lua_State* L, int kind, const luaL_Reg* functions) {
  luaL_newmetatable(L, types[kind]);
  lua_pushlightuserdata(L, (void*)(uintptr_t)&marks[kind]);
  lua_rawseti(L, -2, 1);
  lua_pushliteral(L, "rc");
  lua_setfield(L, -2, "__metatable");
  work_push_closure(L, handle_gc);
  lua_setfield(L, -2, "__gc");
  work_push_closure(L, handle_gc);
  lua_setfield(L, -2, "__close");
  work_set_functions(L, functions);
}

/* The metatables are made when they are needed first: few states need them. */
static void need_types(lua_State* L) {
  guest* g = guest_of(L);
  if (g->has_types) return;
  types_open(L);
  lua_pushboolean(L, false);
  g->spare = luaL_ref(L, LUA_REGISTRYINDEX);
  g->has_types = true;
}

static handle* push_handle(lua_State* L, value_kind kind, bool draft) {
  need_types(L);
  handle* h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (handle){.kind = kind, .draft = draft};
  luaL_setmetatable(L, types[draft ? DRAFT : (int)kind]);
  return h;
}

handle* handle_push(lua_State* L, value_kind kind) { return push_handle(L, kind, false); }
handle* draft_push(lua_State* L, value_kind kind) { return push_handle(L, kind, true); }

handle* handle_test(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
  uintptr_t mark =
      lua_rawgeti(L, -1, 1) == LUA_TLIGHTUSERDATA ? (uintptr_t)lua_touserdata(L, -1) : 0;
  lua_pop(L, 2);
  return mark - (uintptr_t)marks < sizeof marks ? lua_touserdata(L, index) : NULL;
}

/* Throws, since at index is none of these kinds. */
static void kind_error(lua_State* L, int index, unsigned kinds) {
  char names[64] = "";
  for (int k = 0; k < KINDS; k++) {
    if (!(kinds >> k & 1)) continue;
    if (names[0] != '\0') strcat(names, " or ");
    strcat(names, types[k]);
  }
  luaL_typeerror(L, index, names);
}

handle* handle_check(lua_State* L, int index, unsigned kinds) {
  handle* h = handle_test(L, index);
  if (h == NULL || !(kinds >> h->kind & 1)) kind_error(L, index, kinds);
  luaL_argcheck(L, h->word != 0, index, "was dropped");
  return h;
}

void handle_set(handle* h, rc_word w) {
  rc_word before = h->word;
  h->word = w;
  if (before != 0) rc_dec_word(before);
}

handle* handle_pin(lua_State* L, int index) {
  handle* pin = handle_push(L, handle_check(L, index, ANY_KIND)->kind);
  const handle* h = handle_check(L, index, ANY_KIND);
  handle_set(pin, word_copy(h->word));
  return pin;
}

void handle_push_word(lua_State* L, rc_word w) {
  value v = value_of(w);
  handle_set(handle_push(L, v.kind), word_copy(v.word));
}

/* ---- Into rc/ -------------------------------------------------------------------------------- */

bool value_at(lua_State* L, int index, value* v) {
  const handle* h;
  switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
      v->kind = NIL;
      return true;
    case LUA_TBOOLEAN:
      v->kind = BOOLEAN;
      v->boolean = lua_toboolean(L, index);
      return true;
    case LUA_TNUMBER:
      v->kind = lua_isinteger(L, index) ? INTEGER : FLOAT;
      if (v->kind == INTEGER)
        v->integer = lua_tointeger(L, index);
      else
        v->number = lua_tonumber(L, index);
      return true;
    case LUA_TSTRING:
      v->kind = STRING;
      v->text = lua_tolstring(L, index, &v->length);
      return true;
    default:
      h = handle_test(L, index);
      if (h == NULL || h->draft || h->word == 0) return false;
      v->kind = h->kind;
      v->word = h->word;
      return true;
  }
}

void value_check(lua_State* L, int index, value* v) {
  if (value_at(L, index, v)) return;
  const handle* h = handle_test(L, index);
  luaL_error(L, "%s cannot be held outside of Lua's collector",
             h == NULL  ? luaL_typename(L, index)
             : h->draft ? "a draft (but its rc.value)"
                        : "what was dropped");
}

void value_make_key(value* v) {
  if (v->kind != FLOAT || !(v->number >= -0x1p63 && v->number < 0x1p63)) return;
  lua_Integer i = (lua_Integer)v->number;
  if ((lua_Number)i == v->number) *v = (value){.kind = INTEGER, .integer = i};
}

enum { IS_NIL, IS_INTEGER, IS_CONSTANT, IS_SMALL }; /* the low two bits of a word */
enum { CONSTANT_FALSE, CONSTANT_TRUE, CONSTANT_EMPTY };

static rc_word bytes_word(uint8_t tag, const void* data, size_t n) {
  rc_object* o = rc_bytes(tag, n);
  if (o == NULL) return NO_WORD;
  if (n > 0) memcpy(rc_data(o), data, n);
  return rc_from(o);
}

/* In a word if it fits in 61 bits, else as an object. */
static rc_word integer_word(int64_t i, int bits, uint8_t tag) {
  if (i >= -((int64_t)1 << 60) && i < (int64_t)1 << 60) return rc_int(i * 4 + bits);
  return bytes_word(tag, &i, sizeof i);
}

static rc_word constant_word(int which) { return rc_int(which * 4 + IS_CONSTANT); }

rc_word value_word(const value* v) {
  switch (v->kind) {
    case NIL:
      return RC_NIL;
    case BOOLEAN:
      return constant_word(v->boolean ? CONSTANT_TRUE : CONSTANT_FALSE);
    case INTEGER:
      return integer_word(v->integer, IS_INTEGER, TAG_INTEGER);
    case FLOAT:
      return bytes_word(TAG_FLOAT, &v->number, sizeof v->number);
    case STRING:
      return bytes_word(TAG_STRING, v->text, v->length);
    case BIG:
      if (rc_is_int(v->word)) return integer_word(rc_to_int(v->word), IS_SMALL, TAG_WIDE);
      return word_copy(v->word);
    default:
      return v->word == RC_NIL ? constant_word(CONSTANT_EMPTY + (int)v->kind) : word_copy(v->word);
  }
}

/* ---- Out of it ------------------------------------------------------------------------------- */

static value value_of_integer(int64_t i) {
  switch (i & 3) {
    case IS_NIL:
      return (value){.kind = NIL};
    case IS_INTEGER:
      return (value){.kind = INTEGER, .integer = i >> 2};
    case IS_SMALL:
      return (value){.kind = BIG, .word = rc_int(i >> 2)};
    default:
      break;
  }
  if (i >> 2 < CONSTANT_EMPTY) return (value){.kind = BOOLEAN, .boolean = i >> 2 == CONSTANT_TRUE};
  return (value){.kind = (value_kind)((i >> 2) - CONSTANT_EMPTY), .word = RC_NIL};
}

static int64_t int64_of(rc_object* o) {
  int64_t i;
  memcpy(&i, rc_data(o), sizeof i);
  return i;
}

value value_of(rc_word w) {
  value v = {.kind = NIL};
  if (rc_is_int(w)) return value_of_integer(rc_to_int(w));
  rc_object* o = rc_to(w);
  switch (o->tag) {
    case TAG_STRING:
      return (value){.kind = STRING, .text = rc_data(o), .length = rc_length(o)};
    case TAG_INTEGER:
      return (value){.kind = INTEGER, .integer = int64_of(o)};
    case TAG_WIDE:
      return (value){.kind = BIG, .word = rc_int(int64_of(o))};
    case TAG_FLOAT:
      v.kind = FLOAT;
      memcpy(&v.number, rc_data(o), sizeof v.number);
      return v;
    case TAG_LIST:
      return (value){.kind = LIST, .word = w};
    case RC_TAG_VEC:
      return (value){.kind = VECTOR, .word = w};
    case RC_TAG_MAP:
      return (value){.kind = MAP, .word = w};
    case RC_TAG_BIG:
      return (value){.kind = BIG, .word = w};
    default:
      return (value){.kind = ROPE, .word = w};
  }
}

const char* text_chunk(const value* v, size_t i, size_t* n) {
  if (v->kind == ROPE) return rc_rope_chunk(v->word, i, n);
  if (i >= v->length) return NULL;
  *n = v->length - i;
  return v->text + i;
}

/* ---- To Lua ----------------------------------------------------------------------------------
**
** A handle that is needed while something is in the pocket was made before: the spare one, in the
** registry (by number: addresses as keys would make runs differ). */

void give_prepare(lua_State* L) {
  guest* g = guest_of(L);
  if (g->has_spare) return;
  need_types(L);
  handle* h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (handle){0};
  lua_rawseti(L, LUA_REGISTRYINDEX, g->spare);
  g->has_spare = true;
}

static void push_spare(lua_State* L, const value* v) {
  guest* g = guest_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, g->spare);
  g->has_spare = false;
  handle* h = lua_touserdata(L, -1);
  *h = (handle){.word = word_copy(v->word), .kind = v->kind};
  luaL_setmetatable(L, types[v->kind]);
  lua_pushboolean(L, false);
  lua_rawseti(L, LUA_REGISTRYINDEX, g->spare);
}

void pocket_put(lua_State* L, rc_word w) {
  guest* g = guest_of(L);
  rc_word before = g->pocket;
  g->pocket = w;
  if (before != 0) rc_dec_word(before);
}

void pocket_give(lua_State* L) {
  value v = value_of(guest_of(L)->pocket);
  switch (v.kind) {
    case NIL:
      lua_pushnil(L);
      break;
    case BOOLEAN:
      lua_pushboolean(L, v.boolean);
      break;
    case INTEGER:
      lua_pushinteger(L, v.integer);
      break;
    case FLOAT:
      lua_pushnumber(L, v.number);
      break;
    case STRING:
      lua_pushlstring(L, v.text, v.length);
      break;
    default:
      push_spare(L, &v);
      break;
  }
  pocket_put(L, 0);
}

void word_give(lua_State* L, rc_word w) {
  pocket_put(L, w);
  pocket_give(L);
}

/* ---- Updates --------------------------------------------------------------------------------- */

int update(lua_State* L, unsigned kinds, bool (*attempt)(lua_State* L)) {
  const handle* h = handle_check(L, 1, kinds);
  lua_settop(L, ARGUMENTS);
  if (h->draft)
    lua_pushvalue(L, 1);
  else
    handle_push(L, h->kind);
  memory_try(L, attempt);
  lua_settop(L, UPDATED);
  return 1;
}

/* Of a value it is a copy: a reference more, so that what changes is copied. */
handle* updated(lua_State* L) {
  const handle* from = handle_check(L, 1, ANY_KIND);
  handle* to = lua_touserdata(L, UPDATED);
  if (from != to) handle_set(to, word_copy(from->word));
  return to;
}
