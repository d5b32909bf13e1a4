/* string.c: the library `string` of the guest: the functions that need no pattern and no format,
** and the metatable of strings. Results and messages are those of Lua 5.4; bytes are letters,
** digits and so on as in the C locale, whatever the locale is. */
#include <limits.h>

#include "demo-lang/lib/strings.h"

void purse_fill(purse* w) {
  uint64_t ticks = ((uint64_t)-w->steps + STEPS_OF_TICK - 1) / STEPS_OF_TICK;
  w->steps += (int64_t)(ticks * STEPS_OF_TICK);
  guest_tick(w->L, ticks);
}

/* In pieces, the first ones short: most that are compared differ early. */
bool equal_long(purse* w, const char* a, const char* b, size_t n) {
  for (size_t piece = 2 * BYTES_OF_STEP; n > 0; piece = WINDOW) {
    if (piece > n) piece = n;
    pay(w, 1 + piece / BYTES_OF_STEP);
    if (memcmp(a, b, piece) != 0) return false;
    a += piece;
    b += piece;
    n -= piece;
  }
  return true;
}

/* ---- Buffers --------------------------------------------------------------------------------- */

void make_room(lua_State* L, size_t n) {
  const guest* g = guest_of(L);
  if (g->limit != 0 && rt_bytes(g->task) + n > g->limit) guest_collect(L);
}

char* buffer_grow(luaL_Buffer* b, size_t n) {
  make_room(b->L, 2 * (b->size + n));
  return luaL_prepbuffsize(b, n);
}

/* ---- Parts and bytes ------------------------------------------------------------------------- */

static int string_len(lua_State* L) {
  size_t length;
  luaL_checklstring(L, 1, &length);
  lua_pushinteger(L, (lua_Integer)length);
  return 1;
}

static int string_sub(lua_State* L) {
  size_t length;
  const char* s = luaL_checklstring(L, 1, &length);
  size_t from = first_position(luaL_checkinteger(L, 2), length);
  size_t to = last_position(luaL_optinteger(L, 3, -1), length);
  size_t n = from <= to ? to - from + 1 : 0;
  work_pay(L, n, WORK_BYTES);
  lua_pushlstring(L, n > 0 ? s + from - 1 : "", n);
  return 1;
}

static int string_byte(lua_State* L) {
  size_t length;
  const char* s = luaL_checklstring(L, 1, &length);
  lua_Integer at = luaL_optinteger(L, 2, 1);
  size_t from = first_position(at, length);
  size_t to = last_position(luaL_optinteger(L, 3, at), length);
  if (from > to) return 0;
  if (to - from >= INT_MAX) return luaL_error(L, "string slice too long");
  int n = (int)(to - from) + 1;
  luaL_checkstack(L, n, "string slice too long");
  work_pay(L, (uint64_t)n, WORK_VALUES);
  for (int i = 0; i < n; i++) lua_pushinteger(L, (unsigned char)s[from - 1 + (size_t)i]);
  return n;
}

static int string_char(lua_State* L) {
  int n = lua_gettop(L);
  luaL_Buffer b;
  work_pay(L, (uint64_t)n, WORK_VALUES);
  char* to = buffer_of_size(L, &b, (size_t)n);
  for (int i = 1; i <= n; i++) {
    lua_Unsigned c = (lua_Unsigned)luaL_checkinteger(L, i);
    luaL_argcheck(L, c <= UCHAR_MAX, i, "value out of range");
    to[i - 1] = (char)c;
  }
  luaL_pushresultsize(&b, (size_t)n);
  return 1;
}

/* ---- Whole strings --------------------------------------------------------------------------- */

/* The bit 0x80 of each byte that is `first` or one of the 25 that follow it. All bytes at once:
** the sums stay within their byte. */
static inline uint64_t letters(uint64_t bytes, char first) {
  const uint64_t each = 0x0101010101010101, high = 0x80 * each;
  uint64_t low = bytes & ~high, from = (uint64_t)(0x80 - first) * each;
  return ((low + from) ^ (low + from - 26 * each)) & ~bytes & high;
}

/* Letters of the case whose first letter is given get the other case. */
static int change_case(lua_State* L, char first) {
  size_t n;
  const char* s = luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  work_pay(L, n, WORK_BYTES);
  char* to = buffer_of_size(L, &b, n);
  for (size_t i = 0, k; i < n; i += k) {
    uint64_t bytes = 0;
    k = n - i < sizeof bytes ? n - i : sizeof bytes;
    memcpy(&bytes, s + i, k);
    bytes ^= letters(bytes, first) >> 2;
    memcpy(to + i, &bytes, k);
  }
  luaL_pushresultsize(&b, n);
  return 1;
}

static int string_lower(lua_State* L) { return change_case(L, 'A'); }
static int string_upper(lua_State* L) { return change_case(L, 'a'); }

static int string_reverse(lua_State* L) {
  size_t n;
  const char* s = luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  work_pay(L, n, WORK_BYTES);
  char* to = buffer_of_size(L, &b, n);
  size_t left = n;
  for (uint64_t word; left >= sizeof word; left -= sizeof word, to += sizeof word) {
    memcpy(&word, s + left - sizeof word, sizeof word);
    word = __builtin_bswap64(word);
    memcpy(to, &word, sizeof word);
  }
  while (left > 0) *to++ = s[--left];
  luaL_pushresultsize(&b, n);
  return 1;
}

