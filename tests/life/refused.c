/* refused.c: what the library asks the C library for when it starts is refused: a thread key (REFUSE_KEY),
** its value in each thread (REFUSE_VALUE), handlers of fork (REFUSE_FORK) and of exit (REFUSE_EXIT). All
** goes on, but for what depends on it. */
#include "life.h"

#include <sys/wait.h>

#if defined(REFUSE_KEY)
int pthread_key_create(pthread_key_t* key, void (*destructor)(void*)) {
  (void)key, (void)destructor;
  return EAGAIN;
}
#elif defined(REFUSE_VALUE)
int pthread_setspecific(pthread_key_t key, const void* value) {
  (void)key, (void)value;
  return ENOMEM;
}
#elif defined(REFUSE_FORK)
int pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
  (void)before, (void)parent, (void)child;
  return ENOMEM;
}
#elif defined(REFUSE_EXIT)
int atexit(void (*handler)(void)) {
  (void)handler;
  return ENOMEM;
}
#endif

enum { THREADS = 50, EACH = 100 };
static size_t* left[EACH];

/* Takes leave by itself: the key's work. */
static void* live(void* arg) {
  uint64_t state = (uintptr_t)arg + 1;
  use_blocks(&state, 100);
  for (int i = 0; i < EACH; i++) {
    block_free(left[i]);
    left[i] = block_new(any_size(&state) % 5000);
  }
  mi_thread_done();
  return NULL;
}

static void* just_end(void* arg) {
  uint64_t state = (uintptr_t)arg + 1;
  use_blocks(&state, 100);
  return NULL;
}

static void check_fork(void) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    uint64_t state = 3;
    use_blocks(&state, 100);
    for (int i = 0; i < EACH; i++) block_free(left[i]);
    _exit(0);
  }
  require(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child has crashed");
}

int main(void) {
  for (uintptr_t i = 0; i < THREADS; i++) pthread_join(start(live, (void*)i), NULL);
  check_fork();
  for (int i = 0; i < EACH; i++) block_free(left[i]);
  require(nothing_lives(), "not all freed");
  for (uintptr_t i = 0; i < THREADS; i++) pthread_join(start(just_end, (void*)i), NULL);
  uint64_t state = 9;
  use_blocks(&state, 1000);
  return 0;
}
