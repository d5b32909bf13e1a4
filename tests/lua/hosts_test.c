/* hosts_test.c: what a host may do with slua.h besides the usual: threads that come at the same time, a slice
** without end, scripts that leave something open. */
#include <dirent.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "demo-lang/slua.h"

static slua* state(slua_config config) {
  slua* s = slua_new(&config);
  assert_non_null(s);
  return s;
}
static slua_status run(slua* s, const char* text) { return slua_run(s, text, strlen(text), "=t"); }

enum { THREADS = 4 };
static void in_threads(void* (*f)(void*), void* arg) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, f, arg), 0);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* ---- Threads --------------------------------------------------------------------------------- */

/* What is found out about liblua once a process, several threads find out. To be the first test. */
static void* make_first(void* ticks) {
  slua* s = state((slua_config){.repeatable = true, .counted = true});
  assert_int_equal(run(s, "for i = 1, 1000 do local t = {i} end"), SLUA_OK);
  __atomic_add_fetch((uint64_t*)ticks, slua_ticks(s), __ATOMIC_RELAXED);
  slua_close(s);
  return NULL;
}
static void the_first_states_come_at_once(void** unused) {
  (void)unused;
  uint64_t all = 0, one = 0;
  in_threads(make_first, &all);
  make_first(&one);
  assert_int_equal(all, THREADS * one);
}

/* One of them runs the state, and the others are told so. */
static void* run_or_be_told(void* arg) {
  for (int i = 0; i < 500; i++) {
    slua_status status = run(arg, "return 1");
    assert_true(status == SLUA_OK || status == SLUA_BUSY || status == SLUA_ERROR);
  }
  return NULL;
}
static void a_state_is_run_by_one(void** unused) {
  (void)unused;
  slua* s = state((slua_config){0});
  in_threads(run_or_be_told, s);
  assert_int_equal(run(s, "return 1"), SLUA_OK);
  slua_close(s);
}

/* Loops of a counted state, and what allocates in any, end when another thread says so. */
static void* cancel(void* s) {
  rt_cancel(slua_task(s));
  return NULL;
}
static void any_thread_cancels(void** unused) {
  (void)unused;
  static const struct {
    const char* text;
    bool counted;
  } scripts[] = {{"while true do end", true},
                 {"while true do pcall(error) end", true},
                 {"while true do coroutine.wrap(function() while true do end end)() end", true},
                 {"while true do local t = {} end", false},
                 {"while true do pcall(string.rep, 'x', 100) end", false}};
  for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
    slua* s = state((slua_config){.counted = scripts[i].counted});
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel, s), 0);
    assert_int_equal(run(s, scripts[i].text), SLUA_STOPPED);
    assert_int_equal(slua_stop_of(s).limit, RT_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    slua_close(s);
  }
}

/* However deep a script makes C call C. */
static void* nest(void* text) {
  slua* s = state((slua_config){.limits = {.heartbeats = 1000, .bytes = 32 << 20}});
  slua_status status = run(s, text);
  assert_true(status == SLUA_ERROR || status == SLUA_STOPPED || status == SLUA_OK);
  slua_close(s);
  return NULL;
}
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { STACK = 8 << 20 }; /* frames are larger */
#else
enum { STACK = 1 << 20 };
#endif
static void a_small_stack_suffices(void** unused) {
  (void)unused;
#define CLOSE_IN_A_COROUTINE                                                  \
  "local co = coroutine.create(function() "                                   \
  "local x <close> = setmetatable({}, {__close = f}) coroutine.yield() end) " \
  "coroutine.resume(co) coroutine.close(co) "
  static const char* const scripts[] = {
      "local function f() ('x'):gsub('.', f) end f()",
      "local function f() ('%s%9s'):format(1, setmetatable({}, {__tostring = f})) end f()",
      "local function f() table.sort({1, 2, 3}, f) end f()",
      "local function f() return load(f) end f()",
      "local function f() return coroutine.wrap(f)() end f()",
      "local function f() xpcall(error, f) end f()",
      "local t = {} setmetatable(t, {__index = function(t, k) return t[k + 1] end}) return t[1]",
      "local function f() " CLOSE_IN_A_COROUTINE "end f()",
      "local function f() ('x'):gsub('.', function() " CLOSE_IN_A_COROUTINE "end) end f()",
      "local f local function deep(n) if n > 0 then return ('x'):gsub('.', function() deep(n - 1) "
      "end) "
      "end " CLOSE_IN_A_COROUTINE "end f = function() deep(20) end f()",
      "load('x = ' .. ('('):rep(190) .. '1' .. (')'):rep(190))",
      "(('a'):rep(300)):gsub(('a?'):rep(190) .. 'a', load)",
  };
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  assert_int_equal(pthread_attr_setstacksize(&attributes, STACK), 0);
  for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, &attributes, nest, (void*)(uintptr_t)scripts[i]), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
  }
  pthread_attr_destroy(&attributes);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

