/* pause: a list of N counted nodes dies twice: freed at once, and deferred while the program
** goes on to allocate. Prints a line for each: longest pause (ns), total time (ns), units of the
** longest slice, nodes freed, and (deferred) allocations until nothing was left. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rc/rc.h"
#include "runtime/runtime.h"

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static rc_object* node(rc_word value, rc_word next) {
  rc_object* o = rc_alloc(0, 2);
  if (o == NULL) {
    fprintf(stderr, "pause: no memory for the list\n");
    exit(1);
  }
  rc_init(o, 0, value);
  rc_init(o, 1, next);
  return o;
}

static rc_object* list(long n) {
  rc_object* first = NULL;
  for (long i = 0; i < n; i++) first = node(rc_int(i), first == NULL ? RC_NIL : rc_from(first));
  return first;
}

static rt_task* begin(void) {
  rt_task* task = rt_task_new(&(rt_config){.measure_pauses = true});
  if (task == NULL || rt_enter(task) != 0) {
    fprintf(stderr, "pause: no memory for a task\n");
    exit(1);
  }
  return task;
}

static void end(rt_task* task) {
  rt_leave();
  rt_task_end(task);
}

static void at_once(long n) {
  rt_task* task = begin();
  rc_object* first = list(n);
  rc_counters before, after;
  rc_get_counters(&before);
  uint64_t start = now_ns();
  rc_dec(first);
  rc_drain(SIZE_MAX);
  uint64_t time = now_ns() - start;
  rc_get_counters(&after);
  printf("at-once %llu %llu %llu %llu 0\n", (unsigned long long)time, (unsigned long long)time,
         (unsigned long long)(after.units - before.units),
         (unsigned long long)(before.objects - after.objects));
  end(task);
}

/* The program builds another list meanwhile. The total is that of all its pauses until the old
** one is gone. */
static void deferred(long n) {
  rt_task* task = begin();
  rc_object* first = list(n);
  rc_counters before, after;
  rt_pause building[RT_PAUSE_KINDS], all[RT_PAUSE_KINDS];
  rc_get_counters(&before);
  rt_get_pauses(task, building);
  rc_dec(first);
  rc_object* next = NULL;
  uint64_t allocations = 0;
  for (; rc_pending() > 0; allocations++)
    next = node(RC_NIL, next == NULL ? RC_NIL : rc_from(next));
  rc_get_counters(&after);
  rt_get_pauses(task, all);
  const rt_pause *dec = &all[RT_PAUSE_RC_DEC], *refill = &all[RT_PAUSE_REFILL];
  printf(
      "deferred %llu %llu %llu %llu %llu\n",
      (unsigned long long)(dec->ns > refill->ns ? dec->ns : refill->ns),
      (unsigned long long)(dec->total_ns + refill->total_ns - building[RT_PAUSE_REFILL].total_ns),
      (unsigned long long)(dec->units > refill->units ? dec->units : refill->units),
      (unsigned long long)(before.objects + (int64_t)allocations - after.objects),
      (unsigned long long)allocations);
  end(task);
}

int main(int argc, char** argv) {
  long n = argc > 1 ? atol(argv[1]) : 10000000;
  if (n <= 0) {
    fprintf(stderr, "usage: pause [NODES]\n");
    return 2;
  }
  at_once(n);
  deferred(n);
  return 0;
}
