/* states_test.c: the functions of slua.h: values, errors, limits, output, what is permitted; many
** states at once. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "demo-lang/objects.h"
#include "tests/lua/states_tools.h"

/* Else objects.c and keys.c stand aside, and only time tells. */
static void liblua_is_as_expected(void** unused) {
  (void)unused;
  slua_close(plain());
  assert_true(objects_allocate != NULL);
}

/* What Lua counts is what its task holds, whoever counted it: objects, tables that grow, what is collected. */
static void lua_counts_what_is_held(void** unused) {
  (void)unused;
  static const char* const texts[] = {
      "local t = {} for i = 1, 3000 do t[i] = {i, x = {}} end",
      "local t = {} for i = 1, 3000 do t['k' .. i] = function() return i end end",
      "for i = 1, 5000 do local t = {i} t.a, t.b, t[2], t[3] = {}, i, i, i end",
      "local t = {} for i = 1, 2000 do t[-i] = ('x'):rep(i) end t = nil collectgarbage()",
      "local s = '' for i = 1, 500 do s = s .. i end collectgarbage 'generational'",
      "for i = 1, 200 do coroutine.wrap(function(...) return {...} end)(1, 2, i) end"};
  slua* s = plain();
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    assert_int_equal(run(s, texts[i]), SLUA_OK);
    assert_int_equal(run(s, "return collectgarbage 'count' * 1024"), SLUA_OK);
    assert_int_equal((uint64_t)slua_result(s, 0).number, rt_bytes(slua_task(s)));
  }
  slua_close(s);
}

/* ---- Values and errors ----------------------------------------------------------------------- */

static void values_go_in_and_out(void** unused) {
  (void)unused;
  slua* s = plain();
  const slua_value in[] = {integer(INT64_MIN),
                           {.type = SLUA_NUMBER, .number = 0.5},
                           {.type = SLUA_BOOLEAN, .boolean = true},
                           string("a\0b", 3),
                           {.type = SLUA_NIL},
                           {.type = SLUA_OTHER}};
  assert_int_equal(load(s, "return ..., select('#', ...)"), SLUA_OK);
  assert_int_equal(slua_results(s), 0);
  assert_int_equal(slua_resume(s, in, 6), SLUA_OK);
  assert_int_equal(slua_results(s), 2);
  assert_int_equal(slua_result(s, 0).integer, INT64_MIN);
  assert_int_equal(slua_result(s, 1).integer, 6);
  assert_int_equal(load(s, "return ..."), SLUA_OK);
  assert_int_equal(slua_resume(s, in, 6), SLUA_OK);
  assert_int_equal(slua_results(s), 6);
  assert_int_equal(slua_result(s, 1).type, SLUA_NUMBER);
  assert_true(slua_result(s, 1).number == 0.5);
  assert_true(slua_result(s, 2).type == SLUA_BOOLEAN && slua_result(s, 2).boolean);
  assert_int_equal(slua_result(s, 3).length, 3);
  assert_memory_equal(slua_result(s, 3).text, "a\0b", 4);
  assert_int_equal(slua_result(s, 5).type, SLUA_NIL);
  assert_int_equal(slua_result(s, 6).type, SLUA_NIL);
  assert_int_equal(slua_result(s, -1).type, SLUA_NIL);
  assert_int_equal(run(s, "return {}, print"), SLUA_OK);
  assert_int_equal(slua_result(s, 0).type, SLUA_OTHER);
  assert_string_equal(slua_text(s, 0), "table");
  assert_string_equal(slua_text(s, 1), "function");
  assert_string_equal(slua_text(s, 2), "nil");
  assert_int_equal(slua_close(s), 0);
}

