/* count/steps.c: counts the work within instructions, where liblua calls across its own files. */
#include "demo-lang/count/steps.h"
#include "demo-lang/count/charge.h"
#include "demo-lang/lib/tables.h"
#include "demo-lang/math/real.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

_Thread_local steps steps_now = {NULL, INT64_MAX};

void steps_settle(void) {
  steps_now.left -= (int64_t)real_work;
  real_work = 0;
}

guest* steps_switch(guest* g) {
  guest* before = steps_now.guest;
  steps_settle();
  if (before != NULL) before->steps = steps_now.left;
  steps_now = (steps){g, g != NULL ? g->steps : INT64_MAX};
  return before;
}

int64_t* steps_of(guest* g) {
  if (steps_now.guest != g) return &g->steps;
  steps_settle();
  return &steps_now.left;
}

static inline void take(uint64_t n) { steps_take(n); }

/* ---- Calls -----------------------------------------------------------------------------------
**
** Of whatever kind, by whomever: an instruction, a metamethod, C. Only the first call in a coroutine is not seen
** here; resuming it has its price. Where Lua calls a message handler nothing may be thrown: that would be a
** reason to call it. */

/* Has the call been paid for? Else that is done by a function of its own: so this one has nothing to keep. */
static inline bool take_call(void) { return (steps_now.left -= STEPS) >= 0; }

void* __real_luaD_precall(lua_State* L, void* f, int results);
void* __wrap_luaD_precall(lua_State* L, void* f, int results);
static __attribute__((noinline)) void* pay_precall(lua_State* L, void* f, int results) {
  steps_pay(L, true);
  return __real_luaD_precall(L, f, results);
}
void* __wrap_luaD_precall(lua_State* L, void* f, int results) {
  return take_call() ? __real_luaD_precall(L, f, results) : pay_precall(L, f, results);
}

int __real_luaD_pretailcall(lua_State* L, void* call, void* f, int args, int delta);
int __wrap_luaD_pretailcall(lua_State* L, void* call, void* f, int args, int delta);
int __wrap_luaD_pretailcall(lua_State* L, void* call, void* f, int args, int delta) {
  if (!take_call()) steps_pay(L, true);
  return __real_luaD_pretailcall(L, call, f, args, delta);
}

void __real_luaD_call(lua_State* L, void* f, int results);
void __wrap_luaD_call(lua_State* L, void* f, int results);
static __attribute__((noinline)) void pay_call(lua_State* L, void* f, int results) {
  steps_pay(L, true);
  __real_luaD_call(L, f, results);
}
void __wrap_luaD_call(lua_State* L, void* f, int results) {
  if (take_call())
    __real_luaD_call(L, f, results);
  else
    pay_call(L, f, results);
}

void __real_luaD_callnoyield(lua_State* L, void* f, int results);
void __wrap_luaD_callnoyield(lua_State* L, void* f, int results);
void __wrap_luaD_callnoyield(lua_State* L, void* f, int results) {
  if (!take_call()) steps_pay(L, false);
  __real_luaD_callnoyield(L, f, results);
}

/* ---- Loops -----------------------------------------------------------------------------------
**
** `r` is a register, `operand` what B says less 127. A loop's turns that are granted are paid for here. */
void __real_luaT_trybiniTM(lua_State* L, slot* r, lua_Integer operand, int k, void* to, int event);
void __wrap_luaT_trybiniTM(lua_State* L, slot* r, lua_Integer operand, int k, void* to, int event);
void __wrap_luaT_trybiniTM(lua_State* L, slot* r, lua_Integer operand, int k, void* to, int event) {
  enum { COUNT = 1, STEP };
  int b = (int)operand + 127;
  uint64_t left = steps_now.left > 0 ? (uint64_t)steps_now.left : 0, turns = r[COUNT].value;
  if (event >= PAYMENTS) {
    __real_luaT_trybiniTM(L, r, operand, k, to, event);
  } else if (event == PAY_LOOP && r[STEP].type == TYPE_INTEGER && turns <= left / STEPS) {
    steps_now.left -= (int64_t)(turns * STEPS);
    r[-b].type = TYPE_NIL;
  } else {
    meter_pay(L, r, b, event);
  }
}

