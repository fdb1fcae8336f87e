/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/eptmap.h"

enum {
	GIGABYTES = 4,
	UNCACHED_GIGABYTE = 3,
	INDEX_BITS = 9,
};

static const u64 LARGE_SIZE = 2ull << 20;

static const u64 ALL = EPT_RWX | EPT_USER_EXEC;

u64 ept_pointer(const struct eptmap *map)
{
	bool wb = vmx_ept_vpid_cap() & EPT_CAP_WB;

	return (u64)map->root | EPTP_WALK_4 | (u64)(wb ? MEMTYPE_WB : MEMTYPE_UC);
}

bool l2_ept(struct l2 *l2)
{
	struct eptmap *map;
	u64 cap = vmx_ept_vpid_cap();
	u64 *pdpt;

	if (!vmx_has(CTL_CPU2, CPU2_EPT) || !(cap & EPT_CAP_WALK_4) || !(cap & EPT_CAP_2M))
		return false;
	map = vmx_pages(1);
	map->root = vmx_pages(1);
	pdpt = vmx_pages(1);
	map->root[0] = (u64)pdpt | ALL;
	for (u64 g = 0; g < GIGABYTES; g++) {
		enum memtype type = g < UNCACHED_GIGABYTE ? MEMTYPE_WB : MEMTYPE_UC;
		u64 *pd = vmx_pages(1);

		pdpt[g] = (u64)pd | ALL;
		for (u64 i = 0; i < EPT_ENTRIES; i++)
			pd[i] = (g << 30) | i * LARGE_SIZE | EPT_LARGE | ALL |
				ept_memtype_bits(type);
	}
	l2->ept = map;
	vmwrite(VMCS_EPT_POINTER, ept_pointer(map));
	return l2_enable(CTL_CPU2, CPU2_EPT);
}

/* Makes a table with the same mappings out of a large page. */
static void split(u64 *entry, unsigned level)
{
	u64 *table = vmx_pages(1);
	u64 leaf = *entry;

	if (level == 2)
		leaf &= ~(u64)EPT_LARGE;
	for (u64 i = 0; i < EPT_ENTRIES; i++)
		table[i] = leaf + i * ept_level_size(level - 1);
	*entry = (u64)table | ALL;
}

u64 *ept_slot(struct eptmap *map, u64 gpa, unsigned level)
{
	u64 *table = map->root;

	for (unsigned l = EPT_LEVELS;; l--) {
		u64 *entry = &table[gpa >> (PAGE_SHIFT + (l - 1) * INDEX_BITS) & (EPT_ENTRIES - 1)];

		if (l == level)
			return entry;
		if (!(*entry & ALL))
			*entry = (u64)vmx_pages(1) | ALL;
		else if (*entry & EPT_LARGE)
			split(entry, l);
		table = (u64 *)(*entry & EPT_ADDR);
	}
}

void ept_map_page(struct eptmap *map, u64 gpa, u64 hpa, u64 rights)
{
	*ept_slot(map, gpa, 1) = hpa | rights | ept_memtype_bits(MEMTYPE_WB);
	ept_flush(map);
}

void ept_flush(const struct eptmap *map)
{
	u64 cap = vmx_ept_vpid_cap();

	if (cap & EPT_CAP_INVEPT)
		try_invept(cap & EPT_CAP_INVEPT_SINGLE ? INVEPT_SINGLE_CONTEXT : INVEPT_ALL_CONTEXT,
			   ept_pointer(map), 0);
}
