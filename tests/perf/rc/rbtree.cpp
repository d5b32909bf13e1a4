// rbtree.cpp: see rbtree.c. Persistent nodes behind std::shared_ptr; with -DMAP a std::map, which
// has no versions.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#ifdef MAP
int main(int argc, char** argv) {
  int64_t n = argc > 1 ? atoll(argv[1]) : 4200000;
  std::map<int64_t, bool> map;
  for (int64_t i = n; i > 0; i--) map[i] = i % 10 == 0;
  int64_t count = 0;
  for (const auto& [key, value] : map) count += value;
  printf("%lld\n", static_cast<long long>(count));
}
#else
enum Colour { red, black };
struct Node;
using Tree = std::shared_ptr<const Node>;
struct Node {
  Colour colour;
  Tree left;
  int64_t key;
  bool value;
  Tree right;
};
struct Versions {
  Tree tree;
  std::shared_ptr<Versions> next;
};

static Tree node(Colour colour, Tree left, int64_t key, bool value, Tree right) {
  return std::make_shared<const Node>(Node{colour, std::move(left), key, value, std::move(right)});
}

static bool is_red(const Tree& t) { return t && t->colour == red; }

static Tree balance_left(Tree l, int64_t key, bool value, Tree r) {
  if (is_red(l->left)) {
    const Node& x = *l->left;
    return node(red, node(black, x.left, x.key, x.value, x.right), l->key, l->value,
                node(black, l->right, key, value, std::move(r)));
  }
  if (is_red(l->right)) {
    const Node& y = *l->right;
    return node(red, node(black, l->left, l->key, l->value, y.left), y.key, y.value,
                node(black, y.right, key, value, std::move(r)));
  }
  return node(black, std::move(l), key, value, std::move(r));
}

static Tree balance_right(Tree l, int64_t key, bool value, Tree r) {
  if (is_red(r->left)) {
    const Node& y = *r->left;
    return node(red, node(black, std::move(l), key, value, y.left), y.key, y.value,
                node(black, y.right, r->key, r->value, r->right));
  }
  if (is_red(r->right)) {
    const Node& z = *r->right;
    return node(red, node(black, std::move(l), key, value, r->left), r->key, r->value,
                node(black, z.left, z.key, z.value, z.right));
  }
  return node(black, std::move(l), key, value, std::move(r));
}

static Tree ins(const Tree& t, int64_t key, bool value) {
  if (!t) return node(red, nullptr, key, value, nullptr);
  if (key < t->key) {
    Tree l = ins(t->left, key, value);
    return t->colour == black && is_red(t->left)
               ? balance_left(std::move(l), t->key, t->value, t->right)
               : node(t->colour, std::move(l), t->key, t->value, t->right);
  }
  if (key > t->key) {
    Tree r = ins(t->right, key, value);
    return t->colour == black && is_red(t->right)
               ? balance_right(t->left, t->key, t->value, std::move(r))
               : node(t->colour, t->left, t->key, t->value, std::move(r));
  }
  return node(t->colour, t->left, key, value, t->right);
}

static Tree insert(const Tree& t, int64_t key, bool value) {
  Tree u = ins(t, key, value);
  return is_red(t) ? node(black, u->left, u->key, u->value, u->right) : u;
}

static int64_t fold(const Tree& t) { return t ? fold(t->left) + t->value + fold(t->right) : 0; }

int main(int argc, char** argv) {
  int64_t n = argc > 1 ? atoll(argv[1]) : 4200000, keep = argc > 2 ? atoll(argv[2]) : 0;
  Tree tree;
  std::shared_ptr<Versions> kept;
  for (int64_t i = n; i > 0; i--) {
    tree = insert(tree, i, i % 10 == 0);
    if (keep > 0 && i % keep == 0)
      kept = std::make_shared<Versions>(Versions{tree, std::move(kept)});
  }
  printf("%lld\n", static_cast<long long>(fold(tree)));
}
#endif
