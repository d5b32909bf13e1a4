"""Runs Python's own tests and prints how each ended, in the order of their names.

    suite.py MODULE... [-k PATTERN...]     PATTERN: *part of a test's name*"""

import os
import sys
import unittest

NAMES = {"addSuccess": "ok", "addError": "ERROR", "addFailure": "FAILED", "addSkip": "skipped",
         "addExpectedFailure": "failed as expected", "addUnexpectedSuccess": "UNEXPECTED SUCCESS"}


class Outcomes(unittest.TextTestResult):
    """Remembers them; what went wrong is printed to stderr as usual."""
    ended = set()


def remembering(method, outcome):
    def add(self, test, *rest):
        self.ended.add(f"{test.id()} {outcome}")
        getattr(unittest.TextTestResult, method)(self, test, *rest)
    return add


for name, word in NAMES.items():
    setattr(Outcomes, name, remembering(name, word))


def main():
    modules, _, patterns = " ".join(sys.argv[1:]).partition(" -k ")
    loader = unittest.TestLoader()
    loader.testNamePatterns = patterns.split() or None
    # What tests print themselves goes to stderr.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tests = loader.loadTestsFromNames(modules.split())
    result = unittest.TextTestRunner(resultclass=Outcomes).run(tests)
    print(*sorted(Outcomes.ended), f"{result.testsRun} tests", sep="\n", file=output, flush=True)
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":  # and not in the processes that the tests spawn
    main()
