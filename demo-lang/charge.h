/* charge.h: what a guest pays for its work, put into its bytecode.
**
** A tick is one turn of a loop, or one activation of a function that is long or can call another one.
** What else a function does is bounded by its size: in long ones, a turn and an activation cost one
** more for each 1,024 instructions, of which those that can call something count 16. (What runs a
** second time in an activation lies between a jump backwards and its target.) The charge comes
** before the work.
**
** Two upvalues are shared by all functions that charge: `counter`, an integer, the ticks that are
** granted and not used; and `pay`, a C function that is called when the counter is below 0. It
** gets a new grant from the task, or stops the guest. In detail:
**
** - An activation that can call takes 1 from the counter at its start, or behind guards such as
**   `if n < 2 then return n end` that come first and call nothing. It can call if it has a call;
**   two operations that may have a metamethod; or one, and a loop. (One operation alone makes
**   chains, whose length Lua limits to 200.)
** - Loops have budgets: registers that start at FREE turns in each activation and are refilled
**   from the counter. The caller's charge covers the free turns; what is left of a budget at a
**   return is lost. So the ticks of an activation may differ by FREE a budget from its turns.
** - A jump backwards becomes a FORLOOP over a hidden control block: the instruction that jumps and
**   counts down in one. Step is 0, so the register of the index keeps its value, and may be any
**   (it is a parameter's). When the count is used up, FORLOOP does not jump; a refill comes next.
** - A generic for takes 1 from the same count at the start of its body.
** - A numeric for pays once, when its number of turns is known: FORPREP leaves it in R[A+1]. If the
**   first value and the step are not literals that make this an integer below 2^63, that is
**   tested. A loop that the counter does not suffice for goes through `pay`, which cuts it into
**   pieces: R[A+1] has the turns of this piece, the budget is -1, and the register after it has
**   what is left (a float loop: its limit). At the end of a piece the budget tells, and `pay`
**   gives the next one. A loop that is left early leaves the -1 behind; the next one there is
**   then charged one turn more.
**
** Invariants: while the code of the guest runs, the turn count and the counter are >= 0, and the
** budget of a numeric for is an integer >= -1.
**
** Error messages and tracebacks stay what they are. The hidden registers are right above the
** parameters, so that calls and open results do not overwrite them, and have names, so that the
** names of locals stay at their registers. What runs seldom is at the end of the function, with
** the lines of its sites: Lua's search for the name of a value ignores jumps beyond the point of
** the error. */
#ifndef SLUICE_CHARGE_H
#define SLUICE_CHARGE_H

#include "demo-lang/bytecode.h"

enum { FREE = 32 };

/* Makes the main function of a chunk, with all functions in it, charge: the counter and `pay` come
** after its upvalues. False: a function does not fit (registers, upvalues, length of a jump), and
** `p` is not to be used. */
bool charge_main(arena* a, proto* p);

#endif
