/* copies_test.c: the first state of a kind is made one by one, later ones are copies: they must be equal. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdlib.h>

#include "alloc/mimalloc.h"
#include "tests/lua/states_tools.h"

enum { STATES = 5, KINDS = 9 };

static slua_config kind(int k) {
  const slua_config kinds[KINDS] = {
      {.may = SLUA_MAY_FILES | SLUA_MAY_ASK},
      {.may = SLUA_MAY_TRACE, .no_environment = true, .limits.compact = true},
      {.may = SLUA_MAY_ANYTHING},
      {.counted = true},
      {.may = SLUA_MAY_TRACE, .counted = true, .output = append},
      {.repeatable = true, .may = SLUA_MAY_FILES | SLUA_MAY_EXIT},
      {.repeatable = true, .limits.compact = true, .output = append},
      {.repeatable = true, .counted = true, .may = SLUA_MAY_TRACE, .output = append},
      {.repeatable = true, .limits.heartbeats = 100000, .limits.bytes = 10 << 20, .output = append},
  };
  slua_config config = kinds[k];
  config.limits.heartbeat_period = 10;
  return config;
}

static void must_run(slua* s, const char* code) {
  if (run(s, code) != SLUA_OK) fail_msg("%s", slua_text(s, 0));
}

static void count_call(bool force, unsigned long long beat, void* arg) {
  (void)force, (void)beat;
  ++*(int*)arg;
}

/* A copy is charged at once, so it has one beat where the first state had many. */
static void later_ones_are_copies(void** unused) {
  (void)unused;
  static int beats;
  mi_register_deferred_free(count_call, &beats);
  for (int k = 0; k < KINDS; k++) {
    slua_config config = kind(k);
    slua* s[STATES];
    for (int i = 0; i < STATES; i++) {
      beats = 0;
      s[i] = slua_new(&config);
      assert_non_null(s[i]);
      if (i == 0) assert_true(beats > 10);
      if (i == STATES - 1) assert_true(beats < 3);
      assert_int_equal(rt_ticks(slua_task(s[i])), rt_ticks(slua_task(s[0])));
      assert_int_equal(rt_bytes(slua_task(s[i])), rt_bytes(slua_task(s[0])));
      assert_int_equal(rt_bytes_peak(slua_task(s[i])), rt_bytes_peak(slua_task(s[0])));
    }
    for (int i = 0; i < STATES; i++) assert_int_equal(slua_close(s[i]), 0);
  }
  mi_register_deferred_free(NULL, NULL);
}

/* Prints addresses, the order of keys that are hashed by them, random numbers, what is collected. */
static const char observe[] =
    "local keys = {} "
    "for name, library in pairs(package.loaded) do print(name, library) "
    "  for name, value in pairs(library) do print(name, value) keys[value] = name end end "
    "for value, name in pairs(keys) do print(name) end "
    "for i = 1, 300 do keys[{}] = i keys['x' .. i] = i end "
    "for _, i in pairs(keys) do io.write(tostring(i), ' ') end "
    "print(math.random(1 << 60), math.random(), string.format('%p', {})) "
    "for i = 1, 3 do collectgarbage() print(collectgarbage('count')) end "
    "collectgarbage('generational') "
    "for i = 1, 3000 do keys = {keys, i} if i % 100 == 0 then keys = {} end end "
    "print(collectgarbage('count')) "
    "local log = rc.list() for i = 1, 50 do log:push(i) end print(#log, log)";

static void repeatable_ones_do_the_same(void** unused) {
  (void)unused;
  transcript* t = calloc(STATES, sizeof *t);
  for (int k = 6; k < KINDS; k++) {
    memset(t, 0, STATES * sizeof *t);
    uint64_t ticks[STATES];
    for (int i = 0; i < STATES; i++) {
      slua_config config = kind(k);
      config.output_arg = &t[i];
      slua* s = slua_new(&config);
      must_run(s, observe);
      ticks[i] = slua_ticks(s);
      assert_true(t[i].n > 5000);
      assert_string_equal(t[i].at, t[0].at);
      assert_int_equal(ticks[i], ticks[0]);
      slua_close(s);
    }
  }
  free(t);
}

/* Only where runs need not repeat. */
static void random_numbers_differ(void** unused) {
  (void)unused;
  slua_config config = kind(0);
  int64_t seen[20];
  for (int i = 0; i < 20; i++) {
    slua* s = slua_new(&config);
    must_run(s, "return math.random(0)");
    seen[i] = slua_result(s, 0).integer;
    for (int j = 0; j < i; j++) assert_int_not_equal(seen[i], seen[j]);
    slua_close(s);
  }
}

