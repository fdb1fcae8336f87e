/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/dma_map.h"

#include <x86/vtd.h>

#include "mm/ept.h"
#include "mm/layout.h"
#include "mm/pages.h"

static struct {
	struct ept ept;
	paddr_t root[DMA_MAP_MAX_LEVELS + 1]; /* by levels; 0: not made yet */
} dma;

/* Tables of large pages: per 512 GiB and per GiB of RAM; three a hole; some for the roots. */
u64 dma_map_pages(unsigned int width, paddr_t top_of_ram, u64 holes)
{
	const unsigned int mapped = width < EPT_MAX_WIDTH ? width : EPT_MAX_WIDTH;

	return 8 + (mapped > 39 ? BIT(mapped - 39) : 1) + top_of_ram / GIB + 4 + 3 * holes;
}

/*
 * "Second-Stage Paging Entries" have the format of EPT's. Bit 2 is no right of devices without
 * PASIDs, and memory types, which only some units know, are all 0.
 */
bool dma_map_init(unsigned int width, paddr_t top_of_ram, bool has_1g)
{
	static const struct mtrr_state no_types = {.maxphyaddr = 52};

	dma.ept = (struct ept){
		.mtrrs = &no_types,
		.has_1g = has_1g,
		.has_2m = true,
		.withheld = EPT_EXEC,
	};
	for (u32 i = 0; i < ARRAY_SIZE(dma.root); i++)
		dma.root[i] = 0;
	/* With 2 MiB pages, 39 bits would take 512 tables at once. */
	return ept_map_identity(&dma.ept, has_1g || width > 39 ? width : 40, top_of_ram);
}

bool dma_map_hide(paddr_t start, u64 size)
{
	return ept_hide(&dma.ept, start, size);
}

/*
 * The top table of a walk with so many levels. What lies below 512 GiB is a table of three levels
 * in the one of four, and so on.
 */
static u64 *top_table(unsigned int levels)
{
	u64 *table = dma.ept.root;

	if (levels == EPT_LEVELS - 1)
		return phys_to_virt(table[0] & EPT_ADDR);
	if (levels == EPT_LEVELS)
		return table;
	table = pages_alloc(1);
	if (table)
		table[0] = virt_to_phys(dma.ept.root) | EPT_READ | EPT_WRITE;
	return table;
}

/* "Root Entry", "Context Entry": 256 buses with 256 functions, all with the same. */
paddr_t dma_map_root(unsigned int levels)
{
	struct vtd_entry *root, *context;
	u64 *top;

	if (dma.root[levels])
		return dma.root[levels];
	root = pages_alloc(1);
	context = pages_alloc(1);
	top = top_table(levels);
	if (!root || !context || !top)
		return 0;
	for (u32 i = 0; i < VTD_TABLE_ENTRIES; i++) {
		root[i].low = virt_to_phys(context) | VTD_PRESENT;
		/* Requests of devices that have translated themselves are blocked. */
		context[i].low = virt_to_phys(top) | VTD_PRESENT | VTD_UNTRANSLATED_ONLY;
		context[i].high = vtd_address_width(levels) | VTD_DOMAIN;
	}
	return dma.root[levels] = virt_to_phys(root);
}
