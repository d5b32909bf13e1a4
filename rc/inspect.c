/* inspect.c: the living objects of a task: which there are, what they hold, and all of that as JSON lines. Checked
** builds only, for what is an object is in the allocator's word of its block (see check.c).
**
** First everything that waits is freed, so what is left lives. Then each page with objects gets the number of
** its first one, and each object its rank in its page, in its mark. So ids count the objects in the order of a walk
** over the heaps, and the id of an address takes one look into a table of pages: memory for 40 bytes a page. Programs
** that do the same get the same ids. Pages stay while objects live there, so the stream may allocate. */
#include "alloc/checked.h"
#include "rc/internal.h"

/* ---- The survey --------------------------------------------------------------------------------- */

static size_t blocks_of(const page_t* page) { return page->stride == 0 ? 1 : page->capacity; }
static rc_object* object_at(const page_t* page, size_t i) {
  return (rc_object*)(void*)block_at(page, i);
}

static bool is_object(const page_t* page, size_t i) {
  uint64_t word = word_get(words_of(page) + i);
  return (word & STATE) == LIVE && (word >> NEXT_SHIFT & (MAKER_MASK | STATE_MASK)) == MARK_LIVES;
}

static size_t count_objects(const page_t* page) {
  size_t n = 0;
  for (size_t i = 0; i < blocks_of(page); i++) n += check_is_alive(object_at(page, i));
  return n;
}

static void survey_page_add(survey* s, const page_t* page) {
  size_t n = count_objects(page);
  if (n == 0) return;
  if (s->pages != NULL) {
    s->pages[s->count] = (survey_page){.node.key = page, .first = s->objects};
    for (size_t i = 0, rank = 0; i < blocks_of(page); i++)
      if (is_object(page, i))
        checked_mark(object_at(page, i), MARK_LIVES | (uint32_t)rank++ << MARK_RANK_SHIFT);
  }
  s->count++;
  s->objects += n;
}
_Static_assert(SLICE / WORD <= 1 << (MARK_BITS - MARK_RANK_SHIFT), "a mark has room for a rank");

static void survey_pages(survey* s, const mi_task_t* task) {
  s->count = s->objects = 0;
  for (const mi_heap_t* heap = task->heaps; heap != NULL; heap = heap->next) {
    for (unsigned c = 1; c < CLASS_COUNT; c++)
      for (const page_t* p = heap->queue[c].first; p != NULL; p = p->next) survey_page_add(s, p);
    for (const page_t* p = heap->full; p != NULL; p = p->next) survey_page_add(s, p);
  }
}

int survey_begin(survey* s) {
  *s = (survey){0};
  if (!CHECKED) return ENOTSUP;
  mi_task_t* task = task_self();
  mi_heap_t* heap = heap_of_thread();
  if (task == NULL || heap == NULL) return ENOMEM;
  rc_drain(SIZE_MAX);
  survey_pages(s, task);
  s->pages = heap_alloc(heap, s->count * sizeof *s->pages, false);
  if (s->pages == NULL) return ENOMEM;
  survey_pages(s, task);
  for (size_t i = 0; i < s->count; i++) table_enter(&s->by_page, &s->pages[i].node);
  return 0;
}

void survey_end(survey* s) {
  table_end(&s->by_page);
  mi_free(s->pages);
}

rc_object* survey_next(const survey* s, survey_place* at) {
  for (; at->page < s->count; at->page++, at->block = 0) {
    const page_t* page = s->pages[at->page].node.key;
    while (at->block < blocks_of(page) && !is_object(page, at->block)) at->block++;
    if (at->block < blocks_of(page)) return object_at(page, at->block++);
  }
  return NULL;
}

unsigned survey_find(survey* s, rc_word w, uint64_t* id) {
  if (rc_is_int(w)) return REF_NONE;
  found_t f = checked_find(rc_to(w));
  if (f.what != FOUND_LIVE || (f.mark & (MAKER_MASK | STATE_MASK)) != MARK_LIVES) return REF_NONE;
  const table_node* node = table_find(&s->by_page, page_of(rc_to(w)));
  if (node == NULL) return REF_OUTSIDE;
  *id = ((const survey_page*)(const void*)node)->first + (f.mark >> MARK_RANK_SHIFT);
  return REF_KNOWN;
}

bool refs_next(object_refs* r, rc_word* w) {
  rc_object* o = r->o;
  unsigned kind = rc_kind(o);
  if (kind != RC_TYPED || typed_as(o)->trace == NULL) {
    if (r->next == object_fields(o, kind)) return false;
    *w = object_words(o)[r->next++];
    return true;
  }
  if (r->next == r->have) {
    if (r->last) return false;
    r->have = typed_as(o)->trace(o, &r->cursor, r->out, REFS_AT_ONCE);
    r->last = r->have < REFS_AT_ONCE;
    r->next = 0;
    if (r->have == 0) return false;
  }
  *w = r->out[r->next++];
  return true;
}

/* ---- The snapshot --------------------------------------------------------------------------------- */

static void write_text(FILE* out, const char* text) {
  fputc('"', out);
  for (; *text != 0; text++) {
    unsigned char c = (unsigned char)*text;
    if (c < ' ' || c == '"' || c == '\\')
      fprintf(out, "\\u%04x", c);
    else
      fputc(c, out);
  }
  fputc('"', out);
}

static void write_refs(FILE* out, survey* s, rc_object* o) {
  object_refs r = {.o = o};
  uint64_t id, outside = 0;
  const char* comma = "";
  fputs(", \"refs\": [", out);
  for (rc_word w; refs_next(&r, &w);) {
    unsigned what = survey_find(s, w, &id);
    if (what == REF_OUTSIDE) outside++;
    if (what != REF_KNOWN) continue;
    fprintf(out, "%s%llu", comma, (unsigned long long)id);
    comma = ", ";
  }
  fputc(']', out);
  if (outside > 0) fprintf(out, ", \"outside\": %llu", (unsigned long long)outside);
}

static void write_object(FILE* out, survey* s, rc_object* o, uint64_t id) {
  static const char* const kinds[] = {"fields", "array", "bytes", "typed"};
  unsigned kind = rc_kind(o);
  const char* type = kind == RC_TYPED ? typed_as(o)->name : NULL;
  fprintf(out, "{\"id\": %llu, \"kind\": \"%s\", \"type\": ", (unsigned long long)id, kinds[kind]);
  if (type != NULL)
    write_text(out, type);
  else
    fputs("null", out);
  fprintf(out, ", \"tag\": %u, \"count\": %d, \"bytes\": %zu", o->tag, (int)object_count(o),
          object_bytes(o, kind));
  write_refs(out, s, o);
  fputs("}\n", out);
}

/* If an earlier write has failed, and nothing is left to be flushed, errno is still that one's. */
int stream_error(FILE* out) {
  int earlier = ferror(out) ? errno : 0;
  errno = 0;
  if (fflush(out) == 0 && !ferror(out)) return 0;
  return errno != 0 ? errno : earlier != 0 ? earlier : EIO;
}

int rc_snapshot(FILE* out) {
  survey s;
  int error = survey_begin(&s);
  survey_place at = {0, 0};
  uint64_t id = 0;
  for (rc_object* o; error == 0 && (o = survey_next(&s, &at)) != NULL; id++) {
    write_object(out, &s, o, id);
    if (ferror(out)) break;
  }
  if (error == 0) error = stream_error(out);
  survey_end(&s);
  return error;
}
