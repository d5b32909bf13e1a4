/* rc/big.c: big integers. An operand may be a Lua integer, or a float that is an integer, too; the
** result is big, however small. Quotients by // are rounded down, as Lua's; / takes any of Lua's numbers, and gives
** the float that is nearest to the true quotient.
**
** What is done in limbs of 64 bits is paid for before, by the lengths of the operands: a tick buys
** 256 products of limbs. */
#include <errno.h>
#include <math.h>

#include "demo-lang/lib/work.h"
#include "demo-lang/rc/value.h"

enum { RESULT = 3 }; /* where an operation finds the handle for it */
enum { LIMB_BITS = 64, PRODUCTS = 256, QUOTIENTS = 32 /* of limbs, for a tick */ };
static const uint64_t MOST_BITS = (uint64_t)1 << 34; /* below what data.h allows */

/* ---- Operands -------------------------------------------------------------------------------- */

/* A number as a word of data.h, owned. NO_WORD: no memory. */
static rc_word big_of(const value* v) {
  uint64_t limbs[FLOAT_LIMBS];
  if (v->kind == BIG) return word_copy(v->word);
  if (v->kind == INTEGER) return rc_big_from(v->integer);
  return rc_big_from_limbs(limbs, float_limbs(v->number, limbs), v->number < 0);
}

/* Throws unless at index is an integer, of whatever type. */
static value operand(lua_State* L, int index) {
  value v;
  bool is_value = value_at(L, index, &v);
  if (is_value) value_make_key(&v);
  if (!is_value || (v.kind != BIG && v.kind != INTEGER && v.kind != FLOAT))
    luaL_typeerror(L, index, "integer");
  if (v.kind == FLOAT && (!isfinite(v.number) || v.number != floor(v.number)))
    luaL_argerror(L, index, "number has no integer representation");
  return v;
}

/* Bits of a number's magnitude, or some more. */
static uint64_t bits_of(const value* v) {
  if (v->kind == BIG) return rc_big_bits(v->word);
  if (v->kind == FLOAT) return FLOAT_LIMBS * LIMB_BITS;
  uint64_t magnitude = v->integer < 0 ? -(uint64_t)v->integer : (uint64_t)v->integer;
  return magnitude == 0 ? 0 : LIMB_BITS - (uint64_t)__builtin_clzll(magnitude);
}

/* Its limbs, at least 1. */
static uint64_t limbs_of(const value* v) { return bits_of(v) / LIMB_BITS + 1; }
static uint64_t operand_limbs(lua_State* L, int index) {
  value v = operand(L, index);
  return limbs_of(&v);
}

/* Both operands in words; the first becomes the result's. */
static bool operands(lua_State* L, handle** result, rc_word* b) {
  value v = operand(L, 1), w = operand(L, 2);
  rc_word a = big_of(&v);
  if (a == NO_WORD) return false;
  *result = lua_touserdata(L, RESULT);
  handle_set(*result, a);
  *b = big_of(&w);
  return *b != NO_WORD;
}

/* ---- What it costs --------------------------------------------------------------------------- */

/* Products of limbs in one of n and m limbs, as limbs.c multiplies. */
static double products(uint64_t n, uint64_t m) {
  enum { KARATSUBA = 40 };
  if (n < m) return products(m, n);
  double cost = (double)(n / m + (n % m != 0));
  while (m > KARATSUBA) {
    m = (m + 1) / 2;
    cost *= 3;
  }
  return cost * (double)(m * m);
}

static void pay_products(lua_State* L, double n) {
  if (n >= PRODUCTS) guest_tick(L, n < 0x1p62 ? (uint64_t)n / PRODUCTS : (uint64_t)1 << 62);
}

static void check_size(lua_State* L, double bits) {
  if (bits > (double)MOST_BITS) luaL_error(L, "number is too large");
}

static void pay_sum(lua_State* L) {
  work_pay(L, operand_limbs(L, 1) + operand_limbs(L, 2), PRODUCTS);
}

static void pay_product(lua_State* L) {
  uint64_t n = operand_limbs(L, 1), m = operand_limbs(L, 2);
  check_size(L, (double)LIMB_BITS * ((double)n + (double)m - 2));
  pay_products(L, products(n, m));
}

