/* objects.h: objects of Lua's that are made and freed without detours, see objects.c. */
#ifndef SLUICE_OBJECTS_H
#define SLUICE_OBJECTS_H

#include <lua.h>

/* States whose allocator function is `f`, which is as guest.c's, get it, if liblua is as expected. Once, before the first of
** them is made. */
void objects_begin(lua_Alloc f);

#endif