static void errors_are_values(void** unused) {
  (void)unused;
  slua* s = plain();
  assert_int_equal(load(s, "x ="), SLUA_ERROR);
  assert_string_equal(slua_text(s, 0), "t:1: unexpected symbol near <eof>");
  assert_int_equal(slua_resume(s, NULL, 0), SLUA_ERROR);
  assert_string_equal(slua_text(s, 0), "nothing is loaded, or it has ended");
  assert_int_equal(run(s, "local function f() error('wrong') end f()"), SLUA_ERROR);
  assert_int_equal(slua_results(s), 2);
  assert_string_equal(slua_text(s, 0), "t:1: wrong");
  assert_non_null(strstr(slua_text(s, 1), "in local 'f'"));
  assert_int_equal(run(s, "error(42)"), SLUA_ERROR);
  assert_int_equal(slua_result(s, 0).integer, 42);
  assert_int_equal(run(s, "error()"), SLUA_ERROR);
  assert_int_equal(slua_result(s, 0).type, SLUA_NIL);
  const char* close =
      "local x <close> = setmetatable({}, {__close = function() closed = true end}) error 'e'";
  assert_int_equal(run(s, close), SLUA_ERROR);
  assert_int_equal(run(s, "return closed"), SLUA_OK);
  assert_true(slua_result(s, 0).boolean);
  assert_int_equal(slua_run(s, "\033Lua", 4, "=b"), SLUA_ERROR);
  assert_string_equal(slua_text(s, 0), "attempt to load a binary chunk (mode is 't')");
  slua_close(s);
}

static void yields_go_on(void** unused) {
  (void)unused;
  slua* s = plain();
  assert_int_equal(
      run(s,
          "local sum = 0 while true do local x = coroutine.yield(sum) if not x then break end "
          "sum = sum + x end return 'end', sum"),
      SLUA_YIELD);
  for (int64_t i = 1; i <= 100; i++) {
    slua_value x = integer(i);
    assert_int_equal(slua_resume(s, &x, 1), SLUA_YIELD);
    assert_int_equal(slua_results(s), 1);
    assert_int_equal(slua_result(s, 0).integer, i * (i + 1) / 2);
  }
  assert_int_equal(slua_resume(s, NULL, 0), SLUA_OK);
  assert_string_equal(slua_text(s, 0), "end");
  assert_int_equal(slua_result(s, 1).integer, 5050);
  assert_int_equal(slua_resume(s, NULL, 0), SLUA_ERROR);
  assert_int_equal(run(s, "coroutine.yield() gone = true"), SLUA_YIELD);
  assert_int_equal(run(s, "return gone"), SLUA_OK); /* which gives up what had yielded */
  assert_int_equal(slua_result(s, 0).type, SLUA_NIL);
  slua_close(s);
}

/* Endless loops that a host runs in turn: each gets as many ticks as the others. */
static void slices_are_fair(void** unused) {
  (void)unused;
  enum { N = 20, ROUNDS = 100, SLICE = 1000 };
  slua* s[N];
  for (int i = 0; i < N; i++) {
    s[i] = state((slua_config){.counted = true});
    slua_set_slice(s[i], SLICE);
    assert_int_equal(
        load(s[i],
             i % 2 == 0
                 ? "while true do end"
                 : "while true do coroutine.wrap(function() for i = 1, 1e5 do end end)() end"),
        SLUA_OK);
  }
  for (int k = 0; k < ROUNDS; k++)
    for (int i = 0; i < N; i++) {
      uint64_t before = slua_ticks(s[i]);
      assert_int_equal(slua_resume(s[i], NULL, 0), SLUA_SLICE);
      uint64_t used = slua_ticks(s[i]) - before;
      assert_true(used >= SLICE && used < SLICE + SLICE / 2);
    }
  for (int i = 0; i < N; i++) slua_close(s[i]);
  slua* once = state((slua_config){.counted = true});
  slua_set_slice(once, 200);
  slua_status status =
      run(once, "local sum = 0 for i = 1, 1e5 do sum = sum + i % 7 end return sum");
  int slices = 0;
  for (; status == SLUA_SLICE; slices++) status = slua_resume(once, NULL, 0);
  assert_int_equal(status, SLUA_OK);
  assert_int_equal(slua_result(once, 0).integer, 300000);
  assert_true(slices > 10);
  slua_set_slice(once, 0);
  assert_int_equal(run(once, "for i = 1, 1e5 do end return coroutine.yield()"), SLUA_YIELD);
  slua_close(once);
}

/* ---- Functions of the host's ----------------------------------------------------------------- */

static int add(lua_State* L) {
  lua_pushinteger(L, luaL_checkinteger(L, 1) + luaL_checkinteger(L, 2));
  return 1;
}

