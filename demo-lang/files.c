/* files.c: the files that a guest has open: those of its io library, and sources that are compiled.
**
** A guest that was stopped is not entered again, not even by its finalizers; and it is stopped by a longjmp,
** within any call of Lua. So its state knows each file from the moment in which it is open: liblua's calls of
** the C library come here (the linker's option --wrap), and what is open at the end is closed without Lua. */
#include <errno.h>
#include <stdlib.h>

#include "demo-lang/guest.h"
#include "demo-lang/count/steps.h"

typedef struct guest_file {
  struct guest_file* next;
  FILE* file;
} guest_file;

FILE* __real_fopen(const char* name, const char* mode);
FILE* __real_fopen64(const char* name, const char* mode);
FILE* __real_freopen(const char* name, const char* mode, FILE* file);
FILE* __real_freopen64(const char* name, const char* mode, FILE* file);
FILE* __real_tmpfile(void);
FILE* __real_tmpfile64(void);
int __real_fclose(FILE* file);

FILE* __wrap_fopen(const char* name, const char* mode);
FILE* __wrap_fopen64(const char* name, const char* mode);
FILE* __wrap_freopen(const char* name, const char* mode, FILE* file);
FILE* __wrap_freopen64(const char* name, const char* mode, FILE* file);
FILE* __wrap_tmpfile(void);
FILE* __wrap_tmpfile64(void);
int __wrap_fclose(FILE* file);

/* `file`, which was opened just now, or NULL with errno. */
static FILE* keep(FILE* file) {
  guest* g = steps_running();
  if (g == NULL || file == NULL) return file;
  guest_file* f = malloc(sizeof *f);
  if (f == NULL) {
    __real_fclose(file);
    errno = ENOMEM;
    return NULL;
  }
  *f = (guest_file){g->files, file};
  g->files = f;
  return file;
}

/* `file` is closed, or about to be. */
static void forget(const FILE* file) {
  guest* g = steps_running();
  guest_file** at = g != NULL ? &g->files : NULL;
  while (at != NULL && *at != NULL && (*at)->file != file) at = &(*at)->next;
  if (at == NULL || *at == NULL) return;
  guest_file* f = *at;
  *at = f->next;
  free(f);
}

FILE* __wrap_fopen(const char* name, const char* mode) { return keep(__real_fopen(name, mode)); }
FILE* __wrap_fopen64(const char* name, const char* mode) {
  return keep(__real_fopen64(name, mode));
}
FILE* __wrap_tmpfile(void) { return keep(__real_tmpfile()); }
FILE* __wrap_tmpfile64(void) { return keep(__real_tmpfile64()); }

/* It is the same file, or none. */
static FILE* reopened(FILE* now, const FILE* before) {
  if (now == NULL) forget(before);
  return now;
}
FILE* __wrap_freopen(const char* name, const char* mode, FILE* file) {
  return reopened(__real_freopen(name, mode, file), file);
}
FILE* __wrap_freopen64(const char* name, const char* mode, FILE* file) {
  return reopened(__real_freopen64(name, mode, file), file);
}

int __wrap_fclose(FILE* file) {
  forget(file);
  return __real_fclose(file);
}

void guest_close_files(guest* g) {
  while (g->files != NULL) {
    guest_file* f = g->files;
    g->files = f->next;
    __real_fclose(f->file);
    free(f);
  }
}

/* ---- What calls of the system cost -------------------------------------------------------------- */

int guest_asks(lua_State* L) {
  guest_tick(L, 1 + (uint64_t)lua_gettop(L) / 32);
  return guest_call_original(L);
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
  if (!guest_of(L)->counted) return;
  static const char* const ask[] = {"open", "tmpfile", "input", "output", "lines", "read", "flush"};
  for (size_t i = 0; i < sizeof ask / sizeof *ask; i++)
    guest_wrap(L, LUA_IOLIBNAME, ask[i], guest_asks);
  guest_wrap(L, LUA_IOLIBNAME, "write", writes);
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_getfield(L, -1, "__index");
  guest_wrap_field(L, "write", writes);
  guest_wrap_field(L, "read", guest_asks);
  guest_wrap_field(L, "seek", guest_asks);
  guest_wrap_field(L, "flush", guest_asks);
  lua_pop(L, 2);
}
