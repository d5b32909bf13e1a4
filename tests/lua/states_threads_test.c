/* states_threads_test.c: states on many threads: they travel, do the same on each, and share values. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "rc/rc.h"
#include "tests/lua/states_tools.h"

enum { THREADS = 4 };

/* ---- Travelling ------------------------------------------------------------------------------- */

/* Each state is a counter that adds up what it is given; any thread resumes any. */
enum { STATES = 50, TURNS = 3000 };
static struct {
  pthread_mutex_t lock;
  slua* s;
  int64_t sum;
} counters[STATES];

static void* travel(void* arg) {
  uint64_t random = (uint64_t)(uintptr_t)arg * 7919 + 1;
  for (int i = 0; i < TURNS; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    int k = (int)(random >> 33) % STATES;
    slua_value x = integer((int64_t)(random >> 50));
    if (pthread_mutex_trylock(&counters[k].lock) != 0) continue;
    assert_int_equal(slua_resume(counters[k].s, &x, 1), SLUA_YIELD);
    counters[k].sum += x.integer;
    assert_int_equal(slua_result(counters[k].s, 0).integer, counters[k].sum);
    pthread_mutex_unlock(&counters[k].lock);
  }
  return NULL;
}

static void states_travel(void** unused) {
  (void)unused;
  pthread_t threads[THREADS];
  for (int k = 0; k < STATES; k++) {
    pthread_mutex_init(&counters[k].lock, NULL);
    counters[k].s = state((slua_config){.repeatable = k % 2 == 0, .counted = k % 3 == 0});
    assert_int_equal(run(counters[k].s,
                         "local sum = 0 while true do local t = {} for i = 1, 20 do t[i] = {} end "
                         "sum = sum + (coroutine.yield(sum) or 0) end"),
                     SLUA_YIELD);
  }
  for (uintptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, travel, (void*)i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int k = 0; k < STATES; k++) assert_int_equal(slua_close(counters[k].s), 0);
}

/* The same text, order, addresses and ticks on every thread, at the same time. */
static void* repeat(void* arg) {
  slua* s = state((slua_config){
      .repeatable = true, .limits.heartbeats = 100, .output = append, .output_arg = arg});
  assert_int_equal(
      run(s,
          "local t = {} for i = 1, 300 do t[{}] = i t[print] = i t['k' .. i] = i end\n"
          "for k, v in pairs(t) do print(k, v) end print(math.random(1000000))\nwhile true do end"),
      SLUA_STOPPED);
  transcript* t = arg;
  t->n += (size_t)sprintf(t->at + t->n, "%llu %s", (unsigned long long)slua_stop_of(s).ticks,
                          slua_stop_of(s).where);
  slua_close(s);
  return NULL;
}

static void threads_do_not_matter(void** unused) {
  (void)unused;
  pthread_t threads[THREADS];
  transcript* texts = calloc(THREADS, sizeof *texts);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, repeat, &texts[i]);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 1; i < THREADS; i++) assert_string_equal(texts[i].at, texts[0].at);
  assert_non_null(strstr(texts[0].at, "t:3"));
  free(texts);
}

/* ---- Shared values --------------------------------------------------------------------------- */

static slua_value shared(slua_shared* v) { return (slua_value){.type = SLUA_SHARED, .shared = v}; }

static const char reads[] =
    "local v = ... local sum, text = 0, {} for i, x in ipairs(v.numbers) do sum = sum + x end\n"
    "for _, s in pairs(v.list) do text[#text + 1] = s end\n"
    "for _, c in ipairs { v.numbers, v.list } do local n = #c\n"
    "  assert(not pcall(function() c[1] = 2 end) and #c:push(1) == n + 1 and #c == n)\n"
    "  local x, rest = c:pop() local d = c:draft() d:pop() assert(#rest == n - 1 and d:value() == "
    "rest and #c == n) end\n"
    "assert(v.numbers == v.numbers and v[v.list] == 'by list' and #v == 8 and v.float == 0.5 and "
    "v.deep.deep.x == 1 and v.none == rc.list())\n"
    "assert(tostring(v.rope .. '!') == 'text!' and v.big == rc.int(10) ^ 30 and #rc.set(v, 'x', v) "
    "== "
    "9 and v.x == nil)\n"
    "local mine = rc.vector():push(v.list):push(v) assert(mine[1] == v.list)\n"
    "return v.deep, sum, table.concat(text, ' ')";

/* A value with all kinds of contents. Its state ends at once. */
static slua_shared* exported(void) {
  slua* s = plain();
  assert_int_equal(
      run(s,
          "local n, l, e = rc.draft(rc.vector()), rc.list{'s3', 's2', 's1'}, rc.map{x = 1}\n"
          "for i = 1, 1000 do n[i] = i end\n"
          "return rc.map{numbers = n:value(), list = l, float = 0.5, [l] = 'by list', deep = "
          "rc.map{deep = e},\n"
          "  rope = rc.rope'text', big = rc.int(10) ^ 30, none = rc.list()}, 5"),
      SLUA_OK);
  slua_shared* v = slua_export(s, 0);
  assert_non_null(v);
  assert_null(slua_export(s, 1));
  assert_int_equal(errno, EINVAL);
  assert_null(slua_export(s, 2));
  slua_close(s);
  return v;
}

