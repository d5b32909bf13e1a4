/* format.c: string.format. An address is shown as its offset in the task's region, which is the
** same in every run. */
#include <locale.h>
#include <math.h>
#include <stdio.h>

#include "demo-lang/lib/strings.h"
#include "demo-lang/count/steps.h"

enum {
  SPEC = 32,              /* bytes of %, flags, width, precision, "ll", conversion and a zero */
  LONGEST_SPEC = 22,      /* as it is written, without the % */
  SHORT_RESULT = 120,     /* bytes of a number, with a width or a precision of 99 */
  LONG_RESULT = 110 + 310 /* of a float without exponent */
};

/* A specification: as text for printf, and its last byte, which tells what it is. */
typedef struct spec {
  char text[SPEC];
  size_t length;
  char conversion;
} spec;

typedef struct formatter {
  purse paid;
  luaL_Buffer buffer;
  int arg;
} formatter;

/* A call of libc's printf is never free. */
static void pay_printf(void) { steps_take(STEPS / 4); }

static void put_paid(formatter* f, const char* s, size_t n) {
  pay(&f->paid, n / BYTES_OF_STEP);
  put(&f->buffer, s, n);
}

/* ---- Specifications -------------------------------------------------------------------------- */

/* Sets of bytes below 64: flags, and what else stands before a conversion. */
#define BYTE(c) ((uint64_t)1 << (c))
enum { ASCII_HALF = 64 };
static const uint64_t DIGITS = BYTE('9' + 1) - BYTE('0');
static const uint64_t STRING_FLAGS = BYTE('-'), UNSIGNED_FLAGS = BYTE('-') | BYTE('0'),
                      HEXADECIMAL_FLAGS = BYTE('-') | BYTE('0') | BYTE('#'),
                      INTEGER_FLAGS = BYTE('-') | BYTE('0') | BYTE('+') | BYTE(' '),
                      FLOAT_FLAGS = BYTE('-') | BYTE('0') | BYTE('+') | BYTE(' ') | BYTE('#');

static bool is_one_of(uint64_t set, char c) {
  return (unsigned char)c < ASCII_HALF && (set >> c & 1) != 0;
}

/* Reads what begins at s, behind the %; gives where it ends. */
static const char* read_spec(lua_State* L, const char* s, spec* to) {
  size_t n = 0;
  while (is_one_of(FLOAT_FLAGS | DIGITS | BYTE('.'), s[n]) && n < LONGEST_SPEC) n++;
  if (++n >= LONGEST_SPEC) luaL_error(L, "invalid format (too long)");
  to->text[0] = '%';
  memcpy(to->text + 1, s, n);
  to->text[n + 1] = '\0';
  to->length = n + 1;
  to->conversion = s[n - 1];
  return s + n;
}

static const char* skip_two_digits(const char* s) {
  if (is_one_of(DIGITS, *s)) s++;
  if (is_one_of(DIGITS, *s)) s++;
  return s;
}

/* Only those flags; a width, and perhaps a precision, of at most two digits. */
static void check_spec(lua_State* L, const spec* p, uint64_t flags, bool precision) {
  const char* s = p->text + 1;
  while (is_one_of(flags, *s)) s++;
  if (*s != '0') {
    s = skip_two_digits(s);
    if (*s == '.' && precision) s = skip_two_digits(s + 1);
  }
  if (s + 1 != p->text + p->length)
    luaL_error(L, "invalid conversion specification: '%s'", p->text);
}

static bool is_bare(const spec* p) { return p->length == 2; }

/* ---- Conversions ----------------------------------------------------------------------------- */

static void put_decimal(formatter* f, lua_Integer n) {
  char text[24], *s = text + sizeof text;
  lua_Unsigned rest = n < 0 ? 0 - (lua_Unsigned)n : (lua_Unsigned)n;
  do *--s = (char)('0' + rest % 10);
  while ((rest /= 10) != 0);
  if (n < 0) *--s = '-';
  put(&f->buffer, s, (size_t)(text + sizeof text - s));
}

