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
** tasks, unless it is shared (rc_share). A cycle lives until its task ends, unless its objects are marked
** (rc_cyclic). Objects passed to functions are not NULL, and were made and filled (see rc_alloc); the debug library
** checks it (see rc/README.md).
**
** Words. A field is an `rc_word`: an object's address, or a 63-bit integer with the low bit set.
** A word is never 0; "nothing" is RC_NIL, the integer 0.
**
** Ownership. "Owned" arguments pass one count to the callee, which is said to take them; others are borrowed. A
** result is owned by the caller unless it is said to be borrowed.
**
** Charges. Each constructor is charged like mi_malloc of its size; nothing else here is charged.
*/
#ifndef SLUICE_RC_H
#define SLUICE_RC_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The header, alive:           63        48 47    40 39     32 31            0
**                             |  n fields  |  kind  |   tag   |     count     |
**            and dead:        |  n fields  |  address of next dead, low 3 bits: kind |
**
** count > 0: that many references, of one task, counted plainly. count < 0: shared, as many references
** as its magnitude tells, counted atomically. Both have room for errors at their ends: a local count that
** overflows becomes RC_OVERFLOWED and stays so, a shared count below RC_STICKY counts downward only, and one near
** RC_IMMORTAL or below it does not change, so such an object is never freed. RC_IMMORTAL has room on both sides for
** threads that are about to change the count that was there before.
** With RC_CYCLIC in the kind, a count below 0 is of one task, too, and plain: see rc_cyclic.
** 0: dead. n is RC_LONG if the object has a word behind the header, the length or the type; both
** survive death. The upper bits of kind are the library's. */
typedef struct rc_object {
  int32_t count;
  uint8_t tag;
  uint8_t kind;
  uint16_t n;
} rc_object;

typedef uintptr_t rc_word;

enum { RC_FIELDS, RC_ARRAY, RC_BYTES, RC_TYPED }; /* the kind of an object */
#define RC_OVERFLOWED INT32_MIN
#define RC_IMMORTAL (INT32_MIN / 8 * 7)
#define RC_STICKY (INT32_MIN / 2)
#define RC_CYCLIC 0x40
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
** rc_init before the object can die. `tag` is the guest's. Inlined if n is a small constant. */
rc_object* rc_alloc(uint8_t tag, size_t n);
/* n words, all `fill`, which must be an integer; n below 2^32 (else NULL and EINVAL). */
rc_object* rc_array(uint8_t tag, size_t n, rc_word fill);
/* n bytes that are never looked at, uninitialised; n below 2^35 (else NULL and EINVAL). */
rc_object* rc_bytes(uint8_t tag, size_t n);
/* n numbers that are never looked at, uninitialised: RC_BYTES with 8 n bytes; see rc_doubles. */
static inline rc_object* rc_double_array(uint8_t tag, size_t n) {
  return rc_bytes(tag, n <= UINT32_MAX ? n * sizeof(double) : SIZE_MAX);
}

/* What the objects of a type have in common. It lives as long as they do.
**
** The words, RC_NIL at first, are counted references as fields are; the bytes behind them are the
** guest's, zero at first. A type whose objects hold more references than that (in memory of their own) has no
** words and a trace: it stores up to `max` of them in out, from *cursor on, which it advances; it is 0 at first.
** Fewer than max tells that these were the last. It is called when the object dies, before its block is freed,
** and when it is shared, and must not allocate.
**
** `finalize` is called by rc_poll, once, after the last reference is gone; it borrows o, and returns (no longjmp
** beyond rc_poll). It may make a new reference (rc_inc); then o lives on, and dies without it the next time. */
typedef struct rc_type {
  const char* name; /* for reports */
  uint32_t words;
  uint32_t bytes;
  size_t (*trace)(rc_object* o, size_t* cursor, rc_word* out, size_t max); /* or NULL */
  void (*finalize)(rc_object* o);                                          /* or NULL */
} rc_type;
/* An object of the type, which is borrowed for the object's life. NULL and EINVAL if it has a trace and words. */
rc_object* rc_typed(uint8_t tag, const rc_type* type);
/* A function with n captured values: an object of n + 1 fields. Its first field encodes the code, which is
** at an address below 2^63; the others are to be stored as rc_alloc's. */
typedef void rc_function(void);
rc_object* rc_closure(uint8_t tag, rc_function* code, size_t n);
static inline rc_function* rc_code(const rc_object* closure) {
  return (rc_function*)(uintptr_t)rc_to_int(((const rc_word*)(const void*)closure)[1]);
}

