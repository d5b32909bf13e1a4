/* string_cases.h: random arguments for each function of the string library. */
#ifndef STRING_CASES_H
#define STRING_CASES_H

#include "tests/lua/string_values.h"

/* ---- Random patterns: mostly right ones ------------------------------------------------------ */

static void add_class(value* v) {
  static const char letters[] = "acdglpsuwxzACDGLPSUWXZ.%-]^(bf01k";
  add_char(v, '%');
  add_char(v, letters[below(one_in(5) ? sizeof letters - 1 : 22)]);
}

static void add_set(value* v) {
  add_char(v, '[');
  if (one_in(3)) add_char(v, '^');
  if (one_in(15)) add_char(v, ']');
  for (size_t n = 1 + below(4); n > 0; n--) {
    char c = random_char();
    if (one_in(3)) {
      add_class(v);
    } else if (one_in(3)) {
      add_char(v, c);
      add_char(v, '-');
      add_char(v, one_in(3) ? random_char() : (char)(c + (char)below(20)));
    } else {
      add_char(v, c);
    }
  }
  if (!one_in(40)) add_char(v, ']');
}

static void add_item(value* v, size_t* repetitions) {
  switch (below(8)) {
    case 0:
      add_char(v, '.');
      break;
    case 1:
    case 2:
      add_class(v);
      break;
    case 3:
    case 4:
      add_set(v);
      break;
    default:
      add_char(v, "abcAB01 "[below(8)]);
  }
  if (*repetitions > 0 && one_in(2)) {
    add_char(v, "*+-?"[below(4)]);
    --*repetitions;
  }
}

static void add_special(value* v) {
  static const char* const specials[] = {"%b()",   "%b[]", "%baa", "%bab",   "%f[%w]", "%f[^a]",
                                         "%f[ab]", "%1",   "%2",   "%f",     "%b",     "%ba",
                                         "%9",     "^",    "$",    "%f[%z]", NULL};
  add(v, pick(specials));
}

static void mutate(value* v) {
  size_t at = v->length > 0 ? below(v->length) : 0;
  if (v->length == 0) return;
  switch (below(3)) {
    case 0:
      v->text[at] = "%[]()^$.*+-?a\0"[below(14)];
      break;
    case 1:
      memmove(v->text + at, v->text + at + 1, v->length - at - 1);
      v->length--;
      break;
    default:
      v->length = at;
  }
}

/* The repetitions in it are few: the time is a power of the text's length. */
static void make_pattern(value* v, size_t repetitions) {
  size_t open = 0;
  v->kind = STRING;
  if (one_in(5)) add_char(v, '^');
  for (size_t n = below(6) + one_in(2); n > 0; n--) {
    if (one_in(5)) {
      add_char(v, '(');
      open++;
    }
    if (one_in(12)) add(v, "()");
    if (one_in(8))
      add_special(v);
    else
      add_item(v, &repetitions);
    while (open > 0 && one_in(2)) {
      add_char(v, ')');
      open--;
    }
  }
  while (open-- > 0 && !one_in(30)) add_char(v, ')');
  if (one_in(6)) add_char(v, '$');
  if (one_in(12)) mutate(v);
}

/* More sets than the matcher keeps. */
static void make_sets(value* text, value* pattern) {
  for (size_t n = below(60); n > 0; n--) add_char(text, "aaabbbc"[below(7)]);
  for (size_t n = 6 + below(6); n > 0; n--)
    add(pattern, pick((const char* const[]){"[ab]", "[a]", "[^c]", "[%l]", NULL}));
  add(pattern, one_in(2) ? "[c]" : "[b]");
}

/* As many choices or captures as there can be, or some more or less. */
static void make_deep_match(void) {
  value *text = next_arg(), *pattern = next_arg();
  if (one_in(2)) {
    make_sets(text, pattern);
    return;
  }
  if (one_in(2)) {
    add(text, "aaa");
    for (size_t n = 28 + below(8); n > 0; n--) add(pattern, one_in(8) ? "()" : "(");
    add(pattern, one_in(2) ? "a" : "b");
    return;
  }
  size_t n = 190 + below(20);
  for (size_t i = 0; i < n; i++) {
    add(text, "a");
    add(pattern, i < 30 && one_in(4) ? "()a?" : "a?");
  }
}

