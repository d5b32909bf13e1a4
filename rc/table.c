/* table.c: a hash table of nodes by address. Chains grow by linear hashing (Litwin, VLDB 1980): for each node
** that is added up to two chains are split, and when there are more than twice as many as nodes, two are put
** together for each that is removed, but for those that the table is to keep. They are in blocks of 4 KiB. So
** no call is long, whatever the table has. If there is no memory to grow, the chains get longer, and no
** insertion fails.
**
** Addresses of one page of 4 KiB are in chains beside each other, since they are mostly looked up together. */
#include "rc/internal.h"

/* ---- Where chains are -------------------------------------------------------------------------- */

/* Block b is in directory 0, or in the one of as many blocks as all before. */
enum { BLOCK = 512, DIRECTORY = 16 };
static unsigned log2_of(size_t n) { return 63u - (unsigned)__builtin_clzl(n); }
static unsigned directory_of(size_t b) { return b < DIRECTORY ? 0 : log2_of(b / DIRECTORY) + 1; }
static size_t first_of(unsigned d) { return d == 0 ? 0 : (size_t)DIRECTORY << (d - 1); }
static size_t size_of(unsigned d) { return d == 0 ? DIRECTORY : first_of(d); }

/* Behind the first chains; in a directory that there is. */
static table_node*** block_at(const rc_table* t, size_t i) {
  size_t b = i / BLOCK;
  unsigned d = directory_of(b);
  return &t->directory[d][b - first_of(d)];
}

static table_node** chain_at(rc_table* t, size_t i) {
  return i < TABLE_FIRST ? &t->first[i] : &(*block_at(t, i))[i % BLOCK];
}

/* Pages go anywhere, in whatever steps their addresses are. */
static size_t hash_of(const void* key) {
  enum { PAGE_SHIFT = 12, CELL_SHIFT = 4 };
  static const size_t GOLDEN = 0x9e3779b97f4a7c15;
  size_t page = ((uintptr_t)key >> PAGE_SHIFT) * GOLDEN;
  page = (page ^ page >> 32) * GOLDEN >> 32;
  return page + ((uintptr_t)key % (1 << PAGE_SHIFT) >> CELL_SHIFT);
}

/* Chains up to the last power of two, and of the upper half those that were split off already. */
static table_node** chain_of(rc_table* t, const void* key) {
  size_t i = hash_of(key) & (2 * t->power - 1);
  return chain_at(t, i < t->chains ? i : i & (t->power - 1));
}

/* ---- More chains, and fewer -------------------------------------------------------------------- */

size_t table_wants(const rc_table* t) {
  if (t->chains == 0 || t->nodes < t->chains) return 0;
  unsigned d = directory_of(t->chains / BLOCK);
  if (t->directory[d] == NULL) return size_of(d) * sizeof(table_node**);
  return *block_at(t, t->chains) == NULL ? BLOCK * sizeof(table_node*) : 0;
}

static void take(rc_table* t, void* memory) {
  unsigned d = directory_of(t->chains / BLOCK);
  if (t->directory[d] == NULL)
    t->directory[d] = memory;
  else
    *block_at(t, t->chains) = memory;
}

static void chain_push(table_node** chain, table_node* node) {
  node->next = *chain;
  *chain = node;
}

static void nodes_move(rc_table* t, table_node* node) {
  for (table_node* next; node != NULL; node = next) {
    next = node->next;
    chain_push(chain_of(t, node->key), node);
  }
}

static void grow(rc_table* t) {
  table_node** from = chain_at(t, t->chains - t->power);
  table_node* node = *from;
  *from = NULL;
  if (++t->chains == 2 * t->power) t->power = t->chains;
  nodes_move(t, node);
}

/* The chain is the first of a block, or of a directory: that goes, too. */
static void block_end(rc_table* t, size_t chain) {
  unsigned d = directory_of(chain / BLOCK);
  mi_free(*block_at(t, chain));
  *block_at(t, chain) = NULL;
  if (chain / BLOCK != first_of(d)) return;
  mi_free(t->directory[d]);
  t->directory[d] = NULL;
}

static void shrink(rc_table* t) {
  table_node** last = chain_at(t, --t->chains);
  if (t->chains < t->power) t->power /= 2;
  table_node* node = *last;
  *last = NULL;
  nodes_move(t, node);
  if (t->chains % BLOCK == 0 || t->chains == TABLE_FIRST) block_end(t, t->chains);
}

/* ---- Nodes ------------------------------------------------------------------------------------- */

table_node* table_find(rc_table* t, const void* key) {
  if (t->chains == 0) return NULL;
  table_node* node = *chain_of(t, key);
  while (node != NULL && node->key != key) node = node->next;
  return node;
}

bool table_add(rc_table* t, table_node* node, void* memory, size_t bytes) {
  if (t->chains == 0) t->chains = t->power = TABLE_FIRST;
  bool taken = memory != NULL && table_wants(t) == bytes;
  if (taken) take(t, memory);
  for (int i = 0; i < 2 && t->nodes >= t->chains && table_wants(t) == 0; i++) grow(t);
  t->nodes++;
  chain_push(chain_of(t, node->key), node);
  return taken;
}

void table_enter(rc_table* t, table_node* node) {
  size_t wanted = table_wants(t);
  void* memory = wanted > 0 ? hushed_alloc(wanted) : NULL;
  if (!table_add(t, node, memory, wanted)) mi_free(memory);
}

static size_t chains_least(const rc_table* t) {
  size_t least = t->kept > TABLE_FIRST ? t->kept : TABLE_FIRST;
  return 2 * t->nodes > least ? 2 * t->nodes : least;
}

table_node* table_remove(rc_table* t, const void* key) {
  if (t->chains == 0) return NULL;
  table_node** at = chain_of(t, key);
  while (*at != NULL && (*at)->key != key) at = &(*at)->next;
  table_node* node = *at;
  if (node == NULL) return NULL;
  *at = node->next;
  t->nodes--;
  for (int i = 0; i < 2 && t->chains > chains_least(t); i++) shrink(t);
  return node;
}

void table_each(rc_table* t, void (*act)(table_node*, void*), void* arg) {
  for (size_t i = 0; i < t->chains; i++)
    for (table_node *next, *node = *chain_at(t, i); node != NULL; node = next) {
      next = node->next;
      act(node, arg);
    }
}

void table_end(rc_table* t) {
  for (unsigned d = 0; d < TABLE_DIRECTORIES; d++) {
    for (size_t b = 0; t->directory[d] != NULL && b < size_of(d); b++) mi_free(t->directory[d][b]);
    mi_free(t->directory[d]);
    t->directory[d] = NULL;
  }
  t->chains = 0;
}