/* ---- Checks: what the debug and the secure library know of objects -----------------------------------
**
** These libraries report misuse where they are called. A program that is compiled with -DRC_CHECKED has its inlined
** functions ask them first, too: misuse is reported, and, if that does not abort, nothing is done (rc_get: RC_NIL).
** With the plain library the answers are true. */

bool rc_check(const rc_object* o,
              const char* what); /* does o live? false: reported, as misuse in `what` */
bool rc_check_field(const rc_object* o, size_t i, const char* what); /* and has a field i? */
bool rc_check_word(const rc_object* o, rc_word w, const char* what); /* may w be stored in o? */
#ifdef RC_CHECKED
enum { RC_CHECKS = 1 };
#else
enum { RC_CHECKS = 0 };
#endif

/* ---- Counting: inline, one branch if the object lives on ------------------------------------- */

void rc_inc_slow(rc_object* o); /* the rest of rc_inc: o's count is not above 0 */
void rc_dec_last(rc_object* o); /* the rest of rc_dec: o's count is 1 or below */

/* Other threads write it while it is negative; no order is needed to see that. */
static inline int32_t rc_count(const rc_object* o) {
  return __atomic_load_n(&o->count, __ATOMIC_RELAXED);
}
/* Was it marked by rc_cyclic, and not shared since? */
static inline bool rc_is_cyclic(const rc_object* o) {
  return rc_count(o) < 0 && (__atomic_load_n(&o->kind, __ATOMIC_RELAXED) & RC_CYCLIC) != 0;
}
/* One reference more. Borrows o. */
static inline void rc_inc(rc_object* o) {
  if (RC_CHECKS && !rc_check(o, "rc_inc")) return;
  if (rc_count(o) > 0)
    o->count = (int32_t)((uint32_t)o->count + 1);
  else
    rc_inc_slow(o);
}
/* One reference less: takes an owned o. At most 33 units, whatever dies. */
static inline void rc_dec(rc_object* o) {
  if (RC_CHECKS && !rc_check(o, "rc_dec")) return;
  if (rc_count(o) > 1)
    o->count--;
  else
    rc_dec_last(o);
}
/* Is this the only reference? A shared or cyclic object is never unique, and a pending decrement may hide
** that another one is. */
static inline bool rc_is_unique(const rc_object* o) { return rc_count(o) == 1; }
/* The same for a word that may be an integer. */
static inline void rc_inc_word(rc_word w) {
  if (rc_is_object(w)) rc_inc(rc_to(w));
}
static inline void rc_dec_word(rc_word w) {
  if (rc_is_object(w)) rc_dec(rc_to(w));
}

/* ---- Contents -------------------------------------------------------------------------------- */