/* A text and a pattern for it. */
static void make_match(void) {
  if (one_in(300)) {
    make_deep_match();
    return;
  }
  size_t length = one_in(100) ? 3000 : one_in(4) ? 200 : 25;
  make_text(next_arg(), length);
  if (one_in(30)) {
    value* text = &args[0];
    text->length = 0;
    for (size_t n = below(400); n > 0; n--) add(text, "a");
  }
  make_pattern(next_arg(), args[0].length > 400 ? 1 : args[0].length > 40 ? 2 : 4);
}

/* ---- Random formats -------------------------------------------------------------------------- */

static void add_conversion(value* v, char c) {
  add_char(v, '%');
  while (one_in(3)) add_char(v, "-+ #0"[below(5)]);
  if (one_in(4)) add_number(v, below(one_in(5) ? 150 : 30));
  if (one_in(4)) {
    add_char(v, '.');
    if (!one_in(4)) add_number(v, below(one_in(5) ? 120 : 25));
  }
  if (one_in(100)) add(v, "....................");
  add_char(v, c);
}

static void make_format(void) {
  value* format = next_arg();
  make_text(format, 3);
  for (size_t n = below(4); n > 0; n--) {
    char c = "ddixXoucsssqqgGeEfaApFy%"[below(24)];
    value* v;
    if (one_in(3)) {
      add_char(format, '%');
      add_char(format, c);
    } else
      add_conversion(format, c);
    if (one_in(4)) make_text(format, 3);
    if (c == '%') continue;
    v = next_arg();
    switch (c) {
      case 's':
      case 'q':
        if (one_in(2))
          make_text(v, one_in(4) ? 200 : 20);
        else
          make_any(v);
        break;
      case 'c':
        make_integer(v);
        if (one_in(2)) v->integer = (lua_Integer)below(256);
        break;
      case 'p':
        make_any(v);
        break;
      default:
        if (one_in(2))
          make_integer(v);
        else
          make_float(v);
        if (one_in(20)) make_any(v);
    }
  }
}

/* An address is another text in each state: without those that would be shown. */
static void hide_addresses(void) {
  bool pointers = memchr(args[0].text, 'p', args[0].length) != NULL;
  for (size_t i = 1; i < nargs; i++) {
    value* v = &args[i];
    if (pointers && (v->kind == STRING || v->kind == OBJECT)) v->kind = NIL;
    if (v->kind == OBJECT && v->integer < TEXT_OBJECT) v->integer = TEXT_OBJECT;
  }
}

/* ---- Random layouts -------------------------------------------------------------------------- */

static void add_option(value* v, char c, bool values) {
  add_char(v, c);
  if (strchr("iIs!", c) != NULL && one_in(2)) add_number(v, below(one_in(5) ? 20 : 9));
  if (c == 'c' && !one_in(10))
    add_number(v, !values && one_in(50) ? (one_in(3) ? 2147483647 : 2147483639) : below(12));
  if (one_in(300) && !(c == 'c' && values)) add(v, "99999999999999");
}

static void make_layout(bool values) {
  value* layout = next_arg();
  layout->kind = STRING;
  if (one_in(2)) add(layout, pick((const char* const[]){"<", ">", "=", "!", "!2", "!4 ", NULL}));
  for (size_t n = below(6); n > 0; n--) {
    char c = "bBhHlLjJTiIiIfdnsszzcx X<>=!"[below(28)];
    if (one_in(60)) c = random_char();
    add_option(layout, c, values);
    if (!values || nargs == ARGS || strchr("bBhHlLjJTiIfdnszc", c) == NULL) continue;
    value* v = next_arg();
    if (strchr("fdn", c) != NULL)
      make_float(v);
    else if (strchr("szc", c) != NULL)
      make_text(v, one_in(10) ? 300 : 10);
    else
      make_integer(v);
    if (one_in(40)) make_any(v);
  }
}

