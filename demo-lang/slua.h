/* slua.h: Lua states for scripts that a host does not trust, or wants many of.
**
** A state has its memory, its work and its limits to itself, as a task of runtime/. A host makes as many as it
** likes, on as many threads: a state is used by one thread at a time, and any thread may be the next, if it has
** a stack of 1 MiB (scripts can use half of that). Nothing but these functions runs the guest, and each comes
** back: with a value, an error, a yield, or the limit that stopped it.
**
**   slua_config config = {.limits = {.heartbeats = 1000, .bytes = 16 << 20}, .repeatable = true};
**   slua* s = slua_new(&config);
**   if (slua_run(s, text, strlen(text), "=hello") != SLUA_OK) puts(slua_text(s, 0));
**   slua_close(s); */
#ifndef SLUICE_SLUA_H
#define SLUICE_SLUA_H

#include "runtime/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct lua_State;
typedef struct slua slua;

/* ---- Making and closing ---------------------------------------------------------------------- */

/* What a script may do but compute, print, io.write and warn (which goes where print does, or to
** stderr, if it may use files). Where the answer comes from outside of the state, no run repeats it. */
enum {
  SLUA_MAY_FILES = 1, /* io, os.remove, os.rename, os.tmpname, dofile, loadfile, require of files */
  SLUA_MAY_ASK = 2,   /* os.time, os.clock, os.date, os.getenv, os.setlocale (which only tells) */
  SLUA_MAY_EXIT = 4,  /* os.exit: the host sees SLUA_EXIT */
  SLUA_MAY_TRACE = 8, /* debug.traceback, debug.getinfo */
  SLUA_MAY_ANYTHING =
      31, /* all that lua5.4 may: C modules, bytecode, other programs, the rest of debug.
                             That could undo limits, so it goes with none, nor with the two below */
};

/* What the guest prints, in pieces; `arg` is output_arg. Called within slua_* functions; it must
** return, and not call them for the same state. */
typedef void slua_output(void* arg, const char* text, size_t length);

typedef struct slua_config {
  /* With heartbeats or ticks it is `counted`. `collects`, `repeatable_addresses` and `take_back` are set here,
  ** and `depth` is not looked at: calls nest as deep as Lua lets them, some 200,000. */
  rt_config limits;
  unsigned may; /* SLUA_MAY_* */
  bool
      repeatable; /* the same script does the same in every run, to the tick; some 16,000 such states
                       live in a process, each with at most 4 GiB */
  bool counted;   /* loops and calls are charged as ticks, not only what is allocated */
  bool by_hook;   /* by Lua's count hook, as with a liblua that is not known: for comparison */
  bool no_environment; /* LUA_PATH and LUA_CPATH have no say; nor have they in what is repeatable */
  slua_output* output; /* NULL: stdout, which is flushed at the end of each line */
  void* output_arg;
} slua_config;

/* A new state, the caller's until slua_close. It is a copy of one that is kept, from the second on with the
** same `may`, `repeatable`, `counted` and so on: some microseconds. `config` is borrowed for the call; NULL:
** zero everywhere. NULL and errno: ENOMEM (a limit of bytes can be the reason), EINVAL (SLUA_MAY_ANYTHING with
** a limit, or a period that runtime.h does not allow), ENOTSUP (this liblua cannot be made repeatable). If
** there are fewer heartbeats than the libraries take, it is stopped from the start. */
slua* slua_new(const slua_config* config);
/* Ends a state with all that it has. If a finalizer waits for the end, slua_finish
** comes first; else it is O(pages). 0, or EBUSY: a slua_* function runs for it. NULL is fine. */
int slua_close(slua* s);

/* ---- Running --------------------------------------------------------------------------------- */

typedef enum slua_status {
  SLUA_OK,    /* it ended; results: what it returned */
  SLUA_YIELD, /* results: what it yielded; slua_resume goes on */
  SLUA_SLICE, /* its slice is used up; slua_resume goes on, without arguments */
  SLUA_ERROR, /* results: the error's value, and where: a traceback */
  SLUA_STOPPED, /* a limit was reached, or the task was cancelled: see slua_stop_of. The state is of no
                   use any more but for the functions of the last section */
  SLUA_EXIT,    /* it called os.exit; see slua_exit_status. The same holds */
  SLUA_BUSY,    /* a slua_* function runs for this state already; nothing was done */
} slua_status;