static int install(lua_State* L, void* name) {
  lua_register(L, name, add);
  lua_pushstring(L, "installed");
  return 1;
}

static int inner(lua_State* L, void* s) {
  lua_pushinteger(L, slua_call(s, inner, s));
  lua_pushinteger(L, slua_close(s));
  return 2;
}

static int raise_error(lua_State* L, void* text) { return luaL_error(L, "%s", (char*)text); }

static void the_host_calls(void** unused) {
  (void)unused;
  slua* s = plain();
  char name[] = "add", text[] = "from the host";
  assert_int_equal(slua_call(s, install, name), SLUA_OK);
  assert_string_equal(slua_text(s, 0), "installed");
  assert_int_equal(run(s, "return add(1, 2)"), SLUA_OK);
  assert_int_equal(slua_result(s, 0).integer, 3);
  assert_int_equal(slua_call(s, inner, s), SLUA_OK);
  assert_int_equal(slua_result(s, 0).integer, SLUA_BUSY);
  assert_int_equal(slua_result(s, 1).integer, EBUSY);
  assert_int_equal(slua_call(s, raise_error, text), SLUA_ERROR);
  assert_string_equal(slua_text(s, 0), "from the host");
  slua_close(s);
}

static slua* to_interrupt;
static int interrupt(lua_State* L) {
  (void)L;
  slua_interrupt(to_interrupt);
  return 0;
}
static int install_interrupt(lua_State* L, void* arg) {
  (void)arg;
  lua_register(L, "interrupt", interrupt);
  return 0;
}