static void a_slice_can_be_endless(void** unused) {
  (void)unused;
  static const uint64_t slices[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2};
  for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
    slua* s = state((slua_config){.counted = true});
    slua_set_slice(s, slices[i]);
    assert_int_equal(run(s, "for i = 1, 1e5 do end return beat.remaining()"), SLUA_OK);
    assert_int_equal(slua_result(s, 0).type, i < 2 ? SLUA_NIL : SLUA_INTEGER);
    slua_close(s);
  }
}

/* ---- What is the host's ---------------------------------------------------------------------- */

static int open_files(void) {
  int n = 0;
  DIR* d = opendir("/proc/self/fd");
  assert_non_null(d);
  while (readdir(d) != NULL) n++;
  closedir(d);
  return n;
}

/* However the script ends; and what it has written is there. */
static void files_are_closed(void** unused) {
  (void)unused;
  static const char* const opens[] = {
      "f = io.open(name, 'w') f:write('kept')",
      "io.output(name) io.write('kept')",
      "io.open(name, 'w'):write('kept'):close() io.input(name) io.read(1)",
      "f = io.open(name, 'w') f:write('kept') g = io.tmpfile() for l in io.lines(name) do end "
      "pcall(io.lines, name, table.unpack({}, 1, 251)) h = io.lines(name)",
      "do local f <close> = io.open(name, 'w') f:write('kept') end pcall(io.open, "
      "'/nowhere/at/all')",
  };
  static const struct {
    const char* text;
    slua_status status;
  } ends[] = {{"while true do end", SLUA_STOPPED},
              {"local t = {} while true do t = {t} end", SLUA_STOPPED},
              {"os.exit(1)", SLUA_EXIT},
              {"error('end')", SLUA_ERROR},
              {"coroutine.yield()", SLUA_YIELD},
              {"setmetatable({}, {__gc = function() while true do end end})", SLUA_OK}};
  char name[] = "/tmp/hosts_test.XXXXXX", text[500];
  int fd = mkstemp(name);
  assert_true(fd >= 0);
  int before = open_files();
  for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++) {
    for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++) {
      slua* s = state((slua_config){.limits = {.heartbeats = 100, .bytes = 4 << 20},
                                    .may = SLUA_MAY_FILES | SLUA_MAY_EXIT});
      snprintf(text, sizeof text, "name = '%s' %s %s", name, opens[i], ends[k].text);
      assert_int_equal(run(s, text), ends[k].status);
      slua_close(s);
      assert_int_equal(open_files(), before);
      char kept[8] = "";
      assert_int_equal(pread(fd, kept, sizeof kept, 0), 4);
      assert_string_equal(kept, "kept");
      assert_int_equal(ftruncate(fd, 0), 0);
    }
  }
  close(fd);
  remove(name);
}

