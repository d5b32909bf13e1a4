/* base.h: the parts of the base library that have files of their own. */
#ifndef SLUICE_LIB_BASE_H
#define SLUICE_LIB_BASE_H

#include "demo-lang/guest.h"

/* next.c: pushes `next`. */
void base_push_next(lua_State* L);
/* Slots of the table at index, in use or not, or more. */
uint64_t base_table_slots(lua_State* L, int index);
/* load.c: the functions that load. */
extern const luaL_Reg base_load_functions[];

#endif
