/* count/chains.c: keys that collide, in tables and in Lua's table of short texts.
**
** Lua looks for a key along a chain of nodes. Where a chain begins depends on the key in a way that
** anybody can compute, so a guest can make chains as long as it has keys, and each access takes as
** long. To look at the chain of each access would double the work of tables. So who makes a
** chain longer pays for what it can be used for: the c-th key of one costs (c / 64)^2 ticks. Chains of
** a few keys, as they come by chance, are free.
**
** When a table grows all its keys are put in again, into chains that are others; before that, some
** of the keys are tried. */
#include <math.h>
#include <string.h>

#include "demo-lang/keys.h"
#include "demo-lang/lib/tables.h"
#include "demo-lang/objects.h"
#include "demo-lang/count/steps.h"

/* Types of keys, as Lua has them in nodes. */
enum {
  KEY_FALSE = 0x01,
  KEY_TRUE = 0x11,
  KEY_INTEGER = 0x03,
  KEY_FLOAT = 0x13,
  KEY_SHORT_TEXT = 0x04,
  KEY_LONG_TEXT = 0x14,
  KEY_TYPE = 0x3F, /* without the mark of what is collected */
  ABSENT = 0x20    /* the type of the value of what was not found */
};

/* ---- Where a chain begins -------------------------------------------------------------------- */

static uint32_t hash_float(double x) {
  int exponent;
  double m = frexp(x, &exponent) * 0x1p31;
  if (!(fabs(m) < 0x1p63)) return 0;
  uint32_t hash = (uint32_t)exponent + (uint32_t)(int64_t)m;
  return hash <= INT32_MAX ? hash : ~hash;
}

static uint32_t hash_text(uint64_t text) {
  enum { HASH = 12 };
  uint32_t hash;
  memcpy(&hash, (const char*)(uintptr_t)text + HASH, sizeof hash);
  return hash;
}

size_t chains_place(unsigned type, uint64_t value, unsigned bits) {
  uint64_t mask = ((uint64_t)1 << bits) - 1, odd = mask | 1;
  double x;
  switch (type & KEY_TYPE) {
    case KEY_INTEGER:
      return value % odd;
    case KEY_FLOAT:
      memcpy(&x, &value, sizeof x);
      return hash_float(x) % odd;
    case KEY_SHORT_TEXT:
    case KEY_LONG_TEXT:
      return hash_text(value) & mask;
    case KEY_FALSE:
      return 0;
    case KEY_TRUE:
      return 1 & mask;
    default:
      return (uint32_t)value % odd;
  }
}

/* As in nodes: a whole float is an integer. */
typedef struct key {
  unsigned type;
  uint64_t bits;
} key;

/* ---- A new key ------------------------------------------------------------------------------- */

static void pay_chain(uint64_t length) {
  enum { FREE_CHAIN = 16 };
  if (length > FREE_CHAIN) steps_take(length * length / STEPS);
}

static uint64_t chain_at(const node* n) {
  uint64_t length = 1;
  for (; n->value.next != 0; n += n->value.next) length++;
  return length;
}

static bool is_full(const table* t, size_t place) {
  if (t->last_free == NULL) return true;
  if (is_empty(&t->nodes[place].value)) return false;
  for (const node* n = t->last_free; n > t->nodes;)
    if ((--n)->value.key_type == 0) return false;
  return true;
}

/* ---- A table grows --------------------------------------------------------------------------- */

enum { TRIED = 512, PLACES = 2 * TRIED };

typedef struct trial {
  struct {
    size_t place;
    unsigned keys; /* 0: nothing here */
  } at[PLACES];
} trial;

static unsigned add_to(trial* t, size_t place) {
  size_t i = place % PLACES;
  while (t->at[i].keys != 0 && t->at[i].place != place) i = (i + 1) % PLACES;
  t->at[i].place = place;
  return ++t->at[i].keys;
}

/* Integers by their logarithms: a slice has those above 2^(i - 1), up to 2^i. */
enum { SLICES = 32 };
typedef struct census {
  uint64_t integers[SLICES];
  uint64_t all; /* keys, of any type */
} census;

static void add_integer(census* c, uint64_t k) {
  unsigned slice = k > 1 ? 64 - (unsigned)__builtin_clzll(k - 1) : 0;
  if (k >= 1 && slice < SLICES) c->integers[slice]++;
}

