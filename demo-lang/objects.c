/* objects.c: what Lua allocates and frees most, without detours.
**
** An object is made by luaC_newobj, which calls luaM_malloc_, which calls the state's allocator function; one is freed
** by luaM_free_, which calls that; a table, of up to three blocks, by luaH_free. Here is all of that in one function for
** each, where the linker sends liblua's calls (see steps.h), for our states and blocks that rt_alloc_quick has at hand.
** Otherwise liblua's own function is called, before anything has happened. So are those for a table that gets its first
** array and nodes. Blocks, ticks and bytes are the same in either case.
**
** What they keep of a state in memory is verified once, in a state for that; else nothing is done here. */
#include "demo-lang/objects.h"

#include <stdlib.h>
#include <string.h>

#include "demo-lang/guest.h"
#include "demo-lang/lib/tables.h"

typedef struct object {
  struct object* next;
  uint8_t type, marked;
} object;

/* What all coroutines share. What is allocated is `total` and `debt` together; of the two whites an object can have the
** current one is a bit of `white`. */
typedef struct global {
  lua_Alloc allocate;
  void* arg;
  int64_t total, debt;
  char other[68];
  uint8_t white;
  char more[11];
  object* all; /* what was made last is the first */
} global;

typedef struct state {
  char header[24];
  global* global;
} state;

enum { WHITES = 3 << 3, EMPTY = 0x10 }; /* the type of what is empty */

static_assert(offsetof(global, white) == 100 && offsetof(global, all) == 112, "as in liblua");
static_assert(sizeof(table) == 56, "as in liblua");

/* The allocator function of states that are as expected; NULL: that is not known. */
static lua_Alloc known;
static table empty; /* what a table is when it is new */

static inline global* global_of(lua_State* L) { return ((state*)L)->global; }
static inline bool is_ours(const global* g) { return g->allocate == known; }

/* ---- Objects --------------------------------------------------------------------------------- */

void* __real_luaC_newobj(lua_State* L, int type, size_t size);
void* __wrap_luaC_newobj(lua_State* L, int type, size_t size);
void* __wrap_luaC_newobj(lua_State* L, int type, size_t size) {
  global* g = global_of(L);
  object* o = is_ours(g) ? rt_alloc_quick(size) : NULL;
  if (o == NULL) return __real_luaC_newobj(L, type, size);
  g->debt += (int64_t)size;
  o->type = (uint8_t)type;
  o->marked = g->white & WHITES;
  o->next = g->all;
  g->all = o;
  return o;
}

void* __real_luaM_malloc_(lua_State* L, size_t size, int tag);
void* __wrap_luaM_malloc_(lua_State* L, size_t size, int tag);
void* __wrap_luaM_malloc_(lua_State* L, size_t size, int tag) {
  global* g = global_of(L);
  void* p = is_ours(g) ? rt_alloc_quick(size) : NULL;
  if (p == NULL) return __real_luaM_malloc_(L, size, tag);
  g->debt += (int64_t)size;
  return p;
}

