/* trace.c: who made the call in which the debug or the secure build found a misuse. The frames come from
** the compiler's unwinder, which needs no memory; FILE+0xOFFSET is what addr2line takes. */
#include "alloc/internal.h"

#include <stdio.h>

#ifdef __GLIBC__
#include <dlfcn.h>
#include <unwind.h>

enum { FRAMES_OF_OURS = 2, FRAMES = 14, TEXT = 400 };

void trace_place(char* text, size_t size, const void* at) {
  Dl_info in;
  if (dladdr(at, &in) == 0 || in.dli_fname == NULL)
    snprintf(text, size, "%p", at);
  else
    snprintf(text, size, "%s+0x%zx%s%s%s", in.dli_fname, (uintptr_t)at - (uintptr_t)in.dli_fbase,
             in.dli_sname != NULL ? " (" : "", in.dli_sname != NULL ? in.dli_sname : "",
             in.dli_sname != NULL ? ")" : "");
}

static _Unwind_Reason_Code say_frame(struct _Unwind_Context* context, void* arg) {
  int* count = arg;
  uintptr_t at = _Unwind_GetIP(context) - 1; /* within the call, not behind it */
  char place[TEXT];
  if (at + 1 == 0 || ++*count > FRAMES) return _URC_END_OF_STACK;
  if (*count <= FRAMES_OF_OURS) return _URC_NO_REASON;
  trace_place(place, sizeof place, (void*)at);
  message("sluice:   at %s", place);
  return _URC_NO_REASON;
}

void trace_say(void) {
  int count = 0;
  if (CHECKED) (void)_Unwind_Backtrace(say_frame, &count);
}

#else

void trace_say(void) {}
void trace_place(char* text, size_t size, const void* at) { snprintf(text, size, "%p", at); }

#endif