/* ---- liblua's own functions ------------------------------------------------------------------ */

/* The collector has asked for a table's __mode, and comes to its nodes next. */
static _Thread_local bool announced;

/* Metamethods of a table and of a value: the levels of a chain. */
const void* __real_luaT_gettm(void* events, int event, void* name);
const void* __wrap_luaT_gettm(void* events, int event, void* name);
const void* __wrap_luaT_gettm(void* events, int event, void* name) {
  take(1);
  if (event == TM_MODE) announced = true;
  return __real_luaT_gettm(events, event, name);
}

/* For a call, the arguments are moved by one. */
const void* __real_luaT_gettmbyobj(lua_State* L, const void* value, int event);
const void* __wrap_luaT_gettmbyobj(lua_State* L, const void* value, int event);
const void* __wrap_luaT_gettmbyobj(lua_State* L, const void* value, int event) {
  enum { VALUES = 8 };
  take(event == TM_CALL ? 1 + (size_t)lua_gettop(L) / VALUES : 1);
  return __real_luaT_gettmbyobj(L, value, event);
}

enum { FEW = 64 }; /* values that are part of the instruction */

static inline void take_values(int n) {
  if (n > FEW) take((size_t)n * STEPS_A_VALUE);
}

/* `...`: how many values that was is known afterwards. */
void __real_luaT_getvarargs(lua_State* L, void* call, void* where, int wanted);
void __wrap_luaT_getvarargs(lua_State* L, void* call, void* where, int wanted);
void __wrap_luaT_getvarargs(lua_State* L, void* call, void* where, int wanted) {
  __real_luaT_getvarargs(L, call, where, wanted);
  if (wanted < 0) take_values(lua_gettop(L));
}

/* The results of a call. */
void __real_luaD_poscall(lua_State* L, void* call, int results);
void __wrap_luaD_poscall(lua_State* L, void* call, int results);
void __wrap_luaD_poscall(lua_State* L, void* call, int results) {
  take_values(results);
  __real_luaD_poscall(L, call, results);
}

/* Long texts are compared if they are of one length, which is right before the text. */
typedef struct long_text {
  char header[16];
  size_t length;
} long_text;

int __real_luaS_eqlngstr(const long_text* a, const long_text* b);
int __wrap_luaS_eqlngstr(const long_text* a, const long_text* b);
int __wrap_luaS_eqlngstr(const long_text* a, const long_text* b) {
  take(a != b && a->length == b->length ? 1 + a->length / STEP_BYTES : 1);
  return __real_luaS_eqlngstr(a, b);
}

/* The collector comes to the nodes of a table. That is paid for by allocation, once: but tables of weak keys
** are looked at again while something is found. */
unsigned __real_luaH_realasize(const table* t);
unsigned __wrap_luaH_realasize(const table* t);
unsigned __wrap_luaH_realasize(const table* t) {
  enum { NODES = 8 };
  if (!announced && may_have(t->metatable, TM_MODE)) take(1 + node_count(t) / NODES);
  announced = false;
  return __real_luaH_realasize(t);
}

/* A token of a source. If it is a name it is looked for among the locals of the functions around it, and among
** their upvalues. */
typedef struct function {
  const void* prototype;
  const struct function* around;
  const struct scanner* scanner;
  const void* block;
  int pc;
  char state[30];
  uint8_t locals, upvalues;
} function;

typedef struct names {
  const void* them;
  int count, room;
} names;

typedef struct scanner {
  char tokens[48];
  const function* function;
  const lua_State* L;
  const void* buffers[3];
  const struct {
    names locals, gotos, labels; /* gotos: whose label was not found yet */
  } * of_all;                    /* functions that are not complete */
} scanner;

static_assert(offsetof(function, locals) == 66 && offsetof(scanner, of_all) == 88, "as in liblua");

static bool pays(const scanner* s) {
  const guest* g = steps_guest();
  return g != NULL && g->can_look && s->L == g->running;
}

