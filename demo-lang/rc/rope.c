/* rc/rope.c: ropes. Where a text is wanted, a string, a number, a rope or a big integer will do. */
#include <errno.h>

#include "demo-lang/rc/value.h"

static bool is_rope(lua_State* L, int index) {
  const handle* h = handle_test(L, index);
  return h != NULL && h->kind == ROPE;
}

/* Numbers become strings. */
void text_prepare(lua_State* L, int index) {
  const handle* h = handle_test(L, index);
  if (h != NULL && h->kind == BIG) {
    luaL_tolstring(L, index, NULL);
    lua_replace(L, index);
  } else if (h == NULL || h->kind != ROPE || h->draft) {
    if (lua_tolstring(L, index, NULL) == NULL) luaL_typeerror(L, index, "text");
  }
}

/* Takes the end, also if it fails. */
static bool append(rc_word* rope, rc_word end) {
  if (end == NO_WORD || rc_rope_append(rope, end)) return end != NO_WORD;
  int error = errno;
  rc_dec_word(end);
  errno = error;
  return false;
}

rc_word rope_from(purse* p, const char* text, size_t n) {
  enum { AT_ONCE = 16 * RC_ROPE_LEAF };
  rc_word rope = RC_NIL;
  for (size_t part; n > 0; text += part, n -= part) {
    part = n < AT_ONCE ? n : AT_ONCE;
    pay(p, part / BYTES_OF_STEP);
    if (append(&rope, rc_rope_from(text, part))) continue;
    rc_dec_word(rope);
    return NO_WORD;
  }
  return rope;
}

rc_word text_rope(lua_State* L, int index) {
  value v;
  purse p = purse_new(L);
  luaL_argcheck(L, value_at(L, index, &v), index, "was dropped");
  return v.kind == ROPE ? word_copy(v.word) : rope_from(&p, v.text, v.length);
}

/* The text at index goes behind the rope; false: no memory. */
static bool append_text(lua_State* L, rc_word* rope, int index) {
  rc_word end = text_rope(L, index);
  if (append(rope, end)) return true;
  if (end != NO_WORD && errno == EINVAL) luaL_error(L, "rope is too long");
  return false;
}

bool rope_push(lua_State* L, handle* h) { return append_text(L, &h->word, 2); }

bool rope_set(lua_State* L, handle* h) {
  lua_Unsigned i = (lua_Unsigned)luaL_checkinteger(L, 2) - 1;
  lua_Integer byte = luaL_checkinteger(L, 3);
  luaL_argcheck(L, i < rc_rope_length(h->word), 2, "index out of range");
  luaL_argcheck(L, byte >= 0 && byte <= 255, 3, "not a byte");
  return rc_rope_set(&h->word, (size_t)i, (char)byte);
}

/* ---- New ones -------------------------------------------------------------------------------- */

static bool new_attempt(lua_State* L) {
  handle* h = lua_touserdata(L, 2);
  rc_word rope = text_rope(L, 1);
  if (rope != NO_WORD) handle_set(h, rope);
  return rope != NO_WORD;
}

int rope_new(lua_State* L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_pushliteral(L, "");
    lua_replace(L, 1);
  }
  text_prepare(L, 1);
  handle_push(L, ROPE);
  memory_try(L, new_attempt);
  return 1;
}

static bool concat_attempt(lua_State* L) {
  handle* h = lua_touserdata(L, 3);
  rc_word rope = text_rope(L, 1);
  if (rope == NO_WORD) return false;
  handle_set(h, rope);
  return append_text(L, &h->word, 2);
}

/* A rope if one of them is. */
int rope_concat(lua_State* L) {
  lua_settop(L, 2);
  bool rope = is_rope(L, 1) || is_rope(L, 2);
  text_prepare(L, 1);
  text_prepare(L, 2);
  if (rope) {
    handle_push(L, ROPE);
    memory_try(L, concat_attempt);
  } else {
    work_pay(L, lua_rawlen(L, 1) + lua_rawlen(L, 2), WORK_BYTES);
    lua_concat(L, 2);
  }
  return 1;
}

/* ---- Reading --------------------------------------------------------------------------------- */

int rope_index(lua_State* L, const handle* h) {
  int whole;
  lua_Integer i = lua_tointegerx(L, 2, &whole);
  int byte = whole ? rc_rope_get(h->word, (size_t)i - 1) : -1;
  if (byte < 0) return 0;
  lua_pushinteger(L, byte);
  return 1;
}

/* From the position of one part to that of the next, and the part. */
int rope_step(lua_State* L) {
  size_t n = 0;
  rc_word rope = handle_check(L, 1, IS_ROPE)->word;
  size_t i = (size_t)luaL_checkinteger(L, 2);
  if (i > 0 && rc_rope_chunk(rope, --i, &n) == NULL) return 0;
  const char* part = rc_rope_chunk(rope, i += n, &n);
  if (part == NULL) return 0;
  lua_pushinteger(L, (lua_Integer)i + 1);
  lua_pushlstring(L, part, n);
  return 2;
}

int rope_tostring(lua_State* L) {
  luaL_Buffer b;
  const char* part;
  rc_word rope = handle_pin(L, 1)->word;
  size_t length = rc_rope_length(rope);
  work_pay(L, length, WORK_BYTES);
  char* to = buffer_of_size(L, &b, length);
  for (size_t i = 0, n; (part = rc_rope_chunk(rope, i, &n)) != NULL; i += n)
    memcpy(to + i, part, n);
  luaL_pushresultsize(&b, length);
  return 1;
}
