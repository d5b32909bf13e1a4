/* defer.c: death, as far as it is eager.
**
** The last rc_dec releases eagerly for up to 33 units, with a local stack of dead objects; what is left waits, see
** drain.c. */
#include "rc/internal.h"

/* ---- Releasing one object -------------------------------------------------------------------- */

static void sink_take(sink_t* to, rc_object* o, unsigned bits) {
  if (CHECKED) check_dies(o);
  if (to->eager) {
    dead_link(o, bits, to->list);
    to->list = o;
  } else {
    dead_push(to->task, o, bits);
  }
}

static bool is_dead(const rc_object* o) {
  if (rc_count(o) != 0) return false;
  report_error(EAGAIN, "sluice: error: rc_dec of dead object %p", (const void*)o);
  return true;
}

static __attribute__((noinline)) void special_child_ends(sink_t* to, rc_object* child) {
  if (object_ends(to, child, false)) sink_take(to, child, rc_kind(child));
}

void shared_ends(sink_t* to, rc_object* o) {
  if (o->kind > RC_BYTES && !object_ends(to, o, true)) return;
  if (to->shared) {
    sink_take(to, o, rc_kind(o));
  } else {
    if (CHECKED) check_dies(o);
    dead_link(o, rc_kind(o), NULL);
    shared_push(o, o);
  }
}

void shared_child_gone(sink_t* to, rc_object* child) {
  if (shared_dec(child)) shared_ends(to, child);
}

static __attribute__((noinline)) void shared_child_dec(sink_t* to, rc_object* child) {
  if (rc_is_cyclic(child)) {
    if (cyclic_dec(child)) special_child_ends(to, child);
    return;
  }
  if (is_dead(child)) return;
  if (!to->shared) account(child, -1);
  shared_child_gone(to, child);
}

static inline void child_gone(sink_t* to, rc_object* child) {
  if (CHECKED && !check_lives(child, "release by an object's death")) return;
  int32_t count = rc_count(child);
  if (count > 1)
    child->count = count - 1;
  else if (unlikely(count < 1))
    shared_child_dec(to, child);
  else if (unlikely(child->kind > RC_BYTES))
    special_child_ends(to, child);
  else
    sink_take(to, child, child->kind);
}

void child_dec(sink_t* to, rc_object* child) { child_gone(to, child); }

/* An object of another task stays counted there; what ended threads left was taken over, what is shared is
** counted nowhere. */
__attribute__((noinline)) void object_free_any(mi_task_t* task, rc_object* o, unsigned kind) {
  if (task->implicit || page_is_of(page_of(o), task)) task_unreserve(task, object_bytes(o, kind));
  object_block_free(o);
}

static inline void object_free_here(mi_task_t* task, rc_object* o, unsigned kind) {
  page_t* page = slot_of(o);
  task->objects--;
  if (CHECKED || unlikely(page_owner(page) != (uintptr_t)task)) {
    object_free_any(task, o, kind);
    return;
  }
  task_note_peak(task);
  task->room += (int64_t)object_bytes(o, kind);
  page_free_local(page, (block_t*)(void*)o);
}

void object_free(mi_task_t* task, rc_object* o, unsigned kind) { object_free_here(task, o, kind); }

static inline void sink_free(sink_t* to, rc_object* o, unsigned kind) {
  if (likely(!to->shared))
    object_free_here(to->task, o, kind);
  else
    object_block_free(o);
}

/* Waits again. */
static void release_later(sink_t* to, rc_object* o, unsigned bits) {
  if (to->eager)
    sink_take(to, o, bits);
  else
    current_set(to->task, o, bits);
}

/* All of an object with a few fields. And the fields alone. */
enum { FEW = 8 };
static inline size_t fields_release(sink_t* to, rc_object* o) {
  rc_word* words = (rc_word*)o + 1;
  size_t n = o->n;
  for (size_t i = n; i-- > 0;)
    if (rc_is_object(words[i])) child_gone(to, rc_to(words[i]));
  return n;
}
static inline size_t few_release(sink_t* to, rc_object* o) {
  size_t n = fields_release(to, o);
  sink_free(to, o, RC_FIELDS);
  return n + 1;
}

/* By the type's own trace, which finds an object of its type, without references and tag. The cursor is in the
** tail meanwhile. */
static __attribute__((noinline)) size_t traced_release(sink_t* to, rc_object* o, unsigned bits,
                                                       size_t units) {
  enum { AT_ONCE = 32 };
  size_t cursor = bits & DEAD_PARTIAL ? *object_tail(o) : 0, spent = 0;
  *o = (rc_object){0, 0, RC_TYPED, RC_LONG};
  while (spent < units) {
    rc_word out[AT_ONCE];
    size_t most = units - spent < AT_ONCE ? units - spent : AT_ONCE;
    size_t n = typed_as(o)->trace(o, &cursor, out, most);
    for (size_t i = 0; i < n; i++)
      if (rc_is_object(out[i])) child_gone(to, rc_to(out[i]));
    spent += n;
    if (n < most) {
      sink_free(to, o, RC_TYPED);
      return spent + 1;
    }
  }
  *object_tail(o) = cursor;
  release_later(to, o, RC_TYPED | DEAD_PARTIAL);
  return spent;
}

