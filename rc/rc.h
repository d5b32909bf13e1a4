/* rc.h: counted objects whose death never pauses.
**
** An object is freed when its count drops to zero; so are, then, the objects that only it held.
** How much of that happens at once is bounded: `rc_dec` spends at most 33 units (a unit is one
** field looked at, and decremented if it holds an object, or one block freed). What is left
** waits on the deferred decrement list and is drained in small amounts when the allocator
** refills a free list (Weizenbaum 1963 deferred; the pacing that bounds the space is after
** Boehm, "The space cost of lazy reference counting", POPL 2004). See rc/README.md for the
** bounds.
**
** An object belongs to the task that made it and is used by one thread at a time, not in other
** tasks. A cycle lives until its task ends. Objects passed to functions are not NULL, and were made
** and filled (see rc_alloc); nothing checks it.
**
** Words. A field is an `rc_word`: an object's address, or a 63-bit integer with the low bit set.
** A word is never 0; "nothing" is RC_NIL, the integer 0.
**
** Ownership. "Owned" arguments pass one count to the callee, "borrowed" ones do not. A result is
** owned by the caller unless it is said to be borrowed.
**
** Charges. Each constructor is charged like mi_malloc of its size; nothing else here is charged.
*/
#ifndef SLUICE_RC_H
#define SLUICE_RC_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The header, alive:           63        48 47    40 39     32 31            0
**                             |  n fields  |  kind  |   tag   |     count     |
**            and dead:        |  n fields  |  address of next dead, low 3 bits: kind |
**
** count > 0: that many references. count <= 0: never freed; an overflow of the count ends there, so
** an object with 2^31 references leaks and is not freed early. n is RC_LONG if the object has a
** length word behind the header (arrays and byte strings); both survive death. */
typedef struct rc_object {
  int32_t count;
  uint8_t tag;
  uint8_t kind;
  uint16_t n;
} rc_object;

typedef uintptr_t rc_word;

enum { RC_FIELDS, RC_ARRAY, RC_BYTES }; /* rc_object.kind */
#define RC_LONG UINT16_MAX
#define RC_FIELDS_MAX (UINT16_MAX - 1)
#define RC_NIL ((rc_word)1)

/* ---- Words ----------------------------------------------------------------------------------- */

/* i, boxed; its top bit is lost (63 bits remain). */
static inline rc_word rc_int(int64_t i) { return ((rc_word)i << 1) | 1; }
static inline int64_t rc_to_int(rc_word w) { return (int64_t)w >> 1; }
static inline bool rc_is_int(rc_word w) { return (w & 1) != 0; }
static inline bool rc_is_object(rc_word w) { return (w & 1) == 0; }
/* The same reference as a word, or as an object; no count changes. */
static inline rc_word rc_from(rc_object* o) { return (rc_word)o; }
static inline rc_object* rc_to(rc_word w) { return (rc_object*)w; }

/* ---- Constructors: count 1; NULL and ENOMEM if there is no memory or the task's limit is hit - */

/* n fields (at most RC_FIELDS_MAX, else NULL and EINVAL), uninitialised: store all of them with
** rc_init before the object can die. `tag` is the guest's. */
rc_object* rc_alloc(uint8_t tag, size_t n);
/* n words, all `fill`, which must be an integer; n below 2^32 (else NULL and EINVAL). */
rc_object* rc_array(uint8_t tag, size_t n, rc_word fill);
/* n bytes that are never looked at, uninitialised; n below 2^32 (else NULL and EINVAL). */
rc_object* rc_bytes(uint8_t tag, size_t n);

/* ---- Counting: inline, one branch if the object lives on ------------------------------------- */

void rc_dec_last(rc_object* o); /* the rest of rc_dec: o's count is 1 or below */

/* One reference more. Borrows o. */
static inline void rc_inc(rc_object* o) {
  if (o->count > 0) o->count = (int32_t)((uint32_t)o->count + 1);
}
/* One reference less: takes an owned o. At most 33 units, whatever dies. */
static inline void rc_dec(rc_object* o) {
  if (o->count > 1)
    o->count--;
  else
    rc_dec_last(o);
}
/* Is this the only reference? A pending decrement may hide that it is. */
static inline bool rc_is_unique(const rc_object* o) { return o->count == 1; }
/* The same for a word that may be an integer. */
static inline void rc_inc_word(rc_word w) {
  if (rc_is_object(w)) rc_inc(rc_to(w));
}
static inline void rc_dec_word(rc_word w) {
  if (rc_is_object(w)) rc_dec(rc_to(w));
}

