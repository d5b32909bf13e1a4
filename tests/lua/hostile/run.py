#!/usr/bin/env python3
"""run.py [--table] SLUA... [--only NAME...]: each attempt of cases.lua to get past the limit on
heartbeats ends within a beat of that limit (or of the one request that could not be paid),
or at the memory limit, or is refused. A limit on processor time is there for those that get away;
it measures nothing else. --table prints where each one stopped."""
import os, re, resource, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
BEATS, PERIOD, MEMORY, SECONDS = 300, 1000, 32 << 20, 20
STOPPED = re.compile(r"slua: (heartbeat|memory) limit of \d+(?: bytes)? reached after (\d+) ticks, at (.*)")


def limit_time():
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def run(slua, *args):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    p = subprocess.run([slua, *args], cwd=HERE, preexec_fn=limit_time, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return p, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def verdict(p, name, source):
    """What is wrong, and how it ended."""
    err = p.stderr.decode(errors="replace")
    last = err.splitlines()[-1] if err else ""
    stopped = STOPPED.fullmatch(last)
    if p.stdout.endswith(b"refused\n") and p.returncode == 0:
        return None, "refused"
    if not stopped:
        return f"exit {p.returncode}: {last or 'no message'}", "?"
    kind, ticks = stopped[1], int(stopped[2])
    if p.returncode != {"heartbeat": 3, "memory": 4}[kind]:
        return f"exit {p.returncode}", "?"
    if "ready" in source and "ready\n" not in err:
        return f"stopped before the attempt, {last}", "?"
    if kind == "memory":
        return None, f"memory limit, {ticks} ticks"
    over = ticks - BEATS * PERIOD
    if not 0 <= over < PERIOD + MEMORY // 1024:
        return f"{over} ticks after the limit", "?"
    return None, f"{ticks} ticks" + ("" if over < PERIOD else f", of which {over} could not be paid")


def sources():
    text = open(os.path.join(HERE, "cases.lua")).read()
    text = text.replace("forever(", "ready forever(").split("\ncase[")
    return {t.split('"')[1]: t for t in text[1:]}


def main():
    table = sys.argv[1] == "--table"
    binaries, only = sys.argv[1 + table:], []
    if "--only" in binaries:
        at = binaries.index("--only")
        binaries, only = binaries[:at], binaries[at + 1:]
    passed = failed = 0
    for slua in map(os.path.abspath, binaries):
        text = sources()
        names = subprocess.run([slua, "cases.lua"], cwd=HERE, stdout=subprocess.PIPE, check=True)
        names = names.stdout.decode().splitlines()
        if sorted(names) != sorted(text):
            print("FAILED: the cases are not those in the text")
            failed += 1
        for name in only or names:
            p, seconds = run(slua, "--heartbeats", str(BEATS), "--memory", str(MEMORY), "cases.lua", name)
            wrong, end = verdict(p, name, text.get(name, ""))
            if wrong:
                failed += 1
                print(f"FAILED: {name}: {wrong}")
            else:
                passed += 1
            if table:
                print(f"{name:50} {seconds:6.2f} s  {end}")
    print(f"{passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())
