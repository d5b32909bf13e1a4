#!/usr/bin/env python3
"""Lua scripts in slua, as ratios to the system's lua5.4.

    bench_lua.py [BUILD] [--rounds N] [--only SCRIPT,...] [--budget SECONDS] [--hook]
                 [--svg FILE] [--markdown FILE]

The scripts are in lua/; the first line of each tells what it does, and whether it allocates much. `slua` has no
limits; `limits` has both, larger than is needed; with --hook, `hook` has them, too, and counts instructions by
Lua's count hook. A round runs each script once with each, in an order that rotates; shown are medians of the
ratios within a round, of processor time, the start included, and of peak memory (where it is more than this
script's own). All must print the same. What needs a C module, as its second line tells, runs without limits
only, if the module is installed. --markdown writes the first table for a README."""

import argparse
import glob
import math
import os
import resource
import statistics
import subprocess

import measure

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = "lua5.4"
ALLOCATES, NEEDS = "-- allocates: ", "-- needs: "
LIMIT = 2.5  # of the picture


def commands(build, hook):
    """{name: command}"""
    slua = os.path.join(build, "slua")
    limited = [slua, "--heartbeats", "1000000000000", "--memory", "1G"]
    of = {REFERENCE: ["lua5.4"], "slua": [slua], "limits": limited}
    if hook:
        of["hook"] = limited + ["--count-hook"]
    return of


def path_of(script):
    return os.path.join(HERE, "lua", script + ".lua")


def head(script):
    with open(path_of(script), encoding="utf-8") as file:
        return file.readline(), file.readline()


def allocates(script):
    return head(script)[0].startswith(ALLOCATES)


def needs(script):
    """The C module that it needs, or None."""
    line = head(script)[1]
    return line.removeprefix(NEEDS).strip() if line.startswith(NEEDS) else None


def scripts():
    """Those that allocate first."""
    names = [os.path.basename(path).removesuffix(".lua") for path in glob.glob(path_of("*"))]
    return sorted(names, key=lambda name: (not allocates(name), name))


def can_run(script):
    module = needs(script)
    if module is None:
        return True
    found = subprocess.run([REFERENCE, "-l", module, "-e", ""], capture_output=True, check=False).returncode == 0
    if not found:
        print(f"{script}: skipped, there is no module {module} (package lua-{module})")
    return found


def run(script, command, results):
    """Its time and memory; what it prints must be what it printed before."""
    output, _, usage = measure.run([*command, path_of(script)], os.environ)
    if results.setdefault(script, output) != output:
        measure.die(f"{script}: {command} prints {output}, but others {results[script]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def pick(values, item):
    return {script: {name: [v[item] for v in rounds] for name, rounds in of.items()}
            for script, of in values.items()}


def large(sizes):
    """A child's peak begins with what this process had when it was made."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {script: of for script, of in sizes.items() if min(of[REFERENCE]) > own}


def mean(ratios, name, wanted):
    """The geometric mean of the medians of the scripts that are wanted, as text."""
    logs = [math.log(of[name][1]) for script, of in ratios.items() if wanted(script) and name in of]
    return f"{math.exp(statistics.fmean(logs)):.2f}" if logs else "-"


def measure_all(names, commands_of, options):
    """{script: {name: (time, memory) of each round}}; C modules are for states without limits."""
    results, values = {}, {}
    for bound, of in (False, list(commands_of)), (True, [REFERENCE, "slua"]):
        some = [script for script in names if (needs(script) is not None) == bound]
        budget = options.budget * len(some) / len(names)
        values |= measure.measure_rounds(some, of, options.rounds, budget, 1,
                                         lambda script, name: run(script, commands_of[name], results))
    return {script: values[script] for script in names}


def table(what, ratios, values):
    names = list(dict.fromkeys(name for of in ratios.values() for name in of))
    rows = [[f"{what} / {REFERENCE}'s", *names, "rounds"]]
    for script, of in ratios.items():
        mark = " *" if allocates(script) else ""
        cells = [f"{of[name][1]:.2f}" if name in of else "-" for name in names]
        rows.append([script + mark, *cells, str(len(values[script][REFERENCE]))])
    for title, wanted in [("mean of those with *", allocates),
                          ("mean of the others", lambda script: not allocates(script)),
                          ("mean of all", lambda script: True)]:
        if any(map(wanted, ratios)):
            rows.append([title, *(mean(ratios, name, wanted) for name in names), ""])
    return rows


def markdown(rows):
    lines = [f"| {' | '.join(row[:-1])} |" for row in rows]
    return "\n".join([lines[0], "|---" * (len(rows[0]) - 1) + "|", *lines[1:], ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(scripts()), help="scripts, with commas between")
    parser.add_argument("--budget", type=float, default=600, help="seconds")
    parser.add_argument("--hook", action="store_true", help="limits by Lua's count hook, too")
    parser.add_argument("--svg", metavar="FILE", help="write a bar chart to FILE")
    parser.add_argument("--markdown", metavar="FILE", help="write the table of times to FILE")
    options = parser.parse_args()
    if options.rounds < 1 or not set(options.only.split(",")) <= set(scripts()):
        parser.error("--rounds must be at least 1, and scripts of: " + ", ".join(scripts()))
    names = [script for script in options.only.split(",") if can_run(script)]
    if not names:
        return
    values = measure_all(names, commands(options.build, options.hook), options)
    times, sizes = pick(values, 0), large(pick(values, 1))
    ratios = measure.ratios_to(REFERENCE, times)
    rows = table("time", ratios, times)
    measure.print_table(rows)
    print("* allocates much")
    for script, names in measure.ratios_to(REFERENCE, sizes).items():
        print(f"memory of {script}: " + ", ".join(f"{n} {r[1]:.2f}" for n, r in names.items()))
    if options.markdown:
        measure.write(options.markdown, markdown(rows))
    if options.svg:
        measure.write(options.svg, measure.bars(
            "time / lua5.4's; median and quartiles; shorter is better", ratios, LIMIT))


if __name__ == "__main__":
    main()
