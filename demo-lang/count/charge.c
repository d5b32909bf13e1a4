/* count/charge.c: which instructions are put in where. The functions of a chunk are changed one by one:
** a first pass finds out what there is to charge, a second one copies the code with additions and
** leaves work for stubs, which come last; then the jumps get their distances. */
#include "demo-lang/count/charge.h"

enum { NONE = -1 };

/* ---- What there is to charge ----------------------------------------------------------------- */

static bool jumps_back(instruction i, int pc) {
  return op_of(i) == OP_JMP && jump_target(i, pc) <= pc;
}

/* Of the jumps to each instruction, the pc of the highest one, or NONE. */
static int* find_jumps(arena* a, const proto* p) {
  int* last = arena_alloc(a, (size_t)p->code_size, sizeof *last);
  for (int pc = 0; pc < p->code_size; pc++) last[pc] = NONE;
  for (int pc = 0; pc < p->code_size; pc++) {
    int target = jump_target(p->code[pc], pc);
    if (target != NONE) last[target] = pc;
  }
  return last;
}

/* Instructions that a tick buys. */
enum { A_TICK = 1024 };

/* As how many instructions one counts, by its time. */
static int weight_of(instruction i) {
  enum { REMAINDER = 4, POWER = 16, CONCATENATION = 16, VALUES = 8, NILS = 32 };
  switch (op_of(i)) {
    case OP_MOD:
    case OP_MODK:
      return REMAINDER;
    case OP_POW:
    case OP_POWK:
      return POWER;
    case OP_CONCAT:
      return CONCATENATION;
    case OP_LOADNIL:
      return 1 + b_of(i) / NILS;
    case OP_VARARG:
      return 1 + c_of(i) / VALUES;
    default:
      return 1;
  }
}

typedef struct facts {
  int* last_jump;
  int64_t*
      before; /* the weight of what is before each instruction, with all turns of the loops that are free */
  bool* is_free;   /* FORPREP and FORLOOP of those */
  int depth;       /* of the other numeric for loops */
  bool jumps_back; /* a jump that is no for loop's; of all of them: */
  int64_t longest; /* the most weight between a target and a jump */
} facts;

static int more_ticks(const facts* f, int from, int to) {
  return (int)((f->before[to] + 1 - f->before[from]) / A_TICK);
}

/* How often the loop goes back, if that is in the code: three LOADI that nobody jumps between. */
static int64_t turns_of(const proto* p, const facts* f, int prepare) {
  if (prepare < 3) return NONE;
  int a = a_of(p->code[prepare]), value[3];
  for (int i = 0; i < 3; i++) {
    int pc = prepare - 3 + i;
    if (op_of(p->code[pc]) != OP_LOADI || a_of(p->code[pc]) != a + i) return NONE;
    if (f->last_jump[pc + 1] != NONE) return NONE;
    value[i] = sbx_of(p->code[pc]);
  }
  int distance = value[1] - value[0], step = value[2];
  if (step == 0) return NONE;
  return (distance > 0) == (step > 0) ? distance / step : 0;
}

/* What comes with a FORLOOP, beyond itself: all turns but the first, if they are few. */
static int64_t weigh_loop(const proto* p, facts* f, int pc) {
  int first = jump_target(p->code[pc], pc);
  int64_t turns = turns_of(p, f, first - 1), body = f->before[pc] + 1 - f->before[first];
  if (turns == NONE || turns * body > A_TICK) return 0;
  f->is_free[first - 1] = f->is_free[pc] = true;
  return turns * body;
}

static facts find_facts(arena* a, const proto* p) {
  size_t size = (size_t)p->code_size;
  facts f = {.last_jump = find_jumps(a, p),
             .before = arena_alloc(a, size, sizeof *f.before),
             .is_free = arena_alloc(a, size, sizeof *f.is_free)};
  int64_t sum = 0;
  for (int pc = 0; pc < p->code_size; pc++) {
    f.before[pc] = sum;
    sum += weight_of(p->code[pc]);
    f.is_free[pc] = false;
    if (jumps_back(p->code[pc], pc)) {
      int64_t body = sum - f.before[jump_target(p->code[pc], pc)];
      if (body > f.longest) f.longest = body;
      f.jumps_back = true;
    }
    if (op_of(p->code[pc]) == OP_FORLOOP) sum += weigh_loop(p, &f, pc);
  }
  for (int pc = 0, depth = 0; pc < p->code_size; pc++) {
    if (f.is_free[pc]) continue;
    if (op_of(p->code[pc]) == OP_FORPREP && ++depth > f.depth) f.depth = depth;
    if (op_of(p->code[pc]) == OP_FORLOOP) depth--;
  }
  return f;
}

