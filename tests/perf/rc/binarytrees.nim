## binarytrees.nim: see binarytrees.c. Trees behind ref.
import std/[os, strutils]

type Tree {.acyclic.} = ref object
  left, right: Tree

proc make(depth: int): Tree =
  if depth == 0: Tree() else: Tree(left: make(depth - 1), right: make(depth - 1))

proc count(t: Tree): int =
  if t.left == nil: 1 else: 1 + count(t.left) + count(t.right)

proc main() =
  const minDepth = 4
  let n = if paramCount() > 0: parseInt(paramStr(1)) else: 21
  var sum = count(make(n + 1))
  let lasting = make(n)
  for depth in countup(minDepth, n, 2):
    for _ in 1 .. 1 shl (n - depth + minDepth):
      sum += count(make(depth))
  echo sum + count(lasting)

main()