static inline unsigned rc_kind(const rc_object* o) {
  return __atomic_load_n(&o->kind, __ATOMIC_RELAXED) & 3u;
}
/* Of a typed object; borrowed. */
static inline const rc_type* rc_type_of(const rc_object* o) {
  assert(rc_kind(o) == RC_TYPED);
  return ((const rc_type* const*)(const void*)o)[1];
}
/* Fields, words, or bytes that the object has; of a typed one, its words. */
static inline size_t rc_length(const rc_object* o) {
  if (o->n != RC_LONG) return o->n;
  return rc_kind(o) == RC_TYPED ? rc_type_of(o)->words : ((const uint64_t*)o)[1];
}
/* The first field or word; borrowed. */
static inline rc_word* rc_words(rc_object* o) {
  assert(rc_kind(o) != RC_BYTES);
  return (rc_word*)o + (o->n != RC_LONG ? 1 : 2);
}
/* The same of an object of kind RC_FIELDS: without a branch, where the kind is known. */
static inline rc_word* rc_fields(rc_object* o) {
  assert(rc_kind(o) == RC_FIELDS);
  return (rc_word*)o + 1;
}
/* The first byte, aligned to 8; borrowed. */
static inline char* rc_data(rc_object* o) {
  assert(rc_kind(o) >= RC_BYTES);
  return (char*)o + 16 + (rc_kind(o) == RC_TYPED ? 8 * (size_t)rc_type_of(o)->words : 0);
}
/* The first number of an rc_double_array; borrowed. */
static inline double* rc_doubles(rc_object* o) { return (double*)(void*)rc_data(o); }
/* Field i, borrowed. */
static inline rc_word rc_get(rc_object* o, size_t i) {
  if (RC_CHECKS && !rc_check_field(o, i, "rc_get")) return RC_NIL;
  assert(i < rc_length(o));
  return rc_words(o)[i];
}
/* First store into field i of a fresh object: takes w, looks at nothing. */
static inline void rc_init(rc_object* o, size_t i, rc_word w) {
  if (RC_CHECKS && !(rc_check_field(o, i, "rc_init") && rc_check_word(o, w, "rc_init"))) return;
  assert(i < rc_length(o) && w != 0);
  rc_words(o)[i] = w;
}
/* Moves what field i of an object that is not cyclic holds out, to the caller; the field is RC_NIL then. */
static inline rc_word rc_take(rc_object* o, size_t i) {
  assert(!rc_is_cyclic(o));
  rc_word w = rc_get(o, i);
  rc_words(o)[i] = RC_NIL;
  return w;
}
/* Replaces field i of an object that is not cyclic: takes w, gives up what was there (at most 33 units). */
static inline void rc_set(rc_object* o, size_t i, rc_word w) {
  if (RC_CHECKS && !(rc_check_field(o, i, "rc_set") && rc_check_word(o, w, "rc_set"))) return;
  assert(i < rc_length(o) && w != 0 && !rc_is_cyclic(o));
  rc_word old = rc_words(o)[i];
  rc_words(o)[i] = w;
  rc_dec_word(old);
}

/* ---- Ownership: an object that nobody else sees may be changed, or give its memory to the next ---
**
** What a compiler emits that knows where references end ("Counting Immutable Beans", IFL 2019; "Perceus",
** PLDI 2021). A *shell* is the memory of a dead object of kind RC_FIELDS whose fields are gone: of one that
** was unique and whose fields were moved elsewhere (or never stored), or what rc_drop_reuse returns. It is owned, and
** must go to rc_reuse or rc_free_known, which clear a weak reference to the object that it was. */

/* Takes an owned object of kind RC_FIELDS. If that is the only reference, gives up the fields (at most 33
** units) and returns the shell; NULL if not, or if there are more than 32 fields: then this is rc_dec. */
rc_object* rc_drop_reuse(rc_object* o);
/* rc_alloc, in an owned shell with n fields if there is one: then the fields have what they had. Another shell
** is freed; it may be NULL. */
rc_object* rc_reuse(rc_object* shell, uint8_t tag, size_t n);
/* Frees an owned shell. 1 unit. */
void rc_free_known(rc_object* shell);
/* Takes an owned object, not a typed one (NULL and EINVAL), and returns one with the same contents and no other
** reference: the same one if it is unique, else a copy, which is not cyclic; of n words, first up to n units
** are drained, since a pending decrement may be what keeps it from being unique. NULL and ENOMEM: o is still
** the caller's. Charged like its construction, copied or not: so charges do not depend on what is pending. */
rc_object* rc_make_unique(rc_object* o);

/* ---- Weak references ------------------------------------------------------------------------------
**
** A weak reference is an object of its own, the same one for all that ask while it and the target live. It does
** not keep its target alive, and tells that it is gone from the moment on when the last reference was released:
** at once, or, if a dead object that waits held it, later (rc/README.md). Objects without one pay nothing. */

/* The weak reference to o, which is borrowed; owned by the caller. NULL and ENOMEM; NULL and EINVAL if o is a weak
** reference itself. Charged like rc_bytes of 16. */
rc_object* rc_weak(rc_object* o);
/* The target, as an owned reference; NULL: it is gone (or waits for its finalizer). Borrows w. */
rc_object* rc_upgrade(rc_object* w);

/* ---- Finalizers ------------------------------------------------------------------------------------ */

