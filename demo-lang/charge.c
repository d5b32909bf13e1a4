/* charge.c: which instructions are put in where. The functions of a chunk are changed one by one:
** a first pass finds out what there is to charge, a second one copies the code with additions and
** leaves work for stubs, which come last; then the jumps get their distances. */
#include "demo-lang/charge.h"

#include <limits.h>
#include <string.h>

enum { NONE = -1, TM_ADD = 6, TM_SUB = 7 }; /* Lua's numbers of __add and __sub */

/* ---- What there is to charge ----------------------------------------------------------------- */

/* How many metamethods, each at most one, an instruction can call. */
static int metamethods(instruction i) {
  int op = op_of(i);
  if (op == OP_CONCAT) return b_of(i) - 1;
  return (op >= OP_GETTABUP && op <= OP_SELF && op != OP_NEWTABLE) ||
         (op >= OP_MMBIN && op <= OP_BNOT) || op == OP_LEN || op == OP_TBC ||
         (op >= OP_EQ && op <= OP_LE) || (op >= OP_LTI && op <= OP_GEI);
}

static bool is_call(instruction i) {
  return op_of(i) == OP_CALL || op_of(i) == OP_TAILCALL || op_of(i) == OP_TFORCALL;
}

static bool is_return(instruction i) { return op_of(i) >= OP_RETURN && op_of(i) <= OP_RETURN1; }

static bool jumps_back(instruction i, int pc) {
  return op_of(i) == OP_JMP && jump_target(i, pc) <= pc;
}

typedef struct jumps { /* to one instruction */
  int count, first;    /* first: the lowest pc that jumps here */
  int last;            /* the highest one */
} jumps;

/* What an instruction can take, in simple ones: what may call something may call a function that is
** not charged. */
static int weight(instruction i) {
  enum { UNCHARGED_CALL = 16 };
  return is_call(i) || metamethods(i) > 0 ? UNCHARGED_CALL : 1;
}

typedef struct facts {
  int64_t weight;   /* of all instructions */
  bool calls;       /* an activation is charged */
  bool jumps_back;  /* a jump that is no for loop's */
  bool generic_for; /* there is one */
  int depth;        /* of numeric for loops */
} facts;

static facts find_facts(const proto* p) {
  facts f = {0};
  enum { SHORT = 128 };
  int operations = 0, depth = 0;
  for (int pc = 0; pc < p->code_size; pc++) {
    instruction i = p->code[pc];
    operations += metamethods(i);
    f.weight += weight(i);
    f.calls |= is_call(i);
    f.jumps_back |= jumps_back(i, pc);
    f.generic_for |= op_of(i) == OP_TFORCALL;
    if (op_of(i) == OP_FORPREP && ++depth > f.depth) f.depth = depth;
    if (op_of(i) == OP_FORLOOP) depth--;
  }
  bool loops = f.jumps_back || f.generic_for || f.depth > 0;
  f.calls |= operations >= 2 || (operations == 1 && loops) || f.weight > SHORT;
  return f;
}

static bool charges(const facts* f) {
  return f->calls || f->jumps_back || f->generic_for || f->depth > 0;
}

static int64_t* find_weights(arena* a, const proto* p) {
  int64_t* sum = arena_alloc(a, (size_t)p->code_size + 1, sizeof *sum);
  sum[0] = 0;
  for (int pc = 0; pc < p->code_size; pc++) sum[pc + 1] = sum[pc] + weight(p->code[pc]);
  return sum;
}

static jumps* find_jumps(arena* a, const proto* p) {
  jumps* to = arena_alloc(a, (size_t)p->code_size + 1, sizeof *to);
  for (int pc = 0; pc <= p->code_size; pc++) to[pc] = (jumps){0, INT_MAX, NONE};
  for (int pc = 0; pc < p->code_size; pc++) {
    int target = jump_target(p->code[pc], pc);
    if (target == NONE) continue;
    to[target].count++;
    if (pc < to[target].first) to[target].first = pc;
    if (pc > to[target].last) to[target].last = pc;
  }
  return to;
}

/* The end of the run of plain instructions at pc; what metamethods they can call is added. */
static int plain_run(const proto* p, int pc, int* operations) {
  for (; pc < p->code_size; pc++) {
    instruction i = p->code[pc];
    if (is_call(i) || is_return(i) || is_test(i) || jump_target(i, pc) != NONE ||
        op_of(i) == OP_TBC || op_of(i) == OP_LFALSESKIP)
      break;
    *operations += metamethods(i);
  }
  return pc;
}

