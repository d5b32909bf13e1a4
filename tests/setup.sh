#!/bin/bash
# Installs what the build and the tests need and this machine lacks (Debian), or names it in one line;
# with "bench", the allocators to compare with, too. Prints nothing when nothing is missing.
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
need libmimalloc2.0 has_file '/usr/lib/*/libmimalloc.so.2*'
need spin command -v spin
need util-linux command -v setarch
need python3 command -v python3
need perl command -v perl
if [ "${1-}" = bench ]; then
  need libjemalloc2 has_file '/usr/lib/*/libjemalloc.so.2*'
  need libtcmalloc-minimal4 has_file '/usr/lib/*/libtcmalloc_minimal.so.4*'
fi

[ ${#missing[@]} -eq 0 ] && exit 0

root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null && root=(sudo -n) || root=(false)
fi
export DEBIAN_FRONTEND=noninteractive
echo "setting up: ${missing[*]}"
if command -v apt-get >/dev/null; then
  "${root[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null 2>&1 && exit 0
  "${root[@]}" apt-get update -qq >/dev/null 2>&1
  "${root[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null 2>&1 && exit 0
fi
echo "sluice: these Debian packages are needed and could not be installed: ${missing[*]}" >&2
exit 1
