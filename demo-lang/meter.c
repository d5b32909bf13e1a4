/* meter.c: the counter that charged code takes its ticks from, and who fills it.
**
** The counter is an upvalue that all charged functions of a state share. C gets at it through an
** anchor, a function that has it too, at index 1 of a coroutine that is never run: so it can be
** read in whatever state the others are.
**
** Ticks are granted GRANT at a time, less when the limit is near: what the task has been charged
** is ahead of what the guest has used by less than a beat. When the task comes to its limit, what was
** not used is taken back, and the limit comes so many ticks later: the guest has all that it may
** use, whatever was granted when. */
#include <math.h>
#include <string.h>

#include "demo-lang/charge.h"
#include "demo-lang/lib/work.h"
#include "demo-lang/steps.h"

enum { GRANT = 250, ANCHOR = 1, COUNTER = 1, PAY = 2 };

/* ---- The counter ----------------------------------------------------------------------------- */

static lua_Integer get_counter(const guest* g) {
  lua_getupvalue(g->meter, ANCHOR, COUNTER);
  lua_Integer n = lua_tointeger(g->meter, -1);
  lua_pop(g->meter, 1);
  return n;
}

static void set_counter(guest* g, lua_Integer n) {
  lua_pushinteger(g->meter, n);
  lua_setupvalue(g->meter, ANCHOR, COUNTER);
}

static uint64_t unused(const guest* g) {
  lua_Integer n = get_counter(g);
  return n > 0 ? (uint64_t)n : 0;
}

uint64_t guest_ticks(const guest* g) {
  return rt_ticks(g->task) - g->returned - g->unused - (g->meter != NULL ? unused(g) : 0);
}

void guest_meter_deadline(guest* g) {
  if (g->meter == NULL) return;
  g->unused += unused(g);
  set_counter(g, 0);
}

/* ---- The end of the ticks -------------------------------------------------------------------- */

uint64_t guest_take_back(void* arg) {
  guest* g = arg;
  guest_meter_deadline(g);
  uint64_t n = g->unused;
  g->unused = 0;
  g->returned += n;
  return n;
}

uint64_t guest_ticks_left(const guest* g) {
  uint64_t left = rt_left(RT_HEARTBEATS);
  return left == UINT64_MAX ? left : left + g->unused + (g->meter != NULL ? unused(g) : 0);
}

/* ---- Grants ---------------------------------------------------------------------------------- */

/* How many ticks to grant ahead: few, when something is near that ends the run. A deadline that has
** passed waits until it can yield; but at a hard deadline each tick throws. */
static lua_Integer grant(const guest* g) {
  uint64_t used = guest_ticks(g), ends[] = {g->deadline.soft, g->deadline.hard};
  uint64_t most = GRANT, left = guest_ticks_left(g);
  if (used >= g->deadline.hard) return 0;
  if (left / 4 < most) most = left / 4;
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
    if (used < ends[i] && (ends[i] - used) / 4 < most) most = (ends[i] - used) / 4;
  return (lua_Integer)most;
}

/* Takes n >= 0 from the counter, and fills it if that is too much. */
static void take(lua_State* L, lua_Integer n) {
  guest* g = guest_of(L);
  lua_Integer counter = get_counter(g) - n, more = grant(g);
  if (counter >= 0) {
    set_counter(g, counter);
    return;
  }
  uint64_t need = (uint64_t)(more - counter), kept = need < g->unused ? need : g->unused;
  set_counter(g, more);
  g->unused -= kept;
  if (need > kept) guest_tick(L, need - kept);
  steps_settle();
}

/* ---- Loops that are cut into pieces ---------------------------------------------------------- */

/* A piece of a loop: what goes into its registers. */
typedef struct piece {
  lua_Integer budget; /* -1: something is left */
  lua_Integer turns;  /* after the one that comes now */
  lua_Integer left;   /* unsigned */
} piece;

