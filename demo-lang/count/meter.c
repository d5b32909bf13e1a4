/* count/meter.c: what is granted to a guest ahead, and how its loops pay.
**
** Ticks are granted GRANT at a time, less when the limit is near: what the task has been charged
** is ahead of what the guest has used by less than a beat. When the task comes to its limit, what was
** not used is taken back, and the limit comes so many ticks later: the guest has all that it may
** use, whatever was granted when. */
#include <math.h>
#include <string.h>

#include "demo-lang/count/charge.h"
#include "demo-lang/lib/tables.h"
#include "demo-lang/lib/work.h"
#include "demo-lang/count/steps.h"

enum { GRANT = 250 };

/* ---- What was granted ------------------------------------------------------------------------ */

/* In ticks; below 0 if functions of floats owe them. */
static int64_t balance(const guest* g) { return g->counted ? *steps_of((guest*)g) / STEPS : 0; }

static uint64_t unused(const guest* g) {
  int64_t n = balance(g);
  return n > 0 ? (uint64_t)n : 0;
}

uint64_t guest_ticks(const guest* g) {
  return rt_ticks(g->task) - g->returned - g->unused - (uint64_t)balance(g);
}

void guest_meter_deadline(guest* g) {
  uint64_t n = unused(g);
  g->unused += n;
  *steps_of(g) -= (int64_t)(n * STEPS);
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
  return left == UINT64_MAX ? left : left + g->unused + unused(g);
}

/* ---- Grants ---------------------------------------------------------------------------------- */

static bool has_deadline(const guest* g) {
  return g->deadline.soft != UINT64_MAX || g->deadline.hard != UINT64_MAX;
}

/* How many ticks to grant ahead: few, when something is near that ends the run. A deadline that has
** passed waits until it can yield; but at a hard deadline each tick throws. */
static uint64_t grant(const guest* g) {
  uint64_t most = GRANT, left = guest_ticks_left(g);
  if (left / 4 < most) most = left / 4;
  if (!has_deadline(g)) return most;
  uint64_t used = guest_ticks(g), ends[] = {g->deadline.soft, g->deadline.hard};
  if (used >= g->deadline.hard) return 0;
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
    if (used < ends[i] && (ends[i] - used) / 4 < most) most = (ends[i] - used) / 4;
  return most;
}

/* A deadline has come, perhaps: then what runs yields at its next instruction. Where it cannot it throws, if it is
** a hard one. */
static void obey_deadline(lua_State* L, guest* g, bool allowed) {
  if (!has_deadline(g)) return;
  uint64_t at = guest_ticks(g);
  if (at < g->deadline.soft && at < g->deadline.hard) return;
  if (lua_isyieldable(L)) {
    guest_look_soon(g);
  } else if (allowed && at >= g->deadline.hard) {
    luaL_where(L, 0);
    lua_pushliteral(L, "limit");
    lua_concat(L, 2);
    lua_error(L);
  }
}

void steps_pay(lua_State* L, bool allowed) {
  guest* g = steps_now.guest;
  if (g == NULL || !g->counted || g->running == NULL) {
    steps_now.left = INT64_MAX;
    return;
  }
  if (L == NULL) L = g->running;
  steps_settle();
  uint64_t owed = (uint64_t)(STEPS - 1 - steps_now.left) / STEPS;
  uint64_t need = owed + grant(g), kept = need < g->unused ? need : g->unused;
  steps_now.left += (int64_t)(need * STEPS);
  g->unused -= kept;
  if (need > kept) guest_tick(L, need - kept);
  obey_deadline(L, g, allowed);
}

static void take(lua_State* L, uint64_t ticks) { steps_take_in(L, ticks * STEPS, true); }

/* ---- Loops that are cut into pieces ----------------------------------------------------------
**
** Registers of a numeric for: where it is; its turns that are left after this one, or the limit of a float loop;
** its step; and what its body sees. `state` is the hidden one. */

enum { AT, COUNT, STEP, INDEX };

