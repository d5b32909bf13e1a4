(* pause.ml: see pause.c. What dies is freed by the collector, in the constructions that follow.
   The clock has a resolution of some 0.25 microseconds. *)
type cell = { value : int; mutable next : cell option }
type tree = Empty | Node of tree * tree
type structure = List of cell option | Tree of tree | Array of cell array

let rec list n next = if n = 0 then next else list (n - 1) (Some { value = n; next })
let array n = Array.init n (fun value -> { value; next = None })

let shuffled n =
  let all = array n and random = ref 1 and first = ref None in
  for left = n downto 1 do
    random := ((!random * 0x5DEECE66D) + 0xB) land ((1 lsl 48) - 1);
    let i = (!random lsr 16) mod left in
    let cell = all.(i) in
    all.(i) <- all.(left - 1);
    cell.next <- !first;
    first := Some cell
  done;
  !first

let ring n =
  let first = { value = 0; next = None } in
  let rec grow i last = if i = n then last else grow (i + 1) { value = i; next = Some last } in
  let last = grow 1 first in
  first.next <- Some last;
  last

let rings n = Array.init (n / 1000) (fun _ -> ring 1000)

let rec tree n =
  if n = 0 then Empty
  else
    let left = tree ((n - 1) / 2) in
    Node (left, tree (n - 1 - ((n - 1) / 2)))

let () =
  let n = if Array.length Sys.argv > 2 then int_of_string Sys.argv.(2) else 10_000_000 in
  let build =
    match Sys.argv.(1) with
    | "list" -> List (list n None)
    | "shuffled" -> List (shuffled n)
    | "tree" -> Tree (tree n)
    | "array" -> Array (array n)
    | "rings" -> Array (rings n)
    | _ -> exit 2
  in
  let dies = ref build in
  let pauses = Bigarray.(Array1.create int c_layout (n + 1)) and count = ref 0 in
  let note start =
    let ns = int_of_float ((Unix.gettimeofday () -. start) *. 1e9) in
    if ns >= 1000 then (
      pauses.{!count} <- ns;
      incr count)
  in
  let start = Unix.gettimeofday () in
  dies := Sys.opaque_identity (Tree Empty);
  note start;
  let next = ref None in
  for value = 1 to n do
    let start = Unix.gettimeofday () in
    next := Some { value; next = !next };
    note start
  done;
  ignore (Sys.opaque_identity (!dies, !next));
  Printf.printf "%d\n" (n + 1);
  for i = 0 to !count - 1 do
    Printf.printf "%d\n" pauses.{i}
  done
