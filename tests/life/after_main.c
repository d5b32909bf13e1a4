/* after_main.c: handlers of exit and destructors, of the program and of a library (after_lib.c), allocate
** and free what main has left. Prints which have run. */
#include "life.h"

static size_t* left[4][50];

static void leave(void) {
  for (int i = 0; i < 4; i++)
    for (size_t k = 0; k < 50; k++) left[i][k] = block_new(k * k * (k == 49 ? 10000 : 1));
}

static void drop(int i, const char* name) {
  uint64_t state = 1 + (uint64_t)i;
  use_blocks(&state, 200);
  for (int k = 0; k < 50; k++) block_free(left[i][k]);
  printf("%s\n", name);
}

void* after_lib(void* block); /* frees it when its library ends */

static void handler(void) { drop(0, "handler"); }
static void later_handler(void) {
  drop(1, "later handler");
  atexit(handler);
}
__attribute__((destructor)) static void destructor(void) { drop(2, "destructor"); }
__attribute__((destructor(101))) static void last_destructor(void) { drop(3, "last destructor"); }

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  leave();
  after_lib(block_new(100));
  require(atexit(later_handler) == 0, "no handler");
  return 0;
}
