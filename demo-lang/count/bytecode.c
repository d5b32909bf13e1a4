/* count/bytecode.c: reading, writing and checking functions of Lua 5.4. */
#include "demo-lang/count/bytecode.h"

#include <string.h>

/* clang-format off */
const char operands[OPCODES][4] = {
  [OP_MOVE] = "rr-", [OP_LOADI] = "r--", [OP_LOADF] = "r--", [OP_LOADK] = "r--", [OP_LOADKX] = "r--",
  [OP_LOADFALSE] = "r--", [OP_LFALSESKIP] = "r--", [OP_LOADTRUE] = "r--", [OP_LOADNIL] = "r--",
  [OP_GETUPVAL] = "ru-", [OP_SETUPVAL] = "ru-", [OP_GETTABUP] = "ruk", [OP_GETTABLE] = "rrr",
  [OP_GETI] = "rr-", [OP_GETFIELD] = "rrk", [OP_SETTABUP] = "ukx", [OP_SETTABLE] = "rrx",
  [OP_SETI] = "r-x", [OP_SETFIELD] = "rkx", [OP_NEWTABLE] = "r--", [OP_SELF] = "rrx",
  [OP_ADDI] = "rr-", [OP_ADDK] = "rrk", [OP_SUBK] = "rrk", [OP_MULK] = "rrk", [OP_MODK] = "rrk",
  [OP_POWK] = "rrk", [OP_DIVK] = "rrk", [OP_IDIVK] = "rrk", [OP_BANDK] = "rrk", [OP_BORK] = "rrk",
  [OP_BXORK] = "rrk", [OP_SHRI] = "rr-", [OP_SHLI] = "rr-", [OP_ADD] = "rrr", [OP_SUB] = "rrr",
  [OP_MUL] = "rrr", [OP_MOD] = "rrr", [OP_POW] = "rrr", [OP_DIV] = "rrr", [OP_IDIV] = "rrr",
  [OP_BAND] = "rrr", [OP_BOR] = "rrr", [OP_BXOR] = "rrr", [OP_SHL] = "rrr", [OP_SHR] = "rrr",
  [OP_MMBIN] = "rr-", [OP_MMBINI] = "r--", [OP_MMBINK] = "rk-", [OP_UNM] = "rr-", [OP_BNOT] = "rr-",
  [OP_NOT] = "rr-", [OP_LEN] = "rr-", [OP_CONCAT] = "r--", [OP_CLOSE] = "r--", [OP_TBC] = "r--",
  [OP_JMP] = "---", [OP_EQ] = "rr-", [OP_LT] = "rr-", [OP_LE] = "rr-", [OP_EQK] = "rk-",
  [OP_EQI] = "r--", [OP_LTI] = "r--", [OP_LEI] = "r--", [OP_GTI] = "r--", [OP_GEI] = "r--",
  [OP_TEST] = "r--", [OP_TESTSET] = "rr-", [OP_CALL] = "r--", [OP_TAILCALL] = "r--",
  [OP_RETURN] = "r--", [OP_RETURN0] = "r--", [OP_RETURN1] = "r--", [OP_FORLOOP] = "r--",
  [OP_FORPREP] = "r--", [OP_TFORPREP] = "r--", [OP_TFORCALL] = "r--", [OP_TFORLOOP] = "r--",
  [OP_SETLIST] = "r--", [OP_CLOSURE] = "r--", [OP_VARARG] = "r--", [OP_VARARGPREP] = "---",
  [OP_EXTRAARG] = "---",
};
/* clang-format on */

/* ---- Memory ---------------------------------------------------------------------------------- */

enum { BLOCK = 4096, ALIGNMENT = 8 };

void* arena_alloc(arena* a, size_t count, size_t size) {
  size_t bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (bytes > a->left) {
    a->left = bytes > BLOCK ? bytes : BLOCK;
    a->free = lua_newuserdatauv(a->L, a->left, 0);
    lua_rawseti(a->L, a->table, (lua_Integer)lua_rawlen(a->L, a->table) + 1);
  }
  void* p = a->free;
  a->free += bytes;
  a->left -= bytes;
  return p;
}

void* arena_grow(arena* a, void* array, int used, int* room, size_t size) {
  if (used < *room) return array;
  *room = *room < 32 ? 32 : *room * 2;
  void* larger = arena_alloc(a, (size_t)*room, size);
  if (used > 0) memcpy(larger, array, (size_t)used * size);
  return larger;
}

/* ---- Reading ---------------------------------------------------------------------------------
**
** An input that is wrong is noted and then reads as zeros. */

typedef struct input {
  arena* a;
  const unsigned char* at;
  size_t left;
  bool wrong;
} input;

