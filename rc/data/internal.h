/* internal.h: what the collections share.
**
** The one pattern of all updates: first every node on the way to the place is made one's own, which
** nobody can see, and all new nodes are made; either may fail, and nothing has happened. Then the
** change is made, which cannot fail. */
#ifndef SLUICE_RC_DATA_INTERNAL_H
#define SLUICE_RC_DATA_INTERNAL_H

#include <errno.h>
#include <string.h>

#include "rc/data/data.h"

/* The object in the slot, after that nobody else's. NULL and ENOMEM: the slot is as it was. */
static inline rc_object* slot_own(rc_word* slot) {
  rc_object* o = rc_make_unique(rc_to(*slot));
  if (o != NULL) *slot = rc_from(o);
  return o;
}

/* Puts w, taken, in the slot and gives up what was there. */
static inline void slot_set(rc_word* slot, rc_word w) {
  rc_word old = *slot;
  *slot = w;
  rc_dec_word(old);
}

/* What was in the slot, owned. */
static inline rc_word slot_take(rc_word* slot) {
  rc_word w = *slot;
  *slot = RC_NIL;
  return w;
}

static inline rc_word word_copy(rc_word w) {
  rc_inc_word(w);
  return w;
}

static inline rc_word fail(int error) {
  errno = error;
  return 0;
}

/* A bijection that spreads each bit over all (the finalizer of Steele, Lea, Flood's SplitMix,
** OOPSLA 2014). */
static inline uint64_t hash_mix(uint64_t h) {
  h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
  h = (h ^ h >> 27) * 0x94d049bb133111ebu;
  return h ^ h >> 31;
}

#endif
