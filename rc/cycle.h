/* cycle.h: what cycle.c, which the program calls, and collect.c, which works in between, have in common. */
#ifndef SLUICE_RC_CYCLE_H
#define SLUICE_RC_CYCLE_H

#include "rc/internal.h"

/* Where a note is: in one of these lists. All but the first two are of members. Who touches a member moves it
** to NOTE_LIVE, if it is not there or behind; a condemned one only until the first of them is taken apart. The
** object of a note has one of KIND_NOTED set, and no other has. */
enum place {
  NOTE_ROOT,      /* candidates */
  NOTE_SAMPLE,    /* some of those that earlier rounds of the search found alive */
  NOTE_REACHED,   /* not scanned yet */
  NOTE_SCANNED,   /* what they hold was reached, too */
  NOTE_SUSPECT,   /* all was scanned, and the shadow is 0 */
  NOTE_FINAL,     /* dead, without weak references, to be queued for their finalizer */
  NOTE_LIVE,      /* what they hold is to be made live, too */
  NOTE_LIVE_DONE, /* it was */
  NOTE_CONDEMNED, /* dead, without weak references, and finalized */
  NOTE_EMPTIED,   /* their fields were released */
  NOTE_PLACES
};

typedef struct note {
  table_node node; /* key: the object */
  struct note *next, *prev;
  uint32_t shadow; /* a candidate: the round in which it became one */
  uint8_t place;
  bool root;    /* was a candidate when the round began */
  bool again;   /* may have died since: a candidate when the round ends */
  bool touched; /* by what waited to be released, while suspects were condemned: it is spared */
} note;

/* Each phase of a round works on the first of a list until the list is empty, then the next one begins. */
enum phase {
  CYCLE_IDLE,
  CYCLE_GATHER,
  CYCLE_SORT,
  CYCLE_SPREAD,
  CYCLE_CONDEMN,
  CYCLE_QUEUE,
  CYCLE_SPARE,
  CYCLE_KILL,
  CYCLE_FORGET,
  CYCLE_PHASES
};

/* A *search* looks at all candidates that there were when it began, in rounds: each takes of them until it has
** `members_most` members, and what these reach. So notes are few, and near each other, if what hangs together
** is small. If it is large, rounds look at the same again and again, which their meeting with the sample tells:
** then they grow. */
struct rc_cycles {
  rc_table table;
  note list[NOTE_PLACES]; /* in a ring with its notes */
  note* at;               /* whose fields are being looked at, or NULL */
  size_t field;           /* the next one of it */
  note* spare;            /* notes to be used again, by `next`, */
  size_t spares;          /* and how many */
  size_t candidates;
  size_t candidates_most; /* a candidate beyond makes a search due, */
  size_t bytes_most;      /* or one while the task holds more; SIZE_MAX: not known yet */
  size_t live, in_vain;   /* members that the search found alive, and their fields */
  size_t members, met;    /* of the round, and those of them that were in the sample */
  size_t members_most;    /* with them a round takes no more candidates */
  size_t members_least;   /* that of a search's first round, */
  size_t sample;          /* and of how many that live one is in the sample: tests lower both */
  uint64_t purse;         /* units that refills may spend */
  uint32_t round;
  uint32_t search; /* its first round */
  uint8_t phase;
  bool searching; /* there are candidates from before the search */
  bool due;
  bool failed; /* for lack of memory, or by sharing: its roots become candidates again */
};

enum { CANDIDATES_LEAST = 1000, ROUND_LEAST = 4096, SAMPLE = 64 };

/* NULL: there is none. */
static inline note* note_first(rc_cycles* c, enum place place) {
  note* n = c->list[place].next;
  return n != &c->list[place] ? n : NULL;
}
static inline void note_link(rc_cycles* c, note* n, enum place place) {
  note* head = &c->list[place];
  n->place = (uint8_t)place;
  n->next = head;
  n->prev = head->prev;
  head->prev->next = n;
  head->prev = n;
}
static inline void note_unlink(rc_cycles* c, note* n) {
  n->prev->next = n->next;
  n->next->prev = n->prev;
  if (c->at == n) c->at = NULL;
}
/* Whoever moves it to or from NOTE_ROOT counts the candidates. */
static inline void note_move(rc_cycles* c, note* n, enum place to) {
  note_unlink(c, n);
  note_link(c, n, to);
}

static inline rc_object* note_object(const note* n) { return (rc_object*)(uintptr_t)n->node.key; }
note* note_find(rc_cycles* c, const rc_object* o);                           /* or NULL */
note* note_new(rc_cycles* c, rc_object* o, enum place place, unsigned flag); /* NULL: no memory */
void note_drop(rc_cycles* c, note* n);

#endif
