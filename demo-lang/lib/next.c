/* next.c: `next`, which pays for the empty slots that it passes.
**
** A table has an array of values and an array of nodes, whose number is a power of 2; what is
** removed leaves an empty slot until the table grows again. `next` walks the slots from the one of
** the key that it is given, so one call can pass millions. Lua's API does not tell how many. So
** they are looked at first, as Lua 5.4 keeps them in memory; that it does is verified for each state
** when the library opens. Otherwise each call pays for a walk through all that the heap could hold.
**
** The key's node is known from the call before, which remembers the node that comes next, for some
** tables at a time. Otherwise all nodes are searched and paid for. Tables with few slots pay
** nothing, nor does a state that is not counted. */
#include "demo-lang/lib/base.h"
#include "demo-lang/lib/tables.h"
#include "demo-lang/lib/work.h"

#include <string.h>

/* ---- What Lua keeps of a table --------------------------------------------------------------- */

/* Does this liblua keep tables so? Known numbers must be where they are expected. */
static bool is_as_expected(lua_State* L) {
  enum { ELEMENTS = 4, BITS = 3, VALUE = 0x51CE, KEY = 0x1234567 };
  lua_createtable(L, ELEMENTS, 1 << BITS);
  const table* t = lua_topointer(L, -1);
  bool right = t->node_bits == BITS && t->array_limit == ELEMENTS;
  if (right) {
    lua_pushinteger(L, VALUE);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, VALUE);
    lua_rawseti(L, -2, KEY);
    size_t found = 0, full = 0;
    for (size_t i = 0; i < 1 << BITS; i++) {
      if (is_empty(&t->nodes[i].value)) continue;
      full++;
      if (t->nodes[i].key == KEY && t->nodes[i].value.value == VALUE) found++;
    }
    right = found == 1 && full == 1 && t->array[0].value == VALUE && !is_empty(&t->array[0]) &&
            is_empty(&t->array[1]) && is_empty(&t->array[ELEMENTS - 1]);
  }
  lua_pop(L, 1);
  return right;
}

/* ---- Where traversals are -------------------------------------------------------------------- */

/* A place is a guess: its table may have died and its node may hold another key, so the key is
** compared. The upvalue of `next`. */
typedef struct traversals {
  unsigned last, oldest; /* places: the one used last; to be replaced next */
  struct {
    const table* table;
    size_t at; /* of its nodes */
  } places[16];
} traversals;

enum { PLACES = sizeof((traversals*)NULL)->places / sizeof((traversals*)NULL)->places[0] };

static bool find_place(traversals* all, const table* t) {
  if (all->places[all->last].table == t) return true;
  for (unsigned i = 0; i < PLACES; i++) {
    if (all->places[i].table != t) continue;
    all->last = i;
    return true;
  }
  return false;
}

static void remember(traversals* all, const table* t, size_t at) {
  if (!find_place(all, t)) {
    all->last = all->oldest;
    all->oldest = (all->oldest + 1) % PLACES;
  }
  all->places[all->last].table = t;
  all->places[all->last].at = at;
}

/* The key at index as nodes have it. Userdata begin some bytes before what Lua tells. */
typedef struct key {
  uint64_t bits, less;
} key;

static key key_at(lua_State* L, int index) {
  enum { USERDATA_HEADER = 64 };
  key k = {0, 0};
  if (lua_isinteger(L, index)) {
    k.bits = (uint64_t)lua_tointeger(L, index);
  } else if (lua_type(L, index) == LUA_TNUMBER) {
    lua_Number x = lua_tonumber(L, index);
    memcpy(&k.bits, &x, sizeof x);
  } else {
    k.bits = (uint64_t)(uintptr_t)lua_topointer(L, index);
    if (lua_type(L, index) == LUA_TUSERDATA) k.less = USERDATA_HEADER;
  }
  return k;
}

static inline bool is_key(const node* n, key k) { return k.bits - n->key <= k.less; }