/* Where an activation is charged: after the guards, each a test and what returns without a call. */
static int charge_point(const proto* p, const jumps* to) {
  enum { FAR = 64 };
  int point = p->code_size > 0 && op_of(p->code[0]) == OP_VARARGPREP, operations = 0;
  for (;;) {
    int test = plain_run(p, point, &operations);
    if (!is_test(p->code[test])) return point;
    operations += metamethods(p->code[test]);
    int after = jump_target(p->code[test + 1], test + 1);
    if (after <= test + 1 || after > FAR || to[after].count != 1) return point;
    int end = plain_run(p, test + 2, &operations);
    if (end != after - 1 || !is_return(p->code[end]) || operations > 1) return point;
    point = after;
  }
}

/* Is the register set to an integer literal of at least `least` whenever pc is reached? True only if the
** instruction that does it is found before pc, and no jump passes it. */
static bool is_literal(const proto* p, const jumps* to, int pc, int reg, int64_t least) {
  for (int first = INT_MAX; pc > 0;) {
    if (to[pc].first < first) first = to[pc].first;
    instruction i = p->code[--pc];
    int op = op_of(i), a = a_of(i);
    bool writes_more = is_call(i) || op == OP_LOADNIL || op == OP_VARARG;
    if (operands[op][0] != 'r' || (writes_more ? a > reg : a != reg)) continue;
    if (first < pc) return false;
    if (op == OP_LOADI) return sbx_of(i) >= least;
    if (op != OP_LOADK) return false;
    const constant* k = &p->constants[bx_of(i)];
    return k->type == CONSTANT_INTEGER && (int64_t)k->as.bits >= least;
  }
  return false;
}

/* ---- The new code ----------------------------------------------------------------------------
**
** A label is a number: of an instruction of the old code, or above those. */

typedef struct item {
  instruction code;
  int line, to; /* label, or NONE */
} item;

typedef enum stub_kind { STUB_ACTIVATION, STUB_TURN, STUB_JUMP, STUB_START, STUB_END } stub_kind;

typedef struct stub {
  stub_kind kind;
  int label, slow; /* of its start, and of its second entry */
  int back, done;  /* labels: where it goes on; after the loop */
  int a, budget;   /* registers of a numeric for */
  int line;
} stub;

typedef struct work {
  arena* a;
  proto* p; /* what is changed */
  facts facts;
  jumps* to;
  int64_t* weights; /* of the instructions before each */
  item* out;
  int size, room;
  int* label; /* each one's place in `out` */
  int labels, label_room;
  int* moved; /* each old instruction's place; its label may lie before it */
  stub* stubs;
  int stubs_size, stub_room;
  int line;
  int shift;   /* registers that were put in after the parameters */
  int turns;   /* register: turns left; then its step, then the index for the body */
  int budgets; /* register: of the outermost numeric for; then what is left of it; ... */
  int top;     /* registers that nothing else uses, from here */
  int counter; /* upvalue; `pay` is the next */
  int lowest;  /* constant: the lowest integer, or NONE */
} work;

static void emit_to(work* w, instruction code, int to) {
  w->out = arena_grow(w->a, w->out, w->size, &w->room, sizeof *w->out);
  w->out[w->size++] = (item){code, w->line, to};
}

static void emit(work* w, instruction code) { emit_to(w, code, NONE); }
static void emit_jump(work* w, int to) { emit_to(w, OP_JMP, to); }
static void emit_move(work* w, int a, int b) { emit(w, op_abc(OP_MOVE, a, b, 0, 0)); }

static int new_label(work* w) {
  w->label = arena_grow(w->a, w->label, w->labels, &w->label_room, sizeof *w->label);
  return w->labels++;
}

static void set_label(work* w, int label) { w->label[label] = w->size; }

/* The next jump is taken if the integer in the register is below 0: yes, or the contrary. */
static void emit_if_negative(work* w, int reg, bool yes) {
  emit(w, op_abc(OP_LTI, reg, signed_8(0), 0, yes));
}

