/* own.c: objects that nobody else sees are changed in place, or give their memory to the next. */
#include "rc/internal.h"

rc_object* rc_drop_reuse(rc_object* o) {
  if (CHECKED && !check_lives(o, "rc_drop_reuse")) return NULL;
  bool plain = rc_count(o) == 1 && o->kind == RC_FIELDS && o->n < DEC_UNITS;
  mi_task_t* task = plain ? task_here() : NULL;
  if (task == NULL) {
    if (CHECKED && rc_count(o) <= 1)
      dec_last_at(o, __builtin_return_address(0));
    else
      rc_dec(o);
    return NULL;
  }
  if (CHECKED) check_becomes_shell(o, __builtin_return_address(0));
  fields_die(task, o);
  return o;
}

rc_object* rc_reuse(rc_object* shell, uint8_t tag, size_t n) {
  if (shell != NULL && !is_shell(shell, "rc_reuse")) shell = NULL;
  if (shell != NULL && shell->n != n) {
    rc_free_known(shell);
    shell = NULL;
  }
  mi_task_t* task = shell != NULL ? task_here() : NULL;
  if (task == NULL) return rc_alloc(tag, n);
  shell_ends(task, shell);
  task_charge(ticks_of(object_bytes(shell, RC_FIELDS)));
  if (CHECKED) check_made(shell);
  rc_head(shell, tag, n);
  return shell;
}

static rc_object* copy_of(rc_object* o, size_t bytes) {
  rc_object* copy = object_make(bytes);
  if (copy == NULL) return NULL;
  memcpy((char*)copy + WORD, (const char*)o + WORD, bytes - WORD);
  *copy = (rc_object){1, o->tag, (uint8_t)rc_kind(o), o->n};
  for (size_t i = 0; i < object_fields(o, rc_kind(o)); i++) rc_inc_word(object_words(o)[i]);
  return copy;
}

static bool may_drain(void) {
  mi_task_t* task = task_here();
  return task != NULL && state_of(task)->pending > 0 &&
         state_of(task)->pacing.deterministic != RC_ON_BEATS;
}

rc_object* rc_make_unique(rc_object* o) {
  if (CHECKED && !check_lives(o, "rc_make_unique")) {
    errno = EINVAL;
    return NULL;
  }
  size_t bytes = object_bytes(o, rc_kind(o));
  task_charge(ticks_of(bytes));
  if (rc_kind(o) == RC_TYPED) {
    errno = EINVAL;
    return NULL;
  }
  if (rc_count(o) > 1 && may_drain()) rc_drain(bytes_to_words(bytes));
  if (rc_is_unique(o)) return o;
  rc_object* copy = copy_of(o, bytes);
  if (copy != NULL) rc_dec(o);
  return copy;
}
