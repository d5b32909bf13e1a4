/* pack.c: string.pack, packsize and unpack: numbers and strings as bytes of a given layout. */
#include <limits.h>

#include "demo-lang/lib/strings.h"

enum { LONGEST_INTEGER = 16, INTEGER = sizeof(lua_Integer), BYTE_BITS = 8 };
enum { NATIVE_LITTLE = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ };
enum {
  NATIVE_ALIGN = _Alignof(union {
    lua_Number n;
    double d;
    void* p;
    lua_Integer i;
    long l;
  })
};

/* How far the format was read, and what it said so far. */
typedef struct layout {
  purse paid;
  const char* next;
  bool little;
  size_t max_align;
  size_t total; /* bytes of the items so far */
} layout;

/* An item of the format. */
typedef struct option {
  enum { SIGNED, UNSIGNED, FLOAT, DOUBLE, CHARS, COUNTED, ENDED, PAD, ALIGN, NOTHING } kind;
  size_t size;    /* of a counted string: of its count */
  size_t padding; /* before it */
} option;

static layout layout_new(lua_State* L, const char* format) {
  return (layout){purse_new(L), format, NATIVE_LITTLE, 1, 0};
}

/* ---- Reading the format ---------------------------------------------------------------------- */

static bool is_digit(char c) { return (unsigned char)(c - '0') < 10; }

/* A number that fits an int; further digits are left to be misunderstood. */
static int read_number(layout* l, int otherwise) {
  int n = 0;
  if (!is_digit(*l->next)) return otherwise;
  do n = n * 10 + (*l->next++ - '0');
  while (is_digit(*l->next) && n <= (INT_MAX - 9) / 10);
  return n;
}

static size_t read_size(layout* l, size_t otherwise) {
  int n = read_number(l, (int)otherwise);
  if (n < 1 || n > LONGEST_INTEGER)
    luaL_error(l->paid.L, "integral size (%d) out of limits [1,%d]", n, LONGEST_INTEGER);
  return (size_t)n;
}

static option read_chars(layout* l) {
  int n = read_number(l, -1);
  if (n < 0) luaL_error(l->paid.L, "missing size for format option 'c'");
  return (option){CHARS, (size_t)n, 0};
}

/* An option that is about the layout itself. */
static option read_setting(layout* l, char c) {
  switch (c) {
    case ' ':
      break;
    case '<':
      l->little = true;
      break;
    case '>':
      l->little = false;
      break;
    case '=':
      l->little = NATIVE_LITTLE;
      break;
    case '!':
      l->max_align = read_size(l, NATIVE_ALIGN);
      break;
    default:
      luaL_error(l->paid.L, "invalid format option '%c'", c);
  }
  return (option){NOTHING, 0, 0};
}

static option read_option(layout* l) {
  char c = *l->next++;
  switch (c) {
    case 'b':
      return (option){SIGNED, sizeof(char), 0};
    case 'B':
      return (option){UNSIGNED, sizeof(char), 0};
    case 'h':
      return (option){SIGNED, sizeof(short), 0};
    case 'H':
      return (option){UNSIGNED, sizeof(short), 0};
    case 'l':
      return (option){SIGNED, sizeof(long), 0};
    case 'L':
      return (option){UNSIGNED, sizeof(long), 0};
    case 'j':
      return (option){SIGNED, sizeof(lua_Integer), 0};
    case 'J':
      return (option){UNSIGNED, sizeof(lua_Integer), 0};
    case 'T':
      return (option){UNSIGNED, sizeof(size_t), 0};
    case 'i':
      return (option){SIGNED, read_size(l, sizeof(int)), 0};
    case 'I':
      return (option){UNSIGNED, read_size(l, sizeof(int)), 0};
    case 'f':
      return (option){FLOAT, sizeof(float), 0};
    case 'n':
    case 'd':
      return (option){DOUBLE, sizeof(double), 0};
    case 's':
      return (option){COUNTED, read_size(l, sizeof(size_t)), 0};
    case 'c':
      return read_chars(l);
    case 'z':
      return (option){ENDED, 0, 0};
    case 'x':
      return (option){PAD, 1, 0};
    case 'X':
      return (option){ALIGN, 0, 0};
    default:
      return read_setting(l, c);
  }
}

/* To what X aligns: the size of the option that follows, which is read for that only. */
static size_t read_align(layout* l) {
  option o = {NOTHING, 0, 0};
  if (*l->next != '\0') o = read_option(l);
  if (o.kind == CHARS || o.size == 0)
    luaL_argerror(l->paid.L, 1, "invalid next option for option 'X'");
  return o.size;
}

/* The next option, with the padding that aligns it. */
static option next_option(layout* l) {
  pay(&l->paid, 1);
  option o = read_option(l);
  size_t align = o.kind == ALIGN ? read_align(l) : o.size;
  if (align <= 1 || o.kind == CHARS) return o;
  if (align > l->max_align) align = l->max_align;
  if ((align & (align - 1)) != 0)
    luaL_argerror(l->paid.L, 1, "format asks for alignment not power of 2");
  o.padding = (0 - l->total) & (align - 1);
  return o;
}

