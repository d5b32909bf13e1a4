/* guest.h: a Lua state that runs as a task: all its memory, work and limits are the task's.
**
** What makes a run repeatable, with the unmodified liblua: the state's memory starts at a
** multiple of 4 GiB (Lua hashes the low 32 bits of addresses); its hash seed is overwritten
** before it is first used; the libraries of guestlib.c show no address and no clock where Lua's
** do.
**
** What makes limits hold: instructions are paid for before they run, some at a time, by a count
** hook; a limit that is reached sets the hook to the next instruction, which throws; whatever
** catches (pcall, coroutines, message handlers) throws again. */
#ifndef SLUICE_GUEST_H
#define SLUICE_GUEST_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "runtime/runtime.h"

/* Invariants: `running` is the coroutine that executes now, whose hook an interrupt must set.
** `refused` is the request that the allocator refused last, with size 0 once a later one was
** served. */
typedef struct guest {
  rt_task* task;
  lua_State* L;
  lua_State* running;
  char* first_block; /* of lua_newstate, with the hash seed */
  bool seeded;
  struct {
    void* block;
    size_t size;
  } refused;
  uint64_t collect_above; /* bytes: more than that asks for a collection at the next instruction */
  uint64_t limit;         /* bytes; 0: none */
  bool must_close;        /* something waits for lua_close: a finalizer or a file */
  bool exits;             /* os.exit was called, with: */
  int exit_status;
  bool warns;                  /* warnings are on */
  bool warning;                /* in the middle of one */
  char where[LUA_IDSIZE + 16]; /* script:line at which the guest was stopped, or "" */
} guest;

/* A state without libraries in a task of its own, which the calling thread has entered on
** return. `g` is the caller's and stays where it is; `config` is borrowed. False: errno tells
** why (ENOMEM, which a limit can be the reason of; ENOTSUP: this liblua keeps its hash seed
** elsewhere), and nothing is left. */
bool guest_open(guest* g, const rt_config* config);
/* lua_pcall in the main state; true if it went well and no limit was reached. */
bool guest_call(guest* g, int nargs, int nresults, int handler);
/* The end of the script: lua_close if something waits for it and no limit was reached. */
void guest_finish(guest* g);
/* Ends the task with all its memory, without a look at the objects. */
void guest_end(guest* g);

/* ---- For the libraries, within a call of Lua ------------------------------------------------- */

guest* guest_of(lua_State* L);
/* Must the guest stop? */
bool guest_stops(lua_State* L);
/* Throws what no guest can hold up. */
int guest_stop(lua_State* L);
/* After everything that caught an error, or may have: throws again if the guest must stop. */
void guest_check(lua_State* L, int status);
/* There is no memory: the limit is reached, or else an error. Throws. */
int guest_no_memory(lua_State* L);
/* Ends the script. Throws. */
void guest_exit(lua_State* L, int status, bool close);
/* Pays for the first instructions of a new coroutine. */
void guest_arm(lua_State* co);
/* Says which coroutine runs from now on; gives the one before. */
lua_State* guest_run_coroutine(lua_State* L, lua_State* co);

/* guestlib.c: all libraries; and what tostring gives, pushed: addresses are offsets in the
** task's region. */
void guest_open_libraries(lua_State* L);
const char* guest_tostring(lua_State* L, int index);
/* rcmodule.c: the module "rc". */
int luaopen_rc(lua_State* L);

#endif