static void put_integer(formatter* f, spec* p, uint64_t flags) {
  lua_Integer n = luaL_checkinteger(f->paid.L, f->arg);
  if (is_bare(p) && (p->conversion == 'd' || p->conversion == 'i')) {
    put_decimal(f, n);
    return;
  }
  check_spec(f->paid.L, p, flags, true);
  pay_printf();
  char* end = p->text + p->length - 1;
  memcpy(end, "ll", 2);
  end[2] = p->conversion;
  end[3] = '\0';
  char* to = buffer_room(&f->buffer, SHORT_RESULT);
  f->buffer.n += (size_t)snprintf(to, SHORT_RESULT, p->text, n);
}

/* Which is wrong is told of the argument first, but in hexadecimal. */
static void put_float(formatter* f, const spec* p, size_t longest) {
  bool hexadecimal = p->conversion == 'a' || p->conversion == 'A';
  if (hexadecimal) check_spec(f->paid.L, p, FLOAT_FLAGS, true);
  lua_Number x = guest_number(f->paid.L, luaL_checknumber(f->paid.L, f->arg));
  if (!hexadecimal) check_spec(f->paid.L, p, FLOAT_FLAGS, true);
  pay_printf();
  int n = snprintf(buffer_room(&f->buffer, longest), longest, p->text, x);
  pay(&f->paid, (size_t)n / BYTES_LOOKED_AT);
  f->buffer.n += (size_t)n;
}

static void put_character(formatter* f, const spec* p) {
  check_spec(f->paid.L, p, STRING_FLAGS, false);
  int c = (int)luaL_checkinteger(f->paid.L, f->arg);
  pay_printf();
  char* to = buffer_room(&f->buffer, SHORT_RESULT);
  f->buffer.n += (size_t)snprintf(to, SHORT_RESULT, p->text, c);
}

/* Text with the width and precision of the specification. */
static void put_padded(formatter* f, spec* p, const char* s) {
  p->text[p->length - 1] = 's';
  pay_printf();
  char* to = buffer_room(&f->buffer, SHORT_RESULT);
  f->buffer.n += (size_t)snprintf(to, SHORT_RESULT, p->text, s);
}

static void put_pointer(formatter* f, spec* p) {
  lua_State* L = f->paid.L;
  const void* address = lua_topointer(L, f->arg);
  char text[GUEST_ADDRESS] = "(null)";
  check_spec(L, p, STRING_FLAGS, false);
  if (address != NULL) guest_address(L, address, text);
  put_padded(f, p, text);
}

/* What tostring gives; where that is long and has no precision, as it is. */
static void put_as_string(formatter* f, spec* p) {
  enum { LONG = 100 };
  lua_State* L = f->paid.L;
  size_t n;
  buffer_room(&f->buffer, SHORT_RESULT); /* which cannot grow below a value */
  pay(&f->paid, STEPS_OF_TICK);          /* which can run the guest */
  const char* s = guest_tostring(L, f->arg);
  n = lua_rawlen(L, -1);
  pay(&f->paid, n / BYTES_OF_STEP);
  if (is_bare(p)) {
    luaL_addvalue(&f->buffer);
    return;
  }
  luaL_argcheck(L, n == strlen(s), f->arg, "string contains zeros");
  check_spec(L, p, STRING_FLAGS, true);
  if (n >= LONG && strchr(p->text, '.') == NULL) {
    luaL_addvalue(&f->buffer);
  } else {
    put_padded(f, p, s);
    lua_pop(L, 1);
  }
}

static void put_string(formatter* f, spec* p) {
  lua_State* L = f->paid.L;
  size_t n;
  if (is_bare(p) && lua_type(L, f->arg) == LUA_TSTRING) {
    const char* s = lua_tolstring(L, f->arg, &n);
    put_paid(f, s, n);
  } else if (is_bare(p) && lua_isinteger(L, f->arg)) {
    put_decimal(f, lua_tointeger(L, f->arg));
  } else {
    put_as_string(f, p);
  }
}

/* ---- %q: what Lua reads as the same value ---------------------------------------------------- */

/* 0: the byte stands for itself; else the length of its escape, which is put in `to`. */
static size_t escape(char to[5], char c, char next) {
  unsigned char b = (unsigned char)c;
  if (c == '"' || c == '\\' || c == '\n') {
    to[0] = '\\';
    to[1] = c;
    return 2;
  }
  if (b >= ' ' && b != 127) return 0;
  return (size_t)snprintf(to, 5, is_one_of(DIGITS, next) ? "\\%03d" : "\\%d", b);
}

