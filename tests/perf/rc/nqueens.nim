## nqueens.nim: see nqueens.c. Lists behind ref.
import std/[os, strutils]

type
  List[T] {.acyclic.} = ref object
    head: T
    tail: List[T]
  Placement = List[int]

proc cons[T](head: T, tail: List[T]): List[T] = List[T](head: head, tail: tail)

proc safe(queen: int, placed: Placement): bool =
  var p {.cursor.} = placed
  var diagonal = 1
  while p != nil:
    if queen == p.head or queen == p.head + diagonal or queen == p.head - diagonal: return false
    p = p.tail
    inc diagonal
  true

proc solutions(n, queen: int): List[Placement] =
  if queen == 0: return cons[Placement](nil, nil)
  var all = solutions(n, queen - 1)
  while all != nil:
    for q in countdown(n, 1):
      if safe(q, all.head): result = cons(cons(q, all.head), result)
    all = all.tail

proc main() =
  let n = if paramCount() > 0: parseInt(paramStr(1)) else: 13
  let all = solutions(n, n)
  var count = 0
  var p {.cursor.} = all
  while p != nil:
    inc count
    p = p.tail
  echo count

main()
