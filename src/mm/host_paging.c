/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/host_paging.h"

#include <x86/cpuid.h>
#include <x86/paging.h>

#include "lib/insn.h"
#include "lib/spinlock.h"
#include "mm/layout.h"
#include "mm/pages.h"

static const u64 RW_NX = PTE_P | PTE_W | PTE_NX;

static u64 *root;
static u64 trampoline_tables; /* what root[0] is while a CPU starts */
static bool has_1g;

static u64 *entry_of(u64 *table, u64 va, unsigned int level)
{
	return &table[va >> (PAGE_SHIFT + 9 * (level - 1)) & 511];
}

static u64 page_size(unsigned int level)
{
	return PAGE_SIZE << (9 * (level - 1));
}

static u64 *next_table(u64 *entry)
{
	if (!(*entry & PTE_P)) {
		void *table = pages_alloc(1);

		if (!table)
			return NULL;
		*entry = virt_to_phys(table) | PTE_P | PTE_W;
	}
	return phys_to_virt(*entry & PTE_ADDR);
}

/* Maps with the largest pages that fit. What is mapped already stays as it is. */
static bool map(u64 va, paddr_t pa, u64 size, u64 flags)
{
	const u64 end = va + size;

	while (va < end) {
		unsigned int level = has_1g ? 3 : 2;
		u64 *table = root;
		u64 *entry;

		while (level > 1 &&
		       ((va | pa) & (page_size(level) - 1) || end - va < page_size(level)))
			level--;
		for (unsigned int l = 4; l > level; l--) {
			entry = entry_of(table, va, l);
			if (*entry & PTE_PS) {
				level = l;
				break;
			}
			table = next_table(entry);
			if (!table)
				return false;
		}
		entry = entry_of(table, va, level);
		if (!(*entry & PTE_P)) {
			*entry = pa | flags | (level > 1 ? PTE_PS : 0);
		} else if (level > 1 && !(*entry & PTE_PS)) {
			/* Part of this large page has smaller ones: fill up around them. */
			if (!map(va, pa, page_size(level) / 2, flags) ||
			    !map(va + page_size(level) / 2, pa + page_size(level) / 2,
				 page_size(level) / 2, flags))
				return false;
		}
		u64 step = page_size(level) - (va & (page_size(level) - 1));

		va += step;
		pa += step;
	}
	return true;
}

bool host_paging_map(paddr_t start, u64 size)
{
	static struct spinlock lock;
	paddr_t from = ALIGN_DOWN(start, PAGE_SIZE);
	paddr_t to = ALIGN_UP(start + size, PAGE_SIZE);
	bool mapped;

	spin_lock(&lock);
	mapped = map(DIRECT_BASE + from, from, to - from, RW_NX);
	spin_unlock(&lock);
	return mapped;
}

static bool map_segment(const u8 *from, const u8 *to, paddr_t home, u64 flags)
{
	return map((u64)from, home + (u64)(from - image_start), (u64)(to - from), flags);
}

/*
 * Ranges of different kinds may have different MTRR types, and a large page across two types is
 * undefined (SDM "MTRR Considerations in MP Systems" and "Large Page Size Considerations"): each
 * range of the memory map is mapped by itself, and so are the gaps below 4 GiB.
 */
static bool map_direct(const struct memmap *memmap, paddr_t home, u64 size)
{
	/* Fixed-range MTRRs cover 1 MiB: small pages for all of the first 2 MiB. */
	paddr_t at = 2 * MIB;

	for (paddr_t pa = 0; pa < at; pa += PAGE_SIZE) {
		if (!host_paging_map(pa, PAGE_SIZE))
			return false;
	}
	for (u32 i = 0; i <= memmap->count; i++) {
		paddr_t start = 4 * GIB, end = 4 * GIB;

		if (i < memmap->count) {
			start = ALIGN_DOWN(memmap->e[i].start, PAGE_SIZE);
			end = ALIGN_UP(memmap->e[i].start + memmap->e[i].size, PAGE_SIZE);
		}
		/* The gap before it. */
		if (at < start && at < 4 * GIB) {
			paddr_t gap_end = start < 4 * GIB ? start : 4 * GIB;

			if (!host_paging_map(at, gap_end - at))
				return false;
			at = gap_end;
		}
		if (start < at)
			start = at;
		/* Reserved ranges up there are MMIO that nobody maps by accident. */
		if (start >= end ||
		    (i < memmap->count && start >= 4 * GIB && memmap->e[i].type == MEMMAP_RESERVED))
			continue;
		at = end;
		if (start < home && end > home) {
			if (!host_paging_map(start, home - start))
				return false;
			start = home;
		}
		if (start == home) {
			paddr_t heap = home + image_size();

			for (paddr_t pa = heap; pa < home + size; pa += PAGE_SIZE) {
				if (!host_paging_map(pa, PAGE_SIZE))
					return false;
			}
			start = home + size;
		}
		if (start < end && !host_paging_map(start, end - start))
			return false;
	}
	return true;
}

paddr_t host_paging_init(const struct memmap *memmap, paddr_t home, u64 size)
{
	has_1g = cpuid(0x80000000, 0).eax >= 0x80000001 &&
		 (cpuid(0x80000001, 0).edx & CPUID_81_EDX_PAGE1GB);
	root = pages_alloc(1);
	if (!root || !map_segment(text_start, text_end, home, PTE_P) ||
	    !map_segment(rodata_start, rodata_end, home, PTE_P | PTE_NX) ||
	    !map_segment(data_start, data_end, home, RW_NX) || !map_direct(memmap, home, size))
		return 0;
	return virt_to_phys(root);
}

paddr_t host_paging_root(void)
{
	return virt_to_phys(root);
}

void host_paging_guard(const void *page)
{
	u64 *table = root;

	for (unsigned int level = 4; level > 1; level--)
		table = phys_to_virt(*entry_of(table, (u64)page, level) & PTE_ADDR);
	*entry_of(table, (u64)page, 1) = 0;
	invlpg((u64)page);
}

bool host_paging_map_trampoline(paddr_t page)
{
	/* The tables of the last time will do again, and what is mapped already stays. */
	if (!root[0])
		root[0] = trampoline_tables;
	return map(page, page, PAGE_SIZE, PTE_P);
}

/* Nothing else is mapped in the lower half. */
void host_paging_unmap_trampoline(void)
{
	trampoline_tables = root[0];
	root[0] = 0;
	write_cr3(read_cr3());
}
