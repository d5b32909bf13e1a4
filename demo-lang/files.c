/* files.c: the library io of a guest: Lua's own, but a state knows the files that it has opened.
**
** A guest that was stopped is not entered again, not even by its finalizers; so what it left open is
** closed without it. Each file gets a way to be closed that takes it off the state's list. */
#include <stdlib.h>

#include "demo-lang/guest.h"

typedef struct guest_file {
  struct guest_file* next;
  FILE* file;
} guest_file;

/* The list's link that leads to the file; the last one if it is not there. */
static guest_file** find(guest* g, const FILE* file) {
  guest_file** at = &g->files;
  while (*at != NULL && (*at)->file != file) at = &(*at)->next;
  return at;
}

static void forget(guest_file** at) {
  guest_file* f = *at;
  *at = f->next;
  free(f);
}

void guest_close_files(guest* g) {
  while (g->files != NULL) {
    fclose(g->files->file);
    forget(&g->files);
  }
}

FILE* guest_open_file(lua_State* L, const char* name) {
  guest* g = guest_of(L);
  guest_file* f = malloc(sizeof *f);
  if (f == NULL) luaL_error(L, "not enough memory");
  *f = (guest_file){g->files, fopen(name, "r")};
  if (f->file != NULL) return (g->files = f)->file;
  free(f);
  return NULL;
}

int guest_close_file(lua_State* L, FILE* file) {
  guest_file** at = find(guest_of(L), file);
  if (*at != NULL) forget(at);
  return fclose(file);
}

/* luaL_Stream's closef, with the file as the first argument. */
static int close_file(lua_State* L) {
  FILE* file = ((luaL_Stream*)luaL_checkudata(L, 1, LUA_FILEHANDLE))->f;
  return luaL_fileresult(L, guest_close_file(L, file) == 0, NULL);
}

/* The value at index may be a file, which was opened just now. */
static void keep(lua_State* L, int index) {
  guest* g = guest_of(L);
  luaL_Stream* s = luaL_testudata(L, index, LUA_FILEHANDLE);
  if (s == NULL) return;
  guest_file* f = malloc(sizeof *f);
  if (f == NULL) luaL_error(L, "not enough memory");
  *f = (guest_file){g->files, s->f};
  g->files = f;
  s->closef = close_file;
}

static int opens(lua_State* L) {
  int results = guest_call_original(L);
  for (int i = 0; i < results; i++) keep(L, -1 - i);
  return results;
}

/* For input and output, which may be given a file that is open. */
static int opens_named(lua_State* L) {
  return lua_isstring(L, 1) ? opens(L) : guest_call_original(L);
}

/* What Lua refuses when it has opened the file. */
static int lines(lua_State* L) {
  enum { FORMATS = 250 };
  luaL_argcheck(L, lua_gettop(L) <= 1 + FORMATS, FORMATS + 2, "too many arguments");
  return opens(L);
}

/* A tick for each KiB, or 32 values; and for the call, which can be one of the system. */
static int writes(lua_State* L) {
  int n = lua_gettop(L);
  uint64_t bytes = 0;
  for (int i = 1; i <= n; i++)
    if (lua_type(L, i) == LUA_TSTRING) bytes += lua_rawlen(L, i);
  guest_tick(L, 1 + bytes / 1024 + (uint64_t)n / 32);
  return guest_call_original(L);
}

void guest_open_files(lua_State* L) {
  guest_wrap(L, LUA_IOLIBNAME, "open", opens);
  guest_wrap(L, LUA_IOLIBNAME, "tmpfile", opens);
  guest_wrap(L, LUA_IOLIBNAME, "input", opens_named);
  guest_wrap(L, LUA_IOLIBNAME, "output", opens_named);
  guest_wrap(L, LUA_IOLIBNAME, "lines", lines);
  if (!guest_of(L)->counted) return;
  guest_wrap(L, LUA_IOLIBNAME, "write", writes);
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_getfield(L, -1, "__index");
  guest_wrap_field(L, "write", writes);
  lua_pop(L, 2);
}
