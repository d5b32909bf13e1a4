#!/usr/bin/env python3
"""Runs a corpus of programs under many conditions, and tells where the result differs.

usage: run.py [--quick] BUILD

A result is all that a program prints, its exit status, and for slua the ticks. With --quick, each program
runs under a few of the conditions, in turn, and only in the builds of the test suite.
"""
import itertools, os, random, shutil, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
LUA = HERE / "lua"
BENCH = HERE.parent / "perf" / "lua"
# Where packages put the test programs and examples of Lua libraries.
PACKAGED = ["/usr/share/doc/lua-unit/examples/*.lua", "/usr/share/doc/lua-dkjson/examples/*.lua"]
# A script of a package may read the clock and say what it read; and its library may be another version's.
PRELUDE = ("os.clock = function() return 0 end os.time = function() return 0 end os.date = function() return '' end "
           "package.path = '/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua;"
           "/usr/share/lua/5.3/?.lua;/usr/share/lua/5.3/?/init.lua'")
LIMITS = ["--heartbeats", "1500", "--memory", "48M", "--ticks"]
SEED = int.from_bytes(os.urandom(4), "little")


class Build:
    """Two programs, how they are started, and whether a library can be preloaded into them."""

    def __init__(self, name, folder, suffix="", start=(), preload=True):
        self.name, self.start, self.preload = name, list(start), preload
        self.slua = folder / ("slua" + suffix)
        self.programs = folder / ("programs" + suffix)


class Program:
    def __init__(self, name, of_build, folder=None):
        self.name, self.of_build, self.folder = name, of_build, folder

    def command(self, build):
        return build.start + self.of_build(build)


def corpus(build):
    listed = subprocess.run([build.programs], capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        yield Program("c/" + name, lambda b, name=name: [str(b.programs), name])
    def script(name, file, *arguments, before=(), folder=None):
        return Program(name, lambda b: [str(b.slua), *LIMITS, *before, file, *arguments], folder)
    for path in sorted(LUA.glob("*.lua")):
        yield script("lua/" + path.stem, path.name, folder=LUA)
    for path in sorted(BENCH.glob("*.lua")):
        yield script("bench/" + path.stem, path.name, folder=BENCH)
    for pattern in PACKAGED:
        for path in sorted(Path("/").glob(pattern[1:])):
            yield script(f"{path.parts[4]}/{path.stem}", str(path), before=["-e", PRELUDE])


class Condition:
    """What is done to a command: changes of the environment, of the working directory, a command in front."""

    def __init__(self, name, env=None, front=(), elsewhere=False, preloads=False, empty=False):
        self.name, self.env, self.front, self.elsewhere = name, env or {}, list(front), elsewhere
        self.preloads, self.empty = preloads, empty


def conditions(build):
    def disturbed(name, **values):
        env = {"DISTURB_" + k.upper(): str(v) for k, v in values.items()}
        return Condition(name, {**env, "LD_PRELOAD": str(build / "disturb.so")}, preloads=True)
    options = [{"purge_delay": 100}, {"purge_delay": -1}, {"purge_decommits": 0}, {"allow_thp": 0}, {"allow_thp": 2},
               {"allow_large_os_pages": 2}, {"heartbeat_period": 7}, {"reserve_os_memory": 65536, "purge_delay": 5}]
    yield Condition("again")
    yield Condition("addresses not random", front=["setarch", "-R"])
    yield Condition("another environment", {"PADDING": "x" * 60000, "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"})
    yield Condition("a C library that does without FMA", {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"})
    yield Condition("no environment", empty=True)
    yield Condition("another working directory", elsewhere=True)
    yield Condition("a small stack", front=["bash", "-c", 'ulimit -s 1024; exec "$0" "$@"'])
    yield disturbed("regions in the way", regions=40)
    for n in (1, 2, 3):
        yield disturbed(f"{n} other threads", threads=n)
    yield disturbed("3 other threads, regions in the way", threads=3, regions=20)
    for o in options:
        name = "option " + " ".join(f"{k}={v}" for k, v in o.items())
        yield Condition(name, {"MIMALLOC_" + k.upper(): str(v) for k, v in o.items()})


def run(program, build, condition, copies):
    command = condition.front + program.command(build)
    env = {} if condition.empty else {**os.environ, **condition.env}
    folder = program.folder or HERE
    if condition.elsewhere:
        folder = copies[folder] if program.folder else "/"
    try:
        done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=300)
        return done.stdout + b"exit status %d\n" % done.returncode
    except subprocess.TimeoutExpired:
        return b"did not end"


def first_difference(a, b):
    for n, (x, y) in enumerate(itertools.zip_longest(a.splitlines(), b.splitlines()), 1):
        if x != y:
            return f"line {n}: {x!r}, and {y!r}"
    return "nothing"


def builds(folder, quick):
    yield Build("plain", folder)
    yield Build("debug", folder, "-debug")
    yield Build("secure", folder, "-secure")
    if quick:
        return
    for part in sorted((folder / "determinism").iterdir()):
        if not (part / "slua").exists():
            continue
        foreign = part.name == "aarch64"
        yield Build(part.name, part, start=["qemu-aarch64"] if foreign else [], preload=not foreign)


def main():
    quick = "--quick" in sys.argv[1:]
    folder = Path(sys.argv[-1]).resolve()
    all_builds = list(builds(folder, quick))
    base = all_builds[0]
    programs = list(corpus(base))
    scene = list(conditions(folder))
    plain = Condition("as it is")
    scratch = Path(tempfile.mkdtemp())
    copies = {}
    for source in (LUA, BENCH):
        if source.is_dir():
            copies[source] = shutil.copytree(source, scratch / source.parent.name / source.name)
    # The base build under all conditions, each other build under one of them, in turn.
    jobs = []
    for i, p in enumerate(programs):
        shown = scene if not quick else [scene[(i + k * 5) % len(scene)] for k in range(3)]
        jobs += [(p, base, c) for c in shown]
        for k, b in enumerate(all_builds[1:]):
            c = scene[(i * 3 + k) % len(scene)]
            jobs.append((p, b, c if b.preload or not c.preloads else plain))
            if not quick:
                jobs.append((p, b, plain))
    random.Random(SEED).shuffle(jobs)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        truth = dict(zip(programs, pool.map(lambda p: run(p, base, plain, copies), programs)))
        results = list(pool.map(lambda job: run(*job, copies), jobs))
    shutil.rmtree(scratch)
    different = 0
    for (program, build, condition), result in zip(jobs, results):
        if result == truth[program]:
            continue
        different += 1
        print(f"DIFFERENT: {program.name}, {build.name}, {condition.name}: {first_difference(truth[program], result)}")
    bad = [p.name for p, text in truth.items() if b"did not end" in text or b"there is not" in text]
    for name in bad:
        print(f"FAILED: {name}")
    kinds = len({(b.name, c.name) for _, b, c in jobs})
    print(f"{len(programs)} programs, {len(all_builds)} builds, {len(scene)} conditions ({kinds} combinations): "
          f"{len(jobs)} runs, {different} differences")
    print(f"{len(jobs) - different} passed, {different + len(bad)} failed")
    return different + len(bad) > 0


sys.exit(main())
