/* host.c: an HTTP server that runs the Lua that is posted to it, whoever posts it.
**
**   host [--port N] [--heartbeats N] [--memory MIB] [--threads N]
**
** GET / is a page with a form, POST /run runs a script: from the form, and answers with the page; or as plain
** text (curl --data-binary @script.lua -H 'Content-Type: text/plain'), and answers with what it printed, and what it
** cost in the headers. Each request is a state of its own, with limits; so a script can neither stay for
** long, nor keep memory, nor see another one's; and it costs the same whenever it is posted.
**
** What the host allocates while a state runs would be the state's: so the room for what the guest prints is
** there before. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/mimalloc.h"
#include "demo-lang/slua.h"

enum { SCRIPT_MAX = 64 << 10, OUTPUT_MAX = 64 << 10, MESSAGE_MAX = 1 << 10 };

static struct {
  uint16_t port;
  unsigned threads;
  uint64_t heartbeats, mebibytes;
} options = {8080, 4, 2000, 16};

/* ---- Running a script ------------------------------------------------------------------------- */

/* What came of a script. The caller's; a struct of some 130 KiB, not for the stack. */
typedef struct outcome {
  const char* status; /* "ok", "error", "stopped" */
  char message[MESSAGE_MAX];
  uint64_t ticks, bytes;
  bool cut; /* it printed more than there is room for */
  size_t length;
  char output[OUTPUT_MAX];
} outcome;

static void keep_output(void* arg, const char* text, size_t length) {
  outcome* o = arg;
  size_t room = OUTPUT_MAX - o->length;
  if (length > room) o->cut = true;
  if (length > room) length = room;
  memcpy(o->output + o->length, text, length);
  o->length += length;
}

static void describe(outcome* o, slua* s, slua_status status) {
  slua_stop stop = slua_stop_of(s);
  o->ticks = stop.ticks;
  o->bytes = rt_bytes_peak(slua_task(s));
  switch (status) {
    case SLUA_OK:
      o->status = "ok";
      break;
    case SLUA_STOPPED:
      o->status = "stopped";
      snprintf(o->message, sizeof o->message, "%s reached after %" PRIu64 " ticks, at %s",
               rt_limit_name(stop.limit), stop.ticks,
               stop.where[0] != '\0' ? stop.where : "the start");
      break;
    case SLUA_YIELD:
      o->status = "error";
      snprintf(o->message, sizeof o->message, "the script yields, and nobody will resume it");
      break;
    default:
      o->status = "error";
      snprintf(o->message, sizeof o->message, "%s", slua_text(s, 0));
  }
}

static void run(const char* script, size_t length, outcome* o) {
  slua_config config = {.limits = {.heartbeats = options.heartbeats,
                                   .bytes = options.mebibytes << 20,
                                   .compact = true},
                        .repeatable = true,
                        .output = keep_output,
                        .output_arg = o};
  *o = (outcome){.status = "error"};
  slua* s = slua_new(&config);
  if (s == NULL) {
    snprintf(o->message, sizeof o->message, "no state: %s", strerror(errno));
    return;
  }
  slua_status status = slua_run(s, script, length, "=script");
  describe(o, s, status);
  if (status == SLUA_OK && slua_finish(s) != SLUA_OK) describe(o, s, SLUA_STOPPED);
  slua_close(s);
}

/* ---- The page ---------------------------------------------------------------------------------- */

static void put_escaped(FILE* page, const char* text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    switch (text[i]) {
      case '<':
        fputs("&lt;", page);
        break;
      case '>':
        fputs("&gt;", page);
        break;
      case '&':
        fputs("&amp;", page);
        break;
      case '"':
        fputs("&quot;", page);
        break;
      default:
        /* No other control characters in HTML; what is not UTF-8 the browser shows as such. */
        if ((unsigned char)text[i] >= ' ' || text[i] == '\n' || text[i] == '\t')
          putc(text[i], page);
        else
          fputs("\xEF\xBF\xBD", page);
    }
  }
}

static const char head[] =
    "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Run Lua</title>"
    "<meta name=viewport content='width=device-width'><style>"
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}"
    "textarea,pre{box-sizing:border-box;width:100%;font:14px/1.45 "
    "ui-monospace,monospace;padding:.75rem;"
    "border:1px solid #8886;border-radius:.4rem;background:#8881}"
    "pre{overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere}"
    "button{font:inherit;padding:.4rem 1.5rem;margin:.5rem 0}"
    "table{border-spacing:0}td,th{padding:.1rem 1.5rem .1rem "
    "0;text-align:right}th{font-weight:400;text-align:left}"
    ".ok{color:#297a3a}.error,.stopped{color:#c22}"
    "meter{width:12rem}</style><h1>Run Lua</h1>";

