/* rc_model_test.c: a random program on counted objects against a model that finds what lives by
** marking it: nothing is freed early, everything that died is freed, and contents stay. */
#include "rc_tools.h"

/* ---- A random program against a model that marks --------------------------------------------- */

/* A shadow of each object that may live: what its fields should hold, and, once marked, how many
** references there are to it. A field holds objects of lower rank only, so there are no cycles. */
typedef struct shadow shadow;
typedef struct field {
  shadow* to; /* NULL: the integer */
  int64_t i;
} field;
struct shadow {
  rc_object* o;
  shadow* next;
  field* fields;
  size_t n;
  uint64_t rank;
  int32_t refs;
  bool marked;
  uint8_t tag, kind;
};

enum { ROOTS = 48 };
static shadow* roots[ROOTS]; /* each owns a count */
static shadow* shadows;
static uint64_t last_rank;
static size_t reachable, reachable_bytes;

static size_t logical_bytes(const shadow* s) {
  return s->kind == RC_FIELDS ? 8 + 8 * s->n : 16 + s->n * (s->kind == RC_ARRAY ? 8 : 1);
}

static shadow* shadow_new(rc_object* o, uint8_t kind, uint8_t tag, size_t n) {
  require(o != NULL, "no memory for an object");
  shadow* s = libc_array(1, sizeof *s);
  *s = (shadow){.o = o, .next = shadows, .n = n, .rank = ++last_rank, .tag = tag, .kind = kind};
  s->fields = libc_array(n + 1, sizeof *s->fields);
  return shadows = s;
}

/* Some object that the program can reach, found as a program finds it, with a rank below; or
** NULL. */
static shadow* some_object(uint64_t below) {
  shadow* s = roots[rnd(ROOTS)];
  for (size_t depth = rnd(4); depth > 0 && s != NULL; depth--) {
    if (s->kind == RC_BYTES || s->n == 0) break;
    shadow* to = s->fields[rnd(s->n)].to;
    if (to != NULL) s = to;
  }
  return s != NULL && s->rank < below ? s : NULL;
}

/* A value for a field, and its owned word. */
static rc_word some_value(field* f, uint64_t below) {
  f->to = rnd(3) != 0 ? some_object(below) : NULL;
  f->i = (int64_t)rnd(1000000) - 500000;
  if (f->to == NULL) return rc_int(f->i);
  rc_inc(f->to->o);
  return rc_from(f->to->o);
}

/* Takes an owned reference. */
static void root_set(size_t slot, shadow* s) {
  shadow* old = roots[slot];
  roots[slot] = s;
  if (old != NULL) rc_dec(old->o);
}

static shadow* fields_of(rc_object* o, uint8_t tag, size_t n) {
  shadow* s = shadow_new(o, RC_FIELDS, tag, n);
  for (size_t i = 0; i < n; i++) rc_init(s->o, i, some_value(&s->fields[i], s->rank));
  return s;
}

static shadow* make_fields(size_t n) {
  uint8_t tag = (uint8_t)rnd(256);
  return fields_of(rc_alloc(tag, n), tag, n);
}

static void change_field(shadow* s) {
  size_t i = rnd(s->n);
  rc_word w = some_value(&s->fields[i], s->rank);
  rc_set(s->o, i, w);
}

static shadow* make_array(size_t n) {
  uint8_t tag = (uint8_t)rnd(256);
  int64_t fill = (int64_t)rnd(100) - 50;
  shadow* s = shadow_new(rc_array(tag, n, rc_int(fill)), RC_ARRAY, tag, n);
  for (size_t i = 0; i < n; i++) s->fields[i].i = fill;
  for (size_t i = 0; n > 0 && i < 10; i++) change_field(s);
  return s;
}

static shadow* make_bytes(size_t n) {
  uint8_t tag = (uint8_t)rnd(256);
  shadow* s = shadow_new(rc_bytes(tag, n), RC_BYTES, tag, n);
  memset(rc_data(s->o), tag, n);
  return s;
}

