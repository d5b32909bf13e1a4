/* state.c: slua.h, on guest.c.
**
** The main state's stack holds, while nothing runs, the closure of `host_function`, what was loaded
** (a coroutine, or nil), and the results of the last call, unless the coroutine has them. All that
** can throw is called by that closure, within guest_call. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "demo-lang/rc/value.h"
#include "demo-lang/count/steps.h"

enum { OUTPUT_BUFFER = 256 };
enum { HOST_FUNCTION = 1, LOADED, FIRST_RESULT };

struct slua {
  guest g; /* guest_of gives it, and so the slua */
  struct {
    slua_function* f; /* what host_function is to call; NULL once it does */
    void* arg;
  } call;
  lua_State* co;   /* what was loaded; NULL: nothing, or it has ended */
  lua_State* from; /* which has the results, at its top */
  int results;
  uint64_t slice; /* ticks; 0: none */
  bool no_environment;
  slua_output* output;
  void* output_arg;
  char buffer[]; /* of g.out, if there is an output: OUTPUT_BUFFER */
};

/* ---- Making ---------------------------------------------------------------------------------- */

/* The guest can get hold of it, but not run it again. */
static int host_function(lua_State* L) {
  slua* s = (slua*)guest_of(L);
  slua_function* f = s->call.f;
  if (f == NULL) return luaL_error(L, "the main function is running");
  s->call.f = NULL;
  return f(L, s->call.arg);
}

static ssize_t write_output(void* cookie, const char* text, size_t length) {
  slua* s = cookie;
  s->output(s->output_arg, text, length);
  return (ssize_t)length;
}

static bool open_output(slua* s, const slua_config* config) {
  if (config->output == NULL) return true;
  s->output = config->output;
  s->output_arg = config->output_arg;
  FILE* out = fopencookie(s, "w", (cookie_io_functions_t){.write = write_output});
  if (out == NULL) return false;
  setvbuf(out, s->buffer, _IOFBF, OUTPUT_BUFFER);
  s->g.out = out;
  return true;
}

/* io.stdout and what print writes to are one. */
static void join_outputs(lua_State* L, FILE* out) {
  lua_getglobal(L, LUA_IOLIBNAME);
  if (lua_getfield(L, -1, "stdout") == LUA_TUSERDATA)
    ((luaL_Stream*)luaL_checkudata(L, -1, LUA_FILEHANDLE))->f = out;
  lua_pop(L, 2);
}

