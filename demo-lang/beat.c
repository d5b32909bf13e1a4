/* beat.c: the Lua module "beat": the clock of ticks, for the guest itself.
**
**   beat.ticks()              charged so far
**   beat.remaining()          to the nearest limit, of this or of an outer call or of the state; nil: none
**   beat.limit(n, f, ...)     calls f(...) with n ticks: true and its results; or false, "limit", and then f
**                             is left where it was: nothing of it runs again, no handler and no __close
**   beat.slice(co, n, ...)    resumes co for n ticks: "yield" or "end" and its values, "error" and its value,
**                             or "over": it was stopped between two instructions, and goes on with the next
**                             slice, or coroutine.resume (which then take no values)
**
** Both run a coroutine with a deadline. When the ticks reach it, the running coroutine yields without
** values, after the instruction that has paid; whoever has resumed it passes that on
** (guest_resume_coroutine), up to the call whose deadline it was. Where nothing can yield, as within
** table.sort, a slice is overdrawn, and so is a limit where a hook counts; else it throws, whenever there is
** something to pay, until that can yield.
**
** Ticks that others use while the call has yielded do not count. */
#include "demo-lang/guest.h"

/* On the stack of limit and slice, below what comes and goes. */
enum { COROUTINE = 1, TICKS_LEFT, KEPT = TICKS_LEFT };

/* ---- Deadlines ------------------------------------------------------------------------------- */

static uint64_t now(lua_State* L) { return guest_ticks(guest_of(L)); }

static uint64_t after(uint64_t from, uint64_t n) {
  return n < UINT64_MAX - from ? from + n : UINT64_MAX;
}

static uint64_t check_ticks(lua_State* L, int index) {
  lua_Integer n = luaL_checkinteger(L, index);
  luaL_argcheck(L, n > 0, index, "must be positive");
  if (!guest_of(L)->counted) luaL_error(L, "instructions are not counted in this state");
  return (uint64_t)n;
}

/* An error that the hook throws runs the guest's message handler without hooks, and so without an end:
** from there, nothing is thrown. */
bool guest_must_yield(lua_State* L, bool in_call) {
  guest* g = guest_of(L);
  uint64_t at = now(L);
  if (at < g->deadline.soft && at < g->deadline.hard) return false;
  if (lua_isyieldable(L)) return g->yields = true;
  if (in_call && at >= g->deadline.hard) luaL_error(L, "limit");
  return false;
}

static int resume(lua_State* L, lua_State* co, int nargs, int* count) {
  lua_State* before = guest_run_coroutine(L, co);
  int status = lua_resume(co, L, nargs, count);
  guest_run_coroutine(L, before);
  guest_check(L);
  return status;
}

int guest_resume_coroutine(lua_State* L, lua_State* co, int nargs, int* count) {
  guest* g = guest_of(L);
  int status = resume(L, co, nargs, count);
  while (status == LUA_YIELD && g->yields) {
    if (lua_isyieldable(L)) return GUEST_PASS_ON;
    g->yields = false;
    guest_must_yield(L, true);
    deadlines outer = g->deadline;
    g->deadline.soft = UINT64_MAX;
    status = resume(L, co, 0, count);
    g->deadline = outer;
  }
  return status;
}

typedef struct outcome {
  int status, count; /* of guest_resume_coroutine */
  bool over;         /* the ticks of this call are used up */
} outcome;

/* Resumes the coroutine with the ticks that are left, or less, if an outer deadline comes earlier. */
static outcome run(lua_State* L, int nargs, bool throws) {
  guest* g = guest_of(L);
  deadlines outer = g->deadline;
  uint64_t end = after(now(L), (uint64_t)lua_tointeger(L, TICKS_LEFT));
  outcome o;
  if (end < g->deadline.soft) g->deadline.soft = end;
  if (throws && end < g->deadline.hard) g->deadline.hard = end;
  guest_meter_deadline(g);
  o.status = resume(L, lua_tothread(L, COROUTINE), nargs, &o.count);
  g->deadline = outer;
  o.over = now(L) >= end;
  lua_pushinteger(L, o.over ? 0 : (lua_Integer)(end - now(L)));
  lua_replace(L, TICKS_LEFT);
  return o;
}

/* The same until there is something to say here. False: an outer deadline has come, and this call has
** to yield, too. */
static bool run_on(lua_State* L, int nargs, bool throws, outcome* o) {
  guest* g = guest_of(L);
  for (*o = run(L, nargs, throws); o->status == LUA_YIELD && g->yields && !o->over;) {
    if (lua_isyieldable(L)) return false;
    g->yields = false;
    guest_must_yield(L, true);
    deadlines outer = g->deadline;
    g->deadline.soft = UINT64_MAX;
    *o = run(L, 0, throws);
    g->deadline = outer;
  }
  return true;
}

