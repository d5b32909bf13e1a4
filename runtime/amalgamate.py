#!/usr/bin/env python3
"""Prints the core as one C file: amalgamate.py FILE.c..., in the directory above alloc/.

Public headers stay includes; the internal ones are put in where they are first met. What is shared
between files becomes static, so that the object has no global names but the public ones. A name
that a file keeps to itself, and that occurs in another file, gets the file's name behind it (drain
in rc/defer.c: drain_in_defer). All this relies on clang-format's layout: at file scope is what
stands at the start of a line. What it does not catch does not compile."""
import re
import sys

PUBLIC = ("alloc/mimalloc.h", "alloc/mimalloc-stats.h", "rc/rc.h", "rc/data/data.h",
          "runtime/runtime.h")
HEAD = """\
/* sluice.c: the core of Sluice, made from the files of alloc/, rc/ and runtime/.
**
** Needs, below an -I, the public headers alloc/mimalloc.h, alloc/mimalloc-stats.h, rc/rc.h,
** rc/data/data.h and runtime/runtime.h. For a program: cc -O2 -c sluice.c. For a shared library: -fPIC
** -ftls-model=initial-exec, too. With checks: -DMI_DEBUG=1. Link with -pthread.
**
{licence} */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
"""

STRING_OR_COMMENT = r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|/\*.*?\*/'
TOKEN = re.compile(STRING_OR_COMMENT + r"|(?:\.|->)?\b[A-Za-z_]\w*", re.S)
INCLUDE = re.compile(r'^#include (?:"(.*)"|<.*>)\n', re.M)
# The start of a declaration that names no storage class, up to its first name.
SHARED = re.compile(
    r"^(?=\w)(?!static|extern|typedef)((?:_Atomic\(.*?\)|[\w* ])+?[ *](\w+)(?=\(| =|;|\[))", re.M)
STATIC = re.compile(r"^static ([^;{=]*)", re.M)


def names_in(text):
    return {t for t in TOKEN.findall(text) if t[0].isalpha() or t[0] == "_"}


def declared(declaration):
    """The function, or the objects, that it declares."""
    declaration = re.sub(r"_Atomic\((.*?)\)", r"\1", declaration)
    function = re.match(r"[^(]*?(\w+)\(", declaration)
    return {function[1]} if function else set(re.findall(r"(\w+)(?:\[.*\])?\s*(?:,|$)", declaration))


def own_names(text):
    text = re.sub(r"/\*.*?\*/|__attribute__\(\(.*?\)\) ", "", text, flags=re.S)
    own = re.findall(r"^#define (\w+)|^\} (\w+)[;[]|^(?:typedef )?struct (\w+) \{", text, re.M)
    own = {name for match in own for name in match if name}
    for enum in re.findall(r"^enum \{(.*?)\}", text, re.M | re.S):
        own |= set(re.findall(r"(?:^|,)\s*(\w+)", enum))
    for declaration in STATIC.findall(text):
        own |= declared(declaration)
    return {name for name in own if not re.match("(mi|rc|rt)_|struct$", name)}  # those are public


def to_static(text):
    def mark(m):
        return m[0] if re.match("(mi|rc|rt)_", m[2]) else "static " + m[0]
    return SHARED.sub(mark, text)


def with_headers(text, included):
    """The text with each include that was not met before."""
    def include(m):
        if m[0] in included:
            return ""
        included.add(m[0])
        if m[1] is None or m[1] in PUBLIC:
            return m[0]
        header = to_static(open(m[1]).read()).replace("\nextern ", "\nstatic ")
        return with_headers(header, included)
    return INCLUDE.sub(include, text)


def main(paths):
    texts = {path: open(path).read() for path in paths}
    names = {path: names_in(text) for path, text in texts.items()}
    licence = ("** " + line for line in open("LICENSE").read().splitlines())
    print(HEAD.format(licence="\n".join(line.rstrip() for line in licence)))
    included = set()
    for path, text in texts.items():
        elsewhere = set().union(*(names[other] for other in paths if other != path))
        clash = own_names(text) & elsewhere
        suffix = "_in_" + re.sub(r".*/|\.c$", "", path)
        text = TOKEN.sub(lambda t: t[0] + suffix if t[0] in clash else t[0], text)
        print(with_headers(to_static(text), included))


main(sys.argv[1:])
