/* work.h: what the work inside a call of C costs, for the libraries of this folder.
**
** Every instruction of the guest is paid for elsewhere; a call of C that does a bounded amount of
** work is part of that. What can do more pays here, before it does it: a tick buys about as much
** time as an allocation takes, a few hundred nanoseconds. The first tick's worth is free in each
** call. What may run the guest's functions (metamethods) or C functions that the guest has put in
** their place pays a tick each time, so that no tree of calls is free.
**
** A string that is read as a number pays for that in count/steps.c, whoever has it read.
**
** guest_tick may leave Lua by a longjmp: nothing that only C knows may be held across it. */
#ifndef SLUICE_LIB_WORK_H
#define SLUICE_LIB_WORK_H

#include "demo-lang/guest.h"

/* What a tick buys. */
enum {
  WORK_VALUES = 32,   /* values read, moved or pushed, or calls looked at */
  WORK_BYTES = 1024,  /* bytes copied or compared */
  WORK_CHARS = 256,   /* bytes looked at one by one, as of a numeral or of UTF-8 */
  WORK_SOURCE = 32,   /* bytes of source compiled */
  WORK_SLOTS = 128,   /* empty slots of a table passed */
  WORK_COLLECTED = 1, /* KiB of a heap that is collected */
};

/* Pays for `n` units that are known now, `each` of them for a tick. */
static inline void work_pay(lua_State* L, uint64_t n, unsigned each) {
  if (n >= each) guest_tick(L, n / each);
}

/* Pays for units that come one by one, since the work may end early. `left` are paid for. */
typedef struct meter {
  lua_State* L;
  unsigned each, left;
} meter;

/* Units of which a tick buys `each`; if each of them can run something else, it costs a tick. */
static inline meter meter_of(lua_State* L, unsigned each, bool calls) {
  return (meter){L, calls ? 1 : each, calls ? 0 : each};
}

static inline void meter_step(meter* m) {
  if (m->left == 0) {
    guest_tick(m->L, 1);
    m->left = m->each;
  }
  m->left--;
}

/* A collection goes through all that the task holds. (lua_gc does not tell that in finalizers.) */
static inline void work_collection(lua_State* L) {
  work_pay(L, rt_bytes(guest_of(L)->task) / 1024, WORK_COLLECTED);
}

/* A closure whose only upvalue is nil: no function is a light one (guestlib.c tells why). */
static inline void work_push_closure(lua_State* L, lua_CFunction f) {
  lua_pushnil(L);
  lua_pushcclosure(L, f, 1);
}

/* Sets such functions in the table at the top. */
static inline void work_set_functions(lua_State* L, const luaL_Reg* functions) {
  lua_pushnil(L);
  luaL_setfuncs(L, functions, 1);
}

#endif
