/* bytecode.c: prints each function of a Lua file as `pc [line] opcode`, in the order in which
** luac -l lists them, after it was read, written, loaded and dumped once more. With --check, reads
** what was damaged in each byte in turn: nothing but a refusal or a sound function may come of it. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo-lang/count/bytecode.h"

static const char* const names[] = {
    "MOVE",     "LOADI",    "LOADF",    "LOADK",    "LOADKX",     "LOADFALSE", "LFALSESKIP",
    "LOADTRUE", "LOADNIL",  "GETUPVAL", "SETUPVAL", "GETTABUP",   "GETTABLE",  "GETI",
    "GETFIELD", "SETTABUP", "SETTABLE", "SETI",     "SETFIELD",   "NEWTABLE",  "SELF",
    "ADDI",     "ADDK",     "SUBK",     "MULK",     "MODK",       "POWK",      "DIVK",
    "IDIVK",    "BANDK",    "BORK",     "BXORK",    "SHRI",       "SHLI",      "ADD",
    "SUB",      "MUL",      "MOD",      "POW",      "DIV",        "IDIV",      "BAND",
    "BOR",      "BXOR",     "SHL",      "SHR",      "MMBIN",      "MMBINI",    "MMBINK",
    "UNM",      "BNOT",     "NOT",      "LEN",      "CONCAT",     "CLOSE",     "TBC",
    "JMP",      "EQ",       "LT",       "LE",       "EQK",        "EQI",       "LTI",
    "LEI",      "GTI",      "GEI",      "TEST",     "TESTSET",    "CALL",      "TAILCALL",
    "RETURN",   "RETURN0",  "RETURN1",  "FORLOOP",  "FORPREP",    "TFORPREP",  "TFORCALL",
    "TFORLOOP", "SETLIST",  "CLOSURE",  "VARARG",   "VARARGPREP", "EXTRAARG"};
_Static_assert(sizeof names / sizeof names[0] == OPCODES, "a name for each");

static _Noreturn void fail(const char* text) {
  fprintf(stderr, "%s\n", text);
  exit(1);
}

typedef struct sink {
  char* bytes;
  size_t size;
} sink;

static int collect(lua_State* L, const void* bytes, size_t n, void* ud) {
  sink* s = ud;
  (void)L;
  s->bytes = realloc(s->bytes, s->size + n);
  if (s->bytes == NULL) return 1;
  memcpy(s->bytes + s->size, bytes, n);
  s->size += n;
  return 0;
}

static span dump(lua_State* L) {
  sink s = {0};
  if (lua_dump(L, collect, &s, 0) != 0) fail("not dumped");
  return (span){s.bytes, s.size};
}

static void print(const proto* p) {
  for (int pc = 0; pc < p->code_size; pc++)
    printf("%d [%d] %s\n", pc + 1, p->lines[pc], names[op_of(p->code[pc])]);
  for (int i = 0; i < p->protos_size; i++) print(&p->protos[i]);
}

static void damage(lua_State* L, span d) {
  char* bytes = (char*)d.bytes;
  int top = lua_gettop(L);
  for (size_t i = 0; i < d.size; i++) {
    char before = bytes[i];
    for (int flip = 1; flip < 256; flip <<= 1) {
      bytes[i] = (char)(before ^ flip);
      lua_newtable(L);
      arena a = {.L = L, .table = lua_gettop(L)};
      proto p;
      if (proto_read(&a, d, &p) && proto_is_sound(&p)) proto_write(&a, &p);
      if (proto_read(&a, (span){d.bytes, i}, &p)) fail("a part of a function was read");
      lua_settop(L, top);
    }
    bytes[i] = before;
  }
}

int main(int argc, char** argv) {
  bool check = argc == 3 && strcmp(argv[1], "--check") == 0;
  if (argc < 2) fail("usage: bytecode [--check] FILE");
  lua_State* L = luaL_newstate();
  if (L == NULL || luaL_loadfile(L, argv[argc - 1]) != LUA_OK) fail("not loaded");
  span first = dump(L);
  lua_newtable(L);
  arena a = {.L = L, .table = lua_gettop(L)};
  proto p, q;
  if (!proto_read(&a, first, &p) || !proto_is_sound(&p)) fail("not read");
  span written = proto_write(&a, &p);
  if (luaL_loadbufferx(L, written.bytes, written.size, "written", "b") != LUA_OK) fail("refused");
  span second = dump(L);
  if (second.size != written.size || memcmp(second.bytes, written.bytes, written.size) != 0)
    fail("not as written");
  if (!proto_read(&a, second, &q)) fail("not read again");
  if (check) damage(L, first);
  print(&q);
  free((char*)first.bytes);
  free((char*)second.bytes);
  lua_close(L);
  return 0;
}