void __real_luaM_free_(lua_State* L, void* p, size_t size);
void __wrap_luaM_free_(lua_State* L, void* p, size_t size);
void __wrap_luaM_free_(lua_State* L, void* p, size_t size) {
  global* g = global_of(L);
  if (!is_ours(g)) {
    __real_luaM_free_(L, p, size);
    return;
  }
  g->debt -= (int64_t)size;
  rt_free_sized(p, size);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

table* __real_luaH_new(lua_State* L);
table* __wrap_luaH_new(lua_State* L);
table* __wrap_luaH_new(lua_State* L) {
  global* g = global_of(L);
  table* t = is_ours(g) ? rt_alloc_quick(sizeof *t) : NULL;
  if (t == NULL) return __real_luaH_new(L);
  g->debt += (int64_t)sizeof *t;
  *t = empty;
  t->marked = g->white & WHITES;
  t->next = (table*)g->all;
  g->all = (object*)t;
  return t;
}

static inline bool has_nodes(const table* t) { return t->last_free != NULL; }

void __real_luaH_free(lua_State* L, table* t);
void __wrap_luaH_free(lua_State* L, table* t);
void __wrap_luaH_free(lua_State* L, table* t) {
  global* g = global_of(L);
  if (!is_ours(g)) {
    __real_luaH_free(L, t);
    return;
  }
  size_t nodes = has_nodes(t) ? node_count(t) * sizeof(node) : 0;
  size_t array = array_count(t) * sizeof(slot);
  g->debt -= (int64_t)(sizeof *t + nodes + array);
  if (nodes != 0) rt_free_sized((void*)t->nodes, nodes);
  if (array != 0) rt_free_sized((void*)t->array, array);
  rt_free_sized(t, sizeof *t);
}

static inline slot* new_array(lua_State* L, uint32_t count) {
  slot* array = __wrap_luaM_malloc_(L, count * sizeof *array, 0);
  for (uint32_t i = 0; i < count; i++) array[i].type = EMPTY;
  return array;
}

static inline node* new_nodes(lua_State* L, size_t count) {
  node* nodes = __wrap_luaM_malloc_(L, count * sizeof *nodes, 0);
  for (size_t i = 0; i < count; i++) {
    nodes[i].value.type = EMPTY;
    nodes[i].value.key_type = 0;
    nodes[i].value.next = 0;
  }
  return nodes;
}

/* The nodes are the table's before the array is asked for, which may be an error. */
static void fill(lua_State* L, table* t, uint32_t array, uint32_t nodes) {
  if (nodes != 0) {
    unsigned bits = nodes > 1 ? 32 - (unsigned)__builtin_clz(nodes - 1) : 0;
    t->nodes = new_nodes(L, (size_t)1 << bits);
    t->node_bits = (uint8_t)bits;
    t->last_free = t->nodes + ((size_t)1 << bits);
  }
  if (array != 0) {
    t->array = new_array(L, array);
    t->array_limit = array;
  }
}

void __real_luaH_resize(lua_State* L, table* t, unsigned array, unsigned nodes);
void __wrap_luaH_resize(lua_State* L, table* t, unsigned array, unsigned nodes);
void __wrap_luaH_resize(lua_State* L, table* t, unsigned array, unsigned nodes) {
  enum { MANY = 1 << 16 };
  bool fresh = !has_nodes(t) && t->array_limit == 0 && array <= MANY && nodes <= MANY;
  if (fresh && is_ours(global_of(L)))
    fill(L, t, array, nodes);
  else
    __real_luaH_resize(L, t, array, nodes);
}

/* ---- Is it all as expected? ------------------------------------------------------------------ */

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
               g->debt - debt == sizeof *t && t->type == empty.type &&
               t->marked == (g->white & WHITES) && t->flags == empty.flags && t->node_bits == 0 &&
               t->array_limit == 0 && t->array == NULL && t->nodes == empty.nodes &&
               t->last_free == NULL && t->metatable == NULL;
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

/* Gives whether all is right; with each white, and while nothing is collected. */
static int look(lua_State* L) {
  const global* g = global_of(L);
  lua_newtable(L);
  memcpy(&empty, lua_topointer(L, -1), sizeof empty);
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
  lua_pushboolean(L, right);
  return 1;
}

static bool is_as_expected(lua_State* L) {
  enum { NEAR = 4096 };
  const global* g = global_of(L);
  if ((uintptr_t)g - (uintptr_t)L > NEAR || g->allocate != probe_alloc || g->arg != &known)
    return false;
  lua_pushcfunction(L, look);
  return lua_pcall(L, 0, 1, 0) == LUA_OK && lua_toboolean(L, -1);
}

/* Without memory it stays as it is. */
void objects_begin(lua_Alloc f) {
  lua_State* L = lua_newstate(probe_alloc, &known);
  if (L == NULL) return;
  if (is_as_expected(L)) known = f;
  lua_close(L);
}