/* The node of the key at index, or the number of nodes if there is none that looks so. */
static size_t node_of(lua_State* L, int index, traversals* all, const table* t, meter* m) {
  key k = key_at(L, index);
  size_t n = node_count(t), i = 0;
  if (find_place(all, t) && all->places[all->last].at < n &&
      is_key(&t->nodes[all->places[all->last].at], k))
    return all->places[all->last].at;
  for (; i < n && !is_key(&t->nodes[i], k); i++) meter_step(m);
  return i;
}

/* ---- next ------------------------------------------------------------------------------------ */

/* Pays for the slots from the one of the key at index 2 to the next that is in use. */
static void pay_slots(lua_State* L, traversals* all, const table* t) {
  size_t array = array_count(t), nodes = node_count(t), i = 0;
  lua_Integer k = lua_isinteger(L, 2) ? lua_tointeger(L, 2) : 0;
  meter m = meter_of(L, WORK_SLOTS, false);
  if (lua_isnil(L, 2) || (k >= 1 && (lua_Unsigned)k <= array)) {
    for (i = (size_t)k; i < array; i++) {
      if (!is_empty(&t->array[i])) return;
      meter_step(&m);
    }
    i = 0;
  } else {
    i = node_of(L, 2, all, t, &m) + 1;
  }
  for (; i < nodes && is_empty(&t->nodes[i].value); i++) meter_step(&m);
  if (i < nodes) remember(all, t, i);
}

static void pay_walk(lua_State* L) {
  enum { FEW_BITS = 8 };
  const guest* g = guest_of(L);
  const table* t = lua_topointer(L, 1);
  if (!g->can_look)
    work_pay(L, rt_bytes(g->task) / sizeof(slot), WORK_SLOTS);
  else if (t->node_bits > FEW_BITS || t->array_limit > 1 << FEW_BITS)
    pay_slots(L, lua_touserdata(L, lua_upvalueindex(1)), t);
}

static inline int next(lua_State* L, bool pays) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_gettop(L) != 2) lua_settop(L, 2);
  if (pays) pay_walk(L);
  if (lua_next(L, 1)) return 2;
  lua_pushnil(L);
  return 1;
}

static int free_next(lua_State* L) { return next(L, false); }
static int paying_next(lua_State* L) { return next(L, true); }

void base_push_next(lua_State* L) {
  guest* g = guest_of(L);
  if (!g->counted) {
    work_push_closure(L, free_next);
    return;
  }
  traversals* all = lua_newuserdatauv(L, sizeof *all, 0);
  memset(all, 0, sizeof *all);
  g->can_look = is_as_expected(L) && chains_are_known(L);
  lua_pushcclosure(L, paying_next, 1);
}

/* ---- Names of functions -------------------------------------------------------------------------
**
** For a message that names a function that has no name where it was called, and for a trace, Lua
** walks through all that is in the loaded modules, _G among them. Nobody is told which error did
** so; so all that are caught pay, some at a time and afterwards, for what a guest has there beyond the
** usual. */

uint64_t base_table_slots(lua_State* L, int index) {
  const table* t = lua_topointer(L, index);
  return guest_of(L)->can_look ? array_count(t) + node_count(t)
                               : rt_bytes(guest_of(L)->task) / sizeof(slot);
}

void guest_pay_names(lua_State* L, unsigned n) {
  enum { AT_ONCE = 64, USUAL = 1024 };
  guest* g = guest_of(L);
  g->named += n;
  if (!g->counted || g->named < AT_ONCE) return;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  uint64_t slots = base_table_slots(L, -1);
  work_pay(L, slots, WORK_VALUES);
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
    if (lua_istable(L, -1)) slots += base_table_slots(L, -1);
  lua_pop(L, 1);
  n = g->named;
  g->named = 0;
  if (slots > USUAL) work_pay(L, n * (slots - USUAL), WORK_VALUES);
}
