/* vector.c: a tree of 32 ways whose leaves are full, and a tail that is not.
**
** A vector of n > 0 elements is an object of its length, the root, and the tail. The tail has the
** last 1 to 32 elements (and room for 4, 8, 16 or 32), the tree all others, in leaves of 32. The
** tree has the least height h with 32^h leaves or more; at height 0 it is a leaf itself, and
** without leaves it is RC_NIL. Children that are not there, and room, are RC_NIL.
** After Bagwell's ideal hash tries (2001) and Clojure's vector. */
#include "rc/data/internal.h"

enum { LENGTH, ROOT, TAIL, VEC_FIELDS };
enum { BITS = 5, WAYS = 1 << BITS, TAIL_LEAST = 4 };

static rc_object* node_new(size_t n) {
  rc_object* o = rc_alloc(RC_TAG_NODE, n);
  for (size_t i = 0; o != NULL && i < n; i++) rc_init(o, i, RC_NIL);
  return o;
}

/* Leaves of the tree of a vector of n elements. */
static size_t leaves_of(size_t n) { return n == 0 ? 0 : (n - 1) / WAYS; }

static unsigned height_of(size_t leaves) {
  unsigned h = 0;
  while (leaves > (size_t)1 << BITS * h) h++;
  return h;
}

/* Where at height h > 0 leaf number i lies. */
static size_t way_to(size_t i, unsigned h) { return i >> BITS * (h - 1) & (WAYS - 1); }

static size_t tail_length(size_t n) { return n - WAYS * leaves_of(n); }

size_t rc_vec_length(rc_word v) {
  return v == RC_NIL ? 0 : (size_t)rc_to_int(rc_get(rc_to(v), LENGTH));
}

/* ---- Reading --------------------------------------------------------------------------------- */

const rc_word* rc_vec_chunk(rc_word v, size_t i, size_t* n) {
  size_t length = rc_vec_length(v), leaves = leaves_of(length);
  if (i >= length) return NULL;
  if (i >= leaves * WAYS) {
    *n = length - i;
    return &rc_words(rc_to(rc_get(rc_to(v), TAIL)))[i - leaves * WAYS];
  }
  rc_word at = rc_get(rc_to(v), ROOT);
  for (unsigned h = height_of(leaves); h > 0; h--) at = rc_get(rc_to(at), way_to(i / WAYS, h));
  *n = WAYS - i % WAYS;
  return &rc_words(rc_to(at))[i % WAYS];
}

rc_word rc_vec_get(rc_word v, size_t i) {
  size_t n;
  const rc_word* place = rc_vec_chunk(v, i, &n);
  return place != NULL ? *place : 0;
}

/* ---- Changing an element --------------------------------------------------------------------- */

rc_word* rc_vec_ref(rc_word* v, size_t i) {
  size_t length = rc_vec_length(*v), leaves = leaves_of(length);
  if (i >= length) return errno = EINVAL, NULL;
  rc_object* o = slot_own(v);
  if (o == NULL) return NULL;
  bool in_tail = i >= leaves * WAYS;
  rc_word* slot = &rc_words(o)[in_tail ? TAIL : ROOT];
  for (unsigned h = in_tail ? 0 : height_of(leaves); h > 0; h--) {
    if ((o = slot_own(slot)) == NULL) return NULL;
    slot = &rc_words(o)[way_to(i / WAYS, h)];
  }
  o = slot_own(slot);
  return o != NULL ? &rc_words(o)[i % WAYS] : NULL;
}

bool rc_vec_set(rc_word* v, size_t i, rc_word w) {
  rc_word* place = rc_vec_ref(v, i);
  if (place == NULL) return false;
  slot_set(place, w);
  return true;
}

/* ---- Growing --------------------------------------------------------------------------------- */

/* Puts h nodes, each the first child of the one above it, in the slot, which is RC_NIL. The place
** for the leaf below them; NULL and ENOMEM. */
static rc_word* chain_put(rc_word* slot, unsigned h) {
  rc_word chain = RC_NIL;
  rc_word* bottom = slot;
  for (; h > 0; h--) {
    rc_object* o = node_new(WAYS);
    if (o == NULL) return rc_dec_word(chain), NULL;
    if (chain == RC_NIL) bottom = rc_words(o);
    rc_words(o)[0] = chain;
    chain = rc_from(o);
  }
  *slot = chain;
  return bottom;
}

