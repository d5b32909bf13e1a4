/* ends.c: how a process can end while its threads allocate, by the argument: "pthread_exit" of the main
** thread, and the others go on; "exit", called by another thread; "return" from main; "done": the
** library was told of the end, and is used after it. Status 5 is expected. */
#include "life.h"

#include <stdatomic.h>

enum { THREADS = 3, STATUS = 5 };
static size_t* of_main[100];
static _Atomic(size_t*) shared[100];

static void* allocate(void* arg) {
  uint64_t state = (uintptr_t)arg + 1;
  for (;;)
    block_free(atomic_exchange(&shared[rnd_from(&state, 100)], block_new(any_size(&state) % 5000)));
  return NULL;
}

/* Ends the process: after main has ended, for pthread_exit. */
static void* end(void* main_thread) {
  if (main_thread != NULL) {
    require(pthread_join(*(pthread_t*)main_thread, NULL) == 0, "main has not ended");
    for (int i = 0; i < 100; i++) block_free(of_main[i]);
  }
  exit(STATUS);
}

#ifndef PRELOADED
static void done(void) {
  mi_thread_done();
  mi_thread_done();
  mi_process_done();
  uint64_t state = 3;
  use_blocks(&state, 100);
  mi_process_done();
  mi_thread_done();
  mi_process_init();
  mi_thread_init();
  use_blocks(&state, 100);
}
#else
static void done(void) {}
#endif

int main(int argc, char** argv) {
  static pthread_t self;
  const char* how = argc > 1 ? argv[1] : "";
  self = pthread_self();
  for (size_t i = 0; i < 100; i++) of_main[i] = block_new(i * i);
  for (int i = 0; i < THREADS; i++) start(allocate, (void*)(uintptr_t)i);
  if (strcmp(how, "pthread_exit") == 0) {
    start(end, &self);
    pthread_exit(NULL);
  }
  if (strcmp(how, "exit") == 0) pthread_join(start(end, NULL), NULL);
  if (strcmp(how, "done") == 0) done();
  return STATUS;
}
