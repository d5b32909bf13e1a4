/* policy.h: what differs between the builds, as constants and limits; no fast path has an #if.
**
** MI_DEBUG=1 and MI_SECURE=1 keep the state of each block out of its reach and check it
** (checked.c), with a zone between blocks. They keep each request's size class and enlarge only
** the distance between blocks, so ticks, beats and classes do not change. The debug build is as
** deterministic as the plain one, fills memory with patterns and validates structures at every
** refill; the secure build places and reuses blocks at random (secure.c) and aborts at misuse. */
#ifndef SLUICE_POLICY_H
#define SLUICE_POLICY_H

#include <assert.h>
#include <stddef.h>

#ifndef MI_DEBUG
#define MI_DEBUG 0
#endif
#ifndef MI_SECURE
#define MI_SECURE 0
#endif
#define CHECKED (MI_DEBUG || MI_SECURE)

/* Checked in debug builds only, for what costs more than a compare. */
#define mi_assert(e) ((void)(MI_DEBUG && ((e) || (invariant_failed(#e, __FILE__, __LINE__), 0))))
_Noreturn void invariant_failed(const char* what, const char* file, int line);

#define likely(e) __builtin_expect(!!(e), 1)
#define unlikely(e) __builtin_expect(!!(e), 0)

/* Bytes before, between and behind blocks that nobody may write to; what freed and fresh memory is
** filled with (the secure build leaves fresh memory as it is, which is zero). */
enum {
  ZONE = CHECKED ? 16 : 0,
  FREED_FILL = MI_SECURE ? 0 : 0xDF,
  FRESH_FILL = MI_SECURE ? 0 : 0xD0
};

#if defined(__aarch64__)
#define ADDRESS_BITS 48
#else
#define ADDRESS_BITS 47
#endif

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define GiB ((size_t)1 << 30)

#endif
