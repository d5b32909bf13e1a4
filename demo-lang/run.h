/* run.h: within the standalone slua: what it runs, as lua5.4 does. */
#ifndef SLUICE_RUN_H
#define SLUICE_RUN_H

#include "demo-lang/guest.h"

/* The command line without slua's own options, so that these change nothing for the script. */
typedef struct command {
  slua* state;
  char** argv;
  int argc;
  int script;         /* its index in argv; argc: none */
  bool interactive;   /* -i */
  bool version;       /* -v, and -i */
  bool code;          /* -e */
  bool init;          /* LUA_INIT has a say */
  const char* binary; /* the mode for lua_load: NULL or "t" */
  bool succeeded;
} command;

/* The whole session: a slua_function. */
int run_command(lua_State* L, void* command);

/* Calls the function below nargs arguments; an error is reported with a traceback, and false. */
bool run_function(lua_State* L, slua* s, int nargs, int nresults);
/* Reports the message at the top and takes it away. */
void run_report(lua_State* L);

/* repl.c: reads and runs lines until the input ends; messages then have no program's name. */
void run_lines(lua_State* L, const command* c);

#endif
