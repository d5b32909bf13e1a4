#!/bin/bash
# The public headers in each C++ standard that the compilers here know, without a warning; and used.
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/../.." || exit 1
source tests/tools.sh
shown=$dir/out
for compiler in g++ clang++; do
  command -v $compiler >/dev/null || continue
  for standard in c++11 c++14 c++17 c++20 c++2b; do
    for library in sluice sluice-debug; do
      $compiler -std=$standard -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Wsign-conversion -Werror -O1 -g -I. \
        tests/cxx/names.cpp "$build/lib$library.a" -pthread -o "$dir/names" >"$dir/out" 2>&1 &&
        "$dir/names" >"$dir/out" 2>&1 && grep -q '^C++ as it should be$' "$dir/out"
      verdict $? "$compiler -std=$standard, $library"
    done
  done
done
[ $((passed + failed)) -gt 0 ] || { echo "no C++ compiler" && failed=1; }
finish
