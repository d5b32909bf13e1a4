/* map.c: a compressed hash-array mapped prefix tree (CHAMP; see data.h).
**
** A map is an object of its count and the root. A node at level l < LAST has for each value of the
** hash's l-th five bits a pair, a child, or nothing: two bit maps tell which. Behind these lie first
** the pairs, key and value, then the children, each in the order of their bits. Nodes at LAST have
** pairs with equal hashes, in the order in which they came.
** But for the root, a node has two keys or more below it, so a map's tree depends on its keys alone
** (but for the order at LAST). What changes a node's size makes a new one, which takes over the words
** if nobody else sees the old one.
*/
#include "rc/data/internal.h"

enum { COUNT, ROOT, MAP_FIELDS };
enum { PAIRS, CHILDREN, WORDS }; /* the bit maps, and where the words begin */
enum { BITS = 5, WAYS = 1 << BITS, LAST = RC_MAP_LEVELS - 1 };
_Static_assert(LAST >= (64 + BITS - 1) / BITS, "at the last level no bit of a hash is left");

/* A key with all that a search needs. */
typedef struct probe {
  const rc_map_ops* ops;
  rc_word key;
  uint64_t hash;
} probe_t;

static probe_t probe_of(const rc_map_ops* ops, rc_word key) {
  return (probe_t){ops, key, ops->hash(key, ops->arg)};
}

