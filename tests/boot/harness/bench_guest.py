# SPDX-License-Identifier: BSD-2-Clause
"""`umbra bench --guest`: what KVM costs in the Linux that this runs in, bare or under Umbra, on a
real machine as well. Two such runs give the ratios."""

import json
import os
import pathlib
import platform
import re
import subprocess
import tempfile

from . import guest, host, tools

REPEAT = 5
LINE = re.compile(r"UMBRA-BENCH: (\S+) (.+)")
COMPILER_FUNCTIONS = 120

# name in the output -> what it is
FIGURES = {
    "kvm-cpuid": "CPUID in L2, to KVM and back",
    "kvm-vmcall": "VMCALL in L2, to KVM and back",
    "kvm-user": "I/O in L2, to this process and back",
    "kvm-64-vcpus": "the same by 64 VCPUs in turn",
    "kvm-touch-2m-ticks": "64 MiB touched first, pages of 2 MiB",
    "kvm-touch-4k-ticks": "64 MiB touched first, pages of 4 KiB",
    "kvm-dirty-log": "8 MiB written 4 times, dirty pages logged",
    "kvm-move-slot": "a slot of 2 MiB moved 16 times, and touched",
    "kvm-balloon": "4 MiB given back and touched 4 times",
    "kvm-compile": "a compiler in Linux in L2",
}


def compiler():
    """gcc's compiler proper, which needs no other program; None: there is none."""
    try:
        found = pathlib.Path(host.run(["gcc", "-print-prog-name=cc1"]).strip())
    except (host.Failure, OSError):
        return None
    return found if found.is_file() else None


def source():
    """C that keeps a compiler busy for a while, always the same."""
    functions = "".join(
        f"static unsigned f{n}(unsigned *a, unsigned n)\n{{\n"
        f"\tunsigned s = {n * 2654435761 & 0xffff};\n"
        f"\tfor (unsigned i = 0; i < n; i++)\n\t\tfor (unsigned j = i; j < n; j += {n % 7 + 1}) {{\n"
        f"\t\t\ts = s * {n % 13 + 3} + (a[i] ^ a[j]);\n"
        f"\t\t\tif (s & {1 << n % 11}) a[j] += s >> {n % 5 + 1}; else a[i] -= s;\n\t\t}}\n"
        f"\treturn s;\n}}\n" for n in range(COMPILER_FUNCTIONS))
    calls = "".join(f"\ts ^= f{n}(a, n);\n" for n in range(COMPILER_FUNCTIONS))
    return f"{functions}unsigned all(unsigned *a, unsigned n)\n{{\n\tunsigned s = 0;\n{calls}\treturn s;\n}}\n"


def compiling_initramfs(directory):
    """An initramfs that compiles and ends."""
    text = directory / "source.c"
    text.write_text(source(), encoding="ascii")
    return guest.bare_initramfs(directory / "compile.img", {
        "/init": tools.compile_bench(directory / "compile_bench"), "/source.c": text,
        **guest.program_files(compiler())})


def own_kernel():
    path = pathlib.Path(f"/boot/vmlinuz-{platform.release()}")
    return path if os.access(path, os.R_OK) else guest.bzimage()


def compile_in_l2(directory):
    """Lines of the console of a virtual machine that compiles."""
    host.ensure_packages(("qemu-system-x86",))
    return host.run([
        "qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "512", "-nodefaults",
        "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
        "-kernel", own_kernel(), "-initrd", compiling_initramfs(directory),
        "-append", "console=ttyS0 quiet panic=-1"], stdin=subprocess.DEVNULL, timeout=600).splitlines()


def least(lines):
    """name -> the least number that a figure has. Raises Failure for a run that failed."""
    values = {}
    for name, rest in (match.groups() for match in map(LINE.search, lines) if match):
        if name == "failed":
            raise host.Failure(f"the bench failed: {rest}")
        if name in FIGURES:
            values[name] = min(values.get(name, int(rest)), int(rest))
    return values


def measure():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as problem:
        raise host.Failure(f"/dev/kvm: {problem.strerror}; load kvm-intel, and run this as root or "
                           "in the group kvm") from problem
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        work = pathlib.Path(work)
        host.say(f"measuring KVM, the least of {REPEAT} rounds")
        lines = host.run([tools.kvm_bench(work / "kvm-bench"), REPEAT]).splitlines()
        if compiler():
            host.say("compiling in a virtual machine, three times")
            for _ in range(3):
                lines += compile_in_l2(work)
        else:
            host.say("no gcc here: nothing is compiled in a virtual machine")
    return least(lines)


def table(values, others=None, names=("before", "now")):
    """The lines of the table; with another run's values the ratios to them."""
    rows = [("figure, TSC ticks", *((names[0],) if others else ()), names[1],
             *(("ratio",) if others else ()))]
    for name, text in FIGURES.items():
        if name not in values:
            continue
        if not others:
            rows.append((text, f"{values[name]:,}"))
        elif name in others:
            rows.append((text, f"{others[name]:,}", f"{values[name]:,}",
                         f"{values[name] / others[name]:.3f}"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width
                                                  in zip(row[1:], widths[1:])]) for row in rows]


def run(save, against):
    others = json.loads(against.read_text(encoding="ascii")) if against else None
    values = measure()
    print("\n".join(table(values, others and others["figures"],
                          (str(against), "now") if against else ("", "now"))))
    if save:
        save.write_text(json.dumps({"kernel": platform.release(), "figures": values}, indent=1)
                        + "\n", encoding="ascii")
        print(f"written to {save}")
    return 0