static void count_key(census* c, key k) {
  c->all++;
  if (k.type == KEY_INTEGER) add_integer(c, k.bits);
}

/* With the new key. */
static census count_keys(const table* t, key new) {
  census c = {.all = 0};
  count_key(&c, new);
  for (uint64_t i = array_count(t); i > 0; i--)
    if (!is_empty(&t->array[i - 1])) count_key(&c, (key){KEY_INTEGER, i});
  for (const node *n = t->nodes, *end = n + node_count(t); n < end; n++)
    if (!is_empty(&n->value)) count_key(&c, (key){n->value.key_type, n->key});
  return c;
}

/* What Lua makes of them: the largest array of which more than a half is in use; and for the other keys
** as many nodes as are needed. */
static void find_sizes(const census* c, uint64_t* array, unsigned* node_bits) {
  uint64_t integers = 0, in_array = 0, sum = 0;
  *array = 0;
  for (unsigned i = 0; i < SLICES; i++) integers += c->integers[i];
  for (unsigned i = 0; i < SLICES && integers > (uint64_t)1 << i >> 1; i++) {
    sum += c->integers[i];
    if (sum <= (uint64_t)1 << i >> 1) continue;
    *array = (uint64_t)1 << i;
    in_array = sum;
  }
  uint64_t others = c->all - in_array;
  *node_bits = others > 1 ? 64 - (unsigned)__builtin_clzll(others - 1) : 0;
}

/* Some of the nodes are tried, in an order that would step through all of them, another one each time: by the
** lower half of their address, which repeats where states do. What chains are worth in steps is bounded, as it is
** a guess. */
static void pay_growth(const table* t, key new) {
  enum { SMALL = 10, CHANCE = 3 }; /* keys in one place */
  static const uint64_t golden = 0x9E3779B97F4A7C15;
  if (t->node_bits < SMALL) return;
  trial all = {0};
  uint64_t array, random = ((uint64_t)(uint32_t)(uintptr_t)t->nodes + t->node_bits) * golden;
  unsigned bits;
  census c = count_keys(t, new);
  find_sizes(&c, &array, &bits);
  for (uint64_t i = 0; i < TRIED; i++) {
    const node* n = &t->nodes[((random >> 32) + i * (random | 1)) & (node_count(t) - 1)];
    bool stays = n->value.key_type != KEY_INTEGER || n->key - 1 >= array;
    if (stays && !is_empty(&n->value)) add_to(&all, chains_place(n->value.key_type, n->key, bits));
  }
  double nodes = (double)node_count(t), sum = 0;
  for (unsigned i = 0; i < PLACES; i++) {
    double chain = all.at[i].keys * nodes / TRIED;
    if (all.at[i].keys > CHANCE) sum += chain * chain * chain / (3 * STEPS);
  }
  steps_take(sum < 0x1p38 ? (uint64_t)sum : (uint64_t)1 << 38);
}

/* The key is not in the table, and comes into it. */
static void pay_key(const table* t, key k) {
  size_t place = chains_place(k.type, k.bits, t->node_bits);
  pay_chain(chain_at(&t->nodes[place]));
  if (is_full(t, place)) pay_growth(t, k);
}

static inline bool looks(void) {
  const guest* g = steps_guest();
  return g != NULL && g->can_look;
}

/* ---- liblua's functions ---------------------------------------------------------------------- */

static key key_of(const slot* s) {
  key k = {s->type, s->value};
  double x;
  memcpy(&x, &k.bits, sizeof x);
  if (k.type == KEY_FLOAT && x == floor(x) && fabs(x) < 0x1p63)
    k = (key){KEY_INTEGER, (uint64_t)(int64_t)x};
  return k;
}

void __real_luaH_finishset(lua_State* L, table* t, const slot* at, const slot* found, slot* value);
void __wrap_luaH_finishset(lua_State* L, table* t, const slot* at, const slot* found, slot* value);
void __wrap_luaH_finishset(lua_State* L, table* t, const slot* at, const slot* found, slot* value) {
  bool is_new = found->type == ABSENT;
  if (is_new && !is_empty(at) && looks()) pay_key(t, key_of(at));
  if (!is_new || !is_known(global_of(L)) || !keys_add(L, t, at, value))
    __real_luaH_finishset(L, t, at, found, value);
}

