/* count/steps.h: what a single instruction of Lua can cost, and who pays for it.
**
** Most instructions do a bounded amount of work. The others call a function in another file of liblua, or in
** the C library, for each part of their work: a level of a chain of metatables, values that are copied,
** texts that are compared. The linker sends these calls to steps.c (its option --wrap), which counts
** and goes on to the original. So liblua is as it is, and what never happens costs nothing. So are all calls
** of functions counted, each a tick, and so come the instructions that pay for loops here (charge.h).
**
** A step is a share of a tick. Those that are granted and not used are the thread's while a guest runs, and
** the guest's between. */
#ifndef SLUICE_STEPS_H
#define SLUICE_STEPS_H

#include "demo-lang/guest.h"

enum {
  STEPS = 64,       /* to a tick */
  STEP_BYTES = 16,  /* of texts that are compared, in a step */
  STEP_CHARS = 4,   /* of numerals that are read */
  STEPS_A_VALUE = 2 /* that is copied */
};

/* Of the thread. `left` is out of reach where nothing is counted. */
typedef struct steps {
  guest* guest; /* NULL: none runs */
  int64_t left;
} steps;
extern _Thread_local steps steps_now;

/* The guest runs from now on, or, if it is NULL, nobody who pays; gives what ran before. */
guest* steps_switch(guest* g);
/* What the guest has left, wherever that is. */
int64_t* steps_of(guest* g);
/* The guest that runs in the thread, or NULL; and if it is counted, or NULL. */
static inline guest* steps_running(void) { return steps_now.guest; }
static inline const guest* steps_guest(void) {
  const guest* g = steps_now.guest;
  return g != NULL && g->counted ? g : NULL;
}

/* count/meter.c: what is left is below 0, so more is bought. May leave Lua by a longjmp, or, if that is `allowed`,
** by an error for a deadline. L runs; NULL: whatever coroutine does. */
void steps_pay(lua_State* L, bool allowed);

static inline void steps_take_in(lua_State* L, uint64_t n, bool allowed) {
  if ((steps_now.left -= (int64_t)n) < 0) steps_pay(L, allowed);
}
/* Pays for so many steps; may leave Lua by a longjmp. */
static inline void steps_take(uint64_t n) { steps_take_in(NULL, n, false); }

/* count/meter.c: the instructions that pay (charge.h): the register, and the operand B. */
struct slot;
void meter_pay(lua_State* L, struct slot* r, int operand, int kind);
/* Takes what functions of floats did, which cannot pay where they do it (math/real.h); steps_pay does. */
void steps_settle(void);

#endif
