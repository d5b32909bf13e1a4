/* libs_random.c: the guest's base, table, utf8 and coroutine libraries against the system's: random
** calls, equal results, equal messages, equal effects on what was passed.
**
**     libs_random [CASES [SEED]]
**
** CASES calls of each function, in two states: one of the standalone Lua, one of a guest. A value is
** given by a kind and a number, from which both states make it; after the call all that was passed
** and all that came back is compared, addresses in texts left out. */
#include <math.h>

#include "demo-lang/guest.h"
#include "tests/lua/libs_cases.h"
#include "tests/tools.h"

enum { ARGS = 8, LONGEST = 400 };

static lua_State* states[2]; /* the system's, ours */
static uint64_t state_of_rnd;
static size_t below(size_t n) { return (size_t)rnd_from(&state_of_rnd, n); }
static bool one_in(size_t n) { return below(n) == 0; }

/* ---- Random values --------------------------------------------------------------------------- */

typedef struct value {
  char kind;
  uint64_t number;
} value;

static const char* const texts[] = {
    "",     "a",  "text",
    ", ",   "%d", "0x10",
    "a\0b", "#",  "#!",
    "=x",   "@y", "a long text, which is not kept as short strings are, and so compared by bytes"};
static const char* const numerals[] = {"10",
                                       "-7",
                                       "  12  ",
                                       "0x1F",
                                       "1e2",
                                       "0x1p4",
                                       "1.5",
                                       "z",
                                       "-zZ",
                                       "7f",
                                       "+5",
                                       "- 5",
                                       "",
                                       "  ",
                                       "1e",
                                       "0x",
                                       "inf",
                                       "nan",
                                       "9223372036854775808",
                                       "1 2",
                                       "\t8\n",
                                       "1_0",
                                       "-0x8p",
                                       "12345678901234567890123",
                                       "1e308",
                                       "1e999",
                                       ".5",
                                       "5."};
static const char* const modes[] = {"t", "b", "bt", "", "x", "tb"};
static const char* const sources[] = {"return 1 + 2",
                                      "x =",
                                      "return ...",
                                      "",
                                      "goto a",
                                      "return a",
                                      "error('chunk')",
                                      "# no comment",
                                      "return {}",
                                      "local a <const> = 1 a = 2",
                                      "return function() end",
                                      "--[[",
                                      "x = 'a\nb'",
                                      "for i = 1, 2 do end return i",
                                      "\xFF"};
static const char* const options[] = {"stop",        "restart",    "collect",   "step",
                                      "setpause",    "setstepmul", "isrunning", "generational",
                                      "incremental", "none"};
static const lua_Integer edges[] = {LUA_MAXINTEGER,
                                    LUA_MININTEGER,
                                    LUA_MAXINTEGER - 1,
                                    LUA_MININTEGER + 1,
                                    INT32_MAX,
                                    INT32_MIN,
                                    UINT32_MAX,
                                    1 << 16,
                                    1000,
                                    -1000,
                                    0x10FFFF,
                                    0x110000,
                                    0xD800,
                                    0x7F,
                                    0x80,
                                    0x7FF,
                                    0x800,
                                    0x3FFFFFF};
static const double floats[] = {0.0, -0.0, 1.0, 2.5, -3.0, 1e15, 1e100, 0.1, 9223372036854775808.0};
static char files[8][64];

#define PICK(array, r) ((array)[rnd_from(&(r), sizeof(array) / sizeof((array)[0]))])

static void push(lua_State* L, char kind, uint64_t number, int depth);

