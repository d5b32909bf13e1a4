/* guest.h: a Lua state that runs as a task: all its memory, work and limits are the task's.
**
** Internal: what a host calls is in slua.h.
**
** What makes a run repeatable, with the unmodified liblua: the state's memory starts at a
** multiple of 4 GiB (Lua hashes the low 32 bits of addresses); its hash seed is overwritten
** before it is first used; the libraries of guestlib.c show no address and no clock where Lua's
** do.
**
** What makes limits hold: in a state that is counted, calls are paid for before they run where liblua makes
** them (count/steps.h), and loops by what is put into the bytecode (count/charge.h says what, count/meter.c who
** pays); if that is not what we expect, some instructions at a time by a count hook. A limit that is reached
** leaves Lua by a longjmp to guest_call, or sets the hook to the next instruction, which does. So no pcall,
** message handler or __close of the guest can hold it up, and the state, left in the middle of something, is
** not entered again. */
#ifndef SLUICE_GUEST_H
#define SLUICE_GUEST_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

#include "demo-lang/slua.h"

enum {
  GUEST_WHERE = LUA_IDSIZE + 16, /* bytes of script:line */
  GUEST_ADDRESS = 24             /* bytes of an address as text */
};

/* In ticks; UINT64_MAX: none. At `soft` what runs yields, at `hard` it throws where it cannot (see
** beat.c). */
typedef struct deadlines {
  uint64_t soft, hard;
} deadlines;

/* Invariants: `running` is the coroutine that executes now, whose hook an interrupt must set.
** `refused` is the request that the allocator refused last, with size 0 once Lua's second try was
** served; so when Lua runs on with another size there, it got over the refusal by an error. */
typedef struct guest {
  rt_task* task;
  unsigned may; /* SLUA_MAY_*; fixed, as the next four */
  bool repeatable;
  bool counted;
  bool by_hook;
  FILE* out; /* where print writes */
  deadlines deadline;
  uintptr_t pocket; /* of the module rc: a word on its way to Lua, owned; 0: none */
  bool has_types;   /* that module was used, */
  bool has_spare;   /* and has a handle ready, in the registry: */
  int spare;
  bool yields; /* the coroutine that has just yielded did so by a deadline */
  lua_State* L;
  lua_State* running;
  char* first_block;  /* of lua_newstate, with the hash seed: */
  uint32_t hash_seed; /* 0: Lua's own */
  bool seeded;
  uint64_t* random; /* the four words of math.random; NULL: they are not what we expect */
  struct {
    void* block;
    size_t size;
    char where[GUEST_WHERE]; /* script:line, or "" */
  } refused;
  uint64_t collect_above; /* bytes: more than that asks for a collection at the next instruction */
  uint64_t limit;         /* bytes; 0: none */
  jmp_buf* way_out;       /* of the call from the host that runs the guest now */
  int64_t steps;          /* granted and not used (count/steps.h); running: the thread has them */
  uint64_t returned;      /* ticks that were taken back at a limit */
  lua_Integer seeds;      /* of math.randomseed(), so far */
  uint64_t unused;        /* ticks that were granted, and are not in `steps` */
  bool charges;           /* counted, and the bytecode is as expected */
  bool hooked;            /* a chunk could not be charged: the count hook pays */
  uintptr_t stack;        /* the C stack at that call */
  volatile sig_atomic_t interrupted; /* by a signal; the hook throws it */
  bool can_look;                     /* tables are as lib/next.c expects them */
  unsigned named;  /* names of functions that may have been looked for, and are not paid for */
  unsigned resets; /* coroutines that are being closed, each within the one before */
  struct guest_file* files; /* those that are open (files.c) */
  bool
      must_close; /* something waits for lua_close: a finalizer, a pipe, or what a host may have made */
  bool closing; /* lua_close runs or has run */
  bool exits;   /* os.exit was called, with: */
  int exit_status;
  bool warns;              /* warnings are on */
  bool warning;            /* in the middle of one */
  char where[GUEST_WHERE]; /* script:line at which the guest was stopped, or "" */
} guest;

