## pause.nim: see pause.c. Structures behind ref, freed at once, by recursion.
import std/[monotimes, os, strutils]

type
  Cell = ref object
    value: int
    next: Cell
  Tree = ref object
    left, right: Tree

proc list(n: int): Cell =
  for i in 0 ..< n: result = Cell(value: i, next: move result)

proc array(n: int): seq[Cell] =
  result = newSeq[Cell](n)
  for i in 0 ..< n: result[i] = Cell(value: i)

proc shuffled(n: int): Cell =
  var all = array(n)
  var random = 1'u64
  for left in countdown(n, 1):
    random = (random * 0x5DEECE66D'u64 + 0xB) and ((1'u64 shl 48) - 1)
    swap all[int((random shr 16) mod uint64(left))], all[left - 1]
    var cell = move all[left - 1]
    cell.next = move result
    result = move cell

proc tree(n: int): Tree =
  if n > 0: result = Tree(left: tree((n - 1) div 2), right: tree(n - 1 - (n - 1) div 2))

proc ring(n: int): Cell =
  let first = Cell(value: 0)
  result = first
  for i in 1 ..< n: result = Cell(value: i, next: move result)
  first.next = result

proc rings(n: int): seq[Cell] =
  result = newSeq[Cell](n div 1000)
  for i in 0 ..< n div 1000: result[i] = ring(1000)

var pauses: seq[int64]

proc note(start: MonoTime) =
  let ns = getMonoTime().ticks - start.ticks
  if ns >= 1000: pauses.add ns

proc measure[T](dies: var T, n: int) =
  pauses = newSeqOfCap[int64](n + 1)
  var start = getMonoTime()
  reset dies
  note start
  var next: Cell
  for i in 0 ..< n:
    start = getMonoTime()
    next = Cell(value: i, next: move next)
    note start
  echo n + 1
  for ns in pauses: echo ns
  quit 0 # the list that lives is not freed here

proc main() =
  let n = if paramCount() > 1: parseInt(paramStr(2)) else: 10_000_000
  case paramStr(1)
  of "list":
    var dies = list(n)
    measure(dies, n)
  of "shuffled":
    var dies = shuffled(n)
    measure(dies, n)
  of "tree":
    var dies = tree(n)
    measure(dies, n)
  of "array":
    var dies = array(n)
    measure(dies, n)
  of "rings":
    var dies = rings(n)
    measure(dies, n)
  else: quit 2

main()
