/* process.c: begin and end of process and threads, as a program may ask for them, and what the process
** uses. */
#include "alloc/internal.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

void mi_process_init(void) { process_init(); }

/* What other threads have is theirs still; allocation goes on to work. */
void mi_process_done(void) {
  mi_collect(true);
  if (option_value(mi_option_show_stats)) mi_stats_print(NULL);
}

void mi_thread_init(void) { (void)task_self(); }

/* Nothing depends on it: idle threads hoard no more than others. */
void mi_thread_set_in_threadpool(void) {}

void mi_collect_reduce(size_t target_thread_owned) {
  (void)target_thread_owned;
  mi_collect(true);
}

/* Redirection is a matter of Windows. */
bool mi_is_redirected(void) { return false; }

static size_t msecs(struct timeval t) { return (size_t)t.tv_sec * 1000 + (size_t)t.tv_usec / 1000; }

static size_t resident_now(void) {
  char text[128] = {0};
  size_t total = 0, pages = 0;
  if (!os_read_file("/proc/self/statm", text, sizeof text)) return 0;
  if (sscanf(text, "%zu %zu", &total, &pages) != 2) return 0;
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void mi_process_info(size_t* elapsed_msecs, size_t* user_msecs, size_t* system_msecs,
                     size_t* current_rss, size_t* peak_rss, size_t* current_commit,
                     size_t* peak_commit, size_t* page_faults) {
  struct rusage u = {0};
  getrusage(RUSAGE_SELF, &u);
  if (elapsed_msecs != NULL) *elapsed_msecs = (size_t)((os_now_ns() - process_start_ns) / 1000000);
  if (user_msecs != NULL) *user_msecs = msecs(u.ru_utime);
  if (system_msecs != NULL) *system_msecs = msecs(u.ru_stime);
  if (current_rss != NULL) *current_rss = resident_now();
  if (peak_rss != NULL) *peak_rss = (size_t)u.ru_maxrss * 1024;
  if (current_commit != NULL)
    *current_commit = atomic_load_explicit(&arena_main.mapped, memory_order_relaxed);
  if (peak_commit != NULL)
    *peak_commit = atomic_load_explicit(&arena_main.mapped_peak, memory_order_relaxed);
  if (page_faults != NULL) *page_faults = (size_t)u.ru_majflt;
}
