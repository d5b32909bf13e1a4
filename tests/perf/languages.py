"""How the programs in rc/ are built in each language, and which languages are here."""

import os
import shutil
import subprocess

from measure import die

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def c(source, out, build, *flags):
    return ["gcc", "-std=c11", "-D_GNU_SOURCE", f"-I{ROOT}", "-O2", "-DNDEBUG", *flags, source,
            os.path.join(build, "libsluice.a"), "-pthread", "-o", out]


def cpp(source, out, _, *flags):
    return ["g++", "-std=c++17", "-O2", "-DNDEBUG", *flags, source, "-o", out]


def rust(source, out, _, *flags):
    return ["rustc", "--edition", "2021", "-C", "opt-level=3", "-C", "codegen-units=1", *flags,
            source, "-o", out]


def ocaml(source, out, _):
    """The compiler writes beside its source, so that is copied."""
    copy = shutil.copy(source, out + ".ml")
    return ["ocamlopt", "-unsafe", "-inline", "100", "-I", "+unix", "unix.cmxa", copy, "-o", out]


def nim(source, out, _):
    return ["nim", "c", "--gc:orc", "-d:danger", "--hints:off", "--warnings:off",
            f"--nimcache:{out}.cache", f"-o:{out}", source]


def go(source, out, _):
    return ["go", "build", "-o", out, source]


# Name: extension, command, flags, compiler, what tells its version.
LANGUAGES = {
    "sluice": (".c", c, [], ["gcc", "-dumpfullversion"]),
    "eager": (".c", c, ["-DEAGER"], ["gcc", "-dumpfullversion"]),
    "c++": (".cpp", cpp, [], ["g++", "-dumpfullversion"]),
    "std::map": (".cpp", cpp, ["-DMAP"], ["g++", "-dumpfullversion"]),
    "rust": (".rs", rust, [], ["rustc", "--version"]),
    "rust box": (".rs", rust, ["--cfg", "boxed"], ["rustc", "--version"]),
    "ocaml": (".ml", ocaml, [], ["ocamlopt", "-version"]),
    "nim": (".nim", nim, [], ["nim", "--version"]),
    "go": (".go", go, [], ["go", "version"]),
}


def present(names):
    return [name for name in names if shutil.which(LANGUAGES[name][3][0])]


def version(name):
    output = subprocess.run(LANGUAGES[name][3], capture_output=True, text=True, check=False).stdout
    words = [w.lstrip("go") for w in output.split()]
    return next((w for w in words if w[:1].isdigit()), "?")


def print_versions(names):
    here = present(names)
    print(", ".join(f"{name} {version(name)}" for name in here if name not in ("sluice", "eager")))
    missing = [name for name in names if name not in here]
    if missing:
        print("left out, not here: " + ", ".join(missing))


def path_of(name, program, build_dir):
    return os.path.join(build_dir, "rc", f"{program}-{name.replace('::', '-').replace(' ', '-')}")


def is_newer(out, sources):
    return os.path.exists(out) and all(os.path.getmtime(out) > os.path.getmtime(s) for s in sources)


def build(name, program, build_dir):
    """Makes the program's executable unless it is newer than what it is made of."""
    extension, command, flags, _ = LANGUAGES[name]
    out = path_of(name, program, build_dir)
    source = os.path.join(HERE, "rc", program + extension)
    sources = [source, __file__]
    if extension == ".c":
        sources += [os.path.join(HERE, "rc", "emit.h"), os.path.join(build_dir, "libsluice.a")]
    if is_newer(out, sources):
        return
    os.makedirs(os.path.dirname(out), exist_ok=True)
    done = subprocess.run(command(source, out, build_dir, *flags), capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        die(f"{source} cannot be built: {done.stderr}")
