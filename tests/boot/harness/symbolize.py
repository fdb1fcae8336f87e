# SPDX-License-Identifier: BSD-2-Clause
"""Puts function, file and line behind the addresses of a crash log."""

import re
import subprocess

ADDRESS = re.compile(r"\[<([0-9a-f]{16})>\]")


def lookup(elf, addresses):
    """Map each address (hex digits) to text such as `handle_exit at exit.c:120`."""
    result = subprocess.run(
        ["llvm-symbolizer", f"--obj={elf}", "--output-style=GNU", "--functions", "--inlines",
         "--pretty-print", "--basenames"],
        input="".join(f"0x{address}\n" for address in addresses),
        stdout=subprocess.PIPE, text=True, check=True)
    # One paragraph per address when the style is LLVM's; GNU's has none, so ask one by one.
    return result.stdout


def symbolize(elf, source, destination):
    """Copy a log, adding to each line what its addresses are."""
    known = {}
    for line in source:
        found = ADDRESS.findall(line)
        names = []
        for address in found:
            if address not in known:
                known[address] = " ".join(lookup(elf, [address]).split("\n")).strip()
            names.append(known[address])
        destination.write(line.rstrip("\n") + ("  " + "; ".join(names) if names else "") + "\n")
        destination.flush()