static int prepare(lua_State* L) {
  slua* s = (slua*)guest_of(L);
  if (s->no_environment || s->g.repeatable) { /* the libraries look for that */
    lua_pushboolean(L, true);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  guest_open_libraries(L);
  if (s->output != NULL) join_outputs(L, s->g.out);
  lua_pushnil(L);
  lua_pushcclosure(L, host_function, 1);
  lua_gc(L, LUA_GCCOLLECT); /* there is garbage, which copies would have, too */
  return 1;
}

static bool is_allowed(const slua_config* c) {
  bool guarded = c->repeatable || guest_counts(c) || c->limits.bytes != 0;
  return !guarded || (c->may & SLUA_MAY_ANYTHING) != SLUA_MAY_ANYTHING;
}

static void release(slua* s) {
  if (s->output != NULL && s->g.out != NULL) fclose(s->g.out);
  free(s);
}

/* Errno tells why not, and the task has ended. */
static bool make(slua* s) {
  if (!guest_make(&s->g)) return false;
  lua_State* L = s->g.L;
  lua_pushcfunction(L, prepare);
  if (guest_call(&s->g, 0, 1, 0)) {
    lua_settop(L, LOADED);
    return true;
  }
  if (rt_expired(s->g.task) == RT_HEARTBEATS) return true;
  guest_end(&s->g);
  errno = ENOMEM;
  return false;
}

/* With its task entered, and an output, but not made. All begin compact, so that they can be copied, and are equal
** whether they are copies or not. */
static slua* begin(const slua_config* config) {
  slua* s = calloc(1, sizeof *s + (config->output != NULL ? OUTPUT_BUFFER : 0));
  if (s == NULL) return NULL;
  slua_config compact = *config;
  compact.limits.compact = true;
  if (!guest_begin(&s->g, &compact)) {
    int error = errno;
    free(s);
    errno = error;
    return NULL;
  }
  s->no_environment = config->no_environment;
  if (open_output(s, config)) return s;
  guest_end(&s->g);
  release(s);
  errno = ENOMEM;
  return NULL;
}

static slua* make_or_release(slua* s) {
  if (make(s)) return s;
  int error = errno;
  release(s);
  errno = error;
  return NULL;
}

/* ---- Copies ----------------------------------------------------------------------------------
**
** Of each kind the first state is made one by one; with the second one, a template. */

enum {
  KIND_REPEATABLE = 32,
  KIND_COUNTED = 64,
  KIND_NO_ENVIRONMENT = 128,
  KIND_OUTPUT = 256,
  ALL_KINDS = 512
};
enum { TRIES_FROM = 1, TRIES_TO = 4 };

static pthread_mutex_t templates_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(const template*) templates[ALL_KINDS];
static uint8_t asked[ALL_KINDS]; /* how often there was no template; under the lock */

static unsigned kind_of(const slua* s, const slua_config* config) {
  return (config->may & SLUA_MAY_ANYTHING) | (config->repeatable ? KIND_REPEATABLE : 0) |
         (s->g.counted ? KIND_COUNTED : 0) | (config->no_environment ? KIND_NO_ENVIRONMENT : 0) |
         (config->output != NULL ? KIND_OUTPUT : 0);
}

/* What the libraries look at in the environment, which may change. */
static bool environment_matters(const slua_config* config) {
  static const char* const names[] = {"LUA_PATH_5_4", "LUA_CPATH_5_4", "LUA_PATH", "LUA_CPATH"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (!config->repeatable && !config->no_environment && getenv(names[i]) != NULL) return true;
  return false;
}

/* A record of the task tells of each beat: then there is a difference. */
static bool may_be_copy(const slua_config* config) {
  return config->limits.record == 0 && !config->limits.measure_pauses && !config->by_hook &&
         !environment_matters(config);
}

static void no_output(void* arg, const char* text, size_t length) {
  (void)arg, (void)text, (void)length;
}

static slua* make_example(const slua_config* config) {
  slua* s = begin(config);
  if (s == NULL) return NULL;
  template_begin(&s->g);
  s = make_or_release(s);
  if (s != NULL) rt_leave();
  return s;
}

static template* make_template(const slua_config* config) {
  slua_config example = {.may = config->may,
                         .repeatable = config->repeatable,
                         .counted = guest_counts(config),
                         .no_environment = config->no_environment,
                         .output = config->output != NULL ? no_output : NULL};
  slua *a = make_example(&example), *b = a != NULL ? make_example(&example) : NULL;
  template* t = b != NULL ? template_new(&a->g, &b->g) : NULL;
  slua_close(a);
  slua_close(b);
  return t;
}

/* NULL: there is none (yet), or another thread makes one. */
static const template* find_template(unsigned kind, const slua_config* config) {
  const template* t = atomic_load_explicit(&templates[kind], memory_order_acquire);
  if (t != NULL || pthread_mutex_trylock(&templates_lock) != 0) return t;
  t = atomic_load_explicit(&templates[kind], memory_order_relaxed);
  if (t == NULL && asked[kind] < TRIES_TO && asked[kind]++ >= TRIES_FROM && guest_can_seed()) {
    t = make_template(config);
    atomic_store_explicit(&templates[kind], t, memory_order_release);
  }
  pthread_mutex_unlock(&templates_lock);
  return t;
}

static bool copy(slua* s, const slua_config* config) {
  const template* t = may_be_copy(config) ? find_template(kind_of(s, config), config) : NULL;
  return t != NULL && template_copy(t, &s->g);
}

static slua* new_state(const slua_config* config) {
  if (!is_allowed(config)) {
    errno = EINVAL;
    return NULL;
  }
  slua* s = begin(config);
  if (s == NULL) return NULL;
  if (!copy(s, config) && (s = make_or_release(s)) == NULL) return NULL;
  if (!config->limits.compact) rt_end_compact();
  rt_leave();
  return s;
}

/* A guest may be running, whose host makes this one. */
slua* slua_new(const slua_config* config) {
  static const slua_config none;
  guest* before = steps_switch(NULL);
  slua* s = new_state(config != NULL ? config : &none);
  steps_switch(before);
  return s;
}

/* ---- Entering and leaving -------------------------------------------------------------------- */

static slua_status ended(const slua* s) {
  if (s->g.exits) return SLUA_EXIT;
  return rt_expired(s->g.task) != RT_NONE ? SLUA_STOPPED : SLUA_OK;
}

/* Enters the task, for a state without results of an earlier call. Else the status tells why not. */
static slua_status enter(slua* s) {
  if (rt_enter(s->g.task) != 0) return SLUA_BUSY;
  slua_status status = ended(s);
  if (status == SLUA_OK && s->g.L == NULL) status = SLUA_ERROR;
  if (status != SLUA_OK) {
    s->results = 0;
    rt_leave();
    return status;
  }
  if (s->from != NULL && s->from != s->g.L) lua_pop(s->from, s->results);
  lua_settop(s->g.L, LOADED);
  s->results = 0;
  s->from = NULL;
  return SLUA_OK;
}

/* The values at the top of `from` are the results. */
static slua_status leave(slua* s, slua_status status, lua_State* from, int results) {
  if (ended(s) != SLUA_OK) {
    status = ended(s);
    results = 0;
    s->co = NULL;
  }
  s->from = from;
  s->results = results;
  if (s->output != NULL) fflush(s->g.out);
  rt_leave();
  return status;
}

slua_status slua_finish(slua* s) {
  if (rt_enter(s->g.task) != 0) return SLUA_BUSY;
  if (s->g.L != NULL) guest_finish(&s->g);
  return leave(s, SLUA_OK, NULL, 0);
}

int slua_close(slua* s) {
  if (s == NULL) return 0;
  if (slua_finish(s) == SLUA_BUSY) return EBUSY;
  rt_task_end(s->g.task);
  release(s);
  return 0;
}

static void prepare_call(slua* s, slua_function* f, void* arg) {
  s->call.f = f;
  s->call.arg = arg;
  lua_pushvalue(s->g.L, HOST_FUNCTION);
}

static bool call(slua* s, slua_function* f, void* arg, int results) {
  prepare_call(s, f, arg);
  return guest_call(&s->g, 0, results, 0);
}

static slua_status leave_main(slua* s, slua_status status) {
  int results = ended(s) == SLUA_OK ? lua_gettop(s->g.L) - LOADED : 0;
  return leave(s, status, s->g.L, results);
}

slua_status slua_call(slua* s, slua_function* f, void* arg) {
  slua_status status = enter(s);
  if (status != SLUA_OK) return status;
  return leave_main(s, call(s, f, arg, LUA_MULTRET) ? SLUA_OK : SLUA_ERROR);
}

/* ---- Loading and running --------------------------------------------------------------------- */

typedef struct chunk {
  const char *text, *name;
  size_t length;
} chunk;

/* Returns a coroutine that will run it. */
static int load_chunk(lua_State* L, void* arg) {
  const chunk* c = arg;
  lua_State* co = lua_newthread(L);
  if (guest_loaded(L, luaL_loadbufferx(L, c->text, c->length, c->name, "t")) != LUA_OK)
    return lua_error(L);
  lua_xmove(L, co, 1);
  guest_arm(co);
  return 1;
}

slua_status slua_load(slua* s, const char* text, size_t length, const char* name) {
  chunk c = {.text = text, .name = name, .length = length};
  slua_status status = enter(s);
  if (status != SLUA_OK) return status;
  lua_State* L = s->g.L;
  lua_pushnil(L);
  lua_replace(L, LOADED);
  s->co = NULL;
  if (!call(s, load_chunk, &c, 1)) return leave_main(s, SLUA_ERROR);
  s->co = lua_tothread(L, -1);
  lua_replace(L, LOADED);
  return leave_main(s, SLUA_OK);
}

typedef struct arguments {
  const slua_value* at;
  int n;
  lua_State* to;
} arguments;

static void push_value(lua_State* L, const slua_value* v) {
  switch (v->type) {
    case SLUA_BOOLEAN:
      lua_pushboolean(L, v->boolean);
      break;
    case SLUA_INTEGER:
      lua_pushinteger(L, v->integer);
      break;
    case SLUA_NUMBER:
      lua_pushnumber(L, v->number);
      break;
    case SLUA_STRING:
      lua_pushlstring(L, v->text, v->length);
      break;
    case SLUA_SHARED:
      handle_push_word(L, (rc_word)v->shared);
      break;
    default:
      lua_pushnil(L);
      break;
  }
}

static int push_arguments(lua_State* L, void* arg) {
  const arguments* a = arg;
  luaL_checkstack(L, a->n, "too many arguments");
  if (a->n < 0) return luaL_error(L, "a negative number of arguments");
  if (!lua_checkstack(a->to, a->n)) return luaL_error(L, "too many arguments");
  for (int i = 0; i < a->n; i++) push_value(L, &a->at[i]);
  lua_xmove(L, a->to, a->n);
  return 0;
}

static int nothing_loaded(lua_State* L, void* arg) {
  (void)arg;
  return luaL_error(L, "nothing is loaded, or it has ended");
}

/* Returns the error that ended a coroutine and a traceback, after what was pending there was
** closed. */
static int end_of_error(lua_State* L, void* arg) {
  lua_State* co = arg;
  luaL_traceback(L, co, NULL, 0);
  guest_reset_coroutine(L, co);
  lua_xmove(co, L, 1);
  lua_insert(L, -2);
  return 2;
}

void slua_set_slice(slua* s, uint64_t ticks) { s->slice = ticks; }

/* The tick at which the slice that begins now is used up. */
static uint64_t slice_end(const slua* s) {
  uint64_t now = guest_ticks(&s->g);
  return s->slice != 0 && s->slice < UINT64_MAX - now ? now + s->slice : UINT64_MAX;
}

slua_status slua_resume(slua* s, const slua_value* args, int n) {
  slua_status entered = enter(s);
  if (entered != SLUA_OK) return entered;
  arguments a = {args, n, s->co};
  if (s->co == NULL) return call(s, nothing_loaded, NULL, 0), leave_main(s, SLUA_ERROR);
  if (n != 0 && !call(s, push_arguments, &a, 0)) return leave_main(s, SLUA_ERROR);
  int status, count;
  lua_State* co = s->co;
  s->g.deadline.soft = slice_end(s);
  guest_meter_deadline(&s->g);
  s->g.yields = false;
  if (!guest_resume(&s->g, co, n, &status, &count)) return leave(s, SLUA_STOPPED, co, 0);
  s->g.deadline.soft = UINT64_MAX;
  if (status == LUA_YIELD && s->g.yields) return leave(s, SLUA_SLICE, co, 0);
  if (status == LUA_YIELD) return leave(s, SLUA_YIELD, co, count);
  s->co = NULL;
  if (status == LUA_OK) return leave(s, SLUA_OK, co, count);
  call(s, end_of_error, co, LUA_MULTRET);
  return leave_main(s, SLUA_ERROR);
}

slua_status slua_run(slua* s, const char* text, size_t length, const char* name) {
  slua_status status = slua_load(s, text, length, name);
  return status == SLUA_OK ? slua_resume(s, NULL, 0) : status;
}

/* ---- Results, and how it went ---------------------------------------------------------------- */

int slua_results(const slua* s) { return s->results; }

slua_value slua_result(const slua* s, int i) {
  slua_value v = {.type = SLUA_NIL};
  if (i < 0 || i >= s->results) return v;
  lua_State* L = s->from;
  int index = i - s->results;
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      break;
    case LUA_TBOOLEAN:
      v.type = SLUA_BOOLEAN;
      v.boolean = lua_toboolean(L, index);
      break;
    case LUA_TNUMBER:
      v.type = lua_isinteger(L, index) ? SLUA_INTEGER : SLUA_NUMBER;
      if (v.type == SLUA_INTEGER)
        v.integer = lua_tointeger(L, index);
      else
        v.number = lua_tonumber(L, index);
      break;
    case LUA_TSTRING:
      v.type = SLUA_STRING;
      v.text = lua_tolstring(L, index, &v.length);
      break;
    default:
      v.type = SLUA_OTHER;
      v.text = luaL_typename(L, index);
      v.length = strlen(v.text);
      break;
  }
  return v;
}

const char* slua_text(const slua* s, int i) {
  static const char* const names[] = {"nil", "boolean", "number", "number"};
  slua_value v = slua_result(s, i);
  return v.type < SLUA_STRING ? names[v.type] : v.text;
}

/* ---- Shared values: words of rc/ ------------------------------------------------------------- */

typedef struct export {
  rc_word word; /* as collections hold it; 0: none yet */
  int error;
}
export;

/* rc_share takes a reference, and gives one that is not the task's. */
static int export_argument(lua_State* L, void* arg) {
  export* e = arg;
  value v;
  if (!value_at(L, 1, &v) || handle_test(L, 1) == NULL) return 0;
  rc_word w = value_word(&v);
  e->error = ENOMEM;
  if (w == NO_WORD || rc_is_int(w)) {
    e->word = w;
    return 0;
  }
  rc_object* shared = rc_share(rc_to(w));
  e->error = errno;
  if (shared == NULL)
    rc_dec_word(w);
  else
    e->word = rc_from(shared);
  return 0;
}

slua_shared* slua_export(slua* s, int i) {
  export e = {.error = EINVAL};
  if (rt_enter(s->g.task) != 0) {
    errno = EBUSY;
    return NULL;
  }
  if (i >= 0 && i < s->results && ended(s) == SLUA_OK && lua_checkstack(s->from, 2)) {
    lua_pushvalue(s->from, i - s->results);
    prepare_call(s, export_argument, &e);
    if (s->from == s->g.L)
      lua_insert(s->g.L, -2);
    else
      lua_xmove(s->from, s->g.L, 1);
    if (!guest_call(&s->g, 1, 0, 0)) s->results = 0;
  }
  rt_leave();
  if (e.word == 0) errno = e.error;
  return (slua_shared*)e.word;
}

slua_shared* slua_retain(slua_shared* v) {
  rc_inc_word((rc_word)v);
  return v;
}

void slua_release(slua_shared* v) { rc_dec_word((rc_word)v); }

void slua_interrupt(slua* s) { guest_interrupt(&s->g); }

slua_stop slua_stop_of(const slua* s) {
  return (slua_stop){rt_expired(s->g.task), guest_ticks(&s->g), s->g.where};
}

uint64_t slua_ticks(const slua* s) { return guest_ticks(&s->g); }

int slua_exit_status(const slua* s) { return s->g.exit_status; }
rt_task* slua_task(const slua* s) { return s->g.task; }
