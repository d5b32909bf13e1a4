/* sort.c: table.sort.
**
** Elements of one kind whose order is Lua's are sorted outside of the table, by merging, with twice 24
** bytes for each; where nobody can see which are compared, and equal ones are the same, so the result is
** the original's. For any others see below. */
#include "demo-lang/lib/sort.h"

#include <locale.h>
#include <string.h>

#include "demo-lang/lib/work.h"

/* ---- Elements of one kind --------------------------------------------------------------------- */

/* Ordered by key, then text. A key is a number's value or the first bytes of a text, as an unsigned
** integer of the same order. */
typedef struct item {
  uint64_t key;
  const char* text; /* the table's; NULL: a number */
  uint32_t length;
  uint32_t place; /* where it was in the table, from 0 */
} item;

enum { SORT_FEW = 32 }; /* so many are sorted on the C stack */
static const uint64_t SIGN = UINT64_C(1) << 63;

static uint64_t key_of_integer(lua_Integer n) { return (uint64_t)n ^ SIGN; }

static uint64_t key_of_float(lua_Number n) {
  uint64_t bits;
  _Static_assert(sizeof n == sizeof bits, "a float has as many bits as a key");
  memcpy(&bits, &n, sizeof bits);
  return (bits & SIGN) != 0 ? ~bits : bits | SIGN;
}

/* A shorter text is as if zeros followed: the length tells it from one that has them. */
static uint64_t key_of_text(const char* s, size_t length) {
  uint64_t bytes = 0;
  memcpy(&bytes, s, length < sizeof bytes ? length : sizeof bytes);
  return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(bytes) : bytes;
}

static bool below_text(lua_State* L, const item* a, const item* b) {
  size_t length = a->length < b->length ? a->length : b->length;
  if (length > sizeof a->key) {
    work_pay(L, length, WORK_BYTES);
    int order = memcmp(a->text, b->text, length);
    if (order != 0) return order < 0;
  }
  return a->length < b->length;
}

static inline bool below(lua_State* L, const item* a, const item* b) {
  guest_tick(L, 1);
  return a->key != b->key ? a->key < b->key : below_text(L, a, b);
}

/* Two sorted runs, side by side, become one. */
static item* merge(lua_State* L, const item* a, const item* b, const item* end, item* to) {
  const item* middle = b;
  if (b < end && below(L, b, b - 1))
    while (a < middle && b < end) *to++ = below(L, b, a) ? *b++ : *a++;
  to = mempcpy(to, a, (size_t)((const char*)middle - (const char*)a));
  return mempcpy(to, b, (size_t)((const char*)end - (const char*)b));
}

static item* after(item* a, size_t n, size_t left) { return a + (n < left ? n : left); }

/* Sorts n items with as many behind them to use; gives the place where they are then. */
static item* merge_sort(lua_State* L, item* items, size_t n) {
  item *from = items, *to = items + n;
  for (size_t width = 1; width < n; width *= 2) {
    item* out = to;
    for (size_t i = 0; i < n; i += 2 * width)
      out =
          merge(L, from + i, after(from + i, width, n - i), after(from + i, 2 * width, n - i), out);
    to = from;
    from = out - n;
  }
  return from;
}

/* Texts are compared byte by byte in the C locale only. */
static bool by_bytes(void) {
  if (uselocale((locale_t)0) != LC_GLOBAL_LOCALE) return false;
  const char* name = setlocale(LC_COLLATE, NULL);
  return strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0;
}

/* The value at the top; false: another kind of number or none, NaN or -0 (equal, but not the same as
** 0), or too long. */
static bool read_number(lua_State* L, item* e, bool integers) {
  if (lua_isinteger(L, -1) != integers) return false;
  if (integers) {
    e->key = key_of_integer(lua_tointeger(L, -1));
    return true;
  }
  lua_Number n = lua_tonumber(L, -1);
  e->key = key_of_float(n);
  return n == n && e->key != ~SIGN;
}

static bool read_text(lua_State* L, item* e) {
  size_t length;
  e->text = lua_tolstring(L, -1, &length);
  e->key = key_of_text(e->text, length);
  e->length = (uint32_t)length;
  return length == e->length;
}

static bool read_items(lua_State* L, item* items, size_t n) {
  int kind = lua_rawgeti(L, 1, 1);
  bool integers = lua_isinteger(L, -1), can = kind != LUA_TSTRING || by_bytes();
  lua_pop(L, 1);
  for (size_t i = 0; i < n && can; i++) {
    items[i] = (item){.place = (uint32_t)i};
    can = lua_rawgeti(L, 1, (lua_Integer)i + 1) == kind &&
          (kind == LUA_TSTRING ? read_text(L, &items[i]) : read_number(L, &items[i], integers));
    lua_pop(L, 1);
  }
  return can;
}

/* Each goes where it belongs, cycle by cycle. */
static void write_items(lua_State* L, item* items, size_t n) {
  for (uint32_t i = 0; i < n; i++) {
    if (items[i].place == i) continue;
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    uint32_t at = i;
    for (uint32_t from; (from = items[at].place) != i; at = from) {
      lua_rawgeti(L, 1, (lua_Integer)from + 1);
      lua_rawseti(L, 1, (lua_Integer)at + 1);
      items[at].place = at;
    }
    lua_rawseti(L, 1, (lua_Integer)at + 1);
    items[at].place = at;
  }
}

