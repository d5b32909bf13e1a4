// cfold.cpp: see cfold.c. Expressions behind std::shared_ptr.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <variant>

struct Binary;
struct Val {
  int64_t value;
};
struct Var {
  int64_t name;
};
enum Op { add, mul };
struct Node;
using Expr = std::shared_ptr<const Node>;
struct Binary {
  Op op;
  Expr left, right;
};
struct Node : std::variant<Val, Var, Binary> {
  using variant::variant;
};

static Expr val(int64_t value) { return std::make_shared<const Node>(Val{value}); }
static Expr binary(Op op, Expr a, Expr b) {
  return std::make_shared<const Node>(Binary{op, std::move(a), std::move(b)});
}
template <typename T>
static const T* as(const Expr& e) {
  return std::get_if<T>(static_cast<const std::variant<Val, Var, Binary>*>(e.get()));
}

static Expr make(int64_t depth, int64_t value) {
  if (depth == 0) return value == 0 ? std::make_shared<const Node>(Var{1}) : val(value);
  Expr left = make(depth - 1, value + 1);
  return binary(add, std::move(left), make(depth - 1, value == 0 ? 0 : value - 1));
}

static Expr append(Op op, const Expr& e1, const Expr& e2) {
  const Binary* b = as<Binary>(e1);
  if (b == nullptr || b->op != op) return binary(op, e1, e2);
  return binary(op, b->left, append(op, b->right, e2));
}

static Expr reassociate(const Expr& e) {
  const Binary* b = as<Binary>(e);
  if (b == nullptr) return e;
  Expr left = reassociate(b->left);
  return append(b->op, left, reassociate(b->right));
}

static int64_t apply(Op op, int64_t a, int64_t b) { return op == add ? a + b : a * b; }

static Expr fold(const Expr& e) {
  const Binary* both = as<Binary>(e);
  if (both == nullptr) return e;
  Op op = both->op;
  Expr a = fold(both->left), b = fold(both->right);
  const Val* constant = as<Val>(a);
  if (constant == nullptr) return binary(op, a, b);
  if (const Val* other = as<Val>(b)) return val(apply(op, constant->value, other->value));
  if (const Binary* inner = as<Binary>(b); inner != nullptr && inner->op == op) {
    if (const Val* other = as<Val>(inner->left))
      return binary(op, val(apply(op, constant->value, other->value)), inner->right);
    if (const Val* other = as<Val>(inner->right))
      return binary(op, val(apply(op, constant->value, other->value)), inner->left);
  }
  return binary(op, a, b);
}

static int64_t eval(const Expr& e) {
  if (const Val* v = as<Val>(e)) return v->value;
  if (const Binary* b = as<Binary>(e)) return apply(b->op, eval(b->left), eval(b->right));
  return 0;
}

int main(int argc, char** argv) {
  Expr e = make(argc > 1 ? atoll(argv[1]) : 20, 1);
  int64_t before = eval(e);
  e = reassociate(e);
  e = fold(e);
  printf("%lld %lld\n", static_cast<long long>(before), static_cast<long long>(eval(e)));
}