static const void* take(input* in, size_t n) {
  static const char zeros[8];
  if (in->wrong || n > in->left) {
    in->wrong = true;
    return n <= sizeof zeros ? zeros : NULL;
  }
  in->at += n;
  in->left -= n;
  return in->at - n;
}

static uint8_t read_byte(input* in) { return *(const uint8_t*)take(in, 1); }

/* Groups of 7 bits, the highest first; the last one has the highest bit. */
static size_t read_size(input* in) {
  for (size_t n = 0;;) {
    uint8_t byte = read_byte(in);
    in->wrong |= n >> (sizeof n * 8 - 7) != 0;
    if (in->wrong) return 0;
    n = n << 7 | (byte & 0x7f);
    if (byte & 0x80) return n;
  }
}

static int read_int(input* in) {
  size_t n = read_size(in);
  if (n > INT32_MAX) in->wrong = true;
  return in->wrong ? 0 : (int)n;
}

/* A number of elements, each of at least one byte. */
static int read_count(input* in) {
  int n = read_int(in);
  if ((size_t)n > in->left) in->wrong = true;
  return in->wrong ? 0 : n;
}

static span read_span(input* in) {
  size_t n = read_size(in);
  if (n == 0) return (span){0};
  const char* bytes = take(in, n - 1);
  return (span){bytes, in->wrong ? 0 : n - 1};
}

static void read_code(input* in, proto* p) {
  p->code_size = read_count(in);
  p->code = arena_alloc(in->a, (size_t)p->code_size, sizeof *p->code);
  const void* code = take(in, (size_t)p->code_size * sizeof *p->code);
  if (!in->wrong) memcpy(p->code, code, (size_t)p->code_size * sizeof *p->code);
}

static void read_constants(input* in, proto* p) {
  p->constants_size = read_count(in);
  p->constants = arena_alloc(in->a, (size_t)p->constants_size, sizeof *p->constants);
  for (int i = 0; i < p->constants_size; i++) {
    constant* k = &p->constants[i];
    k->type = read_byte(in);
    if (k->type == CONSTANT_INTEGER || k->type == CONSTANT_FLOAT)
      memcpy(&k->as.bits, take(in, sizeof k->as.bits), sizeof k->as.bits);
    if (k->type == CONSTANT_SHORT || k->type == CONSTANT_LONG) k->as.text = read_span(in);
  }
}

static void read_upvalues(input* in, proto* p) {
  p->upvalues_size = read_count(in);
  p->upvalues = arena_alloc(in->a, (size_t)p->upvalues_size, sizeof *p->upvalues);
  for (int i = 0; i < p->upvalues_size; i++) {
    p->upvalues[i] = (upvalue){.in_stack = read_byte(in)};
    p->upvalues[i].index = read_byte(in);
    p->upvalues[i].kind = read_byte(in);
  }
}

static void read_lines(input* in, proto* p) {
  enum { ABSOLUTE = -128 };
  int n = read_count(in), line = p->line_defined, next = 0;
  const int8_t* differences = take(in, (size_t)n);
  int absolutes = read_count(in);
  if (n != p->code_size) in->wrong = true;
  p->lines = arena_alloc(in->a, (size_t)p->code_size, sizeof *p->lines);
  for (int i = 0; i < absolutes && !in->wrong; i++) {
    int pc = read_int(in), absolute = read_int(in);
    in->wrong |= pc < next || pc >= n || differences[pc] != ABSOLUTE;
    for (; !in->wrong && next < pc; next++) p->lines[next] = line += differences[next];
    if (!in->wrong) p->lines[next++] = line = absolute;
  }
  for (; !in->wrong && next < n; next++) {
    in->wrong |= differences[next] == ABSOLUTE;
    p->lines[next] = line += differences[next];
  }
}

static void read_names(input* in, proto* p) {
  p->locals_size = read_count(in);
  p->locals = arena_alloc(in->a, (size_t)p->locals_size, sizeof *p->locals);
  for (int i = 0; i < p->locals_size; i++) {
    p->locals[i].name = read_span(in);
    p->locals[i].from = read_int(in);
    p->locals[i].to = read_int(in);
  }
  in->wrong |= read_count(in) != p->upvalues_size;
  for (int i = 0; i < p->upvalues_size && !in->wrong; i++) p->upvalues[i].name = read_span(in);
}

static void read_function(input* in, proto* p) {
  *p = (proto){.source = read_span(in)};
  p->line_defined = read_int(in);
  p->last_line = read_int(in);
  p->params = read_byte(in);
  p->vararg = read_byte(in);
  p->registers = read_byte(in);
  read_code(in, p);
  read_constants(in, p);
  read_upvalues(in, p);
  p->protos_size = read_count(in);
  p->protos = arena_alloc(in->a, (size_t)p->protos_size, sizeof *p->protos);
  for (int i = 0; i < p->protos_size; i++) read_function(in, &p->protos[i]);
  read_lines(in, p);
  read_names(in, p);
}

