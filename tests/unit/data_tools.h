/* data_tools.h: what the tests of rc/data/ share: elements of known identity, and the refusal of
** memory at every point of an update. */
#ifndef DATA_TOOLS_H
#define DATA_TOOLS_H

#include "rc/data/data.h"
#include "rc_tools.h"

#include <errno.h>

/* The sizes that the plain build proves. */
#if defined(__SANITIZE_ADDRESS__) || CHECKED
enum { STEPS = 2000 };
#else
enum { STEPS = 10000 };
#endif

/* Objects that were made and not freed, when nothing waits. */
static inline uint64_t objects_alive(void) {
  rc_drain(SIZE_MAX);
  rc_counters k = counters();
  return (uint64_t)k.objects;
}

static inline rc_word copy_of_word(rc_word w) {
  rc_inc_word(w);
  return w;
}

/* A reference that waits to be given up: until then it hides that another one is the only one. */
static inline void leave_waiting(rc_word w) {
  enum { N = 60 };
  rc_object* dead = words_array(N);
  rc_set(dead, N - 1, w);
  rc_dec(dead);
}

/* ---- Elements: a number, as an integer or in an object of its own ---------------------------- */

static inline rc_word element(int64_t id) { return id % 3 == 0 ? rc_int(id) : rc_from(leaf(id)); }

static inline int64_t id_of(rc_word w) {
  require(w != 0, "no element");
  return rc_to_int(rc_is_int(w) ? w : rc_get(rc_to(w), 0));
}

static inline int64_t new_id(void) {
  static int64_t last;
  return ++last;
}

/* Gives up w, whose id is known. */
static inline void expect_id(rc_word w, int64_t id) {
  require(id_of(w) == id, "element %lld, not %lld", (long long)id_of(w), (long long)id);
  rc_dec_word(w);
}

/* ---- Numbers ----------------------------------------------------------------------------------- */

/* What fits is an integer; an object's highest limb is not 0 and its room is not much too large. */
static inline void check_form(rc_word w) {
  bool small = rc_big_bits(w) <= 62 || (rc_big_sign(w) < 0 && rc_big_bits(w) == 63);
  int64_t i;
  if (small && rc_big_bits(w) == 63) small = rc_big_to_int64(w, &i) && i == -((int64_t)1 << 62);
  require(rc_is_int(w) == small, "an integer, boxed or not");
  if (rc_is_int(w)) return;
  require(rc_to(w)->tag == RC_TAG_BIG, "tag");
  require(rc_length(rc_to(w)) <= 8 + 2 * (rc_big_bits(w) / 8 + 8) + 16, "room");
}

/* ---- Refusals -------------------------------------------------------------------------------- */

enum { ROOM = 1 << 20 };

/* A task that refuses what goes beyond ROOM, as often as one likes. */
static inline rt_task* begin_small(void) {
  return begin(&(rt_config){.bytes = ROOM, .collects = true});
}

/* Updates a copy of `base`, all of which somebody else sees, with 0, 8, 16, ... bytes left until
** that succeeds. What was refused must have changed nothing, nor lost or taken anything. Returns the
** result, and in *refused how often it failed. */
static inline rc_word update_starving(rc_word base, bool (*update)(rc_word* w, void* arg),
                                      void (*check)(rc_word w, void* arg), void* arg,
                                      int* refused) {
  *refused = 0;
  for (size_t left = 0;; left += left < 4096 ? 8 : left / 8) {
    uint64_t alive = objects_alive();
    rc_word w = copy_of_word(base);
    rc_object* ballast = rc_bytes(0, ROOM - rt_bytes(rt_current()) - 16 - left);
    require(ballast != NULL, "no memory for ballast");
    errno = 0;
    bool done = update(&w, arg);
    rc_dec(ballast);
    if (done) return w;
    require(errno == ENOMEM, "errno %d", errno);
    check(w, arg);
    check(base, arg);
    rc_dec_word(w);
    require(objects_alive() == alive, "a refused update leaves something");
    ++*refused;
  }
}

#endif
