#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The parser of Umbra's options and the pages that explain them name the same ones."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# file -> how an option stands there
NAMES = {
    "src/boot/cmdline.c": r'^\t(?:\{\.name = |SWITCH\(|WORDS\(|NUMBER\()"([a-z.-]+)"',
    "src/boot/cmdline.h": r"^ \*   ([a-z.-]+)[=\[]",
    "docs/boot-flow.md": r"^\| `([a-z.-]+)[=\[]",
    "docs/umbra.7": r"^\.It Cm ([a-z.-]+)",
}


def main():
    found = {name: set(re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.M))
             for name, pattern in NAMES.items()}
    known = found["src/boot/cmdline.c"]
    wrong = [f"{name}: " + ", ".join(sorted(names ^ known))
             for name, names in found.items() if names != known]
    if wrong or not known:
        sys.exit("\n".join([*wrong, "named here and not in cmdline.c, or there and not here"]))


main()
