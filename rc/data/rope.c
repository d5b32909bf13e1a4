/* rope.c: strings as balanced trees of byte strings.
**
** A rope is RC_NIL, a leaf (RC_BYTES, not empty if it is below a node), or a node of two ropes, with
** their length in all and its height in one integer. The heights of a node's two sides differ by at
** most 1 (AVL), so that of n leaves is below 1.45 log2(n) + 1.
** Two trees are joined where one spine of the taller has come down to the height of the other; above
** that one double rotation or a few single ones restore the balance (Blelloch, Ferizovic, Sun, "Just
** Join", 2016). Only nodes are changed that were made one's own before.
*/
#include "rc/data/internal.h"

enum { SIZE, LEFT, RIGHT, ROPE_FIELDS };
enum { HEIGHT_BITS = 8, HEIGHT_MAX = 72 /* more than that of 2^48 leaves */ };
static const size_t LENGTH_LIMIT = (size_t)1 << 48; /* which sharing reaches without memory */

typedef int side_t; /* LEFT or RIGHT */
static side_t other(side_t s) { return LEFT + RIGHT - s; }

/* ---- Nodes ----------------------------------------------------------------------------------- */

/* Of a rope that is not RC_NIL. */
static bool is_leaf(rc_word r) { return rc_to(r)->kind == RC_BYTES; }
static bool is_node(rc_word r) { return !is_leaf(r); }

static uint64_t size_of(rc_word r) { return (uint64_t)rc_to_int(rc_get(rc_to(r), SIZE)); }
static unsigned height(rc_word r) {
  return is_node(r) ? (unsigned)(size_of(r) & ((1u << HEIGHT_BITS) - 1)) : 0;
}

size_t rc_rope_length(rc_word r) {
  if (r == RC_NIL) return 0;
  return is_node(r) ? size_of(r) >> HEIGHT_BITS : rc_length(rc_to(r));
}

static rc_word* child(rc_object* node, side_t s) { return &rc_words(node)[s]; }

/* Two ropes in a node, which is one's own. */
static void node_fill(rc_object* node, side_t s, rc_word inner, rc_word outer) {
  uint64_t length = rc_rope_length(inner) + rc_rope_length(outer);
  unsigned a = height(inner), b = height(outer);
  rc_init(node, SIZE, rc_int((int64_t)(length << HEIGHT_BITS | (1 + (a > b ? a : b)))));
  rc_init(node, (size_t)other(s), inner);
  rc_init(node, (size_t)s, outer);
}

static void node_update(rc_object* node) {
  node_fill(node, RIGHT, rc_get(node, LEFT), rc_get(node, RIGHT));
}

static rc_object* leaf_new(const char* a, size_t n, const char* b, size_t m) {
  rc_object* o = rc_bytes(RC_TAG_ROPE, n + m);
  if (o == NULL) return NULL;
  memcpy(rc_data(o), a, n);
  if (m > 0) memcpy(rc_data(o) + n, b, m);
  return o;
}

/* ---- Joining --------------------------------------------------------------------------------- */

/* The nodes on one side of a tree, from the root down, all one's own; and what is below the last. */
typedef struct spine {
  side_t side;
  int depth;
  rc_object* node[HEIGHT_MAX];
  rc_word* slot;
} spine_t;

/* Down to the first rope that is not higher than `to`. False and ENOMEM. */
static bool spine_own(spine_t* s, rc_word* r, side_t side, unsigned to) {
  s->side = side;
  s->depth = 0;
  s->slot = r;
  while (height(*s->slot) > to) {
    rc_object* o = slot_own(s->slot);
    if (o == NULL) return false;
    s->node[s->depth++] = o;
    s->slot = child(o, side);
  }
  return true;
}

/* The outer child is too high by 1, and itself higher outside: it comes up.
**   o(l, c(i, t))  becomes  o(c(l, i), t) */
static void rotate(rc_object* o, side_t s) {
  rc_word up = *child(o, s), l = *child(o, other(s));
  rc_object* c = rc_to(up);
  rc_word t = *child(c, s);
  node_fill(c, s, l, *child(c, other(s)));
  node_fill(o, s, up, t);
}

/* Lengths and heights are brought up to date and in balance, from the lowest node up. */
static void spine_update(const spine_t* s) {
  for (int i = s->depth; i-- > 0;) {
    rc_object* o = s->node[i];
    if (height(*child(o, s->side)) > height(*child(o, other(s->side))) + 1)
      rotate(o, s->side);
    else
      node_update(o);
  }
}

