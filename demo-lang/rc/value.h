/* rc/value.h: between Lua's values and the counted ones of rc/, for the module rc.
**
** Lists, vectors, maps, ropes and big integers are values: none changes, and what holds one holds
** that value for ever. So they need no order among threads, and no cycle can be made. Lua sees a
** *handle*, a userdata that owns one reference. A *draft* is a handle, too, but one that changes:
** the variable of which rc/data/data.h speaks, updated in place where nobody else sees it.
**
** The guest's finalizers run when Lua's collector does, and may drop handles and change drafts. So:
**   - an operation makes what it needs of Lua's memory first, then looks at its arguments, and
**     from then on makes nothing there until what it made is in a handle (update, memory_try);
**   - what a collection gives to Lua waits in the guest's pocket, which owns it (word_give).
** An error of Lua's leaves nothing that is owned by nobody. */
#ifndef SLUICE_RC_VALUE_H
#define SLUICE_RC_VALUE_H

#include "demo-lang/guest.h"
#include "demo-lang/lib/strings.h"
#include "rc/data/data.h"

/* The first have handles, and a name in rc.type; the others are Lua's. */
typedef enum value_kind {
  LIST,
  VECTOR,
  MAP,
  ROPE,
  BIG,
  NIL,
  BOOLEAN,
  INTEGER,
  FLOAT,
  STRING
} value_kind;
enum { KINDS = BIG + 1, ANY_KIND = (1u << KINDS) - 1 };
enum { IS_LIST = 1u << LIST, IS_VECTOR = 1u << VECTOR, IS_MAP = 1u << MAP, IS_ROPE = 1u << ROPE };
enum { IS_BIG = 1u << BIG };

/* ---- Handles --------------------------------------------------------------------------------- */

/* The word is as data.h has it, but of a list an object of its cells and their number, if there are
** any. */
typedef struct handle {
  rc_word word; /* owned; 0: dropped, or not filled yet */
  value_kind kind;
  bool draft;
} handle;

/* Pushes a handle to be filled. */
handle* handle_push(lua_State* L, value_kind kind);
handle* draft_push(lua_State* L, value_kind kind);
/* The value at index, if it is a handle. */
handle* handle_test(lua_State* L, int index);
/* The same; throws if it is none of these kinds (IS_*), or was dropped. */
handle* handle_check(lua_State* L, int index, unsigned kinds);
/* Its word from now on, taken; what was there is given up. */
void handle_set(handle* h, rc_word w);
/* Pushes a handle of what a collection could hold, borrowed. */
void handle_push_word(lua_State* L, rc_word w);
/* Pushes a handle of the same value as the one at index, which cannot be dropped meanwhile. */
handle* handle_pin(lua_State* L, int index);
/* The metatable of a kind's handles, or of drafts (KINDS), new, is pushed; `functions` become
** closures. */
void handle_type(lua_State* L, int kind, const luaL_Reg* functions);

/* ---- Values: looked at, whoever keeps them --------------------------------------------------- */

typedef struct value {
  value_kind kind;
  union {
    rc_word word; /* LIST to BIG, as in a handle */
    bool boolean;
    lua_Integer integer;
    lua_Number number;
    const char* text; /* STRING */
  };
  size_t length; /* of text */
} value;

/* The value at index, borrowed from there; false: it cannot be held outside of Lua's collector. */
bool value_at(lua_State* L, int index, value* v);
/* The same; throws if it cannot. */
void value_check(lua_State* L, int index, value* v);
/* A float with an integer's value is that integer as a key, as in Lua. */
void value_make_key(value* v);

/* Words in collections. One that is an integer has its kind in the low two bits of that: 0 nil, 1 a
** Lua integer, 2 a constant (false, true, the empty ones of each kind), 3 a big integer. Of objects
** the tag tells it. */
enum { TAG_STRING, TAG_INTEGER, TAG_FLOAT, TAG_WIDE, TAG_LIST };
enum { NO_WORD = 0 };   /* no word is 0: there was no memory to make one */
enum { NOT_HELD = 63 }; /* a constant that no collection has */
#define WORD_NOT_HELD rc_int(NOT_HELD * 4 + 2)

/* What a collection holds; borrowed. */
value value_of(rc_word w);
/* The word to hold it by, owned, or NO_WORD. */
rc_word value_word(const value* v);

static inline rc_word word_copy(rc_word w) {
  rc_inc_word(w);
  return w;
}

/* Pushes a collection's word, owned. To be called before, and before arguments are looked at:
** give_prepare. */
void give_prepare(lua_State* L);
void word_give(lua_State* L, rc_word w);
/* The same in two steps: in between, nothing may be made in Lua's memory. */
void pocket_put(lua_State* L, rc_word w);
void pocket_give(lua_State* L);

/* ---- Text: strings and ropes ----------------------------------------------------------------- */

