/* share.c: publishing what an object reaches: in place, or, from a task whose memory ends with it, as a copy.
**
** Breadth first over a list of the objects reached (after Cheney, CACM 1970), so nothing recurses, and all can
** be undone if there is no memory for more. */
#include "rc/internal.h"

/* A reached object, in the order in which it was. Copying, it is in the table by its address; `copy`
** has the references to it that were found, and its fields are the original's until it is scanned. In place,
** `copy` is NULL and the count says whether an object was reached. */
typedef struct reached {
  table_node node; /* key: the object */
  rc_object* copy;
  int32_t count; /* before */
  bool held;     /* reached by a weak reference, so the list has a reference to it */
  bool cyclic;   /* the count was below 0 though it was local */
} reached;

enum { PART = 512, AT_ONCE = 32 };
typedef struct part {
  struct part* next;
  size_t number;
  reached at[PART];
} part;

/* All before (scan_part, scanned) have what they hold in the list, too; field `next` of that one is to be looked
** at, or it is the cursor of its trace. */
struct rc_sharing {
  rc_object* root;
  part *first, *last, *scan_part;
  size_t scanned, next;
  bool copies, immortal, holds;
  table_node* weak; /* of weak references that were copied, by `next`, until they are linked */
  int error;        /* 0, ENOMEM, or EINVAL: it holds what cannot be copied */
  rc_table table;
};

/* From here on it is not the task's. */
static void share_count(rc_object* o) {
  mi_task_t* task = task_here();
  task_unreserve(task, object_bytes(o, rc_kind(o)));
  task->objects--;
  if (rc_is_cyclic(o))
    cyclic_share(o);
  else
    __atomic_store_n(&o->count, o->count == RC_OVERFLOWED ? RC_IMMORTAL : -o->count,
                     __ATOMIC_RELAXED);
}

static rc_object* object_in(const reached* r) { return (rc_object*)(uintptr_t)r->node.key; }

/* ---- Reaching an object ------------------------------------------------------------------------ */

static reached* list_add(rc_sharing* s, rc_object* o) {
  if (s->last == NULL || s->last->number == PART) {
    mi_heap_t* heap = heap_of_thread();
    part* p = heap != NULL ? heap_alloc(heap, sizeof *p, false) : NULL;
    if (p == NULL) return NULL;
    p->next = NULL;
    p->number = 0;
    if (s->last != NULL)
      s->last->next = p;
    else
      s->first = s->scan_part = p;
    s->last = p;
  }
  reached* r = &s->last->at[s->last->number++];
  *r = (reached){.node.key = o, .count = rc_count(o), .cyclic = rc_is_cyclic(o)};
  return r;
}

static void mark(rc_sharing* s, rc_object* o) {
  if (!rc_is_shared(o)) share_count(o);
  if (s->immortal) __atomic_store_n(&o->count, RC_IMMORTAL, __ATOMIC_RELAXED);
}

static rc_object* copy_of(rc_sharing* s, rc_object* o) {
  unsigned kind = rc_kind(o);
  if (kind == RC_TYPED && type_tail(typed_as(o)) > 0) {
    s->error = EINVAL;
    return NULL;
  }
  bool weak = is_weak(o);
  rc_object* copy = weak ? weak_copy(o) : object_make_shared(object_bytes(o, kind));
  if (copy == NULL) return NULL;
  if (weak) {
    weak_node(copy)->next = s->weak;
    s->weak = weak_node(copy);
  } else {
    memcpy((char*)copy + WORD, (const char*)o + WORD, object_bytes(o, kind) - WORD);
  }
  *copy = (rc_object){s->immortal ? RC_IMMORTAL : 0, o->tag, (uint8_t)kind, o->n};
  return copy;
}

static bool is_done(const rc_sharing* s, const rc_object* o) {
  return rc_is_shared(o) && (!s->immortal || s->copies || rc_count(o) <= STICKY_BOTH);
}

