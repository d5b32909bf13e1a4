/* rc/collection.c: lists, vectors and maps, and what handles of all kinds do: be read by index, be
** walked, and make new values or change as drafts. */
#include <errno.h>

#include "demo-lang/lib/base.h"
#include "demo-lang/lib/work.h"
#include "demo-lang/rc/value.h"

enum { IS_SEQUENCE = IS_LIST | IS_VECTOR, IS_COLLECTION = IS_SEQUENCE | IS_MAP };

/* ---- Lists: an object of the cells and their number ------------------------------------------ */

/* The list's object as one's own, or a new one. NULL: no memory. */
static rc_object* list_own(rc_word* list) {
  rc_object* o = *list == RC_NIL ? rc_alloc(TAG_LIST, LIST_FIELDS) : rc_make_unique(rc_to(*list));
  if (o == NULL) return NULL;
  if (*list == RC_NIL) {
    rc_init(o, CELLS, RC_NIL);
    rc_init(o, COUNT, rc_int(0));
  }
  *list = rc_from(o);
  return o;
}

/* An empty list has no object. */
static void list_trim(rc_word* list) {
  if (*list == RC_NIL || list_count(*list) > 0) return;
  rc_dec_word(*list);
  *list = RC_NIL;
}

bool list_push(rc_word* list, rc_word w) {
  rc_object* o = list_own(list);
  bool done = o != NULL && rc_list_cons(&rc_words(o)[CELLS], w);
  if (done) rc_set(o, COUNT, rc_int((int64_t)list_count(*list) + 1));
  list_trim(list);
  return done;
}

rc_word list_pop(rc_word* list) {
  if (*list == RC_NIL) return errno = EINVAL, 0;
  rc_object* o = list_own(list);
  if (o == NULL) return 0;
  rc_set(o, COUNT, rc_int((int64_t)list_count(*list) - 1));
  rc_word head = rc_list_pop(&rc_words(o)[CELLS]);
  list_trim(list);
  return head;
}

rc_word list_of(rc_word cells, size_t n) {
  rc_word list = RC_NIL;
  rc_object* o = list_own(&list);
  if (o == NULL) {
    rc_dec_word(cells);
    return 0;
  }
  rc_set(o, CELLS, cells);
  rc_set(o, COUNT, rc_int((int64_t)n));
  list_trim(&list);
  return list;
}

/* ---- Maps ------------------------------------------------------------------------------------ */

/* The value of the key, borrowed; 0: none. */
static rc_word map_get(lua_State* L, rc_word map, const value* key) {
  map_key k = map_key_of(L, key);
  rc_map_ops ops = map_ops(&k);
  return rc_map_get(map, &ops, WORD_NOT_HELD);
}

bool map_put(rc_word* map, map_key* k, rc_word key, rc_word w) {
  rc_map_ops ops = map_ops(k);
  k->word = key;
  if (rc_map_put(map, &ops, key, w)) return true;
  int error = errno;
  rc_dec_word(key);
  rc_dec_word(w);
  errno = error;
  return false;
}

/* A key and its value, both borrowed. */
static bool map_add(lua_State* L, rc_word* map, const value* key, const value* v) {
  map_key k = map_key_of(L, key);
  rc_word word = value_word(&k.key);
  if (word == NO_WORD) return false;
  rc_word w = value_word(v);
  if (w == NO_WORD) {
    rc_dec_word(word);
    return false;
  }
  if (map_put(map, &k, word, w)) return true;
  if (errno == EINVAL) luaL_error(L, "too many keys with one hash");
  return false;
}

static bool map_remove(lua_State* L, rc_word* map, const value* key) {
  map_key k = map_key_of(L, key);
  rc_map_ops ops = map_ops(&k);
  return rc_map_remove(map, &ops, WORD_NOT_HELD);
}

static bool is_nan(const value* v) { return v->kind == FLOAT && v->number != v->number; }

