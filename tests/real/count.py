#!/usr/bin/env python3
"""The table of MIMALLOC_SHOW_STATS=1 against an account of the same program over glibc (count.c).

    count.py BUILD

Total, freed and count of each row must be what the account says for that size class, written as the
table writes amounts; the classes are computed here once more. A peak is taken when a list is
refilled, and what was granted counts: so it is at least the most that lived at once, and at most a
page's list more. The debug build moves a block in every realloc, as the account does; the plain one
is compared on a program without realloc. The last line is "N passed, N failed"."""

import os
import subprocess
import sys
import tempfile

WORD, SMALL_MAX, CLASS_MAX = 8, 8 * 1024, 64 * 1024
SMALL_PAGE, PAGE = 64 * 1024, 512 * 1024
LARGE = "large"
HERE = os.path.dirname(os.path.abspath(__file__))
REPEATABLE = {"PERL_HASH_SEED": "0", "PYTHONHASHSEED": "0", "PYTHONMALLOC": "malloc"}
LUA = """
local words, rows = {}, {}
for i = 1, 20000 do
  words[i % 700] = (words[i % 700] or "") .. i
  rows[i % 300] = {i, tostring(i), string.rep("x", i % 5000), function() return i end}
end
local co = coroutine.wrap(function() for i = 1, 1000 do coroutine.yield({i}) end end)
for i = 1, 1000 do co() end
print(#table.concat(words), string.rep("y", 100000):len())
"""


PERL = """
my %h;
for my $i (1 .. 30000) { $h{$i % 977} .= $i; push @{$h{"list" . $i % 53}}, [$i, "x" x ($i % 300)] }
print join(",", map { length $h{$_} } sort keys %h), "\n";
"""
PYTHON = """
d = {str(i): [i, bytes(i % 3000), {i: str(i)}] for i in range(20000)}
print(sum(len(v[1]) for v in d.values()), len("".join(d)))
"""


def class_sizes():
    """The classes' words, at their numbers: eight single ones, then four to a doubling."""
    sizes = list(range(9))
    while sizes[-1] * WORD < CLASS_MAX:
        sizes += [sizes[-1] * i // 4 for i in (5, 6, 7, 8)]
    return sizes


def class_of(words, sizes):
    """malloc's, whose blocks above a word are aligned to two."""
    fits = (i for i, size in enumerate(sizes) if size >= words and (size % 2 == 0 or size == 1))
    return next((i for i in fits if i > 0), LARGE)


def amount(n, base, unit):
    """As the table writes it."""
    prefix = ""
    for larger in "kmgt":
        if n < base:
            break
        n, prefix = n / base, larger
    return f"{n:.1f} {prefix}{unit}".strip() if prefix else f"{n:.0f} {unit}".strip()


def bounds(text, base):
    """The least and the most that an amount may stand for."""
    digits, _, unit = text.partition(" ")
    scale = base ** " kmgt".index(unit.rstrip("b") or " ")
    slack = scale * 0.06 if "." in digits else 0
    return float(digits) * scale - slack, float(digits) * scale + slack


def run(command, library, directory):
    """Its result; the environment, which programs copy, is of the same size each time."""
    env = {**os.environ, **REPEATABLE, "LD_PRELOAD": os.path.join(directory, library + ".so"),
           "MIMALLOC_SHOW_STATS": "1", "COUNT_OUT": os.path.join(directory, "account")}
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False,
                            timeout=300)
    if result.returncode != 0:
        sys.exit(f"{command[0]}: status {result.returncode}\n{result.stderr}")
    return result


def account(command, directory):
    """What it prints, and {class: [allocated, freed, most of one size at once, sum of those]}"""
    sizes, rows = class_sizes(), {}
    text = run(command, "count", directory).stdout
    with open(os.path.join(directory, "account"), encoding="ascii") as file:
        for line in file:
            words, allocated, freed, peak = map(int, line.split())
            row = rows.setdefault(class_of(words, sizes), [0, 0, 0, 0])
            row[:] = [row[0] + allocated, row[1] + freed, max(row[2], peak), row[3] + peak]
    return text, rows


