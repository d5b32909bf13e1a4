#!/usr/bin/env python3
"""Allocation speed of Sluice and other allocators, as ratios to mimalloc (below 1 is faster).

    bench.py [BUILD] [--rounds N] [--svg FILE]

The loops are bench's (nanoseconds per malloc and free; prodcons has its two threads on two
processors, prodcons1 on one) and cfrac, a whole program (processor time).
A round runs each loop once with each allocator, one right after the other, in an order that rotates
from round to round. Ratios are taken within a round, so that slow changes of the machine cancel;
shown are their median and quartiles. PEERS="name=/path/lib.so ..." adds allocators. With --checked
the debug and the secure build are compared with the plain one instead."""

import argparse
import glob
import os
import statistics

import measure
from measure import die

LOOPS = ["pair", "batch", "shuffle", "prodcons", "prodcons1"]
SEMIPRIME = "456778560887938467202153838494229897"  # 36 digits: half a second or so
REFERENCE = "mimalloc"
PEERS = {"mimalloc": "libmimalloc.so.2*", "jemalloc": "libjemalloc.so.2*",
         "tcmalloc": "libtcmalloc_minimal.so.4*"}
PLACES = ["/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
BUDGET = 80  # seconds after which no round begins that would not end in time


def find(pattern):
    """The path of a peer's library, or None."""
    for place in PLACES:
        paths = sorted(glob.glob(os.path.join(place, pattern)))
        if paths:
            return paths[0]
    return None


def preload(library):
    return {"LD_PRELOAD": library} if library else {}


def builds(build):
    """{name: what is added to the environment}"""
    def library(kind):
        return preload(os.path.abspath(os.path.join(build, f"libsluice{kind}-preload.so")))
    secure = library("-secure")
    return {"plain": library(""), "debug": library("-debug"), "secure": secure,
            "secure, no fill": secure | {"MIMALLOC_SECURE_FILL": "0"}}


def allocators(build):
    """{name: what is added to the environment}, and the names of those that are not here."""
    found = {"sluice": os.path.abspath(os.path.join(build, "libsluice-preload.so")), "glibc": ""}
    found.update((name, find(pattern)) for name, pattern in PEERS.items())
    for word in os.environ.get("PEERS", "").split():
        name, equals, path = word.partition("=")
        if not (name and equals and path):
            die(f"PEERS: {word} is not name=path")
        found[name] = os.path.abspath(path)
    missing = [name for name, path in found.items()
               if path is None or path and not os.path.exists(path)]
    return {name: preload(path) for name, path in found.items() if name not in missing}, missing


def run(command, added):
    """The program's output and processor time under the allocator."""
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"} | added
    output, errors, usage = measure.run(command, env)
    if "cannot be preloaded" in errors:  # the loader ignores a library that it cannot load
        die(f"{' '.join(command)} with {added or 'glibc'}: {errors}")
    return output, usage.ru_utime + usage.ru_stime


def time_of(loop, build, added):
    if loop == "cfrac":
        return run([os.path.join(build, "cfrac"), SEMIPRIME], added)[1]
    return float(run([os.path.join(build, "bench"), loop], added)[0])


def print_ratios(reference, times, ratios):
    names = list(next(iter(ratios.values())))
    rows = [["", *names, reference]]
    for loop, of in ratios.items():
        unit = "s" if loop == "cfrac" else "ns"
        cells = ["{1:.2f} [{0:.2f} {2:.2f}]".format(*of[name]) for name in names]
        rows.append([loop, *cells, f"{statistics.median(times[loop][reference]):.2f} {unit}"])
    measure.print_table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--checked", action="store_true", help="what the checked builds cost")
    parser.add_argument("--svg", metavar="FILE", help="write a bar chart to FILE")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    for name in ["bench", "cfrac", "libsluice-preload.so"]:
        if not os.path.exists(os.path.join(options.build, name)):
            die(f"{options.build}/{name} is missing: make bench builds it")
    peers, missing = (builds(options.build), []) if options.checked else allocators(options.build)
    if missing:
        print("not here: " + ", ".join(missing))
    reference = "plain" if options.checked else REFERENCE if REFERENCE in peers else "glibc"
    times = measure.measure_rounds(LOOPS + ["cfrac"], list(peers), options.rounds, BUDGET, 3,
                                   lambda loop, name: time_of(loop, options.build, peers[name]))
    ratios = measure.ratios_to(reference, times)
    rounds = len(times["cfrac"][reference])
    print(f"time / {reference}'s: median [quartiles] of {rounds} rounds, lower is faster;"
          f" last column: {reference}'s time")
    print_ratios(reference, times, ratios)
    if options.svg:
        measure.write(options.svg, measure.bars(
            f"time / {reference}'s, median and quartiles of {rounds} rounds; shorter is faster",
            ratios, 3.0))


if __name__ == "__main__":
    main()
