# SPDX-License-Identifier: BSD-2-Clause
"""Microcode from an initrd and from a module. No emulator takes an update, which is one of the ways
a CPU may answer: that Umbra asks each for it, says so and goes on is what can be seen here."""

import struct

from harness import guest, host
from harness.cases import FORBID_ERRORS, BootTest
from harness.engines import Hardware
from harness.media import Entry, under_umbra

HASWELL = 0x000306c3  # CPUID.1:EAX of the CPU model
REVISION = 0x77
INSIDE = "kernel/x86/microcode/GenuineIntel.bin"


def update(revision, signature=HASWELL):
    """SDM "Microcode Update Field Definitions"."""
    data = bytes(2048 - 48)

    def words(checksum):
        return struct.pack("<12I", 1, revision, 0x08052026, signature, checksum, 1, 0xff,
                           len(data), 48 + len(data), 0, 0, 0) + data
    total = sum(struct.unpack("<512I", words(0)))
    return words(-total & 0xffffffff)


def initrd_with(context, updates):
    """As distributions make it: an archive of its own, not compressed, in front."""
    tree = context.path("early")
    (tree / INSIDE).parent.mkdir(parents=True)
    (tree / INSIDE).write_bytes(updates)
    names = [str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))]
    host.run(["cpio", "--quiet", "-o", "-H", "newc", "-F", context.path("early.cpio")],
             cwd=tree, input="\n".join(names))
    whole = context.path("early.cpio").read_bytes() + context.initrd().read_bytes()
    return context.write("whole.img", whole)


def linux(context):
    """Also a module of updates, of which the first is damaged; the kernel must not see it."""
    damaged = bytearray(update(REVISION + 2))
    damaged[1000] ^= 1
    module = context.write("updates.bin", bytes(damaged) + update(REVISION - 1)
                           + update(REVISION + 1, HASWELL + 1))
    entry = under_umbra(context.image, guest.vmlinux(),
                        context.command_line("umbra.after=poweroff"),
                        initrd_with(context, update(REVISION) + update(2)))
    return Entry((*entry.commands, "module2 /boot/updates.bin umbra.microcode"),
                 entry.files | {"/boot/updates.bin": module})


TESTS = [
    BootTest("microcode.refused", cd=linux, hardware=Hardware(cpus=2), engine="bochs", ends=True,
             expect=(r"umbra: warning: microcode in module umbra\.microcode: an update in it is "
                     "damaged",
                     rf"umbra: warning: microcode: .* revision 0 .* not take {REVISION:#x}",
                     rf"umbra: warning: microcode: .* revision 0 .* not take {REVISION:#x}",
                     r"UMBRA-GUEST: userspace nproc=2 workload=ok"),
             forbid=FORBID_ERRORS + (r"microcode in an initrd",)),
]
