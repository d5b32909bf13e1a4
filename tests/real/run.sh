#!/bin/bash
# Programs of others under the preload libraries in BUILD: each must do what it does without, and
# malloc must be ours wherever it is called. At the end a table of processor time and peak memory,
# which is no test; then "N passed, N failed".
#     run.sh [BUILD [PROGRAM...]]
build=$(realpath "${1:-build}")
cd "$(dirname "$0")" || exit 1
here=$PWD root=$(realpath ../..)
export here root build PYTHONDONTWRITEBYTECODE=1 LC_ALL=C
source ../tools.sh
rows=() ours=(plain debug secure)
declare -A library=(
  [without]=''
  [plain]=$build/libsluice-preload.so
  [debug]=$build/libsluice-debug-preload.so
  [secure]=$build/libsluice-secure-preload.so
  [mimalloc]=$(compgen -G '/usr/lib/*/libmimalloc.so.2*' | head -n 1)
)

# A missing program fails what it is needed for, in one line.
have() { # NAME PACKAGE COMMAND...: which succeeds if the package is there
  local name=$1 package=$2
  shift 2
  "$@" >"$dir/have" 2>&1 && return
  verdict 1 "$name: the package $package is missing"
  return 1
}

# Where the loader finds malloc and its relatives, for the program and every library that it links.
# The program is not run. One that is not position-independent may offer the libraries its own stub
# of a function that it does not define; the stub leads to where its own calls are bound.
bound() { # NAME PROGRAM
  local program preload=${library[plain]} undefined
  program=$(realpath "$2")
  LD_TRACE_LOADED_OBJECTS=1 LD_WARN=yes LD_BIND_NOW=yes LD_DEBUG=bindings LD_PRELOAD=$preload \
    "$program" >"$dir/bindings" 2>&1
  undefined=$(nm -D --undefined-only "$program")
  awk -v preload="$preload" -v program="$program" -v undefined="$undefined" '
    BEGIN {
      split("malloc calloc realloc reallocarray free posix_memalign aligned_alloc memalign valloc" \
            " pvalloc malloc_usable_size", names)
      for (i in names) family["`" names[i] "\047"] = names[i]
    }
    $2 == "binding" && $11 in family {
      found = 1
      name = family[$11]
      if ($7 == preload) bound[$4, name] = 1
      else if ($7 == program && undefined ~ " U " name "@") stub[name] = $0
      else print
    }
    END {
      for (name in stub) if (!((program, name) in bound)) print stub[name]
      if (!found) print "no malloc is bound"
    }' "$dir/bindings" >"$dir/elsewhere"
  [ ! -s "$dir/elsewhere" ]
  verdict $? "$1: malloc of $program and its libraries is ours" "$dir/elsewhere"
}

# Calls the function work_NAME in a directory of its own, under an allocator: its output and exit
# status to $dir/NAME.ALLOCATOR, its processor time and peak memory beside it.
run() { # NAME ALLOCATOR
  local out=$dir/$1.$2
  mkdir "$out.dir"
  (
    cd "$out.dir" || exit
    timeout 400 /usr/bin/time -q -f '%U %S %M' -o "$out.usage" env LD_PRELOAD="${library[$2]}" \
      bash -c "$(declare -f "work_$1"); work_$1" >"$out" 2>"$out.err" </dev/null
    echo "exit status $?" >>"$out"
  )
  rm -rf "$out.dir"
}

# Did the runs with our libraries come to what the one without did?
compare() { # NAME
  local allocator out expected=$dir/$1.without
  grep -qx 'exit status 0' "$expected"
  verdict $? "$1 without" "$expected.err"
  for allocator in "${ours[@]}"; do
    out=$dir/$1.$allocator
    diff "$expected" "$out" >"$out.diff" || tail -n 15 "$out.err" >>"$out.diff"
    # What the library has to say of misuse, and the loader of a library that it cannot load.
    grep -E '^sluice: |cannot be preloaded' "$out.err" >>"$out.diff"
    [ ! -s "$out.diff" ]
    verdict $? "$1, $allocator" "$out.diff"
  done
}

same() { # NAME
  local allocator
  rows+=("$1")
  for allocator in without "${ours[@]}"; do run "$1" "$allocator"; done
  [ -z "${library[mimalloc]}" ] || run "$1" mimalloc
  compare "$1"
}

