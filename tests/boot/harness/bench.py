# SPDX-License-Identifier: BSD-2-Clause
"""`umbra bench`: boots what tests/bench/*.py declares and prints the figures it reports.

A benchmark is a BootTest whose guest prints lines `UMBRA-BENCH: NAME VALUE UNIT`."""

import re

from . import build, cases, host

FIGURE = re.compile(r"UMBRA-BENCH: (\S+) (\S+) (.*)")
TABLES = host.ROOT / "tests/bench"


def run(pattern):
    """Run the benchmarks one after another; returns the exit status."""
    status = 0
    tests = [test for test in cases.find(TABLES) if not pattern or re.search(pattern, test.name)]
    if not tests:
        raise host.Failure(f"no benchmark in {TABLES} matches")
    for test in tests:
        build.build(test.variant)
        problem, detail, _, lines = cases.execute(test)
        print(test.name + (f": {problem}\n{detail}" if problem else ""))
        status |= bool(problem)
        for match in filter(None, map(FIGURE.search, lines)):
            print(f"  {match.group(1):40} {match.group(2):>12} {match.group(3)}", flush=True)
    return status
