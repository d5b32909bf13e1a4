/* list.c: cells of a head and a tail. What changes a list first makes its cells, up to the place,
** its own; after that nothing can fail. */
#include "rc/data/internal.h"

enum { HEAD, TAIL, CELL_FIELDS };

static rc_word* tail_slot(rc_object* cell) { return &rc_words(cell)[TAIL]; }

/* Makes the first n cells the list's own, or all. The place behind the last of them; NULL and
** ENOMEM. */
static rc_word* spine_own(rc_word* slot, size_t n) {
  for (; n > 0 && *slot != RC_NIL; n--) {
    rc_object* cell = slot_own(slot);
    if (cell == NULL) return NULL;
    slot = tail_slot(cell);
  }
  return slot;
}

bool rc_list_cons(rc_word* list, rc_word head) {
  rc_object* cell = rc_alloc(RC_TAG_LIST, CELL_FIELDS);
  if (cell == NULL) return false;
  rc_init(cell, HEAD, head);
  rc_init(cell, TAIL, *list);
  *list = rc_from(cell);
  return true;
}

rc_word rc_list_pop(rc_word* list) {
  if (*list == RC_NIL) return fail(EINVAL);
  rc_object* cell = rc_to(*list);
  rc_word head = rc_list_head(*list);
  *list = rc_list_tail(*list);
  if (rc_is_unique(cell)) {
    rc_free_known(cell);
  } else {
    rc_inc_word(head);
    rc_inc_word(*list);
    rc_dec(cell);
  }
  return head;
}

rc_word rc_list_from(const rc_word* words, size_t n) {
  rc_word list = RC_NIL;
  while (n-- > 0) {
    if (!rc_list_cons(&list, words[n])) {
      rc_dec_word(list);
      return 0;
    }
    rc_inc_word(words[n]);
  }
  return list;
}

size_t rc_list_length(rc_word list) {
  size_t n = 0;
  for (; list != RC_NIL; list = rc_list_tail(list)) n++;
  return n;
}

rc_word* rc_list_ref(rc_word* list, size_t i) {
  rc_word* slot = spine_own(list, i);
  if (slot == NULL) return NULL;
  if (*slot == RC_NIL) return errno = EINVAL, NULL;
  rc_object* cell = slot_own(slot);
  return cell != NULL ? &rc_words(cell)[HEAD] : NULL;
}

bool rc_list_append(rc_word* list, rc_word rest) {
  rc_word* end = spine_own(list, SIZE_MAX);
  if (end == NULL) return false;
  *end = rest;
  return true;
}

bool rc_list_reverse(rc_word* list) {
  if (spine_own(list, SIZE_MAX) == NULL) return false;
  rc_word reversed = RC_NIL;
  for (rc_word at = *list; at != RC_NIL;) {
    rc_word* tail = tail_slot(rc_to(at));
    rc_word next = *tail;
    *tail = reversed;
    reversed = at;
    at = next;
  }
  *list = reversed;
  return true;
}

bool rc_list_take(rc_word* list, size_t n) {
  rc_word* end = spine_own(list, n);
  if (end == NULL) return false;
  slot_set(end, RC_NIL);
  return true;
}

/* One after the other, so that nothing that waits still counts for what is left. */
void rc_list_drop(rc_word* list, size_t n) {
  for (; n > 0 && *list != RC_NIL; n--) rc_dec_word(rc_list_pop(list));
}

/* ---- Sorting: by merging lists of 2^i cells, as a binary counter adds ------------------------ */

typedef struct order {
  int (*compare)(rc_word, rc_word, void*);
  void* arg;
} order_t;

/* Of equal heads the one of a comes first. All cells are the caller's own. */
static rc_word merge(const order_t* by, rc_word a, rc_word b) {
  rc_word merged;
  rc_word* end = &merged;
  while (a != RC_NIL && b != RC_NIL) {
    rc_word* less = by->compare(rc_list_head(a), rc_list_head(b), by->arg) <= 0 ? &a : &b;
    *end = *less;
    end = tail_slot(rc_to(*less));
    *less = *end;
  }
  *end = a != RC_NIL ? a : b;
  return merged;
}

bool rc_list_sort(rc_word* list, int (*compare)(rc_word a, rc_word b, void* arg), void* arg) {
  enum { BINS = 64 };
  const order_t by = {compare, arg};
  rc_word bin[BINS]; /* those with a lower number hold what came later */
  size_t bins = 0;
  if (spine_own(list, SIZE_MAX) == NULL) return false;
  for (rc_word at = *list; at != RC_NIL;) {
    rc_word carry = at;
    at = slot_take(tail_slot(rc_to(carry)));
    size_t i = 0;
    for (; i < bins && bin[i] != RC_NIL; i++) {
      carry = merge(&by, bin[i], carry);
      bin[i] = RC_NIL;
    }
    if (i == bins) bins++;
    bin[i] = carry;
  }
  rc_word sorted = RC_NIL;
  for (size_t i = 0; i < bins; i++) sorted = merge(&by, bin[i], sorted);
  *list = sorted;
  return true;
}
