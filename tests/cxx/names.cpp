/* names.cpp: the headers in C++: containers with our allocators, operator new and delete, and what
** happens without memory. run.sh compiles it for each standard. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "alloc/mimalloc-new-delete.h"
#include "demo-lang/slua.h"
#include "rc/rc.h"
#include "runtime/runtime.h"

#define check(e) ((e) ? (void)0 : fail(#e, __LINE__))
static void fail(const char* what, int line) {
  std::fprintf(stderr, "names.cpp:%d: %s\n", line, what);
  std::exit(1);
}

struct wide {
  alignas(64) char bytes[64];
};

template <class A>
static void fill(std::map<int, std::string, std::less<int>, A>& m) {
  for (int i = 0; i < 1000; i++) m[i] = std::string(100, static_cast<char>('a' + i % 26));
  for (int i = 0; i < 1000; i++) check(m[i].size() == 100 && m[i][50] == 'a' + i % 26);
}

static void containers() {
  typedef std::pair<const int, std::string> pair;
  std::vector<int, mi_stl_allocator<int>> v;
  for (int i = 0; i < 10000; i++) v.push_back(i);
  check(mi_check_owned(v.data()) && v[9999] == 9999);
  std::vector<wide, mi_stl_allocator<wide>> w(100);
  check(reinterpret_cast<std::uintptr_t>(w.data()) % 64 == 0);
  std::map<int, std::string, std::less<int>, mi_stl_allocator<pair>> m;
  fill(m);

  mi_heap_t* heap = mi_heap_new();
  {
    std::vector<int, mi_heap_stl_allocator<int>> in_heap((mi_heap_stl_allocator<int>(heap)));
    in_heap.resize(1000, 7);
    check(mi_heap_contains(heap, in_heap.data()));
    auto copy = in_heap;
    check(copy == in_heap && copy.get_allocator() == in_heap.get_allocator());
    mi_heap_stl_allocator<char> own;
    check(own != in_heap.get_allocator());
    std::map<int, std::string, std::less<int>, mi_heap_stl_allocator<pair>> in_own;
    fill(in_own);
  }
  mi_heap_delete(heap);
  std::map<int, std::string, std::less<int>, mi_heap_destroy_stl_allocator<pair>> gone;
  fill(gone);
}

static int asked;
static void give_up() {
  if (++asked == 3) std::set_new_handler(nullptr);
}

static volatile std::size_t most = PTRDIFF_MAX - 10;

static void operators() {
  int* one = new int(5);
  std::string* many = new std::string[100];
  check(mi_check_owned(one) && mi_check_owned(many));
  delete one;
  delete[] many;
  char* p = new (std::nothrow) char[most];
  check(p == nullptr);
  bool thrown = false;
  std::uint64_t ticks = mi_ticks();
  std::set_new_handler(give_up);
  try {
    p = new char[most];
  } catch (const std::bad_alloc&) {
    thrown = true;
  }
  check(thrown && asked == 3 && p == nullptr);
  check(mi_ticks() - ticks >= 1 + most / 1024); /* and not three times that */
  check(mi_ticks() - ticks < 2 * (most / 1024));
#ifdef __cpp_aligned_new
  wide* a = new wide;
  wide* b = new wide[10];
  check(reinterpret_cast<std::uintptr_t>(a) % 64 == 0 &&
        reinterpret_cast<std::uintptr_t>(b) % 64 == 0);
  delete a;
  delete[] b;
#endif
}

static void objects() {
  rc_object* o = rc_alloc(1, 2);
  rc_init(o, 0, rc_int(1));
  rc_init(o, 1, RC_NIL);
  check(rc_is_unique(o) && rc_to_int(rc_get(o, 0)) == 1);
  rc_dec(o);
  rt_task* t = rt_task_new(nullptr);
  check(t != nullptr && rt_enter(t) == 0 && rt_poll() == RT_OK);
  rt_leave();
  check(rt_task_end(t) == 0);
}

int main() {
  containers();
  operators();
  objects();
  std::puts("C++ as it should be");
  return 0;
}
