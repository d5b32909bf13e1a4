/* steps.h: what a single instruction of Lua can cost, and who pays for it.
**
** Most instructions do a bounded amount of work. The others call a function in another file of liblua, or in
** the C library, for each part of their work: a level of a chain of metatables, values that are copied,
** texts that are compared. The linker sends these calls to steps.c (its option --wrap), which counts
** and goes on to the original. So liblua is as it is, and what never happens costs nothing.
**
** A step is a share of a tick. Those that are left of the last tick that was paid for are the thread's while
** a guest runs, and the guest's between. */
#ifndef SLUICE_STEPS_H
#define SLUICE_STEPS_H

#include "demo-lang/guest.h"

enum {
  STEPS = 64,       /* to a tick */
  STEP_BYTES = 16,  /* of texts that are compared, in a step */
  STEP_CHARS = 4,   /* of numerals that are read */
  STEPS_A_VALUE = 2 /* that is copied */
};

/* `left` is out of reach where nothing is counted. */
typedef struct steps {
  guest* guest; /* NULL: none runs */
  int64_t left;
} steps;

/* The guest runs from now on, or, if it is NULL, nobody who pays; gives what ran before, for
** steps_leave. */
steps steps_enter(guest* g);
void steps_leave(guest* g, steps before);

/* The calling thread's. */
extern _Thread_local steps steps_now;
/* The guest that runs, if it is counted, or NULL. */
static inline const guest* steps_guest(void) {
  const guest* g = steps_now.guest;
  return g != NULL && g->counted ? g : NULL;
}
/* Pays for so many steps; may leave Lua by a longjmp. */
void steps_take(uint64_t n);
/* Pays for what could not be paid for where it was done (math/real.h); may leave Lua by a longjmp. */
void steps_settle(void);

#endif
