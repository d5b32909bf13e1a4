/* data.h: lists, vectors, maps, strings and big integers out of counted objects.
**
** Each is a value: no update is seen through another reference. An update changes in place what
** nobody else sees, and copies what somebody does: the nodes on the way to the place, never the
** rest. So a collection that one variable holds is changed as an ordinary array is, without
** "transients" (uniqueness is the transient: Reinking et al., "Perceus", PLDI 2021), and to keep a
** version of it is one rc_inc_word. All is built from what rc.h gives everybody.
**
** Empty. RC_NIL is the empty list, vector, map and string, and the number 0: a variable begins as
** that, emptiness is a comparison, and what becomes empty is RC_NIL again.
**
** Updates take the address of the variable that owns the collection, first. One that fails returns
** false (or NULL, or 0, which is never a word), and nothing has happened: the collection reads as
** before and is still the caller's, and so are all arguments. errno is ENOMEM (no memory, or the
** task's limit is hit), or EINVAL (no such element; a byte string or number of 2^32 bytes or more, a
** rope of 2^48).
**
** Ownership is as in rc.h, and so is who may use a value: the task that made it, one thread at a time, or,
** shared (rc_share), any; then each update copies. Functions that are given here must return (no longjmp). An
** argument that is "taken" is the collection's if the call succeeds; all others are borrowed. What a read finds
** is borrowed from the collection, until that is updated or given up. What is made is owned by the caller.
**
** Charges. Of an update each node that it makes or changes is charged like the construction of that
** node, copied or not: so ticks depend on the operations and the contents, and on nothing else. Reads
** are not charged. What is marked O(n) or worse does that work in one call, charged no further: an
** interpreter whose guests choose n calls rt_tick before.
**
** Objects made here have the tags below. No function's use of the stack depends on more than the
** logarithm of a size. */
#ifndef SLUICE_RC_DATA_H
#define SLUICE_RC_DATA_H

#include "rc/rc.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum {
  RC_TAG_LIST = 0xf0,
  RC_TAG_VEC,
  RC_TAG_MAP,
  RC_TAG_ROPE,
  RC_TAG_BIG,
  RC_TAG_NODE /* inside of vectors and maps */
};

/* ---- Lists: cells of a head and a tail ------------------------------------------------------- */

/* The first element, and the list of the others, of a list that is not empty; borrowed. O(1). */
static inline rc_word rc_list_head(rc_word list) { return rc_get(rc_to(list), 0); }
static inline rc_word rc_list_tail(rc_word list) { return rc_get(rc_to(list), 1); }
/* Puts `head`, taken, in front. O(1). */
bool rc_list_cons(rc_word* list, rc_word head);
/* Takes the first element off and returns it, owned; 0 and EINVAL if there is none. Never ENOMEM.
** O(1). */
rc_word rc_list_pop(rc_word* list);
/* A list of n words, each borrowed. 0 and ENOMEM. O(n). */
rc_word rc_list_from(const rc_word* words, size_t n);
/* O(n). */
size_t rc_list_length(rc_word list);
/* The place of element i, which nobody else sees: until the next use of the list its word may be
** updated, or replaced (who does that gives up the old one). NULL: ENOMEM, or EINVAL if there is no
** such element. O(i). */
rc_word* rc_list_ref(rc_word* list, size_t i);
/* The list `rest`, taken, behind the last element. O(length of *list). */
bool rc_list_append(rc_word* list, rc_word rest);
/* O(n). */
bool rc_list_reverse(rc_word* list);
/* Keeps the first n elements, or all but the first n; all, or none, if there are fewer. `drop`
** never fails. O(n). */
bool rc_list_take(rc_word* list, size_t n);
void rc_list_drop(rc_word* list, size_t n);
/* Sorts; what compares equal stays in order. `compare` is as qsort's, borrows, and must not use the
** list. O(n log n), without other memory. */
bool rc_list_sort(rc_word* list, int (*compare)(rc_word a, rc_word b, void* arg), void* arg);

/* ---- Vectors: a tree of 32 ways with a tail --------------------------------------------------
**
** After Bagwell (2001) and Clojure's PersistentVector. All O(log n) to the base 32, that is at most
** seven steps; push and pop meet the tree in one of 32 calls. */

