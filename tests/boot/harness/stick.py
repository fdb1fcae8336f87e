# SPDX-License-Identifier: BSD-2-Clause
"""`umbra image`: a disk image for a USB stick that starts from BIOS and from UEFI, to try Umbra on
a real machine. tools/stick has its menu and the programs that its Linux runs."""

import pathlib
import shutil
import tempfile

from . import build, guest, host, kernels, tools

SOURCES = host.ROOT / "tools/stick"
LABEL = "UMBRA-LOG"
LOG_MEGABYTES = 32
LOG_NUMBER = 3            # of the partition; those before it are the image's own
FAT = 0x0c                # its type there
# What GRUB's save_env wants: a file of this size, which it changes in place.
ENVIRONMENT = "# GRUB Environment Block\n".ljust(1024, "#")

# A real machine's: the kernel that Debian installs on it, not the one for clouds.
KERNEL = kernels.Kernel("amd64", package="linux-image-amd64")

# To find the stick and a keyboard, and for the disks' drivers to have run under Umbra. What a
# kernel has built in is no module of it.
MODULES = (
    "xhci-pci", "ehci-pci", "ohci-pci", "uhci-hcd", "usb-storage", "uas", "usbhid", "hid-generic",
    "sd-mod", "ahci", "ata-piix", "ata-generic", "nvme", "mmc-block", "sdhci-pci",
    "vfat", "nls-cp437", "nls-ascii", "nls-utf8", "msr",
)


def log_at(image):
    """The partition that can be written, as mtools name it."""
    with open(image, "rb") as file:
        table = file.read(512)[446:510]
    for entry in (table[at:at + 16] for at in range(0, 64, 16)):
        if entry[4] == FAT:
            return f"{image}@@{int.from_bytes(entry[8:12], 'little') * 512}"
    raise host.Failure(f"{image} has no partition of FAT")


def kept(destination):
    """The program that reads what the probe has kept."""
    return tools.build(destination, SOURCES / "kept.c")


def umbractl(variant):
    """The program that looks into a running Umbra."""
    return variant.directory / "tools/umbractl/umbractl"


def initrd(destination, work, variant):
    """Busybox, the stick's own program, and modules."""
    there = {kernels.module_name(path) for path in KERNEL.tree().rglob("*.ko*")}
    names = [name for name in MODULES if name.replace("-", "_") in there]
    files = {f"/{name}": SOURCES / name for name in ("init", "report")}
    files["/bin/kept"] = kept(work / "kept")
    files |= guest.program_files(umbractl(variant))
    return guest.initramfs(destination, names, files, KERNEL)


def make_log(destination, options=None):
    """The file system that can be written: of FAT, which every system and GRUB know."""
    with open(destination, "wb") as image:
        image.truncate(LOG_MEGABYTES << 20)
    host.run(["mformat", "-i", destination, "-v", LABEL, "-h", "16", "-s", "63", "-T",
              LOG_MEGABYTES * 2048, "::"])
    for name, text in (("walk.env", ENVIRONMENT),
                       ("options.cfg", options or (SOURCES / "options.cfg").read_text("ascii"))):
        host.run(["mcopy", "-i", destination, "-", f"::{name}"], input=text)
    return destination


def make(destination, variant, options=None):
    """Write the image. The options are the text of its options.cfg."""
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        work = pathlib.Path(work)
        tree = work / "tree"
        (tree / "boot/grub").mkdir(parents=True)
        for name, file in (("umbra.elf", variant.image), ("probe.elf", variant.probe),
                           ("vmlinuz", KERNEL.bzimage())):
            shutil.copy(file, tree / "boot" / name)
        initrd(tree / "boot/initrd.img", work, variant)
        shutil.copy(SOURCES / "grub.cfg", tree / "boot/grub")
        log = make_log(work / "log.img", options)
        host.run(["grub-mkrescue", "--fonts=", "--locales=", "--themes=", "-o", destination, tree,
                  "--", "-volid", "UMBRA", "-append_partition", LOG_NUMBER, hex(FAT), log])
    return destination


def write(destination):
    """`umbra image`."""
    variant = build.Variant()
    build.build(variant, variant.image, variant.probe, umbractl(variant))
    make(destination, variant)
    size = destination.stat().st_size >> 20
    print(f"{destination}: {size} MiB. Write it to a whole stick, whose contents are lost:\n"
          f"    dd if={destination} of=/dev/sdX bs=4M conv=fsync")
