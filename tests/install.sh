#!/bin/bash
# What is installed can be used from elsewhere: the example of README.md is compiled by pkg-config's flags, with
# the static and the shared library, and by CMake if there is one; so is the host of demo-lang/README.md.
cd "$(dirname "$0")/.." || exit 1
source tests/tools.sh
shown=$dir/out

make -s install PREFIX="$dir/usr" >"$dir/out" 2>&1
verdict $? 'make install'
example c README.md >"$dir/example.c"
example_output c README.md >"$dir/example.expected"
example c demo-lang/README.md >"$dir/host.c"
example_output c demo-lang/README.md >"$dir/host.expected"
cd "$dir" || exit 1
export PKG_CONFIG_PATH=$dir/usr/lib/pkgconfig LD_LIBRARY_PATH=$dir/usr/lib

runs_as() { "$2" >seen 2>out && diff "$1.expected" seen >out; } # EXAMPLE PROGRAM
flags=(-std=c11 -Wall -Werror)
# shellcheck disable=SC2046
gcc "${flags[@]}" example.c $(pkg-config --cflags --libs sluice) -o shared >out 2>&1 && runs_as example ./shared
verdict $? 'the shared library, by pkg-config'
# shellcheck disable=SC2046
gcc "${flags[@]}" $(pkg-config --cflags sluice) example.c usr/lib/libsluice.a -pthread -o static >out 2>&1 &&
  runs_as example ./static
verdict $? 'the static library'
# shellcheck disable=SC2046
gcc "${flags[@]}" host.c $(pkg-config --cflags --libs slua) -o host >out 2>&1 && runs_as host ./host
verdict $? 'slua.h, with the shared libsluice'
# shellcheck disable=SC2046
gcc "${flags[@]}" host.c $(pkg-config --cflags slua) usr/lib/lib{slua,sluice}.a -lm -ldl -pthread -o host >out 2>&1 && runs_as host ./host
verdict $? 'slua.h, with the static libsluice'
if command -v cmake >/dev/null; then
  cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.10)
project(example C)
find_package(sluice REQUIRED)
foreach(kind static shared)
  add_executable(by_${kind} example.c)
  target_link_libraries(by_${kind} sluice::${kind})
endforeach()
add_executable(host host.c)
target_link_libraries(host sluice::slua)
END
  cmake -S . -B cmake-build -DCMAKE_PREFIX_PATH="$dir/usr" >out 2>&1 && cmake --build cmake-build >out 2>&1 &&
    runs_as example cmake-build/by_static && runs_as example cmake-build/by_shared && runs_as host cmake-build/host
  verdict $? 'CMake'
fi
usr/bin/slua -e 'print "installed"' 2>&1 | grep -q '^installed$'
verdict $? 'slua'
finish