/* `turns` is the number of turns to come, unsigned, and at least 1; one piece of them is paid. */
static piece cut(lua_State* L, uint64_t turns) {
  uint64_t most = (uint64_t)grant(guest_of(L)) + 1, now = turns < most ? turns : most;
  take(L, (lua_Integer)now);
  return (piece){now < turns ? -1 : 0, (lua_Integer)now, (lua_Integer)(turns - now)};
}

/* The limit for the turns of a float loop that come after `at`: its own, if these are few. They are
** paid. With NaN, a loop ends at its next turn: so does one whose step is lost in rounding. */
static lua_Number cut_float(lua_State* L, lua_Number at, lua_Number limit, lua_Number step) {
  lua_Integer most = grant(guest_of(L)) + 1;
  lua_Number turns = (limit - at) / step, end = at + step * ((lua_Number)most + 0.5);
  lua_Number larger = fmax(fabs(at), fabs(end));
  bool exact = fabs(step) >= nextafter(larger, INFINITY) - larger;
  if (!exact) return (lua_Number)NAN;
  bool few = turns >= 0 && turns < (lua_Number)most;
  take(L, few ? (lua_Integer)turns : most);
  return few ? limit : end;
}

/* (budget, R[A+1], R[A], R[A+2]) at the start of a loop, whose first turn is not charged: budget,
** R[A+1], and what is left. */
static int start_loop(lua_State* L) {
  enum { BUDGET = 1, COUNT, AT, STEP };
  lua_Integer budget = lua_tointeger(L, BUDGET), count = lua_tointeger(L, COUNT);
  if (!lua_isinteger(L, STEP)) {
    lua_Number limit = lua_tonumber(L, COUNT);
    lua_Number end = cut_float(L, lua_tonumber(L, AT), limit, lua_tonumber(L, STEP));
    lua_pushinteger(L, end == limit ? 0 : -1);
    lua_pushnumber(L, end);
    lua_pushnumber(L, limit);
    return 3;
  }
  lua_Integer owed = budget < 0 && -(budget + 1) < count ? -budget : count;
  piece p = {0, count, 0};
  if (count >= 0 && owed <= GRANT)
    take(L, owed);
  else
    p = cut(L, (uint64_t)count);
  lua_pushinteger(L, p.budget);
  lua_pushinteger(L, p.turns);
  lua_pushinteger(L, p.left);
  return 3;
}

static bool goes_on(lua_Number at, lua_Number limit, lua_Number step) {
  return step > 0 ? at <= limit : limit <= at;
}

/* (what is left, R[A], R[A+2]) at the end of a piece: budget, the next R[A], R[A+1], and what is
** left; or R[A] is false: the loop has ended. */
static int next_piece(lua_State* L) {
  enum { LEFT = 1, AT, STEP };
  if (!lua_isinteger(L, STEP)) {
    lua_Number limit = lua_tonumber(L, LEFT), step = lua_tonumber(L, STEP);
    lua_Number at = lua_tonumber(L, AT) + step;
    bool more = goes_on(at, limit, step);
    if (more) take(L, 1);
    lua_Number end = more ? cut_float(L, at, limit, step) : limit;
    lua_pushinteger(L, end == limit ? 0 : -1);
    if (more)
      lua_pushnumber(L, at);
    else
      lua_pushboolean(L, false);
    lua_pushnumber(L, end);
    lua_pushnumber(L, limit);
    return 4;
  }
  piece p = cut(L, (uint64_t)lua_tointeger(L, LEFT));
  lua_pushinteger(L, p.budget);
  lua_pushinteger(L, luaL_intop(+, lua_tointeger(L, AT), lua_tointeger(L, STEP)));
  lua_pushinteger(L, p.turns - 1);
  lua_pushinteger(L, p.left);
  return 4;
}

static int pay_for(lua_State* L) {
  switch (lua_gettop(L)) {
    case 0:
      take(L, 0);
      return 0;
    case 3:
      return next_piece(L);
    default:
      return start_loop(L);
  }
}

enum { MOST_RESULTS = 8 };

/* A resumer may have given values, which are dropped. */
static int go_on(lua_State* L, int status, lua_KContext top_and_results) {
  (void)status;
  lua_settop(L, (int)(top_and_results / MOST_RESULTS));
  return (int)(top_and_results % MOST_RESULTS);
}

