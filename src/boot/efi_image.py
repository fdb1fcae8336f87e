#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Make an EFI program of the image: efi_image.py umbra.elf umbra.efi

Puts PE32+ headers in front of the very same segments (Microsoft's "PE Format"; UEFI Specification,
"UEFI Images"). The code runs wherever the firmware puts it, so there is nothing to relocate."""

import struct
import sys

HEADER = 0x1000          # all headers; the image follows at this offset, in the file and in memory
PAGE = 0x1000
PT_LOAD = 1
ENTRY = b"efi_entry"

CODE, DATA, DISCARDABLE = 0x00000020, 0x00000040, 0x02000000
EXECUTE, READ, WRITE = 0x20000000, 0x40000000, 0x80000000

NX_COMPATIBLE, DYNAMIC_BASE = 0x0100, 0x0040
EFI_APPLICATION = 10


def up(value, to=PAGE):
    return (value + to - 1) // to * to


class Elf:
    """A 64-bit little-endian ELF file."""

    def __init__(self, data):
        self.data = data
        phoff, shoff = struct.unpack_from("<QQ", data, 32)
        phentsize, phnum, shentsize, shnum = struct.unpack_from("<HHHH", data, 54)
        self.segments = []
        for i in range(phnum):
            kind, flags, offset, vaddr, _, filesz, memsz = struct.unpack_from(
                "<IIQQQQQ", data, phoff + i * phentsize)
            if kind == PT_LOAD:
                self.segments.append((flags, offset, vaddr, filesz, memsz))
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", data, shoff + i * shentsize)
                         for i in range(shnum)]

    def symbol(self, wanted):
        for section in self.sections:
            if section[1] != 2:                       # SHT_SYMTAB
                continue
            strings = self.sections[section[6]][4]
            for at in range(section[4], section[4] + section[5], 24):
                name, _, _, _, value = struct.unpack_from("<IBBHQ", self.data, at)
                start = strings + name
                if self.data[start:self.data.index(b"\0", start)] == wanted:
                    return value
        sys.exit(f"no symbol {wanted.decode()}")


def section_header(name, rva, size, file_offset, file_size, flags):
    return struct.pack("<8sIIIIIIHHI", name, size, rva, file_size, file_offset, 0, 0, 0, 0, flags)


def make(elf):
    base = elf.segments[0][2]
    sections, body = [], b""
    for flags, offset, vaddr, filesz, memsz in elf.segments:
        rva = HEADER + vaddr - base
        kind = CODE | EXECUTE | READ if flags & 1 else DATA | READ | (WRITE if flags & 2 else 0)
        name = b".text" if flags & 1 else b".data" if flags & 2 else b".rodata"
        body += b"\0" * (rva - HEADER - len(body)) + elf.data[offset:offset + filesz]
        sections.append([name, rva, up(memsz), rva, up(filesz), kind])
    body += b"\0" * (up(len(body)) - len(body))
    # Firmware loads only what can be relocated: an empty block says that this can.
    end = up(sections[-1][1] + sections[-1][2])
    sections.append([b".reloc", end, PAGE, HEADER + len(body), PAGE,
                     DATA | READ | DISCARDABLE])
    body += struct.pack("<II", HEADER, 8).ljust(PAGE, b"\0")
    size = end + PAGE

    text = sections[0]
    file_header = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, len(sections), 0, 0, 0, 240, 0x022e
                              & ~0x0001)
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII", 0x20b, 0, 0, text[2], size - HEADER - text[2], 0,
        HEADER + elf.symbol(ENTRY) - base, text[1], 0, PAGE, PAGE, 0, 0, 0, 0, 0, 0, 0, size,
        HEADER, 0, EFI_APPLICATION, NX_COMPATIBLE | DYNAMIC_BASE, 0, 0, 0, 0, 0, 16)
    directories = [(0, 0)] * 16
    directories[5] = (end, 8)
    optional += b"".join(struct.pack("<II", *entry) for entry in directories)
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    headers = dos + file_header + optional + b"".join(section_header(*s) for s in sections)
    return headers.ljust(HEADER, b"\0") + body


def main():
    with open(sys.argv[1], "rb") as source:
        program = make(Elf(source.read()))
    with open(sys.argv[2], "wb") as target:
        target.write(program)


main()
