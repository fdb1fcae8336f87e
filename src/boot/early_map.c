/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/early_map.h"

#include <x86/paging.h>

static const u64 LARGE = 2 * MIB;
static const u64 FLAGS = PTE_P | PTE_W;

enum { ENTRIES = 512, FIRST = 256 /* of DIRECT_BASE */, LAST = 511 /* the image's */ };

bool early_map(u64 *pml4, u64 *low_pdpt, struct early_map_tables *tables, paddr_t tables_at,
	       struct range range, unsigned int width)
{
	const paddr_t pdpt_at = tables_at + offsetof(struct early_map_tables, pdpt);
	const paddr_t pd_at = tables_at + offsetof(struct early_map_tables, pd);
	const paddr_t start = ALIGN_DOWN(range.start, LARGE);
	const paddr_t end = ALIGN_UP(range.start + range.size, LARGE);
	const u64 first = start / GIB, last = (end - 1) / GIB, slot = FIRST + first / ENTRIES;
	u64 *pdpt = slot == FIRST ? low_pdpt : tables->pdpt;

	/* SDM "4-Level Paging and 5-Level Paging": bits beyond the width are reserved. */
	if (end <= start || end > BIT(width) || last - first >= ARRAY_SIZE(tables->pd) ||
	    first / ENTRIES != last / ENTRIES || slot >= LAST)
		return false;
	if (slot != FIRST)
		pml4[slot] = pdpt_at | FLAGS;
	for (u64 gib = first; gib <= last; gib++) {
		u64 *pd = tables->pd[gib - first];

		/* The first 4 GiB are there. */
		if (pdpt[gib % ENTRIES] & PTE_P)
			continue;
		for (paddr_t at = gib * GIB; at < (gib + 1) * GIB; at += LARGE) {
			if (at >= start && at < end)
				pd[at / LARGE % ENTRIES] = at | FLAGS | PTE_PS;
		}
		pdpt[gib % ENTRIES] = (pd_at + (gib - first) * sizeof(tables->pd[0])) | FLAGS;
	}
	return true;
}
