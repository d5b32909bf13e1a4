/* string_values.h: random values, the same ones in a state of the standalone Lua and in one of a guest. */
#ifndef STRING_VALUES_H
#define STRING_VALUES_H

#include <math.h>

#include "demo-lang/guest.h"
#include "tests/tools.h"

enum { ARGS = 8, TEXT = 8192 };

static lua_State* states[2]; /* the system's, ours */
static uint64_t state_of_rnd;
static size_t below(size_t n) { return (size_t)rnd_from(&state_of_rnd, n); }
static bool one_in(size_t n) { return below(n) == 0; }

/* ---- Values: made once, pushed in both states ------------------------------------------------ */

typedef struct value {
  enum { NIL, FALSE, TRUE, INTEGER, FLOAT, STRING, OBJECT } kind;
  lua_Integer integer;
  double number;
  size_t length; /* of `text` */
  char text[TEXT];
} value;

static value args[ARGS];
static size_t nargs;

/* The objects that both states have, by number, in the table `objects`. */
static const char setup[] =
    "local function plain() return {} end\n"
    "objects = {\n"
    "  function(a, b) return (a or '') .. '+' .. (b or '') end,\n"
    "  function() return false end,\n"
    "  function() end,\n"
    "  function(...) return select('#', ...) end,\n"
    "  function() return 1.5 end,\n"
    "  function(a) if #a > 3 then error('callback') end return a end,\n"
    "  function(a, b, c) return a, b, c end,\n"
    "  function() return plain() end,\n"
    "  {a = 'A', b = 1, ab = false, [''] = '<>', ['1'] = 'one', [1] = 'first', c = 'a%1b'},\n"
    "  setmetatable({}, {__index = function(_, k) return k .. '!' end,\n"
    "    __tostring = function() return 'an object' end, __name = 'named'}),\n"
    "  setmetatable({}, {__index = string.upper, __tostring = function() return 5 end}),\n"
    "  setmetatable({}, {__index = {a = 'x'}, __tostring = function() error('no text') end,\n"
    "    __add = function(a, b) return type(a) .. type(b) end, __unm = function() return 'minus' "
    "end,\n"
    "    __mul = function(a, b) error('mul') end, __pow = 'not a function'}),\n"
    "  setmetatable({}, {__tostring = function() return ('long'):rep(40) end}),\n"
    "  true\n"
    "}\n"
    "local pack, unpack = table.pack, table.unpack\n"
    "local function iterate(f, s, x)\n"
    "  local results = {}\n"
    "  for i = 1, 40 do\n"
    "    local r = pack(f(s, x))\n"
    "    if r.n == 0 or r[1] == nil then break end\n"
    "    for k = 1, r.n do results[#results + 1] = r[k] end\n"
    "    results[#results + 1] = '|'\n"
    "  end\n"
    "  return unpack(results)\n"
    "end\n"
    "local text = {'call = {'}\n"
    "for _, name in ipairs(names) do\n"
    "  text[#text + 1] = name .. ' = {string.' .. name ..\n"
    "    ', function(...) local r = pack(string.' .. name .. '(...)) return unpack(r, 1, r.n) "
    "end,' ..\n"
    "    'function(s, ...) local r = pack(s:' .. name .. '(...)) return unpack(r, 1, r.n) end},'\n"
    "end\n"
    "text[#text + 1] = '}'\n"
    "assert(load(table.concat(text), '=calls', 't', setmetatable({pack = pack, unpack = unpack},\n"
    "  {__index = _G, __newindex = _G})))()\n"
    "call.gmatch = {function(...) return iterate(string.gmatch(...)) end,\n"
    "  function(...) return iterate(string.gmatch(...)) end,\n"
    "  function(s, ...) return iterate(s:gmatch(...)) end}\n"
    "call.dump = {}\n"
    "for form = 1, 3 do\n"
    "  call.dump[form] = function(f, ...)\n"
    "    if f == true then f = load('local a = ... return function() return a end') end\n"
    "    local r = form == 2 and pack(string.dump(f, ...)) or pack(pcall(string.dump, f, ...))\n"
    "    return unpack(r, 1, r.n)\n"
    "  end\n"
    "end\n"
    "call.arithmetic = {function(op, a, b) " /* in one line: Lua tells another one of n % 0 */
    "if op == 1 then return a + b elseif op == 2 then return a - b elseif op == 3 then return a * "
    "b "
    "elseif op == 4 then return a / b elseif op == 5 then return a // b "
    "elseif op == 6 then return a % b elseif op == 7 then return a ^ b else return -a end "
    "end, function(op, ...)\n"
    "  local events = {'add', 'sub', 'mul', 'div', 'idiv', 'mod', 'pow', 'unm'}\n"
    "  return getmetatable('')['__' .. events[op]](...)\n"
    "end}\n"
    "call.arithmetic[3] = call.arithmetic[1]\n";
