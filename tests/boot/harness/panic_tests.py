# SPDX-License-Identifier: BSD-2-Clause
"""Tests of a panic before the guest runs: the machine goes on without Umbra (on-refuse=boot, and always
under UEFI). No machine makes Umbra panic there, so gdb does: it has the CPU go on in panic()."""

import concurrent.futures
import pathlib
import tempfile

from . import build, cases, console, debug, engines, guest, host, media

# Where: with traps and IDT of Umbra's own, in place of the firmware's under UEFI.
PLACE = "vmx_require"
MESSAGE = "elf_not_elf"              # a text of Umbra's with nothing to fill in
SECONDS = 400
WITHOUT = {"bios": "the kernel", "uefi": "the first module"}


def check(firmware):
    name = f"panic.{firmware}"
    variant = build.Variant()
    hardware = engines.Hardware(memory=512, firmware=firmware)
    expect = (r"umbra: error: PANIC: ", r"umbra: error: backtrace", r"umbra: error:   \[<",
              r"umbra: error: Umbra has stopped",
              rf"umbra: error: starting {WITHOUT[firmware]} without Umbra", r"Linux version ",
              r"UMBRA-GUEST: userspace nproc=1 workload=ok", r"UMBRA-GUEST: poweroff")
    # All that no guest may print, but for the first one, which is wanted.
    forbid = cases.FORBID[1:]
    with tempfile.TemporaryDirectory(prefix="umbra-") as work, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        work = pathlib.Path(work)
        build.build(variant)
        entry = media.under_umbra(
            variant.image, guest.bzimage(),
            cases.Context.command_line("umbra.after=poweroff"),
            guest.initramfs(work / "initrd.img"), "on-refuse=boot")
        cd = media.make_cd(entry, work / "cd.iso", firmware)
        # It is killed before gdb is waited for, which ends by that.
        with debug.with_stub("tcg")(hardware, host.log_path(name), cdrom=cd) as machine:
            gdb = pool.submit(debug.gdb, [f"file {variant.image}", f"target remote {machine.socket}"], [
                f"hbreak {PLACE}", "continue", "delete", f"set $rdi = (unsigned long)&{MESSAGE}",
                "set $rax = 0", "set $rip = (unsigned long)&panic", "detach"], True)
            console.expect(machine, console.Judge(expect, forbid), SECONDS, name, ends=True)
        gdb.result()


def all_tests():
    """Pairs of a name and a function that raises host.Failure or host.Skip."""
    return [(f"panic.{firmware}", lambda firmware=firmware: check(firmware))
            for firmware in WITHOUT]