/* ---- Contents -------------------------------------------------------------------------------- */

/* Fields, words, or bytes that the object has. */
static inline size_t rc_length(const rc_object* o) {
  return o->n != RC_LONG ? o->n : ((const uint64_t*)o)[1];
}
/* The first field or word; borrowed. */
static inline rc_word* rc_words(rc_object* o) {
  assert(o->kind != RC_BYTES);
  return (rc_word*)o + (o->n != RC_LONG ? 1 : 2);
}
/* The first byte; borrowed. */
static inline char* rc_data(rc_object* o) {
  assert(o->kind == RC_BYTES);
  return (char*)o + 16;
}
/* Field i, borrowed. */
static inline rc_word rc_get(rc_object* o, size_t i) {
  assert(i < rc_length(o));
  return rc_words(o)[i];
}
/* First store into field i of a fresh object: takes w, looks at nothing. */
static inline void rc_init(rc_object* o, size_t i, rc_word w) {
  assert(i < rc_length(o) && w != 0);
  rc_words(o)[i] = w;
}
/* Replaces field i: takes w, gives up what was there (at most 33 units). */
static inline void rc_set(rc_object* o, size_t i, rc_word w) {
  assert(i < rc_length(o) && w != 0);
  rc_word old = rc_words(o)[i];
  rc_words(o)[i] = w;
  rc_dec_word(old);
}

/* ---- Ownership: an object that nobody else sees may be changed, or give its memory to the next ---
**
** What a compiler emits that knows where references end ("Counting Immutable Beans", IFL 2019; "Perceus",
** PLDI 2021). A *shell* is the memory of a dead object of kind RC_FIELDS whose fields are gone: of one that
** was unique and whose fields were moved elsewhere, or what rc_drop_reuse returns. It is owned, and must go
** to rc_reuse or rc_free_known. */

/* Takes an owned object of kind RC_FIELDS. If that is the only reference, gives up the fields (at most 33
** units) and returns the shell; NULL if not, or if there are more than 32 fields: then this is rc_dec. */
rc_object* rc_drop_reuse(rc_object* o);
/* rc_alloc, in an owned shell with n fields if there is one. Another shell is freed; it may be NULL. */
rc_object* rc_reuse(rc_object* shell, uint8_t tag, size_t n);
/* Frees an owned shell. 1 unit. */
void rc_free_known(rc_object* shell);
/* Takes an owned object, of any kind, and returns one with the same contents and no other reference: the same
** one if it is unique, else a copy; of n words, first up to n units are drained, since a pending decrement
** may be what keeps it from being unique. NULL and ENOMEM: o is still the caller's. Charged like its
** construction, copied or not: so charges do not depend on what is pending. */
rc_object* rc_make_unique(rc_object* o);

/* ---- Draining: for the calling task's dead objects ------------------------------------------- */

/* Spends up to `units` on what waits (SIZE_MAX: all of it), for an idle loop. Returns what it
** spent. */
size_t rc_drain(size_t units);
/* Dead objects that wait now; what only they hold is not counted. O(1). */
size_t rc_pending(void);

/* The pace. While objects wait, a refill that hands out n words first spends `pace`*n units, and
** hands out at most `quantum` words. A request for more than 256 words pays at most 8,192 units and
** owes the rest, which later refills pay; all is paid once more than `debt_limit` units are owed. */
typedef struct rc_pacing {
  uint32_t pace;       /* c, at least 1; default 2 */
  uint32_t quantum;    /* words; default and most 256 */
  uint64_t debt_limit; /* units; RC_DEBT_AUTO: a quarter of the largest live size, in words */
} rc_pacing;
#define RC_DEBT_AUTO UINT64_MAX
/* Sets the calling task's pace; false and EINVAL if a field is out of range. */
bool rc_set_pacing(const rc_pacing* pacing);

/* Work counted since the task began; for tests and reports. */
typedef struct rc_counters {
  uint64_t units;             /* spent in all */
  uint64_t dec_units_max;     /* most by one rc_dec */
  uint64_t refill_units_max;  /* most by one refill of blocks up to 256 words */
  uint64_t request_units_max; /* most by one refill of larger blocks */
  uint64_t debt;              /* owed now */
  uint64_t allocated;         /* objects constructed */
  uint64_t freed; /* objects whose block was freed, also those that ended threads left */
} rc_counters;
/* Fills *out with the calling task's counters. */
void rc_get_counters(rc_counters* out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
