/* rc/code.c: values as bytes, to be kept or sent, and back.
**
**   "RC", 1             the format and its version
**   value
**   4 bytes             the FNV-1a hash (32 bits) of all before, the lowest byte first
**
** A value is a byte that tells its type (below), and behind it
**   integer             i >= 0: 2 i, else -2 i - 1, as a length
**   float               its 8 bytes, the lowest first
**   string, rope        the length, and the bytes
**   big                 twice the number of bytes, and 1 if below zero, as a length; the magnitude's
**                       bytes, the lowest first, without zeros on top
**   list, vector        the length, and the elements
**   map                 the number of keys; keys and values, in the order of `entries`
** A length is in groups of 7 bits, the lowest first, all but the last with the top bit set, as few as
** will do. So what is written for a value depends on it alone, and its types come back; keys are
** read in any order.
**
** What is decoded is not trusted: lengths are held against the bytes that are there, before anything
** is made, levels against DEPTH, and whatever is no encoding is an error. */
#include <errno.h>

#include "demo-lang/rc/value.h"

enum { OF_NIL, OF_FALSE, OF_TRUE, OF_INTEGER, OF_FLOAT, OF_STRING };
enum { OF_ROPE = OF_STRING + 1, OF_BIG, OF_LIST, OF_VECTOR, OF_MAP };
static const unsigned char HEAD[] = {'R', 'C', 1};
enum { CHECK = 4, FLOAT_BYTES = 8, GROUP = 7, GROUPS = 10 };

static uint32_t check_of(purse* p, const char* s, size_t n) {
  uint32_t h = 0x811c9dc5u;
  pay(p, n / BYTES_LOOKED_AT);
  for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 0x01000193u;
  return h;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

typedef struct writer {
  purse purse;
  luaL_Buffer to;
} writer;

static void write_byte(writer* w, unsigned byte) { put_byte(&w->to, (char)byte); }

static void write_bytes(writer* w, const char* s, size_t n) {
  pay(&w->purse, n / BYTES_OF_STEP);
  put(&w->to, s, n);
}

static void write_length(writer* w, uint64_t n) {
  for (; n >> GROUP != 0; n >>= GROUP) write_byte(w, (unsigned)(n & 0x7f) | 0x80);
  write_byte(w, (unsigned)n);
}

static void write_number(writer* w, uint64_t bits, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) write_byte(w, (unsigned)(bits >> 8 * i & 0xff));
}

static void write_text(writer* w, const value* v) {
  const char* s;
  write_byte(w, v->kind == ROPE ? OF_ROPE : OF_STRING);
  write_length(w, text_length(v));
  for (size_t i = 0, n; (s = text_chunk(v, i, &n)) != NULL; i += n) write_bytes(w, s, n);
}

static void write_big(writer* w, rc_word big) {
  uint64_t small, bytes = (rc_big_bits(big) + 7) / 8;
  size_t n;
  const uint64_t* limbs = rc_big_limbs(big, &n, &small);
  write_byte(w, OF_BIG);
  write_length(w, 2 * bytes + (rc_big_sign(big) < 0));
  pay(&w->purse, bytes / BYTES_LOOKED_AT);
  for (size_t i = 0; i < n; i++, bytes -= 8) write_number(w, limbs[i], bytes < 8 ? bytes : 8);
}

static void write_value(writer* w, const value* v, int depth);

static void write_word(writer* w, rc_word word, int depth) {
  value v = value_of(word);
  pay(&w->purse, 1);
  write_value(w, &v, depth);
}

static void write_list(writer* w, rc_word list, int depth) {
  write_length(w, list_count(list));
  for (rc_word at = list_cells(list); at != RC_NIL; at = rc_list_tail(at))
    write_word(w, rc_list_head(at), depth);
}

static void write_vector(writer* w, rc_word v, int depth) {
  const rc_word* words;
  write_length(w, rc_vec_length(v));
  for (size_t i = 0, n; (words = rc_vec_chunk(v, i, &n)) != NULL; i += n)
    for (size_t k = 0; k < n; k++) write_word(w, words[k], depth);
}

static void write_map(writer* w, rc_word m, int depth) {
  rc_word key, word;
  write_length(w, rc_map_count(m));
  for (entries e = entries_of(m, depth); entries_next(&w->purse, &e, &key, &word);) {
    write_word(w, key, depth);
    write_word(w, word, depth);
  }
}

static void write_collection(writer* w, const value* v, int depth) {
  if (depth >= DEPTH) luaL_error(w->purse.L, "values nest too deeply (more than %d levels)", DEPTH);
  write_byte(w, OF_LIST + (unsigned)v->kind);
  if (v->kind == LIST)
    write_list(w, v->word, depth + 1);
  else if (v->kind == VECTOR)
    write_vector(w, v->word, depth + 1);
  else
    write_map(w, v->word, depth + 1);
}

