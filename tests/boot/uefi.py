# SPDX-License-Identifier: BSD-2-Clause
"""UEFI firmware starts GRUB, GRUB starts Umbra, and Linux goes on to use the firmware."""

import re

from harness import guest, transcript
from harness.cases import BootTest
from harness.engines import Hardware
from harness.media import native_linux, under_umbra


def uefi(cpus):
    return Hardware(cpus=cpus, firmware="uefi")


def initrd(context):
    return context.initrd(modules=("efivarfs",), files={"/tests/efi": guest.INIT.with_name("efi")})


def line(context):
    return context.command_line("umbra.test=efi umbra.after=poweroff")


def umbra(context):
    return under_umbra(context.image, guest.bzimage(), line(context), initrd(context))


def native(context):
    return native_linux(guest.bzimage(), line(context), initrd(context))


# What may differ in a line: a pattern, what of it is compared, and why.
DIFFERENCES = ((r"(efifb: framebuffer at .*, total )\d+k", r"\1",
                "GRUB rounds the size up to 64 KiB; Umbra's is exact, as of Linux's own EFI stub"),)


def firmware_differences(bare, under):
    """What else Linux knows of the firmware must not differ: its tables, variables, the memory it
    keeps, Secure Boot, frame buffer."""
    seen = [[text for text in lines if text.startswith("EFI: ")] for lines in (bare, under)]
    for pattern, kept, _ in DIFFERENCES:
        seen = [[re.sub(pattern, kept, text) for text in lines] for lines in seen]
    return transcript.unified(*seen)


def works(cpus):
    return (rf"UMBRA-GUEST: userspace nproc={cpus} workload=ok",
            r"EFI: variable written, read, changed and deleted",
            r"EFI: runtime-map 0x5 ", r"EFI: dmesg efi: EFI v2", r"UMBRA-GUEST: test efi=ok")


TESTS = [
    BootTest("uefi.equal", cd=umbra, hardware=uefi(1), ends=True, expect=works(1), same_as=native,
             compare=firmware_differences),
    BootTest("uefi.2cpu", cd=umbra, hardware=uefi(2), ends=True, expect=works(2), timeout=400),
]
