/* trace.c: who made the call in which the debug or the secure build found a misuse. The frames come from
** the compiler's unwinder, which needs no memory; FILE+0xOFFSET is what addr2line takes. */
#include "alloc/internal.h"

#ifdef __GLIBC__
#include <dlfcn.h>
#include <unwind.h>

enum { FRAMES_OF_OURS = 2, FRAMES = 14 };

static _Unwind_Reason_Code say_frame(struct _Unwind_Context* context, void* arg) {
  int* count = arg;
  uintptr_t at = _Unwind_GetIP(context) - 1; /* within the call, not behind it */
  Dl_info in;
  if (at + 1 == 0 || ++*count > FRAMES) return _URC_END_OF_STACK;
  if (*count <= FRAMES_OF_OURS) return _URC_NO_REASON;
  if (dladdr((void*)at, &in) == 0 || in.dli_fname == NULL)
    message("sluice:   at %p", (void*)at);
  else if (in.dli_sname == NULL)
    message("sluice:   at %s+0x%zx", in.dli_fname, at - (uintptr_t)in.dli_fbase);
  else
    message("sluice:   at %s+0x%zx (%s)", in.dli_fname, at - (uintptr_t)in.dli_fbase, in.dli_sname);
  return _URC_NO_REASON;
}

void trace_say(void) {
  int count = 0;
  if (CHECKED) (void)_Unwind_Backtrace(say_frame, &count);
}

#else

void trace_say(void) {}

#endif
