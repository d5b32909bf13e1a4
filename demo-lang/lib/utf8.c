/* utf8.c: the guest's library `utf8`. A tick is 256 bytes looked at, or 32 values (work.h). */
#include "demo-lang/lib/work.h"

#include <limits.h>
#include <string.h>

#define INVALID "invalid UTF-8 code"

enum { LAST_CODE = 0x10FFFF };           /* of Unicode */
static const uint32_t LAST = 0x7FFFFFFF; /* of six bytes, which lax functions take */

/* ---- Decoding -------------------------------------------------------------------------------- */

static inline bool continues(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

/* How many bytes a sequence has that begins with `first`; 0: none does. */
static unsigned length_by(unsigned char first) {
  if (first < 0x80) return 1;
  if (first < 0xC0 || first >= 0xFE) return 0;
  unsigned n = 2;
  while ((first & 0x80U >> n) != 0) n++;
  return n;
}

/* Decodes the sequence at s, which ends in a NUL somewhere; what follows it, or NULL if there is
** none: it is cut off, longer than it must be, or, unless `lax`, not of Unicode. */
static const char* decode(const char* s, uint32_t* code, bool lax) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000};
  unsigned char first = (unsigned char)*s;
  if (first < 0x80) return *code = first, s + 1;
  unsigned n = length_by(first);
  if (n == 0) return NULL;
  uint32_t c = first & 0x7FU >> n;
  for (unsigned i = 1; i < n; i++) {
    if (!continues(s[i])) return NULL;
    c = c << 6 | ((unsigned char)s[i] & 0x3F);
  }
  bool surrogate = c >= 0xD800 && c <= 0xDFFF;
  if (c < least[n] || (!lax && (surrogate || c > LAST_CODE))) return NULL;
  *code = c;
  return s + n;
}

/* ---- Functions ------------------------------------------------------------------------------- */

/* A position counts from the end if it is negative; before the first byte is 0. */
static lua_Integer position(lua_Integer i, size_t length) {
  if (i >= 0) return i;
  return 0U - (size_t)i > length ? 0 : (lua_Integer)length + i + 1;
}

static int utf8_len(lua_State* L) {
  size_t length;
  const char* s = luaL_checklstring(L, 1, &length);
  lua_Integer i = position(luaL_optinteger(L, 2, 1), length);
  lua_Integer last = position(luaL_optinteger(L, 3, -1), length);
  bool lax = lua_toboolean(L, 4);
  luaL_argcheck(L, 1 <= i && i - 1 <= (lua_Integer)length, 2, "initial position out of bounds");
  luaL_argcheck(L, last <= (lua_Integer)length, 3, "final position out of bounds");
  lua_Integer count = 0;
  meter m = meter_of(L, WORK_CHARS, false);
  for (const char *c = s + i - 1, *next; c < s + last; c = next) {
    uint32_t code;
    meter_step(&m);
    next = decode(c, &code, lax);
    if (next == NULL) {
      luaL_pushfail(L);
      lua_pushinteger(L, c - s + 1);
      return 2;
    }
    count++;
  }
  lua_pushinteger(L, count);
  return 1;
}

static int utf8_codepoint(lua_State* L) {
  size_t length;
  const char* s = luaL_checklstring(L, 1, &length);
  lua_Integer i = position(luaL_optinteger(L, 2, 1), length);
  lua_Integer last = position(luaL_optinteger(L, 3, i), length);
  bool lax = lua_toboolean(L, 4);
  luaL_argcheck(L, i >= 1, 2, "out of bounds");
  luaL_argcheck(L, last <= (lua_Integer)length, 3, "out of bounds");
  if (i > last) return 0;
  if (last - i >= INT_MAX) return luaL_error(L, "string slice too long");
  work_pay(L, (uint64_t)(last - i + 1), WORK_VALUES);
  luaL_checkstack(L, (int)(last - i + 1), "string slice too long");
  int count = 0;
  for (const char* c = s + i - 1; c < s + last; count++) {
    uint32_t code;
    c = decode(c, &code, lax);
    if (c == NULL) return luaL_error(L, INVALID);
    lua_pushinteger(L, code);
  }
  return count;
}

