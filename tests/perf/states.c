/* states.c: what a Lua state costs to make, to have and to close, here and as luaL_newstate with malloc: many
** that are alive at once, and one after the other. Times are processor time, without that of asking for it.
** Each line is a process of its own, after another one that has touched as much memory: what a virtual machine
** touches for the first time costs it several times as much, and is not the subject here.
**   states [REPEATABLE [OTHERS]]   how many: 16000 and 100000 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "demo-lang/slua.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* What it takes to look at the clock. */
static double looking(void) {
  enum { LOOKS = 1000 };
  double since = now();
  for (int i = 0; i < LOOKS; i++) now();
  return (now() - since) / LOOKS;
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

static void* open_ours(int repeatable) {
  const slua_config config = {
      .limits.compact = true, .repeatable = repeatable != 0, .may = SLUA_MAY_FILES | SLUA_MAY_ASK};
  return check(slua_new(&config));
}
static void use_ours(void* s) {
  if (slua_run(s, work, sizeof work - 1, "=work") != SLUA_OK) exit(1);
}
static double asked_ours(void* s) { return (double)rt_bytes(slua_task(s)); }
static void close_ours(void* s) { slua_close(s); }

static void* open_theirs(int unused) {
  (void)unused;
  lua_State* L = check(luaL_newstate());
  luaL_openlibs(L);
  return L;
}
static void use_theirs(void* L) {
  if (luaL_dostring(L, work)) exit(1);
}
static double asked_theirs(void* L) {
  return lua_gc(L, LUA_GCCOUNT) * 1024. + lua_gc(L, LUA_GCCOUNTB);
}
static void close_theirs(void* L) { lua_close(L); }

typedef struct kind {
  const char* name;
  void* (*open)(int repeatable);
  void (*use)(void*);
  double (*asked)(void*);
  void (*close)(void*);
} kind;
static const kind ours = {"slua", open_ours, use_ours, asked_ours, close_ours};
static const kind theirs = {"luaL_newstate", open_theirs, use_theirs, asked_theirs, close_theirs};

static void at_once(kind k, int n, int repeatable, bool used) {
  void** s = check(calloc((size_t)n, sizeof *s));
  double asked = 0, has = resident(), make = now();
  for (int i = 0; i < n; i++) {
    s[i] = k.open(repeatable);
    if (used) k.use(s[i]);
  }
  make = now() - make;
  has = resident() - has;
  for (int i = 0; i < n; i++) asked += k.asked(s[i]);
  double close = now();
  for (int i = 0; i < n; i++) k.close(s[i]);
  close = now() - close;
  printf("%9.1f %9.1f %9.1f %9.2f\n", make / n, asked / n / 1024, has / n / 1024, close / n);
}

static void in_turn(kind k, int n, int repeatable, bool used) {
  double make = 0, close = 0, look = looking();
  for (int i = 0; i < n; i++) {
    double t = now();
    void* s = k.open(repeatable);
    if (used) k.use(s);
    make += now() - t;
    t = now();
    k.close(s);
    close += now() - t;
  }
  printf("%9.1f %9s %9s %9.2f\n", make / n - look, "", "", close / n - look);
}

static void in_process(void (*f)(const void*), const void* arg) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    f(arg);
    fflush(stdout);
    _exit(0);
  }
  int status = 1;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) exit(1);
}

static void touch(const void* size) {
  size_t bytes = *(const size_t*)size, huge = 2 << 20;
  char* p = check(aligned_alloc(huge, (bytes + huge - 1) & ~(huge - 1)));
  madvise(p, bytes, MADV_HUGEPAGE);
  for (size_t i = 0; i < bytes; i += 4096) p[i] = 1;
}

typedef struct job {
  void (*measure)(kind, int, int, bool);
  kind k;
  int n, repeatable;
  bool used;
} job;
static void work_off(const void* arg) {
  const job* j = arg;
  j->measure(j->k, j->n, j->repeatable, j->used);
}

static void line(void (*measure)(kind, int, int, bool), kind k, int n, int repeatable, bool used) {
  const size_t each = used ? 160 << 10 : 48 << 10,
               bytes = measure == at_once ? (size_t)n * each : each;
  const job j = {measure, k, n, repeatable, used};
  printf("%-14s%-12s%-6s%8d ", k.name, repeatable ? "repeatable" : "", used ? "used" : "", n);
  in_process(touch, &bytes);
  in_process(work_off, &j);
}

static void lines(const char* title, void (*measure)(kind, int, int, bool), int repeatable,
                  int others) {
  printf("%-32s%8s %9s %9s %9s %9s\n", title, "number", "make us", "asked KB", "has KB",
         "close us");
  for (int used = 0; used < 2; used++) {
    int part = used ? 10 : 1;
    line(measure, theirs, others / part, 0, used);
    line(measure, ours, others / part, 0, used);
    line(measure, ours, repeatable / part, 1, used);
  }
}

int main(int argc, char** argv) {
  int repeatable = argc > 1 ? atoi(argv[1]) : 16000, others = argc > 2 ? atoi(argv[2]) : 100000;
  lines("alive at once", at_once, repeatable, others);
  lines("one after the other", in_turn, repeatable, others);
  return 0;
}
