#!/bin/bash
# READMEs whose C blocks, up to the first text block, are one program: it compiles, runs, and prints what that block
# says.
build=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0
# Of all blocks of the language C, and of the first one in text.
code() { awk '/^```/ {if ($0 == "```text") exit; on = $0 == "```c"; next} on' "$1"; }
output() { awk '/^```/ {if (on) exit; on = $0 == "```text"; next} on' "$1"; }
for page in README.md runtime/README.md; do
  code $page >"$dir/example.c"
  output $page >"$dir/expected"
  if [ -s "$dir/example.c" ] && [ -s "$dir/expected" ] &&
    gcc -std=c11 -Wall -Wextra -Werror -I. "$dir/example.c" "$build/libsluice.a" -pthread -o "$dir/example" &&
    "$dir/example" >"$dir/seen" && diff "$dir/expected" "$dir/seen"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)) && echo "FAILED: $page"
  fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