/* Runs finalizers of dead objects, at most so many (SIZE_MAX: all), in the order in which they died; returns
** how many. Call it at safepoints: they are the guest's code. Not from a finalizer (0). With RC_ON_BEATS: those
** that are due. In a thread's own task also those of shared objects. What a finalizer allocates is charged to
** the caller's task. */
size_t rc_poll(size_t most);
/* Queues all objects of the calling task of runtime/ that live and have a finalizer which was not called yet,
** the newest first, as if they had died; returns how many. For the end of a task: rt_task_end calls no
** finalizer, so who wants what they stand for (files) to be given up calls this and rc_poll before. A thread's
** own task: 0. O(number). */
size_t rc_finalize_all(void);
/* Objects of the calling task that wait for their finalizer. O(1). They and what they hold are alive until then. */
size_t rc_finalizers_pending(void);

/* ---- Cycles -----------------------------------------------------------------------------------------
**
** A cycle dies of itself if each object that lies on it was marked, and since then its fields were changed by
** rc_exchange or rc_replace alone. Marked objects that lost a reference, or were stored, are candidates; while
** there are many, refills look, 512 units at most each, whether candidates and what they reach are dead, and
** release what is. (After Bacon and Rajan, ECOOP 2001; rc/README.md has the bounds.) A dead cycle's weak
** references are cleared at once; if it has finalizers, these objects are queued for them, and what they reach
** lives until they ran. Counting a marked object costs a call; other objects count as without this.
**
** Shared objects on a cycle are not collected, nor those of an ended thread, unless another thread touches them. */

/* Marks a fresh object of n fields, an array, or a typed object without a trace (else it does nothing), before
** its fields are stored by rc_init or after. Its own address must not be stored in it by rc_init. */
void rc_cyclic(rc_object* o);
/* Replaces field i of any object: takes w, returns what was there, owned. */
rc_word rc_exchange(rc_object* o, size_t i, rc_word w);
/* rc_set for any object. */
static inline void rc_replace(rc_object* o, size_t i, rc_word w) {
  rc_dec_word(rc_exchange(o, i, w));
}
/* Spends up to `units` on cycles and on dead objects, for an idle loop. Returns what it spent. SIZE_MAX: no dead
** cycle is left, but for what waits for finalizers. */
size_t rc_collect_cycles(size_t units);
/* Objects that may lie on a dead cycle, and are not being looked at. O(1). */
size_t rc_candidates(void);

/* ---- Sharing: references in several threads ---------------------------------------------------------
**
** A shared object is counted atomically and belongs to no task: any thread may use it, and drop it. What it
** holds is shared, too, so nothing changes in it (rc_set) that is not shared or an integer, and not without the
** program's own order among threads. Who drops the last reference frees up to 33 units; the rest is freed
** by refills of all threads, or rc_drain. (Atomic where it must be only: after Choi et al., "Biased reference
** counting", PACT 2018, and Lean's negative counts.)
**
** A task of runtime/ holds the references to shared objects that are made in it: by rc_inc, rc_weak and
** rc_upgrade. Those that it did not give up end with it, wherever they are: in its objects, in variables, or on
** a stack that was left. So a reference that leaves the task to be used longer goes through rc_share, one that
** comes in through rc_adopt: from then on it is nobody's, or the task's. Without rc_adopt, what the task still
** has at its end is never freed; without rc_share, what left it is given up twice. A thread's own task holds
** nothing, since its objects outlive it.
**
** An object of a thread's own task that is not shared may be handed on to another thread as it is, with all
** that it holds, if no reference stays behind: neither a weak one nor one of an object that is dead and waits
** (there is none when rc_pending() is 0); and if it holds cyclic objects, right after
** rc_collect_cycles(SIZE_MAX), when none of them is noted as a candidate. */

