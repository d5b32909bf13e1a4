(* rbtree.ml: see rbtree.c. *)
type colour = Red | Black
type tree = Leaf | Node of colour * tree * int * bool * tree

let is_red = function Node (Red, _, _, _, _) -> true | _ -> false

let balance_left l kv vv r =
  match l with
  | Node (_, Node (Red, lx, kx, vx, rx), ky, vy, ry) ->
      Node (Red, Node (Black, lx, kx, vx, rx), ky, vy, Node (Black, ry, kv, vv, r))
  | Node (_, ly, ky, vy, Node (Red, lx, kx, vx, rx)) ->
      Node (Red, Node (Black, ly, ky, vy, lx), kx, vx, Node (Black, rx, kv, vv, r))
  | _ -> Node (Black, l, kv, vv, r)

let balance_right l kv vv r =
  match r with
  | Node (_, Node (Red, lx, kx, vx, rx), ky, vy, ry) ->
      Node (Red, Node (Black, l, kv, vv, lx), kx, vx, Node (Black, rx, ky, vy, ry))
  | Node (_, lx, kx, vx, Node (Red, ly, ky, vy, ry)) ->
      Node (Red, Node (Black, l, kv, vv, lx), kx, vx, Node (Black, ly, ky, vy, ry))
  | _ -> Node (Black, l, kv, vv, r)

let rec ins t (key : int) value =
  match t with
  | Leaf -> Node (Red, Leaf, key, value, Leaf)
  | Node (c, l, k, v, r) ->
      if key < k then
        if c = Black && is_red l then balance_left (ins l key value) k v r
        else Node (c, ins l key value, k, v, r)
      else if key > k then
        if c = Black && is_red r then balance_right l k v (ins r key value)
        else Node (c, l, k, v, ins r key value)
      else Node (c, l, key, value, r)

let blacken = function Node (_, l, k, v, r) -> Node (Black, l, k, v, r) | Leaf -> Leaf
let insert t key value = if is_red t then blacken (ins t key value) else ins t key value

let rec fold = function
  | Leaf -> 0
  | Node (_, l, _, v, r) -> fold l + Bool.to_int v + fold r

let argument i default = if Array.length Sys.argv > i then int_of_string Sys.argv.(i) else default

let () =
  let keep = argument 2 0 in
  let rec go i tree kept =
    if i = 0 then (tree, kept)
    else
      let tree = insert tree i (i mod 10 = 0) in
      go (i - 1) tree (if keep > 0 && i mod keep = 0 then tree :: kept else kept)
  in
  let tree, kept = go (argument 1 4200000) Leaf [] in
  print_endline (string_of_int (fold tree));
  ignore (Sys.opaque_identity kept)