static bool map_set(lua_State* L, handle* h) {
  value key, v;
  value_check(L, 2, &key);
  value_check(L, 3, &v);
  luaL_argcheck(L, key.kind != NIL, 2, "a key is nil");
  luaL_argcheck(L, !is_nan(&key), 2, "a key is NaN");
  return v.kind == NIL ? map_remove(L, &h->word, &key) : map_add(L, &h->word, &key, &v);
}

/* ---- New ones, of what a table holds --------------------------------------------------------- */

enum { FILLED = 2 };

static bool add(rc_word* sequence, value_kind kind, const value* v) {
  rc_word w = value_word(v);
  if (w == NO_WORD) return false;
  if (kind == LIST ? list_push(sequence, w) : rc_vec_push(sequence, w)) return true;
  rc_dec_word(w);
  return false;
}

enum { AT_ONCE = 32 };

static void give_up(const rc_word* words, size_t n) {
  for (size_t i = 0; i < n; i++) rc_dec_word(words[i]);
}

/* Elements i to i + n - 1 of the table as owned words; false: no memory. */
static bool elements(lua_State* L, size_t i, size_t n, rc_word* words) {
  for (size_t k = 0; k < n; k++) {
    value v;
    lua_rawgeti(L, 1, (lua_Integer)(i + k));
    bool fine = value_at(L, -1, &v);
    words[k] = fine ? value_word(&v) : NO_WORD;
    if (words[k] == NO_WORD) give_up(words, k);
    if (!fine) value_check(L, -1, &v);
    lua_pop(L, 1);
    if (words[k] == NO_WORD) return false;
  }
  return true;
}

/* To a vector's end, or a list's front. */
static bool add_all(handle* h, const rc_word* words, size_t n) {
  size_t done = 0, more = 1;
  if (h->kind == VECTOR)
    for (; done < n && more > 0; done += more)
      more = rc_vec_append(&h->word, words + done, n - done);
  else
    while (done < n && list_push(&h->word, word_copy(words[n - done - 1]))) done++;
  if (h->kind == LIST && done < n) rc_dec_word(words[n - done - 1]);
  return done == n;
}

/* Some elements at a time, and of a list, those behind first. */
static bool fill_sequence(lua_State* L) {
  rc_word words[AT_ONCE];
  handle* h = lua_touserdata(L, FILLED);
  purse p = purse_new(L);
  size_t n = lua_rawlen(L, 1);
  handle_set(h, RC_NIL);
  for (size_t count, done = 0; done < n; done += count) {
    count = n - done < AT_ONCE ? n - done : AT_ONCE;
    pay(&p, count);
    if (!elements(L, 1 + (h->kind == LIST ? n - done - count : done), count, words)) return false;
    bool added = add_all(h, words, count);
    give_up(words, count);
    if (!added) return false;
  }
  return true;
}

static bool fill_map(lua_State* L) {
  handle* h = lua_touserdata(L, FILLED);
  purse p = purse_new(L);
  handle_set(h, RC_NIL);
  lua_settop(L, FILLED);
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    value key, v;
    pay(&p, 1);
    value_check(L, -2, &key);
    value_check(L, -1, &v);
    if (!map_add(L, &h->word, &key, &v)) return false;
  }
  return true;
}

static int collection_new(lua_State* L, value_kind kind) {
  bool filled = !lua_isnoneornil(L, 1);
  if (filled) luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  handle_set(handle_push(L, kind), RC_NIL);
  if (!filled) return 1;
  if (kind == MAP)
    work_pay(L, base_table_slots(L, 1), WORK_SLOTS);
  else
    work_pay(L, lua_rawlen(L, 1), WORK_VALUES);
  memory_try(L, kind == MAP ? fill_map : fill_sequence);
  lua_settop(L, FILLED);
  return 1;
}

static int list_new(lua_State* L) { return collection_new(L, LIST); }
static int vector_new(lua_State* L) { return collection_new(L, VECTOR); }
static int map_new(lua_State* L) { return collection_new(L, MAP); }

/* ---- Updates --------------------------------------------------------------------------------- */

static bool push_attempt(lua_State* L) {
  value v;
  handle* h = updated(L);
  if (h->kind == ROPE) return rope_push(L, h);
  value_check(L, 2, &v);
  return add(&h->word, h->kind, &v);
}

