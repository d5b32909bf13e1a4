#!/usr/bin/env python3
"""What holds the memory: dominators.py [OPTIONS] [SNAPSHOT], a file that rc_snapshot wrote, or standard input.

An object dominates another one if every path to it from outside goes through it: if the first one went, the other
one would, too. What an object retains is itself and all that it dominates. Prints the sums by type, the objects that
retain the most, and the tree of dominators as far as it matters. After Lengauer and Tarjan, TOPLAS 1979, with path
compression: O(references * log objects)."""
import argparse
import json
import os
import sys

NEEDED = {"kind", "type", "tag", "count", "bytes", "refs"}
ROOT = 0  # what stands for the outside; object i of the snapshot is vertex i + 1


class Graph:
    def __init__(self, objects):
        self.objects = objects
        n = len(objects)
        self.next = [[]] + [[to + 1 for to in o["refs"]] for o in objects]
        held = [0] * (n + 1)
        for targets in self.next:
            for to in targets:
                held[to] += 1
        self.next[ROOT] = [v for v in range(1, n + 1) if abs(objects[v - 1]["count"]) > held[v]]
        self.number()

    def number(self):
        """Depth first: order, parents. What is not reached is in cycles, or held by them: its first object is
        taken for one that is referred to from outside."""
        self.at = [-1] * len(self.next)
        self.order, self.parent = [], [ROOT] * len(self.next)
        self.visit(ROOT, ROOT)
        for v in range(1, len(self.next)):
            if self.at[v] < 0:
                self.next[ROOT].append(v)
                self.visit(v, ROOT)

    def visit(self, start, parent):
        stack = [(start, parent)]
        while stack:
            v, parent = stack.pop()
            if self.at[v] >= 0:
                continue
            self.at[v] = len(self.order)
            self.order.append(v)
            self.parent[v] = parent
            stack.extend((to, v) for to in reversed(self.next[v]) if self.at[to] < 0)

    def dominators(self):
        """The immediate dominator of each vertex; ROOT's is ROOT."""
        n = len(self.next)
        before = [[] for _ in range(n)]
        for v in range(n):
            for to in self.next[v]:
                before[to].append(v)
        semi, best, bucket = list(self.at), list(range(n)), [[] for _ in range(n)]
        forest, dominator = [-1] * n, [ROOT] * n

        def least(v):
            """Of the vertices above v in the forest, up to its root, the one whose semidominator is the first."""
            path = []
            while forest[v] >= 0 and forest[forest[v]] >= 0:
                path.append(v)
                v = forest[v]
            for w in reversed(path):
                up = forest[w]
                if semi[best[up]] < semi[best[w]]:
                    best[w] = best[up]
                forest[w] = forest[up]
            return best[path[0] if path else v]

        for w in reversed(self.order[1:]):
            for v in before[w]:
                semi[w] = min(semi[w], semi[least(v)])
            bucket[self.order[semi[w]]].append(w)
            parent = self.parent[w]
            forest[w] = parent
            for v in bucket[parent]:
                u = least(v)
                dominator[v] = u if semi[u] < semi[v] else parent
            bucket[parent] = []
        for w in self.order[1:]:
            if dominator[w] != self.order[semi[w]]:
                dominator[w] = dominator[dominator[w]]
        return dominator

    def retained(self, dominator):
        bytes_of = [0] + [o["bytes"] for o in self.objects]
        number = [0] + [1] * len(self.objects)
        for v in reversed(self.order[1:]):
            bytes_of[dominator[v]] += bytes_of[v]
            number[dominator[v]] += number[v]
        return bytes_of, number


def type_of(o):
    name = o["type"] if o["type"] is not None else o["kind"]
    return f"{name}, tag {o['tag']}"