/* What every dump of this format on a machine of this kind begins with: signature, version,
** format, what a transfer as text would damage, sizes, an integer, a float. */
static const char HEADER[] =
    "\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08\x78\x56\0\0\0\0\0\0\0\0\0\0\0\x28\x77\x40";
enum { HEADER_SIZE = sizeof HEADER - 1 };

bool proto_read(arena* a, span dump, proto* p) {
  input in = {a, (const unsigned char*)dump.bytes, dump.size, false};
  const void* header = take(&in, HEADER_SIZE);
  if (in.wrong || memcmp(header, HEADER, HEADER_SIZE) != 0) return false;
  int upvalues = read_byte(&in);
  read_function(&in, p);
  return !in.wrong && in.left == 0 && upvalues == p->upvalues_size;
}

/* ---- Writing --------------------------------------------------------------------------------- */

typedef struct output {
  arena* a;
  char* bytes;
  size_t size, room;
} output;

static void put(output* out, const void* bytes, size_t n) {
  if (n > out->room - out->size) {
    out->room = (out->size + n) * 2;
    char* larger = arena_alloc(out->a, out->room, 1);
    if (out->size > 0) memcpy(larger, out->bytes, out->size);
    out->bytes = larger;
  }
  if (n > 0) memcpy(out->bytes + out->size, bytes, n);
  out->size += n;
}

static void write_byte(output* out, int byte) { put(out, &(char){(char)byte}, 1); }

static void write_size(output* out, size_t n) {
  char groups[10];
  size_t at = sizeof groups;
  groups[--at] = (char)(n | 0x80);
  while ((n >>= 7) != 0) groups[--at] = (char)(n & 0x7f);
  put(out, groups + at, sizeof groups - at);
}

static void write_int(output* out, int n) { write_size(out, (size_t)n); }

static void write_span(output* out, span s) {
  write_size(out, s.bytes != NULL ? s.size + 1 : 0);
  put(out, s.bytes, s.size);
}

static void write_constants(output* out, const proto* p) {
  write_int(out, p->constants_size);
  for (int i = 0; i < p->constants_size; i++) {
    const constant* k = &p->constants[i];
    write_byte(out, k->type);
    if (k->type == CONSTANT_INTEGER || k->type == CONSTANT_FLOAT)
      put(out, &k->as.bits, sizeof k->as.bits);
    if (k->type == CONSTANT_SHORT || k->type == CONSTANT_LONG) write_span(out, k->as.text);
  }
}

static void write_upvalues(output* out, const proto* p) {
  write_int(out, p->upvalues_size);
  for (int i = 0; i < p->upvalues_size; i++) {
    write_byte(out, p->upvalues[i].in_stack);
    write_byte(out, p->upvalues[i].index);
    write_byte(out, p->upvalues[i].kind);
  }
}

/* Is the line at pc kept as an absolute one? `since`: instructions since the last one that was. */
static bool is_absolute(const proto* p, int pc, int* since) {
  enum { MOST = 128 };
  int difference = p->lines[pc] - (pc > 0 ? p->lines[pc - 1] : p->line_defined);
  if (difference > -128 && difference < 128 && (*since)++ < MOST) return false;
  *since = 1;
  return true;
}

static void write_lines(output* out, const proto* p) {
  int since = 0, absolutes = 0;
  write_int(out, p->code_size);
  for (int pc = 0; pc < p->code_size; pc++) {
    bool absolute = is_absolute(p, pc, &since);
    absolutes += absolute;
    int before = pc > 0 ? p->lines[pc - 1] : p->line_defined;
    write_byte(out, absolute ? -128 : p->lines[pc] - before);
  }
  write_int(out, absolutes);
  since = 0;
  for (int pc = 0; pc < p->code_size; pc++) {
    if (!is_absolute(p, pc, &since)) continue;
    write_int(out, pc);
    write_int(out, p->lines[pc]);
  }
}

static void write_names(output* out, const proto* p) {
  write_int(out, p->locals_size);
  for (int i = 0; i < p->locals_size; i++) {
    write_span(out, p->locals[i].name);
    write_int(out, p->locals[i].from);
    write_int(out, p->locals[i].to);
  }
  write_int(out, p->upvalues_size);
  for (int i = 0; i < p->upvalues_size; i++) write_span(out, p->upvalues[i].name);
}

