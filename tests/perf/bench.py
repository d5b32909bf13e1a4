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
import subprocess
import sys
import time

LOOPS = ["pair", "batch", "shuffle", "prodcons", "prodcons1"]
SEMIPRIME = "456778560887938467202153838494229897"  # 36 digits: half a second or so
REFERENCE = "mimalloc"
PEERS = {"mimalloc": "libmimalloc.so.2*", "jemalloc": "libjemalloc.so.2*",
         "tcmalloc": "libtcmalloc_minimal.so.4*"}
PLACES = ["/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
BUDGET = 80  # seconds after which no round begins that would not end in time


def die(message):
    sys.exit("bench: " + message)


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
    child = subprocess.Popen(command, env=env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = child.stdout.read(), child.stderr.read()  # a line or two: no pipe fills up
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    child.stderr.close()
    # The loader ignores a library that it cannot load, and says so.
    if child.returncode != 0 or "cannot be preloaded" in errors:
        die(f"{' '.join(command)} with {added or 'glibc'}: status {child.returncode} {errors}")
    return output, usage.ru_utime + usage.ru_stime


def measure(loop, build, added):
    if loop == "cfrac":
        return run([os.path.join(build, "cfrac"), SEMIPRIME], added)[1]
    return float(run([os.path.join(build, "bench"), loop], added)[0])


def measure_rounds(peers, build, rounds):
    """{loop: {name: a time for each round}}, of fewer rounds than asked if the machine is slow."""
    loops = LOOPS + ["cfrac"]
    times = {loop: {name: [] for name in peers} for loop in loops}
    names, start = list(peers), time.monotonic()
    for done in range(rounds):
        spent = time.monotonic() - start
        if done >= 3 and spent * (done + 1) / done > BUDGET:
            break
        turn = done % len(names)
        for loop in loops:
            for name in names[turn:] + names[:turn]:
                times[loop][name].append(measure(loop, build, peers[name]))
    return times


def quartiles(values):
    if len(values) < 2:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def ratios_to(reference, times):
    """{loop: {name: the quartiles of its ratio to the reference}}"""
    return {loop: {name: quartiles([t / r for t, r in zip(of[name], of[reference])])
                   for name in of if name != reference} for loop, of in times.items()}


def table(reference, times, ratios):
    names = list(next(iter(ratios.values())))
    rows = [["", *names, reference]]
    for loop, of in ratios.items():
        unit = "s" if loop == "cfrac" else "ns"
        cells = ["{1:.2f} [{0:.2f} {2:.2f}]".format(*of[name]) for name in names]
        rows.append([loop, *cells, f"{statistics.median(times[loop][reference]):.2f} {unit}"])
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        line = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  ".join(line))


def svg(reference, ratios, rounds):
    """A chart of horizontal bars, a group for each loop; a line marks the reference, 1."""
    bar, gap, left, width, limit = 14, 16, 150, 480, 3.0
    colours = ["#1f6f8b", "#b0b7bd", "#d9a441", "#8a6fae", "#6c9a5b", "#a65d57"]

    def x(ratio):
        return left + width * min(ratio, limit) / limit

    def text(at, y, anchor, words):
        return f'<text x="{at:.1f}" y="{y}" text-anchor="{anchor}">{words}</text>'

    out, y = [text(8, 20, "start", f"time / {reference}'s, median and quartiles of {rounds} rounds;"
                   " shorter is faster")], 36
    for loop, of in ratios.items():
        out.append(text(8, y + 11, "start", loop))
        for i, (name, (low, middle, high)) in enumerate(of.items()):
            centre, cut = y + bar / 2 - 1, " (cut)" if middle > limit else ""
            out.append(text(left - 6, y + 11, "end", name))
            out.append(f'<rect x="{left}" y="{y}" width="{x(middle) - left:.1f}" height="{bar - 2}"'
                       f' fill="{colours[i % len(colours)]}"/>')
            out.append(f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{centre}" y2="{centre}"'
                       ' stroke="black"/>')
            out.append(text(max(x(high), x(1)) + 6, y + 11, "start", f"{middle:.2f}{cut}"))
            y += bar
        y += gap
    out.append(f'<line x1="{x(1)}" x2="{x(1)}" y1="30" y2="{y - gap + 6}" stroke="black"'
               ' stroke-dasharray="3 3"/>')
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{y}"'
            ' font-family="sans-serif" font-size="12">')
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *out, "</svg>\n"])


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
    times = measure_rounds(peers, options.build, options.rounds)
    ratios = ratios_to(reference, times)
    rounds = len(times["cfrac"][reference])
    print(f"time / {reference}'s: median [quartiles] of {rounds} rounds, lower is faster;"
          f" last column: {reference}'s time")
    table(reference, times, ratios)
    if options.svg:
        with open(options.svg, "w", encoding="utf-8") as file:
            file.write(svg(reference, ratios, rounds))


if __name__ == "__main__":
    main()
