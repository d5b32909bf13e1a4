(* nqueens.ml: see nqueens.c. *)
let rec safe (queen : int) diagonal = function
  | [] -> true
  | q :: rest ->
      queen <> q && queen <> q + diagonal && queen <> q - diagonal && safe queen (diagonal + 1) rest

let rec append_safe queen placed found =
  if queen = 0 then found
  else if safe queen 1 placed then append_safe (queen - 1) placed ((queen :: placed) :: found)
  else append_safe (queen - 1) placed found

let rec extend n found = function
  | [] -> found
  | placed :: rest -> extend n (append_safe n placed found) rest

let rec solutions n queen = if queen = 0 then [ [] ] else extend n [] (solutions n (queen - 1))

let () =
  let n = if Array.length Sys.argv > 1 then int_of_string Sys.argv.(1) else 13 in
  print_endline (string_of_int (List.length (solutions n n)))
