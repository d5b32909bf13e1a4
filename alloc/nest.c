/* nest.c: where tasks that begin as copies have their first blocks: NESTs of 32 or 36 KiB (or, where that is
** none, the next whole number of the system's pages: they are given back one by one), side by side.
**
** A page of the system that is touched first costs more than all else that a copy takes, and to give it back is
** half of that: so where tasks are many they should share huge ones. Nests are what they fill: the system's
** huge page is a GROUP of nests of one size, with a word that has a bit for each. The first few groups do
** without, for programs that have few tasks.
**
** A free nest is CLEAN, if it has no memory, else IDLE. A group with a huge page has no clean ones. Its page is
** given back as a whole when all nests are free; only if there are more idle nests than a share of those in use, and
** no such group, one is given back in parts, and its nests then have small pages until all are free again.
**
** A group is in the list that its bits say, of those in which nests are looked for, in this order:
**   LOOSE   some are in use, and LOOSE_IDLE or more idle: these are the ones that are given back in parts
**   EMPTY   all are free, some idle
**   TIGHT   some are in use, some free, few of them idle
**   clear   all are clean; these may become a group of the other size
** (If none is free it is in no list.)
** Bound: the memory of idle nests is at most that of IDLE_LEAST and an eighth of those in use, of LOOSE_IDLE in each
** group that has some in use, and of a group. All is O(1), but for calls of the system, under one lock. */
#include "alloc/internal.h"

enum { GROUP = 2 * 1024 * 1024, GROUPS_A_TIME = CHUNK / GROUP };
enum { WITHOUT_HUGE = 256, LOOSE_IDLE = 8, IDLE_SHARE = 8, IDLE_LEAST = 256 }; /* nests */
enum { LOOSE, EMPTY, TIGHT, LISTS };
enum { SIZES = 2 };
static const uint32_t sizes[SIZES] = {32 * 1024, NEST_MOST};

struct nest_group {
  uint64_t all;         /* a bit for each nest */
  uint64_t free, clean; /* of these; clean ones are free, too */
  char* base;
  uint32_t size; /* of a nest */
  bool huge;
  nest_group_t** list;       /* that it is in, or NULL */
  nest_group_t *next, *prev; /* in the list; a ring */
  nest_group_t* before;      /* of all */
};

pthread_mutex_t nests_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static nest_group_t* lists[SIZES][LISTS];               /* the first of each */
static nest_group_t* clear;
static nest_group_t* last_group;
static size_t in_use, idle, idle_low; /* the least since the last decay */

/* ---- Groups and their lists ------------------------------------------------------------------ */

static uint64_t idle_bits(const nest_group_t* g) { return g->free & ~g->clean; }
static size_t idle_in(const nest_group_t* g) { return (size_t)__builtin_popcountll(idle_bits(g)); }

static unsigned index_of(uint32_t size) { return size > sizes[0]; }

static size_t nest_size(size_t least) {
  size_t page = os_page_size();
  return (sizes[index_of((uint32_t)least)] + page - 1) & ~(page - 1);
}

static nest_group_t** list_of(const nest_group_t* g) {
  mi_assert((g->clean & ~g->free) == 0 && (g->free & ~g->all) == 0);
  if (g->free == 0) return NULL;
  if (g->clean == g->all) return &clear;
  bool loose = idle_in(g) >= LOOSE_IDLE;
  return &lists[index_of(g->size)][g->free == g->all ? EMPTY : loose ? LOOSE : TIGHT];
}

static void unlist(nest_group_t* g) {
  if (*g->list == g) *g->list = g->next != g ? g->next : NULL;
  g->prev->next = g->next;
  g->next->prev = g->prev;
}

/* Behind the last: who comes first is used until it is full. */
static void enlist(nest_group_t* g) {
  nest_group_t* first = *g->list;
  g->next = first != NULL ? first : g;
  g->prev = first != NULL ? first->prev : g;
  g->prev->next = g->next->prev = g;
  if (first == NULL) *g->list = g;
}

static void settle(nest_group_t* g) {
  nest_group_t** list = list_of(g);
  if (list == g->list) return;
  if (g->list != NULL) unlist(g);
  g->list = list;
  if (list != NULL) enlist(g);
}

/* Nobody has touched them. */
static bool add_groups(void) {
  char* base = may_ask_system() ? os_map(CHUNK, GROUP) : NULL;
  nest_group_t* g = base != NULL ? record_alloc(GROUPS_A_TIME * sizeof *g, 64) : NULL;
  if (g == NULL) {
    if (base != NULL) os_unmap(base, CHUNK);
    return false;
  }
  arena_count_mapped(&arena_main, CHUNK);
  for (size_t i = 0; i < GROUPS_A_TIME; i++, g++) {
    *g = (nest_group_t){.all = 1, .free = 1, .clean = 1, .base = base + i * GROUP};
    g->before = last_group;
    last_group = g;
    settle(g);
  }
  return true;
}

