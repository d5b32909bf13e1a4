/* guest.c: the allocator function, the seed, the hook, and the way out when a limit is reached. */
#include "demo-lang/guest.h"
#include "demo-lang/objects.h"
#include "demo-lang/count/steps.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PERIOD = 100 }; /* instructions that are paid for at once */

/* ---- The hash seed ------------------------------------------------------------------------------
**
** lua_newstate draws a seed from the time and from addresses, keeps it in the first block that
** it asks for, and uses it only after it has asked for a second one. Where in that block is
** found by trial: the seed is the word that explains the hashes of two strings; and then a state
** must hash with the seed it was given. */

static const uint32_t SEED = 0x51CE;
enum { HASH_BEFORE_TEXT = 12 }; /* bytes from the hash in a short string to its text */
enum { NOT_LOOKED_FOR = 0, NOWHERE = 1 };
static _Atomic size_t
    seed_offset; /* of the process: found once, or by some threads at the same time */

static void set_seed(char* first_block, size_t at, uint32_t seed) {
  memcpy(first_block + at, &seed, sizeof seed);
}

static uint32_t lua_hash(const char* s, uint32_t seed) {
  uint32_t h = seed ^ (uint32_t)strlen(s);
  for (size_t i = strlen(s); i > 0; i--) h ^= (h << 5) + (h >> 2) + (unsigned char)s[i - 1];
  return h;
}

static bool explains(lua_State* L, uint32_t seed, const char* s) {
  uint32_t hash;
  memcpy(&hash, lua_pushstring(L, s) - HASH_BEFORE_TEXT, sizeof hash);
  lua_pop(L, 1);
  return hash == lua_hash(s, seed);
}

typedef struct probe {
  size_t seed_at; /* where it is set; NOT_LOOKED_FOR: nowhere */
  size_t found;   /* or NOWHERE */
  char* first;
  size_t size;
  unsigned calls;
} probe;

static void* probe_alloc(void* ud, void* p, size_t osize, size_t nsize) {
  probe* b = ud;
  (void)osize;
  if (nsize == 0) {
    free(p);
    return NULL;
  }
  if (++b->calls == 2 && b->seed_at != NOT_LOOKED_FOR) set_seed(b->first, b->seed_at, SEED);
  void* q = realloc(p, nsize);
  if (b->calls == 1) {
    b->first = q;
    b->size = nsize;
  }
  return q;
}

/* Finds the only word that explains the hashes. */
static int find_seed(lua_State* L) {
  probe* b = lua_touserdata(L, 1);
  size_t count = 0;
  for (size_t at = 4; at + sizeof SEED <= b->size; at += sizeof SEED) {
    uint32_t seed;
    memcpy(&seed, b->first + at, sizeof seed);
    if (!explains(L, seed, "heartbeat") || !explains(L, seed, "sluice")) continue;
    b->found = at;
    count++;
  }
  if (count != 1) b->found = NOWHERE;
  return 0;
}

/* Does the state hash with what was set? */
static int check_seed(lua_State* L) {
  probe* b = lua_touserdata(L, 1);
  b->found = explains(L, SEED, "heartbeat") ? b->seed_at : NOWHERE;
  return 0;
}

/* False: no memory. */
static bool try_state(probe* b, lua_CFunction f) {
  lua_State* L = lua_newstate(probe_alloc, b);
  if (L == NULL) return false;
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, b);
  int status = lua_pcall(L, 1, 0, 0);
  lua_close(L);
  return status == LUA_OK;
}

/* 0; ENOTSUP: it is not where it could be found; ENOMEM. */
static int know_seed(void) {
  if (seed_offset == NOT_LOOKED_FOR) {
    probe first = {0};
    if (!try_state(&first, find_seed)) return ENOMEM;
    probe again = {.seed_at = first.found, .found = NOWHERE};
    if (first.found != NOWHERE && !try_state(&again, check_seed)) return ENOMEM;
    seed_offset = again.found;
  }
  return seed_offset == NOWHERE ? ENOTSUP : 0;
}

bool guest_can_seed(void) { return know_seed() == 0; }

/* ---- Memory ---------------------------------------------------------------------------------- */

static void hook(lua_State* L, lua_Debug* ar);

/* Whatever runs stops at its next instruction. lua_sethook is made to be called at any time. */
void guest_look_soon(guest* g) {
  if (g->running != NULL) lua_sethook(g->running, hook, LUA_MASKCOUNT, 1);
}