/* A list in front of a root: the depth that random fields do not make. */
static void make_list(size_t slot, size_t n) {
  for (; n > 0; n--) {
    shadow* s = shadow_new(rc_alloc(9, 2), RC_FIELDS, 9, 2);
    s->fields[0] = (field){NULL, (int64_t)n};
    s->fields[1] = (field){roots[slot], 0};
    rc_init(s->o, 0, rc_int((int64_t)n));
    rc_init(s->o, 1, roots[slot] != NULL ? rc_from(roots[slot]->o) : rc_int(0));
    roots[slot] = s;
  }
}

static size_t some_size(size_t usual, size_t rare, size_t rarest) {
  size_t kind = rnd(100);
  return rnd(kind == 0 ? rarest : kind < 10 ? rare : usual);
}

/* The object in a slot dies, or is given up, and its memory goes to the next. */
static void reuse(size_t slot) {
  shadow* s = roots[slot];
  if (s == NULL || s->kind != RC_FIELDS) return;
  size_t n = rnd(4) == 0 ? rnd(9) : s->n;
  uint8_t tag = (uint8_t)rnd(256);
  roots[slot] = NULL;
  rc_object* shell = rc_drop_reuse(s->o);
  if (shell != NULL && rnd(10) == 0) {
    rc_free_known(shell);
    return;
  }
  roots[slot] = fields_of(rc_reuse(shell, tag, n), tag, n);
}

/* The fields of the object in a slot go to a new one in its memory, where nobody else has it. */
static void move(size_t slot) {
  shadow* s = roots[slot];
  if (s == NULL || s->kind != RC_FIELDS) return;
  rc_object* shell = rc_is_unique(s->o) ? s->o : NULL;
  rc_word* words = libc_array(s->n + 1, sizeof *words);
  for (size_t i = 0; i < s->n; i++) words[i] = rc_get(s->o, i);
  for (size_t i = 0; shell == NULL && i < s->n; i++) rc_inc_word(words[i]);
  if (shell == NULL) rc_dec(s->o);
  shadow* to = shadow_new(rc_reuse(shell, s->tag, s->n), RC_FIELDS, s->tag, s->n);
  for (size_t i = 0; i < s->n; i++) {
    rc_init(to->o, i, words[s->n - 1 - i]);
    to->fields[i] = s->fields[s->n - 1 - i];
  }
  roots[slot] = to;
  free(words);
}

/* What is changed in the copy does not change in the other. */
static void make_unique(size_t slot) {
  shadow* s = roots[slot];
  if (s == NULL) return;
  bool was_unique = rc_is_unique(s->o);
  rc_object* o = rc_make_unique(s->o);
  require(o != NULL && rc_is_unique(o) && (o == s->o || !was_unique), "not unique");
  if (o != s->o) {
    shadow* copy = shadow_new(o, s->kind, s->tag, s->n);
    memcpy(copy->fields, s->fields, s->n * sizeof *s->fields);
    roots[slot] = s = copy;
  }
  if (s->kind != RC_BYTES && s->n > 0) change_field(s);
}

static void model_step(void) {
  size_t slot = rnd(ROOTS), what = rnd(100);
  shadow* s = some_object(UINT64_MAX);
  if (what < 30) {
    root_set(slot, make_fields(some_size(7, 200, 3000)));
  } else if (what < 38) {
    root_set(slot, make_array(some_size(20, 500, 20000)));
  } else if (what < 42) {
    root_set(slot, make_bytes(some_size(100, 5000, 200000)));
  } else if (what < 44) {
    make_list(slot, rnd(300));
  } else if (what < 70) {
    if (s != NULL && s->kind != RC_BYTES && s->n > 0) change_field(s);
  } else if (what < 73) {
    reuse(slot);
  } else if (what < 75) {
    move(slot);
  } else if (what < 78) {
    make_unique(slot);
  } else if (what < 84) {
    if (s != NULL) rc_inc(s->o), root_set(slot, s);
  } else if (what < 92) {
    root_set(slot, NULL);
  } else {
    size_t units = rnd(60), spent = rc_drain(units);
    require(spent == units || (spent < units && rc_pending() == 0), "a drain of %zu spent %zu",
            units, spent);
  }
}

