#!/bin/bash
# What is installed can be used from elsewhere: the README's example is compiled by pkg-config's flags, with
# the static and the shared library, and by CMake if there is one.
cd "$(dirname "$0")/.." || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0
verdict() { # STATUS NAME
  if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $2" && tail -n 15 "$dir/out"; fi
}

make -s install PREFIX="$dir/usr" >"$dir/out" 2>&1
verdict $? 'make install'
awk '/^```/{if(on){exit} if($0=="```c"){on=1;next}} on' README.md >"$dir/example.c"
awk '/^```/{if(on){exit} if($0=="```text"){on=1;next}} on' README.md >"$dir/expected"
cd "$dir" || exit 1
export PKG_CONFIG_PATH=$dir/usr/lib/pkgconfig LD_LIBRARY_PATH=$dir/usr/lib

runs_as_expected() { "$1" >seen 2>out && diff expected seen >out; }
# shellcheck disable=SC2046
gcc -std=c11 -Wall -Werror example.c $(pkg-config --cflags --libs sluice) -o shared >out 2>&1 && runs_as_expected ./shared
verdict $? 'the shared library, by pkg-config'
# shellcheck disable=SC2046
gcc -std=c11 -Wall -Werror $(pkg-config --cflags sluice) example.c usr/lib/libsluice.a -pthread -o static >out 2>&1 &&
  runs_as_expected ./static
verdict $? 'the static library'
if command -v cmake >/dev/null; then
  cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.10)
project(example C)
find_package(sluice REQUIRED)
foreach(kind static shared)
  add_executable(by_${kind} example.c)
  target_link_libraries(by_${kind} sluice::${kind})
endforeach()
END
  cmake -S . -B cmake-build -DCMAKE_PREFIX_PATH="$dir/usr" >out 2>&1 && cmake --build cmake-build >out 2>&1 &&
    runs_as_expected cmake-build/by_static && runs_as_expected cmake-build/by_shared
  verdict $? 'CMake'
fi
usr/bin/slua -e 'print "installed"' 2>&1 | grep -q '^installed$'
verdict $? 'slua'
echo "$passed passed, $failed failed"
[ $failed = 0 ]
