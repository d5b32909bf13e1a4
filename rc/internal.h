/* internal.h: what rc/ keeps for each task and of each object, and what holds of it.
**
** The files, from below: rc.c constructs; defer.c lets die; last.c does what some objects need then: weak
** references and finalizers; own.c changes in place; shared.c counts what several threads have, share.c makes
** objects so; table.c is a hash table. */
#ifndef SLUICE_RC_INTERNAL_H
#define SLUICE_RC_INTERNAL_H

#include "alloc/internal.h"

#if !CHECKED && !defined(NDEBUG)
#define NDEBUG /* what rc.h asserts is for programs */
#endif
#include "rc/rc.h"

/* ---- Objects ----------------------------------------------------------------------------------
**
** Upper bits of a living object's kind. KIND_WEAK is set while the table of weak references has an entry for it;
** other threads may read the byte then, so it is changed atomically. An object with a kind above RC_BYTES is
** looked at when its last reference goes (object_ends), others just die.
**
** A typed object whose type has a trace or a finalizer has a word of the library's behind its bytes, the
** tail: the next one in the queue while it waits for its finalizer; when dead, the cursor of the trace. */
enum { KIND_MASK = 3, KIND_WEAK = 0x10, KIND_FINALIZED = 0x20 };

/* Bits of a dead object's header beside its kind. */
enum { DEAD_KIND = 3, DEAD_PARTIAL = 4 };

static inline const rc_type* typed_as(const rc_object* o) {
  return ((const rc_type* const*)(const void*)o)[1];
}
static inline bool type_has_tail(const rc_type* type) {
  return type->trace != NULL || type->finalize != NULL;
}
static inline uint64_t long_length(const rc_object* o) { return ((const uint64_t*)o)[1]; }

/* Words that may be references. The kind of a dead object is not where a living one has it, so it is passed. */
static inline size_t object_fields(const rc_object* o, unsigned kind) {
  if (o->n != RC_LONG) return o->n;
  if (kind == RC_TYPED) return typed_as(o)->words;
  return kind == RC_BYTES ? 0 : long_length(o);
}

static inline size_t type_bytes(const rc_type* type) {
  size_t raw = ((size_t)type->bytes + WORD - 1) & ~(size_t)(WORD - 1);
  return 2 * WORD + WORD * (size_t)type->words + raw + (type_has_tail(type) ? WORD : 0);
}
/* Logical bytes, and words of the block (before rounding to a class). */
static inline size_t object_bytes(const rc_object* o, unsigned kind) {
  if (o->n != RC_LONG) return WORD + WORD * (size_t)o->n;
  if (kind == RC_TYPED) return type_bytes(typed_as(o));
  return 2 * WORD + long_length(o) * (kind == RC_BYTES ? 1 : WORD);
}
static inline size_t bytes_to_words(size_t bytes) { return (bytes + WORD - 1) / WORD; }
static inline uint64_t* object_tail(rc_object* o) {
  return (uint64_t*)o + bytes_to_words(type_bytes(typed_as(o))) - 1;
}
/* The first word that may be a reference, dead or alive. */
static inline rc_word* object_words(rc_object* o) {
  return (rc_word*)o + (o->n != RC_LONG ? 1 : 2);
}

/* The header of a dead object as one word: n above, then the link, then 3 bits. (Of a living one other threads
** may change the count meanwhile.) */
static inline uint64_t dead_word(const rc_object* o) {
  typedef uint64_t __attribute__((may_alias)) word;
  return __atomic_load_n((const word*)(const void*)o, __ATOMIC_RELAXED);
}
static inline rc_object* dead_next(uint64_t w) {
  return (rc_object*)(uintptr_t)(w & (((uint64_t)1 << 48) - 8));
}
static inline unsigned dead_bits(uint64_t w) { return (unsigned)w & (DEAD_KIND | DEAD_PARTIAL); }
static inline void dead_link(rc_object* o, unsigned bits, const rc_object* next) {
  uint64_t w = (uint64_t)o->n << 48 | (uintptr_t)next | bits;
  memcpy(o, &w, sizeof w);
}

/* ---- table.c: nodes by address -----------------------------------------------------------------
**
** All zero is an empty table. Of the chains, the first ones are in `first`, and segment[i] has as many as all before. */
enum { TABLE_FIRST = 64, TABLE_DOUBLINGS = 42 };
typedef struct table_node {
  struct table_node* next;
  const void* key;
} table_node;
typedef struct rc_table {
  size_t chains, nodes;
  table_node** segment[TABLE_DOUBLINGS];
  table_node* first[TABLE_FIRST];
} rc_table;
table_node* table_find(rc_table* t, const void* key); /* or NULL */
/* The chains are in the heap. NULL: only what was given. */
void table_add(rc_table* t, table_node* node, mi_heap_t* heap);
/* For a table that draining may change, and so any allocation: bytes, all zero, that are to be given before a
** node is added; 0: none. They are freed if they are not wanted any more. */
size_t table_wants(const rc_table* t);
void table_give(rc_table* t, void* segment, size_t bytes);
table_node* table_remove(rc_table* t, const void* key); /* which is there */
void table_end(rc_table* t);                            /* frees the chains, not the nodes */

