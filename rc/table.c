/* table.c: a hash table of nodes by address. Chains grow by linear hashing (Litwin, VLDB 1980): a chain is
** split for each node that is added, so no insertion moves many. If there is no memory to grow, the chains
** get longer, and no insertion fails. */
#include "rc/internal.h"

static table_node** chain_at(rc_table* t, size_t i) {
  if (i < TABLE_FIRST) return &t->first[i];
  unsigned doubling = 63u - (unsigned)__builtin_clzl(i / TABLE_FIRST);
  return &t->segment[doubling][i - ((size_t)TABLE_FIRST << doubling)];
}

/* Chains up to the last power of two, and of the upper half those that were split off already. */
static size_t power_below(size_t chains) { return (size_t)1 << (63 - __builtin_clzl(chains)); }

static table_node** chain_of(rc_table* t, const void* key) {
  size_t hash = (uintptr_t)key * (uintptr_t)0x9e3779b97f4a7c15 >> 16,
         power = power_below(t->chains);
  size_t i = hash & (2 * power - 1);
  return chain_at(t, i < t->chains ? i : i & (power - 1));
}

static void chain_push(table_node** chain, table_node* node) {
  node->next = *chain;
  *chain = node;
}

static unsigned doubling_of(const rc_table* t) {
  return 63u - (unsigned)__builtin_clzl(t->chains / TABLE_FIRST);
}

size_t table_wants(const rc_table* t) {
  if (t->chains == 0 || t->nodes < t->chains || t->segment[doubling_of(t)] != NULL) return 0;
  return ((size_t)TABLE_FIRST << doubling_of(t)) * sizeof(table_node*);
}

static void grow(rc_table* t) {
  table_node** from = chain_at(t, t->chains - power_below(t->chains));
  table_node* node = *from;
  t->chains++;
  *from = NULL;
  for (table_node* next; node != NULL; node = next) {
    next = node->next;
    chain_push(chain_of(t, node->key), node);
  }
}

table_node* table_find(rc_table* t, const void* key) {
  if (t->chains == 0) return NULL;
  table_node* node = *chain_of(t, key);
  while (node != NULL && node->key != key) node = node->next;
  return node;
}

bool table_add(rc_table* t, table_node* node, void* memory, size_t bytes) {
  if (t->chains == 0) t->chains = TABLE_FIRST;
  bool taken = memory != NULL && table_wants(t) == bytes;
  if (taken) t->segment[doubling_of(t)] = memory;
  if (t->nodes >= t->chains && t->segment[doubling_of(t)] != NULL) grow(t);
  t->nodes++;
  chain_push(chain_of(t, node->key), node);
  return taken;
}

void table_enter(rc_table* t, table_node* node) {
  size_t wanted = table_wants(t);
  void* memory = wanted > 0 ? hushed_alloc(wanted) : NULL;
  if (!table_add(t, node, memory, wanted)) mi_free(memory);
}

table_node* table_remove(rc_table* t, const void* key) {
  table_node** at = chain_of(t, key);
  while ((*at)->key != key) at = &(*at)->next;
  table_node* node = *at;
  *at = node->next;
  if (--t->nodes == 0) table_end(t);
  return node;
}

void table_each(const rc_table* t, void (*act)(table_node*, void*), void* arg) {
  for (size_t i = 0; i < t->chains; i++)
    for (table_node *next, *node = *chain_at((rc_table*)(uintptr_t)t, i); node != NULL;
         node = next) {
      next = node->next;
      act(node, arg);
    }
}

void table_end(rc_table* t) {
  for (unsigned i = 0; i < TABLE_DOUBLINGS && t->segment[i] != NULL; i++) {
    mi_free(t->segment[i]);
    t->segment[i] = NULL;
  }
  t->chains = 0;
}
