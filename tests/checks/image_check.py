#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks the finished image: no SSE or x87 instruction (the guest's registers are live while Umbra
runs), no VMXOFF (it would let a latched INIT through, and then the guest's code without Umbra) but
the one of the way out before there is a guest, no indirect branch after the first steps of the boot
(docs/speculation.md), no segment both writable and executable, no relocation left, everything where
GRUB can load it, and no path of the machine that built it."""

import pathlib
import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def forbidden_instructions(objdump, image):
    register = re.compile(r"%([xyz]?mm|st\b|k[0-7]\b|tmm)")
    mnemonic = re.compile(r"^\s*(f(ld|st|add|mul|xch|nop|ninit|wait|xsave|xrstor)\w*|emms|v\w+ps)\b")
    found = []
    for line in output(objdump, "-d", "--no-show-raw-insn", image).splitlines():
        address, colon, code = line.partition(":")
        if colon and (register.search(code) or mnemonic.search(code.strip())):
            found.append(line.strip())
    return found


def vmxoffs(objdump, readelf, image):
    """Addresses of all but the one that the function boot_vmxoff begins with."""
    symbols = [line.split() for line in output(readelf, "-sW", image).splitlines()]
    allowed = [int(fields[1], 16) for fields in symbols if fields[-1:] == ["boot_vmxoff"]]
    code = output(objdump, "-d", "--no-show-raw-insn", image)
    found = [int(address, 16) for address in re.findall(r"^\s*([0-9a-f]+):\s+vmxoff\b", code, re.M)]
    return [f"{address:#x}" for address in found if address not in allowed]


def indirect_branches(objdump, readelf, image):
    """Those that a guest's branch predictions could divert. What runs before there is a guest is
    at the beginning of the text."""
    symbols = [line.split() for line in output(readelf, "-sW", image).splitlines()]
    boot_end = next(int(fields[1], 16) for fields in symbols if fields[-1:] == ["text_boot_end"])
    branch = re.compile(r"^\s*([0-9a-f]+):\s+(l?call|l?jmp)\w*\s+\*")
    branches = filter(None, map(branch.match, output(objdump, "-d", "--no-show-raw-insn",
                                                     image).splitlines()))
    return [match.string.strip() for match in branches if int(match[1], 16) >= boot_end]


def segments(readelf, image):
    """(virtual, physical, flags) of each PT_LOAD."""
    loads = []
    for line in output(readelf, "-lW", image).splitlines():
        fields = line.split()
        if fields[:1] == ["LOAD"]:
            loads.append((int(fields[2], 16), int(fields[3], 16), "".join(fields[6:-1])))
    return loads


def strings_beginning(image, path):
    """The strings of the file, debug information included, that begin with the path."""
    found = re.findall(rb"\0(%s[^\0]*)" % re.escape(path.encode()), pathlib.Path(image).read_bytes())
    return sorted({string.decode(errors="replace") for string in found})


def main():
    image, objdump, readelf, *paths = sys.argv[1:]
    problems = [f"forbidden instruction: {line}" for line in forbidden_instructions(objdump, image)]
    problems += [f"indirect branch: {line}"
                 for line in indirect_branches(objdump, readelf, image)]
    problems += [f"VMXOFF at {address}" for address in vmxoffs(objdump, readelf, image)]
    loads = segments(readelf, image)
    if len(loads) != 3:
        problems.append(f"expected text, rodata and data segments, found {loads}")
    for virtual, physical, flags in loads:
        if "W" in flags and "E" in flags:
            problems.append(f"segment at {virtual:#x} is writable and executable")
        if physical < 0x100000 or physical >= 1 << 32:
            problems.append(f"segment at {virtual:#x} loads at {physical:#x}")
    if "There are no relocations" not in output(readelf, "-rW", image):
        problems.append("relocations are left:\n" + output(readelf, "-rW", image))
    undefined = [l for l in output(readelf, "-sW", image).splitlines() if " UND " in l][1:]
    problems += [f"undefined symbol: {line}" for line in undefined]
    for path in paths:
        problems += [f"path of the building machine: {name}"
                     for name in strings_beginning(image, path)]
    for problem in problems:
        print(problem)
    print(f"{image}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