/* ---- What a task has ---------------------------------------------------------------------------
**
** Dead objects wait in stacks, one for each size class, linked through their headers (see rc.h).
** An object waits there, or is `current`, iff its count is zero and its block was not freed. It
** owns the references in those of its fields that were not released yet: all of them, or, if
** DEAD_PARTIAL is set, those from the index that its first word tells (that field was released, so
** its place is free), or from the cursor in its tail. No object is both waiting and referenced. `current` is the
** one that draining has begun and not finished. Bit c of `waiting` is set iff dead[c] is not empty; the task's
** drain hook is set iff any is, or `current`.
**
** Objects in the queue of finalizers are alive, with the queue's reference alone.
**
** Used by the thread that has the task only. Lives in the room that a task has for it and is
** born zero. */
typedef struct rc_state {
  rc_object* dead[CLASS_COUNT];
  rc_object* current;
  uint64_t waiting;
  uint64_t pending;  /* objects in all stacks, and current */
  uint64_t live_max; /* words: the most that was held when nothing waited */
  rc_object *final_first, *final_last;
  size_t finals;
  bool polling;
  bool paced; /* pacing was set; else the defaults hold */
  rc_pacing pacing;
  rc_counters counted; /* but for units, which the task has */
  rc_table* weak;      /* of a task of runtime/ */
} rc_state;
_Static_assert(sizeof(rc_state) <= UPPER_BYTES, "a task has room for it");
_Static_assert(CLASS_COUNT <= 64, "`waiting` has a bit for each class");

enum {
  DEC_UNITS = 33, /* most that one rc_dec spends */
  QUANTUM_WORDS = 256,
  QUANTUM_UNITS = 512,
  REQUEST_UNITS = 8192, /* most that a request for more words pays at once; it owes the rest */
  PACE = 2,
};

static inline rc_state* state_of(mi_task_t* task) { return (rc_state*)(void*)task->upper; }
/* NULL: no memory for a task's record; then what dies is leaked. */
static inline mi_task_t* task_here(void) {
  return likely(tls.task != NO_TASK) ? tls.task : task_self();
}

/* ---- rc.c -------------------------------------------------------------------------------------- */

/* A block of so many logical bytes, without charge, and without a header; NULL: no memory, or the limit is
** hit. And one outside of tasks of runtime/, which nobody is charged for. */
rc_object* object_make(size_t bytes);
rc_object* object_make_shared(size_t bytes);
mi_heap_t* heap_of_thread(
    void); /* the thread's own, whatever task it has entered; NULL: no memory */

/* ---- defer.c ----------------------------------------------------------------------------------- */

/* Where the children go that die with an object: on the task's stacks, or, `eager`, on `list`; shared ones on
** the list if the object was shared, too, else where shared garbage waits. */
typedef struct sink {
  mi_task_t* task;
  rc_object* list;
  bool eager;
  bool shared;
} sink_t;

void child_dec(sink_t* to, rc_object* child);
/* Spends at most `units` on a dead object that is on no stack. If they do not suffice it waits again: on the
** sink's list, or, when draining, as the one object in progress. Returns what was spent. */
size_t object_release(sink_t* to, rc_object* o, unsigned bits, size_t units);
void object_free(mi_task_t* task, rc_object* o, unsigned kind);
/* The fields of an object that was unique die, eagerly, up to DEC_UNITS, and counted. */
void fields_die(mi_task_t* task, rc_object* o);
uint32_t pace_of(mi_task_t* task);
/* Pays for a request of so many bytes, in deterministic mode, while objects wait. */
void pay_for_request(mi_task_t* task, size_t bytes);
void task_keeps_waiting(mi_task_t* task); /* its queue is handed on when its thread ends */

/* ---- last.c ------------------------------------------------------------------------------------ */

/* The last reference to an object of a kind above RC_BYTES is gone: its weak reference is cleared; false: it
** waits for its finalizer. */
bool object_ends(sink_t* to, rc_object* o, bool shared);
void finals_adopt(rc_state* s, rc_state* left);
void weak_share(rc_object* o); /* the target of a weak reference was shared */

/* ---- shared.c ------------------------------------------------------------------------------------ */

bool shared_dec(rc_object* o); /* true: that was the last reference */
bool shared_inc_if_alive(rc_object* o);
/* Dead shared objects wait for any thread, linked: from first to last. */
void shared_push(rc_object* first, rc_object* last);
size_t shared_drain(mi_task_t* task, size_t units); /* returns what was spent */

/* ---- share.c ----------------------------------------------------------------------------------- */

void share_count(rc_object* o); /* a local count becomes a shared one */

#endif
