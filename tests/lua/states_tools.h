/* states_tools.h: what tests of slua.h share. */
#ifndef STATES_TOOLS_H
#define STATES_TOOLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "demo-lang/slua.h"

static inline slua* state(slua_config config) {
  slua* s = slua_new(&config);
  assert_non_null(s);
  return s;
}
static inline slua* plain(void) { return state((slua_config){.may = SLUA_MAY_TRACE}); }

static inline slua_status run(slua* s, const char* text) {
  return slua_run(s, text, strlen(text), "=t");
}
static inline slua_status load(slua* s, const char* text) {
  return slua_load(s, text, strlen(text), "=t");
}

static inline slua_value integer(int64_t i) {
  return (slua_value){.type = SLUA_INTEGER, .integer = i};
}
static inline slua_value string(const char* text, size_t n) {
  return (slua_value){.type = SLUA_STRING, .text = text, .length = n};
}

typedef struct transcript {
  char at[100000];
  size_t n;
} transcript;

static inline void append(void* arg, const char* piece, size_t n) {
  transcript* t = arg;
  assert_true(t->n + n < sizeof t->at);
  memcpy(t->at + t->n, piece, n);
  t->at[t->n += n] = '\0';
}

#endif
