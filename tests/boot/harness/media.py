# SPDX-License-Identifier: BSD-2-Clause
"""What the machine boots from: a GRUB CD, a disk with GRUB in its MBR, an EFI system partition, a
patched BIOS."""

import dataclasses
import itertools
import pathlib
import shutil
import struct
import tempfile

from . import host, releases

GRUB = pathlib.Path("/usr/lib/grub")
GRUB_DIRECTORY = GRUB / "i386-pc"
# What GRUB is made of on a CD, by the firmware that starts it.
CD_GRUB = {
    "bios": (GRUB_DIRECTORY, "acpi biosdisk iso9660 normal multiboot2 linux serial test"),
    # grub-mkrescue loads modules for all kinds of partitions before it looks for the CD.
    "uefi": (GRUB / "x86_64-efi", "acpi iso9660 normal multiboot2 linux serial test all_video "
             + " ".join(path.stem for path in sorted((GRUB / "x86_64-efi").glob("part_*.mod")))),
}
DISK_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "multiboot2", "serial")
ESP_MODULES = ("part_msdos", "fat", "normal", "linux", "multiboot2", "serial", "test", "all_video")
PARTITION_START = 2048  # sectors; leaves the usual gap for GRUB's core image

CONFIG_HEAD = """\
serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
"""
# By firmware: what gives an operating system a screen. A BIOS has its text mode already.
CONFIG_VIDEO = {"bios": "", "uefi": "insmod all_video\n"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One GRUB boot entry: its commands, and the files (path seen by GRUB -> host path)."""
    commands: tuple
    files: dict

    def config(self, firmware="bios"):
        return (CONFIG_HEAD + CONFIG_VIDEO[firmware]
                + "\n".join((*self.commands, "boot")) + "\n")


def under_umbra(image, kernel, command_line="", initrd=None, umbra_args=""):
    """Umbra with a kernel (bzImage, ELF, …) as its first module and an initrd as its second."""
    commands = [f"multiboot2 /boot/umbra.elf {umbra_args}",
                f"module2 /boot/kernel {command_line}"]
    files = {"/boot/umbra.elf": image, "/boot/kernel": kernel}
    if initrd:
        commands.append("module2 /boot/initrd.img")
        files["/boot/initrd.img"] = initrd
    return Entry(tuple(commands), files)


def native_linux(kernel, command_line="", initrd=None):
    """The same kernel on the bare machine, started by GRUB's own linux command."""
    commands = [f"linux /boot/kernel {command_line}"]
    files = {"/boot/kernel": kernel}
    if initrd:
        commands.append("initrd /boot/initrd.img")
        files["/boot/initrd.img"] = initrd
    return Entry(tuple(commands), files)


def native_multiboot2(image, command_line=""):
    """A multiboot2 image on the bare machine."""
    return Entry((f"multiboot2 /boot/image.elf {command_line}",), {"/boot/image.elf": image})


def under_umbra_chainload(image, umbra_args="drive=0x80"):
    """Umbra on a CD, with the first disk's boot sector as the module it starts."""
    return Entry((f"multiboot2 /boot/umbra.elf {umbra_args}", "module2 (hd0)0+1"),
                 {"/boot/umbra.elf": image})


def with_madt(entry, madt):
    """The same, with this file in place of the firmware's list of CPUs."""
    return Entry(("acpi --exclude=APIC /boot/madt.aml", *entry.commands),
                 entry.files | {"/boot/madt.aml": madt})


def acpi_table(signature, body, destination):
    """A table of ACPI's, "System Description Table Header", as a file."""
    table = bytearray(struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), 1, 0, b"UMBRA ",
                                  b"TESTTABL", 1, b"TEST", 1) + body)
    table[9] = -sum(table) & 0xff
    destination.write_bytes(table)
    return destination


def dmar(unit, reserved, destination):
    """Intel's "DMA Remapping Reporting Structure": one unit for all devices, at this address, and a
    range of memory, first and last byte, that a device uses."""
    body = struct.pack("<BB10x", 47, 0)
    body += struct.pack("<HHBBHQ", 0, 16, 1, 0, 0, unit)
    body += struct.pack("<HHHHQQ", 1, 32, 0, 0, *reserved)
    body += struct.pack("<BBHBBBB", 1, 8, 0, 0, 0, 0x1f, 0)
    return acpi_table(b"DMAR", body, destination)


def madt(cpus, destination):
    """A MADT as Bochs's BIOS makes it, ACPI "Multiple APIC Description Table", of such a list of
    CPUs: (APIC ID, flags)."""
    body = struct.pack("<II", 0xfee00000, 1)
    for uid, (apic_id, flags) in enumerate(cpus):
        body += struct.pack("<BBBBI", 0, 8, uid, apic_id, flags)
    body += struct.pack("<BBBBII", 1, 12, 0xf, 0, 0xfec00000, 0)
    body += struct.pack("<BBBBIH", 2, 10, 0, 0, 2, 0)
    return acpi_table(b"APIC", body, destination)


def _lay_out(entry, tree, firmware="bios"):
    for inside, outside in entry.files.items():
        target = tree / inside.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(outside, target)
    config = tree / "boot/grub/grub.cfg"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(entry.config(firmware), encoding="ascii")


def make_cd(entry, destination, firmware="bios"):
    """A bootable CD."""
    directory, modules = CD_GRUB[firmware]
    with tempfile.TemporaryDirectory() as work:
        tree = pathlib.Path(work)
        _lay_out(entry, tree, firmware)
        host.run(["grub-mkrescue", "-d", directory, "--install-modules=" + modules,
                  "--fonts=", "--locales=", "--themes=", "-o", destination, tree])
    return destination