static void write_value(writer* w, const value* v, int depth) {
  lua_Number number;
  uint64_t bits;
  switch (v->kind) {
    case NIL:
      write_byte(w, OF_NIL);
      break;
    case BOOLEAN:
      write_byte(w, v->boolean ? OF_TRUE : OF_FALSE);
      break;
    case INTEGER:
      write_byte(w, OF_INTEGER);
      write_length(w, (uint64_t)v->integer << 1 ^ (uint64_t)(v->integer >> 63));
      break;
    case FLOAT:
      write_byte(w, OF_FLOAT);
      number = v->number == v->number ? v->number : (lua_Number)NAN; /* all of them are equal */
      memcpy(&bits, &number, sizeof bits);
      write_number(w, bits, FLOAT_BYTES);
      break;
    case STRING:
    case ROPE:
      write_text(w, v);
      break;
    case BIG:
      write_big(w, v->word);
      break;
    default:
      write_collection(w, v, depth);
      break;
  }
}

/* The value is pinned: the guest may run while the result grows. */
int value_encode(lua_State* L) {
  writer w = {.purse = purse_new(L)};
  value v;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  value_check(L, 1, &v);
  if (v.kind <= BIG) {
    handle_pin(L, 1);
    lua_replace(L, 1);
    value_check(L, 1, &v);
  }
  luaL_buffinit(L, &w.to);
  write_bytes(&w, (const char*)HEAD, sizeof HEAD);
  write_value(&w, &v, 0);
  write_number(&w, check_of(&w.purse, luaL_buffaddr(&w.to), luaL_bufflen(&w.to)), CHECK);
  luaL_pushresult(&w.to);
  return 1;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

/* A reader that has failed has its reason, or NULL if there was no memory. */
typedef struct reader {
  purse purse;
  const unsigned char *at, *end;
  const char* wrong;
} reader;

static rc_word refuse(reader* r, const char* wrong) {
  r->wrong = wrong;
  return NO_WORD;
}

static size_t left_of(const reader* r) { return (size_t)(r->end - r->at); }

static bool read_length(reader* r, uint64_t* n) {
  *n = 0;
  for (unsigned i = 0; i < GROUPS && r->at < r->end; i++) {
    uint64_t group = *r->at++;
    *n |= (group & 0x7f) << GROUP * i;
    if (group & 0x80) continue;
    if ((i > 0 && group == 0) || (i == GROUPS - 1 && group > 1)) break;
    return true;
  }
  r->wrong = "wrong length";
  return false;
}

/* The number of things of so many bytes at least. */
static bool read_count(reader* r, size_t bytes, size_t* n) {
  uint64_t count;
  if (!read_length(r, &count)) return false;
  *n = (size_t)count;
  if (count <= left_of(r) / bytes) return true;
  r->wrong = "wrong length";
  return false;
}

/* The word for a value whose own word was just made. */
static rc_word owned_word(value_kind kind, rc_word w) {
  if (w == NO_WORD) return NO_WORD;
  value v = {.kind = kind, .word = w};
  rc_word word = value_word(&v);
  rc_dec_word(w);
  return word;
}

static rc_word read_integer(reader* r) {
  uint64_t n;
  if (!read_length(r, &n)) return NO_WORD;
  value v = {.kind = INTEGER, .integer = (lua_Integer)(n >> 1 ^ -(n & 1))};
  return value_word(&v);
}

static rc_word read_float(reader* r) {
  uint64_t bits = 0;
  value v = {.kind = FLOAT};
  if (left_of(r) < FLOAT_BYTES) return refuse(r, "too short");
  for (unsigned i = 0; i < FLOAT_BYTES; i++) bits |= (uint64_t)*r->at++ << 8 * i;
  memcpy(&v.number, &bits, sizeof bits);
  return value_word(&v);
}

static rc_word read_text(reader* r, value_kind kind) {
  size_t n;
  if (!read_count(r, 1, &n)) return NO_WORD;
  value v = {.kind = STRING, .text = (const char*)r->at, .length = n};
  pay(&r->purse, n / BYTES_OF_STEP);
  r->at += n;
  return kind == STRING ? value_word(&v) : owned_word(ROPE, rope_from(&r->purse, v.text, n));
}

static rc_word read_big(reader* r) {
  uint64_t length;
  if (!read_length(r, &length)) return NO_WORD;
  size_t bytes = (size_t)(length >> 1), n = (bytes + 7) / 8;
  if (bytes > left_of(r)) return refuse(r, "wrong length");
  if (bytes == 0 ? length != 0 : r->at[bytes - 1] == 0) return refuse(r, "wrong integer");
  pay(&r->purse, bytes / BYTES_OF_STEP);
  rc_object* limbs = rc_bytes(TAG_WIDE, n * sizeof(uint64_t));
  if (limbs == NULL) return NO_WORD;
  uint64_t* to = (uint64_t*)(void*)rc_data(limbs);
  for (size_t i = 0; i < n; i++) to[i] = 0;
  for (size_t i = 0; i < bytes; i++) to[i / 8] |= (uint64_t)*r->at++ << i % 8 * 8;
  rc_word big = rc_big_from_limbs(to, n, length & 1);
  rc_dec(limbs);
  return owned_word(BIG, big);
}

static rc_word read_value(reader* r, int depth);

/* Gives up what was read so far. */
static rc_word give_up(rc_word w) {
  rc_dec_word(w);
  return NO_WORD;
}

static rc_word read_vector(reader* r, int depth) {
  size_t n;
  rc_word all = RC_NIL;
  if (!read_count(r, 1, &n)) return NO_WORD;
  for (; n > 0; n--) {
    rc_word w = read_value(r, depth);
    if (w == NO_WORD) return give_up(all);
    bool added = rc_vec_push(&all, w);
    if (!added) rc_dec_word(w);
    if (!added) return give_up(all);
  }
  return owned_word(VECTOR, all);
}

/* A list is made from its end, so its cells are made in the wrong order first. */
static rc_word read_list(reader* r, int depth) {
  size_t n;
  rc_word cells = RC_NIL, reversed = RC_NIL;
  if (!read_count(r, 1, &n)) return NO_WORD;
  for (size_t i = 0; i < n; i++) {
    rc_word w = read_value(r, depth);
    if (w == NO_WORD) return give_up(reversed);
    if (rc_list_cons(&reversed, w)) continue;
    rc_dec_word(w);
    return give_up(reversed);
  }
  for (size_t i = 0; i < n; i++) {
    rc_word w = rc_list_pop(&reversed);
    pay(&r->purse, 1);
    if (rc_list_cons(&cells, w)) continue;
    rc_dec_word(w);
    rc_dec_word(cells);
    return give_up(reversed);
  }
  return owned_word(LIST, list_of(cells, n));
}

/* Not nil, NaN, a float that would be an integer, or there already. */
static bool is_new_key(reader* r, rc_word map, const value* key, map_key* k) {
  rc_map_ops ops = map_ops(k);
  if (key->kind != NIL && !(key->kind == FLOAT && key->number != key->number) &&
      k->key.kind == key->kind && rc_map_get(map, &ops, WORD_NOT_HELD) == 0)
    return true;
  r->wrong = "wrong key";
  return false;
}

static rc_word read_map(reader* r, int depth) {
  size_t n;
  rc_word all = RC_NIL;
  if (!read_count(r, 2, &n)) return NO_WORD;
  for (; n > 0; n--) {
    rc_word word = read_value(r, depth);
    if (word == NO_WORD) return give_up(all);
    value key = value_of(word);
    map_key k = map_key_of(r->purse.L, &key);
    rc_word w = is_new_key(r, all, &key, &k) ? read_value(r, depth) : NO_WORD;
    if (w == NO_WORD) {
      rc_dec_word(word);
      return give_up(all);
    }
    if (map_put(&all, &k, word, w)) continue;
    if (errno == EINVAL) r->wrong = "too many keys with one hash";
    return give_up(all);
  }
  return owned_word(MAP, all);
}

static rc_word read_value(reader* r, int depth) {
  if (r->at == r->end) return refuse(r, "too short");
  unsigned type = *r->at++;
  pay(&r->purse, 1);
  if (type >= OF_LIST && depth >= DEPTH) return refuse(r, "too many levels");
  switch (type) {
    case OF_NIL:
      return RC_NIL;
    case OF_FALSE:
    case OF_TRUE:
      return value_word(&(value){.kind = BOOLEAN, .boolean = type == OF_TRUE});
    case OF_INTEGER:
      return read_integer(r);
    case OF_FLOAT:
      return read_float(r);
    case OF_STRING:
      return read_text(r, STRING);
    case OF_ROPE:
      return read_text(r, ROPE);
    case OF_BIG:
      return read_big(r);
    case OF_LIST:
      return read_list(r, depth + 1);
    case OF_VECTOR:
      return read_vector(r, depth + 1);
    case OF_MAP:
      return read_map(r, depth + 1);
    default:
      return refuse(r, "unknown type");
  }
}

/* Head and checksum. */
static bool read_frame(reader* r, const char* s, size_t n) {
  uint32_t check = 0;
  r->wrong = "not an encoded value";
  if (n < sizeof HEAD + CHECK || memcmp(s, HEAD, sizeof HEAD) != 0) return false;
  r->at = (const unsigned char*)s + sizeof HEAD;
  r->end = (const unsigned char*)s + n - CHECK;
  for (unsigned i = 0; i < CHECK; i++) check |= (uint32_t)r->end[i] << 8 * i;
  r->wrong = "wrong checksum";
  if (check != check_of(&r->purse, s, n - CHECK)) return false;
  r->wrong = NULL;
  return true;
}

static bool decode(lua_State* L) {
  size_t n;
  const char* s = lua_tolstring(L, 1, &n);
  reader r = {.purse = purse_new(L)};
  give_prepare(L);
  rc_word w = read_frame(&r, s, n) ? read_value(&r, 0) : NO_WORD;
  if (w != NO_WORD && r.at != r.end) {
    rc_dec_word(w);
    w = refuse(&r, "too long");
  }
  if (r.wrong != NULL) luaL_error(L, "cannot decode: %s", r.wrong);
  if (w != NO_WORD) pocket_put(L, w);
  return w != NO_WORD;
}

int value_decode(lua_State* L) {
  luaL_checktype(L, 1, LUA_TSTRING);
  memory_try(L, decode);
  pocket_give(L);
  return 1;
}
