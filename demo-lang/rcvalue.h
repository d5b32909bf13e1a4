/* rcvalue.h: between Lua's values and the objects of rc/, for the module rc.
**
** Pointers to objects are borrowed from what holds them, and any code of the guest may change or
** drop that. Its finalizers run when Lua's collector does, so the collector must not run between an
** operation's look at a container and what it does there:
**   - an operation that stores makes nothing in Lua's memory (memory_try);
**   - one that gives values to Lua makes them first, then looks again (word_push, word_offer).
** An error of Lua in between leaves nothing that is owned by nobody. */
#ifndef SLUICE_RCVALUE_H
#define SLUICE_RCVALUE_H

#include "demo-lang/guest.h"
#include "rc/rc.h"

/* ---- Objects ------------------------------------------------------------------------------------
**
** A container is {what it holds, number of elements, serial number}: the place that stays while it
** grows. As a key it is hashed by its number, which a copy has, too.
**   list     first node or nil; a node is {value, next}
**   vector   array of words, of which the first `count` are in use
**   map      array of chains, its length a power of 2; an entry is {key, value, next}
** A word that is an integer encodes in its low two bits: 0 nil, 1 a number in the rest, 2 a
** boolean. */
enum { TAG_LIST, TAG_VECTOR, TAG_MAP, TAG_PART, TAG_STRING, TAG_INTEGER, TAG_FLOAT };
enum { HELD, COUNT, SERIAL, CONTAINER }; /* fields of a container, and their number */
enum { VALUE, NEXT, KEY };               /* of a node, and of an entry */

/* A new object, its fields nil; NULL: no memory. */
rc_object* object_new(int kind, uint8_t tag, size_t n);

static inline size_t object_count(rc_object* o) { return (size_t)rc_to_int(rc_get(o, COUNT)); }
static inline void object_set_count(rc_object* o, size_t n) {
  rc_set(o, COUNT, rc_int((int64_t)n));
}
/* The reference that a field held, moved out. */
static inline rc_word object_take(rc_object* o, size_t i) {
  rc_word w = rc_get(o, i);
  rc_words(o)[i] = RC_NIL;
  return w;
}

/* Does what stores. `attempt` answers false if rc/ has no memory, and then has changed nothing and
** owns nothing; it throws its errors before it changes or owns anything. Lua's garbage may hold
** what is missing, so after a collection it is done again from the start. */
void memory_try(lua_State* L, bool (*attempt)(lua_State* L));

/* ---- Handles: how Lua sees a container ------------------------------------------------------- */

typedef struct handle {
  rc_object* object; /* owned; NULL: dropped */
} handle;

extern const char* const handle_types[]; /* by tag: the names of their metatables */

/* Pushes an empty handle. It is there before its object is, so that nothing is lost if it cannot be
** made. */
handle* handle_push(lua_State* L, const char* type);
/* The value at index, if it is a handle of a container. */
handle* handle_test(lua_State* L, int index);
/* The same for one type; throws for anything else. */
handle* handle_check(lua_State* L, int index, int tag);
/* The same for a container that is to change, the first argument's: what is shared does not. */
rc_object* handle_to_change(lua_State* L, int tag);
/* Pushes a handle of a shared container, which gets a reference of its own. */
void handle_push_shared(lua_State* L, rc_object* o);
/* The first argument's container, borrowed; throws if it was dropped. */
rc_object* handle_object(lua_State* L, const handle* h);
/* Gives up its reference. */
void handle_drop(handle* h);

/* ---- Values ---------------------------------------------------------------------------------- */

enum { NO_WORD = 0 }; /* no word is 0: there was no memory to make one */

bool value_can_be_held(lua_State* L, int index);
/* Throws if it cannot. */
void value_check(lua_State* L, int index);
/* The value at index, which can be held, as an owned word, or NO_WORD. */
rc_word value_word(lua_State* L, int index);
/* As a key: a float with an integer's value is that integer, as in Lua. */
rc_word value_key(lua_State* L, int index);

/* Puts the value of w, borrowed, into the stack's slot, which holds nil or what an earlier call put
** there. False: the guest may have run before it was
** there, so look at what is to be given and call again. True: it is there, but the guest may have
** run after that. */
bool word_push(lua_State* L, int slot, rc_word w);
/* The same, but true only if the guest has not run: what was looked at is still so. */
bool word_offer(lua_State* L, int slot, rc_word w);

#endif
