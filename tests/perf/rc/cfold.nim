## cfold.nim: see cfold.c. Expressions behind ref.
import std/[os, strutils]

type
  Kind = enum val, variable, add, mul
  Expr {.acyclic.} = ref object
    case kind: Kind
    of val, variable: value: int
    of add, mul: left, right: Expr

proc leaf(kind: range[val .. variable], value: int): Expr = Expr(kind: kind, value: value)
proc pair(kind: range[add .. mul], left, right: Expr): Expr =
  Expr(kind: kind, left: left, right: right)

proc make(depth, value: int): Expr =
  if depth == 0:
    if value == 0: leaf(variable, 1) else: leaf(val, value)
  else:
    let left = make(depth - 1, value + 1)
    pair(add, left, make(depth - 1, max(0, value - 1)))

proc append(kind: range[add .. mul], a, b: Expr): Expr =
  if a.kind == kind: pair(kind, a.left, append(kind, a.right, b)) else: pair(kind, a, b)

proc reassociate(e: Expr): Expr =
  if e.kind notin {add, mul}: return e
  let left = reassociate(e.left)
  append(e.kind, left, reassociate(e.right))

proc apply(kind: Kind, a, b: int): int = (if kind == add: a +% b else: a *% b)

proc fold(e: Expr): Expr =
  if e.kind notin {add, mul}: return e
  let a = fold(e.left)
  let b = fold(e.right)
  if a.kind != val: return pair(e.kind, a, b)
  if b.kind == val: return leaf(val, apply(e.kind, a.value, b.value))
  if b.kind == e.kind:
    if b.left.kind == val:
      return pair(e.kind, leaf(val, apply(e.kind, a.value, b.left.value)), b.right)
    if b.right.kind == val:
      return pair(e.kind, leaf(val, apply(e.kind, a.value, b.right.value)), b.left)
  pair(e.kind, a, b)

proc eval(e: Expr): int =
  case e.kind
  of val: e.value
  of variable: 0
  else: apply(e.kind, eval(e.left), eval(e.right))

proc main() =
  var e = make(if paramCount() > 0: parseInt(paramStr(1)) else: 20, 1)
  let before = eval(e)
  e = reassociate(e)
  e = fold(e)
  echo before, " ", eval(e)

main()
