/* rc_pair.c: N times, an object of two integers is made, referenced twice and dies; instructions.sh counts what
** each function here takes, and rc_dec_last. */
#include "rc/rc.h"

#include <stdlib.h>

#define COUNTED __attribute__((noinline))

static COUNTED rc_object* count_rc_alloc(void) { return rc_alloc(0, 2); }
static COUNTED void count_rc_inc(rc_object* o) { rc_inc(o); }
static COUNTED void count_rc_dec(rc_object* o) { rc_dec(o); }

int main(int argc, char** argv) {
  for (long n = argc == 2 ? atol(argv[1]) : 0; n > 0; n--) {
    rc_object* o = count_rc_alloc();
    if (o == NULL) return 1;
    rc_init(o, 0, rc_int(n));
    rc_init(o, 1, RC_NIL);
    count_rc_inc(o);
    count_rc_dec(o);
    rc_dec_last(o);
  }
  return 0;
}
