/* check.c: misuse of objects, reported by the checked builds; others call nothing here.
**
** Whether a block is an object, and whether it lives, is in the allocator's word of it (the mark), out of the
** reach of stray writes; so nothing is read of what is no object. Where an object died is in a table with a place
** for each of the last ones, by address: a death that another one has displaced is reported without. Threads
** write it relaxed, word by word, for it is for reports alone. */
#include "rc/internal.h"

#include <stdio.h>

/* ---- Deaths ---------------------------------------------------------------------------------- */

enum { DEATHS = 1 << 14, TEXT = CHECK_TEXT };
static struct death {
  _Atomic uintptr_t object, site;
  _Atomic uint64_t header;
} deaths[CHECKED ? DEATHS : 1];

/* The call in the program in which objects die now: of the rc_dec whose object they belong to. */
static _Thread_local uintptr_t site;

static struct death* death_place(const void* o) {
  return &deaths[(uintptr_t)o * (uintptr_t)0x9e3779b97f4a7c15 >> 50];
}
_Static_assert(DEATHS == 1 << (64 - 50), "death_place has a bit for each doubling");

static uint64_t word_get(const _Atomic uint64_t* w) {
  return atomic_load_explicit(w, memory_order_relaxed);
}
static void word_set(_Atomic uint64_t* w, uint64_t value) {
  atomic_store_explicit(w, value, memory_order_relaxed);
}

static void note_death(const rc_object* o) {
  struct death* d = death_place(o);
  word_set(&d->object, (uintptr_t)o);
  word_set(&d->site, site);
  word_set(&d->header, dead_word(o));
}

static const struct death* death_of(const void* o) {
  struct death* d = death_place(o);
  return word_get(&d->object) == (uintptr_t)o ? d : NULL;
}

void check_at(const void* caller) { site = (uintptr_t)caller - 1; }

/* What an object holds dies where it died, if that is known still. */
void check_releases(const rc_object* o) {
  const struct death* d = death_of(o);
  site = d != NULL ? word_get(&d->site) : 0;
}

/* ---- What is said ---------------------------------------------------------------------------- */

static uint32_t state_in(const found_t* f) { return f->mark & (MAKER_MASK | STATE_MASK); }
static bool is_ours(const found_t* f) { return (f->mark & MAKER_MASK) == BY_RC; }

/* By its header, and, while its block is there, its type. */
static void describe(char* text, const rc_object* o, rc_object head, bool has_type) {
  static const char* const kinds[] = {"fields", "array", "bytes", "typed"};
  unsigned kind = head.kind & KIND_MASK;
  if (kind == RC_TYPED && has_type && typed_as(o)->name != NULL)
    snprintf(text, TEXT, "type %.100s, tag %u", typed_as(o)->name, head.tag);
  else if (kind == RC_FIELDS)
    snprintf(text, TEXT, "%u fields, tag %u", head.n, head.tag);
  else
    snprintf(text, TEXT, "%s, tag %u", kinds[kind], head.tag);
}

void check_describe(char* text, const rc_object* o) { describe(text, o, *o, true); }

static rc_object head_of(uint64_t word) {
  rc_object head;
  memcpy(&head, &word, sizeof head);
  return head;
}

static void report_dead(const rc_object* o, const char* what, bool freed) {
  char text[TEXT] = "an object", place[TEXT] = "an unknown place";
  const struct death* d = death_of(o);
  if (d != NULL) {
    describe(text, o, head_of(word_get(&d->header)), !freed);
    if (word_get(&d->site) != 0) trace_place(place, sizeof place, (void*)word_get(&d->site));
  }
  report_error(EAGAIN, "sluice: error: %s of dead object %p (%s), which died at %s", what,
               (const void*)o, text, place);
}

static void report_none(const found_t* f, const void* p, const char* what) {
  if (f->what == FOUND_NONE)
    report_error(EINVAL, "sluice: error: %s of invalid pointer %p: it is no object", what, p);
  else if (f->what == FOUND_INSIDE)
    report_error(EINVAL,
                 "sluice: error: %s of invalid pointer %p: it points inside the %s %p of %zu bytes",
                 what, p, is_ours(f) ? "object" : "block", f->block, f->size);
  else
    report_error(EINVAL, "sluice: error: %s of invalid pointer %p: it is a %sblock of %zu bytes",
                 what, p, f->what == FOUND_FREED ? "freed " : "", f->size);
}

static bool is_damaged(const rc_object* o, size_t size) {
  unsigned kind = rc_kind(o);
  if (o->n != RC_LONG) return kind != RC_FIELDS || WORD + WORD * (size_t)o->n != size;
  return kind == RC_FIELDS || WORD * bytes_to_words(object_bytes(o, kind)) != size;
}

