/* rc_contents.h: that objects which live have the contents, the count and the block that they
** should have. */
#ifndef RC_CONTENTS_H
#define RC_CONTENTS_H

#include "tests/unit/rc_bounds.h"

/* ---- Contents -------------------------------------------------------------------------------- */

static void check_filled(const char* at, size_t n, uint8_t byte) {
  for (size_t i = 0; i < n; i++) {
    if (i == END && n > 2 * END) i = n - END;
    check((uint8_t)at[i] == byte, "byte %zu of %zu", i, n);
  }
}

static void check_typed(const shadow* s) {
  check(rc_type_of(s->o) == s->type, "another type");
  check(&m.all[number_in(s->o)] == s, "another number");
  check_filled(rc_data(s->o) + sizeof(uint32_t), s->type->bytes - sizeof(uint32_t),
               (uint8_t)s->first);
}

static void check_object(const shadow* s) {
  rc_object* o = s->o;
  check(rc_length(o) == (is_traced(s) ? 0 : s->n), "an object of length %u has length %zu", s->n,
        rc_length(o));
  uint32_t counted = (uint32_t)rc_count(o);
  check(is_blurred(s) ? counted >= s->refs : counted == s->refs, "%u references, counted %u",
        s->refs, counted);
  if (s->kind == RC_BYTES) check_filled(rc_data(o), s->n, (uint8_t)s->first);
  if (s->kind == RC_TYPED) check_typed(s);
  const rc_word* words = s->kind != RC_BYTES ? rc_words(o) : NULL;
  for (size_t i = 0; !is_traced(s) && i < shadow_values(s); i++)
    check(words[i] == word_of(m.values[s->first + i]), "field %zu of %u", i, s->n);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* Objects that live, by their addresses. */
typedef struct known {
  uint32_t* at;
  size_t mask;
  uint64_t met, others;
} known;

static uint32_t* place_in(const known* k, const void* o) {
  size_t i = mix((uintptr_t)o) & k->mask;
  while (k->at[i] != 0 && m.all[k->at[i]].o != o) i = (i + 1) & k->mask;
  return &k->at[i];
}

static bool meet(const mi_heap_t* heap, const mi_heap_area_t* area, void* block, size_t size,
                 void* arg) {
  known* k = arg;
  (void)heap, (void)area, (void)size;
  if (block == NULL) return true;
  bool is_known = *place_in(k, block) != 0;
  k->met += is_known;
  k->others += !is_known;
  return true;
}

static void visit_all(mi_heap_t* heap, known* k) {
  visit_t v = {meet, k, true};
  for (unsigned c = 1; c < CLASS_COUNT; c++)
    for (page_t* page = heap->queue[c].first; page != NULL; page = page->next)
      visit_page(heap, page, &v);
  for (page_t* page = heap->full; page != NULL; page = page->next) visit_page(heap, page, &v);
}

/* Each object that lives has a block in use to itself; `alone`: and nobody else has. (What is
** granted counts as used.) */
static void check_blocks(known* k, bool alone) {
  mi_heap_t* heap = tls.task->exact;
  if (heap == NULL) return;
  for (unsigned c = 1; c < CLASS_LARGE; c++)
    for (const block_t* b = heap->list[c]; b != NULL; b = next_of(b))
      check(*place_in(k, b) == 0, "the block of an object that lives is to be handed out");
  if (alone) heap_ungrant_all(heap);
  if (alone && MI_SECURE) secure_flush(tls.task);
  visit_all(heap, k);
  check(k->met == m.live, "of %llu objects that live %llu have a block", (llu)m.live, (llu)k->met);
  uint64_t tables = m.cells > 0 ? 1 + (m.live > 0 ? 42 : 0) : 0; /* of weak references */
  check(!alone || k->others <= tables, "%llu blocks are in use by nobody", (llu)k->others);
}

static void check_all(bool alone) {
  known k = {.mask = 1};
  while (k.mask < 2 * m.live) k.mask = 2 * k.mask + 1;
  k.at = libc_array(k.mask + 1, sizeof *k.at);
  for (uint32_t i = 1; i < m.count; i++) {
    if (m.all[i].refs == 0) continue;
    uint32_t* place = place_in(&k, m.all[i].o);
    check(*place == 0, "two objects in one block");
    *place = i;
    check_object(&m.all[i]);
  }
  check_blocks(&k, alone);
  free(k.at);
  so_far.checked = so_far.words;
}

#endif
