/* after_lib.c: a library whose destructor frees a block, after those of the program that uses it. */
#include "life.h"

static size_t* kept;
void* after_lib(void* block);
void* after_lib(void* block) { return kept = block; }

__attribute__((destructor)) static void end(void) {
  block_free(kept);
  block_free(block_new(1000));
  puts("library");
}
