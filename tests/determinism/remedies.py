#!/usr/bin/env python3
"""Each thing that makes a guest's run repeatable is needed: without it, two runs differ.

usage: remedies.py BUILD
"""
import os, re, shutil, subprocess, sys, tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LUA = ROOT / "tests" / "determinism" / "lua"
RUNS = 12
# What it is; the file, and what stands there; what stands there without it; a script that tells.
REMEDIES = [
    ("memory at a multiple of 4 GiB", "guest.c", "limits.repeatable_addresses = g->repeatable;",
     "limits.repeatable_addresses = false;", "keys"),
    ("a hash seed of our own", "guest.c", "set_seed(g->first_block, seed_offset, g->hash_seed);", ";", "keys"),
    ("closures instead of light functions", "guestlib.c", "if (!guest_of(L)->repeatable) return;", "return;", "keys"),
    ("offsets instead of addresses", "guesttext.c", "if (g->repeatable)", "if (g == NULL)", "text"),
    ("random numbers without a clock", "guestlib.c", "if (guest_of(L)->repeatable) set_random(L);", "", "random"),
    ("a sort without a clock", "guestlib.c", "{LUA_TABLIBNAME, guest_open_table}", "{LUA_TABLIBNAME, luaopen_table}",
     "killer"),
]
# The same, of what varies only where the C library chooses by what the processor can.
FLOATS = ("a sine of our own", "math/circle.c", "double __wrap_sin(double x) {",
          "double __real_sin(double x);\ndouble __wrap_sin(double x) {\n  if (x != 0) return __real_sin(x);", "floats")
OTHER_LIBRARY = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"}


def results(slua, script):
    """In every other run the C library does without some instructions."""
    command = [slua, "--heartbeats", "3000", "--ticks", script + ".lua"]
    def run(n):
        env = {**os.environ, **(OTHER_LIBRARY if n % 2 else {})}
        return subprocess.run(command, cwd=LUA, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    return {run(n) for n in range(RUNS)}


def has_fma():
    return re.search(r"^flags.*\bfma\b", Path("/proc/cpuinfo").read_text(), re.M) is not None


def make(tree):
    subprocess.run(["make", "--no-print-directory", "-s", "B=build", "WARN=-w", "build/slua"], cwd=tree, check=True)


def plant(build):
    """A tree of links to the sources, with its own demo-lang/ and a copy of what was built."""
    tree = Path(tempfile.mkdtemp())
    for entry in ROOT.iterdir():
        if entry.name not in ("demo-lang", build.name, ".git"):
            (tree / entry.name).symlink_to(entry)
    shutil.copytree(ROOT / "demo-lang", tree / "demo-lang")
    (tree / "build" / "obj").mkdir(parents=True)
    subprocess.run(["cp", "-a", build / "obj" / "plain", tree / "build" / "obj"], check=True)
    for name in ("libsluice.a", "slua"):
        subprocess.run(["cp", "-a", build / name, tree / "build"], check=True)
    return tree


def main():
    build = Path(sys.argv[1]).resolve()
    tree = plant(build)
    passed = failed = 0
    if not has_fma():
        print("skipped: a sine of our own (the C library has no other one for this processor)")
    for name, file, there, without, script in REMEDIES + [FLOATS] * has_fma():
        path = tree / "demo-lang" / file
        source = path.read_text()
        if source.count(there) != 1:
            print(f"FAILED: {name}: {file} has no longer '{there}'")
            failed += 1
            continue
        path.write_text(source.replace(there, without))
        make(tree)
        varies = len(results(tree / "build" / "slua", script)) > 1
        path.write_text(source)
        os.utime(path)
        repeats = len(results(build / "slua", script)) == 1
        if varies and repeats:
            passed += 1
        else:
            failed += 1
            print(f"FAILED: {name}: with it {'one result' if repeats else 'several results'}, "
                  f"without it {'several' if varies else 'one'}")
    shutil.rmtree(tree)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())