/* The place for a leaf beside a tree that is full: the tree becomes one higher. */
static rc_word* root_grow(rc_word* root, unsigned h) {
  rc_object* higher = node_new(WAYS);
  if (higher == NULL) return NULL;
  rc_word* bottom = chain_put(&rc_words(higher)[1], h);
  if (bottom == NULL) return rc_dec(higher), NULL;
  rc_words(higher)[0] = *root;
  *root = rc_from(higher);
  return bottom;
}

/* The place for a leaf behind the last one. NULL and ENOMEM; else a leaf must be put there. */
static rc_word* leaf_place(rc_word* root, size_t leaves) {
  unsigned h = height_of(leaves);
  if (leaves == 0) return root;
  if (leaves == (size_t)1 << BITS * h) return root_grow(root, h);
  rc_word* slot = root;
  for (; h > 0; h--) {
    if (*slot == RC_NIL) return chain_put(slot, h);
    rc_object* o = slot_own(slot);
    if (o == NULL) return NULL;
    slot = &rc_words(o)[way_to(leaves, h)];
  }
  return slot;
}

/* The words of `from`, given up, in a new tail with more room. NULL and ENOMEM. */
static rc_object* tail_larger(rc_object* from, size_t room) {
  rc_object* to = node_new(room);
  if (to == NULL) return NULL;
  size_t n = rc_length(from);
  memcpy(rc_words(to), rc_words(from), n * sizeof(rc_word));
  if (rc_is_unique(from)) {
    rc_free_known(from);
  } else {
    for (size_t i = 0; i < n; i++) rc_inc_word(rc_get(from, i));
    rc_dec(from);
  }
  return to;
}

/* Of a tail for n elements, or the first of them. */
static size_t room_for(size_t n) {
  size_t room = TAIL_LEAST;
  while (room < n && room < WAYS) room *= 2;
  return room;
}

/* Puts a vector with an empty tail in the slot, which is RC_NIL. */
static bool vec_begin(rc_word* slot, size_t room) {
  rc_object* v = rc_alloc(RC_TAG_VEC, VEC_FIELDS);
  if (v == NULL) return false;
  rc_init(v, LENGTH, rc_int(0));
  rc_init(v, ROOT, RC_NIL);
  rc_init(v, TAIL, RC_NIL);
  rc_object* tail = node_new(room);
  if (tail == NULL) return rc_dec(v), false;
  rc_words(v)[TAIL] = rc_from(tail);
  *slot = rc_from(v);
  return true;
}

/* The full tail goes to the tree, and a new one in its place, which is returned. */
static rc_object* tail_flush(rc_object* v, size_t length) {
  rc_object* tail = node_new(WAYS);
  if (tail == NULL) return NULL;
  rc_word* place = leaf_place(&rc_words(v)[ROOT], leaves_of(length));
  if (place == NULL) return rc_dec(tail), NULL;
  *place = rc_get(v, TAIL);
  rc_words(v)[TAIL] = rc_from(tail);
  return tail;
}

/* The tail of a vector that is one's own, made one's own, with room for one of n elements or more. */
static rc_object* tail_with_room(rc_object* v, size_t length, size_t n) {
  rc_word* slot = &rc_words(v)[TAIL];
  size_t used = tail_length(length);
  if (used == WAYS) return tail_flush(v, length);
  if (used < rc_length(rc_to(*slot))) return slot_own(slot);
  rc_object* larger = tail_larger(rc_to(*slot), room_for(n < WAYS ? used + n : WAYS));
  if (larger != NULL) *slot = rc_from(larger);
  return larger;
}