/* ---- Numbers as bytes ------------------------------------------------------------------------ */

static void write_integer(char* to, lua_Unsigned n, size_t size, bool little, bool negative) {
  for (size_t i = 0; i < size; i++) {
    to[little ? i : size - 1 - i] = (char)(i < INTEGER ? n & UCHAR_MAX : negative ? UCHAR_MAX : 0);
    n >>= BYTE_BITS;
  }
}

/* Bytes beyond a lua_Integer must be no more than its sign. */
static lua_Integer read_integer(lua_State* L, const char* s, size_t size, bool little,
                                bool has_sign) {
  lua_Unsigned n = 0;
  size_t kept = size < INTEGER ? size : INTEGER;
  for (size_t i = kept; i-- > 0;) n = n << BYTE_BITS | (unsigned char)s[little ? i : size - 1 - i];
  if (size < INTEGER && has_sign) {
    lua_Unsigned sign = (lua_Unsigned)1 << (size * BYTE_BITS - 1);
    return (lua_Integer)((n ^ sign) - sign);
  }
  int beyond = has_sign && (lua_Integer)n < 0 ? UCHAR_MAX : 0;
  for (size_t i = kept; i < size; i++)
    if ((unsigned char)s[little ? i : size - 1 - i] != beyond)
      luaL_error(L, "%d-byte integer does not fit into Lua Integer", (int)size);
  return (lua_Integer)n;
}

/* Copies a float, between this machine's order of bytes and the layout's. */
static void copy_float(char* to, const char* from, size_t size, bool little) {
  bool same = little == NATIVE_LITTLE;
  for (size_t i = 0; i < size; i++) to[i] = from[same ? i : size - 1 - i];
}

static void write_float(char* to, lua_Number x, size_t size, bool little) {
  float f = (float)x;
  copy_float(to, size == sizeof f ? (const char*)&f : (const char*)&x, size, little);
}

static lua_Number read_float(const char* s, size_t size, bool little) {
  float f;
  lua_Number x;
  if (size == sizeof x) {
    copy_float((char*)&x, s, size, little);
    return x;
  }
  copy_float((char*)&f, s, size, little);
  return (lua_Number)f;
}

/* ---- pack ------------------------------------------------------------------------------------ */

typedef struct packer {
  layout layout;
  luaL_Buffer buffer;
} packer;

static void put_zeros(packer* k, size_t n) {
  if (n == 0) return;
  pay(&k->layout.paid, n / BYTES_OF_STEP);
  memset(buffer_room(&k->buffer, n), 0, n);
  k->buffer.n += n;
}

static void put_paid(packer* k, const char* s, size_t n) {
  pay(&k->layout.paid, n / BYTES_OF_STEP);
  put(&k->buffer, s, n);
}

static void put_integer(packer* k, size_t size, lua_Integer n, bool negative) {
  write_integer(buffer_room(&k->buffer, size), (lua_Unsigned)n, size, k->layout.little, negative);
  k->buffer.n += size;
}

static void pack_integer(packer* k, const option* o, int arg) {
  lua_State* L = k->layout.paid.L;
  lua_Integer n = luaL_checkinteger(L, arg);
  if (o->size < INTEGER && o->kind == SIGNED) {
    lua_Integer limit = (lua_Integer)1 << (o->size * BYTE_BITS - 1);
    luaL_argcheck(L, -limit <= n && n < limit, arg, "integer overflow");
  } else if (o->size < INTEGER) {
    luaL_argcheck(L, (lua_Unsigned)n >> (o->size * BYTE_BITS) == 0, arg, "unsigned overflow");
  }
  put_integer(k, o->size, n, o->kind == SIGNED && n < 0);
}

static void pack_float(packer* k, const option* o, int arg) {
  lua_Number x = guest_number(k->layout.paid.L, luaL_checknumber(k->layout.paid.L, arg));
  write_float(buffer_room(&k->buffer, o->size), x, o->size, k->layout.little);
  k->buffer.n += o->size;
}

static void pack_string(packer* k, const option* o, int arg) {
  lua_State* L = k->layout.paid.L;
  size_t n;
  const char* s = luaL_checklstring(L, arg, &n);
  switch (o->kind) {
    case CHARS:
      luaL_argcheck(L, n <= o->size, arg, "string longer than given size");
      put_paid(k, s, n);
      put_zeros(k, o->size - n);
      return;
    case COUNTED:
      luaL_argcheck(L, o->size >= sizeof n || n >> (o->size * BYTE_BITS) == 0, arg,
                    "string length does not fit in given size");
      put_integer(k, o->size, (lua_Integer)n, false);
      put_paid(k, s, n);
      k->layout.total += n;
      return;
    default:
      pay(&k->layout.paid, n / BYTES_OF_STEP);
      luaL_argcheck(L, strlen(s) == n, arg, "string contains zeros");
      put_paid(k, s, n + 1);
      k->layout.total += n + 1;
  }
}

