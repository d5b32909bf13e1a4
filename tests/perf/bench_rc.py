#!/usr/bin/env python3
"""Programs of counted objects: Sluice, and the same algorithms in other languages.

    bench_rc.py [BUILD] [--rounds N] [--only PROGRAM,...] [--budget SECONDS] [--svg FILE]

The programs are in rc/: on Sluice as a compiler with reuse analysis emits them, elsewhere in the
language's ordinary style. All must print the same. A round runs a program once in each language, in
an order that rotates, and each after the same other process; shown are medians of the ratios within
a round, of processor time (threads of a collector included) and of peak memory (below some 12 MB it
is that of this script). `eager` is Sluice with everything freed within rc_dec. Sluice's programs free
all before they end, as those in C++, Rust and Nim do. A program gets fewer rounds, at least one, if
they do not fit the budget; a language that takes five times as long as Sluice gets one."""

import argparse
import os
import sys

import languages
import measure

PROGRAMS = {"rbtree": ["rbtree"], "rbtree-ck": ["rbtree", "4200000", "5"], "deriv": ["deriv"],
            "nqueens": ["nqueens"], "cfold": ["cfold"], "binarytrees": ["binarytrees"]}
EXTRAS = {"rbtree": ["std::map", "rust box"]}  # of one program only
LANGUAGES = ["sluice", "eager", "c++", "rust", "ocaml", "nim", "go"]
STACK = 4 << 30  # chains of a million elements are made and freed by recursion
LIMIT = 5.0      # of the picture
SLOW = 5.0


def names_of(program):
    return languages.present(LANGUAGES + EXTRAS.get(program, []))


def run(program, name, build, results):
    """Its time, memory, and time in user mode; what it prints must be what it printed in the language before."""
    source, *arguments = PROGRAMS[program]
    path = languages.path_of(name, source, build)
    measure.settle()
    output, _, usage = measure.run([path, *arguments], os.environ, STACK)
    if results.setdefault(program, output) != output:
        measure.die(f"{program} prints {output} with {name}, but {results[program]} with others")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss, usage.ru_utime


def is_slow(of, name):
    return bool(of[name] and of["sluice"]) and of[name][0][0] > SLOW * of["sluice"][0][0]


def measured(programs, options):
    """{program: {name: what run gave in each round}}"""
    values, results = {}, {}
    for program in programs:
        print(f"{program} ...", file=sys.stderr)
        for name in names_of(program):
            languages.build(name, PROGRAMS[program][0], options.build)
        values |= measure.measure_rounds(
            [program], names_of(program), options.rounds, options.budget, 1,
            lambda program, name: run(program, name, options.build, results), is_slow)
    return values


def pick(values, item):
    return {program: {name: [v[item] for v in rounds] for name, rounds in of.items()}
            for program, of in values.items()}


def print_ratios(what, reference, values):
    ratios = measure.ratios_to(reference, values)
    names = list(dict.fromkeys(name for of in ratios.values() for name in of))
    rows = [[f"{what} / {reference}'s", *names, "first", "rounds"]]
    for program, of in ratios.items():
        others = {name: of[name][1] for name in of if name != "eager"} | {reference: 1.0}
        cells = [f"{of[name][1]:.2f}" if name in of else "" for name in names]
        rows.append([program, *cells, min(others, key=others.get),
                     str(len(values[program][reference]))])
    measure.print_table(rows)
    print()


def print_deferral(where, times):
    ratios = measure.ratios_to("eager", pick_names(times, ["sluice", "eager"]))
    print(f"deferral costs, against eager freeing, {where}: " + ", ".join(
        f"{program} {100 * (of['sluice'][1] - 1):+.0f} %" for program, of in ratios.items()))


def pick_names(values, names):
    return {program: {name: of[name] for name in names} for program, of in values.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PROGRAMS), help="programs, with commas between")
    parser.add_argument("--budget", type=float, default=150, help="seconds for each program")
    parser.add_argument("--svg", metavar="FILE", help="write a bar chart to FILE")
    options = parser.parse_args()
    programs = options.only.split(",")
    if options.rounds < 1 or not set(programs) <= set(PROGRAMS):
        parser.error("--rounds must be at least 1, and programs of: " + ", ".join(PROGRAMS))
    languages.print_versions(LANGUAGES)
    values = measured(programs, options)
    times, sizes = pick(values, 0), pick(values, 1)
    for reference in languages.present(["sluice", "c++"]):
        print_ratios("time", reference, times)
        print_ratios("memory", reference, sizes)
    print_deferral("in all", times)
    print_deferral("in user mode", pick(values, 2))
    if options.svg:
        ratios = measure.ratios_to("sluice", times)
        ratios |= {f"{program} MB": of
                   for program, of in measure.ratios_to("sluice", sizes).items()}
        measure.write(options.svg, measure.bars(
            "time, then peak memory (MB), / Sluice's; median and quartiles; shorter is better",
            ratios, LIMIT))


if __name__ == "__main__":
    main()
