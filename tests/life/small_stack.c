/* small_stack.c: everything works on a thread's stack of 16 KiB, the least there is, and in a signal
** handler on an alternate stack of that size (while the thread is not in the middle of a call).
** Behind each is a page that must not be touched. */
#include "life.h"

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>

enum { STACK = 16 << 10, GUARD = 4096 };

static char* stack_new(void) {
  char* p = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(p != MAP_FAILED && mprotect(p, GUARD, PROT_NONE) == 0, "no stack");
  return p + GUARD;
}

#ifndef PRELOADED
static void use_all(void) {
  size_t count = 0;
  mi_heap_t* heap = mi_heap_new();
  require(heap != NULL && mi_heap_zalloc_aligned(heap, 1000, 4096) != NULL, "no heap");
  require(mi_heap_visit_blocks(heap, true, count_block, &count) && count == 1, "no visit");
  mi_heap_destroy(heap);
  mi_stats_print_out(ignore_text, NULL);
  mi_options_print();
  mi_option_set(mi_option_heartbeat_period, 0); /* a warning */
  size_t resident = 0;
  mi_process_info(NULL, NULL, NULL, &resident, NULL, NULL, NULL, NULL);
  char* path = mi_realpath("/", NULL);
  require(resident > 0 && path != NULL && strcmp(path, "/") == 0, "no process");
  mi_free(path);
  mi_collect(true);
}
#else
static void use_all(void) {}
#endif

static void use_memory(void) {
  uint64_t state = 99;
  use_blocks(&state, 2000);
  size_t* p = block_new(30 << 20);
  block_free(p);
  p = mi_realloc(mi_calloc(10, 10), 100000);
  require(p != NULL, "no memory");
  mi_free(p);
  use_all();
}

static void* thread(void* arg) {
  use_memory();
  return arg;
}

static void handler(int number) {
  (void)number;
  use_memory();
}

int main(void) {
#ifndef PRELOADED
  mi_register_output(ignore_text, NULL);
#endif
  pthread_attr_t attr;
  pthread_t t;
  pthread_attr_init(&attr);
  require(pthread_attr_setstack(&attr, stack_new(), STACK) == 0, "no such stack");
  for (int i = 0; i < 3; i++) {
    require(pthread_create(&t, &attr, thread, NULL) == 0, "no thread");
    pthread_join(t, NULL);
  }
  stack_t alternate = {.ss_sp = stack_new(), .ss_size = STACK};
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
  require(sigaltstack(&alternate, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0,
          "no signal");
  for (int i = 0; i < 3; i++) raise(SIGUSR1);
  require(nothing_lives(), "not all freed");
  return 0;
}
