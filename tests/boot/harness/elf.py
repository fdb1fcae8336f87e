# SPDX-License-Identifier: BSD-2-Clause
"""What of an ELF file gets into memory."""

import struct

PT_LOAD = 1


def loads(path):
    """(address, physical address, flags, bytes of memory, contents) of each loadable segment."""
    data = path.read_bytes()
    table, = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    found = []
    for number in range(count):
        kind, flags, offset, address, physical, length, memory = struct.unpack_from(
            "<IIQQQQQ", data, table + number * size)
        if kind == PT_LOAD:
            found.append((address, physical, flags, memory, data[offset:offset + length]))
    return found
