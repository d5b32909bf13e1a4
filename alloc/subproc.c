/* subproc.c: subprocesses: a thread adopts only pages that threads of its own subprocess left.
**
** Its task is a user of the record while it lives; what it leaves has the record's id. When the
** last user is gone the record's id changes, O(size classes): so what has the old one is the main
** subprocess's. */
#include "alloc/internal.h"

subproc_t subprocs[SUBPROC_MAX];
static _Thread_local uint32_t thread_id; /* what the thread's tasks belong to */

static bool is_main(const subproc_t* s) { return s == &subprocs[0]; }

void subproc_add_ended(subproc_t* s, uint64_t classes, const class_stat_t* stat,
                       const class_survey_t* survey) {
  for (; classes != 0; classes &= classes - 1) {
    unsigned c = (unsigned)__builtin_ctzll(classes);
    class_stat_t* all = &s->ended[c];
    uint64_t total = stat_get(&stat[c].total) - (survey != NULL ? survey[c].base : 0);
    if (total == 0 && stat_get(&stat[c].peak) == 0) continue;
    stat_add_shared(&all->total, total);
    if (stat_get(&stat[c].peak) > stat_get(&all->peak))
      stat_set(&all->peak, stat_get(&stat[c].peak));
  }
}

/* Acquire and release: who counts a page on the old id behind this exchange sees the new id, and
** counts the page on the main one (see chunk_mark_abandoned). */
static void retire(subproc_t* s) {
  uint32_t next = page_figure(&s->id) + SUBPROC_MAX;
  atomic_store_explicit(&s->id, next, memory_order_release);
  for (unsigned c = 1; c < CLASS_COUNT; c++) {
    uint32_t pages = atomic_exchange_explicit(&s->abandoned[c], 0, memory_order_acq_rel);
    atomic_fetch_add_explicit(&subprocs[0].abandoned[c], pages, memory_order_relaxed);
  }
  subproc_add_ended(&subprocs[0], ALL_CLASSES, s->ended, s->survey);
  memset(s->ended, 0, sizeof s->ended);
  memset(s->survey, 0, sizeof s->survey);
  subprocs[0].threads_total += s->threads_total;
  s->threads_total = s->threads_peak = 0;
}

/* Under the lock, as the next one. */
static void use(subproc_t* s) { s->users += !is_main(s); }

static void unuse(subproc_t* s) {
  if (!is_main(s) && --s->users == 0) retire(s);
}

static void enter(const mi_task_t* task, subproc_t* s) {
  use(s);
  if (!task->implicit) return;
  s->threads_total++;
  if (++s->threads > s->threads_peak) s->threads_peak = s->threads;
}

static void leave(const mi_task_t* task, subproc_t* s) {
  s->threads -= task->implicit;
  unuse(s);
}

void subproc_enter(mi_task_t* task) {
  pthread_mutex_lock(&heaps_lock);
  task->subproc = subproc_of(thread_id);
  enter(task, task->subproc);
  pthread_mutex_unlock(&heaps_lock);
}

void subproc_leave(mi_task_t* task) {
  pthread_mutex_lock(&heaps_lock);
  leave(task, task->subproc);
  pthread_mutex_unlock(&heaps_lock);
}

static bool in_use(const subproc_t* s) { return is_main(s) || s->users > 0; }

/* Makes the caller a user of it; NULL, with a report: there is none with that id. */
subproc_t* subproc_use(mi_subproc_id_t id) {
  size_t offset = (size_t)((char*)id - (char*)subprocs);
  subproc_t* s = id;
  bool ok = offset < sizeof subprocs && offset % sizeof *s == 0;
  pthread_mutex_lock(&heaps_lock);
  if (ok) ok = in_use(s);
  if (ok) use(s);
  pthread_mutex_unlock(&heaps_lock);
  if (ok) return s;
  report_error(EINVAL, "sluice: error: there is no subprocess %p", id);
  return NULL;
}

void subproc_end_use(subproc_t* s) {
  pthread_mutex_lock(&heaps_lock);
  unuse(s);
  pthread_mutex_unlock(&heaps_lock);
}

/* ---- The program's side ----------------------------------------------------------------------- */

mi_subproc_id_t mi_subproc_main(void) { return &subprocs[0]; }

mi_subproc_id_t mi_subproc_current(void) {
  return tls.task != NO_TASK ? tls.task->subproc : subproc_of(thread_id);
}

mi_subproc_id_t mi_subproc_new(void) {
  uint32_t i = 1;
  pthread_mutex_lock(&heaps_lock);
  while (i < SUBPROC_MAX && subprocs[i].users > 0) i++;
  if (i < SUBPROC_MAX) {
    if (page_figure(&subprocs[i].id) == 0) page_set_figure(&subprocs[i].id, i);
    subprocs[i].users = 1;
    subprocs[i].deleted = false;
  }
  pthread_mutex_unlock(&heaps_lock);
  if (i < SUBPROC_MAX) return &subprocs[i];
  errno = ENOMEM;
  return NULL;
}