static void pay_quotient(lua_State* L) {
  uint64_t n = operand_limbs(L, 1), m = operand_limbs(L, 2);
  if (n >= m) pay_products(L, 2 * (double)(n - m + 1) * (double)m);
}

/* ---- Operators ------------------------------------------------------------------------------- */

static int operate(lua_State* L, void (*pays)(lua_State* L), bool (*attempt)(lua_State* L)) {
  lua_settop(L, 2);
  pays(L);
  handle_push(L, BIG);
  memory_try(L, attempt);
  return 1;
}

/* With a function of data.h. */
static bool apply(lua_State* L, bool (*f)(rc_word* a, rc_word b)) {
  handle* result;
  rc_word b;
  if (!operands(L, &result, &b)) return false;
  bool done = f(&result->word, b);
  rc_dec_word(b);
  return done;
}

static bool add(lua_State* L) { return apply(L, rc_big_add); }
static bool subtract(lua_State* L) { return apply(L, rc_big_subtract); }
static bool multiply(lua_State* L) { return apply(L, rc_big_multiply); }

/* Rounded down: of a quotient that is not whole and below zero, one less. */
static bool divide_down(rc_word* a, rc_word b, bool want_remainder) {
  rc_word rest;
  if (!rc_big_divide(a, b, &rest)) return false;
  bool up = rc_big_sign(rest) * rc_big_sign(b) < 0, done = true;
  if (want_remainder) {
    rc_dec_word(*a);
    *a = rest;
    return !up || rc_big_add(a, b);
  }
  if (up) done = rc_big_subtract(a, rc_int(1));
  rc_dec_word(rest);
  return done;
}

static bool quotient_down(rc_word* a, rc_word b) { return divide_down(a, b, false); }
static bool remainder_down(rc_word* a, rc_word b) { return divide_down(a, b, true); }
static bool quotient(lua_State* L) { return apply(L, quotient_down); }
static bool modulo(lua_State* L) { return apply(L, remainder_down); }

static void check_divisor(lua_State* L, const char* message) {
  value v = operand(L, 2);
  if (v.kind == BIG ? v.word == RC_NIL : v.kind == INTEGER && v.integer == 0)
    luaL_error(L, message);
}

static int big_add(lua_State* L) { return operate(L, pay_sum, add); }
static int big_subtract(lua_State* L) { return operate(L, pay_sum, subtract); }
static int big_multiply(lua_State* L) { return operate(L, pay_product, multiply); }
static int big_quotient(lua_State* L) {
  check_divisor(L, "attempt to perform 'n//0'");
  return operate(L, pay_quotient, quotient);
}
static int big_modulo(lua_State* L) {
  check_divisor(L, "attempt to perform 'n%%0'");
  return operate(L, pay_quotient, modulo);
}

static bool negate(lua_State* L) {
  handle *h = handle_check(L, 1, IS_BIG), *result = lua_touserdata(L, RESULT);
  handle_set(result, word_copy(h->word));
  return rc_big_negate(&result->word);
}
static int big_negate(lua_State* L) { return operate(L, pay_sum, negate); }

static bool and (lua_State * L) { return apply(L, rc_big_and); }
static bool or (lua_State * L) { return apply(L, rc_big_or); }
static bool xor (lua_State * L) {
  return apply(L, rc_big_xor);
} static bool complement_of(rc_word* a, rc_word b) {
  (void)b;
  return rc_big_not(a);
}
static bool complement(lua_State* L) { return apply(L, complement_of); }

static int big_and(lua_State* L) { return operate(L, pay_sum, and); }
static int big_or(lua_State* L) { return operate(L, pay_sum, or); }
static int big_xor(lua_State* L) { return operate(L, pay_sum, xor); }
static int big_not(lua_State* L) { return operate(L, pay_sum, complement); }

/* ---- Quotients as floats --------------------------------------------------------------------- */

/* Throws unless at index is a number, of whatever type. */
static value any_number(lua_State* L, int index) {
  value v;
  if (!value_at(L, index, &v) || (v.kind != BIG && v.kind != INTEGER && v.kind != FLOAT))
    luaL_typeerror(L, index, "number");
  return v;
}

/* Is it no integer times a power of 2 that another one could be divided by? */
static bool is_special(const value* v) {
  if (v->kind == FLOAT) return v->number == 0 || !isfinite(v->number);
  return v->kind == BIG ? v->word == RC_NIL : v->integer == 0;
}