/* What the stubs of charge.c call: when the counter is below 0 (without arguments), or for a
** numeric for. debug.getinfo shows it to the guest, so any arguments must do no harm: ticks are never
** given back. */
static int pay(lua_State* L) {
  guest_check(L);
  int results = pay_for(L);
  if (!guest_must_yield(L, true)) return results;
  return lua_yieldk(L, 0, lua_gettop(L) * MOST_RESULTS + results, go_on);
}

/* ---- Dumps ----------------------------------------------------------------------------------- */

static int collect(lua_State* L, const void* bytes, size_t n, void* ud) {
  span* s = ud;
  (void)L;
  memcpy((char*)s->bytes + s->size, bytes, n);
  s->size += n;
  return 0;
}

static int measure(lua_State* L, const void* bytes, size_t n, void* ud) {
  (void)L, (void)bytes;
  *(size_t*)ud += n;
  return 0;
}

/* The dump of the function at the top. */
static span dump(lua_State* L, arena* a) {
  size_t size = 0;
  span s = {NULL, 0};
  if (lua_dump(L, measure, &size, 0) != 0) return s;
  lua_pushvalue(L, -1);
  s.bytes = arena_alloc(a, size, 1);
  lua_dump(L, collect, &s, 0);
  lua_pop(L, 1);
  return s;
}

/* ---- Is the bytecode as expected? ------------------------------------------------------------
**
** charge.c takes for granted which instructions Lua makes of a program. So a sample, in which all
** opcodes are (but LOADKX), must become what it became of Lua 5.4.4. */

// clang-format off
static const char SAMPLE[] =
    "local a, b, s = ...\n"
    "local function f(x, ...)\n"
    "  a = x; b = false; s = \"k\"\n"
    "  local t, n, u = {1, x = 2}, nil, 1.0\n"
    "  t.x, t[1], t[x], g = t[1], t[x], t.x, 5000000\n"
    "  t = {...}; t = g\n"
    "  u = x + 1; u = x + u; u = x - u; u = x * u; u = x % u; u = x ^ u; u = x / u; u = x // u\n"
    "  u = x & u; u = x | u; u = x ~ u; u = x << u; u = x >> u\n"
    "  u = x + 2.5; u = x - 1000; u = x * 2; u = x % 2; u = x ^ 2; u = x / 2; u = x // 2\n"
    "  u = x & 2; u = x | 2; u = x ~ 2; u = x >> 1; u = 1 << x\n"
    "  u = -x; u = ~x; u = not x; u = #x; u = x .. u\n"
    "  u = x == n; u = x < u; u = x <= u; u = x == \"k\"; u = x == 1; u = x < 1; u = x <= 1; u = x > 1; u = x >= 1\n"
    "  if x then u = x or n end\n"
    "  local z <close> = x:m()\n"
    "  return f(x)\n"
    "end\n"
    "for i = 1, a do\n"
    "  for k, v in f() do\n"
    "    local c = function() return k end\n"
    "    if v then goto out end\n"
    "    while a do b = true; goto again end\n"
    "    ::again::\n"
    "  end\n"
    "  ::out::\n"
    "end\n"
    "local function g(x) return x end\n"
    "local function h() end\n"
    "return f(g())\n";
// clang-format on
static const uint64_t SAMPLE_HASH = 0x2b99c9276f92e1c4;

static uint64_t hash_code(const proto* p, uint64_t hash) {
  for (int pc = 0; pc < p->code_size; pc++) hash = (hash ^ p->code[pc]) * 0x100000001b3;
  for (int i = 0; i < p->protos_size; i++) hash = hash_code(&p->protos[i], hash);
  return hash;
}