static bool reach(rc_sharing* s, rc_object* o) {
  rc_object* copy = s->copies ? copy_of(s, o) : NULL;
  reached* r = s->copies && copy == NULL ? NULL : list_add(s, o);
  if (r == NULL) {
    if (s->error == 0) s->error = ENOMEM;
    if (copy != NULL) object_block_free(copy);
    return false;
  }
  r->copy = copy;
  if (s->copies)
    table_enter(&s->table, &r->node);
  else
    mark(s, o);
  return true;
}

/* ---- Scanning ---------------------------------------------------------------------------------- */

/* A field of the copy: a reference to the child's copy. */
static bool copy_field(rc_sharing* s, rc_object* copy, size_t i) {
  rc_object* child = rc_to(object_words(copy)[i]);
  if (rc_is_shared(child)) {
    shared_inc(child);
    return true;
  }
  table_node* node = table_find(&s->table, child);
  if (node == NULL && !reach(s, child)) return false;
  const reached* r =
      node != NULL ? (const reached*)(const void*)node : &s->last->at[s->last->number - 1];
  if (!s->immortal) r->copy->count--;
  object_words(copy)[i] = rc_from(r->copy);
  return true;
}

static bool look_at(rc_sharing* s, const reached* r, size_t i) {
  rc_word w = object_words(object_in(r))[i];
  if (rc_is_int(w)) return true;
  if (s->copies) return copy_field(s, r->copy, i);
  return is_done(s, rc_to(w)) || reach(s, rc_to(w));
}

/* In place only. Returns how many were looked at; *end: all were. */
static size_t scan_trace(rc_sharing* s, rc_object* o, size_t units, bool* end) {
  rc_word out[AT_ONCE];
  size_t most = units < AT_ONCE ? units : AT_ONCE;
  size_t n = typed_as(o)->trace(o, &s->next, out, most);
  for (size_t i = 0; i < n && s->error == 0; i++)
    if (rc_is_object(out[i]) && !is_done(s, rc_to(out[i]))) reach(s, rc_to(out[i]));
  *end = n < most;
  return n;
}

static size_t scan_fields(rc_sharing* s, const reached* r, size_t units, bool* end) {
  rc_object* o = object_in(r);
  size_t n = object_fields(o, rc_kind(o)), spent = 0;
  while (s->next < n && spent < units && look_at(s, r, s->next)) s->next++, spent++;
  *end = s->next == n;
  return spent;
}

/* Nothing that was reached may hold it, so it could die before it is scanned. */
static bool reach_partner(rc_sharing* s, rc_object* o) {
  if (!reach(s, o)) {
    rc_dec(o);
    return false;
  }
  s->last->at[s->last->number - 1].held = s->holds = true;
  return true;
}

/* After all that an object holds: what is shared with it. */
static void scan_next(rc_sharing* s, rc_object* o) {
  rc_object* other = s->copies ? NULL : weak_partner(o);
  if (other != NULL && !reach_partner(s, other)) return;
  s->next = 0;
  if (++s->scanned < PART || s->scan_part->next == NULL) return;
  s->scan_part = s->scan_part->next;
  s->scanned = 0;
}

bool rc_share_step(rc_sharing* s, size_t units) {
  while (s->error == 0 && s->first != NULL && s->scanned < s->scan_part->number) {
    if (units == 0) return false;
    const reached* r = &s->scan_part->at[s->scanned];
    rc_object* o = object_in(r);
    bool traced = rc_kind(o) == RC_TYPED && typed_as(o)->trace != NULL, end;
    size_t spent = traced ? scan_trace(s, o, units, &end) : scan_fields(s, r, units, &end);
    units -= spent < units ? spent + 1 : units;
    if (end) scan_next(s, o);
  }
  return true;
}

/* ---- Begin and end ----------------------------------------------------------------------------- */

static rc_sharing* begin(rc_object* o, bool immortal) {
  mi_heap_t* heap = heap_of_thread();
  rc_sharing* s = heap != NULL ? heap_alloc(heap, sizeof *s, true) : NULL;
  if (s == NULL) {
    errno = ENOMEM;
    return NULL;
  }
  s->copies = !task_here()->implicit && !rc_is_shared(o);
  s->immortal = immortal;
  s->root = o;
  if (!is_done(s, o) && !reach(s, o)) {
    errno = s->error;
    mi_free(s);
    return NULL;
  }
  return s;
}

