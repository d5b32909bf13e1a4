/* objects.c: what Lua allocates and frees most, without detours.
**
** An object is made by luaC_newobj, which calls luaM_malloc_, which calls the state's allocator function; one
** is freed by luaM_free_, which calls that; a table, of up to three blocks, by luaH_free. Here is all of that
** in one function for each, where the linker sends liblua's calls (see count/steps.h), for our states and
** blocks that rt_alloc_quick has at hand. Otherwise liblua's own function is called, before anything has
** happened. A table gets its first array and nodes here, too. Blocks and bytes are the same in either case, and
** ticks, but that an array which stays as it is is not asked for again.
**
** What they keep of a state in memory is verified once (known.c); else nothing is done here. */
#include "demo-lang/objects.h"

#include "runtime/runtime.h"

lua_Alloc objects_allocate;
table objects_empty;

/* ---- Objects --------------------------------------------------------------------------------- */

/* A block, which Lua counts from here on; NULL: none is at hand. */
static inline void* quick_block(global* g, size_t size) {
  void* p = is_known(g) ? rt_alloc_quick(size) : NULL;
  if (p != NULL) g->debt += (int64_t)size;
  return p;
}

void* __real_luaC_newobj(lua_State* L, int type, size_t size);
void* __wrap_luaC_newobj(lua_State* L, int type, size_t size) {
  global* g = global_of(L);
  object* o = quick_block(g, size);
  if (o == NULL) return __real_luaC_newobj(L, type, size);
  o->type = (uint8_t)type;
  o->marked = g->white & WHITES;
  o->next = g->all;
  g->all = o;
  return o;
}

void* __real_luaM_malloc_(lua_State* L, size_t size, int tag);
void* __wrap_luaM_malloc_(lua_State* L, size_t size, int tag) {
  void* p = quick_block(global_of(L), size);
  return p != NULL ? p : __real_luaM_malloc_(L, size, tag);
}

void* __real_luaM_realloc_(lua_State* L, void* p, size_t old, size_t size);
void* __wrap_luaM_realloc_(lua_State* L, void* p, size_t old, size_t size) {
  global* g = global_of(L);
  void* q = NULL;
  if (is_known(g)) q = p == NULL ? rt_alloc_quick(size) : rt_realloc_quick(p, old, size);
  if (q == NULL) return __real_luaM_realloc_(L, p, old, size);
  g->debt += (int64_t)(size - old);
  return q;
}

void __real_luaM_free_(lua_State* L, void* p, size_t size);
void __wrap_luaM_free_(lua_State* L, void* p, size_t size) {
  global* g = global_of(L);
  if (!is_known(g)) {
    __real_luaM_free_(L, p, size);
    return;
  }
  g->debt -= (int64_t)size;
  rt_free_sized(p, size);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

table* __real_luaH_new(lua_State* L);
table* __wrap_luaH_new(lua_State* L) {
  global* g = global_of(L);
  table* t = quick_block(g, sizeof *t);
  if (t == NULL) return __real_luaH_new(L);
  *t = objects_empty;
  t->marked = g->white & WHITES;
  t->next = (table*)g->all;
  g->all = (object*)t;
  return t;
}

void __real_luaH_free(lua_State* L, table* t);
void __wrap_luaH_free(lua_State* L, table* t) {
  global* g = global_of(L);
  if (!is_known(g)) {
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

void objects_new_nodes(lua_State* L, table* t, unsigned bits) {
  size_t count = (size_t)1 << bits;
  node* nodes = __wrap_luaM_malloc_(L, count * sizeof *nodes, 0);
  for (size_t i = 0; i < count; i++) {
    nodes[i].value.type = EMPTY;
    nodes[i].value.key_type = 0;
    nodes[i].value.next = 0;
  }
  t->nodes = nodes;
  t->node_bits = (uint8_t)bits;
  t->last_free = nodes + count;
}

bool objects_grow_array(lua_State* L, table* t, uint32_t old, uint32_t size) {
  slot* array = __wrap_luaM_realloc_(L, t->array, old * sizeof *array, size * sizeof *array);
  if (array == NULL) return false;
  for (uint32_t i = old; i < size; i++) array[i].type = EMPTY;
  t->array = array;
  t->array_limit = size;
  return true;
}

/* A table without nodes gets some, and an array that is not smaller. The nodes are the table's before the array
** is asked for, which may be an error. */
static void fill(lua_State* L, table* t, uint32_t array, uint32_t nodes) {
  uint32_t old = t->array_limit;
  if (nodes != 0) objects_new_nodes(L, t, nodes > 1 ? 32 - (unsigned)__builtin_clz(nodes - 1) : 0);
  if (array > old && !objects_grow_array(L, t, old, array)) luaD_throw(L, LUA_ERRMEM);
}

static inline bool may_fill(lua_State* L, const table* t, unsigned array, unsigned nodes) {
  enum { MANY = 1 << 24 };
  bool larger = (t->flags & LIMIT_IS_LESS) == 0 && array >= t->array_limit;
  return !has_nodes(t) && larger && array <= MANY && nodes <= MANY && is_known(global_of(L));
}

void __real_luaH_resize(lua_State* L, table* t, unsigned array, unsigned nodes);
void __wrap_luaH_resize(lua_State* L, table* t, unsigned array, unsigned nodes) {
  if (may_fill(L, t, array, nodes))
    fill(L, t, array, nodes);
  else
    __real_luaH_resize(L, t, array, nodes);
}

void __real_luaH_resizearray(lua_State* L, table* t, unsigned array);
void __wrap_luaH_resizearray(lua_State* L, table* t, unsigned array) {
  if (may_fill(L, t, array, 0))
    fill(L, t, array, 0);
  else
    __real_luaH_resizearray(L, t, array);
}