# ---- The programs

# Debian's is linked to jemalloc, which "without" is here. Under the preload libraries malloc and
# its kin are ours; jemalloc is asked for settings and figures only.
work_redis() { "$here/redis.sh"; }
program_redis() {
  have redis redis-tools command -v redis-check-rdb redis-cli redis-benchmark || return
  bound redis "$(command -v redis-check-rdb)"
  same redis
}

work_sqlite() { sqlite3 :memory: <"$here/load.sql"; }
program_sqlite() {
  have sqlite sqlite3 command -v sqlite3 || return
  bound sqlite "$(command -v sqlite3)"
  same sqlite
}

# With PYTHONMALLOC=malloc every object is a block of ours; else Python has an allocator above it.
python=/usr/bin/python3
export python
suite() { PYTHONMALLOC=malloc "$python" "$here/suite.py" "$@"; }
processes() { # fork or spawn
  suite "test.test_multiprocessing_$1" -k '*Test'{Pool,Queue,SharedMemory,Array,Value,Heap}'.*' \
    '*Test'{Connection,SharedCTypes,MyManager,Containers}'.*'
}
export -f suite processes
work_python() { suite test.test_json test.test_dict test.test_dictviews; }
work_python_arenas() { "$python" "$here/suite.py" test.test_json test.test_dict; }
work_python_threads() { suite test.test_threading test.test_thread; }
work_python_fork() { processes fork; }
work_python_spawn() { processes spawn; }
program_python() {
  local waiting allocator
  have python 'libpython3.*-testsuite' "$python" -c 'import test.test_json' || return
  bound python "$(realpath "$python")"
  same python debug
  # These mostly wait, so all run at once.
  for waiting in python_arenas python_threads python_fork python_spawn; do
    for allocator in without "${ours[@]}"; do run $waiting "$allocator" & done
    wait
    compare $waiting
  done
}

work_perl() { PERL_HASH_SEED=0 perl "$here/load.pl"; }
program_perl() {
  have perl perl perl -e 'use Storable; use Pod::Text; use CPAN' || return
  bound perl "$(command -v perl)"
  same perl
}