/* Moves the coroutine's `count` top values here, behind what was pushed. */
static void fetch(lua_State* L, int count) {
  lua_State* co = lua_tothread(L, COROUTINE);
  if (!lua_checkstack(L, count)) {
    lua_pop(co, count);
    luaL_error(L, "too many results");
  }
  guest_tick(L, (uint64_t)count / 32);
  lua_xmove(co, L, count);
}

/* The values above KEPT become those that the coroutine is resumed with; after it was stopped between
** instructions, it takes none. */
static int send(lua_State* L, bool none) {
  lua_State* co = lua_tothread(L, COROUTINE);
  int n = none ? 0 : lua_gettop(L) - KEPT;
  if (!lua_checkstack(co, n)) luaL_error(L, "too many arguments");
  guest_tick(L, (uint64_t)n / 32);
  lua_settop(L, KEPT + n);
  lua_xmove(L, co, n);
  return n;
}

/* ---- beat.limit ------------------------------------------------------------------------------ */

enum { BY_GUEST, BY_DEADLINE }; /* who made the call yield: the context of its continuation */

static int limit_on(lua_State* L, int nargs);

static int limit_again(lua_State* L, int status, lua_KContext by) {
  (void)status;
  return limit_on(L, send(L, by == BY_DEADLINE));
}

static int limit_reached(lua_State* L) {
  lua_pushboolean(L, false);
  lua_pushliteral(L, "limit");
  return 2;
}

/* What f yields is yielded here. */
static int limit_on(lua_State* L, int nargs) {
  outcome o;
  guest* g = guest_of(L);
  if (!run_on(L, nargs, true, &o)) return lua_yieldk(L, 0, BY_DEADLINE, limit_again);
  switch (o.status) {
    case LUA_OK:
      if (o.over) return limit_reached(L);
      lua_pushboolean(L, true);
      fetch(L, o.count);
      return 1 + o.count;
    case LUA_YIELD:
      if (g->yields) return g->yields = false, limit_reached(L);
      if (!lua_isyieldable(L)) return luaL_error(L, "attempt to yield from outside a coroutine");
      fetch(L, o.count);
      return lua_yieldk(L, o.count, BY_GUEST, limit_again);
    default:
      if (o.over) return limit_reached(L);
      fetch(L, 1);
      return lua_error(L);
  }
}

static int beat_limit(lua_State* L) {
  uint64_t n = check_ticks(L, 1);
  luaL_checkany(L, 2);
  guest_tick(L, 1);
  lua_State* co = lua_newthread(L);
  lua_replace(L, COROUTINE);
  guest_arm(co);
  lua_pushinteger(L, (lua_Integer)n);
  lua_insert(L, TICKS_LEFT);
  return limit_on(L, send(L, false) - 1);
}

/* ---- beat.slice ------------------------------------------------------------------------------ */

static int slice_on(lua_State* L, int nargs);

static int slice_again(lua_State* L, int status, lua_KContext by) {
  (void)status;
  return slice_on(L, send(L, by == BY_DEADLINE));
}

static int slice_on(lua_State* L, int nargs) {
  outcome o;
  guest* g = guest_of(L);
  if (!run_on(L, nargs, false, &o)) return lua_yieldk(L, 0, BY_DEADLINE, slice_again);
  if (o.status == LUA_YIELD && g->yields) {
    g->yields = false;
    lua_pushliteral(L, "over");
    return 1;
  }
  bool error = o.status != LUA_OK && o.status != LUA_YIELD;
  if (error) o.count = 1;
  lua_pushstring(L, error ? "error" : o.status == LUA_YIELD ? "yield" : "end");
  fetch(L, o.count);
  return 1 + o.count;
}

static int beat_slice(lua_State* L) {
  lua_State* co = lua_tothread(L, COROUTINE);
  luaL_argexpected(L, co != NULL, COROUTINE, "thread");
  check_ticks(L, TICKS_LEFT);
  guest_tick(L, 1);
  if (co == L) {
    lua_pushliteral(L, "error");
    lua_pushliteral(L, "cannot resume non-suspended coroutine");
    return 2;
  }
  return slice_on(L, send(L, false));
}

/* ---- The clock ------------------------------------------------------------------------------- */

static int beat_ticks(lua_State* L) {
  lua_pushinteger(L, (lua_Integer)now(L));
  return 1;
}

static int beat_remaining(lua_State* L) {
  const guest* g = guest_of(L);
  uint64_t left = guest_ticks_left(g), soft = g->deadline.soft, at = now(L);
  if (soft != UINT64_MAX && (soft > at ? soft - at : 0) < left) left = soft > at ? soft - at : 0;
  if (left == UINT64_MAX)
    luaL_pushfail(L);
  else
    lua_pushinteger(L, (lua_Integer)left);
  return 1;
}

int luaopen_beat(lua_State* L) {
  static const luaL_Reg functions[] = {{"limit", beat_limit},
                                       {"remaining", beat_remaining},
                                       {"slice", beat_slice},
                                       {"ticks", beat_ticks},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