static void report_damage(const rc_object* o, const char* what, size_t size) {
  report_error(EFAULT,
               "sluice: error: %s of object %p with a damaged header: kind %u and length %u do not "
               "fit its block of %zu bytes",
               what, (const void*)o, rc_kind(o), o->n, size);
}

/* A shell has a count of its own, so a header with another one was made by rc_reuse, as it is inlined. */
#define SHELL_COUNT (RC_IMMORTAL + 1)

static bool is_alive(const rc_object* o, const found_t* f) {
  if (f->what != FOUND_LIVE) return false;
  if (likely(state_in(f) == MARK_LIVES)) return true;
  if (state_in(f) != MARK_SHELL || rc_count(o) == SHELL_COUNT) return false;
  checked_mark(o, MARK_LIVES);
  return true;
}

bool check_is_alive(const rc_object* o) {
  found_t f = checked_find(o);
  return is_alive(o, &f);
}

/* ---- Questions: false, with a report, if the call is misuse ----------------------------------- */

bool check_lives(const rc_object* o, const char* what) {
  found_t f = checked_find(o);
  bool is_start = f.what == FOUND_LIVE && is_ours(&f);
  if (likely(is_alive(o, &f))) {
    if (likely(!is_damaged(o, f.size))) return true;
    report_damage(o, what, f.size);
  } else if (is_start || (f.what != FOUND_LIVE && f.what != FOUND_INSIDE && death_of(o) != NULL)) {
    report_dead(o, what, f.what != FOUND_LIVE);
  } else {
    report_none(&f, o, what);
  }
  return false;
}

bool check_shell(rc_object* o, const char* what) {
  char text[TEXT];
  found_t f = checked_find(o);
  if (f.what == FOUND_LIVE && state_in(&f) == MARK_SHELL && o->count == SHELL_COUNT) {
    o->count = 1;
    if (!is_damaged(o, f.size)) return true;
    report_damage(o, what, f.size);
    return false;
  }
  if (!check_lives(o, what)) return false;
  if (rc_count(o) == 1 && rc_kind(o) == RC_FIELDS) return true;
  describe(text, o, *o, true);
  report_error(EINVAL, "sluice: error: %s of object %p (%s, count %d), which is no shell", what,
               (const void*)o, text, (int)rc_count(o));
  return false;
}

bool rc_check(const rc_object* o, const char* what) { return !CHECKED || check_lives(o, what); }

bool rc_check_field(const rc_object* o, size_t i, const char* what) {
  if (!CHECKED) return true;
  if (!check_lives(o, what)) return false;
  if (rc_kind(o) != RC_BYTES && i < rc_length(o)) return true;
  report_error(EINVAL, "sluice: error: %s of field %zu of object %p, which has %zu", what, i,
               (const void*)o, rc_kind(o) != RC_BYTES ? rc_length(o) : 0);
  return false;
}

bool rc_check_word(const rc_object* o, rc_word w, const char* what) {
  if (!CHECKED || rc_is_int(w)) return true;
  if (w != 0) return check_lives(rc_to(w), what);
  report_error(EINVAL, "sluice: error: %s of the word 0 into object %p", what, (const void*)o);
  return false;
}

/* ---- What happens to an object ----------------------------------------------------------------- */

void check_made(const rc_object* o) { checked_mark(o, MARK_LIVES); }

/* A field that was never stored is RC_NIL from here on. */
static void check_fields(rc_object* o) {
  const uint64_t fresh = (uint64_t)FRESH_FILL * 0x0101010101010101;
  char text[TEXT];
  for (size_t i = 0; rc_kind(o) == RC_FIELDS && i < o->n; i++) {
    rc_word* w = &object_words(o)[i];
    if (*w != 0 && *w != fresh) continue;
    describe(text, o, *o, true);
    report_error(EINVAL, "sluice: error: field %zu of object %p (%s) was not stored before it died",
                 i, (void*)o, text);
    *w = RC_NIL;
  }
}

/* Its last reference is gone, and it was not noticed before. */
void check_dies(rc_object* o) {
  found_t f = checked_find(o);
  if (state_in(&f) != MARK_LIVES) return;
  note_death(o);
  checked_mark(o, MARK_DEAD);
  check_fields(o);
}

void check_becomes_shell(rc_object* o, const void* caller) {
  check_at(caller);
  note_death(o);
  checked_mark(o, MARK_SHELL);
  check_fields(o);
  o->count = SHELL_COUNT;
}

/* The next to come to the block is malloc's. */
void check_freed(const rc_object* o) {
  found_t f = checked_find(o);
  if (f.what == FOUND_LIVE && state_in(&f) == MARK_LIVES) note_death(o);
  if (f.what == FOUND_LIVE && is_ours(&f)) checked_mark(o, BY_MALLOC);
}