static void set_integer(slot* r, uint64_t n) {
  r->value = n;
  r->type = TYPE_INTEGER;
}

/* What is left after this piece; 0: the loop ends with it. */
static void set_left(slot* state, uint64_t turns) {
  set_integer(state, turns);
  if (turns == 0) state->type = TYPE_NIL;
}

static lua_Number get_float(const slot* r) {
  lua_Number x;
  memcpy(&x, &r->value, sizeof x);
  return x;
}

static void set_float(slot* r, lua_Number x) {
  memcpy(&r->value, &x, sizeof x);
  r->type = TYPE_FLOAT;
}

/* Pays for a piece of so many turns; gives its size. */
static uint64_t cut(lua_State* L, uint64_t turns) {
  uint64_t most = grant(guest_of(L)) + 1, now = turns < most ? turns : most;
  take(L, now);
  return now;
}

/* Of a float loop, the turns after `at`: the limit is its own, if these are few. With NaN, a loop ends at its
** next turn: so does one whose step is lost in rounding. */
static void cut_float(lua_State* L, slot* r, slot* state, lua_Number limit) {
  lua_Number at = get_float(&r[AT]), step = get_float(&r[STEP]);
  lua_Number most = (lua_Number)grant(guest_of(L)) + 1;
  lua_Number turns = (limit - at) / step, end = at + step * (most + 0.5);
  lua_Number larger = fmax(fabs(at), fabs(end));
  bool exact = fabs(step) >= nextafter(larger, INFINITY) - larger;
  bool few = exact && turns >= 0 && turns < most;
  end = step > 0 ? fmin(end, limit) : fmax(end, limit);
  if (exact) take(L, (uint64_t)(few ? turns : most));
  set_float(&r[COUNT], few ? limit : exact ? end : (lua_Number)NAN);
  set_float(state, limit);
  if (few) state->type = TYPE_NIL;
}

/* The first turn is not charged; a few are, together. */
static void start_loop(lua_State* L, slot* r, slot* state) {
  if (r[STEP].type != TYPE_INTEGER) {
    cut_float(L, r, state, get_float(&r[COUNT]));
    return;
  }
  uint64_t count = r[COUNT].value, now = count;
  if (count <= GRANT)
    take(L, count);
  else
    now = cut(L, count);
  r[COUNT].value = now;
  set_left(state, count - now);
}

static bool goes_on(lua_Number at, lua_Number limit, lua_Number step) {
  return step > 0 ? at <= limit : limit <= at;
}

static void next_float_piece(lua_State* L, slot* r, slot* state) {
  lua_Number limit = get_float(state), step = get_float(&r[STEP]);
  lua_Number at = get_float(&r[AT]) + step;
  if (!goes_on(at, limit, step)) {
    r[INDEX].type = TYPE_FALSE;
    return;
  }
  take(L, 1);
  set_float(&r[AT], at);
  set_float(&r[INDEX], at);
  cut_float(L, r, state, limit);
}

static void next_piece(lua_State* L, slot* r, slot* state) {
  if (r[STEP].type != TYPE_INTEGER) {
    next_float_piece(L, r, state);
    return;
  }
  uint64_t left = state->value, now = cut(L, left);
  set_integer(&r[AT], r[AT].value + r[STEP].value);
  r[INDEX] = r[AT];
  r[COUNT].value = now - 1;
  set_left(state, left - now);
}

