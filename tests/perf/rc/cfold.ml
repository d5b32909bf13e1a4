(* cfold.ml: see cfold.c. *)
type expr = Val of int | Var of int | Add of expr * expr | Mul of expr * expr

let rec make depth value =
  if depth = 0 then if value = 0 then Var 1 else Val value
  else
    let left = make (depth - 1) (value + 1) in
    Add (left, make (depth - 1) (max 0 (value - 1)))

let rec append_add e1 e2 =
  match e1 with Add (a, b) -> Add (a, append_add b e2) | _ -> Add (e1, e2)

let rec append_mul e1 e2 =
  match e1 with Mul (a, b) -> Mul (a, append_mul b e2) | _ -> Mul (e1, e2)

let rec reassociate = function
  | Add (a, b) ->
      let left = reassociate a in
      append_add left (reassociate b)
  | Mul (a, b) ->
      let left = reassociate a in
      append_mul left (reassociate b)
  | e -> e

let rec fold = function
  | Add (a, b) -> (
      let a = fold a in
      match (a, fold b) with
      | Val m, Val n -> Val (m + n)
      | Val m, Add (Val n, e) | Val m, Add (e, Val n) -> Add (Val (m + n), e)
      | a, b -> Add (a, b))
  | Mul (a, b) -> (
      let a = fold a in
      match (a, fold b) with
      | Val m, Val n -> Val (m * n)
      | Val m, Mul (Val n, e) | Val m, Mul (e, Val n) -> Mul (Val (m * n), e)
      | a, b -> Mul (a, b))
  | e -> e

let rec eval = function
  | Val n -> n
  | Var _ -> 0
  | Add (a, b) -> eval a + eval b
  | Mul (a, b) -> eval a * eval b

let () =
  let depth = if Array.length Sys.argv > 1 then int_of_string Sys.argv.(1) else 20 in
  let e = make depth 1 in
  let before = eval e in
  print_endline (Printf.sprintf "%d %d" before (eval (fold (reassociate e))))