/* Takes an owned object and returns it shared, with all that it holds: the same one, or, in a task of runtime/,
** which ends with its memory, a copy outside of it. The task does not hold the reference. A weak reference is
** shared with its target; a copied one leads to its target's copy, or to nothing, if o does not hold that. NULL
** and ENOMEM, or EINVAL if objects of a type with a trace or a finalizer were to be copied: o is still the
** caller's, as it was. O(size of what is not shared yet); in steps: rc_share_begin. */
rc_object* rc_share(rc_object* o);
/* Takes an owned object and returns it: if it is shared, the calling task of runtime/ holds the reference from
** now on. O(1). If there is no memory to note that, it does not. */
rc_object* rc_adopt(rc_object* o);
/* rc_share for objects that are never to be freed. Objects of tasks of runtime/ are copied. */
rc_object* rc_immortal(rc_object* o);
static inline bool rc_is_shared(const rc_object* o) {
  int32_t count = rc_count(o);
  return count < 0 && count != RC_OVERFLOWED && !rc_is_cyclic(o);
}
/* In steps: begin, then step until it answers true, then end, which does what is left, frees `s` and returns
** what rc_share does. All within one task. Meanwhile the program leaves the graph alone. A step looks at up to
** `units` references. */
typedef struct rc_sharing rc_sharing;
rc_sharing* rc_share_begin(rc_object* o); /* takes o; NULL and ENOMEM: it is still the caller's */
bool rc_share_step(rc_sharing* s, size_t units);
rc_object* rc_share_end(rc_sharing* s);

/* ---- Draining: for the calling task's dead objects ------------------------------------------- */

/* Spends up to `units` on what waits (SIZE_MAX: all of it), for an idle loop. Returns what it
** spent. */
size_t rc_drain(size_t units);
/* Dead objects that wait now; what only they hold is not counted. O(1). */
size_t rc_pending(void);

/* The pace. While objects wait, a refill that hands out n words first spends `pace`*n units, and
** hands out at most `quantum` words. A request for more than 256 words pays at most 8,192 units and
** owes the rest, which later refills pay; all is paid once more than `debt_limit` units are owed.
** While dead cycles are looked for, a quantum is 128 words at most. */
typedef enum rc_moments { RC_AT_REFILLS, RC_AT_REQUESTS, RC_ON_BEATS } rc_moments;
typedef struct rc_pacing {
  uint32_t
      pace; /* c, at least 1; default 2. Twice that when a quarter of the task's byte limit is left, 8 at
                          least when a tenth is */
  uint32_t quantum;    /* words; default and most 256 */
  uint64_t debt_limit; /* units; RC_DEBT_AUTO: a quarter of the largest live size, in words */
  /* When what waits is paid for. RC_AT_REQUESTS: while objects wait, constructors pay, by what they are asked
  ** for alone, up to 512 units at once and owe the rest; refills pay nothing. RC_ON_BEATS: they owe all, each
  ** beat pays all that is owed, and rc_poll runs the finalizers that were queued when the last beat had paid.
  ** So when an object dies (and is finalized, and its weak reference cleared) depends on the program only. */
  rc_moments deterministic;
} rc_pacing;
#define RC_DEBT_AUTO UINT64_MAX
/* Sets the calling task's pace; false and EINVAL if a field is out of range. */
bool rc_set_pacing(const rc_pacing* pacing);

/* Work counted since the task began; for tests and reports. */
typedef struct rc_counters {
  uint64_t units; /* spent in all */
  uint64_t
      dec_units_max; /* most by one rc_dec, but for objects of up to 7 fields without objects */
  uint64_t refill_units_max;  /* most by one refill of blocks up to 256 words */
  uint64_t request_units_max; /* most by one refill of larger blocks */
  uint64_t shared_units_max;  /* most on shared garbage by one refill, beside the others */
  uint64_t cycle_units_max;   /* most on cycles by one refill or constructor, beside the others */
  uint64_t
      forced_units_max; /* most by one drain of all, before a request is refused or by mi_collect(true) */
  uint64_t beat_units_max; /* most by one beat */
  uint64_t debt;           /* owed now */
  int64_t
      objects; /* constructed by the task, and not freed by it; those that it shared are not its own */
} rc_counters;
/* Fills *out with the calling task's counters. */
void rc_get_counters(rc_counters* out);

/* ---- What is alive: for the debug and the secure library; others answer ENOTSUP --------------------
**
** Both first free all that waits. They tell of the calling task's objects, with those that it shared; meanwhile
** no other thread may drop these, or use objects that were handed on. They return 0, or an error number: the
** stream's, or ENOMEM (they need 40 bytes for each page of 64 KiB, a leak report 20 for each object, from the
** thread's own heap). */

