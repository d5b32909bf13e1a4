(* deriv.ml: see deriv.c. *)
type expr =
  | Val of int
  | Var of int
  | Add of expr * expr
  | Mul of expr * expr
  | Pow of expr * expr
  | Ln of expr

let rec power a n =
  if n = 0 then 1
  else if n = 1 then a
  else
    let b = power a (n / 2) in
    b * b * if n mod 2 = 0 then 1 else a

let rec add a b =
  match (a, b) with
  | Val m, Val n -> Val (m + n)
  | Val 0, e | e, Val 0 -> e
  | e, Val n -> add (Val n) e
  | Val m, Add (Val n, e) -> add (Val (m + n)) e
  | e, Add (Val n, f) -> add (Val n) (add e f)
  | Add (f, g), e -> add f (add g e)
  | a, b -> Add (a, b)

let rec mul a b =
  match (a, b) with
  | Val m, Val n -> Val (m * n)
  | Val 0, _ | _, Val 0 -> Val 0
  | Val 1, e | e, Val 1 -> e
  | e, Val n -> mul (Val n) e
  | Val m, Mul (Val n, e) -> mul (Val (m * n)) e
  | e, Mul (Val n, f) -> mul (Val n) (mul e f)
  | Mul (f, g), e -> mul f (mul g e)
  | a, b -> Mul (a, b)

let pow a b =
  match (a, b) with
  | Val m, Val n -> Val (power m n)
  | _, Val 0 -> Val 1
  | e, Val 1 -> e
  | Val 0, _ -> Val 0
  | a, b -> Pow (a, b)

let ln = function Val 1 -> Val 0 | e -> Ln e

let rec derive x = function
  | Val _ -> Val 0
  | Var y -> Val (Bool.to_int (x = y))
  | Add (f, g) ->
      let df = derive x f in
      add df (derive x g)
  | Mul (f, g) ->
      let left = mul f (derive x g) in
      add left (mul g (derive x f))
  | Pow (f, g) ->
      let inner = mul (mul g (derive x f)) (pow f (Val (-1))) in
      mul (pow f g) (add inner (mul (ln f) (derive x g)))
  | Ln f -> mul (derive x f) (pow f (Val (-1)))

let rec size = function
  | Val _ | Var _ -> 1
  | Add (f, g) | Mul (f, g) | Pow (f, g) -> size f + size g
  | Ln f -> size f

let () =
  let n = if Array.length Sys.argv > 1 then int_of_string Sys.argv.(1) else 10 in
  let rec go i e leaves =
    if i = 0 then leaves
    else
      let e = derive 0 e in
      go (i - 1) e (size e)
  in
  print_endline (string_of_int (go n (pow (Var 0) (Var 0)) 0))
