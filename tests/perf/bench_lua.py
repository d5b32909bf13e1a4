#!/usr/bin/env python3
"""Lua scripts in slua, as ratios to the system's lua5.4.

    bench_lua.py [BUILD] [--rounds N] [--only SCRIPT,...] [--budget SECONDS] [--svg FILE]

The scripts are in lua/; the first line of each tells what it does, and whether it allocates much. `slua` has no
limits; `limits` has both, larger than is needed. A round runs each script once with each, in an order that
rotates; shown are medians of the ratios within a round, of processor time, the start included, and of peak
memory. All must print the same."""

import argparse
import glob
import math
import os
import statistics

import measure

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = "lua5.4"
ALLOCATES = "-- allocates: "
LIMIT = 2.0  # of the picture


def commands(build):
    slua = os.path.join(build, "slua")
    return {REFERENCE: ["lua5.4"], "slua": [slua],
            "limits": [slua, "--heartbeats", "1000000000000", "--memory", "1G"]}


def path_of(script):
    return os.path.join(HERE, "lua", script + ".lua")


def allocates(script):
    with open(path_of(script), encoding="utf-8") as file:
        return file.readline().startswith(ALLOCATES)


def scripts():
    """Those that allocate first."""
    names = [os.path.basename(path).removesuffix(".lua") for path in glob.glob(path_of("*"))]
    return sorted(names, key=lambda name: (not allocates(name), name))


def run(script, command, results):
    """Its time and memory; what it prints must be what it printed before."""
    output, _, usage = measure.run([*command, path_of(script)], os.environ)
    if results.setdefault(script, output) != output:
        measure.die(f"{script}: {command[0]} prints {output}, but others {results[script]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def pick(values, item):
    return {script: {name: [v[item] for v in rounds] for name, rounds in of.items()}
            for script, of in values.items()}


def mean(ratios, names, wanted):
    """The geometric mean of the medians of the scripts that are wanted, for each name."""
    of = [script for script in ratios if wanted(script)]
    return {name: math.exp(statistics.fmean(math.log(ratios[s][name][1]) for s in of))
            for name in names} if of else {}


def print_ratios(what, values):
    ratios = measure.ratios_to(REFERENCE, values)
    names = [name for name in next(iter(values.values())) if name != REFERENCE]
    rows = [[f"{what} / {REFERENCE}'s", *names, "rounds"]]
    for script, of in ratios.items():
        rows.append([script, *(f"{of[name][1]:.2f}" for name in names), str(len(values[script][REFERENCE]))])
    for title, wanted in [("mean, allocates", allocates), ("mean, others", lambda s: not allocates(s)),
                          ("mean of all", lambda s: True)]:
        of = mean(ratios, names, wanted)
        if of:
            rows.append([title, *(f"{of[name]:.2f}" for name in names), ""])
    measure.print_table(rows)
    print()
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(scripts()), help="scripts, with commas between")
    parser.add_argument("--budget", type=float, default=600, help="seconds")
    parser.add_argument("--svg", metavar="FILE", help="write a bar chart to FILE")
    options = parser.parse_args()
    if options.rounds < 1 or not set(options.only.split(",")) <= set(scripts()):
        parser.error("--rounds must be at least 1, and scripts of: " + ", ".join(scripts()))
    of, results = commands(options.build), {}
    values = measure.measure_rounds(options.only.split(","), list(of), options.rounds, options.budget, 1,
                                    lambda script, name: run(script, of[name], results))
    ratios = print_ratios("time", pick(values, 0))
    print_ratios("memory", pick(values, 1))
    if options.svg:
        measure.write(options.svg, measure.bars(
            "time / lua5.4's; median and quartiles; shorter is better", ratios, LIMIT))


if __name__ == "__main__":
    main()
