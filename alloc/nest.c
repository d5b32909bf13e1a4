/* nest.c: where compact tasks of the process's arena begin: NESTs of 32 KiB, side by side.
**
** A page of the system that is touched first costs more than all else that a small task does, and what gives it back
** half of that: so where tasks are many they should share huge ones. Nests are what they fill: the system's huge page is
** a GROUP of 64, one word of bits. The first few groups do without, for programs that have few tasks.
**
** A free nest is CLEAN, if it has no memory, else IDLE. A group with a huge page has no clean ones. Its page is
** given back as a whole when all nests are free; only if there are more idle nests than a share of those in use, and
** no such group, one is given back in parts, and its nests then have small pages until all are free again.
**
** A group is in the list that its bits say, of those by which nests are looked for in this order:
**   LOOSE   some are in use, and at least LOOSE_IDLE idle: those that are given back in parts
**   EMPTY   all are free, some idle
**   TIGHT   some are in use, some free, few of them idle
**   CLEAR   all are clean
**   FULL    none is free; this is no list
** Bound: memory of idle nests is at most that of an eighth of those in use, 8 MiB and 1/8 of the groups'. All is O(1)
** and a call of the system now and then, under one lock. */
#include "alloc/internal.h"

enum { GROUP_NESTS = 64, GROUP = GROUP_NESTS * NEST, GROUPS_A_TIME = CHUNK / GROUP };
enum { SMALL_GROUPS = 4, LOOSE_IDLE = 8, IDLE_SHARE = 8, IDLE_LEAST = 256 };
enum { LOOSE, EMPTY, TIGHT, CLEAR, LISTS, FULL = LISTS };
#define ALL_NESTS (~(uint64_t)0)

struct nest_group {
  uint64_t free, clean; /* clean ones are free, too */
  char* base;
  bool huge;
  uint8_t list;
  nest_group_t *next, *prev; /* in the list; a ring */
  nest_group_t* all;
};

pthread_mutex_t nests_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static nest_group_t* lists[LISTS];                      /* the first of each */
static nest_group_t* groups_all;
static size_t in_use, idle, idle_low; /* the least since the last decay */

/* ---- Groups and their lists ------------------------------------------------------------------ */

static uint64_t idle_bits(const nest_group_t* g) { return g->free & ~g->clean; }
static size_t idle_in(const nest_group_t* g) { return (size_t)__builtin_popcountll(idle_bits(g)); }

static unsigned list_of(const nest_group_t* g) {
  mi_assert((g->clean & ~g->free) == 0);
  if (g->free == 0) return FULL;
  if (g->clean == ALL_NESTS) return CLEAR;
  if (g->free == ALL_NESTS) return EMPTY;
  return idle_in(g) >= LOOSE_IDLE ? LOOSE : TIGHT;
}

static void unlist(nest_group_t* g) {
  if (g->list == FULL) return;
  if (lists[g->list] == g) lists[g->list] = g->next != g ? g->next : NULL;
  g->prev->next = g->next;
  g->next->prev = g->prev;
  g->list = FULL;
}

/* Behind the last: who comes first is used until it is full. */
static void enlist(nest_group_t* g, unsigned list) {
  nest_group_t* first = lists[list];
  g->list = (uint8_t)list;
  g->next = first != NULL ? first : g;
  g->prev = first != NULL ? first->prev : g;
  g->prev->next = g->next->prev = g;
  if (first == NULL) lists[list] = g;
}

static void settle(nest_group_t* g) {
  unsigned list = list_of(g);
  if (list == g->list) return;
  unlist(g);
  if (list != FULL) enlist(g, list);
}

/* Nobody has touched them. */
static bool add_groups(void) {
  nest_group_t* g = record_alloc(GROUPS_A_TIME * sizeof *g, 64);
  char* base = g != NULL && may_ask_system() ? os_map(CHUNK, GROUP) : NULL;
  if (base == NULL) return false;
  arena_count_mapped(&arena_main, CHUNK);
  for (size_t i = 0; i < GROUPS_A_TIME; i++, g++) {
    *g = (nest_group_t){ALL_NESTS, ALL_NESTS, base + i * GROUP, .list = FULL, .all = groups_all};
    groups_all = g;
    settle(g);
  }
  return true;
}