static inline size_t text_length(const value* v) {
  return v->kind == STRING ? v->length : rc_rope_length(v->word);
}
/* As rc_rope_chunk. */
const char* text_chunk(const value* v, size_t i, size_t* n);

/* ---- Operations ------------------------------------------------------------------------------ */

/* Does what stores. `attempt` answers false if rc/ has no memory, and then has changed nothing but
** results in handles, and owns nothing. Lua's garbage may hold what is missing, so after a
** collection it is done again from the start. */
void memory_try(lua_State* L, bool (*attempt)(lua_State* L));

/* An update of the first of three arguments, of one of the kinds: a draft changes, of a value a new
** one is made. `attempt` finds the variable to change by `updated`. Returns 1: the draft or the new
** value is at the top, at UPDATED. */
enum { ARGUMENTS = 3, UPDATED };
int update(lua_State* L, unsigned kinds, bool (*attempt)(lua_State* L));
handle* updated(lua_State* L);

/* ---- rc/order.c: order, equality, hashes ------------------------------------------------------ */

/* Below 0, 0, above 0: the order that demo-lang/README.md tells. With `equality`, 0 if they are
** equal and anything else if not. Throws if they nest too deeply. */
enum { DEPTH = 100 };
int value_compare(purse* p, const value* a, const value* b, bool equality, int depth);
/* Equal values have equal hashes. Throws if it nests too deeply. */
uint64_t value_hash(purse* p, const value* v, int depth);
/* The magnitude of a float that is an integer of 2^63 or more; its length. */
enum { FLOAT_LIMBS = 17 };
size_t float_limbs(lua_Number x, uint64_t limbs[FLOAT_LIMBS]);

/* A map's entries in an order that its contents alone decide, also where keys have one hash. */
typedef struct entries {
  rc_map_iter at, run;
  size_t left; /* of the run of keys with one hash */
  rc_word last;
  int depth;
} entries;
entries entries_of(rc_word map, int depth);
bool entries_next(purse* p, entries* e, rc_word* key, rc_word* value);

/* A key to search for. `word` is that of the key if it has one, to be put. */
typedef struct map_key {
  purse purse;
  value key;
  rc_word word;
  uint64_t hash;
  unsigned passed;
} map_key;
map_key map_key_of(lua_State* L, const value* key);
/* `k` is used until the operation has ended. */
rc_map_ops map_ops(map_key* k);

/* ---- The parts of the module ----------------------------------------------------------------- */

/* rc/collection.c: as rc_list_cons and rc_list_pop; and the list of n cells, taken also if it fails. */
enum { CELLS, COUNT, LIST_FIELDS };
static inline size_t list_count(rc_word list) {
  return list == RC_NIL ? 0 : (size_t)rc_to_int(rc_get(rc_to(list), COUNT));
}
static inline rc_word list_cells(rc_word list) {
  return list == RC_NIL ? RC_NIL : rc_get(rc_to(list), CELLS);
}
bool list_push(rc_word* list, rc_word w);
rc_word list_pop(rc_word* list);
rc_word list_of(rc_word cells, size_t n);

/* rc/collection.c: what handles of all kinds do. collection_index has the table of methods as its
** upvalue; collection_pairs has collection_steps of them. */
int collection_index(lua_State* L);
int collection_length(lua_State* L);
int collection_pairs(lua_State* L);
int collection_set(lua_State* L); /* as __newindex of drafts */
void collection_push_pairs(lua_State* L);
extern const luaL_Reg collection_functions[], collection_methods[];
/* rc_map_put, which takes key and value even if it fails; k is the key's. */
bool map_put(rc_word* map, map_key* k, rc_word key, rc_word w);

/* rc/rope.c. The rope of n bytes, in pieces, which are paid for. text_rope is an attempt's: the rope of the
** text at index, which text_prepare has seen; NO_WORD: no memory. */
rc_word rope_from(purse* p, const char* text, size_t n);
void text_prepare(lua_State* L, int index);
rc_word text_rope(lua_State* L, int index);
bool rope_push(lua_State* L, handle* h);
bool rope_set(lua_State* L, handle* h);
int rope_new(lua_State* L);
int rope_index(lua_State* L, const handle* h);
int rope_step(lua_State* L);
int rope_concat(lua_State* L);
int rope_tostring(lua_State* L);

/* rc/big.c */
extern const luaL_Reg big_operators[];
int big_new(lua_State* L);
int big_tointeger(lua_State* L);
int big_tostring(lua_State* L);
int big_digits(lua_State* L);

/* rc/module.c: makes all types by handle_type. */
void types_open(lua_State* L);

/* rc/code.c, rc/print.c */
int value_encode(lua_State* L);
int value_decode(lua_State* L);
int value_tostring(lua_State* L);

#endif
