/* rc_shrink.h: random programs as data, that run in a child process and are made smaller when they fail (delta
** debugging; Zeller and Hildebrandt 2002). */
#ifndef RC_SHRINK_H
#define RC_SHRINK_H

#include "tests/unit/rc_tools.h"

#include <sys/wait.h>

/* ---- Programs: a pacing, and operations ----------------------------------------------------------- */

typedef struct op {
  uint8_t code, a, b;
  uint32_t n, k;
} op;

typedef struct program {
  rc_pacing pacing;
  size_t count;
  op* ops;
} program;

static inline void op_print(const op* o, const char* text) {
  for (const char* t = text; *t != 0; t++) {
    if (*t != '{') {
      putchar(*t);
      continue;
    }
    char which = t[1];
    printf("%u", which == 'a' ? o->a : which == 'b' ? o->b : which == 'n' ? o->n : o->k);
    t += 2;
  }
  putchar('\n');
}

/* With the texts of its operations, by code. */
static inline void program_print_as(const program* p, const char* const* texts) {
  printf("%space %u, quantum %u, debt limit ", p->pacing.deterministic ? "deterministic, " : "",
         p->pacing.pace, p->pacing.quantum);
  printf(p->pacing.debt_limit == RC_DEBT_AUTO ? "auto\n" : "%llu\n",
         (unsigned long long)p->pacing.debt_limit);
  for (size_t i = 0; i < p->count; i++)
    printf("%5zu  ", i), op_print(&p->ops[i], texts[p->ops[i].code]);
}

/* ---- Random numbers ------------------------------------------------------------------------------- */

static inline uint64_t mix(uint64_t x) {
  x = (x + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
  return x ^ x >> 32;
}

/* 1 to `most`; each power of two as often as the others. */
static inline uint64_t skewed(uint64_t* state, uint64_t most) {
  unsigned bits = 0;
  while (most >> (bits + 1) != 0) bits++;
  uint64_t low = (uint64_t)1 << rnd_from(state, bits + 1), n = low + rnd_from(state, low);
  return n < most ? n : most;
}

/* ---- A child process ------------------------------------------------------------------------------ */

/* What became of it, as waitpid tells: 0 if all is well. */
static inline int status_of_child(void (*act)(const void*), const void* arg) {
  int status;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    act(arg);
    exit(0);
  }
  require(child > 0 && waitpid(child, &status, 0) == child, "no child process");
  return status;
}

/* ---- The shrinker ---------------------------------------------------------------------------- */

typedef bool fails_fun(const program* p);

static inline program program_copy(const program* p) {
  program copy = *p;
  copy.ops = libc_array(p->count + 1, sizeof(op));
  memcpy(copy.ops, p->ops, p->count * sizeof(op));
  return copy;
}

/* Replaces *p by the other if that fails, too. */
static inline bool program_try(program* p, program* other, fails_fun* fails) {
  bool better = fails(other);
  free(better ? p->ops : other->ops);
  if (better) *p = *other;
  return better;
}

static inline bool try_without(program* p, size_t at, size_t n, fails_fun* fails) {
  program less = program_copy(p);
  if (n > p->count - at) n = p->count - at;
  memmove(&less.ops[at], &less.ops[at + n], (p->count - at - n) * sizeof(op));
  less.count -= n;
  return program_try(p, &less, fails);
}

static inline bool try_numbers(program* p, size_t at, uint32_t n, uint32_t k, fails_fun* fails) {
  if (n == p->ops[at].n && k == p->ops[at].k) return false;
  program less = program_copy(p);
  less.ops[at].n = n;
  less.ops[at].k = k;
  return program_try(p, &less, fails);
}

static inline bool shrink_numbers(program* p, fails_fun* fails) {
  bool any = false;
  for (size_t at = 0; at < p->count; at++) {
    const op* o = &p->ops[at];
    while (try_numbers(p, at, o->n / 2, o->k, fails) || try_numbers(p, at, o->n, o->k / 2, fails) ||
           (o->n > 0 && try_numbers(p, at, o->n - o->n / 8, o->k, fails)))
      o = &p->ops[at], any = true;
  }
  return any;
}

static inline bool shrink_ops(program* p, fails_fun* fails) {
  bool any = false;
  for (size_t chunk = p->count; chunk > 0; chunk /= 2)
    for (size_t at = 0; at < p->count;)
      if (try_without(p, at, chunk, fails))
        any = true;
      else
        at += chunk;
  return any;
}

static inline void program_shrink(program* p, fails_fun* fails) {
  while (shrink_ops(p, fails) || shrink_numbers(p, fails)) {}
}

#endif
