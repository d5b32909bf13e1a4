#!/bin/bash
# The unit tests, the stress programs and slua elsewhere: with musl as the C library, or on 64-bit ARM by
# emulation. And the figures that depend on the program alone are those of this system. (On x86 the emulator
# orders memory as x86 does, so a missing barrier is not found.) What the tests need of others' libraries is
# compiled from Debian's sources.
# usage: elsewhere.sh musl|aarch64 BUILD [TARGET...]    with targets, it builds these there, and no more
system=$1 build=$(realpath "${2:-build}") targets=("${@:3}")
cd "$(dirname "$0")/.." || exit 1
there=$build/$system here=$build/here sources=$build/sources
case $system in
  musl) cc='musl-gcc -static' cross='' flags='' emulator=() ;;
  aarch64) cc='aarch64-linux-gnu-gcc -static' cross=aarch64-linux-gnu- flags=-DEMULATED emulator=(qemu-aarch64) ;;
  *) echo "usage: $0 musl|aarch64 BUILD" >&2 && exit 2 ;;
esac
source tests/tools.sh
shown=$there/out

# Without telling the system's package manager about a source of sources. With Debian's changes to Lua, and its
# settings: what the state allocates as it starts depends on them.
fetch_sources() {
  local lists=$sources/lists
  mkdir -p "$lists/partial" && cd "$sources" || return 1
  echo 'deb-src http://deb.debian.org/debian bookworm main' >list
  local apt=(apt-get -qq -o Dir::Etc::sourcelist="$sources/list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$lists"
    -o Dir::Cache="$lists" -o APT::Sandbox::User="$(id -un)")
  "${apt[@]}" update && "${apt[@]}" source --download-only cmocka lua5.4 && mkdir cmocka lua &&
    tar -C cmocka --strip-components=1 -xf cmocka_*.orig.tar.?z && tar -C lua --strip-components=1 -xf lua5.4_*.orig.tar.?z &&
    tar -xf lua5.4_*.debian.tar.xz && for fix in debian/patches/000[2-9]*.patch; do patch -s -p1 -d lua <"$fix" || return; done &&
    echo "#define DEB_HOST_MULTIARCH \"$(gcc -print-multiarch)\"" >lua/src/lua5.4-deb-multiarch.h && rm -rf "$lists" debian
}
[ -d "$sources/lua/src" ] || (fetch_sources) || exit 1

compile_libraries() { # SYSTEM CC CROSS
  local objects=$build/$1/objects
  mkdir -p "$objects/cmocka" "$objects/lua" || return 1
  (cd "$objects/cmocka" && $2 -O2 -w -DHAVE_SIGNAL_H -I"$sources/cmocka/include" -c "$sources/cmocka/src/cmocka.c") &&
    (cd "$objects/lua" && $2 -O2 -w -DLUA_COMPAT_5_3 -DLUA_USE_LINUX -c "$sources"/lua/src/l*.c && rm lua.o luac.o) &&
    "$3ar" rcs "$build/$1/libcmocka.a" "$objects"/cmocka/*.o && "$3ar" rcs "$build/$1/liblua5.4.a" "$objects"/lua/*.o
}
build_there() { # SYSTEM CC CROSS FLAGS: with the same cmocka and Lua
  [ -e "$build/$1/liblua5.4.a" ] || compile_libraries "$1" "$2" "$3" || return 1
  make --no-print-directory -s -j2 B="$build/$1" CROSS="$3" CC="$2 -isystem $sources/cmocka/include -L$build/$1" \
    CFLAGS="-O2 -g $4" LUA_I="$sources/lua/src" "${programs[@]/#/$build/$1/}" "$build/$1/slua"
}
if [ ${#targets[@]} -gt 0 ]; then
  programs=("${targets[@]}")
  build_there "$system" "$cc" "$cross" "$flags"
  exit
fi
programs=()
for source in tests/unit/*.c tests/stress/*.c; do programs+=("tests/plain/$(basename "$source" .c)"); done
build_there "$system" "$cc" "$cross" "$flags" && build_there here gcc '' '' || exit 1

figures() { grep -E '^(beats|fits|offsets):' "$1"; }
for program in "${programs[@]}"; do
  name=$(basename "$program") rounds=()
  [ -e "tests/stress/$name.c" ] && rounds=(3)
  [ "$system $name" = 'aarch64 forks' ] && echo "skipped: $name (the emulator cannot fork with threads)" && continue
  "${emulator[@]}" "$there/$program" "${rounds[@]}" >"$there/out" 2>&1
  verdict $? "$name"
  if figures "$there/out" >"$there/figures"; then
    "$here/$program" 2>/dev/null | figures - | diff - "$there/figures" >"$there/out"
    verdict $? "$name: the same figures as here"
  fi
done

endless=(--heartbeats 200 tests/demo/endless.lua)
"${emulator[@]}" "$there/slua" "${endless[@]}" >"$there/lua" 2>&1
[ $? = 3 ] && "$here/slua" "${endless[@]}" 2>&1 | diff - "$there/lua" >"$there/out"
verdict $? 'slua: an endless script stops at the same line and tick, with the same order of pairs'

preloaded() { # a program that is not static
  local number=175451865205073170563711388363
  make --no-print-directory -s B="$there/shared" CC=musl-gcc "$there/shared/libsluice-preload.so" "$there/shared/cfrac" || return 1
  LD_PRELOAD=$there/shared/libsluice-preload.so MIMALLOC_SHOW_STATS=1 "$there/shared/cfrac" $number >"$there/out" 2>&1
  grep -q "^$number = " "$there/out" && grep -q '^normal    2: .* ok$' "$there/out"
}
if [ "$system" = musl ]; then
  preloaded
  verdict $? 'cfrac, with malloc by LD_PRELOAD'
fi
finish
