#!/bin/bash
# Installs what the build and the tests need and this machine lacks (Debian), or names it in one line;
# with "bench", the allocators to compare with, too, with "bench-rc" the languages, with "determinism" compilers and libraries of Lua, with "instructions" what counts
# them, with "real" the programs to run, with "aarch64" or "musl" what runs the tests there. Prints nothing when
# nothing is missing.
set -u
missing=()
need() { # PACKAGE TEST...
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_file() { compgen -G "$1" >/dev/null; }

need gcc command -v gcc
need g++ command -v g++
need libc6-dev has_file '/usr/include/stdlib.h'
need binutils command -v ar
need pkgconf command -v pkg-config
need libcmocka-dev has_file '/usr/include/cmocka.h'
need liblua5.4-dev has_file '/usr/include/lua5.4/lua.h'
need lua5.4 command -v lua5.4
need libmicrohttpd-dev has_file '/usr/include/microhttpd.h'
need libmimalloc2.0 has_file '/usr/lib/*/libmimalloc.so.2*'
need spin command -v spin
need libmpfr-dev has_file '/usr/include/mpfr.h'
need util-linux command -v setarch
need python3 command -v python3
need perl command -v perl
if [ "${1-}" = bench ]; then
  need libjemalloc2 has_file '/usr/lib/*/libjemalloc.so.2*'
  need libtcmalloc-minimal4 has_file '/usr/lib/*/libtcmalloc_minimal.so.4*'
fi
if [ "${1-}" = bench-rc ]; then
  need rustc command -v rustc
  need ocaml-nox command -v ocamlopt
  need nim command -v nim
  need golang-go command -v go
fi
if [ "${1-}" = instructions ]; then need valgrind command -v callgrind_annotate; fi
if [ "${1-}" = real ]; then
  need time test -x /usr/bin/time
  need redis-tools command -v redis-check-rdb
  need sqlite3 command -v sqlite3
  need z3 command -v z3
  need git command -v git
  need perl perl -e 'use Storable; use Pod::Text; use CPAN'
  need python3 test -x /usr/bin/python3
  need "lib$(realpath -e /usr/bin/python3 2>/dev/null | grep -o 'python3.*' || echo python3.11)-testsuite" \
    /usr/bin/python3 -c 'import test.test_json'
fi
if [ "${1-}" = aarch64 ]; then
  need gcc-aarch64-linux-gnu command -v aarch64-linux-gnu-gcc
  need libc6-dev-arm64-cross has_file '/usr/aarch64-linux-gnu/include/stdlib.h'
  need qemu-user command -v qemu-aarch64
fi
if [ "${1-}" = determinism ]; then
  need clang command -v clang
  for package in lua-unit lua-dkjson lua-penlight lua-messagepack lua-moses lua-binaryheap lua-inspect lua-argparse; do
    need $package has_file "/usr/share/doc/$package/copyright"
  done
  need gcc-aarch64-linux-gnu command -v aarch64-linux-gnu-gcc
  need libc6-dev-arm64-cross has_file '/usr/aarch64-linux-gnu/include/stdlib.h'
  need qemu-user command -v qemu-aarch64
fi
[ "${1-}" = musl ] && need musl-tools command -v musl-gcc
case ${1-} in aarch64 | musl | determinism) need patch command -v patch ;; esac

[ ${#missing[@]} -eq 0 ] && exit 0

root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null && root=(sudo -n) || root=(false)
fi
export DEBIAN_FRONTEND=noninteractive
echo "setting up: ${missing[*]}"
install() { "${root[@]}" apt-get install -y -qq "$@" >/dev/null 2>&1; }
if command -v apt-get >/dev/null; then
  install "${missing[@]}" && exit 0
  "${root[@]}" apt-get update -qq >/dev/null 2>&1
  install "${missing[@]}" && exit 0
  # One that does not exist must not keep the others away.
  refused=()
  for package in "${missing[@]}"; do install "$package" || refused+=("$package"); done
  [ ${#refused[@]} -eq 0 ] && exit 0
  missing=("${refused[@]}")
fi
# What is compared with MPFR is left out without it.
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | grep -vx libmpfr-dev)
[ ${#missing[@]} -eq 0 ] && exit 0
echo "sluice: these Debian packages are needed and could not be installed: ${missing[*]}" >&2
exit 1
