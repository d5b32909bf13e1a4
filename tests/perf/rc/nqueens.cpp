// nqueens.cpp: see nqueens.c. Lists behind std::shared_ptr.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

template <typename T>
struct Cell {
  T head;
  std::shared_ptr<const Cell> tail;
};
template <typename T>
using List = std::shared_ptr<const Cell<T>>;
using Placement = List<int64_t>;

template <typename T>
static List<T> cons(T head, List<T> tail) {
  return std::make_shared<const Cell<T>>(Cell<T>{std::move(head), std::move(tail)});
}

static bool safe(int64_t queen, const Placement& placed) {
  int64_t diagonal = 1;
  for (const Cell<int64_t>* p = placed.get(); p != nullptr; p = p->tail.get(), diagonal++)
    if (queen == p->head || queen == p->head + diagonal || queen == p->head - diagonal)
      return false;
  return true;
}

static List<Placement> append_safe(int64_t queen, const Placement& placed, List<Placement> found) {
  for (; queen > 0; queen--)
    if (safe(queen, placed)) found = cons(cons(queen, placed), std::move(found));
  return found;
}

static List<Placement> solutions(int64_t n, int64_t queen) {
  if (queen == 0) return cons<Placement>(nullptr, nullptr);
  List<Placement> all = solutions(n, queen - 1), found;
  for (; all; all = List<Placement>(all->tail)) found = append_safe(n, all->head, std::move(found));
  return found;
}

int main(int argc, char** argv) {
  int64_t n = argc > 1 ? atoll(argv[1]) : 13, count = 0;
  List<Placement> all = solutions(n, n);
  for (const Cell<Placement>* p = all.get(); p != nullptr; p = p->tail.get()) count++;
  printf("%lld\n", static_cast<long long>(count));
}