def table(command, library, directory):
    """What it prints, and {class: its row's words}; the last line as the row None"""
    result = run(command, library, directory)
    rows = {None: result.stderr.splitlines()[-1]}
    for line in result.stderr.splitlines():
        kind, _, rest = line.partition(":")
        kind, _, number = kind.partition(" ")
        if kind in ("normal", LARGE):
            cells = [rest[i:i + 11].strip() for i in range(0, 55, 11)]
            rows[LARGE if kind == LARGE else int(number)] = [*cells, rest[55:].strip()]
    return result.stdout, rows


def row_faults(number, row, counted):
    """What differs in a row from the account."""
    peak, total, freed, unit, count, verdict = row
    allocated, gone, most, sum_of_most = counted
    large = number == LARGE
    size = 1 if large else class_sizes()[number] * WORD
    base, letter = (1000, "") if large else (1024, "b")
    listed = 0 if large else (SMALL_PAGE if size <= SMALL_MAX else PAGE) // size
    expected = {"total": (total, amount(allocated * size, base, letter)),
                "freed": (freed, amount(gone * size, base, letter)),
                "unit": (unit, ">64 kb" if large else amount(size, 1024, "b")),
                "count": (count, amount(allocated, 1000, "")),
                "verdict": (verdict, "ok" if allocated == gone else "not all freed!")}
    faults = [f"{what} {seen}, not {right}"
              for what, (seen, right) in expected.items() if seen != right]
    least, highest = bounds(peak, base)
    if highest < most * size or least > (sum_of_most + listed) * size:
        faults.append(f"peak {peak}, not from {most * size} to {(sum_of_most + listed) * size}")
    return [f"class {number}: {fault}" for fault in faults]


def faults(command, library, directory):
    expected, counted = account(command, directory)
    printed, rows = table(command, library, directory)
    last = rows.pop(None)
    found = [] if printed == expected else ["the program prints something else"]
    if set(rows) != set(counted):
        return found + [f"rows {sorted(map(str, rows))}, not {sorted(map(str, counted))}"]
    for number, row in rows.items():
        found += row_faults(number, row, counted[number])
    freed = all(c[0] == c[1] for c in counted.values())
    if last != ("ok" if freed else "not all freed!"):
        found.append(f"last line {last}")
    return found


def prepare(build, directory):
    """The libraries, under names of equal length."""
    for name, infix in (("plain", "-"), ("debug", "-debug-")):
        os.symlink(os.path.abspath(os.path.join(build, f"libsluice{infix}preload.so")),
                   os.path.join(directory, name + ".so"))
    subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-fPIC",
                    "-fno-builtin", "-shared", os.path.join(HERE, "count.c"),
                    "-o", os.path.join(directory, "count.so")], check=True)


def main():
    build, passed = sys.argv[1], 0
    cfrac = [os.path.abspath(os.path.join(build, "cfrac"))]
    cases = [("cfrac of 16 digits", cfrac + ["1219328603719141"], "debug"),
             ("cfrac of 27 digits", cfrac + ["853973422269143962071642661"], "debug"),
             ("cfrac of 27 digits", cfrac + ["853973422269143962071642661"], "plain"),
             ("lua", ["lua5.4", "-e", LUA], "debug"),
             ("perl", ["perl", "-e", PERL], "debug"),
             ("python", [sys.executable, "-ESs", "-c", PYTHON], "debug")]
    with tempfile.TemporaryDirectory() as directory:
        prepare(build, directory)
        for name, command, library in cases:
            found = faults(command, library, directory)
            passed += not found
            if found:
                print(f"FAILED: {name}, {library}", *found, sep="\n    ")
    print(f"{passed} passed, {len(cases) - passed} failed")
    sys.exit(passed < len(cases))


main()