/* A float with the same sign, which is the number if that is a float. */
static lua_Number float_like(const value* v) {
  if (v->kind == FLOAT) return v->number;
  return v->kind == BIG ? rc_big_sign(v->word) : (v->integer > 0) - (v->integer < 0);
}

/* A number that is not special as an integer, owned, times 2^*exponent. */
static rc_word digits_of(const value* v, int* exponent) {
  enum { DIGITS = 53 };
  *exponent = 0;
  if (v->kind != FLOAT) return big_of(v);
  lua_Number digits = ldexp(frexp(v->number, exponent), DIGITS);
  *exponent -= DIGITS;
  return rc_big_from((int64_t)digits);
}

static bool ratio(lua_State* L) {
  value v = any_number(L, 1), w = any_number(L, 2);
  int up, down;
  double quotient;
  rc_word a = digits_of(&v, &up), b = digits_of(&w, &down);
  bool done = a != NO_WORD && b != NO_WORD && rc_big_quotient(a, b, up - down, &quotient);
  if (a != NO_WORD) rc_dec_word(a);
  if (b != NO_WORD) rc_dec_word(b);
  if (done) lua_pushnumber(L, quotient);
  return done;
}

/* Both are shifted, and a limb of the quotient is computed. */
static void pay_ratio(lua_State* L, const value* v, const value* w) {
  enum { TIMES = 4 };
  work_pay(L, TIMES * (limbs_of(v) + limbs_of(w)), PRODUCTS);
}

static int big_divide(lua_State* L) {
  value v = any_number(L, 1), w = any_number(L, 2);
  if (is_special(&v) || is_special(&w)) {
    lua_pushnumber(L, float_like(&v) / float_like(&w));
  } else {
    pay_ratio(L, &v, &w);
    memory_try(L, ratio);
  }
  return 1;
}

/* ---- Powers and shifts ----------------------------------------------------------------------- */

/* The second operand, if it fits in a Lua integer. */
static lua_Integer second(lua_State* L) {
  value v = operand(L, 2);
  int64_t i = v.integer;
  if (v.kind != INTEGER && !(v.kind == BIG && rc_big_to_int64(v.word, &i)))
    luaL_error(L, "number is too large");
  return i;
}

/* Of 0, 1 and -1 there is no large one. */
static void pay_power(lua_State* L) {
  value base = operand(L, 1);
  lua_Integer exponent = second(L);
  if (exponent < 0) luaL_error(L, "exponent is negative");
  if (bits_of(&base) <= 1) return;
  double bits = (double)bits_of(&base) * (double)exponent;
  check_size(L, bits);
  uint64_t half = (uint64_t)bits / LIMB_BITS / 2 + 1;
  pay_products(L, 3 * products(half, half));
}

/* From the exponent's highest bit down; the base is in *a. */
static bool power_of(rc_word* a, uint64_t exponent) {
  rc_word base = word_copy(*a), power = rc_int(1);
  bool done = true;
  for (int bit = 63; bit >= 0 && done; bit--) {
    if (power != rc_int(1)) done = rc_big_multiply(&power, power);
    if (done && exponent >> bit & 1) done = rc_big_multiply(&power, base);
  }
  rc_dec_word(base);
  rc_dec_word(*a);
  *a = power;
  return done;
}

static bool power(lua_State* L) {
  handle* result;
  rc_word b;
  if (!operands(L, &result, &b)) return false;
  rc_dec_word(b);
  return power_of(&result->word, (uint64_t)second(L));
}
static int big_power(lua_State* L) { return operate(L, pay_power, power); }

/* To the left; to the right it is rounded down. */
static void pay_shift_by(lua_State* L, bool left) {
  lua_Integer n = second(L);
  uint64_t limbs = operand_limbs(L, 1);
  double bits = left ? (double)n : -(double)n;
  if (bits > 0) check_size(L, bits + (double)limbs * LIMB_BITS);
  work_pay(L, limbs + (bits > 0 ? (uint64_t)bits / LIMB_BITS : 0), PRODUCTS);
}
static void pay_left(lua_State* L) { pay_shift_by(L, true); }
static void pay_right(lua_State* L) { pay_shift_by(L, false); }