/* What dead objects held was dropped meanwhile, unless it was immortal. What was shared and is immortal
** now stays so. */
static void undo_mark(const rc_sharing* s, rc_object* o, const reached* r) {
  if (r->count < 0 && r->count != RC_OVERFLOWED && !r->cyclic) return;
  task_here()->room -= (int64_t)object_bytes(o, rc_kind(o));
  task_here()->objects++;
  bool kept = s->immortal || r->count == RC_OVERFLOWED;
  int32_t now = r->cyclic ? rc_count(o) : -rc_count(o);
  __atomic_store_n(&o->count, kept ? r->count : now, __ATOMIC_RELAXED);
  if (r->cyclic) cyclic_unshare(o);
}

/* A copy has its own references to shared objects in the fields that were scanned. */
static void undo_copy(const reached* r, size_t scanned) {
  rc_object* o = object_in(r);
  for (size_t i = 0; i < scanned; i++) {
    rc_word w = object_words(o)[i];
    if (rc_is_object(w) && rc_is_shared(rc_to(w))) (void)shared_dec(rc_to(w)); /* not the last */
  }
  object_block_free(r->copy);
}

static void undo(rc_sharing* s) {
  bool before = true; /* what was scanned */
  for (part* p = s->first; p != NULL; p = p->next)
    for (size_t i = 0; i < p->number; i++) {
      const reached* r = &p->at[i];
      bool here = p == s->scan_part && i == s->scanned;
      if (here) before = false;
      size_t all = object_fields(object_in(r), rc_kind(object_in(r)));
      if (s->copies)
        undo_copy(r, before ? all : here ? s->next : 0);
      else
        undo_mark(s, object_in(r), r);
    }
}

static void partners_drop(const rc_sharing* s) {
  for (part* p = s->holds ? s->first : NULL; p != NULL; p = p->next)
    for (size_t i = 0; i < p->number; i++)
      if (p->at[i].held) rc_dec(object_in(&p->at[i]));
}

static void sharing_free(rc_sharing* s) {
  for (part *next, *p = s->first; p != NULL; p = next) {
    next = p->next;
    mi_free(p);
  }
  table_end(&s->table);
  mi_free(s);
}

/* A copied weak reference leads to the copy of its target, if something held that. */
static void weak_link_all(rc_sharing* s) {
  for (table_node *next, *n = s->weak; n != NULL; n = next) {
    next = n->next;
    table_node* target = n->key != NULL ? table_find(&s->table, n->key) : NULL;
    weak_link(n, target != NULL ? ((reached*)(void*)target)->copy : NULL);
  }
}

/* Of what was copied the caller's reference is given up, and one to the copy made. */
static rc_object* result_of(rc_sharing* s) {
  rc_object* o = s->root;
  if (rc_is_shared(o)) account(o, -1);
  if (!s->copies || s->first == NULL) return o;
  rc_object* copy = s->first->at[0].copy;
  weak_link_all(s);
  if (!s->immortal) copy->count--;
  rc_dec(o);
  return copy;
}

rc_sharing* rc_share_begin(rc_object* o) { return begin(o, false); }

/* Nobody gets half of a graph: what was not looked at is now. */
rc_object* rc_share_end(rc_sharing* s) {
  (void)rc_share_step(s, SIZE_MAX);
  int error = s->error;
  rc_object* o = NULL;
  if (error == 0)
    o = result_of(s);
  else
    undo(s);
  partners_drop(s);
  sharing_free(s);
  if (error != 0) errno = error;
  return o;
}

static rc_object* publish(rc_object* o, bool immortal) {
  rc_sharing* s = begin(o, immortal);
  if (s == NULL) return NULL;
  return rc_share_end(s);
}

rc_object* rc_share(rc_object* o) {
  if (!rc_is_shared(o)) return publish(o, false);
  account(o, -1);
  return o;
}
rc_object* rc_immortal(rc_object* o) { return publish(o, true); }