/* Where the innermost Lua function is; a C function has no line. */
static void find_where(lua_State* L, char where[GUEST_WHERE]) {
  lua_Debug ar;
  where[0] = '\0';
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    snprintf(where, GUEST_WHERE, "%s:%d", ar.short_src, ar.currentline);
    return;
  }
}

/* In pieces, so that the count at a stop is within a beat of the limit. */
static bool tick(uint64_t ticks) {
  enum { PIECE = 500 };
  for (; ticks > PIECE; ticks -= PIECE)
    if (rt_tick(PIECE) != RT_OK) return false;
  return rt_tick(ticks) == RT_OK;
}

/* What a collection costs: it looks at all that is held, and may be asked for as often as there is
** something to allocate, if next to nothing is left of the limit. */
static uint64_t collection(const guest* g) { return 1 + rt_bytes(g->task) / 1024; }

/* Garbage must not use up the limit, and some of Lua's libraries do not retry a refused request:
** above three quarters of the limit, a collection each time that half of what is left is gone. */
static void collect_above(guest* g, uint64_t held) {
  if (g->limit == 0) return;
  uint64_t next = held < g->limit ? held + (g->limit - held) / 2 : g->limit;
  g->collect_above = next > g->limit / 4 * 3 ? next : g->limit / 4 * 3;
  if (g->seeded) rt_watch(g->collect_above);
}

/* The byte limit was reached. False: the host has extended it. */
static bool memory_is_out(guest* g) {
  if (rt_expire(RT_MEMORY) != RT_OK) return true;
  g->refused.size = 0;
  g->limit = rt_bytes(g->task) + rt_left(RT_MEMORY);
  collect_above(g, rt_bytes(g->task));
  return false;
}

/* Lua answers a first NULL with a collection and asks again (but its luaL_Buffer with an error,
** which may be caught elsewhere: so the place is kept now). A second one is the end: the request
** is served from the grace, since a memory error could be caught. */
static void* refused(guest* g, void* p, size_t osize, size_t nsize) {
  bool over = rt_poll() != RT_OK; /* Lua will unwind before it is stopped */
  if (over && g->running != NULL && g->where[0] == '\0') find_where(g->running, g->where);
  if (g->limit == 0 || over) return NULL;
  if (g->refused.size == nsize && g->refused.block == p) {
    (void)memory_is_out(g);
    return rt_realloc(p, osize, nsize);
  }
  if (!tick(collection(g))) return NULL;
  g->refused.block = p;
  g->refused.size = nsize;
  rt_watch(0);
  if (g->running != NULL) find_where(g->running, g->refused.where);
  return NULL;
}

/* The first block is lua_newstate's; at its second request the seed is there. */
static void seed(guest* g, void* block) {
  if (g->first_block == NULL) {
    g->first_block = block;
    return;
  }
  if (g->hash_seed != 0) set_seed(g->first_block, seed_offset, g->hash_seed);
  g->seeded = true;
  rt_watch(g->collect_above);
}

/* A request got `q`, and there is something to look at: a limit, a refusal, or much to collect. */
static void* look(guest* g, void* q, void* p, size_t osize, size_t nsize) {
  if (!g->seeded) seed(g, q);
  if (q == NULL) {
    q = refused(g, p, osize, nsize);
  } else if (nsize == g->refused.size && p == g->refused.block) {
    g->refused.size = 0;
    rt_watch(g->collect_above);
  }
  if (rt_poll() != RT_OK || g->refused.size != 0 || rt_bytes(g->task) > g->collect_above)
    guest_look_soon(g);
  return q;
}

static __attribute__((noinline)) void* resize(guest* g, void* p, size_t osize, size_t nsize) {
  void* q = rt_realloc(p, osize, nsize);
  return q != NULL && !rt_is_watched() ? q : look(g, q, p, osize, nsize);
}

/* lua_Alloc. For a new block, osize is Lua's type of object. */
static void* guest_alloc(void* ud, void* p, size_t osize, size_t nsize) {
  if (p == NULL) {
    void* q = rt_alloc_quick(nsize);
    return q != NULL || nsize == 0 ? q : resize(ud, p, 0, nsize);
  }
  if (nsize != 0) return resize(ud, p, osize, nsize);
  rt_free_sized(p, osize);
  return NULL;
}

/* ---- Work, and the way out ------------------------------------------------------------------- */

static bool stops(const guest* g) { return rt_poll() != RT_OK || g->exits; }

