#!/bin/bash
# The C of the READMEs is a program: it compiles, runs, and prints what the README says.
build=$1
source "$(dirname "$0")/tools.sh"
for page in README.md runtime/README.md demo-lang/README.md; do
  example c $page >"$dir/example.c"
  example_output c $page >"$dir/expected"
  [ -s "$dir/example.c" ] && [ -s "$dir/expected" ] &&
    gcc -std=c11 -Wall -Wextra -Werror -I. -Idemo-lang "$dir/example.c" "$build"/lib{slua,sluice}.a -lm -ldl -pthread -o "$dir/example" &&
    "$dir/example" >"$dir/seen" && diff "$dir/expected" "$dir/seen"
  verdict $? "$page"
done
finish