static void emit_add(work* w, int reg, int value) {
  emit(w, op_abc(OP_ADDI, reg, reg, signed_8(value), 0));
  emit(w, op_abc(OP_MMBINI, reg, signed_8(-value), TM_SUB, 0));
}

static void emit_call(work* w, int reg, int nargs, int nresults) {
  emit(w, op_abc(OP_CALL, reg, nargs + 1, nresults + 1, 0));
}

static void emit_get(work* w, int reg, int up) { emit(w, op_abc(OP_GETUPVAL, reg, up, 0, 0)); }
static void emit_set(work* w, int reg, int up) { emit(w, op_abc(OP_SETUPVAL, reg, up, 0, 0)); }

/* ---- Stubs ----------------------------------------------------------------------------------- */

/* A stub that the caller has described but for its labels; the label of its start. */
static stub* add_stub(work* w, stub s) {
  s.label = new_label(w);
  s.slow = new_label(w);
  s.line = w->line;
  w->stubs = arena_grow(w->a, w->stubs, w->stubs_size, &w->stub_room, sizeof *w->stubs);
  w->stubs[w->stubs_size] = s;
  return &w->stubs[w->stubs_size++];
}

/* The counter is below 0. */
static void stub_activation(work* w, const stub* s) {
  emit_get(w, w->top, w->counter + 1);
  emit_call(w, w->top, 0, 0);
  emit_jump(w, s->back);
}

/* FREE turns out of the counter, of which one is used now. */
static void stub_turn(work* w, const stub* s) {
  emit_get(w, w->top, w->counter);
  emit_add(w, w->top, -FREE);
  emit_set(w, w->top, w->counter);
  emit(w, op_asbx(OP_LOADI, w->turns, FREE - 1));
  emit_if_negative(w, w->top, false);
  emit_jump(w, s->back);
  stub_activation(w, s);
}

/* A jump backwards after a test. */
static void stub_jump(work* w, const stub* s) {
  emit_to(w, op_abx(OP_FORLOOP, w->turns - 1, 0), s->back);
  stub_turn(w, s);
}

/* The budget of a numeric for is below 0: it is taken out of the counter, with FREE more, or else
** pay(budget, R[A+1], R[A], R[A+2]) gives budget, R[A+1] and what is left. */
static void stub_start(work* w, const stub* s) {
  int top = w->top, b = s->budget;
  emit_get(w, top, w->counter);
  emit(w, op_abc(OP_ADD, top, top, b, 0));
  emit(w, op_abc(OP_MMBIN, top, b, TM_ADD, 0));
  emit(w, op_abc(OP_LTI, top, signed_8(FREE), 0, 1));
  emit_jump(w, s->slow);
  emit_add(w, top, -FREE);
  emit_set(w, top, w->counter);
  emit(w, op_asbx(OP_LOADI, b, FREE));
  emit_jump(w, s->back);
  set_label(w, s->slow);
  emit_get(w, top, w->counter + 1);
  emit_move(w, top + 1, b);
  emit_move(w, top + 2, s->a + 1);
  emit_move(w, top + 3, s->a);
  emit_move(w, top + 4, s->a + 2);
  emit_call(w, top, 4, 3);
  emit_move(w, b, top);
  emit_move(w, s->a + 1, top + 1);
  emit_move(w, b + 1, top + 2);
  emit_jump(w, s->back);
}

/* The end of a piece: pay(what is left, R[A], R[A+2]) gives budget, R[A] or false, R[A+1], and
** what is left. */
static void stub_end(work* w, const stub* s) {
  int top = w->top, b = s->budget;
  emit_get(w, top, w->counter + 1);
  emit_move(w, top + 1, b + 1);
  emit_move(w, top + 2, s->a);
  emit_move(w, top + 3, s->a + 2);
  emit_call(w, top, 3, 4);
  emit_move(w, b, top);
  emit(w, op_abc(OP_TEST, top + 1, 0, 0, 0));
  emit_jump(w, s->done);
  emit_move(w, s->a, top + 1);
  emit_move(w, s->a + 3, top + 1);
  emit_move(w, s->a + 1, top + 2);
  emit_move(w, b + 1, top + 3);
  emit_jump(w, s->back);
}

enum { TOP_OF_LOOPS = 5, TOP_OF_CALLS = 1 }; /* how many registers the stubs use */