void guest_arm_hook(lua_State* L) {
  if (lua_gethook(L) != NULL) return;
  rt_tick(PERIOD);
  lua_sethook(L, hook, LUA_MASKCOUNT, PERIOD);
}

/* The hook as it is between interrupts. */
static void set_hook(lua_State* L, const guest* g) {
  if (!g->hooked)
    lua_sethook(L, NULL, 0, 0);
  else if (lua_gethookcount(L) != PERIOD || lua_gethookmask(L) != LUA_MASKCOUNT)
    lua_sethook(L, hook, LUA_MASKCOUNT, PERIOD);
}

/* An interrupt; or the instructions up to the next call are paid for here. */
static void hook(lua_State* L, lua_Debug* ar) {
  guest* g = guest_of(L);
  (void)ar;
  guest_check(L);
  if (g->hooked) {
    guest_tick(L, PERIOD);
    steps_settle();
    steps_take(0);
  }
  if (rt_bytes(g->task) > g->collect_above) {
    guest_collect(L);
    collect_above(g, rt_bytes(g->task));
  }
  set_hook(L, g);
  if (g->interrupted) {
    g->interrupted = false;
    luaL_error(L, "interrupted!");
  }
  if (g->counted && guest_must_yield(L, false)) lua_yield(L, 0);
}