class Report:
    def __init__(self, graph):
        self.graph = graph
        self.dominator = graph.dominators()
        self.bytes, self.number = graph.retained(self.dominator)
        self.children = [[] for _ in graph.next]
        for v in graph.order[1:]:
            self.children[self.dominator[v]].append(v)
        for below in self.children:
            below.sort(key=lambda v: (-self.bytes[v], v))

    def object_of(self, v):
        return self.graph.objects[v - 1]

    def line(self, v, indent=""):
        o = self.object_of(v)
        share = 100 * self.bytes[v] / max(1, self.bytes[ROOT])
        name = f"#{v - 1} {type_of(o)}, {o['bytes']} bytes"
        return f"{self.bytes[v]:12} {share:5.1f} % {self.number[v]:9}  {indent}{name}"

    def by_type(self, top):
        """What those of a type retain that none of the same type dominates: so nothing counts twice."""
        rows, above = {}, [frozenset()] * len(self.graph.next)
        for v in self.walk():
            name = type_of(self.object_of(v))
            row = rows.setdefault(name, [0, 0, 0])
            row[1] += 1
            row[2] += self.object_of(v)["bytes"]
            over = above[self.dominator[v]]
            if name not in over:
                row[0] += self.bytes[v]
                over = over | {name}
            above[v] = over
        print(f"{'retained':>12} {'objects':>9} {'own bytes':>12}  type")
        for name, row in sorted(rows.items(), key=lambda r: (-r[1][0], r[0]))[:top]:
            print(f"{row[0]:12} {row[1]:9} {row[2]:12}  {name}")

    def walk(self):
        stack = list(self.children[ROOT])
        while stack:
            v = stack.pop()
            yield v
            stack.extend(self.children[v])

    def top(self, top):
        print(f"{'retained':>12} {'':7} {'objects':>9}  object")
        for v in sorted(self.graph.order[1:], key=lambda v: (-self.bytes[v], v))[:top]:
            print(self.line(v))

    def tree(self, top, depth):
        """At most `top` of the children of each, and what retains a thousandth of all at least."""
        print(f"{'retained':>12} {'':7} {'objects':>9}  object, and below it what it dominates")
        stack = [(v, 0) for v in reversed(self.children[ROOT][:top])]
        while stack:
            v, level = stack.pop()
            if 1000 * self.bytes[v] < self.bytes[ROOT]:
                continue
            print(self.line(v, "  " * level))
            if level + 1 < depth:
                stack.extend((to, level + 1) for to in reversed(self.children[v][:top]))


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") if path != "-" else sys.stdin as lines:
            objects = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        sys.exit(f"dominators.py: cannot read {path}: {error}")
    for i, o in enumerate(objects):
        if not isinstance(o, dict) or o.get("id") != i or not NEEDED <= o.keys():
            sys.exit(f"dominators.py: line {i + 1} of {path} is not object {i} of a snapshot")
        if any(not isinstance(to, int) or not 0 <= to < len(objects) for to in o["refs"]):
            sys.exit(f"dominators.py: object {i} of {path} refers to none of it")
    return objects


def main():
    parser = argparse.ArgumentParser(description="What holds the memory, of a file that rc_snapshot wrote.")
    parser.add_argument("snapshot", nargs="?", default="-")
    parser.add_argument("--top", type=int, default=10, help="lines of each table, and children in the tree (10)")
    parser.add_argument("--depth", type=int, default=5, help="levels of the tree (5)")
    parser.add_argument("--pairs", action="store_true",
                        help="print of each object: id, dominator (-1: none), bytes and objects retained")
    arguments = parser.parse_args()
    report = Report(Graph(read(arguments.snapshot)))
    if arguments.pairs:
        for v in range(1, len(report.graph.next)):
            print(v - 1, report.dominator[v] - 1, report.bytes[v], report.number[v])
        return
    print(f"{report.number[ROOT]} objects, {report.bytes[ROOT]} bytes\n")
    report.by_type(arguments.top)
    print()
    report.top(arguments.top)
    print()
    report.tree(arguments.top, arguments.depth)


try:
    main()
    sys.stdout.flush()
except BrokenPipeError:  # who reads has seen enough
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
