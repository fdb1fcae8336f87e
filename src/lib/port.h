/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O ports by the size of an access: 1 or 2 bytes, anything else counts as 4. */
#pragma once

#include "lib/insn.h"

static inline u32 port_read(u16 port, u32 size)
{
	return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static inline void port_write(u16 port, u32 size, u32 value)
{
	if (size == 1)
		outb(port, (u8)value);
	else if (size == 2)
		outw(port, (u16)value);
	else
		outl(port, value);
}