static bool sort_in(lua_State* L, item* items, size_t n) {
  if (!read_items(L, items, n)) return false;
  write_items(L, merge_sort(L, items, n), n);
  return true;
}

static __attribute__((noinline)) bool sort_few(lua_State* L, size_t n) {
  item items[2 * SORT_FEW];
  return sort_in(L, items, n);
}

/* Nothing here throws; if the guest is stopped, its task ends, and the memory with it. */
bool sort_alike(lua_State* L, size_t n) {
  int kind = lua_rawgeti(L, 1, (lua_Integer)n);
  lua_pop(L, 1);
  if (kind != LUA_TNUMBER && kind != LUA_TSTRING) return false;
  work_pay(L, n, WORK_VALUES);
  if (n <= SORT_FEW) return sort_few(L, n);
  size_t size = 2 * n * sizeof(item);
  item* items = rt_alloc(size);
  bool can = items != NULL && sort_in(L, items, n);
  rt_free_sized(items, items != NULL ? size : 0);
  return can;
}

/* ---- By an order function, or of any kind -------------------------------------------------------
**
** Quicksort as the original does it, comparison for comparison, so that results and errors are the
** same whatever the order function does: the pivot is the median of the first, the middle and the
** last element, which sorts these three; it waits in the place before the last one; the shorter
** part first, by recursion. After a very uneven partition of a long part the original draws the
** next pivots by the clock. Here they come from a fixed sequence. */

/* Is a < b? Indices of the stack, from the top. Texts may be equal for long. */
static bool less(lua_State* L, int a, int b) {
  bool plain = lua_isnil(L, 2);
  guest_tick(L, plain && lua_type(L, a) == LUA_TSTRING ? 1 + lua_rawlen(L, a) / WORK_BYTES : 1);
  if (plain) return lua_compare(L, a, b, LUA_OPLT);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, a - 1);
  lua_pushvalue(L, b - 2);
  lua_call(L, 2, 1);
  bool result = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return result;
}

/* Element i becomes the value at the top, j the one below. */
static void set_two(lua_State* L, lua_Integer i, lua_Integer j) {
  lua_seti(L, 1, i);
  lua_seti(L, 1, j);
}

/* Orders the first and the last element. */
static void order_ends(lua_State* L, lua_Integer low, lua_Integer high) {
  lua_geti(L, 1, low);
  lua_geti(L, 1, high);
  if (less(L, -1, -2))
    set_two(L, low, high);
  else
    lua_pop(L, 2);
}

/* Orders one between them, too. */
static void order_middle(lua_State* L, lua_Integer low, lua_Integer middle, lua_Integer high) {
  lua_geti(L, 1, middle);
  lua_geti(L, 1, low);
  if (less(L, -2, -1)) {
    set_two(L, middle, low);
    return;
  }
  lua_pop(L, 1);
  lua_geti(L, 1, high);
  if (less(L, -1, -2))
    set_two(L, middle, high);
  else
    lua_pop(L, 2);
}

/* The pivot is at the top of the stack, and element high - 1. Gives the place where it ends up; no
** element below that is above it, no element behind is below it. Only an order function that
** contradicts itself runs out of the range. */
static lua_Integer partition(lua_State* L, lua_Integer low, lua_Integer high) {
  lua_Integer i = low, j = high - 1;
  for (;;) {
    for (lua_geti(L, 1, ++i); less(L, -1, -2); lua_geti(L, 1, ++i)) {
      if (i == high - 1) luaL_error(L, "invalid order function for sorting");
      lua_pop(L, 1);
    }
    for (lua_geti(L, 1, --j); less(L, -3, -1); lua_geti(L, 1, --j)) {
      if (j < i) luaL_error(L, "invalid order function for sorting");
      lua_pop(L, 1);
    }
    if (j < i) break;
    set_two(L, i, j);
  }
  lua_pop(L, 1);
  set_two(L, high - 1, i);
  return i;
}

/* 0 is the middle; another number somewhere in the middle half of a long part. */
static lua_Integer pivot_of(lua_Integer low, lua_Integer high, unsigned random) {
  enum { LONG = 100 };
  lua_Integer quarter = (high - low) / 4;
  if (random == 0 || high - low < LONG) return (low + high) / 2;
  return low + quarter + random % (2 * quarter);
}

static void sort(lua_State* L, lua_Integer low, lua_Integer high, unsigned random) {
  enum { UNEVEN = 128 };
  while (low < high) {
    order_ends(L, low, high);
    if (high - low == 1) return;
    lua_Integer middle = pivot_of(low, high, random), shorter;
    order_middle(L, low, middle, high);
    if (high - low == 2) return;
    lua_geti(L, 1, middle);
    lua_pushvalue(L, -1);
    lua_geti(L, 1, high - 1);
    set_two(L, middle, high - 1);
    middle = partition(L, low, high);
    if (middle - low < high - middle) {
      sort(L, low, middle - 1, random);
      shorter = middle - low;
      low = middle + 1;
    } else {
      sort(L, middle + 1, high, random);
      shorter = high - middle;
      high = middle - 1;
    }
    if ((high - low) / UNEVEN > shorter) random = random * 1664525 + 1013904223;
  }
}

void sort_by_order(lua_State* L, lua_Integer n) { sort(L, 1, n, 0); }