static void write_function(output* out, const proto* p) {
  write_span(out, p->source);
  write_int(out, p->line_defined);
  write_int(out, p->last_line);
  write_byte(out, p->params);
  write_byte(out, p->vararg);
  write_byte(out, p->registers);
  write_int(out, p->code_size);
  put(out, p->code, (size_t)p->code_size * sizeof *p->code);
  write_constants(out, p);
  write_upvalues(out, p);
  write_int(out, p->protos_size);
  for (int i = 0; i < p->protos_size; i++) write_function(out, &p->protos[i]);
  write_lines(out, p);
  write_names(out, p);
}

span proto_write(arena* a, const proto* p) {
  output out = {.a = a};
  put(&out, HEADER, HEADER_SIZE);
  write_byte(&out, p->upvalues_size);
  write_function(&out, p);
  return (span){out.bytes, out.size};
}

/* ---- Jumps ----------------------------------------------------------------------------------- */

int jump_target(instruction i, int pc) {
  switch (op_of(i)) {
    case OP_JMP:
      return pc + 1 + sj_of(i);
    case OP_FORPREP: /* to what comes after its FORLOOP */
      return pc + 2 + bx_of(i);
    case OP_TFORPREP:
      return pc + 1 + bx_of(i);
    case OP_FORLOOP:
    case OP_TFORLOOP:
      return pc + 1 - bx_of(i);
    default:
      return -1;
  }
}

bool set_jump(instruction* i, int pc, int target) {
  enum { EXCESS = 0xffffff };
  int forward = target - (pc + 1), op = op_of(*i);
  if (op == OP_JMP) {
    *i = OP_JMP | (uint32_t)(forward + EXCESS) << 7;
    return forward >= -EXCESS && forward <= EXCESS;
  }
  int bx = op == OP_FORPREP ? forward - 1 : op == OP_TFORPREP ? forward : -forward;
  *i = op_abx(op, a_of(*i), bx & MAX_BX);
  return bx >= 0 && bx <= MAX_BX;
}

/* ---- Checking -------------------------------------------------------------------------------- */

static bool operand_is_sound(const proto* p, char kind, int value, int k) {
  if (kind == 'x') kind = k ? 'k' : 'r';
  return kind == 'r'   ? value < p->registers
         : kind == 'u' ? value < p->upvalues_size
         : kind == 'k' ? value < p->constants_size
                       : true;
}

/* What instruction must come next; -1: any. */
static int required_next(instruction i) {
  if (is_test(i)) return OP_JMP;
  switch (op_of(i)) {
    case OP_TFORCALL:
      return OP_TFORLOOP;
    case OP_LOADKX:
    case OP_NEWTABLE:
      return OP_EXTRAARG;
    case OP_SETLIST:
      return k_of(i) ? OP_EXTRAARG : -1;
    default:
      return -1;
  }
}

/* What calls the metamethod, or a jump to what does else. */
static bool follows_arithmetic(instruction i) {
  return (op_of(i) >= OP_MMBIN && op_of(i) <= OP_MMBINK) || op_of(i) == OP_JMP;
}

static bool instruction_is_sound(const proto* p, int pc) {
  instruction i = p->code[pc];
  if (op_of(i) >= OPCODES) return false;
  const char* kinds = operands[op_of(i)];
  bool last = pc == p->code_size - 1;
  int target = jump_target(i, pc), next = required_next(i);
  if (target != -1 && (target < 0 || target >= p->code_size)) return false;
  if (next != -1 && (last || op_of(p->code[pc + 1]) != next)) return false;
  if (is_arithmetic(i) && (last || !follows_arithmetic(p->code[pc + 1]))) return false;
  if (last && op_of(i) != OP_RETURN && op_of(i) != OP_RETURN0 && op_of(i) != OP_RETURN1 &&
      op_of(i) != OP_JMP)
    return false;
  if (op_of(i) == OP_RETURN0 || (op_of(i) == OP_RETURN && b_of(i) == 1))
    return a_of(i) <= p->registers; /* of no values */
  if (op_of(i) == OP_CLOSURE && bx_of(i) >= p->protos_size) return false;
  if (op_of(i) == OP_LOADK && bx_of(i) >= p->constants_size) return false;
  return operand_is_sound(p, kinds[0], a_of(i), 0) && operand_is_sound(p, kinds[1], b_of(i), 0) &&
         operand_is_sound(p, kinds[2], c_of(i), k_of(i));
}

bool proto_is_sound(const proto* p) {
  for (int pc = 0; pc < p->code_size; pc++)
    if (!instruction_is_sound(p, pc)) return false;
  for (int i = 0; i < p->protos_size; i++) {
    const proto* inner = &p->protos[i];
    for (int u = 0; u < inner->upvalues_size; u++)
      if (inner->upvalues[u].index >=
          (inner->upvalues[u].in_stack ? p->registers : p->upvalues_size))
        return false;
    if (!proto_is_sound(inner)) return false;
  }
  return true;
}
