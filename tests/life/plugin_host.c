/* plugin_host.c PLUGIN [rounds | exit | close]: opens and closes a plug-in again and again, with threads that
** call it and live on, or end after it was closed. What is mapped, resident and open does not grow.
** With "exit" the process ends with the plug-in open, with "close" a handler of exit closes it, each
** while a thread that called it lives, and one that is in it. */
#include "life.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/wait.h>

enum { ROUNDS = 100, WARM = 10 };

static const char* path;
static void* plugin;
static void (*plugin_open)(void);
static void (*plugin_use)(uint64_t*);

static void* symbol(const char* name) {
  void* found = dlsym(plugin, name);
  require(found != NULL, dlerror());
  return found;
}

static void open_plugin(void) {
  plugin = dlopen(path, RTLD_NOW);
  require(plugin != NULL, dlerror());
  void *open = symbol("plugin_open"), *use = symbol("plugin_use");
  memcpy(&plugin_open, &open, sizeof open);
  memcpy(&plugin_use, &use, sizeof use);
  plugin_open();
}
static void close_plugin(void) { require(dlclose(plugin) == 0, "dlclose"); }

/* The turns of two threads that live all the time, and of one for each round. */
static pthread_barrier_t turn;
static void* long_life(void* arg) {
  uint64_t state = (uintptr_t)arg;
  for (int i = 0; i < ROUNDS; i++) {
    pthread_barrier_wait(&turn); /* it was opened */
    plugin_use(&state);
    pthread_barrier_wait(&turn);
  }
  pthread_barrier_wait(&turn); /* it was closed for the last time */
  return NULL;
}

static pthread_barrier_t short_turn;
static void* short_life(void* arg) {
  uint64_t state = (uintptr_t)arg;
  plugin_use(&state);
  pthread_barrier_wait(&short_turn);
  pthread_barrier_wait(&short_turn); /* it was closed */
  return NULL;
}

static void check_fork(void) {
  pid_t child = fork();
  int status;
  if (child == 0) _exit(0);
  require(child > 0 && waitpid(child, &status, 0) == child && status == 0, "no fork");
}

static int open_files(void) {
  int count = 0;
  DIR* dir = opendir("/proc/self/fd");
  require(dir != NULL, "no /proc/self/fd");
  while (readdir(dir) != NULL) count++;
  closedir(dir);
  return count;
}

static void round_of(uint64_t* state) {
  open_plugin();
  pthread_barrier_wait(&turn);
  pthread_t thread = start(short_life, (void*)(uintptr_t)rnd_from(state, 1000000));
  plugin_use(state);
  pthread_barrier_wait(&short_turn);
  pthread_barrier_wait(&turn);
  close_plugin();
  pthread_barrier_wait(&short_turn);
  pthread_join(thread, NULL);
  check_fork();
}

static void rounds(void) {
  uint64_t state = 5;
  size_t was_mapped = 0, was_resident = 0;
  int were_open = 0;
  pthread_t threads[2];
  pthread_barrier_init(&turn, NULL, 3);
  pthread_barrier_init(&short_turn, NULL, 2);
  for (uintptr_t i = 0; i < 2; i++) threads[i] = start(long_life, (void*)(i + 1));
  for (int i = 0; i < ROUNDS; i++) {
    if (i == WARM) was_mapped = mapped(), was_resident = resident(), were_open = open_files();
    round_of(&state);
  }
  pthread_barrier_wait(&turn);
  require(mapped() <= was_mapped + ROOM, "a closed plug-in keeps address space");
  require(resident() <= was_resident + ROOM, "a closed plug-in keeps memory");
  require(open_files() <= were_open, "a closed plug-in keeps files open");
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

static void* be_in_it(void* arg) {
  uint64_t state = 77;
  open_plugin();
  pthread_barrier_wait(&turn);
  while (arg != NULL) plugin_use(&state);
  pause();
  return NULL;
}

int main(int argc, char** argv) {
  path = argc > 1 ? argv[1] : "";
  const char* how = argc > 2 ? argv[2] : "rounds";
  if (strcmp(how, "rounds") == 0) {
    rounds();
    return 0;
  }
  bool closes = strcmp(how, "close") == 0;
  pthread_barrier_init(&turn, NULL, 2);
  start(be_in_it, closes ? NULL : &turn);
  pthread_barrier_wait(&turn);
  if (closes) require(atexit(close_plugin) == 0, "no handler");
  return 0;
}