static void push_code(lua_State* L, int arg) {
  lua_Unsigned code = (lua_Unsigned)luaL_checkinteger(L, arg);
  luaL_argcheck(L, code <= LAST, arg, "value out of range");
  lua_pushfstring(L, "%U", (long)code);
}

static int utf8_char(lua_State* L) {
  enum { EACH = 8 };
  int n = lua_gettop(L);
  work_pay(L, (uint64_t)n, EACH);
  if (n == 1) {
    push_code(L, 1);
    return 1;
  }
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    push_code(L, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return 1;
}

/* Where the n-th character from position i begins; n = 0: the one that i is in. */
static int utf8_offset(lua_State* L) {
  size_t size;
  const char* s = luaL_checklstring(L, 1, &size);
  lua_Integer length = (lua_Integer)size, n = luaL_checkinteger(L, 2);
  lua_Integer at = position(luaL_optinteger(L, 3, n >= 0 ? 1 : length + 1), size) - 1;
  luaL_argcheck(L, 0 <= at && at <= length, 3, "position out of bounds");
  meter m = meter_of(L, WORK_CHARS, false);
  if (n == 0) {
    for (; at > 0 && continues(s[at]); at--) meter_step(&m);
  } else if (continues(s[at])) {
    return luaL_error(L, "initial position is a continuation byte");
  } else if (n < 0) {
    for (; n < 0 && at > 0; n++) do {
        meter_step(&m);
        at--;
      } while (at > 0 && continues(s[at]));
  } else {
    for (n--; n > 0 && at < length; n--) do {
        meter_step(&m);
        at++;
      } while (continues(s[at]));
  }
  if (n == 0)
    lua_pushinteger(L, at + 1);
  else
    luaL_pushfail(L);
  return 1;
}

/* ---- Iteration ------------------------------------------------------------------------------- */

/* The character that begins at or after the byte behind the position given, which need not be the
** one of the call before. */
static int next_code(lua_State* L, bool lax) {
  size_t length;
  const char* s = luaL_checklstring(L, 1, &length);
  lua_Unsigned at = (lua_Unsigned)lua_tointeger(L, 2);
  if (at >= length) return 0;
  for (meter m = meter_of(L, WORK_CHARS, false); continues(s[at]); at++) meter_step(&m);
  if (at >= length) return 0;
  uint32_t code;
  if (decode(s + at, &code, lax) == NULL) return luaL_error(L, INVALID);
  lua_pushinteger(L, (lua_Integer)at + 1);
  lua_pushinteger(L, code);
  return 2;
}

static int next_strict(lua_State* L) { return next_code(L, false); }
static int next_lax(lua_State* L) { return next_code(L, true); }

/* The upvalues are the two above. */
static int utf8_codes(lua_State* L) {
  bool lax = lua_toboolean(L, 2);
  luaL_checkstring(L, 1);
  lua_pushvalue(L, lua_upvalueindex(lax ? 2 : 1));
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

int guest_open_utf8(lua_State* L) {
  static const luaL_Reg functions[] = {{"char", utf8_char}, {"codepoint", utf8_codepoint},
                                       {"len", utf8_len},   {"offset", utf8_offset},
                                       {NULL, NULL},        {NULL, NULL}};
  static const char pattern[] = "[\0-\x7F\xC2-\xFD][\x80-\xBF]*";
  lua_createtable(L, 0, sizeof functions / sizeof functions[0]);
  work_set_functions(L, functions);
  work_push_closure(L, next_strict);
  work_push_closure(L, next_lax);
  lua_pushcclosure(L, utf8_codes, 2);
  lua_setfield(L, -2, "codes");
  lua_pushlstring(L, pattern, sizeof pattern - 1);
  lua_setfield(L, -2, "charpattern");
  return 1;
}
