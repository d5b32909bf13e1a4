/* states.c: what a Lua state costs to make, to have and to close: many alive at once, here and as
** luaL_newstate with malloc.
**   states [REPEATABLE [OTHERS]]   how many: 16000 and 100000 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "demo-lang/slua.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double resident(void) {
  size_t pages = 0;
  FILE* f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%*u %zu", &pages) != 1) abort();
  fclose(f);
  return (double)pages * 4096;
}

static void* check(void* p) {
  if (p == NULL) fprintf(stderr, "no memory\n"), exit(1);
  return p;
}

/* What a state holds when it is used a little. */
static const char work[] = "local t = {} for i = 1, 500 do t[i] = {i, 'text' .. i} end kept = t";

static void print(const char* name, int n, double make, double asked, double has, double close) {
  printf("%-32s %7d %9.1f %9.1f %9.1f %9.2f\n", name, n, make / n, asked / n / 1024, has / n / 1024,
         close / n);
}

static void ours(const char* name, int n, bool repeatable, bool used) {
  const slua_config config = {
      .limits.compact = true, .repeatable = repeatable, .may = SLUA_MAY_FILES | SLUA_MAY_ASK};
  slua** s = check(calloc((size_t)n, sizeof *s));
  double asked = 0, has = resident(), make = now();
  for (int i = 0; i < n; i++) {
    s[i] = check(slua_new(&config));
    if (used && slua_run(s[i], work, sizeof work - 1, "=work") != SLUA_OK) exit(1);
  }
  make = now() - make;
  has = resident() - has;
  for (int i = 0; i < n; i++) asked += (double)rt_bytes(slua_task(s[i]));
  double close = now();
  for (int i = 0; i < n; i++) slua_close(s[i]);
  print(name, n, make, asked, has, now() - close);
  free(s);
}

static void theirs(const char* name, int n, bool used) {
  lua_State** s = check(calloc((size_t)n, sizeof *s));
  double asked = 0, has = resident(), make = now();
  for (int i = 0; i < n; i++) {
    luaL_openlibs(s[i] = check(luaL_newstate()));
    if (used && luaL_dostring(s[i], work)) exit(1);
  }
  make = now() - make;
  has = resident() - has;
  for (int i = 0; i < n; i++)
    asked += lua_gc(s[i], LUA_GCCOUNT) * 1024. + lua_gc(s[i], LUA_GCCOUNTB);
  double close = now();
  for (int i = 0; i < n; i++) lua_close(s[i]);
  print(name, n, make, asked, has, now() - close);
  free(s);
}

int main(int argc, char** argv) {
  int repeatable = argc > 1 ? atoi(argv[1]) : 16000, others = argc > 2 ? atoi(argv[2]) : 100000;
  printf("%-32s %7s %9s %9s %9s %9s\n", "states alive at once", "number", "make us", "asked KB",
         "has KB", "close us");
  theirs("luaL_newstate, malloc", others, false);
  ours("slua", others, false, false);
  ours("slua, repeatable", repeatable, true, false);
  theirs("luaL_newstate, used", others / 10, true);
  ours("slua, used", others / 10, false, true);
  ours("slua, repeatable, used", repeatable / 10, true, true);
  return 0;
}
