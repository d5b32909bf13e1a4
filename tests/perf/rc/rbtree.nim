## rbtree.nim: see rbtree.c. Immutable nodes behind ref.
import std/[os, strutils]

type
  Colour = enum red, black
  Tree {.acyclic.} = ref object
    colour: Colour
    value: bool
    key: int
    left, right: Tree
  Versions {.acyclic.} = ref object
    tree: Tree
    next: Versions

proc node(colour: Colour, left: Tree, key: int, value: bool, right: Tree): Tree =
  Tree(colour: colour, left: left, key: key, value: value, right: right)

proc isRed(t: Tree): bool = t != nil and t.colour == red

proc balanceLeft(l: Tree, key: int, value: bool, r: Tree): Tree =
  if isRed(l.left):
    let x = l.left
    node(red, node(black, x.left, x.key, x.value, x.right), l.key, l.value,
         node(black, l.right, key, value, r))
  elif isRed(l.right):
    let y = l.right
    node(red, node(black, l.left, l.key, l.value, y.left), y.key, y.value,
         node(black, y.right, key, value, r))
  else: node(black, l, key, value, r)

proc balanceRight(l: Tree, key: int, value: bool, r: Tree): Tree =
  if isRed(r.left):
    let y = r.left
    node(red, node(black, l, key, value, y.left), y.key, y.value,
         node(black, y.right, r.key, r.value, r.right))
  elif isRed(r.right):
    let z = r.right
    node(red, node(black, l, key, value, r.left), r.key, r.value,
         node(black, z.left, z.key, z.value, z.right))
  else: node(black, l, key, value, r)

proc ins(t: Tree, key: int, value: bool): Tree =
  if t == nil: node(red, nil, key, value, nil)
  elif key < t.key:
    if t.colour == black and isRed(t.left):
      balanceLeft(ins(t.left, key, value), t.key, t.value, t.right)
    else: node(t.colour, ins(t.left, key, value), t.key, t.value, t.right)
  elif key > t.key:
    if t.colour == black and isRed(t.right):
      balanceRight(t.left, t.key, t.value, ins(t.right, key, value))
    else: node(t.colour, t.left, t.key, t.value, ins(t.right, key, value))
  else: node(t.colour, t.left, key, value, t.right)

proc insert(t: Tree, key: int, value: bool): Tree =
  result = ins(t, key, value)
  if isRed(t): result.colour = black

proc fold(t: Tree): int =
  if t == nil: 0 else: fold(t.left) + int(t.value) + fold(t.right)

proc main() =
  let n = if paramCount() > 0: parseInt(paramStr(1)) else: 4200000
  let keep = if paramCount() > 1: parseInt(paramStr(2)) else: 0
  var tree: Tree
  var kept: Versions
  for i in countdown(n, 1):
    tree = insert(tree, i, i mod 10 == 0)
    if keep > 0 and i mod keep == 0: kept = Versions(tree: tree, next: kept)
  echo fold(tree)

main()
