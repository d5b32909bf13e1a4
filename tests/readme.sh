#!/bin/bash
# READMEs whose C blocks, up to the first text block, are one program: it compiles, runs, and prints what that block
# says.
build=$1
source "$(dirname "$0")/tools.sh"
# Of all blocks of the language C, and of the first one in text.
code() { awk '/^```/ {if ($0 == "```text") exit; on = $0 == "```c"; next} on' "$1"; }
output() { awk '/^```/ {if (on) exit; on = $0 == "```text"; next} on' "$1"; }
for page in README.md runtime/README.md demo-lang/README.md; do
  code $page >"$dir/example.c"
  output $page >"$dir/expected"
  [ -s "$dir/example.c" ] && [ -s "$dir/expected" ] &&
    gcc -std=c11 -Wall -Wextra -Werror -I. -Idemo-lang "$dir/example.c" "$build"/lib{slua,sluice}.a -lm -ldl -pthread -o "$dir/example" &&
    "$dir/example" >"$dir/seen" && diff "$dir/expected" "$dir/seen"
  verdict $? "$page"
done
finish
