/* coroutine.c: the guest's library `coroutine`. A tick is 1 coroutine made, 1 change to another one,
** or 32 values moved there (work.h). */
#include "demo-lang/lib/work.h"

static lua_State* check_coroutine(lua_State* L) {
  lua_State* co = lua_tothread(L, 1);
  luaL_argexpected(L, co != NULL, 1, "thread");
  return co;
}

/* The current one, if none is given. */
static lua_State* opt_coroutine(lua_State* L) { return lua_isnone(L, 1) ? L : check_coroutine(L); }

/* ---- Running --------------------------------------------------------------------------------- */

/* Moves nargs values to co, runs it, and moves its results back, after the boolean true if it `tells`;
** the number of all these, or FAILED and the error; or PASS_ON: the call yields without values, and
** runs co again. */
enum { FAILED = -1, PASS_ON = -2 };

static int resume(lua_State* L, lua_State* co, int nargs, bool tells) {
  int count;
  guest_tick(L, 1 + (uint64_t)nargs / WORK_VALUES);
  if (nargs > 0) {
    if (!lua_checkstack(co, nargs)) {
      lua_pushliteral(L, "too many arguments to resume");
      return FAILED;
    }
    lua_xmove(L, co, nargs);
  }
  int status = guest_resume_coroutine(L, co, nargs, &count);
  if (status == GUEST_PASS_ON) return PASS_ON;
  if (status != LUA_OK && status != LUA_YIELD) {
    guest_pay_names(L, 1);
    lua_xmove(co, L, 1);
    return FAILED;
  }
  work_pay(L, (uint64_t)count, WORK_VALUES);
  if (count >= LUA_MINSTACK - 1 && !lua_checkstack(L, count + 1)) {
    lua_pop(co, count);
    lua_pushliteral(L, "too many results to resume");
    return FAILED;
  }
  if (tells) lua_pushboolean(L, true);
  if (count > 0) lua_xmove(co, L, count);
  return count + tells;
}

static int co_resume_again(lua_State* L, int status, lua_KContext none);

static int co_resume_results(lua_State* L, int n) {
  if (n == PASS_ON) return lua_yieldk(L, 0, 0, co_resume_again);
  if (n != FAILED) return n;
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

static int co_resume_again(lua_State* L, int status, lua_KContext none) {
  (void)status, (void)none;
  lua_settop(L, 1);
  return co_resume_results(L, resume(L, lua_tothread(L, 1), 0, true));
}

static int co_resume(lua_State* L) {
  return co_resume_results(L, resume(L, check_coroutine(L), lua_gettop(L) - 1, true));
}

static int co_yield (lua_State* L) { return lua_yield(L, lua_gettop(L)); }

/* ---- Making and closing ---------------------------------------------------------------------- */

static int co_create(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  guest_tick(L, 1);
  lua_State* co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  guest_arm(co);
  return 1;
}

/* An error passes through, with the caller's position, and closes the coroutine. */
static int wrapped_again(lua_State* L, int status, lua_KContext none);

static int wrapped(lua_State* L) {
  lua_State* co = lua_tothread(L, lua_upvalueindex(1));
  int n = resume(L, co, lua_gettop(L), false);
  if (n >= 0) return n;
  if (n == PASS_ON) return lua_yieldk(L, 0, 0, wrapped_again);
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    status = guest_reset_coroutine(L, co);
    lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrapped_again(lua_State* L, int status, lua_KContext none) {
  (void)status, (void)none;
  lua_settop(L, 0);
  return wrapped(L);
}

static int co_wrap(lua_State* L) {
  co_create(L);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}

/* Either can be running: it has resumed another, or finished, or not begun. */
static const char* status_of(lua_State* L, lua_State* co) {
  lua_Debug ar;
  if (co == L) return "running";
  switch (lua_status(co)) {
    case LUA_YIELD:
      return "suspended";
    case LUA_OK:
      if (lua_getstack(co, 0, &ar)) return "normal";
      return lua_gettop(co) == 0 ? "dead" : "suspended";
    default:
      return "dead";
  }
}

static int co_status(lua_State* L) {
  lua_pushstring(L, status_of(L, check_coroutine(L)));
  return 1;
}

static int co_close(lua_State* L) {
  lua_State* co = check_coroutine(L);
  const char* status = status_of(L, co);
  if (status[0] == 'r' || status[0] == 'n')
    return luaL_error(L, "cannot close a %s coroutine", status);
  guest_tick(L, 1);
  if (guest_reset_coroutine(L, co) == LUA_OK) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushboolean(L, false);
  lua_xmove(co, L, 1);
  return 2;
}

static int co_isyieldable(lua_State* L) {
  lua_pushboolean(L, lua_isyieldable(opt_coroutine(L)));
  return 1;
}

static int co_running(lua_State* L) {
  bool main = lua_pushthread(L);
  lua_pushboolean(L, main);
  return 2;
}

int guest_open_coroutine(lua_State* L) {
  static const luaL_Reg functions[] = {
      {"close", co_close},   {"create", co_create},   {"isyieldable", co_isyieldable},
      {"resume", co_resume}, {"running", co_running}, {"status", co_status},
      {"wrap", co_wrap},     {"yield", co_yield },    {NULL, NULL}};
  lua_createtable(L, 0, sizeof functions / sizeof functions[0] - 1);
  work_set_functions(L, functions);
  return 1;
}
