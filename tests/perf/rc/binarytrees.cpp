// binarytrees.cpp: see binarytrees.c. Trees behind std::shared_ptr.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

struct Node;
using Tree = std::shared_ptr<const Node>;
struct Node {
  Tree left, right;
};

static Tree make(int depth) {
  if (depth == 0) return std::make_shared<const Node>();
  Tree left = make(depth - 1);
  return std::make_shared<const Node>(Node{std::move(left), make(depth - 1)});
}

static int64_t count(const Tree& t) { return t->left ? 1 + count(t->left) + count(t->right) : 1; }

int main(int argc, char** argv) {
  int n = argc > 1 ? atoi(argv[1]) : 21;
  const int min_depth = 4;
  int64_t sum = count(make(n + 1));
  Tree lasting = make(n);
  for (int depth = min_depth; depth <= n; depth += 2)
    for (int64_t i = int64_t{1} << (n - depth + min_depth); i > 0; i--) sum += count(make(depth));
  printf("%lld\n", static_cast<long long>(sum + count(lasting)));
}