/* Data as pack makes them, so that some can be unpacked; or anything. */
static void make_unpack(void) {
  make_layout(true);
  lua_State* L = states[0];
  size_t n = nargs;
  value data = {.kind = NIL};
  lua_getglobal(L, "string");
  lua_getfield(L, -1, "pack");
  for (size_t i = 0; i < n; i++) push_value(L, &args[i]);
  size_t length = 0;
  const char* s = NULL;
  if (lua_pcall(L, (int)n, 1, 0) == LUA_OK) s = lua_tolstring(L, -1, &length);
  nargs = 1;
  value* v = next_arg();
  v->kind = STRING;
  if (s != NULL && length < TEXT && !one_in(5)) {
    memcpy(v->text, s, length);
    v->length = length;
    if (length > 0 && one_in(4)) v->text[below(length)] = (char)below(256);
    if (length > 0 && one_in(8)) v->length = below(length);
  } else {
    for (size_t k = below(40); k > 0; k--) add_char(v, one_in(3) ? '\0' : (char)below(256));
  }
  (void)data;
  lua_settop(L, 0);
  if (one_in(3)) make_position(next_arg(), v->length);
}

/* ---- The functions --------------------------------------------------------------------------- */

static void make_part(void) {
  make_text(next_arg(), 30);
  if (!one_in(8)) make_position(next_arg(), args[0].length);
  if (one_in(2)) make_position(next_arg(), args[0].length);
}

static void make_chars(void) {
  for (size_t n = below(ARGS); n > 0; n--) {
    value* v = next_arg();
    v->kind = INTEGER;
    v->integer = (lua_Integer)below(256);
    if (one_in(30)) make_integer(v);
  }
}

static void make_whole(void) { make_text(next_arg(), one_in(10) ? 3000 : 60); }

static void make_rep(void) {
  static const lua_Integer counts[] = {-1, LUA_MAXINTEGER, LUA_MININTEGER, 1LL << 31, 1LL << 40};
  make_text(next_arg(), 12);
  value* n = next_arg();
  n->kind = INTEGER;
  n->integer = (lua_Integer)below(one_in(10) ? 300 : 8);
  if (one_in(10)) n->integer = counts[below(5)];
  if (one_in(2)) make_text(next_arg(), 4);
}

static void make_find(void) {
  make_match();
  if (one_in(3)) make_position(next_arg(), args[0].length);
  if (nargs == 3 && one_in(3)) next_arg()->kind = one_in(3) ? FALSE : TRUE;
  if (one_in(5)) { /* part of the text, which is plain more often */
    value *text = &args[0], *part = &args[1];
    size_t at = below(text->length + 1);
    part->length = below(text->length - at + 1);
    memcpy(part->text, text->text + at, part->length);
  }
}

static void make_gmatch(void) {
  make_match();
  if (one_in(3)) make_position(next_arg(), args[0].length);
}

static void make_gsub(void) {
  make_match();
  value* v = next_arg();
  if (one_in(2)) {
    v->kind = OBJECT;
    v->integer = 1 + (lua_Integer)below(OBJECTS - 2);
  } else {
    v->kind = STRING;
    for (size_t n = below(5); n > 0; n--) {
      if (one_in(2))
        add_char(v, random_char());
      else if (!one_in(10)) {
        add_char(v, '%');
        add_char(v, "0112%9x"[below(one_in(10) ? 7 : 4)]);
      }
    }
  }
  if (one_in(4)) make_position(next_arg(), 5);
}

static void make_dump(void) {
  value* v = next_arg();
  v->kind = OBJECT;
  v->integer = 1 + (lua_Integer)below(FUNCTIONS_OF_SETUP);
  if (one_in(4)) v->kind = TRUE;
  if (one_in(2)) next_arg()->kind = one_in(2) ? TRUE : FALSE;
}

static void make_operands(void) {
  value* operation = next_arg();
  operation->kind = INTEGER;
  operation->integer = 1 + (lua_Integer)below(8);
  for (size_t n = 0; n < 2; n++) {
    if (one_in(3))
      make_any(next_arg());
    else
      make_numeral(next_arg());
  }
}

static void make_pack(void) { make_layout(true); }
static void make_packsize(void) { make_layout(false); }

static const struct function {
  const char* name;
  void (*make)(void);
} functions[] = {{"byte", make_part},     {"char", make_chars},    {"dump", make_dump},
                 {"find", make_find},     {"format", make_format}, {"gmatch", make_gmatch},
                 {"gsub", make_gsub},     {"len", make_whole},     {"lower", make_whole},
                 {"match", make_gmatch},  {"pack", make_pack},     {"packsize", make_packsize},
                 {"rep", make_rep},       {"reverse", make_whole}, {"sub", make_part},
                 {"unpack", make_unpack}, {"upper", make_whole},   {"arithmetic", make_operands}};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

#endif