static void emit_stubs(work* w) {
  static void (*const emitters[])(work*, const stub*) = {
      [STUB_ACTIVATION] = stub_activation, [STUB_TURN] = stub_turn, [STUB_JUMP] = stub_jump,
      [STUB_START] = stub_start,           [STUB_END] = stub_end,
  };
  for (int i = 0; i < w->stubs_size; i++) {
    const stub* s = &w->stubs[i];
    w->line = s->line;
    set_label(w, s->label);
    emitters[s->kind](w, s);
  }
}

static instruction shifted(const work* w, instruction i) {
  const char* kinds = operands[op_of(i)];
  uint32_t shift = (uint32_t)w->shift;
  int first = w->p->params;
  bool c_is_register = kinds[2] == 'r' || (kinds[2] == 'x' && !k_of(i));
  instruction j = i;
  if (kinds[0] == 'r' && a_of(i) >= first) j += shift << 7;
  if (kinds[1] == 'r' && b_of(i) >= first) j += shift << 16;
  if (c_is_register && c_of(i) >= first) j += shift << 24;
  return j;
}

/* ---- Sites ----------------------------------------------------------------------------------- */

/* Takes n ticks from the counter. */
static void charge(work* w, int n) {
  enum { MOST = 127 };
  int back = new_label(w);
  emit_get(w, w->top, w->counter);
  for (; n > 0; n -= MOST) emit_add(w, w->top, n < MOST ? -n : -MOST);
  emit_set(w, w->top, w->counter);
  emit_if_negative(w, w->top, true);
  emit_jump(w, add_stub(w, (stub){.kind = STUB_ACTIVATION, .back = back})->label);
  set_label(w, back);
}

/* For code of that weight that runs at most once for what charges it. */
static int more_ticks(int64_t weight) {
  enum { A_TICK = 1024 };
  return (int)(weight / A_TICK);
}

static void start_function(work* w) {
  if (w->facts.jumps_back || w->facts.generic_for) emit(w, op_asbx(OP_LOADI, w->turns, FREE));
  if (w->facts.jumps_back) emit(w, op_asbx(OP_LOADI, w->turns + 1, 0));
  for (int d = 0; d < w->facts.depth; d++) emit(w, op_asbx(OP_LOADI, w->budgets + 2 * d, FREE));
  if (w->facts.calls) charge(w, 1 + more_ticks(w->facts.weight));
}

/* At the start of a body that jumps come back to. */
static void start_body(work* w, int pc) {
  int last = w->to[pc].last;
  int more = last >= pc ? more_ticks(w->weights[last + 1] - w->weights[pc]) : 0;
  if (more > 0) charge(w, more);
}

static void jump_back(work* w, int pc) {
  int target = jump_target(w->p->code[pc], pc);
  if (pc > 0 && is_test(w->p->code[pc - 1])) { /* the test jumps, whatever instruction is here */
    emit_jump(w, add_stub(w, (stub){.kind = STUB_JUMP, .back = target})->label);
    return;
  }
  emit_to(w, op_abx(OP_FORLOOP, w->turns - 1, 0), target);
  emit_jump(w, add_stub(w, (stub){.kind = STUB_TURN, .back = target})->label);
}

/* At the start of the body, where TFORLOOP jumps to. */
static void generic_turn(work* w) {
  int back = new_label(w);
  emit_add(w, w->turns, -1);
  emit_if_negative(w, w->turns, true);
  emit_jump(w, add_stub(w, (stub){.kind = STUB_TURN, .back = back})->label);
  set_label(w, back);
}

/* To the slow entry unless R[a], a number, is an integer >= 0: only then it is below 0 once the
** lowest integer is taken from it. */
static void emit_if_no_count(work* w, int a, int slow) {
  emit(w, op_abc(OP_GEI, a, signed_8(0), 0, 0));
  emit_jump(w, slow);
  if (w->lowest <= MAX_C) {
    emit(w, op_abc(OP_SUBK, w->top, a, w->lowest, 0));
    emit(w, op_abc(OP_MMBINK, a, w->lowest, TM_SUB, 0));
  } else {
    emit(w, op_abx(OP_LOADK, w->top, w->lowest));
    emit(w, op_abc(OP_SUB, w->top, a, w->top, 0));
    emit(w, op_abc(OP_MMBIN, a, w->top, TM_SUB, 0));
  }
  emit_if_negative(w, w->top, false);
  emit_jump(w, slow);
}

