/* leaks.c: which objects are alive, by type, and what keeps some of each alive: the shortest path from an object
** that is referred to from outside, so that its count is more than the references that objects have to it.
**
** Breadth first, from all of these at once, over lists of all objects; what is left then is in cycles, or held by
** them, and is begun at its first object. Memory: 20 bytes an object, from the thread's own heap. */
#include "rc/internal.h"

enum { GROUPS = 64, EXAMPLES = 2, PATH_ENDS = 6 };

/* By id: how many references from objects it has, and what it was reached from: an object, or itself. */
typedef struct graph {
  survey s;
  uint32_t* held;
  rc_object **from, **order;
  uint64_t reached;
} graph;

/* The last one has what has no place in the others. */
typedef struct group {
  rc_object* example[EXAMPLES];
  uint64_t number, bytes;
} group;

/* ---- Reaching all objects ------------------------------------------------------------------------- */

static uint64_t id_of(graph* g, const rc_object* o) {
  uint64_t id = 0;
  survey_find(&g->s, (rc_word)o, &id);
  return id;
}

static uint64_t references(const rc_object* o) {
  int64_t count = object_count(o);
  return (uint64_t)(count < 0 ? -count : count);
}

/* From the program's variables, and from what this library holds. */
static uint64_t from_outside(graph* g, const rc_object* o) {
  uint64_t all = references(o), held = g->held[id_of(g, o)] + (weak_is_held(o) ? 1u : 0u);
  return all > held ? all - held : 0;
}

static void reach(graph* g, rc_object* o, rc_object* from) {
  g->from[id_of(g, o)] = from;
  g->order[g->reached++] = o;
}

static void count_held(graph* g) {
  survey_place at = {0, 0};
  uint64_t id;
  rc_word w;
  for (rc_object* o; (o = survey_next(&g->s, &at)) != NULL;)
    for (object_refs r = {.o = o}; refs_next(&r, &w);)
      if (survey_find(&g->s, w, &id) == REF_KNOWN) g->held[id]++;
}

static void reach_from(graph* g, uint64_t* done) {
  uint64_t id;
  rc_word w;
  for (; *done < g->reached; ++*done)
    for (object_refs r = {.o = g->order[*done]}; refs_next(&r, &w);)
      if (survey_find(&g->s, w, &id) == REF_KNOWN && g->from[id] == NULL) reach(g, rc_to(w), r.o);
}

static void reach_all(graph* g) {
  survey_place at = {0, 0};
  uint64_t done = 0;
  rc_object* o;
  while ((o = survey_next(&g->s, &at)) != NULL)
    if (from_outside(g, o) > 0) reach(g, o, o);
  reach_from(g, &done);
  at = (survey_place){0, 0};
  for (uint64_t id = 0; (o = survey_next(&g->s, &at)) != NULL; id++) {
    if (g->from[id] != NULL) continue;
    reach(g, o, o);
    reach_from(g, &done);
  }
}

static void graph_end(graph* g) {
  mi_free(g->held);
  mi_free(g->from);
  mi_free(g->order);
  survey_end(&g->s);
}

/* The blocks are there before any object is looked at. */
static int graph_begin(graph* g) {
  *g = (graph){0};
  int error = survey_begin(&g->s);
  if (error != 0) return error;
  mi_heap_t* heap = heap_of_thread();
  size_t n = g->s.objects;
  g->held = heap_alloc(heap, n * sizeof *g->held, true);
  g->from = heap_alloc(heap, n * sizeof *g->from, true);
  g->order = heap_alloc(heap, n * sizeof *g->order, false);
  if (g->held == NULL || g->from == NULL || g->order == NULL) return ENOMEM;
  count_held(g);
  reach_all(g);
  return 0;
}

/* ---- What is said --------------------------------------------------------------------------------- */

static void write_node(FILE* out, graph* g, const rc_object* o) {
  char text[CHECK_TEXT];
  check_describe(text, o);
  fprintf(out, "#%llu (%s)", (unsigned long long)id_of(g, o), text);
}

static size_t index_in(rc_object* parent, const rc_object* child) {
  object_refs r = {.o = parent};
  size_t i = 0;
  for (rc_word w; refs_next(&r, &w) && w != (rc_word)child;) i++;
  return i;
}