static bool is_key(const probe_t* p, rc_word key) {
  return key == p->key || p->ops->equal(key, p->key, p->ops->arg);
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static uint32_t bits_of(rc_object* node, size_t map) {
  return (uint32_t)rc_to_int(rc_get(node, map));
}
static size_t bit_count(uint32_t bits) { return (size_t)__builtin_popcount(bits); }
static uint32_t bit_at(uint64_t hash, int level) {
  return 1u << (hash >> BITS * level & (WAYS - 1));
}

static size_t pairs_of(rc_object* node, int level) {
  return level == LAST ? (rc_length(node) - WORDS) / 2 : bit_count(bits_of(node, PAIRS));
}
static size_t children_of(rc_object* node) { return bit_count(bits_of(node, CHILDREN)); }

/* Where the words of the bit's pair, or its child, lie or would lie. */
static size_t pair_index(rc_object* node, uint32_t bit) {
  return WORDS + 2 * bit_count(bits_of(node, PAIRS) & (bit - 1));
}
static size_t child_index(rc_object* node, uint32_t bit) {
  return WORDS + 2 * pairs_of(node, 0) + bit_count(bits_of(node, CHILDREN) & (bit - 1));
}

static rc_object* node_new(size_t words, uint32_t pairs, uint32_t children) {
  rc_object* node = rc_alloc(RC_TAG_NODE, WORDS + words);
  if (node == NULL) return NULL;
  rc_init(node, PAIRS, rc_int(pairs));
  rc_init(node, CHILDREN, rc_int(children));
  return node;
}

/* What a node differs in from another: some words are left out, some put in (`at` counts without the
** former), and the bits change sides. */
typedef struct edit {
  size_t cut, cuts, at, puts;
  const rc_word* words;
  uint32_t pairs, children;
} edit_t;

/* A node as *slot says, but for the edit, takes that one's place. Takes the words put in, and gives
** up those left out. */
static bool node_replace(rc_word* slot, const edit_t* e) {
  rc_object* old = rc_to(*slot);
  size_t left = rc_length(old) - WORDS - e->cuts;
  rc_object* node = node_new(left + e->puts, bits_of(old, PAIRS) ^ e->pairs,
                             bits_of(old, CHILDREN) ^ e->children);
  if (node == NULL) return false;
  bool moved = rc_is_unique(old);
  rc_word *from = rc_words(old), *to = rc_words(node);
  for (size_t i = WORDS, k = WORDS; k < rc_length(node); k++) {
    if (k >= e->at && k < e->at + e->puts) {
      to[k] = e->words[k - e->at];
      continue;
    }
    if (i == e->cut) i += e->cuts;
    to[k] = moved ? from[i] : word_copy(from[i]);
    i++;
  }
  for (size_t i = e->cut; moved && i < e->cut + e->cuts; i++) rc_dec_word(from[i]);
  if (moved)
    rc_free_known(old);
  else
    rc_dec(old);
  *slot = rc_from(node);
  return true;
}

/* ---- Searching ------------------------------------------------------------------------------- */

/* The place in a node of a pair with the key; 0 if there is none. Key at the place, value behind. */
static size_t find_pair(rc_object* node, int level, const probe_t* p) {
  size_t at = WORDS, end = WORDS;
  if (level == LAST) {
    end = rc_length(node);
  } else if (bits_of(node, PAIRS) & bit_at(p->hash, level)) {
    at = pair_index(node, bit_at(p->hash, level));
    end = at + 2;
  }
  for (; at < end; at += 2)
    if (is_key(p, rc_get(node, at))) return at;
  return 0;
}

/* Where in a node the child lies in which the hash goes on; 0 if there is none. */
static size_t find_child(rc_object* node, int level, uint64_t hash) {
  if (level == LAST || !(bits_of(node, CHILDREN) & bit_at(hash, level))) return 0;
  return child_index(node, bit_at(hash, level));
}

size_t rc_map_count(rc_word m) {
  return m == RC_NIL ? 0 : (size_t)rc_to_int(rc_get(rc_to(m), COUNT));
}

static rc_object* root_of(rc_word m) { return rc_to(rc_get(rc_to(m), ROOT)); }

static rc_word find(rc_word m, const probe_t* p) {
  if (m == RC_NIL) return 0;
  rc_object* node = root_of(m);
  int level = 0;
  for (size_t child; (child = find_child(node, level, p->hash)) != 0; level++)
    node = rc_to(rc_get(node, child));
  size_t pair = find_pair(node, level, p);
  return pair != 0 ? rc_get(node, pair + 1) : 0;
}

rc_word rc_map_get(rc_word m, const rc_map_ops* ops, rc_word key) {
  probe_t p = probe_of(ops, key);
  return find(m, &p);
}

/* Makes the map's own what the hash meets above `level`, or above where its way ends. The slot of
** the node there, and in *level its level; NULL and ENOMEM. */
static rc_word* path_own(rc_word* m, uint64_t hash, int* level) {
  rc_object* o = slot_own(m);
  if (o == NULL) return NULL;
  rc_word* slot = &rc_words(o)[ROOT];
  for (int at = 0;; at++) {
    size_t child = find_child(rc_to(*slot), at, hash);
    if (at == *level || child == 0) return *level = at, slot;
    if ((o = slot_own(slot)) == NULL) return NULL;
    slot = &rc_words(o)[child];
  }
}

static rc_word* ref(rc_word* m, const probe_t* p) {
  int level = LAST;
  rc_word* slot = path_own(m, p->hash, &level);
  rc_object* node = slot != NULL ? slot_own(slot) : NULL;
  return node != NULL ? &rc_words(node)[find_pair(node, level, p) + 1] : NULL;
}

rc_word* rc_map_ref(rc_word* m, const rc_map_ops* ops, rc_word key) {
  probe_t p = probe_of(ops, key);
  if (find(*m, &p) == 0) return errno = EINVAL, NULL;
  return ref(m, &p);
}

/* ---- Inserting ------------------------------------------------------------------------------- */

static void count_add(rc_word m, int64_t n) {
  rc_set(rc_to(m), COUNT, rc_int((int64_t)rc_map_count(m) + n));
}

/* A node at `level` of one pair, with a copy of its words. 0 and ENOMEM. */
static rc_word node_of_pair(int level, uint64_t hash, const rc_word pair[2]) {
  rc_object* node = node_new(2, level < LAST ? bit_at(hash, level) : 0, 0);
  if (node == NULL) return 0;
  for (size_t i = 0; i < 2; i++) rc_init(node, WORDS + i, word_copy(pair[i]));
  return rc_from(node);
}

static bool insert_at(rc_word* slot, int level, uint64_t hash, const rc_word pair[2]) {
  edit_t e = {.puts = 2, .words = pair};
  if (level < LAST) e.pairs = bit_at(hash, level);
  e.at = level < LAST ? pair_index(rc_to(*slot), e.pairs) : rc_length(rc_to(*slot));
  return node_replace(slot, &e);
}

/* A node at `level` above one child. Takes the child, also when it fails. */
static rc_word node_above(int level, uint64_t hash, rc_word child) {
  rc_object* node = node_new(1, 0, bit_at(hash, level));
  if (node == NULL) return rc_dec_word(child), 0;
  rc_init(node, WORDS, child);
  return rc_from(node);
}

/* A tree at `level` of two pairs, with a copy of a's words, and taking b's. 0 and ENOMEM. */
static rc_word node_of_two(int level, uint64_t hash_a, const rc_word a[2], uint64_t hash_b,
                           const rc_word b[2]) {
  int part = level;
  while (part < LAST && bit_at(hash_a, part) == bit_at(hash_b, part)) part++;
  rc_word tree = node_of_pair(part, hash_a, a);
  if (tree == 0) return 0;
  for (size_t i = 0; i < 2; i++) rc_inc_word(b[i]);
  if (!insert_at(&tree, part, hash_b, b)) {
    rc_dec_word(b[0]), rc_dec_word(b[1]), rc_dec_word(tree);
    return 0;
  }
  while (tree != 0 && part > level) tree = node_above(--part, hash_a, tree);
  if (tree != 0) rc_dec_word(b[0]), rc_dec_word(b[1]);
  return tree;
}

/* The pair whose bit the new one shares goes down with that. */
static bool split(rc_word* slot, int level, const probe_t* p, const rc_word pair[2]) {
  rc_object* node = rc_to(*slot);
  uint32_t bit = bit_at(p->hash, level);
  size_t at = pair_index(node, bit);
  const rc_word* other = &rc_words(node)[at];
  rc_word tree = node_of_two(level + 1, p->ops->hash(other[0], p->ops->arg), other, p->hash, pair);
  if (tree == 0) return false;
  edit_t e = {at, 2, child_index(node, bit) - 2, 1, &tree, bit, bit};
  if (node_replace(slot, &e)) return true;
  rc_inc_word(pair[0]), rc_inc_word(pair[1]), rc_dec_word(tree);
  return false;
}

static bool map_new(rc_word* m, const probe_t* p, const rc_word pair[2]) {
  rc_object* o = rc_alloc(RC_TAG_MAP, MAP_FIELDS);
  if (o == NULL) return false;
  rc_word root = node_of_pair(0, p->hash, pair);
  if (root == 0) return rc_free_known(o), false;
  rc_init(o, COUNT, rc_int(1));
  rc_init(o, ROOT, root);
  *m = rc_from(o);
  for (size_t i = 0; i < 2; i++) rc_dec_word(pair[i]);
  return true;
}

/* The key is not there. */
static bool insert(rc_word* m, const probe_t* p, const rc_word pair[2]) {
  int level = LAST;
  if (*m == RC_NIL) return map_new(m, p, pair);
  rc_word* slot = path_own(m, p->hash, &level);
  if (slot == NULL) return false;
  bool shares = level < LAST && (bits_of(rc_to(*slot), PAIRS) & bit_at(p->hash, level));
  bool done = shares ? split(slot, level, p, pair) : insert_at(slot, level, p->hash, pair);
  if (done) count_add(*m, 1);
  return done;
}

bool rc_map_put(rc_word* m, const rc_map_ops* ops, rc_word key, rc_word value) {
  probe_t p = probe_of(ops, key);
  const rc_word pair[2] = {key, value};
  if (find(*m, &p) == 0) return insert(m, &p, pair);
  rc_word* place = ref(m, &p);
  if (place == NULL) return false;
  slot_set(place, value);
  rc_dec_word(key);
  return true;
}

/* ---- Removing -------------------------------------------------------------------------------- */

/* The way to a pair, and what will be done about it. */
typedef struct way {
  rc_object* node; /* that has the pair, */
  size_t pair;     /* here */
  int level;
  int branch; /* the lowest level above that where a node has something else, or 0 */
} way_t;

static bool way_find(rc_word m, const probe_t* p, way_t* w) {
  if (m == RC_NIL) return false;
  *w = (way_t){.node = root_of(m)};
  for (size_t child; (child = find_child(w->node, w->level, p->hash)) != 0; w->level++) {
    if (rc_length(w->node) > WORDS + 1) w->branch = w->level;
    w->node = rc_to(rc_get(w->node, child));
  }
  w->pair = find_pair(w->node, w->level, p);
  return w->pair != 0;
}

static bool remove_pair(rc_word* slot, const probe_t* p, const way_t* w) {
  edit_t e = {.cut = w->pair, .cuts = 2};
  if (w->level < LAST) e.pairs = bit_at(p->hash, w->level);
  return node_replace(slot, &e);
}

/* Of the node's two pairs the other goes up, to where it is not alone; what was between goes. */
static bool lift_other(rc_word* slot, const probe_t* p, const way_t* w) {
  uint32_t bit = bit_at(p->hash, w->branch);
  size_t other = w->pair == WORDS ? WORDS + 2 : WORDS;
  const rc_word pair[2] = {word_copy(rc_get(w->node, other)),
                           word_copy(rc_get(w->node, other + 1))};
  rc_object* node = rc_to(*slot);
  edit_t e = {child_index(node, bit), 1, pair_index(node, bit), 2, pair, bit, bit};
  if (node_replace(slot, &e)) return true;
  rc_dec_word(pair[0]), rc_dec_word(pair[1]);
  return false;
}

bool rc_map_remove(rc_word* m, const rc_map_ops* ops, rc_word key) {
  probe_t p = probe_of(ops, key);
  way_t w;
  if (!way_find(*m, &p, &w)) return true;
  if (rc_map_count(*m) == 1) {
    slot_set(m, RC_NIL);
    return true;
  }
  bool lift = w.level > 0 && rc_length(w.node) == WORDS + 4 && pairs_of(w.node, w.level) == 2;
  int level = lift ? w.branch : w.level;
  rc_word* slot = path_own(m, p.hash, &level);
  if (slot == NULL) return false;
  bool done = lift ? lift_other(slot, &p, &w) : remove_pair(slot, &p, &w);
  if (done) count_add(*m, -1);
  return done;
}

/* ---- Iteration: of each node first the pairs, then the children ------------------------------ */

rc_map_iter rc_map_begin(rc_word m) {
  rc_map_iter it = {.depth = -1};
  if (m != RC_NIL) it.node[it.depth = 0] = root_of(m);
  return it;
}

static void iter_descend(rc_map_iter* it, rc_word child) {
  it->depth++;
  it->node[it->depth] = rc_to(child);
  it->next[it->depth] = 0;
}

bool rc_map_next(rc_map_iter* it, rc_word* key, rc_word* value) {
  while (it->depth >= 0) {
    rc_object* node = it->node[it->depth];
    size_t pairs = pairs_of(node, it->depth), i = it->next[it->depth]++;
    if (i < pairs) {
      *key = rc_get(node, WORDS + 2 * i);
      *value = rc_get(node, WORDS + 2 * i + 1);
      return true;
    }
    if (i < pairs + children_of(node))
      iter_descend(it, rc_get(node, WORDS + pairs + i));
    else
      it->depth--;
  }
  return false;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static uint64_t integer_hash(rc_word key, void* arg) { return (void)arg, rc_big_hash(key); }
static bool integer_equal(rc_word a, rc_word b, void* arg) {
  return (void)arg, rc_big_compare(a, b) == 0;
}
static uint64_t string_hash(rc_word key, void* arg) { return (void)arg, rc_rope_hash(key); }
static bool string_equal(rc_word a, rc_word b, void* arg) {
  return (void)arg, rc_rope_length(a) == rc_rope_length(b) && rc_rope_compare(a, b) == 0;
}

const rc_map_ops rc_map_integers = {integer_hash, integer_equal, NULL};
const rc_map_ops rc_map_strings = {string_hash, string_equal, NULL};