static int push(lua_State* L) {
  if (handle_check(L, 1, IS_SEQUENCE | IS_ROPE)->kind == ROPE) text_prepare(L, 2);
  return update(L, IS_SEQUENCE | IS_ROPE, push_attempt);
}

/* What is not there is nil. */
static bool pop_attempt(lua_State* L) {
  give_prepare(L);
  handle* h = updated(L);
  rc_word w = h->kind == LIST ? list_pop(&h->word) : rc_vec_pop(&h->word);
  if (w == 0 && errno != EINVAL) return false;
  pocket_put(L, w != 0 ? w : RC_NIL);
  return true;
}

static int pop(lua_State* L) {
  update(L, IS_SEQUENCE, pop_attempt);
  pocket_give(L);
  lua_insert(L, -2);
  return 2;
}

static bool vector_set(lua_State* L, handle* h) {
  value v;
  size_t n = rc_vec_length(h->word);
  luaL_checktype(L, 2, LUA_TNUMBER);
  lua_Unsigned i = (lua_Unsigned)luaL_checkinteger(L, 2) - 1;
  luaL_argcheck(L, i <= n, 2, "index out of range");
  value_check(L, 3, &v);
  if (i == n) return add(&h->word, VECTOR, &v);
  rc_word w = value_word(&v);
  if (w == NO_WORD) return false;
  if (rc_vec_set(&h->word, (size_t)i, w)) return true;
  rc_dec_word(w);
  return false;
}

static bool set_attempt(lua_State* L) {
  handle* h = updated(L);
  if (h->kind == MAP) return map_set(L, h);
  return h->kind == ROPE ? rope_set(L, h) : vector_set(L, h);
}

int collection_set(lua_State* L) { return update(L, IS_VECTOR | IS_MAP | IS_ROPE, set_attempt); }

/* The part of a vector that is not empty, node by node. */
static bool vector_sub(lua_State* L, handle* h, size_t from, size_t to) {
  purse p = purse_new(L);
  rc_word part = RC_NIL;
  for (size_t done = 1, n; from < to && done > 0; from += done) {
    const rc_word* words = rc_vec_chunk(h->word, from, &n);
    pay(&p, n);
    done = rc_vec_append(&part, words, n < to - from ? n : to - from);
  }
  if (from == to)
    handle_set(h, part);
  else
    rc_dec_word(part);
  return from == to;
}

static bool sub_attempt(lua_State* L) {
  handle* h = updated(L);
  size_t length = h->kind == ROPE ? rc_rope_length(h->word) : rc_vec_length(h->word);
  size_t from = first_position(luaL_checkinteger(L, 2), length) - 1;
  size_t to = last_position(luaL_optinteger(L, 3, -1), length);
  if (from > to) from = to;
  if (h->kind == VECTOR) return vector_sub(L, h, from, to);
  rc_word part = rc_rope_slice(h->word, from, to);
  if (part != 0) handle_set(h, part);
  return part != 0;
}

static int sub(lua_State* L) { return update(L, IS_VECTOR | IS_ROPE, sub_attempt); }

/* ---- Reading --------------------------------------------------------------------------------- */

int collection_index(lua_State* L) {
  value key;
  rc_word w;
  give_prepare(L);
  const handle* h = handle_check(L, 1, ANY_KIND);
  bool number = lua_type(L, 2) == LUA_TNUMBER;
  if (h->kind == ROPE && number) return rope_index(L, h);
  if (h->kind == VECTOR && number) {
    int whole;
    lua_Integer i = lua_tointegerx(L, 2, &whole);
    w = whole ? rc_vec_get(h->word, (size_t)i - 1) : 0;
  } else if (h->kind == MAP) {
    w = value_at(L, 2, &key) ? map_get(L, h->word, &key) : 0;
  } else {
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
  }
  word_give(L, w != 0 ? word_copy(w) : RC_NIL);
  return 1;
}