void nests_unmap(void) {
  for (nest_group_t* g = groups_all; g != NULL; g = g->all) os_unmap(g->base, GROUP);
}

/* ---- Giving back ----------------------------------------------------------------------------- */

static void purge_run(nest_group_t* g, unsigned first, unsigned end) {
  uint64_t bits = (end - first == GROUP_NESTS ? ALL_NESTS : ((uint64_t)1 << (end - first)) - 1)
                  << first;
  if (!os_purge(g->base + first * (size_t)NEST, (end - first) * (size_t)NEST)) return;
  idle -= end - first;
  g->clean |= bits;
}

/* All that is idle in it. What the system has split it must not make whole again, while few nests are in use. */
static void purge(nest_group_t* g) {
  if (g->huge && g->free != ALL_NESTS) os_want_no_huge_pages(g->base, GROUP);
  g->huge = false;
  for (uint64_t left; (left = idle_bits(g)) != 0;) {
    unsigned first = (unsigned)__builtin_ctzll(left);
    uint64_t behind = ~(left >> first);
    unsigned end = behind != 0 ? first + (unsigned)__builtin_ctzll(behind) : GROUP_NESTS;
    purge_run(g, first, end);
    if (idle_bits(g) == left) break; /* the system refuses */
  }
  settle(g);
}

/* The one that is needed last; false: there is none. */
static bool purge_one(void) {
  unsigned list = lists[EMPTY] != NULL ? EMPTY : LOOSE;
  if (lists[list] == NULL || option_value(mi_option_purge_delay) < 0) return false;
  purge(lists[list]->prev);
  return true;
}

void nests_purge(void) {
  pthread_mutex_lock(&nests_lock);
  for (nest_group_t* g = groups_all; g != NULL; g = g->all)
    if (idle_bits(g) != 0) purge(g);
  pthread_mutex_unlock(&nests_lock);
}

/* What nobody needed since the last time. */
void nests_decay(void) {
  pthread_mutex_lock(&nests_lock);
  if (idle_low > 0) purge_one();
  idle_low = idle;
  pthread_mutex_unlock(&nests_lock);
}

/* ---- Taking and giving ----------------------------------------------------------------------- */

static nest_group_t* find(void) {
  for (int i = 0; i < LISTS; i++)
    if (lists[i] != NULL) return lists[i];
  return add_groups() ? lists[CLEAR] : NULL;
}

/* A huge page is there as a whole from the first touch on. */
static void open(nest_group_t* g) {
  if (in_use < SMALL_GROUPS * GROUP_NESTS || !os_want_huge_pages(g->base, GROUP)) return;
  g->huge = true;
  g->clean = 0;
  idle += GROUP_NESTS;
}

static char* take_from(nest_group_t* g) {
  if (g->clean == ALL_NESTS) open(g);
  uint64_t from = idle_bits(g) != 0 ? idle_bits(g) : g->free;
  unsigned i = (unsigned)__builtin_ctzll(from);
  uint64_t bit = (uint64_t)1 << i;
  in_use++;
  idle -= (g->clean & bit) == 0;
  if (idle < idle_low) idle_low = idle;
  g->free &= ~bit;
  g->clean &= ~bit;
  settle(g);
  return g->base + i * (size_t)NEST;
}

char* nest_take(nest_group_t** group) {
  pthread_mutex_lock(&nests_lock);
  nest_group_t* g = *group = find();
  char* nest = g != NULL ? take_from(g) : NULL;
  pthread_mutex_unlock(&nests_lock);
  return nest;
}

void nest_give(nest_group_t* g, const char* nest) {
  uint64_t bit = (uint64_t)1 << (size_t)(nest - g->base) / NEST;
  pthread_mutex_lock(&nests_lock);
  mi_assert((g->free & bit) == 0);
  g->free |= bit;
  in_use--;
  idle++;
  settle(g);
  if (idle > IDLE_LEAST + in_use / IDLE_SHARE) purge_one();
  pthread_mutex_unlock(&nests_lock);
}
