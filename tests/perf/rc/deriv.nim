## deriv.nim: see deriv.c. Expressions behind ref.
import std/[os, strutils]

type
  Kind = enum val, variable, add, mul, pow, ln
  Expr {.acyclic.} = ref object
    case kind: Kind
    of val, variable: value: int
    of ln: inner: Expr
    of add, mul, pow: left, right: Expr

proc leaf(n: int): Expr = Expr(kind: val, value: n)
proc isVal(e: Expr, n: int): bool = e.kind == val and e.value == n
proc hasVal(e: Expr, kind: Kind): bool = e.kind == kind and e.left.kind == val

proc power(a, n: int): int =
  if n == 0: return 1
  if n == 1: return a
  let b = power(a, n div 2)
  b *% b *% (if n mod 2 == 0: 1 else: a)

proc addOf(a, b: Expr): Expr =
  if a.kind == val and b.kind == val: leaf(a.value +% b.value)
  elif isVal(a, 0): b
  elif isVal(b, 0): a
  elif b.kind == val: addOf(b, a)
  elif hasVal(b, add):
    if a.kind == val: addOf(leaf(a.value +% b.left.value), b.right)
    else: addOf(b.left, addOf(a, b.right))
  elif a.kind == add: addOf(a.left, addOf(a.right, b))
  else: Expr(kind: add, left: a, right: b)

proc mulOf(a, b: Expr): Expr =
  if a.kind == val and b.kind == val: leaf(a.value *% b.value)
  elif isVal(a, 0): a
  elif isVal(b, 0): b
  elif isVal(a, 1): b
  elif isVal(b, 1): a
  elif b.kind == val: mulOf(b, a)
  elif hasVal(b, mul):
    if a.kind == val: mulOf(leaf(a.value *% b.left.value), b.right)
    else: mulOf(b.left, mulOf(a, b.right))
  elif a.kind == mul: mulOf(a.left, mulOf(a.right, b))
  else: Expr(kind: mul, left: a, right: b)

proc powOf(a, b: Expr): Expr =
  if a.kind == val and b.kind == val: leaf(power(a.value, b.value))
  elif isVal(b, 0): leaf(1)
  elif isVal(b, 1): a
  elif isVal(a, 0): a
  else: Expr(kind: pow, left: a, right: b)

proc lnOf(a: Expr): Expr =
  if isVal(a, 1): leaf(0) else: Expr(kind: ln, inner: a)

proc derive(x: int, e: Expr): Expr =
  case e.kind
  of val: leaf(0)
  of variable: leaf(int(x == e.value))
  of add: addOf(derive(x, e.left), derive(x, e.right))
  of mul: addOf(mulOf(e.left, derive(x, e.right)), mulOf(e.right, derive(x, e.left)))
  of pow:
    let inner = mulOf(mulOf(e.right, derive(x, e.left)), powOf(e.left, leaf(-1)))
    mulOf(powOf(e.left, e.right), addOf(inner, mulOf(lnOf(e.left), derive(x, e.right))))
  of ln: mulOf(derive(x, e.inner), powOf(e.inner, leaf(-1)))

proc size(e: Expr): int =
  case e.kind
  of val, variable: 1
  of ln: size(e.inner)
  else: size(e.left) + size(e.right)

proc main() =
  let n = if paramCount() > 0: parseInt(paramStr(1)) else: 10
  let x = Expr(kind: variable, value: 0)
  var e = powOf(x, x)
  var leaves = 0
  for _ in 1 .. n:
    e = derive(0, e)
    leaves = size(e)
  echo leaves

main()