size_t rc_vec_length(rc_word v); /* O(1) */
/* Element i, borrowed; 0 if there is none. */
rc_word rc_vec_get(rc_word v, size_t i);
/* Replaces element i by w, taken. */
bool rc_vec_set(rc_word* v, size_t i, rc_word w);
/* The place of element i, as rc_list_ref. */
rc_word* rc_vec_ref(rc_word* v, size_t i);
/* w, taken, behind the last one. */
bool rc_vec_push(rc_word* v, rc_word w);
/* The first of n > 0 words, borrowed, behind the last one: those for which there is room in one node, 1
** to 32. How many these were; 0 and ENOMEM. */
size_t rc_vec_append(rc_word* v, const rc_word* words, size_t n);
/* Takes the last element off and returns it, owned; 0: ENOMEM, or EINVAL if there is none. */
rc_word rc_vec_pop(rc_word* v);
/* Element i and those behind it that lie in a row, *n in all, 1 to 32; NULL if there is none.
**   for (size_t i = 0, n; (words = rc_vec_chunk(v, i, &n)) != NULL; i += n) ... */
const rc_word* rc_vec_chunk(rc_word v, size_t i, size_t* n);
/* A vector of n words, each borrowed. 0 and ENOMEM. O(n). */
rc_word rc_vec_from(const rc_word* words, size_t n);
/* The elements `from` to before `to`, as a new vector; what is beyond the end is left out. Borrows
** v. 0 and ENOMEM. O(to - from). */
rc_word rc_vec_slice(rc_word v, size_t from, size_t to);

/* ---- Maps: from words to words, by a compressed hash tree ------------------------------------
**
** CHAMP: Steindorfer and Vinju, "Optimizing Hash-Array Mapped Tries for Fast and Lean Immutable JVM
** Collections", OOPSLA 2015. The tree depends on the keys alone and not on how they came and went,
** and so does the order of iteration, but among keys with the same hash. O(log n) to the base 32,
** that is at most 13 steps, and then one for each key with the same 64 bits. */

/* What a key is. Equal keys have equal hashes; to hash an address would make runs differ. Both
** functions borrow, and must not change the map. */
typedef struct rc_map_ops {
  uint64_t (*hash)(rc_word key, void* arg);
  bool (*equal)(rc_word a, rc_word b, void* arg);
  void* arg;
} rc_map_ops;
extern const rc_map_ops rc_map_integers; /* keys are integers, big ones included */
extern const rc_map_ops rc_map_strings;  /* byte strings and ropes, by content */

size_t rc_map_count(rc_word m); /* O(1) */
/* The value of the key, borrowed; 0 if it has none. */
rc_word rc_map_get(rc_word m, const rc_map_ops* ops, rc_word key);
/* The place of the key's value, as rc_list_ref; NULL: ENOMEM, or EINVAL if the key has none. The
** key is borrowed. */
rc_word* rc_map_ref(rc_word* m, const rc_map_ops* ops, rc_word key);
/* Takes both; a value that was there is given up. EINVAL: 2^15 keys with one hash. */
bool rc_map_put(rc_word* m, const rc_map_ops* ops, rc_word key, rc_word value);
/* Gives up the key, which is borrowed here, and its value; true, too, if there was none. */
bool rc_map_remove(rc_word* m, const rc_map_ops* ops, rc_word key);

/* A place in a map. It borrows the map, which must not be updated while it is unique (an update of
** another reference copies); to stop is to forget it. */
enum { RC_MAP_LEVELS = 14 };
typedef struct rc_map_iter {
  rc_object* node[RC_MAP_LEVELS];
  uint32_t next[RC_MAP_LEVELS];
  int depth;
} rc_map_iter;
rc_map_iter rc_map_begin(rc_word m);
/* The next key and its value, borrowed; false at the end. O(1) amortised. */
bool rc_map_next(rc_map_iter* it, rc_word* key, rc_word* value);

/* ---- Strings: ropes of bytes -----------------------------------------------------------------
**
** A rope is RC_NIL, a byte string (RC_BYTES, of any length, by whomever made), or two ropes in a
** balanced tree (Boehm, Atkinson, Plass, "Ropes: an Alternative to Strings", 1995; joined as in
** Blelloch et al., "Just Join for Parallel Ordered Sets", SPAA 2016). What is made here has leaves
** of at most RC_ROPE_LEAF bytes; small neighbours are put together. All O(log n), and the length of
** a leaf that is cut or changed. */
enum { RC_ROPE_LEAF = 496 };

