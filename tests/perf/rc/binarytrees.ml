(* binarytrees.ml: see binarytrees.c. *)
type tree = Empty | Node of tree * tree

let rec make depth =
  if depth = 0 then Node (Empty, Empty)
  else
    let left = make (depth - 1) in
    Node (left, make (depth - 1))

let rec count = function Empty -> 0 | Node (left, right) -> 1 + count left + count right
let min_depth = 4

let () =
  let n = if Array.length Sys.argv > 1 then int_of_string Sys.argv.(1) else 21 in
  let sum = ref (count (make (n + 1))) in
  let lasting = make n in
  let depth = ref min_depth in
  while !depth <= n do
    for _ = 1 to 1 lsl (n - !depth + min_depth) do
      sum := !sum + count (make !depth)
    done;
    depth := !depth + 2
  done;
  print_endline (string_of_int (!sum + count lasting))
