#!/bin/bash
# Each function of mimalloc's API that names.txt lists is declared in the public headers and defined in the
# libraries in $1. What alloc/README.md says of the options is so. Statistics as JSON, as a struct and as a
# table are the same figures.
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/.." || exit 1
source tests/tools.sh
shown=$dir/out
# What is marked as inline is in the headers only.
all() { sed 's/#.*//' tests/names.txt | awk 'NF {print $1}'; }
functions() { sed 's/#.*//' tests/names.txt | awk 'NF && $2 != "inline" {print $1}'; }
defined() { nm "$@" | awk '$2 == "T" {print $3}' | sort -u; }

[ "$(functions | wc -l)" -gt 190 ] || echo 'the list is not whole' >"$dir/list"
for library in libsluice.so libsluice-preload.so libsluice.a libsluice-debug.a; do
  flags=(-g --defined-only)
  [ "${library%.so}" = "$library" ] || flags+=(-D)
  comm -23 <(functions | sort -u) <(defined "${flags[@]}" "$build/$library") >"$dir/out"
  cat "$dir/list" >>"$dir/out" 2>/dev/null
  silent "$library defines all names"
done

{
  echo '#include "mimalloc-stats.h"'
  echo '#include <stdio.h>'
  echo 'typedef void (*any)(void);'
  echo 'static const any list[] = {'
  all | sed 's/.*/(any)&,/'
  echo '};'
  echo 'int main(void) {'
  echo '  unsigned n = 0;'
  echo '  for (unsigned i = 0; i < sizeof list / sizeof *list; i++) n += list[i] != 0;'
  echo '  return printf("%u", n) < 0;'
  echo '}'
} >"$dir/names.c"
for library in "$build/libsluice.so" "$build/libsluice.a"; do
  {
    gcc -std=c11 -Wall -Werror -Wno-cast-function-type -Ialloc "$dir/names.c" "$library" -pthread -o "$dir/names" &&
      LD_LIBRARY_PATH=$build "$dir/names" | grep -vx "$(all | wc -l)"
  } >"$dir/out" 2>&1
  silent "the headers declare all names, ${library##*/}"
done

# The first table of the README names the options with an effect, the second one all others.
options_of() { # TABLE
  awk -v table="$1" '/^## /{at = /^## Options/} at && /^\|---/{t++} at && t == table && /^\| `/' alloc/README.md |
    cut -d'|' -f2 | grep -oE '[A-Z_]{2,}' | sort
}
says() { env LD_PRELOAD="$build/libsluice-secure-preload.so" "$@" true 2>&1; } # the build with all options
says MIMALLOC_VERBOSE=1 | sed -n 's/^sluice: option \(.*\): .*/\1/p' | sort | diff - <(options_of 1) >"$dir/out"
silent 'options with an effect'
mapfile -t without < <(options_of 2 | sed 's/.*/MIMALLOC_&=1/')
says "${without[@]}" | sed -n 's/.*option MIMALLOC_\(.*\) has no effect here$/\1/p' | sort | diff - <(options_of 2) >"$dir/out"
silent 'options without'
sed -n '/mi_option_show_errors,/,/_mi_option_last/s/^ *mi_option_\(deprecated_\)\?\([a-z_]*\),.*/\2/p' alloc/mimalloc.h |
  tr "[:lower:]" "[:upper:]" | sort | comm -23 - <({ options_of 1; options_of 2; } | sort) >"$dir/out"
silent 'all options are told of'

cat >"$dir/stats.c" <<'END'
#include <stdio.h>
#include "mimalloc-stats.h"
static void line(const char* name, size_t i, mi_stat_count_t c) {
  printf(name, i);
  printf(" %lld %lld %lld\n", (long long)c.total, (long long)c.peak, (long long)c.current);
}
#define MI_STAT_COUNT(f) line(#f, 0, s.f);
#define MI_STAT_COUNTER(f) printf("%s %lld\n", #f, (long long)s.f.total);
static void print(const char* text, void* arg) { fputs(text, arg); }
int main(void) {
  static void* kept[5000];
  for (size_t i = 0; i < 20000; i++) {
    mi_free(kept[i % 5000]);
    kept[i % 5000] = mi_malloc(i % 41 == 0 ? i * 20 : i % 700);
  }
  mi_stats_t_decl(s);
  static char text[100000];
  if (!mi_stats_get(&s) || mi_stats_as_json(&s, sizeof text, text) == NULL) return 1;
  MI_STAT_FIELDS()
  for (size_t i = 0; i <= MI_BIN_HUGE; i++) {
    line("malloc_bins[%zu]", i, s.malloc_bins[i]);
    line("page_bins[%zu]", i, s.page_bins[i]);
    printf("size[%zu] %zu\n", i, mi_stats_get_bin_size(i));
  }
  printf("==\n%s==\n", text);
  mi_stats_print_out(print, stdout);
  return 0;
}
END
cat >"$dir/compare.py" <<'END'
import json, sys
fields, text, table = sys.stdin.read().split("==\n")
data = json.loads(text)
kinds = ("total", "peak", "current")
seen, sizes = {}, {}
for line in fields.splitlines():
    name, *values = line.split()
    values = [int(v) for v in values]
    if name.startswith("size["):
        sizes[int(name[5:-1])] = values[0]
        continue
    if "[" in name:
        array, index = name[:-1].split("[")
        entry = data[array][int(index)]
    else:
        entry = data[name]
    got = [entry[k] for k in kinds] if isinstance(entry, dict) else [entry]
    if got != values:
        print(name, values, got)
    seen[name] = values
if len(seen) < 150 or len(data["malloc_bins"]) != 74 or seen["malloc_bins[73]"][0] < 400:
    print("too few fields, or none that matter")
for i, size in sizes.items():
    if data["malloc_bins"][i]["block_size"] != size:
        print("size of bin", i)

def amount(n, base, unit):
    for prefix in ["", "k", "m", "g"]:
        if n < base:
            break
        n /= base
    return (f"{n:.0f} {unit}" if prefix == "" else f"{n:.1f} {prefix}{unit}").strip()

rows = {int(r[8:11]): [r[12 + 11 * i:23 + 11 * i].strip() for i in range(5)] for r in table.splitlines()[1:-2]}
for i in range(1, 74):
    total, peak, current = seen[f"malloc_bins[{i}]"]
    large, size = i == 73, sizes[i]
    row = rows.pop(49 if large else i if i < 49 else None, None)
    if (row is None) != (total == 0):
        print("row", i, total)
    if row is None:
        continue
    base, unit, each = (1000, "", 1) if large else (1024, "b", size)
    want = [amount(n * each, base, unit) for n in (peak, total, total - current)]
    if row[:3] != want or row[4] != amount(total, 1000, ""):
        print(i, row, want)
if rows:
    print("rows without figures", rows)
END
if command -v python3 >/dev/null; then
  {
    gcc -std=c11 -Wall -Werror -Ialloc "$dir/stats.c" "$build/libsluice.a" -pthread -o "$dir/stats" &&
      "$dir/stats" | python3 "$dir/compare.py"
  } >"$dir/out" 2>&1
  silent 'JSON, struct and table agree'
else
  echo 'skipped: no python3'
fi
finish
