/* plugin.c: a plug-in with a static library of its own in it, for plugin_host.c: heaps, huge blocks, an
** arena, a task with a region, callbacks, and blocks that are alive still when it is closed; some are freed by its
** own destructors. */
#include "life.h"
#include "rc/rc.h"
#include "runtime/runtime.h"

#include <stdatomic.h>

#ifndef TIDY
#define TIDY 0 /* 1: it frees what it has */
#endif

static size_t *for_handler, *for_destructor;
static void handler(void) {
  block_free(for_handler);
  for_handler = NULL;
}
static _Atomic(size_t*) last;
__attribute__((destructor(101))) static void destructor(void) {
  block_free(for_destructor);
  block_free(atomic_exchange(&last, NULL));
}

static void use_task(rt_task* task) {
  require(task != NULL && rt_enter(task) == 0, "no task");
  rc_word list = RC_NIL;
  for (int i = 0; i < 1000; i++) {
    rc_object* o = rc_alloc(0, 1);
    require(o != NULL, "no object");
    rc_init(o, 0, list);
    list = rc_from(o);
  }
  rt_leave();
}

/* Its last 64 KiB are no room for a page. */
static void use_arena(void) {
  mi_arena_id_t id;
  int result = mi_reserve_os_memory_ex((64 << 20) + (64 << 10), false, false, true, &id);
  require(result == 0, "no arena");
  mi_heap_t* heap = mi_heap_new_in_arena(id);
  require(heap != NULL && mi_heap_malloc(heap, 17 << 20) != NULL, "no huge block in an arena");
  require(mi_heap_malloc(heap, 10) != NULL, "no block in an arena");
}

/* A plug-in that stays in the process when it is closed has all of this still. */
void plugin_open(void);
void plugin_open(void) {
  if (for_destructor != NULL) return;
  for_handler = block_new(1000);
  for_destructor = block_new(100000);
  require(atexit(handler) == 0, "no handler");
  if (TIDY) return;
  require(mi_malloc(17 << 20) != NULL, "no huge block");
  mi_heap_t* heap = mi_heap_new();
  require(heap != NULL && mi_heap_malloc(heap, 10) != NULL, "no heap");
  use_arena();
  use_task(rt_task_new(&(rt_config){.repeatable_addresses = true}));
}

void plugin_use(uint64_t* state);
void plugin_use(uint64_t* state) {
  use_blocks(state, 300);
  block_free(atomic_exchange(&last, block_new(any_size(state))));
}
