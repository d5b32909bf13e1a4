/* pattern.c: the matcher of Lua's patterns.
**
** A pattern is a row of items without alternatives, so a path through it is told by what it chose
** on the way: how often a repeated byte, and where a capture began or ended. The choices are a
** stack; where an item does not fit, the last choice that can be made otherwise is, and the
** matcher goes on behind it. The stack has as many places as Lua's recursion is deep, and what
** takes a place is what recurses there, so "pattern too complex" comes for the same patterns.
** Time can be exponential in the number of repetitions, as it is in Lua: each item tried is paid.
**
** Errors of a pattern are found when a path comes to them. */
#include "demo-lang/lib/pattern.h"

enum { ESCAPE = '%', DEPTH = 200 };

/* ---- Sets of bytes --------------------------------------------------------------------------- */

/* ASCII, 64 bits each for the bytes from 0 and from 64; in the C locale there are no others. */
#define DIGITS 0x03FF000000000000
#define LOWERS 0x07FFFFFE00000000
#define UPPERS 0x0000000007FFFFFE
static const uint64_t classes[26][4] = {
    ['a' - 'a'] = {0, LOWERS | UPPERS},
    ['c' - 'a'] = {0x00000000FFFFFFFF, 0x8000000000000000},
    ['d' - 'a'] = {DIGITS},
    ['g' - 'a'] = {0xFFFFFFFE00000000, 0x7FFFFFFFFFFFFFFF},
    ['l' - 'a'] = {0, LOWERS},
    ['p' - 'a'] = {0xFC00FFFE00000000, 0x78000001F8000001},
    ['s' - 'a'] = {0x0000000100003E00},
    ['u' - 'a'] = {0, UPPERS},
    ['w' - 'a'] = {DIGITS, LOWERS | UPPERS},
    ['x' - 'a'] = {DIGITS, 0x0000007E0000007E},
    ['z' - 'a'] = {1}, /* the zero byte, as in old Lua */
};

/* The class that a letter of either case names, or NULL. */
static const uint64_t* class_of(char letter) {
  unsigned n = ((unsigned char)letter | 0x20u) - 'a';
  return n < 26 && (classes[n][0] | classes[n][1]) != 0 ? classes[n] : NULL;
}

static bool is_upper(char c) { return (unsigned char)(c - 'A') < 26; }
static bool is_digit(char c) { return (unsigned char)(c - '0') < 10; }

static void add_range(uint64_t bits[4], unsigned char low, unsigned char high) {
  if (low > high) return;
  for (unsigned i = low / 64u; i <= high / 64u; i++) {
    unsigned from = i == low / 64u ? low % 64u : 0, to = i == high / 64u ? high % 64u : 63;
    bits[i] |= UINT64_MAX << from & UINT64_MAX >> (63 - to);
  }
}

static void add_class(uint64_t bits[4], char letter) {
  const uint64_t* class = class_of(letter);
  if (class == NULL)
    add_range(bits, (unsigned char)letter, (unsigned char)letter);
  else
    for (int i = 0; i < 4; i++) bits[i] |= is_upper(letter) ? ~class[i] : class[i];
}

/* Behind the ] of the set that begins at p. A ] is a byte of the set where it comes first. */
static const char* set_end(matcher* m, const char* p) {
  p++;
  if (*p == '^') p++;
  do {
    pay(&m->paid, 1);
    if (p == m->pattern_end) luaL_error(m->paid.L, "malformed pattern (missing ']')");
    if (*p++ == ESCAPE && p < m->pattern_end) p++;
  } while (*p != ']');
  return p + 1;
}

static void read_set(matcher* m, byte_set* set, const char* p) {
  const char *end = set_end(m, p), *last = end - 1;
  *set = (byte_set){.at = p, .end = end};
  bool negated = p[1] == '^';
  for (p += negated ? 2 : 1; p < last; p++) {
    if (*p == ESCAPE) {
      add_class(set->bits, *++p);
    } else if (p[1] == '-' && p + 2 < last) {
      add_range(set->bits, (unsigned char)p[0], (unsigned char)p[2]);
      p += 2;
    } else {
      add_range(set->bits, (unsigned char)*p, (unsigned char)*p);
    }
  }
  for (int i = 0; i < 4 && negated; i++) set->bits[i] = ~set->bits[i];
}

static const byte_set* set_at(matcher* m, const char* p) {
  unsigned kept = m->sets_met < SETS ? m->sets_met : SETS;
  for (unsigned i = 0; i < kept; i++)
    if (m->sets[i].at == p) return &m->sets[i];
  byte_set* set = &m->sets[m->sets_met % SETS];
  read_set(m, set, p);
  m->sets_met++;
  return set;
}

/* ---- Items that take one byte ---------------------------------------------------------------- */