int collection_length(lua_State* L) {
  const handle* h = handle_check(L, 1, IS_COLLECTION | IS_ROPE);
  size_t n = h->kind == LIST     ? list_count(h->word)
             : h->kind == VECTOR ? rc_vec_length(h->word)
             : h->kind == MAP    ? rc_map_count(h->word)
                                 : rc_rope_length(h->word);
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

/* ---- Walking: over the value that is there at the start --------------------------------------
**
** The steps over a vector or a rope find their place by the number before; those over a list or a
** map keep it, and what is left of the list, or the map. */

typedef struct step {
  rc_word word; /* owned */
  lua_Integer number;
  rc_map_iter at;
} step;

static const char step_type[] = "rc.step";

static int step_gc(lua_State* L) {
  step* s = luaL_checkudata(L, 1, step_type);
  rc_dec_word(s->word);
  s->word = RC_NIL;
  s->at.depth = -1;
  return 0;
}

static int vector_step(lua_State* L) {
  give_prepare(L);
  const handle* h = handle_check(L, 1, IS_VECTOR);
  lua_Unsigned i = (lua_Unsigned)luaL_checkinteger(L, 2);
  rc_word w = rc_vec_get(h->word, (size_t)i);
  if (w == 0) return 0;
  lua_pushinteger(L, (lua_Integer)i + 1);
  word_give(L, word_copy(w));
  return 2;
}

static int list_step(lua_State* L) {
  give_prepare(L);
  step* s = lua_touserdata(L, lua_upvalueindex(1));
  rc_word cells = s->word;
  if (cells == RC_NIL) return 0;
  rc_word head = word_copy(rc_list_head(cells));
  s->word = word_copy(rc_list_tail(cells));
  rc_dec_word(cells);
  pocket_put(L, head);
  lua_pushinteger(L, ++s->number);
  pocket_give(L);
  return 2;
}

/* The map is the step's own, so key and value stay, whatever the guest does meanwhile. */
static int map_step(lua_State* L) {
  rc_word key, w;
  give_prepare(L);
  step* s = lua_touserdata(L, lua_upvalueindex(1));
  if (!rc_map_next(&s->at, &key, &w)) return 0;
  word_give(L, word_copy(key));
  give_prepare(L);
  word_give(L, word_copy(w));
  return 2;
}

/* A closure with the value at 1 as its own. */
static int push_steps(lua_State* L, value_kind kind) {
  step* s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (step){.word = RC_NIL, .at.depth = -1};
  luaL_setmetatable(L, step_type);
  lua_pushcclosure(L, kind == LIST ? list_step : map_step, 1);
  rc_word w = handle_check(L, 1, ANY_KIND)->word;
  s->word = word_copy(kind == LIST ? list_cells(w) : w);
  if (kind == MAP) s->at = rc_map_begin(w);
  return 1;
}

/* Upvalues: vector_step, rope_step. A draft is walked as the value that it has now. */
int collection_pairs(lua_State* L) {
  const handle* h = handle_check(L, 1, IS_COLLECTION | IS_ROPE);
  value_kind kind = h->kind;
  lua_settop(L, 1);
  if (kind == LIST || kind == MAP) return push_steps(L, kind);
  lua_pushvalue(L, lua_upvalueindex(kind == VECTOR ? 1 : 2));
  if (h->draft)
    handle_pin(L, 1);
  else
    lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

void collection_push_pairs(lua_State* L) {
  static const luaL_Reg functions[] = {{"__gc", step_gc}, {NULL, NULL}};
  luaL_newmetatable(L, step_type);
  work_set_functions(L, functions);
  lua_pushliteral(L, "rc");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  work_push_closure(L, vector_step);
  work_push_closure(L, rope_step);
  lua_pushcclosure(L, collection_pairs, 2);
}

const luaL_Reg collection_functions[] = {
    {"list", list_new}, {"vector", vector_new}, {"map", map_new}, {NULL, NULL}};
const luaL_Reg collection_methods[] = {
    {"push", push}, {"pop", pop}, {"set", collection_set}, {"sub", sub}, {NULL, NULL}};
