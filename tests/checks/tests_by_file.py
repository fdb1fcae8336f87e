#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""docs/tests-by-file.md: which hosted tests and fuzzers are built with each source file, from Meson's
own lists; and what covers a file without any. `BUILD PAGE` compares, `BUILD -o PAGE` writes."""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Without a hosted test: what runs the file, by name of the boot tests (`./umbra test --list`).
BOOTED = {
    "boot/bare.c": "`refuse.*.boot`",
    "boot/bare_stub.S": "`refuse.*.boot`",
    "boot/chainload.c": "`chainload.*`, `probe.chainload`",
    "boot/early_tables.S": "every boot test",
    "boot/efi_entry.S": "`uefi.*`",
    "boot/efi_firmware.c": "`uefi.*`",
    "boot/efi_main.c": "`uefi.*`",
    "boot/efi_next.c": "`uefi.*`",
    "boot/entry.S": "every boot test",
    "boot/guest.c": "every boot test; `refuse.*`",
    "boot/home.c": "every boot test; `refuse.*`",
    "boot/int15_stub.S": "`chainload.*`, `probe.chainload`",
    "boot/machine.c": "every boot test; `refuse.*`",
    "boot/main.c": "every boot test; `refuse.*`",
    "boot/microcode_files.c": "`microcode.refused`",
    "lib/log.c": "every boot test",
    "mm/host_paging.c": "every boot test; `mem.*`, `attack.*` of the probe",
    "platform/console.c": "every boot test",
    "platform/lapic.c": "every boot test with 2 CPUs",
    "smp/cpu.c": "every boot test",
    "smp/panic.c": "nothing: only a panic of Umbra's",
    "smp/trampoline.S": "every boot test with 2 CPUs",
    "smp/trap.S": "the probe's `nmi.*`, `msr.*`",
    "smp/trap.c": "the probe's `nmi.*`, `msr.*`",
    "vmx/control_regs.c": "the probe's `cr.*`, `modes.*`, `vmx.paging.*`",
    "vmx/cpuid.c": "the probe's `cpuid.*`",
    "vmx/ept_exit.c": "the probe's `mem.*`; `attack.*`",
    "vmx/guest_state.c": "every boot test; the probe's `smp.*`, `reset.*`",
    "vmx/running_state.c": "`uefi.*`",
    "vmx/setup.c": "every boot test; `refuse.*`",
    "vmx/switch.S": "every boot test; the probe's `nmi.*`",
    "vmx/vcpu.c": "every boot test",
    "vmx/vmcs_dump.c": "the probe's `triplefault`",
    "nested/switch_l2.S": "the probe's `vmx.*`; `kvm.*`",
}

HEAD = """\
# Tests by source file

Which unit tests (`unit`) and fuzzers (`fuzz`) are built with a source file, from Meson's lists; for a file without any,
which boot tests run it. Written by `ninja docs`; a check compares it with the sources. How many lines
each kind of test reaches says `./umbra coverage` ([testing.md](testing.md#coverage)).

| file | tests |
|---|---|
"""


def hosted_tests(build):
    """source -> names of the tests whose programs it is part of."""
    found = {}
    for target in json.loads((build / "meson-info/intro-targets.json").read_text()):
        kind, _, name = target["name"].partition("_")
        if kind not in ("test", "fuzz"):
            continue
        for part in target["target_sources"]:
            for source in part.get("sources", []):
                path = pathlib.Path(source).resolve()
                if path.is_relative_to(ROOT / "src"):
                    suite = {"test": "unit", "fuzz": "fuzz"}[kind]
                    found.setdefault(str(path.relative_to(ROOT / "src")), set()).add(
                        f"{suite}.{name}")
    return found


def page(build):
    tests, lines, wrong = hosted_tests(build), [], []
    sources = sorted(str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.[cS]"))
    for source in sources:
        if (source in tests) == (source in BOOTED):
            wrong.append(f"{source}: " + ("has hosted tests now" if source in tests else "no test"))
            continue
        names = (", ".join(f"`{name}`" for name in sorted(tests[source])) if source in tests
                 else BOOTED[source])
        lines.append(f"| `{source}` | {names} |\n")
    wrong += [f"{source}: no such file" for source in BOOTED if source not in sources]
    if wrong:
        sys.exit("tests_by_file.py, BOOTED:\n" + "\n".join(wrong))
    return HEAD + "".join(lines)


def main(build, *arguments):
    text = page(pathlib.Path(build))
    document = pathlib.Path(arguments[-1])
    if arguments[0] == "-o":
        document.write_text(text, encoding="utf-8")
    elif document.read_text(encoding="utf-8") != text:
        sys.exit(f"{document} is not what the sources say; run: ninja docs")


main(*sys.argv[1:])
