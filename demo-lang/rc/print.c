/* rc/print.c: what tostring shows of values: expressions that make them, cut off after LONGEST
** bytes. Nothing is made in Lua's memory before the text is complete. */
#include <stdio.h>

#include "demo-lang/rc/value.h"

enum { LONGEST = 1000, LONGEST_BIG = 512 /* bits of a big integer inside */ };

/* Behind LONGEST bytes there is room for three dots. */
typedef struct printer {
  purse purse;
  size_t length;
  char text[LONGEST + 4];
} printer;

static bool is_full(const printer* p) { return p->length > LONGEST; }

static void print_bytes(printer* p, const char* s, size_t n) {
  if (is_full(p)) return;
  bool cut = n > LONGEST - p->length;
  if (cut) n = LONGEST - p->length;
  memcpy(p->text + p->length, s, n);
  p->length += n;
  if (!cut) return;
  memcpy(p->text + p->length, "...", 3);
  p->length += 3;
}

static void print_text(printer* p, const char* s) { print_bytes(p, s, strlen(s)); }

/* A byte inside of quotes. */
static void print_quoted(printer* p, unsigned char c) {
  char text[8];
  if (c == '"' || c == '\\')
    snprintf(text, sizeof text, "\\%c", c);
  else if (c == '\n')
    strcpy(text, "\\n");
  else
    snprintf(text, sizeof text, c < 32 || c == 127 ? "\\%03d" : "%c", c);
  print_text(p, text);
}

static void print_string(printer* p, const value* v) {
  const char* s;
  if (v->kind == ROPE) print_text(p, "rc.rope");
  print_text(p, "\"");
  for (size_t i = 0, n; !is_full(p) && (s = text_chunk(v, i, &n)) != NULL; i += n)
    for (size_t k = 0; k < n && !is_full(p); k++) print_quoted(p, (unsigned char)s[k]);
  print_text(p, "\"");
}

static void print_integer(printer* p, long long i) {
  char text[24];
  snprintf(text, sizeof text, "%lld", i);
  print_text(p, text);
}

/* As tostring does. */
static void print_float(printer* p, lua_Number x) {
  char text[32];
  snprintf(text, sizeof text, "%.14g", x);
  print_text(p, text);
  if (text[strspn(text, "-0123456789")] == '\0') print_text(p, ".0");
}

static void print_big(printer* p, rc_word w) {
  uint64_t bits = rc_big_bits(w);
  char text[48];
  if (bits > LONGEST_BIG) {
    snprintf(text, sizeof text, "rc.int(... of %llu bits)", (unsigned long long)bits);
    print_text(p, text);
    return;
  }
  rc_word digits = rc_big_format(w, 10);
  if (digits == NO_WORD) guest_no_memory(p->purse.L);
  print_text(p, "rc.int\"");
  print_bytes(p, rc_data(rc_to(digits)), rc_length(rc_to(digits)));
  print_text(p, "\"");
  rc_dec_word(digits);
}

static void print_value(printer* p, const value* v, int depth);

static void print_word(printer* p, rc_word w, int depth) {
  value v = value_of(w);
  print_value(p, &v, depth);
}

static void print_list(printer* p, rc_word list, int depth) {
  for (rc_word at = list_cells(list); at != RC_NIL && !is_full(p); at = rc_list_tail(at)) {
    if (at != list_cells(list)) print_text(p, ", ");
    print_word(p, rc_list_head(at), depth);
  }
}

static void print_vector(printer* p, rc_word v, int depth) {
  for (size_t i = 0; i < rc_vec_length(v) && !is_full(p); i++) {
    if (i > 0) print_text(p, ", ");
    print_word(p, rc_vec_get(v, i), depth);
  }
}

static void print_map(printer* p, rc_word m, int depth) {
  rc_word key, w;
  entries e = entries_of(m, depth);
  for (bool first = true; !is_full(p) && entries_next(&p->purse, &e, &key, &w); first = false) {
    print_text(p, first ? "[" : ", [");
    print_word(p, key, depth);
    print_text(p, "] = ");
    print_word(p, w, depth);
  }
}

static void print_collection(printer* p, const value* v, int depth) {
  static const char* const begins[] = {"rc.list{", "rc.vector{", "rc.map{"};
  print_text(p, begins[v->kind]);
  if (depth >= DEPTH)
    print_text(p, "...");
  else if (v->kind == LIST)
    print_list(p, v->word, depth + 1);
  else if (v->kind == VECTOR)
    print_vector(p, v->word, depth + 1);
  else
    print_map(p, v->word, depth + 1);
  print_text(p, "}");
}

static void print_value(printer* p, const value* v, int depth) {
  enum { STEPS_OF_VALUE = 8 };
  pay(&p->purse, STEPS_OF_VALUE);
  switch (v->kind) {
    case NIL:
      print_text(p, "nil");
      break;
    case BOOLEAN:
      print_text(p, v->boolean ? "true" : "false");
      break;
    case INTEGER:
      print_integer(p, v->integer);
      break;
    case FLOAT:
      print_float(p, v->number);
      break;
    case BIG:
      print_big(p, v->word);
      break;
    case STRING:
    case ROPE:
      print_string(p, v);
      break;
    default:
      print_collection(p, v, depth);
      break;
  }
}

/* Of a rope the bytes, of a big integer the digits, all of them. */
int value_tostring(lua_State* L) {
  value v;
  const handle* h = handle_check(L, 1, ANY_KIND);
  if (h->kind == ROPE) return rope_tostring(L);
  if (h->kind == BIG) return big_tostring(L);
  printer p = {.purse = purse_new(L)};
  value_at(L, 1, &v);
  print_value(&p, &v, 0);
  lua_pushlstring(L, p.text, p.length);
  return 1;
}
