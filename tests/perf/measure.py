"""What the benchmarks share: running a program, rounds, ratios, tables and bar charts."""

import os
import resource
import statistics
import subprocess
import sys
import time

COLOURS = ["#1f6f8b", "#b0b7bd", "#d9a441", "#8a6fae", "#6c9a5b", "#a65d57", "#5b7fbd", "#77694f"]


def die(message):
    sys.exit(f"{os.path.basename(sys.argv[0]).removesuffix('.py')}: {message}")


def deepen(stack):
    """Makes the calling process's stack limit as large as it may be, up to `stack` bytes."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    size = stack if hard == resource.RLIM_INFINITY else min(hard, stack)
    resource.setrlimit(resource.RLIMIT_STACK, (size, hard))


def run(command, env, stack=None):
    """The program's output, complaints and resource usage; ends this one if it fails."""
    child = subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, preexec_fn=stack and (lambda: deepen(stack)))
    output, errors = child.stdout.read(), child.stderr.read()  # few lines on the latter
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    child.stderr.close()
    if child.returncode != 0:
        die(f"{' '.join(command)}: status {child.returncode} {errors}")
    return output, errors, usage


TOUCH = """import mmap
memory = mmap.mmap(-1, 1 << 30)
memory.madvise(mmap.MADV_HUGEPAGE)
for page in range(0, len(memory), mmap.PAGESIZE):
    memory[page] = 1"""


def settle():
    """Lets a process of 1 GiB come and go. What the first touches of memory cost a program depends on who has run
    before it: in a virtual machine several times as much if that was a while ago, or took less."""
    subprocess.run([sys.executable, "-c", TOUCH], check=True)


def measure_rounds(loops, names, rounds, budget, least, measure, done_with=lambda of, name: False):
    """{loop: {name: what measure(loop, name) gave in each round}}. A round runs each loop once with
    each name, in an order that rotates from round to round. After `least` rounds none begins that
    would not end within `budget` seconds. done_with({name: values so far}, name) ends a name's."""
    values = {loop: {name: [] for name in names} for loop in loops}
    start = time.monotonic()
    for done in range(rounds):
        spent = time.monotonic() - start
        if done >= least and spent * (done + 1) / done > budget:
            break
        turn = done % len(names)
        for loop in loops:
            for name in names[turn:] + names[:turn]:
                if not done_with(values[loop], name):
                    values[loop][name].append(measure(loop, name))
    return values


def quartiles(values):
    if len(values) < 2:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def ratios_to(reference, values):
    """{loop: {name: the quartiles of its ratio to the reference, round by round}}"""
    return {loop: {name: quartiles([t / r for t, r in zip(of[name], of[reference])])
                   for name in of if name != reference} for loop, of in values.items()}


def print_table(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        line = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  ".join(line).rstrip())


def text(at, y, anchor, words):
    return f'<text x="{at:.1f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>'


def picture(width, height, parts):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            ' font-family="sans-serif" font-size="12">')
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>\n"])


def bars(title, ratios, limit):
    """A chart of horizontal bars, a group for each loop; a line marks the reference, 1."""
    bar, gap, left, width = 14, 16, 150, 480
    order = list(dict.fromkeys(name for of in ratios.values() for name in of))

    def x(ratio):
        return left + width * min(ratio, limit) / limit

    out, y = [text(8, 20, "start", title)], 36
    for loop, of in ratios.items():
        out.append(text(8, y + 11, "start", loop))
        for name, (low, middle, high) in of.items():
            centre, cut = y + bar / 2 - 1, " (cut)" if middle > limit else ""
            colour = COLOURS[order.index(name) % len(COLOURS)]
            out.append(text(left - 6, y + 11, "end", name))
            out.append(f'<rect x="{left}" y="{y}" width="{x(middle) - left:.1f}" height="{bar - 2}"'
                       f' fill="{colour}"/>')
            out.append(f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{centre}" y2="{centre}"'
                       ' stroke="black"/>')
            out.append(text(max(x(high), x(1)) + 6, y + 11, "start", f"{middle:.2f}{cut}"))
            y += bar
        y += gap
    out.append(f'<line x1="{x(1)}" x2="{x(1)}" y1="30" y2="{y - gap + 6}" stroke="black"'
               ' stroke-dasharray="3 3"/>')
    return picture(left + width + 90, y, out)


def write(path, words):
    with open(path, "w", encoding="utf-8") as file:
        file.write(words)
