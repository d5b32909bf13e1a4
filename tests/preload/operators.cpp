/* operators.cpp: every form of operator new and delete, and what happens without memory: as the C++ library's
** own. With an argument, one mismatch of who made a block and who frees it. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#define check(e) ((e) ? (void)0 : fail(#e, __LINE__))
static void fail(const char* what, int line) {
  std::printf("operators.cpp:%d: %s\n", line, what);
  std::exit(1);
}

using std::align_val_t;
using std::nothrow;
static const std::size_t sizes[] = {0, 1, 16, 100, 5000, 100000, 20 << 20};
static const std::size_t none = PTRDIFF_MAX; /* nobody has that much */

static void* filled(void* p, std::size_t n, std::size_t align) {
  check(p != nullptr && reinterpret_cast<std::uintptr_t>(p) % align == 0);
  std::memset(p, 1, n);
  return p;
}

static void all_forms(std::size_t n) {
  const std::size_t least = n < 16 ? 8 : 16;
  for (int i = 0; i < 2; i++) {
    void* p = filled(i == 0 ? operator new(n) : operator new(n, nothrow), n, least);
    void* q = filled(i == 0 ? operator new[](n) : operator new[](n, nothrow), n, least);
    i == 0 ? operator delete(p) : operator delete(p, n);
    i == 0 ? operator delete[](q) : operator delete[](q, n);
    operator delete(operator new(n), nothrow);
    operator delete[](operator new[](n), nothrow);
    for (std::size_t align = 8; align <= 65536; align *= 8) {
      align_val_t a{align};
      p = filled(i == 0 ? operator new(n, a) : operator new(n, a, nothrow), n, align);
      q = filled(i == 0 ? operator new[](n, a) : operator new[](n, a, nothrow), n, align);
      i == 0 ? operator delete(p, a) : operator delete(p, n, a);
      i == 0 ? operator delete[](q, a) : operator delete[](q, n, a);
      operator delete(operator new(n, a), a, nothrow);
      operator delete[](operator new[](n, a), a, nothrow);
    }
  }
  operator delete(nullptr);
  operator delete[](nullptr);
}

static int handled;
static void handler() {
  if (++handled == 3) std::set_new_handler(nullptr);
}

template <class F>
static bool throws(F f) {
  try {
    f();
    return false;
  } catch (const std::bad_alloc&) {
    return true;
  }
}

static void without_memory() {
  align_val_t a{4096};
  check(throws([] { return operator new(none); }) && throws([] { return operator new[](none); }));
  check(throws([a] { return operator new(none, a); }) &&
        throws([a] { return operator new[](none, a); }));
  check(operator new(none, nothrow) == nullptr&& operator new[](none, nothrow) == nullptr);
  check(operator new(none, a, nothrow) == nullptr&& operator new[](none, a, nothrow) == nullptr);
  std::set_new_handler(handler);
  check(throws([] { return operator new(none); }) && handled == 3);
}

static void mismatch(const char* from, const char* to) {
  align_val_t a{64};
  void* p = !std::strcmp(from, "malloc")  ? std::malloc(100)
            : !std::strcmp(from, "new")   ? operator new(100)
            : !std::strcmp(from, "new[]") ? operator new[](100)
                                          :
                                          operator new(100, a);
  if (!std::strcmp(to, "free"))
    std::free(p);
  else if (!std::strcmp(to, "delete"))
    operator delete(p);
  else
    operator delete[](p);
}

int main(int argc, char** argv) {
  if (argc == 3) {
    mismatch(argv[1], argv[2]);
    return 0;
  }
  for (std::size_t n : sizes) all_forms(n);
  without_memory();
  std::puts("operators as they should be");
  return 0;
}
