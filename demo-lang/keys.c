/* keys.c: a new key comes into a table; and how texts are looked for.
**
** Lua keeps keys in nodes, by Brent's variation of chained scatter tables: a node is at its main place unless
** one that belongs there had it first; who is in the way elsewhere moves to a free node (Brent: "Reducing the
** retrieval time of scatter storage techniques", 1973). When no node is free all keys are counted, and the
** table gets the largest array of which more than a half is used, and nodes for the others. liblua's own
** function does it for all types of keys and tables, a call for each part; this one for the usual ones: a key
** that needs no conversion, a table whose array does not shrink. Nodes, arrays and their order come out the
** same, which known.c verifies; work that is not done costs no ticks. */
#include "demo-lang/keys.h"

#include "demo-lang/objects.h"
#include "demo-lang/count/steps.h"

enum { SHORT_TEXT = 0x44, LONG_TEXT = 0x54, INTEGER = 0x03, FLOAT = 0x13, HASH = 12 };

void luaC_barrierback_(lua_State* L, table* t);

static inline void copy_value(slot* to, const slot* from) {
  to->value = from->value;
  to->type = from->type;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static inline node* main_node(const table* t, unsigned type, uint64_t bits) {
  size_t last = node_count(t) - 1;
  if (type == SHORT_TEXT) {
    const uint32_t* hash = (const uint32_t*)(uintptr_t)(bits + HASH);
    return &t->nodes[*hash & last];
  }
  if (type == INTEGER && bits <= INT32_MAX) return &t->nodes[(uint32_t)bits % (uint32_t)(last | 1)];
  return &t->nodes[chains_place(type, bits, t->node_bits)];
}

static inline node* free_node(table* t) {
  while (t->last_free > t->nodes)
    if ((--t->last_free)->value.key_type == 0) return t->last_free;
  return NULL;
}

/* The node that is in the way goes to a free one. */
static void move(node* n, node* before, node* to) {
  while (before + before->value.next != n) before += before->value.next;
  before->value.next = (int32_t)(to - before);
  *to = *n;
  if (n->value.next != 0) {
    to->value.next += (int32_t)(n - to);
    n->value.next = 0;
  }
}

/* Another node for a key whose main node is in use, or that one, if the key that it has goes; NULL: none is free. */
static __attribute__((noinline)) node* second_node(table* t, node* n) {
  node* to = free_node(t);
  if (to == NULL) return NULL;
  node* other = main_node(t, n->value.key_type, n->key);
  if (other != n) {
    move(n, other, to);
    return n;
  }
  to->value.next = n->value.next != 0 ? (int32_t)(n + n->value.next - to) : 0;
  n->value.next = (int32_t)(to - n);
  return to;
}

static inline bool is_white(uint64_t at) {
  return (((const struct object*)(uintptr_t)at)->marked & WHITES) != 0;
}

/* A key that is not in the table; false: no node is free. What the collector must know of the value is told by
** who calls luaH_finishset. */
static inline bool put_key(lua_State* L, table* t, unsigned type, uint64_t bits,
                           const slot* value) {
  if (!has_nodes(t)) return false;
  node* n = main_node(t, type, bits);
  if (!is_empty(&n->value) && (n = second_node(t, n)) == NULL) return false;
  n->key = bits;
  n->value.key_type = (uint8_t)type;
  copy_value(&n->value, value);
  if ((type & COLLECTED) != 0 && (t->marked & BLACK) != 0 && is_white(bits))
    luaC_barrierback_(L, t);
  return true;
}

/* ---- A table grows --------------------------------------------------------------------------- */

/* Integers by their logarithms: a slice has those above 2^(i - 1), up to 2^i. */
enum { SLICES = 32 };

static inline bool may_be_index(uint64_t k) { return k - 1 < (uint64_t)1 << (SLICES - 1); }
static inline unsigned log_above(uint64_t n) {
  return n > 1 ? 64 - (unsigned)__builtin_clzll(n - 1) : 0;
}

static uint32_t count_array(const table* t, size_t size, uint32_t in[SLICES]) {
  uint32_t all = 0;
  size_t i = 0;
  for (unsigned slice = 0; i < size; slice++) {
    size_t end = (size_t)1 << slice < size ? (size_t)1 << slice : size;
    uint32_t n = 0;
    for (; i < end; i++) n += !is_empty(&t->array[i]);
    in[slice] += n;
    all += n;
  }
  return all;
}

static uint32_t count_nodes(const table* t, uint32_t in[SLICES], uint32_t* indices) {
  uint32_t all = 0;
  if (!has_nodes(t)) return 0;
  for (const node *n = t->nodes, *end = n + node_count(t); n < end; n++) {
    if (is_empty(&n->value)) continue;
    all++;
    if (n->value.key_type != INTEGER || !may_be_index(n->key)) continue;
    in[log_above(n->key)]++;
    (*indices)++;
  }
  return all;
}

typedef struct sizes {
  uint32_t array, others;
} sizes;

/* With the new key. */
static sizes find_sizes(const table* t, size_t old, unsigned type, uint64_t bits) {
  uint32_t in[SLICES] = {0};
  uint32_t indices = count_array(t, old, in), all = indices + 1;
  all += count_nodes(t, in, &indices);
  if (type == INTEGER && may_be_index(bits)) {
    in[log_above(bits)]++;
    indices++;
  }
  sizes best = {0, all};
  uint32_t sum = 0;
  for (unsigned i = 0; i < SLICES && indices > (uint64_t)1 << i >> 1; i++) {
    sum += in[i];
    if (sum > (uint64_t)1 << i >> 1) best = (sizes){(uint32_t)1 << i, all - sum};
  }
  return best;
}

static inline bool is_full(const table* t, size_t size) {
  size_t i = 0;
  while (i < size && !is_empty(&t->array[i])) i++;
  return i == size;
}

/* The same, with less to count: an array alone that was filled and gets the next element; and no integer at all. */
static inline sizes sizes_with(const table* t, size_t old, unsigned type, uint64_t bits) {
  bool next = type == INTEGER && bits == old + 1 && may_be_index(bits);
  if (next && !has_nodes(t) && is_full(t, old)) return (sizes){(uint32_t)1 << log_above(bits), 0};
  if (old != 0 || type == INTEGER) return find_sizes(t, old, type, bits);
  uint32_t all = 1;
  if (!has_nodes(t)) return (sizes){0, all};
  for (const node *n = t->nodes, *end = n + node_count(t); n < end; n++) {
    if (is_empty(&n->value)) continue;
    if (n->value.key_type == INTEGER) return find_sizes(t, old, type, bits);
    all++;
  }
  return (sizes){0, all};
}

/* There is room for it; an integer may be an index. */
static __attribute__((noinline)) void put(lua_State* L, table* t, unsigned type, uint64_t bits,
                                          const slot* value) {
  if (type == INTEGER && bits - 1 < t->array_limit)
    copy_value(&t->array[bits - 1], value);
  else
    (void)put_key(L, t, type, bits, value);
}

/* The array does not shrink. Keys are put into the new nodes in the order of the old ones. */
static void resize(lua_State* L, table* t, uint32_t old_array, sizes to) {
  table old = *t;
  table nodes = {.nodes = objects_empty.nodes};
  if (to.others != 0) objects_new_nodes(L, &nodes, log_above(to.others));
  if (to.array > old_array && !objects_grow_array(L, t, old_array, to.array)) {
    if (to.others != 0) __wrap_luaM_free_(L, nodes.nodes, node_count(&nodes) * sizeof(node));
    luaD_throw(L, LUA_ERRMEM);
  }
  t->nodes = nodes.nodes;
  t->node_bits = nodes.node_bits;
  t->last_free = nodes.last_free;
  if (!has_nodes(&old)) return;
  for (const node *n = old.nodes, *end = n + node_count(&old); n < end; n++)
    if (!is_empty(&n->value)) put(L, t, n->value.key_type, n->key, &n->value);
  __wrap_luaM_free_(L, old.nodes, node_count(&old) * sizeof(node));
}

/* False: it would shrink, or get very large; nothing has happened. To count an array is paid for here, since one that
** stays is not asked for again, and nodes where they are allocated. */
static bool grow(lua_State* L, table* t, unsigned type, uint64_t bits) {
  enum { MOST = 1 << 24, SLOTS = 64 };
  size_t old = array_count(t);
  steps_take(old / SLOTS);
  sizes to = sizes_with(t, old, type, bits);
  if (to.array < old || to.array > MOST || to.others > MOST) return false;
  t->array_limit = (uint32_t)old;
  t->flags &= (uint8_t)~LIMIT_IS_LESS;
  resize(L, t, (uint32_t)old, to);
  return true;
}

/* ---- A new key ------------------------------------------------------------------------------- */

static __attribute__((noinline)) bool grow_and_put(lua_State* L, table* t, const slot* at,
                                                   const slot* value) {
  bool grown = grow(L, t, at->type, at->value);
  if (grown) put(L, t, at->type, at->value, value);
  return grown;
}

bool keys_add(lua_State* L, table* t, const slot* at, const slot* value) {
  unsigned type = at->type;
  if (is_empty(at) || is_empty(value) || type == FLOAT || type == LONG_TEXT) return false;
  return put_key(L, t, type, at->value, value) || grow_and_put(L, t, at, value);
}

/* ---- A text is looked for -------------------------------------------------------------------- */

const slot* keys_absent;

static inline const slot* find(const table* t, uint64_t text, const slot* absent) {
  const node* n = main_node(t, SHORT_TEXT, text);
  while (n->value.key_type != SHORT_TEXT || n->key != text) {
    if (n->value.next == 0) return absent;
    n += n->value.next;
  }
  return &n->value;
}

const slot* keys_find(const table* t, const slot* text, const slot* absent) {
  return find(t, text->value, absent);
}

const slot* __real_luaH_get(const table* t, const slot* key);
const slot* __wrap_luaH_get(const table* t, const slot* key) {
  bool quick = key->type == SHORT_TEXT && keys_absent != NULL;
  return quick ? find(t, key->value, keys_absent) : __real_luaH_get(t, key);
}

const slot* __real_luaH_getstr(const table* t, const object* text);
const slot* __wrap_luaH_getstr(const table* t, const object* text) {
  bool quick = text->type == (SHORT_TEXT & ~COLLECTED) && keys_absent != NULL;
  return quick ? find(t, (uintptr_t)text, keys_absent) : __real_luaH_getstr(t, text);
}
