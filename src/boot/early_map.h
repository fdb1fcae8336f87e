/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One range above 4 GiB in the early page tables (early_tables.S), which else end there: a screen's
 * memory, for what Umbra has to say before it has tables of its own.
 */
#pragma once

#include "mm/memmap.h"

/* Zeros, and part of the image. A range lies in two GiB at most. */
struct early_map_tables {
	_Alignas(4096) u64 pdpt[512];
	_Alignas(4096) u64 pd[2][512];
};

/*
 * Maps the range at DIRECT_BASE: `pml4` and `low_pdpt`, the table of the first 512 GiB, are the
 * early ones, `tables` is not used for anything else and lies at `tables_at`; physical addresses
 * have `width` bits. Once. False: the range is where it cannot be mapped.
 */
bool early_map(u64 *pml4, u64 *low_pdpt, struct early_map_tables *tables, paddr_t tables_at,
	       struct range range, unsigned int width);
