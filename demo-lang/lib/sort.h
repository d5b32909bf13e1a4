/* sort.h: what table.sort does. On the stack: 1 the table, 2 the order function or nil, and room for 38 more. */
#ifndef SLUICE_LIB_SORT_H
#define SLUICE_LIB_SORT_H

#include <lua.h>
#include <stdbool.h>

/* Sorts n elements that have no metamethods in their way, without an order function: if all are
** integers, all floats, or all strings. False: they are not, or there is no memory, and nothing is
** changed. */
bool sort_alike(lua_State* L, size_t n);
/* Whatever they are, in the order given or else that of <. Can throw. */
void sort_by_order(lua_State* L, lua_Integer n);

#endif