/* The task moves with its heaps. */
static void move_task(mi_task_t* task, subproc_t* to) {
  pthread_mutex_lock(&heaps_lock);
  enter(task, to);
  leave(task, task->subproc);
  task->subproc = to;
  pthread_mutex_unlock(&heaps_lock);
}

void mi_subproc_add_current_thread(mi_subproc_id_t id) {
  if (tls.task != NO_TASK && !tls.task->implicit) {
    report_error(EPERM, "sluice: error: a thread cannot change its subprocess within a task");
    return;
  }
  subproc_t* s = subproc_use(id);
  if (s == NULL) return;
  thread_id = page_figure(&s->id);
  if (tls.task != NO_TASK) move_task(tls.task, s);
  subproc_end_use(s);
}

/* Ends the program's use; `others`: while there are other users, too. */
static bool end_program_use(subproc_t* s, bool others) {
  pthread_mutex_lock(&heaps_lock);
  bool ok = !is_main(s) && !s->deleted && (others || s->users == 2); /* the caller is one */
  if (ok) {
    s->deleted = true;
    unuse(s);
  }
  pthread_mutex_unlock(&heaps_lock);
  return ok;
}

void mi_subproc_delete(mi_subproc_id_t id) {
  subproc_t* s = id != NULL ? subproc_use(id) : NULL;
  if (s == NULL) return;
  if (!end_program_use(s, true))
    report_error(EPERM, "sluice: error: subprocess %p is the main one, or was deleted", id);
  subproc_end_use(s);
}

/* ---- What ended threads left ------------------------------------------------------------------- */

/* Pages that are the caller's for a while: nobody adopts or releases them. */
typedef struct left {
  const wanted_t* wanted;
  page_t* pages;
} left_t;

static void push(left_t* left, page_t* page) {
  page->next = left->pages;
  left->pages = page;
}

static void take_huge(page_t* page, void* arg) {
  left_t* left = arg;
  if (remote_hold(page, left->wanted)) push(left, page);
}

static left_t take_left(const wanted_t* w) {
  left_t left = {w, NULL};
  for (page_t* page; (page = remote_take(w)) != NULL;) push(&left, page);
  wanted_visit(w, take_huge, &left);
  return left;
}

static void put_back(page_t* page) {
  if (page_is_huge(page))
    remote_hold_end(page);
  else
    remote_put_back(page);
}

static bool visit_left(const wanted_t* w, mi_heap_t* heap, const visit_t* v) {
  left_t left = take_left(w);
  bool all = true;
  for (page_t *page = left.pages, *next; page != NULL; page = next) {
    next = page->next;
    all = all && visit_page(heap, page, v);
    put_back(page);
  }
  return all;
}

static bool may_visit(void) {
  if (option_value(mi_option_visit_abandoned)) return true;
  warn(
      "sluice: warning: without the option VISIT_ABANDONED what ended threads left is not visited");
  return false;
}

bool mi_abandoned_visit_blocks(mi_subproc_id_t id, int heap_tag, bool visit_blocks,
                               mi_block_visit_fun* visitor, void* arg) {
  if (!may_visit()) return false;
  subproc_t* s = subproc_use(id);
  if (s == NULL) return false;
  visit_t v = {visitor, arg, visit_blocks};
  bool all = heap_tag < -1 || visit_left(&(wanted_t){s, NULL, 0, heap_tag}, NULL, &v);
  subproc_end_use(s);
  return all;
}

/* What the heap would adopt. */
bool mi_heap_visit_abandoned_blocks(mi_heap_t* heap, bool visit_blocks, mi_block_visit_fun* visitor,
                                    void* arg) {
  if (!may_visit() || !heap_is_mine_checked(heap)) return false;
  visit_t v = {visitor, arg, visit_blocks};
  wanted_t w = {heap->task->subproc, heap->arena, 0, heap->tag};
  return !heap_adopts(heap) || visit_left(&w, heap, &v);
}

/* The dead objects of rc/ that wait there are drained before. */
void mi_subproc_destroy(mi_subproc_id_t id) {
  subproc_t* s = id != NULL ? subproc_use(id) : NULL;
  if (s == NULL) return;
  if (task_self() != NULL) task_force(tls.task);
  if (end_program_use(s, false)) {
    left_t left = take_left(&(wanted_t){s, NULL, 0, -1});
    for (page_t *page = left.pages, *next; page != NULL; page = next) {
      next = page->next;
      bool huge = page_is_huge(page);
      page_drop(page);
      if (huge) remote_hold_end(page);
    }
  } else {
    report_error(EPERM, "sluice: error: subprocess %p is the main one, was deleted, or has threads",
                 id);
  }
  subproc_end_use(s);
}

bool mi_subproc_visit_heaps(mi_subproc_id_t id, mi_heap_visit_fun* visitor, void* arg) {
  subproc_t* s = subproc_use(id);
  if (s == NULL) return false;
  bool all = true;
  for (mi_heap_t* heap = NULL; all && (heap = heap_after(heap, s)) != NULL;)
    all = visitor(heap, arg);
  subproc_end_use(s);
  return all;
}
