/* rc_pair.c: N times, an object of two integers is made and dies; instructions.sh counts. */
#include "rc/rc.h"

#include <stdlib.h>

int main(int argc, char** argv) {
  for (long n = argc == 2 ? atol(argv[1]) : 0; n > 0; n--) {
    rc_object* o = rc_alloc(0, 2);
    if (o == NULL) return 1;
    rc_init(o, 0, rc_int(n));
    rc_init(o, 1, RC_NIL);
    rc_dec(o);
  }
  return 0;
}