/* A state without libraries in a task of its own, which the calling thread has entered on
** return. `g` is the caller's and stays where it is; `config` is borrowed. False: errno tells
** why (ENOMEM, which a limit can be the reason of; ENOTSUP: this liblua keeps its hash seed
** elsewhere), and nothing is left. */
bool guest_open(guest* g, const slua_config* config);
/* Is its work counted? Any limit of ticks wants that. */
bool guest_counts(const slua_config* config);
/* In two steps: the task, entered, and the state in it. */
bool guest_begin(guest* g, const slua_config* config);
bool guest_make(guest* g);
/* Is it known where this liblua keeps a state's hash seed? */
bool guest_can_seed(void);
/* lua_pcall in the main state; false: an error, whose value is on the stack, or the guest was
** stopped (rt_expired tells by what, `exits` that it was os.exit), and then the state is not to be
** used any more. Not from within a call of Lua. */
bool guest_call(guest* g, int nargs, int nresults, int handler);
/* lua_resume of a coroutine that guest_arm has seen, from the host; its values are left on its
** stack, *count of them; false: the guest was stopped, as with guest_call. */
bool guest_resume(guest* g, lua_State* co, int nargs, int* status, int* count);
/* What runs throws the error "interrupted!" at its next instruction. For signal handlers, on the
** thread that runs it. */
void guest_interrupt(guest* g);
/* The end of the script: lua_close if something waits for it and the guest was not stopped; what
** is open after that is closed. */
void guest_finish(guest* g);
/* Leaves and ends the task with all its memory, without a look at the objects. */
void guest_end(guest* g);

/* template.c: states as copies. */
typedef struct template template;
/* `g`, begun and not made, is to be one of the two that a template is made from. */
void template_begin(guest* g);
/* From two states of one kind that were made so, with their libraries, in compact tasks. NULL: they differ in what a
** copy could not be given, or there is no memory. */
template* template_new(const guest* a, const guest* b);
/* Instead of guest_make, and of opening the libraries. False: with the limits of this one, these may do
** something else (or the task is not compact); nothing has happened. */
bool template_copy(const template* t, guest* g);

/* ---- For the libraries, within a call of Lua ------------------------------------------------- */

static inline guest* guest_of(lua_State* L) { return *(guest**)lua_getextraspace(L); }
/* Leaves Lua for good: guest_call returns false. */
_Noreturn void guest_stop(lua_State* L);
/* Stops the guest if a limit was reached: after what can have used one up unseen by the hook. */
void guest_check_slow(lua_State* L);
static inline void guest_check(lua_State* L) {
  if (rt_is_watched() || guest_of(L)->exits) guest_check_slow(L);
}
/* Pays for work of that many ticks, to be done next; stops the guest if it cannot. */
void guest_tick_slow(lua_State* L, uint64_t ticks);
static inline void guest_tick(lua_State* L, uint64_t ticks) {
  if (!rt_tick_quick(ticks)) guest_tick_slow(L, ticks);
}
/* Pays for a collection of all garbage, and does it. */
void guest_collect(lua_State* L);
/* There is no memory: the limit is reached, or else an error. Does not return. */
_Noreturn void guest_no_memory(lua_State* L);
/* Ends the script, after lua_close if `close`. */
_Noreturn void guest_exit(lua_State* L, int status, bool close);
/* At a place where L could yield without values and go on: must it, since a deadline has come? In a
** function that the guest calls (not the hook) it throws if it must, but cannot. */
bool guest_must_yield(lua_State* L, bool in_call);
/* lua_resume, by a call of the guest's. GUEST_PASS_ON: a deadline has come; the caller yields without
** values, and when it goes on resumes co again, without values. */
enum { GUEST_PASS_ON = -1 };
int guest_resume_coroutine(lua_State* L, lua_State* co, int nargs, int* count);
/* Whatever runs calls guest_must_yield at its next instruction, or stops there. */
void guest_look_soon(guest* g);
/* Where a hook pays: for the first instructions of a new coroutine. */
void guest_arm_hook(lua_State* co);
static inline void guest_arm(lua_State* co) {
  if (guest_of(co)->hooked) guest_arm_hook(co);
}
/* Says which coroutine runs from now on; gives the one before. */
static inline lua_State* guest_run_coroutine(lua_State* L, lua_State* co) {
  guest* g = guest_of(L);
  lua_State* before = g->running;
  g->running = co;
  if (g->interrupted) guest_interrupt(g); /* it came before that */
  guest_arm(co);
  return before;
}

