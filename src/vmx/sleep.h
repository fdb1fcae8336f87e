/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Suspend to RAM. In S3 CPUs lose their state, and firmware wakes the system where the system has
 * told it to: without Umbra. So Umbra sees the way into sleep, a write to the PM1 control register,
 * and has itself woken instead, by real-mode code in a page below 1 MiB; it takes every CPU into
 * VMX operation anew and starts its guest where the guest wants to wake. ACPI Specification,
 * "Waking and Sleeping", "Firmware ACPI Control Structure (FACS)".
 */
#pragma once

#include "platform/acpi.h"
#include "vmx/vcpu.h"

/*
 * On the boot processor, before the first vmx_setup_cpu(). `page` is below 1 MiB and hidden from
 * the guest; 0: there is none. Stops with a message if memory is short. Where Umbra
 * could not be woken first, sleep is refused.
 */
void sleep_init(const struct acpi_info *acpi, paddr_t page);

/* Whether there are ports to watch: then the physical addresses of the I/O bitmaps A and B. */
bool sleep_io_bitmaps(paddr_t bitmap[2]);

/* Sets those ports' bits in two pages of I/O bitmap, A then B: copies of L1's, for L2. */
void sleep_watch_ports(u8 *bitmaps);

/*
 * The guest writes `size` bytes to ports from `port` on. True: that put the machine to sleep, or
 * was refused, and is done with. The call does not return if the machine loses its state.
 */
bool sleep_by_write(u16 port, u32 size, u32 value);