/* Walks all that a state has. With debug, which it gets for that. */
static const char walk[] =
    "local debug, seen, found = ..., {}, 0 "
    "local function own(x) local t = type(x) return t == 'table' or t == 'function' or t == "
    "'userdata' or t == 'thread' end "
    "local function visit(x) "
    "  if not own(x) or x == seen or seen[x] then return end "
    "  seen[x] = true found = found + 1 "
    "  visit(debug.getmetatable(x)) "
    "  if type(x) == 'table' then for k, v in next, x do "
    "    if own(k) then error('a key is a ' .. type(k)) end visit(v) end "
    "  elseif type(x) == 'function' then for i = 1, 255 do "
    "    local name, v = debug.getupvalue(x, i) if name == nil then break end visit(v) end "
    "  elseif type(x) == 'userdata' then visit(debug.getuservalue(x, 1)) end end "
    "local registry = debug.getregistry() "
    "for k, v in next, registry do if own(k) then error('registry') end "
    "visit(v) end "
    "visit(debug.getmetatable('')) "
    "return found";

static int walk_state(lua_State* L, void* arg) {
  (void)arg;
  if (luaL_loadstring(L, walk) != LUA_OK) return lua_error(L);
  lua_pushcfunction(L, luaopen_debug);
  lua_call(L, 0, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* Such a key would be somewhere else in the copy. In repeatable states it is not. */
static void nothing_is_hashed_by_its_address(void** unused) {
  (void)unused;
  for (int k = 0; k < KINDS; k++) {
    slua_config config = kind(k);
    if (config.repeatable) continue;
    slua* s = slua_new(&config);
    if (slua_call(s, walk_state, NULL) != SLUA_OK) fail_msg("kind %d: %s", k, slua_text(s, 0));
    assert_true(slua_result(s, 0).integer > 100);
    slua_close(s);
  }
}

static void a_copy_is_a_whole_state(void** unused) {
  (void)unused;
  static const char code[] =
      "local t = {} for i = 1, 2000 do t[i] = ('x'):rep(i % 50) .. i end table.sort(t) "
      "assert(#table.concat(t) > 1000 and utf8.char(8364) == '\\u{20AC}') "
      "assert(select('#', table.unpack(t, 1, 100)) == 100) "
      "local co = coroutine.wrap(function() for i = 1, 10 do coroutine.yield(i) end end) "
      "for i = 1, 10 do assert(co() == i) end "
      "assert(not pcall(error, 'x') and load('return 1 + 1')() == 2) "
      "local weak = setmetatable({}, {__mode = 'k'}) for i = 1, 100 do weak[{}] = i end "
      "t = nil collectgarbage() collectgarbage() assert(next(weak) == nil) "
      "for name in pairs(_G) do assert(type(name) == 'string') end "
      "local closed = 0 do local x <close> = setmetatable({}, {__close = function() closed = 1 "
      "end}) end "
      "assert(closed == 1 and io.write('') == io.stdout) "
      "setmetatable({}, {__gc = function() ended = true end}) "
      "_G.string = nil _G.print = nil";
  for (int k = 0; k < KINDS; k++)
    for (int i = 0; i < 3; i++) {
      slua_config config = kind(k);
      slua* s = slua_new(&config);
      must_run(s, "assert(string and print)"); /* what another one has lost */
      must_run(s, code);
      assert_int_equal(slua_finish(s), SLUA_OK);
      assert_int_equal(slua_close(s), 0);
    }
}

static void the_environment_may_change(void** unused) {
  (void)unused;
  slua_config config = kind(0);
  for (int i = 0; i < 2 * STATES; i++) {
    bool set = i % 2 != 0;
    if (set) setenv("LUA_PATH_5_4", "/nowhere/?.lua", 1);
    if (!set) unsetenv("LUA_PATH_5_4");
    slua* s = slua_new(&config);
    must_run(s, "return package.path == '/nowhere/?.lua'");
    assert_int_equal(slua_result(s, 0).boolean, set);
    slua_close(s);
  }
  unsetenv("LUA_PATH_5_4");
}

/* Kinds that no other test has, so that threads meet at their first states. */
static void* make_many(void* arg) {
  uint64_t* figures = arg;
  for (int i = 0; i < 40; i++) {
    slua_config config = kind(i % 2 == 0 ? 0 : 8);
    config.may = SLUA_MAY_ASK | SLUA_MAY_EXIT;
    slua* s = slua_new(&config);
    figures[i] = rt_ticks(slua_task(s)) << 32 | rt_bytes(slua_task(s));
    must_run(s, "local n = 0 for _ in pairs(_G) do n = n + 1 end assert(n > 20)");
    slua_close(s);
  }
  return NULL;
}

static void threads_make_equal_ones(void** unused) {
  (void)unused;
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  uint64_t figures[THREADS][40];
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, make_many, figures[i]);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < THREADS; i++)
    for (int j = 0; j < 40; j++) assert_int_equal(figures[i][j], figures[0][j % 2]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(later_ones_are_copies),   cmocka_unit_test(repeatable_ones_do_the_same),
      cmocka_unit_test(random_numbers_differ),   cmocka_unit_test(nothing_is_hashed_by_its_address),
      cmocka_unit_test(a_copy_is_a_whole_state), cmocka_unit_test(the_environment_may_change),
      cmocka_unit_test(threads_make_equal_ones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