typedef enum slua_type {
  SLUA_NIL,
  SLUA_BOOLEAN,
  SLUA_INTEGER,
  SLUA_NUMBER,
  SLUA_STRING,
  SLUA_SHARED, /* as an argument: a value of the module rc that was exported; as a result it is OTHER */
  SLUA_OTHER /* tables, functions, ...: as a result, with the type's name as text */
} slua_type;

/* A value on its way. Text is borrowed: the caller's for the call, the state's until the next call
** of a slua_* function that returns a slua_status; what the state gives ends in a NUL, too. */
typedef struct slua_value {
  slua_type type;
  union {
    bool boolean;
    int64_t integer;
    double number;
    const char* text;
    struct slua_shared* shared; /* borrowed */
  };
  size_t length; /* of text */
} slua_value;

/* Loads text (only text) as a function that slua_resume will start; what was loaded before, and has
** not ended, is given up. `name` is for messages, as for lua_load: "=x" or "@file". SLUA_OK without results,
** SLUA_ERROR, SLUA_STOPPED. */
slua_status slua_load(slua* s, const char* text, size_t length, const char* name);
/* Starts what was loaded, or goes on behind its last yield, with n arguments. SLUA_ERROR, too, if
** there is nothing to go on with. */
slua_status slua_resume(slua* s, const slua_value* args, int n);
/* From now on slua_resume comes back with SLUA_SLICE when it has used so many ticks, 0: only when the guest
** yields or ends. Only in states that are counted. Where nothing can yield, as within table.sort, it is later. */
void slua_set_slice(slua* s, uint64_t ticks);
/* slua_load and slua_resume without arguments. */
slua_status slua_run(slua* s, const char* text, size_t length, const char* name);

/* A function of the host's with the whole API of Lua, as a lua_CFunction: what it returns are the
** results, its errors are SLUA_ERROR. It is called by the main state, where nothing can yield to the
** host. Functions that it loads with the API are not counted, unlike those of the guest's load. */
typedef int slua_function(struct lua_State* L, void* arg);
slua_status slua_call(slua* s, slua_function* f, void* arg);

/* The number of results of the last such call, and the i-th of them, from 0; nil behind the last. */
int slua_results(const slua* s);
slua_value slua_result(const slua* s, int i);
/* Its text if it is a string, or else the name of its type. */
const char* slua_text(const slua* s, int i);

/* The end of the script: what waits for it runs, within the limits, unless the guest was stopped.
** SLUA_OK, SLUA_STOPPED, SLUA_EXIT or SLUA_BUSY. Whatever is called after it fails: SLUA_ERROR. */
slua_status slua_finish(slua* s);

/* The i-th result of the last call, if that is a list, vector, map, rope or big integer of the module rc (no
** draft), as a value of no state: all that it holds is copied out of the state once (O(size)), or not even
** that if it came from another one. Any states on any threads may have it at the same time, as an argument
** SLUA_SHARED; it outlives the state. Owned, until slua_release. NULL and errno: EINVAL (no such
** value), ENOMEM, EBUSY. */
typedef struct slua_shared slua_shared;
slua_shared* slua_export(slua* s, int i);
/* One owner more; one less, by any thread: at most 33 objects are freed at once. */
slua_shared* slua_retain(slua_shared* value);
void slua_release(slua_shared* value);

/* What runs throws the error "interrupted!" at its next instruction. From a signal handler on the
** thread that runs it. (rt_cancel stops it from any thread, and cannot be caught: what is counted within
** a beat of its work; what is not, after at most a beat of allocations.) */
void slua_interrupt(slua* s);

/* ---- How it went ------------------------------------------------------------------------------
** By any thread that could use the state, at any time before slua_close. */

typedef struct slua_stop {
  rt_limit limit; /* RT_NONE: no limit stopped it */
  uint64_t ticks;
  const char* where; /* script:line, or "" */
} slua_stop;
slua_stop slua_stop_of(const slua* s);
/* The ticks that it has used. rt_ticks of its task has what was granted ahead, too, less than a beat. */
uint64_t slua_ticks(const slua* s);
int slua_exit_status(const slua* s);
/* Its task, borrowed, for rt_bytes, rt_get_pauses, rt_report, rt_cancel. Not to be entered. */
rt_task* slua_task(const slua* s);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
