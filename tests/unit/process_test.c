/* process_test.c: options as the program sees them, where messages and errors go, and what the process
** and its threads are asked to begin and end. */
#include "tests/tools.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <cmocka.h>

/* ---- Options ----------------------------------------------------------------------------------- */

static char said[4096];
static void keep(const char* text, void* arg) {
  assert_ptr_equal(arg, said);
  strncat(said, text, sizeof said - strlen(said) - 1);
  mi_free(mi_malloc(100)); /* it may allocate */
}

static void test_options(void** state) {
  (void)state;
  assert_int_equal(mi_option_get(mi_option_show_errors), 1);
  mi_option_disable(mi_option_show_errors);
  assert_false(mi_option_is_enabled(mi_option_show_errors));
  mi_option_set_enabled_default(mi_option_show_errors, true); /* it was set */
  assert_false(mi_option_is_enabled(mi_option_show_errors));
  mi_option_enable(mi_option_show_errors);
  assert_true(mi_option_is_enabled(mi_option_show_errors));
  assert_int_equal(mi_option_get(mi_option_eager_commit_delay), 1);
  mi_option_set_default(mi_option_eager_commit_delay, 7);
  assert_int_equal(mi_option_get(mi_option_eager_commit_delay), 7);
  mi_option_set(mi_option_reserve_os_memory, 5);
  assert_int_equal(mi_option_get_size(mi_option_reserve_os_memory), 5 * 1024);
  mi_option_set(mi_option_os_tag, -5);
  assert_int_equal(mi_option_get_size(mi_option_os_tag), 0);
  assert_int_equal(mi_option_get_clamp(mi_option_os_tag, -3, 3), -3);
  assert_int_equal(mi_option_get_clamp(mi_option_eager_commit_delay, 0, 3), 3);
  assert_int_equal(mi_option_get((mi_option_t)-1), 0);
  assert_int_equal(mi_option_get(_mi_option_last), 0);
  assert_int_equal(mi_option_get((mi_option_t)1000), 0);
}

static void test_wrong_values(void** state) {
  (void)state;
  said[0] = '\0';
  mi_register_output(keep, said);
  mi_option_set(mi_option_heartbeat_period, 0);
  mi_option_set((mi_option_t)1000, 1);
  mi_register_output(NULL, NULL);
  assert_int_equal(mi_option_get(mi_option_heartbeat_period), 1000);
  char expected[200];
  snprintf(expected, sizeof expected,
           "sluice: warning: option %d cannot be set to 0\n"
           "sluice: warning: option 1000 cannot be set to 1\n",
           mi_option_heartbeat_period);
  assert_string_equal(said, expected);
}

static void* ask_period(void* arg) {
  *(uint64_t*)arg = mi_heartbeat_period();
  return NULL;
}

/* Holds for tasks that begin from then on. */
static void test_period(void** state) {
  (void)state;
  uint64_t here = mi_heartbeat_period(), there = 0;
  pthread_t thread;
  mi_option_set(mi_option_heartbeat_period, 77);
  assert_int_equal(pthread_create(&thread, NULL, ask_period, &there), 0);
  pthread_join(thread, NULL);
  mi_option_set(mi_option_heartbeat_period, 1000);
  assert_int_equal(there, 77);
  assert_int_equal(mi_heartbeat_period(), here);
}

/* ---- Messages and errors ----------------------------------------------------------------------- */

static int last_error, errors;
static void note_error(int error, void* arg) {
  assert_ptr_equal(arg, &last_error);
  last_error = error;
  errors++;
  mi_free(mi_malloc(10));
  errno = 0;
}

static void test_errors(void** state) {
  (void)state;
  int outside = 0;
  said[0] = '\0';
  mi_option_disable(mi_option_abort_on_error);
  mi_register_output(keep, said);
  mi_register_error(note_error, &last_error);
  int* volatile nothing = &outside;
  mi_free(nothing);
  assert_int_equal(last_error, EINVAL);
  assert_int_equal(errors, 1);
  assert_non_null(strstr(said, "sluice: error: free of invalid pointer"));
  volatile size_t most = PTRDIFF_MAX;
  assert_null(mi_malloc(most));
  assert_int_equal(last_error, ENOMEM);
  assert_int_equal(errno, ENOMEM);
  assert_null(mi_calloc(most, 2));
  assert_int_equal(errors, 3);
  mi_register_error(NULL, NULL);
  assert_null(mi_malloc(most));
  assert_int_equal(errors, 3);
  said[0] = '\0';
  mi_option_set(mi_option_max_errors, 0);
  mi_free(nothing);
  mi_option_set(mi_option_max_errors, -1);
  assert_string_equal(said, "");
  mi_options_print();
  assert_non_null(strstr(said, "sluice: option HEARTBEAT_PERIOD: 1000\n"));
  said[0] = '\0';
  mi_stats_print(NULL);
  assert_non_null(strstr(said, "heap stats:"));
  mi_register_output(NULL, NULL);
}

/* ---- Process and threads ----------------------------------------------------------------------- */

static void test_process_info(void** state) {
  (void)state;
  enum { SIZE = 40 << 20 };
  size_t elapsed, user, system, rss, peak_rss, commit, peak_commit, faults, before;
  mi_process_info(NULL, NULL, NULL, NULL, NULL, &before, NULL, NULL);
  char* p = mi_malloc(SIZE);
  memset(p, 1, SIZE);
  mi_process_info(&elapsed, &user, &system, &rss, &peak_rss, &commit, &peak_commit, &faults);
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  assert_true(rss >= SIZE && peak_rss >= rss / 2);
  assert_in_range(commit, before + SIZE, before + 2 * SIZE);
  assert_true(peak_commit >= commit);
  assert_true(user <= (size_t)u.ru_utime.tv_sec * 1000 + (size_t)u.ru_utime.tv_usec / 1000);
  assert_true(faults <= (size_t)u.ru_majflt);
  mi_free(p);
  mi_collect(true);
  mi_process_info(NULL, NULL, NULL, &rss, NULL, &commit, &before, NULL);
  assert_true(commit <= before - SIZE && before == peak_commit);
  struct timespec wait = {0, 20 * 1000 * 1000};
  size_t later;
  nanosleep(&wait, NULL);
  mi_process_info(&later, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
  assert_true(later >= elapsed + 19);
}

/* After its end a thread goes on as a new one: its clock begins anew, its blocks are alive still. */
static void* end_in_the_middle(void* arg) {
  (void)arg;
  mi_thread_init();
  char* p = strcpy(mi_malloc(100), "alive");
  mi_tick(5000);
  mi_thread_done();
  mi_thread_done();
  char* q = mi_malloc(100);
  if (mi_ticks() != 1 || strcmp(p, "alive") != 0 || p == q) abort();
  mi_free(p);
  mi_free(q);
  mi_thread_set_in_threadpool();
  return NULL;
}

static void test_threads(void** state) {
  (void)state;
  pthread_t thread;
  for (int i = 0; i < 100; i++) {
    assert_int_equal(pthread_create(&thread, NULL, end_in_the_middle, NULL), 0);
    pthread_join(thread, NULL);
  }
  mi_process_init();
  mi_process_done();
  mi_collect_reduce(0);
  assert_false(mi_is_redirected());
  void* p = mi_malloc(10);
  assert_non_null(p);
  mi_free(p);
  assert_true(nothing_lives());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_options),      cmocka_unit_test(test_wrong_values),
      cmocka_unit_test(test_period),       cmocka_unit_test(test_errors),
      cmocka_unit_test(test_process_info), cmocka_unit_test(test_threads),
  };
  return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
