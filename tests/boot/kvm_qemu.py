# SPDX-License-Identifier: BSD-2-Clause
"""Debian's QEMU inside the guest boots Debian's kernel with KVM: Linux in Linux on Umbra."""

from harness import guest, tools
from harness.cases import FORBID_ERRORS, BootTest
from harness.engines import Hardware
from harness.media import native_linux, under_umbra

SCRIPT = guest.INIT.with_name("kvm-qemu")

# What QEMU loads into the machine beside the kernel.
ROMS = {
    "microvm,rtc=on": ("bios-microvm.bin", "linuxboot_dma.bin"),
    "pc": ("bios-256k.bin", "linuxboot_dma.bin", "kvmvapic.bin"),
}
MICROVM, PC = ROMS

TWO_CPUS = Hardware(cpus=2, memory=1024)

# No random load address: the kernels run the same instructions in every run.
COMMON = "nokaslr quiet"

USERSPACE = r"L2: UMBRA-GUEST: userspace nproc=2 workload=ok"
CLIENT_END = r"L2: KVM-CLIENT: end [1-9]\d* ok 0 failed"
END = (r"KVM-QEMU: status 0", r"UMBRA-GUEST: test kvm-qemu=ok")


def plain(context):
    """The inner initramfs, which is of the same making as the outer one."""
    return guest.initramfs(context.path("inner.img"))


def with_client(context):
    """The same with KVM and its client: L2 has virtual machines of its own."""
    return guest.initramfs(context.path("inner.img"), modules=("kvm-intel",),
                           files={"/tests/kvm": tools.kvm_client(context.path("kvm_client"))})


def initrd(context, machine, inner):
    """The outer initramfs with QEMU and what it boots."""
    line = f"{guest.COMMAND_LINE} {COMMON} reboot=t umbra.after=reboot"
    files = guest.qemu_files(ROMS[machine]) | {
        "/qemu/kernel": guest.bzimage(),
        "/qemu/initrd": inner(context),
        "/qemu/command-line": context.write("inner-line", line.encode("ascii")),
        "/tests/kvm-qemu": SCRIPT,
    }
    return context.initrd(modules=("kvm-intel",), files=files)


def command_line(context, machine, more):
    return context.command_line(f"{COMMON} umbra.test=kvm-qemu umbra.machine={machine} "
                                f"umbra.after=shell {more}".strip())


def umbra(machine, inner=plain, more="", umbra_args=""):
    return lambda context: under_umbra(context.image, guest.vmlinux(),
                                       command_line(context, machine, more),
                                       initrd(context, machine, inner), umbra_args)


def native(machine, inner=plain, more=""):
    return lambda context: native_linux(guest.bzimage(), command_line(context, machine, more),
                                        initrd(context, machine, inner))


def test(name, cd, expect=(USERSPACE, *END), timeout=1200, hardware=TWO_CPUS, **options):
    return BootTest(f"kvm.{name}", cd=cd, hardware=hardware, expect=expect,
                    forbid=FORBID_ERRORS + (r"UMBRA-GUEST: test [-\w]+=failed",), timeout=timeout,
                    **options)


def three_levels(name, make, **options):
    """KVM in L2, with machines of its own: L3. One CPU at each level, for exits of L3 are long.

    Without VMCS shadowing Linux in L2 needs some hundred thousand instructions to take a timer
    interrupt from L3 and to schedule: at 50 million a second, more than there are until the next
    one, and L3 stands still. Real CPUs execute thousands of millions."""
    more = "umbra.workload=off umbra.smp=1 umbra.l2=umbra.workload=off umbra.l2=umbra.test=kvm"
    return test(name, make(MICROVM, with_client, more), timeout=3600, slow=True,
                hardware=Hardware(memory=1024, tsc_khz=200000),
                expect=(r"L2: UMBRA-GUEST: userspace nproc=1 workload=off", CLIENT_END, *END),
                **options)


TESTS = [
    test("qemu-microvm", umbra(MICROVM)),
    test("qemu-microvm-noshadow", umbra(MICROVM, umbra_args="nested.shadow=off"), slow=True),
    test("qemu-microvm-native", native(MICROVM), slow=True, variant=None),
    test("qemu-pc", umbra(PC), slow=True),
    test("qemu-pc-noshadow", umbra(PC, umbra_args="nested.shadow=off"), slow=True),
    test("qemu-pc-native", native(PC), slow=True, variant=None),
    three_levels("three-levels", umbra),
    three_levels("three-levels-noshadow",
                 lambda *how: umbra(*how, umbra_args="nested.shadow=off")),
    three_levels("three-levels-native", native, variant=None),
]