/* n with its digits in groups of three. */
static void put_number(FILE* page, uint64_t n) {
  if (n >= 1000) put_number(page, n / 1000);
  fprintf(page, n >= 1000 ? ",%03" PRIu64 : "%" PRIu64, n % 1000);
}

static void put_cost(FILE* page, const char* name, uint64_t used, uint64_t limit,
                     const char* unit) {
  fprintf(page, "<tr><th>%s<td>", name);
  put_number(page, used);
  fprintf(page, " %s<td>of ", unit);
  put_number(page, limit);
  fprintf(page, "<td><meter max=%" PRIu64 " value=%" PRIu64 "></meter>", limit, used);
}

static void put_outcome(FILE* page, const outcome* o) {
  fprintf(page, "<h2>Result</h2><p id=status class=%s>%s", o->status,
          o->status[0] == 'o' ? "It ended." : "");
  put_escaped(page, o->message, strlen(o->message));
  fputs("<pre id=output>", page);
  put_escaped(page, o->output, o->length);
  fprintf(page, "</pre>%s<table id=cost>", o->cut ? "<p>The rest was left out." : "");
  put_cost(page, "Work", o->ticks, options.heartbeats * 1000, "ticks");
  put_cost(page, "Memory at most", o->bytes, options.mebibytes << 20, "bytes");
  fputs("</table>", page);
}

/* The page in memory of malloc's, the caller's; NULL: no memory. `o` may be NULL. */
static char* make_page(const char* script, size_t length, const outcome* o, size_t* size) {
  char* text = NULL;
  FILE* page = open_memstream(&text, size);
  if (page == NULL) return NULL;
  fprintf(page, "%s<p>The script may compute and print, use ", head);
  put_number(page, options.heartbeats * 1000);
  fprintf(page,
          " ticks and %" PRIu64
          " MiB. It costs the same each time."
          "<form method=post action=/run><textarea name=script rows=20 spellcheck=false "
          "aria-label=Script>\n",
          options.mebibytes);
  put_escaped(page, script, length);
  fputs("</textarea><button>Run</button></form>", page);
  if (o != NULL) put_outcome(page, o);
  if (fclose(page) == 0) return text;
  free(text);
  return NULL;
}

/* ---- Requests ------------------------------------------------------------------------------------ */

/* What has come of a request's body. Invariant: length <= SCRIPT_MAX, or it is too long and not kept. */
typedef struct request {
  bool too_long;
  size_t length;
  outcome result;
  char body[SCRIPT_MAX + 1];
} request;

static enum MHD_Result answer(struct MHD_Connection* c, unsigned code, const char* type,
                              struct MHD_Response* r) {
  if (r == NULL) return MHD_NO;
  MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  MHD_add_response_header(r, "Content-Security-Policy",
                          "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'");
  MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
  enum MHD_Result result = MHD_queue_response(c, code, r);
  MHD_destroy_response(r);
  return result;
}