/* False: the option takes no argument. */
static bool pack_argument(packer* k, const option* o, int arg) {
  switch (o->kind) {
    case SIGNED:
    case UNSIGNED:
      pack_integer(k, o, arg);
      return true;
    case FLOAT:
    case DOUBLE:
      pack_float(k, o, arg);
      return true;
    case CHARS:
    case COUNTED:
    case ENDED:
      pack_string(k, o, arg);
      return true;
    default:
      put_zeros(k, o->size);
      return false;
  }
}

/* A nil behind the arguments, where the first one that is missing would be. */
int string_pack(lua_State* L) {
  packer k;
  int arg = 2;
  k.layout = layout_new(L, luaL_checkstring(L, 1));
  lua_pushnil(L);
  luaL_buffinit(L, &k.buffer);
  while (*k.layout.next != '\0') {
    option o = next_option(&k.layout);
    k.layout.total += o.padding + o.size;
    put_zeros(&k, o.padding);
    if (pack_argument(&k, &o, arg)) arg++;
  }
  luaL_pushresult(&k.buffer);
  return 1;
}

int string_packsize(lua_State* L) {
  layout l = layout_new(L, luaL_checkstring(L, 1));
  while (*l.next != '\0') {
    option o = next_option(&l);
    luaL_argcheck(L, o.kind != COUNTED && o.kind != ENDED, 1, "variable-length format");
    size_t size = o.padding + o.size;
    luaL_argcheck(L, l.total <= INT_MAX - size, 1, "format result too large");
    l.total += size;
  }
  lua_pushinteger(L, (lua_Integer)l.total);
  return 1;
}

/* ---- unpack ---------------------------------------------------------------------------------- */

/* The bytes that are left, `done` of them in front of s. */
typedef struct unpacker {
  layout layout;
  const char* data;
  size_t length, done;
} unpacker;

static void push_paid(unpacker* u, size_t n) {
  pay(&u->layout.paid, n / BYTES_OF_STEP);
  lua_pushlstring(u->layout.paid.L, u->data + u->done, n);
  u->done += n;
}

static lua_Integer take_integer(unpacker* u, size_t size, bool has_sign) {
  const char* s = u->data + u->done;
  u->done += size;
  return read_integer(u->layout.paid.L, s, size, u->layout.little, has_sign);
}

static void unpack_counted(unpacker* u, const option* o) {
  size_t n = (size_t)take_integer(u, o->size, false);
  luaL_argcheck(u->layout.paid.L, n <= u->length - u->done, 2, "data string too short");
  push_paid(u, n);
}

static void unpack_ended(unpacker* u) {
  const char* s = u->data + u->done;
  const char* end = NULL;
  for (const char* from = s; end == NULL;) {
    size_t left = (size_t)(u->data + u->length - from), window = left < WINDOW ? left : WINDOW;
    pay(&u->layout.paid, window / BYTES_OF_STEP);
    end = memchr(from, '\0', window);
    from += window;
    luaL_argcheck(u->layout.paid.L, end != NULL || window < left, 2,
                  "unfinished string for format 'z'");
  }
  push_paid(u, (size_t)(end - s));
  u->done++;
}

/* False: the option is no value. */
static bool unpack_value(unpacker* u, const option* o) {
  lua_State* L = u->layout.paid.L;
  switch (o->kind) {
    case SIGNED:
    case UNSIGNED:
      lua_pushinteger(L, take_integer(u, o->size, o->kind == SIGNED));
      return true;
    case FLOAT:
    case DOUBLE:
      lua_pushnumber(L, read_float(u->data + u->done, o->size, u->layout.little));
      u->done += o->size;
      return true;
    case CHARS:
      push_paid(u, o->size);
      return true;
    case COUNTED:
      unpack_counted(u, o);
      return true;
    case ENDED:
      unpack_ended(u);
      return true;
    default:
      u->done += o->size;
      return false;
  }
}

int string_unpack(lua_State* L) {
  unpacker u = {.layout = layout_new(L, luaL_checkstring(L, 1))};
  u.data = luaL_checklstring(L, 2, &u.length);
  u.done = first_position(luaL_optinteger(L, 3, 1), u.length) - 1;
  luaL_argcheck(L, u.done <= u.length, 3, "initial position out of string");
  int n = 0;
  while (*u.layout.next != '\0') {
    u.layout.total = u.done;
    option o = next_option(&u.layout);
    luaL_argcheck(L, o.padding + o.size <= u.length - u.done, 2, "data string too short");
    u.done += o.padding;
    luaL_checkstack(L, 2, "too many results");
    if (unpack_value(&u, &o)) n++;
  }
  lua_pushinteger(L, (lua_Integer)u.done + 1);
  return n + 1;
}
