/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BIOS calls that tell a real-mode boot loader how much memory there is, answered from a map
 * of ours: INT 15h AX=E820h (ACPI "INT 15H, E820H - Query System Address Map"), and the older
 * AX=E801h and AH=88h.
 */
#pragma once

#include <x86/types.h>

#include "mm/memmap.h"

/* The caller's registers, in and out. */
struct int15_regs {
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
	bool carry;
};

/* What is left to do for the caller of int15_call. */
struct int15_answer {
	bool handled; /* false: not one of these calls; the BIOS is to have it */
	u32 size;     /* bytes of `entry` to write to ES:DI: 0, 20 or 24 */
	/* Address Range Descriptor Structure; the last word is ACPI 3.0's extended attributes. */
	struct memmap_entry entry;
};

/*
 * Answers the call in *regs from `map`, in 16-bit BIOS manner: of EAX to EDX only what the call
 * defines changes. If writing the entry faults, set carry and leave the rest to the guest.
 */
struct int15_answer int15_call(const struct memmap *map, struct int15_regs *regs);
