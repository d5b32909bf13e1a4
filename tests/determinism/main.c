/* main.c: programs NAME runs that one; programs without a name lists them. */
#include "tests/determinism/programs.h"

#include <pthread.h>
#include <sys/random.h>

static rt_task* task;

rt_task* begin(const rt_config* config) {
  task = rt_task_new(config);
  require(task != NULL && rt_enter(task) == 0, "a task");
  return task;
}
void end(rt_task* t) {
  show("end");
  rt_leave();
  require(rt_task_end(t) == 0, "the end of the task");
}
void show(const char* moment) {
  printf("%s: %llu ticks, %llu beats, %s\n", moment, (unsigned long long)rt_ticks(task),
         (unsigned long long)rt_heartbeats(task), rt_limit_name(rt_expired(task)));
}
void show_bytes(void) {
  printf("%llu bytes, at most %llu\n", (unsigned long long)rt_bytes(task),
         (unsigned long long)rt_bytes_peak(task));
}
void require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "there is not: %s\n", what);
  exit(1);
}

/* ---- Blocks that other threads free -------------------------------------------------------------- */

enum { FREERS = 3, BOX = 512 };
static struct {
  pthread_mutex_t lock;
  void* box[BOX];
  size_t count;
  bool closing;
} handed = {.lock = PTHREAD_MUTEX_INITIALIZER};
static pthread_t freers[FREERS];
static void (*free_one)(void*);

/* One out of the box, or NULL; false when there will be no more. */
static bool take(uint64_t* random, void** p) {
  pthread_mutex_lock(&handed.lock);
  *p = NULL;
  bool more = handed.count > 0 || !handed.closing;
  if (handed.count > BOX / 2 || (handed.count > 0 && handed.closing)) {
    void** from = &handed.box[rnd_from(random, handed.count)];
    *p = *from;
    *from = handed.box[--handed.count];
  }
  pthread_mutex_unlock(&handed.lock);
  return more;
}
static void* freer(void* arg) {
  uint64_t random = 0;
  (void)arg;
  require(getrandom(&random, sizeof random, 0) == sizeof random, "a random number");
  random |= 1;
  for (void* p; take(&random, &p);) {
    if (p != NULL)
      free_one(p);
    else
      usleep(50);
  }
  return NULL;
}

void start_freers(void (*f)(void*)) {
  free_one = f;
  handed.closing = false;
  for (int i = 0; i < FREERS; i++)
    require(pthread_create(&freers[i], NULL, freer, NULL) == 0, "a thread");
}
/* A full box is the thread's own to empty: it does not wait. */
void hand_over(void* p) {
  pthread_mutex_lock(&handed.lock);
  if (handed.count < BOX) {
    handed.box[handed.count++] = p;
    p = NULL;
  }
  pthread_mutex_unlock(&handed.lock);
  if (p != NULL) free_one(p);
}
void stop_freers(void) {
  pthread_mutex_lock(&handed.lock);
  handed.closing = true;
  pthread_mutex_unlock(&handed.lock);
  for (int i = 0; i < FREERS; i++) pthread_join(freers[i], NULL);
}

int main(int argc, char** argv) {
  const program* const all[] = {plain_programs, counted_programs};
  for (int i = 0; i < 2; i++) {
    for (const program* p = all[i]; p->name != NULL; p++) {
      if (argc < 2) puts(p->name);
      if (argc < 2 || strcmp(argv[1], p->name) != 0) continue;
      p->run();
      return fflush(stdout) != 0;
    }
  }
  if (argc > 1) fprintf(stderr, "no program has the name %s\n", argv[1]);
  return argc > 1;
}
