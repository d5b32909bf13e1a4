/* big.h: how integers of any size are kept, for the files that compute with them.
**
** What fits in 63 bits is a boxed integer, always. Another number is a byte string: a word of the
** length of its magnitude in limbs, below zero if the number is, then the limbs, whose last is not
** 0, and perhaps room. An operation writes into the number that it replaces if the room there fits,
** which its length decides and not who sees it; so charges do not depend on that. */
#ifndef SLUICE_RC_DATA_BIG_H
#define SLUICE_RC_DATA_BIG_H

#include "rc/data/internal.h"
#include "rc/data/limbs.h"

enum { LIMBS_MOST = (1u << 29) - 2 }; /* in 2^32 bytes */

static inline int64_t* big_head(rc_object* o) { return (int64_t*)(void*)rc_data(o); }
static inline limb* big_limbs(rc_object* o) { return (limb*)(void*)rc_data(o) + 1; }
static inline size_t big_room(const rc_object* o) { return rc_length(o) / sizeof(limb) - 1; }
static inline limb magnitude_of(int64_t i) { return i < 0 ? -(limb)i : (limb)i; }

/* With room for n limbs. NULL and errno. */
rc_object* number_new(size_t n);

/* A number as it is read, whichever way it is kept. */
typedef struct number {
  const limb* limbs; /* the magnitude, without zeros on top */
  size_t n;
  bool negative;
  limb small; /* the limb of a boxed integer */
} number_t;

void number_read(number_t* x, rc_word w);
/* Where to write a result of up to n limbs that takes a's place: a itself if its room fits and nobody
** else sees it, or a new object. Charged alike. What was read of the operands can still be read, also
** if both are a. NULL and errno. */
rc_object* number_room(rc_word* a, size_t n);
/* The number whose magnitude is in n limbs of o, owned. */
rc_word number_of(rc_object* o, bool negative, size_t n);
/* The same takes a's place, which gave the room, or not; true. */
bool number_put(rc_word* a, rc_object* o, bool negative, size_t n);

#endif
