# SPDX-License-Identifier: BSD-2-Clause
"""Checks of the sources: format, static analysis, and every build without a warning."""

import concurrent.futures
import itertools
import json
import os
import re

from . import build, host

TIDY = "clang-tidy-19"
SOURCE_DIRECTORIES = ("src", "subprojects", "tests")


def c_files():
    """All C sources and headers of the tree."""
    return sorted(path for directory in SOURCE_DIRECTORIES
                  for path in (host.ROOT / directory).rglob("*.[ch]"))


def check_format():
    host.run(["clang-format", "--dry-run", "-Werror", *c_files()])


def check_build(variant):
    output = build.build(variant)
    warnings = [line for line in output.splitlines()
                if re.search(r"\bwarning: |^WARNING:", line)]
    if warnings:
        raise host.Failure("\n".join(warnings))


def check_static_analysis():
    """clang-tidy over every C file that the build compiles, a share of them per CPU."""
    variant = build.Variant(clang=19)
    build.build(variant)
    database = json.loads((variant.directory / "compile_commands.json").read_text())
    files = sorted({os.path.normpath(os.path.join(entry["directory"], entry["file"]))
                    for entry in database if entry["file"].endswith(".c")})
    files = [file for file in files if "/meson-private/" not in file]
    shares = [files[first::os.cpu_count()] for first in range(os.cpu_count())]

    def analyse(share):
        try:
            host.run([TIDY, "--quiet", "--warnings-as-errors=*", "-p", variant.directory, *share])
        except host.Failure as failure:
            return [line for line in str(failure).splitlines()
                    if not re.search(r"warnings generated|Suppressed|Processing file", line)]
        return []

    with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
        problems = [line for lines in pool.map(analyse, filter(None, shares)) for line in lines]
    if problems:
        count = sum(": error: " in line for line in problems)
        raise host.Failure("\n".join(problems + [f"{count} findings"]))


def all_checks():
    """Pairs of a name and a function that raises host.Failure."""
    checks = [("checks.format", check_format)]
    for debug, clang, nested in itertools.product((False, True), (14, 19), (True, False)):
        # The hosted tests are built once per compiler.
        variant = build.Variant(debug=debug, clang=clang, nested=nested,
                                tests=nested and not debug)
        checks.append((f"checks.build-{variant.name}",
                       lambda variant=variant: check_build(variant)))
    checks.append(("checks.static-analysis", check_static_analysis))
    return checks