/* A limit is reached while a file is compiled, or by a finalizer that runs then. */
static void sources_are_closed(void** unused) {
  (void)unused;
  static const struct {
    const char* text;
    slua_config config;
  } ends[] = {
      {"loadfile(name)", {.limits.bytes = 1 << 20}},
      {"loadfile(name) error 'too short'", {.limits.ticks = 60000}},
      {"package.path = name require 'x'", {.limits.bytes = 1 << 20}},
      {"coroutine.wrap(function() pcall(dofile, name) end)()", {.limits.bytes = 1 << 20}},
      {"setmetatable({}, {__gc = function() while true do end end}) loadfile(name)",
       {.limits.heartbeats = 1000}},
  };
  char name[] = "/tmp/hosts_test.XXXXXX", text[500];
  int fd = mkstemp(name);
  assert_true(fd >= 0);
  FILE* f = fdopen(fd, "w");
  for (int i = 0; i < 40000; i++) fprintf(f, "function f(a) return a + %d end\n", i);
  assert_int_equal(fclose(f), 0);
  int before = open_files();
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    slua_config config = ends[i].config;
    config.may = SLUA_MAY_FILES;
    config.counted = true;
    slua* s = state(config);
    snprintf(text, sizeof text, "name = '%s' %s", name, ends[i].text);
    assert_int_equal(run(s, text), SLUA_STOPPED);
    slua_close(s);
    assert_int_equal(open_files(), before);
  }
  remove(name);
}

/* A limit is reached by a finalizer that runs somewhere within the call that opens a file. */
static void files_are_closed_in_time(void** unused) {
  (void)unused;
  static const char* const opens[] = {"io.lines(name)", "io.open(name)", "io.input(name)"};
  int before = open_files();
  for (int i = 0; i < 100; i++) {
    char text[500];
    slua* s = state((slua_config){.limits.heartbeats = 10, .may = SLUA_MAY_FILES});
    snprintf(text, sizeof text,
             "local name, inside = '/dev/null' "
             "local stop = {__gc = function() while inside do end end} "
             "local text = ('x'):rep(%d) while true do setmetatable({}, stop) "
             "inside = true local f = %s inside = false end",
             i * 7, opens[i % 2 ? 0 : i % 3]);
    assert_int_equal(run(s, text), SLUA_STOPPED);
    slua_close(s);
    assert_int_equal(open_files(), before);
  }
}

static void keep_text(void* arg, const char* text, size_t length) { strncat(arg, text, length); }

/* Who may not use files cannot read or move in the host's stdout, nor write to its stderr. */
static void output_only_grows(void** unused) {
  (void)unused;
  char text[200] = "";
  slua* s = state((slua_config){.output = keep_text, .output_arg = text});
  assert_int_equal(run(s,
                       "warn('@on') warn('a', 'b') print(io.stdout.seek, io.stdout.read, "
                       "io.stdout.lines, io.stdout:write('c') == io.stdout, io.stdout:close())"),
                   SLUA_OK);
  assert_string_equal(text,
                      "Lua warning: ab\ncnil\tnil\tnil\ttrue\tnil\tcannot close standard file\n");
  slua_close(s);
}

static void the_locale_is_the_hosts(void** unused) {
  (void)unused;
  char before[200];
  snprintf(before, sizeof before, "%s", setlocale(LC_ALL, NULL));
  slua* s = state((slua_config){.may = SLUA_MAY_ASK});
  assert_int_equal(run(s,
                       "local all = os.setlocale() assert(os.setlocale(all) == all and "
                       "os.setlocale(nil, 'numeric') == 'C' and os.setlocale('C', 'time') == 'C') "
                       "for _, l in ipairs {'C.UTF-8', 'C.utf8', 'en_US.UTF-8', 'de_DE.UTF-8'} do "
                       "assert(not os.setlocale(l) and not os.setlocale(l, 'numeric')) end"),
                   SLUA_OK);
  assert_int_equal(run(s, "os.setlocale('C', 'nothing')"), SLUA_ERROR);
  assert_string_equal(slua_text(s, 0),
                      "t:1: bad argument #2 to 'setlocale' (invalid option 'nothing')");
  slua_close(s);
  assert_string_equal(setlocale(LC_ALL, NULL), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_states_come_at_once),
      cmocka_unit_test(a_state_is_run_by_one),
      cmocka_unit_test(any_thread_cancels),
      cmocka_unit_test(a_small_stack_suffices),
      cmocka_unit_test(a_slice_can_be_endless),
      cmocka_unit_test(files_are_closed),
      cmocka_unit_test(sources_are_closed),
      cmocka_unit_test(files_are_closed_in_time),
      cmocka_unit_test(output_only_grows),
      cmocka_unit_test(the_locale_is_the_hosts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