static void read_shared(slua* s, slua_shared* v) {
  slua_value arg = shared(v);
  assert_int_equal(load(s, reads), SLUA_OK);
  if (slua_resume(s, &arg, 1) != SLUA_OK) fail_msg("%s", slua_text(s, 0));
  assert_int_equal(slua_result(s, 1).integer, 500500);
  assert_string_equal(slua_text(s, 2), "s3 s2 s1");
}

static void values_are_shared(void** unused) {
  (void)unused;
  slua_shared* v = exported();
  slua *a = plain(), *b = state((slua_config){.repeatable = true});
  read_shared(a, v);
  read_shared(b, v);
  slua_shared *part = slua_export(a, 0), *again = slua_export(b, 0);
  assert_ptr_equal(part, again); /* no copy was made */
  slua_close(a);
  slua_value arg = shared(part);
  assert_int_equal(load(b, "return (...).deep.x"), SLUA_OK);
  slua_release(v);
  assert_int_equal(slua_resume(b, &arg, 1), SLUA_OK);
  assert_int_equal(slua_result(b, 0).integer, 1);
  slua_release(part);
  slua_release(again);
  slua_close(b);
}

/* Those too that are no object, and what only looks like a value. */
static void all_kinds_are_shared(void** unused) {
  (void)unused;
  enum { KINDS = 9 };
  static const char make[] =
      "return rc.list(), rc.vector(), rc.map(), rc.rope(), rc.int(-5), rc.int(1) << 61,\n"
      "  rc.int(3) ^ 200, rc.rope(('text'):rep(1000)), rc.list{rc.list{1}, 2.5, 'x', 1 << 62},\n"
      "  rc.vector():draft(), {}, 5";
  slua *a = plain(), *b = state((slua_config){.repeatable = true});
  assert_int_equal(run(a, make), SLUA_OK);
  slua_shared* v[KINDS];
  slua_value args[KINDS];
  for (int i = 0; i < KINDS; i++) {
    assert_non_null(v[i] = slua_export(a, i));
    args[i] = shared(v[i]);
  }
  for (int i = KINDS; i < KINDS + 3; i++) {
    errno = 0;
    assert_null(slua_export(a, i));
    assert_int_equal(errno, EINVAL);
  }
  slua_close(a);
  assert_int_equal(load(b,
                        "local l, v, m, r, i, j, k, s, n = ...\n"
                        "assert(l == rc.list() and v == rc.vector() and m == rc.map() and r == "
                        "rc.rope() and i == rc.int(-5))\n"
                        "assert(j == rc.int(1) << 61 and k == rc.int(3) ^ 200 and s == "
                        "rc.rope(('text'):rep(1000)))\n"
                        "assert(n == rc.list{rc.list{1}, 2.5, 'x', 1 << 62})\n"
                        "assert(rc.decode(rc.vector{...}:encode()) == rc.vector{...})"),
                   SLUA_OK);
  if (slua_resume(b, args, KINDS) != SLUA_OK) fail_msg("%s", slua_text(b, 0));
  for (int i = 0; i < KINDS; i++) slua_release(v[i]);
  slua_close(b);
}

static void* share_in_thread(void* v) {
  for (int i = 0; i < 30; i++) {
    slua* s = state((slua_config){.limits.bytes = 1 << 20, .repeatable = i % 2 == 0});
    slua_value arg = shared(slua_retain(v));
    read_shared(s, v);
    slua_shared* part = slua_export(s, 0);
    assert_int_equal(load(s, "local v = ... kept = v while true do local t = v.list end"), SLUA_OK);
    if (i % 3 == 0) { /* stopped in the middle, with what it holds */
      rt_cancel(slua_task(s));
      assert_int_equal(slua_resume(s, &arg, 1), SLUA_STOPPED);
    }
    slua_close(s);
    slua_release(part);
    slua_release(v);
  }
  slua_release(v);
  return NULL;
}

static void threads_share_values(void** unused) {
  (void)unused;
  pthread_t threads[THREADS];
  slua_shared* v = exported();
  for (int i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, share_in_thread, slua_retain(v));
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  slua* s = plain();
  read_shared(s, v);
  slua_close(s);
  assert_int_equal(rc_count((rc_object*)v), -1); /* no state has kept one */
  slua_release(v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(states_travel),        cmocka_unit_test(threads_do_not_matter),
      cmocka_unit_test(values_are_shared),    cmocka_unit_test(all_kinds_are_shared),
      cmocka_unit_test(threads_share_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
