/* before_main.c: blocks and threads of the time before main and before the library's own constructor are
** whole, and can be freed. */
#include "life.h"

#include <stdatomic.h>

extern size_t* early_blocks[3]; /* early_lib.c */
extern atomic_int early_step;
extern pthread_t early_thread;

static size_t *first, *second;
static void before_all(void) { first = block_new(400); }
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = before_all;
__attribute__((constructor(101))) static void early(void) { second = block_new(500); }

int main(void) {
  require(first != NULL && second != NULL && early_step == 1, "what is early has not run");
  block_free(early_blocks[0]);
  block_free(early_blocks[1]);
  early_step = 2;
  require(pthread_join(early_thread, NULL) == 0, "the early thread is none");
  block_free(first);
  block_free(second);
  require(nothing_lives(), "not all freed");
  return 0;
}
