#!/usr/bin/env python3
"""How long a program stands still while a structure of 10 million objects dies.

    bench_pause.py [BUILD] [--only STRUCTURE] [--rounds N] [--objects N] [--svg FILE]

A program (rc/pause.*) drops the last reference to the structure and makes a list of as many
objects; each of those calls is timed. Shown are, as medians of the rounds, the longest, and of
those of a microsecond or more how many there are, the median and the 99.9 % quantile; for Sluice
of its full slices, those refills that spent all that they may on the dead. `eager` is Sluice with
everything freed within rc_dec. C++, Rust and Nim free by recursion, as deep as a list is long:
they get a stack of up to 16 GiB. OCaml has no death but a collector, whose work is in the
constructions. Rings are found by Sluice, Nim and OCaml alone. This is time on the wall, and what else the machine does is in it. Only Sluice's
programs know when the kernel gave the processor away: their slices are those without, and
`undisturbed` is the longest call without."""

import argparse
import math
import os
import statistics

import languages
import measure

STRUCTURES = ["list", "shuffled", "tree", "array"]  # what rc/pause.* can build
CYCLES = {"rings": ["sluice", "nim", "ocaml"]}  # and who finds them
LANGUAGES = ["sluice", "eager", "c++", "rust", "nim", "ocaml"]
STACK = 16 << 30


class Pauses:
    """What one run printed: the pauses in nanoseconds, sorted, and those that were full slices."""

    def __init__(self, output):
        lines = [line.split() for line in output.splitlines()[1:]]
        self.all = sorted(int(words[0]) for words in lines)
        alone = [words for words in lines if "away" not in words]
        self.full = sorted(int(words[0]) for words in alone if "full" in words)
        self.undisturbed = max((int(words[0]) for words in alone), default=0)


def quantile(values, q):
    return values[min(len(values) - 1, int(q * len(values)))] if values else 0


def run(structure, name, options):
    path = languages.path_of(name, "pause", options.build)
    output = measure.run([path, structure, str(options.objects)], os.environ, STACK)[0]
    return Pauses(output)


def slices_of(name, pauses):
    return pauses.full if name == "sluice" else pauses.all


def row(structure, name, runs):
    def median(number_of):
        return statistics.median(number_of(p) for p in runs)
    slices = [slices_of(name, p) for p in runs]
    return [structure, name, f"{statistics.median(map(len, slices)):.0f}",
            *(f"{statistics.median(quantile(s, q) for s in slices) / 1e3:.1f}"
              for q in (0.5, 0.999)),
            f"{median(lambda p: quantile(p.all, 1)) / 1e3:.1f}",
            f"{median(lambda p: p.undisturbed) / 1e3:.1f}" if name in ("sluice", "eager") else "",
            f"{median(lambda p: sum(p.all)) / 1e6:.0f}"]


def print_pauses(runs):
    rows = [["", "", "pauses", "median us", "99.9 % us", "longest us", "undisturbed", "all ms"]]
    for structure, of in runs.items():
        rows += [row(structure, name, of[name]) for name in of]
    measure.print_table([[" ".join(r[:2]), *r[2:]] for r in rows])


# ---- The picture: how many pauses were at least so long, both axes logarithmic

LOW, HIGH, MOST = 1e3, 1e10, 1e6  # nanoseconds, and pauses
WIDTH, HEIGHT, LEFT, TOP = 360, 220, 74, 60


def x_of(ns):
    return LEFT + WIDTH * math.log(max(ns, LOW) / LOW) / math.log(HIGH / LOW)


def y_of(count):
    return TOP + HEIGHT * (1 - math.log(min(count, MOST)) / math.log(MOST))


def curve(values, colour):
    """Steps down from all pauses to the longest, a corner for each twentieth of a power of ten."""
    path, seen = [f"M{x_of(LOW):.1f},{y_of(len(values)):.1f}"], None
    for i, ns in enumerate(values):
        if int(20 * math.log10(ns)) != seen:
            seen = int(20 * math.log10(ns))
            path.append(f"H{x_of(ns):.1f}V{y_of(len(values) - i):.1f}")
    path.append(f"H{x_of(values[-1]):.1f}V{y_of(1):.1f}")
    dot = f'<circle cx="{x_of(values[-1]):.1f}" cy="{y_of(1):.1f}" r="4" fill="{colour}"/>'
    return f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="2"/>{dot}'


def axes(structure):
    parts = [f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none"'
             ' stroke="#999"/>', measure.text(LEFT + WIDTH / 2, TOP - 8, "middle", structure)]
    for power, label in enumerate(["1 us", "10", "100", "1 ms", "10", "100", "1 s", "10"]):
        at = x_of(LOW * 10**power)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{TOP + HEIGHT}"'
                     ' stroke="#ddd"/>' + measure.text(at, TOP + HEIGHT + 16, "middle", label))
    for power in range(0, 7, 2):
        at = y_of(10**power)
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{at:.1f}" y2="{at:.1f}"'
                     ' stroke="#ddd"/>' + measure.text(LEFT - 6, at + 4, "end", f"{10**power:,}"))
    return parts


def panels(runs):
    """A panel for each structure, two in a row; the curves are of the last round."""
    names = list(next(iter(runs.values())))
    parts = [measure.text(8, 18, "start", "how many pauses (1 us or more) were at least so long,"
                          " while 10 million objects die; both axes logarithmic")]
    for i, name in enumerate(names):
        parts.append(f'<g fill="{measure.COLOURS[i]}">'
                     + measure.text(8 + 80 * i, 36, "start", name) + "</g>")
    for i, (structure, of) in enumerate(runs.items()):
        shift = f"translate({i % 2 * (WIDTH + LEFT + 20)} {i // 2 * (HEIGHT + TOP + 10)})"
        lines = [curve(of[name][-1].all, measure.COLOURS[k]) for k, name in enumerate(names)
                 if name in of and of[name][-1].all]
        parts += [f'<g transform="{shift}">', *axes(structure), *lines, "</g>"]
    rows = (len(runs) + 1) // 2
    return measure.picture(2 * (WIDTH + LEFT + 20) + 20, rows * (HEIGHT + TOP + 10) + 30, parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="?", default="build")
    parser.add_argument("--only", choices=[*STRUCTURES, *CYCLES], help="one structure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--objects", type=int, default=10_000_000)
    parser.add_argument("--budget", type=float, default=300, help="seconds, if not for one round")
    parser.add_argument("--svg", metavar="FILE", help="draw the distributions to FILE")
    options = parser.parse_args()
    if options.rounds < 1 or options.objects < 1:
        parser.error("--rounds and --objects must be at least 1")
    names = languages.present(LANGUAGES)
    languages.print_versions(LANGUAGES)
    for name in names:
        languages.build(name, "pause", options.build)
    runs = {}
    for structure in [options.only] if options.only else [*STRUCTURES, *CYCLES]:
        those = [name for name in names if name in CYCLES.get(structure, names)]
        runs |= measure.measure_rounds([structure], those, options.rounds, options.budget, 1,
                                       lambda structure, name: run(structure, name, options))
    print_pauses(runs)
    if options.svg:
        measure.write(options.svg, panels(runs))


if __name__ == "__main__":
    main()
