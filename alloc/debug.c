/* debug.c: what debug builds write behind each block, and check when it is freed.
**
**   block      + adjust              + size                      + page_block_size   up to the next
**   | (inside) | the program's bytes | SLACK up to the trailer   | trailer           | unused |
**
** Fresh memory is filled with FRESH and freed memory with FREED, so that a program which reads
** either shows it, and a write to freed memory is found when the block is used again. In other
** builds TRAILER is 0, no page is padded, and nothing here is called. */
#include "alloc/internal.h"

enum { FRESH = 0xD0, FREED = 0xDF, SLACK = 0xDE };
#define STATE_LIVE 0x4c495645u
#define STATE_FREED 0x44454144u

typedef struct trailer {
  uint32_t state;
  uint32_t adjust; /* of a block that was handed out at an address inside */
  uint64_t size;
} trailer_t;
_Static_assert(sizeof(trailer_t) == 16, "policy.h's TRAILER");

static trailer_t* trailer_of(const page_t* page, const void* block) {
  uintptr_t end = (uintptr_t)block + page_block_size(page);
  return (trailer_t*)((end + WORD - 1) & ~(uintptr_t)(WORD - 1));
}

static void* block_of(const page_t* page, const void* p) {
  if (page->stride == 0) return page->start;
  size_t offset = (size_t)((const char*)p - page->start);
  return page->start + page_block_index(page, offset) * page->stride;
}

void debug_alloc(page_t* page, void* block, size_t adjust, size_t size, bool zero) {
  char *user = (char*)block + adjust, *end = user + size;
  if (!zero) memset(user, FRESH, size);
  if (!page->padded) return;
  trailer_t* t = trailer_of(page, block);
  memset(end, SLACK, (size_t)((char*)t - end));
  *t = (trailer_t){STATE_LIVE, (uint32_t)adjust, size};
}

static const char* first_not(unsigned char fill, const char* at, const char* end) {
  while (at < end && (unsigned char)*at == fill) at++;
  return at < end ? at : NULL;
}

/* What lies there may be another page's, from before. */
void debug_fresh(page_t* page, block_t* block) {
  if (page->padded) trailer_of(page, block)->state = 0;
}

static bool is_link(const page_t* page, const block_t* next) {
  size_t offset = (size_t)((const char*)next - page->start);
  return next == NULL || (offset < page->span && block_of(page, next) == (void*)next);
}

void debug_taken(const page_t* page, const block_t* block) {
  if (!page->padded) return;
  const trailer_t* t = trailer_of(page, block);
  if (t->state != STATE_FREED || t->size > page_block_size(page)) return;
  const char *user = (const char*)block + t->adjust, *end = user + t->size;
  const char* from = t->adjust < sizeof *block ? (const char*)(block + 1) : user;
  const char* bad = is_link(page, block->next) ? first_not(FREED, from, end) : (const char*)block;
  if (bad != NULL)
    report_error(EFAULT,
                 "sluice: error: write after free: block %p of %zu bytes was written to at offset "
                 "%td after it was freed",
                 (const void*)user, (size_t)t->size, bad - user);
}

bool debug_check(const page_t* page, const void* p, const char* what) {
  size_t offset = (size_t)((const char*)p - page->start);
  if (page->stride != 0 && page_block_index(page, offset) >= page->reserved) {
    report_error(EINVAL,
                 "sluice: error: %s of invalid pointer %p: it is no block of this allocator", what,
                 p);
    return false;
  }
  const void* block = block_of(page, p);
  const trailer_t* t = trailer_of(page, block);
  if (t->state == STATE_FREED) {
    bool again = strcmp(what, "free") == 0;
    report_error(EAGAIN, "sluice: error: %s of %sblock %p (%zu bytes when it was freed first)",
                 again ? "double free" : what, again ? "" : "freed ", p, (size_t)t->size);
    return false;
  }
  if (t->state != STATE_LIVE || t->size > page_block_size(page)) {
    report_error(
        EFAULT,
        "sluice: error: %s of %p: invalid pointer, or a buffer overflow has overwritten what "
        "follows its block",
        what, p);
    return false;
  }
  const char* user = (const char*)block + t->adjust;
  if (p == user) return true;
  report_error(
      EINVAL, "sluice: error: %s of invalid pointer %p: it points inside the block %p of %zu bytes",
      what, p, (const void*)user, (size_t)t->size);
  return false;
}

static void check_slack(const void* p, const trailer_t* t) {
  const char* bad = first_not(SLACK, (char*)p + t->size, (char*)t);
  if (bad != NULL)
    report_error(
        EFAULT,
        "sluice: error: buffer overflow: block %p of %zu bytes was written to at offset %zu", p,
        (size_t)t->size, (size_t)(bad - (char*)p));
}

void debug_free(const page_t* page, void* p) {
  trailer_t* t = trailer_of(page, block_of(page, p));
  check_slack(p, t);
  memset(p, FREED, t->size);
  t->state = STATE_FREED;
}

void debug_resize(const page_t* page, void* p, size_t size, bool zero) {
  trailer_t* t = trailer_of(page, block_of(page, p));
  char *start = p, *end = start + size;
  check_slack(p, t);
  if (size > t->size) memset(start + t->size, zero ? 0 : FRESH, size - t->size);
  memset(end, SLACK, (size_t)((char*)t - end));
  t->size = size;
}

size_t debug_usable(const page_t* page, const void* p) {
  return (size_t)trailer_of(page, block_of(page, p))->size;
}