/* The memory of a huge array goes back in parts as the fields in it are released, or it would at once in the end.
** Not the part with the index of the next field; checked builds keep what they look at. */
enum { PURGE_PART = 512 * 1024 };
static void purge_released(rc_object* o, size_t first, size_t end) {
  uintptr_t mask = ~(uintptr_t)(PURGE_PART - 1);
  uintptr_t from = (uintptr_t)(object_words(o) + first) & mask,
            to = (uintptr_t)(object_words(o) + end) & mask;
  if (likely(from == to) || CHECKED) return;
  page_t* page = page_of(o);
  char* kept = (char*)(object_words(o) + 1);
  if (page != NULL && page_is_huge(page))
    huge_purge_part(page, (char*)from > kept ? (char*)from : kept, (char*)to);
}

size_t object_release(sink_t* to, rc_object* o, unsigned bits, size_t units) {
  enum { AHEAD = 8 };
  if (CHECKED) check_releases(o);
  if (likely(bits == RC_FIELDS && o->n <= FEW && o->n < units)) return few_release(to, o);
  if (unlikely(is_traced(o, bits))) return traced_release(to, o, bits, units);
  unsigned kind = bits & DEAD_KIND;
  size_t n = object_fields(o, kind), first = dead_first(o, bits);
  rc_word* words = object_words(o);
  size_t end = n - first > units ? first + units : n;
  for (size_t i = first; i < end; i++) {
    if (i + AHEAD < end) __builtin_prefetch((void*)words[i + AHEAD]);
    if (rc_is_object(words[i])) child_gone(to, rc_to(words[i]));
  }
  size_t spent = end - first;
  if (n > LARGE_BLOCK_MAX / WORD) purge_released(o, first, end);
  if (spent < units) {
    sink_free(to, o, kind);
    return spent + 1;
  }
  if (end > 0) {
    words[0] = end;
    kind |= DEAD_PARTIAL;
  }
  release_later(to, o, kind);
  return spent;
}

/* ---- The eager path -------------------------------------------------------------------------- */

/* What is left of the list goes where it is drained. */
static void list_defer(sink_t* to) {
  rc_object *first = to->list, *last = first;
  for (rc_object *next, *o = first; o != NULL; o = next) {
    uint64_t w = dead_word(o);
    next = dead_next(w);
    last = o;
    if (!to->shared) dead_push(to->task, o, dead_bits(w));
  }
  if (to->shared && first != NULL) shared_push(first, last);
}

/* Goes on with the list; `spent` were spent before. */
static __attribute__((noinline)) size_t release_list(sink_t* to, size_t spent) {
  while (to->list != NULL && spent < DEC_UNITS) {
    rc_object* o = to->list;
    uint64_t w = dead_word(o);
    to->list = dead_next(w);
    spent += object_release(to, o, dead_bits(w), DEC_UNITS - spent);
  }
  list_defer(to);
  return spent;
}

/* Of a reference to an object that has 1 at most, or is shared. */
static size_t last_release(sink_t* to, rc_object* o) {
  if (o->kind > RC_BYTES && !object_ends(to, o, to->shared)) return release_list(to, 0);
  if (CHECKED) check_dies(o);
  return release_list(to, object_release(to, o, rc_kind(o), DEC_UNITS));
}

static size_t local_release(mi_task_t* task, rc_object* o) {
  sink_t to = {.task = task, .eager = true};
  return last_release(&to, o);
}

static size_t shared_release(mi_task_t* task, rc_object* o) {
  sink_t to = {.task = task, .eager = true, .shared = true};
  return last_release(&to, o);
}

static size_t fields_only(mi_task_t* task, rc_object* o) {
  sink_t to = {.task = task, .eager = true};
  return release_list(&to, fields_release(&to, o));
}

static __attribute__((noinline)) void release_counted(mi_task_t* task, rc_object* o,
                                                      size_t (*release)(mi_task_t*, rc_object*)) {
  pause_t pause = pause_begin(task);
  count_units(task, &state_of(task)->counted.dec_units_max, release(task, o));
  pause_end(task, PAUSE_RC_DEC, pause);
}

void fields_die(mi_task_t* task, rc_object* o) { release_counted(task, o, fields_only); }

static __attribute__((noinline)) void dec_last_slow(rc_object* o) {
  bool cyclic = rc_is_cyclic(o), shared = rc_count(o) < 0 && !cyclic;
  if (is_dead(o)) return;
  if (shared) account(o, -1);
  if ((cyclic && !cyclic_dec(o)) || (shared && !shared_dec(o))) return;
  mi_task_t* task = task_here();
  if (task != NULL) release_counted(task, o, shared ? shared_release : local_release);
}

