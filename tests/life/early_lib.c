/* early_lib.c: a library that allocates when it is loaded, in DT_INIT, in a constructor, and in a thread
** that its constructor starts. */
#include "life.h"

#include <stdatomic.h>

size_t* early_blocks[3];
atomic_int early_step;

/* Named to the linker as the library's DT_INIT. */
void early_init(void);
void early_init(void) { early_blocks[0] = block_new(100); }

static void* live(void* arg) {
  (void)arg;
  uint64_t state = 7;
  early_blocks[1] = block_new(300);
  early_step = 1;
  while (early_step != 2) use_blocks(&state, 10);
  block_free(early_blocks[2]);
  return NULL;
}

pthread_t early_thread;
__attribute__((constructor)) static void begin(void) {
  early_blocks[2] = block_new(200);
  early_thread = start(live, NULL);
  while (early_step != 1) usleep(100);
}