/* ---- The new code ----------------------------------------------------------------------------
**
** A label is a number: of an instruction of the old code, or above those. */

typedef struct item {
  instruction code;
  int line, to; /* label, or NONE */
} item;

/* What a jump backwards after a test goes through (`state` is NONE); or the end of a piece. */
typedef struct stub {
  int label;
  int back, done; /* labels: where it goes on; after the loop */
  int a, state;   /* registers of a numeric for: its first, and its hidden one */
  int line;
} stub;

typedef struct work {
  arena* a;
  proto* p; /* what is changed */
  facts facts;
  item* out;
  int size, room;
  int* label; /* each one's place in `out` */
  int labels, label_room;
  int* moved; /* each old instruction's place; its label may lie before it */
  stub* stubs;
  int stubs_size, stub_room;
  int line;
  int shift;  /* registers that were put in after the parameters */
  int turns;  /* register: turns left; then its step, then the index for the body */
  int states; /* register: what is left of the outermost numeric for; then of those within */
} work;

static void emit_to(work* w, instruction code, int to) {
  w->out = arena_grow(w->a, w->out, w->size, &w->room, sizeof *w->out);
  w->out[w->size++] = (item){code, w->line, to};
}

static void emit(work* w, instruction code) { emit_to(w, code, NONE); }
static void emit_jump(work* w, int to) { emit_to(w, OP_JMP, to); }

static int new_label(work* w) {
  w->label = arena_grow(w->a, w->label, w->labels, &w->label_room, sizeof *w->label);
  return w->labels++;
}

static void set_label(work* w, int label) { w->label[label] = w->size; }

/* MMBINI looks at the instruction before it: there is one. */
static void emit_payment(work* w, payment kind, int reg, int operand) {
  if (w->size == 0) {
    emit_jump(w, new_label(w));
    set_label(w, w->labels - 1);
  }
  emit(w, op_abc(OP_MMBINI, reg, operand, (int)kind, 0));
}

/* ---- Sites ----------------------------------------------------------------------------------- */

/* The label of a stub that the caller has described but for that. */
static int add_stub(work* w, stub s) {
  s.label = new_label(w);
  s.line = w->line;
  w->stubs = arena_grow(w->a, w->stubs, w->stubs_size, &w->stub_room, sizeof *w->stubs);
  w->stubs[w->stubs_size++] = s;
  return s.label;
}

static void emit_turn(work* w, int back) {
  emit_to(w, op_abx(OP_FORLOOP, w->turns - 1, 0), back);
  emit_payment(w, PAY_TURNS, w->turns, 0);
  emit_jump(w, back);
}

static void emit_piece(work* w, const stub* s) {
  emit_payment(w, PAY_PIECE, s->a, s->a - s->state);
  emit(w, op_abc(OP_TEST, s->a + 3, 0, 0, 0));
  emit_jump(w, s->done);
  emit_jump(w, s->back);
}

static void emit_stubs(work* w) {
  for (int i = 0; i < w->stubs_size; i++) {
    const stub* s = &w->stubs[i];
    w->line = s->line;
    set_label(w, s->label);
    if (s->state == NONE)
      emit_turn(w, s->back);
    else
      emit_piece(w, s);
  }
}

static void charge(work* w, int ticks) {
  enum { MOST = 255 };
  for (; ticks > 0; ticks -= MOST) emit_payment(w, PAY_TICKS, 0, ticks < MOST ? ticks : MOST);
}

/* All free turns together are a tick's worth. */
static int free_turns(const facts* f) {
  int64_t n = A_TICK / f->longest;
  return n < FREE ? (int)n : FREE;
}

