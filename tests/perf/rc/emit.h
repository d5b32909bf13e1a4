/* emit.h: what a compiler with reuse analysis emits around rc.h ("Perceus", PLDI 2021). With
** -DEAGER all that dies is freed within the very rc_dec, by recursion, as the code of such
** compilers does: the same library without deferral. */
#ifndef SLUICE_EMIT_H
#define SLUICE_EMIT_H

#include <stdio.h>
#include <stdlib.h>

#include "rc/rc.h"

#ifdef EAGER
static void eager_free(rc_object* o);

static inline void eager_dec(rc_object* o) {
  if (o->count > 1)
    o->count--;
  else if (o->count == 1)
    eager_free(o);
}

/* A loop along the last object that dies with this one, so that lists take no stack. */
static void eager_free(rc_object* o) {
  while (o->kind == RC_FIELDS) {
    rc_object* last = NULL;
    for (size_t i = 0; i < o->n; i++) {
      rc_word w = rc_words(o)[i];
      if (rc_is_int(w)) continue;
      if (last != NULL) eager_dec(last);
      last = rc_to(w);
    }
    rc_free_known(o);
    if (last == NULL || last->count != 1) {
      if (last != NULL) eager_dec(last);
      return;
    }
    o = last;
  }
  rc_dec(o);
  rc_drain(SIZE_MAX);
}

static inline void eager_dec_word(rc_word w) {
  if (rc_is_object(w)) eager_dec(rc_to(w));
}
#define rc_dec eager_dec
#define rc_dec_word eager_dec_word
#endif

/* Of objects whose number of fields the compiler knows. */
static inline rc_word field(rc_object* o, size_t i) { return rc_fields(o)[i]; }
static inline void store(rc_object* o, size_t i, rc_word w) { rc_fields(o)[i] = w; }

static inline rc_object* made(rc_object* o) {
  if (o == NULL) {
    fprintf(stderr, "no memory\n");
    exit(1);
  }
  return o;
}

/* The end of a match on an owned object, whose fields the caller has read; a and b are those that
** may be objects. They are the caller's now: moved out of a unique object, whose shell is returned;
** or shared, and NULL. */
static inline rc_object* take(rc_object* o, rc_word a, rc_word b) {
  if (rc_is_unique(o)) return o;
  rc_inc_word(a);
  rc_inc_word(b);
  rc_dec(o);
  return NULL;
}

/* A construction where a shell may be at hand; the end of a shell in which nothing is made. */
static inline rc_object* renew(rc_object* shell, uint8_t tag, size_t n) {
  return made(shell != NULL ? rc_reuse(shell, tag, n) : rc_alloc(tag, n));
}
static inline void drop(rc_object* shell) {
  if (shell != NULL) rc_free_known(shell);
}

static inline rc_word share(rc_word w) {
  rc_inc_word(w);
  return w;
}

static inline rc_word pair(rc_object* shell, uint8_t tag, rc_word a, rc_word b) {
  rc_object* o = renew(shell, tag, 2);
  store(o, 0, a);
  store(o, 1, b);
  return rc_from(o);
}

/* The result; then the program pays for what still waits, as an eager one has. */
static inline int finish(int64_t result) {
  printf("%lld\n", (long long)result);
  rc_drain(SIZE_MAX);
  return 0;
}

#endif
