#!/bin/bash
# runtime/dominators.py: on a graph that a program with the debug library in $1 wrote; and on random ones, where
# what each object dominates is what cannot be reached without it.
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/.." || exit 1
source tests/tools.sh
shown=$dir/out
command -v python3 >/dev/null || { echo 'skipped: no python3' && echo '1 passed, 0 failed' && exit 0; }

# Two arrays share a leaf, one of them alone has a list of three.
cat >"$dir/graph.c" <<'END'
#include <stdio.h>
#include "rc/rc.h"
static rc_object* array(uint8_t tag, rc_object* a, rc_object* b) {
  rc_object* o = rc_array(tag, 2, RC_NIL);
  if (o == NULL) return NULL;
  if (a != NULL) rc_set(o, 0, rc_from(a));
  if (b != NULL) rc_set(o, 1, rc_from(b));
  return o;
}
int main(void) {
  rc_object *leaf = rc_bytes(1, 84), *list = NULL;
  for (int i = 0; i < 3; i++) list = array(2, list, NULL);
  rc_inc(leaf);
  rc_object *one = array(3, leaf, list), *two = array(4, leaf, NULL);
  return one == NULL || two == NULL || rc_snapshot(stdout);
}
END
cat >"$dir/expected" <<'END'
6 objects, 260 bytes

    retained   objects    own bytes  type
         128         1           32  array, tag 3
         100         1          100  bytes, tag 1
          96         3           96  array, tag 2
          32         1           32  array, tag 4

    retained           objects  object
         128  49.2 %         4  array, tag 3, 32 bytes
         100  38.5 %         1  bytes, tag 1, 100 bytes
          96  36.9 %         3  array, tag 2, 32 bytes
          64  24.6 %         2  array, tag 2, 32 bytes
          32  12.3 %         1  array, tag 2, 32 bytes
          32  12.3 %         1  array, tag 4, 32 bytes

    retained           objects  object, and below it what it dominates
         128  49.2 %         4  array, tag 3, 32 bytes
          96  36.9 %         3    array, tag 2, 32 bytes
          64  24.6 %         2      array, tag 2, 32 bytes
          32  12.3 %         1        array, tag 2, 32 bytes
         100  38.5 %         1  bytes, tag 1, 100 bytes
          32  12.3 %         1  array, tag 4, 32 bytes
END
{
  gcc -std=c11 -Wall -Wextra -Werror -I. "$dir/graph.c" "$build/libsluice-debug.a" -pthread -o "$dir/graph" &&
    "$dir/graph" | runtime/dominators.py | sed 's/#[0-9]* //' | diff "$dir/expected" -
} >"$dir/out" 2>&1
silent 'a known graph'
"$dir/graph" >"$dir/first" && "$dir/graph" | diff "$dir/first" - >"$dir/out" 2>&1
silent 'two runs, one snapshot'

cat >"$dir/compare.py" <<'END'
import json, random, subprocess, sys

def reached(refs, roots, without):
    seen, work = set(), [r for r in roots if r != without]
    while work:
        v = work.pop()
        if v not in seen:
            seen.add(v)
            work += [to for to in refs[v] if to != without and to not in seen]
    return seen

def some_graph(n, edges):
    refs = [[random.randrange(n) for _ in range(random.choice(edges))] for _ in range(n)]
    held = [sum(r.count(v) for r in refs) for v in range(n)]
    outside = [1 if h == 0 or random.random() < 0.05 else 0 for h in held]
    return refs, held, outside

# What no root reaches is rooted at its first object, as the tool says.
def roots_of(refs, outside):
    roots = [v for v, k in enumerate(outside) if k]
    for v in range(len(refs)):
        if v not in reached(refs, roots, None):
            roots.append(v)
    return roots

def check(n, edges, shared):
    refs, held, outside = some_graph(n, edges)
    sizes = [random.randrange(8, 200) for _ in range(n)]
    sign = -1 if shared else 1
    lines = [json.dumps({"id": v, "kind": "array", "type": None, "tag": 1, "count": sign * (held[v] + outside[v]),
                         "bytes": sizes[v], "refs": refs[v]}) for v in range(n)]
    out = subprocess.run(["runtime/dominators.py", "--pairs"], input="\n".join(lines) + "\n", text=True,
                         capture_output=True)
    rows = [[int(x) for x in line.split()] for line in out.stdout.splitlines()]
    roots, all_of = roots_of(refs, outside), set(range(n))
    below = [all_of - reached(refs, roots, v) for v in range(n)]  # with v itself
    for v, (number, dominator, retained, objects) in enumerate(rows):
        over = [u for u in range(n) if u != v and v in below[u]]
        nearest = max(over, key=lambda u: -len(below[u])) if over else -1
        if (number, dominator, retained, objects) != (v, nearest, sum(sizes[u] for u in below[v]), len(below[v])):
            return f"{n} {edges}: object {v}: {rows[v]}, not {nearest}\n{lines}"
    return "" if len(rows) == n else f"{n} {edges}: {len(rows)} rows: {out.stderr}"

random.seed(1)
for round in range(60):
    wrong = check(random.randrange(1, 60), random.choice([(0, 1), (0, 1, 2), (1, 1, 2, 3), (0, 0, 1, 5)]), round % 3 == 0)
    if wrong:
        sys.exit(wrong)
END
python3 "$dir/compare.py" >"$dir/out" 2>&1
silent 'random graphs'

# A list of a hundred thousand: nothing recurses.
python3 -c '
import json
n = 100000
for v in range(n):
    print(json.dumps({"id": v, "kind": "fields", "type": "a", "tag": 1, "count": 1, "bytes": 24, "refs": [v + 1] if v + 1 < n else []}))
' | runtime/dominators.py --pairs | head -n 1 | diff <(echo 0 -1 2400000 100000) - >"$dir/out" 2>&1
silent 'a long list'

refused() { # NAME TEXT
  : >"$dir/out"
  if printf '%s\n' "$2" | runtime/dominators.py >"$dir/said" 2>&1; then echo 'no error' >"$dir/out"; fi
  grep -q '^dominators.py: ' "$dir/said" || cat "$dir/said" >>"$dir/out"
  silent "$1 is refused"
}
refused 'what is no JSON' 'no'
refused 'another object' '{"id": 1}'
refused 'a reference to none' '{"id": 0, "kind": "array", "type": null, "tag": 0, "count": 1, "bytes": 8, "refs": [7]}'
finish
