#!/usr/bin/env python3
"""Prints operations of big integers with Lua's operators, one a line, and what Python's integers and
fractions say: bigs.py COUNT [SEED]. Operands and results are tagged: i Lua's integers, b big ones, f
floats, t texts and truth values."""
import random
import sys
from fractions import Fraction

count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
draw = random.Random(seed)
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def integer():
    kind = draw.random()
    if kind < 0.2:
        return draw.randint(-9, 9)
    if kind < 0.5:
        n = (1 << draw.choice([31, 53, 61, 62, 63, 64, 65, 127, 128, 192, 1023, 1024])) + draw.randint(-2, 2)
    elif kind < 0.6:  # rows of equal bits
        n = ((1 << draw.randint(1, 300)) - 1) << draw.randint(0, 200)
    else:
        n = draw.getrandbits(draw.choice([20, 64, 100, 200, 400, 1500, 4000]))
    return draw.choice([1, -1]) * n


def float_of(x):
    """The nearest float to an integer or fraction."""
    try:
        return float(x)
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def any_float():
    kind = draw.random()
    if kind < 0.3:
        return float_of(integer())
    if kind < 0.6:
        return draw.choice([0.5, -1.5, 0.0, -0.0, 1e-300, 5e-324, 2.0**-1022, 1e308, float("inf"), float("-inf")])
    return draw.uniform(-1, 1) * 2.0 ** draw.randint(-1074, 1000)


def operand(always_big, floats):
    n = integer()
    if floats and not always_big and draw.random() < 0.3:
        return any_float()
    if not always_big and -1 << 63 <= n < 1 << 63 and draw.random() < 0.5:
        return "i", n
    return "b", n


def exact(x):
    """The value of a tagged integer or of a float."""
    return x[1] if isinstance(x, tuple) else x


def show(x):
    if isinstance(x, tuple):
        return x[0] + str(x[1])
    return "f" + x.hex()


def true_quotient(a, b):
    sign_a = a if isinstance(a, float) else float((a > 0) - (a < 0))
    sign_b = b if isinstance(b, float) else float((b > 0) - (b < 0))
    if 0 in (sign_a, sign_b) or any(abs(s) == float("inf") for s in (sign_a, sign_b)):
        if sign_b == 0:  # as IEEE has it
            if sign_a == 0:
                return float("nan")
            return float("inf") if (sign_a > 0) == (not sign_b.hex().startswith("-")) else float("-inf")
        return sign_a / sign_b
    quotient = float_of(Fraction(a) / Fraction(b))
    return -0.0 if quotient == 0 and (a < 0) != (b < 0) else quotient


def digits(n, base):
    text, rest = "", abs(n)
    while rest > 0 or not text:
        text, rest = DIGITS[rest % base] + text, rest // base
    return "-" * (n < 0) + text


INTEGERS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "~": lambda a, b: a ^ b,
}
ORDERS = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, "==": lambda a, b: a == b}
UNARY = {"neg": lambda a: -a, "not": lambda a: ~a}


def truth(holds):
    return "ttrue" if holds else "tfalse"


def pair(floats):
    a, b = operand(True, floats), operand(False, floats)
    return (a, b) if draw.random() < 0.5 else (b, a)


def operation():
    kind = draw.random()
    if kind < 0.55:
        name = draw.choice(list(INTEGERS))
        a, b = pair(False)
        if b[1] == 0 and name in ("//", "%"):
            return operation()
        if draw.random() < 0.1 and float_of(b[1]) == b[1]:  # a float that is an integer
            a, b = ("b", a[1]), float(b[1])
        n = INTEGERS[name](a[1], int(exact(b)))
        return name, show(a), show(b), "b%d" % n
    if kind < 0.7:
        a, b = pair(True)
        return "/", show(a), show(b), "f" + true_quotient(exact(a), exact(b)).hex()
    if kind < 0.8:
        name = draw.choice(list(ORDERS))
        a, b = pair(True)
        if draw.random() < 0.3:
            b = a if draw.random() < 0.5 else float_of(exact(a))
        if not isinstance(a, tuple) and not isinstance(b, tuple):
            return operation()
        return name, show(a), show(b), truth(ORDERS[name](exact(a), exact(b)))
    if kind < 0.85:
        name, a = draw.choice(list(UNARY)), integer()
        return name, "b%d" % a, "i0", "b%d" % UNARY[name](a)
    if kind < 0.93:
        a, by = integer(), draw.choice([draw.randint(-300, 300), draw.choice([-128, -64, -63, 0, 1, 63, 64, 128])])
        name = draw.choice(["<<", ">>"])
        left = by if name == "<<" else -by
        return name, "b%d" % a, draw.choice("ib") + str(by), "b%d" % (a << left if left >= 0 else a >> -left)
    if kind < 0.96:
        a, base = integer(), draw.randint(2, 36)
        if draw.random() < 0.5:
            return "digits", "b%d" % a, "i%d" % base, "t" + digits(a, base)
        return "parse", "t" + digits(a, base), "i%d" % base, "b%d" % a
    a, b = integer() % (1 << draw.choice([2, 70, 300])), draw.randint(0, 9)
    return "^", "b%d" % a, "i%d" % b, "b%d" % a**b


for _ in range(count):
    print(*operation())
