/* process.c: fork, begin and end of process and threads, and what the process uses. */
#include "alloc/internal.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- Fork --------------------------------------------------------------------------------------
**
** The child has one thread. Heaps of others stay as they were in the middle of something: nobody
** allocates from them or adopts their pages, but their blocks can be freed (and a page whose last
** block is freed may stay, since the thread that was to list it is gone). */

enum { UPPER_LOCKS = 8 };
static pthread_mutex_t* const own_locks[] = {&tasks_lock, &heaps_lock, &arenas_lock,
                                             &huge_lock,  &nests_lock, &records_lock,
                                             &table_lock, &output_lock};
enum { OWN_LOCKS = sizeof own_locks / sizeof own_locks[0] };
static pthread_mutex_t* upper_locks[UPPER_LOCKS];
static unsigned upper_count;

void fork_guard(pthread_mutex_t* lock) {
  mi_assert(upper_count < UPPER_LOCKS);
  upper_locks[upper_count++] = lock;
}

static void before_fork(void) {
  for (unsigned i = 0; i < upper_count; i++) pthread_mutex_lock(upper_locks[i]);
  for (unsigned i = 0; i < OWN_LOCKS; i++) pthread_mutex_lock(own_locks[i]);
}

_Atomic uint32_t fork_count;

static void after_fork(void) {
  for (unsigned i = OWN_LOCKS; i-- > 0;) pthread_mutex_unlock(own_locks[i]);
  for (unsigned i = upper_count; i-- > 0;) pthread_mutex_unlock(upper_locks[i]);
}

static void in_child(void) {
  atomic_fetch_add_explicit(&fork_count, 1, memory_order_relaxed);
  after_fork();
}

/* Early, so that what other handlers of fork allocate comes before ours in the parent, and after them
** in the child. */
__attribute__((constructor(101))) static void load(void) {
  process_init();
  unload_prepare();
  if (pthread_atfork(before_fork, after_fork, in_child) != 0)
    warn("sluice: warning: no memory to prepare for fork with threads");
}

/* ---- Begin and end ----------------------------------------------------------------------------- */

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
  if (elapsed_msecs != NULL) *elapsed_msecs = (size_t)(ns_since(process_start_ns) / 1000000);
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