enum { FUNCTIONS_OF_SETUP = 8, TEXT_OBJECT = 10, OBJECTS = 14 }; /* the first with __tostring */

static void push_value(lua_State* L, const value* v) {
  switch (v->kind) {
    case NIL:
      lua_pushnil(L);
      break;
    case FALSE:
    case TRUE:
      lua_pushboolean(L, v->kind == TRUE);
      break;
    case INTEGER:
      lua_pushinteger(L, v->integer);
      break;
    case FLOAT:
      lua_pushnumber(L, v->number);
      break;
    case STRING:
      lua_pushlstring(L, v->text, v->length);
      break;
    case OBJECT:
      lua_getglobal(L, "objects");
      lua_geti(L, -1, v->integer);
      lua_remove(L, -2);
      break;
  }
}

/* ---- Random values --------------------------------------------------------------------------- */

static value* next_arg(void) {
  value* v = &args[nargs++];
  v->kind = NIL;
  v->length = 0;
  return v;
}

static void add(value* v, const char* s) {
  size_t n = strlen(s);
  v->kind = STRING;
  if (v->length + n >= TEXT) return;
  memcpy(v->text + v->length, s, n);
  v->length += n;
}

static void add_char(value* v, char c) {
  v->kind = STRING;
  if (v->length < TEXT - 1) v->text[v->length++] = c;
}

static void add_number(value* v, size_t n) {
  char digits[24];
  snprintf(digits, sizeof digits, "%zu", n);
  add(v, digits);
}

static const char* pick(const char* const* of) {
  size_t n = 0;
  while (of[n] != NULL) n++;
  return of[below(n)];
}

static char random_char(void) {
  static const char common[] = "aaabbbcAB01 .,-_()[]%x";
  if (one_in(20)) return (char)below(256);
  return common[below(sizeof common - 1)];
}

static void make_text(value* v, size_t most) {
  v->kind = STRING;
  for (size_t n = below(most + 1); n > 0; n--) add_char(v, random_char());
}

static void make_integer(value* v) {
  static const lua_Integer edges[] = {0,
                                      1,
                                      -1,
                                      2,
                                      255,
                                      256,
                                      -128,
                                      127,
                                      65535,
                                      -32769,
                                      INT32_MAX,
                                      INT32_MIN,
                                      LUA_MAXINTEGER,
                                      LUA_MININTEGER,
                                      1LL << 53,
                                      1000000};
  v->kind = INTEGER;
  v->integer = one_in(3) ? edges[below(sizeof edges / sizeof edges[0])]
                         : (lua_Integer)below(1u << below(20)) - (lua_Integer)below(20);
  if (one_in(10)) v->integer = (lua_Integer)(below(1u << 30) << below(34));
}

static void make_float(value* v) {
  static const double edges[] = {0.0,      -0.0,      1.0,    0.5,         1e15,
                                 1e16,     1e100,     -1e308, 5e-324,      3.14159,
                                 HUGE_VAL, -HUGE_VAL, 0.1,    123456789.0, 9.2233720368547758e18,
                                 0.0 / 1};
  v->kind = FLOAT;
  v->number = one_in(2) ? edges[below(sizeof edges / sizeof edges[0])]
                        : (double)below(1000000) / (double)(1 + below(1000)) - 100;
  if (one_in(50)) v->number = NAN;
}

static void make_numeral(value* v) {
  static const char* const numerals[] = {"10",
                                         " 0x1p4 ",
                                         "1e1",
                                         "abc",
                                         "",
                                         "1 ",
                                         "0x",
                                         "nan",
                                         "9223372036854775807",
                                         "-3",
                                         "3.0",
                                         "0x10",
                                         "1e",
                                         "--1",
                                         "inf",
                                         "9223372036854775808",
                                         "0",
                                         "0.1",
                                         "1\t",
                                         "5e-1",
                                         NULL};
  v->length = 0;
  add(v, pick(numerals));
  if (one_in(20)) add_char(v, '\0');
}

static void make_any(value* v) {
  v->length = 0;
  switch (below(9)) {
    case 0:
      v->kind = one_in(3) ? NIL : one_in(2) ? FALSE : TRUE;
      break;
    case 1:
    case 2:
      make_integer(v);
      break;
    case 3:
      make_float(v);
      break;
    case 4:
      make_numeral(v);
      break;
    case 5:
      v->kind = OBJECT;
      v->integer = 1 + (lua_Integer)below(OBJECTS);
      break;
    default:
      make_text(v, 10);
  }
}

/* As a position in a text. */
static void make_position(value* v, size_t length) {
  v->kind = INTEGER;
  v->integer = (lua_Integer)below(length + 4) - 2;
  if (one_in(2)) v->integer = -v->integer;
  if (one_in(10)) make_integer(v);
  if (one_in(20)) make_float(v);
  if (one_in(20)) make_numeral(v);
  if (one_in(20)) v->kind = NIL;
}

#endif
