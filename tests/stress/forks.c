/* forks.c: a program forks while its other threads allocate, free each other's blocks, make heaps, and
** start and end. Each child allocates, frees blocks of the threads that it does not have, drains dead
** objects, makes a thread, and forks again; and ends in time. */
#include "alloc/policy.h"
#include "rc/rc.h"
#include "runtime/runtime.h"
#include "tests/tools.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 3, SLOTS = 512, FORKS_PER_UNIT = 10, IN_TIME = 120 /* seconds, else SIGALRM */ };

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "forks: %s\n", what);
  _exit(1);
}

/* Blocks of all threads; each begins with its size. */
static _Atomic(size_t*) slots[SLOTS];
static atomic_bool stop;

static void exchange(uint64_t* state) {
  size_t size = sizeof(size_t) + rnd_from(state, rnd_from(state, 100) == 0 ? 3000000 : 2000);
  size_t* p = mi_malloc(size);
  if (p == NULL) fail("no memory");
  *p = size;
  mi_free(atomic_exchange_explicit(&slots[rnd_from(state, SLOTS)], p, memory_order_acq_rel));
}

static rc_object* list_of(int n) {
  rc_object* list = NULL;
  for (int i = 0; i < n; i++) {
    rc_object* o = rc_alloc(0, 1);
    if (o == NULL) fail("no memory for an object");
    rc_init(o, 0, list != NULL ? rc_from(list) : RC_NIL);
    list = o;
  }
  return list;
}

static void leave_garbage(int n) { rc_dec(list_of(n)); }

static void leave_shared_garbage(int n) {
  rc_object *list = list_of(n), *weak = rc_weak(list);
  if (weak == NULL || rc_share(list) != list) fail("no memory to share");
  rc_dec(list);
  if (rc_upgrade(weak) != NULL) fail("a dead object is referenced");
  rc_dec(weak);
}

/* What other threads were about to free when the process forked may be lost; what dies now is not. */
static void drain_shared_garbage(void) {
  enum { N = 1000 };
  rc_drain(SIZE_MAX);
  leave_shared_garbage(N);
  if (rc_drain(SIZE_MAX) < 2 * N - 33) fail("shared garbage was not freed");
}

static void* short_life(void* arg) {
  uint64_t state = *(uint64_t*)arg;
  for (int i = 0; i < 50; i++) exchange(&state);
  leave_garbage(100);
  return NULL;
}

static void start_and_end(uint64_t* state) {
  pthread_t thread;
  uint64_t first = rnd_from(state, UINT64_MAX) | 1;
  if (pthread_create(&thread, NULL, short_life, &first) != 0) fail("no thread");
  pthread_join(thread, NULL);
}

/* Locks are held for long only where the system maps memory. (Checked builds fill all of it.) */
static void use_huge_blocks(void) {
  for (int i = 0; i < (CHECKED ? 2 : 20); i++) {
    void* p = mi_malloc((size_t)(20 + i) << 20);
    if (p == NULL) fail("no memory for a huge block");
    mi_free(p);
  }
}

static void use_heap_and_task(void) {
  mi_heap_t* heap = mi_heap_new();
  for (int i = 0; i < 20; i++)
    if (mi_heap_malloc(heap, 5000) == NULL) fail("no memory in a heap");
  mi_heap_destroy(heap);
  rt_task* task = rt_task_new(&(rt_config){.repeatable_addresses = true});
  if (task == NULL || rt_enter(task) != 0) fail("no task");
  leave_garbage(100);
  rt_leave();
  rt_task_end(task);
}

static void* live(void* arg) {
  uint64_t state = (uintptr_t)arg * 0x9e3779b97f4a7c15u + 1;
  while (!stop) {
    for (int i = 0; i < 100; i++) exchange(&state);
    use_huge_blocks();
    leave_shared_garbage(200);
    if (rnd_from(&state, 10) == 0) start_and_end(&state);
    if (rnd_from(&state, 10) == 0) use_heap_and_task();
  }
  return NULL;
}

static void wait_for(pid_t child) {
  int status;
  if (child < 0) fail("no fork");
  if (waitpid(child, &status, 0) != child || status != 0) fail("a child has crashed, or waits");
}

static void be_child(uint64_t* state) {
  alarm(IN_TIME);
  for (int i = 0; i < SLOTS; i++) {
    size_t* p = atomic_load_explicit(&slots[i], memory_order_relaxed);
    if (p != NULL && *p > 4000000) fail("a block is not what it was");
  }
  for (int i = 0; i < 1000; i++) exchange(state);
  start_and_end(state);
  use_huge_blocks();
  use_heap_and_task();
  leave_garbage(1000);
  drain_shared_garbage();
  mi_collect(true);
  for (int i = 0; i < SLOTS; i++)
    mi_free(atomic_exchange_explicit(&slots[i], NULL, memory_order_relaxed));
}

/* A child, and `more` children of that. */
static void fork_and_wait(uint64_t* state, int more) {
  pid_t child = fork();
  if (child != 0) {
    wait_for(child);
    return;
  }
  be_child(state);
  for (; more > 0; more--) {
    child = fork();
    if (child == 0) be_child(state), _exit(0);
    wait_for(child);
  }
  _exit(0);
}

#if defined(__SANITIZE_THREAD__)
enum { CAN_FORK = 0 }; /* the sanitizer's runtime does not support it with threads */
#else
enum { CAN_FORK = 1 };
#endif

int main(int argc, char** argv) {
  uint64_t forks = (argc > 1 ? strtoull(argv[1], NULL, 10) : 100) * FORKS_PER_UNIT,
           state = 88172645;
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++)
    if (pthread_create(&threads[i], NULL, live, (void*)i) != 0) fail("no thread");
  for (uint64_t i = 0; i < forks * CAN_FORK; i++) {
    fork_and_wait(&state, i % 4 == 0);
    exchange(&state);
  }
  stop = true;
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  return 0;
}
