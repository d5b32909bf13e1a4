/* known.c: does this liblua keep a state in memory as objects.c and keys.c expect it? */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "demo-lang/keys.h"
#include "demo-lang/objects.h"

static void* probe_alloc(void* arg, void* p, size_t old, size_t size) {
  (void)arg, (void)old;
  if (size != 0) return realloc(p, size);
  free(p);
  return NULL;
}

/* A new table is right: in the list, in the debt, and with the mark that is the current one. */
static bool makes_tables(lua_State* L, const global* g) {
  const object* before = g->all;
  int64_t debt = g->debt;
  lua_newtable(L);
  const table* t = lua_topointer(L, -1);
  bool right = g->all == (const object*)t && t->next == (const table*)before &&
               g->debt - debt == sizeof *t && t->type == objects_empty.type &&
               t->marked == (g->white & WHITES) && t->flags == objects_empty.flags &&
               t->node_bits == 0 && t->array_limit == 0 && t->array == NULL &&
               t->nodes == objects_empty.nodes && t->last_free == NULL && t->metatable == NULL;
  lua_pop(L, 1);
  return right;
}

static bool fills_tables(lua_State* L) {
  enum { ELEMENTS = 3, NODES = 5, COUNT = 8 };
  lua_createtable(L, ELEMENTS, NODES);
  const table* t = lua_topointer(L, -1);
  bool right = t->array_limit == ELEMENTS && node_count(t) == COUNT && has_nodes(t) &&
               t->last_free == t->nodes + COUNT;
  for (size_t i = 0; i < ELEMENTS && right; i++) right = t->array[i].type == EMPTY;
  for (size_t i = 0; i < COUNT && right; i++) {
    const slot* s = &t->nodes[i].value;
    right = s->type == EMPTY && s->key_type == 0 && s->next == 0;
  }
  lua_pop(L, 1);
  return right;
}

/* Keys of many types, in the array of the table at the top: integers that become an array, and others, and texts. */
static void push_keys(lua_State* L, int count) {
  enum { KINDS = 8 };
  lua_createtable(L, count, 0);
  for (int i = 1; i <= count; i++) {
    int kind = i % KINDS;
    if (i > count / 2 || kind < 3)
      lua_pushinteger(L, i <= count / 2 ? i : count - i + 1);
    else if (kind == 3)
      lua_pushinteger(L, (lua_Integer)i * i * -1000003);
    else if (kind == 4)
      lua_pushlightuserdata(L, &objects_empty + i);
    else if (kind == 5)
      lua_newtable(L);
    else
      lua_pushfstring(L, "sluice %d", i);
    lua_rawseti(L, -2, i);
  }
}

static bool are_same_slots(const slot* a, const slot* b) {
  return a->type == b->type && (is_empty(a) || a->value == b->value);
}

static bool are_same(const table* a, const table* b) {
  bool right = array_count(a) == array_count(b) && a->node_bits == b->node_bits &&
               ((a->flags ^ b->flags) & LIMIT_IS_LESS) == 0 &&
               a->last_free - a->nodes == b->last_free - b->nodes;
  for (size_t i = 0; right && i < array_count(a); i++)
    right = are_same_slots(&a->array[i], &b->array[i]);
  for (size_t i = 0; right && has_nodes(a) && i < node_count(a); i++) {
    const node *m = &a->nodes[i], *n = &b->nodes[i];
    right = are_same_slots(&m->value, &n->value) && m->value.key_type == n->value.key_type &&
            m->value.next == n->value.next && (m->value.key_type == 0 || m->key == n->key);
  }
  return right;
}

enum { KEYS = 40 };
static const slot* absent;

/* The texts among the keys are all in `t`, and no keys of `keys`, where liblua finds what it gives then. */
static bool finds_texts(const table* t, const table* keys) {
  bool right = true;
  for (const slot *k = keys->array, *end = k + KEYS; right && k < end; k++) {
    if (k->type != (LUA_TSTRING | COLLECTED)) continue;
    absent = __wrap_luaH_get(keys, k);
    const slot* found = __wrap_luaH_get(t, k);
    right = is_empty(absent) && found->value == k->value && keys_find(keys, k, absent) == absent &&
            keys_find(t, k, absent) == found;
  }
  return right && absent != NULL;
}

/* liblua and keys.c put the same keys into a table each. */
static bool adds_keys(lua_State* L) {
  push_keys(L, KEYS);
  lua_newtable(L);
  lua_newtable(L);
  const table* keys = lua_topointer(L, -3);
  const table* theirs = lua_topointer(L, -2);
  table* ours = (table*)(uintptr_t)lua_topointer(L, -1);
  bool right = true;
  for (int i = 1; right && i <= KEYS; i++) {
    lua_rawgeti(L, -3, i);
    if (lua_rawget(L, -3) == LUA_TNIL) {
      lua_rawgeti(L, -4, i);
      lua_pushvalue(L, -1);
      lua_rawset(L, -5);
      right = keys_add(L, ours, &keys->array[i - 1], &keys->array[i - 1]);
      if (i % 10 == 0) right = right && are_same(theirs, ours);
    }
    lua_pop(L, 1);
  }
  right = right && finds_texts(ours, keys);
  lua_pop(L, 3);
  return right;
}

/* Gives whether all is right; with each white, and while nothing is collected. */
static int look(lua_State* L) {
  const global* g = global_of(L);
  lua_newtable(L);
  memcpy(&objects_empty, lua_topointer(L, -1), sizeof objects_empty);
  bool right = true;
  for (int i = 0; i < 2; i++) {
    int white = g->white & WHITES;
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCSTOP);
    lua_newtable(L); /* a debt is put off by it */
    right =
        right && (g->white & WHITES) == (white ^ WHITES) && makes_tables(L, g) && fills_tables(L);
    lua_gc(L, LUA_GCRESTART);
  }
  lua_pushboolean(L, right && adds_keys(L));
  return 1;
}

static bool is_as_expected(lua_State* L) {
  enum { NEAR = 4096 };
  const global* g = global_of(L);
  if ((uintptr_t)g - (uintptr_t)L > NEAR || g->allocate != probe_alloc ||
      g->arg != &objects_allocate)
    return false;
  lua_pushcfunction(L, look);
  return lua_pcall(L, 0, 1, 0) == LUA_OK && lua_toboolean(L, -1);
}

/* Without memory it stays as it is. */
void objects_begin(lua_Alloc f) {
  lua_State* L = lua_newstate(probe_alloc, &objects_allocate);
  if (L == NULL) return;
  if (is_as_expected(L)) {
    objects_allocate = f;
    keys_absent = absent;
  }
  lua_close(L);
}