static inline item item_at(matcher* m, const char* p) {
  switch (*p) {
    case '.':
      return (item){.kind = ANY, .end = p + 1};
    case '[': {
      const byte_set* set = set_at(m, p);
      return (item){.kind = SET, .set = set->bits, .end = set->end};
    }
    case ESCAPE: {
      if (p + 1 == m->pattern_end) luaL_error(m->paid.L, "malformed pattern (ends with '%%')");
      const uint64_t* class = class_of(p[1]);
      if (class == NULL) return (item){.kind = BYTE, .byte = p[1], .end = p + 2};
      return (item){.kind = SET, .set = class, .negated = is_upper(p[1]), .end = p + 2};
    }
    default:
      return (item){.kind = BYTE, .byte = *p, .end = p + 1};
  }
}

static inline bool in_set(const item* i, char c) {
  unsigned char b = (unsigned char)c;
  return (i->set[b / 64u] >> b % 64u & 1) != i->negated;
}

static inline bool takes(const item* i, char c) {
  return i->kind == BYTE ? c == i->byte : i->kind == ANY || in_set(i, c);
}

static const char* byte_find(const char* s, const char* end, char byte) {
  if (s == end || *s == byte) return s;
  const char* found = memchr(s, byte, (size_t)(end - s));
  return found != NULL ? found : end;
}

/* The first place in [s, end) whose byte the item takes, or does not take; `end`: there is none. */
static const char* window_find(const item* i, const char* s, const char* end, bool taken) {
  switch (i->kind) {
    case BYTE:
      if (taken) return byte_find(s, end, i->byte);
      while (s < end && *s == i->byte) s++;
      break;
    case ANY:
      if (!taken) s = end;
      break;
    case SET:
      while (s < end && in_set(i, *s) != taken) s++;
      break;
  }
  return s;
}

/* The same for the text from s on. */
static const char* text_find(matcher* m, const item* i, const char* s, bool taken) {
  bool at_once = i->kind == ANY || (i->kind == BYTE && taken);
  for (;;) {
    const char *from = s, *stop = m->end - s > WINDOW ? s + WINDOW : m->end;
    s = window_find(i, s, stop, taken);
    pay(&m->paid, (size_t)(s - from) / (at_once ? BYTES_OF_STEP : BYTES_LOOKED_AT));
    if (s < stop || stop == m->end) return s;
  }
}

/* ---- Choices --------------------------------------------------------------------------------- */

/* What was chosen, and how else it can be. */
typedef struct choice {
  enum {
    OPENED, /* a capture: not otherwise */
    CLOSED, /* capture `number`: not otherwise */
    TAKEN,  /* a byte that may be: the item behind it at p, without the byte at s */
    LONG,   /* bytes up to s: one less, but not less than up to `least`; the item behind at p */
    SHORT   /* bytes up to s: one more of the item at p */
  } kind;
  int number;
  const char *s, *least, *p;
} choice;

/* The pattern from p on is to match from s on. */
typedef struct path {
  const char *s, *p;
  choice* top;
  choice stack[DEPTH - 1];
} path;

static inline void choose(matcher* m, path* w, choice made) {
  if (w->top == w->stack + DEPTH - 1) luaL_error(m->paid.L, "pattern too complex");
  *w->top++ = made;
}

/* Another way on from the last choice that has one; false: there is none. Not paid: each way on is
** a step, and each choice that is dropped was one. */
static bool retry(matcher* m, path* w) {
  while (w->top > w->stack) {
    choice* c = w->top - 1;
    switch (c->kind) {
      case OPENED:
        m->level--;
        break;
      case CLOSED:
        m->captures[c->number].length = CAPTURE_OPEN;
        break;
      case TAKEN:
        w->s = c->s;
        w->p = c->p;
        w->top--;
        return true;
      case LONG:
        if (c->s == c->least) break;
        w->s = --c->s;
        w->p = c->p;
        return true;
      case SHORT: {
        item i = item_at(m, c->p);
        if (c->s == m->end || !takes(&i, *c->s)) break;
        w->s = ++c->s;
        w->p = i.end + 1;
        return true;
      }
    }
    w->top--;
  }
  return false;
}

/* ---- Steps: an item of the pattern at w; false: it does not fit ------------------------------ */

static bool open_capture(matcher* m, path* w) {
  if (m->level == CAPTURES) luaL_error(m->paid.L, "too many captures");
  bool position = w->p[1] == ')';
  m->captures[m->level++] = (capture){w->s, position ? CAPTURE_POSITION : CAPTURE_OPEN};
  w->p += position ? 2 : 1;
  choose(m, w, (choice){.kind = OPENED});
  return true;
}

static bool close_capture(matcher* m, path* w) {
  int i = m->level - 1;
  while (i >= 0 && m->captures[i].length != CAPTURE_OPEN) i--;
  if (i < 0) luaL_error(m->paid.L, "invalid pattern capture");
  m->captures[i].length = w->s - m->captures[i].start;
  w->p++;
  choose(m, w, (choice){.kind = CLOSED, .number = i});
  return true;
}