/* Would a node one higher than what is at the end of the spine be too high there? */
static bool spine_is_full(const spine_t* s) {
  if (s->depth == 0) return false;
  return height(*s->slot) > height(*child(s->node[s->depth - 1], other(s->side)));
}

/* What is at the end of a full spine is one higher than r, and has two sides: they part.
**   p(l, c(i, t)) and r  become  p(c(l, i), fresh(t, r)) */
static void part(spine_t* s, rc_object* fresh, rc_word r) {
  rc_object* p = s->node[s->depth - 1];
  rc_word parted = *s->slot;
  rc_object* c = rc_to(parted);
  node_fill(fresh, s->side, *child(c, s->side), r);
  node_fill(c, s->side, *child(p, other(s->side)), *child(c, other(s->side)));
  node_fill(p, s->side, parted, rc_from(fresh));
}

/* Joins r, taken, to that side of *tall, which is as high or higher. */
static bool join(rc_word* tall, rc_word r, side_t side) {
  spine_t s;
  rc_object* fresh = rc_alloc(RC_TAG_ROPE, ROPE_FIELDS);
  if (fresh == NULL) return false;
  bool owned = spine_own(&s, tall, side, height(r) + 1);
  bool full = owned && spine_is_full(&s);
  if (!owned || (full && slot_own(s.slot) == NULL)) return rc_free_known(fresh), false;
  if (full) {
    part(&s, fresh, r);
  } else {
    node_fill(fresh, side, *s.slot, r);
    *s.slot = rc_from(fresh);
  }
  spine_update(&s);
  return true;
}

/* The leaf on that side. */
static rc_word edge(rc_word r, side_t s) {
  while (is_node(r)) r = rc_get(rc_to(r), (size_t)s);
  return r;
}

static bool is_small(rc_word a, rc_word b) {
  return is_leaf(a) && is_leaf(b) && rc_rope_length(a) + rc_rope_length(b) <= RC_ROPE_LEAF;
}

/* Puts a leaf, taken, together with the one on that side of *r. */
static bool fuse(rc_word* r, rc_word leaf, side_t side) {
  spine_t s;
  if (!spine_own(&s, r, side, 0)) return false;
  rc_object* a = rc_to(side == RIGHT ? *s.slot : leaf);
  rc_object* b = rc_to(side == RIGHT ? leaf : *s.slot);
  rc_object* both = leaf_new(rc_data(a), rc_length(a), rc_data(b), rc_length(b));
  if (both == NULL) return false;
  slot_set(s.slot, rc_from(both));
  rc_dec_word(leaf);
  spine_update(&s);
  return true;
}

static bool attach(rc_word* tall, rc_word r, side_t s) {
  return is_small(edge(*tall, s), r) ? fuse(tall, r, s) : join(tall, r, s);
}

/* Puts r, taken, in front of *end, taken; the result in *end. If it fails, both are as they were: what
** others see is changed in a copy. */
static bool prepend(rc_word* end, rc_word r) {
  if (rc_is_unique(rc_to(*end))) return attach(end, r, LEFT);
  rc_word all = word_copy(*end);
  if (!attach(&all, r, LEFT)) return rc_dec_word(all), false;
  slot_set(end, all);
  return true;
}

bool rc_rope_append(rc_word* r, rc_word end) {
  if (rc_rope_length(end) == 0) return rc_dec_word(end), true;
  if (rc_rope_length(*r) == 0) return slot_set(r, end), true;
  if (rc_rope_length(*r) + rc_rope_length(end) >= LENGTH_LIMIT) return fail(EINVAL);
  if (height(*r) >= height(end)) return attach(r, end, RIGHT);
  if (!prepend(&end, *r)) return false;
  *r = end;
  return true;
}

/* ---- Making ---------------------------------------------------------------------------------- */

/* Puts a new leaf, or NULL if there was no memory for it, behind *r; if that fails *r is given up. */
static bool append_leaf(rc_word* r, rc_object* leaf) {
  if (leaf != NULL && rc_rope_append(r, rc_from(leaf))) return true;
  if (leaf != NULL) rc_dec(leaf);
  rc_dec_word(*r);
  return false;
}