static bool counts_up(const proto* p, const jumps* to, int pc) {
  int a = a_of(p->code[pc]);
  return is_literal(p, to, pc, a, 0) && is_literal(p, to, pc, a + 2, 1);
}

static void start_for(work* w, int pc, int depth) {
  int a = a_of(w->p->code[pc]) + w->shift, budget = w->budgets + 2 * depth;
  const stub* s = add_stub(w, (stub){.kind = STUB_START, .back = pc + 1, .a = a, .budget = budget});
  if (!counts_up(w->p, w->to, pc)) emit_if_no_count(w, a + 1, s->slow);
  emit(w, op_abc(OP_SUB, budget, budget, a + 1, 0));
  emit(w, op_abc(OP_MMBIN, budget, a + 1, TM_SUB, 0));
  emit_if_negative(w, budget, true);
  emit_jump(w, s->label);
}

static void end_for(work* w, int pc, int depth) {
  instruction i = w->p->code[pc];
  stub s = {.kind = STUB_END,
            .back = jump_target(i, pc),
            .done = pc + 1,
            .a = a_of(i) + w->shift,
            .budget = w->budgets + 2 * depth};
  emit_if_negative(w, s.budget, true);
  emit_jump(w, add_stub(w, s)->label);
}

/* ---- A function ------------------------------------------------------------------------------ */

static void copy_code(work* w, int point) {
  int depth = 0, entry = op_of(w->p->code[0]) == OP_VARARGPREP;
  for (int pc = 0; pc < w->p->code_size; pc++) {
    instruction i = w->p->code[pc];
    w->line = w->p->lines[pc];
    set_label(w, pc);
    if (pc == point) start_function(w);
    if (pc == point && point == entry) set_label(w, pc); /* for those that jump back to the start */
    if (pc > 0 && op_of(w->p->code[pc - 1]) == OP_TFORPREP) generic_turn(w);
    start_body(w, pc);
    w->moved[pc] = w->size;
    if (jumps_back(i, pc)) {
      jump_back(w, pc);
      continue;
    }
    emit_to(w, shifted(w, i), jump_target(i, pc));
    if (op_of(i) == OP_FORPREP) start_for(w, pc, depth++);
    if (op_of(i) == OP_FORLOOP) end_for(w, pc, --depth);
  }
  w->moved[w->p->code_size] = w->size;
}

static bool finish_code(work* w) {
  proto* p = w->p;
  p->code_size = w->size;
  p->code = arena_alloc(w->a, (size_t)w->size, sizeof *p->code);
  p->lines = arena_alloc(w->a, (size_t)w->size, sizeof *p->lines);
  for (int pc = 0; pc < w->size; pc++) {
    p->code[pc] = w->out[pc].code;
    p->lines[pc] = w->out[pc].line;
    int to = w->out[pc].to;
    if (to == NONE) continue;
    /* TFORPREP goes on as TFORCALL, without a look at the opcode. */
    int place = op_of(p->code[pc]) == OP_TFORPREP ? w->moved[to] : w->label[to];
    if (!set_jump(&p->code[pc], pc, place)) return false;
  }
  return true;
}

/* The names of locals follow their instructions. */
static void finish_names(work* w) {
  proto* p = w->p;
  int hidden = w->shift, size = p->locals_size + hidden, n = 0;
  local* locals = arena_alloc(w->a, (size_t)size, sizeof *locals);
  for (int i = 0; i < p->params; i++) locals[n++] = p->locals[i];
  for (int i = 0; i < hidden; i++)
    locals[n++] = (local){.name = {"(for state)", 11}, .from = 0, .to = w->size};
  for (int i = p->params; i < p->locals_size; i++) locals[n++] = p->locals[i];
  for (int i = 0; i < n; i++) {
    if (i >= p->params && i < p->params + hidden) continue;
    locals[i].from = w->moved[locals[i].from];
    locals[i].to = w->moved[locals[i].to];
  }
  p->locals = locals;
  p->locals_size = size;
}

static bool names_are_sound(const proto* p) {
  if (p->locals_size < p->params) return false;
  for (int i = 0; i < p->locals_size; i++)
    if (p->locals[i].from > p->code_size || p->locals[i].to > p->code_size) return false;
  return true;
}

