# SPDX-License-Identifier: BSD-2-Clause
"""A hypervisor below: KVM, on a Debian in Bochs, runs Debian's QEMU, in which Umbra boots from a disk
by SeaBIOS and GRUB, Debian's kernel above it, and KVM's client inside that."""

from harness import guest, media, ovmf, tools
from harness.cases import FORBID_ERRORS, BootTest
from harness.engines import Hardware
from harness.media import native_linux, under_umbra

SCRIPT = guest.INIT.with_name("kvm-below")

ROMS = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "vgabios-stdvga.bin")

# A machine that is quick enough for its own timer interrupts, three levels up.
TSC_KHZ = 200000
TSC = f"nokaslr quiet tsc_early_khz={TSC_KHZ}"
BELOW = Hardware(memory=1024, tsc_khz=TSC_KHZ)

# A unit for DMA remapping, and a device that writes wherever it is told to.
DMA_MACHINE = ("-machine q35 -device intel-iommu,intremap=off,aw-bits=48 "
               "-device edu,dma_mask=0xffffffff "
               # Firmware's DMA goes through the unit then; QEMU's own kind of disk goes around it.
               "-drive file=/qemu/disk,format=raw,if=ide")

DMA_CASES = "dma.other_memory,dma.units_are_hidden,dma.hidden_memory"

CLIENT_END = r"BELOW: KVM-CLIENT: end [1-9]\d* ok 0 failed"


def disk(context, umbra_args, client):
    """What QEMU boots: Umbra and Linux, as on a disk of its own."""
    files = {"/tests/kvm": tools.kvm_client(context.path("kvm_client"))} if client else {}
    initrd = guest.initramfs(context.path("inner.img"), files=files,
                             modules=("kvm-intel",) if client else ())
    line = (f"{guest.COMMAND_LINE} {TSC} umbra.after=poweroff"
            + (" umbra.test=kvm umbra.workload=off" if client else ""))
    entry = under_umbra(context.image, guest.bzimage(), line, initrd, umbra_args)
    return media.make_disk(entry, context.path("disk.img"), megabytes=48)


def below(cpus, client=False, umbra_args=""):
    def cd(context):
        files = guest.qemu_files(ROMS) | {"/qemu/disk": disk(context, umbra_args, client),
                                          "/tests/kvm-below": SCRIPT}
        line = context.command_line(f"{TSC} umbra.workload=off umbra.test=kvm-below "
                                    f"umbra.smp={cpus} umbra.after=poweroff")
        return native_linux(guest.bzimage(), line,
                            context.initrd(modules=("kvm-intel",), files=files))
    return cd


def dma(make, firmware="bios"):
    """`make` makes the disk, with Umbra and a guest, of a machine with VT-d."""
    def cd(context):
        arguments = DMA_MACHINE
        files = guest.qemu_files(ROMS) | {"/qemu/disk": make(context), "/tests/kvm-below": SCRIPT}
        if firmware == "uefi":
            for unit, path in enumerate(ovmf.files(firmware)):
                arguments += f" -drive if=pflash,format=raw,unit={unit},file=/qemu/flash{unit}"
                files[f"/qemu/flash{unit}"] = path
        files["/qemu/arguments"] = context.write("arguments", arguments.encode("ascii"))
        line = context.command_line(f"{TSC} umbra.workload=off umbra.test=kvm-below umbra.smp=1 "
                                    "umbra.after=poweroff")
        return native_linux(guest.bzimage(), line,
                            context.initrd(modules=("kvm-intel",), files=files))
    return cd


DMA_OPTIONS = "stats verbose dma=protect"


DMA_PROBE = f"cases={DMA_CASES} hidden=map exit=poweroff"


def dma_probe(context):
    entry = under_umbra(context.image, context.probe, DMA_PROBE, None, DMA_OPTIONS)
    return media.make_disk(entry, context.path("disk.img"), megabytes=16)


def dma_probe_uefi(context):
    """Umbra in place: the firmware goes on with its DMA."""
    grub = media.esp_grub(media.native_multiboot2(context.probe, DMA_PROBE), context.directory)
    config = f"start = \\EFI\\debian\\grubx64.efi\noptions = {DMA_OPTIONS}\n"
    return media.make_esp(media.Esp({"/EFI/BOOT/BOOTX64.EFI": context.efi,
                                     "/EFI/umbra/umbra.conf": config, **grub}),
                          context.path("disk.img"), megabytes=40)


def dma_linux(context):
    """Suspends to RAM, too: units lose their state in it."""
    initrd = guest.initramfs(context.path("inner.img"), files={
        "/tests/dma": tools.dma(context.path("dma")),
        "/tests/dma-suspend": guest.INIT.with_name("dma"),
    })
    line = (f"{guest.COMMAND_LINE} {TSC} umbra.test=dma-suspend umbra.workload=off "
            "umbra.after=poweroff no_console_suspend")
    entry = under_umbra(context.image, guest.bzimage(), line, initrd, DMA_OPTIONS)
    return media.make_disk(entry, context.path("disk.img"), megabytes=48)


DMA_PROBED = (r"BELOW: ok \d+ - dma\.other_memory", r"BELOW: ok \d+ - dma\.units_are_hidden",
              r"BELOW: umbra: warning: DMA refused: write at 0x[0-9a-f]+000 by device 00:",
              r"BELOW: ok \d+ - dma\.hidden_memory", r"BELOW: PROBE-END pass")


def dma_test(name, make, *expect, firmware="bios"):
    return BootTest(f"kvm-below.{name}", cd=dma(make, firmware), engine="bochs", slow=True,
                    hardware=BELOW, timeout=1800, ends=True,
                    expect=(r"BELOW: .*umbra: DMA protection: 1 units", *expect,
                            r"KVM-BELOW: status 0"))


def test(name, cpus, shown, client=False, **how):
    found = rf"BELOW: umbra: running under a hypervisor \(KVM.*: its CPUID leaves are {shown}"
    inner = (rf"BELOW: UMBRA-GUEST: userspace nproc={cpus} workload={'off' if client else 'ok'}",
             *((CLIENT_END,) if client else ()))
    return BootTest(f"kvm-below.{name}", cd=below(cpus, client, **how), engine="bochs", slow=True,
                    hardware=BELOW, timeout=3600, ends=True,
                    forbid=FORBID_ERRORS + (r"UMBRA-GUEST: test [-\w]+=failed",),
                    expect=(rf"BELOW: umbra: {cpus} CPUs", found, *inner,
                            r"KVM-BELOW: status 0", r"UMBRA-GUEST: test kvm-below=ok"))


TESTS = [
    # Linux on a KVM that it can see would wake its CPUs by KVM's own calls.
    test("2cpu", 2, "hidden", client=True),
    dma_test("dma", dma_probe, *DMA_PROBED),
    dma_test("dma-uefi", dma_probe_uefi, *DMA_PROBED, firmware="uefi"),
    dma_test("dma-suspend", dma_linux,
             r"BELOW: DMA: before sleep: refused", r"BELOW: umbra: woken up from S3",
             r"BELOW: DMA: after sleep: refused", r"BELOW: UMBRA-GUEST: test dma-suspend=ok"),
    test("pass-2cpu", 2, "shown", umbra_args="hypervisor=pass"),
]
