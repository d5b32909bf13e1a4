/* internal.h: what rc/ keeps for each task and of each object, and what holds of it.
**
** The files, from below: table.c is a hash table; check.c finds misuse; rc.c constructs; defer.c lets die;
** drain.c goes on with that; last.c does what some objects need then: weak references and finalizers; cycle.c
** and collect.c find dead cycles; own.c changes in place; shared.c counts what several threads have, account.c
** which of them a task holds, share.c makes objects so; inspect.c looks at what lives, leaks.c at why. */
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
** KIND_CYCLIC tells that a count below 0 is local and plain; an object that has it may be a candidate, a member
** of the round in progress, or one of the sample of what was found alive (cycle.c). All four are changed by the
** object's thread alone.
**
** A typed object whose type has a trace or a finalizer has words of the library's behind its bytes, the tail.
** The first one is the next object in the queue while it waits for its finalizer; when dead, the cursor of the
** trace. Before, in a task of runtime/, the two of an object with a finalizer are the older and the newer one
** (last.c). */
enum {
  KIND_MASK = 3,
  KIND_SAMPLE = 0x04,
  KIND_MEMBER = 0x08,
  KIND_WEAK = 0x10,
  KIND_FINALIZED = 0x20,
  KIND_CYCLIC = RC_CYCLIC,
  KIND_CANDIDATE = 0x80,
  KIND_NOTED = KIND_SAMPLE | KIND_MEMBER | KIND_CANDIDATE,
};

/* Bits of a dead object's header beside its kind. */
enum { DEAD_KIND = 3, DEAD_PARTIAL = 4 };
/* In checked builds bit 31 of the address is in bit 47, where that is free, and 1 in its place: read as a count
** the header is negative, so that rc_inc and rc_dec of a dead object come here. */
#define DEAD_SIGN ((uint64_t)1 << 31)
enum { DEAD_NEGATIVE = CHECKED && ADDRESS_BITS < 48 };