def make_disk(entry, destination, megabytes=64):
    """A disk image: GRUB in the MBR and the gap after it, one ext2 partition. Needs no root."""
    with tempfile.TemporaryDirectory() as work:
        tree = pathlib.Path(work) / "tree"
        _lay_out(entry, tree)
        core = pathlib.Path(work) / "core.img"
        host.run(["grub-mkimage", "-d", GRUB_DIRECTORY, "-O", "i386-pc", "-o", core,
                  "-p", "(hd0,msdos1)/boot/grub", *DISK_MODULES])
        return disk_of([(tree, megabytes)], core, destination)


def disk_of(trees, core, destination, kind="ext2", boot=GRUB_DIRECTORY / "boot.img"):
    """A disk image with GRUB's two images, and a partition for each pair of a directory and MiB."""
    ends = list(itertools.accumulate(megabytes * 2048 for _, megabytes in trees))
    starts = [PARTITION_START, *ends[:-1]]
    with open(destination, "wb") as disk:
        disk.truncate(ends[-1] * 512)
        disk.write(boot_sector(zip(starts, ends), boot))
        # GRUB's first sector says by default that the rest follows at sector 2.
        disk.write(core.read_bytes())
        if disk.tell() > PARTITION_START * 512:
            raise host.Failure("GRUB's core image does not fit before the partition")
    for (tree, _), start, end in zip(trees, starts, ends):
        host.run(["/usr/sbin/mke2fs", "-q", "-t", kind, "-b", "1024", "-E", f"offset={start * 512}",
                  "-d", tree, destination, f"{(end - start) // 2}k"])
    return destination


@dataclasses.dataclass(frozen=True)
class Esp:
    """An EFI system partition: path on it -> file here, or text."""
    files: dict


@dataclasses.dataclass(frozen=True)
class Menu(Entry):
    """The same as a distribution writes it: a menu entry that is started after a second, and no word
    about a serial port. The firmware's console shows it."""

    def config(self, firmware="uefi"):
        inside = "\n".join(f"    {command}" for command in self.commands)
        return ("set timeout=1\nset default=0\ninsmod all_video\n"
                f"menuentry 'Debian GNU/Linux' {{\n{inside}\n}}\n")


def esp_debian_grub(menu):
    """GRUB as Debian's own EFI program, unchanged, with a menu: files of a partition."""
    program = releases.unpacked("grub-efi-amd64-signed") \
        / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
    return {"/EFI/debian/grubx64.efi": program, "/EFI/debian/grub.cfg": menu.config(), **menu.files}


def esp_grub(entry, directory):
    """GRUB as an EFI program with one boot entry, and what that needs: files of a partition."""
    program = directory / "grubx64.efi"
    host.run(["grub-mkimage", "-d", GRUB / "x86_64-efi", "-O", "x86_64-efi", "-o", program,
              "-p", "/EFI/debian", *ESP_MODULES])
    return {"/EFI/debian/grubx64.efi": program, "/EFI/debian/grub.cfg": entry.config(),
            **entry.files}


def make_esp(esp, destination, megabytes=96):
    """A disk image with one FAT partition, which UEFI firmware boots from. Needs no root."""
    sectors = megabytes * 2048
    with open(destination, "wb") as disk:
        disk.truncate(sectors * 512)
        entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0xef, b"\xfe\xff\xff",
                            PARTITION_START, sectors - PARTITION_START)
        disk.write(b"\0" * 446 + entry.ljust(64, b"\0") + b"\x55\xaa")
    partition = f"{destination}@@{PARTITION_START * 512}"
    host.run(["mformat", "-i", partition, "-F", "-h", "16", "-s", "63",
              "-T", sectors - PARTITION_START, "::"])
    folders = {str(parent) for path in esp.files for parent in pathlib.PurePosixPath(path).parents}
    for folder in sorted(folders - {"/"}):
        host.run(["mmd", "-i", partition, f"::{folder}"])
    for inside, outside in esp.files.items():
        if isinstance(outside, str):
            host.run(["mcopy", "-i", partition, "-", f"::{inside}"], input=outside)
        else:
            host.run(["mcopy", "-i", partition, outside, f"::{inside}"])
    return destination


def boot_sector(partitions, boot):
    """GRUB's boot sector with Linux partitions from and to these sectors, the first one active."""
    entries = b"".join(
        struct.pack("<B3sB3sII", 0x80 if number == 0 else 0, b"\xfe\xff\xff", 0x83,
                    b"\xfe\xff\xff", start, end - start)
        for number, (start, end) in enumerate(partitions))
    mbr = bytearray(boot.read_bytes())
    mbr[446:510] = entries.ljust(64, b"\0")
    mbr[510:512] = b"\x55\xaa"
    return bytes(mbr)


def bios_without(bios, signature, destination):
    """A copy of Bochs's BIOS in which a table's signature is broken, its checksum kept."""
    rom = bytearray(bios.read_bytes())
    start = rom.find(signature)
    if start < 0:
        raise host.Failure(f"{bios} holds no {signature!r}")
    while start >= 0:
        # Swapping bytes keeps the sum of the ROM, which the machine checks.
        rom[start], rom[start + 1] = rom[start + 1], rom[start]
        start = rom.find(signature)
    destination.write_bytes(rom)
    return destination
