#!/bin/bash
# Programs under the preload libraries in $1: each must print what it prints without.
build=$(realpath "${1:-build}")
cd "$(dirname "$0")" || exit 1
source ../tools.sh

same() { # NAME COMMAND...: the same output and exit status with each library as without
  local name=$1 library
  shift
  "$@" >"$dir/expected" 2>&1 </dev/null
  echo "exit status $?" >>"$dir/expected"
  for library in libsluice-preload.so libsluice-debug-preload.so libsluice-secure-preload.so; do
    LD_PRELOAD=$build/$library timeout 120 "$@" >"$dir/seen" 2>&1 </dev/null
    echo "exit status $?" >>"$dir/seen"
    diff "$dir/expected" "$dir/seen" >"$dir/diff"
    verdict $? "$name under $library" "$dir/diff"
  done
}

gcc -std=c11 -D_GNU_SOURCE -O1 -g -fno-builtin -Wall -Wextra -Wno-use-after-free names.c -o "$dir/names" -pthread || exit 1
LD_PRELOAD='' "$dir/names" | grep -q '^all names as they should be$' || {
  echo "FAILED: names.c does not hold of the C library's malloc"
  failed=$((failed + 1))
}
same 'all names' "$dir/names"
g++ -std=c++17 -O1 -g -Wall -Wextra -Wno-alloc-size-larger-than -Wno-mismatched-new-delete operators.cpp -o "$dir/operators" || exit 1
same 'operators' "$dir/operators"
same 'ls' ls -l /usr/lib
same 'sort' sort -r names.c
same 'shell' bash -c 'for i in {1..200}; do echo $((i * i)) | cat; done; x=$(seq 1000); echo ${#x}'
same 'perl' perl -e 'my %h; $h{$_ % 977} .= $_ for 1 .. 200000; print join(",", map { length $h{$_} } sort keys %h), "\n"'
same 'python' python3 -c '
import json, threading, subprocess, sys
data = {str(i): list(range(i % 50)) for i in range(5000)}
text = json.dumps(data)
threads = [threading.Thread(target=lambda: [json.loads(text) for _ in range(3)]) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(text), json.loads(text) == data)
print(subprocess.run([sys.executable, "-c", "print(sum(range(1000)))"], capture_output=True, text=True).stdout)'
same 'gcc' bash -c "gcc -std=c11 -D_GNU_SOURCE -O2 -w -c names.c -o '$dir/names.o' && cksum <'$dir/names.o'"
same 'lua' lua5.4 -e 'local t = {} for i = 1, 1e6 do t[i % 1000 + 1] = {i, tostring(i)} end print(#t, t[500][2])'

# Who makes a block and who frees it belong together; checked builds say where they do not.
mismatched() { # FROM TO
  local library said
  said=$(LD_PRELOAD=$build/libsluice-preload.so "$dir/operators" "$1" "$2" 2>&1)
  [ $? = 0 ] && [ -z "$said" ]
  verdict $? "$1 and $2, without checks"
  for library in debug secure; do
    said=$({ LD_PRELOAD=$build/libsluice-$library-preload.so "$dir/operators" "$1" "$2"; } 2>&1)
    [ $? = 134 ] && [[ ${said%%$'\n'*} == "sluice: error: mismatched $2: block 0x"*" of 100 bytes is from $1" ]]
    verdict $? "$1 and $2, $library: $said"
  done
}
ulimit -c 0
for from in malloc new 'new[]'; do
  for to in free delete 'delete[]'; do
    case "$from $to" in 'malloc free' | 'new delete' | 'new[] delete[]') continue ;; esac
    mismatched "$from" "$to"
  done
done

finish