static void start_function(work* w) {
  if (w->facts.jumps_back) {
    emit(w, op_asbx(OP_LOADI, w->turns, free_turns(&w->facts)));
    emit(w, op_asbx(OP_LOADI, w->turns + 1, 0));
  }
  charge(w, more_ticks(&w->facts, 0, w->p->code_size - 1));
}

/* At the start of a body that jumps come back to. */
static void start_body(work* w, int pc) {
  int last = w->facts.last_jump[pc];
  if (last >= pc) charge(w, more_ticks(&w->facts, pc, last));
}

static void jump_back(work* w, int pc) {
  int target = jump_target(w->p->code[pc], pc);
  if (pc > 0 && is_test(w->p->code[pc - 1])) /* the test jumps, whatever instruction is here */
    emit_jump(w, add_stub(w, (stub){.back = target, .state = NONE}));
  else
    emit_turn(w, target);
}

static void start_for(work* w, int pc, int depth) {
  int a = a_of(w->p->code[pc]) + w->shift;
  emit_payment(w, PAY_LOOP, a, a - (w->states + depth));
}

static void end_for(work* w, int pc, int depth) {
  instruction i = w->p->code[pc];
  stub s = {.back = jump_target(i, pc),
            .done = pc + 1,
            .a = a_of(i) + w->shift,
            .state = w->states + depth};
  emit(w, op_abc(OP_TEST, s.state, 0, 0, 1));
  emit_jump(w, add_stub(w, s));
}

/* ---- A function ------------------------------------------------------------------------------ */

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

static void copy_code(work* w) {
  int depth = 0, entry = op_of(w->p->code[0]) == OP_VARARGPREP;
  for (int pc = 0; pc < w->p->code_size; pc++) {
    instruction i = w->p->code[pc];
    w->line = w->p->lines[pc];
    if (pc == entry) start_function(w);
    set_label(w, pc);
    start_body(w, pc);
    w->moved[pc] = w->size;
    if (jumps_back(i, pc)) {
      jump_back(w, pc);
      continue;
    }
    emit_to(w, shifted(w, i), jump_target(i, pc));
    if (w->facts.is_free[pc]) continue;
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

/* The hidden registers. False: too many. */
static bool place_registers(work* w) {
  proto* p = w->p;
  int at = p->params;
  if (w->facts.jumps_back && at == 0) at++; /* for the index of the control block */
  w->turns = at;
  if (w->facts.jumps_back) at += 3;
  w->states = at;
  at += w->facts.depth;
  w->shift = at - p->params;
  if (p->registers + w->shift > MAX_REGISTERS) return false;
  p->registers = (uint8_t)(p->registers + w->shift);
  return true;
}

static void shift_upvalues(const work* w) {
  const proto* p = w->p;
  for (int i = 0; i < p->protos_size; i++) {
    for (int u = 0; u < p->protos[i].upvalues_size; u++) {
      upvalue* up = &p->protos[i].upvalues[u];
      if (up->in_stack && up->index >= p->params) up->index = (uint8_t)(up->index + w->shift);
    }
  }
}

static bool charge_function(arena* a, proto* p, const facts* f) {
  work w = {.a = a, .p = p, .facts = *f};
  if (!place_registers(&w)) return false;
  w.labels = w.label_room = p->code_size + 1;
  w.label = arena_alloc(a, (size_t)w.labels, sizeof *w.label);
  w.moved = arena_alloc(a, (size_t)p->code_size + 1, sizeof *w.moved);
  copy_code(&w);
  emit_stubs(&w);
  shift_upvalues(&w);
  finish_names(&w);
  return finish_code(&w);
}

/* ---- A chunk --------------------------------------------------------------------------------- */

bool charge_main(arena* a, proto* p, bool* changed) {
  if (!names_are_sound(p)) return false;
  facts f = find_facts(a, p);
  bool pays = f.jumps_back || f.depth > 0 || more_ticks(&f, 0, p->code_size - 1) > 0;
  if (pays && !charge_function(a, p, &f)) return false;
  *changed |= pays;
  for (int i = 0; i < p->protos_size; i++)
    if (!charge_main(a, &p->protos[i], changed)) return false;
  return true;
}
