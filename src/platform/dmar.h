/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI table of DMA remapping units. Section titles are those of the Intel Virtualization
 * Technology for Directed I/O Architecture Specification, here and in the driver "VT-d".
 */
#pragma once

#include "mm/memmap.h"

/* More are a damaged table. */
enum { DMAR_MAX_UNITS = 64, DMAR_MAX_RESERVED = 64 };

/* "DMAR Flags" */
enum dmar_flags {
	DMAR_INTR_REMAP = 1 << 0,
	DMAR_DMA_CTRL_PLATFORM_OPT_IN = 1 << 2,
};

struct dmar_info {
	u8 address_width; /* bits of the addresses that DMA can reach */
	u8 flags;         /* enum dmar_flags */
	u32 unit_count;
	struct range unit[DMAR_MAX_UNITS]; /* each unit's registers, in whole pages */
	u32 reserved_count;
	struct range reserved[DMAR_MAX_RESERVED]; /* what firmware's devices go on using */
};

/*
 * `table` is all of it, with a right checksum. NULL, or what is wrong with it, for people; *out is
 * not to be used then.
 */
const char *dmar_parse(const u8 *table, u32 length, struct dmar_info *out);