/* Fills `total` bytes with what stands in the first `period`. */
static void repeat(char* to, size_t period, size_t total) {
  for (size_t done = period; done < total;) {
    size_t n = done < total - done ? done : total - done;
    memcpy(to + done, to, n);
    done += n;
  }
}

static int string_rep(lua_State* L) {
  size_t length, gap;
  const char* s = luaL_checklstring(L, 1, &length);
  lua_Integer n = luaL_checkinteger(L, 2);
  const char* between = luaL_optlstring(L, 3, "", &gap);
  if (n > 0 && length + gap > INT_MAX / (lua_Unsigned)n)
    return luaL_error(L, "resulting string too large");
  size_t total = n > 0 ? (size_t)n * (length + gap) - gap : 0;
  if (total == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  work_pay(L, total, WORK_BYTES);
  luaL_Buffer b;
  char* to = buffer_of_size(L, &b, total);
  memcpy(to, s, length);
  if (n > 1) memcpy(to + length, between, gap);
  repeat(to, length + gap, total);
  luaL_pushresultsize(&b, total);
  return 1;
}

/* ---- string.dump ----------------------------------------------------------------------------- */

typedef struct dump {
  luaL_Buffer buffer;
  bool begun; /* the buffer takes the top of the stack, where lua_dump expects the function */
} dump;

static int dump_write(lua_State* L, const void* bytes, size_t n, void* ud) {
  dump* d = ud;
  if (!d->begun) luaL_buffinit(L, &d->buffer);
  d->begun = true;
  guest_tick(L, 1 + n / 1024);
  put(&d->buffer, bytes, n);
  return 0;
}

static int string_dump(lua_State* L) {
  dump d = {.begun = false};
  bool strip = lua_toboolean(L, 2);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  /* What makes code pay is not the guest's to see. */
  if (guest_of(L)->counted || lua_dump(L, dump_write, &d, strip) != 0)
    return luaL_error(L, "unable to dump given function");
  luaL_pushresult(&d.buffer);
  return 1;
}

/* ---- Arithmetic on strings that are numbers -------------------------------------------------- */

/* Pushes the operand as a number. */
static bool push_number(lua_State* L, int operand) {
  size_t length;
  const char* s;
  switch (lua_type(L, operand)) {
    case LUA_TNUMBER:
      lua_pushvalue(L, operand);
      return true;
    case LUA_TSTRING:
      s = lua_tolstring(L, operand, &length);
      return lua_stringtonumber(L, s) == length + 1;
    default:
      return false;
  }
}

/* The second operand may have a metamethod of its own; the first is a string. */
static int arithmetic_of_other(lua_State* L, const char* event) {
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING || luaL_getmetafield(L, 2, event) == LUA_TNIL)
    return luaL_error(L, "attempt to %s a '%s' with a '%s'", event + strlen("__"),
                      luaL_typename(L, 1), luaL_typename(L, 2));
  lua_insert(L, 1);
  guest_tick(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

/* Upvalues: the operation as lua_arith knows it, and the name of its event. */
static int arithmetic(lua_State* L) {
  if (!push_number(L, 1) || !push_number(L, 2))
    return arithmetic_of_other(L, lua_tostring(L, lua_upvalueindex(2)));
  lua_arith(L, (int)lua_tointeger(L, lua_upvalueindex(1)));
  return 1;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* The library is at the top. */
static void set_metatable(lua_State* L) {
  static const struct {
    const char* event;
    int operation;
  } operations[] = {{"__add", LUA_OPADD}, {"__sub", LUA_OPSUB},  {"__mul", LUA_OPMUL},
                    {"__mod", LUA_OPMOD}, {"__pow", LUA_OPPOW},  {"__div", LUA_OPDIV},
                    {"__unm", LUA_OPUNM}, {"__idiv", LUA_OPIDIV}};
  lua_createtable(L, 0, sizeof operations / sizeof operations[0] + 1);
  for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
    lua_pushinteger(L, operations[i].operation);
    lua_pushstring(L, operations[i].event);
    lua_pushcclosure(L, arithmetic, 2);
    lua_setfield(L, -2, operations[i].event);
  }
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "");
  lua_insert(L, -2);
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

/* Each function is a closure: see guestlib.c. */
int guest_open_string(lua_State* L) {
  static const luaL_Reg functions[] = {
      {"byte", string_byte},     {"char", string_char},       {"dump", string_dump},
      {"find", string_find},     {"format", string_format},   {"gmatch", string_gmatch},
      {"gsub", string_gsub},     {"len", string_len},         {"lower", string_lower},
      {"match", string_match},   {"pack", string_pack},       {"packsize", string_packsize},
      {"rep", string_rep},       {"reverse", string_reverse}, {"sub", string_sub},
      {"unpack", string_unpack}, {"upper", string_upper},     {NULL, NULL}};
  luaL_newlibtable(L, functions);
  work_set_functions(L, functions);
  set_metatable(L);
  return 1;
}
