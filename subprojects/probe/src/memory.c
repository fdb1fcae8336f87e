/* SPDX-License-Identifier: BSD-2-Clause */
#include "memory.h"

#include "boot_info.h"
#include "insn.h"
#include "layout.h"
#include "power.h"
#include "string.h"

enum {
	LEVELS = 4,
	INDEX_BITS = 9,
	INDEX_MASK = 511,
	LOW_TOP = 0x90000,
	LOW_BOTTOM = 0x8000,
};

static const u64 HEAP_LIMIT = 4ull << 30;

extern u64 boot_pml4[];
extern u8 __image_end[];

static u64 heap_next, heap_end;
static paddr_t low_pages;

/* Shrinks [heap_next, heap_end) to what lies before or after a range, whichever is larger. */
static void heap_avoid(u64 base, u64 length)
{
	u64 end = ALIGN_UP(base + length, PAGE_SIZE);

	if (end <= heap_next || base >= heap_end)
		return;
	if (base > heap_next && (end >= heap_end || base - heap_next > heap_end - end))
		heap_end = ALIGN_DOWN(base, PAGE_SIZE);
	else
		heap_next = end;
}

static void find_heap(void)
{
	u64 image_end = ALIGN_UP((u64)__image_end, PAGE_SIZE);

	for (unsigned i = 0; i < boot_info.map_entries; i++) {
		const struct memory_range *r = &boot_info.map[i];

		if (r->type != E820_RAM || image_end < r->base || image_end >= r->base + r->length)
			continue;
		heap_next = image_end;
		heap_end = r->base + r->length;
		if (heap_end > HEAP_LIMIT)
			heap_end = HEAP_LIMIT;
	}
	for (unsigned i = 0; i < boot_info.taken_entries; i++)
		heap_avoid(boot_info.taken[i].base, boot_info.taken[i].length);
	if (heap_next >= heap_end)
		panic("no RAM behind the image's end, %lx, by the memory map", image_end);
}

void memory_init(void)
{
	find_heap();
	for (u64 p = LOW_TOP; p >= LOW_BOTTOM; p -= PAGE_SIZE) {
		if (!boot_info_is_ram(&boot_info, p, LOW_PAGES * PAGE_SIZE) ||
		    boot_info_is_taken(&boot_info, p, LOW_PAGES * PAGE_SIZE))
			continue;
		low_pages = p;
		return;
	}
	panic("no RAM below 1 MiB by the memory map");
}

paddr_t memory_low(void)
{
	return low_pages;
}

void *memory_pages(size_t n)
{
	u64 p = __atomic_fetch_add(&heap_next, n * PAGE_SIZE, __ATOMIC_RELAXED);

	if (p + n * PAGE_SIZE > heap_end)
		panic("out of memory at %lx", p);
	return memset((void *)p, 0, n * PAGE_SIZE);
}

u64 *memory_entry(u64 va, unsigned level)
{
	u64 *table = boot_pml4;

	for (unsigned l = LEVELS;; l--) {
		u64 *entry = &table[va >> (PAGE_SHIFT + (l - 1) * INDEX_BITS) & INDEX_MASK];

		if (l == level)
			return entry;
		if (!(*entry & PTE_P))
			*entry = (u64)memory_pages(1) | PTE_P | PTE_W | PTE_U;
		if (*entry & PTE_PS)
			panic("%lx is mapped by a large page", va);
		table = (u64 *)(*entry & BITS(51, 12));
	}
}

void memory_map(u64 va, paddr_t pa, u64 size, u64 page_size, u64 flags)
{
	bool large = page_size == LARGE_PAGE;

	for (u64 at = 0; at < size; at += page_size) {
		*memory_entry(va + at, large ? 2 : 1) = (pa + at) | flags | (large ? PTE_PS : 0);
		invlpg(va + at);
	}
}
