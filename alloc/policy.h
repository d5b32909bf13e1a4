/* policy.h: what differs between the builds, as constants and limits; no fast path has an #if.
**
** MI_DEBUG=1 gives each block a trailer (debug.c), fills memory, and validates structures at
** every refill. It keeps each request's size class and enlarges only the distance between
** blocks, so ticks, beats and the number of blocks in a class do not change. */
#ifndef SLUICE_POLICY_H
#define SLUICE_POLICY_H

#include <assert.h>
#include <stddef.h>

#ifndef MI_DEBUG
#define MI_DEBUG 0
#endif

/* Checked in debug builds only, for what costs more than a compare. */
#define mi_assert(e) ((void)(MI_DEBUG && ((e) || (invariant_failed(#e, __FILE__, __LINE__), 0))))
_Noreturn void invariant_failed(const char* what, const char* file, int line);

#define likely(e) __builtin_expect(!!(e), 1)
#define unlikely(e) __builtin_expect(!!(e), 0)

/* Bytes behind each block; a single one may start at any address, its trailer may not. */
enum { TRAILER = MI_DEBUG ? 16 : 0, TRAILER_SINGLE = MI_DEBUG ? 16 + 8 : 0 };

#if defined(__aarch64__)
#define ADDRESS_BITS 48
#else
#define ADDRESS_BITS 47
#endif

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define GiB ((size_t)1 << 30)

#endif
