/* pattern.h: a pattern tried at a place of a text. */
#ifndef SLUICE_LIB_PATTERN_H
#define SLUICE_LIB_PATTERN_H

#include "demo-lang/lib/strings.h"

enum { CAPTURES = 32, SETS = 8 };

/* Lengths of captures that have none. */
enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

typedef struct capture {
  const char* start;
  ptrdiff_t length;
} capture;

/* A set of bytes that was met in the pattern: [...] */
typedef struct byte_set {
  const char *at, *end;
  uint64_t bits[4];
} byte_set;

/* An item of the pattern that takes one byte. */
typedef struct item {
  enum { BYTE, ANY, SET } kind;
  char byte;
  bool negated;
  const uint64_t* set;
  const char* end; /* where a repetition would stand; at most the end of the pattern */
} item;

/* Text and pattern belong to Lua; a zero byte stands behind each.
** Invariants: captures[0 .. level) are those that the path so far has begun; of a match, those
** with CAPTURE_OPEN were never closed. `sets` holds the last min(sets_met, SETS) sets that were
** met, set number i at i % SETS. */
typedef struct matcher {
  purse paid;
  const char *text, *end;
  const char *pattern, *pattern_end;
  const char* last; /* where the last match ended: an empty one is not to be found there; or NULL */
  bool prepared;    /* the next two are known */
  bool skips;       /* to where `first` takes the byte */
  item first;
  uint64_t first_set[4];
  int level;
  unsigned sets_met;
  capture captures[CAPTURES];
  byte_set sets[SETS];
} matcher;

static inline void matcher_init(matcher* m, lua_State* L) {
  m->paid = purse_new(L);
  m->last = NULL;
  m->prepared = false;
  m->level = 0;
  m->sets_met = 0;
}

/* The pattern from its start, at s or, if not `anchored`, at the first place from s on where it
** matches: the end of the match, whose start is put in *start; NULL: no match. */
const char* pattern_search(matcher* m, const char* s, bool anchored, const char** start);

#endif