/* made[kind][a random one] */
static void push_made(lua_State* L, char kind, uint64_t* r) {
  lua_getglobal(L, "made");
  lua_getfield(L, -1, (const char[]){kind, '\0'});
  lua_Integer n = luaL_len(L, -1);
  lua_geti(L, -1, (lua_Integer)rnd_from(r, (uint64_t)n) + 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* made[kind](below n, from 1) */
static void push_fresh(lua_State* L, char kind, uint64_t* r, unsigned n) {
  lua_getglobal(L, "made");
  lua_getfield(L, -1, (const char[]){kind, '\0'});
  lua_pushinteger(L, (lua_Integer)rnd_from(r, n) + 1);
  lua_call(L, 1, 1);
  lua_remove(L, -2);
}

/* Of one kind of elements or of several, with holes or without; long ones for sort. */
static void push_array(lua_State* L, uint64_t* r, int depth) {
  static const char kinds[] = "iiiidnssuIv";
  char kind = kinds[rnd_from(r, sizeof kinds - 1)];
  size_t n = rnd_from(r, rnd_from(r, 80) == 0 ? LONGEST : 9);
  bool holes = rnd_from(r, 6) == 0, order = rnd_from(r, 8) == 0;
  lua_createtable(L, rnd_from(r, 2) ? (int)n : 0, 0);
  for (size_t i = 1; i <= n; i++) {
    if (holes && rnd_from(r, 3) == 0) continue;
    if (order)
      lua_pushinteger(L, (lua_Integer)i);
    else
      push(L, kind, *r, depth + 1);
    rnd_from(r, 2);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  if (rnd_from(r, 6) != 0) return;
  for (size_t i = rnd_from(r, 5); i > 0; i--) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_rawseti(L, -2, (lua_Integer)rnd_from(r, 1000) - 300);
  }
}

static void push_utf8(lua_State* L, uint64_t* r) {
  static const char* const pieces[] = {"a",
                                       "\xC3\xA4",
                                       "\xE2\x82\xAC",
                                       "\xF0\x9F\x98\x80",
                                       "\xC3",
                                       "\x80",
                                       "\xC0\x80",
                                       "\xED\xA0\x80",
                                       "\xF4\x90\x80\x80",
                                       "\xF8\x88\x80\x80\x80",
                                       "\xFC\x84\x80\x80\x80\x80",
                                       "\xFD\xBF\xBF\xBF\xBF\xBF",
                                       "\xFE",
                                       "\xFF",
                                       "xyz",
                                       "\xE0\x80\x80",
                                       "\xF0\x80\x80\x80",
                                       "\xC1\xBF"};
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  bool valid = rnd_from(r, 2);
  for (size_t n = rnd_from(r, 9); n > 0; n--) {
    size_t i = rnd_from(r, valid ? 4 : sizeof pieces / sizeof pieces[0]);
    luaL_addstring(&b, pieces[i]);
    if (rnd_from(r, 30) == 0) luaL_addchar(&b, '\0');
  }
  luaL_pushresult(&b);
}

/* The value that this kind and this number stand for. */
static void push(lua_State* L, char kind, uint64_t number, int depth) {
  static const char any[] = "iiiIdnssuzzbbttTkfco", flat[] = "iiIdnsuzb";
  uint64_t r = number;
  rnd_from(&r, 2);
  if (kind == 'v')
    kind = depth > 1 ? flat[rnd_from(&r, sizeof flat - 1)] : any[rnd_from(&r, sizeof any - 1)];
  switch (kind) {
    case 'i':
      lua_pushinteger(L, (lua_Integer)rnd_from(&r, 20) - 5);
      break;
    case 'I':
      lua_pushinteger(L, PICK(edges, r));
      break;
    case 'd':
      lua_pushnumber(L, rnd_from(&r, 30) == 0 ? HUGE_VAL : PICK(floats, r));
      break;
    case 'n':
      lua_pushstring(L, PICK(numerals, r));
      break;
    case 's':
      lua_pushstring(L, PICK(texts, r));
      break;
    case 'm':
      lua_pushstring(L, PICK(modes, r));
      break;
    case 'S':
      lua_pushstring(L, PICK(sources, r));
      break;
    case 'g':
      lua_pushstring(L, PICK(options, r));
      break;
    case 'F':
      lua_pushstring(L, PICK(files, r));
      break;
    case 'u':
      push_utf8(L, &r);
      break;
    case 'b':
      lua_pushboolean(L, rnd_from(&r, 2) == 0);
      break;
    case 't':
      push_array(L, &r, depth);
      break;
    case 'T':
      if (rnd_from(&r, 6) == 0) {
        push_made(L, 'T', &r);
        push_array(L, &r, depth);
        lua_call(L, 1, 1);
      } else {
        push_array(L, &r, depth);
      }
      break;
    case 'h':
    case 'k':
    case 'f':
    case 'c':
      push_made(L, kind, &r);
      break;
    case 'r':
      push_fresh(L, 'r', &r, 11);
      break;
    case 'o':
      push_fresh(L, 'o', &r, 42);
      break;
    default:
      lua_pushnil(L);
  }
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* The same text but for addresses, "0x" and digits? */
static bool same_text(const char* a, const char* a_end, const char* b, const char* b_end) {
  static const char digits[] = "0123456789abcdef";
  for (;; a++, b++) {
    if (a == a_end || b == b_end) return a == a_end && b == b_end;
    if (*a != *b) return false;
    if (*a != 'x' || a_end - a < 8 || b_end - b < 8) continue;
    a += strspn(a + 1, digits);
    b += strspn(b + 1, digits);
  }
}

static bool same(lua_State* A, int a, lua_State* B, int b, int depth);

/* Has B's table the fields of A's? Keys that are objects count only. */
static bool same_fields(lua_State* A, int a, lua_State* B, int b, int depth) {
  bool result = true;
  size_t difference = 0;
  for (lua_pushnil(A); result && lua_next(A, a) != 0; difference++) {
    int type = lua_type(A, -2);
    if (type == LUA_TNUMBER && lua_isinteger(A, -2))
      lua_pushinteger(B, lua_tointeger(A, -2));
    else if (type == LUA_TNUMBER)
      lua_pushnumber(B, lua_tonumber(A, -2));
    else if (type == LUA_TSTRING)
      lua_pushlstring(B, lua_tostring(A, -2), lua_rawlen(A, -2));
    else if (type == LUA_TBOOLEAN)
      lua_pushboolean(B, lua_toboolean(A, -2));
    else {
      lua_pop(A, 1);
      continue;
    }
    lua_rawget(B, b);
    result = same(A, lua_gettop(A), B, lua_gettop(B), depth + 1);
    lua_pop(B, 1);
    lua_pop(A, 1);
  }
  if (!result) return lua_pop(A, 1), false;
  for (lua_pushnil(B); lua_next(B, b) != 0; lua_pop(B, 1)) difference--;
  return difference == 0;
}

static bool same(lua_State* A, int a, lua_State* B, int b, int depth) {
  enum { DEEPEST = 4 };
  int type = lua_type(A, a);
  size_t n, m;
  if (type != lua_type(B, b)) return false;
  switch (type) {
    case LUA_TBOOLEAN:
      return lua_toboolean(A, a) == lua_toboolean(B, b);
    case LUA_TNUMBER: {
      if (lua_isinteger(A, a) != lua_isinteger(B, b)) return false;
      if (lua_isinteger(A, a)) return lua_tointeger(A, a) == lua_tointeger(B, b);
      lua_Number x = lua_tonumber(A, a), y = lua_tonumber(B, b);
      return memcmp(&x, &y, sizeof x) == 0;
    }
    case LUA_TSTRING: {
      const char *x = lua_tolstring(A, a, &n), *y = lua_tolstring(B, b, &m);
      return (n == m && memcmp(x, y, n) == 0) || same_text(x, x + n, y, y + m);
    }
    case LUA_TTABLE:
      luaL_checkstack(A, 4, NULL);
      luaL_checkstack(B, 4, NULL);
      return depth >= DEEPEST || same_fields(A, a, B, b, depth);
    default:
      return true;
  }
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static char warned[2][1000], printed[2][4000];
static size_t printed_size[2];
static FILE* screens[2]; /* whose text goes there */

static ssize_t keep_printed(void* cookie, const char* text, size_t size) {
  size_t which = cookie == printed[1], room = sizeof printed[0] - printed_size[which];
  memcpy(printed[which] + printed_size[which], text, size < room ? size : room);
  printed_size[which] += size < room ? size : room;
  return (ssize_t)size;
}

static void keep_warning(void* text, const char* message, int continues) {
  if (strlen(text) + strlen(message) + 2 < sizeof warned[0])
    strcat(strcat(text, message), continues ? "" : "\n");
}

/* Would table.move walk through a large part of all integers? */
static bool is_endless(lua_State* L, const char* name, int n) {
  enum { MANY = 5000 };
  if (strcmp(name, "table.move") != 0 || n < 4) return false;
  lua_Integer from = lua_tointeger(L, 2), to = lua_tointeger(L, 3);
  return from <= to && (uint64_t)to - (uint64_t)from > MANY;
}

/* The arguments stay below what the call gives. */
static int call(int which, const char* name, size_t form, const value* args, int n) {
  lua_State* L = states[which];
  FILE* screen = stdout;
  stdout = screens[which];
  printed_size[which] = 0;
  lua_settop(L, 0);
  warned[which][0] = '\0';
  lua_getglobal(L, "made");
  lua_getfield(L, 1, "reset");
  lua_call(L, 0, 0);
  lua_settop(L, 0);
  for (int i = 0; i < n; i++) push(L, args[i].kind, args[i].number, 0);
  if (is_endless(L, name, n)) name = "type";
  lua_getglobal(L, "call");
  lua_getfield(L, -1, name);
  lua_geti(L, -1, (lua_Integer)form + 1);
  lua_replace(L, n + 1);
  lua_settop(L, n + 1);
  for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
  int status = lua_pcall(L, n, LUA_MULTRET, 0);
  fflush(stdout);
  stdout = screen;
  return status;
}

static bool is_the_same(int n, const int status[2]) {
  lua_State *A = states[0], *B = states[1];
  int top = lua_gettop(A);
  if (status[0] != status[1] || top != lua_gettop(B) || strcmp(warned[0], warned[1]) != 0)
    return false;
  if (!same_text(printed[0], printed[0] + printed_size[0], printed[1],
                 printed[1] + printed_size[1]))
    return false;
  (void)n;
  for (int i = 1; i <= top; i++)
    if (!same(A, i, B, i, 0)) return false;
  return true;
}

static void show(lua_State* L, int from, int to) {
  for (int i = from; i <= to; i++) {
    bool table = lua_istable(L, i) && !lua_getmetatable(L, i);
    if (table) {
      printf("{");
      for (lua_Integer k = 1; k <= luaL_len(L, i) && k < 20; k++) {
        lua_geti(L, i, k);
        printf("%s, ", lua_isstring(L, -1) ? lua_tostring(L, -1) : luaL_typename(L, -1));
        lua_pop(L, 1);
      }
      printf("} ");
    } else {
      printf("%s ", lua_isstring(L, i) ? lua_tostring(L, i) : luaL_typename(L, i));
    }
    lua_settop(L, lua_gettop(L) > to ? to : lua_gettop(L));
  }
  printf("\n");
}

static void report(const char* name, size_t form, int n, const int status[2], uint64_t seed_was) {
  printf("FAILED: %s, form %zu, seed %llu; arguments after the call, and results:\n", name, form,
         (unsigned long long)seed_was);
  for (int i = 0; i < 2; i++) {
    int top = lua_gettop(states[i]);
    printf("%s: status %d\n  ", i == 0 ? "Lua " : "ours", status[i]);
    show(states[i], n + 1, top);
    lua_settop(states[i], n);
    printf("  arguments: ");
    show(states[i], 1, n);
    printf("  printed: %.*s warned: %s\n", (int)printed_size[i], printed[i], warned[i]);
  }
}

static void run_text(lua_State* L, const char* text) {
  if (luaL_dostring(L, text)) printf("%s\n", lua_tostring(L, -1)), exit(2);
}

/* One call, whose values come from the seed alone; false: a difference. */
static bool run_case(const struct function* f, uint64_t seed_of_case) {
  value args[ARGS];
  int n = 0, status[2];
  state_of_rnd = seed_of_case;
  size_t form = one_in(5) ? 0 : 1 + below(2), optional = SIZE_MAX;
  for (const char* k = f->shape; *k != '\0' && n < ARGS; k++) {
    if (*k == '|') {
      optional = 0;
      continue;
    }
    if (optional == 0 && one_in(4)) break;
    if (optional != 0 && one_in(40)) break;
    rnd(2);
    args[n].kind = one_in(12) ? 'v' : *k;
    args[n++].number = below(SIZE_MAX >> 12) * 2 + 1;
  }
  if (n < ARGS && one_in(30)) args[n++] = (value){'v', below(SIZE_MAX >> 12) * 2 + 1};
  for (int i = 0; i < 2; i++) status[i] = call(i, f->name, form, args, n);
  bool ok = is_the_same(n, status);
  if (!ok) report(f->name, form, n, status, seed_of_case);
  if (strcmp(f->name, "collectgarbage") == 0)
    for (int i = 0; i < 2; i++)
      run_text(states[i], "collectgarbage('restart') collectgarbage('incremental', 200, 100, 13)");
  return ok;
}

/* ---- Setting up ------------------------------------------------------------------------------ */

static void make_files(const char* folder) {
  static const char* const contents[] = {
      "return 1, ...", "x =", "# comment\nreturn 2", "error('in file')", "\xEF\xBB\xBFreturn 3", "",
      "return a"};
  for (size_t i = 0; i < 8; i++) {
    snprintf(files[i], sizeof files[i], "%s/%zu.lua", folder, i);
    if (i == 7) break; /* one that is not there */
    FILE* f = fopen(files[i], "w");
    if (f == NULL || fputs(contents[i], f) < 0 || fclose(f) != 0) perror(files[i]), exit(2);
  }
}

static void prepare(lua_State* L) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < FUNCTIONS; i++) {
    luaL_addstring(&b, functions[i].name);
    luaL_addchar(&b, ' ');
  }
  luaL_pushresult(&b);
  lua_setglobal(L, "names");
  run_text(L, objects);
  run_text(L, makers);
  run_text(L, calls);
}

int main(int argc, char** argv) {
  size_t cases = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
  uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, failed = 0, passed = 0;
  char folder[] = "/tmp/libs_random.XXXXXX";
  static guest g;
  const slua_config config = {
      .may = SLUA_MAY_FILES | SLUA_MAY_TRACE, .repeatable = true, .counted = true};
  if (mkdtemp(folder) == NULL || !guest_open(&g, &config)) return 2;
  if (freopen("/dev/null", "r", stdin) == NULL) return 2;
  make_files(folder);
  states[0] = luaL_newstate();
  luaL_openlibs(states[0]);
  states[1] = g.L;
  g.stack = (uintptr_t)__builtin_frame_address(0); /* as in guest_call */
  guest_open_libraries(g.L);
  for (int i = 0; i < 2; i++) {
    prepare(states[i]);
    lua_setwarnf(states[i], keep_warning, warned[i]);
    screens[i] = fopencookie(printed[i], "w", (cookie_io_functions_t){.write = keep_printed});
    if (screens[i] == NULL) return 2;
  }
  g.out = screens[1];
  for (size_t f = 0; f < FUNCTIONS; f++) {
    size_t n = strcmp(functions[f].name, "collectgarbage") == 0 ? cases / 50 : cases, bad = 0;
    for (size_t i = 0; i < n && bad < 3; i++)
      if (!run_case(&functions[f], (first * 1000003 + i) * 64 + f + 1)) bad++;
    if (bad == 0) passed++;
    failed += bad;
  }
  for (size_t i = 0; i < 7; i++) remove(files[i]);
  rmdir(folder);
  printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
  return failed != 0;
}
