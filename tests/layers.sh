#!/bin/bash
# Includes only point down: alloc <- rc <- runtime <- demo-lang, and rc/data stands on rc.h alone. The libraries
# export their names only, and need nothing but libc.
source "$(dirname "$0")/tools.sh"
shown=$dir/out
check() { # NAME COMMAND...: passes if the command prints nothing
  "${@:2}" >"$shown" 2>&1
  silent "$1"
}
includes_of() { grep -nE "#include \"($2)/" -r "$1" --include='*.[ch]'; }
names_but() { nm -D --defined-only "$1" | awk '{print $3}' | grep -vE "$2"; }
malloc_names='^(malloc|calloc|realloc|reallocarray|free|cfree|memalign|valloc|pvalloc|aligned_alloc|posix_memalign|malloc_usable_size|free_sized|free_aligned_sized|mallopt|malloc_trim|mallinfo2|malloc_stats|malloc_info)$|^_Z[nd][wla]'

check 'alloc/ includes nothing above it' includes_of alloc 'rc|runtime|demo-lang|tests'
check 'rc/ includes nothing above it' includes_of rc 'runtime|demo-lang|tests'
check 'rc/ does not know its data' grep -nE '#include "rc/data/' rc/rc.h rc/internal.h rc/*.c
data_includes_but() { grep -nE '#include "' rc/data/*.[ch] | grep -vE "\"$1\""; }
check 'rc/data/ includes rc.h and its own files only' data_includes_but 'rc/(rc|data/[a-z]+)\.h'
check 'runtime/ includes nothing above it' includes_of runtime 'demo-lang|tests'
check 'only demo-lang knows Lua' grep -rnE '#include .*(lua|lauxlib|lualib)' alloc rc runtime
static_names_but() { nm -g --defined-only "$1" | awk 'NF == 3 {print $3}' | grep -vE "$2"; }
check 'libsluice.a defines its names only' static_names_but build/libsluice.a '^(mi|rc|rt)_'
check 'libsluice-debug.a, too' static_names_but build/libsluice-debug.a '^(mi|rc|rt)_'
check 'libsluice-secure.a, too' static_names_but build/libsluice-secure.a '^(mi|rc|rt)_'
check "libslua.a defines slua.h's and Lua's" static_names_but build/libslua.a '^(slua_|luaL?_|luaopen_)'
check 'libsluice.so exports its names only' names_but build/libsluice.so '^(mi|rc|rt)_'
check 'libsluice-preload.so exports malloc too' names_but build/libsluice-preload.so "^(mi|rc|rt)_|$malloc_names"
check 'so does libsluice-debug-preload.so' names_but build/libsluice-debug-preload.so "^(mi|rc|rt)_|$malloc_names"
check 'so does libsluice-secure-preload.so' names_but build/libsluice-secure-preload.so "^(mi|rc|rt)_|$malloc_names"
needs_but() { # LIBRARIES FILE...
  local libraries=$1
  shift
  objdump -p "$@" | awk -v libraries="^($libraries)" '$1 == "NEEDED" && $2 !~ libraries'
}
check 'the shared libraries need libc only' needs_but 'libc\.|libpthread\.|ld-linux' build/libsluice{,-preload}.so
check "those with checks the compiler's unwinder, too" needs_but 'libc\.|libpthread\.|ld-linux|libgcc_s\.' build/libsluice-*.so
finish
