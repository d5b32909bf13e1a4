/* tables.h: what Lua 5.4 keeps of a table in memory, for those who have to look: its interface does not tell how
** much work a call will be. That it is so is verified for each state (guest.can_look). */
#ifndef SLUICE_LIB_TABLES_H
#define SLUICE_LIB_TABLES_H

#include <assert.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TYPE_NIL = 0x00, TYPE_FALSE = 0x01, TYPE_INTEGER = 0x03, TYPE_FLOAT = 0x13 };

/* A value; in a node also the type of the key, and how many nodes further the next one is of those
** that began to be looked for at the same place, 0: none. */
typedef struct slot {
  uint64_t value;
  uint8_t type; /* the low 4 bits are 0 for all kinds of nil */
  uint8_t key_type;
  int32_t next;
} slot;

typedef struct node {
  slot value;
  uint64_t key; /* the number, or a pointer */
} node;

/* The array's length is array_limit, or if `flags` say so, the power of 2 that is not below. Nodes
** from `last_free` on are in use; NULL: there are none. In a metatable, bit n of `flags` says that there is
** no metamethod of number n. What Lua collects is a list, from what was made last. */
enum { LIMIT_IS_LESS = 0x80, TM_GC = 2, TM_MODE = 3, TM_CALL = 23, MARKED_FINALIZER = 0x40 };
typedef struct table {
  const struct table* next; /* of whatever type */
  uint8_t type, marked, flags, node_bits;
  uint32_t array_limit;
  slot* array;
  node* nodes;
  node* last_free;
  const struct table* metatable;
  const void* next_gray; /* the collector's */
} table;

enum { EMPTY = 0x10 }; /* the type of slots of a new table */

static_assert(sizeof(slot) == 16 && sizeof(node) == 24, "as in liblua for 64 bits");

static inline bool is_empty(const slot* s) { return (s->type & 0xF) == 0; }
static inline bool may_have(const table* metatable, int event) {
  return metatable != NULL && (metatable->flags >> event & 1) == 0;
}
static inline size_t node_count(const table* t) { return (size_t)1 << t->node_bits; }

static inline size_t array_count(const table* t) {
  uint64_t n = t->array_limit;
  if ((t->flags & LIMIT_IS_LESS) == 0 || n < 2) return n;
  return (size_t)1 << (64 - __builtin_clzll(n - 1));
}

static inline bool has_nodes(const table* t) { return t->last_free != NULL; }

/* count/chains.c: does this liblua look for keys where we do? */
bool chains_are_known(lua_State* L);
/* Where the key's chain begins among 2^bits nodes; not for long texts that were not hashed. */
size_t chains_place(unsigned type, uint64_t value, unsigned bits);

#endif