static int hash_sample(lua_State* L) {
  proto p;
  if (luaL_loadbufferx(L, SAMPLE, sizeof SAMPLE - 1, "=sample", "t") != LUA_OK) return lua_error(L);
  lua_newtable(L);
  arena a = {.L = L, .table = 2};
  lua_pushvalue(L, 1);
  bool right = proto_read(&a, dump(L, &a), &p) && proto_is_sound(&p);
  lua_pushboolean(L, right && hash_code(&p, 0) == SAMPLE_HASH);
  return 1;
}

/* In a state of its own: what it allocates is nobody's. Asked once a process, or by some threads at
** the same time. False: no memory to find out. */
static bool know_bytecode(bool* as_expected) {
  static _Atomic enum { UNKNOWN, YES, NO } known;
  if (known == UNKNOWN) {
    lua_State* L = luaL_newstate();
    if (L == NULL) return false;
    lua_pushcfunction(L, hash_sample);
    int status = lua_pcall(L, 0, 1, 0);
    if (status != LUA_ERRMEM) known = status == LUA_OK && lua_toboolean(L, -1) ? YES : NO;
    lua_close(L);
  }
  *as_expected = known == YES;
  return known != UNKNOWN;
}

/* ---- Charged chunks -------------------------------------------------------------------------- */

static const char ANCHOR_KEY[] = "sluice.anchor", METER_KEY[] = "sluice.meter"; /* registry */

/* The first finalizer of the state is its last one to run. */
static int close_meter(lua_State* L) {
  guest* g = guest_of(L);
  guest_meter_deadline(g);
  g->meter = NULL;
  return 0;
}

static void set_close(lua_State* L) {
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 1);
  lua_pushnil(L);
  lua_pushcclosure(L, close_meter, 1);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, "sluice.close");
}

static int make_meter(lua_State* L) {
  static const char code[] = "local counter, pay = ... return function() return counter, pay end";
  guest* g = guest_of(L);
  set_close(L);
  if (luaL_loadbufferx(L, code, sizeof code - 1, "=meter", "t") != LUA_OK) return lua_error(L);
  lua_pushinteger(L, 0);
  lua_pushnil(L);
  lua_pushcclosure(L, pay, 1);
  lua_call(L, 2, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, ANCHOR_KEY);
  lua_State* anchor = lua_newthread(L);
  lua_insert(L, -2);
  lua_xmove(L, anchor, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, METER_KEY);
  g->meter = anchor;
  return 0;
}

bool guest_open_meter(guest* g) {
  if (!know_bytecode(&g->charges)) return false;
  if (g->by_hook) g->charges = false;
  lua_pushcfunction(g->L, make_meter);
  return guest_call(g, 0, 0, 0) || rt_expired(g->task) == RT_HEARTBEATS;
}

static const char* give(lua_State* L, void* ud, size_t* size) {
  span *s = ud, now = *s;
  (void)L;
  *s = (span){NULL, 0};
  *size = now.size;
  return now.bytes;
}

/* Pushes the charged function for the one at index `original`; false: what was pushed is something
** else. */
static bool push_charged(lua_State* L, arena* a, int original) {
  proto p;
  span before = dump(L, a);
  if (!proto_read(a, before, &p) || !proto_is_sound(&p) || !charge_main(a, &p) ||
      !proto_is_sound(&p))
    return false;
  int upvalues = p.upvalues_size - 2;
  span after = proto_write(a, &p);
  if (lua_load(L, give, &after, "charged", "b") != LUA_OK) return false;
  for (int i = 1; i <= upvalues; i++) lua_upvaluejoin(L, -1, i, original, i);
  lua_getfield(L, LUA_REGISTRYINDEX, ANCHOR_KEY);
  lua_upvaluejoin(L, -2, upvalues + 1, -1, COUNTER);
  lua_upvaluejoin(L, -2, upvalues + 2, -1, PAY);
  lua_pop(L, 1);
  return true;
}

bool guest_charge(lua_State* L) {
  if (!guest_of(L)->charges) return false;
  int original = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  lua_newtable(L);
  arena a = {.L = L, .table = original + 1};
  lua_pushvalue(L, original);
  bool charged = push_charged(L, &a, original);
  if (charged) lua_replace(L, original);
  lua_settop(L, original);
  return charged;
}
