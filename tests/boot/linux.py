# SPDX-License-Identifier: BSD-2-Clause
"""Debian's stock kernel reaches userspace and computes correctly on every CPU."""

from harness import guest
from harness.cases import BootTest
from harness.engines import TSC_KHZ, Hardware
from harness.media import native_linux, under_umbra


def userspace(cpus):
    return rf"UMBRA-GUEST: userspace nproc={cpus} workload=ok"


def bzimage(more):
    return lambda context: under_umbra(context.image, guest.bzimage(),
                                       context.command_line(more), context.initrd())


def vmlinux(more):
    return lambda context: under_umbra(context.image, guest.vmlinux(),
                                       context.command_line(more), context.initrd())


def mwait(context):
    """Idle by MWAIT, which is safe in Bochs with one CPU."""
    line = context.command_line("umbra.after=poweroff").replace("idle=halt", "")
    return under_umbra(context.image, guest.vmlinux(), line, context.initrd())


def native(more):
    return lambda context: native_linux(guest.bzimage(), context.command_line(more),
                                        context.initrd())


def newer_cpu(model, more=""):
    """Linux on a CPU model that only Bochs 3 has; its CPUID tells a wrong frequency of the TSC."""
    return BootTest(f"linux.{model.replace('_', '-')}", slow=True, ends=True, timeout=400,
                    cd=bzimage(f"tsc_early_khz={TSC_KHZ} umbra.after=poweroff {more}"),
                    hardware=Hardware(cpus=2, cpu_model=model), engine="bochs",
                    expect=(userspace(2),))


TESTS = [
    BootTest("linux.native", cd=native("umbra.after=poweroff"), ends=True, variant=None,
             expect=(userspace(1), r"UMBRA-GUEST: poweroff")),
    BootTest("linux.bzimage", cd=bzimage("umbra.after=poweroff"), ends=True,
             expect=(userspace(1), r"UMBRA-GUEST: poweroff")),
    BootTest("linux.pvh-2cpu", cd=vmlinux("umbra.after=idle10"), hardware=Hardware(cpus=2),
             expect=(userspace(2), r"UMBRA-GUEST: idle over"), timeout=400),
    BootTest("linux.pvh-4cpu", cd=vmlinux("umbra.after=shell"), hardware=Hardware(cpus=4),
             expect=(userspace(4), r"UMBRA-GUEST: shell"), timeout=600),
    BootTest("linux.bzimage-2cpu", cd=bzimage("umbra.after=shell"), hardware=Hardware(cpus=2),
             expect=(userspace(2), r"UMBRA-GUEST: shell"), timeout=600, slow=True),
    BootTest("linux.native-2cpu", cd=native("umbra.after=shell"), hardware=Hardware(cpus=2),
             expect=(userspace(2), r"UMBRA-GUEST: shell"), timeout=600, slow=True,
             variant=None),
    BootTest("linux.pvh-8cpu", cd=vmlinux("umbra.after=shell"), hardware=Hardware(cpus=8),
             expect=(userspace(8), r"UMBRA-GUEST: shell"), timeout=1800, slow=True),
    # Without the table of CPUs Umbra goes on with one.
    BootTest("linux.no-acpi", cd=vmlinux("umbra.after=shell"), engine="bochs",
             hardware=Hardware(hide_table=b"PTR "),
             expect=(r"umbra: warning: no ACPI MADT", userspace(1), r"UMBRA-GUEST: shell")),
    BootTest("linux.no-madt", cd=vmlinux("umbra.after=shell"), engine="bochs",
             hardware=Hardware(hide_table=b"APIC"), slow=True,
             expect=(r"umbra: warning: no ACPI MADT", userspace(1), r"UMBRA-GUEST: shell")),
    BootTest("linux.mwait", cd=mwait, ends=True,
             expect=(r"using mwait in idle threads", userspace(1), r"UMBRA-GUEST: poweroff")),
    # By port CF9, which resets all of the machine: the reset by the keyboard controller keeps
    # IA32_FEATURE_CONTROL locked in Bochs, and its BIOS does not survive that.
    BootTest("linux.reboot", cd=bzimage("umbra.after=reboot reboot=pci"),
             expect=(userspace(1), r"UMBRA-GUEST: reboot", r"Linux version "), engine="bochs",
             timeout=400, slow=True),
    newer_cpu("arrow_lake"),
    # A VM entry there refuses addresses of 57 bits if the hypervisor itself uses 48.
    newer_cpu("sapphire_rapids", "no5lvl"),
    newer_cpu("wildcat_lake"),
]
