#!/bin/bash
# build.sh BUILD: builds slua and the programs anew below BUILD/determinism with other compilers and levels of
# optimisation, with optimisation by a profile, and for 64-bit ARM. What cannot be built is named and left out.
build=$(realpath "$1") there=$(realpath "$1")/determinism
cd "$(dirname "$0")/../.." || exit 1
make() { command make --no-print-directory -s -j2 "$@"; }

build_with() { # NAME CC CFLAGS
  make B="$there/$1" CC="$2" CFLAGS="$3" "$there/$1/slua" "$there/$1/programs" && return
  echo "left out: $1 cannot be built"
  rm -f "$there/$1/slua"
}

for level in 0 2 3; do
  [ $level = 2 ] || build_with "gcc-O$level" gcc "-O$level -g"
  if command -v clang >/dev/null; then build_with "clang-O$level" clang "-O$level -g"; else echo 'left out: there is no clang'; fi
done

# The profile is of some of the programs; the objects are made anew with it.
profile=$there/profile
if [ ! -x "$profile/slua" ]; then
  build_with profile 'gcc -fprofile-generate -fprofile-update=atomic' '-O2 -g'
  for name in $("$profile/programs"); do "$profile/programs" "$name" >/dev/null 2>&1; done
  for script in keys coroutines sorting; do "$profile/slua" "tests/determinism/lua/$script.lua" >/dev/null 2>&1; done
  find "$profile" -name '*.o' -delete
  rm -f "$profile"/{slua,programs,*.a}
fi
build_with profile 'gcc -fprofile-use -Wno-missing-profile -Wno-coverage-mismatch' '-O2 -g'

if command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null; then
  mkdir -p "$there/aarch64"
  tests/elsewhere.sh aarch64 "$build" slua programs && cp "$build"/aarch64/{slua,programs} "$there/aarch64/" ||
    echo 'left out: aarch64 cannot be built'
else
  echo 'left out: there is no compiler and emulator for aarch64'
fi
exit 0