static bool shift_by(lua_State* L, bool left) {
  handle* result;
  rc_word b;
  if (!operands(L, &result, &b)) return false;
  rc_dec_word(b);
  lua_Integer n = second(L);
  if (!left) n = n == LUA_MININTEGER ? LUA_MAXINTEGER : -n;
  return rc_big_shift(&result->word, n);
}
static bool shift_left(lua_State* L) { return shift_by(L, true); }
static bool shift_right(lua_State* L) { return shift_by(L, false); }
static int big_shift_left(lua_State* L) { return operate(L, pay_left, shift_left); }
static int big_shift_right(lua_State* L) { return operate(L, pay_right, shift_right); }

const luaL_Reg big_operators[] = {{"__add", big_add},        {"__sub", big_subtract},
                                  {"__mul", big_multiply},   {"__idiv", big_quotient},
                                  {"__mod", big_modulo},     {"__div", big_divide},
                                  {"__pow", big_power},      {"__unm", big_negate},
                                  {"__band", big_and},       {"__bor", big_or},
                                  {"__bxor", big_xor},       {"__bnot", big_not},
                                  {"__shl", big_shift_left}, {"__shr", big_shift_right},
                                  {"__concat", rope_concat}, {NULL, NULL}};

/* ---- From and to other types ----------------------------------------------------------------- */

/* Of digits: each limb of them costs a product by all before it. */
static bool parse(lua_State* L) {
  size_t n;
  const char* text = lua_tolstring(L, 1, &n);
  rc_word w = rc_big_parse(text, n, (unsigned)lua_tointeger(L, 2));
  if (w != NO_WORD) handle_set(lua_touserdata(L, RESULT), w);
  luaL_argcheck(L, w != NO_WORD || errno != EINVAL, 1, "not a numeral");
  return w != NO_WORD;
}

static bool convert(lua_State* L) {
  value v = operand(L, 1);
  rc_word w = big_of(&v);
  if (w != NO_WORD) handle_set(lua_touserdata(L, RESULT), w);
  return w != NO_WORD;
}

/* At index, 10 if there is none; the stack ends there. */
static void check_base(lua_State* L, int index) {
  lua_Integer base = luaL_optinteger(L, index, 10);
  luaL_argcheck(L, base >= 2 && base <= 36, index, "base out of range");
  lua_settop(L, index - 1);
  lua_pushinteger(L, base);
}

/* rc.int(n), or rc.int(text [, base]). */
int big_new(lua_State* L) {
  bool text = lua_type(L, 1) == LUA_TSTRING;
  check_base(L, 2);
  if (text) {
    double limbs = (double)lua_rawlen(L, 1) / 12;
    work_pay(L, lua_rawlen(L, 1), WORK_CHARS);
    pay_products(L, limbs * limbs / 2);
  } else {
    operand(L, 1);
  }
  handle_push(L, BIG);
  memory_try(L, text ? parse : convert);
  return 1;
}

/* A Lua integer, or nil. */
int big_tointeger(lua_State* L) {
  value v = operand(L, 1);
  int64_t i = v.integer;
  if (v.kind == INTEGER || (v.kind == BIG && rc_big_to_int64(v.word, &i)))
    lua_pushinteger(L, i);
  else
    lua_pushnil(L);
  return 1;
}

static bool format(lua_State* L) {
  value v = operand(L, 1);
  rc_word w = big_of(&v), digits = NO_WORD;
  if (w != NO_WORD) digits = rc_big_format(w, (unsigned)lua_tointeger(L, 2));
  if (w != NO_WORD) rc_dec_word(w);
  if (digits != NO_WORD) pocket_put(L, digits);
  return digits != NO_WORD;
}

/* The digits of 1 in the base of 2. Each limb costs quotients of all above it. */
static int format_in(lua_State* L) {
  double limbs = (double)operand_limbs(L, 1);
  if (limbs > 8) guest_tick(L, (uint64_t)(limbs * limbs / (2 * QUOTIENTS)));
  memory_try(L, format);
  rc_object* digits = rc_to(guest_of(L)->pocket);
  lua_pushlstring(L, rc_data(digits), rc_length(digits));
  pocket_put(L, 0);
  return 1;
}

int big_tostring(lua_State* L) {
  lua_settop(L, 1);
  lua_pushinteger(L, 10);
  return format_in(L);
}

/* rc.digits(i [, base]) */
int big_digits(lua_State* L) {
  check_base(L, 2);
  return format_in(L);
}
