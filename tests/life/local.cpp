// local.cpp: a thread-local object of C++, whose destructor calls what destructors.c gives it.
extern "C" {
void touch_local(void);
void local_dies(void);
}

namespace {
struct local {
  int touched = 0;
  ~local() { local_dies(); }
};
thread_local local mine;
}  // namespace

void touch_local(void) { mine.touched++; }
