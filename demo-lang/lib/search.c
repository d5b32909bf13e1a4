/* search.c: find, match, gmatch and gsub. */
#include "demo-lang/lib/pattern.h"

static void read_arguments(lua_State* L, matcher* m, int text, int pattern) {
  size_t length;
  matcher_init(m, L);
  m->text = luaL_checklstring(L, text, &length);
  m->end = m->text + length;
  m->pattern = luaL_checklstring(L, pattern, &length);
  m->pattern_end = m->pattern + length;
}

/* ---- Captures as results --------------------------------------------------------------------- */

/* Capture i of the match [s, e); without any, capture 0 is the match. */
static void push_capture(matcher* m, int i, const char* s, const char* e) {
  lua_State* L = m->paid.L;
  capture c = i < m->level ? m->captures[i] : (capture){s, e - s};
  if (i >= m->level && i != 0) luaL_error(L, "invalid capture index %%%d", i + 1);
  if (c.length == CAPTURE_OPEN) luaL_error(L, "unfinished capture");
  if (c.length == CAPTURE_POSITION) {
    lua_pushinteger(L, c.start - m->text + 1);
    return;
  }
  pay(&m->paid, 1 + (size_t)c.length / BYTES_OF_STEP);
  lua_pushlstring(L, c.start, (size_t)c.length);
}

/* All captures, or the match if there are none; their number. */
static int push_captures(matcher* m, const char* s, const char* e) {
  int n = m->level == 0 ? 1 : m->level;
  luaL_checkstack(m->paid.L, n, "too many captures");
  for (int i = 0; i < n; i++) push_capture(m, i, s, e);
  return n;
}

/* ---- find and match -------------------------------------------------------------------------- */

static bool is_plain(purse* paid, const char* pattern, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (i % BYTES_LOOKED_AT == BYTES_LOOKED_AT - 1) pay(paid, 1);
    switch (pattern[i]) {
      case '^':
      case '$':
      case '*':
      case '+':
      case '?':
      case '.':
      case '(':
      case '[':
      case '%':
      case '-':
        return false;
    }
  }
  return true;
}

/* Where `what` is in the n bytes at s; NULL: nowhere. */
static const char* find_bytes(purse* paid, const char* s, size_t n, const char* what, size_t k) {
  if (k == 0) return s;
  if (k > n) return NULL;
  const char* end = s + (n - k) + 1; /* behind the last place where it can begin */
  while (s < end) {
    size_t window = end - s > WINDOW ? WINDOW : (size_t)(end - s);
    const char* at = memchr(s, what[0], window);
    pay(paid, 1 + (at != NULL ? (size_t)(at - s) : window) / BYTES_OF_STEP);
    if (at == NULL) {
      s += window;
    } else {
      if (k == 1 || (at[k - 1] == what[k - 1] && equal_bytes(paid, at + 1, what + 1, k - 1)))
        return at;
      s = at + 1;
    }
  }
  return NULL;
}

static bool take_anchor(matcher* m) {
  bool anchored = *m->pattern == '^';
  if (anchored) m->pattern++;
  return anchored;
}

static int find(lua_State* L, bool wants_place) {
  matcher m;
  read_arguments(L, &m, 1, 2);
  const char *start, *end = NULL;
  size_t length = (size_t)(m.end - m.text), pattern_length = (size_t)(m.pattern_end - m.pattern);
  size_t skipped = first_position(luaL_optinteger(L, 3, 1), length) - 1;
  if (skipped > length) {
    start = NULL;
  } else if (wants_place && (lua_toboolean(L, 4) || is_plain(&m.paid, m.pattern, pattern_length))) {
    start = find_bytes(&m.paid, m.text + skipped, length - skipped, m.pattern, pattern_length);
    if (start != NULL) end = start + pattern_length;
  } else {
    bool anchored = take_anchor(&m);
    end = pattern_search(&m, m.text + skipped, anchored, &start);
  }
  if (end == NULL) {
    lua_pushnil(L);
    return 1;
  }
  if (!wants_place) return push_captures(&m, start, end);
  lua_pushinteger(L, start - m.text + 1);
  lua_pushinteger(L, end - m.text);
  return m.level == 0 ? 2 : 2 + push_captures(&m, start, end);
}

int string_find(lua_State* L) { return find(L, true); }
int string_match(lua_State* L) { return find(L, false); }

/* ---- gmatch ---------------------------------------------------------------------------------- */

/* An iterator has text and pattern as upvalues, so that they live, and this as the third. */
typedef struct iteration {
  matcher matcher;
  const char* from; /* to go on from; NULL: behind the text */
} iteration;

static int next_match(lua_State* L) {
  iteration* i = lua_touserdata(L, lua_upvalueindex(3));
  i->matcher.paid = purse_new(L);
  if (i->from == NULL) return 0;
  const char *start, *end = pattern_search(&i->matcher, i->from, false, &start);
  if (end == NULL) return 0;
  i->from = i->matcher.last = end;
  return push_captures(&i->matcher, start, end);
}