static rc_object* ancestor(graph* g, rc_object* o, uint64_t generations) {
  while (generations-- > 0) o = g->from[id_of(g, o)];
  return o;
}

static void write_begin(FILE* out, graph* g, const rc_object* root) {
  uint64_t outside = from_outside(g, root);
  if (object_count(root) <= RC_STICKY)
    fputs("never freed", out);
  else if (outside > 0)
    fprintf(out, "count %d, %llu from outside", (int)object_count(root),
            (unsigned long long)outside);
  else
    fputs(weak_is_held(root) ? "kept with its target" : "in a cycle, or held by one", out);
}

/* Of a long path the ends. */
static void write_path(FILE* out, graph* g, rc_object* o) {
  uint64_t length = 0;
  for (const rc_object* at = o; g->from[id_of(g, at)] != at; length++) at = g->from[id_of(g, at)];
  rc_object* root = ancestor(g, o, length);
  fputs("    ", out);
  write_node(out, g, root);
  fputs(": ", out);
  write_begin(out, g, root);
  for (uint64_t i = length; i > 0; i--) {
    if (i + PATH_ENDS == length && i > PATH_ENDS) {
      fputs(" -> ...", out);
      i = PATH_ENDS;
    }
    rc_object *child = ancestor(g, o, i - 1), *parent = g->from[id_of(g, child)];
    fprintf(out, " [%zu]-> ", index_in(parent, child));
    write_node(out, g, child);
  }
  fputc('\n', out);
}

static bool same_type(const rc_object* a, const rc_object* b) {
  if (a->tag != b->tag || rc_kind(a) != rc_kind(b)) return false;
  return rc_kind(a) == RC_TYPED ? typed_as(a) == typed_as(b) : a->n == b->n;
}

static void group_add(group* groups, rc_object* o) {
  group* in = groups;
  while (in < groups + GROUPS - 1 && in->number > 0 && !same_type(in->example[0], o)) in++;
  if (in->number < EXAMPLES) in->example[in->number] = o;
  in->number++;
  in->bytes += object_bytes(o, rc_kind(o));
}

/* The largest first; of equals the one that was met first. */
static void group_sort(group* groups) {
  for (size_t i = 1; i < GROUPS - 1 && groups[i].number > 0; i++)
    for (size_t k = i; k > 0 && groups[k - 1].bytes < groups[k].bytes; k--) {
      group other = groups[k];
      groups[k] = groups[k - 1];
      groups[k - 1] = other;
    }
}

static void write_group(FILE* out, graph* g, const group* of, bool mixed) {
  char text[CHECK_TEXT] = "of other types";
  if (!mixed) check_describe(text, of->example[0]);
  fprintf(out, "  %llu objects (%s), %llu bytes\n", (unsigned long long)of->number, text,
          (unsigned long long)of->bytes);
  for (size_t i = 0; i < EXAMPLES && i < of->number; i++) write_path(out, g, of->example[i]);
}

static void write_report(FILE* out, graph* g, group* groups) {
  uint64_t bytes = 0;
  survey_place at = {0, 0};
  for (rc_object* o; (o = survey_next(&g->s, &at)) != NULL;) group_add(groups, o);
  for (size_t i = 0; i < GROUPS; i++) bytes += groups[i].bytes;
  group_sort(groups);
  fprintf(out, "sluice: %llu objects are alive, %llu bytes\n", (unsigned long long)g->s.objects,
          (unsigned long long)bytes);
  for (size_t i = 0; i < GROUPS && groups[i].number > 0; i++)
    write_group(out, g, &groups[i], i == GROUPS - 1);
}

int rc_report_leaks(FILE* out) {
  graph g;
  group groups[GROUPS] = {0};
  int error = graph_begin(&g);
  if (error == 0) write_report(out, &g, groups);
  if (error == 0) error = stream_error(out);
  graph_end(&g);
  return error;
}

/* At the end of the process, for the thread that ends it. */
__attribute__((destructor)) static void unload(void) {
  if (!CHECKED || !option_value(mi_option_show_leaks) || tls.task == NO_TASK) return;
  rc_drain(SIZE_MAX);
  if (tls.task->objects > 0) rc_report_leaks(stderr);
}