static void put_quoted(formatter* f, const char* s, size_t n) {
  const char *kept = s, *end = s + n;
  char text[5];
  pay(&f->paid, n / BYTES_LOOKED_AT);
  put_byte(&f->buffer, '"');
  for (; s < end; s++) {
    size_t length = escape(text, s[0], s[1]);
    if (length == 0) continue;
    pay(&f->paid, 1);
    put(&f->buffer, kept, (size_t)(s - kept));
    put(&f->buffer, text, length);
    kept = s + 1;
  }
  put(&f->buffer, kept, (size_t)(end - kept));
  put_byte(&f->buffer, '"');
}

/* Of a float all bits, with a dot whatever the locale has. */
static void put_exact(formatter* f, lua_Number x) {
  char text[SHORT_RESULT];
  if (x != x) {
    put(&f->buffer, "(0/0)", 5);
  } else if (isinf(x)) {
    put(&f->buffer, x > 0 ? "1e9999" : "-1e9999", x > 0 ? 6 : 7);
  } else {
    pay_printf();
    size_t n = (size_t)snprintf(text, sizeof text, "%a", x);
    char* point = memchr(text, *localeconv()->decimal_point, n);
    if (point != NULL) *point = '.';
    put(&f->buffer, text, n);
  }
}

static void put_literal(formatter* f, const spec* p) {
  lua_State* L = f->paid.L;
  size_t n;
  if (!is_bare(p)) luaL_error(L, "specifier '%%q' cannot have modifiers");
  switch (lua_type(L, f->arg)) {
    case LUA_TSTRING: {
      const char* s = lua_tolstring(L, f->arg, &n);
      put_quoted(f, s, n);
      break;
    }
    case LUA_TNUMBER:
      if (!lua_isinteger(L, f->arg))
        put_exact(f, lua_tonumber(L, f->arg));
      else if (lua_tointeger(L, f->arg) == LUA_MININTEGER) /* as decimal it would be a float */
        put(&f->buffer, "0x8000000000000000", 18);
      else
        put_decimal(f, lua_tointeger(L, f->arg));
      break;
    case LUA_TNIL:
    case LUA_TBOOLEAN:
      luaL_tolstring(L, f->arg, NULL);
      luaL_addvalue(&f->buffer);
      break;
    default:
      luaL_argerror(L, f->arg, "value has no literal form");
  }
}

/* ---- format ---------------------------------------------------------------------------------- */

static void convert(formatter* f, spec* p) {
  switch (p->conversion) {
    case 'c':
      put_character(f, p);
      break;
    case 'd':
    case 'i':
      put_integer(f, p, INTEGER_FLAGS);
      break;
    case 'u':
      put_integer(f, p, UNSIGNED_FLAGS);
      break;
    case 'o':
    case 'x':
    case 'X':
      put_integer(f, p, HEXADECIMAL_FLAGS);
      break;
    case 'a':
    case 'A':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
      put_float(f, p, SHORT_RESULT);
      break;
    case 'f':
      put_float(f, p, LONG_RESULT);
      break;
    case 'p':
      put_pointer(f, p);
      break;
    case 'q':
      put_literal(f, p);
      break;
    case 's':
      put_string(f, p);
      break;
    default:
      luaL_error(f->paid.L, "invalid conversion '%s' to 'format'", p->text);
  }
}

int string_format(lua_State* L) {
  int top = lua_gettop(L);
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n), *end = s + n;
  formatter f;
  f.paid = purse_new(L);
  f.arg = 1;
  luaL_buffinit(L, &f.buffer);
  pay(&f.paid, n / BYTES_OF_STEP);
  for (const char* p; (p = memchr(s, '%', (size_t)(end - s))) != NULL;) {
    put_paid(&f, s, (size_t)(p - s));
    pay(&f.paid, 1);
    s = p + 2;
    if (p[1] == '%') {
      put_byte(&f.buffer, '%');
      continue;
    }
    spec item;
    if (++f.arg > top) return luaL_argerror(L, f.arg, "no value");
    s = read_spec(L, p + 1, &item);
    convert(&f, &item);
  }
  put_paid(&f, s, (size_t)(end - s));
  luaL_pushresult(&f.buffer);
  return 1;
}