rc_word rc_rope_from(const char* bytes, size_t n) {
  rc_word r = RC_NIL;
  for (size_t part; n > 0; bytes += part, n -= part) {
    part = n < RC_ROPE_LEAF ? n : RC_ROPE_LEAF;
    if (!append_leaf(&r, leaf_new(bytes, part, NULL, 0))) return 0;
  }
  return r;
}

/* Of a rope that is not empty, from < to <= length. Recurs once a level. */
static rc_word slice(rc_word r, size_t from, size_t to) {
  if (from == 0 && to == rc_rope_length(r)) return word_copy(r);
  if (is_leaf(r)) {
    rc_object* leaf = leaf_new(rc_data(rc_to(r)) + from, to - from, NULL, 0);
    return leaf != NULL ? rc_from(leaf) : 0;
  }
  rc_word left = rc_get(rc_to(r), LEFT), right = rc_get(rc_to(r), RIGHT);
  size_t middle = rc_rope_length(left);
  if (to <= middle) return slice(left, from, to);
  if (from >= middle) return slice(right, from - middle, to - middle);
  rc_word a = slice(left, from, middle);
  if (a == 0) return 0;
  rc_word b = slice(right, 0, to - middle);
  if (b != 0 && rc_rope_append(&a, b)) return a;
  if (b != 0) rc_dec_word(b);
  rc_dec_word(a);
  return 0;
}

rc_word rc_rope_slice(rc_word r, size_t from, size_t to) {
  if (to > rc_rope_length(r)) to = rc_rope_length(r);
  return from < to ? slice(r, from, to) : RC_NIL;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* One level down on the way to byte *i, which becomes its number there. */
static side_t way_to(rc_word r, size_t* i) {
  size_t middle = rc_rope_length(rc_get(rc_to(r), LEFT));
  if (*i < middle) return LEFT;
  *i -= middle;
  return RIGHT;
}

const char* rc_rope_chunk(rc_word r, size_t i, size_t* n) {
  if (i >= rc_rope_length(r)) return NULL;
  while (is_node(r)) r = rc_get(rc_to(r), (size_t)way_to(r, &i));
  *n = rc_length(rc_to(r)) - i;
  return rc_data(rc_to(r)) + i;
}

int rc_rope_get(rc_word r, size_t i) {
  size_t n;
  const char* byte = rc_rope_chunk(r, i, &n);
  return byte != NULL ? (unsigned char)*byte : -1;
}

bool rc_rope_set(rc_word* r, size_t i, char byte) {
  if (i >= rc_rope_length(*r)) return fail(EINVAL);
  rc_object* o = slot_own(r);
  while (o != NULL && o->kind == RC_FIELDS) {
    side_t s = way_to(rc_from(o), &i);
    o = slot_own(child(o, s));
  }
  if (o == NULL) return false;
  rc_data(o)[i] = byte;
  return true;
}

bool rc_rope_flatten(rc_word* r) {
  size_t length = rc_rope_length(*r), n;
  if (length == 0) return slot_set(r, RC_NIL), true;
  if (is_leaf(*r)) return true;
  rc_object* flat = rc_bytes(RC_TAG_ROPE, length);
  if (flat == NULL) return false;
  for (size_t i = 0; i < length; i += n) {
    const char* bytes = rc_rope_chunk(*r, i, &n);
    memcpy(rc_data(flat) + i, bytes, n);
  }
  slot_set(r, rc_from(flat));
  return true;
}

int rc_rope_compare(rc_word a, rc_word b) {
  size_t n, m;
  for (size_t i = 0;; i += n < m ? n : m) {
    const char* p = rc_rope_chunk(a, i, &n);
    const char* q = rc_rope_chunk(b, i, &m);
    if (p == NULL || q == NULL) return (p != NULL) - (q != NULL);
    int order = memcmp(p, q, n < m ? n : m);
    if (order != 0) return order;
  }
}

/* FNV-1a (Fowler, Noll, Vo), and spread. */
uint64_t rc_rope_hash(rc_word r) {
  uint64_t hash = 0xcbf29ce484222325u;
  const char* bytes;
  for (size_t i = 0, n; (bytes = rc_rope_chunk(r, i, &n)) != NULL; i += n)
    for (size_t k = 0; k < n; k++) hash = (hash ^ (unsigned char)bytes[k]) * 0x100000001b3u;
  return hash_mix(hash);
}
