/* numbers.c: a search for the largest set of registers that each instruction keeps to numbers, if
** what it reads is numbers. */
#include "demo-lang/numbers.h"

static bool are_taken(numbers* n, int from, int count) {
  bool some = false;
  for (int r = from; r < from + count && r <= MAX_REGISTERS; r++) {
    some |= n->only[r];
    n->only[r] = false;
  }
  return some;
}

/* Of those that have a register as A, which is not only read. */
static bool writes_a(instruction i) {
  int op = op_of(i);
  bool reads = op == OP_SETUPVAL || (op >= OP_SETTABUP && op <= OP_SETFIELD) ||
               (op >= OP_MMBIN && op <= OP_MMBINK) || (op >= OP_CLOSE && op <= OP_TEST) ||
               (op >= OP_RETURN && op <= OP_RETURN1) || op == OP_TFORPREP || op == OP_SETLIST;
  return operands[op][0] == 'r' && !reads;
}

/* Is there one register less? */
static bool takes(const proto* p, instruction i, numbers* n) {
  int op = op_of(i), a = a_of(i), b = b_of(i);
  const bool* only = n->only;
  switch (op) {
    case OP_LOADI:
    case OP_LOADF:
    case OP_LOADNIL:
    case OP_LOADFALSE:
    case OP_LFALSESKIP:
    case OP_LOADTRUE:
    case OP_NOT:
    case OP_FORLOOP:
    case OP_FORPREP:
      return false;
    case OP_LOADK:
      if (p->constants[bx_of(i)].type == CONSTANT_INTEGER ||
          p->constants[bx_of(i)].type == CONSTANT_FLOAT)
        return false;
      break;
    case OP_MOVE:
    case OP_UNM:
    case OP_BNOT:
      if (only[b]) return false;
      break;
    case OP_CALL:
    case OP_VARARG: /* of an open number none is compared */
      return are_taken(n, a, c_of(i) - 1);
    case OP_TFORCALL:
      return are_taken(n, a + 4, c_of(i));
    case OP_TFORLOOP:
      return are_taken(n, a + 2, 1);
    case OP_SELF:
      return are_taken(n, a, 2);
    default:
      if (!writes_a(i)) return false;
      if (is_arithmetic(i) && only[b] && (op < OP_ADD || only[c_of(i)])) return false;
  }
  return are_taken(n, a, 1);
}

void find_numbers(const proto* p, numbers* n) {
  enum { ROUNDS = 8 };
  for (int r = 0; r <= MAX_REGISTERS; r++) n->only[r] = r >= p->params;
  for (int i = 0; i < p->protos_size; i++)
    for (int u = 0; u < p->protos[i].upvalues_size; u++)
      if (p->protos[i].upvalues[u].in_stack) n->only[p->protos[i].upvalues[u].index] = false;
  bool less = true;
  for (int round = 0; less && round < ROUNDS; round++) {
    less = false;
    for (int pc = 0; pc < p->code_size; pc++) less |= takes(p, p->code[pc], n);
  }
  if (less) are_taken(n, 0, MAX_REGISTERS + 1);
}