static void mark_one(shadow* s, shadow** work, size_t* count) {
  s->refs++;
  if (s->marked) return;
  s->marked = true;
  work[(*count)++] = s;
}

static void mark(void) {
  size_t all = 0, count = 0;
  reachable = reachable_bytes = 0;
  for (shadow* s = shadows; s != NULL; s = s->next) s->refs = 0, s->marked = false, all++;
  shadow** work = libc_array(all + 1, sizeof *work);
  for (int i = 0; i < ROOTS; i++)
    if (roots[i] != NULL) mark_one(roots[i], work, &count);
  while (count > 0) {
    shadow* s = work[--count];
    reachable++;
    reachable_bytes += logical_bytes(s);
    for (size_t i = 0; s->kind != RC_BYTES && i < s->n; i++)
      if (s->fields[i].to != NULL) mark_one(s->fields[i].to, work, &count);
  }
  free(work);
}

static void check_object(const shadow* s) {
  rc_object* o = s->o;
  require(o->count == s->refs, "count %d, references %d", (int)o->count, (int)s->refs);
  require(o->tag == s->tag && o->kind == s->kind && rc_length(o) == s->n, "header");
  require(rc_is_unique(o) == (s->refs == 1), "unique");
  if (s->kind == RC_BYTES) {
    for (size_t i = 0; i < s->n; i++) require((uint8_t)rc_data(o)[i] == s->tag, "byte %zu", i);
    return;
  }
  for (size_t i = 0; i < s->n; i++) {
    const field* f = &s->fields[i];
    rc_word w = rc_get(o, i);
    require(f->to != NULL ? w == rc_from(f->to->o) : rc_is_int(w) && rc_to_int(w) == f->i,
            "field %zu", i);
  }
}

/* Checks what is marked and forgets what is not. */
static void check_marked(void) {
  for (shadow** link = &shadows; *link != NULL;) {
    shadow* s = *link;
    if (s->marked) {
      check_object(s);
      link = &s->next;
    } else {
      *link = s->next;
      free(s->fields);
      free(s);
    }
  }
}

static void check_model(const rt_task* t) {
  mark();
  rc_counters k = counters();
  require((uint64_t)k.objects >= reachable && rt_bytes(t) >= reachable_bytes, "freed too early");
  require(k.dec_units_max <= DEC_UNITS, "a decrement of %llu units",
          (unsigned long long)k.dec_units_max);
  rc_drain(SIZE_MAX);
  k = counters();
  require(rc_pending() == 0, "a full drain leaves nothing");
  require((uint64_t)k.objects == reachable, "%lld objects, %zu reachable", (long long)k.objects,
          reachable);
  require(rt_bytes(t) == reachable_bytes, "bytes");
  check_marked();
}

static void run_model(const rc_pacing* pacing) {
  rt_task* t = begin(NULL);
  if (pacing != NULL) assert_true(rc_set_pacing(pacing));
  for (int step = 1; step <= MODEL_STEPS; step++) {
    model_step();
    if (step % 1000 == 0) check_model(t);
  }
  for (size_t i = 0; i < ROOTS; i++) root_set(i, NULL);
  check_model(t);
  assert_nothing_left(t);
  end(t);
}

static void test_random_programs(void** state) {
  (void)state;
  static const rc_pacing pacings[] = {{1, 256, RC_DEBT_AUTO, false},
                                      {4, 1, 0, false},
                                      {8, 37, 1000, false},
                                      {2, 256, RC_DEBT_AUTO, true}};
  run_model(NULL);
  for (int i = 0; i < 3; i++) run_model(&pacings[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_programs),
  };
  return cmocka_run_group_tests_name("rc model", tests, NULL, NULL);
}