/* Where the next of n more elements go: the caller must put one there at least, and may put *room. NULL
** and ENOMEM. */
static rc_word* push_place(rc_word* v, size_t n, size_t* room) {
  size_t length = rc_vec_length(*v), used = length % WAYS;
  if (*v == RC_NIL && !vec_begin(v, room_for(n))) return NULL;
  rc_object* o = slot_own(v);
  rc_object* tail = o != NULL ? tail_with_room(o, length, n) : NULL;
  if (tail == NULL) return NULL;
  *room = rc_length(tail) - used;
  return &rc_words(tail)[used];
}

static void length_set(rc_word v, size_t n) { rc_set(rc_to(v), LENGTH, rc_int((int64_t)n)); }

bool rc_vec_push(rc_word* v, rc_word w) {
  size_t room;
  rc_word* place = push_place(v, 1, &room);
  if (place == NULL) return false;
  *place = w;
  length_set(*v, rc_vec_length(*v) + 1);
  return true;
}

size_t rc_vec_append(rc_word* v, const rc_word* words, size_t n) {
  size_t room;
  rc_word* place = push_place(v, n, &room);
  if (place == NULL) return 0;
  if (room > n) room = n;
  for (size_t i = 0; i < room; i++) place[i] = word_copy(words[i]);
  length_set(*v, rc_vec_length(*v) + room);
  return room;
}

/* Appends n borrowed words to a vector that is being made. On failure some may be there. */
static bool extend(rc_word* v, const rc_word* words, size_t n) {
  while (n > 0) {
    size_t done = rc_vec_append(v, words, n);
    if (done == 0) return false;
    words += done;
    n -= done;
  }
  return true;
}

rc_word rc_vec_from(const rc_word* words, size_t n) {
  rc_word v = RC_NIL;
  if (extend(&v, words, n)) return v;
  rc_dec_word(v);
  return 0;
}

rc_word rc_vec_slice(rc_word v, size_t from, size_t to) {
  rc_word slice = RC_NIL;
  size_t n;
  if (to > rc_vec_length(v)) to = rc_vec_length(v);
  for (size_t i = from; i < to; i += n) {
    const rc_word* words = rc_vec_chunk(v, i, &n);
    if (extend(&slice, words, n < to - i ? n : to - i)) continue;
    rc_dec_word(slice);
    return 0;
  }
  return slice;
}

/* ---- Shrinking ------------------------------------------------------------------------------- */

/* A tree that has the least height again: of a root with one child the child is left. */
static void root_shrink(rc_word* root) {
  rc_object* higher = rc_to(*root);
  *root = slot_take(&rc_words(higher)[0]);
  rc_dec(higher);
}

/* Takes the last leaf out of the tree, owned, and the nodes above it that have no other. 0 and
** ENOMEM. */
static rc_word leaf_take(rc_word* root, size_t leaves) {
  rc_word *slot = root, *cut = root;
  unsigned h = height_of(leaves);
  for (unsigned at = h; at > 0; at--) {
    rc_object* o = slot_own(slot);
    if (o == NULL) return 0;
    slot = &rc_words(o)[way_to(leaves - 1, at)];
    if (way_to(leaves - 1, at) > 0) cut = slot;
  }
  rc_word leaf = slot_take(slot);
  slot_set(cut, RC_NIL);
  if (h > height_of(leaves - 1)) root_shrink(root);
  return leaf;
}

/* The tail has lost its last element: the last leaf takes its place, or the vector is empty. */
static void tail_replace(rc_word* v, rc_word leaf) {
  if (leaf == RC_NIL)
    slot_set(v, RC_NIL);
  else
    rc_set(rc_to(*v), TAIL, leaf);
}

rc_word rc_vec_pop(rc_word* v) {
  size_t length = rc_vec_length(*v), used = tail_length(length), leaves = leaves_of(length);
  rc_word* place = length > 0 ? rc_vec_ref(v, length - 1) : NULL;
  if (place == NULL) return length > 0 ? 0 : fail(EINVAL);
  rc_word leaf = RC_NIL;
  if (used == 1 && leaves > 0) leaf = leaf_take(&rc_words(rc_to(*v))[ROOT], leaves);
  if (leaf == 0) return 0;
  rc_word last = slot_take(place);
  length_set(*v, length - 1);
  if (used == 1) tail_replace(v, leaf);
  return last;
}
