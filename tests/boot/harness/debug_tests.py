# SPDX-License-Identifier: BSD-2-Clause
"""Tests of `umbra debug`: what gdb says is held against what is known otherwise."""

import pathlib
import re
import tempfile

from . import build, console, debug, engines, host, media

def require(text, *patterns):
    """Each pattern is found, and the one after it behind it."""
    at = 0
    for pattern in patterns:
        found = re.compile(pattern, re.MULTILINE).search(text, at)
        if not found:
            raise host.Failure(f"{text}\nnot found: {pattern}")
        at = found.end()


def value_of(text, field):
    """Of a field, in a list of them."""
    return int(re.search(rf" {field} +(0x[0-9a-f]+)", text)[1], 16)


def check_live():
    """Two CPUs in Bochs, the probe's VMX cases as the guest."""
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        _check_live(pathlib.Path(work))


def _check_live(work):
    variant = build.Variant()
    commands = [
        # L1's first exit: vmcs01 alone, no nested VMX yet. At two places, as in debug.FIRST.
        "hbreak *exit_handle", "hbreak exit_handle", "continue",
        f"dump binary memory {work}/before &text_start &text_end", "umbra cpus", "umbra log", "umbra ept01",
        "umbra ept01 0x100000", "umbra ept01 ((struct vcpu *)cpus[0])->vmcs01",
        "echo [first]\\n", "umbra vmcs host_*", "info symbol switch_vm_exit",
        "python print('vmx 02:', end=' ')", "python\ntry:\n gdb.execute('umbra vmcs 02')\n"
        "except gdb.error as e:\n print(e)\nend", "delete",
        # The first EPT violation that is L1's.
        "hbreak reflect_ept_exit", "continue", "echo [current]\\n", "umbra vmcs",
        "echo [vmcs02]\\n", "umbra vmcs 02", "echo [vmcs01]\\n", "umbra vmcs 01",
        "echo [again]\\n", "umbra vmcs", "echo [vmcs12]\\n", "umbra vmcs 12", "umbra ept12",
        "umbra ept02", "echo [ept12]\\n", "umbra ept12 fault->gpa", "echo [end]\\n",
        # Code and registers are as they were, and the guest goes on.
        f"dump binary memory {work}/after &text_start &text_end", "delete", "hbreak nested_exit_handle", "continue", "bt 1",
        "umbra cpus", "output (unsigned long)EPT12_MODE_BASED", "echo \\n",
    ]
    build.build(variant)
    entry = media.under_umbra(variant.image, variant.probe, "cases=vmx")
    cd = media.make_cd(entry, work / "cd.iso")
    text = debug.run("bochs", engines.Hardware(cpus=2, memory=256, bochs="2"), cd,
                     variant.image, commands, capture=True)
    host.log_path("debug.live").write_text(text, encoding="utf-8")
    require(text, r"^CPU 0 .* of L2 0: in Umbra, no exit yet$",
            r"^CPU 1 .*: L1 runs, waiting for SIPI$", r"^umbra: 2 CPUs, \d+ KiB reserved at 0x")
    home = int(re.search(r"reserved at (0x[0-9a-f]+)", text)[1], 16)
    # The map ends at Umbra's memory; memory before it is itself; vmcs01, within, is absent.
    require(text, rf"^  0x0*100000-{home:#014x}  at the same +rwx- WB",
            r"^  0x100000 is at 0x100000", r"^  level \d .*absent$")
    parts = re.split(r"^\[(\w+)\]$", text, flags=re.MULTILINE)
    parts = dict(zip(parts[1::2], parts[2::2]))
    require(parts["first"], r" HOST_RIP +0x", r"switch_vm_exit in section",
            r"vmx 02: L1 has no current VMCS")
    # L2 exited on vmcs02, so that is the current one, and vmcs01 is another.
    if parts["current"] != parts["vmcs02"]:
        raise host.Failure(parts["current"] + parts["vmcs02"] + "vmcs02 is not the current VMCS")
    if parts["again"] != parts["current"]:
        raise host.Failure(parts["again"] + "reading another VMCS has left that one current")
    for field in ("HOST_RIP", "EPT_POINTER", "GUEST_RIP"):
        if value_of(parts["vmcs01"], field) == value_of(parts["vmcs02"], field):
            raise host.Failure(f"{field} of vmcs01 and vmcs02 is the same")
    require(parts["current"], r" EXIT_REASON +0x0*30$")
    # Intersection: all that the probe's map gives beside itself is in vmcs12's map.
    if value_of(parts["vmcs12"], "EPT_POINTER") == value_of(parts["vmcs02"], "EPT_POINTER"):
        raise host.Failure("vmcs02 has L1's EPT")
    require(parts["ept12"], r"^  level 4 ")
    require(parts["end"], r"Breakpoint \d+, ", r"^#0 ",
            r"^CPU \d .*: in Umbra, its last exit was \d+$", r"^2048$")
    if (work / "before").read_bytes() != (work / "after").read_bytes():
        raise host.Failure("the code is not as it was")


def check_dump():
    """Umbra has refused a CPU without VT-x; QEMU's dump of that machine has its messages."""
    variant = build.Variant()
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        work = pathlib.Path(work)
        build.build(variant)
        entry = media.under_umbra(variant.image, variant.probe)
        cd = media.make_cd(entry, work / "cd.iso")
        dump = work / "dump"
        hardware = engines.Hardware(memory=128, monitor=True)
        with engines.Tcg(hardware, host.log_path("debug.dump"), cdrom=cd) as machine:
            # Its last words, so that all before them are in the log.
            console.expect(machine, console.Judge(("umbra: error: stopped",)), 120)
            machine.ask_monitor(f"dump-guest-memory -p {dump}", "quit")
            console.expect(machine, console.Judge(), 120, ends=True)
            shown = [line for line in machine.console.lines if line.startswith("umbra: ")]
        text = debug.open_dump(variant.image, dump, ["umbra log", "bt"], capture=True)
    for line in shown:
        if line not in text:
            raise host.Failure(f"{text}\nnot in the dump's log: {line}")
    require(text, r"^#0 ")
    return f"{len(shown)} messages"


def all_tests():
    """Pairs of a name and a function that raises host.Failure or host.Skip."""
    return [("debug.live", check_live), ("debug.dump", check_dump)]
