#!/bin/bash
# The README's first C block is a program: it compiles, runs, and prints what the block behind it says.
build=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
block() { awk -v lang="$1" '/^```/{if(on){exit} if($0=="```" lang){on=1;next}} on' README.md; }
block c >"$dir/example.c"
block text >"$dir/expected"
if [ -s "$dir/example.c" ] && [ -s "$dir/expected" ] &&
  gcc -std=c11 -Wall -Wextra -Werror -I. "$dir/example.c" "$build/libsluice.a" -pthread -o "$dir/example" &&
  "$dir/example" >"$dir/seen" && diff "$dir/expected" "$dir/seen"; then
  echo "1 passed, 0 failed"
else
  echo "0 passed, 1 failed"
  exit 1
fi
