/* programs.h: small programs whose output must be the same wherever, whenever and however they run.
**
** Each runs in a task of its own and prints what it saw, and its ticks at several moments; main.c calls
** one by its name. Nothing else than the program may have a say: so numbers are drawn from a seed, and
** neither an address nor a clock is shown. */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include "alloc/mimalloc.h"
#include "rc/data/data.h"
#include "rc/rc.h"
#include "runtime/runtime.h"
#include "tests/tools.h"

typedef struct program {
  const char* name;
  void (*run)(void);
} program;
extern const program plain_programs[], counted_programs[]; /* each ends with a NULL name */

/* A task with these limits, entered. */
rt_task* begin(const rt_config* config);
void end(rt_task* t);
/* A line: the moment, the ticks, the beats, the limit that was reached. */
void show(const char* moment);
/* A line: bytes held. They repeat if all are of known size, and none is of dead objects that wait (or in the
** deterministic mode). */
void show_bytes(void);
/* What never fails here. */
void require(bool holds, const char* what);
/* Threads that wait for blocks, and free each some time after it came, in an order that is drawn anew in each
** run. `free_one` is called by them. */
void start_freers(void (*free_one)(void*));
void hand_over(void* p);
void stop_freers(void);

#endif
