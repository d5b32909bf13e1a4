/* string_random.c: the guest's string library against the system's: random calls, equal results or
** equal messages.
**
**     string_random [CASES [SEED [NAME]]]
**
** CASES calls of each function (of that one only), and of the arithmetic of strings, in two states: one of the
** standalone Lua, one of a guest. What is passed and what comes back is compared byte by byte. */
#include "tests/lua/string_cases.h"

enum { REPORT = 20000 };

/* ---- One call, and what it gave -------------------------------------------------------------- */

typedef struct report {
  size_t length;
  char text[REPORT];
} report;

static void tell(report* r, const char* s, size_t n) {
  if (n > REPORT - 1 - r->length) n = REPORT - 1 - r->length;
  memcpy(r->text + r->length, s, n);
  r->length += n;
}

static void tell_value(report* r, lua_State* L, int index) {
  char text[64];
  size_t n;
  const char* s = lua_typename(L, lua_type(L, index));
  tell(r, s, strlen(s));
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      s = lua_tolstring(L, index, &n);
      snprintf(text, sizeof text, " %zu ", n);
      tell(r, text, strlen(text));
      tell(r, s, n);
      break;
    case LUA_TBOOLEAN:
      tell(r, lua_toboolean(L, index) ? " true" : " false", 5);
      break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index))
        snprintf(text, sizeof text, " %lld", lua_tointeger(L, index));
      else
        snprintf(text, sizeof text, " %a", lua_tonumber(L, index));
      tell(r, text, strlen(text));
      break;
  }
  tell(r, "\n", 1);
}

static void call(lua_State* L, const char* name, size_t form, report* r) {
  r->length = 0;
  lua_settop(L, 0);
  luaL_checkstack(L, 2000, NULL);
  lua_getglobal(L, "call");
  lua_getfield(L, -1, name);
  lua_geti(L, -1, (lua_Integer)form);
  lua_replace(L, 1);
  lua_settop(L, 1);
  for (size_t i = 0; i < nargs; i++) push_value(L, &args[i]);
  int status = lua_pcall(L, (int)nargs, LUA_MULTRET, 0);
  tell(r, status == LUA_OK ? "results\n" : "error\n", status == LUA_OK ? 8 : 6);
  for (int i = 1; i <= lua_gettop(L); i++) tell_value(r, L, i);
  lua_settop(L, 0);
}

static void make_call(const struct function* f) {
  nargs = 0;
  f->make();
  if (one_in(12) && nargs > 0) make_any(&args[below(nargs)]);
  if (one_in(20)) nargs = below(nargs + 1);
  if (one_in(30) && nargs < ARGS) make_any(next_arg());
  if (f->make == make_format && nargs > 0) hide_addresses();
}

static void show(const char* what, const char* s, size_t n) {
  printf("  %s", what);
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c == '\\' || c < ' ' || c > 126)
      printf("\\%03d", c);
    else
      putchar(c);
  }
  putchar('\n');
}

/* A call of rep that would not end soon, or need much memory; too large a result is an error. */
static bool is_too_long(const struct function* f) {
  if (strcmp(f->name, "rep") != 0 || nargs < 2 || args[0].kind != STRING) return false;
  bool empty = args[0].length == 0 && (nargs < 3 || args[2].kind != STRING || args[2].length == 0);
  const value* n = &args[1];
  if (n->kind != INTEGER) return n->kind != NIL;
  return n->integer > 300 && (empty || n->integer < 1LL << 31);
}

/* The same call in both states; false: it differs. */
static bool compare(const struct function* f) {
  static report reports[2];
  make_call(f);
  if (is_too_long(f)) return true;
  size_t form = 1 + below(3);
  for (int i = 0; i < 2; i++) call(states[i], f->name, form, &reports[i]);
  if (reports[0].length == reports[1].length &&
      memcmp(reports[0].text, reports[1].text, reports[0].length) == 0)
    return true;
  printf("different: string.%s, form %zu, with\n", f->name, form);
  report passed = {0};
  for (size_t i = 0; i < nargs; i++) {
    push_value(states[0], &args[i]);
    tell_value(&passed, states[0], -1);
  }
  show("", passed.text, passed.length);
  show("expected: ", reports[0].text, reports[0].length);
  show("seen:     ", reports[1].text, reports[1].length);
  return false;
}

static void prepare(lua_State* L) {
  lua_createtable(L, FUNCTIONS, 0);
  for (int i = 0; i < FUNCTIONS - 1; i++) {
    lua_pushstring(L, functions[i].name);
    lua_seti(L, -2, i + 1);
  }
  lua_setglobal(L, "names");
  if (luaL_loadbuffer(L, setup, sizeof setup - 1, "=setup") != LUA_OK ||
      lua_pcall(L, 0, 0, 0) != LUA_OK) {
    printf("%s\n", lua_tostring(L, -1));
    exit(1);
  }
}

int main(int argc, char** argv) {
  size_t cases = argc > 1 ? strtoull(argv[1], NULL, 0) : 10000;
  uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 20221;
  slua_config config = {0};
  static guest g;
  size_t passed = 0, failed = 0;
  if (!guest_open(&g, &config)) return 1;
  states[0] = luaL_newstate();
  luaL_openlibs(states[0]);
  states[1] = g.L;
  guest_open_libraries(g.L);
  for (int i = 0; i < 2; i++) prepare(states[i]);
  for (size_t k = 0; k < FUNCTIONS; k++) {
    if (argc > 3 && strcmp(argv[3], functions[k].name) != 0) continue;
    state_of_rnd = (first + k) * 0x9E3779B97F4A7C15u | 1;
    bool equal = true;
    for (size_t i = 0; i < cases && equal; i++) equal = compare(&functions[k]);
    if (equal)
      passed++;
    else
      failed++;
  }
  if (failed > 0) printf("seed %llu\n", (unsigned long long)first);
  lua_close(states[0]);
  guest_end(&g);
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed > 0;
}
