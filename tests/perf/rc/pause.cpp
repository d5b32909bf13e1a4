// pause.cpp: see pause.c. Structures behind std::shared_ptr, freed at once, by recursion.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

struct Cell {
  int64_t value;
  std::shared_ptr<Cell> next;
};
struct Node {
  std::shared_ptr<Node> left, right;
};
using List = std::shared_ptr<Cell>;
using Array = std::vector<List>;

static List cons(int64_t value, List next) {
  return std::make_shared<Cell>(Cell{value, std::move(next)});
}

static List list(int64_t n) {
  List first;
  for (int64_t i = 0; i < n; i++) first = cons(i, std::move(first));
  return first;
}

static std::shared_ptr<Array> array(int64_t n) {
  auto all = std::make_shared<Array>();
  all->reserve(n);
  for (int64_t i = 0; i < n; i++) all->push_back(cons(i, nullptr));
  return all;
}

static List shuffled(int64_t n) {
  auto all = array(n);
  uint64_t random = 1;
  List first;
  for (int64_t left = n; left > 0; left--) {
    random = (random * 0x5DEECE66D + 0xB) & ((uint64_t{1} << 48) - 1);
    std::swap((*all)[(random >> 16) % left], all->back());
    all->back()->next = std::move(first);
    first = std::move(all->back());
    all->pop_back();
  }
  return first;
}

static std::shared_ptr<Node> tree(int64_t n) {
  if (n == 0) return nullptr;
  auto left = tree((n - 1) / 2);
  return std::make_shared<Node>(Node{std::move(left), tree(n - 1 - (n - 1) / 2)});
}

using Clock = std::chrono::steady_clock;
static std::vector<int64_t> pauses;

static void note(Clock::time_point start) {
  int64_t ns = std::chrono::nanoseconds(Clock::now() - start).count();
  if (ns >= 1000) pauses.push_back(ns);
}

template <typename T>
static int measure(std::shared_ptr<T> dies, int64_t n) {
  pauses.reserve(n + 1);
  auto start = Clock::now();
  dies.reset();
  note(start);
  List next;
  for (int64_t i = 0; i < n; i++) {
    start = Clock::now();
    next = cons(0, std::move(next));
    note(start);
  }
  printf("%lld\n", static_cast<long long>(n + 1));
  for (int64_t ns : pauses) printf("%lld\n", static_cast<long long>(ns));
  fflush(stdout);
  _Exit(0);  // the list that lives is not freed here
}

int main(int argc, char** argv) {
  int64_t n = argc > 2 ? atoll(argv[2]) : 10000000;
  const char* name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "list") == 0) return measure(list(n), n);
  if (strcmp(name, "shuffled") == 0) return measure(shuffled(n), n);
  if (strcmp(name, "tree") == 0) return measure(tree(n), n);
  if (strcmp(name, "array") == 0) return measure(array(n), n);
  return 2;
}