work_gcc() {
  local source object=$PWD/object.o
  cd "$root" || return
  for source in alloc/*.c rc/*.c runtime/*.c tests/unit/*.c tests/cxx/names.cpp; do
    gcc -D_GNU_SOURCE -I. -O2 -g -c "$source" -o "$object" || return
    echo "$source $(cksum <"$object")"
  done
}
program_gcc() {
  have gcc 'g++' g++ --version || return
  bound gcc "$(gcc -print-prog-name=cc1)"
  same gcc
}

# Pigeonholes, which need an exponential proof, by two of its solvers, and the factors of a number
# by way of a multiplier's bits. How it went is compared, too: decisions, conflicts, allocations.
work_z3() {
  pigeons() { # NUMBER COMMAND
    awk -v n="$1" -v command="$2" 'BEGIN {
      for (p = 1; p <= n; p++) for (h = 1; h < n; h++) printf "(declare-const p%d_%d Bool)\n", p, h
      for (p = 1; p <= n; p++) {
        printf "(assert (or"
        for (h = 1; h < n; h++) printf " p%d_%d", p, h
        print "))"
      }
      for (h = 1; h < n; h++) for (p = 1; p <= n; p++) for (q = p + 1; q <= n; q++)
        printf "(assert (not (and p%d_%d p%d_%d)))\n", p, h, q, h
      print command
    }' >pigeons.smt2
    z3 -st pigeons.smt2
  }
  {
    pigeons 10 '(check-sat)'
    pigeons 9 '(check-sat-using smt)'
    cat >factors.smt2 <<'END'
(declare-const p (_ BitVec 36))
(declare-const q (_ BitVec 36))
(assert (= (bvmul p q) (_ bv384056017 36)))
(assert (and (bvult p (_ bv262144 36)) (bvult q (_ bv262144 36))))
(assert (and (bvugt p (_ bv1 36)) (bvule p q)))
(check-sat)
(get-value (p q (bvmul p q)))
END
    z3 -st factors.smt2
  } | grep -vE ':(total-)?time'
}
program_z3() {
  have z3 z3 z3 --version || return
  bound z3 "$(command -v z3)"
  same z3
}

work_git() {
  export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
  git -c init.defaultBranch=main init -q --bare . || return
  awk 'BEGIN {
    for (i = 1; i <= 10000; i++) {
      text = ""
      for (l = 0; l < 20; l++)
        text = text "line " l " of version " (i * 7919 + l * 104729) % (l < 15 ? 13 : 100003) "\n"
      message = "commit " i "\n"
      printf "commit refs/heads/main\nmark :%d\n", i
      printf "committer A <a@example> %d +0000\n", 1000000000 + i * 60
      printf "data %d\n%s", length(message), message
      if (i > 1) printf "from :%d\n", i - 1
      printf "M 100644 inline dir%d/file%d\n", i % 17, i % 101
      printf "data %d\n%s", length(text), text
    }
  }' | git fast-import --quiet
  git -c gc.auto=0 -c pack.threads=2 gc -q
  git fsck --full --strict 2>&1
  git count-objects -v | grep -E '^(count|in-pack|packs|garbage)'
  git log --format='%H %T %s' | sha1sum
  git log -p -C --stat | sha1sum
  git blame main -- dir1/file1 | sha1sum
  git cat-file --batch-check --batch-all-objects | sha1sum
  # One thread packs the same bytes each time.
  git -c pack.threads=1 repack -adfq && sha1sum objects/pack/*.pack
  git fsck --full --strict 2>&1
}
program_git() {
  have git git git --version || return
  bound git "$(command -v git)"
  same git
}

work_lua() { lua5.4 "$here/load.lua"; }
program_lua() {
  have lua lua5.4 command -v lua5.4 || return
  bound lua "$(command -v lua5.4)"
  same lua
}

work_mix() { "$mix"; }
program_mix() {
  export mix=$dir/mix
  gcc -std=c11 -D_GNU_SOURCE -O3 -g -fno-builtin -Wall -Wextra -pthread mix.c -o "$mix"
  verdict $? 'mix.c compiles'
  bound mix "$mix"
  same mix
}

program_counts() {
  "$root/tests/real/count.py" "$build" >"$dir/counts" 2>&1
  verdict $? 'the statistics are those of an account by another malloc' "$dir/counts"
}

# ---- The table

# Of the usage files: user and system seconds, KiB.
table() {
  local row allocator
  cat <<'END'
processor seconds and peak MiB without and under mimalloc, ratios of the plain library to these,
and of those with checks to the plain one; of one run each, so only a hint (redis without is jemalloc)
END
  printf '%-7s %13s %13s %14s %14s %14s %14s\n' '' without mimalloc \
    plain/without plain/mimalloc debug/plain secure/plain
  for row in "${rows[@]}"; do
    for allocator in without plain mimalloc debug secure; do
      if grep -qx 'exit status 0' "$dir/$row.$allocator" 2>"$dir/ignored"; then
        tail -n 1 "$dir/$row.$allocator.usage"
      else
        echo - - -
      fi
    done | awk -v row="$row" '
      { known[NR] = $3 != "-"; time[NR] = $1 + $2; peak[NR] = $3 / 1024 }
      function ratio(a, b) {
        if (!known[a] || !known[b] || time[b] == 0) return "-"
        return sprintf("%5.2f %5.2f", time[a] / time[b], peak[a] / peak[b])
      }
      function figures(a) { return known[a] ? sprintf("%.2f s %4.0f", time[a], peak[a]) : "-" }
      END {
        printf "%-7s %13s %13s %14s", row, figures(1), figures(3), ratio(2, 1)
        printf " %14s %14s %14s\n", ratio(2, 3), ratio(4, 2), ratio(5, 2)
      }'
  done
}

programs=("${@:2}")
have measuring time test -x /usr/bin/time || programs=(counts)
[ ${#programs[@]} != 0 ] || programs=(redis sqlite python perl gcc z3 git lua mix counts)
for program in "${programs[@]}"; do
  before=$passed
  "program_$program"
  echo "$program: $((passed - before)) ok"
done
[ ${#rows[@]} = 0 ] || table
finish