static void interrupts_are_errors(void** unused) {
  (void)unused;
  for (int counted = 0; counted < 2; counted++) {
    slua* s = to_interrupt = state((slua_config){.counted = counted == 1});
    slua_call(s, install_interrupt, NULL);
    assert_int_equal(run(s, "interrupt() while true do end"), SLUA_ERROR);
    assert_string_equal(slua_text(s, 0), "t:1: interrupted!");
    assert_int_equal(
        run(s, "return (pcall(coroutine.wrap(function() interrupt() while true do end end)))"),
        SLUA_OK);
    assert_int_equal(slua_result(s, 0).type, SLUA_BOOLEAN);
    assert_false(slua_result(s, 0).boolean);
    assert_int_equal(run(s, "for i = 1, 1e5 do end return 1"), SLUA_OK);
    slua_close(s);
  }
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static void expect_stopped(slua* s, rt_limit limit, const char* where) {
  slua_stop stop = slua_stop_of(s);
  assert_int_equal(stop.limit, limit);
  assert_string_equal(stop.where, where);
  assert_int_equal(slua_results(s), 0);
  assert_int_equal(run(s, "return 1"), SLUA_STOPPED);
  assert_int_equal(slua_resume(s, NULL, 0), SLUA_STOPPED);
  assert_int_equal(slua_call(s, install, NULL), SLUA_STOPPED);
  assert_int_equal(slua_finish(s), SLUA_STOPPED);
  assert_int_equal(slua_close(s), 0);
}

static void limits_stop_it(void** unused) {
  (void)unused;
  slua* s = state((slua_config){.limits.heartbeats = 50});
  assert_int_equal(run(s, "\npcall(function() while true do end end)"), SLUA_STOPPED);
  assert_true(slua_stop_of(s).ticks > 49000 && slua_stop_of(s).ticks < 51000);
  expect_stopped(s, RT_HEARTBEATS, "t:2");
  s = state((slua_config){.limits.bytes = 1 << 20});
  assert_int_equal(run(s, "local t = {}\nwhile true do t[#t + 1] = {} end"), SLUA_STOPPED);
  expect_stopped(s, RT_MEMORY, "t:2");
  s = state((slua_config){.limits.heartbeats = 1, .limits.heartbeat_period = 10});
  expect_stopped(s, RT_HEARTBEATS, "");
  s = plain();
  rt_cancel(slua_task(s));
  assert_int_equal(run(s, "return 1"), SLUA_STOPPED);
  expect_stopped(s, RT_CANCELLED, "");
}

/* ---- A host that extends limits -------------------------------------------------------------- */

enum { EXTENSIONS = 3 };

typedef struct host {
  int asked[RT_CANCELLED];
  uint64_t amount;
} host;

static uint64_t extends(rt_task* task, rt_limit limit, const char* scope, void* arg) {
  host* h = arg;
  (void)task, (void)scope;
  return h->asked[limit]++ < EXTENSIONS ? h->amount : 0;
}

/* All that it may use is used, to the tick, whatever is granted ahead; and so again in a replay. */
static void limits_are_extended(void** unused) {
  (void)unused;
  enum { TICKS = 5000, MORE = 777, AT_ONCE = 32 /* turns that are paid for together */ };
  static const char endless[] =
      "local s = ('x'):rep(300) while true do local i = 0 while i < 100 do i = i + 1 end "
      "select('#', s:byte(1, -1)) coroutine.wrap(function() for j = 1, #s do end end)() end";
  host h = {.amount = MORE};
  slua_config config = {.limits = {.heartbeats = 5, .on_expiry = extends, .on_expiry_arg = &h}};
  slua* s = state(config);
  assert_int_equal(run(s, endless), SLUA_STOPPED);
  slua_stop stop = slua_stop_of(s);
  assert_int_equal(h.asked[RT_HEARTBEATS], EXTENSIONS + 1);
  assert_true(stop.ticks >= TICKS + EXTENSIONS * MORE &&
              stop.ticks < TICKS + EXTENSIONS * MORE + AT_ONCE);
  rt_extension log[64];
  size_t count;
  const rt_extension* extensions = rt_extensions(slua_task(s), &count);
  assert_in_range(count, EXTENSIONS, 64);
  memcpy(log, extensions, count * sizeof *log);
  config.limits = (rt_config){.heartbeats = 5,
                              .replay = log,
                              .replay_count = count,
                              .on_expiry = extends,
                              .on_expiry_arg = &h};
  slua* again = state(config);
  assert_int_equal(run(again, endless), SLUA_STOPPED);
  assert_int_equal(h.asked[RT_HEARTBEATS], EXTENSIONS + 1);
  assert_int_equal(slua_stop_of(again).ticks, stop.ticks);
  assert_string_equal(slua_stop_of(again).where, stop.where);
  slua_close(again);
  slua_close(s);
}

/* Whoever asks for the memory gets it. */
static void memory_is_extended(void** unused) {
  (void)unused;
  static const char grows[] =
      "local t, s = {}, '' for i = 1, 3000 do t[i] = {i} end "
      "for i = 1, 40 do s = s .. ('x'):rep(10000) end "
      "local v = rc.vector():draft() for i = 1, 20000 do v:push(i) end return #t + #s + #v";
  host h = {.amount = 600000};
  slua* s = state((slua_config){
      .limits = {.bytes = 300000, .on_expiry = extends, .on_expiry_arg = &h}, .counted = true});
  assert_int_equal(run(s, grows), SLUA_OK);
  assert_int_equal(slua_result(s, 0).integer, 3000 + 400000 + 20000);
  assert_in_range(h.asked[RT_MEMORY], 1, EXTENSIONS);
  slua_close(s);
}

static void exit_is_a_status(void** unused) {
  (void)unused;
  slua* s = state((slua_config){.may = SLUA_MAY_EXIT});
  assert_int_equal(run(s, "pcall(os.exit, 7)"), SLUA_EXIT);
  assert_int_equal(slua_exit_status(s), 7);
  assert_int_equal(run(s, "return 1"), SLUA_EXIT);
  assert_int_equal(slua_finish(s), SLUA_EXIT);
  slua_close(s);
}

static void what_waits_for_the_end_runs_once(void** unused) {
  (void)unused;
  slua* s = state((slua_config){.limits.bytes = 1 << 20});
  assert_int_equal(run(s,
                       "setmetatable({}, {__gc = function() local t = {} while true do t[#t + 1] = "
                       "{} end end})"),
                   SLUA_OK);
  assert_int_equal(slua_finish(s), SLUA_STOPPED);
  assert_int_equal(slua_stop_of(s).limit, RT_MEMORY);
  slua_close(s);
  s = state((slua_config){.limits.bytes = 1 << 20});
  assert_int_equal(run(s, "setmetatable({}, {__gc = function() print = nil end})"), SLUA_OK);
  assert_int_equal(slua_finish(s), SLUA_OK);
  slua_close(s);
  s = plain();
  assert_int_equal(slua_finish(s), SLUA_OK);
  assert_int_equal(run(s, "return 1"), SLUA_ERROR);
  assert_int_equal(slua_finish(s), SLUA_OK);
  slua_close(s);
}

/* With every limit of bytes, each step works, or fails in an orderly way; and none loses memory to
** others. */
static void memory_lacks_anywhere(void** unused) {
  (void)unused;
  char* text = malloc(20000);
  int n = snprintf(
      text, 20000,
      "local x = ...; local t = {} for i = 1, 100 do t[i] = x .. i end return '%0*d', t[1]", 10000,
      0);
  slua_value argument = string(text, 10000);
  size_t started = 0, loaded = 0, finished = 0;
  for (size_t bytes = 500; bytes < 1500000; bytes += bytes < 80000 ? 501 : 20001) {
    slua_config config = {.limits.bytes = bytes, .limits.grace_bytes = 1};
    slua* s = slua_new(&config);
    if (s == NULL) {
      assert_int_equal(errno, ENOMEM);
      continue;
    }
    started++;
    slua_status status = slua_load(s, text, (size_t)n, "=t");
    loaded += status == SLUA_OK;
    if (status == SLUA_OK) status = slua_resume(s, &argument, 1);
    if (status == SLUA_OK) {
      assert_int_equal(slua_result(s, 1).length, 10001);
      finished++;
    } else {
      assert_true(status == SLUA_STOPPED ? slua_stop_of(s).limit == RT_MEMORY
                                         : strcmp(slua_text(s, 0), "not enough memory") == 0);
    }
    assert_int_equal(slua_close(s), 0);
  }
  assert_true(started > loaded && loaded > finished && finished > 0);
  free(text);
}

static void not_all_goes_together(void** unused) {
  (void)unused;
  slua_config config = {.may = SLUA_MAY_ANYTHING, .limits.heartbeats = 5};
  assert_null(slua_new(&config));
  assert_int_equal(errno, EINVAL);
  config = (slua_config){.limits.heartbeat_period = UINT64_MAX};
  assert_null(slua_new(&config));
  assert_int_equal(errno, EINVAL);
  assert_int_equal(slua_close(NULL), 0);
}

/* ---- Output, and what is permitted ----------------------------------------------------------- */

static void output_is_the_hosts(void** unused) {
  (void)unused;
  transcript* t = calloc(1, sizeof *t);
  slua* s = state((slua_config){.may = SLUA_MAY_FILES, .output = append, .output_arg = t});
  assert_int_equal(run(s,
                       "print(1, 'a\\0b') io.write('two', 3, '\\n') io.stdout:write('four') "
                       "print() io.write('five')"),
                   SLUA_OK);
  assert_int_equal(t->n, 20);
  assert_memory_equal(t->at, "1\ta\0b\ntwo3\nfour\nfive", 20);
  t->n = 0;
  assert_int_equal(
      run(s, "io.write(('x'):rep(50000)) print('y') io.stdout:setvbuf('no') io.write('z')"),
      SLUA_OK);
  assert_int_equal(t->n, 50003);
  assert_memory_equal(t->at + 49998, "xxy\nz", 5);
  slua_close(s);
  t->n = 0;
  s = state((slua_config){.output = append, .output_arg = t, .limits.heartbeats = 5});
  assert_int_equal(run(s, "io.write('before') while true do end"), SLUA_STOPPED);
  assert_string_equal(t->at, "before");
  slua_close(s);
  free(t);
}

static void scripts_have_what_they_may(void** unused) {
  (void)unused;
  static const struct {
    unsigned may;
    const char* names;
  } cases[] = {
      {SLUA_MAY_FILES,
       "io.open io.lines io.read os.remove os.rename os.tmpname dofile loadfile package.path"},
      {SLUA_MAY_ASK, "os.time os.clock os.date os.getenv os.setlocale"},
      {SLUA_MAY_EXIT, "os.exit"},
      {SLUA_MAY_TRACE, "debug.traceback debug.getinfo package.loaded.debug"},
      {SLUA_MAY_ANYTHING, "debug.sethook os.execute io.popen package.loadlib string.dump"},
      {0, "print io.write io.stdout os.difftime load require string.rep package.preload rc"}};
  enum { CASES = sizeof cases / sizeof cases[0] };
  for (unsigned may = 0; may <= SLUA_MAY_ANYTHING; may++) {
    slua* s = state((slua_config){.may = may});
    for (int i = 0; i < CASES; i++) {
      char code[500];
      bool there = (may & cases[i].may) == cases[i].may;
      snprintf(code, sizeof code,
               "for name in ('%s'):gmatch('%%S+') do local v = _G for part in name:gmatch('[^.]+') "
               "do v = v and v[part] end "
               "if name ~= 'string.dump' and (v ~= nil) ~= %s then error(name) end end",
               cases[i].names, there ? "true" : "false");
      if (run(s, code) != SLUA_OK) fail_msg("may %u: %s", may, slua_text(s, 0));
    }
    slua_close(s);
  }
}

/* ---- Many at once ---------------------------------------------------------------------------- */

static size_t resident_bytes(void) {
  size_t pages;
  FILE* f = fopen("/proc/self/statm", "r");
  assert_non_null(f);
  assert_int_equal(fscanf(f, "%*u %zu", &pages), 1);
  fclose(f);
  return pages * 4096;
}

/* All at the same time, each with at most half more than Lua asked for. */
static void many(int n, bool repeatable) {
  slua** states = calloc((size_t)n, sizeof *states);
  const slua_config config = {
      .limits.compact = true, .repeatable = repeatable, .may = SLUA_MAY_FILES};
  slua_close(state(config)); /* what the process has once */
  size_t before = resident_bytes(), asked = 0;
  for (int i = 0; i < n; i++) {
    states[i] = state(config);
    asked += rt_bytes(slua_task(states[i]));
  }
  size_t resident = resident_bytes() - before;
  if (resident > asked + asked / 2)
    fail_msg("%zu bytes are resident for each, %zu asked for", resident / (size_t)n,
             asked / (size_t)n);
  for (int i = 0; i < n; i += n / 10) {
    slua_value x = integer(i);
    assert_int_equal(load(states[i], "return ... + #table.pack(string.byte('text', 1, -1))"),
                     SLUA_OK);
    assert_int_equal(slua_resume(states[i], &x, 1), SLUA_OK);
    assert_int_equal(slua_result(states[i], 0).integer, i + 4);
  }
  for (int i = 0; i < n; i++) assert_int_equal(slua_close(states[i]), 0);
  free(states);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RESIDENT_TELLS = false }; /* the sanitizer's memory hides ours */
#else
enum { RESIDENT_TELLS = true };
#endif
static void many_fit(void** unused) {
  (void)unused;
  if (!RESIDENT_TELLS) skip();
  many(10000, false);
}
static void many_repeatable_fit(void** unused) {
  (void)unused;
  if (!RESIDENT_TELLS) skip();
  many(2000, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(liblua_is_as_expected),
      cmocka_unit_test(lua_counts_what_is_held),
      cmocka_unit_test(values_go_in_and_out),
      cmocka_unit_test(errors_are_values),
      cmocka_unit_test(yields_go_on),
      cmocka_unit_test(slices_are_fair),
      cmocka_unit_test(the_host_calls),
      cmocka_unit_test(interrupts_are_errors),
      cmocka_unit_test(limits_stop_it),
      cmocka_unit_test(limits_are_extended),
      cmocka_unit_test(memory_is_extended),
      cmocka_unit_test(exit_is_a_status),
      cmocka_unit_test(what_waits_for_the_end_runs_once),
      cmocka_unit_test(memory_lacks_anywhere),
      cmocka_unit_test(not_all_goes_together),
      cmocka_unit_test(output_is_the_hosts),
      cmocka_unit_test(scripts_have_what_they_may),
      cmocka_unit_test(many_fit),
      cmocka_unit_test(many_repeatable_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