void guest_interrupt(guest* g) {
  g->interrupted = true;
  if (g->running != NULL)
    lua_sethook(g->running, hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

void guest_stop(lua_State* L) {
  guest* g = guest_of(L);
  if (g->refused.size != 0) memcpy(g->where, g->refused.where, sizeof g->where);
  if (g->where[0] == '\0') find_where(L, g->where);
  longjmp(*g->way_out, 1);
}

/* A refusal that Lua did not get over is the memory limit, whoever reported it. */
void guest_check_slow(lua_State* L) {
  guest* g = guest_of(L);
  if (g->refused.size != 0) (void)memory_is_out(g);
  if (stops(g)) guest_stop(L);
}

void guest_tick_slow(lua_State* L, uint64_t ticks) {
  if (!tick(ticks)) guest_stop(L);
}

void guest_collect(lua_State* L) {
  guest_tick(L, collection(guest_of(L)));
  lua_gc(L, LUA_GCCOLLECT);
}

int guest_loaded(lua_State* L, int status) {
  guest* g = guest_of(L);
  guest_check_slow(L);
  if (status == LUA_OK && g->counted && !guest_charge(L)) {
    g->hooked = true;
    guest_arm(L);
  }
  return status;
}

/* The message is the one that Lua has ready, and raises without a message handler. */
void guest_no_memory(lua_State* L) {
  if (guest_of(L)->limit != 0 && memory_is_out(guest_of(L))) guest_stop(L);
  lua_pushliteral(L, "not enough memory");
  lua_error(L);
  abort(); /* not reached: lua_error is not declared to be without a return */
}

/* What is pending in the main state, and the finalizers: they are the guest's. */
static void close_state(guest* g) {
  g->closing = true;
  g->running = g->L;
  lua_close(g->L);
}

/* As in the standalone Lua, the state may be closed while it runs: nothing of it is used after
** that. */
void guest_exit(lua_State* L, int status, bool close) {
  guest* g = guest_of(L);
  if (close && !g->closing) close_state(g);
  g->exits = true;
  g->exit_status = status;
  longjmp(*g->way_out, 1);
}

static inline uintptr_t stack_pointer(void) { return (uintptr_t)__builtin_frame_address(0); }

/* Lua counts nested C calls, but anew in a coroutine that is closed; so both the number of those
** and the C stack are limited here. A level of Lua's takes at most some 3 KiB, 200 of them are in
** use between two resets. */
int guest_reset_coroutine(lua_State* L, lua_State* co) {
  enum { RESETS = 190, STACK = 2 << 20 };
  guest* g = guest_of(L);
  if (g->resets >= RESETS || g->stack - stack_pointer() > STACK) luaL_error(L, "C stack overflow");
  lua_State* before = guest_run_coroutine(L, co);
  g->resets++;
  int status = lua_resetthread(co);
  g->resets--;
  guest_run_coroutine(L, before);
  guest_check(L);
  return status;
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* lua_WarnFunction: off until the guest says warn("@on"), as in the standalone Lua. Who has no
** io.stderr warns where it prints. */
static void warn(void* ud, const char* text, int continues) {
  guest* g = ud;
  if (!g->warning && !continues && text[0] == '@') {
    if (strcmp(text, "@on") == 0) g->warns = true;
    if (strcmp(text, "@off") == 0) g->warns = false;
    return;
  }
  FILE* to = (g->may & SLUA_MAY_FILES) != 0 ? stderr : g->out;
  if (g->warns)
    fprintf(to, "%s%s%s", g->warning ? "" : "Lua warning: ", text, continues ? "" : "\n");
  g->warning = continues;
}

bool guest_counts(const slua_config* config) {
  return config->counted || config->limits.heartbeats != 0 || config->limits.ticks != 0;
}

static void begin_objects(void) { objects_begin(guest_alloc); }

bool guest_begin(guest* g, const slua_config* config) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, begin_objects);
  *g = (guest){.may = config->may,
               .repeatable = config->repeatable,
               .counted = guest_counts(config),
               .by_hook = config->by_hook,
               .steps = INT64_MAX,
               .out = stdout,
               .deadline = {UINT64_MAX, UINT64_MAX},
               .must_close = (config->may & SLUA_MAY_ANYTHING) == SLUA_MAY_ANYTHING,
               .limit = config->limits.bytes,
               .collect_above = UINT64_MAX};
  int error = g->repeatable ? know_seed() : 0;
  if (error != 0) {
    errno = error;
    return false;
  }
  g->hash_seed = g->repeatable ? SEED : 0;
  rt_config limits = config->limits;
  if (limits.heartbeat_period == 0) limits.heartbeat_period = 1000;
  limits.repeatable_addresses = g->repeatable;
  limits.collects = true;
  if (g->counted) {
    g->steps = 0;
    limits.take_back = guest_take_back;
  }
  limits.take_back_arg = g;
  g->task = rt_task_new(&limits);
  if (g->task == NULL) return false;
  rt_enter(g->task);
  collect_above(g, 0);
  return true;
}

bool guest_make(guest* g) {
  rt_watch(0);
  g->L = g->running = lua_newstate(guest_alloc, g);
  if (g->L == NULL) {
    guest_end(g);
    errno = ENOMEM;
    return false;
  }
  *(guest**)lua_getextraspace(g->L) = g;
  lua_setwarnf(g->L, warn, g);
  if (!g->counted || guest_open_meter(g)) return true;
  guest_end(g);
  errno = ENOMEM;
  return false;
}

bool guest_open(guest* g, const slua_config* config) {
  return guest_begin(g, config) && guest_make(g);
}

/* What a thread has set while it runs a guest, and what was set before: guests nest. */
typedef struct visit {
  guest* guest; /* or NULL */
  bool hides_signs;
} visit;

static visit visit_begin(guest* g) {
  g->stack = stack_pointer();
  return (visit){steps_switch(g), number_hide_signs_of_nan(g->repeatable)};
}

static void visit_end(visit before) {
  number_hide_signs_of_nan(before.hides_signs);
  steps_switch(before.guest);
}

bool guest_call(guest* g, int nargs, int nresults, int handler) {
  if (stops(g)) return false;
  visit before = visit_begin(g);
  jmp_buf way_out;
  g->way_out = &way_out;
  if (setjmp(way_out) != 0) {
    visit_end(before);
    return false;
  }
  int status = lua_pcall(g->L, nargs, nresults, handler);
  guest_check_slow(g->L);
  visit_end(before);
  return status == LUA_OK;
}

bool guest_resume(guest* g, lua_State* co, int nargs, int* status, int* count) {
  if (stops(g)) return false;
  visit before = visit_begin(g);
  jmp_buf way_out;
  g->way_out = &way_out;
  g->running = co;
  guest_arm(co);
  if (setjmp(way_out) != 0) {
    visit_end(before);
    return false;
  }
  *status = lua_resume(co, g->L, nargs, count);
  g->running = g->L;
  guest_check_slow(co);
  visit_end(before);
  return true;
}

/* For lua_close. A state that could load no C modules is not looked into: its memory may be cold. */
static bool something_waits(const guest* g) {
  bool open = (g->may & SLUA_MAY_ANYTHING) == SLUA_MAY_ANYTHING;
  return g->must_close || (open && guest_has_modules(g->L));
}

void guest_finish(guest* g) {
  visit before = visit_begin(g);
  jmp_buf way_out;
  g->way_out = &way_out;
  bool may = !stops(g) && !g->closing;
  if (may && something_waits(g) && setjmp(way_out) == 0) close_state(g);
  guest_close_files(g);
  visit_end(before);
  g->L = g->running = NULL;
}

void guest_end(guest* g) {
  rt_leave();
  rt_task_end(g->task);
}
