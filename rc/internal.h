/* internal.h: what rc/ keeps for each task, and what holds of it. */
#ifndef SLUICE_RC_INTERNAL_H
#define SLUICE_RC_INTERNAL_H

#include "alloc/internal.h"
#include "rc/rc.h"

/* Dead objects wait in stacks, one for each size class, linked through their headers (see rc.h).
** An object waits there, or is `current`, iff its count is zero and its block was not freed. It
** owns the references in those of its fields that were not released yet: all of them, or, if
** DEAD_PARTIAL is set, those from the index that its first word tells (that field was released, so
** its place is free). No object is both waiting and referenced. `current` is the one that draining
** has begun and not finished. Bit c of `waiting` is set iff dead[c] is not empty; the task's drain
** hook is set iff any is, or `current`.
**
** Used by the thread that has the task only. Lives in the room that a task has for it and is
** born zero. */
typedef struct rc_state {
  rc_object* dead[CLASS_COUNT];
  rc_object* current;
  uint64_t waiting;
  uint64_t pending;  /* objects in all stacks, and current */
  uint64_t live_max; /* words: the most that was held when nothing waited */
  bool paced;        /* pacing was set; else the defaults hold */
  rc_pacing pacing;
  rc_counters counted;
} rc_state;
_Static_assert(sizeof(rc_state) <= UPPER_BYTES, "a task has room for it");
_Static_assert(CLASS_COUNT <= 64, "`waiting` has a bit for each class");

enum {
  DEC_UNITS = 33, /* most that one rc_dec spends */
  QUANTUM_WORDS = 256,
  REQUEST_UNITS = 8192, /* most that a request for more words pays at once; it owes the rest */
  PACE = 2,
  DEAD_KIND = 3,
  DEAD_PARTIAL = 4,
};

static inline rc_state* state_of(mi_task_t* task) { return (rc_state*)(void*)task->upper; }

/* Logical bytes, and words of the block (before rounding to a class). The kind of a dead object
** is not where a living one has it, so it is passed. */
static inline size_t object_bytes(const rc_object* o, unsigned kind) {
  if (o->n != RC_LONG) return WORD + WORD * (size_t)o->n;
  return 2 * WORD + rc_length(o) * (kind == RC_BYTES ? 1 : WORD);
}
/* A block of so many logical bytes, without charge, and without a header; NULL: no memory, or the limit is
** hit. */
rc_object* object_make(size_t bytes);
static inline size_t bytes_to_words(size_t bytes) { return (bytes + WORD - 1) / WORD; }

#endif
