/* account.c: the references to shared objects that a task of runtime/ holds, so that they end with it though its
** objects are not walked.
**
** All that the task counts up or down comes here, and goes to a table: how many references the task holds, by object.
** In front of it are a few slots, by a hash of the address, with what changed since, so a reference that comes and
** goes costs finding a slot. Objects are addresses here and nothing else, and sums stay right when one is used again.
**
** What came into the task without rc_adopt, and is given up in it, would make a sum negative: it is 0 then. So
** an account has never more than the task holds, if all that left it went through rc_share; less, if there was
** no memory. */
#include "rc/internal.h"

enum { RECENT = 64 };
typedef struct held {
  table_node node; /* key: the object */
  int64_t count;   /* above 0 */
} held;
struct rc_account {
  rc_table table;
  struct recent {
    rc_object* o;
    int64_t change;
  } recent[RECENT];
};

/* By all bits of the address: one product alone puts rows of equal objects into few slots. */
static struct recent* recent_of(rc_account* a, const rc_object* o) {
  static const uintptr_t GOLDEN = 0x9e3779b97f4a7c15;
  uintptr_t hash = (uintptr_t)o * GOLDEN;
  return &a->recent[(hash ^ hash >> 32) * GOLDEN >> 58];
}
_Static_assert(RECENT == 1 << (64 - 58), "recent_of has a slot for each hash");

/* The slot's change is in the table, if there is memory for it. */
static void settle(rc_account* a, struct recent* r) {
  if (r->change == 0) return;
  held* h = (held*)(void*)table_find(&a->table, r->o);
  if (h == NULL && r->change > 0 && (h = hushed_alloc(sizeof *h)) != NULL) {
    h->node.key = r->o;
    table_enter(&a->table, &h->node);
  }
  if (h != NULL) h->count += r->change;
  if (h != NULL && h->count <= 0) {
    table_remove(&a->table, r->o);
    mi_free(h);
  }
  r->change = 0;
}

void account_change(mi_task_t* task, rc_object* o, int change) {
  rc_state* s = state_of(task);
  if (s->account == NULL) {
    if (change < 0 || (s->account = hushed_alloc(sizeof *s->account)) == NULL) return;
    task->on_delete = task_ends;
  }
  struct recent* r = recent_of(s->account, o);
  if (r->o != o) {
    settle(s->account, r);
    r->o = o;
  }
  r->change += change;
}

static void give_up(table_node* node, void* arg) {
  (void)arg;
  held* h = (held*)(void*)node;
  if (h->count > 0) shared_give_up((rc_object*)(uintptr_t)node->key, h->count);
  mi_free(h);
}

/* Nothing is allocated for the slots any more. */
void account_end(mi_task_t* task) {
  rc_account* a = state_of(task)->account;
  if (CHECKED) check_at((const char*)(uintptr_t)account_end + 1);
  for (struct recent* r = a->recent; r < a->recent + RECENT; r++) {
    held* h = r->change != 0 ? (held*)(void*)table_find(&a->table, r->o) : NULL;
    if (h != NULL)
      h->count += r->change;
    else if (r->change > 0)
      shared_give_up(r->o, r->change);
  }
  table_each(&a->table, give_up, NULL);
  table_end(&a->table);
  mi_free(a);
  state_of(task)->account = NULL;
}

/* ---- References that cross a task's border ------------------------------------------------------ */

rc_object* rc_adopt(rc_object* o) {
  if (CHECKED && !check_lives(o, "rc_adopt")) return o;
  if (rc_is_shared(o)) account(o, 1);
  return o;
}
