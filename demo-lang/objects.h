/* objects.h: what Lua allocates and frees most, without detours, see objects.c; and what it keeps of a state in
** memory. */
#ifndef SLUICE_OBJECTS_H
#define SLUICE_OBJECTS_H

#include "demo-lang/lib/tables.h"

typedef struct object {
  struct object* next;
  uint8_t type, marked;
} object;

/* What all coroutines share. What is allocated is `total` and `debt` together; of the two whites that an object
** can have the current one is a bit of `white`. */
typedef struct global {
  lua_Alloc allocate;
  void* arg;
  int64_t total, debt;
  char other[68];
  uint8_t white;
  char more[11];
  object* all; /* what was made last is the first */
} global;

typedef struct coroutine {
  char header[24];
  global* global;
} coroutine;

enum { WHITES = 3 << 3, BLACK = 1 << 5 }; /* of an object's marks */
enum { COLLECTED = 0x40 };                /* of a slot's type: the value is an object */

static_assert(offsetof(global, white) == 100 && offsetof(global, all) == 112, "as in liblua");
static_assert(sizeof(table) == 56, "as in liblua");

/* The allocator function of guests, if this liblua is as expected; NULL: that is not so, or not known. */
extern lua_Alloc objects_allocate;
extern table objects_empty; /* a table that is new */

static inline global* global_of(lua_State* L) { return ((coroutine*)L)->global; }
static inline bool is_known(const global* g) { return g->allocate == objects_allocate; }

/* known.c: the states whose allocator function is `f` get it, if liblua is as expected. Once, before the first
** of them is made. */
void objects_begin(lua_Alloc f);

/* Nodes without a key for a table that has none, or an error. */
void objects_new_nodes(lua_State* L, table* t, unsigned bits);
/* The array of a table without a hint in array_limit becomes larger. False: no memory; nothing has happened. */
bool objects_grow_array(lua_State* L, table* t, uint32_t old, uint32_t size);

/* liblua's, in the place of which these are called. */
void* __wrap_luaC_newobj(lua_State* L, int type, size_t size);
void* __wrap_luaM_malloc_(lua_State* L, size_t size, int tag);
void* __wrap_luaM_realloc_(lua_State* L, void* p, size_t old, size_t size);
void __wrap_luaM_free_(lua_State* L, void* p, size_t size);
table* __wrap_luaH_new(lua_State* L);
void __wrap_luaH_free(lua_State* L, table* t);
void __wrap_luaH_resize(lua_State* L, table* t, unsigned array, unsigned nodes);
void __wrap_luaH_resizearray(lua_State* L, table* t, unsigned array);
_Noreturn void luaD_throw(lua_State* L, int status);

#endif
