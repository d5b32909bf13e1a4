// deriv.cpp: see deriv.c. Expressions behind std::shared_ptr.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <variant>

struct Node;
using Expr = std::shared_ptr<const Node>;
struct Val {
  int64_t value;
};
struct Var {
  int64_t name;
};
struct Ln {
  Expr of;
};
enum Op { add_op, mul_op, pow_op };
struct Binary {
  Op op;
  Expr left, right;
};
using Variant = std::variant<Val, Var, Ln, Binary>;
struct Node : Variant {
  using variant::variant;
};

static Expr val(int64_t value) { return std::make_shared<const Node>(Val{value}); }
static Expr binary(Op op, Expr a, Expr b) {
  return std::make_shared<const Node>(Binary{op, std::move(a), std::move(b)});
}
template <typename T>
static const T* as(const Expr& e) {
  return std::get_if<T>(static_cast<const Variant*>(e.get()));
}
static const Binary* as(Op op, const Expr& e) {
  const Binary* b = as<Binary>(e);
  return b != nullptr && b->op == op ? b : nullptr;
}
static bool is_val(const Expr& e, int64_t n) {
  const Val* v = as<Val>(e);
  return v != nullptr && v->value == n;
}

static int64_t power(int64_t a, int64_t n) {
  if (n == 0) return 1;
  if (n == 1) return a;
  int64_t b = power(a, n / 2);
  return b * b * (n % 2 == 0 ? 1 : a);
}

static Expr add(const Expr& a, const Expr& b) {
  const Val *m = as<Val>(a), *n = as<Val>(b);
  if (m && n) return val(m->value + n->value);
  if (is_val(a, 0)) return b;
  if (is_val(b, 0)) return a;
  if (n) return add(b, a);
  if (const Binary* inner = as(add_op, b)) {
    if (const Val* k = as<Val>(inner->left))
      return m ? add(val(m->value + k->value), inner->right)
               : add(inner->left, add(a, inner->right));
  }
  if (const Binary* inner = as(add_op, a)) return add(inner->left, add(inner->right, b));
  return binary(add_op, a, b);
}

static Expr mul(const Expr& a, const Expr& b) {
  const Val *m = as<Val>(a), *n = as<Val>(b);
  if (m && n) return val(m->value * n->value);
  if (is_val(a, 0)) return a;
  if (is_val(b, 0)) return b;
  if (is_val(a, 1)) return b;
  if (is_val(b, 1)) return a;
  if (n) return mul(b, a);
  if (const Binary* inner = as(mul_op, b)) {
    if (const Val* k = as<Val>(inner->left))
      return m ? mul(val(m->value * k->value), inner->right)
               : mul(inner->left, mul(a, inner->right));
  }
  if (const Binary* inner = as(mul_op, a)) return mul(inner->left, mul(inner->right, b));
  return binary(mul_op, a, b);
}

static Expr pow_of(const Expr& a, const Expr& b) {
  const Val *m = as<Val>(a), *n = as<Val>(b);
  if (m && n) return val(power(m->value, n->value));
  if (is_val(b, 0)) return val(1);
  if (is_val(b, 1)) return a;
  if (is_val(a, 0)) return a;
  return binary(pow_op, a, b);
}

static Expr ln_of(const Expr& a) {
  return is_val(a, 1) ? val(0) : std::make_shared<const Node>(Ln{a});
}

static Expr derive(int64_t x, const Expr& e) {
  if (as<Val>(e)) return val(0);
  if (const Var* v = as<Var>(e)) return val(x == v->name);
  if (const Ln* ln = as<Ln>(e)) return mul(derive(x, ln->of), pow_of(ln->of, val(-1)));
  const auto& [op, f, g] = *as<Binary>(e);
  if (op == add_op) return add(derive(x, f), derive(x, g));
  if (op == mul_op) return add(mul(f, derive(x, g)), mul(g, derive(x, f)));
  return mul(pow_of(f, g),
             add(mul(mul(g, derive(x, f)), pow_of(f, val(-1))), mul(ln_of(f), derive(x, g))));
}

static int64_t size(const Expr& e) {
  if (const Binary* b = as<Binary>(e)) return size(b->left) + size(b->right);
  if (const Ln* ln = as<Ln>(e)) return size(ln->of);
  return 1;
}

int main(int argc, char** argv) {
  int64_t n = argc > 1 ? atoll(argv[1]) : 10, leaves = 0;
  Expr x = std::make_shared<const Node>(Var{0}), e = pow_of(x, x);
  for (int64_t i = 0; i < n; i++) {
    e = derive(0, e);
    leaves = size(e);
  }
  printf("%lld\n", static_cast<long long>(leaves));
}