/* %1 to %9: what that capture has. */
static bool same_as_capture(matcher* m, path* w) {
  int i = w->p[1] - '1';
  if (i < 0 || i >= m->level || m->captures[i].length == CAPTURE_OPEN)
    luaL_error(m->paid.L, "invalid capture index %%%d", i + 1);
  const capture* c = &m->captures[i];
  size_t length = (size_t)c->length; /* of a position: more than any text */
  if ((size_t)(m->end - w->s) < length || !equal_bytes(&m->paid, c->start, w->s, length))
    return false;
  w->s += length;
  w->p += 2;
  return true;
}

/* %bxy: from an x to the y that balances it. */
static bool balanced(matcher* m, path* w) {
  if (w->p + 3 >= m->pattern_end)
    luaL_error(m->paid.L, "malformed pattern (missing arguments to '%%b')");
  char open = w->p[2], close = w->p[3];
  const char* s = w->s;
  if (s == m->end || *s != open) return false;
  for (size_t depth = 1; depth > 0;) {
    if (++s == m->end) return false;
    if ((s - w->s) % BYTES_LOOKED_AT == 0) pay(&m->paid, 1);
    if (*s == close)
      depth--;
    else if (*s == open)
      depth++;
  }
  w->s = s + 1;
  w->p += 4;
  return true;
}

/* %f[set]: between a byte that is not in the set and one that is; around the text are zeros. */
static bool frontier(matcher* m, path* w) {
  const char* p = w->p + 2;
  if (*p != '[') luaL_error(m->paid.L, "missing '[' after '%%f' in pattern");
  item i = item_at(m, p);
  if (takes(&i, w->s == m->text ? '\0' : w->s[-1]) || !takes(&i, *w->s)) return false;
  w->p = i.end;
  return true;
}

/* One byte, or a number of them if a repetition follows. */
static inline bool bytes(matcher* m, path* w) {
  item i = item_at(m, w->p);
  const char* s = w->s;
  bool fits = s < m->end && takes(&i, *s);
  switch (*i.end) {
    case '?':
      if (fits) choose(m, w, (choice){.kind = TAKEN, .s = w->s++, .p = i.end + 1});
      break;
    case '+':
      if (!fits) return false;
      s++;
      /* fall through */
    case '*':
      if (!fits) break;
      w->s = text_find(m, &i, s, false);
      choose(m, w, (choice){.kind = LONG, .s = w->s, .least = s, .p = i.end + 1});
      break;
    case '-':
      if (fits) choose(m, w, (choice){.kind = SHORT, .s = s, .p = w->p});
      break;
    default:
      w->s++;
      w->p = i.end;
      return fits;
  }
  w->p = i.end + 1;
  return true;
}

static inline bool step(matcher* m, path* w) {
  char next = w->p[1];
  switch (*w->p) {
    case '(':
      return open_capture(m, w);
    case ')':
      return close_capture(m, w);
    case '$':
      if (w->p + 1 != m->pattern_end) break;
      w->p++;
      return w->s == m->end;
    case ESCAPE:
      if (next == 'b') return balanced(m, w);
      if (next == 'f') return frontier(m, w);
      if (is_digit(next)) return same_as_capture(m, w);
      break;
  }
  return bytes(m, w);
}

static const char* match(matcher* m, const char* s) {
  path w;
  w.s = s;
  w.p = m->pattern;
  w.top = w.stack;
  m->level = 0;
  while (w.p != m->pattern_end) {
    pay(&m->paid, 1);
    if (!step(m, &w) && !retry(m, &w)) return NULL;
  }
  return w.s;
}

/* ---- Search ---------------------------------------------------------------------------------- */

/* Whether each match begins with a byte that one item takes, which is then `m->first`. An error in
** that item is raised here instead of by the first try. */
static bool begins_with_byte(matcher* m) {
  const char* p = m->pattern;
  while (*p == '(' && p - m->pattern < CAPTURES) p += p[1] == ')' ? 2 : 1;
  if (p == m->pattern_end || *p == '(' || *p == ')') return false;
  if (*p == '$' && p + 1 == m->pattern_end) return false;
  if (*p == ESCAPE && (p[1] == 'b' || p[1] == 'f' || is_digit(p[1]))) return false;
  m->first = item_at(m, p);
  if (m->first.kind == SET) {
    memcpy(m->first_set, m->first.set, sizeof m->first_set);
    m->first.set = m->first_set;
  }
  return *m->first.end != '?' && *m->first.end != '*' && *m->first.end != '-';
}

const char* pattern_search(matcher* m, const char* s, bool anchored, const char** start) {
  if (!m->prepared) m->skips = !anchored && begins_with_byte(m);
  m->prepared = true;
  for (;; s++) {
    if (m->skips && (s == m->end || !takes(&m->first, *s))) {
      s = text_find(m, &m->first, s, true);
      if (s == m->end) return NULL;
    }
    const char* end = match(m, s);
    if (end != NULL && end != m->last) {
      *start = s;
      return end;
    }
    if (s == m->end || anchored) return NULL;
  }
}
