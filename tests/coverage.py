#!/usr/bin/env python3
"""Runs the tests that are built with --coverage below BUILD and prints, for each file of the core, the part
of its lines and branches that some test reached, in any of the plain, debug and secure builds.

usage: coverage.py BUILD [FILE...]: the lines that nothing reached in those files, too

The branches of an assertion are left out: none is to fail. Where builds have different branches on a line,
the build with the most counts. What a process does that ends by abort is not counted."""
import collections
import concurrent.futures
import glob
import json
import os
import subprocess
import sys

BUILDS = ("plain", "debug", "secure")
CORE = ("alloc/", "rc/", "runtime/")


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3000)
    if done.returncode != 0:
        last = done.stdout.decode(errors="replace").splitlines()[-15:]
        print(f"failed: {' '.join(command)}", *last, sep="\n  ", file=sys.stderr)


def commands(build):
    for kind, rounds in (("unit", []), ("stress", ["2"])):
        for source in sorted(glob.glob(f"tests/{kind}/*.c")):
            for b in BUILDS:
                yield [f"{build}/tests/{b}/{os.path.basename(source)[:-2]}"] + rounds
    yield ["tests/misuse/run.sh", build]
    yield ["tests/preload/run.sh", build]


def measure(build):
    """line[file][number]: was it reached? branch[file][number][variant]: of each branch, the same."""
    line = collections.defaultdict(dict)
    branch = collections.defaultdict(lambda: collections.defaultdict(dict))
    for counts in glob.glob(f"{build}/obj/*/**/*.gcda", recursive=True):
        variant = counts[len(f"{build}/obj/"):].split("/")[0]
        out = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", counts],
                             check=True, capture_output=True).stdout
        for file in (f for part in out.splitlines() for f in json.loads(part)["files"]):
            name = os.path.normpath(file["file"])
            if not name.startswith(CORE):
                continue
            for entry in file["lines"]:
                number = entry["line_number"]
                line[name][number] = line[name].get(number, False) or entry["count"] > 0
                taken = [b["count"] > 0 for b in entry["branches"]]
                before = branch[name][number].get(variant, [])
                if len(before) == len(taken):
                    taken = [a or b for a, b in zip(before, taken)]
                if len(taken) >= len(before):
                    branch[name][number][variant] = taken
    return line, branch


def merged(variants):
    most = max(len(taken) for taken in variants.values())
    return [any(column) for column in zip(*(t for t in variants.values() if len(t) == most))]


def report(line, branch, listed):
    total = [0, 0, 0, 0]
    print(f"{'':24}  lines            branches")
    for name in sorted(line):
        text = open(name).read().splitlines()
        branches = {n: merged(v) for n, v in branch[name].items() if "mi_assert" not in text[n - 1]}
        ways = [taken for b in branches.values() for taken in b]
        figures = [sum(line[name].values()), len(line[name]), sum(ways), len(ways)]
        total = [a + b for a, b in zip(total, figures)]
        print(row(name, figures))
        if name in listed:
            for n in sorted(line[name]):
                missed = not line[name][n]
                if missed or not all(branches.get(n, [])):
                    print(f"{'never' if missed else 'partly'}\t{name}:{n}\t{text[n - 1]}")
    print(row("all", total))


def row(name, figures):
    lines, all_lines, ways, all_ways = figures
    return (f"{name:24}{100 * lines / all_lines:6.1f} % of {all_lines:4}"
            f"{100 * ways / max(all_ways, 1):8.1f} % of {all_ways:4}")


def main(build, *listed):
    for old in glob.glob(f"{build}/obj/**/*.gcda", recursive=True):
        os.remove(old)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(run, commands(build)))
    report(*measure(build), listed)


main(*sys.argv[1:])
