# SPDX-License-Identifier: BSD-2-Clause
"""Umbra starts the boot sector of a disk; the GRUB there starts Debian's kernel."""

from harness import guest
from harness.cases import BootTest
from harness.engines import Hardware
from harness.media import native_linux, under_umbra_chainload


def disk(context):
    return native_linux(guest.bzimage(), context.command_line("umbra.after=poweroff"),
                        context.initrd())


def cd(context):
    return under_umbra_chainload(context.image)


TESTS = [
    # Proves that the disk is good, so that a failure of the next test is Umbra's.
    BootTest("chainload.native", disk=disk, ends=True, slow=True, variant=None,
             expect=(r"UMBRA-GUEST: userspace nproc=1 workload=ok", r"UMBRA-GUEST: poweroff")),
    BootTest("chainload.disk", cd=cd, disk=disk, ends=True, timeout=400,
             expect=(r"umbra: ", r"Linux version ",
                     r"UMBRA-GUEST: userspace nproc=1 workload=ok", r"UMBRA-GUEST: poweroff")),
    BootTest("chainload.disk-2cpu", cd=cd, disk=disk, ends=True, timeout=600, slow=True,
             hardware=Hardware(cpus=2),
             expect=(r"umbra: ", r"Linux version ",
                     r"UMBRA-GUEST: userspace nproc=2 workload=ok", r"UMBRA-GUEST: poweroff")),
]