int string_gmatch(lua_State* L) {
  size_t length;
  luaL_checklstring(L, 1, &length);
  luaL_checkstring(L, 2);
  size_t from = first_position(luaL_optinteger(L, 3, 1), length) - 1;
  lua_settop(L, 2);
  iteration* i = lua_newuserdatauv(L, sizeof *i, 0);
  read_arguments(L, &i->matcher, 1, 2);
  i->from = from <= length ? i->matcher.text + from : NULL;
  lua_pushcclosure(L, next_match, 3);
  return 1;
}

/* ---- gsub ------------------------------------------------------------------------------------ */

enum { REPLACEMENT = 3, VALUE = 4 }; /* arguments; the last one's place is then the value's */

/* What matches are replaced by, and the result so far: what is in the buffer and then the text from
** `kept` on. */
typedef struct replacer {
  luaL_Buffer buffer;
  const char* kept;
  const char* text; /* of the argument, if it has one */
  size_t length;
} replacer;

static void put_paid(matcher* m, replacer* r, const char* s, size_t n) {
  if (n == 1) {
    put_byte(&r->buffer, *s);
  } else if (n > 0) {
    pay(&m->paid, n / BYTES_OF_STEP);
    put(&r->buffer, s, n);
  }
}

/* Digit 0: the match [s, e); else that capture. */
static void put_capture(matcher* m, replacer* r, int digit, const char* s, const char* e) {
  const capture* c = &m->captures[digit > 0 ? digit - 1 : 0];
  if (digit == 0) {
    put_paid(m, r, s, (size_t)(e - s));
  } else if (digit <= m->level && c->length >= 0) {
    put_paid(m, r, c->start, (size_t)c->length);
  } else {
    push_capture(m, digit - 1, s, e);
    luaL_addvalue(&r->buffer);
  }
}

/* The text, in which % and a digit stands for a capture. */
static void put_text(matcher* m, replacer* r, const char* s, const char* e) {
  const char *from = r->text, *end = from + r->length;
  pay(&m->paid, r->length / BYTES_OF_STEP);
  for (const char* p; (p = memchr(from, '%', (size_t)(end - from))) != NULL; from = p + 2) {
    put_paid(m, r, from, (size_t)(p - from));
    pay(&m->paid, 1);
    unsigned digit = (unsigned char)p[1] - (unsigned)'0';
    if (digit < 10)
      put_capture(m, r, (int)digit, s, e);
    else if (p[1] == '%')
      put_byte(&r->buffer, '%');
    else
      luaL_error(m->paid.L, "invalid use of '%%' in replacement string");
  }
  put_paid(m, r, from, (size_t)(end - from));
}

/* What the table or the function gives for the match is put at VALUE; false: the match stays. */
static bool look_up(matcher* m, const char* s, const char* e) {
  lua_State* L = m->paid.L;
  pay(&m->paid, STEPS_OF_TICK);
  if (lua_istable(L, REPLACEMENT)) {
    pay(&m->paid, (size_t)(e - s) / BYTES_LOOKED_AT); /* a long key is hashed byte by byte */
    push_capture(m, 0, s, e);
    lua_gettable(L, REPLACEMENT);
  } else {
    lua_pushvalue(L, REPLACEMENT);
    lua_call(L, push_captures(m, s, e), 1);
  }
  lua_replace(L, VALUE);
  if (!lua_toboolean(L, VALUE)) return false;
  if (!lua_isstring(L, VALUE))
    luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, VALUE));
  return true;
}

static void replace(matcher* m, replacer* r, const char* s, const char* e) {
  if (r->text == NULL && !look_up(m, s, e)) return;
  put_paid(m, r, r->kept, (size_t)(s - r->kept));
  r->kept = e;
  if (r->text != NULL) {
    put_text(m, r, s, e);
  } else {
    size_t length;
    const char* value = lua_tolstring(m->paid.L, VALUE, &length);
    put_paid(m, r, value, length);
  }
}

/* Pushes the result; the text itself if nothing was put. */
static void push_result(matcher* m, replacer* r) {
  if (r->kept == m->text && r->buffer.n == 0) {
    lua_pushvalue(m->paid.L, 1);
    return;
  }
  put_paid(m, r, r->kept, (size_t)(m->end - r->kept));
  pay(&m->paid, r->buffer.n / BYTES_OF_STEP);
  luaL_pushresult(&r->buffer);
}

static bool can_replace(int type) {
  return type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE;
}

int string_gsub(lua_State* L) {
  matcher m;
  replacer r;
  read_arguments(L, &m, 1, 2);
  lua_Integer most = luaL_optinteger(L, 4, m.end - m.text + 1), n = 0;
  luaL_argexpected(L, can_replace(lua_type(L, REPLACEMENT)), REPLACEMENT, "string/function/table");
  r.text = lua_tolstring(L, REPLACEMENT, &r.length);
  r.kept = m.text;
  lua_settop(L, VALUE);
  luaL_buffinit(L, &r.buffer);
  bool anchored = take_anchor(&m);
  const char *start, *end = m.text;
  while (n < most && (end = pattern_search(&m, end, anchored, &start)) != NULL) {
    n++;
    replace(&m, &r, start, end);
    if (anchored) break;
    m.last = end;
  }
  push_result(&m, &r);
  lua_pushinteger(L, n);
  return 2;
}