static inline const rc_type* typed_as(const rc_object* o) {
  return ((const rc_type* const*)(const void*)o)[1];
}
static inline size_t type_tail(const rc_type* type) { /* words */
  return type->finalize != NULL ? 2 : type->trace != NULL;
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
  return 2 * WORD + WORD * (size_t)type->words + raw + WORD * type_tail(type);
}
/* Logical bytes, and words of the block (before rounding to a class). */
static inline size_t object_bytes(const rc_object* o, unsigned kind) {
  if (o->n != RC_LONG) return WORD + WORD * (size_t)o->n;
  if (kind == RC_TYPED) return type_bytes(typed_as(o));
  return 2 * WORD + long_length(o) * (kind == RC_BYTES ? 1 : WORD);
}
static inline size_t bytes_to_words(size_t bytes) { return (bytes + WORD - 1) / WORD; }
static inline uint64_t* object_tail(rc_object* o) {
  const rc_type* type = typed_as(o);
  return (uint64_t*)o + bytes_to_words(type_bytes(type)) - type_tail(type);
}
/* References to a local object; below 0: to a shared one. */
static inline int32_t object_count(const rc_object* o) {
  return rc_is_cyclic(o) ? -rc_count(o) : rc_count(o);
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
/* Of a living header as one word: 1 there is an object of kind RC_FIELDS, without more, that has one reference. */
static const uint64_t COUNT_AND_KIND = 0x0000ff00ffffffff;
static inline rc_object* dead_next(uint64_t w) {
  uint64_t next = w & (((uint64_t)1 << 48) - 8);
  if (DEAD_NEGATIVE) next = (next & ~((uint64_t)1 << 47 | DEAD_SIGN)) | (next >> 47) * DEAD_SIGN;
  return (rc_object*)(uintptr_t)next;
}
static inline unsigned dead_bits(uint64_t w) { return (unsigned)w & (DEAD_KIND | DEAD_PARTIAL); }
static inline void dead_link(rc_object* o, unsigned bits, const rc_object* next) {
  uint64_t link = (uintptr_t)next;
  if (DEAD_NEGATIVE) link = (link & ~DEAD_SIGN) | DEAD_SIGN | (link / DEAD_SIGN & 1) << 47;
  uint64_t w = (uint64_t)o->n << 48 | link | bits;
  memcpy(o, &w, sizeof w);
}

/* Index of the first field that was not released yet. */
static inline size_t dead_first(rc_object* o, unsigned bits) {
  return bits & DEAD_PARTIAL ? object_words(o)[0] : 0;
}

static inline bool is_traced(const rc_object* o, unsigned bits) {
  return (bits & DEAD_KIND) == RC_TYPED && typed_as(o)->trace != NULL;
}

/* ---- table.c: nodes by address -----------------------------------------------------------------
**
** All zero is an empty table. The first chains are in `first`, the others in blocks, which the directories have. */
enum { TABLE_FIRST = 64, TABLE_DIRECTORIES = 32 };
typedef struct table_node {
  struct table_node* next;
  const void* key;
} table_node;
typedef struct rc_table {
  size_t chains, nodes;
  size_t power; /* of two, the largest that is not above `chains` */
  size_t kept;  /* so many chains stay when nodes go; set before the first is added */
  table_node*** directory[TABLE_DIRECTORIES];
  table_node* first[TABLE_FIRST];
} rc_table;
table_node* table_find(rc_table* t, const void* key); /* or NULL */
/* Bytes of the zeroed memory that the next addition can use, or 0. It may be made without the lock that
** guards the table: true if the table has taken it. */
size_t table_wants(const rc_table* t);
bool table_add(rc_table* t, table_node* node, void* memory, size_t bytes);
void table_enter(rc_table* t, table_node* node);        /* both; chains as by hushed_alloc */
table_node* table_remove(rc_table* t, const void* key); /* or NULL */
/* `act` may free the node; then the table may be ended and no more. */
void table_each(rc_table* t, void (*act)(table_node*, void*), void* arg);
void table_end(rc_table* t); /* frees the chains, not the nodes */

/* ---- What a task has ---------------------------------------------------------------------------
**
** Dead objects wait in stacks, one for each size class, linked through their headers (see rc.h).
** An object waits there, or is `current`, iff its count is zero and its block was not freed. It
** owns the references in those of its fields that were not released yet: all of them, or, if
** DEAD_PARTIAL is set, those from the index that its first word tells (that field was released, so
** its place is free), or from the cursor in its tail. No object is both waiting and referenced. `current` is the
** one that draining has begun and not finished. Bit c of `waiting` is set iff dead[c] is not empty; the task's
** drain hook is set iff any is, or `current`, or cycles_wait tells so.
**
** Objects in the queue of finalizers are alive, with the queue's reference alone.
**
** Used by the thread that has the task only. Lives in the room that a task has for it and is
** born zero. */
typedef struct rc_cycles rc_cycles;
typedef struct rc_account rc_account;
typedef struct rc_state {
  rc_object* dead[CLASS_COUNT];
  rc_object* current;
  uint64_t waiting;
  unsigned newest;   /* class of the object that was pushed last */
  uint64_t pending;  /* objects in all stacks, and current */
  uint64_t live_max; /* words: the most that was held when nothing waited */
  rc_object *final_first, *final_last;
  rc_object* finalizable;    /* the newest */
  size_t finals, finals_due; /* of those queued, the first that may run; with RC_ON_BEATS */
  uint64_t finals_beat;      /* since which they may */
  bool polling;
  bool paced; /* pacing was set; else the defaults hold */
  bool
      waits; /* from the first dead object on, until none is left on a stack or in anybody's hands */
  rc_pacing pacing;
  rc_counters counted; /* but for units, which the task has */
  rc_table* weak;      /* of a task of runtime/ */
  rc_cycles* cycles;   /* NULL: there was no candidate yet */
  rc_account* account; /* of a task of runtime/; NULL: it held no shared object yet */
} rc_state;
_Static_assert(sizeof(rc_state) <= UPPER_BYTES, "a task has room for it");
_Static_assert(CLASS_COUNT <= 64, "`waiting` has a bit for each class");

enum {
  DEC_UNITS = 33, /* most that one rc_dec spends */
  QUANTUM_UNITS = 512,
  REQUEST_UNITS = 8192, /* most that a request for more words pays at once; it owes the rest */
  PACE = 2,
  PACE_URGENT = 8,
  CYCLE_PACE = 4,      /* units for each word: a dead member of w words costs up to 2 w + 4 */
  CYCLE_QUANTUM = 128, /* words; QUANTUM_UNITS / CYCLE_PACE */
};

static inline rc_state* state_of(mi_task_t* task) { return (rc_state*)(void*)task->upper; }
static inline void count_units(mi_task_t* task, uint64_t* most, size_t units) {
  task->units += units;
  if (units > *most) *most = units;
}
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
/* Zeroed memory there, in the midst of anything: no callback runs, nor is errno changed. NULL: no memory. */
void* hushed_alloc(size_t bytes);
/* What the record refers to ends before the task's heaps do. */
void task_ends(mi_task_t* task, bool objects_stay);

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
/* The same of a shared one that the task does not hold; and the last reference to such a one is gone. */
void shared_child_gone(sink_t* to, rc_object* child);
void shared_ends(sink_t* to, rc_object* o);
/* Spends at most `units` on a dead object that is on no stack. If they do not suffice it waits again: on the
** sink's list, or, when draining, as the one object in progress. Returns what was spent. */
size_t object_release(sink_t* to, rc_object* o, unsigned bits, size_t units);
void object_free(mi_task_t* task, rc_object* o, unsigned kind);
void object_free_any(mi_task_t* task, rc_object* o,
                     unsigned kind); /* the same, but for task->objects */
/* rc_dec_last, in checked builds, because of that call. */
void dec_last_at(rc_object* o, const void* caller);
/* The fields of an object that was unique die, eagerly, up to DEC_UNITS, and counted. */
void fields_die(mi_task_t* task, rc_object* o);
bool is_shell(rc_object* o, const char* what); /* false: misuse in a call of `what`, reported */
void shell_ends(mi_task_t* task, rc_object* shell); /* its weak reference, if it has one */

/* ---- Small objects, without a call: what is here does as the above would ------------------------------
**
** They are of kind RC_FIELDS, without more, and have up to 7 fields: a class for each number of words. The
** upper half of the header is read alone: a count that was just stored would delay a load of the whole. */
enum { SMALL_FIELDS = 7 };
static inline bool is_small(const rc_object* o) {
  uint32_t upper;
  memcpy(&upper, (const char*)o + sizeof o->count, sizeof upper);
  return (upper & 0xfff8ff00) == 0;
}

/* Of a small one that has 1 reference: without fields, what it looks at is the header, whose count is odd. */
static inline bool has_no_objects(const rc_object* o, size_t n) {
  typedef rc_word __attribute__((may_alias)) word;
  const word* words = (const word*)(const void*)o;
  if (n == 2) return rc_is_int(words[1] & words[2]);
  rc_word all = words[n];
  for (intptr_t i = (intptr_t)n - 1; i > 0; i--) all &= words[i];
  return rc_is_int(all);
}

/* Returns how many words the caller has to add to the task's room: the object's, or 0. */
static inline size_t small_free(mi_task_t* task, rc_object* o, size_t words) {
  page_t* page = slot_of(o);
  if (likely(!CHECKED && page_owner(page) == (uintptr_t)task)) {
    page_free_local(page, (block_t*)(void*)o);
    return words;
  }
  object_free_any(task, o, RC_FIELDS);
  return 0;
}

/* ---- drain.c ----------------------------------------------------------------------------------- */

/* A dead object waits, on its class's stack; or as the one in progress, while the stacks are drained. */
void dead_push(mi_task_t* task, rc_object* o, unsigned bits);
void current_set(mi_task_t* task, rc_object* o, unsigned bits);
uint32_t pace_of(mi_task_t* task);
uint64_t debt_limit(const rc_state* s);
/* Pays for a request of so many bytes, in deterministic mode, while objects wait. */
void pay_for_request(mi_task_t* task, size_t bytes);
void task_keeps_waiting(mi_task_t* task); /* its queue is handed on when its thread ends */
/* Spends up to `units`, on `class` first (0: none). Returns what was spent; less only if nothing is left. */
size_t drain_dead(mi_task_t* task, unsigned class, size_t units);
void drain_hook_update(mi_task_t* task); /* after cycles_wait may have changed */

/* ---- last.c ------------------------------------------------------------------------------------ */

/* The last reference to an object of a kind above RC_BYTES is gone: its weak reference is cleared; false: it
** waits for its finalizer. */
bool object_ends(sink_t* to, rc_object* o, bool shared);
bool finalizer_is_due(const rc_object* o); /* when it ends */
void finals_adopt(rc_state* s, rc_state* left);
void finals_become_due(mi_task_t* task);               /* a beat has been */
void finalizable_enter(mi_task_t* task, rc_object* o); /* it was constructed */
bool weak_is_held(const rc_object* o); /* it is a weak reference that its table has */
bool is_weak(const rc_object* o);
/* Of an object that is about to be shared, or was: its weak reference, or, if it is one, its target; owned. NULL if
** there is none, or it was shared before. */
rc_object* weak_partner(rc_object* o);
void weak_end(sink_t* to, rc_object* o);  /* a local object's */
rc_object* weak_copy(const rc_object* w); /* without a count or kind; see weak_link */
table_node* weak_node(rc_object* w);
void weak_link(table_node* node, rc_object* target);

/* ---- cycle.c ----------------------------------------------------------------------------------
**
** Of cyclic objects. The first four are part of every count. */

void cyclic_inc(rc_object* o);
bool cyclic_dec(rc_object* o);                /* true: that was the last reference */
void cyclic_touch(rc_object* o);              /* it lives */
bool cyclic_is_condemned(const rc_object* o); /* unreachable, though there are references */
void cyclic_forget(rc_object* o);             /* it dies */
void cyclic_share(rc_object* o);              /* is no cyclic object any more; the count stays */
void cyclic_unshare(rc_object* o);

bool cycles_wait(const rc_state* s); /* refills have to pay */
void cycles_pay(mi_task_t* task, size_t words);
/* For idle times: drains, too. SIZE_MAX: until no cycle is left that can be found. Returns what was spent. */
size_t cycles_collect(mi_task_t* task, size_t units);
void cycles_force(mi_task_t* task);
void cycles_give_up(const rc_state* s); /* the round, if it has not found what is dead */
void cycles_drained(mi_task_t* task);   /* nothing waits */
void cycles_end(mi_task_t* task, bool objects_stay);

/* ---- shared.c ------------------------------------------------------------------------------------ */

/* From here on neither direction is counted. Between this and RC_STICKY only new references are: a thread that
** saw the count above RC_STICKY may still lower it by one, and there are fewer threads than counts between. */
enum { STICKY_BOTH = INT32_MIN / 4 * 3 };

/* These leave accounts alone, see below. */
void shared_inc(rc_object* o);
bool shared_dec(rc_object* o);                /* true: that was the last reference */
void shared_give_up(rc_object* o, int64_t n); /* references; if these are the last, it waits */
bool shared_inc_if_alive(rc_object* o);
/* Dead shared objects wait for any thread, linked: from first to last. */
void shared_push(rc_object* first, rc_object* last);
size_t shared_drain(mi_task_t* task, size_t units); /* returns what was spent */

/* ---- account.c -----------------------------------------------------------------------------------
**
** References that shared objects and tables have are no task's. */

void account_change(mi_task_t* task, rc_object* o, int change);
void account_end(mi_task_t* task); /* gives up what the task holds */
/* The calling task holds one more, or one less. */
static inline void account(rc_object* o, int change) {
  mi_task_t* task = tls.task;
  if (task != NO_TASK && !task->implicit) account_change(task, o, change);
}

/* ---- check.c: called in checked builds only --------------------------------------------------------
**
** An object's block is made by rc/ (its mark has BY_RC) from its constructor to its free, and is one of these.
** Above the state is its number among its page's objects, while inspect.c counts them. */
enum {
  MARK_LIVES = BY_RC,
  MARK_DEAD = BY_RC | 4,
  MARK_SHELL = BY_RC | 8,
  STATE_MASK = 12,
  MARK_RANK_SHIFT = 4,
};
enum { CHECK_TEXT = 256 };
void check_describe(char* text, const rc_object* o); /* its kind or type, and tag; in CHECK_TEXT */
bool check_is_alive(const rc_object* block);         /* is the block an object that lives? */
void check_made(const rc_object* o);
/* Is it an object that lives; a shell, or an object that may be one? false: misuse in a call of `what`, reported. */
bool check_lives(const rc_object* o, const char* what);
bool check_shell(rc_object* o, const char* what);
void check_at(const void* caller); /* objects die from here on because of that call */
void check_dies(rc_object* o);
void check_becomes_shell(rc_object* o, const void* caller);
void check_releases(const rc_object* o); /* what it holds is given up */
void check_freed(const rc_object* o);    /* before the block is */

/* Of an object's block, in which nothing is needed any more. */
static inline void object_block_free(rc_object* o) {
  if (CHECKED) check_freed(o);
  mi_free(o);
}

/* ---- inspect.c: called in checked builds only ------------------------------------------------------ */

typedef struct survey_page {
  table_node node; /* key: the page's record */
  uint64_t first;  /* the id of the first object there */
} survey_page;
typedef struct survey {
  survey_page* pages;
  size_t count;
  uint64_t objects;
  rc_table by_page;
} survey;
typedef struct survey_place {
  size_t page, block;
} survey_place;
/* Of the calling task's living objects, in the order of their ids, from 0; no object may come or go until its
** end. ENOMEM, or ENOTSUP: its end is to be called all the same. */
int survey_begin(survey* s);
void survey_end(survey* s);
rc_object* survey_next(const survey* s, survey_place* at); /* from {0, 0} on; NULL: no more */
enum { REF_NONE, REF_OUTSIDE, REF_KNOWN }; /* no object; not the task's; *id tells */
unsigned survey_find(survey* s, rc_word w, uint64_t* id);

/* What an object holds: words, of which some are integers. Born zero but for o. */
enum { REFS_AT_ONCE = 32 };
typedef struct object_refs {
  rc_object* o;
  size_t next, have, cursor;
  bool last;
  rc_word out[REFS_AT_ONCE];
} object_refs;
bool refs_next(object_refs* r, rc_word* w); /* false: that was all */
int stream_error(FILE* out);                /* 0, or errno: of what was written to it */

#endif
