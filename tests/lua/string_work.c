/* string_work.c: the string library's work is paid for: ticks grow as the work does, and whatever
** does not end soon is stopped within a beat of the limit. */
#include <unistd.h>

#include "demo-lang/guest.h"
#include "tests/tools.h"

enum { BEAT = 1000, LIMIT = 100, SECONDS = 60 };

/* Leaves a function at the top: `work` with the locals of `setup`, where n is a number. */
static void load_work(lua_State* L, const char* setup, const char* work, size_t n) {
  char text[1024];
  snprintf(text, sizeof text, "local n = %zu local a = ('a'):rep(n) %s return function() %s end", n,
           setup, work);
  if (guest_loaded(L, luaL_loadstring(L, text)) == LUA_OK && lua_pcall(L, 0, 1, 0) == LUA_OK)
    return;
  printf("%s\n", lua_tostring(L, -1));
  exit(1);
}

/* ---- Laws ------------------------------------------------------------------------------------ */

/* Allocation is charged, too, so that some ask for more than the calls themselves pay.
** The ticks for n are at least n^power / divisor, and with 2n 2^power times as many. */
static const struct law {
  const char *setup, *work;
  size_t n, divisor;
  unsigned power;
} laws[] = {
    {"", "return ('x'):rep(n)", 10 << 20, 1024, 1},
    {"", "return ('x'):rep(n // 2, 'y')", 10 << 20, 1024, 1},
    {"", "return a:upper()", 1 << 20, 1024, 1},
    {"", "return a:lower()", 1 << 20, 1024, 1},
    {"", "return a:reverse()", 1 << 20, 1024, 1},
    {"", "return a:sub(2)", 1 << 20, 1024, 1},
    {"", "return a:byte(1, n)", 100000, 32, 1},
    {"local t = {a:byte(1, n)}", "return string.char(table.unpack(t))", 100000, 32, 1},
    {"", "return a:find('b', 1, true)", 1 << 20, 1024, 1},
    {"local b = ('a'):rep(n // 2) .. 'ba'", "return a:find(b, 1, true)", 1 << 12, 5000, 2},
    {"local b = ('a'):rep(n // 2) .. 'b'", "return a:find(b, 1, true)", 1 << 20, 64, 1},
    {"local b = a .. '.'", "return ('x'):find(b)", 1 << 20, 256, 1},
    {"", "return a:find('b')", 1 << 20, 1024, 1},
    {"", "return a:find('%d')", 1 << 20, 256, 1},
    {"", "return a:find('a*b')", 1 << 10, 300, 2},
    {"", "return a:find('.-b')", 1 << 10, 100, 2},
    {"", "return a:find('^.*b')", 1 << 18, 40, 1},
    {"", "return a:find('a-a-b')", 1 << 6, 1000, 3},
    {"", "return a:find('^(a*)%1b')", 1 << 10, 100, 1},
    {"", "return a:find('%bab')", 1 << 10, 600, 2},
    {"", "return a:find('%f[b]')", 1 << 18, 40, 1},
    {"", "return a:find('^a*$')", 1 << 20, 256, 1},
    {"local set = '[' .. ('b'):rep(n) .. ']'", "return a:find(set)", 1 << 18, 32, 1},
    {"local set = ('[' .. ('b'):rep(n) .. ']?'):rep(9)", "return ('x'):find(set)", 1 << 18, 4, 1},
    {"", "return a:match('()')", 1 << 20, 0, 0},
    {"", "return a:match('.*')", 1 << 20, 1024, 1},
    {"", "return a:gmatch('b')()", 1 << 20, 1024, 1},
    {"", "return a:gsub('a', 'b')", 1 << 18, 40, 1},
    {"", "return a:gsub('a', 'b%0%0')", 1 << 18, 40, 1},
    {"", "return a:gsub('.*', '%0%0%0%0')", 1 << 20, 55, 1},
    {"", "return a:gsub('b', 'b')", 1 << 20, 1024, 1},
    {"", "return a:gsub('a', {})", 1 << 16, 1, 1},
    {"local t = {}", "return a:gsub('a+', t)", 1 << 20, 200, 1},
    {"", "return a:gsub('a', function() end)", 1 << 16, 1, 1},
    {"", "return ('x'):gsub('x', a)", 1 << 20, 1024, 1},
    {"", "return ('%s%s'):format(a, a)", 1 << 20, 512, 1},
    {"local f = ('%d'):rep(n) local t = {a:byte(1, n)}", "return f:format(table.unpack(t))", 10000,
     32, 1},
    {"local f = ('%f'):rep(n) local t = {a:byte(1, n)}", "return f:format(table.unpack(t))", 10000,
     4, 1},
    {"", "return ('%q'):format(a)", 1 << 20, 150, 1},
    {"local f = a:gsub('a', '%%%%')", "return f:format()", 1 << 16, 40, 1},
    {"", "return ('s'):pack(a)", 1 << 20, 1024, 1},
    {"", "return ('z'):pack(a)", 1 << 20, 1024, 1},
    {"", "return string.pack('c' .. 2 * n, a)", 1 << 20, 512, 1},
    {"local f = (' '):rep(n)", "return f:pack()", 1 << 16, 32, 1},
    {"local f = ('i1'):rep(n)", "return f:packsize()", 1 << 16, 32, 1},
    {"local f = ('x'):rep(n)", "return f:unpack(a)", 1 << 16, 32, 1},
    {"local z = a .. '\\0'", "return ('z'):unpack(z)", 1 << 20, 360, 1},
    {"local s = ('s'):pack(a)", "return ('s'):unpack(s)", 1 << 20, 1024, 1},
    {"local one = ('0'):rep(n) .. 1", "return ('x'):sub(one)", 1 << 20, 256, 1},
    {"local one = ('0'):rep(n) .. 1", "return ('x'):rep(one)", 1 << 20, 256, 1},
    {"local one = ('0'):rep(n) .. 1", "return ('%f'):format(one)", 1 << 20, 256, 1},
    {"local one = ('0'):rep(n) .. 1", "return one + 1", 1 << 20, 256, 1},
};