static enum MHD_Result answer_text(struct MHD_Connection* c, unsigned code, const char* text) {
  return answer(c, code, "text/plain; charset=utf-8",
                MHD_create_response_from_buffer(strlen(text), (void*)(uintptr_t)text,
                                                MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result answer_page(struct MHD_Connection* c, const char* script, size_t length,
                                   const outcome* o) {
  size_t size;
  char* text = make_page(script, length, o, &size);
  if (text == NULL) return answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory\n");
  struct MHD_Response* r = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
  if (r == NULL) free(text);
  return answer(c, MHD_HTTP_OK, "text/html; charset=utf-8", r);
}

static void add_number(struct MHD_Response* r, const char* name, uint64_t n) {
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, n);
  MHD_add_response_header(r, name, text);
}

/* A header is one line, and no control characters for a terminal that shows it. */
static void add_line(struct MHD_Response* r, const char* name, char* text) {
  for (char* c = text; *c != '\0'; c++)
    if ((unsigned char)*c < ' ' || *c == 127) *c = ' ';
  if (text[0] != '\0') MHD_add_response_header(r, name, text);
}

static enum MHD_Result answer_plainly(struct MHD_Connection* c, outcome* o) {
  struct MHD_Response* r =
      MHD_create_response_from_buffer(o->length, o->output, MHD_RESPMEM_MUST_COPY);
  if (r == NULL) return MHD_NO;
  MHD_add_response_header(r, "X-Status", o->status);
  add_line(r, "X-Message", o->message);
  if (o->cut) MHD_add_response_header(r, "X-Output", "cut");
  add_number(r, "X-Ticks", o->ticks);
  add_number(r, "X-Bytes", o->bytes);
  return answer(c, MHD_HTTP_OK, "text/plain; charset=utf-8", r);
}

/* The value of the form's only field, decoded in place; a browser ends lines in CR LF. */
static size_t decode_form(char* body) {
  char* value = strchr(body, '=');
  if (value == NULL) return 0;
  value++;
  value[strcspn(value, "&")] = '\0';
  for (char* c = value; *c != '\0'; c++)
    if (*c == '+') *c = ' ';
  size_t length = MHD_http_unescape(value), kept = 0;
  for (size_t i = 0; i < length; i++)
    if (value[i] != '\r' || value[i + 1] != '\n') body[kept++] = value[i];
  body[kept] = '\0';
  return kept;
}

static enum MHD_Result run_request(struct MHD_Connection* c, request* q) {
  const char* type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
  bool form = type != NULL && strncmp(type, "application/x-www-form-urlencoded", 33) == 0;
  if (q->too_long)
    return answer_text(c, MHD_HTTP_CONTENT_TOO_LARGE, "a script has at most 64 KiB\n");
  q->body[q->length] = '\0';
  size_t length = form ? decode_form(q->body) : q->length;
  run(q->body, length, &q->result);
  return form ? answer_page(c, q->body, length, &q->result) : answer_plainly(c, &q->result);
}

static enum MHD_Result handle(void* arg, struct MHD_Connection* c, const char* url,
                              const char* method, const char* version, const char* data,
                              size_t* size, void** state) {
  static const char hello[] = "for i = 1, 10 do\n  print(i, i * i)\nend\n";
  (void)arg, (void)version;
  bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0,
       get = strcmp(method, MHD_HTTP_METHOD_GET) == 0;
  if (get && strcmp(url, "/") == 0) return answer_page(c, hello, sizeof hello - 1, NULL);
  if (strcmp(url, "/run") != 0) return answer_text(c, MHD_HTTP_NOT_FOUND, "there are / and /run\n");
  if (!post) return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "POST a script\n");
  request* q = *state;
  if (q == NULL) {
    *state = q = mi_malloc(sizeof *q);
    if (q == NULL) return MHD_NO;
    q->too_long = false;
    q->length = 0;
    return MHD_YES;
  }
  if (*size == 0) return run_request(c, q);
  if (*size > SCRIPT_MAX - q->length) q->too_long = true;
  if (!q->too_long) memcpy(q->body + q->length, data, *size);
  if (!q->too_long) q->length += *size;
  *size = 0;
  return MHD_YES;
}

static void forget(void* arg, struct MHD_Connection* c, void** state,
                   enum MHD_RequestTerminationCode why) {
  (void)arg, (void)c, (void)why;
  mi_free(*state);
}

/* ---- The server ----------------------------------------------------------------------------------- */

static uint64_t number(const char* text, uint64_t least, uint64_t most) {
  char* end;
  errno = 0;
  unsigned long long n = strtoull(text, &end, 10);
  if (errno == 0 && *end == '\0' && text[0] >= '0' && text[0] <= '9' && n >= least && n <= most)
    return n;
  fprintf(stderr, "host: not a number from %" PRIu64 " to %" PRIu64 ": '%s'\n", least, most, text);
  exit(2);
}

static void parse(int argc, char** argv) {
  static const struct option names[] = {{"port", required_argument, NULL, 'p'},
                                        {"heartbeats", required_argument, NULL, 'h'},
                                        {"memory", required_argument, NULL, 'm'},
                                        {"threads", required_argument, NULL, 't'},
                                        {NULL, 0, NULL, 0}};
  for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
    if (c == 'p')
      options.port = (uint16_t)number(optarg, 0, UINT16_MAX);
    else if (c == 'h')
      options.heartbeats = number(optarg, 1, 1000000000);
    else if (c == 'm')
      options.mebibytes = number(optarg, 1, 4096);
    else if (c == 't')
      options.threads = (unsigned)number(optarg, 1, 1000);
    else
      exit(2);
  }
  if (optind == argc) return;
  fprintf(stderr, "host: what is '%s' for?\n", argv[optind]);
  exit(2);
}

int main(int argc, char** argv) {
  parse(argc, argv);
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGINT);
  sigaddset(&end, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &end, NULL); /* in all threads: main waits for them */
  struct sockaddr_in here = {.sin_family = AF_INET,
                             .sin_port = htons(options.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct MHD_Daemon* server = MHD_start_daemon(
      MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, options.port, NULL, NULL, handle, NULL,
      MHD_OPTION_SOCK_ADDR, (struct sockaddr*)&here, MHD_OPTION_THREAD_POOL_SIZE, options.threads,
      MHD_OPTION_THREAD_STACK_SIZE, (size_t)1 << 20, MHD_OPTION_CONNECTION_TIMEOUT, 30u,
      MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_END);
  if (server == NULL) {
    fprintf(stderr, "host: cannot listen at port %u: %s\n", options.port, strerror(errno));
    return 1;
  }
  printf("http://127.0.0.1:%u/\n", MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port);
  fflush(stdout);
  int signal;
  sigwait(&end, &signal);
  MHD_stop_daemon(server);
  return 0;
}
