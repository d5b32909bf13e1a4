/* count/bytecode.h: Lua 5.4's bytecode, as lua_dump writes it and lua_load reads it.
**
** A function is read into a `proto`, changed there, and written again. Facts of the format: an
** instruction has 32 bits, the opcode in the lowest 7, then either A (8), k (1), B (8), C (8), or
** A and Bx (17), or sJ (25); signed operands are stored with an excess. A jump counts from the
** instruction after it. The line of an instruction is kept as a difference to the one before,
** with an absolute line at least every 128 instructions.
**
** Nothing here trusts its input: what does not look as expected is refused. Memory is the Lua
** state's: userdata in a table of the caller's, so what is allocated here is garbage once the
** table is, and a lack of memory is Lua's error. */
#ifndef SLUICE_BYTECODE_H
#define SLUICE_BYTECODE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t instruction;

/* clang-format off */
enum {
  OP_MOVE, OP_LOADI, OP_LOADF, OP_LOADK, OP_LOADKX, OP_LOADFALSE, OP_LFALSESKIP, OP_LOADTRUE,
  OP_LOADNIL, OP_GETUPVAL, OP_SETUPVAL, OP_GETTABUP, OP_GETTABLE, OP_GETI, OP_GETFIELD,
  OP_SETTABUP, OP_SETTABLE, OP_SETI, OP_SETFIELD, OP_NEWTABLE, OP_SELF, OP_ADDI, OP_ADDK, OP_SUBK,
  OP_MULK, OP_MODK, OP_POWK, OP_DIVK, OP_IDIVK, OP_BANDK, OP_BORK, OP_BXORK, OP_SHRI, OP_SHLI,
  OP_ADD, OP_SUB, OP_MUL, OP_MOD, OP_POW, OP_DIV, OP_IDIV, OP_BAND, OP_BOR, OP_BXOR, OP_SHL, OP_SHR,
  OP_MMBIN, OP_MMBINI, OP_MMBINK, OP_UNM, OP_BNOT, OP_NOT, OP_LEN, OP_CONCAT, OP_CLOSE, OP_TBC,
  OP_JMP, OP_EQ, OP_LT, OP_LE, OP_EQK, OP_EQI, OP_LTI, OP_LEI, OP_GTI, OP_GEI, OP_TEST, OP_TESTSET,
  OP_CALL, OP_TAILCALL, OP_RETURN, OP_RETURN0, OP_RETURN1, OP_FORLOOP, OP_FORPREP, OP_TFORPREP,
  OP_TFORCALL, OP_TFORLOOP, OP_SETLIST, OP_CLOSURE, OP_VARARG, OP_VARARGPREP, OP_EXTRAARG,
  OPCODES
};
/* clang-format on */

enum { MAX_REGISTERS = 255, MAX_UPVALUES = 255, MAX_BX = (1 << 17) - 1, MAX_C = 255 };

typedef struct span { /* a string in the dump; `bytes` NULL: none */
  const char* bytes;
  size_t size;
} span;

typedef struct constant {
  uint8_t type; /* with the variant, as in the dump */
  union {
    uint64_t bits; /* of a number */
    span text;
  } as;
} constant;
enum {
  CONSTANT_INTEGER = 0x03,
  CONSTANT_FLOAT = 0x13,
  CONSTANT_SHORT = 0x04,
  CONSTANT_LONG = 0x14
};

typedef struct upvalue {
  uint8_t in_stack, index, kind;
  span name;
} upvalue;

typedef struct local { /* a name for a register, while from <= pc < to */
  span name;
  int from, to;
} local;

/* Invariant: what proto_is_sound checks. `lines` has the line of each instruction. */
typedef struct proto {
  span source; /* none: as in the function around it */
  int line_defined, last_line;
  uint8_t params, vararg, registers;
  int code_size, constants_size, upvalues_size, protos_size, locals_size;
  instruction* code;
  int* lines;
  constant* constants;
  upvalue* upvalues;
  struct proto* protos;
  local* locals;
} proto;

/* Memory that lasts as long as the table at `table` in the stack of L. */
typedef struct arena {
  lua_State* L;
  int table;
  char* free;
  size_t left;
} arena;

void* arena_alloc(arena* a, size_t count, size_t size);
/* Room for one more in an array of `used` elements with room for *room. */
void* arena_grow(arena* a, void* array, int used, int* room, size_t size);

/* A function as lua_dump writes it, unstripped. False: it is not as expected. The proto points
** into `dump`. */
bool proto_read(arena* a, span dump, proto* p);
/* What lua_load reads. */
span proto_write(arena* a, const proto* p);
/* All operands and jumps within bounds, pairs of instructions together; so too in its protos. */
bool proto_is_sound(const proto* p);

/* ---- Instructions ---------------------------------------------------------------------------- */

static inline int op_of(instruction i) { return (int)(i & 0x7f); }
static inline int a_of(instruction i) { return (int)(i >> 7 & 0xff); }
static inline int k_of(instruction i) { return (int)(i >> 15 & 1); }
static inline int b_of(instruction i) { return (int)(i >> 16 & 0xff); }
static inline int c_of(instruction i) { return (int)(i >> 24); }
static inline int bx_of(instruction i) { return (int)(i >> 15); }
static inline int sbx_of(instruction i) { return bx_of(i) - 0xffff; }
static inline int sj_of(instruction i) { return (int)(i >> 7) - 0xffffff; }

static inline instruction op_abc(int op, int a, int b, int c, int k) {
  return (uint32_t)op | (uint32_t)a << 7 | (uint32_t)k << 15 | (uint32_t)b << 16 |
         (uint32_t)c << 24;
}
static inline instruction op_abx(int op, int a, int bx) {
  return (uint32_t)op | (uint32_t)a << 7 | (uint32_t)bx << 15;
}
static inline instruction op_asbx(int op, int a, int sbx) { return op_abx(op, a, sbx + 0xffff); }
static inline int signed_8(int value) { return value + 127; } /* an sB or sC */

/* What the operands A, B and C are: 'r' register, 'u' upvalue, 'k' constant, 'x' constant if k is
** set, else register, '-' something else. */
extern const char operands[OPCODES][4];

static inline bool is_test(instruction i) { return op_of(i) >= OP_EQ && op_of(i) <= OP_TESTSET; }
/* Followed by what calls the metamethod, and skips it on success. */
static inline bool is_arithmetic(instruction i) {
  return op_of(i) >= OP_ADDI && op_of(i) <= OP_SHR;
}

/* Where the instruction at pc jumps to, or -1. */
int jump_target(instruction i, int pc);
/* The same instruction with another target; false: too far, or in the wrong direction. */
bool set_jump(instruction* i, int pc, int target);

#endif