static inline void small_push(sink_t* to, rc_object* o) {
  dead_link(o, RC_FIELDS, to->list);
  to->list = o;
}

/* NULL: the next one is not small, or there is none. */
static rc_object* small_pop(sink_t* to) {
  rc_object* o = to->list;
  if (o == NULL) return NULL;
  uint64_t w = dead_word(o);
  if (unlikely(dead_bits(w) != RC_FIELDS || w >> 48 > SMALL_FIELDS)) return NULL;
  to->list = dead_next(w);
  return o;
}

/* Gives up the n fields of a dead one. Returns the last that became dead, if it is small, which comes next: most
** objects go from hand to hand that way. */
static inline rc_object* small_release(sink_t* to, rc_object* o, size_t n) {
  rc_object* last = NULL;
  for (rc_word *words = (rc_word*)o, *w = words + n; w > words; w--) {
    if (rc_is_int(*w)) continue;
    rc_object* child = rc_to(*w);
    int32_t count = rc_count(child);
    if (count > 1) {
      child->count = count - 1;
      continue;
    }
    if (last != NULL) small_push(to, last);
    last = child;
    if (likely(count == 1 && is_small(child))) continue;
    child_dec(to, child);
    last = NULL;
  }
  return last;
}

/* dec_last_slow of a small one that nobody else has. */
static __attribute__((noinline)) void small_dies(rc_object* o) {
  mi_task_t* task = task_here();
  if (unlikely(task == NULL || task->notes_pauses)) {
    dec_last_slow(o);
    return;
  }
  sink_t to = {.task = task, .eager = true};
  size_t objects = 0, spent = 0, given = 0;
  task_note_peak(task);
  while (o != NULL) {
    size_t words = o->n + 1u;
    objects++;
    spent += words;
    rc_object* next = small_release(&to, o, words - 1);
    given += small_free(task, o, words);
    o = next != NULL ? next : small_pop(&to);
    if (o != NULL && o->n >= DEC_UNITS - spent) {
      small_push(&to, o);
      o = NULL;
    }
  }
  task->room += (int64_t)(WORD * given);
  task->objects -= (int64_t)objects;
  if (to.list != NULL) spent = release_list(&to, spent);
  count_units(task, &state_of(task)->counted.dec_units_max, spent);
}

/* Who made the shell from a unique object does not know of a weak reference. */
void shell_ends(mi_task_t* task, rc_object* shell) {
  sink_t to = {.task = task};
  if (unlikely(shell->kind != RC_FIELDS)) (void)object_ends(&to, shell, false);
}

bool is_shell(rc_object* o, const char* what) {
  if (CHECKED) return check_shell(o, what);
  if (rc_count(o) == 1 && rc_kind(o) == RC_FIELDS) return true;
  report_error(EINVAL, "sluice: error: %s of object %p, which is no shell", what, (void*)o);
  return false;
}

static __attribute__((noinline)) void free_known_slow(rc_object* shell, const void* caller) {
  if (!is_shell(shell, "rc_free_known")) return;
  if (CHECKED) check_at(caller);
  mi_task_t* task = task_here();
  if (task == NULL) return;
  shell_ends(task, shell);
  object_free(task, shell, RC_FIELDS);
  task->units++;
}

void rc_free_known(rc_object* shell) {
  mi_task_t* task = tls.task;
  page_t* page = slot_of(shell);
  if (CHECKED ||
      unlikely((dead_word(shell) & COUNT_AND_KIND) != 1 || page_owner(page) != (uintptr_t)task)) {
    free_known_slow(shell, __builtin_return_address(0));
    return;
  }
  task_note_peak(task);
  task->room += (int64_t)(WORD * ((size_t)shell->n + 1));
  task->units++;
  task->objects--;
  page_free_local(page, (block_t*)(void*)shell);
}

void dec_last_at(rc_object* o, const void* caller) {
  check_at(caller);
  dec_last_slow(o);
}

/* The usual case, which has no call: a leaf of up to 7 fields, as its header tells. An owned page tells that
** there is a task. */
void rc_dec_last(rc_object* o) {
  if (CHECKED) {
    if (check_lives(o, "rc_dec")) dec_last_at(o, __builtin_return_address(0));
    return;
  }
  if (unlikely(rc_count(o) != 1 || !is_small(o))) {
    dec_last_slow(o);
    return;
  }
  mi_task_t* task = tls.task;
  page_t* page = slot_of(o);
  size_t n = o->n;
  if (unlikely(!has_no_objects(o, n) || page_owner(page) != (uintptr_t)task ||
               task->notes_pauses)) {
    small_dies(o);
    return;
  }
  size_t units = n + 1;
  task_note_peak(task);
  task->room += (int64_t)(WORD * units);
  task->units += units;
  task->objects--;
  page_free_local(page, (block_t*)(void*)o);
}