void nests_unmap(void) {
  for (nest_group_t* g = last_group; g != NULL; g = g->before) os_unmap(g->base, GROUP);
}

/* ---- Giving back ----------------------------------------------------------------------------- */

static uint64_t bits(unsigned first, unsigned end) {
  uint64_t below_end = end < 64 ? ((uint64_t)1 << end) - 1 : ~(uint64_t)0;
  return below_end >> first << first;
}

static bool purge_run(nest_group_t* g, unsigned first, unsigned end) {
  if (!os_purge(g->base + first * (size_t)g->size, (end - first) * (size_t)g->size)) return false;
  idle -= end - first;
  g->clean |= bits(first, end);
  return true;
}

/* What the system has split it must not make whole again, while few nests are in use. */
static void purge_parts(nest_group_t* g) {
  if (g->huge) os_want_no_huge_pages(g->base, GROUP);
  g->huge = false;
  for (uint64_t left; (left = idle_bits(g)) != 0;) {
    unsigned first = (unsigned)__builtin_ctzll(left);
    unsigned end = first + (unsigned)__builtin_ctzll(~(left >> first));
    if (!purge_run(g, first, end)) return;
  }
}

/* With what is behind the last. A refusal changes nothing. */
static void purge_whole(nest_group_t* g) {
  if (!os_purge(g->base, GROUP)) return;
  idle -= idle_in(g);
  g->clean = g->all;
  g->huge = false;
}

static void purge(nest_group_t* g) {
  if (g->free == g->all)
    purge_whole(g);
  else
    purge_parts(g);
  settle(g);
}

/* Which is needed last; NULL: there is none. */
static nest_group_t* to_purge(void) {
  for (int list = EMPTY; list >= LOOSE; list--)
    for (int i = 0; i < SIZES; i++)
      if (lists[i][list] != NULL) return lists[i][list]->prev;
  return NULL;
}

static void purge_one(void) {
  nest_group_t* g = option_value(mi_option_purge_delay) >= 0 ? to_purge() : NULL;
  if (g != NULL) purge(g);
}

void nests_purge(void) {
  pthread_mutex_lock(&nests_lock);
  for (nest_group_t* g = last_group; g != NULL; g = g->before)
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

static nest_group_t* find(uint32_t size) {
  for (int i = 0; i < LISTS; i++)
    if (lists[index_of(size)][i] != NULL) return lists[index_of(size)][i];
  return clear != NULL || add_groups() ? clear : NULL;
}

/* A group that is clear. A huge page is there as a whole from the first touch on. */
static void open(nest_group_t* g, uint32_t size) {
  g->size = size;
  g->all = g->free = g->clean = bits(0, GROUP / size);
  if (in_use < WITHOUT_HUGE || !os_want_huge_pages(g->base, GROUP)) return;
  g->huge = true;
  g->clean = 0;
  idle += GROUP / size;
}

static char* take_from(nest_group_t* g, bool* cold) {
  uint64_t from = idle_bits(g) != 0 ? idle_bits(g) : g->free;
  unsigned i = (unsigned)__builtin_ctzll(from);
  uint64_t bit = (uint64_t)1 << i;
  in_use++;
  *cold = (g->clean & bit) != 0;
  idle -= !*cold;
  if (idle < idle_low) idle_low = idle;
  g->free &= ~bit;
  g->clean &= ~bit;
  settle(g);
  return g->base + i * (size_t)g->size;
}

char* nest_take(size_t* size, bool* cold, nest_group_t** group) {
  *size = nest_size(*size);
  pthread_mutex_lock(&nests_lock);
  nest_group_t* g = *group = find((uint32_t)*size);
  if (g != NULL && g->list == &clear) open(g, (uint32_t)*size);
  char* nest = g != NULL ? take_from(g, cold) : NULL;
  pthread_mutex_unlock(&nests_lock);
  return nest;
}

void nest_give(nest_group_t* g, const char* nest) {
  uint64_t bit = (uint64_t)1 << (size_t)(nest - g->base) / g->size;
  pthread_mutex_lock(&nests_lock);
  mi_assert((g->free & bit) == 0);
  g->free |= bit;
  in_use--;
  idle++;
  settle(g);
  if (idle > IDLE_LEAST + in_use / IDLE_SHARE) purge_one();
  pthread_mutex_unlock(&nests_lock);
}

/* ---- For those who only look ------------------------------------------------------------------ */

static bool is_used(const nest_group_t* g, size_t offset) {
  return (g->all & ~g->free) >> offset / g->size & 1;
}

bool nests_have(const void* p) {
  pthread_mutex_lock(&nests_lock);
  const nest_group_t* g = last_group;
  while (g != NULL && (uintptr_t)p - (uintptr_t)g->base >= GROUP) g = g->before;
  bool has = g != NULL && g->all != g->free && is_used(g, (size_t)((const char*)p - g->base));
  pthread_mutex_unlock(&nests_lock);
  return has;
}