/* Few tokens look at labels. Gotos are moved out of each block that ends, and along when one of them is done. */
static size_t names_of(const scanner* s) {
  enum { FEW_NAMES = 64, TOKENS = 4 };
  size_t jumps = (size_t)s->of_all->gotos.count + (size_t)s->of_all->labels.count;
  size_t n = (size_t)s->of_all->locals.count + jumps / TOKENS;
  if (n <= FEW_NAMES) return 0;
  for (const function* f = s->function; f != NULL; f = f->around) n += f->upvalues;
  return n;
}

void __real_luaX_next(scanner* s);
void __wrap_luaX_next(scanner* s);
void __wrap_luaX_next(scanner* s) {
  enum { NAMES = 32 };
  if (pays(s)) take(names_of(s) / NAMES);
  __real_luaX_next(s);
}

/* The jumps out of a long `and`, `or` or `elseif` are a list through the code, from the first one on; Lua goes along
** it to append one. */
static void take_list(const function* f, int first) {
  enum { INSTRUCTIONS = 32 };
  if (first >= 0 && pays(f->scanner)) take((size_t)(f->pc - first) / INSTRUCTIONS);
}

void __real_luaK_concat(function* f, int* list, int more);
void __wrap_luaK_concat(function* f, int* list, int more);
void __wrap_luaK_concat(function* f, int* list, int more) {
  take_list(f, *list);
  __real_luaK_concat(f, list, more);
}

/* An operand, with the jumps that leave it if it is true, or false. */
typedef struct operand {
  int kind;
  uint64_t what;
  int if_true, if_false;
} operand;

void __real_luaK_infix(function* f, int operator, operand * left);
void __wrap_luaK_infix(function* f, int operator, operand * left);
void __wrap_luaK_infix(function* f, int operator, operand * left) {
  take_list(f, left->if_true);
  take_list(f, left->if_false);
  __real_luaK_infix(f, operator, left);
}

/* The name of what a register holds, for a message or a trace: if no local has it, Lua goes through the code
** up to `pc`. */
const char* __real_luaF_getlocalname(const void* prototype, int number, int pc);
const char* __wrap_luaF_getlocalname(const void* prototype, int number, int pc);
const char* __wrap_luaF_getlocalname(const void* prototype, int number, int pc) {
  enum { INSTRUCTIONS = 16 };
  take((size_t)pc / INSTRUCTIONS);
  return __real_luaF_getlocalname(prototype, number, pc);
}

/* A closure takes a local over: Lua looks for it among those that were taken over, from the end of the frame on. */
void* __real_luaF_findupval(lua_State* L, void* variable);
void* __wrap_luaF_findupval(lua_State* L, void* variable);
void* __wrap_luaF_findupval(lua_State* L, void* variable) {
  enum { REGISTERS = 64 };
  size_t registers = (size_t)lua_gettop(L);
  if (registers >= REGISTERS) take(registers / REGISTERS);
  return __real_luaF_findupval(L, variable);
}

/* A number becomes a text. */
void __real_luaO_tostring(lua_State* L, void* number);
void __wrap_luaO_tostring(lua_State* L, void* number);
void __wrap_luaO_tostring(lua_State* L, void* number) {
  take(2);
  __real_luaO_tostring(L, number);
}

/* A text becomes a number. */
size_t __real_luaO_str2num(const char* text, void* number);
size_t __wrap_luaO_str2num(const char* text, void* number);
size_t __wrap_luaO_str2num(const char* text, void* number) {
  take(strlen(text) / STEP_CHARS);
  return __real_luaO_str2num(text, number);
}

/* ---- The C library's, for liblua ------------------------------------------------------------- */

/* The parts of texts between zeros, one by one. */
int __real_strcoll(const char* a, const char* b);
int __wrap_strcoll(const char* a, const char* b);
int __wrap_strcoll(const char* a, const char* b) {
  enum { SHORT = 256 };
  size_t n = strnlen(a, SHORT);
  if (n == SHORT && (n = strnlen(b, SHORT)) == SHORT) n = strnlen(b, strlen(a));
  take(1 + n / STEP_BYTES);
  return __real_strcoll(a, b);
}

/* A line is read, or a number: by a call that pays for that, or by what io.lines gives. */
void __real_flockfile(FILE* file);
void __wrap_flockfile(FILE* file);
void __wrap_flockfile(FILE* file) {
  take(STEPS / 2);
  __real_flockfile(file);
}
