/* numbers.h: registers of a function that hold numbers only: a comparison with one of them compares
** no texts. */
#ifndef SLUICE_NUMBERS_H
#define SLUICE_NUMBERS_H

#include "demo-lang/bytecode.h"

typedef struct numbers {
  bool only[MAX_REGISTERS + 1];
} numbers;

/* Those that are left when each is taken away that is written something else: by an instruction that
** may, or by another function. (nil and false do no harm: arithmetic with them alone is an error. What
** a call leaves above its results is not read before it is written.) */
void find_numbers(const proto* p, numbers* n);

#endif
