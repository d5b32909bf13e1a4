/* keys.h: a new key comes into a table, see keys.c. */
#ifndef SLUICE_KEYS_H
#define SLUICE_KEYS_H

#include "demo-lang/lib/tables.h"

/* What luaH_finishset does for a key that is not in the table. False: it is not the usual case, and nothing has
** happened. Without memory, an error. */
bool keys_add(lua_State* L, table* t, const slot* at, const slot* value);

#endif