void meter_pay(lua_State* L, slot* r, int operand, int kind) {
  switch (kind) {
    case PAY_TICKS:
      take(L, (uint64_t)operand);
      break;
    case PAY_TURNS:
      take(L, FREE);
      set_integer(r, FREE - 1);
      break;
    case PAY_LOOP:
      start_loop(L, r, r - operand);
      break;
    case PAY_PIECE:
      next_piece(L, r, r - operand);
      break;
  }
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

/* ---- Charged chunks -------------------------------------------------------------------------- */

static const char* give(lua_State* L, void* ud, size_t* size) {
  span *s = ud, now = *s;
  (void)L;
  *s = (span){NULL, 0};
  *size = now.size;
  return now.bytes;
}

/* Pushes the charged function for the one at index `original`, or that itself if there is nothing to pay;
** false: what was pushed is something else. */
static bool push_charged(lua_State* L, arena* a, int original) {
  proto p;
  bool changed = false;
  lua_pushvalue(L, original);
  span before = dump(L, a);
  if (!proto_read(a, before, &p) || !proto_is_sound(&p) || !charge_main(a, &p, &changed))
    return false;
  if (!changed) return true;
  if (!proto_is_sound(&p)) return false;
  span after = proto_write(a, &p);
  if (lua_load(L, give, &after, "charged", "b") != LUA_OK) return false;
  for (int i = 1; i <= p.upvalues_size; i++) lua_upvaluejoin(L, -1, i, original, i);
  return true;
}

bool guest_charge(lua_State* L) {
  if (!guest_of(L)->charges) return false;
  int original = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  lua_newtable(L);
  arena a = {.L = L, .table = original + 1};
  bool charged = push_charged(L, &a, original);
  if (charged) lua_replace(L, original);
  lua_settop(L, original);
  return charged;
}

/* ---- Is the bytecode as expected? ------------------------------------------------------------
**
** charge.c takes for granted which instructions Lua makes of a program, and what they do. So a sample, in
** which all opcodes are (but LOADKX), must become what it became of Lua 5.4.4, and another one must pay. */

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

static bool is_as_sampled(lua_State* L) {
  proto p;
  if (luaL_loadbufferx(L, SAMPLE, sizeof SAMPLE - 1, "=sample", "t") != LUA_OK) lua_error(L);
  lua_newtable(L);
  arena a = {.L = L, .table = lua_gettop(L)};
  lua_pushvalue(L, -2);
  return proto_read(&a, dump(L, &a), &p) && proto_is_sound(&p) && hash_code(&p, 0) == SAMPLE_HASH;
}

/* Turns and calls must be paid for. */
static const char PAYING[] =
    "local n, f = ..., function() end\n"
    "for i = 1, n do end\n"
    "for i in f do end\n"
    "while n < 69 do n = n + 1 end\n"
    "f()\n";

static bool pays_as_expected(lua_State* L) {
  enum { N = 5, TURNS = N - 1 + FREE, CALLS = 3 };
  if (luaL_loadbufferx(L, PAYING, sizeof PAYING - 1, "=paying", "t") != LUA_OK) lua_error(L);
  int original = lua_gettop(L);
  lua_newtable(L);
  arena a = {.L = L, .table = original + 1};
  if (!push_charged(L, &a, original)) return false;
  lua_pushinteger(L, N);
  int64_t before = steps_now.left;
  lua_call(L, 1, 0);
  return before - steps_now.left == (TURNS + CALLS) * STEPS;
}

static int check(lua_State* L) {
  lua_pushboolean(L, is_as_sampled(L) && pays_as_expected(L));
  return 1;
}

/* In a state of its own: what it allocates is nobody's. Asked once a process, or by some threads at
** the same time. False: no memory to find out. */
static bool know_bytecode(bool* as_expected) {
  static _Atomic enum { UNKNOWN, YES, NO } known;
  if (known == UNKNOWN) {
    lua_State* L = luaL_newstate();
    if (L == NULL) return false;
    guest* before = steps_switch(NULL);
    lua_pushcfunction(L, check);
    int status = lua_pcall(L, 0, 1, 0);
    if (status != LUA_ERRMEM) known = status == LUA_OK && lua_toboolean(L, -1) ? YES : NO;
    lua_close(L);
    steps_switch(before);
  }
  *as_expected = known == YES;
  return known != UNKNOWN;
}

bool guest_open_meter(guest* g) {
  if (!know_bytecode(&g->charges)) return false;
  if (g->by_hook) g->charges = false;
  return true;
}