/* lua_resetthread in `L`'s place, for handlers that are the guest's. Throws if it nests too
** deeply. */
int guest_reset_coroutine(lua_State* L, lua_State* co);

/* Every chunk that was loaded, from text only, passes here before it runs: `status` is lua_load's,
** which left a function or a message at the top. Gives the status. */
int guest_loaded(lua_State* L, int status);

/* number.c: whether the calling thread makes text of a NaN without its sign; gives what it did before. */
bool number_hide_signs_of_nan(bool hidden);
/* A NaN as all processors have it, in states that are to repeat. */
static inline lua_Number guest_number(lua_State* L, lua_Number x) {
  return x == x || !guest_of(L)->repeatable ? x : (lua_Number)NAN;
}
/* count/meter.c: finds out how a state that is counted can pay; false: no memory. */
bool guest_open_meter(guest* g);
/* The function at the top is replaced by one that pays; false: it stays, and the hook must pay. */
bool guest_charge(lua_State* L);
/* A deadline was set: what is granted may go beyond it, and is taken back. */
void guest_meter_deadline(guest* g);
/* rt_take_back of all states that are counted; `arg` is the guest. */
uint64_t guest_take_back(void* arg);
/* Ticks to the nearest limit; UINT64_MAX: there is none. */
uint64_t guest_ticks_left(const guest* g);
/* Ticks used so far: those of the task without what was granted ahead or taken back. */
uint64_t guest_ticks(const guest* g);
/* files.c: the library io, once it is open; and the end of what the guest has left open. */
void guest_open_files(lua_State* L);
void guest_close_files(guest* g);
/* guestlib.c: all libraries; have any C modules been loaded? They can leave what waits for lua_close. */
bool guest_has_modules(lua_State* L);
void guest_open_libraries(lua_State* L);
/* permit.c: takes away what the guest may not use, from the libraries when they are open. */
void guest_permit(lua_State* L);
/* May it do that? (SLUA_MAY_*) */
static inline bool guest_may(lua_State* L, unsigned what) {
  return (guest_of(L)->may & what) == what;
}
/* lib/: those that pay for their work, each a lua_CFunction that gives the library's table, as
** Lua's luaopen_* do. */
int guest_open_base(lua_State* L);
int guest_open_coroutine(lua_State* L);
int guest_open_table(lua_State* L);
int guest_open_utf8(lua_State* L);
/* What loadfile, dofile and require do: lua_load's status, and a function or a message. */
int guest_load_file(lua_State* L, const char* name, const char* mode);
/* Lua may have looked for the names of n functions, for a message or a trace. */
void guest_pay_names(lua_State* L, unsigned n);
/* The field of the table at the top, or of the library, becomes `f`, which can go on to the original. */
void guest_wrap_field(lua_State* L, const char* name, lua_CFunction f);
void guest_wrap(lua_State* L, const char* library, const char* name, lua_CFunction f);
int guest_call_original(lua_State* L);
/* A wrapper for what may call the system. */
int guest_asks(lua_State* L);
/* guesttext.c: the functions that make text of values; and what tostring gives, pushed: addresses
** are offsets in the task's region. */
void guest_open_text(lua_State* L);
const char* guest_tostring(lua_State* L, int index);
void guest_address(lua_State* L, const void* p, char text[GUEST_ADDRESS]);
/* lib/string.c: the library "string", as luaopen_string. */
int guest_open_string(lua_State* L);
/* rc/module.c: the module "rc"; beat.c: the module "beat". */
int luaopen_rc(lua_State* L);
int luaopen_beat(lua_State* L);

#endif