/* A line of JSON for each object: {"id": ..., "kind": "fields", "array", "bytes" or "typed", "type": its name or
** null, "tag": ..., "count": ..., "bytes": ..., "refs": [ids, as often as it refers to them]} and, if there are any,
** "outside": how many references to objects of no task or another one. Ids count from 0, and are the same if the
** program does the same; there are no addresses. What holds the memory: runtime/dominators.py. */
int rc_snapshot(FILE* out);
/* How many objects of each type, and what keeps some of them alive: the path from an object that something else
** than objects refers to, by index of fields. At the end of the process by the option SHOW_LEAKS. */
int rc_report_leaks(FILE* out);

/* ---- Constructors and reuse with a constant number of fields, inlined ------------------------------ */

/* What the allocator keeps for a thread, as far as they look at it. */
typedef struct rc_thread {
  void* heap;
  int64_t countdown; /* ticks to the next beat */
  struct {
    int64_t room;    /* bytes to the limit */
    int64_t objects; /* that live */
  } * task;
  void** lists; /* of free blocks, by words */
} rc_thread;
extern __thread rc_thread rc_this_thread __asm__("mi_thread_data")
    __attribute__((tls_model("initial-exec")));

enum { RC_INLINE_MAX = 7 };

/* The rest, when the fast path has given up. (A thread that has no task yet has no lists.) */
rc_object* rc_alloc_at_beat(uint8_t tag, size_t n);
rc_object* rc_alloc_charged(uint8_t tag, size_t n);
rc_object* rc_alloc_at_limit(uint8_t tag, size_t n);
void rc_beat(void);

/* The header of a fresh object of kind RC_FIELDS, stored as one word: what is read of it soon, wherever that
** begins, comes out of that store. */
static inline __attribute__((always_inline)) void rc_head(rc_object* o, uint8_t tag, size_t n) {
  uint64_t head = (uint64_t)n << 48 | (uint64_t)RC_FIELDS << 40 | (uint64_t)tag << 32 | 1;
  __builtin_memcpy(o, &head, sizeof head);
}
static inline __attribute__((always_inline)) rc_object* rc_alloc_inline(uint8_t tag, size_t n) {
  if (!__builtin_constant_p(n) || n > RC_INLINE_MAX) return rc_alloc(tag, n);
  if (__builtin_expect(--rc_this_thread.countdown == 0, 0)) return rc_alloc_at_beat(tag, n);
  void** block = (void**)rc_this_thread.lists[n + 1];
  if (__builtin_expect(block == NULL, 0)) return rc_alloc_charged(tag, n);
  rc_this_thread.task->room -= 8 + 8 * (int64_t)n;
  if (__builtin_expect(rc_this_thread.task->room < 0, 0)) return rc_alloc_at_limit(tag, n);
  rc_this_thread.task->objects++;
  rc_this_thread.lists[n + 1] = *block;
  rc_object* o = (rc_object*)(void*)block;
  rc_head(o, tag, n);
  return o;
}
/* Is it of kind RC_FIELDS with n fields, and nothing more, as the upper half of its header tells? */
static inline bool rc_is_plain(const rc_object* o, size_t n) {
  uint32_t upper;
  __builtin_memcpy(&upper, (const char*)o + sizeof o->count, sizeof upper);
  return upper >> 8 == (uint32_t)(n << 8 | RC_FIELDS);
}
static inline __attribute__((always_inline)) rc_object* rc_reuse_inline(rc_object* shell,
                                                                        uint8_t tag, size_t n) {
  if (!__builtin_constant_p(n) || n > RC_INLINE_MAX || shell == NULL || !rc_is_plain(shell, n))
    return rc_reuse(shell, tag, n);
  if (__builtin_expect(--rc_this_thread.countdown == 0, 0)) rc_beat();
  rc_head(shell, tag, n);
  return shell;
}
#if defined(__OPTIMIZE__) && !defined(RC_CHECKED) && \
    !defined(SLUICE_INTERNAL_H) /* the library's own files see the same data otherwise */
#define rc_alloc(tag, n) rc_alloc_inline(tag, n)
#define rc_reuse(shell, tag, n) rc_reuse_inline(shell, tag, n)
#endif

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
