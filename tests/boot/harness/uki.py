# SPDX-License-Identifier: BSD-2-Clause
"""systemd's programs for EFI, from Debian's package, and unified kernel images made of them."""

import struct

from . import releases

PAGE = 0x1000
# Microsoft, "PE Format", from the signature on.
SECTION_COUNT, OPTIONAL_SIZE = 6, 20
OPTIONAL = 24
SIZE_OF_IMAGE, SIZE_OF_HEADERS = OPTIONAL + 56, OPTIONAL + 60
SECTION_HEADER = 40
DATA_READ = 0x40000040


def program(name):
    """systemd-bootx64.efi or linuxx64.efi.stub."""
    return releases.unpacked("systemd-boot-efi") / "usr/lib/systemd/boot/efi" / name


def up(value, to):
    return (value + to - 1) // to * to


def add_sections(image, sections):
    """A PE image with more sections, pairs of name and content, behind those it has."""
    image = bytearray(image)
    pe = struct.unpack_from("<I", image, 60)[0]
    count = struct.unpack_from("<H", image, pe + SECTION_COUNT)[0]
    table = pe + OPTIONAL + struct.unpack_from("<H", image, pe + OPTIONAL_SIZE)[0]
    address, headers = struct.unpack_from("<II", image, pe + SIZE_OF_IMAGE)
    if table + (count + len(sections)) * SECTION_HEADER > headers:
        raise ValueError("no room for more section headers")
    address = up(address, PAGE)
    for number, (name, content) in enumerate(sections, count):
        image += bytes(up(len(image), PAGE) - len(image))
        struct.pack_into("<8sIIII12xI", image, table + number * SECTION_HEADER, name.encode(),
                         len(content), address, up(len(content), PAGE), len(image), DATA_READ)
        image += content.ljust(up(len(content), PAGE), b"\0")
        address = up(address + len(content), PAGE)
    struct.pack_into("<H", image, pe + SECTION_COUNT, count + len(sections))
    struct.pack_into("<I", image, pe + SIZE_OF_IMAGE, address)
    return bytes(image)


def make(kernel, command_line, initrd, destination):
    """A kernel, its command line and initrd as one EFI program."""
    destination.write_bytes(add_sections(program("linuxx64.efi.stub").read_bytes(), (
        (".osrel", b"ID=debian\nPRETTY_NAME=test\n"),
        (".cmdline", command_line.encode("ascii")),
        (".initrd", initrd.read_bytes()),
        (".linux", kernel.read_bytes()))))
    return destination
