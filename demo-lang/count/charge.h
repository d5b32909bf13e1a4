/* count/charge.h: what a guest pays for its loops, put into its bytecode.
**
** A tick is a call (steps.c counts those where they happen) or a turn of a loop. What else a function
** does is bounded by its size: in long ones, a turn and an activation cost one more for each 1,024
** instructions. (What runs a second time in an activation lies between a jump backwards and its
** target.) A numeric for whose numbers are all literals is not a loop but as many instructions as all its
** turns have, if these are 1,024 at most beyond its own. Some that take long are counted as up to 16, and 8 values
** of `...` or 32 of nil as one. The charge comes before the work.
**
** An instruction that pays is an MMBINI, which in Lua's own code comes after an addition and calls a metamethod
** if that has failed. Here it comes alone, and names another one: PAY_*. What liblua calls for it is in another
** of its files, so the linker sends it to steps.c, with the address of a register. So paying is one
** instruction, and what it does with the registers is written in C (meter.c).
**
** - A numeric for pays once, when FORPREP has left the number of its turns in R[A+1]: PAY_LOOP. If the
**   counter does not suffice the loop is cut into pieces: R[A+1] has the turns of this piece, and
**   a hidden register what is left. At the end of a piece that register is not nil, and PAY_PIECE gives the
**   next one. A float loop has its limit in R[A+1], and is cut likewise.
** - A generic for pays with the calls of its iterator.
** - A jump backwards becomes a FORLOOP over a hidden control block: the instruction that jumps and
**   counts down in one. It starts at FREE turns in each activation, which the call has paid for; at fewer in
**   a function where these could be more than 1,024 instructions.
**   Step is 0, so the register of the index keeps its value, and may be any (it is a parameter's). When
**   the count is used up, FORLOOP does not jump; then PAY_TURNS buys FREE turns more. Those that are left
**   at a return are lost.
** - PAY_TICKS pays for long code.
**
** Error messages and tracebacks stay what they are. The hidden registers are right above the
** parameters, so that calls and open results do not overwrite them, and have names, so that the
** names of locals stay at their registers. What runs seldom is at the end of the function, with
** the lines of its sites: Lua's search for the name of a value ignores jumps beyond the point of
** the error. */
#ifndef SLUICE_CHARGE_H
#define SLUICE_CHARGE_H

#include "demo-lang/count/bytecode.h"

enum { FREE = 32 };

/* In the operand C of an MMBINI; A is a register, B a number of 8 bits. These are numbers of metamethods that no
** arithmetic has: Lua may look for the name of one, for a trace. */
typedef enum payment {
  PAY_TICKS, /* B ticks */
  PAY_TURNS, /* R[A], a count: FREE more, of which one is used now */
  PAY_LOOP,  /* a numeric for at A begins; R[A-B] becomes what is left, or nil */
  PAY_PIECE, /* its next piece begins; but if R[A+3] becomes false, it has ended */
  PAYMENTS
} payment;

/* Makes the main function of a chunk, with all functions in it, pay for loops; sets *changed if there is something
** to pay. False: a function does not fit (registers, length of a jump), and `p` is not to be used. */
bool charge_main(arena* a, proto* p, bool* changed);

#endif
