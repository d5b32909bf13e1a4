/* children.c: new programs by each way there is, from several threads, while others allocate. */
#include "life.h"

#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

extern char** environ;
static atomic_bool stop;

static void* allocate(void* arg) {
  uint64_t state = 17;
  while (!stop) use_blocks(&state, 100);
  return arg;
}

static int wait_for(pid_t child) {
  int status = -1;
  require(child > 0 && waitpid(child, &status, 0) == child, "no child");
  return WEXITSTATUS(status);
}

static char* const command[] = {"sh", "-c", "exit 3", NULL};

static pid_t by_vfork(void) {
  pid_t child = vfork();
  if (child == 0) {
    execv("/bin/sh", command);
    _exit(1);
  }
  return child;
}

static pid_t by_fork(void) {
  pid_t child = fork();
  if (child != 0) return child;
  uint64_t state = 23;
  use_blocks(&state, 100);
  execv("/bin/sh", command);
  _exit(1);
}

static pid_t by_spawn(void) {
  pid_t child = 0;
  require(posix_spawnp(&child, "sh", NULL, NULL, command, environ) == 0, "no spawn");
  return child;
}

static void by_popen(void) {
  int n = 0;
  FILE* f = popen("echo $((6 * 7))", "r");
  require(f != NULL && fscanf(f, "%d", &n) == 1 && n == 42 && pclose(f) == 0, "no pipe");
}

static void* have_children(void* arg) {
  for (int i = 0; i < 5; i++) {
    size_t* p = block_new(1000);
    require(wait_for(by_vfork()) == 3, "vfork");
    require(wait_for(by_fork()) == 3, "fork");
    require(wait_for(by_spawn()) == 3, "posix_spawn");
    require(WEXITSTATUS(system("exit 4")) == 4, "system");
    by_popen();
    block_free(p);
  }
  return arg;
}

int main(void) {
  pthread_t other = start(allocate, NULL), parent = start(have_children, NULL);
  have_children(NULL);
  pthread_join(parent, NULL);
  stop = true;
  pthread_join(other, NULL);
  require(nothing_lives(), "not all freed");
  return 0;
}
