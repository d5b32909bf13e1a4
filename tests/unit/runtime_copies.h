/* runtime_copies.h: compact tasks that begin as copies of an image, and tell whether all is as they left it. */
#ifndef RUNTIME_COPIES_H
#define RUNTIME_COPIES_H

static rt_task* compact(bool repeatable) {
  const rt_config config = {.compact = true, .repeatable_addresses = repeatable};
  rt_task* t = rt_task_new(&config);
  assert_non_null(t);
  return t;
}

enum { PIECE = 1024 };
/* Sizes of images below, in and above those of nests. */
static const int pieces_of[] = {20, 26, 30, 34, 36};
enum { IMAGES = sizeof pieces_of / sizeof pieces_of[0] };

static rt_image make_image(int pieces) {
  rt_image image;
  rt_task* t = compact(false);
  rt_enter(t);
  for (int i = 0; i < pieces; i++) memset(rt_alloc(PIECE), i, PIECE);
  rt_leave();
  assert_true(rt_get_image(t, &image));
  image.start = memcpy(malloc(image.size), image.start, image.size);
  assert_int_equal(rt_task_end(t), 0);
  return image;
}

/* A copy writes a number in each piece, and has blocks of its own behind them. */
typedef struct copied {
  rt_task* task;
  const rt_image* image;
  char* at;
  unsigned char *own, *large;
  int stamp;
} copied;

static char* piece(const copied* c, int i) {
  return c->at + c->image->size - (size_t)(i + 1) * PIECE;
}

static inline copied begin_copy(const rt_image* image, int stamp) {
  copied c = {.task = compact(false), .image = image, .stamp = stamp};
  rt_enter(c.task);
  c.at = rt_put_image(image);
  assert_non_null(c.at);
  for (int i = 0; i < (int)(image->bytes / PIECE); i++) memcpy(piece(&c, i), &stamp, sizeof stamp);
  c.own = memset(rt_alloc(300), stamp, 300);
  if (stamp % 8 == 0) c.large = memset(rt_alloc(8000), stamp, 8000);
  rt_leave();
  return c;
}

static inline void end_copy(copied* c) {
  for (int i = 0, n = (int)(c->image->bytes / PIECE); i < n; i++) {
    assert_memory_equal(piece(c, i), &c->stamp, sizeof c->stamp);
    assert_int_equal(piece(c, i)[PIECE - 1], n - 1 - i);
  }
  for (int i = 0; i < 300; i++) assert_int_equal(c->own[i], (unsigned char)c->stamp);
  for (int i = 0; i < 8000 && c->large != NULL; i++)
    assert_int_equal(c->large[i], (unsigned char)c->stamp);
  assert_true(mi_is_in_heap_region(c->own) && mi_is_in_heap_region(piece(c, 0)));
  rt_enter(c->task);
  if (c->stamp % 2) rt_free_sized(c->own, 300);
  assert_int_equal(rt_bytes(c->task),
                   c->image->bytes + (c->stamp % 2 ? 0 : 300) + (c->large != NULL ? 8000 : 0));
  rt_leave();
  assert_int_equal(rt_task_end(c->task), 0);
  c->task = NULL;
}

#endif
