/* keys.h: a new key comes into a table, and texts are looked for, see keys.c. */
#ifndef SLUICE_KEYS_H
#define SLUICE_KEYS_H

#include "demo-lang/objects.h"

/* What luaH_finishset does for a key that is not in the table. False: it is not the usual case, and nothing has
** happened. Without memory, an error. */
bool keys_add(lua_State* L, table* t, const slot* at, const slot* value);

/* What liblua gives for a key that is not there; NULL: that is not known, and liblua's functions look. */
extern const slot* keys_absent;
/* The value of a short text in a table, or `absent`. */
const slot* keys_find(const table* t, const slot* text, const slot* absent);

/* liblua's, in the place of which these are called. */
const slot* __wrap_luaH_get(const table* t, const slot* key);
const slot* __wrap_luaH_getstr(const table* t, const object* text);

#endif