/* A copy of n bytes. 0: ENOMEM. O(n). */
rc_word rc_rope_from(const char* bytes, size_t n);
size_t rc_rope_length(rc_word r); /* O(1) */
/* Byte i, 0 to 255; -1 if there is none. */
int rc_rope_get(rc_word r, size_t i);
/* Replaces byte i. */
bool rc_rope_set(rc_word* r, size_t i, char byte);
/* The rope `end`, taken, behind *r. */
bool rc_rope_append(rc_word* r, rc_word end);
/* The bytes `from` to before `to`, as a new rope that shares what it can; what is beyond the end is
** left out. Borrows r. 0 and ENOMEM. */
rc_word rc_rope_slice(rc_word r, size_t from, size_t to);
/* Byte i and those behind it that lie in a row, *n in all, at least 1; NULL if there is none. As
** rc_vec_chunk. */
const char* rc_rope_chunk(rc_word r, size_t i, size_t* n);
/* The same bytes in one byte string (empty: RC_NIL). EINVAL: 2^32 bytes or more. O(n). */
bool rc_rope_flatten(rc_word* r);
/* As memcmp, a prefix first: below 0, 0, above 0. O(n). */
int rc_rope_compare(rc_word a, rc_word b);
/* Depends on the bytes alone. O(n). */
uint64_t rc_rope_hash(rc_word r);

/* ---- Integers of any size --------------------------------------------------------------------
**
** What fits in 63 bits is a boxed integer, and only that; anything else is sign and magnitude, in
** limbs of 64 bits in a byte string. So small numbers compare as words. The functions change *a
** and borrow b, which may be *a itself. Costs are in limbs; n is the length of the longer one. */

/* Any 64-bit integer. 0 and ENOMEM. */
rc_word rc_big_from(int64_t i);
/* The number in *i; false if it does not fit. */
bool rc_big_to_int64(rc_word a, int64_t* i);
int rc_big_sign(rc_word a);               /* -1, 0, 1 */
uint64_t rc_big_bits(rc_word a);          /* of the magnitude: 0 for 0. O(1) */
int rc_big_compare(rc_word a, rc_word b); /* below 0, 0, above 0. O(n) */
uint64_t rc_big_hash(rc_word a);          /* depends on the value alone. O(n) */
/* The magnitude's limbs, the lowest first, *n of them, none for 0; borrowed from a, or of a boxed
** integer in *small. */
const uint64_t* rc_big_limbs(rc_word a, size_t* n, uint64_t* small);
/* The number of that magnitude, below zero if `negative`; zeros on top are fine. 0: ENOMEM, EINVAL.
** O(n). */
rc_word rc_big_from_limbs(const uint64_t* limbs, size_t n, bool negative);
bool rc_big_negate(rc_word* a);              /* O(n) */
bool rc_big_add(rc_word* a, rc_word b);      /* O(n) */
bool rc_big_subtract(rc_word* a, rc_word b); /* O(n) */
/* O(n^1.6): by Karatsuba and Ofman's method (1962) above some forty limbs, below that n^2. */
bool rc_big_multiply(rc_word* a, rc_word b);
/* *a becomes the quotient, rounded toward zero, and *remainder, unless that is NULL, the owned
** remainder, which has the sign of *a or is 0. EDOM if b is 0. O(n^2) (Knuth's algorithm D). */
bool rc_big_divide(rc_word* a, rc_word b, rc_word* remainder);
/* Times 2^n; for n < 0 divided by 2^-n and rounded down, as two's complement does. O(n). */
bool rc_big_shift(rc_word* a, int64_t n);
/* As of two's complement with as many bits as one likes. O(n). */
bool rc_big_and(rc_word* a, rc_word b);
bool rc_big_or(rc_word* a, rc_word b);
bool rc_big_xor(rc_word* a, rc_word b);
bool rc_big_not(rc_word* a);
/* The double nearest to a / b * 2^exponent, of two the one whose last bit is 0, in *quotient; infinite if that is
** too large. EDOM if b is 0. O(n). */
bool rc_big_quotient(rc_word a, rc_word b, int exponent, double* quotient);
/* The number that `text` of n bytes tells in base 2 to 36: an optional sign, then digits, letters
** in either case. 0: ENOMEM, or EINVAL for anything else. O(n^2). */
rc_word rc_big_parse(const char* text, size_t n, unsigned base);
/* The digits, in lower case, behind a sign if below zero, as a byte string; 0: ENOMEM, or EINVAL if
** base is not 2 to 36. O(n^2). */
rc_word rc_big_format(rc_word a, unsigned base);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
