/* strings.h: the parts of the guest's string library, and how their work is paid.
**
** What is known before it is done costs what work.h says. The rest is counted in steps, of which a tick
** buys 32. A step is about what an instruction of Lua costs: an item of a pattern tried at one place, an
** option of a format, a byte of a set; the bytes that work.h sells for a tick are 32 steps. A call of what
** the guest gave costs a tick. The first 32 steps are free: who calls has paid for that much.
**
** Steps are paid before they are done, but for a window of at most 1 KiB whose use is known only
** afterwards. To pay can be the end of the guest, by a longjmp: nothing of C's may wait to be
** freed. */
#ifndef SLUICE_LIB_STRINGS_H
#define SLUICE_LIB_STRINGS_H

#include <string.h>

#include "demo-lang/lib/work.h"

enum {
  STEPS_OF_TICK = 32,
  BYTES_OF_STEP = WORK_BYTES / STEPS_OF_TICK,   /* that libc moves, scans or compares */
  BYTES_LOOKED_AT = WORK_CHARS / STEPS_OF_TICK, /* one by one */
  WINDOW = 1024
};

/* Steps that are paid and not done; never negative between two calls of `pay`. */
typedef struct purse {
  lua_State* L;
  int64_t steps;
} purse;

static inline purse purse_new(lua_State* L) { return (purse){L, STEPS_OF_TICK}; }

/* Buys the ticks that are missing. */
void purse_fill(purse* w);

static inline void pay(purse* w, size_t steps) {
  w->steps -= (int64_t)steps;
  if (w->steps < 0) purse_fill(w);
}

/* Bytes are equal; pays for those that it compares, but not for the first few. */
bool equal_long(purse* w, const char* a, const char* b, size_t n);
static inline bool equal_bytes(purse* w, const char* a, const char* b, size_t n) {
  return n <= BYTES_OF_STEP ? memcmp(a, b, n) == 0 : equal_long(w, a, b, n);
}

/* ---- Results that grow -----------------------------------------------------------------------
**
** A luaL_Buffer that does not get its memory raises an error at once; here the collector gets its
** chance before. */

/* Bytes that will be asked for: the collector runs if they would not fit in the limit. */
void make_room(lua_State* L, size_t n);
/* luaL_prepbuffsize, when there is no room. */
char* buffer_grow(luaL_Buffer* b, size_t n);

/* luaL_buffinitsize. */
static inline char* buffer_of_size(lua_State* L, luaL_Buffer* b, size_t n) {
  if (n > LUAL_BUFFERSIZE) make_room(L, n);
  return luaL_buffinitsize(L, b, n);
}

static inline char* buffer_room(luaL_Buffer* b, size_t n) {
  return b->size - b->n >= n ? b->b + b->n : buffer_grow(b, n);
}

static inline void put(luaL_Buffer* b, const char* s, size_t n) {
  memcpy(buffer_room(b, n), s, n);
  b->n += n;
}

static inline void put_byte(luaL_Buffer* b, char c) {
  *buffer_room(b, 1) = c;
  b->n++;
}

/* ---- Positions: from 1, or negative from the end --------------------------------------------- */

/* At least 1; can be behind the end. */
static inline size_t first_position(lua_Integer at, size_t length) {
  if (at > 0) return (size_t)at;
  if (at == 0 || at < -(lua_Integer)length) return 1;
  return length + (size_t)at + 1;
}

/* At most `length`; 0: before the start. */
static inline size_t last_position(lua_Integer at, size_t length) {
  if (at > (lua_Integer)length) return length;
  if (at >= 0) return (size_t)at;
  return at < -(lua_Integer)length ? 0 : length + (size_t)at + 1;
}

/* ---- The functions, with Lua's names --------------------------------------------------------- */

/* search.c */
int string_find(lua_State* L);
int string_match(lua_State* L);
int string_gmatch(lua_State* L);
int string_gsub(lua_State* L);
/* format.c */
int string_format(lua_State* L);
/* pack.c */
int string_pack(lua_State* L);
int string_packsize(lua_State* L);
int string_unpack(lua_State* L);

#endif