/* The hidden registers, and what the stubs use. False: too many. */
static bool place_registers(work* w, int point) {
  const facts* f = &w->facts;
  int at = w->p->params;
  bool loops = f->jumps_back || f->generic_for || f->depth > 0;
  if (f->jumps_back && at == 0) at++; /* for the index of the control block */
  w->turns = at;
  if (f->jumps_back)
    at += 3;
  else if (f->generic_for)
    at++;
  w->budgets = at;
  at += 2 * f->depth;
  w->shift = at - w->p->params;
  w->top = w->p->registers + w->shift;
  bool at_start = point == (op_of(w->p->code[0]) == OP_VARARGPREP);
  if (!loops && at_start) w->top = w->p->params;
  int registers = w->top + (loops ? TOP_OF_LOOPS : TOP_OF_CALLS);
  if (registers < w->p->registers + w->shift) registers = w->p->registers + w->shift;
  if (registers > MAX_REGISTERS) return false;
  w->p->registers = (uint8_t)registers;
  return true;
}

static void add_lowest(work* w) {
  proto* p = w->p;
  w->lowest = p->constants_size;
  constant* constants = arena_alloc(w->a, (size_t)p->constants_size + 1, sizeof *constants);
  if (p->constants_size > 0)
    memcpy(constants, p->constants, (size_t)p->constants_size * sizeof *constants);
  constants[p->constants_size++] = (constant){CONSTANT_INTEGER, {.bits = (uint64_t)INT64_MIN}};
  p->constants = constants;
}

static bool charge_function(arena* a, proto* p, const facts* f) {
  work w = {.a = a, .p = p, .facts = *f, .counter = p->upvalues_size - 2};
  w.to = find_jumps(a, p);
  w.weights = find_weights(a, p);
  int point = charge_point(p, w.to);
  if (!place_registers(&w, point)) return false;
  w.labels = w.label_room = p->code_size + 1;
  w.label = arena_alloc(a, (size_t)w.labels, sizeof *w.label);
  w.moved = arena_alloc(a, (size_t)p->code_size + 1, sizeof *w.moved);
  if (f->depth > 0) add_lowest(&w);
  if (p->constants_size > MAX_BX) return false;
  copy_code(&w, point);
  emit_stubs(&w);
  for (int i = 0; i < p->protos_size; i++) {
    for (int u = 0; u < p->protos[i].upvalues_size; u++) {
      upvalue* up = &p->protos[i].upvalues[u];
      if (up->in_stack && up->index >= p->params) up->index = (uint8_t)(up->index + w.shift);
    }
  }
  finish_names(&w);
  return finish_code(&w);
}

/* ---- A chunk --------------------------------------------------------------------------------- */

static bool needs_counter(const proto* p) {
  facts f = find_facts(p);
  if (charges(&f)) return true;
  for (int i = 0; i < p->protos_size; i++)
    if (needs_counter(&p->protos[i])) return true;
  return false;
}

static bool add_upvalues(arena* a, proto* p, bool in_stack, int index) {
  int n = p->upvalues_size;
  if (n + 2 > MAX_UPVALUES) return false;
  upvalue* upvalues = arena_alloc(a, (size_t)n + 2, sizeof *upvalues);
  if (n > 0) memcpy(upvalues, p->upvalues, (size_t)n * sizeof *upvalues);
  for (int i = 0; i < 2; i++)
    upvalues[n + i] = (upvalue){in_stack, (uint8_t)(index + i), 0, {"(charge)", 8}};
  p->upvalues = upvalues;
  p->upvalues_size = n + 2;
  return true;
}

/* `index`: where the function around it, or lua_load for the main one, has the counter. */
static bool charge_all(arena* a, proto* p, bool main, int index) {
  if (!names_are_sound(p)) return false;
  if (!main && !needs_counter(p)) return true;
  if (!add_upvalues(a, p, main, index)) return false;
  int counter = p->upvalues_size - 2;
  facts f = find_facts(p);
  if (charges(&f) && !charge_function(a, p, &f)) return false;
  for (int i = 0; i < p->protos_size; i++)
    if (!charge_all(a, &p->protos[i], false, counter)) return false;
  return true;
}

bool charge_main(arena* a, proto* p) { return charge_all(a, p, true, p->upvalues_size); }
