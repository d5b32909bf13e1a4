#!/usr/bin/env python3
"""Computes the constants of demo-lang/math again, with whole numbers of 2,000 bits, and compares them with the sources.

usage: tables.py
"""
import re, sys
from pathlib import Path

MATH = Path(__file__).resolve().parents[2] / "demo-lang" / "math"
BITS = 2000
ONE = 1 << BITS


def series(z, first, factor):
    """first * (1 + z / factor(1) + z^2 / (factor(1) * factor(2)) + ...)"""
    total, term, n = 0, first, 1
    while term not in (0, -1):
        total += term
        term = (term * z >> BITS) // factor(n)
        n += 1
    return total


def odd_powers(x, sign):
    """x + sign * x^3/3 + x^5/5 + ..."""
    total, power, n = 0, x, 0
    while power:
        total += sign**n * (power // (2 * n + 1))
        power = power * x * x >> 2 * BITS
        n += 1
    return total


def exp(x): return series(x, ONE, lambda n: n)
def sin(x): return series(-x * x >> BITS, x, lambda n: 2 * n * (2 * n + 1))
def ratio(a, b): return a * ONE // b
def atan(p, q):
    """Of p/q <= 1, turned by atan(1/2) where the series would be long."""
    if 2 * p <= q:
        return odd_powers(ratio(p, q), -1)
    return odd_powers(ONE // 2, -1) + atan(2 * p - q, 2 * q + p)


LN2 = 2 * odd_powers(ONE // 3, 1)
PI = 16 * atan(1, 5) - 4 * atan(1, 239)


def ln(p, q):
    """Of p/q from 1/2 to 2."""
    if p < q:
        return -ln(q, p)
    return 2 * odd_powers(ratio(p - q, p + q), 1)


LN10 = 3 * LN2 + ln(5, 4)


def rounded(x, bits): return (x + (1 << (BITS - bits - 1))) >> (BITS - bits)


def text(name): return (MATH / name).read_text()
def numbers(source): return [int(n, 0) for n in re.findall(r"\b0x[0-9a-f]+|\b\d+\b", source)]
def array(file, name):
    body = re.search(re.escape(name) + r"\[.*?=\s*\{(.*?)\};", text(file), re.S)
    return numbers(body[1])
def pairs(file, name):
    flat = array(file, name)
    return [low | high << 64 for low, high in zip(flat[::2], flat[1::2])]
def wide(file, name):
    high, low = re.search(re.escape(name) + r" =\s*\(u128\)(0x\w+) << 64 \| (0x\w+)", text(file)).groups()
    return int(high, 16) << 64 | int(low, 16)
def real(name):
    body = re.search(name + r" = \{\s*\{(.*?)\},\s*(\d+)", text("real.c"), re.S)
    limbs = numbers(body[1])
    return sum(limb << 64 * i for i, limb in enumerate(limbs)), int(body[2])


def reciprocals(seen):
    """Good enough, exact at both ends."""
    if len(seen) != 128 or seen[0] != 512 or seen[127] != 256:
        return False
    return all(abs(m * c - 512 * 128) <= 512 for i, c in enumerate(seen) for m in (128 + i, 129 + i))


def logarithm(i, c):
    c *= 2 if i >= 53 else 1
    return rounded(-ratio(ln(c, 512), LN2), 116) % (1 << 128)


def main():
    c = array("tables.c", "LOG_RECIPROCAL")
    words = array("tables.c", "TWO_OVER_PI")
    factorial, power, terms = 1, ONE, []
    for n in range(1, 9):
        factorial, power = factorial * n, power * LN2 >> BITS
        terms.append(rounded(power // factorial, 64))
    checks = {
        "LOG_RECIPROCAL": reciprocals(c),
        "LOG_TABLE": pairs("tables.c", "LOG_TABLE") == [logarithm(i, n) for i, n in enumerate(c)],
        "EXP_TABLE": pairs("tables.c", "EXP_TABLE") == [rounded(exp(LN2 * i // 64), 127) for i in range(64)],
        "SINE_TABLE": pairs("tables.c", "SINE_TABLE") == [rounded(sin(PI * i // 256), 127) for i in range(129)],
        "ANGLE_TABLE": pairs("tables.c", "ANGLE_TABLE") == [rounded(atan(i, 64), 125) for i in range(65)],
        "TWO_OVER_PI": [0, 0] + [ratio(2 * ONE, PI) >> (BITS - 64 * i) & (1 << 64) - 1 for i in range(1, 24)] == words,
        "SERIES": array("power.c", "SERIES") == terms[::-1],
        "LOG2_E": wide("power.c", "LOG2_E") == rounded(ratio(ONE, LN2), 126),
        "LN_2": wide("power.c", "LN_2") == rounded(LN2, 128),
        "LOG10_2": wide("power.c", "LOG10_2") == rounded(ratio(LN2, LN10), 129),
        "HALF_PI": wide("circle.c", "HALF_PI") == rounded(PI // 2, 127),
        "FIXED_PI": wide("angle.c", "FIXED_PI") == rounded(PI, 125),
        "REAL_PI": real("REAL_PI") == (rounded(PI, 254), 2),
        "REAL_LN2": real("REAL_LN2") == (rounded(LN2, 256), 0),
        "REAL_LN10": real("REAL_LN10") == (rounded(LN10, 254), 2),
    }
    for name, right in checks.items():
        if not right:
            print(f"FAILED: {name}")
    failed = sum(not right for right in checks.values())
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed > 0


sys.exit(main())