static uint64_t ticks_of(guest* g, const struct law* law, size_t n) {
  lua_settop(g->L, 0);
  load_work(g->L, law->setup, law->work, n);
  lua_gc(g->L, LUA_GCCOLLECT);
  uint64_t before = rt_ticks(g->task);
  if (!guest_call(g, 0, 0, 0)) printf("%s: %s\n", law->work, lua_tostring(g->L, -1));
  return rt_ticks(g->task) - before;
}

/* Besides, there are the ticks of the hook, 100 at once, and of allocation. */
static bool holds(guest* g, const struct law* law) {
  uint64_t once = ticks_of(g, law, law->n), twice = ticks_of(g, law, 2 * law->n);
  double power = (double)(1u << law->power), least = 1;
  for (unsigned i = 0; i < law->power; i++) least *= (double)law->n;
  bool enough = law->divisor == 0 || (double)once + 1 >= least / (double)law->divisor;
  bool grows = (double)twice >= 0.85 * power * (double)once - 300 &&
               (double)twice <= 1.15 * power * (double)once + 300;
  if (enough && grows) return true;
  printf("%s; %s: %llu ticks for n = %zu, %llu for twice as much\n", law->setup, law->work,
         (unsigned long long)once, law->n, (unsigned long long)twice);
  return false;
}

/* ---- Hostile calls ---------------------------------------------------------------------------
**
** None allocates more than a megabyte at once where the limit can be reached by that: an allocation
** is charged in one piece. */

static const char* const hostile[] = {
    "return ('x'):rep(2000000000)",
    "return pcall(string.rep, 'x', 2000000000)",
    "return ('x'):rep(1000000000, 'y')",
    "while true do ('x'):rep(10000) end",
    "while true do a:upper() end",
    "while true do a:reverse() end",
    "while true do a:byte(1, 1000) end",
    "while true do a:find('b', 1, true) end",
    "return a:find(('a*'):rep(30) .. 'b')",
    "return a:find(('a-'):rep(30) .. 'b')",
    "return a:find(('a?'):rep(40) .. 'b')",
    "return pcall(string.find, a, ('.-'):rep(30) .. 'b')",
    "return a:match(('(.-)'):rep(30) .. 'b')",
    "return a:gsub(('.-'):rep(30) .. 'b', '')",
    "for x in a:gmatch(('.-'):rep(30) .. 'b') do end",
    "return a:find(('%bab'):rep(3) .. 'b') or a:gsub('.', function() return a:find('%bab') end)",
    "return a:find('^' .. ('(a*)'):rep(9) .. '%1%2%3%4%5%6%7%8%9b')",
    "local b = a:sub(1, 100) while true do a:gsub('a', b) end",
    "local b = a:sub(1, 100) while true do a:gsub('', b) end",
    "return a:gsub('a', function() while true do end end)",
    "return a:gsub('.', setmetatable({}, {__index = function() while true do end end}))",
    "local function f() for _ = 1, 2 do pcall(string.gsub, 'ab', '.', f) end end f()",
    "while true do ('%99.99f'):format(1e300) end",
    "while true do ('%s'):format(a) end",
    "return ('%s'):format(setmetatable({}, {__tostring = function() while true do end end}))",
    "while true do ('%q'):format(a) end",
    "return ('c2000000000'):pack('')",
    "while true do ('z'):pack(a) end",
    "while true do ('s'):unpack(('s'):pack(a)) end",
    "local s = ('0'):rep(1000000) while true do local x = s + 1 end",
    "local s = ('0'):rep(1000000) while true do a:sub(s) end",
    "return setmetatable({}, {__add = function() while true do end end}) + 'x' or 1",
    "return '10' + setmetatable({}, {__add = function() while true do end end})",
    "local f = load(('x = 1 '):rep(1000)) while true do pcall(string.dump, f) end",
    "coroutine.wrap(function() pcall(string.find, a, ('a*'):rep(30) .. 'b') end)()",
    "return setmetatable({}, {__index = function(_, k) return a:find(('a*'):rep(30) .. 'b') "
    "end}).x",
    "local x <close> = setmetatable({}, {__close = function() a:rep(100000) end})\n"
    "a:find(('a*'):rep(30) .. 'b')",
};

static bool stops(const char* code) {
  static const slua_config limited = {.limits.heartbeats = LIMIT};
  static guest g;
  if (!guest_open(&g, &limited)) return false;
  guest_open_libraries(g.L);
  load_work(g.L, "", code, 5000);
  bool ended = guest_call(&g, 0, 0, 0);
  uint64_t ticks = rt_ticks(g.task);
  bool in_time =
      rt_expired(g.task) == RT_HEARTBEATS && ticks >= LIMIT * BEAT && ticks <= (LIMIT + 1) * BEAT;
  if (ended || !in_time)
    printf("%s: %s after %llu ticks\n", code, ended ? "ended" : "stopped",
           (unsigned long long)ticks);
  guest_finish(&g);
  guest_end(&g);
  return !ended && in_time;
}

int main(void) {
  size_t passed = 0, failed = 0;
  const slua_config counted = {.counted = true};
  static guest g;
  alarm(SECONDS);
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (!guest_open(&g, &counted)) return 1;
  guest_open_libraries(g.L);
  for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++)
    holds(&g, &laws[i]) ? passed++ : failed++;
  guest_end(&g);
  for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++)
    stops(hostile[i]) ? passed++ : failed++;
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed > 0;
}
