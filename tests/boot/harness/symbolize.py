# SPDX-License-Identifier: BSD-2-Clause
"""Puts function, file and line behind the addresses of a crash log."""

import re
import subprocess

from . import host

ADDRESS = re.compile(r"\[<([0-9a-f]{16})>\]")


def lookup(elf, address):
    """What an address (hex digits) is, such as `handle_exit at exit.c:120:3`, inlining included."""
    result = subprocess.run(
        ["llvm-symbolizer", f"--obj={elf}", "--pretty-print", "--basenames", f"0x{address}"],
        stdout=subprocess.PIPE, text=True, check=False)
    return " ".join(result.stdout.split()) or "?"


def symbolize(elf, source, destination):
    """Copy a log, adding to each line what its addresses are."""
    if not elf.is_file():
        raise host.Failure(f"{elf} is no file")
    known = {}
    for line in source:
        names = []
        for address in ADDRESS.findall(line):
            if address not in known:
                known[address] = lookup(elf, address)
            names.append(known[address])
        destination.write(line.rstrip("\n") + ("  " + "; ".join(names) if names else "") + "\n")
        destination.flush()
