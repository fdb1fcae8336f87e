/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's edu device (docs/specs/edu.rst there), which copies to and from any address, for kernels
 * and for programs that have its registers mapped.
 */
#pragma once

enum {
	PCI_COMMAND = 4,
	PCI_MEMORY_AND_MASTER = 6,
	PCI_BAR0 = 0x10,
	EDU_ID = 0x11e81234,
	EDU_SOURCE = 0x80,
	EDU_DESTINATION = 0x88,
	EDU_COUNT = 0x90,
	EDU_COMMAND = 0x98,
	EDU_RUN = 1,
	EDU_TO_MEMORY = 2,
	EDU_BUFFER = 0x40000,
	EDU_CHUNK = 2048, /* half of that buffer: QEMU refuses one that ends with it */
};

/* One transfer, to its end; wait() lets some time pass. */
static inline void edu_transfer(volatile unsigned char *registers, unsigned long source,
				unsigned long destination, unsigned long size,
				unsigned long direction, void (*wait)(void))
{
	volatile unsigned long *const command = (volatile unsigned long *)(registers + EDU_COMMAND);

	*(volatile unsigned long *)(registers + EDU_SOURCE) = source;
	*(volatile unsigned long *)(registers + EDU_DESTINATION) = destination;
	*(volatile unsigned long *)(registers + EDU_COUNT) = size;
	*command = EDU_RUN | direction;
	while (*command & EDU_RUN)
		wait();
}