/* What C functions set without metamethods. A long text, which may not have been hashed, is counted when
** it is compared. */
static bool has(const table* t, key k) {
  if (k.type == KEY_INTEGER && k.bits - 1 < array_count(t)) return true;
  const node* n = &t->nodes[chains_place(k.type, k.bits, t->node_bits)];
  for (;; n += n->value.next) {
    if ((n->value.key_type & KEY_TYPE) == (k.type & KEY_TYPE) && n->key == k.bits) return true;
    if (n->value.next == 0) return false;
  }
}

static void pay_new_key(const table* t, key k) {
  if (looks() && !has(t, k)) pay_key(t, k);
}

void __real_luaH_set(lua_State* L, table* t, const slot* at, slot* value);
void __wrap_luaH_set(lua_State* L, table* t, const slot* at, slot* value);
void __wrap_luaH_set(lua_State* L, table* t, const slot* at, slot* value) {
  if (!is_empty(at) && (at->type & KEY_TYPE) != KEY_LONG_TEXT) pay_new_key(t, key_of(at));
  __real_luaH_set(L, t, at, value);
}

void __real_luaH_setint(lua_State* L, table* t, lua_Integer at, slot* value);
void __wrap_luaH_setint(lua_State* L, table* t, lua_Integer at, slot* value);
void __wrap_luaH_setint(lua_State* L, table* t, lua_Integer at, slot* value) {
  pay_new_key(t, (key){KEY_INTEGER, (uint64_t)at});
  __real_luaH_setint(L, t, at, value);
}

/* Short texts are kept in chains of their own; a new one is the first. */
typedef struct text {
  char header[11];
  uint8_t length; /* of a short one */
  uint32_t hash;
  const struct text* next;
} text;

enum { LONGEST_SHORT = 40 };

const text* __real_luaS_newlstr(lua_State* L, const char* s, size_t length);
const text* __wrap_luaS_newlstr(lua_State* L, const char* s, size_t length);
const text* __wrap_luaS_newlstr(lua_State* L, const char* s, size_t length) {
  const text* made = __real_luaS_newlstr(L, s, length);
  if (length <= LONGEST_SHORT && made->next != NULL && looks()) {
    uint64_t chain = 1;
    for (const text* t = made; t->next != NULL; t = t->next) chain++;
    pay_chain(chain);
  }
  return made;
}

/* ---- Are chains where we look for them? ------------------------------------------------------ */

/* The key at the top is put into the table below it. */
static bool is_found(lua_State* L) {
  const table* t = lua_topointer(L, -2);
  key k = {LUA_TTABLE, (uint64_t)(uintptr_t)lua_topointer(L, -1)};
  lua_Number x = lua_tonumber(L, -1);
  if (lua_isinteger(L, -1)) {
    k = (key){KEY_INTEGER, (uint64_t)lua_tointeger(L, -1)};
  } else if (lua_type(L, -1) == LUA_TNUMBER) {
    k.type = KEY_FLOAT;
    memcpy(&k.bits, &x, sizeof x);
  } else if (lua_type(L, -1) == LUA_TSTRING) {
    k = (key){KEY_SHORT_TEXT, (uint64_t)(uintptr_t)lua_tostring(L, -1) - sizeof(text)};
  }
  lua_pushboolean(L, true);
  lua_rawset(L, -3);
  return has(t, k);
}

bool chains_are_known(lua_State* L) {
  enum { BITS = 4, MANY = 60 };
  static const lua_Number floats[] = {0.5, -0.1, 1e300, -1e-300, 1.0 / 3, HUGE_VAL};
  bool right = true;
  lua_createtable(L, 0, 1 << BITS);
  const table* t = lua_topointer(L, -1);
  right = t->last_free == t->nodes + node_count(t);
  for (lua_Integer i = 1; i < MANY && right; i++) {
    lua_pushinteger(L, i * i * i * (i % 2 == 0 ? -1000003 : 30));
    right = is_found(L);
  }
  for (size_t i = 0; i < sizeof floats / sizeof floats[0] && right; i++) {
    lua_pushnumber(L, floats[i]);
    right = is_found(L);
  }
  for (int i = 0; i < MANY && right; i++) {
    if (i % 2 == 0)
      lua_newtable(L);
    else
      lua_pushfstring(L, "sluice %d", i);
    right = is_found(L);
  }
  lua_pop(L, 1);
  return right;
}
